"""The environment of a call: only variables that its suite is known to need, and private directories."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from daxa.backends.tools.container import Container
from daxa.backends.tools.tables import Suite
from daxa.errors import ProgramError, ToolError

__all__ = ["Installation", "call_environment", "refuse_path", "search_path", "system_parfiles"]

_OF_EVERY_PROGRAM = ("PATH", "LANG")
_UNFIT = re.compile(r"[\s;:,'\"`$\\]")


@dataclass(frozen=True)
class Installation:
    """Mission software on this machine.

    Parameters
    ----------
    suite
        Which.
    release
        Its version, as it reports itself.
    environ
        What its set-up script gives, captured once.
    container
        Where it is, if it is not on this machine itself.
    """

    suite: Suite
    release: str
    environ: Mapping[str, str]
    container: Container | None = None

    def program(self, name: str) -> str | None:
        """The path of a program, in its container where it has one; None where there is no such program."""
        if self.container:
            return self.container.programs.get(name)
        return shutil.which(name, path=search_path(self))


def call_environment(installed: Installation, private: Path, own: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of one call.

    Two calls of a tool must not share a directory of parameter files: each writes its parameters there,
    and would read those of the other.  HOME is private, too, since tools leave files there.

    Parameters
    ----------
    installed
        The software.
    private
        A directory of this call, in which ``pfiles``, ``tmp`` and ``home`` are made.
    own
        Variables of this call, such as ``SAS_CCF``.

    Raises
    ------
    ToolError
        `own` has a variable that the suite does not know, or the path of `private` cannot be in an environment.
    ProgramError
        The captured environment lacks what every call needs.
    """
    suite = installed.suite
    refuse_path(suite, private)
    if unknown := sorted(set(own or {}) - set(suite.environment)):
        raise ToolError(
            "variable",
            f"{suite.title} has no variable {unknown[0]}",
            remedy=f"use one of {', '.join(suite.environment)}",
        )
    if missing := [name for name in suite.needed if not installed.environ.get(name) and name not in (own or {})]:
        raise ProgramError(
            "environment",
            f"{suite.title} is not set up: {', '.join(missing)} is not set",
            remedy=f"see that its set-up script sets it, or give it in your configuration: "
            f'[backends.{suite.name}] variables = {{ {missing[0]} = "..." }}',
        )
    given = {
        name: installed.environ[name] for name in (*_OF_EVERY_PROGRAM, *suite.environment) if name in installed.environ
    }
    # A relative entry would let a file in a working directory stand for a program.
    given["PATH"] = search_path(installed)
    places = {name: private / name for name in ("pfiles", "tmp", "home")}
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    given |= {"TMPDIR": str(places["tmp"]), "HOME": str(places["home"]), "LC_ALL": "C", **(suite.fixed or {})}
    given |= dict.fromkeys(suite.temporary, str(places["tmp"]))
    if suite.parfiles:
        system = system_parfiles(installed)
        for name in suite.copied_parfiles:
            _copy_first(name, system, places["pfiles"])
        given["PFILES"] = f"{places['pfiles']};{':'.join(system)}"
    return given | dict(own or {})


def search_path(installed: Installation) -> str:
    """Where programs are looked for: the absolute directories of the captured ``PATH``."""
    return ":".join(one for one in installed.environ.get("PATH", "").split(":") if one.startswith("/"))


def refuse_path(suite: Suite, path: Path) -> None:
    """Refuse a directory that tools cannot work in.

    Raises
    ------
    ToolError
        Its path has blanks or punctuation to which scripts of the suites give a meaning.
    """
    if _UNFIT.search(str(path)):
        raise ToolError(
            "path",
            f"{suite.title} cannot work in {path}: blanks and punctuation in a path break it",
            remedy="move the archive to a path of letters, digits, dots, dashes and underscores",
        )


def system_parfiles(installed: Installation) -> tuple[str, ...]:
    """Directories of parameter files that are only read: those after the semicolon of ``PFILES``, or the suite's own.

    Raises
    ------
    ProgramError
        The captured ``PFILES`` has more than one semicolon, so that it was made by several set-up scripts.

    Examples
    --------
    >>> from daxa.backends.tools.reading import read_suite
    >>> system_parfiles(Installation(read_suite("heasoft"), "6.36", {"PFILES": "/home/ada/pfiles;/opt/syspfiles"}))
    ('/opt/syspfiles',)
    """
    pfiles = installed.environ.get("PFILES", "")
    if pfiles.count(";") > 1:
        raise ProgramError(
            "pfiles",
            f"PFILES of {installed.suite.title} has more than one semicolon: {pfiles[:200]}",
            remedy="run its set-up script in a fresh shell, not in one where other software is set up",
        )
    if system := pfiles.partition(";")[2]:
        return tuple(filter(None, system.split(":")))
    places = []
    for pattern in installed.suite.system_parfiles:
        with suppress(KeyError):
            places.append(pattern.format_map(installed.environ))
    return tuple(places)


def _copy_first(name: str, places: tuple[str, ...], target: Path) -> None:
    for place in places:
        if (Path(place) / name).is_file():
            shutil.copyfile(Path(place) / name, target / name)
            return
