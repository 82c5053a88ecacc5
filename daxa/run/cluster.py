"""Carry out the tasks of a stage on a cluster, by Dask: with `daxa.run.scheduler` the door to it.

How a task is limited, tried again and reported is `daxa.run.executor`'s, which every worker of the cluster uses for
itself (`daxa.run.lane`).  Dask decides which worker gets a task, and gives those of a worker that is lost to others.
"""

from __future__ import annotations

import math
import os
import pickle
import queue
import socket
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
from daxa.run.executor import ATTEMPTS
from daxa.run.lane import Errand, carry_out, close_lanes, versions_here
from daxa.run.machine import Machine, Resources, read_machine
from daxa.run.scheduler import Connection, connected
from daxa.run.task import Task, TaskWork
from daxa.run.task_messages import report_as_text, report_from_text, task_as_text, task_from_text
from daxa.run.worker import TaskReport

if TYPE_CHECKING:
    from distributed import Future

__all__ = ["Trial", "execute_on_cluster", "run_remotely", "try_cluster"]

_POLL = 0.2
_UPKEEP = 5.0
"""Seconds after which jobs that have ended are replaced, and the number of workers is asked for."""

_SPARE = 16
"""Tasks that wait at the scheduler beyond those that run, so that no worker waits for the stage."""

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
    """Carry out tasks as `daxa.run.executor.execute` does, on the workers of a cluster.

    Parameters
    ----------
    tasks, work, time_limit, scratch, logs
        As for `daxa.run.executor.execute`; the directories are seen by all workers under the same paths.
    workers, machine
        Not used: the cluster has its own.
    cluster
        Which cluster.
    say
        Is told where the pages of the scheduler are.

    Yields
    ------
    list of TaskReport
        Those that came in together.

    Raises
    ------
    ConfigError
        What daxa needs for clusters is not installed.
    ProgramError
        The cluster cannot be reached or started, or is lost.
    """
    del workers, machine
    scratch, logs = scratch.absolute(), logs.absolute()
    with ExitStack() as stack:
        most = cluster.cores * cluster.jobs
        connection = stack.enter_context(connected(cluster, scratch, min(len(tasks), most)))
        say(f"cluster: {connection.client.scheduler.address}, its pages: {connection.client.dashboard_link}")
        run = _Run(connection, tasks, work, _errand(work, time_limit, scratch, logs, cluster.scratch), cluster)
        stack.callback(run.close)
        while run.busy():
            if reports := run.step():
                yield reports


def _errand(work: TaskWork, time_limit: float, scratch: Path, logs: Path, temporary: str = "") -> Errand:
    name = uuid.uuid4().hex
    variables = {key: value for key, value in os.environ.items() if key.startswith(("DAXA_", "GIT_", "SOURCE_DATE_"))}
    variables |= {"TMPDIR": temporary} if temporary else {}
    mark = scratch / f"mark-{name[:12]}"
    for path in (mark, _opening(mark)):
        path.touch()
    return Errand(
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


def _opening(mark: Path) -> Path:
    """A file that stands as long as tasks may begin."""
    return mark.with_name(f"{mark.name}.open")


@dataclass
class _Run:
    """One run of a stage: which tasks are at the cluster, and which wait."""

    connection: Connection
    tasks: Sequence[Task]
    work: TaskWork
    errand: Errand
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
        """Send what the cluster can take, wait a moment, and collect what came in."""
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
            _opening(Path(self.errand.mark)).unlink(missing_ok=True)
        return reports

    def close(self) -> None:
        """Let no worker go on with anything of this run."""
        mark = Path(self.errand.mark)
        for path in (_opening(mark), mark):
            path.unlink(missing_ok=True)
        with suppress(Exception):  # The cluster may be gone.
            client = self.connection.client
            if self._sent:
                client.cancel([future for future, _, _ in self._sent.values()], force=True)
            client.run(close_lanes, self.errand.name, on_error="ignore")

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
        # Workers that are still to come must find something to do.
        self._most = max(present, self.cluster.cores * self.cluster.jobs if self.cluster.kind else 0)
        if not present and patience and time.monotonic() - self._began > patience:
            raise ProgramError(
                "cluster-empty",
                f"no worker has come in {patience} s",
                remedy="see whether jobs wait (squeue, qstat, condor_q), and `daxa doctor cluster`",
            )

    def _send(self, task: Task, attempt: int) -> None:
        key = f"daxa-{self.errand.name[:12]}-{task.name}-{attempt}"
        resources = self._say_resources(task)
        declared = None
        if self.connection.declares:
            memory = min(resources.memory, self.cluster.memory_bytes)
            declared = {"CORES": min(resources.cores, self.cluster.cores), "MEMORY": memory}
        future = self.connection.client.submit(
            run_remotely,
            asdict(self.errand),
            task_as_text(task),
            (resources.memory, resources.cores),
            key,
            key=key,
            pure=False,
            resources=declared,
        )
        self._sent[key] = (future, task, attempt)
        # Not through the future's own thread pool for results, which would be asked for one by one.
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
                reports.append(_given_up(task, future.exception()))
            elif (text := texts[key]) is not None:
                reports.append(report_from_text(text, task))
            elif self._open:
                self._again(task, attempt)
        return reports

    def _again(self, task: Task, attempt: int) -> None:
        """A worker that is being closed has dropped a task."""
        if attempt >= ATTEMPTS:
            raise ProgramError(
                "cluster-dropped",
                f"the cluster has dropped the task {task.name} {attempt} times",
                remedy="see `daxa doctor cluster`, and run it again: what is done is kept",
            )
        self._waiting.appendleft((task, attempt + 1))


def _put(ended: queue.SimpleQueue[str], key: str, future: Future) -> None:
    ended.put(key)


def _given_up(task: Task, error: BaseException | None) -> TaskReport:
    from distributed.scheduler import KilledWorker

    if isinstance(error, KilledWorker):
        return TaskReport(task, "failed", "worker.died")
    broken = ProgramError(
        "cluster-worker",
        f"a worker cannot carry out tasks: {type(error).__name__}: {str(error)[:300]}",
        remedy="see that daxa can be imported on the nodes: `daxa doctor cluster`",
    )
    return TaskReport(task, "environment", broken.code, error=broken)


@dataclass(frozen=True)
class Trial:
    """What a small task showed of a cluster.

    Parameters
    ----------
    scheduler, pages
        Addresses of the scheduler and of its pages.
    host
        Where the task ran.
    versions
        What is installed there.
    sees
        Whether the directory is seen there.
    waited
        Seconds until the first worker was there.
    seconds
        Of one trivial task, on average.
    """

    scheduler: str
    pages: str
    host: str
    versions: Mapping[str, str]
    sees: bool
    waited: float
    seconds: float


_TRIED = 100


def try_cluster(cluster: ClusterSettings, shared: Path, *, patience: float) -> Trial:
    """Start the cluster, or connect to it, and carry out trivial tasks.

    Parameters
    ----------
    cluster
        Which.
    shared
        A directory that the workers must see.
    patience
        Seconds for which the first worker is waited for.

    Raises
    ------
    ConfigError
        What daxa needs for clusters is not installed.
    ProgramError
        The cluster cannot be reached or started, or no worker comes.
    """
    began = time.monotonic()
    with connected(cluster, shared.absolute(), 1) as connection:
        client = connection.client
        try:
            _wait_for_worker(connection, began + patience)
        except TimeoutError:
            raise ProgramError(
                "cluster-empty",
                f"no worker has come in {patience:g} s",
                remedy="see whether jobs wait (squeue, qstat, condor_q), and what their logs say",
            ) from None
        waited = time.monotonic() - began
        host, versions, sees = client.submit(_look_around, str(shared.absolute()), pure=False).result()
        begun = time.monotonic()
        client.gather(client.map(str, range(_TRIED), pure=False))
        seconds = (time.monotonic() - begun) / _TRIED
        return Trial(client.scheduler.address, client.dashboard_link, host, versions, sees, waited, seconds)


def _wait_for_worker(connection: Connection, until: float) -> None:
    while True:
        connection.keep_up()
        try:
            connection.client.wait_for_workers(1, timeout=min(_UPKEEP, max(0.1, until - time.monotonic())))
        except TimeoutError:
            if time.monotonic() > until:
                raise
        else:
            return


def _look_around(shared: str) -> tuple[str, dict[str, str], bool]:
    return socket.gethostname(), versions_here(), Path(shared).is_dir()


def _lost(error: BaseException | None) -> ProgramError:
    why = f": {type(error).__name__}: {str(error)[:300]}" if error else ""
    return ProgramError(
        "cluster-lost",
        f"the cluster is lost{why}",
        remedy="see whether its scheduler runs, then run it again: what is done is kept",
    )


def run_remotely(errand: Mapping[str, Any], task: str, taken: tuple[int, int], key: str) -> str | None:
    """In a worker of the cluster: carry out one task.

    Parameters
    ----------
    errand
        Fields of `daxa.run.lane.Errand`.
    task
        As `daxa.run.task_messages.task_as_text` wrote it.
    taken
        Memory in bytes and cores that it takes.
    key
        By which the cluster knows it.

    Returns
    -------
    str or None
        What `daxa.run.task_messages.report_as_text` writes; None if the task is not wanted any more.
    """
    from distributed import get_worker
    from distributed.core import Status

    worker = get_worker()

    def wanted() -> bool:
        # Of a stage that was killed, the scheduler frees the tasks, which workers then have as cancelled.
        state = worker.state.tasks.get(key)
        ending = worker.status in (Status.closing, Status.closed, Status.failed)
        return not ending and state is not None and state.state != "cancelled"

    found = Errand(**errand)
    if not _opening(Path(found.mark)).exists() and Path(found.scratch).is_dir():
        return None
    limit = worker.memory_manager.memory_limit or read_machine().memory
    machine = Machine(int(limit), worker.state.nthreads)
    report = carry_out(found, task_from_text(task), Resources(*taken), machine, wanted)
    return None if report is None else report_as_text(report)
