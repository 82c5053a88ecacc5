"""Mexican-hat wavelets of counts, and the exact chance of every coefficient without a source.

The wavelet of scale s is ``W(r) = (2 - r^2/s^2) exp(-r^2/2s^2) / (2 pi s^2)`` (Freeman,
Kashyap, Rosner and Lamb 2002, ApJS 138, 185).  The correlation of W with Poisson counts
of mean B is a compound Poisson variable: its characteristic function is
``exp(B sum_k (exp(i t W_k) - 1))``, so that its distribution follows by one Fourier
transform, at any count level and for any chance (a Gaussian threshold is too low by up to
eight times at the count levels of X-ray images).

Transforms use scipy's pocketfft, which computes each line alike in any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

from daxa.errors import NotPossible
from daxa.xray.detection.cells import binned, block_most

__all__ = [
    "LADDER",
    "LEAST",
    "Wavelet",
    "WaveletResponse",
    "exceeds",
    "log_chance",
    "make_wavelets",
    "respond",
    "tail_table",
    "threshold",
]

LADDER = tuple(float(2 ** (k / 2)) for k in range(11))
"""The scales, pixels, in steps of the square root of 2, for which false rates are calibrated."""

_WIDEST = 5.0
"""Widest wavelet, pixels: above it the image is binned by two, for it holds nothing finer."""

LEAST = 1.05
"""Least coefficient of a source, in units of the wavelet's peak: a single photon is none."""

_REACH = 6.0
"""Where the wavelet is cut off, in scales: W is there below 3e-7 of its peak."""

_STEP = math.log(10.0) / 32
"""Step of the tables in ln q; chances between them are interpolated to better than 1 %."""

_ROWS = 32
"""Rows of a spectrum that are worked on at a time, to stay in the processor's cache."""
_CELLS = 1 << 15
_MANY = 300.0
"""Counts under the wavelet above which the distribution follows from its cumulants."""

_BLUR = 4.0
"""Cells by which the table and the transform may misplace a value."""

_FLOOR = 1e-12
"""Chance below which rounding of the transform shows, and a saddle point takes over."""


@dataclass(frozen=True)
class Wavelet:
    """One scale of the transform.

    Parameters
    ----------
    scale
        In pixels of the image.
    bin
        Image pixels to the side of a pixel in which the transform is computed.
    """

    scale: float
    bin: int

    @property
    def width(self) -> float:
        """The scale in pixels of the binned image."""
        return self.scale / self.bin

    @property
    def coarse(self) -> int:
        """Image pixels to the side of a pixel in which the local background is computed."""
        return 1 << math.floor(math.log2(self.scale * 1.001))

    @property
    def peak(self) -> float:
        """The wavelet at its centre, per binned pixel."""
        return 1.0 / (math.pi * self.width**2)


@dataclass(frozen=True, eq=False)
class WaveletResponse:
    """The transform of an image at one scale.

    Parameters
    ----------
    wavelet
        The scale.
    excess
        float32, shape (ny, nx) of the binned image: correlation of counts minus background,
        in units of the wavelet's peak.
    background
        float32: the background per image pixel, averaged as the variance of the correlation
        weighs it, in pixels of ``wavelet.coarse`` image pixels (it is smooth on that scale).
    """

    wavelet: Wavelet
    excess: np.ndarray
    background: np.ndarray

    def local(self, iy: np.ndarray, ix: np.ndarray) -> np.ndarray:
        """Background per binned pixel at some binned pixels, interpolated."""
        ratio = self.wavelet.coarse // self.wavelet.bin
        y, x = ((np.asarray(i) + 0.5) / ratio - 0.5 for i in (iy, ix))
        y, x = (np.clip(v, 0, n - 1) for v, n in zip((y, x), self.background.shape, strict=True))
        j, i = y.astype(np.intp), x.astype(np.intp)
        fy, fx = y - j, x - i
        j1, i1 = (np.minimum(k + 1, n - 1) for k, n in zip((j, i), self.background.shape, strict=True))
        near = (1 - fx) * self.background[j, i] + fx * self.background[j, i1]
        next_row = (1 - fx) * self.background[j1, i] + fx * self.background[j1, i1]
        return ((1 - fy) * near + fy * next_row) * self.wavelet.bin**2


def make_wavelets(scales: tuple[float, ...]) -> tuple[Wavelet, ...]:
    """The wavelets of some scales.

    Parameters
    ----------
    scales
        Pixels: consecutive members of `LADDER`.

    Raises
    ------
    NotPossible
        Other scales: the rate of false sources is known for these only.

    Examples
    --------
    >>> [(round(w.scale, 2), w.bin) for w in make_wavelets(LADDER[3:7])]
    [(2.83, 1), (4.0, 1), (5.66, 2), (8.0, 2)]
    """
    known = [k for scale in scales for k, own in enumerate(LADDER) if math.isclose(scale, own, rel_tol=1e-3)]
    if not known or len(known) != len(scales) or known != list(range(known[0], known[0] + len(known))):
        raise NotPossible(
            "scales",
            f"wavelet scales of {', '.join(f'{s:.4g}' for s in scales) or 'no'} pixels cannot be calibrated",
            remedy="choose consecutive powers of the square root of 2, from 1 to 32 pixels",
        )
    return tuple(Wavelet(LADDER[k], 1 << max(0, math.ceil(math.log2(LADDER[k] / _WIDEST)))) for k in known)


def _lines(width: float) -> tuple[np.ndarray, np.ndarray]:
    """The two functions of one coordinate that the wavelet consists of."""
    x = np.arange(-math.ceil(_REACH * width), math.ceil(_REACH * width) + 1) / width
    g = np.exp(-0.5 * x * x)
    h = (1.0 - x * x) * g
    return g, h - h.sum() / g.sum() * g


def _kernel(width: float) -> np.ndarray:
    """The wavelet in units of its peak."""
    g, h = _lines(width)
    return 0.5 * (np.outer(g, h) + np.outer(h, g))


def respond(
    counts: np.ndarray, background: np.ndarray, wavelets: tuple[Wavelet, ...], *, workers: int = 2
) -> Iterator[WaveletResponse]:
    """Transforms of an image, one scale after the other, the finest first.

    Parameters
    ----------
    counts
        Shape (ny, nx), counts; zero in pixels that are left out.
    background
        Same shape, expected counts without sources; zero in pixels that are left out.
    wavelets
        As `make_wavelets` gives them.
    workers
        Threads; the result does not depend on them.

    Yields
    ------
    WaveletResponse
        One for each wavelet.
    """
    below = np.asarray(background, np.float32)
    rest = np.asarray(counts, np.float32) - below
    image, map_ = _Transformed(rest, wavelets, 1, workers), _Transformed(below, wavelets, 1, workers)
    for wavelet in wavelets:
        if image.size != wavelet.bin:
            image = _Transformed(binned(rest, wavelet.bin), wavelets, wavelet.bin, workers)
        if map_.size != wavelet.coarse:
            map_ = _Transformed(binned(below, wavelet.coarse), wavelets, wavelet.coarse, workers)
        excess = image.times(_spectra_of_excess(wavelet, *image.shape))
        local = map_.times(_spectra_of_variance(wavelet, *map_.shape))
        yield WaveletResponse(wavelet, excess, np.maximum(local, 0.0, out=local))


class _Transformed:
    """The Fourier transform of an image, padded so that no wavelet reaches around it."""

    def __init__(self, image: np.ndarray, wavelets: tuple[Wavelet, ...], size: int, workers: int) -> None:
        widest = max(w.scale for w in wavelets if size in {w.bin, w.coarse}) / size if size > 1 else _WIDEST
        self.size, self.cut, self.workers = size, image.shape, workers
        self.shape = tuple(fft.next_fast_len(n + math.ceil(_REACH * widest), real=True) for n in image.shape)
        self.spectrum = fft.rfft2(image, self.shape, workers=workers)

    def times(self, lines: _Spectra) -> np.ndarray:
        """The image correlated with a sum of separable kernels, which are given transformed."""
        product = np.empty_like(self.spectrum)
        for start in range(0, len(product), _ROWS):
            rows = slice(start, start + _ROWS)
            factor = lines[0][0][rows, None] * lines[0][1]
            for y, x in lines[1:]:
                factor += y[rows, None] * x
            np.multiply(self.spectrum[rows], factor, out=product[rows])
        result = fft.irfft2(product, self.shape, workers=self.workers, overwrite_x=True)
        return result[: self.cut[0], : self.cut[1]]


_Spectra = tuple[tuple[np.ndarray, np.ndarray], ...]
"""Transforms of the lines, along y and x, of each term of a kernel."""


@lru_cache(maxsize=256)
def _spectra_of_excess(wavelet: Wavelet, ny: int, nx: int) -> _Spectra:
    """Of the wavelet, in units of its peak."""
    g, h = _lines(wavelet.width)
    return _spectra([(g, 0.5 * h), (h, 0.5 * g)], ny, nx)


@lru_cache(maxsize=256)
def _spectra_of_variance(wavelet: Wavelet, ny: int, nx: int) -> _Spectra:
    """Of its square, with the sum 1 per image pixel, in pixels in which the local background is computed."""
    g, h = _lines(wavelet.scale / wavelet.coarse)
    norm = (2.0 * (g * g).sum() * (h * h).sum() + 2.0 * (g * h).sum() ** 2) * wavelet.coarse**2
    return _spectra([(g * g, h * h / norm), (h * h, g * g / norm), (g * h, 2.0 * g * h / norm)], ny, nx)


def _spectra(terms: list[tuple[np.ndarray, np.ndarray]], ny: int, nx: int) -> _Spectra:
    return tuple((_spectrum(y, ny, False), _spectrum(x, nx, True)) for y, x in terms)


def _spectrum(line: np.ndarray, n: int, half: bool) -> np.ndarray:
    """Fourier transform of a line that is symmetric about its middle: real."""
    reach = len(line) // 2
    wrapped = np.zeros(n)
    np.add.at(wrapped, np.arange(-reach, reach + 1) % n, line)
    spectrum = fft.rfft(wrapped).real if half else fft.fft(wrapped).real
    return spectrum.astype(np.float32)


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
    values, numbers = np.unique(_kernel(width).round(7), return_counts=True)
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
        # Split between neighbours, so that the mean stays.
        weight = np.bincount(low % _CELLS, numbers * (1.0 - (place - low)), _CELLS)
        weight += np.bincount((low + 1) % _CELLS, numbers * (place - low), _CELLS)
        return mean * (fft.rfft(weight) - weight.sum())
    # Cells are no longer small beside the kernel's values, but the first cumulants say all.
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
    """Ln of the chance that the background alone gives as large a coefficient.

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
    # Rounding of the transform and of the table must not tell equal values apart.
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
    # Over a wide range, as beside gaps, every fourth table will do: the threshold is smooth.
    first, last = math.floor(low), math.ceil(high) + 1
    steps = np.arange(first, last + 4, 1 if last - first < 64 else 4)
    limits = [_limit(wavelet.width, int(step), log_p) for step in steps]
    q = np.maximum(np.asarray(background, np.float64) * area, 1e-7)
    return np.interp(np.log(q) / _STEP, steps, limits)


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
    # What one photon may give is never enough: of the larger pixels, most need no threshold.
    above = excess > LEAST
    may = block_most(above, ratio)
    background = response.background * wavelet.bin**2
    limit = np.full(background.shape, np.inf)
    limit[may] = np.maximum(_thresholds(wavelet, background[may], log_p, (background.min(), background.max())), LEAST)
    if ratio > 1:
        limit = np.repeat(np.repeat(limit, ratio, axis=0), ratio, axis=1)[: excess.shape[0], : excess.shape[1]]
    return excess > limit


@lru_cache(maxsize=1 << 16)
def _limit(width: float, step: int, log_p: float) -> float:
    tail = tail_table(width, step)
    if log_p >= tail.log[-1]:
        return tail.start + tail.cell * float(np.interp(-log_p, -tail.log, np.arange(len(tail.log))))
    return float(np.interp(-log_p, -tail.far_log, tail.far_c))
