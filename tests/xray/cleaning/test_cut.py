"""Selection by good time, chip by chip: every route to the answer against brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daxa.xray.cleaning import cut as module
from daxa.xray.cleaning.cut import Cut, chosen, select, standard_cut
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.opening import open_events
from tests.xray.madelists import make_list

MOMENTS = st.integers(0, 60).map(lambda number: number / 4)
INTERVALS = st.lists(st.tuples(MOMENTS, MOMENTS), max_size=6)


@pytest.fixture(scope="module")
def events(tmp_path_factory) -> EventList:
    return EventList.open(make_list("erosita-scan", tmp_path_factory.mktemp("cut") / "made.fits", count=10))


def with_events(events: EventList, times, chips, form: str) -> EventList:
    rows = np.zeros(len(times), dtype=[("TIME", ">f8"), ("TM_NR", form), ("rest", "S30")])
    rows["TIME"], rows["TM_NR"] = times, np.array(chips, dtype=np.int64).astype(form)
    return replace(events, rows=rows)


@pytest.mark.parametrize("most", [0, 50_000])
@pytest.mark.parametrize("form", ["u1", ">i2", ">i4"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    good=st.dictionaries(st.integers(0, 5), INTERVALS, max_size=4),
    times=st.lists(MOMENTS | st.sampled_from([np.nan, np.inf, -np.inf, -1.0, 99.0]), max_size=40),
    data=st.data(),
)
def test_an_event_counts_in_the_good_time_of_its_chip(events, form, most, good, times, data, monkeypatch):  # noqa: PLR0917
    chips = data.draw(st.lists(st.integers(0, 6), min_size=len(times), max_size=len(times)))
    some = with_events(events, times, chips, form)
    cut = Cut((), {chip: np.array(pairs or np.empty((0, 2)), dtype=float) for chip, pairs in good.items()})
    with monkeypatch.context() as patch:
        # Both routes: by a table of states, and chip by chip.
        patch.setattr(module, "_MOST_MOMENTS", most)
        kept = select(some, cut, some.rows)
    expected = [
        any(start <= time < stop for start, stop in good.get(chip, [])) for time, chip in zip(times, chips, strict=True)
    ]
    assert kept.tolist() == expected


@pytest.mark.parametrize("chip", [-3, 300, 32767])
def test_chips_of_any_number(events, chip):
    some = with_events(events, [1.0, 2.0, 1.0], [chip, chip, 1], ">i2")
    assert select(some, Cut((), {chip: np.array([[0.0, 1.5]])}), some.rows).tolist() == [True, False, False]
    assert select(some, Cut((), {1: np.array([[0.0, 1.5]])}), some.rows).tolist() == [False, False, True]


def test_blocks_do_not_show(events, monkeypatch):
    random = np.random.default_rng(3)
    some = with_events(events, random.uniform(0, 100, 5000), random.integers(0, 4, 5000), "u1")
    cut = Cut((), {chip: random.uniform(0, 100, (9, 2)) for chip in range(3)})
    whole = select(some, cut, some.rows)
    assert 500 < whole.sum() < 4500
    assert np.array_equal(chosen(some, cut, some.rows), np.flatnonzero(whole))
    for size in (1, 40, 41 * 7):
        monkeypatch.setattr("daxa.xray.eventlists.event_list._BLOCK", size * some.rows.dtype.itemsize)
        assert some.block == size
        assert np.array_equal(select(some, cut, some.rows), whole)


def test_no_good_time_at_all(events):
    some = with_events(events, [1.0, 2.0], [1, 2], "u1")
    for gtis in ({}, {1: np.empty((0, 2))}):
        assert not select(some, Cut((), gtis), some.rows).any()


@pytest.mark.parametrize(("null", "first", "last"), [(255, 40, 255), (0, 0, 200)])
def test_an_event_without_a_channel_is_in_no_band(tmp_path, null, first, last):
    """JEM-X's channels fill a byte: whatever number stands for null is one of them."""
    path = make_list("integral-jemx1", tmp_path / "made.fits", count=400, clean=True)
    with fits.open(path, mode="update") as units:
        table = units["JMX1-FULL-ALL"]
        table.data["PI"][::4] = null
        number = table.columns.names.index("PI") + 1
        channels = table.data["PI"].copy()
    before = open_events(path)
    fits.setval(path, f"TNULL{number}", value=null, extname="JMX1-FULL-ALL")
    events = open_events(path)
    rows = np.concatenate(list(events.chunks()))
    inside = (channels >= first) & (channels <= last)
    assert before.in_band(np.concatenate(list(before.chunks())), first, last).sum() == inside.sum()
    assert (events.in_band(rows, first, last) == inside & (channels != null)).all()
    cut = standard_cut(events, pi=(first, last))
    assert 0 < select(events, cut, rows).sum() < select(before, standard_cut(before, pi=(first, last)), rows).sum()
