"""The data subspace: cards of a list's header that say which cuts made it.

SAS, CIAO and HEASoft share the convention.  Each numbered axis names a column (DSTYPn)
and what is allowed there (DSVALn: ranges, a bit pattern, or a table of intervals that
DSREFn names); a component with the prefix k (kDSVALn, kDSREFn) is an alternative, in which
what it leaves out is as in the first.  An event is in the subspace when it fulfils all
axes of one component.  One thing is daxa's own: where the mission's screening tests a column
plus a factor times another, the axis has that sum for a name (``RISE_TIME+0.00075*DERIV_MAX``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.eventlists import gti
from daxa.xray.eventlists.fits_tables import FitsTable, column_names, read_column, read_numbers
from daxa.xray.eventlists.formats import card_text

__all__ = ["MOST", "Component", "SubspaceAxis", "read_subspace", "subspace_cfitsio", "subspace_mask"]

_BITS = re.compile(r"[bB][01xX]{1,64}", re.ASCII)
_NUMBER = r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"(?P<only>{_NUMBER})|(?P<lo>{_NUMBER})?:(?P<hi>{_NUMBER})?", re.ASCII)
_REFERENCE = re.compile(r"[^:]*:([A-Za-z0-9_-]{1,32})", re.ASCII)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}", re.ASCII)
_SUM = re.compile(rf"({_NAME.pattern})\+({_NUMBER})\*({_NAME.pattern})", re.ASCII)
MOST = 99
"""Axes, and components, of a data subspace."""


@dataclass(frozen=True)
class SubspaceAxis:
    """What one column must fulfil; one of the last three is set.

    Parameters
    ----------
    column
        Its name, as the header writes it, or a sum of two.
    ranges
        Closed ranges, None for an open end; a value in one of them is allowed.
    bits
        Pattern of 0, 1 and x (any), the last character the lowest bit; bits to the left of it are free.
    table
        Name of the table of good times.
    """

    column: str
    ranges: tuple[tuple[float | None, float | None], ...] = ()
    bits: str = ""
    table: str = ""


Component = tuple[SubspaceAxis, ...]
"""Axes that must all be fulfilled."""


def read_subspace(header: fits.Header) -> tuple[Component, ...]:
    """The data subspace of a header.

    Parameters
    ----------
    header
        Of an events table.

    Returns
    -------
    tuple of Component
        Empty when it has none.

    Raises
    ------
    DataError
        A card cannot be understood.

    Examples
    --------
    >>> header = fits.Header({"DSTYP1": "PATTERN", "DSVAL1": ":12"})
    >>> read_subspace(header)
    ((SubspaceAxis(column='PATTERN', ranges=((None, 12.0),), bits='', table=''),),)
    """
    numbers = [n for n in range(1, MOST + 1) if card_text(header, f"DSTYP{n}")]
    if not numbers:
        return ()
    components = []
    for index in range(1, MOST + 1):
        prefix = "" if index == 1 else str(index)
        if index > 1 and not any(f"{prefix}DSVAL{n}" in header or f"{prefix}DSREF{n}" in header for n in numbers):
            break
        components.append(tuple(_read_axis(header, prefix, n) for n in numbers))
    return tuple(components)


def _read_axis(header: fits.Header, prefix: str, number: int) -> SubspaceAxis:
    name = card_text(header, f"DSTYP{number}")
    value, reference = (
        card_text(header, f"{prefix}{key}{number}") or card_text(header, f"{key}{number}") for key in ("DSVAL", "DSREF")
    )
    if not _NAME.fullmatch(name) and not _SUM.fullmatch(name):
        raise _unreadable(f"DSTYP{number}", name)
    if value.upper() == "TABLE":
        found = _REFERENCE.fullmatch(reference)
        if not found:
            raise _unreadable(f"{prefix}DSREF{number}", reference)
        return SubspaceAxis(name, table=found[1].upper())
    if _BITS.fullmatch(value):
        return SubspaceAxis(name, bits=value[1:].lower())
    parts = [_RANGE.fullmatch(part.strip()) for part in value.split(",")]
    if not all(parts):
        raise _unreadable(f"{prefix}DSVAL{number}", value)
    return SubspaceAxis(name, ranges=tuple(_ends(part) for part in parts if part))


def _ends(found: re.Match[str]) -> tuple[float | None, float | None]:
    if found["only"]:
        return float(found["only"]), float(found["only"])
    lo, hi = (float(found[end]) if found[end] else None for end in ("lo", "hi"))
    return lo, hi


def _unreadable(card: str, value: str) -> DataError:
    return DataError(
        "subspace", f"the data subspace card {card} = {value!r} cannot be understood", remedy="fetch the list again"
    )


def subspace_mask(components: Sequence[Component], rows: np.ndarray, tables: Sequence[FitsTable]) -> np.ndarray:
    """Which rows lie in a data subspace.

    Parameters
    ----------
    components
        As `read_subspace` gives them; none: all rows.
    rows
        Shape (n,), rows of an event list.
    tables
        The tables that the axes name.

    Returns
    -------
    ndarray
        Booleans, shape (n,).  An axis whose column the list does not hold cannot select and is passed over.

    Raises
    ------
    DataError
        A table is absent.
    """
    if not components:
        return np.ones(len(rows), dtype=bool)
    result = np.zeros(len(rows), dtype=bool)
    for component in components:
        mask = np.ones(len(rows), dtype=bool)
        for axis in component:
            if _columns_of(axis, rows.dtype):
                mask &= _axis_mask(axis, _values(axis, rows), tables)
        result |= mask
    return result


def _columns_of(axis: SubspaceAxis, dtype: np.dtype) -> tuple[str, ...]:
    """The columns that an axis tests, as the list writes them; none where one of them is absent."""
    names = {name.lower(): name for name in column_names(dtype)}
    found = _SUM.fullmatch(axis.column)
    expected = [found[1], found[3]] if found else [axis.column]
    return tuple(names[name.lower()] for name in expected) if all(name.lower() in names for name in expected) else ()


def _values(axis: SubspaceAxis, rows: np.ndarray) -> np.ndarray:
    if found := _SUM.fullmatch(axis.column):
        one, other = (read_numbers(rows, found[place]).astype(float) for place in (1, 3))
        return one + float(found[2]) * other
    return read_column(rows, axis.column, opaque=bool(axis.bits))


def _axis_mask(axis: SubspaceAxis, values: np.ndarray, tables: Sequence[FitsTable]) -> np.ndarray:
    if axis.table:
        table = _find(axis.table, tables)
        return gti.contains(np.column_stack((table.numbers("START"), table.numbers("STOP"))), values)
    if axis.bits and values.dtype.kind == "V":
        width = values.dtype.itemsize
        bits = np.unpackbits(np.frombuffer(values.tobytes(), np.uint8).reshape(-1, width), axis=1)
        pattern = axis.bits[-8 * width :].rjust(8 * width, "x")
        places = [place for place, sign in enumerate(pattern) if sign != "x"]
        return (bits[:, places] == [int(pattern[place]) for place in places]).all(axis=1)
    if axis.bits:
        fixed, expected = _bit_values(axis.bits, values.dtype.itemsize * 8)
        return (values.astype(np.uint64) & np.uint64(fixed)) == np.uint64(expected)
    allowed = np.zeros(len(values), dtype=bool)
    for lo, hi in axis.ranges:
        allowed |= (values >= (-np.inf if lo is None else lo)) & (values <= (np.inf if hi is None else hi))
    return allowed


def _bit_values(pattern: str, width: int) -> tuple[int, int]:
    """Mask of the bits that count, and what they must be, of a pattern cut to a column's width."""
    kept = pattern[-width:]
    return int(re.sub("[01]", "1", kept).replace("x", "0"), 2), int(kept.replace("x", "0"), 2)


def _find(name: str, tables: Sequence[FitsTable]) -> FitsTable:
    for table in tables:
        if name in {table.name, card_text(table.header, "HDUNAME").upper()}:
            return table
    raise DataError("subspace", f"the table {name} that a data subspace names is absent", remedy="fetch the list again")


def subspace_cfitsio(
    components: Sequence[Component], dtype: np.dtype, bit_columns: Sequence[str], tables: Mapping[str, str]
) -> str:
    """A data subspace as a row filter of CFITSIO, so that another program can check it.

    Parameters
    ----------
    components
        As `read_subspace` gives them.
    dtype
        Type of the list's rows; axes of other columns are passed over.
    bit_columns
        Names of columns of bits (TFORM X), in which CFITSIO compares patterns.
    tables
        Name of a table of good times to the extended file name of it.

    Examples
    --------
    >>> axes = ((SubspaceAxis("CCDNR", ranges=((1.0, 1.0),)), SubspaceAxis("FLAG", bits="0x")),)
    >>> subspace_cfitsio(axes, np.dtype([("CCDNR", "u1"), ("FLAG", "i4")]), [], {})
    '((CCDNR >= 1 && CCDNR <= 1) && (FLAG & 2) == 0)'
    """
    bits = {name.lower() for name in bit_columns}
    alternatives = []
    for component in components:
        parts = [
            _axis_cfitsio(axis, columns, dtype, bits, tables)
            for axis in component
            if (columns := _columns_of(axis, dtype))
        ]
        alternatives.append("(" + " && ".join(parts or ["1 == 1"]) + ")")
    return " || ".join(alternatives) or "1 == 1"


def _axis_cfitsio(
    axis: SubspaceAxis, columns: tuple[str, ...], dtype: np.dtype, bits: set[str], tables: Mapping[str, str]
) -> str:
    name = columns[0]
    if found := _SUM.fullmatch(axis.column):
        name = f"({columns[0]} + {found[2]} * {columns[1]})"
    if axis.table:
        return f'gtifilter("{tables[axis.table]}", {name}, "START", "STOP")'
    width = dtype[columns[0]].itemsize * 8
    if axis.bits and name.lower() in bits:
        return f"{name} == b{axis.bits[-width:].rjust(width, 'x')}"
    if axis.bits:
        fixed, expected = _bit_values(axis.bits, width)
        # CFITSIO computes with signed numbers: a mask with the highest bit is written as negative.
        signed = [value - (1 << 32) if value >= 1 << 31 else value for value in (fixed, expected)]
        return f"({name} & {signed[0]}) == {signed[1]}"
    return "(" + " || ".join(" && ".join(_bounds(name, lo, hi)) or "1 == 1" for lo, hi in axis.ranges) + ")"


def _bounds(name: str, lo: float | None, hi: float | None) -> Iterator[str]:
    if lo is not None:
        yield f"{name} >= {lo:.17g}"
    if hi is not None:
        yield f"{name} <= {hi:.17g}"
