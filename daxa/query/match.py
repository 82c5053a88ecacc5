"""Which observations meet the criteria: local, vectorised, without network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from daxa.errors import CriteriaError
from daxa.missions.spec import MissionSpec
from daxa.query.criteria import Criteria, Near, Window, write_window

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Match", "match", "nearest_separation"]

_NOT_YET = "proprietary"
_NEVER = "no public date"


@dataclass(frozen=True)
class Match:
    """What the criteria leave of a table.

    Parameters
    ----------
    keep
        (n,) bool, the rows that meet all of them.
    instruments
        For each kept row the chosen instruments that have data, separated by commas.
    counts
        (condition, rows left after it), in the order in which they were applied.
    left_out
        Reason to number of rows that meet everything else but are not public.
    """

    keep: np.ndarray
    instruments: tuple[str, ...]
    counts: tuple[tuple[str, int], ...]
    left_out: Mapping[str, int]


def match(spec: MissionSpec, table: pd.DataFrame, criteria: Criteria, *, at: float) -> Match:
    """Apply criteria to a mission's whole table.

    An observation is kept when at least one chosen instrument has data and, where no
    radius was given, the place in its field of view.

    Parameters
    ----------
    spec
        The mission.
    table
        From `daxa.query.normalise`.
    criteria
        With its targets resolved.
    at
        The time (MJD UTC) at which data must be public: that of the query, so that the
        same table gives the same answer for ever.

    Raises
    ------
    CriteriaError
        ``unknown-obs-id``: an ObsID is not in the table; ``empty``: nothing is left, and
        the message says after which condition.
    """
    chosen = _chosen(spec, criteria)
    pairs = np.ones((len(table), len(chosen)), dtype=bool)
    counts = [("in the table", len(table))]

    def narrow(condition: str, allowed: np.ndarray) -> None:
        np.logical_and(pairs, allowed, out=pairs)
        counts.append((condition, int(pairs.any(axis=1).sum())))

    if criteria.obs_ids:
        narrow(f"with the {len(criteria.obs_ids)} ObsIDs asked for", _listed(spec, table, criteria.obs_ids)[:, None])
    for near in criteria.near:
        narrow(near.text, _near(spec, table, criteria, near, chosen))
    for window in criteria.windows:
        narrow(window.text, _overlap(table, window)[:, None])
    narrow(f"with data of {', '.join(chosen)}", _with_data(table, chosen))
    public = table["public_date"].to_numpy() <= at
    wanted = pairs.any(axis=1)
    never = table["public_date"].isna().to_numpy()
    left_out = {_NOT_YET: int((wanted & ~public & ~never).sum()), _NEVER: int((wanted & never).sum())}
    narrow(f"public on {write_window(float(int(at)), None)[0]}", public[:, None])
    _refuse_empty(spec, counts)
    keep = pairs.any(axis=1)
    return Match(
        keep,
        tuple(",".join(name for name, flag in zip(chosen, row, strict=True) if flag) for row in pairs[keep]),
        tuple(counts),
        {reason: number for reason, number in left_out.items() if number},
    )


def _chosen(spec: MissionSpec, criteria: Criteria) -> tuple[str, ...]:
    names = criteria.instruments or spec.default_instruments
    return tuple(instrument.name for instrument in spec.instruments if instrument.name in names)


def _listed(spec: MissionSpec, table: pd.DataFrame, obs_ids: tuple[str, ...]) -> np.ndarray:
    listed = table["obs_id"].isin(obs_ids).to_numpy()
    if unknown := sorted(set(obs_ids) - set(table["obs_id"][listed])):
        more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
        raise CriteriaError(
            "unknown-obs-id",
            f"{spec.title} has no finished observation {', '.join(unknown[:10])}{more} in {spec.table.name}",
            remedy="check the ObsID; planned and unprocessed observations cannot be chosen",
        )
    return listed


def _near(
    spec: MissionSpec, table: pd.DataFrame, criteria: Criteria, near: Near, chosen: tuple[str, ...]
) -> np.ndarray:
    if near.radius is not None:
        radii = np.full(len(chosen), near.radius)
    else:
        radii = np.array([spec.find_instrument(name).field_of_view.radius for name in chosen])
    separation = nearest_separation(
        table["ra"].to_numpy(), table["dec"].to_numpy(), criteria.positions_of(near), limit=float(radii.max())
    )
    return separation[:, None] <= radii


def nearest_separation(
    ra: np.ndarray, dec: np.ndarray, positions: tuple[tuple[float, float], ...], *, limit: float
) -> np.ndarray:
    """Distance of each pointing from the nearest of several positions.

    A KD-tree of the positions' unit vectors answers for all pointings at once; the
    chord c between unit vectors belongs to the angle 2 arcsin(c / 2).

    Parameters
    ----------
    ra, dec
        (n,) pointings, degrees.
    positions
        (ra, dec), degrees.
    limit
        Arcminutes beyond which the distance does not matter.

    Returns
    -------
    numpy.ndarray
        (n,) arcminutes; infinite beyond `limit`.

    Examples
    --------
    >>> nearest_separation(np.array([359.9, 10.0]), np.array([0.0, 0.0]), ((0.1, 0.0),), limit=60).round(6)
    array([12., inf])
    """
    from scipy.spatial import KDTree

    tree = KDTree(_unit_vectors(*np.array(positions, dtype=np.float64).T))
    # The bound is exclusive and rounded: a little more, and the comparison is done on the angle.
    bound = 2 * np.sin(np.radians(limit / 60) / 2) * (1 + 1e-9) + 1e-12
    chord, _ = tree.query(_unit_vectors(ra, dec), distance_upper_bound=bound)
    angle = np.full(len(chord), np.inf)
    found = np.isfinite(chord)
    angle[found] = 60 * np.degrees(2 * np.arcsin(np.minimum(chord[found] / 2, 1)))
    return angle


def _unit_vectors(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    alpha, delta = np.radians(ra), np.radians(dec)
    return np.column_stack((np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)))


def _overlap(table: pd.DataFrame, window: Window) -> np.ndarray:
    start = table["start"].to_numpy()
    end = np.where(np.isnan(table["end"].to_numpy()), start, table["end"].to_numpy())
    inside = ~np.isnan(start)
    if window.end is not None:
        inside &= start < window.end
    if window.start is not None:
        inside &= end > window.start
    return inside


def _with_data(table: pd.DataFrame, chosen: tuple[str, ...]) -> np.ndarray:
    codes, texts = table["instruments"].factorize()
    present = np.array([[name in text.split(",") for name in chosen] for text in texts], dtype=bool)
    return present[codes]


def _refuse_empty(spec: MissionSpec, counts: list[tuple[str, int]]) -> None:
    if counts[-1][1]:
        return
    culprit = next(condition for condition, left in counts if not left)
    story = ", ".join(f"{left} {condition}" for condition, left in counts)
    raise CriteriaError(
        "empty",
        f"no observation of {spec.title} meets the criteria: {story}",
        remedy=f"loosen the condition '{culprit}'",
    )
