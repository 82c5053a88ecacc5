"""What an archive says about samples, against the library asked image by image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

import daxa
from daxa.analysis import coverage_table
from daxa.analysis.coverage_table import COLUMNS
from daxa.errors import ArchiveError, CriteriaError, NotPossible
from daxa.missions.tiling import find_tile
from daxa.run.ledger import read_ledger, write_ledger
from daxa.run.task import ProductFile
from daxa.xray.imaging.exposed_field import read_field
from daxa.xray.imaging.positions import Aperture, Quality, coverage_at
from tests.analysis.fields import PIXEL, SECONDS, SIZE, Pointing, made_field, made_readout, make_archive

FIELDS = (
    *(Pointing("xmm", f"00123456{n}0", "M1", 149.6 + 0.15 * n, -11.0, n) for n in range(4)),
    Pointing("xmm", "0012345600", "M2", 149.6, -11.0, 11, exposure="S002"),
    Pointing("xmm", "0012345600", "M1", 149.6, -11.0, 12, band=(2.0, 10.0)),
    Pointing("chandra", "90001", "ACIS", 0.01, 60.0, 20, exposure="None"),
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    layout = make_archive(tmp_path_factory.mktemp("coverage") / "made", FIELDS)
    return daxa.Archive(layout.root)


@pytest.fixture
def own_archive(tmp_path):
    return daxa.Archive(make_archive(tmp_path / "made", FIELDS).root)


@pytest.fixture(scope="module")
def sample() -> pd.DataFrame:
    """Objects about all fields, across the first meridian, and far away."""
    rng = np.random.default_rng(5)
    near = {"ra": 149.8 + rng.uniform(-0.5, 0.5, 300), "dec": -11.0 + rng.uniform(-0.3, 0.3, 300)}
    north = {"ra": (0.01 + rng.uniform(-0.4, 0.4, 60)) % 360, "dec": 60.0 + rng.uniform(-0.2, 0.2, 60)}
    far = {"ra": [10.0, 329.6], "dec": [-89.0, 11.0]}
    columns = {name: np.concatenate([part[name] for part in (near, north, far)]) for name in ("ra", "dec")}
    return pd.DataFrame(columns | {"name": [f"object {n:03d}" for n in range(362)]})


def image_of(archive, one: Pointing):
    stem = f"obsid{one.obs_id}-inst{one.instrument}-subexp{one.exposure}-en{one.band[0]}_{one.band[1]}keV"
    place = archive.layout.products(one.mission, "images") / one.obs_id
    return place / f"{stem}-image.fits", place / f"{stem}-expmap.fits"


def test_every_object_is_looked_up_in_every_image(archive, sample):
    found = archive.coverage(sample)
    assert not found.failures
    assert (found.objects, found.images) == (362, len(FIELDS))
    assert found.table["row"].is_monotonic_increasing
    total = 0
    for one in FIELDS:
        expected = coverage_at(sample["ra"], sample["dec"], read_field(*image_of(archive, one)))
        expected = expected[(expected["flag"] & Quality.OUTSIDE) == 0]
        told = found.table[
            (found.table["obs_id"] == one.obs_id)
            & (found.table["instrument"] == one.instrument)
            & (found.table["lo_kev"] == one.band[0])
        ]
        assert (told["row"] - 1).tolist() == expected["target"].tolist()
        assert told["target"].tolist() == [f"object {n:03d}" for n in expected["target"]]
        for name in ("exposure", "counts", "background", "rate", "limit", "flag"):
            np.testing.assert_array_equal(told[name], expected[name])
        away = SkyCoord(one.ra, one.dec, unit="deg").separation(
            SkyCoord(told["target_ra"], told["target_dec"], unit="deg")
        )
        np.testing.assert_allclose(told["off_axis"], away.arcmin, rtol=1e-9, atol=1e-9)
        assert len(expected) > 5
        total += len(expected)
    assert total == len(found.table)
    assert set(found.table["quality"]) <= {"flat", "edge flat", "flat no-background", "edge flat no-background"}


def test_processes_side_by_side_say_the_same(archive, sample):
    told = []
    alone = archive.coverage(sample, workers=1)
    beside = archive.coverage(sample, workers=2, observe=lambda outcome, ended, total: told.append((ended, total)))
    pd.testing.assert_frame_equal(alone.table, beside.table)
    assert told == [(n, 5) for n in range(1, 6)]


def test_the_middle_holds_the_source(archive):
    centre = pd.DataFrame({"ra": [149.6], "dec": [-11.0]})
    found = archive.coverage(centre, obs_ids=["0012345600"], instruments=["M1"], bands=[(0.5, 2.0)])
    (row,) = found.table.to_dict("records")
    # A circle of 20 arcsec holds pi 25 pixels, of 0.02 counts each.
    assert 400 <= row["counts"] <= 400 + 8
    assert row["rate"] == pytest.approx(400 / SECONDS, rel=0.02)
    assert row["exposure"] == SECONDS
    assert row["target"] == row["tile"] == row["owned"] == ""


def test_an_object_has_the_radius_of_the_sample(archive):
    # Half pixels, so that no pixel's middle lies on a circle.
    sizes = pd.DataFrame({"ra": [149.6, 149.62, 149.6], "dec": [-11.0, -11.05, -11.0], "radius_arcsec": [58, 12, 121]})
    use = Aperture(inner=62.0, outer=122.0)
    asked = {"obs_ids": ["0012345600"], "instruments": ["M1"], "bands": [(0.5, 2.0)]}
    found = archive.coverage(sizes, aperture=use, **asked).table
    np.testing.assert_allclose(found["radius"], [58.0, 12.0, 121.0])
    counts, _, header = made_field(FIELDS[0])
    y, x = np.indices(counts.shape)
    away = np.hypot(x - header["CRPIX1"] + 1, y - header["CRPIX2"] + 1) * PIXEL
    assert found["counts"].tolist()[::2] == [counts[away <= 58].sum(), counts[away <= 121].sum()]
    for row, (radius, inner, outer) in ((0, (58, 62, 122)), (2, (121, 121, 242))):
        circle, ring = (away <= radius), (away > inner) & (away <= outer)
        expected = counts[ring].sum() * circle.sum() / ring.sum()
        assert found["background"][row] == pytest.approx(expected, rel=1e-9)
    alone = coverage_at(149.62, -11.05, read_field(*image_of(archive, FIELDS[0])), replace(use, radius=12.0))
    assert found["background"][1] == pytest.approx(alone["background"][0], rel=1e-12)


def test_the_nearest_source_of_the_images_own_list(tmp_path):
    layout = make_archive(tmp_path / "made", FIELDS[:2])
    image, _ = image_of(daxa.Archive(layout.root), FIELDS[0])
    path = image.with_name(image.name.replace("-image", "-sourcelist"))
    found = SkyCoord([149.6, 149.63], [-11.0, -11.04], unit="deg")
    places = [fits.Column(name, "D", array=one) for name, one in (("RA", found.ra.deg), ("DEC", found.dec.deg))]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(places, name="SOURCES")]).writeto(path)
    rows = read_ledger(layout.ledger("xmm", "images"))
    file = ProductFile(path.name, path.stat().st_size, "1" * 64, "2" * 64)
    first = rows[FIELDS[0].obs_id]
    rows = {**rows, first.obs_id: replace(first, files=tuple(sorted((*first.files, file), key=lambda one: one.path)))}
    write_ledger(layout.ledger("xmm", "images"), rows.values(), mission="xmm", step="images")
    objects = SkyCoord([149.601, 149.632, 149.75], [-11.001, -11.03, -11.0], unit="deg")
    table = daxa.Archive(layout.root).coverage({"ra": objects.ra.deg, "dec": objects.dec.deg}).table
    listed = table[table["obs_id"] == FIELDS[0].obs_id]
    there = objects[listed["row"] - 1]
    np.testing.assert_allclose(listed["nearest"], there.match_to_catalog_sky(found)[1].arcsec, rtol=1e-6)
    assert len(listed) >= 2
    assert table["nearest"][table["obs_id"] != FIELDS[0].obs_id].isna().all()
    path.write_bytes(path.read_bytes()[:3000])
    (failure,) = daxa.Archive(layout.root).coverage({"ra": [149.6], "dec": [-11.0]}, obs_ids=[first.obs_id]).failures
    assert failure.reason.startswith("data.damaged")


def test_a_radius_larger_than_any_field_is_refused(archive):
    wide = pd.DataFrame({"ra": [1.0, 2.0], "dec": [1.0, 2.0], "radius_deg": [0.1, 3.0]})
    with pytest.raises(CriteriaError, match="row 2 of the sample: a radius of 180 arcmin") as caught:
        archive.coverage(wide)
    assert "60 arcmin" in caught.value.remedy


def test_what_cannot_be_read_is_reported_and_the_rest_is_not_lost(own_archive, sample):
    image, _ = image_of(own_archive, FIELDS[0])
    image.write_bytes(image.read_bytes()[:9000])
    counts, header = (
        fits.getdata(image_of(own_archive, FIELDS[1])[1]),
        fits.getheader(image_of(own_archive, FIELDS[1])[1]),
    )
    header["CUTID"] = "another"
    fits.PrimaryHDU(counts, header).writeto(image_of(own_archive, FIELDS[1])[1], overwrite=True)
    for workers in (1, 2):
        found = own_archive.coverage(sample, workers=workers)
        assert [one.step for one in found.failures] == [
            "xmm 0012345600 M1 S001 0.5-2 keV",
            "xmm 0012345610 M1 S001 0.5-2 keV",
        ]
        assert [one.reason.partition(":")[0] for one in found.failures] == ["data.damaged", "data.exposure-mismatch"]
        assert set(found.table["obs_id"]) == {one.obs_id for one in FIELDS} - {"0012345610"}


def test_sky_that_nothing_measured_has_no_limit(own_archive, sample):
    """One map with NaN around its field is read as one with zeros; one of last resort gives counts alone."""
    before = own_archive.coverage(sample).table
    for one, change in ((FIELDS[0], None), (FIELDS[1], "FIELD")):
        path = image_of(own_archive, one)[1]
        seconds, header = fits.getdata(path), fits.getheader(path)
        if change:
            header["EXPMETH"] = change
        else:
            seconds = np.where(seconds > 0, seconds, np.nan)
        fits.PrimaryHDU(seconds, header).writeto(path, overwrite=True)
    found = own_archive.coverage(sample)
    assert not found.failures
    same = found.table["obs_id"] != FIELDS[1].obs_id
    pd.testing.assert_frame_equal(found.table[same], before[same])
    unmeasured = found.table[~same]
    assert len(unmeasured) > 10
    assert unmeasured["quality"].str.contains("not-measured").all()
    assert unmeasured[["limit", "rate", "exposure"]].isna().all(axis=None)
    with pytest.raises(NotPossible, match=FIELDS[1].obs_id):
        own_archive.mosaic(own_archive.layout.root.parent / "mosaic", missions=["xmm"], band=(0.5, 2.0))


def test_what_is_not_there_is_named(own_archive, sample):
    for asked, kind, told in (
        ({"missions": ["nustar"]}, CriteriaError, "xmm, chandra"),
        ({"instruments": ["PN"]}, CriteriaError, "ACIS, M1, M2"),
        ({"bands": [(0.5, 3.0)]}, CriteriaError, "0.5-2 keV, 2-10 keV"),
        ({"obs_ids": ["0404910601"]}, ArchiveError, "daxa ls"),
        ({"missions": ["chandra"], "obs_ids": ["0012345600"]}, ArchiveError, "daxa ls"),
        ({"instruments": ["M2"], "bands": [(2.0, 10.0)]}, ArchiveError, "--kind image"),
    ):
        with pytest.raises(kind) as caught:
            own_archive.coverage(sample, **asked)
        assert told in caught.value.remedy
    image_of(own_archive, FIELDS[0])[1].unlink()
    with pytest.raises(ArchiveError, match=r"en0\.5_2\.0keV-expmap\.fits is not here") as caught:
        own_archive.coverage(sample)
    assert "daxa pull" in caught.value.remedy


def test_a_sample_that_nothing_shows(archive):
    found = archive.coverage({"ra": [10.0], "dec": [80.0]})
    assert list(found.table.columns) == [column.name for column in COLUMNS]
    assert (len(found.table), found.seen, found.objects) == (0, 0, 1)


def test_a_place_belongs_to_one_tile():
    tile, beside = find_tile("053141"), find_tile("048141")
    ra, dec = np.array([tile.ra, tile.ra_min - 0.1, tile.ra]), np.full(3, tile.dec)
    missions = np.array(["erass1", "erass1", "xmm"], object)
    assert coverage_table._tiles(missions, ra, dec).tolist() == [tile.obs_id, beside.obs_id, ""]


def test_the_archive_is_only_read(own_archive, sample, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in own_archive.root.rglob("*")}
    own_archive.coverage(sample)
    own_archive.mosaic(tmp_path / "mosaic", missions=["xmm"], band=(0.5, 2.0))
    assert {path: path.stat().st_mtime_ns for path in own_archive.root.rglob("*")} == before


def test_out_of_time_events_are_a_part_of_the_background_and_of_what_was_counted(tmp_path):
    """Where they were subtracted from the image, chance and limit are still those of whole counts."""
    one = Pointing("xmm", "0012345600", "PN", 149.6, -11.0, 3)
    bright = replace(one, readout=0.05)
    places = pd.DataFrame({"ra": [149.6, 149.66, 149.55], "dec": [-11.0, -11.03, -10.96]})
    tables = []
    for name, field in (("plain", one), ("less", bright)):
        archive = daxa.Archive(make_archive(tmp_path / name, [field]).root)
        found = archive.coverage(places)
        assert not found.failures
        tables.append(found.table)
    plain, less = tables
    assert less["counts"].tolist() == plain["counts"].tolist()
    counts, _, header = made_field(one)
    readout = made_readout(bright).astype(float)
    x, y = SkyCoord(places["ra"], places["dec"], unit="deg").to_pixel(WCS(header))
    iy, ix = np.indices((SIZE, SIZE))
    for row, (column, line) in enumerate(zip(x, y, strict=True)):
        away = np.hypot(ix - column, iy - line) * PIXEL
        circle, ring = away <= 20, (away > 60) & (away <= 120)
        sky = (counts[ring].sum() - readout[ring].sum()) / ring.sum() * circle.sum()
        assert less["background"][row] == pytest.approx(readout[circle].sum() + max(sky, 0), rel=1e-5)
    assert (np.isfinite(less["limit"]) & (less["limit"] > 0)).all()
