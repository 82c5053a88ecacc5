"""Find an observation's directory on the server, and what is in it."""

from __future__ import annotations

from collections.abc import Sequence

from daxa.errors import DataError
from daxa.fetch.connection import Connection
from daxa.fetch.directories import list_directory
from daxa.fetch.file_choice import literal_prefix
from daxa.fetch.locations import Location
from daxa.missions.spec import MissionSpec

__all__ = ["find_directory", "find_listing_directory", "survey"]

_DEEPEST = 6
_MOST_DIRECTORIES = 500


def survey(connection: Connection, base: str, listings: Sequence[str], extra: Sequence[str] = ()) -> dict[str, int]:
    """The files below a directory on the server.

    Parameters
    ----------
    connection
        To the archive.
    base
        The observation's directory.
    listings
        Sub-directories to read, '' for the directory itself.
    extra
        Where given, all sub-directories that a match may lie in are read as well.

    Returns
    -------
    dict of str to int
        Path relative to `base`, sorted, to the most bytes that it may have (`Entry.most`);
        empty where none of the directories exists.
    """
    prefixes = [literal_prefix(pattern) for pattern in extra]
    waiting = list(dict.fromkeys([*listings, *([""] if extra else [])]))
    seen: set[str] = set()
    files: dict[str, int] = {}
    while waiting:
        directory = waiting.pop(0)
        if directory in seen:
            continue
        seen.add(directory)
        if len(seen) > _MOST_DIRECTORIES:
            raise DataError(
                "too-deep", f"{base} has more than {_MOST_DIRECTORIES} directories", remedy="make fetch.extra narrower"
            )
        for entry in list_directory(connection, f"{base}/{directory}") or ():
            path = f"{directory}/{entry.name}".lstrip("/")
            if not entry.is_dir:
                files[path] = entry.most
            elif path.count("/") < _DEEPEST and any(_leads_to(path + "/", prefix) for prefix in prefixes):
                waiting.append(path)
    return dict(sorted(files.items()))


def _leads_to(directory: str, prefix: str) -> bool:
    return prefix.startswith(directory) or directory.startswith(prefix)


def find_directory(
    connection: Connection, sources: Sequence[Location], spec: MissionSpec, extra: Sequence[str]
) -> tuple[Location, dict[str, int]]:
    """The first directory that holds files, and what is there; nothing where none does but one exists."""
    for source in sources:
        if paths := survey(connection, source.url, spec.listings, extra):
            return source, paths
    for source in sources:
        if list_directory(connection, source.url) is not None:
            return source, {}
    raise DataError(
        "absent",
        f"{sources[-1].url} does not exist: {spec.title} has no such observation in the archive",
        remedy="look it up at the archive, which may have moved or withdrawn it; `daxa run` tries again",
    )


def find_listing_directory(sources: Sequence[Location], connection: Connection, path: str) -> str:
    """The first of the possible directories whose listing shows `path`, else the last one."""
    folder, _, name = path.rpartition("/")
    for source in sources[:-1]:
        if any(entry.name == name for entry in list_directory(connection, f"{source.url}/{folder}") or ()):
            return source.url
    return sources[-1].url
