"""From the messages of Git and DVC to errors that say what the reader can do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from daxa.errors import ArchiveError, ConfigError, DaxaError, ProgramError, StorageError

__all__ = [
    "blocking_lock",
    "broken_branch",
    "busy",
    "check_format",
    "dvc_failure",
    "error_lines",
    "git_failure",
    "hook_failure",
    "is_informative",
    "no_git",
    "not_a_repository",
    "push_failure",
]

_STYLE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ADVICE = re.compile(
    r"\s*$"
    r"|\s*To (?:track the changes with git|enable auto staging), run:"
    r"|\s+git add .*|\s+dvc config core\.autostage true"
    r"|\s*Use `dvc push` to send your updates"
    r"|(?:Stage )?'[^'\n]+' didn't change, skipping\s*$"
    r"|.*Hit us up at|.*\bmanually remove '.*rwlock'|.*\bdvc\.org/doc/user-guide/troubleshooting"
)
_REPORT = re.compile(r"^(?:ERROR: |'\S+' (?:is invalid|validation failed))", re.MULTILINE)
"""How DVC begins to say what went wrong; what follows is part of it."""

_LOCK = re.compile(r"'([^'\n]+\.lock)': File exists|lock config file ([^\s:]+): File exists")
_TRANSFER = re.compile(
    r"^ERROR: (?:failed to transfer '[^'\n]*' - |unexpected error - )(.{1,300}?)(?: -> .*)?$", re.MULTILINE
)
_NO_REPOSITORY = re.compile("not a git repository|cannot use bare repository")
_DISK_ERRORS = "No space left on device|Out of diskspace|Disk quota exceeded|File too large|disk is full|disk I/O error"
_DENIALS = "Permission denied|Read-only file system|insufficient permission|Operation not permitted|readonly database"


@dataclass(frozen=True)
class _KnownFailure:
    """Words of a program, and the error that they mean; braces hold `root`, `place` (for shells), `last`, `lock`."""

    pattern: re.Pattern[str]
    kind: type[DaxaError]
    name: str
    message: str
    remedy: str

    def error(self, root: Path, output: str, last: str) -> DaxaError:
        found = _LOCK.search(output)
        lock = (found[1] or found[2]) if found else ""
        words = {"root": root, "place": shlex.quote(str(root)), "last": last, "lock": shlex.quote(lock)}
        return self.kind(self.name, self.message.format(**words), remedy=self.remedy.format(**words))


_NOT_YOURS = _KnownFailure(
    re.compile("dubious ownership|unsafe repository|not owned by current user"),
    ArchiveError,
    "not-yours",
    "{root} belongs to another user, and Git reads such repositories only if configured to",
    "if you trust who made it: git config --global --add safe.directory {place}",
)
_FULL = _KnownFailure(
    re.compile(_DISK_ERRORS),
    StorageError,
    "full",
    "there is no space left in {root}: {last}",
    "free some space, then try again: what is done stays done",
)
_DENIED = _KnownFailure(
    re.compile(_DENIALS),
    StorageError,
    "unwritable",
    "{root} cannot be written: {last}",
    "check its permissions and owner; or work in a clone of your own",
)

_OF_GIT = (
    _NOT_YOURS,
    _KnownFailure(
        _LOCK,
        ArchiveError,
        "git-lock",
        "another Git process is running in {root}, or one that was killed has left a lock",
        "wait until it has ended; if no Git is running there: rm {lock}",
    ),
    _KnownFailure(
        re.compile("failed to sign|signing failed|gpg failed|cannot run gpg|signingkey|ssh-keygen", re.IGNORECASE),
        ConfigError,
        "git-signing",
        "Git is configured to sign commits or tags and cannot: {last}",
        "make signing work, or turn it off: git config --global commit.gpgSign false, likewise tag.gpgSign",
    ),
    _FULL,
    _DENIED,
    _KnownFailure(
        # It does not say why, but it had opened the file.
        re.compile(r"unable to write (?:file|(?:new[ _]index|sha1|loose object) file)"),
        StorageError,
        "full",
        "Git cannot write in {root}, as when there is no space left: {last}",
        _FULL.remedy,
    ),
    _KnownFailure(
        re.compile(
            r"cannot do a partial commit during a|not possible because you have unmerged files|you need to resolve"
        ),
        ArchiveError,
        "git-merging",
        "a merge has begun in {root} and has not ended",
        "end it with `git commit`, or give it up with `git merge --abort`; then try again",
    ),
    _KnownFailure(
        re.compile("index file (?:corrupt|smaller than expected)|bad index file|bad signature 0x"),
        ArchiveError,
        "git-damaged",
        "Git's index in {root} is damaged: {last}",
        "rebuild it, which changes no file: cd {place} && rm .git/index && git reset",
    ),
    _KnownFailure(
        re.compile(r"bad config (?:line|file)|could not parse config|unable to parse .*config"),
        ArchiveError,
        "git-damaged",
        "Git's configuration, in {root} or your own, cannot be read: {last}",
        "correct the file that is named; if the archive has lost its own: cd {place} && rm .git/config && git init",
    ),
    _KnownFailure(
        re.compile(
            r"object file \S+ is empty|(?:loose|packed) object \S+|bad object|unable to read (?:tree|sha1 file)"
            r"|could not parse (?:HEAD|object)|(?:bad|broken) (?:ref|HEAD)|missing (?:blob|tree) object"
            r"|unexpected line in|packed-refs|packfile|pack has|multi-pack-index"
            r"|reference broken|unterminated line in|wrong index v\d file size|unable to unpack|inflate: data stream"
        ),
        ArchiveError,
        "git-damaged",
        "the Git repository in {root} is damaged: {last}",
        "`git -C {place} fsck` names what is lost; `git fetch` from a clone of it brings it back",
    ),
)

_OF_DVC = (
    _KnownFailure(
        re.compile("is busy, it is being blocked|Unable to acquire lock"),
        ArchiveError,
        "busy",
        "another command is running in {root}",
        "wait until `dvc repro` or `daxa run` has ended, then try again",
    ),
    _NOT_YOURS,
    _KnownFailure(
        re.compile(
            r"dvc\.lock' (?:is invalid|format error|validation failed)|unable to read: 'dvc\.lock'"
            r"|dvc\.lock[^\n]* corrupted"
        ),
        ArchiveError,
        "lock-damaged",
        "dvc.lock in {root} is damaged: {last}",
        "git -C {place} checkout -- dvc.lock, then `daxa run`, which does again only what is missing",
    ),
    _KnownFailure(
        re.compile("configuration error|config file error"),
        ConfigError,
        "dvc-config",
        "DVC cannot read its configuration in {root}: {last}",
        "correct .dvc/config or .dvc/config.local; git -C {place} checkout -- .dvc/config restores the first",
    ),
    _KnownFailure(
        re.compile("database disk image is malformed|file is not a database|Could not open pickled"),
        StorageError,
        "dvc-state",
        "DVC's records about {root} are damaged: {last}",
        "remove /var/tmp/dvc (or what DVC_SITE_CACHE_DIR names), which DVC creates again",
    ),
    _FULL,
    _DENIED,
)


def no_git() -> ProgramError:
    """The error for a Git that is not installed, or no longer is."""
    return ProgramError("absent", "the program git cannot be found", remedy="install Git, or correct PATH")


def git_failure(root: Path, output: str) -> DaxaError:
    """The error to raise where Git fails in a work tree with these words."""
    if _NO_REPOSITORY.search(output):
        return not_a_repository(root)
    return _find(_OF_GIT, root, output, error_lines(output, ("fatal:", "error:"))) or ProgramError(
        "git", f"Git failed in {root}: {output}", remedy="read Git's message and try again"
    )


def hook_failure(root: Path, output: str, hooks: Sequence[Path]) -> DaxaError:
    """The error to raise for a commit that failed where these hooks can stop one."""
    known = git_failure(root, output)
    if known.code != "program.git" or not hooks:
        return known
    return ConfigError(
        "git-hook",
        f"the hook {' or '.join(map(str, hooks))} refused the commit in {root}: {output or 'it printed nothing'}",
        remedy="do what the hook asks for, or remove it (see `git config --show-origin core.hooksPath`)",
    )


def dvc_failure(root: Path, output: str) -> DaxaError | None:
    """The error to raise where DVC itself reports a failure that we know; None for others.

    The messages of stages are left out: their own errors are shown above.
    """
    plain = _STYLE.sub("", output)
    begin = _REPORT.search(plain)
    return _find(_OF_DVC, root, plain[begin.start() :], error_lines(plain)) if begin else None


def push_failure(root: Path, remote: str, output: str) -> DaxaError:
    """The error to raise where DVC cannot send data to a remote."""
    known = dvc_failure(root, output)
    # The remote is full or cannot be written, as far as DVC reports.
    if known and not isinstance(known, StorageError):
        return known
    plain = _STYLE.sub("", output)
    found = _TRANSFER.search(plain)
    return StorageError(
        "push-failed",
        f"the remote {remote!r} does not take the data: {found[1] if found else error_lines(plain)}",
        remedy="check its address (`dvc remote list`), room and permissions, and the network; "
        "then run `daxa push` again: what has arrived stays there",
    )


def busy(root: Path) -> DaxaError:
    """The error to raise where DVC is at work."""
    return _OF_DVC[0].error(root, "", "")


def is_informative(line: str) -> bool:
    """Whether a line of DVC's says something, rather than advises what daxa does by itself or does otherwise.

    Nor is it worth a line that nothing was done; what daxa shows afterwards says what is done.

    Examples
    --------
    >>> is_informative("Running stage 'fetch-xmm':"), is_informative("To track the changes with git, run:")
    (True, False)
    >>> is_informative("Stage 'fetch-xmm' didn't change, skipping")
    False
    """
    return not _ADVICE.match(_STYLE.sub("", line))


def error_lines(output: str, marks: tuple[str, ...] = ("ERROR",)) -> str:
    """The lines of an output that say what went wrong."""
    lines = [line.strip() for line in output.splitlines() if is_informative(line)]
    telling = [line for line in lines if line.startswith(marks)]
    return " ".join((telling or lines or ["no message"])[-3:])


def blocking_lock(output: str) -> str:
    """The lock file for which Git fails with these words, '' when it fails for another reason."""
    found = _LOCK.search(output)
    return (found[1] or found[2]) if found else ""


def broken_branch(root: Path, reference: Path, name: str, log: str) -> ArchiveError:
    """The error to raise where the file of the branch that is checked out does not name a commit.

    Parameters
    ----------
    root
        The work tree.
    reference, name
        The branch's file, and the branch as Git names it.
    log
        The history of the branch, as Git keeps it: each line begins with two digests.
    """
    known = re.findall(r"^[0-9a-f]{40} ([0-9a-f]{40}) ", log, re.MULTILINE)
    place = shlex.quote(str(root))
    repair = f"rm {shlex.quote(str(reference))} && git -C {place} update-ref {name} {known[-1]}" if known else ""
    return ArchiveError(
        "git-damaged",
        f"{reference} does not name a commit, as after a power cut",
        remedy=f"restore the last commit of the branch: {repair}"
        if repair
        else f"see `git -C {place} fsck --lost-found`",
    )


def not_a_repository(root: Path) -> ArchiveError:
    """The error to raise where there is no repository, or none that can be read."""
    head = root / ".git" / "HEAD"
    if head.is_file():
        return ArchiveError(
            "git-damaged",
            f"{root / '.git'} is no longer a Git repository: its HEAD or its objects are damaged",
            remedy=f"if HEAD is empty: echo 'ref: refs/heads/main' > {shlex.quote(str(head))}; otherwise clone again",
        )
    return ArchiveError(
        "not-git", f"{root} is not a Git repository", remedy="run this inside an archive made by `daxa init`"
    )


def check_format(root: Path, git_directory: Path, setting: Callable[[str, str, str], object]) -> None:
    """Refuse a repository whose format DVC or daxa cannot work with.

    Parameters
    ----------
    root, git_directory
        The work tree, and its Git directory.
    setting
        Gives a value of the repository's own configuration: section, key, default.

    Raises
    ------
    ArchiveError
        It has SHA-256 digests, or a work tree elsewhere.
    """
    if (digests := str(setting("extensions", "objectformat", "sha1")).lower()) != "sha1":
        raise ArchiveError(
            "object-format",
            f"the Git repository in {root} has {digests} digests, and neither DVC nor daxa can read them",
            remedy="make the archive again with `daxa init`, which asks Git for SHA-1",
        )
    elsewhere = str(setting("core", "worktree", ""))
    if elsewhere and (git_directory / elsewhere).resolve() != root.resolve():
        raise ArchiveError(
            "work-tree",
            f"the Git repository in {root} is configured for the work tree {elsewhere}",
            remedy=f"if the archive is here: git -C {shlex.quote(str(root))} config --unset core.worktree",
        )


def _find(faults: Sequence[_KnownFailure], root: Path, output: str, last: str) -> DaxaError | None:
    found = next((fault for fault in faults if fault.pattern.search(output)), None)
    return found.error(root, output, last) if found else None
