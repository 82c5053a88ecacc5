"""The one place that runs DVC, as a command: its Python interface is not stable."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from daxa.archive.mend import held, mend
from daxa.errors import ArchiveError, ProgramError
from daxa.run.process import Finished, run_program

__all__ = ["changed_stages", "checkout", "fetch", "held_off", "push", "repro", "run_dvc"]

_BUSY = "is busy"
_UNSAVED = "unsaved files"


@contextmanager
def held_off(root: Path) -> Iterator[None]:
    """Keep DVC from working in the archive for a moment.

    DVC holds ``.dvc/tmp/lock`` except while a stage's command runs; then ``rwlock`` names it.

    Raises
    ------
    ArchiveError
        DVC is at work.
    """
    mend(root)
    with held(root) as alone:
        if not alone or _at_work(root / ".dvc" / "tmp" / "rwlock"):
            raise _busy(root)
        yield


def _at_work(rwlock: Path) -> bool:
    """Whether a process that lives works on a path of the archive."""
    import psutil

    try:
        paths = json.loads(rwlock.read_bytes())
    except OSError:
        return False
    except ValueError:
        return True  # A running DVC is writing it.
    holders = [one for kinds in paths.values() for one in (*kinds.get("read", ()), kinds.get("write", {}))]
    return any(psutil.pid_exists(int(one["pid"])) for one in holders if "pid" in one)


def run_dvc(root: Path, *arguments: str, show: bool = False) -> Finished:
    """Run ``dvc`` with these arguments in the archive and give what became of it."""
    mend(root)
    bin_directory = str(Path(sys.executable).parent)
    environ = {
        **os.environ,
        "DVC_NO_ANALYTICS": "1",
        "PATH": os.pathsep.join([bin_directory, os.environ.get("PATH", os.defpath)]),
    }
    return run_program([sys.executable, "-m", "dvc", *arguments], cwd=root, environ=environ, show=show)


def repro(root: Path, *stages: str, force: bool = False, single: bool = False) -> None:
    """Bring the pipeline, or these stages, up to date; output goes to the terminal.

    Raises
    ------
    ProgramError
        A stage failed, for the reason that it has printed.
    """
    options = [*(["--force"] if force else []), *(["--single-item"] if single else [])]
    ended = run_dvc(root, "repro", *options, *stages, show=True)
    if ended.code:
        raise ProgramError(
            "repro",
            f"the pipeline in {root} stopped (dvc repro ended with {ended.code})",
            remedy="mend what is said above, then run `daxa run` again: what is done stays done",
        )


def changed_stages(root: Path) -> dict[str, object]:
    """Stages whose inputs, parameters or outputs differ from ``dvc.lock``."""
    return json.loads(_checked(root, "status", "--json").stdout or "{}")


def push(root: Path, remote: str) -> None:
    """Send the data of the work tree's commit to a remote."""
    _checked(root, "push", "--quiet", "--remote", remote)


def fetch(root: Path, remote: str, targets: Sequence[str]) -> bool:
    """Bring data from a remote into the cache; whether all of them came."""
    return not run_dvc(root, "fetch", "--quiet", "--remote", remote, *targets).code


def checkout(root: Path, targets: Sequence[str]) -> None:
    """Put data from the cache in their places; files that are not in the cache are never overwritten or removed.

    Raises
    ------
    ArchiveError
        Such files are in the way.
    ProgramError
        DVC cannot.
    """
    ended = run_dvc(root, "checkout", *targets)
    if ended.code and _UNSAVED in ended.output:
        files = [line.strip() for line in ended.output.partition(_UNSAVED)[2].splitlines()[1:] if line.strip()]
        raise ArchiveError(
            "unsaved",
            f"files that are nowhere else stand among the data of {root}: {', '.join(files[:5])}",
            remedy="move them away, then try again",
        )
    _require(root, ended, "checkout")


def _checked(root: Path, *arguments: str) -> Finished:
    ended = run_dvc(root, *arguments)
    _require(root, ended, " ".join(arguments))
    return ended


def _require(root: Path, ended: Finished, command: str) -> None:
    if ended.code and _BUSY in ended.output:
        raise _busy(root)
    if ended.code:
        raise ProgramError(
            "dvc",
            f"`dvc {command}` failed in {root}: {_last_words(ended.output)}",
            remedy="read DVC's message; `dvc doctor` shows its set-up",
        )


def _busy(root: Path) -> ArchiveError:
    return ArchiveError(
        "busy",
        f"another command works in {root}",
        remedy="wait until `dvc repro` or `daxa run` has ended, then try again",
    )


def _last_words(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return " ".join((errors or lines or ["no message"])[-3:])
