"""``daxa reprocess``: process observations with other parameters."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from daxa.cli.completion import complete_mission, complete_step
from daxa.cli.consent import TrustServices, remember_consent
from daxa.cli.options import DryRun, Executor, Jobs, ObsIds, ThenRelease
from daxa.cli.plan import show_forecast
from daxa.cli.show import note, progress
from daxa.cli.status import show_outcomes
from daxa.cli.working import end_in_release, working

__all__ = ["reprocess"]

EXAMPLES = (
    "daxa reprocess xmm --obs 0404910601 --set clean.flare_sigma=2.5",
    'daxa reprocess xmm --obs 0404910601 --set clean.flare_sigma=2.5 --note "a flare was left" --release',
    "daxa reprocess xmm --step images --set pixel=8arcsec --dry-run",
    "daxa reprocess xmm --obs 0404910601 --unset clean.flare_sigma",
)


def reprocess(
    mission: Annotated[
        str, typer.Argument(metavar="MISSION", help="A mission of the archive.", autocompletion=complete_mission)
    ],
    *,
    obs_ids: ObsIds = None,
    step: Annotated[
        str,
        typer.Option(
            "--step",
            metavar="STEP",
            help="The step of parameters that --set and --unset name without one.",
            autocompletion=complete_step,
        ),
    ] = "",
    given: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STEP.NAME=VALUE", help="The new value of a parameter. May be repeated."),
    ] = None,
    unset: Annotated[
        list[str] | None,
        typer.Option(
            "--unset",
            metavar="STEP.NAME",
            help="Return to the usual value: that of the step, or the default. May be repeated.",
        ),
    ] = None,
    remark: Annotated[
        str, typer.Option("--note", metavar="TEXT", help="Why: written beside the value, and the title of the release.")
    ] = "",
    then_release: ThenRelease = False,
    dry_run: DryRun = False,
    jobs: Jobs = None,
    executor: Executor = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON per task or, with --dry-run, per task to run.")
    ] = False,
    trust_services: TrustServices = False,
) -> None:
    """Process a mission, or some of its observations, with other parameters, and nothing else.

    With --obs, the values become overrides for these observations in params/MISSION.toml; otherwise they replace those
    of the step. All values are checked before anything is written; comments in the file stay. Then all that depends on
    the new values runs. After an interruption, the same command completes.
    """
    import daxa
    from daxa.archive.named_choices import named_missions, named_obs_ids
    from daxa.archive.override import read_settings
    from daxa.stages.reprocess import plan_reprocessing

    remember_consent(trust_services)
    archive = daxa.open(acting=not dry_run)
    config = archive.config
    (name,) = named_missions(config, mission)
    chosen = named_obs_ids(archive.layout, [name], obs_ids)
    settings = read_settings(given or (), unset or (), config.steps, step=step)
    plan = plan_reprocessing(archive.layout, name, settings, chosen, note=remark)
    if dry_run:
        show_forecast(plan.forecast, as_json=as_json)
        return
    if not plan.changed:
        note(f"params/{name}.toml has these values already")
    plan.write()
    with working(archive, os.environ, jobs, executor, as_json=as_json):
        outcomes = archive.run(name, obs_ids=chosen, progress=progress)
    if then_release:
        end_in_release(archive, remark or plan.title, as_json=as_json)
        return
    show_outcomes(outcomes, as_json=as_json)
