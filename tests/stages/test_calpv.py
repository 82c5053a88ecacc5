"""From the selection to images of observations that come in one tar file for a whole field."""

from __future__ import annotations

import json

import pytest
from astropy.io import fits

import daxa
from daxa.archive.config import load_config
from daxa.fetch.store import digest_file
from daxa.run.ledger import read_ledger
from daxa.simulator.calpv import FIELD_FILE, POINTINGS, build_field_sky, member_of
from daxa.simulator.server import Observatory
from daxa.stages.step import make_stage
from tests.publish.workshop import set_identity
from tests.stages.archives import run_here

IDS = [one.obs_id for one in POINTINGS]


@pytest.fixture(scope="module")
def processed(tmp_path_factory):
    """An archive of both pointings with all native steps done, and what was requested."""
    place = tmp_path_factory.mktemp("field")
    sky = build_field_sky(place / "sky")
    with Observatory(sky.root, sky.tables, sky.names) as server, pytest.MonkeyPatch.context() as patch:
        set_identity(patch)
        for name, value in server.environ.items():
            patch.setenv(name, value)
        patch.setenv("DAXA_MIRRORS_EROSITA_CALPV", server.environ["DAXA_HEASARC_TREE"])
        for name in ("STORE", "CACHE"):
            patch.setenv(f"DAXA_{name}", str(place / name.lower()))
        patch.setenv("DAXA_CONFIG", str(place / "none.toml"))
        mission = daxa.Mission("erosita_calpv").filter(target="Abell 907", instruments=["TM1", "TM2"])
        archive = daxa.Archive.create(place / "a907", [mission])
        config = load_config(archive.layout)
        outcomes = {
            step: run_here(make_stage(archive.layout, config, step, "erosita_calpv"))
            for step in ("fetch", "events", "clean", "images", "sources")
        }
        yield archive.layout, outcomes, list(server.requests)


def test_every_step_is_done_and_the_file_of_the_field_came_once(processed):
    layout, outcomes, requests = processed
    for step, done in outcomes.items():
        assert [(one.obs_id, one.status) for one in done] == [(obs_id, "done") for obs_id in IDS], (step, done)
    logs = [layout.log("erosita_calpv", "fetch", obs_id).read_text() for obs_id in IDS]
    assert [log.count(f"{FIELD_FILE}: ") - log.count("SHA-256") for log in logs] == [1, 1]
    assert [" downloaded" in log for log in logs] == [True, False]
    assert all(" unpacked" in log for log in logs)
    assert any(request.path.endswith(FIELD_FILE) for request in requests)


def test_the_ledger_holds_the_lists_and_the_provenance_names_tar_and_member(processed):
    layout, *_ = processed
    rows = read_ledger(layout.ledger("erosita_calpv", "fetch"))
    for obs_id in IDS:
        path = layout.products("erosita_calpv", "fetch") / obs_id / member_of(obs_id)
        assert [file.path for file in rows[obs_id].files if file.path.endswith(".fits")] == [member_of(obs_id)]
        assert fits.getval(path, "OBS_ID", "EVENTS") == obs_id
        (noted,) = json.loads((layout.arrivals / "erosita_calpv" / f"{obs_id}.json").read_text())
        assert noted["url"].endswith(f"/edr/eROSITAObservations/CalPvObs/{FIELD_FILE}#/{member_of(obs_id)}")
        assert noted["sha256"] == digest_file(path)


def test_images_hold_the_chosen_modules_and_say_why_there_are_no_rates(processed):
    layout, *_ = processed
    for obs_id in IDS:
        place = layout.products("erosita_calpv", "images") / obs_id
        names = sorted(path.name for path in place.iterdir())
        images = [name for name in names if name.endswith("-image.fits")]
        assert len(images) == 2, names
        soft, hard = (int(fits.getdata(place / name).sum()) for name in images)
        assert 500 < soft < 2000, "two of seven modules, the background rising towards low energies"
        assert 20 < hard < 200
        assert not [name for name in names if "expmap" in name or "ratemap" in name]
        log = layout.log("erosita_calpv", "images", obs_id).read_text()
        assert "gives no exposure map: its chips are not described" in log
        assert json.loads((place / "manifest.json").read_text())["backend"] == "native"


def test_sources_are_not_searched_without_an_exposure_map_and_the_log_says_so(processed):
    layout, *_ = processed
    for obs_id in IDS:
        assert "has no exposure map (impossible.no-map)" in layout.log("erosita_calpv", "sources", obs_id).read_text()
        assert not list((layout.products("erosita_calpv", "sources") / obs_id).glob("*.parquet"))
