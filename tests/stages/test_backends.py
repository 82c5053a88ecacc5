"""What a backend of somebody else may ask for: tasks per exposure, its software, calibration that changes."""

from __future__ import annotations

import json

import pytest

import daxa
from daxa.archive.accepted_calibration import other_calibration
from daxa.archive.config import load_config
from daxa.archive.pipeline import failed_stages, stages_hidden_from_dvc
from daxa.archive.products import find_products
from daxa.archive.software import load_software
from daxa.archive.stage_records import find_logs
from daxa.backends import find_backend
from daxa.backends.contract import check_backend, check_run
from daxa.backends.protocol import Located
from daxa.cli import main
from daxa.doctor import examine
from daxa.errors import ConfigError
from daxa.publish.releases.release_logs import _task_logs
from daxa.publish.state import read_state
from daxa.run.ledger import read_ledger
from daxa.run.runner import plan_stage
from daxa.run.task import Task
from daxa.stages.collect import metrics_of
from daxa.stages.status import outcomes_of, read_status
from daxa.stages.step import make_stage
from tests.stages.archives import IDS, run, run_here, set_parameter


def events(layout):
    return make_stage(layout, load_config(layout), "events", "xmm")


def told_of(layout, step: str = "events") -> dict[str, tuple[str, str, str]]:
    told = outcomes_of(read_status(layout, load_config(layout), steps=step))
    return {one.obs_id: (one.status, one.reason, one.why) for one in told}


def test_the_contract_holds_where_each_exposure_has_a_task(plugin, tmp_path):
    backend = find_backend("parted")
    check_backend(backend, ["xmm"], ["events"])
    task = Task("xmm", "events", IDS[0], "parted", "3", exposure="PN-S000", calibration="epoch-1")
    made = check_run(backend, task, {}, tmp_path)
    assert [name for name in made if name.startswith("PN-S000/")] == ["PN-S000/attitude.dat"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("tasks", lambda mission, step: "chip", "treats a 'chip'"),
        ("exposures", lambda task: {"../PN": task.inputs}, "cannot be the name"),
        ("exposures", lambda task: ["PN-S000"], "does not give the exposures"),
        ("exposures", None, "does not say which exposures there are"),
    ],
)
def test_the_contract_names_exposures_that_cannot_be(plugin, monkeypatch, name, value, words):
    backend = find_backend("parted")
    monkeypatch.setattr(backend, name, value, raising=False)
    with pytest.raises(AssertionError, match=words):
        check_backend(backend, ["xmm"], ["events"])


def test_the_contract_wants_what_is_missing_as_a_tuple(plugin, monkeypatch):
    backend = find_backend("parted")
    monkeypatch.setattr(
        backend, "locate", lambda: Located(False, missing="program", remedy="install it"), raising=False
    )
    with pytest.raises(AssertionError, match="tuple of texts"):
        check_backend(backend, ["xmm"], ["events"])


def test_an_archive_whose_exposures_are_made_one_by_one(parted, plugin, monkeypatch, capsys):
    """One exposure fails: its observation says so everywhere, and all else goes on."""
    fault = f"{IDS[0]}@M1-S001"
    plugin.write_text(json.dumps({"faults": {fault: "no-events"}}))
    outcomes = {one.obs_id: (one.status, one.reason, one.why) for one in run_here(events(parted))}
    assert outcomes[IDS[0]] == ("failed", "data.no-events", "1 of 3 exposures: M1-S001")
    assert {outcomes[one][0] for one in IDS[1:]} == {"done"}
    assert told_of(parted)[IDS[0]] == ("failed", "data.no-events", "data.no-events: 1 of 3 exposures: M1-S001")
    config = load_config(parted)
    records = find_products(parted, config, "xmm", step="events", obs_id=IDS[0], kind="events")
    assert {(record["instrument"], record["exposure"]) for record in records} == {("PN", "S000"), ("M2", "S002")}
    logs = find_logs(parted, config, IDS[0], "events")
    assert [log.exposure for log in logs] == ["M1-S001", "M2-S002", "PN-S000"]
    assert "has no events" in logs[0].text
    # The next step starts from what is done, and what is made of it follows the exposure that comes later.
    run(parted, "clean")
    assert {status for status, _, _ in told_of(parted, "clean").values()} == {"done"}
    plugin.write_text("{}")
    assert {one.obs_id: one.reason for one in plan_stage(events(parted)) if one.action == "run"} == {
        IDS[0]: "failed before"
    }
    run_here(events(parted))
    assert told_of(parted)[IDS[0]] == ("done", "", "")
    assert told_of(parted, "clean")[IDS[0]][:2] == ("outdated", "input changed")
    assert told_of(parted, "clean")[IDS[1]] == ("done", "", "")
    monkeypatch.chdir(parted.root)
    assert main(["logs", IDS[0], "--step", "events"]) == 0
    shown = capsys.readouterr().out
    assert f"== xmm events {IDS[0]} PN-S000\n" in shown
    row = read_ledger(parted.ledger("xmm", "events"))[IDS[0]]
    assert json.loads(row.measures) == {"exposures": ["M1-S001", "M2-S002", "PN-S000"]}


def test_report_metrics_and_release_know_exposures_that_failed(parted, plugin):
    plugin.write_text(json.dumps({"faults": {f"{IDS[0]}@M1-S001": "no-events"}}))
    run_here(events(parted))
    state = read_state(parted)
    counts = metrics_of(state)["missions"]["xmm"]["steps"]["events"]
    assert (counts["done"], counts["failed"], counts["skipped"]) == (2, 1, 0)
    cameras = metrics_of(state)["missions"]["xmm"]["instruments"]
    assert {name: one["failed"] for name, one in cameras.items()} == {"M1": 1, "M2": 0, "PN": 0}
    # A release keeps the log of every task.
    logs = {path for path in _task_logs(state) if path.startswith("xmm/events/")}
    assert logs == {path.relative_to(parted.logs).as_posix() for path in (parted.logs / "xmm" / "events").iterdir()}
    assert len(logs) == 9
    assert failed_stages(parted, load_config(parted)) == []  # No DVC has recorded it: it runs anyway.
    assert outcomes_of(read_status(parted, load_config(parted), steps="clean"))[0].status == "todo"


def test_software_that_is_not_there_stops_the_stage_before_anything_begins(parted, plugin):
    run_here(events(parted))
    before = parted.ledger("xmm", "events").read_bytes()
    plugin.write_text(json.dumps({"lost": True}))
    # What is done needs no software, and nobody can say that its calibration changed.
    assert {one.action for one in plan_stage(events(parted))} == {"keep"}
    assert {one.status for one in run_here(events(parted))} == {"kept"}
    assert [stage.problem for stage in read_status(parted, load_config(parted), steps="events")] == [None]
    set_parameter(parted, "events", "quality", "all", obs_id=IDS[1])
    (stage,) = read_status(parted, load_config(parted), steps="events")
    assert stage.problem.code == "config.backend-missing"
    with pytest.raises(ConfigError) as caught:
        run_here(events(parted))
    assert caught.value.code == "config.backend-missing"
    assert "there is no SPECTRAL_DIR" in caught.value.message
    assert "install spectral" in caught.value.remedy
    assert parted.ledger("xmm", "events").read_bytes() == before
    plugin.write_text("{}")
    assert {one.obs_id: one.status for one in run_here(events(parted))} == {
        IDS[0]: "kept",
        IDS[1]: "done",
        IDS[2]: "kept",
    }


@pytest.mark.parametrize(("name", "value"), [("tasks", lambda mission, step: "chip"), ("exposures", None)])
def test_a_backend_that_cannot_say_what_its_tasks_treat_is_refused(parted, monkeypatch, name, value):
    monkeypatch.setattr(find_backend("parted"), name, value, raising=False)
    with pytest.raises(ConfigError, match="asks for a task for each") as caught:
        events(parted)
    assert caught.value.code == "config.backend-unit"


def test_the_doctor_says_which_software_and_calibration_is_there_and_what_is_missing(parted, plugin):
    def told(*parts):
        return {one.name: one for one in examine(parted.root, parts=parts)}

    found = told("backends", "plug-ins")
    assert found["parted"].state == "ok"
    assert found["parted"].found.startswith("0.3; calibration: epoch-1; events of asca, ")
    assert found["halved"].state == "error"  # It lacks methods.
    assert "spectral-daxa" in found["step broken"].found
    plugin.write_text(json.dumps({"installed": "epoch-2"}))
    calibration = told("archive")["calibration"]
    assert (calibration.state, calibration.remedy[:27]) == ("note", "`daxa upgrade --calibration")
    assert calibration.found == "xmm events: accepted epoch-1, installed epoch-2"
    plugin.write_text(json.dumps({"lost": True}))
    # The archive needs the one, and nothing here the other.
    assert [told("backends")[name].state for name in ("parted", "spectral")] == ["error", "note"]
    assert told("backends")["parted"].found == "there is no SPECTRAL_DIR"
    assert told("backends")["parted"].remedy == "install spectral"


@pytest.fixture(params=["archive", "parted"])
def calibrated(request):
    return request.getfixturevalue(request.param)


def test_newer_calibration_is_taken_when_the_user_says_so(calibrated, plugin, monkeypatch, capsys):
    layout = calibrated
    run_here(events(layout))
    before = read_ledger(layout.ledger("xmm", "events"))
    config = load_config(layout)
    assert other_calibration(layout, config) == []
    plugin.write_text(json.dumps({"installed": "epoch-2", IDS[1]: "epoch-2"}))
    changed = "calibration changed: epoch-1 -> epoch-2"
    assert told_of(layout)[IDS[1]] == ("done", "calibration changed", changed)
    assert {told_of(layout)[one] for one in (IDS[0], IDS[2])} == {("done", "", "")}
    assert stages_hidden_from_dvc(config, outcomes_of(read_status(layout, config))) == set()
    assert {one.obs_id: (one.status, one.reason) for one in run_here(events(layout))} == {
        IDS[0]: ("kept", ""),
        IDS[1]: ("kept", "calibration changed"),
        IDS[2]: ("kept", ""),
    }
    assert read_ledger(layout.ledger("xmm", "events")) == before
    monkeypatch.chdir(layout.root)
    assert main(["status", "--step", "events"]) == 0
    shown = capsys.readouterr().out
    assert changed in shown
    assert "daxa upgrade --calibration" in shown
    text = layout.software.read_text()
    assert main(["upgrade", "--calibration", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "mission": "xmm",
        "step": "events",
        "accepted": "epoch-1",
        "installed": "epoch-2",
        "observations": 1,
    }
    assert layout.software.read_text() == text
    assert main(["upgrade", "--calibration"]) == 0
    assert "`daxa run` reprocesses them" in capsys.readouterr().out
    assert daxa.open().accept_calibration() == []
    assert layout.software.read_text() == text.replace('"epoch-1"  # accepted', '"epoch-2"  # accepted')
    assert told_of(layout)[IDS[1]] == ("outdated", "calibration changed", changed)
    assert stages_hidden_from_dvc(config, outcomes_of(read_status(layout, config))) == {("xmm", "events")}
    outcomes = {one.obs_id: (one.status, one.reason) for one in run_here(events(layout))}
    assert outcomes[IDS[1]] == ("done", "calibration changed")
    after = read_ledger(layout.ledger("xmm", "events"))
    assert [obs_id for obs_id in IDS if after[obs_id] != before[obs_id]] == [IDS[1]]


def test_a_changed_parameter_does_not_mix_calibrations(parted, plugin):
    """An exposure that runs again takes the others of its observation along, if the calibration is another."""
    plugin.write_text(json.dumps({"faults": {f"{IDS[0]}@M1-S001": "no-events"}}))
    run_here(events(parted))
    plugin.write_text(json.dumps({"installed": "epoch-2", IDS[0]: "epoch-2"}))
    run_here(events(parted))
    directory = parted.products("xmm", "events") / IDS[0]
    made = [json.loads(path.read_text()) for path in sorted(directory.glob("*-events.json"))]
    assert [one["calibration"] for one in made] == ["epoch-2"] * 3
    assert told_of(parted)[IDS[0]] == ("done", "", "")


def test_an_archive_is_made_with_the_calibration_that_is_there(plugin):
    from daxa.archive.config import LockedSoftware
    from daxa.archive.create import provided
    from daxa.archive.template import MissionAnswers, render
    from daxa.missions import find_mission
    from daxa.run.steps import OWN_STEPS, find_step

    spec, step = find_mission("xmm"), find_step("spectra")
    lock = provided(spec, step, (*OWN_STEPS, step))
    assert (lock, lock.calibration) == (LockedSoftware("spectral", "2"), "epoch-1")
    text = render("a907", [MissionAnswers(spec, {}, (("spectra", lock),))])["software.toml"]
    assert text.endswith('[xmm.spectra]\nbackend = "spectral"\nversion = "2"\ncalibration = "epoch-1"\n')


def test_what_software_toml_says_of_calibration_is_read_with_the_rest(archive):
    assert load_software(archive)["xmm", "events"].calibration == "epoch-1"
    assert load_software(archive)["xmm", "clean"].calibration == ""
    archive.software.write_text(archive.software.read_text().replace('"epoch-1"', "1"))
    with pytest.raises(ConfigError, match="calibration"):
        load_software(archive)
