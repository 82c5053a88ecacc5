"""What the stand-ins make of event lists is what the real tools make of them, as far as real products show it."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from daxa.backends.tools.command import make_call
from daxa.backends.tools.environment import Installation
from daxa.backends.tools.reading import read_tool
from daxa.backends.tools.running import Ran, run_call
from daxa.backends.tools.written_calls import parse_echo
from tests.stubs import lists
from tests.stubs.expressions import ExpressionError, evaluate
from tests.stubs.here import run_here
from tests.stubs.install import install_suite


@pytest.fixture(autouse=True)
def programs_that_start_at_once(monkeypatch):
    """What they make is tried here, and not how they start."""
    monkeypatch.setattr("daxa.backends.tools.container.run_limited", run_here)


@pytest.fixture(scope="module")
def suites(tmp_path_factory) -> dict[str, Installation]:
    place = tmp_path_factory.mktemp("software")
    return {name: install_suite(place / name, name) for name in ("sas", "esass", "ciao", "heasoft")}


def run(installed: Installation, cwd: Path, tool: str, **values: object) -> Ran:
    cwd.mkdir(exist_ok=True)
    own = {"SAS_CCF": "ccf.cif", "SAS_ODF": "."} if installed.suite.name == "sas" else None
    call = make_call(read_tool(installed.suite.name, tool), installed.release, values)
    ran = run_call(call, installed, cwd=cwd, logs=cwd.parent / "logs", name=tool, seconds=120.0, own=own)
    assert ran.verdict.severity == "none", (tool, ran.verdict.text, ran.stderr.read_text()[-1500:])
    return ran


COLUMNS = [
    ("TIME", ">f8"), ("PI", ">i2"), ("PATTERN", "u1"), ("FLAG", ">i4"), ("X", ">i4"), ("Y", ">i4"),
    ("status", ">i4"), ("grade", ">i2"), ("energy", ">f4"), ("TM_NR", "u1"), ("PAT_TYP", ">i2"),
]  # fmt: skip


def event_list(path: Path, seed: int = 1, start: float = 0.0, **cards: object) -> np.ndarray:
    """Events of 2,000 s, with a flare from 1,000 to 1,200 s after the start."""
    draw = np.random.default_rng(seed)
    times = np.sort(np.concatenate([draw.uniform(0, 2000, 4000), draw.uniform(1000, 1200, 4000)])) + start
    rows = np.zeros(len(times), COLUMNS)
    rows["TIME"] = times
    rows["PI"] = draw.integers(200, 10000, len(times))
    rows["PATTERN"] = draw.integers(0, 16, len(times))
    rows["FLAG"] = np.where(draw.random(len(times)) < 0.1, 1 << 16, 0)
    rows["X"], rows["Y"] = draw.integers(0, 800, (2, len(times)))
    rows["status"], rows["grade"] = rows["FLAG"], rows["PATTERN"] % 8
    rows["energy"], rows["TM_NR"], rows["PAT_TYP"] = rows["PI"], 1 + rows["PATTERN"] % 7, 1 + rows["PATTERN"] % 4
    table = fits.BinTableHDU(rows, name="EVENTS")
    table.header.update(cards)
    good = lists.gti_table([(start, start + 2000)])
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList([fits.PrimaryHDU(), table, good]).writeto(path)
    return rows


def events_of(path: Path) -> np.ndarray:
    return np.asarray(fits.getdata(path, "EVENTS"))


def test_the_stand_in_of_evselect_makes_the_images_that_sas_made(suites, tmp_path, real_data):
    """With the calls that stand in the headers of SAS's own images."""
    folder = real_data / "xmm" / "0404910601"
    compared = 0
    for name, camera in (("images/{}-0.50-2.00keVimg.fits", "mos1"), ("maps/{}-0.50-2.00keVimg.fits.gz", "mos2")):
        name, source = name.format(f"0404910601_{camera}_exp1"), f"{camera}_exp1_clean_evts.fits"  # noqa: PLW2901
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            real, header = fits.getdata(folder / name, header=True)
        told = parse_echo(read_tool("sas", "evselect"), "13.5.0", header["XPROC0"]).values
        work = tmp_path / source
        work.mkdir()
        shutil.copyfile(folder / "eclean" / source, work / source)
        run(suites["sas"], work, "evselect", **told | {"table": source, "imageset": "image.fits"})
        ours, made = fits.getdata(work / "image.fits", header=True)
        assert ours.shape == real.shape
        np.testing.assert_array_equal(ours, real)
        for card in ("CRVAL1", "CDELT1", "CRPIX1", "CRPIX2"):
            assert made[card] == pytest.approx(header[card], abs=1e-6), card
        compared += 1
    assert compared == 2


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ("true", lambda e: np.ones(len(e), bool)),
        ("(PATTERN<=12)&&(PI in [300:2000])&&FLAG==0",
         lambda e: (e["PATTERN"] <= 12) & (e["PI"] >= 300) & (e["PI"] <= 2000) & (e["FLAG"] == 0)),
        ("PI in [300:2000] || PATTERN .eq. 3", lambda e: ((e["PI"] >= 300) & (e["PI"] <= 2000)) | (e["PATTERN"] == 3)),
        ("!(PI > 500) && (FLAG & 0x10000) == 0", lambda e: (e["PI"] <= 500) & (e["FLAG"] == 0)),
        ("#XMMEA_EM", lambda e: (e["FLAG"] & 0x766BA000) == 0),
        ("(X,Y) in circle(400,400,100)", lambda e: np.hypot(e["X"] - 400.0, e["Y"] - 400.0) <= 100),
        ("!CIRCLE(400,400,100.0,X,Y)", lambda e: np.hypot(e["X"] - 400.0, e["Y"] - 400.0) > 100),
    ],
)  # fmt: skip
def test_expressions_select_what_they_say(tmp_path, expression, selected):
    events = event_list(tmp_path / "e.fits")
    columns = {name: events[name].astype(events[name].dtype.newbyteorder("=")) for name in events.dtype.names}
    mask = evaluate(expression, columns, len(events), lambda name, times: times > 0)
    np.testing.assert_array_equal(mask, selected(events))
    assert mask.any()


@pytest.mark.parametrize("expression", ["PI in 1,2,3", "NONE > 3", "(PI > 3", "PI > 3)", "PI @ 3", ""])
def test_expressions_that_sas_would_not_read_are_errors(expression):
    with pytest.raises(ExpressionError):
        evaluate(expression, {"PI": np.arange(3)}, 3, lambda name, times: times)


def test_sas_from_raw_data_to_an_exposure_map(suites, tmp_path):
    """Chips to a list, flares by a threshold and by espfilt, a clean list, image and map: same times everywhere."""
    work, sas = tmp_path / "work", suites["sas"]
    for chip in (1, 2):
        event_list(work / f"0001_0123456789_M1S0010{chip}0IME.FIT", chip, INSTRUME="EMOS1", EXPIDSTR="S001")
    (work / "0001_0123456789_SCX00000SUM.ASC").write_text("OBSERVATION\n")
    run(sas, work, "cifbuild", analysisdate="2026-01-01")
    run(sas, work, "odfingest")
    run(sas, work, "emchain", instruments="M1", exposures="S001")
    name = "P0123456789M1S001MIEVLI0000.FIT"
    assert len(events_of(work / name)) == 16000
    run(sas, work, "espfilt", eventfile=name, method="histogram", allowsigma=3)
    run(sas, work, "evselect", table=name, rateset="lc.fits", timebinsize=20, maketimecolumn=True, makeratecolumn=True)
    run(sas, work, "tabgtigen", table="lc.fits", gtiset="gti.fits", expression="RATE <= 10")
    for gti in ("mos1S001-gti.fits", "gti.fits"):
        pairs = lists.intervals_of(work / gti)
        assert not lists.within(pairs, np.array([1050.0, 1150.0])).any(), "the flare is cut out"
        assert 1500 < np.diff(pairs, axis=1).sum() < 1900
    cut = "PATTERN <= 12 && FLAG == 0 && GTI(gti.fits,TIME)"
    run(sas, work, "evselect", table=name, filteredset="clean.fits", expression=cut)
    events = events_of(work / name)
    good = (
        (events["PATTERN"] <= 12)
        & (events["FLAG"] == 0)
        & lists.within(lists.intervals_of(work / "gti.fits"), events["TIME"])
    )
    np.testing.assert_array_equal(events_of(work / "clean.fits")["TIME"], events["TIME"][good])
    binning = {"xcolumn": "X", "ycolumn": "Y", "imagebinning": "binSize", "ximagebinsize": 80, "yimagebinsize": 80}
    run(sas, work, "evselect", table="clean.fits", imageset="image.fits", **binning)
    assert fits.getdata(work / "image.fits").sum() == good.sum()
    run(sas, work, "atthkgen", atthkset="att.fits")
    maps = {"imageset": "image.fits", "attitudeset": "att.fits", "eventset": name, "expimageset": "map.fits"}
    run(sas, work, "eexpmap", **maps, pimin=300, pimax=2000)
    assert fits.getdata(work / "map.fits").shape == fits.getdata(work / "image.fits").shape


def test_lists_are_merged_in_the_order_of_time(suites, tmp_path):
    work = tmp_path / "work"
    event_list(work / "first.fits", 1)
    event_list(work / "second.fits", 2, start=5000.0)
    run(suites["sas"], work, "merge", set1="first.fits", set2="second.fits", outset="both.fits")
    times = events_of(work / "both.fits")["TIME"]
    assert len(times) == 16000
    assert (np.diff(times) >= 0).all()
    call = make_call(
        read_tool("sas", "merge"), "22.1", {"set1": "second.fits", "set2": "first.fits", "outset": "c.fits"}
    )
    ran = run_call(call, suites["sas"], cwd=work, logs=tmp_path / "logs", name="merge", seconds=60.0)
    assert ran.verdict.code == "sas.merge.timeOrder"


def test_an_exposure_without_counts_fails_as_the_real_one_did(suites, tmp_path):
    event_list(tmp_path / "work" / "e.fits")
    values = {"eventfile": "e.fits", "elow": 20000, "ehigh": 30000}
    call = make_call(read_tool("sas", "espfilt"), "22.1", values)
    ran = run_call(call, suites["sas"], cwd=tmp_path / "work", logs=tmp_path / "logs", name="espfilt", seconds=60.0)
    assert ran.verdict.code == "sas.espfilt.noCounts"
    assert [reason.name for reason in ran.verdict.reasons][:2] == ["noCounts", "status1"]


def test_esass_from_list_to_map(suites, tmp_path):
    work, esass = tmp_path / "work", suites["esass"]
    events = event_list(work / "e.fits")
    run(esass, work, "flaregti", eventfile="e.fits", gtifile="flares.fits", timebin=20)
    assert len(fits.open(work / "e.fits")) == 3, "with a file of its own it leaves the list alone"
    run(esass, work, "flaregti", eventfile="e.fits", timebin=20)
    assert fits.open(work / "e.fits")[3].name == "FLAREGTI"
    values = {"gti": "FLAREGTI", "flag": "0x10000", "pattern": 15, "emin": 0.5, "emax": 2.0, "telid": [1, 2, 3]}
    run(esass, work, "evtool", eventfiles="e.fits", outfile="clean.fits", **values)
    pairs = lists.intervals_of(work / "flares.fits")
    good = lists.within(pairs, events["TIME"]) & (events["FLAG"] == 0) & (events["TM_NR"] <= 3)
    good &= (events["PI"] >= 500) & (events["PI"] <= 2000)
    np.testing.assert_array_equal(events_of(work / "clean.fits")["TIME"], events["TIME"][good])
    run(esass, work, "evtool", eventfiles="clean.fits", outfile="image.fits", image=True, rebin=80)
    run(
        esass,
        work,
        "expmap",
        inputdatasets="clean.fits",
        templateimage="image.fits",
        emin=0.5,
        emax=2,
        mergedmaps="map.fits",
    )
    assert fits.getdata(work / "image.fits", 0).sum() == good.sum()
    assert fits.getdata(work / "map.fits").shape == fits.getdata(work / "image.fits", 0).shape


def test_ciao_from_level_one_to_images(suites, tmp_path):
    work, ciao = tmp_path / "work", suites["ciao"]
    events = event_list(work / "obs/secondary/acisf00001_000N001_evt1.fits")
    run(ciao, work, "chandra_repro", indir="obs", outdir="repro", set_ardlib=False)
    (made,) = (work / "repro").glob("*_repro_evt2.fits")
    good = (events["status"] == 0) & np.isin(events["grade"], (0, 2, 3, 4, 6))
    np.testing.assert_array_equal(events_of(made)["TIME"], events["TIME"][good])
    listed = f"repro/{made.name}"
    run(ciao, work, "dmextract", infile=f"{listed}[energy=500:7000][bin time=::20]", outfile="lc.fits", opt="ltc1")
    run(ciao, work, "deflare", infile="lc.fits", outfile="gti.fits", method="sigma", nsigma=1.5)
    run(ciao, work, "dmcopy", infile=f"{listed}[EVENTS][energy=500:2000,grade=0,2]", outfile="band.fits")
    run(ciao, work, "dmcopy", infile="band.fits[EVENTS][@gti.fits]", outfile="clean.fits")
    kept = good & np.isin(events["grade"], (0, 2)) & (events["energy"] >= 500) & (events["energy"] <= 2000)
    kept &= lists.within(lists.intervals_of(work / "gti.fits"), events["TIME"])
    np.testing.assert_array_equal(events_of(work / "clean.fits")["TIME"], events["TIME"][kept])
    run(
        ciao, work, "fluximage", infile="clean.fits[EVENTS]", outroot="im", bands="0.5:2:1.2", binsize=8, parallel=False
    )
    assert fits.getdata(work / "im_0.5-2_thresh.img").sum() == (events["energy"][kept] < 2000).sum()
    again = make_call(read_tool("ciao", "deflare"), "4.18", {"infile": "lc.fits", "outfile": "gti.fits"})
    ran = run_call(again, ciao, cwd=work, logs=tmp_path / "logs", name="again", seconds=60.0)
    assert ran.verdict.code == "ciao.deflare.outputExists"


def test_heasoft_stages_of_one_observation(suites, tmp_path):
    work, heasoft = tmp_path / "work", suites["heasoft"]
    for module in "AB":
        event_list(work / f"obs/event_uf/nu60001110002{module}_uf.evt", STATUS=0)
    values = {"indir": "obs", "steminputs": "nu60001110002"}
    run(heasoft, work, "nupipeline", **values, outdir="one", exitstage=1, instrument="FPMA")
    assert [path.name for path in (work / "one").glob("*.evt")] == ["nu60001110002A_uf.evt"]
    run(heasoft, work, "nupipeline", **values, outdir="two", exitstage=2)
    assert sorted(path.name for path in (work / "two").glob("*_cl.evt")) == [
        "nu60001110002A01_cl.evt",
        "nu60001110002B01_cl.evt",
    ]
