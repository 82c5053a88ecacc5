"""Criteria combined with &, | and ~ against an oracle that tests one instrument of one observation at a time."""

from __future__ import annotations

import json
import math
import re
import tomllib
from functools import reduce
from operator import and_, or_

import pytest
import tomlkit
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from daxa.errors import CriteriaError
from daxa.query import Criteria, make_criteria, read_criteria
from daxa.query.matching.match import match
from daxa.query.matching.pairs import list_pairs
from tests.query.matching.test_match import NOW, PLACES, ROWS, SECONDS, WIDE, meets, table
from tests.query.skies import separation

WINDOWS = st.sampled_from([(50500, 51500), (50000, 50000.25), (None, 51000), (51000, None), (49000, 60000)])
OBJECTS = st.lists(
    st.fixed_dictionaries(
        {
            "place": PLACES,
            "radius": st.sampled_from([0.5, 13.0, 50.0, 3000.0]),
            "window": WINDOWS,
        }
    ),
    min_size=1,
    max_size=3,
)
LEAVES = st.one_of(
    st.tuples(
        st.just("near"), st.lists(PLACES, min_size=1, max_size=2), st.sampled_from([None, 13.0, 120.0]),
        st.sampled_from(["covers", "overlaps", "centre"]), st.sampled_from([1.0, 1.2]),
    ),
    st.tuples(st.just("sample"), OBJECTS, st.sampled_from(["covers", "overlaps", "centre"]), st.booleans(),
              st.booleans()),
    st.tuples(st.just("time"), WINDOWS, st.booleans()),
    st.tuples(st.just("box"), st.sampled_from([(350, 10), (0, 0.2), (100, 200), (0.05, 360)]),
              st.sampled_from([(-90, 90), (-0.5, 0.15), (89, 90), (-90, -89)])),
    st.tuples(st.just("exposure"), st.sampled_from([1000.0, 20470.0, 30000.0])),
    st.tuples(st.just("access"), st.sampled_from(["public", "proprietary", "any"])),
    st.tuples(st.just("instruments"), st.sampled_from([("PN",), ("M1",), ("M1", "M2")])),
    st.tuples(st.just("obs_ids"), st.sampled_from([("0000000000",), ("0000000001", "0000000002")])),
    st.tuples(st.just("category"), st.sampled_from([("AGN",), ("GCL", "MISC")])),
    st.tuples(st.just("mode"), st.sampled_from([("fullframe",), ("Timing", "SMALL window"), ("small",)])),
    st.just(("everything",)),
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.just("and"), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("or"), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("not"), inner),
    ),
    max_leaves=6,
)


def criteria_of(tree):
    kind, *rest = tree
    if kind in ("and", "or"):
        return reduce(and_ if kind == "and" else or_, (criteria_of(one) for one in rest[0]))
    if kind == "not":
        return ~criteria_of(rest[0])
    return make_criteria(WIDE, **keywords(kind, rest))


def keywords(kind, rest):
    if kind == "near":
        places, radius, how, margin = rest
        asked = {"position": places, "match": how, "margin": margin if how != "centre" else None}
        return asked | ({} if radius is None else {"radius": f"{radius!r} arcmin"})
    if kind == "sample":
        objects, how, inside, timed = rest
        columns = {
            "ra": [one["place"][0] for one in objects],
            "dec": [one["place"][1] for one in objects],
            "radius_arcmin": [one["radius"] for one in objects],
        }
        if timed:
            columns["start"] = ["" if one["window"][0] is None else one["window"][0] for one in objects]
            columns["end"] = ["" if one["window"][1] is None else one["window"][1] for one in objects]
        return {"sample": columns, "match": how, "inside": inside and timed}
    simple = {
        "time": lambda: {"time": rest[0], "inside": rest[1]},
        "box": lambda: {"box": {"ra": rest[0], "dec": rest[1]}},
        "exposure": lambda: {"min_exposure": f"{rest[0]!r} s"},
        "everything": lambda: {"everything": True},
        "access": lambda: {"access": rest[0]},
    }
    return simple.get(kind, lambda: {kind: list(rest[0])})()


def in_window(row, window, inside):
    low, high = (value if value is not None else sign * 1e9 for value, sign in zip(window, (-1, 1), strict=True))
    begin, end = row["start"], row["start"] + (0 if math.isnan(row["days"]) else row["days"])
    return begin >= low and end <= high if inside else begin < high and end > low


def near(row, instrument, places, radius, how, margin):  # noqa: PLR0917 - as the strategy gives them
    return any(meets(instrument, place, row, radius, how, margin) for place in places)


def sample(row, instrument, objects, how, inside, timed):  # noqa: PLR0917 - as the strategy gives them
    return any(
        meets(instrument, one["place"], row, one["radius"], how)
        and (not timed or in_window(row, one["window"], inside))
        for one in objects
    )


def box(row, across, up):
    (ra, dec), (first, last), (low, high) = row["place"], across, up
    within = abs(dec) == 90 or (ra - first) % 360 <= (last - first) % 360 or (ra == 0 and last == 360)
    return within and low <= dec <= high


def access(row, kind):
    public = row["public_date"] <= NOW
    return {"public": public, "proprietary": not public, "any": True}[kind]


def holds(tree, row, obs_id, name):
    kind, *rest = tree
    if kind in ("and", "or"):
        return (all if kind == "and" else any)(holds(one, row, obs_id, name) for one in rest[0])
    instrument = WIDE.find_instrument(name)
    oracle = {
        "not": lambda inner: not holds(inner, row, obs_id, name),
        "near": lambda *asked: near(row, instrument, *asked),
        "sample": lambda *asked: sample(row, instrument, *asked),
        "time": lambda *asked: in_window(row, *asked),
        "box": lambda *asked: box(row, *asked),
        "exposure": lambda seconds: seconds <= (SECONDS[name] if row["exposures"] else 20470),
        "category": lambda codes: row["category"] in codes,
        "mode": lambda words: any(re.search(rf"\b{word}\b", row["mode"], re.IGNORECASE) for word in words),
        "access": lambda asked: access(row, asked),
        "instruments": lambda names: name in names,
        "obs_ids": lambda obs_ids: obs_id in obs_ids,
        "everything": lambda: True,
    }
    return oracle[kind](*rest)


def mentions(tree, kind):
    inner = {"and": tree[1:2], "or": tree[1:2], "not": [tree[1:2]]}.get(tree[0], ())
    return tree[0] == kind or any(mentions(one, kind) for part in inner for one in part)


def possible(tree):
    """No `centre` without a radius, and a conjunction whose ObsIDs or instruments do not exclude each other."""
    try:
        return criteria_of(tree)
    except CriteriaError as error:
        assert error.code in ("criteria.match", "criteria.empty")
        assume(False)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(rows=st.lists(ROWS, min_size=4, max_size=8), tree=TREES)
def test_any_combination_gives_what_one_by_one_testing_gives(rows, tree):
    criteria = possible(tree)
    default_access = not mentions(tree, "access")
    wanted = {}
    for index, row in enumerate(rows):
        obs_id = f"{index:010d}"
        names = [
            instrument.name
            for instrument in WIDE.instruments
            if instrument.name in row["instruments"].split(",") and holds(tree, row, obs_id, instrument.name)
        ]
        if names and (row["public_date"] <= NOW or not default_access):
            wanted[obs_id] = ",".join(names)
    observed = table(rows)
    try:
        found = match(WIDE, observed, criteria, at=NOW)
    except CriteriaError as error:
        untold = any(mentions(tree, name) and not any(observed[name]) for name in ("category", "mode"))
        assert error.code == ("criteria.no-column" if untold else "criteria.empty")
        assert untold or wanted == {}
    else:
        assert dict(zip(observed["obs_id"][found.keep], found.instruments, strict=True)) == wanted


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(tree=TREES)
def test_trees_replay_exactly_from_json_and_toml(tree):
    criteria = possible(tree)
    for plain in (json.loads(criteria.text), tomllib.loads(tomlkit.dumps(criteria.to_plain()))):
        again = read_criteria(WIDE, plain)
        assert again == criteria
        assert hash(again) == hash(criteria)
        assert again.text == criteria.text


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(trees=st.lists(TREES, min_size=2, max_size=3))
def test_the_laws_of_the_algebra(trees):
    # Conjunctions of lists of names become one list: those are compared by what they choose, above.
    assume(not any(mentions(tree, kind) for tree in trees for kind in ("obs_ids", "instruments")))
    one, two, *_ = (possible(tree) for tree in trees)
    assert one | two == two | one
    assert one & two == two & one
    assert one | one == one == one & one == ~~one
    assert ~(one | two) == ~one & ~two
    assert ~(one & two) == ~one | ~two
    assert (one | two) | one == one | two
    assert hash(one | two) == hash(two | one)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    rows=st.lists(ROWS, min_size=4, max_size=8),
    objects=OBJECTS,
    how=st.sampled_from(["covers", "overlaps", "centre"]),
    inside=st.booleans(),
)
def test_pairs_are_those_of_one_by_one_testing(rows, objects, how, inside):
    criteria = make_criteria(WIDE, **keywords("sample", (objects, how, inside, True)))
    wanted = {}
    for number, one in enumerate(objects, 1):
        for index, row in enumerate(rows):
            names = [
                instrument.name
                for instrument in WIDE.instruments
                if instrument.name in row["instruments"].split(",")
                and row["public_date"] <= NOW
                and in_window(row, one["window"], inside)
                and meets(instrument, one["place"], row, one["radius"], how)
            ]
            if names:
                guess = how != "centre" and names == ["M1"] and math.isnan(row["roll"])
                owner = any(meets(WIDE.find_instrument(name), one["place"], row, None, "covers") for name in names)
                wanted[str(number), f"{index:010d}"] = (
                    (",".join(names), guess, owner),
                    separation(one["place"], row["place"]),
                )
    try:
        found = match(WIDE, table(rows), criteria, at=NOW)
    except CriteriaError:
        assert wanted == {}
        return
    pairs = list_pairs(found)
    assert list(zip(pairs["target"], pairs["obs_id"], strict=True)) == sorted(wanted)
    for pair in pairs.itertuples():
        told, apart = wanted[pair.target, pair.obs_id]
        assert (pair.instruments, pair.approximate, pair.owner) == told
        assert pair.off_axis == pytest.approx(apart, abs=1e-6)
        assert pair.exposure == 20470


def test_targets_of_alternatives_are_resolved_and_stored_once():
    one, two = (make_criteria(WIDE, target=name) for name in ("Abell 907", "M 87"))
    either = ((one | two) & ~make_criteria(WIDE, target="Vega")).resolve(lambda name: (float(len(name)), 0.0))
    assert either.targets == ("Abell 907", "M 87", "Vega")
    assert [name for name, _, _ in either.resolved] == ["Abell 907", "M 87", "Vega"]
    assert "resolved" not in either.to_plain()["any_of"][0]
    assert read_criteria(WIDE, either.to_plain()) == either
    assert (one.resolve(lambda _: (1.0, 2.0)) | two).resolved == (("Abell 907", 1.0, 2.0),)


@pytest.mark.parametrize(
    "plain",
    [
        {"any_of": []},
        {"any_of": {"time": ["2004-01-01", ""]}},
        {"any_of": [{"resolved": {}}]},
        {"none_of": ["x"]},
        {"everything": "yes"},
        {"inside": True},
        {"access": "secret"},
        {"min_exposure": 5000},
        {"region": "/etc/passwd"},
        {"moc": "/etc/passwd"},
        {"sample": "/etc/passwd"},
        {"sample": {"ra": [1], "dec": [2], "match": "near"}},
    ],
)
def test_plain_trees_that_cannot_be_used_are_refused(plain):
    with pytest.raises(CriteriaError) as caught:
        read_criteria(WIDE, plain)
    assert caught.value.remedy


def test_deep_nesting_is_refused():
    plain = {"time": ["2004-01-01", ""]}
    for _ in range(100):
        plain = {"none_of": [plain, {"obs_ids": ["0000000001"]}]}
    with pytest.raises(CriteriaError, match="nested"):
        read_criteria(WIDE, plain)


def test_an_empty_result_names_the_alternatives_that_emptied_it():
    either = make_criteria(WIDE, box={"ra": (10, 20)}) | make_criteria(WIDE, time=("2020-01-01", None))
    row = {"place": (0.0, 0.0), "start": 50000.0, "days": 1.0, "instruments": "PN", "public_date": 50000.0,
           "roll": 0.0, "category": "", "mode": "", "exposures": False}  # fmt: skip
    with pytest.raises(CriteriaError, match=r"0 that are with RA 10 to 20, Dec -90 to 90 or observed after") as caught:
        match(WIDE, table([row]), either, at=NOW)
    assert "that are with RA 10" in caught.value.remedy


def test_no_condition_is_the_whole_table_and_has_a_text():
    assert Criteria().to_plain() == {}
    assert make_criteria(WIDE, everything=True).to_plain() == {"everything": True}
