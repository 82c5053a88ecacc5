"""A few rows without pyarrow: the same ones, or none and pyarrow is asked."""

from __future__ import annotations

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from daxa.parquet import find_rows, parquet_bytes, read_parquet
from daxa.run.ledger import read_columns, write_ledger
from daxa.run.task import LedgerRow, ProductFile
from daxa.selection.store import chosen_among, write_selection
from tests.selection.observations import observations

ASKED = {"outcome", "path", "size", "sha256"}
COUNT = 1234


def a_row(number: int) -> LedgerRow:
    """A row with no, one or some files, whose names differ in length."""
    obs_id = f"{number:010d}"
    if number % 7 == 0:
        return LedgerRow(obs_id, "failed", "data.no-events")
    names = [f"{'x' * (number % 11)}é{at}.fits" for at in range(number % 5 + 1)]
    return LedgerRow(
        obs_id,
        "done",
        "",
        "0" * 64,
        "{}",
        tuple(ProductFile(n, number, f"{number:064x}", f"{number:064x}") for n in names),
    )


def noted(path, note):
    """Note a file as found whole, though its time of change is new."""
    found = path.stat()
    note.write_text(json.dumps([found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]))


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    path = tmp_path_factory.mktemp("ledger") / "xmm-clean.parquet"
    write_ledger(path, [a_row(number) for number in range(COUNT)], mission="xmm", step="clean")
    noted(path, path.with_suffix(".whole"))
    return path


@pytest.mark.parametrize("numbers", [[0], [1], [499, 500], [7, 13, 1000], [COUNT - 1], [COUNT], []])
def test_rows_are_those_that_pyarrow_reads(ledger, numbers):
    ids = {f"{number:010d}" for number in numbers}
    found = find_rows(ledger, sorted(ASKED), key="obs_id", keys=ids, note=ledger.with_suffix(".whole"))
    assert found is not None
    told = read_columns(ledger, ASKED, obs_ids=ids)
    assert read_columns(ledger, ASKED, obs_ids=ids, note=ledger.with_suffix(".whole")) == told
    assert found.columns["path"] == told.path
    assert told.obs_id == [obs_id for obs_id in sorted(ids) if int(obs_id) < COUNT]
    assert told.path == [file.path for number in sorted(numbers) if number < COUNT for file in a_row(number).files]


def test_a_selection_is_looked_up_alike(tmp_path):
    path, note = tmp_path / "xmm.parquet", tmp_path / "note"
    table = observations(*({"obs_id": f"{number:010d}"} for number in range(101, 141)))
    write_selection(path, table, mission="xmm", criteria="{}", snapshot="0" * 64)
    noted(path, note)
    ids = sorted(table["obs_id"])
    assert find_rows(path, (), key="obs_id", keys={ids[3]}, note=note).columns == {"obs_id": [ids[3]]}
    assert chosen_among(path, [ids[3], "9999999999"], note=note) == chosen_among(path, [ids[3]]) == {ids[3]}


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zstd"},
        {"use_dictionary": True},
        {"data_page_version": "2.0"},
        {"write_page_checksum": False},
        {"column_encoding": {"obs_id": "DELTA_BYTE_ARRAY"}},
    ],
    ids=str,
)
def test_another_form_is_left_to_pyarrow(tmp_path, options):
    path, note = tmp_path / "x.parquet", tmp_path / "note"
    plain = {"compression": "none", "use_dictionary": False, "data_page_version": "1.0", "write_page_checksum": True}
    pq.write_table(pa.table({"obs_id": ["a", "b"] * 50}), path, **(plain | options))
    noted(path, note)
    assert find_rows(path, (), key="obs_id", keys={"a"}, note=note) is None


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"obs_id": ["a", None]}),
        pa.table({"obs_id": pa.array([b"a"], pa.binary())}),
        pa.table({"obs_id": [["a"], ["b"]]}),
        pa.table({"obs_id": [[["a"]]]}),
        pa.table({"other": ["a"]}),
    ],
    ids=["null", "bytes", "list", "lists", "absent"],
)
def test_what_is_no_column_of_texts_is_left_to_pyarrow(tmp_path, table):
    path, note = tmp_path / "x.parquet", tmp_path / "note"
    path.write_bytes(parquet_bytes(table))
    noted(path, note)
    assert find_rows(path, (), key="obs_id", keys={"a"}, note=note) is None


def test_many_pages_are_one_column(tmp_path):
    path, note = tmp_path / "x.parquet", tmp_path / "note"
    ids = [f"{number:06d}" for number in range(5000)]
    files = [[{"path": f"{obs_id}-{at}"} for at in range(int(obs_id) % 4)] for obs_id in ids]
    table = pa.table({"obs_id": ids, "files": files})
    pq.write_table(
        table,
        path,
        compression="none",
        use_dictionary=False,
        write_page_checksum=True,
        data_page_size=2000,
        write_batch_size=64,
    )
    noted(path, note)
    wanted = {ids[0], ids[1], ids[2047], ids[4999]}
    found = find_rows(path, ["path"], key="obs_id", keys=wanted, note=note)
    assert found.columns["path"] == [file["path"] for obs_id in sorted(wanted) for file in files[int(obs_id)]]
    assert found.offsets == [0, 0, 1, 4, 7]


def test_a_file_that_changed_is_read_as_a_whole(tmp_path, ledger):
    path, note = tmp_path / "x.parquet", tmp_path / "note"
    path.write_bytes(ledger.read_bytes())
    ask = {"names": (), "key": "obs_id", "keys": {"0000000001"}, "note": note}
    assert find_rows(path, **ask) is None
    noted(path, note)
    assert find_rows(path, **ask) is not None
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    assert find_rows(path, **ask) is None
    with pytest.raises(pa.ArrowException):
        read_parquet(path, note=note)


def test_damage_that_a_note_hides_is_never_believed_in_a_page_and_never_a_traceback(tmp_path, ledger):
    path, note = tmp_path / "x.parquet", tmp_path / "note"
    content, some = ledger.read_bytes(), random.Random(5)
    right = find_rows(ledger, sorted(ASKED), key="obs_id", keys={"0000000013"}, note=ledger.with_suffix(".whole"))
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    places = [some.randrange(4, footer) for _ in range(150)] + [
        some.randrange(footer, len(content)) for _ in range(300)
    ]
    unseen = 0
    for at in places:
        damaged = bytearray(content)
        damaged[at] ^= 1 << some.randrange(8)
        path.write_bytes(damaged)
        noted(path, note)
        found = find_rows(path, sorted(ASKED), key="obs_id", keys={"0000000013"}, note=note)
        if at < footer:
            assert found in (None, right)
        unseen += found == right
    assert unseen < len(places)
