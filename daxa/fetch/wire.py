"""The HTTP client of this room, whose every answer ends: in time, or with an error.

httpx limits each read, not their number.  The streams under it are replaced here by ones
that also look at what the answer as a whole may still take, which the reading thread
has set with `within`.
"""

from __future__ import annotations

import atexit
import functools
import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import httpx

from daxa import __version__
from daxa.answers import MOST_INTERIM, Deadline

__all__ = ["TooSlow", "local_path", "open_client", "within"]

_LOCAL = threading.local()
_PIECE = 1 << 20


class TooSlow(httpx.ReadTimeout):
    """The whole of an answer took longer than it may."""


@contextmanager
def within(allowance: Deadline) -> Iterator[None]:
    """Limit what this thread receives to an allowance."""
    before = getattr(_LOCAL, "allowance", None), getattr(_LOCAL, "interim", 0)
    _LOCAL.allowance, _LOCAL.interim = allowance, 0
    try:
        yield
    finally:
        _LOCAL.allowance, _LOCAL.interim = before


@functools.cache
def open_client(_process: int, connect_timeout: float, read_timeout: float) -> httpx.Client:
    """The client of this process; threads share it."""
    client = httpx.Client(
        http1=True,
        http2=False,
        follow_redirects=False,
        timeout=httpx.Timeout(read_timeout, connect=connect_timeout),
        limits=httpx.Limits(max_connections=8, max_keepalive_connections=4),
        # Some servers pack what is packed already, and some unpack .gz on the way: take the stored bytes.
        headers={"User-Agent": f"daxa/{__version__}", "Accept-Encoding": "identity"},
        mounts={"all://127.0.0.1": None, "all://localhost": None, "file://": _Directory()},
        event_hooks={"response": [_keep_location]},
    )
    # httpx has no public place for the streams that it reads from.
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
        if isinstance(transport, httpx.HTTPTransport):
            pool: Any = transport._pool  # noqa: SLF001
            pool._network_backend = _Backend(pool._network_backend)  # noqa: SLF001
    atexit.register(client.close)
    return client


def _keep_location(response: httpx.Response) -> None:
    # httpx builds the request that would follow, and fails in its own ways where it cannot.
    if "location" in response.headers:
        response.extensions["location"] = response.headers.pop("location")


def local_path(url: str) -> Path:
    """The path on this machine that a ``file:`` address names.

    Examples
    --------
    >>> str(local_path("file:///data/a%2Bb/"))
    '/data/a+b'
    """
    return Path(unquote(urlsplit(url).path))


class _Directory(httpx.BaseTransport):
    """Answers for files of this machine as a server would, so that nothing else need know of them."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            descriptor = os.open(local_path(str(request.url)), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return httpx.Response(404)
        except PermissionError:
            return httpx.Response(403)
        except (OSError, ValueError) as error:
            raise httpx.ReadError(str(error)) from None
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            return httpx.Response(200 if stat.S_ISDIR(found.st_mode) else 403)
        headers = {
            "ETag": f'"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"',
            "Last-Modified": formatdate(found.st_mtime, usegmt=True),
        }
        first = _first_byte(request.headers, headers["ETag"], found.st_size)
        if request.headers.get("If-None-Match") == headers["ETag"]:
            os.close(descriptor)
            return httpx.Response(304, headers=headers)
        headers["Content-Length"] = str(found.st_size - first)
        if first:
            headers["Content-Range"] = f"bytes {first}-{found.st_size - 1}/{found.st_size}"
        return httpx.Response(206 if first else 200, headers=headers, stream=_Pieces(descriptor, first))


def _first_byte(headers: httpx.Headers, etag: str, size: int) -> int:
    """Where a request that continues a download begins; 0 where it asks for the whole, or for what is not there."""
    requested = re.fullmatch(r"bytes=(\d{1,15})-\d{0,15}", headers.get("Range", ""), re.ASCII)
    first = int(requested[1]) if requested and headers.get("If-Range", etag) == etag else 0
    return first if first < size else 0


class _Pieces(httpx.SyncByteStream):
    def __init__(self, descriptor: int, first: int) -> None:
        self._file = os.fdopen(descriptor, "rb")
        self._file.seek(first)

    def __iter__(self) -> Iterator[bytes]:
        try:
            while piece := self._file.read(_PIECE):
                yield piece
        except OSError as error:
            raise httpx.ReadError(str(error)) from None

    def close(self) -> None:
        self._file.close()


class _PlainStream(Protocol):
    """The part of httpx's stream interface that is used here."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes: ...
    def write(self, buffer: bytes, timeout: float | None = None) -> None: ...
    def close(self) -> None: ...
    def start_tls(self, *arguments: object, **options: object) -> _PlainStream: ...
    def get_extra_info(self, info: str) -> object: ...


class _PlainBackend(Protocol):
    """Opens such streams."""

    def connect_tcp(self, *arguments: object, **options: object) -> _PlainStream: ...
    def connect_unix_socket(self, *arguments: object, **options: object) -> _PlainStream: ...
    def sleep(self, seconds: float) -> None: ...


class _Backend:
    """Opens streams that are limited by the allowance of the reading thread."""

    def __init__(self, plain: _PlainBackend) -> None:
        self._plain = plain

    def connect_tcp(self, *arguments: object, **options: object) -> _Stream:
        return _Stream(self._plain.connect_tcp(*arguments, **options))

    def connect_unix_socket(self, *arguments: object, **options: object) -> _Stream:
        return _Stream(self._plain.connect_unix_socket(*arguments, **options))

    def sleep(self, seconds: float) -> None:
        self._plain.sleep(seconds)


class _Stream:
    def __init__(self, plain: _PlainStream) -> None:
        self._plain = plain

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        allowance: Deadline | None = getattr(_LOCAL, "allowance", None)
        if allowance is None:
            return self._plain.read(max_bytes, timeout)
        left = allowance.left()
        if left <= 0:
            raise TooSlow(f"the answer took longer than {allowance.seconds:g} s plus the time that its length allows")
        data = self._plain.read(max_bytes, left if timeout is None else min(timeout, left))
        if not allowance.received:
            _LOCAL.interim += len(data)
            if _LOCAL.interim > MOST_INTERIM:
                raise httpx.RemoteProtocolError(f"{_LOCAL.interim} bytes came before any of the answer's body")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._plain.write(buffer, timeout)

    def close(self) -> None:
        self._plain.close()

    def start_tls(self, *arguments: object, **options: object) -> _Stream:
        return _Stream(self._plain.start_tls(*arguments, **options))

    def get_extra_info(self, info: str) -> object:
        return self._plain.get_extra_info(info)
