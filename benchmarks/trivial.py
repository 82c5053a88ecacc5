"""Work that is none: what is left of a stage is overhead.  Workers import this module, so that it imports nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from daxa.run.task import Task

__all__ = ["trivial"]


def trivial(task: Task, target: Path, log: TextIO) -> None:
    """Write one small file."""
    (target / "product.dat").write_text(f"{task.obs_id}\n")
