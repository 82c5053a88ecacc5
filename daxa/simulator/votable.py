"""VOTable documents as HEASARC's services write them.

Query answers use the BINARY serialisation with padded strings although the service
declares TABLEDATA; DataLink answers use TABLEDATA.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from daxa.simulator.observation_tables import Cell, TableColumn

__all__ = ["error_document", "table_document"]

_NULL_INT = -2147483648


def table_document(
    columns: Sequence[TableColumn],
    rows: Sequence[Sequence[Cell]],
    *,
    status: str = "OK",
    binary: bool = True,
    kind: str = "results",
    standard: str = "",
) -> bytes:
    """A VOTable with one table.

    Parameters
    ----------
    columns
        Their descriptions, in order.
    rows
        Values by position; None is null.
    status
        ``OK`` or ``OVERFLOW``; the latter follows the table, as TAP requires.
    binary
        BINARY serialisation with padded strings, else TABLEDATA.
    kind, standard
        The type of the resource, and the identifier of the standard that it follows.
    """
    columns = tuple(_fit(column, [row[i] for row in rows]) for i, column in enumerate(columns))
    data = _binary(columns, rows) if binary else _tabledata(columns, rows)
    mark = f'<INFO name="standardID" value={quoteattr(standard)}/>' if standard else ""
    late = '<INFO name="QUERY_STATUS" value="OVERFLOW"/>' if status == "OVERFLOW" else ""
    text = (
        f"{_HEAD}<RESOURCE type={quoteattr(kind)}>{mark}"
        f'<INFO name="QUERY_STATUS" value="OK"/><TABLE>{"".join(map(_field, columns))}'
        f"<DATA>{data}</DATA></TABLE>{late}</RESOURCE></VOTABLE>"
    )
    return text.encode("utf-8")


def error_document(message: str) -> bytes:
    """The document by which a TAP service says that a query failed."""
    text = (
        f'{_HEAD}<RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">'
        f"{escape(message)}</INFO></RESOURCE></VOTABLE>"
    )
    return text.encode("utf-8")


_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'


def _fit(column: TableColumn, values: Sequence[Cell]) -> TableColumn:
    if column.datatype != "char":
        return column
    longest = max((len(str(value)) for value in values if value is not None), default=0)
    return TableColumn(column.name, "char", max(column.width, longest, 1), column.unit, column.ucd)


def _field(column: TableColumn) -> str:
    size = f' arraysize="{column.width}"' if column.datatype == "char" else ""
    unit = f" unit={quoteattr(column.unit)}" if column.unit else ""
    ucd = f" ucd={quoteattr(column.ucd)}" if column.ucd else ""
    null = f'<VALUES null="{_NULL_INT}"/>' if column.datatype == "int" else ""
    return f'<FIELD name={quoteattr(column.name)} datatype="{column.datatype}"{size}{unit}{ucd}>{null}</FIELD>'


_NUMPY = {"double": ">f8", "int": ">i4"}


def _binary(columns: Sequence[TableColumn], rows: Sequence[Sequence[Cell]]) -> str:
    kinds = [_NUMPY.get(column.datatype, f"S{column.width}") for column in columns]
    packed = np.zeros(len(rows), dtype=[(f"f{i}", kind) for i, kind in enumerate(kinds)])
    for i, column in enumerate(columns):
        packed[f"f{i}"] = [_stored(column, row[i]) for row in rows]
    stream = base64.b64encode(packed.tobytes()).decode("ascii")
    return f'<BINARY><STREAM encoding="base64">{stream}</STREAM></BINARY>'


def _stored(column: TableColumn, value: Cell) -> float | bytes:
    if column.datatype == "double":
        return math.nan if value is None else float(value)
    if column.datatype == "int":
        return _NULL_INT if value is None else int(value)
    text = "" if value is None else str(value)
    return text.encode("ascii", "replace").ljust(column.width)


def _tabledata(columns: Sequence[TableColumn], rows: Sequence[Sequence[Cell]]) -> str:
    cells = "".join(
        "<TR>" + "".join(f"<TD>{'' if value is None else escape(str(value))}</TD>" for value in row) + "</TR>"
        for row in rows
    )
    return f"<TABLEDATA>{cells}</TABLEDATA>"
