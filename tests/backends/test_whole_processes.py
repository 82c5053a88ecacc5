"""Whole archives whose programs are real processes: many at once, and killed at any moment.

``DAXA_TEST_KILLS`` sets how often an archive is killed (`make kills`).
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from daxa.archive.config import load_config
from daxa.archive.stage_records import find_logs
from daxa.backends.chains import ChainBackend
from daxa.backends.tools import capture
from daxa.missions.tiling import tile_at
from daxa.run.machine import Resources
from daxa.run.runner import run_stage
from daxa.simulator.sky import CENTRE
from tests.backends.whole import SUITES, Whole, raw_files
from tests.stubs.install import grant, install_suite, request

KILLS = int(os.environ.get("DAXA_TEST_KILLS", "2"))
SUITE = SUITES["esass"]
"""Its calls are short, and it keeps parameter files."""

STEPS = ("events", "clean")


@pytest.fixture
def prefix(tmp_path) -> Path:
    return tmp_path / "eSASS4DR1"


@pytest.fixture
def esass(prefix, monkeypatch, identity):
    """The suite, in the environment of this process and of those that it starts."""
    installed = install_suite(prefix, "esass")
    for name, value in installed.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAXA_CONFIG", str(prefix / "none.toml"))
    assert capture.find_installation("esass").release == installed.release
    return installed


@pytest.fixture
def raw(raw_sky, tmp_path) -> Path:
    return raw_files(SUITE, (raw_sky.root,), tmp_path)


def test_eight_processes_at_once_do_not_share_parameter_files(esass, prefix, raw, tmp_path, monkeypatch):
    """Each call reads and writes its parameter file slowly: with a common one, calls would get others' values."""
    ids = sorted({tile_at(CENTRE[0] + 4.0 * number, CENTRE[1]).obs_id for number in range(8)})
    assert len(ids) == 8
    # All at once, however small this machine is.
    monkeypatch.setattr(ChainBackend, "resources", lambda self, mission, step: Resources())
    whole = Whole.make(tmp_path / "a907", SUITE, raw, ids)
    request(prefix, "evtool", "", slowly=0.1)
    try:
        outcomes = run_stage(replace(whole.stage("events"), workers=8))
    finally:
        grant(prefix, "evtool")
    assert {one.obs_id: (one.status, one.reason) for one in outcomes} == dict.fromkeys(ids, ("done", "new observation"))
    for obs_id in ids:
        (log,) = find_logs(whole.layout, load_config(whole.layout), obs_id, "events")
        (call,) = re.findall(r"(?m)^\$ evtool .*$", log.text)
        assert f"_{obs_id}_" in call
        assert (whole.layout.products("erass1", "events") / obs_id / "manifest.json").is_file()


def test_killed_at_any_moment_it_ends_with_the_same_bytes(esass, raw, tmp_path):
    """Only daxa is killed: programs that it had started are left, and must not write into the next attempt."""
    reference = Whole.make(tmp_path / "reference" / "a907", SUITE, raw)
    moments, began = random.Random(50), time.monotonic()
    for step in STEPS:
        reference.run(step)
    length, expected = time.monotonic() - began, reference.contents()
    deaths, attempts, archives = 0, 0, 0
    killed = None
    while deaths < KILLS and attempts < 5 * KILLS + 5:
        if killed is None:
            archives += 1
            killed = Whole.make(tmp_path / f"killed-{archives}" / "a907", SUITE, raw)
        attempts += 1
        if _dies(killed, moments.uniform(0.0, 0.7 * length)):
            deaths += 1
        else:
            _is_whole(killed, expected)
            killed = None
    if killed is not None:
        for step in STEPS:
            killed.run(step)
        _is_whole(killed, expected)
    print(f"{deaths} kills in {attempts} attempts at {archives} archives, of {length:.1f} s each")
    assert deaths == KILLS


def _is_whole(whole: Whole, expected: dict[str, bytes]) -> None:
    """Everything is there, with the same bytes, and nothing else is."""
    found = whole.contents()
    assert sorted(found) == sorted(expected)
    assert [path for path in found if found[path] != expected[path]] == []
    assert not list((whole.layout.private / "work").glob("*/*"))


def _dies(whole: Whole, seconds: float) -> bool:
    """Run steps in a child that is killed after a time; whether it was still at work."""
    if not (child := os.fork()):
        try:
            for step in STEPS:
                whole.run(step)
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) < 0
