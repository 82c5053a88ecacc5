"""What a worker process does to one observation.

Workers import this module first, so that it imports little itself.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from daxa.archive.layout import Layout
from daxa.archive.upstream import note_provenance
from daxa.errors import DataError
from daxa.files import read_note, refuse_links
from daxa.missions import NativeInput, find_mission
from daxa.run.delivery import discard
from daxa.run.hashes import MANIFEST, find_files
from daxa.run.machine import Resources
from daxa.run.steps import find_step
from daxa.run.task import ProductFile, Task
from daxa.settings import Settings

if TYPE_CHECKING:
    from daxa.fetch.locations import ObservationRef

__all__ = ["FetchWork", "ProcessWork", "wanted_of"]


@dataclass(frozen=True)
class FetchWork:
    """Fetch the files of one observation that the backends start from; by default those that the mission declares.

    For the observations in `kept`, whose files have since been replaced, only the old files are used.
    """

    root: Path
    settings: Settings
    inputs: tuple[NativeInput, ...] | None = None
    kept: frozenset[str] = frozenset()

    def modules(self, task: Task) -> Sequence[str]:
        """The modules that such a task imports."""
        return ("daxa.fetch.observation",)

    def __call__(self, task: Task, target: Path, log: TextIO) -> None:
        from daxa.fetch.observation import fetch_observation

        layout = Layout(self.root)
        if task.obs_id in self.kept:
            _restore_kept(layout, task, target)
            return
        arrivals = fetch_observation(
            wanted_of(task, self.inputs),
            json.loads(task.facts)["instruments"],
            json.loads(task.parameters).get("extra", []),
            target=target,
            parts=layout.parts / task.mission / task.obs_id,
            settings=self.settings,
            say=lambda line: print(line, file=log),
        )
        note_provenance(layout.arrivals / task.mission, task.obs_id, arrivals)


@dataclass(frozen=True)
class ProcessWork:
    """Hand one observation to the backend, after restoring and checking its inputs."""

    root: Path
    settings: Settings

    def modules(self, task: Task) -> Sequence[str]:
        """The modules that such a task imports, if its backend declares them."""
        from daxa.backends import find_backend

        say = getattr(find_backend(task.backend), "modules", None)
        return say(task.step) if say else ()

    def resources(self, task: Task) -> Resources:
        """The resources that such a task needs, as declared by its backend."""
        from daxa.backends import find_backend

        backend = find_backend(task.backend)
        of_task = getattr(backend, "resources_of", None)
        return of_task(task) if of_task else backend.resources(task.mission, task.step)

    def __call__(self, task: Task, target: Path, log: TextIO) -> None:
        from daxa.backends import find_backend

        layout = Layout(self.root)
        sources = {}
        for step in sorted({item.step for item in task.inputs}):
            files = [item.file for item in task.inputs if item.step == step]
            sources[step] = layout.products(task.mission, step) / task.obs_id
            fetched = find_step(step).fetches
            for file in files if fetched else ():
                refuse_links(layout.root, sources[step] / file.path)
            unfit = [file for file in files if not _is_fit(sources[step], file)]
            if fetched and unfit:
                unfit = [file for file in unfit if not _take_kept(layout, task, sources[step], file)]
            if fetched and unfit:
                # Only now: what opens connections takes a tenth of a second to import.
                self._bring_fetched(task, files, sources[step])
                unfit = [file for file in unfit if not _is_fit(sources[step], file)]
            if unfit:
                raise _damaged(task, sources[step], unfit[0])
        backend = find_backend(task.backend)
        if (resume := getattr(backend, "resume", None)) is None:
            backend.run(task, sources, target, log)
            return
        work_directory = layout.work_directory(task.mission, task.step, task.name)
        resume(task, sources, target, log, work_directory)
        discard(work_directory)

    def _bring_fetched(self, task: Task, files: Sequence[ProductFile], directory: Path) -> None:
        from daxa.fetch.observation import restore_observation

        layout = Layout(self.root)
        restore_observation(
            wanted_of(task),
            files,
            target=directory,
            parts=layout.parts / task.mission / task.obs_id,
            settings=self.settings,
        )


def wanted_of(task: Task, inputs: tuple[NativeInput, ...] | None = None) -> ObservationRef:
    """The observation, with what locates its directory, and the files to fetch."""
    from daxa.fetch.locations import ObservationRef

    spec = find_mission(task.mission)
    if inputs is not None:
        spec = spec.starting_from(inputs)
    return ObservationRef(spec, task.obs_id, **json.loads(task.origin))


def _is_fit(directory: Path, file: ProductFile) -> bool:
    """Whether the file that the ledger names is in place, compared by its digest."""
    path = directory / file.path
    return path.is_file() and path.stat().st_size == file.size and _sha256(path) == file.sha256


def _restore_kept(layout: Layout, task: Task, target: Path) -> None:
    """Put the kept files of an observation where its task needs them, if they are the files of this very task."""
    directory = layout.kept(task.mission) / task.obs_id
    refuse_links(layout.root, directory / MANIFEST)
    manifest = read_note(directory / MANIFEST)
    if manifest.get("fingerprint") != task.fingerprint:
        raise DataError(
            "kept",
            f"{task.mission} {task.obs_id}: the files were replaced in the mission's archive, and the old "
            "ones, which are kept here, are not all that is requested now",
            remedy=f"go back to the former [fetch] and instruments, or remove {task.obs_id} from "
            f"[storage.fetched.{task.mission}] in daxa.toml, which fetches the new files",
        )
    for path in find_files(directory):
        if path != MANIFEST:
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(directory / path, target / path)


def _take_kept(layout: Layout, task: Task, directory: Path, file: ProductFile) -> bool:
    """Put a kept file into place, which the mission's archive has replaced; return whether there is one."""
    kept, target = layout.kept(task.mission) / task.obs_id, directory / file.path
    refuse_links(layout.root, kept / file.path)
    if not _is_fit(kept, file):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    shutil.copyfile(kept / file.path, part)
    part.replace(target)
    return True


def _damaged(task: Task, directory: Path, file: ProductFile) -> DataError:
    return DataError(
        "input-damaged",
        f"{task.mission} {task.obs_id}: {directory / file.path} is not the file named in the ledger",
        remedy="run `dvc repro` for the step before, which makes it again",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
