"""Flare screening of an event list: sources masked first, and what a source does is not called a flare.

Two passes: sources are masked in the image of all the time, flares found in the rest of
the field, then sources masked again in the image of the good time, where fainter ones
show.  At last a guard looks at the image of what would be cut less that of what would be
kept.  A flare of the background fills the field there; a burst is one bright point.  The
counts of such points, and a share of them for the wings of the telescope's image and the
readout, are then no reason to cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np
from scipy.ndimage import label
from scipy.special import gammainc

from daxa.xray.cleaning.cut import Cut
from daxa.xray.cleaning.flare_filter import FlareOptions, FlareResult, flare_gti
from daxa.xray.cleaning.lightcurve import LightCurve, light_curve
from daxa.xray.cleaning.quiescent import deviations, find_sustained
from daxa.xray.cleaning.sourcemask import PlacedEvents, SourceMask, box_sum, cell_grid, find_mask, place_events
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.gti import intersect

__all__ = ["FlareScreen", "screen_flares"]

_WINGS = 0.2
"""Counts of a source outside its disc, as a share of those inside: wings of the image and readout streak."""

_RADIUS = 4.0
"""Cells: radius of the disc about a variable source."""

_LEAST_EXCESS = 5.0
"""Counts of a source in a bin for which it may be called variable there."""

_CHANCE = 1e-6
_UNEVEN = 2.0
"""How much brighter than its mean over the field a flare may be anywhere in it."""

_BESIDE, _SIDE, _SCATTER = 6, 5, 1.5
"""Cells: how far from a point its surroundings are looked at, in squares of this side; standard errors taken off."""

_LARGE, _HIGH = 150, 5.0
"""Cells of a part of a mask that no point needs, and standard deviations above its lowest rate at which it flares."""

_MOST_STRETCHES = 50
_MOST_SOURCES = 20


@dataclass(frozen=True, eq=False)
class FlareScreen:
    """What flare screening found.

    Parameters
    ----------
    curve
        Light curve of the field without sources, on which flares were looked for.
    result
        The good time and why.
    mask
        Where the sources are; None for lists without sky coordinates.
    sources
        Sky pixels (x, y) of the variable sources that would have passed for flares.
    """

    curve: LightCurve
    result: FlareResult
    mask: SourceMask | None
    sources: tuple[tuple[float, float], ...]

    def good_times(self, gtis: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
        """What is left of good times: chip to intervals, shape (n, 2), s; all of them when the curve was too sparse."""
        if self.result.status == "Sparse":
            return dict(gtis)
        return {chip: intersect(own, self.result.gti) for chip, own in gtis.items()}


@dataclass(frozen=True, eq=False)
class _BinnedEvents:
    """Events of the band with the bins and cells that they fell into."""

    curve: LightCurve
    placed: PlacedEvents
    bins: np.ndarray

    @classmethod
    def of(cls, curve: LightCurve, placed: PlacedEvents) -> _BinnedEvents:
        bins = np.searchsorted(curve.edges, placed.times, side="right") - 1
        return cls(curve, placed, np.clip(bins, 0, len(curve.counts) - 1))

    def counts(self, cells: np.ndarray) -> np.ndarray:
        """Counts per bin in the cells that are True."""
        return np.bincount(self.bins[self.placed.inside(cells)], minlength=len(self.curve.counts))

    def image(self, bins: np.ndarray) -> np.ndarray:
        """Counts per cell in the bins that are True."""
        return self.placed.image(bins[self.bins])


def screen_flares(
    events: EventList,
    cut: Cut,
    width: float,
    *,
    mask_sources: bool = True,
    threshold: float | None = None,
    **options: Unpack[FlareOptions],
) -> FlareScreen:
    """Find the good time of an event list without flares of its background.

    Parameters
    ----------
    events
        The event list.
    cut
        Screening, the archive's good times, and the channels that show the particle
        background.
    width
        Length of a bin of the light curve, s.
    mask_sources
        False takes the light curve of the whole field; the guard still looks.
    threshold
        For the method ``threshold``: count/s of the whole field; what the mask hides is
        allowed for by its area.
    **options
        Those of `flare_gti`: method, sigma, scale, together, sustained.

    Returns
    -------
    FlareScreen
        The result's status is ``source-variability`` where the guard kept time.

    Raises
    ------
    DataError
        There is no good time.
    ConfigError
        The method is unknown, or lacks its number.
    """
    curve = light_curve(events, cut, width)
    grid = cell_grid(events, cut) if events.sky_grid is not None else None
    if grid is None:
        return FlareScreen(curve, flare_gti(curve, threshold=threshold, **options), None, ())
    seen = _BinnedEvents.of(curve, place_events(events, cut, grid))
    placed = seen.placed
    hidden = np.zeros(placed.field.shape, dtype=bool)
    if mask_sources:
        hidden = _without_flares(seen, find_mask(placed.image(), placed.field))

    def judge(hidden: np.ndarray, source: np.ndarray | None = None) -> tuple[LightCurve, FlareResult]:
        own = replace(curve, counts=curve.counts - seen.counts(hidden))
        limit = threshold and threshold * (1 - SourceMask(grid, hidden, placed.field).share)
        return own, flare_gti(own, threshold=limit, source=source, **options)

    own, result = judge(hidden)
    if result.status == "Sparse":
        return FlareScreen(own, result, SourceMask(grid, hidden, placed.field), ())
    if mask_sources and not result.kept.all():
        again = find_mask(seen.image(result.kept), placed.field, hidden)
        if (again != hidden).any():
            hidden = again
            own, result = judge(hidden)
    points = _variable_points(seen, result)
    if points:
        discs = _discs(placed, points)
        hidden = hidden | discs
        before, excess = result, _excess(seen, _touching(hidden, discs), result)
        own, result = judge(hidden, _WINGS * excess)
        variable = result.kept & ~before.kept & (excess >= _LEAST_EXCESS)
        if variable.any():
            result = replace(result, status="source-variability", variable=variable)
    sources = _strongest(placed, points) if result.status == "source-variability" else ()
    return FlareScreen(own, result, SourceMask(grid, hidden, placed.field), sources)


def _variable_points(seen: _BinnedEvents, result: FlareResult) -> list[int]:
    """Cells at which what would be cut shows a point that what would be kept does not."""
    curve, placed = seen.curve, seen.placed
    cut = (curve.exposure > 0) & ~result.kept
    if not (cut.any() and result.kept.any()):
        # Where nothing is kept, nothing shows a source that varies from one that does not.
        return []
    good = seen.image(result.kept)
    kept_seconds = float(curve.exposure[result.kept].sum())
    found: list[int] = []
    for bins in (cut, *_stretches(curve, cut)):
        ratio = float(curve.exposure[bins].sum()) / kept_seconds
        found += _points(seen.image(bins), good, placed.field, ratio)
    return _apart(found, placed.grid.nx)


def _stretches(curve: LightCurve, cut: np.ndarray) -> list[np.ndarray]:
    """The runs of bins that would be cut, those with most counts first."""
    numbers, n = label(cut)
    counts = np.bincount(numbers, weights=curve.counts, minlength=n + 1)[1:]
    order = np.argsort(-counts, kind="stable")[:_MOST_STRETCHES]
    return [numbers == number + 1 for number in order] if n > 1 else []


def _points(bad: np.ndarray, good: np.ndarray, field: np.ndarray, ratio: float) -> list[int]:
    """Cells whose surroundings hold more counts than the good time and a flare over the whole field explain."""
    bad, good = bad * field, good * field
    area = box_sum(field)
    spread = max(float(bad.sum() - ratio * good.sum()), 0.0) / max(int(np.count_nonzero(field)), 1)
    spread = np.maximum(_beside(bad, good, field, ratio), spread)
    kept = box_sum(good)
    expected = ratio * (kept + 3 * np.sqrt(kept + 1)) + _UNEVEN * spread * area
    seen = box_sum(bad)
    chance = np.where(seen > expected, gammainc(np.maximum(seen, 1), np.maximum(expected, 1e-12)), 1.0)
    chance[~field] = 1.0
    at = np.flatnonzero(chance.ravel() < _CHANCE / max(int(np.count_nonzero(field)), 1))
    excess = (seen - expected).ravel()[at]
    return [int(cell) for cell in at[np.argsort(-excess, kind="stable")]][: 100 * _MOST_SOURCES]


def _beside(bad: np.ndarray, good: np.ndarray, field: np.ndarray, ratio: float) -> np.ndarray:
    """Counts of a flare per cell on that side of each cell where they are most: of one chip they fill the chip."""
    found, usual, area = (box_sum(one, _SIDE) for one in (bad, good, field))
    surely = found - ratio * usual - _SCATTER * np.sqrt(found + ratio**2 * usual)
    density = np.where(area > 0.4 * _SIDE**2, surely, 0.0) / np.maximum(area, 1)
    wide = np.pad(density, _BESIDE)
    ny, nx = field.shape
    steps = (0, _BESIDE, 2 * _BESIDE)
    sides = [wide[j : j + ny, i : i + nx] for j in steps for i in steps if (i, j) != (_BESIDE, _BESIDE)]
    most: np.ndarray = np.maximum(np.max(sides, axis=0), 0.0)
    return most


def _without_flares(seen: _BinnedEvents, hidden: np.ndarray) -> np.ndarray:
    """The mask without parts that are no sources, but chips whose background flares by itself: large, and no point."""
    curve, placed = seen.curve, seen.placed
    outside = placed.field & ~hidden
    parts, n = label(hidden & placed.field, structure=np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=n + 1)
    for number in np.flatnonzero(sizes[1:] >= _LARGE) + 1:
        part = parts == number
        counts = seen.counts(part)
        level = find_sustained(counts, curve.exposure, curve.width)
        if level is None:
            continue
        alive = curve.exposure > 0
        high = alive & (deviations(counts, level.rate * curve.exposure, level.intrinsic) > _HIGH)
        ratio = float(curve.exposure[high].sum()) / max(float(curve.exposure[alive & ~high].sum()), 1e-9)
        bad, good = seen.image(high), seen.image(alive & ~high)
        inside, beside = (
            float((bad - ratio * good)[cells].mean()) if cells.any() else 0.0 for cells in (part, outside)
        )
        if not high.any() or high.sum() == alive.sum() or inside <= _UNEVEN * max(beside, 0.0):
            continue
        if not part.ravel()[_points(bad, good, placed.field, ratio)].any():
            hidden = hidden & ~part
    return hidden


def _apart(cells: list[int], nx: int) -> list[int]:
    """The cells, in order, without those in the disc of an earlier one."""
    chosen: list[int] = []
    for cell in dict.fromkeys(cells):
        y, x = divmod(cell, nx)
        near = any(np.hypot(y - other // nx, x - other % nx) <= _RADIUS for other in chosen)
        if not near:
            chosen.append(cell)
        if len(chosen) == _MOST_SOURCES:
            break
    return chosen


def _discs(placed: PlacedEvents, points: list[int]) -> np.ndarray:
    iy, ix = np.indices(placed.field.shape)
    discs = np.zeros(placed.field.shape, dtype=bool)
    for point in points:
        y, x = divmod(point, placed.grid.nx)
        discs |= np.hypot(iy - y, ix - x) <= _RADIUS
    return discs


def _strongest(placed: PlacedEvents, points: list[int]) -> tuple[tuple[float, float], ...]:
    """Of discs that touch, the wings of one source, only the first."""
    parts, _ = label(_discs(placed, points), structure=np.ones((3, 3)))
    first = {int(parts.ravel()[point]): point for point in reversed(points)}
    return tuple(placed.grid.middle(point) for point in points if point in first.values())


def _touching(hidden: np.ndarray, discs: np.ndarray) -> np.ndarray:
    """The connected parts of the mask that the discs lie in."""
    parts, n = label(hidden, structure=np.ones((3, 3)))
    chosen = np.zeros(n + 1, dtype=bool)
    chosen[parts[discs]] = True
    chosen[0] = False
    return chosen[parts]


def _excess(seen: _BinnedEvents, region: np.ndarray, result: FlareResult) -> np.ndarray:
    """Counts of each bin in the region, in excess of the kept time's rate."""
    counts, kept, exposure = seen.counts(region), result.kept, seen.curve.exposure
    usual = float(counts[kept].sum()) / float(exposure[kept].sum())
    return np.maximum(counts - usual * exposure, 0.0)
