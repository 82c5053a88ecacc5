"""The one place that starts other programs."""

from __future__ import annotations

import codecs
import ctypes
import errno
import os
import re
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
from typing import BinaryIO, TextIO

from daxa.errors import ProgramError

__all__ = [
    "Child",
    "FinishedProgram",
    "Limited",
    "bind_to_parent",
    "end_group",
    "end_homed",
    "end_tree",
    "has_ended",
    "run_limited",
    "run_program",
    "show_program",
    "start_group",
    "without_redirection",
]

Child = subprocess.Popen[bytes]
"""A program that runs."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LOOK = 1.0
"""Seconds after which the size of a log is looked at again."""

_GRACE = 2.0
"""Seconds in which what a program wrote last must have been read after its end."""

# `git rev-parse --local-env-vars` names those that belong to one repository; the others change which files a
# command means, or in what form a repository is made.
_REDIRECTING = re.compile(
    "GIT_(?:"
    "ALTERNATE_OBJECT_DIRECTORIES|ATTR_SOURCE|CEILING_DIRECTORIES|COMMON_DIR|CONFIG|CONFIG_PARAMETERS|"
    "DEFAULT_HASH|DEFAULT_REF_FORMAT|DIFF_OPTS|DIR|DISCOVERY_ACROSS_FILESYSTEM|EXTERNAL_DIFF|"
    "GLOB_PATHSPECS|GRAFT_FILE|ICASE_PATHSPECS|IMPLICIT_WORK_TREE|INDEX_FILE|INDEX_VERSION|"
    "INTERNAL_SUPER_PREFIX|LITERAL_PATHSPECS|NAMESPACE|NOGLOB_PATHSPECS|NO_REPLACE_OBJECTS|"
    "OBJECT_DIRECTORY|PREFIX|QUARANTINE_PATH|REPLACE_REF_BASE|SHALLOW_FILE|TEMPLATE_DIR|WORK_TREE"
    ")"
)
_SETTING = re.compile(r"GIT_CONFIG_(?:COUNT|KEY_\d+|VALUE_\d+)")
_REDIRECTING_SETTING = re.compile(r"(?:core\.(?:worktree|bare|repositoryformatversion)|extensions\..*)", re.IGNORECASE)


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


def without_redirection(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without the variables that point Git to a repository other than that of its directory.

    Git sets them for hooks and for the programs that it starts, and editors inherit them.  What
    says who the user is, how to reach others, and which settings hold stays.

    Parameters
    ----------
    environ
        An environment.

    Examples
    --------
    >>> without_redirection({"GIT_INDEX_FILE": "/other/.git/index", "GIT_AUTHOR_NAME": "Ada", "HOME": "/home/ada"})
    {'GIT_AUTHOR_NAME': 'Ada', 'HOME': '/home/ada'}
    """
    kept = {
        name: value for name, value in environ.items() if not (_REDIRECTING.fullmatch(name) or _SETTING.fullmatch(name))
    }
    given = environ.get("GIT_CONFIG_COUNT", "")
    pairs = [
        (environ[f"GIT_CONFIG_KEY_{at}"], environ[f"GIT_CONFIG_VALUE_{at}"])
        for at in range(int(given) if given.isdecimal() and len(given) < 4 else 0)
        if f"GIT_CONFIG_KEY_{at}" in environ and f"GIT_CONFIG_VALUE_{at}" in environ
    ]
    pairs = [(key, value) for key, value in pairs if not _REDIRECTING_SETTING.fullmatch(key)]
    for at, (key, value) in enumerate(pairs):
        kept |= {f"GIT_CONFIG_KEY_{at}": key, f"GIT_CONFIG_VALUE_{at}": value}
    return kept | ({"GIT_CONFIG_COUNT": str(len(pairs))} if pairs else {})


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
    with _ends(terminal=False) as out, _ends(terminal=sys.stderr.isatty()) as err:
        child = _start(argv, cwd, environ, stdin=None, stdout=out[1], stderr=err[1])
        os.close(out.pop())
        os.close(err.pop())
        kept: tuple[list[str], list[str]] = ([], [])
        readers = [
            threading.Thread(target=_relay, args=(source[0], target, keep, lines), daemon=True)
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


@contextmanager
def _ends(*, terminal: bool) -> Iterator[list[int]]:
    """What a program's output is read from, and what it writes to; who closes one takes it out of the list."""
    ends = list(os.openpty() if terminal else os.pipe())
    if terminal:
        import fcntl
        import termios
        import tty

        tty.setraw(ends[1])
        with suppress(OSError):
            size = fcntl.ioctl(sys.stderr.fileno(), termios.TIOCGWINSZ, bytes(8))
            fcntl.ioctl(ends[1], termios.TIOCSWINSZ, size)
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def _relay(source: int, target: TextIO, keep: Callable[[str], bool], lines: list[str]) -> None:
    """Pass on the selected lines when complete, and immediately what moves the cursor: a progress bar."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    held = ""
    while True:
        try:
            chunk = os.read(source, 65536)
        except OSError:  # So ends what a terminal sends.
            chunk = b""
        held += decode(chunk, final=not chunk)
        *whole, held = held.split("\n")
        shown = [f"{line}\n" for line in whole if keep(line)]
        lines += [f"{line}\n" for line in whole]
        if held and (not chunk or "\r" in held or "\x1b" in held) and ("\r" in held or "\x1b" in held or keep(held)):
            shown.append(held)
            held = ""
        with suppress(OSError, ValueError):  # Whoever does not listen any more must not stop the program.
            target.write("".join(shown))
            target.flush()
        if not chunk:
            return


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
        child = _start(argv, cwd, environ, stdin=None, stdout=out.fileno(), stderr=err.fileno(), session=True)
        try:
            while (left := until - time.monotonic()) > 0:
                with suppress(subprocess.TimeoutExpired):
                    # Its number must stay its own until the group has been ended.
                    _wait(child, min(left, _LOOK))
                if has_ended(child):
                    return Limited(end_group(child))
                if max(os.fstat(one.fileno()).st_size for one in (out, err)) > most_bytes:
                    return Limited(None, "log")
        finally:
            end_group(child)
    return Limited(None, "time")


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


def end_tree(leader: int) -> None:
    """Kill the leader of a session, its group, and what it started that left the group.

    Parameters
    ----------
    leader
        Its PID, which must still be reserved: it runs, or nobody has waited for its end.
    """
    import psutil

    try:
        started = psutil.Process(leader).children(recursive=True)
    except psutil.Error:
        started = []
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    for process in started:
        with suppress(psutil.Error):
            process.kill()


def end_homed(place: Path) -> int:
    """Kill programs whose home is below a directory that only daxa gives to programs as their home.

    A program that is killed with us may leave others that it had started: these would go on to write.

    Parameters
    ----------
    place
        Such a directory, as it was given to its programs.

    Returns
    -------
    int
        How many there were.
    """
    import psutil

    ended = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if Path(process.environ().get("HOME") or "/").is_relative_to(place):
                process.kill()
                ended.append(process)
    psutil.wait_procs(ended, timeout=10)
    return len(ended)


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


def bind_to_parent() -> Callable[[], None]:
    """What a forked child calls so that the kernel ends it with us, if the kernel can."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return bind
