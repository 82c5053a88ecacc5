"""Binary tables of a FITS file, as structured arrays over its bytes.

Columns become fields of a NumPy type made from the TFORM cards, so that reading a
table is a view of the file and costs nothing until values are used.  Columns with TSCAL
or TZERO (FITS has unsigned integers in no other way) stay bytes in the rows, whose type
says how `read_column` makes values of them.  A header may claim anything: every claim
is checked against the file.
"""

from __future__ import annotations

import gzip
import math
import re
import warnings
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.eventlists.cards import card_number, card_text

__all__ = [
    "FitsTable",
    "column_names",
    "column_null",
    "in_machine_order",
    "read_column",
    "read_numbers",
    "read_tables",
    "row_type",
]

# What follows the code of the type has no meaning in the standard ("90A20", "1E3.2").
_TFORM = re.compile(r"(\d*)(?:([LXBIJKAEDCM])|([PQ])[LXBIJKAEDCM])[!-~]*", re.ASCII)
_NUMPY = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8", "C": ">c8", "M": ">c16"}
_WIDTH = {"L": 1, "A": 1, "P": 8, "Q": 16}
_BITS = {1: "u1", 2: ">u2", 4: ">u4", 8: ">u8"}
_MOST_COLUMNS = 999
_BLOCK = 2880
_MOST_HEADER_BLOCKS = 5000
_HEAP = (("PCOUNT", 0), ("GCOUNT", 1))


@dataclass(frozen=True, eq=False)
class FitsTable:
    """One binary table of a file.

    Parameters
    ----------
    name, version
        EXTNAME in capitals, and EXTVER.
    header
        Its header.
    """

    name: str
    version: int
    header: fits.Header
    _content: np.ndarray = field(repr=False)
    _offset: int = field(repr=False)
    _source: str = field(repr=False)

    def rows(self) -> np.ndarray:
        """The rows as a read-only view, shape (n,).

        Raises
        ------
        DataError
            The header contradicts itself or the file ends too early.
        """
        return self._view

    @cached_property
    def _view(self) -> np.ndarray:
        dtype = row_type(self.header, self._source)
        count = _count(self.header, "NAXIS2", self._source)
        if self._offset + dtype.itemsize * count > self._content.size:
            raise DataError(
                "truncated",
                f"{self._source}: table {self.name} ends before its {count} rows do",
                remedy="fetch the file again",
            )
        return np.ndarray((count,), dtype, buffer=self._content.data, offset=self._offset)

    def column(self, name: str) -> np.ndarray:
        """One column as a view, whatever the case of its name."""
        return read_column(self.rows(), name)

    def numbers(self, name: str) -> np.ndarray:
        """One column of numbers, as `read_numbers` gives it."""
        return read_numbers(self.rows(), name)


def read_numbers(rows: np.ndarray, name: str) -> np.ndarray:
    """One column of rows, as `read_column`; a DataError also where it does not hold one number per row."""
    column = read_column(rows, name)
    if column.dtype.kind not in "iuf" or column.ndim != 1:
        raise DataError(
            "column-type",
            f"column {name} is of type {column.dtype}, not a number per row",
            remedy="use the list as the archive distributes it",
        )
    return column


def read_column(rows: np.ndarray, name: str, *, opaque: bool = False) -> np.ndarray:
    """One column of rows, whatever the case of its name: a view, or new values where TSCAL or TZERO make them.

    Parameters
    ----------
    rows
        Shape (n,), structured.
    name
        The column.
    opaque
        Also give columns whose values are not read, as bytes.

    Raises
    ------
    DataError
        There is no such column, or it is of a type that is not read.

    Examples
    --------
    >>> rows = np.zeros(2, dtype=[("ccd_id", ">i2")])
    >>> read_column(rows, "CCD_ID").tolist()
    [0, 0]
    >>> cards = {"NAXIS1": 4, "TFIELDS": 1, "TTYPE1": "STATUS", "TFORM1": "J", "TZERO1": 2147483648}
    >>> read_column(np.zeros(1, row_type(fits.Header(cards), "example")), "STATUS").tolist()
    [2147483648]
    """
    found = name if name in (rows.dtype.fields or ()) else _same_name(rows, name)
    column = rows[found]
    if column.dtype.kind != "V":
        return column
    if column.dtype.metadata:
        return _scaled(column, *(column.dtype.metadata[word] for word in ("form", "scale", "zero")))
    if not opaque:
        raise DataError(
            "column-type",
            f"column {found} is of variable length, or of a type that is not read",
            remedy="use the list as the archive distributes it",
        )
    return column


_UNSIGNED = {">i2": 1 << 15, ">i4": 1 << 31, ">i8": 1 << 63}
"""TZERO of unsigned integers (FITS standard 4.0, table 19); that of signed bytes is -128."""

_MOST_EXACT = 1 << 52


def _scaled(column: np.ndarray, form: str, scale: float, zero: float) -> np.ndarray:
    """Values of a column: stored ones times TSCAL plus TZERO, integers where both are whole numbers."""
    kind = np.dtype(form)
    raw = np.ascontiguousarray(column).view(kind)
    raw = raw.reshape(column.shape) if kind.itemsize == column.dtype.itemsize else raw.reshape(*column.shape, -1)
    if scale == 1 and zero == _UNSIGNED.get(form):
        # Adding half of the range to a signed number is changing its highest bit.
        return raw.astype(kind.newbyteorder("=")).view(f"u{kind.itemsize}") ^ np.array(1, f"u{kind.itemsize}") << (
            kind.itemsize * 8 - 1
        )
    whole = kind.kind in "iu" and kind.itemsize < 8 and float(scale).is_integer() and float(zero).is_integer()
    if whole and max(abs(scale) * (1 << kind.itemsize * 8), abs(zero)) < _MOST_EXACT:
        return raw.astype(np.int64) * int(scale) + int(zero)
    return raw.astype(np.float64) * scale + zero


def column_names(rows: np.ndarray | np.dtype) -> tuple[str, ...]:
    """Names of the columns of rows, or of their type, as the file writes them.

    Examples
    --------
    >>> column_names(np.zeros(2, dtype=[("TIME", ">f8"), ("ccd_id", ">i2")]))
    ('TIME', 'ccd_id')
    """
    dtype = rows.dtype if isinstance(rows, np.ndarray) else rows
    return dtype.names or ()


def column_null(header: fits.Header, number: int) -> float | None:
    """The value that means "none" in a column of integers, scaled as its values are; None where there is no such.

    Examples
    --------
    >>> column_null(fits.Header({"TNULL3": -1, "TZERO3": 32768}), 3)
    32767
    """
    if not card_text(header, f"TNULL{number}"):
        return None
    scale, zero = card_number(header, f"TSCAL{number}", 1.0), card_number(header, f"TZERO{number}", 0.0)
    value = card_number(header, f"TNULL{number}") * scale + zero
    return int(value) if value.is_integer() else value


def _same_name(rows: np.ndarray, name: str) -> str:
    lowered = name.lower()
    for found in column_names(rows):
        if found.lower() == lowered:
            return found
    raise DataError(
        "column",
        f"there is no column {name}",
        remedy="check that the file is an event list as the archive distributes it",
    )


def in_machine_order(column: np.ndarray) -> np.ndarray:
    """A column as a contiguous array in the machine's byte order, in which computing is fast.

    Examples
    --------
    >>> in_machine_order(np.array([1, 2], dtype=">i2")).dtype == np.dtype("=i2")
    True
    """
    return np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("="))


def row_type(header: fits.Header, source: str) -> np.dtype:
    """The NumPy type of a row of a binary table.

    Parameters
    ----------
    header
        The table's header.
    source
        Name of the file, for messages.

    Returns
    -------
    dtype
        One field per column, in the file's order, covering every byte of a row.

    Raises
    ------
    DataError
        A card is malformed, or the columns do not add up to NAXIS1.

    Examples
    --------
    >>> cards = {"NAXIS1": 12, "TFIELDS": 2, "TTYPE1": "TIME", "TFORM1": "D", "TTYPE2": "status", "TFORM2": "32X"}
    >>> row_type(fits.Header(cards), "example")["status"]
    dtype('>u4')
    """
    columns = _count(header, "TFIELDS", source)
    names: list[str] = []
    types: list[np.dtype] = []
    if columns > _MOST_COLUMNS:
        raise _malformed(source, f"TFIELDS is {columns}")
    for number in range(1, columns + 1):
        names.append(card_text(header, f"TTYPE{number}") or f"column{number}")
        types.append(_column_type(header, number, source))
    if len({name.lower() for name in names}) != columns:
        raise _malformed(source, "two columns have the same name")
    if sum(one.itemsize for one in types) != _count(header, "NAXIS1", source):
        raise _malformed(source, "its columns do not add up to the length of a row")
    return np.dtype(list(zip(names, types, strict=True)))


def _column_type(header: fits.Header, number: int, source: str) -> np.dtype:
    form = card_text(header, f"TFORM{number}")
    found = _TFORM.fullmatch(form)
    if not found or len(found[1]) > 9:
        raise _malformed(source, f"TFORM{number} is {form!r}")
    repeat, code = int(found[1] or "1"), found[2] or found[3]
    if code == "X":
        width = (repeat + 7) // 8
        return np.dtype(_BITS.get(width if repeat % 8 == 0 else 0, f"V{width}"))
    width = repeat * (_WIDTH.get(code) or np.dtype(_NUMPY[code]).itemsize)
    if code in "PQL" or repeat == 0:
        return np.dtype(f"V{width}")
    if code == "A":
        return np.dtype(f"S{repeat}")
    scale, zero = card_number(header, f"TSCAL{number}", 1.0), card_number(header, f"TZERO{number}", 0.0)
    if (scale, zero) != (1.0, 0.0):
        if code in "CM":
            return np.dtype(f"V{width}")
        return np.dtype(f"V{width}", metadata={"form": _NUMPY[code], "scale": scale, "zero": zero})
    return np.dtype(_NUMPY[code]) if repeat == 1 else np.dtype((_NUMPY[code], (repeat,)))


def read_tables(path: Path) -> tuple[fits.Header, tuple[FitsTable, ...]]:
    """The primary header and the binary tables of a FITS file.

    Parameters
    ----------
    path
        A plain file is memory-mapped; one compressed by gzip is read into memory.

    Raises
    ------
    DataError
        The file is absent, damaged or not a FITS file.
    """
    content = _content(path)
    if content[:2].tobytes() == b"\x1f\x9d":
        raise DataError(
            "compressed", f"{path.name} is packed by compress (.Z), which is not read", remedy=f"gunzip {path.name}"
        )
    if content[:9].tobytes() != b"SIMPLE  =":
        raise DataError(
            "not-fits", f"{path.name} is not a FITS file", remedy="fetch it again; a server may have sent a web page"
        )
    primary, place = _header(content, 0, path.name)
    place += _data_blocks(primary, path.name)
    tables = []
    while place < content.size and (start := content[place : place + 8].tobytes().strip(b"\0 ")):
        if start != b"XTENSION":
            raise _malformed(path.name, f"what follows is not an extension, but starts with {start!r}")
        header, place = _header(content, place, path.name)
        if card_text(header, "XTENSION").upper() == "BINTABLE":
            name, version = card_text(header, "EXTNAME").upper(), int(card_number(header, "EXTVER", 1))
            tables.append(FitsTable(name, version, header, content, place, path.name))
        place += _data_blocks(header, path.name)
    return primary, tuple(tables)


def _header(content: np.ndarray, place: int, source: str) -> tuple[fits.Header, int]:
    """The header that starts at a place, and where its data start."""
    blocks: list[bytes] = []
    for start in range(place, place + _MOST_HEADER_BLOCKS * _BLOCK, _BLOCK):
        block = content[start : start + _BLOCK].tobytes()
        if len(block) < _BLOCK:
            break
        blocks.append(block)
        if any(block[card : card + 80].rstrip() == b"END" for card in range(0, _BLOCK, 80)):
            with warnings.catch_warnings():
                # What is not ASCII, or not a card, is refused when it is used.
                warnings.simplefilter("ignore")
                return fits.Header.fromstring(b"".join(blocks).decode("ascii", "replace")), start + _BLOCK
    raise DataError("truncated", f"{source} ends within a header", remedy="fetch the file again")


def _data_blocks(header: fits.Header, source: str) -> int:
    """Bytes that the data of a unit take, in whole blocks (FITS standard 4.0, section 4.4.1)."""
    axes = _count(header, "NAXIS", source)
    if axes > _MOST_COLUMNS:
        raise _malformed(source, f"NAXIS is {axes}")
    if not axes:
        return 0
    bits = header["BITPIX"] if card_text(header, "BITPIX") else None
    if bits not in {8, 16, 32, 64, -32, -64}:
        raise _malformed(source, f"BITPIX is {bits!r}")
    sides = [_count(header, f"NAXIS{axis}", source) for axis in range(1, axes + 1)]
    if sides[0] == 0 and "GROUPS" in header:
        del sides[0]
    extra, groups = (_count(header, key, source) if key in header else value for key, value in _HEAP)
    return -(-abs(bits) // 8 * groups * (extra + math.prod(sides)) // _BLOCK) * _BLOCK


def _content(path: Path) -> np.ndarray:
    """The file's bytes, uncompressed."""
    try:
        with path.open("rb") as stream:
            start = stream.read(2)
        if start == b"\x1f\x8b":
            with gzip.open(path) as stream:
                return np.frombuffer(stream.read(), dtype=np.uint8)
    except FileNotFoundError:
        raise DataError("absent", f"there is no file {path.name}", remedy="fetch the observation again") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as problem:
        raise DataError(
            "damaged", f"{path.name} is damaged: its compressed data end in error", remedy="fetch the file again"
        ) from problem
    # An empty file cannot be mapped.
    return np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray) if start else np.empty(0, np.uint8)


def _count(header: fits.Header, keyword: str, source: str) -> int:
    value = header[keyword] if card_text(header, keyword) else None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _malformed(source, f"{keyword} is {value!r}")
    return value


def _malformed(source: str, what: str) -> DataError:
    return DataError(
        "damaged",
        f"{source}: the header of a table is malformed: {what}",
        remedy="fetch the file again; if the archive's own copy is like this, leave the observation out",
    )
