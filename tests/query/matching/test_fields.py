"""Fields of view in their true shape: squares, rings and the cells of a survey, on the whole sky."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import cache, reduce
from operator import and_, or_

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord, angular_separation
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from daxa.errors import CriteriaError
from daxa.missions import FieldOfView, find_mission
from daxa.missions.tiling import find_tile, tile_at, tiles, tiles_within
from daxa.query import Mission, make_criteria
from daxa.query.matching.fields import Fields, _farthest_corner
from daxa.query.matching.match import match
from daxa.query.matching.pairs import list_pairs
from daxa.query.tables.snapshot import QueryOrigin, Snapshot
from tests.query.skies import decides
from tests.selection.observations import ROW, observations

NOW = 60000.0
XMM = find_mission("xmm")
VIEWS = {
    "square": FieldOfView("square", 11.8, roll="roll_angle"),
    "wide square": FieldOfView("square", 1200.0, roll="roll_angle"),
    "annulus": FieldOfView("annulus", 20.0, inner=8.0),
    "circle": FieldOfView("circle", 15.0),
}


def seen_by(view):
    camera = replace(XMM.instruments[0], field_of_view=view)
    return replace(XMM, instruments=(camera,), default_instruments=("PN",))


def table(count, **columns):
    return pd.DataFrame({**ROW, "instruments": "PN", "exposures": "", **columns}, index=range(count)).assign(
        obs_id=[f"{number:010d}" for number in range(count)], row_id=""
    )


def scattered(view, count, how, margin):
    """Pointings, a place near the border of each field, and radii."""
    rng = np.random.default_rng(count)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    dec[:40] = np.where(rng.random(40) < 0.5, 90.0, -90.0) * rng.choice([1.0, 0.9999, 0.998], 40)
    pointing = SkyCoord(rng.choice([0.0, 1e-9, 359.9999, *rng.uniform(0, 360, 5)], count), dec, unit="deg")
    radius = rng.choice([0.01, 0.3, 3.0, 12.0, 600.0], count)
    away = view.radius * margin * rng.uniform(0.1, 1.4, count)
    away += radius * rng.uniform(0.9, 1.1, count) * (1 if how == "overlaps" else -1)
    place = pointing.directional_offset_by(rng.uniform(0, 360, count) * u.deg, np.abs(away) * u.arcmin)
    roll = rng.choice([0.0, 45.0, *rng.uniform(0, 360, 50)], count)
    return pointing, place, radius, roll


@pytest.mark.parametrize("margin", [1.0, 1.2])
@pytest.mark.parametrize("how", ["covers", "overlaps"])
@pytest.mark.parametrize("shape", VIEWS)
def test_a_field_anywhere_on_the_sky_holds_what_astropy_says(shape, how, margin):
    view, count = VIEWS[shape], 400
    pointing, place, radius, roll = scattered(view, count, how, margin)
    rows = table(count, ra=pointing.ra.deg % 360, dec=pointing.dec.deg, roll=roll)
    sample = {"ra": place.ra.deg % 360, "dec": place.dec.deg, "radius_arcmin": radius}
    found = match(seen_by(view), rows, make_criteria(XMM, sample=sample, match=how, margin=margin), at=NOW)
    pairs = list_pairs(found)
    met = set(zip(pairs["target"], pairs["obs_id"], strict=True))
    asked = yes = 0
    for number in range(count):
        row = {"place": (rows["ra"][number], rows["dec"][number]), "roll": roll[number]}
        target = sample["ra"][number], sample["dec"][number]
        wanted, room = decides(view, target, row, radius[number], how, margin)
        # The oracle knows the border of the square at so many places only.
        if room > max(1e-3, view.size / 300):
            assert ((str(number + 1), f"{number:010d}") in met) == wanted, (row, target, radius[number])
            asked, yes = asked + 1, yes + wanted
    assert asked > 0.8 * count
    assert 0.15 * count < yes < 0.9 * asked
    assert not pairs["approximate"].any()


def test_the_edge_of_a_square_lies_at_its_size_and_turns_with_the_roll_from_north_through_east():
    spec = seen_by(VIEWS["square"])
    pointing = SkyCoord(83.0 * u.deg, 22.0 * u.deg)
    for roll in (0.0, 25.0, 113.0):
        rows = table(1, ra=83.0, dec=22.0, roll=roll)
        for turn, edge in ((0, 11.8), (90, 11.8), (180, 11.8), (270, 11.8), (45, 11.8 * 2**0.5), (20, 12.5571)):
            for share, inside in ((0.9999, True), (1.0001, False)):
                place = pointing.directional_offset_by((roll + turn) * u.deg, edge * share * u.arcmin)
                asked = make_criteria(spec, position=(place.ra.deg, place.dec.deg))
                if inside:
                    assert match(spec, rows, asked, at=NOW).keep.all()
                else:
                    with pytest.raises(CriteriaError):
                        match(spec, rows, asked, at=NOW)


def test_without_a_roll_a_square_is_the_circle_around_it_and_that_is_said():
    spec = seen_by(VIEWS["square"])
    rows = table(3, ra=[10.0, 10.001, 200.0], dec=0.0, roll=[np.nan, 0.0, np.nan])
    corner = match(spec, rows, make_criteria(spec, position=(10.19, 0.19)), at=NOW)
    assert (corner.keep.tolist(), corner.approximate) == ([True, True, False], 1)
    pairs = list_pairs(corner)
    assert pairs[["approximate", "owner"]].to_numpy().tolist() == [[True, True], [False, True]]
    side = match(spec, rows, make_criteria(spec, position=(10.25, 0.0)), at=NOW)
    assert (side.keep.tolist(), side.approximate) == ([True, False, False], 1)
    # Nothing was guessed for pointings within a radius, nor for what other conditions chose.
    near = match(spec, rows, make_criteria(spec, position=(10.2, 0.0), radius="1 deg"), at=NOW)
    assert (near.approximate, list_pairs(near)["approximate"].any()) == (0, False)
    far = make_criteria(spec, position=(10.25, 0.0)) | make_criteria(spec, box={"ra": (190, 210)})
    assert match(spec, rows, far, at=NOW).approximate == 1


def test_a_place_that_a_nearer_one_hides_is_seen_all_the_same():
    spec = seen_by(VIEWS["square"])
    rows = table(1, ra=10.0, dec=0.0, roll=0.0)
    beside, corner = (10.0 + 12.5 / 60, 0.0), (10.0 - 11.5 / 60, 11.5 / 60)
    with pytest.raises(CriteriaError):
        match(spec, rows, make_criteria(spec, position=beside), at=NOW)
    assert match(spec, rows, make_criteria(spec, position=[beside, corner]), at=NOW).keep.all()
    ring = seen_by(VIEWS["annulus"])
    assert match(ring, rows, make_criteria(ring, position=[(10.0, 0.0), (10.2, 0.0)]), at=NOW).keep.all()
    with pytest.raises(CriteriaError):
        match(ring, rows, make_criteria(ring, position=(10.0, 0.0)), at=NOW)


def test_the_position_may_lie_outside_of_a_field_that_its_radius_reaches():
    spec = seen_by(VIEWS["circle"])
    rows = table(2, ra=[10.0, 10.3], dec=0.0)
    sample = {"ra": [10.0], "dec": [0.0], "radius_arcmin": [5.0]}
    pairs = list_pairs(match(spec, rows, make_criteria(spec, sample=sample), at=NOW))
    assert pairs["owner"].tolist() == [True, False]


TILE = replace(
    find_mission("erass1"),
    table=XMM.table,
    instruments=tuple(
        replace(one, field_of_view=FieldOfView("tile", 108.0)) for one in find_mission("erass1").instruments
    ),
)
TMS = ",".join(TILE.default_instruments)


@pytest.fixture(scope="module")
def released(real_data):
    """The archive's own table of released tiles, and as rows of ours."""
    with (real_data / "tables" / "erass_de_dr1_info.csv").open(newline="") as file:
        own = list(csv.DictReader(file))
    numbers = {name: [float(row[name]) for row in own] for name in ("RA", "DEC")}
    rows = pd.DataFrame({**ROW, "instruments": TMS, "exposures": "", "row_id": ""}, index=range(len(own))).assign(
        obs_id=[row["ObsID"] for row in own], ra=numbers["RA"], dec=numbers["DEC"]
    )
    return own, rows.sort_values("obs_id").reset_index(drop=True)


def places(count):
    """Random places, the poles, RA 0, and places just inside and outside of cells."""
    rng = np.random.default_rng(12)
    ra, dec = rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    ra[:30], dec[:30] = rng.choice([0.0, 360 - 1e-9, 1e-9, 40.0], 30), rng.choice([90, -90, 89.5, -88.5, -89, 0], 30)
    cells = rng.choice(len(tiles()), 3000)
    for number, cell in enumerate(cells, 30):
        tile = tiles()[cell]
        ra[number] = (rng.choice([tile.ra_min, tile.ra_max]) + rng.choice([-1e-7, 1e-7])) % 360
        dec[number] = np.clip(rng.choice([tile.dec_min, tile.dec_max]) + rng.choice([-1e-7, 1e-7]), -90, 90)
    return ra, dec


def test_ten_thousand_places_have_the_owner_that_the_archive_s_table_says(released):
    own, rows = released
    ra, dec = places(10_000)
    low_ra, high_ra, low_dec, high_dec = (
        np.array([float(row[name]) for row in own]) for name in ("RA_MIN", "RA_MAX", "DEC_MIN", "DEC_MAX")
    )
    names = np.array([row["ObsID"] for row in own])
    criteria = make_criteria(TILE, sample={"ra": ra, "dec": dec}, match="overlaps")
    pairs = list_pairs(match(TILE, rows, criteria, at=NOW))
    found = dict(zip(pairs["target"].astype(int) - 1, pairs["obs_id"], strict=True))
    assert len(found) == len(pairs) > 4000
    assert pairs["owner"].all()
    assert not pairs["approximate"].any()
    shared = {row["ObsID"] for row in own if row["OWNER"] == "0"}
    assert len(shared & set(pairs["obs_id"])) > 150
    for number in range(len(ra)):
        inside = (low_ra <= ra[number]) & (ra[number] < high_ra) & (low_dec <= dec[number]) & (dec[number] < high_dec)
        assert names[inside].tolist() == ([found[number]] if number in found else [])
        owner = tile_at(ra[number], dec[number])
        assert found.get(number) == (owner.obs_id if owner.released else None)


@pytest.mark.parametrize("how", ["covers", "overlaps", "centre"])
def test_every_tile_that_a_radius_reaches_is_listed_and_the_owner_is_named(released, how):
    _, rows = released
    ra, dec = (column[:600] for column in places(4000))
    radius = np.random.default_rng(3).choice([0.5, 20.0, 90.0, 300.0], len(ra))
    criteria = make_criteria(TILE, sample={"ra": ra, "dec": dec, "radius_arcmin": radius}, match=how)
    pairs = list_pairs(match(TILE, rows, criteria, at=NOW))
    found = pairs.groupby("target")["obs_id"].agg(set).to_dict()
    owners = dict(pairs[pairs["owner"]][["target", "obs_id"]].itertuples(index=False))
    for number in range(len(ra)):
        reached = {tile.obs_id for tile in tiles_within(ra[number], dec[number], radius[number] / 60) if tile.released}
        assert found.get(str(number + 1), set()) == reached
        owner = tile_at(ra[number], dec[number])
        assert owners.get(str(number + 1)) == (owner.obs_id if owner.released else None)


def test_a_position_names_its_tile_and_with_a_radius_those_around():
    rows = observations(*({"obs_id": tile.obs_id, "ra": tile.ra, "dec": tile.dec, "instruments": TMS, "row_id": ""}
                          for tile in sorted(tiles(), key=lambda tile: tile.obs_id)))  # fmt: skip
    snapshot = Snapshot(rows, QueryOrigin("here", "erassmastr", "", "2023-02-25T00:00:00Z", len(rows), ""))
    mission = Mission("erass1", snapshot=snapshot)
    mission._spec = TILE
    assert mission.filter(position=(0.0, 0.0)).observations["obs_id"].tolist() == ["002090"]
    near = mission.filter(position=(0.0, 0.0), radius="6 arcmin")
    assert near.observations["obs_id"].tolist() == ["002090", "359090"]
    assert near.pairs[["obs_id", "owner"]].to_numpy().tolist() == [["002090", True], ["359090", False]]
    # A margin reaches as far as the cells grow: 18 arcmin on every side.
    wide = mission.filter(position=(0.28, 0.0), margin=1.2)
    assert wide.observations["obs_id"].tolist() == ["002090", "359090"]
    assert len(mission.filter(position=(0.32, 0.0), margin=1.2).observations) == 1
    assert mission.filter(position=(123.0, -90.0)).observations["obs_id"].tolist() == ["001180"]


CELLS = ("002090", "359090", "002093", "359087", "180000", "001180", "020177", "060177", "100177", "020003")
LEAVES = st.tuples(
    st.lists(
        st.sampled_from([(0.0, 0.0), (0.02, 1.48), (359.9, -1.51), (123.0, -90.0), (40.1, -88.45), (10.0, 89.0)]),
        min_size=1,
        max_size=2,
    ),
    st.sampled_from([None, 3.0, 40.0, 200.0]),
    st.sampled_from(["covers", "overlaps", "centre"]),
    st.sampled_from([None, 1.2]),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.tuples(st.sampled_from(["and", "or", "not"]), st.lists(inner, min_size=1, max_size=2)),
    max_leaves=5,
)


@cache
def border(obs_id):
    """Edges of a cell, degrees, and places along its border, radians."""
    tile = find_tile(obs_id)
    ra, dec = np.linspace(tile.ra_min, tile.ra_max, 3000), np.linspace(tile.dec_min, tile.dec_max, 3000)
    sides = [(ra, dec[0]), (ra, dec[-1]), (ra[0], dec), (ra[-1], dec)]
    return tile, np.concatenate([np.radians(np.broadcast_arrays(*side)) for side in sides], axis=1)


def reached(leaf, obs_id):
    centres, radius, how, margin = leaf
    tile, places = border(obs_id)
    around = (radius or 0.0) + (18.0 if margin and how != "centre" else 0.0)
    for ra, dec in centres:
        inside = tile.ra_min <= ra < tile.ra_max and tile.dec_min <= dec and (dec < tile.dec_max or dec == 90)
        apart = 60 * np.degrees(angular_separation(*np.radians((ra, dec)), *places).min())
        assume(inside or abs(apart - around) > 0.05 or around == 0)
        if inside or (around and apart <= around):
            return True
    return False


def holds(tree, obs_id):
    if len(tree) == 4:
        return reached(tree, obs_id)
    kind, inner = tree
    found = [holds(one, obs_id) for one in inner]
    return all(found) if kind == "and" else any(found) if kind == "or" else not found[0]


def criteria_of(tree):
    if len(tree) == 4:
        centres, radius, how, margin = tree
        extent = {} if radius is None else {"radius": f"{radius} arcmin"}
        assume(radius is not None or how != "centre")
        return make_criteria(TILE, position=centres, match=how, margin=None if how == "centre" else margin, **extent)
    kind, inner = tree
    parts = [criteria_of(one) for one in inner]
    return ~parts[0] if kind == "not" else reduce(and_ if kind == "and" else or_, parts)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(tree=TREES)
def test_any_combination_on_tiles_gives_what_one_by_one_testing_gives(tree):
    criteria = criteria_of(tree)
    rows = observations(*({"obs_id": obs_id, "ra": 7.0, "dec": 7.0, "instruments": TMS, "row_id": ""}
                          for obs_id in sorted(CELLS)))  # fmt: skip
    wanted = [obs_id for obs_id in sorted(CELLS) if holds(tree, obs_id)]
    try:
        found = match(TILE, rows, criteria, at=NOW)
    except CriteriaError as error:
        assert (error.code, wanted) == ("criteria.empty", [])
    else:
        assert rows["obs_id"][found.keep].tolist() == wanted


def test_a_row_that_is_not_a_tile_of_the_survey_sees_nothing():
    rows = observations({"obs_id": "000090", "ra": 1.5, "dec": 0.0, "instruments": TMS, "row_id": ""})
    with pytest.raises(CriteriaError):
        match(TILE, rows, make_criteria(TILE, position=(1.5, 0.0), radius="5 deg"), at=NOW)


def test_no_corner_of_a_cell_is_farther_from_its_middle_than_is_searched():
    fields = Fields(FieldOfView("tile", 108.0), pd.DataFrame({"obs_id": [tile.obs_id for tile in tiles()]}).assign(
        ra=0.0, dec=0.0))  # fmt: skip
    farthest = 0.0
    for number, tile in enumerate(tiles()):
        ra, dec = np.meshgrid(np.linspace(tile.ra_min, tile.ra_max, 9), np.linspace(tile.dec_min, tile.dec_max, 9))
        middle = np.radians([fields.ra[number], fields.dec[number]])
        farthest = max(farthest, angular_separation(*middle, np.radians(ra), np.radians(dec)).max())
    assert 0 <= _farthest_corner() - np.degrees(farthest) * 60 < 0.01
    assert find_tile("002090").ra_max == 3.0
