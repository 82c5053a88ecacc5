"""The storage through which an archive shares its data, and its content."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from daxa.archive import dvc
from daxa.archive.dvcconfig import read_settings
from daxa.errors import ConfigError, ProgramError, ServiceError, StorageError

__all__ = [
    "MOST_BYTES",
    "Remote",
    "Storage",
    "find_cache",
    "find_storage",
    "list_objects",
    "object_copy",
    "object_path",
    "read_object",
    "require_remote",
]

_PRIVATE = ("", "file", "ssh")
_UNLISTED = ("http", "https")
_OBJECTS = "files/md5"
_OBJECT_PATH = re.compile(r"([0-9a-f]{2})/([0-9a-f]{30}(?:\.dir)?)")
_LISTED = re.compile(rf"(?:([\d.]+[kMGTPEZ]?)\s+)?{_OBJECT_PATH.pattern}")
_ABSENT = "does not exist"
MOST_BYTES = 1 << 29
"""Most bytes of a listing, which has about 80 per file: six million files."""


@dataclass(frozen=True)
class Remote:
    """A remote of DVC.

    Parameters
    ----------
    name, url
        As known to DVC; the address of a local directory is an absolute path.

    Examples
    --------
    >>> Remote("storage", "s3://bucket/a907").public, Remote("storage", "/data/a907").public
    (True, False)
    """

    name: str
    url: str

    @property
    def public(self) -> bool:
        """Whether others may be able to read it: true except for a directory or an account on a machine."""
        return urlsplit(self.url).scheme.lower() not in _PRIVATE

    @property
    def listed(self) -> bool:
        """Whether its content can be listed: plain HTTP has no listings."""
        return urlsplit(self.url).scheme.lower() not in _UNLISTED

    @property
    def directory(self) -> Path | None:
        """Its directory, None if it is not one on this machine."""
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
        The remote that ``dvc push`` uses, or None.
    paths
        Settings of the remote that are paths, made absolute: key to path.
    """

    cache: Path
    remote: Remote | None
    paths: Mapping[str, str] = field(default_factory=dict)

    def cached(self, digest: str) -> Path:
        """Path of an object in the cache."""
        return Path(self.cached_name(digest))

    def cached_name(self, digest: str) -> str:
        """The same as text, for many objects at once."""
        return f"{self.cache}/{_OBJECTS}/{digest[:2]}/{digest[2:]}"

    def names(self) -> frozenset[str]:
        """Digests of all objects in the cache."""
        base = self.cache / _OBJECTS
        first = [entry.name for entry in os.scandir(base) if len(entry.name) == 2] if base.is_dir() else []
        return frozenset(name + entry.name for name in first for entry in os.scandir(base / name))


def find_storage(root: Path, name: str = "") -> Storage:
    """Cache and remote of an archive, from all levels of DVC's configuration.

    Parameters
    ----------
    root
        The archive.
    name
        Name of a remote other than the default one.

    Raises
    ------
    ConfigError
        There is no remote of this name.
    ProgramError
        DVC cannot read its configuration.
    """
    ended = dvc.run_dvc(root, "config", "--list")
    if ended.code:
        raise ProgramError(
            "dvc",
            f"DVC cannot read its configuration in {root}: {ended.output.strip()[-300:]}",
            remedy="correct .dvc/config; `dvc doctor` shows its configuration",
        )
    settings = dict(line.split("=", 1) for line in ended.stdout.splitlines() if "=" in line)
    known = [key.split(".")[1] for key in settings if key.startswith("remote.") and key.endswith(".url")]
    if name and name.lower() not in known:
        raise ConfigError(
            "remote",
            f"{root} has no remote {name!r}",
            remedy=f"choose from {', '.join(known)}" if known else "name one: `daxa remote add NAME ADDRESS`",
        )
    name = (name or settings.get("core.remote", "")).lower()
    url = settings.get(f"remote.{name}.url", "")
    cache = Path(settings.get("cache.dir") or root / ".dvc" / "cache")
    prefix = f"remote.{name}."
    paths = {key.removeprefix(prefix): value for key, value in settings.items() if key.startswith(prefix)}
    paths = {key: value for key, value in paths.items() if Path(value).is_absolute()}
    return Storage(cache, Remote(name, url) if name and url else None, paths)


def find_cache(root: Path) -> Storage:
    """The cache of an archive, from its own files only: without DVC, and without writing anything."""
    try:
        settings = read_settings((root / ".dvc" / "config.local").read_bytes()) or []
    except OSError:
        settings = []
    named = [value for section, _, key, value in settings if (section, key) == ("cache", "dir")]
    # DVC takes a relative path as one from the directory of the file that says it.
    return Storage(root / ".dvc" / (named[-1] if named else "cache"), None)


def require_remote(root: Path, storage: Storage) -> Remote:
    """The remote of an archive.

    Raises
    ------
    ConfigError
        It has none.
    """
    if storage.remote is None:
        raise ConfigError(
            "no-remote",
            f"{root} has no storage to share its data through",
            remedy="name one: `daxa remote add storage ADDRESS --default`",
        )
    return storage.remote


def list_objects(root: Path, remote: Remote) -> dict[str, tuple[float, float] | None]:
    """Every object on a remote: digest to the limits of its size, None if the listing gives none.

    A directory gives exact sizes; DVC lists other remotes with rounded ones.

    Raises
    ------
    ServiceError, StorageError
        The remote cannot be listed.
    """
    if remote.directory is not None:
        return _scan(remote.directory / _OBJECTS)
    ended = dvc.run_dvc(root, "list-url", "--recursive", "--size", f"remote://{remote.name}/{_OBJECTS}")
    if ended.code and _ABSENT in ended.output:
        return {}
    if ended.code:
        raise ServiceError(
            "listing",
            f"the remote {remote.url} cannot be listed, so its content cannot be verified",
            remedy=f"check address, credentials and network: `dvc list-url remote://{remote.name}` says what is wrong",
        )
    found = (_LISTED.fullmatch(line.strip()) for line in ended.stdout.splitlines())
    return {match[2] + match[3]: _limits(match[1] or "") for match in found if match}


def object_path(remote: Remote, digest: str) -> Path | None:
    """Path of an object on a remote that is a directory; None for other remotes."""
    return remote.directory / _OBJECTS / digest[:2] / digest[2:] if remote.directory is not None else None


@contextmanager
def object_copy(root: Path, remote: Remote, digest: str, place: Path) -> Iterator[Path]:
    """A file with the content of an object on a remote; it is absent if the remote does not have it.

    Parameters
    ----------
    root
        The archive.
    remote, digest
        Which object.
    place
        Directory for a copy, if one is needed.
    """
    if (there := object_path(remote, digest)) is not None:
        yield there
        return
    place.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place) as made:
        target = Path(made) / "object"
        source = f"remote://{remote.name}/{_OBJECTS}/{digest[:2]}/{digest[2:]}"
        dvc.run_dvc(root, "get-url", "--quiet", source, str(target))
        yield target


def read_object(root: Path, remote: Remote, digest: str, place: Path) -> bytes | None:
    """Content of one small object on a remote, such as a listing; None if it is not available, or is too large."""
    with object_copy(root, remote, digest, place) as copy:
        try:
            whole = copy.is_file() and copy.stat().st_size <= MOST_BYTES
            return copy.read_bytes() if whole else None
        except OSError:
            return None


def _limits(size: str) -> tuple[float, float] | None:
    """The range of sizes that DVC writes like this.

    Examples
    --------
    >>> _limits("812"), _limits("1.50k"), _limits("")
    ((812.0, 812.0), (1530.88, 1541.12), None)
    """
    if not size:
        return None
    if size[-1].isdigit():
        return (float(size), float(size))
    unit = 1024.0 ** (1 + "kMGTPEZ".index(size[-1]))
    number, half = float(size[:-1]), 0.5 / 10 ** len(size[:-1].partition(".")[2])
    return (round((number - half) * unit, 6), round((number + half) * unit, 6))


def _scan(directory: Path) -> dict[str, tuple[float, float] | None]:
    found: dict[str, tuple[float, float] | None] = {}
    try:
        for first in os.scandir(directory) if directory.is_dir() else ():
            for entry in os.scandir(first.path) if first.is_dir() else ():
                if _OBJECT_PATH.fullmatch(f"{first.name}/{entry.name}"):
                    # What is not a file counts as present, and is wrong: DVC would wait forever for a pipe.
                    size = float(entry.stat().st_size) if entry.is_file(follow_symlinks=False) else -1.0
                    found[first.name + entry.name] = (size, size)
    except OSError as error:
        raise StorageError(
            "remote", f"{error.filename} cannot be read: {error.strerror}", remedy="check the remote's permissions"
        ) from None
    return found
