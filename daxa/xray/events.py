"""Event lists, opened without copying them.

`open_events` reads headers and good time intervals; the rows stay in the file, as a
structured array over a memory map, so that a list of any length costs no memory.  Only
a compressed list is read into memory.  Every count, offset and name in the file is
checked before it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from astropy.io import fits

from daxa.errors import DataError, NotPossible
from daxa.xray.formats import EventFormat, card_text, recognise
from daxa.xray.goodtimes import read_gtis
from daxa.xray.sky import SkyGrid, find_sky
from daxa.xray.tables import Table, read_column, read_tables

__all__ = ["EventList", "open_events"]

_OBS_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.+-]{0,62}[A-Za-z0-9])?", re.ASCII)
_EXPOSURE = re.compile(r"[SUX][0-9]{3}", re.ASCII)


@dataclass(frozen=True, eq=False)
class EventList:
    """One event list: its headers, good time intervals and rows.

    Parameters
    ----------
    path
        The file.
    format
        The facts about lists of its kind.
    header, primary
        Headers of the events table and of the primary HDU.
    obs_id
        OBS_ID as the header has it.
    exposure
        The archive's exposure identifier, such as ``S001``; ``None`` (the text) where the
        mission has none.
    rows
        Shape (n,): the rows, read-only, big-endian as FITS stores them, one field per
        column.  Bit columns of 8, 16, 32 and 64 bits are unsigned integers whose highest
        bit is the first one.  Columns with TSCAL or TZERO are opaque.
    gtis
        Chip to good time intervals, shape (k, 2), s, as `daxa.xray.gti.normalise` gives
        them.  Chip 0 where one list holds for all chips.  A chip that is absent has no
        good time.
    sky_grid
        Sky coordinates of the events, None where the list has none (timing mode).
    tables
        All binary tables of the file, in its order.
    """

    path: Path
    format: EventFormat
    header: fits.Header
    primary: fits.Header
    obs_id: str
    exposure: str
    rows: np.ndarray
    gtis: Mapping[int, np.ndarray]
    sky_grid: SkyGrid | None
    tables: tuple[Table, ...]

    @property
    def sky(self) -> SkyGrid:
        """Sky coordinates of the events.

        Raises
        ------
        NotPossible
            The list has none.
        """
        if self.sky_grid is None:
            raise NotPossible(
                "no-sky",
                f"{self.path.name} has no sky coordinates (a timing mode?), so no image can be made of it",
                remedy="use it for light curves only",
            )
        return self.sky_grid

    def find_table(self, name: str, version: int | None = None) -> Table | None:
        """The first table of the file with this EXTNAME (and EXTVER); None when absent."""
        for table in self.tables:
            if table.name == name.upper() and version in {None, table.version}:
                return table
        return None

    def column(self, name: str) -> np.ndarray:
        """One column of `rows` as a view, whatever the case of its name.

        Raises
        ------
        DataError
            There is no such column, or its values are scaled.
        """
        return read_column(self.rows, name)

    def chunks(self, size: int = 200_000) -> Iterator[np.ndarray]:
        """The rows, `size` at a time, as views."""
        for start in range(0, len(self.rows), size):
            yield self.rows[start : start + size]


def open_events(path: Path) -> EventList:
    """Open an event list.

    Parameters
    ----------
    path
        A FITS file, plain (memory-mapped) or compressed by gzip (read into memory),
        whatever its name ends with.

    Returns
    -------
    EventList
        Its rows are not read yet.

    Raises
    ------
    DataError
        The file is absent, damaged, truncated, not an event list, or has no good time
        intervals.
    NotPossible
        It comes from an instrument that is not processed natively.
    """
    path = Path(path)
    primary, tables = read_tables(path)
    events = _events_table(path, tables)
    form = recognise(primary, events.header)
    return EventList(
        path=path,
        format=form,
        header=events.header,
        primary=primary,
        obs_id=_obs_id(path, events.header, primary),
        exposure=_exposure(events.header, primary),
        rows=events.rows(),
        gtis=MappingProxyType(read_gtis(path.name, form, events.header, tables)),
        sky_grid=find_sky(form, events.header),
        tables=tables,
    )


def _events_table(path: Path, tables: tuple[Table, ...]) -> Table:
    named = [table for table in tables if table.name == "EVENTS"]
    typed = [table for table in tables if card_text(table.header, "HDUCLAS1").upper() == "EVENTS"]
    found = named or typed
    if len(found) != 1:
        raise DataError(
            "not-events",
            f"{path.name} holds {len(found) or 'no'} tables of events",
            remedy="check that the file is an event list as the archive distributes it",
        )
    return found[0]


def _obs_id(path: Path, events: fits.Header, primary: fits.Header) -> str:
    text = card_text(events, "OBS_ID") or card_text(primary, "OBS_ID")
    if not _OBS_ID.fullmatch(text):
        raise DataError(
            "obs-id",
            f"{path.name} says that it belongs to observation {text!r}, which is no ObsID",
            remedy="fetch the file again",
        )
    return text


def _exposure(events: fits.Header, primary: fits.Header) -> str:
    text = card_text(events, "EXPIDSTR") or card_text(primary, "EXPIDSTR")
    return text if _EXPOSURE.fullmatch(text) else "None"
