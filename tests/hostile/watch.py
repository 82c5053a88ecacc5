"""What a call in this process does to the world: programs, connections, and files it opens to write.

Python tells an audit hook of all of them before they happen.  Programs other than Git, asked
to read, and connections are refused there, so that an attack that succeeds does no harm.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["snapshot", "watched"]

_READING = frozenset(
    {
        "cat-file",
        "diff",
        "for-each-ref",
        "ls-files",
        "ls-tree",
        "merge-base",
        "merge-file",
        "rev-list",
        "rev-parse",
        "show-ref",
        "status",
        "var",
        "version",
    }
)
_PROGRAMS = frozenset({"os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork", "os.forkpty"})
_CONNECTIONS = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_seen: list[str] | None = None


def _hook(event: str, arguments: tuple) -> None:
    if _seen is None:
        return
    if event == "subprocess.Popen":
        argv = [os.fspath(argument) for argument in arguments[1]]
        if not _is_reading(argv):
            _seen.append(f"program: {' '.join(map(str, argv))[:200]}")
            raise FileNotFoundError("not in this test")
    elif event in _PROGRAMS:
        _seen.append(f"program: {event} {arguments!r}"[:200])
        raise FileNotFoundError("not in this test")
    elif event in _CONNECTIONS:
        _seen.append(f"connection: {event} {arguments!r}"[:200])
        raise ConnectionRefusedError("not in this test")
    elif event == "open" and isinstance(arguments[0], str | bytes) and (arguments[2] or 0) & _WRITING:
        _seen.append(f"write: {os.path.realpath(os.fsdecode(arguments[0]))}")


def _is_reading(argv: list[str]) -> bool:
    if Path(argv[0]).name != "git":
        return False
    rest = argv[1:]
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if rest[0] in ("-c", "-C") else rest[1:]
    return bool(rest) and (rest[0] in _READING or (rest[0] == "config" and "--get" in rest))


sys.addaudithook(_hook)


@contextmanager
def watched(allowed: tuple[Path, ...]) -> Iterator[list[str]]:
    """What is done inside: a list of lines, without writing below the places that are allowed."""
    global _seen  # noqa: PLW0603 - a hook cannot be taken off again
    found: list[str] = []
    _seen = []
    try:
        yield found
    finally:
        seen, _seen = _seen, None
        fine = tuple(f"write: {place}" for place in ("/dev/", "/proc/", *map(str, allowed)))
        found += [line for line in seen if not line.startswith(fine)]


def snapshot(*places: Path) -> dict[str, tuple[object, ...]]:
    """Everything below these directories, with what a change would change; links are not followed."""
    return {
        path: what
        for place in places
        for path, what in _entries(str(place))
        if not path.endswith(("/.git", "/.git/index"))
    }


def _entries(place: str) -> Iterator[tuple[str, tuple[object, ...]]]:
    with os.scandir(place) as entries:
        for entry in entries:
            found = entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                yield entry.path, (found.st_mode, found.st_ino)
                yield from _entries(entry.path)
            else:
                yield entry.path, (found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns)
