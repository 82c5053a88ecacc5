"""The sky of event columns: every form that FITS allows is right to a thousandth of a pixel, or refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import FK4, Galactic, SkyCoord
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS

from daxa.errors import DataError
from daxa.xray.cleaning.cut import select, standard_cut
from daxa.xray.eventlists.frames import to_icrs
from daxa.xray.eventlists.opening import open_events
from daxa.xray.eventlists.sky_grid import header_wcs, pointing_pixel
from daxa.xray.imaging.image import count_image, grid_for, image_header
from tests.xray.madelists import make_list

STEP = 6.548089e-4
HERE = SkyCoord(150.0, 2.0, unit="deg")
COS, SIN = float(np.cos(0.5)), float(np.sin(0.5))


def swift(
    path: Path, events: dict | None = None, *, good: dict | None = None, primary: dict | None = None, zero: int = 0
):
    """A small list of Swift's XRT about `HERE`; cards of None are taken away; X is stored less the zero."""
    random = np.random.default_rng(3)
    x, y = random.integers(250, 750, (2, 60))
    x -= zero
    if zero:
        x[0] = -32000
    columns = [
        fits.Column("TIME", "D", unit="s", array=np.sort(random.uniform(1, 999, 60))),
        fits.Column("X", "I", array=x),
        fits.Column("Y", "I", array=y),
        fits.Column("PI", "I", array=np.full(60, 100)),
        fits.Column("GRADE", "I", array=np.zeros(60, int)),
        fits.Column("STATUS", "16X", array=np.zeros((60, 16), bool)),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    clock = {"MJDREFI": 51910, "MJDREFF": 7.428703703703703e-4, "TIMESYS": "TT", "TIMEUNIT": "s", "TIMEZERO": 0.0}
    observed = {"TELESCOP": "SWIFT", "INSTRUME": "XRT", "DATAMODE": "PHOTON", "OBS_ID": "00012345001"}
    table.header.update({**observed, **clock, "SIMULATD": True, "RADECSYS": "FK5", "EQUINOX": 2000.0})
    table.header.update({"RA_PNT": 150.0, "DEC_PNT": 2.0, "DEADC": 1.0})
    for number, kind, value, step in ((2, "RA---TAN", 150.0, -STEP), (3, "DEC--TAN", 2.0, STEP)):
        table.header.update({f"TCTYP{number}": kind, f"TCRVL{number}": value, f"TCRPX{number}": 500.5})
        table.header.update({f"TCDLT{number}": step, f"TLMIN{number}": 1, f"TLMAX{number}": 1000})
    times = [fits.Column("START", "D", unit="s", array=[0.0]), fits.Column("STOP", "D", unit="s", array=[1000.0])]
    intervals = fits.BinTableHDU.from_columns(times, name="GTI")
    intervals.header.update(clock)
    head = fits.PrimaryHDU()
    for header, cards in ((table.header, events), (intervals.header, good), (head.header, primary)):
        for name, value in (cards or {}).items():
            if value is None:
                header.pop(name, None)
            else:
                header[name] = value
    fits.HDUList([head, table, intervals]).writeto(path, overwrite=True)
    return path


def told(**words) -> WCS:
    """What wcslib makes of a plane that is written as one of an image."""
    plane = WCS(naxis=2)
    plane.wcs.ctype, plane.wcs.crpix, plane.wcs.cdelt = ("RA---TAN", "DEC--TAN"), (500.5, 500.5), (-STEP, STEP)
    plane.wcs.crval, plane.wcs.radesys, plane.wcs.equinox = (150.0, 2.0), "FK5", 2000.0
    pv = words.pop("pv", [])
    for name, value in words.items():
        setattr(plane.wcs, name, value)
    plane.wcs.set_pv(pv)
    plane.wcs.set()
    return plane


GALACTIC = HERE.transform_to(Galactic())
ECLIPTIC = HERE.transform_to("barycentricmeanecliptic")
OLD = HERE.transform_to(FK4(equinox="B1950"))
NO_FRAME = {"RADECSYS": None, "EQUINOX": None}

TURN = ((COS, -SIN), (SIN, COS))


def in_units(unit: str, of_degree: float) -> dict[str, object]:
    values = {"TCRVL2": 150.0, "TCRVL3": 2.0, "TCDLT2": -STEP, "TCDLT3": STEP}
    return {"TCUNI2": unit, "TCUNI3": unit} | {key: float(value * of_degree) for key, value in values.items()}


FORMS = {
    "plain": ({}, told()),
    "text": ({"TCRVL2": "150.0"}, told()),
    "galactic": (
        {"TCTYP2": "GLON-TAN", "TCTYP3": "GLAT-TAN", "TCRVL2": GALACTIC.l.deg, "TCRVL3": GALACTIC.b.deg},
        told(ctype=("GLON-TAN", "GLAT-TAN"), crval=(GALACTIC.l.deg, GALACTIC.b.deg), radesys="", equinox=np.nan),
    ),
    "ecliptic": (
        {"TCTYP2": "ELON-TAN", "TCTYP3": "ELAT-TAN", "TCRVL2": ECLIPTIC.lon.deg, "TCRVL3": ECLIPTIC.lat.deg},
        told(ctype=("ELON-TAN", "ELAT-TAN"), crval=(ECLIPTIC.lon.deg, ECLIPTIC.lat.deg)),
    ),
    "arcmin": (in_units("arcmin", 60.0), told()),
    "arcsec": (in_units("arcsec", 3600.0), told()),
    "rad": (in_units("rad", np.pi / 180.0), told()),
    "TP": ({"TP2_2": COS, "TP2_3": -SIN, "TP3_2": SIN, "TP3_3": COS}, told(pc=TURN)),
    "TPC": ({"TPC2_2": COS, "TPC2_3": -SIN, "TPC3_2": SIN, "TPC3_3": COS}, told(pc=TURN)),
    "TC": (
        {"TC2_2": -STEP * COS, "TC2_3": STEP * SIN, "TC3_2": STEP * SIN, "TC3_3": STEP * COS}
        | {"TCDLT2": None, "TCDLT3": None},
        told(pc=TURN),
    ),
    "TCD": (
        {"TCD2_2": -STEP * COS, "TCD2_3": STEP * SIN, "TCD3_2": STEP * SIN, "TCD3_3": STEP * COS},
        told(pc=TURN),
    ),
    "LONP": ({"LONP2": 150.0}, told(lonpole=150.0)),
    "LATP": ({"LATP3": 90.0, "LONP2": 180.0}, told(lonpole=180.0, latpole=90.0)),
    "TV": (
        {"TCTYP2": "RA---ZPN", "TCTYP3": "DEC--ZPN", "TV3_1": 1.0, "TV3_3": 30.0},
        told(ctype=("RA---ZPN", "DEC--ZPN"), pv=[(2, 1, 1.0), (2, 3, 30.0)]),
    ),
    "RADE, EQUI": (
        {"RADE2": "FK4", "EQUI2": 1950.0, "TCRVL2": OLD.ra.deg, "TCRVL3": OLD.dec.deg},
        told(radesys="FK4", equinox=1950.0, crval=(OLD.ra.deg, OLD.dec.deg)),
    ),
    "EPOCH alone": (
        {**NO_FRAME, "EPOCH": 1950.0, "TCRVL2": OLD.ra.deg, "TCRVL3": OLD.dec.deg},
        told(radesys="FK4", equinox=1950.0, crval=(OLD.ra.deg, OLD.dec.deg)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_positions_are_those_of_wcslib_in_icrs_and_images_know_them(tmp_path, name):
    cards, plane = FORMS[name]
    events = open_events(swift(tmp_path / "list.fits", cards))
    x, y = (events.column(axis).astype(float) for axis in "XY")
    right = SkyCoord(*to_icrs(plane, x, y, 1), unit="deg")
    assert right[0].separation(HERE).deg < 0.4
    assert SkyCoord(events.positions(), unit="deg").separation(right).arcsec.max() < 2e-3
    assert events.sky.pixel_arcsec == pytest.approx(STEP * 3600, rel=1e-9)
    cut = standard_cut(events)
    grid = grid_for(events, 2 * events.sky.pixel_arcsec, cut)
    image = header_wcs(image_header(events, cut, grid))
    seen = SkyCoord(*to_icrs(image, (x - grid.x0 + 0.5) / 2 + 0.5, (y - grid.y0 + 0.5) / 2 + 0.5, 1), unit="deg")
    assert seen.separation(right).arcsec.max() < 2e-3
    assert count_image(events, cut, grid).sum() == 60


def test_a_frame_that_is_only_in_the_primary_header_reaches_the_images(tmp_path):
    path = swift(
        tmp_path / "list.fits",
        {**NO_FRAME, "TCRVL2": OLD.ra.deg, "TCRVL3": OLD.dec.deg},
        primary={"RADECSYS": "FK4", "EQUINOX": 1950.0},
    )
    events = open_events(path)
    cut = standard_cut(events)
    header = image_header(events, cut, grid_for(events, 4.71462, cut))
    assert (header["RADESYS"], header["EQUINOX"]) == ("FK4", 1950.0)
    assert SkyCoord(events.positions(), unit="deg").separation(HERE).deg.max() < 0.4


@pytest.mark.parametrize(
    ("cards", "word"),
    [
        ({"TCROT3": 30.0}, "TCROT3"),
        ({"TCTYP2": "RA---TAN-SIP", "TCTYP3": "DEC--TAN-SIP"}, "TAN-SIP"),
        ({"TCTYP2": "RA---TPV", "TCTYP3": "DEC--TPV"}, "RA---TPV"),
        ({"TCTYP2": "HPLN-TAN", "TCTYP3": "HPLT-TAN"}, "HPLN-TAN"),
        ({"TCTYP2": "DETX", "TCTYP3": "DETY"}, "DETX"),
        ({"TP2_2": 1.0, "TC2_2": 1.0}, "matrix"),
        ({"TP2_4": 0.1}, "TP2_4"),
        ({"TS2_0": "table"}, "TS2_0"),
        ({"LONP2": 150.0, "LONP3": 180.0}, "LONP"),
        ({"TCUNI2": "furlong"}, "cannot be used"),
        ({"TCTYP2": "RA---XXX", "TCTYP3": "DEC--XXX"}, "cannot be used"),
        ({"TCTYP3": "GLAT-TAN"}, "name no pair"),
        ({"TCTYP2": None}, "name no pair"),
        ({"TCTYP2": None, "TCTYP3": None}, "TCRVL2"),
        ({"RADE2": "FK4", "RADE3": "FK5"}, "RADE2 and RADE3"),
        ({"RADECSYS": "FK4", "EQUINOX": 2000.0}, "FK4"),
        ({"RADECSYS": "GAPPT"}, "GAPPT"),
        ({"EQUINOX": 20000.0}, "equinox"),
        ({"TP2_2": 1.0, "TP2_3": 1.0, "TP3_2": 0.0, "TP3_3": 1.0}, "pixels are"),
        ({"TCDLT2": -2.458, "TCDLT3": 2.458}, "pixels of 8848.8 arcsec"),
        ({"TCDLT2": -STEP / 3, "TCDLT3": STEP / 3}, "2.35731"),
        ({"TCRPX2": 90000.0}, "reference pixel"),
        ({"TCRVL2": 30.0, "TCRVL3": -40.0}, "from the pointing"),
    ],
)
def test_what_is_not_read_or_cannot_be_true_is_refused_by_name(tmp_path, cards, word):
    with pytest.raises(DataError) as problem:
        open_events(swift(tmp_path / "list.fits", cards))
    assert word in problem.value.message
    assert "8848" not in problem.value.remedy


@pytest.mark.parametrize("zero", [32768, 1000, -5])
def test_scaled_positions_and_their_nulls_count_alike(tmp_path, zero):
    plain = open_events(swift(tmp_path / "plain.fits"))
    path = swift(tmp_path / "list.fits", zero=zero)
    with fits.open(path, mode="update") as units:
        units["EVENTS"].header.update({"TZERO2": zero, "TNULL2": -32000})
    events = open_events(path)
    assert np.array_equal(events.column("X")[1:], plain.column("X")[1:].astype(int))
    assert np.isnan(events.positions()[0]).all()
    assert np.allclose(events.positions()[1:], plain.positions()[1:], atol=1e-12)
    cut = standard_cut(events)
    assert sum(select(events, cut, rows, sky=True).sum() for rows in events.chunks()) == 59
    assert count_image(events, cut, grid_for(events, 2.35731, cut)).sum() == 59


def test_null_channels_have_no_energy(tmp_path):
    path = swift(tmp_path / "list.fits")
    with fits.open(path, mode="update") as units:
        units["EVENTS"].data["PI"][3] = -32768
        units["EVENTS"].data["PI"][4] = 5
    for null in (None, -32768, 5):
        with fits.open(path, mode="update") as units:
            if null is not None:
                units["EVENTS"].header["TNULL4"] = null
        energies = open_events(path).energies()
        assert np.flatnonzero(np.isnan(energies)).tolist() == [4 if null == 5 else 3]


# Good times and their clock.

REFERENCE = {"MJDREFI": None, "MJDREFF": None}
UTC = {"TIMESYS": "UTC", "MJDREFF": 0.0}


@pytest.mark.parametrize(
    ("events", "good", "problem"),
    [
        ({}, {**REFERENCE, "MJDREF": 51910 + 7.428703703703703e-4 + 1000 / 86400}, "+1000.000"),
        ({}, {"MJDREFI": 51911, "MJDREFF": 7.428703703703703e-4 - 1}, ""),
        ({}, {**REFERENCE, "MJDREF": 51910.00074287037}, ""),
        ({}, {**REFERENCE, "MJDREF": 51910.0007428}, "" if 7.04e-8 * 86400 < 1e-6 else "-0.0060"),
        ({}, {"MJDREFF": 7.428703703703703e-4 + 4e-14}, ""),
        ({}, {"MJDREFF": 7.428703703703703e-4 + 5e-11}, "+0.000004"),
        ({"TIMESYS": "TDB", "TIMEREF": "SOLARSYSTEM"}, {"TIMESYS": "TT", "TIMEREF": "LOCAL"}, "TT"),
        ({"TIMEREF": "SOLARSYSTEM"}, {"TIMEREF": "LOCAL"}, "TOPOCENT"),
        ({"TIMEREF": "SOLARSYSTEM"}, {"TREFPOS": "BARYCENTER"}, ""),
        ({"TIMEREF": "LOCAL"}, {"TREFPOS": "TOPOCENTER"}, ""),
        ({"TIMESYS": "TDT"}, {"TIMESYS": "TT(TAI)"}, ""),
        ({"TIMESYS": "UTC"}, {"TIMESYS": "TT"}, "TT"),
        # Between them the last second of 2016 is a leap second.
        ({**UTC, "MJDREFI": 57753}, {**UTC, "MJDREFI": 57755, "TIMEZERO": -172801.0}, ""),
        ({**UTC, "MJDREFI": 57753}, {**UTC, "MJDREFI": 57755, "TIMEZERO": -172800.0}, "+1.000"),
        ({"TIMEZERO": 5.0}, {"TIMEZERO": 5.0}, ""),
        ({"TIMEZERO": 5.0}, {"TIMEZERO": 0.0}, "-5.000"),
        ({"TIMEZERO": 86.4}, {"TIMEZERO": 0.0, "MJDREFF": 7.428703703703703e-4 + 1e-3}, ""),
    ],
)
def test_clocks_are_compared_by_instant_system_and_place(tmp_path, events, good, problem):
    path = swift(tmp_path / "list.fits", events, good=good)
    if not problem:
        assert open_events(path).gtis[0].tolist() == [[0.0, 1000.0]]
        return
    with pytest.raises(DataError) as raised:
        open_events(path)
    assert problem in raised.value.message
    assert "GTI" in raised.value.message


def test_a_reference_in_the_primary_header_counts_for_tables_without_one(tmp_path):
    bare = {**REFERENCE, "TIMESYS": None, "TIMEZERO": None}
    path = swift(tmp_path / "list.fits", good=bare, primary={"MJDREFI": 51910, "MJDREFF": 7.428703703703703e-4})
    assert open_events(path).gtis[0].tolist() == [[0.0, 1000.0]]
    with pytest.raises(DataError, match="another moment"):
        open_events(swift(path, good=bare, primary={"MJDREF": 50814.0}))
    with pytest.raises(DataError, match="TDB"):
        open_events(swift(path, good=bare, primary={"TIMESYS": "TDB"}))


def test_the_equinox_of_another_frame_says_nothing_of_the_columns(tmp_path):
    path = swift(tmp_path / "list.fits", {"EQUINOX": None}, primary={"RADECSYS": "FK4", "EQUINOX": 1950.0})
    assert (open_events(path).sky.frame, open_events(path).sky.equinox) == ("FK5", 0.0)


@pytest.mark.parametrize("alone", ["events", "good"])
def test_a_zero_in_only_one_table_is_reported(tmp_path, alone):
    cards = {"events": {"TIMEZERO": None}, "good": {"TIMEZERO": None}} | {alone: {"TIMEZERO": 3.5}}
    said = open_events(swift(tmp_path / "list.fits", cards["events"], good=cards["good"])).assumptions
    assert any("TIMEZERO (3.5 s)" in one for one in said)


def test_the_zero_counts_in_the_unit_of_the_cards(tmp_path):
    days = {"TIMEUNIT": "d", "TIMEZERO": 2.0}
    clock = open_events(swift(tmp_path / "list.fits", days, good=days)).clock
    assert clock.zero == 2 * 86400.0


def test_seconds_of_utc_go_through_leap_seconds(tmp_path):
    """51179 is 1999-01-01, after a leap second; the list counts from a day before."""
    reference = {"MJDREFI": 51178, "MJDREFF": 0.0, "TIMESYS": "UTC"}
    events = open_events(swift(tmp_path / "list.fits", reference, good=reference))
    assert events.clock.date(86401.0).isot == "1999-01-01T00:00:00.000"
    assert events.clock.date(86400.0).isot == "1998-12-31T23:59:60.000"
    assert events.clock.date(10.0).isot == Time(51178, 10 / 86400, format="mjd", scale="utc").isot
    assert any("leap" in one for one in events.assumptions)


@pytest.mark.parametrize("name", ["GTI0", "SRC_GTI", "STDGTI", "GTI_MPU3", "MYTIMES"])
def test_good_times_of_other_names_are_read_and_said(tmp_path, name):
    path = swift(tmp_path / "list.fits", good={"EXTNAME": name, "HDUCLAS1": "GTI"})
    events = open_events(path)
    assert events.gtis[0].tolist() == [[0.0, 1000.0]]
    assert name == "STDGTI" or any(name in one for one in events.assumptions)


def test_good_times_may_be_given_where_those_of_the_list_are_not_understood(tmp_path):
    path = swift(tmp_path / "list.fits", good={"EXTNAME": "GTI_STRANGE"})
    with pytest.raises(DataError, match="GTI_STRANGE") as problem:
        open_events(path)
    assert "good_times" in problem.value.remedy
    assert open_events(path, good_times=[(0, 10)]).gtis[0].tolist() == [[0.0, 10.0]]


def test_a_list_without_the_name_of_its_observation_says_what_would_serve(tmp_path):
    path = swift(tmp_path / "list.fits", {"OBS_ID": None})
    with pytest.raises(DataError, match="OBS_ID") as problem:
        open_events(path)
    assert "obs_id" in problem.value.remedy
    events = open_events(path, obs_id="00012345001")
    assert events.obs_id == "00012345001"
    assert any("00012345001" in one for one in events.assumptions)


@pytest.mark.parametrize("kind", ["RA", "galactic"])
def test_the_pointing_lies_where_it_is_in_planes_of_every_frame(kind):
    plane = told() if kind == "RA" else FORMS["galactic"][1]
    x, y = pointing_pixel(fits.Header({"RA_PNT": 150.0, "DEC_PNT": 2.0}), plane, 1)
    assert (x, y) == pytest.approx((500.5, 500.5), abs=0.02)
    assert pointing_pixel(fits.Header(), plane) is None
    assert pointing_pixel(fits.Header({"RA_PNT": 330.0, "DEC_PNT": -2.0}), plane) is None


@pytest.mark.parametrize("name", ["GTI0", "SRC_GTI", "STDGTI", "GTI"])
def test_good_times_of_other_names_hold_for_every_module_of_erosita(tmp_path, name):
    made, path = make_list("erosita-survey", tmp_path / "made.fits"), tmp_path / "list.fits"
    with fits.open(made) as units:
        for table in ("GTI2", "GTI5"):
            del units[table]
        units["GTI1"].name = name
        units.writeto(path)
    events = open_events(path)
    assert [*events.gtis] == [1, 2, 5]
    assert all(len(good) and (good == events.gtis[1]).all() for good in events.gtis.values())
    assert any(name in one for one in events.assumptions)


def raw_cards(path: Path, **edits: dict[str, object]) -> Path:
    """Cards of single headers (``primary``, ``events``, ``good``) set or, if None, taken away; not a byte of data."""
    content, parts = path.read_bytes(), []
    with fits.open(path) as units:
        places = [(unit.fileinfo(), edits.get(name, {})) for unit, name in zip(units, NAMES, strict=True)]
    for place, cards in places:
        header = fits.Header.fromstring(content[place["hdrLoc"] : place["datLoc"]].decode("ascii"))
        for key, value in cards.items():
            header.pop(key, None)
            if value is not None:
                header[key] = value
        parts += [header.tostring().encode("ascii"), content[place["datLoc"] : place["datLoc"] + place["datSpan"]]]
    path.write_bytes(b"".join(parts))
    return path


NAMES = ("primary", "events", "good")
NO_UNIT = {"TIMEUNIT": None, "TUNIT1": None, "TUNIT2": None}


@pytest.mark.parametrize(
    "cards",
    [
        {"primary": {"TIMEUNIT": "d"}, "events": {"TIMEUNIT": None, "TUNIT1": None}, "good": NO_UNIT},
        {"events": {"TIMEUNIT": "d", "TUNIT1": None}, "good": NO_UNIT},
        {"events": {"TIMEUNIT": None, "TUNIT1": "d"}, "good": NO_UNIT},
        {"events": {"TUNIT1": "d"}, "good": {"TUNIT1": "d", "TUNIT2": "d"}},
    ],
)
def test_good_times_are_in_the_unit_of_the_events_wherever_it_stands(tmp_path, cards):
    events = open_events(raw_cards(swift(tmp_path / "list.fits", {"MJDREFI": 40600}, good={"MJDREFI": 40600}), **cards))
    assert events.times().max() > 86400
    np.testing.assert_allclose(events.gtis[0], [[0.0, 1000.0 * 86400]])


def test_intervals_that_end_before_they_start_are_reported(tmp_path):
    path = swift(tmp_path / "list.fits")
    with fits.open(path, mode="update") as units:
        units["GTI"].data["START"], units["GTI"].data["STOP"] = 900.0, 100.0
    events = open_events(path)
    assert len(events.gtis[0]) == 0
    assert "intervals of GTI that end before they start are empty (1 of 1)" in events.assumptions


def test_start_and_stop_may_be_in_different_units(tmp_path):
    path = raw_cards(swift(tmp_path / "list.fits"), good={"TUNIT1": "s", "TUNIT2": "d"})
    np.testing.assert_allclose(open_events(path).gtis[0], [[0.0, 1000.0 * 86400]])


def test_the_reference_may_be_split_over_two_headers(tmp_path):
    path = swift(tmp_path / "list.fits", {"MJDREFF": None}, good={"MJDREFF": None}, primary={"MJDREFF": 0.25})
    events = open_events(path)
    assert (events.clock.day, events.clock.fraction) == (51910, 0.25)
    cut = standard_cut(events)
    assert image_header(events, cut, grid_for(events, 4.71462, cut))["DATE-OBS"] == "2001-01-01T06:00:00.000"


@pytest.mark.parametrize(
    ("cards", "code", "word"),
    [
        (
            {"events": {"MJDREFI": None, "MJDREFF": None, "MJDREF": 0}, "good": {"MJDREFI": 0, "MJDREFF": 0.0}},
            "data.time",
            "1859",
        ),
        ({"events": {"TFORM2": "2A"}}, "data.column-type", "X"),
        ({"events": {"TFORM3": "2B"}}, "data.column-type", "Y"),
        ({"good": {"TFORM1": "8A"}}, "data.column-type", "START"),
        ({"good": {"TTYPE1": "BEGIN"}}, "data.column", "START"),
        ({"events": {"TIMEZERO": "NaN"}}, "data.card", "TIMEZERO"),
    ],
)
def test_what_cannot_be_used_is_refused_by_file_and_name(tmp_path, cards, code, word):
    with pytest.raises(DataError, match=r"list\.fits") as problem:
        open_events(raw_cards(swift(tmp_path / "list.fits"), **cards))
    assert problem.value.code == code
    assert word in problem.value.message
