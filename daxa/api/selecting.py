"""Change what an archive contains: add and drop observations and missions, and accept files that were replaced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daxa.api.opened import Opened
from daxa.archive import stage_records
from daxa.archive.config import ArchiveConfig
from daxa.archive.gate import enter_archive
from daxa.archive.named_choices import named_missions, named_obs_ids
from daxa.errors import CriteriaError
from daxa.naming import several
from daxa.records import Outcome

if TYPE_CHECKING:
    from datetime import timedelta

    from daxa.api.opened import Names, ObsIds
    from daxa.archive.choose import SelectionPlan
    from daxa.archive.drop import MissionDrop
    from daxa.query.mission import Mission
    from daxa.stages.redelivery import Redelivery

__all__ = ["Selecting", "with_conditions"]


@dataclass(frozen=True)
class Selecting(Opened):
    """Methods of `daxa.Archive`."""

    def select(
        self,
        missions: Mission | str | Sequence[Mission | str] | None = None,
        *,
        also: bool = False,
        refresh: bool = False,
        max_age: timedelta | None = None,
        offline: bool = False,
    ) -> SelectionPlan:
        """Compare what criteria select with what is selected; see `daxa.archive.choose.plan_selection`.

        Nothing is written until the plan is accepted: ``archive.accept(plan)``.

        Parameters
        ----------
        missions
            With the conditions that replace the current ones; the name of a mission means its current
            criteria.  By default all missions with their current criteria.
        also
            Add the conditions to the current ones instead of replacing them.
        refresh, max_age, offline
            How old the observation tables may be, for missions that are given by name or not at all.

        Returns
        -------
        SelectionPlan
            What would be added, removed and changed.

        Raises
        ------
        CriteriaError
            A condition cannot be used, or nothing meets the criteria.
        ServiceError
            A service cannot be reached, or its answer cannot be used.
        ArchiveError
            The archive is in use, or a mission is to be added to a pipeline that daxa did not write.
        """
        from daxa.archive.choose import plan_selection

        enter_archive(self.layout)
        asked = None
        if missions is not None:
            asked = [one if isinstance(one, str) else with_conditions(one) for one in several(missions)]
        return plan_selection(self.layout, asked, also=also, refresh=refresh, max_age=max_age, offline=offline)

    def add(self, missions: Mission | Sequence[Mission], **freshness: Any) -> SelectionPlan:
        """As `select` with ``also=True``: add observations to those that are there.

        Parameters
        ----------
        missions
            One or several, with conditions; a mission that the archive does not have yet is added to it.
        **freshness
            As for `select`.

        Returns
        -------
        SelectionPlan
            Nothing is written until it is accepted: ``archive.accept(plan)``.
        """
        return self.select(missions, also=True, **freshness)

    def drop(self, missions: Names, obs_ids: ObsIds = None) -> SelectionPlan | MissionDrop:
        """Plan to remove some observations, or whole missions, from the archive.

        Nothing is written until the plan is accepted: ``archive.accept(plan)``.  No service is queried.

        Parameters
        ----------
        missions
            Which.
        obs_ids
            The observations to remove; if there are none, whole missions are removed.

        Returns
        -------
        SelectionPlan or MissionDrop
            What would be removed.

        Raises
        ------
        CriteriaError
            No mission is named, or one is not in the archive.
        """
        from daxa.archive.drop import plan_drop, plan_mission_drop

        enter_archive(self.layout)
        names = named_missions(self.config, missions)
        if not names:
            raise CriteriaError("no-mission", "no mission is named", remedy="name the mission to drop from")
        gone = named_obs_ids(self.layout, names, obs_ids)
        if not gone:
            return plan_mission_drop(self.layout, names)
        own = {name: {*gone}.intersection(stage_records.selected_ids(self.layout, name)) for name in names}
        return plan_drop(self.layout, {name: ids for name, ids in own.items() if ids})

    def update(self, missions: Names = None, *, observe: Callable[[str], None] = lambda name: None) -> SelectionPlan:
        """Compare what the archive's criteria select on fresh observation tables with what is selected.

        Parameters
        ----------
        missions
            Only these; all of them by default.
        observe
            Called with the name of each mission that has answered.

        Returns
        -------
        SelectionPlan
            What would be added, removed and changed; ``archive.accept(plan)`` writes it.

        Raises
        ------
        CriteriaError
            No service may be queried, or nothing meets the criteria.
        ServiceError
            A service does not answer.
        """
        from daxa.archive.choose import plan_selection

        enter_archive(self.layout)
        config = self.config
        _refuse_offline(config)
        return plan_selection(self.layout, named_missions(config, missions) or None, refresh=True, observe=observe)

    def redelivered(
        self, missions: Names = None, *, observe: Callable[[Outcome, int, int], None] = lambda one, ended, total: None
    ) -> Redelivery:
        """Which fetched files the missions' archives have replaced since; see `daxa.stages.redelivery`.

        ``archive.accept(found)`` fetches them again, and `run` then processes them; ``archive.refuse(found)``
        keeps the old files for good.

        Parameters
        ----------
        missions
            Only these; all of them by default.
        observe
            Called with each observation that was compared, the number compared so far, and their total.

        Returns
        -------
        Redelivery
            Files by observation; nothing is written.

        Raises
        ------
        CriteriaError
            A mission is not in the archive.
        ServiceError, StorageError
            No server can be reached, or the disk cannot be written.
        """
        from daxa.stages.redelivery import find_redelivered

        enter_archive(self.layout)
        _refuse_offline(self.config)
        return find_redelivered(self.layout, self.config, missions, observe=observe)

    def refuse(self, found: Redelivery) -> str:
        """Keep the old files in place of those that `redelivered` found.

        Parameters
        ----------
        found
            As `redelivered` gives it.

        Returns
        -------
        str
            Digest of the commit.

        Raises
        ------
        ArchiveError
            A stage runs, or files of the archive have uncommitted changes.
        """
        enter_archive(self.layout)
        return found.refuse()

    def accept(self, plan: SelectionPlan | MissionDrop | Redelivery) -> str:
        """Write and commit what `select`, `add`, `drop` or `update` found; fetch again what `redelivered` found.

        Parameters
        ----------
        plan
            As they give it.

        Returns
        -------
        str
            Digest of the commit; '' when nothing changes, and for what is fetched again.

        Raises
        ------
        ArchiveError
            A stage runs, or the files have uncommitted changes or were changed since the plan was made.
        """
        from daxa.stages.redelivery import Redelivery

        enter_archive(self.layout)
        if isinstance(plan, Redelivery):
            plan.accept()
            return ""
        return plan.apply()

    def add_steps(self, *names: str) -> str:
        """Add steps of installed plug-ins and commit that; see `daxa.archive.extend.add_steps`.

        Parameters
        ----------
        *names
            The steps.

        Returns
        -------
        str
            Digest of the commit.

        Raises
        ------
        CriteriaError
            No step is named, or the archive has it already.
        ConfigError
            There is no such step, it needs one that the archive does not have, or nothing can carry it out.
        ArchiveError
            A file that changes has uncommitted changes, or something is at work in the archive.
        """
        from daxa.archive.extend import add_steps

        enter_archive(self.layout)
        return add_steps(self.layout, names)


def _refuse_offline(config: ArchiveConfig) -> None:
    from daxa.archive.config import settings_of

    if settings_of(config).offline:
        raise CriteriaError(
            "offline",
            "an update needs the network",
            remedy="unset DAXA_OFFLINE; `daxa select` uses the cached observation tables",
        )


def with_conditions(mission: object) -> Mission:
    """The mission, if it has conditions; an error otherwise."""
    from daxa.query import Mission
    from daxa.query.criteria.criteria import Criteria

    if isinstance(mission, str):
        mission = Mission(mission)
    if not isinstance(mission, Mission):
        raise CriteriaError(
            "mission",
            f"{str(mission)[:100]!r} is not a mission",
            remedy='give daxa.Mission("xmm").filter(...), or several of them',
        )
    if mission.criteria == Criteria():
        raise CriteriaError(
            "nothing-asked",
            f"no condition says which observations of {mission.spec.title} to select",
            remedy=f'add conditions: daxa.Mission("{mission.name}").filter(target="Abell 907"); '
            "filter(everything=True) selects the whole archive",
        )
    return mission
