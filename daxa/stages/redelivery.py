"""Observations whose files the mission's archive has replaced: find them, fetch them again, or keep the old files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from daxa.archive.config import ArchiveConfig, load_config, settings_of, steps_of
from daxa.archive.keeping import keep_files
from daxa.archive.layout import Layout
from daxa.archive.named_choices import named_missions
from daxa.archive.pipeline import refuse_busy
from daxa.archive.upstream import read_arrivals
from daxa.errors import DataError, DaxaError, ServiceError
from daxa.fetch.replaced_files import Fetched, Replaced, find_replaced
from daxa.records import Observe, Outcome
from daxa.run.ledger import read_ledger
from daxa.run.task import LedgerRow, Task
from daxa.stages.forecast import Forecast, forecast_again
from daxa.stages.step import make_stage, run_step
from daxa.stages.work import FetchWork, wanted_of

__all__ = ["Redelivered", "Redelivery", "find_redelivered"]


@dataclass(frozen=True)
class Redelivered:
    """An observation whose files were replaced.

    Parameters
    ----------
    mission, obs_id
        Which.
    files
        The replaced files.
    """

    mission: str
    obs_id: str
    files: tuple[Replaced, ...]

    def as_dict(self) -> dict[str, object]:
        """The record as plain values, ready for JSON."""
        return {
            "mission": self.mission,
            "obs_id": self.obs_id,
            "redelivered": [file.as_dict() for file in self.files],
        }


@dataclass(frozen=True)
class Redelivery:
    """What the missions' archives have replaced; nothing changes until it is accepted or refused.

    Parameters
    ----------
    root
        The archive.
    observations
        Those whose files were replaced.
    compared
        How many observations were compared.
    failed
        Why others could not be compared.
    """

    root: Path
    observations: tuple[Redelivered, ...] = ()
    compared: int = 0
    failed: tuple[str, ...] = ()

    @property
    def obs_ids(self) -> dict[str, tuple[str, ...]]:
        """Mission to the observations whose files were replaced."""
        missions = dict.fromkeys(one.mission for one in self.observations)
        return {name: tuple(one.obs_id for one in self.observations if one.mission == name) for name in missions}

    def __bool__(self) -> bool:
        return bool(self.observations)

    def forecast(self) -> Forecast:
        """What would run if it is accepted."""
        layout = Layout(self.root)
        return forecast_again(layout, load_config(layout), self.obs_ids, "redelivered")

    def accept(self, *, observe: Observe | None = None) -> None:
        """Fetch these observations again; the next run processes them.

        Raises
        ------
        DaxaError
            As for a stage that fetches; what was done is kept, and the same call completes it.
        """
        layout = Layout(self.root)
        refuse_busy(layout)
        for step in (step.name for step in steps_of(load_config(layout)) if step.fetches):
            for mission, ids in self.obs_ids.items():
                run_step(self.root, step, mission, only=ids, again=ids, observe=observe)

    def refuse(self) -> str:
        """Keep the old files for good, in DVC and marked as no longer available; return the commit's digest.

        Raises
        ------
        ArchiveError
            A stage or DVC is running, or ``daxa.toml`` has uncommitted changes.
        DataError
            An old file is no longer on this machine.
        """
        files: dict[str, dict[str, list[str]]] = {}
        for one in self.observations:
            gone = [file.path for file in one.files if file.what != "added"]
            files.setdefault(one.mission, {})[one.obs_id] = gone
        return keep_files(Layout(self.root), files)


def find_redelivered(
    layout: Layout,
    config: ArchiveConfig,
    missions: object = (),
    *,
    observe: Observe = lambda outcome, ended, total: None,
) -> Redelivery:
    """Compare what was fetched with what the missions' archives serve now.

    One listing per observation and one request per file are made; only what differs is downloaded.
    Observations whose old files are kept are no longer compared.

    Parameters
    ----------
    layout, config
        The archive.
    missions
        Only these; all by default.
    observe
        Called for every observation that was compared.

    Raises
    ------
    StorageError
        The store cannot be written.
    """
    tasks = [
        (task, row, work)
        for mission in named_missions(config, missions) or config.missions
        for task, row, work in _fetched(layout, config, mission)
    ]
    arrivals = {mission: read_arrivals(layout.upstream(mission)) for mission in {task.mission for task, _, _ in tasks}}
    found, failed, ended = [], [], 0

    def compare(one: tuple[Task, LedgerRow, FetchWork]) -> tuple[Task, list[Replaced], str]:
        task, row, work = one
        known = arrivals[task.mission].get(task.obs_id, {})
        return task, *_compare(layout, config, work, task, Fetched(row.files, known, _place(layout, task)))

    with ThreadPoolExecutor(max(1, settings_of(config).downloads)) as pool:
        for task, replaced, why in pool.map(compare, tasks):
            ended += 1
            observe(Outcome(task.mission, task.step, task.obs_id, "failed" if why else "done"), ended, len(tasks))
            if why:
                failed.append(why)
            elif replaced:
                found.append(Redelivered(task.mission, task.obs_id, tuple(replaced)))
    return Redelivery(layout.root, tuple(found), ended - len(failed), tuple(failed))


def _fetched(layout: Layout, config: ArchiveConfig, mission: str) -> Iterator[tuple[Task, LedgerRow, FetchWork]]:
    """The fetched observations of a mission, with the work that fetches them."""
    kept = config.storage.fetched.get(mission, {})
    for step in (step for step in steps_of(config) if step.fetches):
        if not layout.ledger(mission, step.name).is_file():
            continue
        rows = read_ledger(layout.ledger(mission, step.name))
        stage = make_stage(layout, config, step.name, mission)
        for task in stage.tasks:
            row = rows.get(task.obs_id)
            if row and row.outcome == "done" and task.obs_id not in kept and isinstance(stage.work, FetchWork):
                yield task, row, stage.work


def _compare(
    layout: Layout, config: ArchiveConfig, work: FetchWork, task: Task, fetched: Fetched
) -> tuple[list[Replaced], str]:
    """The replaced files of an observation, or why they could not be compared."""
    try:
        replaced = find_replaced(
            wanted_of(task, work.inputs),
            json.loads(task.facts)["instruments"],
            json.loads(task.parameters).get("extra", []),
            fetched,
            parts=layout.parts / task.mission / task.obs_id,
            settings=settings_of(config),
        )
    except (DataError, ServiceError) as error:
        return [], f"{task.mission} {task.obs_id}: {_short(error)}"
    return replaced, ""


def _short(error: DaxaError) -> str:
    return error.message[:200]


def _place(layout: Layout, task: Task) -> Path:
    return layout.products(task.mission, task.step) / task.obs_id
