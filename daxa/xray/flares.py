"""Good time without flares: what a light curve of the particle background tells.

The quiescent rate is the mode of the histogram of rates below its median, so that
flares, which only add counts, cannot move it; its width comes from a Gaussian fitted
to the low side.  The idea is that of SAS's espfilt (Kuntz & Snowden 2008, A&A 478,
575); the statistics here are our own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from daxa.xray.gti import normalise
from daxa.xray.lightcurve import LightCurve

__all__ = ["FlareResult", "FlareStatus", "flare_gti"]

FlareStatus = Literal["Good", "Intermediate", "Bad", "Sparse"]

_LEAST_COUNTS = 100
_LEAST_BINS = 10
_LEAST_PER_CELL = 5.0
_SMOOTH_SECONDS = 900.0
_ENOUGH_PER_BIN = 20.0
# Among peaks of about equal height the lowest is the quiescent one: flares only add.
_TOP = 0.8
_ROUNDS = 4
# Mean and standard deviation of a Gaussian cut at -3 and +1 sigma, in units of sigma.
_CUT_MEAN = -0.282786
_CUT_SIGMA = 0.784947


@dataclass(frozen=True)
class FlareResult:
    """The good time that a flare filter leaves, and why.

    Parameters
    ----------
    gti
        Good time intervals, shape (m, 2), s: the kept bins, joined where they touch.
    kept
        Shape (n,), bool.
    status
        ``Good``; ``Intermediate``: less than half of the time kept, or a quiescent rate
        1.5 times as wide as Poisson's; ``Bad``: less than a fifth kept, or twice as
        wide: there is no quiescent rate to speak of.  ``Sparse``: too few counts to
        judge, all is kept.
    rate, sigma
        Quiescent rate and its standard deviation in a full bin, count/s (NaN when sparse).
    lo, hi
        Limits of the rate of a full bin, count/s.
    kept_fraction
        Good seconds kept over good seconds.
    contamination
        Mean rate of what is kept over the quiescent rate, minus one.
    """

    gti: np.ndarray
    kept: np.ndarray
    status: FlareStatus
    rate: float
    sigma: float
    lo: float
    hi: float
    kept_fraction: float
    contamination: float


def flare_gti(curve: LightCurve, *, sigma: float = 3.0) -> FlareResult:
    """Find the good time without flares.

    Parameters
    ----------
    curve
        Light curve in a band that shows the particle background.
    sigma
        A bin is kept when its rate lies within so many standard deviations of the
        quiescent rate.  The deviation counts the good seconds of that bin, so that
        bins cut short by the archive's good times are judged fairly.

    Returns
    -------
    FlareResult
        The good time and the numbers behind it.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> expected = np.full(200, 40.0)
    >>> expected[50:70] = 200.0
    >>> result = flare_gti(LightCurve(0.0, 100.0, rng.poisson(expected), np.full(200, 100.0)))
    >>> result.status, bool(result.kept[50:70].any()), result.kept_fraction > 0.88
    ('Good', False, True)
    """
    counts, seconds = np.asarray(curve.counts, float), np.asarray(curve.exposure, float)
    judged = seconds >= 0.5 * curve.width
    alive = seconds > 0
    cell = _smoothing(counts[judged], curve.width)
    if judged.sum() < _LEAST_BINS or counts[judged].sum() < _LEAST_COUNTS:
        return _sparse(curve, alive)
    mode = _mode(_running_rate(counts, seconds, judged, cell)[judged])
    if mode * curve.width * cell < _LEAST_PER_CELL:
        return _sparse(curve, alive)
    rate, spread = _quiescent(counts[judged] / seconds[judged], mode, curve.width)
    poisson = np.sqrt(rate / curve.width)
    intrinsic = max(spread**2 - poisson**2, 0.0)
    tolerance = sigma * np.sqrt(intrinsic + rate / np.where(alive, seconds, 1.0))
    kept = alive & (np.abs(counts - rate * seconds) <= tolerance * seconds)
    kept = _without_islands(kept, alive)
    return _judge(curve, kept, rate=rate, spread=spread, sigma=sigma)


def _smoothing(counts: np.ndarray, width: float) -> int:
    """Odd number of bins in the running mean for the histogram."""
    if not len(counts) or np.median(counts) >= _ENOUGH_PER_BIN:
        return 1
    return 2 * round(_SMOOTH_SECONDS / width / 2) + 1 if width < _SMOOTH_SECONDS else 1


def _running_rate(counts: np.ndarray, seconds: np.ndarray, judged: np.ndarray, cell: int) -> np.ndarray:
    def window(values: np.ndarray) -> np.ndarray:
        total = np.concatenate([[0.0], np.cumsum(np.where(judged, values, 0.0))])
        at = np.arange(len(values))
        return total[np.minimum(at + cell // 2 + 1, len(values))] - total[np.maximum(at - cell // 2, 0)]

    good = window(seconds)
    return np.divide(window(counts), good, out=np.zeros(len(counts)), where=good > 0)


def _mode(rates: np.ndarray) -> float:
    """Centre of the lowest high bin, at or below the median, of a smoothed histogram."""
    median = float(np.median(rates))
    quarter = float(np.quantile(rates[rates <= median], 0.5))
    # The lower half mirrored about the median has an interquartile range of twice this difference.
    step = 2 * (2 * (median - quarter)) / len(rates) ** (1 / 3)
    least = float(rates.min())
    if step <= 0 or median <= least:
        return median
    n = min(int(np.ceil((median - least) / step)) + 3, 100_000)
    heights, edges = np.histogram(rates, bins=n, range=(median - (n - 1.5) * step, median + 1.5 * step))
    smooth = np.convolve(heights, [1.0, 1.0, 1.0], mode="same")
    centres = (edges[:-1] + edges[1:]) / 2
    below = centres <= median + step / 2
    tops = np.flatnonzero(smooth[below] >= _TOP * smooth[below].max())
    return max(float(centres[below][int(tops[0])]), 0.0)


def _quiescent(rates: np.ndarray, mode: float, width: float) -> tuple[float, float]:
    """Mean and standard deviation of the quiescent rate, by the moments between -3 and +1 sigma."""
    rate = mode
    low = rates[rates <= mode]
    floor = np.sqrt(mode / width)
    spread = max(float(np.sqrt(np.mean((low - mode) ** 2))) if len(low) else 0.0, floor)
    for _ in range(_ROUNDS):
        inside = rates[(rates >= rate - 3 * spread) & (rates <= rate + spread)]
        if len(inside) < _LEAST_BINS:
            break
        rate, spread = (
            float(np.mean(inside)) - _CUT_MEAN * spread,
            max(float(np.std(inside)) / _CUT_SIGMA, floor),
        )
    return rate, spread


def _without_islands(kept: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """Drop single kept bins between rejected ones: a flare that happens to pass through the mode."""
    rejected = np.concatenate([[False], alive & ~kept, [False]])
    return kept & ~(rejected[:-2] & rejected[2:])


def _joined(curve: LightCurve, kept: np.ndarray) -> np.ndarray:
    edges = curve.edges
    change = np.diff(np.concatenate([[0], kept.astype(np.int8), [0]]))
    return normalise(np.column_stack([edges[np.flatnonzero(change == 1)], edges[np.flatnonzero(change == -1)]]))


def _sparse(curve: LightCurve, alive: np.ndarray) -> FlareResult:
    everything = np.array([[curve.edges[0], curve.edges[-1]]])
    nan = float("nan")
    return FlareResult(everything, alive, "Sparse", nan, nan, nan, nan, 1.0, nan)


def _judge(curve: LightCurve, kept: np.ndarray, *, rate: float, spread: float, sigma: float) -> FlareResult:
    seconds = curve.exposure
    fraction = float(seconds[kept].sum() / seconds.sum())
    wide = spread / np.sqrt(rate / curve.width)
    status: FlareStatus = "Good"
    if fraction < 0.2 or wide > 2:
        status = "Bad"
    elif fraction < 0.5 or wide > 1.5:
        status = "Intermediate"
    mean = float(curve.counts[kept].sum() / seconds[kept].sum()) if kept.any() else float("nan")
    return FlareResult(
        gti=_joined(curve, kept),
        kept=kept,
        status=status,
        rate=rate,
        sigma=spread,
        lo=max(rate - sigma * spread, 0.0),
        hi=rate + sigma * spread,
        kept_fraction=fraction,
        contamination=mean / rate - 1,
    )
