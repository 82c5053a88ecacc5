"""What flares leave in each band: the rate of the time that is kept, beside the quiescent one of the same band.

A light curve of the highest energies shows flares best, but softer flares exist that it
does not show; an image is clean in the bands in which that was looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from daxa.xray.cleaning.cut import Cut
from daxa.xray.cleaning.lightcurve import light_curve
from daxa.xray.cleaning.quiescent import QuiescentRate, excess_over, find_sustained
from daxa.xray.cleaning.sourcemask import SourceMask, cell_grid, find_mask, place_events
from daxa.xray.eventlists.event_list import EventList

__all__ = ["MOST_LEFT", "Band", "FlareResidual", "find_level", "find_residual", "residual_in"]

MOST_LEFT = 0.05
"""Share of the quiescent rate that flares may leave in any band of a good exposure."""

_COARSE = 1000.0
"""Bins of a curve of which only the sum matters, s."""


@dataclass(frozen=True)
class FlareResidual:
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
    def is_measured(self) -> bool:
        """Whether there were counts enough to judge."""
        return math.isfinite(self.excess)

    @property
    def is_low(self) -> bool:
        """Whether no more is left than a good exposure may have; True where it is not known."""
        return not self.excess > MOST_LEFT


Band = tuple[tuple[float, float], tuple[int, int]]
"""Energies (keV), and first and last channel."""


def find_level(
    events: EventList, cut: Cut, band: Band, *, mask: SourceMask | None, width: float, long: bool = True
) -> QuiescentRate | None:
    """The quiescent rate of a band, sources apart; None where there are too few counts.

    Parameters
    ----------
    events
        The event list.
    cut
        Screening, and the good times in which quiescence is looked for: those of the archive.
    band
        Energies and channels.
    mask
        Where the sources are; None for the whole field.
    width
        Bin of the light curve, s.
    long
        Whether weak flares that last count (`find_sustained`); so do the wings of a source that varies slowly.
    """
    return find_sustained(*_curve(events, Cut(cut.rules, cut.gtis, band[1]), mask, width), width, long=long)


def find_residual(
    events: EventList,
    cut: Cut,
    kept: Mapping[int, np.ndarray],
    band: Band,
    level: QuiescentRate | None,
    *,
    mask: SourceMask | None,
) -> FlareResidual:
    """Measure what flares leave in a band, sources apart.

    Parameters
    ----------
    events, cut, band, mask
        As for `find_level`.
    kept
        Good times after flares were cut: chip to intervals, s.
    level
        Of `find_level`.
    """
    counts, seconds = _curve(events, Cut(cut.rules, kept, band[1]), mask, _COARSE)
    return _residual(band[0], float(counts.sum()), float(seconds.sum()), level)


def residual_in(events: EventList, cut: Cut, band: tuple[float, float], width: float) -> FlareResidual:
    """What is left in a band of a list that was cleaned already, beside the quiescent rate of the list itself.

    Parameters
    ----------
    events, cut
        The list, its screening and good times, and the channels of the band.
    band
        Energies, keV.
    width
        Bin of the light curve, s.
    """
    grid = cell_grid(events, cut)
    mask = None
    if grid is not None:
        placed = place_events(events, cut, grid)
        mask = SourceMask(grid, find_mask(placed.image(), placed.field), placed.field)
    curve = _curve(events, cut, mask, width)
    quiescent = find_sustained(*curve, width, long=True)
    counts, seconds = (float(one.sum()) for one in curve)
    return _residual(band, counts, seconds, quiescent)


def _residual(
    band: tuple[float, float], counts: float, seconds: float, quiescent: QuiescentRate | None
) -> FlareResidual:
    if quiescent is None or counts <= 0 or seconds <= 0:
        return FlareResidual(band, math.nan, math.nan)
    return FlareResidual(band, *excess_over(counts, seconds, quiescent))


def _curve(events: EventList, cut: Cut, mask: SourceMask | None, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Counts, without those of sources, and seconds of the bins of a light curve."""
    curve = light_curve(events, cut, width)
    counts = np.asarray(curve.counts, float)
    if mask is not None and mask.hidden.any():
        placed = place_events(events, cut, mask.grid)
        bins = np.clip(np.searchsorted(curve.edges, placed.times, side="right") - 1, 0, len(counts) - 1)
        counts = counts - np.bincount(bins[placed.inside(mask.hidden)], minlength=len(counts))
    return counts, np.asarray(curve.exposure, float)
