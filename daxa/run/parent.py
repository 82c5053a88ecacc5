"""A stage must not outlive the DVC that runs it.

DVC records what a stage made after the stage has ended; a stage that continues after DVC was
killed would write at the same time as the next one.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from daxa.errors import ProgramError

__all__ = ["after_parent", "die_with_parent"]

_PERIOD = 0.2


def die_with_parent(
    environ: Mapping[str, str] | None = None, *, end: Callable[[], object] | None = None
) -> threading.Thread | None:
    """End this process, and with it its workers, when the DVC that started it dies.

    Does nothing unless DVC started this process (``DVC_STAGE`` is set).  The command of a
    stage is run with ``exec``, hence DVC is the direct parent.

    Parameters
    ----------
    environ
        The environment.
    end
        Ends this process; immediately by default.  Workers notice it on their own.

    Returns
    -------
    threading.Thread or None
        The thread that watches.

    Raises
    ------
    ProgramError
        DVC is already gone.

    Examples
    --------
    >>> die_with_parent({}) is None
    True
    """
    environ = os.environ if environ is None else environ
    if not environ.get("DVC_STAGE"):
        return None
    parent = os.getppid()
    if not _may_be_dvc(parent):
        raise ProgramError(
            "dvc-gone",
            f"the DVC that started the stage {environ['DVC_STAGE']} has ended",
            remedy="run `dvc repro` again; finished work is kept",
        )
    thread = threading.Thread(target=_watch, args=(parent, end or _end), name="parent", daemon=True)
    thread.start()
    return thread


def after_parent(call: Callable[[], object], lock: Path) -> None:
    """Leave a process behind that waits until the DVC above us has ended, makes the call, and exits.

    DVC may be killed between two stages, when none of our processes would notice.  Without DVC
    above us, no process is left.

    Parameters
    ----------
    call
        What to do; it must be ready to run after a fork.
    lock
        File whose lock lets only one such process wait.
    """
    if not os.environ.get("DVC_STAGE") or not hasattr(os, "fork"):
        return
    import psutil

    try:
        dvc = psutil.Process(os.getppid())
        # What adopts orphans never ends, and to wait for it would be to wait for ever.
        if not any("dvc" in word.lower() for word in dvc.cmdline()):
            return
    except psutil.Error:
        return
    if child := os.fork():
        os.waitpid(child, 0)
        return
    # The second fork leaves an orphan, so that no one who waits for the stage waits for it.
    if os.fork():
        os._exit(0)
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        os.closerange(3, 1024)
        if not _take_lock(lock):
            return
        while dvc.is_running() and dvc.status() != psutil.STATUS_ZOMBIE:
            time.sleep(_PERIOD)
        call()
    finally:
        os._exit(0)


def _take_lock(lock: Path) -> bool:
    """Take a lock that is released only when this process ends; False if another process has it."""
    import fcntl

    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        fcntl.flock(os.open(lock, os.O_RDWR | os.O_CREAT, 0o644), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _may_be_dvc(parent: int) -> bool:
    """Orphans are adopted by init or a service manager, which is neither DVC nor a Python program that uses it."""
    import psutil

    try:
        process = psutil.Process(parent)
        words = process.cmdline()
    except psutil.AccessDenied:
        return parent != 1
    except psutil.Error:
        return False
    return any("dvc" in word.lower() for word in words) or "python" in process.name().lower()


def _watch(parent: int, end: Callable[[], object]) -> None:
    while os.getppid() == parent:
        time.sleep(_PERIOD)
    end()


def _end() -> None:
    sys.stderr.write("daxa: DVC has ended, so this stage ends, too; finished work is kept\n")
    os._exit(143)
