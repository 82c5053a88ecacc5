"""Fits of the point spread function: unbiased, with honest errors and limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, stats

from daxa.xray.detection.likelihood import PhotonLikelihood, detection_likelihood
from daxa.xray.detection.psf import gaussian_psf, psf_for
from daxa.xray.detection.psffit import (
    Scene,
    SourceFit,
    cut_stamp,
    fit_source,
    source_image,
    widened,
)
from daxa.xray.detection.ratelimit import upper_limit

SHAPE = (41, 41)
PSF = psf_for("M1", 4.35)


def truth(counts: float, x: float = 20.2, y: float = 19.7, extent: float = 0.0) -> SourceFit:
    return SourceFit(x, y, counts, extent, *[0.0] * 7)


def scene(counts, background: float, psf=PSF, exposure=1.0) -> Scene:
    return Scene(counts, np.full(SHAPE, exposure), np.full(SHAPE, background), psf)


def expected(source: SourceFit, background: float, psf=PSF, exposure=1.0) -> np.ndarray:
    mean = np.full(SHAPE, background)
    place, image = source_image(scene(mean, background, psf, exposure), source, 60)
    mean[place] += image
    return mean


def test_the_model_integrates_over_pixels_and_keeps_all_counts():
    narrow = expected(truth(100.0, 20.5, 20.0), 0.0, gaussian_psf(0.05))
    assert narrow[20, 20] == pytest.approx(50, rel=1e-6)
    assert narrow[20, 21] == pytest.approx(50, rel=1e-6)
    wide = expected(truth(100.0, 20.0, 20.0), 0.0, gaussian_psf(2.0))
    assert wide.sum() == pytest.approx(100, rel=1e-4)
    assert wide[20, 20] == pytest.approx(100 * (2 * stats.norm.cdf(0.25) - 1) ** 2, rel=0.02)


def test_noiseless_counts_give_back_the_source():
    for extent in (0.0, 2.5):
        source = truth(300.0, extent=extent)
        found = fit_source(scene(expected(source, 0.05), 0.05), 19, 21, reach=18, stray=4, extent=extent)
        assert (found.x, found.y) == pytest.approx((20.2, 19.7), abs=2e-3)
        assert found.rate == pytest.approx(300, rel=2e-3)


def test_the_likelihood_is_at_its_maximum():
    """Against a general minimiser that knows nothing of our derivatives."""
    counts = np.random.default_rng(3).poisson(expected(truth(60.0), 0.05))
    found = fit_source(scene(counts, 0.05), 20, 20, reach=25, stray=4)

    def cash(values):
        mean = expected(truth(np.exp(values[2]), values[0], values[1]), 0.05)
        return 2 * (mean - counts * np.log(mean)).sum()

    best = optimize.minimize(cash, (20.0, 20.0, 4.0), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-6})
    assert (found.x, found.y) == pytest.approx(tuple(best.x[:2]), abs=2e-3)
    assert found.rate == pytest.approx(np.exp(best.x[2]), rel=1e-3)
    assert 2 * found.gain == pytest.approx(cash((0, 0, -30)) - best.fun, abs=1e-2)


@pytest.mark.parametrize(("counts", "extent"), [(40.0, 0.0), (3000.0, 0.0), (3000.0, 3.0)])
def test_wherever_it_begins_the_same_place_is_found(counts, extent):
    """Bright ones too, whose likelihood is steep, and with an extent that is not theirs."""
    data = np.random.default_rng(7).poisson(expected(truth(counts), 0.05))
    begins = [replace(truth(counts * factor), x=x, y=y) for factor, x, y in ((0.3, 18.5, 21.0), (3.0, 21.5, 18.5))]
    fits = [
        fit_source(scene(data, 0.05), 20, 20, reach=15, stray=4, extent=extent, begin=begin)
        for begin in (None, *begins)
    ]  # fmt: skip
    for name in ("x", "y", "rate", "gain"):
        values = [getattr(fit, name) for fit in fits]
        assert values == pytest.approx([values[0]] * 3, rel=1e-6)


def test_the_slopes_of_the_likelihood_are_those_of_its_values():
    data = np.random.default_rng(3).poisson(expected(truth(60.0), 0.05))
    likelihood = PhotonLikelihood(cut_stamp(scene(data, 0.05), 20, 20, 12), widened(PSF, 0.0, 1.5))

    def value(u: float, x: float, y: float) -> float:
        return likelihood.value(np.exp(u), likelihood.light(x, y))

    at, step = np.array((4.0, 20.4, 19.6)), 1e-3 * np.eye(3)
    slope = likelihood.slope(np.exp(4.0), likelihood.light(20.4, 19.6))
    pull = [(value(*(at + one)) - value(*(at - one))) / 2e-3 for one in step]
    bend = [[(value(*(at + a + b)) - value(*(at + a - b)) - value(*(at - a + b)) + value(*(at - a - b))) / -4e-6
             for a in step] for b in step]  # fmt: skip
    assert slope.pull == pytest.approx(pull, rel=1e-4, abs=1e-4)
    assert slope.bend == pytest.approx(np.array(bend), rel=1e-3, abs=1e-2)


@pytest.mark.parametrize(("counts", "background"), [(30, 0.01), (60, 0.1)])
def test_pulls_and_bias(counts, background):
    rng = np.random.default_rng(counts)
    rates, pulls, shifts = [], [], []
    for _ in range(300):
        x, y = 20 + rng.uniform(-0.5, 0.5, 2)
        data = rng.poisson(expected(truth(counts, x, y), background))
        found = fit_source(scene(data, background), 20, 20, reach=15, stray=3)
        error = found.rate - found.rate_low if found.rate > counts else found.rate_high - found.rate
        rates.append(found.rate)
        pulls.append((found.rate - counts) / error)
        shifts += [(found.x - x) / found.x_error, (found.y - y) / found.y_error]
    # 300 fields leave 0.06 on a mean pull and 0.04 on its width.
    assert abs(np.mean(pulls)) < 0.1 + 0.12
    assert 0.9 - 0.08 < np.std(pulls) < 1.1 + 0.08
    assert abs(np.mean(shifts)) < 0.1
    assert 0.9 < np.std(shifts) < 1.1 + 0.03
    assert abs(np.mean(rates) / counts - 1) < 0.03 + 2 * np.std(rates) / counts / np.sqrt(300)


@pytest.mark.parametrize("name", ["PN", "M1"])
def test_position_errors_hold_for_images_that_are_longer_than_wide(name):
    """Photons of an elongated image, on the pixels of the detector, as far off the axis as 10 arcmin."""
    rng, psf = np.random.default_rng(17), psf_for(name, 4.35, axis=(20.0 - 600 / 4.35, 20.0))
    weights, widths = replace(psf, facts=replace(psf.facts, pixel=0.0)).mixture(10.0)
    side, edges, shifts = psf.facts.pixel / psf.pixel_arcsec, np.arange(42) - 0.5, []
    for _ in range(200):
        x, y = 20 + rng.uniform(-0.5, 0.5, 2)
        width = rng.choice(widths, rng.poisson(120), p=weights)
        # Squeezed along the radius, stretched across it, by as much.
        places = x + 0.84 * rng.normal(0.0, width), y + 1.19 * rng.normal(0.0, width)
        phase = rng.uniform(0.0, side)
        column, line = (side * (np.floor((at - phase) / side) + rng.random(len(at))) + phase for at in places)
        data = np.histogram2d(line, column, bins=(edges, edges))[0] + rng.poisson(0.1, SHAPE)
        found = fit_source(scene(data, 0.1, psf), 20, 20, reach=15, stray=3)
        shifts.append(((found.x - x) / found.x_error, (found.y - y) / found.y_error))
    # 200 sources leave 0.05 on the width of each.
    assert np.std(shifts, axis=0) == pytest.approx([1.0, 1.0], abs=0.1 + 0.1)
    assert 0.9 < np.std(shifts) < 1.1


def test_position_errors_hold_for_few_photons_that_scatter_more_widely_than_the_function():
    """Photons scatter less about a best place than about the true one, the more so the fewer they are."""
    rng, edges, shifts = np.random.default_rng(29), np.arange(42) - 0.5, []
    # A King function of the calibration files: core and slope on the axis.
    core, slope = 4.84 / 4.35, 1.462
    for _ in range(400):
        x, y = 20 + rng.uniform(-0.5, 0.5, 2)
        number = rng.poisson(30)
        radius = core * np.sqrt(rng.random(number) ** (1.0 / (1.0 - slope)) - 1.0)
        around = rng.uniform(0.0, 2.0 * np.pi, number)
        places = y + radius * np.sin(around), x + radius * np.cos(around)
        data = np.histogram2d(*places, bins=(edges, edges))[0] + rng.poisson(0.03, SHAPE)
        found = fit_source(scene(data, 0.03), 20, 20, reach=12, stray=2)
        shifts += [(found.x - x) / found.x_error, (found.y - y) / found.y_error]
    # 400 sources leave 0.025 on the width.
    assert np.std(shifts) == pytest.approx(1.0, abs=0.05)


def test_errors_are_finite_whatever_the_counts():
    rng = np.random.default_rng(2)
    for psf in (PSF, gaussian_psf(0.3)):
        for number in range(5):
            data = np.zeros(SHAPE)
            np.add.at(data, tuple(rng.integers(15, 26, (2, number))), 1)
            for background in (1e-6, 0.1):
                found = fit_source(scene(data, background, psf), 20, 20, reach=12, stray=3)
                assert np.isfinite([found.x_error, found.y_error, found.rate_low, found.rate_high]).all()
                assert found.x_error > 0 < found.y_error


def test_a_gap_through_the_source_does_not_change_its_rate():
    rng = np.random.default_rng(8)
    rates = []
    for _ in range(60):
        source = truth(200.0, 20.0, 20.0)
        exposure = np.full(SHAPE, 1.0)
        exposure[:, 22:25] = 0
        mean = np.full(SHAPE, 0.05) * exposure
        whole = Scene(mean, exposure, mean, PSF)
        place, image = source_image(whole, source, 60)
        mean = mean + 0
        mean[place] += image
        found = fit_source(Scene(rng.poisson(mean), exposure, whole.background, PSF), 20, 20, reach=15, stray=3)
        rates.append(found.rate)
        assert found.counts < found.rate
        assert found.exposure < 1
    assert np.mean(rates) == pytest.approx(200, abs=3 * np.std(rates) / np.sqrt(60) + 2)


@pytest.mark.parametrize(("counts", "background"), [(10, 0.005), (5, 0.1), (30, 0.1)])
def test_limits_cover_as_often_as_they_say(counts, background):
    rng = np.random.default_rng(counts)
    mean = expected(truth(counts), background)
    limits = [upper_limit(scene(rng.poisson(mean), background), 20.2, 19.7, reach=12) for _ in range(400)]
    # 400 trials leave 1.5 %.
    assert np.mean(np.array(limits) >= counts) == pytest.approx(0.9, abs=0.02 + 0.03)


def test_limits_are_never_below_that_of_an_empty_place():
    lucky = upper_limit(scene(np.zeros(SHAPE), 0.1), 20, 20, reach=12)
    rng = np.random.default_rng(3)
    empty = [upper_limit(scene(rng.poisson(0.1, SHAPE), 0.1), 20, 20, reach=12) for _ in range(200)]
    assert lucky == min(empty) == pytest.approx(np.median(empty), rel=0.1)


def test_limits_on_nothing():
    empty = upper_limit(scene(np.zeros(SHAPE), 1e-9), 20, 20, reach=20)
    # No count and no background: half of exp(-rate) is 10 %.
    assert empty == pytest.approx(np.log(5) / PSF.eef(np.array([20.0]))[0], rel=0.03)
    assert upper_limit(scene(np.zeros(SHAPE), 0.0, exposure=0.0), 20, 20, reach=9) == np.inf


def test_likelihood():
    assert detection_likelihood(np.array([0.0]), 3)[0] == 0
    assert detection_likelihood(np.array(5.0), 3) == pytest.approx(-stats.chi2.logsf(10.0, 3))
    assert np.isfinite(detection_likelihood(np.array(1e6), 4))


def test_a_narrow_source_that_left_the_image_is_fitted_without_harm():
    """Beside wide gaps positions may stray beyond the stamp, where a narrow source has no light at all."""
    counts, seconds, below = np.ones((9, 9)), np.ones((9, 9)), np.ones((9, 9))
    scene = Scene(counts, seconds, below, gaussian_psf(0.3))
    away = SourceFit(-15.0, 4.0, 1.0, *[0.0] * 8)
    fit = fit_source(scene, 0, 4, reach=4, stray=16, begin=away)
    assert fit.exposure == 0
    assert fit.gain == pytest.approx(0, abs=1e-6)
