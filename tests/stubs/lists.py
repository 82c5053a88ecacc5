"""What the stand-ins do with event lists: read, select, bin, add, and write them with their headers and good times."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits

GTI_NAMES = re.compile(r"(?:STD)?GTI\d*|FLAREGTI\d*|STDGTI\d+")


def read(path: Path | str) -> fits.HDUList:
    """All of a file, in memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path, memmap=False, lazy_load_hdus=False) as parts:
            for part in parts:
                _ = part.data
            return fits.HDUList([part.copy() for part in parts])


def table_of(parts: fits.HDUList, name: str = "") -> fits.BinTableHDU:
    """A table by its name, EVENTS, or the first."""
    tables = [part for part in parts if isinstance(part, fits.BinTableHDU)]
    wanted = [part for part in tables if part.name == (name or "EVENTS").upper()]
    return (wanted or tables)[0]


def columns_of(table: fits.BinTableHDU) -> dict[str, np.ndarray]:
    """Its columns by name, in the order of the machine."""
    return {
        name: np.asarray(table.data[name]).astype(table.data[name].dtype.newbyteorder("="))
        for name in table.columns.names
        if table.data[name].dtype.kind in "iufb"
    }


def keep_rows(parts: fits.HDUList, mask: np.ndarray, name: str = "") -> fits.HDUList:
    """The same file with fewer rows in one of its tables."""
    table = table_of(parts, name)
    table.data = table.data[mask]
    return parts


def write(parts: fits.HDUList, path: Path) -> None:
    """Write, over what is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts.writeto(path, overwrite=True, output_verify="silentfix")


def intervals_of(path: Path | str, name: str = "") -> np.ndarray:
    """Start and stop of the good times of a file."""
    parts = read(path)
    found = [
        part for part in parts[1:]
        if isinstance(part, fits.BinTableHDU) and {"START", "STOP"} <= set(part.columns.names)
        and (not name or part.name.startswith(name.upper()))
    ]  # fmt: skip
    pairs = [np.column_stack([part.data["START"], part.data["STOP"]]).astype(float) for part in found]
    return np.concatenate(pairs) if pairs else np.empty((0, 2))


def within(intervals: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Which times lie in one of the intervals."""
    good = np.zeros(len(times), bool)
    for start, stop in intervals:
        good |= (times >= start) & (times <= stop)
    return good


def limit(parts: fits.HDUList, intervals: np.ndarray) -> None:
    """Cut the good times of a file to some intervals."""
    for at, part in enumerate(parts):
        if GTI_NAMES.fullmatch(part.name):
            pairs = [
                (max(one, start), min(two, stop))
                for one, two in zip(part.data["START"], part.data["STOP"], strict=True)
                for start, stop in intervals
                if max(one, start) < min(two, stop)
            ]
            cut = gti_table(np.array(pairs).reshape(-1, 2), part.name)
            for card in part.header.cards:
                if card.keyword not in cut.header:
                    cut.header.append(card)
            parts[at] = cut


def gti_table(intervals: Sequence[tuple[float, float]] | np.ndarray, name: str = "STDGTI") -> fits.BinTableHDU:
    """A table of good times."""
    pairs = np.asarray(intervals, float).reshape(-1, 2)
    columns = [fits.Column("START", "D", "s", array=pairs[:, 0]), fits.Column("STOP", "D", "s", array=pairs[:, 1])]
    return fits.BinTableHDU.from_columns(columns, name=name)


def common(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Times that are in both lists of intervals, each without overlaps."""
    pairs = [(max(a, c), min(b, d)) for a, b in first for c, d in second if max(a, c) < min(b, d)]
    return np.array(sorted(pairs), float).reshape(-1, 2)


def union(intervals: np.ndarray) -> np.ndarray:
    """The same times without overlaps."""
    joined_pairs: list[list[float]] = []
    for start, stop in sorted(map(tuple, intervals)):
        if joined_pairs and start <= joined_pairs[-1][1]:
            joined_pairs[-1][1] = max(joined_pairs[-1][1], stop)
        else:
            joined_pairs.append([start, stop])
    return np.array(joined_pairs, float).reshape(-1, 2)


def put_gti(parts: fits.HDUList, intervals: np.ndarray, name: str = "GTI") -> None:
    """Have a list say these good times in place of those that it has under this name."""
    table = gti_table(intervals, name)
    if name in [part.name for part in parts]:
        old = parts[name].header
        table.header.update(
            {key: old[key] for key in ("MJDREF", "MJDREFI", "MJDREFF", "TIMESYS", "CCD_ID") if key in old}
        )
        parts[parts.index_of(name)] = table
    else:
        parts.append(table)


def joined(good: np.ndarray, starts: np.ndarray, width: float) -> np.ndarray:
    """Intervals that runs of good bins make."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(int)))
    pairs = edges.reshape(-1, 2)
    return np.column_stack([starts[pairs[:, 0]], starts[pairs[:, 1] - 1] + width]) if len(pairs) else np.empty((0, 2))


def curve_of(times: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Starts of bins and counts in them."""
    if not len(times):
        return np.empty(0), np.empty(0, int)
    first = times.min()
    number = int((times.max() - first) // width) + 1
    counts = np.bincount(((times - first) // width).astype(int), minlength=number)
    return first + width * np.arange(number), counts


def added(lists: Sequence[fits.HDUList], name: str = "") -> fits.HDUList:
    """The first file with the events of all, in order of time, and all good times."""
    whole = lists[0]
    if len(lists) == 1:
        return whole
    tables = [table_of(parts, name) for parts in lists]
    rows = np.concatenate([np.asarray(table.data) for table in tables])
    if "TIME" in rows.dtype.names:
        rows = rows[np.argsort(rows["TIME"], kind="stable")]
    first = table_of(whole, name)
    whole[whole.index_of(first.name)] = fits.BinTableHDU(rows, header=first.header, name=first.name)
    present = {part.name for part in whole}
    for other in lists[1:]:
        for part in other[1:]:
            if part.name and part.name not in present:
                whole.append(part)
                present.add(part.name)
            elif GTI_NAMES.fullmatch(part.name):
                mine = whole[part.name]
                pairs = np.concatenate(
                    [[*zip(one.data["START"], one.data["STOP"], strict=True)] for one in (mine, part)]
                )
                whole[whole.index_of(part.name)] = gti_table(pairs[np.argsort(pairs[:, 0])], part.name)
    return whole


def image_of(table: fits.BinTableHDU, x: str, y: str, *, pixel, low, high) -> fits.PrimaryHDU:
    """Counts in pixels between limits, with the coordinates of the columns where these have some."""
    number = [max(1, int((high[at] - low[at]) // pixel[at]) + 1) for at in (0, 1)]
    columns = columns_of(table)
    place = [np.floor((columns[name] - low[at]) / pixel[at]).astype(int) for at, name in enumerate((x, y))]
    inside = (place[0] >= 0) & (place[0] < number[0]) & (place[1] >= 0) & (place[1] < number[1])
    counts = np.zeros(number[::-1], np.float64)
    np.add.at(counts, (place[1][inside], place[0][inside]), 1)
    header = table.header
    image = fits.PrimaryHDU(counts)
    for at, name in enumerate((x, y)):
        column = table.columns.names.index(name) + 1
        if f"TCRVL{column}" in header:
            image.header[f"CTYPE{at + 1}"] = header.get(f"TCTYP{column}", "")
            image.header[f"CRVAL{at + 1}"] = header[f"TCRVL{column}"]
            image.header[f"CDELT{at + 1}"] = header[f"TCDLT{column}"] * pixel[at]
            image.header[f"CRPIX{at + 1}"] = (header[f"TCRPX{column}"] - low[at] + 0.5) / pixel[at] + 0.5
    for card in ("TELESCOP", "INSTRUME", "OBS_ID", "EXPOSURE", "ONTIME", "DATE-OBS", "FILTER"):
        if card in header:
            image.header[card] = header[card]
    return image


def limits_of(table: fits.BinTableHDU, name: str) -> tuple[float, float]:
    """The range of a column: as its header says, else as its values have it."""
    column = table.columns.names.index(name) + 1
    low, high = (table.header.get(f"{card}{column}") for card in ("TLMIN", "TLMAX"))
    values = table.data[name]
    if low is None or high is None:
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    return float(low), float(high)


def write_like(table: fits.BinTableHDU, source: fits.BinTableHDU, *, path: str, **cards: object) -> None:
    """Write a table with the cards that it has from the table it was made of, and some more."""
    for card in ("TELESCOP", "INSTRUME", "OBS_ID", "MJDREF", "TIMESYS", "EXPOSURE"):
        if card in source.header:
            table.header[card] = source.header[card]
    table.header.update(cards)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)
