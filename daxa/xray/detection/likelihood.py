"""The likelihood of one source, with its first and second changes, from the pixels that have counts.

Of ``sum(n ln m - m)`` the first part needs the pixels that have counts, which are few, and the
second the sum of the model alone, which needs no model pixel by pixel: a round source is a sum of
products of lines, and so is what it leaves in the exposure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import erf, gammaincc

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "LEAST",
    "Light",
    "PhotonLikelihood",
    "Slope",
    "Stamp",
    "climb",
    "detection_likelihood",
    "log_likelihood",
    "pixel_lines",
]

LEAST = 1e-12

_ROUNDS = 60
_NEAR = 1e-8
"""Predicted rise of ln likelihood below which a fit has converged: the position is then within 1e-4 of its error."""

_FLAT, _BENT = 0.2, 0.5
"""A curvature below the first value, relative to the one expected from the model, is replaced by the second."""


@dataclass(frozen=True, eq=False)
class Stamp:
    """Part of an image: its first column and row, and counts, seconds and background as floats, shape (ny, nx)."""

    x0: int
    y0: int
    counts: np.ndarray
    exposure: np.ndarray
    background: np.ndarray


def pixel_lines(centre: float, first: int, n: int, widths: np.ndarray) -> np.ndarray:
    """Gaussians integrated over the pixels of a line, and how that changes with the centre.

    Parameters
    ----------
    centre
        Of the Gaussians, pixels.
    first, n
        First pixel, and number of pixels.
    widths
        Standard deviations, pixels, shape (components,).

    Returns
    -------
    numpy.ndarray
        Shape (components, 3, n): the integrals, their first and their second derivative.
    """
    wide = widths[:, None]
    edges = (np.arange(first, first + n + 1) - 0.5 - centre) / wide
    density = np.exp(-0.5 * edges * edges) / (math.sqrt(2.0 * math.pi) * wide)
    ends = np.stack((0.5 * erf(edges / math.sqrt(2.0)), -density, -edges / wide * density), axis=1)
    return ends[..., 1:] - ends[..., :-1]


@dataclass(frozen=True, eq=False)
class Light:
    """A source of unit rate at some position: counts at the pixels with counts, their sum, and derivatives.

    Parameters
    ----------
    photons
        Shape (6, k), at each pixel: the counts, their derivatives by x, x twice, y, x and y, and y twice.
    total
        The same of the sum over all pixels, shape (6,).
    """

    photons: np.ndarray
    total: np.ndarray


@dataclass(frozen=True, eq=False)
class Slope:
    """Derivatives of the likelihood by ln rate, x and y.

    Parameters
    ----------
    pull
        First derivatives, shape (3,).
    bend
        Second derivatives with changed sign, shape (3, 3).
    scatter
        Expectation of `bend` under the model, estimated from the photons.
    """

    pull: np.ndarray
    bend: np.ndarray
    scatter: np.ndarray


class PhotonLikelihood:
    """The likelihood of one source in a part of an image.

    Parameters
    ----------
    stamp
        Counts, seconds and background.
    mixture
        Weights and widths (pixels) of the Gaussians of the source.
    """

    def __init__(self, stamp: Stamp, mixture: tuple[np.ndarray, np.ndarray]) -> None:
        self.stamp, (self._weights, self._widths) = stamp, mixture
        self._rows, self._columns = np.nonzero(stamp.counts)
        seen = self._rows, self._columns
        self.counts, self._below, self._exposed = stamp.counts[seen], stamp.background[seen], stamp.exposure[seen]
        self._under = float(stamp.background.sum())
        self.nothing = float(self.counts @ np.log(self._below)) - self._under

    def light(self, x: float, y: float) -> Light:
        """A source of unit rate at a position, pixels from 0."""
        ny, nx = self.stamp.counts.shape
        across = pixel_lines(x, self.stamp.x0, nx, self._widths)
        upright = pixel_lines(y, self.stamp.y0, ny, self._widths) * self._weights[:, None, None]
        photons, total = np.empty((6, len(self.counts))), np.empty(6)
        for first, order in ((0, 0), (3, 1), (5, 2)):
            # With the first derivative by y goes the first by x at most, with the second none.
            last = 3 - order
            image = (upright[:, order].T @ across[:, :last].reshape(len(across), -1)).reshape(ny, last, nx)
            photons[first : first + last] = image[self._rows, :, self._columns].T
            total[first : first + last] = np.einsum("yx,ybx->b", self.stamp.exposure, image)
        photons *= self._exposed
        return Light(photons, total)

    def value(self, rate: float, light: Light) -> float:
        """Ln likelihood relative to no source."""
        model = self._below + rate * light.photons[0]
        return float(self.counts @ np.log(model)) - rate * float(light.total[0]) - self._under - self.nothing

    def slope(self, rate: float, light: Light) -> Slope:
        """Derivatives of the likelihood at a position."""
        photons, total = rate * light.photons, rate * light.total
        ratio = self.counts / (self._below + photons[0])
        # n/m - 1, summed over all pixels with each derivative of the model.
        r, x, xx, y, xy, yy = photons @ ratio - total
        slopes = photons[[0, 1, 3]]
        scatter = (slopes * (ratio * ratio / self.counts)) @ slopes.T
        return Slope(np.array((r, x, y)), scatter - np.array(((r, x, y), (x, xx, xy), (y, xy, yy))), scatter)

    def first_rate(self, light: Light) -> float:
        """An initial rate: the counts above the background."""
        above = max(float(self.counts.sum()) - self._under, 1.0)
        return above / max(float(light.total[0]), LEAST)


def climb(
    likelihood: PhotonLikelihood,
    at: tuple[float, float],
    rate: float,
    box: Sequence[tuple[float, float]],
    *,
    fixed: bool = False,
) -> tuple[float, float, float, float]:
    """Newton's method from an initial position and rate to the maximum of the likelihood.

    Parameters
    ----------
    likelihood
        Of the source.
    at, rate
        Initial x, y and count/s.
    box
        Least and largest x and y.
    fixed
        Whether the rate is fixed.

    Returns
    -------
    tuple
        x, y, rate, and ln likelihood above that of no source.
    """
    light = likelihood.light(*at)
    value, damping = likelihood.value(rate, light), 0.0
    most = np.array([1.0, *(0.25 * (high - low) for low, high in box)])
    for _ in range(_ROUNDS):
        slope = likelihood.slope(rate, light)
        free = np.array([not fixed, *(_is_free(*one) for one in zip(at, slope.pull[1:], box, strict=True))])
        directions = _directions(slope, free)
        while True:
            step = np.clip(_step(slope.pull, free, directions, damping), -most, most)
            new = tuple(float(min(max(a + d, low), high)) for a, d, (low, high) in zip(at, step[1:], box, strict=True))
            trial, there = max(rate * math.exp(step[0]), LEAST), likelihood.light(*new)
            better, promised = likelihood.value(trial, there), float(slope.pull @ step)
            if better >= value - 1e-12 * abs(value) or promised < _NEAR or damping > 1e6:
                break
            damping = max(8.0 * damping, 0.1)
        if better >= value:
            at, rate, value, light = (new[0], new[1]), trial, better, there
        if promised < _NEAR or damping > 1e6:
            break
        damping = 0.2 * damping if damping > 0.01 else 0.0
    return *at, rate, value


def _is_free(at: float, pull: float, box: tuple[float, float]) -> bool:
    """Whether a coordinate may move in the direction of higher likelihood."""
    return not ((at <= box[0] and pull < 0) or (at >= box[1] and pull > 0))


def _directions(slope: Slope, free: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Units, curvatures and directions in which the free parameters are stepped, the curvatures all upward."""
    bend = slope.bend[np.ix_(free, free)]
    unit = 1.0 / np.sqrt(np.maximum(np.maximum(np.diag(slope.scatter)[free], np.abs(np.diag(bend))), LEAST))
    values, vectors = np.linalg.eigh(bend * np.outer(unit, unit))
    return unit, np.where(values > _FLAT, values, _BENT), vectors


def _step(
    pull: np.ndarray, free: np.ndarray, directions: tuple[np.ndarray, np.ndarray, np.ndarray], damping: float
) -> np.ndarray:
    unit, values, vectors = directions
    step = np.zeros(3)
    step[free] = unit * (vectors @ ((vectors.T @ (unit * pull[free])) / (values + damping)))
    return step


def log_likelihood(n: np.ndarray, model: np.ndarray) -> float:
    """Poisson log-likelihood of counts `n` under expected counts `model`, without the term of n alone (Cash 1979)."""
    return float((n * np.log(model) - model).sum())


def detection_likelihood(gain: ArrayLike, parameters: int) -> np.ndarray:
    """-ln of the chance that noise raises the likelihood as much.

    Parameters
    ----------
    gain
        ln likelihood above that of no source.
    parameters
        Number of fitted parameters: 3 for a point, 4 for an extended source.

    Returns
    -------
    numpy.ndarray
        ``-ln(1 - P(k/2, gain))``, P the incomplete Gamma function: the likelihood of the
        lists of XMM-Newton and eROSITA.

    Examples
    --------
    >>> float(detection_likelihood(np.array(20.0), 2).round(6))
    20.0
    """
    gain = np.maximum(np.asarray(gain, np.float64), 0.0)
    chance = gammaincc(0.5 * parameters, np.minimum(gain, 600.0))
    return -np.log(chance) + np.maximum(gain - 600.0, 0.0)
