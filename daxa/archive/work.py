"""Which process works in an archive, as DVC notes it.

DVC keeps in ``.dvc/tmp/rwlock`` which process reads and writes which path, as long as a stage
runs and until its outputs are recorded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["at_work", "written_paths"]


def at_work(root: Path) -> tuple[int, ...]:
    """Processes that live and work in the archive through DVC."""
    return tuple(sorted({pid for _, _, pid in _holders(root) if _lives(pid)}))


def written_paths(root: Path) -> set[str]:
    """Paths, relative to the archive, that a living process is about to write."""
    base = os.path.abspath(root)  # noqa: PTH100 - DVC's own spelling, links and all
    return {os.path.relpath(path, base) for kind, path, pid in _holders(root) if kind == "write" and _lives(pid)}


def _holders(root: Path) -> Iterator[tuple[str, str, int]]:
    """Kind of lock, path and process of every lock; none while DVC is writing the file."""
    try:
        locks = json.loads((root / ".dvc" / "tmp" / "rwlock").read_bytes())
        for kind in ("read", "write"):
            for path, holders in locks.get(kind, {}).items():
                for holder in holders if isinstance(holders, list) else [holders]:
                    if "pid" in holder:
                        yield kind, path, int(holder["pid"])
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
