"""What experts ask of the step clean: energies, patterns, flags, an expression, chips; and that images follow."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from astropy.io import fits

from daxa.backends import find_backend
from daxa.errors import NotPossible
from daxa.xray.eventlists.opening import open_events
from tests.backends.native.observations import CHANDRA, NUSTAR, XMM_ONE, digests, run_step

LIST = "xmm/0404910601/eclean/mos1_exp1_clean_evts.fits"
BAND = {"bands": ["0.5-2.0 keV"], "pixel": "4.35 arcsec"}


@pytest.fixture(scope="module")
def root(real_data, tmp_path_factory):
    """The events of the real exposure, some of them with flags and patterns that the standard screening drops."""
    root = tmp_path_factory.mktemp("own")
    XMM_ONE.lay_out(real_data, root)
    run_step(XMM_ONE, "events", root)
    with fits.open(next((root / "events").glob("obsid*")), mode="update", output_verify="ignore") as hdus:
        rows = hdus["EVENTS"].data
        rows["FLAG"][::4] = 1
        rows["FLAG"][1::50] = 1 << 21
        rows["PATTERN"][2::10] = 20
    return root


def cleaned(root, tmp_path, **asked):
    """The cleaned list of a step with these parameters, its own directory, and the log."""
    shutil.copytree(root / "events", tmp_path / "events", dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "clean", ignore_errors=True)
    target, log = run_step(XMM_ONE, "clean", tmp_path, flares="none", **asked)
    return open_events(next(target.glob("*-finalevents.fits"))), target, log


def image_of(tmp_path):
    shutil.rmtree(tmp_path / "images", ignore_errors=True)
    target, log = run_step(XMM_ONE, "images", tmp_path, **BAND)
    kinds = {kind: next(target.glob(f"*-{kind}.fits")) for kind in ("image", "expmap")}
    return {kind: (fits.getdata(path), fits.getheader(path)) for kind, path in kinds.items()}, log


ASKED = {
    "patterns": ({"patterns": "0"}, lambda r: (r["FLAG"] == 0) & (r["PATTERN"] == 0)),
    "loose patterns": ({"patterns": "0-20"}, lambda r: r["FLAG"] == 0),
    "word": ({"flags": "word"}, lambda r: (r["FLAG"] & 0x766BA000 == 0) & (r["PATTERN"] <= 12)),
    "mask": ({"flags": "0x1"}, lambda r: (r["FLAG"] & 1 == 0) & (r["PATTERN"] <= 12)),
    "no flags": ({"flags": "none"}, lambda r: r["PATTERN"] <= 12),
    "energy": (
        {"energy": "0.5-4 keV"},
        lambda r: (r["FLAG"] == 0) & (r["PATTERN"] <= 12) & (abs(r["PI"] - 2250.0) <= 1750),
    ),
    "expression": (
        {"expression": "PI < 900 && RAWX > 100 || PI >= 900 && PATTERN in (0,2)"},
        lambda r: (r["FLAG"] == 0)
        & (r["PATTERN"] <= 12)
        & (((r["PI"] < 900) & (r["RAWX"] > 100)) | ((r["PI"] >= 900) & np.isin(r["PATTERN"], (0, 2)))),
    ),
    "alone": ({"screening": "none", "expression": "PATTERN == 20"}, lambda r: r["PATTERN"] == 20),
}  # fmt: skip


@pytest.mark.parametrize("name", ASKED)
def test_the_list_and_its_image_hold_what_was_asked_for(root, tmp_path, name):
    asked, kept = ASKED[name]
    events, target, log = cleaned(root, tmp_path, **asked)
    before = open_events(next((root / "events").glob("obsid*")))
    wanted = before.rows[kept(before.rows)]
    assert 0 < len(wanted) < len(before.rows)
    assert events.rows.tobytes() == wanted.tobytes()
    assert events.header["SCREENED"] == "own"
    assert "screened with" in log
    (path,) = target.glob("*-finalevents.fits")
    assert ("en0.5_4.0keV" in path.name) is (name == "energy")
    products, said = image_of(tmp_path)
    pixels, header = products["image"]
    in_band = (wanted["PI"] >= 500) & (wanted["PI"] <= 2000)
    assert pixels.sum() == in_band.sum()
    assert header["CUTID"] == products["expmap"][1]["CUTID"]
    # An exposure map cannot know of a cut by pixels of the detector, and says so.
    for product in products.values():
        assert product[1].get("EXPUNCUT") == ("RAWX" if name == "expression" else None)
    assert ("do not include the cut by RAWX" in said) is (name == "expression")


def test_defaults_written_out_change_no_byte(root, tmp_path):
    _, target, _ = cleaned(root, tmp_path)
    plain = digests(target)
    asked = dict.fromkeys(("patterns", "flags", "expression", "chips"), "")
    _, target, _ = cleaned(root, tmp_path, screening="standard", energy="all", anomalous="keep", **asked)
    assert digests(target) == plain


def test_chips_that_are_not_asked_for_are_in_neither_list_nor_map(root, tmp_path):
    everything, _, _ = cleaned(root, tmp_path)
    whole, _ = image_of(tmp_path)
    events, _, _ = cleaned(root, tmp_path, chips="M1:1-3 PN:1")
    assert set(events.gtis) == {1, 2, 3}
    assert set(np.unique(events.rows["CCDNR"])) == {1, 2, 3}
    assert events.header["CHIPSUSE"] == "1,2,3"
    assert "LIVETI04" not in events.header
    assert "LIVETI03" in events.header
    assert events.header["GTISAME"] is False
    assert len(events.rows) == np.isin(everything.rows["CCDNR"], (1, 2, 3)).sum()
    part, _ = image_of(tmp_path)
    assert part["expmap"][1]["EXPCHIPS"] == "1,2,3"
    assert part["image"][0].sum() < whole["image"][0].sum()
    assert 0.3 < np.count_nonzero(part["expmap"][0]) / np.count_nonzero(whole["expmap"][0]) < 0.7
    assert part["image"][0][part["expmap"][0] == 0].sum() <= 0.01 * part["image"][0].sum()
    with pytest.raises(NotPossible, match="none of the chips"):
        cleaned(root, tmp_path, chips="6")


@pytest.mark.parametrize("asked", ["keep", "drop"])
def test_an_anomalous_chip_is_always_said_and_left_out_on_request(root, tmp_path, asked):
    shutil.copytree(root / "events", tmp_path / "events")
    path = next((tmp_path / "events").glob("obsid*"))
    with fits.open(path, mode="update", output_verify="ignore") as hdus:
        rows = hdus["EVENTS"].data
        at = np.flatnonzero(rows["CCDNR"] == 5)[:300]
        rows["FLAG"][at], rows["PATTERN"][at] = 0x10000, 0
        rows["PI"][at[:200]], rows["PI"][at[200:]] = 3000, 600
    target, log = run_step(XMM_ONE, "clean", tmp_path, flares="none", anomalous=asked)
    events = open_events(next(target.glob("*-finalevents.fits")))
    assert events.header["ANOMFL5"] == "B"
    assert events.header["ANOMHR5"] == 2.0
    assert events.header["ANOMFL4"] == "U"
    assert "chip 5 is anomalous below 1 keV: hardness 2.00" in log
    assert (5 in events.gtis) is (asked == "keep")
    assert events.header.get("CHIPSOUT") == (None if asked == "keep" else "5")


def test_flares_are_looked_for_at_energies_that_are_cut_afterwards(root, tmp_path):
    shutil.copytree(root / "events", tmp_path / "events")
    target, _ = run_step(XMM_ONE, "clean", tmp_path, energy="0.5-2 keV", flare_bands=["0.5-2.0 keV"])
    events = open_events(next(target.glob("*-finalevents.fits")))
    assert events.rows["PI"].max() <= 2000
    assert events.header["FLARE_HI"] == 12.0
    assert 0.1 < events.header["FLAREALL"] < 0.9


def test_other_missions_know_the_same_controls(real_data, tmp_path):
    for fetched, asked, check in (
        (CHANDRA, {"patterns": "0", "chips": "0-3"}, lambda r: r["grade"].max() == 0 and r["ccd_id"].max() <= 3),
        (NUSTAR, {"energy": "3-20 keV", "expression": "DET_ID == 0"}, lambda r: r["DET_ID"].max() == 0),
    ):
        own = fetched.lay_out(real_data, tmp_path / fetched.mission)
        run_step(fetched, "events", own)
        target, _ = run_step(fetched, "clean", own, flares="none", **asked)
        events = open_events(next(target.glob("*-finalevents.fits")))
        assert len(events.rows) > 0
        assert check(events.rows)


def faults(**clean):
    images = {"bands": ["0.5-2.0 keV"]}
    found = find_backend("native").check("xmm", {"clean": clean, "images": images}, ("M1", "PN"))
    return [(fault.step, fault.key) for fault in found]


@pytest.mark.parametrize(
    ("clean", "wrong"),
    [
        ({"patterns": "0-4", "flags": "0x1", "expression": "PI > 300", "chips": "1-7", "energy": "0.3-8 keV"}, None),
        ({"patterns": 0, "flags": 0x766BA000, "chips": 1}, None),
        ({"patterns": 0.0, "flags": float(0x766BA000)}, None),
        ({"patterns": 0.5}, "patterns"),
        ({"patterns": float("inf")}, "patterns"),
        ({"patterns": True}, "patterns"),
        ({"flags": -1}, "flags"),
        ({"patterns": "singles"}, "patterns"),
        ({"flags": "0x"}, "flags"),
        ({"expression": "PI >"}, "expression"),
        ({"expression": "os.system('x')"}, "expression"),
        ({"expression": 5}, "expression"),
        ({"chips": "left"}, "chips"),
        ({"energy": "0.6-2 keV"}, "energy"),
        ({"energy": "500 keV"}, "energy"),
        ({"anomalous": "yes"}, "anomalous"),
        ({"flare_bands": ["0.5-200 keV"]}, "flare_bands"),
        ({"paterns": "0"}, "paterns"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_a_fault_before_any_work(clean, wrong):
    assert faults(**clean) == ([("clean", wrong)] if wrong else [])


def test_anomalous_chips_cannot_be_dropped_where_none_are_recognised():
    asked = {"clean": {"anomalous": "drop"}, "images": {"bands": ["0.5-2.0 keV"]}}
    found = find_backend("native").check("chandra", asked, ("ACIS",))
    assert [(fault.step, fault.key) for fault in found] == [("clean", "anomalous")]


def test_a_column_that_the_list_lacks_is_an_error_of_that_observation(root, tmp_path):
    with pytest.raises(NotPossible, match="0404910601") as problem:
        cleaned(root, tmp_path, expression="ENERGY > 3")
    assert problem.value.code == "impossible.expression"
    assert "PATTERN" in problem.value.remedy
