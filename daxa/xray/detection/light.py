"""Extended light, as that of a cluster of galaxies: round components that reach far beyond what wavelets see.

Smoothing that is wide enough not to follow sources spreads the light of a cluster over
its surroundings: the background is then too low beside it and too high farther out.  The
light is therefore fitted first, as beta models ``(1 + r^2/c^2)^(0.5 - 3b)`` over the
background, to counts in rings; only what is left is smoothed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

__all__ = ["LightComponent", "fit_lights", "light_image"]

_STANDS_OUT = 10.0
"""Standard deviations of the smoothed excess from which light is looked for at a place."""

_LEAST_COUNTS = 150.0
_LEAST_GAIN = 30.0
"""Excess, and rise of ln likelihood, of a component."""

_FAR, _SHARE = 3.0, 0.25
"""A component has at least this share, and the least counts, beyond so many of the point spread function's 80 %
radii: a point has not, and of a faint source nobody knows."""

_LESS, _MANY, _STEEP = 0.1, 1000.0, 6.0
"""Less will do where the counts are more by this power of what it falls short, or as many as lie under the kernel
of the smoothing."""

_WITHIN = 0.5
"""And beyond this share of the width of the smoothing: what lies within, the mask of a source covers."""

_PEAKED, _CENTRE = 0.5, 1.5
"""A core of less than half the point spread function's 80 % radius is a compact source, and what lies within one
and a half of those radii says nothing about the light around it."""

_WINGS, _UNKNOWN = 0.15, 0.05
"""Shares of a compact source's light that its own wings may hold so far out, and that may be left there when they
have been taken away as the point spread function gives them."""

_ABOUT, _DIPOLE = 6.0, 5.0
"""Light about a compact source has its centre there unless what is left within six radii leans to a side by so many
standard deviations: else the source lies in the wings of the light."""

_CORES = np.geomspace(2.0, 64.0, 16)
_SLOPES = np.array((0.4, 0.45, 0.5, 0.55, 0.6, 0.667, 0.75, 0.85, 1.0))
_FINER = np.linspace(-0.12, 0.12, 9)
"""Changes, ln, of core and slope about the best of the grid."""

_CENTRES = 2.0
_WHOLE, _TRUSTED = 0.99, 0.3
"""Within so many widths of the smoothing gaps may hide where light is brightest: of the weight there they take more
than a hundredth, and where they take most of it nothing is known."""

_REACH = 160
"""Pixels to which the fit goes."""

_ROUNDS = 60
_TURNS = 4
_MOST = 3
_BRIGHT = 0.7
"""Where light is brighter than this share of the background, what is left of it does not show the background."""


@dataclass(frozen=True)
class LightComponent:
    """A round component.

    Parameters
    ----------
    x, y
        Its centre, pixels from 0.
    peak
        Counts per pixel and second of exposure in the centre.
    core, slope
        Core radius (pixels) and beta.
    """

    x: float
    y: float
    peak: float
    core: float
    slope: float

    def profile(self, radius: np.ndarray) -> np.ndarray:
        """Counts per pixel and second at some radii, pixels."""
        return self.peak * (1.0 + (radius / self.core) ** 2) ** (0.5 - 3.0 * self.slope)

    def within(self, inner: float, outer: float) -> float:
        """Counts per second between two radii, pixels."""
        radius = inner + (outer - inner) * (np.arange(_REACH) + 0.5) / _REACH
        return float((2.0 * np.pi * radius * self.profile(radius)).mean() * (outer - inner))


def light_image(lights: tuple[LightComponent, ...], shape: tuple[int, int]) -> np.ndarray:
    """Counts per pixel and second of all components, shape as given."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    total = np.zeros(shape)
    for one in lights:
        total += one.profile(np.hypot(x - one.x, y - one.y))
    return total


def fit_lights(
    counts: np.ndarray,
    exposure: np.ndarray,
    model: np.ndarray,
    *,
    compact: Callable[[np.ndarray], np.ndarray],
    smooth: Callable[[np.ndarray, np.ndarray], np.ndarray],
    psf_radius: float,
    sigma: float,
    points: np.ndarray | None = None,
) -> tuple[LightComponent, ...]:
    """Find the extended light of an image.

    Parameters
    ----------
    counts, exposure
        Shape (ny, nx); both zero in pixels that are left out.
    model
        Expected counts without sources, as smoothing alone gives them.
    compact
        From a model to the pixels of compact sources above it, bool.
    smooth
        From counts and exposure without sources to the background, counts at full exposure.
    psf_radius
        Radius that holds 80 % of a point source, pixels.
    sigma
        Width of the smoothing, pixels.
    points
        Counts of point sources that have been taken away, same shape.

    Returns
    -------
    tuple of LightComponent
        The brightest first; none where there is no such light.
    """
    lights: tuple[LightComponent, ...] = ()
    # Whatever else is bright reaches over its surroundings, too: its flanks are not light of their own.
    others: tuple[LightComponent, ...] = ()
    base, taken = model, np.zeros(counts.shape, dtype=bool)
    width, far = max(psf_radius, 3.0), max(_FAR * psf_radius, _WITHIN * sigma)
    y, x = (np.asarray(axis) for axis in np.indices(counts.shape))
    for _ in range(_MOST):
        known = light_image((*lights, *others), counts.shape) * exposure
        place = _brightest(counts, exposure, base + known, taken, width)
        if place is None:
            break
        away = np.hypot(x - place[0], y - place[1])
        found = rejected = None
        left = 0.0 if points is None else _UNKNOWN * float(points[away < 2.0 * far].sum())
        # Light and background are found in turns: each is contaminated by the other at first.
        for turn in range(_TURNS):
            around = base + known
            lit = around if found is None else around + found.profile(away) * exposure
            # Above the light itself compact sources show up to its centre; above nothing it is compact, too.
            kept = (exposure > 0) & ~(compact(lit) & (away > (2.5 if found is None else 1.0) * width))
            fitted, wings = _fitted(counts * kept, exposure * kept, around * kept, away, place), 0.0
            if fitted is not None and fitted.core < _PEAKED * psf_radius:
                wings = _WINGS * fitted.within(0.0, psf_radius)
                kept &= away > _CENTRE * psf_radius
                fitted = _fitted(counts * kept, exposure * kept, around * kept, away, place)
                if fitted is not None:
                    below = (around + fitted.profile(away) * exposure) * (kept & (away < _ABOUT * width))
                    if not _is_centred(counts, below, x - place[0], y - place[1]):
                        fitted = None
            # Of the first fit nobody knows yet: the smoothed background holds a part of the light.
            least = max(left, wings * float(exposure.max()))
            if fitted is None or (turn and not _is_extended(fitted, exposure, away, far, least)):
                rejected, found = fitted, None
                break
            found = fitted
            light = (light_image(lights, counts.shape) + found.profile(away)) * exposure
            dark = kept & (light < _BRIGHT * base)
            base = smooth(np.where(dark, counts - light, 0.0), exposure * dark)
        if found is None:
            taken |= away < 4.0 * width
            if rejected is not None:
                others = (*others, rejected)
            continue
        lights = (*lights, found)
        taken |= away < max(4.0 * width, 3.0 * found.core)
    return lights


def _brightest(
    counts: np.ndarray, exposure: np.ndarray, model: np.ndarray, taken: np.ndarray, width: float
) -> tuple[float, float] | None:
    """Where smoothed counts stand out most from a model, if anywhere."""
    excess = gaussian_filter(counts - model, width, mode="constant", truncate=4.0)
    least = 0.3 * _LEAST_COUNTS / (2 * np.pi * width**2)
    if excess.max() < least:
        # Of most fields: the second smoothing is not needed.
        return None
    noise = np.sqrt(gaussian_filter(model, width, mode="constant", truncate=4.0) / (4.0 * np.pi * width**2) + 1e-9)
    height = np.where(taken, 0.0, excess / noise)
    row, column = (int(place) for place in np.unravel_index(int(height.argmax()), height.shape))
    if height[row, column] < _STANDS_OUT or excess[row, column] < least:
        return None
    return _centre(np.where(taken, 0.0, excess), exposure > 0, column, row, width)


def _centre(excess: np.ndarray, seen: np.ndarray, column: int, row: int, width: float) -> tuple[float, float]:
    """Where light near a place is brightest; in gaps and beside them counts are missing."""
    near, wide = (
        tuple(slice(max(middle - reach, 0), middle + reach + 1) for middle in (row, column))
        for reach in (math.ceil(_CENTRES * width), math.ceil((_CENTRES + 4.0) * width))
    )
    share = np.zeros(seen.shape, np.float32)
    share[wide] = gaussian_filter(seen[wide].astype(np.float32), width, mode="constant", truncate=4.0)
    share = share[near]
    if share.min() > _WHOLE:
        return float(column), float(row)
    bright = np.where(share > _TRUSTED, excess[near] / np.maximum(share, _TRUSTED), -np.inf)
    y, x = np.unravel_index(int(bright.argmax()), bright.shape)
    return float(x + near[1].start), float(y + near[0].start)


def _fitted(
    counts: np.ndarray, exposure: np.ndarray, model: np.ndarray, away: np.ndarray, place: tuple[float, float]
) -> LightComponent | None:
    ring = np.minimum(away.astype(int), _REACH).ravel()
    number, seconds, below = (
        np.bincount(ring, part.ravel(), _REACH + 1)[:_REACH] for part in (counts, exposure, model)
    )
    if number.sum() < _LEAST_COUNTS:
        # Nothing fainter is light; and of no counts at all neither level nor profile follows.
        return None
    radius = np.arange(_REACH) + 0.5
    seen = seconds > 0
    number, seconds, below, radius = number[seen], seconds[seen], np.maximum(below[seen], 1e-9), radius[seen]
    none = _likelihood(number, below * max(number.sum(), 1e-9) / below.sum())
    value, light, held = _best((number, seconds, below, radius), _CORES, _SLOPES)
    cores, slopes = light[1] * np.exp(_FINER), np.clip(light[2] * np.exp(_FINER), _SLOPES[0], _SLOPES[-1])
    value, light, held = _best((number, seconds, below, radius), cores, slopes)
    return None if value - none < _LEAST_GAIN or held < _LEAST_COUNTS else LightComponent(*place, *light)


def _best(
    rings: tuple[np.ndarray, ...], cores: np.ndarray, slopes: np.ndarray
) -> tuple[float, tuple[float, float, float], float]:
    """The most likely profile of a grid, in counts, seconds, expectation and radius of rings.

    Returns
    -------
    tuple
        ln likelihood; peak, core and slope; counts.
    """
    number, seconds, below, radius = rings
    cores, slopes = (part.reshape(-1, 1) for part in np.meshgrid(cores, slopes, indexing="ij"))
    shape = seconds * (1.0 + (radius / cores) ** 2) ** (0.5 - 3.0 * slopes)
    light = shape.sum(axis=1)
    level, peak = np.ones(len(shape)), max(number.sum() - 0.9 * below.sum(), 1.0) / light
    for _ in range(_ROUNDS):
        ratio = number / (np.outer(level, below) + peak[:, None] * shape)
        level *= ratio @ below / below.sum()
        peak *= (shape * ratio).sum(axis=1) / light
    value = _likelihood(number, np.outer(level, below) + peak[:, None] * shape)
    best = int(value.argmax())
    found = float(peak[best]), float(cores[best, 0]), float(slopes[best, 0])
    return float(value[best]), found, float(peak[best] * light[best])


def _likelihood(number: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return (number * np.log(np.maximum(mean, 1e-12)) - mean).sum(axis=-1)


def _is_centred(counts: np.ndarray, model: np.ndarray, x: np.ndarray, y: np.ndarray) -> bool:
    """Whether counts scatter about a model, where there is one, evenly on all sides of a place."""
    used = model > 0
    left, expected = counts[used] - model[used], model[used]
    return all(abs((left * off[used]).sum()) < _DIPOLE * np.sqrt((expected * off[used] ** 2).sum()) for off in (x, y))


def _is_extended(light: LightComponent, exposure: np.ndarray, away: np.ndarray, far: float, least: float) -> bool:
    """Whether so much of the light lies beyond a radius that it cannot be a point source's."""
    outside = light.within(far, _REACH)
    share = outside / (outside + light.within(0.0, far))
    beyond = (away > far) & (away < _REACH)
    number = (light.profile(away[beyond]) * exposure[beyond]).sum()
    least = max(least, min(_LEAST_COUNTS * max(_SHARE / share, 1.0) ** _STEEP, _MANY))
    return bool(number > least and share > _LESS)
