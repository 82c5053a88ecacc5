"""Which observations meet the criteria: local, vectorised, without network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from daxa.errors import CriteriaError
from daxa.missions.facts import FieldOfView
from daxa.missions.spec import MissionSpec
from daxa.naming import some
from daxa.query.criteria.conditions import AccessRights
from daxa.query.criteria.criteria import Criteria
from daxa.query.criteria.objects import Objects
from daxa.query.criteria.sample import Sample
from daxa.query.criteria.sky_conditions import NearPositions
from daxa.query.criteria.times import write_window
from daxa.query.matching.fields import Fields
from daxa.query.matching.neighbours import near_pairs, nearest_separation

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MatchContext", "MatchResult", "join_names", "match", "objects_at"]

_NOT_YET = "proprietary"
_NEVER = "no public date"
_REMEMBERED = 20_000_000


Meeting = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class MatchResult:
    """The rows of a table that meet the criteria.

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
    approximate
        Number of kept rows that a circle around the field of view decided, since its true
        shape is not known.
    sky
        What was matched, for the table of pairs (`daxa.query.matching.pairs`).
    """

    keep: np.ndarray
    instruments: tuple[str, ...]
    counts: tuple[tuple[str, int], ...]
    left_out: Mapping[str, int]
    approximate: int
    sky: MatchContext


@dataclass(frozen=True)
class MatchContext:
    """What conditions are evaluated on.

    Parameters
    ----------
    spec, table, at
        As for `match`.
    whole
        All criteria, which know where targets are and which instruments take part.
    known
        Pairs found before, so that selection and pairs walk the sky once.
    guessed
        For each condition on places, instruments (n,) as bits that meet it by a circle in
        place of their true field.
    """

    spec: MissionSpec
    table: pd.DataFrame
    whole: Criteria
    at: float
    known: dict[int, tuple[Objects, list[Meeting]]] = field(default_factory=dict)
    guessed: list[np.ndarray] = field(default_factory=list)

    @property
    def chosen(self) -> tuple[str, ...]:
        named = {name for part in self.whole.parts() for name in part.instruments}
        return self.spec.choose_instruments(self.whole.instruments or {*self.spec.default_instruments, *named})

    @cached_property
    def fields(self) -> tuple[tuple[int, Fields], ...]:
        """Each kind of field of view, and the chosen instruments that have it as bits."""
        kinds: dict[FieldOfView, int] = {}
        for bit, name in enumerate(self.chosen):
            view = self.spec.find_instrument(name).field_of_view
            kinds[view] = kinds.get(view, 0) | 1 << bit
        scans = [(view, self.table["obs_id"].isin(ids).to_numpy()) for view, ids in self.spec.other_fields]
        others = ~np.logical_or.reduce([rows for _, rows in scans]) if scans else None
        own = [(bits, Fields(view, self.table, others)) for view, bits in kinds.items()]
        return (*own, *(((1 << len(self.chosen)) - 1, Fields(view, self.table, rows)) for view, rows in scans))

    @cached_property
    def circled(self) -> np.ndarray:
        """Instruments of each row of whose field only the circle around it is known, (n,) bits."""
        code = np.zeros(len(self.table), dtype=np.int64)
        for bits, fields in self.fields:
            code[~fields.known] |= bits
        return code

    def meet(self, objects: Objects) -> Iterator[Meeting]:
        """Every object with every row that meets it in space and time, in blocks.

        Yields
        ------
        (object, row, instruments, separation)
            Indices, the chosen instruments that meet it as bits, arcminutes; each (k,).
        """
        if id(objects) in self.known:
            yield from self.known[id(objects)][1]
            return
        limits = [(bits, fields, fields.reach(objects), fields.sure(objects)) for bits, fields in self.fields]
        start, end = self.times()
        reach = np.maximum.reduce([reach for _, _, reach, _ in limits])
        middle = self.fields[0][1]

        def test(target: np.ndarray, row: np.ndarray, apart: np.ndarray) -> Meeting:
            timely = objects.in_time(target, start[row], end[row])
            target, row, apart = target[timely], row[timely], apart[timely]
            code = np.zeros(len(row), dtype=np.int64)
            for bits, fields, reach, sure in limits:
                code |= bits * fields.meet(objects, target, row, apart, reach=reach, sure=sure)
            seen = np.flatnonzero(code)
            return target[seen], row[seen], code[seen], apart[seen]

        kept: list[Meeting] | None = []
        total = 0
        for target, row, code, apart in near_pairs(middle.ra, middle.dec, objects.ra, objects.dec, reach, then=test):
            meeting = target, row, code, apart
            yield meeting
            total += len(meeting[0])
            if total > _REMEMBERED:
                kept = None
            if kept is not None:
                kept.append(meeting)
        if kept is not None:
            # The objects are kept beside their pairs, so that their id stays theirs.
            self.known[id(objects)] = (objects, kept)

    def column(self, name: str) -> np.ndarray:
        return self.table[name].to_numpy()

    def times(self) -> tuple[np.ndarray, np.ndarray]:
        """Start and end of each observation, MJD; an unknown end is the start."""
        start, end = self.column("start"), self.column("end")
        return start, np.where(np.isnan(end), start, end)


def match(spec: MissionSpec, table: pd.DataFrame, criteria: Criteria, *, at: float) -> MatchResult:
    """Apply criteria to a mission's whole table.

    An observation is kept when at least one chosen instrument has data and, where the
    field of view decides, the place in it.

    Parameters
    ----------
    spec
        The mission.
    table
        From `daxa.query.tables.normalise`.
    criteria
        With its targets resolved.
    at
        The time (MJD UTC) at which data must be public: that of the query, so that the
        same table gives the same answer for ever.

    Raises
    ------
    CriteriaError
        ``instrument``: none is named, and the mission chooses none by default;
        ``unknown-obs-id``: an ObsID is not in the table; ``empty``: nothing is left, and
        the message says after which condition.
    """
    sky = MatchContext(spec, table, criteria, at)
    pairs = np.ones((len(table), len(sky.chosen)), dtype=bool)
    counts = [("in the table", len(table))]

    def narrow(condition: str, allowed: np.ndarray) -> None:
        np.logical_and(pairs, allowed, out=pairs)
        counts.append((condition, int(pairs.any(axis=1).sum())))

    for text, allowed in _conjuncts(sky, criteria):
        narrow(text, allowed)
    narrow(f"with data of {', '.join(sky.chosen)}", _with_data(table, sky.chosen))
    left_out: dict[str, int] = {}
    if not any(isinstance(condition, AccessRights) for part in criteria.parts() for condition in part.others):
        public = sky.column("public_date") <= at
        matched = pairs.any(axis=1)
        never = table["public_date"].isna().to_numpy()
        left_out = {_NOT_YET: int((matched & ~public & ~never).sum()), _NEVER: int((matched & never).sum())}
        narrow(f"public on {write_window(float(int(at)), None)[0]}", public[:, None])
    _refuse_empty(spec, counts)
    keep = np.asarray(pairs.any(axis=1))
    return MatchResult(
        keep,
        join_names(sky.chosen, pairs[keep] @ (1 << np.arange(len(sky.chosen)))),
        tuple(counts),
        {reason: number for reason, number in left_out.items() if number},
        _count_guessed(sky, pairs),
        sky,
    )


def _count_guessed(sky: MatchContext, pairs: np.ndarray) -> int:
    """Rows of which no chosen instrument is certain."""
    if not sky.guessed:
        return 0
    codes = pairs @ (1 << np.arange(len(sky.chosen)))
    return int(((codes != 0) & (codes & ~np.bitwise_or.reduce(sky.guessed) == 0)).sum())


def _conjuncts(sky: MatchContext, criteria: Criteria) -> Iterator[tuple[str, np.ndarray]]:
    """Each condition in words, and where it holds: (rows, instruments), or of that shape when broadcast."""
    if criteria.obs_ids:
        text = f"with the {len(criteria.obs_ids)} requested ObsIDs"
        yield text, _listed(sky.spec, sky.table, criteria.obs_ids)[:, None]
    for condition in criteria.conditions:
        yield condition.text, _holds(sky, condition)
    if criteria.instruments:
        allowed = np.array([[name in criteria.instruments for name in sky.chosen]])
        if not allowed.all():
            yield f"of {', '.join(criteria.instruments)}", allowed
    for group in criteria.any_of:
        either = _matching_nothing(sky)
        for branch in group:
            either |= _matches_all(sky, branch)
        yield f"that are {' or '.join(_words(branch) for branch in group)}", either
    for nested in criteria.none_of:
        yield f"that are not {_words(nested)}", ~_matches_all(sky, nested)


def _matching_nothing(sky: MatchContext) -> np.ndarray:
    return np.zeros((len(sky.table), len(sky.chosen)), dtype=bool)


def _matches_all(sky: MatchContext, criteria: Criteria) -> np.ndarray:
    """Where all of nested criteria hold, (rows, instruments)."""
    met = ~_matching_nothing(sky)
    for _, allowed in _conjuncts(sky, criteria):
        met &= allowed
    return met


def _words(criteria: Criteria) -> str:
    texts = [condition.text for condition in criteria.conditions]
    texts += [f"one of {len(criteria.obs_ids)} ObsIDs"] if criteria.obs_ids else []
    texts += [f"of {', '.join(criteria.instruments)}"] if criteria.instruments else []
    texts += ["(" + " or ".join(_words(branch) for branch in group) + ")" for group in criteria.any_of]
    texts += [f"not {_words(nested)}" for nested in criteria.none_of]
    return f"({' and '.join(texts)})" if len(texts) > 1 else (texts or ["anything"])[0]


def _holds(sky: MatchContext, condition: Any) -> np.ndarray:
    """Where a condition holds: (rows, instruments), or one column where it is the same for all of them."""
    if isinstance(condition, NearPositions):
        return _near(sky, condition)
    if isinstance(condition, Sample):
        return _near_objects(sky, condition.objects)
    met = condition.holds(sky)
    return met if met.ndim == 2 else met[:, None]


def _listed(spec: MissionSpec, table: pd.DataFrame, obs_ids: tuple[str, ...]) -> np.ndarray:
    listed = table["obs_id"].isin(obs_ids).to_numpy()
    if unknown := sorted(set(obs_ids) - set(table["obs_id"][listed])):
        raise CriteriaError(
            "unknown-obs-id",
            f"{spec.title} has no finished observation {some(unknown, 10)} in {spec.table.name}",
            remedy="check the ObsID; planned and unprocessed observations cannot be chosen",
        )
    return listed


def _near(sky: MatchContext, near: NearPositions) -> np.ndarray:
    """The nearest place decides, but where the shape of the field may leave it out and hold another."""
    objects = objects_at(near, sky.whole.positions_of(near))
    code = np.zeros(len(sky.table), dtype=np.int64)
    for bits, fields in sky.fields:
        reach, sure = fields.reach(objects), fields.sure(objects)
        nearest = nearest_separation(fields.ra, fields.dec, objects.ra, objects.dec, limit=max(float(reach[0]), 0))
        met = nearest <= np.where(fields.known, sure[0], reach[0])
        if fields.rows is not None:
            met, nearest = met & fields.rows, np.where(fields.rows, nearest, np.inf)
        unsure = np.flatnonzero((nearest <= reach[0]) & ~met)
        for target, row, apart in near_pairs(fields.ra[unsure], fields.dec[unsure], objects.ra, objects.dec, reach):
            hit = fields.meet(objects, target, unsure[row], apart, reach=reach, sure=sure)
            met[unsure[row[hit]]] = True
        code |= bits * met
    if near.match != "centre":
        sky.guessed.append(code & sky.circled)
    return code[:, None] & (1 << np.arange(len(sky.chosen))) != 0


def objects_at(near: NearPositions, places: tuple[tuple[float, float], ...]) -> Objects:
    """The places (ra, dec) of a condition, as they are matched."""
    ra, dec = np.array(places, dtype=np.float64).reshape(-1, 2).T
    return Objects(ra, dec, np.full(len(ra), near.radius or 0.0), match=near.match, margin=near.margin)


def _near_objects(sky: MatchContext, objects: Objects) -> np.ndarray:
    met = _matching_nothing(sky)
    bits = 1 << np.arange(len(sky.chosen))
    for _, row, code, _ in sky.meet(objects):
        for column, bit in enumerate(bits):
            met[row[code & bit != 0], column] = True
    if objects.match != "centre":
        sky.guessed.append(met @ bits & sky.circled)
    return met


def join_names(chosen: tuple[str, ...], codes: np.ndarray) -> tuple[str, ...]:
    """For each row (n,) of bits the names of its instruments, separated by commas."""
    kinds, which = np.unique(codes, return_inverse=True)
    texts = [",".join(name for bit, name in enumerate(chosen) if kind >> bit & 1) for kind in kinds.tolist()]
    return tuple(np.array(texts, dtype=object)[which])


def _with_data(table: pd.DataFrame, chosen: tuple[str, ...]) -> np.ndarray:
    codes, texts = table["instruments"].factorize()
    present = np.array([[name in text.split(",") for name in chosen] for text in texts], dtype=bool)
    return present[codes]


def _refuse_empty(spec: MissionSpec, counts: list[tuple[str, int]]) -> None:
    if counts[-1][1]:
        return
    last = next(number for number, (_, left) in enumerate(counts) if not left)
    culprit = counts[last][0]
    story = ", ".join(f"{left} {condition}" for condition, left in counts[: last + 1])
    raise CriteriaError(
        "empty",
        f"no observation of {spec.title} meets the criteria: {story}",
        remedy=f"loosen the condition '{culprit}'",
    )
