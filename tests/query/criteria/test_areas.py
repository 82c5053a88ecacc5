"""Boxes, DS9 regions and coverage maps against astropy and mocpy."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from mocpy import MOC

from daxa.errors import CriteriaError
from daxa.query.criteria.areas import in_moc, in_region, read_moc, read_region
from daxa.query.criteria.conditions import read_exposure, write_exposure
from daxa.query.criteria.sky_conditions import read_box

RNG = np.random.default_rng(11)
RA, DEC = RNG.uniform(0, 360, 4000), np.degrees(np.arcsin(RNG.uniform(-1, 1, 4000)))


def around(ra, dec, degrees, count=2000):
    centre = SkyCoord(ra, dec, unit="deg")
    near = centre.directional_offset_by(
        RNG.uniform(0, 360, count) * u.deg, degrees * np.sqrt(RNG.uniform(0, 1, count)) * u.deg
    )
    return near.ra.deg, near.dec.deg


@pytest.mark.parametrize("centre", [(0.0, 0.0), (359.99, 30.0), (10.0, 90.0), (200.0, -89.9)])
def test_circles_and_annuli_are_exact_everywhere(centre):
    ra, dec = around(*centre, 2.0)
    apart = SkyCoord(ra, dec, unit="deg").separation(SkyCoord(*centre, unit="deg")).deg
    region = read_region(f"# Region file format: DS9\nicrs\ncircle({centre[0]},{centre[1]},1.0)\n")
    assert (in_region(region, ra, dec) == (apart <= 1)).all()
    region = read_region(f"icrs; annulus({centre[0]},{centre[1]},0.5,1.5)")
    assert (in_region(region, ra, dec) == ((apart >= 0.5) & (apart <= 1.5))).all()


@pytest.mark.parametrize("centre", [(0.0, 0.0), (120.0, 60.0), (10.0, 89.5)])
def test_polygons_have_great_circles_as_sides(centre):
    middle = SkyCoord(*centre, unit="deg")
    corners = middle.directional_offset_by([10, 100, 170, 290] * u.deg, [1.0, 1.5, 0.8, 1.2] * u.deg).icrs
    text = ",".join(f"{corner.ra.deg:.12f},{corner.dec.deg:.12f}" for corner in corners)
    ra, dec = around(*centre, 2.0)
    points = SkyCoord(ra, dec, unit="deg").cartesian.xyz.value.T
    edges = corners.cartesian.xyz.value.T
    sides = np.array([points @ np.cross(edges[i], edges[(i + 1) % 4]) for i in range(4)])
    wanted = (sides > 0).all(axis=0) | (sides < 0).all(axis=0)
    found = in_region(read_region(f"icrs; polygon({text})"), ra, dec)
    assert wanted.any()
    assert (found == wanted)[np.abs(sides).min(axis=0) > 1e-7].all()


def test_boxes_and_ellipses_turn_as_in_ds9():
    ra, dec = np.array([10.0, 10.0, 10.4, 9.6]), np.array([0.4, -0.4, 0.0, 0.0])
    assert in_region("icrs; box(10,0,1.0,0.2,0)", ra, dec).tolist() == [False, False, True, True]
    assert in_region("icrs; box(10,0,1.0,0.2,90)", ra, dec).tolist() == [True, True, False, False]
    assert in_region("icrs; ellipse(10,0,0.5,0.1,0)", ra, dec).tolist() == [False, False, True, True]
    # An angle of 45 degrees turns the first axis from west-east towards north-west.
    assert in_region("icrs; ellipse(10,0,0.5,0.1,45)", np.array([9.7, 10.3]), np.array([0.3, 0.3])).sum() == 1


def test_excluded_shapes_are_cut_out_and_other_frames_are_known():
    ra, dec = around(10, 20, 1.0)
    whole, hole = (in_region(f"icrs; circle(10,20,{size})", ra, dec) for size in (0.8, 0.3))
    assert (in_region("icrs\ncircle(10,20,0.8)\n-circle(10,20,0.3)", ra, dec) == (whole & ~hole)).all()
    assert (in_region("icrs; -circle(10,20,0.3)", ra, dec) == ~hole).all()
    centre = SkyCoord(10, 20, unit="deg").galactic
    assert (
        in_region(f"galactic; circle({centre.l.deg:.12f},{centre.b.deg:.12f},0.8)", ra, dec) == whole
    ).mean() > 0.999
    inside = in_region(f"galactic; box({centre.l.deg:.12f},{centre.b.deg:.12f},1,0.5,0)", ra, dec)
    offsets = SkyCoord(ra, dec, unit="deg").galactic.transform_to(centre.skyoffset_frame())
    wanted = (np.abs(offsets.lon.deg) < 0.5) & (np.abs(offsets.lat.deg) < 0.25)
    assert (inside == wanted).mean() > 0.998


@pytest.mark.parametrize(
    "text",
    [
        "hello (world)", "", "()", "physical; circle(1,2,3)", "circle(100,100,5)", "icrs; circle(10,20)",
        "icrs; circle(a,b,c)", "icrs; circle(10,95,1)", "icrs; circle(10,nan,1)", "icrs; circle(10,20,0)",
        "icrs; point(10,20)", "icrs; polygon(1,2,3)", "icrs; polygon(1,2,3,4)", "galactic; panda(1,2,3,4)",
        "icrs; box(10,20,40,1,0)", "icrs; polygon(0,0,120,0,240,0)", "icrs; circle(10,20,1)\nicrs; panda(1,2,3,4)",
    ],
)  # fmt: skip
def test_regions_that_cannot_be_used_are_refused(text):
    with pytest.raises(CriteriaError) as caught:
        read_region(text, files=False)
    assert caught.value.code == "criteria.region"


def test_regions_and_mocs_are_read_from_files(tmp_path):
    (tmp_path / "a.reg").write_text("# comment\nfk5\r\n\ncircle(10,20,1')\n")
    assert read_region(tmp_path / "a.reg") == read_region(str(tmp_path / "a.reg")) == "fk5\ncircle(10,20,1')"
    with pytest.raises(CriteriaError, match=r"absent\.reg"):
        read_region(tmp_path / "absent.reg")
    moc = MOC.from_string("3/1-4 5/9999")
    for name, form in (("m.fits", "fits"), ("m.json", "json"), ("m.txt", "ascii")):
        moc.save(tmp_path / name, format=form)
        assert read_moc(tmp_path / name) == read_moc(str(tmp_path / name)) == read_moc(moc) == "3/1-4 5/9999"
    (tmp_path / "bad.fits").write_text("<html>")
    with pytest.raises(CriteriaError):
        read_moc(tmp_path / "bad.fits")


@pytest.mark.parametrize("text", ["garbage", "", "3/999999", "3/NaN", "5/", "99/1"])
def test_mocs_that_cannot_be_used_are_refused(text):
    with pytest.raises(CriteriaError) as caught:
        read_moc(text, files=False)
    assert caught.value.code == "criteria.moc"


def test_a_moc_holds_what_its_cone_holds():
    moc = MOC.from_cone(lon=0 * u.deg, lat=89 * u.deg, radius=5 * u.deg, max_depth=10)
    found = in_moc(read_moc(moc), RA, DEC)
    apart = SkyCoord(RA, DEC, unit="deg").separation(SkyCoord(0, 89, unit="deg")).deg
    assert found[apart < 4.9].all()
    assert not found[apart > 5.2].any()
    assert found.any()


@pytest.mark.parametrize(
    "box",
    [
        {}, [1, 2], {"ra": [1, 2], "size": 3}, {"ra": [1]}, {"ra": [1, 1]}, {"ra": [0, 400]}, {"ra": ["1", "2"]},
        {"dec": [5, -5]}, {"dec": [0, 91]}, {"dec": [0, float("nan")]}, {"ra": [360, 0]},
    ],
)  # fmt: skip
def test_boxes_that_cannot_be_used_are_refused(box):
    with pytest.raises(CriteriaError) as caught:
        read_box(box)
    assert caught.value.code == "criteria.box"


def test_exposures_need_a_unit():
    assert (
        read_exposure("5 ks")
        == read_exposure("5ks")
        == read_exposure(5 * u.ks)
        == read_exposure(write_exposure(5000.0))
        == 5000
    )
    for bad in ("5", 5, "1.2.3 s", "-1 s", "nan s", "inf s", "5 apples", 5 * u.m):
        with pytest.raises(CriteriaError):
            read_exposure(bad)
