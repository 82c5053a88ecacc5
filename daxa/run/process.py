"""The one place that starts other programs."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daxa.errors import ProgramError

__all__ = ["Finished", "run_program"]

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
