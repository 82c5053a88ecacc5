"""Why observations differ between two states of an archive: as data, from ledgers and parameters only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from daxa.archive.config import LockedSoftware, effective_parameters, load_parameters
from daxa.archive.layout import Layout
from daxa.archive.software import load_software
from daxa.naming import some
from daxa.publish.state import ArchiveState, read_state
from daxa.run.hashes import MANIFEST
from daxa.run.rows import PARTS
from daxa.run.steps import find_step
from daxa.run.task import LedgerRow
from daxa.selection.selection_file import read_chosen

__all__ = ["Cause", "Kind", "Side", "cause_lines", "cause_words", "find_causes", "read_side"]

Kind = Literal[
    "new", "removed", "redelivered", "parameters", "input", "software", "calibration", "selection", "outcome", "remade"
]

_NAMED = 5
_LONGEST = 60
_WORDS = {
    "new": "new",
    "removed": "removed",
    "redelivered": "replaced in the mission's archive",
    "input": "with other inputs",
    "software": "processed with other software",
    "calibration": "processed with other calibration",
    "selection": "selected with other instruments",
    "outcome": "with another outcome",
    "remade": "made again, with a different result",
}


@dataclass(frozen=True)
class Cause:
    """One reason why an observation differs.

    Parameters
    ----------
    mission, obs_id
        The observation.
    kind
        ``new`` and ``removed``: it is in only one state (with a `step`: the step was not done before).
        ``redelivered``: the mission's archive has replaced files.  ``parameters``, ``software``,
        ``calibration``, ``selection``, ``input``: what has changed in the fingerprint of `step`, the last one
        only if no earlier step explains it.  ``outcome``: it failed in one of the states.
        ``remade``: the products differ, but nothing that they depend on does.
    step
        The first step concerned; '' for the observation as a whole.
    changes
        What has changed, by name, with the old and the new value: parameters, paths with their SHA-256, the software,
        instruments, outcomes.  None and '' mean absent.
    """

    mission: str
    obs_id: str
    kind: Kind
    step: str = ""
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """The record as plain values, ready for JSON."""
        changes = {name: list(pair) for name, pair in self.changes.items()}
        return {
            "mission": self.mission,
            "obs_id": self.obs_id,
            "kind": self.kind,
            "step": self.step,
            "changes": changes,
        }


@dataclass(frozen=True)
class Side:
    """One of the two states, with what explains it.

    Parameters
    ----------
    state
        Configuration, selections and ledgers.
    parameters
        Mission to its tables of parameters.
    software
        Mission and step to the software that they were locked to.
    instruments
        Mission to ObsID to the chosen instruments.
    """

    state: ArchiveState
    parameters: Mapping[str, Mapping[str, Mapping[str, Any]]]
    software: Mapping[tuple[str, str], LockedSoftware]
    instruments: Mapping[str, Mapping[str, Sequence[str]]]


def read_side(layout: Layout) -> Side:
    """Read an archive on disk, or the records of a commit (`daxa.publish.state.records_at`).

    Raises
    ------
    ArchiveError, ConfigError, DataError
        A file is absent or damaged.
    """
    state = read_state(layout)
    missions, steps = state.config.missions, state.config.steps
    return Side(
        state,
        {mission: load_parameters(layout, mission, steps) for mission in missions},
        load_software(layout),
        {mission: read_chosen(layout.selection(mission)) for mission in missions},
    )


def find_causes(before: Side, now: Side) -> tuple[Cause, ...]:
    """Why observations differ; those that are the same have no cause.

    Parameters
    ----------
    before, now
        The two states.

    Returns
    -------
    tuple of Cause
        By mission and ObsID, then in the order of the steps.
    """
    return tuple(_find(before, now))


def _find(before: Side, now: Side) -> Iterator[Cause]:
    missions = dict.fromkeys([*now.state.missions, *before.state.missions])
    for mission in missions:
        old, new = (
            side.state.missions[mission].observations.keys() if mission in side.state.missions else set()
            for side in (before, now)
        )
        for obs_id in sorted({*old, *new}):
            if obs_id not in old:
                yield Cause(mission, obs_id, "new")
            elif obs_id not in new:
                yield Cause(mission, obs_id, "removed")
            else:
                yield from _of_observation(before, now, mission, obs_id)


def _of_observation(before: Side, now: Side, mission: str, obs_id: str) -> Iterator[Cause]:
    explained = False
    for step, rows in now.state.missions[mission].ledgers.items():
        former = before.state.missions[mission].ledgers.get(step, {}).get(obs_id)
        row = rows.get(obs_id)
        if row is None or row == former:
            continue
        for kind, changes in _of_step(before, now, (mission, step), former, row):
            # Other inputs follow from a cause at an earlier step, as does what was skipped.
            if kind != "input" or not explained:
                explained = True
                yield Cause(mission, obs_id, kind, step, changes)


def _of_step(
    before: Side, now: Side, stage: tuple[str, str], former: LedgerRow | None, row: LedgerRow
) -> Iterator[tuple[Kind, Mapping[str, tuple[Any, Any]]]]:
    mission, step = stage
    if former is None:
        yield "new", {}
        return
    if "skipped" in (former.outcome, row.outcome):
        return
    if former.outcome != row.outcome:
        yield "outcome", {"outcome": (_summary(former), _summary(row))}
    old, new = json.loads(former.parts), json.loads(row.parts)
    changed = [part for part in PARTS if old.get(part) != new.get(part)]
    fetches = find_step(step).fetches
    for part in changed:
        if part != "input" or not fetches:
            yield part, _details(before, now, (mission, step, row.obs_id), part)
    files = _files(former, row)
    if fetches and changed:
        # Other parameters or instruments bring and take files; those that stay may be replaced as well.
        files = {path: pair for path, pair in files.items() if all(pair)}
    if former.outcome == row.outcome == "done" and files and (fetches or not changed):
        if fetches:
            yield "redelivered", files
        else:
            yield ("remade", files) if former.fingerprint == row.fingerprint else ("software", {})


def _summary(row: LedgerRow) -> str:
    return f"{row.outcome} {row.reason}".strip()


def _details(before: Side, now: Side, task: tuple[str, str, str], part: str) -> Mapping[str, tuple[Any, Any]]:
    """The old and new values of a part of the fingerprint, as far as they are recorded."""
    mission, step, obs_id = task
    if part == "parameters":
        old, new = (effective_parameters(side.parameters[mission], step, obs_id) for side in (before, now))
        return {name: (old.get(name), new.get(name)) for name in sorted({*old, *new}) if old.get(name) != new.get(name)}
    if part == "software":
        was, is_now = (side.software.get((mission, step)) for side in (before, now))
        return {"software": (_software(was), _software(is_now))}
    if part == "selection":
        had, has = (list(side.instruments[mission].get(obs_id, ())) for side in (before, now))
        return {"instruments": (had, has)}
    return {}


def _software(locked: LockedSoftware | None) -> str:
    return f"{locked.backend} {locked.version}" if locked else ""


def _files(former: LedgerRow, row: LedgerRow) -> dict[str, tuple[str, str]]:
    """Paths of files whose content differs, with their SHA-256."""
    old, new = ({file.path: file for file in one.files if file.path != MANIFEST} for one in (former, row))
    return {
        path: tuple(side[path].sha256 if path in side else "" for side in (old, new))  # type: ignore[misc]
        for path in sorted({*old, *new})
        if path not in old or path not in new or old[path].science != new[path].science
    }


def cause_lines(causes: Sequence[Cause]) -> list[str]:
    """What happened, in a few lines, for the messages of releases.

    Examples
    --------
    >>> cause_lines([Cause("xmm", "0404910601", "parameters", "clean", {"flare_sigma": (3.0, 2.5)})])
    ['xmm: 1 with other parameters, clean.flare_sigma 3.0 -> 2.5: 0404910601']
    >>> cause_lines([Cause("xmm", "0404910601", "new"), Cause("xmm", "0201901401", "new")])
    ['xmm: 2 new: 0404910601, 0201901401']
    """
    groups: dict[tuple[str, str], dict[str, None]] = {}
    for cause in causes:
        groups.setdefault((cause.mission, cause_words(cause)), {})[cause.obs_id] = None
    return [f"{mission}: {len(ids)} {words}: {some(list(ids), _NAMED)}" for (mission, words), ids in groups.items()]


def cause_words(cause: Cause) -> str:
    """A cause in a few words, which follow the name of the observation.

    Examples
    --------
    >>> cause_words(Cause("xmm", "0404910601", "parameters", "clean", {"flare_sigma": (3.0, 2.5)}))
    'with other parameters, clean.flare_sigma 3.0 -> 2.5'
    """
    if cause.kind == "parameters":
        pairs = (f"{cause.step}.{name} {_short(old)} -> {_short(new)}" for name, (old, new) in cause.changes.items())
        return ", ".join(["with other parameters", *pairs])
    words = _WORDS[cause.kind]
    if cause.kind == "new" and cause.step:
        return f"with the step {cause.step} for the first time"
    if cause.kind in ("software", "outcome"):
        return " ".join([words, *(f"({cause.step}: {old} -> {new})" for old, new in cause.changes.values())])
    return words


def _short(value: object) -> str:
    if value is None:
        return "default"
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
