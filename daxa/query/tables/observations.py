"""A mission's observations, whatever holds them: the table of a service, or a rule of the sky.

Where the names of a table's columns are not recorded, the service says which of the usual
ones it has before it is queried for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from daxa.missions import MissionSpec
from daxa.missions.spec import ObservationTable
from daxa.query.tables.columns import Listing, choose_columns, with_all_columns
from daxa.query.tables.normalise import normalise
from daxa.query.tables.services import fetch_table, query_columns
from daxa.selection.schema import choose_exposures
from daxa.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fetch_observations"]


def fetch_observations(spec: MissionSpec, settings: Settings, table: ObservationTable) -> Listing:
    """Ask for all observations of a mission.

    Parameters
    ----------
    spec, settings
        The mission, and addresses.
    table
        ``spec.table``, or one of ``spec.other_tables``.

    Raises
    ------
    NotPossible
        The mission's table is not declared.
    ServiceError
        The service cannot be reached, or its answer cannot be used.
    """
    if table.service == "tiling":
        from daxa.query.tables.tiles import enrich_tiles

        return enrich_tiles(spec, settings, table)
    if not table.usual:
        answer = fetch_table(spec, settings, table)
        return Listing(normalise(spec, answer.table, table), answer.service, table.name, answer.query)
    spec.check_listed()
    usable = choose_columns(table, query_columns(table, settings))
    answer = fetch_table(spec, settings, usable)
    raw, whole = with_all_columns(answer.table, usable)
    found = normalise(replace(spec, table=whole), raw, whole)
    lacking = [name for name in ("target", "end", "exposure") if name not in usable.columns]
    if not spec.active and len(spec.instruments) > 1:
        lacking.append("instruments")
    found = replace(found, table=_only_active(spec, found.table), assumed=tuple(lacking))
    return Listing(found, answer.service, table.name, answer.query)


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
