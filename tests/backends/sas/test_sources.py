"""Sources through the tasks of edetect_chain: what is searched together, our columns, what is not there."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from daxa.backends.contract import check_run
from daxa.backends.sas import SAS
from daxa.backends.tools.command import arguments
from daxa.backends.tools.reading import read_tool
from daxa.backends.tools.written_calls import parse_arguments
from daxa.errors import CallError, DataError
from daxa.run.product import Product
from daxa.xray.detection.source_list import COLUMNS
from tests.backends.sas.observation import NAMES, OBS_ID, Observation
from tests.stubs.install import grant, request

SOURCES = ((60, 40, 400), (25, 75, 120))
"""Pixels from 0, and counts in the lowest band."""


def write_pair(root: Path, camera: str, exposure: str, band: tuple[float, float], *, share=1.0, merged="") -> None:
    """An image of two sources on a flat background, and its exposure map."""
    random = np.random.default_rng([*camera.encode(), round(band[0])])
    counts = random.poisson(0.2, (100, 100)).astype(np.int32)
    for x, y, number in SOURCES:
        places = np.rint(random.normal((x, y), 1.0, (int(number * share), 2))).astype(int)
        np.add.at(counts, (places[:, 1], places[:, 0]), 1)
    cards = {"TELESCOP": "XMM", "INSTRUME": NAMES[camera], "OBS_ID": OBS_ID, "DATE-OBS": "2006-05-27T09:58:06"}
    for axis, kind, value, side in ((1, "RA---TAN", 149.6, -1), (2, "DEC--TAN", -11.0, 1)):
        cards |= {f"CTYPE{axis}": kind, f"CRVAL{axis}": value, f"CRPIX{axis}": 50.5, f"CDELT{axis}": side * 4.35 / 3600}
    cards |= {"CHANMIN": round(1000 * band[0]) + (band[0] > 1), "CHANMAX": round(1000 * band[1])}
    cards |= {"MERGED": merged} if merged else {}
    (root / "images").mkdir(exist_ok=True)
    for kind, pixels, unit in (("image", counts, "count"), ("expmap", np.full(counts.shape, 2e4, np.float32), "s")):
        name = Product(OBS_ID, camera, exposure, kind, *map(repr, band)).name
        fits.PrimaryHDU(pixels, fits.Header(cards | {"BUNIT": unit})).writeto(root / "images" / name)


SOFT, HARD = (0.5, 2.0), (2.0, 10.0)


@pytest.fixture
def imaged(tmp_path, here) -> Observation:
    """Two bands of MOS1 and of pn, in which sources are half as bright."""
    made = Observation(tmp_path)
    for camera, exposure in (("M1", "S001"), ("PN", "S003")):
        write_pair(tmp_path, camera, exposure, SOFT)
        write_pair(tmp_path, camera, exposure, HARD, share=0.5)
    made.cameras = ["M1", "PN"]
    return made


def listed(observed: Observation, camera: str, exposure: str = "", band: str = "0.5_2.0") -> fits.BinTableHDU:
    exposure = exposure or {"M1": "S001", "PN": "S003"}[camera]
    name = f"obsid{OBS_ID}-inst{camera}-subexp{exposure}-en{band}keV-sourcelist.fits"
    with fits.open(observed.root / "sources" / name, memmap=False) as parts:
        return parts[1].copy()


def test_each_image_of_the_band_is_searched_and_its_list_has_our_columns(imaged):
    names = imaged.run("sources")
    stem = f"obsid{OBS_ID}-instM1-subexpS001-en0.5_2.0keV-"
    own = [name.removeprefix(stem) for name in names if name.startswith(stem)]
    lists = [f"sourcelist.{one}" for one in ("fits", "parquet", "reg")]
    assert own == ["background.fits", "quicklook.png", "sensitivity.fits", *lists]
    assert f"obsid{OBS_ID}-instALL-subexpALL-en-search.json" in names
    table = listed(imaged, "M1")
    assert {name.upper() for name in COLUMNS} == {name.upper() for name in table.columns.names}
    assert table.header["DETMETH"] == "EMLDETECT"
    assert "FALSEEXP" not in table.header
    header = fits.getheader(imaged.root / "images" / f"{stem}image.fits")
    wcs = WCS({card: header[card] for card in header if card[:5] in ("CTYPE", "CRVAL", "CRPIX", "CDELT")})
    pixels = np.array(SOURCES, float)
    wanted = SkyCoord(*wcs.all_pix2world(pixels[:, 0], pixels[:, 1], 0), unit="deg")
    found = SkyCoord(table.data["RA"], table.data["DEC"], unit="deg")
    assert len(found) == 2
    assert (found.separation(wanted).arcsec < 20).all()
    assert (np.diff(table.data["LIKELIHOOD"]) < 0).all()
    np.testing.assert_allclose(table.data["RATE"], table.data["COUNTS"] / 2e4, rtol=1e-5)
    assert (table.data["RATE_LOW"] < table.data["RATE"]).all()
    assert (table.data["RATE"] < table.data["RATE_HIGH"]).all()
    np.testing.assert_allclose(table.data["RADIUS"], 45 / 4.35, rtol=1e-4)
    # What SAS does not say is no value.
    assert np.isnan(table.data["SCALE"]).all()
    same = pd.read_parquet(imaged.root / "sources" / f"{stem}sourcelist.parquet")
    np.testing.assert_allclose(same["ra"], table.data["RA"])
    background, header = fits.getdata(imaged.root / "sources" / f"{stem}background.fits", header=True)
    assert (header["BUNIT"], header["LOGP"], header["INSTRUME"]) == ("count", -10.0, "EMOS1")
    assert background.shape == (100, 100)
    assert fits.getheader(imaged.root / "sources" / f"{stem}sensitivity.fits")["BUNIT"] == "count/s"
    searched = json.loads((imaged.root / "sources" / f"obsid{OBS_ID}-instALL-subexpALL-en-search.json").read_text())
    assert [(one["instrument"], one["band"], one["sources"]) for one in searched] == [
        ("PN", "0.5-2.0 keV", 2), ("M1", "0.5-2.0 keV", 2)
    ]  # fmt: skip


def test_the_tasks_of_the_chain_are_called_in_its_order(imaged):
    imaged.run("sources", band="2-10 keV")
    of_pn = [line for line in imaged.commands() if "PN-S003" in line and "M1" not in line]
    assert [line.split()[0] for line in of_pn] == [
        *("emask", "eboxdetect", "esplinemap", "eboxdetect", "emldetect", "esensmap")
    ]
    image, expmap = "PN-S003-image-2.0_10.0.fits", "PN-S003-expmap-2.0_10.0.fits"
    files = {f"imagesets={image}", f"expimagesets={expmap}", "detmasksets=PN-S003-mask.fits", "pimin=2001"}
    local, above, fitted = (set(shlex.split(of_pn[at])) for at in (1, 3, 4))
    assert {*files, "usemap=no", "boxlistset=PN-S003-local.fits", "likemin=8.0", "pimax=10000"} <= local
    assert {*files, "usemap=yes", "bkgimagesets=PN-S003-2.0_10.0-bkg.fits", "boxlistset=PN-S003-map.fits"} <= above
    assert {*files, "mllistset=PN-S003-eml.fits", "mlmin=10.0", "fitextent=yes", "extentmodel=beta"} <= fitted
    assert "idband=1" in shlex.split(of_pn[2])
    for line in imaged.commands():
        name, *tokens = shlex.split(line)
        for release in ("13.5", "22.1"):
            assert arguments(parse_arguments(read_tool("sas", name), release, tokens)) == tokens


def test_bands_and_cameras_can_be_searched_together(imaged):
    imaged.run("sources", together="bands")
    (line,) = [line for line in imaged.commands("emldetect") if "M1" in line]
    assert "'imagesets=M1-S001-image-0.5_2.0.fits M1-S001-image-2.0_10.0.fits'" in line
    assert "'pimin=500 2001' 'pimax=2000 10000'" in line
    assert [one for one in imaged.commands("esplinemap") if "M1" in one][1].count("idband=2") == 1
    # Counts are those of the band: the stand-in divides them equally.
    of_bands = listed(imaged, "M1").data["COUNTS"].copy()
    other = Observation(imaged.root / "other")
    (other.root / "images").symlink_to(imaged.root / "images")
    other.run("sources", together="cameras")
    (line,) = other.commands("emldetect")
    first = line.partition("imagesets=")[2].split()[0]
    assert first == "PN-S003-image-0.5_2.0.fits", "pn comes first, as in edetect_chain"
    assert "'detmasksets=PN-S003-mask.fits M1-S001-mask.fits'" in line
    names = {path.name for path in (other.root / "sources").iterdir()}
    assert "EPIC-emldetect.fits" in names
    of_both = [listed(other, camera) for camera in ("M1", "PN")]
    np.testing.assert_array_equal(of_both[0].data["RA"], of_both[1].data["RA"])
    assert (of_both[0].data["LIKELIHOOD"][:2] > 10).all()
    assert len(of_bands) == len(of_both[0].data) == 2


def test_rows_of_cameras_and_bands_are_told_apart(tmp_path):
    """As ESA describes the list: 0 stands for a sum; a source that a camera did not see has no counts there."""
    from daxa.backends.sas.source_lists import Searched, write_plain_list

    rows = [(7, 0, 0, 90.0, 30.0), (7, 1, 0, 60.0, 20.0), (7, 1, 1, 40.0, 12.0), (7, 1, 2, 20.0, 8.0),
            (7, 2, 0, 30.0, 10.0), (7, 2, 1, 30.0, 10.0), (9, 0, 0, 50.0, 25.0), (9, 1, 1, 50.0, 25.0)]  # fmt: skip
    told = dict(zip(("ML_ID_SRC", "ID_INST", "ID_BAND", "SCTS", "DET_ML"), np.array(rows).T, strict=True))
    others = ("RA", "DEC", "X_IMA_ERR", "Y_IMA_ERR", "EXT", "EXT_ML", "RATE", "RATE_ERR", "EXP_MAP", "BG_MAP")
    told |= {name: np.ones(len(rows)) for name in others}
    columns = [fits.Column(name, "D", array=values) for name, values in told.items()]
    fits.BinTableHDU.from_columns(columns, name="SRCLIST").writeto(tmp_path / "eml.fits")

    def of(camera: str, band: int, *, alone: bool = False) -> list[list[float]]:
        product = Product(OBS_ID, camera, f"S00{band}{alone:d}", "image", "0.5", "2.0")
        plain = write_plain_list(Searched(product, "", "", band, "eml.fits", 10.0, alone), tmp_path)
        table = fits.getdata(tmp_path / plain)
        return np.column_stack([table["COUNTS"], table["LIKELIHOOD"]]).tolist()

    assert of("PN", 1) == [[40.0, 30.0], [50.0, 25.0]]
    assert of("M1", 1)[0] == [30.0, 30.0]
    assert np.isnan(of("M1", 1)[1][0])
    assert of("M2", 1, alone=True) == [[90.0, 30.0], [50.0, 25.0]], "one image alone is the sum"
    (tmp_path / "eml.fits").write_text("no list")
    with pytest.raises(DataError, match="not a list of emldetect"):
        of("M1", 2)


@pytest.mark.parametrize(("column", "value"), [("RA", np.nan), ("DEC", 91.0), ("DEC", np.inf)])
def test_a_source_that_is_nowhere_is_refused(tmp_path, column, value):
    from daxa.backends.adopting import adopt_search

    values = {"RA": np.array([10.0, 11.0]), "DEC": np.array([-5.0, 5.0])}
    values[column][1] = value
    columns = [fits.Column(name, "D", array=array) for name, array in values.items()]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "list.fits")
    with pytest.raises(DataError, match="1 source without a position"):
        adopt_search(tmp_path, tmp_path / "search.json", searches=[({}, "list.fits")])


@pytest.mark.parametrize("column", ["ML_ID_SRC", "ID_INST", "ID_BAND"])
def test_a_row_that_names_no_source_is_refused(tmp_path, column):
    from daxa.backends.sas.source_lists import _OF_FIT, _OF_IMAGE, Searched, write_plain_list

    names = ("ML_ID_SRC", "ID_INST", "ID_BAND", *_OF_FIT, *_OF_IMAGE)
    columns = [fits.Column(one, "D", array=[1.0, np.nan if one == column else 1.0]) for one in names]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "eml.fits")
    product = Product(OBS_ID, "PN", "S003", "image", "0.5", "2.0")
    with pytest.raises(DataError, match="rows without a source"):
        write_plain_list(Searched(product, "", "", 1, "eml.fits", 10.0, alone=True), tmp_path)


def test_parameters_of_the_tasks_can_be_set_and_links_left_out(imaged):
    imaged.run(
        "sources", skip=["esensmap"], sas={"emldetect": {"mlmin": 20.0, "ecut": 15.0}, "emask": {"threshold1": 0.3}}
    )
    assert "mlmin=20.0" in imaged.commands("emldetect")[0]
    assert "ecut=15.0" in imaged.commands("emldetect")[0]
    assert "threshold1=0.3" in imaged.commands("emask")[0]
    names = {path.name for path in (imaged.root / "sources").iterdir()}
    assert not [name for name in names if "sensitivity" in name]
    assert listed(imaged, "M1").header["LOGP"] == -20.0
    other = Observation(imaged.root / "other")
    (other.root / "images").symlink_to(imaged.root / "images")
    names = other.run("sources", stop_after="esplinemap")
    assert [name for name in names if "sourcelist" in name] == []
    searched = json.loads((other.root / "sources" / f"obsid{OBS_ID}-instALL-subexpALL-en-search.json").read_text())
    assert {(one["searched"], one["reason"]) for one in searched} == {(False, "sources.skip")}
    assert SAS.check("xmm", {"sources": {"sas": {"emldetect": {"mlmin": 0.5}}}})
    assert SAS.check("xmm", {"sources": {"sas": {"emldetect": {"imagesets": "a.fits"}}}})
    assert not SAS.check("xmm", {"sources": {"band": "0.5-2 keV", "together": "cameras"}})


def test_an_image_without_sources_has_an_empty_list(tmp_path, here):
    made = Observation(tmp_path)
    write_pair(tmp_path, "M1", "S001", SOFT, share=0.0)
    made.run("sources")
    assert made.commands("emldetect") == []
    assert len(listed(made, "M1").data) == 0
    (searched,) = json.loads(next((tmp_path / "sources").glob("*search.json")).read_text())
    assert (searched["searched"], searched["sources"]) == (True, 0)


def test_what_cannot_be_searched_is_refused_by_name(tmp_path, here, prefix):
    made = Observation(tmp_path)
    write_pair(tmp_path, "M1", "S001", SOFT)
    with pytest.raises(DataError) as caught:
        made.run("sources", band="3-4 keV")
    assert '"0.5-2.0 keV"' in caught.value.remedy
    write_pair(tmp_path, "M1", "S002", SOFT)
    with pytest.raises(DataError, match="several exposures of a camera"):
        made.run("sources", together="cameras")
    # Exposures that are there as one are searched as one.
    write_pair(tmp_path, "M1", "ALL", SOFT, merged="S001,S002")
    made.run("sources", together="cameras", stop_after="emask")
    assert [line.split()[1] for line in made.commands("emask")] == ["detmaskset=M1-ALL-mask.fits"]
    for path in (tmp_path / "images").glob("*expmap*"):
        path.unlink()
    other = Observation(tmp_path / "other")
    (other.root / "images").symlink_to(tmp_path / "images")
    with pytest.raises(DataError, match="no image of EPIC with an exposure map"):
        other.run("sources")


def test_a_task_that_fails_is_named_where_edetect_chain_would_go_on(imaged, prefix):
    request(prefix, "esplinemap", "errorAndZero")
    try:
        with pytest.raises(CallError) as caught:
            imaged.run("sources")
    finally:
        grant(prefix, "esplinemap")
    assert caught.value.code == "sas.esplinemap.noCounts"
    assert imaged.run("sources")


PUBLIC = """
emask expimageset=exp.ds threshold1=0.25 detmaskset=m.ds
eboxdetect usemap=no likemin=8 withdetmask=yes detmasksets=m.ds imagesets=i.ds pimin=200 pimax=10000 boxlistset=l.ds
esplinemap bkgimageset=b.ds scut=0.005 imageset=i.ds nsplinenodes=16 withdetmask=yes detmaskset=m.ds boxlistset=l.ds
emldetect imagesets=i.ds bkgimagesets=b.ds boxlistset=map.ds ecf=2.0 mllistset=eml.ds mlmin=10 determineerrors=yes
esensmap expimagesets=exp.ds bkgimagesets=b.ds detmasksets=m.ds mlmin=10 sensimageset=s.ds
edetect_chain 'imagesets=a b' 'eventsets=c d' attitudeset=e 'pimin=300 300' 'pimax=10000 10000' eml_list=eml.ds
"""
"""Calls of ESA's thread on source detection and of public scripts, with shorter names of files."""


@pytest.mark.parametrize("line", PUBLIC.strip().splitlines(), ids=lambda line: line.split()[0])
def test_calls_that_others_make_are_read_by_the_tables(line):
    name, *tokens = shlex.split(line)
    call = parse_arguments(read_tool("sas", name), "22.1", tokens)
    assert arguments(call) == tokens


def test_the_contract_of_a_run(imaged, tmp_path):
    task = imaged.task("sources")
    names = check_run(SAS, task, {"images": imaged.root / "images"}, tmp_path)
    assert f"obsid{OBS_ID}-instPN-subexpS003-en0.5_2.0keV-sourcelist.fits" in names
