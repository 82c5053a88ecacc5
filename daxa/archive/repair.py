"""Repair what a DVC that was killed in the middle of writing leaves behind.

DVC empties two of its files before it rewrites them, and refuses to read either of
them ever after when a kill came in between:

- ``.dvc/tmp/rwlock`` records which running process works on which path.  Without it nothing
  is lost.
- ``dvc.lock`` records with what each stage was done.  A torn one is the beginning of a whole
  one, and after a power cut blocks of zeros may follow: what is behind the tear is
  forgotten, and those stages run again; their ledgers know what is done.

Git leaves a lock file when it is killed, and then refuses to write; such a lock is removed
once no process can own it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from daxa.archive.dvc_processes import read_holders
from daxa.errors import StorageError

if TYPE_CHECKING:
    import psutil

__all__ = ["check_writable", "clear_stale_lock", "is_process_active", "is_truncated", "lock_held", "repair"]

_STAGE = re.compile(r"^  \S.*:\n", re.MULTILINE)
_GARBAGE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffd]")
"""What DVC never writes into ``dvc.lock``: zeros of blocks that did not reach the disk, and other noise."""

_YOUNG = 5.0
_MAY_LOCK = ("git", "dvc", "daxa", "python", "java")
"""Beginnings of the names of programs that lock a Git repository: Git, and those with a built-in Git."""
_REMOTE_DISKS = ("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "fuse", "afs", "9p", "glusterfs")


def repair(root: Path) -> bool:
    """Repair both files, unless a running DVC is about to write them; whether something was torn."""
    return _repair_rwlock(root) | _repair_lock(root)


def is_process_active(root: Path) -> bool:
    """Whether a process that lives works on a path of the archive, as DVC's ``rwlock`` says."""
    try:
        return any(holder.lives for holder in read_holders(root))
    except OSError:
        return False
    except ValueError:
        return True  # A running DVC is writing it.


def _repair_rwlock(root: Path) -> bool:
    """Remove the list of busy paths where it is torn, or names none but processes that have ended."""
    from filelock import FileLock, Timeout

    path = root / ".dvc" / "tmp" / "rwlock"
    try:
        holders = read_holders(root)
        if not holders or any(holder.lives for holder in holders):
            return False
    except OSError:
        return False
    except ValueError:
        pass
    try:
        with FileLock(path.with_name("rwlock.lock"), timeout=1):
            path.unlink(missing_ok=True)
    except (Timeout, OSError):
        return False
    return True


def _repair_lock(root: Path) -> bool:
    path = root / "dvc.lock"
    if not _is_truncated_file(path):
        return False
    with lock_held(root) as alone:
        if not alone or not _is_truncated_file(path):
            return False
        text = path.read_text(encoding="utf-8", errors="replace")
        if garbage := _GARBAGE.search(text):
            text = text[: garbage.start()]
        while text and is_truncated(text):
            stages = [found.start() for found in _STAGE.finditer(text)]
            text = text[: stages[-1]] if len(stages) > 1 else ""
        if text:
            part = path.with_name(".dvc.lock.part")
            part.unlink(missing_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        else:
            path.unlink()
    return True


def _is_truncated_file(path: Path) -> bool:
    try:
        return is_truncated(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return False


def is_truncated(text: str) -> bool:
    r"""Whether a ``dvc.lock`` ends before its end.

    Examples
    --------
    >>> is_truncated("schema: '2.0'\nstages:\n  collect:\n    cmd: exec daxa st")
    True
    >>> is_truncated("schema: '2.0'\nstages:\n  collect:\n    cmd: exec daxa stage collect\n")
    False
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    starts = [found.start() for found in _STAGE.finditer(text)]
    if _GARBAGE.search(text):
        return True
    if not text.endswith("\n") or not starts:
        return True
    try:
        # Everything before the last stage was written earlier, and is whole.
        (last,) = YAML(typ="safe", pure=True).load(text[starts[-1] :]).values()
        entries = [*last.get("deps", ()), *last.get("outs", ())]
        return not last["cmd"] or not all(_is_whole(entry) for entry in entries)
    except (YAMLError, AttributeError, KeyError, TypeError, ValueError):
        return True


def _is_whole(entry: dict[str, object]) -> bool:
    """An entry gives its size last, and of a directory the number of files after it."""
    needed = {"path", "md5", "size"} | ({"nfiles"} if str(entry.get("md5")).endswith(".dir") else set())
    return needed <= entry.keys()


@contextmanager
def lock_held(root: Path) -> Iterator[bool]:
    """Hold the lock that DVC holds except while a stage's command runs; False where DVC holds it.

    Raises
    ------
    StorageError
        The archive cannot be written, so that DVC could not work in it either.
    """
    import fcntl

    stream = _open_lock(root)
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def check_writable(root: Path) -> None:
    """Make sure that DVC can work in an archive.

    Raises
    ------
    StorageError
        It cannot: the disk is full, mounted for reading alone, or belongs to somebody else.
    """
    _open_lock(root).close()


def _open_lock(root: Path) -> TextIO:
    lock = root / ".dvc" / "tmp" / "lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        return os.fdopen(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666), "a")
    except OSError as error:
        raise StorageError(
            "unwritable",
            f"{root} cannot be written: {(error.strerror or str(error)).lower()}",
            remedy="check its permissions and owner, and the space on its disk; or work in a clone of your own",
        ) from None


def clear_stale_lock(lock: Path) -> bool:
    """Remove a lock file of Git's if no process can own it; whether no lock is left.

    A lock has an owner as long as any process lives that began before the lock was written
    and is a Git, or a program with a built-in Git that works in the repository.  On disks
    that other machines share, this cannot be known.
    """
    try:
        written = lock.stat().st_mtime
    except OSError:
        return not os.path.lexists(lock)
    if not lock.is_file() or lock.is_symlink() or time.time() < written + _YOUNG:
        return False
    if _is_shared_disk(lock) or any(_may_own(process, lock, written) for process in _others()):
        return False
    lock.unlink(missing_ok=True)
    return True


def _others() -> Iterator[psutil.Process]:
    import psutil

    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    others = (one for one in psutil.process_iter(["name", "create_time", "cwd", "status"]) if one.pid not in own)
    return (one for one in others if one.info["status"] != psutil.STATUS_ZOMBIE)


def _may_own(process: psutil.Process, lock: Path, written: float) -> bool:
    name = (process.info["name"] or "").lower()
    if not name.startswith(_MAY_LOCK) or process.info["create_time"] > written + 1:
        return False
    # A program with a built-in Git counts as active only if it works in the work tree.
    place = process.info["cwd"]
    return name.startswith("git") or (bool(place) and Path(place).is_relative_to(_work_tree(lock)))


def _work_tree(lock: Path) -> Path:
    """The directory above the ``.git`` that holds a lock."""
    inside = next((parent for parent in lock.parents if parent.name == ".git"), lock.parent)
    return inside.parent.resolve()


def _is_shared_disk(path: Path) -> bool:
    import psutil

    resolved = path.resolve()
    mounts = [one for one in psutil.disk_partitions(all=True) if resolved.is_relative_to(one.mountpoint)]
    kind = max(mounts, key=lambda one: len(one.mountpoint)).fstype.lower() if mounts else ""
    return kind.startswith(_REMOTE_DISKS)
