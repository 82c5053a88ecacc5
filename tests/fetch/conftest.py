"""A small server whose every answer is scripted, and what the tests of this room share."""

from __future__ import annotations

import gzip
import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from daxa.addresses import Mirror
from daxa.fetch.connection import Connection, RetryPolicy, connect
from daxa.settings import Settings

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Served:
    """A file of the scripted server; `script` holds answers that are given before it behaves."""

    content: bytes
    etag: str = '"one"'
    last_modified: str = "Mon, 01 Jan 2024 00:00:00 GMT"
    script: list[Answer] = field(default_factory=list)
    ranges: bool = True


class ScriptedServer(ThreadingHTTPServer):
    """Files by path; all requests are noted as (path, Range, If-Range, status)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Served] = {}
        self.seen: list[tuple[str, str, str, int]] = []
        self.lock = threading.Lock()

    def handle_error(self, request, client_address) -> None:
        """Broken connections are what is tested."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def statuses(self, path: str) -> list[int]:
        return [status for seen, _, _, status in self.seen if seen == path]

    def ranges(self, path: str) -> list[str]:
        return [wanted for seen, wanted, _, _ in self.seen if seen == path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ScriptedServer

    def log_message(self, *_: object) -> None:
        """Kept in `seen` instead."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        served = self.server.files.get(path)
        with self.server.lock:
            answer = served.script.pop(0) if served and served.script else None
        if answer:
            answer(self)
        elif served:
            behave(self, served)
        else:
            reply(self, 404, b"<html>not here</html>", {"Content-Type": "text/html"})

    def send_response(self, code: int, message: str | None = None) -> None:
        wanted, condition = self.headers.get("Range", ""), self.headers.get("If-Range", "")
        self.server.seen.append((self.path.partition("?")[0], wanted, condition, code))
        super().send_response(code, message)


def reply(handler, status: int, body: bytes, headers: dict[str, str] | None = None, *, length: int | None = None):
    """Send an answer; a `length` that is not the body's closes the connection at the end."""
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    stated = len(body) if length is None else length
    if stated >= 0:
        handler.send_header("Content-Length", str(stated))
    handler.end_headers()
    handler.wfile.write(body)
    handler.close_connection = stated != len(body)


def behave(handler, served: Served) -> None:
    """Answer as Apache does."""
    headers = {"ETag": served.etag, "Last-Modified": served.last_modified}
    headers = {name: value for name, value in headers.items() if value}
    if handler.headers.get("If-None-Match", "-") == served.etag:
        return reply(handler, 304, b"", headers)
    wanted, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
    if not (wanted and served.ranges and condition in (None, served.etag, served.last_modified)):
        return reply(handler, 200, served.content, headers)
    first, total = int(wanted.removeprefix("bytes=").partition("-")[0]), len(served.content)
    if first >= total:
        return reply(handler, 416, b"", {"Content-Range": f"bytes */{total}"})
    headers["Content-Range"] = f"bytes {first}-{total - 1}/{total}"
    return reply(handler, 206, served.content[first:], headers)


def cut(served: Served, at: int) -> Answer:
    """An answer that breaks off after `at` bytes of the body."""

    def answer(handler) -> None:
        headers = {"ETag": served.etag, "Last-Modified": served.last_modified}
        headers = {name: value for name, value in headers.items() if value}
        reply(handler, 200, served.content[:at], headers, length=len(served.content))

    return answer


def status(code: int, headers: dict[str, str] | None = None, body: bytes = b"<html>sorry</html>") -> Answer:
    """An answer that is only a status and a page."""
    return lambda handler: reply(handler, code, body, headers)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        running.files["/FTP/"] = Served(b"<html><title>Index of /FTP</title></html>")
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def settings(server, tmp_path) -> Settings:
    return Settings(
        heasarc_tap=f"{server.url}/tap",
        heasarc_datalink=f"{server.url}/datalink",
        heasarc_tree=f"{server.url}/FTP",
        sesame=f"{server.url}/sesame",
        store=tmp_path / "store",
        connect_timeout=2.0,
        read_timeout=2.0,
    )


HASTE = RetryPolicy(tries=4, first=0.001, longest=0.01)


def connected(settings: Settings, patience: RetryPolicy = HASTE) -> Connection:
    """Connected to the one mirror that the settings name."""
    return connect(settings, [Mirror(settings.heasarc_tree, datalink=settings.heasarc_datalink)], patience)


@pytest.fixture
def connection(settings) -> Connection:
    return connected(settings)


def events_file(seed: int = 0, rows: int = 2000, obs_id: str = "") -> bytes:
    """A small event list as gzip FITS, with the tables of one of NuSTAR and checksums written by astropy."""
    random = np.random.default_rng(seed)
    columns = [
        fits.Column("TIME", "D", array=np.sort(random.uniform(0, 1e4, rows))),
        fits.Column("PI", "I", array=random.integers(0, 4096, rows)),
    ]
    times = [fits.Column("START", "D", array=[0.0]), fits.Column("STOP", "D", array=[1e4])]
    bad = fits.Column("RAWX", "I", array=[3])
    hdus = [fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="EVENTS")]
    hdus += [fits.BinTableHDU.from_columns(times, name="GTI")]
    hdus += [fits.BinTableHDU.from_columns([bad], name="BADPIX", ver=chip + 1) for chip in range(4)]
    for hdu in hdus:
        if obs_id:
            hdu.header["OBS_ID"] = obs_id
        hdu.add_checksum(when="for the test")
    return pack(b"".join(map(as_bytes, hdus)))


def pack(content: bytes) -> bytes:
    """As gzip, the same bytes every time."""
    return gzip.compress(content, mtime=0)


def as_bytes(hdu) -> bytes:
    """One HDU as it is in a file."""
    out = io.BytesIO()
    hdu.writeto(out) if isinstance(hdu, fits.PrimaryHDU) else fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(out)
    return out.getvalue() if isinstance(hdu, fits.PrimaryHDU) else out.getvalue()[2880:]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tree(directory: Path) -> dict[str, bytes]:
    """Relative path to content of all files below a directory."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
