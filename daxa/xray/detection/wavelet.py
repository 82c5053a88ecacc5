"""Mexican-hat wavelets of counts.

The wavelet of scale s is ``W(r) = (2 - r^2/s^2) exp(-r^2/2s^2) / (2 pi s^2)`` (Freeman,
Kashyap, Rosner and Lamb 2002, ApJS 138, 185).

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
from daxa.xray.detection.cells import binned

__all__ = [
    "LADDER",
    "Wavelet",
    "WaveletResponse",
    "make_wavelets",
    "respond",
    "wavelet_kernel",
]

LADDER = tuple(float(2 ** (k / 2)) for k in range(11))
"""The scales, pixels, in steps of the square root of 2, for which false rates are calibrated."""

_WIDEST = 5.0
"""Widest wavelet, pixels: above it the image is binned by two, for it holds nothing finer."""

_REACH = 6.0
"""Where the wavelet is cut off, in scales: W is there below 3e-7 of its peak."""

_ROWS = 32
"""Rows of a spectrum that are worked on at a time, to stay in the processor's cache."""


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


def wavelet_kernel(width: float) -> np.ndarray:
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
