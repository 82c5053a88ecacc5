"""What the times of an event list mean.

Times are kept as seconds since the list's reference, as in its TIME column; a
`Clock` turns them into dates: MJD = reference + (TIMEZERO + time) / 86400, in the time
system that TIMESYS names.  Seconds of UTC count on through leap seconds.

Other tables of times (`compare_clocks`) may write the same clock in other cards: what
is compared is the instant that they count from, the system and the place.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from astropy.io import fits
from astropy.time import Time

from daxa.errors import DataError
from daxa.xray.eventlists.cards import card_number, card_text
from daxa.xray.telescopes.eventformat import EventFormat

__all__ = [
    "CLOCK_CARDS",
    "Clock",
    "compare_clocks",
    "in_seconds",
    "read_clock",
    "seconds_per_unit",
    "time_zero",
    "unit_of_cards",
]

_DAY = 86400.0
_MOST_DAYS = 100_000
_MOST_ELAPSED = 365_250_000

_UNITS = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "d": _DAY, "day": _DAY, "days": _DAY}

_SCALES = {
    "TT": "tt", "TDT": "tt", "ET": "tt", "TDB": "tdb", "TAI": "tai", "IAT": "tai", "UTC": "utc", "GMT": "utc",
    "TCG": "tcg", "TCB": "tcb",
}  # fmt: skip
"""TIMESYS (FITS standard 4.0, table 30) to the scale in `astropy.time`."""

_PLACES = {"LOCAL": "TOPOCENT", "GEOCENTR": "GEOCENTE", "SOLARSYS": "BARYCENT"}
"""First eight letters of TIMEREF, the older name of TREFPOS, to that of TREFPOS."""

_SAME = 1e-6
"""Seconds: clocks that differ by less are one."""

_REFERENCES = (
    ("MJDREFI", "MJDREFF"), ("XS-MJDRD", "XS-MJDRF"), ("MJDREF", ""), ("JDREFI", "JDREFF"), ("JDREF", ""),
)  # fmt: skip
"""Cards with the reference, whole and its fraction or both in one; the second pair is that of PROS (ROSAT).  What
comes first counts (FITS standard 4.0, section 9.2.2)."""

CLOCK_CARDS = (
    "MJDREF", "MJDREFI", "MJDREFF", "TIMESYS", "TIMEUNIT", "TIMEREF", "TASSIGN", "TIMEZERO", "CLOCKAPP",
    "XS-MJDRD", "XS-MJDRF", "JDREF", "JDREFI", "JDREFF", "DATEREF", "TREFPOS", "TIMEZERI", "TIMEZERF", "TIMEOFFS",
)  # fmt: skip
"""Every card that says how times count."""

_JULIAN = 2400000.5
"""JD of MJD 0."""


@dataclass(frozen=True)
class Clock:
    """The meaning of times.

    Parameters
    ----------
    day, fraction
        Reference, MJD: whole days and the rest.
    zero
        TIMEZERO, or TIMEZERI and TIMEZERF, and TIMEOFFS, s: added to every time.
    unit
        Length of a unit of the time column, s.
    scale
        Name of the time system in `astropy.time`.
    system, place
        TIMESYS and TIMEREF (or TREFPOS) as the list states them, in capitals; '' where it does not.

    Examples
    --------
    >>> Clock(50814, 0.0, 0.0, 1.0, "tt").date(86400.0 * 366).isot
    '1999-01-02T00:00:00.000'
    """

    day: float
    fraction: float
    zero: float
    unit: float
    scale: str
    system: str = ""
    place: str = ""

    def date(self, seconds: float | np.ndarray) -> Time:
        """Times of the list as dates; whole days and fractions apart, so that nanoseconds survive.

        Parameters
        ----------
        seconds
            One time, or an array of any shape, s.

        Returns
        -------
        astropy.time.Time
            Of the same shape, in the list's time system.

        Raises
        ------
        DataError
            A time is not a finite number, or a million years off.
        """
        elapsed = np.asarray(seconds, dtype=np.float64) + self.zero
        days = np.floor(elapsed / _DAY)
        if not (np.abs(days) < _MOST_ELAPSED).all():
            raise _unusable("one of them is not a possible time")
        if self.scale != "utc":
            return Time(self.day + days, self.fraction + (elapsed - days * _DAY) / _DAY, format="mjd", scale=self.scale)
        with warnings.catch_warnings():
            # Years for which leap seconds are not known yet.
            warnings.simplefilter("ignore")
            start = Time(self.day, self.fraction, format="mjd", scale="utc").tai
            return Time(start.jd1 + days, start.jd2 + (elapsed - days * _DAY) / _DAY, format="jd", scale="tai").utc


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
        The unit is not a unit of time.

    Examples
    --------
    >>> seconds_per_unit(fits.Header({"TFIELDS": 1, "TTYPE1": "TIME", "TUNIT1": "d"}), "TIME")
    86400.0
    """
    key = column.upper()
    for number in range(1, int(card_number(header, "TFIELDS", 0)) + 1):
        if card_text(header, f"TTYPE{number}").upper() == key:
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
        A card is not valid, or there is no reference.
    """
    assumptions = []
    found = _reference(events, primary) or _reference(primary, events)
    if found is None:
        if form.mjdref is None:
            raise DataError(
                "time",
                "the times of the event list cannot be read: its headers do not say where they count from",
                remedy="write MJDREFI and MJDREFF (or MJDREF) into the header of its events",
            )
        assumptions.append(f"times count from MJD {form.mjdref!r}")
        found = (*divmod(form.mjdref, 1.0), _SAME)
    day, fraction, _ = found
    if not 0 <= day < _MOST_DAYS:
        raise _unusable(f"they count from MJD {day}")
    assumptions += _two_references(events, primary)
    system = _first("TIMESYS", events, primary)
    scale = _scale(system)
    if not scale:
        assumptions.append("times are Terrestrial Time" + (f" (TIMESYS is {system})" if system else ""))
    elif scale == "utc":
        assumptions.append("seconds of UTC count through leap seconds")
    zero = next((own for header in (events, primary) if (own := time_zero(header)) is not None), 0.0)
    clock = Clock(
        int(day),
        float(fraction),
        zero * unit_of_cards(events, primary),
        seconds_per_unit(events, form.time_column, TIMEUNIT=card_text(primary, "TIMEUNIT")),
        scale or "tt",
        system,
        _place(events, primary),
    )
    return clock, tuple(assumptions)


def compare_clocks(
    header: fits.Header, clock: Clock, events: fits.Header, primary: fits.Header, own_primary: fits.Header | None = None
) -> tuple[str, str]:
    """Whether the times of a table are on the clock of the events.

    Parameters
    ----------
    header
        Header of the table.
    clock
        That of the events.
    events, primary
        Headers from which it was read.
    own_primary
        Primary header of the file that the table is in, where it says what the table does
        not; None when it is the same file.

    Returns
    -------
    problem : str
        Why it is another clock, as the end of a sentence; '' when it is the same.
    assumption : str
        What had to be taken for granted; '' when nothing.

    Examples
    --------
    >>> events = fits.Header({"MJDREFI": 51910, "MJDREFF": 0.001, "TIMESYS": "TT"})
    >>> clock = Clock(51910, 0.001, 0.0, 1.0, "tt", "TT")
    >>> compare_clocks(fits.Header({"MJDREFI": 51911, "MJDREFF": -0.999}), clock, events, fits.Header())
    ('', '')
    >>> compare_clocks(fits.Header({"TIMESYS": "TDB"}), clock, events, fits.Header())[0]
    'counts time in TDB, the events in TT'
    """
    headers = header, primary if own_primary is None else own_primary
    system, place = _first("TIMESYS", *headers), _place(*headers)
    unknown = system and clock.system and not _scale(system) and not _scale(clock.system)
    if (system and (_scale(system) or "tt") != clock.scale) or (unknown and system != clock.system):
        return f"counts time in {system}, the events in {clock.system or 'TT'}", ""
    if place and clock.place and place != clock.place:
        return f"measures time at {place} (TIMEREF), the events at {clock.place}", ""
    found = _reference(*headers) or _reference(*reversed(headers))
    allowed, apart = _SAME, 0.0
    if found is not None:
        day, fraction, allowed = found
        apart = (day - clock.day) * _DAY + (fraction - clock.fraction) * _DAY
        if clock.scale == "utc" and day != clock.day:
            # There may be leap seconds between.
            starts = (replace(clock, day=day, fraction=fraction, zero=0.0), replace(clock, zero=0.0))
            apart = float((starts[0].date(0.0) - starts[1].date(0.0)).sec)
        allowed = max(allowed, (_reference(events, primary) or _reference(primary, events) or found)[2])
    own = time_zero(header)
    zero = (own or 0.0) * unit_of_cards(*headers)
    if abs(apart + zero - clock.zero) <= allowed:
        return "", ""
    is_stated = own is not None, any(time_zero(one) is not None for one in (events, primary))
    if not all(is_stated) and abs(apart) <= allowed:
        whose = "the good times, not the events," if is_stated[0] else "the events, not the good times,"
        return "", f"{whose} have a TIMEZERO ({zero if is_stated[0] else clock.zero:g} s); both are on one clock"
    moment = "counts time from another moment (MJDREF, TIMEZERO)"
    return f"{moment}, {apart + zero - clock.zero:+.6f} s from that of the events", ""


def _first(keyword: str, *headers: fits.Header) -> str:
    return next((text.upper() for header in headers if (text := card_text(header, keyword))), "")


def _scale(system: str) -> str:
    """The scale of a TIMESYS such as ``TT`` or ``TT(TAI)``; '' for one that is not known."""
    return _SCALES.get(system.partition("(")[0].strip(), "")


def _place(*headers: fits.Header) -> str:
    for header in headers:
        if text := _first("TREFPOS", header) or _first("TIMEREF", header):
            return _PLACES.get(text[:8], text[:8])
    return ""


def in_seconds(header: fits.Header, primary: fits.Header) -> fits.Header:
    """A copy of a header for tables whose times are in seconds, with the cards of the clock that only the file has.

    TIMEUNIT, and what is added to all times, are then in s.
    """
    whole, unit = header.copy(), unit_of_cards(header, primary)
    if _reference(header) != _reference(header, primary) or _reference(header) is None:
        whole.update({key: primary[key] for key in CLOCK_CARDS if key in primary and key not in header})
    if unit != 1.0:
        whole["TIMEUNIT"] = "s"
        for key in ("TIMEZERO", "TIMEZERI", "TIMEZERF", "TIMEOFFS"):
            if card_text(whole, key):
                whole[key] = card_number(whole, key) * unit
    return whole


def unit_of_cards(*headers: fits.Header) -> float:
    """Seconds to the unit of the time cards of headers, TIMEUNIT; the first that has it counts."""
    unit = _first("TIMEUNIT", *headers).lower() or "s"
    if unit not in _UNITS:
        raise _unusable(f"its times are in {unit!r}")
    return _UNITS[unit]


def time_zero(header: fits.Header) -> float | None:
    """What the cards of a header add to every time, in units of its TIMEUNIT; None where it has none of them.

    TIMEZERO, which may be split as a whole and a fraction (OGIP 93-003), and TIMEOFFS (FITS 4.0, section 9.4.1).
    """
    split = ("TIMEZERI", "TIMEZERF")
    names = [key for key in (("TIMEZERO",) if card_text(header, "TIMEZERO") else split) if card_text(header, key)]
    names += ["TIMEOFFS"] if card_text(header, "TIMEOFFS") else []
    return sum(card_number(header, key) for key in names) if names else None


def _reference(header: fits.Header, other: fits.Header | None = None) -> tuple[float, float, float] | None:
    """Whole days and fraction of the reference, and how exactly it is written, s; None where a header has none.

    The fraction alone may stand in the other header of the list.
    """
    for whole, rest in _REFERENCES:
        if not card_text(header, whole):
            continue
        if rest:
            apart = other is not None and not card_text(header, rest)
            beside = other if apart and card_text(other, whole) in {"", card_text(header, whole)} else header
            return *_days(header, whole, card_number(beside, rest, 0.0)), _SAME
        # One card of a dozen digits may be a microsecond off.
        value = card_number(header, whole)
        last = _DAY * 10.0 ** int(Decimal(repr(value)).as_tuple().exponent)
        return *_days(header, whole), max(_SAME, 0.6 * last if value % 1 else 0.0)
    return _of_date(header)


def _days(header: fits.Header, keyword: str, rest: float = 0.0) -> tuple[float, float]:
    """Whole days and fraction, MJD, of a card and what is to be added to it."""
    value = card_number(header, keyword)
    whole, part = math.floor(value), value - math.floor(value)
    if keyword.startswith("JD"):
        # JD 2400001 is MJD 0.5.
        whole, part = whole - 2400001, part + 0.5
    return whole, part + rest


def _of_date(header: fits.Header) -> tuple[float, float, float] | None:
    """The reference where it is a date, DATEREF."""
    if not (text := card_text(header, "DATEREF")):
        return None
    try:
        # In the list's own system: only the number of days counts.
        found = Time(text, format="fits", scale="tt")
    except ValueError:
        raise _unusable(f"they count from DATEREF {text!r}, which is no date") from None
    day = math.floor(found.jd1 - _JULIAN)
    return day, (found.jd1 - _JULIAN - day) + found.jd2, _SAME


def _two_references(header: fits.Header, primary: fits.Header) -> list[str]:
    """The remark where both forms of the reference are in a header and differ."""
    # Where IXPE has MJDREF = 0 it means none.
    if not (card_text(header, "MJDREFI") and card_number(header, "MJDREF", 0.0)):
        return []
    one, other = _reference(header, primary), _reference(fits.Header({"MJDREF": card_number(header, "MJDREF")}))
    if one is None or other is None:
        return []
    apart = (other[0] - one[0]) * _DAY + (other[1] - one[1]) * _DAY
    said = f"times count from MJDREFI + MJDREFF, from which MJDREF is {apart:.6f} s away"
    return [said] if abs(apart) > other[2] else []


def _unusable(what: str) -> DataError:
    return DataError(
        "time",
        f"the times of the event list cannot be read: {what}",
        remedy="fetch the file again; if the archive's own copy is like this, leave the observation out",
    )
