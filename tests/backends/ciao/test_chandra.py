"""Chandra through CIAO: from level 1 to sources, and on natively from every step."""

from __future__ import annotations

import gzip
import json
import shutil

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits

from daxa.backends import find_backend
from daxa.backends.contract import check_run
from daxa.errors import CallError, NotPossible
from daxa.simulator.raw import RAW
from daxa.simulator.sky import FIELD
from daxa.xray.eventlists.opening import open_events
from daxa.xray.imaging.pairing import check_pair
from tests.backends.conftest import prefix_of
from tests.backends.observed import BEFORE, Observed
from tests.stubs.install import grant, request
from tests.xray.madelists import make_list

OBS = RAW["chandra"]
STEM = f"obsid{OBS}-instACIS-subexpNone-en"


@pytest.fixture(scope="module")
def observed(stand_ins, raw_sky, tmp_path_factory) -> Observed:
    one = Observed.fetched(tmp_path_factory.mktemp("chandra"), raw_sky.root, "chandra", OBS)
    for step in ("events", "clean", "images", "sources"):
        one.run(step, "ciao")
    return one


def beside(observed: Observed, place, *steps: str) -> Observed:
    """The same observation elsewhere, with what these steps have made."""
    for step in steps:
        (place / step).symlink_to(observed.root / step)
    return Observed(place, observed.mission, observed.obs_id, observed.instruments)


def test_level_one_becomes_level_two_with_the_files_that_go_with_it(observed):
    raw = fits.getdata(observed.root / f"fetch/secondary/acisf{OBS}_000N001_evt1.fits.gz", "EVENTS")
    events = open_events(observed.root / "events" / f"{STEM}-events.fits")
    kept = ~raw["status"].any(axis=1) & np.isin(raw["grade"], (0, 2, 3, 4, 6))
    assert 0 < len(events) <= kept.sum() < len(raw)
    names = {path.name for path in (observed.root / "events").iterdir()}
    assert names == {
        f"{STEM}-events.fits", f"acisf{OBS}_repro_bpix1.fits", f"acisf{OBS}_repro_fov1.fits",
        f"acisf{OBS}_000N001_msk1.fits", f"pcadf{OBS}_000N001_asol1.fits",
    }  # fmt: skip
    assert "set_ardlib=no" in observed.logs["events"]


def test_flares_are_cut_and_times_are_those_of_each_chip(observed):
    before = open_events(observed.root / "events" / f"{STEM}-events.fits")
    after = open_events(observed.root / "clean" / f"{STEM}-finalevents.fits")
    begin = before.header["TSTART"]
    for chip, good in after.gtis.items():
        assert 0 < np.diff(good).sum() < np.diff(before.gtis[chip]).sum()
        # The flare lasts from 0.55 to 0.65 of 4,000 s; bins have 200 s.
        assert not ((good[:, 0] < begin + 2550) & (good[:, 1] > begin + 2450)).any()
    assert after.header["SCREENED"] == "none"
    assert after.header["GTISAME"] is False
    told = json.loads((observed.root / "clean" / f"obsid{OBS}-instALL-subexpALL-en-measures.json").read_text())
    (measured,) = told["exposures"]
    assert measured["events"] == len(after)
    assert measured["good"] < measured["archived"]


def test_images_fit_their_maps_in_seconds(observed):
    after = open_events(observed.root / "clean" / f"{STEM}-finalevents.fits")
    for band, (low, high) in {"0.5_2.0": (500, 2000), "2.0_7.0": (2000, 7000)}.items():
        counts, header = fits.getdata(observed.root / "images" / f"{STEM}{band}keV-image.fits", header=True)
        seconds, told = fits.getdata(observed.root / "images" / f"{STEM}{band}keV-expmap.fits", header=True)
        check_pair(header, told)
        assert told["EXPMETH"] == "FLUXIMAGE"
        energy = after.column("energy")
        assert counts.sum() == ((energy >= low) & (energy < high)).sum()
        assert seconds.max() == pytest.approx(max(np.diff(good).sum() for good in after.gtis.values()), rel=0.01)
        assert header["CDELT2"] * 3600 == pytest.approx(4 * 0.492, rel=1e-3)
    assert "bands=0.5:2:1.25,2:7:3.8" in observed.logs["images"]


def test_sources_are_found_where_they_are(observed):
    table, header = fits.getdata(observed.root / "sources" / f"{STEM}0.5_2.0keV-sourcelist.fits", 1, header=True)
    assert header["DETMETH"] == "WAVDETECT"
    found = SkyCoord(table["RA"], table["DEC"], unit="deg")
    assert found.separation(SkyCoord(FIELD[0].ra, FIELD[0].dec, unit="deg")).arcsec.min() < 30
    assert np.isnan(table["LIKELIHOOD"]).all(), "wavdetect gives none"
    assert (np.diff(table["COUNTS"]) <= 0).all()
    assert "expfile=" in observed.logs["sources"]


@pytest.mark.parametrize("step", ["clean", "images", "sources"])
def test_native_steps_go_on_from_every_step(observed, tmp_path, step):
    other = beside(observed, tmp_path, BEFORE[step])
    more = {"sources": {"realisations": 0}, "images": {"bands": ["0.5-2.0 keV"]}}.get(step, {})
    target = other.run(step, "native", **more)
    kind = {"clean": "finalevents", "images": "expmap", "sources": "sourcelist"}[step]
    assert list(target.glob(f"*-{kind}.fits"))


@pytest.mark.parametrize("step", ["events", "clean", "images", "sources"])
def test_the_contract_of_a_run(observed, tmp_path, step):
    task, before = observed.task(step, "ciao"), BEFORE[step]
    names = check_run(find_backend("ciao"), task, {before: observed.root / before}, tmp_path)
    assert set(names) == {path.name for path in (observed.root / step).iterdir()}


FAILURES = {
    "events": ("chandra_repro", "errorAndOne", "ciao.chandra_repro.dsnoCountsERR"),
    "clean": ("deflare", "silent", "ciao.deflare.status1"),
    "images": ("fluximage", "outputsMissing", "ciao.fluximage.outputMissing"),
    "sources": ("wavdetect", "truncated", "ciao.wavdetect.outputUnreadable"),
}


@pytest.mark.parametrize("step", FAILURES)
def test_a_tool_that_fails_is_named(observed, stand_ins, tmp_path, step):
    tool, failure, code = FAILURES[step]
    prefix, other = prefix_of(stand_ins["ciao"]), beside(observed, tmp_path, BEFORE[step])
    request(prefix, tool, failure)
    try:
        with pytest.raises(CallError) as failed:
            other.run(step, "ciao")
    finally:
        grant(prefix, tool)
    assert failed.value.code == code


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (("acisf{o}_000N001_e1_evt1.fits.gz", "acisf{o}_000N001_e2_evt1.fits.gz"), "impossible.alternating"),
        (("acisf{o}_001N001_evt1.fits.gz", "acisf{o}_002N001_evt1.fits.gz"), "impossible.several-intervals"),
    ],
)
def test_alternating_exposures_and_several_intervals_are_refused_by_name(observed, tmp_path, names, code):
    shutil.copytree(observed.root / "fetch", tmp_path / "fetch")
    (tmp_path / f"fetch/secondary/acisf{OBS}_000N001_evt1.fits.gz").rename(tmp_path / "evt1.fits.gz")
    for name in names:
        shutil.copyfile(tmp_path / "evt1.fits.gz", tmp_path / "fetch/secondary" / name.format(o=OBS))
    other = Observed(tmp_path, "chandra", OBS, observed.instruments)
    with pytest.raises(NotPossible) as refused:
        other.run("events", "ciao")
    assert refused.value.code == code
    assert OBS in refused.value.message
    assert "native" in refused.value.remedy


def test_a_list_cut_in_energy_says_so_and_images_know_it(observed, tmp_path):
    other = beside(observed, tmp_path, "events")
    target = other.run("clean", "ciao", energy="0.5-2.0 keV", skip=["dmextract", "deflare"])
    clean = open_events(target / f"{STEM}0.5_2.0keV-finalevents.fits")
    energies = clean.column("energy")
    assert energies.min() >= 500
    assert energies.max() <= 2000
    assert (clean.header["SCRCHAN1"], clean.header["SCRCHAN2"]) == (35, 137)
    images = other.run("images", "ciao", bands=["0.5-2.0 keV"])
    counts = fits.getdata(images / f"{STEM}0.5_2.0keV-image.fits").sum()
    assert counts == (energies < 2000).sum()


def test_the_hrc_has_no_energies_and_one_image(stand_ins, tmp_path):
    """From a level 1 list as the headers of the HRC describe it."""
    plain = make_list("chandra-hrc-i", tmp_path / "plain.fits", seed=3, count=2000)
    for name in ("secondary/hrcf01234_000N003_evt1.fits.gz", "primary/pcadf01234_000N001_asol1.fits.gz"):
        (tmp_path / "fetch" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fetch" / name).write_bytes(gzip.compress(plain.read_bytes(), 1, mtime=0))
    one = Observed(tmp_path, "chandra", "1234", ("HRC",))
    one.run("events", "ciao")
    target = one.run("clean", "ciao")
    clean = open_events(target / "obsid1234-instHRC-subexpNone-en-finalevents.fits")
    assert "energy=" not in one.logs["clean"]
    assert "grade=" not in one.logs["clean"]
    images = one.run("images", "ciao")
    assert "bands=default" in one.logs["images"]
    assert "binsize=16" in one.logs["images"]
    placed = np.isfinite(clean.positions()).all(axis=1).sum()
    assert fits.getdata(images / "obsid1234-instHRC-subexpNone-en-image.fits").sum() == placed > 100
    assert (images / "obsid1234-instHRC-subexpNone-en-expmap.fits").is_file()
