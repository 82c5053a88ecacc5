"""Look inside a downloaded file: is it complete, and is it data at all?"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daxa.errors import DataError
from daxa.fetch.file_sizes import unpacked_limit
from daxa.fetch.structure import FitsWalk

__all__ = ["ExpectedContent", "check_file", "contents", "is_packed"]

_CHUNK = 1 << 20
_FITS_SUFFIXES = (".fits", ".fit", ".fts", ".ftz", ".evt", ".img", ".lc", ".pha", ".pi")
_PACKED_SUFFIXES = (".gz", ".ftz")
_MEMBERS, _SMALLEST_MEMBER = 1000, 1024
_TEXT_SUFFIXES = (".html", ".htm", ".xml", ".svg", ".vot")


@dataclass(frozen=True)
class ExpectedContent:
    """What a file must hold beyond being whole.

    Parameters
    ----------
    obs_id
        The observation that its headers must name where they name one; '' for any.
    tables
        Regular expressions, each of which must match the name of a different extension.
    """

    obs_id: str = ""
    tables: tuple[str, ...] = ()


def is_packed(name: str) -> bool:
    """True for names of gzip files: ``.gz``, and ``.FTZ`` of XMM-Newton."""
    return name.lower().endswith(_PACKED_SUFFIXES)


def check_file(path: Path, name: str, expected: ExpectedContent | None = None) -> tuple[str, ...]:
    """Check that a file is complete and of the kind that its name says.

    A gzip file must decompress to its end with the right CRC and length; FITS content must
    be a sequence of whole HDUs; a page of HTML or an encrypted file is not data.

    Parameters
    ----------
    path
        The file.
    name
        The name or path that it has in the archive.
    expected
        What a FITS file must hold.

    Returns
    -------
    tuple of str
        Remarks on flaws that do not make the file unusable, such as a stale FITS checksum.

    Raises
    ------
    DataError
        ``data.empty``, ``data.html``, ``data.proprietary``, ``data.truncated``,
        ``data.damaged``, ``data.not-fits``, ``data.oversized``, ``data.incomplete`` or
        ``data.wrong-observation``.
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
    return _check_contents(path, name, expected or ExpectedContent())


def _check_contents(path: Path, name: str, expected: ExpectedContent) -> tuple[str, ...]:
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
    _check_tables(walk, name, expected)
    _check_observation(walk, name, expected)
    return tuple(walk.warnings)


def _check_tables(walk: FitsWalk, name: str, expected: ExpectedContent) -> None:
    """A file may end between two HDUs and still be whole in itself."""
    there = Counter(header.get("EXTNAME", "").upper() for header in walk.headers)
    needed = Counter(expected.tables)
    for pattern, number in needed.items():
        if sum(count for one, count in there.items() if re.fullmatch(pattern, one)) < number:
            times = f"{number} tables" if number > 1 else "no table"
            raise _error("incomplete", name, f"has {'fewer than ' * (number > 1)}{times} {pattern}")
    if not needed:
        return
    named = {header.get(keyword, "").upper() for header in walk.headers for keyword in ("EXTNAME", "HDUNAME")}
    for header in walk.headers:
        for keyword, value in header.items():
            # The data subspace names the good times of each chip: ":GTI7", ":STDGTI07".
            referred = value.upper().removeprefix(":")
            if "DSREF" in keyword and value.startswith(":") and "GTI" in referred and referred not in named:
                raise _error("incomplete", name, f"refers to a table {referred:.40}, which it does not have")


def _check_observation(walk: FitsWalk, name: str, expected: ExpectedContent) -> None:
    if not expected.obs_id:
        return
    for header in walk.headers:
        found = header.get("OBS_ID", "")
        if found and not _same_id(found, expected.obs_id):
            raise _error(
                "wrong-observation", name, f"says that it belongs to observation {found!a:.80}, not {expected.obs_id}"
            )


def _same_id(found: str, requested: str) -> bool:
    # Some headers hold a number, without the leading zeros.
    return found == requested or (
        found.isdigit() and requested.isdigit() and found.lstrip("0") == requested.lstrip("0")
    )


def _is_page(head: bytes) -> bool:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<?xml")) or b"<title>" in start


def contents(path: Path, name: str) -> Iterator[bytes]:
    """The bytes of a file in pieces, decompressed where its name says gzip.

    Raises
    ------
    DataError
        ``data.truncated`` or ``data.damaged``: the gzip stream is not whole.  ``data.oversized``:
        it unpacks to more than any file of its size.
    """
    with path.open("rb") as file:
        raw = iter(lambda: file.read(_CHUNK), b"")
        if not is_packed(name):
            yield from raw
            return
        size = path.stat().st_size
        limit, there = unpacked_limit(size), 0
        for piece in _unpacked(raw, name):
            there += len(piece)
            if there > limit:
                raise _error("oversized", name, f"has {size} bytes and unpacks to more than {limit}")
            yield piece


def _unpacked(raw: Iterator[bytes], name: str) -> Iterator[bytes]:
    member, finished = zlib.decompressobj(wbits=31), False
    # What is left of a block is copied for each member of it, so that many tiny ones would take for ever.
    members, allowed = 1, _MEMBERS
    for block in raw:
        rest, more = block, True
        allowed += len(block) // _SMALLEST_MEMBER
        while more:
            if finished:
                rest = rest.lstrip(b"\x00")  # gzip files may be padded with zeros
                if not rest:
                    break
                member, finished = zlib.decompressobj(wbits=31), False
                if (members := members + 1) > allowed:
                    raise _error("damaged", name, f"consists of more than {allowed} gzip files")
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
    remedy = "fetch it again with `daxa run`"
    if kind in ("incomplete", "wrong-observation", "oversized"):
        remedy += "; if the archive's own copy is like this, leave the observation out and report it to its help desk"
    return DataError(kind, f"{name} {what}", remedy=remedy)
