"""The rate below which a source at a place lies, from the likelihood of its point spread function."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.fft import irfft, rfft
from scipy.optimize import brentq

from daxa.xray.detection.psffit import Scene, cut_stamp, light_of, widened

__all__ = ["upper_limit"]

_CELLS = 1024
_PLACES = np.arange(_CELLS)


def upper_limit(scene: Scene, x: float, y: float, *, reach: float, confidence: float = 0.9) -> float:
    """Rate below which a source at a position lies, with this confidence.

    Parameters
    ----------
    scene
        Image, exposure, background and point spread function.
    x, y
        Pixel.
    reach
        Pixels from there within which counts are used.
    confidence
        Probability that the rate is lower.

    Returns
    -------
    float
        Count/s; infinite where nothing was exposed.

    Notes
    -----
    Neyman's construction: a rate is excluded if it would give, in ``1 - confidence`` of all
    cases, as little of the likelihood ratio ``sum(n ln(1 + r E P / b))`` as there is, its
    distribution being compound Poisson and half of equal cases counted.  A background that
    fluctuates low would exclude every rate; the limit is therefore no lower than that
    which an empty place has in the median (power-constrained limits: Cowan, Cranmer,
    Gross and Vitells 2011, arXiv:1105.3166).  Above that rate it covers as it says, below
    it always.

    Examples
    --------
    >>> from daxa.xray.detection.psf import gaussian_psf
    >>> scene = Scene(np.zeros((31, 31)), np.ones((31, 31)), np.full((31, 31), 1e-9), gaussian_psf(1.0))
    >>> round(upper_limit(scene, 15, 15, reach=10), 2)
    1.61
    """
    stamp = cut_stamp(scene, x, y, reach)
    shape, _, _ = light_of(stamp, x, y, widened(scene.psf, scene.psf.angle(x, y), 0.0))
    seen = shape > 0
    if not seen.any():
        return math.inf
    n, below, part = stamp.counts[seen], stamp.background[seen], shape[seen]

    def observed(rate: float) -> float:
        weights, cell = _ratio(rate, below, part)
        place = min(float(n @ weights) / cell, _CELLS - 1.0)
        return float(np.interp(place, _PLACES, _chance_below(weights, below + rate * part, cell))) - (1 - confidence)

    def unseen(rate: float) -> float:
        weights, cell = _ratio(rate, below, part)
        chance = _chance_below(weights, below + rate * part, cell)
        if chance[0] >= 1 - confidence:
            return 0.5
        place = np.interp(1 - confidence, chance, _PLACES)
        return 0.5 - float(np.interp(place, _PLACES, _chance_below(weights, below, cell)))

    unit = 1.0 / float(shape.sum())
    return max(_falls_to_zero(observed, unit), _falls_to_zero(unseen, unit))


def _ratio(rate: float, below: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, float]:
    """Logarithmic likelihood ratio of one count in each pixel, and the cell of a grid that holds all sums."""
    weights, mean = np.log1p(rate * part / below), below + rate * part
    most = mean @ weights + 8.0 * math.sqrt(mean @ weights**2) + 3.0 * weights.max()
    return weights, float(most) / _CELLS


def _chance_below(weights: np.ndarray, mean: np.ndarray, cell: float) -> np.ndarray:
    """Chance of a smaller sum of the weights of Poisson counts, half of equal ones counted, on the grid."""
    place = weights / cell
    low = np.floor(place).astype(int)
    # Split between neighbours, so that the mean stays.
    number = np.bincount(low, mean * (1.0 - (place - low)), _CELLS)
    number += np.bincount(low + 1, mean * (place - low), _CELLS)
    chance = irfft(np.exp(rfft(number) - number.sum()), _CELLS)
    return np.maximum.accumulate(np.cumsum(chance) - 0.5 * chance)


def _falls_to_zero(function: Callable[[float], float], unit: float) -> float:
    """Where a falling function of the rate is zero; 0 if it is negative from the beginning."""
    low, high = 1e-3 * unit, 10.0 * unit
    if function(low) <= 0:
        return 0.0
    while function(high) > 0:
        high *= 3.0
    return float(brentq(function, low, high, xtol=1e-4 * unit, rtol=1e-4))
