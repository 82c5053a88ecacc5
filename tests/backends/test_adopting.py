"""What tools have made, in our form: against real lists, and images that CFITSIO has binned of them."""

from __future__ import annotations

import warnings

import fitsio
import numpy as np
import pytest
from astropy.io import fits

from daxa.backends.adopting import adopt_events, adopt_good_times, adopt_image, adopt_map, adopt_rates, identify
from daxa.errors import DataError
from daxa.missions import find_mission
from daxa.xray.cleaning.cut import Cut
from daxa.xray.eventlists.opening import open_events
from daxa.xray.imaging.image import ImageGrid, count_image
from daxa.xray.imaging.pairing import check_pair, rate_map

REAL = {
    "chandra": ("chandra/acis_18461_cena_evt2.fits", "18461", ("x", "y"), (3500.5, 4), (0.5, 2.0)),
    "nustar": ("nustar/nu30101031002A_cut_evt.fits", "30101031002", ("X", "Y"), (300.5, 2), (3.0, 10.0)),
}
SIZE = 200


@pytest.fixture(scope="module", params=REAL)
def adopted(request, real_data, tmp_path_factory):
    """A directory with a real list, the adopted one, and an image of a part of it that CFITSIO has binned."""
    name, obs_id, columns, (start, width), band = REAL[request.param]
    work = tmp_path_factory.mktemp(request.param)
    (work / "tool.fits").write_bytes((real_data / name).read_bytes())
    adopt_events(work, work / "clean.fits", events="tool.fits", obs_id=obs_id, before="")
    clean = open_events(work / "clean.fits")
    low, high = (35, 137) if request.param == "chandra" else (35, 209)
    stop = start + SIZE * width
    bins = ",".join(f"{column}={start}:{stop}:{width}" for column in columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pi = clean.format.pi_column
        image, header = fitsio.read(f"{work / 'tool.fits'}[EVENTS][{pi}>={low}&&{pi}<={high}][bin {bins}]", header=True)
    cards = fits.Header()
    for key in ("CTYPE1", "CTYPE2", "CRVAL1", "CRVAL2", "CDELT1", "CDELT2", "CRPIX1", "CRPIX2"):
        cards[key] = header[key]
    fits.PrimaryHDU(image.astype(np.int32), cards).writeto(work / "image.fits")
    fits.PrimaryHDU(np.full(image.shape, 250.0, np.float32), cards).writeto(work / "map.fits")
    return request.param, work, band, ImageGrid(int(start + 0.5), int(start + 0.5), width, SIZE, SIZE), (low, high)


def test_an_adopted_list_holds_the_same_and_says_that_it_is_screened(adopted):
    _, work, _, _, _ = adopted
    tool, ours = open_events(work / "tool.fits"), open_events(work / "clean.fits")
    np.testing.assert_array_equal(tool.times(), ours.times())
    assert {chip: good.tolist() for chip, good in tool.gtis.items()} == {
        chip: good.tolist() for chip, good in ours.gtis.items()
    }
    assert ours.header["SCREENED"] == "none"
    assert not {"HISTORY", "DATE", "CHECKSUM", "DATASUM"} & set(ours.header)
    adopt_good_times(work, work / "gti.fits", events="tool.fits", obs_id=tool.obs_id)
    with fits.open(work / "gti.fits") as parts:
        written = {tuple(map(tuple, np.column_stack([one.data["START"], one.data["STOP"]]))) for one in parts[1:]}
    assert written == {tuple(map(tuple, good)) for good in tool.gtis.values()}


def test_an_image_that_cfitsio_has_binned_is_ours_pixel_by_pixel(adopted):
    mission, work, band, grid, channels = adopted
    told = {"image": "image.fits", "events": "clean.fits", "mission": mission, "band": band, "cards": {}}
    adopt_image(work, work / "a.fits", **told)
    adopt_map(work, work / "b.fits", exposure="map.fits", **told)
    adopt_rates(work, work / "c.fits", exposure="map.fits", **told)
    clean = open_events(work / "clean.fits")
    cut = Cut((), clean.gtis, channels)
    counts = count_image(clean, cut, grid)
    made, header = fits.getdata(work / "a.fits", header=True)
    assert counts.sum() > 100
    np.testing.assert_array_equal(made, counts)
    check_pair(header, fits.getheader(work / "b.fits"))
    assert header["CUTID"] == cut.identity
    np.testing.assert_allclose(fits.getdata(work / "c.fits"), rate_map(counts, np.full(counts.shape, 250.0)))


def test_images_on_other_pixels_or_of_other_values_are_refused(adopted, tmp_path):
    mission, work, band, _, _ = adopted
    told = {"events": "clean.fits", "mission": mission, "band": band, "cards": {}}
    with fits.open(work / "image.fits") as parts:
        parts[0].header["CRPIX1"] += 0.3
        parts.writeto(work / "shifted.fits", overwrite=True)
        parts[0].header["CRPIX1"] -= 0.3
        parts[0].data[3, 3] = -1
        parts.writeto(work / "negative.fits", overwrite=True)
    for name, code in (
        ("shifted.fits", "data.image-grid"),
        ("negative.fits", "data.counts"),
        ("none.fits", "data.unreadable"),
    ):
        with pytest.raises(DataError) as refused:
            adopt_image(work, tmp_path / name, image=name, **told)
        assert refused.value.code == code
    with pytest.raises(DataError) as refused:
        adopt_map(work, tmp_path / "map.fits", exposure="shifted.fits", image="image.fits", **told)
    assert refused.value.code == "data.image-grid"


@pytest.mark.parametrize(
    ("mission", "obs_id", "name", "product"),
    [
        ("nustar", "60001110002", "nu60001110002B01_cl.evt", "instFPMB-subexpNone"),
        ("nustar", "60001110002", "nu60001110002B06_cl.evt", None),
        ("swift", "00020153006", "sw00020153006xwtw2st_cl.evt", None),
        ("suzaku", "702031010", "ae702031010xi0_0_3x3n066a_cl.evt", "instXIS0-subexp03x3n066a"),
        ("xrism", "000112000", "xa000112000rsl_px0000_cl.evt", None),
        ("nicer", "6060040431", "ni6060040431_0mpu7_cl.evt", "instXTI-subexpNone"),
    ],
)
def test_lists_of_pipelines_are_known_by_their_names(mission, obs_id, name, product):
    found = identify(find_mission(mission), obs_id, name, "events")
    assert (found and found.name) == (product and f"obsid{obs_id}-{product}-en-events.fits")
