"""``daxa drop``: take observations, or a mission, out of an archive."""

from __future__ import annotations

from typing import Annotated

import typer

from daxa.cli.completion import complete_mission
from daxa.cli.options import DryRun, Jobs, ObsIds, ThenRelease, Title
from daxa.cli.select import settle

__all__ = ["drop"]

EXAMPLES = (
    "daxa drop xmm --obs 0201901401",
    "daxa drop xmm --obs 0201901401 --yes --release",
    "daxa drop nustar --dry-run",
)


def drop(
    missions: Annotated[
        list[str], typer.Argument(metavar="MISSION...", help="Of the archive.", autocompletion=complete_mission)
    ],
    *,
    obs_ids: ObsIds = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept what is shown without asking.")] = False,
    then_release: ThenRelease = False,
    message: Title = "",
    dry_run: DryRun = False,
    jobs: Jobs = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per mission.")] = False,
) -> None:
    """Take observations out of the archive; without --obs, take out whole missions.

    No service is asked, and no other observation changes. Overrides of the observations go with them. Products are
    removed by the next `daxa run` (those of a whole mission at once); earlier releases keep them.
    """
    import daxa
    from daxa.archive.drop import plan_drop, plan_mission_drop
    from daxa.archive.history import selected_ids
    from daxa.archive.named_choices import named_missions, named_obs_ids

    archive = daxa.open(acting=not dry_run)
    names = named_missions(archive.config, missions)
    gone = set(named_obs_ids(archive.layout, names, obs_ids))
    if gone:
        own = {name: gone.intersection(selected_ids(archive.layout, name)) for name in names}
        plan = plan_drop(archive.layout, {name: ids for name, ids in own.items() if ids})
    else:
        plan = plan_mission_drop(archive.layout, names)
    settle(plan, yes=yes, as_json=as_json, dry_run=dry_run, then_release=then_release, message=message, jobs=jobs)
