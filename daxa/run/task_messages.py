"""Tasks and reports as JSON, exchanged between a stage and workers on other machines."""

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
    values = json.loads(text)
    inputs = tuple(Input(one["step"], ProductFile(**one["file"])) for one in values.pop("inputs"))
    return Task(**values, inputs=inputs)


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
    values = json.loads(text)
    products = tuple(
        (ProductFile(**product), (size, mtime, inode)) for product, (size, mtime, inode) in values["products"]
    )
    return TaskReport(
        task,
        values["kind"],
        values["reason"],
        Path(values["directory"]),
        products,
        values["seconds"],
        _error(values["error"]),
    )


def _error(parts: list[str] | None) -> DaxaError | None:
    if parts is None:
        return None
    kind, name, message, remedy = parts
    family = getattr(errors, kind, ProgramError) if kind in errors.__all__ else ProgramError
    error: DaxaError = family(name, message, remedy=remedy)
    return error
