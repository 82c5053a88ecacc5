"""A whole archive of NuSTAR whose lists nupipeline makes, and whose other steps are native."""

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
from daxa.missions import find_mission
from daxa.run.ledger import read_ledger
from daxa.selection.selection_file import read_selection, write_selection
from daxa.simulator.raw import RAW
from daxa.stages.step import make_stage
from daxa.stages.work import wanted_of
from tests.backends.conftest import prefix_of
from tests.backends.tools.test_caldb import write_index
from tests.stages.archives import choose, run_here
from tests.stubs.install import grant, request, write_caldb

OBS, OTHER = RAW["nustar"], "90900004002"
PARAMS = """[fetch]
[events]
backend = "heasoft"
maps = ["3.0-10.0 keV"]
[events.heasoft.nupipeline]
saamode = "strict"
[clean]
backend = "native"
[images]
bands = ["3.0-10.0 keV"]
[sources]
search = "none"
"""


class Sources:
    """In place of the fetch step's work: the raw files of one observation, which stand for those of another too."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __call__(self, task, target, log) -> None:
        for path in self.place.rglob("*.gz"):
            name = target / path.relative_to(self.place).as_posix().replace(OBS, task.obs_id)
            name.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, name)


@pytest.fixture(scope="module")
def archive(stand_ins, raw_sky, tmp_path_factory) -> Layout:
    layout, spec = Layout(tmp_path_factory.mktemp("archive") / "a"), find_mission("nustar")
    software = tuple(
        (step, FETCH_SOFTWARE)
        if step == "fetch"
        else (step, LockedSoftware(name := "heasoft" if step == "events" else "native",
                                   find_backend(name).version("nustar", step)))
        for step in STEPS
    )  # fmt: skip
    for path, content in render("a907", [MissionAnswers(spec, {"target": ["Abell 907"]}, software)]).items():
        (layout.root / path).parent.mkdir(parents=True, exist_ok=True)
        (layout.root / path).write_text(content)
    (layout.root / ".git").mkdir()
    choose(layout, (OBS, OTHER), "nustar", instruments="FPMA")
    layout.params("nustar").write_text(PARAMS)
    accept_calibration(layout, other_calibration(layout, load_config(layout)))
    place = raw_sky.root / spec.directory_of(OBS)
    run_here(replace(make_stage(layout, load_config(layout), "fetch", "nustar"), work=Sources(place), workers=1))
    return layout


def run_step_here(layout: Layout, step: str) -> dict[str, tuple[str, str]]:
    stage = make_stage(layout, load_config(layout), step, "nustar")
    return {one.obs_id: (one.status, one.reason) for one in run_here(replace(stage, workers=1))}


@pytest.fixture(scope="module")
def failed(archive, stand_ins) -> dict[str, tuple[str, str]]:
    """What became of the step events while nuexpomap failed for each observation."""
    prefix = prefix_of(stand_ins["heasoft"])
    request(prefix, "nuexpomap", "errorAndOne")
    try:
        return run_step_here(archive, "events")
    finally:
        grant(prefix, "nuexpomap")


@pytest.fixture(scope="module")
def made(archive, failed) -> dict[str, tuple[str, str]]:
    """What became of it when the cause was gone."""
    return run_step_here(archive, "events")


def test_raw_files_are_fetched_from_the_directories_that_hold_them(archive):
    task = make_stage(archive, load_config(archive), "fetch", "nustar").tasks[0]
    reference = wanted_of(task, find_backend("heasoft").inputs(find_mission("nustar")))
    assert reference.spec.listings == ("event_uf", "hk", "auxil")
    assert json.loads(task.parameters)["inputs"], "other files than native ones are another fetch"


def test_a_failure_is_a_row_of_the_ledger(failed):
    assert set(failed) == {OBS, OTHER}
    assert {status for status, _ in failed.values()} == {"failed"}
    assert all("nuexpomap" in reason for _, reason in failed.values())


def test_a_repetition_makes_only_what_is_missing(archive, made):
    assert {status for status, _ in made.values()} == {"done"}
    for obs_id in (OBS, OTHER):
        (log,) = find_logs(archive, load_config(archive), obs_id, "events")
        assert "== nupipeline FPMA: done before" in log.text
        assert "== nuexpomap FPMA 3.0_10.0: done" in log.text
        assert "saamode=strict" in log.text
    manifest = json.loads((archive.products("nustar", "events") / OBS / "manifest.json").read_text())
    assert re.fullmatch(r"HEASoft 6\.36, CALDB [0-9a-f]{16}", manifest["calibration"])
    assert str(archive.root) not in json.dumps(manifest)


def test_native_steps_follow_in_the_archive(archive, made):
    for step in ("clean", "images", "sources"):
        assert {status for status, _ in run_step_here(archive, step).values()} == {"done"}, step
    row = read_ledger(archive.ledger("nustar", "images"))[OBS]
    assert f"obsid{OBS}-instFPMA-subexpNone-en3.0_10.0keV-expmap.fits" in [file.path for file in row.files]


def test_other_calibration_is_taken_when_it_is_accepted(archive, made, stand_ins):
    assert not other_calibration(archive, load_config(archive))
    place = prefix_of(stand_ins["heasoft"]) / "calibration"
    write_caldb(place, issue=2)
    try:
        (found,) = other_calibration(archive, load_config(archive))
        assert (found.mission, found.step, found.backend) == ("nustar", "events", "heasoft")
        before = read_ledger(archive.ledger("nustar", "events"))
        run_step_here(archive, "events")
        assert read_ledger(archive.ledger("nustar", "events")) == before, "nothing is made again until it is accepted"
        accept_calibration(archive, [found])
        outcomes = run_step_here(archive, "events")
        assert {reason for _, reason in outcomes.values()} == {"calibration changed"}
    finally:
        write_caldb(place)


def test_a_newer_file_makes_again_only_the_observations_that_would_use_it(archive, made, stand_ins):
    place = prefix_of(stand_ins["heasoft"]) / "calibration"
    index = place / "data" / "nustar" / "fpm" / "caldb.indx"
    table = read_selection(archive.selection("nustar"))
    for name in ("start", "end"):
        table[name] = table[name].where(table["obs_id"] != OTHER, table[name] + 5000.0)
    write_selection(archive.selection("nustar"), table, mission="nustar", criteria="{}", snapshot="0" * 64)
    first = ("FPMA", "GAIN", "gain1.fits", 1, 50000.0, 0)
    try:
        for rows, expected in (
            ([first], {OBS: ("done", "calibration changed"), OTHER: ("done", "calibration changed")}),
            # Valid from a moment between the two observations.
            ([first, ("FPMA", "GAIN", "gain2.fits", 1, 55000.0, 0)],
             {OBS: ("kept", ""), OTHER: ("done", "calibration changed")}),
            # Of the module that was not chosen.
            ([first, ("FPMA", "GAIN", "gain2.fits", 1, 55000.0, 0), ("FPMB", "GAIN", "b.fits", 1, 50000.0, 0)],
             {OBS: ("kept", ""), OTHER: ("kept", "")}),
        ):  # fmt: skip
            write_index(index, rows)
            changed = other_calibration(archive, load_config(archive))
            assert [one.step for one in changed] == ["events"]
            concerned = {obs_id: ("kept", reason) for obs_id, (_, reason) in expected.items()}
            assert run_step_here(archive, "events") == concerned, "nothing is made again until it is accepted"
            accept_calibration(archive, changed)
            assert run_step_here(archive, "events") == expected
    finally:
        write_caldb(place)
