"""Criteria as values: canonical, composable, replayable."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from functools import reduce
from operator import and_

import pytest
import tomlkit
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from daxa.errors import CriteriaError
from daxa.missions import find_mission, mission_names
from daxa.query import Criteria, make_criteria, read_criteria

XMM = find_mission("xmm")
ODD = dataclasses.replace(XMM, id_pattern=r"[0-9A-Za-z.+-]+")
ODD_IDS = st.from_regex(r"[0-9A-Za-z]([0-9A-Za-z.+-]{0,14}[0-9A-Za-z])?", fullmatch=True) | st.sampled_from(
    ["0089", "0o17", "1e5", "93087-01-02-11", "08", "true", "inf", "RP500211N00", "000154000"]
)
PLACES = st.lists(st.tuples(st.floats(0, 359.9), st.floats(-90, 90)), min_size=1, max_size=3)
FILTERS = st.one_of(
    st.builds(
        lambda places, names, radius: {"position": places, "target": names, "radius": radius},
        PLACES | st.none(),
        st.lists(st.sampled_from(["Abell 907", "M 87", "3C 273"]), min_size=1, max_size=2),
        st.none() | st.floats(0.1, 100).map(lambda radius: f"{radius!r} arcmin"),
    ),
    st.floats(45000, 55000).map(lambda start: {"time": (start, start + 365)}),
    st.floats(45000, 55000).map(lambda start: {"time": (None, start)}),
    st.sets(st.sampled_from(["PN", "mos1", "M2"]), min_size=1).map(lambda names: {"instruments": sorted(names)}),
    st.sets(st.sampled_from(["0000000001", "0000000002", "0404910601"]), min_size=1).map(
        lambda ids: {"obs_ids": sorted(ids)}
    ),
)


def together(filters):
    return reduce(and_, (make_criteria(XMM, **one) for one in filters), Criteria())


@settings(max_examples=150)
@given(filters=st.lists(FILTERS, max_size=6), data=st.data())
def test_the_order_of_filters_does_not_matter(filters, data):
    shuffled = data.draw(st.permutations(filters))
    try:
        criteria = together(filters)
    except CriteriaError as error:
        with pytest.raises(CriteriaError, match="mutually exclusive"):
            together(shuffled)
        assert error.code == "criteria.empty"
        return
    assert together(shuffled) == criteria
    assert together(shuffled).text == criteria.text
    assert together([*filters, *filters]) == criteria
    assert hash(together(shuffled)) == hash(criteria)


@settings(max_examples=150)
@given(filters=st.lists(FILTERS, max_size=6))
def test_criteria_replay_from_json_and_toml(filters):
    try:
        criteria = together(filters)
    except CriteriaError:
        assume(False)
    criteria = criteria.resolve(lambda name: (len(name) / 7, -len(name) / 3))
    plain = criteria.to_plain()
    assert read_criteria(XMM, json.loads(json.dumps(plain))) == criteria
    assert read_criteria(XMM, tomllib.loads(tomlkit.dumps(plain))) == criteria
    assert json.loads(criteria.text) == json.loads(json.dumps(plain))


@given(obs_ids=st.lists(ODD_IDS.filter(str.isascii), min_size=1, max_size=6))
def test_odd_obs_ids_stay_texts(obs_ids):
    criteria = make_criteria(ODD, obs_ids=obs_ids)
    assert criteria.obs_ids == tuple(sorted(set(obs_ids)))
    for plain in (json.loads(criteria.text), tomllib.loads(tomlkit.dumps(criteria.to_plain()))):
        assert plain["obs_ids"] == sorted(set(obs_ids))
        assert read_criteria(ODD, plain) == criteria


@pytest.mark.parametrize("mission", [name for name in mission_names() if find_mission(name).id_pattern])
@given(data=st.data())
def test_obs_ids_of_every_mission_stay_texts(mission, data):
    spec = find_mission(mission)
    obs_id = data.draw(st.from_regex(spec.id_pattern, fullmatch=True).filter(str.isascii))
    assert read_criteria(
        spec, tomllib.loads(tomlkit.dumps(make_criteria(spec, obs_ids=obs_id).to_plain()))
    ).obs_ids == (obs_id,)


def test_the_plain_form_is_what_people_write():
    criteria = make_criteria(
        XMM, target="Abell 907", radius="15 arcmin", time=("2004-01-01", "2010-01-01"), instruments=["mos2", "epn"]
    )
    assert criteria.to_plain() == {
        "target": ["Abell 907"],
        "radius": "15 arcmin",
        "time": ["2004-01-01", "2010-01-01"],
        "instruments": ["PN", "M2"],
    }
    loose = {"target": "Abell 907", "radius": "0.25 deg", "time": [53005, "2010-01-01"], "instruments": ["PN", "M2"]}
    assert read_criteria(XMM, loose) == criteria


def test_two_places_in_two_filters_must_both_be_near():
    one, two = (make_criteria(XMM, position=place, radius="1 deg") for place in ("10,0", "10.5,0"))
    assert len((one & two).near) == 2
    assert (one & two).to_plain()["also"] == [{"position": [[10.5, 0.0]], "radius": "1 arcmin".replace("1 ", "60 ")}]


def test_instruments_and_obs_ids_intersect():
    one = make_criteria(XMM, instruments=["PN", "M1"], obs_ids=["0000000001", "0000000002"])
    two = make_criteria(XMM, instruments=["M1", "M2"], obs_ids=["0000000002", "0000000003"])
    assert (one & two).instruments == ("M1",)
    assert (one & two).obs_ids == ("0000000002",)
    with pytest.raises(CriteriaError, match="mutually exclusive"):
        make_criteria(XMM, instruments="PN") & make_criteria(XMM, instruments="M2")


def test_resolving_asks_only_for_what_is_unknown():
    asked = []

    def resolver(name):
        asked.append(name)
        return 10.0, 20.0

    criteria = make_criteria(XMM, target=["A", "B"], position="1,2")
    resolved = criteria.resolve(resolver)
    assert asked == ["A", "B"]
    assert resolved.resolve(resolver) == resolved
    assert asked == ["A", "B"]
    assert resolved.positions_of(resolved.near[0]) == ((1.0, 2.0), (10.0, 20.0), (10.0, 20.0))
    assert resolved.to_plain()["resolved"] == {"A": [10.0, 20.0], "B": [10.0, 20.0]}


@pytest.mark.parametrize(
    ("plain", "code"),
    [
        ({"pozition": "1,2"}, "criteria.criterion"),
        ({"radius": "1 deg"}, "criteria.radius"),
        ({"obs_ids": []}, "criteria.obs-id"),
        ({"obs_ids": [404910601]}, "criteria.obs-id"),
        ({"obs_ids": ["../x"]}, "criteria.obs-id"),
        ({"instruments": []}, "criteria.instrument"),
        ({"instruments": ["ACIS"]}, "criteria.instrument"),
        ({"instruments": [3]}, "criteria.instrument"),
        ({"also": {"time": ["2004-01-01", ""]}}, "criteria.criterion"),
        ({"also": [{"obs_ids": ["0404910601"]}]}, "criteria.criterion"),
        ({"also": ["x"]}, "criteria.criterion"),
        ({"resolved": {"M 87": [1, 2]}}, "criteria.target"),
        ({"target": "M 87", "resolved": {"M 87": [1, 2, 3]}}, "criteria.position"),
        ({"target": "M 87", "resolved": {"M 87": [[1, 2], [3, 4]]}}, "criteria.target"),
        ({"target": "M 87", "resolved": [1, 2]}, "criteria.target"),
        ("target", "criteria.criterion"),
    ],
)
def test_plain_criteria_that_cannot_be_used_are_refused(plain, code):
    with pytest.raises(CriteriaError) as caught:
        read_criteria(XMM, plain)
    assert caught.value.code == code
    assert caught.value.remedy


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["position", "target", "radius", "time", "obs_ids", "instruments", "resolved", "also"])


@settings(max_examples=300)
@given(plain=st.dictionaries(KEYS, JSON, max_size=3))
def test_anything_from_a_foreign_file_is_read_or_refused(plain):
    try:
        criteria = read_criteria(XMM, plain)
    except CriteriaError:
        return
    assert read_criteria(XMM, criteria.to_plain()) == criteria
