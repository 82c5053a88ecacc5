"""Run one stage of the pipeline: a step of a mission, for every selected observation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from daxa.archive.check import check_parameters
from daxa.archive.config import ArchiveConfig, load_config, settings_of
from daxa.archive.layout import Layout
from daxa.archive.notes import noted
from daxa.archive.upstream import add_arrivals, row_ids
from daxa.errors import ArchiveError
from daxa.missions import find_mission
from daxa.records import Outcome
from daxa.run.hashes import MANIFEST
from daxa.run.ledger import read_ledger
from daxa.run.runner import run_stage
from daxa.run.task import Input, LedgerRow, Stage, Task, canonical
from daxa.selection.store import read_chosen, read_selection
from daxa.stages.recipe import check_software, facts_of, previous_step, read_recipe
from daxa.stages.work import FetchWork, ProcessWork

__all__ = ["make_stage", "run_step"]

_READING_FETCHED = ("fetch", "events")
"""Steps that may have to fetch an observation's files."""


def run_step(
    root: Path, step: str, mission: str, *, observe: Callable[[Outcome, int, int], None] | None = None
) -> list[Outcome]:
    """Run the stage (mission, step) of the archive at `root`.

    Parameters
    ----------
    root
        The archive.
    step, mission
        Which stage.
    observe
        Called with each outcome, the number of tasks that have ended, and their total.

    Raises
    ------
    ArchiveError
        A task met a bug, every task failed, or more failed than the archive's policy allows; the
        ledger says which.
    ConfigError
        The configuration cannot be used.
    ServiceError, StorageError
        Nothing can go on; what was done is kept.
    """
    layout = Layout(root)
    with noted(layout, f"{step}-{mission}"):
        return _run_step(layout, step, mission, observe)


def _run_step(
    layout: Layout, step: str, mission: str, observe: Callable[[Outcome, int, int], None] | None
) -> list[Outcome]:
    config = load_config(layout)
    check_parameters(layout, config)
    outcomes = run_stage(make_stage(layout, config, step, mission), observe=observe)
    if step == "fetch":
        add_arrivals(layout.upstream(mission), layout.arrivals / mission)
    _enforce_policy(config, mission, step, outcomes)
    return outcomes


def make_stage(layout: Layout, config: ArchiveConfig, step: str, mission: str) -> Stage:
    """Everything that the runner needs to know of the stage (mission, step)."""
    if mission not in config.missions:
        raise ArchiveError(
            "no-stage", f"this archive has no stage {step} of {mission}", remedy="list them with `dvc stage list`"
        )
    settings = settings_of(config)
    recipe = read_recipe(layout, mission, step)
    check_software(recipe)
    before = previous_step(step)
    made = read_ledger(layout.ledger(mission, before)) if before else {}
    origins = _origins(layout, mission) if step in _READING_FETCHED else {}
    tasks, skipped = [], {}
    for obs_id, instruments in read_chosen(layout.selection(mission)).items():
        row = made.get(obs_id)
        if before and (row is None or row.outcome != "done"):
            skipped[obs_id] = "input.failed" if row else "input.absent"
            continue
        tasks.append(
            Task(
                mission=mission,
                step=step,
                obs_id=obs_id,
                backend=recipe.locked.backend,
                version=recipe.locked.version,
                parameters=recipe.parameters_for(obs_id),
                facts=facts_of(instruments),
                inputs=_inputs(before, row),
                origin=canonical(origins.get(obs_id, {})),
            )
        )
    work = FetchWork if step == "fetch" else ProcessWork
    return Stage(
        mission=mission,
        step=step,
        tasks=tasks,
        skipped=skipped,
        work=work(layout.root.absolute(), settings),
        places=layout.places(mission, step),
        workers=settings.downloads if step == "fetch" else settings.workers,
        time_limit=config.run.time_limit_s,
        keep_absent=step == "fetch",
    )


def _origins(layout: Layout, mission: str) -> dict[str, dict[str, object]]:
    """ObsID to what `daxa.fetch.sources.Sought` needs: read once for a stage, since a task that
    read it anew would cost more with every observation of the archive.
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


def _enforce_policy(config: ArchiveConfig, mission: str, step: str, outcomes: Sequence[Outcome]) -> None:
    """Let the stage fail where its failures say more than that some observations cannot be had.

    The rows are in the ledger by now, and DVC does not take a stage that failed for done.
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
            f"{len(bugs)} of {len(tried)} observations of {mission} met a bug in daxa at {step}: {first.reason}, "
            f"such as {first.obs_id}",
            remedy=f"{read} and report what it says; what is done is kept, and `daxa run` tries the others again",
        )
    if len(failed) == len(tried):
        raise ArchiveError(
            "all-failed",
            f"{_all(len(failed))} of {mission} failed at {step}: {first.reason}, such as {first.obs_id}",
            remedy=f"{read}, mend the cause and run `daxa run`, or leave them out with `daxa select`",
        )
    if len(failed) > config.policy.max_failed_stage * len(tried):
        raise ArchiveError(
            "too-many-failed",
            f"{len(failed)} of {len(tried)} observations of {mission} failed at {step}, such as {first.obs_id}",
            remedy=f"{read}, or raise max_failed_stage in daxa.toml",
        )


def _all(count: int) -> str:
    return f"all {count} observations" if count > 1 else "the only observation"
