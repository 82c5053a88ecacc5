"""Images against SAS's own and against CFITSIO."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daxa.errors import NotPossible
from daxa.xray.cleaning.cut import Cut, select, standard_cut
from daxa.xray.cleaning.screening import rules_cfitsio
from daxa.xray.eventlists.opening import open_events
from daxa.xray.imaging.image import ImageGrid, count_image, grid_for, image_header
from tests.xray.madelists import make_list
from tests.xray.reallists import KINDS, LISTS, insert, with_rows

GOLDEN = "xmm/0404910601/images/0404910601_mos1_exp1-0.50-2.00keVimg.fits"


@pytest.fixture(params=LISTS)
def real(request, real_data):
    entry = LISTS[request.param]
    return entry, open_events(real_data / entry.path)


def cfitsio_image(events, entry, grid, rules):
    """The same cut and binning by CFITSIO: one image per chip, since each has its own good times."""
    fitsio = pytest.importorskip("fitsio")
    path, form, (x, y) = events.path, events.format, events.sky.columns
    half = 0.5 if form.mission == "chandra" else 0
    ranges = [
        f"{name}={start - half}:{start + n * grid.bin - 1 + half}:{grid.bin}"
        for name, start, n in ((x, grid.x0, grid.nx), (y, grid.y0, grid.ny))
    ]
    total = 0
    for chip, table in entry.tables.items():
        cut = f"{rules_cfitsio(rules)} && {form.pi_column} >= {entry.band[0]} && {form.pi_column} <= {entry.band[1]}"
        if form.chip_column:
            cut += f" && {form.chip_column} == {chip}"
        cut += f' && gtifilter("{path}[{table}]", {form.time_column}, "START", "STOP")'
        with fitsio.FITS(f"{path}[EVENTS][{cut}][bin {','.join(ranges)}]") as image:
            total = total + image[0].read()
    return total


def test_equals_the_image_that_sas_made(real_data):
    events = open_events(real_data / LISTS["xmm-0404910601-m1"].path)
    grid = grid_for(events, 4.35)
    assert grid == ImageGrid(3649, 3649, 87, 512, 512)
    cut = standard_cut(events, pi=(500, 2000))
    image = count_image(events, cut, grid)
    golden, theirs = fits.getdata(real_data / GOLDEN, header=True)
    assert image.sum() == 27546
    assert np.array_equal(image, golden)
    ours = image_header(events, cut, grid)
    names = [f"{word}{axis}{other}" for word in ("CRPIX", "CRVAL", "CDELT") for axis in (1, 2) for other in ("", "L")]
    for name in [
        *names,
        "LTV1",
        "LTV2",
        "LTM1_1",
        "LTM2_2",
        "EXPOSURE",
        *(f"ONTIME{n:02d}" for n in (1, 2, 3, 4, 5, 7)),
    ]:
        assert ours[name] == pytest.approx(theirs[name], rel=1e-13), name
    for name in ("CTYPE1", "CTYPE2", "CUNIT1", "CUNIT2", "CTYPE1L", "CTYPE2L", "OBS_ID", "EXPIDSTR", "INSTRUME"):
        assert ours[name] == theirs[name], name
    corners = np.array([[0, 0], [511, 0], [0, 511], [511, 511], [255.5, 255.5]])
    # SAS writes the frame as RADECSYS; astropy reads both names.
    with pytest.warns(FITSFixedWarning):
        golden_world = WCS(theirs)
    difference = WCS(ours).all_pix2world(corners, 0) - golden_world.all_pix2world(corners, 0)
    assert np.abs(difference).max() < 1e-11


def test_equals_cfitsio_on_every_real_list(real):
    entry, events = real
    grid, cut = grid_for(events, entry.pixel), standard_cut(events, pi=entry.band)
    theirs = cfitsio_image(events, entry, grid, cut.rules)
    ours = count_image(events, cut, grid)
    assert ours.sum() > 200
    assert ours.dtype == np.int32
    assert np.array_equal(ours, theirs)


def test_equals_cfitsio_on_contaminated_lists(real, tmp_path):
    """CFITSIO also keeps out what is forbidden; only its intervals include the moment at which they stop.

    That holds for intervals of no length too, which real tables have.
    """
    entry, clean = real
    added = [row for name, kind in KINDS.items() if name != "position" for row in kind(clean, entry.band)]
    tables = [table for table in clean.tables if "GTI" in table.name]
    stops = {float(moment) for table in tables for moment in table.column("STOP")}
    at_stop = [row for row in added if row[clean.format.time_column].item() in stops]
    others = [row for row in added if row[clean.format.time_column].item() not in stops]
    differences = []
    for number, some in enumerate((others, at_stop)):
        path = with_rows(clean.path, tmp_path / f"{number}.fits", insert(np.array(clean.rows), some, 5))
        events = open_events(path)
        grid, cut = grid_for(events, entry.pixel), standard_cut(events, pi=entry.band)
        theirs = cfitsio_image(events, entry, grid, cut.rules)
        differences.append(np.abs(theirs.astype(np.int64) - count_image(events, cut, grid)).sum())
    assert len(others) > 20
    assert differences[0] == 0
    # Some of these moments belong to other chips' stops, and are good for neither.
    assert sum(len(good) for good in clean.gtis.values()) <= differences[1] <= len(at_stop)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.integers(100, 6000),
    width=st.integers(0, 6000),
    grid=st.builds(
        ImageGrid, *(st.integers(1, 30000),) * 2, st.integers(1, 400), st.integers(1, 300), st.integers(1, 300)
    ),
)
def test_equals_cfitsio_for_any_band_and_grid(real_data, first, width, grid):
    fitsio = pytest.importorskip("fitsio")
    events = open_events(real_data / LISTS["xmm-0201901401-m1"].path)
    cut = Cut((), events.gtis, (first, first + width))
    x, y = (
        f"{name}={start}:{start + n * grid.bin - 1}:{grid.bin}"
        for name, start, n in (("X", grid.x0, grid.nx), ("Y", grid.y0, grid.ny))
    )
    name = f"{events.path}[EVENTS][PI >= {first} && PI <= {first + width}][bin {x},{y}]"
    with fitsio.FITS(name) as image:
        assert np.array_equal(count_image(events, cut, grid), image[0].read())


def test_the_compressed_list_gives_the_same_image(real, tmp_path):
    entry, events = real
    packed = tmp_path / "list.FTZ"
    packed.write_bytes(gzip.compress(events.path.read_bytes(), 1))
    again = open_events(packed)
    grid = grid_for(events, entry.pixel)
    assert grid_for(again, entry.pixel) == grid
    cut = standard_cut(events, pi=entry.band)
    assert np.array_equal(count_image(again, standard_cut(again, pi=entry.band), grid), count_image(events, cut, grid))


def test_chunks_do_not_matter(real, monkeypatch):
    entry, events = real
    grid, cut = grid_for(events, entry.pixel), standard_cut(events, pi=entry.band)
    whole = count_image(events, cut, grid)
    original = type(events).chunks
    monkeypatch.setattr(type(events), "chunks", lambda self, size=97: original(self, size))
    assert np.array_equal(count_image(events, cut, grid), whole)


def test_the_grid_covers_every_event_that_counts(real):
    entry, events = real
    cut = standard_cut(events)
    grid = grid_for(events, entry.pixel)
    everything = sum(len(rows) for rows in events.chunks())
    assert count_image(events, cut, grid).sum() == everything, "these lists are cleaned: all events count"
    assert grid.nx % 64 == grid.ny % 64 == 0


def test_world_coordinates_send_events_where_their_pixel_is(real):
    """The position of an event by its columns lies in the image pixel in which it was counted."""
    entry, events = real
    grid = grid_for(events, entry.pixel)
    world = WCS(image_header(events, standard_cut(events), grid))
    sky = events.sky
    columns = WCS(naxis=2)
    columns.wcs.crpix, columns.wcs.crval, columns.wcs.cdelt = sky.crpix, sky.crval, sky.cdelt
    columns.wcs.ctype = sky.ctype
    rows = events.rows[:: max(len(events.rows) // 200, 1)]
    x, y = (rows[name].astype(float) for name in sky.columns)
    px, py = world.all_world2pix(*columns.all_pix2world(x, y, 1), 0)
    assert np.allclose(px, (x - grid.x0 + 0.5) / grid.bin - 0.5, atol=1e-6)
    assert np.allclose(py, (y - grid.y0 + 0.5) / grid.bin - 0.5, atol=1e-6)


@pytest.mark.parametrize("pixel", [3.0, 0.01, 0.0, -2.458, float("nan"), float("inf")])
def test_a_pixel_that_is_not_a_multiple_is_refused(real_data, pixel):
    events = open_events(real_data / LISTS["nustar-30101031002"].path)
    with pytest.raises(NotPossible) as refusal:
        grid_for(events, pixel)
    assert refusal.value.code == "impossible.pixel"


def test_an_image_that_no_memory_holds_is_refused(tmp_path):
    """Limits of a header that go far, and an event at each end: 12864 pixels a side."""
    from dataclasses import replace

    events = open_events(make_list("swift-pc", tmp_path / "list.fits"))
    rows = events.rows[:2].copy()
    for name in events.sky.columns:
        rows[name] = (1, 12860)
    wide = replace(events, rows=rows, sky_grid=replace(events.sky, limits=((1, 12864), (1, 12864))))
    with pytest.raises(NotPossible, match=r"12\d\d\d x 12\d\d\d pixels") as refusal:
        grid_for(wide, events.sky.pixel_arcsec, Cut((), {0: np.array([[-1e12, 1e12]])}))
    assert refusal.value.code == "impossible.image-size"
    assert "images.pixel" in refusal.value.remedy
    assert grid_for(wide, 2 * events.sky.pixel_arcsec, Cut((), {0: np.array([[-1e12, 1e12]])})).nx < 6600


def test_a_list_without_sky_makes_no_image(real_data, tmp_path):
    source = real_data / LISTS["xmm-0404910601-m1"].path
    content = source.read_bytes()
    for old, new in (
        (b"RA---TAN", b"FREQ-TAN"),
        (b"TTYPE6  = 'X ", b"TTYPE6  = 'U "),
        (b"TTYPE7  = 'Y ", b"TTYPE7  = 'V "),
    ):
        content = content.replace(old, new)
    target = tmp_path / "timing.fits"
    target.write_bytes(content)
    events = open_events(target)
    with pytest.raises(NotPossible) as refusal:
        count_image(events, standard_cut(events), ImageGrid(1, 1, 80, 10, 10))
    assert refusal.value.code == "impossible.no-sky"


def test_the_header_says_the_cut_and_nothing_of_when_or_where(real):
    entry, events = real
    grid = grid_for(events, entry.pixel)
    header = image_header(events, standard_cut(events, pi=entry.band), grid)
    assert (header["CHANMIN"], header["CHANMAX"]) == entry.band
    assert header["CUTID"] != image_header(events, standard_cut(events), grid)["CUTID"]
    assert not {"DATE", "CREATOR", "HISTORY", "CHECKSUM", "DATASUM"} & set(header)
    longest = header["ONTIME"] if events.format.mission == "xmm" else header["LIVETIME"]
    assert header["EXPOSURE"] == longest


def test_a_box_in_physical_coordinates_is_the_same_in_image_and_list(real):
    """What DS9 does with a region in physical coordinates: through LTV and LTM, and through the WCS named L."""
    entry, events = real
    cut = standard_cut(events, pi=entry.band)
    grid = grid_for(events, entry.pixel)
    header = image_header(events, cut, grid)
    image = count_image(events, cut, grid)
    physical = WCS(header, key="L")
    first, last = np.array([grid.nx // 4, grid.ny // 4]), np.array([grid.nx // 2 + 40, grid.ny // 2 + 30])
    edges = [physical.wcs_pix2world([corner], 1)[0] for corner in (first - 0.5, last + 0.5)]
    scale = np.array([header["LTM1_1"], header["LTM2_2"]])
    shift = np.array([header["LTV1"], header["LTV2"]])
    np.testing.assert_allclose(edges[0] * scale + shift, first - 0.5, atol=1e-6)
    rows = events.rows[select(events, cut, events.rows, sky=True)]
    inside = np.ones(len(rows), dtype=bool)
    for axis, name in enumerate(events.sky.columns):
        values = np.asarray(rows[name], dtype=float)
        inside &= (values >= edges[0][axis]) & (values < edges[1][axis])
    counted = image[first[1] - 1 : last[1], first[0] - 1 : last[0]].sum()
    assert 0 < counted == inside.sum()
