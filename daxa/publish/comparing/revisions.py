"""Versions of an archive to compare: commits, the working tree, and nothing at all."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from daxa.archive import git
from daxa.archive.git_objects import tree_of
from daxa.archive.layout import Layout
from daxa.errors import ArchiveError, DataError
from daxa.publish.state import records_at
from daxa.publish.tracked import blob_digest
from daxa.publish.version import release_tags

__all__ = ["NOTHING", "WORKING_TREE", "Revision", "last_release", "read_revision", "records_of"]

WORKING_TREE = "the working tree"

_DIRECTORIES = ("params/", "selection/", "ledger/")
_FILES = ("daxa.toml", "software.toml")
_LARGEST = 1 << 30
_SHA1 = "0" * 40


@dataclass(frozen=True)
class Revision:
    """One version of an archive.

    Parameters
    ----------
    name
        The tag or commit as it was named, or `WORKING_TREE`.
    commit
        Its digest, '' for the working tree.
    blobs
        Path to Git's digest, of the files that say what was selected, configured and done.
    """

    name: str
    commit: str = ""
    blobs: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_working_tree(self) -> bool:
        return self.name == WORKING_TREE


NOTHING = Revision("")
"""The empty version, before the first one."""


def read_revision(layout: Layout, name: str = "") -> Revision:
    """The version of this name; the working tree by default.

    Raises
    ------
    ArchiveError
        There is no such revision.
    DataError
        A file in it is larger than any of daxa's tables.
    """
    if not name:
        directories = (layout.params("any"), layout.selection("any"), layout.ledger("any", "any"))
        present = [path for one in directories if one.parent.is_dir() for path in sorted(one.parent.iterdir())]
        files = [path for path in (*present, layout.config, layout.software) if path.is_file()]
        blobs = {layout.name_of(path): blob_digest(path, _SHA1) for path in files}
        return Revision(WORKING_TREE, "", blobs)
    commit = git.commit_of(layout.root, name)
    entries = [one for one in tree_of(layout.root, commit) if one.path.startswith(_DIRECTORIES) or one.path in _FILES]
    if large := [one.path for one in entries if one.size > _LARGEST]:
        raise DataError("too-large", f"{large[0]} is larger than 1 GiB in {name}", remedy="compare other versions")
    return Revision(name, commit, {one.path: one.digest for one in entries})


def last_release(layout: Layout) -> str:
    """The tag of the last release.

    Raises
    ------
    ArchiveError
        There is no release.
    """
    if tags := release_tags(git.tags(layout.root)):
        return tags[-1]
    raise ArchiveError(
        "no-release",
        f"{layout.root} has no release yet",
        remedy="name a commit, such as HEAD, or make a release: `daxa release`",
    )


@contextmanager
def records_of(layout: Layout, revision: Revision, without: Collection[str]) -> Iterator[Layout]:
    """The small files of a version, without those that are not needed."""
    if revision.is_working_tree:
        yield layout
    else:
        with records_at(layout, revision.commit, without=without) as records:
            yield records
