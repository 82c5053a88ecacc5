"""The pixels of two images and the rows of two tables, compared piece by piece.

Nothing here decides whether files are the same: digests decide that.  It describes the differences, and
whether they are within counting noise: 5 standard deviations.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BufferedIOBase
from typing import TYPE_CHECKING

from daxa.naming import number_of, some
from daxa.run.card_comparison import Cards
from daxa.run.equality import read_up_to
from daxa.text import plain

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Column", "ImageForm", "TableForm", "compare_images", "compare_tables", "image_of", "table_of"]

_TYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_COLUMN = re.compile(r"(\d{0,9})([LXBIJKAEDCMPQ])")
_BYTES = {"L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}
_NUMBERS = {"B": ">u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_COUNTS = ("count", "counts", "ct", "cts", "photon", "photons")
_CHUNK = 4 << 20
_MOST_ROWS = 50_000_000
"""Most rows whose digests are kept in memory, to find out which are new."""

_SIGMA = 5.0
_SIGMA_OF_PIXEL = 6.0
"""For the worst of a million pixels: chance leaves a larger one in one of 500 such images."""

_WIDEST = 16 << 20
"""Bytes of a row."""


@dataclass(frozen=True)
class ImageForm:
    """How an image is stored: dtype, shape in the order of FITS, scale, offset and unit of its values."""

    dtype: str
    shape: tuple[int, ...]
    scale: float
    zero: float
    unit: str


@dataclass(frozen=True)
class Column:
    """A column of a table: its place in a row, and its format."""

    start: int
    size: int
    form: str
    dtype: str
    scale: float = 1.0
    zero: float = 0.0


@dataclass(frozen=True)
class TableForm:
    """How a table is stored."""

    rows: int
    width: int
    heap: int
    columns: Mapping[str, Column] = field(default_factory=dict)


def image_of(cards: Cards, size: int) -> ImageForm | None:
    """The form of an image, or None if the cards do not describe one with data of this size."""
    dtype = _TYPES.get(int(cards.number("BITPIX", 0)))
    axes = tuple(int(cards.number(f"NAXIS{at}", 0)) for at in range(1, int(cards.number("NAXIS", 0)) + 1))
    if dtype is None or not axes or cards.text("XTENSION") not in ("", "IMAGE"):
        return None
    if math.prod(axes) * int(dtype[2:]) != size:
        return None
    return ImageForm(dtype, axes, *_scaling(cards, "BSCALE", "BZERO"), cards.text("BUNIT"))


def table_of(cards: Cards) -> TableForm | None:
    """The form of a binary table, or None if the cards contradict each other."""
    rows, width, number = (int(cards.number(name, 0)) for name in ("NAXIS2", "NAXIS1", "TFIELDS"))
    if not (0 < width <= _WIDEST and rows >= 0 and 0 <= number <= 999):
        return None
    columns: dict[str, Column] = {}
    start = 0
    for at in range(1, number + 1):
        form = cards.text(f"TFORM{at}").strip()
        found = _COLUMN.match(form)
        if not found:
            return None
        repeat, kind = int(found[1] or 1), found[2]
        size = (repeat + 7) // 8 if kind == "X" else repeat * _BYTES[kind]
        name = cards.text(f"TTYPE{at}").strip() or f"column {at}"
        columns.setdefault(
            name, Column(start, size, form, _NUMBERS.get(kind, ""), *_scaling(cards, f"TSCAL{at}", f"TZERO{at}"))
        )
        start += size
    return TableForm(rows, width, int(cards.number("PCOUNT", 0)), columns) if start <= width else None


def _scaling(cards: Cards, scale: str, zero: str) -> tuple[float, float]:
    return cards.number(scale, 1.0), cards.number(zero, 0.0)


def compare_images(one: BufferedIOBase, first: ImageForm, two: BufferedIOBase, second: ImageForm) -> tuple[str, bool]:
    """How two images differ, and whether that could be noise: "differs in 12 pixels, at most 3 counts"."""
    import numpy as np

    if first.shape != second.shape:
        return f"has {_shape(second)} pixels in place of {_shape(first)}", False
    left, differing, most, total, noise = math.prod(first.shape), 0, 0.0, 0, _Noise()
    unread = 0
    while left:
        pixels = min(left, _CHUNK // 8)
        with np.errstate(all="ignore"):
            a, b = _values(one, first, pixels), _values(two, second, pixels)
            other = ~((a == b) | (np.isnan(a) & np.isnan(b)))
            if other.any():
                differing += int(other.sum())
                apart = np.abs(a[other] - b[other])
                unread += int((~np.isfinite(apart)).sum())
                most = max(most, float(np.max(apart, where=np.isfinite(apart), initial=0.0)))
            noise.add(a, b)
        total += pixels
        left -= pixels
    if not differing:
        return "differs only in how its values are written", False
    unit = _unit(first)
    text = f"differs in {number_of(differing, 'pixel')}, at most {_number(most)}{unit}"
    if unread:
        text += f"; {number_of(unread, 'pixel')} have a value in only one"
    return text, not unread and unit.strip() == "counts" and noise.is_small()


def _shape(form: ImageForm) -> str:
    return " x ".join(map(str, form.shape))


def _unit(form: ImageForm) -> str:
    unit = plain(form.unit)[:20].strip()
    return f" {'counts' if unit.lower() in _COUNTS else unit}" if unit else ""


def _number(value: float) -> str:
    return f"{value:.6g}"


def _values(stream: BufferedIOBase, form: ImageForm, number: int) -> np.ndarray:
    import numpy as np

    dtype = np.dtype(form.dtype)
    return np.frombuffer(read_up_to(stream, number * dtype.itemsize), dtype).astype("f8") * form.scale + form.zero


class _Noise:
    """Whether two images of counts differ by no more than independent counts would."""

    def __init__(self) -> None:
        self.sums = [0.0, 0.0]
        self.chi2, self.pixels, self.highest = 0.0, 0, 0.0
        self.counts = True

    def add(self, one: np.ndarray, two: np.ndarray) -> None:
        import numpy as np

        both = one + two
        used = both > 0
        apart = (one - two)[used] ** 2 / both[used]
        self.chi2 += float(apart.sum())
        self.highest = max(self.highest, float(apart.max(initial=0.0)))
        self.counts = self.counts and not bool(((one < 0) | (two < 0)).any())
        self.pixels += int(used.sum())
        self.sums[0] += float(np.nansum(one))
        self.sums[1] += float(np.nansum(two))

    def is_small(self) -> bool:
        apart = abs(self.sums[0] - self.sums[1]) <= _SIGMA * math.sqrt(max(sum(self.sums), 0.0))
        # A source that only one of them has is lost in the sum over a large image, but not in its own pixel.
        whole = self.counts and self.highest <= _SIGMA_OF_PIXEL**2
        return whole and apart and self.chi2 <= self.pixels + _SIGMA * math.sqrt(2.0 * self.pixels)


def compare_tables(
    one: BufferedIOBase, first: TableForm, two: BufferedIOBase, second: TableForm
) -> list[tuple[str, bool]]:
    """How two tables differ, each with whether it could be noise: "has 5 rows more"."""
    findings = [(text, False) for text in _columns_apart(first, second)]
    if first.rows != second.rows:
        return [*findings, _rows_apart(one, first, two, second, same_columns=not findings)]
    shared = [name for name in first.columns if name in second.columns]
    tallies = {
        name: _Tally() for name in shared if first.columns[name].form.strip() == second.columns[name].form.strip()
    }
    differing = 0
    for a, b in zip(_pieces(one, first), _pieces(two, second), strict=False):
        differing += _tally_rows(a, first, b, second, tallies)
    if differing and not findings and (moved := _moved(one, first, two, second)):
        return [moved]
    for name, tally in tallies.items():
        if tally.rows:
            text = f"differs in {plain(name)} of {number_of(tally.rows, 'row')}{tally.most_apart()}"
            findings.append((text, tally.is_small()))
    if first.heap or second.heap:
        heaps = _heap(one, first), _heap(two, second)
        if heaps[0] != heaps[1]:
            findings.append(("differs in its arrays of variable length", False))
    return findings or [("differs in bytes of its rows that belong to no column", False)]


def _columns_apart(first: TableForm, second: TableForm) -> Iterator[str]:
    for these, those, verb in ((first, second, "lacks"), (second, first, "has also")):
        if alone := [plain(name) for name in these.columns if name not in those.columns]:
            yield f"{verb} {'the columns' if len(alone) > 1 else 'the column'} {some(alone)}"
    for name, column in first.columns.items():
        other = second.columns.get(name)
        if other and other.form != column.form:
            yield f"has {plain(name)} in the format {plain(other.form)} in place of {plain(column.form)}"


def _rows_apart(
    one: BufferedIOBase, first: TableForm, two: BufferedIOBase, second: TableForm, *, same_columns: bool
) -> tuple[str, bool]:
    more = second.rows - first.rows
    text = f"has {number_of(abs(more), 'row')} {'more' if more > 0 else 'fewer'}"
    if same_columns and max(first.rows, second.rows) <= _MOST_ROWS and not first.heap and not second.heap:
        added, removed = _new_and_gone(one, first, two, second)
        if min(added, removed):
            text += f" ({added} new, {removed} gone)"
    return text, abs(more) <= _SIGMA * math.sqrt(first.rows + second.rows)


def _moved(one: BufferedIOBase, first: TableForm, two: BufferedIOBase, second: TableForm) -> tuple[str, bool] | None:
    """Whether the rows are the same ones in another order."""
    if first.rows > _MOST_ROWS or first.heap or second.heap or first.width != second.width:
        return None
    one.seek(-first.rows * first.width, 1)
    two.seek(-second.rows * second.width, 1)
    return ("has its rows in another order", False) if _new_and_gone(one, first, two, second) == (0, 0) else None


def _new_and_gone(one: BufferedIOBase, first: TableForm, two: BufferedIOBase, second: TableForm) -> tuple[int, int]:
    """How many rows are only in the second table, and only in the first."""
    import numpy as np

    hashes = []
    for stream, form in ((one, first), (two, second)):
        found = [_row_hashes(piece) for piece in _pieces(stream, form)]
        hashes.append(np.sort(np.concatenate(found)) if found else np.empty(0, "u8"))
    (values, counts), (others, other_counts) = (np.unique(some_, return_counts=True) for some_ in hashes)
    shared, at, at_other = np.intersect1d(values, others, assume_unique=True, return_indices=True)
    both = int(np.minimum(counts[at], other_counts[at_other]).sum()) if len(shared) else 0
    return len(hashes[1]) - both, len(hashes[0]) - both


def _row_hashes(rows: np.ndarray) -> np.ndarray:
    """A 64-bit number per row; a collision would spoil the description, but no verdict."""
    import numpy as np

    wide = np.zeros((len(rows), -(-rows.shape[1] // 8) * 8), "u1")
    wide[:, : rows.shape[1]] = rows
    words = wide.view("u8")
    weights = np.random.default_rng(1).integers(1, 1 << 63, words.shape[1], dtype="u8") * np.uint64(2) + np.uint64(1)
    mixed = (words ^ (words >> np.uint64(29))) * weights
    return np.asarray((mixed ^ (mixed >> np.uint64(32))).sum(axis=1, dtype="u8"))


def _pieces(stream: BufferedIOBase, form: TableForm) -> Iterator[np.ndarray]:
    """The rows as bytes, some at a time."""
    import numpy as np

    left, at_once = form.rows, max(1, _CHUNK // form.width)
    while left:
        rows = min(left, at_once)
        yield np.frombuffer(read_up_to(stream, rows * form.width), "u1").reshape(rows, form.width)
        left -= rows


class _Tally:
    """In how many rows a column differs, and by how much."""

    def __init__(self) -> None:
        self.rows, self.most, self.numeric = 0, 0.0, False
        self._sums = [0.0, 0.0, 0.0, 0.0]
        self._values = 0
        self._unread, self._least, self._largest = False, math.inf, -math.inf

    def add(self, a: np.ndarray, b: np.ndarray, first: Column, second: Column) -> None:
        """Some rows of the column, as bytes."""
        import numpy as np

        other = (a != b).any(axis=1)
        self.rows += int(other.sum())
        if not first.dtype or not first.size:
            return
        self.numeric = True
        with np.errstate(all="ignore"):
            x, y = (
                np.ascontiguousarray(part).view(column.dtype).astype("f8") * column.scale + column.zero
                for part, column in ((a, first), (b, second))
            )
            apart = np.abs(x[other] - y[other])
            self._unread = self._unread or bool((np.isfinite(x) != np.isfinite(y)).any())
            known = np.isfinite(x)
            self._least = min(self._least, float(np.min(x, where=known, initial=math.inf)))
            self._largest = max(self._largest, float(np.max(x, where=known, initial=-math.inf)))
            self.most = max(self.most, float(np.max(apart, where=np.isfinite(apart), initial=0.0)))
            self._sums = [
                total + float(np.nansum(part)) for total, part in zip(self._sums, (x, y, x * x, y * y), strict=True)
            ]
            self._values += x.size

    def most_apart(self) -> str:
        return f", by at most {_number(self.most)}" if self.numeric else ""

    def is_small(self) -> bool:
        """Whether the means are equal within their errors, and no value is beyond those of the first table."""
        if not self.numeric or not self._values or self._unread:
            return False
        # One value may be so large that it hides in the spread that it makes.
        if self.most > max(self._largest - self._least, 0.0):
            return False
        means = [total / self._values for total in self._sums]
        spread = max(means[2] - means[0] ** 2, 0.0) + max(means[3] - means[1] ** 2, 0.0)
        return abs(means[0] - means[1]) <= _SIGMA * math.sqrt(spread / self._values)


def _tally_rows(
    a: np.ndarray, first: TableForm, b: np.ndarray, second: TableForm, tallies: Mapping[str, _Tally]
) -> int:
    """Add some rows to the tallies, and give the number of rows that differ."""
    import numpy as np

    differing = np.zeros(len(a), bool)
    for name, tally in tallies.items():
        left, right = first.columns[name], second.columns[name]
        one, two = (part[:, one.start : one.start + one.size] for part, one in ((a, left), (b, right)))
        tally.add(one, two, left, right)
        differing |= (one != two).any(axis=1)
    return int(differing.sum())


def _heap(stream: BufferedIOBase, form: TableForm) -> Sequence[bytes]:
    """Digest of what follows the rows, from the current position of the stream."""
    import hashlib

    digest, left = hashlib.sha256(), form.heap
    while left > 0 and (piece := read_up_to(stream, min(_CHUNK, left))):
        digest.update(piece)
        left -= len(piece)
    return [digest.digest()]
