"""Add a remote to an archive, after testing it: what is written there must come back.

The test writes one object of a few bytes, always the same, under the name that DVC gives it.  It stays on the
remote, since DVC removes nothing there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from hashlib import md5
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from daxa.archive import dvc, git
from daxa.archive.address import storage_address
from daxa.archive.dvcconfig import check_settings, is_address
from daxa.archive.failures import error_lines
from daxa.archive.layout import Layout
from daxa.errors import ConfigError, StorageError
from daxa.files import replace_file
from daxa.publish.remote import Remote, Storage, find_storage, require_remote
from daxa.publish.workspaces import alone, empty_workspace, pointer

__all__ = ["EXTRAS", "RemoteTrial", "add_remote", "require_extra", "try_remote"]

EXTRAS: Mapping[str, tuple[str, str]] = {
    "ssh": ("ssh", "dvc_ssh"),
    "s3": ("s3", "dvc_s3"),
    "webdav": ("webdav", "dvc_webdav"),
    "webdavs": ("webdav", "dvc_webdav"),
}
"""Kind of storage to daxa's extra for it, and the module that the extra installs."""

_OTHERS = {"azure": "azure", "gdrive": "gdrive", "gs": "gs", "hdfs": "hdfs", "oss": "oss", "webhdfs": "webhdfs"}
"""Kinds for which DVC has its own extras."""

_READ_ONLY = ("http", "https")
_ANONYMOUS = ("s3",)
_NAME = re.compile(r"[A-Za-z0-9][\w-]{0,60}", re.ASCII)
_CONTENT = b"daxa has tried this remote\n"


@dataclass(frozen=True)
class RemoteTrial:
    """The result of testing a remote.

    Parameters
    ----------
    name, url
        The remote.
    written, read
        Whether an object was written, and came back; None if not tested: plain HTTP is read-only.
    anonymous
        Whether it can be read without an account; None if not tested.
    """

    name: str
    url: str
    written: bool | None
    read: bool | None
    anonymous: bool | None

    def as_dict(self) -> dict[str, object]:
        """The record as plain values, ready for JSON."""
        return asdict(self)


def require_extra(url: str) -> None:
    """Make sure that the package that DVC needs for a kind of storage is installed.

    Raises
    ------
    ConfigError
        It is not; the remedy says what to install.

    Examples
    --------
    >>> require_extra("/data/storage")
    """
    scheme = urlsplit(url).scheme.lower() if "://" in url else ""
    extra, module = EXTRAS.get(scheme, ("", ""))
    missing = f'pip install "daxa-archive[{extra}]"'
    if not module and scheme in _OTHERS:
        module, missing = f"dvc_{_OTHERS[scheme]}", f'pip install "dvc[{_OTHERS[scheme]}]"'
    if module and find_spec(module) is None:
        raise ConfigError("extra", f"DVC cannot use {scheme}:// without another package", remedy=missing)


def add_remote(layout: Layout, name: str, url: str, *, default: bool = False, attempt: bool = True) -> RemoteTrial:
    """Add a remote, test it, and commit ``.dvc/config``; if the test fails, nothing is changed.

    Parameters
    ----------
    layout
        The archive.
    name, url
        Those of the remote; a path is relative to the current directory.
    default
        Make it the one that push and pull use; the first remote always is.
    attempt
        False to skip the test, if an account must be configured first.

    Raises
    ------
    ConfigError
        Name or address cannot be used, the name is taken, or DVC needs another package for it.
    StorageError
        An object cannot be written to the remote, or cannot be read back.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "remote", f"{name[:100]!r} cannot be the name of a remote", remedy="use letters, digits, _ and -"
        )
    address = storage_address(url, layout.root)
    require_extra(address)
    if not address or not is_address(address):
        raise ConfigError(
            "remote", f"{url[:200]!r} cannot be the address of a remote", remedy="such as ssh://host/path"
        )
    before = find_storage(layout.root)
    with _restored(layout):
        # DVC takes a path as one from the current directory, which is the archive's.
        given = str((layout.root / ".dvc" / address).resolve()) if "://" not in address else address
        options = ["--default"] if default or before.remote is None else []
        for arguments in (["add", *options, name, given], ["modify", name, "verify", "true"]):
            ended = dvc.run_dvc(layout.root, "remote", *arguments)
            if ended.code:
                raise ConfigError(
                    "remote",
                    f"DVC cannot add {name}: {_reason(ended.output)}",
                    remedy="choose another name, or remove that remote: `dvc remote remove`",
                )
        config = layout.root / ".dvc" / "config"
        for what in check_settings(config.read_bytes()):
            raise ConfigError("remote", f".dvc/config {what}", remedy="use another address")
        trial = try_remote(layout, name) if attempt else RemoteTrial(name.lower(), url, None, None, None)
        git.commit(layout.root, [".dvc/config"], f"Add the remote {name}")
    return trial


@contextmanager
def _restored(layout: Layout) -> Iterator[None]:
    """Restore ``.dvc/config`` if something fails."""
    path = layout.root / ".dvc" / "config"
    content = path.read_bytes()
    try:
        yield
    except BaseException:
        replace_file(path, content)
        raise


def try_remote(layout: Layout, name: str = "") -> RemoteTrial:
    """Write a small object to a remote and read it back, with the account and, if possible, without.

    Parameters
    ----------
    layout
        The archive.
    name
        The remote; by default the default one.

    Raises
    ------
    ConfigError
        There is no such remote, or DVC needs another package for it.
    StorageError
        The object cannot be written to the remote, or cannot be read back.
    """
    storage = find_storage(layout.root, name)
    remote = require_remote(layout.root, storage)
    scheme = urlsplit(remote.url).scheme.lower() if "://" in remote.url else ""
    require_extra(remote.url)
    if scheme in _READ_ONLY:
        return RemoteTrial(remote.name, remote.url, None, None, None)
    with alone(layout):
        with empty_workspace(layout, storage, remote) as (place, own):
            digest = md5(_CONTENT, usedforsecurity=False).hexdigest()
            own.cached(digest).parent.mkdir(parents=True)
            own.cached(digest).write_bytes(_CONTENT)
            target = pointer(place, [digest])
            ended = dvc.run_dvc(place, "push", "--remote", remote.name, target)
            if ended.code:
                raise StorageError(
                    "remote-write",
                    f"nothing can be written to {remote.url}: {_reason(ended.output)}",
                    remedy=f"check address, permissions and account (`dvc remote modify --local {remote.name} ...`)",
                )
            if not _can_be_read(place, own, remote, digest, target):
                raise StorageError(
                    "remote-read",
                    f"an object was written to {remote.url} but cannot be read back",
                    remedy="check the permission to read and to list",
                )
        anonymous = None
        if scheme in _ANONYMOUS:
            with empty_workspace(layout, replace(storage), remote) as (place, own):
                target = pointer(place, [digest])
                dvc.run_dvc(place, "remote", "modify", "--local", remote.name, "allow_anonymous_login", "true")
                anonymous = _can_be_read(place, own, remote, digest, target)
    return RemoteTrial(remote.name, remote.url, True, True, anonymous)


def _reason(output: str) -> str:
    """What DVC says of a failure, without its own advice."""
    return error_lines(output).removeprefix("ERROR: ").removeprefix("unexpected error - ").strip()[-300:]


def _can_be_read(place: Path, own: Storage, remote: Remote, digest: str, target: str) -> bool:
    with suppress(FileNotFoundError):
        own.cached(digest).unlink()
    dvc.fetch(place, remote.name, [target])
    try:
        return own.cached(digest).read_bytes() == _CONTENT
    except OSError:
        return False
