"""Good time intervals that a user gives, in FITS tables or as text.

They can only take time away: several files are joined, and what they say is intersected
with the archive's own intervals, as HEASoft's extractor does.  A file may be written by
hand: what is not plainly a list of intervals on the clock of the events is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.eventlists.clock import compare_clocks, time_zero, unit_of_cards
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.fits_tables import FitsTable, read_tables
from daxa.xray.eventlists.formats import card_number, card_text
from daxa.xray.eventlists.goodtimes import intervals_of
from daxa.xray.eventlists.gti import intersect, normalise, union
from daxa.xray.eventlists.opening import open_events

__all__ = ["apply_user_gtis", "read_user_gti"]

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_NAME = re.compile(r"[A-Z]*GTI\w*", re.ASCII)
_COMMENT = ("#", "!", ";")
_MOST_BYTES = 1 << 26

_REMEDY = "write lines of a start and a stop in seconds of the event list's own clock, or a FITS table START, STOP"


def apply_user_gtis(
    events: EventList, gtis: Mapping[int, np.ndarray], paths: Sequence[Path]
) -> Mapping[int, np.ndarray]:
    """Good times that are in at least one of the files as well.

    Parameters
    ----------
    events
        The list to which the times belong.
    gtis
        Chip to good time intervals, shape (n, 2), s, such as those of the list.
    paths
        The user's files; with none, nothing changes.

    Returns
    -------
    dict
        Chip to intervals, shape (n, 2), s.

    Raises
    ------
    DataError
        A file cannot be used, or nothing is left of any chip.
    """
    if not paths:
        return gtis
    files = [read_user_gti(path, events) for path in paths]
    left = {chip: intersect(own, union(*(one[chip] for one in files if chip in one))) for chip, own in gtis.items()}
    if not any(len(good) for good in left.values()):
        names = ", ".join(Path(path).name for path in paths)
        raise DataError(
            "user-gti",
            f"no good time of {events.path.name} lies in {names}: is it of another observation, or on another clock?",
            remedy=_REMEDY,
        )
    return left


def read_user_gti(path: Path, events: EventList) -> dict[int, np.ndarray]:
    """Read the intervals of one file.

    Parameters
    ----------
    path
        Text with a start and a stop (s) on each line, with blanks or a comma between and
        comments after ``#``, ``!`` or ``;``; or FITS, plain or compressed by gzip: every
        table named like ``GTI`` with columns START and STOP counts, for the chip that its
        CCD_ID or CCDID card names or for all; of an event list its own good times count.
    events
        The list whose clock the times must be on, and whose chips they are for.

    Returns
    -------
    dict
        Chip of `events` to intervals, shape (n, 2), s, in normal form.

    Raises
    ------
    DataError
        The file is absent or too large, holds no intervals, one that ends before it
        starts or is not a number, or its clock is another one.
    """
    path = Path(path)
    chips = sorted(events.gtis)
    if not path.is_file():
        raise _unusable(path, "does not exist")
    if path.stat().st_size > _MOST_BYTES:
        raise _unusable(path, "is too large for a list of intervals")
    with path.open("rb") as stream:
        start = stream.read(6)
    if start != b"SIMPLE" and start[:2] != b"\x1f\x8b":
        return dict.fromkeys(chips, _from_text(path))
    primary, tables = read_tables(path)
    if any(table.name == "EVENTS" for table in tables):
        other = open_events(path)
        _check_clock(path, other.header, primary, events)
        return {chip: good for chip, good in other.gtis.items() if chip in events.gtis}
    return _from_tables(path, primary, tables, events)


def _from_text(path: Path) -> np.ndarray:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise _unusable(path, "is neither FITS nor text") from None
    pairs = []
    for number, line in enumerate(lines, start=1):
        plain = line
        for sign in _COMMENT:
            plain, _, after = plain.partition(sign)
            if sign == ";" and after.strip() and all(map(_NUMBER.fullmatch, after.replace(",", " ").split())):
                raise _unusable(path, f"has numbers after a semicolon, which begins a comment, in line {number}")
        words = plain.replace(",", " ").split()
        if not words:
            continue
        if len(words) != 2 or not all(_NUMBER.fullmatch(word) for word in words):
            raise _unusable(path, f"has no start and stop in line {number}")
        pairs.append((float(words[0]), float(words[1])))
    return _checked(path, np.array(pairs).reshape(-1, 2))


def _from_tables(
    path: Path, primary: fits.Header, tables: Sequence[FitsTable], events: EventList
) -> dict[int, np.ndarray]:
    found: dict[int, list[np.ndarray]] = {chip: [] for chip in events.gtis}
    named: set[int] = set()
    own = [
        table for table in tables if _NAME.fullmatch(table.name) or card_text(table.header, "HDUCLAS1").upper() == "GTI"
    ]
    if not own:
        raise _unusable(path, "holds no table of good time intervals")
    for table in own:
        _check_clock(path, table.header, primary, events)
        try:
            pairs = intervals_of(table, card_text(primary, "TIMEUNIT"))
        except DataError as problem:
            raise _unusable(path, f"cannot be used: {problem.message}") from problem
        intervals = _checked(path, pairs.astype(np.float64))
        chip = card_number(table.header, "CCD_ID", card_number(table.header, "CCDID", -1))
        if chip >= 0 and events.format.chip_column:
            named.add(int(chip))
        for one in found if chip < 0 or not events.format.chip_column else {int(chip)} & found.keys():
            found[one].append(intervals)
    if named and not named & found.keys():
        raise _unusable(path, f"is for chips {sorted(named)}, of which {events.path.name} has none")
    return {chip: union(*lists) for chip, lists in found.items() if lists}


def _check_clock(path: Path, header: fits.Header, primary: fits.Header, events: EventList) -> None:
    """Cards that are absent are taken to be those of the events; what is stated must agree."""
    problem, assumption = compare_clocks(header, events.clock, events.header, events.primary, primary)
    if not problem and assumption and (zero := time_zero(header)):
        problem = f"has a TIMEZERO of {zero:g}, the events none"
    unit, usual = unit_of_cards(header, primary), unit_of_cards(events.header, events.primary)
    if not problem and unit != usual:
        problem = f"counts time in units of {unit:g} s, the events in units of {usual:g} s"
    if problem:
        raise _unusable(path, problem.replace("the events", events.path.name))


def _checked(path: Path, intervals: np.ndarray) -> np.ndarray:
    if not len(intervals):
        raise _unusable(path, "holds no intervals")
    if not np.isfinite(intervals).all():
        raise _unusable(path, "has a start or a stop that is not a finite number")
    backward = np.flatnonzero(intervals[:, 1] < intervals[:, 0])
    if len(backward):
        raise _unusable(path, f"has an interval that ends before it starts, number {backward[0] + 1}")
    return normalise(intervals)


def _unusable(path: Path, what: str) -> DataError:
    return DataError("user-gti", f"the file of good times {path.name} {what}", remedy=_REMEDY)
