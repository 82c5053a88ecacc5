"""Archives whose stages can be run in a moment: two missions' worth of ObsIDs, trivial work, no network."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import pandas as pd
import pytest

from daxa.archive.config import FETCH_SOFTWARE, LockedSoftware, load_config
from daxa.archive.layout import STEPS, Layout
from daxa.archive.template import MissionAnswers, render
from daxa.backends.native import NATIVE
from daxa.errors import DataError
from daxa.missions import find_mission
from daxa.records import Outcome
from daxa.run.prepared_stage import Stage
from daxa.run.runner import run_stage
from daxa.run.task import Task, TaskWork
from daxa.run.worker import Assignment, _attempt, _log_end, log_line
from daxa.selection.selection_file import write_selection
from daxa.stages.step import make_stage

IDS = ("0012345678", "0404910601", "0900000089")


def make_archive(root: Path, obs_ids: Sequence[str] = IDS, mission: str = "xmm", **columns: object) -> Layout:
    """An archive of one mission in a Git repository, nothing done."""
    layout = Layout(root)
    software = tuple(
        (step, FETCH_SOFTWARE if step == "fetch" else LockedSoftware("native", NATIVE.version("xmm", step)))
        for step in STEPS
    )
    answers = MissionAnswers(find_mission(mission), {"target": ["Abell 907"]}, software)
    for path, content in render("a907", [answers]).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    subprocess.run(["git", "init", "-q", root], check=True)
    choose(layout, obs_ids, mission, **columns)
    return layout


def choose(layout: Layout, obs_ids: Sequence[str], mission: str = "xmm", **columns: object) -> None:
    """Select these observations."""
    row = {
        **dict.fromkeys(("target", "category", "mode", "exposures"), ""),
        **dict(zip(("ra", "dec", "start", "end"), (149.59, -11.06, 53000.5, 53000.9), strict=True)),
        **dict(zip(("exposure", "public_date", "roll"), (3e4, 54e3, float("nan")), strict=True)),
        "instruments": "PN,M1,M2",
        **columns,
    }
    table = pd.DataFrame([{"obs_id": obs_id, **row} for obs_id in obs_ids])
    write_selection(layout.selection(mission), table, mission=mission, criteria="{}", snapshot="0" * 64)


def stage_of(layout: Layout, step: str, mission: str = "xmm") -> Stage:
    """A stage of the archive with trivial work."""
    return simple(make_stage(layout, load_config(layout), step, mission))


def simple(stage: Stage) -> Stage:
    """The same stage with trivial work."""
    return replace(stage, work=work, workers=1)


def run(layout: Layout, *steps: str, mission: str = "xmm") -> list[Outcome]:
    """Run steps, all by default, one after the other; their work is done in this process."""
    return [outcome for step in steps or STEPS for outcome in run_here(stage_of(layout, step, mission))]


def run_here(stage: Stage) -> list[Outcome]:
    """Run a stage whose tasks are carried out in this process, one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("daxa.run.runner.execute", _execute)
        return run_stage(stage)


def _execute(tasks: Sequence[Task], work: TaskWork, *, scratch: Path, logs: Path, **_: object) -> Iterator[list]:
    """In place of `daxa.run.executor.execute`, whose processes cost a thousand times what the work does."""
    for number, task in enumerate(tasks):
        assignment = Assignment(task, scratch / str(number), logs / f"{task.name}.log", 1)
        with assignment.log.open("w", encoding="utf-8") as log:
            log_line(log, f"{task.mission} {task.step} {task.name}: {task.backend} {task.version} begins")
            report = _attempt(work, assignment, log)
            _log_end(log, report, 0.01)
        yield [replace(report, directory=assignment.directory, seconds=0.01)]


def work(task: Task, target: Path, log: TextIO) -> None:
    """Two products that are functions of the fingerprint, or the failure that the archive asks for."""
    wish = target.parents[3] / "wishes.json"
    wishes = json.loads(wish.read_text()) if wish.exists() else {}
    kind = wishes.get(f"{task.step} {task.obs_id}") or wishes.get(task.step)
    if kind == "bug":
        raise TypeError("a bug")
    if kind == "data":
        raise DataError("no-events", f"{task.obs_id} has no events", remedy="choose another")
    (target / f"obsid{task.obs_id}-instM1-subexpS001-en0.5_2.0keV-image.fits").write_text(task.fingerprint)
    (target / "attitude.dat").write_text(f"{task.obs_id} {task.parameters}\n")


def wish(layout: Layout, **failures: str) -> None:
    """Let tasks fail: step, or step and ObsID joined by ``_``, to ``bug`` or ``data``."""
    value = {name.replace("_", " "): kind for name, kind in failures.items()}
    (layout.private.parent / "wishes.json").parent.mkdir(exist_ok=True)
    (layout.private.parent / "wishes.json").write_text(json.dumps(value))


def set_parameter(layout: Layout, step: str, name: str, value: object, *, obs_id: str = "") -> None:
    """Write a parameter, or an override, as a user would."""
    import tomlkit

    path = layout.params("xmm")
    tables = tomlkit.parse(path.read_text())
    table = tables[step]
    if obs_id:
        table = table.setdefault("obs", tomlkit.table()).setdefault(obs_id, tomlkit.table())
    table[name] = value
    path.write_text(tomlkit.dumps(tables))
