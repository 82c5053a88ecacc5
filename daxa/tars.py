"""Tar files of strangers: nothing but plain files is read, and folders where they are allowed.

Python's reader follows long names and extended headers, whose sizes a stranger can choose.  A member here is one
block of header, which is judged before its content is read.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from typing import Protocol

from daxa.errors import DataError

__all__ = ["TAR_BLOCK", "Member", "Refusal", "Stream", "read_members"]

TAR_BLOCK = 512
"""Bytes of a block: a header has one, and contents fill whole ones."""

_CHUNK = 1 << 20
_MOST = 1 << 62
_MOST_MEMBERS = 1_000_000

Refusal = Callable[[str], DataError]
"""Makes the error for a tar that cannot be used, from the reason."""


class Stream(Protocol):
    """What a tar is read from."""

    def read(self, size: int = -1, /) -> bytes:
        """So many bytes, fewer only at the end."""
        ...


class Member(io.RawIOBase):
    """The content of a file in a tar, as a stream that ends where the file ends.

    Parameters
    ----------
    name, size
        Those of the file.
    stream
        What it is read from.
    refuse
        Makes the error for a tar that cannot be used.
    """

    def __init__(self, name: str, size: int, stream: Stream, refuse: Refusal) -> None:
        super().__init__()
        self.file_name = name
        self.size = size
        self._stream = stream
        self._left = size
        self._refuse = refuse

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
            raise self._refuse(f"it ends within {self.file_name}")
        self._left -= wanted
        return content

    def pass_over(self) -> None:
        """Skip the rest of the content and of its last block."""
        while self._left:
            self.read(_CHUNK)
        self._stream.read(-self.size % TAR_BLOCK)


def read_members(
    stream: Stream, allowed: Callable[[str], bool], refuse: Refusal, *, folders: bool = False
) -> Iterator[Member]:
    """The files of a tar, one after another; what is not read of one is skipped before the next.

    Parameters
    ----------
    stream
        The tar, not compressed.
    allowed
        Judges the name of a member.  A name that it refuses stops the reading; each name may occur once.
    refuse
        Makes the error for a tar that cannot be used.
    folders
        Whether folders are passed over, and zeros after the end as other programs write them; else both are refused.

    Raises
    ------
    DataError
        What `refuse` makes: it contains a link, a device, an extended header, another name, a name twice, a wrong
        header, or ends too early.
    """
    seen: set[str] = set()
    while True:
        block = stream.read(TAR_BLOCK)
        if block == bytes(TAR_BLOCK):
            _check_end(stream, refuse, padded=folders)
            return
        if len(block) != TAR_BLOCK:
            raise refuse("it ends too early")
        info = _judged(block, allowed, refuse, folders=folders)
        if info.name in seen:
            raise refuse(f"it contains {info.name!r} twice")
        seen.add(info.name)
        if len(seen) > _MOST_MEMBERS:
            raise refuse(f"it contains more than {_MOST_MEMBERS} files")
        if info.isdir():
            continue
        member = Member(info.name, info.size, stream, refuse)
        yield member
        member.pass_over()


def _judged(block: bytes, allowed: Callable[[str], bool], refuse: Refusal, *, folders: bool) -> tarfile.TarInfo:
    try:
        info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, ValueError):
        raise refuse("a header in it is wrong") from None
    folder = folders and info.type == tarfile.DIRTYPE and not info.size
    if not (folder or info.type == tarfile.REGTYPE) or info.linkname:
        raise refuse(f"{info.name[:80]!r} in it is not a plain file")
    if not allowed(info.name):
        raise refuse(f"it contains {info.name[:80]!r}, which does not belong there")
    if not 0 <= info.size <= _MOST:
        raise refuse(f"{info.name!r} in it has no size")
    return info


def _check_end(stream: Stream, refuse: Refusal, *, padded: bool) -> None:
    second = stream.read(TAR_BLOCK)
    rest = iter(lambda: stream.read(_CHUNK), b"")
    if second != bytes(TAR_BLOCK) or any(not padded or more.strip(b"\0") for more in rest):
        raise refuse("there is something after its end")
