"""Kill the process at any moment: the same call again ends with the same files, and does only what was missing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from daxa.missions import find_mission
from daxa.simulator.faults import Fault
from daxa.simulator.server import Observatory
from tests.fetch.conftest import events_file, sha256, tree

NUSTAR = find_mission("nustar")
OBS = "30101031002"

FETCH = """
import json, sys
from pathlib import Path
from daxa.fetch.observation import fetch_observation
from daxa.fetch.locations import ObservationRef
from daxa.missions import find_mission
from daxa.settings import load_settings
target, parts, obs_id = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
say = lambda line: print(line, flush=True)
settings = load_settings(user_file=None)
say("ready")
arrivals = fetch_observation(
    ObservationRef(find_mission("nustar"), obs_id), ["FPMA", "FPMB"], ["auxil/.*"],
    target=target, parts=parts, settings=settings, say=say,
)
print(json.dumps([arrival.sha256 for arrival in arrivals]))
"""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kill_and_go_on(tmp_path, seed):
    origin = tmp_path / "tree" / NUSTAR.directory_of(OBS)
    names = [f"event_cl/nu{OBS}A01_cl.evt.gz", f"event_cl/nu{OBS}B01_cl.evt.gz", f"auxil/nu{OBS}_att.fits.gz"]
    for number, name in enumerate(names):
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_bytes(events_file(number, 60_000))
    moments = random.Random(seed)
    with Observatory(tmp_path / "tree", {"numaster": [{"obsid": OBS, "ra": 1.0, "dec": 2.0}]}) as running:
        running.faults.add(Fault("slow", "*.gz", value=0.01))
        environ = {**os.environ, **running.environ, "DAXA_STORE": str(tmp_path / "store"), "DAXA_DOWNLOADS": "1"}
        said = ""
        for turn in range(6):
            process = start(tmp_path, environ, turn)
            time.sleep(moments.uniform(0.02, 0.5))
            process.send_signal(signal.SIGKILL)
            said += process.communicate()[0]
        running.faults.clear()
        process = start(tmp_path, environ, "last")
        last = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    expected = {name: (origin / name).read_bytes() for name in names}
    assert tree(tmp_path / "out-last") == expected
    assert json.loads(last.splitlines()[-1]) == [sha256(expected[name]) for name in sorted(names)]
    stored = [path for path in (tmp_path / "store" / "sha256").rglob("*") if path.is_file()]
    assert sorted(path.name for path in stored) == sorted(sha256(content) for content in expected.values())
    assert not list((tmp_path / "parts").iterdir())
    for name in names:
        whole = [line for line in (said + last).splitlines() if line.startswith(name) and line.endswith("downloaded")]
        assert len(whole) <= 1, "what was there was not downloaded again"
        assert ranges(running, name) == sorted(ranges(running, name)), "what had arrived was kept"


def start(tmp_path, environ, turn) -> subprocess.Popen:
    arguments = [str(tmp_path / f"out-{turn}"), str(tmp_path / "parts"), OBS]
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH, *arguments], env=environ, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def ranges(running: Observatory, name: str) -> list[int]:
    """Where each continued answer began."""
    return [
        int(request.range.removeprefix("bytes=").rstrip("-"))
        for request in running.requests
        if request.path.endswith(name) and request.status == 206
    ]
