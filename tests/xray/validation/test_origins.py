"""The judge of detections, and the simulated mirrors, before they are used to judge anything."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("benchmarks.validation", reason="the benchmarks do not stand beside the tests")

from benchmarks.validation.epiclist import CAMERAS, CLUSTER
from benchmarks.validation.optics import EPIC_EEF, acis_radii, draw_acis, epic
from benchmarks.validation.origins import Photons, judge
from benchmarks.validation.scenes import beside_gaps, near_cluster, populated


def photons(*groups: tuple[int, tuple[float, float], int]) -> Photons:
    """So many photons of an origin at a place."""
    places = np.concatenate([np.tile(place, (count, 1)) for _, place, count in groups]).astype(float)
    return Photons(places, np.concatenate([np.full(count, origin) for origin, _, count in groups]))


def test_a_detection_is_what_most_of_its_photons_are():
    seen = photons((1, (10, 10), 9), (2, (11, 10), 5), (0, (10, 11), 4), (3, (50, 50), 3), (0, (80, 80), 30))
    found = judge(np.array([[10, 10], [50, 50], [80, 80], [120, 120]]), seen, radius=3.0)
    assert found.origin.tolist() == [1, 0, 0, 0]
    assert found.given.tolist() == [9, 0, 0, 0]
    assert found.false.tolist() == [False, True, True, True]


def test_a_source_counts_once_and_its_other_detections_are_parts():
    seen = photons((1, (10, 10), 9), (1, (30, 10), 20), (CLUSTER, (60, 60), 40), (CLUSTER, (80, 60), 90))
    found = judge(np.array([[10, 10], [30, 10], [60, 60], [80, 60]]), seen, radius=3.0)
    assert found.first.tolist() == [False, True, False, True]
    assert found.points.tolist() == [False, True, False, False]
    assert found.clusters.tolist() == [False, False, False, True]


def test_a_point_source_in_a_cluster_is_distinguished_from_it():
    """Though the cluster gives more photons: the point source gives more than the scatter of those."""
    bright = photons((1, (10, 10), 40), (CLUSTER, (10, 10), 100))
    faint = photons((1, (10, 10), 15), (CLUSTER, (10, 10), 100))
    assert judge(np.array([[10, 10]]), bright, radius=3.0).origin.tolist() == [1]
    assert judge(np.array([[10, 10]]), faint, radius=3.0).origin.tolist() == [CLUSTER]


@pytest.mark.parametrize("camera", EPIC_EEF)
def test_simulated_photons_have_the_measured_encircled_energies(camera):
    away = np.hypot(*epic(camera).spread(np.random.default_rng(1), 100_000, 0.0, 0.0))
    for radius, share in EPIC_EEF[camera]:
        assert (away < radius).mean() == pytest.approx(share, abs=0.006)


@pytest.mark.parametrize("arcmin", [0.0, 4.0, 8.0])
def test_simulated_photons_of_acis_have_theirs(arcmin):
    away = np.hypot(*draw_acis(np.random.default_rng(2), 100_000, arcmin))
    for radius, share in zip(acis_radii(arcmin)[:2], (0.5, 0.95), strict=True):
        assert (away < radius).mean() == pytest.approx(share, abs=0.006)


@pytest.mark.parametrize("scene", [populated, near_cluster, beside_gaps])
def test_scenes_are_the_same_each_time_and_lie_where_they_say(scene):
    one = scene(3)
    assert one == scene(3)
    assert one != scene(4)
    camera = CAMERAS[one.camera]
    x, y = (np.array([getattr(point, name) for point in one.points]) for name in ("detx", "dety"))
    assert (np.hypot(x - camera.circle[0], y - camera.circle[1]) < camera.circle[2]).all()
    if scene is beside_gaps:
        around = [camera.locate(x + dx, y + dy)[0] for dx in (-400, 0, 400) for dy in (-400, 0, 400)]
        assert all(len(set(chips) - {0}) > 1 for chips in np.transpose(around))
