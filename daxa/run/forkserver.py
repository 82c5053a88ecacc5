"""A process that has imported what tasks need, and forks a worker whenever it is asked to.

An interpreter and the science libraries cost most of a second of processor time; a fork of a
process that has them costs a hundredth.  A stage starts such a process for itself, unless
``daxa run`` around it keeps one for all its stages.

The process has one thread, as a fork asks for: libraries are set to one before they are imported, and
if one starts a thread anyway, workers are fresh interpreters instead.  It never sees
what the workers are sent.  Whoever asked for a worker holds two files: the worker's lifeline,
at whose end it dies with all it started, and the socket on which its process number and its end
are reported; its number stays reserved until that socket is closed.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from daxa.errors import ProgramError
from daxa.run.process import Child, end_group, start_group
from daxa.run.process_trees import end_tree
from daxa.run.worker_identity import NUMBER, SHARED, identity_of, is_ours, library_paths, module_paths, worker_environ

__all__ = ["ForkServer", "ForkedWorker", "connect", "share", "start"]

_SERVE_FORKS = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from daxa.run.forking import serve_forks; serve_forks(*map(int, sys.argv[2:]))"
)
_PREFIX = "daxa-forks-"
_BEGUN = 60.0
"""Seconds within which a new server listens."""
_ANSWER = 10.0
"""Seconds within which another process on this machine answers."""


@dataclass
class ForkServer:
    """A server that can be asked for workers.

    Parameters
    ----------
    control
        Where it is asked.
    child
        The process, where this process started it.
    """

    control: socket.socket
    child: Child | None = None

    def close(self) -> None:
        """End it, if it is ours."""
        self.control.close()
        if self.child:
            with suppress(Exception):  # It reaps its workers and ends by itself, so that their time is accounted for.
                self.child.wait(timeout=2)
            end_group(self.child)

    def fork(self, modules: Sequence[str], *, channel: int, lifeline: int, log: int) -> ForkedWorker:
        """Ask for a worker (`daxa.run.worker.serve`).

        Parameters
        ----------
        modules
            What must be imported in it.
        channel, lifeline
            Files that it is handed.
        log
            File that receives what it writes to standard output and standard error.

        Raises
        ------
        OSError
            The server is gone.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self.control, [json.dumps(modules).encode()], [theirs.fileno(), channel, lifeline, log])
            except OSError:
                ours.close()
                raise
        return ForkedWorker(ours)


@dataclass
class ForkedWorker:
    """A worker that was forked on request."""

    status: socket.socket
    pid: int | None = None
    code: int | None = None
    _unrecoverable: bool = False

    def has_ended(self) -> bool:
        """Whether it has ended, or can no longer report; its PID stays reserved."""
        self._read(0)
        return self.code is not None or self._unrecoverable

    def end(self) -> int | None:
        """Kill it, its group, and what it started that left the group.

        Returns
        -------
        int or None
            Its exit code, negative when a signal ended it; None where it is not known.
        """
        if self.pid is None:
            self._read(_ANSWER)
        if self.pid is not None and not self._unrecoverable:
            end_tree(self.pid)
            while self.code is None and not self._unrecoverable and self._read(_ANSWER):
                pass
        self.status.close()
        return self.code

    def _read(self, seconds: float) -> bool:
        """Receive reports for this many seconds; return whether there were any."""
        received = False
        while not self._unrecoverable and self.code is None:
            self.status.settimeout(0 if received else seconds)
            try:
                message = self.status.recv(NUMBER.size)
            except (TimeoutError, BlockingIOError):
                break
            except OSError:
                message = b""
            if not message:
                self._unrecoverable = True
            elif self.pid is None:
                (self.pid,) = NUMBER.unpack(message)
            else:
                (self.code,) = NUMBER.unpack(message)
            received = True
        return received


def start(log: Path) -> ForkServer:
    """Start a server of our own, which ends with this process.

    Parameters
    ----------
    log
        File that receives what it writes.

    Raises
    ------
    ProgramError
        The system does not let us start it.
    """
    return _start(log, None, os.environ, module_paths(sys.path))


@contextmanager
def share(environ: MutableMapping[str, str], modules: Sequence[str] = ()) -> Iterator[None]:
    """Keep one server for all stages that run in this environment meanwhile, if the system has what that needs.

    Parameters
    ----------
    environ
        The environment of what runs the stages, which has its address for the time being.
    modules
        What is imported at once, beside what runs until a stage asks for workers.
    """
    with ExitStack() as stack:
        # Where it cannot be (no directory, or one with a name too long for a socket), stages start their own.
        with suppress(OSError, ProgramError):
            _keep(stack, environ, modules)
        yield


def _keep(stack: ExitStack, environ: MutableMapping[str, str], modules: Sequence[str]) -> None:
    if not hasattr(socket, "SO_PEERCRED"):
        return
    _clear_abandoned(Path(tempfile.gettempdir()))
    place = stack.enter_context(tempfile.TemporaryDirectory(prefix=_PREFIX))
    with socket.socket(socket.AF_UNIX) as listener:  # Only the server listens: when it dies, nobody waits for it.
        listener.bind(f"{place}/forks")
        listener.listen()
        server = _start(Path(place) / "log", listener, environ, module_paths(library_paths()))
    stack.callback(server.close)
    if modules:
        server.control.sendall(json.dumps(modules).encode())
    environ[SHARED] = f"{place}/forks"
    stack.callback(environ.pop, SHARED, None)


def _clear_abandoned(places: Path) -> None:
    """Remove what a ``daxa run`` that was killed has left: a socket of ours at which nobody listens, and its log."""
    for place in places.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            found = place.lstat()
            begun = time.time() - found.st_mtime < _BEGUN
            if begun or found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode) or _listens(place / "forks"):
                continue
            for name in ("forks", "log"):
                (place / name).unlink(missing_ok=True)
            place.rmdir()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(_ANSWER)
        try:
            control.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True


def connect() -> ForkServer | None:
    """Connect to the server that this ``daxa run`` keeps for its stages.

    It must be this user's, and have the program, the paths and the environment of this process.
    None if there is no such server: the stage then starts its own.
    """
    path = os.environ.get(SHARED)
    if not path or not hasattr(socket, "SO_PEERCRED"):
        return None
    control = socket.socket(socket.AF_UNIX)
    try:
        place = os.lstat(os.path.dirname(path))  # noqa: PTH120 - as it is, never through a link
        if place.st_uid != os.getuid() or place.st_mode & 0o077:
            raise PermissionError(path)
        control.settimeout(_ANSWER)
        control.connect(path)
        if not is_ours(control):
            raise PermissionError(path)
        control.sendall(identity_of(os.environ))
        if control.recv(1) != b"y":
            raise ConnectionRefusedError(path)
    except OSError:
        control.close()
        return None
    control.settimeout(None)
    return ForkServer(control)


def _start(log: Path, listener: socket.socket | None, environ: Mapping[str, str], paths: str) -> ForkServer:
    ours, theirs = socket.socketpair()
    files = [theirs.fileno(), *([listener.fileno()] if listener else [])]
    argv = [sys.executable, "-P", "-c", _SERVE_FORKS, paths, *map(str, files)]
    with theirs:
        try:
            return ForkServer(ours, start_group(argv, pass_fds=files, environ=worker_environ(environ), stderr=log))
        except BaseException:
            ours.close()
            raise
