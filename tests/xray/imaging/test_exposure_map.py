"""Exposure maps: against the map that SAS made, and against the events themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from daxa.xray.cleaning.cut import Cut, select, standard_cut
from daxa.xray.cleaning.livetime import livetime
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.fits_tables import read_column, row_type
from daxa.xray.eventlists.opening import open_events
from daxa.xray.eventlists.rules import Either, Rule
from daxa.xray.imaging.exposure_map import coverage, exposure_map
from daxa.xray.imaging.footprint import ChipPart, find_footprint
from daxa.xray.imaging.image import ImageGrid, grid_for

LISTS = {
    "xmm/0404910601/eclean/mos1_exp1_clean_evts.fits": 4.35,
    "xmm/0404910601/eclean/mos2_exp1_clean_evts.fits": 4.35,
    "xmm/0201901401/eclean/mos1_exp1_clean_evts.fits": 8.7,
    "xmm/0201901401/eclean/mos2_exp1_clean_evts.fits": 8.7,
    "chandra/acis_18461_cena_evt2.fits": 1.968,
    "nustar/nu30101031002A_cut_evt.fits": 2.458,
}
MOS1 = next(iter(LISTS))


def pixels_of(events: EventList, grid: ImageGrid, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the image pixel of each event, from the definition of the grid."""
    x, y = (np.asarray(read_column(rows, name), float) for name in events.sky.columns)
    return tuple(np.floor((one - start + 0.5) / grid.bin).astype(int) for one, start in ((y, grid.y0), (x, grid.x0)))


def good_rows(events: EventList, cut: Cut) -> np.ndarray:
    return events.rows[select(events, cut, events.rows, sky=True)]


def cut_rows(events: EventList, rows: np.ndarray) -> EventList:
    return replace(events, rows=rows)


@pytest.fixture(scope="module")
def against_sas(real_data):
    """Our map of a real MOS1 exposure and the one that SAS's eexpmap made, on the same grid."""
    stem = real_data / "xmm/0404910601/images/0404910601_mos1_exp1-0.50-2.00keV"
    header = fits.getheader(f"{stem}img.fits")
    theirs = fits.getdata(f"{stem}expmap.fits")
    size = int(header["CDELT1L"])
    start = [round(header[f"CRVAL{n}L"] - (size - 1) / 2) for n in (1, 2)]
    grid = ImageGrid(*start, size, theirs.shape[1], theirs.shape[0])
    events = open_events(real_data / MOS1)
    ours, cards = exposure_map(events, standard_cut(events), grid)
    return ours, cards, theirs


def test_the_footprint_is_that_of_sas(against_sas):
    ours, cards, theirs = against_sas
    seen, expected = ours > 0, theirs > 0
    assert (seen & expected).sum() / (seen | expected).sum() > 0.985
    assert cards["EXPMETH"][0] == "FLAT"
    assert cards["VIGNET"][0] is False
    assert cards["EXPCHIPS"][0] == "1,2,3,4,5,7"


def test_the_exposure_on_the_axis_is_that_of_sas(against_sas):
    ours, _, theirs = against_sas
    # Where vignetting is weakest the two agree; elsewhere ours is higher, as it says (VIGNET = F).
    axis = theirs > 0.97 * theirs.max()
    full = axis & (ours > 0.99 * ours.max())
    assert np.median(ours[full] / theirs[full]) == pytest.approx(1.0, abs=0.02)
    both = (ours > 0) & (theirs > 0)
    assert (ours[both] > 0.97 * theirs[both]).mean() > 0.98


def test_bad_columns_and_gaps_are_where_sas_has_them(against_sas):
    ours, _, theirs = against_sas
    # Inside the field, what SAS exposes for less than half of its surroundings we do, too.
    from scipy.ndimage import binary_erosion, median_filter

    inner = binary_erosion(theirs > 0, iterations=6)
    dips = {name: one < 0.75 * median_filter(one, 9) for name, one in (("ours", ours), ("theirs", theirs))}
    shared = (dips["ours"] & dips["theirs"] & inner).sum()
    assert (dips["theirs"] & inner).sum() > 300
    assert shared / (dips["theirs"] & inner).sum() > 0.85
    assert shared / (dips["ours"] & inner).sum() > 0.9


@pytest.mark.parametrize("name", LISTS)
def test_events_fall_where_there_is_exposure(real_data, name):
    events = open_events(real_data / name)
    cut = standard_cut(events)
    grid = grid_for(events, LISTS[name], cut)
    seconds, cards = exposure_map(events, cut, grid)
    assert (seconds[pixels_of(events, grid, good_rows(events, cut))] > 0).mean() > 0.996
    assert cards["EXPLOST"][0] == ""
    # XMM-Newton does not dither: what is left is rounding to 0.05 arcsec and slow drift.
    assert cards["EXPBLUR"][0] < 0.15 or events.format.mission != "xmm"
    assert seconds.dtype == np.float32
    assert seconds.max() == pytest.approx(max(livetime(events, cut.gtis).values()), rel=1e-6)


@pytest.mark.parametrize("name", [MOS1, "chandra/acis_18461_cena_evt2.fits"])
def test_exposure_fits_the_events_closely(real_data, name):
    events = open_events(real_data / name)
    cut = standard_cut(events)
    grid = grid_for(events, LISTS[name], cut)
    seconds, _ = exposure_map(events, cut, grid)
    blocks = np.zeros((grid.ny, grid.nx))
    np.add.at(blocks, pixels_of(events, grid, good_rows(events, cut)), 1)
    size = 32
    counts, exposed = (
        one.reshape(grid.ny // size, size, grid.nx // size, size).sum(axis=(1, 3))
        for one in (blocks, (seconds > 0).astype(float))
    )
    # No fully exposed block of a real field is empty: a map that covered blank sky would have some.
    assert (counts[exposed == size * size] > 0).mean() > 0.99


def test_live_time_scales_the_map_chip_by_chip(real_data):
    events = open_events(real_data / MOS1)
    cut = standard_cut(events)
    grid = grid_for(events, 8.7, cut)
    whole, _ = exposure_map(events, cut, grid)
    gtis = {chip: gti[: len(gti) // 2] if chip == 2 else gti for chip, gti in cut.gtis.items()}
    half, _ = exposure_map(events, Cut(cut.rules, gtis), grid)
    live = livetime(events, gtis)
    # The other chips move by a few ten-thousandths of a pixel, as fewer events place them.
    changed = np.abs(half - whole) > 0.2 * whole.max()
    assert 0 < changed.sum() < 0.3 * (whole > 0).sum()
    inner = changed & (whole == np.float32(livetime(events, cut.gtis)[2]))
    assert inner.sum() > 1000
    # Where another chip overlaps the edge, its longer live time counts.
    assert (half[inner] == np.float32(live[2])).mean() > 0.97


def test_a_chip_without_good_time_is_not_exposed(real_data):
    events = open_events(real_data / MOS1)
    cut = standard_cut(events)
    grid = grid_for(events, 8.7, cut)
    gtis = {chip: gti for chip, gti in cut.gtis.items() if chip in {1, 2}}
    seconds, cards = exposure_map(events, Cut(cut.rules, gtis), grid)
    assert cards["EXPCHIPS"][0] == "1,2"
    rows = good_rows(events, cut)
    assert (seconds[pixels_of(events, grid, rows[read_column(rows, "CCDNR") == 5])] > 0).mean() < 0.05


@pytest.mark.parametrize("name", ["chandra/acis_18461_cena_evt2.fits", "nustar/nu30101031002A_cut_evt.fits"])
def test_alternatives_in_a_cut_do_not_concern_the_map(real_data, name):
    events = open_events(real_data / name)
    cut = standard_cut(events)
    grid = grid_for(events, LISTS[name], cut)
    whole, _ = exposure_map(events, cut, grid)
    halves = ((None, 300), (301, None))
    ways = tuple((Rule(events.format.pi_column, "ranges", (half,), "asked for"),) for half in halves)
    either = replace(cut, rules=(*cut.rules, Either(ways, "asked for")))
    assert np.array_equal(exposure_map(events, either, grid)[0], whole)


def test_overlapping_chips_are_capped():
    mask = np.ones((40, 40))
    one, two = (ChipPart(chip, np.eye(2), np.array([x, 0.0]), mask, 1, 0.0) for chip, x in ((1, 0.0), (2, 20.0)))
    grid = ImageGrid(1, 1, 4, 16, 12)
    first, second = coverage(one, grid), coverage(two, grid)
    assert first[:10, :10].min() == second[:10, 5:15].min() == 1.0
    assert first[10:].max() == first[:, 10:].max() == 0.0
    assert first.sum() == second.sum() == 100.0


def test_a_turned_module_keeps_its_area():
    angle = np.deg2rad(31.0)
    turn = 3.0 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mask = np.ones((50, 70))
    mask[10, 20] = 0.0
    cover = coverage(ChipPart(1, turn, np.array([300.0, 150.0]), mask, 0, 0.0), ImageGrid(0, 0, 5, 130, 130))
    assert cover.sum() * 25 == pytest.approx((50 * 70 - 1) * 9, rel=2e-3)
    assert cover.max() == 1.0


def test_dither_spreads_the_edges_and_keeps_the_sum(real_data):
    events = open_events(real_data / "chandra/acis_18461_cena_evt2.fits")
    cut = standard_cut(events)
    grid = grid_for(events, 1.968, cut)
    seconds, cards = exposure_map(events, cut, grid)
    # Chandra dithers by 8 arcsec in two sines: 8 / sqrt(2) rms along each axis.
    assert cards["EXPBLUR"][0] == pytest.approx(5.7, abs=0.4)
    partial = ((seconds > 0) & (seconds < 0.99 * seconds.max())).sum()
    assert partial > 4000
    # Five chips of 1024 pixels less a border pixel on each side, at 1 : 0.998 of the sky pixel.
    live = max(livetime(events, cut.gtis).values())
    assert seconds.sum(dtype=float) / live * 16 == pytest.approx(5 * (1020 * 0.998) ** 2, rel=0.01)


def test_a_few_events_place_a_chip_as_many_do(real_data):
    events = open_events(real_data / MOS1)
    cut = standard_cut(events)
    many = {module.chip: module for module in find_footprint(events, cut).modules}
    few = find_footprint(cut_rows(events, events.rows[::700].copy()), cut)
    assert few.lost == ()
    corners = np.array([[1, 1], [1, 600], [600, 1], [600, 600]])
    for module in few.modules:
        away = corners @ module.matrix.T + module.origin - corners @ many[module.chip].matrix.T
        # Half an arcsecond of 0.05 arcsec pixels.
        assert np.abs(away - many[module.chip].origin).max() < 20


def test_events_without_a_place_on_the_detector_do_not_move_the_chips(real_data):
    """TNULL is a stored number: in a column with TZERO it is another one than what is read."""
    events = open_events(real_data / MOS1)
    cut, known = standard_cut(events), events.rows[::9].copy()
    rows, header = known.copy(), events.header.copy()
    for name in ("DETX", "DETY"):
        number = 1 + rows.dtype.names.index(name)
        header.update({f"TZERO{number}": 1000, f"TNULL{number}": -32768})
        rows[name] -= 1000
        rows[name][::3] = -32768
    scaled = replace(events, header=header, rows=rows.view(row_type(header, "scaled")))
    found = {module.chip: module for module in find_footprint(scaled, cut).modules}
    for module in find_footprint(cut_rows(events, np.delete(known, np.s_[::3])), cut).modules:
        assert np.allclose(found[module.chip].origin, module.origin, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("count", [0, 1, 7])
def test_too_few_events_give_a_field_that_says_so(real_data, name, count):
    events = open_events(real_data / name)
    few = cut_rows(events, events.rows[:count].copy())
    cut = standard_cut(events)
    grid = grid_for(events, LISTS[name], cut)
    seconds, cards = exposure_map(few, cut, grid)
    assert cards["EXPMETH"][0] == "FIELD"
    assert cards["EXPCHIPS"][0] == ""
    assert seconds.max() == pytest.approx(max(livetime(events, cut.gtis).values()), rel=1e-6)
    assert (seconds[pixels_of(events, grid, good_rows(events, cut))] > 0).mean() > 0.7


def test_the_circle_is_about_a_pointing_that_only_the_primary_header_gives(real_data):
    events = open_events(real_data / MOS1)
    header, primary = events.header.copy(), events.primary.copy()
    for key, value in (("RA_PNT", 149.5), ("DEC_PNT", -11.2)):
        header[key], primary[key] = value, value
    cut, grid = standard_cut(events), ImageGrid(3649, 3649, 348, 128, 128)
    few = replace(events, rows=events.rows[:0].copy(), header=header)
    expected, _ = exposure_map(few, cut, grid)
    for key in ("RA_PNT", "DEC_PNT"):
        header.remove(key)
    seconds, cards = exposure_map(replace(few, header=header, primary=primary), cut, grid)
    assert cards["EXPMETH"][0] == "FIELD"
    assert seconds.tobytes() == expected.tobytes()


def test_a_wrong_roll_angle_is_not_believed(real_data):
    events = open_events(real_data / MOS1)
    header = events.header.copy()
    header["PA_PNT"] = float(header["PA_PNT"]) + 20.0
    _, cards = exposure_map(replace(events, header=header), standard_cut(events), ImageGrid(3649, 3649, 87, 512, 512))
    assert cards["EXPMETH"][0] == "FIELD"


def test_the_same_call_gives_the_same_bytes(real_data):
    events = open_events(real_data / "nustar/nu30101031002A_cut_evt.fits")
    cut = standard_cut(events)
    grid = grid_for(events, 2.458, cut)
    assert exposure_map(events, cut, grid)[0].tobytes() == exposure_map(events, cut, grid)[0].tobytes()
