"""A released archive whose work takes no time, and the same work where something has changed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import numpy as np
from astropy.io import fits

from daxa.archive import git
from daxa.archive.config import ArchiveConfig, load_config
from daxa.archive.layout import STEPS, Layout
from daxa.errors import DataError
from daxa.publish.dvc_outputs import needs_of_stages
from daxa.publish.releases.release_environment import record_environment
from daxa.run.machine import Machine
from daxa.run.prepared_stage import Stage
from daxa.run.runner import run_stage
from daxa.run.task import Task, TaskWork
from daxa.run.worker import Assignment, TaskReport, _attempt
from daxa.stages import step as step_module
from tests.stages.archives import IDS, make_archive

FIRST, SECOND, THIRD = IDS
_MAKE_STAGE = step_module.make_stage


def release(root: Path, wishes: Mapping[str, str] | None = None) -> Layout:
    """An archive of three observations, processed, locked and tagged as v1.0.0, without any DVC."""
    root.mkdir()
    layout = make_archive(root)
    wish(layout, wishes or {})
    for step in STEPS:
        run_stage(stage_of(layout, load_config(layout), step, "xmm"))
    record_environment(layout)
    seal(layout)
    git.create_tag(root, "v1.0.0", "first")
    return layout


def seal(layout: Layout, mission: str = "xmm") -> None:
    """Let ``dvc.lock`` name ledgers, selection, parameters and software as a run would, and commit all."""

    def named(name: str) -> dict[str, str]:
        digest = hashlib.md5((layout.root / name).read_bytes(), usedforsecurity=False).hexdigest()
        return {"path": name, "hash": "md5", "md5": digest}

    def value(name: str, key: str) -> object:
        found = tomllib.loads((layout.root / name).read_text())
        for part in key.split("."):
            found = found[part]
        return found

    needs, stages = needs_of_stages(layout.pipeline.read_bytes()), {}
    for stage, (deps, params) in needs.items():
        stages[stage] = {
            "cmd": f"exec daxa stage {stage.replace('-', ' ')}",
            "deps": [named(name) for name in deps],
            "params": {name: {key: value(name, key) for key in keys} for name, keys in params.items()},
            "outs": [named(f"ledger/{mission}-{stage.partition('-')[0]}.parquet")] if stage != "collect" else [],
        }
    layout.lock.write_text(json.dumps({"schema": "2.0", "stages": stages}))
    subprocess.run(["git", "add", "--all"], cwd=layout.root, check=True)
    git.commit(layout.root, ["."], "all")


def wish(layout: Layout, wishes: Mapping[str, str]) -> None:
    """Say what the work does differently: step and ObsID, or a step, to a word."""
    (layout.root / ".git" / "wishes.json").write_text(json.dumps(dict(wishes)))


def stage_of(layout: Layout, config: ArchiveConfig, step: str, mission: str) -> Stage:
    return replace(_MAKE_STAGE(layout, config, step, mission), work=work, workers=1)


def execute_here(
    tasks: Sequence[Task],
    work: TaskWork,
    *,
    workers: int,
    time_limit: float,
    scratch: Path,
    logs: Path,
    machine: Machine | None = None,
) -> Iterator[list[TaskReport]]:
    """In place of `daxa.run.executor.execute`: no process is started."""
    for number, task in enumerate(tasks):
        assignment = Assignment(task, scratch / str(number), logs / f"{task.obs_id}.log", 1)
        with assignment.log.open("w") as log:
            report = _attempt(work, assignment, log)
        yield [replace(report, directory=assignment.directory)]


def image(seed: int, **cards: object) -> bytes:
    pixels = np.random.default_rng(seed).poisson(6.0, (16, 16)).astype("i4")
    hdu = fits.ImageHDU(pixels, name="COUNTS")
    hdu.header["BUNIT"] = "count"
    hdu.header.update(cards)
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(stream)
    return stream.getvalue()


def work(task: Task, target: Path, log: TextIO) -> None:
    git_directory = next(place for place in target.parents if place.name == ".git")
    wanted = git_directory / "wishes.json"
    wishes = json.loads(wanted.read_text()) if wanted.exists() else {}
    word = wishes.get(f"{task.step} {task.obs_id}", wishes.get(task.step, ""))
    seed = IDS.index(task.obs_id)
    if word == "absent":
        raise DataError("absent", f"{task.obs_id} is not in the archive", remedy="wait")
    if task.step == "fetch":
        _fetch(target, word, seed)
        return
    name = f"obsid{task.obs_id}-instM1-subexpS001-en0.5_2.0keV-image.fits"
    (target / name).write_bytes(image(100 + seed if word == "different" else seed))
    measures = {"counts": 1234 + (word == "different")}
    if task.step == "clean":
        (target / f"obsid{task.obs_id}-instALL-subexpALL-en-measures.json").write_text(json.dumps(measures))


def _fetch(target: Path, word: str, seed: int) -> None:
    content = image(50 + seed if word == "altered" else seed)
    packed = gzip.compress(content, 1 if word == "repacked" else 9, mtime=7 if word == "repacked" else 0)
    (target / "list.FTZ").write_bytes(packed)
    if word != "fewer":
        (target / "attitude.FTZ").write_bytes(gzip.compress(image(seed, KIND="ATT"), mtime=0))
    if word == "more":
        (target / "second.FTZ").write_bytes(packed)
