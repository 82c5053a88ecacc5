"""The flare filter on light curves whose quiescent rate is known."""

from __future__ import annotations

import numpy as np
import pytest

from daxa.xray.flares import flare_gti
from daxa.xray.gti import total
from daxa.xray.lightcurve import LightCurve


def flaring(seed: int, part: float, rate: float, width: float, n: int = 500) -> tuple[LightCurve, np.ndarray]:
    """A light curve in which flares of random heights and shapes cover `part` of the time, and its true rates."""
    rng = np.random.default_rng(seed)
    true, covered, at = np.full(n, rate), np.zeros(n, bool), np.arange(n)
    while covered.mean() < part:
        centre, length = rng.integers(0, n), rng.uniform(3, 25)
        height = rate * rng.lognormal(0.5, 1.0)
        if rng.random() < 0.5:
            shape = height * np.exp(-0.5 * ((at - centre) / length) ** 2)
        else:
            shape = np.where(at >= centre, height * np.exp(-(at - centre).clip(0) / length), 0.0)
        true = true + shape
        covered |= shape > 0.05 * rate
    return LightCurve(0.0, width, rng.poisson(true * width), np.full(n, width)), true


def clipped(curve: LightCurve) -> np.ndarray:
    """Iterated clipping at three standard deviations: the peer."""
    kept = np.ones(len(curve.counts), bool)
    for _ in range(50):
        mean, spread = curve.rate[kept].mean(), curve.rate[kept].std()
        kept = np.abs(curve.rate - mean) <= 3 * spread
    return kept


@pytest.mark.parametrize(("part", "most"), [(0.75, 0.25), (0.6, 0.13), (0.25, 0.05)], ids=["heavy", "medium", "light"])
def test_little_background_is_left(part, most):
    ours, clip = [], []
    for seed in range(1000, 1060):
        curve, true = flaring(seed, part, 0.8, 60.0)
        kept = flare_gti(curve).kept
        ours.append(true[kept].mean() / 0.8 - 1)
        clip.append(true[clipped(curve)].mean() / 0.8 - 1)
    assert np.mean(ours) < most
    assert np.mean(ours) < 0.6 * np.mean(clip)


@pytest.mark.parametrize(("rate", "width"), [(0.8, 60.0), (0.15, 100.0), (5.0, 259.28)])
def test_a_quiet_curve_keeps_its_time(rate, width):
    fractions = [flare_gti(flaring(seed, 0.0, rate, width)[0]).kept_fraction for seed in range(60)]
    assert min(fractions) >= 0.98


def test_the_limits_are_about_the_quiescent_rate():
    curve, _ = flaring(3, 0.25, 0.8, 60.0)
    found = flare_gti(curve)
    assert found.status == "Good"
    assert found.rate == pytest.approx(0.8, rel=0.08)
    assert found.lo < found.rate < found.hi
    assert found.sigma >= np.sqrt(found.rate / 60.0)


def test_intervals_are_the_kept_bins():
    curve, _ = flaring(5, 0.5, 0.8, 60.0)
    found = flare_gti(curve)
    assert total(found.gti) == pytest.approx(60.0 * found.kept.sum())
    middles = curve.edges[:-1] + 30.0
    inside = ((middles[:, None] >= found.gti[:, 0]) & (middles[:, None] < found.gti[:, 1])).any(axis=1)
    assert (inside == found.kept).all()


@pytest.mark.parametrize("counts", [np.zeros(50), np.eye(1, 50, 7)[0] * 3, np.ones(5) * 400, np.ones(50)])
def test_too_few_counts_keep_all_and_say_so(counts):
    found = flare_gti(LightCurve(10.0, 100.0, counts.astype(int), np.full(len(counts), 100.0)))
    assert found.status == "Sparse"
    assert found.kept.all()
    assert found.gti.tolist() == [[10.0, 10.0 + 100.0 * len(counts)]]
    assert np.isnan(found.rate)


def test_a_curve_without_quiet_time_is_bad():
    rng = np.random.default_rng(2)
    rates = 0.8 * np.exp(np.linspace(0, 5, 300))
    found = flare_gti(LightCurve(0.0, 60.0, rng.poisson(rates * 60), np.full(300, 60.0)))
    assert found.status == "Bad"


def test_a_bin_is_judged_by_its_own_good_time():
    rng = np.random.default_rng(4)
    seconds = np.full(300, 100.0)
    seconds[::7] = 1.5
    curve = LightCurve(0.0, 100.0, rng.poisson(0.3 * seconds), seconds)
    found = flare_gti(curve)
    # One count in 1.5 seconds is no flare, though its rate is far above the limit of a full bin.
    lively = (seconds == 1.5) & (curve.counts == 1)
    assert lively.sum() > 5
    assert (curve.rate[lively] > found.hi).all()
    assert found.kept[lively].all()


def test_bins_without_good_time_are_not_kept():
    rng = np.random.default_rng(4)
    seconds = np.full(300, 100.0)
    seconds[100:150] = 0.0
    found = flare_gti(LightCurve(0.0, 100.0, rng.poisson(0.3 * seconds), seconds))
    assert not found.kept[100:150].any()
    assert found.kept_fraction > 0.98


def test_a_wider_cut_keeps_more():
    curve, _ = flaring(9, 0.6, 0.8, 60.0)
    fractions = [flare_gti(curve, sigma=sigma).kept_fraction for sigma in (1.5, 2.5, 3.0, 5.0)]
    assert fractions == sorted(fractions)
    assert fractions[0] < fractions[-1]
