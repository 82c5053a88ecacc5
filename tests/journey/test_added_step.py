"""A step that a plug-in brings, with two needs, in an archive that was made and released before the step existed."""

from __future__ import annotations

import json
import tomllib

import pytest

from tests.journey.workbench import Workbench, contents, parsed_lock

pytestmark = pytest.mark.journey


def as_before(bench: Workbench, archive) -> None:
    """Let daxa.toml be as it was before archives named their steps."""
    text = (archive / "daxa.toml").read_text()
    kept = [line for line in text.splitlines(keepends=True) if not line.startswith("steps =")]
    assert len(kept) == len(text.splitlines()) - 1
    (archive / "daxa.toml").write_text("".join(kept))
    bench.run("git", "commit", "-qam", "As it was", cwd=archive)


def counts(bench: Workbench, archive) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for one in bench.status(archive):
        found.setdefault((one["mission"], one["step"]), set()).add(one["status"])
    return found


def test_an_older_archive_gains_a_step_and_runs_it(copy, bench, installed):
    archive, known = copy(), bench.root / "calibration.json"
    as_before(bench, archive)
    plain = bench
    environ = {**bench.environ, "PYTHONPATH": str(installed), "SPECTRAL_CALIBRATION": str(known)}
    bench = Workbench(bench.root, environ)

    # Before: nothing is to do, with the plug-in or without.
    assert {status for told in counts(bench, archive).values() for status in told} == {"done"}
    assert bench.clean(archive)
    before = contents(archive, "data", "ledger")
    stages = parsed_lock(archive)["stages"]

    # The user says so: one commit; only the new stages have something to do.
    refused = plain.daxa("select", "--add-step", "spectra", cwd=archive, ok=False)
    assert "there is no step 'spectra'" in refused.stderr
    bench.daxa("select", "--add-step", "spectra", cwd=archive)
    assert tomllib.loads((archive / "daxa.toml").read_text())["steps"][-1] == "spectra"
    assert tomllib.loads((archive / "params" / "xmm.toml").read_text())["spectra"] == {
        "backend": "spectral",
        "bin": "0.05 keV",
    }
    assert not bench.run("git", "status", "--porcelain", cwd=archive).stdout
    bench.daxa("run", cwd=archive)
    after = contents(archive, "data", "ledger")
    assert {path: after[path] for path in before} == before
    lock = parsed_lock(archive)["stages"]
    assert {name: lock[name] for name in stages if name != "collect"} == {
        name: stage for name, stage in stages.items() if name != "collect"
    }
    assert {dep["path"] for dep in lock["spectra-xmm"]["deps"]} == {
        "ledger/xmm-clean.parquet",
        "ledger/xmm-sources.parquet",
    }
    assert counts(bench, archive)["nustar", "spectra"] == counts(bench, archive)["xmm", "spectra"] == {"done"}
    listed = [
        json.loads(line) for line in bench.daxa("ls", "--kind", "spectrum", "--json", cwd=archive).stdout.splitlines()
    ]
    assert {(one["mission"], one["step"]) for one in listed} == {("xmm", "spectra"), ("nustar", "spectra")}
    assert json.loads((archive / listed[0]["relative"]).read_text())["read"] == ["clean", "sources"]
    assert "spectra" in json.loads((archive / "metrics.json").read_text())["missions"]["xmm"]["steps"]
    assert "<th>spectra</th>" in (archive / "report" / "index.html").read_text()

    # Calibration changes for one observation: nothing happens until it is accepted, and then to exactly that one.
    chosen = listed[0]["obs_id"]
    known.write_text(json.dumps({"installed": "epoch-2", chosen: "epoch-2"}))
    changed = [("spectra", chosen, "calibration changed")]
    told = [one for one in bench.status(archive) if one["reason"]]
    assert [(one["step"], one["obs_id"], one["reason"]) for one in told] == changed
    assert told[0]["status"] == "done"
    bench.daxa("run", cwd=archive)
    assert contents(archive, "data", "ledger") == after
    bench.daxa("upgrade", "--calibration", cwd=archive)
    told = [one for one in bench.status(archive) if one["status"] != "done"]
    assert [(one["step"], one["obs_id"], one["reason"]) for one in told] == changed
    bench.daxa("run", cwd=archive)
    again = contents(archive, "data", "ledger")
    changed = {path.split("/")[3] for path in again if path.startswith("data") and again[path] != after.get(path)}
    assert changed == {chosen}

    # Released, shared, and proved elsewhere.
    bench.daxa("release", "-m", "with spectra", cwd=archive)
    tag = bench.run("git", "describe", "--tags", cwd=archive).stdout.strip()
    bench.daxa("push", cwd=archive)
    clone = bench.root / "clone"
    bench.run("git", "clone", "--quiet", "--branch", tag, str(archive), str(clone))
    bench.daxa("pull", cwd=clone)
    bench.daxa("verify", tag, cwd=clone)
    assert contents(clone, "data/xmm/spectra") == contents(archive, "data/xmm/spectra")

    # Without the plug-in the archive says what it lacks.
    lacking = plain.daxa("status", cwd=clone, ok=False)
    assert lacking.returncode
    assert "spectra" in lacking.stderr
    assert "install the package" in lacking.stderr
