"""``daxa upgrade``: bring an archive that an earlier daxa made up to date, and accept what is newer on this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.options import Json, Missions
from daxa.cli.show import note, say, show_json, show_table, show_text
from daxa.errors import CriteriaError

if TYPE_CHECKING:
    import daxa
    from daxa.archive.upgrading import UpgradePlan

__all__ = ["upgrade"]

EXAMPLES = (
    "daxa upgrade --dry-run",
    "daxa upgrade",
    "daxa upgrade --software --mission xmm",
    "daxa upgrade --calibration --mission xmm --dry-run",
)


def upgrade(
    *,
    software: Annotated[
        bool, typer.Option("--software", help="Also lock the steps to the installed software; `daxa run` reprocesses.")
    ] = False,
    calibration: Annotated[
        bool, typer.Option("--calibration", help="Only accept the installed calibration of the mission software.")
    ] = False,
    mission: Missions = None,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", metavar="FILE", help="Leave this file as it is. May be repeated.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would change, and change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring an archive that an earlier daxa made up to date, in one commit, or accept newer software or calibration.

    What you have changed in README.md, daxa.toml and other text files stays; new parameters are added to params/*.toml
    as comments. Where you and daxa have changed the same lines, nothing is written, and the lines are shown. Nothing
    is reprocessed: with --software, the steps are locked to the installed versions, and the next `daxa run` redoes
    what was made with earlier ones.

    With --calibration, the installed calibration is entered in software.toml instead, and the next `daxa run` redoes
    what was made with another one: `daxa status` shows which observations these are.
    """
    import daxa
    from daxa.archive.gate import enter_archive
    from daxa.archive.layout import Layout
    from daxa.archive.named_choices import named_missions

    if calibration and (software or keep):
        raise CriteriaError(
            "upgrade", "--calibration is given with other upgrades", remedy="give `daxa upgrade --calibration` alone"
        )
    if mission and not (software or calibration):
        raise CriteriaError(
            "upgrade",
            "the files of an archive are upgraded for all missions",
            remedy="give --mission with --software or --calibration",
        )
    if calibration:
        archive = daxa.open(acting=not dry_run)
        _accept_calibration(archive, named_missions(archive.config, mission), dry_run=dry_run, as_json=as_json)
        return
    if not dry_run:
        # What an interrupted upgrade has left is completed first.
        enter_archive(Layout(Path.cwd()), upgrades=True)
    archive = daxa.open()
    plan = archive.plan_upgrade(software=software, missions=mission, keep=keep or ())
    commit = "" if dry_run else plan.apply()
    if as_json:
        show_json([{**plan.as_dict(), "commit": commit}])
    else:
        _show(plan, commit, dry_run=dry_run)


def _show(plan: UpgradePlan, commit: str, *, dry_run: bool) -> None:
    if dry_run and plan:
        show_text(plan.diff().rstrip("\n"))
    elif plan:
        show_text("\n".join(f"upgraded: {path}" for path in sorted(plan.texts)))
        note(f"committed as {commit[:12]}")
    else:
        say("the files of the archive are up to date")
    for one in plan.waiting:
        note(
            f"{one.step} of {one.mission} stays locked to {one.locked.backend} {one.locked.version}; "
            f"{one.installed.backend} {one.installed.version} is here"
        )
    if plan.waiting:
        note("`daxa upgrade --software` locks them to what is here, and the next `daxa run` reprocesses")
    if plan.software:
        say("next: `daxa plan` shows what `daxa run` would reprocess")


def _accept_calibration(archive: daxa.Archive, missions: Sequence[str], *, dry_run: bool, as_json: bool) -> None:
    from daxa.archive.accepted_calibration import accept_calibration, other_calibration
    from daxa.run.plan import OTHER_CALIBRATION
    from daxa.stages.status import read_status

    others = other_calibration(archive.layout, archive.config, missions)
    waiting: Counter[tuple[str, str]] = Counter()
    for stage in read_status(archive.layout, archive.config, missions=missions) if others else ():
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
