"""Queries through astroquery, over our own connections.

astroquery knows how to query Simbad, NED and XSA.  Its own connections have no deadline for a whole answer, no
limit of its size and no rule for working offline, so each of its classes is given our
connection where it has a public place for one: Simbad's ``query_tap`` is overridden, NED's class gives the payload
that it would send, and the class for XSA takes whatever sends its queries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from daxa.errors import CriteriaError
from daxa.query.criteria.coordinates import on_the_sky
from daxa.query.tables.exchange import exchange, malformed, refused
from daxa.query.untrusted import PARSE_ERRORS, parse_votable
from daxa.text import one_line

if TYPE_CHECKING:
    from astropy.table import Table

    from daxa.query.tables.exchange import BoundedSession

__all__ = ["BATCH", "query_ned", "query_simbad", "query_xsa"]

Place = tuple[float, float]
Send = Callable[[str, Mapping[str, "Table"]], "Table"]

BATCH = 2000
"""Names in one query to Simbad, which takes 200,000 but serves many users."""

_LARGEST_ANSWER = 2**22
_UNKNOWN = "not currently recognized"


def query_simbad(names: Sequence[str], address: str, send: Send) -> dict[str, Place | None]:
    """Positions of many names, in one query.

    Parameters
    ----------
    names
        At most `BATCH`.
    address
        Whom errors name.
    send
        Sends ADQL with tables to upload, by their names, and gives the answer.

    Returns
    -------
    dict of str to (ra, dec) or None
        Degrees ICRS; None where Simbad does not know the name, or has no position.

    Raises
    ------
    CriteriaError
        ``criteria.target``: a name means several places.
    ServiceError
        As `send`, and ``malformed``.
    """
    from astroquery.simbad import SimbadClass

    class BoundedSimbad(SimbadClass):
        hardlimit = BATCH * 4  # otherwise astroquery queries the service for it

        def query_tap(self, query: str, maxrec: int = 0, **uploads: Any) -> Table:
            tables = {name: table for name, table in uploads.items() if hasattr(table, "colnames")}
            return send(query, tables)

    answer = BoundedSimbad().query_objects(list(names))
    columns = {name.lower(): answer[name] for name in answer.colnames}
    if missing := {"ra", "dec", "user_specified_id", "object_number_id"} - set(columns):
        raise malformed(address, f"its answer has no column {', '.join(sorted(missing))}")
    found: dict[str, set[Place]] = {}
    for number, said, ra, dec in zip(
        *(columns[key] for key in ("object_number_id", "user_specified_id", "ra", "dec")), strict=True
    ):
        name = _name_of(names, number, said)
        if name is None:
            raise malformed(address, f"it answers for {one_line(said, 60)!r}, which was not requested")
        found.setdefault(name, set()).update(_places(address, name, ra, dec))
    if unanswered := [name for name in names if name not in found]:
        raise malformed(address, f"it gives no answer for {one_line(unanswered[0], 60)!r}")
    for name, places in found.items():
        if len(places) > 1:
            raise CriteriaError(
                "target", f"{address} gives {len(places)} positions for {name!r}", remedy="give the position instead"
            )
    return {name: next(iter(found[name]), None) for name in names}


def _name_of(names: Sequence[str], number: Any, said: Any) -> str | None:
    """The name that a row is about, None where it matches none of them."""
    try:
        at = int(number) - 1
    except (TypeError, ValueError):
        return None
    return names[at] if 0 <= at < len(names) and str(said).strip() == names[at] else None


def _places(address: str, name: str, ra: Any, dec: Any) -> list[Place]:
    """The position of a row, if it has one."""
    from numpy import ma

    if ra is ma.masked or dec is ma.masked:
        return []
    try:
        place = float(ra), float(dec)
    except (TypeError, ValueError):
        place = (math.nan, math.nan)
    if all(map(math.isnan, place)):
        return []
    if not on_the_sky(*place):
        raise malformed(address, f"the position that it gives for {name!r} is not valid")
    return [(place[0] % 360, place[1])]


def query_ned(name: str, address: str, session: BoundedSession) -> Place | None:
    """The position of one object, as NED's search by name gives it; None where NED does not know it.

    Raises
    ------
    ServiceError
        As `daxa.query.tables.exchange.exchange`; ``refused`` or ``malformed``.
    """
    from astroquery.ipac.ned import NedClass

    payload = NedClass().query_object(name, get_query_payload=True)
    status, body = exchange(
        session,
        address,
        lambda: session.get(f"{address.rstrip('/')}/objsearch", params=payload, stream=True),
        most=_LARGEST_ANSWER,
    )
    if status != 200:
        raise refused(address, f"HTTP status {status}")
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            document = parse_votable(body)
            if words := _complaint(document):
                if _UNKNOWN in words:
                    return None
                raise refused(address, words)
            table = document.get_first_table()
            cells = {field.ucd: column for field, column in zip(table.fields, table.array.dtype.names, strict=True)}
            ra, dec = (table.array[cells[f"pos.eq.{axis};meta.main"]] for axis in ("ra", "dec"))
    except PARSE_ERRORS as error:
        raise malformed(address, f"it did not answer with a VOTable ({one_line(error)})") from None
    if len(ra) != 1:
        raise malformed(address, f"it gives {len(ra)} objects for {name!r}")
    return next(iter(_places(address, name, ra[0], dec[0])), None)


def _complaint(document: Any) -> str:
    """The message that NED sends instead of a table."""
    said = (param for resource in document.resources for param in resource.params if param.name == "Error")
    return next((one_line(param.value) for param in said), "")


def query_xsa(query: str, send: Callable[[str], Table]) -> Table:
    """The answer of ESA's XMM-Newton Science Archive to one query."""
    from astroquery.esa.xmm_newton import XMMNewtonClass

    class BoundedTap:
        def launch_job(self, query: str, **_: Any) -> BoundedTap:
            self.answer = send(query)
            return self

        def get_results(self) -> Table:
            return self.answer

    return XMMNewtonClass(tap_handler=BoundedTap()).query_xsa_tap(query)
