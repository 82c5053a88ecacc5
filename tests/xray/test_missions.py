"""Every mission's lists: read, screened, filtered and binned as CFITSIO does, or refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.time import Time, TimeDelta
from astropy.wcs import WCS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daxa.errors import DataError, NotPossible
from daxa.xray import EventList
from daxa.xray.cleaning.cut import Cut, select, standard_cut
from daxa.xray.cleaning.lightcurve import light_curve
from daxa.xray.cleaning.livetime import livetime, ontime
from daxa.xray.cleaning.screening import screening_for
from daxa.xray.eventlists import gti
from daxa.xray.eventlists.channels import energy_cards, pi_range
from daxa.xray.imaging.image import ImageGrid, count_image, grid_cards, grid_for, image_header
from tests.xray.madelists import IMAGING, MADE, make_list
from tests.xray.reallists import LISTS, UNMAPPED, with_rows

oracle = pytest.importorskip("tests.xray.oracle", reason="needs fitsio")


def tables_of(name: str) -> dict[int, tuple[str, ...]]:
    made = MADE[name]
    return {chip: (table,) for chip, table in zip(made.chips or (0,), made.gtis, strict=True)}


@pytest.fixture(params=MADE)
def made(request, tmp_path):
    return request.param, EventList.open(make_list(request.param, tmp_path / "made.fits"))


def test_every_list_is_recognised_and_says_what_it_is(made):
    name, events = made
    mission = {"erosita-survey": "erass1", "erosita-scan": "erosita_calpv"}.get(name, name.partition("-")[0])
    assert events.format.mission == mission
    assert len(events) == 3000
    assert events.format.title in repr(events)
    assert sorted(events.gtis) == sorted(MADE[name].chips or (0,))
    assert events.rows.base is not None
    assert events.obs_id == MADE[name].cards.get("OBS_ID", "")


def test_the_same_rows_as_cfitsio(made):
    name, events = made
    cut = standard_cut(events, pi=MADE[name].band)
    ours = np.sort(events.column(events.format.time_column)[select(events, cut, events.rows)].astype(float))
    theirs = oracle.filtered_times(events, cut.rules, cut.pi, tables_of(name))
    assert len(ours) > 50
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("name", IMAGING)
def test_the_same_image_as_cfitsio(name, tmp_path):
    events = EventList.open(make_list(name, tmp_path / "made.fits"))
    grid, cut = grid_for(events, MADE[name].pixel), standard_cut(events, pi=MADE[name].band)
    image = count_image(events, cut, grid)
    assert image.sum() > 50
    assert np.array_equal(image, oracle.binned(events, grid, cut.rules, cut.pi, tables_of(name)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(IMAGING),
    seed=st.integers(0, 2**32),
    count=st.integers(0, 400),
    grid=st.builds(
        ImageGrid, *(st.integers(-3000, 3000),) * 2, st.integers(1, 300), st.integers(1, 200), st.integers(1, 200)
    ),
    band=st.tuples(st.integers(0, 500), st.integers(0, 2000)),
)
def test_any_list_any_band_any_grid_equals_cfitsio(tmp_path_factory, name, seed, count, grid, band):  # noqa: PLR0917
    path = make_list(name, tmp_path_factory.mktemp("any") / "made.fits", seed=seed, count=count)
    events = EventList.open(path)
    middle = round(MADE[name].sky[1])
    x0, y0 = (middle + start - grid.bin * n // 2 for start, n in ((grid.x0, grid.nx), (grid.y0, grid.ny)))
    grid = ImageGrid(x0, y0, grid.bin, grid.nx, grid.ny)
    pi = (band[0], band[0] + band[1])
    cut = Cut(screening_for(events), events.gtis, pi)
    assert np.array_equal(count_image(events, cut, grid), oracle.binned(events, grid, cut.rules, pi, tables_of(name)))


def test_forbidden_rows_change_nothing(made, tmp_path):
    """A list without any forbidden event, and the same with the forbidden events of another: image, curve, time."""
    name, _ = made
    clean = EventList.open(make_list(name, tmp_path / "clean.fits", seed=7, clean=True))
    dirty_path = make_list(name, tmp_path / "dirty.fits", seed=7)
    # The intervals are those of the same seed; the events are not.
    dirty = EventList.open(dirty_path)
    assert all(np.array_equal(clean.gtis[chip], dirty.gtis[chip]) for chip in clean.gtis)
    cut = standard_cut(dirty, pi=MADE[name].band)
    bad = ~select(dirty, standard_cut(dirty), dirty.rows, sky=bool(MADE[name].pixel))
    assert bad.sum() > 300
    # Concatenation makes native byte order of FITS's big-endian one.
    rows = np.concatenate((clean.rows, dirty.rows[bad])).astype(clean.rows.dtype)
    mixed = EventList.open(with_rows(clean.path, tmp_path / "mixed.fits", rows, MADE[name].table))
    assert len(mixed) == len(clean) + bad.sum()
    assert select(clean, standard_cut(clean), clean.rows).all()
    assert livetime(mixed, mixed.gtis) == livetime(clean, clean.gtis)
    if MADE[name].pixel:
        grid = grid_for(clean, MADE[name].pixel)
        assert grid_for(mixed, MADE[name].pixel) == grid
        assert np.array_equal(count_image(mixed, cut, grid), count_image(clean, cut, grid))
        assert image_header(mixed, cut, grid).tostring() == image_header(clean, cut, grid).tostring()
    ours, theirs = (light_curve(one, standard_cut(one), 100.0) for one in (mixed, clean))
    # Events without a position are none of an image, but they are events.
    lost = select(dirty, standard_cut(dirty), dirty.rows)[bad].sum()
    assert ours.counts.sum() == theirs.counts.sum() + lost
    if not lost:
        assert np.array_equal(ours.counts, theirs.counts)
    assert np.array_equal(ours.exposure, theirs.exposure)


def test_live_times_follow_the_headers(made):
    name, events = made
    good, live = ontime(events, events.gtis), livetime(events, events.gtis)
    fraction = MADE[name].live
    for chip, seconds in live.items():
        if fraction is not None:
            assert seconds == pytest.approx(good[chip] * fraction, rel=1e-12)
        elif name == "xmm-pn" or name.startswith("erosita"):
            assert 0.9 * good[chip] < seconds < good[chip]
        else:
            assert seconds == good[chip]
    stated = [name for name in events.assumptions if "live" in name]
    assert bool(stated) == (
        fraction is None and events.format.livetime_scheme == "cards" and "DEADC" not in events.header
    )


def test_erosita_live_time_is_the_integral_of_its_dead_times(tmp_path):
    events = EventList.open(make_list("erosita-scan", tmp_path / "made.fits"))
    for chip, intervals in events.gtis.items():
        table = fits.getdata(events.path, f"DEADCOR{chip}")
        steps = np.arange(intervals[0, 0], intervals[-1, 1], 0.25) + 0.125
        inside = gti.contains(intervals, steps)
        at = np.clip(np.searchsorted(table["TIME"], steps, side="right") - 1, 0, None)
        expected = (table["DEADC"][at][inside].astype(float) * 0.25).sum()
        assert livetime(events, {chip: intervals})[chip] == pytest.approx(expected, rel=1e-6)


def test_dates_are_those_of_astropy(made):
    name, events = made
    clock = MADE[name].clock
    reference = clock.get("MJDREF", clock.get("MJDREFI", 0) + clock.get("MJDREFF", 0.0))
    scale = "tt"
    times = events.times()[:50]
    since = TimeDelta(times + clock.get("TIMEZERO", 0.0), format="sec", scale=scale)
    expected = Time(reference, format="mjd", scale=scale) + since
    assert np.abs((events.clock.date(times) - expected).to_value("ns")).max() < 1500
    assert events.clock.scale == scale
    assert bool([text for text in events.assumptions if "Terrestrial" in text]) == (clock.get("TIMESYS") != "TT")


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")  # cards of images in tables
@pytest.mark.parametrize("name", IMAGING)
def test_positions_are_those_of_astropy_and_of_the_image(name, tmp_path):
    events = EventList.open(make_list(name, tmp_path / "made.fits", clean=True))
    ours = events.positions()
    header = fits.getheader(events.path, MADE[name].table)
    numbers = [n for n in range(1, header["TFIELDS"] + 1) if f"TCTYP{n}" in header]
    plane = WCS(header, keysel=["pixel"], colsel=numbers)
    pixels = [events.column(column).astype(float) for column in events.sky.columns]
    theirs = np.column_stack(plane.wcs_pix2world(*pixels, 1))
    assert np.allclose(ours, theirs, atol=1e-10, rtol=0)
    grid = grid_for(events, MADE[name].pixel)
    x, y = WCS(grid_cards(events.sky, grid), key=" ").wcs_world2pix(ours[:, 0], ours[:, 1], 0)
    size, start = grid.bin, (grid.x0, grid.y0)
    for found, values, first in zip((x, y), pixels, start, strict=True):
        assert np.allclose(found, (values - first + 0.5) / size - 0.5, atol=1e-6)
    assert SkyCoord(ours, unit="deg").separation(SkyCoord(150, -11, unit="deg")).max().deg < 15


def test_energies_follow_the_rule_in_the_header(made):
    name, events = made
    form = events.format
    if events.why_not("energy-band"):
        with pytest.raises(NotPossible) as problem:
            events.energies()
        assert problem.value.code == "impossible.energy-band"
        with pytest.raises(NotPossible, match=form.instrument) as problem:
            pi_range(form, 0.5, 2.0)
        assert events.why_not("energy-band") in problem.value.message
        assert "PI2KEV" not in energy_cards(form, (3, 9))
        return
    cards = energy_cards(form, MADE[name].band)
    zero, gain = cards["PI0KEV"][0], cards["PI2KEV"][0]
    inside = (events.energies() >= cards["ENERG_LO"][0]) & (events.energies() <= cards["ENERG_HI"][0])
    channels = np.floor(events.column(form.pi_column).astype(float))
    assert np.array_equal(inside, (channels >= MADE[name].band[0]) & (channels <= MADE[name].band[1]))
    assert np.allclose(events.energies(), zero + gain * channels, atol=gain)


REFUSED = {
    "swift-wt": "one coordinate",
    "xrism-resolve": "6 x 6",
    "integral-isgri": "coded mask",
    "integral-jemx1": "coded mask",
}


@pytest.mark.parametrize("name", REFUSED)
def test_no_image_is_made_where_there_can_be_none(name, tmp_path):
    events = EventList.open(make_list(name, tmp_path / "made.fits"))
    assert REFUSED[name] in events.why_not("image")
    for attempt in (
        lambda: events.sky,
        lambda: grid_for(events, 4.0),
        lambda: count_image(events, standard_cut(events), ImageGrid(1, 1, 1, 10, 10)),
        events.positions,
    ):
        with pytest.raises(NotPossible) as problem:
            attempt()
        assert problem.value.code == "impossible.image"
        assert events.format.instrument in problem.value.message
    assert light_curve(events, standard_cut(events), 10.0).counts.sum() > 0


def test_the_real_lists_without_sky_are_refused_images(real_data):
    for path in ("nicer/ngc300nicer_bary.evt", "rxte/xte_se_93087-01-02-11.evt.gz"):
        events = EventList.open(real_data / path)
        assert light_curve(events, standard_cut(events), 10.0).counts.sum() in {2408, 999}
        with pytest.raises(NotPossible) as problem:
            grid_for(events, 4.0)
        assert problem.value.code == "impossible.image"


def test_products_say_what_was_assumed(tmp_path):
    events = EventList.open(make_list("bepposax-mecs2", tmp_path / "made.fits"))
    header = image_header(events, standard_cut(events), grid_for(events, 20.0))
    assert header["ASSUME1"] == "all of the good time is live"
    assert "PI2KEV" not in header


def test_days_become_seconds(tmp_path):
    events = EventList.open(make_list("integral-isgri", tmp_path / "made.fits"))
    days = events.column("TIME").astype(float)
    assert np.allclose(events.times(), days * 86400.0)
    assert 100 < max(ontime(events, events.gtis).values()) < 8000
    date = events.clock.date(events.times()[:1])
    assert date.mjd[0] == pytest.approx(51544.0 + days[0], abs=1e-9)


def test_good_times_may_be_given_where_a_list_has_none(real_data):
    path = real_data / "einstein/ipc_8102_ctb109_fragment.fits"
    given_times = [(79487000.0, 79494000.0), (79494100.0, 79495000.0)]
    events = EventList.open(path, good_times=given_times)
    assert len(events) == 4
    assert "good times were given by the user" in events.assumptions
    assert livetime(events, events.gtis)[0] == pytest.approx(7900 * 0.9583015)
    assert count_image(events, standard_cut(events), grid_for(events, 16.0)).sum() == 4
    with pytest.raises(DataError) as problem:
        EventList.open(path, good_times=[(5.0, 5.0)])
    assert problem.value.code == "data.no-gti"
    with pytest.raises(DataError) as problem:
        EventList.open(real_data / "rosat/rosat.evt", good_times=given_times)
    assert problem.value.code == "data.gti"


REAL = {**LISTS, **UNMAPPED}


@pytest.mark.parametrize("name", REAL)
def test_real_lists_give_the_rows_and_images_of_cfitsio(real_data, name):
    entry = REAL[name]
    events = EventList.open(real_data / entry.path)
    cut, tables = standard_cut(events, pi=entry.band), {chip: (table,) for chip, table in entry.tables.items()}
    kept = np.sort(events.column(events.format.time_column)[select(events, cut, events.rows)].astype(float))
    assert np.array_equal(kept, oracle.filtered_times(events, cut.rules, cut.pi, tables))
    grid = grid_for(events, entry.pixel)
    image = count_image(events, cut, grid)
    assert image.sum() > 200
    assert np.array_equal(image, oracle.binned(events, grid, cut.rules, cut.pi, tables))


@pytest.mark.parametrize(
    ("path", "tables"),
    [("nicer/ngc300nicer_bary.evt", ("GTI",)), ("rxte/xte_se_93087-01-02-11.evt.gz", ("2", "3"))],
)
def test_real_lists_without_sky_give_the_rows_of_cfitsio(real_data, path, tables):
    events = EventList.open(real_data / path)
    cut = standard_cut(events)
    kept = np.sort(events.times(events.rows[select(events, cut, events.rows)]))
    assert len(kept) >= 999
    assert np.array_equal(kept, oracle.filtered_times(events, cut.rules, None, {0: tables}))
