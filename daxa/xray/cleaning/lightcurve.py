"""Light curves of a whole event list: counts and good time per bin.

Times are those of the event list.  The rate of a bin is its counts over its good
seconds, averaged over the chips; it is not corrected for dead time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.cleaning.cut import Cut, select
from daxa.xray.eventlists.clock import CLOCK_CARDS
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.gti import covered, union

if TYPE_CHECKING:
    from daxa.xray.cleaning.sourcemask import SourceMask

__all__ = ["LightCurve", "bin_times", "gti_table", "light_curve", "rate_tables", "time_cards", "write_light_curve"]

_MOST_BINS = 20_000_000
_LEAST_SECONDS = 1e-5


@dataclass(frozen=True)
class LightCurve:
    """Counts in equal time bins.

    Parameters
    ----------
    start
        Time at which the first bin begins, s.
    width
        Length of a bin, s.
    counts
        Events per bin, shape (n,).
    exposure
        Good seconds per bin, shape (n,), at most `width`.

    Examples
    --------
    >>> curve = LightCurve(0.0, 10.0, np.array([4, 0, 1]), np.array([10.0, 0.0, 5.0]))
    >>> curve.rate.tolist()
    [0.4, nan, 0.2]
    """

    start: float
    width: float
    counts: np.ndarray
    exposure: np.ndarray

    @property
    def edges(self) -> np.ndarray:
        """Edges of the bins, shape (n + 1,), s."""
        return self.start + self.width * np.arange(len(self.counts) + 1)

    @property
    def rate(self) -> np.ndarray:
        """Counts per good second; NaN in a bin without good time."""
        return _per_second(self.counts, self.exposure)

    @property
    def error(self) -> np.ndarray:
        """Upper one-sigma error of the rate, (1 + sqrt(N + 0.75)) / exposure (Gehrels 1986, eq. 7)."""
        return _per_second(1 + np.sqrt(self.counts + 0.75), self.exposure)


def _per_second(amount: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    good = seconds > 0
    return np.divide(amount, seconds, out=np.full(len(seconds), np.nan), where=good)


def bin_times(times: np.ndarray, start: float, width: float, n: int) -> np.ndarray:
    """Count times in `n` half-open bins that begin at `start`.

    Parameters
    ----------
    times
        Any shape, s; those outside the bins are left out.

    Returns
    -------
    numpy.ndarray
        int64, shape (n,).

    Examples
    --------
    >>> bin_times(np.array([0.0, 9.9, 10.0, 31.0]), 0.0, 10.0, 3).tolist()
    [2, 1, 0]
    """
    edges = start + width * np.arange(n + 1)
    index = np.searchsorted(edges, times, side="right") - 1
    return np.bincount(index[(index >= 0) & (index < n)], minlength=n).astype(np.int64)


def light_curve(events: EventList, cut: Cut, width: float, mask: SourceMask | None = None) -> LightCurve:
    """The light curve of the events that pass a cut.

    Parameters
    ----------
    events
        The event list.
    cut
        Which events count, and the good time of each chip.
    width
        Length of a bin, s.
    mask
        Cells of the sky whose events do not count; events without a position do.

    Returns
    -------
    LightCurve
        From the first to the last good time.  Good seconds are the mean over the
        chips that have any good time, as the counts are those of all of them.

    Raises
    ------
    DataError
        There is no good time, or the bins would be absurdly many.
    """
    good = [gti for _, gti in sorted(cut.gtis.items()) if len(gti)]
    if not good:
        raise DataError(
            "no-good-time", f"{events.path.name} has no good time", remedy="loosen the flare filter or the selection"
        )
    span = union(*good)
    start, stop = float(span[0, 0]), float(span[-1, 1])
    n = max(1, int(np.ceil((stop - start) / width)))
    if n > _MOST_BINS:
        raise DataError(
            "time-span",
            f"the good times of {events.path.name} span {stop - start:g} s",
            remedy="the times of this file are damaged: fetch it again",
        )
    edges = start + width * np.arange(n + 1)
    exposure = sum((covered(gti, edges) for gti in good), np.zeros(n)) / len(good)
    # Differences of cumulated times leave crumbs in bins without good time.
    exposure[exposure < _LEAST_SECONDS] = 0.0
    counts = np.zeros(n, dtype=np.int64)
    for rows in events.chunks():
        chosen = select(events, cut, rows)
        if mask is not None:
            chosen &= ~mask.hides(rows)
        counts += bin_times(events.times(rows[chosen]), start, width, n)
    return LightCurve(start, width, counts, exposure)


_IDENTITY_KEYWORDS = ("TELESCOP", "INSTRUME", "OBS_ID", "OBJECT", "SIMULATD")


def time_cards(header: fits.Header) -> list[fits.Card]:
    """The cards that say how times count, without comments."""
    return [fits.Card(key, header[key]) for key in CLOCK_CARDS if key in header]


def write_light_curve(
    path: Path,
    curve: LightCurve,
    header: fits.Header,
    cards: Mapping[str, tuple[object, str]],
    *,
    kept: np.ndarray | None = None,
    gti: np.ndarray | None = None,
) -> None:
    """Write a light curve as a FITS table ``RATE`` (OGIP/93-003).

    Parameters
    ----------
    path
        The file to write.
    curve
        What to write.
    header
        Of the events table: its time system and what it observed are copied.
    cards
        Keyword to (value, comment), written into both headers.
    kept
        Shape (n,), bool: the bins that a flare filter kept (column ``KEPT``).
    gti
        Shape (m, 2): written as a table ``GTI``.
    """
    extra = [] if kept is None else [fits.Column("KEPT", "L", array=kept)]
    primary, table = rate_tables(curve, header, cards, extra)
    fits.HDUList([primary, table, *([] if gti is None else [gti_table(gti, header)])]).writeto(
        path, output_verify="exception"
    )


def rate_tables(
    curve: LightCurve, header: fits.Header, cards: Mapping[str, tuple[object, str]], extra: Sequence[fits.Column]
) -> tuple[fits.PrimaryHDU, fits.BinTableHDU]:
    """The units of a light curve: an empty primary one and the table ``RATE``, as `write_light_curve` writes them.

    Parameters
    ----------
    curve, header, cards
        As in `write_light_curve`.
    extra
        Columns beyond those of every light curve.
    """
    centres = curve.edges[:-1] + curve.width / 2
    columns = [
        fits.Column("TIME", "D", unit="s", array=centres),
        fits.Column("RATE", "D", unit="count/s", array=curve.rate),
        fits.Column("ERROR", "D", unit="count/s", array=curve.error),
        fits.Column("COUNTS", "J", unit="count", array=curve.counts),
        fits.Column("FRACEXP", "D", array=curve.exposure / curve.width),
    ]
    table = fits.BinTableHDU.from_columns([*columns, *extra], name="RATE")
    stated = {
        "HDUCLASS": ("OGIP", "format conforms to OGIP standard"),
        "HDUCLAS1": ("LIGHTCURVE", "light curve"),
        "HDUCLAS2": ("TOTAL", "source and background"),
        "HDUCLAS3": ("RATE", "counts per second"),
        "TIMEDEL": (curve.width, "[s] length of a bin"),
        "TIMEPIXR": (0.5, "TIME is the centre of the bin"),
        "TSTART": (float(curve.edges[0]), "[s] start of the first bin"),
        "TSTOP": (float(curve.edges[-1]), "[s] end of the last bin"),
        "ERRTYPE": ("GEHRELS", "(1 + sqrt(N + 0.75)) / good seconds"),
        "DEADAPP": (False, "not corrected for dead time"),
    }
    table.header.extend(time_cards(header))
    primary = fits.PrimaryHDU()
    observed = {key: header[key] for key in _IDENTITY_KEYWORDS if key in header}
    for key, value in {**stated, **observed, **cards}.items():
        table.header[key] = value
    for key, value in {**observed, **cards}.items():
        primary.header[key] = value
    return primary, table


def gti_table(gti: np.ndarray, header: fits.Header) -> fits.BinTableHDU:
    """Good time intervals, shape (n, 2), s, as a table ``GTI`` with the time system of a header."""
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("START", "D", unit="s", array=gti[:, 0]),
            fits.Column("STOP", "D", unit="s", array=gti[:, 1]),
        ],
        name="GTI",
    )
    table.header.extend(time_cards(header))
    table.header["HDUCLASS"] = ("OGIP", "format conforms to OGIP standard")
    table.header["HDUCLAS1"] = ("GTI", "good time intervals")
    table.header["ONTIME"] = (float((gti[:, 1] - gti[:, 0]).sum()), "[s] sum of the intervals")
    return table
