"""Coverage at positions, against loops over pixels and figures by others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.stats import poisson_conf_interval
from scipy.integrate import quad
from scipy.stats import poisson

from daxa.errors import DataError
from daxa.xray.cleaning.cut import Cut, standard_cut
from daxa.xray.eventlists.frames import to_icrs
from daxa.xray.eventlists.opening import open_events
from daxa.xray.eventlists.regions import parse_regions, region_mask
from daxa.xray.eventlists.sky_grid import header_wcs
from daxa.xray.imaging.exposed_field import Field, read_field
from daxa.xray.imaging.exposure_map import exposure_map
from daxa.xray.imaging.image import count_image, grid_for, image_header
from daxa.xray.imaging.positions import Aperture, Quality, cover_fields, coverage_at
from daxa.xray.imaging.skymaps import coverage_moc, healpix_map
from daxa.xray.imaging.upper_limits import chance_of, count_errors, upper_limit
from daxa.xray.imaging.vignetting import vignetting_for
from tests.xray.reallists import LISTS


@pytest.fixture(scope="module")
def products(real_data, tmp_path_factory):
    """Image and vignetted map of a real exposure, as products on disk."""
    events = open_events(real_data / LISTS["xmm-0404910601-m1"].path)
    cut = standard_cut(events, pi=(500, 2000))
    grid = grid_for(events, 4.35, Cut(cut.rules, cut.gtis))
    seconds, cards = exposure_map(events, cut, grid, vignetting=vignetting_for("xmm", "M1", (0.5, 2.0)))
    folder = tmp_path_factory.mktemp("products")
    for name, pixels, more in (("image", count_image(events, cut, grid), {}), ("expmap", seconds, cards)):
        header = image_header(events, cut, grid)
        for key, card in more.items():
            header[key] = card
        fits.PrimaryHDU(pixels, header).writeto(folder / f"{name}.fits")
    return folder / "image.fits", folder / "expmap.fits"


@pytest.fixture(scope="module")
def field(products) -> Field:
    return read_field(*products)


def test_the_middle_of_a_map_stands_for_the_pointing_that_it_does_not_name(products, field, tmp_path):
    """As of tiles of a survey; but a pointing that is none is refused."""
    pixels, header = fits.getdata(products[1]), fits.getheader(products[1])
    for key in ("XCEN", "YCEN", "RA_PNT", "DEC_PNT"):
        del header[key]
    fits.PrimaryHDU(pixels, header).writeto(tmp_path / "expmap.fits")
    middle = read_field(products[0], tmp_path / "expmap.fits").axis
    wcs = header_wcs(field.header)
    expected = wcs.wcs_pix2world((pixels.shape[1] + 1) / 2, (pixels.shape[0] + 1) / 2, 1)
    assert middle == pytest.approx(tuple(map(float, expected)), abs=1e-4)
    assert middle != pytest.approx(field.axis, abs=1e-3)
    header["RA_PNT"], header["DEC_PNT"] = "unknown", "unknown"
    fits.PrimaryHDU(pixels, header).writeto(tmp_path / "other.fits")
    with pytest.raises(DataError):
        read_field(products[0], tmp_path / "other.fits")


def scattered(field: Field, n: int, seed: int, beyond: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    ny, nx = field.counts.shape
    rng = np.random.default_rng(seed)
    x, y = (rng.uniform(-beyond * size, (1 + beyond) * size, n) for size in (nx, ny))
    return header_wcs(field.header).wcs_pix2world(x, y, 0)


def test_sums_are_those_of_a_loop_over_pixels(field):
    ra, dec = scattered(field, 60, seed=3)
    use = Aperture(radius=18.0, inner=50.0, outer=90.0)
    rows = coverage_at(ra, dec, field, use)
    wcs = header_wcs(field.header)
    y, x = np.indices(field.counts.shape)
    for row, centre in zip(rows, zip(*wcs.wcs_world2pix(ra, dec, 0), strict=True), strict=True):
        away = np.hypot(x - centre[0], y - centre[1]) * 4.35
        circle, ring = away <= use.radius, (away <= use.outer) & (away > use.inner)
        assert row["counts"] == field.counts[circle].sum()
        seconds = field.exposure[circle].sum(dtype=float)
        if row["flag"] & Quality.NO_BACKGROUND:
            assert (field.exposure[ring] > 0).sum() < (field.exposure[circle] > 0).sum() or seconds == 0
        else:
            expected = field.counts[ring].sum() * seconds / field.exposure[ring].sum(dtype=float)
            assert row["background"] == pytest.approx(expected, rel=1e-6)
        assert (row["exposure"] > 0) == (not row["flag"] & Quality.OUTSIDE)


def test_angles_are_those_of_astropy(field):
    ra, dec = scattered(field, 100, seed=4)
    rows = coverage_at(ra, dec, field)
    there = SkyCoord(*field.axis, unit="deg").separation(SkyCoord(ra, dec, unit="deg")).arcmin
    np.testing.assert_allclose(rows["offaxis"], there, rtol=1e-9)


def test_exposure_at_the_position_is_vignetted(field):
    rows = coverage_at(*field.axis, field)
    assert rows["offaxis"][0] == pytest.approx(0, abs=1e-6)
    assert rows["exposure"][0] == pytest.approx(field.exposure.max(), rel=0.01)
    assert field.vignetted
    assert field.checked == 15.0
    ra, dec = scattered(field, 3000, seed=5)
    rows = coverage_at(ra, dec, field)
    assert (rows["flag"][rows["offaxis"] > 15] & Quality.FAR).all()
    assert not (rows["flag"][rows["offaxis"] <= 15] & (Quality.FAR | Quality.FLAT)).any()
    flat = coverage_at(ra, dec, replace(field, vignetted=False))
    assert (flat["flag"] & Quality.FLAT).all()
    assert not (flat["flag"] & Quality.FAR).any()


def test_the_cluster_is_found_and_blank_sky_is_not(field):
    """Abell 907 is in the middle; the brightest pixel is its core."""
    row, column = np.unravel_index(np.argmax(field.counts), field.counts.shape)
    core = coverage_at(*header_wcs(field.header).wcs_pix2world(column, row, 0), field)[0]
    assert core["chance"] < 1e-50
    assert core["rate_low"] < core["rate"] < core["rate_high"]
    assert core["rate"] == pytest.approx((core["counts"] - core["background"]) / core["exposure"], rel=0.02)
    ra, dec = scattered(field, 4000, seed=6)
    rows = coverage_at(ra, dec, field)
    seen = rows[rows["flag"] == 0]
    assert len(seen) > 500
    blank = seen[seen["chance"] > 1e-3]
    assert np.isnan(blank["rate"]).all()
    assert (blank["limit"] > 0).all()
    assert len(blank) > 0.7 * len(seen)


def test_upper_limits_cover_what_they_say():
    """Made fields with sources of any strength alike: given the counts, nine in ten are weaker than the limit."""
    rng = np.random.default_rng(7)
    header = fits.Header({"NAXIS": 2, "NAXIS1": 900, "NAXIS2": 900, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
    header.update({"CRPIX1": 450, "CRPIX2": 450, "CRVAL1": 40, "CRVAL2": -5, "CDELT1": -4 / 3600, "CDELT2": 4 / 3600})
    seconds = np.full((900, 900), 1e4)
    places = np.arange(30, 880, 10)
    x, y = (one.ravel() for one in np.meshgrid(places, places))
    ra, dec = header_wcs(header).wcs_pix2world(x, y, 0)
    source = rng.uniform(0, 40, len(x))
    counts = rng.poisson(0.05, seconds.shape)
    np.add.at(counts, (y, x), rng.poisson(source))
    level = np.full(seconds.shape, 0.05)
    field = Field(counts, seconds, header, (40.0, -5.0), background=level)
    rows = coverage_at(ra, dec, field, Aperture(radius=10.0))
    assert rows["background"] == pytest.approx(21 * 0.05)
    few = rows["counts"] <= 20
    covered = (rows["limit"][few] * 1e4 >= source[few]).mean()
    assert few.sum() > 3000
    assert covered == pytest.approx(0.9, abs=0.015)


def test_a_background_map_is_used_when_there_is_one(field):
    ra, dec = scattered(field, 20, seed=8, beyond=-0.2)
    level = np.full(field.counts.shape, 0.25)
    rows = coverage_at(ra, dec, replace(field, background=level), Aperture(radius=4.35 * 3.2))
    inside = rows[rows["exposed"] > 0]
    # A circle of 3.2 pixels holds 29 to 37 pixel middles.
    assert ((inside["background"] >= 29 * 0.25) & (inside["background"] <= 37 * 0.25)).all()
    assert not (inside["flag"] & Quality.NO_BACKGROUND).any()


def test_positions_off_the_sky_of_the_image(field):
    ra = np.array([field.axis[0], field.axis[0] + 180.0, 0.0, np.nan, field.axis[0] + 5])
    dec = np.array([field.axis[1], -field.axis[1], 90.0, 1.0, field.axis[1]])
    rows = coverage_at(ra, dec, field)
    assert rows["flag"][0] == 0
    assert (rows["flag"][1:] & Quality.OUTSIDE).all()
    assert (rows["counts"][1:] == 0).all()
    assert np.isnan(rows["limit"][1:]).all()
    assert len(coverage_at([], [], field)) == 0


def test_many_targets_and_fields(field):
    """A hundred thousand positions over a few degrees, two fields of which one lies elsewhere."""
    header = field.header.copy()
    header["CRVAL1"] += 1.0
    elsewhere = replace(field, header=header, axis=(field.axis[0] + 1.0, field.axis[1]))
    rng = np.random.default_rng(9)
    ra = field.axis[0] + rng.uniform(-2, 2, 100_000)
    dec = field.axis[1] + rng.uniform(-2, 2, 100_000)
    found = cover_fields(ra, dec, {"here": field, "there": elsewhere})
    whole = coverage_at(ra, dec, field)
    seen = whole[(whole["flag"] & Quality.OUTSIDE) == 0]
    assert found["here"].tobytes() == seen.tobytes()
    assert 500 < len(found["there"]) < 5000
    assert not set(found["here"]["target"]) & set(found["there"]["target"])


def test_what_does_not_fit_is_refused(field, products):
    with pytest.raises(DataError, match="different shapes"):
        coverage_at(1.0, 2.0, replace(field, exposure=field.exposure[1:]))
    with pytest.raises(DataError, match="different shapes"):
        coverage_at(1.0, 2.0, replace(field, background=np.zeros((3, 3))))
    for use in (Aperture(radius=0.0), Aperture(radius=70.0), Aperture(outer=50.0), Aperture(enclosed=0.0)):
        with pytest.raises(DataError, match="is not valid"):
            coverage_at(1.0, 2.0, field, use)
    image, exposure = products
    with fits.open(exposure) as units:
        units[0].header["CUTID"] = "another"
        units.writeto(exposure.with_name("other.fits"), overwrite=True)
    with pytest.raises(DataError, match="do not belong together"):
        read_field(image, exposure.with_name("other.fits"))


@pytest.mark.parametrize("level", [0.6827, 0.9, 0.99])
@pytest.mark.parametrize(("counts", "background"), [(1, 1.0), (2, 1.9), (5, 5.0), (5, 4.5), (10, 9.0), (20, 19.0)])
def test_limits_are_those_of_kraft_burrows_nousek(counts, background, level):
    """Where their shortest interval starts at zero the two limits are one."""
    theirs = poisson_conf_interval(counts, "kraft-burrows-nousek", background=background, confidence_level=level)
    if theirs[0] == 0:
        assert upper_limit(counts, background, level) == pytest.approx(theirs[1].item(), rel=1e-6)
    else:
        assert upper_limit(counts, background, level) < theirs[1]


@pytest.mark.parametrize(("counts", "background"), [(0, 0.0), (0, 3.0), (5, 1.5), (2, 30.0), (40, 60.0), (1000, 950.0)])
def test_limits_hold_the_posterior_that_they_say(counts, background):
    limit = float(upper_limit(counts, background, 0.9))

    def posterior(source: float) -> float:
        return float(np.exp(poisson.logpmf(counts, source + background) - poisson.logpmf(counts, counts)))

    inside = quad(posterior, 0, limit, limit=200)[0]
    assert inside / (inside + quad(posterior, limit, limit * 8 + 20, limit=200)[0]) == pytest.approx(0.9, rel=1e-6)


def test_limits_stay_finite_and_fall_with_the_background():
    background = np.concatenate(([0.0], np.geomspace(1e-3, 1e5, 400)))
    for counts in (0, 1, 10, 300):
        limits = upper_limit(counts, background, 0.9)
        assert np.isfinite(limits).all()
        assert (limits >= -np.log(0.1) * 0.98).all()
        assert (np.diff(limits) < 0.02).all()
    assert np.isnan(upper_limit(np.array([1, -1, 1]), np.array([np.nan, 1.0, -1.0]))).all()


@pytest.mark.parametrize("counts", [0, 1, 4, 25, 400])
def test_errors_are_those_of_gehrels(counts):
    low, high = poisson_conf_interval(counts, "frequentist-confidence")
    below, above = count_errors(counts)
    assert counts - below == pytest.approx(low, rel=1e-9)
    assert counts + above == pytest.approx(high, rel=1e-9)
    # The approximation that his Eq. 7 gives is good to a few percent.
    assert above == pytest.approx(1 + np.sqrt(counts + 0.75), rel=0.04)


def test_chances_are_those_of_scipy():
    counts, background = np.arange(30), np.linspace(0.01, 12, 30)
    np.testing.assert_allclose(chance_of(counts, background), poisson.sf(counts - 1, background), rtol=1e-10)


def test_undefined_exposure_is_none(field):
    """NaN in a map, and in the counts where nothing was seen, is what 0 is."""
    away = ~(field.exposure > 0)
    counts = np.where(away & (field.counts == 0), np.nan, field.counts)
    undefined = replace(field, exposure=np.where(away, np.nan, field.exposure), counts=counts)
    ra, dec = scattered(field, 200, seed=8)
    rows, defined = coverage_at(ra, dec, undefined), coverage_at(ra, dec, field)
    for name in rows.dtype.names:
        np.testing.assert_array_equal(rows[name], defined[name])
    assert (rows["flag"][rows["exposure"] == 0] & Quality.OUTSIDE).all()


def test_undefined_counts_where_it_is_exposed_are_damage(field):
    counts = np.where(field.exposure == field.exposure.max(), np.nan, field.counts)
    with pytest.raises(DataError) as problem:
        coverage_at(*scattered(field, 3, seed=8), replace(field, counts=counts))
    assert problem.value.code == "data.counts"


WHOLE_SKY = {"RA---CAR": "DEC--CAR", "GLON-AIT": "GLAT-AIT"}


@pytest.mark.parametrize("kind", WHOLE_SKY)
def test_images_of_the_whole_sky_cover_it(kind):
    """The corners of the one are no sky, those of the other are not its farthest points."""
    header = fits.Header({"NAXIS": 2, "NAXIS1": 180, "NAXIS2": 90, "CTYPE1": kind, "CTYPE2": WHOLE_SKY[kind]})
    header.update({"CRVAL1": 0.0, "CRVAL2": 0.0, "CRPIX1": 90.5, "CRPIX2": 45.5, "CDELT1": -2.0, "CDELT2": 2.0})
    whole = Field(np.ones((90, 180), np.int32), np.ones((90, 180)), header, (0.0, 0.0))
    sky = SkyCoord([10.0, 179.0, 260.0, 30.0], [5.0, -3.0, 50.0, -70.0], unit="deg")
    found = cover_fields(sky.ra.deg, sky.dec.deg, {"all": whole}, Aperture(radius=9e3, inner=9e3, outer=2e4))["all"]
    assert found["target"].tolist() == [0, 1, 2, 3]
    moc = coverage_moc(whole.exposure, header, order=3)
    assert moc.contains_skycoords(sky).all()
    cells = healpix_map(whole.counts, whole.exposure, header, 3)
    assert cells.counts.sum() == np.isfinite(to_icrs(header_wcs(header), *np.indices((90, 180))[::-1])[0]).sum()
    for place in sky:
        text = f"icrs\ncircle({place.ra.deg},{place.dec.deg},5)"
        assert region_mask(parse_regions(text, "a.reg"), (90, 180), header_wcs(header)).any()


def test_a_map_of_last_resort_gives_no_limit(products, tmp_path):
    image, expmap = products
    with fits.open(expmap) as hdus:
        hdus[0].header["EXPMETH"] = "FIELD"
        hdus.writeto(tmp_path / "expmap.fits")
    field = read_field(image, tmp_path / "expmap.fits")
    ra, dec = scattered(field, 200, seed=9)
    rows, measured = coverage_at(ra, dec, field), coverage_at(ra, dec, read_field(image, expmap))
    assert (rows["flag"] & Quality.NOT_MEASURED).all()
    for name in ("limit", "rate", "exposure"):
        assert np.isnan(rows[name]).all()
    np.testing.assert_array_equal(rows["counts"], measured["counts"])
    assert np.isfinite(measured["limit"]).any()
