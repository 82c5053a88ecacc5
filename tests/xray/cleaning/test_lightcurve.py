"""Light curves against brute force and against astropy."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.cleaning.cut import Cut, select, standard_cut
from daxa.xray.cleaning.lightcurve import LightCurve, bin_times, light_curve, write_light_curve
from daxa.xray.eventlists.clock import in_seconds, read_clock
from daxa.xray.eventlists.gti import intersect, total, union
from daxa.xray.eventlists.opening import open_events
from tests.xray.madelists import make_list

LISTS = (
    "xmm/0404910601/eclean/mos1_exp1_clean_evts.fits",
    "xmm/0201901401/eclean/mos2_exp1_clean_evts.fits",
    "chandra/acis_18461_cena_evt2.fits",
    "nustar/nu30101031002A_cut_evt.fits",
)


def test_bins_are_half_open():
    times = np.array([9.999, 10.0, 15.0, 19.9999, 20.0, 40.0, -1.0, np.nan])
    assert bin_times(times, 10.0, 10.0, 3).tolist() == [3, 1, 0]


@pytest.mark.parametrize("name", LISTS)
def test_every_good_event_and_second_is_in_a_bin(real_data, name):
    events = open_events(real_data / name)
    cut = standard_cut(events)
    curve = light_curve(events, cut, 100.0)
    assert curve.counts.sum() == select(events, cut, events.rows).sum()
    seconds = np.mean([total(gti) for gti in events.gtis.values()])
    assert curve.exposure.sum() == pytest.approx(seconds, abs=1e-3)
    assert (curve.exposure <= 100.0 + 1e-6).all()
    assert (curve.counts[curve.exposure == 0] == 0).all()


def test_counts_equal_a_plain_histogram(real_data):
    events = open_events(real_data / LISTS[0])
    cut = Cut((), events.gtis, (10000, 12000))
    curve = light_curve(events, cut, 77.0)
    with fits.open(real_data / LISTS[0]) as hdus:
        rows = hdus["EVENTS"].data
        times = rows["TIME"][(rows["PI"] >= 10000) & (rows["PI"] <= 12000)]
    assert (np.histogram(times, bins=curve.edges)[0] == curve.counts).all()


def test_good_seconds_against_brute_force(real_data):
    events = open_events(real_data / LISTS[1])
    curve = light_curve(events, standard_cut(events), 500.0)
    for k in (0, len(curve.counts) // 2, len(curve.counts) - 1):
        bin_ = [(curve.edges[k], curve.edges[k + 1])]
        mean = np.mean([total(intersect(gti, bin_)) for gti in events.gtis.values()])
        assert curve.exposure[k] == pytest.approx(mean, abs=1e-4)


def test_no_good_time_is_an_error(real_data):
    events = open_events(real_data / LISTS[0])
    with pytest.raises(DataError, match="no good time") as caught:
        light_curve(events, Cut((), dict.fromkeys(events.gtis, np.empty((0, 2)))), 100.0)
    assert caught.value.code == "data.no-good-time"


def test_damaged_times_are_an_error(real_data):
    events = open_events(real_data / LISTS[0])
    with pytest.raises(DataError) as caught:
        light_curve(events, Cut((), {1: np.array([[0.0, 1.0], [1e15, 1e15 + 5]])}), 1.0)
    assert caught.value.code == "data.time-span"


def test_the_file_says_what_the_curve_says(tmp_path, real_data):
    events = open_events(real_data / LISTS[0])
    curve = light_curve(events, standard_cut(events), 100.0)
    kept = curve.rate > np.nanmedian(curve.rate)
    gti = union(*events.gtis.values())
    for name in ("a.fits", "b.fits"):
        write_light_curve(tmp_path / name, curve, events.header, {"SCREENED": ("standard", "")}, kept=kept, gti=gti)
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()
    with fits.open(tmp_path / "a.fits") as hdus:
        table, header = hdus["RATE"].data, hdus["RATE"].header
        assert (table["COUNTS"] == curve.counts).all()
        assert np.allclose(table["TIME"], (curve.edges[1:] + curve.edges[:-1]) / 2, rtol=0, atol=1e-6)
        good = table["FRACEXP"] > 0
        seconds = table["FRACEXP"][good] * header["TIMEDEL"]
        assert np.allclose(table["RATE"][good], table["COUNTS"][good] / seconds)
        assert np.isnan(table["RATE"][~good]).all()
        assert (table["KEPT"] == kept).all()
        assert header["MJDREF"] == events.header["MJDREF"]
        assert (np.column_stack([hdus["GTI"].data["START"], hdus["GTI"].data["STOP"]]) == gti).all()
        assert not {"DATE", "CHECKSUM", "HISTORY"} & set(header)


def test_rates_of_a_known_curve():
    curve = LightCurve(5.0, 10.0, np.array([3, 0]), np.array([6.0, 0.0]))
    assert curve.edges.tolist() == [5.0, 15.0, 25.0]
    assert curve.rate[0] == 0.5
    # Gehrels (1986), table 1: the upper limit of three counts is 5.918.
    assert curve.error[0] * 6.0 + 3 == pytest.approx(5.918, abs=0.03)
    assert np.isnan(curve.rate[1])


@pytest.mark.parametrize("case", ["days", "primary", "split"])
def test_a_light_curve_is_on_the_clock_of_its_list(tmp_path, case):
    """Its times are seconds, whatever the unit of the list, and it is read without the list's primary header."""
    path = make_list("integral-isgri" if case == "days" else "swift-pc", tmp_path / "made.fits", count=200)
    table = "ISGR-EVTS-ALL" if case == "days" else "EVENTS"
    with fits.open(path, mode="update") as units:
        own = units[table].header
        if case == "primary":
            for key in ("MJDREFI", "MJDREFF", "TIMESYS", "TIMEZERO"):
                units[0].header[key] = own.pop(key)
        for unit in units[1:]:
            unit.header["TIMEZERO" if case == "days" else "TIMEOFFS"] = 0.25
    events = open_events(path)
    curve = light_curve(events, standard_cut(events), 100.0)
    write_light_curve(tmp_path / "curve.fits", curve, in_seconds(events.header, events.primary), {})
    header = fits.getheader(tmp_path / "curve.fits", "RATE")
    clock, assumed = read_clock(events.format, header, fits.Header())
    assert assumed == ()
    assert clock.unit == 1.0
    assert clock.zero == events.clock.zero == (0.25 * 86400 if case == "days" else 0.25)
    apart = clock.date(header["TSTART"]) - events.clock.date(curve.start)
    assert abs(apart.to_value("s")) < 1e-6
