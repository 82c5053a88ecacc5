"""The one place that runs DVC, as a command: its Python interface is not stable."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daxa.archive.mend import held, mend
from daxa.errors import ArchiveError, ProgramError
from daxa.run.process import Finished, run_program

__all__ = ["add", "changed_stages", "held_off", "push", "recorded_digests", "repro", "run_dvc"]

_BUSY = "is busy"


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


def recorded_digests(root: Path) -> dict[str, str]:
    """Path to MD5 of the files that stages made when they last ended, as ``dvc.lock`` has them."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        lock = YAML(typ="safe").load((root / "dvc.lock").read_text(encoding="utf-8"))
        return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage.get("outs", ())}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, YAMLError):
        return {}


def repro(root: Path, *stages: str, force: bool = False, single: bool = False, keep_going: bool = False) -> None:
    """Bring the pipeline, or these stages, up to date; output goes to the terminal.

    Raises
    ------
    ProgramError
        A stage failed, for the reason that it has printed.
    """
    chosen = {"--force": force, "--single-item": single, "--keep-going": keep_going}
    options = [option for option, wanted in chosen.items() if wanted]
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


def add(root: Path, path: str) -> None:
    """Track a directory with DVC."""
    _checked(root, "add", "--quiet", path)


def push(root: Path) -> None:
    """Send the data of the work tree's commit to the default remote."""
    _checked(root, "push", "--quiet")


def _checked(root: Path, *arguments: str) -> Finished:
    ended = run_dvc(root, *arguments)
    if ended.code and _BUSY in ended.output:
        raise _busy(root)
    if ended.code:
        raise ProgramError(
            "dvc",
            f"`dvc {' '.join(arguments)}` failed in {root}: {_last_words(ended.output)}",
            remedy="read DVC's message; `dvc doctor` shows its set-up",
        )
    return ended


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
