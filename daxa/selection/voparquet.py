"""Tables as Parquet that carries a VOTable header with units (VOParquet 1.0).

The Parquet convention is that of the IVOA note "Parquet in the VO": the key
``IVOA.VOTable-Parquet.content`` of the file's metadata holds a VOTable without
data, whose FIELDs give units, UCDs and descriptions.  TOPCAT, STILTS and
``astropy.table.Table.read(path, format="parquet.votable")`` read it; any other
Parquet reader sees plain columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from daxa.selection.schema import Column

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["to_voparquet"]

_NAMESPACE = "http://www.ivoa.net/xml/VOTable/v1.3"


def to_voparquet(
    rows: pd.DataFrame, columns: Sequence[Column], *, name: str, title: str, metadata: Mapping[str, str]
) -> pa.Table:
    """Give a table and its description the form of VOParquet.

    Parameters
    ----------
    rows
        Holds all the columns.
    columns
        What to take, in order.
    name, title
        Of the table.
    metadata
        Further entries of the file's metadata.
    """
    import pyarrow as pa

    kinds = {"text": pa.string(), "float": pa.float64()}
    texts = [column.name for column in columns if _is_text(column)]
    schema = pa.schema(
        [pa.field(column.name, kinds[column.kind], nullable=False) for column in columns],
        metadata={
            "IVOA.VOTable-Parquet.version": "1.0",
            "IVOA.VOTable-Parquet.content": _votable_header(rows, columns, name, title),
            **metadata,
            # astropy's own reader wants to know the longest text of a column, and warns where it is not given.
            **{f"table::len::{name}": str(_longest(rows[name])) for name in texts},
        },
    )
    arrays = [
        pa.array(rows[field.name].to_list(), type=field.type)
        if field.type == pa.string()
        else pa.array(rows[field.name].to_numpy(dtype="float64"), from_pandas=False)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _is_text(column: Column) -> bool:
    return column.kind == "text"


def _longest(texts: pd.Series) -> int:
    return max((len(text) for text in texts), default=1) or 1


def _votable_header(rows: pd.DataFrame, columns: Sequence[Column], name: str, title: str) -> str:
    """A VOTable 1.4 document that describes the columns and holds no data."""
    root = ElementTree.Element("VOTABLE", {"version": "1.4", "xmlns": _NAMESPACE})
    resource = ElementTree.SubElement(root, "RESOURCE")
    ElementTree.SubElement(resource, "COOSYS", {"ID": "icrs", "system": "ICRS"})
    ElementTree.SubElement(
        resource,
        "TIMESYS",
        {"ID": "utc", "timeorigin": "MJD-origin", "timescale": "UTC", "refposition": "UNKNOWN"},
    )
    table = ElementTree.SubElement(resource, "TABLE", {"name": name, "nrows": str(len(rows))})
    ElementTree.SubElement(table, "DESCRIPTION").text = title
    for column in columns:
        # A variable arraysize would be the plainer word for texts, but astropy cannot join such columns with its data.
        text = {"datatype": "unicodeChar", "arraysize": str(_longest(rows[column.name]))} if _is_text(column) else {}
        kind = text or {"datatype": "double"}
        extra = {"unit": column.unit, "ucd": column.ucd, "ref": column.system}
        field = ElementTree.SubElement(
            table, "FIELD", {"name": column.name, **kind, **{key: text for key, text in extra.items() if text}}
        )
        ElementTree.SubElement(field, "DESCRIPTION").text = column.description
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False)
