"""The configuration of an archive: ``daxa.toml``, ``params/*.toml``, ``software.toml``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from daxa.addresses import SERVICES
from daxa.archive.layout import STEPS, Layout
from daxa.archive.problems import Problem, refuse, sound, table_name
from daxa.archive.toml_files import read_content, read_tables
from daxa.archive.toml_models import StrictTable, validate_table
from daxa.backends.shared_parameters import FETCH_BACKEND, FETCH_VERSION
from daxa.errors import ArchiveError, ConfigError, CriteriaError
from daxa.missions import find_mission, mission_names
from daxa.naming import did_you_mean
from daxa.quantities import normalise
from daxa.run.steps import Step, arrange_steps
from daxa.settings import Settings, is_address, load_settings

__all__ = [
    "FETCH_SOFTWARE",
    "FORMAT",
    "TEMPLATE",
    "ArchiveConfig",
    "Creator",
    "FailurePolicy",
    "LockedSoftware",
    "RunLimits",
    "Storage",
    "effective_parameters",
    "load_config",
    "load_parameters",
    "parse_config",
    "settings_of",
    "steps_of",
    "validate_config",
    "validate_tables",
]

FORMAT = 1
"""Version of the archive's format; a release that changes it is a major one."""

TEMPLATE = 2
"""Version of the text files of new archives: the texts of earlier ones are in ``templates/earlier``."""


class Creator(StrictTable):
    """A person who made the archive."""

    name: str
    orcid: Annotated[str, Field(pattern=r"^((\d{4}-){3}\d{3}[\dX])?$")] = ""
    affiliation: str = ""


class FailurePolicy(StrictTable):
    """Which share of a step's observations may fail before a stage, or a release, is refused."""

    max_failed_stage: Annotated[float, Field(ge=0, le=1, strict=True)] = 1.0
    max_failed_release: Annotated[float, Field(ge=0, le=1, strict=True)] = 0.0


class RunLimits(StrictTable):
    """Limits that change no product."""

    time_limit_s: Annotated[float, Field(gt=0, strict=True)] = 21600.0


class Storage(StrictTable):
    """Where data are kept.

    Parameters
    ----------
    fetched
        Mission to the observations whose fetched files DVC keeps (``cached``), since their archive has replaced them.
    """

    fetched: dict[str, dict[str, Literal["cached"]]] = Field(default_factory=dict)


class ArchiveConfig(StrictTable):
    """The content of ``daxa.toml``.

    Parameters
    ----------
    format
        Version of the archive's format.
    template
        Version of the templates that its text files are from; 0 where it is not known.
    name, title, licence, creators
        What citation files say.
    steps
        Names of the steps that are done to every observation.
    missions
        Mission to its criteria, in plain form.
    policy, run
        How failures and limits are treated.
    storage
        Which fetched files are kept with the products.
    services
        Addresses that replace the usual ones.
    """

    format: Annotated[int, Field(ge=1, le=FORMAT, strict=True)]
    template: Annotated[int, Field(ge=0, strict=True)] = 0
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
    title: str = ""
    licence: str = "CC-BY-4.0"
    creators: tuple[Creator, ...] = ()
    steps: tuple[str, ...] = STEPS
    missions: dict[str, dict[str, Any]]
    policy: FailurePolicy = FailurePolicy()
    run: RunLimits = RunLimits()
    storage: Storage = Storage()
    services: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class LockedSoftware:
    """The software that a step is locked to, and what calibration was accepted for it; '' where it needs none."""

    backend: str
    version: str
    calibration: str = field(default="", compare=False)


FETCH_SOFTWARE = LockedSoftware(FETCH_BACKEND, FETCH_VERSION)
"""Version of the way in which files are chosen and fetched."""


def steps_of(config: ArchiveConfig) -> tuple[Step, ...]:
    """The steps of an archive, each after those that it needs.

    Raises
    ------
    ConfigError
        Nothing that is installed has such a step, or one needs another that is not named.

    Examples
    --------
    >>> [step.name for step in steps_of(ArchiveConfig(format=1, name="a907", missions={}))]
    ['fetch', 'events', 'clean', 'images', 'sources']
    """
    return arrange_steps(config.steps)


def load_config(layout: Layout) -> ArchiveConfig:
    """Read ``daxa.toml``.

    Raises
    ------
    ArchiveError
        There is none: the directory is not an archive.
    ConfigError
        It cannot be used.
    """
    if not layout.config.exists():
        raise ArchiveError(
            "not-an-archive",
            f"{layout.root} is not a daxa archive: it has no daxa.toml",
            remedy="go to an archive's directory, or make one with `daxa init`",
        )
    return parse_config(sound(read_content(layout.config)), layout.config)


def parse_config(content: bytes, path: Path) -> ArchiveConfig:
    """Validate the content of a ``daxa.toml``; `path` is for messages.

    Raises
    ------
    ConfigError
        It cannot be used; all problems are reported at once.
    """
    return sound(validate_config(content, path))


def validate_config(content: bytes, path: Path) -> tuple[ArchiveConfig | None, list[Problem]]:
    """The configuration that a ``daxa.toml`` holds, None where it cannot be used, and all that is wrong with it."""
    tables, problems = read_tables(content, path)
    if tables is None:
        return None, problems
    if newer := _newer_format(path, tables):
        # What else it holds, only a newer daxa can judge.
        return None, [newer]
    config, wrong = validate_table(ArchiveConfig, tables, path)
    problems += wrong
    if config is not None:
        problems += [_no_mission(path, name) for name in config.missions if not _is_mission(name)]
        problems += _service_problems(path, config.services)
        problems += _step_problems(path, config)
        problems += _storage_problems(path, config) if not problems else ()
    return None if problems else config, problems


def _newer_format(path: Path, tables: Mapping[str, Any]) -> Problem | None:
    version = tables.get("format")
    if not isinstance(version, int) or isinstance(version, bool) or version <= FORMAT:
        return None
    message = f"the archive has the format {version}, and this daxa knows formats up to {FORMAT}"
    return Problem(path, "", "format", message, "update daxa", "newer-format")


def _step_problems(path: Path, config: ArchiveConfig) -> Iterator[Problem]:
    try:
        steps_of(config)
    except ConfigError as error:
        yield Problem(path, "", "steps", error.message, error.remedy, error.name)


def _storage_problems(path: Path, config: ArchiveConfig) -> Iterator[Problem]:
    for mission, kept in config.storage.fetched.items():
        if mission not in config.missions:
            message = f"the archive has no mission called {mission[:100]!r}{did_you_mean(mission, config.missions)}"
            yield Problem(path, "storage.fetched", mission, message, "correct or remove it", "mission")
            continue
        for obs_id in kept:
            try:
                find_mission(mission).check_obs_id(obs_id)
            except CriteriaError as error:
                where = table_name("storage", "fetched", mission)
                yield Problem(path, where, obs_id, error.message, f"{error.remedy}, in quotation marks", "obs-id")


def _is_mission(name: str) -> bool:
    try:
        find_mission(name)
    except CriteriaError:
        return False
    return True


def _no_mission(path: Path, name: str) -> Problem:
    known = mission_names(processed=True)
    message = f"there is no mission called {name[:100]!r}{did_you_mean(name, known)}"
    return Problem(path, table_name("missions", name), "", message, f"use {', '.join(known)}", "mission")


def _service_problems(path: Path, services: Mapping[str, str]) -> Iterator[Problem]:
    known = (*SERVICES, "mirrors", "mirrors_<mission>", "tap_<service>")
    for key, address in services.items():
        if not is_address(key):
            message = f"there is no service {key[:100]!r}{did_you_mean(key, known)}"
            yield Problem(path, "services", key, message, f"use {', '.join(known)}", "unknown-key")
            continue
        try:
            # Places that no address depends on, so that none is looked for.
            load_settings({key: address}, environ={"DAXA_STORE": "/", "DAXA_CACHE": "/"}, user_file=None)
        except ConfigError as error:
            yield Problem(path, "services", key, error.message, "give an address that begins with https://")


def settings_of(config: ArchiveConfig) -> Settings:
    """Settings of this machine, with the archive's own addresses."""
    return load_settings(config.services)


def load_parameters(layout: Layout, mission: str, steps: Sequence[str] = STEPS) -> dict[str, dict[str, Any]]:
    """Read ``params/<mission>.toml``: one table per step.

    The contents of the tables are checked by `daxa.archive.check`.

    Raises
    ------
    ConfigError
        It is absent, names unknown steps or malformed ObsIDs, or holds what DVC cannot follow (dates, nan).
    """
    tables, problems = validate_tables(layout, mission, steps)
    refuse(problems)
    return tables


def validate_tables(
    layout: Layout, mission: str, steps: Sequence[str] = STEPS, content: bytes | None = None
) -> tuple[dict[str, dict[str, Any]], list[Problem]]:
    """The tables of a mission's params file by step, and what is wrong with its structure.

    A table or an override that cannot be used is left out of the tables.  `content` is judged in place of
    that of the file, where it is given.
    """
    path = layout.params(mission)
    if content is None:
        content, problems = read_content(path)
    if content is None:
        return {}, problems
    tables, problems = read_tables(content, path)
    if tables is None:
        return {}, problems
    for name in [name for name in tables if name not in steps]:
        message = f"there is no step {name[:100]!r}{did_you_mean(name, steps)}"
        problems.append(Problem(path, "", name, message, f"use the tables {', '.join(steps)}", "unknown-step"))
    kept = {}
    for step in steps:
        if not isinstance(tables.get(step), dict):
            remedy = f"add a line [{step}], even if nothing follows"
            problems.append(Problem(path, "", step, f"there is no table [{step}]", remedy, "no-step"))
            continue
        overrides, wrong = _overrides(tables[step], step, path, mission)
        problems += wrong
        kept[step] = {key: value for key, value in tables[step].items() if key != "obs"}
        if overrides:
            kept[step]["obs"] = overrides
    return kept, problems


def effective_parameters(tables: Mapping[str, Mapping[str, Any]], step: str, obs_id: str) -> dict[str, Any]:
    """Parameters of a step for one observation: the step's table, then its override, normalised.

    Examples
    --------
    >>> tables = {"clean": {"flare_sigma": 3, "obs": {"0404910601": {"flare_sigma": 2.5}}}}
    >>> effective_parameters(tables, "clean", "0404910601"), effective_parameters(tables, "clean", "0201901401")
    ({'flare_sigma': 2.5}, {'flare_sigma': 3.0})
    >>> tables = {"clean": {"sas": {"espfilt": {"smooth": 51}}, "obs": {"01": {"sas": {"espfilt": {"ratio": 1.5}}}}}}
    >>> effective_parameters(tables, "clean", "01")
    {'sas': {'espfilt': {'smooth': 51.0, 'ratio': 1.5}}}
    """
    table = dict(tables[step])
    override = table.pop("obs", {}).get(obs_id, {})
    return {key: normalise(value) for key, value in sorted(_overlaid(table, override).items())}


def _overlaid(table: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """A table with what an override sets; in tables of it, key by key."""
    nested = {
        key: _overlaid(table[key], value)
        for key, value in override.items()
        if isinstance(value, dict) and isinstance(table.get(key), dict)
    }
    return {**table, **override, **nested}


def _overrides(
    table: Mapping[str, Any], step: str, path: Path, mission: str
) -> tuple[dict[str, dict[str, Any]], list[Problem]]:
    """The overrides of a step by ObsID, and what is wrong with them."""
    overrides, problems = table.get("obs", {}), []
    if not isinstance(overrides, dict):
        return {}, [_no_override(path, step, "obs")]
    kept, spec = {}, find_mission(mission)
    for obs_id, values in overrides.items():
        if not isinstance(values, dict):
            problems.append(_no_override(path, f"{step}.obs", obs_id))
            continue
        try:
            kept[spec.check_obs_id(obs_id)] = values
        except CriteriaError as error:
            where = table_name(step, "obs", obs_id)
            problems.append(Problem(path, where, "", error.message, f"{error.remedy}, in quotation marks", "obs-id"))
    return kept, problems


def _no_override(path: Path, table: str, key: str) -> Problem:
    return Problem(path, table, key, "an override is not a table", 'write it as [clean.obs."0404910601"]', "override")


def _read(path: Path) -> dict[str, Any]:
    return sound(read_tables(sound(read_content(path)), path))
