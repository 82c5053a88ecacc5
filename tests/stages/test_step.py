"""What a stage asks of its tasks, and when it fails."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from io import StringIO

import pytest

from daxa.archive import stage_errors
from daxa.archive.config import load_config
from daxa.archive.upstream import collect_provenance, note_provenance, row_ids
from daxa.errors import ArchiveError
from daxa.fetch.observation import FileProvenance
from daxa.run.ledger import read_ledger
from daxa.run.task import Task
from daxa.stages import step as step_module
from daxa.stages.step import make_stage, run_step
from daxa.stages.work import FetchWork, ProcessWork
from tests.stages.archives import IDS, choose, make_archive, run, stage_of, wish


@pytest.fixture
def archive(tmp_path):
    return make_archive(tmp_path / "a907")


def note_origins(layout, mission, rows):
    """Write an upstream file with a row of the archive's table and a file per observation."""
    for obs_id in rows:
        arrival = FileProvenance("PPS/list.FTZ", f"https://archive/{obs_id}", 5, "1" * 64)
        note_provenance(layout.arrivals / mission, obs_id, [arrival])
    collect_provenance(layout.upstream(mission), layout.arrivals / mission)


def test_a_fetch_or_events_task_reads_no_table_of_all_observations(archive, tmp_path, monkeypatch):
    """Else a stage costs the square of its observations."""
    from daxa.fetch import observation

    monkeypatch.setattr(step_module, "row_ids", lambda path: {obs_id: f"row-{obs_id}" for obs_id in IDS})
    run(archive, "fetch")
    tasks = [make_stage(archive, load_config(archive), step, "xmm").tasks[0] for step in ("fetch", "events")]
    settings = make_stage(archive, load_config(archive), "fetch", "xmm").work.settings
    sought = []
    monkeypatch.setattr(observation, "fetch_observation", lambda one, *args, **options: sought.append(one) or [])
    monkeypatch.setattr(observation, "restore_observation", lambda one, *args, **options: sought.append(one) or [])
    for name in ("upstream", "selection", "ledger", "params"):
        shutil.rmtree(archive.root / name, ignore_errors=True)
    FetchWork(archive.root, settings)(tasks[0], tmp_path, StringIO())
    shutil.rmtree(archive.products("xmm", "fetch") / IDS[0])  # What is in place is not looked for.
    with pytest.raises(Exception, match=IDS[0]):  # The backend then finds no event list of XMM's.
        ProcessWork(archive.root, settings)(tasks[1], tmp_path, StringIO())
    assert [(one.obs_id, one.row_id) for one in sought] == [(IDS[0], f"row-{IDS[0]}")] * 2


def test_how_an_observation_is_found_is_no_part_of_its_fingerprint():
    one = Task("xmm", "fetch", IDS[0], "daxa", "1")
    assert one.fingerprint == replace(one, origin='{"row_id":"5"}').fingerprint
    assert one.parts == replace(one, origin='{"row_id":"5"}').parts


def test_the_origin_holds_the_start_where_a_directory_depends_on_it(tmp_path):
    layout = make_archive(tmp_path / "swift", ["00020153006"], "swift", instruments="XRT", start=55541.2)
    note_origins(layout, "swift", ["00020153006"])
    (task,) = make_stage(layout, load_config(layout), "fetch", "swift").tasks
    assert json.loads(task.origin) == {"row": {"start": 55541.2}}
    choose(layout, ["00020153006"], "swift", instruments="XRT", start=float("nan"))
    (task,) = make_stage(layout, load_config(layout), "fetch", "swift").tasks
    assert json.loads(task.origin) == {}


def test_upstream_keeps_rows_and_files_apart_and_replaces_what_arrives_again(archive):
    note_origins(archive, "xmm", IDS)
    before = archive.upstream("xmm").read_bytes()
    note_origins(archive, "xmm", IDS[:1])
    assert archive.upstream("xmm").read_bytes() == before
    assert row_ids(archive.upstream("xmm")) == {}


@pytest.fixture
def stepping(archive, monkeypatch):
    """`run_step` with trivial work."""
    monkeypatch.setattr(step_module, "make_stage", lambda layout, config, step, mission, **_: stage_of(layout, step))

    def call(step: str) -> list:
        return run_step(archive.root, step, "xmm")

    run(archive, "fetch")
    return call


def test_a_failing_observation_among_others_is_a_row(archive, stepping):
    wish(archive, **{f"events_{IDS[0]}": "data"})
    assert [outcome.status for outcome in stepping("events")] == ["failed", "done", "done"]


def test_a_bug_fails_the_stage_and_its_row_is_kept(archive, stepping):
    wish(archive, **{f"events_{IDS[1]}": "bug"})
    with pytest.raises(
        ArchiveError, match=rf"1 of 3 .* bug in daxa at events: bug.TypeError, such as {IDS[1]}"
    ) as told:
        stepping("events")
    assert told.value.code == "archive.bug"
    assert f"daxa logs {IDS[1]} --step events" in told.value.remedy
    rows = read_ledger(archive.ledger("xmm", "events"))
    assert {obs_id: row.outcome for obs_id, row in rows.items()} == {IDS[0]: "done", IDS[1]: "failed", IDS[2]: "done"}
    assert not archive.places("xmm", "events").journal.exists()
    wish(archive)
    assert [outcome.status for outcome in stepping("events")] == ["kept", "done", "kept"]


def test_a_stage_fails_when_every_task_failed(archive, stepping):
    wish(archive, events="data")
    with pytest.raises(ArchiveError, match=r"all 3 observations of xmm failed at events: data\.no-events") as told:
        stepping("events")
    assert told.value.code == "archive.all-failed"
    assert "daxa run" in told.value.remedy
    assert len(read_ledger(archive.ledger("xmm", "events"))) == 3
    wish(archive)
    assert [outcome.status for outcome in stepping("events")] == ["done"] * 3


def test_the_only_observation_that_fails_fails_its_stage_and_skipped_ones_do_not_count(archive, stepping):
    wish(archive, **{f"events_{obs_id}": "data" for obs_id in IDS[:2]}, **{f"clean_{IDS[2]}": "data"})
    stepping("events")
    with pytest.raises(ArchiveError, match="the only observation of xmm failed at clean"):
        stepping("clean")
    assert [outcome.status for outcome in run(archive, "images")] == ["skipped"] * 3


def test_the_policy_rules_the_rest(archive, stepping):
    text = archive.config.read_text()
    assert "max_failed_stage = 1.0" in text
    archive.config.write_text(text.replace("max_failed_stage = 1.0", "max_failed_stage = 0.3"))
    wish(archive, **{f"events_{IDS[0]}": "data"})
    with pytest.raises(ArchiveError, match="1 of 3 observations of xmm failed at events") as told:
        stepping("events")
    assert told.value.code == "archive.too-many-failed"


def test_what_stopped_a_stage_is_noted_for_the_run_above(archive, stepping):
    wish(archive, events="bug")
    with pytest.raises(ArchiveError) as told:
        stepping("events")
    (noted,) = stage_errors.read_notes(archive)
    assert (type(noted), noted.message, noted.remedy) == (ArchiveError, told.value.message, told.value.remedy)
    stage_errors.clear_notes(archive)
    assert stage_errors.read_notes(archive) == []


def test_no_other_stage_is_there(archive):
    for step, mission in (("clean", "chandra"), ("collects", "xmm")):
        with pytest.raises(ArchiveError, match=f"no stage {step} of {mission}"):
            make_stage(archive, load_config(archive), step, mission)
