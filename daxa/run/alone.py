"""What surrounds a stage: it runs once, says why storage fails, and ends cleanly when asked to."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from daxa.errors import ArchiveError, StorageError
from daxa.files import holding_lock
from daxa.run.prepared_stage import Stage
from daxa.run.task import StagePaths
from daxa.run.worker import storage_error

__all__ = ["locked", "storage_errors", "terminated_cleanly"]

_WAIT = 15.0
"""Seconds to wait for the lock: a killed holder needs a moment to die."""


@contextmanager
def locked(stage: Stage) -> Iterator[None]:
    """Hold the lock of a stage, which runs once at a time.

    Raises
    ------
    ArchiveError
        It is already running.
    """
    busy = ArchiveError(
        "busy",
        f"the step {stage.step} of {stage.mission} is already running in this archive",
        remedy="wait until it ends, or stop it",
    )
    with holding_lock(stage.places.lock, _WAIT, busy):
        yield


@contextmanager
def storage_errors(places: StagePaths) -> Iterator[None]:
    """Turn what a disk refuses into errors with a remedy.

    Raises
    ------
    StorageError
        Files cannot be written, or the disk is full or fails.
    """
    try:
        yield
    except PermissionError as error:
        raise StorageError(
            "permission", f"{error.filename}: {error.strerror}", remedy="make it writable, then run it again"
        ) from error
    except OSError as error:
        if broken := storage_error(error, places.products):
            raise broken from error
        raise


class _Terminated(BaseException):
    """SIGTERM was received."""


@contextmanager
def terminated_cleanly() -> Iterator[None]:
    """Let SIGTERM end the stage by an exception, so that workers are killed, and then have its usual effect."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _Terminated

    usual = signal.signal(signal.SIGTERM, stop)
    terminated = False
    try:
        yield
    except _Terminated:
        terminated = True
    finally:
        signal.signal(signal.SIGTERM, usual or signal.SIG_DFL)
    if terminated:
        os.kill(os.getpid(), signal.SIGTERM)
        raise SystemExit(143)
