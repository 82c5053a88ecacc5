"""Judge each observation of a stage: done, outdated, failed, altered, absent, skipped, or still to do.

The decision is the runner's own, by `daxa.run.plan.reason_to_run`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from daxa.archive.layout import Layout
from daxa.archive.stage_records import StageRecord, read_exposures, read_stage_record
from daxa.errors import DaxaError
from daxa.records import Status
from daxa.run.exposures import words_on_exposures
from daxa.run.hashes import State
from daxa.run.plan import INTERRUPTED, OTHER_CALIBRATION, has_other_calibration, reason_to_run
from daxa.run.presence import Presence
from daxa.run.task import LedgerRow
from daxa.stages.changes import ChangeReasons
from daxa.stages.fingerprints import UpstreamStage, inputs_of
from daxa.stages.recipe import Recipe

__all__ = ["TO_RUN", "Comparison", "Judgement", "judge_stage"]

Judgement = tuple[Status, str, str]
"""Status, reason, and details of the reason."""


@dataclass(frozen=True)
class _Task:
    """A stand-in for a task, where many are compared (`daxa.run.plan.TaskLike`)."""

    fingerprint: str
    parts: Mapping[str, str]


@dataclass(frozen=True)
class Comparison:
    """What a stage should have done, and what is recorded of it."""

    layout: Layout
    recipe: Recipe
    chosen: Mapping[str, tuple[str, ...]]
    before: Sequence[UpstreamStage]
    wanted: Mapping[str, str]
    calibration: Mapping[str, str]
    takes_calibration: bool
    recorded: StageRecord
    is_process_active: bool
    problem: DaxaError | None
    looked: Mapping[str, LedgerRow] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    concerned: Collection[str] = ()
    """ObsIDs whose products would be made again if the newest calibration were accepted."""


def judge_stage(one: Comparison, presence: Presence) -> list[Judgement]:
    """The judgement of each chosen observation, in their order."""
    one = _with_exposures(_with_rows(one, presence))
    changes = ChangeReasons(one.layout, one.recipe)
    judgements = {obs_id: _judge(one, obs_id, presence, changes) for obs_id in one.chosen}
    waiting = {obs_id for obs_id in one.concerned if judgements.get(obs_id) == _DONE}
    return list((judgements | dict.fromkeys(waiting, ("done", OTHER_CALIBRATION, OTHER_CALIBRATION))).values())


def _with_rows(one: Comparison, presence: Presence) -> Comparison:
    """With the whole rows of the observations to inspect closely, if they were not read with all others."""
    columns = one.recorded.columns
    if columns.parts:
        return one
    there = one.wanted.keys() & one.recorded.places.keys()
    differing = {
        obs_id
        for obs_id, outcome, fingerprint in zip(columns.obs_id, columns.outcome, columns.fingerprint, strict=True)
        if outcome != "failed" and (outcome != "done" or fingerprint != one.wanted.get(obs_id))
    }
    names = {"outcome", "reason", "fingerprint", "parts"}
    looked: dict[str, LedgerRow] = {}
    suspects = (presence.suspects or set()) - differing
    for obs_ids, columns_read in ((differing, names), (suspects, {*names, "path", "size", "sha256"})):
        if obs_ids := obs_ids & there:
            mission, step = one.recipe.mission, one.recipe.step.name
            found = read_stage_record(one.layout, mission, step, columns_read, obs_ids=obs_ids, wanted=one.wanted)
            looked |= {obs_id: row for obs_id in found.places if (row := found.row(obs_id))}
    return replace(one, looked=looked)


def _with_exposures(one: Comparison) -> Comparison:
    """With a description of the failed exposures of observations."""
    if not one.recipe.splits_exposures:
        return one
    columns = one.recorded.columns
    failed = [obs_id for obs_id, at in one.recorded.places.items() if columns.outcome[at] == "failed"]
    found = read_exposures(one.layout, one.recipe.mission, one.recipe.step.name, failed) if failed else {}
    return replace(one, failed={obs_id: words_on_exposures(rows) for obs_id, rows in found.items()})


_DONE: Judgement = ("done", "", "")
TO_RUN = ("outdated", "failed", "altered", "absent", "todo")
"""The statuses of observations that a run would process."""


def _judge(one: Comparison, obs_id: str, presence: Presence, changes: ChangeReasons) -> Judgement:
    """Status, reason, and details of the reason."""
    before, columns, at = one.before, one.recorded.columns, one.recorded.places.get(obs_id)
    if obs_id not in one.wanted:
        return _without_input(one, obs_id)
    if at is None:
        return "todo", "new observation", ""
    if columns.outcome[at] == "failed":
        return _failed(columns.reason[at], one.failed.get(obs_id, ""))
    if columns.outcome[at] == "done" and columns.fingerprint[at] == one.wanted[obs_id]:
        if stale := [need.step for need in before if need.statuses[obs_id] in ("outdated", "todo")]:
            return "outdated", "input changed", f"{stale[0]} is out of date"
        if presence.suspects is not None and obs_id not in presence.suspects:
            return _DONE
    return _judge_closely(one, obs_id, presence, changes)


def _failed(reason: str, exposures: str) -> Judgement:
    if reason == INTERRUPTED:
        return "todo", reason, ""
    return "failed", reason, f"{reason}: {exposures}" if exposures else ""


def _without_input(one: Comparison, obs_id: str) -> Judgement:
    before, at = one.before, one.recorded.places.get(obs_id)
    outcomes = {need.step: need.outcomes.get(obs_id, "") for need in before}
    failed = [step for step, outcome in outcomes.items() if outcome not in ("done", "")]
    if not failed:
        return "todo", "input.absent", ""
    if at is None:
        return "todo", "input.failed", ""
    if one.recorded.columns.outcome[at] == "skipped":
        return "skipped", one.recorded.columns.reason[at], ""
    return "outdated", "input.failed", f"{failed[0]} has failed since"


def _judge_closely(one: Comparison, obs_id: str, presence: Presence, changes: ChangeReasons) -> Judgement:
    """The runner's own decision, from the row, and from its files if they matter."""
    row = one.looked.get(obs_id) or one.recorded.row(obs_id)
    if row is None:
        return "todo", "new observation", ""
    calibration = one.calibration.get(obs_id, "")
    parts = one.recipe.parts_for(obs_id, one.chosen[obs_id], inputs_of(one.before, obs_id), calibration)
    task = _Task(one.wanted[obs_id], parts)
    seen: list[State] = []

    def inspect(row: LedgerRow) -> State:
        seen.append(presence.inspect(row))
        return seen[0]

    old = not one.takes_calibration and has_other_calibration(task, row)
    reason = reason_to_run(task, row, inspect, keep_absent=one.recipe.step.fetches, ignores_calibration=old)
    if not reason:
        # Without the software, nobody knows which calibration it would use.
        why = changes.explain(row, task, OTHER_CALIBRATION, ()) if old and calibration else ""
        return ("done", OTHER_CALIBRATION, why) if why else _DONE
    # Of one cause: a version whose files are elsewhere may share some with those that are here.
    if seen and seen[0] in ("absent", "missing"):
        return ("todo", "interrupted", "") if obs_id in one.recorded.unsettled else ("absent", reason, "")
    if seen:
        return "altered", reason, ""
    if row.outcome == "skipped":
        return "todo", reason, ""
    return "outdated", reason, changes.explain(row, task, reason, [need.step for need in one.before])
