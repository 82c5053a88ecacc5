"""``daxa upgrade``: accept what is newer on this machine."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from daxa.cli.options import Json, Missions
from daxa.cli.show import say, show_json, show_table
from daxa.errors import CriteriaError

__all__ = ["upgrade"]

EXAMPLES = ("daxa upgrade --calibration", "daxa upgrade --calibration --mission xmm --dry-run")


def upgrade(
    calibration: Annotated[
        bool, typer.Option("--calibration", help="Accept the installed calibration of the mission software.")
    ] = False,
    mission: Missions = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Accept the calibration that is installed, so that `daxa run` reprocesses what was made with another one.

    A change of calibration alone reprocesses nothing: `daxa status` shows which observations it concerns. This
    command enters the installed calibration in software.toml; the next `daxa run` redoes exactly these observations.
    """
    import daxa
    from daxa.archive.accepted_calibration import accept_calibration, other_calibration
    from daxa.archive.named_choices import named_missions
    from daxa.run.plan import OTHER_CALIBRATION
    from daxa.stages.status import read_status

    if not calibration:
        raise CriteriaError("upgrade", "nothing to upgrade was named", remedy="`daxa upgrade --calibration`")
    archive = daxa.open(acting=not dry_run)
    others = other_calibration(archive.layout, archive.config, named_missions(archive.config, mission))
    waiting: Counter[tuple[str, str]] = Counter()
    for stage in read_status(archive.layout, archive.config, missions=mission or ()) if others else ():
        waiting[stage.mission, stage.step] = sum(reason == OTHER_CALIBRATION for reason in stage.reasons)
    rows = [[one.mission, one.step, one.accepted, one.installed, waiting[one.mission, one.step]] for one in others]
    columns = ["mission", "step", "accepted", "installed", "ObsIDs"]
    if not dry_run:
        accept_calibration(archive.layout, others)
    if as_json:
        names = ("mission", "step", "accepted", "installed", "observations")
        show_json(dict(zip(names, row, strict=True)) for row in rows)
    elif rows:
        show_table(columns, [[*row[:2], row[2] or "none", *row[3:]] for row in rows])
        say("\n`daxa run` reprocesses them" if not dry_run else "\nnothing was changed")
    else:
        say("the installed calibration is the accepted one")
