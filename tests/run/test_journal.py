from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from daxa.run.journal import append_rows, open_journal, read_journal
from daxa.run.task import LedgerRow
from tests.run.strategies import rows

ONE, TWO, THREE = (LedgerRow(name, "failed", "data.no-events", "a" * 64) for name in ("001", "002", "003"))


@settings(max_examples=40, deadline=None)
@given(st.lists(rows, max_size=6))
def test_what_is_appended_is_read_and_the_last_row_counts(found):
    with TemporaryDirectory() as place:
        path = Path(place) / "journal" / "xmm-clean.jsonl"
        for row in found:
            with open_journal(path) as journal:
                append_rows(journal, [row])
        assert read_journal(path) == {row.obs_id: row for row in found}


def test_a_journal_cut_anywhere_gives_whole_rows_and_can_be_continued(tmp_path):
    path = tmp_path / "journal"
    with open_journal(path) as journal:
        append_rows(journal, [ONE, TWO])
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        expected = [row for row, end in ((ONE, first), (TWO, len(whole))) if cut >= end]
        assert list(read_journal(path).values()) == expected
        with open_journal(path) as journal:
            append_rows(journal, [THREE])
        assert list(read_journal(path).values()) == [*expected, THREE]


def test_lines_that_are_no_rows_are_left_out(tmp_path):
    path = tmp_path / "journal"
    with open_journal(path) as journal:
        append_rows(journal, [ONE])
    text = path.read_text()
    hostile = text.replace('"001"', '"../001"')
    path.write_text(f"{hostile}\x00\x00\n[]\n{'[' * 100000}\n{text}")
    assert read_journal(path) == {"001": ONE}
