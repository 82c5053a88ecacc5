"""The journal of a running stage: rows that are not yet in the ledger.

One JSON line per finished task, written to disk before the task's products are moved
into place.  Whatever kills the stage, the next one replays the journal.  A line that
was cut short is ignored: its task runs again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from daxa.errors import DataError
from daxa.run.rows import row_as_plain, row_from_plain
from daxa.run.task import LedgerRow, canonical

__all__ = ["append_rows", "open_journal", "read_journal"]


def read_journal(path: Path) -> dict[str, LedgerRow]:
    """The rows by ObsID, the last one of each; empty when there is no journal.

    Lines that are not valid rows are left out, since their tasks can run again.

    Examples
    --------
    >>> read_journal(Path("no-such-journal.jsonl"))
    {}
    """
    rows = {}
    for line in _whole_lines(path):
        try:
            row = row_from_plain(json.loads(line))
        except (ValueError, RecursionError, DataError):
            continue
        rows[row.obs_id] = row
    return rows


def open_journal(path: Path) -> BinaryIO:
    """Open the journal for `append_rows`, without the incomplete line that a kill may have left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = sum(len(line) + 1 for line in _whole_lines(path))
    stream = path.open("ab")
    stream.truncate(whole)
    return stream


def append_rows(stream: BinaryIO, rows: Iterable[LedgerRow]) -> None:
    """Add rows and wait once until all of them are on disk."""
    lines = [canonical(row_as_plain(row)).encode() + b"\n" for row in rows]
    if lines:
        stream.write(b"".join(lines))
        stream.flush()
        os.fsync(stream.fileno())


def _whole_lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
