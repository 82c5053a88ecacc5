"""What flares leave in each band, on the real lists and on a made one whose flares are soft."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from daxa.xray.cleaning.cut import Cut, standard_cut
from daxa.xray.cleaning.flarescreen import screen_flares
from daxa.xray.cleaning.residual import Residual, find_residuals, worst_status
from daxa.xray.lists.events import open_events
from daxa.xray.lists.gti import total

HARD, SOFT = (10000, 12000), (2500, 8500)
BANDS = [((0.5, 2.0), (500, 2000)), ((2.0, 10.0), (2000, 10000))]


def passes(events):
    """Good times after one pass and after two, and the mask of the second."""
    cut = standard_cut(events)
    first = screen_flares(events, Cut(cut.rules, cut.gtis, HARD), 100.0)
    once = first.good_times(cut.gtis)
    second = screen_flares(events, Cut(cut.rules, once, SOFT), 100.0)
    return cut, first, once, second, second.good_times(once)


@pytest.mark.parametrize("name", ["0404910601/eclean/mos1", "0404910601/eclean/mos2", "0201901401/eclean/mos2"])
def test_a_second_pass_removes_what_the_first_does_not_see(real_data, name):
    events = open_events(real_data / f"xmm/{name}_exp1_clean_evts.fits")
    cut, first, once, second, twice = passes(events)
    assert first.result.status == "Good"
    soft = [((2.5, 8.5), SOFT)]
    (before,), (after,) = (
        find_residuals(events, cut, gtis, soft, mask=second.mask, width=100.0) for gtis in (once, twice)
    )
    assert before.excess > 0.1
    assert after.excess < 0.6 * before.excess
    found = find_residuals(events, cut, once, [*BANDS, *soft], mask=second.mask, width=100.0)
    # What the first pass alone left is never called good.
    assert worst_status("Good", "", found) == "Intermediate"
    assert sum(map(total, twice.values())) > 0.5 * sum(map(total, once.values()))


def test_the_residual_is_the_one_that_was_put_in(real_data):
    """A quiet list whose events are drawn anew: uniform, and a known share more in a known part of the time."""
    events = open_events(real_data / "xmm/0404910601/eclean/mos1_exp1_clean_evts.fits")
    rng = np.random.default_rng(6)
    gtis = {chip: np.array([[1e8, 1e8 + 20000.0]]) for chip in events.gtis}
    rows = events.rows.copy()
    times = 1e8 + 20000.0 * rng.random(len(rows))
    # A fifth of the time has twice the rate.
    flare = rng.random(len(rows)) < 1 / 6
    times[flare] = 1e8 + 4000.0 * rng.random(int(flare.sum()))
    order = np.argsort(times)
    rows = rows[order]
    rows["TIME"] = times[order]
    made = replace(
        events, rows=rows, gtis=gtis, tables=tuple(t for t in events.tables if not t.name.startswith("EXPOSU"))
    )
    cut = Cut(standard_cut(events).rules, gtis)
    quiet = {chip: np.array([[1e8 + 4000.0, 1e8 + 20000.0]]) for chip in gtis}
    (all_in,) = find_residuals(made, cut, gtis, BANDS[:1], mask=None, width=100.0)
    (clean,) = find_residuals(made, cut, quiet, BANDS[:1], mask=None, width=100.0)
    assert all_in.excess == pytest.approx(0.2, abs=3 * all_in.error + 0.02)
    assert abs(clean.excess) < 3 * clean.error + 0.01
    assert not all_in.is_low


def test_good_is_only_what_is_good_in_all_bands():
    clean, dirty = Residual((0.5, 2.0), 0.02, 0.01), Residual((2.0, 10.0), 0.12, 0.02)
    unknown, few = Residual((2.0, 10.0), np.nan, np.nan), Residual((2.0, 10.0), 0.07, 0.05)
    assert worst_status("Good", "Good", [clean, unknown]) == "Good"
    assert worst_status("Good", "Good", [clean, few]) == "Intermediate"
    assert worst_status("Good", "Good", [clean, dirty]) == "Intermediate"
    assert worst_status("Good", "Bad", [clean]) == "Bad"
    assert worst_status("source-variability", "Good", [dirty]) == "source-variability"
