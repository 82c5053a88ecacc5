"""What a run would do, and why, observation by observation, with its likely cost.

The comparison is that of `daxa.stages.status`, and so the runner's own.  What follows from a task that
runs cannot be known in advance: a step whose inputs are made again runs only if they come out different.
Such tasks are listed, since they usually run.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal

from daxa.archive.config import ArchiveConfig, steps_of
from daxa.archive.layout import Layout
from daxa.archive.named_choices import named_missions, named_steps
from daxa.archive.stage_records import read_stage_record
from daxa.errors import DaxaError
from daxa.run.plan import OTHER_CALIBRATION
from daxa.run.steps import Step
from daxa.stages.costs import estimate, read_costs
from daxa.stages.status import StageStatus, read_status

if TYPE_CHECKING:
    from daxa.query.criteria.accepted_types import ObsIdsLike, TextsLike

__all__ = ["Forecast", "PlannedTask", "forecast_again", "forecast_run"]

_RUNS = ("todo", "outdated", "failed", "altered", "absent")
_WAITING = ("input.absent", "input.failed", "input changed")
_RESTORED = ("product missing", "product damaged", "interrupted")
"""Reasons for which products are made again unchanged, so that no later step follows."""


@dataclass(frozen=True)
class PlannedTask:
    """A task that a run would do, or an observation whose products it would remove.

    Parameters
    ----------
    mission, step, obs_id
        Which.
    action
        ``run`` or ``remove``.
    reason
        Why, as in `daxa.records.Outcome`; ``follows`` where a step that it needs runs.
    why
        Details of the reason, for people; may be empty.
    seconds
        How long it may take, from earlier tasks on this machine; nan if there were none.
    size
        Bytes that it may fetch or write, from the ledger; nan if unknown.
    """

    mission: str
    step: str
    obs_id: str
    action: Literal["run", "remove"]
    reason: str
    why: str = ""
    seconds: float = math.nan
    size: float = math.nan

    def as_dict(self) -> dict[str, object]:
        """The record as plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Forecast:
    """What a run would do.

    Parameters
    ----------
    tasks
        By mission and ObsID, then in the order of the steps.
    fetching
        Names of the steps that fetch: the sizes of the others are written, not transferred.
    problems
        Why stages cannot run at all.
    waiting
        Mission and step of each observation whose calibration has changed, which a run leaves as it is until the
        installed calibration is accepted.
    """

    tasks: tuple[PlannedTask, ...]
    fetching: frozenset[str] = frozenset()
    problems: tuple[DaxaError, ...] = ()
    waiting: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tasks)

    @classmethod
    def joined(cls, parts: Sequence[Forecast]) -> Forecast:
        """Several forecasts in one."""
        return cls(
            tuple(task for part in parts for task in part.tasks),
            frozenset().union(*(part.fetching for part in parts)),
            tuple(problem for part in parts for problem in part.problems),
            tuple(one for part in parts for one in part.waiting),
        )

    @property
    def seconds(self) -> float:
        """Total of all tasks that can be estimated from earlier ones, one after another; nan if none can."""
        return _sum(task.seconds for task in self.tasks)

    @property
    def transferred(self) -> float:
        """Bytes to fetch, as far as known; nan if unknown."""
        return _sum(task.size for task in self.tasks if task.step in self.fetching)

    @property
    def written(self) -> float:
        """Bytes of products, as far as known; nan if unknown."""
        return _sum(task.size for task in self.tasks if task.step not in self.fetching)

    @property
    def unknown(self) -> tuple[tuple[str, str], ...]:
        """Missions and steps without past runs."""
        places = ((task.mission, task.step) for task in self.tasks if task.action == "run" and math.isnan(task.seconds))
        return tuple(dict.fromkeys(places))

    def _repr_html_(self) -> str:
        import html

        heads = ("mission", "ObsID", "step", "action", "reason")
        lines = (
            "".join(
                f"<td>{html.escape(text)}</td>"
                for text in (one.mission, one.obs_id, one.step, one.action, one.why or one.reason)
            )
            for one in self.tasks
        )
        head = "".join(f"<th>{name}</th>" for name in heads)
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def forecast_run(
    layout: Layout,
    config: ArchiveConfig,
    *,
    missions: TextsLike | None = (),
    steps: TextsLike | None = (),
    obs_ids: ObsIdsLike | None = (),
) -> Forecast:
    """What `daxa run` would do, without doing anything.

    Parameters
    ----------
    layout, config
        The archive, as it is or as it would be (`daxa.archive.preview`).
    missions, steps, obs_ids
        Only these, as for `daxa.stages.status.read_status`.

    Raises
    ------
    DaxaError
        As `daxa.stages.status.read_status`.
    """
    present = steps_of(config)
    wanted = named_steps(steps, [step.name for step in present])
    stages = read_status(layout, config, missions=missions, obs_ids=obs_ids)
    tasks: list[PlannedTask] = []
    for mission in dict.fromkeys(stage.mission for stage in stages):
        own = {stage.step: stage for stage in stages if stage.mission == mission}
        running = _running(own, present)
        for step in own:
            if (step in wanted or not wanted) and running[step]:
                tasks += _with_costs(layout, mission, step, running[step])
    if not obs_ids:
        tasks += _removed(layout, config, missions, [one.name for one in present if one.name in wanted or not wanted])
    order = {step.name: at for at, step in enumerate(present)}
    tasks.sort(key=lambda task: (list(config.missions).index(task.mission), task.obs_id, order[task.step]))
    problems = tuple(stage.problem for stage in stages if stage.problem)
    waiting = tuple(
        (stage.mission, stage.step)
        for stage in stages
        if stage.step in wanted or not wanted
        for status, reason in zip(stage.statuses, stage.reasons, strict=True)
        if status == "done" and reason == OTHER_CALIBRATION
    )
    return Forecast(tuple(tasks), frozenset(step.name for step in present if step.fetches), problems, waiting)


def forecast_again(
    layout: Layout, config: ArchiveConfig, obs_ids: Mapping[str, Collection[str]], reason: str
) -> Forecast:
    """What follows if observations are fetched again: all their steps.

    Parameters
    ----------
    layout, config
        The archive.
    obs_ids
        Mission to the observations.
    reason
        Why they are fetched again.
    """
    steps = steps_of(config)
    tasks: list[PlannedTask] = []
    for mission, ids in obs_ids.items():
        for step in steps:
            why = (reason, "") if step.fetches else ("follows", f"follows {step.needs[0]}" if step.needs else "")
            tasks += _with_costs(layout, mission, step.name, dict.fromkeys(ids, why))
    order = {step.name: at for at, step in enumerate(steps)}
    tasks.sort(key=lambda task: (list(config.missions).index(task.mission), task.obs_id, order[task.step]))
    return Forecast(tuple(tasks), frozenset(step.name for step in steps if step.fetches))


def _running(stages: Mapping[str, StageStatus], steps: Sequence[Step]) -> dict[str, dict[str, tuple[str, str]]]:
    """Step to the observations for which it runs, each with the reason and its details."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for step in (one for one in steps if one.name in stages):
        stage, here = stages[step.name], {}
        for obs_id, status, reason in zip(stage.obs_ids, stage.statuses, stage.reasons, strict=True):
            first = next((need for need in step.needs if obs_id in found.get(need, ())), "")
            waits = status == "skipped" or reason in _WAITING
            if first and (waits or (status == "done" and found[first][obs_id][0] not in _RESTORED)):
                here[obs_id] = ("follows", f"follows {first}")
            elif status in _RUNS and reason not in _WAITING[:2]:
                why = f"failed before: {reason}" if status == "failed" else stage.whys.get(obs_id, "")
                here[obs_id] = (reason, why)
        found[step.name] = here
    return found


def _with_costs(
    layout: Layout, mission: str, step: str, running: Mapping[str, tuple[str, str]]
) -> Iterator[PlannedTask]:
    seconds, sizes = read_costs(layout, mission, step), _sizes(layout, mission, step)
    usual = median(sizes.values()) if sizes else math.nan
    for obs_id, (reason, why) in running.items():
        cost, size = estimate(seconds, obs_id), sizes.get(obs_id, usual)
        yield PlannedTask(mission, step, obs_id, "run", reason, why, cost, size)


def _sizes(layout: Layout, mission: str, step: str) -> dict[str, float]:
    """ObsID to the bytes of its products."""
    columns = read_stage_record(layout, mission, step, {"outcome", "size"}).columns
    return {
        obs_id: float(sum(columns.size[columns.offsets[at] : columns.offsets[at + 1]]))
        for at, (obs_id, outcome) in enumerate(zip(columns.obs_id, columns.outcome, strict=True))
        if outcome == "done"
    }


def _removed(
    layout: Layout, config: ArchiveConfig, missions: TextsLike | None, steps: Collection[str]
) -> Iterator[PlannedTask]:
    from daxa.archive.stage_records import selected_ids

    for mission in named_missions(config, missions) or tuple(config.missions):
        chosen = set(selected_ids(layout, mission))
        for step in steps:
            for obs_id in sorted(read_stage_record(layout, mission, step, {"outcome"}).places.keys() - chosen):
                yield PlannedTask(mission, step, obs_id, "remove", "not selected")


def _sum(values: Iterator[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) if known else math.nan
