"""Every path of an archive.  No other module joins paths of it."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from daxa.errors import ArchiveError
from daxa.run.steps import OWN_STEPS
from daxa.run.task import StagePaths

__all__ = ["STEPS", "Layout", "absolute_place"]

STEPS = tuple(step.name for step in OWN_STEPS)
"""Names of daxa's own steps: those of an archive whose ``daxa.toml`` names no others."""

_LONGEST = 4200
"""Bytes of a ``.git`` file: a path and a word."""


@dataclass(frozen=True)
class Layout:
    """Where things are in the archive at `root`.

    Examples
    --------
    >>> Layout(Path("a907")).ledger("xmm", "clean").as_posix()
    'a907/ledger/xmm-clean.parquet'
    """

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "daxa.toml"

    @property
    def software(self) -> Path:
        return self.root / "software.toml"

    @property
    def pipeline(self) -> Path:
        return self.root / "dvc.yaml"

    @property
    def lock(self) -> Path:
        return self.root / "dvc.lock"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.json"

    @property
    def changes(self) -> Path:
        """What each release changed, for people; a dep or out of no stage."""
        return self.root / "CHANGES.md"

    @property
    def environment(self) -> Path:
        """With which Python and packages a release was made; a dep or out of no stage."""
        return self.root / "environment.json"

    @property
    def report(self) -> Path:
        return self.root / "report"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def private(self) -> Path:
        """Scratch, journals, locks and caches, disposable between runs.

        They are in the Git directory of this work tree, which no clone and no pull can bring:
        what is found there was written by daxa on this machine.

        Raises
        ------
        ArchiveError
            The archive has no Git directory.
        """
        return _git_directory(self.root) / "daxa"

    @property
    def is_repository(self) -> bool:
        """Whether there is a Git directory: without one, files can be looked at, and nothing can be done."""
        return (self.root / ".git").exists()

    @property
    def guard(self) -> Path:
        """Lock of the process that repairs what a killed DVC leaves truncated."""
        return self.private / "lock" / "dvc"

    @property
    def parts(self) -> Path:
        """Downloads that have begun."""
        return self.private / "parts"

    @property
    def arrivals(self) -> Path:
        """Where fetched files came from, until the stage writes `upstream`."""
        return self.private / "arrivals"

    @property
    def accepted(self) -> Path:
        """Files that were accepted and are about to take their places."""
        return self.private / "accepted"

    def name_of(self, path: Path) -> str:
        """A path of the archive as Git and DVC name it, below the root."""
        return path.relative_to(self.root).as_posix()

    def costs(self, mission: str, step: str) -> Path:
        """How long tasks of the stage took on this machine."""
        return self.private / "costs" / f"{mission}-{step}.json"

    def work_directory(self, mission: str, step: str, task: str) -> Path:
        """Where the calls of a task run, if its backend can resume an earlier attempt."""
        return self.private / "work" / f"{mission}-{step}" / task

    def params(self, mission: str) -> Path:
        return self.root / "params" / f"{mission}.toml"

    def selection(self, mission: str) -> Path:
        return self.root / "selection" / f"{mission}.parquet"

    def selected(self, mission: str) -> Path:
        """ObsIDs of the selection, to look up (`daxa.run.lookup`)."""
        return self.private / "views" / f"selection-{mission}.sqlite"

    def ledger(self, mission: str, step: str) -> Path:
        return self.root / "ledger" / f"{mission}-{step}.parquet"

    def upstream(self, mission: str) -> Path:
        return self.root / "upstream" / f"{mission}.parquet"

    def products(self, mission: str, step: str) -> Path:
        return self.root / "data" / mission / step

    def kept(self, mission: str) -> Path:
        """Fetched files that the mission's archive has replaced, and that this archive keeps."""
        return self.products(mission, "kept")

    def log(self, mission: str, step: str, obs_id: str) -> Path:
        return self.logs / mission / step / f"{obs_id}.log"

    def places(self, mission: str, step: str) -> StagePaths:
        """Where the stage (mission, step) keeps its things."""
        name = f"{mission}-{step}"
        return StagePaths(
            ledger=self.ledger(mission, step),
            products=self.products(mission, step),
            logs=self.logs / mission / step,
            scratch=self.private / "scratch" / name,
            journal=self.private / "journal" / f"{name}.jsonl",
            lock=self.private / "lock" / name,
            hashes=self.private / "hashes" / f"{name}.json",
            lookup=self.private / "views" / f"ledger-{name}.sqlite",
        )


def _git_directory(root: Path) -> Path:
    """The Git directory of a work tree: ``.git``, or what that file names (linked work trees have one each)."""
    place = root / ".git"
    try:
        mode = place.lstat().st_mode
    except OSError:
        if not (root / "daxa.toml").exists():
            raise ArchiveError(
                "not-an-archive",
                f"{root} is not a daxa archive: it has no daxa.toml",
                remedy="go to an archive's directory, or make one with `daxa init`",
            ) from None
        raise ArchiveError(
            "not-git",
            f"{root} is not a Git repository, so daxa has no place for its working files",
            remedy="go to a clone of the archive, or make its files a repository: `git init && git add --all && "
            "git commit`",
        ) from None
    if stat.S_ISDIR(mode):
        return place
    if stat.S_ISREG(mode):
        with place.open("rb") as stream:
            word, _, named = stream.read(_LONGEST).decode("utf-8", "surrogateescape").rstrip("\r\n").partition(": ")
        if word == "gitdir" and "\0" not in named and (root / named).is_dir():
            return root / named
    raise ArchiveError(
        "not-git",
        f"{place} is neither a Git directory nor a file that names one",
        remedy="clone the archive again; a linked work tree that was moved is repaired by `git worktree repair`",
    )


def absolute_place(directory: Path) -> Path:
    """The whole path of a place that the user names, without `..`, which would make messages hard to read.

    Raises
    ------
    ArchiveError
        There is no such home directory, or the current directory is gone.
    """
    try:
        place = directory.expanduser().absolute()
        # Links are followed only where `..` depends on them.
        return place.parent.resolve() / place.name if ".." in place.parent.parts else place
    except RuntimeError:
        raise ArchiveError(
            "no-parent", f"there is no home directory {directory.parts[0]}", remedy="give the whole path"
        ) from None
    except FileNotFoundError:
        raise ArchiveError(
            "no-directory", "the current directory no longer exists", remedy="change to another one: cd"
        ) from None
