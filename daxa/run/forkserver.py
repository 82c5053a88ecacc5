"""A process that has imported what tasks need, and forks a worker whenever it is asked to.

An interpreter and the science libraries cost most of a second of processor time; a fork of a
process that has them costs a hundredth.  A stage starts such a process for itself, unless
``daxa run`` around it keeps one for all its stages.

The process has one thread, as a fork asks for: libraries are set to one before they are imported, and
where one starts a thread all the same, workers are fresh interpreters instead.  It never sees
what the workers are sent.  Whoever asked for a worker holds two files: the worker's lifeline,
at whose end it dies with all it started, and the socket on which its process number and its end
are reported; its number stays reserved until that socket is closed.
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import json
import os
import selectors
import signal
import socket
import stat
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from daxa.errors import ProgramError
from daxa.run.process import Child, bind_to_parent, end_group, end_tree, start_group, without_redirection

__all__ = ["ForkServer", "ForkedWorker", "connect", "serve_forks", "share", "start", "worker_environ"]

_ENVIRONMENT = {
    # Tasks run side by side: threads inside them would compete, and sums would depend on their number.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    # Products are no function of the order of sets, of the time zone, of a display or of the user's language.
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
    "TZ": "UTC",
    "MPLBACKEND": "agg",
}

_SHARED = "_DAXA_FORKS"
_CHANGING = {_SHARED, "DVC_NO_ANALYTICS", "DVC_ROOT", "DVC_STAGE", "OLDPWD", "PATH", "PWD", "SHLVL", "_"}
"""What may differ between ``daxa run`` and its stages, since no library reads it as it is imported."""
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from daxa.run."
_SERVE_FORKS = _START + "forkserver import serve_forks; serve_forks(*map(int, sys.argv[2:]))"
_SERVE = _START + "worker import serve; serve(*map(int, sys.argv[2:]))"
_PREFIX = "daxa-forks-"
_NUMBER = struct.Struct("i")
_CREDENTIALS = struct.Struct("3i")
_LONGEST = 4096
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
                message = self.status.recv(_NUMBER.size)
            except (TimeoutError, BlockingIOError):
                break
            except OSError:
                message = b""
            if not message:
                self._unrecoverable = True
            elif self.pid is None:
                (self.pid,) = _NUMBER.unpack(message)
            else:
                (self.code,) = _NUMBER.unpack(message)
            received = True
        return received


def worker_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker.

    Parameters
    ----------
    environ
        The environment of the stage.
    """
    return without_redirection({**environ, **_ENVIRONMENT})


def start(log: Path) -> ForkServer:
    """Start one of our own, which ends with this process.

    Parameters
    ----------
    log
        File that receives what it writes.

    Raises
    ------
    ProgramError
        The system does not let us start it.
    """
    return _start(log, None, os.environ, _paths(sys.path))


@contextmanager
def share(environ: MutableMapping[str, str], modules: Sequence[str] = ()) -> Iterator[None]:
    """Keep one for all stages that are run meanwhile in this environment, where the system offers what that needs.

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
        server = _start(Path(place) / "log", listener, environ, _paths(_library()))
    stack.callback(server.close)
    if modules:
        server.control.sendall(json.dumps(modules).encode())
    environ[_SHARED] = f"{place}/forks"
    stack.callback(environ.pop, _SHARED, None)


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
    """The one that is kept for the stages of this ``daxa run``, where there is one.

    It must be this user's, and have the program, the paths and the environment of this process:
    else None, and the stage starts its own.
    """
    path = os.environ.get(_SHARED)
    if not path or not hasattr(socket, "SO_PEERCRED"):
        return None
    control = socket.socket(socket.AF_UNIX)
    try:
        place = os.lstat(os.path.dirname(path))  # noqa: PTH120 - as it is, never through a link
        if place.st_uid != os.getuid() or place.st_mode & 0o077:
            raise PermissionError(path)
        control.settimeout(_ANSWER)
        control.connect(path)
        if not _is_ours(control):
            raise PermissionError(path)
        control.sendall(_identity(os.environ))
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


def _paths(paths: Sequence[object]) -> str:
    return json.dumps([path for path in paths if isinstance(path, str)])


def _library() -> list[str]:
    """Where modules are looked for, without the directory of the script that runs."""
    return sys.path if sys.flags.safe_path else sys.path[1:]


def _identity(environ: Mapping[str, str]) -> bytes:
    """Digest of everything that is fixed about a worker before it starts."""
    import daxa

    kept = {name: value for name, value in worker_environ(environ).items() if name not in _CHANGING}
    what = [sys.executable, sys.version, daxa.__file__, _paths(_library()), sorted(kept.items())]
    return hashlib.sha256(json.dumps(what).encode("utf-8", "surrogateescape")).hexdigest().encode()


def _is_ours(peer: socket.socket) -> bool:
    answer = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    credentials: tuple[int, int, int] = _CREDENTIALS.unpack(answer)
    return credentials[1] == os.getuid()


def serve_forks(control: int, listener: int = -1) -> None:
    """Fork workers until the process that started this one closes the socket `control` or dies.

    Parameters
    ----------
    control
        Socket on which it asks.
    listener
        Socket on which other processes of this user connect to ask.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What is imported stays: neither is it searched for garbage, nor do workers change its pages.
    gc.disable()
    _Server(socket.socket(fileno=control), socket.socket(fileno=listener) if listener >= 0 else None).run()


class _Server:
    """Who asks, and which workers there are."""

    def __init__(self, owner: socket.socket, listener: socket.socket | None) -> None:
        self._identity = _identity(os.environ) if listener else b""
        self._workers: dict[int, socket.socket | None] = {}
        self._reported: set[int] = set()
        self._selector = selectors.DefaultSelector()
        self._woken, wake = socket.socketpair()
        wake.setblocking(False)
        self._wake = wake
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._owner = owner
        for source, act in ((owner, self._answer), (listener, self._accept), (self._woken, self._drain)):
            if source:
                self._selector.register(source, selectors.EVENT_READ, act)

    def run(self) -> None:
        """Serve until the owner leaves."""
        while self._owner.fileno() >= 0:
            for key, _ in self._selector.select():
                key.data(key.fileobj)
            self._report_ends()
        for pid in self._workers:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
        for pid in self._workers:
            with suppress(OSError):
                os.waitpid(pid, 0)
        os._exit(0)

    def _drain(self, woken: socket.socket) -> None:
        woken.recv(_LONGEST)

    def _accept(self, listener: socket.socket) -> None:
        peer, _ = listener.accept()
        if _is_ours(peer):
            self._selector.register(peer, selectors.EVENT_READ, self._greet)
        else:
            peer.close()

    def _greet(self, peer: socket.socket) -> None:
        with suppress(OSError):
            if peer.recv(_LONGEST) == self._identity:
                peer.sendall(b"y")
                self._selector.modify(peer, selectors.EVENT_READ, self._answer)
                return
        self._forget(peer)

    def _answer(self, peer: socket.socket) -> None:
        try:
            text, files, _, _ = socket.recv_fds(peer, _LONGEST, 4)
        except OSError:
            text, files = b"", []
        if text and not files:
            _import(json.loads(text))
            return
        if len(files) != 4:
            for file in files:
                os.close(file)
            self._forget(peer)
            return
        status, channel, lifeline, log = files
        try:
            self._fork(json.loads(text), socket.socket(fileno=status), channel, lifeline, log)
        finally:
            for file in (channel, lifeline, log):
                os.close(file)

    def _forget(self, peer: socket.socket) -> None:
        self._selector.unregister(peer)
        peer.close()

    def _fork(self, modules: Sequence[str], status: socket.socket, channel: int, lifeline: int, log: int) -> None:
        _import(["daxa.run.worker", *modules])
        gc.freeze()
        bind, alone = bind_to_parent(), _has_one_thread()
        try:
            pid = os.fork()
        except OSError as error:
            os.write(log, f"no worker can be forked: {error}\n".encode())
            status.close()
            return
        if not pid:
            try:
                bind()
                self._release(status)
                _become_worker(channel, lifeline, log, alone)
            finally:
                os._exit(1)
        self._workers[pid] = status
        self._selector.register(status, selectors.EVENT_READ, self._leave)
        with suppress(OSError):
            status.sendall(_NUMBER.pack(pid))

    def _release(self, status: socket.socket) -> None:
        """In the forked process: close what belongs to the server."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        status.close()
        self._wake.close()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()

    def _leave(self, status: socket.socket) -> None:
        """The client no longer needs its worker, which dies when its lifeline closes."""
        self._forget(status)
        self._workers = {pid: None if one is status else one for pid, one in self._workers.items()}

    def _report_ends(self) -> None:
        """Report which workers have ended, and free the PIDs of those that nobody asks about any more."""
        for pid, status in list(self._workers.items()):
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if not ended:
                continue
            if status is None:
                os.waitpid(pid, 0)
                del self._workers[pid]
                self._reported.discard(pid)
            elif pid not in self._reported:
                self._reported.add(pid)
                code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
                with suppress(OSError):
                    status.sendall(_NUMBER.pack(code))


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        # A worker meets the same error, and has someone to report it to.
        with suppress(Exception):
            importlib.import_module(module)


def _become_worker(channel: int, lifeline: int, log: int, alone: bool) -> None:
    """In the forked process: be a worker, and never come back; where the server had threads, not with its memory."""
    from daxa.run.worker import serve

    gc.enable()
    os.setsid()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    try:
        if not alone:
            for file in (channel, lifeline):
                os.set_inheritable(file, True)
            argv = [sys.executable, "-P", "-c", _SERVE, _paths(sys.path), str(channel), str(lifeline)]
            os.execv(sys.executable, argv)  # noqa: S606 - ourselves
        serve(channel, lifeline)
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        raise
    os._exit(0)


def _has_one_thread() -> bool:
    """Whether no library has started a thread, as far as is known: it may hold a lock that a fork then waits for."""
    try:
        return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 - names are wanted
    except OSError:
        return False
