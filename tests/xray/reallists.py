"""The real event lists with sky columns, and the surgery that puts forbidden rows into copies of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from daxa.xray.eventlists import gti
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.fits_tables import read_column


@dataclass(frozen=True)
class RealList:
    """A real list: where it is, and the band, pixel and good-time tables for tests on it."""

    path: str
    pixel: float
    band: tuple[int, int]
    tables: dict[int, str]
    """Chip to the extension with its good times, found by reading the headers by eye."""


_SEVEN = {chip: f"GTI00{chip - 1}06" for chip in range(1, 8)}

LISTS = {
    "xmm-0404910601-m1": RealList(
        "xmm/0404910601/eclean/mos1_exp1_clean_evts.fits",
        4.35,
        (500, 2000),
        {1: "GTI00006", 2: "GTI00106", 3: "GTI00206", 4: "GTI00306", 5: "GTI00406", 7: "GTI00506"},
    ),
    "xmm-0404910601-m2": RealList("xmm/0404910601/eclean/mos2_exp1_clean_evts.fits", 4.0, (2001, 10000), _SEVEN),
    "xmm-0201901401-m1": RealList("xmm/0201901401/eclean/mos1_exp1_clean_evts.fits", 4.35, (500, 2000), _SEVEN),
    "xmm-0201901401-m2": RealList("xmm/0201901401/eclean/mos2_exp1_clean_evts.fits", 8.7, (300, 7000), _SEVEN),
    "chandra-18461": RealList(
        "chandra/acis_18461_cena_evt2.fits", 1.968, (35, 480), {chip: f"GTI,{chip}" for chip in (0, 1, 2, 3, 6)}
    ),
    "nustar-30101031002": RealList("nustar/nu30101031002A_cut_evt.fits", 2.458, (35, 1909), {0: "GTI"}),
}

UNMAPPED = {"rosat-us800282p": RealList("rosat/rosat.evt", 15.0, (52, 201), {0: "GTI"})}
"""Real lists with sky columns whose detectors are not declared, so that no exposure map is made of them."""

FORBIDDEN_BITS = {
    "xmm": ("FLAG", range(32)),
    "chandra": ("status", range(32)),
    # b000000000x0xx000 counts from the highest bit: all but bits 6, 4 and 3 must be clear.
    "nustar": ("STATUS", (15, 14, 13, 12, 11, 10, 9, 8, 7, 5, 2, 1, 0)),
}
FORBIDDEN_VALUES = {
    "xmm": {"PATTERN": (*range(13, 32), 255)},
    "chandra": {"grade": (1, 5, 7, -1, 255)},
    "nustar": {"GRADE": (27, 28, 32, -1), "SHIELD": (1, 2, 255)},
}


def with_rows(source: Path, target: Path, rows: np.ndarray, table: str = "EVENTS") -> Path:
    """A copy of an event list whose events table holds these rows; every other byte stays."""
    with fits.open(source) as units:
        place = units[table].fileinfo()
        count = units[table].header["NAXIS2"]
    content = source.read_bytes()
    header = content[place["hdrLoc"] : place["datLoc"]]
    old, new = (f"NAXIS2  = {number:>20d}".encode() for number in (count, len(rows)))
    assert header.count(old) == 1
    data = rows.tobytes()
    data += b"\0" * (-len(data) % 2880)
    after = content[place["datLoc"] + place["datSpan"] :]
    target.write_bytes(content[: place["hdrLoc"]] + header.replace(old, new) + data + after)
    return target


def good_row(events: EventList, band: tuple[int, int], chip: int | None = None) -> np.ndarray:
    """A row that counts in this band, as an array of one row."""
    channels = read_column(events.rows, events.format.pi_column)
    keep = (channels >= band[0]) & (channels <= band[1])
    if chip is not None and events.format.chip_column:
        keep &= read_column(events.rows, events.format.chip_column) == chip
    return events.rows[np.flatnonzero(keep)[:1]].copy()


def _changed(row: np.ndarray, column: str, value) -> np.ndarray:
    changed = row.copy()
    read_column(changed, column)[:] = value
    return changed


def by_flags(events: EventList, band: tuple[int, int]) -> list[np.ndarray]:
    """Rows that only the screening forbids: one per flag bit, one per value out of range."""
    row = good_row(events, band)
    if events.format.mission not in FORBIDDEN_BITS:
        return []
    column, bits = FORBIDDEN_BITS[events.format.mission]
    unsigned = f"u{read_column(row, column).dtype.itemsize}"
    rows = []
    for bit in bits:
        value = np.array([1 << bit], dtype=np.uint64).astype(unsigned).view(unsigned.replace("u", "i"))
        rows.append(_changed(row, column, value.astype(read_column(row, column).dtype)))
    for name, values in FORBIDDEN_VALUES[events.format.mission].items():
        kind = read_column(row, name).dtype
        rows += [_changed(row, name, value) for value in values if np.iinfo(kind).min <= value <= np.iinfo(kind).max]
    return rows


def by_time(events: EventList, band: tuple[int, int]) -> list[np.ndarray]:
    """Rows that only the good time intervals of their chip forbid."""
    rows = []
    time, chip_column = events.format.time_column, events.format.chip_column
    for chip, good in events.gtis.items():
        row = good_row(events, band, chip)
        moments = [np.nextafter(good[0, 0], 0), good[-1, 1], good[0, 0] - 1e4, np.nan]
        moments += [(before + after) / 2 for before, after in zip(good[:-1, 1], good[1:, 0], strict=True)]
        moments += [*good[:-1, 1], *np.nextafter(good[1:, 0], 0)]
        # A time that is good for another chip, but not for this one.
        for other in events.gtis.values():
            only_there = gti.intersect(other, gti.complement(good, good[0, 0] - 1e3, good[-1, 1] + 1e3))
            moments += [start for start, _ in only_there]
        rows += [_changed(row, time, moment) for moment in moments]
    if chip_column:
        absent = max(events.gtis) + 2
        row = good_row(events, band)
        rows.append(_changed(row, chip_column, absent))
    return rows


def by_position(events: EventList, band: tuple[int, int]) -> list[np.ndarray]:
    """Rows without a position, in one coordinate and in both."""
    row = good_row(events, band)
    (x, y), rows = events.sky.columns, []
    for columns in ((x,), (y,), (x, y)):
        changed = row.copy()
        if changed[x].dtype.kind != "f" and None in events.sky.nulls:
            return []
        for name, null in zip((x, y), events.sky.nulls, strict=True):
            if name in columns:
                read_column(changed, name)[:] = np.nan if null is None else null
        rows.append(changed)
    return rows


def by_channel(events: EventList, band: tuple[int, int]) -> list[np.ndarray]:
    """Rows just outside the band."""
    row = good_row(events, band)
    return [_changed(row, events.format.pi_column, channel) for channel in (band[0] - 1, band[1] + 1)]


KINDS = {"flags": by_flags, "time": by_time, "position": by_position, "channel": by_channel}


def insert(rows: np.ndarray, added: list[np.ndarray], seed: int) -> np.ndarray:
    """The rows with others put in between at random places; their own order stays."""
    places = np.random.default_rng(seed).integers(0, len(rows) + 1, len(added))
    order = np.argsort(np.concatenate((np.arange(len(rows)) + 0.5, places)), kind="stable")
    # Concatenation makes native byte order of FITS's big-endian one.
    return np.concatenate((rows, *added)).astype(rows.dtype)[order]
