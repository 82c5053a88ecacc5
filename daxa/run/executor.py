"""A pool of worker processes of our own.

Workers persist over many tasks, each leads a session of its own, and none outlives this
process.  They are forks of a process that has imported what the tasks need and nothing of the
main program (`daxa.run.forkserver`): a script without a main guard may run a stage.

One worker starts; if tasks still wait after it has worked for a moment, or for as long as its
start took, the number of workers doubles, until all run.  A small stage pays for no worker that it
does not need.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Protocol

from daxa.errors import ProgramError
from daxa.files import no_link
from daxa.run.forkserver import ForkedWorker, ForkServer, connect, start
from daxa.run.machine import Machine, Resources, choose_next, read_machine
from daxa.run.task import Task, TaskWork
from daxa.run.worker import BROKEN, READY, Assignment, TaskReport, WorkerSetup, log_line
from daxa.run.worker_identity import worker_environ

__all__ = ["ATTEMPTS", "Execute", "Pool", "execute"]

ATTEMPTS = 3
"""How often a task whose worker dies is tried."""

_POLL = 0.2
_MOMENT = 0.2
"""Seconds of work before a second worker starts."""


class Execute(Protocol):
    """What runs the tasks of a stage: `execute`, or `daxa.run.cluster.execute_on_cluster` on other machines."""

    def __call__(
        self,
        tasks: Sequence[Task],
        work: TaskWork,
        *,
        workers: int,
        time_limit: float,
        scratch: Path,
        logs: Path,
        machine: Machine | None = None,
    ) -> Generator[list[TaskReport], None, None]: ...


@dataclass
class _Worker:
    process: ForkedWorker
    connection: Connection
    lifeline: int
    ready: bool = False
    assignment: Assignment | None = None
    since: float = 0.0


def execute(
    tasks: Sequence[Task],
    work: TaskWork,
    *,
    workers: int,
    time_limit: float,
    scratch: Path,
    logs: Path,
    machine: Machine | None = None,
) -> Generator[list[TaskReport], None, None]:
    """Carry out tasks, and give reports as tasks end.

    After a report ``environment`` no further task begins; those that run are waited for.
    Closing the iterator kills the workers and everything they started.

    Parameters
    ----------
    tasks
        In the order in which they begin.
    work
        Picklable, from an importable module.
    workers
        How many tasks run at once.
    time_limit
        Seconds after which a task and all its processes are killed.
    scratch, logs
        Directories, which exist, for directories of products and for logs.
    machine
        What the tasks that run together may take, where the work says what each takes
        (`daxa.run.machine.choose_next`); by default this machine.

    Yields
    ------
    list of TaskReport
        Those that came in together.

    Raises
    ------
    ProgramError
        Worker processes cannot be started.
    RuntimeError
        The work cannot be imported in a worker: a bug.
    """
    pool = Pool(
        tasks,
        work,
        size=max(1, workers),
        time_limit=time_limit,
        scratch=scratch.absolute(),
        logs=logs.absolute(),
        machine=machine or read_machine(),
    )
    try:
        while pool.busy():
            if reports := pool.step():
                yield reports
    finally:
        pool.close()


class Pool:
    """The workers and what they do at the moment.

    Parameters
    ----------
    tasks, work, time_limit, scratch, logs, machine
        As for `execute`.
    size
        How many workers there may be.
    environ, directory
        In which they work; by default those of this process.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        work: TaskWork,
        *,
        size: int,
        time_limit: float,
        scratch: Path,
        logs: Path,
        machine: Machine,
        environ: Mapping[str, str] | None = None,
        directory: str = "",
    ) -> None:
        self._queue = deque((task, 1) for task in tasks)
        self._work = pickle.dumps(work)
        self._modules = _modules_of(work, tasks)
        self._taken: Callable[[Task], Resources] = getattr(work, "resources", None) or (lambda task: Resources())
        self._machine = machine
        self._server: ForkServer | None = None
        self._size = size
        self._time_limit = time_limit
        self._scratch = scratch
        self._targets = scratch
        self._logs = logs
        self._environ = environ
        self._directory = directory
        self._workers: list[_Worker] = []
        self._failed_starts = 0
        self._ready_since = 0.0
        self._cost = 0.0

    def put(self, task: Task, targets: Path) -> None:
        """Add a task to those that wait; its directory of products is made in `targets`."""
        self._targets = targets
        self._queue.append((task, 1))

    def busy(self) -> bool:
        """Whether a task is running or waiting."""
        return bool(self._queue) or any(worker.assignment for worker in self._workers)

    def step(self) -> list[TaskReport]:
        """Start what can start, wait a moment, and collect what came in."""
        # A task that comes back from a dead worker may find others that had nothing left to do.
        for worker in self._workers:
            if worker.ready and worker.assignment is None:
                self._assign(worker)
        running = sum(worker.assignment is not None for worker in self._workers)
        wanted = min(self._size, len(self._queue) + running)
        for _ in range(min(wanted - len(self._workers), self._worthwhile())):
            self._workers.append(self._start())
        ready = wait([worker.connection for worker in self._workers], timeout=_POLL)
        reports = []
        for worker in list(self._workers):
            if worker.connection in ready:
                report = self._receive(worker)
            elif worker.process.has_ended() and not worker.connection.poll():
                report = self._reap(worker)
            elif (assignment := worker.assignment) and time.monotonic() - worker.since > self._time_limit:
                report = self._stop(worker, assignment)
            else:
                continue
            if report:
                reports.append(report)
        if any(report.kind == "environment" for report in reports):
            self._queue.clear()
            self._size = 0
        return reports

    def _worthwhile(self) -> int:
        """How many more workers may start: none before those that are there have repaid their start."""
        if not self._workers:
            return 1
        repaid = time.monotonic() - self._ready_since > max(self._cost, _MOMENT)
        return len(self._workers) if repaid and all(worker.ready for worker in self._workers) else 0

    def close(self) -> None:
        """Kill the workers and everything they started."""
        while self._workers:
            self._end(self._workers[-1])
        if self._server:
            self._server.close()

    def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        watched, lifeline = os.pipe()
        try:
            process = self._fork(theirs.fileno(), watched)
        except BaseException:
            ours.close()
            os.close(lifeline)
            raise
        finally:
            theirs.close()
            os.close(watched)
        worker = _Worker(process, Connection(ours.detach()), lifeline)
        paths = [path for path in sys.path if isinstance(path, str)]
        with suppress(OSError):  # If it died at once, the next step finds that out.
            environ = worker_environ(os.environ if self._environ is None else self._environ)
            worker.connection.send(WorkerSetup(environ, paths, self._directory or os.getcwd()))  # noqa: PTH109 - a text
            worker.connection.send_bytes(self._work)
        return worker

    def _fork(self, channel: int, lifeline: int) -> ForkedWorker:
        """Ask for a worker; a server that is gone is replaced by one of our own."""
        path = self._scratch / "workers.log"
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)
        try:
            if self._server is None:
                self._server = connect() or start(path)
            elif self._failed_starts:
                self._server = self._replace_server(self._server, path)
            try:
                return self._server.fork(self._modules, channel=channel, lifeline=lifeline, log=log)
            except OSError:
                self._server = self._replace_server(self._server, path)
                return self._server.fork(self._modules, channel=channel, lifeline=lifeline, log=log)
        finally:
            os.close(log)

    @staticmethod
    def _replace_server(gone: ForkServer, log: Path) -> ForkServer:
        gone.close()
        return start(log)

    def _receive(self, worker: _Worker) -> TaskReport | None:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            return self._reap(worker)
        if isinstance(message, TaskReport):
            worker.assignment = None
            self._assign(worker)
            return message
        kind, more = message
        if kind == BROKEN:
            raise RuntimeError(f"a worker cannot import the work of this stage:\n{more}")
        worker.ready = kind == READY
        self._ready_since = time.monotonic()
        self._cost = more
        self._failed_starts = 0
        self._assign(worker)
        return None

    def _assign(self, worker: _Worker) -> None:
        if not self._queue or not self._size:
            return
        running = [self._taken(other.assignment.task) for other in self._workers if other.assignment]
        at = choose_next((self._taken(task) for task, _ in self._queue), running, self._machine)
        if at is None:
            return
        task, attempt = self._queue[at]
        del self._queue[at]
        worker.assignment = Assignment(
            task, self._targets / f"{task.name}.{attempt}", self._logs / f"{task.name}.log", attempt
        )
        worker.since = time.monotonic()
        with suppress(OSError):  # If it died meanwhile, the next step finds that out and tries the task again.
            worker.connection.send(worker.assignment)

    def _reap(self, worker: _Worker) -> TaskReport | None:
        """Account for a worker that died or was killed: its task waits again, or has failed."""
        code = self._end(worker)
        assignment = worker.assignment
        if assignment is None:
            self._failed_starts += not worker.ready
            if self._failed_starts >= ATTEMPTS:
                raise ProgramError(
                    "worker-start",
                    f"worker processes end before they begin (exit code {code}): {self._last_words()}",
                    remedy="check that this Python can import daxa, and that memory is free",
                )
            return None
        last = assignment.attempt >= ATTEMPTS
        self._note(assignment, f"the worker died ({_cause(code)}); {'given up' if last else 'the task is tried again'}")
        if last:
            return self._failed(worker, assignment, "worker.died")
        if self._size:
            self._queue.appendleft((assignment.task, assignment.attempt + 1))
        return None

    def _stop(self, worker: _Worker, assignment: Assignment) -> TaskReport:
        self._end(worker)
        self._note(assignment, f"killed after {self._time_limit:g} s, the time limit of a task")
        return self._failed(worker, assignment, "task.timeout")

    @staticmethod
    def _failed(worker: _Worker, assignment: Assignment, reason: str) -> TaskReport:
        return TaskReport(
            assignment.task, "failed", reason, assignment.directory, seconds=time.monotonic() - worker.since
        )

    def _end(self, worker: _Worker) -> int | None:
        self._workers.remove(worker)
        worker.connection.close()
        try:
            return worker.process.end()
        finally:
            os.close(worker.lifeline)

    def _note(self, assignment: Assignment, text: str) -> None:
        with open(assignment.log, "a", encoding="utf-8", opener=no_link) as log:
            log_line(log, text)

    def _last_words(self) -> str:
        try:
            lines = (self._scratch / "workers.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else "nothing was written"


def _modules_of(work: TaskWork, tasks: Sequence[Task]) -> list[str]:
    """The modules that the work says it imports for such tasks, if it says so."""
    say = getattr(work, "modules", None)
    if say is None:
        return []
    kinds = {(task.backend, task.step): task for task in tasks}
    return sorted({module for task in kinds.values() for module in say(task)})


def _cause(code: int | None) -> str:
    if code is None:
        return "it could not be ended"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
