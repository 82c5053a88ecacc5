"""Run one stage of the pipeline: a step of a mission, for every selected observation."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from daxa.archive.check import check_parameters
from daxa.archive.config import ArchiveConfig, load_config, load_parameters, settings_of, steps_of
from daxa.archive.layout import Layout
from daxa.archive.stage_errors import noted
from daxa.archive.task_parts import facts_of, inputs_of
from daxa.archive.upstream import collect_provenance, row_ids
from daxa.backends import find_backend
from daxa.errors import ArchiveError
from daxa.missions import find_mission
from daxa.records import Observe, Outcome
from daxa.run.delivery import discard
from daxa.run.executor import Execute
from daxa.run.exposures import split_task
from daxa.run.hashes import MANIFEST
from daxa.run.ledger import read_ledger
from daxa.run.lookup import keep_lookup
from daxa.run.machine import read_machine
from daxa.run.prepared_stage import Stage
from daxa.run.runner import run_stage
from daxa.run.steps import Step
from daxa.run.task import Input, LedgerRow, Task, TaskWork, canonical
from daxa.selection.selection_file import read_chosen, read_selection
from daxa.settings import Settings
from daxa.stages.costs import costs_noted
from daxa.stages.recipe import Recipe, check_located, check_software, read_recipes
from daxa.stages.work import FetchWork, ProcessWork

__all__ = ["make_stage", "run_step"]


def run_step(
    root: Path,
    step: str,
    mission: str,
    *,
    only: Collection[str] | None = None,
    again: Collection[str] = (),
    observe: Observe | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[Outcome]:
    """Run the stage (mission, step) of the archive at `root`.

    Parameters
    ----------
    root
        The archive.
    step, mission
        Which stage.
    only, again
        As for `daxa.run.task.Stage`.  With `only`, no fraction of failures stops the stage.
    observe
        Called with each outcome, the number of tasks that have ended, and their total.
    say
        Called with where the pages of a cluster are.

    Raises
    ------
    ArchiveError
        A task hit a bug, every task failed, or more failed than the archive's policy allows; the
        ledger says which.
    ConfigError
        The configuration cannot be used.
    ServiceError, StorageError
        The stage cannot continue; what was done is kept.
    """
    layout = Layout(root)
    with noted(layout, f"{step}-{mission}"):
        config = load_config(layout)
        check_parameters(layout, config)
        stage = make_stage(layout, config, step, mission, say=say)
        asked = None if only is None else frozenset(only)
        return _run(layout, config, replace(stage, only=asked, again=frozenset(again)), observe)


def _run(layout: Layout, config: ArchiveConfig, stage: Stage, observe: Observe | None) -> list[Outcome]:
    mission, step = stage.mission, stage.step
    _forget_work_directories(layout, stage)
    with costs_noted(layout, mission, step, observe) as watch:
        outcomes = run_stage(stage, observe=watch)
    if any(one.fetches for one in steps_of(config) if one.name == step):
        collect_provenance(layout.upstream(mission), layout.arrivals / mission)
        if stage.only is None:
            selected = ((one.obs_id, "") for one in outcomes if one.status != "removed")
            keep_lookup(layout.selection(mission), layout.selected(mission), selected)
    _enforce_policy(config, mission, step, outcomes, partial=stage.only is not None)
    return outcomes


def _forget_work_directories(layout: Layout, stage: Stage) -> None:
    """Remove the work directories of failed tasks whose observations are no longer processed."""
    place = layout.work_directory(stage.mission, stage.step, "")
    known = {task.name for task in (*stage.tasks, *(one for tasks in stage.exposures.values() for one in tasks))}
    for entry in place.iterdir() if place.is_dir() else ():
        if entry.name not in known:
            discard(entry)


def make_stage(
    layout: Layout,
    config: ArchiveConfig,
    step: str,
    mission: str,
    *,
    say: Callable[[str], None] = lambda text: None,
) -> Stage:
    """Everything that the runner needs to know about the stage (mission, step)."""
    steps = steps_of(config)
    named = {one.name: one for one in steps}
    if mission not in config.missions or step not in named:
        raise ArchiveError(
            "no-stage", f"this archive has no stage {step} of {mission}", remedy="list them with `dvc stage list`"
        )
    settings = settings_of(config)
    recipe = read_recipes(layout, mission, steps)[step]
    check_software(recipe)
    tasks, skipped = _tasks(layout, recipe, may_fetch=any(named[one].fetches for one in (step, *named[step].needs)))
    workers, time_limit = _limits(recipe, settings, config.run.time_limit_s)
    exposures = {}
    if recipe.splits_exposures:
        backend = find_backend(recipe.provided.backend)
        exposures = {task.obs_id: split_task(task, backend.exposures(task)) for task in tasks}
    return Stage(
        mission=mission,
        step=step,
        tasks=tasks,
        skipped=skipped,
        work=_work(layout, config, recipe, steps),
        places=layout.places(mission, step),
        workers=workers,
        time_limit=time_limit,
        keep_absent=recipe.step.fetches,
        exposures=exposures,
        takes_calibration=recipe.takes_calibration,
        execute=_executor(settings, recipe, say),
        prepare=partial(check_located, recipe),
    )


def _tasks(layout: Layout, recipe: Recipe, *, may_fetch: bool) -> tuple[list[Task], dict[str, str]]:
    """The tasks of a stage, and the reasons why observations have none."""
    mission, needs = recipe.mission, recipe.step.needs
    made = {need: read_ledger(layout.ledger(mission, need)) for need in needs}
    origins = _origins(layout, mission) if may_fetch else {}
    chosen = read_chosen(layout.selection(mission))
    tasks, skipped, calibration = [], {}, recipe.calibrations_for(chosen)
    for obs_id, instruments in chosen.items():
        rows = {need: made[need].get(obs_id) for need in needs}
        if reason := _obstacle(rows.values()):
            skipped[obs_id] = reason
            continue
        tasks.append(
            Task(
                mission=mission,
                step=recipe.step.name,
                obs_id=obs_id,
                backend=recipe.locked.backend,
                version=recipe.locked.version,
                parameters=recipe.parameters_for(obs_id),
                facts=facts_of(instruments),
                inputs=tuple(item for need, row in rows.items() for item in _inputs(need, row)),
                calibration=calibration[obs_id],
                origin=canonical(origins.get(obs_id, {})),
                accepted=recipe.locked.calibration,
            )
        )
    return tasks, skipped


def _obstacle(rows: Iterable[LedgerRow | None]) -> str:
    """Why an observation cannot be processed; '' if every step that is needed is done."""
    found = list(rows)
    if all(row and row.usable for row in found):
        return ""
    return "input.failed" if any(row and not row.usable for row in found) else "input.absent"


def _work(layout: Layout, config: ArchiveConfig, recipe: Recipe, steps: Sequence[Step]) -> TaskWork:
    settings = settings_of(config)
    if not recipe.step.fetches:
        return ProcessWork(layout.root.absolute(), settings)
    tables = load_parameters(layout, recipe.mission, [step.name for step in steps])
    inputs = inputs_of(find_mission(recipe.mission), tables, recipe.step, steps)
    kept = frozenset(config.storage.fetched.get(recipe.mission, ()))
    return FetchWork(layout.root.absolute(), settings, inputs, kept)


def _limits(recipe: Recipe, settings: Settings, time_limit: float) -> tuple[int, float]:
    """How many tasks run at once, and their time limit: within the machine, the settings and the backend's needs."""
    most = settings.downloads if recipe.step.pool == "network" else settings.workers
    if recipe.step.fetches:
        return most, time_limit
    wanted = find_backend(recipe.locked.backend).resources(recipe.mission, recipe.step.name)
    machine = read_machine()
    at_once = wanted.at_once(most, total_memory=machine.memory, total_cores=machine.cores)
    return at_once, min(time_limit, wanted.time_limit)


def _executor(settings: Settings, recipe: Recipe, say: Callable[[str], None]) -> Execute | None:
    """What carries out the tasks; files are always fetched by this machine, since nodes often reach no servers."""
    if settings.executor == "local" or recipe.step.fetches:
        return None
    from daxa.run.cluster import execute_on_cluster
    from daxa.run.cluster_settings import read_cluster

    return partial(execute_on_cluster, cluster=read_cluster(), say=say)


def _origins(layout: Layout, mission: str) -> dict[str, dict[str, object]]:
    """ObsID to what `daxa.fetch.locations.ObservationRef` needs: read once for a stage, since a task that
    reads it itself would cost more with every observation in the archive.
    """
    rows = row_ids(layout.upstream(mission))
    origins: dict[str, dict[str, object]] = {obs_id: {"row_id": row_id} for obs_id, row_id in rows.items()}
    if "{yyyy_mm}" in find_mission(mission).directory:
        table = read_selection(layout.selection(mission))
        for obs_id, start in zip(table["obs_id"], table["start"], strict=True):
            if math.isfinite(start):
                origins.setdefault(obs_id, {})["row"] = {"start": float(start)}
    return origins


def _inputs(step: str, row: LedgerRow | None) -> tuple[Input, ...]:
    return tuple(Input(step, file) for file in row.files if file.path != MANIFEST) if row else ()


def _enforce_policy(
    config: ArchiveConfig, mission: str, step: str, outcomes: Sequence[Outcome], *, partial: bool
) -> None:
    """Let the stage fail if its failures mean more than that some observations cannot be processed.

    The rows are in the ledger by now, and DVC does not consider a failed stage done.
    """
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if not failed:
        return
    bugs = [outcome for outcome in failed if outcome.reason.startswith("bug.")]
    tried = [outcome for outcome in outcomes if outcome.status in ("done", "kept", "failed")]
    first = (bugs or failed)[0]
    read = f"read `daxa logs {first.obs_id} --step {step}`"
    if bugs:
        raise ArchiveError(
            "bug",
            f"{len(bugs)} of {len(tried)} observations of {mission} hit a bug in daxa at {step}: {first.reason}, "
            f"such as {first.obs_id}",
            remedy=f"{read} and report what it says; what is done is kept, and `daxa run` tries the others again",
        )
    if partial:
        return
    if len(failed) == len(tried):
        raise ArchiveError(
            "all-failed",
            f"{_all(len(failed))} of {mission} failed at {step}: {first.reason}, such as {first.obs_id}",
            remedy=f"{read}, correct the cause and run `daxa run`, or exclude them with `daxa select`",
        )
    if len(failed) > config.policy.max_failed_stage * len(tried):
        raise ArchiveError(
            "too-many-failed",
            f"{len(failed)} of {len(tried)} observations of {mission} failed at {step}, such as {first.obs_id}",
            remedy=f"{read}, or raise max_failed_stage in daxa.toml",
        )


def _all(count: int) -> str:
    return f"all {count} observations" if count > 1 else "the only observation"
