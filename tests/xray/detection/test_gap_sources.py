"""Sources in gaps beside others: found where the counts show them, said where they may be, never invented."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from daxa.xray.detection.bodies import ExtendedBodies
from daxa.xray.detection.fitting import PeakFits
from daxa.xray.detection.gap_sources import find_in_gaps
from daxa.xray.detection.hidden import find_hidden
from daxa.xray.detection.psffit import PlacedSource, Scene, source_image
from daxa.xray.detection.quality import SourceQuality
from daxa.xray.detection.tracing import Tracer

from .test_measure import BELOW, PSF, SECONDS, SIDE, found_in, peaks_at, scene_of

BRIGHT, IN_GAP = (36.0, 40.0), (41.5, 43.0)
PEAK = peaks_at((*BRIGHT, 4.0, -600.0))
SHADOW = SourceQuality.GAP | SourceQuality.BLEND


def gapped() -> np.ndarray:
    seconds = np.full((SIDE, SIDE), SECONDS)
    seconds[:, 40:44] = 0.0
    return seconds


@pytest.mark.parametrize("seed", range(3))
def test_a_source_in_a_gap_is_found_beside_another(seed):
    found = found_in(scene_of([(*BRIGHT, 320), (*IN_GAP, 360)], gapped(), seed), PEAK)
    assert len(found["x"]) == 2
    new = int(np.argmin(found["scale"]))
    assert found["scale"][new] == 0
    assert np.hypot(found["x"][new] - IN_GAP[0], found["y"][new] - IN_GAP[1]) < 1.5
    assert found["likelihood"][new] >= 8
    assert found["quality"][new] & SourceQuality.GAP
    for row, true in ((new, 0.36), (1 - new, 0.32)):
        rate, low, high = (found[name][row] for name in ("rate", "rate_low", "rate_high"))
        assert rate + 3 * (low - rate) < true < rate + 3 * (high - rate)


def test_no_source_is_made_of_the_wings_of_another():
    """A bright source close by, and one in the gap itself: nothing else is found, and nothing marked for it."""
    for seed in range(6):
        beside = found_in(scene_of([(*BRIGHT, 2000)], gapped(), seed), PEAK)
        assert len(beside["x"]) == 1
        assert not beside["quality"][0] & SHADOW
        within = found_in(scene_of([(*IN_GAP, 600)], gapped(), seed), peaks_at((39.0, 43.0, 2.83, -80.0)))
        assert len(within["x"]) == 1


@pytest.mark.parametrize(("number", "outcome"), [(20, "nothing"), (100, "marked"), (300, "found")])
def test_a_possible_source_in_a_gap_marks_its_neighbour(number, outcome):
    """What is expected of sources of several rates, without noise."""
    seconds = gapped()
    below = BELOW * seconds / SECONDS
    scene = Scene(below, seconds, below, PSF)
    mean = below.copy()
    for x, y, counts in ((*BRIGHT, 130), (*IN_GAP, number)):
        place, light = source_image(scene, PlacedSource(x, y, counts / SECONDS, 0.0, 0.0), 40.0)
        mean[place] += light
    found = found_in(replace(scene, counts=mean), PEAK)
    assert len(found["x"]) == (2 if outcome == "found" else 1)
    if outcome != "found":
        assert bool((found["quality"][0] & SHADOW) == SHADOW) is (outcome == "marked")


def test_light_that_is_extended_makes_no_source_in_a_gap():
    scene = scene_of([(*BRIGHT, 320), (*IN_GAP, 360)], gapped(), 0)
    hidden, light = find_hidden(scene.exposure, PSF), np.full((SIDE, SIDE), 0.5 * BELOW)
    nothing = np.zeros((SIDE, SIDE), np.int32)
    added = {}
    for name, bodies in (
        ("dark", None),
        ("lit", ExtendedBodies(peaks_at(*[(0, 0, 0, 0)]), nothing, light, nothing, nothing == 0)),
    ):
        fits = PeakFits(scene, hidden, bodies, PEAK, 0)
        fits.fit(0)
        added[name] = len(find_in_gaps(fits, [0]).rows)
    assert added == {"dark": 1, "lit": 0}


def test_a_place_that_does_not_stand_leaves_nothing_behind(monkeypatch):
    """The fit decides: what it does not confirm has no light in the background, and its neighbour is as it was."""
    scene = scene_of([(*BRIGHT, 320), (*IN_GAP, 360)], gapped(), 0)
    fits = PeakFits(scene, find_hidden(scene.exposure, PSF), None, PEAK, 0)
    fits.fit(0)
    before, background = fits.found[0], fits.rest.background.copy()
    fitted = PeakFits.fit

    def doubted(self, row):
        fitted(self, row)
        if row > 0:
            fit, extent = self.found[row]
            self.found[row] = replace(fit, gain=1.0), extent

    monkeypatch.setattr(PeakFits, "fit", doubted)
    found = find_in_gaps(fits, [0])
    assert (found.rows, found.doubtful) == ((), (0,))
    assert list(fits.found) == [0]
    assert vars(fits.found[0][0]) == pytest.approx(vars(before[0]), rel=1e-6)
    assert np.allclose(fits.rest.background, background)


def test_places_have_the_likelihood_of_the_surface():
    scene: Scene = scene_of([(*BRIGHT, 320), (*IN_GAP, 360)], gapped(), 1)
    tracer = Tracer(scene, *BRIGHT, reach=16.0, stray=6.0)
    x, y, rates, gains = (part.ravel() for part in tracer.surface())
    some = np.arange(0, len(x), 7)
    at = tracer.at(x[some], y[some])
    assert at[0] == pytest.approx(rates[some], rel=1e-9)
    assert at[1] == pytest.approx(gains[some], rel=1e-9, abs=1e-9)
