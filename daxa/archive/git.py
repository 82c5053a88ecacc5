"""The one place that speaks to Git."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from git import GitCommandError, Repo
from git.exc import InvalidGitRepositoryError, NoSuchPathError

from daxa.errors import ArchiveError, ConfigError, ProgramError

__all__ = [
    "changes",
    "check_identity",
    "clone",
    "commit",
    "commit_of",
    "create_tag",
    "differs",
    "initialise",
    "origin_url",
    "pack",
    "read_file",
    "tags",
    "tracked",
    "tracked_below",
]


_LOOSE = 1_000_000
"""Bytes of loose objects beyond which they are packed."""


def initialise(root: Path) -> None:
    """Make an empty repository whose branch is called ``main``."""
    Repo.init(root, initial_branch="main").close()


def check_identity(directory: Path) -> None:
    """Make sure that Git knows who commits.

    Raises
    ------
    ConfigError
        It does not.
    """
    from git import Git

    try:
        Git(directory).var("GIT_COMMITTER_IDENT")
    except GitCommandError:
        raise ConfigError(
            "git-identity",
            "Git does not know who you are, so that nothing can be committed",
            remedy="run `git config --global user.name 'Your Name'`, then the same with user.email and your address",
        ) from None


def commit(root: Path, paths: Sequence[str], message: str) -> str:
    """Commit these paths alone, with removals, and give the commit's digest ('' when nothing changed)."""
    with _repository(root) as repository:
        try:
            repository.git.add("--all", "--", *paths)
            if not repository.git.diff("--cached", "--name-only", "--", *paths):
                return ""
            repository.git.commit("--quiet", "--message", message, "--", *paths)
        except GitCommandError as error:
            raise _failure(root, error) from None
        return repository.head.commit.hexsha


def changes(root: Path) -> list[str]:
    """Paths that differ from the last commit or are not tracked, ignored ones left out."""
    with _repository(root) as repository:
        fields = repository.git.status("--porcelain=v1", "-z", "--untracked-files=all", "--no-renames").split("\0")
    return sorted(entry[3:] for entry in fields if len(entry) > 3)


def differs(root: Path, revision: str, *, without: str) -> bool:
    """Whether any tracked file but this one differs from a commit."""
    with _repository(root) as repository:
        return bool(repository.git.diff("--name-only", revision, "--", ".", f":(exclude){without}"))


def tracked(root: Path, revision: str = "HEAD") -> list[str]:
    """Paths of all files in a commit."""
    with _repository(root) as repository:
        return [path for path in repository.git.ls_tree("-r", "-z", "--name-only", revision).split("\0") if path]


def tracked_below(root: Path, paths: Sequence[str]) -> list[str]:
    """Which files at or below these paths are in Git's index; the case of hidden names does not count."""
    specs = [f":(top,literal{',icase' if path.startswith('.') else ''}){path}" for path in paths]
    with _repository(root) as repository:
        # A monitor of files that an archive's own configuration names would be a program that Git starts.
        asked = repository.git(c="core.fsmonitor=false").ls_files("-z", "--", *specs)
    return [path for path in asked.split("\0") if path]


def tags(root: Path) -> dict[str, str]:
    """Names of all tags and the commits that they stand on."""
    with _repository(root) as repository:
        return {tag.name: tag.commit.hexsha for tag in repository.tags}


def commit_of(root: Path, revision: str = "HEAD") -> str:
    """Digest of the commit that a revision names.

    Raises
    ------
    ArchiveError
        There is no such revision.
    """
    with _repository(root) as repository:
        try:
            return repository.git.rev_parse("--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        except GitCommandError:
            raise ArchiveError(
                "revision", f"{root} has no revision {revision!r}", remedy="list releases with `git tag`"
            ) from None


def read_file(root: Path, revision: str, path: str) -> bytes | None:
    """Content of a file at a commit; None when the commit has no such file."""
    with _repository(root) as repository:
        try:
            return repository.git.cat_file(
                "blob", f"{revision}:{path}", stdout_as_string=False, strip_newline_in_stdout=False
            )
        except GitCommandError:
            return None


def create_tag(root: Path, name: str, message: str) -> None:
    """Make an annotated tag on the last commit; an existing one is never moved."""
    with _repository(root) as repository:
        try:
            repository.git.tag("--annotate", "--cleanup=verbatim", "--message", message, "--", name)
        except GitCommandError as error:
            raise _failure(root, error) from None


def clone(source: str, target: Path, revision: str) -> None:
    """Clone a repository at a tag, without its hooks and submodules."""
    try:
        Repo.clone_from(
            source, target, multi_options=[f"--branch={revision}", "--quiet", "--template="], allow_unsafe_options=True
        ).close()
    except GitCommandError as error:
        raise _failure(target, error) from None


def origin_url(root: Path) -> str:
    """Address of the remote ``origin``, '' without one."""
    with _repository(root) as repository:
        return next((remote.url for remote in repository.remotes if remote.name == "origin"), "")


def pack(root: Path, *, above: int = _LOOSE) -> bool:
    """Pack all objects into one file, where the loose ones take more than so many bytes; whether it did.

    A new version of a table is committed whole, and becomes a small difference only in a pack with the
    version before.  Nothing is lost: what no branch names any more is packed as well.
    """
    with _repository(root) as repository:
        counted = dict(line.split(": ") for line in repository.git.count_objects("-v").splitlines())
        if int(counted["size"]) * 1024 <= above:
            return False
        try:
            repository.git.repack("-a", "-d", "-l", "-q", "--keep-unreachable")
        except GitCommandError as error:
            raise _failure(root, error) from None
        return True


def _repository(root: Path) -> Repo:
    try:
        return Repo(root)
    except (InvalidGitRepositoryError, NoSuchPathError):
        raise ArchiveError(
            "not-git", f"{root} is not a Git repository", remedy="run this inside an archive made by `daxa init`"
        ) from None


def _failure(root: Path, error: GitCommandError) -> ProgramError:
    said = str(error.stderr or error.stdout or error).strip().removeprefix("stderr:").strip(" '\n")
    return ProgramError("git", f"Git failed in {root}: {said}", remedy="read Git's message and try again")
