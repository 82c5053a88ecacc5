"""Status says what the runner would do, and why."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from daxa.archive.config import load_config
from daxa.archive.layout import STEPS, Layout
from daxa.backends.native import NATIVE
from daxa.cli import main
from daxa.cli.status import show_status
from daxa.run.journal import append_rows, open_journal
from daxa.run.ledger import read_ledger
from daxa.run.runner import plan_stage
from daxa.stages import status as status_module
from daxa.stages.forecast import forecast_run
from daxa.stages.status import StageStatus, read_status
from tests.stages.archives import IDS, choose, make_archive, run, set_parameter, stage_of, wish

LATER = ("outdated", "input changed")
NOW = NATIVE.version("xmm", "clean")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """An archive of which everything is done; never to be changed."""
    layout = make_archive(tmp_path_factory.mktemp("whole") / "a907")
    run(layout)
    return layout.root


@pytest.fixture
def archive(whole, tmp_path) -> Layout:
    """A copy of it at the same place in time: stamps of files and what was digested are its own."""
    root = tmp_path / "a907"
    shutil.copytree(whole, root, symlinks=True)
    layout = Layout(root)
    run(layout)  # What the copy's files are is known from now on.
    return layout


def statuses(layout: Layout, step: str, **how: object) -> dict[str, tuple[str, str]]:
    """ObsID to status and the fullest reason."""
    (stage,) = (stage for stage in read_status(layout, load_config(layout), **how) if stage.step == step)
    return told(stage)


def told(stage: StageStatus) -> dict[str, tuple[str, str]]:
    triples = zip(stage.obs_ids, stage.statuses, stage.reasons, strict=True)
    return {obs_id: (status, stage.whys.get(obs_id) or reason) for obs_id, status, reason in triples}


def everywhere(layout: Layout) -> set[str]:
    return {status for stage in read_status(layout, load_config(layout)) for status in stage.statuses}


def product(layout: Layout, step: str = "clean", obs_id: str = IDS[1]) -> Path:
    return layout.products("xmm", step) / obs_id / "attitude.dat"


def same_size(path: Path) -> None:
    path.write_bytes(path.read_bytes()[::-1])


def drop_row(layout: Layout) -> None:
    choose(layout, [*IDS, "0099999901"])


def fail_events(layout: Layout) -> None:
    wish(layout, **{f"events_{IDS[0]}": "data"})
    set_parameter(layout, "events", "min_ontime", "1 ks")
    run(layout, "events")


def lock_other(layout: Layout) -> None:
    text = layout.software.read_text()
    layout.software.write_text(text.replace('version = "', 'version = "9', 3))


SITUATIONS: dict[str, Callable[[Layout], object]] = {
    "nothing": lambda layout: None,
    "parameter": lambda layout: set_parameter(layout, "clean", "flare_sigma", "2.5"),
    "override": lambda layout: set_parameter(layout, "images", "pixel", "8 arcsec", obs_id=IDS[0]),
    "first step": lambda layout: set_parameter(layout, "fetch", "extra", "x"),
    "more selected": drop_row,
    "less selected": lambda layout: choose(layout, IDS[:2]),
    "instruments": lambda layout: choose(layout, IDS, instruments="PN"),
    "failed before": fail_events,
    "file deleted": lambda layout: product(layout).unlink(),
    "directory deleted": lambda layout: shutil.rmtree(product(layout).parent),
    "truncated": lambda layout: os.truncate(product(layout), 3),
    "same size": lambda layout: same_size(product(layout)),
    "stray file": lambda layout: (product(layout).parent / "stray.dat").write_text("stray"),
    "fetched deleted": lambda layout: shutil.rmtree(product(layout, "fetch").parent),
    "fetched damaged": lambda layout: same_size(product(layout, "fetch")),
    "ledger lost": lambda layout: layout.ledger("xmm", "images").unlink(),
    "data lost": lambda layout: shutil.rmtree(layout.root / "data"),
}


@pytest.mark.parametrize("change", SITUATIONS.values(), ids=SITUATIONS)
def test_status_says_what_the_runner_would_do(archive, change):
    change(archive)
    for stage in read_status(archive, load_config(archive)):
        decided = {one.obs_id: one for one in plan_stage(stage_of(archive, stage.step)) if one.action != "remove"}
        assert sorted(decided) == sorted(stage.obs_ids)
        for obs_id, status, reason in zip(stage.obs_ids, stage.statuses, stage.reasons, strict=True):
            action = decided[obs_id].action
            if (status, reason) == LATER and action == "keep":
                continue  # A step before it is out of date: the runner comes to see that when that one has run.
            assert (action == "keep") == (status == "done"), (stage.step, obs_id, status, decided[obs_id])
            assert (action == "skip") == (reason in ("input.failed", "input.absent")), (stage.step, obs_id, reason)
            if action == "run" and status in ("outdated", "altered", "absent"):
                assert decided[obs_id].reason == reason
    check_forecast(archive)


def check_forecast(layout: Layout) -> None:
    """What the runner would do is forecast; what is forecast beside that follows from it."""
    found = {(one.step, one.obs_id): one for one in forecast_run(layout, load_config(layout)).tasks}
    decided = {(step, one.obs_id): one for step in STEPS for one in plan_stage(stage_of(layout, step))}
    decided = {task: one for task, one in decided.items() if one.action in ("run", "remove")}
    assert decided.keys() <= found.keys()
    assert all(found[task].action == one.action for task, one in decided.items())
    for step, obs_id in found.keys() - decided.keys():
        assert found[step, obs_id].reason == "follows"
        assert any((before, obs_id) in found for before in STEPS[: STEPS.index(step)])


def test_a_changed_parameter_is_named_and_later_steps_follow(archive):
    assert everywhere(archive) == {"done"}
    set_parameter(archive, "clean", "flare_sigma", "2.5", obs_id=IDS[1])
    assert statuses(archive, "clean")[IDS[1]] == ("outdated", "parameters changed: flare_sigma")
    assert statuses(archive, "clean")[IDS[0]][0] == "done"
    assert statuses(archive, "images")[IDS[1]] == ("outdated", "clean is out of date")
    assert statuses(archive, "sources")[IDS[1]] == ("outdated", "images is out of date")
    run(archive)
    assert everywhere(archive) == {"done"}


def test_the_former_parameter_is_known_from_dvc_lock_where_products_are_absent(archive):
    import tomllib

    tables = tomllib.loads(archive.params("xmm").read_text())
    lock = {"stages": {"clean-xmm": {"params": {"params/xmm.toml": {"clean": tables["clean"]}}}}}
    archive.lock.write_text(json.dumps(lock))  # JSON is YAML.
    shutil.rmtree(archive.root / "data")
    set_parameter(archive, "clean", "flares", "none")
    assert set(statuses(archive, "clean").values()) == {("outdated", "parameters changed: flares")}
    archive.lock.write_text("[" * 2000)
    assert set(statuses(archive, "clean").values()) == {("outdated", "parameters changed")}


def test_other_reasons_are_named(archive):
    choose(archive, IDS, instruments="PN")
    assert set(statuses(archive, "events").values()) == {("outdated", "selection changed: instruments")}
    choose(archive, IDS)
    lock_other(archive)
    found = {stage.step: stage for stage in read_status(archive, load_config(archive))}
    assert told(found["clean"])[IDS[0]] == ("outdated", f"software changed: native {NOW} -> native 9{NOW}")
    assert "is locked to native" in found["clean"].problem.message
    assert found["images"].problem is None


def test_software_that_is_not_the_locked_one_is_said_once(archive, capsys):
    lock_other(archive)
    show_status(read_status(archive, load_config(archive)))
    said = capsys.readouterr().out
    assert said.count("is locked to") == said.count("install the daxa that made the archive") == 1
    assert "likewise xmm events, xmm clean\n" in said


def test_a_changed_input_is_named(archive):
    set_parameter(archive, "events", "min_ontime", "1 ks")
    run(archive, "events")
    assert set(statuses(archive, "clean").values()) == {("outdated", "input changed: events")}


def test_what_failed_is_told_with_its_reason(archive):
    fail_events(archive)
    assert statuses(archive, "events")[IDS[0]] == ("failed", "data.no-events")
    assert statuses(archive, "clean")[IDS[0]] == ("outdated", "events has failed since")
    run(archive, *STEPS[2:])
    assert statuses(archive, "clean")[IDS[0]] == ("skipped", "input.failed")


def test_in_a_fresh_clone_products_are_absent(archive):
    shutil.rmtree(archive.root / "data")
    shutil.rmtree(archive.private)
    assert set(statuses(archive, "fetch").values()) == {("done", "")}
    for step in STEPS[1:]:
        assert set(statuses(archive, step).values()) == {("absent", "product missing")}


def test_products_of_which_some_are_here_are_absent_like_those_of_which_none_is(archive):
    """After a merge, a version whose files are elsewhere may share some with those that are here."""
    first, second = (product(archive, "images", obs_id) for obs_id in IDS[:2])
    first.unlink()
    shutil.rmtree(second.parent)
    found = statuses(archive, "images")
    assert found[IDS[0]] == found[IDS[1]] == ("absent", "product missing")


def test_products_of_another_version_are_altered(archive, tmp_path):
    shutil.copytree(archive.root / "ledger", tmp_path / "ledger")
    shutil.copytree(archive.root / "params", tmp_path / "params")
    set_parameter(archive, "images", "pixel", "8 arcsec")
    run(archive)
    for name in ("ledger", "params"):
        shutil.copytree(tmp_path / name, archive.root / name, dirs_exist_ok=True)
    assert set(statuses(archive, "images").values()) == {("altered", "product damaged")}
    assert set(statuses(archive, "clean").values()) == {("done", "")}


def test_files_that_were_never_read_here_are_counted_and_read_when_asked(archive, monkeypatch):
    same_size(product(archive))
    shutil.rmtree(archive.private / "hashes")
    assert statuses(archive, "clean")[IDS[1]][0] == "altered"
    monkeypatch.setattr(status_module, "_VOLUME", 0)
    (stage,) = read_status(archive, load_config(archive), steps=["clean"])
    assert set(stage.statuses) == {"done"}
    assert stage.unread == len(IDS)
    assert statuses(archive, "clean", deep=True)[IDS[1]][0] == "altered"


def test_in_a_large_archive_directories_are_looked_at(archive, monkeypatch):
    monkeypatch.setattr(status_module, "_FEW_FILES", 0)
    assert everywhere(archive) == {"done"}
    content = product(archive).read_bytes()
    with product(archive).open("r+b") as stream:
        stream.write(content[::-1])
    assert statuses(archive, "clean")[IDS[1]][0] == "done"
    assert statuses(archive, "clean", deep=True)[IDS[1]][0] == "altered"
    assert statuses(archive, "clean", obs_ids=[IDS[1]])[IDS[1]][0] == "altered"
    (product(archive, "images").parent / "stray.dat").write_text("stray")
    assert statuses(archive, "images")[IDS[1]] == ("altered", "product damaged")
    shutil.rmtree(product(archive, "events").parent)
    assert statuses(archive, "events")[IDS[1]] == ("absent", "product missing")
    shutil.rmtree(archive.private / "hashes")
    assert all(stage.unread for stage in read_status(archive, load_config(archive)))


def test_a_running_stage_is_reported_and_its_files_may_come_and_go(archive):
    shutil.rmtree(archive.products("xmm", "clean"))
    rwlock = archive.root / ".dvc" / "tmp" / "rwlock"
    rwlock.parent.mkdir(parents=True)
    place = str(archive.products("xmm", "clean").absolute())
    rwlock.write_text(json.dumps({"write": {place: {"pid": os.getpid(), "cmd": "dvc repro"}}}))
    (stage,) = read_status(archive, load_config(archive), steps=["clean"])
    assert stage.is_process_active
    assert set(stage.statuses) == {"done"}
    rwlock.write_text(json.dumps({"write": {place: {"pid": 2**22 + 1, "cmd": "dvc repro"}}}))
    assert set(statuses(archive, "clean").values()) == {("absent", "product missing")}


def test_rows_of_a_stopped_stage_count_once_their_files_are_there(archive):
    ledger = archive.ledger("xmm", "clean")
    rows = read_ledger(ledger)
    ledger.unlink()
    with open_journal(archive.places("xmm", "clean").journal) as journal:
        append_rows(journal, [rows[IDS[0]], rows[IDS[1]]])
    shutil.rmtree(archive.products("xmm", "clean") / IDS[1])
    found = statuses(archive, "clean")
    assert found[IDS[0]] == ("done", "")
    assert found[IDS[1]] == ("todo", "interrupted")
    assert found[IDS[2]] == ("todo", "new observation")


def test_looking_changes_no_file(archive, monkeypatch):
    def look() -> dict[str, tuple[int, int]]:
        paths = (path for path in archive.root.rglob("*") if path.is_file() and archive.private not in path.parents)
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths}

    monkeypatch.chdir(archive.root)
    before = look()
    for arguments in (["status"], ["status", "--json"], ["ls"], ["status", "--deep"]):
        assert main(arguments) == 0
    assert look() == before


def test_the_table_shows_what_there_is_and_groups_reasons(archive, capsys, monkeypatch):
    monkeypatch.chdir(archive.root)
    assert main(["status"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["mission", "step", "done", "to", "do"]
    assert len(lines) == len(STEPS)
    set_parameter(archive, "images", "pixel", "8 arcsec")
    os.truncate(product(archive, "events"), 3)
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert "parameters changed: pixel" in shown
    assert shown.count("parameters changed") == 1
    assert "altered" in shown
    assert "`daxa run`" in shown.splitlines()[-1]
    assert main(["status", "--json", "--step", "images"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {record["status"] for record in records} == {"outdated"}
    assert {record["why"] for record in records} == {"parameters changed: pixel"}
    assert {record["reason"] for record in records} == {"parameters changed"}


def test_in_a_large_archive_reasons_are_the_same(archive, monkeypatch):
    set_parameter(archive, "clean", "flare_sigma", "2.5")
    fail_events(archive)
    choose(archive, [*IDS, "0099999901"])
    small = [told(stage) for stage in read_status(archive, load_config(archive))]
    monkeypatch.setattr(status_module, "_FEW_FILES", 0)
    for _ in range(2):  # The second look has what the first one kept.
        assert [told(stage) for stage in read_status(archive, load_config(archive))] == small
    assert {("outdated", "parameters changed: flare_sigma"), ("todo", "input.absent")} <= set(small[2].values())
