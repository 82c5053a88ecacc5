"""How a worker of a cluster runs a task: in a separate process, as a stage on one machine would.

The process leads its own session and dies with the worker; time limits, process groups and retries after it dies
are those of `daxa.run.executor`.  It is reused for the next tasks of the same stage, so that the overhead of a task
is milliseconds.
"""

from __future__ import annotations

import importlib.metadata
import os
import pickle
import platform
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from daxa.errors import ProgramError, StorageError
from daxa.run.executor import Pool
from daxa.run.machine import Machine, Resources, choose_next
from daxa.run.task import Task, TaskWork
from daxa.run.worker import TaskReport

__all__ = ["StageContext", "close_processes", "run_task", "versions_here"]

_IDLE = 60.0
"""Seconds after which idle processes of another stage are closed."""

_LOOK = 1.0
"""Seconds between two checks that the stage still needs the task."""

_SAME = ("daxa-archive", "numpy", "scipy", "astropy", "pyarrow", "regions")
"""Packages whose versions may affect the bytes of products."""


@dataclass(frozen=True)
class StageContext:
    """Everything that the tasks of one run of a stage share.

    Parameters
    ----------
    name
        Unique name of this run.
    work
        `TaskWork`, pickled by the stage.
    time_limit
        Seconds after which a task and all its processes are killed.
    scratch, logs
        Directories of the stage.
    mark
        A file that exists as long as the stage needs its tasks.
    directory
        Working directory of the tasks.
    variables
        The stage's own settings.
    versions
        Versions that must be the same where the task runs.
    """

    name: str
    work: bytes
    time_limit: float
    scratch: str
    logs: str
    mark: str
    directory: str
    variables: Mapping[str, str]
    versions: Mapping[str, str]


@dataclass
class _Process:
    name: str
    pool: Pool
    since: float = 0.0


@dataclass
class _Usage:
    """Resources that tasks use on this machine, and idle processes."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    taken: list[Resources] = field(default_factory=list)
    idle: list[_Process] = field(default_factory=list)


_usage = _Usage()


@cache
def versions_here() -> dict[str, str]:
    """Versions of Python and of the packages that must be the same everywhere."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _SAME}


def run_task(
    context: StageContext, task: Task, resources: Resources, machine: Machine, is_needed: Callable[[], bool]
) -> TaskReport | None:
    """Run one task in a separate process.

    Parameters
    ----------
    context, task
        The stage and the task.
    resources
        What the task needs; it waits until that is free.
    machine
        What this worker may use for all its tasks.
    is_needed
        Whether the cluster still needs the task.

    Returns
    -------
    TaskReport or None
        None for a task that is no longer needed.
    """
    if broken := _find_problem(context):
        return TaskReport(task, "environment", broken.code, error=broken)
    check = _checker(context, is_needed)
    with _reserved(resources, machine, check) as reserved:
        if not reserved:
            return None
        process = _idle_process(context)
        try:
            process.pool.put(task, Path(context.scratch) / f"on-{uuid.uuid4().hex[:12]}")
            report = _wait_for_report(process.pool, check)
        except BaseException:
            process.pool.close()
            raise
        if report is None or report.kind == "environment":
            process.pool.close()
        else:
            _keep_process(process)
        return report


def _wait_for_report(pool: Pool, check: Callable[[], bool]) -> TaskReport | None:
    while pool.busy():
        for report in pool.step():
            return report
        if not check():
            return None
    return None


def _checker(context: StageContext, is_needed: Callable[[], bool]) -> Callable[[], bool]:
    """Whether cluster and stage still need a task; the file system is checked at most once in `_LOOK` seconds."""
    checked, exists = 0.0, False

    def check() -> bool:
        nonlocal checked, exists
        if time.monotonic() - checked > _LOOK:
            checked, exists = time.monotonic(), os.path.exists(context.mark)  # noqa: PTH110 - a text
        return exists and is_needed()

    return check


@contextmanager
def _reserved(resources: Resources, machine: Machine, check: Callable[[], bool]) -> Iterator[bool]:
    """Reserve what a task needs as soon as it is free; yields False if the task is no longer needed."""
    with _usage.changed:
        while (reserved := check()) and choose_next([resources], _usage.taken, machine) is None:
            _usage.changed.wait(_LOOK)
        if reserved:
            _usage.taken.append(resources)
    try:
        yield reserved
    finally:
        with _usage.changed:
            if reserved:
                _usage.taken.remove(resources)
            _usage.changed.notify_all()


def _idle_process(context: StageContext) -> _Process:
    """An idle process of this stage, or a new one; old ones of other stages are closed."""
    now = time.monotonic()
    with _usage.changed:
        own = [process for process in _usage.idle if process.name == context.name]
        old = [process for process in _usage.idle if process.name != context.name and now - process.since > _IDLE]
        chosen = own[:1]
        _usage.idle = [process for process in _usage.idle if process not in (*chosen, *old)]
    for process in old:
        process.pool.close()
    return chosen[0] if chosen else _start_process(context)


def _start_process(context: StageContext) -> _Process:
    work: TaskWork = pickle.loads(context.work)  # noqa: S301 - from the stage that this worker serves
    scratch = Path(context.scratch) / f"process-{uuid.uuid4().hex[:12]}"
    scratch.mkdir()
    pool = Pool(
        (),
        work,
        size=1,
        time_limit=context.time_limit,
        scratch=scratch,
        logs=Path(context.logs),
        machine=Machine(0, 1),
        environ={**os.environ, **context.variables},
        directory=context.directory,
    )
    return _Process(context.name, pool)


def _keep_process(process: _Process) -> None:
    process.since = time.monotonic()
    with _usage.changed:
        _usage.idle.append(process)


def close_processes(name: str = "") -> None:
    """Close the idle processes of one run of a stage, or of all runs if no name is given."""
    with _usage.changed:
        closed = [process for process in _usage.idle if name in ("", process.name)]
        _usage.idle = [process for process in _usage.idle if process not in closed]
    for process in closed:
        process.pool.close()


def _find_problem(context: StageContext) -> ProgramError | StorageError | None:
    """Why products of this worker might differ from those of the stage's machine, or would not reach it."""
    here = versions_here()
    if differing := [name for name, version in context.versions.items() if here.get(name) != version]:
        name = differing[0]
        return ProgramError(
            "cluster-versions",
            f"{name} is {here.get(name)} on {socket.gethostname()}, and {context.versions[name]} on this machine",
            remedy="use the same Python environment on both",
        )
    if not Path(context.scratch).is_dir():
        return StorageError(
            "cluster-shared",
            f"the worker on {socket.gethostname()} does not see {context.scratch}",
            remedy="put the archive on a file system that all nodes share, under the same path",
        )
    return None
