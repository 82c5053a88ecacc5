"""Objects with their radii and time windows as columns, ready to be matched with observations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from daxa.query.criteria.sky_conditions import MatchKind

__all__ = ["Objects"]


@dataclass(frozen=True, eq=False)
class Objects:
    """Targets as columns, ready to be matched.

    Parameters
    ----------
    ra, dec
        (n,) degrees ICRS.
    radius
        (n,) arcminutes; 0 for a place without extent.
    start, end
        (n,) MJD UTC, infinite where open; None where no object has a window.
    match
        One of `daxa.query.criteria.sky_conditions.MATCHES`.
    margin
        Factor for the field of view.
    inside
        The observation lies entirely in the window.
    """

    ra: np.ndarray
    dec: np.ndarray
    radius: np.ndarray
    start: np.ndarray | None = None
    end: np.ndarray | None = None
    match: MatchKind = "covers"
    margin: float = 1.0
    inside: bool = False

    def in_time(self, index: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Whether observations (m,) from `start` to `end` meet the windows of the objects `index` (m,)."""
        if self.start is None or self.end is None:
            return np.ones(len(index), dtype=bool)
        first, last = self.start[index], self.end[index]
        free = np.isneginf(first) & np.isposinf(last)
        # Comparisons with unknown times (NaN) are False.
        met = (start >= first) & (end <= last) if self.inside else (start < last) & (end > first)
        return met | free
