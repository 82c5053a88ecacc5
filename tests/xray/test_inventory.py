"""Every real file there is goes through the whole chain, to an image or a light curve, or is refused by name."""

from __future__ import annotations

import gzip
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time

from daxa.errors import DataError, NotPossible
from daxa.xray.cleaning.cleaned import write_clean_events
from daxa.xray.cleaning.cut import Cut, select, standard_cut
from daxa.xray.cleaning.lightcurve import light_curve
from daxa.xray.cleaning.livetime import livetime, ontime
from daxa.xray.cleaning.spans import stated_assumptions
from daxa.xray.eventlists import gti
from daxa.xray.eventlists.frames import to_icrs
from daxa.xray.eventlists.opening import open_events
from daxa.xray.eventlists.sky_grid import header_wcs
from daxa.xray.imaging.image import count_image, grid_for, image_header

IMAGES = {
    "chandra/acis_00242_sgra_evt2.fits.gz": (0.984, 246),
    "chandra/acis_13839_sgra_evt2.fits.gz": (1.968, 24727),
    "chandra/acis_18461_cena_evt2.fits": (1.968, 23094),
    "einstein/ipc_8102_ctb109.fits.gz": (8.0, 30760),
    "ixpe/ixpe01006501_det1_evt2_v15.fits.gz": (2.6, 58090),
    "nustar/nu30101031002A_cut_evt.fits": (2.458, 937),
    "rosat/hri_wg400145h_g109.fits.gz": (5.0, 180758),
    "rosat/rosat.evt": (15.0, 2928),
    "suzaku/xis0_102019010_crab_100ev_1.fits": (8.338, 100),
    "xmm/0201901401/eclean/mos1_exp1_clean_evts.fits": (4.35, 22124),
    "xmm/0201901401/eclean/mos2_exp1_clean_evts.fits": (4.35, 20982),
    "xmm/0404910601/eclean/mos1_exp1_clean_evts.fits": (4.35, 72308),
    "xmm/0404910601/eclean/mos2_exp1_clean_evts.fits": (4.35, 64702),
}
"""List to the pixel of its image, arcsec, and the counts in it."""

CURVES = {
    "nicer/ngc300nicer_bary.evt": 2408,
    "nicer/ni1020600110_1e2259.fits.gz": 89465,
    "rxte/xte_se_93087-01-02-11.evt.gz": 999,
}
"""List of an instrument without images to the events that count."""

REFUSED = {
    "astrosat/laxpc_crab.fits": "impossible.instrument",
    "chandra/acis_06686_kes75_nogti.fits.gz": "data.no-gti",
    "chandra/acis_6601_cygx3_tgevt.fits": "data.no-gti",
    "einstein/ipc_8102_ctb109_fragment.fits": "data.no-gti",
}
"""List to the code of what it is refused by; every file that is not a list is refused, too."""


def plain(source: Path, folder: Path) -> Path:
    """The file, unpacked where it is packed."""
    if source.suffix != ".gz":
        return source
    target = folder / source.stem
    with gzip.open(source) as stream, target.open("wb") as out:
        shutil.copyfileobj(stream, out)
    return target


@pytest.mark.parametrize("name", [*IMAGES, *CURVES])
def test_real_lists_go_through_the_whole_chain(real_data, tmp_path, name):
    events = open_events(plain(real_data / name, tmp_path))
    # Without the first quarter and the last second.
    first, last = (f([f(one) for one in events.gtis.values()]) for f in (np.min, np.max))
    middle = [(first + (last - first) / 4, last - 1.0)]
    cut = Cut(standard_cut(events).rules, {chip: gti.intersect(one, middle) for chip, one in events.gtis.items()})
    whole = standard_cut(events)
    kept = sum(int(select(events, whole, rows).sum()) for rows in events.chunks())
    live, good = livetime(events, events.gtis), ontime(events, events.gtis)
    assert all(0 < live[chip] <= good[chip] * (1 + 1e-12) for chip in good)
    if name in CURVES:
        assert kept == CURVES[name]
        with pytest.raises(NotPossible):
            grid_for(events, 4.0, whole)
        assert light_curve(events, whole, 1000.0).counts.sum() == kept
        images = ()
    else:
        pixel, counts = IMAGES[name]
        grid = grid_for(events, pixel, whole)
        image = count_image(events, whole, grid)
        assert image.sum() == counts <= kept
        assert sum(int(select(events, whole, rows, sky=True).sum()) for rows in events.chunks()) == counts
        images = (image_header(events, whole, grid), image_header(events, cut, grid))
        known = to_icrs(header_wcs(images[0]), grid.nx / 2, grid.ny / 2)
        pointed = [card for card in (events.header, events.primary) if "RA_NOM" in card or "RA_PNT" in card]
        if pointed and images[0].get("EQUINOX", 2000.0) == 2000.0:
            word = "PNT" if "RA_PNT" in pointed[0] else "NOM"
            east = (known[0] - pointed[0][f"RA_{word}"]) * np.cos(np.deg2rad(known[1]))
            away = np.hypot(east, known[1] - pointed[0][f"DEC_{word}"])
            assert away < 1.0
    written = tmp_path / "clean.fits"
    left = write_clean_events(written, events, cut, {})
    again = open_events(written)
    assert len(again) == left == sum(int(select(events, cut, rows).sum()) for rows in events.chunks())
    _check_dates(again, cut, images[1:])
    assert set(events.assumptions) <= set(stated_assumptions(again))


def _check_dates(again, cut: Cut, images) -> None:
    """A cut list, and an image of the cut, say when their own good times were."""
    starts, stops = (np.concatenate([one[:, end] for one in cut.gtis.values()]) for end in (0, 1))
    for header in (again.header, *images):
        assert header["TSTART"] == pytest.approx(starts.min(), abs=1e-6)
        assert header["TSTOP"] == pytest.approx(stops.max(), abs=1e-6)
        for word, seconds in (("OBS", starts.min()), ("END", stops.max())):
            date = again.clock.date(seconds)
            assert abs(Time(header[f"DATE-{word}"], scale=date.scale).mjd - date.mjd) < 1e-7
            assert abs(header[f"MJD-{word}"] - date.mjd) < 1e-9
        if "TIME-OBS" in header:
            assert header["DATE-OBS"].endswith(header["TIME-OBS"])


@pytest.mark.parametrize("name", REFUSED)
def test_lists_that_cannot_be_used_are_refused_by_name(real_data, name):
    with pytest.raises((DataError, NotPossible)) as problem:
        open_events(real_data / name)
    assert problem.value.code == REFUSED[name]
    assert problem.value.remedy


def test_every_other_file_is_refused_or_known(real_data, tmp_path):
    """Spectra, images, maps, tables and whatever comes new: never a crash, never an event list by mistake.

    A list that nobody has looked at yet goes through the chain, to an image or a light curve, or is refused on the way.
    """
    known = {*IMAGES, *CURVES, *REFUSED}
    assert not [name for name in known if not (real_data / name).is_file()]
    tried = 0
    for path in sorted(one for one in real_data.rglob("*") if one.is_file()):
        name = str(path.relative_to(real_data))
        if name in known or path.suffix in {".md", ".csv", ".json", ".reg", ".txt"}:
            continue
        tried += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                _any_way(open_events(path), tmp_path / f"{tried}.fits")
            except (DataError, NotPossible) as refusal:
                assert refusal.remedy
    assert tried > 20
    for name in ("rosat/rosat.evt", "nicer/ngc300nicer_bary.evt"):
        _any_way(open_events(real_data / name), tmp_path / Path(name).name)


def _any_way(events, written: Path) -> None:
    cut = standard_cut(events)
    kept = sum(int(select(events, cut, rows).sum()) for rows in events.chunks())
    if events.why_not("image"):
        assert light_curve(events, cut, 1000.0).counts.sum() == kept
    else:
        pixel = events.sky.pixel_arcsec * max(round(4.0 / events.sky.pixel_arcsec), 1)
        assert 0 < count_image(events, cut, grid_for(events, pixel, cut)).sum() <= kept
    assert write_clean_events(written, events, cut, {}) == kept


def test_a_truncated_list_is_refused_as_damaged(real_data):
    path = real_data.parent / "cases" / "erosita_300003_truncated.fits.gz"
    if not path.is_file():
        pytest.skip("no handed cases")
    with pytest.raises(DataError, match=path.name) as problem:
        open_events(path)
    assert problem.value.code == "data.damaged"


def test_stale_exposures_are_said_and_not_believed(real_data, tmp_path):
    source = real_data / "nustar/nu30101031002A_cut_evt.fits"
    path = tmp_path / "stale.fits"
    shutil.copyfile(source, path)
    with fits.open(path, mode="update") as units:
        units["EVENTS"].header["EXPOSURE"] = 20 * units["EVENTS"].header["EXPOSURE"]
    events = open_events(path)
    said = [one for one in stated_assumptions(events) if "EXPOSURE" in one]
    assert len(said) == 1
    assert "764428.7 s" in said[0]
    assert "38221.43 s" in said[0]
    cut = standard_cut(events)
    header = image_header(events, cut, grid_for(events, 2.458, cut))
    assert header["ASSUME1"] == said[0]
    assert header["EXPOSURE"] == pytest.approx(38221.433, abs=0.01)
    write_clean_events(tmp_path / "clean.fits", events, cut, {})
    again = open_events(tmp_path / "clean.fits")
    assert again.header["EXPOSURE"] == pytest.approx(38221.433, abs=0.01)
    assert stated_assumptions(again) == tuple(said)


def test_einstein_s_clock_is_said_to_be_late(real_data):
    said = stated_assumptions(open_events(real_data / "einstein/ipc_8102_ctb109.fits.gz"))
    assert any("850 s after DATE-END" in one for one in said)
