"""``daxa retry``: try again what failed."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from daxa.cli.completion import complete_mission
from daxa.cli.consent import TrustServices, remember_consent
from daxa.cli.options import DryRun, Executor, Jobs, Missions, ObsIds, Steps, ThenRelease, Title
from daxa.cli.plan import show_forecast
from daxa.cli.show import note, progress
from daxa.cli.status import show_outcomes
from daxa.cli.working import end_in_release, working

__all__ = ["retry"]

EXAMPLES = (
    "daxa retry",
    "daxa retry --obs 0404910601",
    "daxa retry xmm --step fetch --release",
    "daxa retry --dry-run",
)


def retry(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="MISSION", help="Only these missions.", autocompletion=complete_mission),
    ] = None,
    *,
    missions: Missions = None,
    obs_ids: ObsIds = None,
    steps: Steps = None,
    then_release: ThenRelease = False,
    message: Title = "",
    dry_run: DryRun = False,
    jobs: Jobs = None,
    executor: Executor = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON per task or, with --dry-run, per task to run.")
    ] = False,
    trust_services: TrustServices = False,
) -> None:
    """Retry what failed, with the steps that depend on it, and nothing else.

    `daxa run` does the same and everything else that is left to do.
    """
    import daxa
    from daxa.stages.forecast import Forecast, forecast_run
    from daxa.stages.reprocess import failed_observations

    remember_consent(trust_services)
    archive = daxa.open(acting=not dry_run)
    layout, config = archive.layout, archive.config
    failed = failed_observations(layout, config, [*(names or ()), *(missions or ())], steps, obs_ids)
    if not failed and not then_release:
        note("nothing has failed")
        return
    if dry_run:
        plans = [forecast_run(layout, config, missions=mission, obs_ids=ids) for mission, ids in failed.items()]
        show_forecast(Forecast.joined(plans), as_json=as_json)
        return
    with working(archive, os.environ, jobs, executor, as_json=as_json):
        for mission, ids in failed.items():
            archive.run(mission, obs_ids=ids, progress=progress)
    if then_release:
        end_in_release(archive, message, as_json=as_json)
        return
    show_outcomes(archive.status(), as_json=as_json)
