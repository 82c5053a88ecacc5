"""The background of an image, from the image itself: smooth, times the exposure.

Counts and exposure are smoothed alike, with sources left out, and their ratio times the
exposure is the background: it has the exposure's gaps, edges and vignetting, and what
varies more slowly than the smoothing (particles that see no mirrors, for example).
Extended light, as that of a cluster of galaxies, is a component of its own
(`daxa.xray.detection.light`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from scipy.ndimage import gaussian_filter

from daxa.xray.detection.cells import binned, enlarge, grown
from daxa.xray.detection.chance import exceeds
from daxa.xray.detection.diffuse import adapted, large_parts, spread_out
from daxa.xray.detection.light import LightComponent, fit_lights, light_image
from daxa.xray.detection.particles import area_share, particle_level
from daxa.xray.detection.wavelet import LADDER, Wavelet, make_wavelets, respond

__all__ = ["Background", "SmoothingGrid", "estimate_background", "estimate_components"]

_LEAST_COUNTS = 1000.0
"""Counts under the smoothing kernel: fewer, and the noise of the background makes false sources."""

_CELLS_PER_SIGMA = 4.0
_COMPACT = 5
"""Scales, of the finest, at which a source beside extended light is not a part of it."""

_LARGE = 3.0
"""Marks of sources that run together over a circle of so many largest scales are extended light."""

_FAR = 3.0
"""Light that is not a point source reaches beyond so many of the point spread function's 80 % radii."""

_ROUNDS = 4
_MASKED = math.log(1e-6)
"""ln of the chance of pixels that belong to sources, and are left out with what surrounds them."""

_LEAST_DARK, _MOST_LIT = 0.1, 0.01
"""Extended light may leave less than this share of the smoothed counts to the background in so few pixels."""

_BRIGHT = 0.7
"""Where light is brighter than this share of the background, it hides what the background is."""

_LEAST_LEFT = 0.1
"""Share of the exposed pixels that must be left when the surroundings of sources are taken away."""

_FINE = 1024
"""Images with more pixels to the side are binned before sources are looked for."""


@dataclass(frozen=True, eq=False)
class Background:
    """What is expected without sources.

    Parameters
    ----------
    smooth
        Counts of what varies slowly, float32, shape (ny, nx).
    whole
        The same with extended light.
    lights
        The round components of extended light; pixels of the image.
    parts
        int32, shape (ny, nx): the number of the piece of extended light, of any shape, that a
        pixel belongs to; 0 outside.
    """

    smooth: np.ndarray
    whole: np.ndarray
    lights: tuple[LightComponent, ...]
    parts: np.ndarray


@dataclass(frozen=True, eq=False)
class SmoothingGrid:
    """An exposure as the background is estimated in it.

    Parameters
    ----------
    size
        Image pixels to the side of a pixel.
    exposure
        Seconds, float64.
    share
        Share of the area on the axis, None where the exposure does not determine it (`area_share`).
    """

    size: int
    exposure: np.ndarray
    share: np.ndarray | None

    @classmethod
    def of(cls, exposure: np.ndarray) -> SmoothingGrid:
        """The grid of an exposure, shape (ny, nx)."""
        size = 1 << max(0, math.ceil(math.log2(max(exposure.shape) / _FINE)))
        seconds = np.asarray(binned(np.asarray(exposure, np.float32), size), np.float64)
        return cls(size, seconds, area_share(seconds))


def estimate_background(
    counts: np.ndarray, exposure: np.ndarray, *, sigma: float, psf_radius: float = 1.0, workers: int = 2
) -> np.ndarray:
    """Expected counts without sources.

    Parameters
    ----------
    counts
        Shape (ny, nx); zero in pixels that are left out.
    exposure
        Same shape; zero in pixels that are left out.
    sigma
        Least standard deviation of the smoothing, pixels; well above the largest source that
        is looked for.  It grows until 1000 counts lie under it.
    psf_radius
        By how many pixels the surroundings of a source are left out, beside its scale.
    workers
        Threads; the result does not depend on them.

    Returns
    -------
    numpy.ndarray
        float32, shape (ny, nx), with extended light (`Background.whole`).

    Examples
    --------
    >>> exposure = np.outer(np.ones(64), np.linspace(1, 2, 64))
    >>> flat = estimate_background(3 * exposure, exposure, sigma=8)
    >>> bool(np.allclose(flat, 3 * exposure, rtol=1e-4))
    True
    """
    return estimate_components(counts, exposure, sigma=sigma, psf_radius=psf_radius, workers=workers).whole


def estimate_components(
    counts: np.ndarray,
    exposure: np.ndarray,
    *,
    sigma: float,
    psf_radius: float = 1.0,
    points: np.ndarray | None = None,
    known: np.ndarray | None = None,
    grid: SmoothingGrid | None = None,
    workers: int = 2,
) -> Background:
    """Background and extended light; parameters as for `estimate_background`.

    ``points``, same shape, are the expected counts of known point sources: what their wings put
    beside the pixels that are left out is then no light.  ``known``, same shape, are other counts whose
    expectation is known, such as those of out-of-time events: the background is what lies below them.
    ``grid`` is that of the exposure, where several images of it are looked at.
    """
    grid = SmoothingGrid.of(exposure) if grid is None else grid
    size, coarse_exposure, share = grid.size, grid.exposure, grid.share
    coarse_counts = np.asarray(binned(np.asarray(counts, np.float32), size), np.float64)
    seen = coarse_exposure > 0
    all_counts = coarse_counts
    beneath: np.ndarray | float = 0.0
    if known is not None:
        beneath = np.asarray(binned(np.asarray(known, np.float32), size), np.float64)
        coarse_counts = all_counts - beneath
    if points is not None:
        points = np.asarray(binned(np.asarray(points, np.float32), size), np.float64)
        coarse_counts = coarse_counts - points
    total, pixels = float(all_counts.sum()), max(int(seen.sum()), 1)
    wide = math.sqrt(_LEAST_COUNTS * pixels / (4.0 * math.pi * max(total, 1.0)))
    sigma = max(sigma / size, wide)
    wavelets = make_wavelets(LADDER[:9])
    kept, marked = seen, np.zeros(seen.shape, bool)
    for _ in range(_ROUNDS):
        ratio = _ratio(coarse_counts * kept, coarse_exposure * kept, sigma)
        model = enlarge(ratio, _cell(sigma), coarse_counts.shape) * coarse_exposure
        near = _sources(all_counts, model + beneath, wavelets, psf_radius / size, workers)
        fewer = seen & ~near
        if np.array_equal(fewer, kept) or fewer.sum() < _LEAST_LEFT * pixels:
            break
        kept, marked = fewer, near
    shape = coarse_counts.shape

    def smooth(left: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        return _rate(left, seconds, share, sigma) * coarse_exposure

    def sources(below: np.ndarray, scales: tuple[Wavelet, ...] = wavelets) -> np.ndarray:
        return _sources(all_counts, (below + beneath).astype(np.float32), scales, psf_radius / size, workers)

    def compact(below: np.ndarray) -> np.ndarray:
        return sources(below, wavelets[:_COMPACT])

    alone = smooth(coarse_counts * kept, coarse_exposure * kept)
    lights = fit_lights(
        coarse_counts,
        coarse_exposure,
        alone,
        compact=compact,
        smooth=smooth,
        psf_radius=psf_radius / size,
        sigma=sigma,
        points=points,
    )

    def enlarged(left: np.ndarray, used: np.ndarray) -> np.ndarray:
        rate = _rate(left * used, coarse_exposure * used, share, sigma)
        return ((rate if size == 1 else enlarge(rate, size, counts.shape)) * exposure).astype(np.float32)

    light = light_image(lights, shape) * coarse_exposure
    base, dark = alone, kept
    if lights:
        dark = _kept_beside(coarse_counts, coarse_exposure, light, smooth, sources)
        base = smooth((coarse_counts - light) * dark, coarse_exposure * dark)
    if (base < _LEAST_DARK * alone).sum() > _MOST_LIT * seen.sum():
        # Light fills the field: what of it is background cannot be separated, and smoothing is all there is.
        base, dark, light, lights = alone, kept, 0.0 * light, ()
    marked = sources(base) if lights else marked
    parts = large_parts(marked, seen, _LARGE * wavelets[-1].scale)
    parts = spread_out(coarse_counts, base, parts, max(_FAR * psf_radius / size, 0.5 * sigma))
    if not lights and not parts.any():
        smoothed = enlarged(coarse_counts, kept)
        return Background(smoothed, smoothed, (), np.zeros(counts.shape, np.int32))
    beside = seen & ~(marked & (parts == 0))
    whole = seen * adapted(coarse_counts, base + light, beside, compact, sigma=sigma, least=2.0 * psf_radius / size)
    smoothed = _pixels(base, coarse_exposure, size, exposure)
    return Background(
        smoothed,
        np.maximum(smoothed, _pixels(whole, coarse_exposure, size, exposure)),
        tuple(
            replace(one, x=(one.x + 0.5) * size - 0.5, y=(one.y + 0.5) * size - 0.5, core=one.core * size)
            for one in lights
        ),
        _repeated(parts, size, counts.shape),
    )


def _pixels(model: np.ndarray, coarse_exposure: np.ndarray, size: int, exposure: np.ndarray) -> np.ndarray:
    """A model of binned pixels in those of the image."""
    if size == 1:
        return model.astype(np.float32)
    rate = np.divide(model, coarse_exposure, out=np.zeros_like(model), where=coarse_exposure > 0)
    return (enlarge(rate, size, exposure.shape) * exposure).astype(np.float32)


def _repeated(parts: np.ndarray, size: int, shape: tuple[int, int]) -> np.ndarray:
    return np.repeat(np.repeat(parts, size, axis=0), size, axis=1)[: shape[0], : shape[1]].astype(np.int32)


def _kept_beside(
    counts: np.ndarray,
    exposure: np.ndarray,
    light: np.ndarray,
    smooth: Callable[[np.ndarray, np.ndarray], np.ndarray],
    sources: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Pixels that show the background beside extended light: no sources above both, and none bright with light."""
    dark = seen = exposure > 0
    for _ in range(_ROUNDS):
        base = smooth((counts - light) * dark, exposure * dark)
        fewer = seen & ~sources(base + light) & (light < _BRIGHT * base)
        if np.array_equal(fewer, dark) or fewer.sum() < _LEAST_LEFT * seen.sum():
            break
        dark = fewer
    return dark


def _rate(counts: np.ndarray, exposure: np.ndarray, share: np.ndarray | None, sigma: float) -> np.ndarray:
    """Background per second of exposure in each pixel: particles, and what is left of the counts, smoothed."""
    shape = counts.shape
    particles: np.ndarray | float = 0.0
    if share is not None:
        particles = particle_level(counts, exposure, exposure / share, _cell(sigma)) / share
    smooth = _ratio(counts - particles * exposure, exposure, sigma)
    return np.maximum(enlarge(smooth, _cell(sigma), shape), 0.0) + particles


def _cell(sigma: float) -> int:
    return max(1, math.floor(sigma / _CELLS_PER_SIGMA))


def _ratio(counts: np.ndarray, exposure: np.ndarray, sigma: float) -> np.ndarray:
    """Smoothed counts over smoothed exposure, in cells; the mean where nothing is near."""
    cell = _cell(sigma)
    above, below = (
        gaussian_filter(binned(part, cell), sigma / cell, mode="constant", truncate=6.0) for part in (counts, exposure)
    )
    mean = counts.sum() / max(exposure.sum(), 1e-30)
    # A place whose surroundings are masked borrows from afar, and from the mean where there is nothing.
    trust = 1e-4 * below.max()
    return (above + trust * mean) / (below + trust) if trust > 0 else np.zeros_like(above)


def _sources(
    counts: np.ndarray, model: np.ndarray, wavelets: tuple[Wavelet, ...], psf_radius: float, workers: int
) -> np.ndarray:
    """Pixels of sources and of their surroundings."""
    height, width = counts.shape
    found = np.zeros((height, width), dtype=bool)
    responses = respond(counts, model, wavelets, workers=workers)
    for size, same in groupby(responses, key=lambda response: response.wavelet.bin):
        hits = [(_reach(part.wavelet, psf_radius), exceeds(part, _MASKED)) for part in same]
        # Those that reach farthest first: all that come after them grow together.
        near, before = np.zeros(hits[0][1].shape, dtype=bool), hits[-1][0]
        for reach, hit in reversed(hits):
            near = grown(near, before - reach) | hit
            before = reach
        if near.any():
            near = grown(near, before)
            near = np.repeat(np.repeat(near, size, axis=0), size, axis=1) if size > 1 else near
            found |= near[:height, :width]
    return found


def _reach(wavelet: Wavelet, psf_radius: float) -> int:
    """Steps from a pixel of a source to the last one around it that is left out."""
    return max(1, math.ceil((wavelet.scale + psf_radius) / wavelet.bin))
