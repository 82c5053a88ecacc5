"""The one place that starts other programs."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from daxa.errors import ProgramError

__all__ = ["Child", "Finished", "end_group", "has_ended", "run_program", "start_group"]

Child = subprocess.Popen[bytes]
"""A program that runs."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Finished:
    """A program that has ended.

    Parameters
    ----------
    code
        Its exit code; negative when a signal ended it.
    output
        What it wrote to standard output and, after it, to standard error ('' when shown instead).
    stdout
        Standard output alone.
    """

    code: int
    output: str
    stdout: str


def run_program(
    argv: Sequence[str],
    *,
    cwd: Path,
    environ: Mapping[str, str] | None = None,
    show: bool = False,
    stdin: bytes | None = None,
) -> Finished:
    r"""Run a program from a list of arguments and wait for it.

    On Linux the program dies when this process dies.  On an interrupt it is given
    time to end by itself, since the terminal interrupts both.

    Parameters
    ----------
    argv
        Program and arguments; never a shell string.
    cwd
        Where it runs.
    environ
        Its whole environment; by default that of this process.
    show
        Let it write to our own terminal instead of keeping what it writes.
    stdin
        What it reads; nothing by default.

    Raises
    ------
    ProgramError
        It cannot be started.

    Examples
    --------
    >>> run_program([sys.executable, "-c", "print('hello')"], cwd=Path()).stdout
    'hello\n'
    """
    pipe = None if show else subprocess.PIPE
    try:
        child = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=None if environ is None else dict(environ),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=pipe,
            stderr=pipe,
            preexec_fn=_bind_to_parent(),  # noqa: PLW1509 - one libc call, bound before the fork
        )
    except FileNotFoundError:
        raise ProgramError(
            "absent", f"the program {argv[0]} is not there", remedy=f"install {argv[0]} and try again"
        ) from None
    try:
        out, err = child.communicate(stdin)
    except KeyboardInterrupt:
        child.wait()
        raise
    text = [(stream or b"").decode("utf-8", "replace") for stream in (out, err)]
    return Finished(child.returncode, "".join(text), text[0])


def start_group(argv: Sequence[str], *, pass_fds: Sequence[int], environ: Mapping[str, str], stderr: Path) -> Child:
    """Start a program as the leader of a session of its own, so that `end_group` ends all it starts.

    Parameters
    ----------
    argv
        Program and arguments.
    pass_fds
        Open files that it inherits.
    environ
        Its whole environment.
    stderr
        File that receives what it writes to standard output and standard error.

    Raises
    ------
    ProgramError
        The system does not let us start it.
    """
    with stderr.open("ab") as stream:
        try:
            return subprocess.Popen(
                list(argv),
                env=dict(environ),
                pass_fds=tuple(pass_fds),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                preexec_fn=_bind_to_parent(),  # noqa: PLW1509 - one libc call, bound before the fork
            )
        except OSError as error:
            raise ProgramError(
                "start", f"{argv[0]} cannot be started: {error}", remedy="free memory or processes and try again"
            ) from None


def has_ended(child: Child) -> bool:
    """Whether it has ended; its process number stays reserved, so that its group can still be ended."""
    if child.returncode is not None:
        return True
    if not hasattr(os, "waitid"):
        return False
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def end_group(child: Child) -> int | None:
    """Kill the leader of a session, its group, and what it started that left the group.

    Returns
    -------
    int or None
        The leader's exit code, negative when a signal ended it; None when not even
        SIGKILL ended it in time.
    """
    import psutil

    if child.returncode is not None:
        return child.returncode
    try:
        started = psutil.Process(child.pid).children(recursive=True)
    except psutil.Error:
        started = []
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    for process in started:
        with suppress(psutil.Error):
            process.kill()
    try:
        return child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        return None


def _bind_to_parent() -> Callable[[], None] | None:
    """What the child calls so that the kernel ends it with us; None where no kernel offers it."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return bind
