"""MD5 digests, the names of DVC's objects, taken once for as long as a file stays as it is."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import BinaryIO, Self

from daxa.archive.layout import Layout
from daxa.errors import StorageError

__all__ = ["Digests", "place_object"]

_Stamp = tuple[int, int, int, int]

_THREADS = 2 * (os.cpu_count() or 1)
_CHUNK = 1 << 20
_SETTLED_NS = 100_000_000
"""A file that changed more recently may change again within the resolution of its time stamps."""


class Digests:
    """Digests by size, modification time, change time and inode; an unchanged file costs a stat.

    A context manager that keeps them in the archive's private directory: losing them costs time only.

    Parameters
    ----------
    layout
        The archive.
    """

    def __init__(self, layout: Layout) -> None:
        self._path = layout.private / "hashes" / "objects.json"
        self._known = _load(self._path)
        self._changed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._changed:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part = self._path.with_name(f"{self._path.name}.part")
            part.write_text(json.dumps(self._known, separators=(",", ":")), encoding="utf-8")
            part.replace(self._path)

    def md5(self, file: Path) -> str:
        """Digest of a regular file; '' when there is none, or when it cannot be read."""
        try:
            found = file.lstat()
            if not stat.S_ISREG(found.st_mode):
                return ""
            known = self._known.get(str(file))
            if known and tuple(known[:4]) == _stamp(found):
                return str(known[4])
            with _open(file) as stream:
                digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
                after = os.fstat(stream.fileno())
        except OSError:
            return ""
        if _stamp(after) == _stamp(found) and time.time_ns() - after.st_ctime_ns > _SETTLED_NS:
            self._known[str(file)] = [*_stamp(found), digest]
            self._changed = True
        return digest

    def many(
        self, files: Iterable[Path], observe: Callable[[int, int], None] = lambda ended, total: None
    ) -> dict[Path, str]:
        """Digests of many files; `observe` is told how many have been read, of how many."""
        wanted = list(files)
        found: dict[Path, str] = {}
        with ThreadPoolExecutor(_THREADS) as threads:
            for file, digest in zip(wanted, threads.map(self.md5, wanted), strict=True):
                found[file] = digest
                observe(len(found), len(wanted))
        return found


def place_object(source: Path | bytes, target: Path, digest: str) -> bool:
    """Put a copy of a file, or content, in the place of an object, if it has the digest; whether it has.

    The copy takes the place in one step, once it is whole, on disk and proved.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    try:
        stream = io.BytesIO(source) if isinstance(source, bytes) else _open(source)
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
                os.fsync(copy.fileno())
        if made.hexdigest() != digest.removesuffix(".dir"):
            return False
        part.chmod(0o444)  # as DVC protects its objects
        part.replace(target)
    except OSError as error:
        raise StorageError(
            "unwritable", f"{target} cannot be written: {error.strerror}", remedy="make room, or check its permissions"
        ) from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
    return True


def _open(path: Path) -> BinaryIO:
    """Open a regular file, following no link."""
    stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise FileNotFoundError(path)
    return stream


def _stamp(found: os.stat_result) -> _Stamp:
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _load(path: Path) -> dict[str, list[int | str]]:
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {name: value for name, value in values.items() if isinstance(value, list) and len(value) == 5}
