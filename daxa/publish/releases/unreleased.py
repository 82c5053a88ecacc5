"""Whether an archive has anything new to release."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

from daxa.archive import git
from daxa.archive.layout import Layout
from daxa.publish.tracked import blob_digest

__all__ = ["has_changes"]

_BYTES = ("selection/", "ledger/")
"""Rewritten only when their rows change; ledgers have the digests of all products."""

_VALUES = ("params/", "software.toml")
"""Written by people: changes of comments and blanks do not count."""


def has_changes(layout: Layout, tag: str) -> bool:
    """Whether selection, parameters, software, products or kept files differ from a release.

    Parameters
    ----------
    layout
        The archive.
    tag
        The release.
    """
    commit = git.commit_of(layout.root, tag)
    before = {path: digest for path, _, digest in git.tree_entries(layout.root, commit) if _counts(path)}
    now = {path: digest for path, digest in _on_disk(layout, before).items() if _counts(path)}
    if before.keys() != now.keys():
        return True
    changed = [path for path in before if before[path] != now[path]]
    if _kept(layout, commit):
        return True
    return any(path.startswith(_BYTES) or _values(layout, commit, path) for path in changed)


def _kept(layout: Layout, commit: str) -> bool:
    """Whether the kept files differ from then; everything else in ``daxa.toml`` shows in the selections."""
    return _differ(layout, commit, layout.config.name, "storage")


def _counts(path: str) -> bool:
    return path.startswith((*_BYTES, *_VALUES))


def _on_disk(layout: Layout, like: Mapping[str, str]) -> dict[str, str]:
    """The same kinds of files on disk: path to the digest that Git would give it."""
    kind = next(iter(like.values()), "0" * 40)
    directories = (layout.selection("any"), layout.ledger("any", "any"), layout.params("any"))
    paths = [path for one in directories if one.parent.is_dir() for path in one.parent.iterdir() if path.is_file()]
    return {layout.name_of(path): blob_digest(path, kind) for path in [*paths, layout.software] if path.is_file()}


def _values(layout: Layout, commit: str, path: str) -> bool:
    """Whether the values in a changed file of parameters differ from before."""
    return _differ(layout, commit, path)


def _differ(layout: Layout, commit: str, path: str, table: str = "") -> bool:
    """Whether the values in a TOML file, or in one table of it, differ from those at a commit."""
    try:
        before = tomllib.loads((git.read_file(layout.root, commit, path) or b"").decode())
        now = tomllib.loads((layout.root / path).read_text(encoding="utf-8"))
    except ValueError:
        return True
    return before.get(table) != now.get(table) if table else before != now
