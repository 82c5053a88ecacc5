"""Observations in the formats of other programs and journals."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from daxa.errors import CriteriaError, StorageError
from daxa.selection.schema import COLUMNS, Column
from daxa.text import plain, spreadsheet_cell

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from astropy.table import Table

__all__ = ["FORMATS", "csv_text", "export_bytes", "table_format", "votable_bytes", "write_export", "write_whole"]

FORMATS = {
    ".csv": "comma-separated values",
    ".vot": "VOTable",
    ".xml": "VOTable",
    ".mrt": "AAS machine-readable table",
    ".txt": "AAS machine-readable table",
    ".moc.fits": "coverage map (MOC)",
    ".moc": "coverage map (MOC)",
    ".parquet": "Parquet with a VOTable header",
}
"""End of a file's name to what is written."""

_MISSION = Column("mission", "text", "", "meta.id;instr.obsty", "Mission, by its short name in daxa")
_PAIRS = (
    Column("target_ra", "float", "deg", "pos.eq.ra;src", "Right ascension of the target", "icrs"),
    Column("target_dec", "float", "deg", "pos.eq.dec;src", "Declination of the target", "icrs"),
    Column("off_axis", "float", "arcmin", "pos.angDistance", "Target to pointing"),
    Column("approximate", "text", "", "meta.code", "Whether a circle was used instead of the true field of view"),
    Column("owner", "text", "", "meta.code", "Whether the field of view, or the cell of the survey, holds the target"),
)
_KNOWN = {column.name: column for column in (_MISSION, *COLUMNS, *_PAIRS)}
_NEW = {"version_1_4_or_later": True}
_GENERATED = re.compile(rb"<!--\s*Produced with .*?-->\s*", re.DOTALL)


def table_format(path: Path) -> str:
    """The format that the end of a file's name requests: a key of `FORMATS`.

    Raises
    ------
    CriteriaError
        It requests no known format.

    Examples
    --------
    >>> table_format(Path("a907.moc.fits"))
    '.moc.fits'
    """
    found = next((suffix for suffix in FORMATS if path.name.lower().endswith(suffix)), None)
    if found is None:
        raise CriteriaError(
            "export", f"{path.name} has no known file ending", remedy=f"give a name that ends in {', '.join(FORMATS)}"
        )
    return found


def write_export(path: Path, tables: Mapping[str, pd.DataFrame], title: str) -> None:
    """Write observations to a file whose name gives the format.

    Parameters
    ----------
    path
        An older file is replaced.
    tables
        Mission to observations in the schema's columns; those of several missions get a
        column ``mission``.
    title
        Of the table.

    Raises
    ------
    CriteriaError
        There is no such format.
    StorageError
        The file cannot be written.
    """
    write_whole(path, export_bytes(table_format(path), tables, title))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file of the user's completely or not at all.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StorageError(
            "unwritable", f"{path} cannot be written: {error.strerror}", remedy="choose another place"
        ) from None


def export_bytes(suffix: str, tables: Mapping[str, pd.DataFrame], title: str, *, authors: str = "") -> bytes:
    """The content of an export; equal tables give equal bytes.

    Parameters
    ----------
    suffix
        A key of `FORMATS`.
    tables, title
        As for `write_export`.
    authors
        Of the table, for formats that name them (``.mrt``).
    """
    if suffix.startswith(".moc"):
        return _moc_bytes(tables)
    rows = _joined(tables)
    if suffix == ".csv":
        return csv_text(rows).encode()
    if suffix in (".vot", ".xml"):
        return votable_bytes(rows, title)
    if suffix == ".parquet":
        return _parquet_bytes(rows, next(iter(tables)) if len(tables) == 1 else "observations", title)
    return _mrt_bytes(rows, title, authors)


def csv_text(table: pd.DataFrame) -> str:
    r"""Comma-separated values in which no text acts as a formula in a spreadsheet, or has invisible characters.

    Numbers stay numbers; a text that a spreadsheet would compute gets an apostrophe before it.

    Examples
    --------
    >>> import pandas as pd
    >>> csv_text(pd.DataFrame({"target": ["=1+1", "Abell 907"], "dec": [-11.06, 2.0]}))
    "target,dec\n'=1+1,-11.06\nAbell 907,2.0\n"
    """
    safe = table.rename(columns=lambda name: spreadsheet_cell(str(name)))
    for at in range(safe.shape[1]):
        # Texts are of several types in pandas; of numbers, times and truths there is nothing to see to.
        if safe.dtypes.iloc[at].kind not in "biufcmM":
            cells = [spreadsheet_cell(cell) if isinstance(cell, str) else cell for cell in safe.iloc[:, at]]
            safe.isetitem(at, cells)
    return safe.to_csv(index=False, lineterminator="\n")


def votable_bytes(rows: pd.DataFrame, title: str, columns: Sequence[Column] = ()) -> bytes:
    """A VOTable 1.4 with units, UCDs, and the systems of positions and times.

    Parameters
    ----------
    rows
        Observations or pairs; columns that are not ours have neither unit nor UCD.
    title
        Of the table.
    columns
        What further columns mean; these win over ours of the same name.
    """
    from astropy.io.votable import from_table
    from astropy.io.votable.tree import CooSys, TimeSys

    known = _KNOWN | {column.name: column for column in columns}
    document = from_table(_astropy_table(rows, known))
    document.version = "1.4"
    resource, table = document.resources[0], document.get_first_table()
    resource.coordinate_systems.append(CooSys(ID="icrs", system="ICRS"))
    utc = {"timeorigin": "MJD-origin", "timescale": "UTC", "refposition": "UNKNOWN"}
    resource.time_systems.append(TimeSys(ID="utc", **utc, config=_NEW))
    table.description = title
    for field in table.fields:
        if (column := known.get(field.name)) and column.system:
            field.ref = column.system
    stream = io.BytesIO()
    document.to_xml(stream)
    # The version of the library is not part of the content.
    return _GENERATED.sub(b"", stream.getvalue(), count=1)


def _joined(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    names = [column.name for column in COLUMNS]
    if len(tables) == 1:
        return next(iter(tables.values()))[names].reset_index(drop=True)
    several = [table[names].assign(mission=mission) for mission, table in tables.items()]
    return pd.concat(several, ignore_index=True)[["mission", *names]]


def _astropy_table(rows: pd.DataFrame, known: Mapping[str, Column] = _KNOWN) -> Table:
    import numpy as np
    from astropy.table import Column as TableColumn
    from astropy.table import Table

    table = Table()
    for name in rows.columns:
        values = rows[name].to_numpy()
        # A column of texts has the width of its longest, and needs one even without rows.
        data = values
        if values.dtype == object:
            texts = [_seen(value) if isinstance(value, str) else value for value in values.tolist()]
            data = np.array(texts, dtype=np.str_ if texts else "<U1")
        table[name] = TableColumn(data, name=name)
        if column := known.get(name):
            table[name].unit = column.unit or None
            table[name].description = column.description
            table[name].meta["ucd"] = column.ucd
    return table


def _seen(text: str) -> str:
    """A text on one line with visible characters only; XML and journal tables allow no others."""
    return re.sub(r"[\n\t]", " ", plain(text))


def _moc_bytes(tables: Mapping[str, pd.DataFrame]) -> bytes:
    from daxa.selection.footprints import coverage

    stream = io.BytesIO()
    coverage(tables).serialize("fits").writeto(stream)
    return stream.getvalue()


def _parquet_bytes(rows: pd.DataFrame, name: str, title: str) -> bytes:
    from daxa.parquet import parquet_bytes
    from daxa.selection.voparquet import to_voparquet

    columns = [_KNOWN[column] for column in rows.columns]
    return parquet_bytes(to_voparquet(rows, columns, name=name, title=title, metadata={}))


def _mrt_bytes(rows: pd.DataFrame, title: str, authors: str) -> bytes:
    """An AAS machine-readable table; it allows only ASCII, and no empty columns."""
    from astropy.table import MaskedColumn, Table

    described = _astropy_table(rows)
    table = Table()
    for name in described.colnames:
        column = described[name]
        if column.dtype.kind == "U":
            texts = [text.encode("ascii", "replace").decode() for text in column.tolist()]
            column = MaskedColumn(texts, mask=[not text.strip() for text in texts], description=column.description)
        else:
            column = MaskedColumn(column, mask=_isnan(column), unit=column.unit, description=column.description)
        if not column.mask.all():
            table[name] = column
    stream = io.StringIO()
    table.write(stream, format="ascii.mrt")
    text = stream.getvalue().replace("Title:", f"Title: {_ascii(title)}", 1)
    text = text.replace("Authors:", f"Authors: {_ascii(authors)}", 1).replace("Table:", f"Table: {_ascii(title)}", 1)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines()).encode("ascii")


def _isnan(column: Sequence[float]) -> np.ndarray:
    import numpy as np

    absent: np.ndarray = np.isnan(np.asarray(column, dtype=float))
    return absent


def _ascii(text: str) -> str:
    return " ".join(text.encode("ascii", "replace").decode().split())
