"""An archive that grows, as the README tells it: each change is one command that ends in a release, and runs what it
concerns alone.

``DAXA_TEST_KILLS`` sets how often such commands are killed (`make kills`); without it they are not.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import time

import pytest

from daxa.archive.layout import Layout
from daxa.cli import main
from daxa.simulator import Fault, Observatory
from daxa.simulator.tap import TableService
from tests.journey.test_increments import ids
from tests.journey.workbench import Workbench, contents
from tests.test_readme import session_with, typed

pytestmark = [pytest.mark.journey, pytest.mark.usefixtures("quick_dvc")]

KILLS = int(os.environ.get("DAXA_TEST_KILLS", "0"))
COMMANDS = (
    ("reprocess", "xmm", "--obs", "0900000201", "--set", "clean.screening=none", "--release"),
    ("drop", "nustar", "--yes", "--release"),
    ("drop", "xmm", "--obs", "0900000201", "--yes", "--release"),
    ("update", "--yes", "--release"),
    ("update", "--yes", "--keep-old", "--release"),
)
"""What is killed, in turns; the last two find a file redelivered."""

FIRST, SECOND, NUSTAR = "0900000101", "0900000201", "90900001002"
STEPS = ("fetch", "events", "clean", "images", "sources")
DATA = ("data/xmm/clean", "data/xmm/images", "data/xmm/sources", "data/nustar/images", "ledger", "selection", "params")


class Journey:
    """The archive after each release, and what ran for it; commands are given in this process."""

    def __init__(self, bench: Workbench, observatory: Observatory, sky, patch: pytest.MonkeyPatch, said) -> None:
        self.observatory, self.sky, self.said = observatory, sky, said
        self.serve(FIRST)
        self.story = session_with("as delivered", "console")
        self.commands = iter(typed(self.story))
        init, _ = next(self.commands), next(self.commands)
        assert init[:5] == ["daxa", "init", "a907", "--mission", "xmm"]
        self.root = bench.init("a907", *init[5:])
        self.layout = Layout(self.root)
        params = self.layout.params("xmm")
        params.write_text(params.read_text().replace('["0.5-2 keV", "2-10 keV"]', '["0.5-2 keV"]', 1))
        self.states: dict[str, dict[str, bytes]] = {}
        self.logs: dict[str, int] = {}
        for name in [name for name in os.environ if name not in bench.environ]:
            patch.delenv(name)
        for name, value in bench.environ.items():
            patch.setenv(name, value)
        patch.chdir(self.root)

    def serve(self, *obs_ids: str) -> None:
        """Let the archive list these XMM observations alone."""
        rows = [row for row in self.sky.tables["xmmmaster"] if row["obsid"] in obs_ids]
        self.observatory.service.close()
        self.observatory.service = TableService({**self.sky.tables, "xmmmaster": rows})

    def says(self, verb: str, *more: str) -> str:
        """Give the next command, which is of this verb, and answer with what it says."""
        words = next(self.commands)
        assert words[:2] == ["daxa", verb]
        self.said.readouterr()
        assert main([*words[1:], *more]) == 0, self.said.readouterr()
        return self.said.readouterr().out

    def does(self, verb: str) -> set[str]:
        """Give the next command, which ends in a release; answer with the tasks that ran, or whose products went."""
        self.says(verb)
        before, self.logs = (
            self.logs,
            {
                path.relative_to(self.layout.logs).with_suffix("").as_posix(): path.stat().st_mtime_ns
                for path in self.layout.logs.rglob("*.log")
            },
        )
        tag = git("tag", "--sort=v:refname").split()[-1]
        assert tag not in self.states
        self.states[tag] = contents(self.root, *DATA)
        return {name for name in {*before, *self.logs} if before.get(name) != self.logs.get(name)}


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout


def tasks(mission: str, obs_id: str, *steps: str) -> set[str]:
    return {f"{mission}/{step}/{obs_id}" for step in steps or STEPS}


def test_every_change_is_a_release_of_its_own(bench, observatory, sky, monkeypatch, capfd):
    journey = Journey(bench, observatory, sky, monkeypatch, capfd)
    journey.says("run")
    assert journey.does("release") == tasks("xmm", FIRST)

    journey.serve(FIRST, SECOND)
    told = map(json.loads, journey.says("update", "--json").splitlines())
    planned = [record for record in told if "action" in record]
    assert {f"xmm/{one['step']}/{one['obs_id']}" for one in planned} == tasks("xmm", SECOND)
    assert all(one["seconds"] > 0 and one["size"] > 0 for one in planned)
    assert journey.does("update") == tasks("xmm", SECOND)

    assert "parameters changed: screening" in journey.says("reprocess")
    assert SECOND not in journey.layout.params("xmm").read_text()
    assert journey.does("reprocess") == tasks("xmm", SECOND, *STEPS[2:])
    assert "# as delivered" in journey.layout.params("xmm").read_text()
    message = git("tag", "--list", "--format=%(contents)", "v1.1.1")
    assert re.search(rf"(?m)^xmm {SECOND}: [\d.]+ -> [\d.]+ ks clean, \d+ -> \d+ events", message)

    observatory.faults.add(Fault("redelivered", f"*{FIRST}M1*EVLI*", value="21.0"))
    told = journey.says("update")
    assert f"xmm {FIRST}: the archive has replaced 1 of its files" in told
    assert "PROCVER none -> 21.0" in told
    assert journey.does("update") == tasks("xmm", FIRST)
    message = git("tag", "--list", "--format=%(contents)", "v1.1.2")
    assert f"xmm: 1 replaced in the mission's archive: {FIRST}" in message

    assert journey.does("add") == tasks("nustar", NUSTAR)

    assert journey.does("drop") == tasks("xmm", SECOND)
    assert ids(journey.root) == [FIRST]
    assert SECOND not in journey.layout.params("xmm").read_text()

    assert list(journey.states) == ["v1.0.0", "v1.1.0", "v1.1.1", "v1.1.2", "v1.2.0", "v2.0.0"]
    assert re.findall(r"# (v\d\.\d\.\d)", journey.story) == list(journey.states)
    log = journey.says("log")
    assert all(tag in log for tag in journey.states)
    assert f"+ xmm {SECOND} added" in journey.says("diff")
    journey.says("checkout")
    assert contents(journey.root, *DATA) == journey.states["v1.1.1"]
    assert "all identical" in journey.says("verify")
    journey.says("checkout")
    assert contents(journey.root, *DATA) == journey.states["v2.0.0"]
    assert list(journey.commands) == []
    for tag, expected in journey.states.items():
        git("checkout", "--quiet", tag)
        bench.run("dvc", "checkout", "--quiet", cwd=journey.root)
        assert contents(journey.root, *DATA) == expected, tag


@pytest.mark.skipif(not KILLS, reason="a soak of many minutes: `make kills`")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_killed_command_given_again_makes_the_same_version(finished, bench, observatory, command):
    observatory.faults.add(Fault("redelivered", f"*{FIRST}M1*EVLI*", value="21.0"))
    moments, expected, tags = random.Random(" ".join(command)), {}, ""
    for attempt in range(1 - -KILLS // 20):  # The first one is not killed.
        place = Workbench.at(bench.root / str(attempt), observatory.environ)
        bench.run("cp", "-a", str(finished / "store"), str(finished / "a907"), str(place.root))
        archive, ended, killed = place.root / "a907", None, 0
        while ended != 0:
            going = subprocess.Popen(
                ["daxa", *command], cwd=archive, env=place.environ, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            if attempt and killed < 1 + attempt % 3:
                time.sleep(moments.uniform(0.5, 25.0))
                going.kill()
                killed += 1
            said = going.communicate(timeout=600)[1]
            ended = going.returncode
            assert ended in (0, -9), said.decode()
            time.sleep(1.0)  # What works for a killed command notices its death.
        told = [bench.run("git", "tag", "--sort=v:refname", "--format=%(refname) %(contents)", cwd=archive).stdout]
        now = contents(archive, *DATA)
        expected, tags = expected or now, tags or told
        assert now.keys() == expected.keys()
        assert [path for path in now if now[path] != expected[path]] == []
        assert told == tags
        assert place.clean(archive)
        place.daxa("verify", "--fetched", cwd=archive)
