"""The survey's tiles as observations: computed, and enriched where HEASARC answers."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from daxa.errors import CriteriaError, ServiceError
from daxa.missions import find_mission
from daxa.missions.tiling import SURVEY, find_tile, tile_at, tiles_within
from daxa.query.mission import Mission
from daxa.query.tables.snapshot import import_snapshot, read_snapshot, take_snapshot, write_snapshot
from daxa.query.tables.tiles import compute_tiles
from daxa.settings import load_settings
from daxa.simulator import Observatory

SPEC = find_mission("erass1")
NOWHERE = "http://127.0.0.1:9/tap"


def settings_of(tmp_path, **environ):
    return load_settings(environ={"DAXA_CACHE": str(tmp_path / "cache"), **environ}, user_file=None)


def row(obs_id, **values):
    tile = find_tile(obs_id)
    return {"obsid": obs_id, "ra": tile.ra, "dec": tile.dec, **values}


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("daxa.query.tables.exchange.time.sleep", lambda seconds: None)


@pytest.fixture
def served(tmp_path):
    """Take a snapshot from an observatory that has these rows of ``erassmastr``."""

    def take(rows, **options):
        with Observatory(tmp_path / "tree", {"erassmastr": rows}) as server:
            return take_snapshot(SPEC, settings_of(tmp_path, **server.environ), **options)

    return take


def test_the_tiles_are_those_of_the_release(real_data):
    with (real_data / "tables" / "erass_de_dr1_info.csv").open(newline="") as file:
        real = {one["ObsID"]: one for one in csv.DictReader(file)}
    table = compute_tiles(SPEC, SPEC.table).normalised.table
    assert set(table["obs_id"]) == set(real)
    for obs_id, ra, dec in zip(table["obs_id"], table["ra"], table["dec"], strict=True):
        if abs(dec) < 90:
            assert ra == pytest.approx(float(real[obs_id]["RA"]), abs=1e-9)
            assert dec == pytest.approx(float(real[obs_id]["DEC"]), abs=0.05)
    # No tile was scanned outside of the time that is used for the unknown ones.
    first, last = min(one["START"] for one in real.values()), max(one["END"] for one in real.values())
    days = [(np.datetime64(text) - np.datetime64("1858-11-17")) / np.timedelta64(1, "D") for text in (first, last)]
    assert pytest.approx(days, abs=1e-5) == SURVEY
    assert SURVEY[0] <= days[0] < days[1] <= SURVEY[1]


def test_without_a_network_the_tiles_are_there(tmp_path):
    settings = settings_of(tmp_path, DAXA_OFFLINE="1")
    found = Mission("erass1", settings).filter(position=(145.5, -46.2)).select()
    assert tile_at(145.5, -46.2).obs_id in set(found.table["obs_id"])
    assert set(found.table["instruments"]) == {"TM1,TM2,TM3,TM4,TM5,TM6,TM7"}
    assert (found.origin.service, found.origin.table) == ("tiling", "erassmastr, by rule 1")
    assert found.origin.assumed == ("start", "end", "exposure")
    note = take_snapshot(SPEC, settings).note
    assert "the tiles are computed: their times are those of the whole survey" in note
    assert "start, end, exposure" in note
    assert not (tmp_path / "cache").exists()


def test_a_place_of_the_other_consortium_has_no_tile(tmp_path):
    erass = Mission("erass1", settings_of(tmp_path, DAXA_OFFLINE="1"))
    with pytest.raises(CriteriaError) as caught:
        erass.filter(position=(290.0, 20.0)).select()
    assert caught.value.code == "criteria.empty"


def test_the_time_of_the_survey_is_used_for_its_tiles(tmp_path):
    erass = Mission("erass1", settings_of(tmp_path, DAXA_OFFLINE="1")).filter(obs_ids="053141")
    assert len(erass.filter(time=("2020-03-01", "2020-03-02")).observations) == 1
    for window in (("2020-06-12", "2021-01-01"), ("2018-01-01", "2019-12-11")):
        with pytest.raises(CriteriaError, match="no observation"):
            erass.filter(time=window).select()


def test_equal_tables_are_computed_every_time():
    first, second = (compute_tiles(SPEC, SPEC.table).normalised.table for _ in range(2))
    assert first.equals(second)
    assert first["exposure"].isna().all()


def test_heasarc_adds_what_it_knows(served):
    rows = [
        row("053141", name="eRASS1_053141", time=58900.0, end_time=58903.5, exposure=210.0),
        row("058141", name="eRASS1_058141", time=58901.0, end_time=58904.5, exposure=0.0),
        row("002090", name="a Russian tile", time=58900.0, end_time=58901.0, exposure=1.0),
        {"obsid": "../../etc", "ra": 1.0, "dec": 1.0, "time": 58900.0},
    ]
    snapshot = served(rows)
    assert snapshot.note == ""
    assert (snapshot.origin.rows, snapshot.origin.assumed) == (2447, ())
    assert snapshot.origin.left_out == {"malformed ObsID": 1, "no released tile": 1}
    assert snapshot.origin.service.startswith("http://127.0.0.1")
    assert "FROM erassmastr" in snapshot.origin.query
    table = snapshot.table.set_index("obs_id")
    known = table.loc["053141"]
    assert (known["target"], known["start"], known["end"], known["exposure"]) == (
        "eRASS1_053141", 58900.0, 58903.5, 210.0,
    )  # fmt: skip
    assert (table.loc["053141", "row_id"], table.loc["050138", "row_id"]) == ("1", "")
    unknown = table.loc["050138"]
    assert (unknown["target"], unknown["start"], unknown["end"]) == ("050138", *SURVEY)
    assert np.isnan(unknown["exposure"])


def test_a_table_of_tiles_without_times_is_no_obstacle(served):
    snapshot = served([row("053141", name="eRASS1_053141")])
    assert snapshot.origin.assumed == ("start", "end", "exposure")
    assert "start, end, exposure" in snapshot.note
    known = snapshot.table.set_index("obs_id").loc["053141"]
    assert (known["target"], known["start"], known["end"]) == ("eRASS1_053141", *SURVEY)
    assert known["row_id"] == "1"


def test_a_time_that_is_not_an_interval_is_not_trusted(served):
    snapshot = served([row("053141", time=60000.0)])
    known = snapshot.table.set_index("obs_id").loc["053141"]
    assert (known["start"], known["end"]) == SURVEY


@pytest.mark.usefixtures("quick")
def test_when_heasarc_fails_the_tiles_are_computed_and_not_kept(tmp_path):
    snapshot = take_snapshot(SPEC, settings_of(tmp_path, DAXA_HEASARC_TAP=NOWHERE))
    assert (snapshot.origin.service, len(snapshot.table)) == ("tiling", 2447)
    assert "computed" in snapshot.note
    assert NOWHERE in snapshot.note
    assert not list((tmp_path / "cache").rglob("*.parquet"))


def test_a_service_without_the_table_is_no_obstacle(tmp_path):
    with Observatory(tmp_path / "tree", {"numaster": []}) as server:
        snapshot = take_snapshot(SPEC, settings_of(tmp_path, **server.environ))
    assert snapshot.origin.service == "tiling"
    assert "no table erassmastr" in snapshot.note


@pytest.mark.usefixtures("quick")
def test_what_heasarc_once_gave_is_not_forgotten(tmp_path, served):
    first = served([row("053141", time=58900.0, end_time=58903.5, exposure=210.0)])
    with Observatory(tmp_path / "tree", {"erassmastr": []}) as server:
        dead = settings_of(tmp_path, **server.environ)
    # The address of the first observatory is another: its table is brought by hand.
    write_snapshot(tmp_path / "brought.parquet", first)
    import_snapshot(tmp_path / "brought.parquet", dead)
    later = take_snapshot(SPEC, dead, max_age=timedelta(0))
    assert later.origin.digest == first.origin.digest
    assert "could not be refreshed" in later.note
    offline = take_snapshot(SPEC, dead, offline=True)
    assert offline.origin == first.origin
    with pytest.raises(ServiceError):
        take_snapshot(SPEC, dead, refresh=True)


def test_a_computed_table_is_a_snapshot_like_any_other(tmp_path):
    snapshot = take_snapshot(SPEC, settings_of(tmp_path), offline=True)
    write_snapshot(tmp_path / "tiles.parquet", snapshot)
    again = read_snapshot(tmp_path / "tiles.parquet")
    assert again.origin == snapshot.origin
    assert again.table.equals(snapshot.table)
    assert import_snapshot(tmp_path / "tiles.parquet", settings_of(tmp_path)).declaration == snapshot.declaration


def test_another_rule_makes_another_snapshot(monkeypatch):
    from daxa.query.tables.snapshot_file import declaration_of

    before = declaration_of(SPEC, SPEC.table)
    monkeypatch.setattr("daxa.missions.tiling.RULE", 2)
    assert declaration_of(SPEC, SPEC.table) != before
    assert declaration_of(SPEC, replace(SPEC.table, service="heasarc")) != before


def test_every_place_finds_its_tile_and_those_that_its_radius_reaches(tmp_path):
    rng = np.random.default_rng(2020)
    ra = np.concatenate(
        [rng.uniform(0, 360, 9000), np.zeros(400), np.full(400, 360.0 - 1e-9), rng.uniform(0, 360, 200)]
    )
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, len(ra))))
    # Poles and edges of bands.
    dec[-200:] = np.tile([-90.0, 90.0, -88.5, -1.5], 50)
    erass = Mission("erass1", settings_of(tmp_path, DAXA_OFFLINE="1"))
    pairs = erass.filter(sample={"ra": ra, "dec": dec, "name": [f"{i}" for i in range(len(ra))]}).pairs
    owned = pairs[pairs["owner"]]
    owners = [tile_at(*place) for place in zip(ra, dec, strict=True)]
    assert dict(zip(owned["target"].astype(int), owned["obs_id"], strict=True)) == {
        number: tile.obs_id for number, tile in enumerate(owners) if tile.released
    }
    some = slice(0, None, 40)
    radius = rng.uniform(0.1, 6.0, len(ra[some]))
    wide = erass.filter(sample={"ra": ra[some], "dec": dec[some], "radius_deg": radius}).pairs
    reached = {(one, obs_id) for one, obs_id in zip(wide["target_ra"].round(9), wide["obs_id"], strict=True)}
    assert reached == {
        (np.round(a, 9) % 360, tile.obs_id)
        for a, d, r in zip(ra[some], dec[some], radius, strict=True)
        for tile in tiles_within(a, d, r)
        if tile.released
    }
