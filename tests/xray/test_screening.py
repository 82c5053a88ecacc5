"""Screening rules: each rendering against another, pn on rows made from MOS lists."""

from __future__ import annotations

import re

import numpy as np
import pytest

from daxa.errors import DataError
from daxa.xray.cut import select, standard_cut
from daxa.xray.events import open_events
from daxa.xray.screening import STANDARD, Rule, rules_cfitsio, rules_mask, rules_text, screening_for
from tests.xray.reallists import LISTS, with_rows


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
    assert pattern == "b0000xxx00xxxx000"


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
