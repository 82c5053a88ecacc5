"""Flare screening of event lists: sources that burst or fade keep their time, flares of the background go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from daxa.errors import ConfigError
from daxa.xray.cleaning.cut import Cut, select, standard_cut
from daxa.xray.cleaning.flare_filter import flare_gti
from daxa.xray.cleaning.flarescreen import screen_flares
from daxa.xray.cleaning.lightcurve import light_curve
from daxa.xray.cleaning.sourcemask import cell_grid, find_mask, place_events
from daxa.xray.eventlists.fits_tables import read_column
from daxa.xray.eventlists.gti import intersect, total
from daxa.xray.eventlists.opening import open_events
from tests.xray.simulatedlists import (
    AT,
    CENTRE,
    FIELD,
    FLARE,
    HARD,
    NOWHERE,
    PLACE,
    SECONDS,
    SHAPES,
    SOFT,
    START,
    STEP,
    at_a_point,
    event_list,
    moments,
    observed,
    over_the_field,
    placed_at,
)


def in_flare(curve) -> np.ndarray:
    middles = curve.edges[:-1] + curve.width / 2 - START
    return (middles >= 12_000) & (middles < 14_000)


@pytest.mark.parametrize("mask_sources", [True, False], ids=["masked", "guard alone"])
@pytest.mark.parametrize("peak", [0.5, 2.0, 10.0, 50.0])
@pytest.mark.parametrize("shape", ["burst", "fast rise", "GRB decay", "slow decay"])
def test_a_variable_source_keeps_its_time(shape, peak, mask_sources):
    events, cut = observed(shape, peak, flares=0.0)
    found = screen_flares(events, cut, 100.0, mask_sources=mask_sources)
    assert found.result.kept_fraction >= 0.99
    assert found.result.status in {"Good", "source-variability"}
    # Without mask and guard the source would have cost the time.
    if shape != "burst" and peak >= 2:
        assert flare_gti(light_curve(events, cut, 100.0)).kept_fraction < 0.99


@pytest.mark.parametrize("peak", [0.5, 2.0, 10.0, 50.0])
@pytest.mark.parametrize("shape", list(SHAPES))
def test_a_flare_is_removed_despite_a_variable_source(shape, peak):
    events, cut = observed(shape, min(peak, 5.0) if shape == "waves" else peak, flares=1.0)
    found = screen_flares(events, cut, 100.0)
    hit = in_flare(found.curve)
    assert not found.result.kept[hit].any()
    assert found.result.kept[~hit].mean() >= 0.99


def test_the_variable_source_is_named():
    events, cut = observed("GRB decay", 10.0, flares=1.0)
    found = screen_flares(events, cut, 100.0, mask_sources=False)
    assert found.result.status == "source-variability"
    assert len(found.sources) == 1
    x, y = found.sources[0]
    assert np.hypot(x - CENTRE - PLACE[0], y - CENTRE - PLACE[1]) < 600
    assert found.result.variable.any()
    assert not (found.result.variable & ~found.result.kept).any()
    assert not found.result.variable[in_flare(found.curve)].any()


@pytest.mark.parametrize("mask_sources", [True, False], ids=["masked", "guard alone"])
@pytest.mark.parametrize("height", [1.0, 5.0, 30.0])
def test_a_flare_of_the_background_is_not_a_source(height, mask_sources):
    for seed in range(4):
        events, cut = observed("burst", 0.0, flares=height, seed=seed)
        found = screen_flares(events, cut, 100.0, mask_sources=mask_sources)
        assert found.result.status == "Good"
        assert found.sources == ()
        assert found.mask.share == 0
        assert not found.result.kept[in_flare(found.curve)].any()


@pytest.mark.parametrize("times", [10.0, 30.0])
@pytest.mark.parametrize(("left", "low"), [(-6500, -6500), (-1000, -16_000)], ids=["central", "outer"])
def test_a_flare_of_one_chip_is_not_a_source(times, left, low):
    """Ten or thirty times the background of a chip (a fifth of the field), for a tenth of the time, evenly over it."""
    for seed in range(2):
        rng = np.random.default_rng(seed)
        when = moments(rng, 0.4 * times * FLARE, STEP)
        x, y = (start + 13_000 * rng.random(len(when)) for start in (left, low))
        inside = np.hypot(x, y) < FIELD
        parts = [
            over_the_field(rng, moments(rng, np.full(len(AT), 2.0), STEP), HARD),
            over_the_field(rng, moments(rng, np.ones(len(AT)), STEP), SOFT),
            placed_at(rng, when[inside], x[inside], y[inside], HARD),
        ]
        events = event_list(parts, SECONDS)
        found = screen_flares(events, standard_cut(events, pi=HARD), 100.0)
        assert found.result.status == "Good"
        assert found.sources == ()
        hit = in_flare(found.curve)
        assert found.result.kept[hit].mean() < 0.1
        assert found.result.kept[~hit].mean() >= 0.97


def test_a_short_burst_beside_a_strong_flare_keeps_its_time():
    """In all that would be cut the burst is lost; in its own stretch it is not."""
    for seed in range(4):
        events, cut = observed("burst", 0.6, flares=8.0, seed=seed)
        found = screen_flares(events, cut, 100.0, mask_sources=False)
        hit = in_flare(found.curve)
        assert flare_gti(light_curve(events, cut, 100.0)).kept[~hit].mean() < 1
        assert found.result.kept[~hit].all()
        assert not found.result.kept[hit].any()


def test_the_guard_leaves_a_steady_source_alone():
    rng = np.random.default_rng(3)
    steady = at_a_point(rng, moments(rng, np.full(len(AT), 2.0), STEP), PLACE, HARD)
    events, cut = observed("burst", 0.0, flares=2.0)
    bright = replace(events, rows=np.concatenate((events.rows, steady)).astype(events.rows.dtype))
    found = screen_flares(bright, cut, 100.0, mask_sources=False)
    assert found.mask.share == 0
    assert found.result.status == "Good"
    assert not found.result.kept[in_flare(found.curve)].any()


def test_a_steady_source_is_masked_and_changes_nothing():
    rng = np.random.default_rng(3)
    steady = at_a_point(rng, moments(rng, np.full(len(AT), 0.5), STEP), PLACE, HARD)
    events, cut = observed("burst", 0.0, flares=1.0)
    with_source = replace(events, rows=np.concatenate((events.rows, steady)).astype(events.rows.dtype))
    plain, masked = screen_flares(events, cut, 100.0), screen_flares(with_source, cut, 100.0)
    assert masked.mask.share > plain.mask.share
    assert masked.mask.hides(with_source.rows)[len(events.rows) :].mean() > 0.85
    assert masked.result.rate == pytest.approx(plain.result.rate, rel=0.15)
    assert (masked.result.kept == plain.result.kept).mean() > 0.98


def test_the_curve_is_that_of_the_unmasked_field():
    events, cut = observed("slow decay", 2.0, flares=1.0)
    found = screen_flares(events, cut, 100.0)
    again = light_curve(events, cut, 100.0, mask=found.mask)
    assert (again.counts == found.curve.counts).all()
    assert (again.exposure == found.curve.exposure).all()
    hidden = found.mask.hides(events.rows) & select(events, cut, events.rows)
    assert again.counts.sum() + hidden.sum() == light_curve(events, cut, 100.0).counts.sum()


def test_good_times_are_those_of_the_kept_bins():
    events, cut = observed("burst", 0.0, flares=1.0)
    found = screen_flares(events, cut, 100.0)
    left = found.good_times(events.gtis)
    assert total(left[1]) == pytest.approx(found.result.kept_fraction * SECONDS)
    times = events.rows["TIME"][select(events, Cut(cut.rules, left, cut.pi), events.rows)]
    assert len(times) > 1000
    assert not ((times >= START + 12_000) & (times < START + 14_000)).any()
    few = screen_flares(events, Cut(cut.rules, cut.gtis, (11999, 12000)), 100.0)
    assert few.result.status == "Sparse"
    assert few.good_times(events.gtis) == dict(events.gtis)


def test_a_threshold_counts_the_whole_field():
    events, cut = observed("slow decay", 2.0, flares=1.0)
    found = screen_flares(events, cut, 100.0, method="threshold", threshold=0.35)
    assert found.result.hi == pytest.approx(0.35 * (1 - found.mask.share))
    assert not found.result.kept[in_flare(found.curve)].any()


def test_an_unknown_method_is_refused():
    events, cut = observed("burst", 0.0, flares=0.0)
    with pytest.raises(ConfigError):
        screen_flares(events, cut, 100.0, method="magic")


def test_a_list_without_sky_is_judged_by_its_curve():
    events, cut = observed("burst", 0.0, flares=1.0)
    found = screen_flares(replace(events, sky_grid=None), cut, 100.0)
    assert found.mask is None
    assert found.result.kept.tolist() == flare_gti(light_curve(events, cut, 100.0)).kept.tolist()


def test_events_without_a_position_count():
    events, cut = observed("burst", 2.0, flares=1.0)
    rows = events.rows.copy()
    rows["X"][::10] = NOWHERE
    lost = replace(events, rows=rows)
    found = screen_flares(lost, cut, 100.0)
    assert not found.mask.hides(rows)[::10].any()
    assert found.curve.counts.sum() >= (rows["PI"][::10] >= HARD[0]).sum()
    rows["X"] = NOWHERE
    nowhere = screen_flares(lost, cut, 100.0)
    assert nowhere.mask is None
    assert nowhere.curve.counts.sum() == select(events, cut, rows).sum()


def test_empty_fields_are_hardly_masked():
    """One field in a hundred by chance, for faint and bright backgrounds alike."""
    rng = np.random.default_rng(21)
    iy, ix = np.indices((110, 110))
    field = np.hypot(iy - 55, ix - 55) < 54
    for density in (0.003, 0.05, 1.0, 30.0):
        masked = [find_mask(rng.poisson(density * field), field).any() for _ in range(60)]
        assert sum(masked) <= 5


def test_edges_and_differing_chips_are_not_sources():
    """Many counts per cell, a back-illuminated chip half as bright again, and a vignetted field with a rim."""
    rng = np.random.default_rng(22)
    iy, ix = np.indices((110, 110))
    radius = np.hypot(iy - 55, ix - 55)
    field = radius < 54
    for shape in (1 - 0.5 * (radius / 54) ** 2, np.where(ix > 60, 1.5, 1.0)):
        assert not find_mask(rng.poisson(300 * shape * field), field).any()


def test_what_fills_the_field_is_not_masked():
    iy, ix = np.indices((60, 60))
    cluster = np.random.default_rng(2).poisson(200 * np.exp(-np.hypot(iy - 30, ix - 30) / 8))
    mask = find_mask(cluster, np.ones((60, 60), dtype=bool))
    assert mask.mean() <= 0.5


def test_a_telescope_that_scans_does_not_flare_at_each_source():
    """Passes of 80 s each four hours: a source that comes into view is none of the background's flares."""
    rng = np.random.default_rng(4)
    starts = START + 14400.0 * np.arange(60)
    parts = []
    for number, start in enumerate(starts):
        rate = 5.0 if 20 <= number < 24 else 2.0
        for step in range(8):
            times = start + STEP * (step + rng.random(rng.poisson(rate * STEP)))
            radius, angle = 9000 * np.sqrt(rng.random(len(times))), rng.uniform(0, 2 * np.pi, len(times))
            x, y = 300 * (number - 30) + radius * np.cos(angle), 4000 * step - 15000 + radius * np.sin(angle)
            parts.append(placed_at(rng, times, x, y, HARD))
            if np.hypot(300 * (number - 30) - 2000, 4000 * step - 16000) < 9000:
                times = start + STEP * (step + rng.random(rng.poisson(3 * STEP)))
                parts.append(at_a_point(rng, times, (2000, 1000), HARD))
    events = event_list(parts, 0.0, gtis={1: np.column_stack((starts, starts + 80))})
    cut = standard_cut(events, pi=HARD)
    plain = flare_gti(light_curve(events, cut, 20.0))
    assert plain.kept_fraction < 0.7
    for mask_sources in (True, False):
        found = screen_flares(events, cut, 20.0, mask_sources=mask_sources)
        middles = found.curve.edges[:-1] + 10 - START
        passing, alive = np.rint(middles / 14400), found.curve.exposure > 0
        hit = (passing >= 20) & (passing < 24)
        assert found.result.kept[alive & ~hit].mean() >= 0.99
        assert found.result.kept[alive & hit].mean() <= 0.1


REAL = {
    "xmm/0404910601/eclean/mos1_exp1_clean_evts.fits": (HARD, 100.0),
    "chandra/acis_18461_cena_evt2.fits": ((36, 480), 259.28),
}


@pytest.mark.parametrize("peak", [3.0, 30.0])
def test_a_burst_in_a_real_quiet_list_keeps_its_time(real_data, peak):
    """Cen A by Chandra, a bright extended source, with a gamma-ray burst put beside it."""
    events = open_events(real_data / "chandra/acis_18461_cena_evt2.fits")
    cut = standard_cut(events, pi=(36, 480))
    assert screen_flares(events, cut, 100.0).result.kept_fraction == 1.0
    rng = np.random.default_rng(3)
    start, stop = events.gtis[0][0, 0], events.gtis[0][-1, 1]
    at = np.arange(start, stop, STEP)
    fading = np.where(at > start + 2000, peak * (1 + (at - start - 2000).clip(0) / 300) ** -1.2, 0.0)
    counts = rng.poisson(fading * STEP)
    rows = events.rows[rng.choice(np.flatnonzero(select(events, cut, events.rows, sky=True)), counts.sum())].copy()
    read_column(rows, "time")[:] = np.repeat(at, counts) + STEP * rng.random(len(rows))
    radius, angle = 12 * np.sqrt((1 - rng.random(len(rows))) ** -2 - 1), rng.uniform(0, 2 * np.pi, len(rows))
    for name, centre, offset in zip(events.sky.columns, (4400, 3800), (np.cos(angle), np.sin(angle)), strict=True):
        read_column(rows, name)[:] = centre + radius * offset
    with_burst = replace(events, rows=np.concatenate((events.rows, rows)).astype(events.rows.dtype))
    assert flare_gti(light_curve(with_burst, cut, 100.0)).kept_fraction < 0.95
    assert screen_flares(with_burst, cut, 100.0).result.kept_fraction >= 0.99


def test_what_is_cut_of_a_real_cleaned_list_is_background(real_data):
    """0404910601 was cleaned before; what is cut now is high in the other camera and on every chip as well."""
    one, two = (open_events(real_data / f"xmm/0404910601/eclean/mos{n}_exp1_clean_evts.fits") for n in (1, 2))
    found = screen_flares(one, standard_cut(one, pi=HARD), 100.0)
    # A quarter and more is left above what the curve comes down to: later screens of softer light take that.
    assert found.result.status == "Intermediate"
    assert 0.6 < found.result.kept_fraction < 0.9
    bad = found.curve.exposure * ~found.result.kept > 0
    good = found.curve.exposure * found.result.kept > 0

    def rates(events, pi, chip=None):
        curve = light_curve(events, standard_cut(events, pi=pi), 100.0)
        chosen = select(events, standard_cut(events, pi=pi), events.rows)
        if chip is not None:
            chosen &= read_column(events.rows, "CCDNR") == chip
        times = read_column(events.rows, "TIME")[chosen].astype(float)
        index = np.floor((times - found.curve.start) / 100.0).astype(int)
        index = index[(index >= 0) & (index < len(bad))]
        seconds = np.interp(found.curve.edges, curve.edges, np.concatenate(([0], np.cumsum(curve.exposure))))
        return [np.count_nonzero(bins[index]) / np.diff(seconds)[bins].sum() for bins in (bad, good)]

    for pi in (HARD, (2500, 8500)):
        high, low = rates(two, pi)
        assert high > 1.3 * low
    for chip in (1, 2, 3, 4, 5, 7):
        high, low = rates(one, (2500, 8500), chip)
        assert high > 1.2 * low


@pytest.mark.parametrize("camera", [1, 2])
@pytest.mark.parametrize("width", [50.0, 100.0])
def test_the_quiet_middle_of_a_real_list_loses_nothing(real_data, camera, width):
    """Between 2.65 and 3.75 hours the rate of 0404910601 rests; what is drawn of it shows no flare."""
    events = open_events(real_data / f"xmm/0404910601/eclean/mos{camera}_exp1_clean_evts.fits")
    start = events.gtis[1][0, 0]
    middle = {chip: intersect(good, [(start + 2.65 * 3600, start + 3.75 * 3600)]) for chip, good in events.gtis.items()}
    found = screen_flares(events, Cut(standard_cut(events).rules, middle, HARD), width)
    assert found.result.status == "Good"
    assert found.result.kept_fraction >= 0.98


@pytest.mark.parametrize("name", REAL)
def test_real_lists_are_screened_alike_each_time(real_data, name):
    pi, width = REAL[name]
    events = open_events(real_data / name)
    first, second = (screen_flares(events, standard_cut(events, pi=pi), width) for _ in range(2))
    assert first.result.gti.tobytes() == second.result.gti.tobytes()
    assert (first.mask.hidden == second.mask.hidden).all()
    grid = cell_grid(events, standard_cut(events))
    placed = place_events(events, standard_cut(events, pi=pi), grid)
    assert placed.image().sum() == select(events, standard_cut(events, pi=pi), events.rows, sky=True).sum()
