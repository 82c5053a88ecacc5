"""What a many-observation operation answers: one record per observation.

Tables, JSON and exit codes are renderings of these records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Observe", "Outcome", "Status"]

Status = Literal["done", "kept", "outdated", "failed", "skipped", "altered", "absent", "removed", "todo"]


@dataclass(frozen=True)
class Outcome:
    """What became of one step of one observation.

    Parameters
    ----------
    mission, step, obs_id
        Which task.
    status
        What a run did: ``done`` now, ``kept`` from before, ``failed``, ``skipped`` because an
        earlier step failed, or ``removed`` from the archive.  What is there, without a run:
        ``done``, ``failed``, ``skipped``; ``outdated``: what is requested has changed since;
        ``altered``: a file is not what the ledger says; ``absent``: its files are not here;
        ``todo``.
    reason
        Why: the code of an error, or the reason of the plan.
    seconds
        How long it took; 0 where nothing ran.
    why
        More of the reason, for people: which parameter, which step before; may be empty.

    Examples
    --------
    >>> Outcome("xmm", "clean", "0404910601", "done", "new observation", 1.5).as_dict()["status"]
    'done'
    """

    mission: str
    step: str
    obs_id: str
    status: Status
    reason: str = ""
    seconds: float = 0.0
    why: str = ""

    def as_dict(self) -> dict[str, str | float]:
        """The record as plain values, ready for JSON."""
        return dict(vars(self))


Observe = Callable[[Outcome, int, int], None]
"""Told of every task that has ended: its outcome, how many have ended, and of how many."""
