"""The one place that starts other programs."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from daxa.errors import ProgramError
from daxa.run.process_trees import bind_to_parent, end_tree
from daxa.run.redirection import without_redirection
from daxa.run.relay import output_ends, relay

__all__ = [
    "Child",
    "FinishedProgram",
    "Limited",
    "end_group",
    "has_ended",
    "run_limited",
    "run_program",
    "show_program",
    "start_group",
]

Child = subprocess.Popen[bytes]
"""A program that runs."""

_LOOK = 1.0
"""Seconds after which the size of a log is looked at again."""

_GRACE = 2.0
"""Seconds in which what a program wrote last must have been read after its end."""


@dataclass(frozen=True)
class FinishedProgram:
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


@dataclass(frozen=True)
class Limited:
    """A program that has ended, or was ended for a limit.

    Parameters
    ----------
    code
        Its exit status, negative when a signal ended it; None when it was ended for a limit.
    limit
        Which one: ``time`` or ``log``; '' for none.
    """

    code: int | None
    limit: str = ""


def run_program(
    argv: Sequence[str],
    *,
    cwd: Path,
    environ: Mapping[str, str] | None = None,
    show: bool = False,
    stdin: bytes | None = None,
    into: BinaryIO | None = None,
    brief: bool = False,
    undecodable: str = "replace",
) -> FinishedProgram:
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
        Its whole environment, by default that of this process; in either case without what
        would lead Git elsewhere.
    show
        Let it write to our own terminal instead of keeping what it writes.
    stdin
        What it reads; nothing by default.
    into
        A file that takes what it writes to standard output, byte for byte.
    brief
        It only reads, and ends by itself within a moment, so that it need not die with this process.  In a large
        process it then starts in a fraction of the time, since nothing has to happen between fork and exec.
    undecodable
        What becomes of bytes that are not UTF-8: a name of an error handler.

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
    given = None if stdin is None else subprocess.PIPE
    out_to = pipe if into is None else into.fileno()
    child = _start(argv, cwd, environ, stdin=given, stdout=out_to, stderr=pipe, bound=not brief)
    try:
        out, err = child.communicate(stdin)
    except KeyboardInterrupt:
        child.wait()
        raise
    text = [(stream or b"").decode("utf-8", undecodable) for stream in (out, err)]
    return FinishedProgram(child.returncode, "".join(text), text[0])


def show_program(
    argv: Sequence[str], *, cwd: Path, environ: Mapping[str, str] | None = None, keep: Callable[[str], bool]
) -> FinishedProgram:
    """Run a program and show, as they come, the lines of its output that `keep` selects.

    Where our standard error is a terminal, so is the program's, so that progress bars work.

    Parameters
    ----------
    argv, cwd, environ
        As for `run_program`.
    keep
        Whether a line, without its end, is shown; asked in the order of the lines.

    Returns
    -------
    FinishedProgram
        With all lines, shown or not.

    Raises
    ------
    ProgramError
        It cannot be started.
    """
    sys.stdout.flush()
    with output_ends(terminal=False) as out, output_ends(terminal=sys.stderr.isatty()) as err:
        child = _start(argv, cwd, environ, stdin=None, stdout=out[1], stderr=err[1])
        os.close(out.pop())
        os.close(err.pop())
        kept: tuple[list[str], list[str]] = ([], [])
        readers = [
            threading.Thread(target=relay, args=(source[0], target, keep, lines), daemon=True)
            for source, target, lines in ((out, sys.stdout, kept[0]), (err, sys.stderr, kept[1]))
        ]
        for reader in readers:
            reader.start()
        try:
            child.wait()
        except KeyboardInterrupt:
            child.wait()
            raise
        finally:
            for reader in readers:
                reader.join(_GRACE)
    shown = ["".join(lines) for lines in kept]
    return FinishedProgram(child.returncode, "".join(shown), shown[0])


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
                env=without_redirection(environ),
                pass_fds=tuple(pass_fds),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                preexec_fn=bind_to_parent(),  # noqa: PLW1509 - one libc call, bound before the fork
            )
        except OSError as error:
            raise _not_started(argv[0], error) from None


def run_limited(
    argv: Sequence[str],
    *,
    cwd: Path,
    environ: Mapping[str, str],
    stdout: Path,
    stderr: Path,
    seconds: float,
    most_bytes: int,
) -> Limited:
    """Run a program in a session of its own, with a limit of its time and of what it writes to its log.

    Whatever way it ends, nothing that it started is left.

    Parameters
    ----------
    argv
        Program and arguments; never a shell string.
    cwd
        Where it runs.
    environ
        Its whole environment.
    stdout, stderr
        Files that receive what it writes; new ones.
    seconds
        How long it may take.
    most_bytes
        How much it may write to each of them.

    Raises
    ------
    ProgramError
        It cannot be started.
    """
    until = time.monotonic() + seconds
    with stdout.open("xb") as out, stderr.open("xb") as err:
        child = None
        try:
            with _holding_interrupts():
                child = _start(argv, cwd, environ, stdin=None, stdout=out.fileno(), stderr=err.fileno(), session=True)
            while (left := until - time.monotonic()) > 0:
                with suppress(subprocess.TimeoutExpired):
                    # Its number must stay its own until the group has been ended.
                    _wait(child, min(left, _LOOK))
                if has_ended(child):
                    return Limited(end_group(child))
                if max(os.fstat(one.fileno()).st_size for one in (out, err)) > most_bytes:
                    return Limited(None, "log")
        finally:
            if child is not None:
                end_group(child)
    return Limited(None, "time")


@contextmanager
def _holding_interrupts() -> Iterator[None]:
    """Let an interrupt wait until a program that is being started is known, and can be ended."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    held: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda *found: held.append(found))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        before(*held[0])


def _wait(child: Child, seconds: float) -> None:
    """Wait until a program ends, without asking how, for some seconds at most."""
    if not hasattr(os, "pidfd_open"):
        child.wait(seconds)
        return
    import select

    handle = os.pidfd_open(child.pid)
    try:
        select.select([handle], [], [], seconds)
    finally:
        os.close(handle)


def _not_started(program: str, error: OSError) -> ProgramError:
    """The error to raise where the system does not start a program that is there."""
    lacking = error.errno in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
    return ProgramError(
        "start",
        f"{program} cannot be started: {error.strerror or error}",
        remedy="free memory or processes and try again"
        if lacking
        else f"make sure that you may execute it, and that it is made for this machine: ls -l {shlex.quote(program)}",
    )


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
    if child.returncode is not None:
        return child.returncode
    end_tree(child.pid)
    try:
        return child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        return None


def _start(
    argv: Sequence[str],
    cwd: Path,
    environ: Mapping[str, str] | None,
    *,
    stdin: int | None,
    stdout: int | None,
    stderr: int | None,
    session: bool = False,
    bound: bool = True,
) -> Child:
    try:
        return subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=without_redirection(os.environ if environ is None else environ),
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=session,
            preexec_fn=bind_to_parent() if bound else None,  # noqa: PLW1509 - one libc call, bound before the fork
        )
    except FileNotFoundError:
        raise ProgramError(
            "absent", f"the program {argv[0]} was not found", remedy=f"install {argv[0]} and try again"
        ) from None
    except OSError as error:
        raise _not_started(argv[0], error) from None
