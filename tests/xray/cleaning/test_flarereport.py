"""The table and the picture of what a flare filter saw and decided."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from daxa.xray.cleaning.cut import standard_cut
from daxa.xray.cleaning.flare_filter import flare_gti
from daxa.xray.cleaning.flarereport import flare_cards, rate_histogram, write_flare_picture, write_flare_table
from daxa.xray.cleaning.flarescreen import FlareScreen, screen_flares
from daxa.xray.cleaning.lightcurve import LightCurve
from daxa.xray.eventlists.opening import open_events
from tests.xray.flarecases import CASES
from tests.xray.simulatedlists import observed


@pytest.fixture(scope="module")
def varied() -> tuple[FlareScreen, fits.Header]:
    """Kept, cut and variable bins in one."""
    events, cut = observed("GRB decay", 10.0, flares=1.0)
    return screen_flares(events, cut, 100.0, mask_sources=False), events.header


def screen(case: str, **options) -> FlareScreen:
    curve = CASES[case].draw(4).curve
    return FlareScreen(curve, flare_gti(curve, **options), None, ())


@pytest.mark.parametrize("case", list(CASES))
def test_the_histogram_counts_every_full_bin_once(case):
    found = screen(case)
    histogram = rate_histogram(found.curve, found.result)
    full = found.curve.exposure >= 0.5 * found.curve.width
    assert histogram.bins.sum() == full.sum()
    assert histogram.kept.sum() == (full & found.result.kept).sum()
    assert (histogram.kept <= histogram.bins).all()
    inside = found.curve.rate[full]
    top = histogram.edges[-1]
    plain = np.histogram(np.minimum(inside, np.nextafter(top, 0)), bins=histogram.edges)[0]
    # A rate on an edge may fall to either side.
    assert np.abs(np.cumsum(plain) - np.cumsum(histogram.bins)).max() <= 0.05 * len(inside)


def test_the_gaussian_follows_the_quiet_bins():
    found = screen("quiet")
    histogram = rate_histogram(found.curve, found.result)
    assert histogram.quiescent.sum() == pytest.approx(500, rel=0.1)
    many = histogram.quiescent > 20
    assert np.abs(histogram.bins - histogram.quiescent)[many].max() < 5 * np.sqrt(histogram.quiescent.max())


def test_the_table_holds_what_was_found(tmp_path, varied):
    found, header = varied
    for name in ("a.fits", "b.fits"):
        write_flare_table(tmp_path / name, found, header, {"SCREENED": ("standard", "event screening")})
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()
    with fits.open(tmp_path / "a.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "RATE", "GTI", "HISTOGRAM"]
        rates, histogram = hdus["RATE"].data, hdus["HISTOGRAM"].data
        assert (rates["KEPT"] == found.result.kept).all()
        assert (rates["VARIABLE"] == found.result.variable).all()
        assert rates["VARIABLE"].any()
        assert (rates["COUNTS"] == found.curve.counts).all()
        assert (np.column_stack((hdus["GTI"].data["START"], hdus["GTI"].data["STOP"])) == found.result.gti).all()
        assert (histogram["BINS"] == rate_histogram(found.curve, found.result).bins).all()
        cards = hdus["RATE"].header
        assert cards["FLARESTA"] == "SOURCE-VARIABILITY"
        assert cards["FLAREKEP"] == pytest.approx(found.result.kept_fraction, abs=1e-6)
        assert cards["FLARERAT"] == pytest.approx(found.result.rate)
        assert cards["FLAREVAR"] == 1
        assert cards["SCREENED"] == "standard"
        assert cards["MJDREF"] == header["MJDREF"]
        assert not {"DATE", "CHECKSUM", "HISTORY"} & set(cards)


@pytest.mark.skipif(not shutil.which("fitsverify"), reason="fitsverify is not installed")
def test_the_table_is_standard_fits(tmp_path, real_data):
    events = open_events(real_data / "xmm/0404910601/eclean/mos1_exp1_clean_evts.fits")
    found = screen_flares(events, standard_cut(events, pi=(10000, 12000)), 100.0)
    write_flare_table(tmp_path / "a.fits", found, events.header, {})
    done = subprocess.run(["fitsverify", "-q", str(tmp_path / "a.fits")], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("verification OK")


def test_numbers_that_are_unknown_have_no_card():
    curve = LightCurve(0.0, 100.0, np.ones(20, dtype=int), np.full(20, 100.0))
    sparse = FlareScreen(curve, flare_gti(curve), None, ())
    cards = flare_cards(sparse)
    assert cards["FLARESTA"][0] == "SPARSE"
    assert not {"FLARERAT", "FLAREMAX", "FLAREEXC"} & set(cards)
    assert all(len(key) <= 8 for key in cards)


def colours(path) -> set[tuple[int, int, int]]:
    from matplotlib.image import imread

    return {tuple(pixel) for pixel in np.rint(imread(path)[..., :3].reshape(-1, 3) * 255).astype(int)}


RED, ORANGE, BLUE = (214, 39, 40), (255, 127, 14), (31, 119, 180)


def test_the_picture_shows_what_was_decided(tmp_path, varied):
    found, _ = varied
    for name in ("a.png", "b.png"):
        write_flare_picture(tmp_path / name, found, title="a $ sign and a \u2603")
    content = (tmp_path / "a.png").read_bytes()
    assert content == (tmp_path / "b.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert {RED, ORANGE, BLUE} <= colours(tmp_path / "a.png")
    quiet = replace(found.result, kept=np.ones_like(found.result.kept), variable=None)
    write_flare_picture(tmp_path / "c.png", replace(found, result=quiet), title="quiet")
    assert BLUE in colours(tmp_path / "c.png")
    assert not {RED, ORANGE} & colours(tmp_path / "c.png")


@pytest.mark.parametrize("counts", [np.zeros(30), np.ones(3), np.full(50, 2), np.arange(12_000) % 90])
def test_any_curve_has_a_table_and_a_picture(tmp_path, counts):
    curve = LightCurve(1e8, 50.0, counts.astype(int), np.where(np.arange(len(counts)) % 5, 50.0, 0.0))
    for method in ("histogram", "threshold"):
        found = FlareScreen(curve, flare_gti(curve, method=method, threshold=1.0), None, ())
        write_flare_picture(tmp_path / f"{method}.png", found, title="")
        write_flare_table(tmp_path / f"{method}.fits", found, fits.Header(), {})
        with fits.open(tmp_path / f"{method}.fits") as hdus:
            assert hdus["HISTOGRAM"].data["BINS"].sum() == (curve.exposure > 0).sum()
