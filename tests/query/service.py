"""A query service on loopback for fault cases: every reply is what the test says."""

from __future__ import annotations

import io
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote

import numpy as np

from daxa.settings import Settings, load_settings

VOTABLE = "application/x-votable+xml"


@dataclass
class Reply:
    """What the service sends: with `cut` the body stops there though more was promised."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    hang: threading.Event | None = None


class Service:
    """Answers each request with the next reply of `script`, then with `answer(query)` for ever."""

    def __init__(self, answer: Callable[[str], Reply]) -> None:
        self.answer = answer
        self.script: list[Reply] = []
        self.queries: list[str] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.targets: list[str] = []
        self.url = ""
        self.released = 0
        self.caches = ""

    def reply(self, query: str) -> Reply:
        self.queries.append(query)
        return self.script.pop(0) if self.script else self.answer(query)

    def settings(self, **changes: str) -> Settings:
        """Settings that lead here, with a cache of their own unless `changes` name one."""
        environ = {
            "DAXA_HEASARC_TAP": f"{self.url}/tap",
            "DAXA_XSA_TAP": f"{self.url}/xsa",
            "DAXA_SESAME": f"{self.url}/nph-sesame/",
            "DAXA_SIMBAD_TAP": f"{self.url}/simbad",
            "DAXA_NED": f"{self.url}/ned",
            "DAXA_CACHE": tempfile.mkdtemp(dir=self.caches),
            **changes,
        }
        return load_settings(environ=environ, user_file=None)


@contextmanager
def serve(answer: Callable[[str], Reply]) -> Iterator[Service]:
    """Run a `Service` on a free port of the loopback interface."""
    service = Service(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._send(parse_qs(form).get("QUERY", [""])[0], form)

        def do_GET(self):
            self._send(unquote(self.path.partition("?")[2]), self.path)

        def _send(self, query, form):
            service.requests.append((self.command, form, dict(self.headers)))
            service.targets.append(self.path)
            reply = service.reply(query)
            self.send_response(reply.status)
            for name, value in {
                "Content-Type": VOTABLE,
                "Content-Length": str(len(reply.body)),
                **reply.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body[: reply.cut])
            if reply.hang:
                self.wfile.flush()
                reply.hang.wait(20)
                service.released += 1

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        with tempfile.TemporaryDirectory() as service.caches:
            yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def table_service(rows: Sequence[Mapping[str, object]]) -> Callable[[str], Reply]:
    """Answers COUNT and TOP queries for any table, with the requested columns."""

    def answer(query: str) -> Reply:
        if "COUNT(*)" in query:
            return Reply(votable([{"n": len(rows)}], ["n"]))
        top = int(re.search(r"TOP (\d+)", query)[1])
        names = re.findall(r'"([^"]+)"', query.partition(" FROM ")[0])
        return Reply(votable(rows[:top], names))

    return answer


def votable(
    rows: Sequence[Mapping[str, object]], names: Sequence[str], *, status: str = "OK", after: str = ""
) -> bytes:
    """A VOTable as HEASARC sends it: BINARY, texts padded to a common length, units such as mjd."""
    from astropy.io.votable import from_table
    from astropy.io.votable.tree import Info
    from astropy.table import MaskedColumn, Table

    columns = []
    for name in names:
        cells = [row.get(name) for row in rows]
        mask = [cell is None for cell in cells]
        if any(isinstance(cell, str) for cell in cells):
            width = max(len(cell) for cell in cells if cell) + 3
            data = np.array([("" if cell is None else str(cell)).ljust(width).encode() for cell in cells])
        else:
            known = [cell for cell in cells if cell is not None] or [0.0]
            data = np.array([known[0] if cell is None else cell for cell in cells], dtype=type(known[0]))
        columns.append(MaskedColumn(data, name=name, mask=mask))
    document = from_table(Table(columns, masked=True))
    document.get_first_table().format = "binary"
    document.resources[0].type = "results"
    document.resources[0].infos.append(Info(name="QUERY_STATUS", value=status))
    buffer = io.BytesIO()
    document.to_xml(buffer)
    body = buffer.getvalue()
    if after:
        body = body.replace(b"</RESOURCE>", f'<INFO name="QUERY_STATUS" value="{after}"/></RESOURCE>'.encode())
    return body.replace(b'name="time"', b'name="time" unit="mjd"')


def refusal(message: str) -> Reply:
    """How a TAP service refuses a query."""
    return Reply(
        f'<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
        f'<INFO name="QUERY_STATUS" value="ERROR">{message}</INFO></RESOURCE></VOTABLE>'.encode(),
        400,
    )
