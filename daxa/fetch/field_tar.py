"""Read the tar file of a whole field: which files it holds, and one of them.

The file has passed `daxa.fetch.content_check.check_file`, which says that it arrived whole; what is inside is judged
here.  Nothing is written but the one file that is requested, under a name that is not the tar's.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from daxa.errors import DataError
from daxa.fetch.content_check import contents
from daxa.fetch.field_index import PackedFile
from daxa.fetch.file_sizes import LARGEST, check_space
from daxa.fetch.listing import safe_name
from daxa.fetch.parts import disk_errors, open_regular
from daxa.tars import Member, read_members

__all__ = ["extract_member", "list_members"]

_CHUNK = 1 << 20


class _Unpacked(io.RawIOBase):
    """Pieces of bytes as a stream."""

    def __init__(self, pieces: Iterator[bytes], check_stop: Callable[[], None]) -> None:
        super().__init__()
        self._pieces, self._check_stop = pieces, check_stop
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, into: bytearray | memoryview, /) -> int:  # type: ignore[override]
        if not self._held:
            self._check_stop()
            self._held = memoryview(next(self._pieces, b""))
        size = min(len(into), len(self._held))
        into[:size] = self._held[:size]
        self._held = self._held[size:]
        return size


def _members(path: Path, name: str, check_stop: Callable[[], None]) -> Iterator[tuple[str, Member]]:
    """The files in it with their paths, each once."""
    refuse, seen = partial(_damaged, name), set[str]()
    stream = io.BufferedReader(_Unpacked(contents(path, name), check_stop), _CHUNK)
    for member in read_members(stream, _inside, refuse, foreign=True):
        inner = member.file_name.removeprefix("./")
        if inner in seen:
            raise refuse(f"it contains {inner!r} twice")
        if member.size > LARGEST["extra"]:
            raise refuse(f"{inner[:80]!r} in it is said to have {member.size} bytes")
        seen.add(inner)
        yield inner, member


def _inside(name: str) -> bool:
    """Whether a name leads nowhere but below the folder in which a tar would be unpacked."""
    return not name.startswith("/") and ".." not in name.split("/")


def list_members(path: Path, name: str, check_stop: Callable[[], None] = lambda: None) -> dict[str, PackedFile]:
    """Path to size and digest of the files in a tar; those whose names could not be used here are left out.

    Parameters
    ----------
    path, name
        The file, and what the archive calls it: compressed where that ends in ``.gz``.
    check_stop
        Called now and then; raises where the reading shall end.

    Raises
    ------
    DataError
        ``data.damaged`` or ``data.truncated``: it is not a tar of plain files and folders, or not whole.
        ``data.oversized``: it unpacks to more than any file of its size.
    """
    found = {}
    for inner, member in _members(path, name, check_stop):
        if all(map(safe_name, inner.split("/"))):
            found[inner] = PackedFile(member.size, _digest(member))
    return found


def _digest(member: Member) -> str:
    sha256 = hashlib.sha256()
    while block := member.read(_CHUNK):
        sha256.update(block)
    return sha256.hexdigest()


def extract_member(
    path: Path, name: str, wanted: str, target: Path, *, most: int, check_stop: Callable[[], None] = lambda: None
) -> int:
    """Write one file of a tar to `target`, which must not exist; its size.

    Parameters
    ----------
    path, name, check_stop
        As for `list_members`.
    wanted
        Its path in the tar.
    target
        A new file, readable by its owner alone.
    most
        Bytes that it may have.

    Raises
    ------
    DataError
        ``data.absent``: it is not there.  ``data.oversized``, ``data.no-room``: it is too large.
        Else as `list_members`.
    StorageError
        The disk is full or cannot be written.
    """
    for inner, member in _members(path, name, check_stop):
        if inner != wanted:
            continue
        if member.size > most:
            raise DataError(
                "oversized",
                f"{wanted} in {name} has {member.size} bytes, and cannot have more than {most}",
                remedy="report the file to the archive's help desk",
            )
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            check_space(target.parent, f"{wanted} in {name}", member.size)
            with (
                open_regular(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as descriptor,
                os.fdopen(os.dup(descriptor), "wb") as file,
            ):
                while block := member.read(_CHUNK):
                    file.write(block)
                file.flush()
                os.fsync(descriptor)
        return member.size
    raise DataError(
        "absent",
        f"{name} does not contain {wanted}",
        remedy="look it up at the archive, which may have packed the field anew; `daxa run` tries again",
    )


def _damaged(name: str, why: str) -> DataError:
    return DataError(
        "damaged",
        f"{name} cannot be used: {why}",
        remedy="run `daxa run` again later; if it persists, report the file to the archive's help desk",
    )
