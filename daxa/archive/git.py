"""The one place that talks to Git.

Git's answers depend on the user's settings and on the environment.  What would lead it to
another repository is taken out of the environment, what would change the form of its answers
is overruled, and everything else (who commits, signatures, hooks, trusted directories) is
the user's to decide.

GitPython is imported where it is used: it takes longer than a whole look at an archive, for which the
program alone is used.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import TYPE_CHECKING

from daxa.archive import failures
from daxa.archive.repair import clear_stale_lock
from daxa.errors import ArchiveError, ConfigError
from daxa.run.process import run_program, without_redirection

if TYPE_CHECKING:
    from git import Git, GitCommandError, Repo

__all__ = [
    "author_name",
    "borrows_objects",
    "branch",
    "branches",
    "changes",
    "check_identity",
    "checkout",
    "clone",
    "commit",
    "commit_merge",
    "commit_of",
    "copy_files",
    "create_tag",
    "differs",
    "hidden_changes",
    "index_entries",
    "initialise",
    "is_merging",
    "local_setting",
    "merge_base",
    "merge_texts",
    "origin_url",
    "pack",
    "plumb",
    "read_file",
    "read_object",
    "switch",
    "tags",
    "tracked",
    "tracked_below",
    "tree_entries",
]

_SETTINGS = {
    "color.ui": "false",
    "core.fsmonitor": "false",
    "core.fsync": "committed,index,reference",
    "core.fsyncMethod": "batch",
    "core.quotePath": "false",
    "core.useReplaceRefs": "false",
    "i18n.commitEncoding": "UTF-8",
    "i18n.logOutputEncoding": "UTF-8",
    "init.defaultRefFormat": "files",
    # A directory of a clone may hold what looks like a repository, with settings and hooks that run programs.
    "safe.bareRepository": "explicit",
    "submodule.recurse": "false",
}
"""What we need of Git whatever the user has configured."""

_PIECE = 1 << 20

_QUIET_HOOKS = {"core.hooksPath": os.devnull}
_READING = frozenset({"cat-file", "for-each-ref", "ls-tree", "rev-parse"})
"""What only reads, and ends by itself within a moment."""
_UNUSUAL = re.compile(rb"extensions|worktree|include", re.IGNORECASE)
_ABSENT = ("does not exist", "exists on disk, but not in", "invalid object name", "not a valid object name")

_environment_lock = threading.RLock()
_environment_users: list[dict[str, str]] = []


_LOOSE = 1_000_000
"""Bytes of loose objects beyond which they are packed."""


def initialise(root: Path) -> None:
    """Make an empty repository whose branch is called ``main``; DVC needs SHA-1 digests."""
    with _git_at(root, root) as git:
        git.init("--quiet", "--initial-branch=main", "--object-format=sha1", "--template=")


def check_identity(directory: Path) -> None:
    """Make sure that Git knows who commits.

    Raises
    ------
    ConfigError
        It does not.
    """
    from git import Git, GitCommandError

    try:
        with _unredirected():
            _refuse_variables(directory)
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
        with _unredirected():
            return str(Git(directory).var("GIT_AUTHOR_IDENT")).rpartition(" <")[0]
    except GitCommandError:
        return ""


def commit(root: Path, paths: Sequence[str], message: str) -> str:
    """Commit these paths alone, with removals, and give the commit's digest ('' when nothing changed).

    A file that is named is added even if the user's Git ignores files of its kind; a directory
    is added without what is ignored.
    """
    from git import GitCommandError

    with _repository(root) as repository:
        git = repository.git
        directories = [path for path in paths if (root / path).is_dir()]
        known = set(git.ls_files("-z", "--", *_literal(paths)).split("\0"))
        files = [path for path in paths if path not in directories and (path in known or os.path.lexists(root / path))]
        for options, some in (((), directories), (("--force",), files)):
            if some:
                _write(git, "add", "--all", *options, "--", *_literal(some))
        added = _literal([*directories, *files])
        if not added or not git.diff("--cached", "--name-only", "--no-ext-diff", "--", *added):
            return ""
        try:
            _write(git, "commit", "--quiet", "--cleanup=verbatim", f"--message={message}", "--", *added)
        except GitCommandError as error:
            raise failures.hook_failure(root, _output_of(error), _hooks(repository)) from None
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

    with _repository(root) as repository:
        git = repository.git
        if other in git.rev_list("--parents", "--max-count=1", "HEAD").split()[2:]:
            return str(git.rev_parse("--verify", "HEAD"))
        begun = Path(repository.git_dir, "MERGE_HEAD")
        if not begun.exists():
            # It notes both parents, and leaves index and tree alone.
            _write(git, "merge", "--quiet", "--no-commit", "--no-ff", "--strategy=ours", other)
        elif begun.read_text(encoding="ascii", errors="replace").split() != [other]:
            raise ArchiveError(
                "merging",
                f"another merge has begun in {root}",
                remedy="complete it (`git commit`) or give it up (`git merge --abort`), then try again",
            )
        known = set(git.ls_files("-z", "--", *_literal(paths)).split("\0"))
        if added := [path for path in paths if path in known or os.path.lexists(root / path)]:
            _write(git, "add", "--all", "--force", "--", *_literal(added))
        try:
            _write(git, "commit", "--quiet", "--cleanup=verbatim", f"--message={message}")
        except GitCommandError as error:
            raise failures.hook_failure(root, _output_of(error), _hooks(repository)) from None
        return str(git.rev_parse("--verify", "HEAD"))


def merge_base(root: Path, one: str, other: str) -> str:
    """Digest of the commit at which two histories part, '' where they have nothing in common."""
    from git import GitCommandError

    with _repository(root) as repository:
        try:
            return str(repository.git.merge_base(one, other))
        except GitCommandError as error:
            if error.status == 1:
                return ""
            raise


def changes(root: Path) -> list[str]:
    """Paths that differ from the last commit or are not tracked, ignored ones left out."""
    with _repository(root) as repository:
        options = ("--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=none")
        fields = repository.git.status(*options).split("\0")
    return sorted(entry[3:] for entry in fields if len(entry) > 3)


def hidden_changes(root: Path) -> list[str]:
    """Tracked paths whose changes Git was told not to see (assume-unchanged, skip-worktree)."""
    with _repository(root) as repository:
        entries = repository.git.ls_files("-v", "-z").split("\0")
    return [entry[2:] for entry in entries if entry and (entry[0] == "S" or entry[0].islower())]


def is_merging(root: Path) -> bool:
    """Whether a merge is in progress."""
    with _repository(root) as repository:
        return Path(repository.git_dir, "MERGE_HEAD").exists()


def differs(root: Path, revision: str, *, without: str) -> bool:
    """Whether any tracked file but this one differs from a commit."""
    with _repository(root) as repository:
        return bool(repository.git.diff("--name-only", "--no-ext-diff", revision, "--", ".", f":(exclude){without}"))


def tracked(root: Path, revision: str = "HEAD") -> list[str]:
    """Paths of all files in a commit."""
    with _repository(root) as repository:
        return [path for path in repository.git.ls_tree("-r", "-z", "--name-only", revision).split("\0") if path]


def tracked_below(root: Path, paths: Sequence[str]) -> list[str]:
    """Which files at or below these paths are in Git's index; the case of hidden names does not count."""
    specs = [f":(top,literal{',icase' if path.startswith('.') else ''}){path}" for path in paths]
    if _is_usual(root):
        environ = without_redirection(os.environ)
        environ |= _environment(_SETTINGS, environ) | {"LC_ALL": "C", "LANGUAGE": "C"}
        listing = run_program(["git", "ls-files", "-z", "--", *specs], cwd=root, environ=environ, brief=True)
        if listing.code:
            raise failures.git_failure(root, listing.output.strip())
        listed = listing.stdout
    else:
        with _repository(root) as repository:
            listed = repository.git.ls_files("-z", "--", *specs)
    return [path for path in listed.split("\0") if path]


def _is_usual(root: Path) -> bool:
    """Whether there is a repository whose format needs no check (`daxa.archive.failures.check_format`)."""
    place = root / ".git"
    if place.is_symlink() or not all((place / name).is_dir() for name in ("objects", "refs")):
        return False
    if os.path.expandvars(root) != str(root) or not (place / "HEAD").is_file():
        return False
    try:
        return not _UNUSUAL.search((place / "config").read_bytes())
    except OSError:
        return False


def index_entries(root: Path) -> list[tuple[str, str]]:
    """Path and mode of everything that Git tracks."""
    with _repository(root) as repository:
        fields = repository.git.ls_files("--stage", "-z").split("\0")
    return [(path, said[:6]) for said, _, path in (field.partition("\t") for field in fields) if path]


def tree_entries(root: Path, revision: str) -> list[tuple[str, str, str]]:
    """Path, mode and digest of everything in a commit."""
    with _repository(root) as repository:
        fields = repository.git.ls_tree("-r", "-z", "--full-tree", revision).split("\0")
    entries = ((said.split(" "), path) for said, _, path in (field.partition("\t") for field in fields) if path)
    return [(path, mode, digest) for (mode, _, digest), path in entries]


def borrows_objects(root: Path) -> bool:
    """Whether commits are taken from another repository (alternates)."""
    with _repository(root) as repository:
        note = Path(repository.common_dir, "objects", "info", "alternates")
        return note.is_symlink() or (note.exists() and bool(note.read_bytes().strip()))


def checkout(root: Path, revision: str) -> None:
    """Put the files of a commit into the tree, without moving a branch; changed files are never overwritten."""
    with _repository(root) as repository:
        _write(repository.git, "checkout", "--quiet", "--detach", "--no-recurse-submodules", commit_of(root, revision))


def switch(root: Path, name: str) -> None:
    """Go to a branch of this repository; changed files are never overwritten."""
    with _repository(root) as repository:
        # What follows "--" would be paths: this is a branch, whatever files are there.
        _write(repository.git, "checkout", "--quiet", "--no-recurse-submodules", name, "--")


def branches(root: Path) -> dict[str, str]:
    """Names of the branches of this repository, and their commits."""
    with _repository(root) as repository:
        lines = repository.git.for_each_ref("--format=%(refname:strip=2)%00%(objectname)", "refs/heads").splitlines()
    return dict(line.split("\0", 1) for line in lines)


def tags(root: Path) -> dict[str, str]:
    """Names of all tags and the commits that they point to."""
    with _repository(root) as repository:
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

    with _repository(root) as repository:
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


def read_file(root: Path, revision: str, path: str) -> bytes | None:
    """Content of a file at a commit; None when the commit has no such file."""
    from git import GitCommandError

    with _repository(root) as repository:
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
    with _repository(root) as repository:
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
    _refuse_variables(root)
    environ = without_redirection(os.environ)
    environ |= _environment(_SETTINGS, environ) | {"LC_ALL": "C", "LANGUAGE": "C"}
    asked = "".join(f"{revision}:{path}\n" for path in paths).encode()
    with TemporaryFile(dir=place) as stream:
        ended = run_program(
            ["git", "cat-file", "--batch"], cwd=root, environ=environ, stdin=asked, into=stream, brief=True
        )
        if ended.code:
            raise failures.git_failure(root, ended.output.strip())
        stream.seek(0)
        for path in paths:
            said = stream.readline().rstrip(b"\n").rsplit(b" ", 2)
            if said[-1] == b"missing":
                continue
            end = stream.tell() + int(said[-1])
            if said[1] == b"blob":
                target = place / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as copy:
                    while piece := stream.read(min(_PIECE, end - stream.tell())):
                        copy.write(piece)
            stream.seek(end + 1)


def create_tag(root: Path, name: str, message: str) -> None:
    """Make an annotated tag on the last commit; an existing one is never moved."""
    with _repository(root) as repository:
        _write(repository.git, "tag", "--annotate", "--cleanup=verbatim", "--message", message, "--", name)


def clone(source: str, target: Path, revision: str) -> None:
    """Clone a repository at a tag, without its submodules and without running hooks."""
    with _git_at(target, target.parent, **_QUIET_HOOKS) as git:
        git.clone(f"--branch={revision}", "--quiet", "--template=", "--", source, str(target))


def branch(root: Path) -> str:
    """Name of the branch that is checked out, '' where a commit is (a detached HEAD)."""
    with _repository(root) as repository:
        return "" if repository.head.is_detached else repository.head.ref.name


def origin_url(root: Path) -> str:
    """Address of the remote ``origin``, '' without one."""
    with _repository(root) as repository:
        return next((remote.url for remote in repository.remotes if remote.name == "origin"), "")


def local_setting(root: Path, key: str) -> str | None:
    """A setting in the repository's own configuration, as it was last given; None without one."""
    _refuse_variables(root)
    environ = without_redirection(os.environ) | {"LC_ALL": "C", "LANGUAGE": "C"}
    ended = run_program(["git", "config", "--local", "--null", "--get", key], cwd=root, environ=environ, brief=True)
    if ended.code not in (0, 1):
        raise failures.git_failure(root, ended.output.strip())
    return ended.stdout.removesuffix("\0") if not ended.code else None


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
    environ = without_redirection(os.environ)
    environ |= _environment(_SETTINGS, environ) | {"LC_ALL": "C", "LANGUAGE": "C"}
    with TemporaryDirectory(prefix="daxa-") as place:
        sides = {"ours": ours, "base": base, "theirs": theirs}
        for name, content in sides.items():
            Path(place, name).write_bytes(content)
        with Path(place, "merged").open("w+b") as merged:
            ended = run_program(
                ["git", "merge-file", "--stdout", *sides], cwd=Path(place), environ=environ, into=merged
            )
            merged.seek(0)
            content = merged.read()
    if not 0 <= ended.code < 128:
        raise failures.git_failure(root, ended.output.strip())
    return content, ended.code


def pack(root: Path, *, above: int = _LOOSE) -> bool:
    """Pack all objects into one file, where the loose ones take more than so many bytes; whether it did.

    A new version of a table is committed whole, and becomes a small difference only in a pack with the
    version before.  Nothing is lost: commits that no branch names are packed as well.
    """
    with _repository(root) as repository:
        counted = dict(line.split(": ") for line in repository.git.count_objects("-v").splitlines())
        if int(counted["size"]) * 1024 <= above:
            return False
        repository.git.repack("-a", "-d", "-l", "-q", "--keep-unreachable")
        return True


def plumb(
    root: Path,
    *arguments: str,
    stdin: bytes | None = None,
    settings: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Run one of Git's lower commands in a work tree and give what it writes; no hook runs.

    Parameters
    ----------
    root
        The work tree.
    arguments
        Of ``git``; revisions and paths from outside come after ``--end-of-options`` or ``--``.
    stdin
        What it reads.
    settings
        Of Git, beside those that hold for all.
    environ
        Variables, such as ``GIT_AUTHOR_DATE``.

    Raises
    ------
    DaxaError
        What Git could not do, as the error of `daxa.archive.failures.git_failure`.
    """
    _refuse_variables(root)
    whole = without_redirection(os.environ) | dict(environ or {})
    whole |= _environment({**_SETTINGS, **_QUIET_HOOKS, **(settings or {})}, whole) | {"LC_ALL": "C", "LANGUAGE": "C"}
    ended = run_program(["git", *arguments], cwd=root, environ=whole, stdin=stdin, brief=arguments[0] in _READING)
    if ended.code:
        raise failures.git_failure(root, ended.output.strip())
    return ended.stdout


@contextmanager
def _repository(root: Path) -> Iterator[Repo]:
    """Give the repository of a work tree; Git's failures become daxa's errors."""
    from git import Repo
    from git.exc import InvalidGitRepositoryError, NoSuchPathError

    with _unredirected():
        _refuse_variables(root)
        try:
            opened = Repo(root, expand_vars=False)
        except (InvalidGitRepositoryError, NoSuchPathError):
            raise failures.not_a_repository(root) from None
        with opened as repository:
            if Path(repository.git_dir).resolve() == root.resolve():
                # Its files look like a repository without a work tree, and came as files: their settings act.
                raise failures.not_a_repository(root)
            failures.check_format(root, Path(repository.git_dir), repository.config_reader("repository").get_value)
            repository.git.update_environment(**_environment(_SETTINGS))
            with _failures_of(root):
                yield repository


@contextmanager
def _git_at(about: Path, directory: Path, **settings: str) -> Iterator[Git]:
    """Give Git in a directory that need not be a repository yet."""
    from git import Git

    with _unredirected():
        _refuse_variables(directory)
        git = Git(directory)
        git.update_environment(**_environment({**_SETTINGS, **settings}))
        with _failures_of(about):
            yield git


@contextmanager
def _failures_of(root: Path) -> Iterator[None]:
    """Turn Git's failures into daxa's errors."""
    from git import GitCommandError
    from git.exc import GitCommandNotFound

    try:
        yield
    except GitCommandError as error:
        raise failures.git_failure(root, _output_of(error)) from None
    except GitCommandNotFound:
        raise failures.no_git() from None


def _refuse_variables(directory: Path) -> None:
    """GitPython would take the value of a variable that a directory is named after, and work somewhere else."""
    if os.path.expandvars(directory) != str(directory):
        raise ArchiveError(
            "path", f"{directory} holds the name of an environment variable", remedy="rename that directory"
        )


def _refuse_broken_branch(root: Path, repository: Repo) -> None:
    # Git itself does not say which branch it is, once the branch is broken.
    name = Path(repository.git_dir, "HEAD").read_text(encoding="utf-8", errors="replace").removeprefix("ref: ").strip()
    if not name.startswith("refs/heads/"):
        return
    reference, log = (Path(repository.common_dir, place) for place in (name, f"logs/{name}"))
    if reference.is_file() and not re.fullmatch(rb"[0-9a-f]{40}\n?", reference.read_bytes()):
        raise failures.broken_branch(root, reference, name, log.read_text() if log.is_file() else "")


def _write(git: Git, command: str, *arguments: str) -> None:
    """Run a command that writes; a lock that a Git left when it was killed is removed first."""
    from git import GitCommandError

    try:
        getattr(git, command)(*arguments)
    except GitCommandError as error:
        lock = failures.blocking_lock(_output_of(error))
        if not lock or not clear_stale_lock(Path(git.working_dir or "", lock)):
            raise
        getattr(git, command)(*arguments)


def _output_of(error: GitCommandError) -> str:
    text = str(error.stderr or error.stdout or "").strip()
    if error.status == -signal.SIGXFSZ:
        return "File too large"
    return text.removeprefix("stderr:").removeprefix("stdout:").strip(" '\n")


def _literal(paths: Sequence[str]) -> list[str]:
    """Pathspecs in which no character is a pattern."""
    return [f":(literal){path}" for path in paths]


def _hooks(repository: Repo) -> list[Path]:
    """The user's hooks that can stop a commit."""
    place = Path(repository.working_dir, repository.git.rev_parse("--git-path", "hooks"))
    hooks = (place / name for name in ("pre-commit", "prepare-commit-msg", "commit-msg"))
    return [hook for hook in hooks if hook.is_file() and os.access(hook, os.X_OK)]


def _environment(settings: Mapping[str, str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Settings as Git takes them from the environment, after those that the user gives there."""
    first = (os.environ if environ is None else environ).get("GIT_CONFIG_COUNT", "")
    start = int(first) if first.isdecimal() else 0
    given = {"GIT_CONFIG_COUNT": str(start + len(settings)), "GIT_OPTIONAL_LOCKS": "0"}
    for at, (key, value) in enumerate(settings.items(), start):
        given |= {f"GIT_CONFIG_KEY_{at}": key, f"GIT_CONFIG_VALUE_{at}": value}
    return given


@contextmanager
def _unredirected() -> Iterator[None]:
    """Take out of the environment what would lead Git elsewhere, while daxa talks to it.

    GitPython reads and inherits this process's environment, and nothing that is passed to it can remove a variable.
    """
    with _environment_lock:
        _environment_users.append(dict(os.environ))
        kept = without_redirection(os.environ)
        for name in os.environ.keys() - kept.keys():
            del os.environ[name]
        os.environ.update(kept)
    try:
        yield
    finally:
        with _environment_lock:
            before = _environment_users.pop()
            if not _environment_users:
                _restore(before)


def _restore(before: Mapping[str, str]) -> None:
    os.environ.update({name: value for name, value in before.items() if name.startswith("GIT_")})
