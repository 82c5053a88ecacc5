"""Own expressions over columns: read by a grammar of our own, the same events as CFITSIO, recorded in the header."""

from __future__ import annotations

from dataclasses import replace

import fitsio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daxa.errors import NotPossible
from daxa.xray.cleaning.cleaned import write_clean_events
from daxa.xray.cleaning.cut import Cut, select
from daxa.xray.cleaning.ownscreening import (
    OwnScreening,
    own_cards,
    own_rules,
    placing_columns,
    read_own,
    read_values,
    recorded_rules,
)
from daxa.xray.cleaning.screening import screening_for
from daxa.xray.cleaning.subspace import read_subspace, subspace_mask
from daxa.xray.eventlists.expression import bind_expression, parse_expression
from daxa.xray.eventlists.opening import open_events
from daxa.xray.eventlists.rules import rules_cfitsio, rules_expression, rules_mask, rules_text
from tests.xray.madelists import make_list
from tests.xray.reallists import LISTS, with_rows


@pytest.fixture(scope="module")
def mos(real_data):
    return open_events(real_data / LISTS["xmm-0404910601-m1"].path)


@pytest.fixture(scope="module")
def acis(real_data):
    return open_events(real_data / LISTS["chandra-18461"].path)


GOOD = {
    "PI > 500": lambda r: r["PI"] > 500,
    "PI>=500&&PI<2000.5": lambda r: (r["PI"] >= 500) & (r["PI"] <= 2000),
    "PI in [500:2000]": lambda r: (r["PI"] >= 500) & (r["PI"] <= 2000),
    "PI in [:700] || PI in [9000:]": lambda r: (r["PI"] <= 700) | (r["PI"] >= 9000),
    "PATTERN in (0, 1, 3) && PI != 1000": lambda r: np.isin(r["PATTERN"], (0, 1, 3)) & (r["PI"] != 1000),
    "(FLAG & 0x21) == 0": lambda r: (r["FLAG"] & 0x21) == 0,
    "(RAWX & 3) != 0": lambda r: (r["RAWX"] & 3) != 0,
    "(RAWX & 3) == 3": lambda r: (r["RAWX"] & 3) == 3,
    "(RAWX & 3) != 3 && RAWY > 12": lambda r: ((r["RAWX"] & 3) != 3) & (r["RAWY"] > 12),
    "((PI < 800 && PATTERN == 0) || (PI >= 800 && pattern <= 4)) && (RAWY > 100 || RAWX < 300)": lambda r: (
        (((r["PI"] < 800) & (r["PATTERN"] == 0)) | ((r["PI"] >= 800) & (r["PATTERN"] <= 4)))
        & ((r["RAWY"] > 100) | (r["RAWX"] < 300))
    ),
    "PHA > -1e3": lambda r: r["PHA"] > -1000,
}


@pytest.mark.parametrize("text", GOOD)
def test_the_events_are_those_that_numpy_and_cfitsio_keep(mos, text):
    rules = bind_expression(parse_expression(text), mos)
    kept = rules_mask(rules, mos.rows)
    assert np.array_equal(kept, GOOD[text](mos.rows))
    assert 0 < kept.sum() <= len(kept)
    with fitsio.FITS(str(mos.path)) as source:
        # CFITSIO reads the words of our rules, and where they are the same its own.
        for words in (rules_cfitsio(rules), text if " in " not in text else ""):
            if words:
                assert np.array_equal(source["EVENTS"].where(words), np.flatnonzero(kept))


def test_real_columns_are_compared_with_the_numbers_that_they_can_hold(acis):
    rows = acis.rows.copy()
    rows["energy"][:3] = 0.1, 0.7, -1e18
    acis, energy = replace(acis, rows=rows), rows["energy"]
    value = float(energy[100])
    # In four bytes 0.1 is more than in eight, and 0.7 is less.
    for number in ("0.1", "0.7", "-1e18"):
        single = np.float32(number)
        for text, expected in (
            (f"energy == {number}", energy == single),
            (f"energy <= {number}", energy <= single),
            (f"energy < {number}", energy < single),
            (f"energy >= {number}", energy >= single),
            (f"energy in [:{number}] || ccd_id == 6", (energy <= single) | (rows["ccd_id"] == 6)),
        ):
            assert np.array_equal(rules_mask(bind_expression(parse_expression(text), acis), rows), expected), text
    for text, expected in (
        (f"energy > {value!r}", energy > value),
        (f"energy >= {value!r}", energy >= value),
        (f"energy == {value!r}", energy == value),
        (f"energy < {value!r} && ccd_id == 6", (energy < value) & (acis.rows["ccd_id"] == 6)),
    ):
        rules = bind_expression(parse_expression(text), acis)
        assert np.array_equal(rules_mask(rules, acis.rows), expected)


def test_bit_columns_are_tested_by_bits(real_data):
    events = open_events(real_data / LISTS["nustar-30101031002"].path)
    (rule,) = bind_expression(parse_expression("(STATUS & 0x8) == 0"), events)
    assert rule.bits == 16
    assert rules_cfitsio([rule]) == "(STATUS == bxxxxxxxxxxxx0xxx)"
    with pytest.raises(NotPossible, match="test its bits"):
        bind_expression(parse_expression("STATUS == 0"), events)


def test_a_null_fulfils_nothing(mos):
    rows = mos.rows.copy()
    number = rows.dtype.names.index("PI") + 1
    header = mos.header.copy()
    header[f"TNULL{number}"] = -5
    rows["PI"][:10] = -5
    events = replace(mos, rows=rows, header=header)
    for text in ("PI < 100000", "PI != 3"):
        assert not rules_mask(bind_expression(parse_expression(text), events), rows)[:10].any()


@pytest.mark.parametrize(
    "text",
    [
        "", "PI", "PI >", "PI > 5 &&", "PI > 5 PI < 3", "PI in [1:2", "PI in ()", "PI in [a:b]", "5 < PI", "(PI > 5",
        "PI = 5", "PI > 5; import os", "__import__('os').system('id')", "PI > PI", "f(PI) > 3", "(PI & 3) == 1",
        "(PI & 0) == 0", "(PI & 1.5) == 0", "PI > 1e999", "PI > 5 | PI < 3", "(" * 50 + "PI > 5" + ")" * 50,
        " || ".join(["PI > 5"] * 40), "&& ".join(["(A > 1 || A < 0)"] * 8), "PI > 5" + " " * 2000, "PI\x00 > 5",
        "ΠI > 5", "PI > ٣", "TIME.real > 1", "lambda: 1", "PI > 0x", "PI in [5:3:2]", "PI > 99999999999999999999999",
    ],
)  # fmt: skip
def test_what_is_not_an_expression_is_refused(text):
    with pytest.raises(ValueError, match=r"[a-z]"):
        parse_expression(text)


@given(st.text(alphabet="PIFLAG &|()[]:,<>=!0123456789.xein\n'", max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_text_is_an_expression_or_refused(text):
    try:
        found = parse_expression(text)
    except ValueError:
        return
    assert found.ways
    assert parse_expression(found.text).ways == found.ways


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ENERGY > 5", "no column ENERGY"),
        ("PATERN < 5", "did you mean PATTERN"),
        ("PI > 5 && PI < 3", "no value of PI"),
        ("PI == 5.5", "no value of PI"),
        ("FLAG == 0xffffffff", "no value of FLAG"),
        ("PATTERN < 0 || PI < -40000", "no value of PATTERN"),
        ("(FLAG & 0x100000000) == 0", "has no 33 bits"),
        ("((FLAG & 1) == 0 && FLAG < 9) || PI > 3", "cannot distinguish"),
    ],
)
def test_what_the_list_does_not_have_is_said(mos, text, said):
    with pytest.raises(NotPossible, match=said) as problem:
        bind_expression(parse_expression(text), mos)
    assert mos.obs_id in problem.value.message
    assert "PATTERN" in problem.value.remedy


OWN = {
    "patterns": OwnScreening(patterns="0,2-4"),
    "word": OwnScreening(flags="word"),
    "mask": OwnScreening(flags="0x10000"),
    "no flags": OwnScreening(flags="none"),
    "energy": OwnScreening(channels=(700, 5000)),
    "expression": OwnScreening(expression="(PI < 800 && PATTERN == 0) || (PI >= 800 && RAWX > 20)"),
    "all": OwnScreening(False, "0", "0x1", "PI > 600 && (RAWX & 1) == 0", (500, 9000)),
}


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("which", ["mos", "acis"])
def test_header_and_subspace_record_the_own_screening(request, tmp_path, which, name):
    events, own = request.getfixturevalue(which), OWN[name]
    if which == "acis" and ("RAWX" in own.expression or own.channels or name == "word"):
        own = OwnScreening(expression="(pi < 80 && grade == 0) || (pi >= 80 && chipx > 20)", channels=(30, 500))
    rows = events.rows.copy()
    rng = np.random.default_rng(3)
    grade = "PATTERN" if which == "mos" else "grade"
    flag = "FLAG" if which == "mos" else "status"
    rows[grade][::3] = rng.integers(0, 8, len(rows[::3]))
    rows[flag][::5] = rng.choice([0, 1, 0x10, 0x10000], len(rows[::5]))
    source = tmp_path / "dirty.fits"
    events = open_events(with_rows(events.path, source, rows))
    cut = Cut(own_rules(events, own), events.gtis)
    count = write_clean_events(tmp_path / "clean.fits", events, cut, own_cards(own))
    clean = open_events(tmp_path / "clean.fits")
    assert 0 < count <= len(events.rows)
    assert read_own(clean.header) == own
    assert recorded_rules(clean) == cut.rules
    assert rules_text(cut.rules) == clean.header["SCREENIN"]
    # The cards alone reproduce the selection from the list before.
    told = subspace_mask(read_subspace(clean.header), events.rows, clean.tables)
    before = subspace_mask(read_subspace(events.header), events.rows, events.tables)
    assert np.array_equal(told, select(events, cut, events.rows) & before)
    # Cleaning what was cleaned changes nothing.
    write_clean_events(tmp_path / "again.fits", clean, Cut(recorded_rules(clean), clean.gtis), own_cards(own))
    assert (tmp_path / "again.fits").read_bytes() == (tmp_path / "clean.fits").read_bytes()
    assert replace(own, standard=True).is_own


def test_no_request_is_the_standard_screening(mos):
    assert own_rules(mos, OwnScreening()) == screening_for(mos)
    assert own_rules(mos, OwnScreening(False)) == ()
    assert own_cards(OwnScreening()) == {"SCREENED": ("standard", "event screening")}
    assert own_cards(OwnScreening(False)) == {"SCREENED": ("none", "event screening")}
    word = own_rules(mos, OwnScreening(flags="word"))
    assert [rule.op for rule in word if rule.column == "FLAG"] == ["bits_clear"]


def test_a_flag_word_of_several_rules_is_kept_whole(tmp_path):
    """NICER's: the slow chain triggered, and nothing else did."""
    events = open_events(make_list("nicer", tmp_path / "nicer.fits", count=500))
    standard = [rule for rule in screening_for(events) if rule.column == "EVENT_FLAGS"]
    word = own_rules(events, OwnScreening(False, flags="word"))
    assert list(word) == standard
    assert {rule.op for rule in word} == {"bits_set", "bits_clear"}


@pytest.mark.parametrize(
    ("name", "mask"),
    [("nicer", "0x100"), ("swift-pc", "0x10000"), ("xrism-resolve", "0x1ffff"), ("xrism-xtend", "0x1")],
)
def test_a_mask_of_bits_that_the_column_does_not_have_is_refused(tmp_path, name, mask):
    events = open_events(make_list(name, tmp_path / "made.fits", count=50))
    with pytest.raises(NotPossible, match=f"clean.flags cannot be {mask}"):
        own_rules(events, OwnScreening(flags=mask))
    if name != "xrism-xtend":
        assert own_rules(events, OwnScreening(flags="0x80"))


def test_tools_get_their_own_expressions(mos, acis):
    rules = bind_expression(parse_expression("PI in [500:2000] && RAWX != 7"), mos)
    told = "(PI in [500:2000]) && ((RAWX in [:6]) || (RAWX in [8:]))"
    assert rules_expression(rules, "sas").replace("((PI in [500:2000]))", "(PI in [500:2000])") == told
    rules = bind_expression(parse_expression("pi >= 35 && pi != 40"), acis)
    assert rules_expression(rules, "ciao") == "[pi=35:39,41:]"


@pytest.mark.parametrize("text", ["TIME > 5", "CCDNR == 3"])
def test_times_and_chips_are_not_cut_by_expressions(mos, text):
    with pytest.raises(NotPossible, match="exposure maps would not account"):
        own_rules(mos, OwnScreening(expression=text))


def test_an_instrument_without_grades_refuses_them(real_data):
    events = open_events(real_data / "rosat/rosat.evt")
    for own in (OwnScreening(patterns="0"), OwnScreening(flags="0x1")):
        with pytest.raises(NotPossible, match=r"ROSAT|rosat"):
            own_rules(events, own)


@pytest.mark.parametrize("text", ["a", "1-", "3-1", "1,,2", "-1", "5000", "0x3"])
def test_what_are_not_values_is_refused(text):
    with pytest.raises(ValueError, match="ranges"):
        read_values(text)


@pytest.mark.parametrize(
    ("cards", "null"), [({"TNULL": -32768, "TZERO": 32768}, 0), ({"TNULL": 700}, 700), ({}, -32768)]
)
def test_a_null_channel_passes_neither_an_expression_nor_a_cut_of_energy(mos, cards, null):
    """Whatever number stands for it: scaled as its column is, or HEASoft's where the header names none."""
    rows, header = mos.rows.copy(), mos.header.copy()
    number = rows.dtype.names.index("PI") + 1
    header.update({f"{word}{number}": value for word, value in cards.items()})
    rows["PI"][:10] = null
    rows["PI"][10:20] = 701
    events = replace(mos, rows=rows, header=header)
    assert events.null_channel == null
    bits = OwnScreening(expression="(PI & 0x2) == 0")
    for own in (OwnScreening(expression="PI < 20000"), OwnScreening(channels=(0, 15000)), bits):
        rules = [rule for rule in own_rules(events, own) if rule.column == "PI"]
        kept = rules_mask(rules, rows)
        assert not kept[:10].any()
        assert kept[10:20].all()


def test_exposures_say_that_they_do_not_know_of_cuts_by_place_or_moment():
    """Columns of the real lists at hand, and those that are neither place nor moment."""
    blind = ["RAWX", "CHIPY", "TDETX", "DETY", "DET1X", "X", "DX", "ACTX", "FOCY", "TG_R",
             "SEGMENT", "NODE_ID", "DET_ID", "PIXEL",
             "EXPNO", "S_TIME", "AEDATE", "EXPOSURE_SEQ_NO", "TICK", "PULSE_PHASE"]  # fmt: skip
    for name in blind:
        assert placing_columns(OwnScreening(expression=f"{name} > 1 && PI > 1")) == (name,)
    for name in ("PI", "PHA", "GRADE", "STATUS", "Q", "U", "W_MOM", "RISE_TIME", "DEADTIME", "PI_RATIO", "SHIELD"):
        assert not placing_columns(OwnScreening(expression=f"{name} > 1"))
