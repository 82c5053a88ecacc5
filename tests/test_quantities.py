"""Quantities: every spelling is one value, and the form that fingerprints hold stays as it is."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daxa.quantities import UNITS, band_text, normalise, read_quantity, read_range


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("100 s", "s", 100.0),
        ("100s", "s", 100.0),
        ("1e2 s", "s", 100.0),
        ("0.1 ks", "s", 100.0),
        (".5 ks", "s", 500.0),
        ("2 min", "s", 120.0),
        ("0.4 count/s", "count/s", 0.4),
        ("0.40 ct/s", "count/s", 0.4),
        ("15 arcmin", "arcmin", 15.0),
        ("0.25deg", "arcmin", 15.0),
        ('30"', "arcmin", 0.5),
        ("0.1 arcmin", "arcsec", pytest.approx(6.0)),
    ],
)
def test_a_quantity(text, unit, value):
    assert read_quantity(text, unit) == value


@pytest.mark.parametrize("text", ["0.5-2 keV", ".5-2keV", "0.50 - 2.0 keV", "500-2000 eV", "5e-1-2e0 keV"])
def test_a_range(text):
    assert read_range(text, "keV") == (0.5, 2.0)


@pytest.mark.parametrize(
    "text",
    [
        *("", "s", "100", "100 keV", "-1 s", "1-2 s", "1 S", "1 s/s", "nan s", "inf s", "1_0 s", "1 s\n", "\u0661 s"),
        *(100, None, True, ["1 s"], "1" * 200 + " s", "1 s; rm"),
    ],
)
def test_what_is_not_a_quantity(text):
    with pytest.raises(ValueError, match=r"."):
        read_quantity(text, "s")


@pytest.mark.parametrize("text", ["2-0.5 keV", "1-1 keV", "0.5 keV", "0.5-2", "0.5-1e400 keV", "-1-2 keV", "1-2 s"])
def test_what_is_not_a_range(text):
    with pytest.raises(ValueError, match=r"."):
        read_range(text, "keV")


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("100 s", "100.0 s"),
        (" 1e2  s ", "100.0 s"),
        ("0.50-2 keV", "0.5-2.0 keV"),
        ("0.5 - 2.0keV", "0.5-2.0 keV"),
        ("1 ks", "1000.0 s"),
        ("1000 s", "1000.0 s"),
        ("2min", "120.0 s"),
        ("0.5 d", "43200.0 s"),
        ("0.40 count/s", "0.4 count/s"),
        (".4 ct/s", "0.4 count/s"),
        (".5-2 keV", "0.5-2.0 keV"),
        ("500-2000 eV", "0.5-2.0 keV"),
        ("700 eV", "0.7 keV"),
        ("0.1 arcmin", "6.0 arcsec"),
        ("6 arcsec", "6.0 arcsec"),
        ("50 %", "50.0 %"),
        ("3 pix", "3.0 pix"),
        ("3 m/s", "3 m/s"),
        ("1e999999999 ks", "inf s"),
        ("1e308 ks", "inf s"),
        ("1e-999999999 ks", "0.0 s"),
        ("lowest", "lowest"),
        ("", ""),
        (3, 3.0),
        (True, True),
        (["3 s", 1, {"a": "2 s"}], ["3.0 s", 1.0, {"a": "2.0 s"}]),
    ],
)
def test_the_form_in_fingerprints(written, kept):
    """Another form would make the products of every archive out of date."""
    assert repr(normalise(written)) == repr(kept)


OF_PARAMETERS = [(unit, name) for unit in ("s", "arcsec", "keV", "count/s") for name in UNITS[unit]]


@given(st.floats(1e-6, 1e6), st.sampled_from(OF_PARAMETERS))
def test_what_is_normalised_means_the_same(number, unit):
    own, name = unit
    text = f"{number!r} {name}"
    assert read_quantity(normalise(text), own) == read_quantity(text, own)
    assert read_quantity(text, own) == float(Fraction(repr(number)) * UNITS[own][name])
    assert normalise(normalise(text)) == normalise(text)


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=2, unique=True))
def test_a_band_is_read_as_it_is_written(edges):
    low, high = (edge / 1000 for edge in sorted(edges))
    shown = read_range(band_text((low, high)), "keV")
    assert shown == pytest.approx((low, high), rel=1e-5)
