"""How a user says where mission software is: tables ``[backends.<suite>]`` of the user's own configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from daxa.backends.tools.tables import Suite
from daxa.errors import ConfigError
from daxa.naming import did_you_mean
from daxa.settings import user_table

__all__ = ["SoftwareSetup", "read_setup", "split_container"]

_MODULE = re.compile(r"[A-Za-z0-9][\w.+/-]{0,127}", re.ASCII)
_IMAGE = re.compile(r"[A-Za-z0-9][\w.:/@+-]{0,254}", re.ASCII)
_ABSOLUTE = re.compile(r"/[^\0\s;:,'\"`$\\]*")
_MOST = 64
_LONGEST = 64 << 10


@dataclass(frozen=True)
class SoftwareSetup:
    """How to set mission software up; empty if the environment of this process already has it.

    Parameters
    ----------
    init
        Commands for a shell, such as ``. /opt/sas/setsas.sh``.
    modules
        Names of environment modules, such as ``sas/22.1``.
    container
        ``docker://IMAGE``, or ``apptainer:`` and the path of an image file; `init` then runs inside.
    mounts
        Directories that a container can also read, such as that of the calibration files.
    variables
        Variables to set afterwards, as pairs.
    """

    init: str = ""
    modules: tuple[str, ...] = ()
    container: str = ""
    mounts: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def is_given(self) -> bool:
        """Whether the configuration sets anything."""
        return self != SoftwareSetup()


_KEYS = {field.name for field in fields(SoftwareSetup)}


def read_setup(suite: Suite, *, environ: Mapping[str, str] | None = None, user_file: Path | str = "") -> SoftwareSetup:
    """The user's configuration of a suite.

    Parameters
    ----------
    suite
        The suite.
    environ, user_file
        As for `daxa.settings.load_settings`.

    Raises
    ------
    ConfigError
        It holds a value that cannot be used.

    Examples
    --------
    >>> from daxa.backends.tools.reading import read_suite
    >>> read_setup(read_suite("sas"), user_file="/nowhere/config.toml").is_given
    False
    """
    table = user_table("backends", environ=environ, user_file=user_file).get(suite.name, {})
    place = f"[backends.{suite.name}]"
    if not isinstance(table, dict):
        raise _unfit(place, "is not a table", f'write {place}, and below it init = ". /path/of/its/setup.sh"')
    for name in table.keys() - _KEYS:
        raise _unfit(place, f"has no {name!r}{did_you_mean(name, _KEYS)}", f"use {', '.join(sorted(_KEYS))}")
    setup = SoftwareSetup(
        init=_text(place, "init", table.get("init", "")),
        modules=_names(place, "modules", table.get("modules", ()), _MODULE),
        container=_text(place, "container", table.get("container", "")),
        mounts=_names(place, "mounts", table.get("mounts", ()), _ABSOLUTE),
        variables=_variables(place, suite, table.get("variables", {})),
    )
    _check_together(place, setup)
    return setup


def _check_together(place: str, setup: SoftwareSetup) -> None:
    if setup.modules and (setup.init or setup.container):
        raise _unfit(place, "has modules and something else", "give modules, or init, or a container")
    if setup.mounts and not setup.container:
        raise _unfit(place, "has mounts without a container", "remove mounts: programs on this machine see everything")
    if setup.container:
        engine, image = split_container(setup.container)
        if not (_ABSOLUTE if engine == "apptainer" else _IMAGE).fullmatch(image):
            raise _unfit(
                place,
                f"container = {setup.container!r} is not an image",
                'write "docker://NAME:TAG", or "apptainer:/path/of/the/image.sif"',
            )


def split_container(text: str) -> tuple[str, str]:
    """The engine and the image of a container; without a known engine, both are empty.

    Examples
    --------
    >>> split_container("docker://erosita/esass:dr1"), split_container("apptainer:/images/sas.sif")
    (('docker', 'erosita/esass:dr1'), ('apptainer', '/images/sas.sif'))
    """
    for engine, mark in (("docker", "docker://"), ("apptainer", "apptainer:")):
        if text.startswith(mark):
            return engine, text.removeprefix(mark)
    return "", ""


def _text(place: str, name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST or "\0" in value:
        raise _unfit(place, f"{name} is not a text", f'write {name} = "..."')
    return value


def _names(place: str, name: str, value: object, pattern: re.Pattern[str]) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > _MOST:
        raise _unfit(place, f"{name} is not a list", f'write {name} = ["..."]')
    for one in value:
        if not isinstance(one, str) or not pattern.fullmatch(one):
            what = "module" if pattern is _MODULE else "absolute path without blanks and marks"
            raise _unfit(place, f"{one!r} in {name} is not the name of a {what}", "correct it")
    return tuple(value)


def _variables(place: str, suite: Suite, value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(isinstance(one, str) and "\0" not in one for one in value.values()):
        raise _unfit(place, "variables is not a table of texts", 'write variables = { NAME = "value" }')
    for name in value.keys() - {*suite.environment, "PATH"}:
        raise _unfit(
            place,
            f"variables: {suite.title} has no variable {name}{did_you_mean(name, suite.environment)}",
            f"use one of {', '.join(suite.environment)}",
        )
    return tuple(sorted(value.items()))


def _unfit(place: str, why: str, remedy: str) -> ConfigError:
    colon = "" if why.startswith(("is ", "has ")) else ":"
    return ConfigError("backends", f"{place} of your configuration{colon} {why}", remedy=remedy)
