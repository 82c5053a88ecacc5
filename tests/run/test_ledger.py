from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daxa.errors import DataError
from daxa.run.ledger import read_columns, read_ledger, write_ledger
from daxa.run.rows import check_obs_id, check_path, row_as_plain, row_from_plain
from daxa.run.task import LedgerRow, ProductFile
from tests.run.strategies import rows

FILE = ProductFile("a.fits", 3, "a" * 64, "b" * 64)
ROWS = [
    LedgerRow("0093640901", "done", "", "c" * 64, '{"input":"0123"}', (FILE,)),
    LedgerRow("10-08-0012", "failed", "data.no-events", "d" * 64),
    LedgerRow("us701576n00", "skipped", "input.failed"),
]


def write(path: Path, found: list[LedgerRow]) -> bool:
    return write_ledger(path, found, mission="xmm", step="clean")


@settings(max_examples=40, deadline=None)
@given(st.lists(rows, max_size=5, unique_by=lambda row: row.obs_id))
def test_what_is_written_is_read(found):
    with TemporaryDirectory() as place:
        path = Path(place) / "ledger" / "xmm-clean.parquet"
        assert write(path, found)
        assert read_ledger(path) == {row.obs_id: row for row in found}
        assert not write(path, found)


def test_bytes_do_not_depend_on_the_order_of_rows(tmp_path):
    shuffled = random.Random(1).sample(ROWS, len(ROWS))
    write(tmp_path / "one", ROWS)
    write(tmp_path / "two", shuffled)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_bytes_do_not_depend_on_the_hash_seed(tmp_path):
    code = (
        "import sys; from pathlib import Path; from tests.run.test_ledger import ROWS, write; "
        "write(Path(sys.argv[1]), ROWS)"
    )
    for seed in "123":
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / seed)],
            check=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
    assert len({(tmp_path / seed).read_bytes() for seed in "123"}) == 1


def test_equal_rows_leave_the_file_untouched(tmp_path):
    path = tmp_path / "ledger.parquet"
    assert write(path, ROWS)
    before = path.stat()
    assert not write(path, ROWS[::-1])
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert write(path, ROWS[:2])
    assert [entry.name for entry in tmp_path.iterdir()] == ["ledger.parquet"]


def test_other_metadata_make_another_file(tmp_path):
    path = tmp_path / "ledger.parquet"
    write(path, ROWS)
    assert write_ledger(path, ROWS, mission="xmm", step="images")
    assert pq.ParquetFile(path).metadata.metadata[b"daxa.step"] == b"images"


def test_file_is_readable_by_others_and_plain(tmp_path):
    import pandas as pd

    path = tmp_path / "ledger.parquet"
    write(path, ROWS)
    frame = pd.read_parquet(path)
    assert list(frame["obs_id"]) == ["0093640901", "10-08-0012", "us701576n00"]
    assert frame["files"][0][0]["path"] == "a.fits"
    for index in range(pq.ParquetFile(path).metadata.num_columns):
        column = pq.ParquetFile(path).metadata.row_group(0).column(index)
        assert column.compression == "UNCOMPRESSED"
        assert "DICTIONARY" not in str(column.encodings)


def test_an_absent_ledger_is_empty_and_a_damaged_one_is_an_error(tmp_path):
    assert read_ledger(tmp_path / "none.parquet") == {}
    path = tmp_path / "ledger.parquet"
    write(path, ROWS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError) as caught:
        read_ledger(path)
    assert caught.value.code == "data.ledger"
    assert "git checkout" in caught.value.remedy
    assert write(path, ROWS)


def test_a_ledger_rewritten_with_wide_strings_still_reads(tmp_path):
    write(tmp_path / "ours", ROWS)
    table = pq.read_table(tmp_path / "ours")
    wide = table.set_column(0, "obs_id", table["obs_id"].cast(pa.large_string()))
    pq.write_table(wide, tmp_path / "theirs")
    assert read_ledger(tmp_path / "theirs") == read_ledger(tmp_path / "ours")


def test_measures_have_a_column_where_there_are_any(tmp_path):
    measured = [replace(ROWS[0], measures='{"exposures":[1]}'), *ROWS[1:]]
    write(tmp_path / "with", measured)
    write(tmp_path / "without", ROWS)
    assert read_ledger(tmp_path / "with") == {row.obs_id: row for row in measured}
    assert "measures" in pq.read_table(tmp_path / "with").column_names
    # Ledgers of steps that measure nothing are as they were.
    assert "measures" not in pq.read_table(tmp_path / "without").column_names
    assert not write(tmp_path / "with", measured)
    assert write(tmp_path / "with", ROWS)
    assert (tmp_path / "with").read_bytes() == (tmp_path / "without").read_bytes()


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "[NaN]", '"' + "x" * 70000 + '"', "[" * 5000])
def test_measures_that_no_task_wrote_are_refused(text):
    with pytest.raises(DataError, match="measures of 0093640901"):
        row_from_plain(row_as_plain(replace(ROWS[0], measures=text)))


HOSTILE = {
    "climbing obs_id": {"obs_id": "../../etc"},
    "empty obs_id": {"obs_id": ""},
    "null obs_id": {"obs_id": None},
    "outcome": {"outcome": "perfect"},
    "reason with a newline": {"reason": "a\nb"},
    "fingerprint": {"fingerprint": "x"},
    "parts": {"parts": "[1]"},
    "parts no JSON": {"parts": "{"},
    "null files": {"files": None},
    "climbing path": {"files": [{"path": "../x", "size": 1, "sha256": "a" * 64, "science": "a" * 64}]},
    "absolute path": {"files": [{"path": "/etc/passwd", "size": 1, "sha256": "a" * 64, "science": "a" * 64}]},
    "negative size": {"files": [{"path": "x", "size": -1, "sha256": "a" * 64, "science": "a" * 64}]},
    "digest": {"files": [{"path": "x", "size": 1, "sha256": "../" + "a" * 61, "science": "a" * 64}]},
    "a file twice": {"files": [{"path": "x", "size": 1, "sha256": "a" * 64, "science": "a" * 64}] * 2},
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_hostile_rows_are_refused(tmp_path, change):
    write(tmp_path / "schema", ROWS)
    value = row_as_plain(ROWS[0]) | change
    table = pa.Table.from_pylist([value], schema=pq.read_table(tmp_path / "schema").schema)
    pq.write_table(table, tmp_path / "hostile")
    with pytest.raises(DataError):
        read_ledger(tmp_path / "hostile")


ALL = {"outcome", "reason", "fingerprint", "parts", "path", "size", "sha256", "science"}


@settings(max_examples=20, deadline=None)
@given(st.lists(rows, max_size=5, unique_by=lambda row: row.obs_id), st.integers(0, 4))
def test_columns_hold_what_rows_hold(found, chosen):
    with TemporaryDirectory() as place:
        path = Path(place) / "xmm-clean.parquet"
        write(path, found)
        assert as_rows(read_columns(path, ALL)) == read_ledger(path)
        wanted = {row.obs_id for row in found[:chosen]}
        only = {obs_id: row for obs_id, row in read_ledger(path).items() if obs_id in wanted}
        assert as_rows(read_columns(path, ALL, obs_ids=wanted)) == only
        assert read_columns(path, {"outcome"}).path == []


def as_rows(columns) -> dict[str, LedgerRow]:
    spans = [slice(*columns.offsets[at : at + 2]) for at in range(len(columns.obs_id))]
    files = list(map(ProductFile, columns.path, columns.size, columns.sha256, columns.science))
    texts = zip(columns.obs_id, columns.outcome, columns.reason, columns.fingerprint, columns.parts, strict=True)
    return {row[0]: LedgerRow(*row, tuple(files[span])) for row, span in zip(texts, spans, strict=True)}


def test_one_observation_is_read_without_the_others(tmp_path, monkeypatch):
    path = tmp_path / "ledger"
    write(path, [LedgerRow(f"{i:05d}", "done", "", "c" * 64, "{}", (FILE,)) for i in range(1200)])
    read = []
    real = pq.ParquetFile.read_row_groups
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_groups", lambda *args, **how: read.append(args[1]) or real(*args, **how)
    )
    assert as_rows(read_columns(path, ALL, obs_ids={"00700"})) == {"00700": read_ledger(path)["00700"]}
    assert read[0] == [1]
    assert as_rows(read_columns(path, ALL, obs_ids={"x"})) == {}


@pytest.mark.parametrize("name", ["climbing obs_id", "empty obs_id", "null obs_id", "outcome", "null files"])
def test_columns_that_cannot_be_are_refused(tmp_path, name):
    write(tmp_path / "schema", ROWS)
    table = pa.Table.from_pylist(
        [row_as_plain(ROWS[0]) | HOSTILE[name]], schema=pq.read_table(tmp_path / "schema").schema
    )
    pq.write_table(table, tmp_path / "hostile")
    with pytest.raises(DataError):
        read_columns(tmp_path / "hostile", ALL)


@pytest.mark.parametrize(
    "change", [lambda t: t.drop(["outcome"]), lambda t: t.drop(["obs_id"]), lambda t: t.drop(["files"])]
)
def test_tables_that_are_no_ledger_are_refused(tmp_path, change):
    write(tmp_path / "ours", ROWS)
    pq.write_table(change(pq.read_table(tmp_path / "ours")), tmp_path / "other")
    with pytest.raises(DataError, match="not a valid ledger"):
        read_columns(tmp_path / "other", ALL)
    number = pq.read_table(tmp_path / "ours")
    number = number.set_column(2, "reason", pa.array([1, 2, 3]))
    pq.write_table(number, tmp_path / "other")
    with pytest.raises(DataError, match="column reason"):
        read_columns(tmp_path / "other", ALL)


def test_an_obs_id_twice_is_refused(tmp_path):
    write(tmp_path / "ours", ROWS)
    table = pq.read_table(tmp_path / "ours")
    pq.write_table(pa.concat_tables([table, table]), tmp_path / "twice")
    with pytest.raises(DataError, match="twice"):
        read_ledger(tmp_path / "twice")
    with pytest.raises(DataError, match="twice"):
        read_columns(tmp_path / "twice", ALL)
    with pytest.raises(ValueError, match="one row per ObsID"):
        write(tmp_path / "new", [ROWS[0], ROWS[0]])


CLIMBING = ["", "/a", "a//b", "a/", "../a", "a/../b", "./a"]
ACTING = [".dvc/config", "-rf", "dvc.yaml", "x/y.dvc"]
UNPRINTABLE = ["a\\b", "a\nb", "a\x00", "a\u202eb", "a\udc80b"]


@pytest.mark.parametrize("path", [*CLIMBING, *ACTING, *UNPRINTABLE], ids=repr)
def test_paths_that_no_product_may_have(path):
    with pytest.raises(DataError):
        check_path(path)


@pytest.mark.parametrize("path", ["a" * 256, "b/" * 600 + "c", 5, None], ids=["long name", "long", "number", "null"])
def test_paths_too_long_or_no_text(path):
    with pytest.raises(DataError):
        check_path(path)


@pytest.mark.parametrize("obs_id", ["", ".", "..", "-a", "a/b", "a b", "a\n", "٣٤٥", 404910601, None, "a" * 65])
def test_obs_ids_that_cannot_be(obs_id):
    with pytest.raises(DataError):
        check_obs_id(obs_id)
