"""Read what a user asks for, from keywords or from its stored form, into `Criteria`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import reduce
from operator import and_, or_

from daxa.errors import CriteriaError
from daxa.missions.spec import MissionSpec
from daxa.naming import did_you_mean, several
from daxa.query.conditions import (
    ACCESS,
    Access,
    Everything,
    Exposure,
    Moc,
    Near,
    Region,
    Window,
    read_box,
    read_exposure,
    read_margin,
    read_match,
)
from daxa.query.criteria import Criteria, in_order, join_resolved
from daxa.query.labels import read_category, read_mode
from daxa.query.values import obs_id_of, read_names, read_positions, read_radius, read_window

__all__ = ["make_criteria", "read_criteria"]

_CLAUSE_KEYS = (
    "position",
    "target",
    "radius",
    "match",
    "margin",
    "time",
    "inside",
    "sample",
    "box",
    "region",
    "moc",
    "min_exposure",
    "access",
    "category",
    "mode",
    "everything",
)
_TREE_KEYS = ("any_of", "none_of")
_KEYS = (*_CLAUSE_KEYS, "obs_ids", "instruments", "resolved", "also", *_TREE_KEYS)
_DEEPEST = 20


def make_criteria(
    spec: MissionSpec,
    *,
    position: object = None,
    target: object = None,
    radius: object = None,
    match: object = None,
    margin: object = None,
    time: object = None,
    inside: object = False,
    sample: object = None,
    box: object = None,
    region: object = None,
    moc: object = None,
    min_exposure: object = None,
    access: object = None,
    category: object = None,
    mode: object = None,
    everything: object = False,
    obs_ids: object = None,
    instruments: object = None,
    files: bool = True,
) -> Criteria:
    """Validate what was asked for; conditions that are not given do not restrict.

    Parameters
    ----------
    spec
        The mission whose ObsIDs and instruments are meant.
    position
        See `daxa.query.values.read_positions`; with `target`, any of all the places.
    target
        Name, or names, of objects that Simbad, NED or VizieR know.
    radius
        With its unit; None for the instrument's field of view.
    match
        ``covers`` (the field of view holds the place and its radius; the default without
        `radius`), ``overlaps`` (field of view and radius do; the default for a `sample`) or
        ``centre`` (the pointing lies within the radius; the default with `radius`).
    margin
        Factor by which the field of view is taken larger, such as 1.2.
    time
        (start, end); an observation must overlap it.
    inside
        The observation must lie wholly in `time`, or in the windows of the sample.
    sample
        File or table of objects, see `daxa.query.sample.read_sample`.
    box
        ``{"ra": (first, last), "dec": (low, high)}`` in degrees, in which the pointing lies.
    region
        DS9 region file or text, see `daxa.query.areas.read_region`, in which the pointing lies.
    moc
        Coverage map, see `daxa.query.areas.read_moc`, in which the pointing lies.
    min_exposure
        With its unit, such as ``"5 ks"``; of each instrument where the table tells them apart.
    category
        Code or codes of `daxa.missions.facts.CATEGORIES`, such as ``"GCL"``.
    mode
        Mode or modes of an instrument as the archive writes them, such as ``"VFAINT"``, whatever the case.
    access
        ``public`` (also when nothing is said), ``proprietary`` or ``any``.
    everything
        True: the whole archive is wanted.
    obs_ids
        ObsID, or ObsIDs, as texts.
    instruments
        Name or names, aliases allowed.
    files
        Whether values may name files to read.

    Raises
    ------
    CriteriaError
        A value cannot be used; the message names it.
    """
    has_place = position is not None or target is not None
    return Criteria(
        near=(_read_near(position, target, radius, match, margin),) if has_place else (),
        windows=() if time is None else (Window(*read_window(time), _read_flag(inside, "inside")),),
        others=in_order(
            {
                *_read_areas(box, region, moc, files=files),
                *_read_quality(min_exposure, access, everything),
                *([] if category is None else [read_category(category, spec)]),
                *([] if mode is None else [read_mode(mode, spec)]),
                *_read_samples(
                    sample, has_place, (radius, match, margin), inside, has_time=time is not None, files=files
                ),
            }
        ),
        obs_ids=() if obs_ids is None else _read_obs_ids(spec, obs_ids),
        instruments=() if instruments is None else _read_instruments(spec, instruments),
    )


def read_criteria(spec: MissionSpec, plain: Mapping[str, object]) -> Criteria:
    """Read what `Criteria.to_plain` gave, or what a user wrote in that form.

    No file is read for it, since it may stand in anybody's archive.

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
    simple = {key: plain[key] for key in (*_CLAUSE_KEYS, "obs_ids", "instruments") if key in plain}
    criteria = make_criteria(spec, **simple, files=False) & _read_branches(spec, plain, depth)
    for clause in _read_list(plain, "also"):
        _check_keys(clause, (*_CLAUSE_KEYS, *_TREE_KEYS))
        leaf = {key: clause[key] for key in _CLAUSE_KEYS if key in clause}
        criteria &= make_criteria(spec, **leaf, files=False) & _read_branches(spec, clause, depth)
    return criteria


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


def _read_near(position: object, target: object, radius: object, match: object, margin: object) -> Near:
    extent = None if radius is None else read_radius(radius)
    how = read_match(match, extent)
    return Near(
        () if position is None else read_positions(position),
        () if target is None else read_names(target),
        extent,
        how,
        read_margin(margin, how),
    )


def _read_areas(box: object, region: object, moc: object, *, files: bool) -> Iterator[object]:
    if box is not None:
        yield read_box(box)
    if region is not None or moc is not None:
        from daxa.query.areas import read_moc, read_region

        if region is not None:
            yield Region(read_region(region, files=files))
        if moc is not None:
            yield Moc(read_moc(moc, files=files))


def _read_quality(min_exposure: object, access: object, everything: object) -> Iterator[object]:
    if min_exposure is not None:
        yield Exposure(read_exposure(min_exposure))
    if access is not None:
        if not isinstance(access, str) or access not in ACCESS:
            raise CriteriaError(
                "access", f"{str(access)[:100]!r} is not a kind of access", remedy=f"choose from {', '.join(ACCESS)}"
            )
        yield Access(access)  # type: ignore[arg-type]
    if _read_flag(everything, "everything"):
        yield Everything()


def _read_samples(
    sample: object, has_place: bool, how: tuple[object, ...], inside: object, *, has_time: bool, files: bool
) -> Iterator[object]:
    radius, match, margin = how
    if sample is None:
        if not has_place and any(value is not None for value in how):
            raise CriteriaError("radius", "a radius needs a centre", remedy="give a position or a target too")
        if _read_flag(inside, "inside") and not has_time:
            raise CriteriaError("time", "'inside' needs a time window", remedy="give a time too")
        return
    from daxa.query.sample import read_sample

    options: dict[str, object] = {"match": match, "margin": margin, "inside": _read_flag(inside, "inside")}
    if files and (has_place or (inside and has_time)):
        raise CriteriaError(
            "sample",
            "it is not clear what belongs to the sample and what to the position or time",
            remedy="give the sample in a filter of its own",
        )
    if files and radius is not None:
        raise CriteriaError("radius", "objects of a sample have radii of their own", remedy="add a column radius")
    if not files:
        if not isinstance(sample, Mapping):
            raise CriteriaError("sample", "the stored sample is not a table", remedy="write its columns as lists")
        # What is stored carries its own options beside its columns.
        options = {key: sample[key] for key in ("match", "margin", "inside") if key in sample}
        sample = {key: column for key, column in sample.items() if key not in options}
    yield read_sample(sample, **options, files=files)


def _read_flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise CriteriaError("criterion", f"{name!r} is {str(value)[:100]!r}", remedy=f"write {name} = true")
    return value


def _check_keys(plain: object, allowed: tuple[str, ...]) -> None:
    if not isinstance(plain, Mapping):
        raise CriteriaError("criterion", f"{str(plain)[:100]!r} is not a table of criteria", remedy="write a table")
    for key in plain:
        if key not in allowed:
            message = f"there is no criterion {str(key)[:100]!r}{did_you_mean(key, allowed)}"
            raise CriteriaError("criterion", message, remedy=f"use {', '.join(allowed)}")


def _read_obs_ids(spec: MissionSpec, value: object) -> tuple[str, ...]:
    listed = _as_list(value)
    if not listed:
        raise CriteriaError("obs-id", "the list of ObsIDs is empty", remedy="give at least one ObsID")
    return tuple(sorted({obs_id_of(spec, item) for item in listed}))


def _read_instruments(spec: MissionSpec, value: object) -> tuple[str, ...]:
    listed = _as_list(value)
    if not listed or not all(isinstance(item, str) for item in listed):
        raise CriteriaError(
            "instrument",
            f"{str(value)[:100]!r} does not name an instrument",
            remedy=f"choose from {', '.join(instrument.name for instrument in spec.instruments)}",
        )
    chosen = {spec.find_instrument(item).name for item in listed}  # type: ignore[arg-type]
    return tuple(instrument.name for instrument in spec.instruments if instrument.name in chosen)


def _as_list(value: object) -> list[object]:
    return list(several(value))


def _read_resolved(value: object, targets: tuple[str, ...]) -> tuple[tuple[str, float, float], ...]:
    if not isinstance(value, Mapping):
        raise CriteriaError("target", "'resolved' is not a table", remedy="write name = [ra, dec], or leave it out")
    found = []
    for name, position in value.items():
        if name not in targets:
            raise CriteriaError(
                "target", f"{str(name)[:100]!r} is resolved but no target", remedy="remove it from 'resolved'"
            )
        if len(places := read_positions(position)) != 1:
            raise CriteriaError("target", f"{name!r} has several positions", remedy="give one [ra, dec]")
        found.append((name, *places[0]))
    return join_resolved(tuple(found), ())
