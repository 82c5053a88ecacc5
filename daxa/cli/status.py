"""``daxa status``: what is done, out of date, failed and still to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.options import Missions, ObsIds, Steps
from daxa.cli.show import say, show_json, show_table, show_text
from daxa.run.plan import OTHER_CALIBRATION

if TYPE_CHECKING:
    from daxa.errors import DaxaError
    from daxa.records import Outcome
    from daxa.stages.status import StageStatus

__all__ = ["show_outcomes", "show_status", "status"]

EXAMPLES = ("daxa status", "daxa status --mission xmm --step clean", "daxa status --json", "daxa status --deep")

_COLUMNS = {
    "done": "done",
    "outdated": "out of date",
    "failed": "failed",
    "skipped": "skipped",
    "altered": "altered",
    "absent": "absent",
    "todo": "to do",
}
"""Status to its heading; a column without observations is left out, but the first and the last."""

_MOST_NAMES = 3


def status(
    mission: Missions = None,
    step: Steps = None,
    obs_id: ObsIds = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Check every file, and read those whose content has not been checked before.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON per mission, step and observation.")
    ] = False,
) -> None:
    """Show what is done, out of date, failed and left to do, per mission and step, and why.

    This is what `daxa run` would find: the parameters, inputs, software and selection are compared with those of each
    product, and the files with the ledger, by name and size, and by content if a file was modified since it was last
    read. In archives of more than about 20,000 files only the directories of the observations are checked, unless
    --deep is given. `daxa verify` reads everything and compares it with a release.

    It can be used while the pipeline runs: it takes no lock, and changes nothing in the archive.
    """
    import daxa
    from daxa.stages.status import outcomes_of, read_status

    archive = daxa.open()
    stages = read_status(
        archive.layout, archive.config, missions=mission or (), steps=step or (), obs_ids=obs_id or (), deep=deep
    )
    if as_json:
        show_json(outcome.as_dict() for outcome in outcomes_of(stages))
    else:
        show_status(stages)


def show_status(stages: Sequence[StageStatus]) -> None:
    """Write the table of counts and, below it, what is not done, by reason, and what to do."""
    counts = {(stage.mission, stage.step): stage.counts for stage in stages}
    total = sum(counts.values(), Counter())
    shown = [name for name in _COLUMNS if total[name] or name in ("done", "todo")]
    show_table(
        ["mission", "step", *(_COLUMNS[name] for name in shown)],
        [[*stage, *(count[name] for name in shown)] for stage, count in counts.items()],
    )
    for stage in stages:
        if stage.is_process_active:
            say(f"\n{stage.mission} {stage.step} is running")
    _show_problems(stages)
    reasons = [line for stage in stages for line in _reasons(stage)]
    if reasons:
        show_text("")
        show_table(["mission", "step", "what", "ObsIDs", "reason", "such as"], reasons)
    _show_next_steps(stages, total)


def _show_problems(stages: Sequence[StageStatus]) -> None:
    """Report once what keeps stages from running, however many: an upgrade of daxa concerns most of them."""
    groups: dict[str, tuple[DaxaError, list[StageStatus]]] = {}
    for stage in stages:
        if stage.problem:
            groups.setdefault(stage.problem.remedy, (stage.problem, []))[1].append(stage)
    for remedy, (problem, (_, *others)) in groups.items():
        also = "; likewise " + ", ".join(f"{stage.mission} {stage.step}" for stage in others) if others else ""
        show_text(f"\n{problem.message}{also}\n  -> {remedy}")


def show_outcomes(outcomes: Sequence[Outcome], *, as_json: bool = False) -> None:
    """Write the status that `daxa.Archive.status` gives, below what DVC has written."""
    from daxa.stages.status import stages_of

    if as_json:
        show_json(outcome.as_dict() for outcome in outcomes)
        return
    show_text("")
    show_status(stages_of(outcomes))


def _reasons(stage: StageStatus) -> list[list[object]]:
    """One line per status and reason, and the first ObsIDs it is so for."""
    groups: dict[tuple[str, str], list[str]] = {}
    for obs_id, status, reason in zip(stage.obs_ids, stage.statuses, stage.reasons, strict=True):
        if status in ("outdated", "failed", "altered") or (status == "done" and reason == OTHER_CALIBRATION):
            groups.setdefault((status, stage.whys.get(obs_id) or reason), []).append(obs_id)
    return [
        [stage.mission, stage.step, _COLUMNS[status], len(ids), reason, ", ".join(ids[:_MOST_NAMES])]
        for (status, reason), ids in sorted(groups.items(), key=lambda item: (list(_COLUMNS).index(item[0][0]), item))
    ]


def _show_next_steps(stages: Sequence[StageStatus], total: Counter[str]) -> None:
    lines = []
    if total["failed"]:
        stage = next(stage for stage in stages if stage.counts["failed"])
        lines.append(
            f"`daxa logs {stage.obs_ids[stage.statuses.index('failed')]} --step {stage.step}` says why it failed"
        )
    if total["absent"]:
        lines.append("`daxa pull` gets what is absent, if the archive's remote has it")
    if any(stage.is_process_active for stage in stages):
        lines.append("`daxa status` shows the progress")
    elif any(total[name] for name in ("outdated", "failed", "altered", "absent", "todo")):
        lines.append("`daxa run` does what is left to do, and redoes what is out of date, failed or altered")
    if any(OTHER_CALIBRATION in stage.reasons and "done" in stage.statuses for stage in stages):
        lines.append("`daxa upgrade --calibration` accepts the installed calibration, to reprocess what it concerns")
    if unread := sum(stage.unread for stage in stages):
        lines.append(f"{unread} directories were not compared by content: `daxa status --deep` reads their files")
    if lines:
        say("\n" + "\n".join(lines))
