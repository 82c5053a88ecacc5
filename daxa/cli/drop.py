"""``daxa drop``: take observations, or a mission, out of an archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.completion import complete_mission
from daxa.cli.options import DryRun, Executor, Jobs, ObsIds, ThenRelease, Title
from daxa.cli.select import run_and_release, settle
from daxa.cli.show import note

if TYPE_CHECKING:
    import daxa
    from daxa.archive.choose import SelectionPlan
    from daxa.archive.drop import MissionDrop

__all__ = ["drop"]

EXAMPLES = (
    "daxa drop xmm --obs 0201901401",
    "daxa drop xmm --obs 0201901401 --yes --release",
    "daxa drop nustar --dry-run",
)


def drop(
    missions: Annotated[
        list[str], typer.Argument(metavar="MISSION", help="Missions of the archive.", autocompletion=complete_mission)
    ],
    *,
    obs_ids: ObsIds = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept what is shown without asking.")] = False,
    then_release: ThenRelease = False,
    message: Title = "",
    dry_run: DryRun = False,
    jobs: Jobs = None,
    executor: Executor = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per mission.")] = False,
) -> None:
    """Remove observations from the archive; without --obs, remove whole missions.

    No service is queried, and no other observation changes. Overrides of the observations go with them. Products are
    removed by the next `daxa run` (those of a whole mission at once); earlier releases keep them.
    """
    import daxa
    from daxa.archive.drop import plan_drop, plan_mission_drop
    from daxa.archive.named_choices import named_missions, named_obs_ids
    from daxa.archive.stage_records import selected_ids

    archive = daxa.open(acting=not dry_run)
    layout, config, gone_before = archive.layout, archive.config, False
    if then_release:
        named, ids = _without_dropped(archive, missions, obs_ids or [])
        gone_before = not named or (bool(obs_ids) and not ids)
        missions, obs_ids = named, ids
    if gone_before:
        note("what you named is no longer in the archive")
        run_and_release(archive.root, message, jobs, executor, as_json=as_json)
        return
    names = named_missions(config, missions)
    gone = set(named_obs_ids(layout, names, obs_ids))
    plan: SelectionPlan | MissionDrop
    if gone:
        own = {name: gone.intersection(selected_ids(layout, name)) for name in names}
        plan = plan_drop(layout, {name: ids for name, ids in own.items() if ids})
    else:
        plan = plan_mission_drop(layout, names)
    settle(
        plan,
        yes=yes,
        as_json=as_json,
        dry_run=dry_run,
        then_release=then_release,
        message=message,
        jobs=jobs,
        executor=executor,
    )


def _without_dropped(archive: daxa.Archive, missions: list[str], obs_ids: list[str]) -> tuple[list[str], list[str]]:
    """What is named, without what was dropped since the last release: this command did it, and was interrupted."""
    from daxa.archive.stage_records import selected_ids
    from daxa.missions import find_mission
    from daxa.stages.releasing import released_ids

    before, present = released_ids(archive.layout), archive.config.missions
    left = [one for one in missions if one in present or find_mission(one).name in present or one not in before]
    own = [find_mission(one).name for one in left]
    now = {obs_id for one in own if one in present for obs_id in selected_ids(archive.layout, one)}
    then = {obs_id for one in own for obs_id in before.get(one, ())}
    return left, [one for one in obs_ids if one in now or one not in then]
