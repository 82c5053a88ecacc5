"""What stands in an archive, compared with what it asks for, without running anything.

The comparison is the runner's own: fingerprints, and `daxa.run.plan.reason_to_run` wherever
they differ.  It takes no lock, writes nothing, asks neither Git nor DVC, and works while the
pipeline runs.

How files are looked at depends on their number: up to some twenty thousand each one is
(`daxa.run.presence.look_at_all`), beyond that the directories of observations are.  ``deep``
looks at every file, and reads those whose digest is not known.  `daxa verify` reads all, and
compares with a release.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daxa.archive.cache import cached
from daxa.archive.config import ArchiveConfig, steps_of
from daxa.archive.dvc_processes import paths_being_written
from daxa.archive.layout import Layout
from daxa.archive.named_choices import named_missions, named_obs_ids, named_steps
from daxa.archive.stage_records import StageRecord, is_running, read_exposures, read_stage_record
from daxa.errors import ConfigError, DaxaError
from daxa.records import Outcome, Status
from daxa.run.exposures import words_on_exposures
from daxa.run.hashes import MANIFEST, State
from daxa.run.ledger import LedgerColumns
from daxa.run.plan import INTERRUPTED, OTHER_CALIBRATION, has_other_calibration, reason_to_run
from daxa.run.presence import Presence, inspect_directories, inspect_files, inspect_nothing
from daxa.run.steps import Step
from daxa.run.task import NO_INPUTS, LedgerRow, canonical, fingerprint_text, input_digest
from daxa.selection.selection_file import read_chosen
from daxa.stages.changes import ChangeReasons
from daxa.stages.recipe import Recipe, check_located, check_software, read_recipes

if TYPE_CHECKING:
    from daxa.query.criteria.keywords import ObsIdsLike, TextsLike

__all__ = ["StageStatus", "outcomes_of", "read_status", "stages_of"]

_FEW_FILES = 5_000_000
"""Bytes of ledgers up to which every file is looked at: about 20,000 files."""

_VOLUME = 100_000_000
"""Bytes that are read of files whose digest is not known, unless all shall be."""

# Stand for what differs from task to task; the brackets keep them apart from all that JSON holds there.
_INPUT, _OBS_ID = "[input]", "[obs_id]"


@dataclass(frozen=True)
class StageStatus:
    """What stands of one step of one mission.

    Parameters
    ----------
    mission, step
        The stage.
    obs_ids
        The selected observations, sorted.
    statuses, reasons
        Of each, as in `daxa.records.Outcome`.
    whys
        ObsID to more of the reason, where there is more.
    unread
        How many observations have files whose content was not compared.
    is_process_active
        Whether the stage runs at the moment.
    problem
        Why the stage cannot run, if it cannot.
    """

    mission: str
    step: str
    obs_ids: Sequence[str]
    statuses: Sequence[Status]
    reasons: Sequence[str]
    whys: Mapping[str, str] = field(default_factory=dict)
    unread: int = 0
    is_process_active: bool = False
    problem: DaxaError | None = None

    @property
    def counts(self) -> Counter[str]:
        """How many observations have which status."""
        return Counter(self.statuses)


def outcomes_of(stages: Sequence[StageStatus]) -> list[Outcome]:
    """One record per mission, step and observation."""
    return [
        Outcome(stage.mission, stage.step, obs_id, status, reason, 0.0, stage.whys.get(obs_id, ""))
        for stage in stages
        for obs_id, status, reason in zip(stage.obs_ids, stage.statuses, stage.reasons, strict=True)
    ]


def stages_of(outcomes: Iterable[Outcome]) -> list[StageStatus]:
    """Records that `outcomes_of` gave, by stage again."""
    grouped: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        grouped.setdefault((outcome.mission, outcome.step), []).append(outcome)
    return [
        StageStatus(
            *stage,
            [one.obs_id for one in group],
            [one.status for one in group],
            [one.reason for one in group],
            {one.obs_id: one.why for one in group if one.why},
        )
        for stage, group in grouped.items()
    ]


def read_status(
    layout: Layout,
    config: ArchiveConfig,
    *,
    missions: TextsLike | None = (),
    steps: TextsLike | None = (),
    obs_ids: ObsIdsLike | None = (),
    deep: bool = False,
) -> list[StageStatus]:
    """Compare what stands in the archive with what it asks for.

    Parameters
    ----------
    layout, config
        The archive.
    missions, steps, obs_ids
        Only these, as `daxa.archive.named_choices` takes them; all by default.
    deep
        Look at every file, and read those that changed, or that this machine never read.

    Raises
    ------
    ArchiveError
        The archive has no such observation.
    ConfigError
        Parameters or locked software cannot be read.
    CriteriaError
        There is no such mission or step.
    DataError
        A selection or a ledger is damaged.
    """
    wanted = named_missions(config, missions) or tuple(config.missions)
    present = steps_of(config)
    names = [step.name for step in present]
    asked_steps, asked_ids = named_steps(steps, names), set(named_obs_ids(layout, wanted, obs_ids))
    chosen = {mission: _chosen(layout, mission) for mission in wanted}
    if asked_ids:
        chosen = {
            mission: {obs_id: found for obs_id, found in ids.items() if obs_id in asked_ids}
            for mission, ids in chosen.items()
        }
    ledgers = [path for mission in wanted for step in names if (path := layout.ledger(mission, step)).exists()]
    few = bool(asked_ids) or sum(path.stat().st_size for path in ledgers) <= _FEW_FILES
    how = _InspectionMode(
        every_file=few or deep,
        volume=math.inf if deep else _VOLUME,
        busy=paths_being_written(layout.root),
        obs_ids=asked_ids or None,
    )
    return [
        stage
        for mission in wanted
        if chosen[mission] or not asked_ids
        for stage in _mission_status(layout, mission, present, chosen[mission], how)
        if stage.step in asked_steps or not asked_steps
    ]


def _chosen(layout: Layout, mission: str) -> dict[str, tuple[str, ...]]:
    path = layout.selection(mission)
    found = cached(layout, path, lambda: list(read_chosen(path).items()))
    return {obs_id: tuple(instruments) for obs_id, instruments in found}


@dataclass(frozen=True)
class _InspectionMode:
    """How files are looked at."""

    every_file: bool
    volume: float
    busy: Collection[str]
    obs_ids: Collection[str] | None


@dataclass(frozen=True)
class _UpstreamStage:
    """What a stage has to know of a stage that it needs: outcomes, what stands, digests of its products."""

    step: str
    outcomes: Mapping[str, str]
    statuses: Mapping[str, Status]
    digests: Mapping[str, str]


@dataclass(frozen=True)
class _Task:
    """Stands for a task where many are compared (`daxa.run.plan.TaskLike`)."""

    fingerprint: str
    parts: Mapping[str, str]


@dataclass(frozen=True)
class _Comparison:
    """What a stage shall have done, and what is recorded of it."""

    layout: Layout
    recipe: Recipe
    chosen: Mapping[str, tuple[str, ...]]
    before: Sequence[_UpstreamStage]
    wanted: Mapping[str, str]
    calibration: Mapping[str, str]
    takes_calibration: bool
    recorded: StageRecord
    is_process_active: bool
    problem: DaxaError | None
    looked: Mapping[str, LedgerRow] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


def _mission_status(
    layout: Layout, mission: str, steps: Sequence[Step], chosen: Mapping[str, tuple[str, ...]], how: _InspectionMode
) -> Iterator[StageStatus]:
    recipes = read_recipes(layout, mission, steps)
    told: dict[str, _UpstreamStage] = {}
    for step, recipe in recipes.items():
        before = [told[need] for need in recipe.step.needs]
        calibration, takes, problem = _calibration(recipe, chosen)
        wanted = _fingerprints(recipe, chosen, before, calibration)
        recorded, digests = _recorded(layout, mission, step, wanted, how)
        written = {path.relative_to(layout.root).as_posix() for path in _written(layout, mission, step)}
        is_process_active = not written.isdisjoint(how.busy)
        one = _Comparison(
            layout, recipe, chosen, before, wanted, calibration, takes, recorded, is_process_active, problem
        )
        stage = _stage_status(one, _presence(one, how))
        yield stage
        statuses = dict(zip(stage.obs_ids, stage.statuses, strict=True))
        told[step] = _UpstreamStage(step, _usable(recorded, digests), statuses, digests)


def _usable(recorded: StageRecord, digests: Mapping[str, str]) -> dict[str, str]:
    """ObsID to outcome, where what failed in part, and has products, counts as done (`LedgerRow.usable`)."""
    return {
        obs_id: "done" if outcome == "failed" and digests[obs_id] != NO_INPUTS else outcome
        for obs_id, outcome in recorded.outcomes().items()
    }


def _calibration(
    recipe: Recipe, chosen: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, str], bool, DaxaError | None]:
    """ObsID to the identity of its calibration, of steps that use some; whether it is accepted, or cannot be told."""
    try:
        if not recipe.is_calibrated:
            return {}, True, None
        found = {obs_id: recipe.calibration_for(obs_id, instruments) for obs_id, instruments in chosen.items()}
        return found, recipe.takes_calibration, None
    except DaxaError as problem:
        return {}, False, problem


_SUMMARY = ("obs_id", "outcome", "reason", "fingerprint")


def _recorded(
    layout: Layout, mission: str, step: str, wanted: Mapping[str, str], how: _InspectionMode
) -> tuple[StageRecord, Mapping[str, str]]:
    """What is recorded of a stage, and the digests of its products.

    Of a large archive, only what every observation is compared by; what is looked at closely is
    read then.
    """
    names = {"outcome", "reason", "fingerprint"}
    if how.every_file or is_running(layout, mission, step):
        names |= {"parts", "path", "science", "size", "sha256"}
        recorded = read_stage_record(layout, mission, step, names, obs_ids=how.obs_ids, wanted=wanted)
        return recorded, _digests(step, recorded)

    def summarise() -> dict[str, Sequence[str]]:
        whole = read_stage_record(layout, mission, step, names | {"path", "science"})
        digests = _digests(step, whole)
        columns = {name: getattr(whole.columns, name) for name in _SUMMARY}
        return columns | {"digests": [digests[obs_id] for obs_id in whole.columns.obs_id]}

    summary = cached(layout, layout.ledger(mission, step), summarise)
    digests = dict(zip(summary["obs_id"], summary.pop("digests"), strict=True))
    empty: dict[str, list[Any]] = {name: [] for name in LedgerColumns.__dataclass_fields__}
    columns = LedgerColumns(**(empty | summary))
    return StageRecord(columns, {obs_id: at for at, obs_id in enumerate(columns.obs_id)}), digests


def _written(layout: Layout, mission: str, step: str) -> tuple[Path, Path]:
    return layout.products(mission, step), layout.ledger(mission, step)


def _fingerprints(
    recipe: Recipe,
    chosen: Mapping[str, tuple[str, ...]],
    before: Sequence[_UpstreamStage],
    calibration: Mapping[str, str],
) -> dict[str, str]:
    """ObsID to the fingerprint of its task, for the observations that have one.

    Equal to that of `daxa.run.task.Task`, without making tasks: all but the ObsID and the
    inputs is the same for many.
    """
    frames: dict[tuple[object, ...], tuple[str, str, str]] = {}
    found = {}
    ready = [{obs_id for obs_id, outcome in one.outcomes.items() if outcome == "done"} for one in before]
    for obs_id in chosen.keys() & set.intersection(*ready) if ready else chosen:
        instruments = chosen[obs_id]
        key = (instruments, obs_id if obs_id in recipe.overrides else "", calibration.get(obs_id, ""))
        if key not in frames:
            parts = recipe.parts_for(obs_id, instruments, _INPUT, key[2])
            frames[key] = _frame(fingerprint_text(recipe.step.name, _OBS_ID, parts))
        head, middle, tail = frames[key]
        digest = _inputs_of(before, obs_id)
        found[obs_id] = hashlib.sha256(f"{head}{digest}{middle}{obs_id}{tail}".encode()).hexdigest()
    return found


def _inputs_of(before: Sequence[_UpstreamStage], obs_id: str) -> str:
    """The digest of all inputs of a task."""
    if len(before) == 1:
        return before[0].digests[obs_id]
    return input_digest({one.step: one.digests[obs_id] for one in before})


def _frame(text: str) -> tuple[str, str, str]:
    """What stands around inputs and ObsID.

    Their keys with quotation marks are no part of any value, in which these would have a backslash.
    """
    head, key, rest = text.partition(f'"input":"{_INPUT}')
    middle, name, tail = rest.partition(f'"obs_id":"{_OBS_ID}')
    return head + key.removesuffix(_INPUT), middle + name.removesuffix(_OBS_ID), tail


def _digests(step: str, recorded: StageRecord) -> dict[str, str]:
    """ObsID to the digest of its products, as a task of the next step takes it of its inputs."""
    columns = recorded.columns
    plain = not any('"' in path for path in columns.path)
    found = {}
    for obs_id, at in recorded.places.items():
        begin, end = columns.offsets[at : at + 2]
        files = zip(columns.path[begin:end], columns.science[begin:end], strict=True)
        if plain:  # The same text as `canonical` gives, in a quarter of the time.
            lines = [f'["{step}","{path}","{science}"]' for path, science in files if path != MANIFEST]
            text = f"[{','.join(lines)}]"
        else:
            text = canonical([(step, path, science) for path, science in files if path != MANIFEST])
        found[obs_id] = hashlib.sha256(text.encode()).hexdigest()
    return found


def _presence(one: _Comparison, how: _InspectionMode) -> Presence:
    """How the files of the stage are looked at."""
    layout, mission, step = one.layout, one.recipe.mission, one.recipe.step.name
    if one.is_process_active:
        return inspect_nothing()
    products = layout.products(mission, step)
    hashes = layout.places(mission, step).hashes if layout.is_repository else layout.root / "no hashes"
    fetched = one.recipe.step.fetches
    if how.every_file:
        return inspect_files(products, hashes, fetched=fetched, volume=how.volume)
    return inspect_directories(products, hashes, one.recorded.places, fetched=fetched, volume=how.volume)


def _stage_status(one: _Comparison, presence: Presence) -> StageStatus:
    recipe = one.recipe
    one = _with_exposures(_with_rows(one, presence))
    changes = ChangeReasons(one.layout, recipe)
    judged = [_judge(one, obs_id, presence, changes) for obs_id in one.chosen]
    problem = one.problem
    try:
        check_software(recipe)
        if any(status in _TO_RUN for status, _, _ in judged):
            check_located(recipe)
    except ConfigError as error:
        problem = error
    return StageStatus(
        recipe.mission,
        recipe.step.name,
        list(one.chosen),
        [status for status, _, _ in judged],
        [reason for _, reason, _ in judged],
        {obs_id: why for obs_id, (_, _, why) in zip(one.chosen, judged, strict=True) if why},
        len(presence.unread),
        one.is_process_active,
        problem,
    )


def _with_rows(one: _Comparison, presence: Presence) -> _Comparison:
    """With the whole rows of the observations that are looked at closely, where they were not read with all others."""
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


def _with_exposures(one: _Comparison) -> _Comparison:
    """With what is to be said of observations of which some exposures failed."""
    if not one.recipe.splits_exposures:
        return one
    columns = one.recorded.columns
    failed = [obs_id for obs_id, at in one.recorded.places.items() if columns.outcome[at] == "failed"]
    found = read_exposures(one.layout, one.recipe.mission, one.recipe.step.name, failed) if failed else {}
    return replace(one, failed={obs_id: words_on_exposures(rows) for obs_id, rows in found.items()})


_DONE: tuple[Status, str, str] = ("done", "", "")
_TO_RUN = ("outdated", "failed", "altered", "absent", "todo")


def _judge(one: _Comparison, obs_id: str, presence: Presence, changes: ChangeReasons) -> tuple[Status, str, str]:
    """Status, reason, and more of the reason."""
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


def _failed(reason: str, exposures: str) -> tuple[Status, str, str]:
    if reason == INTERRUPTED:
        return "todo", reason, ""
    return "failed", reason, f"{reason}: {exposures}" if exposures else ""


def _without_input(one: _Comparison, obs_id: str) -> tuple[Status, str, str]:
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


def _judge_closely(
    one: _Comparison, obs_id: str, presence: Presence, changes: ChangeReasons
) -> tuple[Status, str, str]:
    """As the runner decides: with the row, and with a look at its files where that matters."""
    row = one.looked.get(obs_id) or one.recorded.row(obs_id)
    if row is None:
        return "todo", "new observation", ""
    calibration = one.calibration.get(obs_id, "")
    parts = one.recipe.parts_for(obs_id, one.chosen[obs_id], _inputs_of(one.before, obs_id), calibration)
    task = _Task(one.wanted[obs_id], parts)
    seen: list[State] = []

    def inspect(row: LedgerRow) -> State:
        seen.append(presence.inspect(row))
        return seen[0]

    old = not one.takes_calibration and has_other_calibration(task, row)
    reason = reason_to_run(task, row, inspect, keep_absent=one.recipe.step.fetches, ignores_calibration=old)
    if not reason:
        return ("done", OTHER_CALIBRATION, changes.explain(row, task, OTHER_CALIBRATION, ())) if old and row else _DONE
    if seen and seen[0] == "absent":
        return ("todo", "interrupted", "") if obs_id in one.recorded.unsettled else ("absent", reason, "")
    if seen:
        return "altered", reason, ""
    if row.outcome == "skipped":
        return "todo", reason, ""
    return "outdated", reason, changes.explain(row, task, reason, [need.step for need in one.before])
