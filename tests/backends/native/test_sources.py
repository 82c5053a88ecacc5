"""The step sources: what it finds, what it leaves out, and what it says of what it did not search."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from daxa.archive.template import render
from daxa.backends import find_backend
from daxa.errors import ConfigError, DataError
from daxa.missions import find_mission
from daxa.run.product import Product, parse_product
from daxa.xray.eventlists.regions import read_regions
from tests.backends.native.observations import XMM_ONE, Fetched, digests, run_step, task_for

RA, DEC, PIXEL = 149.59, -11.06, 4.35
SIDE = 192
BRIGHT = ((60, 60), (130, 70), (90, 140))
"""Columns and rows, from 0, of the sources of a made image."""


def header_of(instrument: str, obs_id: str) -> fits.Header:
    header = fits.Header()
    for axis, (kind, value, sign) in enumerate((("RA---TAN", RA, -1), ("DEC--TAN", DEC, 1)), start=1):
        header[f"CTYPE{axis}"], header[f"CRVAL{axis}"] = kind, value
        header[f"CRPIX{axis}"], header[f"CDELT{axis}"] = SIDE / 2 + 0.5, sign * PIXEL / 3600
        header[f"CUNIT{axis}"] = "deg"
    header["RADESYS"], header["RA_PNT"], header["DEC_PNT"] = "ICRS", RA, DEC
    header["OBS_ID"], header["INSTRUME"], header["CUTID"] = obs_id, instrument, "0" * 16
    return header


def make_images(root, mission, obs_id, instrument, *, bands=(("0.5", "2.0"),), seed=1, bright=BRIGHT):
    """Write image and exposure map of each band: a flat background, and sources of 150 counts (60 arcsec, 90 %)."""
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True, exist_ok=True)
    for lo, hi in bands:
        counts = rng.poisson(0.05, (SIDE, SIDE))
        for x, y in bright:
            places = np.rint(rng.normal((y, x), 1.3, (150, 2))).astype(int)
            np.add.at(counts, tuple(places.T), 1)
        seconds = np.full((SIDE, SIDE), 1e4, np.float32)
        for kind, pixels in (("image", counts.astype(np.int32)), ("expmap", seconds)):
            name = Product(obs_id, instrument, "S001", kind, lo, hi).name
            fits.PrimaryHDU(pixels, header_of(instrument, obs_id)).writeto(root / "images" / name)
    return Fetched(mission, obs_id, (instrument,), {})


@pytest.fixture
def made(tmp_path):
    return make_images(tmp_path, "xmm", "0404910601", "M1")


def told(target):
    [path] = target.glob("*-search.json")
    return json.loads(path.read_text())


def listed(target):
    [path] = target.glob("*-sourcelist.fits")
    return fits.getdata(path, "SOURCES")


def test_sources_are_found_where_they_are(made, tmp_path):
    target, log = run_step(made, "sources", tmp_path)
    found = listed(target)
    near = [np.hypot(found["X"] - 1 - x, found["Y"] - 1 - y).min() for x, y in BRIGHT]
    assert max(near) < 0.5
    assert len(BRIGHT) <= len(found) <= len(BRIGHT) + 4
    [entry] = told(target)
    assert (entry["searched"], entry["sources"], entry["band"]) == (True, len(found), "0.5-2.0 keV")
    assert f"{len(found)} sources" in log


def test_all_products_describe_the_same_sources(made, tmp_path):
    target, _ = run_step(made, "sources", tmp_path)
    products = {(parse_product(path.name).kind, path.suffix[1:]): path for path in target.iterdir()}
    assert set(products) == {
        *(("sourcelist", suffix) for suffix in ("fits", "parquet", "reg")),
        *(("background", "fits"), ("sensitivity", "fits"), ("quicklook", "png"), ("search", "json")),
    }
    found, table = listed(target), pq.read_table(products["sourcelist", "parquet"])
    assert table.column_names == [name.lower() for name in found.names]
    assert all(np.array_equal(table[name.lower()].to_numpy(), found[name]) for name in found.names)
    circles = read_regions(products["sourcelist", "reg"])
    centres = SkyCoord([circle.center for circle in circles])
    assert np.all(centres.separation(SkyCoord(found["RA"], found["DEC"], unit="deg")).arcsec < 0.01)
    background, least = (fits.getdata(products[kind, "fits"]) for kind in ("background", "sensitivity"))
    inside = np.isfinite(least)
    assert 0.9 < inside.mean() <= 1
    assert np.median(background[inside]) == pytest.approx(0.05, rel=0.1)
    header = fits.getheader(products["sensitivity", "fits"])
    assert (header["BUNIT"], header["OBS_ID"]) == ("count/s", "0404910601")
    assert 3 < 1e4 * np.median(least[inside]) < 40


def test_pile_up_is_judged_by_the_counts_of_all_bands(tmp_path):
    """150 counts in each of two bands in 450 s: less than the limit of 0.5 count/s in one, more in both."""
    soft, hard = ("0.5", "2.0"), ("2.0", "10.0")
    marked = []
    for name, bands in (("one", (soft,)), ("both", (soft, hard))):
        made = make_images(tmp_path / name, "xmm", "0404910601", "M1", bands=bands)
        for path in (tmp_path / name / "images").glob("*-expmap.fits"):
            fits.writeto(path, np.full((SIDE, SIDE), 450.0, np.float32), fits.getheader(path), overwrite=True)
        table = listed(run_step(made, "sources", tmp_path / name)[0])
        rows = [np.hypot(table["X"] - 1 - x, table["Y"] - 1 - y).argmin() for x, y in BRIGHT]
        assert all(0.25 < table["RATE"][row] < 0.5 for row in rows)
        marked.append([bool(table["QUALITY"][row] & 16) for row in rows])
    assert marked == [[False] * 3, [True] * 3]


def test_an_empty_field_gives_an_empty_list_that_says_so(tmp_path):
    empty = make_images(tmp_path, "xmm", "0404910601", "M1", bright=())
    target, _ = run_step(empty, "sources", tmp_path, false_per_field=1e-4)
    assert len(listed(target)) == 0
    assert pq.read_table(next(target.glob("*.parquet"))).num_rows == 0
    [entry] = told(target)
    assert (entry["searched"], entry["sources"]) == (True, 0)
    assert entry["expected_false"] == pytest.approx(1e-4, rel=0.01)


@pytest.mark.parametrize(
    ("mission", "obs_id", "instrument"), [("xrism", "000125000", "RESOLVE"), ("einstein", "7000", "HRI")]
)
def test_an_instrument_without_a_psf_is_named_and_has_no_list(tmp_path, mission, obs_id, instrument):
    fetched = make_images(tmp_path, mission, obs_id, instrument)
    target, log = run_step(fetched, "sources", tmp_path)
    assert [parse_product(path.name).kind for path in target.iterdir()] == ["search"]
    [entry] = told(target)
    assert (entry["instrument"], entry["searched"], entry["reason"]) == (instrument, False, "impossible.psf")
    assert "sources" not in entry
    assert f"{instrument} of {mission}" in log
    assert "what to do" in log


def test_the_other_instruments_are_searched_all_the_same(tmp_path):
    make_images(tmp_path, "xrism", "000125000", "RESOLVE")
    make_images(tmp_path, "xrism", "000125000", "XTEND")
    target, _ = run_step(Fetched("xrism", "000125000", ("RESOLVE", "XTEND"), {}), "sources", tmp_path)
    assert {entry["instrument"]: entry["searched"] for entry in told(target)} == {"RESOLVE": False, "XTEND": True}
    assert {parse_product(path.name).instrument for path in target.glob("*.fits")} == {"XTEND"}


def test_no_search_makes_no_list(made, tmp_path):
    target, log = run_step(made, "sources", tmp_path, search="none", band="7-8 keV")
    assert [parse_product(path.name).kind for path in target.iterdir()] == ["search"]
    assert [(entry["searched"], entry["reason"]) for entry in told(target)] == [(False, "sources.search")]
    assert "sources.search" in log


def test_an_observation_without_images_has_nothing_to_search(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "obsid0404910601-instM1-subexpS001-en0.5_2.0keV-lightcurve.fits").write_bytes(b"")
    target, log = run_step(XMM_ONE, "sources", tmp_path)
    assert told(target) == []
    assert "no image" in log


def test_the_band_is_the_lowest_or_the_one_that_is_named(tmp_path):
    bands = (("2.0", "10.0"), ("0.5", "2.0"), ("0.5", "10.0"))
    fetched = make_images(tmp_path, "xmm", "0404910601", "M1", bands=bands)
    target, _ = run_step(fetched, "sources", tmp_path)
    assert [entry["band"] for entry in told(target)] == ["0.5-2.0 keV"]
    shutil.rmtree(target)
    target, _ = run_step(fetched, "sources", tmp_path, band="2000.0-10000.0 eV")
    assert [entry["band"] for entry in told(target)] == ["2.0-10.0 keV"]
    assert {parse_product(path.name).lo for path in target.glob("*.fits")} == {"2.0"}
    shutil.rmtree(target)
    with pytest.raises(ConfigError, match="0404910601 has no images of 1-3 keV") as caught:
        run_step(fetched, "sources", tmp_path, band="1-3 keV")
    assert '"0.5-2 keV"' in caught.value.remedy


def test_regions_mask_what_is_in_them(made, tmp_path):
    x, y = BRIGHT[0]
    region = f"image\ncircle({x + 1},{y + 1},15)\n"
    target, _ = run_step(made, "sources", tmp_path, regions=region)
    found = listed(target)
    away = [np.hypot(found["X"] - 1 - x, found["Y"] - 1 - y).min() for x, y in BRIGHT]
    assert away[0] > 10
    assert max(away[1:]) < 0.5
    assert np.isnan(fits.getdata(next(target.glob("*-sensitivity.fits")))[y, x])


def test_regions_that_leave_nothing_are_reported(made, tmp_path):
    target, log = run_step(made, "sources", tmp_path, regions=f'fk5\ncircle({RA},{DEC},3600")\n')
    assert [(entry["searched"], entry["reason"]) for entry in told(target)] == [(False, "impossible.masked")]
    assert "not searched" in log


def test_regions_of_another_place_are_reported(made, tmp_path):
    _, log = run_step(made, "sources", tmp_path, regions='fk5\ncircle(10,10,120")\n')
    assert "sources.regions leave out nothing: they contain no exposed pixel of this image" in log


def test_more_false_sources_make_a_deeper_search(made, tmp_path):
    depths = {}
    for number in (0.01, 30.0):
        target, _ = run_step(made, "sources", tmp_path, false_per_field=number)
        depths[number] = len(listed(target)), np.nanmedian(fits.getdata(next(target.glob("*-sensitivity.fits"))))
        shutil.rmtree(target)
    assert depths[30.0][0] > depths[0.01][0] >= len(BRIGHT)
    assert depths[30.0][1] < depths[0.01][1]


def test_scales_are_those_that_are_given(made, tmp_path):
    target, _ = run_step(made, "sources", tmp_path, scales=[2.0, 2.828, 4.0])
    assert told(target)[0]["scales"] == [2.0, 2.8284, 4.0]
    assert set(listed(target)["SCALE"].round(3)) <= {2.0, 2.828, 4.0}


def test_equal_inputs_give_equal_bytes_elsewhere(made, tmp_path):
    target, _ = run_step(made, "sources", tmp_path)
    again = tmp_path / "another place"
    shutil.copytree(tmp_path / "images", again / "images")
    other, log = run_step(made, "sources", again)
    assert digests(other) == digests(target)
    assert str(tmp_path) not in log


def test_products_conform_to_the_standard(made, tmp_path):
    program = shutil.which("fitsverify")
    if not program:
        pytest.skip("fitsverify is not installed")
    target, _ = run_step(made, "sources", tmp_path)
    for path in target.glob("*.fits"):
        found = subprocess.run([program, "-e", path], capture_output=True, text=True, check=False)
        assert "and 0 error(s)" in found.stdout, found.stdout


def test_an_image_without_a_map_is_not_searched(made, tmp_path):
    [path] = (tmp_path / "images").glob("*-expmap.fits")
    path.unlink()
    target, log = run_step(made, "sources", tmp_path)
    [entry] = told(target)
    assert (entry["searched"], entry["reason"]) == (False, "impossible.no-map")
    assert "daxa logs 0404910601 --step images" in log


@pytest.mark.parametrize("harm", ["other cut", "other grid"])
def test_a_map_that_does_not_belong_is_refused(made, tmp_path, harm):
    [path] = (tmp_path / "images").glob("*-expmap.fits")
    seconds, header = fits.getdata(path), fits.getheader(path)
    path.unlink()
    if harm == "other cut":
        header["CUTID"] = "1" * 16
    fits.PrimaryHDU(seconds[:, 1:] if harm == "other grid" else seconds, header).writeto(path)
    with pytest.raises(DataError, match="0404910601"):
        run_step(made, "sources", tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("search", "ermldet"),
        ("false_per_field", 0.0),
        ("false_per_field", "1"),
        ("false_per_field", True),
        ("false_per_field", 1e9),
        ("band", "2.0-0.5 keV"),
        ("band", "0.5 keV"),
        ("band", 1.0),
        ("scales", []),
        ("scales", 2.0),
        ("scales", [1.0, 3.0]),
        ("scales", [1.0, 2.0]),
        ("scales", ["1"]),
        ("regions", ["circle(1,2,3)"]),
        ("regions", "circle me"),
        ("regions", "# only a comment"),
        ("threshold", 4.0),
    ],
)
def test_malformed_parameters_are_one_error(made, tmp_path, key, value):
    task = task_for(made, "sources", tmp_path, **{key: value})
    with pytest.raises(ConfigError) as caught:
        find_backend("native").run(task, {"images": tmp_path / "images"}, tmp_path, io.StringIO())
    assert "0404910601" in caught.value.message
    assert "params/xmm.toml" in caught.value.remedy or key == "regions"


def test_the_sources_of_the_simulated_sky_are_found(sky, tmp_path):
    fetched = Fetched("xmm", "0900000201", ("M2",), {})
    shutil.copytree(sky.root / find_mission("xmm").directory_of("0900000201"), tmp_path / "fetch")
    for step in ("events", "clean", "images"):
        run_step(fetched, step, tmp_path)
    found = listed(run_step(fetched, "sources", tmp_path, realisations=0)[0])
    places = SkyCoord(found["RA"], found["DEC"], unit="deg")
    field = SkyCoord(RA, DEC, unit="deg")
    bright = sorted(sky.sources, key=lambda source: -source.flux)[:6]
    seen = [one for one in bright if SkyCoord(one.ra, one.dec, unit="deg").separation(field).arcmin < 9]
    assert len(seen) >= 3
    for one in seen:
        assert SkyCoord(one.ra, one.dec, unit="deg").separation(places).arcsec.min() < 6, one.name
    truth = SkyCoord([one.ra for one in sky.sources], [one.dec for one in sky.sources], unit="deg")
    strays = sum(place.separation(truth).arcsec.min() > 20 for place in places)
    assert strays <= 5
    assert fits.getheader(next((tmp_path / "sources").glob("*-sourcelist.fits")), 1)["SIMULATD"]


def test_the_cluster_is_found_in_a_real_observation(real_data, tmp_path):
    root = XMM_ONE.lay_out(real_data, tmp_path)
    for step in ("events", "clean", "images"):
        run_step(XMM_ONE, step, root)
    found = listed(run_step(XMM_ONE, "sources", root, realisations=0)[0])
    places = SkyCoord(found["RA"], found["DEC"], unit="deg")
    # Abell 907, as NED gives it.
    cluster = places.separation(SkyCoord(149.5917, -11.0639, unit="deg")).arcsec.argmin()
    assert found["EXTENT"][cluster] > 0
    assert found["COUNTS"][cluster] == found["COUNTS"].max()
    # The fit reaches beyond the circle that SAS's image is summed in.
    assert 1.0 < found["RATE"][cluster] / rate_in_image_of_sas(real_data, 149.5917, -11.0639) < 1.3
    # Flares leave 3 ks, in which few points besides show.
    assert (found["EXTENT"] == 0).sum() >= 4


def rate_in_image_of_sas(real_data, ra, dec):
    """Count/s of the MOS1 image in 0.5-2 keV within 5 arcmin, by SAS's exposure map, less what is 8-10 arcmin away."""
    place = real_data / "xmm" / "0404910601" / "images"
    header = fits.getheader(place / "0404910601_mos1_exp1-0.50-2.00keVimg.fits")
    counts, exposure = (
        fits.getdata(place / f"0404910601_mos1_exp1-0.50-2.00keV{kind}.fits") for kind in ("img", "expmap")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x, y = WCS(header).all_world2pix(ra, dec, 0)
    rows, columns = np.indices(counts.shape)
    apart = np.hypot(columns - x, rows - y) * abs(header["CDELT1"]) * 60.0
    ring = (apart > 8) & (apart < 10) & (exposure > 0.3 * exposure.max())
    inside = (apart < 5) & (exposure > 0)
    background = counts[ring].sum() / exposure[ring].sum()
    return ((counts[inside] - background * exposure[inside]) / exposure[inside]).sum()


def test_what_a_new_archive_writes_is_understood(tmp_path):
    import tomllib

    from daxa.archive.config import effective_parameters
    from daxa.archive.template import MissionAnswers
    from daxa.backends.native.parameters import read_sources
    from daxa.missions import mission_names
    from daxa.run.task import Task, canonical

    for mission in mission_names():
        spec = find_mission(mission)
        text = render("a907", [MissionAnswers(spec, {}, ())])[f"params/{mission}.toml"]
        table = effective_parameters(tomllib.loads(text), "sources", spec.id_example)
        read = read_sources(Task(mission, "sources", spec.id_example, "native", "1", canonical(table)))
        assert (read.search, read.band, read.regions, read.false_per_field) == (True, None, "", 1.0)
