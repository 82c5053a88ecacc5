"""Versions of real observations: each change is one command that ends in a release, and is named as what it is."""

from __future__ import annotations

import json

import pytest

from daxa.simulator import Fault, Observatory, real_sky
from daxa.simulator.tap import TableService
from tests.journey.workbench import Workbench, contents

pytestmark = pytest.mark.journey

FIRST, SECOND, NUSTAR = "0404910601", "0201901401", "30101031002"
DATA = ("data/xmm/clean", "data/xmm/images", "data/nustar/clean", "ledger", "selection", "params")
STEPS = {"fetch", "events", "clean", "images", "sources"}


def ran(archive, before: dict[str, int]) -> tuple[set[str], dict[str, int]]:
    """Tasks whose logs are new, changed or gone, and the times of all logs."""
    now = {
        path.relative_to(archive / "logs").with_suffix("").as_posix(): path.stat().st_mtime_ns
        for path in (archive / "logs").rglob("*.log")
    }
    return {name for name in {*before, *now} if before.get(name) != now.get(name)}, now


def tasks(mission: str, obs_id: str, steps: set[str] = STEPS) -> set[str]:
    return {f"{mission}/{step}/{obs_id}" for step in steps}


def test_every_change_is_a_release_of_its_own(tmp_path, real_data):
    sky = real_sky(real_data, tmp_path / "tree")
    with Observatory(sky.root, sky.tables, sky.names) as observatory:
        bench = Workbench.at(tmp_path, observatory.environ)

        def serve(*obs_ids: str) -> None:
            rows = [row for row in sky.tables["xmmmaster"] if row["obsid"] in obs_ids]
            observatory.service.close()
            observatory.service = TableService({**sky.tables, "xmmmaster": rows})

        serve(FIRST)
        archive = bench.init("real", "--position", "149.59,-11.06")
        params = archive / "params" / "xmm.toml"
        text = params.read_text().replace("realisations = 1", "realisations = 0")
        params.write_text(
            text.replace('flares = "histogram"', 'flares = "none"').replace(
                '["0.5-2 keV", "2-10 keV"]', '["0.5-2 keV"]', 1
            )
        )
        bench.run("git", "commit", "--quiet", "--all", "--message", "One band", cwd=archive)
        logs: dict[str, int] = {}
        states: dict[str, dict[str, bytes]] = {}

        def does(tag: str, expected: set[str], *words: str) -> None:
            nonlocal logs
            bench.daxa(*words, cwd=archive)
            assert bench.run("git", "describe", "--exact-match", cwd=archive).stdout.strip() == tag
            found, logs = ran(archive, logs)
            assert found == expected, tag
            states[tag] = contents(archive, *DATA)

        bench.daxa("run", cwd=archive)
        does("v1.0.0", tasks("xmm", FIRST), "release", "-m", "as delivered")
        serve(FIRST, SECOND)
        does("v1.1.0", tasks("xmm", SECOND), "update", "--no-files", "--yes", "--release")
        changed = tasks("xmm", SECOND, {"clean", "images", "sources"})
        does("v1.1.1", changed, "reprocess", "xmm", "--obs", SECOND, "--set", "clean.screening=none", "--release")
        observatory.faults.add(Fault("redelivered", f"*{FIRST}M1*EVLI*", value="21.0"))
        does("v1.1.2", tasks("xmm", FIRST), "update", "--yes", "--release")
        does("v1.2.0", tasks("nustar", NUSTAR), "add", "nustar", "--obsid", NUSTAR, "--yes", "--release")
        does("v2.0.0", tasks("xmm", SECOND), "drop", "xmm", "--obs", SECOND, "--yes", "--release")
    # No archive can be reached any more.
    told = map(json.loads, bench.daxa("diff", "v1.0.0", "v1.1.2", "--json", cwd=archive).stdout.splitlines())
    causes = {
        (one["obs_id"], one["change"]): {cause["kind"] for cause in one["causes"]} for one in told if "change" in one
    }
    assert causes == {(SECOND, "added"): {"new"}, (FIRST, "reprocessed"): {"redelivered"}}
    told = bench.daxa("diff", "v1.1.0", "v1.1.1", cwd=archive).stdout
    assert "clean.screening" in told
    assert SECOND in told
    assert FIRST not in told
    for tag, expected in states.items():
        bench.daxa("checkout", tag, cwd=archive)
        assert contents(archive, *DATA) == expected, tag
