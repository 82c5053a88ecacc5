"""Tables of which only the usual names of columns are known: which of them the service says exist.

And what all ways of listing a mission's observations give.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from daxa.errors import ServiceError
from daxa.missions.facts import USUAL_COLUMNS
from daxa.missions.spec import ObservationTable
from daxa.query.tables.normalise import NormalisedTable

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["Listing", "choose_columns", "with_all_columns"]

_ALWAYS = ("obs_id", "ra", "dec", "start")


@dataclass(frozen=True)
class Listing:
    """All observations of a mission, and where they came from.

    Parameters
    ----------
    normalised
        In our schema.
    service, table, query
        As for `daxa.query.tables.snapshot.QueryOrigin`.
    """

    normalised: NormalisedTable
    service: str
    table: str
    query: str


def choose_columns(
    table: ObservationTable, found: Collection[str], *, always: Collection[str] = _ALWAYS
) -> ObservationTable:
    """The table with the actual names of its columns; columns that it does not have are left out.

    Parameters
    ----------
    table
        Declared with names that are usual.
    found
        The columns that it has, in lower case.
    always
        Our columns without which it is useless; the public date is one where the table has it.

    Raises
    ------
    ServiceError
        ``malformed``: one of them is missing.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> columns = {"obsid", "name", "ra", "dec", "time", "stop_time"}
    >>> choose_columns(find_mission("hitomi").table, columns).columns["end"]
    'stop_time'
    """
    needed = {*always, *(["public_date"] if table.proprietary == "date" else [])}
    chosen = {}
    for ours, declared in table.columns.items():
        names = dict.fromkeys((declared, *USUAL_COLUMNS.get(ours, ())))
        if ours == "public_date" and table.proprietary == "none":
            continue
        if name := next((name for name in names if name in found), ""):
            chosen[ours] = name
        elif ours in needed:
            raise ServiceError(
                "malformed",
                f"the table {table.name} has no column {' or '.join(names)}",
                remedy="the service's table has changed: look for a newer daxa",
            )
    return replace(table, columns=chosen)


def with_all_columns(raw: Table, table: ObservationTable) -> tuple[Table, ObservationTable]:
    """The answer with empty columns for what the service does not have, and the table that names them.

    A target without a name is called as the observation; where all data are public, they are
    so from the start.
    """
    from astropy.table import MaskedColumn

    columns: dict[str, str] = dict(table.columns)
    columns.setdefault("target", columns["obs_id"])
    for name in ("start", "exposure"):
        if name not in columns:
            columns[name] = f"unknown_{name}"
            raw[columns[name]] = MaskedColumn(np.zeros(len(raw)), mask=True)
    columns.setdefault("public_date", columns["start"])
    return raw, replace(table, columns=columns)
