"""Compare everything that Git tracks at a commit with the work tree, byte for byte."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from daxa.archive import git
from daxa.archive.layout import Layout
from daxa.publish.file_check import FileProblem

__all__ = ["blob_digest", "compare_tracked"]

_LINK, _SUBMODULE = "120000", "160000"
_CHUNK = 1 << 20


def compare_tracked(layout: Layout, commit: str) -> Iterator[FileProblem]:
    """Where the work tree is not what a commit says, and untracked files beside those of the commit.

    Git is not asked, since it trusts sizes and times.

    Parameters
    ----------
    layout
        The archive.
    commit
        Digest of the commit.
    """
    wanted = set()
    for path, mode, digest in git.tree_entries(layout.root, commit):
        wanted.add(path)
        if mode == _SUBMODULE:
            yield FileProblem("", "", "", path, "foreign", "a submodule")
        elif mode == _LINK:
            yield FileProblem("", "", "", path, "link", "tracked by Git")
        elif what := _compare(layout, path, digest):
            yield FileProblem("", "", "", path, what)
    for directory in (
        layout.selection("any").parent,
        layout.ledger("any", "any").parent,
        layout.params("any").parent,
        layout.upstream("any").parent,
    ):
        for held in sorted(directory.iterdir()) if directory.is_dir() and not directory.is_symlink() else ():
            if (name := layout.name_of(held)) not in wanted:
                yield FileProblem("", "", "", name, "unknown")


def _compare(layout: Layout, path: str, digest: str) -> str:
    """What is wrong with a tracked file, or ''."""
    try:
        here = layout.root
        for part in path.split("/"):
            here /= part
            if stat.S_ISLNK((found := here.lstat()).st_mode):
                return "link"
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    except OSError:
        return "unreadable"
    if not stat.S_ISREG(found.st_mode):
        return "unreadable"
    try:
        return "" if blob_digest(here, digest) == digest else "differs"
    except OSError:
        return "unreadable"


def blob_digest(path: Path, like: str) -> str:
    """The digest that Git gives a file, of the same kind as another one."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
        made = hashlib.new("sha1" if len(like) == 40 else "sha256", usedforsecurity=False)
        made.update(b"blob %d\0" % os.fstat(stream.fileno()).st_size)
        while chunk := stream.read(_CHUNK):
            made.update(chunk)
    return made.hexdigest()
