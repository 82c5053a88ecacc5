"""An archive that grows: each change is one command that ends in a release, and runs what it concerns alone."""

from __future__ import annotations

import json

import pytest

from daxa.archive.layout import Layout
from daxa.simulator import Observatory
from daxa.simulator.tap import TableService
from tests.journey.test_increments import ids, ran
from tests.journey.workbench import Workbench, contents

pytestmark = pytest.mark.journey

FIRST, SECOND, NUSTAR = "0900000101", "0900000201", "90900001002"
STEPS = ("fetch", "events", "clean", "images", "sources")
DATA = ("data/xmm/clean", "data/xmm/images", "data/xmm/sources", "data/nustar/images", "ledger", "selection", "params")


class Journey:
    """The archive after each release, and what ran for it."""

    def __init__(self, bench: Workbench, observatory: Observatory, sky) -> None:
        self.bench, self.observatory, self.sky = bench, observatory, sky
        self.serve(FIRST)
        self.root = bench.init("a907", "--target", "Abell 907")
        self.layout = Layout(self.root)
        self.states: dict[str, dict[str, bytes]] = {}
        self.logs = contents(self.root, "logs")

    def serve(self, *obs_ids: str) -> None:
        """Let the archive list these XMM observations alone."""
        rows = [row for row in self.sky.tables["xmmmaster"] if row["obsid"] in obs_ids]
        self.observatory.service.close()
        self.observatory.service = TableService({**self.sky.tables, "xmmmaster": rows})

    def does(self, *command: str) -> set[str]:
        """Give a command, which ends in a release; answer with the tasks that ran, or whose products went."""
        self.bench.daxa(*command, cwd=self.root)
        tag = self.bench.run("git", "tag", "--sort=v:refname", cwd=self.root).stdout.split()[-1]
        assert self.bench.clean(self.root)
        before, self.logs = self.logs, contents(self.root, "logs")
        self.states[tag] = contents(self.root, *DATA)
        return ran(before, self.logs) | ran(self.logs, {log: b"" for log in before if log not in self.logs})

    @property
    def tags(self) -> list[str]:
        return list(self.states)


def tasks(mission: str, obs_id: str, *steps: str) -> set[str]:
    return {f"{mission}/{step}/{obs_id}" for step in steps or STEPS}


def test_every_change_is_a_release_of_its_own(bench, observatory, sky):
    journey = Journey(bench, observatory, sky)
    bench.daxa("run", cwd=journey.root)
    assert journey.does("release", "-m", "first") == tasks("xmm", FIRST)

    journey.serve(FIRST, SECOND)
    told = bench.daxa("update", "--dry-run", "--json", cwd=journey.root).stdout.splitlines()
    planned = [record for record in map(json.loads, told) if "action" in record]
    assert {f"xmm/{one['step']}/{one['obs_id']}" for one in planned} == tasks("xmm", SECOND)
    assert all(one["seconds"] > 0 and one["size"] > 0 for one in planned)
    assert journey.does("update", "--yes", "--release") == tasks("xmm", SECOND)

    override = ("--obs", SECOND, "--set", "clean.screening=none", "--note", "as delivered")
    told = bench.daxa("reprocess", "xmm", *override, "--dry-run", cwd=journey.root).stdout
    assert "parameters changed: screening" in told
    assert SECOND not in journey.layout.params("xmm").read_text()
    assert journey.does("reprocess", "xmm", *override, "--release") == tasks("xmm", SECOND, *STEPS[2:])
    assert "# as delivered" in journey.layout.params("xmm").read_text()

    mission = ("nustar", "--target", "Abell 907", "--instrument", "FPMA")
    assert journey.does("add", *mission, "--yes", "--release") == tasks("nustar", NUSTAR)

    assert journey.does("drop", "xmm", "--obs", SECOND, "--yes", "--release") == tasks("xmm", SECOND)
    assert ids(journey.root) == [FIRST]
    assert SECOND not in journey.layout.params("xmm").read_text()

    assert journey.tags == ["v1.0.0", "v1.1.0", "v1.1.1", "v1.2.0", "v2.0.0"]
    for tag, expected in journey.states.items():
        bench.run("git", "checkout", "--quiet", tag, cwd=journey.root)
        bench.run("dvc", "checkout", "--quiet", cwd=journey.root)
        assert contents(journey.root, *DATA) == expected, tag
