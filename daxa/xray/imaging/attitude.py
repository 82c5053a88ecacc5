"""Where the telescope pointed during an observation, from the file that records it.

Chandra's aspect solution (``asol1``) and XMM-Newton's attitude history (``ATTTSR``) give
the pointing second by second.  An exposure map needs the time spent at each shift of the
field, within the good times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from daxa.errors import DataError
from daxa.xray.eventlists import gti
from daxa.xray.eventlists.fits_tables import FitsTable, read_tables
from daxa.xray.eventlists.sky_grid import SkyGrid

__all__ = ["Attitude", "read_attitude"]

_FORMS = {"ASPSOL": ("time", "ra", "dec"), "ATTHK": ("TIME", "AHFRA", "AHFDEC")}
"""EXTNAME to the columns of time (s), right ascension and declination (deg)."""

_LEAST_COVER = 0.9
_GAP = 3.0
"""Steps of the record over which its last pointing still counts."""


@dataclass(frozen=True, eq=False)
class Attitude:
    """A record of pointings.

    Parameters
    ----------
    name
        Name of the file or files, for messages.
    times
        Shape (n,), s, increasing, of the clock of the event list.
    ra, dec
        Shape (n,), deg.
    """

    name: str
    times: np.ndarray
    ra: np.ndarray
    dec: np.ndarray

    def shifts(self, sky: SkyGrid, times: np.ndarray) -> np.ndarray:
        """Event pixel of the pointing at each time, between records by interpolation.

        Parameters
        ----------
        sky
            The plane of the event list.
        times
            Shape (n,), s, as the event list has them.

        Returns
        -------
        numpy.ndarray
            Shape (n, 2), event pixels.
        """
        x, y = sky.to_pixels(self.ra, self.dec)
        return np.column_stack([np.interp(times, self.times, one) for one in (x, y)])

    def dwell(self, sky: SkyGrid, good: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Event pixels of the pointing, and how long the telescope was there.

        Parameters
        ----------
        sky
            Coordinates of the event list.
        good
            Good time intervals, shape (k, 2), s.

        Returns
        -------
        pixels
            Shape (m, 2), event sky pixels: one for each record in a good time.
        seconds
            Shape (m,), s.

        Raises
        ------
        DataError
            The record covers less than nine tenths of the good time.
        """
        step = np.diff(self.times)
        reach = _GAP * float(np.median(step)) if len(step) else 0.0
        middle = self.times[:-1] + step / 2
        starts = np.maximum(np.concatenate(([-np.inf], middle)), self.times - reach / 2)
        stops = np.minimum(np.concatenate((middle, [np.inf])), self.times + reach / 2)
        # Intervals in time, laid out as edges: every other bin is one of them, those between are gaps.
        edges = np.column_stack((starts, stops)).ravel()
        seconds = gti.covered(good, edges)[::2]
        whole = gti.total(good)
        if seconds.sum() < _LEAST_COVER * whole:
            raise DataError(
                "attitude",
                f"{self.name} covers {seconds.sum():.0f} of {whole:.0f} s of good time",
                remedy="fetch the attitude files of the observation again, all of them",
            )
        seen = seconds > 0
        x, y = sky.to_pixels(self.ra[seen], self.dec[seen])
        return np.column_stack((x, y)), seconds[seen]


def read_attitude(paths: Sequence[Path]) -> Attitude:
    """Read the attitude of an observation.

    Parameters
    ----------
    paths
        Its files: one ATTTSR of XMM-Newton, or the aspect solutions of Chandra, which come
        one per aspect interval.

    Returns
    -------
    Attitude
        Its records in the order of time.

    Raises
    ------
    DataError
        A file is damaged, of another kind, or holds no usable record.
    """
    parts = [_read_one(Path(path)) for path in paths]
    if not parts:
        raise DataError("attitude", "no attitude file is given", remedy="give the aspect solution or attitude history")
    name = ", ".join(Path(path).name for path in paths)
    times, ra, dec = (np.concatenate(column) for column in zip(*parts, strict=True))
    _, first = np.unique(times, return_index=True)
    return Attitude(name, times[first], ra[first], dec[first])


def _read_one(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    _, tables = read_tables(path)
    found = [table for table in tables if table.name in _FORMS]
    if len(found) != 1:
        raise _unusable(path, "it holds no table ASPSOL or ATTHK")
    return _columns(path, found[0])


def _columns(path: Path, table: FitsTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    times, ra, dec = (table.numbers(name).astype(np.float64) for name in _FORMS[table.name])
    known = np.isfinite(times) & (ra >= 0) & (ra <= 360) & (np.abs(dec) <= 90)
    if known.sum() < 2:
        raise _unusable(path, "it gives no pointings")
    return times[known], ra[known], dec[known]


def _unusable(path: Path, why: str) -> DataError:
    return DataError(
        "attitude", f"{path.name} is not a usable attitude file: {why}", remedy="fetch the observation again"
    )
