"""Screening rules: each rendering against another, pn on rows made from MOS lists."""

from __future__ import annotations

import re

import numpy as np
import pytest
from astropy.io import fits

from daxa.errors import DataError, NotPossible
from daxa.xray.cleaning.cut import select, standard_cut
from daxa.xray.cleaning.screening import (
    STANDARD,
    Either,
    Rule,
    rules_cfitsio,
    rules_expression,
    rules_mask,
    rules_text,
    screening_for,
)
from daxa.xray.eventlists.fits_tables import read_tables
from daxa.xray.eventlists.formats import FORMATS
from daxa.xray.eventlists.opening import open_events
from tests.xray.madelists import MADE, make_list
from tests.xray.reallists import LISTS, with_rows

GRADED = [("GRADE", ">i2"), ("STATUS", ">i4")]


@pytest.fixture
def as_pn(real_data, tmp_path):
    """A MOS list that says it is of the pn, with patterns 0 to 31 and every single flag bit."""
    source = real_data / LISTS["xmm-0404910601-m1"].path
    content = source.read_bytes()
    content = content.replace(b"INSTRUME= 'EMOS1   '", b"INSTRUME= 'EPN     '")
    content = content.replace(b"XMMEA_EM= '(FLAG & 0x766ba000) == 0'", b"XMMEA_EP= '(FLAG & 0xcfa0000) == 0' ")
    renamed = tmp_path / "renamed.fits"
    renamed.write_bytes(content)
    rows = np.array(open_events(renamed).rows[:320])
    rows["PATTERN"] = np.arange(320) % 32
    rows["FLAG"][160:] = 0
    rows["FLAG"][:160] = np.array([1 << (n % 32) for n in range(160)], dtype=np.uint32).view(np.int32)
    return open_events(with_rows(renamed, tmp_path / "pn.fits", rows))


def test_pn_keeps_singles_and_doubles_without_flags(as_pn):
    assert as_pn.format.instrument == "PN"
    rules = screening_for(as_pn)
    assert rules[0].value == 0x0CFA0000
    assert "XMMEA_EP" in rules[0].source
    kept = rules_mask(rules, as_pn.rows)
    assert kept.sum() == 25
    assert set(as_pn.rows["PATTERN"][kept]) == {0, 1, 2, 3, 4}
    assert select(as_pn, standard_cut(as_pn), as_pn.rows).sum() == 25


def test_the_pn_flag_word_alone_keeps_out_its_bits(as_pn):
    word = screening_for(as_pn)[:1]
    flags = as_pn.rows["FLAG"].astype(np.int64) & 0xFFFFFFFF
    bits = {16 + k for k in (1, 3, 4, 5, 6, 7)} | {26, 27}
    expected = [not any(int(flag) >> bit & 1 for bit in bits) for flag in flags]
    assert rules_mask(word, as_pn.rows).tolist() == expected


def test_cfitsio_keeps_the_same_rows(as_pn, real_data):
    fitsio = pytest.importorskip("fitsio")
    for events in (as_pn, *(open_events(real_data / entry.path) for entry in LISTS.values())):
        rules = screening_for(events)
        for some in ((), *([rule] for rule in rules), rules):
            with fitsio.FITS(f"{events.path}[EVENTS][{rules_cfitsio(some)}]") as filtered:
                assert filtered["EVENTS"].get_nrows() == rules_mask(some, events.rows).sum()


def test_declared_flag_words_win(real_data):
    events = open_events(real_data / LISTS["xmm-0404910601-m2"].path)
    rule = screening_for(events)[0]
    assert (rule.value, rule.source) == (0x766BA000, "XMMEA_EM of the event list")
    del events.header["XMMEA_EM"]
    assert screening_for(events) == STANDARD["xmm", "M2"]
    events.header["XMMEA_EM"] = "(FLAG & 0x10000) == 0"
    assert screening_for(events)[0].value == 0x10000


@pytest.mark.parametrize("text", ["(FLAG & 0xzz) == 0", "(FLAG & 0x766ba000) != 0", "T", "(FLAG & 0x1766ba0000) == 0"])
def test_an_unreadable_flag_word_is_an_error(real_data, text):
    events = open_events(real_data / LISTS["xmm-0404910601-m2"].path)
    events.header["XMMEA_EM"] = text
    with pytest.raises(DataError) as problem:
        screening_for(events)
    assert problem.value.code == "data.screening"


def test_the_nustar_mask_is_the_expression_of_nuscreen():
    rule = next(rule for rule in STANDARD["nustar", "FPMA"] if rule.column == "STATUS")
    pattern = re.search("b[01x]+", rules_cfitsio([rule]))[0]
    assert pattern == "b000000000x0xx000"


def test_bit_columns_count_from_the_first_bit(real_data):
    """Astropy reads the bits of a column one by one; ours are an integer."""
    from astropy.io import fits

    for name, column in (("nustar-30101031002", "STATUS"), ("chandra-18461", "status")):
        events = open_events(real_data / LISTS[name].path)
        with fits.open(events.path) as units:
            bits = np.asarray(units["EVENTS"].data[column])[:500]
        ours = events.column(column)[:500].astype(np.uint64)
        width = bits.shape[1]
        weights = np.array([1 << (width - 1 - place) for place in range(width)], dtype=np.uint64)
        assert np.array_equal((bits * weights).sum(axis=1), ours)


def test_text_says_every_rule():
    assert rules_text(STANDARD["chandra", "ACIS"]) == "grade in (0,2,3,4,6) && (status & 0xffffffff) == 0"
    assert rules_text(()) == "none"


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (Rule("ABSENT", "equal", 0, ""), "data.column"),
        (Rule("TIME", "equal", 0, ""), "data.column-type"),
        (Rule("FLAG", "bits_clear", 1, "", bits=16), "data.column-type"),
    ],
)
def test_a_rule_on_a_column_of_another_kind_is_an_error(real_data, rule, code):
    events = open_events(real_data / LISTS["xmm-0404910601-m1"].path)
    with pytest.raises(DataError) as problem:
        rules_mask([rule], events.rows)
    assert problem.value.code == code


def test_the_identity_of_a_cut_follows_what_counts(real_data):
    events = open_events(real_data / LISTS["xmm-0404910601-m1"].path)
    cut = standard_cut(events, pi=(500, 2000))
    assert cut.identity == standard_cut(open_events(events.path), pi=(500, 2000)).identity
    shorter = {chip: good[:-1] for chip, good in events.gtis.items()}
    others = [standard_cut(events), type(cut)(cut.rules[:1], cut.gtis, cut.pi), type(cut)(cut.rules, shorter, cut.pi)]
    assert len({cut.identity, *(other.identity for other in others)}) == 4


@pytest.mark.parametrize("key", STANDARD, ids="-".join)
def test_the_mission_s_tool_has_words_for_every_standard_rule(key):
    form = next(form for form in FORMATS.values() if (form.mission, form.instrument) == key[:2])
    assert isinstance(rules_expression(STANDARD[key], form.dialect), str)


@pytest.mark.parametrize(
    ("key", "expression"),
    [
        (("xmm", "M1"), "((FLAG & 0x766ba000) == 0) && (PATTERN in [0:12]) && (FLAG == 0)"),
        (("chandra", "HRC-I"), "[status=xxxxxx00xxxx0xxx00000000x0000000]"),
        (("chandra", "HRC-S"), "[status=xxxxxx00xxxx0xxx0000x000x00000xx]"),
        (("erass1", "MERGED"), "flag=0xc00fff30 pattern=15"),
        (("nustar", "FPMB"), "(STATUS == b000000000x0xx000) && (SHIELD == 0) && (GRADE >= 0 && GRADE <= 26)"),
        (("swift", "XRT", "WT"), "(GRADE >= 0 && GRADE <= 2) && (STATUS == b0000000000000000)"),
        (("nicer", "XTI"), "(EVENT_FLAGS == bxxx1xxxx) && (EVENT_FLAGS == bxxxxx000) && (PI >= 20 && PI <= 1500)"),
    ],
)
def test_expressions_are_those_that_the_missions_publish(key, expression):
    form = next(form for form in FORMATS.values() if (form.mission, form.instrument) == key[:2])
    assert rules_expression(STANDARD[key], form.dialect) == expression


_SAS_IN = re.compile(r"(\w+) in \[(\d+):(\d+)\]")


def _sas_value(expression: str, row: np.ndarray) -> bool:
    """An evselect expression of comparisons, by another route: as Python, one row at a time."""
    text = _SAS_IN.sub(r"(\2 <= \1 <= \3)", expression).replace("&&", "and")
    names = {name: int(row[name]) & 0xFFFFFFFF for name in ("FLAG", "PATTERN")}
    return bool(eval(text, {"__builtins__": {}}, names))  # noqa: S307 - our own text


def test_the_sas_expression_keeps_the_rows_that_numpy_keeps(as_pn):
    expression = rules_expression(screening_for(as_pn), "sas")
    assert rules_mask(screening_for(as_pn), as_pn.rows).tolist() == [_sas_value(expression, row) for row in as_pn.rows]


def test_the_ciao_filter_keeps_the_rows_that_numpy_keeps(tmp_path):
    events = open_events(make_list("chandra-hrc-s", tmp_path / "made.fits"))
    pattern = re.fullmatch(r"\[status=([01x]{32})\]", rules_expression(screening_for(events), "ciao"))[1]
    kept = [
        all(sign in {"x", bit} for sign, bit in zip(pattern, f"{status:032b}", strict=True))
        for status in events.column("status").tolist()
    ]
    assert 100 < sum(kept) < len(kept)
    assert rules_mask(screening_for(events), events.rows).tolist() == kept


def test_the_esass_mask_is_the_one_of_the_recipes(tmp_path):
    events = open_events(make_list("erosita-scan", tmp_path / "made.fits"))
    kept = (events.column("FLAG").astype(np.int64) & 0xC00FFF30 == 0) & np.isin(events.column("PAT_TYP"), [1, 2, 3, 4])
    assert np.array_equal(rules_mask(screening_for(events), events.rows), kept)


@pytest.mark.parametrize("name", MADE)
def test_each_rule_alone_keeps_the_rows_of_cfitsio(tmp_path, name):
    fitsio = pytest.importorskip("fitsio")
    events = open_events(make_list(name, tmp_path / "made.fits"))
    for rule in screening_for(events):
        with fitsio.FITS(f"{events.path}[{MADE[name].table}][{rules_cfitsio([rule])}]") as filtered:
            kept = next(unit for unit in filtered if unit.get_extname() == MADE[name].table).get_nrows()
        assert kept == rules_mask([rule], events.rows).sum(), rule
        assert rules_text([rule])


@pytest.mark.parametrize(
    "rule",
    [
        Rule("A", "in", (1, 3, 250), ""),
        Rule("A", "not_in", (1, 3), ""),
        Rule("A", "within", (3, 9), ""),
        Rule("A", "bits_set", 0b101, ""),
        Rule("S", "bits_set", 0b101, "", bits=16),
        Rule("S", "places_clear", (1, 9, 16), ""),
        Rule("W", "places_clear", (1, 24), ""),
        Rule("A", "within", (10, 60), "", plus=("B", 0.125)),
        Either(
            ((Rule("A", "equal", 3, ""),), (Rule("A", "between", (5, 200), ""), Rule("B", "between", (0, 200), ""))), ""
        ),
    ],
)
def test_every_kind_of_rule_is_cfitsio_s(tmp_path, rule):
    from astropy.io import fits

    fitsio = pytest.importorskip("fitsio")
    random = np.random.default_rng(5)
    few = random.integers(0, 2, (500, 16)) * random.integers(0, 2, (500, 1))
    columns = [
        fits.Column("A", "B", array=random.integers(0, 256, 500) % random.integers(1, 256, 500)),
        fits.Column("B", "I", array=random.integers(-300, 300, 500)),
        fits.Column("S", "16X", array=few.astype(bool)),
        fits.Column("W", "24X", array=random.integers(0, 2, (500, 24)).astype(bool)),
    ]
    fits.BinTableHDU.from_columns(columns, name="EVENTS").writeto(tmp_path / "rows.fits")
    (table,) = read_tables(tmp_path / "rows.fits")[1]
    kept = rules_mask([rule], table.rows())
    assert 0 < kept.sum() < 500
    with fitsio.FITS(f"{tmp_path / 'rows.fits'}[EVENTS][{rules_cfitsio([rule])}]") as filtered:
        assert filtered["EVENTS"].get_nrows() == kept.sum()


@pytest.mark.parametrize(
    ("rule", "dialect"),
    [
        (Rule("A", "not_in", (1,), ""), "sas"),
        (Rule("A", "within", (1, 2), ""), "ciao"),
        (Rule("PATTERN", "between", (0, 4), ""), "esass"),
        (Either(((Rule("A", "equal", 1, ""),),), ""), "sas"),
    ],
)
def test_what_a_tool_cannot_say_is_refused(rule, dialect):
    with pytest.raises(NotPossible) as problem:
        rules_expression([rule], dialect)
    assert problem.value.code == "impossible.expression"


def test_p_sum_lists_of_suzaku_have_grades_of_their_own(tmp_path):
    """Sums of columns have other grades than 3x3 and 5x5 pixels: 0, 1 and 2."""
    path = make_list("suzaku-xis1", tmp_path / "psum.fits", count=200)
    assert rules_mask(screening_for(open_events(path)), np.array([(1, 0)], dtype=GRADED)).tolist() == [False]
    fits.setval(path, "DATAMODE", value="TIMING", ext=1)
    events = open_events(path)
    rows = np.array([(grade, 0) for grade in range(8)], dtype=GRADED)
    assert rules_mask(screening_for(events), rows).tolist() == [True] * 3 + [False] * 5
    assert "one coordinate" in events.why_not("image")
