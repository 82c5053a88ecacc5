"""An observation, and its steps through any backend, one after the other, in this process."""

from __future__ import annotations

import hashlib
import io
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from daxa.backends import find_backend
from daxa.missions import find_mission
from daxa.run.task import Input, ProductFile, Task, canonical
from daxa.simulator.raw import ROW

BEFORE = {"events": "fetch", "clean": "events", "images": "clean", "sources": "images"}


@dataclass
class Observed:
    """An observation below a directory, with one directory for each step."""

    root: Path
    mission: str
    obs_id: str
    instruments: tuple[str, ...] = ()
    logs: dict[str, str] = field(default_factory=dict)

    @classmethod
    def fetched(cls, root: Path, tree: Path, mission: str, obs_id: str) -> Observed:
        """One whose files are copied from an archive's tree, as fetching brings them."""
        shutil.copytree(tree / find_mission(mission).directory_of(obs_id, ROW), root / "fetch")
        return cls(root, mission, obs_id, find_mission(mission).default_instruments)

    def task(self, step: str, backend: str, **parameters: object) -> Task:
        place = self.root / BEFORE[step]
        inputs = tuple(
            Input(
                BEFORE[step],
                ProductFile(
                    path.relative_to(place).as_posix(),
                    path.stat().st_size,
                    hashlib.sha256(path.read_bytes()).hexdigest(),
                    "",
                ),
            )
            for path in sorted(place.rglob("*"))
            if path.is_file() and self._wanted(step, backend, path.relative_to(place).as_posix())
        )
        facts = canonical({"instruments": self.instruments})
        version = find_backend(backend).version(self.mission, step)
        return Task(self.mission, step, self.obs_id, backend, version, canonical(parameters), facts, inputs)

    def _wanted(self, step: str, backend: str, path: str) -> bool:
        if BEFORE[step] != "fetch":
            return True
        inputs = find_backend(backend).inputs(find_mission(self.mission))
        return any(one.regex(self.obs_id).fullmatch(path) for one in inputs)

    def run(self, step: str, backend: str, **parameters: object) -> Path:
        """Carry out a step; the directory with its products."""
        target, log = self.root / step, io.StringIO()
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        task, before = self.task(step, backend, **parameters), BEFORE[step]
        try:
            find_backend(backend).run(task, {before: self.root / before}, target, log)
        finally:
            self.logs[step] = log.getvalue()
        return target
