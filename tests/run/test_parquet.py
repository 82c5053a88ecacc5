"""The one door to Parquet: what is damaged, foreign or a bomb is noticed before it is believed."""

from __future__ import annotations

import os
import random
import time
from contextlib import suppress

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from daxa.archive.upstream import read_origin, row_ids
from daxa.errors import DataError, DaxaError
from daxa.parquet import parquet_bytes, read_parquet, write_parquet
from daxa.parquet_pages import walk_pages
from daxa.run.ledger import read_ledger, write_ledger
from daxa.run.task import LedgerRow, ProductFile
from daxa.selection.selection_file import read_chosen, read_selection
from tests.publish.workshop import FIRST, SECOND, observation

ROWS = [
    LedgerRow(
        FIRST, "done", "", "a" * 64, '{"software":"3a8f36e69d8daf7e"}', (ProductFile("x.fits", 9, "b" * 64, "c" * 64),)
    ),
    LedgerRow(SECOND, "failed", "data.no-events", "d" * 64, "{}"),
]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    path = tmp_path_factory.mktemp("ledger") / "xmm-clean.parquet"
    write_ledger(path, ROWS, mission="xmm", step="clean")
    return path


def test_every_changed_byte_of_a_ledger_is_noticed(ledger, tmp_path):
    whole, path = ledger.read_bytes(), tmp_path / "flipped.parquet"
    rng, wanted, unseen = random.Random(907), read_ledger(ledger), []
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            found = read_ledger(path)
        except DataError:
            continue
        # Without the word that announces the seal it is the same table, which nobody sealed.
        unseen += [at] if found != wanted else []
    assert unseen == []


@pytest.mark.parametrize("damage", ["cut", "swapped", "zeros", "seal"])
def test_damage_of_many_bytes_is_named(ledger, tmp_path, damage):
    whole, path = ledger.read_bytes(), tmp_path / "damaged.parquet"
    other = bytearray(whole)
    if damage == "cut":
        other = other[: len(other) // 2]
    elif damage == "swapped":
        other[200:300], other[400:500] = other[400:500], other[200:300]
    elif damage == "zeros":
        other[len(other) // 2 :] = bytes(len(other) - len(other) // 2)
    else:
        at = whole.index(b"daxa-sha256:") + 12
        other[at : at + 64] = b"0" * 64
    path.write_bytes(other)
    with pytest.raises(DataError) as caught:
        read_ledger(path)
    assert "git checkout" in caught.value.remedy


def test_a_sealed_file_is_parquet_to_others_and_keeps_page_checksums(ledger, tmp_path):
    assert len(pd.read_parquet(ledger)) == 2
    assert pq.ParquetFile(ledger, page_checksum_verification=True).read().num_rows == 2
    # A checksum of a page, where the seal does not look: another program's file.
    table = pa.table({"obs_id": ["0404910601"] * 100})
    pq.write_table(table, tmp_path / "theirs", use_dictionary=False, compression="none", write_page_checksum=True)
    content = bytearray((tmp_path / "theirs").read_bytes())
    content[content.index(b"\x0a\0\0\x000404910601") + 4] ^= 1
    with pytest.raises((OSError, pa.ArrowException)):
        read_parquet(bytes(content))


def test_a_file_without_a_seal_and_one_in_other_dress_are_read(ledger, tmp_path):
    for name, options in {
        "old": {"use_dictionary": False, "compression": "none"},
        "pandas": {},
        "pages": {"data_page_version": "2.0", "compression": "zstd"},
    }.items():
        pq.write_table(pq.read_table(ledger), tmp_path / name, **options)
        assert read_ledger(tmp_path / name) == read_ledger(ledger)


def test_parts_of_a_table_can_be_read_without_the_rest():
    table = pa.table({"obs_id": [f"{i:010d}" for i in range(100)], "size": list(range(100))})
    content = parquet_bytes(table, rows_per_group=10)
    read = read_parquet(content, choose=lambda metadata: ([3], ["obs_id"]))
    assert read.to_pydict() == {"obs_id": [f"{i:010d}" for i in range(30, 40)]}
    assert parquet_bytes(table, rows_per_group=10) == content


def test_what_a_killed_writer_left_goes_in_time(tmp_path):
    path, table = tmp_path / "x.parquet", pa.table({"obs_id": ["0404910601"]})
    for name, age in (("1-aa", 7200), ("2-bb", 10)):
        part = tmp_path / f".x.parquet.{name}.part"
        part.write_bytes(b"PAR1")
        os.utime(part, (time.time() - age,) * 2)
    write_parquet(path, table)
    assert sorted(left.name for left in tmp_path.iterdir()) == [".x.parquet.2-bb.part", "x.parquet"]


def bomb(kind: str) -> bytes:
    sink = pa.BufferOutputStream()
    if kind == "dictionary":
        column = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["x" * 500_000]))
        pq.write_table(pa.table({"obs_id": column}), sink, store_schema=False)
    elif kind == "prefixes":
        schema = pa.schema([("obs_id", pa.string())])
        options = {"use_dictionary": False, "column_encoding": {"obs_id": "DELTA_BYTE_ARRAY"}, "compression": "zstd"}
        with pq.ParquetWriter(sink, schema, **options) as writer:
            for _ in range(40):
                writer.write_table(pa.table({"obs_id": ["x" * 500_000] * 60}), row_group_size=4000)
    elif kind == "nested":
        values = pa.DictionaryArray.from_arrays(pa.array([0] * 40_000, pa.int32()), pa.array(["x" * 500_000]))
        pq.write_table(pa.table({"obs_id": pa.ListArray.from_arrays([0, 40_000], values)}), sink, store_schema=False)
    else:
        pq.write_table(pa.table({"obs_id": pa.nulls(80_000_000, pa.string())}), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("kind", ["dictionary", "nested", "nulls", "prefixes"])
def test_a_bomb_is_refused_before_it_takes_the_memory(kind):
    content = bomb(kind)
    assert len(content) < 300_000
    before = pa.total_allocated_bytes()
    with pytest.raises(pa.ArrowException):
        read_parquet(content, limit=1 << 28)
    assert pa.total_allocated_bytes() <= before + (1 << 20)


def test_a_page_that_lies_about_its_size_is_refused():
    """The footer says little, the header of the page a gibibyte: its reader would make room for that."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"x": ["y" * 70_000]}), sink, compression="zstd", use_dictionary=False)
    content = sink.getvalue().to_pybytes()
    column = pq.ParquetFile(pa.BufferReader(content)).metadata.row_group(0).column(0)
    (page,) = walk_pages(content, column.data_page_offset, column.data_page_offset + column.total_compressed_size)
    number = zigzag(page.unpacked)
    at = content.index(number, column.data_page_offset)
    lying = bytearray(content)
    lying[at : at + len(number)] = zigzag((1 << 20) - 1)
    with pytest.raises(pa.ArrowException, match="unpacks to"):
        read_parquet(bytes(lying), limit=1 << 19)


def zigzag(value: int) -> bytes:
    value, result = value << 1, b""
    while value > 0x7F:
        result, value = result + bytes([value & 0x7F | 0x80]), value >> 7
    return result + bytes([value])


@pytest.mark.parametrize("kind", ["link", "dangling", "device", "pipe", "directory"])
def test_only_a_regular_file_is_read(ledger, tmp_path, kind):
    path = tmp_path / "x.parquet"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to({"link": ledger, "dangling": "nowhere", "device": "/dev/zero"}[kind])
    for read in (read_ledger, read_selection, read_chosen, row_ids, read_origin):
        with pytest.raises(DaxaError):
            read(path)


def test_fuzzed_tables_give_typed_errors_only(tmp_path):
    """Damage that no seal covers, as a hostile hand leaves it."""
    from daxa.selection.selection_file import write_selection

    selection = tmp_path / "selection.parquet"
    rows = pd.DataFrame([observation(FIRST), observation(SECOND)])
    write_selection(selection, rows, mission="xmm", criteria="{}", snapshot="0" * 64)
    write_ledger(tmp_path / "ledger.parquet", ROWS, mission="xmm", step="clean")
    upstream = tmp_path / "upstream.parquet"
    texts = ("obs_id", "path", "url", "sha256", "etag", "last_modified", "retrieved")
    fields = ["obs_id", "path", "url", "size", "sha256", "etag", "last_modified", "retrieved"]
    table = pa.table(
        {name: pa.array([name] if name in texts else [7]) for name in fields},
    ).replace_schema_metadata({"daxa.origin": "{}"})
    write_parquet(upstream, table)
    rng = random.Random(907)
    for path, reads in (
        (selection, (read_selection, read_chosen)),
        (tmp_path / "ledger.parquet", (read_ledger,)),
        (upstream, (row_ids, read_origin)),
    ):
        whole = path.read_bytes()
        seal = whole.index(b"daxa-sha256:")
        plain = whole[:seal] + whole[seal + 76 :]
        for _ in range(150):
            damaged = bytearray(plain)
            for _ in range(rng.choice([1, 2, 8])):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            path.write_bytes(damaged)
            for read in reads:
                with suppress(DaxaError):
                    read(path)
