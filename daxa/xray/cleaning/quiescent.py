"""The quiescent rate of a light curve: what is left when nothing flares.

Flares only add counts, so the lower side of the histogram of rates belongs to quiescence
alone.  The estimate is anchored at the lowest high peak of the histogram and then follows
the mean of a Gaussian cut above, whose width is Poisson's unless the lower side shows
more.  The idea of the anchor is that of SAS's espfilt (Kuntz & Snowden 2008, A&A 478,
575); the statistics here are our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

__all__ = [
    "STEADY",
    "QuiescentRate",
    "deviations",
    "excess_over",
    "find_quiescent",
    "find_sustained",
    "usual_seconds",
]

_LEAST_COUNTS = 100
_LEAST_BINS = 10
_LEAST_PER_CELL = 5.0
_ENOUGH_PER_BIN = 20.0
_LONGEST_CELL = 900.0
_LEAST_CELLS = 25
_LOWEST = 0.1
_UNRESOLVED = 0.02
# Among peaks of about equal height the lowest is the quiescent one: flares only add.
_TOP = 0.8
_FLOOR, _LOW, _HIGH = -4.0, 0.5, 2.5
"""Limits of the cut Gaussian in standard deviations: below, above, and above where nothing flares."""
_ROUNDS = 10
_WIDE, _WIDEST = 1.5, 0.3
_SUSTAINED_COUNTS = 400.0
_MOST_SUSTAINED = 8
"""Counts of the windows in which a sustained level is looked for, and the least number of them in a curve."""
_CHANCE_ABOVE = 1.5
"""Standard deviations above a sustained level up to which a window belongs to it."""
_WAVES, _SURELY = 0.015, 2.0
"""By what share the level of longer windows waves, and how many standard errors lower it must be to count."""
# Mean and standard deviation of a Gaussian cut at -3 and +1 sigma, in units of sigma.
_CUT_MEAN = -0.282786
_CUT_SIGMA = 0.784947

STEADY = 0.03
"""No background is steadier than this share of its rate: what is less is not called a flare."""


@dataclass(frozen=True)
class QuiescentRate:
    """The rate of a light curve in quiescence.

    Parameters
    ----------
    rate
        Mean, count/s.
    intrinsic
        Standard deviation beyond Poisson's, as a share of the rate.
    error
        Standard error of the rate, as a share of it.
    """

    rate: float
    intrinsic: float
    error: float

    def spread(self, seconds: float) -> float:
        """Standard deviation of the rate in a bin of so many good seconds, count/s."""
        return float(np.sqrt(self.rate / seconds + (self.intrinsic * self.rate) ** 2))


def excess_over(counts: float, seconds: float, level: QuiescentRate) -> tuple[float, float]:
    """Mean rate over a quiescent one, less 1, and its standard error.

    Parameters
    ----------
    counts, seconds
        Counts (above 0) and good seconds of the time that is kept.
    level
        The quiescent rate.
    """
    ratio = counts / seconds / level.rate
    return ratio - 1, ratio * float(np.hypot(1 / np.sqrt(counts), level.error))


def find_quiescent(counts: np.ndarray, seconds: np.ndarray, width: float) -> QuiescentRate | None:
    """The quiescent rate.

    Parameters
    ----------
    counts, seconds
        Counts and good seconds of the bins, shape (n,).  Bins with good time for less
        than half of that of a usual bin (`usual_seconds`) do not count.
    width
        Length of a bin, s.

    Returns
    -------
    QuiescentRate or None
        None where there are too few counts or bins to judge.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> expected = np.full(300, 40.0)
    >>> expected[:120] *= np.linspace(6, 1.2, 120)
    >>> found = find_quiescent(rng.poisson(expected), np.full(300, 100.0), 100.0)
    >>> round(found.rate, 2), found.intrinsic == STEADY
    (0.4, True)
    """
    counts, seconds = _full(counts, seconds, width)
    if len(counts) < _LEAST_BINS or counts.sum() < _LEAST_COUNTS:
        return None
    cell = _cell(counts, width)
    # Cells that overlap fill the histogram; those that do not are independent, as a fit needs them.
    mode = _mode(_sliding(counts, cell) / _sliding(seconds, cell))
    if mode * np.mean(seconds) * cell < _LEAST_PER_CELL:
        return None
    whole = len(counts) // cell * cell
    counts, seconds = (one[:whole].reshape(-1, cell).sum(axis=1) for one in (counts, seconds))
    return _fit(counts, seconds, mode)


def find_sustained(
    counts: np.ndarray, seconds: np.ndarray, width: float, *, long: bool = False
) -> QuiescentRate | None:
    """The lowest rate that a light curve holds for a while: quiescence where little of the time is quiet.

    The mode of a histogram gives quiescence where most of the time is quiet.  Where flares go
    on for hours the histogram has no such peak, or one of flares.  Here windows of four hundred
    counts (or an eighth of the curve) slide over the bins; the lowest window is the first guess,
    and the mean of all windows that lie no more than 1.5 standard deviations above the guess the
    next one, until it stays.  On simulated curves with flares in 25, 60 and 78 % of the time the
    rate is 0.0, 1.1 and 2.6 % too high on average.

    Parameters
    ----------
    counts, seconds, width
        As for `find_quiescent`; bins that follow each other in good time are neighbours.
    long
        Also look in windows that are twice as long each time, up to an eighth of the curve.  They show
        flares of some percent that last, which no short window can distinguish from chance.  Where the
        level of such windows is lower by more than twice its standard error, it counts.

    Returns
    -------
    QuiescentRate or None
        With `STEADY` for the intrinsic width; None where there are too few counts or bins to judge.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> expected = np.full(300, 40.0)
    >>> expected[:240] *= np.linspace(6, 1.2, 240)
    >>> found = find_sustained(rng.poisson(expected), np.full(300, 100.0), 100.0)
    >>> bool(abs(found.rate - 0.4) < 0.01)
    True
    """
    counts, seconds = _full(counts, seconds, width)
    if len(counts) < _LEAST_BINS or counts.sum() < _LEAST_COUNTS:
        return None
    n, longest = _window(counts), max(len(counts) // _MOST_SUSTAINED, 1) if long else 0
    found = _level(_sliding(counts, n), _sliding(seconds, n), n, STEADY)
    while n < longest:
        n = min(2 * n, longest)
        other = _level(_sliding(counts, n), _sliding(seconds, n), n, _WAVES)
        if found and other and other.rate * (1 + _SURELY * other.error) < found.rate:
            found = other
    return found


def _level(counts: np.ndarray, seconds: np.ndarray, n: int, waves: float) -> QuiescentRate | None:
    """The lowest level of windows of `n` bins, whose counts and seconds are given; None where counts are too few."""
    rate = float((counts / seconds).min())
    if rate * float(np.mean(seconds)) < _LEAST_PER_CELL:
        return None
    for _ in range(100):
        belongs = deviations(counts, rate * seconds, waves) <= _CHANCE_ABOVE
        before, rate = rate, float(counts[belongs].sum() / seconds[belongs].sum())
        if abs(rate - before) <= 1e-9 * before:
            break
    used = rate * float(seconds[belongs].sum()) / n
    return QuiescentRate(rate, STEADY, 1 / np.sqrt(max(used, 1.0)))


def usual_seconds(seconds: np.ndarray, width: float) -> float:
    """Good seconds of a usual bin: its length, or less where gaps cut most of the good time short.

    Parameters
    ----------
    seconds
        Good seconds of the bins, shape (n,).
    width
        Length of a bin, s.

    Examples
    --------
    >>> usual_seconds(np.array([100.0, 100.0, 30.0]), 100.0), usual_seconds(np.full(9, 30.0), 100.0)
    (100.0, 30.0)
    """
    ordered = np.sort(np.asarray(seconds, float))
    passed = np.cumsum(ordered)
    return min(width, float(ordered[np.searchsorted(passed, passed[-1] / 2)])) if len(ordered) else width


def _full(counts: np.ndarray, seconds: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """The bins with good time for half of that of a usual one."""
    counts, seconds = np.asarray(counts, float), np.asarray(seconds, float)
    full = (seconds >= 0.5 * usual_seconds(seconds, width)) & (seconds > 0)
    return counts[full], seconds[full]


def _window(counts: np.ndarray) -> int:
    """Bins that hold counts enough where they hold least."""
    most = max(len(counts) // _MOST_SUSTAINED, 1)
    n = 1
    while n < most and _sliding(counts, n).min() < _SUSTAINED_COUNTS:
        n += 1
    return n


def deviations(counts: np.ndarray, expected: np.ndarray, relative: float = 0.0) -> np.ndarray:
    """How many standard deviations counts lie above what is expected.

    Parameters
    ----------
    counts, expected
        Shape (n,).
    relative
        Standard deviation of the expectation itself, as a share of it.

    Returns
    -------
    numpy.ndarray
        Shape (n,).  Square roots make Poisson's distribution nearly a Gaussian of unit
        width, also for few counts (Anscombe 1948, Biometrika 35, 246).

    Examples
    --------
    >>> deviations(np.array([100, 130, 3]), np.array([100.0, 100.0, 0.5])).round(1).tolist()
    [0.0, 2.8, 2.1]
    """
    roots = np.sqrt(np.asarray(counts, float) + 0.375) - np.sqrt(np.asarray(expected, float) + 0.125)
    return 2 * roots / np.sqrt(1 + relative**2 * expected)


def _cell(counts: np.ndarray, width: float) -> int:
    """How many neighbouring bins together hold counts enough for a histogram."""
    # Of the lowest bins: in the others flares may have their share.
    per_bin = max(float(np.quantile(counts, _LOWEST)), 0.5)
    target = int(np.ceil(_ENOUGH_PER_BIN / per_bin))
    return max(1, min(target, int(_LONGEST_CELL / width), len(counts) // _LEAST_CELLS))


def _sliding(values: np.ndarray, n: int) -> np.ndarray:
    total = np.concatenate([[0.0], np.cumsum(values)])
    return total[n:] - total[:-n]


def _mode(rates: np.ndarray) -> float:
    """The lowest high peak of the histogram, in steps that resolve its lower side."""
    while True:
        peak, step = _peak(rates)
        window = rates <= peak + 1.5 * step
        below = np.count_nonzero(rates < peak - 1.5 * step)
        if step <= 0 or window.all() or window.sum() < 4 * _LEAST_BINS or below > _UNRESOLVED * window.sum():
            return peak
        # Flares made the steps so wide that quiescence is one of them: look into it.
        rates = rates[window]


def _peak(rates: np.ndarray) -> tuple[float, float]:
    """Centre of the lowest high bin, at or below the median, of a smoothed histogram, and the width of its bins."""
    median = float(np.median(rates))
    quarter = float(np.quantile(rates[rates <= median], 0.5))
    # Freedman and Diaconis' rule; the lower half, mirrored, has an interquartile range of twice this difference.
    step = 2 * (2 * (median - quarter)) / len(rates) ** (1 / 3)
    least = float(rates.min())
    if step <= 0 or median <= least:
        return median, 0.0
    n = min(int(np.ceil((median - least) / step)) + 3, 100_000)
    heights, edges = np.histogram(rates, bins=n, range=(median - (n - 1.5) * step, median + 1.5 * step))
    smooth = np.convolve(heights, [1.0, 1.0, 1.0], mode="same")
    centres = (edges[:-1] + edges[1:]) / 2
    below = centres <= median + step / 2
    tops = np.flatnonzero(smooth[below] >= _TOP * smooth[below].max())
    return max(float(centres[below][int(tops[0])]), least), step


def _fit(counts: np.ndarray, seconds: np.ndarray, mode: float) -> QuiescentRate:
    rate, intrinsic = _cut_mean(counts, seconds, mode, STEADY, _LOW), STEADY
    free_rate, wide = _cut_gaussian(counts, seconds, mode)
    beyond = float(np.sqrt((wide**2 - 1) * (1 / (free_rate * np.mean(seconds)) + STEADY**2) + STEADY**2))
    # Flares upon flares make a wide peak too: that is none of a background.
    if wide > _WIDE and beyond < _WIDEST:
        rate, intrinsic = free_rate, beyond
    if not _flares(deviations(counts, rate * seconds, intrinsic)):
        rate = _cut_mean(counts, seconds, rate, intrinsic, _HIGH)
    used = int(np.count_nonzero(deviations(counts, rate * seconds, intrinsic) <= _LOW))
    alone = QuiescentRate(rate, intrinsic, 0.0)
    return QuiescentRate(rate, intrinsic, alone.spread(float(np.mean(seconds))) / rate / np.sqrt(max(used, 1)))


def _cut_gaussian(counts: np.ndarray, seconds: np.ndarray, rate: float) -> tuple[float, float]:
    """Rate and width of the Gaussian whose part between -3 and +1 widths has the moments of what is found there.

    The width counts in those that Poisson and `STEADY` give, and is at least one.
    """
    typical, wide = float(np.mean(seconds)), 1.0
    low = deviations(counts, rate * seconds, STEADY)
    low = low[low < 0]
    wide = max(float(np.sqrt(np.mean(low**2))), 1.0) if len(low) else 1.0
    for _ in range(_ROUNDS):
        found = deviations(counts, rate * seconds, STEADY)
        inside = found[(found >= -3 * wide) & (found <= wide)]
        if len(inside) < _LEAST_BINS:
            break
        step = (float(np.mean(inside)) - _CUT_MEAN * wide) * np.sqrt(1 + STEADY**2 * rate * typical)
        rate = float(max(np.sqrt(rate * typical) + step / 2, 0.0) ** 2 / typical)
        wide = max(float(np.std(inside)) / _CUT_SIGMA, 1.0)
    return rate, wide


def _cut_mean(counts: np.ndarray, seconds: np.ndarray, rate: float, intrinsic: float, top: float) -> float:
    """Rate about which the deviations, cut at `top`, have the mean of a standard Gaussian cut there."""
    target = -np.exp(-(top**2) / 2) / np.sqrt(2 * np.pi) / ndtr(top)
    typical = float(np.mean(seconds))
    for _ in range(30):
        found = deviations(counts, rate * seconds, intrinsic)
        inside = found[(found >= _FLOOR) & (found <= top)]
        if len(inside) < _LEAST_BINS:
            break
        step = (float(np.mean(inside)) - target) * np.sqrt(1 + intrinsic**2 * rate * typical)
        before, rate = rate, float(max(np.sqrt(rate * typical) + step / 2, 0.0) ** 2 / typical)
        if abs(rate - before) < 1e-6 * before:
            break
    return rate


def _flares(found: np.ndarray) -> bool:
    """Whether more deviations lie above the mean than the number below it lets expect, by two standard errors."""
    low = np.count_nonzero(found <= _LOW)
    high = np.count_nonzero((found > _LOW) & (found <= _HIGH))
    ratio = float((ndtr(_HIGH) - ndtr(_LOW)) / ndtr(_LOW))
    return bool(high > low * ratio + 2 * np.sqrt(low * ratio * (1 + ratio)))
