"""What a commit, or the work tree, needs from DVC: objects by digest, with listings that are verified before use."""

from __future__ import annotations

from hashlib import md5

from daxa.archive import git
from daxa.archive.layout import Layout
from daxa.errors import DataError, ReleaseError
from daxa.files import read_plain
from daxa.publish.dvc_outputs import directory_digest, directory_listing, needed_objects
from daxa.publish.file_check import digest_directory
from daxa.publish.remote import MOST_BYTES, Remote, Storage, read_object

__all__ = ["LAST", "find_listing", "how_to_restore", "needed_at", "needed_here"]

_LOGS = "logs.dvc"

LAST = "the last commit"
"""The name of a revision that is not a release."""


def how_to_restore(name: str) -> str:
    """What to do if neither this machine nor the remote has the data of a release, or of the last commit."""
    made = "it" if name == LAST else name
    again = "`daxa run` here" if name == LAST else f"`git checkout {name}` and `daxa run` here"
    return f"run `daxa push` on the machine that made {made}, or `daxa pull` from another remote; else {again}"


def needed_at(layout: Layout, revision: str, storage: Storage, remote: Remote | None) -> dict[str, list[str]]:
    """Every object that a release, or the last commit (''), needs: digest to its paths in the archive.

    Raises
    ------
    DataError
        A file of the commit, or a listing, is not what DVC writes.
    ReleaseError
        A listing cannot be found.
    """
    commit = git.commit_of(layout.root, revision or "HEAD")
    names = (layout.pipeline.name, layout.lock.name, _LOGS)
    pipeline, lock, logs = (git.read_file(layout.root, commit, name) for name in names)
    return _needed(layout, (pipeline, lock, logs), revision or LAST, storage, remote)


def needed_here(layout: Layout, storage: Storage, *, logs: bool) -> dict[str, list[str]]:
    """Every object that the files in the work tree name: digest to its paths in the archive.

    Parameters
    ----------
    layout, storage
        The archive, and its cache.
    logs
        True for only the logs, False for everything else.
    """
    paths = (layout.root / _LOGS,) if logs else (layout.pipeline, layout.lock)
    content = [path.read_bytes() if path.is_file() else None for path in paths]
    files = (None, None, content[0]) if logs else (content[0], content[1], None)
    return _needed(layout, files, "the work tree", storage, None)


def _needed(
    layout: Layout,
    files: tuple[bytes | None, bytes | None, bytes | None],
    name: str,
    storage: Storage,
    remote: Remote | None,
) -> dict[str, list[str]]:
    def find(digest: str, path: str) -> bytes:
        if (content := find_listing(layout, digest, path, storage, remote)) is not None:
            return content
        where = f"neither in DVC's cache here nor on {remote.url}" if remote else "not in DVC's cache here"
        if remote and remote.directory is not None and not remote.directory.is_dir():
            where += " (there is no such directory on this machine)"
        raise ReleaseError(
            "data-lost",
            f"the listing {digest} of {path} in {name} is {where}, or is damaged there",
            remedy=how_to_restore(name) if remote else "run `daxa pull`, or `dvc commit`",
        )

    pipeline, lock, logs = files
    return needed_objects(pipeline or b"", lock or b"", logs, find)


def find_listing(layout: Layout, digest: str, path: str, storage: Storage, remote: Remote | None) -> bytes | None:
    """The listing of a directory: from the cache, the remote or the work tree, whichever has it intact first.

    The work tree comes last, since the whole directory must be read for it.
    """
    try:
        content = read_plain(storage.cached(digest), limit=MOST_BYTES)
    except (OSError, DataError):
        content = b""
    if _is_listing(content, digest):
        return content
    there = read_object(layout.root, remote, digest, layout.private / "objects") if remote else None
    if there is not None and _is_listing(there, digest):
        return there
    files = digest_directory(layout.root / path)
    return directory_listing(files) if directory_digest(files) == digest else None


def _is_listing(content: bytes, digest: str) -> bool:
    return f"{md5(content, usedforsecurity=False).hexdigest()}.dir" == digest
