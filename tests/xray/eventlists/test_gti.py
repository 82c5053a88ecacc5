"""The algebra of good time intervals against a grid of seconds that is walked one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daxa.errors import DataError
from daxa.xray.eventlists import gti

SPAN = 40
LISTS = st.lists(st.tuples(st.integers(0, SPAN), st.integers(0, SPAN)), max_size=8)
FLOATS = st.lists(st.tuples(*(st.floats(-1e9, 1e9, allow_nan=False),) * 2), max_size=8)


def cells(intervals) -> set[int]:
    """The unit cells [k, k + 1) that a list of whole-number intervals covers."""
    return {cell for start, stop in intervals for cell in range(int(start), int(stop))}


def is_normal(intervals: np.ndarray) -> bool:
    edges = intervals.ravel()
    return intervals.dtype == np.float64 and intervals.shape == (len(intervals), 2) and bool((np.diff(edges) > 0).all())


@given(LISTS)
def test_normalise_is_the_set_and_idempotent(one):
    normal = gti.normalise(one)
    assert is_normal(normal)
    assert cells(normal) == cells(one)
    assert np.array_equal(gti.normalise(normal), normal)
    assert gti.total(one) == len(cells(one))


@given(LISTS, LISTS, LISTS)
def test_union_and_intersection_are_those_of_sets(one, two, three):
    both, either = gti.intersect(one, two), gti.union(one, two)
    assert is_normal(both)
    assert is_normal(either)
    assert cells(both) == cells(one) & cells(two)
    assert cells(either) == cells(one) | cells(two)
    assert cells(gti.intersect(one, two, three)) == cells(one) & cells(two) & cells(three)
    assert is_normal(gti.intersect(one, two, three))
    assert np.array_equal(both, gti.intersect(two, one))
    assert np.array_equal(either, gti.union(two, one))
    assert gti.total(one) + gti.total(two) == gti.total(both) + gti.total(either)


@given(LISTS)
def test_a_list_and_its_complement_are_all_times(one):
    rest = gti.complement(one, 0, SPAN)
    assert is_normal(rest)
    assert cells(rest) == set(range(SPAN)) - cells(one)
    assert np.array_equal(gti.intersect(one, one), gti.normalise(one))
    assert gti.union(one, rest).tolist() == [[0, SPAN]]
    assert len(gti.intersect(one, rest)) == 0
    assert np.array_equal(gti.complement(rest, 0, SPAN), gti.normalise(one))


@given(FLOATS, FLOATS)
def test_the_laws_hold_for_real_times(one, two):
    assert np.array_equal(gti.intersect(one, two), gti.intersect(two, one))
    assert np.array_equal(gti.intersect(one, one), gti.normalise(one))
    assert np.array_equal(gti.union(one, gti.intersect(one, two)), gti.normalise(one))
    measure = gti.total(gti.intersect(one, two)) + gti.total(gti.union(one, two))
    assert measure == pytest.approx(gti.total(one) + gti.total(two), rel=1e-12, abs=1e-6)


@given(FLOATS, st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=20))
def test_contains_asks_every_interval(one, times):
    times = [*times, *(edge for interval in one for edge in interval)]
    expected = [any(start <= time < stop for start, stop in one) for time in times]
    assert gti.contains(one, np.array(times, dtype=float)).tolist() == expected


@given(LISTS, st.lists(st.integers(-5, SPAN + 5), min_size=2, max_size=12, unique=True))
def test_covered_counts_the_cells_of_each_bin(one, edges):
    edges = np.sort(np.array(edges, dtype=float))
    good = cells(one)
    bins = zip(edges[:-1].astype(int), edges[1:].astype(int), strict=True)
    expected = [len(good & set(range(low, high))) for low, high in bins]
    assert gti.covered(one, edges).tolist() == expected


def test_covered_loses_nothing_at_mission_times():
    """Half a year of good time, bins that divide it unevenly."""
    start = 6.0e8
    good = np.column_stack((start + np.arange(20000) * 700.0, start + np.arange(20000) * 700.0 + 431.7))
    edges = np.linspace(start - 50, start + 1.5e7, 123457)
    assert np.sum(gti.covered(good, edges)) == pytest.approx(gti.total(good), rel=1e-12)
    assert gti.covered(good, edges).min() >= 0


@given(LISTS, st.lists(st.tuples(st.integers(0, SPAN), st.integers(1, 5)), max_size=10))
def test_spans_are_stretches_without_a_gap(one, stretches):
    starts = np.array([start for start, _ in stretches], dtype=float)
    stops = starts + np.array([length for _, length in stretches], dtype=float)
    expected = [set(range(int(a), int(b))) <= cells(one) for a, b in zip(starts, stops, strict=True)]
    assert gti.spans(one, starts, stops).tolist() == expected


@pytest.mark.parametrize("bad", [[(0, float("nan"))], [(0, float("inf"))], [1, 2, 3], [(1, 2, 3)]])
def test_what_is_not_a_list_of_intervals_is_refused(bad):
    with pytest.raises(DataError) as problem:
        gti.normalise(bad)
    assert problem.value.code == "data.gti"


@given(LISTS, st.integers(-3, 3), st.integers(-3, 3))
def test_padding_moves_the_edges(one, before, after):
    padded = gti.pad(one, before, after)
    assert is_normal(padded)
    expected = set()
    for start, stop in gti.normalise(one):
        expected |= set(range(int(start) - before, int(stop) + after))
    assert cells(padded) == expected


@given(LISTS, st.integers(0, 6))
def test_long_intervals_stay(one, seconds):
    kept = gti.at_least(one, seconds)
    normal = gti.normalise(one)
    assert [tuple(pair) for pair in kept] == [tuple(pair) for pair in normal if pair[1] - pair[0] >= seconds]


@given(st.lists(LISTS, min_size=1, max_size=5))
def test_many_lists_at_once_are_one_after_the_other(lists):
    both, either = lists[0], lists[0]
    for one in lists[1:]:
        both, either = gti.intersect(both, one), gti.union(either, one)
    assert np.array_equal(gti.intersect(*lists), gti.normalise(both))
    assert np.array_equal(gti.union(*lists), gti.normalise(either))


def test_twenty_thousand_intervals_meet_twenty_thousand():
    """Against a sweep that walks both lists one interval at a time."""
    rng = np.random.default_rng(7)
    one, two = (np.sort(rng.uniform(0, 1e6, 40_000)).reshape(-1, 2) for _ in range(2))
    expected, i, j = [], 0, 0
    while i < len(one) and j < len(two):
        start, stop = max(one[i, 0], two[j, 0]), min(one[i, 1], two[j, 1])
        if stop > start:
            expected.append((start, stop))
        i, j = (i + 1, j) if one[i, 1] < two[j, 1] else (i, j + 1)
    assert np.array_equal(gti.intersect(one, two), np.array(expected))
    assert gti.total(gti.union(one, two)) + gti.total(expected) == pytest.approx(gti.total(one) + gti.total(two))
