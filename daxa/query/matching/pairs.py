"""The table of pairs: which target was seen by which of the chosen observations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from daxa.errors import CriteriaError
from daxa.query.criteria.criteria import Criteria
from daxa.query.criteria.objects import Objects
from daxa.query.criteria.sample import Sample
from daxa.query.matching.match import MatchContext, MatchResult, join_names, objects_at

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["list_pairs"]

_MOST_PAIRS = 50_000_000

_Naming = Callable[[np.ndarray], np.ndarray]
"""From the indices of targets to their names."""


def list_pairs(found: MatchResult) -> pd.DataFrame:
    """Every target with every chosen observation of it.

    Targets are those of all positions, names and samples of the criteria that are not negated.

    Parameters
    ----------
    found
        From `daxa.query.matching.match`.

    Returns
    -------
    pandas.DataFrame
        ``target`` (its name, else RA,Dec, else its row in the sample from 1), ``target_ra``,
        ``target_dec`` (degrees), ``obs_id``, ``off_axis`` (arcmin from the pointing, or the middle of a
        tile), ``exposure`` (s), ``instruments`` (that see it, of those chosen), ``approximate`` (the true
        shape of the field is not known, a circle around it decided), ``owner`` (the position itself lies in
        the field of one of them; of survey tiles, the one to which it belongs), in the order of the targets
        and then of the ObsIDs.

    Raises
    ------
    CriteriaError
        The criteria name no target, or there are too many pairs.
    """
    import pandas as pd

    sky, rows = found.sky, np.flatnonzero(found.keep)
    order = np.zeros(len(sky.table), dtype=np.int64)
    order[rows[np.argsort(np.array(sky.table["obs_id"].to_numpy()[rows].tolist()), kind="stable")]] = np.arange(
        len(rows)
    )
    allowed = np.zeros(len(sky.table), dtype=np.int64)
    allowed[rows] = _codes(sky.chosen, found.instruments)
    parts = [
        _condition_pairs(sky, name, objects, allowed=allowed, order=order)
        for name, objects in _objects_of(sky, sky.whole)
    ]
    if not parts:
        raise CriteriaError(
            "pairs", "no target was requested, so there are no pairs", remedy="give a position, a target or a sample"
        )
    if len(parts) == 1:
        return parts[0]
    same = ["target", "target_ra", "target_dec", "obs_id"]
    return pd.concat(parts, ignore_index=True).drop_duplicates(same, ignore_index=True)


def _objects_of(sky: MatchContext, criteria: Criteria) -> Iterator[tuple[_Naming, Objects]]:
    """What gives the names, and the objects, of every condition with places, alternatives included."""
    for near in criteria.near:
        places = sky.whole.positions_of(near)
        names = [*(f"{ra!r},{dec!r}" for ra, dec in near.positions), *near.targets]
        yield np.array(names, dtype=object).take, objects_at(near, places)
    for condition in criteria.others:
        if isinstance(condition, Sample):
            yield _naming(condition), condition.objects
    for group in criteria.any_of:
        for branch in group:
            yield from _objects_of(sky, branch)


def _naming(sample: Sample) -> _Naming:
    """Objects without names are numbered, but only those in the result."""
    if sample.names is not None:
        return sample.names.take
    return lambda index: np.array([str(number) for number in (index + 1).tolist()], dtype=object)


def _condition_pairs(
    sky: MatchContext, name: _Naming, objects: Objects, *, allowed: np.ndarray, order: np.ndarray
) -> pd.DataFrame:
    import pandas as pd

    blocks, total = [(np.zeros(0, dtype=np.int64),) * 3 + (np.zeros(0),)], 0
    for target, row, met, apart in sky.meet(objects):
        code = met & allowed[row]
        seen = np.flatnonzero(code)
        blocks.append((target[seen], row[seen], code[seen], apart[seen]))
        total += len(seen)
        if total > _MOST_PAIRS:
            raise CriteriaError(
                "pairs", f"there are more than {_MOST_PAIRS} pairs", remedy="use smaller radii or fewer targets"
            )
    target, row, code, apart = (np.concatenate(column) for column in zip(*blocks, strict=True))
    guess = (code & ~sky.circled[row] == 0) & (objects.match != "centre")
    owner = _holding(sky, objects, target, row, apart) & code != 0
    # One key sorts by target and then by ObsID, and is unique.
    by = np.argsort(target.astype(np.int64) * (len(sky.table) + 1) + order[row])
    target, row, code = target[by], row[by], code[by]
    return pd.DataFrame(
        {
            "target": name(target),
            "target_ra": objects.ra[target],
            "target_dec": objects.dec[target],
            "obs_id": sky.table["obs_id"].array.take(row),
            "off_axis": apart[by],
            "exposure": sky.column("exposure")[row],
            "instruments": np.array(join_names(sky.chosen, code), dtype=object),
            "approximate": guess[by],
            "owner": owner[by],
        }
    )


def _holding(sky: MatchContext, objects: Objects, target: np.ndarray, row: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Instruments (k,) as bits whose field holds the position of the target."""
    places = replace(objects, radius=np.zeros(len(objects.ra)), match="covers", margin=1.0)
    code = np.zeros(len(row), dtype=np.int64)
    for bits, fields in sky.fields:
        reach, sure = fields.reach(places), fields.sure(places)
        code |= bits * fields.meet(places, target, row, apart, reach=reach, sure=sure)
    return code


def _codes(chosen: tuple[str, ...], instruments: tuple[str, ...]) -> np.ndarray:
    """Instruments of each row, separated by commas, as bits."""
    import pandas as pd

    which, texts = pd.factorize(np.array(instruments, dtype=object))
    kinds = [sum(1 << bit for bit, name in enumerate(chosen) if name in text.split(",")) for text in texts]
    return np.array(kinds, dtype=np.int64)[which]
