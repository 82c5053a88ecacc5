"""A bucket on this machine that lists its objects as S3 does, a few on a page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Bucket(ThreadingHTTPServer):
    """Objects by key; every request is noted."""

    daemon_threads = True

    def __init__(self, objects: dict[str, bytes], page: int = 2) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects, self.page = objects, page
        self.seen: list[str] = []

    def handle_error(self, request, client_address) -> None:
        """Broken connections are what is tested."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def listing(self, prefix: str, token: str) -> bytes:
        """One page of ListObjectsV2 with the delimiter "/"."""
        below = sorted(key for key in self.objects if key.startswith(prefix))
        items = sorted({key[: key.index("/", len(prefix)) + 1] if "/" in key[len(prefix) :] else key for key in below})
        first = int(token or 0)
        shown = items[first : first + self.page]
        more = first + self.page < len(items)
        parts = [
            f"<CommonPrefixes><Prefix>{escape(item)}</Prefix></CommonPrefixes>"
            if item.endswith("/") and item != prefix
            else f"<Contents><Key>{escape(item)}</Key><Size>{len(self.objects[item])}</Size></Contents>"
            for item in shown
        ]
        following = f"<NextContinuationToken>{first + self.page}</NextContinuationToken>" if more else ""
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{NAMESPACE}"><Name>b</Name>'
            f"<Prefix>{escape(prefix)}</Prefix><IsTruncated>{str(more).lower()}</IsTruncated>{following}"
            f"{''.join(parts)}</ListBucketResult>"
        ).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bucket

    def log_message(self, *_: object) -> None:
        """Kept in `seen` instead."""

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        parts = urlsplit(self.path)
        asked = parse_qs(parts.query)
        key = unquote(parts.path[1:])
        if asked.get("list-type") == ["2"]:
            body, status = self.server.listing(asked["prefix"][0], asked.get("continuation-token", [""])[0]), 200
        else:
            body, status = self.server.objects.get(key, b"<Error/>"), 200 if key in self.server.objects else 404
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"e"')
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running(bucket: Bucket) -> Iterator[Bucket]:
    """Serve until the block ends."""
    with bucket:
        thread = threading.Thread(target=bucket.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield bucket
        bucket.shutdown()
        thread.join()
