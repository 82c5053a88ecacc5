"""Limits on every answer of a server, whatever the request: time, redirects, pauses.

Pure rules; `daxa.fetch` and `daxa.query` hold their connections to them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

__all__ = [
    "MOST_INTERIM",
    "PASSING",
    "Deadline",
    "Origin",
    "moment_of",
    "origin_of",
    "redirect_target",
    "requested_pause",
]

MOST_INTERIM = 1 << 20
"""Bytes that a server may send before its answer begins: headers, and any number of "100 Continue"."""

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP status codes after which the same request may succeed later."""

Origin = tuple[str, int]
"""Host and port of an address."""

_PORTS = {"http": 80, "https": 443}
_LOCATION = re.compile(r"[!-\[\]-~]{1,2000}", re.ASCII)


@dataclass
class Deadline:
    """The time that one whole answer may take.

    A timeout of each read is not a limit: a byte a minute, or interim answers without end, never
    meet it.

    Parameters
    ----------
    seconds
        Until the answer must be there, however short it is.
    rate
        Bytes of its body per second by which it may take longer.
    received
        Bytes of the body so far; the reader counts them.

    Examples
    --------
    >>> allowance = Deadline(10.0, 1000.0, began=time.monotonic() - 11.0)
    >>> allowance.left() < 0
    True
    >>> allowance.received = 2000
    >>> allowance.left() > 0
    True
    """

    seconds: float
    rate: float
    received: int = 0
    began: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """Seconds that are left, negative when they are over."""
        return self.began + self.seconds + self.received / self.rate - time.monotonic()


def origin_of(url: str) -> Origin:
    """Host and port of an address; ('', 0) where it has none that can be used.

    Examples
    --------
    >>> origin_of("https://heasarc.gsfc.nasa.gov/FTP"), origin_of("http://h:8080/x"), origin_of("javascript:1")
    (('heasarc.gsfc.nasa.gov', 443), ('h', 8080), ('', 0))
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return ("", 0)
    return (host, port) if host and port else ("", 0)


def redirect_target(here: str, location: str, allowed: Collection[Origin]) -> str | None:
    """Where a redirect leads, without its fragment; None where it must not be followed.

    Parameters
    ----------
    here
        The address that answered.
    location
        Its ``Location`` header.
    allowed
        Servers that may be queried besides the one that answered.  The same host may also
        lead from http to https on the usual ports, never back.

    Examples
    --------
    >>> redirect_target("http://h/FTP/a", "/FTP/b#top", ())
    'http://h/FTP/b'
    >>> redirect_target("http://h/FTP/a", "https://h/FTP/a", ())
    'https://h/FTP/a'
    >>> [redirect_target("https://h/a", to, ()) for to in ("http://h/a", "https://h:444/a", "javascript:1")]
    [None, None, None]
    """
    if not _LOCATION.fullmatch(location):
        return None
    try:
        target = urljoin(here, location).partition("#")[0]
        parts, came = urlsplit(target), urlsplit(here)
    except ValueError:
        return None
    origin, own = origin_of(target), origin_of(here)
    if parts.scheme not in _PORTS or not origin[0] or "@" in parts.netloc:
        return None
    if came.scheme == "https" and parts.scheme != "https":
        return None
    upgraded = (came.scheme, own[1], parts.scheme, origin) == ("http", 80, "https", (own[0], 443))
    return target if origin == own or upgraded or origin in allowed else None


def requested_pause(text: str) -> float | None:
    """Seconds that a ``Retry-After`` header asks to wait; None where it says nothing that can be.

    Examples
    --------
    >>> requested_pause("7"), requested_pause("-1"), requested_pause("Wed, 01 Jan 99999999999 00:00:00 GMT")
    (7.0, None, None)
    """
    text = text.strip()[:64]
    if text.isascii() and text.isdigit():
        return float(text[:9])
    moment = moment_of(text)
    return None if moment is None else max(0.0, (moment - datetime.now(UTC)).total_seconds())


def moment_of(text: str) -> datetime | None:
    """The moment that a header such as ``Last-Modified`` names; None where it names none.

    Examples
    --------
    >>> moment_of("Mon, 01 Jan 2024 00:00:00 GMT").isoformat(), moment_of("soon")
    ('2024-01-01T00:00:00+00:00', None)
    """
    try:
        moment = parsedate_to_datetime(text[:64])
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None
