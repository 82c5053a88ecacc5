"""What SAS itself made of a real observation: images of lists that it cleaned, and its index of calibration files."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.io import fits

from daxa.backends.adopting import adopt_events, adopt_measures
from daxa.backends.sas.constituents import constituents_of, read_constituents, used_identity
from daxa.backends.tools.calibration import index_identity
from daxa.run.product import Product
from daxa.xray.imaging.pairing import same_grid
from tests.backends.native.observations import Fetched, run_step
from tests.stubs.ccf import write_ccf

OBS_ID, A907 = "0404910601", "xmm/0404910601"
IMAGES = {
    "mos1": ("M1", "S001", f"{A907}/images/0404910601_mos1_exp1-0.50-2.00keVimg.fits", 27_546),
    "mos2": ("M2", "S002", f"{A907}/maps/0404910601_mos2_exp1-0.50-2.00keVimg.fits.gz", 26_069),
}
"""Both lists are there, and were cut as the images say (XPROC0); of pn, and of 2-10 keV, list or image is missing."""


@pytest.fixture(scope="module", params=IMAGES)
def adopted(request, real_data, tmp_path_factory):
    """The list that SAS cleaned, adopted as if it came from elsewhere, and native images of it."""
    camera, exposure, image, counts = IMAGES[request.param]
    root = tmp_path_factory.mktemp(request.param)
    (root / "clean").mkdir()
    source = real_data / A907 / "eclean" / f"{request.param}_exp1_clean_evts.fits"
    (root / "list.fits").write_bytes(source.read_bytes())
    product = Product(OBS_ID, camera, exposure, "finalevents")
    adopt_events(root, root / "clean" / product.name, events="list.fits", obs_id=OBS_ID, before="")
    measures = Product(OBS_ID, "ALL", "ALL", "measures", suffix="json").name
    adopt_measures(root, root / "clean" / measures, lists=[(product, "list.fits", "list.fits")], obs_id=OBS_ID)
    fetched = Fetched("xmm", OBS_ID, (camera,), {})
    target, log = run_step(fetched, "images", root, bands=["0.5-2.0 keV"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, header = fits.getdata(real_data / image, header=True)
    return target, f"obsid{OBS_ID}-inst{camera}-subexp{exposure}-", theirs, header, counts, log


def test_native_images_of_lists_that_sas_cleaned_equal_those_of_sas(adopted):
    target, stem, theirs, header, counts, log = adopted
    ours, made = fits.getdata(target / f"{stem}en0.5_2.0keV-image.fits", header=True)
    assert theirs.sum() == counts
    np.testing.assert_array_equal(ours, theirs, err_msg=log)
    assert same_grid(made, header)
    assert made["EXPOSURE"] == pytest.approx(header["EXPOSURE"], rel=1e-6)
    assert (made["CHANMIN"], made["CHANMAX"]) == (500, 2000)


@pytest.fixture(scope="module")
def index(real_data):
    """The index of calibration files that SAS 13.5 used for it, which its lists carry."""
    with fits.open(real_data / A907 / "eclean" / "mos1_exp1_clean_evts.fits") as parts:
        return parts["CALINDEX"].copy()


def test_the_rule_of_the_choice_is_that_of_a_real_index(index, tmp_path):
    """All its files are chosen, whatever newer or later ones are beside them."""
    folder, date, as_of = tmp_path / "ccf", index.header["OBSVDATE"], index.header["ANALDATE"]
    for row in index.data:
        cards = {"valid": row["VALDATE"], "until": row["VALDATE-END"].strip(), "submitted": row["SUBDATE"]}
        write_ccf(folder, row["FNAME"].rpartition("/")[2], **cards)
    mjd = 53882 + (9 * 60 + 39) / 1440
    assert date.startswith("2006-05-27T09:39")
    every = ("PN", "M1", "M2", "R1", "R2", "OM")

    def identity(*instruments: str, as_of: str = as_of) -> str:
        return used_identity(constituents_of([folder]), instruments or every, mjd, mjd + 0.2, as_of)

    known = read_constituents(constituents_of([folder]))
    assert len(known) == len(index.data) == 118
    assert len({(one.scope, one.type) for one in known}) == 118
    assert {one.scope for one in known} >= {"EMOS1", "EMOS2", "EPN", "RGS1", "RGS2", "OM", "XMM", "XRT1", "XRT3"}
    before, of_m1 = identity(), identity("M1")
    assert before != of_m1
    # None of them can go, and nothing that is not valid, not there yet, or of an older issue changes the choice.
    write_ccf(folder, "EMOS1_CTI_0069.CCF", valid="2005-10-19T19:00:01", submitted="2011-01-01T00:00:00")
    write_ccf(folder, "EMOS1_CTI_0099.CCF", valid="2006-08-12T23:00:01", submitted="2012-02-15T18:01:03")
    write_ccf(folder, "XMM_BORESIGHT_0024.CCF", valid="2000-01-01T00:00:00", submitted="2014-05-09T06:00:00")
    assert (identity(), identity("M1")) == (before, of_m1)
    assert identity("M1", as_of="2015-01-01") != of_m1
    for name, concerns_m1 in (("EMOS1_CTI_0070", True), ("EMOS2_BADPIX", False), ("XRT3_XPSF_0016", True)):
        path = next(folder.glob(f"{name}*.CCF"))
        content = path.read_bytes()
        path.unlink()
        assert identity() != before, name
        assert (identity("M1") != of_m1) == concerns_m1, name
        path.write_bytes(content)
    assert (identity(), identity("M1")) == (before, of_m1)


def test_a_real_index_is_identified_by_its_files(index, tmp_path):
    fits.HDUList([fits.PrimaryHDU(), index]).writeto(tmp_path / "ccf.cif")
    moved = index.copy()
    moved.data["FNAME"] = [f"/elsewhere/{name.rpartition('/')[2]}" for name in moved.data["FNAME"]]
    moved.header["ANALDATE"] = "2026-11-30"
    fits.HDUList([fits.PrimaryHDU(), moved]).writeto(tmp_path / "moved.cif")
    assert index_identity(tmp_path / "moved.cif") == index_identity(tmp_path / "ccf.cif")
    moved.data["ISSUE"][3] += 1
    fits.HDUList([fits.PrimaryHDU(), moved]).writeto(tmp_path / "newer.cif")
    assert index_identity(tmp_path / "newer.cif") != index_identity(tmp_path / "ccf.cif")
