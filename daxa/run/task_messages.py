"""Tasks and reports as JSON, between a stage and workers on other machines."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from daxa import errors
from daxa.errors import DaxaError, ProgramError
from daxa.run.task import Input, ProductFile, Task
from daxa.run.worker import TaskReport

__all__ = ["report_as_text", "report_from_text", "task_as_text", "task_from_text"]


def task_as_text(task: Task) -> str:
    """A task as JSON.

    Examples
    --------
    >>> events = Input("events", ProductFile("a", 1, "2", "3"))
    >>> one = Task("xmm", "clean", "0404910601", "native", "1", inputs=(events,))
    >>> task_from_text(task_as_text(one)) == one
    True
    """
    return json.dumps(asdict(task), ensure_ascii=True)


def task_from_text(text: str) -> Task:
    """The task that `task_as_text` wrote."""
    told = json.loads(text)
    inputs = tuple(Input(one["step"], ProductFile(**one["file"])) for one in told.pop("inputs"))
    return Task(**told, inputs=inputs)


def report_as_text(report: TaskReport) -> str:
    """How a task ended as JSON, without the task itself."""
    error = report.error
    return json.dumps(
        {
            "kind": report.kind,
            "reason": report.reason,
            "directory": str(report.directory),
            "products": [[asdict(product), list(stamp)] for product, stamp in report.products],
            "seconds": report.seconds,
            "error": error and [type(error).__name__, error.name, error.message, error.remedy],
        },
        ensure_ascii=True,
    )


def report_from_text(text: str, task: Task) -> TaskReport:
    """The report that `report_as_text` wrote of this task."""
    told = json.loads(text)
    products = tuple(
        (ProductFile(**product), (size, mtime, inode)) for product, (size, mtime, inode) in told["products"]
    )
    return TaskReport(
        task, told["kind"], told["reason"], Path(told["directory"]), products, told["seconds"], _error(told["error"])
    )


def _error(told: list[str] | None) -> DaxaError | None:
    if told is None:
        return None
    kind, name, message, remedy = told
    found = getattr(errors, kind, ProgramError) if kind in errors.__all__ else ProgramError
    error: DaxaError = found(name, message, remedy=remedy)
    return error
