"""Choose observations of a mission."""

from __future__ import annotations

import html
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Unpack

from daxa.errors import CriteriaError
from daxa.missions import MissionSpec, find_mission
from daxa.query.criteria.criteria import Criteria
from daxa.query.criteria.keywords import Conditions, parameters_text
from daxa.query.criteria.parsing import make_criteria, read_criteria
from daxa.settings import Settings, load_settings

if TYPE_CHECKING:
    from datetime import timedelta

    import pandas as pd

    from daxa.query.tables.snapshot import Freshness, QueryOrigin, Snapshot

__all__ = ["Mission", "Selection"]

_SHOWN_ROWS = 10


@dataclass(frozen=True)
class Selection:
    """The observations that meet the criteria, and where they came from.

    Parameters
    ----------
    spec
        The mission's declaration.
    table
        The schema's columns (`daxa.selection.COLUMNS`), sorted by ObsID.
    row_ids
        ObsID to the service's own identifier of the row, which DataLink needs.
    criteria
        What was requested, with the positions of its targets.
    origin
        Service, query and time.
    approximate
        Number of observations that a circle around the field of view decided, since its true
        shape is not known.
    """

    spec: MissionSpec
    table: pd.DataFrame
    row_ids: Mapping[str, str]
    criteria: Criteria
    origin: QueryOrigin
    approximate: int = 0


def _check_snapshot(spec: MissionSpec, snapshot: Snapshot, *, demand: bool) -> None:
    if snapshot.mission not in ("", spec.name):
        raise CriteriaError(
            "snapshot",
            f"the snapshot is of {snapshot.mission}, not of {spec.title}",
            remedy=f"give one of {spec.name}",
        )
    if demand:
        raise CriteriaError(
            "snapshot",
            "a given snapshot is used as it is",
            remedy="leave out one of snapshot, refresh and max_age",
        )


class _Source:
    """The snapshot that a mission and all missions filtered from it share, taken once."""

    def __init__(
        self, spec: MissionSpec, settings: Settings | None, snapshot: Snapshot | None, **freshness: Unpack[Freshness]
    ) -> None:
        self._spec = spec
        self._settings = settings
        self._snapshot = snapshot
        self._freshness = freshness  # refresh, max_age, offline of `take_snapshot`
        self._positions: dict[str, tuple[float, float]] = {}
        self._lock = threading.RLock()

    def settings(self) -> Settings:
        with self._lock:
            if self._settings is None:
                self._settings = load_settings()
            return self._settings

    def snapshot(self) -> Snapshot:
        from daxa.query.tables.snapshot import take_snapshot

        with self._lock:
            if self._snapshot is None:
                self._snapshot = take_snapshot(self._spec, self.settings(), **self._freshness)
            return self._snapshot

    @property
    def note(self) -> str:
        with self._lock:
            return "" if self._snapshot is None else self._snapshot.note

    def resolve(self, criteria: Criteria) -> Criteria:
        from daxa.query.tables.name_resolution import resolve_names

        with self._lock:
            known = {*self._positions, *(name for name, _, _ in criteria.resolved)}
            if unknown := [name for name in criteria.targets if name not in known]:
                self._positions |= resolve_names(unknown, self.settings())
            return criteria.resolve(self._positions.__getitem__)


class Mission:
    """A mission with conditions on its observations; immutable, so filters give new ones.

    No service is queried until the observations are needed; then the whole
    observation table is fetched once, and shared by all missions filtered from this one.

    Parameters
    ----------
    name
        Short name or alias, such as ``xmm``.
    settings
        Addresses of services; the user's own by default.
    criteria
        `Criteria`, or their plain form as stored with a selection.
    snapshot
        An observation table to use instead of querying a service.
    refresh, max_age, offline
        How old the observation table may be; see `daxa.query.tables.snapshot.take_snapshot`.

    Raises
    ------
    CriteriaError
        There is no such mission, the criteria cannot be used, or a snapshot is of another mission or
        given together with a limit on its age.

    Examples
    --------
    >>> near = Mission("xmm").filter(position="149.59,-11.06", radius="15 arcmin")
    >>> near.filter(time=("2004-01-01", "2010-01-01"))
    Mission('xmm', {"position":[[149.59,-11.06]],"radius":"15 arcmin","time":["2004-01-01","2010-01-01"]})
    """

    def __init__(
        self,
        name: str,
        settings: Settings | None = None,
        *,
        criteria: Criteria | Mapping[str, object] | None = None,
        snapshot: Snapshot | None = None,
        refresh: bool = False,
        max_age: timedelta | None = None,
        offline: bool = False,
    ) -> None:
        self._spec = find_mission(name)
        if snapshot is not None:
            _check_snapshot(self._spec, snapshot, demand=refresh or max_age is not None)
        self._criteria = criteria if isinstance(criteria, Criteria) else read_criteria(self._spec, criteria or {})
        self._source = _Source(self._spec, settings, snapshot, refresh=refresh, max_age=max_age, offline=offline)
        self._selection: Selection | None = None

    @property
    def name(self) -> str:
        """Short name of the mission."""
        return self._spec.name

    @property
    def spec(self) -> MissionSpec:
        """The mission's declaration."""
        return self._spec

    @property
    def criteria(self) -> Criteria:
        """What is requested."""
        return self._criteria

    @property
    def snapshot(self) -> Snapshot:
        """The observation table in use, with its origin; taken when it is first needed.

        Raises
        ------
        ServiceError
            A service cannot be reached, or its answer cannot be used.
        """
        return self._source.snapshot()

    @property
    def note(self) -> str:
        """Remarks on the table in use: that it is old, or not of the usual service; '' for nothing.

        Empty as long as no table was needed: it never queries a service.
        """
        return self._source.note

    def filter(self, criteria: Criteria | None = None, **conditions: Unpack[Conditions]) -> Mission:
        """The mission with further conditions; all conditions of all filters must hold.

        Parameters
        ----------
        criteria
            Those of other `Mission` objects, combined with ``&``, ``|`` and ``~``.
        **conditions
        {conditions}

        Returns
        -------
        Mission
            Another one, which shares the observation table of this one.

        Raises
        ------
        CriteriaError
            A value cannot be used.

        Examples
        --------
        >>> xmm = Mission("xmm")
        >>> old, deep = xmm.filter(time=(None, "2005-01-01")), xmm.filter(min_exposure="100 ks")
        >>> xmm.filter(~old.criteria | deep.criteria)
        Mission('xmm', {"any_of":[{"min_exposure":"100000 s"},{"none_of":[{"time":["","2005-01-01"]}]}]})
        """
        further = make_criteria(self._spec, **conditions)
        narrowed = object.__new__(Mission)
        narrowed._spec, narrowed._source, narrowed._selection = self._spec, self._source, None
        narrowed._criteria = self._criteria & further & (criteria or Criteria())
        return narrowed

    @property
    def observations(self) -> pd.DataFrame:
        """The observations that meet the criteria, one row each; times are MJD UTC, angles degrees."""
        return self.select().table.copy()

    @property
    def pairs(self) -> pd.DataFrame:
        """Every target with every chosen observation of it: off-axis angle in arcmin, exposure in seconds.

        Raises
        ------
        CriteriaError
            As `select`, and when the criteria name no target.
        """
        from daxa.query.matching.match import match
        from daxa.query.matching.pairs import list_pairs

        criteria, snapshot = self._source.resolve(self._criteria), self._source.snapshot()
        return list_pairs(match(self._spec, snapshot.table, criteria, at=snapshot.mjd))

    def select(self) -> Selection:
        """Select, querying the services where that has not happened yet.

        Returns
        -------
        Selection
            The observations, and where they came from.

        Raises
        ------
        CriteriaError
            Nothing meets the criteria, a name or an ObsID is unknown.
        ServiceError
            A service cannot be reached, or its answer cannot be used.
        """
        if self._selection is None:
            self._selection = self._choose()
        return self._selection

    def _choose(self) -> Selection:
        from daxa.query.matching.match import match
        from daxa.selection.schema import arrange, choose_exposures

        criteria = self._source.resolve(self._criteria)
        snapshot = self._source.snapshot()
        found = match(self._spec, snapshot.table, criteria, at=snapshot.mjd)
        kept = snapshot.table[found.keep]
        exposures = map(choose_exposures, kept["exposures"], kept["instruments"], found.instruments)
        kept = kept.assign(exposures=list(exposures), instruments=list(found.instruments))
        return Selection(
            self._spec,
            arrange(kept),
            dict(zip(kept["obs_id"], kept["row_id"], strict=True)),
            criteria,
            replace(snapshot.origin, left_out={**snapshot.origin.left_out, **found.left_out}),
            found.approximate,
        )

    def __repr__(self) -> str:
        return f"Mission({self.name!r}, {self._criteria.summary})"

    def _repr_html_(self) -> str:
        """For notebooks: never queries a service, shows the observations once they are known."""
        head = f"<p><b>{html.escape(self._spec.title)}</b> <code>{html.escape(self._criteria.summary)}</code></p>"
        if self._selection is None:
            return f"{head}<p>Not queried yet: use <code>.observations</code>.</p>"
        from daxa.selection.headings import for_people

        table = self._selection.table
        shown = for_people(table.head(_SHOWN_ROWS))
        return f"{head}{shown.to_html(index=False, escape=True)}<p>{len(table)} observations</p>"


if Mission.filter.__doc__:  # there is none under python -OO
    Mission.filter.__doc__ = Mission.filter.__doc__.replace("{conditions}", parameters_text(" " * 12))
