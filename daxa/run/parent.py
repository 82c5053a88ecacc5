"""A stage must not outlive the DVC that runs it.

DVC records what a stage made after the stage ended; a stage that goes on after DVC was
killed would write beside the next one.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping

from daxa.errors import ProgramError

__all__ = ["die_with_parent"]

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
        What ends this process; at once by default.  Workers notice it by themselves.

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
            f"the DVC that began the stage {environ['DVC_STAGE']} has ended",
            remedy="run `dvc repro` again; what was finished is kept",
        )
    thread = threading.Thread(target=_watch, args=(parent, end or _end), name="parent", daemon=True)
    thread.start()
    return thread


def _may_be_dvc(parent: int) -> bool:
    """Orphans are taken over by init or by a service manager, neither of which is DVC or a Python program using it."""
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
    sys.stderr.write("daxa: DVC has ended, so this stage ends too; what was finished is kept\n")
    os._exit(143)
