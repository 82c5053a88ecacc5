"""One sky under headers of several frames: every consumer of positions gives what the J2000 twin gives."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import FK4, FK5, BarycentricMeanEcliptic, SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from regions import Regions

from daxa.errors import DataError
from daxa.xray import coverage_at, find_sources, make_mosaic, mosaic_grid, write_sources
from daxa.xray.detection.psf import gaussian_psf
from daxa.xray.eventlists.frames import frame_of, to_icrs, to_pixels
from daxa.xray.eventlists.regions import parse_regions, region_mask
from daxa.xray.eventlists.sky_grid import header_wcs
from daxa.xray.imaging.exposed_field import Field
from daxa.xray.imaging.members import ImageMember, sized
from daxa.xray.imaging.pairing import same_grid
from daxa.xray.imaging.positions import cover_fields
from daxa.xray.imaging.skymaps import coverage_moc, healpix_map

SIDE = 120
HERE = SkyCoord(148.9, -1.9, unit="deg")
FRAMES = {
    "FK5": (FK5(equinox="J2000"), {"RADESYS": "FK5", "EQUINOX": 2000.0}),
    "ICRS": ("icrs", {"RADESYS": "ICRS"}),
    "FK4": (FK4(equinox="B1950"), {"RADESYS": "FK4", "EQUINOX": 1950.0}),
    "equinox alone": (FK4(equinox="B1950"), {"EQUINOX": 1950.0}),
    "epoch alone": (FK4(equinox="B1950"), {"EPOCH": 1950.0}),
    "FK5 of 1975": (FK5(equinox="J1975"), {"RADESYS": "FK5", "EQUINOX": 1975.0}),
    "galactic": ("galactic", {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"}),
    "ecliptic": (BarycentricMeanEcliptic(equinox="J2000"), {"CTYPE1": "ELON-TAN", "CTYPE2": "ELAT-TAN"}),
    "ecliptic of 1950": (
        BarycentricMeanEcliptic(equinox="J1950"),
        {"CTYPE1": "ELON-TAN", "CTYPE2": "ELAT-TAN", "RADESYS": "FK5", "EQUINOX": 1950.0},
    ),
    "latitude first": (
        "icrs",
        {
            "CTYPE1": "DEC--TAN",
            "CRVAL1": -1.9,
            "CDELT1": 4 / 3600,
            "PC1_1": 0.0,
            "PC1_2": 1.0,
            "CTYPE2": "RA---TAN",
            "CRVAL2": 148.9,
            "CDELT2": -4 / 3600,
            "PC2_1": 1.0,
            "PC2_2": 0.0,
        },
    ),
}
TURNED = ("galactic", "ecliptic")
"""Frames whose axes lie across those of J2000."""


def header_in(name: str) -> fits.Header:
    """Pixels that lie where those of the J2000 header lie; the axes of other frames are turned to that."""
    frame, cards = FRAMES[name]
    middle = HERE.transform_to(frame)
    north = HERE.directional_offset_by(0 * units.deg, 1 * units.arcmin).transform_to(frame)
    angle = middle.position_angle(north).rad if name.startswith(TURNED) else 0.0
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg"})
    header.update({"CRPIX1": 60.5, "CRPIX2": 60.5, "CDELT1": -4 / 3600, "CDELT2": 4 / 3600})
    header.update({"CRVAL1": middle.spherical.lon.deg, "CRVAL2": middle.spherical.lat.deg, **cards})
    if angle:
        header.update({"PC1_1": np.cos(angle), "PC1_2": -np.sin(angle)})
        header.update({"PC2_1": np.sin(angle), "PC2_2": np.cos(angle)})
    return sized(header, SIDE, SIDE)


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    image = np.random.default_rng(7).poisson(0.05, (SIDE, SIDE)).astype(np.int32)
    for x, y, number in ((30, 90, 40), (60, 60, 70), (90, 20, 55)):
        image[y - 1 : y + 2, x - 1 : x + 2] += number // 9
    return image


@pytest.mark.parametrize("name", FRAMES)
def test_pixels_are_those_of_astropy(name):
    wcs = WCS(header_in(name))
    x, y = np.array([3.0, 60.0, 110.0]), np.array([100.0, 59.5, 4.0])
    # FITS means the mean ecliptic (4.0, section 8.3), astropy's own way from pixels the true one, 17 arcsec away.
    lon, lat = wcs.wcs_pix2world(x, y, 0)
    sky = SkyCoord(lon, lat, unit="deg", frame=FRAMES[name][0]).icrs if name.startswith("ecl") else None
    sky = wcs.pixel_to_world(x, y).icrs if sky is None else sky
    ra, dec = to_icrs(wcs, x, y)
    # FK5 of 2000 is taken as ICRS: 0.02 arcsec.
    assert SkyCoord(ra, dec, unit="deg").separation(sky).arcsec.max() < 0.03
    np.testing.assert_allclose(np.column_stack(to_pixels(wcs, ra, dec)), np.column_stack((x, y)), atol=1e-6)
    assert (frame_of(wcs) is None) == (name in {"FK5", "ICRS", "latitude first"})


@pytest.mark.parametrize("name", [name for name in FRAMES if name != "FK5"])
def test_every_consumer_sees_the_sky_of_the_twin(name, counts):
    seconds = np.full(counts.shape, 1000.0)
    sky = WCS(header_in("FK5")).pixel_to_world([30, 60, 90], [90, 60, 20]).icrs
    answers = []
    for header in (header_in("FK5"), header_in(name)):
        field = Field(counts, seconds, header, (HERE.ra.deg, HERE.dec.deg))
        rows = coverage_at(sky.ra.deg, sky.dec.deg, field)
        assert len(cover_fields(sky.ra.deg, sky.dec.deg, {"one": field})["one"]) == 3
        found = find_sources(counts, seconds, gaussian_psf(1.0), wcs=WCS(header), false_per_field=0.1)
        answers.append((rows, found, coverage_moc(seconds, header), healpix_map(counts, seconds, header, 13)))
    (rows, found, moc, cells), (others, again, moc_again, cells_again) = answers
    # The axes turn by a quarter of a degree between 1950 and 2000: a pixel at the rim of a circle may change sides.
    np.testing.assert_allclose(others["counts"], rows["counts"], atol=2)
    np.testing.assert_allclose(others["offaxis"], rows["offaxis"], rtol=0.01)
    assert (rows["counts"] > 35).all()
    first, second = (SkyCoord(one["ra"], one["dec"], unit="deg") for one in (found, again))
    assert len(first) == len(second) == 3
    for place, index in zip(sky, second.match_to_catalog_sky(sky)[0], strict=False):
        assert sky[index].separation(second).arcsec.min() < 4, place
    assert moc.intersection(moc_again).sky_fraction > 0.97 * moc.sky_fraction
    assert cells_again.counts.sum() == cells.counts.sum()
    assert len(np.intersect1d(cells.cells, cells_again.cells)) > 0.95 * len(cells.cells)


@pytest.mark.parametrize("frame", ["FK4", *TURNED])
def test_images_of_two_frames_are_added_in_their_places(counts, frame):
    seconds = np.full(counts.shape, 1000.0)
    members = [ImageMember(name, counts, seconds, header_in(name), (0.5, 2.0)) for name in ("FK5", frame)]
    mosaic = make_mosaic(members, mosaic_grid(members, 4.0))
    assert mosaic.counts.sum() == 2 * counts.sum()
    sky = WCS(header_in("FK5")).pixel_to_world([30, 60, 90], [90, 60, 20]).icrs
    x, y = to_pixels(WCS(mosaic.header), sky.ra.deg, sky.dec.deg)
    for column, row, number in zip(np.rint(x).astype(int), np.rint(y).astype(int), (36, 63, 54), strict=True):
        assert mosaic.counts[row - 2 : row + 3, column - 2 : column + 3].sum() >= 1.9 * number
        assert mosaic.exposure[row, column] == pytest.approx(2000, rel=1e-3)
    # Equal numbers in two frames are not equal pixels.
    apart = header_in("FK5")
    apart["RADESYS"], apart["EQUINOX"] = "FK4", 1950.0
    assert not same_grid(apart, header_in("FK5"))


@pytest.mark.parametrize("frame", ["FK4", *TURNED])
def test_a_list_of_an_image_in_another_frame_is_in_icrs(counts, tmp_path, frame):
    header = header_in(frame)
    found = find_sources(counts, np.full(counts.shape, 1000.0), gaussian_psf(1.0), wcs=WCS(header))
    write_sources(tmp_path / "list.fits", found, header)
    write_sources(tmp_path / "list.reg", found, header)
    cards = fits.getheader(tmp_path / "list.fits", 1)
    assert cards["RADESYS"] == "ICRS"
    assert "EQUINOX" not in cards
    sky = WCS(header_in("FK5")).pixel_to_world(60, 60).icrs
    table = Table.read(tmp_path / "list.fits")
    assert SkyCoord(table["RA"], table["DEC"], unit="deg").separation(sky).arcsec.min() < 4
    shapes = Regions.read(tmp_path / "list.reg", format="ds9")
    assert min(one.center.icrs.separation(sky).arcsec for one in shapes) < 4


@pytest.mark.parametrize("frame", TURNED)
@pytest.mark.parametrize(
    "text",
    ["fk5; circle(148.92,-1.91,40\")", "galactic; circle({l},{b},40\")", "icrs; box(148.9,-1.9,100\",30\",20)",
     "fk5; ellipse(148.9,-1.9,60\",20\",70)", "icrs; polygon(148.89,-1.91,148.91,-1.91,148.90,-1.89)"],
)  # fmt: skip
def test_regions_of_a_user_lie_on_the_sky_and_not_on_its_axes(frame, text):
    place = SkyCoord(148.92, -1.91, unit="deg").galactic
    shapes = parse_regions(text.format(l=place.l.deg, b=place.b.deg), "own", say=print)
    masks = [region_mask(shapes, (SIDE, SIDE), WCS(header_in(name)), header=header_in(name)) for name in ("FK5", frame)]
    assert masks[0].sum() > 50
    # Pixels at the rim of a shape may change sides.
    assert (masks[0] ^ masks[1]).sum() <= 0.03 * masks[0].sum() + 2


@pytest.mark.parametrize("frame", TURNED)
def test_a_mosaic_of_one_turned_image_keeps_every_count(counts, frame):
    seconds = np.full(counts.shape, 1000.0)
    members = [ImageMember("one", counts, seconds, header_in(frame), (0.5, 2.0))]
    mosaic = make_mosaic(members, mosaic_grid(members, 4.0))
    assert mosaic.counts.sum() == counts.sum()
    assert WCS(mosaic.header).wcs.lngtyp == "RA"


def test_an_unknown_frame_is_refused():
    header = header_in("FK5")
    header["RADESYS"] = "GAPPT"
    with pytest.raises(DataError, match="frame"):
        frame_of(WCS(header))


@pytest.mark.parametrize(
    "cards",
    [
        {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "A_2_0": 1e-3, "B_ORDER": 2},
        {"A_ORDER": 2, "A_2_0": 1e-3, "B_ORDER": 2},
        {"CPDIS1": 1.0},
        {"PC2_2": 1e-320},
        {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV1_4": 0.5, "PV2_1": 1.0},
    ],
)
def test_distortions_and_pixels_without_area_are_refused(cards):
    header = header_in("ICRS")
    header.update(cards)
    with pytest.raises(DataError, match=r"distorted|unusable|area"):
        to_icrs(header_wcs(header), 10.0, 10.0)
