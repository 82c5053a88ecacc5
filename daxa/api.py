"""The archive as an object: the same calls from Python as from the shell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from daxa.archive import history
from daxa.archive.config import ArchiveConfig, Creator, load_config
from daxa.archive.gate import check_archive, enter_archive
from daxa.archive.layout import Layout
from daxa.archive.named_choices import named_missions, named_obs_ids
from daxa.errors import CriteriaError
from daxa.naming import several
from daxa.records import Outcome

if TYPE_CHECKING:
    from datetime import timedelta

    import pandas as pd
    from astropy.units import Quantity

    from daxa.analysis.coverage import Coverage
    from daxa.analysis.mosaic import MosaicResult
    from daxa.archive.calibration import OtherCalibration
    from daxa.archive.choose import SelectionPlan
    from daxa.archive.drop import MissionDrop
    from daxa.archive.problems import Problem
    from daxa.publish.certificates import Kept
    from daxa.publish.changelog import HistoryEntry, ReleaseRecord
    from daxa.publish.checkout import CheckoutReport
    from daxa.publish.citation import Citation
    from daxa.publish.deposit import Deposit
    from daxa.publish.diff import ArchiveDiff
    from daxa.publish.export import Export
    from daxa.publish.garbage import Garbage
    from daxa.publish.pull import PullReport
    from daxa.publish.push import PushReport
    from daxa.publish.remotecheck import RemoteCheck
    from daxa.publish.verify import Verification
    from daxa.query.criteria.keywords import PositionLike, TableLike
    from daxa.query.criteria.sample import Sample
    from daxa.query.mission import Mission
    from daxa.stages.forecast import Forecast
    from daxa.stages.recreation import Recreation
    from daxa.stages.redelivery import Redelivery
    from daxa.stages.reprocess import Reprocessed
    from daxa.stages.running import Progress
    from daxa.xray.imaging.positions import Aperture

    Names: TypeAlias = str | Mission | Sequence[str | Mission] | None
    ObsIds: TypeAlias = str | int | Sequence[str | int] | None
    Band: TypeAlias = str | tuple[float, float] | tuple[Quantity, Quantity] | Quantity
    Bands: TypeAlias = Band | Sequence[Band] | None
    TargetsLike: TypeAlias = Sample | TableLike | PositionLike | Sequence[PositionLike]

__all__ = ["Archive", "open"]


@dataclass(frozen=True)
class Archive:
    """An archive of X-ray observations on this machine.

    Make one with `Archive.create`, or open one with `daxa.open`.

    Parameters
    ----------
    root
        Its directory.
    """

    root: Path

    @classmethod
    def create(
        cls,
        directory: str | PathLike[str],
        missions: Mission | Sequence[Mission],
        *,
        title: str = "",
        creators: str | Creator | Sequence[str | Creator] = (),
        remote: str | PathLike[str] = "",
        steps: str | Sequence[str] = (),
    ) -> Archive:
        """Select observations and generate the repository; see `daxa.archive.create.create_archive`.

        Parameters
        ----------
        directory
            A new directory; its name becomes the archive's.
        missions
            One or several, with conditions: the whole archive of a mission is selected only where
            ``filter(everything=True)`` says so.
        title
            For citations.
        creators
            Who made it, one or several: ``Name``, ``Name <ORCID>``, or `daxa.archive.config.Creator`.
        remote
            Address of the storage that the data are shared through.
        steps
            Steps of installed plug-ins, to be done beside daxa's own.

        Returns
        -------
        Archive
            In its directory, with nothing fetched yet.

        Raises
        ------
        CriteriaError
            No condition says which observations of a mission are wanted.
        """
        from daxa.archive.create import create_archive
        from daxa.archive.creators import parse_creator

        chosen = [_with_conditions(mission) for mission in several(missions)]
        people = [creators] if isinstance(creators, Creator) else several(creators)
        people = [parse_creator(one) if isinstance(one, str) else one for one in people]
        layout = create_archive(
            Path(directory), chosen, title=title, creators=people, remote=fspath(remote), steps=several(steps)
        )
        return cls(layout.root)

    @property
    def layout(self) -> Layout:
        """Every path of the archive."""
        return Layout(self.root)

    @property
    def config(self) -> ArchiveConfig:
        """What ``daxa.toml`` says."""
        return load_config(self.layout)

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
            With the conditions that replace the present ones; a mission by its name stands for its present
            criteria.  By default all missions with their present criteria.
        also
            Join the conditions given to the present ones in place of replacing them.
        refresh, max_age, offline
            How old the observation tables may be of missions that are given by name, or not at all.

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
            asked = [one if isinstance(one, str) else _with_conditions(one) for one in several(missions)]
        return plan_selection(self.layout, asked, also=also, refresh=refresh, max_age=max_age, offline=offline)

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
            No service may be asked, or nothing meets the criteria.
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
            Called with each observation that was compared, how many have been, and of how many.

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

    def run(
        self,
        missions: Names = (),
        *,
        obs_ids: ObsIds = None,
        steps: str | Sequence[str] | None = None,
        jobs: int | None = None,
        progress: Progress | None = None,
    ) -> list[Outcome]:
        """Do what is not done yet and what failed before; answer with the status.

        Parameters
        ----------
        missions, obs_ids, steps
            Only these; all of them by default.  What stands of others stays as it is.
        jobs
            How many tasks run at once at most; by default what the settings say.
        progress
            As for `daxa.stages.running.run_archive`.

        Returns
        -------
        list of Outcome
            As `status` gives them afterwards.

        Raises
        ------
        ArchiveError
            An observation is not selected, or something is at work in the archive.
        CriteriaError
            A mission or a step is not in the archive.
        ConfigError
            A params file cannot be used as it is written; nothing was begun.
        ProgramError
            A stage stopped.
        """
        from daxa.stages.running import limited, run_archive

        enter_archive(self.layout)
        with limited(jobs):
            run_archive(self.layout, self.config, missions=missions, steps=steps, obs_ids=obs_ids, progress=progress)
        return self.status()

    def plan(
        self, missions: Names = (), *, obs_ids: ObsIds = None, steps: str | Sequence[str] | None = None
    ) -> Forecast:
        """What `run` would do, and why, with what it may cost; nothing is written.

        Parameters
        ----------
        missions, obs_ids, steps
            Only these; all of them by default.

        Returns
        -------
        Forecast
            One record per task, with seconds and bytes as earlier tasks of this archive had them.

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
            Parameters that return to what holds without them.
        note
            Why: a remark in the params file, and the title of the release.
        release
            Commit and tag the result.
        dry_run
            Write and run nothing.
        jobs, progress
            As for `run`.

        Returns
        -------
        Reprocessed
            What was planned, and became of it.

        Raises
        ------
        CriteriaError
            Nothing is set, or there is no such mission or step.
        ConfigError
            The parameters cannot be used; nothing was written.
        ArchiveError
            An observation is not selected, or something is at work in the archive.
        ReleaseError
            The release would claim something that is not so.

        Examples
        --------
        >>> import daxa
        >>> archive = daxa.open("a907")  # doctest: +SKIP
        >>> archive.reprocess("xmm", "0404910601", set={"clean.flare_sigma": 2.5}, release=True).tag  # doctest: +SKIP
        'v1.0.1'
        """
        from daxa.stages.releasing import release_change
        from daxa.stages.reprocess import Reprocessed, plan_reprocessing, settings_from

        (enter_archive if not dry_run else check_archive)(self.layout)
        config = self.config
        (name,) = named_missions(config, mission)
        chosen = named_obs_ids(self.layout, [name], obs_ids)
        settings = settings_from(set or {}, several(unset), config.steps)
        plan = plan_reprocessing(self.layout, name, settings, chosen, note=note)
        if dry_run:
            return Reprocessed(plan)
        plan.write()
        outcomes = self.run(name, obs_ids=chosen, jobs=jobs, progress=progress)
        made = release_change(self.layout, config, note or plan.title) if release else None
        return Reprocessed(plan, tuple(outcomes), made.tag if made else "")

    def retry(
        self,
        missions: Names = (),
        *,
        obs_ids: ObsIds = None,
        steps: str | Sequence[str] | None = None,
        jobs: int | None = None,
        progress: Progress | None = None,
    ) -> list[Outcome]:
        """Try again what failed, and do what follows from it, and nothing else.

        Parameters
        ----------
        missions, obs_ids, steps
            Only these; all of them by default.
        jobs, progress
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
            self.run(mission, obs_ids=failed, jobs=jobs, progress=progress)
        return self.status()

    def add(self, missions: Mission | Sequence[Mission], **freshness: Any) -> SelectionPlan:
        """As `select` with ``also=True``: the observations asked for join those that are there.

        Parameters
        ----------
        missions
            One or several, with conditions; a mission that the archive does not have yet joins it.
        **freshness
            As for `select`.

        Returns
        -------
        SelectionPlan
            Nothing is written until it is accepted: ``archive.accept(plan)``.
        """
        return self.select(missions, also=True, **freshness)

    def drop(self, missions: Names, obs_ids: ObsIds = None) -> SelectionPlan | MissionDrop:
        """Compare the archive without some observations, or without whole missions, with what it is.

        Nothing is written until the plan is accepted: ``archive.accept(plan)``.  No service is asked.

        Parameters
        ----------
        missions
            Which.
        obs_ids
            The observations that go; without any, the missions go as a whole.

        Returns
        -------
        SelectionPlan or MissionDrop
            What would go.

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
        own = {name: {*gone}.intersection(history.selected_ids(self.layout, name)) for name in names}
        return plan_drop(self.layout, {name: ids for name, ids in own.items() if ids})

    def accept_calibration(self, missions: Names = ()) -> list[OtherCalibration]:
        """Accept the installed calibration, so that the next run makes again what was made with other calibration.

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
        from daxa.archive.calibration import accept_calibration, other_calibration

        enter_archive(self.layout)
        others = other_calibration(self.layout, self.config, named_missions(self.config, missions))
        accept_calibration(self.layout, others)
        return others

    def status(self) -> list[Outcome]:
        """What is done, compared as the runner compares it; nothing is written.

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
            Each with its place and a correction; empty where all is right.
        """
        from daxa.archive.check import find_problems

        return find_problems(self.layout)

    def logs(self, obs_id: str | int, step: str | None = None) -> str:
        """What was written while an observation was worked on.

        Parameters
        ----------
        obs_id
            The observation.
        step
            Only this step; all of them by default.

        Returns
        -------
        str
            The logs in the order of the steps.

        Raises
        ------
        ArchiveError
            The observation is not in the archive, or nothing was logged.
        CriteriaError
            There is no such step.
        """
        return "\n".join(log.text for log in history.find_logs(self.layout, self.config, obs_id, step))

    def products(
        self,
        mission: Names = None,
        *,
        obs_id: ObsIds = None,
        kind: str | Sequence[str] | None = None,
        instrument: str | Sequence[str] | None = None,
        step: str | Sequence[str] | None = None,
        band: Bands = None,
    ) -> pd.DataFrame:
        """Table of products, one row per file.

        Parameters
        ----------
        mission, obs_id, kind, instrument, step, band
            Only these, one or several; kinds are those of `daxa.run.product.KINDS`, bands ``"0.5-2 keV"`` or
            (0.5, 2) in keV.

        Returns
        -------
        pandas.DataFrame
            With the columns `daxa.archive.products.PRODUCT_COLUMNS`; energies in keV, sizes in bytes.

        Raises
        ------
        CriteriaError
            There is no such mission, kind, instrument or step; the remedy names those that there are.
        ArchiveError
            The observation is not selected.
        """
        from daxa.archive.products import list_products

        return list_products(
            self.layout,
            self.config,
            mission,
            obs_id=obs_id,
            kind=kind,
            instrument=instrument,
            step=step,
            band=band,
        )

    def coverage(
        self,
        targets: TargetsLike,
        *,
        missions: Names = None,
        obs_ids: ObsIds = None,
        instruments: str | Sequence[str] | None = None,
        bands: Bands = None,
        aperture: Aperture | None = None,
        workers: int = 0,
        observe: Callable[[Outcome, int, int], None] = lambda outcome, ended, total: None,
    ) -> Coverage:
        """What the observations say about objects: exposure, counts, rate or upper limit of each.

        Parameters
        ----------
        targets
            A file or table with columns ``ra`` and ``dec``, a `~astropy.coordinates.SkyCoord`, (ra, dec) in
            degrees, a name, or many places and names (`daxa.query.targets.read_targets`).
        missions, obs_ids, instruments, bands
            Only these, one or several; by default all.  Bands are ``"0.5-2 keV"``, (0.5, 2) in keV, or two
            quantities.
        aperture
            How counts are taken (`daxa.xray.imaging.positions.Aperture`).
        workers, observe
            As for `daxa.analysis.coverage.cover_targets`.

        Returns
        -------
        Coverage
            Its ``table`` has a row per object, observation, instrument and band.

        Raises
        ------
        CriteriaError
            The targets cannot be used, or the archive has no such mission, instrument or band.
        ArchiveError
            The images are not here.
        """
        from daxa.analysis.coverage import cover_targets
        from daxa.analysis.image_sets import ImageRequest

        asked = ImageRequest(missions, obs_ids, instruments, bands)
        return cover_targets(
            self.layout, self.config, targets, asked, aperture=aperture, workers=workers, observe=observe
        )

    def mosaic(
        self,
        directory: str | PathLike[str],
        *,
        missions: Names = None,
        obs_ids: ObsIds = None,
        instruments: str | Sequence[str] | None = None,
        band: Bands = None,
        pixel_arcsec: float = 0.0,
        weights: Mapping[str, float] | None = None,
        observe: Callable[[Outcome, int, int], None] = lambda outcome, ended, total: None,
    ) -> MosaicResult:
        """Add observations on one grid of the sky, and write counts, exposure, rate and a picture.

        Parameters
        ----------
        directory
            Where the files go, outside the archive.
        missions, obs_ids, instruments, band
            Only these, one or several; by default all.  The band must be one: ``"0.5-2 keV"``, (0.5, 2) in keV,
            or two quantities.
        pixel_arcsec
            Side of a pixel, arcsec; 0 for that of the coarsest image.
        weights
            Instrument to what a second of it counts beside one of the others, a factor; 1 where none is given.
        observe
            Is told of every image that was added.

        Returns
        -------
        MosaicResult
            The mosaic, its files, and what was left out.

        Raises
        ------
        CriteriaError
            The images are of several bands, or a pixel or weight makes no sense.
        ArchiveError
            The directory lies in the archive, or the images are not here.
        StorageError
            The files are there already, or cannot be written.
        DataError
            An image, map or list is damaged, or two of them do not belong together.
        NotPossible
            The observations lie too far apart.
        """
        from daxa.analysis.image_sets import ImageRequest
        from daxa.analysis.mosaic import mosaic_archive

        asked = ImageRequest(missions, obs_ids, instruments, band)
        return mosaic_archive(
            self.layout,
            self.config,
            Path(directory),
            asked,
            pixel_arcsec=pixel_arcsec,
            weights=weights or {},
            observe=observe,
        )

    def release(self, message: str = "", *, include: Sequence[str] = (), force: bool = False) -> str:
        """Commit and tag what is there; see `daxa.publish.release.make_release`.

        Parameters
        ----------
        message
            Title of the release.
        include
            Changed files, or directories of them, that the release takes along though it does not write them.
        force
            Make a release even when no selection, parameter, software or product has changed.

        Returns
        -------
        str
            The tag.

        Raises
        ------
        ReleaseError
            The release would claim something that is not so; all reasons are named.
        ArchiveError, ConfigError, ProgramError, StorageError
            The archive is in use, or cannot be read or written, or Git does not know who commits.
        """
        from daxa.publish.release import make_release

        enter_archive(self.layout)
        return make_release(self.layout, self.config, message, include=include, force=force).tag

    def cite(self, tag: str = "") -> Citation:
        """Gather what a paper that uses a release must say; see `daxa.publish.citation.cite_release`.

        Parameters
        ----------
        tag
            A release; by default the latest.

        Returns
        -------
        Citation
            ``text``, ``bibtex`` and ``mrt`` are its forms, ``as_dict()`` gives everything as plain values.

        Raises
        ------
        ReleaseError
            There is no release.
        ArchiveError
            There is no such release.
        DataError, ConfigError
            A file of the release is not what daxa writes.
        """
        from daxa.publish.citation import cite_release

        return cite_release(self.layout, tag)

    def publish(
        self,
        target: str | PathLike[str],
        tag: str = "",
        *,
        part_size: int = 10_000_000_000,
        private: bool = False,
        observe: Callable[[int, int], None] = lambda ended, total: None,
    ) -> Deposit:
        """Write a release with its data as files for a repository; see `daxa.publish.deposit.publish_release`.

        Parameters
        ----------
        target
            A new directory, or a new file whose name ends in ``.tar``.
        tag
            A release; by default the latest.
        part_size
            Bytes of one tar file of data.
        private
            Take data along that are not known to be public.
        observe
            Called with the number of objects that have been read, and of all.

        Returns
        -------
        Deposit
            What was written.

        Raises
        ------
        ReleaseError
            There is no release, data of it are not here, or they are not public.
        ArchiveError, UntrustedArchive
            The place is in use or in the archive, or something in the archive could act.
        DataError, StorageError, ProgramError, ConfigError
            From Git, DVC, the cache and the disk.
        """
        from daxa.publish.deposit import publish_release

        enter_archive(self.layout)
        place = Path(fspath(target))
        return publish_release(self.layout, place, tag, part_size=part_size, private=private, observe=observe)

    def push(self, *, remote: str = "") -> PushReport:
        """Send the data of every release to the remote, and prove that it holds them.

        Parameters
        ----------
        remote
            Name of another remote than the default one.

        Returns
        -------
        PushReport
            What was sent, and what the remote holds.

        Raises
        ------
        ConfigError
            The archive has no remote.
        ReleaseError
            There is no release, its data are nowhere, or they must not be shared yet.
        ServiceError, StorageError, ProgramError
            The remote cannot be listed or written, or does not hold everything afterwards.
        """
        from daxa.publish.push import push_releases

        enter_archive(self.layout)
        return push_releases(self.layout, remote=remote)

    def pull(
        self,
        tag: str = "",
        *,
        missions: Sequence[str] = (),
        obs_ids: Sequence[str] = (),
        remote: str = "",
        force: bool = False,
    ) -> PullReport:
        """Get data from the remote, proved before and after; see `daxa.publish.pull.pull_data`.

        Parameters
        ----------
        tag
            A release; by default the commit that is checked out.
        missions, obs_ids
            Only the data of these; all by default.
        remote
            Name of another remote than the default one.
        force
            Give up files of the tree that differ from the release and are nowhere else.

        Returns
        -------
        PullReport
            What is missing is its content, not an exception.

        Raises
        ------
        ArchiveError, UntrustedArchive
            Something in the archive could act, or files would be overwritten that are nowhere else.
        CriteriaError
            A mission or an ObsID is not in the archive.
        DataError
            A listing leads out of its directory, or is not what DVC writes.
        ConfigError, ServiceError, StorageError, ProgramError
            There is no remote, or it cannot be read.
        """
        from daxa.publish.pull import pull_data

        return pull_data(self.layout, tag, missions=missions, obs_ids=obs_ids, remote=remote, force=force)

    def verify(
        self,
        tag: str = "",
        *,
        fetched: bool = False,
        present: bool = False,
        obs_ids: ObsIds = None,
        observe: Callable[[int, int], None] = lambda ended, total: None,
    ) -> Verification:
        """Compare all that a release, or the last commit, says with what is on disk.

        Parameters
        ----------
        tag
            A release; the last commit by default, which the work tree must then equal.
        fetched
            Take absent fetched files for a problem, though they can be fetched again.
        present
            Take no absent data for a problem: what is here must be right.
        obs_ids
            Only the data of these observations; all by default.
        observe
            Called with how many stages have been compared, of how many.

        Returns
        -------
        Verification
            Problems are its content, not exceptions.

        Raises
        ------
        ArchiveError
            There is no archive here, or no such tag.
        """
        from daxa.publish.verify import verify_archive

        wanted = tuple(map(str, several(obs_ids)))
        return verify_archive(self.layout, tag, fetched=fetched, present=present, obs_ids=wanted, observe=observe)

    def diff(self, before: str = "", now: str = "", *, files: int = 200) -> ArchiveDiff:
        """Compare two versions of the archive, observation by observation; see `daxa.publish.diff.diff_archive`.

        Parameters
        ----------
        before
            A tag or commit; by default the last release.
        now
            Another one; by default the working tree.
        files
            Of how many differing files the contents are compared at most, where they are on this machine.

        Returns
        -------
        ArchiveDiff
            Its `observations` say what was done, why, and what it changed.

        Raises
        ------
        ArchiveError
            There is no such revision, or no release yet.
        ConfigError, DataError
            A file of one of them cannot be read.
        """
        from daxa.publish.diff import diff_archive
        from daxa.publish.revisions import last_release

        return diff_archive(self.layout, before or last_release(self.layout), now, files=files)

    def checkout(
        self, version: str, *, observe: Callable[[int, int], None] = lambda ended, total: None
    ) -> CheckoutReport:
        """Go to a release or a branch, with the data that this machine has; see `daxa.publish.checkout`.

        Parameters
        ----------
        version
            A tag, a branch, or ``-`` for the branch before.
        observe
            Called with the number of data that have been looked at, and their total.

        Returns
        -------
        CheckoutReport
            What is missing is its content, not an exception.

        Raises
        ------
        ArchiveError
            There is no such version, the archive is in use, or something would be lost.
        UntrustedArchive
            The version holds what could do harm; nothing was changed.
        """
        from daxa.publish.checkout import checkout_version

        enter_archive(self.layout)
        return checkout_version(self.layout, version, observe=observe)

    def gc(self, *, remove: bool = False) -> Garbage:
        """Find, or remove, objects of DVC's cache that no version needs; see `daxa.publish.garbage`.

        Parameters
        ----------
        remove
            Remove them; by default nothing is changed.

        Returns
        -------
        Garbage
            What is kept, and what is not needed.

        Raises
        ------
        ConfigError
            The cache is not the archive's own.
        ReleaseError
            What a version needs cannot be known.
        ArchiveError
            Something is at work, or could act.
        """
        from daxa.publish.garbage import find_garbage, remove_garbage

        if not remove:
            return find_garbage(self.layout)
        enter_archive(self.layout)
        return remove_garbage(self.layout)

    def log(self) -> list[ReleaseRecord]:
        """The releases, with the messages of their tags.

        Returns
        -------
        list of ReleaseRecord
            The latest version last.
        """
        from daxa.publish.changelog import list_releases

        return list_releases(self.layout)

    def history(self, obs_id: str | int) -> list[HistoryEntry]:
        """What each release did to an observation, and why; see `daxa.publish.changelog.list_history`.

        Parameters
        ----------
        obs_id
            The observation; it may have been dropped since.

        Returns
        -------
        list of HistoryEntry
            The first release first; what is not released yet comes last.

        Raises
        ------
        CriteriaError
            No release has had it, and the working tree has not either.
        """
        from daxa.publish.changelog import list_history

        return list_history(self.layout, str(obs_id))

    def export(self, tag: str = "", path: str | PathLike[str] | None = None) -> Export:
        """Write a release into one small file, without data; see `daxa.publish.export.export_release`.

        Parameters
        ----------
        tag
            A release; the latest by default.
        path
            The file; by default one in the current directory that is called like the archive and the tag.

        Returns
        -------
        Export
            The file, and what it holds.

        Raises
        ------
        ArchiveError
            There is no such release.
        CriteriaError
            The file exists.
        StorageError
            It cannot be written.
        """
        from daxa.publish.export import export_release

        enter_archive(self.layout)
        return export_release(self.layout, tag, None if path is None else Path(path))

    @classmethod
    def recreate(
        cls, source: str | PathLike[str], directory: str | PathLike[str], *, sample: int = 0, seed: int | None = None
    ) -> Recreation:
        """Make an exported release again, with a certificate; see `daxa.stages.recreation.recreate_archive`.

        Parameters
        ----------
        source
            A file that `export` wrote, or its address.
        directory
            Where the archive is to be.
        sample
            Only so many observations, chosen at random; 0 for all.
        seed
            Of that choice; by default a new one, which the certificate names.

        Returns
        -------
        Recreation
            The archive, and how it came out.

        Raises
        ------
        UntrustedArchive
            The file holds what no export of daxa does.
        ServiceError, StorageError
            No server can be reached, or the disk cannot be written.
        """
        from daxa.stages.recreation import Wishes, recreate_archive

        return recreate_archive(fspath(source), Path(directory), Wishes(sample, seed))

    def recompute(self, tag: str, *, sample: int = 0, seed: int | None = None) -> Recreation:
        """Make observations of a release again in a scratch place, and compare them with what the release says.

        Parameters
        ----------
        tag
            The release.
        sample, seed
            As for `recreate`.

        Returns
        -------
        Recreation
            How they came out; the archive itself does not change.

        Raises
        ------
        ArchiveError
            There is no such release.
        ServiceError, StorageError
            No server can be reached, or the disk cannot be written.
        """
        from daxa.stages.recreation import Wishes, recompute_release

        enter_archive(self.layout)
        return recompute_release(self.layout, tag, Wishes(sample, seed))

    def certificates(self, tag: str) -> list[Kept]:
        """Certificates that are kept with a release, each judged anew.

        Parameters
        ----------
        tag
            The release.

        Returns
        -------
        list of Kept
            In the order in which they were added.
        """
        from daxa.publish.certificates import list_certificates

        return list_certificates(self.layout, tag)

    def verify_remote(self, tag: str = "", *, remote: str = "", sample: str = "", deep: bool = False) -> RemoteCheck:
        """Prove what the remote holds of a release; see `daxa.publish.remotecheck.verify_remote`.

        Parameters
        ----------
        tag
            A release; the last commit by default.
        remote
            Name of another remote than the default one.
        sample
            ``1/20`` or ``5%`` of the objects are read; all by default.
        deep
            Read every object, wherever it is.

        Returns
        -------
        RemoteCheck
            What is missing or wrong is its content.

        Raises
        ------
        ArchiveError
            Something in the archive could act; no remote is asked then.
        ConfigError, CriteriaError
            There is no such remote, or `sample` cannot be read.
        DataError, ReleaseError
            A listing is nowhere, or leads out of its directory.
        ServiceError, StorageError
            The remote cannot be listed.
        """
        from daxa.publish.remotecheck import verify_remote

        return verify_remote(self.layout, tag, remote=remote, sample=sample, deep=deep)

    def _repr_html_(self) -> str:
        """For notebooks: what is done of each mission, read from the ledgers."""
        import html

        heads = "".join(f"<th>{name}</th>" for name in ("mission", "observations", *self.config.steps))
        lines = "".join(
            f"<tr><td>{html.escape(mission)}</td><td>{len(history.selected_ids(self.layout, mission))}</td>{cells}</tr>"
            for mission, cells in _cells(self.status(), self.config).items()
        )
        return (
            f"<p>Archive <b>{html.escape(self.config.name)}</b> in {html.escape(str(self.root))}</p>"
            f"<table><tr>{heads}</tr>{lines}</table>"
        )


def _refuse_offline(config: ArchiveConfig) -> None:
    from daxa.archive.config import settings_of

    if settings_of(config).offline:
        raise CriteriaError(
            "offline",
            "an update needs the network",
            remedy="unset DAXA_OFFLINE; `daxa select` uses the cached observation tables",
        )


def _only(names: Sequence[str]) -> str | None:
    return names[0] if len(names) == 1 else None


def _with_conditions(mission: object) -> Mission:
    """A mission of which something was asked."""
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
            f"no condition says which observations of {mission.spec.title} are wanted",
            remedy=f'add conditions: daxa.Mission("{mission.name}").filter(target="Abell 907"); '
            "filter(everything=True) selects the whole archive",
        )
    return mission


def _cells(outcomes: Sequence[Outcome], config: ArchiveConfig) -> dict[str, str]:
    """Mission to table cells, one per step, that count what is done and what failed."""
    counts = Counter((outcome.mission, outcome.step, outcome.status) for outcome in outcomes)
    cells = {}
    for mission in config.missions:
        texts = []
        for step in config.steps:
            failed = counts[mission, step, "failed"]
            texts.append(f"{counts[mission, step, 'done']} done" + (f", {failed} failed" if failed else ""))
        cells[mission] = "".join(f"<td>{text}</td>" for text in texts)
    return cells


def open(directory: str | PathLike[str] = ".", *, acting: bool = False) -> Archive:  # noqa: A001 - daxa.open reads as intended
    """Open the archive in a directory.

    Looking at an archive writes nothing into it.  The methods that act (`Archive.run`, `Archive.accept`,
    `Archive.release`, `Archive.push`) first check that nothing in it is foreign, and finish a change of its
    selection that was interrupted.

    Parameters
    ----------
    directory
        The archive's.
    acting
        Do at once what the methods that act do first.

    Returns
    -------
    Archive
        Its directory is absolute.

    Raises
    ------
    ArchiveError
        There is none, it is in use by another process (`acting`), or it holds what could do harm
        (`daxa.errors.UntrustedArchive`).
    ConfigError
        Its ``daxa.toml`` cannot be used.
    """
    layout = Layout(Path(directory).expanduser().absolute())
    if acting:
        enter_archive(layout)
    else:
        check_archive(layout)
    return Archive(layout.root)
