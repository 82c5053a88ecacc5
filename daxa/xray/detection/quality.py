"""What to know of a source before its numbers are used, and the circle that shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag

import numpy as np

from daxa.xray.detection.hidden import HiddenPixels, hidden_fractions
from daxa.xray.detection.likelihood import pixel_lines
from daxa.xray.detection.psf import Psf
from daxa.xray.detection.psffit import Scene, SourceFit, source_image

__all__ = ["CIRCLE", "PileUp", "SourceQuality", "circle_radius", "judge", "quality_words"]


class SourceQuality(IntFlag):
    """Marks of a source; 0 is good."""

    GAP = 1
    """Gaps between chips or bad columns hide more than a tenth of its light."""
    EDGE = 2
    """More than a tenth of its light lies outside the field."""
    BLEND = 4
    """Another source gives more than a tenth of the light within its half-power radius.

    With `GAP`, that source may be one in a gap beside it, of which too little is seen to list it.
    """
    EXTENDED_NEIGHBOUR = 8
    """Extended light gives more than a tenth of it."""
    PILEUP = 16
    """It is so bright that photons coincide in a frame: its rate is too low."""
    SUBSTRUCTURE = 32
    """Extended light with structure of its own: its parts are no sources, but listed beside it."""


CIRCLE = 0.9
"""Share of a point source's light within the circle that shows it."""

_MUCH = 0.1
_LARGEST = 60.0


def quality_words(flag: int) -> str:
    """The marks as words, lower case.

    Examples
    --------
    >>> quality_words(9), quality_words(0)
    ('gap extended-neighbour', 'good')
    """
    return " ".join((one.name or "").lower().replace("_", "-") for one in SourceQuality(flag)) or "good"


def circle_radius(psf: Psf, x: float, y: float, extent: float) -> float:
    """Radius (pixels) of the circle that shows a source: the PSF's 90 % radius there, or its extent if larger.

    Parameters
    ----------
    psf
        The point spread function of the image's band.
    x, y
        Pixel, from 0.
    extent
        Core radius, pixels; 0 for a point.

    Notes
    -----
    A mask holds whole pixels.  Where the function is as narrow as they are, the radius is that
    at which the pixels whose centre lies within it come closest to that share.
    """
    angle = psf.angle(x, y)
    radius = psf.radius(CIRCLE, angle)
    if radius < 6.0:
        radius = _of_pixels(psf, x, y, angle)
    return max(radius, extent)


def _of_pixels(psf: Psf, x: float, y: float, angle: float) -> float:
    weights, widths = psf.mixture(angle)
    half = 24
    first = round(x) - half, round(y) - half
    px, py = (pixel_lines(at, start, 2 * half + 1, widths)[:, 0] for at, start in zip((x, y), first, strict=True))
    light = (weights[:, None] * py).T @ px
    columns, rows = (np.arange(start, start + 2 * half + 1) for start in first)
    away = np.hypot(columns[None, :] - x, rows[:, None] - y).ravel()
    order = np.argsort(away, kind="stable")
    share = np.cumsum(light.ravel()[order])
    last = int(np.argmin(np.abs(share - CIRCLE)))
    # Half-way to the next pixel: which ones are meant does not hang on the last digit.
    return 0.5 * float(away[order[last]] + away[order[min(last + 1, len(order) - 1)]])


@dataclass(frozen=True, eq=False)
class PileUp:
    """From which rate photons coincide.

    Parameters
    ----------
    most_rate
        Rate of a source on the detector, count/s at all energies.
    counts
        Counts of all energies, shape (ny, nx): what a band holds of a source's rate follows from
        them.  None where the image that is searched holds them all.
    """

    most_rate: float = math.inf
    counts: np.ndarray | None = None

    def share(self, counts: np.ndarray, x: float, y: float, radius: float) -> float:
        """Share of all counts about a place that an image holds."""
        if self.counts is None:
            return 1.0
        rows, columns = (slice(max(math.floor(at - radius), 0), max(math.ceil(at + radius) + 1, 0)) for at in (y, x))
        iy, ix = np.ogrid[: counts.shape[0], : counts.shape[1]]
        within = np.hypot(ix[:, columns] - x, iy[rows] - y) <= radius
        own, every = (float(image[rows, columns][within].sum()) for image in (counts, self.counts))
        return min(own / every, 1.0) if every > 0 < own else 1.0


def judge(scene: Scene, hidden: HiddenPixels, fits: Sequence[SourceFit], *, pile_up: PileUp) -> np.ndarray:
    """The marks of each source of an image.

    Parameters
    ----------
    scene
        Image, exposure, background and point spread function.
    hidden
        What of the image saw nothing.
    fits
        The sources, those of neighbours among them.
    pile_up
        From which rate photons coincide.

    Returns
    -------
    ndarray
        int32, shape (n,), sums of `SourceQuality`.
    """
    marks = np.zeros(len(fits), np.int32)
    images = [source_image(scene, fit, _LARGEST) for fit in fits]
    most = float(scene.exposure.max(initial=0.0))
    for index, fit in enumerate(fits):
        gap, edge = _hidden_within_error(hidden, scene.psf, fit)
        marks[index] |= SourceQuality.GAP if gap > _MUCH else 0
        marks[index] |= SourceQuality.EDGE if edge > _MUCH else 0
        radius = max(scene.psf.radius(0.5, scene.psf.angle(fit.x, fit.y)), 1.0)
        own = _within(images[index], fit, radius)
        others = [(fits[k].extent > 0, _within(images[k], fit, radius)) for k in _near(fits, index)]
        marks[index] |= SourceQuality.BLEND if sum(part for wide, part in others if not wide) > _MUCH * own else 0
        wide = sum(part for wide, part in others if wide)
        marks[index] |= SourceQuality.EXTENDED_NEIGHBOUR if wide > _MUCH * own else 0
        share = pile_up.share(scene.counts, fit.x, fit.y, radius)
        # Photons of extended light coincide only where they are as near to each other as those of a point.
        near = min(2.0 * own / fit.counts, 1.0) if fit.extent > 0 and fit.counts > 0 else 1.0
        marks[index] |= SourceQuality.PILEUP if near * fit.rate * fit.exposure > pile_up.most_rate * share * most else 0
    return marks


def _hidden_within_error(hidden: HiddenPixels, psf: Psf, fit: SourceFit) -> tuple[float, float]:
    """The largest shares of a source's light that gaps, and the edge, hide within two sigma of its place."""
    x_error, y_error = (2.0 * min(_LARGEST, error) for error in (fit.x_error, fit.y_error))
    places = [(fit.x, fit.y)]
    reach = min(psf.radius(CIRCLE, psf.angle(fit.x, fit.y)), 40.0) + max(x_error, y_error) + 1.0
    ends = [(math.floor(at - reach), math.ceil(at + reach) + 1) for at in (fit.y, fit.x)]
    box = tuple(slice(max(first, 0), max(last, 0)) for first, last in ends)
    leaves = any(first < 0 or last > n for (first, last), n in zip(ends, hidden.gap.shape, strict=True))
    # Most sources are far from all that is hidden.
    if leaves or hidden.gap[box].any() or hidden.edge[box].any():
        for share in (-1.0, -0.5, 0.5, 1.0):
            places += [(fit.x + share * x_error, fit.y), (fit.x, fit.y + share * y_error)]
    gaps, edges = zip(*(hidden_fractions(hidden, psf, *place) for place in places), strict=True)
    return max(gaps), max(edges)


def _near(fits: Sequence[SourceFit], index: int) -> list[int]:
    own = fits[index]
    return [
        k
        for k, other in enumerate(fits)
        if k != index and max(abs(other.x - own.x), abs(other.y - own.y)) < _LARGEST + 1
    ]


def _within(image: tuple[tuple[slice, slice], np.ndarray], fit: SourceFit, radius: float) -> float:
    """Counts of a source's image within a radius of a fit."""
    (rows, columns), light = image
    y, x = np.ogrid[rows, columns]
    return float(light[np.hypot(x - fit.x, y - fit.y) <= radius].sum())
