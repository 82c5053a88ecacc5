"""A server on this machine that lists its directories as nginx does."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class NginxLike(ThreadingHTTPServer):
    """Files by path; every request is noted."""

    daemon_threads = True

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.seen = dict(files), []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: NginxLike

    def log_message(self, *_: object) -> None:
        """Kept in `seen` instead."""

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])[1:]
        self.server.seen.append(path)
        body = self.server.files.get(path) if not path.endswith("/") and path else self._index(path)
        self.send_response(404 if body is None else 200)
        body = body or b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _index(self, folder: str) -> bytes | None:
        below = sorted(path.removeprefix(folder) for path in self.server.files if path.startswith(folder))
        if not below:
            return None
        lines = ['<a href="../">../</a>']
        for name in dict.fromkeys(name.partition("/")[0] + ("/" if "/" in name else "") for name in below):
            size = "-" if name.endswith("/") else str(len(self.server.files[folder + name]))
            shown = name if len(name) <= 50 else f"{name[:47]}..&gt;"
            lines.append(f'<a href="{name}">{shown}</a>{" " * (51 - len(shown[:50]))}01-Jan-2024 00:00{size:>20}')
        title = f"Index of /{folder}"
        head = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<h1>{title}</h1><hr><pre>"
        return (head + "\r\n".join(lines) + "\r\n</pre><hr></body>\r\n</html>\r\n").encode()


@contextmanager
def nginx_server(files: Mapping[str, bytes]) -> Iterator[NginxLike]:
    """Serve until the block ends."""
    with NginxLike(files) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
