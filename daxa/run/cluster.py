"""Run the tasks of a stage on a cluster, with Dask.  Only this module and `daxa.run.scheduler` deal with Dask.

Time limits, retries and reports are those of `daxa.run.executor`, which every worker of the cluster uses for itself
(`daxa.run.cluster_worker`).  Dask decides which worker gets a task, and reassigns the tasks of a lost worker.
"""

from __future__ import annotations

import math
import os
import pickle
import queue
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daxa.errors import DaxaError, ProgramError
from daxa.run.cluster_settings import ClusterSettings
from daxa.run.cluster_worker import StageContext, close_processes, run_task, versions_here
from daxa.run.executor import ATTEMPTS
from daxa.run.machine import Machine, Resources, read_machine
from daxa.run.scheduler import Connection, connected
from daxa.run.task import Task, TaskWork
from daxa.run.task_messages import report_as_text, report_from_text, task_as_text, task_from_text
from daxa.run.worker import TaskReport

if TYPE_CHECKING:
    from distributed import Future

__all__ = ["execute_on_cluster", "run_remotely"]

_POLL = 0.2
_UPKEEP = 5.0
"""Seconds between two checks of the workers, at which jobs that have ended are replaced."""

_SPARE = 16
"""Tasks queued at the scheduler beyond those that run, so that no worker is idle."""

_GONE = ("cancelled", "lost")


def execute_on_cluster(
    tasks: Sequence[Task],
    work: TaskWork,
    *,
    workers: int,
    time_limit: float,
    scratch: Path,
    logs: Path,
    machine: Machine | None = None,
    cluster: ClusterSettings,
    say: Callable[[str], None] = lambda text: None,
) -> Generator[list[TaskReport], None, None]:
    """Run tasks as `daxa.run.executor.execute` does, on the workers of a cluster.

    Parameters
    ----------
    tasks, work, time_limit, scratch, logs
        As for `daxa.run.executor.execute`; all workers must see the directories under the same paths.
    workers, machine
        Not used: the cluster has its own.
    cluster
        The cluster.
    say
        Called with the address of the scheduler's dashboard.

    Yields
    ------
    list of TaskReport
        Those that came in together.

    Raises
    ------
    ConfigError
        The packages that clusters need are not installed.
    ProgramError
        The cluster cannot be reached or started, or is lost.
    """
    del workers, machine
    scratch, logs = scratch.absolute(), logs.absolute()
    with ExitStack() as stack:
        most = cluster.cores * cluster.jobs
        connection = stack.enter_context(connected(cluster, scratch, min(len(tasks), most)))
        say(f"cluster: {connection.client.scheduler.address}, dashboard: {connection.client.dashboard_link}")
        run = _Run(connection, tasks, work, _stage_context(work, time_limit, scratch, logs, cluster.scratch), cluster)
        stack.callback(run.close)
        while run.busy():
            if reports := run.step():
                yield reports


def _stage_context(work: TaskWork, time_limit: float, scratch: Path, logs: Path, temporary: str = "") -> StageContext:
    name = uuid.uuid4().hex
    variables = {key: value for key, value in os.environ.items() if key.startswith(("DAXA_", "GIT_", "SOURCE_DATE_"))}
    variables |= {"TMPDIR": temporary} if temporary else {}
    mark = scratch / f"mark-{name[:12]}"
    for path in (mark, _start_mark(mark)):
        path.touch()
    return StageContext(
        name=name,
        work=pickle.dumps(work),
        time_limit=time_limit,
        scratch=str(scratch),
        logs=str(logs),
        mark=str(mark),
        directory=os.getcwd(),  # noqa: PTH109 - a text
        variables=variables,
        versions=versions_here(),
    )


def _start_mark(mark: Path) -> Path:
    """A file that exists as long as tasks may start."""
    return mark.with_name(f"{mark.name}.open")


@dataclass
class _Run:
    """One run of a stage: which tasks the cluster has, and which wait."""

    connection: Connection
    tasks: Sequence[Task]
    work: TaskWork
    context: StageContext
    cluster: ClusterSettings
    _waiting: deque[tuple[Task, int]] = field(init=False)
    _sent: dict[str, tuple[Future, Task, int]] = field(default_factory=dict)
    _ended: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)
    _began: float = field(default_factory=time.monotonic)
    _upkeep: float = -math.inf
    _most: int = 0
    _open: bool = True

    def __post_init__(self) -> None:
        self._waiting = deque((task, 1) for task in self.tasks)
        self._say_resources: Callable[[Task], Resources] = getattr(self.work, "resources", None) or (
            lambda task: Resources()
        )

    def busy(self) -> bool:
        """Whether something runs or waits to run."""
        return bool(self._waiting or self._sent)

    def step(self) -> list[TaskReport]:
        """Send as many tasks as the cluster can take, wait a moment, and collect the reports."""
        if time.monotonic() - self._upkeep > _UPKEEP:
            self._keep_up()
        while self._waiting and len(self._sent) < self._most + _SPARE:
            self._send(*self._waiting.popleft())
        keys = self._wait()
        ended = [(key, self._sent[key]) for key in keys if key in self._sent]
        reports = self._collect(ended)
        if self._open and any(report.kind == "environment" for report in reports):
            self._open = False
            self._waiting.clear()
            _start_mark(Path(self.context.mark)).unlink(missing_ok=True)
        return reports

    def close(self) -> None:
        """Stop everything that workers do for this run."""
        mark = Path(self.context.mark)
        for path in (_start_mark(mark), mark):
            path.unlink(missing_ok=True)
        with suppress(Exception):  # The cluster may be gone.
            client = self.connection.client
            if self._sent:
                client.cancel([future for future, _, _ in self._sent.values()], force=True)
            client.run(close_processes, self.context.name, on_error="ignore")

    def _keep_up(self) -> None:
        self._upkeep = time.monotonic()
        try:
            self.connection.keep_up()
            present = self.connection.threads()
        except DaxaError:
            raise
        except Exception as error:
            raise _lost(error) from error
        patience = self.cluster.patience
        # Tasks must be queued for workers that have yet to start.
        self._most = max(present, self.cluster.cores * self.cluster.jobs if self.cluster.kind else 0)
        if not present and patience and time.monotonic() - self._began > patience:
            raise ProgramError(
                "cluster-empty",
                f"no worker has come in {patience} s",
                remedy="see whether jobs wait (squeue, qstat, condor_q), and `daxa doctor cluster`",
            )

    def _send(self, task: Task, attempt: int) -> None:
        key = f"daxa-{self.context.name[:12]}-{task.name}-{attempt}"
        resources = self._say_resources(task)
        declared = None
        if self.connection.declares:
            memory = min(resources.memory, self.cluster.memory_bytes)
            declared = {"CORES": min(resources.cores, self.cluster.cores), "MEMORY": memory}
        future = self.connection.client.submit(
            run_remotely,
            asdict(self.context),
            task_as_text(task),
            (resources.memory, resources.cores),
            key,
            key=key,
            pure=False,
            resources=declared,
        )
        self._sent[key] = (future, task, attempt)
        # Results are gathered in batches: a callback that fetched each of them would do so one by one.
        future.add_done_callback(partial(_put, self._ended, key))

    def _wait(self) -> list[str]:
        keys = []
        with suppress(queue.Empty):
            keys.append(self._ended.get(timeout=_POLL))
            while True:
                keys.append(self._ended.get_nowait())
        return keys

    def _collect(self, ended: Sequence[tuple[str, tuple[Future, Task, int]]]) -> list[TaskReport]:
        if any(future.status in _GONE for _, (future, _, _) in ended) or self.connection.client.status != "running":
            raise _lost(None)
        done = [key for key, (future, _, _) in ended if future.status == "finished"]
        try:
            texts = dict(zip(done, self.connection.client.gather([self._sent[key][0] for key in done]), strict=True))
        except Exception as error:
            raise _lost(error) from error
        reports = []
        for key, (future, task, attempt) in ended:
            del self._sent[key]
            if future.status == "error":
                reports.append(_failure_report(task, future.exception()))
            elif (text := texts[key]) is not None:
                reports.append(report_from_text(text, task))
            elif self._open:
                self._requeue(task, attempt)
        return reports

    def _requeue(self, task: Task, attempt: int) -> None:
        """Queue a task again that a closing worker has dropped."""
        if attempt >= ATTEMPTS:
            raise ProgramError(
                "cluster-dropped",
                f"the cluster has dropped the task {task.name} {attempt} times",
                remedy="see `daxa doctor cluster`, and run the same command again: finished tasks are kept",
            )
        self._waiting.appendleft((task, attempt + 1))


def _put(ended: queue.SimpleQueue[str], key: str, future: Future) -> None:
    ended.put(key)


def _failure_report(task: Task, error: BaseException | None) -> TaskReport:
    from distributed.scheduler import KilledWorker

    if isinstance(error, KilledWorker):
        return TaskReport(task, "failed", "worker.died")
    broken = ProgramError(
        "cluster-worker",
        f"a worker cannot run tasks: {type(error).__name__}: {str(error)[:300]}",
        remedy="see that daxa can be imported on the nodes: `daxa doctor cluster`",
    )
    return TaskReport(task, "environment", broken.code, error=broken)


def _lost(error: BaseException | None) -> ProgramError:
    why = f": {type(error).__name__}: {str(error)[:300]}" if error else ""
    return ProgramError(
        "cluster-lost",
        f"the cluster is lost{why}",
        remedy="see whether its scheduler runs, then run the same command again: finished tasks are kept",
    )


def run_remotely(context: Mapping[str, Any], task: str, taken: tuple[int, int], key: str) -> str | None:
    """Run one task, in a worker of the cluster.

    Parameters
    ----------
    context
        Fields of `daxa.run.cluster_worker.StageContext`.
    task
        As `daxa.run.task_messages.task_as_text` wrote it.
    taken
        Memory in bytes and cores that it needs.
    key
        Dask's key of the task.

    Returns
    -------
    str or None
        What `daxa.run.task_messages.report_as_text` writes; None if the task is no longer needed.
    """
    from distributed import get_worker
    from distributed.core import Status

    worker = get_worker()

    def is_needed() -> bool:
        # When a stage is killed, the scheduler releases its tasks, and workers then see them as cancelled.
        state = worker.state.tasks.get(key)
        ending = worker.status in (Status.closing, Status.closed, Status.failed)
        return not ending and state is not None and state.state != "cancelled"

    found = StageContext(**context)
    if not _start_mark(Path(found.mark)).exists() and Path(found.scratch).is_dir():
        return None
    limit = worker.memory_manager.memory_limit or read_machine().memory
    machine = Machine(int(limit), worker.state.nthreads)
    report = run_task(found, task_from_text(task), Resources(*taken), machine, is_needed)
    return None if report is None else report_as_text(report)
