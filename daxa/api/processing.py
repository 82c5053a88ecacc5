"""Process the observations of an archive, and see how that went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daxa.api.opened import Opened
from daxa.archive import stage_records
from daxa.archive.gate import check_archive, enter_archive
from daxa.archive.named_choices import named_missions, named_obs_ids
from daxa.naming import several
from daxa.records import Outcome

if TYPE_CHECKING:
    from daxa.api.opened import Names, ObsIds
    from daxa.archive.accepted_calibration import OtherCalibration
    from daxa.archive.problems import Problem
    from daxa.query.mission import Mission
    from daxa.stages.forecast import Forecast
    from daxa.stages.reprocess import Reprocessed
    from daxa.stages.run import Progress

__all__ = ["Processing"]


@dataclass(frozen=True)
class Processing(Opened):
    """Methods of `daxa.Archive`."""

    def run(
        self,
        missions: Names = (),
        *,
        obs_ids: ObsIds = None,
        steps: str | Sequence[str] | None = None,
        jobs: int | None = None,
        executor: str | None = None,
        progress: Progress | None = None,
    ) -> list[Outcome]:
        """Do what is not done yet and what failed before; return the status.

        Parameters
        ----------
        missions, obs_ids, steps
            Only these; all of them by default.  The results of others stay as they are.
        jobs
            Most tasks to run at once; by default what the settings say.
        executor
            Where they run: ``local``, or ``dask`` for the cluster of the configuration; by default as the settings say.
        progress
            As for `daxa.stages.run.run_archive`.

        Returns
        -------
        list of Outcome
            As `status` gives them afterwards.

        Raises
        ------
        ArchiveError
            An observation is not selected, or something is at work in the archive.
        CriteriaError
            A mission or a step is not in the archive, or there is no such executor.
        ConfigError
            A params file cannot be used as it is written; nothing was started.
        ProgramError
            A stage stopped.
        """
        from daxa.stages.run import limited, run_archive

        enter_archive(self.layout)
        with limited(jobs, executor):
            run_archive(self.layout, self.config, missions=missions, steps=steps, obs_ids=obs_ids, progress=progress)
        return self.status()

    def plan(
        self, missions: Names = (), *, obs_ids: ObsIds = None, steps: str | Sequence[str] | None = None
    ) -> Forecast:
        """What `run` would do, why, and its likely cost; nothing is written.

        Parameters
        ----------
        missions, obs_ids, steps
            Only these; all of them by default.

        Returns
        -------
        Forecast
            One record per task, with seconds and bytes estimated from earlier tasks of this archive.

        Raises
        ------
        ConfigError
            A params file cannot be used as it is written.
        CriteriaError
            A mission or a step is not in the archive.
        """
        from daxa.stages.forecast import forecast_run

        return forecast_run(
            self.layout, self.config, missions=named_missions(self.config, missions), obs_ids=obs_ids, steps=steps
        )

    def reprocess(
        self,
        mission: str | Mission,
        obs_ids: ObsIds = None,
        *,
        set: Mapping[str, object] | None = None,  # noqa: A002 - as in the shell
        unset: str | Sequence[str] | None = None,
        note: str = "",
        release: bool = False,
        dry_run: bool = False,
        jobs: int | None = None,
        executor: str | None = None,
        progress: Progress | None = None,
    ) -> Reprocessed:
        """Process a mission, or some observations of it, with other parameters.

        Parameters
        ----------
        mission
            One of the archive's missions.
        obs_ids
            Only these observations: the parameters become overrides.
        set
            Parameter, such as ``clean.flare_sigma``, to its new value.
        unset
            Parameters to reset to what applies without them.
        note
            Why: a remark in the params file, and the title of the release.
        release
            Commit and tag the result.
        dry_run
            Write and run nothing.
        jobs, executor, progress
            As for `run`.

        Returns
        -------
        Reprocessed
            What was planned, and the result.

        Raises
        ------
        CriteriaError
            Nothing is set, or there is no such mission or step.
        ConfigError
            The parameters cannot be used; nothing was written.
        ArchiveError
            An observation is not selected, or something is at work in the archive.
        ReleaseError
            The release would claim something that is not true.

        Examples
        --------
        >>> import daxa
        >>> archive = daxa.open("a907")  # doctest: +SKIP
        >>> archive.reprocess("xmm", "0404910601", set={"clean.flare_sigma": 2.5}, release=True).tag  # doctest: +SKIP
        'v1.0.1'
        """
        from daxa.stages.releasing import release_change
        from daxa.stages.reprocess import Reprocessed, plan_reprocessing, settings_from
        from daxa.stages.run import check_executor

        check_executor(executor)
        (enter_archive if not dry_run else check_archive)(self.layout)
        config = self.config
        (name,) = named_missions(config, mission)
        chosen = named_obs_ids(self.layout, [name], obs_ids)
        settings = settings_from(set or {}, several(unset), config.steps)
        plan = plan_reprocessing(self.layout, name, settings, chosen, note=note)
        if dry_run:
            return Reprocessed(plan)
        plan.write()
        outcomes = self.run(name, obs_ids=chosen, jobs=jobs, executor=executor, progress=progress)
        made = release_change(self.layout, config, note or plan.title) if release else None
        return Reprocessed(plan, tuple(outcomes), made.tag if made else "")

    def retry(
        self,
        missions: Names = (),
        *,
        obs_ids: ObsIds = None,
        steps: str | Sequence[str] | None = None,
        jobs: int | None = None,
        executor: str | None = None,
        progress: Progress | None = None,
    ) -> list[Outcome]:
        """Repeat what failed and do what depends on it, and nothing else.

        Parameters
        ----------
        missions, obs_ids, steps
            Only these; all of them by default.
        jobs, executor, progress
            As for `run`.

        Returns
        -------
        list of Outcome
            As `status` gives them afterwards.

        Raises
        ------
        CriteriaError
            A mission or a step is not in the archive.
        ProgramError
            A stage stopped.
        """
        from daxa.stages.reprocess import failed_observations

        config = self.config
        for mission, failed in failed_observations(
            self.layout, config, named_missions(config, missions), steps, obs_ids
        ).items():
            self.run(mission, obs_ids=failed, jobs=jobs, executor=executor, progress=progress)
        return self.status()

    def accept_calibration(self, missions: Names = ()) -> list[OtherCalibration]:
        """Accept the installed calibration, so that the next run redoes what was made with other calibration.

        Parameters
        ----------
        missions
            Only these; all of them by default.

        Returns
        -------
        list of OtherCalibration
            What was accepted, by mission and step.

        Raises
        ------
        ConfigError
            A backend that needs calibration is not installed, or a file of the archive cannot be used.
        """
        from daxa.archive.accepted_calibration import accept_calibration, other_calibration

        enter_archive(self.layout)
        others = other_calibration(self.layout, self.config, named_missions(self.config, missions))
        accept_calibration(self.layout, others)
        return others

    def status(self) -> list[Outcome]:
        """The state of every observation, by the runner's own comparison; nothing is written.

        Returns
        -------
        list of Outcome
            One record per mission, step and observation.
        """
        from daxa.stages.status import outcomes_of, read_status

        return outcomes_of(read_status(self.layout, self.config))

    def failures(self) -> list[Outcome]:
        """What failed.

        Returns
        -------
        list of Outcome
            The records of `status` whose status is ``failed``, with the reason.
        """
        return [outcome for outcome in self.status() if outcome.status == "failed"]

    def check(self) -> list[Problem]:
        """Look for mistakes in ``daxa.toml``, ``params/*.toml`` and ``software.toml``.

        Returns
        -------
        list of Problem
            Each with its place and a correction; empty if all is well.
        """
        from daxa.archive.check import find_problems

        return find_problems(self.layout)

    def logs(self, obs_id: str | int, step: str | None = None, task: str = "") -> str:
        """The logs of an observation's tasks.

        Parameters
        ----------
        obs_id
            The observation.
        step
            Only this step; all of them by default.
        task
            Only calls of this task of mission software, such as ``espfilt``.

        Returns
        -------
        str
            The logs in the order of the steps.

        Raises
        ------
        ArchiveError
            The observation is not in the archive, or nothing was logged.
        CriteriaError
            There is no such step, or no such call was logged.
        """
        found = stage_records.find_logs(self.layout, self.config, obs_id, step, task=task)
        return "\n".join(log.text for log in found)
