"""Mosaics of an archive of images; those of events are in `tests/journey/test_views.py`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from mocpy import MOC

import daxa
from daxa.analysis.mosaic import write_sky
from daxa.errors import ArchiveError, CriteriaError, DataError, NotPossible, StorageError
from tests.analysis.fields import SECONDS, Pointing, made_field, made_readout, make_archive

HERE = Pointing("xmm", "0012345600", "M1", 149.6, -11.0, 1)
BESIDE = Pointing("xmm", "0012345601", "M1", 149.7, -11.0, 2)
OTHER = Pointing("xmm", "0012345601", "PN", 149.7, -11.0, 3, exposure="S003")
HARD = Pointing("xmm", "0012345600", "M1", 149.6, -11.0, 4, band=(2.0, 10.0))
CHANDRA = Pointing("chandra", "90001", "ACIS", 149.6, -11.05, 5, exposure="None")
FAR = Pointing("chandra", "90002", "ACIS", 200.0, 30.0, 6, exposure="None")
ALL = (HERE, BESIDE, OTHER, HARD, CHANDRA, FAR)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return daxa.Archive(make_archive(tmp_path_factory.mktemp("mosaic") / "made", ALL).root)


def test_counts_are_kept_and_exposures_add(archive, tmp_path):
    told = []
    made = archive.mosaic(
        tmp_path / "new" / "mosaic",
        missions=["xmm"],
        band=(0.5, 2.0),
        weights={"PN": 2.5},
        observe=lambda outcome, ended, total: told.append((outcome.obs_id, ended, total)),
    )
    image, seconds, rate = (fits.getdata(made.files[kind]) for kind in ("image", "expmap", "ratemap"))
    whole = [made_field(one)[0].sum() for one in (HERE, BESIDE, OTHER)]
    assert image.sum() == sum(whole)
    assert [ended for _, ended, _ in told] == [1, 2, 3]
    assert made.members == made.without_events
    header = fits.getheader(made.files["expmap"])
    wcs = WCS(header)
    places = SkyCoord([149.6, 149.7, 149.65, 149.48], [-11.0] * 4, unit="deg")
    at = [tuple(np.round(one).astype(int)) for one in zip(*wcs.world_to_pixel(places)[::-1], strict=True)]
    assert [seconds[one] for one in at] == pytest.approx([4.5 * SECONDS, 4.5 * SECONDS, 4.5 * SECONDS, SECONDS])
    seen = np.isfinite(rate)
    np.testing.assert_allclose(rate[seen], image[seen] / seconds[seen], rtol=1e-6)
    assert made.files["quicklook"].read_bytes()[:4] == b"\x89PNG"
    assert sorted(path.name for path in (tmp_path / "new" / "mosaic").iterdir()) == sorted(
        path.name for path in made.files.values()
    )


def test_what_no_reference_confirms_of_a_map_is_said_of_the_sum(tmp_path):
    root = make_archive(tmp_path / "made", [HERE, BESIDE]).root
    one = min(root.rglob("*-expmap.fits"))
    for remark, error in (("no vignetting", None), ("pn above 2 keV", 0.08)):
        fits.setval(one, "UNVERIF", value=remark)
        if error:
            fits.setval(one, "UNVERERR", value=error)
        made = daxa.Archive(root).mosaic(tmp_path / remark, missions=["xmm"], band=(0.5, 2.0))
        header = fits.getheader(made.files["expmap"])
        assert (header["UNVERIF"], header.get("UNVERERR")) == (remark, error)


def test_the_same_mosaic_has_the_same_bytes(archive, tmp_path):
    one, two = (archive.mosaic(tmp_path / name, missions=["xmm"], band=(0.5, 2.0)).files for name in ("one", "two"))
    assert [one[kind].read_bytes() for kind in one] == [two[kind].read_bytes() for kind in two]


def test_bands_that_differ_are_named(archive, tmp_path):
    with pytest.raises(CriteriaError) as caught:
        archive.mosaic(tmp_path / "mosaic")
    assert caught.value.code == "criteria.band"
    assert "0.5-2 keV (xmm, chandra); 2-10 keV (xmm)" in caught.value.message
    assert not (tmp_path / "mosaic").exists()
    archive.mosaic(tmp_path / "mosaic", obs_ids=["90001"])


@pytest.mark.parametrize(
    ("asked", "kind", "code"),
    [
        ({"band": (0.5, 2.0)}, NotPossible, "impossible.mosaic-size"),
        ({"missions": ["xmm"], "band": (0.5, 2.0), "weights": {"M2": 1.0}}, CriteriaError, "criteria.weight"),
        ({"missions": ["xmm"], "band": (0.5, 2.0), "weights": {"M1": -1.0}}, CriteriaError, "criteria.weight"),
        ({"missions": ["xmm"], "band": (0.5, 2.0), "pixel_arcsec": float("nan")}, CriteriaError, "criteria.pixel"),
        ({"missions": ["xmm"], "band": (0.5, 7.0)}, CriteriaError, "criteria.band"),
    ],
)
def test_what_makes_no_mosaic_is_refused(archive, tmp_path, asked, kind, code):
    with pytest.raises(kind) as caught:
        archive.mosaic(tmp_path / "mosaic", **asked)
    assert caught.value.code == code
    assert caught.value.remedy
    assert not (tmp_path / "mosaic").exists()


def test_nothing_is_written_into_the_archive_or_over_files(archive, tmp_path):
    with pytest.raises(ArchiveError, match="lies inside the archive"):
        archive.mosaic(archive.root / "data" / "mosaic", obs_ids=["90001"])
    (tmp_path / "link").symlink_to(archive.root)
    with pytest.raises(ArchiveError, match="lies inside the archive"):
        archive.mosaic(tmp_path / "link" / "mosaic", obs_ids=["90001"])
    archive.mosaic(tmp_path / "mosaic", obs_ids=["90001"])
    with pytest.raises(StorageError, match="already exists"):
        archive.mosaic(tmp_path / "mosaic", obs_ids=["90001"])
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(StorageError, match="cannot be written"):
        archive.mosaic(tmp_path / "file", obs_ids=["90001"])


def test_parts_of_an_exposure_do_not_count_beside_the_whole(tmp_path):
    parts = [Pointing("xmm", "0012345600", "M1", 149.6, -11.0, 1, exposure=name) for name in ("ALL", "S001", "U002")]
    made = daxa.Archive(make_archive(tmp_path / "made", parts).root).mosaic(tmp_path / "mosaic")
    assert made.members == ("xmm/M1/0012345600/ALL",)
    assert made.mosaic.counts.sum() == made_field(parts[0])[0].sum()


@pytest.mark.parametrize("every", [True, False])
def test_out_of_time_events_are_subtracted_where_they_are_from_the_images(tmp_path, every):
    """As in combined images: what is known is subtracted, and OOTCORR says whether that is so of every member."""
    members = [
        replace(OTHER, readout=0.004),
        replace(OTHER, obs_id="0012345602", ra=149.61, seed=7, readout=0.006 if every else 0.0),
        HERE,
    ]
    made = daxa.Archive(make_archive(tmp_path / "made", members).root).mosaic(tmp_path / "mosaic")
    image, seconds, rate = (fits.getdata(made.files[kind]) for kind in ("image", "expmap", "ratemap"))
    assert fits.getheader(made.files["image"])["OOTCORR"] is every
    counted, taken = (sum(float(one.sum()) for one in parts) for parts in (
        [made_field(one)[0] for one in members], [made_readout(one) for one in members]
    ))  # fmt: skip
    assert taken > 100
    assert image.sum(dtype=float) == pytest.approx(counted - taken, abs=0.01 * taken)
    seen = np.isfinite(rate)
    np.testing.assert_allclose(rate[seen] * seconds[seen], image[seen], atol=1e-4)
    write_sky(tmp_path / "cells.fits", made.mosaic, healpix_order=12)
    assert fits.getdata(tmp_path / "cells.fits", 1)["COUNTS"].sum() == pytest.approx(image.sum(dtype=float), abs=0.1)


def test_an_image_without_the_events_subtracted_from_it_is_refused(tmp_path):
    archive = daxa.Archive(make_archive(tmp_path / "made", [replace(OTHER, readout=0.004)]).root)
    (path,) = archive.root.rglob("*-ootimage.fits")
    path.write_bytes(path.read_bytes()[:5_000])
    with pytest.raises(DataError, match=f"{path.name} cannot be read"):
        archive.mosaic(tmp_path / "mosaic")
    path.unlink()
    with pytest.raises(ArchiveError, match=f"{path.name} is not here"):
        archive.mosaic(tmp_path / "mosaic")


def test_a_damaged_map_is_named(tmp_path):
    archive = daxa.Archive(make_archive(tmp_path / "made", [HERE]).root)
    (path,) = archive.root.rglob("*-expmap.fits")
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(DataError, match=f"{path.name} cannot be read"):
        archive.mosaic(tmp_path / "mosaic")


def test_coverage_of_the_sky(archive, tmp_path):
    mosaic = archive.mosaic(tmp_path / "mosaic", missions=["xmm"], band=(0.5, 2.0)).mosaic
    write_sky(tmp_path / "sky.moc.fits", mosaic)
    moc = MOC.from_fits(tmp_path / "sky.moc.fits")
    inside = moc.contains_skycoords(SkyCoord([149.6, 149.7, 149.9], [-11.0, -11.0, -11.0], unit="deg"))
    assert inside.tolist() == [True, True, False]
    write_sky(tmp_path / "cells.fits", mosaic, healpix_order=12)
    cells = fits.getdata(tmp_path / "cells.fits", 1)
    assert cells["COUNTS"].sum() == mosaic.counts.sum()
    with pytest.raises(StorageError, match="already exists"):
        write_sky(tmp_path / "cells.fits", mosaic, healpix_order=12)
    with pytest.raises(DataError, match="not wider than two pixels"):
        write_sky(tmp_path / "fine.fits", mosaic, healpix_order=20)
    assert not (tmp_path / "fine.fits").exists()
