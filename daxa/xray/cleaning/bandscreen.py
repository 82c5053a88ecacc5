"""Good time for the bands of images: times above quiescence in any of them are cut, too.

The highest energies show flares of energetic particles best, and miss those of soft protons.
After a screen there, a second one looks at softer energies, as SAS's espfilt does (2.5-8.5 keV),
and then at every band in which more than `MOST_LEFT` is left (or, where flares were cut, more than
is aimed at), with narrower limits each time, until all are clean or a fifth of the time would not be left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daxa.xray.cleaning.cut import Cut
from daxa.xray.cleaning.flare_filter import FlareStatus
from daxa.xray.cleaning.flarescreen import FlareScreen, screen_flares
from daxa.xray.cleaning.quiescent import QuiescentRate
from daxa.xray.cleaning.residual import Band, FlareResidual, find_level, find_residual
from daxa.xray.cleaning.sourcemask import SourceMask
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.gti import total

__all__ = ["LEAST_KEPT", "BandPass", "BandScreen", "final_status", "screen_bands"]

LEAST_KEPT = 0.2
"""Share of the archive's good time that must be left: with less, quiescence cannot be defined."""

_AIM, _BY_CHANCE = 0.03, 2.0
"""Excess down to which a band with flares is screened, where it exceeds so many standard errors.

It is less than what a good exposure may have, since the quiescent rate that is found lies above the true
one by up to 3 % where flares are many."""

_STEADY = 0.9
"""Share of the good time that is left where there are no flares to speak of."""

_TOGETHER = 16
_NARROWER = (1.0, 2 / 3, 1 / 2)
"""Half widths of the cut of the first, second and third screen of a band, as fractions of the requested one."""


@dataclass(frozen=True, eq=False)
class BandPass:
    """A screen in one band: its energies (keV), half width in standard deviations, and what it found."""

    band: tuple[float, float]
    sigma: float
    screen: FlareScreen
    applied: bool


@dataclass(frozen=True, eq=False)
class BandScreen:
    """Good times that serve all bands.

    Parameters
    ----------
    gtis
        Chip to good time intervals, s.
    passes
        The screens in their order.  One that is not applied would have left next to nothing.
    residuals
        What is left in each band, in the order of the bands.
    """

    gtis: dict[int, np.ndarray]
    passes: tuple[BandPass, ...]
    residuals: tuple[FlareResidual, ...]


def screen_bands(
    events: EventList,
    cut: Cut,
    gtis: Mapping[int, np.ndarray],
    bands: Sequence[Band],
    *,
    soft: Band | None,
    width: float,
    sigma: float = 3.0,
    mask: SourceMask | None = None,
) -> BandScreen:
    """Cut what a first screen left above quiescence.

    Parameters
    ----------
    events
        The event list.
    cut
        Screening, and the archive's good times.
    gtis
        Good times after the first screen.
    bands
        Energies (keV) and channels of the bands that must be clean.
    soft
        The band of the second screen, None for none: then nothing more is cut, only measured.
    width, sigma
        Bin of the light curves, s, and half width of the first cut in a band.
    mask
        Where the first screen saw sources.
    """
    good, passes, tried = dict(gtis), [], dict[tuple[float, float], int]()
    masks: dict[tuple[float, float], SourceMask | None] = {}

    def look(band: Band) -> FlareScreen:
        nonlocal good
        energies, channels = band
        half = sigma * _NARROWER[tried.get(energies, 0)]
        tried[energies] = tried.get(energies, 0) + 1
        one = screen_flares(
            events, Cut(cut.rules, good, channels), width, sigma=half, together=_TOGETHER, sustained=True
        )
        left = one.good_times(good)
        applied = _longest(left) >= LEAST_KEPT * _longest(cut.gtis) and _longest(left) > 0
        passes.append(BandPass(energies, half, one, applied))
        good = left if applied else good
        if one.result.status == "source-variability":
            # What a source does in this band is looked at without the source.
            masks[energies] = one.mask
        return one

    if soft is not None and _longest(good) > 0:
        mask = look(soft).mask or mask
    levels: dict[tuple[tuple[float, float], bool], QuiescentRate | None] = {}
    while True:
        if not _longest(good):
            return BandScreen(good, tuple(passes), ())
        found = []
        for band in bands:
            own = masks.get(band[0], mask)
            key = (band[0], band[0] in masks)
            if key not in levels:
                levels[key] = find_level(events, cut, band, mask=own, width=width, long=band[0] not in masks)
            found.append(find_residual(events, cut, good, band, levels[key], mask=own))
        flaring = _longest(good) < _STEADY * _longest(cut.gtis)
        open_bands = [
            (one.excess, band)
            for one, band in zip(found, bands, strict=True)
            if soft is not None
            and (not one.is_low or (flaring and _exceeds_aim(one) and band[0] not in masks))
            and tried.get(band[0], 0) < len(_NARROWER)
        ]
        if not open_bands:
            return BandScreen(good, tuple(passes), tuple(found))
        look(max(open_bands)[1])


def _exceeds_aim(one: FlareResidual) -> bool:
    return one.excess > _AIM and one.excess > _BY_CHANCE * one.error


def final_status(first: FlareStatus, screen: BandScreen, kept: float) -> FlareStatus:
    """The status of an exposure after all screens.

    Parameters
    ----------
    first
        Of the first screen.
    screen
        What came after it.
    kept
        Share of the archive's good time that is left.

    Returns
    -------
    FlareStatus
        ``Good`` only where every band was measured, none is more than `MOST_LEFT` above quiescence and a
        fifth of the time is left; ``Sparse`` where the counts of a band are too few to measure it; ``Bad``
        where less time is left or the first screen found no quiescence; of too few counts and variable
        sources the first screen's status holds.
    """
    if first in {"Sparse", "source-variability"}:
        return first
    if first == "Bad" or kept < LEAST_KEPT:
        return "Bad"
    if not all(one.is_low for one in screen.residuals):
        return "Intermediate"
    # A screen of softer light than particles': what it kept for a source's sake is not a measure of flares.
    if any(one.screen.result.status == "source-variability" for one in screen.passes):
        return "source-variability"
    status: FlareStatus = "Good" if screen.passes else first
    if status == "Good" and not all(one.is_measured for one in screen.residuals):
        return "Sparse"
    return status


def _longest(gtis: Mapping[int, np.ndarray]) -> float:
    return max(map(total, gtis.values()), default=0.0)
