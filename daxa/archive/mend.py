"""Mend what a DVC that was killed in the middle of writing leaves behind.

DVC empties two of its files before it writes them anew, and refuses to read either of
them ever after when a kill came in between:

- ``.dvc/tmp/rwlock`` tells which running process works on which path.  Without it nothing
  is lost.
- ``dvc.lock`` tells with what each stage was done.  A torn one is the beginning of a whole
  one: what its last stage was done with is forgotten, and the stage runs again; its ledger
  knows what is done.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["held", "is_torn", "mend"]

_STAGE = re.compile(r"^  \S.*:\n", re.MULTILINE)


def mend(root: Path) -> bool:
    """Mend both files, unless a running DVC is about to write them; whether something was torn."""
    return _mend_rwlock(root) | _mend_lock(root)


def _mend_rwlock(root: Path) -> bool:
    from filelock import FileLock, Timeout

    torn = root / ".dvc" / "tmp" / "rwlock"
    try:
        json.loads(torn.read_bytes())
    except ValueError:
        try:
            with FileLock(torn.with_name("rwlock.lock"), timeout=1):
                torn.unlink(missing_ok=True)
        except Timeout:
            return False
        return True
    except OSError:
        return False
    return False


def _mend_lock(root: Path) -> bool:
    path = root / "dvc.lock"
    if not _is_torn_file(path):
        return False
    with held(root) as alone:
        if not alone or not _is_torn_file(path):
            return False
        text = path.read_text(encoding="utf-8", errors="replace")
        while text and is_torn(text):
            stages = [found.start() for found in _STAGE.finditer(text)]
            text = text[: stages[-1]] if len(stages) > 1 else ""
        if text:
            part = path.with_name(".dvc.lock.part")
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        else:
            path.unlink()
    return True


def _is_torn_file(path: Path) -> bool:
    try:
        return is_torn(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return False


def is_torn(text: str) -> bool:
    r"""Whether a ``dvc.lock`` ends before its end.

    Examples
    --------
    >>> is_torn("schema: '2.0'\nstages:\n  collect:\n    cmd: exec daxa st")
    True
    >>> is_torn("schema: '2.0'\nstages:\n  collect:\n    cmd: exec daxa stage collect\n")
    False
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    starts = [found.start() for found in _STAGE.finditer(text)]
    if not text.endswith("\n") or not starts:
        return True
    try:
        # What stands before the last stage was written before it, and is whole.
        (last,) = YAML(typ="safe", pure=True).load(text[starts[-1] :]).values()
        entries = [*last.get("deps", ()), *last.get("outs", ())]
        return not last["cmd"] or not all(_is_whole(entry) for entry in entries)
    except (YAMLError, AttributeError, KeyError, TypeError, ValueError):
        return True


def _is_whole(entry: dict[str, object]) -> bool:
    """An entry tells its size last, and of a directory the number of files after it."""
    needed = {"path", "md5", "size"} | ({"nfiles"} if str(entry.get("md5")).endswith(".dir") else set())
    return needed <= entry.keys()


@contextmanager
def held(root: Path) -> Iterator[bool]:
    """Hold the lock that DVC holds except while a stage's command runs; False where DVC has it."""
    import fcntl

    lock = root / ".dvc" / "tmp" / "lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
