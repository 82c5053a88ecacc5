"""``daxa run``: bring the archive up to date."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.completion import complete_mission
from daxa.cli.consent import TrustServices, remember_consent
from daxa.cli.options import DryRun, Executor, Jobs, ObsIds, Steps
from daxa.cli.plan import show_forecast
from daxa.cli.show import progress, show_text
from daxa.cli.status import show_outcomes
from daxa.cli.working import working
from daxa.errors import CriteriaError

if TYPE_CHECKING:
    from daxa.api import Archive

__all__ = ["run"]

EXAMPLES = (
    "daxa run",
    "daxa run xmm",
    "daxa run --obs 0404910601 --jobs 2",
    "daxa run --step fetch",
    "daxa run --executor dask",
    "daxa run --dry-run",
    "daxa run --obs 0404910601 --step clean --script > clean.sh",
)


def run(
    missions: Annotated[
        list[str] | None,
        typer.Argument(metavar="MISSION", help="Only these missions.", autocompletion=complete_mission),
    ] = None,
    *,
    obs_ids: ObsIds = None,
    steps: Steps = None,
    jobs: Jobs = None,
    executor: Executor = None,
    dry_run: DryRun = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON per task or, with --dry-run, per task to run.")
    ] = False,
    script: Annotated[
        bool,
        typer.Option(
            "--script",
            help="Run nothing: print a script that repeats what mission software did for --obs, without daxa.",
        ),
    ] = False,
    trust_services: TrustServices = False,
) -> None:
    """Fetch and process what is not done yet, and retry what failed.

    This runs `dvc repro`, and forces the stages in which observations failed. With --obs, if other observations of the
    mission are left to do, it runs the stages for these alone, and DVC considers the stages unfinished.
    """
    import daxa

    remember_consent(trust_services)
    archive = daxa.open(acting=not (dry_run or script))
    if script:
        show_text(_scripts(archive, obs_ids or (), steps or (), missions or ()))
        return
    if dry_run:
        show_forecast(archive.plan(missions or (), obs_ids=obs_ids, steps=steps), as_json=as_json)
        return
    with working(archive, os.environ, jobs, executor, as_json=as_json):
        outcomes = archive.run(missions or (), obs_ids=obs_ids, steps=steps, progress=progress)
    show_outcomes(outcomes, as_json=as_json)


def _scripts(archive: Archive, obs_ids: Sequence[str], steps: Sequence[str], missions: Sequence[str]) -> str:
    from daxa.archive.stage_records import find_logs
    from daxa.backends.chains.task_script import script_in

    if not obs_ids:
        raise CriteriaError("obs-id", "no observation was given", remedy="give one: `--obs 0404910601`")
    logs = [log for one in obs_ids for log in find_logs(archive.layout, archive.config, one, steps, missions)]
    if not (found := list(filter(None, (script_in(log.text) for log in logs)))):
        raise CriteriaError(
            "script",
            f"no mission software was called for {', '.join(obs_ids)}",
            remedy="choose steps that mission software carries out (backend in params/<mission>.toml), and run them",
        )
    return "\n\n".join(found)
