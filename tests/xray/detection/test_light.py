"""Extended light beside which sources are looked for: real cluster, made clusters, and fields without any.

No false sources are counted in made fields here: they say nothing of the light or of the list.
"""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from daxa.xray import find_sources
from daxa.xray.detection.background import estimate_components
from daxa.xray.detection.bodies import ExtendedBodies, is_part
from daxa.xray.detection.light import fit_lights
from daxa.xray.detection.peaks import Peaks
from daxa.xray.detection.psf import psf_for
from daxa.xray.detection.psffit import Scene, SourceFit, source_image

SIDE = 320
PSF = psf_for("M1", 4.35, axis=(SIDE / 2, SIDE / 2))
R80 = PSF.radius(0.8)


def cluster(peak: float, core: float, slope: float, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exposure, expected counts of the background, and of a beta model that is vignetted as it is."""
    y, x = np.indices((SIDE, SIDE))
    away = np.hypot(x - 150.0, y - 170.0)
    seconds = 1e4 * (1 - 0.5 * (np.hypot(x - SIDE / 2, y - SIDE / 2) / (SIDE / 2)) ** 2).clip(0.2, 1)
    seconds[:, 100:103] = 0
    light = peak * (1 + (away / core) ** 2) ** (0.5 - 3 * slope) * seconds / 1e4
    return seconds, level * seconds / 1e4, light


@pytest.mark.parametrize(("peak", "core", "slope"), [(8.0, 8.0, 0.65), (2.0, 14.0, 0.55)])
def test_every_ring_about_a_cluster_has_its_background(peak, core, slope):
    seconds, dark, light = cluster(peak, core, slope, 0.15)
    counts = np.random.default_rng(9).poisson(dark + light)
    found = estimate_components(counts, seconds, sigma=48, psf_radius=R80)
    assert len(found.lights) == 1
    y, x = np.indices(counts.shape)
    away = np.hypot(x - 150.0, y - 170.0)
    for inner in range(42, 150, 14):
        ring = (away >= inner) & (away < inner + 14) & (light < 1.5 * dark)
        if ring.sum() > 1000:
            assert found.whole[ring].sum() / (dark + light)[ring].sum() == pytest.approx(1, abs=0.1)
    # Smoothing alone, which knows of no light, is off: the bound can fail.
    far = (away > 60) & (away < 150)
    assert found.smooth[far].sum() < 0.97 * found.whole[far].sum()


@pytest.mark.parametrize("sources", [(), ((160, 160, 4000.0), (80, 220, 900.0)), ((120, 120, 300.0, 3.0),)])
def test_points_and_small_sources_are_no_extended_light(sources):
    seconds = np.full((SIDE, SIDE), 1e4)
    mean = np.full((SIDE, SIDE), 0.1)
    scene = Scene(mean, np.ones_like(mean), mean, PSF)
    for x, y, number, *extent in sources:
        place, image = source_image(scene, SourceFit(x, y, number, *(extent or [0.0]), *[0.0] * 7), 150.0)
        mean[place] += image
    found = estimate_components(np.random.default_rng(4).poisson(mean), seconds, sigma=48, psf_radius=R80)
    assert found.lights == ()
    assert found.whole is found.smooth


def test_points_within_a_steep_cluster_are_no_part_of_its_light():
    seconds, dark, light = cluster(36.0, 6.0, 0.667, 0.1)
    alone = dark + light
    mean = alone.copy()
    scene = Scene(mean, seconds / 1e4, mean, PSF)
    points = ((173.0, 178.0, 300.0), (136.0, 170.0, 400.0), (150.0, 157.0, 350.0), (163.0, 159.0, 120.0))
    for x, y, number in points:
        place, image = source_image(scene, SourceFit(x, y, number, 0.0, *[0.0] * 7), 150.0)
        mean[place] += image
    y, x = np.indices(mean.shape)
    away, ratios, pulls = np.hypot(x - 150.0, y - 170.0), [], []
    for seed in (1, 2):
        counts = np.random.default_rng(seed).poisson(mean)
        found = estimate_components(counts, seconds, sigma=48, psf_radius=R80)
        # A point is the brightest compact thing but for the centre of the cluster: it is no light of its own.
        assert len(found.lights) == 1
        assert np.hypot(found.lights[0].x - 150.0, found.lights[0].y - 170.0) < 1.5
        sources = find_sources(counts, seconds, PSF, realisations=0)
        ring = (away > 14) & (away < 32) & (seconds > 0)
        ratios.append(sources.background[ring].sum() / alone[ring].sum())
        for px, py, number in points:
            row = np.hypot(sources["x"] - 1 - px, sources["y"] - 1 - py).argmin()
            assert np.hypot(sources["x"][row] - 1 - px, sources["y"][row] - 1 - py) < 2
            rate, low, high = (1e4 * sources[name][row] for name in ("rate", "rate_low", "rate_high"))
            pulls.append((rate - number) / (rate - low if rate > number else high - rate))
    # Their wings are no light: the background in the ring where they lie is that of the cluster.
    assert ratios == pytest.approx([1.0, 1.0], abs=0.08)
    assert np.abs(pulls).max() < 4.0
    assert abs(np.mean(pulls)) < 3 / np.sqrt(len(pulls))


def test_a_cluster_is_one_source_and_a_point_beside_it_is_found():
    seconds, dark, light = cluster(8.0, 8.0, 0.65, 0.15)
    mean = dark + light
    scene = Scene(mean, seconds / 1e4, mean, PSF)
    for x, y in ((150 + 46, 170), (150, 170 - 60)):
        place, image = source_image(scene, SourceFit(x, y, 70.0, 0.0, *[0.0] * 7), 60.0)
        mean[place] += image
    seen, extended = 0, []
    for seed in range(3):
        found = find_sources(np.random.default_rng(seed).poisson(mean), seconds, PSF, realisations=0)
        x, y = found["x"] - 1, found["y"] - 1
        seen += sum(np.hypot(x - px, y - py).min() < 2 for px, py in ((196, 170), (150, 110)))
        middle = np.hypot(x - 150, y - 170).argmin()
        assert found["extent"][middle] > 3
        extended.append(found["counts"][middle])
    assert seen >= 5
    # Within the stamp of the fit; a beta model of 0.65 is fitted by one of 2/3.
    assert np.mean(extended) == pytest.approx(light.sum(), rel=0.3)


def test_light_that_fills_the_field_leaves_a_background():
    """A nearby cluster: nothing of the field is dark, and the background that is left of the light would be none."""
    seconds, dark, light = cluster(1.0, 40.0, 0.5, 0.002)
    mean = dark + 3 * light
    counts = np.random.default_rng(1).poisson(mean)
    found = estimate_components(counts, seconds, sigma=48, psf_radius=R80)
    assert (found.whole[seconds > 0] > 0.1 * mean[seconds > 0]).all()
    sources = find_sources(counts, seconds, PSF, realisations=0)
    assert len(sources) <= 6


@pytest.mark.parametrize("camera", ["PN", "M1", "M2"])
def test_rings_about_a_real_cluster(real_data, camera):
    """A907: background over counts in rings of 1 arcmin from 3 to 12, sources apart."""
    name = {"PN": "pn", "M1": "mos1", "M2": "mos2"}[camera]
    folder = real_data / "xmm/0404910601" / ("maps" if camera == "M2" else "images")
    ends = ".fits.gz" if camera == "M2" else ".fits"
    stem = f"0404910601_{name}_exp1-0.50-2.00keV"
    counts, seconds = (fits.getdata(folder / f"{stem}{kind}{ends}") for kind in ("img", "expmap"))
    psf = psf_for(camera, 4.35, axis=(262.0, 275.0))
    found = find_sources(counts.astype(int), seconds.astype(float), psf, realisations=0)
    y, x = np.indices(counts.shape)
    away = np.hypot(x - 255.6, y - 277.0) * 4.35 / 60
    kept = found.valid.copy()
    for column, row in zip(found["x"] - 1, found["y"] - 1, strict=True):
        if np.hypot(column - 255.6, row - 277.0) * 4.35 / 60 > 3:
            kept &= np.hypot(x - column, y - row) > 8
    for inner in range(3, 12):
        ring = kept & (away >= inner) & (away < inner + 1)
        error = 1 / np.sqrt(counts[ring].sum())
        assert abs(found.background[ring].sum() / counts[ring].sum() - 1) < 0.1 + error, inner


def test_a_compact_source_with_nothing_around_it_is_no_light_and_no_division_by_zero():
    """As in a short list of a bright source: beyond its core there is not a single count."""
    counts, seconds = np.zeros((96, 96)), np.full((96, 96), 100.0)
    counts[46:51, 46:51] = np.outer((1, 8, 20, 8, 1), (1, 8, 20, 8, 1))
    found = fit_lights(
        counts,
        seconds,
        np.zeros_like(counts),
        compact=lambda model: np.zeros(model.shape, bool),
        smooth=lambda left, used: np.zeros(left.shape),
        psf_radius=6.0,
        sigma=20.0,
    )
    assert found == ()


def cross(*, columns: tuple[tuple[int, int], ...], rows: tuple[tuple[int, int], ...] = ()) -> np.ndarray:
    """A vignetted exposure with gaps between chips."""
    seconds, _, _ = cluster(1.0, 8.0, 0.65, 0.1)
    seconds[:, 100:103] = seconds[:, 99:100]
    for first, last in columns:
        seconds[:, first:last] = 0
    for first, last in rows:
        seconds[first:last] = 0
    return seconds


@pytest.mark.parametrize(
    ("peak", "core", "slope", "seconds", "seed"),
    [
        # The pieces on either side of gaps are each as large as a cluster.
        (30.0, 16.0, 0.667, cross(columns=((156, 160), (200, 204)), rows=((190, 194),)), 1),
        (200.0, 10.0, 0.7, cross(columns=((156, 160), (200, 204)), rows=((190, 194),)), 0),
        # Gaps beside the centre, and over it: they hide where the light is brightest.
        (8.0, 8.0, 0.65, cross(columns=tuple((x, x + 3) for x in range(64, 320, 64)), rows=((158, 162),)), 1),
        (8.0, 8.0, 0.65, cross(columns=((146, 154),)), 0),
    ],
)
def test_a_cluster_that_gaps_divide_is_one_source(peak, core, slope, seconds, seed):
    y, x = np.indices(seconds.shape)
    profile = peak * (1 + np.hypot(x - 150.0, y - 170.0) ** 2 / core**2) ** (0.5 - 3 * slope)
    mean = (0.15 + profile) * seconds / 1e4
    found = find_sources(np.random.default_rng(seed).poisson(mean), seconds, PSF, realisations=0)
    extended = found["extent"] > 0
    assert extended.sum() == 1
    assert np.hypot(found["x"][extended] - 151, found["y"][extended] - 171)[0] < 4
    assert found["counts"][extended][0] == pytest.approx((profile * seconds / 1e4).sum(), rel=0.2)
    assert (~extended).sum() <= 4


def test_the_wings_of_a_bright_point_in_a_gap_are_no_light_about_it():
    """Its wings, which are wider than is known, hold as many counts as a cluster."""
    seconds, rng, number = cross(columns=()), np.random.default_rng(77), 20_000
    y, x = np.indices(seconds.shape) - (SIDE - 1) / 2
    along = x * np.cos(0.576) + y * np.sin(0.576), y * np.cos(0.576) - x * np.sin(0.576)
    for axis in along:
        seconds[(np.abs(axis) > 140) | (np.abs(np.abs(axis) - 140 / 3) < 2)] = 0
    away, angle = 1.13 * np.sqrt(rng.random(number) ** (-1 / 0.42) - 1), rng.random(number) * 2 * np.pi
    edges = np.arange(SIDE + 1) - 0.5
    light, *_ = np.histogram2d(126.0 + away * np.sin(angle), 126.0 + away * np.cos(angle), (edges, edges))
    seen = seconds / seconds.max()
    counts = rng.poisson(0.15 * seen) + rng.binomial(light.astype(int), seen)
    found = estimate_components(counts, seconds, sigma=48, psf_radius=R80)
    assert all(np.hypot(one.x - 126, one.y - 126) > R80 for one in found.lights)


def test_two_clusters_whose_light_meets_are_two_sources():
    y, x = np.indices((SIDE, SIDE))
    seconds = cross(columns=((156, 160),))
    clusters = [(120, 160, 8.0), (200, 165, 5.0)]
    light = [peak * (1 + ((x - cx) ** 2 + (y - cy) ** 2) / 64) ** -1.5 for cx, cy, peak in clusters]
    counts = np.random.default_rng(3).poisson((0.15 + sum(light)) * seconds / 1e4)
    found = find_sources(counts, seconds, PSF, realisations=0)
    extended = found["extent"] > 0
    assert extended.sum() == 2
    for (cx, cy, _), own in zip(clusters, light, strict=True):
        row = np.hypot(found["x"] - 1 - cx, found["y"] - 1 - cy).argmin()
        assert extended[row] and np.hypot(found["x"][row] - 1 - cx, found["y"][row] - 1 - cy) < 3
        assert found["counts"][row] == pytest.approx((own * seconds / 1e4).sum(), rel=0.25)


def test_what_outshines_a_body_is_no_part_of_it():
    own = np.ones((9, 9), np.int32)
    none = np.zeros(0)
    light = np.full((9, 9), 2.0, np.float32)
    bodies = ExtendedBodies(Peaks(*[none] * 6), own, light, own, own > 0)
    assert is_part(bodies, 4, 4, 1.0, 150.0) == 1
    assert is_part(bodies, 4, 4, 1.0, 170.0) == 0
    assert is_part(bodies, 4, 4, 0.0, 14.0) == 1
    assert is_part(bodies, 4, 4, 0.0, 16.0) == 0
