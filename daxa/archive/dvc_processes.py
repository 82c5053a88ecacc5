"""Which process works in an archive, as DVC notes it.

DVC keeps in ``.dvc/tmp/rwlock`` which process reads and writes which path, as long as a stage
runs and until its outputs are recorded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["DvcProcess", "active_pids", "paths_being_written", "read_holders"]


@dataclass(frozen=True)
class DvcProcess:
    """A process that DVC notes.

    Parameters
    ----------
    kind
        ``read`` or ``write``.
    path
        What it reads or writes.
    pid
        Number of the process.
    lives
        Whether it still runs; a process that began after the note merely has the same number.
    """

    kind: str
    path: str
    pid: int
    lives: bool


def read_holders(root: Path) -> list[DvcProcess]:
    """The processes that are noted, one per path.

    Raises
    ------
    OSError
        There is no note.
    ValueError
        It is torn: DVC is writing it, or was killed then.
    """
    note = root / ".dvc" / "tmp" / "rwlock"
    written = note.stat().st_mtime
    try:
        found = list(_entries(json.loads(note.read_bytes())))
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    lives = {pid: _began_before(pid, written + 1) for pid in {pid for _, _, pid in found}}
    return [DvcProcess(kind, path, pid, lives[pid]) for kind, path, pid in found]


def active_pids(root: Path) -> tuple[int, ...]:
    """Processes that live and work in the archive through DVC; none where the note cannot be read."""
    return tuple(sorted({one.pid for one in _living(root)}))


def paths_being_written(root: Path) -> set[str]:
    """Paths, relative to the archive, that a living process is about to write."""
    base = os.path.abspath(root)  # noqa: PTH100 - DVC's own spelling, links and all
    return {os.path.relpath(one.path, base) for one in _living(root) if one.kind == "write"}


def _living(root: Path) -> list[DvcProcess]:
    try:
        return [one for one in read_holders(root) if one.lives]
    except (OSError, ValueError):
        return []


def _entries(locks: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    for kind in ("read", "write"):
        for path, holders in locks.get(kind, {}).items():
            for holder in holders if isinstance(holders, list) else [holders]:
                if holder:
                    yield kind, path, int(holder["pid"])


def _began_before(pid: int, moment: float) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        # Of a killed process its number stays until it is reaped, which a container without an init never does.
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() < moment
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, OverflowError):
        return True
