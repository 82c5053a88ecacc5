"""The flare filter on light curves whose quiescent rate is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daxa.errors import ConfigError
from daxa.xray.cleaning.flare_filter import FLARE_METHODS, flare_gti
from daxa.xray.cleaning.lightcurve import LightCurve
from daxa.xray.cleaning.quiescent import deviations, find_quiescent
from daxa.xray.eventlists.gti import total
from tests.xray.flarecases import CASES


@pytest.mark.parametrize(("name", "most"), [("heavy", 0.178), ("medium", 0.098), ("light", 0.042), ("gapped", 0.042)])
def test_little_background_is_left_and_quiet_time_stays(name, most):
    """No more than the prototype left, and far less than clipping leaves."""
    ours, quiet, clip = [], [], []
    for drawn in CASES[name].all():
        kept = flare_gti(drawn.curve).kept
        ours.append(drawn.residual(kept))
        quiet.append(drawn.quiet_kept(kept))
        clip.append(drawn.residual(flare_gti(drawn.curve, method="clip").kept))
    assert np.nanmean(ours) < most
    assert np.nanmean(ours) < 0.65 * np.mean(clip)
    assert np.mean(quiet) > 0.998


@pytest.mark.parametrize("name", [name for name in CASES if "quiet" in name])
def test_a_quiet_curve_keeps_its_time(name):
    found = [flare_gti(drawn.curve) for drawn in CASES[name].all()]
    fractions = [one.kept_fraction for one in found]
    assert np.mean(fractions) >= (0.999 if CASES[name].n >= 500 else 0.998)
    assert min(fractions) >= 0.96
    assert {one.status for one in found} == {"Good"}


def test_sudden_flares_go_to_the_bin():
    for drawn in CASES["sudden"].all():
        kept = flare_gti(drawn.curve).kept
        assert drawn.residual(kept) < 0.01
        assert drawn.quiet_kept(kept) > 0.97


def test_of_a_slow_swell_the_low_part_stays():
    drawn = list(CASES["slow"].all())
    kept = [flare_gti(one.curve).kept for one in drawn]
    assert np.mean([one.residual(mask) for one, mask in zip(drawn, kept, strict=True)]) < 0.1
    assert np.mean([one.quiet_kept(mask) for one, mask in zip(drawn, kept, strict=True)]) > 0.995


def test_a_curve_without_quiet_time_is_never_good():
    statuses = [flare_gti(drawn.curve).status for drawn in CASES["all flare"].all()]
    assert "Good" not in statuses
    assert statuses.count("Bad") >= 40


@pytest.mark.parametrize("name", ["heavy", "medium", "light", "slow", "gapped", "low rate"])
def test_a_good_curve_has_little_left(name):
    left, good = [], 0
    for drawn in CASES[name].all():
        found = flare_gti(drawn.curve)
        good += found.status == "Good"
        left += [drawn.residual(found.kept)] if found.status == "Good" else []
    assert good >= 40 if name in {"light", "gapped"} else good <= 2
    assert np.mean(left or [0.0]) < 0.04
    assert max(left, default=0.0) < 0.07


def test_the_status_holds_for_every_method():
    """A third of the time flares at twice the rate, which a high threshold keeps."""
    rates = np.where(np.arange(500) % 150 < 50, 1.6, 0.8)
    counts = np.random.default_rng(9).poisson(60.0 * rates)
    curve = LightCurve(0.0, 60.0, counts, np.full(500, 60.0))
    loose, strict = (flare_gti(curve, method="threshold", threshold=limit) for limit in (10.0, 1.15))
    assert (loose.status, strict.status) == ("Intermediate", "Good")
    assert loose.kept.all()


def test_few_counts_are_judged_together():
    left = {method: [] for method in ("histogram", "clip")}
    for drawn in CASES["low rate"].all():
        assert np.median(drawn.curve.counts) <= 4
        for method, found in left.items():
            found.append(drawn.residual(flare_gti(drawn.curve, method=method).kept))
    assert np.mean(left["histogram"]) < 0.6 * np.mean(left["clip"])


def test_the_quiescent_rate_is_found():
    for name, most in (("quiet", 0.01), ("light", 0.02), ("medium", 0.05), ("bright, quiet", 0.002)):
        rates = [
            find_quiescent(one.curve.counts, one.curve.exposure, one.curve.width).rate / one.rate
            for one in CASES[name].all()
        ]
        assert np.mean(rates) == pytest.approx(1, abs=most)


def test_an_unsteady_quiescence_is_reported_and_kept():
    """Ten percent beyond Poisson in every bin: no flare, but a wider peak."""
    rng = np.random.default_rng(8)
    rates = 5.0 * rng.normal(1, 0.1, 500)
    curve = LightCurve(0.0, 100.0, rng.poisson(rates * 100), np.full(500, 100.0))
    found = find_quiescent(curve.counts, curve.exposure, 100.0)
    assert found.intrinsic == pytest.approx(0.1, abs=0.025)
    assert found.rate == pytest.approx(5.0, rel=0.03)
    result = flare_gti(curve)
    assert result.kept_fraction > 0.97
    assert result.status in {"Intermediate", "Bad"}


@pytest.mark.parametrize("unsteady", [0.0, 0.02, 0.03])
def test_many_counts_do_not_make_a_flare_of_every_percent(unsteady):
    """Thirteen hundred counts to a bin, whose mean wanders by a few percent as that of any real background does."""
    kept = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        counts = rng.poisson(1300 * rng.normal(1, unsteady, 400))
        kept.append(flare_gti(LightCurve(0.0, 259.28, counts, np.full(400, 259.28))).kept_fraction)
    assert np.mean(kept) > 0.995


def test_the_limits_are_about_the_quiescent_rate():
    drawn = CASES["light"].draw(3)
    found = flare_gti(drawn.curve)
    assert found.status == "Good"
    assert found.rate == pytest.approx(0.8, rel=0.05)
    assert found.lo < found.rate < found.hi
    assert found.sigma >= np.sqrt(found.rate / 60.0)


@pytest.mark.parametrize("method", FLARE_METHODS)
@pytest.mark.parametrize("name", ["medium", "gapped"])
def test_intervals_are_the_kept_bins(method, name):
    drawn = CASES[name].draw(5)
    curve = drawn.curve
    found = flare_gti(curve, method=method, threshold=1.2)
    assert found.method == method
    assert total(found.gti) == pytest.approx(60.0 * found.kept.sum())
    middles = curve.edges[:-1] + 30.0
    inside = ((middles[:, None] >= found.gti[:, 0]) & (middles[:, None] < found.gti[:, 1])).any(axis=1)
    assert (inside == found.kept).all()
    assert not found.kept[curve.exposure == 0].any()
    assert found.kept_fraction == pytest.approx(curve.exposure[found.kept].sum() / curve.exposure.sum())
    assert found.contamination == pytest.approx(
        curve.counts[found.kept].sum() / curve.exposure[found.kept].sum() / found.rate - 1
    )


@pytest.mark.parametrize("counts", [np.zeros(50), np.eye(1, 50, 7)[0] * 3, np.ones(5) * 400, np.ones(50)])
@pytest.mark.parametrize("method", ["histogram", "clip", "scale"])
def test_too_few_counts_keep_all_and_say_so(counts, method):
    found = flare_gti(LightCurve(10.0, 100.0, counts.astype(int), np.full(len(counts), 100.0)), method=method)
    assert found.status == "Sparse"
    assert found.kept.all()
    assert found.gti.tolist() == [[10.0, 10.0 + 100.0 * len(counts)]]
    assert np.isnan(found.rate)


def test_a_threshold_needs_no_statistics():
    curve = LightCurve(0.0, 100.0, np.array([10, 50, 10, 36, 35]), np.array([100.0, 100, 100, 100, 0]))
    found = flare_gti(curve, method="threshold", threshold=0.35)
    assert found.kept.tolist() == [True, False, True, False, False]
    assert (found.lo, found.hi, found.kept_fraction) == (0.0, 0.35, 0.5)


def test_clipping_is_what_scipy_clips():
    """SciPy's sigmaclip iterates the same rule; short stretches go afterwards."""
    from scipy.stats import sigmaclip

    drawn = CASES["light"].draw(11)
    _, lo, hi = sigmaclip(drawn.curve.rate, 3.0, 3.0)
    found = flare_gti(drawn.curve, method="clip")
    inside = (drawn.curve.rate >= lo) & (drawn.curve.rate <= hi)
    assert (found.lo, found.hi) == pytest.approx((max(lo, 0), hi))
    assert not found.kept[~inside].any()
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate(([0], found.kept, [0])))))[::2]
    assert runs.min() >= 3


def test_a_scale_is_about_the_clipped_mean():
    rng = np.random.default_rng(6)
    counts = rng.poisson(400, 200)
    counts[40:60] *= 3
    found = flare_gti(LightCurve(0.0, 100.0, counts, np.full(200, 100.0)), method="scale", scale=1.3)
    mean = found.hi / 1.3
    assert found.lo == pytest.approx(mean / 1.3)
    assert (found.kept == ((counts / 100 >= found.lo) & (counts / 100 <= found.hi))).all()


@pytest.mark.parametrize(
    "asked",
    [
        {"method": "espfilt"},
        {"method": "threshold"},
        {"method": "threshold", "threshold": 0.0},
        {"method": "threshold", "threshold": float("nan")},
        {"method": "scale", "scale": 1.0},
        {"method": "clip", "sigma": -1.0},
        {"sigma": float("nan")},
        {"together": 0},
        {"together": 65},
    ],
)
def test_what_is_not_a_filter_is_refused(asked):
    with pytest.raises(ConfigError) as problem:
        flare_gti(CASES["quiet"].draw(1).curve, **asked)
    assert problem.value.code == "config.flares"


def test_a_bin_is_judged_by_its_own_good_time():
    rng = np.random.default_rng(4)
    seconds = np.full(300, 100.0)
    seconds[::7] = 1.2
    curve = LightCurve(0.0, 100.0, rng.poisson(0.3 * seconds), seconds)
    found = flare_gti(curve)
    # One count in 1.2 seconds is not a flare, though its rate is far above the limit of a full bin.
    lively = (seconds == 1.2) & (curve.counts == 1)
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


@pytest.mark.parametrize("method", ["histogram", "clip"])
def test_a_wider_cut_keeps_more(method):
    curves = [CASES["medium"].draw(seed).curve for seed in range(20)]
    fractions = [
        np.mean([flare_gti(curve, method=method, sigma=sigma).kept_fraction for curve in curves])
        for sigma in (1.5, 2.5, 3.0, 5.0)
    ]
    assert fractions == sorted(fractions)
    assert fractions[0] < fractions[-1]


def test_what_a_source_explains_is_not_a_flare():
    rng = np.random.default_rng(12)
    expected = np.full(300, 40.0)
    added = np.zeros(300)
    added[50:80] = 30.0
    flare = np.zeros(300)
    flare[200:220] = 80.0
    curve = LightCurve(0.0, 100.0, rng.poisson(expected + added + flare), np.full(300, 100.0))
    plain, told = flare_gti(curve), flare_gti(curve, source=2 * added)
    assert plain.status == "Good"
    assert not plain.kept[52:78].any()
    assert told.status == "source-variability"
    assert told.kept[50:80].all()
    assert told.variable[52:78].all()
    assert not told.kept[200:220].any()
    assert not told.variable[200:220].any()
    # What a source did not lift above the limit is as before.
    quiet = flare_gti(curve, source=np.zeros(300))
    assert quiet.status == "Good"
    assert (quiet.kept == plain.kept).all()


def test_longer_stretches_find_weaker_flares():
    for name, most in (("heavy", 0.11), ("medium", 0.065), ("light", 0.025)):
        left = {
            n: [one.residual(flare_gti(one.curve, together=n).kept) for one in CASES[name].all()] for n in (1, 4, 16)
        }
        assert np.mean(left[16]) < np.mean(left[4]) < np.mean(left[1])
        assert np.mean(left[16]) < most


@pytest.mark.parametrize(("expected", "most"), [(5, 0.6), (20, 0.45), (100, 0.25), (1000, 0.1)])
def test_deviations_have_the_tails_of_a_gaussian(expected, most):
    """Poisson's own tails, from SciPy."""
    from scipy.stats import norm, poisson

    counts = np.arange(5 * expected + 50)
    # Half of the chance of the count itself, since the distribution is one of steps.
    tail = poisson.sf(counts, expected) + 0.5 * poisson.pmf(counts, expected)
    true = norm.isf(np.clip(tail, 1e-300, 1))
    near = (true > -4) & (true < 4)
    assert np.abs(deviations(counts, np.full(len(counts), float(expected)))[near] - true[near]).max() < most


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 1.0])), min_size=1, max_size=80),
    st.sampled_from(FLARE_METHODS),
    st.sampled_from([0.1, 3.0, 50.0]),
    st.sampled_from([None, 1, 64]),
)
def test_any_curve_is_judged(bins, method, sigma, together):
    share = np.array([good for _, good in bins])
    counts = np.where(share > 0, [count for count, _ in bins], 0)
    curve = LightCurve(1e8, 20.0, counts, 20.0 * share)
    found = flare_gti(curve, method=method, sigma=sigma, threshold=5.0, together=together, source=counts / 3)
    assert not found.kept[share == 0].any()
    assert 0 <= found.kept_fraction <= 1
    if found.status != "Sparse":
        assert total(found.gti) == pytest.approx(20.0 * found.kept.sum())
