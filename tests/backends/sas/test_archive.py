"""A whole archive through the backend sas on stand-ins: failures, repetitions, other calibration, native steps."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits

from daxa.archive.accepted_calibration import accept_calibration, other_calibration
from daxa.archive.config import load_config
from daxa.archive.layout import Layout
from daxa.archive.stage_records import find_logs
from daxa.backends import find_backend
from daxa.backends.chains import execution
from daxa.backends.chains.task_script import script_in
from daxa.backends.tools import capture
from daxa.cli import main
from daxa.missions import find_mission
from daxa.run.ledger import read_ledger
from daxa.stages.status import outcomes_of, read_status
from daxa.stages.step import make_stage
from daxa.stages.work import wanted_of
from tests.backends.native.observations import Fetched, run_step
from tests.backends.sas.observation import Observation
from tests.stages.archives import make_archive, run_here, set_parameter
from tests.stubs import here as stand_ins
from tests.stubs.install import grant, install_suite, request
from tests.stubs.odf import write_odf

GOOD, OTHER = "0404910601", "0404910602"

PARAMS = """
[fetch]
[events]
backend = "sas"
[events.sas.emchain]
randomize = ""
[clean]
skip = ["evselect_oot"]
[images]
backend = "native"
bands = ["0.5-2.0 keV"]
[sources]
"""


class Sources:
    """In place of the fetch step's work: raw files from directories on this machine."""

    def __init__(self, places: dict[str, Path]) -> None:
        self.places = places

    def __call__(self, task, target, log) -> None:
        shutil.copytree(self.places[task.obs_id], target, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def prefix(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("software")


@pytest.fixture(scope="module", autouse=True)
def sas_is_here(prefix):
    installed = install_suite(prefix, "sas")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture, "find_installation", lambda suite: installed)
        patch.setattr("daxa.backends.tools.container.run_limited", stand_ins.run_here)
        yield


@pytest.fixture(scope="module")
def archive(tmp_path_factory, sas_is_here) -> Layout:
    """Two observations whose raw files are there, and whose steps SAS carries out; their lists are made."""
    root = tmp_path_factory.mktemp("archive")
    layout = make_archive(root / "a", (GOOD, OTHER), instruments="M1")
    places = {}
    for obs_id in (GOOD, OTHER):
        made = Observation(root / obs_id, obs_id)
        made.add("M1", "S001")
        places[obs_id] = made.root / "fetch"
    native = re.search(r"\[images\]\n(.*?)\n\[sources\]\n(.*)", layout.params("xmm").read_text(), re.DOTALL)
    assert native
    layout.params("xmm").write_text(PARAMS)
    text = layout.software.read_text()
    for step in ("events", "clean"):
        version = find_backend("sas").version("xmm", step)
        text = re.sub(
            rf"(\[xmm\.{step}\]\n)backend = \"native\"\nversion = \"\d+\"",
            rf'\1backend = "sas"\nversion = "{version}"',
            text,
        )
    layout.software.write_text(text)
    accept_calibration(layout, other_calibration(layout, load_config(layout)))
    run_here(replace(make_stage(layout, load_config(layout), "fetch", "xmm"), work=Sources(places), workers=1))
    return layout


@pytest.fixture(scope="module")
def events(archive):
    return run_step_here(archive, "events")


def run_step_here(layout: Layout, step: str) -> dict[str, tuple[str, str]]:
    stage = make_stage(layout, load_config(layout), step, "xmm")
    return {one.obs_id: (one.status, one.reason) for one in run_here(replace(stage, workers=1))}


def told_of(layout: Layout, step: str) -> dict[str, tuple[str, str]]:
    return {
        one.obs_id: (one.status, one.reason)
        for one in outcomes_of(read_status(layout, load_config(layout), steps=step))
    }


def test_raw_files_are_what_is_fetched_and_lists_what_is_made(archive, events, monkeypatch, capsys):
    assert set(events.values()) == {("done", "new observation")}
    row = read_ledger(archive.ledger("xmm", "events"))[GOOD]
    assert [file.path for file in row.files] == [
        f"P{GOOD}OBX000ATTTSR0000.fits",
        "manifest.json",
        f"obsid{GOOD}-instM1-subexpS001-en-events.fits",
    ]
    manifest = json.loads((archive.products("xmm", "events") / GOOD / "manifest.json").read_text())
    accepted = re.search(r'calibration = "(.*)"', archive.software.read_text())[1]
    assert re.search(r"^SAS 22\.1, CCF [0-9a-f]{32}; as of \d{4}-\d\d-\d\d$", accepted)
    # What the observation uses of it, without the date, which may go on while its files stay the same.
    assert re.search(r"^SAS 22\.1, CCF [0-9a-f]{32}$", manifest["calibration"])
    assert manifest["parameters"]["sas"] == {"emchain": {"randomize": ""}}
    (log,) = find_logs(archive, load_config(archive), GOOD, "events")
    assert "== emchain M1-S001: done" in log.text
    assert f"analysisdate={accepted[-10:]}" in log.text
    assert "ended:" in log.text
    script = script_in(log.text)
    assert script.startswith("#!/bin/sh\n")
    assert "emchain odf=odf randomize= exposures=S001 instruments=M1" in script
    assert f'gzip -dcf "$from"/ODF/0001_{GOOD}_SCX00000SUM.ASC.gz > odf/0001_{GOOD}_SCX00000SUM.ASC' in script
    monkeypatch.chdir(archive.root)
    assert main(["run", "--obs", GOOD, "--script"]) == 0
    assert capsys.readouterr().out.strip() == script.strip()
    assert main(["run", "--obs", "0404910699", "--script"]) != 0
    assert main(["run", "--script"]) == 3
    capsys.readouterr()
    # What is private is gone, and no place stands in what is shared.
    assert not list((archive.private / "work" / "xmm-events").iterdir())
    assert str(archive.root) not in json.dumps(manifest)
    task = make_stage(archive, load_config(archive), "fetch", "xmm").tasks[0]
    reference = wanted_of(task, find_backend("sas").inputs(find_mission("xmm")))
    assert reference.spec.listings == ("ODF",)


FAILURES = {
    "errorAndOne": "noCounts",
    "errorAndZero": "noCounts",
    "noEnd": "notEnded",
    "outputsMissing": "outputMissing",
    "outputsEmpty": "outputEmpty",
    "truncated": "outputUnreadable",
    "writesInput": "inputChanged",
    "manyLines": "IllegalIdentifier",
    "nested": "zeroRenorm",
    "crash": "crashed",
    "hang": "timeLimit",
}


def test_one_observation_fails_in_every_way_and_the_other_ends(archive, events, prefix, monkeypatch):
    called: list[str] = []
    run_call = execution.run_call

    def counted(call, *args, name: str, **more):
        called.append(name.partition("-")[2])
        return run_call(call, *args, name=name, **more)

    monkeypatch.setattr(execution, "run_call", counted)
    for failure, code in FAILURES.items():
        request(prefix, "evselect", failure, only=OTHER)
        outcomes = run_step_here(archive, "clean")
        assert outcomes[GOOD][0] in ("done", "kept"), failure
        assert outcomes[OTHER] == ("failed", f"sas.evselect.{code}"), failure
    assert told_of(archive, "clean") == {GOOD: ("done", ""), OTHER: ("failed", f"sas.evselect.{code}")}
    (log,) = find_logs(archive, load_config(archive), OTHER, "clean")
    assert "evselect of M1-S001 failed" in log.text
    assert "what to do:" in log.text
    assert f"code: sas.evselect.{code}" in log.text
    grant(prefix, "evselect")
    called.clear()
    assert run_step_here(archive, "clean") == {GOOD: ("kept", ""), OTHER: ("done", "failed before")}
    # espfilt of the first attempt was good: only what is missing is made.
    assert called == ["evselect-M1-S001"]
    assert not list((archive.private / "work" / "xmm-clean").iterdir())


def test_the_parameters_of_a_tool_hold_for_the_observations_that_they_are_set_for(archive, events):
    run_step_here(archive, "clean")
    set_parameter(archive, "clean", "sas", {"espfilt": {"allowsigma": 2.5}}, obs_id=OTHER)
    assert told_of(archive, "clean")[GOOD] == ("done", "")
    assert told_of(archive, "clean")[OTHER] == ("outdated", "parameters changed")
    assert run_step_here(archive, "clean") == {GOOD: ("kept", ""), OTHER: ("done", "parameters changed")}
    (log,) = find_logs(archive, load_config(archive), OTHER, "clean")
    assert "allowsigma=2.5" in log.text


def test_calibration_that_changes_is_taken_when_it_is_accepted_and_makes_its_observations_again(
    archive, events, prefix
):
    run_step_here(archive, "clean")
    newer = prefix / "calibration" / "EMOS1_ADUCONV_0099.CCF"
    newer.write_text("newer\n")
    try:
        # The accepted one goes on to hold: nothing is made again, and the change is shown.
        assert set(told_of(archive, "events").values()) == {("done", "calibration changed")}
        assert set(told_of(archive, "clean").values()) == {("done", "")}, "it reads no calibration files"
        others = other_calibration(archive, load_config(archive))
        assert [one.step for one in others] == ["events", "clean"]
        accept_calibration(archive, others)
        assert told_of(archive, "events") == dict.fromkeys((GOOD, OTHER), ("outdated", "calibration changed"))
        assert set(run_step_here(archive, "events").values()) == {("done", "calibration changed")}
        assert other_calibration(archive, load_config(archive)) == []
        assert set(run_step_here(archive, "events").values()) == {("kept", "")}
    finally:
        newer.unlink()


def test_native_images_are_made_of_lists_that_sas_cleaned(sky, tmp_path):
    """And SAS cleans lists that native steps made: the same names and kinds on both ways."""
    obs_id = "0900000201"
    products = sky.root / find_mission("xmm").directory_of(obs_id) / "PPS"
    made = Observation(tmp_path, obs_id)
    shutil.rmtree(tmp_path / "pps")
    (tmp_path / "pps").mkdir()
    for path in products.iterdir():
        if "ATTTSR" in path.name or re.search("M1.{4}MIEVLI", path.name):
            shutil.copy(path, tmp_path / "pps")
    made.cameras = ["M1"]
    write_odf(tmp_path / "pps", tmp_path / "fetch" / "ODF")
    made.run("events")
    by_sas = {path.name for path in (tmp_path / "events").iterdir()}
    made.run("clean")
    (measured,) = json.loads(next((tmp_path / "clean").glob("*-measures.json")).read_text())["exposures"]
    assert 0 < measured["good"] < measured["archived"]
    assert measured["events"] == len(fits.getdata(next((tmp_path / "clean").glob("*finalevents*")), "EVENTS"))
    fetched = Fetched("xmm", obs_id, ("M1",), {})
    images, _ = run_step(fetched, "images", tmp_path, bands=["0.5-2.0 keV"])
    image = next(images.glob("*-subexpS001-en0.5_2.0keV-image.fits"))
    assert fits.getdata(image).sum() > 0
    header = fits.getheader(next(images.glob("*-subexpS001-*-expmap.fits")))
    assert header["EXPMETH"] == "NATIVE"
    cleaned = fits.getdata(next((tmp_path / "clean").glob("*finalevents*")), "EVENTS")
    before = fits.getdata(next((tmp_path / "events").glob("*-events.fits")), "EVENTS")
    assert 0 < len(cleaned) < len(before)
    # Sources are found in the images that SAS makes, too.
    shutil.rmtree(tmp_path / "images")
    made.run("images", bands=["0.5-2.0 keV"])
    found, _ = run_step(fetched, "sources", tmp_path, realisations=0)
    (natively,) = found.glob("*-instM1-*sourcelist.fits")
    table = fits.getdata(natively)
    places = SkyCoord(table["ra"], table["dec"], unit="deg")
    shutil.rmtree(found)
    # And SAS finds the brightest one where the native search does: its list has the same columns, and the same kinds.
    names = made.run("sources")
    assert natively.name in names
    searched = fits.getdata(tmp_path / "sources" / natively.name)
    assert searched.columns.names == table.columns.names
    assert SkyCoord(searched["ra"][:1], searched["dec"][:1], unit="deg").separation(places).arcsec.min() < 30
    # The same observation natively, and then cleaned by SAS.
    native = tmp_path / "native"
    (native / "fetch").mkdir(parents=True)
    shutil.copytree(products, native / "fetch" / "PPS")
    run_step(fetched, "events", native)
    assert {path.name for path in (native / "events").iterdir()} == by_sas
    other = Observation(tmp_path / "second", obs_id)
    other.root, other.cameras = native, ["M1"]
    assert any("finalevents" in name for name in other.run("clean"))
