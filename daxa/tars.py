"""Tar files of strangers: nothing but plain files is read, and folders where they are allowed.

Python's reader follows links, sparse files, and long names and extended headers of whatever size a stranger chooses.
A member here is one block of header, which is judged before its content is read.  Where a tar may come from other
programs, a long name or an extended header (POSIX.1-2001, pax) may stand before it: of the latter, name and size are
used, times, owners and attributes are passed over, and whatever would change the meaning of the content is refused.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from daxa.errors import DataError

__all__ = ["TAR_BLOCK", "Member", "Refusal", "Stream", "read_members"]

TAR_BLOCK = 512
"""Bytes of a block: a header has one, and contents fill whole ones."""

_CHUNK = 1 << 20
_MOST = 1 << 62
_MOST_HEADERS = 1_000_000
_LONGEST_NAME, _MOST_NAMES = 1024, 256 << 20
_LONGEST_EXTENSION = 1 << 20

_EXTENSIONS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME)
_RECORD = re.compile(rb"([1-9][0-9]{0,6}) ([^=\n]{1,200})=", re.ASCII)
# Keywords of other makers ("LIBARCHIVE.creationtime") describe the file; GNU's change what its content is.
_HARMLESS = re.compile(r"[acm]time|[ug]id|[ug]name|comment|(?!GNU\.|SCHILY\.realsize)[A-Za-z0-9_]+\..+", re.ASCII)
_CHARSETS = {"BINARY", "ISO-IR 10646 2000 UTF-8"}

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
            raise self._refuse(f"it ends within {self.file_name[:80]!r}")
        self._left -= wanted
        return content

    def pass_over(self) -> None:
        """Skip the rest of the content and of its last block."""
        while self._left:
            self.read(_CHUNK)
        self._stream.read(-self.size % TAR_BLOCK)


def read_members(
    stream: Stream, allowed: Callable[[str], bool], refuse: Refusal, *, foreign: bool = False
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
    foreign
        Whether other programs may have written it: folders and harmless extended headers are passed over, long names
        are read, and zeros may follow the end.  Else all of these are refused.

    Raises
    ------
    DataError
        What `refuse` makes: it contains a link, a device, a sparse file, another name, a name twice, a wrong
        header, or ends too early.
    """
    seen: set[str] = set()
    headers = names = 0
    overrides = _Overrides()
    while True:
        block = stream.read(TAR_BLOCK)
        if block == bytes(TAR_BLOCK) and overrides == _Overrides():
            _check_end(stream, refuse, padded=foreign)
            return
        if len(block) != TAR_BLOCK:
            raise refuse("it ends too early")
        info = _header(block, refuse, foreign=foreign)
        headers += 1
        if headers > _MOST_HEADERS:
            raise refuse(f"it contains more than {_MOST_HEADERS} files")
        if foreign and info.type in _EXTENSIONS:
            overrides = _extended(info, stream, overrides, refuse)
            continue
        info.name, info.size = overrides.name or info.name, info.size if overrides.size is None else overrides.size
        overrides = _Overrides()
        _judge(info, allowed, refuse, foreign=foreign)
        if info.name in seen:
            raise refuse(f"it contains {info.name!r} twice")
        seen.add(info.name)
        names += len(info.name)
        if names > _MOST_NAMES:
            raise refuse(f"the names in it have more than {_MOST_NAMES} characters")
        if info.isdir():
            continue
        member = Member(info.name, info.size, stream, refuse)
        yield member
        member.pass_over()


@dataclass(frozen=True)
class _Overrides:
    """Name and size of a file from the headers before its own; '' and None where they have none."""

    name: str = ""
    size: int | None = None


def _header(block: bytes, refuse: Refusal, *, foreign: bool) -> tarfile.TarInfo:
    # Names of owners may have any letters; those of files are judged afterwards.
    encoding = ("utf-8", "surrogateescape") if foreign else ("ascii", "strict")
    try:
        info = tarfile.TarInfo.frombuf(block, *encoding)
    except (tarfile.HeaderError, ValueError):
        raise refuse("a header in it is wrong") from None
    if not 0 <= info.size <= _MOST:
        raise refuse(f"{info.name[:80]!r} in it has no size")
    return info


def _judge(info: tarfile.TarInfo, allowed: Callable[[str], bool], refuse: Refusal, *, foreign: bool) -> None:
    folder = foreign and info.type == tarfile.DIRTYPE and not info.size
    plain = info.type == tarfile.REGTYPE or (foreign and info.type == tarfile.AREGTYPE)
    if not (folder or plain) or info.linkname:
        raise refuse(f"{info.name[:80]!r} in it is not a plain file")
    if not allowed(info.name):
        raise refuse(f"it contains {info.name[:80]!r}, which does not belong there")


def _extended(info: tarfile.TarInfo, stream: Stream, overrides: _Overrides, refuse: Refusal) -> _Overrides:
    """What is known of the next file with one more header about it."""
    if info.size > _LONGEST_EXTENSION:
        raise refuse(f"an extended header in it has {info.size} bytes")
    member = Member("an extended header", info.size, stream, refuse)
    content = member.read()
    member.pass_over()
    if info.type == tarfile.GNUTYPE_LONGNAME:
        fresh = _Overrides(_name(content.removesuffix(b"\0"), refuse))
    else:
        records = _records(content, refuse)
        fresh = _Overrides(_name(records.pop("path", b""), refuse), _size(records.pop("size", None), refuse))
        if records.pop("hdrcharset", b"BINARY").decode("latin-1") not in _CHARSETS:
            raise refuse("an extended header in it has unknown letters")
        if odd := sorted(key for key in records if not _HARMLESS.fullmatch(key)):
            raise refuse(f"an extended header in it has {odd[0][:80]!r}, which is not read")
        if info.type == tarfile.XGLTYPE and fresh != _Overrides():
            raise refuse("an extended header in it gives all files one name or size")
    if (fresh.name and overrides.name) or None not in (fresh.size, overrides.size):
        raise refuse("two extended headers in it are about one file")
    return _Overrides(fresh.name or overrides.name, overrides.size if fresh.size is None else fresh.size)


def _records(content: bytes, refuse: Refusal) -> dict[str, bytes]:
    """Keyword to value; each record begins with its length."""
    found: dict[str, bytes] = {}
    at = 0
    while at < len(content):
        record = _RECORD.match(content, at)
        end = at + int(record[1]) if record else 0
        if record is None or end <= record.end() or content[end - 1 : end] != b"\n":
            raise refuse("an extended header in it is wrong")
        # Of a keyword that occurs twice the last value counts.
        found[record[2].decode("latin-1")] = content[record.end() : end - 1]
        at = end
    return found


def _name(content: bytes, refuse: Refusal) -> str:
    if len(content) > _LONGEST_NAME or b"\0" in content:
        raise refuse(f"a name in it has {len(content)} bytes, or zeros")
    return content.decode("utf-8", "surrogateescape").rstrip("/")


def _size(content: bytes | None, refuse: Refusal) -> int | None:
    if content is None:
        return None
    if not re.fullmatch(rb"[0-9]{1,18}", content):
        raise refuse("a size in it is not a number")
    return int(content)


def _check_end(stream: Stream, refuse: Refusal, *, padded: bool) -> None:
    second = stream.read(TAR_BLOCK)
    rest = iter(lambda: stream.read(_CHUNK), b"")
    if second != bytes(TAR_BLOCK) or any(not padded or more.strip(b"\0") for more in rest):
        raise refuse("there is something after its end")
