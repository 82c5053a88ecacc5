"""A whole archive of Swift's BAT: survey data are fetched, one observation fails by itself, and is repaired alone."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from daxa.archive.accepted_calibration import accept_calibration, other_calibration
from daxa.archive.config import FETCH_SOFTWARE, LockedSoftware, load_config
from daxa.archive.layout import STEPS, Layout
from daxa.archive.stage_records import find_logs
from daxa.archive.template import MissionAnswers, render
from daxa.backends import find_backend
from daxa.fetch.file_choice import choose_files
from daxa.missions import find_mission
from daxa.run.ledger import read_ledger
from daxa.stages.step import make_stage
from daxa.stages.work import wanted_of
from tests.backends.conftest import prefix_of
from tests.backends.heasoft.bat_histograms import NAMES, add_survey
from tests.stages.archives import choose, run_here
from tests.stubs.install import write_caldb

OBS, OTHER = "00974827000", "00095119034"
PARAMS = """[fetch]
[events]
backend = "heasoft"
[events.heasoft.batsurvey]
energybins = "14-24,24-50,50-100,100-195"
detthresh = 14000
[clean]
backend = "native"
[images]
[sources]
search = "none"
"""
REPAIR = f'[events.obs."{OTHER}".heasoft.batsurvey]\ndetthresh = 8000\n'


class Sources:
    """In place of the fetch step's work: those files of a made observation that the step has chosen."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __call__(self, task, target, log) -> None:
        root = self.place / task.obs_id
        there = [path.relative_to(root).as_posix() for path in root.rglob("*.gz")]
        wanted = wanted_of(task, find_backend("heasoft").inputs(find_mission("swift")))
        for one in choose_files(wanted.spec, task.obs_id, ["BAT"], there):
            (target / one.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / one.path, target / one.path)


@pytest.fixture(scope="module")
def archive(stand_ins, tmp_path_factory) -> Layout:
    place = tmp_path_factory.mktemp("bat")
    layout, spec = Layout(place / "a"), find_mission("swift")
    software = [("fetch", FETCH_SOFTWARE)]
    for step in STEPS[1:]:
        name = "heasoft" if step == "events" else "native"
        software.append((step, LockedSoftware(name, find_backend(name).version("swift", step))))
    for path, content in render("a", [MissionAnswers(spec, {"target": ["Crab"]}, tuple(software))]).items():
        (layout.root / path).parent.mkdir(parents=True, exist_ok=True)
        (layout.root / path).write_text(content)
    (layout.root / ".git").mkdir()
    choose(layout, (OBS, OTHER), "swift", instruments="BAT")
    layout.params("swift").write_text(PARAMS)
    accept_calibration(layout, other_calibration(layout, load_config(layout)))
    add_survey(place / "tree" / OBS, OBS)
    add_survey(place / "tree" / OTHER, OTHER, (4,), detectors=12000)
    stage = make_stage(layout, load_config(layout), "fetch", "swift")
    run_here(replace(stage, work=Sources(place / "tree"), workers=1))
    return layout


def run_step(layout: Layout, step: str) -> dict[str, tuple[str, str]]:
    stage = make_stage(layout, load_config(layout), step, "swift")
    return {one.obs_id: (one.status, one.reason) for one in run_here(replace(stage, workers=1))}


@pytest.fixture(scope="module")
def first(archive) -> dict[str, tuple[str, str]]:
    return run_step(archive, "events")


@pytest.fixture(scope="module")
def repaired(archive, first) -> dict[str, tuple[str, str]]:
    layout = archive
    layout.params("swift").write_text(PARAMS + REPAIR)
    return run_step(layout, "events")


def test_what_batsurvey_needs_is_fetched_and_nothing_else(archive):
    got = {file.path for file in read_ledger(archive.ledger("swift", "fetch"))[OBS].files}
    assert {path.rpartition("/")[0] for path in got} - {""} == {"bat/survey", "bat/hk", "auxil"}
    assert f"bat/hk/sw{OBS}bhd.hk.gz" not in got


def test_an_observation_whose_detectors_were_off_fails_by_itself(archive, first):
    assert first[OBS][0] == "done"
    status, reason = first[OTHER]
    assert (status, reason) == ("failed", "heasoft.batsurvey.fewDetectors")
    row = read_ledger(archive.ledger("swift", "events"))[OTHER]
    assert "bin/batsurvey" not in repr(row), "where the software is stands in no ledger"


def test_its_repair_runs_alone_and_the_products_are_named_as_all_are(archive, repaired):
    assert repaired[OBS][0] == "kept"
    assert repaired[OTHER][0] == "done"
    files = {one.path for one in read_ledger(archive.ledger("swift", "events"))[OBS].files}
    assert {f"obsid{OBS}-instBAT-subexp{name}-en-batsources.fits" for name in NAMES} <= files
    assert f"obsid{OBS}-instBAT-subexpALL-en-batpointings.fits" in files
    (log,) = find_logs(archive, load_config(archive), OTHER, "events")
    assert "detthresh=8000" in log.text
    assert "elimits=14-195" in log.text
    manifest = json.loads((archive.products("swift", "events") / OBS / "manifest.json").read_text())
    assert re.fullmatch(r"HEASoft 6\.36, CALDB [0-9a-f]{16}", manifest["calibration"])


def test_native_steps_have_nothing_to_do_with_it(archive, repaired):
    assert set(run_step(archive, "clean").values()) == {("failed", "data.no-events")}
    (log,) = find_logs(archive, load_config(archive), OBS, "clean")
    assert "BAT: it looks through a coded mask" in log.text
    assert {status for status, _ in run_step(archive, "images").values()} == {"skipped"}


def test_calibration_of_the_bat_concerns_it(archive, repaired, stand_ins):
    place = prefix_of(stand_ins["heasoft"]) / "calibration"
    (place / "data/swift/bat/caldb.indx").write_text("SWIFT BAT, newer\n")
    try:
        changed = other_calibration(archive, load_config(archive))
        assert [(one.mission, one.step) for one in changed] == [("swift", "events")]
        accept_calibration(archive, changed)
        assert {reason for _, reason in run_step(archive, "events").values()} == {"calibration changed"}
    finally:
        write_caldb(place)
