"""Files over HTTP: validators, ranges and refusals as Apache gives them."""

from __future__ import annotations

import functools
import gzip
import io
import re
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

from daxa.simulator.faults import Struck
from daxa.simulator.listings import listing_page

__all__ = ["Body", "Headers", "Reply", "corrupt", "file_reply", "page_reply"]

Headers = Mapping[str, str] | Message
"""Those of a request, whatever the case of their names."""

_TYPES = {".gz": "application/x-gzip", ".html": "text/html", ".txt": "text/plain", ".fits": "application/fits"}
_YEAR = 365 * 86400
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Body:
    """Bytes from memory, or a stretch of a file.

    Parameters
    ----------
    content
        The bytes, or the file.
    start, size
        The stretch of a file; ``size`` -1 means all of the content.
    garbled
        Position in the file of one byte to invert, -1 for none.
    """

    content: bytes | Path
    start: int = 0
    size: int = -1
    garbled: int = -1

    @property
    def length(self) -> int:
        """How many bytes it has."""
        if self.size >= 0:
            return self.size
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def chunks(self, size: int, stop: int) -> Iterator[bytes]:
        """The first ``stop`` bytes in pieces."""
        if isinstance(self.content, bytes):
            for place in range(0, stop, size):
                yield self.content[place : min(place + size, stop)]
            return
        with self.content.open("rb") as stream:
            stream.seek(self.start)
            for place in range(0, stop, size):
                chunk = bytearray(stream.read(min(size, stop - place)))
                wrong = self.garbled - self.start - place
                if 0 <= wrong < len(chunk):
                    chunk[wrong] ^= 0xFF
                yield bytes(chunk)


@dataclass(frozen=True)
class Reply:
    """Status, headers (without the length) and body of an answer."""

    status: int
    headers: Mapping[str, str]
    body: Body


def page_reply(status: int, words: str, headers: Mapping[str, str] | None = None) -> Reply:
    """A small HTML page, as servers answer when they have nothing better."""
    page = (
        '<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">\n<html><head>\n'
        f"<title>{status} {words}</title>\n</head><body>\n<h1>{words}</h1>\n</body></html>\n"
    )
    return Reply(status, {"Content-Type": "text/html; charset=iso-8859-1", **(headers or {})}, Body(page.encode()))


def file_reply(root: Path, path: str, query: str, headers: Headers, *, mount: str, faults: Struck) -> Reply:
    """Answer a request below the file tree.

    Parameters
    ----------
    root
        The tree.
    path, query
        The decoded path of the address, which begins with ``mount``, and its query.
    headers
        Of the request.
    faults
        Those that concern files: ``changing``, ``encoded``, ``garbled``, ``no-range``.
    """
    target = _below(root, path[len(mount) :])
    if target is None:
        return page_reply(404, "Not Found")
    if target.is_dir():
        clean = "/" + "/".join(part for part in path.split("/") if part) + "/"
        if not path.endswith("/"):
            return page_reply(301, "Moved Permanently", {"Location": quote(clean)})
        return Reply(200, {"Content-Type": "text/html;charset=UTF-8"}, Body(listing_page(target, clean, query)))
    return _ranged(target, headers, faults)


def _below(root: Path, path: str) -> Path | None:
    parts = [part for part in path.split("/") if part]
    if any(part.startswith(".") or "\\" in part or "\0" in part for part in parts):
        return None
    target = root.joinpath(*parts).resolve()
    return target if target.is_relative_to(root) and target.exists() else None


def _ranged(file: Path, headers: Headers, faults: Struck) -> Reply:
    status = file.stat()
    total = status.st_size
    salt = f"-{time.monotonic_ns():x}" if "changing" in faults else ""
    sent = {
        "Content-Type": _TYPES.get(file.suffix, "application/octet-stream"),
        "Last-Modified": formatdate(int(status.st_mtime), usegmt=True),
        "ETag": f'"{total:x}-{status.st_mtime_ns // 1000:x}{salt}"',
    }
    if "encoded" in faults:
        sent["Content-Encoding"] = "gzip"
    garbled = int(faults["garbled"]) if "garbled" in faults else -1
    if "no-range" in faults:
        return Reply(200, sent, Body(file, garbled=garbled))
    sent["Accept-Ranges"] = "bytes"
    span = _requested_span(headers, sent, total)
    if span is None:
        return Reply(200, sent, Body(file, garbled=garbled))
    first, last = span
    if first > last or first >= total:
        return page_reply(416, "Requested Range Not Satisfiable", {"Content-Range": f"bytes */{total}"})
    sent["Content-Range"] = f"bytes {first}-{last}/{total}"
    return Reply(206, sent, Body(file, first, last - first + 1, garbled))


def corrupt(reply: Reply, faults: Struck) -> Reply:
    """A good answer with other content than it should have.

    Parameters
    ----------
    reply
        The good answer.
    faults
        Those that concern contents: ``bomb``, ``commented``, ``no-last-hdu``, ``redelivered``,
        ``repacked``.
    """
    if "bomb" in faults:
        return _whole(reply, _bomb(int(faults["bomb"])))
    if "no-last-hdu" in faults:
        return _whole(reply, _without_header(reply.body.content))
    if "redelivered" in faults and isinstance(reply.body.content, Path):
        return _replaced(reply, reply.body.content, _reprocessed(reply.body.content, str(faults["redelivered"])))
    if "repacked" in faults and isinstance(reply.body.content, Path):
        plain = gzip.decompress(reply.body.content.read_bytes())
        return _replaced(reply, reply.body.content, gzip.compress(plain, 1, mtime=0))
    if "commented" in faults and isinstance(reply.body.content, bytes):
        at = reply.body.content.find(str(faults["commented"]).encode())
        return _whole(reply, reply.body.content[:at] + b"<!-- " + reply.body.content[at:])
    return reply


def _whole(reply: Reply, content: bytes) -> Reply:
    kept = {name: value for name, value in reply.headers.items() if name not in ("Content-Range", "Accept-Ranges")}
    return Reply(200, kept, Body(content))


@functools.cache
def _bomb(size: int) -> bytes:
    """An image of zeros, as a sequence of equal members, which costs little to make."""
    cards = {"SIMPLE": "T", "BITPIX": "8", "NAXIS": "1", "NAXIS1": str(size)}
    header = "".join(f"{name:8}= {value:>20}".ljust(80) for name, value in cards.items()) + "END".ljust(80)
    member, fill = 1 << 20, -size % 2880
    zeros = gzip.compress(bytes(member), 9, mtime=0) * (size // member) + gzip.compress(
        bytes(size % member + fill), mtime=0
    )
    return gzip.compress(header.ljust(2880).encode(), mtime=0) + zeros


def _without_header(content: bytes | Path) -> bytes:
    from astropy.io import fits

    packed = content if isinstance(content, bytes) else content.read_bytes()
    plain = zlib.decompress(packed, wbits=31)
    with fits.open(io.BytesIO(plain)) as hdus:
        return gzip.compress(plain[: hdus[-1].fileinfo()["hdrLoc"]], mtime=0)


def _replaced(reply: Reply, file: Path, content: bytes) -> Reply:
    """Another file under the same name, with its own validators."""
    stamps = {
        "Last-Modified": formatdate(int(file.stat().st_mtime) + _YEAR, usegmt=True),
        "ETag": f'"{len(content):x}-{zlib.crc32(content):x}"',
    }
    return _whole(Reply(200, {**reply.headers, **stamps}, reply.body), content)


@functools.cache
def _reprocessed(file: Path, version: str) -> bytes:
    """As a later version of the processing would deliver it."""
    from astropy.io import fits

    with fits.open(io.BytesIO(gzip.decompress(file.read_bytes()))) as hdus:
        hdus[0].header["PROCVER"] = version
        table = next((hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU) and len(hdu.data) > 1), None)
        if table is not None:
            table.data = table.data[: -max(1, len(table.data) // 10)]
        plain = io.BytesIO()
        hdus.writeto(plain)
    return gzip.compress(plain.getvalue(), 4, mtime=0)


def _requested_span(headers: Headers, sent: Mapping[str, str], total: int) -> tuple[int, int] | None:
    found = _RANGE.fullmatch(headers.get("Range", "").replace(" ", ""))
    condition = headers.get("If-Range")
    if not found or found.groups() == ("", "") or condition not in (None, sent["ETag"], sent["Last-Modified"]):
        return None
    first, last = found.groups()
    if not first:
        return max(0, total - int(last)), total - 1
    return int(first), min(int(last), total - 1) if last else total - 1
