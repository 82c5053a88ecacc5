"""Stages on a real Slurm: `make cluster`.  It takes the rights of root, two cores and some minutes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from daxa.archive.config import load_config
from daxa.cli import main
from daxa.run.cluster import execute_on_cluster
from daxa.run.cluster_settings import ClusterSettings, read_cluster
from daxa.run.runner import run_stage
from daxa.run.scheduler import share_cluster
from daxa.stages.step import make_stage
from tests.cluster.slurm import call, jobs, missing, running_slurm, wait_for
from tests.run.processes import ROOT
from tests.run.test_runner import contents, statuses
from tests.run.works import stage, task
from tests.stages.archives import make_archive, run, simple

pytestmark = pytest.mark.skipif(
    not os.environ.get("DAXA_TEST_SLURM") or bool(missing()),
    reason=f"`make cluster` runs it; missing here: {', '.join(missing()) or 'nothing'}",
)

IDS = [f"{100000 + 37 * at:010d}" for at in range(50)]
CLUSTER = ClusterSettings(
    kind="slurm", queue="main", memory="1 GB", walltime="00:10:00", jobs=2, interface="lo", patience=120
)
CONFIG = """executor = "dask"
[cluster]
kind = "slurm"
queue = "main"
memory = "1 GB"
walltime = "00:10:00"
jobs = 2
interface = "lo"
patience = 120
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with running_slurm(tmp_path_factory.mktemp("slurm")) as environ:
        yield environ


@pytest.fixture(autouse=True)
def found(slurm, monkeypatch, tmp_path):
    """Its commands, and a configuration that names it."""
    (tmp_path / "config.toml").write_text(CONFIG)
    for name, value in {"SLURM_CONF": slurm["SLURM_CONF"], "DAXA_CONFIG": str(tmp_path / "config.toml")}.items():
        monkeypatch.setenv(name, value)
    # A job finds the tests as it finds daxa: in the environment that it inherits.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("store", "cache"):
        monkeypatch.setenv(f"DAXA_{name.upper()}", str(tmp_path / name))
    yield
    wait_for(lambda: not jobs(slurm), seconds=120)


def test_fifty_observations_through_three_steps_are_those_of_one_machine(tmp_path, capsys):
    here, there = (make_archive(tmp_path / name, IDS) for name in ("here", "there"))
    run(here, "fetch", "events", "clean", "images")
    run(there, "fetch")
    said = []
    (tmp_path / "shared").mkdir()
    # As `daxa run` does around its stages.
    with share_cluster(read_cluster(), tmp_path / "shared", os.environ):
        for step in ("events", "clean", "images"):
            begin = time.monotonic()
            made = make_stage(there, load_config(there), step, "xmm", say=said.append)
            outcomes = run_stage(simple(made))
            assert {one.status for one in outcomes} == {"done"}
            with capsys.disabled():
                print(f"\n{step}: {len(outcomes)} observations in {time.monotonic() - begin:.1f} s; {said[-1]}")
    assert len(set(said)) == 1
    for place in ("ledger", "data"):
        files = sorted(path.relative_to(here.root) for path in (here.root / place).rglob("*") if path.is_file())
        assert files
        for path in files:
            assert (there.root / path).read_bytes() == (here.root / path).read_bytes(), path


def test_a_job_that_is_killed_is_replaced_and_nothing_is_lost(tmp_path, slurm):
    tasks = [task(obs_id, action="sleep", seconds=0.4) for obs_id in IDS]
    killed = []

    def kill() -> None:
        running = wait_for(lambda: call(["squeue", "-h", "-t", "R", "-o", "%i"], slurm).split()[1:])
        time.sleep(5)
        killed.append(running[0])
        call(["scancel", "--signal=KILL", "--full", running[0]], slurm)

    thread = threading.Thread(target=kill)
    thread.start()
    outcomes = statuses(run_stage(stage(tmp_path, tasks, execute=partial(execute_on_cluster, cluster=CLUSTER))))
    thread.join()
    assert killed
    assert outcomes == dict.fromkeys(IDS, ("done", "new observation"))
    run_stage(stage(tmp_path / "plain", [replace(one, parameters=one.parameters) for one in tasks], workers=8))
    assert contents(tmp_path) == contents(tmp_path / "plain")


KILLED = """
import sys
from functools import partial
from pathlib import Path
from daxa.run.cluster import execute_on_cluster
from daxa.run.runner import run_stage
from daxa.run.scheduler import share_cluster
from tests.cluster.test_slurm import CLUSTER, IDS
from tests.run.works import stage, task
tasks = [task(obs_id, action="sleep", seconds=0.2) for obs_id in IDS]
observe = lambda outcome, done, total: print(done, flush=True)
run_stage(stage(Path(sys.argv[1]), tasks, execute=partial(execute_on_cluster, cluster=CLUSTER)), observe=observe)
"""


def test_a_scheduler_that_is_killed_leaves_no_job_and_the_stage_goes_on_where_it_was(tmp_path, slurm):
    child = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for _ in range(10):
        child.stdout.readline()
    child.kill()
    child.wait()
    wait_for(lambda: not jobs(slurm), seconds=120)
    tasks = [task(obs_id, action="sleep", seconds=0.2) for obs_id in IDS]
    outcomes = statuses(run_stage(stage(tmp_path, tasks, execute=partial(execute_on_cluster, cluster=CLUSTER))))
    assert sum(status == "kept" for status, _ in outcomes.values()) >= 10
    assert {status for status, _ in outcomes.values()} == {"kept", "done"}
    run_stage(stage(tmp_path / "plain", tasks, workers=8))
    assert contents(tmp_path) == contents(tmp_path / "plain")


def test_the_doctor_finds_it_sound(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "cluster"]) == 0
    shown = capsys.readouterr().out
    with capsys.disabled():
        print(f"\n{shown}")
    assert "everything is as it should be" in shown


def test_a_queue_that_does_not_exist_is_named(tmp_path):
    wrong = replace(CLUSTER, queue="nowhere", patience=20)
    from daxa.errors import ProgramError

    with pytest.raises(ProgramError) as caught:
        run_stage(stage(tmp_path, [task(IDS[0])], execute=partial(execute_on_cluster, cluster=wrong)))
    assert "invalid partition specified: nowhere" in caught.value.message
    assert not list(Path(tmp_path / "data").rglob("*.dat"))
