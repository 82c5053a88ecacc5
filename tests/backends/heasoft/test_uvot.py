"""Swift's UVOT: off unless it is chosen, under kinds of its own, and never in the way of the XRT."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from daxa.backends import find_backend
from daxa.errors import CallError, DataError
from daxa.run.product import KINDS, parse_product
from tests.backends.conftest import prefix_of
from tests.backends.heasoft.test_pipelines import PIPELINES, lay_out
from tests.backends.heasoft.uvot_images import SECONDS, add_images
from tests.backends.observed import Observed
from tests.stubs.install import grant, request

SWIFT = PIPELINES["swift"]


@pytest.fixture
def seen(stand_ins, tmp_path) -> Observed:
    """XRT; two filters, of one of which a third image has no corrected coordinates; a grism."""
    made = lay_out(SWIFT, tmp_path)
    add_images(tmp_path / "fetch", SWIFT.obs_id, "uw1", ("DIRECT", "NONE", "DIRECT"))
    add_images(tmp_path / "fetch", SWIFT.obs_id, "uvv")
    add_images(tmp_path / "fetch", SWIFT.obs_id, "ugu")
    return Observed(tmp_path, "swift", made.obs_id, ("XRT", "UVOT"))


def of_uvot(place: Path) -> list[str]:
    start = f"obsid{SWIFT.obs_id}-instUVOT-subexp"
    return sorted(path.name.removeprefix(start) for path in place.glob(f"{start}*"))


def product(place: Path, name: str, kind: str) -> Path:
    return place / f"obsid{SWIFT.obs_id}-instUVOT-subexp{name}-en-{kind}.fits"


def test_it_is_left_alone_unless_it_is_chosen(seen):
    seen.instruments = ("XRT",)
    assert of_uvot(seen.run("events", "heasoft")) == []
    assert "== uvot" not in seen.logs["events"]


def test_images_of_a_filter_are_added_and_searched_and_go_no_further(seen):
    place = seen.run("events", "heasoft", heasoft={"uvotdetect": {"threshold": 2.5}})
    kinds = ("uvotexposure", "uvotimage", "uvotsources")
    assert of_uvot(place) == [f"{name}-en-{kind}.fits" for name in ("uvv", "uw1") for kind in kinds]
    assert not {parse_product(path.name).kind for path in place.glob("*UVOT*")} & set(KINDS)
    calls = [line[2:] for line in seen.logs["events"].splitlines() if line.startswith("$ uvot")]
    assert calls[2:4] == [
        "uvotimsum infile=obs/uvot/image/sw00092220001uw1_ex.img outfile=uw1_ex.img expmap=yes clobber=yes",
        "uvotimsum infile=obs/uvot/image/sw00092220001uw1_sk.img outfile=uw1_sk.img expmap=no clobber=yes",
    ]
    assert calls[-1] == (
        "uvotdetect infile=uw1_sk.img outfile=uw1_src.fits expfile=uw1_ex.img threshold=2.5 expopt=ALPHA clobber=yes"
    )
    assert fits.getdata(product(place, "uw1", "uvotexposure")).max() == 2 * SECONDS, "one was not corrected"
    (source,) = fits.getdata(product(place, "uw1", "uvotsources"))
    assert (source["RA"], source["DEC"]) == (150.0, -11.0)
    assert source["RATE"] == pytest.approx(798 / (2 * SECONDS))
    assert list(place.glob("*instXRT*-events.fits"))
    assert not list(seen.run("clean", "native", flares="none").glob("*UVOT*"))


def test_a_filter_without_usable_images_has_no_products_and_a_failure_is_not_that_of_the_xrt(seen, stand_ins):
    add_images(seen.root / "fetch", SWIFT.obs_id, "um2", ("NONE",))
    prefix = prefix_of(stand_ins["heasoft"])
    request(prefix, "uvotdetect", "errorAndOne")
    try:
        with pytest.raises(CallError) as failed:
            seen.run("events", "heasoft")
        assert failed.value.code.startswith("heasoft.uvotdetect.")
        assert "UVOT-uvv" in failed.value.remedy
        place = seen.run("events", "heasoft", failing="leave out")
    finally:
        grant(prefix, "uvotdetect")
    assert of_uvot(place) == []
    assert list(place.glob("*instXRT*-events.fits"))
    assert not [name for name in of_uvot(seen.run("events", "heasoft")) if name.startswith("um2")]


def test_images_of_different_frame_times_are_added_only_on_request(seen):
    path = seen.root / f"fetch/uvot/image/sw{SWIFT.obs_id}uw1_sk.img.gz"
    with fits.open(path, mode="update") as parts:
        parts[3].header["FRAMTIME"] = 0.0036
    with pytest.raises(CallError) as failed:
        seen.run("events", "heasoft")
    assert failed.value.code == "heasoft.uvotimsum.frameTimes"
    assert "ignoreframetime = true" in failed.value.remedy
    place = seen.run("events", "heasoft", heasoft={"uvotimsum": {"ignoreframetime": True}}, skip=["uvotdetect"])
    assert [name for name in of_uvot(place) if "sources" in name] == []
    assert product(place, "uw1", "uvotimage").exists()


def test_an_observation_of_the_uvot_alone_is_processed_by_itself(seen):
    seen.instruments = ("UVOT",)
    place = seen.run("events", "heasoft")
    assert len(of_uvot(place)) == len(list(place.iterdir())) == 6
    assert "xrtpipeline" not in seen.logs["events"]


def test_an_observation_without_one_of_the_two_is_processed_with_the_other(seen):
    shutil.rmtree(seen.root / "fetch/xrt/event")
    assert len(of_uvot(seen.run("events", "heasoft"))) == 6
    assert "xrtpipeline" not in seen.logs["events"]
    seen.instruments = ("UVOT",)
    images = seen.root / "fetch/uvot/image"
    for path in (one for one in images.iterdir() if "ugu_" not in one.name):
        path.unlink()
    with pytest.raises(DataError, match=r"no image of the UVOT through a filter, and those through grisms") as refused:
        seen.run("events", "heasoft")
    assert refused.value.code == "data.no-exposure"
    add_images(seen.root / "fetch", SWIFT.obs_id, "um2", ("NONE",))
    with pytest.raises(DataError, match="no call made a list or image of UVOT") as refused:
        seen.run("events", "heasoft")
    assert "no HDUs to sum" in seen.logs["events"]
    add_images(seen.root / "fetch", SWIFT.obs_id, "um2", ("NONE", "DIRECT"))
    assert of_uvot(seen.run("events", "heasoft"))


def test_without_images_the_xrt_is_processed_and_a_failed_xrt_leaves_the_uvot(seen, stand_ins):
    prefix = prefix_of(stand_ins["heasoft"])
    request(prefix, "xrtpipeline", "errorAndOne")
    try:
        place = seen.run("events", "heasoft", failing="leave out")
    finally:
        grant(prefix, "xrtpipeline")
    assert "left out XRT" in seen.logs["events"]
    assert len(list(place.iterdir())) == len(of_uvot(place)) == 6
    shutil.rmtree(seen.root / "fetch/uvot")
    place = seen.run("events", "heasoft")
    assert of_uvot(place) == []
    assert list(place.glob("*instXRT*-events.fits"))


@pytest.mark.parametrize(("spoil", "words"), [
    ({"EXPOSURE": 0.0}, "the sum of UVOT's images in uw1 has no exposure"),
    (None, "the sum of UVOT's images in uw1 has no pixel with a value"),
])  # fmt: skip
def test_what_nothing_can_be_found_in_has_no_list_that_says_so(seen, spoil, words):
    path = seen.root / f"fetch/uvot/image/sw{SWIFT.obs_id}uw1_sk.img.gz"
    with fits.open(path, mode="update") as parts:
        for part in parts[1:]:
            part.header.update(spoil or {})
            part.data[:] = part.data if spoil else np.nan
    with pytest.raises(DataError, match=words) as refused:
        seen.run("events", "heasoft")
    assert 'skip = ["uvotdetect"]' in refused.value.remedy
    assert len(of_uvot(seen.run("events", "heasoft", skip=["uvotdetect"]))) == 4


def test_how_images_are_added_is_not_to_be_set():
    (fault,) = find_backend("heasoft").check("swift", {"events": {"heasoft": {"uvotimsum": {"method": "XIMAGE"}}}})
    assert "method" in fault.message
