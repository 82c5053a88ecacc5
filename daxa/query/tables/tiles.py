"""The sky tiles of the eROSITA survey as a table of observations: computed, so that it never fails.

HEASARC's table adds what no rule gives (when a tile was scanned, for how long) as far as it
has such columns.  Without it the times are those of the whole survey.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from daxa.missions import MissionSpec
from daxa.missions.spec import ObservationTable
from daxa.missions.tiling import RULE, SURVEY, tiles
from daxa.query.tables.columns import Listing, choose_columns, with_all_columns
from daxa.query.tables.normalise import NormalisedTable, normalise
from daxa.query.tables.services import fetch_table, query_columns
from daxa.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["compute_tiles", "enrich_tiles"]

_ADDED = ("target", "start", "end", "exposure")


def compute_tiles(spec: MissionSpec, table: ObservationTable) -> Listing:
    """The released tiles, by rule alone: no service is queried.

    Parameters
    ----------
    spec
        The survey.
    table
        Its table, of the service ``tiling``.

    Returns
    -------
    Listing
        Times are those of the whole survey, exposures are unknown.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> erass1 = find_mission("erass1")
    >>> len(compute_tiles(erass1, erass1.table).normalised.table)
    2447
    """
    from astropy.table import Table

    released = [tile for tile in tiles() if tile.released]
    count = len(released)
    raw, local = with_all_columns(
        Table(
            {
                "obs_id": [tile.obs_id for tile in released],
                "ra": [tile.ra for tile in released],
                "dec": [tile.dec for tile in released],
                "start": np.full(count, SURVEY[0]),
                "end": np.full(count, SURVEY[1]),
            }
        ),
        replace(table, columns={name: name for name in ("obs_id", "ra", "dec", "start", "end")}, usual=False),
    )
    found = normalise(replace(spec, table=local), raw, local)
    assumed = ("start", "end", "exposure")
    return Listing(replace(found, assumed=assumed), "tiling", f"{table.name}, by rule {RULE}", "")


def enrich_tiles(spec: MissionSpec, settings: Settings, table: ObservationTable) -> Listing:
    """The released tiles, with what HEASARC's table knows of them.

    Raises
    ------
    ServiceError
        HEASARC cannot be reached, or its answer cannot be used.
    """
    there = replace(table, service="heasarc")
    usable = choose_columns(there, query_columns(there, settings), always=("obs_id", "ra", "dec"))
    answer = fetch_table(spec, settings, usable)
    raw, whole = with_all_columns(answer.table, usable)
    given = normalise(replace(spec, table=whole), raw, whole)
    computed = compute_tiles(spec, table)
    added = [name for name in _ADDED if name in usable.columns]
    joined = _join(computed.normalised.table, given.table, added)
    strangers = int((~given.table["obs_id"].isin(joined["obs_id"])).sum())
    left_out = dict(given.left_out) | ({"no released tile": strangers} if strangers else {})
    lacking = tuple(name for name in computed.normalised.assumed if name not in added)
    found = NormalisedTable(joined, left_out, lacking)
    return Listing(found, answer.service, f"{table.name}, by rule {RULE}", answer.query)


def _join(computed: pd.DataFrame, given: pd.DataFrame, added: list[str]) -> pd.DataFrame:
    """The computed rows with the given values where there are any."""
    known = given.set_index("obs_id")
    joined = computed.copy()
    for name in (*added, "row_id"):
        values = computed["obs_id"].map(known[name])
        joined[name] = values.where(values.notna() & (values != ""), computed[name])
    # A start after the end of the survey, or the other way round, would be no interval.
    wrong = ~(joined["end"] >= joined["start"])
    joined.loc[wrong, ["start", "end"]] = computed.loc[wrong, ["start", "end"]]
    return joined
