"""What flares leave in each band: the rate of the time that is kept, beside the quiescent one of the same band.

A light curve of the highest energies shows flares best, but softer flares exist that it
does not show; an image is clean in the bands in which that was looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daxa.xray.cleaning.cut import Cut
from daxa.xray.cleaning.lightcurve import light_curve
from daxa.xray.cleaning.quiescent import find_quiescent
from daxa.xray.cleaning.sourcemask import SourceMask, place_events
from daxa.xray.lists.events import EventList

__all__ = ["MOST_LEFT", "Residual", "find_residuals", "worst_status"]

MOST_LEFT = 0.05
"""Share of the quiescent rate that flares may leave in any band of a good exposure."""


@dataclass(frozen=True)
class Residual:
    """What is left of flares in a band.

    Parameters
    ----------
    band
        Energies, keV.
    excess
        Mean rate of the time that is kept over the quiescent rate, less 1; NaN where there are too few counts to judge.
    error
        Its standard error, from the counts and from the quiescent rate.
    """

    band: tuple[float, float]
    excess: float
    error: float

    @property
    def is_low(self) -> bool:
        """Whether no more is left than a good exposure may have; where nothing tells, nothing is held against it."""
        return not self.excess > MOST_LEFT


def find_residuals(
    events: EventList,
    cut: Cut,
    kept: Mapping[int, np.ndarray],
    bands: Sequence[tuple[tuple[float, float], tuple[int, int]]],
    *,
    mask: SourceMask | None,
    width: float,
) -> tuple[Residual, ...]:
    """Measure what flares leave in each band, sources apart.

    Parameters
    ----------
    events
        The event list.
    cut
        Screening, and the archive's good times, in which the quiescent rate is found.
    kept
        Good times after flares were cut: chip to intervals, s.
    bands
        Energies (keV) and first and last channel of each.
    mask
        Where the sources are; None for the whole field.
    width
        Bin of the light curves, s.
    """
    found = []
    for band, channels in bands:
        before, after = (_curve(events, Cut(cut.rules, gtis, channels), mask, width) for gtis in (cut.gtis, kept))
        quiescent = find_quiescent(*before, width)
        counts, seconds = (float(one.sum()) for one in after)
        if quiescent is None or counts <= 0 or seconds <= 0:
            found.append(Residual(band, math.nan, math.nan))
            continue
        ratio = counts / seconds / quiescent.rate
        found.append(Residual(band, ratio - 1, ratio * math.hypot(1 / math.sqrt(counts), quiescent.error)))
    return tuple(found)


def _curve(events: EventList, cut: Cut, mask: SourceMask | None, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Counts, without those of sources, and seconds of the bins of a light curve."""
    curve = light_curve(events, cut, width)
    counts = np.asarray(curve.counts, float)
    if mask is not None and mask.hidden.any():
        placed = place_events(events, cut, mask.grid)
        bins = np.clip(np.searchsorted(curve.edges, placed.times, side="right") - 1, 0, len(counts) - 1)
        counts = counts - np.bincount(bins[placed.inside(mask.hidden)], minlength=len(counts))
    return counts, np.asarray(curve.exposure, float)


def worst_status(status: str, second: str, residuals: Sequence[Residual]) -> str:
    """The status of an exposure of all passes and bands: Good only where all are.

    Examples
    --------
    >>> worst_status("Good", "Good", [Residual((2.0, 10.0), 0.15, 0.01)])
    'Intermediate'
    >>> worst_status("Good", "Sparse", [])
    'Good'
    """
    if status != "Good":
        return status
    if second in {"Intermediate", "Bad"}:
        return second
    return "Good" if all(one.is_low for one in residuals) else "Intermediate"
