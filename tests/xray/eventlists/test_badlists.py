"""Event lists that lack or corrupt something: a typed error that names it, or a stated fallback."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from daxa.errors import DataError, DaxaError, NotPossible
from daxa.xray import EventList
from daxa.xray.cleaning.cut import select, standard_cut
from daxa.xray.cleaning.lightcurve import light_curve
from daxa.xray.cleaning.livetime import livetime
from daxa.xray.imaging.image import count_image, grid_for, image_header
from tests.xray.madelists import IMAGING, MADE, make_list


def corrupted(tmp_path, name, corrupt):
    """A made list changed through astropy by a function of its units."""
    path = make_list(name, tmp_path / "made.fits", clean=True)
    with fits.open(path, mode="update") as units:
        corrupt(units)
    return path


def events_of(units):
    return next(unit for unit in units[1:] if unit.header.get("HDUCLAS1") == "EVENTS")


def without(keyword):
    def corrupt(units):
        for unit in units:
            unit.header.remove(keyword, ignore_missing=True, remove_all=True)

    return corrupt


def test_no_events_are_an_empty_image_with_exposure(tmp_path):
    for name in IMAGING:
        events = EventList.open(make_list(name, tmp_path / f"{name}.fits", count=0))
        assert len(events) == 0
        cut = standard_cut(events, pi=MADE[name].band)
        grid = grid_for(events, MADE[name].pixel)
        assert count_image(events, cut, grid).sum() == 0
        assert image_header(events, cut, grid)["EXPOSURE"] > 0
        curve = light_curve(events, cut, 100.0)
        assert curve.counts.sum() == 0
        assert curve.exposure.sum() > 0
        assert events.positions().shape == (0, 2)


@pytest.mark.parametrize("name", MADE)
def test_without_good_time_tables_a_list_is_refused(tmp_path, name):
    def corrupt(units):
        for table in [unit.name for unit in units if "GTI" in unit.name]:
            del units[table]

    with pytest.raises(DataError) as problem:
        EventList.open(corrupted(tmp_path, name, corrupt))
    assert problem.value.code in {"data.no-gti", "data.gti"}
    assert "made.fits" in problem.value.message


@pytest.mark.parametrize("name", ["swift-pc", "erosita-scan", "xmm-pn"])
def test_empty_good_times_give_no_exposure(tmp_path, name):
    def corrupt(units):
        for unit in units:
            if "GTI" in unit.name:
                unit.data["STOP"] = unit.data["START"]

    events = EventList.open(corrupted(tmp_path, name, corrupt))
    assert set(livetime(events, events.gtis).values()) == {0.0}
    assert not select(events, standard_cut(events), events.rows).any()
    with pytest.raises(DataError) as problem:
        light_curve(events, standard_cut(events), 10.0)
    assert problem.value.code == "data.no-good-time"


def test_a_module_without_good_times_does_not_count(tmp_path):
    def corrupt(units):
        del units["GTI2"]

    events = EventList.open(corrupted(tmp_path, "erosita-scan", corrupt))
    assert sorted(events.gtis) == [1, 5]
    kept = select(events, standard_cut(events), events.rows)
    assert set(events.column("TM_NR")[kept]) == {1, 5}


@pytest.mark.parametrize(("name", "lost"), [("erosita-scan", "DEADCOR5"), ("xmm-pn", "EXPOSU04")])
def test_a_lost_table_of_live_times_is_an_error(tmp_path, name, lost):
    def corrupt(units):
        del units[lost]

    events = EventList.open(corrupted(tmp_path, name, corrupt))
    with pytest.raises(DataError, match=lost):
        livetime(events, events.gtis)


@pytest.mark.parametrize("value", [np.nan, -0.5, 1.5])
def test_senseless_dead_times_are_an_error(tmp_path, value):
    def corrupt(units):
        units["DEADCOR1"].data["DEADC"][3] = value

    events = EventList.open(corrupted(tmp_path, "erosita-scan", corrupt))
    with pytest.raises(DataError, match="DEADCOR1"):
        livetime(events, events.gtis)


def test_events_at_no_time_and_no_place_do_not_count(tmp_path):
    def corrupt(units):
        data = events_of(units).data
        data["time"][:10] = np.nan
        data["x"][10:20] = np.nan
        data["y"][20:30] = np.inf

    events = EventList.open(corrupted(tmp_path, "chandra-hrc-i", corrupt))
    cut = standard_cut(events)
    assert select(events, cut, events.rows).sum() == 2990
    assert select(events, cut, events.rows, sky=True).sum() == 2970
    grid = grid_for(events, MADE["chandra-hrc-i"].pixel)
    assert count_image(events, cut, grid).sum() == 2970
    assert np.isnan(events.positions()[10:30]).all()


def test_null_positions_do_not_count(tmp_path):
    def corrupt(units):
        unit = events_of(units)
        number = unit.columns.names.index("X") + 1
        unit.data["X"][:50] = 999
        unit.header[f"TNULL{number}"] = 999

    events = EventList.open(corrupted(tmp_path, "swift-pc", corrupt))
    nulls = (events.column("X") == 999).sum()
    assert nulls >= 50
    cut = standard_cut(events)
    assert count_image(events, cut, grid_for(events, MADE["swift-pc"].pixel)).sum() == 3000 - nulls
    assert np.isnan(events.positions()[:50]).all()


@pytest.mark.parametrize("name", IMAGING)
def test_world_coordinates_may_be_text(tmp_path, name):
    def corrupt(units):
        header = events_of(units).header
        for keyword in [key for key in header if key.startswith(("TCRVL", "TCRPX", "TCDLT"))]:
            header[keyword] = repr(header[keyword])

    text = EventList.open(corrupted(tmp_path, name, corrupt))
    (tmp_path / "plain").mkdir()
    assert text.sky == EventList.open(make_list(name, tmp_path / "plain" / "made.fits", clean=True)).sky


@pytest.mark.parametrize("pointing", ["NOM", "PNT"])
@pytest.mark.parametrize("name", IMAGING)
def test_without_world_coordinates_the_pointing_and_the_pixel_stand_in(tmp_path, name, pointing):
    def corrupt(units):
        header = events_of(units).header
        for keyword in [key for key in header if key.startswith(("TCRVL", "TCRPX", "TCDLT", "TCTYP"))]:
            del header[keyword]
        if pointing == "PNT":
            header["RA_PNT"], header["DEC_PNT"] = header.pop("RA_NOM"), header.pop("DEC_NOM")

    made = MADE[name]
    known = name.startswith(("xmm", "chandra", "swift", "rosat", "rass", "suzaku", "ixpe", "einstein-ipc"))
    path = corrupted(tmp_path, name, corrupt)
    if not known:
        with pytest.raises(DataError) as problem:
            EventList.open(path)
        assert problem.value.code == "data.sky"
        return
    sky = EventList.open(path).sky
    assert sky.crval == (150.0, -11.0)
    assert sky.pixel_arcsec == pytest.approx(made.sky[2] * 3600, rel=2e-3)
    if name != "rass":
        assert sky.crpix == (made.sky[1], made.sky[1])


@pytest.mark.parametrize(
    ("name", "keyword", "code"),
    [
        ("swift-pc", "TELESCOP", "data.unrecognised"),
        ("swift-pc", "INSTRUME", "data.unrecognised"),
        ("swift-pc", "DATAMODE", "impossible.instrument"),
        ("ixpe-du2", "DETNAM", "impossible.instrument"),
        ("swift-pc", "OBS_ID", "data.obs-id"),
        ("chandra-hrc-i", "DTCOR", "data.card"),
    ],
)
def test_missing_keywords_are_named_or_do_without(tmp_path, name, keyword, code):
    path = corrupted(tmp_path, name, without(keyword))
    with pytest.raises(DaxaError) as problem:
        events = EventList.open(path)
        livetime(events, events.gtis)
    assert problem.value.code == code


@pytest.mark.parametrize("name", ["erosita-survey", "rosat-hri", "asca-sis0", "einstein-ipc", "bepposax-mecs2"])
def test_some_missions_do_not_name_their_observations(tmp_path, name):
    assert EventList.open(corrupted(tmp_path, name, without("OBS_ID"))).obs_id == ""


@pytest.mark.parametrize("keyword", ["MJDREFI", "TIMESYS", "DEADC"])
def test_what_is_missing_and_known_is_assumed_and_said(tmp_path, keyword):
    events = EventList.open(corrupted(tmp_path, "swift-pc", without(keyword)))
    assert len(events.assumptions) == 1
    header = image_header(events, standard_cut(events), grid_for(events, MADE["swift-pc"].pixel))
    assert header["ASSUME1"] == events.assumptions[0]


@pytest.mark.parametrize("name", MADE)
def test_a_lost_column_is_named(tmp_path, name):
    made = MADE[name]
    for column in (made.time, made.pi, *made.columns):
        if column in {"W_MOM", "SEGMENT", "CCDID", "RISE_TIME", "ISGRI_Y"} or name in {"hitomi-sxi", "ixpe-du2"}:
            continue

        def corrupt(units, column=column):
            unit = events_of(units)
            unit.header[f"TTYPE{unit.columns.names.index(column) + 1}"] = "OTHER"

        path = make_list(name, tmp_path / f"{column}.fits", count=20)
        with fits.open(path, mode="update") as units:
            corrupt(units)
        with pytest.raises(DataError) as problem:
            events = EventList.open(path)
            select(events, standard_cut(events, pi=made.band), events.rows)
        assert problem.value.code == "data.column"
        assert column in problem.value.message


def test_the_wrong_mission_is_found_out(tmp_path):
    """A list that claims another telescope lacks what that telescope's lists have."""

    def corrupt(units):
        for unit in units:
            unit.header["TELESCOP"], unit.header["INSTRUME"] = "XMM", "EMOS1"

    with pytest.raises((DataError, NotPossible)) as problem:
        EventList.open(corrupted(tmp_path, "swift-pc", corrupt))
    assert problem.value.code == "data.no-gti"


def test_a_table_without_a_name_is_recognised_by_its_columns(tmp_path):
    def corrupt(units):
        del units["EVENTS"].header["HDUCLAS1"]
        units["EVENTS"].name = "PHOTONS"

    events = EventList.open(corrupted(tmp_path, "swift-pc", corrupt))
    assert len(events) == 3000


def test_two_tables_of_events_are_refused(tmp_path):
    def corrupt(units):
        units.append(units["EVENTS"].copy())

    with pytest.raises(DataError) as problem:
        EventList.open(corrupted(tmp_path, "swift-pc", corrupt))
    assert problem.value.code == "data.not-events"


@pytest.mark.parametrize("name", MADE)
def test_a_truncated_list_is_an_error(tmp_path, name):
    content = make_list(name, tmp_path / "whole.fits").read_bytes()
    path = tmp_path / "cut.fits"
    for part in (5, 2880, 2880 * 2, 20_000, 30_000):
        path.write_bytes(content[:part])
        with pytest.raises(DataError):
            EventList.open(path)


def test_turned_columns_are_refused(tmp_path):
    """Read as if they were not turned they would put every event in the wrong place."""

    def corrupt(units):
        unit = events_of(units)
        unit.header[f"TCROT{unit.columns.names.index('Y') + 1}"] = 30.0

    with pytest.raises(DataError, match="turned") as problem:
        EventList.open(corrupted(tmp_path, "rosat-hri", corrupt))
    assert problem.value.code == "data.sky"


def test_lists_packed_by_compress_are_named(tmp_path):
    (tmp_path / "rp500211n00_bas.fits.Z").write_bytes(b"\x1f\x9d\x90SIMPLE")
    with pytest.raises(DataError, match=r"\.Z") as problem:
        EventList.open(tmp_path / "rp500211n00_bas.fits.Z")
    assert problem.value.code == "data.compressed"
