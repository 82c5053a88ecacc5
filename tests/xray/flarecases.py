"""Light curves whose quiescent rate and true rates are known, each drawn from a seed.

`CASES` are what the tests and `benchmarks/flares.py` run on.  The shares of the flaring
cases are such that clipping at three standard deviations leaves as much as it did where
the figures to reach were measured, or more: +111 % (heavy), +26 % (medium), +5.2 % (light).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from daxa.xray.cleaning.lightcurve import LightCurve

SEEDS = range(1000, 1060)
"""Sixty curves of each case; the method was tuned on others (2000 to 2059)."""

QUIET = 1.05
"""A bin is quiet when its true rate is below so many times the quiescent one."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A light curve and its truth."""

    curve: LightCurve
    rates: np.ndarray
    """True mean rate of each bin, count/s."""
    rate: float
    """Quiescent rate, count/s."""

    def residual(self, kept: np.ndarray) -> float:
        """Background beyond quiescence in what is kept, as a share; NaN when nothing is kept."""
        seconds = self.curve.exposure * kept
        return float((self.rates * seconds).sum() / seconds.sum() / self.rate - 1) if seconds.sum() else float("nan")

    def quiet_kept(self, kept: np.ndarray) -> float:
        """Share of the truly quiet time that is kept; NaN where none is quiet."""
        quiet = self.curve.exposure * (self.rates < QUIET * self.rate)
        return float((quiet * kept).sum() / quiet.sum()) if quiet.sum() else float("nan")


@dataclass(frozen=True)
class Case:
    """How curves of a kind are drawn."""

    name: str
    shape: Callable[[np.random.Generator, int], np.ndarray]
    """True rates over the quiescent one, for so many bins."""
    rate: float = 0.8
    width: float = 60.0
    n: int = 500
    gaps: bool = False

    def draw(self, seed: int) -> Drawn:
        rng = np.random.default_rng(seed)
        rates = self.rate * self.shape(rng, self.n)
        seconds = self.width * (_with_gaps(rng, self.n) if self.gaps else np.ones(self.n))
        return Drawn(LightCurve(5.0e8, self.width, rng.poisson(rates * seconds), seconds), rates, self.rate)

    def all(self) -> Iterator[Drawn]:
        return map(self.draw, SEEDS)


def _random(part: float) -> Callable[[np.random.Generator, int], np.ndarray]:
    """Flares of random heights, lengths and shapes until they cover `part` of the time."""

    def shape(rng: np.random.Generator, n: int) -> np.ndarray:
        true, covered, at = np.ones(n), np.zeros(n, bool), np.arange(n)
        while covered.mean() < part:
            centre, length = rng.integers(0, n), rng.uniform(3, 25)
            height = rng.lognormal(0.5, 1.0)
            if rng.random() < 0.5:
                flare = height * np.exp(-0.5 * ((at - centre) / length) ** 2)
            else:
                flare = np.where(at >= centre, height * np.exp(-(at - centre).clip(0) / length), 0.0)
            true = true + flare
            covered |= flare > 0.05
        return true

    return shape


def _sudden(rng: np.random.Generator, n: int) -> np.ndarray:
    """Flares that switch on and off between two bins."""
    true = np.ones(n)
    for start in rng.integers(0, n, 6):
        true[start : start + rng.integers(1, 40)] *= rng.uniform(1.8, 20)
    return true


def _slow(rng: np.random.Generator, n: int) -> np.ndarray:
    """One swell that lasts for most of the observation, as when a satellite nears the radiation belts."""
    true = 1 + rng.uniform(1, 4) * np.linspace(-0.4, 1, n).clip(0) ** 2
    return true[:: rng.choice([-1, 1])]


def _all(rng: np.random.Generator, n: int) -> np.ndarray:
    """Never quiet: the rate wanders over a decade and more, and never stays."""
    swell = np.exp(np.linspace(0.3, 3.5, n))
    return swell * np.exp(0.3 * np.sin(np.arange(n) / rng.uniform(5, 15) + rng.uniform(0, 6)))


def _with_gaps(rng: np.random.Generator, n: int) -> np.ndarray:
    """Share of each bin that is good: whole stretches are lost, and the bins about them are cut short."""
    good = np.ones(n)
    for start in rng.integers(0, n, 12):
        stop = min(start + int(rng.integers(3, 20)), n)
        good[start:stop] = 0.0
        good[start] = min(good[start], rng.random())
        good[stop - 1] = rng.random()
    return good


CASES = {
    case.name: case
    for case in (
        Case("heavy", _random(0.78)),
        Case("medium", _random(0.6)),
        Case("light", _random(0.25)),
        Case("quiet", _random(0.0)),
        Case("sudden", _sudden),
        Case("slow", _slow),
        Case("all flare", _all),
        Case("low rate", _random(0.25), rate=0.03, width=100.0),
        Case("low rate, quiet", _random(0.0), rate=0.03, width=100.0),
        Case("gapped", _random(0.25), gaps=True),
        Case("gapped, quiet", _random(0.0), gaps=True),
        Case("short, quiet", _random(0.0), rate=0.15, width=100.0, n=60),
        Case("bright, quiet", _random(0.0), rate=5.0, width=259.28),
    )
}
