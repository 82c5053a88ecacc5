"""DVC for tests of other things: a process that has imported it forks one for every command.

Each command is a process of its own, with its own memory, environment, directory and end, as one that is started;
what is spared is importing DVC again.  That `daxa` starts DVC as it should is tried where this is not used.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from daxa.run.process import FinishedProgram, run_program, without_redirection

__all__ = ["warm_dvc"]

_PROGRAM = [sys.executable, "-P", "-m", "dvc"]
_LONGEST = 1 << 17


@contextmanager
def warm_dvc() -> Iterator[Callable[..., FinishedProgram]]:
    """Give what takes the place of `daxa.run.process.run_program` in `daxa.archive.dvc`."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    argv = [sys.executable, __file__, str(theirs.fileno())]
    with theirs:
        server = subprocess.Popen(argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)

    def run(argv: Sequence[str], **options: object) -> FinishedProgram:
        if list(argv[: len(_PROGRAM)]) != _PROGRAM:
            return run_program(argv, **options)
        return _ask(ours, argv[len(_PROGRAM) :], **options)

    with ours:
        yield run
    server.wait()


def _ask(server: socket.socket, arguments: Sequence[str], *, cwd: Path, environ: Mapping[str, str]) -> FinishedProgram:
    wanted = {"argv": list(arguments), "cwd": str(Path(cwd).absolute()), "environ": without_redirection(environ)}
    ends = socket.socketpair()
    with ends[0] as ours, ends[1] as theirs, TemporaryFile() as out, TemporaryFile() as err:
        files = [theirs.fileno(), out.fileno(), err.fileno()]
        socket.send_fds(server, [json.dumps(wanted).encode()], files)
        theirs.close()
        code = int(ours.recv(20))
        said = []
        for stream in (out, err):
            stream.seek(0)
            said.append(stream.read().decode("utf-8", "replace"))
    return FinishedProgram(code, "".join(said), said[0])


def _serve(control: socket.socket) -> None:
    import dvc.cli  # noqa: F401 - for those that are forked

    known: set[str] = set()
    while True:
        text, files, _, _ = socket.recv_fds(control, _LONGEST, 3)
        if not text:
            return
        told = os.pipe()
        if not (child := os.fork()):
            _become(json.loads(text), files, told[1])
        os.close(told[1])
        with os.fdopen(told[0]) as stream:
            imported = {*stream.read().split()} - known
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with socket.socket(fileno=files[0]) as answer, suppress(OSError):
            answer.sendall(str(code).encode())
        for file in files[1:]:
            os.close(file)
        known |= imported
        for name in sorted(imported):  # The next ones find imported what this one had to import.
            with suppress(Exception):
                importlib.import_module(name)


def _become(wanted: Mapping[str, object], files: Sequence[int], told: int) -> None:
    """In the forked process: be ``dvc``."""
    code = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(files[1], 1)
        os.dup2(files[2], 2)
        os.environ.clear()
        os.environ.update(wanted["environ"])
        os.chdir(wanted["cwd"])
        sys.argv = ["dvc", *wanted["argv"]]
        before = set(sys.modules)
        from dvc.cli import main

        code = main(wanted["argv"])
        with os.fdopen(told, "w") as stream:
            stream.write("\n".join(sorted(name for name in set(sys.modules) - before if name != "__main__")))
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code or 0)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
