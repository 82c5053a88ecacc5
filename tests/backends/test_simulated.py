"""The native chain on the simulated sky: cameras of which no real list is at hand (pn, FPMB)."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from astropy.io import fits

from daxa.missions import find_mission
from daxa.sample.simulate import build_sky
from daxa.xray.lists.events import open_events
from tests.backends.observations import Fetched, run_step


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return build_sky(tmp_path_factory.mktemp("sky")).root


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
