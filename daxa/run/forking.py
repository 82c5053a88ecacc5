"""The process that forks workers, from inside (`daxa.run.forkserver` asks it)."""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

from daxa.run.process_trees import bind_to_parent
from daxa.run.worker_identity import LONGEST, NUMBER, identity_of, is_ours, module_paths

__all__ = ["serve_forks"]

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from daxa.run."
_SERVE = _START + "worker import serve; serve(*map(int, sys.argv[2:]))"


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
    # What is imported stays: it is not searched for garbage, and workers do not change its pages.
    gc.disable()
    _Server(socket.socket(fileno=control), socket.socket(fileno=listener) if listener >= 0 else None).run()


class _Server:
    """Who asks, and which workers there are."""

    def __init__(self, owner: socket.socket, listener: socket.socket | None) -> None:
        self._identity = identity_of(os.environ) if listener else b""
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
        woken.recv(LONGEST)

    def _accept(self, listener: socket.socket) -> None:
        peer, _ = listener.accept()
        if is_ours(peer):
            self._selector.register(peer, selectors.EVENT_READ, self._greet)
        else:
            peer.close()

    def _greet(self, peer: socket.socket) -> None:
        with suppress(OSError):
            if peer.recv(LONGEST) == self._identity:
                peer.sendall(b"y")
                self._selector.modify(peer, selectors.EVENT_READ, self._answer)
                return
        self._forget(peer)

    def _answer(self, peer: socket.socket) -> None:
        try:
            text, files, _, _ = socket.recv_fds(peer, LONGEST, 4)
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
            status.sendall(NUMBER.pack(pid))

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
                    status.sendall(NUMBER.pack(code))


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        # A worker meets the same error, and has someone to report it to.
        with suppress(Exception):
            importlib.import_module(module)


def _become_worker(channel: int, lifeline: int, log: int, alone: bool) -> None:
    """In the forked process: become a worker and never return; if the server has threads, without its memory."""
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
            argv = [sys.executable, "-P", "-c", _SERVE, module_paths(sys.path), str(channel), str(lifeline)]
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
