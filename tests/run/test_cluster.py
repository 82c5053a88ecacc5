"""A stage on a cluster does what it does on one machine: same ledger, same bytes, same limits, nothing left behind."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from daxa import errors
from daxa.errors import ConfigError, DaxaError, ProgramError, ServiceError
from daxa.run import cluster, cluster_worker, scheduler
from daxa.run.cluster import execute_on_cluster
from daxa.run.cluster_settings import ClusterSettings, read_cluster
from daxa.run.cluster_trial import try_cluster
from daxa.run.machine import Machine, Resources
from daxa.run.runner import run_stage
from daxa.run.scheduler import share_cluster
from daxa.run.task_messages import report_as_text, report_from_text
from daxa.run.worker import TaskReport
from tests.run.processes import marked, start, wait_until
from tests.run.test_runner import contents, statuses
from tests.run.works import Heavy, stage, task

IDS = ["0093640901", "0201901401", "0201903501", "0404910601"]
GIGABYTE = 1 << 30


def small_cluster(place: Path, **options):
    """Two workers of one thread each, in this process."""
    from distributed import LocalCluster

    given = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "protocol": "tcp", **options}
    given["local_directory"] = str(place)
    return LocalCluster(dashboard_address="127.0.0.1:0", host="127.0.0.1", memory_limit=4 * GIGABYTE, **given)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with small_cluster(tmp_path_factory.mktemp("dask")) as made:
        yield made.scheduler_address
        cluster_worker.close_processes()


@pytest.fixture
def mark(monkeypatch, request) -> str:
    """Marks everything that the test starts."""
    value = f"{request.node.name}-{os.getpid()}"
    monkeypatch.setenv("DAXA_TEST_MARK", value)
    return value


def on(address: str, **more):
    return partial(execute_on_cluster, cluster=ClusterSettings(address=address), **more)


def forked(mark: str) -> list:
    return [one for one in marked(mark) if one.pid != os.getpid()]


def sleepers(mark: str) -> list[str]:
    """Command lines of programs that tasks have started."""
    lines = []
    for one in forked(mark):
        with suppress(OSError):
            lines.append(Path(f"/proc/{one.pid}/cmdline").read_text())
    return [line for line in lines if "sleep(600)" in line]


def test_bytes_rows_and_logs_are_those_of_one_machine(tmp_path, address):
    tasks = [task(obs_id) for obs_id in IDS[:2]] + [task(IDS[2], action="data"), task(IDS[3], action="print")]
    here, there, said = tmp_path / "here", tmp_path / "there", []
    local = statuses(run_stage(stage(here, tasks)))
    assert statuses(run_stage(stage(there, tasks, execute=on(address, say=said.append)))) == local
    assert local[IDS[2]] == ("failed", "data.no-events")
    assert contents(there) == contents(here)
    assert list((there / "scratch").iterdir()) == []
    assert len(said) == 1
    assert address in said[0]
    assert "/status" in said[0], "the address of the pages"
    log = (there / "logs" / f"{IDS[3]}.log").read_text()
    assert "echoed by a program\n" in log
    assert statuses(run_stage(stage(there, tasks, execute=on(address))))[IDS[0]] == ("kept", "")


def test_a_task_that_kills_its_process_is_tried_again_and_given_up(tmp_path, address):
    trace = tmp_path / "trace"
    tasks = [task(IDS[0], action="die", trace=str(trace)), task(IDS[1], action="die_once", flag=str(tmp_path / "flag"))]
    outcomes = statuses(run_stage(stage(tmp_path, tasks, execute=on(address))))
    assert outcomes == {IDS[0]: ("failed", "worker.died"), IDS[1]: ("done", "new observation")}
    assert trace.read_text().split() == [IDS[0]] * 3


def test_the_time_limit_ends_all_that_a_task_started(tmp_path, address, mark):
    tasks = [task(IDS[0], action="spawn", own_session=True), task(IDS[1])]
    outcomes = statuses(run_stage(stage(tmp_path, tasks, time_limit=1.0, execute=on(address))))
    assert outcomes == {IDS[0]: ("failed", "task.timeout"), IDS[1]: ("done", "new observation")}
    assert "time limit" in (tmp_path / "logs" / f"{IDS[0]}.log").read_text()
    assert wait_until(lambda: sleepers(mark) == [])


def test_after_a_broken_environment_nothing_begins_and_what_runs_is_waited_for(tmp_path, address):
    broken, trace = tmp_path / "broken", tmp_path / "trace"
    broken.touch()
    first = [task(IDS[0], action="environment", broken=str(broken)), task(IDS[1], action="sleep", seconds=1)]
    others = [task(f"{at:010d}", trace=str(trace), action="sleep", seconds=0.05) for at in range(40)]
    with pytest.raises(ServiceError, match="the archive is down"):
        run_stage(stage(tmp_path, [*first, *others], execute=on(address)))
    begun = len(trace.read_text().split()) if trace.exists() else 0
    assert begun < 30, "the worker that was free has not gone on to the end"
    broken.unlink()
    outcomes = run_stage(stage(tmp_path, [*first, *others], execute=on(address)))
    assert {one.status for one in outcomes} <= {"done", "kept"}
    assert next(one.status for one in outcomes if one.obs_id == IDS[1]) == "kept", "it was waited for"


def test_a_stage_that_is_stopped_ends_its_tasks(tmp_path, address, mark):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "logs").mkdir()
    tasks = [task(IDS[0]), *(task(obs_id, action="spawn") for obs_id in IDS[1:])]
    places = {"scratch": tmp_path / "scratch", "logs": tmp_path / "logs"}
    run = on(address)(tasks, stage(tmp_path, []).work, workers=1, time_limit=60.0, **places)
    assert next(run)[0].kind == "done"
    wait_until(lambda: sleepers(mark))
    run.close()
    assert wait_until(lambda: sleepers(mark) == [])


KILLED = """
import os, sys
from functools import partial
from pathlib import Path
from daxa.run.cluster import execute_on_cluster
from daxa.run.cluster_settings import ClusterSettings
from daxa.run.runner import run_stage
from daxa.run.scheduler import share_cluster
from tests.run.works import stage, task
root, address, *ids = sys.argv[1:]
execute = partial(execute_on_cluster, cluster=ClusterSettings(address=address))
tasks = [task(ids[0]), *(task(one, action="spawn", pids=f"{root}/pids") for one in ids[1:])]
run_stage(stage(Path(root), tasks, execute=execute))
"""


def test_a_stage_that_is_killed_cancels_its_tasks_and_goes_on_where_it_was(tmp_path, address, mark):
    """The scheduler sees that nobody asks any more; the file that says so is still there."""
    killed = start(KILLED, mark, tmp_path, address, *IDS)
    pids = tmp_path / "pids"
    done = tmp_path / "data" / "clean" / IDS[0] / "events.dat"
    wait_until(lambda: done.exists() and pids.exists() and len(pids.read_text().split()) == 2)
    killed.kill()
    killed.communicate()
    assert list((tmp_path / "scratch").glob("mark-*"))
    spawned = [int(pid) for pid in pids.read_text().split()]
    assert wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in spawned))
    tasks = [task(obs_id) for obs_id in IDS]
    assert statuses(run_stage(stage(tmp_path, tasks, execute=on(address))))[IDS[0]] == ("kept", "")
    run_stage(stage(tmp_path / "plain", tasks))
    assert contents(tmp_path) == contents(tmp_path / "plain")


def test_tasks_of_a_worker_that_is_killed_go_to_others_and_the_next_stage_has_the_same_cluster(tmp_path, mark):
    """Real processes, started once for two stages, which end with them."""
    own, said, shared = ClusterSettings(kind="local", jobs=2, memory="1 GB"), [], tmp_path / "shared"
    shared.mkdir()
    (shared / "cluster-gone").mkdir()
    (shared / "cluster-gone" / "scheduler.json").write_text(json.dumps({"host": socket.gethostname(), "pid": 1 << 30}))
    execute = partial(execute_on_cluster, cluster=own, say=said.append)
    tasks = [task(IDS[0], action="kill_host_once", flag=str(tmp_path / "flag")), *(task(obs_id) for obs_id in IDS[1:])]
    with share_cluster(own, shared, os.environ):
        outcomes = statuses(run_stage(stage(tmp_path, tasks, execute=execute)))
        run_stage(stage(tmp_path / "next", tasks[1:], execute=execute))
        assert [path.stat().st_mode & 0o777 for path in shared.iterdir()] == [0o700]
    assert said[0] == said[1]
    assert said[0].startswith("cluster: tls://")
    assert list(shared.iterdir()) == []
    assert "_DAXA_CLUSTER" not in os.environ
    assert outcomes == dict.fromkeys(IDS, ("done", "new observation"))
    assert (tmp_path / "flag").exists()
    run_stage(stage(tmp_path / "plain", tasks))
    assert contents(tmp_path) == contents(tmp_path / "plain")
    assert list((tmp_path / "scratch").iterdir()) == []
    # Python's own tracker of shared memory lives as long as the program that has used it.
    own = [Path(f"/proc/{one.pid}/cmdline").read_text() for one in forked(mark)]
    assert [line for line in own if "resource_tracker" not in line] == []


def test_a_kept_scheduler_is_believed_only_in_a_directory_of_this_user_alone(tmp_path, monkeypatch):
    (tmp_path / "scheduler.json").write_text('{"address": "tls://127.0.0.1:1"}')
    monkeypatch.setenv("_DAXA_CLUSTER", str(tmp_path))
    tmp_path.chmod(0o700)
    assert scheduler._kept() == tmp_path
    tmp_path.chmod(0o755)
    assert scheduler._kept() is None
    tmp_path.chmod(0o700)
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setenv("_DAXA_CLUSTER", str(tmp_path / "link"))
    assert scheduler._kept() is None


def test_a_lost_scheduler_stops_the_stage_which_then_ends_elsewhere(tmp_path):
    made = small_cluster(tmp_path / "dask")
    tasks = [task(IDS[0]), *(task(obs_id, action="sleep", seconds=0.5) for obs_id in IDS[1:])]
    kept = []

    def observe(outcome, done, total):
        kept.append(outcome.obs_id)
        threading.Thread(target=made.close).start() if done == 1 else None

    with pytest.raises(ProgramError) as caught:
        run_stage(stage(tmp_path, tasks, execute=on(made.scheduler_address)), observe=observe)
    assert caught.value.code == "program.cluster-lost"
    assert "finished tasks are kept" in caught.value.remedy
    made.close()
    assert statuses(run_stage(stage(tmp_path, tasks)))[kept[0]] == ("kept", "")
    run_stage(stage(tmp_path / "plain", tasks))
    assert contents(tmp_path) == contents(tmp_path / "plain")


def test_memory_is_kept_within_the_worker(tmp_path):
    """Two threads, 4 GB, tasks of 3 GB."""
    (tmp_path / "running").mkdir()
    with small_cluster(tmp_path / "dask", n_workers=1, threads_per_worker=2) as made:
        tasks = [task(obs_id) for obs_id in IDS[:3]]
        execute = on(made.scheduler_address)
        run_stage(stage(tmp_path, tasks, work=Heavy(str(tmp_path / "running")), execute=execute))
        cluster_worker.close_processes()
    found = [json.loads(path.read_text()) for path in (tmp_path / "data").rglob("others.json")]
    assert found == [1, 1, 1]


def test_a_task_waits_for_room_and_one_too_large_runs_alone():
    order, machine = [], Machine(4 * GIGABYTE, 4)

    def take(name: str, memory: int, seconds: float) -> None:
        with cluster_worker._reserved(Resources(memory=memory), machine, lambda: True) as granted:
            assert granted
            order.append(f"+{name}")
            time.sleep(seconds)
            order.append(f"-{name}")

    threads = [threading.Thread(target=take, args=one) for one in (("a", 3 * GIGABYTE, 0.2), ("b", 9 * GIGABYTE, 0.0))]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert order == ["+a", "-a", "+b", "-b"]
    with cluster_worker._reserved(Resources(), machine, lambda: False) as granted:
        assert not granted


def test_workers_that_would_make_other_bytes_are_refused(tmp_path, address, monkeypatch):
    monkeypatch.setattr(cluster, "versions_here", lambda: {**cluster_worker.versions_here(), "numpy": "1.0"})
    with pytest.raises(ProgramError, match=r"numpy is .* and 1\.0 on this machine") as caught:
        run_stage(stage(tmp_path, [task(IDS[0])], execute=on(address)))
    assert caught.value.code == "program.cluster-versions"


def test_workers_that_do_not_see_the_archive_are_refused(tmp_path):
    context = cluster._stage_context(print, 1.0, tmp_path, tmp_path)
    lost = replace(context, scratch=str(tmp_path / "elsewhere"))
    report = cluster_worker.run_task(lost, task(IDS[0]), Resources(), Machine(1, 1), lambda: True)
    assert report.kind == "environment"
    assert report.error.code == "storage.cluster-shared"
    assert "does not see" in report.error.message
    (found,) = [path for path in tmp_path.glob("mark-*") if not path.name.endswith(".open")]
    found.unlink()
    assert cluster_worker.run_task(context, task(IDS[0]), Resources(), Machine(1, 1), lambda: True) is None


def test_a_cluster_can_be_tried(tmp_path, address):
    trial = try_cluster(ClusterSettings(address=address), tmp_path, patience=10)
    assert (trial.scheduler, trial.sees, trial.versions) == (address, True, cluster_worker.versions_here())
    assert trial.seconds < 1


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("", "neither an address nor a kind"),
        ('kind = "slurm"\naddress = "tls://a:1"', "both an address and a kind"),
        ('kind = "sge"', "choose one of slurm, pbs, htcondor, local"),
        ('address = "http://a:1"', "address = "),
        ('address = "tcp://a:1 --x"', "address = "),
        ('kind = "slurm"\nqueue = "a\\n#SBATCH --wrap=x"', "queue = "),
        ('kind = "slurm"\nmemory = "16"', "such as '16 GB'"),
        ('kind = "slurm"\nwalltime = "1 day"', "such as '04:00:00'"),
        ('kind = "slurm"\nscratch = "$HOME"', "scratch = "),
        ('kind = "slurm"\ndirectives = ["a\\nb"]', "directives"),
        ('kind = "slurm"\ndirectives = "a"', "directives"),
        ('kind = "slurm"\ncores = 0', "a number from 1"),
        ('kind = "slurm"\njobs = true', "a number from 1"),
        ('kind = "slurm"\njob = 3', "did you mean jobs"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_named(tmp_path, lines, why):
    path = tmp_path / "config.toml"
    path.write_text(f"[cluster]\n{lines}\n")
    with pytest.raises(ConfigError) as caught:
        read_cluster(environ={}, user_file=path)
    assert caught.value.code == "config.cluster"
    assert why in f"{caught.value.message.replace(chr(39) + 'jobs' + chr(39), 'jobs')} {caught.value.remedy}"


def test_a_whole_configuration_is_read(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(
        'executor = "dask"\n[cluster]\nkind = "slurm"\nqueue = "main"\naccount = "xray"\ncores = 4\nmemory = "16 GB"\n'
        'walltime = "1-04:00:00"\njobs = 10\nscratch = "/local/scratch"\ninterface = "ib0"\n'
        'directives = ["--constraint=skylake"]\npatience = 600\n'
    )
    found = read_cluster(environ={}, user_file=path)
    assert (found.kind, found.cores, found.memory_bytes, found.patience) == ("slurm", 4, 16 * 10**9, 600)
    assert found.directives == ("--constraint=skylake",)


def test_what_is_not_installed_is_named(monkeypatch, tmp_path):
    def run(**settings) -> DaxaError:
        with pytest.raises((ConfigError, ProgramError)) as caught:
            try_cluster(ClusterSettings(**settings), tmp_path, patience=1)
        return caught.value

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(scheduler, "_CONNECT", 1.0)
    assert "sbatch was not found" in run(kind="slurm").message
    refused = run(address="tcp://127.0.0.1:1")
    assert refused.code == "program.cluster-start"
    assert "tcp://127.0.0.1:1 cannot be reached" in refused.message
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    absent = run(kind="slurm")
    assert absent.code == "config.cluster-extra"
    assert "daxa-archive[cluster]" in absent.remedy


def test_reports_keep_their_errors_on_the_way(tmp_path):
    one = task(IDS[0])
    for error in (None, ServiceError("down", "it is down", remedy="wait"), ConfigError("a", "b", remedy="c")):
        report = TaskReport(one, "environment", "x", tmp_path, (), 1.5, error)
        back = report_from_text(report_as_text(report), one)
        assert replace(back, error=None) == replace(report, error=None)
        assert (type(back.error), str(back.error)) == (type(error), str(error))
    strange = report_as_text(TaskReport(one, "environment", error=ServiceError("a", "b", remedy="c")))
    back = report_from_text(strange.replace("ServiceError", "__builtins__"), one)
    assert type(back.error) is errors.ProgramError
