"""Particles beside the vignetted background, extended light of any shape, its parts, and false sources within it."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import gaussian_filter

from daxa.xray import find_sources, write_sources
from daxa.xray.detection.background import estimate_components
from daxa.xray.detection.diffuse import _smoothed, filled, large_parts, spread_out
from daxa.xray.detection.particles import area_share, particle_level
from daxa.xray.detection.psf import gaussian_psf, psf_for
from daxa.xray.detection.psffit import Scene, SourceFit, source_image
from daxa.xray.detection.quality import SourceQuality, circle_radius

SIDE = 256
Y, X = np.indices((SIDE, SIDE))
AWAY = np.hypot(X - 132.0, Y - 120.0) / 128.0
SHARE = np.clip(1 - 0.75 * AWAY**2 + 0.2 * AWAY**4, 0.2, 1)
FIELD = np.hypot(X - 128, Y - 128) < 124


def vignetted(gaps: bool = True) -> np.ndarray:
    seconds = 1e4 * SHARE * FIELD
    if gaps:
        seconds[:, 90:93] = 0
        seconds[140:142] *= 0.5
    return seconds


@pytest.mark.parametrize("width", [9.0, 12.0, 33.9])
def test_smoothing_in_cells_is_smoothing(width):
    y, x = np.mgrid[:300, :317]
    mean = 0.1 + 3.0 * (1 + ((x - 150) ** 2 + (y - 130) ** 2) / 400) ** -1.5
    image = np.random.default_rng(3).poisson(mean).astype(float)
    told, true = ([one(part, width) for part in (image, mean)] for one in (_smoothed, _pixel_by_pixel))
    noise = 1 / np.sqrt(4 * np.pi * width**2 * true[1])
    off = (told[0] / told[1] - true[0] / true[1]) / noise
    assert off.std() < 0.07
    assert np.abs(off).max() < 0.4


def _pixel_by_pixel(image, width):
    return gaussian_filter(image, width, mode="constant", truncate=4.0)


def test_the_vignetting_of_a_map_is_found_in_the_map():
    share = area_share(vignetted())
    assert np.abs(share[FIELD] / SHARE[FIELD] - 1).max() < 0.04
    # A map that is flat has none, nor has one of two pointings.
    assert area_share(1e4 * FIELD) is None
    assert area_share(np.where(X < 128, 1e4, 3e3) * FIELD) is None
    assert area_share(np.zeros((SIDE, SIDE))) is None


@pytest.mark.parametrize("particles", [0.0, 0.05, 0.2])
def test_particles_are_distinguished_from_focused_light(particles):
    seconds = vignetted()
    flat = np.divide(seconds, SHARE)
    counts = np.random.default_rng(8).poisson(0.1 * seconds / 1e4 + particles * flat / 1e4)
    level = particle_level(counts, seconds, flat, 8)
    assert level * 1e4 == pytest.approx(particles, abs=0.02)
    assert particle_level(np.zeros_like(counts), seconds, flat, 8) == 0.0


def test_the_rim_of_a_field_with_particles_is_not_too_dark():
    seconds = vignetted()
    mean = 0.05 * seconds / 1e4 + 0.1 * np.divide(seconds, SHARE) / 1e4
    counts = np.random.default_rng(3).poisson(mean)
    found = estimate_components(counts, seconds, sigma=48, psf_radius=4)
    for inner, outer in ((0.0, 0.4), (0.4, 0.7), (0.7, 0.9), (0.9, 0.97)):
        ring = (inner <= AWAY) & (outer > AWAY) & (seconds > 0)
        assert found.whole[ring].sum() / mean[ring].sum() == pytest.approx(1, abs=0.05)


def nebula() -> tuple[np.ndarray, np.ndarray]:
    """Expected counts of a crooked nebula with knots, and with a star in it, over a flat background."""
    mean = np.full((SIDE, SIDE), 0.02)
    for x, y, wide, high, peak in ((110, 120, 26, 10, 1.6), (150, 140, 10, 26, 1.2), (128, 128, 40, 40, 0.5)):
        mean += peak * np.exp(-0.5 * (((X - x) / wide) ** 2 + ((Y - y) / high) ** 2))
    for x, y in ((95, 118), (118, 124), (150, 150), (147, 128), (128, 100)):
        mean += 1.5 * np.exp(-0.5 * ((X - x) ** 2 + (Y - y) ** 2) / 4.0**2)
    return mean, mean + 120 / (2 * np.pi * 1.44) * np.exp(-0.5 * ((X - 170) ** 2 + (Y - 95) ** 2) / 1.44)


@pytest.fixture(scope="module")
def found_nebula():
    _, mean = nebula()
    counts = np.random.default_rng(5).poisson(mean)
    return counts, find_sources(counts, np.full(counts.shape, 1e4), gaussian_psf(1.2), realisations=2)


def test_a_nebula_is_one_source_with_parts_and_the_star_in_it_another(found_nebula, tmp_path):
    counts, found = found_nebula
    inside = np.hypot(found["x"] - 129, found["y"] - 129) < 60
    bodies = (found["parts"] > 0) & (found["extent"] > 0)
    assert bodies.sum() == 1
    assert found["quality"][bodies][0] & SourceQuality.SUBSTRUCTURE
    assert inside.sum() <= 4
    star = np.hypot(found["x"] - 171, found["y"] - 96)
    assert star.min() < 1.5
    assert found["extent"][star.argmin()] == 0
    assert len(found.parts["id"]) == found["parts"].sum()
    assert set(found.parts["parent"]) == {int(found["id"][bodies][0])}
    # What is expected beside the sources has the nebula and its knots.
    lit = np.hypot(X - 128, Y - 128) < 45
    lit &= np.hypot(X - 170, Y - 95) > 8
    assert found.background[lit].sum() / counts[lit].sum() == pytest.approx(1, abs=0.05)
    write_sources(tmp_path / "list.fits", found)
    with fits.open(tmp_path / "list.fits") as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["SOURCES", "PARTS"]
        assert hdus["SOURCES"].header["FALSESIM"] == 2
        assert hdus["SOURCES"].header["FALSEEXP"] == pytest.approx(found.expected_false, rel=1e-5)
        assert hdus["PARTS"].data["PARENT"].tolist() == found.parts["parent"].tolist()


def test_the_number_of_false_sources_within_light_is_that_of_made_fields():
    """Smooth light alone: what is found beside the body is false, and as much as is said."""
    y, x = np.indices((320, 320))
    mean = 0.15 + 4.0 * (1 + (np.hypot(x - 150, y - 170) / 9.0) ** 2) ** -1.5
    psf = psf_for("M1", 4.35)
    number, told = 0, []
    for seed in range(4):
        counts = np.random.default_rng(seed).poisson(mean)
        found = find_sources(counts, np.full(mean.shape, 1e4), psf, false_per_field=2.0, realisations=2)
        assert found.simulated == 2
        number, told = number + len(found) - 1, [*told, found.expected_false]
    assert abs(number - sum(told)) < 3.3 * np.sqrt(sum(told))
    # Equal data, equal numbers; a field that is dark needs no made ones.
    again = find_sources(counts, np.full(mean.shape, 1e4), psf, false_per_field=2.0, realisations=2, workers=1)
    assert again.expected_false == told[-1]
    dark = np.random.default_rng(1).poisson(0.05, (128, 128))
    assert find_sources(dark, np.full(dark.shape, 1e4), psf).simulated == 0


def test_large_marks_of_a_bright_point_are_no_extended_light():
    counts = np.full((SIDE, SIDE), 0.1)
    scene = Scene(counts, np.ones_like(counts), counts, psf_for("M1", 4.35))
    place, light = source_image(scene, SourceFit(128, 128, 5000.0, 0.0, *[0.0] * 7), 100.0)
    counts[place] += light
    parts = large_parts(np.hypot(X - 128, Y - 128) < 50, FIELD, 48.0)
    assert parts.max() == 1
    assert spread_out(counts, np.full(counts.shape, 0.1), parts, 24.0).max() == 0
    wide = 0.1 + 0.5 * np.exp(-0.5 * ((X - 128) ** 2 + (Y - 128) ** 2) / 30**2)
    assert spread_out(wide, np.full(counts.shape, 0.1), parts, 24.0).max() == 1


def test_pile_up_is_judged_at_all_energies():
    psf, rng = gaussian_psf(1.5), np.random.default_rng(2)
    seconds, mean = np.full((96, 96), 1000.0), np.full((96, 96), 0.01)
    scene = Scene(mean, np.ones_like(mean), mean, psf)
    place, light = source_image(scene, SourceFit(48, 48, 400.0, 0.0, *[0.0] * 7), 60)
    mean[place] += light
    band = rng.poisson(mean)
    rest = rng.poisson(1.5 * mean)
    alone = find_sources(band, seconds, psf, most_rate=0.7, false_per_field=0.01)
    whole = find_sources(band, seconds, psf, most_rate=0.7, all_counts=band + rest, false_per_field=0.01)
    # 0.4 count/s in the band, 1 in all.
    assert not alone["quality"][0] & SourceQuality.PILEUP
    assert whole["quality"][0] & SourceQuality.PILEUP


def test_circles_of_nustar_hold_nine_tenths_and_not_the_field():
    psf = psf_for("FPMA", 2.46, kev=10.0)
    assert 2 * psf.radius(0.5) * 2.46 == pytest.approx(58, abs=1)
    assert 80 < circle_radius(psf, 100.0, 100.0, 0.0) * 2.46 < 120
    # SS 433, 30002041016: shares within radii, the middle of two places 74 arcsec apart.
    rng = np.random.default_rng(1)
    radii = np.geomspace(1e-2, 3000, 20000)
    r, angle = np.interp(rng.random(200_000), psf.eef(radii / 2.46), radii), rng.uniform(0, 2 * np.pi, 200_000)
    away = np.hypot(r * np.cos(angle) + rng.choice((-37.0, 37.0), len(r)), r * np.sin(angle))
    for radius, share in ((80, 0.801), (120, 0.926), (150, 0.965), (180, 0.985)):
        assert (away < radius).mean() == pytest.approx(share, abs=0.01)


def test_counts_less_than_none_leave_a_background():
    """A bright source that fits badly leaves a rim of too many counts around too few, below zero."""
    counts = np.random.default_rng(1).poisson(0.2, (128, 128)).astype(float)
    counts[56:72, 50:62] += 1000
    counts[56:72, 62:70] -= 2000
    with np.errstate(over="raise", invalid="raise"):
        below = filled(counts, np.full(counts.shape, 0.2), np.ones(counts.shape, bool), 48.0, 2.0)
    assert below.min() >= 0 and below.max() < 10 * counts.max()
