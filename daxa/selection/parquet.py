"""Write Parquet files so that a reader, or a kill, never meets half of one."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from daxa.errors import StorageError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["write_parquet"]


def write_parquet(path: Path, table: pa.Table, *, compression: Literal["none", "zstd"] = "none") -> None:
    """Write a table to a file, replacing an older one at once; equal tables give equal bytes.

    Parameters
    ----------
    path
        The file; its directory is made when absent.
    table
        What to write, with its metadata.
    compression
        ``none`` for what Git keeps, which then packs versions as small differences.

    Raises
    ------
    StorageError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import pyarrow as pa, pyarrow.parquet as pq
    >>> with tempfile.TemporaryDirectory() as place:
    ...     write_parquet(Path(place, "new", "one.parquet"), pa.table({"obs_id": ["0404910601"]}))
    ...     pq.ParquetFile(Path(place, "new", "one.parquet")).read()["obs_id"].to_pylist()
    ['0404910601']
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    # Without dictionaries: whether one is used depends on the rows, and so would the differences that Git packs.
    pq.write_table(table, sink, compression=compression, use_dictionary=False, version="2.6", data_page_version="1.0")
    part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as stream:
            stream.write(sink.getvalue())
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
