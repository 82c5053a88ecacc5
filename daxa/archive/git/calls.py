"""How Git is called: with which settings and environment, and what becomes of its failures.

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
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO

from daxa.archive import failures
from daxa.archive.repair import clear_stale_lock
from daxa.errors import ArchiveError
from daxa.run.process import FinishedProgram, run_program
from daxa.run.redirection import without_redirection

if TYPE_CHECKING:
    from git import Git, GitCommandError, Repo

__all__ = [
    "QUIET_HOOKS",
    "ask",
    "git_at",
    "is_usual",
    "literal",
    "output_of",
    "plumb",
    "refuse_variables",
    "repository_at",
    "unredirected",
    "write",
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

QUIET_HOOKS = {"core.hooksPath": os.devnull}
_PLAIN = {"LC_ALL": "C", "LANGUAGE": "C"}
_UNUSUAL = re.compile(rb"extensions|worktree|include", re.IGNORECASE)

_environment_lock = threading.RLock()
_environment_users: list[dict[str, str]] = []


def ask(
    root: Path,
    *arguments: str,
    stdin: bytes | None = None,
    into: BinaryIO | None = None,
    answers: Collection[int] = (0,),
    about: Path | None = None,
) -> FinishedProgram:
    """Run one of Git's commands that only read and end within a moment, without GitPython.

    Parameters
    ----------
    root
        Where it runs.
    arguments
        Of ``git``; revisions and paths from outside come after ``--end-of-options`` or ``--``.
    stdin, into
        As for `daxa.run.process.run_program`; names that are not UTF-8 come as they do from `os.listdir`.
    answers
        Exit codes that are not failures.
    about
        The archive that a failure names, if it is another directory.

    Raises
    ------
    DaxaError
        What Git could not do, as the error of `daxa.archive.failures.git_failure`.
    """
    ended = _run(root, arguments, stdin=stdin, into=into, brief=True)
    if ended.code not in answers:
        raise failures.git_failure(about or root, ended.output.strip())
    return ended


def plumb(
    root: Path,
    *arguments: str,
    stdin: bytes | None = None,
    settings: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Run one of Git's lower commands that write, and give its answer; no hook runs.

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
    ended = _run(root, arguments, {**QUIET_HOOKS, **(settings or {})}, environ or {}, stdin=stdin)
    if ended.code:
        raise failures.git_failure(root, ended.output.strip())
    return ended.stdout


def _run(
    root: Path,
    arguments: Sequence[str],
    settings: Mapping[str, str] = MappingProxyType({}),
    environ: Mapping[str, str] = MappingProxyType({}),
    *,
    stdin: bytes | None,
    into: BinaryIO | None = None,
    brief: bool = False,
) -> FinishedProgram:
    """Run the program itself; a name that is not UTF-8 is decoded as Python and GitPython decode it."""
    refuse_variables(root)
    variables = without_redirection(os.environ) | dict(environ)
    variables |= _environment({**_SETTINGS, **settings}, variables) | _PLAIN
    return run_program(
        ["git", *arguments],
        cwd=root,
        environ=variables,
        stdin=stdin,
        into=into,
        brief=brief,
        undecodable="surrogateescape",
    )


def is_usual(root: Path) -> bool:
    """Whether there is a repository whose format needs no check (`daxa.archive.failures.check_format`)."""
    place = root / ".git"
    if place.is_symlink() or not all((place / name).is_dir() for name in ("objects", "refs")):
        return False
    if (place / "commondir").exists():
        return False
    if os.path.expandvars(root) != str(root) or not (place / "HEAD").is_file():
        return False
    try:
        return not _UNUSUAL.search((place / "config").read_bytes())
    except OSError:
        return False


@contextmanager
def repository_at(root: Path) -> Iterator[Repo]:
    """Give the repository of a work tree; Git's failures become daxa's errors."""
    from git import Repo
    from git.exc import InvalidGitRepositoryError, NoSuchPathError

    with unredirected():
        refuse_variables(root)
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
def git_at(about: Path, directory: Path, **settings: str) -> Iterator[Git]:
    """Give Git in a directory that need not be a repository yet."""
    from git import Git

    with unredirected():
        refuse_variables(directory)
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
        raise failures.git_failure(root, output_of(error)) from None
    except GitCommandNotFound:
        raise failures.no_git() from None


def refuse_variables(directory: Path) -> None:
    """GitPython would take the value of a variable that a directory is named after, and work somewhere else."""
    if os.path.expandvars(directory) != str(directory):
        raise ArchiveError(
            "path", f"{directory} holds the name of an environment variable", remedy="rename that directory"
        )


def write(git: Git, command: str, *arguments: str) -> None:
    """Run a command that writes; a lock that a Git left when it was killed is removed first."""
    from git import GitCommandError

    try:
        getattr(git, command)(*arguments)
    except GitCommandError as error:
        lock = failures.blocking_lock(output_of(error))
        if not lock or not clear_stale_lock(Path(git.working_dir or "", lock)):
            raise
        getattr(git, command)(*arguments)


def output_of(error: GitCommandError) -> str:
    """What Git wrote as it failed, without what GitPython puts around it."""
    text = str(error.stderr or error.stdout or "").strip()
    if error.status == -signal.SIGXFSZ:
        return "File too large"
    return text.removeprefix("stderr:").removeprefix("stdout:").strip(" '\n")


def literal(paths: Sequence[str]) -> list[str]:
    """Pathspecs in which no character is a pattern."""
    return [f":(literal){path}" for path in paths]


def _environment(settings: Mapping[str, str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Settings as Git takes them from the environment, after those that the user gives there."""
    first = (os.environ if environ is None else environ).get("GIT_CONFIG_COUNT", "")
    start = int(first) if first.isdecimal() else 0
    given = {"GIT_CONFIG_COUNT": str(start + len(settings)), "GIT_OPTIONAL_LOCKS": "0"}
    for at, (key, value) in enumerate(settings.items(), start):
        given |= {f"GIT_CONFIG_KEY_{at}": key, f"GIT_CONFIG_VALUE_{at}": value}
    return given


@contextmanager
def unredirected() -> Iterator[None]:
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
