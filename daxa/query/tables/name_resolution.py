"""Where named objects are: looked up in Simbad, NED or CDS Sesame once, and then kept.

A few names are sent to Sesame, one request for each: it queries Simbad, NED and VizieR in turn,
and the first that knows the name answers.  Many are sent to Simbad, thousands at a time; what
it does not know is sent to NED, and the rest to Sesame, which also stands in where one of
these does not answer.  What was answered is kept in the user's cache, one small file for each
name and service, so that it is looked up once and a later selection needs no network.  That nobody
knows a name is not kept: it may be entered tomorrow.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from daxa.errors import CriteriaError, ServiceError
from daxa.files import replace_file
from daxa.naming import some
from daxa.query.criteria.coordinates import on_the_sky, read_names
from daxa.query.tables.exchange import exchange, malformed, open_session, refused
from daxa.settings import Settings

if TYPE_CHECKING:
    from astropy.table import Table

    from daxa.query.tables.exchange import BoundedSession

__all__ = ["resolve_name", "resolve_names"]

_AT_ONCE = 4
# Fewer are as quickly resolved by Sesame as astroquery is imported.
_MANY = 20
_LARGEST_ANSWER = 2**18
_LARGEST_FILE = 2**12
_OK = 200
# One line of an answer gives the position: %J <ra> <dec> = <sexagesimal>
_POSITION = re.compile(r"%J\s*(\d{1,3}(?:\.\d*)?)\s*([+-]\d{1,2}(?:\.\d*)?)(?:\s.*)?", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)

# However many missions are searched at once, Sesame gets few requests at a time, and one for each name.
_TURN = threading.BoundedSemaphore(_AT_ONCE)
_ONE_AT_A_TIME: dict[str, threading.Lock] = {}


def resolve_name(name: str, settings: Settings) -> tuple[float, float]:
    """Position of a named object, from the cache or from Simbad, NED or VizieR.

    Parameters
    ----------
    name
        As a person would type it; capitals matter, since ``b Per`` and ``B Per`` are two stars.
    settings
        Addresses of the resolvers, timeouts, the cache, and whether a service may be queried.

    Returns
    -------
    (ra, dec)
        Degrees, ICRS.

    Raises
    ------
    CriteriaError
        ``criteria.target``: it is not a name, nobody knows it, or it means several places.
    ServiceError
        ``offline`` (nothing is kept for the name), ``unreachable``, ``refused`` or ``malformed``.
    """
    (place,) = resolve_names([name], settings).values()
    return place


def resolve_names(names: Iterable[str], settings: Settings) -> dict[str, tuple[float, float]]:
    """Positions of many objects; those that are not cached are looked up, a few at once.

    Parameters
    ----------
    names
        As for `resolve_name`.
    settings
        As for `resolve_name`.

    Returns
    -------
    dict of str to (ra, dec)
        Each name with single spaces to its position, degrees ICRS, in the order of the names.

    Raises
    ------
    CriteriaError
        As `resolve_name`; one error names all that nobody knows.
    ServiceError
        As `resolve_name`; what was found until then is kept, and not looked up again.
    """
    requested = read_names(list(names))
    found = {name: _kept(name, settings) for name in requested}
    if settings.offline:
        if missing := [name for name, place in found.items() if place is None]:
            raise ServiceError(
                "offline",
                f"the position of {_listed(missing)} is not cached on this machine, and no service may be queried",
                remedy=f"look up {_listed(missing)} once with a network (unset DAXA_OFFLINE), or give their positions",
            )
    else:
        if len(left := [name for name in requested if found[name] is None]) >= _MANY:
            found |= _resolve_many(left, settings)
        if left := [name for name in requested if found[name] is None]:
            found |= _in_groups(left, settings, _ask)
        if unknown := [name for name in requested if found[name] is None]:
            raise CriteriaError(
                "target",
                f"neither Simbad nor NED nor VizieR knows {_listed(unknown)}",
                remedy="check the spelling, or give RA,DEC in degrees (as --position, if the verb has it)",
            )
    return {name: place for name in requested if (place := found[name]) is not None}


def _in_groups(
    names: Sequence[str],
    settings: Settings,
    ask: Callable[[str, Settings, BoundedSession], tuple[float, float] | None],
) -> dict[str, tuple[float, float] | None]:
    """Look up names one by one, a few at once."""
    groups = [group for start in range(_AT_ONCE) if (group := tuple(names[start::_AT_ONCE]))]
    stop = threading.Event()
    with ThreadPoolExecutor(len(groups)) as pool:
        try:
            answers = list(pool.map(lambda group: _resolve_group(group, settings, stop, ask), groups))
        finally:
            stop.set()  # an interrupt need not wait for all names
    return {name: place for answer in answers for name, place in answer.items()}


def _resolve_many(names: Sequence[str], settings: Settings) -> dict[str, tuple[float, float] | None]:
    """What Simbad and NED know; a service that does not answer leaves its names to Sesame."""
    from daxa.query.tables.astroquery_services import BATCH, query_ned, query_simbad
    from daxa.query.tables.services import query_with_tables

    found: dict[str, tuple[float, float] | None] = dict.fromkeys(names)
    with open_session(settings) as session:

        def send(query: str, tables: Mapping[str, Table]) -> Table:
            return query_with_tables(session, settings.simbad_tap, query, tables, top=4 * BATCH)

        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            try:
                answer = query_simbad(batch, settings.simbad_tap, send)
            except ServiceError:
                return found  # Sesame asks it and NED in its own way
            for name, place in answer.items():
                if place is not None:
                    found[name] = place
                    _keep(name, place, settings, settings.simbad_tap)

    def ask(name: str, settings: Settings, session: BoundedSession) -> tuple[float, float] | None:
        with _TURN:
            place = query_ned(name, settings.ned, session)
        if place is not None:
            _keep(name, place, settings, settings.ned)
        return place

    if left := [name for name in names if found[name] is None]:
        with suppress(ServiceError):
            found |= _in_groups(left, settings, ask)
    return found


def _listed(names: list[str]) -> str:
    return some(list(map(repr, names)), 10)


def _resolve_group(
    names: tuple[str, ...],
    settings: Settings,
    stop: threading.Event,
    ask: Callable[[str, Settings, BoundedSession], tuple[float, float] | None],
) -> dict[str, tuple[float, float] | None]:
    """One name after the other over one connection; None where nobody knows it."""
    found: dict[str, tuple[float, float] | None] = {}
    with open_session(settings) as session:
        for name in names:
            if stop.is_set():
                break
            try:
                # Whoever asks for the same name meanwhile waits, and then finds the answer kept.
                with _ONE_AT_A_TIME.setdefault(_digest(name, settings.sesame), threading.Lock()):
                    found[name] = _kept(name, settings) or ask(name, settings, session)
            except (ServiceError, CriteriaError):
                stop.set()
                raise
    return found


def _ask(name: str, settings: Settings, session: BoundedSession) -> tuple[float, float] | None:
    address = f"{settings.sesame.rstrip('/')}/SNV?{quote(name, safe='')}"
    with _TURN:
        status, body = exchange(
            session,
            settings.sesame,
            lambda: session.get(address, stream=True, headers={"Accept": "text/plain"}),
            most=_LARGEST_ANSWER,
        )
    if status != _OK:
        raise refused(settings.sesame, f"HTTP status {status}")
    place = _read_answer(name, body.decode("utf-8", "replace"), settings.sesame)
    if place is not None:
        _keep(name, place, settings, settings.sesame)
    return place


def _read_answer(name: str, text: str, service: str) -> tuple[float, float] | None:
    lines = text.splitlines()
    if not text.startswith("#"):
        raise malformed(service, f"its answer for {name!r} is not a reply of Sesame")
    found = [_POSITION.fullmatch(line) for line in lines if line.startswith("%J")]
    places = {(float(match[1]), float(match[2])) for match in found if match}
    if None in found or not all(on_the_sky(*place) for place in places):
        raise malformed(service, f"the position that it gives for {name!r} is not valid")
    if len(places) > 1:
        raise CriteriaError(
            "target", f"{service} gives {len(places)} positions for {name!r}", remedy="give the position instead"
        )
    if not places and not any(line.startswith("#====Done") for line in lines):
        # It sends no length, so that an answer cut off before the position looks like an unknown name.
        raise malformed(service, f"its answer for {name!r} is cut off")
    return next(((ra % 360, dec) for ra, dec in places), None)


def _digest(name: str, service: str) -> str:
    return hashlib.sha256(f"{service}\n{name}".encode()).hexdigest()


def _path(name: str, settings: Settings, service: str) -> Path | None:
    """Where the answer of a service for a name is kept; None where nothing is kept."""
    if settings.cache == Path():
        return None
    return settings.cache / "names" / f"{_digest(name, service)[:32]}.json"


def _kept(name: str, settings: Settings) -> tuple[float, float] | None:
    """What one of the resolvers answered before."""
    for service in (settings.sesame, settings.simbad_tap, settings.ned):
        if (place := _kept_of(name, settings, service)) is not None:
            return place
    return None


def _kept_of(name: str, settings: Settings, service: str) -> tuple[float, float] | None:
    if (path := _path(name, settings, service)) is None:
        return None
    try:
        with path.open("rb") as file:
            return _read_kept(file.read(_LARGEST_FILE + 1), name, service)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        # Damaged, or not what its name says: out of the way, and looked up again.
        with suppress(OSError):
            path.replace(path.with_suffix(".damaged"))
        return None


def _read_kept(content: bytes, name: str, service: str) -> tuple[float, float]:
    if len(content) > _LARGEST_FILE:
        raise ValueError("too large")
    said = json.loads(content)
    if not isinstance(said, dict) or (said.get("name"), said.get("service")) != (name, service):
        raise ValueError("of another name or service")
    ra, dec, time = (said.get(key) for key in ("ra", "dec", "time"))
    if type(ra) is not float or type(dec) is not float or not (on_the_sky(ra, dec) and ra < 360):
        raise ValueError("no position")
    if not isinstance(time, str) or not _MOMENT.fullmatch(time):
        raise ValueError("no time")
    return ra, dec


def _keep(name: str, place: tuple[float, float], settings: Settings, service: str) -> None:
    if (path := _path(name, settings, service)) is None:
        return
    time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = {"name": name, "ra": place[0], "dec": place[1], "service": service, "time": time}
    # A cache that cannot be written stops nobody: the name is looked up again the next time.
    with suppress(OSError):
        replace_file(path, f"{json.dumps(said)}\n".encode())
