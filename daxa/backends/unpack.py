"""Unpack files as archives pack them: by gzip, by compress (``.Z``), or not at all."""

from __future__ import annotations

import gzip
import re
import shutil
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from daxa.errors import DataError

__all__ = ["unpack", "unpacked_name"]

_PACKED = re.compile(r"\.(?:gz|FTZ|ftz|Z)\Z")
_PIECE = 1 << 20
_MOST = 1 << 30
"""Most bytes to which a file of compress may unpack: twenty times the longest list of the missions that use it."""

_MOST_BITS = 16
"""Largest width of the codes of compress; wider ones would only fill the memory."""

_UNKNOWN = 0x60
"""Bits of its third byte that have no meaning."""


def unpack(source: Path, target: Path, whose: str) -> None:
    """Write the unpacked content of a file, whatever its suffix.

    Parameters
    ----------
    source
        The file.
    target
        Where its content goes; it must not exist.
    whose
        Mission and ObsID, for messages.

    Raises
    ------
    DataError
        ``data.absent``: the file is not there.  ``data.damaged``: it cannot be decompressed.
        ``data.too-large``: it was packed by compress, and would unpack to more than a gibibyte.
    """
    if not source.is_file():
        raise DataError("absent", f"{whose}: {source.name} does not exist", remedy="fetch it again")
    try:
        with _plain(source) as content, target.open("xb") as out:
            shutil.copyfileobj(content, out, _PIECE)
    except (EOFError, gzip.BadGzipFile, zlib.error, _NotWhole):
        raise DataError("damaged", f"{whose}: {source.name} cannot be decompressed", remedy="fetch it again") from None
    except _TooLarge:
        raise DataError(
            "too-large",
            f"{whose}: {source.name} would unpack to more than {_MOST >> 20} MiB",
            remedy="fetch it again; if it is still so large, leave the observation out",
        ) from None


def unpacked_name(name: str) -> str:
    """The name of a file without the suffix that says how it is packed.

    Examples
    --------
    >>> unpacked_name("P0404910601M1S001MIEVLI0000.FTZ"), unpacked_name("sw00035393001xpcw3po_cl.evt")
    ('P0404910601M1S001MIEVLI0000', 'sw00035393001xpcw3po_cl.evt')
    """
    return _PACKED.sub("", name)


class _Readable(Protocol):
    """What `shutil.copyfileobj` needs of a source."""

    def read(self, size: int = -1, /) -> bytes: ...


class _NotWhole(Exception):
    """Content of compress that is not valid."""


class _TooLarge(Exception):
    """More content than any list of the missions that use compress."""


@contextmanager
def _plain(source: Path) -> Iterator[_Readable]:
    with source.open("rb") as file:
        start = file.read(3)
        file.seek(0)
        if start.startswith(b"\x1f\x8b"):
            with gzip.open(file) as content:
                yield content
        elif start.startswith(b"\x1f\x9d"):
            yield _Compressed(file, start)
        else:
            yield file


class _Compressed:
    """Unpacks a file of compress for `shutil.copyfileobj`: no more than is sensible, and never a part silently."""

    def __init__(self, file: BinaryIO, start: bytes) -> None:
        import uncompresspy

        if len(start) < 3 or start[2] & 0x1F > _MOST_BITS or start[2] & _UNKNOWN:
            raise _NotWhole
        try:
            self._content = uncompresspy.LZWFile(file, save_checkpoints=False)
        except ValueError:
            raise _NotWhole from None
        self._given = 0

    def read(self, size: int = -1) -> bytes:
        with warnings.catch_warnings():
            # A code that ends with the file is reported by a warning only.
            warnings.simplefilter("error")
            try:
                piece = self._content.read(size)
            except (ValueError, IndexError, RuntimeWarning):
                raise _NotWhole from None
        self._given += len(piece)
        if self._given > _MOST:
            raise _TooLarge
        return piece
