"""What a user requests, as a value that can be stored and replayed.

A `Criteria` is a conjunction, whose parts may be alternatives and negations; ``&``, ``|``
and ``~`` combine them.  Adding filters in any order gives equal values, and
`Criteria.to_plain` gives what TOML and JSON can hold; `read_criteria` reads it
back to an equal value (both in `daxa.query.criteria.parsing`).

What is chosen are data: observations, each with some of its instruments.  A condition
says of every instrument of every observation whether it holds, and ``~`` the opposite.
Where no criterion names instruments, those that the mission chooses by default are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from operator import and_, or_
from typing import TypeVar

from daxa.errors import CriteriaError
from daxa.query.criteria.conditions import Condition, TimeWindow
from daxa.query.criteria.sky_conditions import NearPositions
from daxa.run.task import canonical

__all__ = ["Criteria", "in_order", "join_resolved"]

AnyCondition = TypeVar("AnyCondition", bound=Condition)


@dataclass(frozen=True)
class Criteria:
    """A conjunction of conditions on observations; make one with `daxa.query.make_criteria`.

    Parameters
    ----------
    near
        Every one must hold.
    windows
        The observation overlaps every one (or lies inside).
    obs_ids
        Only these; () for any.
    instruments
        Only data of these, in the mission's order; () for the mission's default.
    resolved
        (name, ra, dec) of targets whose position is known, so that a replay queries no service.
    others
        Further conditions (`daxa.query.criteria.conditions`, `daxa.query.criteria.sample`), every one must hold.
    any_of
        Groups of alternatives; of every group, one must hold.
    none_of
        None of these may hold.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> from daxa.query import make_criteria, read_criteria
    >>> xmm = find_mission("xmm")
    >>> one = make_criteria(xmm, target="Abell 907", radius="15 arcmin")
    >>> two = make_criteria(xmm, time=("2004-01-01", "2010-01-01"))
    >>> one & two == two & one == read_criteria(xmm, (one & two).to_plain())
    True
    >>> ~(one | two) == ~one & ~two, ~~one == one
    (True, True)
    """

    near: tuple[NearPositions, ...] = ()
    windows: tuple[TimeWindow, ...] = ()
    obs_ids: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    resolved: tuple[tuple[str, float, float], ...] = ()
    others: tuple[Condition, ...] = ()
    any_of: tuple[tuple[Criteria, ...], ...] = ()
    none_of: tuple[Criteria, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of all targets."""
        return tuple(sorted({name for part in self.parts() for near in part.near for name in near.targets}))

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The single conditions, without those that are nested."""
        return (*self.near, *self.windows, *self.others)

    def parts(self) -> Iterator[Criteria]:
        """These criteria and all that are nested in them."""
        yield self
        for nested in (*(branch for group in self.any_of for branch in group), *self.none_of):
            yield from nested.parts()

    def __and__(self, other: Criteria) -> Criteria:
        return Criteria(
            near=in_order({*self.near, *other.near}),
            windows=in_order({*self.windows, *other.windows}),
            obs_ids=_common(self.obs_ids, other.obs_ids, "ObsIDs"),
            instruments=_common(self.instruments, other.instruments, "instruments"),
            resolved=join_resolved(self.resolved, other.resolved),
            others=in_order({*self.others, *other.others}),
            any_of=tuple(sorted({*self.any_of, *other.any_of}, key=lambda group: [branch.summary for branch in group])),
            none_of=_ordered({*self.none_of, *other.none_of}),
        )

    def __or__(self, other: Criteria) -> Criteria:
        branches = _ordered({*_branches(self), *_branches(other)})
        either = branches[0] if len(branches) == 1 else Criteria(any_of=(branches,))
        return replace(either, resolved=join_resolved(self.resolved, other.resolved))

    def __invert__(self) -> Criteria:
        opposites = [_opposite(condition) for condition in _single(self)]
        # Nothing is requested: everything meets it, and nothing meets its opposite.
        either = reduce(or_, opposites) if opposites else Criteria(none_of=(Criteria(),))
        return replace(either, resolved=self.resolved)

    def resolve(self, resolver: Callable[[str], tuple[float, float]]) -> Criteria:
        """The same criteria with the position of every target.

        Parameters
        ----------
        resolver
            Gives (ra, dec) in degrees for a name; called only for names not yet resolved.
        """
        known = {name for name, _, _ in self.resolved}
        found = tuple((name, *resolver(name)) for name in self.targets if name not in known)
        return replace(self, resolved=join_resolved(self.resolved, found))

    def positions_of(self, near: NearPositions) -> tuple[tuple[float, float], ...]:
        """All places of one of its conditions, in degrees; its targets must be resolved."""
        known = {name: (ra, dec) for name, ra, dec in self.resolved}
        return (*near.positions, *(known[name] for name in near.targets))

    def to_plain(self) -> dict[str, object]:
        """The criteria as lists, tables, texts and floats, in the form that users write in TOML.

        Examples
        --------
        >>> from daxa.missions import find_mission
        >>> from daxa.query import make_criteria
        >>> make_criteria(find_mission("xmm"), position=(149.59, -11.06), radius="15 arcmin").to_plain()
        {'position': [[149.59, -11.06]], 'radius': '15 arcmin'}
        """
        return _plain(self, lambda condition: condition.to_plain())

    @property
    def text(self) -> str:
        """One JSON text for equal criteria."""
        return canonical(self.to_plain())

    @property
    def summary(self) -> str:
        """Like `text`, with large samples abbreviated to their digest."""
        return canonical(_plain(self, _identity))


def _single(criteria: Criteria) -> Iterator[Criteria]:
    """The parts of a conjunction, each as separate criteria."""
    for near in criteria.near:
        yield Criteria(near=(near,))
    for window in criteria.windows:
        yield Criteria(windows=(window,))
    for condition in criteria.others:
        yield Criteria(others=(condition,))
    if criteria.obs_ids:
        yield Criteria(obs_ids=criteria.obs_ids)
    if criteria.instruments:
        yield Criteria(instruments=criteria.instruments)
    for group in criteria.any_of:
        yield Criteria(any_of=(group,))
    for nested in criteria.none_of:
        yield Criteria(none_of=(nested,))


def _opposite(single: Criteria) -> Criteria:
    """Push negations down to single conditions, so that equal criteria have one form."""
    if single.none_of:
        return single.none_of[0]
    if single.any_of:
        return reduce(and_, (~branch for branch in single.any_of[0]))
    return Criteria(none_of=(single,))


def _branches(criteria: Criteria) -> tuple[Criteria, ...]:
    bare = replace(criteria, resolved=())
    alternatives = len(bare.any_of) == 1 and bare == Criteria(any_of=bare.any_of)
    return bare.any_of[0] if alternatives else (bare,)


def _plain(criteria: Criteria, write: Callable[[Condition], dict[str, object]]) -> dict[str, object]:
    plain: dict[str, object] = {}
    further: list[dict[str, object]] = []
    for condition in criteria.conditions:
        clause = write(condition)
        if plain.keys().isdisjoint(clause) and not (
            isinstance(condition, NearPositions) and condition != criteria.near[0]
        ):
            plain |= clause
        else:
            further.append(clause)
    groups = [[_plain(branch, write) for branch in group] for group in criteria.any_of]
    if criteria.obs_ids:
        plain["obs_ids"] = list(criteria.obs_ids)
    if criteria.instruments:
        plain["instruments"] = list(criteria.instruments)
    if groups:
        plain["any_of"] = groups[0]
    if criteria.none_of:
        plain["none_of"] = [_plain(nested, write) for nested in criteria.none_of]
    if criteria.resolved:
        plain["resolved"] = {name: [ra, dec] for name, ra, dec in criteria.resolved}
    if further or groups[1:]:
        plain["also"] = [*further, *({"any_of": group} for group in groups[1:])]
    return plain


def _identity(condition: Condition) -> dict[str, object]:
    plain: dict[str, object] = (condition.identity if hasattr(condition, "identity") else condition.to_plain)()
    return plain


def _ordered(criteria: Iterable[Criteria]) -> tuple[Criteria, ...]:
    return tuple(sorted(criteria, key=lambda nested: nested.summary))


def join_resolved(
    one: tuple[tuple[str, float, float], ...], two: tuple[tuple[str, float, float], ...]
) -> tuple[tuple[str, float, float], ...]:
    """All known positions (name, ra, dec); one name cannot have two."""
    joined = sorted({*one, *two})
    for before, after in pairwise(joined):
        if before[0] == after[0]:
            raise CriteriaError(
                "target", f"{before[0]!r} has two positions", remedy="remove one of them from 'resolved'"
            )
    return tuple(joined)


def in_order(conditions: set[AnyCondition]) -> tuple[AnyCondition, ...]:
    """Conditions in the order of canonical criteria."""
    return tuple(sorted(conditions, key=lambda condition: canonical(_identity(condition))))


def _common(one: tuple[str, ...], two: tuple[str, ...], what: str) -> tuple[str, ...]:
    if not one or not two:
        return one or two
    common = tuple(name for name in one if name in set(two))
    if not common:
        raise CriteriaError(
            "empty", f"the filters name mutually exclusive {what}", remedy=f"give all {what} in one filter"
        )
    return common
