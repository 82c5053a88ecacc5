"""The state of an archive, compared with what it asks for, without running anything.

The comparison is the runner's own: fingerprints (`daxa.stages.fingerprints`), and where they differ
`daxa.run.plan.reason_to_run` (`daxa.stages.judgement`).  It takes no lock, writes nothing, asks neither Git nor DVC,
and works while the pipeline runs.

How files are inspected depends on their number: up to some twenty thousand, each of them
(`daxa.run.presence.inspect_files`); beyond that, the directories of observations.  ``deep``
inspects every file, and reads those whose digest is not known.  `daxa verify` reads all, and
compares with a release.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daxa.archive.cache import cached
from daxa.archive.config import ArchiveConfig, steps_of
from daxa.archive.dvc_processes import paths_being_written
from daxa.archive.layout import Layout
from daxa.archive.named_choices import named_missions, named_obs_ids, named_steps
from daxa.archive.stage_records import StageRecord, is_running, read_stage_record
from daxa.errors import ConfigError, DaxaError
from daxa.records import Outcome, Status
from daxa.run.ledger import LedgerColumns
from daxa.run.presence import Presence, inspect_directories, inspect_files, inspect_nothing
from daxa.run.steps import Step
from daxa.run.task import NO_INPUTS
from daxa.selection.selection_file import read_chosen
from daxa.stages.fingerprints import UpstreamStage, digests_of_products, fingerprints_of
from daxa.stages.judgement import TO_RUN, Comparison, judge_stage
from daxa.stages.recipe import Recipe, check_located, check_software, read_recipes

if TYPE_CHECKING:
    from daxa.query.criteria.accepted_types import ObsIdsLike, TextsLike

__all__ = ["StageStatus", "outcomes_of", "read_status", "stages_of"]

_FEW_FILES = 5_000_000
"""Bytes of ledgers up to which every file is inspected: about 20,000 files."""

_VOLUME = 100_000_000
"""Most bytes to read of files whose digest is not known, unless all are to be read."""


@dataclass(frozen=True)
class StageStatus:
    """The state of one step of one mission.

    Parameters
    ----------
    mission, step
        The stage.
    obs_ids
        The selected observations, sorted.
    statuses, reasons
        Of each, as in `daxa.records.Outcome`.
    whys
        ObsID to details of the reason, if there are any.
    unread
        How many observations have files whose content was not compared.
    is_process_active
        Whether the stage is running.
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
    """The reverse of `outcomes_of`: records grouped by stage."""
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
    """Compare the state of the archive with what it asks for.

    Parameters
    ----------
    layout, config
        The archive.
    missions, steps, obs_ids
        Only these, as `daxa.archive.named_choices` takes them; all by default.
    deep
        Inspect every file, and read those that have changed, or that this machine has never read.

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
    """How files are inspected."""

    every_file: bool
    volume: float
    busy: Collection[str]
    obs_ids: Collection[str] | None


def _mission_status(
    layout: Layout, mission: str, steps: Sequence[Step], chosen: Mapping[str, tuple[str, ...]], how: _InspectionMode
) -> Iterator[StageStatus]:
    recipes = read_recipes(layout, mission, steps)
    upstream: dict[str, UpstreamStage] = {}
    for step, recipe in recipes.items():
        before = [upstream[need] for need in recipe.step.needs]
        calibration, takes, concerned, problem = _calibration(recipe, chosen)
        wanted = fingerprints_of(recipe, chosen, before, calibration)
        recorded, digests = _recorded(layout, mission, step, wanted, how)
        written = {layout.name_of(path) for path in _written(layout, mission, step)}
        is_process_active = not written.isdisjoint(how.busy)
        one = Comparison(
            layout,
            recipe,
            chosen,
            before,
            wanted,
            calibration,
            takes,
            recorded,
            is_process_active,
            problem,
            concerned=concerned,
        )
        stage = _stage_status(one, _presence(one, how))
        yield stage
        statuses = dict(zip(stage.obs_ids, stage.statuses, strict=True))
        upstream[step] = UpstreamStage(step, _usable(recorded, digests), statuses, digests)


def _usable(recorded: StageRecord, digests: Mapping[str, str]) -> dict[str, str]:
    """ObsID to outcome; what failed partly but has products counts as done (`LedgerRow.usable`)."""
    return {
        obs_id: "done" if outcome == "failed" and digests[obs_id] != NO_INPUTS else outcome
        for obs_id, outcome in recorded.outcomes().items()
    }


def _calibration(
    recipe: Recipe, chosen: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, str], bool, Collection[str], DaxaError | None]:
    """ObsID to the identity of its calibration, if the step uses any; whether the installed calibration is accepted;
    ObsIDs for which it means something else; any problem.
    """
    try:
        if not recipe.is_calibrated:
            return {}, True, (), None
        found = recipe.calibrations_for(chosen)
        if takes := recipe.takes_calibration:
            return found, takes, (), None
        newest = recipe.calibrations_for(chosen, newest=True)
        return found, takes, [obs_id for obs_id in chosen if newest[obs_id] != found[obs_id]], None
    except DaxaError as problem:
        return {}, False, (), problem


_SUMMARY = ("obs_id", "outcome", "reason", "fingerprint")


def _recorded(
    layout: Layout, mission: str, step: str, wanted: Mapping[str, str], how: _InspectionMode
) -> tuple[StageRecord, Mapping[str, str]]:
    """The records of a stage, and the digests of its products.

    For a large archive, only what every observation is compared by; what is inspected closely is
    read then.
    """
    names = {"outcome", "reason", "fingerprint"}
    if how.every_file or is_running(layout, mission, step):
        names |= {"parts", "path", "science", "size", "sha256"}
        recorded = read_stage_record(layout, mission, step, names, obs_ids=how.obs_ids, wanted=wanted)
        return recorded, digests_of_products(step, recorded)

    def summarise() -> dict[str, Sequence[str]]:
        whole = read_stage_record(layout, mission, step, names | {"path", "science"})
        digests = digests_of_products(step, whole)
        columns = {name: getattr(whole.columns, name) for name in _SUMMARY}
        return columns | {"digests": [digests[obs_id] for obs_id in whole.columns.obs_id]}

    summary = cached(layout, layout.ledger(mission, step), summarise)
    digests = dict(zip(summary["obs_id"], summary.pop("digests"), strict=True))
    empty: dict[str, list[Any]] = {name: [] for name in LedgerColumns.__dataclass_fields__}
    columns = LedgerColumns(**(empty | summary))
    return StageRecord(columns, {obs_id: at for at, obs_id in enumerate(columns.obs_id)}), digests


def _written(layout: Layout, mission: str, step: str) -> tuple[Path, Path]:
    return layout.products(mission, step), layout.ledger(mission, step)


def _presence(one: Comparison, how: _InspectionMode) -> Presence:
    """How the files of the stage are inspected."""
    layout, mission, step = one.layout, one.recipe.mission, one.recipe.step.name
    if one.is_process_active:
        return inspect_nothing()
    products = layout.products(mission, step)
    hashes = layout.places(mission, step).hashes if layout.is_repository else layout.root / "no hashes"
    fetched = one.recipe.step.fetches
    if how.every_file:
        return inspect_files(products, hashes, fetched=fetched, volume=how.volume)
    return inspect_directories(products, hashes, one.recorded.places, fetched=fetched, volume=how.volume)


def _stage_status(one: Comparison, presence: Presence) -> StageStatus:
    recipe = one.recipe
    judged = judge_stage(one, presence)
    problem = one.problem
    try:
        check_software(recipe)
        if any(status in TO_RUN for status, _, _ in judged):
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
