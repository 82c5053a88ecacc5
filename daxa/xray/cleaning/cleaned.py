"""Write the events that pass a cut, with the good times that were used.

Every column and table of the list is kept byte for byte, except rows that the cut
drops and good time tables, which are replaced in the form in which
`daxa.xray.eventlists.opening.open_events` reads them back.  HISTORY, DATE and checksums are dropped: they
say when a file was written, not what it holds.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.cleaning.cut import Cut, select
from daxa.xray.cleaning.lightcurve import time_cards
from daxa.xray.cleaning.livetime import livetime, ontime
from daxa.xray.cleaning.screening import rules_text
from daxa.xray.cleaning.spans import assumption_cards, span_cards, update_span
from daxa.xray.cleaning.subspacecards import describe_subspace
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.formats import card_number, card_text
from daxa.xray.eventlists.gti import normalise
from daxa.xray.eventlists.opening import open_events

__all__ = ["write_clean_events", "write_gti"]

_BLOCK = 2880
_VOLATILE = ("HISTORY", "DATE", "CHECKSUM", "DATASUM")
_STALE = re.compile(r"TD(?:MIN|MAX)\d+", re.ASCII)
_EPIC_GTI = re.compile(r"GTI\d{5}", re.ASCII)
_OTHER_GTI = re.compile(r"GTI\d?|STDGTI|SRC_GTI", re.ASCII)
_ASSUMED = re.compile(r"ASSUME\d+", re.ASCII)


@dataclass(frozen=True, eq=False)
class _Unit:
    header: fits.Header
    start: int
    size: int
    name: str


def write_clean_events(path: Path, events: EventList, cut: Cut, cards: Mapping[str, tuple[object, str]]) -> int:
    """Write a cleaned event list.

    Parameters
    ----------
    path
        The file to write.
    events
        The list, opened from an uncompressed file.
    cut
        Screening and good times; its channels must be None: a list keeps all energies.
    cards
        Keyword to (value, comment): what else the events header should say.

    Returns
    -------
    int
        Number of events written.

    Raises
    ------
    DataError
        The list holds what cannot be copied faithfully, or what was written does not read back
        with the events and good times of the cut.
    """
    keep = [np.flatnonzero(select(events, cut, rows)) for rows in events.chunks()]
    count = sum(map(len, keep))
    times, span = _time_values(events, cut), span_cards(events, cut.gtis)
    units = _units(events.path)
    tables = list(_gti_tables(events, cut))
    name = card_text(events.header, "EXTNAME").upper()
    with events.path.open("rb") as source, path.open("xb") as out:
        placed = False
        for unit in units:
            header = _without_volatile(unit.header)
            if _is_good_time(events, unit):
                if not placed and events.format.gti_scheme != "dss":
                    _write_tables(out, tables)
                placed = True
            elif unit.name == name:
                heap = _heap(source, unit, header)
                header["NAXIS2"] = count
                stated: dict[str, str | tuple[object, str]] = {**assumption_cards(events), **cards}
                written = _events_header(header, events, cut, times, stated)
                _write_events(out, _encoded(written, events.path), _kept(events, keep), heap)
            else:
                for key in times:
                    if key in header:
                        header[key] = times[key][0]
                if not unit.name or unit.name == "PRIMARY":
                    update_span(header, span, always=False)
                out.write(_encoded(header, events.path))
                source.seek(unit.start)
                _copy(source, out, unit.size)
        if not placed or events.format.gti_scheme == "dss":
            _write_tables(out, tables)
    _check_written(path, cut, count)
    return count


def _check_written(path: Path, cut: Cut, count: int) -> None:
    """Read back what was written: a list in an unknown form must not pass for a cleaned one."""
    written = open_events(path)
    none = np.empty((0, 2))
    lost = [
        chip
        for chip in set(cut.gtis) | set(written.gtis)
        if not np.array_equal(normalise(cut.gtis.get(chip, none)), written.gtis.get(chip, none))
    ]
    if lost or len(written.rows) != count:
        raise DataError(
            "clean-list",
            f"{path.name} does not hold what was cleaned: {len(written.rows)} of {count} events, "
            f"other good times of chips {sorted(lost)}",
            remedy="use mission software for this observation",
        )


def write_gti(path: Path, events: EventList, cut: Cut, cards: Mapping[str, tuple[object, str]]) -> None:
    """Write the good times of a cut alone, one table per chip.

    Parameters
    ----------
    path
        The file to write.
    events
        The list that they belong to.
    cut
        Chip to good time intervals.
    cards
        Keyword to (value, comment), for the primary header.
    """
    primary = fits.PrimaryHDU()
    for key in ("TELESCOP", "INSTRUME", "OBS_ID", "SIMULATD"):
        if key in events.header:
            primary.header[key] = events.header[key]
    for key, value in cards.items():
        primary.header[key] = value
    with path.open("xb") as out:
        out.write(primary.header.tostring().encode("ascii"))
        _write_tables(out, list(_gti_tables(events, cut)))


def _units(path: Path) -> list[_Unit]:
    try:
        return _read_units(path)
    except (OSError, ValueError, TypeError, KeyError, fits.VerifyError) as problem:
        if isinstance(problem, OSError) and problem.errno not in {None, errno.EINVAL}:
            raise
        raise _damaged(path, str(problem)) from problem


def _read_units(path: Path) -> list[_Unit]:
    with fits.open(path, mode="readonly", memmap=True, lazy_load_hdus=False) as hdus:
        found = []
        for hdu in hdus:
            if not hasattr(hdu, "fileinfo"):
                raise _damaged(path, "one of its units is no unit of FITS")
            place = hdu.fileinfo()
            found.append(_Unit(hdu.header.copy(), place["datLoc"], place["datSpan"], hdu.name.upper()))
    return found


def _encoded(header: fits.Header, path: Path) -> bytes:
    """A header as it is written."""
    try:
        return header.tostring().encode("ascii")
    except (ValueError, fits.VerifyError) as problem:
        raise _damaged(path, str(problem)) from problem


def _damaged(path: Path, why: str) -> DataError:
    return DataError(
        "damaged",
        f"{path.name} cannot be copied: {' '.join(why.split())[:150]}",
        remedy="fetch the file again; if the archive's own copy is like this, leave the observation out",
    )


def _without_volatile(header: fits.Header) -> fits.Header:
    kept = header.copy()
    for key in _VOLATILE:
        while key in kept:
            del kept[key]
    return kept


def _is_good_time(events: EventList, unit: _Unit) -> bool:
    if events.format.gti_scheme == "dss":
        return bool(_EPIC_GTI.fullmatch(unit.name))
    return bool(_OTHER_GTI.fullmatch(unit.name))


def _copy(source: BinaryIO, out: BinaryIO, size: int) -> None:
    while size > 0:
        block = source.read(min(size, 1 << 20))
        if not block:
            raise DataError("truncated", f"{source.name} ends too early", remedy="fetch the observation again")
        out.write(block)
        size -= len(block)


def _padded(out: BinaryIO, size: int) -> None:
    out.write(bytes(-size % _BLOCK))


def _heap(source: BinaryIO, unit: _Unit, header: fits.Header) -> bytes:
    """The values of columns of variable length, to which the rows point; all of them are kept."""
    rows = int(unit.header["NAXIS1"]) * int(unit.header["NAXIS2"])
    first = int(unit.header.get("THEAP", rows))
    size = max(int(unit.header.get("PCOUNT", 0)) - (first - rows), 0)
    header["PCOUNT"] = size
    if "THEAP" in header:
        del header["THEAP"]
    source.seek(unit.start + first)
    heap = source.read(size)
    if len(heap) != size or first < rows:
        raise DataError("truncated", f"{source.name} ends too early", remedy="fetch the observation again")
    return heap


def _kept(events: EventList, keep: list[np.ndarray]) -> Iterator[bytes]:
    return (rows[index].tobytes() for rows, index in zip(events.chunks(), keep, strict=True))


def _write_events(out: BinaryIO, header: bytes, blocks: Iterator[bytes], heap: bytes) -> None:
    out.write(header)
    size = 0
    for block in chain(blocks, (heap,)):
        out.write(block)
        size += len(block)
    _padded(out, size)


def _events_header(
    header: fits.Header,
    events: EventList,
    cut: Cut,
    times: Mapping[str, tuple[float, str]],
    cards: Mapping[str, str | tuple[object, str]],
) -> fits.Header:
    # Ours go to the end, also when they stood in the list, so that cleaning twice gives the same bytes.
    ours = {"SCREENIN", "CUTID", *cards}
    for key in [key for key in header if _STALE.fullmatch(key) or _ASSUMED.fullmatch(key) or key in ours]:
        del header[key]
    if events.obs_id and not any(key in header for key in events.format.obs_id_cards):
        header["OBS_ID"] = events.obs_id
    update_span(header, span_cards(events, cut.gtis))
    for chip in set(events.gtis) - set(cut.gtis):
        # What is said of a chip that is left out no longer holds.
        for form in ("ONTIME{:02d}", "LIVETI{:02d}", "ONTIME{:d}", "LIVTIME{:d}", "EXPOSUR{:d}"):
            header.remove(form.format(chip), ignore_missing=True)
    for key, value in times.items():
        # An archive's own comment says the same in its own words.
        header[key] = value[0] if key in header else value
    describe_subspace(
        header,
        cut.rules,
        _table_names(events, cut),
        chip_column=events.format.chip_column,
        time_column=events.format.time_column,
        spell_out=events.format.gti_scheme != "dss",
    )
    header["SCREENIN"] = rules_text(cut.rules)
    header["CUTID"] = (cut.identity, "digest of screening and good times")
    for key, card in cards.items():
        header[key] = card
    return header


def _time_values(events: EventList, cut: Cut) -> dict[str, tuple[float, str]]:
    """Good and live times under the keywords of the mission."""
    good, live = ontime(events, cut.gtis), livetime(events, cut.gtis)
    longest = max(sorted(good), key=lambda chip: good[chip])
    central = events.format.central_chip or int(card_number(events.header, "CCD_ID", 0))
    if central not in good:
        central = longest
    whole = {
        "ONTIME": (good[central], "[s] good time"),
        "LIVETIME": (live[central], "[s] live time"),
    }
    if events.format.adds_exposure or "EXPOSURE" in events.header:
        whole["EXPOSURE"] = (live[central], "[s] exposure")
    per_chip = {
        card.format(chip): (value, f"[s] {'good' if kind == 'ontime' else 'live'} time of chip {chip}")
        for card, kind in events.format.chip_cards
        for chip, value in sorted((good if kind == "ontime" else live).items())
    }
    return {**per_chip, **whole}


def _is_single(events: EventList) -> bool:
    """Whether one table of good times holds for all chips of a format that may have several."""
    own = [table for table in events.tables if table.name in {"GTI", "STDGTI"}]
    return events.format.gti_scheme == "ccd_id" and len(own) == 1 and "CCD_ID" not in own[0].header


def _table_names(events: EventList, cut: Cut) -> list[tuple[tuple[int, ...], str]]:
    """Chips, and name of the table of their good times."""
    chips = sorted(cut.gtis)
    if _is_single(events) or not events.format.chip_column:
        return [(tuple(chips), "GTI")]
    if events.format.gti_scheme == "dss":
        return [((chip,), f"GTI{index:03d}{chip:02d}") for index, chip in enumerate(chips)]
    return [((chip,), f"GTI{chip}") for chip in chips]


def _gti_tables(events: EventList, cut: Cut) -> Iterator[tuple[fits.Header, np.ndarray]]:
    """Header and intervals of each good time table, in the mission's form."""
    scheme = events.format.gti_scheme
    for chips, name in _table_names(events, cut):
        chip, intervals = chips[0], cut.gtis[chips[0]]
        header = fits.BinTableHDU.from_columns(
            [fits.Column("START", "D", unit="s"), fits.Column("STOP", "D", unit="s")], nrows=len(intervals)
        ).header
        header["EXTNAME"] = ("GTI" if scheme == "ccd_id" else name, "good time intervals")
        if scheme == "dss":
            header["CCDID"] = (chip, "CCD")
        elif scheme == "ccd_id" and len(chips) == 1 and not _is_single(events):
            header["EXTVER"] = (chip, "chip")
            header["HDUNAME"] = (name, "name for the data model")
            header["CCD_ID"] = (chip, "chip")
        header["HDUCLASS"] = ("OGIP", "format conforms to OGIP standard")
        header["HDUCLAS1"] = ("GTI", "good time intervals")
        header["HDUCLAS2"] = ("STANDARD", "standard good time intervals")
        header["ONTIME"] = (float((intervals[:, 1] - intervals[:, 0]).sum()), "[s] sum of the intervals")
        header.extend(time_cards(events.header))
        yield header, intervals


def _write_tables(out: BinaryIO, tables: list[tuple[fits.Header, np.ndarray]]) -> None:
    for header, intervals in tables:
        out.write(header.tostring().encode("ascii"))
        block = np.ascontiguousarray(intervals, dtype=">f8").tobytes()
        out.write(block)
        _padded(out, len(block))
