"""Whole archives through every suite on stand-ins: failures of every kind, repetitions, a release made again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from daxa.archive import git
from daxa.archive.config import load_config
from daxa.archive.layout import STEPS
from daxa.archive.stage_records import find_logs
from daxa.backends.chains import execution
from daxa.backends.chains.task_script import script_in
from daxa.backends.tools import capture
from daxa.publish.releases.release_environment import record_environment
from daxa.publish.remaking.export import export_release
from daxa.run.ledger import read_ledger
from daxa.stages import recreate
from daxa.stages.recreation import recompute_release, recreate_archive
from tests.backends.whole import SUITES, Whole, raw_files
from tests.publish.workshop import set_identity
from tests.stages import archives, remaking
from tests.stubs import here
from tests.stubs.install import grant, install_suite, request


@pytest.fixture(scope="module", params=SUITES)
def place(request, tmp_path_factory):
    """Where a suite of stand-ins is installed; backends find it, and run it in this process."""
    place = tmp_path_factory.mktemp(request.param)
    installed = install_suite(place, request.param)
    with pytest.MonkeyPatch.context() as patch:
        set_identity(patch)
        patch.setattr(capture, "find_installation", lambda suite: installed)
        patch.setattr("daxa.backends.tools.container.run_limited", here.run_here)
        yield place


@pytest.fixture(scope="module")
def raw(place, raw_sky, sky) -> Path:
    """The raw files of an observation."""
    return raw_files(SUITES[place.name.rstrip("0123456789")], (raw_sky.root, sky.root), place / "raw")


@pytest.fixture(scope="module")
def whole(place, raw) -> Whole:
    """An archive of which nothing is processed yet."""
    return Whole.make(place / "archive" / "a907", SUITES[place.name.rstrip("0123456789")], raw)


@pytest.fixture(scope="module")
def failed(whole, place) -> dict[str, dict[str, tuple[str, str]]]:
    """What became of both observations while a tool failed in each way for one of them; then it works again."""
    step, _, tool = whole.suite.failing
    for before in STEPS[1 : STEPS.index(step)]:
        whole.run(before)
    outcomes = {}
    for failure in whole.suite.codes:
        request(place, tool, failure, only=whole.suite.ids[1])
        outcomes[failure] = whole.run(step)
        if outcomes[failure][whole.suite.ids[1]][0] == "done":
            for path in (whole.layout.products(whole.suite.mission, step) / whole.suite.ids[1]).iterdir():
                path.unlink()
    request(place, tool, "silent", only=whole.suite.ids[1])
    whole.run(step)
    grant(place, tool)
    return outcomes


def test_one_observation_fails_in_every_way_and_the_other_ends(whole, failed):
    (good, bad), (_, link, _) = whole.suite.ids, whole.suite.failing
    for failure, word in whole.suite.codes.items():
        assert failed[failure][good][0] in ("done", "kept"), failure
        status, reason = failed[failure][bad]
        assert (status, reason if word else "") == (
            ("failed", f"{whole.suite.name}.{link}.{word}") if word else ("done", "")
        ), failure


@pytest.fixture(scope="module")
def repeated(whole, failed) -> list[str]:
    """The calls of the step, once what failed works again; then all other steps are done."""
    called: list[str] = []
    run_call = execution.run_call

    def counted(call, *args, name: str, **more):
        called.append(name.split("-")[1])
        return run_call(call, *args, name=name, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, "run_call", counted)
        outcomes = whole.run(whole.suite.failing[0])
    assert {status for status, _ in outcomes.values()} == {"done", "kept"}
    whole.run_all()
    return called


def test_a_repetition_makes_only_what_is_missing(whole, failed, repeated):
    links = [one.name for one in whole_chain(whole).links]
    at = links.index(whole.suite.failing[1])
    assert repeated[0] == links[at]
    assert set(repeated) <= set(links[at:])


def whole_chain(whole: Whole):
    from daxa.backends import find_backend

    return find_backend(whole.suite.name).chain(whole.suite.mission, whole.suite.failing[0])


def test_logs_have_every_call_and_the_script_that_repeats_them(whole, repeated, monkeypatch, capsys):
    from daxa.cli import main

    (step, link, tool), obs_id = whole.suite.failing, whole.suite.ids[1]
    (log,) = find_logs(whole.layout, load_config(whole.layout), obs_id, step)
    assert f"== {link}" in log.text
    assert f"\n$ {tool} " in log.text
    monkeypatch.chdir(whole.layout.root)
    assert main(["logs", obs_id, "--step", step]) == 0
    assert f"== {link}" in capsys.readouterr().out
    for name in (link, tool):
        assert main(["logs", obs_id, "--step", step, "--task", name]) == 0
        shown = capsys.readouterr().out
        assert f"\n== {link}" in shown
        assert f"\n$ {tool} " in shown
        assert script_in(log.text) not in shown
        assert set(re.findall(r"(?m)^[$] (\w+)", shown)) == {tool}
    assert main(["logs", obs_id, "--step", step, "--task", "nosuchtool"]) == 3
    assert "no log of" in capsys.readouterr().err
    assert main(["run", "--obs", obs_id, "--step", step, "--script"]) == 0
    shown = capsys.readouterr().out
    assert shown.strip() == script_in(log.text).strip()
    assert f"\n{tool} " in shown
    assert str(whole.layout.root) not in shown


@pytest.fixture(scope="module")
def released(whole, place, repeated) -> Path:
    """A release of the archive, with all randomised lists made anew where the suite has some; its bundle."""
    if whole.suite.name == "sas":
        request(place, "emchain", "", seed=1)
        for obs_id in whole.suite.ids:
            for path in (whole.layout.products("xmm", "events") / obs_id).iterdir():
                path.unlink()
        whole.run_all()
        request(place, "emchain", "", seed=2)
    record_environment(whole.layout)
    remaking.seal(whole.layout, whole.suite.mission)
    git.create_tag(whole.layout.root, "v1.0.0", "first")
    bundle = place / "a907.bundle"
    export_release(whole.layout, "v1.0.0", bundle)
    return bundle


def test_a_release_made_again_is_identical_or_equal_within_counting_noise(
    whole, released, place, monkeypatch, identity
):
    monkeypatch.setattr("daxa.run.runner.execute", archives._execute)
    monkeypatch.setattr(recreate, "make_stage", whole.stage_of)
    monkeypatch.setattr(recreate, "_finish", lambda layout, config: None)
    random_numbers = whole.suite.name == "sas"
    made = (
        recompute_release(whole.layout, "v1.0.0")
        if random_numbers
        else recreate_archive(str(released), place / "again")
    )
    statement = made.statement["predicate"]
    files = {
        file["path"].rpartition("-")[2]: file["verdict"]
        for one in statement["observations"]
        for file in one["files"]
        if file["step"] != "fetch"
    }
    different = [file for one in statement["observations"] for file in one["files"] if file["verdict"] == "different"]
    if not random_numbers:
        assert statement["verdict"] == "identical bytes", different
        assert len(statement["observations"]) == 2
        assert {"events.fits", "finalevents.fits", "image.fits", "expmap.fits"} <= set(files)
        return
    assert statement["verdict"] == "equal within counting noise", different
    for kind in ("events.fits", "finalevents.fits", "image.fits", "ratemap.fits", "quicklook.png"):
        assert files[kind] == "equal within counting noise", kind
    assert files["gti.fits"] == "identical bytes"
    assert files["expmap.fits"] in ("identical bytes", "equal within counting noise")


def test_products_say_which_calibration_and_software_made_them(whole, repeated):
    step = whole.suite.failing[0]
    row = read_ledger(whole.layout.ledger(whole.suite.mission, step))[whole.suite.ids[0]]
    manifest = json.loads((whole.layout.products(whole.suite.mission, step) / row.obs_id / "manifest.json").read_text())
    assert manifest["backend"] == whole.suite.name
    assert manifest["calibration"]
    assert str(whole.layout.root) not in json.dumps(manifest)
