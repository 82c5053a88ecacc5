"""What Git knows: commits, tags, branches, files, settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from daxa.archive import failures
from daxa.archive.git.calls import ask, is_usual, refuse_variables, repository_at, unredirected
from daxa.errors import ArchiveError, ConfigError

if TYPE_CHECKING:
    from git import Repo

__all__ = [
    "author_name",
    "borrows_objects",
    "branch",
    "branches",
    "changes",
    "check_identity",
    "commit_of",
    "copy_files",
    "differs",
    "hidden_changes",
    "index_entries",
    "is_merging",
    "local_setting",
    "merge_base",
    "origin_url",
    "read_file",
    "read_object",
    "tags",
    "tracked",
    "tracked_below",
    "tree_entries",
]

_PIECE = 1 << 20

_ABSENT = ("does not exist", "exists on disk, but not in", "invalid object name", "not a valid object name")


def check_identity(directory: Path) -> None:
    """Make sure that Git knows who commits.

    Raises
    ------
    ConfigError
        It does not.
    """
    from git import Git, GitCommandError

    try:
        with unredirected():
            refuse_variables(directory)
            for role in ("AUTHOR", "COMMITTER"):
                Git(directory).var(f"GIT_{role}_IDENT")
    except GitCommandError:
        raise ConfigError(
            "git-identity",
            "Git does not know who you are, so nothing can be committed",
            remedy="run `git config --global user.name 'Your Name'`, then the same with user.email and your address",
        ) from None


def author_name(directory: Path) -> str:
    """Name of who would commit in a directory, '' where Git does not know."""
    from git import Git, GitCommandError

    try:
        with unredirected():
            return str(Git(directory).var("GIT_AUTHOR_IDENT")).rpartition(" <")[0]
    except GitCommandError:
        return ""


def changes(root: Path) -> list[str]:
    """Paths that differ from the last commit or are not tracked, ignored ones left out."""
    with repository_at(root) as repository:
        options = ("--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=none")
        fields = repository.git.status(*options).split("\0")
    return sorted(entry[3:] for entry in fields if len(entry) > 3)


def hidden_changes(root: Path) -> list[str]:
    """Tracked paths whose changes Git was told not to see (assume-unchanged, skip-worktree)."""
    return [entry[2:] for entry in _listed(root, "-v") if entry[0] == "S" or entry[0].islower()]


def is_merging(root: Path) -> bool:
    """Whether a merge is in progress."""
    with repository_at(root) as repository:
        return Path(repository.git_dir, "MERGE_HEAD").exists()


def differs(root: Path, revision: str, *, without: str) -> bool:
    """Whether any tracked file but this one differs from a commit."""
    with repository_at(root) as repository:
        return bool(repository.git.diff("--name-only", "--no-ext-diff", revision, "--", ".", f":(exclude){without}"))


def tracked(root: Path, revision: str = "HEAD") -> list[str]:
    """Paths of all files in a commit."""
    with repository_at(root) as repository:
        return [path for path in repository.git.ls_tree("-r", "-z", "--name-only", revision).split("\0") if path]


def tracked_below(root: Path, paths: Sequence[str]) -> list[str]:
    """Which files at or below these paths are in Git's index; the case of hidden names does not count."""
    specs = [f":(top,literal{',icase' if path.startswith('.') else ''}){path}" for path in paths]
    return _listed(root, "--", *specs)


def _listed(root: Path, *arguments: str) -> list[str]:
    """What ``git ls-files`` lists, without GitPython where its checks are not needed."""
    if is_usual(root):
        listing = ask(root, "ls-files", "-z", *arguments).stdout
    else:
        with repository_at(root) as repository:
            listing = repository.git.ls_files("-z", *arguments)
    return [entry for entry in listing.split("\0") if entry]


def index_entries(root: Path) -> list[tuple[str, str]]:
    """Path and mode of everything that Git tracks."""
    return [(path, facts[:6]) for facts, _, path in (entry.partition("\t") for entry in _listed(root, "--stage"))]


def tree_entries(root: Path, revision: str) -> list[tuple[str, str, str]]:
    """Path, mode and digest of everything in a commit."""
    with repository_at(root) as repository:
        fields = repository.git.ls_tree("-r", "-z", "--full-tree", revision).split("\0")
    entries = ((facts.split(" "), path) for facts, _, path in (field.partition("\t") for field in fields) if path)
    return [(path, mode, digest) for (mode, _, digest), path in entries]


def borrows_objects(root: Path) -> bool:
    """Whether commits are taken from another repository (alternates)."""
    place = root / ".git"
    if not is_usual(root):
        with repository_at(root) as repository:
            place = Path(repository.common_dir)
    note = place / "objects" / "info" / "alternates"
    return note.is_symlink() or (note.exists() and bool(note.read_bytes().strip()))


def branch(root: Path) -> str:
    """Name of the branch that is checked out, '' where a commit is (a detached HEAD)."""
    with repository_at(root) as repository:
        return "" if repository.head.is_detached else repository.head.ref.name


def branches(root: Path) -> dict[str, str]:
    """Names of the branches of this repository, and their commits."""
    with repository_at(root) as repository:
        lines = repository.git.for_each_ref("--format=%(refname:strip=2)%00%(objectname)", "refs/heads").splitlines()
    return dict(line.split("\0", 1) for line in lines)


def tags(root: Path) -> dict[str, str]:
    """Names of all tags and the commits that they point to."""
    with repository_at(root) as repository:
        form = "--format=%(refname:strip=2)%00%(objecttype)%00%(objectname)%00%(*objecttype)%00%(*objectname)"
        lines = [line.split("\0") for line in repository.git.for_each_ref(form, "refs/tags").splitlines()]
    found = {}
    for name, kind, digest, kind_within, digest_within in lines:
        if "commit" in (kind, kind_within):
            found[name] = digest if kind == "commit" else digest_within
    return found


def commit_of(root: Path, revision: str = "HEAD") -> str:
    """Digest of the commit that a revision names.

    Raises
    ------
    ArchiveError
        There is no such revision.
    """
    from git import GitCommandError

    with repository_at(root) as repository:
        try:
            return str(repository.git.rev_parse("--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"))
        except GitCommandError as error:
            if str(error.stderr or "").strip():
                raise
            _refuse_broken_branch(root, repository)
            if revision == "HEAD":
                raise ArchiveError(
                    "no-commit",
                    f"the branch that is checked out in {root} has no commits",
                    remedy="list branches with `git branch --all`, and go to one with `git switch`",
                ) from None
            raise ArchiveError(
                "revision", f"{root} has no revision {revision!r}", remedy="list releases with `git tag`"
            ) from None


def _refuse_broken_branch(root: Path, repository: Repo) -> None:
    # Git itself does not say which branch it is, once the branch is broken.
    name = Path(repository.git_dir, "HEAD").read_text(encoding="utf-8", errors="replace").removeprefix("ref: ").strip()
    if not name.startswith("refs/heads/"):
        return
    reference, log = (Path(repository.common_dir, place) for place in (name, f"logs/{name}"))
    if reference.is_file() and not re.fullmatch(rb"[0-9a-f]{40}\n?", reference.read_bytes()):
        raise failures.broken_branch(root, reference, name, log.read_text() if log.is_file() else "")


def merge_base(root: Path, one: str, other: str) -> str:
    """Digest of the commit at which two histories part, '' where they have nothing in common."""
    from git import GitCommandError

    with repository_at(root) as repository:
        try:
            return str(repository.git.merge_base(one, other))
        except GitCommandError as error:
            if error.status == 1:
                return ""
            raise


def read_file(root: Path, revision: str, path: str) -> bytes | None:
    """Content of a file at a commit; None when the commit has no such file."""
    from git import GitCommandError

    with repository_at(root) as repository:
        try:
            content: bytes = repository.git.cat_file(
                "blob", f"{revision}:{path}", stdout_as_string=False, strip_newline_in_stdout=False
            )
        except GitCommandError as error:
            if any(words in str(error.stderr).lower() for words in _ABSENT):
                return None
            raise
        return content


def read_object(root: Path, name: str) -> tuple[str, bytes]:
    """Kind (``tag``, ``commit``, ...) and whole content of the object that a reference or digest names.

    Parameters
    ----------
    root
        The repository.
    name
        A whole reference such as ``refs/tags/v1.0.0``, or a digest.

    Raises
    ------
    ArchiveError
        There is no such object.
    """
    with repository_at(root) as repository:
        kind = str(repository.git.cat_file("-t", name))
        content: bytes = repository.git.cat_file(kind, name, stdout_as_string=False, strip_newline_in_stdout=False)
        return kind, content


def copy_files(root: Path, revision: str, paths: Sequence[str], place: Path) -> None:
    """Write those of some files that a commit has into a directory, as Git keeps them, with one call of Git.

    Parameters
    ----------
    root
        The work tree.
    revision
        Digest of the commit.
    paths
        Of the files; without line ends.
    place
        A directory of our own.
    """
    asked = "".join(f"{revision}:{path}\n" for path in paths).encode("utf-8", "surrogateescape")
    with TemporaryFile(dir=place) as stream:
        ask(root, "cat-file", "--batch", stdin=asked, into=stream)
        stream.seek(0)
        for path in paths:
            answer = stream.readline().rstrip(b"\n").rsplit(b" ", 2)
            if answer[-1] == b"missing":
                continue
            end = stream.tell() + int(answer[-1])
            if answer[1] == b"blob":
                target = place / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as copy:
                    while piece := stream.read(min(_PIECE, end - stream.tell())):
                        copy.write(piece)
            stream.seek(end + 1)


def origin_url(root: Path) -> str:
    """Address of the remote ``origin``, '' without one."""
    with repository_at(root) as repository:
        return next((remote.url for remote in repository.remotes if remote.name == "origin"), "")


def local_setting(root: Path, key: str) -> str | None:
    """A setting in the repository's own configuration, as it was last given; None without one."""
    ended = ask(root, "config", "--local", "--null", "--get", key, answers=(0, 1))
    return ended.stdout.removesuffix("\0") if not ended.code else None
