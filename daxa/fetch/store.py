"""Fetched files, once, by digest: shared by all archives of a user, never changed in place.

``sha256/ab/abcd...`` holds contents, read-only.  ``origins/`` remembers from which address a
content came, so that a server need only confirm that it is current.  Every use reads the
content again: same size and times prove nothing about bytes.  Content that does not match its name
goes to ``damaged/``.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from daxa.errors import DataError, StorageError
from daxa.fetch.parts import Transfer, disk_errors, open_regular

__all__ = ["ContentOrigin", "Store", "digest_file"]

_BLOCK = 1 << 20
_LARGEST_NOTE = 16 << 10
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NO_LINK = {
    errno.EXDEV,
    errno.EPERM,
    errno.EACCES,
    errno.EMLINK,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
}


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 lower-case hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class ContentOrigin:
    """Where a content of the store came from.

    Parameters
    ----------
    transfer
        Address, size and validators, as the server gave them.
    sha256
        Digest of the content.
    retrieved
        When it arrived: UTC, ISO 8601 to the second.
    """

    transfer: Transfer
    sha256: str
    retrieved: str


@dataclass(frozen=True)
class Store:
    """The store at `root`; several processes may use it at once.

    Examples
    --------
    >>> Store(Path("store")).path("ab" * 32).parent.as_posix()
    'store/sha256/ab'
    """

    root: Path

    def path(self, sha256: str) -> Path:
        """Where the content with this digest is kept.

        Raises
        ------
        DataError
            The text is not a digest.
        """
        if not _DIGEST.fullmatch(sha256):
            raise DataError("digest", f"{sha256!r} is not a SHA-256 digest", remedy="check the ledger it comes from")
        return self.root / "sha256" / sha256[:2] / sha256

    def add(self, path: Path) -> str:
        """Move a file into the store.

        Parameters
        ----------
        path
            A whole file; it is gone afterwards.

        Returns
        -------
        str
            Its digest.

        Raises
        ------
        StorageError
            The disk is full or cannot be written.
        """
        with disk_errors(self.root):
            sha256 = digest_file(path)
            place = self.path(sha256)
            self._check_places()
            place.parent.mkdir(parents=True, exist_ok=True)
            if self.check(sha256):
                path.unlink()
                return sha256
            path.chmod(0o444)
            try:
                path.replace(place)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                with open_regular(path) as descriptor:
                    _copy(descriptor, place, sha256)
                path.unlink()
            _sync_directory(place.parent)
        return sha256

    def _check_places(self) -> None:
        """Refuse a store part of which is elsewhere; the place of the store as a whole is the user's choice."""
        for name in ("sha256", "origins", "damaged"):
            if (self.root / name).is_symlink():
                raise StorageError(
                    "link",
                    f"{self.root / name} is a link, which daxa does not follow",
                    remedy="remove the link, or set DAXA_STORE to the directory that it leads to",
                )

    @contextmanager
    def _open(self, sha256: str) -> Iterator[int]:
        """Open a content: a regular file that belongs to this user or to the owner of the store."""
        self._check_places()
        owners = frozenset({os.geteuid(), self.root.stat().st_uid})
        with open_regular(self.path(sha256), owners=owners) as descriptor:
            yield descriptor

    def check(self, sha256: str) -> bool:
        """True if the content is there and intact; anything else in its place is set aside."""
        place = self.path(sha256)
        with disk_errors(place):
            try:
                with self._open(sha256) as descriptor:
                    seen = os.fstat(descriptor)
                    if _digest(descriptor) == sha256:
                        return True
                # Another process may have put a good one in its place meanwhile.
                if place.lstat().st_ino == seen.st_ino:
                    self._set_aside(place)
            except FileNotFoundError:
                pass
            except OSError:
                # A link, a device, or somebody else's.
                self._set_aside(place)
            return False

    def _set_aside(self, place: Path) -> None:
        aside = self.root / "damaged"
        aside.mkdir(exist_ok=True)
        place.replace(aside / place.name)

    def link(self, sha256: str, target: Path) -> bool:
        """Make `target` the content with this digest: a hard link, or a copy where links are not possible.

        A content that belongs to another user is copied: that user could change what a link leads to.

        Returns
        -------
        bool
            False where the store does not have it, or no longer: nothing was done.

        Raises
        ------
        StorageError
            The disk is full or cannot be written.
        """
        if not self.check(sha256):
            return False
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            try:
                with self._open(sha256) as descriptor:
                    if os.fstat(descriptor).st_uid != os.geteuid() or not _linked(self.path(sha256), target):
                        _copy(descriptor, target, sha256)
            except FileNotFoundError:
                return False
        return True

    def remember(self, origin: ContentOrigin) -> None:
        """Write down where a content came from."""
        place = self._origin(origin.transfer.url)
        with disk_errors(place):
            self._check_places()
            place.parent.mkdir(parents=True, exist_ok=True)
            fresh = _beside(place)
            fresh.write_text(json.dumps(asdict(origin), sort_keys=True), encoding="utf-8")
            fresh.replace(place)

    def recall(self, url: str) -> ContentOrigin | None:
        """What came from this address last, None where that is not known."""
        try:
            with open_regular(self._origin(url)) as descriptor:
                noted = json.loads(os.read(descriptor, _LARGEST_NOTE))
            recorded = noted["transfer"]
            texts = [recorded["url"], recorded["etag"], recorded["last_modified"], noted["sha256"], noted["retrieved"]]
            transfer = Transfer(recorded["url"], int(recorded["size"]), recorded["etag"], recorded["last_modified"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        sound = all(isinstance(text, str) and text.isascii() and text.isprintable() for text in texts)
        if not sound or transfer.url != url or not _DIGEST.fullmatch(noted["sha256"]):
            return None
        return ContentOrigin(transfer, noted["sha256"], noted["retrieved"])

    def _origin(self, url: str) -> Path:
        key = hashlib.sha256(url.encode()).hexdigest()
        return self.root / "origins" / key[:2] / f"{key}.json"


def _beside(place: Path) -> Path:
    return place.with_name(f".{place.name[:64]}.{secrets.token_hex(8)}")


def _digest(descriptor: int) -> str:
    sha256 = hashlib.sha256()
    while block := os.read(descriptor, _BLOCK):
        sha256.update(block)
    return sha256.hexdigest()


def _linked(source: Path, target: Path) -> bool:
    """Make a hard link; False where that is not possible."""
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return False
    return True


def _copy(descriptor: int, target: Path, expected: str) -> None:
    """Copy an open file so that `target` appears whole, with the expected digest, or not at all; read-only."""
    fresh, sha256 = _beside(target), hashlib.sha256()
    try:
        with fresh.open("xb") as writing:
            while block := os.read(descriptor, _BLOCK):
                sha256.update(block)
                writing.write(block)
            writing.flush()
            os.fsync(writing.fileno())
        if sha256.hexdigest() != expected:
            raise FileNotFoundError(errno.ENOENT, "it was changed while it was copied", str(target))
        fresh.chmod(0o444)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    # Some file systems cannot sync a directory; the rename is then as durable as they make it.
    with contextlib.suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
