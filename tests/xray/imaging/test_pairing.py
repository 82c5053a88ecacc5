"""Which exposure map may go with an image."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.cleaning.cut import Cut, standard_cut
from daxa.xray.eventlists.opening import open_events
from daxa.xray.imaging.image import ImageGrid, image_header
from daxa.xray.imaging.pairing import MapFacts, apply_choice, check_pair, choose_map, rate_map, same_grid

CARDS = {
    "NAXIS1": 64, "NAXIS2": 48, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 30.0, "CRPIX2": 20.0,
    "CRVAL1": 150.0, "CRVAL2": -60.0, "CDELT1": -0.001, "CDELT2": 0.001,
}  # fmt: skip
GTI = {1: np.array([[0.0, 100.0], [200.0, 300.0]]), 2: np.array([[0.0, 100.0]])}


def facts(gtis=GTI, band=(0.5, 2.0), combined=False, **cards) -> MapFacts:
    return MapFacts(fits.Header(CARDS | cards), band, gtis, combined)


def test_equal_maps_are_used_as_they_are():
    choice = choose_map(facts(), facts())
    assert (choice.method, choice.factors) == ("ARCHIVE", ((1, 1.0), (2, 1.0)))
    # Another reference pixel, the same pixels of the sky.
    assert choose_map(facts(), facts(EQUINOX=2000.0, RADESYS="FK5")).method == "ARCHIVE"
    jitter = {chip: good + 2e-4 for chip, good in GTI.items()}
    assert choose_map(facts(jitter), facts()).method == "ARCHIVE"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "no map"),
        (facts(CRPIX1=30.5), "grids"),
        (facts(NAXIS1=65), "grids"),
        (facts(CDELT1=-0.00101), "grids"),
        (facts(CRVAL2=-60.001), "grids"),
        (facts(CTYPE1="GLON-TAN", CTYPE2="GLAT-TAN"), "grids"),
        (facts(band=(0.5, 2.3)), "bands"),
        (facts(band=(0.2, 2.0)), "bands"),
        (facts({1: GTI[1]}), "detectors"),
        (facts({1: GTI[1], 2: GTI[1], 3: GTI[1]}), "detectors"),
        (facts({1: GTI[1][:1], 2: GTI[2]}), "good times that the map has not"),
        (facts({1: GTI[1], 2: np.empty((0, 2))}), "no good time"),
    ],
)
def test_what_differs_otherwise_is_replaced(given, reason):
    choice = choose_map(facts(), given)
    assert choice.method == "NATIVE"
    assert reason in choice.reason
    with pytest.raises(DataError, match="cannot serve"):
        apply_choice(choice, {1: np.ones((2, 2)), 2: np.ones((2, 2))})


def test_other_good_times_scale_each_detector():
    image = facts({1: np.array([[0.0, 50.0]]), 2: np.array([[10.0, 90.0]])})
    choice = choose_map(image, facts())
    assert choice.method == "SCALED"
    assert dict(choice.factors) == {1: 0.25, 2: 0.8}
    one, two = np.array([[200.0, 0.0]]), np.array([[100.0, 100.0]])
    seconds, cards = apply_choice(choice, {2: two, 1: one})
    assert seconds.tolist() == [[130.0, 80.0]]
    assert cards["EXPMETH"][0] == "SCALED"
    assert (cards["EXPSC01"][0], cards["EXPSC02"][0]) == (0.25, 0.8)


def test_a_combined_map_tolerates_one_factor_only():
    uneven = facts({1: np.array([[0.0, 50.0]]), 2: np.array([[10.0, 90.0]])})
    assert choose_map(uneven, facts(combined=True)).method == "NATIVE"
    even = facts({1: np.array([[0.0, 100.0]]), 2: np.array([[0.0, 50.0]])})
    choice = choose_map(even, facts(combined=True))
    assert choice.method == "SCALED"
    seconds, _ = apply_choice(choice, {0: np.full((1, 1), 300.0)})
    assert seconds.tolist() == [[150.0]]


def test_a_detector_that_the_cut_silenced_adds_nothing():
    image = facts({1: GTI[1], 2: np.empty((0, 2))})
    choice = choose_map(image, facts())
    assert dict(choice.factors) == {1: 1.0, 2: 0.0}


def test_the_map_of_sas_lies_on_the_grid_that_we_make(real_data):
    stem = real_data / "xmm/0404910601/images/0404910601_mos1_exp1-0.50-2.00keV"
    events = open_events(real_data / "xmm/0404910601/eclean/mos1_exp1_clean_evts.fits")
    ours = image_header(events, standard_cut(events), ImageGrid(3649, 3649, 87, 512, 512))
    for key in ("NAXIS1", "NAXIS2"):
        ours[key] = 512
    assert same_grid(ours, fits.getheader(f"{stem}expmap.fits"))
    assert same_grid(fits.getheader(f"{stem}img.fits"), fits.getheader(f"{stem}expmap.fits"))
    moved = image_header(events, standard_cut(events), ImageGrid(3649 + 87, 3649, 87, 512, 512))
    for key in ("NAXIS1", "NAXIS2"):
        moved[key] = 512
    assert not same_grid(moved, fits.getheader(f"{stem}expmap.fits"))


def test_a_map_of_another_cut_is_refused(real_data):
    events = open_events(real_data / "nustar/nu30101031002A_cut_evt.fits")
    cut = standard_cut(events, pi=(35, 209))
    grid = ImageGrid(300, 300, 1, 400, 400)

    def header(cut: Cut, grid: ImageGrid = grid) -> fits.Header:
        made = image_header(events, cut, grid)
        made["NAXIS1"], made["NAXIS2"] = grid.nx, grid.ny
        return made

    check_pair(header(cut), header(cut))
    for other in (
        header(standard_cut(events, pi=(35, 210))),
        header(Cut(cut.rules, {0: cut.gtis[0][:-1]}, cut.pi)),
        header(Cut(cut.rules[:-1], cut.gtis, cut.pi)),
        header(cut, ImageGrid(300, 301, 1, 400, 400)),
        header(cut, ImageGrid(300, 300, 1, 400, 399)),
        fits.Header(),
    ):
        with pytest.raises(DataError, match="do not belong together"):
            check_pair(header(cut), other)


def test_rates_need_equal_shapes_and_exposure():
    rate = rate_map(np.array([[2, 3, 0]]), np.array([[100.0, 0.0, 1.0]]))
    assert rate[0, 0] == np.float32(0.02)
    assert np.isnan(rate[0, 1:]).all()
    with pytest.raises(DataError, match="has no rate"):
        rate_map(np.ones((2, 2)), np.ones((2, 3)))
    assert np.isnan(rate_map(np.ones((2, 2)), np.zeros((2, 2)))).all()
