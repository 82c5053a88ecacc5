"""End programs with all that they have started, and those whose parent has died."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

__all__ = ["bind_to_parent", "end_homed", "end_tree"]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_tree(leader: int) -> None:
    """Kill the leader of a session, its group, and what it started that left the group.

    Parameters
    ----------
    leader
        Its PID, which must still be reserved: it runs, or nobody has waited for its end.
    """
    import psutil

    try:
        started = psutil.Process(leader).children(recursive=True)
    except psutil.Error:
        started = []
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    for process in started:
        with suppress(psutil.Error):
            process.kill()


def end_homed(place: Path) -> int:
    """Kill programs whose home is below a directory that only daxa gives to programs as their home.

    A program that is killed with us may leave others that it had started: these would go on writing.

    Parameters
    ----------
    place
        Such a directory, as it was given to its programs.

    Returns
    -------
    int
        How many there were.
    """
    import psutil

    ended = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if Path(process.environ().get("HOME") or "/").is_relative_to(place):
                process.kill()
                ended.append(process)
    psutil.wait_procs(ended, timeout=10)
    return len(ended)


def bind_to_parent() -> Callable[[], None]:
    """What a forked child calls so that the kernel ends it with us, if the kernel can."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return bind
