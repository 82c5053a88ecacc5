"""Which event lists are parts of one exposure, and a list made of such parts.

Lists are merged only where the instrument did the same thing: equal filter, mode,
submode and chips, and good times that do not overlap.  Everything else is refused by
name, for a merged list has one header, which would be wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.io import fits

from daxa.errors import DataError, NotPossible
from daxa.xray.cleaning.cleaned import write_clean_events
from daxa.xray.cleaning.cut import Cut, select
from daxa.xray.eventlists import gti
from daxa.xray.eventlists.clock import compare_clocks
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.fits_tables import FitsTable, column_names
from daxa.xray.eventlists.formats import card_number, card_text
from daxa.xray.eventlists.opening import open_events

__all__ = ["ListIdentity", "check_mergeable", "identity_of", "merge_events"]

_MODE = ("DATAMODE", "OBS_MODE", "OBSMODE", "READMODE")
_SUBMODE = ("SUBMODE", "CYCLE", "EDITMOD", "WINOPT", "SNAPTI1", "SEQPNUM")
_FILTER = ("FILTER", "GRATING")
_PARTS = (re.compile(r"nu\d{11}[AB](\d\d)_"), re.compile(r"acisf\d{5}\w*_(e[12])_(?:N\d{3}_)?evt"))
"""What only the name of the archive's file shows: NuSTAR's observing mode, ACIS's interleaved frames."""

_POINTING = ("RA_PNT", "DEC_PNT", "PA_PNT")
_APART, _TURNED = 30.0, 0.5
"""Arcsec and degrees by which pointing and roll may differ: vignetting at 15 arcmin changes by some percent then."""

_OF_PARTS = re.compile(r"FLR(?:LO|HI|EX|ER)\d+", re.ASCII)
"""What flares left in each band of a part: of the whole it has to be measured."""

_MEASURED = re.compile(r"FLAR\w{1,4}|ANOM(?:FL|HR|HE)\d+", re.ASCII)
"""Further measurements of a cleaned list, which hold for the whole where those of all parts are equal."""

_TOGETHER = re.compile(r"EXPOSU\d\d|BADPIX(?:\d\d)?|STDGTI\d\d", re.ASCII)
"""Tables whose rows all parts contribute."""


@dataclass(frozen=True)
class ListIdentity:
    """What an event list records.

    Parameters
    ----------
    mission, instrument, obs_id, exposure
        As in the `EventList`.
    mode, submode, filter
        What the header says, joined by a slash where several cards say it.
    part
        NuSTAR's mode number (``01``, ``06``) or ACIS's ``e1`` and ``e2``, from the name of the file.
    chips
        Chips with good time.
    """

    mission: str
    instrument: str
    obs_id: str
    exposure: str
    mode: str
    submode: str
    filter: str
    part: str
    chips: tuple[int, ...]


def identity_of(events: EventList) -> ListIdentity:
    """The identity of an event list.

    Parameters
    ----------
    events
        The list.

    Returns
    -------
    ListIdentity
        What lists of one exposure have in common.
    """

    def said(keywords: Sequence[str]) -> str:
        values = [card_text(events.header, key) or card_text(events.primary, key) for key in keywords]
        return "/".join(value.upper() for value in values if value)

    found = [match[1] for pattern in _PARTS if (match := pattern.search(events.path.name))]
    return ListIdentity(
        mission=events.format.mission,
        instrument=events.format.instrument,
        obs_id=events.obs_id,
        exposure=events.exposure,
        mode=said(_MODE),
        submode=said(_SUBMODE),
        filter=said(_FILTER),
        part="".join(found),
        chips=tuple(chip for chip, good in sorted(events.gtis.items()) if len(good)),
    )


def check_mergeable(lists: Sequence[EventList]) -> None:
    """Refuse lists that are not parts of one exposure.

    Parameters
    ----------
    lists
        At least one.

    Raises
    ------
    NotPossible
        They differ in mission, instrument, observation, mode, submode, filter, chips, part
        (never NuSTAR 01 with 06, ACIS e1 with e2), columns, coordinates, clock or pointing, or their
        good times overlap, so that an event may be in both.
    """
    first = lists[0]
    for other in lists[1:]:
        differs = _differences(first, other)
        if differs:
            raise NotPossible(
                "merge",
                f"{first.path.name} and {other.path.name} are not merged: {'; '.join(differs)}",
                remedy="process them as separate exposures and combine their images",
            )
    for index, one in enumerate(lists):
        for other in lists[:index]:
            for chip in set(one.gtis) & set(other.gtis):
                if gti.total(gti.intersect(one.gtis[chip], other.gtis[chip])) > 0:
                    raise NotPossible(
                        "merge",
                        f"{other.path.name} and {one.path.name} are not merged: their good times overlap",
                        remedy="leave one of them out: they are records of the same time",
                    )


def _differences(first: EventList, other: EventList) -> list[str]:
    one, two = identity_of(first), identity_of(other)
    names = ("mission", "instrument", "obs_id", "mode", "submode", "filter", "part", "chips")
    pairs = [(name, getattr(one, name), getattr(two, name)) for name in names]
    differs = [f"{name} is {a!r} and {b!r}" for name, a, b in pairs if a != b]
    if (first.sky_grid is None) != (other.sky_grid is None):
        differs.append("one is imaging, the other timing")
    elif first.sky_grid != other.sky_grid:
        differs.append("their sky coordinates differ")
    if first.rows.dtype != other.rows.dtype or _scales(first) != _scales(other):
        differs.append("their columns differ")
    # A TIMEZERO that one of the files lacks is a difference: within a file it need not be.
    problem, assumed = compare_clocks(other.header, first.clock, first.header, first.primary, other.primary)
    if problem or assumed or first.clock.unit != other.clock.unit:
        unlike = "has another TIMEZERO" if assumed else "has another unit"
        differs.append(f"their clocks differ: the second {problem or unlike}")
    return [*differs, *_pointings(first, other)]


def _pointings(first: EventList, other: EventList) -> list[str]:
    """How far apart the telescope pointed, where both lists say it: one exposure map has one axis and one roll."""
    try:
        (ra, dec, roll), (ra2, dec2, roll2) = map(_pointing, (first, other))
    except DataError as problem:
        return [problem.message]
    apart = 3600.0 * math.hypot(_turned(ra2 - ra) * math.cos(math.radians(dec)), dec2 - dec)
    differs = [f"they point to places {apart:.0f} arcsec apart"] if apart > _APART else []
    turned = abs(_turned(roll2 - roll))
    return [*differs, f"they are turned by {turned:.2f} deg"] if turned > _TURNED else differs


def _pointing(events: EventList) -> tuple[float, float, float]:
    headers = [events.header if card_text(events.header, key) else events.primary for key in _POINTING]
    ra, dec, roll = (card_number(header, key, math.nan) for header, key in zip(headers, _POINTING, strict=True))
    return ra, dec, roll


def _turned(degrees: float) -> float:
    """An angle as -180 to 180 degrees."""
    return math.remainder(degrees, 360.0) if math.isfinite(degrees) else math.nan


def _scales(events: EventList) -> list[dict | None]:
    """How the columns are scaled, which types of rows do not compare."""
    dtype = events.rows.dtype
    kinds = [dtype[name] for name in column_names(dtype)]
    return [dict(kind.metadata) if kind.metadata else None for kind in kinds]


def merge_events(
    path: Path, parts: Sequence[tuple[EventList, Cut]], cards: Mapping[str, tuple[object, str]]
) -> EventList:
    """Write one list of the events that pass the cuts of several parts of an exposure.

    Parameters
    ----------
    path
        The file to write.
    parts
        Lists and their cuts; all cuts have the same screening and no channels.
    cards
        Keyword to (value, comment), for the events header.

    Returns
    -------
    EventList
        The merged list.  Events are in the order of time; good times are the union, tables
        EXPOSUnn, BADPIXnn and STDGTInn hold the rows of all parts, every other table and card is
        that of the first part, but for measurements that differ, MERGED names the
        exposures, and what was taken for granted of any part is (ASSUMEn).

    Raises
    ------
    NotPossible
        The lists must not be merged (`check_mergeable`).
    DataError
        The cuts differ in more than good times.

    Notes
    -----
    A pixel that was bad in some parts only has the time of these in its table (TIME, TIME_STOP), so that
    exposure maps count it in the others.  Where parts alternate in time, it counts as bad in all: for an
    exact exposure map add the maps of the parts (`daxa.xray.imaging.mosaicking.make_mosaic`).
    """
    lists = [events for events, _ in parts]
    check_mergeable(lists)
    rules = parts[0][1].rules
    if any(cut.rules != rules or cut.pi is not None for _, cut in parts):
        raise DataError(
            "merge",
            f"the parts of observation {lists[0].obs_id} were screened differently",
            remedy="use the same screening for all",
        )
    gtis = {chip: gti.union(*(cut.gtis.get(chip, ()) for _, cut in parts)) for chip in sorted(parts[0][1].gtis)}
    joined = path.with_name(path.name + ".parts")
    try:
        _join(joined, parts)
        assumed = dict.fromkeys(text for events in lists for text in events.assumptions)
        whole = replace(open_events(joined), assumptions=tuple(assumed))
        added = {"MERGED": (",".join(events.exposure for events in lists), "exposures that were merged")}
        write_clean_events(path, whole, Cut(rules, gtis), {**added, **cards})
    finally:
        joined.unlink(missing_ok=True)
    return open_events(path)


def _join(path: Path, parts: Sequence[tuple[EventList, Cut]]) -> None:
    """A file like the first part's whose tables hold the rows of all of them."""
    first = parts[0][0]
    rows = np.concatenate([events.rows[select(events, cut, events.rows)] for events, cut in parts])
    rows = rows.astype(first.rows.dtype)
    order = np.argsort(np.asarray(rows[_name(rows, first.format.time_column)]), kind="stable")
    units = [first.primary.tostring().encode("ascii")]
    lists = [events for events, _ in parts]
    for table in _tables_of(lists):
        if table.name == "EVENTS":
            header, body = _widened(table.header, lists), rows[order]
        else:
            header, body = table.header.copy(), _rows_of_all(table, lists)
            for number, name in enumerate(column_names(body)[table.header["TFIELDS"] :], table.header["TFIELDS"] + 1):
                header.update({"NAXIS1": body.dtype.itemsize, "TFIELDS": number})
                header.update({f"TTYPE{number}": name, f"TFORM{number}": "D", f"TUNIT{number}": "s"})
        header["NAXIS2"] = len(body)
        units.append(_unit(header, body))
    with path.open("xb") as out:
        for unit in units:
            out.write(unit)


def _name(rows: np.ndarray, column: str) -> str:
    return next(name for name in column_names(rows) if name.lower() == column.lower())


def _unit(header: fits.Header, body: np.ndarray) -> bytes:
    data = body.tobytes()
    return header.tostring().encode("ascii") + data + bytes(-len(data) % 2880)


def _tables_of(lists: Sequence[EventList]) -> list[FitsTable]:
    """The tables of the first list, and those of others to which all contribute and which it does not have."""
    tables = list(lists[0].tables)
    known = {(table.name, table.version) for table in tables}
    for table in (one for events in lists[1:] for one in events.tables):
        if _TOGETHER.fullmatch(table.name) and (table.name, table.version) not in known:
            known.add((table.name, table.version))
            tables.append(table)
    return tables


def _rows_of_all(table: FitsTable, lists: Sequence[EventList]) -> np.ndarray:
    own = table.rows()
    if not _TOGETHER.fullmatch(table.name):
        return own
    all_rows = [found.rows() for events in lists if (found := events.find_table(table.name, table.version))]
    if any(rows.dtype != own.dtype for rows in all_rows):
        raise NotPossible(
            "merge",
            f"the tables {table.name} of observation {lists[0].obs_id} have different columns",
            remedy="process its exposures one by one",
        )
    if table.name.startswith("BADPIX"):
        return _bad_pixels(table, lists)
    return np.concatenate(all_rows).astype(own.dtype)


def _bad_pixels(table: FitsTable, lists: Sequence[EventList]) -> np.ndarray:
    """Each bad pixel once, or where parts differ, with the time of those in which it was bad."""
    own = table.rows().dtype
    parts = [(events, found) for events in lists if (found := events.find_table(table.name, table.version))]
    joined = np.concatenate([found.rows() for _, found in parts]).astype(own)
    _, first, which = np.unique(
        np.frombuffer(joined.tobytes(), f"V{own.itemsize}"), return_index=True, return_inverse=True
    )
    numbers = np.concatenate([np.full(len(found.rows()), part) for part, (_, found) in enumerate(parts)])
    seen = np.zeros((len(first), len(parts)), dtype=bool)
    seen[which.ravel(), numbers] = True
    spans = np.array([_span(events) for events, _ in parts])
    order = spans[np.argsort(spans[:, 0])]
    timed = {name.upper() for name in column_names(own)} & {"TIME", "TIME_STOP"}
    if seen.all() or timed or (order[1:, 0] < order[:-1, 1]).any():
        return joined[np.sort(first)]
    wide = np.dtype([*((name, own[name]) for name in own.names or ()), ("TIME", ">f8"), ("TIME_STOP", ">f8")])
    always = np.asarray(seen.all(axis=1))
    pairs = [(int(row), np.full(2, np.nan)) for row in np.flatnonzero(always)]
    pairs += [(int(row), spans[part]) for row, part in np.argwhere(seen & ~always[:, None])]
    rows = np.zeros(len(pairs), wide)
    for place, (row, (start, stop)) in enumerate(sorted(pairs, key=lambda one: (first[one[0]], one[1][0]))):
        for name in own.names or ():
            rows[name][place] = joined[name][first[row]]
        rows["TIME"][place], rows["TIME_STOP"][place] = start, stop
    return rows


def _span(events: EventList) -> tuple[float, float]:
    """From the first good time of a part to its last, s."""
    edges = np.concatenate([np.empty(0), *(good.ravel() for good in events.gtis.values())])
    return (float(edges.min()), float(edges.max())) if len(edges) else (0.0, 0.0)


def _widened(header: fits.Header, lists: Sequence[EventList]) -> fits.Header:
    """The first header, with start and end of the whole, and without what was measured in a part."""
    wide = header.copy()
    headers = [events.header for events in lists]
    # A strange header may have a card twice; both are removed at once.
    for key in {key for key in wide if _OF_PARTS.fullmatch(key) or _MEASURED.fullmatch(key)}:
        if _OF_PARTS.fullmatch(key) or len({card_text(own, key) for own in headers}) > 1:
            del wide[key]
    for number, text, extreme in (("TSTART", "DATE-OBS", np.argmin), ("TSTOP", "DATE-END", np.argmax)):
        if all(number in own for own in headers):
            chosen = headers[int(extreme([card_number(own, number) for own in headers]))]
            wide[number] = chosen[number]
            if text in chosen:
                wide[text] = chosen[text]
    return wide
