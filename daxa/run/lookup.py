"""Texts of a large table by key, so that a look at one observation need not read the table.

A lookup is a SQLite file, a cache that is never published, made by whoever has just written the
table.  It is valid as long as the table has the size, times and inode that it had then, and the same last
bytes (the seal of `daxa.parquet` is among them); otherwise the table itself is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from daxa.errors import DataError
from daxa.files import open_plain, replace_file

__all__ = ["find_texts", "keep_lookup"]

_LAST = 1 << 16
_LARGEST = 1 << 30


def keep_lookup(table: Path, lookup: Path, texts: Iterable[tuple[str, str]]) -> None:
    """Keep the texts of a table that was just written, unless they are already kept or no file can be written.

    Parameters
    ----------
    table
        The file that the texts are of.
    lookup
        Where they are kept: a place that nobody else can write to.
    texts
        Keys and texts; each key once.
    """
    if find_texts(table, lookup, ()) is not None:
        return
    with suppress(OSError, DataError), closing(sqlite3.connect(":memory:")) as base:
        base.execute("CREATE TABLE texts (key TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID")
        base.executemany("INSERT INTO texts VALUES (?, ?)", sorted(texts))
        base.execute("CREATE TABLE source (stamp TEXT)")
        base.execute("INSERT INTO source VALUES (?)", (_stamp(table),))
        base.commit()
        replace_file(lookup, base.serialize())


def find_texts(table: Path, lookup: Path, keys: Iterable[str]) -> Mapping[str, str] | None:
    """The texts of those keys that the table holds; None if the table itself must be read.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     table, lookup = Path(place, "table"), Path(place, "lookup")
    ...     _ = table.write_text("0404910601 done")
    ...     keep_lookup(table, lookup, [("0404910601", "done")])
    ...     found = find_texts(table, lookup, ["0404910601", "0201901401"])
    ...     _ = table.write_text("0404910601 failed")
    ...     found, find_texts(table, lookup, ["0404910601"])
    ({'0404910601': 'done'}, None)
    """
    if not lookup.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"file:{quote(str(lookup))}?mode=ro&immutable=1", uri=True)) as base:
            if base.execute("SELECT stamp FROM source").fetchone() != (_stamp(table),):
                return None
            rows = [base.execute("SELECT key, text FROM texts WHERE key = ?", (key,)).fetchone() for key in set(keys)]
    except (sqlite3.Error, OSError, DataError):
        return None
    return dict(row for row in rows if row)


def _stamp(table: Path) -> str:
    with open_plain(table, limit=_LARGEST) as stream:
        about = os.fstat(stream.fileno())
        stream.seek(max(about.st_size - _LAST, 0))
        last = stream.read(_LAST)
    return json.dumps(
        [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino, hashlib.sha256(last).hexdigest()]
    )
