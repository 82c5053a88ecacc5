"""An observation whose exposures are processed one by one: its directory and row after each of them.

Whenever a task ends, the observation's directory is rebuilt in scratch from links to the files of the
exposures that are done, and replaces the former one in a single rename, just as for
an observation that is processed as a whole: no half-finished exposure is ever there, and what is done stays
done when the others are interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from daxa.errors import DataError
from daxa.run.delivery import Delivered, discard, keep_equal_bytes, read_measures, take_file, write_manifest
from daxa.run.exposures import plan_exposures, row_of_exposures
from daxa.run.hashes import MANIFEST, HashCache, State, find_files
from daxa.run.rows import MOST_MEASURED, shorten
from daxa.run.task import ExposureRow, LedgerRow, ProductFile, Result, Task, canonical
from daxa.run.worker import TaskReport

__all__ = ["Gathering", "begin_gathering", "is_complete"]


@dataclass
class Gathering:
    """What is known of the exposures of one observation while they are processed.

    Parameters
    ----------
    whole
        The task of the whole observation.
    tasks
        Those of its exposures.
    reasons
        Exposure to why it runs.
    products
        The observation's directory.
    row
        The last recorded row.
    known
        Exposures that are done or failed.
    files
        Their files by path.
    """

    whole: Task
    tasks: Sequence[Task]
    reasons: Mapping[str, str]
    products: Path
    row: LedgerRow | None
    known: dict[str, ExposureRow]
    files: dict[str, ProductFile]
    seconds: float = 0.0
    ended: set[str] = field(default_factory=set)

    @property
    def waiting(self) -> list[Task]:
        """The tasks that have not ended."""
        return [task for task in self.tasks if task.exposure in self.reasons and task.exposure not in self.ended]

    def settle(self, reports: Sequence[TaskReport], directory: Path, hashes: HashCache) -> tuple[LedgerRow, Delivered]:
        """Build the directory as it is after these tasks; return the row and what is new in it.

        Parameters
        ----------
        reports
            Tasks of exposures that ended.
        directory
            Where to make it; it does not exist afterwards if no exposure is done.
        hashes
            To make sure that a former file is still what it was.
        """
        discard(directory)
        directory.mkdir(parents=True)
        fresh = [item for report in reports for item in self._take(report, directory, hashes)]
        made = {product.path for product, _ in fresh}
        for path in self.files.keys() - made:
            take_file(self.products / path, directory / path)
        files = sorted(self.files.values(), key=lambda file: file.path)
        row = row_of_exposures(
            self.whole, shorten(self.whole.parts), [task.exposure for task in self.tasks], self.known, files
        )
        if files:
            fresh.append(write_manifest(self.whole, directory, files, row.exposures))
            files = sorted([*files, fresh[-1][0]], key=lambda file: file.path)
        else:
            discard(directory)
        self.row = replace(row, files=tuple(files), measures=_merged_measures(directory, files))
        return self.row, fresh

    def _take(self, report: TaskReport, directory: Path, hashes: HashCache) -> Delivered:
        """Move what a task made into the directory that is being built."""
        task = report.task
        self.ended.add(task.exposure)
        self.seconds += report.seconds
        taken: Delivered = []
        outcome: Result = "done" if report.kind == "done" else "failed"
        if outcome == "done":
            products = keep_equal_bytes(
                task, list(report.products), self.row, new=report.directory, old=self.products, hashes=hashes
            )
            taken = [(product, stamp) for product, stamp in products if product.path != MANIFEST]
            for product, _ in taken:
                target = directory / product.path
                target.parent.mkdir(parents=True, exist_ok=True)
                (report.directory / product.path).rename(target)
                self.files[product.path] = product
        discard(report.directory)
        paths = tuple(product.path for product, _ in taken)
        self.known[task.exposure] = ExposureRow(
            task.exposure, outcome, report.reason, task.fingerprint, shorten(task.parts), paths
        )
        return taken


def begin_gathering(
    whole: Task, tasks: Sequence[Task], row: LedgerRow | None, products: Path, hashes: HashCache
) -> Gathering:
    """Find out which exposures of an observation have to run, and which are kept.

    Parameters
    ----------
    whole, tasks
        The task of the observation, and those of its exposures.
    row
        Its row in the ledger.
    products
        Its directory.
    hashes
        So that no file is read twice.
    """
    recorded = {file.path: file for file in row.files} if row else {}
    reasons = plan_exposures(tasks, row, _inspector(products, recorded, hashes))
    names = {task.exposure for task in tasks}
    kept = {one.exposure: one for one in (row.exposures if row else ()) if one.exposure in names - reasons.keys()}
    files = {path: recorded[path] for one in kept.values() for path in one.paths}
    return Gathering(whole, tasks, reasons, products, row, kept, files)


def is_complete(directory: Path, row: LedgerRow) -> bool:
    """Whether a directory in scratch has exactly the files of a row, by name and size."""
    try:
        found = find_files(directory) if directory.is_dir() else {}
    except DataError:
        return False
    sizes = {path: stat.st_size for path, stat in found.items()}
    return bool(sizes) and sizes == {file.path: file.size for file in row.files}


def _inspector(
    products: Path, recorded: Mapping[str, ProductFile], hashes: HashCache
) -> Callable[[ExposureRow], State]:
    try:
        found = find_files(products) if products.is_dir() else {}
    except DataError:
        found = {}  # Something is there that no product may be: all of them are made again.

    def inspect(row: ExposureRow) -> State:
        if not found.keys() >= set(row.paths):
            return "missing"
        same = all(
            found[path].st_size == recorded[path].size and hashes.sha256(products / path) == recorded[path].sha256
            for path in row.paths
        )
        return "intact" if same else "damaged"

    return inspect


def _merged_measures(directory: Path, files: Sequence[ProductFile]) -> str:
    """The measurements of all exposures in one: lists of the same name are joined."""
    merged: dict[str, object] = {}
    searched: list[object] = []
    for file in files:
        value = json.loads(read_measures(directory, [file]) or "{}")
        searched += value if isinstance(value, list) else ()
        for name, part in value.items() if isinstance(value, dict) else ():
            former = merged.get(name)
            merged[name] = [*former, *part] if isinstance(former, list) and isinstance(part, list) else part
    text = canonical(merged or searched) if merged or searched else ""
    return text if len(text) <= MOST_MEASURED else ""
