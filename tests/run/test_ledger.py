from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daxa.errors import DataError
from daxa.run.ledger import read_ledger, write_ledger
from daxa.run.rows import check_obs_id, check_path, row_as_plain
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


def test_an_obs_id_twice_is_refused(tmp_path):
    write(tmp_path / "ours", ROWS)
    table = pq.read_table(tmp_path / "ours")
    pq.write_table(pa.concat_tables([table, table]), tmp_path / "twice")
    with pytest.raises(DataError, match="twice"):
        read_ledger(tmp_path / "twice")
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
