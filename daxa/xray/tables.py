"""Binary tables of a FITS file, as structured arrays over its bytes.

Columns become fields of a NumPy type made from the TFORM cards, so that reading a
table is a view of the file and costs nothing until values are used.  A header may
claim anything: every claim is checked against the file.
"""

from __future__ import annotations

import gzip
import io
import re
import warnings
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.cards import card_number, card_text

__all__ = ["Table", "in_machine_order", "read_column", "read_tables", "row_type"]

# What follows the code of the type has no meaning in the standard ("90A20", "1E3.2").
_TFORM = re.compile(r"(\d*)(?:([LXBIJKAEDCM])|([PQ])[LXBIJKAEDCM])[!-~]*", re.ASCII)
_NUMPY = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8", "C": ">c8", "M": ">c16"}
_WIDTH = {"L": 1, "A": 1, "P": 8, "Q": 16}
_BITS = {1: "u1", 2: ">u2", 4: ">u4", 8: ">u8"}
_MOST_COLUMNS = 999


@dataclass(frozen=True, eq=False)
class Table:
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


def read_column(rows: np.ndarray, name: str, *, opaque: bool = False) -> np.ndarray:
    """One column of rows as a view, whatever the case of its name.

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
        There is no such column, or its values are scaled by TSCAL or TZERO.

    Examples
    --------
    >>> rows = np.zeros(2, dtype=[("ccd_id", ">i2")])
    >>> read_column(rows, "CCD_ID").tolist()
    [0, 0]
    """
    wanted = name.lower()
    for found in rows.dtype.names or ():
        if found.lower() == wanted:
            column = rows[found]
            if column.dtype.kind == "V" and not opaque:
                raise DataError(
                    "column-type",
                    f"column {found} is scaled, of variable length, or of a type that is not read",
                    remedy="convert the column to a plain one (TSCAL 1, TZERO 0) and try again",
                )
            return column
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
    scaled = card_number(header, f"TSCAL{number}", 1.0) != 1.0 or card_number(header, f"TZERO{number}", 0.0) != 0.0
    if scaled or code in "PQL" or repeat == 0:
        return np.dtype(f"V{width}")
    if code == "A":
        return np.dtype(f"S{repeat}")
    return np.dtype(_NUMPY[code]) if repeat == 1 else np.dtype((_NUMPY[code], (repeat,)))


def read_tables(path: Path) -> tuple[fits.Header, tuple[Table, ...]]:
    """The primary header and the binary tables of a FITS file.

    Parameters
    ----------
    path
        A plain file is memory-mapped; one compressed by gzip is read into memory.

    Raises
    ------
    DataError
        The file is absent, damaged or no FITS file.
    """
    content, unpacked = _content(path)
    if content[:9].tobytes() != b"SIMPLE  =":
        raise DataError(
            "not-fits", f"{path.name} is not a FITS file", remedy="fetch it again; a server may have sent a web page"
        )
    tables, end = [], 0
    try:
        with warnings.catch_warnings():
            # What astropy says about a truncated file is checked here, table by table.
            warnings.simplefilter("ignore")
            with (
                unpacked or path.open("rb") as stream,
                fits.open(stream, lazy_load_hdus=False, disable_image_compression=True) as units,
            ):
                primary = units[0].header
                for unit in units:
                    if not hasattr(unit, "fileinfo"):
                        raise OSError("the header of a table is damaged")
                    place = unit.fileinfo()
                    end = place["datLoc"] + place["datSpan"]
                    if isinstance(unit, fits.BinTableHDU):
                        name, version = card_text(unit.header, "EXTNAME").upper(), int(unit.ver)
                        tables.append(Table(name, version, unit.header, content, place["datLoc"], path.name))
    except (OSError, ValueError, TypeError, KeyError, fits.VerifyError) as problem:
        raise DataError(
            "damaged", f"{path.name} cannot be read as FITS: {problem}", remedy="fetch the file again"
        ) from problem
    if content[end : end + 8].tobytes().strip(b"\0 "):
        # What follows is a header that does not end: astropy leaves out that table without an error.
        raise DataError("truncated", f"{path.name} ends within a header", remedy="fetch the file again")
    return primary, tuple(tables)


def _content(path: Path) -> tuple[np.ndarray, io.BytesIO | None]:
    """The file's bytes, uncompressed, and for a compressed file a stream of them."""
    try:
        with path.open("rb") as stream:
            start = stream.read(2)
        if start == b"\x1f\x8b":
            with gzip.open(path) as stream:
                data = stream.read()
            return np.frombuffer(data, dtype=np.uint8), io.BytesIO(data)
    except FileNotFoundError:
        raise DataError("absent", f"there is no file {path.name}", remedy="fetch the observation again") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as problem:
        raise DataError(
            "damaged", f"{path.name} is damaged: its compressed data end in error", remedy="fetch the file again"
        ) from problem
    # An empty file cannot be mapped.
    content = np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray) if start else np.empty(0, np.uint8)
    return content, None


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
