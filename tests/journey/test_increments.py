"""Only what is concerned runs again."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

import daxa
from daxa.archive.layout import Layout
from daxa.run.ledger import read_ledger
from daxa.selection.selection_file import read_selection, read_selection_metadata, write_selection
from tests.journey.workbench import PIXELS, contents, parsed_lock

pytestmark = pytest.mark.journey

STEPS = ("fetch", "events", "clean", "images", "sources")


def ran(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    """Tasks whose log has changed, as mission/step/obs_id."""
    return {path.removeprefix("logs/").removesuffix(".log") for path, text in after.items() if before.get(path) != text}


def ids(archive, mission="xmm"):
    return sorted(read_selection(Layout(archive).selection(mission))["obs_id"])


def fetched(observatory) -> set[str]:
    """ObsID directories whose files were asked for."""
    return {
        request.path.split("/data/")[1]
        for request in observatory.requests
        if request.path.startswith("/FTP/") and not request.path.endswith("/")
    }


def test_nothing_to_do_does_nothing(copy, bench, observatory):
    archive = copy()
    before = contents(archive, "logs", "ledger", "data", "selection")
    bench.repro(archive)
    bench.daxa("run", cwd=archive)
    assert contents(archive, "logs", "ledger", "data", "selection") == before
    assert observatory.requests == []
    assert bench.clean(archive)


def test_a_parameter_reruns_the_steps_that_depend_on_it(copy, bench, observatory):
    archive = copy()
    before = contents(archive, "logs")
    params = Layout(archive).params("xmm")
    params.write_text(params.read_text().replace(PIXELS["xmm"], "34.8 arcsec"))
    bench.repro(archive)
    assert ran(before, contents(archive, "logs")) == {
        f"xmm/{step}/{obs_id}" for step in ("images", "sources") for obs_id in ids(archive)
    }
    assert observatory.requests == []


def test_an_override_reruns_its_observation(copy, bench):
    archive = copy()
    before = contents(archive, "logs")
    chosen = ids(archive)[0]
    params = Layout(archive).params("xmm")
    params.write_text(params.read_text() + f'\n[clean.obs."{chosen}"]\nscreening = "none"\n')
    bench.repro(archive)
    assert ran(before, contents(archive, "logs")) == {f"xmm/{step}/{chosen}" for step in ("clean", "images", "sources")}
    assert parsed_lock(archive)["stages"]["clean-xmm"]["params"]["params/xmm.toml"]["clean"]["obs"] == {
        chosen: {"screening": "none"}
    }


def test_regions_of_one_observation_rerun_its_search_alone(copy, bench):
    archive = copy()
    before = contents(archive, "logs")
    chosen = ids(archive)[0]
    params = Layout(archive).params("xmm")
    mask = f'[sources.obs."{chosen}"]\nregions = """\nfk5\ncircle(149.59,-11.06,120")\n"""\n'
    params.write_text(f"{params.read_text()}\n{mask}")
    bench.repro(archive)
    assert ran(before, contents(archive, "logs")) == {f"xmm/sources/{chosen}"}


def test_one_more_observation_is_fetched_and_processed_alone(finished, bench, observatory):
    first, second = ids(finished / "a907")[:2]
    archive = bench.init("small", "--obsid", first)
    counts = watch_repro(bench, archive)
    assert counts == sorted(counts), "status took something back"
    assert {0, len(STEPS)} < set(counts), "status told nothing while the pipeline ran"
    before = contents(archive, "logs")
    observatory.requests.clear()
    add_observation(archive, finished / "a907", second)
    bench.repro(archive)
    assert ran(before, contents(archive, "logs")) == {f"xmm/{step}/{second}" for step in STEPS}
    assert all(second in path for path in fetched(observatory))
    assert fetched(observatory)


def watch_repro(bench, archive) -> list[int]:
    """Run the pipeline, and ask again and again how many tasks are done."""
    counts = [done(archive)]
    repro = subprocess.Popen(
        ["dvc", "repro"], cwd=archive, env=bench.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while repro.poll() is None:
        counts.append(done(archive))
        time.sleep(0.7)  # What is told is asked for a few times in each stage.
    assert repro.returncode == 0
    return [*counts, done(archive)]


def done(archive) -> int:
    return sum(record.status == "done" for record in daxa.open(archive).status())


def add_observation(archive, source, obs_id):
    """Put one more row into the selection, as choosing more observations does."""
    path = Layout(archive).selection("xmm")
    table, whole = read_selection(path), read_selection(Layout(source).selection("xmm"))
    import pandas as pd

    more = pd.concat([table, whole[whole["obs_id"] == obs_id]], ignore_index=True)
    described = read_selection_metadata(path)
    write_selection(path, more, mission="xmm", criteria=described.criteria, snapshot=described.snapshot)


def test_what_failed_is_retried_by_run_and_not_by_repro(bench, observatory, sky):
    from daxa.simulator import Fault

    chosen = sorted(row["obsid"] for row in sky.tables["xmmmaster"])
    archive = bench.init("small", "--target", "Abell 907")
    unlucky = ids(archive)[-1]
    assert unlucky in chosen
    observatory.faults.add(Fault("missing", f"*{unlucky}*EVLI*"))
    bench.repro(archive)
    status = {(r["step"], r["obs_id"]): r for r in bench.status(archive)}
    assert status["fetch", unlucky]["status"] == "failed"
    assert status["fetch", unlucky]["reason"].startswith("data.")
    assert status["sources", unlucky]["status"] == "skipped"
    assert all(status["sources", other]["status"] == "done" for other in ids(archive)[:-1])
    assert unlucky in json.dumps(
        [json.loads(x) for x in bench.daxa("logs", unlucky, "--json", cwd=archive).stdout.splitlines()]
    )

    observatory.faults.clear()
    assert "didn't change" in bench.repro(archive).stdout
    bench.daxa("run", cwd=archive)
    assert {record["status"] for record in bench.status(archive)} == {"done"}
    assert all(row.outcome == "done" for row in read_ledger(Layout(archive).ledger("xmm", "sources")).values())
