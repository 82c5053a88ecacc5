"""Computed sky tiles, against the archive's own table and brute force."""

from __future__ import annotations

import csv
import math
import random

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord, angular_separation
from hypothesis import given, settings
from hypothesis import strategies as st

from daxa.errors import CriteriaError
from daxa.missions import find_mission, tiling
from daxa.missions.tiling import find_tile, neighbours, tile_at, tiles, tiles_within

PLACES = st.tuples(st.floats(0, 360), st.floats(-90, 90))
RIGHTS = {"2": "german", "0": "shared"}


@pytest.fixture(scope="module")
def released(real_data):
    with (real_data / "tables" / "erass_de_dr1_info.csv").open(newline="") as file:
        return {row["ObsID"]: row for row in csv.DictReader(file)}


def test_there_are_4700_tiles_of_different_names_that_cover_the_sphere_once():
    assert len(tiles()) == len({tile.obs_id for tile in tiles()}) == 4700
    area = sum(
        math.radians(tile.ra_max - tile.ra_min)
        * (math.sin(math.radians(tile.dec_max)) - math.sin(math.radians(tile.dec_min)))
        for tile in tiles()
    )
    assert area == pytest.approx(4 * math.pi, rel=1e-12)
    assert all(find_mission("erass1").check_obs_id(tile.obs_id) for tile in tiles())


def test_released_tiles_have_the_archive_s_names_edges_and_rights(released):
    assert {tile.obs_id for tile in tiles() if tile.released} == set(released)
    for obs_id, row in released.items():
        tile = find_tile(obs_id)
        edges = [float(row[name]) for name in ("RA_MIN", "RA_MAX", "DEC_MIN", "DEC_MAX")]
        assert [tile.ra_min, tile.ra_max, tile.dec_min, tile.dec_max] == pytest.approx(edges, abs=1e-12)
        assert tile.rights == RIGHTS[row["OWNER"]]


def test_centres_are_the_archive_s_but_for_its_shift_towards_the_poles(released):
    for obs_id, row in released.items():
        tile = find_tile(obs_id)
        assert tile.ra == pytest.approx(float(row["RA"]), abs=1e-9) or abs(tile.dec) == 90
        assert abs(tile.dec - float(row["DEC"])) <= 0.05


def test_the_archive_counts_every_touching_tile_as_a_neighbour(released):
    for obs_id, row in released.items():
        listed = {row[f"FIELD{number}"] for number in range(1, 10)} - {"000000"}
        assert {tile.obs_id for tile in neighbours(find_tile(obs_id))} <= listed


def test_neighbours_are_mutual():
    for tile in random.Random(1).sample(tiles(), 200):
        assert all(tile in neighbours(other) for other in neighbours(tile))


def test_ten_thousand_places_belong_to_the_tile_that_the_archive_says(released):
    names = np.array(list(released))
    low_ra, high_ra, low_dec, high_dec = (
        np.array([float(row[name]) for row in released.values()]) for name in ("RA_MIN", "RA_MAX", "DEC_MIN", "DEC_MAX")
    )
    generator = np.random.default_rng(7)
    ra = generator.uniform(0, 360, 10_000)
    dec = np.degrees(np.arcsin(generator.uniform(-1, 1, 10_000)))
    found = 0
    for place in zip(ra, dec, strict=True):
        inside = (low_ra <= place[0]) & (place[0] < high_ra) & (low_dec <= place[1]) & (place[1] < high_dec)
        owner = tile_at(*place)
        assert list(names[inside]) == ([owner.obs_id] if owner.released else [])
        found += int(inside.sum())
    assert found > 4000


@given(PLACES)
@settings(deadline=None)
def test_a_place_lies_in_the_cell_of_its_owner(place):
    ra, dec = place
    tile = tile_at(ra, dec)
    assert tile.ra_min <= ra % 360 < tile.ra_max
    assert tile_at(ra - 360, dec).separation(ra, dec) == pytest.approx(0, abs=1e-9)
    assert tile.dec_min <= dec
    assert dec < tile.dec_max or dec == 90
    assert tile.separation(ra, dec) == 0
    assert tile in tiles_within(ra, dec, 0)


def test_edges_poles_and_the_meridian_belong_to_one_tile():
    assert tile_at(0, 0) is tile_at(360, 0) is tile_at(720, 0)
    assert tile_at(-1e-20, 0) is tile_at(0, 0)
    assert tile_at(-1e-9, 0).obs_id == "359090"
    assert {tile_at(ra, 90).obs_id for ra in range(0, 360, 7)} == {"180000"}
    assert {tile_at(ra, -90).obs_id for ra in range(0, 360, 7)} == {"001180"}
    for tile in random.Random(2).sample(tiles(), 500):
        assert tile_at(tile.ra_min, tile.dec_min) is tile


def border(tile, points=400):
    """Places on the border of a cell, radians."""
    ra = np.radians(np.linspace(tile.ra_min, tile.ra_max, points))
    dec = np.radians(np.linspace(tile.dec_min, tile.dec_max, points))
    return (
        np.concatenate([ra, ra, np.full(points, ra[0]), np.full(points, ra[-1])]),
        np.concatenate([np.full(points, dec[0]), np.full(points, dec[-1]), dec, dec]),
    )


@given(PLACES, st.integers(0, 4699))
@settings(deadline=None)
def test_the_distance_of_a_cell_is_that_of_its_nearest_point(place, number):
    tile = tiles()[number]
    along = angular_separation(*np.radians(place), *border(tile))
    nearest = 0.0 if tile is tile_at(*place) else np.degrees(along.min())
    # Between two sampled points the border comes closer by no more than half their distance.
    step = (tile.ra_max - tile.ra_min) * math.cos(math.radians(min(abs(tile.dec_min), abs(tile.dec_max)))) / 399
    assert nearest - max(step, 3 / 399) <= tile.separation(*place) <= nearest + 1e-6


@given(PLACES, st.floats(0, 25))
@settings(max_examples=30, deadline=None)
def test_a_radius_reaches_every_tile_whose_cell_is_near_enough(place, radius):
    expected = [tile for tile in tiles() if tile.separation(*place) <= radius]
    assert list(tiles_within(*place, radius)) == expected


def test_a_circle_around_a_pole_reaches_the_ring_around_it():
    assert [tile.obs_id for tile in tiles_within(123, -90, 1.4)] == ["001180"]
    assert len(tiles_within(123, -90, 1.6)) == 10
    assert len(tiles_within(0, 0, 180)) == 4700


def test_the_line_between_the_consortia_is_the_galactic_meridian():
    east = SkyCoord(l=90 * u.deg, b=0 * u.deg, frame="galactic").icrs.cartesian.xyz.value
    assert tuple(east) == pytest.approx(tiling._EAST, abs=1e-6)
    for tile in tiles():
        longitude = SkyCoord(tile.ra * u.deg, tile.dec * u.deg).galactic.l.deg if tile.dec in (-60, 0, 60) else None
        if longitude is not None and tile.rights != "shared":
            assert (longitude > 180) == (tile.rights == "german")


@pytest.mark.parametrize("place", [(math.nan, 0), (0, math.nan), (math.inf, 0), (0, 90.1), (0, -91)])
def test_an_impossible_position_has_no_tile(place):
    with pytest.raises(CriteriaError):
        tile_at(*place)
    with pytest.raises(CriteriaError):
        tiles_within(*place, 1)


def test_wrong_radii_and_names_are_refused():
    for radius in (-1, 181, math.nan):
        with pytest.raises(CriteriaError):
            tiles_within(0, 0, radius)
    with pytest.raises(CriteriaError, match="000000"):
        find_tile("000000")
