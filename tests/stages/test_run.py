"""Running some observations alone: what stands of the others stays, and DVC goes on seeing what is not done."""

from __future__ import annotations

import os
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from daxa.archive import dvc
from daxa.archive.config import load_config
from daxa.archive.layout import Layout
from daxa.errors import ArchiveError, ConfigError, CriteriaError
from daxa.run.journal import append_rows, open_journal
from daxa.run.ledger import read_ledger
from daxa.run.plan import AGAIN
from daxa.run.runner import run_stage
from daxa.stages import run
from daxa.stages import step as step_module
from daxa.stages.reprocess import failed_observations, plan_reprocessing, settings_from
from daxa.stages.run import limited, run_archive
from tests.run.test_runner import contents, statuses
from tests.run.works import stage, task
from tests.stages import archives
from tests.stages.archives import IDS, make_archive, set_parameter, wish

NAMES = ["00001", "00002", "00003"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """An archive of which everything is done; never to be changed."""
    layout = make_archive(tmp_path_factory.mktemp("whole") / "a907")
    archives.run(layout)
    return layout.root


@pytest.fixture
def archive(whole, tmp_path) -> Layout:
    return Layout(shutil.copytree(whole, tmp_path / "a907", symlinks=True))


@pytest.fixture
def asked(monkeypatch) -> list:
    """What DVC is asked for; the work of stages that run here is trivial."""
    calls: list = []
    monkeypatch.setattr(dvc, "repro", lambda root, *stages, **options: calls.append((stages, options)))
    monkeypatch.setattr(step_module, "run_stage", lambda one, **how: run_stage(archives.simple(one), **how))
    monkeypatch.setattr(run, "check_products", lambda layout: None)
    return calls


def ran(layout) -> dict[str, int]:
    return {f"{path.parent.name} {path.stem}": path.stat().st_mtime_ns for path in layout.logs.rglob("*.log")}


def changed(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {name for name in after if before.get(name) != after[name]}


def test_a_run_of_some_leaves_the_rows_and_files_of_others(tmp_path):
    run_stage(stage(tmp_path, [task(name) for name in NAMES]))
    before = contents(tmp_path)
    (tmp_path / "data" / "clean" / "somebody").mkdir()
    new = [task(name, version="2") for name in [*NAMES[:2], "00004"]]  # 00003 is not selected any more.
    outcomes = run_stage(stage(tmp_path, new, only=frozenset({"00001", "00004"})))
    assert statuses(outcomes) == {"00001": ("done", "software changed"), "00004": ("done", "new observation")}
    after = contents(tmp_path)
    assert {path: after[path] for path in before if "00001" not in path and "ledger" not in path} == {
        path: content for path, content in before.items() if "00001" not in path and "ledger" not in path
    }
    ledger = read_ledger(tmp_path / "ledger" / "xmm-clean.parquet")
    assert sorted(ledger) == [*NAMES, "00004"]
    assert ledger["00002"].fingerprint == task("00002").fingerprint
    (tmp_path / "data" / "clean" / "somebody").rmdir()
    assert statuses(run_stage(stage(tmp_path, new)))["00002"] == ("done", "software changed")
    assert sorted(read_ledger(tmp_path / "ledger" / "xmm-clean.parquet")) == ["00001", "00002", "00004"]


def test_a_row_ahead_of_its_files_does_not_get_into_the_ledger_with_others(tmp_path):
    """A kill between the row and the files of one observation, and then a run of another."""
    run_stage(stage(tmp_path, [task(name) for name in NAMES]))
    former = read_ledger(tmp_path / "ledger" / "xmm-clean.parquet")
    run_stage(stage(tmp_path / "new", [task(name, version="2") for name in [*NAMES, "00004"]]))
    ahead = read_ledger(tmp_path / "new" / "ledger" / "xmm-clean.parquet")
    with open_journal(tmp_path / "journal.jsonl") as journal:
        append_rows(journal, [ahead["00002"], ahead["00004"]])
    new = [task(name, version="2") for name in [*NAMES, "00004"]]
    run_stage(stage(tmp_path, new, only=frozenset({"00001"})))
    ledger = read_ledger(tmp_path / "ledger" / "xmm-clean.parquet")
    assert ledger["00002"] == former["00002"]
    assert "00004" not in ledger
    run_stage(stage(tmp_path, new))
    assert contents(tmp_path)["ledger/xmm-clean.parquet"] == contents(tmp_path / "new")["ledger/xmm-clean.parquet"]


def test_what_is_asked_again_is_done_again(tmp_path):
    tasks = [task(name) for name in NAMES]
    run_stage(stage(tmp_path, tasks))
    outcomes = run_stage(stage(tmp_path, tasks, again=frozenset({"00002"})))
    assert statuses(outcomes)["00002"] == ("done", AGAIN)
    assert statuses(outcomes)["00001"] == ("kept", "")


def test_dvc_is_used_if_nothing_else_is_to_be_done(archive, asked):
    config = load_config(archive)
    set_parameter(archive, "images", "pixel", "8 arcsec", obs_id=IDS[0])
    run_archive(archive, config, obs_ids=IDS[0])
    assert asked == [((), {"keep_going": True})]


def test_without_dvc_where_others_would_run_too(archive, asked):
    set_parameter(archive, "images", "pixel", "8 arcsec")
    before, watched = ran(archive), []

    def progress(mission, step):
        watched.append((mission, step))
        return nullcontext(lambda *outcome: None)

    run_archive(archive, load_config(archive), obs_ids=[IDS[0]], progress=progress)
    assert asked == []
    assert changed(before, ran(archive)) == {f"images {IDS[0]}", f"sources {IDS[0]}"}
    assert watched == [("xmm", step) for step in ("fetch", "events", "clean", "images", "sources")]
    left = {task.obs_id for task in run.forecast_run(archive, load_config(archive)).tasks}
    assert left == set(IDS[1:])
    before = ran(archive)
    run_archive(archive, load_config(archive), obs_ids=IDS[1], steps="images")
    assert changed(before, ran(archive)) == {f"images {IDS[1]}"}


def test_whole_steps_are_requested_from_dvc_one_by_one(archive, asked):
    run_archive(archive, load_config(archive), missions="xmm", steps=["images", "clean"])
    assert asked == [((f"{step}-xmm",), {"force": False, "single": True}) for step in ("clean", "images")]


def test_what_cannot_be_run_is_refused_by_name(archive, asked):
    config = load_config(archive)
    with pytest.raises(ArchiveError, match="did you mean"):
        run_archive(archive, config, obs_ids="0404910602")
    with pytest.raises(CriteriaError, match="did you mean clean"):
        run_archive(archive, config, steps="cleen")
    set_parameter(archive, "images", "pixel", "8 arcsec", obs_id="0404910602")
    with pytest.raises(Exception, match="is not selected"):
        run_archive(archive, config, obs_ids=IDS[0])
    assert asked == []


def test_a_retry_names_what_failed_and_nothing_else(archive, asked):
    wish(archive, **{f"events_{IDS[0]}": "data"})
    set_parameter(archive, "events", "min_ontime", "1 ks", obs_id=IDS[0])
    archives.run(archive)
    set_parameter(archive, "images", "pixel", "8 arcsec", obs_id=IDS[1])
    config = load_config(archive)
    assert failed_observations(archive, config) == {"xmm": (IDS[0],)}
    assert failed_observations(archive, config, steps="clean") == {}
    wish(archive)
    before = ran(archive)
    run_archive(archive, config, obs_ids=IDS[0])
    assert changed(before, ran(archive)) == {f"{step} {IDS[0]}" for step in ("events", "clean", "images", "sources")}
    assert failed_observations(archive, config) == {}


def test_a_failure_of_the_only_observation_asked_for_is_a_row(archive, asked):
    wish(archive, **{f"images_{IDS[0]}": "data"})
    set_parameter(archive, "images", "pixel", "8 arcsec")
    run_archive(archive, load_config(archive), obs_ids=IDS[0])
    assert read_ledger(archive.ledger("xmm", "images"))[IDS[0]].outcome == "failed"
    wish(archive, **{f"images_{IDS[1]}": "bug"})
    with pytest.raises(ArchiveError, match="hit a bug"):
        run_archive(archive, load_config(archive), obs_ids=IDS[1])


def test_other_parameters_are_judged_before_anything_is_written(archive, asked):
    before = archive.params("xmm").read_bytes()
    for given in ({"clean.flare_sigma": -1}, {"clean.flare_sgima": 2}, {"images.bands": "0.5-2"}):
        with pytest.raises(Exception, match=r"cannot be used|there is no parameter") as told:
            plan_reprocessing(archive, "xmm", settings_from(given, (), load_config(archive).steps), [IDS[0]])
        assert "nothing was written" in told.value.remedy
    settings = settings_from({"clean.flare_sigma": 2.5}, (), load_config(archive).steps)
    plan = plan_reprocessing(archive, "xmm", settings, [IDS[0]], note="why")
    assert archive.params("xmm").read_bytes() == before
    assert [(one.step, one.obs_id) for one in plan.forecast.tasks] == [
        (step, IDS[0]) for step in ("clean", "images", "sources")
    ]
    assert plan.forecast.tasks[0].why == "parameters changed: flare_sigma"
    plan.write()
    assert b'# why\n[clean.obs."0012345678"]\nflare_sigma = 2.5\n' in archive.params("xmm").read_bytes()
    assert not plan_reprocessing(archive, "xmm", settings, [IDS[0]]).changed
    other = plan_reprocessing(archive, "xmm", settings, [IDS[1]])
    archive.params("xmm").write_bytes(before)
    with pytest.raises(ArchiveError, match="have changed since"):
        other.write()


def test_the_executor_is_told_to_stages_and_forgotten(monkeypatch, archive, tmp_path):
    """Files are fetched by this machine, whatever the executor."""
    monkeypatch.delenv("DAXA_EXECUTOR", raising=False)
    monkeypatch.setenv("DAXA_CONFIG", str(tmp_path / "config.toml"))
    config = load_config(archive)
    assert step_module.make_stage(archive, config, "clean", "xmm").execute is None
    with limited(None, "dask"):
        with pytest.raises(ConfigError, match="neither an address nor a kind"):
            step_module.make_stage(archive, config, "clean", "xmm")
        (tmp_path / "config.toml").write_text('[cluster]\nkind = "slurm"\njobs = 3\n')
        assert step_module.make_stage(archive, config, "fetch", "xmm").execute is None
        made = step_module.make_stage(archive, config, "clean", "xmm", say=print).execute
        assert (made.keywords["cluster"].jobs, made.keywords["say"]) == (3, print)
    assert "DAXA_EXECUTOR" not in os.environ
    with pytest.raises(CriteriaError, match="no executor 'slurm'"), limited(None, "slurm"):
        pass


def test_jobs_limit_workers_and_downloads_and_are_forgotten(monkeypatch):
    monkeypatch.delenv("DAXA_WORKERS", raising=False)
    monkeypatch.setenv("DAXA_DOWNLOADS", "3")
    with limited(2):
        assert (os.environ["DAXA_WORKERS"], os.environ["DAXA_DOWNLOADS"]) == ("2", "2")
    assert os.environ["DAXA_DOWNLOADS"] == "3"
    assert "DAXA_WORKERS" not in os.environ
    with limited(8):
        assert (os.environ["DAXA_WORKERS"], os.environ["DAXA_DOWNLOADS"]) == ("8", "3")
    for wrong in (0, -1, True):
        with pytest.raises(CriteriaError), limited(wrong):
            pass
