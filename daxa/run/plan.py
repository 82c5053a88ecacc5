"""What a stage has to do, decided from values only.

A task is kept if the ledger says that it was done with the same fingerprint and its
files are unchanged.  Every other task runs, with the reason that a person
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

AGAIN = "requested again"
"""Reason of a task that is repeated although nothing has changed."""

INTERRUPTED = "interrupted"
"""The reason of an observation with exposures that are still to do: it occurs only in journals."""

OTHER_CALIBRATION = "calibration changed"
"""The reason of products that were made with calibration other than the current one."""

Action = Literal["keep", "run", "skip", "remove"]


class TaskLike(Protocol):
    """A requested task: a `daxa.run.task.Task`, or a stand-in for one where many are compared."""

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
        failed, or ``remove`` what no task needs any more.
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
    """Decide for every observation that is requested, recorded or present.

    Parameters
    ----------
    tasks
        The requested tasks.
    skipped
        ObsID to reason, where an earlier step failed.
    recorded
        Rows of the ledger.
    present
        Names in the products directory.
    inspect
        Gives the state of the files of a row; called only if the answer matters.
    keep_absent
        Whether products may be absent without being made again.
    takes_calibration
        Whether an observation runs again if only its calibration has changed.
    again
        ObsIDs whose task runs even if nothing has changed.

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
    """Why a task must run; '' if what is recorded is up to date.

    Parameters
    ----------
    wanted
        The task.
    row
        Its row in the ledger.
    inspect, keep_absent
        As for `plan`.
    ignores_calibration
        Whether to keep a task whose fingerprint differs only by its calibration.

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
    """Why a task must run whose fingerprint is not the recorded one: the part that a person would name first."""
    changed = _changed_parts(wanted, row)
    # Equal parts with another fingerprint: fingerprints themselves are computed in another way.
    return f"{changed[0] if changed else 'software'} changed"


def has_other_calibration(wanted: TaskLike, row: LedgerRow | None) -> bool:
    """Whether what is recorded differs from the requested task only by its calibration.

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
