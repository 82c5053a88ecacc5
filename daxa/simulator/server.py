"""The sample observatory: an archive on this machine that speaks the real protocols.

TAP, DataLink, directory listings with ranged downloads, and the name resolver, under
the paths that HEASARC and CDS use, so that the production client code runs unchanged.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from daxa.simulator.faults import Fault, FaultKind, Faults, Struck
from daxa.simulator.file_replies import Body, Headers, Reply, corrupt, file_reply, page_reply
from daxa.simulator.observation_tables import Row
from daxa.simulator.resolvers import form_of, ned_page, simbad_answer
from daxa.simulator.sesame import resolve_page
from daxa.simulator.sky import Sky
from daxa.simulator.tap import TableService, link_document
from daxa.simulator.vosi import availability, capabilities

__all__ = ["Observatory", "Request", "serve"]

_TAP, _DATALINK, _TREE, _SESAME = "/xamin/vo/tap", "/xamin/vo/datalink", "/FTP", "/cgi-bin/nph-sesame/"
_XSA = "/tap-server/tap"
_SIMBAD, _NED = "/simbad/sim-tap", "/cgi-bin/objsearch"
_LARGEST_BODY = 16 << 20
_CHUNK = 16 << 10


@dataclass(frozen=True)
class Request:
    """One request that the observatory answered.

    Parameters
    ----------
    method, path, query
        As sent, the path decoded.
    range
        The ``Range`` header, '' without.
    status
        Of the answer.
    """

    method: str
    path: str
    query: str
    range: str
    status: int


class Observatory:
    """A server on the loopback interface; a context manager.

    Parameters
    ----------
    root
        Directory that is served as ``/FTP``.
    tables
        Observation tables: rows by HEASARC's table name.
    names
        Positions (RA, Dec in degrees) by object name, for the resolvers: Sesame, and Simbad and NED, whose own
        are in the attributes `simbad` and `ned`.
    faults
        What goes wrong; `faults` may be changed later.
    row_cap
        Most rows of a query answer without ``TOP``.
    port
        0 lets the system choose.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> rows = {"numaster": [{"obsid": "90900001002", "ra": 149.6, "dec": -11.1}]}
    >>> with tempfile.TemporaryDirectory() as root, Observatory(Path(root), rows) as archive:
    ...     sorted(archive.environ)
    ['DAXA_HEASARC_DATALINK', 'DAXA_HEASARC_TAP', 'DAXA_HEASARC_TREE', 'DAXA_NED', 'DAXA_SESAME', 'DAXA_SIMBAD_TAP', \
'DAXA_XSA_TAP']
    """

    def __init__(
        self,
        root: Path,
        tables: Mapping[str, Sequence[Row]],
        names: Mapping[str, tuple[float, float]] | None = None,
        *,
        faults: Iterable[Fault] = (),
        row_cap: int = 100_000,
        port: int = 0,
    ) -> None:
        self.root = Path(root).resolve()
        self.names = dict(names or {})
        self.simbad = self.ned = self.names
        self.faults = Faults(faults)
        self.requests: list[Request] = []
        self.service = TableService(tables, row_cap=row_cap)
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.answer = self._answer
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """The address of the server, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables that make daxa talk to this observatory."""
        return {
            "DAXA_HEASARC_TAP": self.url + _TAP,
            "DAXA_HEASARC_DATALINK": self.url + _DATALINK,
            "DAXA_HEASARC_TREE": self.url + _TREE,
            "DAXA_SESAME": self.url + _SESAME,
            "DAXA_SIMBAD_TAP": self.url + _SIMBAD,
            "DAXA_NED": self.url + _NED.rpartition("/")[0],
            # Nothing answers there: it keeps what fails here from asking the real archive.
            "DAXA_XSA_TAP": self.url + _XSA,
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.service.close()

    def _answer(self, method: str, target: str, headers: Headers, body: bytes) -> tuple[Reply, Struck]:
        parts = urlsplit(target)
        path = unquote(parts.path)
        struck = self.faults.strike(path)
        sent = str(struck.get("other", path))
        reply = _spoiled(struck) or corrupt(self._route(sent, parts.query, headers, body, struck), struck)
        self.requests.append(Request(method, path, parts.query, headers.get("Range", ""), reply.status))
        return reply, struck

    def _route(self, path: str, query: str, headers: Headers, body: bytes, struck: Struck) -> Reply:
        if path.startswith(_TAP + "/"):
            return self._tap(path[len(_TAP) + 1 :], query, body)
        if path.startswith(_DATALINK + "/"):
            given = parse_qsl(query) + parse_qsl(body.decode("utf-8", "replace"))
            identifiers = [value for name, value in given if name.upper() == "ID"]
            table = path[len(_DATALINK) + 1 :].strip("/")
            page = link_document(self.service, self.root, self.url + _TREE, table, identifiers)
            return Reply(200, {"Content-Type": "application/x-votable+xml;content=datalink"}, Body(page))
        if path.startswith((_SESAME, _SIMBAD, _NED)):
            return self._resolve(path, query, headers, body)
        if path == _TREE or path.startswith(_TREE + "/"):
            return file_reply(self.root, path, query, headers, mount=_TREE, faults=struck)
        return page_reply(404, "Not Found")

    def _resolve(self, path: str, query: str, headers: Headers, body: bytes) -> Reply:
        """What a resolver of names answers."""
        status, kind = 200, "text/plain"
        if path == f"{_SIMBAD}/sync":
            status, kind, page = simbad_answer(self.simbad, *form_of(headers.get("Content-Type", ""), body))
        elif path == _NED:
            kind, page = "text/xml", ned_page(self.ned, dict(parse_qsl(query)).get("objname", ""))
        elif path.startswith(_SESAME):
            page = resolve_page(self.names, unquote(query))
        else:
            return page_reply(404, "Not Found")
        return Reply(status, {"Content-Type": kind}, Body(page))

    def _tap(self, action: str, query: str, body: bytes) -> Reply:
        if action == "sync":
            given = dict(parse_qsl(query) + parse_qsl(body.decode("utf-8", "replace")))
            status, kind, page = self.service.sync({name.upper(): value for name, value in given.items()})
            return Reply(status, {"Content-Type": kind}, Body(page))
        pages: dict[str, Callable[[], bytes]] = {
            "tables": self.service.tableset,
            "capabilities": lambda: capabilities(self.url + _TAP),
            "availability": availability,
        }
        if action in pages:
            return Reply(200, {"Content-Type": "text/xml"}, Body(pages[action]()))
        return page_reply(404, "Not Found")


def _spoiled(struck: Struck) -> Reply | None:
    if "hang" in struck:
        time.sleep(float(struck["hang"]))
    if "busy" in struck:
        return page_reply(503, "Service Unavailable", {"Retry-After": f"{struck['busy']:g}"})
    if "limited" in struck:
        return page_reply(429, "Too Many Requests", {"Retry-After": str(struck["limited"])})
    if "redirect" in struck:
        return page_reply(302, "Found", {"Location": str(struck["redirect"])})
    plain: tuple[tuple[FaultKind, int, str], ...] = (
        ("broken", 500, "Internal Server Error"),
        ("denied", 403, "Forbidden"),
        ("missing", 404, "Not Found"),
        ("html", 200, "Service temporarily unavailable"),
    )
    for kind, status, words in plain:
        if kind in struck:
            return page_reply(status, words)
    return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    answer: Callable[[str, str, Headers, bytes], tuple[Reply, Struck]]

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are expected."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    # Of http.server, which has no public way to send a line as it is.
    _headers_buffer: list[bytes]
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "daxa-sample", ""
    timeout = 60
    # Without this, a small reply waits for the acknowledgement of its headers.
    disable_nagle_algorithm = True
    wbufsize = 64 << 10

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_GET  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Requests are kept in `Observatory.requests`, not printed."""

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _LARGEST_BODY:
            self.send_error(413)
            self.close_connection = True
            return
        body = self.rfile.read(int(length))
        reply, struck = self.server.answer(self.command, self.path, self.headers, body)
        self._send(reply, struck)

    def _send(self, reply: Reply, struck: Struck) -> None:
        while "continue" in struck:
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
            time.sleep(float(struck["continue"]))
        lie = int(struck.get("wrong-length", 0))
        stop = reply.body.length + min(lie, 0)
        if "cut" in struck:
            stop = min(stop, int(struck["cut"]))
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if "header" in struck:
            self._headers_buffer.append(str(struck["header"]).encode("latin-1") + b"\r\n")
        if "endless" in struck:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(reply.body.length + lie))
        if stop != reply.body.length + lie:
            self.close_connection = True
        self.end_headers()
        if self.command == "HEAD":
            return
        if "endless" in struck:
            self._send_endless(reply)
        for chunk in reply.body.chunks(1 if "drip" in struck else _CHUNK, stop):
            if "slow" in struck or "drip" in struck:
                self.wfile.flush()
                time.sleep(float(struck.get("slow", struck.get("drip", 0))))
            self.wfile.write(chunk)
        self.wfile.flush()

    def _send_endless(self, reply: Reply) -> None:
        """Until the client hangs up, which ends it with an error that is not shown."""
        while True:
            for chunk in reply.body.chunks(_CHUNK, reply.body.length):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self.wfile.flush()


def serve(sky: Sky, *, port: int = 0, ready: Callable[[Observatory], None] | None = None) -> None:
    """Serve a sky until the process is interrupted.

    Parameters
    ----------
    sky
        What `daxa.simulator.build_sky` or `daxa.simulator.real_sky` made.
    port
        0 lets the system choose.
    ready
        Called once with the observatory when it answers.
    """
    with Observatory(sky.root, sky.tables, sky.names, port=port) as observatory:
        if ready:
            ready(observatory)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return
