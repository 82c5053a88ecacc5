"""What runs in a worker process: one task after another.

The worker leads a session of its own.  A watcher, forked before any work, sleeps until the
stage dies and then kills the whole session; it works even while the task is deep in
compiled code.
"""

from __future__ import annotations

import errno
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import TextIOWrapper
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal, TextIO

from daxa.errors import DaxaError, StorageError
from daxa.files import no_link
from daxa.run.hashes import Stamp
from daxa.run.task import ProductFile, Task, TaskWork

__all__ = ["BROKEN", "READY", "Assignment", "TaskReport", "WorkerSetup", "log_line", "serve", "storage_error"]

READY = "ready"
BROKEN = "broken"

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_STORAGE = _NO_SPACE | {errno.EROFS, errno.EIO}


@dataclass(frozen=True)
class WorkerSetup:
    """The environment of a worker, which is that of its stage.

    Parameters
    ----------
    environ
        Its whole environment.
    paths
        Where modules are looked for.
    directory
        The current directory.
    """

    environ: Mapping[str, str]
    paths: Sequence[str]
    directory: str


@dataclass(frozen=True)
class Assignment:
    """A task for a worker.

    Parameters
    ----------
    task
        What to do.
    directory
        Where its products go; it does not exist yet.
    log
        File for messages to people.
    attempt
        1 for the first time.
    """

    task: Task
    directory: Path
    log: Path
    attempt: int


@dataclass(frozen=True)
class TaskReport:
    """How a task ended.

    Parameters
    ----------
    task
        The task.
    kind
        ``done``, ``failed``, or ``environment``: nothing can go on.
    reason
        Stable code, '' when done.
    directory
        Holds the products of a task that is done.
    products
        Its products with their stamps.
    seconds
        Wall time.
    error
        The error, where the environment is broken.
    """

    task: Task
    kind: Literal["done", "failed", "environment"]
    reason: str = ""
    directory: Path = Path()
    products: tuple[tuple[ProductFile, Stamp], ...] = ()
    seconds: float = 0.0
    error: DaxaError | None = None


def serve(channel: int, lifeline: int) -> None:
    """Work until the stage closes the channel.

    Parameters
    ----------
    channel
        Socket: receives the setting, the pickled work, then assignments; sends reports.
    lifeline
        Pipe that ends when the stage dies.
    """
    begin = time.monotonic()
    _watch(channel, lifeline)
    connection = Connection(channel)
    os.set_inheritable(channel, False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        _settle(connection.recv())
        work: TaskWork = pickle.loads(connection.recv_bytes())  # noqa: S301 - from our parent, over a private socket
    except Exception:
        connection.send((BROKEN, traceback.format_exc()))
        return
    connection.send((READY, time.monotonic() - begin))
    while True:
        try:
            assignment = connection.recv()
        except EOFError:
            return
        connection.send(_carry_out(work, assignment))


def _settle(setting: WorkerSetup) -> None:
    os.environ.clear()
    os.environ.update(setting.environ)
    sys.path[:] = setting.paths
    os.chdir(setting.directory)


def _watch(channel: int, lifeline: int) -> None:
    if os.fork():
        os.close(lifeline)
        return
    try:
        os.close(channel)
        while os.read(lifeline, 1):
            pass
    finally:
        os.killpg(0, signal.SIGKILL)


def _carry_out(work: TaskWork, assignment: Assignment) -> TaskReport:
    begin = time.monotonic()
    task = assignment.task
    try:
        mode: Literal["w", "a"] = "w" if assignment.attempt == 1 else "a"
        with open(
            assignment.log, mode, encoding="utf-8", errors="backslashreplace", buffering=1, opener=no_link
        ) as log:
            _send_output_to(log)
            log_line(log, f"{task.mission} {task.step} {task.name}: {task.backend} {task.version} begins")
            report = _attempt(work, assignment, log)
            _log_end(log, report, time.monotonic() - begin)
    except OSError as error:
        report = TaskReport(task, "environment", error=_no_log(assignment.log, error))
    finally:
        _send_output_to(None)
    return TaskReport(
        task,
        report.kind,
        report.reason,
        assignment.directory,
        report.products,
        time.monotonic() - begin,
        report.error,
    )


def _attempt(work: TaskWork, assignment: Assignment, log: TextIO) -> TaskReport:
    from daxa.run.delivery import collect_products

    task = assignment.task
    try:
        assignment.directory.mkdir(parents=True)
        work(task, assignment.directory, log)
        return TaskReport(task, "done", products=tuple(collect_products(task, assignment.directory)))
    except DaxaError as error:
        log.write(f"{error.message}\n  what to do: {error.remedy}\n  code: {error.code}\n")
        if error.environmental:
            return TaskReport(task, "environment", error.code, error=error)
        return TaskReport(task, "failed", error.code)
    except (Exception, SystemExit) as error:
        if isinstance(error, OSError) and (broken := storage_error(error, assignment.directory)):
            return TaskReport(task, "environment", broken.code, error=broken)
        traceback.print_exc(file=log)
        return TaskReport(task, "failed", f"bug.{type(error).__name__}")


def _log_end(log: TextIO, report: TaskReport, seconds: float) -> None:
    if report.kind == "done":
        size = sum(product.size for product, _ in report.products)
        log_line(log, f"done in {seconds:.1f} s: {len(report.products)} files, {size} bytes")
    else:
        log_line(log, f"{report.kind} after {seconds:.1f} s: {report.reason}")


def log_line(log: TextIO, text: str) -> None:
    """Write one line that begins with the time, UTC."""
    log.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n")


def _send_output_to(log: TextIO | None) -> None:
    """Let everything that this process and its programs print go to the log (or nowhere)."""
    sys.stdout.flush()
    sys.stderr.flush()
    target = os.open(os.devnull, os.O_WRONLY) if log is None else os.dup(log.fileno())
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)


def storage_error(error: OSError, place: Path) -> StorageError | None:
    """The error to raise when the storage itself is at fault, else None."""
    if error.errno not in _NO_STORAGE:
        return None
    where = error.filename or place
    if error.errno in _NO_SPACE:
        return StorageError("full", f"no space left for {where}", remedy="free some space, then run it again")
    return StorageError("broken", f"{where}: {error.strerror}", remedy="check the file system, then run it again")


def _no_log(path: Path, error: OSError) -> StorageError:
    if path.is_symlink():
        return StorageError("log", f"the log {path} is a link", remedy=f"remove it: `rm {path}`, then run it again")
    return storage_error(error, path) or StorageError(
        "log", f"the log {path} cannot be written: {error}", remedy="make the directory writable and run it again"
    )
