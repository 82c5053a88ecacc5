"""Look inside a file that has arrived: is it whole, and is it data at all?"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

from daxa.errors import DataError
from daxa.fetch.structure import FitsWalk

__all__ = ["check_file", "contents", "is_packed"]

_CHUNK = 1 << 20
_FITS_SUFFIXES = (".fits", ".fit", ".fts", ".ftz", ".evt", ".img", ".lc", ".pha", ".pi")
_PACKED_SUFFIXES = (".gz", ".ftz")
_TEXT_SUFFIXES = (".html", ".htm", ".xml", ".svg", ".vot")


def is_packed(name: str) -> bool:
    """True for names of gzip files: ``.gz``, and ``.FTZ`` of XMM-Newton."""
    return name.lower().endswith(_PACKED_SUFFIXES)


def check_file(path: Path, name: str) -> tuple[str, ...]:
    """Check that a file is complete and of the kind that its name tells.

    A gzip file must decompress to its end with the right CRC and length; FITS content must
    be a sequence of whole HDUs; a page of HTML or an encrypted file is no data.

    Parameters
    ----------
    path
        The file.
    name
        The name or path that it has in the archive.

    Returns
    -------
    tuple of str
        What is odd but does not make the file unusable, such as a stale FITS checksum.

    Raises
    ------
    DataError
        ``data.empty``, ``data.html``, ``data.proprietary``, ``data.truncated``,
        ``data.damaged`` or ``data.not-fits``.
    """
    lowered = name.lower()
    with path.open("rb") as file:
        head = file.read(1024)
    if not head:
        raise _error("empty", name, "holds nothing")
    if lowered.endswith((".gpg", ".pgp")):
        raise DataError("proprietary", f"{name} is encrypted", remedy="wait for its public date")
    if _is_page(head) and not lowered.endswith(_TEXT_SUFFIXES):
        raise _error("html", name, "is a web page, not data")
    if lowered.endswith(".z") and not head.startswith(b"\x1f\x9d"):
        raise _error("damaged", name, "is not a file of compress")
    return _check_contents(path, name)


def _check_contents(path: Path, name: str) -> tuple[str, ...]:
    inner = name[: -len(".gz")].lower() if name.lower().endswith(".gz") else name.lower()
    walk: FitsWalk | None = FitsWalk(name)
    pieces = contents(path, name)
    first = next(pieces, b"")
    if not first.startswith(b"SIMPLE  =") and not inner.endswith(_FITS_SUFFIXES):
        walk = None
    if walk is not None:
        walk.feed(first)
    for piece in pieces:
        if walk is not None:
            walk.feed(piece)
    if walk is None:
        return ()
    walk.finish()
    return tuple(walk.warnings)


def _is_page(head: bytes) -> bool:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<?xml")) or b"<title>" in start


def contents(path: Path, name: str) -> Iterator[bytes]:
    """The bytes of a file in pieces, decompressed where its name says gzip.

    Raises
    ------
    DataError
        ``data.truncated`` or ``data.damaged``: the gzip stream is not whole.
    """
    with path.open("rb") as file:
        raw = iter(lambda: file.read(_CHUNK), b"")
        yield from _unpacked(raw, name) if is_packed(name) else raw


def _unpacked(raw: Iterator[bytes], name: str) -> Iterator[bytes]:
    member, finished = zlib.decompressobj(wbits=31), False
    for block in raw:
        rest, more = block, True
        while more:
            if finished:
                rest = rest.lstrip(b"\x00")  # gzip files may be padded with zeros
                if not rest:
                    break
                member, finished = zlib.decompressobj(wbits=31), False
            try:
                piece = member.decompress(rest, _CHUNK)
            except zlib.error as error:
                raise _error("damaged", name, f"does not decompress: {error}") from None
            if piece:
                yield piece
            finished = member.eof
            rest = member.unused_data if finished else member.unconsumed_tail
            more = bool(rest) or (not finished and len(piece) == _CHUNK)
    if not finished:
        raise _error("truncated", name, "ends in the middle of its gzip stream")


def _error(kind: str, name: str, what: str) -> DataError:
    return DataError(kind, f"{name} {what}", remedy="fetch it again with `daxa run`")
