"""A sky tile of eRASS1 through eSASS: from the archive's list to a catalogue, and on natively from its images."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits

from daxa.backends import find_backend
from daxa.backends.contract import check_run
from daxa.errors import CallError
from daxa.simulator.raw import RAW
from daxa.simulator.sky import CENTRE, FIELD
from daxa.xray.eventlists.opening import open_events
from daxa.xray.imaging.pairing import check_pair
from tests.backends.conftest import prefix_of
from tests.backends.observed import BEFORE, Observed
from tests.stubs.install import grant, request

OBS = RAW["erass1"]
STEM = f"obsid{OBS}-instMERGED-subexpNone-en"
# A part of the tile, so that images are small.
PART = {"evtool": {"size": ["500", "500"], "center_position": f"{CENTRE[0]} {CENTRE[1]}"}}


@pytest.fixture(scope="module")
def observed(stand_ins, raw_sky, tmp_path_factory) -> Observed:
    one = Observed.fetched(tmp_path_factory.mktemp("erass1"), raw_sky.root, "erass1", OBS)
    one.run("events", "esass")
    one.run("clean", "esass")
    one.run("images", "esass", esass=PART)
    one.run("sources", "esass")
    return one


def test_flags_and_patterns_are_those_of_the_recipes_and_can_be_set(observed):
    raw = fits.getdata(observed.root / "fetch/EXP_010" / f"em01_{OBS}_020_EventList_c010.fits.gz", "EVENTS")
    events = open_events(observed.root / "events" / f"{STEM}-events.fits", obs_id=OBS)
    kept = (raw["FLAG"].astype(np.int64) & 0xC00FFF30) == 0
    kept &= (raw["PAT_TYP"] >= 1) & (raw["PAT_TYP"] <= 4) & (raw["PI"] >= 200) & (raw["PI"] <= 10000)
    assert 0 < kept.sum() < len(raw)
    assert abs(len(events) - kept.sum()) < 0.02 * len(raw), "but for events at the edges of good times"
    place = observed.root / "other"
    place.mkdir()
    (place / "fetch").symlink_to(observed.root / "fetch")
    other = Observed(place, "erass1", OBS, ("TM1", "TM2"))
    other.run("events", "esass", esass={"evtool": {"pattern": 1, "flag": "0xc00f7f30"}})
    assert "'telid=1 2'" in other.logs["events"]
    singles = open_events(place / "events" / f"obsid{OBS}-instTM1TM2-subexpNone-en-events.fits", obs_id=OBS)
    assert set(singles.gtis) == {1, 2}
    assert set(np.unique(singles.column("PAT_TYP"))) == {1}


def test_flares_are_cut_out_of_a_copy_and_the_product_of_the_step_before_stays_as_it_was(observed):
    events = observed.root / "events" / f"{STEM}-events.fits"
    assert not [hdu.name for hdu in fits.open(events) if hdu.name.startswith("FLAREGTI")]
    before = open_events(events, obs_id=OBS)
    after = open_events(observed.root / "clean" / f"{STEM}-finalevents.fits", obs_id=OBS)
    passes = {len(good) for good in before.gtis.values()}
    assert passes == {6}
    for chip, good in after.gtis.items():
        # The fourth of six passes is a flare.
        assert np.diff(good).sum() == pytest.approx(200, abs=25)
        start, stop = before.gtis[chip][3]
        assert not ((good[:, 0] < stop - 1) & (good[:, 1] > start + 1)).any()
    assert after.header["SCREENED"] == "none"
    assert after.header["FLAREMET"] == "TOOL"
    assert after.header["GTISAME"] is False
    assert 0 < len(after) < len(before)
    gti = fits.open(observed.root / "clean" / f"{STEM}-gti.fits")
    assert [hdu.name for hdu in gti[1:]] == [f"GTI{chip}" for chip in after.gtis]


def test_images_hold_the_counts_of_the_list_and_fit_their_maps(observed):
    events = open_events(observed.root / "clean" / f"{STEM}-finalevents.fits", obs_id=OBS)
    for band, (low, high) in {"0.2_2.3": (200, 2300), "2.3_5.0": (2300, 5000)}.items():
        counts, header = fits.getdata(observed.root / "images" / f"{STEM}{band}keV-image.fits", header=True)
        seconds, told = fits.getdata(observed.root / "images" / f"{STEM}{band}keV-expmap.fits", header=True)
        rates = fits.getdata(observed.root / "images" / f"{STEM}{band}keV-ratemap.fits")
        check_pair(header, told)
        assert told["EXPMETH"] == "EXPMAP"
        assert (told["BUNIT"], header["BUNIT"]) == ("s", "count")
        assert counts.shape == (500, 500)
        energies = events.column("PI")
        sky = SkyCoord(*events.positions().T, unit="deg")
        near = sky.separation(SkyCoord(*CENTRE, unit="deg")).arcmin < 15
        assert counts.sum() >= (near & (energies >= low) & (energies <= high)).sum() > 0
        np.testing.assert_allclose(rates, counts / seconds, rtol=1e-5)
        assert seconds.max() == pytest.approx(200, abs=25)


def test_sources_are_found_where_they_are_and_have_our_columns(observed):
    table = fits.getdata(observed.root / "sources" / f"{STEM}0.2_2.3keV-sourcelist.fits", 1)
    header = fits.getheader(observed.root / "sources" / f"{STEM}0.2_2.3keV-sourcelist.fits", 1)
    assert header["DETMETH"] == "ERMLDET"
    found = SkyCoord(table["RA"], table["DEC"], unit="deg")
    cluster = SkyCoord(FIELD[0].ra, FIELD[0].dec, unit="deg")
    assert found.separation(cluster).arcmin.min() < 1
    assert (np.diff(table["LIKELIHOOD"]) <= 0).all()
    for link in ("ermask", "erbox", "erbackmap", "erbox_map", "ermldet", "catprep"):
        assert f"\n== {link}: done" in observed.logs["sources"]
    (searched,) = json.loads((observed.root / "sources" / f"obsid{OBS}-instALL-subexpALL-en-search.json").read_text())
    assert (searched["sources"], searched["sensitivity"]) == (len(table), "coverage")


def test_native_sources_follow_on_images_of_esass(observed):
    place = observed.root / "native"
    place.mkdir()
    (place / "images").symlink_to(observed.root / "images")
    other = Observed(place, "erass1", OBS, observed.instruments)
    target = other.run("sources", "native", realisations=0)
    assert (target / f"{STEM}0.2_2.3keV-sourcelist.fits").is_file()


@pytest.mark.parametrize("step", ["events", "clean", "images", "sources"])
def test_the_contract_of_a_run(observed, tmp_path, step):
    before = BEFORE[step]
    more = {"esass": PART} if step == "images" else {}
    names = check_run(
        find_backend("esass"), observed.task(step, "esass", **more), {before: observed.root / before}, tmp_path
    )
    assert set(names) == {path.name for path in (observed.root / step).iterdir()}


FAILURES = {
    "events": ("evtool", "errorAndZero", "esass.evtool.stop"),
    "clean": ("flaregti", "noEnd", "esass.flaregti.noSuccess"),
    "images": ("expmap", "outputsMissing", "esass.expmap.outputMissing"),
    "sources": ("ermldet", "errorAndZero", "esass.ermldet.stop"),
}


@pytest.mark.parametrize("step", FAILURES)
def test_a_tool_that_fails_is_named(observed, stand_ins, tmp_path, step):
    tool, failure, code = FAILURES[step]
    prefix = prefix_of(stand_ins["esass"])
    (tmp_path / BEFORE[step]).symlink_to(observed.root / BEFORE[step])
    other = Observed(tmp_path, "erass1", OBS, observed.instruments)
    request(prefix, tool, failure)
    try:
        with pytest.raises(CallError) as failed:
            other.run(step, "esass", **({"esass": PART} if step == "images" else {}))
    finally:
        grant(prefix, tool)
    assert failed.value.code == code


def test_links_can_be_left_out(observed, tmp_path):
    for before in ("events", "images"):
        (tmp_path / before).symlink_to(observed.root / before)
    other = Observed(tmp_path, "erass1", OBS, observed.instruments)
    other.run("clean", "esass", skip=["flaregti"])
    events = open_events(tmp_path / "clean" / f"{STEM}-finalevents.fits", obs_id=OBS)
    assert events.header["GTISAME"] is True
    target = other.run("sources", "esass", stop_after="erbackmap")
    assert sorted(path.name for path in target.iterdir()) == [
        f"obsid{OBS}-instALL-subexpALL-en-search.json",
        f"{STEM}0.2_2.3keV-background.fits",
    ]
