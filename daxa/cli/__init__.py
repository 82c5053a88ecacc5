"""The command ``daxa``.

Help, version and misspelt verbs are answered from the table `VERBS` alone, so that
they cost little more than starting Python.  A verb's module, and with it typer and
the libraries that the verb needs, is imported only when the verb runs.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Type checkers know this name; importing `typing` would slow `daxa --help` down.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["GROUPS", "VERBS", "main", "run"]

GROUPS = ("make and fill an archive", "look at it", "share it", "try it")
"""Headings of the help, in order; verbs of no group are for `dvc.yaml`, not for people."""

VERBS = {
    "search": (GROUPS[0], "list the observations that meet conditions, without an archive"),
    "init": (GROUPS[0], "choose observations and generate an archive"),
    "select": (GROUPS[0], "change which observations are selected, or export them"),
    "update": (GROUPS[0], "look for new observations, and add them"),
    "add": (GROUPS[0], "add observations that meet conditions, or a mission"),
    "drop": (GROUPS[0], "remove observations, or a mission"),
    "check": (GROUPS[0], "find mistakes in daxa.toml, params/*.toml and software.toml"),
    "upgrade": (GROUPS[0], "bring an archive of an earlier daxa up to date, or accept newer software"),
    "run": (GROUPS[0], "fetch and process what is not done yet, and retry what failed"),
    "retry": (GROUPS[0], "retry what failed, and nothing else"),
    "reprocess": (GROUPS[0], "process with other parameters, for a mission or some observations"),
    "status": (GROUPS[1], "what is done, what failed and what is left to do"),
    "plan": (GROUPS[1], "what a run would do, and why, and what it may cost"),
    "logs": (GROUPS[1], "the log of an observation, step by step"),
    "ls": (GROUPS[1], "list the products"),
    "coverage": (GROUPS[1], "exposure, counts, rate or upper limit of every object of a sample"),
    "mosaic": (GROUPS[1], "add observations into one image of the sky, and write coverage maps"),
    "compare": (GROUPS[1], "whether two files agree, and where they differ"),
    "missions": (GROUPS[1], "which missions can be listed and processed, and the details of one"),
    "diff": (GROUPS[1], "which observations differ between two versions, why, and how"),
    "log": (GROUPS[1], "the releases, and what each of them changed"),
    "history": (GROUPS[1], "what each release did to an observation, and why"),
    "release": (GROUPS[2], "commit and tag the present state as a release"),
    "remote": (GROUPS[2], "add a remote after trying it, or try one"),
    "push": (GROUPS[2], "send the data of every release to the remote, and check that they arrived"),
    "pull": (GROUPS[2], "get the data of a release from the remote, and verify them"),
    "checkout": (GROUPS[2], "go to a release or a branch, with the data that are on this machine"),
    "merge": (GROUPS[2], "join what another person did to the same archive"),
    "gc": (GROUPS[2], "show what no version needs in DVC's cache, and remove it"),
    "export": (GROUPS[2], "write a release into one small file, without data"),
    "verify": (GROUPS[2], "compare every file with the release"),
    "recreate": (GROUPS[2], "recreate a release from an exported file, with a certificate of the result"),
    "certificate": (GROUPS[2], "keep people's certificates with a release, and read them"),
    "cite": (GROUPS[2], "what a paper that uses a release must say, and the table of its observations"),
    "publish": (GROUPS[2], "write a release with its data as files for Zenodo or another repository"),
    "restore": (GROUPS[2], "bring an archive back from the files that publish wrote"),
    "doctor": (GROUPS[3], "what is missing or unusual on this machine, as one report"),
    "demo": (GROUPS[3], "the whole workflow on simulated observations, without the internet"),
    "show-table": ("", "write a table as text (called by git diff)"),
    "stage": ("", "run one stage of the pipeline (called by dvc.yaml)"),
}
"""Verb to its heading and its one-line help; module `daxa.cli.<verb>` holds its function."""

_USAGE = "usage: daxa [-C DIR] [-q] VERB [OPTIONS] [ARGUMENTS]"
_MISUSE = 2  # as click ends, and as shells do
_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_MOMENT = 0.02  # seconds
_OF_THE_MACHINE = {
    getattr(errno, number): name
    for name, numbers in {
        "unwritable": ("EACCES", "EPERM", "EROFS"),
        "full": ("ENOSPC", "EDQUOT", "EFBIG"),
        "refused": ("EIO", "EMFILE", "ENFILE", "ENAMETOOLONG", "ELOOP", "ESTALE", "ENODEV", "EBUSY", "ENOLCK"),
    }.items()
    for number in numbers
    if hasattr(errno, number)
}
"""What disks, limits and permissions refuse; any other error of the system is a bug in daxa."""


_COLLECTED = 50_000
"""New objects after which Python looks for garbage: what is imported stays, and is not searched over and over."""


def run() -> NoReturn:
    """Carry out the command line of this process as the program ``daxa``, and end the process.

    Python's own shutdown takes a quarter of the time of a small verb, and changes nothing: streams have been
    written and exit handlers called when the process ends at once.
    """
    gc.set_threshold(_COLLECTED)
    code = main()
    if _is_awaited():
        sys.exit(code)
    atexit._run_exitfuncs()  # noqa: SLF001 - as Python does
    os._exit(_flush(code, as_json=False))


def _is_awaited() -> bool:
    """Whether a thread is at work for which Python waits as it ends, or a profiler or debugger watches."""
    threading = sys.modules.get("threading")
    others = () if threading is None else (one for one in threading.enumerate() if one is not threading.main_thread())
    return bool(sys.getprofile() or sys.gettrace()) or any(not thread.daemon for thread in others)


def main(argv: list[str] | None = None) -> int:
    """Carry out a command line and give the exit code.

    Parameters
    ----------
    argv
        Arguments without the program's name; by default those of this process.

    Examples
    --------
    >>> main(["--version"])
    daxa 0.1.0
    0
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _open_streams()
    try:
        code = _answer(arguments)
    except BrokenPipeError:
        code = 0  # The reader (`| head`) has what it wants.
    except OSError as error:
        code = _system_error(error, as_json="--json" in arguments)
    return _flush(code, as_json="--json" in arguments)


def _open_streams() -> None:
    """Point a closed standard stream (`>&-`) at the null device, so that no file opened next takes its place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - until the end
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # A terminal without our characters must not stop us.


def _flush(code: int, *, as_json: bool) -> int:
    """Write what is left, and give the exit code; what cannot be written must not disturb Python's shutdown."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = 0
    except OSError as error:
        code = code or _system_error(error, as_json=as_json)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code


def _system_error(error: OSError, *, as_json: bool) -> int:
    """Report what the system refused, unless it is a bug.

    Raises
    ------
    OSError
        The error itself, where it says nothing about this machine's disks, limits and permissions.
    """
    from daxa.cli.show import show_error
    from daxa.errors import StorageError

    if error.errno not in _OF_THE_MACHINE:
        raise error
    place = "a file or the output" if error.filename is None else os.fsdecode(error.filename)
    refused = StorageError(
        _OF_THE_MACHINE[error.errno],
        f"{place} cannot be read or written: {(error.strerror or str(error)).lower()}",
        remedy="check the free space, permissions and limits there, then try again: what was finished is kept",
    )
    show_error(refused, as_json=as_json)
    return refused.exit_code


def _answer(arguments: list[str]) -> int:
    if "_DAXA_COMPLETE" in os.environ or arguments[:1] in (["--show-completion"], ["--install-completion"]):
        from daxa.cli.commands import run_completion

        return run_completion(arguments)
    directory, quiet, rest = "", False, arguments
    while rest and rest[0].startswith("-"):
        option, *rest = rest
        if option in ("-h", "--help", "--version"):
            sys.stdout.write(_version() if option == "--version" else _help())
            return 0
        if option in ("-q", "--quiet"):
            quiet = True
        elif option == "-C" and rest:
            # Several -C add up, as Git's do.
            directory, rest = os.path.join(directory, rest[0]), rest[1:]  # noqa: PTH118 - pathlib costs start-up time
        else:
            what = "-C needs a directory" if option == "-C" else f"there is no option {option}"
            return _misuse(what, as_json="--json" in rest)
    if not rest:
        (_write_error if arguments else sys.stdout.write)(_help())
        return _MISUSE if arguments else 0
    if rest[0] not in VERBS:
        return _misuse(f"there is no verb {rest[0]!r}{_suggestion(rest[0])}", as_json="--json" in rest)
    return _run(rest[0], rest[1:], directory, quiet=quiet)


def _run(verb: str, arguments: list[str], directory: str, *, quiet: bool) -> int:
    from daxa.errors import DaxaError

    as_json = "--json" in arguments
    try:
        from daxa.settings import provide_home

        provide_home()
        from daxa.cli.commands import run_verb

        with _interrupts_kept():
            return run_verb(verb, arguments, directory, quiet=quiet)
    except DaxaError as error:
        from daxa.cli.show import show_error

        show_error(error, as_json=as_json)
        return error.exit_code
    except ImportError as error:
        if "git executable" not in str(error).lower():
            raise
        from daxa.archive.failures import no_git
        from daxa.cli.show import show_error

        absent = no_git()
        show_error(absent, as_json=as_json)
        return absent.exit_code
    except KeyboardInterrupt:
        _write_error("\ninterrupted: what was finished is kept; the same command continues\n")
        return _INTERRUPTED


@contextmanager
def _interrupts_kept() -> Iterator[None]:
    """Repeat an interrupt that Python has to ignore: while it starts a program, or in a destructor."""
    before = sys.unraisablehook

    def ignored(what: sys.UnraisableHookArgs) -> None:
        if not isinstance(what.exc_value, KeyboardInterrupt):
            before(what)
            return
        import _thread
        import threading

        # Here it would be ignored once more.
        threading.Timer(_MOMENT, _thread.interrupt_main).start()

    sys.unraisablehook = ignored
    try:
        yield
    finally:
        sys.unraisablehook = before


def _version() -> str:
    from daxa import __version__

    return f"daxa {__version__}\n"


def _help() -> str:
    lines = [_USAGE, "", "Archives of X-ray observations as Git repositories.", ""]
    for group in GROUPS:
        lines += [f"{group}:", *(f"  {verb:<12}{text}" for verb, (home, text) in VERBS.items() if home == group), ""]
    return "\n".join(
        [
            *lines,
            "options:",
            "  -C DIR             run as if started in DIR",
            "  -q, --quiet        only results and errors",
            "  --version          print the version",
            "  --show-completion  print the completion script of your shell (--install-completion installs it)",
            "",
            "`daxa VERB --help` explains a verb, with examples.",
            "",
        ]
    )


def _misuse(what: str, *, as_json: bool) -> int:
    if as_json:
        from daxa.cli.show import show_error
        from daxa.errors import CriteriaError

        show_error(CriteriaError("usage", what, remedy="`daxa --help` lists verbs and options"), as_json=True)
        return _MISUSE
    from daxa.text import plain

    _write_error(plain(f"error: {what}\n  -> `daxa --help` lists verbs and options\n"))
    return _MISUSE


def _write_error(text: str) -> None:
    with suppress(OSError):
        sys.stderr.write(text)


def _suggestion(verb: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(verb, [name for name, (group, _) in VERBS.items() if group], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
