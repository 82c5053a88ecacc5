"""What an archive says of itself: ``daxa.toml``, ``params/*.toml``, ``software.toml``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from daxa.archive.layout import STEPS, Layout
from daxa.errors import ArchiveError, ConfigError
from daxa.files import TOML_LIMIT, parse_toml, read_plain
from daxa.missions import find_mission
from daxa.settings import Settings, load_settings

__all__ = [
    "FETCH_SOFTWARE",
    "FORMAT",
    "ArchiveConfig",
    "Creator",
    "Locked",
    "Policy",
    "RunLimits",
    "effective_parameters",
    "load_config",
    "load_parameters",
    "load_software",
    "parse_config",
    "settings_of",
]

FORMAT = 1
"""Version of the archive's format; a release that changes it is a major one."""

_NUMBER = r"\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_QUANTITY = re.compile(rf"\s*({_NUMBER})\s*(?:-\s*({_NUMBER}))?\s*([A-Za-z%]+)\s*", re.ASCII)
"""A number or a range with a unit: ``0.50 keV``, ``10-12 keV``."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Creator(_Table):
    """A person who made the archive."""

    name: str
    orcid: Annotated[str, Field(pattern=r"^((\d{4}-){3}\d{3}[\dX])?$")] = ""
    affiliation: str = ""


class Policy(_Table):
    """Which share of a step's observations may fail before a stage, or a release, is refused."""

    max_failed_stage: Annotated[float, Field(ge=0, le=1)] = 1.0
    max_failed_release: Annotated[float, Field(ge=0, le=1)] = 0.0


class RunLimits(_Table):
    """Limits that change no product."""

    time_limit_s: Annotated[float, Field(gt=0)] = 21600.0


class ArchiveConfig(_Table):
    """The content of ``daxa.toml``.

    Parameters
    ----------
    format
        Version of the archive's format.
    name, title, licence, creators
        What citation files say.
    missions
        Mission to its criteria, in plain form.
    policy, run
        How failures and limits are treated.
    services
        Addresses that replace the usual ones.
    """

    format: Annotated[int, Field(ge=1, le=FORMAT)]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
    title: str = ""
    licence: str = "CC-BY-4.0"
    creators: tuple[Creator, ...] = ()
    missions: dict[str, dict[str, Any]]
    policy: Policy = Policy()
    run: RunLimits = RunLimits()
    services: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Locked:
    """The software that a step is locked to."""

    backend: str
    version: str


FETCH_SOFTWARE = Locked("daxa", "1")
"""Version of the way in which files are chosen and fetched."""


def load_config(layout: Layout) -> ArchiveConfig:
    """Read ``daxa.toml``.

    Raises
    ------
    ArchiveError
        There is none: the directory is no archive.
    ConfigError
        It cannot be used.
    """
    if not layout.config.exists():
        raise ArchiveError(
            "not-an-archive",
            f"{layout.root} is not a daxa archive: it has no daxa.toml",
            remedy="go to an archive's directory, or make one with `daxa init`",
        )
    return parse_config(_content(layout.config), layout.config)


def parse_config(content: bytes, path: Path) -> ArchiveConfig:
    """Validate the content of a ``daxa.toml``; `path` is for messages."""
    try:
        config = ArchiveConfig.model_validate(_parse(content, path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(
            "invalid", f"{path}: {place}: {first['msg'].lower()}", remedy=f"correct {place} in {path.name}"
        ) from None
    for mission in config.missions:
        find_mission(mission)
    return config


def settings_of(config: ArchiveConfig) -> Settings:
    """Settings of this machine, with the archive's own addresses."""
    return load_settings(config.services)


def load_parameters(layout: Layout, mission: str) -> dict[str, dict[str, Any]]:
    """Read ``params/<mission>.toml``: one table per step.

    Raises
    ------
    ConfigError
        It is absent, names unknown steps, or holds what DVC cannot follow (dates, nan).
    """
    path = layout.params(mission)
    tables = _read(path)
    if unknown := sorted(set(tables) - set(STEPS)):
        raise ConfigError(
            "unknown-step", f"{path}: there is no step {unknown[0]!r}", remedy=f"use the tables {', '.join(STEPS)}"
        )
    if absent := [step for step in STEPS if not isinstance(tables.get(step), dict)]:
        raise ConfigError(
            "no-step", f"{path} has no table [{absent[0]}]", remedy=f"add a line [{absent[0]}], even if nothing follows"
        )
    for obs_id in [key for table in tables.values() for key in _overrides(table, path)]:
        find_mission(mission).check_obs_id(obs_id)
    return tables


def effective_parameters(tables: Mapping[str, Mapping[str, Any]], step: str, obs_id: str) -> dict[str, Any]:
    """Parameters of a step for one observation: the step's table, then its override, normalised.

    Examples
    --------
    >>> tables = {"clean": {"flare_sigma": 3, "obs": {"0404910601": {"flare_sigma": 2.5}}}}
    >>> effective_parameters(tables, "clean", "0404910601"), effective_parameters(tables, "clean", "0201901401")
    ({'flare_sigma': 2.5}, {'flare_sigma': 3.0})
    """
    table = dict(tables[step])
    override = table.pop("obs", {}).get(obs_id, {})
    return {key: _normalise(value) for key, value in sorted({**table, **override}.items())}


def load_software(layout: Layout) -> dict[tuple[str, str], Locked]:
    """Read ``software.toml``: (mission, step) to what it is locked to."""
    locked = {}
    for mission, steps in _read(layout.software).items():
        for step, entry in steps.items():
            try:
                locked[mission, step] = Locked(backend=str(entry["backend"]), version=str(entry["version"]))
            except (KeyError, TypeError):
                raise ConfigError(
                    "invalid",
                    f"{layout.software}: [{mission}.{step}] lacks backend or version",
                    remedy="restore software.toml with `git checkout software.toml`",
                ) from None
    return locked


def _overrides(table: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    overrides = table.get("obs", {})
    if not isinstance(overrides, dict) or not all(isinstance(value, dict) for value in overrides.values()):
        raise ConfigError(
            "override", f"{path}: an override is not a table", remedy='write it as [clean.obs."0404910601"]'
        )
    return overrides


def _normalise(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        if not (found := _QUANTITY.fullmatch(value)):
            return value
        return f"{'-'.join(repr(float(number)) for number in found.groups()[:2] if number)} {found[3]}"
    if isinstance(value, list):
        return [_normalise(item) for item in value]
    return {key: _normalise(item) for key, item in value.items()}


def _read(path: Path) -> dict[str, Any]:
    return _parse(_content(path), path)


def _content(path: Path) -> bytes:
    try:
        return read_plain(path, limit=TOML_LIMIT)
    except OSError as error:
        raise ConfigError(
            "unreadable",
            f"{path} cannot be read: {error.strerror}",
            remedy=f"restore {path.name} with `git checkout`",
        ) from None


def _parse(content: bytes, path: Path) -> dict[str, Any]:
    try:
        tables = parse_toml(content, path)
    except ValueError as error:
        raise ConfigError("toml", f"{path} is not TOML: {error}", remedy="correct the line that is named") from None
    _refuse_untrackable(tables, path, "")
    return tables


def _refuse_untrackable(value: Any, path: Path, place: str) -> None:
    """Refuse what DVC's parameter tracking cannot bear: bare dates crash it, nan is always changed."""
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_untrackable(item, path, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for item in value:
            _refuse_untrackable(item, path, place)
    elif isinstance(value, date | datetime | time):
        raise ConfigError("date", f"{path}: {place} is a bare date", remedy=f'put it in quotes: {place} = "{value}"')
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError("not-finite", f"{path}: {place} is {value}", remedy="give a finite number")
