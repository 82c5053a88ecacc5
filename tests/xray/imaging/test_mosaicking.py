"""Mosaics: nothing is lost, nothing counts twice, and everything lands where astropy says."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from daxa.errors import DataError, NotPossible
from daxa.xray.cleaning.cut import Cut, select, standard_cut
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.opening import open_events
from daxa.xray.eventlists.sky_grid import header_wcs
from daxa.xray.imaging.exposure_map import exposure_map
from daxa.xray.imaging.image import ImageGrid, count_image, grid_for
from daxa.xray.imaging.members import EventMember, ImageMember
from daxa.xray.imaging.mosaicking import make_mosaic, mosaic_grid, write_mosaic
from daxa.xray.imaging.resample import between_pixels, resample_exposure
from tests.xray.reallists import LISTS

BAND = {"xmm": (500, 2000), "chandra": (36, 137), "nustar": (35, 209)}


def member(events: EventList, pixel: float, *, flat: bool = True, **more) -> EventMember:
    cut = standard_cut(events, pi=BAND[events.format.mission])
    grid = grid_for(events, pixel, Cut(cut.rules, cut.gtis))
    seconds = np.full((grid.ny, grid.nx), 1000.0) if flat else exposure_map(events, cut, grid)[0]
    return EventMember(events, cut, grid, seconds, **more)


def moved(events: EventList, ra: float, dec: float) -> EventList:
    """The same list as of another observation, its field moved on the sky and its clock by years."""
    sky = replace(events.sky, crval=(events.sky.crval[0] + ra, events.sky.crval[1] + dec))
    rows = events.rows.copy()
    rows[events.rows.dtype.names[0]] += 1e8
    gtis = {chip: good + 1e8 for chip, good in events.gtis.items()}
    return replace(events, sky_grid=sky, rows=rows, gtis=gtis, obs_id="moved")


@pytest.fixture(scope="module")
def mos2(real_data) -> EventList:
    return open_events(real_data / LISTS["xmm-0404910601-m2"].path)


@pytest.mark.parametrize("name", ["xmm-0404910601-m2", "chandra-18461", "nustar-30101031002"])
def test_one_list_on_its_own_grid_is_its_image(real_data, name):
    events = open_events(real_data / LISTS[name].path)
    one = member(events, LISTS[name].pixel, flat=False)
    made = make_mosaic([one], one.header)
    assert made.counts.tobytes() == count_image(events, one.cut, one.grid).tobytes()
    assert made.exposure.tobytes() == one.exposure.tobytes()
    assert made.header["MOSM0001"].endswith(events.exposure)


def test_cameras_of_an_observation_and_an_image_as_given(real_data):
    """pn as SAS made it, without events; the MOS cameras from their lists, on the pixels of pn's image."""
    stem = real_data / "xmm/0404910601/images/0404910601_pn_exp1-0.50-2.00keV"
    header = fits.getheader(f"{stem}img.fits")
    header["NAXIS"] = 2
    pn = ImageMember(
        "xmm/PN/0404910601/S003",
        fits.getdata(f"{stem}img.fits"),
        fits.getdata(f"{stem}expmap.fits"),
        header,
        (0.5, 2.0),
        3.0,
    )
    lists = [open_events(real_data / LISTS[f"xmm-0404910601-{camera}"].path) for camera in ("m1", "m2")]
    grid = ImageGrid(3649, 3649, 87, 512, 512)
    cuts = [standard_cut(events, pi=(500, 2000)) for events in lists]
    maps = [exposure_map(events, cut, grid)[0] for events, cut in zip(lists, cuts, strict=True)]
    mos = [EventMember(events, cut, grid, seconds) for events, cut, seconds in zip(lists, cuts, maps, strict=True)]
    made = make_mosaic([pn, *mos], header)
    expected = pn.counts + sum(count_image(events, cut, grid) for events, cut in zip(lists, cuts, strict=True))
    assert (made.counts == expected).all()
    weighted = 3.0 * pn.exposure.astype(float) + maps[0] + maps[1]
    np.testing.assert_allclose(made.exposure, weighted, rtol=1e-6)
    assert made.header["MOSW0001"] == 3.0
    assert "MOSSEED" not in made.header
    seen = weighted > 0.02 * weighted.max()
    np.testing.assert_allclose(made.rate[seen], expected[seen] / weighted[seen], rtol=1e-5)


def test_two_missions_and_two_pointings_keep_every_count(real_data, mos2):
    """Lists moved next to each other; Chandra's band is that of XMM within a channel."""
    acis = open_events(real_data / LISTS["chandra-18461"].path)
    away = mos2.sky.crval[0] - acis.sky.crval[0] + 0.1, mos2.sky.crval[1] - acis.sky.crval[1] + 0.05
    members = [member(mos2, 4.35), member(moved(mos2, 0.2, 0.1), 4.35), member(moved(acis, *away), 3.936)]
    target = mosaic_grid(members, 5.0)
    made = make_mosaic(members, target)
    inputs = [select(one.events, one.cut, one.events.rows, sky=True).sum() for one in members]
    assert made.counts.sum() == sum(inputs)
    single = [make_mosaic([one], target).counts for one in members]
    assert [one.sum() for one in single] == inputs
    assert (made.counts == sum(single)).all()
    area = 25.0
    for one in members:
        own = one.exposure.sum() * (one.grid.bin * one.events.sky.pixel_arcsec) ** 2
        alone = resample_exposure(one.exposure, one.header, target).sum() * area
        # The tangential plane stretches by 1 / cos^3 of the distance: less than 1e-4 within half a degree.
        assert alone == pytest.approx(own, rel=5e-4)


def test_events_land_where_astropy_puts_them(mos2):
    one = member(moved(mos2, 1.0, -0.5), 4.35)
    target = mosaic_grid([one], 3.0)
    made = make_mosaic([one], target)
    rows = one.events.rows[select(one.events, one.cut, one.events.rows, sky=True)]
    source = WCS(naxis=2)
    source.wcs.ctype, source.wcs.crpix, source.wcs.crval = (
        one.events.sky.ctype,
        one.events.sky.crpix,
        one.events.sky.crval,
    )
    source.wcs.cdelt = one.events.sky.cdelt
    x, y = WCS(target).world_to_pixel(source.pixel_to_world(rows["X"] - 1.0, rows["Y"] - 1.0))
    expected = np.zeros_like(made.counts)
    np.add.at(expected, (np.floor(y + 0.5).astype(int), np.floor(x + 0.5).astype(int)), 1)
    assert (made.counts == expected).all()


def tiles(events: EventList) -> list[EventList]:
    """Overlapping parts of a list, as sky tiles hold them: many events are in two."""
    x = events.column("X")
    low, high = np.quantile(x, (0.35, 0.65))
    return [
        replace(events, rows=events.rows[keep].copy(), obs_id=name) for keep, name in ((x < high, "a"), (x >= low, "b"))
    ]


def test_what_is_in_two_tiles_counts_once(mos2):
    whole = member(mos2, 4.35, flat=False)
    x = whole.grid.x0 + np.arange(whole.grid.nx) * whole.grid.bin
    parts = tiles(mos2)
    edges = [one.column("X") for one in parts]
    masks = (x <= edges[0].max() + whole.grid.bin, x >= edges[1].min() - whole.grid.bin)
    members = [
        EventMember(one, whole.cut, whole.grid, np.where(mask[None, :], whole.exposure, 0), shared="survey")
        for one, mask in zip(parts, masks, strict=True)
    ]
    made = make_mosaic(members, whole.header)
    alone = make_mosaic([whole], whole.header)
    assert made.counts.tobytes() == alone.counts.tobytes()
    assert made.exposure.tobytes() == alone.exposure.tobytes()
    twice = sum(len(one.rows) for one in parts) - len(mos2.rows)
    assert 0.2 * len(mos2.rows) < twice
    assert 0 < made.header["MOSDUP"] <= twice
    # In any order, and when a tile comes twice.
    for order in (members[::-1], [*members, members[0]]):
        assert make_mosaic(order, whole.header).counts.tobytes() == alone.counts.tobytes()


def test_events_that_count_twice_are_refused(mos2):
    parts = [member(one, 4.35) for one in tiles(mos2)]
    with pytest.raises(DataError, match="same events"):
        make_mosaic(parts, parts[0].header)
    with pytest.raises(DataError, match="same events"):
        make_mosaic([replace(parts[0], shared="survey"), parts[1]], parts[0].header)
    # The other camera looked at the same time, but saw other photons.
    other = replace(mos2, format=replace(mos2.format, instrument="M1"))
    assert make_mosaic([parts[0], member(other, 4.35)], parts[0].header).counts.sum() > 0


def tangent(nx: int, ny: int, ra: float, dec: float) -> dict[str, object]:
    axes = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra, "CRVAL2": dec}
    return {"NAXIS": 2, "NAXIS1": nx, "NAXIS2": ny, **axes}


@pytest.mark.parametrize("projection", ["TAN", "SIN"])
@pytest.mark.parametrize("place", [(30.0, 60.0), (359.9, -89.5), (0.0, 0.0), (200.0, 12.0)])
def test_pixels_of_another_plane_are_those_of_astropy(place, projection):
    """TAN to TAN is one matrix; another projection goes by way of the sky: the same numbers."""
    one = WCS(naxis=2)
    one.wcs.ctype = [f"RA---{projection}", f"DEC--{projection}"]
    one.wcs.crval, one.wcs.cdelt, one.wcs.crpix = place, (-1 / 72000, 1 / 72000), (25921, 25921)
    header = fits.Header(tangent(500, 500, place[0] + 0.7, min(max(place[1] + 0.4, -90), 90)))
    header.update({"CRPIX1": 10.5, "CRPIX2": -20.0, "CD1_1": -4e-4, "CD1_2": 2e-4, "CD2_1": 2e-4, "CD2_2": 4e-4})
    other = WCS(header)
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0, 51840, (2, 500))
    expected = other.wcs_world2pix(*one.wcs_pix2world(x, y, 1), 1)
    np.testing.assert_allclose(between_pixels(one, other)(x, y), expected, atol=1e-6)
    behind = WCS(fits.Header(tangent(5, 5, place[0] + 180, -place[1]) | {"CDELT1": -0.1, "CDELT2": 0.1}))
    assert np.isnan(between_pixels(one, behind)(x, y)).all()


@pytest.mark.parametrize("angle", [0.0, 31.0])
@pytest.mark.parametrize("pixel", [1.5, 4.0, 11.0])
def test_exposure_is_conserved(angle, pixel):
    rng = np.random.default_rng(5)
    seconds = np.kron(rng.uniform(100, 1000, (12, 10)), np.ones((16, 20)))
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    turned = {"CD1_1": -cosine, "CD1_2": sine, "CD2_1": sine, "CD2_2": cosine}
    source = tangent(200, 192, 30.0, 60.0) | {"CRPIX1": 90.3, "CRPIX2": 99.1}
    source = fits.Header(source | {key: value / 900 for key, value in turned.items()})
    n = int(1400 / pixel)
    scale = pixel / 3600
    target = fits.Header(
        tangent(n, n, 30.02, 60.0) | {"CRPIX1": n / 2, "CRPIX2": n / 2, "CDELT1": -scale, "CDELT2": scale}
    )
    made = resample_exposure(seconds, source, target)
    assert made.sum() * pixel**2 == pytest.approx(seconds.sum() * 16, rel=2e-3)
    assert made.max() <= seconds.max()
    # Where nothing changes nearby, the value is that of the map.
    x, y = WCS(source).world_to_pixel(WCS(target).pixel_to_world(n // 2, n // 2))
    inside = seconds[int(y + 0.5), int(x + 0.5)]
    assert (
        inside == pytest.approx(made[n // 2, n // 2])
        or 0 < abs((x + 0.5) % 20 - 10) > 10 - pixel
        or abs((y + 0.5) % 16 - 8) > 8 - pixel
    )
    flat = resample_exposure(np.full(seconds.shape, 7.0), source, target)
    assert set(np.round(flat[flat >= 7.0], 9)) == {7.0}


def test_counts_of_an_image_on_other_pixels_are_kept(real_data):
    stem = real_data / "xmm/0404910601/images/0404910601_pn_exp1-0.50-2.00keV"
    header = fits.getheader(f"{stem}img.fits")
    header["NAXIS"] = 2
    pn = ImageMember("pn", fits.getdata(f"{stem}img.fits"), fits.getdata(f"{stem}expmap.fits"), header, (0.5, 2.0))
    target = mosaic_grid([pn], 6.0)
    made, again, other = (make_mosaic([pn], target, seed=seed) for seed in (1, 1, 2))
    assert made.counts.sum() == other.counts.sum() == pn.counts.sum()
    assert made.counts.tobytes() == again.counts.tobytes() != other.counts.tobytes()
    assert made.header["MOSSEED"] == 1
    # Light stays where it was: the mean position moves by less than its error.
    y, x = np.indices(pn.counts.shape)
    there = WCS(target).world_to_pixel(
        header_wcs(header).pixel_to_world(*[(one * pn.counts).sum() / pn.counts.sum() for one in (x, y)])
    )
    row, column = np.indices(made.counts.shape)
    here = [(one * made.counts).sum() / made.counts.sum() for one in (column, row)]
    np.testing.assert_allclose(here, there, atol=0.05)


@pytest.mark.parametrize("value", [0.5, -1.0, np.nan])
def test_an_image_of_no_counts_is_refused(value):
    header = fits.Header(
        {
            "NAXIS": 2,
            "NAXIS1": 3,
            "NAXIS2": 2,
            "CTYPE1": "RA---TAN",
            "CTYPE2": "DEC--TAN",
            "CDELT1": -1e-3,
            "CDELT2": 1e-3,
        }
    )
    one = ImageMember("rates", np.full((2, 3), value), np.ones((2, 3)), header, (0.5, 2.0))
    with pytest.raises(DataError, match="counts"):
        make_mosaic([one], header)


def test_members_that_do_not_fit_are_refused(mos2):
    one = member(mos2, 8.7)
    with pytest.raises(DataError, match="different bands"):
        make_mosaic([one, replace(one, cut=Cut(one.cut.rules, one.cut.gtis, (2001, 10000)))], one.header)
    with pytest.raises(DataError, match="no channels"):
        make_mosaic([replace(one, cut=Cut(one.cut.rules, one.cut.gtis))], one.header)
    with pytest.raises(DataError, match="not on its grid"):
        make_mosaic([replace(one, exposure=one.exposure[1:])], one.header)
    with pytest.raises(NotPossible, match="degrees apart"):
        mosaic_grid([one, member(moved(mos2, 20.0, 0.0), 8.7)], 8.0)
    with pytest.raises(NotPossible, match="a mosaic would have"):
        mosaic_grid([one, member(moved(mos2, 5.0, 0.0), 8.7)], 0.2)


def test_old_frames_are_brought_to_icrs(mos2):
    one = member(mos2, 8.7)
    old = replace(mos2, sky_grid=replace(mos2.sky, frame="FK4", equinox=1950.0))
    target = mosaic_grid([one], 8.7)
    target["CRPIX1"], target["NAXIS1"] = target["CRPIX1"] + 300, target["NAXIS1"] + 600
    target["CRPIX2"], target["NAXIS2"] = target["CRPIX2"] + 300, target["NAXIS2"] + 600
    made, precessed = (make_mosaic([member(events, 8.7)], target).counts for events in (mos2, old))
    rows, columns = np.indices(made.shape)
    moved_by = [(one * precessed).sum() / precessed.sum() - (one * made).sum() / made.sum() for one in (columns, rows)]
    # Fifty years of precession at 10 h, -11 deg: 0.62 deg in right ascension, 0.24 deg south.
    assert np.hypot(*moved_by) * 8.7 / 3600 == pytest.approx(0.67, abs=0.03)


def test_written_mosaics_conform_and_are_the_same_bytes(mos2, tmp_path):
    members = [member(mos2, 8.7), member(moved(mos2, 0.3, 0.0), 8.7, weight=2.0)]
    target = mosaic_grid(members, 8.0)
    paths = [[tmp_path / f"{name}{run}.fits" for name in ("image", "expmap", "ratemap")] for run in (1, 2)]
    for three in paths:
        write_mosaic(make_mosaic(members, target), *three)
    for one, two in zip(*paths, strict=True):
        assert one.read_bytes() == two.read_bytes()
        if shutil.which("fitsverify"):
            found = subprocess.run(["fitsverify", "-q", one], capture_output=True, text=True, check=False)
            assert "verification OK" in found.stdout, found.stdout
    with fits.open(paths[0][0]) as units:
        assert units[0].header["BUNIT"] == "count"
        assert units[0].header["MOSW0002"] == 2.0
        assert units[0].data.sum() == sum(
            select(one.events, one.cut, one.events.rows, sky=True).sum() for one in members
        )
