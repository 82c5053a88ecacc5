"""The chance of every coefficient of a wavelet transform without a source, and the thresholds that follow.

The correlation of the wavelet W with Poisson counts of mean B is a compound Poisson variable:
its characteristic function is ``exp(B sum_k (exp(i t W_k) - 1))``, so that its distribution
follows by one Fourier transform, at any count level and for any chance (a Gaussian threshold is
too low by up to eight times at the count levels of X-ray images).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

from daxa.xray.detection.cells import block_most
from daxa.xray.detection.wavelet import Wavelet, WaveletResponse, wavelet_kernel

__all__ = ["LEAST", "exceeds", "log_chance", "tail_table", "threshold"]

LEAST = 1.05
"""Least coefficient of a source, in units of the wavelet's peak: a single photon is not one."""

_STEP = math.log(10.0) / 32
"""Step of the tables in ln q; chances between them are interpolated to better than 1 %."""

_CELLS = 1 << 15
_MANY = 300.0
"""Counts under the wavelet above which the distribution follows from its cumulants."""

_BLUR = 4.0
"""Cells by which the table and the transform may shift a value."""

_FLOOR = 1e-12
"""Chance below which rounding of the transform shows, and a saddle point takes over."""


@dataclass(frozen=True, eq=False)
class _Tail:
    """ln P(C >= c) on a regular grid of c (units of the wavelet's peak), and beyond it."""

    start: float
    cell: float
    log: np.ndarray
    far_c: np.ndarray
    far_log: np.ndarray


@lru_cache(maxsize=1024)
def tail_table(width: float, step: int) -> _Tail:
    """Distribution of the correlation without a source.

    Parameters
    ----------
    width
        Of the wavelet, pixels.
    step
        The background: ``q = exp(step ln(10) / 32)`` counts under ``2 pi width^2`` pixels.
    """
    q = math.exp(step * _STEP)
    mean = q / (2.0 * math.pi * width * width)
    values, numbers = np.unique(wavelet_kernel(width).round(7), return_counts=True)
    kept = np.abs(values) > 2e-7
    values, numbers = values[kept], numbers[kept]
    sigma = 0.5 * math.sqrt(q)
    start = -10.0 * sigma - 1.0
    cell = (12.0 * sigma + 14.0 - start) / _CELLS
    chance = fft.irfft(np.exp(_log_characteristic(q, mean, (values, numbers), cell)), _CELLS)
    first = math.floor(start / cell)
    tail = np.cumsum(np.roll(chance, -first)[::-1])[::-1]
    good = max(int(np.argmax(tail < _FLOOR)) or _CELLS, 2)
    log = np.log(tail[:good]).astype(np.float32)
    far_c, far_log = _saddle(mean, values, numbers, (first + good - 1) * cell, log[-1])
    return _Tail(first * cell, cell, log, far_c, far_log)


def _log_characteristic(q: float, mean: float, kernel: tuple[np.ndarray, np.ndarray], cell: float) -> np.ndarray:
    """Logarithm of the characteristic function at the frequencies of the grid."""
    values, numbers = kernel
    if q < _MANY:
        place = values / cell
        low = np.floor(place).astype(int)
        # Split between neighbours, so that the mean is preserved.
        weight = np.bincount(low % _CELLS, numbers * (1.0 - (place - low)), _CELLS)
        weight += np.bincount((low + 1) % _CELLS, numbers * (place - low), _CELLS)
        return mean * (fft.rfft(weight) - weight.sum())
    # Cells are no longer small compared with the kernel's values, but the first cumulants suffice.
    t = 2.0 * math.pi / (_CELLS * cell) * np.arange(_CELLS // 2 + 1)
    t = -1j * np.minimum(t, 12.0 / (0.5 * math.sqrt(q)))
    return sum(mean * (numbers @ values**m) / math.factorial(m) * t**m for m in range(1, 9))


def _saddle(
    mean: float, values: np.ndarray, numbers: np.ndarray, joint: float, log: float
) -> tuple[np.ndarray, np.ndarray]:
    """Ln P far out: the leading term of the saddle point, continued from the exact value."""
    tilt = np.geomspace(1e-3, 60.0, 400)
    power = np.exp(np.outer(tilt, values)) * (mean * numbers)
    c = power @ values
    rate = tilt * c - (power.sum(axis=1) - mean * numbers.sum())
    at_joint = np.interp(joint, c, rate)
    return c, np.minimum(log - (rate - at_joint), log)


def log_chance(wavelet: Wavelet, excess: np.ndarray, background: np.ndarray, lot: np.ndarray) -> np.ndarray:
    """Ln of the probability that the background alone gives a coefficient at least as large.

    Parameters
    ----------
    wavelet
        The scale.
    excess, background
        Shape (n,), of `WaveletResponse`, at some pixels.
    lot
        Shape (n,), in [0, 1): where few photons make equal values likely, a value counts
        as larger than this share of its equals, so that the chance is below p in the share
        p of cases, for every p (a randomised test).

    Returns
    -------
    numpy.ndarray
        float64, shape (n,).

    Examples
    --------
    >>> from daxa.xray.detection.wavelet import make_wavelets
    >>> wavelet = make_wavelets((4.0,))[0]
    >>> strong = log_chance(wavelet, np.array([4.275]), np.array([1 / (2 * np.pi * 16)]), np.array([0.5]))
    >>> bool(0.9e-6 < np.exp(strong[0]) < 1.1e-6)
    True
    """
    excess = np.asarray(excess, np.float64)
    q = np.maximum(np.asarray(background, np.float64) * (2.0 * math.pi * wavelet.width**2), 1e-7)
    place = np.log(q) / _STEP
    low = np.floor(place).astype(int)
    share = place - low
    result = np.empty(len(excess))
    order = np.argsort(low, kind="stable")
    if not len(low):
        return result
    edges = np.flatnonzero(np.diff(low[order], prepend=low[order][:1] - 1))
    for rows in np.split(order, edges[1:]):
        step = int(low[rows[0]])
        below, above = (_look_up(tail_table(wavelet.width, s), excess[rows], lot[rows]) for s in (step, step + 1))
        result[rows] = below + (above - below) * share[rows]
    return result


def _look_up(tail: _Tail, c: np.ndarray, lot: np.ndarray) -> np.ndarray:
    place, cells = (c - tail.start) / tail.cell, np.arange(len(tail.log))
    # Rounding of the transform and of the table must not make equal values differ.
    least, most = (np.exp(np.interp(place + side, cells, tail.log)) for side in (_BLUR, -_BLUR))
    near = np.log(least + (most - least) * lot)
    return np.where(place < len(tail.log) - 1 - _BLUR, near, np.interp(c, tail.far_c, tail.far_log))


def threshold(wavelet: Wavelet, background: np.ndarray, log_p: float) -> np.ndarray:
    """Smallest coefficient whose chance without a source is at most p.

    Parameters
    ----------
    wavelet
        The scale.
    background
        Counts per binned pixel, any shape.
    log_p
        ln p.

    Returns
    -------
    numpy.ndarray
        float64, in units of the wavelet's peak, shape of ``background``.
    """
    background = np.asarray(background)
    return _thresholds(wavelet, background, log_p, (background.min(), background.max()))


def _thresholds(
    wavelet: Wavelet, background: np.ndarray, log_p: float, ends: tuple[np.floating, np.floating]
) -> np.ndarray:
    """`threshold` at some of the pixels of a map, of which the smallest and largest background are given."""
    area = 2.0 * math.pi * wavelet.width**2
    low, high = (np.log(np.maximum(np.float64(end) * area, 1e-7)) / _STEP for end in ends)
    # Over a wide range, as near gaps, every fourth table suffices: the threshold is smooth.
    first, last = math.floor(low), math.ceil(high) + 1
    steps = range(first, last + 4, 1 if last - first < 64 else 4)
    q = np.maximum(np.asarray(background, np.float64) * area, 1e-7)
    return np.interp(np.log(q) / _STEP, steps, _limits(wavelet.width, steps, log_p))


def exceeds(response: WaveletResponse, log_p: float) -> np.ndarray:
    """Pixels of a transform whose coefficient is larger than the threshold.

    Parameters
    ----------
    response
        Of an image at one scale.
    log_p
        ln of the largest chance.

    Returns
    -------
    numpy.ndarray
        bool, shape of the binned image.
    """
    wavelet, excess = response.wavelet, response.excess
    ratio = wavelet.coarse // wavelet.bin
    # A single photon is never enough; most of the larger pixels need no threshold.
    above = excess > LEAST
    may = block_most(above, ratio)
    background = response.background * wavelet.bin**2
    limit = np.full(background.shape, np.inf)
    limit[may] = np.maximum(_thresholds(wavelet, background[may], log_p, (background.min(), background.max())), LEAST)
    if ratio > 1:
        limit = np.repeat(np.repeat(limit, ratio, axis=0), ratio, axis=1)[: excess.shape[0], : excess.shape[1]]
    return excess > limit


@lru_cache(maxsize=1 << 12)
def _limits(width: float, steps: range, log_p: float) -> np.ndarray:
    """The thresholds at some steps of the background."""
    return np.array([_limit(width, step, log_p) for step in steps])


@lru_cache(maxsize=1 << 16)
def _limit(width: float, step: int, log_p: float) -> float:
    tail = tail_table(width, step)
    if log_p >= tail.log[-1]:
        return tail.start + tail.cell * float(np.interp(-log_p, -tail.log, np.arange(len(tail.log))))
    return float(np.interp(-log_p, -tail.far_log, tail.far_c))
