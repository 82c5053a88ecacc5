from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from functools import partial

import pytest

from daxa.errors import ProgramError
from daxa.run import forkserver
from daxa.run.executor import ATTEMPTS
from daxa.run.runner import run_stage
from tests.run import works
from tests.run.processes import ROOT, marked, wait_until
from tests.run.test_runner import contents, statuses
from tests.run.works import stage, task

ID = "0093640901"
OTHERS = ["0404910601", "0201901401", "0201903501"]


@pytest.fixture
def mark(monkeypatch, request) -> str:
    """Marks everything that the test starts."""
    value = f"{request.node.name}-{os.getpid()}"
    monkeypatch.setenv("DAXA_TEST_MARK", value)
    return value


def no_process_left(mark: str) -> bool:
    own = os.getpid()
    return wait_until(lambda: [p for p in marked(mark) if p.pid != own] == [], seconds=2)


def run(root, first, **options) -> dict:
    return statuses(run_stage(stage(root, [first, *(task(obs_id) for obs_id in OTHERS)], **options)))


@pytest.mark.parametrize("action", ["die", "segfault"])
def test_a_task_that_kills_its_worker_is_given_up(tmp_path, mark, action):
    trace = tmp_path / "trace"
    outcomes = run(tmp_path, task(ID, action=action, trace=str(trace)))
    assert outcomes == {ID: ("failed", "worker.died"), **dict.fromkeys(OTHERS, ("done", "new observation"))}
    assert trace.read_text().split() == [ID] * ATTEMPTS
    log = (tmp_path / "logs" / f"{ID}.log").read_text()
    assert f"signal {9 if action == 'die' else 11}" in log
    assert log.count("begins") == ATTEMPTS
    assert not (tmp_path / "data" / "clean" / ID).exists()
    assert no_process_left(mark)


def test_a_task_whose_worker_died_once_is_done(tmp_path):
    flag = tmp_path / "flag"
    outcomes = run(tmp_path, task(ID, action="die_once", flag=str(flag)))
    assert set(outcomes.values()) == {("done", "new observation")}
    plain = tmp_path / "plain"
    run(plain, task(ID, action="die_once", flag=str(flag)))
    assert contents(tmp_path) == contents(plain)


@pytest.mark.parametrize("own_session", [False, True])
def test_the_time_limit_ends_a_task_and_all_that_it_started(tmp_path, mark, own_session):
    begin = time.monotonic()
    outcomes = run(tmp_path, task(ID, action="spawn", own_session=own_session), time_limit=1.5)
    assert outcomes == {ID: ("failed", "task.timeout"), **dict.fromkeys(OTHERS, ("done", "new observation"))}
    assert time.monotonic() - begin < 20
    assert "time limit" in (tmp_path / "logs" / f"{ID}.log").read_text()
    assert no_process_left(mark)


def test_programs_left_running_end_with_the_stage(tmp_path, mark):
    assert run(tmp_path, task(ID, action="spawn", seconds=0.2))[ID] == ("done", "new observation")
    assert no_process_left(mark)


def test_what_is_printed_goes_to_the_log(tmp_path, capfd):
    run(tmp_path, task(ID, action="print"))
    log = (tmp_path / "logs" / f"{ID}.log").read_text().splitlines()
    assert log[0].endswith(f"xmm clean {ID}: native 1 begins")
    assert log[1:5] == ["printed by Python", "written to stderr", "echoed by a program", "two products"]
    assert "done in" in log[5]
    assert capfd.readouterr() == ("", "")


def test_workers_do_not_depend_on_the_users_environment(tmp_path, monkeypatch):
    for name, zone in (("a", "Asia/Tokyo"), ("b", "America/Lima")):
        monkeypatch.setenv("TZ", zone)
        monkeypatch.setenv("OMP_NUM_THREADS", name)
        run_stage(stage(tmp_path / name, [task(ID)], work=works.show_environment))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_work_that_cannot_be_imported_is_a_bug_with_a_traceback(tmp_path):
    with pytest.raises(RuntimeError, match="Traceback"):
        run_stage(stage(tmp_path, [task(ID)], work=partial(works.act, 1, 2, 3, 4, _Unimportable())))


class _Unimportable:
    def __reduce__(self):
        return (__import__, ("no_such_module",))


def test_workers_that_cannot_start_stop_the_stage(tmp_path, monkeypatch):
    monkeypatch.setattr(forkserver, "_SERVE_FORKS", "raise SystemExit('cannot import name daxa')")
    with pytest.raises(ProgramError, match="cannot import name daxa") as caught:
        run_stage(stage(tmp_path, [task(ID)]))
    assert caught.value.code == "program.worker-start"


def test_a_script_without_a_main_guard_may_run_a_stage(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        from pathlib import Path
        from daxa.run.runner import run_stage
        from tests.run.works import stage, task
        print(len(run_stage(stage(Path({str(tmp_path / "run")!r}), [task("1"), task("2")]))))
        """)
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_a_module_beside_the_archive_is_not_imported(tmp_path, monkeypatch):
    """The current directory of a stage is an archive, which may be a stranger's."""
    (tmp_path / "json.py").write_text("raise SystemExit('a stranger')")
    (tmp_path / "pickle.py").write_text("raise SystemExit('a stranger')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    assert run(tmp_path / "run", task(ID))[ID] == ("done", "new observation")


def test_a_task_that_is_retried_goes_to_an_idle_worker(tmp_path):
    """The last task dies while the other worker has nothing left to do."""
    for i in range(8):
        root = tmp_path / str(i)
        flag = tmp_path / f"flag{i}"
        tasks = [task("1"), task("2", action="die_once", flag=str(flag), wait=0.1)]
        assert {status for status, _ in statuses(run_stage(stage(root, tasks))).values()} == {"done"}


def test_a_stage_of_a_moment_starts_one_worker(tmp_path):
    pids = tmp_path / "pids"
    tasks = [task(obs_id, pids=str(pids)) for obs_id in (ID, *OTHERS)]
    run_stage(stage(tmp_path, tasks, workers=4))
    assert len(set(pids.read_text().split())) == 1


def test_a_stage_that_lasts_uses_all_its_workers(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    tasks = [task(f"{i:05d}", action="meet", place=str(place), workers=3) for i in range(6)]
    assert set(statuses(run_stage(stage(tmp_path, tasks, workers=3))).values()) == {("done", "new observation")}
    assert len(list(place.iterdir())) == 3
