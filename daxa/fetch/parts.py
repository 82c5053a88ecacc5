"""Incomplete downloads, and how they are trusted later.

Beside each part is a note of what it is a part of, how much of it is certain, and the
digest of that much.  The note is signed with a secret of this user, so that a part that
came from elsewhere, or was altered, is never continued.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from errno import EDQUOT, ELOOP, EMLINK, ENOSPC, ENOTDIR
from pathlib import Path
from typing import Any, Self

from daxa.errors import StorageError

__all__ = ["Part", "Transfer", "discard_part", "disk_errors", "disk_full", "open_regular", "part_of"]

_KEY_BYTES = 32
_LARGEST_NOTE = 4096
_BLOCK = 1 << 20
# What a kill may cost: as much as arrives in between.
_KEEP_BYTES, _KEEP_SECONDS = 32 << 20, 0.25


@dataclass(frozen=True)
class Transfer:
    """What the server said about a file that is now complete.

    Parameters
    ----------
    url
        Its address.
    size
        Bytes.
    etag, last_modified
        The server's validators, '' where it gives none.
    unchanged
        True where the server confirmed that the copy we know is still current: nothing was downloaded.
    """

    url: str
    size: int
    etag: str = ""
    last_modified: str = ""
    unchanged: bool = False

    @property
    def strong(self) -> bool:
        """Whether its ETag distinguishes bytes."""
        return self.etag.startswith('"')


def part_of(parts: Path, url: str) -> Path:
    """Where the download of an address is kept while it is not whole."""
    return parts / f"{hashlib.sha256(url.encode()).hexdigest()[:40]}.part"


def discard_part(part: Path) -> None:
    """Forget a download that has begun."""
    # A part without its note is never continued, so that the note goes first.
    _note(part).unlink(missing_ok=True)
    _fresh(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def _note(part: Path) -> Path:
    return part.with_suffix(".json")


def _fresh(part: Path) -> Path:
    return part.with_suffix(".new")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn errors of this machine's disk below `path` into `StorageError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (ENOSPC, EDQUOT):
            raise disk_full(path) from error
        if error.errno in (ELOOP, EMLINK, ENOTDIR) and path.parent.is_symlink():
            raise StorageError(
                "link",
                f"{path.parent} is a link, which daxa does not follow",
                remedy="remove the link, or put a directory in its place",
            ) from error
        raise StorageError(
            "unusable",
            f"{error.filename or path} cannot be used: {error.strerror or error}",
            remedy="check the permissions and the disk, or choose another place with DAXA_STORE",
        ) from error


def disk_full(path: Path) -> StorageError:
    """The error for a disk on which nothing more can be put."""
    return StorageError(
        "full", f"there is no space left at {path}", remedy="free some space, then run the same command again"
    )


@contextmanager
def open_regular(path: Path, flags: int = os.O_RDONLY, *, owners: frozenset[int] | None = None) -> Iterator[int]:
    """Open a regular file, neither it nor its directory being a link; gives the descriptor.

    Parameters
    ----------
    path, flags
        As for `os.open`; new files are readable by their owner alone.
    owners
        User ids that the file may belong to; ours by default.

    Raises
    ------
    OSError
        It cannot be opened so.
    """
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # Without O_NONBLOCK, opening a pipe would wait for somebody at its other end.
        safe = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(path.name, flags | safe, 0o600, dir_fd=directory)
    finally:
        os.close(directory)
    try:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode) or seen.st_uid not in (owners or {os.geteuid()}):
            raise PermissionError(1, "it is not a regular file that you own", str(path))
        yield descriptor
    finally:
        os.close(descriptor)


def _key(store: Path) -> bytes:
    """The user's secret, made when it is first needed."""
    place = store.resolve() / f"parts-{os.geteuid()}.key"
    for _ in range(3):
        try:
            with open_regular(place) as descriptor:
                key = os.read(descriptor, _KEY_BYTES + 1)
            if len(key) == _KEY_BYTES:
                return key
            place.unlink()
        except FileNotFoundError:
            pass
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_name(f"{place.name}.{secrets.token_hex(8)}")
        try:
            with open_regular(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as descriptor:
                os.write(descriptor, secrets.token_bytes(_KEY_BYTES))
                os.fsync(descriptor)
            with contextlib.suppress(FileExistsError):
                os.link(fresh, place)
        finally:
            fresh.unlink(missing_ok=True)
    raise PermissionError(1, "it cannot be used", str(place))


class Part:
    """One download in progress.

    Parameters
    ----------
    path
        Where its bytes are.
    url
        What is downloaded.
    store
        The user's store, which holds the secret.

    Attributes
    ----------
    of : Transfer or None
        What the bytes are of; None where nothing can be continued.
    have : int
        Bytes that are there.
    """

    def __init__(self, path: Path, url: str, store: Path) -> None:
        self.path, self.url = path, url
        # Nothing is looked for, or removed, behind a link.
        os.close(os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
        self._key = _key(store)
        self._sha = hashlib.sha256()
        self._file = -1
        self._kept = (0, 0.0)
        self.of: Transfer | None = None
        self.have = 0
        self._load()

    def _load(self) -> None:
        """Trust what is there, if we wrote it and it is unchanged."""
        try:
            with open_regular(_note(self.path)) as descriptor:
                noted = json.loads(os.read(descriptor, _LARGEST_NOTE))
            mac = noted.pop("mac")
            of, have, sha256 = Transfer(**noted["of"]), noted["have"], noted["sha256"]
            if of.url != self.url or not hmac.compare_digest(mac, self._mac(noted)):
                return
            with open_regular(self.path) as descriptor:
                left = have
                while left and (block := os.read(descriptor, min(left, _BLOCK))):
                    self._sha.update(block)
                    left -= len(block)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return
        if not left and self._sha.hexdigest() == sha256:
            self.of, self.have = of, have

    def _mac(self, noted: Mapping[str, Any]) -> str:
        return hmac.new(self._key, json.dumps(noted, sort_keys=True).encode(), "sha256").hexdigest()

    @property
    def lasting(self) -> Transfer | None:
        """What can be continued, since its size is known, and its version can be identified; else None."""
        of = self.of
        return of if of and self.have and of.size and (of.strong or of.last_modified) else None

    def begin(self, of: Transfer) -> Self:
        """Start from nothing, in a new file."""
        discard_part(self.path)
        self.of, self.have, self._sha = of, 0, hashlib.sha256()
        return self._open(os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def resume(self) -> Self:
        """Write behind what is certain."""
        return self._open(os.O_RDWR)

    def _open(self, flags: int) -> Self:
        with open_regular(self.path, flags) as descriptor:
            if os.fstat(descriptor).st_nlink != 1:
                raise PermissionError(1, "it is linked from elsewhere", str(self.path))
            os.ftruncate(descriptor, self.have)
            os.lseek(descriptor, self.have, os.SEEK_SET)
            self._file = os.dup(descriptor)
        self._kept = (self.have, time.monotonic())
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.keep()
        finally:
            os.close(self._file)
            self._file = -1

    def write(self, data: bytes) -> None:
        """Add bytes; now and then they are made certain."""
        view = memoryview(data)
        while view:
            written = os.write(self._file, view)
            self._sha.update(view[:written])
            self.have += written
            view = view[written:]
        size, moment = self._kept
        if self.have - size >= _KEEP_BYTES or time.monotonic() - moment >= _KEEP_SECONDS:
            self.keep()

    def keep(self) -> None:
        """Make certain what has been written, and note it where it can be continued at all."""
        os.fsync(self._file)
        self._kept = (self.have, time.monotonic())
        if not (of := self.lasting):
            return
        noted = {"of": asdict(of), "have": self.have, "sha256": self._sha.hexdigest()}
        fresh = _fresh(self.path)
        fresh.unlink(missing_ok=True)
        with open_regular(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as descriptor:
            os.write(descriptor, json.dumps(noted | {"mac": self._mac(noted)}).encode())
        fresh.replace(_note(self.path))

    def discard(self) -> None:
        """Forget all of it."""
        discard_part(self.path)
        self.of, self.have, self._sha = None, 0, hashlib.sha256()
