"""What a stage has to do, decided from values alone.

A task is kept when the ledger says that it was done with the same fingerprint and its
files are still what they were.  Whatever else runs, with the reason that a person
would give first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from daxa.run.hashes import State
from daxa.run.rows import PARTS, shorten
from daxa.run.task import ExposureRow, LedgerRow, Task

__all__ = [
    "AGAIN",
    "INTERRUPTED",
    "OTHER_CALIBRATION",
    "Action",
    "Decision",
    "TaskLike",
    "has_other_calibration",
    "plan",
    "reason_to_run",
    "what_changed",
]

AGAIN = "asked again"
"""Reason of a task that is done again though nothing has changed."""

INTERRUPTED = "interrupted"
"""The reason of an observation with exposures that are still to be done: it stands in journals only."""

OTHER_CALIBRATION = "calibration changed"
"""The reason of what was done with other calibration than there is now."""

Action = Literal["keep", "run", "skip", "remove"]


class TaskLike(Protocol):
    """What is asked for: a `daxa.run.task.Task`, or what stands for one where many are compared."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def parts(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Decision:
    """What to do about one observation.

    Parameters
    ----------
    obs_id
        The observation.
    action
        ``keep`` what is there, ``run`` the task, ``skip`` it because an earlier step
        failed, or ``remove`` what no task asks for any more.
    reason
        Why.
    """

    obs_id: str
    action: Action
    reason: str = ""


def plan(
    tasks: Iterable[Task],
    skipped: Mapping[str, str],
    recorded: Mapping[str, LedgerRow],
    present: Collection[str],
    inspect: Callable[[LedgerRow], State],
    *,
    keep_absent: bool = False,
    takes_calibration: bool = True,
    again: Collection[str] = (),
) -> list[Decision]:
    """Decide for every observation that is asked for, recorded or present.

    Parameters
    ----------
    tasks
        What is asked for.
    skipped
        ObsID to reason, where an earlier step failed.
    recorded
        Rows of the ledger.
    present
        Names in the products directory.
    inspect
        Tells the state of the files of a row; asked only where the answer matters.
    keep_absent
        True where products may be absent without being remade.
    takes_calibration
        False where an observation is kept of which nothing but the calibration has changed.
    again
        ObsIDs of which the task runs even if nothing has changed.

    Returns
    -------
    list of Decision
        In the order of ObsIDs.

    Examples
    --------
    >>> task = Task("xmm", "clean", "0404910601", "native", "1")
    >>> plan([task], {}, {}, ["0093640901"], lambda row: "intact")
    [Decision(obs_id='0093640901', action='remove', reason='not selected'), \
Decision(obs_id='0404910601', action='run', reason='new observation')]
    """
    decisions = {name: Decision(name, "remove", "not selected") for name in {*recorded, *present}}
    decisions |= {obs_id: Decision(obs_id, "skip", reason) for obs_id, reason in skipped.items()}
    for task in tasks:
        row = recorded.get(task.obs_id)
        old = not takes_calibration and has_other_calibration(task, row)
        reason = reason_to_run(task, row, inspect, keep_absent=keep_absent, ignores_calibration=old)
        reason = reason or (AGAIN if task.obs_id in again else "")
        kept = OTHER_CALIBRATION if old else ""
        decisions[task.obs_id] = Decision(task.obs_id, "run" if reason else "keep", reason or kept)
    return [decisions[obs_id] for obs_id in sorted(decisions)]


def reason_to_run(
    wanted: TaskLike,
    row: LedgerRow | None,
    inspect: Callable[[LedgerRow], State],
    *,
    keep_absent: bool = False,
    ignores_calibration: bool = False,
) -> str:
    """Why a task must run, '' when what is recorded is what is wanted.

    Parameters
    ----------
    wanted
        The task.
    row
        Its row in the ledger.
    inspect, keep_absent
        As for `plan`.
    ignores_calibration
        True where the fingerprints differ by the calibration alone, and that shall be no reason.

    Examples
    --------
    >>> task = Task("xmm", "clean", "0404910601", "native", "2")
    >>> former = Task("xmm", "clean", "0404910601", "native", "1")
    >>> row = LedgerRow("0404910601", "done", "", former.fingerprint, shorten(former.parts))
    >>> reason_to_run(task, row, lambda row: "intact")
    'software changed'
    """
    if row is None:
        return "new observation"
    if row.outcome == "skipped":
        return "input changed"
    if row.fingerprint != wanted.fingerprint and not ignores_calibration:
        return what_changed(wanted, row)
    if row.outcome == "failed":
        return INTERRUPTED if row.reason == INTERRUPTED else "failed before"
    state = inspect(row)
    if state == "absent" and keep_absent:
        return ""
    return {"intact": "", "damaged": "product damaged"}.get(state, "product missing")


def what_changed(wanted: TaskLike, row: LedgerRow | ExposureRow) -> str:
    """Why a task with another fingerprint than the recorded one must run: the part that a person would name first."""
    changed = _changed_parts(wanted, row)
    # Equal parts with another fingerprint: the way of taking fingerprints itself is of another version.
    return f"{changed[0] if changed else 'software'} changed"


def has_other_calibration(wanted: TaskLike, row: LedgerRow | None) -> bool:
    """Whether what is recorded differs from what is wanted by its calibration, and by nothing else.

    Examples
    --------
    >>> former, now = (Task("xmm", "clean", "0404910601", "sas", "1", calibration=one) for one in ("2025", "2026"))
    >>> has_other_calibration(now, LedgerRow("0404910601", "done", "", former.fingerprint, shorten(former.parts)))
    True
    """
    if row is None or row.outcome == "skipped" or row.fingerprint == wanted.fingerprint:
        return False
    return _changed_parts(wanted, row) == ["calibration"]


def _changed_parts(wanted: TaskLike, row: LedgerRow | ExposureRow) -> list[str]:
    now, before = json.loads(shorten(wanted.parts)), json.loads(row.parts)
    return [name for name in PARTS if now.get(name) != before.get(name)]
