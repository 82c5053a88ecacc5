"""A Parquet table as text for ``git diff``: a line per row and cell, the same for the same rows, and never endless."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daxa.errors import DataError
from daxa.files import read_plain
from daxa.parquet import read_parquet
from daxa.text import plain

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["table_lines"]

_LARGEST = 256 << 20
"""Bytes of a file, and of its table in memory."""

_MOST_LINES = 2_000_000
_MOST_OF_A_CELL = 2_000
_NAMES = ("obs_id", "path")
"""Columns whose values name a row."""


def table_lines(path: Path) -> Iterator[str]:
    r"""The rows of a Parquet file as lines of text.

    A row begins with a line that names it, and a line for each of its other cells follows, which names it again, so
    that no line of one row looks like that of another.  What is empty is left out.  A file that is not a table, or too
    large for one, is a line with its digest: texts of different files differ in any case.

    Parameters
    ----------
    path
        A regular file, which may be a stranger's.

    Yields
    ------
    str
        A line without its end, and without characters that cannot be seen.

    Raises
    ------
    OSError
        The file cannot be read.
    DataError
        It is not a regular file, or too large.

    Examples
    --------
    >>> import tempfile
    >>> import pyarrow as pa
    >>> from daxa.parquet import write_parquet
    >>> with tempfile.TemporaryDirectory() as place:
    ...     write_parquet(Path(place, "one.parquet"), pa.table({"obs_id": ["0404910601"], "exposure": [2.5]}))
    ...     print("\n".join(table_lines(Path(place, "one.parquet"))))
    # obs_id: string, exposure: double
    0404910601
    0404910601 exposure: 2.5
    """
    import pyarrow as pa

    content = read_plain(path, limit=_LARGEST)
    try:
        table = read_parquet(content, limit=_LARGEST)
    except (pa.ArrowException, DataError, OSError, NotImplementedError) as error:
        yield f"# not a table that daxa can read: {_one_line(str(error))}"
        yield _digest_line(content)
        return
    for number, line in enumerate(_lines(table)):
        if number == _MOST_LINES:
            yield "# ... and more, which are not shown"
            yield _digest_line(content)
            return
        yield line


def _lines(table: pa.Table) -> Iterator[str]:
    names = table.column_names
    yield "# " + _one_line(", ".join(f"{field.name}: {field.type}" for field in table.schema))
    for key, value in sorted((table.schema.metadata or {}).items()):
        if key.startswith(b"daxa."):
            yield f"# {_one_line(_text(key))} = {_one_line(_text(value))}"
    naming = [name for name in _NAMES if name in names] or names[:1]
    for batch in table.to_batches(max_chunksize=1000):
        for row in batch.to_pylist():
            key = " ".join(_cell(row[name]) for name in naming).rstrip() or '""'
            yield key
            for name in names:
                if name not in naming:
                    yield from _cell_lines(f"{key} {_one_line(name)}", row[name])


def _cell_lines(name: str, value: Any) -> Iterator[str]:
    """Lines of a cell; one per item of a list."""
    if value is None or (isinstance(value, str | list) and not value):
        return
    for item in value if isinstance(value, list) else [value]:
        yield f"{name}: {_cell(item)}"


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return _one_line(" ".join(f"{key}={_cell(item)}" for key, item in value.items() if item not in ("", None)))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return _one_line(", ".join(map(_cell, value[:_MOST_OF_A_CELL])))
    return _one_line(_text(value) if isinstance(value, bytes) else str(value))


def _text(value: bytes) -> str:
    with suppress(UnicodeDecodeError):
        return value.decode()
    return value.hex()


def _one_line(text: str) -> str:
    """The text on one line, of a limited length: what is cut off is in its digest."""
    shown = plain(text).replace("\n", " ").replace("\t", " ")
    if len(shown) <= _MOST_OF_A_CELL:
        return shown
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{shown[:_MOST_OF_A_CELL]}... ({len(text)} characters, {digest})"


def _digest_line(content: bytes) -> str:
    return f"# {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}"
