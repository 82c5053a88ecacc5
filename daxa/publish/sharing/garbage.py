"""What no version needs in an archive's DVC cache: found by comparison, and removed on request.

Every tag, every branch and the working tree keep their data.  A cache that other archives may use is left alone,
and so is the store of fetched files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass

from daxa.archive import git
from daxa.archive.committing import stages_excluded
from daxa.archive.config import load_config
from daxa.archive.gate import check_objects
from daxa.archive.layout import Layout
from daxa.archive.trust import refuse_foreign
from daxa.errors import ConfigError
from daxa.publish.contents import needed_at, needed_here
from daxa.publish.dvc_outputs import OBJECT
from daxa.publish.remote import Storage, find_storage
from daxa.publish.workspaces import alone

__all__ = ["Garbage", "find_garbage", "remove_garbage"]


@dataclass(frozen=True)
class Garbage:
    """The content of the cache, and what no version needs of it.

    Parameters
    ----------
    versions
        The number of commits that keep their data: those of tags, of branches, and the one that is checked out.
    kept, kept_bytes
        Objects that a version needs, and their bytes.
    unneeded
        Digest of every other object, to its bytes.
    """

    versions: int
    kept: int
    kept_bytes: int
    unneeded: Mapping[str, int]

    @property
    def size(self) -> int:
        """Bytes that no version needs."""
        return sum(self.unneeded.values())

    def as_dict(self) -> dict[str, object]:
        """The record as plain values, ready for JSON."""
        return asdict(self) | {"size": self.size}


def find_garbage(layout: Layout) -> Garbage:
    """Find what neither tags, branches nor the working tree need; nothing is changed.

    Parameters
    ----------
    layout
        The archive.

    Raises
    ------
    ConfigError
        The cache is not the archive's own.
    ReleaseError
        What a version needs is not known: a listing is neither on this machine nor on the remote.
    ArchiveError, DataError, ProgramError
        Something in the archive could run, or cannot be read.
    """
    refuse_foreign(layout, load_config(layout), connects=False)
    check_objects(layout)
    storage = find_storage(layout.root)
    if storage.cache.resolve() != (layout.root / ".dvc" / "cache").resolve():
        raise ConfigError(
            "shared-cache",
            f"DVC's cache of {layout.root} is {storage.cache}, which other archives may use",
            remedy="nothing is removed there; use `dvc gc --projects` with all archives that use it",
        )
    commits = sorted({*git.tags(layout.root).values(), *_branches(layout), git.commit_of(layout.root)})
    needed: set[str] = set()
    for commit in commits:
        needed.update(needed_at(layout, commit, storage, storage.remote))
    for logs in (False, True):
        needed.update(needed_here(layout, storage, logs=logs))
    sizes = dict(_objects(storage))
    unneeded = {digest: size for digest, size in sorted(sizes.items()) if digest not in needed}
    return Garbage(len(commits), len(sizes) - len(unneeded), sum(sizes.values()) - sum(unneeded.values()), unneeded)


def remove_garbage(layout: Layout) -> Garbage:
    """Remove what `find_garbage` finds now, and return it.

    Raises
    ------
    ArchiveError
        A stage, DVC, or a push or pull is running.
    """
    with alone(layout), stages_excluded(layout):
        found = find_garbage(layout)
        storage = find_storage(layout.root)
        for digest in found.unneeded:
            with suppress(FileNotFoundError):
                storage.cached(digest).unlink()
    return found


def _branches(layout: Layout) -> Iterator[str]:
    """Commits of branches, here and as last seen on remotes, and of what was stashed."""
    places = ("refs/heads", "refs/remotes", "refs/stash")
    listing = git.ask(layout.root, "for-each-ref", "--format=%(objecttype) %(objectname)", *places).stdout
    for line in listing.splitlines():
        kind, _, digest = line.partition(" ")
        if kind == "commit":
            yield digest


def _objects(storage: Storage) -> Iterator[tuple[str, int]]:
    """Every object of the cache and its bytes; files with other names are not DVC's."""
    for digest in storage.names():
        if OBJECT.fullmatch(digest):
            yield digest, storage.cached(digest).lstat().st_size
