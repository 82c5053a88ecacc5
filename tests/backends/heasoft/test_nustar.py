"""NuSTAR from raw data through nupipeline, and on from there natively."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from daxa.backends import find_backend
from daxa.backends.contract import check_run
from daxa.errors import CallError, DataError
from daxa.run.product import parse_product
from daxa.simulator.raw import RAW
from daxa.xray.eventlists.opening import open_events
from tests.backends.conftest import prefix_of
from tests.backends.observed import Observed
from tests.stubs.install import grant, request

OBS = RAW["nustar"]


@pytest.fixture(scope="module")
def observed(stand_ins, raw_sky, tmp_path_factory) -> Observed:
    """One that has gone through nupipeline, native cleaning, and native images of one band."""
    one = Observed.fetched(tmp_path_factory.mktemp("nustar"), raw_sky.root, "nustar", OBS)
    one.run("events", "heasoft", maps=["3.0-10.0 keV"])
    one.run("clean", "native")
    one.run("images", "native", bands=["3.0-10.0 keV"])
    return one


def test_the_lists_are_those_that_nuscreen_keeps_in_the_good_times_of_orbit_and_housekeeping(observed):
    for module in ("FPMA", "FPMB"):
        raw = fits.getdata(observed.root / "fetch/event_uf" / f"nu{OBS}{module[-1]}_uf.evt.gz", "EVENTS")
        events = open_events(observed.root / "events" / f"obsid{OBS}-inst{module}-subexpNone-en-events.fits")
        assert events.header["TELESCOP"] == "NuSTAR"
        assert events.header["SIMULATD"] is True
        (good,) = events.gtis.values()
        # Two orbits of 3,150 s, of the first of which the South Atlantic Anomaly takes 300 s.
        assert np.diff(good).sum() == pytest.approx(6000, abs=3)
        status = (raw["STATUS"].astype(int) << np.arange(16)[::-1]).sum(axis=1)
        kept = ((status & 0b1111111110100111) == 0) & (raw["SHIELD"] == 0) & (raw["GRADE"] <= 26)
        kept &= ((raw["TIME"][:, None] >= good[:, 0]) & (raw["TIME"][:, None] <= good[:, 1])).any(axis=1)
        np.testing.assert_array_equal(events.times(), raw["TIME"][kept])


def test_native_steps_go_on_from_them_and_use_the_maps_of_nuexpomap(observed):
    for module in ("FPMA", "FPMB"):
        stem = f"obsid{OBS}-inst{module}-subexpNone-en3.0_10.0keV"
        map_ = observed.root / "events" / f"{stem}-archivemap.fits"
        made, header = fits.getdata(observed.root / "images" / f"{stem}-expmap.fits", header=True)
        assert header["EXPMETH"] == "ARCHIVE"
        np.testing.assert_array_equal(made, fits.getdata(map_))
        counts = fits.getdata(observed.root / "images" / f"{stem}-image.fits").sum()
        events = open_events(observed.root / "clean" / f"obsid{OBS}-inst{module}-subexpNone-en-finalevents.fits")
        channels = events.channels()
        assert counts == ((channels >= 35) & (channels <= 209)).sum()


def test_what_nuproducts_reads_stays_beside_the_lists(observed):
    names = {path.name for path in (observed.root / "events").iterdir()}
    assert {f"nu{OBS}_mast.fits", f"nu{OBS}_att.fits", f"nu{OBS}A_det1.fits", f"nu{OBS}B_bp.fits"} <= names
    assert {parse_product(name).kind for name in names if name.startswith("obsid")} == {"events", "archivemap"}


def test_the_log_has_every_call_and_a_script(observed):
    log = observed.logs["events"]
    assert log.count("\n== nupipeline ") == 2
    assert log.count("\n== nuexpomap ") == 2
    assert f"steminputs=nu{OBS}" in log
    assert "The same calls as a script:" in log


def test_the_contract_of_a_run(observed, tmp_path):
    observed = Observed(observed.root, "nustar", OBS, ("FPMA",))
    task = observed.task("events", "heasoft", skip=["nuexpomap"])
    names = check_run(find_backend("heasoft"), task, {"fetch": observed.root / "fetch"}, tmp_path)
    assert [name for name in names if name.startswith("obsid")] == [f"obsid{OBS}-instFPMA-subexpNone-en-events.fits"]
    assert f"nu{OBS}A_det1.fits" in names
    assert f"nu{OBS}B_det1.fits" not in names


FAILURES = {
    "errorAndOne": "error", "errorAndZero": "error", "noEnd": "noSuccess", "outputsMissing": "outputMissing",
    "truncated": "outputUnreadable",
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
def test_a_pipeline_that_fails_is_a_failed_observation(observed, stand_ins, tmp_path, failure):
    prefix = prefix_of(stand_ins["heasoft"])
    (tmp_path / "events").mkdir()
    one = Observed(observed.root, "nustar", OBS, ("FPMA",))
    request(prefix, "nupipeline", failure)
    try:
        with pytest.raises(CallError) as failed:
            find_backend("heasoft").run(
                one.task("events", "heasoft"), {"fetch": one.root / "fetch"}, tmp_path / "events", _Nowhere()
            )
    finally:
        grant(prefix, "nupipeline")
    assert failed.value.code == f"heasoft.nupipeline.{FAILURES[failure]}"
    assert OBS in failed.value.message
    assert not list((tmp_path / "events").iterdir())


class _Nowhere:
    def write(self, text: str) -> None:
        """Nobody reads it."""


def test_parameters_of_the_tools_reach_them_and_wrong_ones_are_told_before(observed):
    backend = find_backend("heasoft")
    faults = backend.check(
        "nustar", {"events": {"heasoft": {"nupipeline": {"saamod": "strict", "indir": "elsewhere"}}}}
    )
    assert [(fault.step, fault.name) for fault in faults] == [
        ("events", "unknown-parameter"),
        ("events", "bad-parameter"),
    ]
    assert "saamode" in faults[0].message
    one = Observed(observed.root, "nustar", OBS, ("FPMB",))
    place = one.root / "other"
    place.mkdir()
    (place / "fetch").symlink_to(one.root / "fetch")
    other = Observed(place, "nustar", OBS, ("FPMB",))
    other.run("events", "heasoft", skip=["nuexpomap"], heasoft={"nupipeline": {"saamode": "strict", "tentacle": True}})
    assert "saamode=strict tentacle=yes" in other.logs["events"]


def test_an_observation_of_which_no_list_is_left_fails_by_name(observed, tmp_path):
    one = Observed(observed.root, "nustar", OBS, ("FPMA",))
    task = one.task("events", "heasoft", skip=["nupipeline", "nuexpomap"])
    (tmp_path / "events").mkdir()
    find_backend("heasoft").run(task, {"fetch": one.root / "fetch"}, tmp_path / "events", _Nowhere())
    assert not list((tmp_path / "events").iterdir()), "what was left out by the user is no failure"
    other = Observed(observed.root, "nustar", OBS, ("FPMC",))
    with pytest.raises(DataError) as failed:
        find_backend("heasoft").run(
            other.task("events", "heasoft"), {"fetch": one.root / "fetch"}, tmp_path / "events", _Nowhere()
        )
    assert failed.value.code == "data.no-exposure"
