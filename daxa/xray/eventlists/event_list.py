"""Event lists, whose rows stay in their files.

The rows are a structured array over a memory map, so that a list of any length costs no memory; only a compressed list
is read into memory.  `daxa.xray.eventlists.opening` opens one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits
from astropy.wcs import WcsError

from daxa.errors import DataError, NotPossible
from daxa.xray.eventlists import gti
from daxa.xray.eventlists.cards import card_number, card_text
from daxa.xray.eventlists.clock import Clock
from daxa.xray.eventlists.fits_tables import FitsTable, column_null, in_machine_order, read_column, read_numbers
from daxa.xray.eventlists.formats import EventFormat, Product, why_not
from daxa.xray.eventlists.frames import to_icrs
from daxa.xray.eventlists.sky_grid import SkyGrid

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["EventList"]

_BLOCK = 1 << 21


@dataclass(frozen=True, eq=False, repr=False)
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
        The name of the observation as the header gives it; '' where missions leave it out.
    exposure
        The archive's exposure identifier, such as ``S001``; ``None`` (the text) where the
        mission has none.
    rows
        Shape (n,): the rows, read-only, big-endian as FITS stores them, one field per
        column.  Bit columns of 8, 16, 32 and 64 bits are unsigned integers whose highest
        bit is the first one.  Columns with TSCAL or TZERO are bytes: `column` makes values of them.
    gtis
        Chip to good time intervals, shape (k, 2), s, as `daxa.xray.eventlists.gti.normalise` gives
        them.  Chip 0 where one list holds for all chips.  A chip that is absent has no
        good time.
    sky_grid
        Sky coordinates of the events, None where the list has none (timing mode).
    tables
        All binary tables of the file, in its order.
    clock
        What the times mean.
    assumptions
        What the list does not say and was taken for granted, one sentence each; products
        repeat them.

    Examples
    --------
    Open a list of any mission, and make an image and a light curve of it::

        from daxa.xray import EventList, count_image, grid_for, light_curve, pi_range, standard_cut

        events = EventList.open("acisf18461N003_evt2.fits")
        events.why_not("energy-band")      # '': it has energies
        first, last, lo, hi = pi_range(events.format, 0.5, 2.0)
        cut = standard_cut(events, pi=(first, last))
        image = count_image(events, cut, grid_for(events, 1.968))
        curve = light_curve(events, cut, 100.0)
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
    tables: tuple[FitsTable, ...]
    clock: Clock
    assumptions: tuple[str, ...] = field(default=())

    @classmethod
    def open(cls, path: str | Path, *, good_times: ArrayLike | None = None) -> EventList:
        """Open an event list, as `open_events` does.

        Parameters
        ----------
        path
            A FITS file, plain or compressed by gzip.
        good_times
            Intervals, shape (n, 2), s, for a list that has no good times of its own.

        Returns
        -------
        EventList
            Its rows are not read yet.

        Raises
        ------
        DataError, NotPossible
            As `open_events`.
        """
        from daxa.xray.eventlists.opening import open_events

        return open_events(path, good_times=good_times)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        seconds = max((gti.total(good) for good in self.gtis.values()), default=0.0)
        name = " ".join(part for part in (self.obs_id, self.exposure) if part not in {"", "None"})
        return f"<EventList {self.format.title} {name or self.path.name}: {len(self)} events, {seconds:.1f} s>"

    def why_not(self, product: Product) -> str:
        """Why something cannot be made of this list.

        Parameters
        ----------
        product
            ``image`` or ``energy-band``.

        Returns
        -------
        str
            The reason; '' when it can.
        """
        reason = why_not(self.format, product, self.header, self.primary)
        return reason or ("it has no sky coordinates" if product == "image" and self.sky_grid is None else "")

    @cached_property
    def sky(self) -> SkyGrid:
        """Sky coordinates of the events.

        Raises
        ------
        NotPossible
            The list has none, or the instrument or its mode forbids images.
        """
        reason = why_not(self.format, "image", self.header, self.primary)
        if reason:
            raise NotPossible(
                "image",
                f"no image can be made of {self.path.name} ({self.format.title}): {reason}",
                remedy="use it for light curves and good times only",
            )
        if self.sky_grid is None:
            raise NotPossible(
                "no-sky",
                f"{self.path.name} has no sky coordinates (a timing mode?), so no image can be made of it",
                remedy="use it for light curves only",
            )
        return self.sky_grid

    def find_table(self, name: str, version: int | None = None) -> FitsTable | None:
        """The first table of the file with a name.

        Parameters
        ----------
        name
            EXTNAME, whatever its case.
        version
            EXTVER; any when left out.

        Returns
        -------
        FitsTable or None
            None when it is absent.
        """
        for table in self.tables:
            if table.name == name.upper() and version in {None, table.version}:
                return table
        return None

    def column(self, name: str) -> np.ndarray:
        """One column of `rows`.

        Parameters
        ----------
        name
            The column, whatever the case of its name.

        Returns
        -------
        numpy.ndarray
            Shape (n,), or (n, m) where a cell has several values: a view or, scaled by TSCAL and TZERO, new values.

        Raises
        ------
        DataError
            There is no such column, or it is of a type that is not read.
        """
        return read_column(self.rows, name)

    @property
    def block(self) -> int:
        """How many rows are best looked at together: few enough to stay in the processor's cache."""
        return max(1, _BLOCK // max(1, self.rows.dtype.itemsize))

    def chunks(self, size: int = 200_000) -> Iterator[np.ndarray]:
        """The rows in pieces.

        Parameters
        ----------
        size
            Most rows of a piece.

        Yields
        ------
        numpy.ndarray
            Shape (k,), a view.
        """
        for start in range(0, len(self.rows), size):
            yield self.rows[start : start + size]

    def times(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Times of the events, s, on the clock of `gtis`; `clock` makes dates of them.

        Parameters
        ----------
        rows
            Shape (n,), rows of this list; all when left out.

        Returns
        -------
        numpy.ndarray
            Shape (n,), float64, s.

        Raises
        ------
        DataError
            The column does not hold one number per event.
        """
        column = read_column(self.rows if rows is None else rows, self.format.time_column)
        if column.dtype.kind not in "iuf" or column.ndim != 1:
            raise self._wrong_kind(self.format.time_column, column)
        seconds = column.astype(np.float64)
        return seconds if self.clock.unit == 1.0 else seconds * self.clock.unit

    def channels(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Energy channels of the events; of real-valued ones the integer part.

        Parameters
        ----------
        rows
            Shape (n,), rows of this list; all when left out.

        Returns
        -------
        numpy.ndarray
            Shape (n,).

        Raises
        ------
        DataError
            The column does not hold one number per event.
        """
        column = read_column(self.rows if rows is None else rows, self.format.pi_column)
        if column.dtype.kind not in "iuf" or column.ndim != 1:
            raise self._wrong_kind(self.format.pi_column, column)
        return np.floor(column) if column.dtype.kind == "f" else column

    def in_band(self, rows: np.ndarray, first: int, last: int) -> np.ndarray:
        """Which events have a channel from the first to the last; one whose channel is null has none.

        Parameters
        ----------
        rows
            Shape (n,), rows of this list.
        first, last
            Channels.

        Returns
        -------
        numpy.ndarray
            Booleans, shape (n,).
        """
        channels = in_machine_order(self.channels(rows))
        inside = (channels >= first) & (channels <= last)
        null = self.null_channel
        if null is not None and first <= null <= last:
            inside &= in_machine_order(read_column(rows, self.format.pi_column)) != null
        return inside

    def energies(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Energies of the events, keV: from the column of energies where there is one, else of the channels' centres.

        Parameters
        ----------
        rows
            Shape (n,), rows of this list; all when left out.

        Returns
        -------
        ndarray
            Shape (n,), keV; NaN for events whose channel is null (TNULLn).

        Raises
        ------
        NotPossible
            The instrument measures none.
        """
        own = self.rows if rows is None else rows
        form = self.format
        if form.pi_to_kev is None:
            raise NotPossible(
                "energy-band",
                f"the events of {self.path.name} ({form.title}) have no energies: {self.why_not('energy-band')}",
                remedy="select channels instead",
            )
        if form.energy_column:
            return read_numbers(own, form.energy_column).astype(np.float64) / 1000.0
        zero, gain = form.pi_to_kev
        column = read_column(own, form.pi_column)
        # A real-valued channel is an energy of its own; a whole one stands for all that it covers.
        middle = 0.0 if form.pi_is_energy or column.dtype.kind == "f" else 0.5
        energies = zero + gain * (column.astype(np.float64) + middle)
        if self.null_channel is not None:
            energies[column == self.null_channel] = np.nan
        return energies

    @cached_property
    def null_channel(self) -> float | None:
        """The channel of events that have none, None where there is no such; without a TNULLn it is HEASoft's."""
        columns = range(1, int(card_number(self.header, "TFIELDS", 0)) + 1)
        key = self.format.pi_column.upper()
        number = next((n for n in columns if card_text(self.header, f"TTYPE{n}").upper() == key), 0)
        if card_text(self.header, f"TNULL{number}"):
            return column_null(self.header, number)
        kind = read_column(self.rows[:0], self.format.pi_column).dtype
        return np.iinfo(kind).min if kind.kind == "i" else None

    def positions(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Right ascension and declination of the events, ICRS, deg, shape (n, 2), whatever the frame of the list.

        Parameters
        ----------
        rows
            Shape (n,), rows of this list; all when left out.

        Returns
        -------
        ndarray
            Shape (n, 2), deg; NaN for events without a position.

        Raises
        ------
        NotPossible
            As `sky`.
        DataError
            The cards of the sky columns are not valid.
        """
        own, sky = self.rows if rows is None else rows, self.sky
        pixels = np.empty((len(own), 2))
        for axis, (name, null) in enumerate(zip(sky.columns, sky.nulls, strict=True)):
            column = read_column(own, name)
            pixels[:, axis] = column
            if null is not None and column.dtype.kind != "f":
                pixels[column == null, axis] = np.nan
        known = np.isfinite(pixels).all(axis=1)
        pixels[~known] = np.nan
        try:
            x, y = pixels[known].T
            pixels[known] = np.column_stack(to_icrs(sky.wcs, x, y, 1))
        except WcsError as problem:
            raise DataError(
                "sky",
                f"the sky columns of {self.path.name} cannot be used: {str(problem).splitlines()[-1]}",
                remedy="fetch the event list again",
            ) from problem
        return pixels

    def _wrong_kind(self, name: str, column: np.ndarray) -> DataError:
        return DataError(
            "column-type",
            f"column {name} of {self.path.name} is of type {column.dtype}, not a number per event",
            remedy="use the list as the archive distributes it",
        )
