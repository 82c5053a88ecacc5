"""Check another version of an archive like a stranger's, before any of its files is put in place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from daxa.archive import git
from daxa.archive.bundle import judge_tree
from daxa.archive.config import load_config
from daxa.archive.gate import check_archive
from daxa.archive.git_objects import tree_of
from daxa.archive.layout import Layout
from daxa.archive.trust import harmful_attributes, refuse_foreign
from daxa.errors import ArchiveError, DaxaError, UntrustedArchive
from daxa.files import errors_naming
from daxa.publish.version import release_tags
from daxa.publish.workspaces import scratch_clone, scratch_copy

__all__ = ["BRANCHES", "TAGS", "find_version", "judged_version", "version_name"]

TAGS, BRANCHES = "refs/tags/", "refs/heads/"
_PLAIN = re.compile(r"\w[\w.-]*", re.ASCII)


def find_version(layout: Layout, name: str) -> str:
    """The full name of a tag or branch; ``-`` is the one that was checked out before.

    Raises
    ------
    ArchiveError
        There is no such version, or a tag and a branch have that name.
    """
    tags, branches = git.tags(layout.root), git.branches(layout.root)
    if name == "-":
        name = _previous(layout, tags) or name
    if name in tags and name in branches:
        raise ArchiveError(
            "ambiguous",
            f"{name} is a tag and a branch of {layout.root}",
            remedy=f"rename the branch: `git branch -m {name} NEW`",
        )
    if name in tags:
        return f"{TAGS}{name}"
    if name in branches:
        return f"{BRANCHES}{name}"
    raise ArchiveError(
        "revision",
        f"{layout.root} has no release and no branch {name[:100]!r}",
        remedy=_where_it_may_be(layout, name),
    )


def _previous(layout: Layout, tags: Mapping[str, str]) -> str:
    """The branch, or else the latest release, that was checked out before; '' if it was neither."""
    with suppress(DaxaError):
        if branch := git.ask(layout.root, "rev-parse", "--abbrev-ref", "@{-1}").stdout.strip():
            return branch
        commit = git.commit_of(layout.root, "@{-1}")
        return next((tag for tag in reversed(release_tags(tags)) if tags[tag] == commit), "")
    return ""


def _where_it_may_be(layout: Layout, name: str) -> str:
    """The next step for a name that is unknown; a clone of a release has no branch of its own."""
    with suppress(DaxaError):
        if _PLAIN.fullmatch(name) and git.commit_of(layout.root, f"refs/remotes/origin/{name}"):
            return f"`git branch {name} origin/{name}` makes this branch; then give the same command again"
    return "`daxa log` lists the releases, `git branch` the branches"


def version_name(reference: str) -> str:
    """The short name of a tag or branch.

    Examples
    --------
    >>> version_name("refs/tags/v1.0.0")
    'v1.0.0'
    """
    return reference.removeprefix(TAGS).removeprefix(BRANCHES)


@contextmanager
def judged_version(layout: Layout, reference: str) -> Iterator[Layout]:
    """A version of the archive in a private directory, without data, after it has passed gate and trust.

    Parameters
    ----------
    layout
        The archive; no other push, pull or checkout may be running (`daxa.publish.workspaces.alone`).
    reference
        Full name of the tag or branch; branches fetched from another repository are allowed, too.

    Raises
    ------
    UntrustedArchive, ArchiveError
        It contains something harmful.
    """
    name = version_name(reference)
    commit = git.commit_of(layout.root, reference)
    entries = tree_of(layout.root, commit)
    try:
        judge_tree(entries)
    except UntrustedArchive as error:
        why = error.message.partition(": ")[2]
        raise _untrusted(layout, name, why) from None
    for entry in entries:
        if entry.path.rpartition("/")[2].casefold() == ".gitattributes":
            content = git.read_file(layout.root, reference, entry.path)
            for what in harmful_attributes(content):
                raise _untrusted(layout, name, f"{entry.path} changes how Git treats files ({what[:100]})")
    own = name != reference
    with scratch_clone(layout, name) if own else scratch_copy(layout, reference, commit) as place:
        version = Layout(place)
        with errors_naming({place: f"{layout.root} at {name}"}):
            check_archive(version)
            refuse_foreign(version, load_config(version), connects=False)
        yield version


def _untrusted(layout: Layout, name: str, why: str) -> UntrustedArchive:
    return UntrustedArchive(
        "version",
        f"{name} of {layout.root} was not checked out: {why}",
        remedy="do not use this version; its author should make one without such files",
    )
