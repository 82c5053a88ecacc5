"""The one door to Parquet: files that are whole or absent, read in the calling thread.

Arrow's own threads may outlive a reading.  One that still holds a Python object when
the interpreter ends aborts the process, after all was well (apache/arrow issues 34314
and 50482), so none is requested: the tables here are read in milliseconds.

A file that daxa writes is sealed (`daxa.parquet_seal`).
"""

from __future__ import annotations

import glob
import os
import secrets
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from daxa.errors import StorageError
from daxa.files import read_plain
from daxa.parquet_pages import DICTIONARY, PLAIN_ENCODINGS, Chunk, chunks_of, walk_pages
from daxa.parquet_seal import footer_of, is_whole, sealed

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["differing_groups", "parquet_bytes", "plain_array", "read_parquet", "to_frame", "write_parquet"]

_LARGEST = 1 << 30
"""Bytes of a file that are read; the largest tables of all observations have 0.1 GB."""

_UNPACKED = 1 << 30
"""Bytes that a table may take in memory."""

_AT_ONCE = 64 << 20
"""Bytes that a batch may take, where the table's own size cannot be known beforehand."""

_ABANDONED = 3600.0
"""Seconds after which no part of a file is still being written."""

_STRINGS, _ITEMS, _NESTED = 16 << 20, 200_000, 32
"""Limits on the footer: bytes of a text, entries of a list, depth of the schema."""


def plain_array(values: Sequence[str] | Sequence[int] | Sequence[float], kind: pa.DataType) -> pa.Array:
    """A column of texts or numbers, none of them absent, as `pyarrow.array` makes it.

    That function imports pandas, if only to see that it is not given one of its objects: a fifth
    of a second for processes that write one small table.

    Parameters
    ----------
    values
        Texts, or numbers that the type can hold.
    kind
        ``string``, ``int32``, ``int64`` or ``float64``.

    Raises
    ------
    OverflowError
        A number is too large for the type.

    Examples
    --------
    >>> import pyarrow as pa
    >>> plain_array(["0404910601", ""], pa.string()).to_pylist()
    ['0404910601', '']
    """
    import pyarrow as pa

    if kind != pa.string():
        code = {pa.int32(): "i", pa.int64(): "q", pa.float64(): "d"}[kind]
        return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(array(code, values))])
    texts = [str(value).encode() for value in values]
    ends = array("i", accumulate(map(len, texts), initial=0))
    return pa.Array.from_buffers(kind, len(texts), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))])


def parquet_bytes(
    table: pa.Table, *, compression: Literal["none", "zstd"] = "none", rows_per_group: int | None = None
) -> bytes:
    """A table as a Parquet file: equal tables give equal bytes (for one version of pyarrow).

    Parameters
    ----------
    table
        What to write, with its metadata.
    compression
        ``none`` for what Git keeps, which then packs versions as small differences.
    rows_per_group
        Rows that are read together; who looks for a few rows reads no others.

    Examples
    --------
    >>> import pyarrow as pa
    >>> parquet_bytes(pa.table({"obs_id": ["0404910601"]}))[:4]
    b'PAR1'
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    # Without dictionaries: whether one is used depends on the rows, and so would the differences that Git packs.
    pq.write_table(
        table,
        sink,
        row_group_size=rows_per_group,
        compression=compression,
        use_dictionary=False,
        version="2.6",
        data_page_version="1.0",
        write_page_checksum=True,
    )
    return sealed(sink.getvalue().to_pybytes())


def write_parquet(
    path: Path,
    table: pa.Table,
    *,
    compression: Literal["none", "zstd"] = "none",
    rows_per_group: int | None = None,
) -> None:
    """Write `parquet_bytes` to a file, replacing an older one at once.

    The directory is made when absent.

    Raises
    ------
    StorageError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import pyarrow as pa
    >>> with tempfile.TemporaryDirectory() as place:
    ...     write_parquet(Path(place, "new", "one.parquet"), pa.table({"obs_id": ["0404910601"]}))
    ...     read_parquet(Path(place, "new", "one.parquet"))["obs_id"].to_pylist()
    ['0404910601']
    """
    content = parquet_bytes(table, compression=compression, rows_per_group=rows_per_group)
    part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
        _sweep(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise StorageError(
            "unwritable",
            f"{path} cannot be written: {error}",
            remedy="free some space, check the permissions, or choose another place",
        ) from None


def _sweep(path: Path) -> None:
    """Remove what killed writers of this file have left; none writes for an hour."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(OSError):
            if time.time() - part.lstat().st_mtime > _ABANDONED:
                part.unlink()


def read_parquet(
    source: Path | BinaryIO | bytes,
    *,
    check: Callable[[pa.Schema, int, int], None] | None = None,
    choose: Callable[[pq.FileMetaData], tuple[list[int], list[str] | None]] | None = None,
    limit: int = _UNPACKED,
) -> pa.Table:
    """The table, in the calling thread, with every value valid for its type.

    Parameters
    ----------
    source
        A file, by path or open, or its content.  A path may be no link; a file of the user's own is opened first.
    check
        Called before any row is read, with the schema, the number of rows, and the bytes
        that the rows say they take in memory; raises when they are too many.
    choose
        Given the file's metadata, says which row groups and which columns are read (None for
        all columns); all of the table by default.
    limit
        Bytes that the table may take in memory.

    Raises
    ------
    OSError
        The file cannot be read.
    DataError
        It is a link, device or pipe, or larger than any table of daxa's.
    pyarrow.ArrowException
        It is not a Parquet file, or damaged, or unpacks to more than the limit.
    """
    import pyarrow as pa

    content = _content(source, max(limit, _LARGEST))
    if not is_whole(content):
        raise pa.ArrowInvalid("its bytes are not those that were written")
    try:
        file = _opened(pa.BufferReader(content))
        schema, metadata = file.schema_arrow, file.metadata
        chunks = _checked_chunks(content, metadata)
        groups, columns = list(range(metadata.num_row_groups)), None
        if choose is not None:
            groups, columns = choose(metadata)
        claimed, most = _unpacked(content, _chosen(chunks, metadata, groups, columns), limit)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise pa.ArrowInvalid(f"its footer or pages cannot be read: {error}") from None
    if check is not None:
        check(schema, metadata.num_rows, claimed)
    if claimed > limit:
        raise pa.ArrowInvalid(f"it unpacks to {claimed} bytes, of which {limit} are allowed")
    try:
        if most <= limit:
            table = file.read_row_groups(groups, columns=columns, use_threads=False)
        else:
            size = max(1, min(metadata.num_rows * _AT_ONCE // most, metadata.num_rows))
            table = _limited(file.iter_batches(size, row_groups=groups, columns=columns, use_threads=False), limit)
        table.validate(full=True)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise error if isinstance(error, pa.ArrowException) else pa.ArrowInvalid(str(error)) from None
    return table


def differing_groups(one: bytes, two: bytes) -> tuple[list[int], list[int]]:
    """Row groups of two files that are not byte for byte the same at the same place of both.

    Whoever compares two versions of a table need not read the others.

    Parameters
    ----------
    one, two
        Content of the files.

    Raises
    ------
    pyarrow.ArrowException
        One of them is not a Parquet file.

    Examples
    --------
    >>> import pyarrow as pa
    >>> files = [
    ...     parquet_bytes(pa.table({"obs_id": ids}), rows_per_group=1)
    ...     for ids in (["0404910601", "0404910602"], ["0404910601", "0404910603", "0404910604"])
    ... ]
    >>> differing_groups(*files)
    ([1], [1, 2])
    """
    import pyarrow as pa

    files = [_opened(pa.BufferReader(content)) for content in (one, two)]
    counts = [file.metadata.num_row_groups for file in files]
    same: set[int] = set()
    if files[0].schema_arrow.equals(files[1].schema_arrow):
        places = [[_place(file.metadata.row_group(at)) for at in range(min(counts))] for file in files]
        for at, (left, right) in enumerate(zip(*places, strict=True)):
            if left[2:] == right[2:] and one[slice(*left[:2])] == two[slice(*right[:2])]:
                same.add(at)
    return [at for at in range(counts[0]) if at not in same], [at for at in range(counts[1]) if at not in same]


def _place(group: pq.RowGroupMetaData) -> tuple[object, ...]:
    """Where a row group begins and ends, and what its bytes are said to be."""
    columns = [group.column(at) for at in range(group.num_columns)]
    begins = [one.dictionary_page_offset or one.data_page_offset for one in columns]
    ends = [begin + one.total_compressed_size for begin, one in zip(begins, columns, strict=True)]
    said = [
        (begin - min(begins), one.path_in_schema, one.physical_type, one.compression, one.num_values, one.encodings)
        for begin, one in zip(begins, columns, strict=True)
    ]
    return (min(begins, default=0), max(ends, default=0), group.num_rows, *said)


def _opened(source: pa.NativeFile) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    return pq.ParquetFile(
        source,
        memory_map=False,
        pre_buffer=False,
        page_checksum_verification=True,
        thrift_string_size_limit=_STRINGS,
        thrift_container_size_limit=_ITEMS,
        schema_depth_limit=_NESTED,
    )


def _content(source: Path | BinaryIO | bytes, largest: int) -> bytes:
    if isinstance(source, Path):
        return read_plain(source, limit=largest)
    return source if isinstance(source, bytes) else source.read(largest)


def _checked_chunks(content: bytes, metadata: pq.FileMetaData) -> list[list[Chunk]]:
    """The columns of each row group as the footer has them, after what pyarrow takes for granted was checked."""
    groups = chunks_of(footer_of(content))
    leaves = [metadata.schema.column(index) for index in range(metadata.num_columns)]
    for group in groups:
        if [chunk.path for chunk in group] != [leaf.path for leaf in leaves]:
            raise ValueError("its columns are not those of its schema")
        for chunk, leaf in zip(group, leaves, strict=True):
            most = (leaf.max_repetition_level + 1, leaf.max_definition_level + 1)
            if any(count not in (0, wanted) for count, wanted in zip(chunk.levels, most, strict=True)):
                raise ValueError(f"the statistics of {chunk.path} are not valid")
    return groups


def _chosen(
    chunks: Sequence[Sequence[Chunk]], metadata: pq.FileMetaData, groups: Sequence[int], columns: Sequence[str] | None
) -> list[tuple[Chunk, pq.ColumnSchema]]:
    """What is to be read, column by column."""
    return [
        (chunk, metadata.schema.column(index))
        for group in groups
        for index, chunk in enumerate(chunks[group])
        if columns is None or any(f"{chunk.path}.".startswith(f"{one}.") for one in columns)
    ]


def _unpacked(content: bytes, chosen: Iterable[tuple[Chunk, pq.ColumnSchema]], limit: int) -> tuple[int, int]:
    """Bytes that the chosen part takes by what its pages say, and the most that it can take.

    The two differ where a value may be given by reference to another one (dictionaries, prefixes).

    Raises
    ------
    ValueError
        The pages cannot be, or those of nested columns could take more than the limit.
    """
    claimed = most = 0
    for chunk, leaf in chosen:
        pages = list(walk_pages(content, chunk.begin, chunk.end))
        values = sum(page.values for page in pages if page.kind != DICTIONARY)
        plain = sum(page.unpacked for page in pages) + values * (16 + max(leaf.length or 0, 0))
        largest = values * max((page.unpacked for page in pages), default=0)
        referring = any(page.kind == DICTIONARY or page.encoding not in PLAIN_ENCODINGS for page in pages)
        if referring and leaf.max_repetition_level and largest > limit:
            raise ValueError(f"the unpacked size of {chunk.path} cannot be known")
        claimed += plain
        most += max(plain, largest) if referring else plain
    return claimed, most


def _limited(read: Iterable[pa.RecordBatch], limit: int) -> pa.Table:
    """A few rows at a time, until they take more than the limit."""
    import pyarrow as pa

    batches, taken = [], 0
    for batch in read:
        taken += batch.nbytes
        if taken > limit:
            raise pa.ArrowInvalid(f"it unpacks to more than {limit} bytes")
        batches.append(batch)
    return pa.Table.from_batches(batches)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """A table as a pandas frame, in the calling thread, without what pandas notes in the metadata."""
    frame: pd.DataFrame = table.replace_schema_metadata(None).to_pandas(use_threads=False)
    return frame
