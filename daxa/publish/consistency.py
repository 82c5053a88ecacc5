"""Whether the small files of a version agree with each other, or were changed after the run that made them.

``dvc.lock`` names what every stage was run with: the digests of the selection and the ledgers, and the values of
parameters and locked software.  The rows of the ledgers hold digests of what each task was done with.  A
file that was edited without running the pipeline contradicts both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from hashlib import md5
from pathlib import Path
from typing import Any

from daxa.archive.config import (
    ArchiveConfig,
    LockedSoftware,
    load_parameters,
    steps_of,
)
from daxa.archive.layout import Layout
from daxa.archive.problems import sound
from daxa.archive.software import load_software
from daxa.archive.task_parts import facts_of, inputs_parameter, parameters_of, software_text
from daxa.archive.toml_files import read_content, read_tables
from daxa.errors import ArchiveError, ConfigError, DataError
from daxa.files import read_plain
from daxa.publish.dvc_outputs import LockedStage, lock_digests, locked_stages, needs_of_stages
from daxa.publish.file_check import FileProblem
from daxa.run.ledger import read_columns
from daxa.run.rows import shorten
from daxa.run.steps import Step
from daxa.selection.selection_file import read_chosen

__all__ = ["contradiction_lines", "find_contradictions", "refuse_contradictions"]

_MOST_BYTES = 1 << 30
_LONGEST = 60
_NAMED = 5
_ABSENT = object()
_WORDS = {
    "parameters": "other parameters",
    "selection": "other instruments",
    "software": "other software",
}


def find_contradictions(records: Layout, config: ArchiveConfig) -> list[FileProblem]:
    """Where files of a version differ from those with which its pipeline was run.

    Parameters
    ----------
    records, config
        An archive on disk, or the small files of a commit (`daxa.publish.state.records_at`).

    Returns
    -------
    list of FileProblem
        ``not-locked``: ``dvc.lock`` speaks of another file, or of other values than the file holds, each of which
        is named; ``contradicts``: rows of a ledger speak of others; ``unreadable``.
    """
    try:
        lock = records.lock.read_bytes() if records.lock.is_file() else b""
        outs, stages = lock_digests(lock), locked_stages(lock)
    except DataError:
        return [FileProblem("", "", "", records.lock.name, "unreadable")]
    try:
        needs = needs_of_stages(records.pipeline.read_bytes()) if records.pipeline.is_file() else {}
    except DataError:
        return [FileProblem("", "", "", records.pipeline.name, "unreadable")]
    found = list(_unlocked_tables(records, config, outs, stages))
    places = {f"{step.name}-{mission}": (mission, step) for mission in config.missions for step in steps_of(config)}
    sound_ones: dict[str, list[Step]] = {}
    for name in needs if stages else ():
        mission, step = places.get(name, ("", None))
        wrong = list(_of_stage(records, name, (mission, step.name if step else ""), needs[name], stages))
        found += wrong
        if step and not wrong:
            sound_ones.setdefault(mission, []).append(step)
    for mission, steps in sound_ones.items():
        found += _contradicting_rows(records, mission, steps, config)
    return list(dict.fromkeys(found))


def contradiction_lines(records: Layout, config: ArchiveConfig) -> list[str]:
    """`find_contradictions` in words, for people."""
    return [_line(one) for one in find_contradictions(records, config)]


def _line(one: FileProblem) -> str:
    if one.what == "unreadable":
        return f"{one.path} cannot be read"
    return f"{one.path}: {one.detail}" if one.detail else f"{one.path} is not the file that dvc.lock names"


def refuse_contradictions(records: Layout, config: ArchiveConfig, name: str) -> None:
    """Refuse a release whose files were not made by one run.

    Raises
    ------
    ArchiveError
        Its files contradict each other.
    """
    if lines := contradiction_lines(records, config):
        more = f"; and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
        raise ArchiveError(
            "contradicts",
            f"the files of {name} contradict each other, so it is not what `daxa release` made: "
            f"{'; '.join(lines[:_NAMED])}{more}",
            remedy="do not use this version; ask its author for one that `daxa verify` accepts",
        )


def _unlocked_tables(
    records: Layout, config: ArchiveConfig, outs: Mapping[str, str], stages: Mapping[str, LockedStage]
) -> Iterator[FileProblem]:
    """Selections and ledgers that differ from those that a stage read or wrote."""
    for mission in config.missions:
        tables = [records.selection(mission), *(records.ledger(mission, step) for step in config.steps)]
        for table in tables:
            name = records.name_of(table)
            recorded = {stage.deps[name] for stage in stages.values() if name in stage.deps}
            if table != tables[0]:
                recorded.add(outs.get(name, ""))
            if table.is_file() and recorded != {_digest(table)}:
                yield FileProblem("", "", "", name, "not-locked")


def _of_stage(
    records: Layout,
    name: str,
    place: tuple[str, str],
    needs: tuple[list[str], dict[str, list[str]]],
    stages: Mapping[str, LockedStage],
) -> Iterator[FileProblem]:
    """Stages that were run with files or parameters other than the current ones, or not at all."""
    deps, params = needs
    if name not in stages:
        yield FileProblem(*place, "", records.lock.name, "not-locked", f"{_plain(name)} has not been run")
        return
    for path in sorted({*deps} ^ stages[name].deps.keys()):
        how = "without" if path in deps else "with"
        yield FileProblem(*place, "", records.lock.name, "not-locked", f"{name} was run {how} {_plain(path)}")
    yield from _unlocked_parameters(records, params, stages[name], place)


def _unlocked_parameters(
    records: Layout, params: Mapping[str, list[str]], stage: LockedStage, place: tuple[str, str]
) -> Iterator[FileProblem]:
    """Parameters whose values differ from those of the run, each by name."""
    for path in sorted({*params, *stage.params}):
        try:
            tables = _tables(records.root / path) if path in params else {}
        except (ConfigError, DataError, OSError):
            yield FileProblem(*place, "", path, "unreadable")
            continue
        recorded = stage.params.get(path, {})
        for key in sorted({*params.get(path, ()), *map(str, recorded)}):
            for name, was, now in _differences(recorded.get(key, _ABSENT), _value_at(tables, key), key):
                detail = f"{_plain(name)} is {_shown(now)}, and was {_shown(was)} in the run that dvc.lock records"
                yield FileProblem(*place, "", path, "not-locked", detail)


@lru_cache(maxsize=16)
def _parsed(content: bytes, path: Path) -> dict[str, Any]:
    return sound(read_tables(content, path))


def _tables(path: Path) -> dict[str, Any]:
    return _parsed(sound(read_content(path)), path)


def _value_at(tables: Mapping[str, Any], key: str) -> object:
    """The value that DVC finds under a key."""
    found: object = tables
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            return _ABSENT
        found = found[part]
    return found


def _differences(was: object, now: object, name: str) -> Iterator[tuple[str, object, object]]:
    """Name and both values of each difference, descending only where both sides are tables."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted({*map(str, was), *now}):
            yield from _differences(was.get(key, _ABSENT), now.get(key, _ABSENT), f"{name}.{key}")
    elif was != now:
        yield name, was, now


def _plain(name: str) -> str:
    """A possibly hostile name, made safe to show."""
    return json.dumps(name[:_LONGEST])[1:-1] if len(name) > _LONGEST or not name.isprintable() else name


def _shown(value: object) -> str:
    if value is _ABSENT:
        return "absent"
    if isinstance(value, dict):
        return "a table"
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, dict | list) for item in items):
        return "a list of tables or lists"
    text = json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _contradicting_rows(
    records: Layout, mission: str, of: Sequence[Step], config: ArchiveConfig
) -> Iterator[FileProblem]:
    """Rows made with parameters, instruments or software other than the files have: one problem for each kind."""
    steps = steps_of(config)
    try:
        tables = load_parameters(records, mission, config.steps)
        software, chosen = load_software(records), read_chosen(records.selection(mission))
        ledgers = {step: read_columns(records.ledger(mission, step.name), {"parts"}) for step in of}
    except (ConfigError, DataError):
        return  # The comparison of the files themselves reports which.
    for step, columns in ledgers.items():
        locked = software.get((mission, step.name))
        expected = _expected_parts(mission, step, steps, tables, locked)
        overrides = tables[step.name].get("obs", {})
        wrong: dict[str, list[str]] = {}
        for obs_id, text in zip(columns.obs_id, columns.parts, strict=True):
            if obs_id in chosen and (recorded := _recorded_parts(text)):
                for part, digest in expected(chosen[obs_id], obs_id if obs_id in overrides else "").items():
                    if recorded.get(part, digest) != digest:
                        wrong.setdefault(part, []).append(obs_id)
        for part, obs_ids in sorted(wrong.items()):
            source = {"parameters": f"params/{mission}.toml", "software": "software.toml"}.get(part, "the selection")
            more = f" and {len(obs_ids) - 1} more" if len(obs_ids) > 1 else ""
            detail = f"made with {_WORDS[part]} than {source} says: {obs_ids[0]}{more}"
            name = records.name_of(records.ledger(mission, step.name))
            yield FileProblem(mission, step.name, "", name, "contradicts", detail)


def _expected_parts(
    mission: str, step: Step, steps: Sequence[Step], tables: Mapping[str, Any], locked: LockedSoftware | None
) -> Callable[[tuple[str, ...], str], Mapping[str, str]]:
    """The parts that new rows would record, by their instruments and the observation whose override they have."""
    try:
        # For mission software, it is what the daxa of that time has declared.
        is_known = not inputs_parameter(mission, tables, step, steps)
    except ConfigError:
        is_known = False  # What is fetched for a backend that is not here is unknown.

    @cache
    def expected(instruments: tuple[str, ...], override: str) -> Mapping[str, str]:
        parts = {"selection": facts_of(instruments)}
        if is_known:
            parts["parameters"] = parameters_of(tables, step.name, override)
        if locked:
            parts["software"] = software_text(locked)
        short: dict[str, str] = json.loads(shorten(parts))
        return short

    return expected


def _recorded_parts(text: str) -> Mapping[str, object]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(path: Path) -> str:
    return md5(read_plain(path, limit=_MOST_BYTES), usedforsecurity=False).hexdigest()
