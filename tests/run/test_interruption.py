"""Kill a stage at any moment: nothing is left running, and the next run ends with the same bytes.

``DAXA_TEST_KILLS`` sets how many kills just before a rename there are at least (a long soak takes 100).
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from daxa.run.runner import run_stage
from tests.run.processes import marked, start, wait_until
from tests.run.test_runner import contents, statuses
from tests.run.works import stage, task

RENAMES = int(os.environ.get("DAXA_TEST_KILLS", "0"))

CODE = """
import json, sys
from pathlib import Path
from daxa.run.runner import run_stage
from tests.run.works import stage, task
tasks = [task(obs_id, **parameters) for obs_id, parameters in json.loads(sys.argv[2])]
print("ready", flush=True)
run_stage(stage(Path(sys.argv[1]), tasks, workers=2), observe=lambda outcome, *_: print(outcome.obs_id, flush=True))
"""


def start_stage(root, tasks, mark):
    program = start(CODE, mark, root, json.dumps(tasks))
    assert program.stdout.readline() == b"ready\n"
    return program


def nothing_runs(mark, seconds=1.0):
    wait_until(lambda: not marked(mark), seconds)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    root = tmp_path_factory.mktemp("reference")
    run_stage(stage(root, [task(obs_id, **parameters) for obs_id, parameters in MANY]))
    return contents(root)


MANY = [(f"{i:05d}", {"action": "data"} if i % 10 == 3 else {"action": "sleep", "seconds": 0.005}) for i in range(120)]


@pytest.mark.parametrize("seed", range(6))
def test_killing_the_stage_at_any_moment_changes_no_byte(tmp_path, reference, seed):
    moments = random.Random(seed)
    mark = str(uuid4())
    for _ in range(4):
        program = start_stage(tmp_path, MANY, mark)
        if moments.random() < 0.8:
            program.stdout.readline()
        time.sleep(moments.uniform(0, 0.3))
        program.kill()
        program.wait()
        program.stdout.close()
        nothing_runs(mark)
    outcomes = run_stage(stage(tmp_path, [task(obs_id, **parameters) for obs_id, parameters in MANY]))
    assert len(outcomes) == len(MANY)
    assert contents(tmp_path) == reference
    assert not list((tmp_path / "scratch").iterdir())


def test_finished_tasks_are_not_done_twice_after_a_kill(tmp_path):
    trace = tmp_path / "trace"
    parameters = [(obs_id, {"trace": str(trace), **values}) for obs_id, values in MANY]
    mark = str(uuid4())
    program = start_stage(tmp_path / "run", parameters, mark)
    told = [program.stdout.readline().decode().strip() for _ in range(50)]
    program.kill()
    program.wait()
    told += program.stdout.read().decode().split()
    program.stdout.close()
    nothing_runs(mark)
    trace.unlink()
    outcomes = statuses(run_stage(stage(tmp_path / "run", [task(name, **values) for name, values in parameters])))
    good = {name for name, values in MANY if values["action"] != "data"}
    assert all(outcomes[name] == ("kept", "") for name in told if name in good)
    assert not set(told) & good & set(trace.read_text().split())


@pytest.mark.parametrize("action", ["sleep", "spawn", "hold_interpreter"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_a_killed_stage(tmp_path, action, number):
    mark = str(uuid4())
    program = start_stage(tmp_path, [("00001", {"action": action}), ("00002", {"action": action})], mark)
    # The stage, what forks, two workers, their two watchers, and what the tasks started.
    expected = {"sleep": 6, "spawn": 10, "hold_interpreter": 8}[action]
    wait_until(lambda: len(marked(mark)) >= expected)
    program.send_signal(number)
    output = program.communicate(timeout=15)[0].decode()
    nothing_runs(mark)
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in output
    else:
        assert program.returncode == -number
        assert output == ""


def test_a_stage_started_while_the_killed_one_dies_waits_for_it(tmp_path):
    mark = str(uuid4())
    program = start_stage(tmp_path, [("00001", {"action": "sleep"})], mark)
    wait_until(lambda: len(marked(mark)) >= 4)
    os.kill(program.pid, signal.SIGSTOP)
    other = start_stage(tmp_path, [("00001", {})], mark)
    time.sleep(0.5)
    assert other.poll() is None
    program.kill()
    program.wait()
    program.stdout.close()
    output = other.communicate(timeout=20)[0].decode()
    assert (output, other.returncode) == ("00001\n", 0)


def test_killing_workers_at_random_does_not_change_a_byte(tmp_path):
    pids = tmp_path / "pids"
    parameters = [(name, {"pids": str(pids), **values}) for name, values in MANY]
    mark = str(uuid4())
    program = start_stage(tmp_path / "run", parameters, mark)
    moments = random.Random(7)
    killed = set()
    while program.poll() is None and len(killed) < 12:
        time.sleep(moments.uniform(0.01, 0.05))
        # Only workers in their second task or later: else one task may meet three kills, and is rightly given up.
        begun = Counter(map(int, pids.read_text().split())) if pids.exists() else {}
        with suppress(psutil.NoSuchProcess):
            if workers := [p for p in psutil.Process(program.pid).children(recursive=True) if begun.get(p.pid, 0) > 1]:
                victim = moments.choice(workers)
                victim.kill()
                killed.add(victim.pid)
    output = program.communicate(timeout=60)[0].decode()
    assert program.returncode == 0, output
    assert len(killed) >= 3
    nothing_runs(mark)
    run_stage(stage(tmp_path / "reference", [task(name, **values) for name, values in parameters]))
    assert contents(tmp_path / "run") == contents(tmp_path / "reference")


def renames_until_killed(root: Path, tasks: list, at: int) -> bool:
    """Run a stage in a child that dies just before its rename number `at`; whether it did."""
    if not (child := os.fork()):
        left = [at]

        def watch(event: str, arguments: tuple) -> None:
            if event == "os.rename":
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            run_stage(stage(root, tasks, workers=1))
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) < 0


def test_a_kill_between_writing_and_any_rename_loses_nothing(tmp_path):
    ids = [f"{number:010d}" for number in range(1, 1 + max(1, RENAMES // 2))]
    old, new = [task(one) for one in ids], [task(one, version="2") for one in ids]
    run_stage(stage(tmp_path / "whole", old, workers=1))
    run_stage(stage(tmp_path / "whole", new, workers=1))
    killed = 0
    for at in range(1, 20 * len(ids)):
        root = tmp_path / str(at)
        run_stage(stage(root, old, workers=1))
        if not renames_until_killed(root, new, at):
            break
        killed += 1
        run_stage(stage(root, new, workers=1))
        for part in ("data", "ledger"):
            assert contents_below(root / part) == contents_below(tmp_path / "whole" / part), at
    assert killed >= max(3, RENAMES)


def contents_below(root: Path) -> dict[str, bytes]:
    """Every file; parts of a table that a killed writer left are ignored by Git, and go in time."""
    files = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".part"]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
