"""Read what a user asks for, from keywords or from its stored form, into `Criteria`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING, Any, Unpack, cast

from daxa.errors import CriteriaError
from daxa.missions.spec import MissionSpec
from daxa.naming import did_you_mean, several
from daxa.query.criteria.conditions import TimeWindow, read_flag
from daxa.query.criteria.coordinates import read_names, read_positions, read_radius
from daxa.query.criteria.criteria import Criteria, in_order, join_resolved
from daxa.query.criteria.keywords import CONDITIONS, Conditions, read_alone
from daxa.query.criteria.observation_ids import is_table, obs_id_of, read_obs_table
from daxa.query.criteria.sky_conditions import NearPositions, read_margin, read_match
from daxa.query.criteria.times import read_window

if TYPE_CHECKING:
    from daxa.query.criteria.accepted_types import AngleLike, ObsIdsLike, PositionsLike, TableLike, TextsLike
    from daxa.query.criteria.sample import Sample
    from daxa.query.criteria.sky_conditions import MatchKind

__all__ = ["make_criteria", "read_criteria"]

_OBSERVED = ("obs_ids", "instruments")
_CLAUSE_KEYS = tuple(declared.name for declared in CONDITIONS if declared.name not in _OBSERVED)
_TREE_KEYS = ("any_of", "none_of")
_KEYS = (*_CLAUSE_KEYS, *_OBSERVED, "resolved", "also", *_TREE_KEYS)
_DEEPEST = 20


def make_criteria(spec: MissionSpec, *, files: bool = True, **given: Unpack[Conditions]) -> Criteria:
    """Validate what was requested; conditions that are not given do not restrict.

    Parameters
    ----------
    spec
        The mission whose ObsIDs and instruments are meant.
    files
        Whether values may name files to read.
    given
        `Conditions`: see `daxa.Mission.filter`.

    Raises
    ------
    CriteriaError
        A value cannot be used; the message names it.
    TypeError
        There is no such condition.
    """
    if unknown := sorted(set(given) - {declared.name for declared in CONDITIONS}):
        raise TypeError(f"there is no condition {unknown[0]!r}{did_you_mean(unknown[0], (*_CLAUSE_KEYS, *_OBSERVED))}")
    position, target, time, sample = (
        given.get("position"),
        given.get("target"),
        given.get("time"),
        given.get("sample"),
    )
    how = given.get("radius"), given.get("match"), given.get("margin")
    obs_ids, instruments, inside = given.get("obs_ids"), given.get("instruments"), given.get("inside")
    wholly = False if inside is None else read_flag(inside, "inside")
    has_place = position is not None or target is not None
    return Criteria(
        near=(_read_near(position, target, *how),) if has_place else (),
        windows=() if time is None else (TimeWindow(*read_window(time), wholly),),
        others=in_order(
            {
                *read_alone(given, spec, files=files),
                *_read_samples(sample, has_place, how, wholly, has_time=time is not None, files=files),
            }
        ),
        obs_ids=() if obs_ids is None else _read_obs_ids(spec, obs_ids, files=files),
        instruments=() if instruments is None else _read_instruments(spec, instruments),
    )


def read_criteria(spec: MissionSpec, plain: Mapping[str, object]) -> Criteria:
    """Read what `Criteria.to_plain` gave, or what a user wrote in that form.

    No file is read for it, since it may come from anybody's archive.

    Raises
    ------
    CriteriaError
        An unknown key, or a value that cannot be used.
    """
    _check_keys(plain, _KEYS)
    criteria = _read_tree(spec, plain, 0)
    return replace(criteria, resolved=_read_resolved(plain.get("resolved", {}), criteria.targets))


def _read_tree(spec: MissionSpec, plain: Mapping[str, object], depth: int) -> Criteria:
    if depth > _DEEPEST:
        raise CriteriaError("criterion", "the criteria are nested too deeply", remedy="write them with fewer levels")
    criteria = _read_clause(spec, plain, (*_CLAUSE_KEYS, *_OBSERVED)) & _read_branches(spec, plain, depth)
    for clause in _read_list(plain, "also"):
        _check_keys(clause, (*_CLAUSE_KEYS, *_TREE_KEYS))
        criteria &= _read_clause(spec, clause, _CLAUSE_KEYS) & _read_branches(spec, clause, depth)
    return criteria


def _read_clause(spec: MissionSpec, plain: Mapping[str, object], keys: tuple[str, ...]) -> Criteria:
    # Values are whatever a file holds: each is judged by the reader of its condition.
    given = cast("Conditions", {key: plain[key] for key in keys if key in plain})
    return make_criteria(spec, **given, files=False)


def _read_branches(spec: MissionSpec, plain: Mapping[str, object], depth: int) -> Criteria:
    read: dict[str, list[Criteria]] = {}
    for key in _TREE_KEYS:
        for nested in _read_list(plain, key):
            _check_keys(nested, tuple(name for name in _KEYS if name != "resolved"))
        read[key] = [_read_tree(spec, nested, depth + 1) for nested in _read_list(plain, key)]
    if "any_of" in plain and not read["any_of"]:
        raise CriteriaError("criterion", "'any_of' is empty", remedy="give alternatives, or leave it out")
    either = reduce(or_, read["any_of"]) if read["any_of"] else Criteria()
    return reduce(and_, (~nested for nested in read["none_of"]), either)


def _read_list(plain: Mapping[str, object], key: str) -> list:
    further = plain.get(key, [])
    if not isinstance(further, list):
        raise CriteriaError("criterion", f"{key!r} is not a list of tables", remedy=f"write [[...{key}]] tables")
    return further


def _read_near(
    position: PositionsLike | None,
    target: TextsLike | None,
    radius: AngleLike | None,
    match: MatchKind | None,
    margin: float | None,
) -> NearPositions:
    extent = None if radius is None else read_radius(radius)
    how = read_match(match, extent)
    return NearPositions(
        () if position is None else read_positions(position),
        () if target is None else read_names(target),
        extent,
        how,
        read_margin(margin, how),
    )


def _read_samples(
    sample: TableLike | Sample | None,
    has_place: bool,
    how: tuple[AngleLike | None, MatchKind | None, float | None],
    inside: bool,
    *,
    has_time: bool,
    files: bool,
) -> Iterator[Sample]:
    radius, match, margin = how
    if sample is None:
        if not has_place and any(value is not None for value in how):
            raise CriteriaError("radius", "a radius needs a centre", remedy="give a position or a target too")
        if inside and not has_time:
            raise CriteriaError("time", "'inside' needs a time window", remedy="give a time too")
        return
    from daxa.query.criteria.sample import read_sample

    if files and (has_place or (inside and has_time)):
        raise CriteriaError(
            "sample",
            "it is not clear what belongs to the sample and what to the position or time",
            remedy="give the sample in a filter of its own",
        )
    if files and radius is not None:
        raise CriteriaError("radius", "objects of a sample have their own radii", remedy="add a column radius")
    if not files:
        if not isinstance(sample, Mapping):
            raise CriteriaError("sample", "the stored sample is not a table", remedy="write its columns as lists")
        # What is stored carries its own options beside its columns.
        stored: dict[str, Any] = dict(sample)
        match, margin, inside = stored.pop("match", None), stored.pop("margin", None), stored.pop("inside", False)
        sample = stored
    yield read_sample(sample, match=match, margin=margin, inside=inside, files=files)


def _check_keys(plain: object, allowed: tuple[str, ...]) -> None:
    if not isinstance(plain, Mapping):
        raise CriteriaError("criterion", f"{str(plain)[:100]!r} is not a table of criteria", remedy="write a table")
    for key in plain:
        if key not in allowed:
            message = f"there is no criterion {str(key)[:100]!r}{did_you_mean(key, allowed)}"
            raise CriteriaError("criterion", message, remedy=f"use {', '.join(allowed)}")


def _read_obs_ids(spec: MissionSpec, value: ObsIdsLike, *, files: bool) -> tuple[str, ...]:
    if files and is_table(value):
        return read_obs_table(spec, value)
    listed = several(value)
    if not listed:
        raise CriteriaError("obs-id", "the list of ObsIDs is empty", remedy="give at least one ObsID")
    return tuple(sorted({obs_id_of(spec, item) for item in listed}))


def _read_instruments(spec: MissionSpec, value: TextsLike) -> tuple[str, ...]:
    listed = several(value)
    if not listed or not all(isinstance(item, str) for item in listed):
        raise CriteriaError(
            "instrument",
            f"{str(value)[:100]!r} does not name an instrument",
            remedy=f"choose from {', '.join(instrument.name for instrument in spec.instruments)}",
        )
    chosen = {spec.find_instrument(item).name for item in listed}
    return tuple(instrument.name for instrument in spec.instruments if instrument.name in chosen)


def _read_resolved(value: object, targets: tuple[str, ...]) -> tuple[tuple[str, float, float], ...]:
    if not isinstance(value, Mapping):
        raise CriteriaError("target", "'resolved' is not a table", remedy="write name = [ra, dec], or leave it out")
    found = []
    for name, position in value.items():
        if name not in targets:
            raise CriteriaError(
                "target", f"{str(name)[:100]!r} is resolved but is not a target", remedy="remove it from 'resolved'"
            )
        if len(places := read_positions(position)) != 1:
            raise CriteriaError("target", f"{name!r} has several positions", remedy="give one [ra, dec]")
        found.append((name, *places[0]))
    return join_resolved(tuple(found), ())
