"""Peaks become sources, one each: what two peaks share is not two sources."""

from __future__ import annotations

import numpy as np
import pytest

from daxa.xray.detection.hidden import find_hidden
from daxa.xray.detection.measure import measured
from daxa.xray.detection.peaks import Peaks
from daxa.xray.detection.psf import psf_for
from daxa.xray.detection.psffit import PlacedSource, Scene, source_image
from daxa.xray.detection.quality import PileUp, SourceQuality

SIDE, SECONDS, BELOW = 81, 1000.0, 0.08
PSF = psf_for("M1", 4.35)


def scene_of(sources, seconds: np.ndarray, seed: int) -> Scene:
    """Sources (x, y, counts) drawn with the point spread function."""
    below = BELOW * seconds / SECONDS
    scene = Scene(below, seconds, below, PSF)
    mean = below.copy()
    for x, y, counts in sources:
        place, light = source_image(scene, PlacedSource(x, y, counts / SECONDS, 0.0, 0.0), 40.0)
        mean[place] += light
    return Scene(np.random.default_rng(seed).poisson(mean).astype(float), seconds, below, PSF)


def peaks_at(*places: tuple[float, float, float, float]) -> Peaks:
    """Peaks (x, y, scale, ln of the chance)."""
    x, y, scale, log_p = np.array(places).T
    return Peaks(x, y, scale, np.full(len(x), 100.0), np.full(len(x), BELOW), log_p)


def found_in(scene: Scene, peaks: Peaks) -> dict[str, np.ndarray]:
    sources, *_ = measured(scene, find_hidden(scene.exposure, PSF), None, peaks, PileUp())
    return sources


@pytest.mark.parametrize("seed", range(3))
def test_a_coarse_peak_between_two_sources_is_not_a_third(seed):
    """Beside a gap, where fits go far to the most likely place."""
    seconds = np.full((SIDE, SIDE), SECONDS)
    seconds[44:48] = 0.0
    scene = scene_of([(36.5, 40.0, 170), (43.5, 40.2, 150)], seconds, seed)
    found = found_in(scene, peaks_at((40.5, 39.5, 8.0, -520.0), (36.0, 40.0, 2.0, -290.0), (43.0, 40.0, 1.414, -170.0)))
    assert len(found["x"]) == 2
    order = np.argsort(found["x"])
    assert found["x"][order] == pytest.approx([36.5, 43.5], abs=0.5)
    assert np.abs(found["rate"][order] * SECONDS - [170, 150]).max() < 40
    assert not (found["quality"] & SourceQuality.BLEND).any()


@pytest.mark.parametrize("seed", range(3))
def test_light_on_both_sides_of_a_gap_is_one_source(seed):
    seconds = np.full((SIDE, SIDE), SECONDS)
    seconds[:, 39:42] = 0.0
    found = found_in(
        scene_of([(40.0, 40.0, 320)], seconds, seed), peaks_at((37.0, 40.0, 2.83, -80.0), (43.0, 40.0, 2.83, -60.0))
    )
    assert len(found["x"]) == 1
    assert abs(found["x"][0] - 40.0) <= 1.0
    assert found["quality"][0] & SourceQuality.GAP
    low, high = (3 * (found[name][0] - found["rate"][0]) for name in ("rate_low", "rate_high"))
    assert found["rate"][0] + low < 0.32 < found["rate"][0] + high


@pytest.mark.parametrize("gap", [0, 3])
def test_two_sources_stay_two(gap):
    """Three pixels apart (13 arcsec), or on either side of a gap at different heights."""
    seconds = np.full((SIDE, SIDE), SECONDS)
    seconds[:, 40 : 40 + gap] = 0.0
    places = [(38.0, 40.0, 300), (41.0, 40.0, 300)] if not gap else [(37.0, 37.5, 300), (45.0, 42.5, 300)]
    found = found_in(scene_of(places, seconds, 1), peaks_at(*((x, y, 1.414, -100.0 - x) for x, y, _ in places)))
    assert len(found["x"]) == 2


def test_a_second_peak_takes_no_light_from_a_source():
    """Without any gap, and with photons that scatter more along x than the point spread function says."""
    radii, share, sure = np.linspace(0, 30, 3000), [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        counts = rng.poisson(BELOW, (SIDE, SIDE)).astype(float)
        for x, y, number in ((36.5, 40.0, 260), (43.5, 43.0, 100)):
            radius, around = np.interp(rng.random(number), PSF.eef(radii), radii), rng.uniform(0, 2 * np.pi, number)
            column, row = x + 1.15 * radius * np.cos(around), y + 0.87 * radius * np.sin(around)
            np.add.at(counts, tuple(np.clip(np.rint((row, column)).astype(int), 0, SIDE - 1)), 1)
        scene = Scene(counts, np.full(counts.shape, SECONDS), np.full(counts.shape, BELOW), PSF)
        own = [(36.0, 40.0, 1.414, -290.0), (43.0, 43.0, 1.414, -170.0)]
        plain, found = (found_in(scene, peaks_at(*others, *own)) for others in ((), ((38.5, 41.5, 8.0, -520.0),)))
        assert len(found["x"]) == len(plain["x"]) == 2
        alone, both = (one["rate"][np.argsort(one["x"])] for one in (plain, found))
        share.append(both / alone)
        sure.append(found["likelihood"].max() / plain["likelihood"].max())
    bright, faint = np.mean(share, axis=0)
    assert bright == pytest.approx(1.0, abs=0.01)
    assert faint == pytest.approx(1.0, abs=0.03)
    # The place was chosen among two, which makes the source a little less sure.
    assert 0.9 < np.mean(sure) < 1.0
