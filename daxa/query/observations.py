"""A mission's observations, whatever holds them: the table of a service, or a rule of the sky.

Where the names of a table's columns are not recorded, the service says which of the usual
ones it has before it is asked for them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from daxa.errors import ServiceError
from daxa.missions import MissionSpec
from daxa.missions.facts import USUAL_COLUMNS
from daxa.missions.spec import ObservationTable
from daxa.query.normalise import Normalised, normalise
from daxa.query.services import ask_columns, fetch_table
from daxa.selection.schema import choose_exposures
from daxa.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Table

__all__ = ["Listing", "choose_columns", "fetch_observations", "with_all_columns"]

_ALWAYS = ("obs_id", "ra", "dec", "start")


@dataclass(frozen=True)
class Listing:
    """All observations of a mission, and where they came from.

    Parameters
    ----------
    normalised
        In our schema.
    service, table, query
        As for `daxa.query.snapshot.Origin`.
    """

    normalised: Normalised
    service: str
    table: str
    query: str


def fetch_observations(spec: MissionSpec, settings: Settings, table: ObservationTable) -> Listing:
    """Ask for all observations of a mission.

    Parameters
    ----------
    spec, settings
        The mission, and addresses.
    table
        ``spec.table``, or one of ``spec.mirrors``.

    Raises
    ------
    NotPossible
        The mission's table is not declared.
    ServiceError
        The service cannot be reached, or its answer cannot be used.
    """
    if table.service == "tiling":
        from daxa.query.tiles import enrich_tiles

        return enrich_tiles(spec, settings, table)
    if not table.usual:
        answer = fetch_table(spec, settings, table)
        return Listing(normalise(spec, answer.table, table), answer.service, table.name, answer.query)
    spec.check_listed()
    asked = choose_columns(table, ask_columns(table, settings))
    answer = fetch_table(spec, settings, asked)
    raw, whole = with_all_columns(answer.table, asked)
    found = normalise(replace(spec, table=whole), raw, whole)
    lacking = [name for name in ("target", "end", "exposure") if name not in asked.columns]
    if not spec.active and len(spec.instruments) > 1:
        lacking.append("instruments")
    found = replace(found, table=_only_active(spec, found.table), assumed=tuple(lacking))
    return Listing(found, answer.service, table.name, answer.query)


def choose_columns(
    table: ObservationTable, found: Collection[str], *, always: Collection[str] = _ALWAYS
) -> ObservationTable:
    """The table with the names that its columns really have; columns that it has not are left out.

    Parameters
    ----------
    table
        Declared with names that are usual.
    found
        The columns that it has, in lower case.
    always
        Our columns without which it is of no use; the public date is one when there is any.

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


def _only_active(spec: MissionSpec, table: pd.DataFrame) -> pd.DataFrame:
    """Take from each row the instruments that were switched off."""
    active: Mapping[str, tuple[str, ...]] = {obs_id: names for names, obs_ids in spec.active for obs_id in obs_ids}
    if not active:
        return table
    kept = [
        ",".join(name for name in given.split(",") if name in active.get(obs_id, given.split(",")))
        for obs_id, given in zip(table["obs_id"], table["instruments"], strict=True)
    ]
    exposures = map(choose_exposures, table["exposures"], table["instruments"], kept)
    return table.assign(instruments=kept, exposures=list(exposures))
