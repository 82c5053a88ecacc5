"""The door to the query services: TAP for tables, and the connections through which names are resolved.

The services cap their answers (HEASARC's at 100,000 rows, XSA at 2,000) unless the
query says TOP, ``time`` is a reserved word of ADQL (so every column is quoted), and
texts come padded.  A table is counted before it is requested, and an answer with fewer
rows than were counted is refused.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from daxa.errors import ServiceError
from daxa.missions.spec import MissionSpec, ObservationTable
from daxa.query.tables.exchange import exchange_into, malformed, open_session, refused
from daxa.query.untrusted import PARSE_ERRORS, parse_votable
from daxa.settings import Settings
from daxa.text import one_line

if TYPE_CHECKING:
    from astropy.table import Table
    from pyvo.dal.tap import TAPQuery

    from daxa.query.tables.exchange import BoundedSession

__all__ = [
    "MOST_ROWS",
    "ROW_ID",
    "ServiceTable",
    "address_of",
    "build_query",
    "fetch_table",
    "query_columns",
    "query_with_tables",
]

ROW_ID = "__row"
"""HEASARC's own identifier of a row, which its DataLink service understands."""

MOST_ROWS = 20_000_000
"""No table of observations is longer."""

_MOST_BYTES = 2 * 2**30
_MOST_COLUMNS = 2000
# The bytes around the rows of an answer, and those of a cell with its markup: texts of 200
# letters are all that is kept, and most columns are numbers.
_FRAME, _CELL = 2**20, 256


@dataclass(frozen=True)
class ServiceTable:
    """A table as a service gave it.

    Parameters
    ----------
    table
        As received, nothing checked but that it is whole.
    service, query
        Address of the service, and the ADQL that it answered.
    """

    table: Table
    service: str
    query: str


def build_query(spec: MissionSpec, top: int, table: ObservationTable | None = None) -> str:
    """The ADQL that asks for a mission's observations.

    Parameters
    ----------
    spec
        The mission.
    top
        At most this many rows; the services' own caps do not hold for queries that say TOP.
    table
        ``spec.table`` by default, or one of ``spec.other_tables``.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> build_query(find_mission("chandra"), 100)[:42]
    'SELECT TOP 100 "__row", "obsid", "name", "'
    """
    declared = table or spec.table
    columns = [ROW_ID] if declared.service == "heasarc" else []
    columns += [*declared.columns.values(), *declared.mode, declared.category]
    columns += [declared.second_category[0]] if declared.second_category else []
    if declared == spec.table:  # instruments are declared in its columns
        columns.append(spec.roll)
        columns += [instrument.exposure for instrument in spec.instruments]
        columns += [column for instrument in spec.instruments for column, _ in instrument.labels]
    quoted = ", ".join(f'"{name}"' for name in dict.fromkeys(filter(None, columns)))
    return f"SELECT TOP {top:d} {quoted} FROM {declared.name}{_where(declared)}"  # noqa: S608 - declared names


def _where(table: ObservationTable) -> str:
    return f" WHERE {' AND '.join(table.where)}" if table.where else ""


def address_of(table: ObservationTable, settings: Settings) -> str:
    """Address of the TAP service that holds a table."""
    if table.tap:
        return dict(settings.taps).get(table.service, table.tap)
    return settings.xsa_tap if table.service == "xsa" else settings.heasarc_tap


def fetch_table(spec: MissionSpec, settings: Settings, table: ObservationTable | None = None) -> ServiceTable:
    """Ask for the whole observation table of a mission.

    Parameters
    ----------
    spec
        The mission; its row cuts are applied by the service.
    settings
        Addresses and timeouts.
    table
        ``spec.table`` by default, or one of ``spec.other_tables``.

    Raises
    ------
    NotPossible
        The mission's table is not declared.
    ServiceError
        ``offline`` (the settings forbid connections), ``unreachable``, ``too-slow``, ``refused`` (the
        service rejects the query), ``truncated`` (fewer rows than it counted) or
        ``malformed`` (the answer is not such a table).
    """
    spec.check_listed()
    declared = table or spec.table
    address = address_of(declared, settings)
    with open_session(settings) as session:
        counted = _count(session, address, declared)
        # The margin lets the table grow between the two queries without looking cut off.
        top = counted + max(1000, counted // 20)
        query = build_query(spec, top, declared)
        rows, overflow = _ask_for_rows(session, address, query, top, declared)
        if len(rows) < counted:
            counted = _count(session, address, declared)
    if overflow or len(rows) < counted or len(rows) >= top:
        raise ServiceError(
            "truncated",
            f"{address} gave {len(rows)} rows of {declared.name}, which has {counted}",
            remedy="try again later; an incomplete table is never used",
        )
    return ServiceTable(rows, address, query)


def query_columns(table: ObservationTable, settings: Settings) -> frozenset[str]:
    """The columns of a table, as the service lists them, in lower case.

    Raises
    ------
    ServiceError
        As `fetch_table`; ``malformed`` also when the service knows no such table.
    """
    address = address_of(table, settings)
    # HEASARC's tables are in the schema "public", which queries need not name.
    names = f"'{table.name}', 'public.{table.name}'"
    query = f"SELECT TOP {_MOST_COLUMNS:d} column_name FROM TAP_SCHEMA.columns WHERE table_name IN ({names})"  # noqa: S608
    with open_session(settings) as session:
        rows, _ = _ask(session, address, query, _MOST_COLUMNS)
    if not len(rows):
        raise malformed(address, f"it says that it has no table {table.name}")
    # Reserved words are in quotation marks there.
    return frozenset(str(cell).strip().strip('"').lower() for cell in rows.columns[0])


def _count(session: BoundedSession, address: str, declared: ObservationTable) -> int:
    query = f"SELECT COUNT(*) AS n FROM {declared.name}{_where(declared)}"  # noqa: S608 - declared names
    table, _ = _ask(session, address, query, 10)
    try:
        counted = int(table.columns[0][0])
    except (IndexError, ValueError, TypeError):
        raise malformed(address, f"it gave no number for {query!r}") from None
    if not 0 < counted <= MOST_ROWS:
        raise malformed(address, f"it counts {counted} rows in {declared.name}")
    return counted


def _ask_for_rows(
    session: BoundedSession, address: str, query: str, top: int, declared: ObservationTable
) -> tuple[Table, bool]:
    """The rows of a table of observations; those of XSA through astroquery's class for it."""
    if declared.service != "xsa":
        return _ask(session, address, query, top)
    from daxa.query.tables.astroquery_services import query_xsa

    cut = False

    def send(sent: str) -> Table:
        nonlocal cut
        rows, cut = _ask(session, address, sent, top)
        return rows

    return query_xsa(query, send), cut


def query_with_tables(
    session: BoundedSession, address: str, query: str, uploads: Mapping[str, Table], *, top: int
) -> Table:
    """The whole answer to one synchronous query about tables that are sent with it.

    Parameters
    ----------
    session
        From `daxa.query.tables.exchange.open_session`.
    address
        The TAP service.
    query
        ADQL that names them as ``TAP_UPLOAD.<name>``.
    uploads
        Name to table.
    top
        Rows that the answer may have.

    Raises
    ------
    ServiceError
        As `fetch_table`; ``truncated``: the service says that there are more rows.
    """
    rows, overflow = _ask(session, address, query, top, uploads)
    if overflow or len(rows) >= top:
        raise ServiceError(
            "truncated",
            f"{address} gave {len(rows)} rows, and has more",
            remedy="try again later; an incomplete answer is never used",
        )
    return rows


def _ask(
    session: BoundedSession, address: str, query: str, top: int, uploads: Mapping[str, Table] | None = None
) -> tuple[Table, bool]:
    """The answer to one synchronous query, and whether the service says that it is cut off."""
    from pyvo.dal import TAPService

    sent = TAPService(address, session=session).create_query(query, maxrec=top, uploads=dict(uploads or {}) or None)
    most = min(_MOST_BYTES, _FRAME + top * _CELL * (query.partition(" FROM ")[0].count(",") + 1))
    with tempfile.TemporaryFile() as body:
        status = exchange_into(body, session, address, sent.submit, most=most)
        return _read_rows(address, sent, status, body)


def _read_rows(address: str, sent: TAPQuery, status: int, body: BinaryIO) -> tuple[Table, bool]:
    import warnings

    from pyvo.dal import DALFormatError, DALQueryError
    from pyvo.dal.tap import TAPResults

    # Units such as "mjd" and old habits of the services need not be shown to a user.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            results = TAPResults(parse_votable(body), url=sent.queryurl)
            return results.to_table(), results.status[0].lower() == "overflow"
        except DALQueryError as error:
            raise refused(address, str(error)) from None
        except (DALFormatError, *PARSE_ERRORS) as error:
            if status >= 400:
                raise refused(address, f"HTTP status {status}") from None
            raise malformed(address, f"it did not answer with a VOTable ({one_line(error)})") from None
