"""Good time without flares: what a light curve of the particle background shows.

Four methods behind one function.  The default follows the quiescent rate
(`daxa.xray.cleaning.quiescent`) and looks for excesses above it on several time scales: a weak
flare that no bin shows by itself shows in sixteen bins together.  The others are those of
the missions' own threads: a fixed threshold (XMM-Newton SAS), iterated clipping and a
range about the mean (CIAO ``lc_sigma_clip`` and ``lc_clean``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypedDict

import numpy as np

from daxa.errors import ConfigError
from daxa.xray.cleaning.lightcurve import LightCurve
from daxa.xray.cleaning.quiescent import (
    STEADY,
    QuiescentRate,
    deviations,
    excess_over,
    find_quiescent,
    find_sustained,
    usual_seconds,
)
from daxa.xray.cleaning.residual import MOST_LEFT
from daxa.xray.eventlists.gti import normalise

__all__ = ["FLARE_METHODS", "FlareOptions", "FlareResult", "FlareStatus", "flare_gti"]

FlareStatus = Literal["Good", "Intermediate", "Bad", "Sparse", "source-variability"]

FLARE_METHODS = ("histogram", "threshold", "clip", "scale")
"""The methods that `flare_gti` knows."""

_LONGEST = 64
_ALWAYS, _FEW = 2, 50.0
"""Bins that are looked at together: always two, and more where they are expected to hold fewer counts."""

_MANY_PLACES = 0.5
"""Standard deviations added to the limit, for the many bins and stretches that are looked at."""

_UNCUT = 0.98
"""Share of the time that is kept of a curve in which chance alone may have cut the rest."""

_BY_CHANCE = 1.3
"""Standard errors that the mean of a quiet curve lies above its lowest sustained rate in three of a hundred cases."""

_KNOWN = 2 * MOST_LEFT / 3
"""Error of what is left beyond which a curve with flares is never good: 5 % could not be distinguished from 10."""

_SHORTEST_RUN = {"histogram": 2, "threshold": 1, "clip": 3, "scale": 1}
"""Bins: kept stretches between flares that are shorter are dropped (CIAO: minlength = 3)."""


@dataclass(frozen=True, eq=False)
class FlareResult:
    """The good time that a flare filter leaves, and why.

    Parameters
    ----------
    gti
        Good time intervals, shape (m, 2), s: the kept bins, joined where they touch.
    kept
        Shape (n,), bool.
    status
        ``Good``: no more than 5 % is left above quiescence, beside the lowest rate that the curve
        holds for a while (`daxa.xray.cleaning.quiescent.find_sustained`), its error included where
        flares were cut; ``Intermediate``: more is left, or may be, or less than half of the time
        is kept, or a quiescent rate is 1.5 times as wide as Poisson's; ``Bad``: less than a fifth
        kept, or twice as wide: there is no quiescent rate to speak of.  ``Sparse``: too few counts to
        judge, all is kept.  ``source-variability``: what stood above the quiescent rate
        was, at least in part, a source; that part is kept.
    rate, sigma
        Quiescent rate and its standard deviation in a full bin, count/s (NaN when sparse).
    lo, hi
        Limits of the rate of a full bin, count/s.
    kept_fraction
        Good seconds kept over good seconds.
    contamination
        Mean rate of what is kept over the quiescent rate, minus one.
    method
        Which method decided.
    variable
        Shape (n,), bool: bins that only the variability of a source lifts above the limit.
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
    method: str = "histogram"
    variable: np.ndarray | None = None


class FlareOptions(TypedDict, total=False):
    """Options of `flare_gti` that are the same for any light curve."""

    method: str
    sigma: float
    scale: float
    together: int | None
    sustained: bool


def flare_gti(
    curve: LightCurve,
    *,
    method: str = "histogram",
    sigma: float = 3.0,
    threshold: float | None = None,
    scale: float = 1.2,
    together: int | None = None,
    source: np.ndarray | None = None,
    sustained: bool = False,
) -> FlareResult:
    """Find the good time without flares.

    Parameters
    ----------
    curve
        Light curve in a band that shows the particle background.
    method
        ``histogram``: a bin goes when its rate, or that of it and its neighbours among the
        bins that are left, lies more than ``sigma + 0.5`` standard deviations above the
        quiescent rate, or its own that far below; the addition is for the many stretches
        that are looked at: with 3 a quiet curve keeps 99.9 % of its time.
        ``threshold``: a bin goes when its rate is above `threshold`.
        ``clip``: rates are clipped about their mean by `sigma` times their own standard
        deviation until none goes.
        ``scale``: the rate stays within a factor `scale` of the mean, found after one clip
        at three of Poisson's deviations.
    sigma
        For ``histogram`` and ``clip``, standard deviations.  A bin cut short by the archive's good
        times is judged by its own good seconds.
    threshold
        For ``threshold``, count/s.
    scale
        For ``scale``, a factor above 1.
    together
        For ``histogram``: most bins that are looked at together, 1 to 64.  More find weaker
        flares: 16 leave a third less of them, and keep less time of a background that
        drifts.  By default 2, and more where these hold few counts.
    source
        Counts that a variable source may have added to each bin, shape (n,): an excess
        that they explain is not a flare.
    sustained
        Take the lowest rate that the curve holds for a while for the quiescent one
        (`daxa.xray.cleaning.quiescent.find_sustained`), not the peak of the histogram.  A
        background that stays above it, however steadily, is then cut.

    Returns
    -------
    FlareResult
        The good time and the numbers behind it.

    Raises
    ------
    ConfigError
        The method is unknown, or lacks its number.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> expected = np.full(200, 40.0)
    >>> expected[50:70] = 200.0
    >>> result = flare_gti(LightCurve(0.0, 100.0, rng.poisson(expected), np.full(200, 100.0)))
    >>> result.status, bool(result.kept[50:70].any()), result.kept_fraction > 0.88
    ('Good', False, True)
    """
    _check(method, sigma, threshold, scale, together)
    quiescent = (find_sustained if sustained else find_quiescent)(curve.counts, curve.exposure, curve.width)
    if quiescent is None and method != "threshold":
        return _sparse(curve, method)

    def keep(counts: np.ndarray) -> tuple[np.ndarray, float, float]:
        if method == "threshold" or quiescent is None:
            return _below(counts, curve.exposure, float(threshold or 0.0))
        if method == "clip":
            return _clipped(counts, curve.exposure, curve.width, sigma)
        if method == "scale":
            return _about_mean(counts, curve.exposure, curve.width, scale)
        return _near_quiescent(curve, counts, quiescent, sigma + _MANY_PLACES, together)

    counts = np.asarray(curve.counts, float)
    kept, lo, hi = _settled(keep, counts, curve, method)
    variable = np.zeros(len(kept), dtype=bool)
    if source is not None and quiescent is not None:
        excess = np.maximum(counts - quiescent.rate * curve.exposure, 0.0)
        without, lo, hi = _settled(keep, counts - np.minimum(excess, source), curve, method)
        variable, kept = without & ~kept, without
    return _judge(curve, kept, quiescent, lo=lo, hi=hi, method=method, variable=variable)


def _check(method: str, sigma: float, threshold: float | None, scale: float, together: int | None) -> None:
    wrong = ""
    if method not in FLARE_METHODS:
        wrong = f"{method!r} is not a method of flare filtering"
    elif method == "threshold" and not (threshold is not None and 0 < threshold < np.inf):
        wrong = f"a threshold of {threshold} count/s is not valid"
    elif method == "scale" and not 1 < scale < np.inf:
        wrong = f"a scale of {scale:g} leaves no range about the mean"
    elif not 0 < sigma < np.inf:
        wrong = f"{sigma:g} standard deviations are not a valid limit"
    elif together is not None and not 1 <= together <= _LONGEST:
        wrong = f"{together} bins cannot be looked at together"
    if wrong:
        raise ConfigError(
            "flares",
            wrong,
            remedy=f"choose one of {', '.join(FLARE_METHODS)}, with sigma > 0, threshold > 0 count/s, scale > 1, "
            f"1 to {_LONGEST} bins together",
        )


def _settled(
    keep: Callable[[np.ndarray], tuple[np.ndarray, float, float]], counts: np.ndarray, curve: LightCurve, method: str
) -> tuple[np.ndarray, float, float]:
    kept, lo, hi = keep(counts)
    alive = curve.exposure > 0
    kept = kept & alive
    # Neighbours in good time: a gap in between does not count.
    kept[alive] = _without_islands(kept[alive], _SHORTEST_RUN[method])
    return kept, lo, hi


def _near_quiescent(
    curve: LightCurve, counts: np.ndarray, quiescent: QuiescentRate, limit: float, together: int | None
) -> tuple[np.ndarray, float, float]:
    alive = curve.exposure > 0
    own, expected = counts[alive], quiescent.rate * curve.exposure[alive]
    kept = np.ones(len(own), dtype=bool)
    n, typical = 1, quiescent.rate * curve.width
    while n <= (together or _ALWAYS) or (together is None and n * typical < _FEW and n <= _LONGEST):
        left = np.flatnonzero(kept)
        # A long stretch that chance lifts costs more time: it must stand out more.
        kept[left[_excess(own[left], expected[left], quiescent, n, limit + max(np.log2(n) - 1, 0) / 4)]] = False
        n *= 2
    kept &= deviations(own, expected, quiescent.intrinsic) >= -limit
    everywhere = np.zeros(len(counts), dtype=bool)
    everywhere[alive] = kept
    spread = quiescent.spread(curve.width)
    return everywhere, max(quiescent.rate - limit * spread, 0.0), quiescent.rate + limit * spread


def _excess(counts: np.ndarray, expected: np.ndarray, quiescent: QuiescentRate, n: int, limit: float) -> np.ndarray:
    """Bins of the stretches of `n` bins whose sum stands out, the highest of those that overlap first."""
    from scipy.ndimage import maximum_filter1d

    flagged = np.zeros(len(counts), dtype=bool)
    if len(counts) < n:
        return flagged
    uncertain = np.hypot(quiescent.intrinsic, quiescent.error)
    deviation = deviations(_sums(counts, n), _sums(expected, n), float(uncertain))
    while True:
        usable = _sums(flagged, n) == 0
        high = np.where(usable & (deviation > limit), deviation, -np.inf)
        highest = maximum_filter1d(high, 2 * n - 1, mode="constant", cval=-np.inf)
        at = np.flatnonzero((high == highest) & np.isfinite(high))
        if not len(at):
            return flagged
        for offset in range(n):
            flagged[at + offset] = True


def _sums(values: np.ndarray, n: int) -> np.ndarray:
    total = np.concatenate([[0.0], np.cumsum(values, dtype=float)])
    return total[n:] - total[:-n]


def _below(counts: np.ndarray, seconds: np.ndarray, threshold: float) -> tuple[np.ndarray, float, float]:
    return counts <= threshold * seconds, 0.0, threshold


def _clipped(counts: np.ndarray, seconds: np.ndarray, width: float, sigma: float) -> tuple[np.ndarray, float, float]:
    judged = seconds >= 0.5 * usual_seconds(seconds, width)
    rates = np.divide(counts, seconds, out=np.zeros(len(counts)), where=seconds > 0)
    kept = judged
    while True:
        mean, spread = float(rates[kept].mean()), float(rates[kept].std())
        still = kept & (np.abs(rates - mean) <= sigma * spread)
        if (still == kept).all() or not still.any():
            break
        kept = still
    lo, hi = max(mean - sigma * spread, 0.0), mean + sigma * spread
    return (rates >= lo) & (rates <= hi), lo, hi


def _about_mean(counts: np.ndarray, seconds: np.ndarray, width: float, scale: float) -> tuple[np.ndarray, float, float]:
    usable = (seconds >= 0.1 * usual_seconds(seconds, width)) & (counts > 0)
    rates = np.divide(counts, seconds, out=np.zeros(len(counts)), where=seconds > 0)
    mean = float(counts[usable].sum() / seconds[usable].sum())
    near = usable & (np.abs(rates - mean) <= 3 * np.sqrt(mean / width))
    if near.any():
        mean = float(counts[near].sum() / seconds[near].sum())
    return usable & (rates >= mean / scale) & (rates <= mean * scale), mean / scale, mean * scale


def _without_islands(kept: np.ndarray, shortest: int) -> np.ndarray:
    """Drop short stretches between rejected bins: a flare that happens to pass through the quiescent rate."""
    starts, stops = _runs(kept)
    inner = (starts > 0) & (stops < len(kept)) & (stops - starts < shortest)
    kept = kept.copy()
    for start, stop in zip(starts[inner], stops[inner], strict=True):
        kept[start:stop] = False
    return kept


def _runs(flags: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where runs of True begin, and the places after their ends."""
    change = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    return np.flatnonzero(change == 1), np.flatnonzero(change == -1)


def _joined(curve: LightCurve, kept: np.ndarray) -> np.ndarray:
    starts, stops = _runs(kept)
    return normalise(np.column_stack([curve.edges[starts], curve.edges[stops]]))


def _sparse(curve: LightCurve, method: str) -> FlareResult:
    alive = curve.exposure > 0
    everything = np.array([[curve.edges[0], curve.edges[-1]]])
    nan = float("nan")
    return FlareResult(everything, alive, "Sparse", nan, nan, nan, nan, 1.0, nan, method, np.zeros(len(alive), bool))


def _may_be_left(curve: LightCurve, kept: np.ndarray, fraction: float) -> bool:
    """Whether more of flares may be left than a good exposure has; False where there are too few counts to say."""
    level = find_sustained(curve.counts, curve.exposure, curve.width)
    counts, seconds = float(curve.counts[kept].sum()), float(curve.exposure[kept].sum())
    if level is None or not counts > 0 < seconds:
        return False
    excess, error = excess_over(counts, seconds, level)
    if fraction > _UNCUT:
        # Where there was hardly anything to cut, nothing speaks for flares that chance may not have made.
        return excess > max(MOST_LEFT, _BY_CHANCE * error)
    return excess + error > MOST_LEFT or error > _KNOWN


def _judge(
    curve: LightCurve,
    kept: np.ndarray,
    quiescent: QuiescentRate | None,
    *,
    lo: float,
    hi: float,
    method: str,
    variable: np.ndarray,
) -> FlareResult:
    seconds = curve.exposure
    fraction = float(seconds[kept].sum() / seconds.sum()) if seconds.sum() > 0 else 0.0
    rate = quiescent.rate if quiescent else float("nan")
    spread = quiescent.spread(curve.width) if quiescent else float("nan")
    wide = spread / np.sqrt(rate / curve.width + (STEADY * rate) ** 2)
    status: FlareStatus = "Good"
    if fraction < 0.2 or wide > 2:
        status = "Bad"
    elif fraction < 0.5 or wide > 1.5 or _may_be_left(curve, kept, fraction):
        status = "Intermediate"
    if variable.any():
        status = "source-variability"
    mean = float(curve.counts[kept].sum() / seconds[kept].sum()) if kept.any() else float("nan")
    return FlareResult(
        gti=_joined(curve, kept),
        kept=kept,
        status=status,
        rate=rate,
        sigma=spread,
        lo=lo,
        hi=hi,
        kept_fraction=fraction,
        contamination=mean / rate - 1,
        method=method,
        variable=variable,
    )
