"""Matching against a brute-force oracle: one observation, one position, one test at a time."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import angular_separation
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from daxa.errors import CriteriaError
from daxa.missions import FieldOfView, find_mission
from daxa.query import Mission, make_criteria
from daxa.query.matching.match import match
from daxa.query.matching.neighbours import nearest_separation
from daxa.query.tables.snapshot import QueryOrigin, Snapshot
from tests.query.skies import decides, separation
from tests.selection.observations import observations

NOW = 60000.0
XMM = find_mission("xmm")
WIDE = dataclasses.replace(
    XMM,
    table=dataclasses.replace(XMM.table, category="class", categories={"galaxy": "AGN"}),
    instruments=(
        dataclasses.replace(XMM.instruments[0], field_of_view=FieldOfView("circle", 60.0)),
        dataclasses.replace(XMM.instruments[1], field_of_view=FieldOfView("square", 10.0, roll="roll_angle")),
        dataclasses.replace(XMM.instruments[2], field_of_view=FieldOfView("annulus", 15.0, inner=4.0)),
    ),
)
"""XMM with cameras of different fields: a circle, a square that is turned, and a ring."""


PLACES = st.tuples(
    st.sampled_from([0.0, 0.05, 0.15, 0.1, 0.3, 359.9, 180.0]), st.sampled_from([0.0, 0.16, 0.19, -0.1, 89.9, -90.0])
)
ROWS = st.fixed_dictionaries(
    {
        "place": PLACES,
        "start": st.sampled_from([50000.0, 51000.0, 52000.0, math.nan]),
        "days": st.sampled_from([0.0, 0.5, 1500.0, math.nan]),
        "instruments": st.sampled_from(["", "PN", "M1", "PN,M2", "PN,M1,M2"]),
        "public_date": st.sampled_from([50000.0, NOW, NOW + 1, math.nan]),
        "roll": st.sampled_from([0.0, 30.0, 45.0, 211.7, math.nan]),
        "category": st.sampled_from(["", "AGN", "GCL", "MISC"]),
        "mode": st.sampled_from(["", "FullFrame", "FullFrame SmallWindow Timing", "small window"]),
        "exposures": st.sampled_from([False, True]),
    }
)
FILTERS = st.one_of(
    st.builds(
        lambda places, radius: {"position": places, "radius": radius},
        st.lists(PLACES, min_size=1, max_size=3),
        st.sampled_from([None, "13 arcmin", "2 deg", "90 deg"]),
    ),
    st.sampled_from([(50500, 51500), (50000, 50000.25), (None, 51000), (51000, None)]).map(lambda w: {"time": w}),
    st.sampled_from([["PN"], ["M1"], ["M1", "M2"], ["PN", "M1", "M2"]]).map(lambda names: {"instruments": names}),
    st.sampled_from([["AGN"], ["GCL", "MISC"]]).map(lambda codes: {"category": codes}),
    st.sets(st.integers(0, 3), min_size=1).map(lambda ids: {"obs_ids": [f"{index:010d}" for index in ids]}),
)


SECONDS = {"PN": 900.0, "M1": 20470.0, "M2": 25000.0}


def exposures(row):
    told = row["exposures"] and row["instruments"]
    return ",".join(f"{SECONDS[name]:g}" for name in row["instruments"].split(",")) if told else ""


def table(rows):
    return observations(
        *(
            {
                "obs_id": f"{index:010d}",
                "ra": row["place"][0],
                "dec": row["place"][1],
                "start": row["start"],
                "end": row["start"] + row["days"],
                "instruments": row["instruments"],
                "public_date": row["public_date"],
                "roll": row["roll"],
                "category": row["category"],
                "mode": row["mode"],
                "exposures": exposures(row),
                "row_id": str(index),
            }
            for index, row in enumerate(rows)
        )
    )


def snapshot(rows):
    return Snapshot(table(rows), QueryOrigin("here", "xmmmaster", "", "2023-02-25T00:00:00Z", len(rows), ""))


def meets(instrument, place, row, radius, how, margin=1.0):  # noqa: PLR0917 - as the strategies give them
    met, room = decides(instrument.field_of_view, place, row, radius, how, margin)
    assume(room > 1e-3)
    return met


def oracle(spec, rows, filters):
    """ObsID to instruments, by the words of the documentation."""
    kept = {}
    for index, row in enumerate(rows):
        obs_id = f"{index:010d}"
        names = [instrument.name for instrument in spec.instruments if instrument.name in row["instruments"].split(",")]
        fine = row["public_date"] <= NOW
        for asked in filters:
            names = [name for name in names if name in asked.get("instruments", names)]
            fine &= obs_id in asked.get("obs_ids", [obs_id])
            fine &= row["category"] in asked.get("category", [row["category"]])
            if "time" in asked:
                begin, end = row["start"], row["start"] + (0 if math.isnan(row["days"]) else row["days"])
                low, high = (value if value is not None else sign * 1e9 for value, sign in zip(asked["time"], (-1, 1),
                                                                                              strict=True))  # fmt: skip
                fine &= begin < high and end > low
            if "position" in asked:
                radius = {None: None, "13 arcmin": 13, "2 deg": 120, "90 deg": 5400}[asked["radius"]]
                how = "covers" if radius is None else "centre"
                names = [
                    name
                    for name in names
                    if any(meets(spec.find_instrument(name), place, row, radius, how) for place in asked["position"])
                ]
        if fine and names:
            kept[obs_id] = ",".join(names)
    return kept


@settings(max_examples=400, deadline=None)
@given(rows=st.lists(ROWS, min_size=4, max_size=8), filters=st.lists(FILTERS, max_size=4), data=st.data())
def test_filters_in_any_order_give_what_one_by_one_testing_gives(rows, filters, data):
    wanted = oracle(WIDE, rows, filters)
    for order in (filters, data.draw(st.permutations(filters))):
        mission = Mission("xmm", snapshot=snapshot(rows))
        mission._spec = WIDE
        try:
            for asked in order:
                mission = mission.filter(**asked)
            found = mission.observations
        except CriteriaError as error:
            untold = any("category" in asked for asked in filters) and not any(row["category"] for row in rows)
            assert error.code in (("criteria.no-column", "criteria.empty") if untold else ("criteria.empty",))
            assert untold or wanted == {}
        else:
            assert dict(zip(found["obs_id"], found["instruments"], strict=True)) == wanted


@settings(max_examples=200, deadline=None)
@given(
    pointings=st.lists(st.tuples(st.floats(0, 360), st.floats(-90, 90)), min_size=1, max_size=10),
    positions=st.lists(st.tuples(st.floats(0, 360), st.floats(-90, 90)), min_size=1, max_size=10),
    limit=st.floats(0.01, 5400),
)
def test_separations_agree_with_astropy(pointings, positions, limit):
    ra, dec = np.array(pointings).T
    found = nearest_separation(ra, dec, *np.array(positions).T, limit=limit)
    for pointing, separated in zip(pointings, found, strict=True):
        wanted = min(separation(pointing, position) for position in positions)
        if np.isfinite(separated):
            assert separated == pytest.approx(wanted, abs=1e-6)
        else:
            assert wanted > limit - 1e-6


def apply(filters, *changes):
    rows = observations(*({"row_id": "1"} | change for change in changes or ({},)))
    return match(XMM, rows, make_criteria(XMM, **filters), at=NOW)


def test_the_edge_of_the_radius_is_inside():
    assert apply({"position": (10, 0), "radius": "60 arcmin"}, {"ra": 11.0, "dec": 0.0}).keep.all()
    with pytest.raises(CriteriaError):
        apply({"position": (10, 0), "radius": "59.999999 arcmin"}, {"ra": 11.0, "dec": 0.0})


def test_a_place_beyond_ra_0_and_a_pole_are_near():
    assert apply({"position": (359.99, 0), "radius": "2 arcmin"}, {"ra": 0.01, "dec": 0.0}).keep.all()
    assert apply({"position": (10, 90), "radius": "7 arcmin"}, {"ra": 200.0, "dec": 89.9}).keep.all()


def test_proprietary_rows_are_left_out_and_counted_only_where_everything_else_is_met():
    found = apply(
        {"position": (149.6, -11.0887)},
        {},
        {"obs_id": "0000000001", "public_date": NOW + 1},
        {"obs_id": "0000000002", "public_date": np.nan},
        {"obs_id": "0000000003", "public_date": NOW + 1, "ra": 10.0},
    )
    assert found.keep.tolist() == [True, False, False, False]
    assert found.left_out == {"proprietary": 1, "no public date": 1}


@pytest.mark.parametrize(
    ("filters", "change", "culprit"),
    [
        ({"position": (10, 10), "radius": "1 deg"}, {}, "within 60 arcmin of 10,10"),
        ({"position": [(10, 10), (20, 20)]}, {}, "within the field of view of any of 2 places"),
        ({"time": ("2004-01-01", "2005-01-01")}, {}, "observed between 2004-01-01 and 2005-01-01"),
        ({"time": (None, "2005-01-01")}, {}, "observed before 2005-01-01"),
        ({"time": ("2015-01-01", None)}, {}, "observed after 2015-01-01"),
        ({"time": ("2015-01-01", None)}, {"start": np.nan}, "observed after 2015-01-01"),
        ({"instruments": "PN"}, {"instruments": "M1"}, "with data of PN"),
        ({}, {"instruments": ""}, "with data of PN, M1, M2"),
        ({}, {"public_date": NOW + 1}, "public on 2023-02-25"),
    ],
)
def test_an_empty_result_says_which_condition_emptied_it(filters, change, culprit):
    with pytest.raises(CriteriaError) as caught:
        apply(filters, change)
    assert caught.value.code == "criteria.empty"
    assert "1 in the table" in caught.value.message
    assert f"0 {culprit}" in caught.value.message
    assert culprit in caught.value.remedy


def test_every_unknown_obs_id_is_named():
    with pytest.raises(CriteriaError, match="0000000001, 0000000002 in") as caught:
        apply({"obs_ids": ["0404910601", "0000000002", "0000000001"]})
    assert caught.value.code == "criteria.unknown-obs-id"
    with pytest.raises(CriteriaError, match="and 5 more"):
        apply({"obs_ids": [f"{index:010d}" for index in range(15)]})


def test_many_positions_and_many_pointings_are_matched_at_once():
    generator = np.random.default_rng(5)
    ra, dec = generator.uniform(0, 360, 3000), np.degrees(np.arcsin(generator.uniform(-1, 1, 3000)))
    places = list(zip(ra[:2000] + 0.0, dec[:2000], strict=True))
    rows = pd.DataFrame(
        observations(*({"obs_id": f"{index:010d}"} for index in range(3000))).assign(ra=ra, dec=dec, row_id="1")
    )
    found = match(XMM, rows, make_criteria(XMM, position=places, radius="1 arcsec"), at=NOW)
    assert found.keep[:2000].all()
    wanted = [
        float(np.min(angular_separation(*np.radians([ra[i], dec[i]]), np.radians(ra[:2000]), np.radians(dec[:2000]))))
        <= math.radians(1 / 3600)
        for i in range(2000, 3000)
    ]
    assert found.keep[2000:].tolist() == wanted
