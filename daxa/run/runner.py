"""Runs a stage: plans it, does what is missing, and keeps the ledger.

Whatever interrupts a stage, running it again ends with the same bytes as one
that was not interrupted, and does only what was missing:

1. products are made, checked and digested in scratch;
2. the row is written to the journal, on disk;
3. one rename moves the products into place;
4. when every task has ended, the rows are written to the ledger, and the journal is emptied.

A kill between 2 and 3 leaves a row whose files are missing; the next plan notices that.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, BinaryIO

from daxa.errors import DaxaError
from daxa.files import no_link
from daxa.records import Observe, Outcome, Status
from daxa.run.alone import locked, storage_errors, terminated_cleanly
from daxa.run.delivery import (
    clear,
    discard,
    keep_equal_bytes,
    move_into_place,
    read_measures,
    refuse_strays,
    remove_products,
)
from daxa.run.executor import execute
from daxa.run.exposures import words_on_exposures
from daxa.run.gathering import Gathering, begin_gathering, is_complete
from daxa.run.hashes import HashCache, State, find_state
from daxa.run.journal import append_rows, open_journal, read_journal
from daxa.run.ledger import read_ledger, write_ledger
from daxa.run.lookup import keep_lookup
from daxa.run.plan import Decision, plan
from daxa.run.prepared_stage import Stage
from daxa.run.rows import check_obs_id, row_as_plain, shorten
from daxa.run.task import LedgerRow, Task, canonical
from daxa.run.worker import TaskReport, log_line

if TYPE_CHECKING:
    from daxa.records import Status
    from daxa.run.hashes import Stamp
    from daxa.run.task import ProductFile, Result

__all__ = ["plan_stage", "run_stage"]


def run_stage(stage: Stage, *, observe: Observe | None = None) -> list[Outcome]:
    """Bring the products and the ledger of a stage up to date with its tasks.

    Parameters
    ----------
    stage
        What to do, and where.
    observe
        Called with every outcome as it is known, the number of outcomes so far and the
        number of all.

    Returns
    -------
    list of Outcome
        One per observation, in the order of ObsIDs.

    Raises
    ------
    ArchiveError
        The stage is already running.
    DataError
        The ledger is damaged.
    DaxaError
        The environment is broken: finished tasks are kept in the journal.
    """
    _check(stage)
    with terminated_cleanly(), storage_errors(stage.places), locked(stage):
        return _Run(stage, observe or (lambda outcome, done, total: None)).go()


def plan_stage(stage: Stage) -> list[Decision]:
    """What `run_stage` would do now, without changing anything.

    Raises
    ------
    DataError
        The ledger is damaged.
    """
    _check(stage)
    recorded, unsettled = _recorded(stage)
    return _plan(stage, recorded, unsettled, HashCache(stage.places.hashes))


def _check(stage: Stage) -> None:
    obs_ids = [task.obs_id for task in stage.tasks] + list(stage.skipped)
    for obs_id in obs_ids:
        check_obs_id(obs_id)
    if len(set(obs_ids)) != len(obs_ids):
        raise ValueError(f"the stage {stage.step} of {stage.mission} names an ObsID twice")
    for obs_id, tasks in stage.exposures.items():
        names = [task.exposure for task in tasks]
        if len(set(names)) != len(names) or any(task.obs_id != obs_id or not task.exposure for task in tasks):
            raise ValueError(f"the stage {stage.step} of {stage.mission} has unusable exposures of {obs_id}")


def _recorded(stage: Stage) -> tuple[dict[str, LedgerRow], set[str]]:
    """Rows of the ledger and the journal, and the ObsIDs whose row comes from the journal.

    Between the run that left the journal and this one, another version may have been
    checked out: a row of the journal counts only for the task that made it.
    """
    ledger, journal = read_ledger(stage.places.ledger), read_journal(stage.places.journal)
    tasks = {task.obs_id: task for task in stage.tasks}
    unsettled = {
        obs_id
        for obs_id, row in journal.items()
        if obs_id not in ledger or (obs_id in tasks and row.fingerprint == tasks[obs_id].fingerprint)
    }
    return {**ledger, **{obs_id: journal[obs_id] for obs_id in unsettled}}, unsettled


def _plan(stage: Stage, recorded: Mapping[str, LedgerRow], unsettled: set[str], hashes: HashCache) -> list[Decision]:
    products = stage.places.products
    # Of fetched files, whatever the ledger does not name stays: a later step brought it for another version.
    names = products.is_dir() and not stage.keep_absent and stage.only is None
    present = os.listdir(products) if names else []  # noqa: PTH208 - names are wanted

    def inspect(row: LedgerRow) -> State:
        state = find_state(products / row.obs_id, row, hashes, fetched=stage.keep_absent)
        # A row of an interrupted run may be ahead of its files: they never arrived.
        return "missing" if state == "absent" and row.obs_id in unsettled else state

    return plan(
        [task for task in stage.tasks if stage.concerns(task.obs_id)],
        {obs_id: reason for obs_id, reason in stage.skipped.items() if stage.concerns(obs_id)},
        {obs_id: row for obs_id, row in recorded.items() if stage.concerns(obs_id)},
        present,
        inspect,
        keep_absent=stage.keep_absent,
        takes_calibration=stage.takes_calibration,
        again=stage.again,
    )


class _Run:
    """One run of a stage, under its lock."""

    def __init__(self, stage: Stage, observe: Observe) -> None:
        self._stage = stage
        self._places = stage.places
        self._observe = observe
        self._recorded, self._unsettled = _recorded(stage)
        self._hashes = HashCache(stage.places.hashes)
        self._total = 0
        self._outcomes: list[Outcome] = []
        self._rows: dict[str, LedgerRow] = self._other_rows()
        self._gatherings: dict[str, Gathering] = {}

    def go(self) -> list[Outcome]:
        """Plan, run the tasks, and write the ledger."""
        self._finish_deliveries()
        clear(self._places.scratch)
        decisions = _plan(self._stage, self._recorded, self._unsettled, self._hashes)
        self._total = len(decisions)
        changing = {one.obs_id: self._recorded.get(one.obs_id) for one in decisions if one.action != "keep"}
        refuse_strays(self._places.products, changing)
        if self._stage.prepare and any(decision.action == "run" for decision in decisions):
            self._stage.prepare()
        self._settle(decisions)
        reasons = {decision.obs_id: decision.reason for decision in decisions if decision.action == "run"}
        try:
            with open_journal(self._places.journal) as journal:
                self._work([task for task in self._stage.tasks if task.obs_id in reasons], reasons, journal)
        finally:
            self._hashes.save()
        if not self._stage.keep_absent:
            self._places.products.mkdir(parents=True, exist_ok=True)
        self._write(self._rows.values())
        self._places.journal.unlink()
        clear(self._places.scratch)
        return sorted(self._outcomes, key=lambda outcome: outcome.obs_id)

    def _finish_deliveries(self) -> None:
        """Put observations with exposures into place that a kill left between writing their row and moving them.

        Without this, exposures that are done would be done again.  What is there is
        compared with its row by the plan, like everything else.
        """
        for obs_id in sorted(self._unsettled):
            row, made = self._recorded[obs_id], self._places.scratch / f"{obs_id}@"
            if row.exposures and is_complete(made, row):
                move_into_place(made, self._places.products / obs_id, self._places.scratch, row)

    def _other_rows(self) -> dict[str, LedgerRow]:
        """Rows of the observations that this run does not concern, except those that are ahead of their files."""
        others = {obs_id: row for obs_id, row in self._recorded.items() if not self._stage.concerns(obs_id)}
        if ahead := {obs_id for obs_id in self._unsettled & others.keys() if not self._has_its_files(others[obs_id])}:
            ledger = read_ledger(self._places.ledger)
            kept = {obs_id: row for obs_id, row in others.items() if obs_id not in ahead}
            others = kept | {obs_id: ledger[obs_id] for obs_id in ahead & ledger.keys()}
        return others

    def _has_its_files(self, row: LedgerRow) -> bool:
        directory, fetched = self._places.products / row.obs_id, self._stage.keep_absent
        return row.outcome != "done" or find_state(directory, row, self._hashes, fetched=fetched) == "intact"

    def _write(self, rows: Collection[LedgerRow]) -> None:
        ledger, lookup = self._places.ledger, self._places.lookup
        write_ledger(ledger, rows, mission=self._stage.mission, step=self._stage.step)
        keep_lookup(ledger, lookup, ((row.obs_id, canonical(row_as_plain(row))) for row in rows))

    def _settle(self, decisions: list[Decision]) -> None:
        """Do what needs no worker: keep, skip and remove."""
        for decision in decisions:
            obs_id = decision.obs_id
            if decision.action == "keep":
                self._rows[obs_id] = self._recorded[obs_id]
                self._report(obs_id, "kept", decision.reason)
            elif decision.action == "skip":
                self._rows[obs_id] = LedgerRow(obs_id, "skipped", decision.reason)
                self._remove(obs_id)
                self._report(obs_id, "skipped", decision.reason)
            elif decision.action == "remove":
                self._remove(obs_id)
                self._remove_logs(obs_id, ())
                self._report(obs_id, "removed", decision.reason)

    def _remove(self, obs_id: str) -> None:
        remove_products(self._places.products / obs_id, self._places.scratch, self._recorded.get(obs_id))

    def _remove_logs(self, obs_id: str, kept: Collection[str]) -> None:
        row = self._recorded.get(obs_id)
        for name in {obs_id, *(row.task_names if row else ())}.difference(kept):
            (self._places.logs / f"{name}.log").unlink(missing_ok=True)

    def _tasks_of(self, tasks: list[Task], reasons: Mapping[str, str], journal: BinaryIO) -> list[Task]:
        """The tasks to run: those of exposures instead of that of their observation."""
        wanted = []
        for task in tasks:
            exposures = self._stage.exposures.get(task.obs_id)
            if exposures is None:
                wanted.append(task)
                continue
            directory = self._places.products / task.obs_id
            row = self._recorded.get(task.obs_id)
            gathering = begin_gathering(task, exposures, row, directory, self._hashes)
            self._gatherings[task.obs_id] = gathering
            if not exposures:
                self._note(task, "the backend finds no exposure to work on among its inputs")
            if not gathering.waiting:
                self._gather(task.obs_id, [], reasons, journal)
            wanted += gathering.waiting
        return wanted

    def _note(self, task: Task, text: str) -> None:
        self._places.logs.mkdir(parents=True, exist_ok=True)
        with open(self._places.logs / f"{task.name}.log", "w", encoding="utf-8", opener=no_link) as log:
            log_line(log, f"{task.mission} {task.step} {task.name}: {text}")

    def _work(self, tasks: list[Task], reasons: Mapping[str, str], journal: BinaryIO) -> None:
        if not (tasks := self._tasks_of(tasks, reasons, journal)):
            return
        self._places.logs.mkdir(parents=True, exist_ok=True)
        broken: DaxaError | None = None
        reports = (self._stage.execute or execute)(
            tasks,
            self._stage.work,
            workers=self._stage.workers,
            time_limit=self._stage.time_limit,
            scratch=self._places.scratch,
            logs=self._places.logs,
            machine=self._stage.machine,
        )
        with closing(reports):
            for batch in reports:
                broken = broken or next((report.error for report in batch if report.kind == "environment"), None)
                self._deliver([report for report in batch if report.kind != "environment"], reasons, journal)
        if broken:
            raise broken

    def _deliver(self, batch: list[TaskReport], reasons: Mapping[str, str], journal: BinaryIO) -> None:
        for obs_id in dict.fromkeys(report.task.obs_id for report in batch if report.task.exposure):
            self._gather(obs_id, [report for report in batch if report.task.obs_id == obs_id], reasons, journal)
        entries = [(report, *self._settled(report)) for report in batch if not report.task.exposure]
        append_rows(journal, [row for _, row, _ in entries])
        for report, row, delivered in entries:
            obs_id, target = row.obs_id, self._places.products / row.obs_id
            if row.outcome == "done":
                move_into_place(report.directory, target, self._places.scratch, self._recorded.get(obs_id))
            else:
                self._remove(obs_id)
                discard(report.directory)
            for product, stamp in delivered:
                self._hashes.record(target / product.path, stamp, product.sha256)
            self._rows[obs_id] = row
            self._remove_logs(obs_id, row.task_names)
            self._report(obs_id, row.outcome, row.reason or reasons[obs_id], report.seconds)

    def _gather(self, obs_id: str, reports: list[TaskReport], reasons: Mapping[str, str], journal: BinaryIO) -> None:
        """Build the directory of an observation from its exposures, after some of them have ended."""
        gathering, target = self._gatherings[obs_id], self._places.products / obs_id
        former, made = gathering.row, self._places.scratch / f"{obs_id}@"
        row, delivered = gathering.settle(reports, made, self._hashes)
        append_rows(journal, [row])
        if row.files:
            move_into_place(made, target, self._places.scratch, former)
        else:
            remove_products(target, self._places.scratch, former)
        for product, stamp in delivered:
            self._hashes.record(target / product.path, stamp, product.sha256)
        if not gathering.waiting:
            self._rows[obs_id] = row
            self._remove_logs(obs_id, row.task_names)
            why = words_on_exposures(row.exposures)
            self._report(obs_id, row.outcome, row.reason or reasons[obs_id], gathering.seconds, why)

    def _settled(self, report: TaskReport) -> tuple[LedgerRow, list[tuple[ProductFile, Stamp]]]:
        """The row of a task that has ended, and its products as they will be."""
        task, delivered = report.task, list(report.products)
        outcome: Result = "done" if report.kind == "done" else "failed"
        if report.kind == "done":
            former = self._places.products / task.obs_id
            row = self._recorded.get(task.obs_id)
            delivered = keep_equal_bytes(task, delivered, row, new=report.directory, old=former, hashes=self._hashes)
        files = tuple(product for product, _ in delivered)
        measures = read_measures(report.directory, files) if report.kind == "done" else ""
        return LedgerRow(
            task.obs_id, outcome, report.reason, task.fingerprint, shorten(task.parts), files, measures
        ), delivered

    def _report(self, obs_id: str, status: Status, reason: str, seconds: float = 0.0, why: str = "") -> None:
        outcome = Outcome(self._stage.mission, self._stage.step, obs_id, status, reason, seconds, why)
        self._outcomes.append(outcome)
        self._observe(outcome, len(self._outcomes), self._total)
