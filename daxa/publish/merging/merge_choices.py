"""Which of two versions of an observation a merge takes: an observation is taken as a whole from one side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from daxa.archive.layout import Layout
from daxa.publish.comparing.causes import Side, read_side
from daxa.run.task import LedgerRow
from daxa.selection.selection_file import read_selection

__all__ = [
    "Choice",
    "Conflict",
    "MergeSide",
    "ObservationRecord",
    "Which",
    "choose_records",
    "describe",
    "read_merge_side",
]

Which = Literal["ours", "theirs"]


@dataclass(frozen=True)
class ObservationRecord:
    """Everything that one version of an archive has on an observation.

    Parameters
    ----------
    selected
        Its row of the selection; None where it is not selected.
    overrides
        Step to parameters of this observation alone.
    rows
        Step to its row of the ledger.
    """

    selected: Mapping[str, Any] | None
    overrides: Mapping[str, Mapping[str, Any]]
    rows: Mapping[str, LedgerRow]


@dataclass(frozen=True)
class MergeSide:
    """One version of an archive.

    Parameters
    ----------
    layout
        Its files.
    side
        Configuration, ledgers, parameters, software.
    records
        Mission to ObsID to its record.
    """

    layout: Layout
    side: Side
    records: Mapping[str, Mapping[str, ObservationRecord]]

    @property
    def missions(self) -> Mapping[str, Mapping[str, Any]]:
        """Mission to its criteria."""
        return self.side.state.config.missions

    @property
    def selects(self) -> bool:
        """Whether any observation is selected."""
        return any(one.selected is not None for records in self.records.values() for one in records.values())


@dataclass(frozen=True)
class Conflict:
    """What both sides changed, in different ways.

    Parameters
    ----------
    name
        What to give to ``--ours`` or ``--theirs``: an ObsID, or a file.
    place
        Mission of the observation, or the place in the file.
    ours, theirs
        What each side did, in words.
    """

    name: str
    place: str
    ours: str
    theirs: str

    @property
    def text(self) -> str:
        """One line."""
        return f"{self.place} {self.name}: ours {self.ours}; theirs {self.theirs}".strip()


@dataclass(frozen=True)
class Choice:
    """The side from which an observation is taken; `differs` if the sides are not equal, `what` theirs did."""

    mission: str
    obs_id: str
    side: Which
    differs: bool
    record: ObservationRecord | None
    what: str = ""


def read_merge_side(layout: Layout) -> MergeSide:
    """Read a version of an archive, which may be a stranger's: every table is validated.

    Raises
    ------
    ArchiveError, ConfigError, DataError
        A file is absent or damaged.
    """
    side = read_side(layout)
    return MergeSide(layout, side, {mission: _records(layout, side, mission) for mission in side.state.missions})


def _records(layout: Layout, side: Side, mission: str) -> dict[str, ObservationRecord]:
    rows = {str(row["obs_id"]): _plain(row) for row in read_selection(layout.selection(mission)).to_dict("records")}
    ledgers, tables = side.state.missions[mission].ledgers, side.parameters[mission]
    # Overrides may be written before an observation is selected, and stay when it is not selected any more.
    overridden = (obs_id for table in tables.values() for obs_id, own in table.get("obs", {}).items() if own)
    known = dict.fromkeys([*rows, *(obs_id for ledger in ledgers.values() for obs_id in ledger), *overridden])
    return {
        obs_id: ObservationRecord(
            rows.get(obs_id),
            {step: own for step, table in tables.items() if (own := table.get("obs", {}).get(obs_id))},
            {step: ledger[obs_id] for step, ledger in ledgers.items() if obs_id in ledger},
        )
        for obs_id in known
    }


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row with None for NaN, so that equal rows compare as equal."""
    return {str(key): None if value != value else value for key, value in row.items()}  # noqa: PLR0124


def choose_records(
    base: MergeSide | None, ours: MergeSide, theirs: MergeSide, resolved: Mapping[str, Which]
) -> tuple[list[Choice], list[Conflict]]:
    """The side from which each observation is taken, and the conflicts.

    Parameters
    ----------
    base
        The version from which both started.
    ours, theirs
        The two versions.
    resolved
        ObsID, or ``all``, to the side to take.
    """
    choices, conflicts = [], []
    for mission in dict.fromkeys([*ours.missions, *theirs.missions]):
        known = (side.records.get(mission, {}) if side else {} for side in (base, ours, theirs))
        before, mine, other = known
        for obs_id in dict.fromkeys([*mine, *other, *before]):
            was, one, two = (side.get(obs_id) for side in (before, mine, other))
            side: Which = "theirs" if one == was else "ours"
            if one != two and was not in (one, two):
                side = resolved.get(obs_id) or resolved.get("all") or "ours"
                if obs_id not in resolved and "all" not in resolved:
                    conflicts.append(Conflict(obs_id, mission, describe(one, was), _other(one, two, was)))
            taken = two if side == "theirs" else one
            what = describe(two, was) if side == "theirs" and one != two else ""
            choices.append(Choice(mission, obs_id, side, one != two, taken, what))
    return choices, conflicts


def _other(ours: ObservationRecord | None, theirs: ObservationRecord | None, before: ObservationRecord | None) -> str:
    """What theirs did; where both added an observation, how it differs from ours."""
    if before is None and ours and theirs:
        return f"added it, and in comparison {', '.join(_changes(theirs, ours))}"
    return describe(theirs, before)


def describe(record: ObservationRecord | None, before: ObservationRecord | None) -> str:
    """What a side did to an observation, in words.

    Examples
    --------
    >>> describe(None, ObservationRecord({}, {}, {})), describe(ObservationRecord({}, {}, {}), None)
    ('dropped it', 'added it')
    """
    if record is None:
        return "dropped it" if before else "does not have it"
    if before is None:
        if record.selected is not None or not record.overrides:
            return "added it"
        before = ObservationRecord(None, {}, {})
    return ", ".join(_changes(record, before)) or "left it as it was"


def _changes(record: ObservationRecord, before: ObservationRecord) -> Iterator[str]:
    if record.selected is None:
        if before.selected is not None:
            yield "deselected it"
    elif record.selected != before.selected:
        former = before.selected or {}
        names = [name for name, value in record.selected.items() if former.get(name) != value]
        yield f"selected it with another {', '.join(names[:3])}"
    for step in dict.fromkeys([*record.overrides, *before.overrides]):
        now, was = (side.overrides.get(step, {}) for side in (record, before))
        for key in dict.fromkeys([*now, *was]):
            if now.get(key) != was.get(key):
                yield f"set {step}.{key} = {now[key]!r}" if key in now else f"unset {step}.{key}"
    steps = [step for step, row in record.rows.items() if before.rows.get(step) != row]
    failed = [step for step in steps if record.rows[step].outcome == "failed"]
    if steps:
        yield f"processed {', '.join(steps)}" + (f" ({', '.join(failed)} failed)" if failed else "")
