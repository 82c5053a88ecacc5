"""Requests to query services: they identify daxa, are retried, and always end.

pyvo sends through requests, which limits each read, not their number: a watcher beside the
exchange tracks the time left for the whole of it, and cuts its connections when that is over.
"""

from __future__ import annotations

import contextlib
import io
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from daxa import __version__
from daxa.answers import PASSING, Deadline, origin_of, redirect_target, requested_pause
from daxa.errors import ServiceError, StorageError
from daxa.settings import Settings
from daxa.text import one_line

if TYPE_CHECKING:
    import requests
    from requests import PreparedRequest, Response
    from requests.adapters import HTTPAdapter
    from urllib3 import ProxyManager

    class BoundedSession(requests.Session):
        """A session that says how long an exchange may take."""

        allowance: Callable[[], Deadline]


__all__ = ["exchange", "exchange_into", "malformed", "open_session", "refused"]

_TRIES = 4
_LONGEST_WAIT = 30.0
_CHUNK = 2**16
_REDIRECTS = 5
_LOCAL = threading.local()


@dataclass
class _Watch:
    """One exchange in progress: the time that it may take, and its connections."""

    allowance: Deadline
    sockets: list[socket.socket] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    late: bool = False

    def guard(self) -> None:
        """Cut the connections when the time is over; runs beside the exchange."""
        while not self.done.wait(min(max(self.allowance.left(), 0.01), 60.0)):
            if self.allowance.left() <= 0:
                self.late = True
                for one in self.sockets:
                    with contextlib.suppress(OSError, TypeError):
                        socket.socket.shutdown(one, socket.SHUT_RDWR)


@contextmanager
def _watched(allowance: Deadline) -> Iterator[_Watch]:
    watch = _LOCAL.watch = _Watch(allowance)
    threading.Thread(target=watch.guard, daemon=True).start()
    try:
        yield watch
    finally:
        watch.done.set()
        _LOCAL.watch = None


def open_session(settings: Settings) -> BoundedSession:
    """Connections that identify daxa, and give up on a service that stays silent or does not end.

    Redirects are followed to the same server and to those of the settings.

    Raises
    ------
    ServiceError
        ``offline``: the settings forbid connections.
    """
    import requests

    if settings.offline:
        raise ServiceError(
            "offline",
            "the settings do not allow querying services (DAXA_OFFLINE)",
            remedy="unset DAXA_OFFLINE",
        )
    named = (settings.heasarc_tap, settings.xsa_tap, settings.sesame, settings.simbad_tap, settings.ned)
    allowed = {origin_of(one) for one in (*named, *dict(settings.taps).values())}

    class ConfiguredSession(requests.Session):
        def __init__(self) -> None:
            super().__init__()
            self.allowance = lambda: Deadline(settings.answer_seconds, settings.minimum_rate)

        def get_redirect_target(self, response: requests.Response) -> str | None:
            if not response.is_redirect:
                return None
            location = response.headers["location"]
            if target := redirect_target(response.url, location, allowed):
                return target
            raise malformed(response.url, f"it redirects to {one_line(location)}, which is not a configured service")

    # Its class can be made only where requests is imported; what it promises is declared above.
    session = cast("BoundedSession", ConfiguredSession())
    session.max_redirects = _REDIRECTS
    session.headers["User-Agent"] = f"daxa/{__version__}"
    for scheme in ("https://", "http://"):
        session.mount(scheme, _adapter(settings))
    return session


def _adapter(settings: Settings) -> HTTPAdapter:
    """The transport of requests: each read has a timeout, and the watcher knows the connection."""
    from requests.adapters import HTTPAdapter
    from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
    from urllib3.connection import HTTPConnection, HTTPSConnection

    def watch_socket(connection: HTTPConnection) -> None:
        watch: _Watch | None = getattr(_LOCAL, "watch", None)
        if watch and connection.sock is not None:
            watch.sockets.append(connection.sock)

    # urllib3's answers are its own, not those of the standard library's class that it extends.
    class PlainConnection(HTTPConnection):
        def getresponse(self) -> HTTPResponse:  # type: ignore[override]
            watch_socket(self)
            return super().getresponse()

    class TlsConnection(HTTPSConnection):
        def getresponse(self) -> HTTPResponse:  # type: ignore[override]
            watch_socket(self)
            return super().getresponse()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = PlainConnection

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = TlsConnection

    class TimeoutAdapter(HTTPAdapter):
        # Neither requests nor pyvo sets a timeout: a stalled service would hang for ever.
        def send(self, request: PreparedRequest, *arguments: Any, **options: Any) -> Response:
            options["timeout"] = (settings.connect_timeout, settings.read_timeout)
            return super().send(request, *arguments, **options)

        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            super().init_poolmanager(*arguments, **options)
            self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}

        def proxy_manager_for(self, *arguments: Any, **options: Any) -> ProxyManager:
            manager = super().proxy_manager_for(*arguments, **options)
            # A proxy of another kind (SOCKS) brings connections of its own.
            if manager.pool_classes_by_scheme["http"] is HTTPConnectionPool:
                manager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
            return manager

    return TimeoutAdapter()


def exchange(
    session: BoundedSession, address: str, send: Callable[[], requests.Response], *, most: int
) -> tuple[int, bytes]:
    """Send until a whole answer has arrived; its status and body.

    Parameters
    ----------
    session
        From `open_session`.
    address
        Whom errors name.
    send
        Sends the request over it; its body must not have been read.
    most
        Bytes that a body may have.

    Returns
    -------
    (int, bytes)
        The status and the body.

    Raises
    ------
    ServiceError
        ``unreachable`` after the last try; ``too-slow``; ``malformed``: no HTTP, or a larger body.
    """
    body = io.BytesIO()
    return exchange_into(body, session, address, send, most=most), body.getvalue()


def exchange_into(
    body: BinaryIO, session: BoundedSession, address: str, send: Callable[[], requests.Response], *, most: int
) -> int:
    """As `exchange`, with the body put into a file; gives the status."""
    import requests
    import urllib3

    trouble = ""
    for attempt in range(_TRIES):
        wait = 0.5 * 2**attempt
        body.seek(0)
        body.truncate()
        try:
            with _watched(session.allowance()) as watch, send() as response:
                if response.status_code not in PASSING:
                    _receive(address, response, watch, body, most)
                    return response.status_code
                trouble = f"HTTP status {response.status_code}"
                pause = requested_pause(response.headers.get("Retry-After", ""))
                wait = wait if pause is None else min(pause, _LONGEST_WAIT)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            trouble = one_line(_root(error))
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, LookupError, OSError) as error:
            if not watch.late:
                raise malformed(address, one_line(error)) from None
        if watch.late:
            raise _too_slow(address, watch)
        if attempt < _TRIES - 1:
            time.sleep(wait)
    raise ServiceError(
        "unreachable",
        f"{address} cannot be reached: {trouble}",
        remedy="check the network and try again later; docs/settings.md explains how to set other addresses",
    )


def _too_slow(address: str, watch: _Watch) -> ServiceError:
    return ServiceError(
        "too-slow",
        f"{address} did not finish its answer within {time.monotonic() - watch.allowance.began:.3g} s "
        f"({watch.allowance.received} bytes arrived)",
        remedy="try again later; a larger DAXA_ANSWER_TIMEOUT allows more time (seconds)",
    )


def _receive(address: str, response: requests.Response, watch: _Watch, body: BinaryIO, most: int) -> None:
    for part in response.iter_content(_CHUNK):
        watch.allowance.received += len(part)
        if watch.allowance.received > most:
            raise malformed(address, f"its answer is longer than the {most} bytes that are allowed")
        try:
            body.write(part)
        except OSError as error:
            raise StorageError(
                "full",
                f"the answer of {address} cannot be put into {tempfile.gettempdir()}: {error.strerror}",
                remedy="free some space there, or name another place with TMPDIR",
            ) from None
    body.flush()


def refused(address: str, why: str) -> ServiceError:
    """The error for a service that refuses the query."""
    return ServiceError(
        "refused",
        f"{address} refused the query: {one_line(why)}",
        remedy="if the address is right, the service may have changed: look for a newer daxa",
    )


def malformed(address: str, why: str) -> ServiceError:
    """The error for an answer that is not valid."""
    return ServiceError(
        "malformed",
        f"the answer of {address} cannot be used: {why}",
        remedy="try again later, and check the address: a network login page may answer in its place",
    )


def _root(error: BaseException) -> BaseException | str:
    """The first cause: what wraps it only repeats the address."""
    while isinstance(error, Exception):
        cause = error.__cause__ or error.__context__ or getattr(error, "reason", None)
        if not isinstance(cause, BaseException):
            break
        error = cause
    return getattr(error, "strerror", None) or error
