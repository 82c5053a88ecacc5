"""Exposures of an observation together, where their pixels, bands or events do not simply add."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time

from daxa.backends.native.combined import combine, on_one_grid
from daxa.run.task import Task
from daxa.xray.cleaning.cut import Cut, select, standard_cut
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.opening import open_events
from daxa.xray.imaging.image import grid_for
from daxa.xray.imaging.members import EventMember

HOW = {"EXPMETH": ("FLAT", ""), "VIGNET": (False, "")}
TASK = Task("xmm", "images", "0404910601", "native", "1")
BAND = (0.5, 2.0)


@pytest.fixture(scope="module")
def cameras(real_data) -> list[EventList]:
    place = real_data / "xmm/0404910601/eclean"
    lists = [open_events(place / f"mos{number}_exp1_clean_evts.fits") for number in (1, 2)]
    return [replace(one, exposure=name, rows=one.rows[::4].copy()) for one, name in zip(lists, "ab", strict=True)]


def part(events: EventList, pi: tuple[int, int] = (500, 2000), pixel: float = 8.7):
    cut = standard_cut(events, pi=pi)
    grid = grid_for(events, pixel, Cut(cut.rules, cut.gtis))
    return EventMember(events, cut, grid, np.full((grid.ny, grid.nx), 1000.0, np.float32)), HOW


def kept(*members: EventMember) -> int:
    return sum(int(select(one.events, one.cut, one.events.rows, sky=True).sum()) for one in members)


def test_other_pixels_of_the_sky_are_binned_again(cameras, tmp_path):
    first, second = cameras
    sky = replace(second.sky, crval=(second.sky.crval[0] + 0.05, second.sky.crval[1] - 0.03))
    parts = [part(first), part(replace(second, sky_grid=sky))]
    members = [one for one, _ in parts]
    how = {"UNVERIF": ("pn above 2 keV", "unproved"), "UNVERERR": (0.08, "")}
    parts[1] = parts[1][0], HOW | how
    assert on_one_grid(members) == members
    assert combine(TASK, parts, BAND, tmp_path, io.StringIO(), picture=True)
    made = {path.name.rsplit("-", 1)[1]: path for path in tmp_path.iterdir()}
    assert set(made) == {"combinedimage.fits", "combinedexpmap.fits", "combinedratemap.fits", "quicklook.png"}
    counts, header = fits.getdata(made["combinedimage.fits"]), fits.getheader(made["combinedimage.fits"])
    assert counts.sum() == kept(*members)
    assert "CDELT1L" not in header
    assert header["VIGNET"] is False
    described = fits.getheader(made["combinedexpmap.fits"])
    edges = np.concatenate([good.ravel() for one in members for good in one.cut.gtis.values()])
    assert (header["TSTART"], header["TSTOP"]) == pytest.approx((edges.min(), edges.max()), abs=1e-6)
    start = Time(header["MJDREFI"] + header["MJDREFF"], edges.min() / 86400, format="mjd", scale="tt")
    assert (header["DATE-OBS"], header["TIMESYS"]) == (start.isot, "TT")
    assert header["MJD-OBS"] == pytest.approx(start.mjd, abs=1e-9)
    assert (described["UNVERIF"], described["UNVERERR"]) == ("pn above 2 keV", 0.08)
    area = sum(one.exposure.sum(dtype=float) for one in members)
    assert fits.getdata(made["combinedexpmap.fits"]).sum(dtype=float) == pytest.approx(area, rel=1e-3)


def test_maps_are_put_in_their_place(cameras):
    one, _ = part(cameras[0])
    smaller = replace(one.grid, x0=one.grid.x0 + 64 * one.grid.bin, nx=one.grid.nx - 64)
    other = replace(one, grid=smaller, exposure=np.full((smaller.ny, smaller.nx), 7.0, np.float32))
    first, second = on_one_grid([other, one])
    assert first.grid == second.grid == one.grid
    assert (first.exposure[:, :64] == 0).all()
    assert (first.exposure[:, 64:] == 7).all()
    assert second.exposure.tobytes() == one.exposure.tobytes()


@pytest.mark.parametrize("one_grid", [True, False])
def test_out_of_time_events_are_subtracted_where_those_of_all_are_known(cameras, tmp_path, monkeypatch, one_grid):
    first, second = cameras
    if not one_grid:
        second = replace(second, sky_grid=replace(second.sky, crval=(second.sky.crval[0] + 0.05, second.sky.crval[1])))
    parts = [part(first), part(second)]
    rng = np.random.default_rng(4)
    known = [(replace(one, readout=rng.random(one.exposure.shape) / 8), how) for one, how in parts]
    # MOS has no out-of-time events to speak of; here both are taken for cameras that have some.
    monkeypatch.setattr("daxa.xray.imaging.mosaicking.camera_of", lambda *_: SimpleNamespace(readout=True))
    made = {}
    for name, chosen in (("none", parts), ("one", [known[0], parts[1]]), ("all", known)):
        (tmp_path / name).mkdir()
        assert combine(TASK, chosen, BAND, tmp_path / name, io.StringIO())
        images = [next((tmp_path / name).glob(f"*-combined{kind}.fits")) for kind in ("image", "ratemap", "expmap")]
        made[name] = [fits.getdata(path).astype(float) for path in images]
        assert fits.getheader(images[0])["OOTCORR"] is (name == "all")
    taken = made["none"][0] - made["all"][0]
    expected = sum(float(one.readout.sum()) for one, _ in known)
    assert taken.sum() == pytest.approx(expected, rel=1e-4 if one_grid else 2e-3)
    assert ((made["none"][0] - made["one"][0]) <= taken + 1e-4).all()
    seen = np.isfinite(made["all"][1])
    np.testing.assert_allclose((made["all"][1] * made["all"][2])[seen], made["all"][0][seen], atol=1e-3)
    if one_grid:
        placed = on_one_grid([one for one, _ in known])
        np.testing.assert_allclose(taken, sum(one.readout for one in placed), atol=1e-4)


@pytest.mark.parametrize("case", ["band", "same-events", "alone", "merged"])
def test_what_does_not_add_is_not_combined(cameras, tmp_path, case):
    first, second = cameras
    parts, told = {
        "band": ([part(first), part(second, (600, 2000))], "different bands"),
        "same-events": ([part(first), part(replace(first, exposure="again"))], "same events"),
        "alone": ([part(first)], ""),
        # A part of an exposure beside the whole of it: the part does not count, and the whole is alone.
        "merged": ([part(replace(first, exposure="ALL")), part(first)], ""),
    }[case]
    log = io.StringIO()
    assert not combine(TASK, parts, BAND, tmp_path, log)
    assert told in log.getvalue()
    assert list(tmp_path.iterdir()) == []
