"""A step of a mission, ready to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from daxa.run.executor import Execute
from daxa.run.machine import Machine
from daxa.run.task import StagePaths, Task, TaskWork

__all__ = ["Stage"]


@dataclass(frozen=True)
class Stage:
    """A step of a mission, ready to run.

    Parameters
    ----------
    mission, step
        Which.
    tasks
        One per observation that can be worked on, in the order of ObsIDs.
    exposures
        ObsID to the tasks of its exposures, which run instead of that of the whole
        observation; an observation without any fails.
    skipped
        ObsID to reason, for observations whose earlier step failed.
    work
        Performs a task.
    places
        Its directories and files.
    workers
        How many tasks run at once.
    time_limit
        Seconds after which a task and all its processes are killed.
    keep_absent
        Whether products may be absent without being made again (fetched files).
    takes_calibration
        Whether an observation runs again if only its calibration has changed.
    machine
        The resources that the running tasks share; by default this machine.
    prepare
        Called before the first task, if there is one; it raises what would keep all of them from running.
    only
        ObsIDs that this run concerns; None for all.  Whatever else is recorded or present stays as it is.
    again
        ObsIDs whose tasks run even if nothing has changed.
    execute
        Runs the tasks; by default in processes on this machine.
    """

    mission: str
    step: str
    tasks: Sequence[Task]
    skipped: Mapping[str, str]
    work: TaskWork
    places: StagePaths
    workers: int = 1
    time_limit: float = 86400.0
    keep_absent: bool = False
    exposures: Mapping[str, Sequence[Task]] = field(default_factory=lambda: MappingProxyType({}))
    takes_calibration: bool = True
    machine: Machine | None = None
    prepare: Callable[[], None] | None = None
    only: frozenset[str] | None = None
    again: frozenset[str] = frozenset()
    execute: Execute | None = None

    def concerns(self, obs_id: str) -> bool:
        """Whether this run concerns the observation."""
        return self.only is None or obs_id in self.only
