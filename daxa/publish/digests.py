"""Digests of files, computed once for as long as a file is unchanged; and copies that are verified by them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import Literal, Self

from daxa.archive.layout import Layout
from daxa.errors import StorageError
from daxa.files import read_note, replace_file

__all__ = ["Digests", "place_object", "read_md5"]

_Stamp = tuple[int, int, int, int]

_THREADS = 2 * (os.cpu_count() or 1)
_CHUNK = 1 << 20
_SETTLED_NS = 100_000_000
"""A file that changed more recently may change again within the resolution of its time stamps."""


class Digests:
    """Digests by size, modification time, change time and inode; an unchanged file costs a stat.

    A context manager that keeps them in the archive's private directory: losing them only costs time.

    Parameters
    ----------
    layout
        The archive.
    algorithm
        ``md5``, as DVC names its objects, or ``sha256``, as ledgers name files.
    """

    def __init__(self, layout: Layout, algorithm: Literal["md5", "sha256"] = "md5") -> None:
        self._path = layout.private / "hashes" / f"files-{algorithm}.json"
        self._algorithm = algorithm
        self._known = _load(self._path)
        self._changed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._changed:
            return
        with suppress(OSError):
            replace_file(self._path, json.dumps(self._known, separators=(",", ":")).encode())

    def of(self, file: str | Path) -> str:
        """Digest of a regular file; '' if there is none, or if it cannot be read."""
        name = str(file)
        known = self._remembered(name)
        return self._read(name) if known is None else known

    def many(
        self, files: Iterable[str], observe: Callable[[int, int], None] = lambda ended, total: None
    ) -> dict[str, str]:
        """Digests of many files; `observe` is called with the number read so far, and their total."""
        found: dict[str, str] = {}
        unread: list[str] = []
        for name in files:
            if (known := self._remembered(name)) is None:
                unread.append(name)
            else:
                found[name] = known
        if unread:
            with ThreadPoolExecutor(_THREADS) as threads:
                for ended, (name, digest) in enumerate(zip(unread, threads.map(self._read, unread), strict=True), 1):
                    found[name] = digest
                    observe(ended, len(unread))
        return found

    def _remembered(self, name: str) -> str | None:
        """The known digest of an unchanged file; '' if there is no file; None if it must be read."""
        try:
            found = os.lstat(name)
        except OSError:
            return ""
        if not stat.S_ISREG(found.st_mode):
            return ""
        known = self._known.get(name)
        return str(known[4]) if known and tuple(known[:4]) == _stamp(found) else None

    def _read(self, name: str) -> str:
        try:
            with _open(name) as stream:
                before = os.fstat(stream.fileno())
                digest = hashlib.file_digest(
                    stream, partial(hashlib.new, self._algorithm, usedforsecurity=False)
                ).hexdigest()
                after = os.fstat(stream.fileno())
        except OSError:
            return ""
        if _stamp(after) == _stamp(before) and time.time_ns() - after.st_ctime_ns > _SETTLED_NS:
            self._known[name] = [*_stamp(before), digest]
            self._changed = True
        return digest


def read_md5(file: Path) -> str:
    """Digest of a regular file, computed now and not remembered; '' if there is none."""
    try:
        with _open(file) as stream:
            return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError:
        return ""


def place_object(source: Path | bytes | io.RawIOBase, target: Path, digest: str, *, durable: bool = True) -> bool:
    """Put a copy of a file, or content, in the place of an object if it has the digest; return whether it has.

    The copy is moved into place in one step, once it is complete, on disk and verified.  Many objects at once
    need not be `durable`: what a power failure damages has another digest, and is repaired.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    try:
        stream = _stream_of(source)
    except OSError:
        return False
    part: Path | None = None
    try:
        with stream:
            target.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=target.parent, prefix=".daxa-", suffix=".part", delete=False) as copy:
                part = Path(copy.name)
                made = hashlib.md5(usedforsecurity=False)
                while chunk := stream.read(_CHUNK):
                    made.update(chunk)
                    copy.write(chunk)
                copy.flush()
                if durable:
                    os.fsync(copy.fileno())
        if made.hexdigest() != digest.removesuffix(".dir"):
            return False
        part.chmod(0o444)  # as DVC protects its objects
        part.replace(target)
    except OSError as error:
        raise StorageError(
            "unwritable",
            f"{target} cannot be written: {error.strerror}",
            remedy="free some space, or check its permissions",
        ) from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
    return True


def _stream_of(source: Path | bytes | io.RawIOBase) -> io.IOBase:
    if isinstance(source, io.RawIOBase):
        return source
    return io.BytesIO(source) if isinstance(source, bytes) else _open(source)


def _open(path: str | Path) -> io.BufferedReader:
    """Open a regular file, following no link."""
    stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise FileNotFoundError(path)
    return stream


def _stamp(found: os.stat_result) -> _Stamp:
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _load(path: Path) -> dict[str, list[int | str]]:
    return {name: value for name, value in read_note(path).items() if isinstance(value, list) and len(value) == 5}
