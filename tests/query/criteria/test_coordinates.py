"""Positions, radii and times as people write them; astropy is the oracle."""

from __future__ import annotations

import json
import math
import tomllib
from datetime import UTC, date, datetime

import astropy.units as u
import numpy as np
import pytest
import tomlkit
from astropy.coordinates import SkyCoord
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from daxa.errors import CriteriaError
from daxa.query.criteria.coordinates import read_names, read_positions, read_radius, write_radius
from daxa.query.criteria.times import read_window, write_window


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("149.591375,-11.0887", (149.591375, -11.0887)),
        ("149.591375 -11.0887", (149.591375, -11.0887)),
        (" 149.591375 , +11 ", (149.591375, 11.0)),
        ("360,-90", (0.0, -90.0)),
    ],
)
def test_positions_in_degrees_are_exact(text, degrees):
    assert read_positions(text) == (degrees,)


@pytest.mark.parametrize(
    "text", ["09:58:21.9,-11:03:50", "09 58 21.9 -11 03 50", "09h58m21.9s -11d03m50s", "09:58:21.9 -11:03:50"]
)
def test_sexagesimal_positions_are_hours_and_degrees(text):
    wanted = SkyCoord("09h58m21.9s", "-11d03m50s")
    ((ra, dec),) = read_positions(text)
    assert SkyCoord(ra * u.deg, dec * u.deg).separation(wanted) < 1e-6 * u.arcsec


def test_small_negative_declinations_keep_their_sign():
    assert read_positions("10:00:00 -00:30:00")[0][1] == pytest.approx(-0.5)


def test_coordinates_of_any_frame_become_icrs():
    crab = SkyCoord(184.5575, -5.7844, unit="deg", frame="galactic")
    ((ra, dec),) = read_positions(crab)
    assert SkyCoord(ra * u.deg, dec * u.deg).separation(SkyCoord("05h34m31.94s", "+22d00m52.2s")) < 5 * u.arcsec
    many = SkyCoord([10, 20], [5, 6], unit="deg")
    assert np.array(read_positions(many)) == pytest.approx(np.array(((10, 5), (20, 6))))


@pytest.mark.parametrize(
    "value",
    [
        [(20, 6), (10, 5)],
        np.array([[10.0, 5.0], [20.0, 6.0]]),
        ["20,6", "10,5"],
        [SkyCoord(10 * u.deg, 5 * u.deg), "20 6", (10, 5)],
        ((10 * u.deg, 5 * u.deg), (1200 * u.arcmin, 6 * u.deg)),
    ],
)
def test_many_positions_are_sorted_and_unique(value):
    assert np.array(read_positions(value)) == pytest.approx(np.array(((10.0, 5.0), (20.0, 6.0))))


@pytest.mark.parametrize(
    "value",
    ["12h", "", "a,b", "1,2,3", "1 2 3", (math.nan, 0), (0, math.inf), (361, 0), (-1, 0), (0, 90.1), "400,0", "10,95",
     [], 5, None, [1, 2, 3], [[1, 2, 3]], (True, False), ["10", "20"], b"10,20", (10 * u.s, 5 * u.deg),
     "9" * 999 + ",1", SkyCoord(np.nan, 0, unit="deg")],
)  # fmt: skip
def test_bad_positions_are_refused_with_a_remedy(value):
    with pytest.raises(CriteriaError) as caught:
        read_positions(value)
    assert caught.value.code == "criteria.position"
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("value", "arcmin"),
    [("15arcmin", 15), ("15 arcmin", 15), ("0.5 deg", 30), ("30 arcsec", 0.5), ("1.5e1'", 15), ("90 deg", 5400),
     (0.25 * u.deg, 15), (30 * u.arcsec, 0.5)],
)  # fmt: skip
def test_radii_carry_their_unit(value, arcmin):
    assert read_radius(value) == pytest.approx(arcmin, rel=1e-15)


@pytest.mark.parametrize(
    "value",
    [15, 15.0, "15", "arcmin", "15 parsec", "-1 deg", "0 arcmin", "nan deg", "inf deg", "1e99 deg", "91 deg", "", None,
     "1.2.3 deg", math.nan * u.deg, 5 * u.s, [1, 2] * u.deg],
)  # fmt: skip
def test_bad_radii_are_refused(value):
    with pytest.raises(CriteriaError) as caught:
        read_radius(value)
    assert caught.value.code == "criteria.radius"
    assert caught.value.remedy


@pytest.mark.parametrize(
    "value",
    ["2004-01-01", "2004-01-01T00:00:00", "2004-01-01T00:00:00Z", "2004-01-01 01:00:00+01:00", date(2004, 1, 1),
     datetime(2004, 1, 1, tzinfo=UTC), datetime(2004, 1, 1), 53005, 53005.0, Time("2004-01-01")],  # noqa: DTZ001
)  # fmt: skip
def test_a_moment_may_be_written_in_many_ways(value):
    assert read_window((value, None)) == (53005.0, None)


@given(moment=st.datetimes(datetime(1960, 1, 1), datetime(2040, 1, 1)))  # noqa: DTZ001
def test_times_agree_with_astropy(moment):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy calls UTC before 1960 and after the last leap second dubious
        wanted = Time(moment, scale="utc").mjd
    # On the day of a leap second astropy's day is a second longer.
    assert read_window((moment.isoformat(), ""))[0] == pytest.approx(wanted, abs=1.1 / 86400)


@pytest.mark.parametrize(
    "value",
    [("2005-01-01", "2004-01-01"), ("2004-01-01", "2004-01-01"), (None, None), ("", ""), "2004-01-01", 53005, (53005,),
     (1, 2), ("2004", None), ("yesterday", None), (math.nan, None), (math.inf, None), (True, None), (2004, 2010),
     ("1850-01-01", None), ([], None)],
)  # fmt: skip
def test_bad_windows_are_refused(value):
    with pytest.raises(CriteriaError) as caught:
        read_window(value)
    assert caught.value.code == "criteria.time"
    assert caught.value.remedy


MJD = st.floats(40000, 70000) | st.integers(40000, 70000).map(float) | st.integers(0, 10**9).map(
    lambda second: 50000 + second / 86400)  # fmt: skip


@given(start=st.none() | MJD, length=st.floats(1e-6, 1e4))
def test_windows_survive_json_and_toml_bit_for_bit(start, length):
    window = (start, None) if start and length > 9e3 else (start, (start or 41000.0) + length)
    plain = write_window(*window)
    assert read_window(json.loads(json.dumps(plain))) == window
    assert read_window(tomllib.loads(tomlkit.dumps({"time": plain}))["time"]) == window


@given(radius=st.floats(1e-6, 5400))
def test_radii_survive_bit_for_bit(radius):
    assert read_radius(write_radius(radius)) == radius


@given(ra=st.floats(0, 360, exclude_max=True), dec=st.floats(-90, 90))
def test_positions_survive_bit_for_bit(ra, dec):
    positions = read_positions([(ra, dec)])
    assert positions == ((ra, dec),)
    assert read_positions(json.loads(json.dumps([list(pair) for pair in positions]))) == positions
    assert read_positions(tomllib.loads(tomlkit.dumps({"p": [list(pair) for pair in positions]}))["p"]) == positions


def test_names_are_sorted_and_tidied():
    assert read_names(["M 87", "Abell  907 ", "M 87"]) == ("Abell 907", "M 87")
    assert read_names("Sgr A*") == ("Sgr A*",)


@pytest.mark.parametrize("value", ["", "  ", [], ["M 87", ""], 5, [None], "a\nb", "a\x1b[2J", "x" * 101, None])
def test_bad_names_are_refused(value):
    with pytest.raises(CriteriaError) as caught:
        read_names(value)
    assert caught.value.code == "criteria.target"
