"""Cached columns of an archive's tables, so that the next command need not read them.

The cache is in the Git directory, which nobody else can write; each entry is a function of
one file, and counts as long as that file has the same size, modification time and inode.
Without it everything is read again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from daxa.archive.layout import Layout
from daxa.errors import DaxaError
from daxa.files import replace_file
from daxa.run.hashes import stamp_of

__all__ = ["cached"]

_FORMAT = 1


def cached(layout: Layout, source: Path, make: Callable[[], Any]) -> Any:
    """What `make` gives, from the cache where `source` has not changed.

    Parameters
    ----------
    layout
        The archive.
    source
        A file of the archive, on whose content alone the answer depends.
    make
        Gives something that JSON can hold.
    """
    # A file from elsewhere replaces the archive's own, to see what it would change.
    if not layout.is_repository or not source.is_relative_to(layout.root) or not source.is_file():
        return make()
    entry = layout.private / "views" / f"{source.parent.name}-{source.name}.json"
    stamp = [_FORMAT, *stamp_of(source.lstat())]
    with suppress(OSError, ValueError, TypeError, KeyError):
        kept = json.loads(entry.read_bytes())
        if kept["stamp"] == stamp:
            return kept["content"]
    content = make()
    with suppress(OSError, DaxaError):
        if [_FORMAT, *stamp_of(source.lstat())] == stamp:
            replace_file(entry, json.dumps({"stamp": stamp, "content": content}, separators=(",", ":")).encode())
    return content
