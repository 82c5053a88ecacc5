"""Sources measured: fits of the point spread function and of extents, each source beside all others."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from daxa.xray.detection.bodies import ExtendedBodies, is_part
from daxa.xray.detection.fitting import LARGEST_STAMP, LIKELIHOOD, PeakFits
from daxa.xray.detection.gap_sources import find_in_gaps
from daxa.xray.detection.hidden import HiddenPixels
from daxa.xray.detection.likelihood import detection_likelihood
from daxa.xray.detection.peaks import Peaks, joined
from daxa.xray.detection.psffit import Scene, SourceFit, source_image
from daxa.xray.detection.quality import PileUp, SourceQuality, circle_radius, judge
from daxa.xray.detection.twins import Twins, join_twins

__all__ = ["Columns", "measured"]

Columns = dict[str, np.ndarray]

_UNSURE = 1.0 / 7.0
"""Relative error of extended light, which follows 50 counts under the kernel (`daxa.xray.detection.diffuse`)."""


def measured(
    scene: Scene, hidden: HiddenPixels, bodies: ExtendedBodies | None, peaks: Peaks, pile_up: PileUp
) -> tuple[Columns, Columns, np.ndarray, np.ndarray]:
    """Fit every peak of an image.

    Parameters
    ----------
    scene
        Image, exposure, background with extended light, and point spread function.
    hidden
        What of the image saw nothing.
    bodies
        Its extended light, if there is any.
    peaks
        The least likely first.
    pile_up
        From which rate photons coincide.

    Returns
    -------
    tuple
        The columns of the sources, bodies among them, those of what is a part of a body, the
        counts of the sources that are no bodies, shape (ny, nx), and those of the points among them.
    """
    number = len(bodies.peaks) if bodies is not None else 0
    peaks = joined(bodies.peaks, peaks) if bodies is not None and number else peaks
    measuring = PeakFits(scene, hidden, bodies, peaks, number)
    twins = _fitted(measuring)
    gaps = find_in_gaps(measuring, (row for row in _kept(measuring, twins) if row >= number))
    peaks, kept = measuring.peaks, _kept(measuring, twins)
    fits = {row: measuring.found[row][0] for row in kept}
    if bodies is not None and number:
        fits |= {row: _beside_light(scene, bodies, fit) for row, fit in fits.items() if row >= number}
    likelihood = {row: _likelihood(measuring, twins, row) for row in kept}
    parent = np.zeros(len(peaks), int)
    for row, fit in fits.items():
        if bodies is not None and row >= number > 0:
            parent[row] = is_part(bodies, fit.x, fit.y, fit.extent, likelihood[row])
    rows = sorted((row for row in kept if not parent[row]), key=lambda row: peaks.log_p[row])
    parts = [row for row in kept if parent[row]]
    chosen_columns = []
    for chosen in (rows, parts):
        columns = _columns(scene, peaks.take(np.array(chosen, dtype=int)), [fits[row] for row in chosen])
        columns["quality"] = judge(scene, hidden, [fits[row] for row in chosen], pile_up=pile_up)
        columns["quality"][np.isin(chosen, gaps.doubtful)] |= SourceQuality.GAP | SourceQuality.BLEND
        columns["likelihood"] = np.array([likelihood[row] for row in chosen], float)
        columns["extent_likelihood"] = np.array([measuring.found[row][1] for row in chosen], float)
        chosen_columns.append(columns)
    sources, structure = chosen_columns
    places = {row: place for place, row in enumerate(rows)}
    sources["body"] = np.array([row < number for row in rows], bool)
    if bodies is not None and number:
        # A body stands in the background without its own light.
        ix, iy = (np.clip(np.rint(sources[axis]).astype(int), 0, n - 1)
                  for axis, n in zip("xy", scene.counts.shape[::-1], strict=True))  # fmt: skip
        sources["background"] -= np.where(sources["body"], bodies.light[iy, ix], 0.0)
    sources["parts"] = np.array([(parent[parts] == row + 1).sum() if row < number else 0 for row in rows], np.int32)
    sources["quality"][sources["parts"] > 0] |= SourceQuality.SUBSTRUCTURE
    structure["parent"] = np.array([places[parent[row] - 1] + 1 for row in parts], np.int32)
    listed, points = np.zeros((2, *scene.counts.shape), np.float32)
    for row in rows if number else ():
        if row >= number:
            place, light = source_image(scene, fits[row], LARGEST_STAMP)
            listed[place] += light
            if fits[row].extent == 0:
                points[place] += light
    return sources, structure, listed, points


def _kept(fits: PeakFits, twins: Twins) -> list[int]:
    """Rows of the peaks that are sources."""
    return [
        row
        for row in range(len(fits.peaks))
        if row not in twins.dropped
        and row in fits.found
        and (row < fits.number or _likelihood(fits, twins, row) >= LIKELIHOOD or not _shaded(fits, row))
    ]


def _likelihood(fits: PeakFits, twins: Twins, row: int) -> float:
    """The likelihood of a source; one that was chosen among the fits of two peaks has had the freedom of both."""
    fit = fits.found[row][0]
    return float(detection_likelihood(fit.gain, 3 * twins.joined.get(row, 1) + (fit.extent > 0)))


def _beside_light(scene: Scene, bodies: ExtendedBodies, fit: SourceFit) -> SourceFit:
    """A fit whose errors know that the extended light under it is known to a seventh only."""
    ny, nx = scene.counts.shape
    radius = max(scene.psf.radius(0.5, scene.psf.angle(fit.x, fit.y)), 1.0)
    x0, y0 = max(math.floor(fit.x - radius), 0), max(math.floor(fit.y - radius), 0)
    x1, y1 = min(math.ceil(fit.x + radius) + 1, nx), min(math.ceil(fit.y + radius) + 1, ny)
    if x0 >= x1 or y0 >= y1 or not fit.exposure > 0:
        return fit
    iy, ix = np.ogrid[y0:y1, x0:x1]
    under = float(bodies.light[y0:y1, x0:x1][np.hypot(ix - fit.x, iy - fit.y) <= radius].sum())
    unsure = _UNSURE * under / (0.5 * fit.exposure)
    return replace(
        fit,
        rate_low=max(fit.rate - math.hypot(fit.rate - fit.rate_low, unsure), 0.0),
        rate_high=fit.rate + math.hypot(fit.rate_high - fit.rate, unsure),
    )


def _fitted(fits: PeakFits) -> Twins:
    """Fit all peaks in two rounds, each with the others as background, and join those that are one source."""
    for make in (fits.begin, fits.fit):
        for row in range(len(fits.peaks)):
            make(row)
    return join_twins(fits)


def _shaded(fits: PeakFits, row: int) -> bool:
    """Whether a brighter source lies so near that it may have made this one."""
    own, scale = fits.found[row][0], fits.peaks.scale
    return any(
        other.gain > own.gain and math.hypot(other.x - own.x, other.y - own.y) < 6.0 * max(scale[k], scale[row])
        for k, (other, _) in fits.found.items()
        if k != row
    )


def _columns(scene: Scene, peaks: Peaks, fits: list[SourceFit]) -> dict[str, np.ndarray]:
    columns = {name: np.array([getattr(fit, name) for fit in fits], float) for name in _FITTED}
    ix, iy = (
        np.clip(np.rint(columns[axis]).astype(int), 0, n - 1)
        for axis, n in zip("xy", scene.counts.shape[::-1], strict=True)
    )
    return columns | {
        "scale": peaks.scale,
        "log_p": peaks.log_p,
        "background": scene.background[iy, ix].astype(float),
        "radius": np.array([circle_radius(scene.psf, fit.x, fit.y, fit.extent) for fit in fits], float),
    }


_FITTED = ("x", "y", "x_error", "y_error", "counts", "rate", "rate_low", "rate_high", "extent", "exposure")
