"""Tables whose columns are not recorded: the service says which of the usual ones it has."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from astropy.coordinates import angular_separation
from astropy.time import Time

from daxa.errors import CriteriaError, ServiceError
from daxa.missions import find_mission, mission_names
from daxa.query import make_criteria
from daxa.query.matching.match import match
from daxa.query.matching.pairs import list_pairs
from daxa.query.mission import Mission
from daxa.query.tables.columns import choose_columns
from daxa.query.tables.services import query_columns
from daxa.query.tables.snapshot import take_snapshot
from daxa.settings import load_settings
from daxa.simulator import Observatory
from tests.query.service import Reply, serve, votable

USUAL = [name for name in mission_names() if find_mission(name).table.usual and name != "erass1"]
IDS = {"bepposax": "20166001"}


def row_of(spec, **values):
    row = {"name": "a target", "ra": 149.6, "dec": -11.1, "time": 58000.0, "archive_status": "public"}
    return row | {spec.table.columns["obs_id"]: spec.id_example or IDS[spec.name], **values}


def taken(spec, rows, tmp_path):
    with Observatory(tmp_path / "tree", {spec.table.name: rows}) as server:
        environ = {**server.environ, "DAXA_CACHE": str(tmp_path / "cache")}
        return take_snapshot(spec, load_settings(environ=environ, user_file=None))


def test_these_missions_rely_on_what_the_service_says():
    assert set(USUAL) == {"erosita_calpv", "ixpe", "bepposax", "hitomi", "halosat", "maxi"}


@pytest.mark.parametrize("mission", USUAL)
@pytest.mark.parametrize("end", ["end_time", "stop_time"])
def test_a_mission_is_searched_by_position(mission, end, tmp_path):
    spec = find_mission(mission)
    near = row_of(spec, **{end: 58000.5, "exposure": 4000.0, "public_date": 58400.0})
    with Observatory(tmp_path / "tree", {spec.table.name: [near]}) as server:
        settings = load_settings(environ={**server.environ, "DAXA_CACHE": str(tmp_path / "cache")}, user_file=None)
        (found,) = (
            Mission(mission, settings)
            .filter(position=(149.61, -11.09), instruments=[one.name for one in spec.instruments])
            .observations.to_dict("records")
        )
    assert found["obs_id"] == near[spec.table.columns["obs_id"]]
    assert (found["start"], found["end"], found["exposure"]) == (58000.0, 58000.5, 4000.0)
    assert found["instruments"] == ",".join(one.name for one in spec.instruments)
    assert found["public_date"] == (58400.0 if spec.table.proprietary == "date" else 58000.0)


def test_what_the_service_has_not_is_unknown_and_said(tmp_path):
    spec = find_mission("hitomi")
    snapshot = taken(spec, [row_of(spec)], tmp_path)
    (found,) = snapshot.table.to_dict("records")
    assert np.isnan(found["exposure"])
    assert np.isnan(found["end"])
    assert found["target"] == "a target"
    assert snapshot.origin.assumed == ("end", "exposure", "instruments")
    assert "end, exposure, instruments" in snapshot.note
    assert '"unknown' not in snapshot.origin.query


def test_a_table_without_names_calls_targets_as_observations(tmp_path):
    spec = find_mission("halosat")
    row = row_of(spec, exposure=8000.0)
    del row["name"]
    snapshot = taken(spec, [row], tmp_path)
    assert snapshot.table["target"].tolist() == ["101601"]
    assert "target" in snapshot.origin.assumed


@pytest.mark.parametrize(("mission", "lost"), [("ixpe", "time"), ("ixpe", "public_date"), ("hitomi", "obsid")])
def test_a_table_that_lacks_what_is_needed_is_named(mission, lost, tmp_path):
    spec = find_mission(mission)
    row = row_of(spec, public_date=58400.0)
    del row[lost]
    with pytest.raises(ServiceError) as caught:
        taken(spec, [row], tmp_path)
    assert caught.value.code == "service.malformed"
    assert f"the table {spec.table.name} has no column {lost}" in caught.value.message


def test_a_service_without_the_table_is_named(tmp_path):
    with Observatory(tmp_path / "tree", {"numaster": []}) as server, pytest.raises(ServiceError) as caught:
        take_snapshot(find_mission("ixpe"), load_settings(environ=server.environ, user_file=None))
    assert "no table ixmaster" in caught.value.message


def test_reserved_words_may_be_in_quotation_marks_and_names_padded():
    columns = [{"column_name": name} for name in ('"time"', '"__row"', "OBSID   ", "ra", "dec")]
    with serve(lambda _query: Reply(votable(columns, ["column_name"]))) as service:
        found = query_columns(find_mission("ixpe").table, service.settings())
        (query,) = service.queries
    assert found == {"time", "__row", "obsid", "ra", "dec"}
    assert query.endswith("FROM TAP_SCHEMA.columns WHERE table_name IN ('ixmaster', 'public.ixmaster')")


def test_names_come_from_the_declaration_and_never_from_the_service():
    table = find_mission("ixpe").table
    found = {*table.columns.values(), 'x" FROM secret --', "start_time", "name; DROP TABLE x"}
    assert choose_columns(table, found) == table


def test_observations_that_are_not_in_the_archive_are_cut(tmp_path):
    spec = find_mission("bepposax")
    rows = [row_of(spec), row_of(spec, obs_code="20166002", archive_status="private")]
    assert taken(spec, rows, tmp_path).table["obs_id"].tolist() == ["20166001"]


@pytest.fixture
def calibration(real_data):
    with (real_data / "tables" / "erosita_calpv_info.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def rows_of(calibration):
    starts, ends = (Time([one[name] for one in calibration], scale="utc").mjd for name in ("start", "end"))
    return [
        {"obsid": one["ObsID"], "name": one["Field_Name"], "ra": float(one["ra"]), "dec": float(one["dec"]),
         "time": float(start), "end_time": float(end), "exposure": float(one["duration"])}
        for one, start, end in zip(calibration, starts, ends, strict=True)
    ]  # fmt: skip


def test_modules_that_were_off_have_no_data(calibration, tmp_path):
    spec = find_mission("erosita_calpv")
    snapshot = taken(spec, rows_of(calibration), tmp_path)
    assert snapshot.origin.assumed == ()
    found = dict(zip(snapshot.table["obs_id"], snapshot.table["instruments"], strict=True))
    assert found == {one["ObsID"]: one["active_insts"] for one in calibration}


def test_pointings_are_small_and_scans_large(calibration, tmp_path):
    spec = find_mission("erosita_calpv")
    with Observatory(tmp_path / "tree", {spec.table.name: rows_of(calibration)}) as server:
        settings = load_settings(environ={**server.environ, "DAXA_CACHE": str(tmp_path / "cache")}, user_file=None)
        mission = Mission("erosita_calpv", settings)

        def found(ra, dec, **options):
            return set(mission.filter(position=(ra, dec), **options).observations["obs_id"])

        # Three degrees from the middle of a scan, and just inside and outside of a pointing.
        assert found(129.55, 4.5) == {"300007"}
        assert mission.filter(position=(129.55, 4.5)).select().approximate == 1
        assert found(55.72822, -53.63013 + 30.9 / 60) == {"700177"}
        assert mission.filter(position=(55.72822, -53.63013)).select().approximate == 0
        with pytest.raises(CriteriaError, match="no observation"):
            found(55.72822, -53.63013 + 31.1 / 60)
        assert found(55.72822, -53.63013 + 31.1 / 60, radius="2 arcmin", match="overlaps") == {"700177"}
        pairs = mission.filter(position=[(129.55, 4.5), (55.72822, -53.63013)], match="covers").pairs
        sample = mission.filter(sample={"ra": [129.55, 55.72822], "dec": [4.5, -53.63013]}).pairs
    for table in (pairs, sample):
        assert dict(zip(table["obs_id"], table["approximate"], strict=True)) == {"300007": True, "700177": False}


def test_a_calibration_observation_is_found_where_it_pointed(calibration, tmp_path):
    spec = find_mission("erosita_calpv")
    with Observatory(tmp_path / "tree", {spec.table.name: rows_of(calibration)}) as server:
        settings = load_settings(environ={**server.environ, "DAXA_CACHE": str(tmp_path / "cache")}, user_file=None)
        mission = Mission("erosita_calpv", settings)
        for one in calibration:
            found = mission.filter(position=(float(one["ra"]), float(one["dec"]))).observations
            assert one["ObsID"] in set(found["obs_id"])
        only = mission.filter(obs_ids=["900033", "700016"], instruments=["TM1", "TM3"]).observations
    assert dict(zip(only["obs_id"], only["instruments"], strict=True)) == {"900033": "TM1", "700016": "TM3"}


def test_ten_thousand_places_name_the_calibration_observations_that_hold_them(calibration, tmp_path):
    """And those that a radius reaches; distances are astropy's, one by one."""
    spec = find_mission("erosita_calpv")
    table = taken(spec, rows_of(calibration), tmp_path).table
    rng = np.random.default_rng(170)
    ra, dec = rng.uniform(0, 360, 10_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 10_000)))
    ra[:40], dec[:40] = rng.choice([0.0, 360 - 1e-9, 77.0], 40), rng.choice([90.0, -90.0, 0.0], 40)
    # Nine thousand about the pointings, where something is to be found; one field lies across RA 0.
    about = rng.choice(len(table), 9_000)
    dec[1000:] = np.clip(table["dec"].to_numpy()[about] + rng.uniform(-1, 1, 9_000), -90, 90)
    ra[1000:] = (table["ra"].to_numpy()[about] + rng.uniform(-1, 1, 9_000) / np.cos(np.radians(dec[1000:]))) % 360
    radius = rng.choice([1.0, 20.0, 240.0], len(ra))
    middles, places = np.radians(table[["ra", "dec"]].to_numpy().T), np.radians([ra, dec])[..., None]
    apart = 60 * np.degrees(angular_separation(*places, *middles))
    ((scan, scanned),) = spec.other_fields
    reach = np.where(table["obs_id"].isin(scanned), scan.radius, 31.0)
    assert np.abs(apart - reach).min() > 1e-6
    sample = {"ra": ra, "dec": dec, "radius_arcmin": radius}
    pairs = list_pairs(match(spec, table, make_criteria(spec, sample=sample), at=60_000.0))
    found = sorted(zip(pairs["target"].astype(int) - 1, pairs["obs_id"], strict=True))
    number, row = np.nonzero(apart <= reach + radius[:, None])
    assert found == sorted(zip(number, table["obs_id"].to_numpy()[row], strict=True))
    held = pairs[pairs["owner"]]
    number, row = np.nonzero(apart <= reach)
    assert len(number) > 10_000
    assert sorted(zip(held["target"].astype(int) - 1, held["obs_id"], strict=True)) == sorted(
        zip(number, table["obs_id"].to_numpy()[row], strict=True)
    )
    assert set(pairs["obs_id"][pairs["approximate"]]) == set(scanned) & set(pairs["obs_id"])
