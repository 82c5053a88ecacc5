"""How long tasks took on this machine, to estimate how long others will take.

Kept in the Git directory, and not part of any product or ledger: without it, only the estimate is lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from statistics import median

from daxa.archive.layout import Layout
from daxa.errors import DaxaError
from daxa.files import read_note, replace_file
from daxa.records import Observe, Outcome
from daxa.run.task import canonical

__all__ = ["costs_noted", "estimate", "read_costs"]


@contextmanager
def costs_noted(layout: Layout, mission: str, step: str, observe: Observe | None) -> Iterator[Observe]:
    """An observer of a stage that records what its tasks cost, however the stage ends."""
    spent: dict[str, float] = {}

    def watch(outcome: Outcome, ended: int, total: int) -> None:
        if outcome.status == "done":
            spent[outcome.obs_id] = round(outcome.seconds, 3)
        if observe:
            observe(outcome, ended, total)

    try:
        yield watch
    finally:
        if spent:
            with suppress(OSError, DaxaError):
                known = {**read_costs(layout, mission, step), **spent}
                replace_file(layout.costs(mission, step), canonical(known).encode())


def read_costs(layout: Layout, mission: str, step: str) -> dict[str, float]:
    """ObsID to the seconds that its last task took; empty if no task has ended on this machine."""
    if not layout.is_repository:
        return {}
    known = read_note(layout.costs(mission, step))
    return {
        obs_id: float(seconds)
        for obs_id, seconds in known.items()
        if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < math.inf
    }


def estimate(known: Mapping[str, float], obs_id: str) -> float:
    """The known cost of the observation, else the median of the others; nan if there are none.

    Examples
    --------
    >>> estimate({"0404910601": 4.0}, "0404910601"), estimate({"a": 1.0, "b": 2.0, "c": 9.0}, "0201901401")
    (4.0, 2.0)
    >>> estimate({}, "0404910601")
    nan
    """
    if obs_id in known:
        return known[obs_id]
    return median(known.values()) if known else math.nan
