"""What the steps of an archive are locked to: ``software.toml``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from daxa.archive.config import ArchiveConfig, LockedSoftware, steps_of
from daxa.archive.layout import STEPS, Layout
from daxa.archive.problems import Problem, refuse, table_name
from daxa.archive.toml_files import read_content, read_tables
from daxa.archive.toml_models import StrictTable, validate_table
from daxa.backends.randomised import randomised_here
from daxa.naming import did_you_mean

__all__ = ["RandomKinds", "load_software", "random_kinds", "validate_software"]

RandomKinds = Mapping[tuple[str, str], frozenset[str]]
"""Mission and step to the kinds of its products that are never the same twice."""


class _Lock(StrictTable):
    backend: str
    version: str
    calibration: str = ""


def load_software(layout: Layout) -> dict[tuple[str, str], LockedSoftware]:
    """Read ``software.toml``: (mission, step) to what it is locked to.

    Raises
    ------
    ConfigError
        It is absent, or cannot be used.
    """
    locked, problems = validate_software(layout)
    refuse(problems)
    return locked


def random_kinds(config: ArchiveConfig, locked: Mapping[tuple[str, str], LockedSoftware]) -> RandomKinds:
    """Kinds of products of each mission and step that are never the same twice.

    Raises
    ------
    ConfigError
        Nothing that is installed has one of the steps.
    """
    if not locked:
        return {}
    steps = steps_of(config)
    backends = {
        mission: {step: one.backend for (other, step), one in locked.items() if other == mission}
        for mission, _ in locked
    }
    return {(mission, step): randomised_here(backends[mission], step, steps) for mission, step in locked}


def validate_software(
    layout: Layout, missions: Collection[str] | None = None, steps: Sequence[str] = ()
) -> tuple[dict[tuple[str, str], LockedSoftware], list[Problem]]:
    """What every (mission, step) is locked to, as far as it can be used, and what is wrong with the file.

    Parameters
    ----------
    layout
        The archive.
    missions, steps
        Those that it holds: each mission must be there with each step, and no others.  Names are not judged
        without them.
    """
    path = layout.software
    content, problems = read_content(path)
    if content is None:
        return {}, problems
    tables, problems = read_tables(content, path)
    locked: dict[tuple[str, str], LockedSoftware] = {}
    for mission, entries in (tables or {}).items():
        if missions is not None and mission not in missions:
            message = f"the archive has no mission called {mission[:100]!r}{did_you_mean(mission, missions)}"
            remedy = f"correct or remove it; daxa.toml has the missions {', '.join(missions)}"
            problems.append(Problem(path, table_name(mission), "", message, remedy, "mission"))
        elif not isinstance(entries, dict):
            remedy = f"write it as [{mission}.{STEPS[0]}]"
            problems.append(Problem(path, "", mission, "it is not a table of steps", remedy, "invalid"))
        else:
            for step, entry in entries.items():
                found, wrong = _validate_lock(path, (mission, step), entry, steps)
                problems += wrong
                locked |= {(mission, step): found} if found else {}
    reported = {problem.table for problem in problems} | {table_name(*key) for key in locked}
    needed = [table_name(mission, step) for mission in missions or () for step in steps if tables is not None]
    remedy = "restore software.toml with `git checkout software.toml`"
    problems += [
        Problem(path, table, "", "the table is missing", remedy, "no-lock") for table in needed if table not in reported
    ]
    return locked, problems


def _validate_lock(
    path: Path, place: tuple[str, str], entry: object, steps: Sequence[str]
) -> tuple[LockedSoftware | None, list[Problem]]:
    step = place[1]
    if steps and step not in steps:
        message = f"there is no step {step[:100]!r}{did_you_mean(step, steps)}"
        return None, [Problem(path, table_name(*place), "", message, f"use {', '.join(steps)}", "unknown-step")]
    lock, problems = validate_table(_Lock, entry, path, place)
    return LockedSoftware(lock.backend, lock.version, lock.calibration) if lock else None, problems
