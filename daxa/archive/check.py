"""Check everything that the owner of an archive wrote, before anything runs."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from daxa.archive.config import (
    FETCH_SOFTWARE,
    ArchiveConfig,
    LockedSoftware,
    effective_parameters,
    steps_of,
    validate_config,
    validate_tables,
)
from daxa.archive.layout import Layout
from daxa.archive.problems import Problem, refuse, sound, table_name
from daxa.archive.software import validate_software
from daxa.archive.template import reads_fetched
from daxa.archive.toml_files import read_content
from daxa.backends import find_backend
from daxa.backends.parameter_schema import ParameterProblem
from daxa.backends.protocol import check_tables
from daxa.backends.registry import backend_of_step
from daxa.backends.shared_parameters import BACKEND, FETCH, FETCH_BACKEND
from daxa.errors import ConfigError, CriteriaError, DataError
from daxa.missions import MissionSpec, find_mission
from daxa.naming import did_you_mean, nearest
from daxa.run.steps import OWN_STEPS, Step
from daxa.selection.selection_file import read_columns

__all__ = [
    "check_parameters",
    "check_params_text",
    "check_versions",
    "checked_files",
    "find_problems",
    "provided_software",
]

_MOST_COMPARED = 20

Tables = dict[str, dict[str, Any]]


def check_parameters(layout: Layout, config: ArchiveConfig) -> None:
    """Refuse params files, and a ``software.toml``, that cannot be used as they are written.

    It takes milliseconds, however many observations there are, so that every stage begins with it.

    Raises
    ------
    ConfigError
        An unknown table or key, a value that cannot be used, an override for an observation that is not
        selected, a missing file, or one for a mission that the archive does not hold.  The message names file,
        table and key of the first few.
    """
    refuse([*_params_problems(layout, config), *_judged_software(layout, config)[1]])


def check_params_text(layout: Layout, config: ArchiveConfig, mission: str, text: str) -> None:
    """Refuse a text that is to become the params file of a mission, as `check_parameters` would then refuse the file.

    Raises
    ------
    ConfigError
        It cannot be used as it is written.
    """
    problems = [*_mission_problems(layout, mission, steps_of(config), text.encode())]
    try:
        refuse(problems)
    except ConfigError as error:
        # The file itself may be right: nothing has been written into it yet.
        raise ConfigError(error.name, error.message, remedy=f"{problems[0].remedy}; nothing was written") from None


def check_versions(layout: Layout, config: ArchiveConfig, missions: Sequence[str] = ()) -> None:
    """Refuse to run steps of these missions, or of all, that are locked to software other than the installed one.

    Raises
    ------
    ConfigError
        ``software.toml`` names a backend or a version that this daxa does not have.
    """
    locked, problems = _judged_software(layout, config)
    refuse(problems or [*_version_problems(layout, config, locked, missions)])


def provided_software(mission: str, tables: Tables, step: Step, steps: Sequence[Step]) -> LockedSoftware:
    """The backend that would do a step; its version is '' if nothing that is installed can do it.

    Examples
    --------
    >>> provided_software("xmm", {}, OWN_STEPS[0], OWN_STEPS)
    LockedSoftware(backend='daxa', version='1', calibration='')
    """
    if step.fetches:
        return FETCH_SOFTWARE
    name = backend_of_step(tables, step, steps)
    try:
        return LockedSoftware(name, find_backend(name).version(mission, step.name))
    except ConfigError:
        return LockedSoftware(name, "")


def find_problems(layout: Layout) -> list[Problem]:
    """Everything wrong with ``daxa.toml``, ``params/*.toml`` and ``software.toml``, in the order of the files.

    Raises
    ------
    ConfigError
        ``daxa.toml`` cannot be read.
    """
    config, problems = validate_config(sound(read_content(layout.config)), layout.config)
    if config is None:
        # Which missions there should be is not known; the files that are there can be judged all the same.
        known = [name for name in _params_files(layout) if _is_mission(name)]
        return problems + [problem for name in known for problem in _mission_problems(layout, name, OWN_STEPS)]
    problems += _criteria_problems(layout, config)
    locked, unusable = _judged_software(layout, config)
    versions = _version_problems(layout, config, locked)
    return [*problems, *_params_problems(layout, config), *unusable, *versions]


def checked_files(layout: Layout) -> list[Path]:
    """The files that `find_problems` looks at, with their whole paths."""
    return [layout.config, *_params_files(layout).values(), layout.software]


def _params_files(layout: Layout) -> dict[str, Path]:
    """Mission to its params file, where the file exists."""
    there = sorted(layout.params("x").parent.glob("*.toml"))
    # Editors keep locks and copies beside a file, whose names begin with a point.
    return {path.stem: path for path in there if not path.name.startswith(".")}


def _is_mission(name: str) -> bool:
    try:
        return find_mission(name).name == name
    except CriteriaError:
        return False


def _params_problems(layout: Layout, config: ArchiveConfig) -> Iterator[Problem]:
    for name, path in _params_files(layout).items():
        if name not in config.missions:
            message = f"the archive has no mission called {name[:100]!r}{did_you_mean(name, config.missions)}"
            remedy = f"rename or remove {path.name}; daxa.toml has the missions {', '.join(config.missions)}"
            yield Problem(path, "", "", message, remedy, "mission")
    for mission in config.missions:
        yield from _mission_problems(layout, mission, steps_of(config))


def _mission_problems(
    layout: Layout, mission: str, steps: Sequence[Step], content: bytes | None = None
) -> Iterator[Problem]:
    tables, problems = validate_tables(layout, mission, [step.name for step in steps], content)
    reported = {(problem.table, problem.key) for problem in problems}
    yield from problems
    for problem in _content_problems(layout, mission, tables, steps):
        # A date or nan is one problem, although no parameter may be one either.
        if (problem.table, problem.key) not in reported:
            yield problem


def _content_problems(layout: Layout, mission: str, tables: Tables, steps: Sequence[Step]) -> Iterator[Problem]:
    if not tables:
        return
    path = layout.params(mission)
    yield from _misplaced(tables, path, steps)
    backends = yield from _backends(mission, tables, path, steps)
    overridden = {obs_id for table in tables.values() for obs_id in table.get("obs", {})}
    chosen = _LazySelection(layout, mission)
    of_all = _faults(mission, tables, "", chosen.instruments(overridden), backends)
    yield from (_problem(path, fault, table_name(fault.step)) for fault in of_all)
    seen = {(fault.step, fault.key, fault.message) for fault in of_all}
    for obs_id in sorted(overridden):
        for fault in _faults(mission, tables, obs_id, chosen.instruments_of(obs_id), backends):
            own = fault.key in tables.get(fault.step, {}).get("obs", {}).get(obs_id, {})
            if own or (fault.step, fault.key, fault.message) not in seen:
                place = table_name(fault.step, "obs", obs_id) if own else table_name(fault.step)
                yield _problem(path, fault, place, "" if own else f" ({obs_id})")
        if not chosen.holds(obs_id):
            for step in (step.name for step in steps if obs_id in tables.get(step.name, {}).get("obs", {})):
                yield _not_selected(path, step, obs_id, chosen.nearest(obs_id))


def _misplaced(tables: Tables, path: Path, steps: Sequence[Step]) -> Iterator[Problem]:
    """A backend is chosen for all observations; what reads fetched files must name it, since DVC follows that line."""
    for step in (step for step in steps if step.name in tables and not step.fetches):
        table = tables[step.name]
        if reads_fetched(step, steps) and BACKEND not in table:
            remedy = f'write {BACKEND} = "{backend_of_step({}, step, steps)}"'
            yield Problem(path, step.name, BACKEND, "it is missing", remedy, "bad-parameter")
        for obs_id in (obs_id for obs_id, values in table.get("obs", {}).items() if BACKEND in values):
            where = table_name(step.name, "obs", obs_id)
            message = "a backend cannot be set for a single observation"
            yield Problem(path, where, BACKEND, message, f"remove it: [{step.name}] sets it for all", "bad-parameter")


def _backends(
    mission: str, tables: Tables, path: Path, steps: Sequence[Step]
) -> Generator[Problem, None, dict[str, list[str]]]:
    """Available backends, to the steps that they do; the others are reported."""
    found: dict[str, list[str]] = {}
    for step in (step for step in steps if step.name in tables):
        name = backend_of_step(tables, step, steps)
        if step.fetches:
            found.setdefault(name, []).append(step.name)
            continue
        own = name == tables[step.name].get(BACKEND)
        try:
            doing = find_backend(name).version(mission, step.name)
        except ConfigError as error:
            if own or step.backend:
                yield Problem(path, step.name, BACKEND, error.message, error.remedy, error.name)
            continue
        if doing:
            found.setdefault(name, []).append(step.name)
        else:
            message = f"{name} does not do this step for {mission}"
            lock = f"[{mission}.{step.name}] of software.toml"
            remedy = f'name another one here, such as {BACKEND} = "native", and in {lock}'
            yield Problem(path, step.name, BACKEND, message, remedy, "backend-step")
    return found


def _faults(
    mission: str, tables: Tables, obs_id: str, instruments: list[str], backends: Mapping[str, Sequence[str]]
) -> list[ParameterProblem]:
    faults: list[ParameterProblem] = []
    for name, steps in backends.items():
        parameters = {step: effective_parameters(tables, step, obs_id) for step in steps}
        if name == FETCH_BACKEND:
            faults += check_tables(dict.fromkeys(steps, FETCH), parameters)
            continue
        parameters = {
            step: {key: value for key, value in table.items() if key != BACKEND} for step, table in parameters.items()
        }
        faults += find_backend(name).check(mission, parameters, instruments)
    return faults


def _problem(path: Path, fault: ParameterProblem, table: str, of: str = "") -> Problem:
    return Problem(path, table, fault.key, f"{fault.message}{of}", fault.remedy, fault.name)


def _not_selected(path: Path, step: str, obs_id: str, near: str) -> Problem:
    message = f"{obs_id} is not selected{f'; did you mean {near}?' if near else ''}"
    remedy = f"correct the ObsID, remove the table, or select the observation: `daxa select --also --obs {obs_id}`"
    return Problem(path, table_name(step, "obs", obs_id), "", message, remedy, "not-selected")


class _LazySelection:
    """The selection of a mission, read when it is first needed."""

    def __init__(self, layout: Layout, mission: str) -> None:
        self._path, self._compared = layout.selection(mission), 0
        self._rows: dict[str, str] | None = None

    def _read(self) -> Mapping[str, str]:
        if self._rows is None:
            try:
                self._rows = dict(zip(*read_columns(self._path, "obs_id", "instruments"), strict=True))
            except DataError as error:
                if error.name != "selection-absent":
                    raise
                self._rows = {}
        return self._rows

    def holds(self, obs_id: str) -> bool:
        return obs_id in self._read()

    def instruments(self, without: set[str]) -> list[str]:
        """Instruments of all observations but some."""
        texts = {text for one, text in self._read().items() if one not in without}
        return sorted({name for text in texts for name in text.split(",")})

    def instruments_of(self, obs_id: str) -> list[str]:
        return self._read().get(obs_id, "").split(",")

    def nearest(self, obs_id: str) -> str:
        """The selected ObsID with the fewest other characters; '' where nothing is selected, or after many answers."""
        self._compared += 1
        if self._compared > _MOST_COMPARED:
            return ""
        return nearest(obs_id, self._read())


def _judged_software(
    layout: Layout, config: ArchiveConfig
) -> tuple[dict[tuple[str, str], LockedSoftware], list[Problem]]:
    return validate_software(layout, config.missions, config.steps)


def _version_problems(
    layout: Layout,
    config: ArchiveConfig,
    locked: Mapping[tuple[str, str], LockedSoftware],
    missions: Sequence[str] = (),
) -> Iterator[Problem]:
    steps = steps_of(config)
    for mission in missions or config.missions:
        tables, _ = validate_tables(layout, mission, config.steps)
        for step in steps:
            here = provided_software(mission, tables, step, steps)
            recorded = locked.get((mission, step.name), here)
            if recorded != here:
                yield Problem(
                    layout.software,
                    table_name(mission, step.name),
                    "backend" if recorded.backend != here.backend else "version",
                    f"it is locked to {recorded.backend} {recorded.version}, and {_summary(here)} would run",
                    f"{_way_back(recorded, here)}, or `daxa upgrade --software` to reprocess with this one",
                    "software",
                )


def _way_back(recorded: LockedSoftware, here: LockedSoftware) -> str:
    if recorded.backend == here.backend:
        return "install the daxa that made the archive"
    return f'choose backend = "{recorded.backend}" for this step again'


def _summary(software: LockedSoftware) -> str:
    return (
        f"{software.backend} {software.version}" if software.version else f"{software.backend}, which is not installed,"
    )


def _criteria_problems(layout: Layout, config: ArchiveConfig) -> Iterator[Problem]:
    from daxa.query import read_criteria

    for mission, plain in config.missions.items():
        spec = find_mission(mission)
        try:
            read_criteria(spec, plain)
        except CriteriaError as error:
            # The message names the value; which key holds it is found by trying each alone.
            key = next((one for one in plain if _alone_fails(spec, {one: plain[one]}, error)), "")
            yield Problem(layout.config, table_name("missions", mission), key, error.message, error.remedy, error.name)


def _alone_fails(spec: MissionSpec, plain: dict[str, Any], error: CriteriaError) -> bool:
    from daxa.query import read_criteria

    try:
        read_criteria(spec, plain)
    except CriteriaError as other:
        return other.message == error.message
    return False
