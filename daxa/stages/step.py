"""Run one stage of the pipeline: a step of a mission, for every selected observation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from daxa.archive.check import check_parameters
from daxa.archive.config import (
    FETCH_SOFTWARE,
    ArchiveConfig,
    Locked,
    effective_parameters,
    load_config,
    load_parameters,
    load_software,
    settings_of,
)
from daxa.archive.layout import STEPS, Layout
from daxa.archive.upstream import add_arrivals
from daxa.backends import find_backend
from daxa.errors import ArchiveError, ConfigError
from daxa.records import Outcome
from daxa.run.ledger import read_ledger
from daxa.run.runner import run_stage
from daxa.run.task import Input, LedgerRow, Stage, Task, canonical
from daxa.selection.store import read_chosen
from daxa.stages.work import FetchWork, ProcessWork

__all__ = ["make_stage", "run_step"]

MANIFEST = "manifest.json"


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
        More observations failed than the archive's policy allows.
    ConfigError
        The configuration cannot be used.
    ServiceError, StorageError
        Nothing can go on; what was done is kept.
    """
    layout = Layout(root)
    config = load_config(layout)
    check_parameters(layout, config)
    outcomes = run_stage(make_stage(layout, config, step, mission), observe=observe)
    if step == "fetch":
        add_arrivals(layout.upstream(mission), layout.arrivals / mission)
    _enforce_policy(config, mission, step, outcomes)
    return outcomes


def make_stage(layout: Layout, config: ArchiveConfig, step: str, mission: str) -> Stage:
    """Everything that the runner needs to know of the stage (mission, step)."""
    if mission not in config.missions or step not in STEPS:
        raise ArchiveError(
            "no-stage", f"this archive has no stage {step} of {mission}", remedy="list them with `dvc stage list`"
        )
    settings = settings_of(config)
    tables = load_parameters(layout, mission)
    locked = _locked(layout, step, mission, tables["events"])
    before = read_ledger(layout.ledger(mission, STEPS[STEPS.index(step) - 1])) if step != "fetch" else {}
    tasks, skipped = [], {}
    for obs_id, instruments in read_chosen(layout.selection(mission)).items():
        row = before.get(obs_id)
        if step != "fetch" and (row is None or row.outcome != "done"):
            skipped[obs_id] = "input.failed" if row else "input.absent"
            continue
        parameters = effective_parameters(tables, step, obs_id)
        parameters.pop("backend", None)
        tasks.append(
            Task(
                mission=mission,
                step=step,
                obs_id=obs_id,
                backend=locked.backend,
                version=locked.version,
                parameters=canonical(parameters),
                facts=canonical({"instruments": instruments}),
                inputs=_inputs(STEPS[STEPS.index(step) - 1], row),
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


def _locked(layout: Layout, step: str, mission: str, events: Mapping[str, object]) -> Locked:
    try:
        locked = load_software(layout)[mission, step]
    except KeyError:
        raise ConfigError(
            "no-lock",
            f"{layout.software} has no table [{mission}.{step}]",
            remedy="restore software.toml with `git checkout software.toml`",
        ) from None
    provided = FETCH_SOFTWARE if step == "fetch" else None
    if provided is None:
        backend = find_backend(str(events.get("backend", "native")))
        provided = Locked(backend.name, backend.version(step))
    if locked != provided:
        raise ConfigError(
            "software",
            f"the archive is locked to {locked.backend} {locked.version} for {step} of {mission}, "
            f"but {provided.backend} {provided.version} would run",
            remedy="install the daxa that made the archive, or enter the new version in software.toml to reprocess",
        )
    return locked


def _inputs(step: str, row: LedgerRow | None) -> tuple[Input, ...]:
    return tuple(Input(step, file) for file in row.files if file.path != MANIFEST) if row else ()


def _enforce_policy(config: ArchiveConfig, mission: str, step: str, outcomes: Sequence[Outcome]) -> None:
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed and len(failed) > config.policy.max_failed_stage * len(outcomes):
        raise ArchiveError(
            "too-many-failed",
            f"{len(failed)} of {len(outcomes)} observations of {mission} failed at {step}, such as {failed[0].obs_id}",
            remedy=f"read `daxa logs {failed[0].obs_id} --step {step}`, or raise max_failed_stage in daxa.toml",
        )
