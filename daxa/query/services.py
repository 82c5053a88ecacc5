"""The door to the query services: TAP for tables, and the connections that names are asked through.

The services cap their answers (HEASARC's at 100,000 rows, XSA at 2,000) unless the
query says TOP, ``time`` is a reserved word of ADQL (so every column is quoted), and
texts come padded.  A table is counted before it is asked for, and an answer with fewer
rows than were counted is refused.
"""

from __future__ import annotations

import contextlib
import io
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from daxa import __version__
from daxa.answers import Allowance, origin_of, pause_asked, redirect_target
from daxa.errors import ServiceError, StorageError
from daxa.missions.spec import MissionSpec, ObservationTable
from daxa.query.untrusted import PARSE_ERRORS, parse_votable
from daxa.query.values import shown
from daxa.settings import Settings

if TYPE_CHECKING:
    import requests
    from astropy.table import Table

__all__ = [
    "MOST_ROWS",
    "ROW_ID",
    "Answer",
    "address_of",
    "ask_columns",
    "build_query",
    "exchange",
    "fetch_table",
    "malformed",
    "open_session",
    "refused",
]

ROW_ID = "__row"
"""HEASARC's own identifier of a row, which its DataLink service understands."""

MOST_ROWS = 20_000_000
"""No table of observations is longer."""

_TRIES = 4
_LONGEST_WAIT = 30.0
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_MOST_BYTES = 2 * 2**30
_CHUNK = 2**16
_MOST_COLUMNS = 2000
_REDIRECTS = 5
# What stands around the rows of an answer, and what a cell of it takes with its marks: texts of 200
# letters are all that is kept, and most columns are numbers.
_FRAME, _CELL = 2**20, 256
_LOCAL = threading.local()


@dataclass(frozen=True)
class Answer:
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
        ``spec.table`` by default, or one of ``spec.mirrors``.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> build_query(find_mission("chandra"), 100)[:42]
    'SELECT TOP 100 "__row", "obsid", "name", "'
    """
    asked = table or spec.table
    columns = [ROW_ID] if asked.service == "heasarc" else []
    columns += [*asked.columns.values(), *asked.mode, asked.category]
    columns += [asked.second_category[0]] if asked.second_category else []
    if asked == spec.table:  # instruments are declared in its columns
        columns.append(spec.roll)
        columns += [instrument.exposure for instrument in spec.instruments]
        columns += [column for instrument in spec.instruments for column, _ in instrument.labels]
    quoted = ", ".join(f'"{name}"' for name in dict.fromkeys(filter(None, columns)))
    return f"SELECT TOP {top:d} {quoted} FROM {asked.name}{_where(asked)}"  # noqa: S608 - declared names


def _where(table: ObservationTable) -> str:
    return f" WHERE {' AND '.join(table.where)}" if table.where else ""


def address_of(table: ObservationTable, settings: Settings) -> str:
    """Address of the TAP service that holds a table."""
    return settings.xsa_tap if table.service == "xsa" else settings.heasarc_tap


def fetch_table(spec: MissionSpec, settings: Settings, table: ObservationTable | None = None) -> Answer:
    """Ask for the whole observation table of a mission.

    Parameters
    ----------
    spec
        The mission; its row cuts are applied by the service.
    settings
        Addresses and timeouts.
    table
        ``spec.table`` by default, or one of ``spec.mirrors``.

    Raises
    ------
    NotPossible
        The mission's table is not declared.
    ServiceError
        ``offline`` (the settings forbid connections), ``unreachable``, ``too-slow``, ``refused`` (the
        service rejects the query), ``truncated`` (fewer rows than it counted) or
        ``malformed`` (the answer is no such table).
    """
    spec.check_listed()
    asked = table or spec.table
    address = address_of(asked, settings)
    with open_session(settings) as session:
        counted = _count(session, address, asked)
        # The margin lets the table grow between the two queries without looking cut off.
        top = counted + max(1000, counted // 20)
        query = build_query(spec, top, asked)
        rows, overflow = _ask(session, address, query, top)
        if len(rows) < counted:
            counted = _count(session, address, asked)
    if overflow or len(rows) < counted or len(rows) >= top:
        raise ServiceError(
            "truncated",
            f"{address} gave {len(rows)} rows of {asked.name}, which has {counted}",
            remedy="try again later; an incomplete table is never used",
        )
    return Answer(rows, address, query)


def ask_columns(table: ObservationTable, settings: Settings) -> frozenset[str]:
    """The columns that a service says a table of its has, in lower case.

    Raises
    ------
    ServiceError
        As `fetch_table`; ``malformed`` also when the service knows no such table.
    """
    address = address_of(table, settings)
    # HEASARC's tables stand in the schema "public", which queries need not name.
    names = f"'{table.name}', 'public.{table.name}'"
    query = f"SELECT TOP {_MOST_COLUMNS:d} column_name FROM TAP_SCHEMA.columns WHERE table_name IN ({names})"  # noqa: S608
    with open_session(settings) as session:
        rows, _ = _ask(session, address, query, _MOST_COLUMNS)
    if not len(rows):
        raise malformed(address, f"it says that it has no table {table.name}")
    # Reserved words stand in quotation marks there.
    return frozenset(str(cell).strip().strip('"').lower() for cell in rows.columns[0])


def _count(session: requests.Session, address: str, asked: ObservationTable) -> int:
    query = f"SELECT COUNT(*) AS n FROM {asked.name}{_where(asked)}"  # noqa: S608 - declared names
    table, _ = _ask(session, address, query, 10)
    try:
        counted = int(table.columns[0][0])
    except (IndexError, ValueError, TypeError):
        raise malformed(address, f"it gave no number for {query!r}") from None
    if not 0 < counted <= MOST_ROWS:
        raise malformed(address, f"it counts {counted} rows in {asked.name}")
    return counted


def _ask(session: requests.Session, address: str, query: str, top: int) -> tuple[Table, bool]:
    """The answer to one synchronous query, and whether the service says that it is cut off."""
    from pyvo.dal import TAPService

    asked = TAPService(address, session=session).create_query(query, maxrec=top)
    most = min(_MOST_BYTES, _FRAME + top * _CELL * (query.partition(" FROM ")[0].count(",") + 1))
    with tempfile.TemporaryFile() as body:
        status = _exchange(address, asked.submit, session.allowance, body, most)
        return _read_rows(address, asked, status, body)


def _read_rows(address: str, asked, status: int, body: BinaryIO) -> tuple[Table, bool]:
    import warnings

    from pyvo.dal import DALFormatError, DALQueryError
    from pyvo.dal.tap import TAPResults

    # Units such as "mjd" and old habits of the services are no news to a user.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            results = TAPResults(parse_votable(body), url=asked.queryurl)
            return results.to_table(), results.status[0].lower() == "overflow"
        except DALQueryError as error:
            raise refused(address, str(error)) from None
        except (DALFormatError, *PARSE_ERRORS) as error:
            if status >= 400:
                raise refused(address, f"HTTP status {status}") from None
            raise malformed(address, f"it did not answer with a VOTable ({shown(error)})") from None


@dataclass
class _Watch:
    """One exchange under way: what it may take, and the connections that it holds."""

    allowance: Allowance
    sockets: list[socket.socket] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    late: bool = False

    def guard(self) -> None:
        """Cut the connections when the time is over; runs beside the exchange."""
        while not self.done.wait(min(max(self.allowance.left(), 0.01), 60.0)):
            if self.allowance.left() <= 0:
                self.late = True
                for one in self.sockets:
                    with contextlib.suppress(OSError, TypeError):
                        socket.socket.shutdown(one, socket.SHUT_RDWR)


@contextmanager
def _watched(allowance: Allowance) -> Iterator[_Watch]:
    watch = _LOCAL.watch = _Watch(allowance)
    threading.Thread(target=watch.guard, daemon=True).start()
    try:
        yield watch
    finally:
        watch.done.set()
        _LOCAL.watch = None


def open_session(settings: Settings) -> requests.Session:
    """Connections that name us, and that give up on a service that stays silent or does not end.

    Redirects are followed to the same server and to those of the settings.

    Raises
    ------
    ServiceError
        ``offline``: the settings forbid connections.
    """
    import requests

    if settings.offline:
        raise ServiceError(
            "offline",
            "the settings say that no service may be asked",
            remedy="unset DAXA_OFFLINE",
        )
    allowed = {origin_of(one) for one in (settings.heasarc_tap, settings.xsa_tap, settings.sesame)}

    class Guarded(requests.Session):
        def get_redirect_target(self, response):
            if not response.is_redirect:
                return None
            location = response.headers["location"]
            if target := redirect_target(response.url, location, allowed):
                return target
            raise malformed(response.url, f"it redirects to {shown(location)}, which is not a configured service")

    session = Guarded()
    session.max_redirects = _REDIRECTS
    session.allowance = lambda: Allowance(settings.answer_seconds, settings.minimum_rate)
    session.headers["User-Agent"] = f"daxa/{__version__}"
    for scheme in ("https://", "http://"):
        session.mount(scheme, _adapter(settings))
    return session


def _adapter(settings: Settings):
    """What sends requests: each read has a timeout, and whoever watches knows the connection."""
    from requests.adapters import HTTPAdapter
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.connection import HTTPConnection, HTTPSConnection

    class Told:
        def getresponse(self):
            if watch := getattr(_LOCAL, "watch", None):
                watch.sockets.append(self.sock)
            return super().getresponse()

    class PlainConnection(Told, HTTPConnection):
        pass

    class TlsConnection(Told, HTTPSConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = PlainConnection

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = TlsConnection

    class Patient(HTTPAdapter):
        # Neither requests nor pyvo sets a timeout: a stalled service would hang for ever.
        def send(self, request, **options):
            options["timeout"] = (settings.connect_timeout, settings.read_timeout)
            return super().send(request, **options)

        def init_poolmanager(self, *arguments, **options):
            super().init_poolmanager(*arguments, **options)
            self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}

        def proxy_manager_for(self, *arguments, **options):
            manager = super().proxy_manager_for(*arguments, **options)
            # A proxy of another kind (SOCKS) brings connections of its own.
            if manager.pool_classes_by_scheme["http"] is HTTPConnectionPool:
                manager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
            return manager

    return Patient()


def exchange(session: requests.Session, address: str, send: Callable[[], requests.Response], *, most: int):
    """Send until a whole answer has arrived; its status and body.

    Parameters
    ----------
    session
        From `open_session`.
    address
        Whom errors name.
    send
        Sends the request over it; its body must not have been read.
    most
        Bytes that a body may have.

    Returns
    -------
    (int, bytes)
        The status and the body.

    Raises
    ------
    ServiceError
        ``unreachable`` after the last try; ``too-slow``; ``malformed``: no HTTP, or a larger body.
    """
    body = io.BytesIO()
    status = _exchange(address, send, session.allowance, body, most)
    return status, body.getvalue()


def _exchange(
    address: str,
    send: Callable[[], requests.Response],
    allowance: Callable[[], Allowance],
    body: BinaryIO,
    most: int,
) -> int:
    """As `exchange`, with the body put into a file."""
    import requests
    import urllib3

    trouble = ""
    for attempt in range(_TRIES):
        wait = 0.5 * 2**attempt
        body.seek(0)
        body.truncate()
        try:
            with _watched(allowance()) as watch, send() as response:
                if response.status_code not in _PASSING:
                    _receive(address, response, watch, body, most)
                    return response.status_code
                trouble = f"HTTP status {response.status_code}"
                asked = pause_asked(response.headers.get("Retry-After", ""))
                wait = wait if asked is None else min(asked, _LONGEST_WAIT)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            trouble = shown(_root(error))
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, LookupError, OSError) as error:
            if not watch.late:
                raise malformed(address, shown(error)) from None
        if watch.late:
            raise _too_slow(address, watch)
        if attempt < _TRIES - 1:
            time.sleep(wait)
    raise ServiceError(
        "unreachable",
        f"{address} cannot be reached: {trouble}",
        remedy="check the network and try later; DAXA_HEASARC_TAP, DAXA_XSA_TAP and DAXA_SESAME name other addresses",
    )


def _too_slow(address: str, watch: _Watch) -> ServiceError:
    return ServiceError(
        "too-slow",
        f"{address} did not end its answer in {time.monotonic() - watch.allowance.began:.3g} s "
        f"({watch.allowance.received} bytes came)",
        remedy="try again later; DAXA_ANSWER_TIMEOUT gives answers more time (seconds)",
    )


def _receive(address: str, response: requests.Response, watch: _Watch, body: BinaryIO, most: int) -> None:
    for part in response.iter_content(_CHUNK):
        watch.allowance.received += len(part)
        if watch.allowance.received > most:
            raise malformed(address, f"its answer is longer than the {most} bytes that it can have")
        try:
            body.write(part)
        except OSError as error:
            raise StorageError(
                "full",
                f"the answer of {address} cannot be put into {tempfile.gettempdir()}: {error.strerror}",
                remedy="free some space there, or name another place with TMPDIR",
            ) from None
    body.flush()


def refused(address: str, why: str) -> ServiceError:
    """The error for a service that does not want to answer this."""
    return ServiceError(
        "refused",
        f"{address} refused the query: {shown(why)}",
        remedy="if the address is right, the service may have changed: look for a newer daxa",
    )


def malformed(address: str, why: str) -> ServiceError:
    """The error for an answer that is none."""
    return ServiceError(
        "malformed",
        f"the answer of {address} cannot be used: {why}",
        remedy="try again later, and check the address: a network login page may answer in its place",
    )


def _root(error: BaseException) -> BaseException | str:
    """The first cause: what wraps it only repeats the address."""
    while isinstance(error, Exception):
        cause = error.__cause__ or error.__context__ or getattr(error, "reason", None)
        if not isinstance(cause, BaseException):
            break
        error = cause
    return getattr(error, "strerror", None) or error
