"""Read VOTables of unknown origin.

A VOTable may have its data fetched from any address or file (``STREAM href``), XML lets it
define entities that grow without bound or name files, and its header may promise any number
of rows, columns and letters.  No table of observations, objects or links needs any of it.
"""

from __future__ import annotations

import io
import math
import mmap
import re
import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO
from xml.parsers.expat import ExpatError

if TYPE_CHECKING:
    from astropy.io.votable.tree import VOTableFile

__all__ = ["PARSE_ERRORS", "parse_votable"]

PARSE_ERRORS = (ArithmeticError, AttributeError, EOFError, ExpatError, LookupError, MemoryError, OSError,
                RuntimeError, struct.error, SyntaxError, TypeError, ValueError, Warning, zlib.error)  # fmt: skip
"""What astropy's reader lets through when its input is arbitrary."""

_ENTITY = re.compile(rb"<!ENTITY", re.IGNORECASE)
_ELSEWHERE = re.compile(rb"<(?:[^\s<>/:]+:)?STREAM\s[^<>]*\bhref\s*=", re.IGNORECASE)
_PROMISE = re.compile(rb"""\b(arraysize|nrows)\s*=\s*["']([^"'<>]{0,200})["']""", re.IGNORECASE)
_OPENED = re.compile(
    rb"<(?:[^\s<>/:]+:)?(FIELD|PARAM|INFO|GROUP|RESOURCE|TABLE|DEFINITIONS|OPTION|LINK)\b", re.IGNORECASE
)
_MOST_ELEMENTS = 5000
_LARGEST_CELL = 1 << 16


def parse_votable(body: bytes | BinaryIO) -> VOTableFile:
    """Parse a document without following what it refers to.

    Parameters
    ----------
    body
        The document, XML in UTF-8 or a subset of it; a file on disk is not read into memory.

    Raises
    ------
    ValueError
        It is not UTF-8 text, defines entities, keeps its data elsewhere, or claims more than
        it can hold; and any other of `PARSE_ERRORS` when it is not a VOTable.
    """
    from astropy.io import votable

    if isinstance(body, bytes):
        _check(body)
        return votable.parse(io.BytesIO(body), verify="ignore")
    with mmap.mmap(body.fileno(), 0, access=mmap.ACCESS_READ) as content:
        _check(content)
    body.seek(0)
    return votable.parse(body, verify="ignore")


def _check(content: bytes | mmap.mmap) -> None:
    # In UTF-16 the marks below would not be found; every byte of it that matters is beside a zero.
    if content.find(b"\0") >= 0 or content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError("it is not text in UTF-8")
    if _ENTITY.search(content):
        raise ValueError("it defines XML entities, which are not expanded")
    if _ELSEWHERE.search(content):
        raise ValueError("it keeps its data elsewhere, and such data are not fetched")
    for number, _ in enumerate(_OPENED.finditer(content)):
        if number >= _MOST_ELEMENTS:
            raise ValueError(f"its header has more than {_MOST_ELEMENTS} parts")
    for name, value in (found.groups() for found in _PROMISE.finditer(content)):
        promised = math.prod(int(digits[:18]) for digits in re.findall(rb"\d+", value)[:32])
        # A row takes nine letters of XML, or a byte of data; texts of 200 letters are all that is kept.
        if promised > (len(content) if name.lower() == b"nrows" else _LARGEST_CELL):
            raise ValueError(f"it claims {name.decode()} = {promised}")
