"""Simbad's TAP service, which takes tables of names, and NED's search by name, as far as clients use them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from email import message_from_bytes
from xml.sax.saxutils import escape, quoteattr

from daxa.errors import DaxaError
from daxa.simulator.adql import QueryRefused, allow_reading, translate
from daxa.simulator.observation_tables import TableColumn
from daxa.simulator.sesame import folded
from daxa.simulator.votable import error_document, table_document
from daxa.votables import PARSE_ERRORS, parse_votable

__all__ = ["form_of", "ned_page", "simbad_answer"]

Answer = tuple[int, str, bytes]
Places = Mapping[str, tuple[float, float]]

_VOTABLE = "application/x-votable+xml"
_BASIC = ("main_id", "ra", "dec", "coo_err_maj", "coo_err_min", "coo_err_angle", "coo_wavelength", "coo_bibcode")
_NUMBERS = {"ra", "dec", "coo_err_maj", "coo_err_min", "coo_err_angle"}


def form_of(content_type: str, body: bytes) -> tuple[dict[str, str], dict[str, bytes]]:
    """The fields of a form, names in upper case, and the files sent with it.

    Examples
    --------
    >>> form_of("application/x-www-form-urlencoded", b"query=SELECT+1&LANG=ADQL")
    ({'QUERY': 'SELECT 1', 'LANG': 'ADQL'}, {})
    """
    if not content_type.startswith("multipart/form-data"):
        from urllib.parse import parse_qsl

        return {name.upper(): value for name, value in parse_qsl(body.decode("utf-8", "replace"))}, {}
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    message = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode("latin-1") + body)
    for part in message.walk():
        content = part.get_payload(decode=True)
        if not isinstance(content, bytes):
            continue  # the form itself
        name = str(part.get_param("name", "", "content-disposition"))
        if part.get_filename() is None:
            fields[name.upper()] = content.decode("utf-8", "replace")
        else:
            files[name] = content
    return fields, files


def simbad_answer(places: Places, parameters: Mapping[str, str], files: Mapping[str, bytes]) -> Answer:
    """Answer a synchronous query about ``basic``, ``ident`` and uploaded tables.

    Parameters
    ----------
    places
        Position by name, whose case and spaces do not matter.
    parameters, files
        From `form_of`.
    """
    try:
        return 200, _VOTABLE, _answer(places, parameters, files)
    except (QueryRefused, sqlite3.Error, DaxaError, *PARSE_ERRORS) as error:
        return 400, _VOTABLE, error_document(f"{type(error).__name__}: {error}")


def _answer(places: Places, parameters: Mapping[str, str], files: Mapping[str, bytes]) -> bytes:
    statement = translate(parameters.get("QUERY", ""))
    database = sqlite3.connect(":memory:")
    try:
        _fill(database, places)
        for upload in filter(None, parameters.get("UPLOAD", "").split(";")):
            name, _, source = upload.partition(",param:")
            if not name.isidentifier() or source not in files:
                raise QueryRefused(f"the upload {upload!r} does not exist")
            _take(database, name, files[source])
        allow_reading(database)
        # SQLite has no "schema.table.*".
        sql = statement.sql.replace("TAP_UPLOAD . script_infos . *", "script_infos . *")
        cursor = database.execute(sql)
        rows = cursor.fetchall()
        names = [description[0] for description in cursor.description]
    finally:
        database.close()
    most = min(statement.top or len(rows), int(parameters.get("MAXREC") or len(rows)))
    return table_document(
        [TableColumn(name, _kind(name)) for name in names],
        rows[:most],
        status="OVERFLOW" if len(rows) > most else "OK",
        binary=False,
    )


def _kind(name: str) -> str:
    return "double" if name in _NUMBERS else "int" if name == "object_number_id" else "char"


def _fill(database: sqlite3.Connection, places: Places) -> None:
    # Simbad compares names without regard to spaces, and hardly to case.
    database.create_collation("simbad", lambda one, two: (folded(one) > folded(two)) - (folded(one) < folded(two)))
    columns = ", ".join(f"[{name}] {'REAL' if name in _NUMBERS else 'TEXT'}" for name in _BASIC)
    database.execute(f"CREATE TABLE basic (oid INTEGER PRIMARY KEY, {columns})")
    database.execute("CREATE TABLE ident (oidref INTEGER, id TEXT COLLATE simbad)")
    database.execute("CREATE INDEX by_id ON ident (id)")
    rows = [(number, name, *place) for number, (name, place) in enumerate(places.items(), start=1)]
    database.executemany("INSERT INTO basic (oid, main_id, ra, dec) VALUES (?, ?, ?, ?)", rows)
    database.executemany("INSERT INTO ident VALUES (?, ?)", [row[:2] for row in rows])
    database.execute("ATTACH ':memory:' AS tap_upload")


def _take(database: sqlite3.Connection, name: str, votable: bytes) -> None:
    table = parse_votable(votable).get_first_table().to_table(use_names_over_ids=True)
    columns = ", ".join(
        f"[{column}] {'INTEGER' if table[column].dtype.kind in 'iu' else 'TEXT COLLATE simbad'}"
        for column in table.colnames
    )
    database.execute(f"CREATE TABLE tap_upload.[{name}] ({columns})")
    marks = ", ".join("?" for _ in table.colnames)
    rows = [tuple(cell.item() if hasattr(cell, "item") else str(cell) for cell in row) for row in table]
    database.executemany(f"INSERT INTO tap_upload.[{name}] VALUES ({marks})", rows)  # noqa: S608 - an identifier


def ned_page(places: Places, requested: str) -> bytes:
    """The answer of NED's search for one object; one that it does not know gives a document with an error.

    Examples
    --------
    >>> b"not currently recognized" in ned_page({}, "xyzzy")
    True
    """
    known = {folded(name): (name, place) for name, place in places.items()}
    if folded(requested) not in known:
        words = "The object name that you have submitted is not currently recognized by the NED name interpreter."
        inside = f'<PARAM name="Error" datatype="char" arraysize="*" value={quoteattr(words)}/>'
        return _ned(inside)
    name, (ra, dec) = known[folded(requested)]
    fields = (
        '<FIELD ID="main_col2" name="Object Name" ucd="meta.id;meta.main" datatype="char" arraysize="30"/>'
        '<FIELD ID="main_col3" name="RA" ucd="pos.eq.ra;meta.main" datatype="double" unit="degrees"/>'
        '<FIELD ID="main_col4" name="DEC" ucd="pos.eq.dec;meta.main" datatype="double" unit="degrees"/>'
    )
    row = f"<TR><TD>{escape(name[:30])}</TD><TD>{ra!r}</TD><TD>{dec!r}</TD></TR>"
    table = f'<TABLE ID="NED_MainTable">{fields}<DATA><TABLEDATA>{row}</TABLEDATA></DATA></TABLE>'
    return _ned(table)


def _ned(inside: str) -> bytes:
    text = f'<?xml version="1.0"?>\n<VOTABLE version="1.1"><RESOURCE type="results">{inside}</RESOURCE></VOTABLE>\n'
    return text.encode()
