"""What a user asks for, as a value that can be stored and replayed.

A `Criteria` is a conjunction.  Adding filters in any order gives equal values, and
`Criteria.to_plain` gives what TOML and JSON can hold; `read_criteria` reads it
back to an equal value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from daxa.errors import CriteriaError
from daxa.missions.spec import MissionSpec
from daxa.query.values import read_names, read_positions, read_radius, read_window, write_radius, write_window
from daxa.run.task import canonical

__all__ = ["Criteria", "Near", "Window", "make_criteria", "read_criteria"]

_KEYS = ("position", "target", "radius", "time", "obs_ids", "instruments", "resolved", "also")
_CLAUSE_KEYS = ("position", "target", "radius", "time")


@dataclass(frozen=True)
class Near:
    """Within `radius` of any of these positions or targets.

    Parameters
    ----------
    positions
        (ra, dec) in degrees ICRS, sorted.
    targets
        Names, sorted.
    radius
        Arcminutes; None for the field of view of the instrument, so that the place was observed.
    """

    positions: tuple[tuple[float, float], ...] = ()
    targets: tuple[str, ...] = ()
    radius: float | None = None

    def to_plain(self) -> dict[str, object]:
        """As TOML and JSON hold it."""
        plain: dict[str, object] = {}
        if self.positions:
            plain["position"] = [list(pair) for pair in self.positions]
        if self.targets:
            plain["target"] = list(self.targets)
        if self.radius is not None:
            plain["radius"] = write_radius(self.radius)
        return plain

    @property
    def text(self) -> str:
        """For messages, such as ``within 15 arcmin of Abell 907``."""
        places = [*self.targets, *(f"{ra:g},{dec:g}" for ra, dec in self.positions)]
        where = places[0] if len(places) == 1 else f"any of {len(places)} places"
        return f"within {'the field of view' if self.radius is None else write_radius(self.radius)} of {where}"


@dataclass(frozen=True)
class Window:
    """Observed at least partly between `start` and `end` (MJD UTC; None is open)."""

    start: float | None
    end: float | None

    def to_plain(self) -> dict[str, object]:
        """As TOML and JSON hold it."""
        return {"time": write_window(self.start, self.end)}

    @property
    def text(self) -> str:
        """For messages, such as ``observed between 2004-01-01 and 2005-01-01``."""
        start, end = write_window(self.start, self.end)
        if self.start is None or self.end is None:
            return f"observed before {end}" if self.start is None else f"observed after {start}"
        return f"observed between {start} and {end}"


@dataclass(frozen=True)
class Criteria:
    """A conjunction of conditions on observations; make one with `make_criteria`.

    Parameters
    ----------
    near
        Every one must hold.
    windows
        The observation overlaps every one.
    obs_ids
        Only these; () for any.
    instruments
        Only data of these, in the mission's order; () for the mission's default.
    resolved
        (name, ra, dec) of targets whose position is known, so that a replay asks nobody.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> xmm = find_mission("xmm")
    >>> one = make_criteria(xmm, target="Abell 907", radius="15 arcmin")
    >>> two = make_criteria(xmm, time=("2004-01-01", "2010-01-01"))
    >>> one & two == two & one == read_criteria(xmm, (one & two).to_plain())
    True
    """

    near: tuple[Near, ...] = ()
    windows: tuple[Window, ...] = ()
    obs_ids: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    resolved: tuple[tuple[str, float, float], ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of all targets."""
        return tuple(sorted({name for near in self.near for name in near.targets}))

    def __and__(self, other: Criteria) -> Criteria:
        return Criteria(
            near=_in_order({*self.near, *other.near}),
            windows=_in_order({*self.windows, *other.windows}),
            obs_ids=_common(self.obs_ids, other.obs_ids, "ObsIDs"),
            instruments=_common(self.instruments, other.instruments, "instruments"),
            resolved=_join_resolved(self.resolved, other.resolved),
        )

    def resolve(self, resolver: Callable[[str], tuple[float, float]]) -> Criteria:
        """The same criteria with the position of every target.

        Parameters
        ----------
        resolver
            Gives (ra, dec) in degrees for a name; asked only for names not yet resolved.
        """
        known = {name for name, _, _ in self.resolved}
        found = tuple((name, *resolver(name)) for name in self.targets if name not in known)
        return replace(self, resolved=_join_resolved(self.resolved, found))

    def positions_of(self, near: Near) -> tuple[tuple[float, float], ...]:
        """All places of one of its conditions, in degrees; its targets must be resolved."""
        known = {name: (ra, dec) for name, ra, dec in self.resolved}
        return (*near.positions, *(known[name] for name in near.targets))

    def to_plain(self) -> dict[str, object]:
        """The criteria as lists, tables, texts and floats, in the form that users write in TOML.

        Examples
        --------
        >>> from daxa.missions import find_mission
        >>> make_criteria(find_mission("xmm"), position=(149.59, -11.06), radius="15 arcmin").to_plain()
        {'position': [[149.59, -11.06]], 'radius': '15 arcmin'}
        """
        plain: dict[str, object] = {}
        for condition in (*self.near[:1], *self.windows[:1]):
            plain |= condition.to_plain()
        if self.obs_ids:
            plain["obs_ids"] = list(self.obs_ids)
        if self.instruments:
            plain["instruments"] = list(self.instruments)
        if self.resolved:
            plain["resolved"] = {name: [ra, dec] for name, ra, dec in self.resolved}
        if further := [condition.to_plain() for condition in (*self.near[1:], *self.windows[1:])]:
            plain["also"] = further
        return plain

    @property
    def text(self) -> str:
        """One JSON text for equal criteria."""
        return canonical(self.to_plain())


def make_criteria(
    spec: MissionSpec,
    *,
    position: object = None,
    target: object = None,
    radius: object = None,
    time: object = None,
    obs_ids: object = None,
    instruments: object = None,
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
    time
        (start, end); an observation must overlap it.
    obs_ids
        ObsID, or ObsIDs, as texts.
    instruments
        Name or names, aliases allowed.

    Raises
    ------
    CriteriaError
        A value cannot be used; the message names it.
    """
    near: tuple[Near, ...] = ()
    if position is not None or target is not None:
        near = (
            Near(
                () if position is None else read_positions(position),
                () if target is None else read_names(target),
                None if radius is None else read_radius(radius),
            ),
        )
    elif radius is not None:
        raise CriteriaError("radius", "a radius needs a centre", remedy="give a position or a target too")
    return Criteria(
        near=near,
        windows=() if time is None else (Window(*read_window(time)),),
        obs_ids=() if obs_ids is None else _read_obs_ids(spec, obs_ids),
        instruments=() if instruments is None else _read_instruments(spec, instruments),
    )


def read_criteria(spec: MissionSpec, plain: Mapping[str, object]) -> Criteria:
    """Read what `Criteria.to_plain` gave, or what a user wrote in that form.

    Raises
    ------
    CriteriaError
        An unknown key, or a value that cannot be used.
    """
    _check_keys(plain, _KEYS)
    criteria = make_criteria(
        spec, **{key: plain[key] for key in (*_CLAUSE_KEYS, "obs_ids", "instruments") if key in plain}
    )
    further = plain.get("also", [])
    if not isinstance(further, list):
        raise CriteriaError("criterion", "'also' is no list of tables", remedy="write [[...also]] tables")
    for clause in further:
        _check_keys(clause, _CLAUSE_KEYS)
        criteria &= make_criteria(spec, **clause)
    return replace(criteria, resolved=_read_resolved(plain.get("resolved", {}), criteria.targets))


def _check_keys(plain: object, allowed: tuple[str, ...]) -> None:
    if not isinstance(plain, Mapping):
        raise CriteriaError("criterion", f"{str(plain)[:100]!r} is no table of criteria", remedy="write a TOML table")
    for key in plain:
        if key not in allowed:
            raise CriteriaError(
                "criterion", f"there is no criterion {str(key)[:100]!r}", remedy=f"use {', '.join(allowed)}"
            )


def _read_obs_ids(spec: MissionSpec, value: object) -> tuple[str, ...]:
    listed = _as_list(value)
    if not listed:
        raise CriteriaError("obs-id", "the list of ObsIDs is empty", remedy="give at least one ObsID")
    return tuple(sorted({spec.check_obs_id(item) for item in listed}))  # type: ignore[arg-type]


def _read_instruments(spec: MissionSpec, value: object) -> tuple[str, ...]:
    listed = _as_list(value)
    if not listed or not all(isinstance(item, str) for item in listed):
        raise CriteriaError(
            "instrument",
            f"{str(value)[:100]!r} names no instrument",
            remedy=f"choose from {', '.join(instrument.name for instrument in spec.instruments)}",
        )
    chosen = {spec.find_instrument(item).name for item in listed}  # type: ignore[arg-type]
    return tuple(instrument.name for instrument in spec.instruments if instrument.name in chosen)


def _as_list(value: object) -> list[object]:
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else [value]


def _read_resolved(value: object, targets: tuple[str, ...]) -> tuple[tuple[str, float, float], ...]:
    if not isinstance(value, Mapping):
        raise CriteriaError("target", "'resolved' is no table", remedy="write name = [ra, dec], or leave it out")
    found = []
    for name, position in value.items():
        if name not in targets:
            raise CriteriaError(
                "target", f"{str(name)[:100]!r} is resolved but no target", remedy="remove it from 'resolved'"
            )
        if len(places := read_positions(position)) != 1:
            raise CriteriaError("target", f"{name!r} has several positions", remedy="give one [ra, dec]")
        found.append((name, *places[0]))
    return _join_resolved(tuple(found), ())


def _join_resolved(
    one: tuple[tuple[str, float, float], ...], two: tuple[tuple[str, float, float], ...]
) -> tuple[tuple[str, float, float], ...]:
    joined = sorted({*one, *two})
    for before, after in pairwise(joined):
        if before[0] == after[0]:
            raise CriteriaError(
                "target", f"{before[0]!r} has two positions", remedy="remove one of them from 'resolved'"
            )
    return tuple(joined)


def _in_order(conditions: set) -> tuple:
    return tuple(sorted(conditions, key=lambda condition: canonical(condition.to_plain())))


def _common(one: tuple[str, ...], two: tuple[str, ...], what: str) -> tuple[str, ...]:
    if not one or not two:
        return one or two
    common = tuple(name for name in one if name in set(two))
    if not common:
        raise CriteriaError(
            "empty", f"the filters name {what} that exclude each other", remedy=f"give all {what} in one filter"
        )
    return common
