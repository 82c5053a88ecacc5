"""Peaks of a wavelet transform that a background alone would hardly make, one for each source.

A peak is a local maximum of one scale whose chance is small.  Peaks of several scales that
belong together become one: the least likely peak stands for all that lie within its reach.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from scipy.spatial import cKDTree

from daxa.xray.detection.cells import block_least
from daxa.xray.detection.chance import LEAST, log_chance, threshold
from daxa.xray.detection.wavelet import Wavelet, WaveletResponse, respond

__all__ = ["Peaks", "find_peaks", "joined", "merge_peaks"]

_REACH = 1.5
"""Peaks within this many scales of each other (the larger one's) belong together."""

_NESTED = 4.0
"""A peak so many times smaller than the structure that it lies in stands for itself."""

_SLACK = 0.8
_POOL = 8
"""First cut: this share of the threshold for the smallest background within so many image pixels."""


@dataclass(frozen=True, eq=False)
class Peaks:
    """Local maxima, arrays of shape (n,).

    Parameters
    ----------
    x, y
        Pixel of the image, from 0.
    scale
        Pixels.
    excess
        Coefficient in units of the wavelet's peak.
    background
        Local background, counts per image pixel.
    log_p
        ln of the chance of this coefficient without a source.
    """

    x: np.ndarray
    y: np.ndarray
    scale: np.ndarray
    excess: np.ndarray
    background: np.ndarray
    log_p: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: np.ndarray) -> Peaks:
        """The chosen ones, in that order."""
        return Peaks(*(getattr(self, field.name)[rows] for field in fields(self)))


def joined(first: Peaks, second: Peaks) -> Peaks:
    """Both, one after the other."""
    return Peaks(*(np.concatenate([getattr(part, field.name) for part in (first, second)]) for field in fields(Peaks)))


def find_peaks(
    counts: np.ndarray,
    background: np.ndarray,
    valid: np.ndarray,
    wavelets: tuple[Wavelet, ...],
    log_p: float,
    *,
    origin: tuple[int, int] = (0, 0),
    workers: int = 2,
) -> Peaks:
    """Local maxima with a chance of at most p, of all scales.

    Parameters
    ----------
    counts, background
        Shape (ny, nx); both zero in pixels that are left out.
    valid
        Shape (ny, nx), bool: where a source may be centred.
    wavelets
        The scales.
    log_p
        ln p.
    origin
        Column and row of the image's first pixel in a larger one, of which it is a part.
    workers
        Threads; the result does not depend on them.

    Returns
    -------
    Peaks
        Finest scale first, row by row.
    """
    found = [_of_scale(part, valid, log_p, origin) for part in respond(counts, background, wavelets, workers=workers)]
    return Peaks(*(np.concatenate([getattr(part, field.name) for part in found]) for field in fields(Peaks)))


def _of_scale(response: WaveletResponse, valid: np.ndarray, log_p: float, origin: tuple[int, int]) -> Peaks:
    wavelet, excess = response.wavelet, response.excess
    pool = max(1, _POOL // wavelet.coarse)
    limit = _SLACK * threshold(wavelet, block_least(response.background, pool) * wavelet.bin**2, log_p)
    ratio = pool * wavelet.coarse // wavelet.bin
    iy, ix = _above(excess, np.maximum(limit, LEAST).astype(np.float32), ratio)
    top = _is_top(excess, iy, ix)
    iy, ix = iy[top], ix[top]
    y, x = ((i * wavelet.bin + (wavelet.bin - 1) // 2) for i in (iy, ix))
    inside = valid[np.minimum(y, valid.shape[0] - 1), np.minimum(x, valid.shape[1] - 1)]
    iy, ix, y, x = iy[inside], ix[inside], y[inside], x[inside]
    value, local = excess[iy, ix].astype(np.float64), response.local(iy, ix)
    first_x, first_y = (first // wavelet.bin for first in origin)
    chance = log_chance(wavelet, value, local, _lot(iy + first_y, ix + first_x, wavelet.scale))
    kept = chance <= log_p
    half = 0.5 * (wavelet.bin - 1)
    return Peaks(
        (ix[kept] * wavelet.bin + half).astype(np.float64),
        (iy[kept] * wavelet.bin + half).astype(np.float64),
        np.full(kept.sum(), wavelet.scale),
        value[kept],
        local[kept] / wavelet.bin**2,
        chance[kept],
    )


def _above(image: np.ndarray, limit: np.ndarray, ratio: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels above a limit that is given in pixels ``ratio`` times as large."""
    rows, columns = [], []
    nx = image.shape[1]
    for j, line in enumerate(limit):
        block = image[j * ratio : (j + 1) * ratio]
        iy, ix = np.nonzero(block > (line if ratio == 1 else np.repeat(line, ratio)[:nx]))
        rows.append(iy + j * ratio)
        columns.append(ix)
    return np.concatenate(rows), np.concatenate(columns)


def _is_top(image: np.ndarray, iy: np.ndarray, ix: np.ndarray) -> np.ndarray:
    """Whether pixels exceed their neighbours; of equal ones the last does."""
    ny, nx = image.shape
    value = image[iy, ix]
    top = np.ones(len(iy), dtype=bool)
    for dy, dx in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
        jy, jx = iy + dy, ix + dx
        there = (jy >= 0) & (jy < ny) & (jx >= 0) & (jx < nx)
        other = np.where(there, image[np.clip(jy, 0, ny - 1), np.clip(jx, 0, nx - 1)], -np.inf)
        top &= (value >= other) if (dy, dx) < (0, 0) else (value > other)
    return top


def _lot(iy: np.ndarray, ix: np.ndarray, scale: float) -> np.ndarray:
    """An even number in [0, 1) of each pixel, always the same: the additive recurrence of the plastic number."""
    return (0.7548776662466927 * ix + 0.5698402909980532 * iy + 0.618033988749895 * math.log2(scale)) % 1.0


def merge_peaks(peaks: Peaks) -> Peaks:
    """One peak for each source: the least likely of those that belong together.

    Parameters
    ----------
    peaks
        Of all scales.

    Returns
    -------
    Peaks
        The least likely first.  Leaving out peaks above some chance before or after
        merging gives the same.

    Notes
    -----
    Peaks belong together within 1.5 times the larger of their scales.  A peak at most a
    quarter the size of a less likely one belongs to that one only within 1.5 of its own
    scales: a point source in a cluster is a source.
    """
    if not len(peaks):
        return peaks
    order = np.lexsort((peaks.x, peaks.y, peaks.scale, peaks.log_p))
    peaks = peaks.take(order)
    tree = cKDTree(np.column_stack((peaks.x, peaks.y)))
    near = tree.query_ball_point(tree.data, _REACH * float(peaks.scale.max()))
    free = np.ones(len(peaks), dtype=bool)
    for first in range(len(peaks)):
        if not free[first]:
            continue
        others = np.array(near[first])
        others = others[others > first]
        size = peaks.scale[others]
        nested = size * _NESTED <= peaks.scale[first] * 1.001
        reach = _REACH * np.where(nested, size, np.maximum(size, peaks.scale[first]))
        apart = np.hypot(peaks.x[others] - peaks.x[first], peaks.y[others] - peaks.y[first])
        free[others[apart <= reach]] = False
    return peaks.take(np.flatnonzero(free))
