"""Read and replace small files that may have come with somebody else's archive.

What is read is a regular file of a bounded size, never a link, device or pipe: a reader
neither hangs nor is led elsewhere.  What is written is on the disk before its name says so.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

from daxa.errors import DataError, DaxaError, StorageError

__all__ = [
    "TEXT_LIMIT",
    "TOML_LIMIT",
    "check_space",
    "errors_naming",
    "holding_lock",
    "no_link",
    "open_plain",
    "parse_json",
    "parse_toml",
    "read_note",
    "read_plain",
    "refuse_links",
    "replace_file",
    "sync",
]

TEXT_LIMIT = 64 << 20
"""Bytes of a text file of an archive: logs and listings of directories are the largest."""

TOML_LIMIT = 16 << 20
"""Bytes of a TOML file of an archive: criteria with a sample of 100,000 named objects take 8 MB."""

_DEPTH = 100
"""Tables within tables in a TOML file; daxa's own have 6."""

_LONG_KEY = re.compile(rb"""(?:\A|[\[{,\n])[ \t]*+(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){%d}""" % _DEPTH)
"""The parser takes cubic time over the parts of a dotted key."""


@contextmanager
def errors_naming(places: Mapping[Path, object]) -> Iterator[None]:
    """Let errors name what is made or judged aside by what the reader knows it as.

    Parameters
    ----------
    places
        Path aside, which will be gone, to the path or name that stands for it.
    """
    try:
        yield
    except DaxaError as error:
        message, remedy = error.message, error.remedy
        for place, name in places.items():
            message, remedy = (text.replace(str(place), str(name)) for text in (message, remedy))
        raise error.reworded(message, remedy) from None


def no_link(path: str, flags: int) -> int:
    """Opener for `open` that follows no link in the last component, for files that are written."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def open_plain(path: Path, *, limit: int = TEXT_LIMIT) -> BufferedReader:
    """Open a regular file to read, and nothing else.

    Parameters
    ----------
    path
        The file; its last component may be no link.
    limit
        Bytes that it may hold.

    Raises
    ------
    OSError
        It is absent, or cannot be read.
    DataError
        It is a link, directory, device or pipe, or larger than the limit.
    """
    if path.is_symlink():
        raise _no_file(path, "a link")
    # Without O_NONBLOCK a pipe would wait for its writer.
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise _no_file(path, "a socket") from None
        raise
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise _no_file(path, _kind(found.st_mode))
        if found.st_size > limit:
            raise _too_large(path, limit)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_plain(path: Path, *, limit: int = TEXT_LIMIT) -> bytes:
    """The content of a regular file; errors as of `open_plain`.

    Examples
    --------
    >>> read_plain(Path("/dev/zero"))
    Traceback (most recent call last):
    ...
    daxa.errors.DataError: /dev/zero is a device, but must be a file
      -> name a file; where it is in the way of one, move it away
    """
    with open_plain(path, limit=limit) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise _too_large(path, limit)
    return content


def parse_json(content: bytes, path: Path) -> Any:
    """The value of a JSON text.

    Raises
    ------
    DataError
        It is not JSON, or nested too deeply; `path` is for the message.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise DataError("json", f"{path} is not JSON that daxa wrote", remedy=f"restore or remove {path}") from None


def read_note(path: Path) -> dict[str, Any]:
    """The object of a JSON file that may be absent or damaged: without it, its content is worked out again.

    Examples
    --------
    >>> read_note(Path("no-such-note.json"))
    {}
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def parse_toml(content: bytes, path: Path) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises
    ------
    ValueError
        It is not valid; the message says why.
    DataError
        It is too large or nested too deeply; `path` is for the message.

    Examples
    --------
    >>> parse_toml(b'[clean.obs."0404910601"]', Path("params/xmm.toml"))
    {'clean': {'obs': {'0404910601': {}}}}
    """
    import tomllib

    if len(content) > TOML_LIMIT:
        raise _too_large(path, TOML_LIMIT)
    try:
        if not _LONG_KEY.search(content) and not _is_deep(tables := tomllib.loads(content.decode("utf-8"))):
            return tables
    except RecursionError:
        pass
    raise DataError(
        "too-deep",
        f"{path} is nested too deeply: more than {_DEPTH} levels",
        remedy=f"restore it: `git checkout -- {path.name}`",
    )


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def refuse_links(root: Path, path: Path) -> None:
    """Refuse a path that leads through a link below `root`; components that do not exist are none.

    Raises
    ------
    DataError
        One of its components is a link.
    """
    place = root
    for part in path.relative_to(root).parts:
        place = place / part
        try:
            mode = place.lstat().st_mode
        except FileNotFoundError:
            return
        if stat.S_ISLNK(mode):
            raise _no_file(place, "a link")


def check_space(directory: Path, needed: int, what: str, *, remedy: str) -> None:
    """Refuse what does not fit on a disk.

    Parameters
    ----------
    directory
        Where it would be written; it exists.
    needed
        Bytes that it takes.
    what
        It, for the message.
    remedy
        What to do if there is no space.

    Raises
    ------
    StorageError
        ``storage.full``: fewer bytes are free.
    """
    from shutil import disk_usage

    free = disk_usage(directory).free
    if needed > free:
        raise StorageError(
            "full",
            f"{directory} has no space for {what}: {needed / 1e6:.1f} MB are needed, and {free / 1e6:.1f} MB free",
            remedy=remedy,
        )


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that is old or new after any kill or loss of power, never torn; its directory is made.

    Raises
    ------
    OSError
        It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with suppress(FileNotFoundError):
        part.unlink()
    with part.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a pipe or socket" if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else "a device"


def _no_file(path: Path, kind: str) -> DataError:
    return DataError(
        "file-kind",
        f"{path} is {kind}, but must be a file",
        remedy="name a file; where it is in the way of one, move it away",
    )


def _too_large(path: Path, limit: int) -> DataError:
    return DataError(
        "file-size",
        f"{path} is larger than {limit >> 20} MiB, more than any such file of an archive has",
        remedy=f"restore it: `git checkout -- {path.name}`",
    )


@contextmanager
def holding_lock(path: Path, seconds: float, busy: DaxaError) -> Iterator[None]:
    """Hold a lock, which ends with this process at the latest.

    Parameters
    ----------
    path
        The file of the lock, made if it is not there.
    seconds
        How long to wait for another process that holds it.
    busy
        What is raised if it still does.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        raise busy from None
    try:
        yield
    finally:
        lock.release()
