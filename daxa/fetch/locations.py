"""Where the directory of an observation is on a mirror: as DataLink says, else as the mission declares it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from daxa.errors import DataError, ServiceError
from daxa.fetch.connection import Connection, RetryPolicy, read_text
from daxa.fetch.listing import safe_name
from daxa.fetch.mirrors import is_down
from daxa.missions.spec import MissionSpec
from daxa.votables import PARSE_ERRORS, parse_votable

__all__ = ["Location", "ObservationRef", "directories_from_datalink", "directory_urls", "rebase"]

_ROW_ID = re.compile(r"[0-9A-Za-z_.-]{1,64}", re.ASCII)
_LIMIT = 4 << 20
_MOST_LINKS = 1000


@dataclass(frozen=True)
class ObservationRef:
    """An observation, with everything needed to find its directory.

    Parameters
    ----------
    spec, obs_id
        The observation.
    row_id
        The row's ``__row`` in the mission's table, for DataLink; '' where it is not known.
    row
        What the declared directory needs beside the ObsID, as for `MissionSpec.directory_of`.
    """

    spec: MissionSpec
    obs_id: str
    row_id: str = ""
    row: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Location:
    """The address of an observation's directory.

    Parameters
    ----------
    url
        Without a slash at the end.
    how
        ``datalink`` or ``template``.
    """

    url: str
    how: str


def directory_urls(connection: Connection, sought: ObservationRef) -> tuple[Location, ...]:
    """Addresses on the mirror at which the observation may be, the best first.

    Returns
    -------
    tuple of Location
        DataLink's answer where there is one that fits, then the declared place.

    Raises
    ------
    DataError
        ``data.no-directory``: no place is declared, or neither the row nor DataLink says where it is.
    """
    mirror = connection.mirror
    declared, reason = "", _undeclared(sought)
    try:
        declared = sought.spec.directory_of(sought.obs_id, sought.row, layout=mirror.layout)
    except DataError as unknown:
        reason = unknown
    ends_with = declared.rpartition("/")[2] or sought.obs_id
    linked = _linked(connection, sought, ends_with) if _ROW_ID.fullmatch(sought.row_id) else None
    if not declared:
        if linked is None:
            raise reason
        return (linked,)
    place = Location(f"{mirror.root}/{declared}", "template")
    return (place,) if linked is None else (linked,) if linked.url == place.url else (linked, place)


def _undeclared(sought: ObservationRef) -> DataError:
    return DataError(
        "no-directory",
        f"the location of the data of {sought.spec.title} {sought.obs_id} is not known",
        remedy="leave the observation out, or ask the archive for it",
    )


def _linked(connection: Connection, sought: ObservationRef, ends_with: str) -> Location | None:
    # Where the file tree of the same server does not answer, its DataLink is not waited for either.
    if not connection.mirror.datalink or is_down(connection.mirror.datalink):
        return None
    found = _ask_datalink(connection, sought.spec.table.name, sought.row_id)
    rebased = (rebase(url, connection.mirror.root, ends_with) for url in found)
    return next((Location(url, "datalink") for url in rebased if url), None)


def rebase(url: str, tree: str, ends_with: str) -> str | None:
    """The same directory below our root of the file tree.

    Parameters
    ----------
    url
        What DataLink gave: any host, a path with ``/FTP/``, doubled slashes.
    tree
        Address of our root, which corresponds to ``/FTP``.
    ends_with
        Name that the directory must have, whatever the case.

    Returns
    -------
    str or None
        None where the address is not a clean path to such a directory.

    Examples
    --------
    >>> rebase("https://h/FTP/xmm/data/rev0//0112980201/", "http://mirror/t", "0112980201")
    'http://mirror/t/xmm/data/rev0/0112980201'
    >>> rebase("https://h/FTP/xmm/../0112980201/", "http://mirror/t", "0112980201") is None
    True
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    _, found, below = parts.path.partition("/FTP/")
    names = [unquote(name) for name in below.split("/") if name]
    if parts.scheme not in ("http", "https") or not found or not names or not all(map(safe_name, names)):
        return None
    if names[-1].lower() != ends_with.lower():
        return None
    return f"{tree}/" + "/".join(quote(name, safe="+,=@~") for name in names)


def _ask_datalink(connection: Connection, table: str, row_id: str) -> list[str]:
    identity = quote(f"ivo://nasa.heasarc/{table}?{row_id}", safe="")
    url = f"{connection.mirror.datalink}/{table}?ID={identity}"
    # The declared place serves as well, so that a slow DataLink is not worth a long wait.
    patience = connection.patience
    brief = RetryPolicy(min(patience.tries, 2), patience.first, min(patience.longest, 5.0))
    try:
        slow = connection.settings.read_timeout
        body = read_text(replace(connection, patience=brief), url, limit=_LIMIT, seconds=slow)
    except (ServiceError, DataError):
        return []
    return directories_from_datalink(body or b"")


def directories_from_datalink(votable: bytes) -> list[str]:
    """Addresses of directories in a DataLink answer; none where it cannot be read or holds only errors."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = parse_votable(votable).get_first_table().to_table()
        columns = {name.lower(): rows[name] for name in rows.colnames}
        return [
            str(columns["access_url"][index])
            for index in range(min(len(rows), _MOST_LINKS))
            if "directory" in _text(columns, "content_type", index) and not _text(columns, "error_message", index)
        ]
    except PARSE_ERRORS:
        return []  # whatever it is, it is not a DataLink table


def _text(columns: Mapping[str, Any], name: str, index: int) -> str:
    from numpy import ma

    value = columns[name][index] if name in columns else ""
    return "" if value is ma.masked else str(value).strip()
