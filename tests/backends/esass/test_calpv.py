"""A pointing of CalPV through eSASS: from the list of a field's tar file to a catalogue; scans are refused."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from daxa.backends import find_backend
from daxa.backends.contract import check_run
from daxa.errors import NotPossible
from daxa.simulator.calpv import POINTINGS, member_of
from daxa.simulator.erosita import write_pointing
from daxa.simulator.sky import FIELD
from daxa.xray.eventlists.opening import open_events
from daxa.xray.imaging.pairing import check_pair
from tests.backends.observed import BEFORE, Observed

POINTING = POINTINGS[0]
OBS = POINTING.obs_id
STEM = f"obsid{OBS}-instTM1TM2-subexpNone-en"
SMALL = {"bands": ["0.2-2.3 keV"], "esass": {"evtool": {"size": ["500", "500"]}}}


@pytest.fixture(scope="module")
def observed(stand_ins, tmp_path_factory) -> Observed:
    one = Observed(tmp_path_factory.mktemp("calpv"), "erosita_calpv", OBS, ("TM1", "TM2"))
    write_pointing(one.root / "fetch" / member_of(OBS), POINTING, FIELD, seed=907)
    one.run("events", "esass")
    one.run("clean", "esass")
    one.run("images", "esass", **SMALL)
    one.run("sources", "esass", band="0.2-2.3 keV")
    return one


def test_the_list_holds_the_chosen_modules_with_flags_and_patterns_of_the_recipes(observed):
    raw = fits.getdata(observed.root / "fetch" / member_of(OBS), "EVENTS")
    events = open_events(observed.root / "events" / f"{STEM}-events.fits", obs_id=OBS)
    kept = (raw["FLAG"].astype(np.int64) & 0xC00FFF30) == 0
    kept &= (raw["PAT_TYP"] >= 1) & (raw["PAT_TYP"] <= 4) & (raw["PI"] >= 200) & (raw["PI"] <= 10000)
    kept &= raw["TM_NR"] <= 2
    assert 0 < kept.sum() < len(raw)
    assert abs(len(events) - kept.sum()) < 0.02 * kept.sum(), "but for events at the edges of good times"
    assert set(events.gtis) == {1, 2}


def test_images_are_paired_with_exposure_maps_that_expmap_made(observed):
    image, seconds = (observed.root / "images" / f"{STEM}0.2_2.3keV-{kind}.fits" for kind in ("image", "expmap"))
    assert fits.getdata(image).sum() > 100
    assert fits.getval(seconds, "EXPMETH") == "EXPMAP"
    assert fits.getval(seconds, "VIGNET") is True
    assert fits.getdata(seconds).max() > 0
    check_pair(fits.getheader(image), fits.getheader(seconds))
    searched = sorted(path.name for path in (observed.root / "sources").iterdir())
    assert "esass_catalogue.fits" in "".join(searched), searched


def test_a_map_that_was_made_without_vignetting_says_so(observed):
    place = observed.root / "flat"
    place.mkdir()
    (place / "clean").symlink_to(observed.root / "clean")
    own = {**SMALL, "esass": {**SMALL["esass"], "expmap": {"withvignetting": False}}}
    target = Observed(place, "erosita_calpv", OBS, observed.instruments).run("images", "esass", **own)
    assert fits.getval(target / f"{STEM}0.2_2.3keV-expmap.fits", "VIGNET") is False


def test_the_contract_holds_for_every_step(observed, tmp_path):
    for step, parameters in (("events", {}), ("clean", {}), ("images", SMALL)):
        task = observed.task(step, "esass", **parameters)
        place = tmp_path / step
        place.mkdir()
        assert check_run(find_backend("esass"), task, {BEFORE[step]: observed.root / BEFORE[step]}, place)


@pytest.mark.parametrize("step", ["events", "clean", "images", "sources"])
def test_scans_are_refused_by_name(stand_ins, tmp_path, step):
    one = Observed(tmp_path, "erosita_calpv", "300007", ("TM1",))
    (tmp_path / BEFORE[step]).mkdir()
    with pytest.raises(NotPossible, match="erosita_calpv 300007 is a scan") as raised:
        one.run(step, "esass")
    assert 'backend = "native"' in raised.value.remedy
