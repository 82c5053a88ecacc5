"""The wavelets: what they answer to, and that their chances are exact."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from daxa.errors import NotPossible
from daxa.xray.detection.chance import exceeds, log_chance, tail_table, threshold
from daxa.xray.detection.wavelet import LADDER, make_wavelets, respond

NINE = make_wavelets(LADDER[:9])


def flat(level: float, side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(seed).poisson(level, (side, side)), np.full((side, side), level)


def plain(wavelet) -> np.ndarray:
    """The wavelet as its formula has it, in units of its peak, on the binned pixels."""
    reach = int(8 * wavelet.width)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    u = (x * x + y * y) / wavelet.width**2
    return 0.5 * (2 - u) * np.exp(-0.5 * u)


@pytest.mark.parametrize("wavelet", NINE, ids=lambda w: f"{w.scale:.3g}")
def test_one_photon_draws_the_wavelet(wavelet):
    counts = np.zeros((256, 256))
    middle = 128 // wavelet.bin
    counts[128, 128] = 1
    (found,) = respond(counts, np.zeros_like(counts), (wavelet,))
    form = plain(wavelet)
    reach = min(len(form) // 2, middle - 1)
    own = found.excess[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]
    cut = len(form) // 2 - reach
    expected = form[cut : len(form) - cut, cut : len(form) - cut]
    np.testing.assert_allclose(own, expected, atol=2e-6)


@pytest.mark.parametrize("wavelet", NINE, ids=lambda w: f"{w.scale:.3g}")
def test_background_that_is_known_leaves_nothing_and_edges_make_nothing(wavelet):
    background = np.outer(np.linspace(1, 3, 200), np.linspace(2, 1, 230))
    background[:, 100:110] = 0
    (found,) = respond(background, background, (wavelet,))
    assert np.abs(found.excess).max() < 1e-4


def test_local_background_is_weighted_as_the_variance_is():
    wavelet = make_wavelets((4.0,))[0]
    background = np.ones((128, 128))
    background[:, 64:] = 3.0
    (found,) = respond(np.zeros_like(background), background, (wavelet,))
    kernel = plain(wavelet) ** 2
    reach = len(kernel) // 2
    for x in (40, 60, 63, 66, 90):
        near = background[64 - reach : 65 + reach, x - reach : x + reach + 1] if reach <= x < 128 - reach else None
        if near is not None:
            exact = (near * kernel).sum() / kernel.sum()
            assert found.local(np.array([64]), np.array([x]))[0] == pytest.approx(exact, rel=0.12)


@pytest.mark.parametrize(("level", "scale"), [(0.004, 1.0), (0.05, 2.0), (0.3, 4.0), (2.0, 1.41421356), (0.02, 8.0)])
@pytest.mark.parametrize("chance", [1e-2, 1e-3])
def test_as_many_pixels_are_above_the_threshold_as_requested(level, scale, chance):
    wavelet = make_wavelets((scale,))[0]
    shares = []
    for seed in range(12):
        (found,) = respond(*flat(level, 512, seed + round(1e4 * level)), (wavelet,))
        edge = int(6 * wavelet.width) + 1
        inner = found.excess[edge:-edge, edge:-edge]
        iy, ix = np.nonzero(inner > 0.8 * threshold(wavelet, np.array([level * wavelet.bin**2]), np.log(4 * chance))[0])
        lot = np.random.default_rng(seed).random(len(iy))
        place = (iy + edge, ix + edge)
        logs = log_chance(wavelet, found.excess[place], found.local(*place), lot)
        shares.append((logs < np.log(chance)).sum() / (inner.size * chance))
    error = np.std(shares) / np.sqrt(len(shares))
    assert abs(np.mean(shares) - 1) < max(0.1, 3 * error)
    assert error < 0.25, "too few pixels to tell"


def test_chances_of_few_photons_are_those_of_poisson():
    """At a scale of 1 pixel and hardly any background two photons in one pixel are the rarest common thing."""
    level = 1e-4
    wavelet = make_wavelets((1.0,))[0]
    two = log_chance(wavelet, np.array([1.9]), np.array([level]), np.array([0.5]))[0]
    assert np.exp(two) == pytest.approx(stats.poisson.sf(1, level), rel=0.03)


def test_chances_of_many_photons_are_those_of_a_gaussian():
    wavelet = make_wavelets((4.0,))[0]
    for level in (1e3, 1e5):
        sigma = 0.5 * np.sqrt(level * 2 * np.pi * 16)
        logs = log_chance(wavelet, np.array([2.0, 4.0]) * sigma, np.full(2, level), np.full(2, 0.5))
        np.testing.assert_allclose(np.exp(logs), stats.norm.sf([2.0, 4.0]), rtol=0.06)


def test_the_two_ways_to_the_distribution_agree_where_they_meet():
    wavelet = make_wavelets((4.0,))[0]
    levels = np.array([295.0, 305.0]) / (2 * np.pi * 16)
    low, high = (threshold(wavelet, level, log_p) for level in levels for log_p in (-14.0,))
    assert high / low == pytest.approx(np.sqrt(305 / 295), rel=3e-3)


def test_thresholds_agree_with_the_published_ones_far_above_a_gaussian_at_low_counts():
    wavelet = make_wavelets((4.0,))[0]
    limits = [threshold(wavelet, np.array([q / (2 * np.pi * 16)]), np.log(1e-6))[0] for q in (0.01, 0.1, 1, 10, 100)]
    assert limits == pytest.approx([1.65, 2.4, 4.3, 9.6, 25.9], rel=0.02)
    assert limits[0] > 6 * 4.75 * 0.5 * np.sqrt(0.01)


@pytest.mark.parametrize("q", [0.003, 0.1, 3.0, 100.0])
def test_the_tail_falls_without_a_step_where_the_saddle_point_takes_over(q):
    tail = tail_table(2.0, round(np.log(q) / (np.log(10) / 32)))
    joint = tail.start + tail.cell * (len(tail.log) - 1)
    c = np.linspace(joint - 0.05, joint + 30, 2000)
    level = q / (2 * np.pi * 4)
    logs = log_chance(make_wavelets((2.0,))[0], c, np.full(2000, level), np.full(2000, 0.5))
    assert (np.diff(logs) <= 1e-9).all()
    assert logs[-1] < logs[0] - 5


def test_what_exceeds_the_threshold_is_found_without_all_thresholds():
    """Also where the background is as low as in gaps, and where a wavelet's cells are larger than its pixels."""
    counts, background = flat(0.2, 150, 5)
    background[:, 60:64] = 0
    counts[:, 60:64] = 0
    counts[30:33, 30:33] += 4
    for response in respond(counts, background, NINE):
        wavelet, ratio = response.wavelet, response.wavelet.coarse // response.wavelet.bin
        limit = np.maximum(threshold(wavelet, response.background * wavelet.bin**2, np.log(1e-3)), 1.05)
        limit = np.kron(limit, np.ones((ratio, ratio)))[tuple(slice(n) for n in response.excess.shape)]
        found = exceeds(response, np.log(1e-3))
        assert (found == (response.excess > limit)).all()
        assert found.any()


def test_threads_do_not_change_a_bit():
    counts, background = flat(0.2, 333, 5)
    one, three = (list(respond(counts, background, NINE, workers=n)) for n in (1, 3))
    for a, b in zip(one, three, strict=True):
        assert a.excess.tobytes() == b.excess.tobytes()
        assert a.background.tobytes() == b.background.tobytes()


@pytest.mark.parametrize("scales", [(), (3.0,), (1.0, 2.0), (2.0, 1.41421356), (64.0,)])
def test_scales_without_a_calibration_are_refused(scales):
    with pytest.raises(NotPossible) as refusal:
        make_wavelets(scales)
    assert refusal.value.code == "impossible.scales"
