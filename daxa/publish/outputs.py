"""What DVC keeps of a commit: the outputs that ``dvc.yaml``, ``dvc.lock`` and ``logs.dvc`` name.

These files may come from a stranger's archive: only digests and relative paths are
taken from them, and those are checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from hashlib import md5
from pathlib import PurePosixPath
from typing import Any, Literal

from daxa.errors import DataError

__all__ = ["OBJECT", "directory_digest", "listed_files", "lock_digests", "shared_digests", "tracked_digest"]

OBJECT = re.compile(r"[0-9a-f]{32}(?:\.dir)?")
"""Name of an object of DVC's cache: MD5 of a file, or of the listing of a directory."""


def lock_digests(lock: bytes, kind: Literal["outs", "deps"] = "outs") -> dict[str, str]:
    """Path of every output, or dependency, in a ``dvc.lock`` to its MD5 (``.dir`` behind it for a directory).

    Raises
    ------
    DataError
        The content is no ``dvc.lock``.
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


def listed_files(listing: bytes) -> dict[str, str]:
    """Relative path to MD5, for the files of a directory that DVC keeps.

    Raises
    ------
    DataError
        The content is no listing, or names a path that leads outside.
    """
    try:
        entries = {entry["relpath"]: entry["md5"] for entry in json.loads(listing)}
    except (ValueError, TypeError, KeyError):
        raise _damaged("a directory listing of DVC") from None
    for path, digest in entries.items():
        _check(path, digest, "a directory listing of DVC")
    return entries


def directory_digest(files: dict[str, str]) -> str:
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
    listing = json.dumps([{"md5": files[path], "relpath": path} for path in sorted(files)])
    return f"{md5(listing.encode(), usedforsecurity=False).hexdigest()}.dir"


def _load(content: bytes, name: str) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return _mapping(YAML(typ="safe", pure=True).load(content.decode("utf-8")) or {}, name)
    except (YAMLError, UnicodeDecodeError, RecursionError):
        raise _damaged(name) from None


def _outs(stage: Any, name: str, kind: str = "outs") -> Iterator[tuple[str, str]]:
    outs = _mapping(stage, name).get(kind) or []
    if not isinstance(outs, list):
        raise _damaged(name)
    for out in outs:
        path, digest = _mapping(out, name).get("path"), out.get("md5")
        _check(path, digest, name)
        yield path, digest


def _uncached(pipeline: dict[str, Any]) -> Iterator[str]:
    for stage in _mapping(pipeline.get("stages") or {}, "dvc.yaml").values():
        for kind in ("outs", "metrics", "plots"):
            for out in _mapping(stage, "dvc.yaml").get(kind) or []:
                if isinstance(out, dict):
                    yield from (path for path, flags in out.items() if (flags or {}).get("cache") is False)


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _damaged(name)
    return value


def _check(path: Any, digest: Any, name: str) -> None:
    inside = isinstance(path, str) and path and not PurePosixPath(path).is_absolute()
    if not inside or ".." in PurePosixPath(path).parts or not (isinstance(digest, str) and OBJECT.fullmatch(digest)):
        raise _damaged(name)


def _damaged(name: str) -> DataError:
    return DataError("pipeline-file", f"{name} is not what DVC writes", remedy="restore it: git checkout -- dvc.lock")
