"""Read times and time windows in any usual form into MJD UTC, and write them back exactly."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from numbers import Real
from typing import TYPE_CHECKING

from daxa.errors import CriteriaError
from daxa.text import one_line

if TYPE_CHECKING:
    from daxa.query.criteria.accepted_types import WindowLike

__all__ = ["read_window", "write_window"]

_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
_FIRST_MJD, _LAST_MJD = 30000.0, 100000.0
_MICROSECONDS = 86_400_000_000


def read_window(value: WindowLike) -> tuple[float | None, float | None]:
    """A time window.

    Parameters
    ----------
    value
        A pair of moments: ISO texts, `datetime`, `astropy.time.Time` or MJD, all UTC; None or
        '' leaves that side open.

    Returns
    -------
    (start, end)
        MJD UTC; None for an open side.

    Raises
    ------
    CriteriaError
        It is not a pair, a moment cannot be read, or the end is not after the start.

    Examples
    --------
    >>> read_window(("2004-01-01", 55197.5))
    (53005.0, 55197.5)
    """
    if isinstance(value, str) or not isinstance(value, Iterable) or len(pair := list(value)) != 2:
        raise CriteriaError(
            "time", f"{str(value)[:100]!r} is not a valid time window", remedy="give (start, end), such as two dates"
        )
    start, end = (_read_moment(moment) for moment in pair)
    if start is None and end is None:
        raise CriteriaError("time", "the time window is open on both sides", remedy="give a start or an end")
    if start is not None and end is not None and not start < end:
        raise CriteriaError(
            "time",
            f"the time window from {one_line(pair[0], 60)} to {one_line(pair[1], 60)} is reversed or empty",
            remedy="swap start and end",
        )
    return start, end


def _read_moment(value: object) -> float | None:
    if value is None or (isinstance(value, str) and not value):
        return None
    try:
        mjd = _to_mjd(value)
    except OverflowError:
        mjd = math.nan
    if not _FIRST_MJD <= mjd <= _LAST_MJD:
        raise CriteriaError(
            "time",
            f"{one_line(value, 60)} is not a time in the era of X-ray astronomy",
            remedy="give an ISO date or an MJD such as 53005",
        )
    return mjd


def _to_mjd(value: object) -> float:
    if hasattr(value, "utc") and hasattr(value, "mjd"):
        return float(value.utc.mjd)
    # Command lines have texts only; no ISO date has five digits.
    if (isinstance(value, Real) and not isinstance(value, bool)) or (
        isinstance(value, str) and re.fullmatch(r"\s*\d{5}(\.\d*)?\s*", value, re.ASCII)
    ):
        return float(value)
    return _mjd(_to_datetime(value))


def _to_datetime(value: object) -> datetime:
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value.strip())
    if not isinstance(value, datetime):
        raise CriteriaError(
            "time",
            f"{str(value)[:100]!r} is not a valid time",
            remedy="write it as 2004-01-01 or 2004-01-01T12:00:00 (UTC)",
        )
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _mjd(moment: datetime) -> float:
    # UTC without counting leap seconds within a day, as the archives' tables do.
    return (moment - _EPOCH) / timedelta(microseconds=1) / _MICROSECONDS


def write_window(start: float | None, end: float | None) -> list[str | float]:
    """The window as values that `read_window` reads to the same floats.

    Examples
    --------
    >>> write_window(53005.0, None), write_window(53005.123, 53006.5)
    (['2004-01-01', ''], [53005.123, '2004-01-02T12:00:00'])
    """
    return [_write_moment(start), _write_moment(end)]


def _write_moment(mjd: float | None) -> str | float:
    if mjd is None:
        return ""
    moment = _EPOCH + timedelta(microseconds=round(mjd * _MICROSECONDS))
    if moment.microsecond or _mjd(moment) != mjd:
        return mjd
    text = moment.replace(tzinfo=None).isoformat()
    return text.removesuffix("T00:00:00")
