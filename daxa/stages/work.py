"""What a worker process does to one observation.

Workers import this module first, so that it imports little itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from daxa.archive.layout import Layout
from daxa.archive.upstream import keep_arrivals
from daxa.errors import DataError
from daxa.files import refuse_links
from daxa.missions import find_mission
from daxa.run.task import ProductFile, Task
from daxa.settings import Settings

if TYPE_CHECKING:
    from daxa.fetch.sources import Sought

__all__ = ["FetchWork", "ProcessWork"]


@dataclass(frozen=True)
class FetchWork:
    """Fetch the files of one observation."""

    root: Path
    settings: Settings

    def __call__(self, task: Task, target: Path, log: TextIO) -> None:
        from daxa.fetch.observation import fetch_observation

        layout = Layout(self.root)
        arrivals = fetch_observation(
            _wanted(task),
            json.loads(task.facts)["instruments"],
            json.loads(task.parameters).get("extra", []),
            target=target,
            parts=layout.parts / task.mission / task.obs_id,
            settings=self.settings,
            say=lambda line: print(line, file=log),
        )
        keep_arrivals(layout.arrivals / task.mission, task.obs_id, arrivals)


@dataclass(frozen=True)
class ProcessWork:
    """Hand one observation to the backend, with its inputs made present and checked."""

    root: Path
    settings: Settings

    def __call__(self, task: Task, target: Path, log: TextIO) -> None:
        from daxa.backends import find_backend

        layout = Layout(self.root)
        sources = {}
        for step in sorted({item.step for item in task.inputs}):
            files = [item.file for item in task.inputs if item.step == step]
            sources[step] = layout.products(task.mission, step) / task.obs_id
            if step == "fetch":
                self._bring_fetched(task, files, sources[step])
            for file in files:
                _check_input(task, sources[step], file)
        find_backend(task.backend).run(task, sources, target, log)

    def _bring_fetched(self, task: Task, files: Sequence[ProductFile], directory: Path) -> None:
        from daxa.fetch.observation import restore_observation

        layout = Layout(self.root)
        for file in files:
            refuse_links(layout.root, directory / file.path)
        restore_observation(
            _wanted(task),
            files,
            target=directory,
            parts=layout.parts / task.mission / task.obs_id,
            settings=self.settings,
        )


def _wanted(task: Task) -> Sought:
    """The observation, with what its directory is found by."""
    from daxa.fetch.sources import Sought

    return Sought(find_mission(task.mission), task.obs_id, **json.loads(task.origin))


def _check_input(task: Task, directory: Path, file: ProductFile) -> None:
    path = directory / file.path
    if not path.is_file() or path.stat().st_size != file.size or _sha256(path) != file.sha256:
        raise DataError(
            "input-damaged",
            f"{task.mission} {task.obs_id}: {path} is not the file that the ledger names",
            remedy="run `dvc repro` for the step before, which makes it again",
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
