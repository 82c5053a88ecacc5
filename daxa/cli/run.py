"""``daxa run``: bring the archive up to date."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from daxa.cli.completion import complete_mission
from daxa.cli.consent import TrustServices, remember_consent
from daxa.cli.options import DryRun, Executor, Jobs, ObsIds, Steps
from daxa.cli.plan import show_forecast
from daxa.cli.show import progress, show_text
from daxa.cli.status import show_outcomes
from daxa.cli.working import working

__all__ = ["run"]

EXAMPLES = (
    "daxa run",
    "daxa run xmm",
    "daxa run --obs 0404910601 --jobs 2",
    "daxa run --step fetch",
    "daxa run --executor dask",
    "daxa run --dry-run",
)


def run(
    missions: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MISSION]...", help="Only these missions.", autocompletion=complete_mission),
    ] = None,
    *,
    obs_ids: ObsIds = None,
    steps: Steps = None,
    jobs: Jobs = None,
    executor: Executor = None,
    dry_run: DryRun = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run, print one line of JSON per task.")] = False,
    trust_services: TrustServices = False,
) -> None:
    """Fetch and process what is not done yet, and retry what failed.

    This runs `dvc repro`, and forces the stages in which observations failed. With --obs, if other observations of the
    mission are left to do, it runs the stages for these alone, and DVC considers the stages unfinished.
    """
    import daxa

    remember_consent(trust_services)
    archive = daxa.open(acting=not dry_run)
    if dry_run:
        show_forecast(archive.plan(missions or (), obs_ids=obs_ids, steps=steps), as_json=as_json)
        return
    with working(archive, os.environ, jobs, executor):
        outcomes = archive.run(missions or (), obs_ids=obs_ids, steps=steps, progress=progress)
    show_text("")
    show_outcomes(outcomes)
