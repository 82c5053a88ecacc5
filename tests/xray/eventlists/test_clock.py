"""Dates of events: cards in every form that missions use, against astropy."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time, TimeDelta

from daxa.errors import DataError
from daxa.xray.eventlists.clock import Clock, compare_clocks, read_clock, seconds_per_unit
from daxa.xray.eventlists.formats import FORMATS
from daxa.xray.eventlists.opening import open_events
from tests.xray.reallists import LISTS

XIS = FORMATS["SUZAKU", "XIS0"]


def clock_of(form=XIS, primary=None, **cards):
    return read_clock(form, fits.Header(cards), fits.Header(primary or {}))


@pytest.mark.parametrize(
    ("cards", "reference"),
    [
        ({"MJDREFI": 51910, "MJDREFF": 7.428703703703703e-4}, 51910.00074287037),
        ({"MJDREF": 51543.875}, 51543.875),
        ({"MJDREF": "51543.875"}, 51543.875),
        # Both forms are in IXPE's headers, and one of them is wrong.
        ({"MJDREF": 0.0, "MJDREFI": 57754, "MJDREFF": 8.0074074074e-4}, 57754.00080074074),
        ({"XS-MJDRD": 48043, "XS-MJDRF": 8.797453703700740e-1}, 48043.8797453704),
        ({"MJDREFI": 43508}, 43508.0),
        ({"MJDREFI": 51911, "MJDREFF": -0.999}, 51910.001),
        ({"JDREFI": 2451911, "JDREFF": -0.4990}, 51910.001),
        ({"JDREF": 2451544.375}, 51543.875),
        ({"DATEREF": "2001-01-01T12:00:00"}, 51910.5),
        ({"DATEREF": "2001-01-01"}, 51910.0),
        ({"JDREF": 2451544.375, "DATEREF": "1999-01-01", "MJDREF": 50000.0}, 50000.0),
    ],
)
def test_the_reference_is_read_from_any_of_its_cards(cards, reference):
    for found in (clock_of(TIMESYS="TT", **cards), clock_of(primary={"TIMESYS": "TT", **cards})):
        clock, assumed = found
        assert clock.day + clock.fraction == pytest.approx(reference, abs=5e-11)
        assert assumed == ()


def test_what_is_assumed_is_said():
    clock, assumed = clock_of()
    assert clock.day + clock.fraction == pytest.approx(51544.00074287)
    assert len(assumed) == 2
    assert "MJD 51544.00074287" in assumed[0]
    assert clock_of(MJDREF=5e4, TIMESYS="1993.0")[1] == ("times are Terrestrial Time (TIMESYS is 1993.0)",)


@pytest.mark.parametrize(("system", "scale"), [("TT", "tt"), ("tdb", "tdb"), ("UTC", "utc"), ("TAI", "tai")])
def test_time_systems(system, scale):
    clock, assumed = clock_of(MJDREF=5e4, TIMESYS=system)
    assert (clock.scale, len(assumed)) == (scale, int(scale == "utc"))


def test_dates_keep_nanoseconds():
    clock = Clock(50814, 0.00073, 3.37842941, 1.0, "tt")
    times = np.array([0.0, 2.0e8 + 1e-7, 8.0e8 + 0.123456])
    expected = Time(50814, 0.00073, format="mjd", scale="tt") + TimeDelta(times + 3.37842941, format="sec")
    assert np.abs((clock.date(times) - expected).to_value("ns")).max() < 1


def test_the_zero_is_added_once(real_data):
    events = open_events(real_data / "rxte/xte_se_93087-01-02-11.evt.gz")
    # The header's dates are whole seconds; without TIMEZERO this one would be 3.4 s off.
    start = Time(events.header["DATE-OBS"], scale="tt")
    assert abs((events.clock.date(events.header["TSTART"]) - start).to_value("s")) < 1.0


@pytest.mark.parametrize(
    ("cards", "zero"),
    [
        ({"TIMEZERO": 2.5}, 2.5),
        ({"TIMEZERI": 3, "TIMEZERF": -0.5}, 2.5),
        ({"TIMEZERF": 0.5}, 0.5),
        ({"TIMEOFFS": 4.0, "TIMEZERO": -1.5}, 2.5),
        ({"TIMEZERO": 1.0, "TIMEUNIT": "d"}, 86400.0),
    ],
)
def test_the_zero_is_read_from_any_of_its_cards(cards, zero):
    own = {"MJDREF": 5e4, "TIMESYS": "TT"}
    assert clock_of(**own, **cards)[0].zero == clock_of(primary=own | cards)[0].zero == zero
    clock = clock_of(**own, TIMEZERO=zero)[0]
    events, unit = fits.Header(own | {"TIMEZERO": zero}), {"TIMEUNIT": cards.get("TIMEUNIT", "s")}
    assert compare_clocks(fits.Header(own | cards | unit), clock, events, fits.Header()) == ("", "")
    moved = fits.Header(own | unit | {"TIMEZERI": 7, "TIMEZERF": 0.25})
    assert "another moment" in compare_clocks(moved, clock, events, fits.Header())[0]


@pytest.mark.parametrize("name", LISTS)
def test_events_fall_between_the_dates_of_the_header(real_data, name):
    events = open_events(real_data / LISTS[name].path)
    dates = events.clock.date(np.array([good.ravel()[[0, -1]] for good in events.gtis.values()]))
    begin, end = (Time(events.header[f"DATE-{word}"], scale="tt") for word in ("OBS", "END"))
    # Cut lists keep the dates of the whole; some say UTC, a minute off.
    assert (dates > begin - TimeDelta(70, format="sec")).all()
    assert (dates < end + TimeDelta(70, format="sec")).all()


def test_rosat_s_old_cards_give_the_dates_of_the_header(real_data):
    events = open_events(real_data / "rosat/rosat.evt")
    first = events.clock.date(min(good[0, 0] for good in events.gtis.values())).utc
    assert abs((first - Time("1993-03-08T10:30:32", scale="utc")).to_value("s")) < 30


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({}, 1.0),
        ({"TIMEUNIT": "d"}, 86400.0),
        ({"TUNIT1": "s", "TIMEUNIT": "d"}, 1.0),
        ({"TUNIT1": "Days"}, 86400.0),
        ({"TUNIT1": "furlong"}, None),
    ],
)
def test_units_of_time(cards, expected):
    header = fits.Header({"TFIELDS": 1, "TTYPE1": "Time", **cards})
    if expected is None:
        with pytest.raises(DataError, match="furlong"):
            seconds_per_unit(header, "TIME")
    else:
        assert seconds_per_unit(header, "TIME") == expected


@pytest.mark.parametrize(
    "cards",
    [
        {"MJDREF": -5.0},
        {"MJDREF": 1e300},
        {"MJDREF": "yesterday"},
        {"MJDREFI": 5e4, "MJDREFF": "x"},
        {"DATEREF": "soon"},
    ],
)
def test_a_senseless_reference_is_an_error(cards):
    with pytest.raises(DataError):
        clock_of(TIMESYS="TT", **cards)


@pytest.mark.parametrize("time", [np.nan, np.inf, -1e300])
def test_what_is_not_a_time_has_no_date(time):
    with pytest.raises(DataError) as problem:
        Clock(50814, 0.0, 0.0, 1.0, "tt").date(np.array([0.0, time]))
    assert problem.value.code == "data.time"
