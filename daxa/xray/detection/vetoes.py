"""Peaks that are no sources: hot pixels, and noise of the light that they stand in."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import betainc, erf, pdtrc

from daxa.xray.detection.chance import log_chance
from daxa.xray.detection.peaks import Peaks
from daxa.xray.detection.psf import Psf
from daxa.xray.detection.wavelet import make_wavelets

__all__ = ["cleared"]

_HOT = 1e-6
"""Chance of so many of the counts in one pixel below which it is a hot pixel."""

_SHARPER = 2.0
"""Odds of a photon to fall into that pixel, over those of the point spread function, up to which it is none.

Functions are known to some percent of the light within a core, and sources of thousands of counts show as much.
"""

_CROWDED = 1e-4
"""Chance of the counts around a peak below which they are taken for its background."""

_SECTORS = 8


def cleared(peaks: Peaks, counts: np.ndarray, background: np.ndarray, psf: Psf, log_p: float) -> Peaks:
    """Peaks without hot pixels, and without those that are noise of the glow that they stand in.

    Parameters
    ----------
    peaks
        Of an image.
    counts, background
        Its counts, and those expected without sources, shape (ny, nx).
    psf
        The point spread function.
    log_p
        ln of the largest chance of a peak.
    """
    kept = [
        row
        for row in range(len(peaks))
        if not _is_hot(peaks, row, counts, background, psf) and _stands_out(peaks, row, counts, background, log_p)
    ]
    return peaks.take(np.array(kept, dtype=int))


def _is_hot(peaks: Peaks, row: int, counts: np.ndarray, background: np.ndarray, psf: Psf) -> bool:
    """Whether one pixel holds more of the counts around it than the point spread function allows."""
    x, y = round(peaks.x[row]), round(peaks.y[row])
    around = (slice(max(y - 2, 0), y + 3), slice(max(x - 2, 0), x + 3))
    stamp = counts[around]
    total, most = float(stamp.sum()), float(stamp.max(initial=0))
    if most < 3:
        return False
    weights, widths = psf.mixture(psf.angle(x, y))
    core, box = ((weights * erf(half / (math.sqrt(2.0) * widths)) ** 2).sum() for half in (0.5, 2.5))
    below = float(background[around].sum())
    net = max(total - below, 0.0)
    share = (net * core / box + float(background[around].max())) / max(net + below, 1e-9)
    if share >= 1.0 or most * (1.0 - share) < _SHARPER * share * (total - most):
        return False
    return bool(betainc(most, total - most + 1.0, share) * stamp.size < _HOT)


def _stands_out(peaks: Peaks, row: int, counts: np.ndarray, background: np.ndarray, log_p: float) -> bool:
    """Whether a peak remains unlikely when what surrounds it is taken for background.

    The median of eight sectors of the ring, so that a neighbour does not hide a source.
    """
    x, y, scale = peaks.x[row], peaks.y[row], peaks.scale[row]
    inner, outer = 2.0 * scale, 4.0 * scale + 2.0
    y0, y1 = max(math.floor(y - outer), 0), math.ceil(y + outer) + 1
    x0, x1 = max(math.floor(x - outer), 0), math.ceil(x + outer) + 1
    iy, ix = np.mgrid[y0 : min(y1, counts.shape[0]), x0 : min(x1, counts.shape[1])]
    radius = np.hypot(ix - x, iy - y)
    ring = (radius >= inner) & (radius <= outer)
    number, below = counts[iy[ring], ix[ring]], background[iy[ring], ix[ring]]
    if not pdtrc(max(float(number.sum()) - 1, 0), float(below.sum())) < _CROWDED:
        return True
    sector = np.floor((np.arctan2(iy[ring] - y, ix[ring] - x) / (2 * np.pi) + 0.5) * _SECTORS).astype(int) % _SECTORS
    above, under = (np.bincount(sector, part, _SECTORS) for part in (number, below))
    if not (under > 0).any():
        return True
    excess = float(np.median(above[under > 0] / under[under > 0]))
    wavelet = make_wavelets((scale,))[0]
    local = np.array([peaks.background[row] * max(excess, 1.0) * wavelet.bin**2])
    return bool(log_chance(wavelet, peaks.excess[row : row + 1], local, np.array([0.5]))[0] <= log_p)
