"""Requests to archive services: one client per process, bounded retries, and what an answer means.

An attempt either gives its result or a `Setback`; `persist` repeats it with patience and,
when that is used up, asks the service for anything at all, to tell one bad file from a
service that is down.
"""

from __future__ import annotations

import atexit
import functools
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urlsplit

import httpx

from daxa import __version__
from daxa.errors import DataError, DaxaError, ServiceError
from daxa.settings import Settings

__all__ = ["Connection", "Patience", "Setback", "connect", "open_answer", "persist", "read_text", "refusal", "setback"]

Result = TypeVar("Result")

_REDIRECTS = 5
_WORTH_WAITING = frozenset({408, 425, 429, 500, 502, 503, 504})
_MEBIBYTE = 1 << 20
_NEVER_REACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)


@dataclass(frozen=True)
class Patience:
    """How often, and how long apart, a request is repeated.

    Parameters
    ----------
    tries
        Attempts without progress before giving up.
    first
        Seconds before the second attempt; doubled for each further one.
    longest
        Seconds that are never exceeded, whatever a server asks for.

    Examples
    --------
    >>> Patience(first=2.0).ceiling(3)
    8.0
    """

    tries: int = 6
    first: float = 0.5
    longest: float = 60.0

    def ceiling(self, failures: int) -> float:
        """Longest wait after so many failures in a row, s."""
        return min(self.first * 2.0 ** (failures - 1), self.longest)

    def seconds(self, failures: int, asked: float | None = None) -> float:
        """How long to wait before the next attempt: as the server asks, else at random below the ceiling."""
        # Workers that failed together must not come back together.
        spread = random.SystemRandom().uniform(0.5, 1.0)
        return min(asked, self.longest) if asked is not None else spread * self.ceiling(failures)


@dataclass(frozen=True)
class Setback:
    """Why an attempt gave nothing, though the next one may.

    Parameters
    ----------
    reason
        A short phrase.
    after
        Seconds that the server asked to wait.
    overall
        True where the reason concerns the whole service, not this one address.
    """

    reason: str
    after: float | None = None
    overall: bool = False


@dataclass(frozen=True)
class Connection:
    """A client with what goes with it.

    Parameters
    ----------
    settings, client, patience
        Addresses and timeouts, what sends requests, how often they are repeated.
    stop
        When it is set, waiting and downloading end at once with ``service.stopped``.
    """

    settings: Settings
    client: httpx.Client
    patience: Patience = Patience()
    stop: threading.Event = field(default_factory=threading.Event)

    def check_stop(self) -> None:
        """Raise ``service.stopped`` once `stop` is set."""
        if self.stop.is_set():
            raise ServiceError("stopped", "the download was stopped", remedy="run the same command again")

    @property
    def hosts(self) -> frozenset[str]:
        """Hosts that a redirect may lead to."""
        addresses = (
            self.settings.heasarc_tap,
            self.settings.heasarc_datalink,
            self.settings.heasarc_tree,
            self.settings.sesame,
        )
        return frozenset(urlsplit(address).hostname or "" for address in addresses)


def connect(settings: Settings, patience: Patience | None = None) -> Connection:
    """A connection for this process; its client is opened once and shared by threads."""
    client = _client(os.getpid(), settings.connect_timeout, settings.read_timeout)
    return Connection(settings, client, patience or Patience())


@functools.cache
def _client(_process: int, connect_timeout: float, read_timeout: float) -> httpx.Client:
    client = httpx.Client(
        http1=True,
        http2=False,
        follow_redirects=False,
        timeout=httpx.Timeout(read_timeout, connect=connect_timeout),
        limits=httpx.Limits(max_connections=8, max_keepalive_connections=4),
        # Some servers pack what is packed already, and some unpack .gz on the way: take the stored bytes.
        headers={"User-Agent": f"daxa/{__version__}", "Accept-Encoding": "identity"},
        mounts={"all://127.0.0.1": None, "all://localhost": None},
    )
    atexit.register(client.close)
    return client


@contextmanager
def open_answer(connection: Connection, url: str, headers: dict[str, str] | None = None) -> Iterator[httpx.Response]:
    """Open a GET request whose body is not read yet.

    Redirects are followed only to the same host or to a host of the settings, and never
    from https to http.

    Raises
    ------
    DataError
        A redirect leads elsewhere, or there are too many.
    """
    allowed = connection.hosts | {urlsplit(url).hostname or ""}
    here = url
    for _ in range(_REDIRECTS + 1):
        with connection.client.stream("GET", here, headers=headers) as response:
            if not response.has_redirect_location:
                yield response
                return
            here = _redirected(here, response.headers["location"], allowed)
    raise DataError(
        "redirected", f"{url} was redirected more than {_REDIRECTS} times", remedy="check the [services] addresses"
    )


def _redirected(here: str, location: str, allowed: frozenset[str]) -> str:
    try:
        target = httpx.URL(here).join(location)
    except httpx.InvalidURL:
        target = httpx.URL("")
    downgraded = here.startswith("https:") and target.scheme != "https"
    if target.scheme not in ("http", "https") or target.host not in allowed or downgraded or target.userinfo:
        raise DataError(
            "redirected",
            f"{here} redirects to {location[:200]!r}, which is not a configured service",
            remedy="if the archive has moved, set its new address under [services] or in DAXA_* variables",
        )
    return str(target)


def persist(
    attempt: Callable[[], Result | Setback],
    url: str,
    connection: Connection,
    *,
    progress: Callable[[], int] = lambda: 0,
) -> Result:
    """Repeat an attempt until it gives a result or patience ends.

    Parameters
    ----------
    attempt
        Gives the result or a `Setback`; an `httpx.TransportError` counts as one.
    url
        What is asked for, to probe the service and for the message.
    connection
        Whose patience to use.
    progress
        Bytes that are safe so far.  An attempt that gained a mebibyte does not count
        against the tries, so that a large file survives many short connections.

    Raises
    ------
    ServiceError
        The service cannot be reached, or keeps answering that it is not able to serve.
    DataError
        The service answers, but not for this address.
    """
    failures, best = 0, progress()
    while True:
        connection.check_stop()
        try:
            result = attempt()
        except httpx.TransportError as error:
            result = Setback(_describe(error), overall=isinstance(error, _NEVER_REACHED))
        if not isinstance(result, Setback):
            return result
        failures = 1 if progress() >= best + _MEBIBYTE else failures + 1
        best = max(best, progress())
        if failures >= connection.patience.tries:
            raise _exhausted(url, result, failures, connection)
        connection.stop.wait(connection.patience.seconds(failures, result.after))


def _describe(error: httpx.TransportError) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _exhausted(url: str, last: Setback, failures: int, connection: Connection) -> DaxaError:
    host = urlsplit(url).hostname
    if last.overall or not _answers(connection):
        return ServiceError(
            "unreachable",
            f"{host} could not serve {url} in {failures} attempts: {last.reason}",
            remedy="check the network; what has arrived is kept, so run the same command again later",
        )
    return DataError(
        "not-served",
        f"{host} answers, but not for {url} ({failures} attempts): {last.reason}",
        remedy="run `daxa run` again later; if it persists, report the file to the archive's help desk",
    )


def _answers(connection: Connection) -> bool:
    """True where the file tree answers anything but an error of its own."""
    try:
        with open_answer(connection, connection.settings.heasarc_tree + "/") as response:
            return response.status_code < 500 and response.status_code not in _WORTH_WAITING
    except (httpx.TransportError, DataError):
        return False


def setback(response: httpx.Response) -> Setback | None:
    """The setback that a status means, None where waiting does not help."""
    if response.status_code not in _WORTH_WAITING and response.status_code < 500:
        return None
    reason = f"HTTP {response.status_code} {response.reason_phrase}".rstrip()
    return Setback(reason, _retry_after(response), overall=response.status_code == 429)


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def refusal(url: str, status: int) -> DataError:
    """The error that a final status means for one address."""
    if status in (401, 403):
        return DataError(
            "proprietary",
            f"{url} is not public (HTTP {status})",
            remedy="wait for its public date, or leave the observation out of the selection",
        )
    if status in (404, 410):
        return DataError(
            "absent",
            f"{url} is not in the archive (HTTP {status})",
            remedy="look it up at the archive, which may have moved or withdrawn it; `daxa run` tries again",
        )
    return DataError("refused", f"{url} was answered with HTTP {status}", remedy="look at the address in a browser")


def read_text(connection: Connection, url: str, *, limit: int = 16 * _MEBIBYTE) -> bytes | None:
    """The whole body of a short answer; None where there is nothing (404).

    Raises
    ------
    ServiceError, DataError
        As `persist` and `refusal`; ``data.oversized`` where the body exceeds `limit` bytes.
    """

    def attempt() -> bytes | Setback | None:
        with open_answer(connection, url) as response:
            if response.status_code in (404, 410):
                return None
            if problem := setback(response):
                return problem
            if response.status_code != 200:
                raise refusal(url, response.status_code)
            return _bounded(response, url, limit)

    return persist(attempt, url, connection)


def _bounded(response: httpx.Response, url: str, limit: int) -> bytes:
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > limit:
            raise DataError("oversized", f"{url} is longer than {limit} bytes", remedy="check the [services] addresses")
    return bytes(body)
