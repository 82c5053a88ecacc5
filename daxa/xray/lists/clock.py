"""What the times of an event list mean.

Times are kept as seconds since the list's reference, as its TIME column has them; a
`Clock` turns them into dates: MJD = reference + (TIMEZERO + time) / 86400, in the time
system that TIMESYS names.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from astropy.time import Time

from daxa.errors import DataError
from daxa.xray.lists.cards import card_number, card_text
from daxa.xray.lists.eventformat import EventFormat

__all__ = ["Clock", "read_clock", "seconds_per_unit"]

_DAY = 86400.0
_MOST_DAYS = 100_000
_MOST_ELAPSED = 365_250_000

_UNITS = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "d": _DAY, "day": _DAY, "days": _DAY}

_SCALES = {"TT": "tt", "TDT": "tt", "TDB": "tdb", "TAI": "tai", "UTC": "utc"}

_REFERENCES = (("MJDREFI", "MJDREFF"), ("XS-MJDRD", "XS-MJDRF"))
"""Pairs of cards with the whole and the fraction of the reference; the second is that of PROS (ROSAT)."""


@dataclass(frozen=True)
class Clock:
    """The meaning of times.

    Parameters
    ----------
    day, fraction
        Reference, MJD: whole days and the rest.
    zero
        TIMEZERO, s: added to every time.
    unit
        Seconds to a unit of the time column.
    scale
        Name of the time system in `astropy.time`.

    Examples
    --------
    >>> Clock(50814, 0.0, 0.0, 1.0, "tt").date(86400.0 * 366).isot
    '1999-01-02T00:00:00.000'
    """

    day: int
    fraction: float
    zero: float
    unit: float
    scale: str

    def date(self, seconds: float | np.ndarray) -> Time:
        """Times of the list, s, as dates; whole days and fractions apart, so that nanoseconds survive.

        Raises
        ------
        DataError
            A time is no finite number, or a million years off.
        """
        elapsed = np.asarray(seconds, dtype=np.float64) + self.zero
        days = np.floor(elapsed / _DAY)
        if not (np.abs(days) < _MOST_ELAPSED).all():
            raise _unusable("one of them is no time at which anything can have happened")
        return Time(self.day + days, self.fraction + (elapsed - days * _DAY) / _DAY, format="mjd", scale=self.scale)


def seconds_per_unit(header: fits.Header, column: str, **fallback: str) -> float:
    """Seconds to a unit of a column of times.

    Parameters
    ----------
    header
        Header of its table.
    column
        Name of the column, in any case; its TUNITn counts, else TIMEUNIT, else seconds.
    fallback
        Cards to assume where the header has none, such as ``TIMEUNIT="d"``.

    Raises
    ------
    DataError
        The unit is none of time.

    Examples
    --------
    >>> seconds_per_unit(fits.Header({"TFIELDS": 1, "TTYPE1": "TIME", "TUNIT1": "d"}), "TIME")
    86400.0
    """
    wanted = column.upper()
    for number in range(1, int(card_number(header, "TFIELDS", 0)) + 1):
        if card_text(header, f"TTYPE{number}").upper() == wanted:
            own = card_text(header, f"TUNIT{number}")
            break
    else:
        own = ""
    unit = own or card_text(header, "TIMEUNIT") or fallback.get("TIMEUNIT", "") or "s"
    if unit.lower() not in _UNITS:
        raise _unusable(f"its times are in {unit!r}")
    return _UNITS[unit.lower()]


def read_clock(form: EventFormat, events: fits.Header, primary: fits.Header) -> tuple[Clock, tuple[str, ...]]:
    """The clock of an event list, and what had to be assumed about it.

    Parameters
    ----------
    form
        The facts about lists of this kind.
    events, primary
        Headers of the events table and of the primary HDU; the first wins.

    Returns
    -------
    clock : Clock
    assumptions : tuple of str
        One sentence for each card that the list lacks.

    Raises
    ------
    DataError
        A card makes no sense, or there is no reference.
    """
    assumptions = []
    day, fraction = _reference(events) or _reference(primary) or (None, 0.0)
    if day is None:
        if form.mjdref is None:
            raise _unusable("it does not say where its times count from (MJDREF)")
        assumptions.append(f"times count from MJD {form.mjdref!r}")
        day, fraction = divmod(form.mjdref, 1.0)
    if not 0 <= day < _MOST_DAYS:
        raise _unusable(f"they count from MJD {day}")
    stated = (card_text(events, "TIMESYS") or card_text(primary, "TIMESYS")).upper()
    if stated not in _SCALES:
        assumptions.append("times are Terrestrial Time" + (f" (TIMESYS is {stated})" if stated else ""))
    zero_from = events if card_text(events, "TIMEZERO") else primary
    clock = Clock(
        int(day),
        float(fraction),
        card_number(zero_from, "TIMEZERO", 0.0),
        seconds_per_unit(events, form.time_column, TIMEUNIT=card_text(primary, "TIMEUNIT")),
        _SCALES.get(stated, "tt"),
    )
    return clock, tuple(assumptions)


def _reference(header: fits.Header) -> tuple[int, float] | None:
    """Whole days and fraction of the reference, where a header has it; both forms may stand side by side."""
    for whole, rest in _REFERENCES:
        if card_text(header, whole):
            value = card_number(header, whole)
            return math.floor(value), (value - math.floor(value)) + card_number(header, rest, 0.0)
    if card_text(header, "MJDREF"):
        value = card_number(header, "MJDREF")
        return math.floor(value), value - math.floor(value)
    return None


def _unusable(what: str) -> DataError:
    return DataError(
        "time",
        f"the times of the event list cannot be read: {what}",
        remedy="fetch the file again; if the archive's own copy is like this, leave the observation out",
    )
