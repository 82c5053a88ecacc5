"""The storage that an archive shares its data through, and what it holds."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from daxa.archive import dvc
from daxa.errors import ProgramError, ServiceError, StorageError

__all__ = ["Remote", "Storage", "find_storage", "list_objects", "read_object"]

_PRIVATE = ("", "file", "ssh")
_OBJECTS = "files/md5"
_OBJECT_PATH = re.compile(r"([0-9a-f]{2})/([0-9a-f]{30}(?:\.dir)?)")
_ABSENT = "does not exist"


@dataclass(frozen=True)
class Remote:
    """A remote of DVC.

    Parameters
    ----------
    name, url
        As DVC knows it; the address of a local directory is an absolute path.

    Examples
    --------
    >>> Remote("storage", "s3://bucket/a907").public, Remote("storage", "/data/a907").public
    (True, False)
    """

    name: str
    url: str

    @property
    def public(self) -> bool:
        """Whether others may be able to read it: anything but a directory or an account on a machine."""
        return urlsplit(self.url).scheme.lower() not in _PRIVATE

    @property
    def directory(self) -> Path | None:
        """The directory that it is, None when it is none on this machine."""
        scheme = urlsplit(self.url).scheme
        if scheme == "file":
            return Path(unquote(urlsplit(self.url).path))
        return None if scheme else Path(self.url)


@dataclass(frozen=True)
class Storage:
    """Where the data of an archive are kept.

    Parameters
    ----------
    cache
        DVC's cache on this machine, which several archives may share.
    remote
        The remote that ``dvc push`` uses; None without one.
    paths
        Settings of the remote that are paths, made absolute: key to path.
    """

    cache: Path
    remote: Remote | None
    paths: Mapping[str, str] = field(default_factory=dict)

    def cached(self, digest: str) -> Path:
        """Where the cache keeps an object."""
        return self.cache / _OBJECTS / digest[:2] / digest[2:]


def find_storage(root: Path) -> Storage:
    """Cache and remote of an archive, from all levels of DVC's configuration.

    Raises
    ------
    ProgramError
        DVC cannot read its configuration.
    """
    ended = dvc.run_dvc(root, "config", "--list")
    if ended.code:
        raise ProgramError(
            "dvc",
            f"DVC cannot read its configuration in {root}: {ended.output.strip()[-300:]}",
            remedy="correct .dvc/config; `dvc doctor` shows its set-up",
        )
    settings = dict(line.split("=", 1) for line in ended.stdout.splitlines() if "=" in line)
    name = settings.get("core.remote", "").lower()
    url = settings.get(f"remote.{name}.url", "")
    cache = Path(settings.get("cache.dir") or root / ".dvc" / "cache")
    prefix = f"remote.{name}."
    paths = {key.removeprefix(prefix): value for key, value in settings.items() if key.startswith(prefix)}
    paths = {key: value for key, value in paths.items() if Path(value).is_absolute()}
    return Storage(cache, Remote(name, url) if name and url else None, paths)


def list_objects(root: Path, remote: Remote) -> dict[str, int | None]:
    """Every object that a remote holds: digest to size, None where the listing gives none.

    Raises
    ------
    ServiceError, StorageError
        The remote cannot be listed.
    """
    if remote.directory is not None:
        return _scan(remote.directory / _OBJECTS)
    ended = dvc.run_dvc(root, "list-url", "--recursive", f"remote://{remote.name}/{_OBJECTS}")
    if ended.code and _ABSENT in ended.output:
        return {}
    if ended.code:
        raise ServiceError(
            "listing",
            f"the remote {remote.url} cannot be listed, so that nothing proves what it holds",
            remedy=f"check address, credentials and network: `dvc list-url remote://{remote.name}` says what is wrong",
        )
    found = (_OBJECT_PATH.fullmatch(line.strip()) for line in ended.stdout.splitlines())
    return {match[1] + match[2]: None for match in found if match}


def read_object(root: Path, remote: Remote, digest: str) -> bytes | None:
    """Content of one object of a remote, None when it cannot be had."""
    path = f"{digest[:2]}/{digest[2:]}"
    try:
        if remote.directory is not None:
            return (remote.directory / _OBJECTS / path).read_bytes()
        with TemporaryDirectory(prefix="daxa-") as place:
            target = Path(place) / "object"
            dvc.run_dvc(root, "get-url", "--quiet", f"remote://{remote.name}/{_OBJECTS}/{path}", str(target))
            return target.read_bytes()
    except FileNotFoundError:
        return None


def _scan(directory: Path) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    try:
        for first in os.scandir(directory) if directory.is_dir() else ():
            for entry in os.scandir(first.path) if first.is_dir() else ():
                if _OBJECT_PATH.fullmatch(f"{first.name}/{entry.name}") and entry.is_file():
                    found[first.name + entry.name] = entry.stat().st_size
    except OSError as error:
        raise StorageError(
            "remote", f"{error.filename} cannot be read: {error.strerror}", remedy="check the remote's permissions"
        ) from None
    return found
