"""Commits of a few files on refs of their own, beside all branches; tags as objects; bundles."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daxa.archive import git
from daxa.errors import ArchiveError

__all__ = [
    "Tag",
    "TreeEntry",
    "commit_files",
    "fetch_refs",
    "start_branch",
    "start_repository",
    "tag_object",
    "tree_of",
    "write_bundle",
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,100}", re.ASCII)
_TAGGER = re.compile(r"^tagger .*> (\d{1,12}) ([+-]\d{4})$", re.MULTILINE)
_OURS = {"user.name": "daxa", "user.email": "daxa@localhost", "commit.gpgSign": "false"}
_SAFE = {
    "fetch.fsckObjects": "true",
    "fetch.unpackLimit": "10000000",
    "fetch.writeCommitGraph": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "protocol.file.allow": "always",
}
"""Every object is judged as it comes, and nothing comes from elsewhere."""

_REPEATABLE = {"pack.threads": "1", "pack.window": "20", "pack.depth": "50", "pack.compression": "9"}


@dataclass(frozen=True)
class Tag:
    """An annotated tag.

    Parameters
    ----------
    name
        Without ``refs/tags/``.
    digest, commit
        Of the tag as an object, and of the commit that it points to.
    named
        The name that the object itself has.
    when
        When it was made, as Git gives it: seconds since 1970 and the zone.
    """

    name: str
    digest: str
    commit: str
    named: str
    when: str


@dataclass(frozen=True)
class TreeEntry:
    """A file of a commit: path, mode, digest, and its size in bytes (-1 for a submodule)."""

    path: str
    mode: str
    digest: str
    size: int


def tag_object(root: Path, name: str) -> Tag:
    """The annotated tag of this name.

    Raises
    ------
    ArchiveError
        There is no such tag, or it is only a name for a commit.
    """
    lines = ""
    if _NAME.fullmatch(name):
        form = "--format=%(objecttype) %(objectname) %(*objecttype)"
        lines = git.ask(root, "for-each-ref", form, "--", f"refs/tags/{name}").stdout
    kind, _, rest = lines.strip().partition(" ")
    digest, _, within = rest.partition(" ")
    if kind != "tag" or within != "commit":
        raise ArchiveError(
            "no-release",
            f"{root} has no release {name[:100]!r}" + (": its tag is not annotated" if kind else ""),
            remedy="list releases with `git tag`; `daxa release` makes one",
        )
    content = git.ask(root, "cat-file", "tag", digest).stdout
    header = dict(line.partition(" ")[::2] for line in content.partition("\n\n")[0].split("\n"))
    when = _TAGGER.search(content.partition("\n\n")[0])
    return Tag(name, digest, header.get("object", ""), header.get("tag", ""), " ".join(when.groups()) if when else "")


def tree_of(root: Path, revision: str) -> list[TreeEntry]:
    """Everything in a commit."""
    listing = git.ask(root, "ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", revision).stdout
    entries = []
    for facts, _, path in (field.partition("\t") for field in listing.split("\0") if field):
        mode, _, digest, size = facts.split()
        entries.append(TreeEntry(path, mode, digest, int(size) if size.isdecimal() else -1))
    return entries


def commit_files(
    root: Path, reference: str, files: Mapping[str, bytes], message: str, *, when: str = "", parent: str = ""
) -> str:
    """Commit some files, and nothing else, on a ref of their own; give the commit's digest.

    Parameters
    ----------
    root, reference
        The repository, and the ref, such as ``refs/daxa/export``; no branch and no tag is touched.
    files
        Name to content; all at the top.
    message
        Of the commit.
    when
        In Git's format; with it the commit is made by "daxa", and equal files give an equal commit.
        Without, it is made by the user, now.
    parent
        The commit before, which the ref must still have: concurrent additions lose nothing.

    Raises
    ------
    ProgramError
        The ref has moved meanwhile, or nothing can be written.
    """
    lines = []
    for name in sorted(files):
        digest = git.plumb(root, "hash-object", "-w", "--stdin", "--no-filters", stdin=files[name]).strip()
        lines.append(f"100644 blob {digest}\t{name}\0")
    tree = git.plumb(root, "mktree", "-z", stdin="".join(lines).encode()).strip()
    environ = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _who(when).items()}
    parents = ("-p", parent) if parent else ()
    settings = _OURS if when else {"commit.gpgSign": "false"}
    commit = git.plumb(root, "commit-tree", tree, *parents, "-m", message, settings=settings, environ=environ).strip()
    git.plumb(root, "update-ref", "--end-of-options", reference, commit, parent or "0" * 40)
    return commit


def _who(when: str) -> dict[str, str]:
    return {"NAME": _OURS["user.name"], "EMAIL": _OURS["user.email"], "DATE": when} if when else {}


def fetch_refs(root: Path, source: str, references: Mapping[str, str]) -> None:
    """Fetch refs of another repository on this machine, or of a bundle, with all their objects.

    Every object is checked by Git as it comes (``fsck``), no hook runs, and no submodule is followed.

    Parameters
    ----------
    root
        Where they go.
    source
        A path.
    references
        Name there to name here.
    """
    specs = [f"{there}:{here}" for there, here in references.items()]
    options = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-auto-maintenance", "--no-write-fetch-head")
    git.plumb(root, "fetch", *options, "--", source, *specs, settings=_SAFE)


def write_bundle(root: Path, target: Path, references: Sequence[str]) -> None:
    """Write refs, with all their objects, into one file.

    The file depends on nothing but the objects: Git first computes all differences again, in one thread.
    """
    git.plumb(root, "repack", "-a", "-d", "-F", "--quiet", settings=_REPEATABLE)
    git.plumb(root, "bundle", "create", "--quiet", str(target), *references, settings=_REPEATABLE)


def start_repository(root: Path) -> None:
    """Make a directory and an empty repository in it."""
    root.mkdir()
    git.plumb(root, "init", "--quiet", "--initial-branch=main", "--object-format=sha1", "--template=")


def start_branch(root: Path, name: str, commit: str) -> None:
    """Put the files of a commit, given by its digest, into an empty tree, on a new branch."""
    git.plumb(root, "checkout", "--quiet", "--no-recurse-submodules", "-B", name, commit)
