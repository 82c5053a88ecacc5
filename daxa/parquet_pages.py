"""What the pages of a Parquet file will unpack to, read from the headers that its reader obeys.

The footer says it too, but nothing holds a footer to the truth: a page that a few bytes
describe may claim a billion values, or a gibibyte.  Footer and headers are Thrift structures
in the compact protocol (Apache Parquet format, ``parquet.thrift``).  They are read here and
not by pyarrow, which ends the process where the statistics of a column cannot be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["DICTIONARY", "PLAIN_ENCODINGS", "Chunk", "Page", "chunks_of", "walk_pages"]

DICTIONARY = 2
"""PageType of a dictionary."""

PLAIN_ENCODINGS = frozenset({0, 2, 3, 4, 8})
"""PLAIN, PLAIN_DICTIONARY, RLE, BIT_PACKED, RLE_DICTIONARY: no value is made of another's beginning."""

_TRUE, _FALSE, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _MAP, _STRUCT = 1, 2, 3, (4, 5, 6), 7, 8, (9, 10), 11, 12
_HEADERS = {0: 5, 2: 7, 3: 8}
"""PageType to the field that describes a page of that type."""
_DEEPEST = 12
_MOST = 200_000
"""Entries of a list."""


@dataclass(frozen=True)
class Chunk:
    """One column in one row group.

    Parameters
    ----------
    path
        Of the column, with dots between its parts.
    begin, end
        Where its pages are.
    levels
        Numbers of repetition and definition levels that its statistics count, 0 without statistics.
    """

    path: str
    begin: int
    end: int
    levels: tuple[int, int]


@dataclass(frozen=True)
class Page:
    """What the header of a page claims.

    Parameters
    ----------
    kind
        0 data, 2 dictionary, 3 data of version 2.
    unpacked
        Bytes after decompression.
    values
        Number of values, nulls included.
    encoding
        Of the values.
    """

    kind: int
    unpacked: int
    values: int
    encoding: int


def chunks_of(footer: bytes) -> list[list[Chunk]]:
    """The columns of every row group.

    Raises
    ------
    ValueError
        The bytes are not the footer of a file that holds all its columns.
    """
    try:
        said, _ = _struct(footer, 0, 0)
        return [[_chunk(column) for column in group[1]] for group in said.get(4, [])]
    except (IndexError, KeyError, TypeError, AttributeError):
        raise ValueError("its footer cannot be read") from None


def _chunk(column: dict[int, Any]) -> Chunk:
    said = column[3]
    begin = said.get(11) or said[9]
    counted = said.get(16, {})
    if 1 in column:
        raise ValueError("a column is in another file")
    path = b".".join(said[3]).decode("utf-8", "replace")
    return Chunk(path, begin, begin + said[7], (len(counted.get(2, ())), len(counted.get(3, ()))))


def walk_pages(content: bytes, begin: int, end: int) -> Iterator[Page]:
    """The pages of a column chunk, in order.

    Parameters
    ----------
    content
        The whole file.
    begin, end
        Where the chunk is in it.

    Raises
    ------
    ValueError
        The bytes are not a chain of pages that fills the chunk.
    """
    if not 0 <= begin <= end <= len(content):
        raise ValueError("a column lies outside the file")
    while begin < end:
        try:
            header, body = _struct(content, begin, 0)
            kind, unpacked, packed = header[1], header[2], header[3]
            described = header[_HEADERS[kind]]
            # Version 2 counts nulls and rows before it names the encoding.
            page = Page(kind, unpacked, described[1], described[4 if kind == 3 else 2])
        except (IndexError, KeyError, TypeError):
            raise ValueError("the header of a page cannot be read") from None
        numbers = (page.unpacked, packed, page.values, page.encoding)
        if not all(isinstance(number, int) and number >= 0 for number in numbers) or body + packed > end:
            raise ValueError("the header of a page has impossible values")
        yield page
        begin = body + packed


def _struct(content: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    fields: dict[int, Any] = {}
    number = 0
    while head := content[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(content, at)
        fields[number], at = _value(content, at, head & 15, depth)
    return fields, at + 1


def _value(content: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:  # noqa: PLR0911 - one per kind
    if depth > _DEEPEST:
        raise ValueError("its footer is nested too deeply")
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    if kind in _INTEGERS:
        return _integer(content, at)
    if kind == _BINARY:
        length, at = _varint(content, at)
        if at + length > len(content):
            raise ValueError("a text is longer than the file")
        return content[at : at + length], at + length
    if kind in (_BYTE, _DOUBLE):
        return None, at + (1 if kind == _BYTE else 8)
    if kind in _LISTS:
        head, at = content[at], at + 1
        count = head >> 4
        if count == 15:
            count, at = _varint(content, at)
        return _items(content, at, [head & 15] * _few(count), depth)
    if kind == _MAP:
        count, at = _varint(content, at)
        if not count:
            return None, at
        kinds = [content[at] >> 4, content[at] & 15]
        return _items(content, at + 1, kinds * _few(count), depth)
    if kind == _STRUCT:
        return _struct(content, at, depth + 1)
    raise ValueError("its footer holds a field of an unknown kind")


def _items(content: bytes, at: int, kinds: list[int], depth: int) -> tuple[list[Any], int]:
    items = []
    for kind in kinds:
        # In a list a truth value takes a byte of its own.
        item, at = (None, at + 1) if kind in (_TRUE, _FALSE) else _value(content, at, kind, depth + 1)
        items.append(item)
    return items, at


def _few(count: int) -> int:
    if count > _MOST:
        raise ValueError("its footer holds too long a list")
    return count


def _integer(content: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(content, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("its footer holds a number that is too long")
