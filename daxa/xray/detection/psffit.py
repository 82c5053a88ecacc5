"""Fits of the point spread function to counts: where a source is, how bright, how extended, how sure.

The model of a pixel is ``m = b + r E P``: background, rate (count/s), exposure (s) and the
function integrated over the pixel.  What is maximised is Cash's likelihood of Poisson
counts, ``sum(n ln m - m)`` (Cash 1979, ApJ 228, 939), by Newton's steps (`daxa.xray.detection.likelihood`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import erf

from daxa.xray.detection.likelihood import LEAST, PhotonLikelihood, Stamp, climb, log_likelihood, pixel_lines
from daxa.xray.detection.psf import Psf, beta_mixture

__all__ = [
    "PlacedSource",
    "Scene",
    "SourceFit",
    "cut_stamp",
    "describe_source",
    "fit_source",
    "light_of",
    "place_source",
    "source_image",
    "widened",
]

_WIDTHS_PER_E = 2.5
"""Gaussians that stand for a source, per factor e in width."""

_LEAST_WEIGHT = 1e-4

_FEW = 50.0
"""Photons of a source whose scatter is known as well as the point spread function is: to a fifth, sqrt(2 / n)."""

_LEAST_BEND = 0.5
"""Share of the curvature expected of a likelihood that is believed at least: less is chance, of a few photons."""

_MOST_SHARE = 0.8
"""Share of its own place in a fit that a photon is believed to have at most: one or two do not scatter."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What is fitted.

    Parameters
    ----------
    counts
        Counts, shape (ny, nx).
    exposure
        Seconds, same shape; zero in pixels that are left out.
    background
        Expected counts of everything that is not fitted, other sources included, same shape.
    psf
        The point spread function.
    """

    counts: np.ndarray
    exposure: np.ndarray
    background: np.ndarray
    psf: Psf


@dataclass(frozen=True)
class PlacedSource:
    """The most likely source near a place.

    Parameters
    ----------
    x, y
        Pixel, from 0.
    rate
        Count/s in the whole point spread function, vignetting corrected as the exposure is.
    extent
        Core radius (pixels) of a beta model of beta = 2/3 that the function is convolved with.
    gain
        ln likelihood above that of no source.
    """

    x: float
    y: float
    rate: float
    extent: float
    gain: float


@dataclass(frozen=True)
class SourceFit(PlacedSource):
    """A fitted source: `PlacedSource` with its errors.

    Parameters
    ----------
    x_error, y_error
        Standard deviations, pixels: as widely as the photons themselves scatter, which may be more than
        the point spread function says.
    rate_low, rate_high
        Rates at which the likelihood has fallen by 1/2 (the other parameters fixed).
    counts
        Counts of the source that are expected in the image.
    exposure
        Seconds, the mean over the point spread function: gaps and edges count as 0.
    """

    x_error: float
    y_error: float
    rate_low: float
    rate_high: float
    counts: float
    exposure: float


def cut_stamp(scene: Scene, x: float, y: float, reach: float) -> Stamp:
    """The part of a scene within `reach` (pixels) of a place, as floats; what was not exposed has no counts."""
    ny, nx = scene.counts.shape
    half = math.ceil(reach)
    x0, x1 = max(round(x) - half, 0), min(round(x) + half + 1, nx)
    y0, y1 = max(round(y) - half, 0), min(round(y) + half + 1, ny)
    rows, columns = slice(y0, y1), slice(x0, x1)
    exposure = scene.exposure[rows, columns].astype(np.float64)
    seen = exposure > 0
    return Stamp(
        x0,
        y0,
        np.where(seen, scene.counts[rows, columns], 0.0).astype(np.float64),
        exposure,
        np.where(seen, np.maximum(scene.background[rows, columns], LEAST), LEAST).astype(np.float64),
    )


@lru_cache(maxsize=1024)
def widened(psf: Psf, angle: float, extent: float) -> tuple[np.ndarray, np.ndarray]:
    """The Gaussians of a source, those of about the same width in one."""
    weights, widths = psf.mixture(angle)
    if extent > 0:
        shares, sizes = beta_mixture()
        weights, widths = np.outer(weights, shares).ravel(), np.hypot.outer(widths, extent * sizes).ravel()
    step = np.rint(_WIDTHS_PER_E * np.log(widths)).astype(int)
    step -= step.min()
    weight = np.bincount(step, weights)
    variance = np.bincount(step, weights * widths**2)
    kept = weight > _LEAST_WEIGHT
    share = weight[kept]
    return share / share.sum(), np.sqrt(variance[kept] / share)


def light_of(
    stamp: Stamp, x: float, y: float, mixture: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Expected counts per unit of rate, and their change with x and y."""
    weights, widths = mixture
    (px, dx, _), (py, dy, _) = (pixel_lines(*axis, widths).swapaxes(0, 1) for axis in _axes(stamp, x, y))
    weighted = (weights[:, None] * py).T
    slope = (weights[:, None] * dy).T
    return stamp.exposure * (weighted @ px), stamp.exposure * (weighted @ dx), stamp.exposure * (slope @ px)


def source_image(scene: Scene, fit: PlacedSource, reach: float) -> tuple[tuple[slice, slice], np.ndarray]:
    """Expected counts of a fitted source, and the part of the image that they stand for.

    Parameters
    ----------
    scene
        The image that was fitted.
    fit
        The source.
    reach
        Pixels from the source up to which counts are given.
    """
    stamp = cut_stamp(scene, fit.x, fit.y, reach)
    mixture = widened(scene.psf, scene.psf.angle(fit.x, fit.y), fit.extent)
    shape, _, _ = light_of(stamp, fit.x, fit.y, mixture)
    place = (slice(stamp.y0, stamp.y0 + shape.shape[0]), slice(stamp.x0, stamp.x0 + shape.shape[1]))
    return place, fit.rate * shape


def fit_source(
    scene: Scene,
    x: float,
    y: float,
    *,
    reach: float,
    stray: float,
    extent: float = 0.0,
    begin: PlacedSource | None = None,
) -> SourceFit:
    """Fit position and rate of one source.

    Parameters
    ----------
    scene
        Image, exposure, background and point spread function.
    x, y
        Pixel where it starts.
    reach
        Pixels from there within which counts are compared with the model.
    stray
        Pixels that the position may move in each coordinate.
    extent
        Core radius, pixels, of the source; 0 for a point.
    begin
        A fit, of another extent, at whose position and rate to begin.

    Examples
    --------
    >>> from daxa.xray.detection.psf import gaussian_psf
    >>> y, x = np.mgrid[:41, :41]
    >>> counts = np.round(400 / (2 * np.pi * 4) * np.exp(-((x - 20.3) ** 2 + (y - 19.0) ** 2) / 8))
    >>> scene = Scene(counts, np.ones_like(counts), np.full(counts.shape, 1e-3), gaussian_psf(2.0))
    >>> fit = fit_source(scene, 20, 20, reach=15, stray=3)
    >>> round(fit.x, 1), round(fit.y, 1), bool(abs(fit.rate - counts.sum()) < 2)
    (20.3, 19.0, True)
    """
    placed = place_source(scene, x, y, reach=reach, stray=stray, extent=extent, begin=begin)
    return describe_source(scene, x, y, placed, reach=reach)


def place_source(
    scene: Scene,
    x: float,
    y: float,
    *,
    reach: float,
    stray: float,
    extent: float = 0.0,
    begin: PlacedSource | None = None,
) -> PlacedSource:
    """`fit_source` without the errors."""
    likelihood = PhotonLikelihood(cut_stamp(scene, x, y, reach), widened(scene.psf, scene.psf.angle(x, y), extent))
    at, rate = ((x, y), None) if begin is None else ((begin.x, begin.y), begin.rate)
    if rate is None:
        rate = likelihood.first_rate(likelihood.light(*at))
    found = climb(likelihood, at, rate, ((x - stray, x + stray), (y - stray, y + stray)))
    return PlacedSource(*found[:3], extent, found[3])


def describe_source(scene: Scene, x: float, y: float, placed: PlacedSource, *, reach: float) -> SourceFit:
    """The errors of a source.

    Parameters
    ----------
    scene, x, y, reach
        As it was fitted (`fit_source`).
    placed
        The source.
    """
    stamp = cut_stamp(scene, x, y, reach)
    mixture = widened(scene.psf, scene.psf.angle(x, y), placed.extent)
    return _described(scene, stamp, placed, light_of(stamp, placed.x, placed.y, mixture), mixture)


def _described(
    scene: Scene,
    stamp: Stamp,
    placed: PlacedSource,
    shapes: tuple[np.ndarray, np.ndarray, np.ndarray],
    mixture: tuple[np.ndarray, np.ndarray],
) -> SourceFit:
    rate = placed.rate
    shape, dx, dy = shapes
    n, below = stamp.counts, stamp.background
    model = below + rate * shape
    # Expected information.
    slopes = np.stack((shape, rate * dx, rate * dy)).reshape(3, -1)
    bend = (slopes / model.ravel()) @ slopes.T + np.diag([LEAST] * 3)
    # Of a faint source the units of rate and position differ by many powers of ten.
    unit = 1.0 / np.sqrt(np.diag(bend))
    spread = unit * np.sqrt(np.abs(np.diag(np.linalg.pinv(bend * np.outer(unit, unit)))))
    value = log_likelihood(n, model)
    low, high = (_fallen(stamp, shape, (rate, value), side * spread[0]) for side in (-1, 1))
    seen = _scatter_seen(stamp, placed, shapes, mixture, bend)
    # Few photons may show that the errors are larger than expected, but not that they are smaller.
    share = _FEW / (_FEW + rate * float(shape.sum()))
    spread = np.sqrt((1.0 - share) * seen**2 + share * np.maximum(seen, spread) ** 2)
    # A narrow source may have left the stamp altogether: none of it is within.
    effective = float(shape.sum()) / max(_enclosed(stamp, placed, scene), LEAST)
    return SourceFit(
        **vars(placed), x_error=float(spread[1]), y_error=float(spread[2]), rate_low=low, rate_high=high,
        counts=rate * effective, exposure=effective,
    )  # fmt: skip


def _scatter_seen(
    stamp: Stamp,
    placed: PlacedSource,
    shapes: tuple[np.ndarray, np.ndarray, np.ndarray],
    mixture: tuple[np.ndarray, np.ndarray],
    expected: np.ndarray,
) -> np.ndarray:
    """Standard deviations of rate, x and y when the photons themselves show how widely they scatter.

    Of a likelihood whose function is not quite that of the photons the best place varies by
    ``A^-1 B A^-1``: A is its curvature, B the variance of its slope (Huber 1967; White 1982,
    Econometrica 50, 1).  So an image that is longer than wide, as those off the axis are, has errors
    of its own length, though it is fitted with a round function.

    The fit draws towards each photon, the more so the fewer there are, so that photons scatter less about
    the best place than about the true one: each weighs ``1 / (1 - h)`` in B, h being its own share of its
    place in the fit (MacKinnon & White 1985, J. Econometrics 29, 305, their HC2).
    """
    rate = placed.rate
    shape, dx, dy = shapes
    weights, widths = mixture
    px, py = (pixel_lines(*axis, widths).swapaxes(0, 1) for axis in _axes(stamp, placed.x, placed.y))
    n = stamp.counts
    model = stamp.background + rate * shape
    excess, exposed = n / model - 1.0, stamp.exposure

    def summed(along_y: np.ndarray, along_x: np.ndarray) -> float:
        return float((excess * exposed * ((weights[:, None] * along_y).T @ along_x)).sum())

    cross = [float((excess * slope).sum()) for slope in (dx, dy)]
    along = [rate * summed(py[0], px[2]), rate * summed(py[1], px[1]), rate * summed(py[2], px[0])]
    curved = np.array([[0.0, *cross], [cross[0], along[0], along[1]], [cross[1], along[1], along[2]]])
    slopes = np.stack((shape, rate * dx, rate * dy)).reshape(3, -1)
    unit = 1.0 / np.sqrt(np.diag(expected))
    seen = n.ravel() > 0
    photons, pulls = n.ravel()[seen], (unit[:, None] * slopes / model.ravel())[:, seen]
    values, vectors = np.linalg.eigh((pulls * photons) @ pulls.T - curved * np.outer(unit, unit))
    inverse = (vectors / np.maximum(values, _LEAST_BEND)) @ vectors.T
    share = np.minimum((pulls * (inverse @ pulls)).sum(axis=0), _MOST_SHARE)
    scatter = (pulls * (photons / (1.0 - share))) @ pulls.T
    return unit * np.sqrt(np.maximum(np.diag(inverse @ scatter @ inverse), 0.0))


def _axes(stamp: Stamp, x: float, y: float) -> Iterator[tuple[float, int, int]]:
    """Centre, first pixel and number of pixels along x and y."""
    return zip((x, y), (stamp.x0, stamp.y0), stamp.counts.shape[::-1], strict=True)


def _enclosed(stamp: Stamp, placed: PlacedSource, scene: Scene) -> float:
    """Share of the source within the stamp."""
    at = placed.x, placed.y
    weights, widths = widened(scene.psf, scene.psf.angle(*at), placed.extent)
    ends = [
        0.5 * erf((np.array([[first], [first + n]]) - 0.5 - centre) / (math.sqrt(2.0) * widths))
        for centre, first, n in _axes(stamp, *at)
    ]
    return float((weights * (ends[0][1] - ends[0][0]) * (ends[1][1] - ends[1][0])).sum())


def _fallen(stamp: Stamp, shape: np.ndarray, best: tuple[float, float], step: float) -> float:
    """The rate on one side at which the likelihood has fallen by 1/2; not below zero."""
    n, below = stamp.counts, stamp.background
    rate, value = best
    inside, outside = rate, max(rate + step, 0.0)
    for _ in range(20):
        if outside <= 0 or log_likelihood(n, below + outside * shape) <= value - 0.5:
            break
        inside, outside = outside, max(outside + step, 0.0)
    if outside <= 0 and log_likelihood(n, below) > value - 0.5:
        return 0.0
    for _ in range(30):
        middle = 0.5 * (inside + outside)
        if log_likelihood(n, below + middle * shape) > value - 0.5:
            inside = middle
        else:
            outside = middle
    return 0.5 * (inside + outside)
