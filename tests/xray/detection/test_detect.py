"""Detection as a whole: few false sources, true ones found and measured, real images, vetoes, files."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from regions import CirclePixelRegion, CircleSkyRegion, PixCoord, Regions
from scipy.stats import poisson

from daxa.errors import DataError, NotPossible
from daxa.xray import ImageGrid, exposure_map, find_sources, open_events, sensitivity_map, standard_cut, write_sources
from daxa.xray.detection.background import estimate_background
from daxa.xray.detection.falserate import chance_for, expected_false
from daxa.xray.detection.psf import gaussian_psf, psf_for
from daxa.xray.detection.psffit import Scene, SourceFit, source_image
from daxa.xray.detection.source_list import COLUMNS
from daxa.xray.detection.wavelet import LADDER
from daxa.xray.eventlists.regions import read_regions, region_mask

SIDE = 192
PSF = psf_for("M1", 4.35, axis=(SIDE / 2, SIDE / 2))


def exposure(kind: str = "flat", side: int = SIDE) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    seconds = np.full((side, side), 1e4)
    if kind != "flat":
        radius = np.hypot(x - side / 2, y - side / 2) / (side / 2)
        seconds *= (1 - 0.6 * radius**2) * (radius < 0.98)
    if kind == "gapped":
        seconds[:, side // 3 : side // 3 + 3] = 0
        seconds[side // 2 : side // 2 + 4] = 0
    return seconds


def field(level: float, seconds: np.ndarray, sources=(), seed: int = 0, psf=PSF) -> np.ndarray:
    mean = level * seconds / seconds.max()
    scene = Scene(mean, seconds / seconds.max(), mean, psf)
    for x, y, counts, *extent in sources:
        place, image = source_image(scene, SourceFit(x, y, counts, *(extent or [0.0]), *[0.0] * 7), 60)
        mean[place] += image
    return np.random.default_rng(seed).poisson(mean)


def sky() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ("RA---TAN", "DEC--TAN"), (150.0, 2.0), (SIDE / 2, SIDE / 2)
    wcs.wcs.cdelt, wcs.wcs.radesys = (-4.35 / 3600, 4.35 / 3600), "FK5"
    wcs.wcs.set()
    return wcs


@pytest.fixture(scope="module")
def crowd():
    """Ten sources of 60 counts on a gapped field, and what was found."""
    seconds = exposure("gapped")
    sources = [(30 + 32 * i + 0.3, y, 60.0) for i in range(5) for y in (60.2, 130.7)]
    counts = field(0.03, seconds, sources, seed=4)
    return np.array(sources), counts, seconds, find_sources(counts, seconds, PSF, wcs=sky(), false_per_field=0.3)


def test_what_surrounds_the_field_changes_nothing(crowd):
    """Rows and columns that saw nothing, as images have them that are whole tiles."""
    _, counts, seconds, found = crowd
    wide = [np.pad(image, ((64, 32), (128, 96))) for image in (counts, seconds)]
    psf = psf_for("M1", 4.35, axis=(SIDE / 2 + 128, SIDE / 2 + 64))
    again = find_sources(*wide, psf, false_per_field=0.3)
    assert len(again) == len(found) >= 10
    for name in set(found.table) - {"x", "y", "ra", "dec", "position_error"}:
        assert (again[name] == found[name]).all()
    assert again["x"] == pytest.approx(found["x"] + 128, abs=1e-9)
    assert again["y"] == pytest.approx(found["y"] + 64, abs=1e-9)
    assert again.background[64:-32, 128:-96].tobytes() == found.background.tobytes()
    assert again.background.sum() == pytest.approx(found.background.sum(), rel=1e-6)


@pytest.mark.parametrize("kind", ["flat", "vignetted", "gapped"])
@pytest.mark.parametrize("level", [0.01, 0.3])
def test_empty_fields_hold_as_many_sources_as_allowed(kind, level):
    seconds = exposure(kind)
    found, expected = 0, 0.0
    for seed in range(8):
        sources = find_sources(field(level, seconds, seed=1000 + seed), seconds, PSF, false_per_field=5.0)
        found, expected = found + len(sources), expected + sources.expected_false
    assert expected == pytest.approx(40, rel=0.02)
    assert abs(found - expected) < 3.3 * np.sqrt(expected)


def test_sources_are_found_where_they_are(crowd):
    sources, _, seconds, found = crowd
    place = np.column_stack((found["x"], found["y"])) - 1.0
    apart = np.hypot(*(sources[:, None, :2] - place[None]).transpose(2, 0, 1))
    seen = seconds[np.rint(sources[:, 1]).astype(int), np.rint(sources[:, 0]).astype(int)] > 3000
    assert (apart.min(axis=1)[seen] < 1.5).all()
    assert len(found) <= seen.sum() + 2
    assert (np.diff(found["log_p"]) >= 0).all()
    nearest = apart.argmin(axis=1)[seen]
    rate = found["rate"][nearest] * 1e4
    assert np.mean(rate) == pytest.approx(60, abs=12)
    assert (found["rate_low"] < found["rate"]).all()
    assert (found["rate"] < found["rate_high"]).all()


def test_positions_on_the_sky(crowd):
    *_, found = crowd
    ra, dec = sky().wcs_pix2world(found["x"], found["y"], 1)
    np.testing.assert_allclose(found["ra"], ra, atol=1e-6)
    np.testing.assert_allclose(found["dec"], dec, atol=1e-6)
    np.testing.assert_allclose(
        found["position_error"], 4.35 * np.hypot(found["x_error"], found["y_error"]) / 2**0.5, rtol=1e-4
    )


def test_bytes_depend_neither_on_threads_nor_on_the_run(crowd, tmp_path):
    _, counts, seconds, found = crowd
    again = find_sources(counts, seconds, PSF, wcs=sky(), false_per_field=0.3, workers=3)
    for suffix in ("fits", "parquet", "reg"):
        write_sources(tmp_path / f"a.{suffix}", found)
        write_sources(tmp_path / f"b.{suffix}", again)
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_files_say_the_same_to_every_reader(crowd, tmp_path):
    *_, found = crowd
    header = fits.Header({"TELESCOP": "XMM", "OBS_ID": "0404910601", "DATE": "2020-01-01"})
    header.update({"FLARESTA": "POOR", "ASSUME1": "the attitude is constant", "VIGNET": False})
    for suffix in ("fits", "parquet", "reg"):
        write_sources(tmp_path / f"list.{suffix}", found, header)
    table, parquet = Table.read(tmp_path / "list.fits"), Table.read(tmp_path / "list.parquet")
    assert [name.lower() for name in table.colnames] == list(COLUMNS) == parquet.colnames
    for name in COLUMNS:
        np.testing.assert_array_equal(table[name.upper()], found[name])
        np.testing.assert_array_equal(parquet[name], found[name])
    cards = fits.getheader(tmp_path / "list.fits", 1)
    assert (cards["OBS_ID"], cards["FALSEEXP"]) == ("0404910601", 0.3)
    assert (cards["FLARESTA"], cards["ASSUME1"]) == ("POOR", "the attitude is constant")
    assert cards["VIGNET"] is False
    assert cards["PIXARCS"] == pytest.approx(4.35)
    assert "DATE" not in cards
    shapes = Regions.read(tmp_path / "list.reg", format="ds9")
    assert len(shapes) == len(found)
    assert shapes[0].center.ra.deg == pytest.approx(found["ra"][0], abs=1e-6)
    with pytest.raises(NotPossible):
        write_sources(tmp_path / "list.csv", found)


def test_a_list_without_sources_is_written(tmp_path):
    counts = np.zeros((64, 64), int)
    found = find_sources(counts, np.ones((64, 64)), gaussian_psf(1.0), wcs=sky())
    assert len(found) == 0
    for suffix in ("fits", "parquet", "reg"):
        write_sources(tmp_path / f"none.{suffix}", found)
    assert len(Table.read(tmp_path / "none.fits")) == len(Table.read(tmp_path / "none.parquet")) == 0


def test_an_extended_source_is_called_so_and_a_point_is_not():
    seconds = exposure()
    counts = field(0.05, seconds, [(60, 60, 500.0, 6.0), (130, 130, 500.0)], seed=2)
    found = find_sources(counts, seconds, PSF, realisations=0)
    near = [np.hypot(found["x"] - 1 - x, found["y"] - 1 - y).argmin() for x, y in ((60, 60), (130, 130))]
    assert found["extent"][near[0]] == pytest.approx(6, abs=2)
    assert found["extent_likelihood"][near[0]] > 20
    assert found["extent"][near[1]] == 0


def test_two_sources_side_by_side_share_the_counts():
    seconds = exposure()
    rates = []
    for seed in range(6):
        sources = [(90.0, 90.0, 300.0), (97.5, 90.0, 100.0)]
        found = find_sources(field(0.02, seconds, sources, seed=seed), seconds, PSF, false_per_field=0.1)
        rates.append(
            [found["rate"][np.hypot(found["x"] - 1 - x, found["y"] - 1 - y).argmin()] * 1e4 for x, y, _ in sources]
        )
    np.testing.assert_allclose(np.mean(rates, axis=0), (300, 100), rtol=0.15)


def test_a_hot_pixel_is_not_a_source_unless_the_point_spread_function_is_sharp():
    seconds = exposure()
    counts = field(0.02, seconds, seed=3)
    counts[100, 50] += 25
    assert not (np.hypot(find_sources(counts, seconds, PSF)["x"] - 51, 0) < 0.5).any()
    sharp = find_sources(counts, seconds, gaussian_psf(0.15))
    assert (np.hypot(sharp["x"] - 51, sharp["y"] - 101) < 0.5).any()


def test_rims_and_gaps_make_no_sources():
    """Counts that leak over the edge of the exposed area, as they do where image and map disagree by a pixel."""
    seconds = exposure("gapped")
    counts = field(0.5, seconds, seed=6)
    rim = np.roll(seconds > 0, 1, axis=1) & (seconds == 0)
    counts[rim] = np.random.default_rng(7).poisson(0.5, rim.sum())
    slim = seconds.copy()
    slim[rim] = 30.0
    found = find_sources(counts, slim, PSF, false_per_field=1.0)
    assert len(found) <= 5


def test_the_glow_of_a_cluster_is_not_taken_for_many_sources():
    seconds = exposure()
    counts = field(0.05, seconds, [(96, 96, 8000.0, 10.0)], seed=9)
    found = find_sources(counts, seconds, PSF, false_per_field=0.5, realisations=0)
    assert 1 <= len(found) <= 5
    middle = np.hypot(found["x"] - 97, found["y"] - 97).argmin()
    assert found["extent"][middle] > 0


def test_masked_regions_hold_no_sources(crowd, tmp_path):
    _, counts, seconds, found = crowd
    x, y = found["x"][0] - 1, found["y"][0] - 1
    circle = CirclePixelRegion(PixCoord(x, y), 8)
    wcs = sky()
    Regions([circle.to_sky(wcs)]).write(tmp_path / "own.reg", format="ds9")
    on_sky = read_regions(tmp_path / "own.reg")
    assert isinstance(on_sky[0], CircleSkyRegion)
    for regions in ([circle], on_sky, region_mask([circle], counts.shape)):
        left = find_sources(counts, seconds, PSF, regions=regions, wcs=wcs, false_per_field=0.3)
        assert not (np.hypot(left["x"] - 1 - x, left["y"] - 1 - y) < 6).any()
        assert len(left) >= len(found) - 2
    with pytest.raises(NotPossible, match="world coordinates"):
        find_sources(counts, seconds, PSF, regions=on_sky)
    with pytest.raises(NotPossible):
        find_sources(counts, seconds, PSF, regions=np.ones(counts.shape, bool))


@pytest.mark.parametrize("text", ["", "no regions here\n", "fk5\ncircle(1,\n", "\0\0"])
def test_damaged_region_files_are_reported(tmp_path, text):
    path = tmp_path / "own.reg"
    path.write_text(text)
    with pytest.raises(DataError, match=r"own\.reg"):
        read_regions(path)
    with pytest.raises(DataError):
        read_regions(tmp_path / "absent.reg")


def test_background_has_the_exposure_and_not_the_sources():
    seconds = exposure("gapped", 384)
    sources = [(100.0, 100.0, 3000.0), (250.0, 120.0, 400.0), (200.0, 300.0, 3000.0, 5.0)]
    counts = field(0.2, seconds, sources, seed=5)
    found = estimate_background(counts * (seconds > 0), seconds, sigma=48, psf_radius=4)
    true = 0.2 * seconds / seconds.max()
    seen = true > 0
    assert (found[~seen] == 0).all()
    ratio = found[seen] / true[seen]
    assert np.median(ratio) == pytest.approx(1, abs=0.03)
    assert np.percentile(np.abs(ratio - 1), 95) < 0.12
    empty = estimate_background(field(0.2, seconds, seed=5), seconds, sigma=48, psf_radius=4)
    assert empty.sum() == pytest.approx(true.sum(), rel=0.02)


def test_half_of_the_sources_at_the_sensitivity_are_found():
    seconds = exposure()
    below = 0.05 * seconds / seconds.max()
    log_p = chance_for(0.5, below, np.ones(below.shape, bool), 0)
    rate = sensitivity_map(seconds, below, PSF, log_p=log_p)
    assert rate.shape == seconds.shape
    places = [(40.0 + 37 * i, 40.0 + 37 * j) for i in range(4) for j in range(4)]
    found = total = 0
    for seed in range(5):
        sources = [(x, y, float(rate[round(y), round(x)]) * 1e4) for x, y in places]
        some = find_sources(
            field(0.05, seconds, sources, seed=seed), seconds, PSF, background=below, false_per_field=0.5
        )
        apart = np.hypot(*(np.array(places)[:, None] - np.column_stack((some["x"], some["y"])) + 1).transpose(2, 0, 1))
        found, total = found + int((apart.min(axis=1) < 4).sum()), total + len(places)
    assert 0.35 < found / total < 0.75


def test_no_exposure_no_sensitivity():
    seconds = exposure("gapped")
    rate = sensitivity_map(seconds, 0.05 * seconds / seconds.max(), PSF, log_p=-14.0)
    assert np.isinf(rate[seconds == 0]).all()
    assert np.isfinite(rate[seconds > 0]).all()


def test_expected_false_grows_with_the_chance_and_the_area():
    flat, half = np.full((256, 256), 0.1), np.ones((256, 256), bool)
    half[:, 128:] = False
    whole = np.ones((256, 256), bool)
    for first in range(4):
        numbers = [expected_false(log_p, flat, whole, first) for log_p in (-20, -14, -10, -8)]
        assert (np.diff(numbers) > 0).all()
        assert expected_false(-12, flat, half, first) == pytest.approx(0.5 * expected_false(-12, flat, whole, first))
        assert expected_false(-12, flat, np.zeros_like(whole), first) == 0.0, "nothing was searched"
        assert expected_false(chance_for(0.7, flat, whole, first), flat, whole, first) == pytest.approx(0.7)
    with pytest.raises(NotPossible):
        chance_for(0.0, flat, whole, 0)


@pytest.mark.parametrize(
    ("image", "seconds"),
    [
        (np.zeros((8, 8)), np.ones((8, 9))),
        (np.zeros(8), np.ones(8)),
        (np.full((8, 8), -1), np.ones((8, 8))),
        (np.full((8, 8), 0.5), np.ones((8, 8))),
        (np.full((8, 8), np.nan), np.ones((8, 8))),
        (np.zeros((8, 8)), np.zeros((8, 8))),
        (np.zeros((8, 8)), np.full((8, 8), np.nan)),
    ],
)
def test_senseless_images_are_refused(image, seconds):
    with pytest.raises(DataError):
        find_sources(image, seconds, PSF)


def real_image(real_data, camera: str) -> tuple[np.ndarray, np.ndarray]:
    """Counts and vignetted exposure, 0.5-2 keV; MOS2 from its events, with MOS1's vignetting curve."""
    folder = real_data / "xmm" / "0404910601"
    if camera != "M2":
        stem = f"{folder}/images/0404910601_{'pn' if camera == 'PN' else 'mos1'}_exp1-0.50-2.00keV"
        return fits.getdata(stem + "img.fits").astype(int), fits.getdata(stem + "expmap.fits").astype(float)
    from daxa.xray import count_image

    events = open_events(folder / "eclean" / "mos2_exp1_clean_evts.fits")
    cut = standard_cut(events, pi=(500, 2000))
    grid = ImageGrid(3649, 3649, 87, 512, 512)
    y, x = np.mgrid[:512, :512]
    t = np.clip(np.hypot(x - 255.5, y - 255.5) * 4.35 / 60, 0, 16)
    vignetting = 1 - 1.13646e-2 * t**2 + 8.8798e-4 * t**3 - 2.2566e-5 * t**4
    return count_image(events, cut, grid), exposure_map(events, cut, grid)[0] * vignetting


def photons_elsewhere(x: float, y: float, others: list[tuple[np.ndarray, np.ndarray]]) -> bool:
    """Whether other cameras hold more counts within 15 arcsec than the ring about makes in one of a thousand cases."""
    number = expected = 0.0
    for counts, seconds in others:
        iy, ix = np.indices(counts.shape)
        away = np.hypot(ix - x, iy - y) * 4.35
        inner, ring = (away < 15) & (seconds > 0), (away > 30) & (away < 75) & (seconds > 0)
        number += counts[inner].sum()
        expected += counts[ring].sum() / max(seconds[ring].sum(), 1e-9) * seconds[inner].sum()
    return bool(poisson.sf(number - 1, expected) < 1e-3)


def test_sources_of_a_real_field_are_seen_by_other_cameras_too(real_data):
    """A907: pn and MOS1 images and maps that SAS made, MOS2 from events; outside 4.35 arcmin of the cluster.

    Confirmation is by other cameras and by another method: counts in circles beside rings of their images, neither
    wavelets nor fits nor background of the search; a false source in one camera's noise has no photons in another's.
    What it cannot tell is a false source in the wings of a bright one, which the others have too: a second source
    within 30 arcsec of a surer one confirms nothing.  Places where nothing was found are tried likewise: hardly any
    may be confirmed, else the judgement would be worth nothing.
    """
    images = {camera: real_image(real_data, camera) for camera in ("PN", "M1", "M2")}
    rng = np.random.default_rng(7)
    for camera, least, most in (("PN", 7, 4), ("M1", 9, 4)):
        counts, seconds = images[camera]
        others = [image for name, image in images.items() if name != camera]
        found = find_sources(counts, seconds, psf_for(camera, 4.35, axis=(255.5, 255.5)), realisations=0)
        assert found.scales == LADDER[:9]
        every = np.column_stack((found["x"], found["y"])) - 1
        far = [place for place in every if np.hypot(*(place - (255.6, 277.0))) > 60]
        seen = [
            photons_elsewhere(*place, others) and all(np.hypot(*(place - surer)) * 4.35 > 30 for surer in far[:number])
            for number, place in enumerate(far)
        ]
        assert sum(seen) >= least
        assert len(seen) - sum(seen) <= most
        empty = [
            place
            for place in rng.uniform(60, 450, (120, 2))
            if np.hypot(*(place - (255.6, 277.0))) > 60
            and seconds[int(place[1]), int(place[0])] > 0.3 * seconds.max()
            and (np.hypot(*(every - place).T) * 4.35 > 75).all()
        ]
        assert len(empty) > 25
        assert sum(photons_elsewhere(*place, others) for place in empty) <= 0.05 * len(empty)


def test_known_counts_are_a_part_of_the_background_and_no_sources():
    """A streak of out-of-time events, as bright as the sky beside it, down a column of the chip."""
    rng, shape = np.random.default_rng(21), (160, 160)
    known = np.zeros(shape, np.float32)
    known[:, 77:81] = 0.4
    sky = np.full(shape, 0.1)
    image = rng.poisson(sky + known)
    image[40:43, 30:33] += 5
    psf = gaussian_psf(1.5)
    seconds = np.full(shape, 1000.0)
    blind = find_sources(image, seconds, psf, workers=1)
    told = find_sources(image, seconds, psf, known=known, workers=1)
    assert len(blind) > 1
    assert len(told) == 1
    assert (told["x"][0], told["y"][0]) == pytest.approx((32, 42), abs=1)
    assert told.background[:, 77:81].mean() == pytest.approx(0.5, abs=0.05)
    assert told.background[:, :60].mean() == pytest.approx(0.1, abs=0.02)
    with pytest.raises(DataError, match="known counts"):
        find_sources(image, seconds, psf, known=known[1:])
