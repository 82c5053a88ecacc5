"""Digests of files that have not changed since they were last read.

A file counts as unchanged if size, modification time and inode are those with which
it was digested.  The change time is ignored: before DVC runs a stage it sets the mode
of every file of a persistent out, and each would have to be read again.  The cache is
untracked and disposable: without it, or when it cannot be read, files are digested again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from daxa.errors import DataError
from daxa.files import parse_json, read_note, read_plain
from daxa.run.rows import check_path
from daxa.run.task import LedgerRow

__all__ = ["MANIFEST", "HashCache", "Stamp", "State", "find_files", "find_state", "find_strays", "stamp_of"]

Stamp = tuple[int, int, int]
"""Size, modification time (ns) and inode of a file."""

State = Literal["intact", "absent", "missing", "damaged"]

MANIFEST = "manifest.json"
"""The file next to the products that says what they are and what they were made from."""


_LITTER = re.compile(r"\.DS_Store|\._.*|Thumbs\.db|desktop\.ini|\..*\.[0-9a-f]{16}")
"""Files that file managers create on their own, and unfinished copies of `daxa.fetch.store`."""


def stamp_of(found: os.stat_result) -> Stamp:
    """What must not change for a digest to stay valid."""
    return (found.st_size, found.st_mtime_ns, found.st_ino)


class HashCache:
    """A cache of SHA-256 digests in one JSON file.

    Parameters
    ----------
    path
        The file; absent or unreadable means an empty cache.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     note = Path(place, "note.txt")
    ...     _ = note.write_bytes(b"abc")
    ...     HashCache(Path(place, "hashes.json")).sha256(note)[:8]
    'ba7816bf'
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _load(path)
        self._used: dict[str, tuple[Stamp, str]] = {}

    def sha256(self, file: Path) -> str:
        """Digest of a file's bytes, from the cache if the file is unchanged."""
        return self.sha256_of(str(file), file.lstat())

    def sha256_of(self, file: str, found: os.stat_result) -> str:
        """`sha256` of a file whose status has just been read."""
        stamp = stamp_of(found)
        known = self._used.get(file) or self._known.get(file)
        if known and known[0] == stamp:
            digest = known[1]
        else:
            digest = self.read(file, found)
            if stamp_of(os.lstat(file)) != stamp:
                return digest
        self._used[file] = (stamp, digest)
        return digest

    def read(self, file: str, found: os.stat_result) -> str:
        """Digest of a file whose bytes must be read."""
        with open(file, "rb") as stream:  # noqa: PTH123 - paths are made for files that are read, and few are
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def record(self, file: Path, stamp: Stamp, sha256: str) -> None:
        """Remember the digest of a file that had this stamp."""
        self._used[str(file)] = (stamp, sha256)

    def save(self) -> None:
        """Write the digests that were asked for or recorded; others are dropped."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_name(self._path.name + ".part")
        values = {name: [*stamp, digest] for name, (stamp, digest) in sorted(self._used.items())}
        part.write_text(json.dumps(values, separators=(",", ":")), encoding="utf-8")
        part.replace(self._path)


def _load(path: Path) -> dict[str, tuple[Stamp, str]]:
    return {
        name: (tuple(value[:3]), value[3])
        for name, value in read_note(path).items()
        if isinstance(value, list) and len(value) == 4 and isinstance(value[3], str)
    }


def find_files(directory: Path) -> dict[str, os.stat_result]:
    """The files below a directory, by relative path with forward slashes.

    Raises
    ------
    DataError
        Something is not a regular file, or has a name that no product may have.
    """
    if directory.is_symlink():
        raise DataError("product-kind", f"{directory} is a link", remedy="put a directory in its place")
    return dict(sorted(_walk(directory, "")))


def _walk(directory: Path | str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            path = check_path(prefix + entry.name)
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, path + "/")
            elif stat.S_ISREG((found := entry.stat(follow_symlinks=False)).st_mode):
                yield path, found
            else:
                raise DataError(
                    "product-kind", f"{entry.path} is not a regular file", remedy="write the product as a plain file"
                )


def find_strays(directory: Path, row: LedgerRow | None) -> list[str]:
    """Files below a directory of products that neither its row in the ledger nor its own manifest names.

    Parameters
    ----------
    directory
        Of one observation; a file or link in its place is itself a stray, named ''.
    row
        Its row in the ledger, or None.

    Returns
    -------
    list of str
        Relative paths, sorted, without what file managers leave behind, and without a copy of daxa's own that a
        kill interrupted.
    """
    if not os.path.lexists(directory):
        return []
    if directory.is_symlink() or not directory.is_dir():
        return [] if _LITTER.fullmatch(directory.name) and not directory.is_symlink() else [""]
    known = {file.path for file in row.files} if row else set()
    strays = [path for path in _everything(directory, "") if path not in known]
    if strays:
        known = _in_manifest(directory)
        strays = [path for path in strays if path not in known]
    return sorted(strays)


def _everything(directory: Path, prefix: str) -> Iterator[str]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _everything(Path(entry.path), f"{prefix}{entry.name}/")
            elif not _LITTER.fullmatch(entry.name):
                yield prefix + entry.name


def _in_manifest(directory: Path) -> set[str]:
    """The files named in the directory's own manifest, including itself."""
    path = directory / MANIFEST
    try:
        manifest = parse_json(read_plain(path), path)
        if manifest["obs_id"] != directory.name:
            return set()
        return {MANIFEST, *(str(file["path"]) for file in manifest["files"])}
    except (OSError, DataError, KeyError, TypeError):
        return set()


def find_state(directory: Path, row: LedgerRow, hashes: HashCache, *, fetched: bool = False) -> State:
    """Compare the content of a directory with its row in the ledger.

    Parameters
    ----------
    directory
        Of one observation.
    row
        Its row in the ledger.
    hashes
        Spares reading unchanged files.
    fetched
        True for a directory of fetched files, which later steps link anew from the
        store: its manifest may be absent, and so may all of it, but not a part.

    Returns
    -------
    State
        ``intact``; ``absent`` as a whole; ``missing`` some file; or ``damaged``: a file
        differs, or there is one that the ledger does not know.
    """
    try:
        found = find_files(directory) if os.path.lexists(directory) else {}
    except (DataError, NotADirectoryError):
        return "damaged"
    wanted = {file.path: file for file in row.files}
    if not found and wanted:
        return "absent"
    gone = wanted.keys() - found.keys()
    if fetched:
        gone -= {MANIFEST}
    if gone:
        return "damaged" if fetched else "missing"
    same = (
        found.keys() <= wanted.keys()
        and all(found[path].st_size == wanted[path].size for path in found)
        and all(hashes.sha256_of(f"{directory}/{path}", found[path]) == wanted[path].sha256 for path in found)
    )
    return "intact" if same else "damaged"
