"""A forecast says what follows from a change, and what it costs; `test_status` compares it with the runner."""

from __future__ import annotations

import json
import math
import shutil

import daxa
from daxa.archive.config import load_config
from daxa.cli import main
from daxa.cli.plan import show_forecast
from daxa.run.runner import run_stage
from daxa.stages.costs import costs_noted, read_costs
from daxa.stages.forecast import Forecast, forecast_run
from tests.stages.archives import IDS, choose, run, set_parameter, stage_of, wish
from tests.stages.test_status import archive, whole  # noqa: F401 - fixtures

STEPS = ("fetch", "events", "clean", "images", "sources")


def planned(layout, **only) -> dict[tuple[str, str], tuple[str, str]]:
    tasks = forecast_run(layout, load_config(layout), **only).tasks
    return {(task.step, task.obs_id): (task.action, task.reason) for task in tasks}


def test_what_runs_is_what_was_forecast(archive):  # noqa: F811
    set_parameter(archive, "clean", "flare_sigma", "2.5", obs_id=IDS[0])
    choose(archive, [*IDS[:2], "0099999901"])
    found = planned(archive)
    assert found["clean", IDS[0]] == ("run", "parameters changed")
    assert found["sources", IDS[0]] == ("run", "follows")
    assert found["images", IDS[2]] == ("remove", "not selected")
    assert {step for step, obs_id in found if obs_id == "0099999901"} == set(STEPS)
    assert not [task for task in found if task[1] == IDS[1]]
    ran = {(one.step, one.obs_id) for one in run(archive) if one.status in ("done", "removed")}
    assert ran == found.keys()
    assert not forecast_run(archive, load_config(archive))


def test_a_failure_and_what_waits_for_it(archive):  # noqa: F811
    wish(archive, **{f"events_{IDS[0]}": "data"})
    set_parameter(archive, "events", "min_ontime", "1 ks", obs_id=IDS[0])
    run(archive)
    tasks = forecast_run(archive, load_config(archive)).tasks
    assert [(one.step, one.obs_id, one.why) for one in tasks] == [
        ("events", IDS[0], "failed before: data.no-events"),
        ("clean", IDS[0], "follows events"),
        ("images", IDS[0], "follows clean"),
        ("sources", IDS[0], "follows images"),
    ]
    assert planned(archive, steps="images").keys() == {("images", IDS[0])}
    assert planned(archive, obs_ids=IDS[1]) == {}


def test_time_and_size_come_from_past_runs_of_this_machine(archive, capsys, monkeypatch):  # noqa: F811
    set_parameter(archive, "clean", "flare_sigma", "2.5")
    config = load_config(archive)
    forecast = forecast_run(archive, config, steps="clean")
    assert math.isnan(forecast.seconds)
    assert forecast.unknown == (("xmm", "clean"),)
    assert forecast.written > 0
    assert math.isnan(forecast.transferred)
    show_forecast(forecast)
    shown = capsys.readouterr()
    assert "no past runs on this machine" in shown.err
    assert "of work" not in shown.out

    with costs_noted(archive, "xmm", "clean", None) as watch:
        run_stage(stage_of(archive, "clean"), observe=watch)
    known = read_costs(archive, "xmm", "clean")
    assert sorted(known) == sorted(IDS)
    archive.costs("xmm", "clean").write_text(json.dumps({IDS[0]: 10.0, IDS[1]: 30.0, IDS[2]: 500.0, "x": "no"}))
    set_parameter(archive, "clean", "flare_sigma", "2.6")
    choose(archive, [*IDS, "0099999901"])
    forecast = forecast_run(archive, config, steps="clean")
    seconds = {task.obs_id: task.seconds for task in forecast.tasks}
    assert seconds == {IDS[0]: 10.0, IDS[1]: 30.0, IDS[2]: 500.0, "0099999901": 30.0}
    monkeypatch.chdir(archive.root)
    assert main(["plan", "--json", "--step", "clean"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["obs_id"]: one["seconds"] for one in records} == seconds
    assert main(["plan"]) == 0
    assert "9.5 min of work" in capsys.readouterr().out
    archive.costs("xmm", "clean").write_text("{")
    assert read_costs(archive, "xmm", "clean") == {}


def test_a_forecast_reads_and_never_writes(archive):  # noqa: F811
    before = {path: path.stat().st_mtime_ns for path in archive.root.rglob("*") if "views" not in path.parts}
    set_parameter(archive, "clean", "flare_sigma", "2.5")
    before[archive.params("xmm")] = archive.params("xmm").stat().st_mtime_ns
    assert daxa.Archive(archive.root).plan("xmm", obs_ids=IDS[0])
    after = {path: path.stat().st_mtime_ns for path in archive.root.rglob("*") if "views" not in path.parts}
    assert {path for path in after if after[path] != before.get(path) and path.is_file()} == set()
    shutil.rmtree(archive.private)
    assert isinstance(daxa.Archive(archive.root).plan(), Forecast)
