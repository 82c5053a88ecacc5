"""Regions of DS9 on images: what signs mean, in which coordinates, and how far away."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import FK4, FK5, BarycentricMeanEcliptic, Galactic, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from daxa.errors import DataError, NotPossible
from daxa.xray.eventlists.frames import to_icrs
from daxa.xray.eventlists.regions import parse_regions, read_regions, region_mask

HERE = SkyCoord(150.0, 2.0, unit="deg")
SIDE = 200


def plane(frame=None, kinds=("RA---TAN", "DEC--TAN"), **words) -> WCS:
    """World coordinates of an image of 4 arcsec pixels about `HERE` in some frame."""
    there = HERE.transform_to(frame) if frame is not None else HERE
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crpix, wcs.wcs.cdelt = kinds, (100.5, 100.5), (-4 / 3600, 4 / 3600)
    wcs.wcs.crval = there.spherical.lon.deg, there.spherical.lat.deg
    for name, value in words.items():
        setattr(wcs.wcs, name, value)
    wcs.wcs.set()
    return wcs


PLANES = {
    "ICRS": plane(),
    "FK5": plane(FK5(equinox="J1991.25"), radesys="FK5", equinox=1991.25),
    "FK4": plane(FK4(equinox="B1950"), radesys="FK4", equinox=1950.0),
    "galactic": plane(Galactic(), ("GLON-TAN", "GLAT-TAN")),
    "ecliptic": plane(BarycentricMeanEcliptic(equinox="J2000"), ("ELON-TAN", "ELAT-TAN"), equinox=2000.0),
}


FRAMES = {
    "fk4": FK4(equinox="B1950"),
    "galactic": Galactic(),
    "fk5": FK5(),
    "ecliptic": BarycentricMeanEcliptic(equinox="J2000"),
}


def text_in(frame: str, place: SkyCoord) -> str:
    there = place.transform_to(FRAMES.get(frame, "icrs"))
    return f'{frame}\ncircle({there.spherical.lon.deg},{there.spherical.lat.deg},60")'


def mask_of(text: str, wcs: WCS | None = None, **words) -> np.ndarray:
    return region_mask(parse_regions(text, "a.reg"), (SIDE, SIDE), wcs or PLANES["ICRS"], **words)


@pytest.mark.parametrize("image", PLANES)
@pytest.mark.parametrize("frame", ["icrs", "fk5", "fk4", "galactic", "ecliptic"])
def test_a_circle_lies_where_it_lies_in_every_frame(image, frame):
    wcs, place = PLANES[image], SkyCoord(150.05, 1.98, unit="deg")
    mask = mask_of(text_in(frame, place), wcs)
    iy, ix = np.nonzero(mask)
    pixels = SkyCoord(*to_icrs(wcs, ix, iy), unit="deg")
    assert pixels.separation(place).arcsec.max() < 61
    assert mask.sum() == pytest.approx(np.pi * 15**2, abs=12)
    middle = SkyCoord(*to_icrs(wcs, ix.mean(), iy.mean()), unit="deg")
    assert middle.separation(place).arcsec < 0.5


@pytest.mark.parametrize("image", PLANES)
def test_turned_shapes_keep_their_angle_in_every_frame(image):
    wcs = PLANES[image]
    iy, ix = np.nonzero(mask_of('icrs\nellipse(150,2,200",40",30)', wcs))
    place = SkyCoord(*to_icrs(wcs, ix, iy), unit="deg")
    east, north = (one.arcsec for one in HERE.spherical_offsets_to(place))
    # DS9 turns from the west, which is x where north is up, to the north.
    along = -east * np.cos(np.pi / 6) + north * np.sin(np.pi / 6)
    across = east * np.sin(np.pi / 6) + north * np.cos(np.pi / 6)
    assert np.abs(along).max() == pytest.approx(200, abs=4)
    assert np.abs(across).max() == pytest.approx(40, abs=3)


RING = 'icrs\nannulus(150,2,100",200")'


@pytest.mark.parametrize(
    "text",
    [
        'icrs\ncircle(150,2,200")\n-circle(150,2,100")',
        'icrs\n-circle(150,2,100")\ncircle(150,2,200")',
        'icrs\ncircle(150,2,200")\n - circle(150,2,100")',
        'icrs; -circle 150 2 100" ; +circle 150 2 200" # text={a;b}',
        'global color=green include=1\nfk5\n-circle(150,2,100") # color=red\ncircle(150,2,200")',
    ],
)
def test_what_follows_a_minus_is_taken_away_wherever_it_is(text):
    assert (mask_of(text) ^ mask_of(RING)).sum() <= 40


def test_shapes_after_a_minus_alone_leave_the_field_but_them():
    assert np.array_equal(mask_of('icrs\n-circle(150,2,100")'), ~mask_of('icrs\ncircle(150,2,100")'))


FAR = ['circle({},60")', 'ellipse({},60",30",20)', 'box({},60",30",20)', 'annulus({},10",60")']


@pytest.mark.parametrize("place", ["330,-2", "240,0", "150,-88", "60,1", "150,4", "330,88"])
@pytest.mark.parametrize("image", PLANES)
def test_what_lies_far_away_selects_nothing(image, place):
    ra, dec = place.split(",")
    polygon = f"polygon({ra},{dec},{ra}.1,{dec},{ra}.1,{dec}.1)"
    for shape in (*(one.format(place) for one in FAR), polygon):
        assert not mask_of(f"fk5\n{shape}", PLANES[image]).any()


def test_circles_of_any_size_are_right_and_other_giants_are_refused():
    assert mask_of("icrs\ncircle(270,2,130)").all()
    assert not mask_of("icrs\ncircle(270,2,110)").any()
    assert mask_of("icrs\nannulus(270,2,110,125)").all()
    # Its edge goes through the image.
    share = mask_of("icrs\ncircle(270,2,119.92)").mean()
    assert 0.1 < share < 0.9
    with pytest.raises(NotPossible, match="large"):
        mask_of("icrs\nbox(270,2,260,200,0)")


@pytest.mark.parametrize("degrees", [1, 5, 20, 60])
def test_circles_as_large_as_the_sky_keep_their_radius(degrees):
    """Their rim crosses the image, whose plane has another scale where their middle is."""
    middle = HERE.directional_offset_by(40 * u.deg, degrees * u.deg)
    apart = SkyCoord(*to_icrs(PLANES["ICRS"], *np.indices((SIDE, SIDE))[::-1]), unit="deg").separation(middle).deg
    place = f"icrs\n{{}}({middle.ra.deg:.9f},{middle.dec.deg:.9f},"
    assert np.array_equal(mask_of(f"{place.format('circle')}{degrees}d)"), apart < degrees)
    ring = mask_of(f"{place.format('annulus')}{degrees - 0.05}d,{degrees + 0.05}d)")
    assert np.array_equal(ring, np.abs(apart - degrees) < 0.05)


UNEVEN = {
    "oblong pixels": plane(cdelt=(-8 / 3600, 4 / 3600)),
    "skew": plane(pc=((1.0, -0.4), (0.0, 1.0))),
    "high latitude": plane(kinds=("RA---CAR", "DEC--CAR"), crval=(150.0, 0.0), crpix=(100.5, 100.5 - 60 * 900)),
    "far from the reference": plane(crval=(150.0, -28.0), crpix=(100.5, 100.5 - 29772)),
    "mirrored": plane(cdelt=(4 / 3600, 4 / 3600)),
    "latitude first": plane(kinds=("DEC--TAN", "RA---TAN"), crval=(2.0, 150.0), cdelt=(4 / 3600, -4 / 3600)),
}


@pytest.mark.parametrize("image", UNEVEN)
def test_shapes_are_those_of_the_sky_where_the_plane_is_uneven(image):
    wcs = UNEVEN[image]
    ra, dec = to_icrs(wcs, 100.0, 100.0)
    middle = SkyCoord(ra, dec, unit="deg")
    here = SkyCoord(*to_icrs(wcs, *np.indices((SIDE, SIDE))[::-1]), unit="deg")
    east, north = (one.arcsec for one in middle.spherical_offsets_to(here))
    along, across = -east * np.cos(0.5) + north * np.sin(0.5), east * np.sin(0.5) + north * np.cos(0.5)
    place = f"{middle.ra.deg:.9f},{middle.dec.deg:.9f}"
    turned = np.degrees(0.5)
    for text, expected in (
        (f'circle({place},121")', middle.separation(here).arcsec < 121),
        (f'box({place},242",82",{turned})', (np.abs(along) < 121) & (np.abs(across) < 41)),
        (f'ellipse({place},121",41",{turned})', (along / 121) ** 2 + (across / 41) ** 2 < 1),
    ):
        found = mask_of(f"icrs\n{text}", wcs)
        assert np.count_nonzero(found != expected) <= 0.01 * expected.sum(), text


OF_CIAO = {"CRPIX1P": 0.5, "CRVAL1P": 4002.0, "CDELT1P": 4.0, "CRPIX2P": 0.5, "CRVAL2P": 3602.0, "CDELT2P": 4.0}


@pytest.mark.parametrize(
    "cards",
    [
        {"LTM1_1": 0.25, "LTM2_2": 0.25, "LTV1": -1000.0, "LTV2": -900.0},
        OF_CIAO,
        {"WCSNAMEL": "PHYSICAL", **{f"{key[:-1]}L": value for key, value in OF_CIAO.items()}},
    ],
)
def test_physical_pixels_are_those_of_the_events(cards):
    header = fits.Header(cards)
    physical = mask_of(
        "physical\ncircle(4400,4000,80)\nbox(4200,3800,40,80,0)\npolygon(4100,3700,4200,3700,4200,3800)", header=header
    )
    image = mask_of("image\ncircle(100,100,20)\nbox(50,50,10,20,0)\npolygon(25,25,50,25,50,50)")
    assert image.any()
    assert np.array_equal(physical, image)
    with pytest.raises(NotPossible, match="LTM1_1"):
        mask_of("physical\ncircle(4400,4000,80)")


def test_shapes_without_area_are_passed_over_with_a_word():
    said: list[str] = []
    text = (
        'fk5\ncircle(150,2,60")\nline(150,2,150.1,2.1)\npoint(150,2)\n'
        '# text(150,2) text={circle(1,2,3)}\n# vector(150,2,9",0)'
    )
    regions = parse_regions(text, "a.reg", say=said.append)
    assert len(regions) == 1
    assert [word for word in ("line", "point", "text", "vector") if word in " ".join(said)] == [
        "line", "point", "text", "vector"
    ]  # fmt: skip
    with pytest.warns(UserWarning, match="line"):
        assert not mask_of("fk5\nline(150,2,150.1,2.1)").any()


@pytest.mark.parametrize(
    "text",
    [
        'fk5\npanda(150,2,0,90,1,0",60",1)',
        "# panda(150,2,0,90,1,0,60,1)",
        'fk5\n# composite(150,2,0) || composite=1\ncircle(150,2,60") ||\ncircle(150,2.1,60")',
        'fk5\ncircle(150,2,60") && circle(150,2.1,60")',
        "linear\ncircle(150,2,3)",
        "circle(150,2,3)",
        "fk5\ncircle(150,2,20i)",
        "fk5\ncircle(150,2,",
        "fk5\ncircel(150,2,3)",
        'fk5\n!circle(150,2,60")',
        'fk5\ncircle(150,2,60",5)',
        "physical\ncircle(88i,132i,20i)",
        'fk5\ncircle(nan,2,60")',
        "image\nbox(20,20,nan,3,0)",
        "fk5\npolygon(150,2,150.1,2)",
        'global color=green include=0\nfk5\ncircle(150,2,60")',
    ],
)
def test_what_is_not_understood_is_refused_by_name(text):
    with pytest.raises(DataError, match=r"a\.reg"):
        parse_regions(text, "a.reg")


def test_shapes_at_the_pole_and_over_the_first_meridian():
    """Areas of what a plane about the pole, or about right ascension 0, shows whole; pixels of 7.2 arcsec."""
    plane = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -0.002, "CDELT2": 0.002})
    plane.update({"CRPIX1": 100.0, "CRPIX2": 100.0, "CRVAL1": 10.0, "CRVAL2": 90.0, "RADESYS": "ICRS"})
    squares = {
        'fk5\ncircle(250,90,60")': (90.0, np.pi * (60 / 7.2) ** 2),
        "fk5\npolygon(0,89.95,90,89.95,180,89.95,270,89.95)": (90.0, 2 * 25.0**2),
        "fk5\npolygon(359.9,-30.05,0.1,-30.05,0.1,-29.95,359.9,-29.95)": (-30.0, 100 * np.cos(np.pi / 6) * 50),
        'icrs\ncircle(0,-30,100")\n-circle(0,-30,50")\ncircle(0,-30,20")': (-30.0, np.pi * 7500 / 7.2**2),
    }
    for text, (dec, area) in squares.items():
        plane.update({"CRVAL1": 10.0 if dec > 0 else 0.0, "CRVAL2": dec})
        mask = region_mask(parse_regions(text, "a.reg"), (200, 200), WCS(plane))
        assert mask.sum() == pytest.approx(area, rel=0.02)
        assert np.mean(np.nonzero(mask), axis=1) == pytest.approx([99.0, 99.0], abs=0.6)


def test_real_files_are_read_and_fall_on_their_field(real_data):
    paths = sorted(real_data.glob("*/regions/*.reg"))
    assert paths
    for path in paths[::3]:
        regions = read_regions(path, say=lambda _: None)
        first = regions[0]
        wcs, shape = plane(), (700, 700)
        if hasattr(first.center, "icrs"):
            shape = (SIDE, SIDE)
            wcs.wcs.crval = first.center.icrs.ra.deg, first.center.icrs.dec.deg
        mask = region_mask(regions, shape, wcs)
        middle = (99, 99) if shape[0] == SIDE else (round(first.center.y), round(first.center.x))
        assert mask[middle]
        assert mask.mean() < 0.5
