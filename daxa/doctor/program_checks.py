"""Git and DVC, and who commits."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from daxa.doctor.finding import Finding, guarded
from daxa.run.process import run_program

__all__ = ["look_at_dvc", "look_at_git"]

_LEAST_GIT = (2, 29)
"""The first Git whose ``init`` knows ``--object-format``."""


def look_at_git(directory: Path) -> Iterator[Finding]:
    """Git's version, and whether it knows who commits."""
    remedy = "install Git 2.29 or newer with the package manager of your system, or conda, and put it on PATH"
    if not (program := shutil.which("git")):
        yield Finding("git", "program", "error", "there is no git on PATH", remedy)
        return
    output = run_program([program, "version"], cwd=directory, brief=True).stdout.strip()
    found = re.search(r"(\d+)\.(\d+)(?:\.\d+)*", output)
    if not found or (int(found[1]), int(found[2])) < _LEAST_GIT:
        yield Finding("git", "program", "error", f"{output or 'it does not report its version'} ({program})", remedy)
        return
    yield Finding("git", "program", "ok", f"{found[0]} ({program})")
    yield from guarded("git", "identity", lambda: _identity(directory))


def _identity(directory: Path) -> Iterator[Finding]:
    from daxa.archive import git

    git.check_identity(directory)
    # Who it is belongs to nobody else's eyes.
    yield Finding("git", "identity", "ok", "Git knows who commits")


def look_at_dvc() -> Iterator[Finding]:
    """DVC's version."""
    try:
        yield Finding("dvc", "program", "ok", importlib.metadata.version("dvc"))
    except importlib.metadata.PackageNotFoundError:
        yield Finding("dvc", "program", "error", "is not installed", "install daxa again: it brings DVC")
