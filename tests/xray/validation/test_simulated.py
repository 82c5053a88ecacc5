"""Detection through the whole native chain on simulated lists of other formulas than daxa's, with fixed seeds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip("benchmarks.validation", reason="the benchmarks do not stand beside the tests")

from scipy.stats import poisson

from benchmarks.validation import chain
from benchmarks.validation.chain import run_step
from benchmarks.validation.epiclist import CLUSTER
from benchmarks.validation.peers import completeness
from benchmarks.validation.scenes import beside_gaps, cluster_alone, empty, near_cluster, populated
from benchmarks.validation.simulated import count_false, judged, pulls_of, searched


@contextmanager
def realisations(number: int) -> Iterator[None]:
    """Search with this number of made fields in which false sources beside extended light are counted."""

    def run(fetched, step, root, **parameters):
        return run_step(fetched, step, root, **parameters, **({"realisations": number} if step == "sources" else {}))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "run_step", run)
        yield


@pytest.fixture(scope="module")
def fields():
    return [searched(populated, seed, "M1", 1.0) for seed in (0, 1)]


def test_photons_keep_their_source_through_the_chain(fields):
    for one in fields:
        assert one.header["SIMULATD"] is True
        # Every photon of the image, and no other, is in the cleaned list with its source.
        inside = ((one.photons.places > 0.5) & (one.photons.places < len(one.counts) + 0.5)).all(axis=1)
        assert inside.sum() == one.counts.sum()
        assert (one.seen > 0).sum() >= 0.9 * len(one.seen)


def test_pulls_of_position_and_flux(fields):
    pulls = pulls_of(fields, lambda one, row, _: one.table["quality"][row] == 0, 30.0)
    place, rate = np.array(pulls.place), np.array(pulls.rate)
    assert len(rate) > 20
    # Three standard errors of a width and of a mean.
    assert place.std() == pytest.approx(1.0, abs=3 / np.sqrt(2 * len(place)))
    assert rate.std() == pytest.approx(1.0, abs=3 / np.sqrt(2 * len(rate)))
    assert abs(place.mean()) < 3 / np.sqrt(len(place))
    assert np.average(pulls.ratio, weights=pulls.weight) == pytest.approx(1.0, abs=0.06)


def test_sources_are_complete_and_detections_pure_by_the_origin_of_their_photons(fields):
    score = completeness(fields, [np.column_stack((one.table["x"], one.table["y"])) for one in fields])
    assert (score.found[2:] == score.there[2:]).all()
    assert score.found[1] >= 0.6 * score.there[1]
    assert score.there[2:].sum() > 20
    claimed = sum(one.expected_false for one in fields)
    assert score.every - score.right <= poisson.isf(1e-3, claimed)


@pytest.mark.parametrize("scene", [empty, cluster_alone])
def test_false_sources_are_as_many_as_claimed(scene):
    with realisations(2):
        fields = [searched(scene, seed, "M1", 5.0) for seed in (0, 1)]
    found, claimed = count_false(fields)
    # What is claimed beside extended light is counted in made fields.
    assert claimed == pytest.approx(10.0, rel=0.01 if scene is empty else 0.5)
    low, high = poisson.interval(0.999, claimed)
    assert low <= found <= high
    for one in fields:
        if scene is cluster_alone:
            assert judged(one).clusters.sum() == 1
        else:
            assert not (judged(one).origin >= CLUSTER).any()


@pytest.fixture(scope="module")
def bright():
    # Their list is the same however many fields are made to count false sources.
    with realisations(0):
        fields = [searched(near_cluster, seed, "M1", 1.0) for seed in (0, 1)]
    return pulls_of(fields, lambda *_: True, 60.0)


def test_sources_beside_a_cluster_are_found_where_they_are(bright):
    assert len(bright.rate) > 10
    assert (np.abs(bright.place) < 4.5).all()


def test_sources_beside_a_cluster_have_their_rates(bright):
    assert (np.abs(bright.rate) < 4.5).all()


def test_sources_beside_gaps_keep_their_pulls():
    pulls = pulls_of([searched(beside_gaps, 0, "M1", 1.0)], lambda *_: True, 40.0)
    assert len(pulls.rate) > 10
    assert np.std(pulls.place) < 1.5
    assert np.std(pulls.rate) < 1.7
    assert np.abs(pulls.place).max() < 4.5
