"""What is in the tar file of a field, noted beside it: the file is unpacked once for that, whoever needs it next.

A note belongs to the digest of the tar file, so that it is true of no other.  A note that cannot be read, or is not
ours, counts as none.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

from daxa.fetch.listing import safe_name
from daxa.fetch.parts import disk_errors, open_regular
from daxa.files import refuse_links, replace_file

__all__ = ["FIELDS", "PackedFile", "read_index", "write_index"]

FIELDS = "fields"
"""Directory of the store for the files of fields while they are not whole, and for what is in them."""

_LARGEST = 32 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class PackedFile:
    """A file in a tar file.

    Parameters
    ----------
    size, sha256
        Of its bytes.
    """

    size: int
    sha256: str


def read_index(store: Path, sha256: str) -> dict[str, PackedFile] | None:
    """Path to file, of the tar file with this digest; None where that is not noted.

    Parameters
    ----------
    store
        The root of the store.
    sha256
        Of the tar file.
    """
    try:
        with open_regular(_place(store, sha256)) as descriptor, os.fdopen(os.dup(descriptor), "rb") as file:
            noted = json.loads(file.read(_LARGEST))
        found = {path: PackedFile(size, digest) for path, (size, digest) in noted.items()}
        sound = all(
            all(map(safe_name, path.split("/"))) and isinstance(one.size, int) and _DIGEST.fullmatch(one.sha256)
            for path, one in found.items()
        )
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    return found if sound else None


def write_index(store: Path, sha256: str, files: Mapping[str, PackedFile]) -> None:
    """Note what is in the tar file with this digest, unless that is more than `read_index` would read.

    Parameters
    ----------
    store, sha256
        As for `read_index`.
    files
        Path to file.

    Raises
    ------
    DataError
        ``data.link``: a link is in the place of the note's directory.
    StorageError
        The disk is full or cannot be written.
    """
    content = json.dumps({path: astuple(one) for path, one in files.items()}, sort_keys=True).encode()
    if len(content) >= _LARGEST:
        return
    place = _place(store, sha256)
    refuse_links(store, place)
    with disk_errors(place):
        replace_file(place, content)


def _place(store: Path, sha256: str) -> Path:
    return store / FIELDS / f"{sha256}.contents"
