"""Tar files of nothing but plain files: the same files give the same bytes, and no other kind of member is read.

How they are read is in `daxa.tars`.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from daxa.errors import DataError
from daxa.files import open_plain
from daxa.tars import TAR_BLOCK, Member, read_members

__all__ = ["Member", "member_space", "open_tar", "write_member", "write_tar_end"]

_END = bytes(2 * TAR_BLOCK)
_MOST = 1 << 62


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


def member_space(size: int) -> int:
    """Bytes that a file of this size takes in a tar.

    Examples
    --------
    >>> member_space(0), member_space(1), member_space(512)
    (512, 1024, 1024)
    """
    return TAR_BLOCK + size + -size % TAR_BLOCK


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
    if len(header) != TAR_BLOCK:
        raise ValueError(name)
    target.write(header)
    written = 0
    for chunk in chunks:
        target.write(chunk)
        written += len(chunk)
    if written != size:
        raise DataError("changed", f"{name} changed while it was read", remedy="try again when nothing else is running")
    target.write(bytes(-size % TAR_BLOCK))


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
        if stream.peek(len(_BUNDLE)).startswith(_BUNDLE):
            raise DataError(
                "deposit",
                f"{path} is a bundle, as `daxa export` writes it, and no deposit of `daxa publish`: it holds no data",
                remedy=f"`daxa recreate {path} DIR` makes its release again",
            )
        yield read_members(stream, lambda name: names.fullmatch(name) is not None, partial(_damaged, path))


_BUNDLE = b"# v2 git bundle\n"


def _damaged(path: Path, why: str) -> DataError:
    return DataError(
        "deposit",
        f"{path} cannot be used: {why}",
        remedy="get the deposit again from where it was published; `sha256sum --check SHA256SUMS` names damaged files",
    )
