"""Recognition of event lists, energy bands, and agreement with the mission declarations."""

from __future__ import annotations

import itertools
import math

import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from daxa.errors import DataError, NotPossible
from daxa.missions import find_mission, mission_names
from daxa.xray.cleaning.screening import STANDARD
from daxa.xray.eventlists.channels import adjacent_ranges, pi_range, realised_kev
from daxa.xray.eventlists.formats import FORMATS, card_number, card_text, recognise, why_not
from daxa.xray.telescopes import imaging_of

FORMS = sorted({form.title: form for form in FORMATS.values()}.items())
ENERGETIC = [(name, form) for name, form in FORMS if form.pi_to_kev]


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
        ("ROSAT", "PSPCB", "PSPCB"),
        ("XTE", "PCA", "PCA"),
        ("RXTE", "PCA", "PCA"),
        ("ASTRO-E2", "XIS0", "XIS0"),
        ("eROSITA", "TM3", "TM3"),
        ("BeppoSAX", "MECS2", "MECS2"),
    ],
)
def test_names_are_recognised_in_any_case(telescope, instrument, expected):
    events = header(TELESCOP=telescope, INSTRUME=instrument)
    assert recognise(fits.Header(), events).instrument == expected
    assert recognise(events, fits.Header()).instrument == expected


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"TELESCOP": "SWIFT", "INSTRUME": "XRT", "DATAMODE": "PHOTON"}, "swift XRT"),
        ({"TELESCOP": "SWIFT", "INSTRUME": "XRT", "DATAMODE": "WINDOWED"}, "swift XRT WT"),
        ({"TELESCOP": "SWIFT", "INSTRUME": "XRT", "DATAMODE": "LOWRATE"}, "swift XRT PD"),
        ({"TELESCOP": "CHANDRA", "INSTRUME": "HRC", "DETNAM": "HRC-S"}, "chandra HRC-S"),
        ({"TELESCOP": "IXPE", "INSTRUME": "GPD", "DETNAM": "DU3"}, "ixpe DU3"),
        ({"TELESCOP": "ROSAT", "INSTRUME": "PSPC", "OBS_MODE": "SCAN"}, "rass PSPC"),
        ({"TELESCOP": "ROSAT", "INSTRUME": "PSPC", "OBS_MODE": "POINTING"}, "rosat PSPC"),
        ({"TELESCOP": "eROSITA", "INSTRUME": "MERGED", "OBS_MODE": "SCAN"}, "erosita_calpv MERGED"),
        ({"TELESCOP": "SRG/eROSITA", "INSTRUME": "MERGED", "OBS_MODE": "SURVEY"}, "erass1 MERGED"),
    ],
)
def test_modes_distinguish_formats(cards, expected):
    assert recognise(fits.Header(), header(**cards)).title == expected


@pytest.mark.parametrize(
    ("telescope", "instrument", "code", "word"),
    [
        ("CHANDRA", "HRC", "impossible.instrument", "mode"),
        ("SWIFT", "XRT", "impossible.instrument", "mode"),
        ("IXPE", "GPD", "impossible.instrument", "mode"),
        ("XMM", "RGS1", "impossible.instrument", "grating"),
        ("XMM", "OM", "impossible.instrument", "optical"),
        ("SWIFT", "BAT", "impossible.instrument", "coded mask"),
        ("SWIFT", "UVOT", "impossible.instrument", "no X-ray"),
        ("INTEGRAL", "SPI", "impossible.instrument", "coded mask"),
        ("MAXI", "GSC_4", "impossible.instrument", "scan"),
        ("SUZAKU", "HXD", "impossible.instrument", "simulated"),
        ("XTE", "HEXTE", "impossible.instrument", "rock"),
        ("ENTERPRISE", "SENSORS", "impossible.instrument", "SENSORS"),
        ("", "", "data.unrecognised", "TELESCOP"),
        ("XMM", "", "data.unrecognised", "INSTRUME"),
    ],
)
def test_others_are_refused_by_name(telescope, instrument, code, word):
    events = header(TELESCOP=telescope, INSTRUME=instrument)
    with pytest.raises((DataError, NotPossible)) as refusal:
        recognise(events, events)
    assert refusal.value.code == code
    assert word in refusal.value.message
    assert refusal.value.remedy


IMAGES = (
    "xmm PN", "chandra ACIS", "chandra HRC-I", "swift XRT", "nustar FPMA", "erass1 MERGED", "rosat PSPC", "rosat HRI",
    "suzaku XIS0", "asca SIS0", "asca GIS2", "xrism XTEND", "ixpe DU1", "einstein IPC",
)  # fmt: skip
NO_IMAGES = ("nicer XTI", "swift XRT WT", "swift XRT PD", "rxte PCA", "xrism RESOLVE", "integral ISGRI", "hitomi SXS")
NO_BANDS = ("rosat HRI", "chandra HRC-I", "chandra HRC-S", "einstein IPC", "rxte PCA", "integral ISGRI")


def test_the_capabilities_are_those_of_the_instruments():
    forms = dict(FORMS)
    assert not any(why_not(forms[name], "image") for name in IMAGES)
    assert all(why_not(forms[name], "image") for name in NO_IMAGES)
    assert all(why_not(forms[name], "energy-band") for name in NO_BANDS)
    for name, form in FORMS:
        assert bool(why_not(form, "energy-band")) == (form.pi_to_kev is None), name


@pytest.mark.parametrize(
    ("key", "cards"),
    [
        (("XMM", "EPN"), {"DATAMODE": "TIMING"}),
        (("XMM", "EMOS1"), {"DATAMODE": "BURST"}),
        (("CHANDRA", "ACIS"), {"READMODE": "CONTINUOUS"}),
        (("SUZAKU", "XIS0"), {"DATAMODE": "TIMING"}),
        (("ASCA", "SIS1"), {"DATAMODE": "FAST"}),
    ],
)
def test_modes_without_images(key, cards):
    assert why_not(FORMATS[key], "image", header(**cards))
    assert why_not(FORMATS[key], "image", fits.Header(), header(**cards))
    assert not why_not(FORMATS[key], "image", header(DATAMODE="IMAGING", READMODE="TIMED"))


SCREENED_BY_THE_ARCHIVE = {
    "rosat": {"PSPC", "PSPCB", "PSPCC", "HRI"},
    "rass": {"PSPC"},
    "asca": {"GIS2", "GIS3"},
    "ixpe": {"DU1", "DU2", "DU3"},
}
"""Instruments whose lists in the archive need no further cut."""


def test_every_processed_instrument_has_a_format_and_screening():
    for form in FORMATS.values():
        assert find_mission(form.mission).name == form.mission
        assert all(rule.source for rule in form.rules)
    for name in mission_names(processed=True):
        spec = find_mission(name)
        lists = {entry.instrument for entry in spec.native_inputs if entry.kind == "events"}
        # An entry without a name is of whichever instrument its list says.
        declared = [one for one in spec.instruments if "" in lists or one.name in lists]
        assert set(spec.default_instruments) <= {one.name for one in declared}
        known = {form.instrument for form in FORMATS.values() if form.mission == name}
        # An instrument that its lists call by other names is known by these.
        called = [known & ({one.name} if one.name in known else set(one.aliases)) for one in declared]
        assert all(called), f"{name}: {[one.name for one in declared]} are processed; there are formats of {known}"
        bare = {instrument for instrument in set().union(*called) if not STANDARD[name, instrument]}
        expected = SCREENED_BY_THE_ARCHIVE.get(name, set())
        assert bare == expected, f"{name}: declare rules, or add those that need none to SCREENED_BY_THE_ARCHIVE"


def test_titles_are_unique():
    assert len({form.title: form for form in FORMATS.values()}) == len(set(FORMATS.values()))


@pytest.mark.parametrize("name", ["xmm", "chandra", "nustar"])
def test_the_named_bands_are_what_the_conversion_gives(name):
    """The declarations were written by hand from the missions' tables; the conversion is a formula."""
    usual = imaging_of(name)
    for form in (form for _, form in ENERGETIC if form.mission == name):
        ranges = adjacent_ranges(form, [(band.lo, band.hi) for band in usual.bands])
        assert ranges == tuple(band.pi for band in usual.bands)
        whole = usual.pixel_of(form.instrument) / form.pixel_arcsec
        assert whole == pytest.approx(round(whole), rel=1e-3)


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


@pytest.mark.parametrize(("name", "form"), ENERGETIC)
@settings(max_examples=20)
@given(data=st.data())
def test_a_band_is_the_channels_whose_energies_it_meets(name, form, data):
    first = data.draw(st.integers(*form.pi_limits))
    last = data.draw(st.integers(first, form.pi_limits[1]))
    lo, hi = realised_kev(form, first, last)
    if lo < hi:
        assert pi_range(form, lo, hi)[:2] == (first, last)


@pytest.mark.parametrize(("name", "form"), ENERGETIC)
@settings(max_examples=20)
@given(data=st.data())
def test_adjacent_bands_share_no_channel_and_lose_none(name, form, data):
    low, high = realised_kev(form, *form.pi_limits)
    tenths = st.integers(math.ceil(low * 10) + 1, min(math.floor(high * 10) - 1, 80))
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
