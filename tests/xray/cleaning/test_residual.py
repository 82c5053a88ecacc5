"""What flares leave in each band, on the real lists and on a made one whose flares are soft."""

from __future__ import annotations

import gzip
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from daxa.backends.native.flares import left_in_band
from daxa.simulator.programme import EpicPointing
from daxa.simulator.xmm import write_observation
from daxa.xray.cleaning.bandscreen import BandPass, BandScreen, final_status, screen_bands
from daxa.xray.cleaning.cut import Cut, standard_cut
from daxa.xray.cleaning.flare_filter import FlareResult
from daxa.xray.cleaning.flarescreen import FlareScreen, screen_flares
from daxa.xray.cleaning.lightcurve import LightCurve, light_curve
from daxa.xray.cleaning.quiescent import find_quiescent, find_sustained
from daxa.xray.cleaning.residual import FlareResidual, find_level, find_residual
from daxa.xray.eventlists import gti
from daxa.xray.eventlists.gti import total
from daxa.xray.eventlists.opening import open_events
from tests.xray.flarecases import CASES
from tests.xray.simulatedlists import (
    AT,
    FLARE,
    PLACE,
    SECONDS,
    SHAPES,
    START,
    STEP,
    at_a_point,
    event_list,
    moments,
    over_the_field,
)

HARD, SOFT = (10000, 12000), ((2.5, 8.5), (2500, 8500))
BANDS = [((0.5, 2.0), (500, 2000)), ((2.0, 10.0), (2001, 10000))]
REAL = ("0404910601/eclean/mos1", "0404910601/eclean/mos2", "0201901401/eclean/mos1", "0201901401/eclean/mos2")


def measured(events, cut, gtis, bands, mask):
    levels = [find_level(events, cut, band, mask=mask, width=100.0) for band in bands]
    found = zip(bands, levels, strict=True)
    return [find_residual(events, cut, gtis, band, level, mask=mask) for band, level in found]


def longest(gtis) -> float:
    return max(map(total, gtis.values()))


@pytest.mark.parametrize("name", REAL)
def test_every_real_list_becomes_good_in_all_bands_by_cutting_more(real_data, name):
    events = open_events(real_data / f"xmm/{name}_exp1_clean_evts.fits")
    cut = standard_cut(events)
    first = screen_flares(events, Cut(cut.rules, cut.gtis, HARD), 100.0)
    once, bands = first.good_times(cut.gtis), [*BANDS, SOFT]
    # The first screen alone leaves soft flares, and is never called good for that.
    before = measured(events, cut, once, bands, first.mask)
    alone = screen_bands(events, cut, once, bands, soft=None, width=100.0, mask=first.mask)
    assert max(one.excess for one in before) > 0.1
    assert final_status(first.result.status, alone, 1.0) == "Intermediate"
    found = screen_bands(events, cut, once, bands, soft=SOFT, width=100.0)
    kept = longest(found.gtis) / longest(cut.gtis)
    assert final_status(first.result.status, found, kept) == "Good"
    assert 0.2 < kept < 0.5
    assert all(one.excess <= 0.05 for one in found.residuals)
    # And with no estimate of quiescence at all: against the lowest two thousand seconds beside the sources, which
    # are low by chance, too.
    mask = found.passes[0].screen.mask
    everything = light_curve(events, Cut(cut.rules, cut.gtis, SOFT[1]), 100.0, mask)
    full = everything.exposure > 50
    counts, seconds = (np.convolve(one[full], np.ones(20), "valid") for one in (everything.counts, everything.exposure))
    left = light_curve(events, Cut(cut.rules, found.gtis, SOFT[1]), 100.0, mask)
    assert left.counts.sum() / left.exposure.sum() < 1.1 * (counts / seconds).min()


def test_quiet_time_is_not_cut_a_second_time(real_data):
    """A real list whose times are drawn anew, evenly, has nothing that a band's screen could find."""
    events = drawn_anew(real_data, 0.0)
    cut = Cut(standard_cut(events).rules, events.gtis)
    found = screen_bands(events, cut, cut.gtis, [*BANDS, SOFT], soft=SOFT, width=100.0)
    assert longest(found.gtis) > 0.99 * longest(cut.gtis)
    assert final_status("Good", found, 0.99) == "Good"


def drawn_anew(real_data, flaring: float):
    """Events of a real list over 20 ks, this share of them in the first 4 ks alone."""
    events = open_events(real_data / "xmm/0404910601/eclean/mos1_exp1_clean_evts.fits")
    rng = np.random.default_rng(6)
    gtis = {chip: np.array([[1e8, 1e8 + 20000.0]]) for chip in events.gtis}
    rows = events.rows.copy()
    times = 1e8 + 20000.0 * rng.random(len(rows))
    flare = rng.random(len(rows)) < flaring
    times[flare] = 1e8 + 4000.0 * rng.random(int(flare.sum()))
    order = np.argsort(times)
    rows = rows[order]
    rows["TIME"] = times[order]
    tables = tuple(table for table in events.tables if not table.name.startswith("EXPOSU"))
    return replace(events, rows=rows, gtis=gtis, tables=tables)


def test_the_residual_is_the_one_that_was_put_in(real_data):
    # A fifth of the time has twice the rate.
    made = drawn_anew(real_data, 1 / 6)
    cut = Cut(standard_cut(made).rules, made.gtis)
    quiet = {chip: np.array([[1e8 + 4000.0, 1e8 + 20000.0]]) for chip in made.gtis}
    (all_in,) = measured(made, cut, cut.gtis, BANDS[:1], None)
    (clean,) = measured(made, cut, quiet, BANDS[:1], None)
    assert all_in.excess == pytest.approx(0.2, abs=3 * all_in.error + 0.02)
    assert abs(clean.excess) < 3 * clean.error + 0.01
    assert not all_in.is_low


@pytest.mark.parametrize(
    ("name", "most"), [("heavy", 0.035), ("medium", 0.02), ("light", 0.01), ("slow", 0.015), ("quiet", 0.01)]
)
def test_the_lowest_sustained_rate_is_the_quiescent_one(name, most):
    sustained, mode = [], []
    for drawn in CASES[name].all():
        curve = (drawn.curve.counts, drawn.curve.exposure, drawn.curve.width)
        sustained.append(find_sustained(*curve).rate / drawn.rate)
        mode.append(find_quiescent(*curve).rate / drawn.rate)
    assert np.mean(sustained) == pytest.approx(1, abs=most)
    # Where much of the time flares, the peak of the histogram is higher.
    assert np.mean(sustained) <= np.mean(mode) + 0.005


def test_too_few_counts_have_no_sustained_rate():
    assert find_sustained(np.ones(50), np.full(50, 100.0), 100.0) is None
    assert find_sustained(np.full(8, 500.0), np.full(8, 100.0), 100.0) is None
    assert find_sustained(np.concatenate([np.zeros(50), np.full(50, 10)]), np.full(100, 100.0), 100.0) is None


@pytest.mark.parametrize(("shape", "peak"), [("slow decay", 10.0), ("waves", 2.0), ("GRB decay", 10.0)])
def test_a_source_that_varies_in_an_image_s_band_keeps_its_time(shape, peak):
    """The source is bright at 0.5-2 keV, where its wings are not a flare; a flare at the same energies goes."""
    for flare in (0.0, 4.0):
        rng = np.random.default_rng(5)
        soft = np.full(len(AT), 1.0) + flare * FLARE
        parts = [
            over_the_field(rng, moments(rng, np.full(len(AT), 0.2), STEP), (10000, 12000)),
            over_the_field(rng, moments(rng, soft, STEP), BANDS[0][1]),
            over_the_field(rng, moments(rng, np.full(len(AT), 1.0), STEP), SOFT[1]),
            at_a_point(rng, moments(rng, peak * SHAPES[shape], STEP), PLACE, BANDS[0][1]),
        ]
        events = event_list(parts, SECONDS)
        cut = standard_cut(events)
        found = screen_bands(events, cut, cut.gtis, [BANDS[0], SOFT], soft=SOFT, width=100.0)
        assert longest(found.gtis) / SECONDS > (0.98 if not flare else 0.85)
        assert all(one.is_low for one in found.residuals)
        assert final_status("Good", found, 0.9) in {"Good", "source-variability"}
        middle = gti.intersect(found.gtis[1], [(START + 12_100, START + 13_500)])
        assert total(middle) >= 1300 if not flare else total(middle) == 0


def screened(status: str, *residuals: FlareResidual, passes: bool = True) -> BandScreen:
    curve = LightCurve(0.0, 1.0, np.array([1]), np.array([1.0]))
    result = FlareResult(np.array([[0.0, 1.0]]), np.array([True]), status, 1.0, 1.0, 0.0, 2.0, 1.0, 0.0)
    one = BandPass((2.5, 8.5), 3.0, FlareScreen(curve, result, None, ()), True)
    return BandScreen({}, (one,) if passes else (), residuals)


def test_good_is_only_what_is_good_in_all_bands():
    clean, dirty = FlareResidual((0.5, 2.0), 0.02, 0.01), FlareResidual((2.0, 10.0), 0.12, 0.02)
    unknown, few = FlareResidual((2.0, 10.0), np.nan, np.nan), FlareResidual((2.0, 10.0), 0.07, 0.05)
    assert final_status("Good", screened("Good", clean, unknown), 0.9) == "Sparse"
    assert final_status("Intermediate", screened("Good", unknown), 0.4) == "Sparse"
    assert final_status("Good", screened("Good", clean, unknown, passes=False), 0.9) == "Sparse"
    # What is known to be worse is said, whatever is unknown beside it.
    assert final_status("Good", screened("Good", dirty, unknown), 0.9) == "Intermediate"
    assert final_status("Intermediate", screened("Good", unknown, passes=False), 0.4) == "Intermediate"
    assert final_status("Good", screened("source-variability", unknown), 0.9) == "source-variability"
    assert final_status("Good", screened("Good", unknown), 0.1) == "Bad"
    assert final_status("Good", screened("Good", clean, few), 0.9) == "Intermediate"
    assert final_status("Good", screened("Good", clean, dirty), 0.9) == "Intermediate"
    # What the second screen made of a first that kept too little is what counts, unless next to nothing is left.
    assert final_status("Intermediate", screened("Good", clean), 0.4) == "Good"
    assert final_status("Intermediate", screened("Good", clean, passes=False), 0.4) == "Intermediate"
    assert final_status("Good", screened("Good", clean), 0.1) == "Bad"
    assert final_status("Bad", screened("Good", clean), 0.9) == "Bad"
    assert final_status("source-variability", screened("Good", dirty), 0.9) == "source-variability"
    assert final_status("Good", screened("source-variability", clean), 0.9) == "source-variability"
    assert final_status("Sparse", screened("Good", clean), 0.9) == "Sparse"


def test_a_simulated_list_that_is_good_is_within_five_percent_of_one_without_flares(tmp_path):
    """The generator's own truth: the same pointing without any flare; rates in the time that is kept."""
    quiet = EpicPointing("0900000301", "blank", 149.6, -11.07, 306.7, 58258.25, 30000.0)
    rates = {}
    for name, pointing in (("quiet", quiet), ("flaring", replace(quiet, flares=((0.1, 0.3, 3.0), (0.5, 0.7, 5.0))))):
        write_observation(tmp_path / name, pointing, [], seed=1)
        (packed,) = (tmp_path / name).rglob("*M1*MIEVLI*")
        path = tmp_path / f"{name}.fits"
        path.write_bytes(gzip.decompress(packed.read_bytes()))
        events = open_events(path)
        cut = standard_cut(events)
        first = screen_flares(events, Cut(cut.rules, cut.gtis, HARD), 100.0)
        found = screen_bands(
            events, cut, first.good_times(cut.gtis), [*BANDS, SOFT], soft=SOFT, width=100.0, mask=first.mask
        )
        kept = longest(found.gtis) / longest(cut.gtis)
        assert final_status(first.result.status, found, kept) == "Good"
        assert kept > (0.99 if name == "quiet" else 0.5)
        for times, gtis in (("all", cut.gtis), ("kept", found.gtis)):
            curves = [light_curve(events, Cut(cut.rules, gtis, channels), 1000.0) for _, channels in [*BANDS, SOFT]]
            rates[name, times] = np.array([one.counts.sum() / one.exposure.sum() for one in curves])
            errors = np.array([1 / np.sqrt(one.counts.sum()) for one in curves])
    assert (rates["flaring", "all"] > 1.6 * rates["quiet", "all"]).all()
    assert (rates["flaring", "kept"] / rates["quiet", "all"] - 1 < 0.05 + errors).all()


@pytest.mark.parametrize(("excess", "status"), [(None, "SPARSE"), (0.02, "GOOD"), (0.2, "INTERMEDIATE")])
def test_an_image_is_good_only_where_its_own_band_was_measured(excess, status):
    header = fits.Header({"FLARESTA": "GOOD", "FLAREBIN": 100.0, "FLRLO1": 0.5, "FLRHI1": 2.0})
    if excess is not None:
        header["FLREX1"], header["FLRER1"] = excess, 0.01
    said = []
    exposure = SimpleNamespace(events=SimpleNamespace(header=header), say=said.append)
    assert left_in_band(exposure, None, (0.5, 2.0))["FLARESTA"][0] == status
    assert bool(said) is (status != "GOOD")


@pytest.mark.parametrize(
    ("cards", "excess", "status"),
    [({"FLARERAT": 0.3}, 0.02, "GOOD"), ({"FLARERAT": 0.3}, 0.2, "INTERMEDIATE"), ({"FLARERAT": 0.3}, None, "SPARSE"),
     ({}, 0.02, "SPARSE")],
)  # fmt: skip
def test_an_image_whose_band_was_measured_is_good_though_another_band_was_not(cards, excess, status):
    """Without a quiescent rate of the first screen nothing was screened at all."""
    header = fits.Header({"FLARESTA": "SPARSE", "FLAREBIN": 100.0, "FLRLO1": 0.5, "FLRHI1": 2.0, **cards})
    if excess is not None:
        header["FLREX1"], header["FLRER1"] = excess, 0.01
    exposure = SimpleNamespace(events=SimpleNamespace(header=header), say=[].append)
    assert left_in_band(exposure, None, (0.5, 2.0))["FLARESTA"][0] == status


@pytest.mark.parametrize(("step", "left"), [(0.12, 0.06), (0.08, 0.04)])
def test_a_weak_flare_that_lasts_for_half_of_the_time_is_measured(step, left):
    """No window of a few hundred counts can distinguish it from chance."""
    rng = np.random.default_rng(3)
    expected = np.full(500, 120.0)
    expected[250:] *= 1 + step
    short, long = [], []
    for _ in range(10):
        curve = rng.poisson(expected), np.full(500, 100.0), 100.0
        mean = curve[0].sum() / curve[1].sum()
        short.append(mean / find_sustained(*curve).rate - 1)
        long.append(mean / find_sustained(*curve, long=True).rate - 1)
    assert np.mean(long) == pytest.approx(left, abs=0.01)
    assert np.mean(short) < left - 0.01
    # A quiet curve has no lower level.
    quiet = rng.poisson(120.0, 500), np.full(500, 100.0), 100.0
    assert find_sustained(*quiet, long=True) == find_sustained(*quiet)


@pytest.mark.parametrize("good", [0.9, 0.3, 0.05])
def test_gaps_that_cut_all_bins_short_leave_a_list_to_judge(good):
    rng = np.random.default_rng(4)
    rates = np.where((AT >= 6000) & (AT < 10_000), 12.0, 3.0)
    events = event_list([over_the_field(rng, moments(rng, rates, STEP), SOFT[1])], SECONDS)
    starts = START + np.arange(0, SECONDS, 68.0)
    gtis = {1: np.column_stack([starts, starts + 68.0 * good])}
    cut = Cut(standard_cut(events).rules, gtis, SOFT[1])
    for method, options in (("histogram", {}), ("clip", {"sigma": 1.5}), ("scale", {"scale": 1.3})):
        found = screen_flares(events, cut, 100.0, method=method, **options)
        assert found.result.status != "Sparse"
        left = total(gti.intersect(found.good_times(gtis)[1], [(START + 6100, START + 9900)]))
        assert left < 0.1 * 3800 * good
        if method == "histogram":
            assert found.result.kept_fraction > 0.75


def test_what_flares_leave_is_cut_beyond_what_a_good_exposure_may_have():
    """The truth of a list whose flares take half of the time: no band is five percent above it when it is good."""
    rng = np.random.default_rng(5)
    shape = np.ones(5 * len(AT))
    seconds = np.arange(len(shape)) * STEP
    while np.mean(shape > 1.05) < 0.5:
        shape += rng.lognormal(0.3, 1) * np.exp(
            -0.5 * ((seconds - rng.uniform(0, seconds[-1])) / rng.uniform(150, 2000)) ** 2
        )
    rates = {HARD: 0.17, BANDS[0][1]: 0.6, (2001, 9999): 0.5}
    parts = [over_the_field(rng, moments(rng, rate * shape, STEP), channels) for channels, rate in rates.items()]
    events = event_list(parts, len(shape) * STEP)
    cut = standard_cut(events)
    first = screen_flares(events, Cut(cut.rules, cut.gtis, HARD), 100.0)
    found = screen_bands(events, cut, first.good_times(cut.gtis), [*BANDS, SOFT], soft=SOFT, width=100.0)
    kept = longest(found.gtis) / longest(cut.gtis)
    assert final_status(first.result.status, found, kept) == "Good"
    assert kept > 0.45
    time = gti.covered(found.gtis[1], START + STEP * np.arange(len(shape) + 1))
    assert (shape * time).sum() / time.sum() < 1.05
