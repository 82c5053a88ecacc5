"""Run an archive's pipeline through DVC, trying again what failed before."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence

from daxa.archive import dvc
from daxa.archive.config import ArchiveConfig, steps_of
from daxa.archive.dvc_processes import active_pids
from daxa.archive.layout import Layout
from daxa.archive.named_choices import named_missions
from daxa.archive.stage_errors import clear_notes, read_notes
from daxa.archive.stage_records import read_stage_record
from daxa.errors import ArchiveError, DaxaError, ProgramError
from daxa.records import Outcome
from daxa.run.steps import last_steps

__all__ = ["failed_stages", "refuse_busy", "run_pipeline", "stages_hidden_from_dvc"]


def failed_stages(layout: Layout, config: ArchiveConfig) -> list[str]:
    """Names of the stages to force: DVC sees nothing changed there, and observations have failed.

    A stage that failed as a whole is not among them: DVC runs it again by itself.

    Returns
    -------
    list of str
        In the order of the pipeline.
    """
    failed = [
        (mission, step)
        for mission in config.missions
        for step in config.steps
        if "failed" in read_stage_record(layout, mission, step, {"outcome"}).outcomes().values()
    ]
    if not failed:
        return []
    known = dvc.recorded_digests(layout.root)
    return [
        f"{step}-{mission}"
        for mission, step in failed
        if known.get(layout.name_of(layout.ledger(mission, step))) == _md5(layout, mission, step)
    ]


def _md5(layout: Layout, mission: str, step: str) -> str:
    content = layout.ledger(mission, step).read_bytes() if layout.ledger(mission, step).is_file() else b""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def stages_hidden_from_dvc(config: ArchiveConfig, outcomes: Iterable[Outcome]) -> set[tuple[str, str]]:
    """Mission and step of the stages that have something to do which DVC cannot see.

    Parameters
    ----------
    config
        Of the archive.
    outcomes
        The outcomes, as `daxa.stages.status` reports them.
    """
    fetching = {step.name for step in steps_of(config) if step.fetches}
    return {
        (one.mission, one.step)
        for one in outcomes
        if (one.status == "altered" and one.step in fetching)
        or (one.status == "outdated" and one.reason == "calibration changed")
    }


def refuse_busy(layout: Layout) -> None:
    """Refuse to begin during another run.

    Raises
    ------
    ArchiveError
        DVC is at work in the archive.
    """
    if pids := active_pids(layout.root):
        raise ArchiveError(
            "busy",
            f"another `daxa run` or `dvc repro` is running in {layout.root} (process {pids[0]})",
            remedy="wait until it has ended; `daxa status` shows the progress",
        )


def run_pipeline(
    layout: Layout,
    config: ArchiveConfig,
    missions: Sequence[str] = (),
    *,
    only: Collection[str] = (),
    unseen: Collection[tuple[str, str]] = (),
) -> None:
    """Do everything that is not done yet, what failed before, and what was altered.

    A stage that fails keeps those that need it from running, and no others.

    Parameters
    ----------
    layout, config
        The archive.
    missions
        Only these missions; all of them by default.
    only
        Only these steps, whether those before are done or not; all of them by default.
    unseen
        Mission and step of stages that have something to do which DVC cannot see: fetched files are not what
        their ledger says, or calibration has changed.

    Raises
    ------
    ArchiveError
        Another run is at work; or a stage stopped since a task met a bug, or all failed.
    CriteriaError
        A mission is not in the archive.
    DaxaError
        What stopped a stage; where several did, the first.
    """
    missions = named_missions(config, missions)
    refuse_busy(layout)
    clear_notes(layout)
    stopped: list[ProgramError] = []
    forced = {*failed_stages(layout, config), *(f"{step}-{mission}" for mission, step in unseen)}
    steps = steps_of(config)
    for mission in missions or config.missions:
        for step in (one.name for one in steps):
            stage = f"{step}-{mission}"
            if step in only or (stage in forced and not only):
                stopped += _repro(layout, stage, force=stage in forced, single=True)
    if not only:
        ends = [f"{step.name}-{mission}" for mission in missions for step in last_steps(steps)]
        ends += [f"kept-{mission}" for mission in missions if mission in config.storage.fetched]
        stopped += _repro(layout, *ends, keep_going=True)
    if stopped:
        raise _first_stage_error(layout, stopped[-1])


def _repro(layout: Layout, *stages: str, **options: bool) -> list[ProgramError]:
    try:
        dvc.repro(layout.root, *stages, **options)
    except ProgramError as error:
        return [error]
    return []


def _first_stage_error(layout: Layout, stopped: ProgramError) -> DaxaError:
    """The error of the stage itself, rather than that DVC ended."""
    errors = read_notes(layout)
    if not errors:
        return stopped
    first, more = errors[0], len(errors) - 1
    if more:
        first.message += f" (and {more} more stage{'s' if more > 1 else ''} stopped, as reported above)"
    return first
