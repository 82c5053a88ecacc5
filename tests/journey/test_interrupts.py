"""Kill anything at any moment; the same command again ends with the same bytes.

``DAXA_TEST_KILLS`` sets the number of kills (a long soak takes 100).  The archive has one observation, since what
kills do to a stage of many is tried in `tests.run.test_interruption`.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from contextlib import suppress

import psutil
import pytest

from tests.journey.workbench import contents, parsed_lock

pytestmark = pytest.mark.journey

KILLS = int(os.environ.get("DAXA_TEST_KILLS", "6"))
PARTS = ("ledger", "selection", "data/nustar")
VICTIMS = ("command", "stage", "worker")
COMMANDS = (("dvc", "repro"), ("daxa", "run"))
"""What is killed, or has its processes killed, in turns; only the second keeps what forks workers for all stages."""


def start(bench, archive, command):
    return subprocess.Popen(
        command,
        cwd=archive,
        env=bench.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def strike(command, kind):
    """Kill one process of the pipeline; give its family as it was, or None when there is no such process now.

    The command is `dvc repro`, or `daxa run` with its DVC; workers are with what forks and what watches them.
    """
    try:
        first = psutil.Process(command.pid)
        family = [first, *first.children(recursive=True)]
        words = {process: process.cmdline() for process in family}
    except psutil.NoSuchProcess:
        return None
    kinds = {
        "command": [process for process in family if process == first or "repro" in words[process]],
        "stage": [process for process in family if "stage" in words[process]],
        "worker": [process for process in family if any("daxa.run." in word for word in words[process])],
    }
    if not kinds[kind]:
        return None
    try:
        random.choice(kinds[kind]).kill()
    except psutil.NoSuchProcess:
        return None
    return family


def left_behind(bench):
    """Command lines of processes that still work for these archives."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get("DAXA_STORE") == bench.environ["DAXA_STORE"]:
                found.append(process.cmdline())
    return found


def test_the_same_command_recovers_from_any_kill(finished_nustar, bench):
    rng = random.Random(907)
    random.seed(rng.random())
    first = finished_nustar / "a907"
    expected, lock = contents(first, *PARTS), parsed_lock(first)
    archive = bench.root / "a907"
    struck = dict.fromkeys(VICTIMS, 0)
    attempts = 0
    while sum(struck.values()) < KILLS:
        shutil.rmtree(archive, ignore_errors=True)
        shutil.rmtree(bench.root / "store", ignore_errors=True)
        bench.run("git", "clone", "--quiet", str(first), str(archive))
        finished_alone = False
        while not finished_alone:
            attempts += 1
            assert attempts < 40 * KILLS, "the pipeline never gets on"
            repro = start(bench, archive, COMMANDS[attempts % 2])
            kind = min(VICTIMS, key=lambda name: (struck[name], name)) if sum(struck.values()) < KILLS else None
            family = kill_within(repro, kind, rng.uniform(0.3, 6.0)) if kind else None
            if family:
                struck[kind] += 1
            code = repro.wait(timeout=300)
            if family and kind == "command":
                psutil.wait_procs(family, timeout=5)
                assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
            assert family or code == 0, bench.repro(archive)
            finished_alone = code == 0
        found = contents(archive, *PARTS)
        assert sorted(found) == sorted(expected)
        assert [path for path in expected if found[path] != expected[path]] == []
        assert parsed_lock(archive) == lock
        assert "didn't change" in bench.repro(archive).stdout
    assert min(struck.values()) >= KILLS // len(VICTIMS)
    time.sleep(2)  # What waits for DVC's end looks every 0.2 s.
    assert left_behind(bench) == []


def kill_within(repro, kind, seconds):
    """Wait, then kill as soon as there is something of this kind; None when the pipeline ended before."""
    time.sleep(seconds)
    while repro.poll() is None:
        if family := strike(repro, kind):
            return family
        time.sleep(0.05)
    return None
