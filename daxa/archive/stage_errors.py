"""The error with which a stage stopped, kept for the command that had DVC run it.

DVC writes a message of its own after that of a stage; the last message should be the one that says
what to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import daxa.errors
from daxa.archive.layout import Layout
from daxa.errors import DaxaError
from daxa.run.task import canonical

__all__ = ["clear_notes", "noted", "read_notes"]


@contextmanager
def noted(layout: Layout, stage: str) -> Iterator[None]:
    """Note the error that ends a stage, and let it pass."""
    try:
        yield
    except DaxaError as error:
        note = {"kind": type(error).__name__, "name": error.name, "message": error.message, "remedy": error.remedy}
        with suppress(OSError, DaxaError):
            place = _place(layout, stage)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(canonical(note), encoding="utf-8")
        raise


def clear_notes(layout: Layout) -> None:
    """Forget earlier errors."""
    for note in _place(layout, "any").parent.glob("*.json"):
        note.unlink(missing_ok=True)


def read_notes(layout: Layout) -> list[DaxaError]:
    """The errors that ended stages since `clear_notes`, in the order in which they came."""
    notes = sorted(_place(layout, "any").parent.glob("*.json"), key=lambda note: note.stat().st_mtime_ns)
    return [error for note in notes if (error := _read(note))]


def _read(note: Path) -> DaxaError | None:
    try:
        value = json.loads(note.read_bytes())
        kind: object = getattr(daxa.errors, value["kind"])
        if not (isinstance(kind, type) and issubclass(kind, DaxaError)):
            return None
        return kind(value["name"], value["message"], remedy=value["remedy"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _place(layout: Layout, stage: str) -> Path:
    return layout.private / "errors" / f"{stage}.json"
