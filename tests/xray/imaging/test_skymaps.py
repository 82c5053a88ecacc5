"""MOCs and HEALPix maps of real images."""

from __future__ import annotations

import shutil
import subprocess

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy_healpix import HEALPix

from daxa.errors import DataError
from daxa.xray.eventlists.sky_grid import header_wcs
from daxa.xray.imaging.skymaps import add_healpix, coverage_moc, healpix_map, order_for, write_healpix


@pytest.fixture(scope="module")
def pn(real_data):
    stem = real_data / "xmm/0404910601/images/0404910601_pn_exp1-0.50-2.00keV"
    return fits.getdata(f"{stem}img.fits"), fits.getdata(f"{stem}expmap.fits"), fits.getheader(f"{stem}expmap.fits")


def test_the_moc_is_the_exposed_sky(pn):
    _, seconds, header = pn
    moc = coverage_moc(seconds, header)
    assert moc.max_order == order_for(4.35) == 14
    wcs = header_wcs(header)
    rows, columns = np.indices(seconds.shape).reshape(2, -1)
    ra, dec = wcs.wcs_pix2world(columns, rows, 0)
    inside = moc.contains_lonlat(ra * u.deg, dec * u.deg)
    exposed = seconds.ravel() > 0
    assert inside[exposed].all()
    # What is covered beyond the exposed pixels is a rim, along gaps and bad columns too.
    assert inside[~exposed].sum() < 0.25 * exposed.sum()
    area = moc.sky_fraction * 4 * np.pi * (180 / np.pi) ** 2
    assert exposed.sum() * (4.35 / 3600) ** 2 < area < 1.3 * exposed.sum() * (4.35 / 3600) ** 2
    # Without holes: a solid block of exposed pixels is solid in the MOC.
    solid = coverage_moc(np.ones((200, 200)), header)
    x, y = np.random.default_rng(1).uniform(0, 199, (2, 20000))
    ra, dec = wcs.wcs_pix2world(x, y, 0)
    assert solid.contains_lonlat(ra * u.deg, dec * u.deg).all()


def test_thresholds_shrink_the_moc(pn):
    _, seconds, header = pn
    sizes = [coverage_moc(seconds, header, least=share * seconds.max()).sky_fraction for share in (0, 0.3, 0.6)]
    assert sizes[0] > sizes[1] > sizes[2] > 0
    assert coverage_moc(seconds, header, least=1e9).sky_fraction == 0
    assert coverage_moc(seconds, header, order=10).max_order == 10


def test_healpix_keeps_counts_and_exposure(pn):
    counts, seconds, header = pn
    sky = healpix_map(counts, seconds, header, 12)
    cells = HEALPix(nside=2**12, order="nested")
    assert sky.counts.sum() == counts.sum()
    whole = (sky.exposure.sum() * cells.pixel_area).to_value(u.arcsec**2)
    assert whole == pytest.approx(seconds.sum(dtype=float) * 4.35**2, rel=1e-4)
    assert (np.diff(sky.cells) > 0).all()
    # The brightest cell holds the brightest pixel's position.
    row, column = np.unravel_index(np.argmax(counts), counts.shape)
    ra, dec = header_wcs(header).wcs_pix2world(column, row, 0)
    number = cells.lonlat_to_healpix(float(ra) * u.deg, float(dec) * u.deg)
    assert number in sky.cells
    deep = sky.exposure[
        np.searchsorted(
            sky.cells,
            cells.lonlat_to_healpix(
                *(u.Quantity(value) for value in (header["RA_PNT"] * u.deg, header["DEC_PNT"] * u.deg))
            ),
        )
    ]
    assert 0.5 * seconds.max() < deep <= seconds.max() * 1.02


def test_maps_of_two_observations_add(pn):
    counts, seconds, header = pn
    one = healpix_map(counts, seconds, header, 11)
    moved = header.copy()
    moved["CRVAL1"] += 0.2
    two = healpix_map(counts, seconds, moved, 11)
    both = add_healpix(one, two)
    assert both.counts.sum() == 2 * counts.sum()
    assert both.exposure.sum() == pytest.approx(one.exposure.sum() + two.exposure.sum())
    assert len(np.intersect1d(one.cells, two.cells)) == len(one.cells) + len(two.cells) - len(both.cells) > 0
    with pytest.raises(DataError, match="one order"):
        add_healpix(one, healpix_map(counts, seconds, header, 10))


def test_the_table_of_cells_conforms(pn, tmp_path):
    counts, seconds, header = pn
    sky = healpix_map(counts, seconds, header, 12)
    path = tmp_path / "sky.fits"
    write_healpix(path, sky)
    table = fits.getdata(path, 1)
    assert (table["PIXEL"] == sky.cells).all()
    assert table["COUNTS"].sum() == counts.sum()
    centre = HEALPix(nside=fits.getheader(path, 1)["NSIDE"], order="nested", frame="icrs").healpix_to_skycoord(
        table["PIXEL"]
    )
    pointing = SkyCoord(header["RA_PNT"], header["DEC_PNT"], unit="deg")
    assert centre.separation(pointing).arcmin.max() < 20
    if shutil.which("fitsverify"):
        found = subprocess.run(["fitsverify", "-q", path], capture_output=True, text=True, check=False)
        assert "OK" in found.stdout


def test_cells_smaller_than_pixels_are_refused(pn):
    counts, seconds, header = pn
    with pytest.raises(DataError, match="not wider than two pixels"):
        healpix_map(counts, seconds, header, 15)
    with pytest.raises(DataError, match="different shapes"):
        healpix_map(counts[1:], seconds, header, 12)
    with pytest.raises(DataError, match="world coordinates"):
        healpix_map(counts, seconds, fits.Header(), 12)
