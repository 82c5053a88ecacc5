"""A look at one row without the table gives what the table gives, or nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daxa.archive.config import load_config
from daxa.archive.named_choices import named_obs_ids
from daxa.archive.products import find_products
from daxa.archive.stage_records import read_stage_record
from daxa.errors import DataError
from daxa.run.lookup import find_texts, keep_lookup
from daxa.stages.step import run_step
from tests.stages.archives import IDS, choose, make_archive, run

NAMES = {"outcome", "reason", "fingerprint", "parts", "path", "size", "sha256", "science"}


@pytest.fixture
def archive(tmp_path):
    layout = make_archive(tmp_path / "a907")
    run(layout)
    return layout


def columns_of(layout, obs_ids=(IDS[1],)):
    found = read_stage_record(layout, "xmm", "clean", NAMES, obs_ids=set(obs_ids)).columns
    return {name: getattr(found, name) for name in ("obs_id", "offsets", *NAMES)}


def test_a_stage_leaves_rows_that_are_equal_to_those_of_its_ledger(archive):
    lookup = archive.places("xmm", "clean").lookup
    quick = columns_of(archive)
    lookup.unlink()
    assert quick == columns_of(archive)
    assert quick["obs_id"] == [IDS[1]]
    assert quick["path"]


def test_many_observations_are_read_by_column(archive, monkeypatch):
    monkeypatch.setattr("daxa.archive.stage_records._FEW", 2)
    monkeypatch.setattr("daxa.archive.stage_records.find_texts", None)
    assert columns_of(archive, IDS)["obs_id"] == sorted(IDS)


def test_an_observation_that_is_not_there_has_no_row(archive):
    assert columns_of(archive, ["0000000001"])["obs_id"] == []


@pytest.mark.parametrize("kept", ["size and time", "nothing"])
def test_a_ledger_that_has_changed_is_read_itself(archive, kept):
    ledger = archive.ledger("xmm", "clean")
    before = ledger.stat()
    content = bytearray(ledger.read_bytes())
    content[100] ^= 1
    ledger.write_bytes(content)
    if kept == "size and time":
        os.utime(ledger, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DataError, match="not those that were written"):
        columns_of(archive)


@pytest.mark.parametrize("content", [b"", b"no base", b"SQLite format 3\0" + bytes(5000)])
def test_a_damaged_lookup_is_ignored(archive, content):
    good = columns_of(archive)
    archive.places("xmm", "clean").lookup.write_bytes(content)
    assert columns_of(archive) == good


def test_a_stage_without_work_renews_a_lookup_of_another_file(archive):
    ledger = archive.ledger("xmm", "clean")
    content = ledger.read_bytes()
    ledger.unlink()
    ledger.write_bytes(content)  # as a checkout writes it
    lookup = archive.places("xmm", "clean").lookup
    assert find_texts(ledger, lookup, IDS) is None
    run(archive, "clean")
    assert set(find_texts(ledger, lookup, IDS)) == set(IDS)


def test_a_table_that_is_absent_or_a_link_has_no_lookup(tmp_path):
    lookup, table = tmp_path / "lookup", tmp_path / "table"
    keep_lookup(table, lookup, [("a", "b")])
    assert not lookup.exists()
    (tmp_path / "other").write_text("text")
    table.symlink_to("other")
    keep_lookup(table, lookup, [("a", "b")])
    assert not lookup.exists()


def test_what_is_selected_is_asked_of_the_selection_as_it_is_now(archive, monkeypatch):
    keep_lookup(archive.selection("xmm"), archive.selected("xmm"), ((one, "") for one in IDS))
    monkeypatch.setattr("daxa.archive.named_choices.read_columns", None)
    assert named_obs_ids(archive, ["xmm"], IDS[1]) == (IDS[1],)
    monkeypatch.undo()
    choose(archive, IDS[:1])
    with pytest.raises(Exception, match="is not in this archive"):
        named_obs_ids(archive, ["xmm"], IDS[1])


def test_the_step_that_fetches_leaves_what_is_selected(archive, monkeypatch):
    monkeypatch.setattr("daxa.stages.step.run_stage", lambda stage, observe: run(archive, "fetch"))
    choose(archive, IDS[:2])
    run_step(archive.root, "fetch", "xmm")
    assert set(find_texts(archive.selection("xmm"), archive.selected("xmm"), IDS)) == set(IDS[:2])


def test_a_look_at_one_observation_starts_no_table_library(archive):
    keep_lookup(archive.selection("xmm"), archive.selected("xmm"), ((one, "") for one in IDS))
    program = (
        "import sys; from pathlib import Path; from daxa.archive.layout import Layout; "
        "from daxa.archive.config import load_config; from daxa.archive.products import find_products; "
        "layout = Layout(Path(sys.argv[1])); "
        f"print(len(find_products(layout, load_config(layout), obs_id={IDS[1]!r})), "
        "sorted({'numpy', 'pandas', 'pyarrow', 'git'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(archive.root)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]).stdout
    assert found.split(" ", 1)[1].strip() == "[]"
    assert int(found.split()[0]) == len(find_products(archive, load_config(archive), obs_id=IDS[1]))
