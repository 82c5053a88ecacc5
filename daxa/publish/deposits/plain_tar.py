"""Tar files of nothing but plain files: the same files give the same bytes, and no other kind of member is read.

Python's reader follows long names and extended headers, whose sizes a stranger can choose.  We do not need them, so
a member here is one block of header with the name of a file, and its content.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from daxa.errors import DataError
from daxa.files import open_plain

__all__ = ["Member", "member_space", "open_tar", "write_member", "write_tar_end"]

_BLOCK = 512
_CHUNK = 1 << 20
_END = bytes(2 * _BLOCK)
_MOST = 1 << 62


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


class Member(io.RawIOBase):
    """The content of a file in a tar, as a stream that ends where the file ends.

    Parameters
    ----------
    name, size
        Those of the file.
    stream
        What it is read from.
    path
        That of the tar, for messages.
    """

    def __init__(self, name: str, size: int, stream: BinaryIO, path: Path) -> None:
        super().__init__()
        self.file_name = name
        self.size = size
        self._stream = stream
        self._left = size
        self._path = path

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """At most a number of bytes; fewer only at the end.

        Raises
        ------
        DataError
            The tar ends before.
        """
        wanted = self._left if size < 0 else min(size, self._left)
        content = self._stream.read(wanted)
        if len(content) != wanted:
            raise _damaged(self._path, f"it ends within {self.file_name}")
        self._left -= wanted
        return content

    def pass_over(self) -> None:
        """Skip the rest of the content and of its last block."""
        while self._left:
            self.read(_CHUNK)
        self._stream.read(-self.size % _BLOCK)


def member_space(size: int) -> int:
    """Bytes that a file of this size takes in a tar.

    Examples
    --------
    >>> member_space(0), member_space(1), member_space(512)
    (512, 1024, 1024)
    """
    return _BLOCK + size + -size % _BLOCK


def write_member(target: _Sink, name: str, size: int, chunks: Iterable[bytes]) -> None:
    """Write one file; its owner, time and permissions are the same for all.

    Parameters
    ----------
    target
        Where to write.
    name, size
        Those of the file.
    chunks
        Its content.

    Raises
    ------
    DataError
        The content has another size.
    """
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o444
    header = info.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")
    if len(header) != _BLOCK:
        raise ValueError(name)
    target.write(header)
    written = 0
    for chunk in chunks:
        target.write(chunk)
        written += len(chunk)
    if written != size:
        raise DataError("changed", f"{name} changed while it was read", remedy="try again when nothing else is running")
    target.write(bytes(-size % _BLOCK))


def write_tar_end(target: _Sink) -> None:
    """End a tar."""
    target.write(_END)


@contextmanager
def open_tar(path: Path, names: re.Pattern[str]) -> Iterator[Iterator[Member]]:
    """The members of a tar, one after another; what is not read of one is skipped before the next.

    Parameters
    ----------
    path
        A regular file.
    names
        The names that members may have; each once.

    Raises
    ------
    DataError
        It contains anything else: a link, a directory, a device, another name, a wrong header or end.
    """
    with open_plain(path, limit=_MOST) as stream:
        yield _members(path, stream, names)


def _members(path: Path, stream: BinaryIO, names: re.Pattern[str]) -> Iterator[Member]:
    seen: set[str] = set()
    while True:
        block = stream.read(_BLOCK)
        if block == bytes(_BLOCK):
            if stream.read(_BLOCK + 1) != bytes(_BLOCK):
                raise _damaged(path, "there is something after its end")
            return
        if len(block) != _BLOCK:
            raise _damaged(path, "it ends too early")
        try:
            info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, ValueError):
            raise _damaged(path, "a header in it is wrong") from None
        if info.type != tarfile.REGTYPE or info.linkname:
            raise _damaged(path, f"{info.name[:80]!r} in it is not a plain file")
        if not names.fullmatch(info.name):
            raise _damaged(path, f"it contains {info.name[:80]!r}, which does not belong there")
        if info.name in seen:
            raise _damaged(path, f"it contains {info.name!r} twice")
        if not 0 <= info.size <= _MOST:
            raise _damaged(path, f"{info.name!r} in it has no size")
        seen.add(info.name)
        member = Member(info.name, info.size, stream, path)
        yield member
        member.pass_over()


def _damaged(path: Path, why: str) -> DataError:
    return DataError(
        "deposit",
        f"{path} cannot be used: {why}",
        remedy="get the deposit again from where it was published; `sha256sum --check SHA256SUMS` names damaged files",
    )
