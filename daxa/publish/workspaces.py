"""Directories below the archive's private one, from which DVC reaches the archive's cache and remote."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile, mkdtemp

from daxa.archive import git
from daxa.archive.address import config_value
from daxa.archive.git_objects import fetch_refs, start_branch, start_repository
from daxa.archive.layout import Layout
from daxa.errors import ArchiveError, StorageError
from daxa.files import holding_lock
from daxa.publish.remote import Remote, Storage

__all__ = ["alone", "clone_of", "empty_workspace", "pointer", "require_writable", "scratch_clone", "scratch_copy"]


@contextmanager
def _scratch(layout: Layout) -> Iterator[Path]:
    place = Path(mkdtemp(dir=_workspaces(layout)))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def clone_of(layout: Layout, tag: str, storage: Storage, remote: Remote) -> Iterator[Path]:
    """A clone of a release that uses the archive's cache, remote and credentials."""
    with _scratch(layout) as place:
        clone = place / "clone"
        git.clone(str(layout.root), clone, tag)
        _configure(layout, clone, storage, remote)
        yield clone


@contextmanager
def scratch_clone(layout: Layout, name: str) -> Iterator[Path]:
    """A clone of a tag or branch without any configuration: to read, never to run."""
    with _scratch(layout) as place:
        git.clone(str(layout.root), place / "clone", name)
        yield place / "clone"


@contextmanager
def scratch_copy(layout: Layout, reference: str, commit: str) -> Iterator[Path]:
    """Like `scratch_clone`, of a commit that any ref of this repository names, such as another person's branch.

    Every object is judged by Git as it is copied.
    """
    with _scratch(layout) as place:
        start_repository(place / "clone")
        fetch_refs(place / "clone", str(layout.root), {reference: "refs/heads/version"})
        start_branch(place / "clone", "version", commit)
        yield place / "clone"


@contextmanager
def empty_workspace(layout: Layout, storage: Storage, remote: Remote) -> Iterator[tuple[Path, Storage]]:
    """A directory without data that uses the archive's remote and credentials, and its own empty cache."""
    with _scratch(layout) as place:
        own = replace(storage, cache=place / "cache")
        (place / "bare" / ".dvc").mkdir(parents=True)
        _configure(layout, place / "bare", own, remote, ("core", "no_scm", "true"))
        yield place / "bare", own


def pointer(place: Path, digests: Collection[str]) -> str:
    """Write a file that makes these objects known to DVC, and return its name."""
    outs = "".join(f"- md5: '{digest}'\n  hash: md5\n  path: objects/{digest}\n" for digest in sorted(digests))
    (place / "objects.dvc").write_text(f"outs:\n{outs}", encoding="utf-8")
    return "objects.dvc"


@contextmanager
def alone(layout: Layout) -> Iterator[None]:
    """Allow one push or pull at a time; what a killed one left behind is removed."""
    require_writable(layout)
    busy = ArchiveError(
        "busy", f"another push or pull is running in {layout.root}", remedy="wait until it has ended, then try again"
    )
    with holding_lock(layout.private / "lock" / "push", 1, busy):
        shutil.rmtree(_workspaces(layout), ignore_errors=True)
        _workspaces(layout).mkdir(parents=True, exist_ok=True)
        yield


def require_writable(layout: Layout) -> None:
    """Refuse an archive that cannot be written to.

    Raises
    ------
    StorageError
        The disk is full or read-only, or the archive belongs to somebody else.
    """
    try:
        for place in (layout.root, layout.private / "lock"):
            place.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=place, prefix=".daxa-"):
                pass
    except OSError as error:
        raise StorageError(
            "unwritable",
            f"{layout.root} cannot be written: {error.strerror}",
            remedy="free some space or check its permissions, or work in your own clone",
        ) from None


def _configure(layout: Layout, place: Path, storage: Storage, remote: Remote, *more: tuple[str, str, str]) -> None:
    """Give a directory the archive's configuration and the user's own settings, with paths that are valid there."""
    shutil.copy(layout.root / ".dvc" / "config", place / ".dvc" / "config")
    settings = ConfigParser(interpolation=None, default_section="")
    settings.read(layout.root / ".dvc" / "config.local", encoding="utf-8")
    wanted = [("cache", "dir", str(storage.cache.absolute()))]
    wanted += [(f"'remote \"{remote.name}\"'", key, path) for key, path in storage.paths.items()]
    for section, key, value in (*wanted, *more):
        if not settings.has_section(section):
            settings.add_section(section)
        settings.set(section, key, config_value(value))
    with (place / ".dvc" / "config.local").open("w", encoding="utf-8") as stream:
        settings.write(stream)


def _workspaces(layout: Layout) -> Path:
    return layout.private / "push"
