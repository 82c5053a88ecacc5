"""The part of ADQL that archive clients send, answered by SQLite.

The statement is read as tokens, never edited as text: `TOP` becomes `LIMIT`, and
quoted names become bracketed ones, because SQLite would take an unknown quoted name
for a string and answer nonsense instead of an error.  Geometry is registered as functions.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["QueryRefused", "Statement", "allow_reading", "register_geometry", "translate"]

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
      | (?P<text>'(?:[^']|'')*')
      | (?P<quoted>"[^"\[\]]+")
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign><=|>=|<>|!=|\|\||[-+*/(),.=<>])""",
    re.VERBOSE,
)


_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}


class QueryRefused(ValueError):
    """The service answers this query with an error document."""


@dataclass(frozen=True)
class Statement:
    """A translated query.

    Parameters
    ----------
    sql
        What SQLite runs, without a limit.
    top
        The number after ``TOP``, None without one.
    words
        Every name in the query in lower case, to find the tables that it reads.
    """

    sql: str
    top: int | None
    words: frozenset[str]


def translate(query: str) -> Statement:
    """Turn one ADQL query into SQL for SQLite.

    Raises
    ------
    QueryRefused
        It is not a single SELECT, or has a character or a `TOP` where none is allowed.

    Examples
    --------
    >>> translate('SELECT TOP 2 obsid, "time" FROM public.numaster').sql
    'SELECT obsid , [time] FROM public . numaster'
    """
    tokens = _tokens(query)
    if not tokens or tokens[0].upper() != "SELECT":
        raise QueryRefused("only SELECT statements are supported")
    top, rest = _take_top(tokens)
    if any(token.upper() == "TOP" for token in rest):
        raise QueryRefused("TOP is supported in the outermost SELECT only")
    sql = " ".join(f"[{token[1:-1]}]" if token[0] == '"' else token for token in rest)
    return Statement(sql, top, frozenset(token.strip('"').lower() for token in rest))


def _tokens(query: str) -> list[str]:
    tokens, position = [], 0
    while position < len(query):
        found = _TOKEN.match(query, position)
        if not found:
            raise QueryRefused(f"cannot parse the query at: {query[position : position + 30]!r}")
        if found.lastgroup != "space":
            tokens.append(found.group())
        position = found.end()
    return tokens


def _take_top(tokens: list[str]) -> tuple[int | None, list[str]]:
    place = 2 if len(tokens) > 1 and tokens[1].upper() in ("ALL", "DISTINCT") else 1
    if len(tokens) <= place or tokens[place].upper() != "TOP":
        return None, tokens
    if len(tokens) <= place + 1 or not tokens[place + 1].isdigit():
        raise QueryRefused("TOP needs a number")
    return int(tokens[place + 1]), tokens[:place] + tokens[place + 2 :]


def allow_reading(database: sqlite3.Connection) -> None:
    """From now on let a database answer questions, and nothing else."""
    database.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY)


def register_geometry(database: sqlite3.Connection) -> None:
    """Give a database the functions POINT, CIRCLE, CONTAINS and DISTANCE.

    Shapes are texts; angles are degrees.  POINT and CIRCLE take an optional leading
    coordinate system.
    """
    database.create_function("POINT", -1, _shape("point", 2), deterministic=True)
    database.create_function("CIRCLE", -1, _shape("circle", 3), deterministic=True)
    database.create_function("CONTAINS", 2, _contains, deterministic=True)
    database.create_function("DISTANCE", -1, _distance, deterministic=True)


def _shape(name: str, count: int) -> Callable[..., str | None]:
    def build(*values: float | str | None) -> str | None:
        numbers = values[1:] if len(values) == count + 1 else values
        if len(numbers) != count:
            raise ValueError(f"{name} takes {count} numbers")
        known = [repr(float(number)) for number in numbers if number is not None]
        return " ".join([name, *known]) if len(known) == count else None

    return build


def _contains(point: str | None, region: str | None) -> int:
    if point is None or region is None:
        return 0
    kind, *numbers = region.split()
    if kind != "circle":
        raise ValueError("CONTAINS is supported for circles only")
    ra, dec, radius = map(float, numbers)
    away = _distance(point, f"point {ra!r} {dec!r}")
    return int(away is not None and away <= radius)


def _distance(*values: float | str | None) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    # Two points, or four numbers.
    parts = [part for value in known for part in str(value).split()[1:3]] if len(known) == 2 else known
    ra1, dec1, ra2, dec2 = (math.radians(float(part)) for part in parts)
    half = math.sin((dec2 - dec1) / 2) ** 2 + math.cos(dec1) * math.cos(dec2) * math.sin((ra2 - ra1) / 2) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(half))))
