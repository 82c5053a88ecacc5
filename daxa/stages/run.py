"""Run an archive: all of it, or some missions, steps or observations.

DVC runs whole stages, and considers a stage that has ended as done.  Therefore it is used if what is
requested is all that there is to do.  Otherwise the stages are run here for the observations that
are named, and DVC still considers them not done: `daxa run` completes them, `daxa release` refuses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from daxa.archive.check import check_parameters, check_versions
from daxa.archive.config import ArchiveConfig, steps_of
from daxa.archive.gate import check_objects, check_products
from daxa.archive.layout import Layout
from daxa.archive.named_choices import named_missions, named_obs_ids, named_steps
from daxa.archive.pipeline import refuse_busy, run_pipeline, stages_hidden_from_dvc
from daxa.archive.stage_records import selected_ids
from daxa.errors import ConfigError, CriteriaError
from daxa.records import Observe
from daxa.stages.forecast import PlannedTask, forecast_run
from daxa.stages.status import outcomes_of, read_status
from daxa.stages.step import run_step

__all__ = ["Progress", "check_executor", "limited", "run_archive"]

Progress = Callable[[str, str], AbstractContextManager[Observe]]
"""Gives an observer of the stage (mission, step)."""

_MOST_JOBS = 1024
_EXECUTORS = ("local", "dask")


def run_archive(
    layout: Layout,
    config: ArchiveConfig,
    *,
    missions: object = (),
    steps: object = (),
    obs_ids: object = (),
    progress: Progress | None = None,
) -> None:
    """Do what is not done yet, and what failed before.

    Parameters
    ----------
    layout, config
        The archive, after `daxa.archive.gate.enter_archive`.
    missions, steps, obs_ids
        Only these; the results of all others stay.
    progress
        For stages that do not run in a process that shows its own progress.

    Raises
    ------
    ArchiveError, CriteriaError
        Another run is active, or there is no such observation, mission or step.
    ConfigError
        A params file cannot be used as it is written; nothing was started.
    DaxaError
        What stopped a stage.
    """
    wanted = named_missions(config, missions)
    only_steps = named_steps(steps, [step.name for step in steps_of(config)])
    check_objects(layout)
    check_products(layout)
    check_parameters(layout, config)
    _refuse_other_versions(layout, config, wanted)
    only = named_obs_ids(layout, wanted or tuple(config.missions), obs_ids)
    if not only:
        unseen = stages_hidden_from_dvc(config, outcomes_of(read_status(layout, config)))
        run_pipeline(layout, config, wanted, only=only_steps, unseen=unseen)
        return
    named = {one: set(only) & set(selected_ids(layout, one)) for one in wanted or config.missions}
    named = {mission: own for mission, own in named.items() if own}
    tasks = forecast_run(layout, config).tasks
    others = {one.mission for one in tasks if not _is_requested(one, only_steps, named.get(one.mission, ()))}
    if others & named.keys():
        chosen = [one.name for one in steps_of(config) if one.name in only_steps or not only_steps]
        _run_some(layout, chosen, named, progress)
        return
    unseen = stages_hidden_from_dvc(config, outcomes_of(read_status(layout, config, missions=list(named))))
    # The summary of all missions is worth its time only where it says that everything is done.
    run_pipeline(layout, config, tuple(named) if others else (), unseen=unseen)


def _refuse_other_versions(layout: Layout, config: ArchiveConfig, missions: Sequence[str]) -> None:
    """Refuse to run with other software than the archive is locked to; what is done stays done, whatever made it."""
    try:
        check_versions(layout, config, missions)
    except ConfigError:
        stages = read_status(layout, config, missions=missions)
        if waiting := {one.mission: one for one in stages if set(one.statuses) - {"done", "skipped"}}:
            check_versions(layout, config, list(waiting))


def _is_requested(task: PlannedTask, steps: Collection[str], obs_ids: Collection[str]) -> bool:
    return task.obs_id in obs_ids and (task.step in steps or not steps)


def _run_some(layout: Layout, steps: Sequence[str], obs_ids: Mapping[str, set[str]], progress: Progress | None) -> None:
    """Run steps for some observations of each mission, without DVC."""
    refuse_busy(layout)
    for mission, own in obs_ids.items():
        for step in steps:
            with progress(mission, step) if progress else nullcontext() as observe:
                run_step(layout.root, step, mission, only=own, observe=observe)


def check_executor(name: str | None) -> None:
    """Refuse what is not the name of an executor; None leaves it to the settings.

    Raises
    ------
    CriteriaError
        There is no such executor.
    """
    if name not in (None, *_EXECUTORS):
        raise CriteriaError(
            "executor", f"there is no executor {str(name)[:100]!r}", remedy=f"choose {' or '.join(_EXECUTORS)}"
        )


@contextmanager
def limited(jobs: int | None, executor: str | None = None) -> Iterator[None]:
    """Limit how many tasks run at once, and say where, here and in the processes that are started.

    Parameters
    ----------
    jobs
        Most tasks at once on this machine; None leaves it to the settings.
    executor
        ``local`` or ``dask``; None leaves it to the settings.

    Raises
    ------
    CriteriaError
        It is not a valid number of tasks, or there is no such executor.
    """
    if jobs is not None and (isinstance(jobs, bool) or not 1 <= jobs <= _MOST_JOBS):
        raise CriteriaError("jobs", f"{jobs} is not a valid number of tasks", remedy=f"give 1 to {_MOST_JOBS}")
    check_executor(executor)
    from daxa.settings import load_settings

    wanted = {"DAXA_EXECUTOR": executor} if executor else {}
    if jobs is not None:
        wanted |= {"DAXA_WORKERS": str(jobs), "DAXA_DOWNLOADS": str(min(jobs, load_settings().downloads))}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
