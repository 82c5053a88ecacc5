"""What differs between two versions of an archive: which observations, why, and with what effect.

Selections, ledgers, parameters and software are sufficient; the data need not be on this machine.  What Git
keeps under the same digest in both versions is not read at all; of ledgers that differ, only rows that differ
become objects.  How the content of files differs is found out if both contents are on this machine
(`daxa.publish.comparing.contents_here`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Literal

from daxa.archive.config import FORMAT, ArchiveConfig, load_config, load_parameters
from daxa.archive.layout import Layout
from daxa.archive.software import RandomKinds, load_software, random_kinds
from daxa.errors import ConfigError
from daxa.publish.comparing.causes import Cause, Side, find_causes
from daxa.publish.comparing.contents_here import ContentFinder, FileChange, changed_files
from daxa.publish.comparing.revisions import NOTHING, Revision, read_revision, records_of
from daxa.publish.measures import UNMEASURED, Measured, total
from daxa.publish.state import ArchiveState, MissionState, ObservationState
from daxa.run.ledger_changes import changed_rows
from daxa.run.task import LedgerRow
from daxa.selection.selection_file import read_chosen

__all__ = ["CHANGES", "MOST_FILES", "ArchiveDiff", "Change", "ObservationDiff", "compare_revisions", "diff_archive"]

Change = Literal["added", "removed", "reprocessed"]

CHANGES: tuple[Change, ...] = ("added", "removed", "reprocessed")

MOST_FILES = 200
"""Most files whose content is compared by default: minutes if they are large."""


@dataclass(frozen=True)
class ObservationDiff:
    """One observation that differs.

    Parameters
    ----------
    mission, obs_id
        The observation.
    change
        ``added``, ``removed`` or ``reprocessed`` (its rows in the ledgers differ).
    causes
        Why.
    before, now
        Its measurements, of the steps whose ledgers differ.
    files
        The products and fetched files that differ; empty for observations that were added or removed.
    """

    mission: str
    obs_id: str
    change: Change
    causes: tuple[Cause, ...] = ()
    before: Measured = UNMEASURED
    now: Measured = UNMEASURED
    files: tuple[FileChange, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The record as plain values, ready for JSON."""
        return {
            "mission": self.mission,
            "obs_id": self.obs_id,
            "change": self.change,
            "causes": [cause.as_dict() for cause in self.causes],
            "before": self.before.as_dict(),
            "now": self.now.as_dict(),
            "files": [file.as_dict() for file in self.files],
        }


@dataclass(frozen=True)
class ArchiveDiff:
    """What differs between two versions.

    Parameters
    ----------
    before, now
        Their names: tags, commits, or ``the working tree``.
    observations
        Those that differ, by mission and ObsID.
    compared, not_compared
        How many differing files were compared by content, and how many were not, since they are not
        on this machine, or there are too many.
    """

    before: str
    now: str
    observations: tuple[ObservationDiff, ...] = ()
    compared: int = 0
    not_compared: int = 0

    def __bool__(self) -> bool:
        return bool(self.observations)

    @property
    def counts(self) -> dict[str, Counter[str]]:
        """Mission to the numbers of observations added, removed and reprocessed."""
        found: dict[str, Counter[str]] = {}
        for one in self.observations:
            found.setdefault(one.mission, Counter())[one.change] += 1
        return found


def diff_archive(layout: Layout, before: str, now: str = "", *, files: int = MOST_FILES) -> ArchiveDiff:
    """Compare two versions of an archive.

    Parameters
    ----------
    layout
        The archive.
    before
        A tag or commit.
    now
        Another one; the working tree by default.
    files
        Most differing files whose contents are compared, if they are on this machine;
        0 to use only the ledgers.

    Raises
    ------
    ArchiveError
        There is no such revision, or it does not contain an archive.
    ConfigError, DataError
        A file of one of them cannot be read.
    """
    return compare_revisions(layout, read_revision(layout, before), read_revision(layout, now), files=files)


def compare_revisions(
    layout: Layout,
    before: Revision,
    now: Revision,
    *,
    obs_ids: Collection[str] | None = None,
    files: int = 0,
) -> ArchiveDiff:
    """The same for versions that were read already, or for some observations; one may be `.revisions.NOTHING`."""
    if before.blobs == now.blobs:
        return ArchiveDiff(before.name, now.name)
    same = {path for path, digest in before.blobs.items() if now.blobs.get(path) == digest}
    ledgers = {path for path in same if path.startswith("ledger/")}
    nothing = nullcontext(None) if before is NOTHING else records_of(layout, before, ledgers)
    with nothing as old, records_of(layout, now, ledgers) as new:
        sides = _sides(old, new, same, obs_ids)
    at_random: Sequence[RandomKinds] = ()
    with suppress(ConfigError):  # Steps of a plugin that is not installed here.
        at_random = [random_kinds(side.state.config, side.software) for side in sides]
    finder = ContentFinder(layout, (before.commit, now.commit), most=files, at_random=at_random)
    found = tuple(_observations(*sides, finder))
    return ArchiveDiff(before.name, now.name, found, finder.compared, finder.not_compared)


def _sides(
    old: Layout | None, new: Layout, same: Collection[str], obs_ids: Collection[str] | None
) -> tuple[Side, Side]:
    """Both versions, reduced to the observations that differ and to their rows that do."""
    configs = load_config(old) if old else None, load_config(new)
    missions: tuple[dict[str, MissionState], dict[str, MissionState]] = ({}, {})
    instruments: tuple[dict[str, Mapping[str, Sequence[str]]], ...] = ({}, {})
    for mission in dict.fromkeys([*configs[1].missions, *(configs[0].missions if configs[0] else ())]):
        both = [
            _MissionVersion(one, mission, config.steps if config and one and mission in config.missions else None)
            for one, config in zip((old, new), configs, strict=True)
        ]
        rows = _changed_ledgers(both[0], both[1], same, obs_ids)
        differing = {obs_id for side in rows for ledger in side.values() for obs_id in ledger}
        chosen = (
            _chosen(both[0], both[1], same) if differing or not both[0].is_equally_chosen(both[1], same) else ({}, {})
        )
        wanted = differing | (chosen[0].keys() ^ chosen[1].keys())
        wanted = wanted if obs_ids is None else wanted.intersection(obs_ids)
        for at, one in enumerate(both):
            if one.steps is not None:
                kept = {obs_id: chosen[at][obs_id] for obs_id in sorted(wanted & chosen[at].keys())}
                states = {obs_id: ObservationState(obs_id, nan, nan) for obs_id in kept}
                missions[at][mission] = MissionState(states, {step: rows[at].get(step, {}) for step in one.steps})
                instruments[at][mission] = kept
    sides = [
        _side(one, config, missions[at], instruments[at])
        for at, (one, config) in enumerate(zip((old, new), configs, strict=True))
    ]
    return sides[0], sides[1]


@dataclass(frozen=True)
class _MissionVersion:
    """One version of a mission: the records, and its steps; None if that version does not have it."""

    layout: Layout | None
    mission: str
    steps: Sequence[str] | None

    def is_equally_chosen(self, other: _MissionVersion, same: Collection[str]) -> bool:
        there = self.steps is not None and other.steps is not None
        return there and f"selection/{self.mission}.parquet" in same

    def ledger(self, step: str) -> Path:
        if self.layout is None or self.steps is None or step not in self.steps:
            return Path(os.devnull, "no-ledger")
        return self.layout.ledger(self.mission, step)

    def chosen(self) -> dict[str, tuple[str, ...]]:
        if self.layout is None or self.steps is None:
            return {}
        return read_chosen(self.layout.selection(self.mission))


def _changed_ledgers(
    old: _MissionVersion, new: _MissionVersion, same: Collection[str], obs_ids: Collection[str] | None
) -> tuple[dict[str, dict[str, LedgerRow]], dict[str, dict[str, LedgerRow]]]:
    """Step to the rows that differ, on each side."""
    found: tuple[dict[str, dict[str, LedgerRow]], dict[str, dict[str, LedgerRow]]] = ({}, {})
    for step in dict.fromkeys([*(new.steps or ()), *(old.steps or ())]):
        both = old.steps is not None and new.steps is not None and step in old.steps and step in new.steps
        if not (both and f"ledger/{new.mission}-{step}.parquet" in same):
            found[0][step], found[1][step] = changed_rows(old.ledger(step), new.ledger(step), obs_ids)
    return found


def _chosen(
    old: _MissionVersion, new: _MissionVersion, same: Collection[str]
) -> tuple[Mapping[str, Sequence[str]], Mapping[str, Sequence[str]]]:
    now = new.chosen()
    return (now, now) if old.is_equally_chosen(new, same) else (old.chosen(), now)


def _side(
    layout: Layout | None,
    config: ArchiveConfig | None,
    missions: Mapping[str, MissionState],
    instruments: Mapping[str, Mapping[str, Sequence[str]]],
) -> Side:
    if layout is None or config is None:
        return Side(ArchiveState(ArchiveConfig(format=FORMAT, name="nothing", missions={}), {}), {}, {}, {})
    parameters = {mission: load_parameters(layout, mission, config.steps) for mission in missions}
    return Side(ArchiveState(config, missions), parameters, load_software(layout), instruments)


def _observations(before: Side, now: Side, finder: ContentFinder) -> Iterator[ObservationDiff]:
    causes: dict[tuple[str, str], list[Cause]] = {}
    for cause in find_causes(before, now):
        causes.setdefault((cause.mission, cause.obs_id), []).append(cause)
    for mission in dict.fromkeys([*now.state.missions, *before.state.missions]):
        old, new = (side.state.missions.get(mission) or MissionState({}, {}) for side in (before, now))
        for obs_id in sorted({*old.observations, *new.observations}):
            rows = _rows(old, obs_id), _rows(new, obs_id)
            known = obs_id in old.observations, obs_id in new.observations
            change: Change = "reprocessed" if all(known) else "added" if known[1] else "removed"
            yield ObservationDiff(
                mission,
                obs_id,
                change,
                tuple(causes.get((mission, obs_id), ())),
                total(rows[0]),
                total(rows[1]),
                tuple(changed_files(mission, obs_id, *rows, finder)) if all(known) else (),
            )


def _rows(mission: MissionState, obs_id: str) -> dict[str, LedgerRow]:
    return {step: rows[obs_id] for step, rows in mission.ledgers.items() if obs_id in rows}
