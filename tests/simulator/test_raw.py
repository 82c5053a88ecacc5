"""Raw observations: the same every time, served and fetched as a backend of mission software asks for them."""

from __future__ import annotations

import filecmp
from dataclasses import replace

import pytest
from astropy.io import fits

from daxa.fetch.locations import ObservationRef
from daxa.fetch.observation import fetch_observation
from daxa.missions import find_mission
from daxa.settings import load_settings
from daxa.simulator.raw import RAW, ROW, build_raw_sky
from daxa.simulator.server import Observatory
from daxa.xray.eventlists.opening import open_events


@pytest.fixture(scope="module")
def raw(make_once):
    return build_raw_sky(make_once("raw-sky", build_raw_sky))


def test_the_same_seed_gives_the_same_files_and_all_say_that_they_are_simulated(raw, tmp_path):
    again = build_raw_sky(tmp_path)
    files = [file for file in raw.root.rglob("*") if file.is_file()]
    assert len(files) > 15
    for file in files:
        assert filecmp.cmp(file, again.root / file.relative_to(raw.root), shallow=False), file
        if file.suffix == ".gz":
            with fits.open(file) as hdus:
                hdus.verify("exception")
                assert all(hdu.header["SIMULATD"] is True for hdu in hdus)


@pytest.mark.parametrize("mission", RAW)
def test_what_mission_software_starts_from_is_fetched(raw, tmp_path, mission):
    spec = find_mission(mission)
    spec = spec.starting_from(spec.raw_inputs or spec.native_inputs[:1])
    with Observatory(raw.root, {}) as server:
        settings = load_settings(environ={**server.environ, "DAXA_STORE": str(tmp_path / "store")}, user_file=None)
        fetched = fetch_observation(
            ObservationRef(spec, RAW[mission], row=ROW),
            spec.default_instruments,
            (),
            target=tmp_path / "out",
            parts=tmp_path / "parts",
            settings=replace(settings, downloads=1),
        )
    place = raw.root / spec.directory_of(RAW[mission], ROW)
    there = {path.relative_to(place).as_posix() for path in place.rglob("*.gz")}
    assert {one.path for one in fetched} == there
    lists = [
        tmp_path / "out" / one.path for one in fetched if any(word in one.path for word in ("uf.evt", "evt1", "EventL"))
    ]
    assert lists
    for path in lists:
        assert len(open_events(path)) > 1000
