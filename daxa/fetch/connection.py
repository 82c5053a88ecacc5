"""Requests to archive services: one client per process, bounded retries, and what an answer means.

An attempt either gives its result or a `RetryableFailure`; `retry` repeats it as the policy says and,
when that gives up, asks the service for anything at all, to distinguish one bad file from a
service that is down.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

from daxa.addresses import Mirror
from daxa.answers import PASSING, Deadline, Origin, origin_of, redirect_target, requested_pause
from daxa.errors import DataError, DaxaError, ServiceError
from daxa.fetch.wire import TooSlow, open_client, within
from daxa.settings import Settings

__all__ = [
    "Connection",
    "RetryPolicy",
    "RetryableFailure",
    "connect",
    "open_answer",
    "read_dated",
    "read_text",
    "receive",
    "refusal",
    "retry",
    "retryable_failure",
]

Result = TypeVar("Result")

_REDIRECTS = 5
_MOVED = frozenset({301, 302, 303, 307, 308})
_MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class RetryPolicy:
    """How often a request is repeated, and at which intervals.

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
    >>> RetryPolicy(first=2.0).ceiling(3)
    8.0
    """

    tries: int = 6
    first: float = 0.5
    longest: float = 60.0

    def ceiling(self, failures: int) -> float:
        """Longest wait after so many failures in a row, s."""
        return min(self.first * 2.0 ** (failures - 1), self.longest)

    def seconds(self, failures: int, requested: float | None = None) -> float:
        """How long to wait before the next attempt: as the server asks, else at random below the ceiling."""
        # Workers that failed together must not come back together.
        spread = random.SystemRandom().uniform(0.5, 1.0)
        return min(requested, self.longest) if requested is not None else spread * self.ceiling(failures)


@dataclass(frozen=True)
class RetryableFailure:
    """Why an attempt failed that is worth repeating.

    Parameters
    ----------
    reason
        A short phrase.
    after
        Seconds that the server asks us to wait.
    last
        True where trying again at once would only take as long again.
    """

    reason: str
    after: float | None = None
    last: bool = False


@dataclass(frozen=True)
class Connection:
    """A client with what goes with it.

    Parameters
    ----------
    settings, client, patience
        Timeouts and the store, what sends requests, how often they are repeated.
    mirrors
        Servers that hold the mission's files, in the order in which they are tried.
    mirror
        The one in use.
    stop
        When it is set, waiting and downloading end at once with ``service.stopped``.
    """

    settings: Settings
    client: httpx.Client
    patience: RetryPolicy
    mirrors: tuple[Mirror, ...]
    mirror: Mirror
    stop: threading.Event = field(default_factory=threading.Event)

    def check_stop(self) -> None:
        """Raise ``service.stopped`` once `stop` is set."""
        if self.stop.is_set():
            raise ServiceError("stopped", "the download was stopped", remedy="run the same command again")

    @property
    def servers(self) -> frozenset[Origin]:
        """Servers that a redirect may lead to."""
        return frozenset(
            origin_of(address) for mirror in self.mirrors for address in (mirror.root, mirror.datalink) if address
        )


def connect(settings: Settings, mirrors: Sequence[Mirror], patience: RetryPolicy | None = None) -> Connection:
    """A connection to the first of some mirrors; its client is opened once in a process and shared by threads."""
    client = open_client(os.getpid(), settings.connect_timeout, settings.read_timeout)
    return Connection(settings, client, patience or RetryPolicy(), tuple(mirrors), mirrors[0])


@contextmanager
def open_answer(
    connection: Connection, url: str, headers: dict[str, str] | None = None, *, seconds: float = 0.0
) -> Iterator[httpx.Response]:
    """Open a GET request whose body is not read yet; read it with `receive`.

    Redirects are followed only to the same server or to another of the mission's mirrors, and
    never from https to http.

    Parameters
    ----------
    connection, url, headers
        What is requested, and how.
    seconds
        What the answer may take, beside the time that its length allows: `Settings.answer_seconds`
        where it is 0.

    Raises
    ------
    DataError
        A redirect leads elsewhere, or there are too many.
    """
    allowed = connection.servers | {origin_of(url)}
    allowance = Deadline(seconds or connection.settings.answer_seconds, connection.settings.minimum_rate)
    here = url
    with within(allowance):
        for _ in range(_REDIRECTS + 1):
            response = _send(connection, here, headers)
            try:
                location = response.extensions.get("location", "")
                if response.status_code not in _MOVED or not location:
                    response.extensions["allowance"] = allowance
                    yield response
                    return
            finally:
                response.close()
            here = _redirected(here, location, allowed)
    raise DataError(
        "redirected", f"{url} was redirected more than {_REDIRECTS} times", remedy="check the [services] addresses"
    )


def _send(connection: Connection, url: str, headers: dict[str, str] | None) -> httpx.Response:
    # httpx takes an address without a host for a path.
    whole = url.replace("file:///", "file://here/", 1)
    try:
        return connection.client.send(connection.client.build_request("GET", whole, headers=headers), stream=True)
    except httpx.TransportError:
        raise
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError) as error:
        # What a server writes into its headers must not matter more than that it cannot be used.
        raise httpx.RemoteProtocolError(f"its answer is not HTTP: {error!r:.200}") from None


def receive(response: httpx.Response) -> Iterator[bytes]:
    """The body of an answer in pieces, as long as it comes in time.

    Raises
    ------
    httpx.TransportError
        The connection broke, or was too slow.
    """
    allowance: Deadline = response.extensions["allowance"]
    for chunk in response.iter_raw():
        allowance.received += len(chunk)
        # Files of this machine come through no stream that would look.
        if allowance.left() <= 0:
            raise TooSlow(f"the answer took longer than {allowance.seconds:g} s plus the time that its length allows")
        yield chunk


def _redirected(here: str, location: str, allowed: frozenset[Origin]) -> str:
    if target := redirect_target(here, location, allowed):
        return target
    raise DataError(
        "redirected",
        f"{here} redirects to {location[:200]!a}, which is not a mirror of the mission",
        remedy="if the archive has moved, name its new address: DAXA_MIRRORS_<MISSION>, or [services] in daxa.toml",
    )


def retry(
    attempt: Callable[[], Result | RetryableFailure],
    url: str,
    connection: Connection,
    *,
    progress: Callable[[], int] = lambda: 0,
) -> Result:
    """Repeat an attempt until it gives a result or the retry policy gives up.

    Parameters
    ----------
    attempt
        Gives the result or a `RetryableFailure`; an `httpx.TransportError` counts as one.
    url
        What is requested, to probe the service and for the message.
    connection
        Whose retry policy to use.
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
            result = RetryableFailure(_describe(error), last=isinstance(error, TooSlow))
        if not isinstance(result, RetryableFailure):
            return result
        gained = progress() >= best + _MEBIBYTE
        failures = 1 if gained else failures + 1
        best = max(best, progress())
        if failures >= connection.patience.tries or (result.last and not gained):
            raise _exhausted(url, result, failures, connection)
        connection.stop.wait(connection.patience.seconds(failures, result.after))


def _describe(error: httpx.TransportError) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _exhausted(url: str, last: RetryableFailure, failures: int, connection: Connection) -> DaxaError:
    host = origin_of(url)[0] or connection.mirror.root
    if not _answers(connection):
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
    """True where the mirror answers anything but an error of its own."""
    root, seconds = connection.mirror.root + "/", connection.settings.read_timeout
    try:
        with open_answer(connection, root, seconds=seconds) as response:
            return response.status_code < 500 and response.status_code not in PASSING
    except (httpx.TransportError, DataError):
        return False


def retryable_failure(response: httpx.Response) -> RetryableFailure | None:
    """The failure that a status means; None where waiting does not help."""
    if response.status_code not in PASSING and response.status_code < 500:
        return None
    # The words are the server's: only what a log can show of them is repeated.
    words = "".join(letter for letter in response.reason_phrase[:80] if letter.isascii() and letter.isprintable())
    return RetryableFailure(
        f"HTTP {response.status_code} {words}".rstrip(), requested_pause(response.headers.get("retry-after", ""))
    )


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


def read_text(connection: Connection, url: str, *, limit: int = 16 * _MEBIBYTE, seconds: float = 0.0) -> bytes | None:
    """The whole body of a short answer of at most `limit` bytes; None where there is nothing (404).

    Raises
    ------
    ServiceError, DataError
        As `retry` and `refusal`; ``data.oversized`` where the body exceeds `limit` bytes.
    """
    answer = read_dated(connection, url, limit=limit, seconds=seconds)
    return answer and answer[0]


def read_dated(
    connection: Connection, url: str, *, limit: int = 16 * _MEBIBYTE, seconds: float = 0.0
) -> tuple[bytes, str] | None:
    """As `read_text`, with the ``Last-Modified`` of the answer, '' where it has none."""

    def attempt() -> tuple[bytes, str] | RetryableFailure | None:
        with open_answer(connection, url, seconds=seconds) as response:
            if response.status_code in (404, 410):
                return None
            if problem := retryable_failure(response):
                return problem
            if response.status_code != 200:
                raise refusal(url, response.status_code)
            return _bounded(response, url, limit), response.headers.get("last-modified", "")

    return retry(attempt, url, connection)


def _bounded(response: httpx.Response, url: str, limit: int) -> bytes:
    body = bytearray()
    for chunk in receive(response):
        body += chunk
        if len(body) > limit:
            raise DataError("oversized", f"{url} is longer than {limit} bytes", remedy="check the [services] addresses")
    return bytes(body)
