"""Query one, several or all missions at once."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Unpack

from daxa.errors import CriteriaError, ServiceError
from daxa.query.criteria.criteria import Criteria
from daxa.query.criteria.keywords import Conditions
from daxa.query.mission import Mission
from daxa.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SearchResult", "join_failures", "query_missions", "search", "searchable"]

_AT_ONCE = 4
_SHOWN_ROWS = 20


@dataclass(frozen=True)
class SearchResult:
    """The results of several missions.

    Parameters
    ----------
    table
        The observations, or the pairs, with the column ``mission`` before the others.
    failures
        Mission to the reason why it has no rows: nothing meets the criteria, or its service failed.
    notes
        Mission to remarks on its observation table.
    approximate
        Mission to the number of rows decided by a circle in place of the true field of view.
    """

    table: pd.DataFrame
    failures: Mapping[str, CriteriaError | ServiceError]
    notes: Mapping[str, str]
    approximate: Mapping[str, int]

    def _repr_html_(self) -> str:
        from daxa.selection.headings import for_people

        said = [f"{name}: {error.message}" for name, error in self.failures.items()]
        said += [f"{name}: {note}" for name, note in self.notes.items()]
        lines = "".join(f"<li>{html.escape(text)}</li>" for text in said)
        shown = for_people(self.table.head(_SHOWN_ROWS)).to_html(index=False, escape=True)
        return f"<p><b>{len(self.table)} rows</b></p>{shown}<ul>{lines}</ul>"


def searchable() -> list[str]:
    """Missions whose observations can be listed, without those that see nearly everything."""
    from daxa.missions import find_mission, mission_names

    specs = [find_mission(name) for name in mission_names()]
    return [spec.name for spec in specs if spec.listed and spec.default_instruments]


def search(
    missions: str | Mission | Sequence[str | Mission] | None = None,
    criteria: Criteria | None = None,
    *,
    pairs: bool = False,
    settings: Settings | None = None,
    refresh: bool = False,
    max_age: timedelta | None = None,
    offline: bool = False,
    **conditions: Unpack[Conditions],
) -> SearchResult:
    """Search the observation tables of one, several or all missions, several at a time.

    Parameters
    ----------
    missions
        One or several, by name or as `Mission` whose own conditions hold too; by default all that can be listed.
    criteria
        Of other missions, combined with ``&``, ``|`` and ``~``.
    pairs
        One row per target and observation.
    settings
        Addresses of services; the user's own by default.
    refresh, max_age, offline
        As for `daxa.Mission`.
    **conditions
        As for `daxa.Mission.filter`.

    Returns
    -------
    SearchResult
        Missions without an answer are named in it.

    Raises
    ------
    CriteriaError
        A condition cannot be used, or nothing was found at all.
    ServiceError
        No mission's observations could be listed.
    """
    names: Sequence[str | Mission]
    if missions is None:
        names = searchable()
    elif isinstance(missions, str | Mission):
        names = [missions]
    else:
        names = missions
    requested: list[Mission] = []
    refused: dict[str, CriteriaError | ServiceError] = {}
    for name in names:
        mission = name
        if not isinstance(mission, Mission):
            mission = Mission(mission, settings, refresh=refresh, max_age=max_age, offline=offline)
        try:
            requested.append(mission.filter(criteria, **conditions))
        except CriteriaError as error:
            # A table that cannot answer concerns the mission that was named; of all missions, the others can.
            if missions is not None or error.name != "no-column":
                raise
            refused[mission.name] = error
    found = query_missions(requested, pairs=pairs)
    if not len(found.table):
        raise join_failures(found.failures)
    return replace(found, failures={**refused, **found.failures})


def query_missions(
    missions: Sequence[Mission], *, pairs: bool = False, observe: Callable[[str], None] = lambda name: None
) -> SearchResult:
    """Query each of these missions, and combine the results.

    Parameters
    ----------
    missions
        With criteria; at least one.
    pairs
        One row per target and observation.
    observe
        Called with the name of each mission that has answered, from the calling thread.

    Raises
    ------
    CriteriaError
        The criteria cannot be used; that nothing meets them is a failure in the answer instead.
    """
    from concurrent.futures import ThreadPoolExecutor, as_completed

    import pandas as pd

    if not missions:
        raise CriteriaError("no-mission", "no mission was chosen", remedy="name one, for instance xmm")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting = {pool.submit(_answer, mission, pairs=pairs): mission.name for mission in missions}
        try:
            for answered in as_completed(waiting):
                answered.result()
                observe(waiting[answered])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        answers = {name: future.result() for future, name in waiting.items()}
    tables = {name: answer for name, answer in answers.items() if isinstance(answer, pd.DataFrame)}
    several = [table.assign(mission=name) for name, table in tables.items()]
    whole = pd.concat(several, ignore_index=True) if several else pd.DataFrame({"mission": []})
    by_name = {mission.name: mission for mission in missions}
    return SearchResult(
        whole[["mission", *(name for name in whole.columns if name != "mission")]],
        {name: answer for name, answer in answers.items() if not isinstance(answer, pd.DataFrame)},
        {name: note for name in tables if (note := by_name[name].note)},
        {name: count for name, table in tables.items() if (count := _approximate(by_name[name], table, pairs=pairs))},
    )


def join_failures(failures: Mapping[str, CriteriaError | ServiceError]) -> CriteriaError | ServiceError:
    """One error that names every mission concerned.

    A service that failed counts before tables in which nothing was found, since it might have
    found something.

    Parameters
    ----------
    failures
        Of `SearchResult`; at least one.

    Examples
    --------
    >>> nothing = CriteriaError("empty", "no observation of Swift meets the criteria", remedy="loosen the condition")
    >>> failed = [ServiceError("unreachable", "it is down", remedy="try later") for _ in range(2)]
    >>> join_failures({"swift": nothing, "xmm": failed[0], "nustar": failed[1]}).message.splitlines()
    ['2 missions could not be searched:', '  xmm: it is down', '  nustar: it is down']
    """
    reported = {name: error for name, error in failures.items() if isinstance(error, ServiceError)} or failures
    first = next(iter(reported.values()))
    if len(failures) == 1:
        return first
    remedies = list(dict.fromkeys(error.remedy for error in reported.values()))
    if isinstance(first, ServiceError):
        story = "".join(f"\n  {name}: {error.message}" for name, error in reported.items())
        counted = "1 mission" if len(reported) == 1 else f"{len(reported)} missions"
        return ServiceError(first.name, f"{counted} could not be searched:{story}", remedy=remedies[0])
    story = "; ".join(error.message for error in reported.values())
    remedy = remedies[0] if len(remedies) == 1 else "loosen the conditions that exclude everything"
    return CriteriaError(first.name, f"nothing was found in {len(reported)} missions: {story}", remedy=remedy)


def _answer(mission: Mission, *, pairs: bool) -> pd.DataFrame | CriteriaError | ServiceError:
    """The rows, or why there are none: other missions may have some."""
    try:
        return mission.pairs if pairs else mission.observations
    except ServiceError as error:
        return error
    except CriteriaError as error:
        if error.name != "empty":
            raise
        return error


def _approximate(mission: Mission, table: pd.DataFrame, *, pairs: bool) -> int:
    if pairs:
        return int(table["approximate"].sum()) if "approximate" in table.columns else 0
    return mission.select().approximate
