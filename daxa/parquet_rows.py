"""A few rows of a Parquet file that daxa wrote, without the cost of starting pyarrow.

Starting pyarrow takes longer than all else that a look at one observation does.  What is read
here has the plainest form that the format knows, which is the one that `daxa.parquet` writes
for Git: no compression, no dictionary, no empty cell, pages of the first version with a
checksum.  Anything else is left to pyarrow.  That the file as a whole is sound, the caller
knows already (`daxa.parquet.find_rows`).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

from daxa.parquet_pages import read_footer, walk_bodies

__all__ = ["Rows", "rows_of"]

_INT64, _BYTE_ARRAY = 2, 6
_TEXT = 0
"""ConvertedType of UTF-8."""
_OPTIONAL, _REPEATED = 1, 2
_LENGTH = struct.Struct("<I")
_MOST = 1 << 20
"""Entries of a page; pages of daxa's have some thousands."""


@dataclass(frozen=True)
class Rows:
    """Some rows of a table, by columns.

    Parameters
    ----------
    columns
        Name to values; a column of a list of structures is called by the structure's field.
    offsets
        Where such a column was asked for: the items of row i are those from ``offsets[i]`` to ``offsets[i + 1]``.
    """

    columns: Mapping[str, list]
    offsets: list[int]


@dataclass(frozen=True)
class _Leaf:
    """A column of the schema: its type, its highest levels, and the level that stands for an empty list."""

    kind: int
    converted: int | None
    repetition: int
    definition: int
    empty: int


def rows_of(
    read: Callable[[int, int], bytes], footer: bytes, names: Collection[str], *, key: str, keys: Collection[str]
) -> Rows:
    """The rows whose `key` is among `keys`, in the order of the file.

    Parameters
    ----------
    read
        Gives the bytes of the file from one place to another.
    footer
        Of the file.
    names
        The columns, texts or whole numbers, beside the key.

    Raises
    ------
    ValueError
        The file has not the plainest form, or not these columns.
    """
    said = read_footer(footer)
    leaves = _leaves(said[2])
    places = {path.rpartition(".")[2]: path for path in leaves}
    if lacking := {key, *names} - places.keys():
        raise ValueError(f"there is no column {min(lacking)}")
    columns: dict[str, list] = {name: [] for name in (key, *names)}
    counts: list[int] = []
    for group in said[4]:
        chunks = {b".".join(chunk[3][3]).decode(): chunk[3] for chunk in group[1]}
        if not _may_hold(chunks[places[key]], keys):
            continue
        _, ids = _values(read, chunks[places[key]], leaves[places[key]])
        rows = [at for at, value in enumerate(ids) if value in keys]
        columns[key] += (ids[at] for at in rows)
        lengths: list[int] = []
        for name in names:
            spans, values = _values(read, chunks[places[name]], leaves[places[name]], rows)
            columns[name] += values
            lengths = spans or lengths
        counts += lengths
    return Rows(columns, [0, *accumulate(counts)])


def _leaves(schema: Sequence[Mapping[int, Any]]) -> dict[str, _Leaf]:
    """Every column of the schema, which lists its nodes depth first."""
    found: dict[str, _Leaf] = {}
    waiting = iter(schema)
    root = next(waiting)

    def walk(children: int, path: tuple[str, ...], repetition: int, definition: int, empty: int) -> None:
        for _ in range(children):
            node = next(waiting)
            here, kind = (*path, node[4].decode()), node.get(3, 0)
            levels = (
                repetition + (kind == _REPEATED),
                definition + (kind != 0),
                definition if kind == _REPEATED else empty,
            )
            if node.get(5):
                walk(node[5], here, *levels)
            else:
                found[".".join(here)] = _Leaf(node[1], node.get(6), *levels)

    walk(root[5], (), 0, 0, -1)
    return found


def _may_hold(chunk: Mapping[int, Any], keys: Collection[str]) -> bool:
    known = chunk.get(12, {})
    if not {5, 6} <= known.keys():
        return True
    # The order of UTF-8 is that of the characters.
    return any(known[6] <= key.encode() <= known[5] for key in keys)


def _values(
    read: Callable[[int, int], bytes], chunk: Mapping[int, Any], leaf: _Leaf, rows: Sequence[int] | None = None
) -> tuple[list[int], list]:
    """The values of these rows of a column, and of a list how many each row has."""
    if chunk.get(4) or leaf.repetition > 1 or 11 in chunk:
        raise ValueError("it is compressed, nested, or has a dictionary")
    content = read(chunk[9], chunk[9] + chunk[7])
    counts: list[int] = []
    bodies = []
    for page, body in walk_bodies(content):
        if page.kind or page.encoding or page.checksum is None or zlib.crc32(body) != page.checksum & 0xFFFFFFFF:
            raise ValueError("a page is not plain, or has another checksum")
        if page.values > _MOST:
            raise ValueError("a page says that it has too many values")
        at, more = _counts(body, page.values, leaf, counts)
        bodies.append((body, at, more))
    spans = list(accumulate(counts, initial=0))
    wanted = range(len(counts)) if rows is None else rows
    values = list(_chosen(bodies, leaf, [range(spans[row], spans[row + 1]) for row in wanted]))
    return ([counts[row] for row in wanted] if leaf.repetition else []), values


def _counts(body: bytes, entries: int, leaf: _Leaf, counts: list[int]) -> tuple[int, int]:
    """Add how many values each row has in this page; gives where the values begin, and how many there are."""
    at, levels = 0, []
    for most in (leaf.repetition, leaf.definition):
        if not most:
            levels.append(None)
            continue
        (length,) = _LENGTH.unpack_from(body, at)
        levels.append(_levels(body[at + 4 : at + 4 + length], most.bit_length(), entries))
        at += 4 + length
    repeated, defined = levels
    if defined is not None and not set(defined) <= {leaf.definition, leaf.empty}:
        raise ValueError("it has empty cells")
    if repeated is None:
        if leaf.empty >= 0 or (defined is not None and set(defined) - {leaf.definition}):
            raise ValueError("it has empty cells")
        counts += [1] * entries
        return at, entries
    full = defined or [leaf.definition] * entries
    for level, depth in zip(repeated, full, strict=True):
        if not level:
            counts.append(0)
        counts[-1] += depth == leaf.definition
    return at, full.count(leaf.definition)


@lru_cache(64)  # The fields of a structure have the same levels, and so do the stages of a mission.
def _levels(packed: bytes, width: int, count: int) -> tuple[int, ...]:
    """Levels in the hybrid of runs and packed bits."""
    values: list[int] = []
    at, mask = 0, (1 << width) - 1
    while len(values) < count:
        head = shift = 0
        while True:
            byte = packed[at]
            at += 1
            head |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if head & 1:
            size = (head >> 1) * width
            bits = int.from_bytes(packed[at : at + size], "little")
            values += [(bits >> place) & mask for place in range(0, size * 8, width)]
            at += size
        else:
            values += [packed[at]] * min(head >> 1, count)
            at += 1
    return tuple(values[:count])


def _chosen(bodies: Sequence[tuple[bytes, int, int]], leaf: _Leaf, spans: Sequence[range]) -> Iterator[Any]:
    """The values at these places of a column, which ascend."""
    wanted = iter([place for span in spans for place in span])
    place, first = next(wanted, None), 0
    for body, begin, count in bodies:
        if place is None:
            return
        if place < first + count:
            starts = _starts(body, begin, count, leaf)
        while place is not None and place < first + count:
            yield _value(body, starts[place - first], leaf)
            place = next(wanted, None)
        first += count
    if place is not None:
        raise ValueError("it has fewer values than it says")


def _starts(body: bytes, at: int, count: int, leaf: _Leaf) -> Sequence[int]:
    """Where each value begins."""
    if leaf.kind == _INT64:
        return range(at, at + 8 * count, 8)
    if (leaf.kind, leaf.converted) != (_BYTE_ARRAY, _TEXT):
        raise ValueError("it holds neither texts nor whole numbers")
    starts, length_at = [], _LENGTH.unpack_from
    for _ in range(count):
        starts.append(at)
        at += 4 + length_at(body, at)[0]
    if at > len(body):
        raise ValueError("a text is longer than its page")
    return starts


def _value(body: bytes, at: int, leaf: _Leaf) -> Any:
    if leaf.kind == _INT64:
        return struct.unpack_from("<q", body, at)[0]
    (length,) = _LENGTH.unpack_from(body, at)
    return body[at + 4 : at + 4 + length].decode()
