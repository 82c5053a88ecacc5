"""The one door to Parquet: files that are whole or absent, read in the calling thread.

Arrow's own threads may outlive a reading.  One that still holds a Python object when
the interpreter ends aborts the process, after all was well (apache/arrow issues 34314
and 50482), so none is asked for: the tables here are read in milliseconds.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from daxa.errors import StorageError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["parquet_bytes", "read_parquet", "to_frame", "write_parquet"]


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
    )
    return sink.getvalue().to_pybytes()


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
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise StorageError(
            "unwritable",
            f"{path} cannot be written: {error}",
            remedy="free some space, check the permissions, or choose another place",
        ) from None


def read_parquet(
    source: Path | BinaryIO | bytes,
    *,
    check: Callable[[pa.Schema, int, int], None] | None = None,
    choose: Callable[[pq.FileMetaData], tuple[list[int], list[str] | None]] | None = None,
) -> pa.Table:
    """The table, in the calling thread.

    Parameters
    ----------
    source
        A file, by path or open, or its content.
    check
        Called before any row is read, with the schema, the number of rows, and the bytes
        that the rows say they take in memory; raises when they are too many.
    choose
        Given the file's metadata, tells which row groups and which columns are read (None for
        all columns); all of the table by default.

    Raises
    ------
    OSError
        The file cannot be read.
    pyarrow.ArrowException
        It is no Parquet file, or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source, memory_map=False) as file:
        if check is not None:
            metadata = file.metadata
            unpacked = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
            check(file.schema_arrow, metadata.num_rows, unpacked)
        if choose is None:
            return file.read(use_threads=False)
        groups, columns = choose(file.metadata)
        return file.read_row_groups(groups, columns=columns, use_threads=False)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """A table as a pandas frame, in the calling thread, without what pandas notes in the metadata."""
    return table.replace_schema_metadata(None).to_pandas(use_threads=False)
