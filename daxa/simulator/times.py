"""Mission clocks: seconds of terrestrial time, and the UTC dates of archives."""

from __future__ import annotations

import datetime

__all__ = ["iso_date", "mission_seconds", "utc_mjd"]

_LEAPS = (51179, 53736, 54832, 56109, 57204, 57754)
"""Days (MJD) at whose begin TAI - UTC grew by one second, to 32 s at the first and 37 s at the last."""


def _tt_minus_utc(mjd: float) -> float:
    return 32.184 + 31 + sum(mjd >= leap for leap in _LEAPS)


def mission_seconds(mjd_utc: float, mjdref_tt: float) -> float:
    """Seconds of terrestrial time between a mission's reference date and a UTC date (both MJD).

    Examples
    --------
    >>> mission_seconds(50815.0, 50814.0)
    86463.184
    """
    return round((mjd_utc - mjdref_tt) * 86400 + _tt_minus_utc(mjd_utc), 6)


def utc_mjd(seconds: float, mjdref_tt: float) -> float:
    """The inverse of `mission_seconds`."""
    tt = mjdref_tt + seconds / 86400
    return tt - _tt_minus_utc(tt - 0.0008) / 86400


def iso_date(seconds: float, mjdref_tt: float) -> str:
    """UTC date of a mission time, whole seconds."""
    days = utc_mjd(seconds, mjdref_tt) - 40587
    date = datetime.datetime.fromtimestamp(round(days * 86400), tz=datetime.UTC)
    return date.strftime("%Y-%m-%dT%H:%M:%S")
