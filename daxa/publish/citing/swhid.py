"""SWHIDs (ISO/IEC 18670) of a release's commit, tree and tag, computed from the objects themselves.

They contain Git's own names of these objects, with SHA-1.  They are computed from the content, not taken from
the repository, so that an object that does not match its name is noticed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import Literal, TypeAlias

__all__ = ["Kind", "directory_swhid", "object_swhid"]

Kind: TypeAlias = Literal["cnt", "dir", "rev", "rel"]
"""Kinds of objects, as abbreviated in SWHIDs: content, directory, revision (commit) and release (annotated tag)."""

_GIT_NAMES = {"cnt": "blob", "dir": "tree", "rev": "commit", "rel": "tag"}
_DIRECTORY = "40000"

_Tree: TypeAlias = dict[str, "_Tree | tuple[str, str]"]


def object_swhid(kind: Kind, content: bytes) -> str:
    """The SWHID of a Git object.

    Parameters
    ----------
    kind
        Its kind.
    content
        Its content, as ``git cat-file`` gives it.

    Examples
    --------
    >>> object_swhid("cnt", b"")
    'swh:1:cnt:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    return f"swh:1:{kind}:{_digest(kind, content)}"


def directory_swhid(entries: Iterable[tuple[str, str, str]]) -> str:
    """The SWHID of a directory, from all files in it and below.

    Parameters
    ----------
    entries
        Path, mode (octal, as Git writes it) and SHA-1 digest of each.

    Examples
    --------
    >>> directory_swhid([("daxa.toml", "100644", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")])
    'swh:1:dir:140de2a1e11ba8e43db91bba24f273c6e15fb64d'
    """
    root: _Tree = {}
    for path, mode, digest in entries:
        *above, name = path.split("/")
        place = root
        for part in above:
            below = place.setdefault(part, {})
            if not isinstance(below, dict):
                raise ValueError(path)
            place = below
        place[name] = (mode, digest)
    return f"swh:1:dir:{_tree_digest(root)}"


def _tree_digest(tree: _Tree) -> str:
    """Digest of a directory; Git sorts the names of directories as if they ended in a slash."""
    lines = []
    for name, entry in tree.items():
        mode, digest = (_DIRECTORY, _tree_digest(entry)) if isinstance(entry, dict) else entry
        written = os.fsencode(name)
        line = mode.encode() + b" " + written + b"\0" + bytes.fromhex(digest)
        lines.append((written + (b"/" if isinstance(entry, dict) else b""), line))
    return _digest("dir", b"".join(line for _, line in sorted(lines)))


def _digest(kind: Kind, content: bytes) -> str:
    header = f"{_GIT_NAMES[kind]} {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
