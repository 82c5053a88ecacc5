"""What changes a repository: commits, tags, what is checked out, packs; and how texts are merged."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from daxa.archive import failures
from daxa.archive.git.calls import QUIET_HOOKS, ask, git_at, literal, output_of, repository_at, write
from daxa.archive.git.queries import commit_of
from daxa.errors import ArchiveError

if TYPE_CHECKING:
    from git import Repo

__all__ = [
    "checkout",
    "clone",
    "commit",
    "commit_merge",
    "create_tag",
    "initialise",
    "merge_texts",
    "pack",
    "switch",
]

_LOOSE = 1_000_000
"""Bytes of loose objects beyond which they are packed."""


def initialise(root: Path) -> None:
    """Make an empty repository whose branch is called ``main``; DVC needs SHA-1 digests."""
    with git_at(root, root) as git:
        git.init("--quiet", "--initial-branch=main", "--object-format=sha1", "--template=")


def clone(source: str, target: Path, revision: str) -> None:
    """Clone a repository at a tag, without its submodules and without running hooks."""
    with git_at(target, target.parent, **QUIET_HOOKS) as git:
        git.clone(f"--branch={revision}", "--quiet", "--template=", "--", source, str(target))


def commit(root: Path, paths: Sequence[str], message: str) -> str:
    """Commit these paths alone, with removals, and give the commit's digest ('' when nothing changed).

    A file that is named is added even if the user's Git ignores files of its kind; a directory
    is added without what is ignored.
    """
    from git import GitCommandError

    with repository_at(root) as repository:
        git = repository.git
        directories = [path for path in paths if (root / path).is_dir()]
        known = set(git.ls_files("-z", "--", *literal(paths)).split("\0"))
        files = [path for path in paths if path not in directories and (path in known or os.path.lexists(root / path))]
        for options, some in (((), directories), (("--force",), files)):
            if some:
                write(git, "add", "--all", *options, "--", *literal(some))
        added = literal([*directories, *files])
        if not added or not git.diff("--cached", "--name-only", "--no-ext-diff", "--", *added):
            return ""
        try:
            write(git, "commit", "--quiet", "--cleanup=verbatim", f"--message={message}", "--", *added)
        except GitCommandError as error:
            raise failures.hook_failure(root, output_of(error), _hooks(repository)) from None
        return str(git.rev_parse("--verify", "HEAD"))


def commit_merge(root: Path, paths: Sequence[str], message: str, other: str) -> str:
    """Commit these paths, with removals, as a merge with another commit, and give the commit's digest.

    Given again after an interruption, it completes.

    Parameters
    ----------
    root
        The work tree, in which nothing else differs from the last commit.
    paths
        Of the files in which the merge differs from the last commit.
    message
        Of the commit.
    other
        Digest of the commit that becomes the second parent.

    Raises
    ------
    ArchiveError
        A merge of something else has begun.
    """
    from git import GitCommandError

    with repository_at(root) as repository:
        git = repository.git
        if other in git.rev_list("--parents", "--max-count=1", "HEAD").split()[2:]:
            return str(git.rev_parse("--verify", "HEAD"))
        begun = Path(repository.git_dir, "MERGE_HEAD")
        if not begun.exists():
            # It notes both parents, and leaves index and tree alone.
            write(git, "merge", "--quiet", "--no-commit", "--no-ff", "--strategy=ours", other)
        elif begun.read_text(encoding="ascii", errors="replace").split() != [other]:
            raise ArchiveError(
                "merging",
                f"another merge has begun in {root}",
                remedy="complete it (`git commit`) or give it up (`git merge --abort`), then try again",
            )
        known = set(git.ls_files("-z", "--", *literal(paths)).split("\0"))
        if added := [path for path in paths if path in known or os.path.lexists(root / path)]:
            write(git, "add", "--all", "--force", "--", *literal(added))
        try:
            write(git, "commit", "--quiet", "--cleanup=verbatim", f"--message={message}")
        except GitCommandError as error:
            raise failures.hook_failure(root, output_of(error), _hooks(repository)) from None
        return str(git.rev_parse("--verify", "HEAD"))


def _hooks(repository: Repo) -> list[Path]:
    """The user's hooks that can stop a commit."""
    place = Path(repository.working_dir, repository.git.rev_parse("--git-path", "hooks"))
    hooks = (place / name for name in ("pre-commit", "prepare-commit-msg", "commit-msg"))
    return [hook for hook in hooks if hook.is_file() and os.access(hook, os.X_OK)]


def create_tag(root: Path, name: str, message: str) -> None:
    """Make an annotated tag on the last commit; an existing one is never moved."""
    with repository_at(root) as repository:
        write(repository.git, "tag", "--annotate", "--cleanup=verbatim", "--message", message, "--", name)


def checkout(root: Path, revision: str) -> None:
    """Put the files of a commit into the tree, without moving a branch; changed files are never overwritten."""
    with repository_at(root) as repository:
        write(repository.git, "checkout", "--quiet", "--detach", "--no-recurse-submodules", commit_of(root, revision))


def switch(root: Path, name: str) -> None:
    """Go to a branch of this repository; changed files are never overwritten."""
    with repository_at(root) as repository:
        # What follows "--" would be paths: this is a branch, whatever files are there.
        write(repository.git, "checkout", "--quiet", "--no-recurse-submodules", name, "--")


def merge_texts(root: Path, base: bytes, ours: bytes, theirs: bytes) -> tuple[bytes, int]:
    """Join what two sides changed in a text, line by line.

    Parameters
    ----------
    root
        The work tree.
    base, ours, theirs
        The text that both sides began with, and what each made of it.

    Returns
    -------
    bytes, int
        The text, and in how many places both changed the same lines: there it has Git's marks.
    """
    with TemporaryDirectory(prefix="daxa-") as place:
        sides = {"ours": ours, "base": base, "theirs": theirs}
        for name, content in sides.items():
            Path(place, name).write_bytes(content)
        with Path(place, "merged").open("w+b") as merged:
            arguments = ("merge-file", "--stdout", *sides)
            ended = ask(Path(place), *arguments, into=merged, answers=range(128), about=root)
            merged.seek(0)
            content = merged.read()
    return content, ended.code


def pack(root: Path, *, above: int = _LOOSE) -> bool:
    """Pack all objects into one file, where the loose ones take more than so many bytes; whether it did.

    A new version of a table is committed whole, and becomes a small difference only in a pack with the
    version before.  Nothing is lost: commits that no branch names are packed as well.
    """
    with repository_at(root) as repository:
        counted = dict(line.split(": ") for line in repository.git.count_objects("-v").splitlines())
        if int(counted["size"]) * 1024 <= above:
            return False
        repository.git.repack("-a", "-d", "-l", "-q", "--keep-unreachable")
        return True
