"""What DVC keeps of a commit: the outputs named in ``dvc.yaml``, ``dvc.lock`` and ``logs.dvc``.

These files may come from a stranger's archive: only digests and relative paths are
taken from them, and those are checked.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import md5
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Literal, TypeGuard

from daxa.errors import DataError

__all__ = [
    "OBJECT",
    "LockedStage",
    "directory_digest",
    "directory_listing",
    "listed_files",
    "lock_digests",
    "locked_stages",
    "needed_objects",
    "needs_of_stages",
    "shared_digests",
    "tracked_digest",
]

OBJECT = re.compile(r"[0-9a-f]{32}(?:\.dir)?")
"""Name of an object in DVC's cache: MD5 of a file, or of the listing of a directory."""

_FILE = re.compile(r"[0-9a-f]{32}")
_PLAIN = re.compile(r"(?:[\w+-][\w.+-]*/)*[\w+-][\w.+-]*\.(?:fits(?:\.gz)?|json|png|parquet|reg|log|html)", re.ASCII)
"""Usual names of products, which need no further checks."""

_LONGEST_NAME, _LONGEST_PATH = 255, 1024
"""Bytes that file systems allow in a name, and in a path, with room for the archive's own path."""

_STRANGE = re.compile(r"[\x00-\x1f\x7f\\]")
_FIELDS = {"path", "hash", "md5", "size", "nfiles", "isexec"}
"""What DVC writes about an output that it keeps by its digest; a list of files would lead it elsewhere."""


@dataclass(frozen=True)
class LockedStage:
    """What ``dvc.lock`` says that a stage was run with.

    Parameters
    ----------
    deps
        Path to MD5 of the files that it read.
    params
        File of parameters to key, with dots between its levels, to value.
    """

    deps: Mapping[str, str]
    params: Mapping[str, Mapping[str, Any]]


def locked_stages(lock: bytes) -> dict[str, LockedStage]:
    """Name of every stage in a ``dvc.lock`` to what it was run with.

    Raises
    ------
    DataError
        The content is not a valid ``dvc.lock``.
    """
    stages = _mapping(_load(lock, "dvc.lock").get("stages") or {}, "dvc.lock")
    found = {}
    for name, stage in stages.items():
        params = _mapping(_mapping(stage, "dvc.lock").get("params") or {}, "dvc.lock")
        values = {str(path): _mapping(one, "dvc.lock") for path, one in params.items()}
        found[str(name)] = LockedStage(dict(_outs(stage, "dvc.lock", "deps")), values)
    return found


def needs_of_stages(pipeline: bytes) -> dict[str, tuple[list[str], dict[str, list[str]]]]:
    """Name of every stage in a ``dvc.yaml`` to the files that it reads, and file to keys of its parameters.

    Raises
    ------
    DataError
        The content is not what daxa renders.
    """
    found = {}
    for name, stage in _mapping(_load(pipeline, "dvc.yaml").get("stages") or {}, "dvc.yaml").items():
        params: dict[str, list[str]] = {}
        for one in _texts_or_mappings(stage, "params", dict):
            for path, keys in one.items():
                if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
                    raise _damaged("dvc.yaml")
                params[str(path)] = keys
        found[str(name)] = (_texts_or_mappings(stage, "deps", str), params)
    return found


def _texts_or_mappings(stage: object, kind: str, of: type) -> list[Any]:
    items = _mapping(stage, "dvc.yaml").get(kind) or []
    if not isinstance(items, list) or not all(isinstance(item, of) for item in items):
        raise _damaged("dvc.yaml")
    return items


def lock_digests(lock: bytes, kind: Literal["outs", "deps"] = "outs") -> dict[str, str]:
    """Path of every output, or dependency, in a ``dvc.lock`` to its MD5 (followed by ``.dir`` for a directory).

    Raises
    ------
    DataError
        The content is not a valid ``dvc.lock``.
    """
    stages = _mapping(_load(lock, "dvc.lock").get("stages") or {}, "dvc.lock")
    return {path: digest for stage in stages.values() for path, digest in _outs(stage, "dvc.lock", kind)}


def shared_digests(pipeline: bytes, lock: bytes, logs: bytes | None) -> dict[str, str]:
    """The outputs whose data the remote must hold: path to MD5.

    Parameters
    ----------
    pipeline, lock
        Content of ``dvc.yaml`` and ``dvc.lock``; outputs that Git keeps (``cache: false``) are left out.
    logs
        Content of ``logs.dvc``, None without one.
    """
    recorded = lock_digests(lock)
    uncached = set(_uncached(_load(pipeline, "dvc.yaml")))
    shared = {path: digest for path, digest in recorded.items() if path not in uncached}
    return shared | (dict(_outs(_load(logs, "logs.dvc"), "logs.dvc")) if logs else {})


def tracked_digest(pointer: bytes) -> str:
    """The MD5 that a ``*.dvc`` file names."""
    found = [digest for _, digest in _outs(_load(pointer, "logs.dvc"), "logs.dvc")]
    if len(found) != 1:
        raise _damaged("logs.dvc")
    return found[0]


def needed_objects(
    pipeline: bytes, lock: bytes, logs: bytes | None, find_listing: Callable[[str, str], bytes]
) -> dict[str, list[str]]:
    """Every object that a commit needs: its digest to its paths in the archive.

    Parameters
    ----------
    pipeline, lock, logs
        As for `shared_digests`.
    find_listing
        Gives the listing of a directory, by its digest and path.

    Raises
    ------
    DataError
        One of the files, or a listing, is not what DVC writes.
    """
    needed: dict[str, list[str]] = {}
    for path, digest in shared_digests(pipeline, lock, logs).items():
        needed.setdefault(digest, []).append(path)
        if digest.endswith(".dir"):
            for relative, one in listed_files(find_listing(digest, path), path).items():
                needed.setdefault(one, []).append(f"{path}/{relative}")
    return needed


@lru_cache(maxsize=64)
def listed_files(listing: bytes, name: str = "a directory") -> Mapping[str, str]:
    """Relative path to MD5, for the files of a directory that DVC keeps.

    Parameters
    ----------
    listing
        Content of the object.
    name
        The directory, for messages.

    Raises
    ------
    DataError
        The content is not a listing, or it names a path twice, or one that leads outside.
    """
    try:
        entries = [(entry["relpath"], entry["md5"], len(entry)) for entry in json.loads(listing)]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise _unlisted(name, "is not what DVC writes") from None
    files: dict[str, str] = {}
    for path, digest, fields in entries:
        if not isinstance(digest, str) or not _FILE.fullmatch(digest) or fields != 2:
            raise _unlisted(name, f"contains an entry that is not DVC's: {str(path)[:80]!r}")
        if not isinstance(path, str) or not (_PLAIN.fullmatch(path) or _is_below(path)):
            raise _unlisted(name, f"contains a path that no product may have: {str(path)[:80]!r}")
        if len(path) > _LONGEST_NAME // 4 and _is_long(path):
            raise _unlisted(name, f"contains a name that is longer than file systems allow: {path[:80]!r}...")
        if path in files:
            raise _unlisted(name, f"names {path!r} twice")
        files[path] = digest
    directories = {path.rpartition("/")[0] for path in files}
    above = {"/".join(parts[:depth]) for parts in (one.split("/") for one in directories) for depth in _depths(parts)}
    if covered := sorted(above & files.keys()):
        raise _unlisted(name, f"names {covered[0]!r} as a file and as a directory")
    return MappingProxyType(files)


def _is_below(path: str) -> bool:
    """Whether a path stays below its directory, is in normal form, and is not a path of Git or DVC."""
    parts = path.split("/")
    plain = all(part not in ("", ".", "..") and part.lower() not in (".git", ".dvc") for part in parts)
    acts = parts[-1].lower() in ("dvc.yaml", "dvc.lock", ".dvcignore") or parts[-1].lower().endswith(".dvc")
    return plain and not acts and not _STRANGE.search(path)


def _is_long(path: str) -> bool:
    names = [len(os.fsencode(name)) for name in path.split("/")]
    return max(names) > _LONGEST_NAME or sum(names) > _LONGEST_PATH


def _depths(parts: Sequence[str]) -> range:
    return range(1, len(parts) + 1)


def _unlisted(name: str, what: str) -> DataError:
    return DataError(
        "listing",
        f"the listing of {name} {what}",
        remedy="do not use `dvc pull` on it; ask the author of the archive for an intact release",
    )


def directory_listing(files: Mapping[str, str]) -> bytes:
    """The listing that DVC keeps of a directory (relative path to MD5)."""
    return json.dumps([{"md5": files[path], "relpath": path} for path in sorted(files)]).encode()


def directory_digest(files: Mapping[str, str]) -> str:
    """The digest under which DVC keeps a directory: MD5 of its listing, with ``.dir``.

    Parameters
    ----------
    files
        Relative path to MD5.

    Examples
    --------
    >>> directory_digest({"b": "26ab0db90d72e28ad0ba1e22ee510510", "a": "b026324c6904b2a9cb4b88d6d61c81d1"})
    'c37f8bc8917fdf64a45bb6010380cdab.dir'
    """
    return f"{md5(directory_listing(files), usedforsecurity=False).hexdigest()}.dir"


@lru_cache(maxsize=32)
def _load(content: bytes, name: str) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return _mapping(YAML(typ="safe", pure=True).load(content.decode("utf-8")) or {}, name)
    except (YAMLError, UnicodeDecodeError, RecursionError):
        raise _damaged(name) from None


def _outs(stage: object, name: str, kind: str = "outs") -> Iterator[tuple[str, str]]:
    outs = _mapping(stage, name).get(kind) or []
    if not isinstance(outs, list):
        raise _damaged(name)
    for out in outs:
        fields = _mapping(out, name)
        path, digest = fields.get("path"), fields.get("md5")
        if not (_is_inside(path) and _is_object(digest) and fields.keys() <= _FIELDS):
            raise _damaged(name)
        yield path, digest


def _uncached(pipeline: dict[str, Any]) -> Iterator[str]:
    for stage in _mapping(pipeline.get("stages") or {}, "dvc.yaml").values():
        for kind in ("outs", "metrics", "plots"):
            for out in _mapping(stage, "dvc.yaml").get(kind) or []:
                if isinstance(out, dict):
                    yield from (path for path, flags in out.items() if (flags or {}).get("cache") is False)


def _mapping(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _damaged(name)
    return value


def _is_inside(path: object) -> TypeGuard[str]:
    if not isinstance(path, str) or not path:
        return False
    return not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts


def _is_object(digest: object) -> TypeGuard[str]:
    return isinstance(digest, str) and bool(OBJECT.fullmatch(digest))


def _damaged(name: str) -> DataError:
    return DataError("pipeline-file", f"{name} is not what DVC writes", remedy="restore it: git checkout -- dvc.lock")
