"""When two files are the same: digests of bytes, and of what matters in a FITS file.

The science digest covers, for every HDU in turn, the cards in a canonical form and
the data, but not the cards in `VOLATILE`: those record when, where and by whom a file was
written.  Everything else counts, so an unknown card counts as science.  The structure
of a FITS file (2880-byte blocks, 80-character cards, size of the data) is that of the
FITS standard 4.0, sections 3 and 4 (2018).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from daxa.run.task import ProductFile

__all__ = [
    "BLOCK",
    "VOLATILE",
    "NotFits",
    "Reader",
    "canonical_cards",
    "data_size",
    "file_digests",
    "is_volatile",
    "read_exactly",
    "read_header",
    "read_up_to",
    "science_digest",
]

VOLATILE = {
    "DATE": "when the HDU was written",
    "ANALDATE": "when the pipeline analysed it (XMM-Newton)",
    "CHECKSUM": "covers the volatile cards too",
    "DATASUM": "follows from the data, which are digested",
    "ZHECKSUM": "CHECKSUM of the HDU before tile compression",
    "ZDATASUM": "DATASUM of the HDU before tile compression",
    "CREATOR": "program that wrote it, with versions, users and times; fingerprints hold the software",
    "HISTORY": "free text of tools, with times and paths",
    "COMMENT": "free text of tools",
    "": "free text without a keyword",
    "USER": "account that ran the tool",
    "HOSTNAME": "machine that ran the tool",
    "XPROC#": "SAS: command lines, with paths",
    "XDAL#": "SAS: files and times of writing",
    "SASSHIST": "eSASS: tasks with times and machines",
}
"""Keywords left out of the science digest, each with the reason; ``#`` stands for a number."""

BLOCK = 2880
"""Bytes of a block of a FITS file."""

_CARD = 80
_CHUNK = 1 << 20
_MAX_HEADER = 16 << 20
_STRUCTURE = re.compile(rb"(BITPIX|NAXIS\d*|PCOUNT|GCOUNT) *= *([+-]?\d+) *(?:/.*)?", re.DOTALL)
_NUMBERED = re.compile(r"[0-9]+$")


class NotFits(Exception):
    """The stream does not follow the FITS structure."""


class Reader(Protocol):
    """A source of bytes, in order."""

    def read(self, size: int = -1, /) -> bytes: ...


class _Tee:
    """Reads from a file and digests every byte that is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self.digest = hashlib.sha256()
        self.size = 0
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self.digest.update(data)
        self.size += len(data)
        return data

    def seek(self, position: int, /) -> int:
        """Refuse: bytes can be read only once, and `gzip` only reads forwards."""
        raise io.UnsupportedOperation(f"seek to {position}")


def file_digests(path: Path, name: str | None = None) -> ProductFile:
    """Size, SHA-256 and science digest of a file, read once and in pieces.

    Parameters
    ----------
    path
        The file.
    name
        Its path in the ledger; the file's name when left out.

    Returns
    -------
    ProductFile
        With ``science`` equal to ``sha256`` for a file that is not FITS, or incomplete.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     note = Path(place) / "note.txt"
    ...     _ = note.write_bytes(b"no events")
    ...     found = file_digests(note)
    >>> found.path, found.size, found.science == found.sha256
    ('note.txt', 9, True)
    """
    with path.open("rb") as stream:
        gzipped = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        tee = _Tee(stream)
        try:
            science = science_digest(gzip.GzipFile(fileobj=tee) if gzipped else tee)
        except (EOFError, OSError, zlib.error):
            if not gzipped:
                raise
            science = ""
        while tee.read(_CHUNK):
            pass
    sha256 = tee.digest.hexdigest()
    return ProductFile(path.name if name is None else name, tee.size, sha256, science or sha256)


def science_digest(stream: Reader) -> str:
    """Science digest of an uncompressed FITS stream; '' if it is not a complete FITS file.

    Examples
    --------
    >>> import io
    >>> cards = ["SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0"]
    >>> def header(date):
    ...     dated = [*cards, f"DATE    = '{date}'", "END"]
    ...     return io.BytesIO("".join(card.ljust(80) for card in dated).ljust(2880).encode())
    >>> science_digest(header("2004-10-19")) == science_digest(header("2026-01-01"))
    True
    >>> science_digest(io.BytesIO(b"<html>"))
    ''
    """
    digest = hashlib.sha256(b"science digest 1\n")
    try:
        first = read_exactly(stream, BLOCK)
        if not first.startswith(b"SIMPLE  ="):
            return ""
        block: bytes = first
        while block:
            header = read_header(stream, block)
            _add_cards(digest.update, header)
            _add_data(digest.update, stream, data_size(header))
            block = read_up_to(stream, BLOCK)
            if not block.startswith(b"XTENSION"):
                _add_rest(digest.update, stream, block)
                block = b""
    except NotFits:
        return ""
    return digest.hexdigest()


def read_up_to(stream: Reader, size: int) -> bytes:
    """A number of bytes, or fewer at the end."""
    pieces, missing = [], size
    while missing and (piece := stream.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def read_exactly(stream: Reader, size: int) -> bytes:
    """Exactly a number of bytes; `NotFits` if there are fewer."""
    data = read_up_to(stream, size)
    if len(data) != size:
        raise NotFits
    return data


def read_header(stream: Reader, first: bytes) -> bytes:
    """The cards of a header up to END, without it."""
    blocks = [first]
    while True:
        block = blocks[-1]
        if len(block) != BLOCK or len(blocks) * BLOCK > _MAX_HEADER:
            raise NotFits
        for start in range(0, BLOCK, _CARD):
            if block[start : start + 8] == b"END     ":
                return b"".join([*blocks[:-1], block[:start]])
        blocks.append(read_exactly(stream, BLOCK))


def data_size(header: bytes) -> int:
    """Bytes of data that follow a header (FITS 4.0, equations 1, 2 and 4), without padding."""
    values: dict[str, int] = {}
    groups = False
    for start in range(0, len(header), _CARD):
        card = header[start : start + _CARD]
        if found := _STRUCTURE.fullmatch(card):
            values.setdefault(found[1].decode(), int(found[2]))
        groups = groups or bool(re.match(rb"GROUPS  = *T", card))
    number = values.get("NAXIS", 0)
    if not 0 <= number <= 999:
        raise NotFits
    if number == 0:
        return 0
    axes = [values.get(f"NAXIS{i}", 0) for i in range(1, number + 1)]
    if groups and axes[0] == 0:
        axes[0] = 1
    count = 1
    for axis in axes:
        count *= axis
    size = abs(values.get("BITPIX", 8)) // 8 * values.get("GCOUNT", 1) * (values.get("PCOUNT", 0) + count)
    if size < 0:
        raise NotFits
    return size


def _add_cards(add: Callable[[bytes], None], header: bytes) -> None:
    skipping = False
    for line in canonical_cards(header):
        keyword = line.split("=", 1)[0].split(" ", 1)[0]
        # A long text goes on in CONTINUE cards, which belong to the card before them.
        skipping = skipping if keyword == "CONTINUE" else is_volatile(keyword)
        if not skipping:
            add(line.encode("latin-1") + b"\n")


def canonical_cards(header: bytes) -> Iterator[str]:
    """Every card as keyword, value and comment, whatever its spacing."""
    for start in range(0, len(header), _CARD):
        card = header[start : start + _CARD].decode("latin-1")
        keyword, rest = card[:8].rstrip(), card[8:]
        if not rest.startswith("= "):
            yield f"{keyword} {rest.strip()}" if keyword else ""
            continue
        value, comment = _split(rest[2:])
        yield f"{keyword}={value}/{comment}"


def _split(text: str) -> tuple[str, str]:
    """Value and comment of a card; trailing blanks of a string do not count (FITS 4.2.1)."""
    text = text.strip()
    if text.startswith("'"):
        found = re.match(r"'((?:[^']|'')*)'", text)
        if found is None:
            return text, ""
        return f"'{found[1].rstrip()}'", text[found.end() :].strip().removeprefix("/").strip()
    value, _, comment = text.partition("/")
    return value.strip(), comment.strip()


def is_volatile(keyword: str) -> bool:
    """Whether a card with this keyword is left out of the science digest."""
    return keyword in VOLATILE or (_NUMBERED.sub("#", keyword) in VOLATILE)


def _add_data(add: Callable[[bytes], None], stream: Reader, size: int) -> None:
    add(f"data {size}\n".encode())
    missing = size
    while missing:
        piece = stream.read(min(_CHUNK, missing))
        if not piece:
            raise NotFits
        add(piece)
        missing -= len(piece)
    read_up_to(stream, -size % BLOCK)


def _add_rest(add: Callable[[bytes], None], stream: Reader, piece: bytes) -> None:
    """Whatever follows the last HDU counts, unless it is padding."""
    while piece:
        if piece.strip(b"\0 "):
            add(b"rest\n" + piece)
        piece = stream.read(_CHUNK)
