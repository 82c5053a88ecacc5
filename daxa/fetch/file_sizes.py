"""How large a file may be, and whether the disk has room for it.

No limit here is near the size of a real file: they only catch impossible ones.  An eRASS event list has 20-55 MB
and its images 25-35 MB (packed); all of Chandra's ObsID 554 has 138 MB, the largest EPIC and
continuous-clocking lists a few GB.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from daxa.errors import DataError, StorageError
from daxa.fetch.parts import disk_full

__all__ = ["LARGEST", "check_space", "insufficient_space", "largest", "spare", "unpacked_limit"]

_MIB, _GIB = 1 << 20, 1 << 30

LARGEST = {
    "events": 32 * _GIB,
    "attitude": 4 * _GIB,
    "flare-background": _GIB,
    "exposure-map": 8 * _GIB,
    "aspect": 8 * _GIB,
    "bad-pixel": _GIB,
    "mask": _GIB,
    "fov": _GIB,
    "image": 16 * _GIB,
    "ancillary": 4 * _GIB,
    "raw-events": 32 * _GIB,
    "housekeeping": 4 * _GIB,
    "survey": 8 * _GIB,
    "survey-housekeeping": 4 * _GIB,
    "extra": 64 * _GIB,
}
"""Bytes, as stored, that a file of each kind may have."""

_UNPACKED = 256 * _GIB
# Real lists pack to a half or a tenth; maps that are nearly all zero to a hundredth, but they are small.
_RATIO, _RATIO_FROM = 100, 256 * _MIB
_MARGIN = 16 * _MIB
# A disk that could not take this much more is full for everything.
_REASONABLE = 64 * _MIB


def largest(kind: str, listed: int) -> int:
    """Bytes that a file may have.

    Parameters
    ----------
    kind
        Of its declaration.
    listed
        The most that its directory's listing says, 0 where it says nothing.  It may be some
        per cent more: listings are made at another time than files.

    Examples
    --------
    >>> largest("events", 0) == LARGEST["events"], largest("events", 10_000_000)
    (True, 12048576)
    """
    most = LARGEST.get(kind, LARGEST["extra"])
    return min(most, listed + listed // 10 + _MIB) if listed else most


def unpacked_limit(packed: int) -> int:
    """Bytes to which a packed file of so many bytes may unpack."""
    return min(_UNPACKED, max(_RATIO_FROM, _RATIO * packed))


def spare(directory: Path) -> int:
    """Bytes that may still be written there."""
    return shutil.disk_usage(directory).free - _MARGIN


def check_space(directory: Path, url: str, size: int) -> None:
    """Refuse what does not fit on the disk.

    Parameters
    ----------
    directory
        Where it would be written.
    url, size
        The file, and the bytes of it that are still to come.

    Raises
    ------
    DataError
        ``data.no-room``: other files may well fit.
    StorageError
        ``storage.full``: no file of a usual size would.
    """
    if spare(directory) < size:
        raise insufficient_space(directory, f"{url} needs {size} bytes more")


def insufficient_space(directory: Path, what: str) -> DataError | StorageError:
    """The error for a file that does not fit: it is the file's where others would fit."""
    room = spare(directory)
    if room < _REASONABLE:
        return disk_full(directory)
    return DataError(
        "no-room",
        f"{what}, and {directory} has room for {room}",
        remedy="free some space and run `daxa run` again; if this size is wrong, report the file to the archive",
    )
