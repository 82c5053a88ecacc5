"""The optical monitor: off unless it is asked for, under kinds of its own, and never in the way of X-ray data."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from daxa.backends.sas import SAS
from daxa.errors import CallError, NotPossible
from daxa.run.product import KINDS, parse_product
from tests.backends.sas.observation import OBS_ID, Observation
from tests.stubs.install import grant, request


def add_raw(observed: Observation, exposure: str, end: str, window: int = 0, **cards: str) -> None:
    name = f"0001_{OBS_ID}_OM{exposure}{window:02d}{end}.FIT"
    place = observed.root / "fetch" / "ODF" / name
    fits.PrimaryHDU(np.ones((4, 4), np.int32), fits.Header(cards)).writeto(place)


@pytest.fixture
def seen(tmp_path, here) -> Observation:
    """MOS1, two images and events of the optical monitor."""
    made = Observation(tmp_path)
    made.add("M1", "S001")
    add_raw(made, "S006", "IMI", 0, FILTER="UVW1")
    add_raw(made, "S006", "IMI", 1, FILTER="UVW1")
    add_raw(made, "S006", "FAE")
    made.cameras.append("OM")
    return made


def of_monitor(names: list[str]) -> list[str]:
    return [name.removeprefix(f"obsid{OBS_ID}-instOM-subexp") for name in names if "-instOM-" in name]


def test_it_is_left_alone_unless_it_is_asked_for(seen):
    assert of_monitor(seen.run("events")) == []
    assert [line for line in seen.commands() if line.startswith("om")] == []


def test_its_products_have_kinds_of_their_own_and_go_no_further(seen):
    names = seen.run("events", om=["image", "fast", "grism"], sas={"omfchain": {"timebinsize": 20.0}})
    calls = [line for line in seen.commands() if line.startswith("om")]
    assert calls == ["omichain", "omfchain timebinsize=20.0"], "no image was taken through a grism"
    assert of_monitor(names) == [
        "ALL-en-omcatalogue.fits",
        "ALLRV000-en-ommosaic.fits",
        "S006w0000-en-omimage.fits",
        "S006w0000-en-omsources.fits",
        "S006w1000-en-omimage.fits",
        "S006w1000-en-omlightcurve.fits",
        "S006w1000-en-omsources.fits",
    ]
    kinds = {parse_product(name).kind for name in names if "-instOM-" in name}
    assert not kinds & set(KINDS), "no later step takes them for X-ray data"
    cleaned = seen.run("clean")
    assert [name for name in cleaned if "OM" in name] == []
    assert any("instM1" in name for name in cleaned)


def test_spectra_of_grisms_are_made_where_there_are_some(tmp_path, here):
    made = Observation(tmp_path)
    made.add("M1", "S001")
    add_raw(made, "S401", "IMI", FILTER="Grism1")
    made.cameras.append("OM")
    names = made.run("events", om=["image", "grism"])
    assert [line for line in made.commands() if line.startswith("om")] == ["omgchain"]
    assert of_monitor(names) == ["S401w000-en-omspectrum.fits"]


def test_its_failure_is_not_that_of_the_x_ray_exposures(seen, prefix):
    request(prefix, "omichain", "errorAndOne")
    try:
        with pytest.raises(CallError) as caught:
            seen.run("events", om=["image"])
        assert caught.value.code == "sas.omichain.noCounts"
        names = seen.run("events", om=["image", "fast"], failing="leave out")
    finally:
        grant(prefix, "omichain")
    assert of_monitor(names) == ["S006w1000-en-omlightcurve.fits"]
    assert any("instM1" in name for name in names)


def test_what_is_not_chosen_is_not_processed(seen):
    seen.cameras = ["M1"]
    with pytest.raises(NotPossible, match="not among the chosen instruments") as caught:
        seen.run("events", om=["image"])
    assert "daxa select" in caught.value.remedy
    assert SAS.check("xmm", {"events": {"om": ["spectra"]}})
    # Without X-ray data, it is processed by itself.
    seen.cameras = ["OM"]
    assert of_monitor(seen.run("events", om=["fast"])) == ["S006w1000-en-omlightcurve.fits"]
