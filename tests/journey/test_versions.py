"""Tags: there and back without work, and a fresh clone that continues alone."""

from __future__ import annotations

import pytest

from daxa.archive.layout import Layout
from tests.journey.test_increments import fetched, ids, ran
from tests.journey.workbench import PIXELS, contents

pytestmark = [pytest.mark.journey, pytest.mark.usefixtures("quick_dvc")]

DATA = ("data/xmm/clean", "data/xmm/images", "data/nustar/images", "ledger", "selection")


def test_there_and_back_again(copy, bench, observatory):
    archive = copy()
    first = contents(archive, *DATA)
    chosen = ids(archive)[0]
    params = Layout(archive).params("xmm")
    params.write_text(params.read_text() + f'\n[clean.obs."{chosen}"]\nscreening = "none"\n')
    bench.daxa("run", cwd=archive)
    bench.daxa("release", "-m", "one observation unscreened", cwd=archive)
    tags = bench.run("git", "tag", cwd=archive).stdout.split()
    assert tags == ["v1.0.0", "v1.0.1"]
    second = contents(archive, *DATA)
    assert second != first
    observatory.requests.clear()
    for tag, expected in (("v1.0.0", first), ("v1.0.1", second), ("v1.0.0", first)):
        bench.run("git", "checkout", "--quiet", tag, cwd=archive)
        bench.run("dvc", "checkout", "--quiet", cwd=archive)
        assert contents(archive, *DATA) == expected
        assert bench.clean(archive)
        before = contents(archive, "logs")
        bench.repro(archive)
        assert contents(archive, "logs") == before
        assert bench.clean(archive)
    assert observatory.requests == []


def test_a_fresh_clone_continues_on_its_own(finished, bench, observatory):
    clone = bench.root / "clone"
    bench.run("git", "clone", "--quiet", "--branch", "v1.0.0", str(finished / "a907"), str(clone))
    bench.run("dvc", "pull", "--quiet", cwd=clone)
    assert bench.clean(clone)
    before = contents(clone, "logs")
    assert "didn't change" in bench.repro(clone).stdout
    assert contents(clone, "logs") == before
    assert bench.clean(clone)
    assert observatory.requests == []

    chosen = ids(clone)[-1]
    params = Layout(clone).params("xmm")
    params.write_text(params.read_text() + f'\n[events.obs."{chosen}"]\nmin_ontime = "1 s"\n')
    bench.repro(clone)
    assert {task.rpartition("/")[2] for task in ran(before, contents(clone, "logs"))} == {chosen}
    assert fetched(observatory)
    assert all(chosen in path for path in fetched(observatory))


def test_verify_tells_absent_fetched_files_from_damage(finished, bench):
    clone = bench.root / "clone"
    bench.run("git", "clone", "--quiet", "--branch", "v1.0.0", str(finished / "a907"), str(clone))
    bench.run("dvc", "pull", "--quiet", cwd=clone)
    said = bench.daxa("verify", "v1.0.0", cwd=clone)
    assert "fetched" in said.stdout + said.stderr
    assert bench.daxa("verify", "v1.0.0", "--fetched", cwd=clone, ok=False).returncode == 7


def test_releases_refuse_what_would_not_be_honest(copy, bench):
    archive = copy()
    nothing_new = bench.daxa("release", "-m", "again", cwd=archive, ok=False)
    assert nothing_new.returncode == 6
    (archive / "notes.txt").write_text("mine")
    params = Layout(archive).params("xmm")
    params.write_text(params.read_text().replace(PIXELS["xmm"], "34.8 arcsec"))
    refused = bench.daxa("release", "-m", "stale", cwd=archive, ok=False)
    assert refused.returncode == 6
    assert "notes.txt" in refused.stderr
    assert "images-xmm" in refused.stderr
    assert bench.run("git", "tag", cwd=archive).stdout.split() == ["v1.0.0"]
