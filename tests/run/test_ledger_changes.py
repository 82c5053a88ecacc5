"""Rows that differ are found by columns, and are those that a comparison row by row finds."""

from __future__ import annotations

import random
from dataclasses import replace

import pyarrow as pa
import pytest

from daxa.errors import DataError
from daxa.parquet import differing_groups, write_parquet
from daxa.run.ledger import read_ledger, read_table, write_ledger
from daxa.run.ledger_changes import changed_rows
from daxa.run.task import ExposureRow, LedgerRow, ProductFile


def a_row(obs_id: str, number: int, files: int) -> LedgerRow:
    digest = f"{number:064x}"
    found = tuple(ProductFile(f"part{at}.fits", 10 + at, digest, digest) for at in range(files))
    return LedgerRow(obs_id, "done", "", digest, '{"input":"1"}', found)


def altered(row: LedgerRow, dice: random.Random) -> LedgerRow:
    file = ProductFile("part9.fits", 5, "a" * 64, "b" * 64)
    return dice.choice(
        [
            replace(row, fingerprint="e" * 64),
            replace(row, outcome="failed", reason="data.no-events"),
            replace(row, measures='{"exposures":[]}'),
            replace(row, exposures=(ExposureRow("PN-S003", "failed", "data.no-events", "e" * 64, "{}", ()),)),
            replace(row, files=(*row.files, file)),
            replace(row, files=tuple(replace(one, science="c" * 64) for one in row.files) or (file,)),
            replace(row, files=row.files[1:] if row.files else (file,)),
        ]
    )


@pytest.mark.parametrize("seed", range(12))
def test_rows_that_differ_are_those_that_differ(tmp_path, seed):
    dice = random.Random(seed)
    before = {obs_id: a_row(obs_id, dice.randrange(3), dice.randrange(4)) for obs_id in map(str, range(600, 1300))}
    now = {obs_id: row for obs_id, row in before.items() if dice.random() > 0.02}
    for obs_id in dice.sample(sorted(now), dice.randrange(20)):
        now[obs_id] = altered(now[obs_id], dice)
    now |= {obs_id: a_row(obs_id, 1, 1) for obs_id in map(str, range(500, 500 + dice.randrange(4)))}
    paths = tmp_path / "before.parquet", tmp_path / "now.parquet"
    for path, rows in zip(paths, (before, now), strict=True):
        write_ledger(path, rows.values(), mission="xmm", step="clean")
    old, new = (read_ledger(path) for path in paths)
    wanted = {obs_id for obs_id in {*old, *new} if old.get(obs_id) != new.get(obs_id)}
    found = changed_rows(*paths)
    assert found == tuple({obs_id: rows[obs_id] for obs_id in rows if obs_id in wanted} for rows in (old, new))
    some = set(dice.sample(sorted({*old, *new}), 30))
    assert [set(side) for side in changed_rows(*paths, some)] == [wanted & side.keys() & some for side in (old, new)]
    assert changed_rows(paths[0], paths[0]) == ({}, {})
    assert changed_rows(tmp_path / "none", paths[1]) == ({}, new)


def test_what_is_no_ledger_is_said(tmp_path):
    whole = tmp_path / "whole.parquet"
    write_ledger(whole, [a_row("0404910601", 1, 1)], mission="xmm", step="clean")
    table = read_table(whole)
    for name, values in (("reason", [None]), ("obs_id", [None])):
        other = tmp_path / f"{name}.parquet"
        at = table.schema.get_field_index(name)
        write_parquet(other, table.set_column(at, name, pa.array(values, pa.string())))
        with pytest.raises(DataError):
            changed_rows(whole, other)
    twice = tmp_path / "twice.parquet"
    write_parquet(twice, pa.concat_tables([table, table]))
    with pytest.raises(DataError):
        changed_rows(whole, twice)


def test_only_row_groups_that_differ_are_read_and_none_is_overlooked(tmp_path):
    ids = [f"{number:010d}" for number in range(101, 1401)]
    rows = {obs_id: LedgerRow(obs_id, "done", "", "a" * 64) for obs_id in ids}
    before, now = tmp_path / "before.parquet", tmp_path / "now.parquet"
    write_ledger(before, rows.values(), mission="xmm", step="clean")
    changed = {ids[3]: LedgerRow(ids[3], "done", "", "b" * 64), ids[-1]: LedgerRow(ids[-1], "failed", "data.no-events")}
    write_ledger(now, {**rows, **changed}.values(), mission="xmm", step="clean")
    assert differing_groups(before.read_bytes(), now.read_bytes()) == ([0, 2], [0, 2])
    assert changed_rows(before, now) == ({obs_id: rows[obs_id] for obs_id in changed}, changed)
    # One more at the beginning moves all the others.
    first = {"0000000001": LedgerRow("0000000001", "done")}
    write_ledger(now, {**first, **rows}.values(), mission="xmm", step="clean")
    assert changed_rows(before, now) == ({}, first)
    # A column more is a difference of every row group.
    measured = {ids[0]: LedgerRow(ids[0], "done", "", "a" * 64, measures="[]")}
    write_ledger(now, {**rows, **measured}.values(), mission="xmm", step="clean")
    assert changed_rows(before, now) == ({ids[0]: rows[ids[0]]}, measured)
    write_ledger(now, rows.values(), mission="xmm", step="clean")
    assert differing_groups(before.read_bytes(), now.read_bytes()) == ([], [])
    assert changed_rows(before, now) == ({}, {})
