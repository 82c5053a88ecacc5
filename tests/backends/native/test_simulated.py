"""The native chain on the simulated sky: cameras of which no real list is at hand (pn, FPMB)."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from astropy.io import fits

from daxa.backends.native import sources as native_sources
from daxa.missions import find_mission
from daxa.xray.eventlists.opening import open_events
from tests.backends.native.observations import XMM_ONE, Fetched, run_step


@pytest.fixture(scope="module")
def tree(sky):
    return sky.root


@pytest.mark.parametrize(
    ("mission", "obs_id", "instrument"), [("xmm", "0900000201", "PN"), ("nustar", "90900001002", "FPMB")]
)
def test_the_chain_gives_images_that_fit_their_maps(tree, tmp_path, mission, obs_id, instrument):
    fetched = Fetched(mission, obs_id, (instrument,), {})
    shutil.copytree(tree / find_mission(mission).directory_of(obs_id), tmp_path / "fetch")
    for step in ("events", "clean", "images"):
        run_step(fetched, step, tmp_path)
    (list_,) = (tmp_path / "clean").glob("*-finalevents.fits")
    events = open_events(list_)
    before = open_events(next((tmp_path / "events").glob("obsid*")))
    assert 0 < len(events.rows) < len(before.rows)
    assert events.header["SIMULATD"]
    if instrument == "PN":
        assert events.header["OOTCORR"] is False
        assert 0.3 < events.header["FLAREKEP"] < 0.8
        assert events.header["FLAREEXC"] < 0.15
    maps = sorted((tmp_path / "images").glob("*-expmap.fits"))
    assert len(maps) == 2
    for path in maps:
        seconds, header = fits.getdata(path), fits.getheader(path)
        counts = fits.getdata(str(path).replace("expmap", "image"))
        assert header["EXPMETH"] == ("NATIVE" if instrument == "PN" else "FLAT")
        assert header["EXPLOST"] == ""
        assert counts[seconds == 0].sum() <= 0.002 * counts.sum()
        field = np.count_nonzero(seconds) * (60 * header["CDELT2"]) ** 2
        # Square arcminutes of the 12 pn chips within the field of view, and of one focal plane module and its dither.
        assert {"PN": 600, "FPMB": 155}[instrument] < field < {"PN": 700, "FPMB": 215}[instrument]


def test_out_of_time_events_are_those_of_each_column_over_its_rows(tree, tmp_path):
    """Against every event put into every row of its column, through a fit of its own from chip to sky."""
    fetched = Fetched("xmm", "0900000101", ("PN",), {})
    shutil.copytree(tree / find_mission("xmm").directory_of("0900000101"), tmp_path / "fetch")
    run_step(fetched, "events", tmp_path)
    run_step(fetched, "clean", tmp_path, flares="none")
    images = {}
    for asked in ("none", "product", "subtract"):
        shutil.rmtree(tmp_path / "images", ignore_errors=True)
        target, log = run_step(
            fetched, "images", tmp_path, bands=["0.5-2.0 keV"], pixel="4.35 arcsec", out_of_time=asked
        )
        images[asked] = {
            kind: (fits.getdata(path), fits.getheader(path))
            for kind in ("image", "ratemap", "expmap", "ootimage")
            for path in target.glob(f"*-{kind}.fits")
        }
        assert ("out-of-time counts are expected" in log) is (asked != "none")
    assert "ootimage" not in images["none"]
    assert images["none"]["image"][1]["OOTCORR"] is False
    readout, header = images["product"]["ootimage"]
    counts = images["none"]["image"][0]
    assert (images["product"]["image"][0] == counts).all()
    assert images["product"]["image"][1]["OOTCORR"] is False
    assert images["subtract"]["image"][1]["OOTCORR"] is True
    np.testing.assert_allclose(images["subtract"]["image"][0], counts - readout, atol=1e-5)
    # Sources are looked for in what was counted.
    path = next((tmp_path / "images").glob("*-en0.5_2.0keV-image.fits"))
    assert (native_sources._counted(path) == counts).all()
    target, log = run_step(fetched, "sources", tmp_path)
    assert "out-of-time events are a part of the background" in log
    below = fits.getdata(next(target.glob("*-background.fits")))
    searched = below > 0
    assert (below[searched] >= readout[searched]).all()
    assert readout.sum() < below.sum() < counts.sum()
    seconds = images["none"]["expmap"][0]
    exposed = seconds > 0.1 * seconds.max()
    np.testing.assert_allclose(
        images["subtract"]["ratemap"][0][exposed], ((counts - readout) / np.maximum(seconds, 1))[exposed], rtol=1e-4
    )
    events = open_events(next((tmp_path / "clean").glob("*-finalevents.fits")))
    assert header["OOTMODE"] == events.header["SUBMODE"] == "PrimeFullWindowExtended"
    assert header["OOTFRAC"] == 0.023
    assert readout.min() >= 0
    # A full frame: what falls beyond the field of view, on bad pixels and on the first rows is not recorded.
    assert 0.7 * 0.023 * counts.sum() < readout.sum() < 0.023 * counts.sum()
    rows = events.rows[(events.rows["PI"] >= 500) & (events.rows["PI"] <= 2000)]
    low, high = rows["RAWY"].min(), rows["RAWY"].max()
    expected = np.zeros(counts.shape)
    start = [int(header[f"CRVAL{axis}L"] - (header[f"CDELT{axis}L"] - 1) / 2) for axis in (1, 2)]
    bin_ = int(header["CDELT1L"])
    for chip in range(1, 13):
        own = rows[rows["CCDNR"] == chip]
        matrix = np.column_stack([own["RAWX"], own["RAWY"], np.ones(len(own))]).astype(float)
        to_sky = np.linalg.lstsq(matrix, np.column_stack([own["X"], own["Y"]]).astype(float), rcond=None)[0]
        x, y = np.meshgrid(np.arange(1, 65), np.arange(low, high + 1))
        weight = np.bincount(own["RAWX"], minlength=65)[x] * 0.023 / 200
        sky = np.column_stack([x.ravel(), y.ravel(), np.ones(x.size)]) @ to_sky
        i, j = ((sky[:, axis] - start[axis]) // bin_ for axis in (0, 1))
        ok = (i >= 0) & (j >= 0) & (i < counts.shape[1]) & (j < counts.shape[0])
        np.add.at(expected, (j[ok].astype(int), i[ok].astype(int)), weight.ravel()[ok])

    def blocks(image):
        ny, nx = (n // 16 * 16 for n in image.shape)
        return image[:ny, :nx].reshape(ny // 16, 16, nx // 16, 16).sum(axis=(1, 3))

    inside = blocks((seconds > 0).astype(float)) == 256
    ours, theirs = blocks(readout)[inside], blocks(expected)[inside]
    assert inside.sum() > 50
    # Bad pixels are not in the expectation by hand.
    assert np.median(ours / theirs) == pytest.approx(1, abs=0.05)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.97
    assert readout[seconds == 0].sum() < 0.01 * readout.sum()


def test_other_cameras_and_modes_have_no_image_of_them(real_data, tmp_path):
    root = XMM_ONE.lay_out(real_data, tmp_path)
    run_step(XMM_ONE, "events", root)
    run_step(XMM_ONE, "clean", root, flares="none")
    target, log = run_step(XMM_ONE, "images", root, bands=["0.5-2.0 keV"], out_of_time="subtract")
    assert "out_of_time has no effect" in log
    assert not list(target.glob("*ootimage*"))
    assert "OOTCORR" not in fits.getheader(next(target.glob("*-image.fits")))
