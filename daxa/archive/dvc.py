"""The one place that runs DVC, as a command: its Python interface is not stable."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from daxa.archive.failures import busy, dvc_failure, error_lines, is_informative, push_failure
from daxa.archive.layout import Layout
from daxa.archive.repair import check_writable, is_process_active, lock_held, repair
from daxa.errors import ArchiveError, ProgramError
from daxa.run.process import FinishedProgram, run_program, show_program
from daxa.settings import has_home

__all__ = ["changed_stages", "checkout", "commit", "excluded", "fetch", "push", "recorded_digests", "repro", "run_dvc"]

_UNSAVED = "unsaved files"


@contextmanager
def excluded(root: Path) -> Iterator[None]:
    """Keep DVC from working in the archive for a moment.

    DVC holds ``.dvc/tmp/lock`` except while a stage's command runs; then ``rwlock`` names it.

    Raises
    ------
    ArchiveError
        DVC is at work.
    """
    repair(root)
    with lock_held(root) as alone:
        if not alone or is_process_active(root):
            raise busy(root)
        yield


def run_dvc(root: Path, *arguments: str, show: bool = False) -> FinishedProgram:
    """Run ``dvc`` with these arguments in the archive and return the result.

    Parameters
    ----------
    root
        The archive.
    arguments
        Of ``dvc``.
    show
        Also show its output, without its advice.

    Raises
    ------
    StorageError
        The archive cannot be written.
    """
    repair(root)
    # With -P no directory of the archive can take the place of a package.
    argv, environ = [sys.executable, "-P", "-m", "dvc", *arguments], _environment(root)
    if show:
        return show_program(argv, cwd=root, environ=environ, keep=is_informative)
    return run_program(argv, cwd=root, environ=environ)


def _environment(root: Path) -> dict[str, str]:
    """What DVC and its stages see: our programs first, and a home where the user has none (containers, batch)."""
    bin_directory = str(Path(sys.executable).parent)
    environ = {
        **os.environ,
        "DVC_NO_ANALYTICS": "1",
        "PATH": os.pathsep.join([bin_directory, os.environ.get("PATH", os.defpath)]),
    }
    layout = Layout(root)
    # A place that only transfers data has no Git directory; its own is thrown away.
    private = (layout.private if layout.is_repository else root / ".dvc" / "tmp").absolute()
    if not has_home():
        environ["HOME"] = str(private / "home")
    try:
        getpass.getuser()
    except (KeyError, OSError):  # DVC asks, too.
        environ["LOGNAME"] = f"uid{os.getuid()}"
    if not environ.get("DVC_SITE_CACHE_DIR") and not os.access("/var/tmp", os.W_OK):  # noqa: S108 - where DVC has it
        environ["DVC_SITE_CACHE_DIR"] = str(private / "dvc")
    return environ


def recorded_digests(root: Path) -> dict[str, str]:
    """Path to MD5 of the files that stages made when they last ended, as recorded in ``dvc.lock``."""
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
    ArchiveError
        Another command is at work, or DVC cannot read its files.
    StorageError
        The archive cannot be written.
    ProgramError
        A stage failed, for the reason that it has printed.
    """
    check_writable(root)
    chosen = {"--force": force, "--single-item": single, "--keep-going": keep_going}
    options = [option for option, wanted in chosen.items() if wanted]
    ended = run_dvc(root, "repro", *options, *stages, show=True)
    if ended.code:
        raise dvc_failure(root, ended.output) or ProgramError(
            "repro",
            f"the pipeline in {root} stopped (dvc repro ended with {ended.code})",
            remedy="correct what is reported above, then run `daxa run` again: what is done stays done",
        )


def changed_stages(root: Path) -> dict[str, object]:
    """Stages whose inputs, parameters or outputs differ from ``dvc.lock``."""
    changed: dict[str, object] = json.loads(_checked(root, "status", "--json").stdout or "{}")
    return changed


def push(root: Path, remote: str) -> None:
    """Send the data of the work tree's commit to a remote.

    Raises
    ------
    StorageError
        The remote does not take them, for the reason that DVC gives; or the archive cannot be written.
    ArchiveError, ConfigError
        DVC cannot read its files.
    """
    check_writable(root)
    # Quiet, DVC would not say why it fails.
    ended = run_dvc(root, "push", "--remote", remote)
    if ended.code:
        raise push_failure(root, remote, ended.output)


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
            f"there are files without another copy among the data of {root}: {', '.join(files[:5])}",
            remedy="move them away, then try again",
        )
    _require(root, ended, "checkout")


def commit(root: Path, stages: Sequence[str]) -> None:
    """Accept what is in the tree as what these stages made: into the cache, and into ``dvc.lock``.

    Raises
    ------
    ProgramError
        DVC cannot.
    """
    _checked(root, "commit", "--force", "--quiet", *stages)


def _checked(root: Path, *arguments: str) -> FinishedProgram:
    check_writable(root)
    ended = run_dvc(root, *arguments)
    _require(root, ended, " ".join(arguments))
    return ended


def _require(root: Path, ended: FinishedProgram, command: str) -> None:
    if ended.code:
        raise dvc_failure(root, ended.output) or ProgramError(
            "dvc",
            f"`dvc {command}` failed in {root}: {error_lines(ended.output)}",
            remedy="read DVC's message; `dvc doctor` shows its configuration",
        )
