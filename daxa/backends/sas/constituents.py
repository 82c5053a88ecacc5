"""Which calibration files (constituents of the CCF) SAS uses for an observation.

The rule is that of cifbuild: for every scope and type it chooses, among the files that were submitted by the date of
the analysis and are valid at the date of the observation, the one of the highest issue (ESA, cifbuild, "Algorithm").
Applied to the headers of the installed files it says what an index would name before there is one, so that a new
calibration file concerns the observations that would use it, and no others.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from math import isfinite
from pathlib import Path

from daxa.backends.tools.calibration import digest_lines, files_named

__all__ = [
    "Constituent",
    "Folders",
    "constituents_of",
    "end_of",
    "read_constituents",
    "submission_date",
    "used_identity",
]

Folders = tuple[tuple[Path, int], ...]
"""Directories with the times at which they last changed."""

_NAME = re.compile(r"(?P<scope>[A-Za-z0-9]+)_(?P<type>.+)_(?P<issue>\d{1,6})\.ccf", re.IGNORECASE | re.ASCII)
_CARD = re.compile(rb"(VALDATE|EVALDATE|SUBDATE|CATEGORY) *= *'([^']{1,40})'")
_WIDTH = 80
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?)?", re.ASCII)
_BLOCK, _MOST_BLOCKS = 2880, 64
_CATEGORY = "XMMCCF"
_SCOPES = {"EPN": "PN", "EMOS1": "M1", "EMOS2": "M2", "RGS1": "R1", "RGS2": "R2", "OM": "OM"}
"""Scope of a file to the instrument that uses it; those of other scopes (XMM, mirrors, monitors) concern all."""

_AFTER = "~"
"""Follows every character of a date: with it, a text stands for the moment after that date."""

_ALWAYS, _NEVER = "", _AFTER
_ORIGIN = datetime(1858, 11, 17)  # noqa: DTZ001 - dates of the CCF and MJD are in one scale
_MARGIN = timedelta(days=1)
"""Tables of observations and the summary in the raw files give starts that differ by hours."""


@dataclass(frozen=True)
class Constituent:
    """A calibration file, as its name and header describe it.

    Parameters
    ----------
    name
        Of the file.
    scope, type, issue
        The parts of its name; a file of another name is a type of its own.
    starts, ends
        Of its validity, as ISO dates; '' and ``~`` where the header does not limit it.
    submitted
        When it was submitted; '' where the header does not say.
    identity
        Name, size, and digest of its primary header.
    """

    name: str
    scope: str
    type: str
    issue: int
    starts: str
    ends: str
    submitted: str
    identity: str


def constituents_of(folders: Iterable[Path]) -> Folders:
    """The directories, in the form that `used_identity` takes: without those that do not exist."""
    return tuple((folder, folder.stat().st_mtime_ns) for folder in folders if folder.is_dir())


@cache
def read_constituents(folders: Folders) -> tuple[Constituent, ...]:
    """The calibration files of directories, each with what its header says.

    Only primary headers are read: the whole set has gigabytes.

    Raises
    ------
    ProgramError
        There are none.
    """
    found = (_constituent(path) for path in files_named([folder for folder, _ in folders], ".ccf"))
    return tuple(one for one in found if one)


def submission_date(path: Path) -> str:
    """When a calibration file was submitted, as its header says; '' where it does not.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     path = Path(place, "EPN_CTI_0001.CCF")
    ...     _ = path.write_bytes(b"SUBDATE = '2014-03-11T06:00:04'".ljust(80) + b"END".ljust(2800))
    ...     submission_date(path)
    '2014-03-11T06:00:04'
    """
    found = _constituent(path)
    return found.submitted if found else ""


def _constituent(path: Path) -> Constituent | None:
    """What a file is; None for one of another category, which cifbuild passes over."""
    header = _primary_header(path)
    lines = (header[at : at + _WIDTH] for at in range(0, len(header), _WIDTH))
    # Within another card, such as a comment, the words are nothing.
    found = [card.groups() for card in map(_CARD.match, lines) if card]
    cards = {key.decode(): value.decode("ascii", "replace").strip() for key, value in reversed(found)}
    if cards.get("CATEGORY", _CATEGORY) != _CATEGORY:
        return None
    dates = {key: _whole(text) for key, text in cards.items() if _DATE.fullmatch(text)}
    parts = _NAME.fullmatch(path.name)
    return Constituent(
        path.name,
        parts["scope"].upper() if parts else "",
        parts["type"].upper() if parts else path.name,
        int(parts["issue"]) if parts else 0,
        dates.get("VALDATE", _ALWAYS),
        dates.get("EVALDATE", _NEVER),
        dates.get("SUBDATE", _ALWAYS),
        f"{path.name} {path.stat().st_size} {hashlib.sha256(header).hexdigest()}",
    )


def _whole(date: str) -> str:
    """A date with its time, so that dates compare as texts."""
    return date if "T" in date else f"{date}T00:00:00"


def end_of(date: str) -> str:
    """The last second of a day: files are submitted in the morning, and accepted on the same day.

    Examples
    --------
    >>> end_of("2026-11-30")
    '2026-11-30T23:59:59'
    """
    return date if "T" in date else f"{date}T23:59:59"


def _primary_header(path: Path) -> bytes:
    content = b""
    with path.open("rb") as stream:
        while len(content) < _MOST_BLOCKS * _BLOCK and (block := stream.read(_BLOCK)):
            content += block
            if any(block[at : at + 8] == b"END     " for at in range(0, _BLOCK, _WIDTH)):
                break
    return content


def used_identity(
    folders: Folders, instruments: Collection[str], start: float | None, end: float | None, as_of: str
) -> str:
    """Identity of the calibration files that SAS would use for an observation.

    Parameters
    ----------
    folders
        Of the calibration files (`constituents_of`).
    instruments
        Chosen instruments.
    start, end
        Of the observation, MJD.  Without a start, all files count that were submitted by then.
    as_of
        The date of the analysis, of which a day is all of it; '' for no limit.

    Raises
    ------
    ProgramError
        There are no calibration files.
    """
    scopes = frozenset(scope for scope, instrument in _SCOPES.items() if instrument not in instruments)
    if start is None or not isfinite(start):
        every = _considered(folders, scopes, as_of)
        return digest_lines(one.identity.encode() for one in sorted(every, key=_order))
    ends = end if end is not None and isfinite(end) and end > start else start
    breaks = _breaks(folders, scopes, as_of)
    first, last = (bisect_right(breaks, text) for text in (_iso(start, -_MARGIN), _iso(ends, _MARGIN)))
    return _identity(folders, scopes, as_of, first, last)


def _iso(mjd: float, margin: timedelta) -> str:
    return (_ORIGIN + timedelta(days=min(max(mjd, 0.0), 1e5)) + margin).isoformat(timespec="seconds")


def _order(one: Constituent) -> tuple[str, str]:
    return one.name, one.identity


@lru_cache(maxsize=64)
def _considered(folders: Folders, without: frozenset[str], as_of: str) -> tuple[Constituent, ...]:
    """The files that instruments may use which were there at a date."""
    limit = end_of(as_of) if as_of else _NEVER
    return tuple(one for one in read_constituents(folders) if one.scope not in without and one.submitted <= limit)


@lru_cache(maxsize=64)
def _breaks(folders: Folders, without: frozenset[str], as_of: str) -> list[str]:
    """The dates at which the choice of files may change, sorted."""
    dates = {date for one in _considered(folders, without, as_of) for date in (one.starts, one.ends)}
    return sorted(dates - {_ALWAYS, _NEVER})


@lru_cache(maxsize=4096)
def _identity(folders: Folders, without: frozenset[str], as_of: str, first: int, last: int) -> str:
    """Identity of the files that are chosen at any moment between breaks: thousands of observations share few."""
    breaks, every = _breaks(folders, without, as_of), _considered(folders, without, as_of)
    moments = [breaks[at - 1] + _AFTER if at else _ALWAYS for at in range(first, last + 1)]
    moments += breaks[first:last]
    chosen = {one for moment in moments for one in _chosen(every, moment)}
    return digest_lines(one.identity.encode() for one in sorted(chosen, key=_order))


def _chosen(every: Iterable[Constituent], moment: str) -> Iterator[Constituent]:
    """The rule of cifbuild at one moment; of files of one issue, which it does not order, all count."""
    valid = [one for one in every if one.starts <= moment <= one.ends]
    best: dict[tuple[str, str], int] = {}
    for one in valid:
        best[one.scope, one.type] = max(one.issue, best.get((one.scope, one.type), 0))
    return (one for one in valid if one.issue == best[one.scope, one.type])
