"""Recognition of event lists, energy bands, and agreement with the mission declarations."""

from __future__ import annotations

import itertools

import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from daxa.errors import DataError, NotPossible
from daxa.missions import find_mission
from daxa.xray.bands import adjacent_ranges, pi_range, realised_kev
from daxa.xray.formats import FORMATS, card_number, card_text, recognise
from daxa.xray.screening import STANDARD

FORMS = sorted({form.mission + " " + form.instrument: form for form in FORMATS.values()}.items())


def header(**cards) -> fits.Header:
    return fits.Header(cards)


@pytest.mark.parametrize(
    ("telescope", "instrument", "expected"),
    [
        ("XMM", "EMOS1", "M1"),
        ("xmm", "epn", "PN"),
        ("CHANDRA", "ACIS", "ACIS"),
        ("AXAF", "ACIS", "ACIS"),
        ("NuSTAR", "FPMB", "FPMB"),
        ("NUSTAR ", "FPMA", "FPMA"),
    ],
)
def test_names_are_recognised_in_any_case(telescope, instrument, expected):
    events = header(TELESCOP=telescope, INSTRUME=instrument)
    assert recognise(fits.Header(), events).instrument == expected
    assert recognise(events, fits.Header()).instrument == expected


@pytest.mark.parametrize(
    ("telescope", "instrument", "code"),
    [
        ("CHANDRA", "HRC", "impossible.instrument"),
        ("ROSAT", "PSPCB", "impossible.instrument"),
        ("XMM", "RGS1", "impossible.instrument"),
        ("", "", "data.unrecognised"),
        ("XMM", "", "data.unrecognised"),
    ],
)
def test_others_are_refused_by_name(telescope, instrument, code):
    events = header(TELESCOP=telescope, INSTRUME=instrument)
    with pytest.raises((DataError, NotPossible)) as refusal:
        recognise(events, events)
    assert refusal.value.code == code


def test_every_instrument_of_the_missions_has_a_format_and_screening():
    for form in FORMATS.values():
        assert find_mission(form.mission).find_instrument(form.instrument).name == form.instrument
        assert (form.mission, form.instrument) in STANDARD
    declared = {(name, one.name) for name in ("xmm", "chandra", "nustar") for one in find_mission(name).instruments}
    assert declared == {(form.mission, form.instrument) for form in FORMATS.values()}


@pytest.mark.parametrize("name", ["xmm", "chandra", "nustar"])
def test_the_named_bands_are_what_the_conversion_gives(name):
    """The declarations were written by hand from the missions' tables; the conversion is a formula."""
    spec = find_mission(name)
    for form in (form for form in FORMATS.values() if form.mission == name):
        ranges = adjacent_ranges(form, [(band.lo, band.hi) for band in spec.bands])
        assert ranges == tuple(band.pi for band in spec.bands)
        assert find_mission(name).image_pixel / form.pixel_arcsec == pytest.approx(
            round(find_mission(name).image_pixel / form.pixel_arcsec), rel=1e-3
        )


def test_bands_that_sas_makes_share_their_edge():
    mos = FORMATS["XMM", "EMOS1"]
    assert adjacent_ranges(mos, [(2.0, 10.0), (0.5, 2.0)], edges="sas") == ((2000, 10000), (500, 2000))


def test_a_named_band_wins():
    assert pi_range(FORMATS["XMM", "EMOS2"], 2.0, 10.0, pi=(2001, 10000)) == (2001, 10000, 2.001, 10.0)


def test_nustar_whole_band_is_the_standard_one():
    assert pi_range(FORMATS["NUSTAR", "FPMA"], 3.0, 78.0)[:2] == (35, 1909)


@pytest.mark.parametrize(
    ("lo", "hi"), [(2.0, 2.0), (3.0, 1.0), (float("nan"), 2.0), (0.5, float("inf")), (500.0, 600.0)]
)
@pytest.mark.parametrize(("name", "form"), FORMS)
def test_impossible_bands_are_refused(name, form, lo, hi):
    with pytest.raises(NotPossible) as refusal:
        pi_range(form, lo, hi)
    assert refusal.value.code == "impossible.energy-band"
    assert name.split()[1] in refusal.value.message


@pytest.mark.parametrize(("name", "form"), FORMS)
@given(data=st.data())
def test_a_band_is_the_channels_whose_energies_it_meets(name, form, data):
    first = data.draw(st.integers(*form.pi_limits))
    last = data.draw(st.integers(first, form.pi_limits[1]))
    lo, hi = realised_kev(form, first, last)
    if lo < hi:
        assert pi_range(form, lo, hi)[:2] == (first, last)


@pytest.mark.parametrize(("name", "form"), FORMS)
@given(data=st.data())
def test_adjacent_bands_share_no_channel_and_lose_none(name, form, data):
    tenths = st.integers(20, 80)
    edges = sorted(data.draw(st.sets(tenths, min_size=2, max_size=5)))
    bands = [(low / 10, high / 10) for low, high in itertools.pairwise(edges)]
    ranges = adjacent_ranges(form, bands)
    whole = pi_range(form, edges[0] / 10, edges[-1] / 10)[:2]
    assert [channel for first, last in ranges for channel in range(first, last + 1)] == list(
        range(whole[0], whole[1] + 1)
    )


@pytest.mark.parametrize(("value", "number"), [("0.0", 0.0), ("1.5E2 ", 150.0), (3, 3.0), (True, None), ("x", None)])
def test_cards_written_as_text_are_numbers(value, number):
    card = header(TCRVL1=value)
    if number is None:
        with pytest.raises(DataError):
            card_number(card, "TCRVL1")
    else:
        assert card_number(card, "TCRVL1", 9.0) == number


def test_absent_and_undefined_cards():
    card = header(A=None)
    assert card_text(card, "A", "none") == card_text(card, "B", "none") == "none"
    assert card_number(card, "B", 2.0) == 2.0
    with pytest.raises(DataError):
        card_number(card, "B")


def test_a_card_that_cannot_be_parsed_is_an_error():
    broken = fits.Header.fromstring("TELESCOP= 'XMM" + " " * 66)
    with pytest.raises(DataError) as problem:
        recognise(broken, broken)
    assert problem.value.code == "data.card"
