"""What a worker of a cluster does with a task: it lets a process of ours carry it out, as a stage on one machine would.

The process leads a session of its own and dies with the worker; time limits, process groups and further tries after
its death are those of `daxa.run.executor`.  It is kept for the next tasks of the same stage, so that a task costs
milliseconds.
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

__all__ = ["Errand", "carry_out", "close_lanes", "versions_here"]

_IDLE = 60.0
"""Seconds after which the processes of another stage are not kept any more."""

_LOOK = 1.0
"""Seconds after which it is asked again whether the stage still wants the task."""

_SAME = ("daxa-archive", "numpy", "scipy", "astropy", "pyarrow", "regions")
"""Packages on whose versions the bytes of products may depend."""


@dataclass(frozen=True)
class Errand:
    """What all tasks of one run of a stage have in common.

    Parameters
    ----------
    name
        Of this run; no other has it.
    work
        `TaskWork`, pickled by the stage.
    time_limit
        Seconds after which a task and all its processes are killed.
    scratch, logs
        Directories of the stage.
    mark
        A file that stands as long as the stage wants tasks to be done.
    directory
        In which tasks work.
    variables
        The stage's own settings.
    versions
        What must be the same where the task runs.
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
class _Lane:
    name: str
    pool: Pool
    since: float = 0.0


@dataclass
class _Room:
    """What of this machine is taken, and by which tasks."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    taken: list[Resources] = field(default_factory=list)
    lanes: list[_Lane] = field(default_factory=list)


_room = _Room()


@cache
def versions_here() -> dict[str, str]:
    """Versions of what must be the same everywhere."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _SAME}


def carry_out(
    errand: Errand, task: Task, resources: Resources, machine: Machine, wanted: Callable[[], bool]
) -> TaskReport | None:
    """Carry out one task in a process of its own.

    Parameters
    ----------
    errand, task
        What to do.
    resources
        What the task takes; it waits until so much is free.
    machine
        What this worker may use for all its tasks.
    wanted
        Whether the cluster still wants it to be done.

    Returns
    -------
    TaskReport or None
        None for a task that is not wanted any more.
    """
    if broken := _unfit(errand):
        return TaskReport(task, "environment", broken.code, error=broken)
    asked = _asked(errand, wanted)
    with _taken(resources, machine, asked) as granted:
        if not granted:
            return None
        lane = _take(errand)
        try:
            lane.pool.put(task, Path(errand.scratch) / f"on-{uuid.uuid4().hex[:12]}")
            report = _await(lane.pool, asked)
        except BaseException:
            lane.pool.close()
            raise
        if report is None or report.kind == "environment":
            lane.pool.close()
        else:
            _give_back(lane)
        return report


def _await(pool: Pool, asked: Callable[[], bool]) -> TaskReport | None:
    while pool.busy():
        for report in pool.step():
            return report
        if not asked():
            return None
    return None


def _asked(errand: Errand, wanted: Callable[[], bool]) -> Callable[[], bool]:
    """Whether cluster and stage still want a task; the file system is not asked more often than it bears."""
    looked, stands = 0.0, False

    def ask() -> bool:
        nonlocal looked, stands
        if time.monotonic() - looked > _LOOK:
            looked, stands = time.monotonic(), os.path.exists(errand.mark)  # noqa: PTH110 - a text
        return stands and wanted()

    return ask


@contextmanager
def _taken(resources: Resources, machine: Machine, asked: Callable[[], bool]) -> Iterator[bool]:
    """Take of this machine what a task needs, as soon as it is free; False if it is not wanted any more."""
    with _room.changed:
        while (granted := asked()) and choose_next([resources], _room.taken, machine) is None:
            _room.changed.wait(_LOOK)
        if granted:
            _room.taken.append(resources)
    try:
        yield granted
    finally:
        with _room.changed:
            if granted:
                _room.taken.remove(resources)
            _room.changed.notify_all()


def _take(errand: Errand) -> _Lane:
    """A process of this stage that has nothing to do, or a new one; those of stages that have ended are closed."""
    now = time.monotonic()
    with _room.changed:
        own = [lane for lane in _room.lanes if lane.name == errand.name]
        old = [lane for lane in _room.lanes if lane.name != errand.name and now - lane.since > _IDLE]
        chosen = own[:1]
        _room.lanes = [lane for lane in _room.lanes if lane not in (*chosen, *old)]
    for lane in old:
        lane.pool.close()
    return chosen[0] if chosen else _begin(errand)


def _begin(errand: Errand) -> _Lane:
    work: TaskWork = pickle.loads(errand.work)  # noqa: S301 - from the stage that this worker serves
    scratch = Path(errand.scratch) / f"lane-{uuid.uuid4().hex[:12]}"
    scratch.mkdir()
    pool = Pool(
        (),
        work,
        size=1,
        time_limit=errand.time_limit,
        scratch=scratch,
        logs=Path(errand.logs),
        machine=Machine(0, 1),
        environ={**os.environ, **errand.variables},
        directory=errand.directory,
    )
    return _Lane(errand.name, pool)


def _give_back(lane: _Lane) -> None:
    lane.since = time.monotonic()
    with _room.changed:
        _room.lanes.append(lane)


def close_lanes(name: str = "") -> None:
    """End the processes of a run of a stage that have nothing to do; of all runs, without a name."""
    with _room.changed:
        closed = [lane for lane in _room.lanes if name in ("", lane.name)]
        _room.lanes = [lane for lane in _room.lanes if lane not in closed]
    for lane in closed:
        lane.pool.close()


def _unfit(errand: Errand) -> ProgramError | StorageError | None:
    """Why products of this worker might not be those of the stage's own machine, or would not reach it."""
    here = versions_here()
    if differing := [name for name, version in errand.versions.items() if here.get(name) != version]:
        name = differing[0]
        return ProgramError(
            "cluster-versions",
            f"{name} is {here.get(name)} on {socket.gethostname()}, and {errand.versions[name]} on this machine",
            remedy="let both use the same Python environment",
        )
    if not Path(errand.scratch).is_dir():
        return StorageError(
            "cluster-shared",
            f"the worker on {socket.gethostname()} does not see {errand.scratch}",
            remedy="put the archive on a file system that all nodes share, under the same path",
        )
    return None
