"""The TAP and DataLink services of the sample observatory."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from daxa.errors import CriteriaError
from daxa.missions import find_mission, mission_names
from daxa.simulator.adql import QueryRefused, allow_reading, register_geometry, translate
from daxa.simulator.observation_tables import Cell, Row, TableColumn, complete_rows, table_columns
from daxa.simulator.votable import error_document, table_document

__all__ = ["Answer", "TableService", "link_document"]

Answer = tuple[int, str, bytes]
"""HTTP status, content type and body."""

_VOTABLE = "application/x-votable+xml"
_STEPS, _STEPS_A_CALL = 50_000_000, 10_000


class TableService:
    """Observation tables that answer ADQL.

    Parameters
    ----------
    tables
        Rows by table name.
    row_cap
        Most rows of an answer without ``TOP`` (HEASARC: 100,000, whatever MAXREC asks).
    """

    def __init__(self, tables: Mapping[str, Sequence[Row]], *, row_cap: int = 100_000) -> None:
        self.rows = {name: complete_rows(rows) for name, rows in tables.items()}
        self.columns = {name: table_columns(name, rows) for name, rows in self.rows.items()}
        self._row_cap = row_cap
        self._lock = threading.Lock()
        self._steps = 0
        self._database = _load(self.rows, self.columns)
        self._database.set_progress_handler(self._spend, _STEPS_A_CALL)

    def close(self) -> None:
        """Give up the database."""
        self._database.close()

    def sync(self, parameters: Mapping[str, str]) -> Answer:
        """Answer a synchronous query; parameter names in upper case."""
        try:
            return self._answer(parameters)
        except (QueryRefused, sqlite3.Error) as error:
            return 400, _VOTABLE, error_document(f"{type(error).__name__}: {error}")

    def _answer(self, parameters: Mapping[str, str]) -> Answer:
        if parameters.get("UPLOAD"):
            raise QueryRefused("uploads are not supported here")
        if parameters.get("LANG", "").split("-")[0].upper() != "ADQL":
            raise QueryRefused("LANG must be ADQL")
        form = (parameters.get("RESPONSEFORMAT") or parameters.get("FORMAT") or "votable").lower()
        if not form.startswith(("votable", "application/x-votable+xml", "text/xml")):
            raise QueryRefused(f"RESPONSEFORMAT {form!r} is not supported here")
        statement = translate(parameters.get("QUERY", ""))
        limit = self._limit(statement.top, parameters.get("MAXREC"))
        with self._lock:
            self._steps = 0
            cursor = self._database.execute(f"{statement.sql} LIMIT {limit + 1}")
            rows = cursor.fetchall()
        names = [description[0] for description in cursor.description]
        overflow = len(rows) > limit and (statement.top is None or limit < statement.top)
        document = table_document(
            self._describe(names, statement.words, rows),
            rows[:limit],
            status="OVERFLOW" if overflow else "OK",
            binary="tabledata" not in form and not form.endswith("/td"),
        )
        return 200, _VOTABLE, document

    def _spend(self) -> bool:
        # A query that joins tables with themselves would otherwise hold the service for ever.
        self._steps += _STEPS_A_CALL
        return self._steps > _STEPS

    def _limit(self, top: int | None, maxrec: str | None) -> int:
        if maxrec is not None and not maxrec.isdigit():
            raise QueryRefused("MAXREC must be a whole number")
        limits = [self._row_cap if top is None else top]
        if maxrec is not None:
            limits.append(int(maxrec))
        return min(limits)

    def _describe(
        self, names: Sequence[str], words: frozenset[str], rows: Sequence[Sequence[Cell]]
    ) -> list[TableColumn]:
        known = {column.name: column for table in self.columns if table in words for column in self.columns[table]}
        described = []
        for i, name in enumerate(names):
            plain = name.lower() if name.isidentifier() else name.split("(")[0].strip().lower()
            label = plain if plain.isidentifier() else f"col_{i + 1}"
            values = [row[i] for row in rows if row[i] is not None]
            described.append(known.get(name.lower()) or TableColumn(label, _datatype(values)))
        return described

    def tableset(self) -> bytes:
        """The VOSI description of schemas, tables and columns."""
        tables = "".join(
            f"<table><name>{name}</name>{''.join(map(_vosi_column, columns))}</table>"
            for name, columns in self.columns.items()
        )
        return (
            '<?xml version="1.0" encoding="UTF-8"?><vosi:tableset xmlns:vosi="http://www.ivoa.net/xml/VOSITables/v1.0" '
            'xmlns:vod="http://www.ivoa.net/xml/VODataService/v1.1" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
            f"<schema><name>public</name>{tables}</schema></vosi:tableset>"
        ).encode()


def _load(rows: Mapping[str, list[dict]], columns: Mapping[str, tuple[TableColumn, ...]]) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:", check_same_thread=False)
    register_geometry(database)
    database.execute("ATTACH ':memory:' AS public")
    full = {table: table if "." in table else f"public.{table}" for table in columns}
    for schema in {name.partition(".")[0] for name in full.values()} - {"public"}:
        database.execute(f"ATTACH ':memory:' AS [{schema}]")
    for table, described in columns.items():
        schema, _, name = full[table].partition(".")
        _create(database, f"[{schema}].[{name}]", described, rows[table])
    database.execute("ATTACH ':memory:' AS tap_schema")
    listed = [
        {"schema_name": name.partition(".")[0], "table_name": name, "table_type": "table"} for name in full.values()
    ]
    _create(database, "tap_schema.[tables]", _texts("schema_name", "table_name", "table_type"), listed)
    named = [
        {"table_name": full[table], "column_name": column.name, "datatype": column.datatype, "unit": column.unit}
        for table, described in columns.items()
        for column in described
    ]
    _create(database, "tap_schema.[columns]", _texts("table_name", "column_name", "datatype", "unit"), named)
    database.execute("PRAGMA case_sensitive_like = ON")
    database.commit()
    allow_reading(database)
    return database


def _texts(*names: str) -> tuple[TableColumn, ...]:
    return tuple(TableColumn(name, "char", 20) for name in names)


_SQLITE = {"double": "REAL", "int": "INTEGER", "char": "TEXT"}


def _create(database: sqlite3.Connection, table: str, columns: Sequence[TableColumn], rows: Sequence[Row]) -> None:
    declared = ", ".join(f"[{column.name}] {_SQLITE[column.datatype]}" for column in columns)
    database.execute(f"CREATE TABLE {table} ({declared})")
    marks = ", ".join("?" for _ in columns)
    values = [tuple(row.get(column.name) for column in columns) for row in rows]
    database.executemany(f"INSERT INTO {table} VALUES ({marks})", values)  # noqa: S608 - names from this package


def _datatype(values: Sequence[Cell]) -> str:
    if values and all(isinstance(value, int) for value in values):
        return "int"
    if values and all(isinstance(value, int | float) for value in values):
        return "double"
    return "char"


def _vosi_column(column: TableColumn) -> str:
    size = f' arraysize="{column.width}"' if column.datatype == "char" else ""
    name = f'"{column.name}"' if column.name in ("time", "__row") else column.name
    return (
        f"<column><name>{escape(name)}</name><unit>{escape(column.unit)}</unit><ucd>{escape(column.ucd)}</ucd>"
        f'<dataType xsi:type="vod:VOTableType"{size}>{column.datatype}</dataType></column>'
    )


_LINK_COLUMNS = (
    *_texts("ID", "access_url", "service_def", "error_message", "description", "semantics", "content_type"),
    TableColumn("content_length", "long", 0, "byte"),
)


def link_document(service: TableService, root: Path, tree_url: str, table: str, identifiers: Sequence[str]) -> bytes:
    """What DataLink knows about rows of a table: the directory that holds their data.

    Parameters
    ----------
    service
        Holds the rows.
    root, tree_url
        The file tree, and the address under which it is served.
    table, identifiers
        The table, and identifiers of the form ``ivo://nasa.heasarc/<table>?<row>``.
    """
    rows = [_link(service, root, tree_url, table, identifier) for identifier in identifiers]
    return table_document(_LINK_COLUMNS, rows, binary=False, standard="ivo://ivoa.net/std/DataLink#links-1.1")


def _link(service: TableService, root: Path, tree_url: str, table: str, identifier: str) -> list[Cell]:
    prefix, _, number = identifier.partition("?")
    row = next((row for row in service.rows.get(table, ()) if row["__row"] == number), None)
    if prefix != f"ivo://nasa.heasarc/{table}" or row is None:
        return [identifier, "", "", f"NotFoundFault: no row {identifier}", "", "#this", "", None]
    directory = _directory(table, row)
    if not directory or not (root / directory).is_dir():
        return [identifier, "", "", f"No data products found for {identifier}", "", "#this", "", None]
    size = sum(file.stat().st_size for file in (root / directory).rglob("*") if file.is_file())
    # HEASARC doubles the slash before the observation's own directory.
    parent, _, name = directory.rpartition("/")
    address = f"{tree_url}/{parent}//{name}/"
    return [identifier, address, "", "", f"Data products of {name}", "#this", "directory", size]


def _directory(table: str, row: Row) -> str:
    for spec in map(find_mission, mission_names()):
        if spec.table.name == table:
            try:
                return spec.directory_of(spec.check_obs_id(str(row.get(spec.table.columns["obs_id"]))))
            except CriteriaError:
                return ""
    return ""
