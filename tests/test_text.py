"""Nothing that steers a terminal, turns text around or cannot be seen leaves daxa as it came in."""

from __future__ import annotations

import json
import sys
import unicodedata

import pandas as pd
import pytest

from daxa.selection.table_formats import csv_text, votable_bytes
from daxa.text import json_escaped, plain, spreadsheet_cell

EVERYTHING = [chr(code) for code in range(sys.maxunicode + 1)]
UNSEEN = [character for character in EVERYTHING if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
HOSTILE = "A\x1b[2J\x9b31m\u202edlrow\u2066\u200f\u061c\u200b\ufeff\u2028\x07B"


def test_every_unseen_character_is_replaced_and_no_other_is_touched():
    assert plain("\r") == plain("\r\n") == "\n"
    kept = "".join(character for character in UNSEEN if plain(character) == character)
    assert kept == "\t\n"
    seen = [one for one in EVERYTHING if unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Zl", "Zp", "Cn")]
    # Variation selectors are marks by category, and cannot be seen either.
    assigned = "".join(one for one in seen if not "\U000e0100" <= one <= "\U000e01ef")
    assert plain(assigned) == assigned


def test_json_says_the_same_in_characters_that_can_be_seen():
    text = "x".join(UNSEEN) + "Ünïcode \U0001f52d"
    document = json_escaped(json.dumps({"target": text}, ensure_ascii=False))
    assert json.loads(document) == {"target": text}
    assert not set(document) & set(UNSEEN)
    assert "Ünïcode \U0001f52d" in document


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+1", "'+1+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1+1", "' =1+1"),
        ("\r=1+1", "' =1+1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("-12.3", "-12.3"),
        ("+30", "+30"),
        ("-1e-5", "-1e-5"),
        ("-11:03:50.2", "-11:03:50.2"),
        ("-11 03 50", "-11 03 50"),
        ("Abell 907", "Abell 907"),
        ("two\nlines", "two lines"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula_and_numbers_stay_numbers(given, written):
    assert spreadsheet_cell(given) == written


def test_tables_for_others_hold_neither_formulas_nor_what_cannot_be_seen():
    table = pd.DataFrame(
        {
            "target": ["=1+1", HOSTILE, "Abell 907"],
            "dec": [-11.06, 2.0, float("nan")],
            "counts": [-1, 2, 3],
            "=x": ["", None, "-5"],
        }
    )
    before = table.copy()
    lines = csv_text(table).splitlines()
    assert lines[0] == "target,dec,counts,'=x"
    assert lines[1] == "'=1+1,-11.06,-1,"
    assert lines[3] == "Abell 907,,3,-5"
    assert not set(csv_text(table)) & (set(UNSEEN) - {"\n"})
    pd.testing.assert_frame_equal(table, before)
    document = votable_bytes(table[["target", "dec"]], "found").decode()
    assert not set(document) & (set(UNSEEN) - {"\n"})
    from xml.etree import ElementTree

    assert ElementTree.fromstring(document.encode()).tag.endswith("VOTABLE")  # noqa: S314 - our own
