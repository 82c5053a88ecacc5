"""Swift's BAT: a catalogue for each pointing, where it is chosen, and what became of the pointings that have none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from astropy.io import fits

from daxa.backends import find_backend
from daxa.backends.tools.command import arguments, make_call
from daxa.backends.tools.reading import read_suite, read_tool
from daxa.backends.tools.verdict import judge
from daxa.backends.tools.written_calls import parse_arguments
from daxa.errors import CallError, DataError, NotPossible
from daxa.run.product import KINDS, parse_product
from tests.backends.conftest import prefix_of
from tests.backends.heasoft.bat_histograms import NAMES, add_survey
from tests.backends.heasoft.test_pipelines import PIPELINES, lay_out
from tests.backends.observed import Observed
from tests.stubs.install import grant, request

SWIFT = PIPELINES["swift"]
OBS = SWIFT.obs_id
CALL = make_call(
    read_tool("heasoft", "batsurvey"), read_suite("heasoft").releases[-1], {"indir": "obs", "outdir": "survey"}
)
TABLE = ["subexpALL-en-batgti", "subexpALL-en-batpointings"]


def of_bat(place: Path) -> list[str]:
    start = f"obsid{OBS}-instBAT-"
    return sorted(path.name.removeprefix(start).removesuffix(".fits") for path in place.glob(f"{start}*"))


def of_pointing(name: str, *kinds: str) -> list[str]:
    return [f"subexp{name}-en-{kind}" for kind in kinds or ("batgti", "batsources")]


@pytest.fixture
def seen(stand_ins, tmp_path) -> Observed:
    """Two pointings of 900 s and 600 s, with fewer detectors than batsurvey itself asks for."""
    add_survey(tmp_path / "fetch", OBS)
    return Observed(tmp_path, "swift", OBS, ("BAT",))


@pytest.fixture
def both(seen) -> Observed:
    """With lists of the XRT."""
    lay_out(SWIFT, seen.root)
    seen.instruments = ("XRT", "BAT")
    return seen


def test_each_pointing_has_a_catalogue_with_a_rate_for_each_bin(seen):
    place = seen.run("events", "heasoft")
    assert of_bat(place) == sorted([*of_pointing(NAMES[0]), *of_pointing(NAMES[1]), *TABLE])
    assert not {parse_product(path.name).kind for path in place.iterdir()} & set(KINDS), "no later step reads them"
    calls = [line[2:] for line in seen.logs["events"].splitlines() if line.startswith("$ ")]
    bins, limits = "14-20,20-24,24-35,35-50,50-75,75-100,100-150,150-195", "detthresh=10000 detthresh2=10000"
    call = (
        f"batsurvey indir=obs outdir=survey energybins={bins} elimits=14-195 keep_sky_images=NONE {limits} clobber=yes"
    )
    assert calls == [call]
    (source,) = fits.getdata(place / f"obsid{OBS}-instBAT-subexp{NAMES[1]}-en-batsources.fits")
    assert source["RATE"].tolist() == pytest.approx([0.02] * 8)
    (pair,) = fits.getdata(place / f"obsid{OBS}-instBAT-subexp{NAMES[0]}-en-batgti.fits")
    assert pair["STOP"] - pair["START"] == 900.0
    assert len(fits.getdata(place / f"obsid{OBS}-instBAT-subexpALL-en-batgti.fits")) == 2


def test_it_is_left_alone_unless_it_is_chosen(both):
    both.instruments = ("XRT",)
    assert of_bat(both.run("events", "heasoft")) == []
    assert "batsurvey" not in both.logs["events"]


def test_bins_may_be_others_images_may_be_kept_and_limits_follow(seen):
    own = {"energybins": "14-24,24-50,50-100", "keep_sky_images": "LAST", "ncleaniter": 3.0}
    place = seen.run("events", "heasoft", heasoft={"batsurvey": own})
    assert "elimits=14-100" in seen.logs["events"]
    kinds = ("batgti", "batimage", "batnoise", "batsources")
    assert of_bat(place) == sorted([*of_pointing(NAMES[0], *kinds), *of_pointing(NAMES[1], *kinds), *TABLE])
    (source,) = fits.getdata(place / f"obsid{OBS}-instBAT-subexp{NAMES[0]}-en-batsources.fits")
    assert (len(source["RATE"]), source["CLEANLEV"]) == (3, 3)


@pytest.mark.parametrize("bins", ["20-14", "14-30,25-50", "14-20,", "0.3-2", "100-350", "14:20", 14.0])
def test_bins_that_batsurvey_cannot_use_are_refused(seen, bins):
    with pytest.raises(NotPossible) as refused:
        seen.run("events", "heasoft", heasoft={"batsurvey": {"energybins": bins}})
    assert refused.value.code == "impossible.energy-bins"
    assert "$ " not in seen.logs["events"], "nothing was called"


def test_a_short_pointing_is_left_out_and_the_table_says_why(seen):
    place = seen.run("events", "heasoft", heasoft={"batsurvey": {"expothresh": 700.0}})
    assert of_bat(place) == sorted([*of_pointing(NAMES[0]), *TABLE])
    rows = fits.getdata(place / f"obsid{OBS}-instBAT-subexpALL-en-batpointings.fits")
    assert [(row["IMAGE_ID"], row["IMAGE_DESCR"]) for row in rows] == [
        (f"point_{NAMES[0]}", "ok"),
        (f"point_{NAMES[1]}", "expo_small"),
    ]
    with pytest.raises(DataError) as refused:
        seen.run("events", "heasoft", heasoft={"batsurvey": {"expothresh": 1000.0}})
    assert refused.value.code == "data.no-exposure"
    assert f"{NAMES[1]}: its exposure is below expothresh" in refused.value.message


def test_a_task_that_fails_for_one_pointing_is_no_short_exposure(seen, stand_ins):
    """It ends with status 0 and says that it is complete."""
    prefix = prefix_of(stand_ins["heasoft"])
    request(prefix, "batsurvey", "", pointing=f"point_{NAMES[0]}")
    try:
        with pytest.raises(CallError) as failed:
            seen.run("events", "heasoft")
        assert failed.value.code == "heasoft.batsurvey.pointingFailed"
        assert f"{NAMES[0]} (batcelldetect_failed)" in failed.value.message
        assert 'failing = "leave out"' in failed.value.remedy
        place = seen.run("events", "heasoft", failing="leave out")
    finally:
        grant(prefix, "batsurvey")
    assert of_bat(place) == sorted([*of_pointing(NAMES[1]), *TABLE])


def test_too_few_detectors_and_missing_calibration_are_told_with_what_to_do(both, stand_ins):
    """Of both, batsurvey says no more than that there are no good times."""
    with pytest.raises(CallError) as failed:
        both.run("events", "heasoft", heasoft={"batsurvey": {"detthresh": 22000.0}})
    assert failed.value.code == "heasoft.batsurvey.fewDetectors"
    assert "lower detthresh" in failed.value.remedy
    assert "/bin/" not in failed.value.message, "a ledger holds no path of the software"
    bat = prefix_of(stand_ins["heasoft"]) / "calibration/data/swift/bat"
    shutil.move(bat, bat.with_name("away"))
    try:
        with pytest.raises(CallError) as failed:
            both.run("events", "heasoft")
        assert failed.value.code == "heasoft.batsurvey.notRebinned"
        assert "swift/bat" in failed.value.remedy
        place = both.run("events", "heasoft", failing="leave out")
    finally:
        shutil.move(bat.with_name("away"), bat)
    assert of_bat(place) == []
    assert list(place.glob("*instXRT*-events.fits"))


def test_histograms_of_20_energies_are_taken_on_request(seen):
    for path in (seen.root / "fetch/bat/survey").iterdir():
        path.rename(path.with_name(path.name.replace(".dph", "e20.dph")))
    with pytest.raises(CallError) as failed:
        seen.run("events", "heasoft")
    assert failed.value.code == "heasoft.batsurvey.noSurvey"
    own = {"dph_pattern": "INDIR/bat/survey/sw*.dph*", "energybins": "14-24,24-50"}
    assert of_pointing(NAMES[0])[1] in of_bat(seen.run("events", "heasoft", heasoft={"batsurvey": own}))


def test_housekeeping_that_it_would_ask_a_data_base_for_is_missed_before(seen):
    (seen.root / f"fetch/bat/hk/sw{OBS}bgocb.hk.gz").unlink()
    with pytest.raises(DataError) as refused:
        seen.run("events", "heasoft")
    assert refused.value.code == "data.no-housekeeping"
    assert f"bat/hk/sw{OBS}bgocb.hk" in refused.value.message


FAILURES = {
    "silent": "status1", "noEnd": "noSuccess", "outputsMissing": "outputMissing", "truncated": "outputUnreadable",
    "writesInput": "inputChanged", "crash": "crashed", "errorAndOne": "error", "errorAndZero": "error",
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
def test_every_other_way_to_fail_is_seen(seen, stand_ins, failure):
    prefix = prefix_of(stand_ins["heasoft"])
    request(prefix, "batsurvey", failure)
    try:
        with pytest.raises(CallError) as failed:
            seen.run("events", "heasoft")
    finally:
        grant(prefix, "batsurvey")
    assert failed.value.code == f"heasoft.batsurvey.{FAILURES[failure]}"


@pytest.mark.parametrize("name", ["incatalog", "aperture", "baterebin_opts", "go_pattern", "outdir"])
def test_files_of_others_are_not_to_be_given(name):
    given = {"events": {"heasoft": {"batsurvey": {name: "x.fits"}}}}
    (fault,) = find_backend("heasoft").check("swift", given)
    assert name in fault.message


ENDS = {
    "ERROR: {gti}/ten_arcmin.gti contained no good times (failed 'pointing' test)": "noGoodTimes",
    "ERROR: master GTI contained no time intervals": "noGoodTimes",
    "ERROR: could not create global GTI": "noCalibration",
    "ERROR: zero exposure in observation": "error",
}


@pytest.mark.parametrize("first", ENDS)
def test_the_first_line_of_a_script_that_ended_itself_says_why(first):
    text = (
        f"{first} at /opt/h/bin/batsurvey-gti line 612.\nERROR: could not create {{gti}}/master.gti at /opt/h/b line 1."
    )
    verdict = judge(CALL, 255, text.replace("{gti}", "survey/gti"))
    assert verdict.code == f"heasoft.batsurvey.{ENDS[first]}"
    assert not verdict.done
    assert "/opt/" not in verdict.text


def test_errors_of_one_pointing_do_not_spoil_the_others_but_those_of_the_machine_do():
    failed = "ERROR: could not fit\nTask batcelldetect 1.86 terminating with status -1\nWARNING: no (x_failed)"
    good = f"{failed}\nbatsurvey: COMPLETE"
    assert judge(CALL, 0, good).severity == "warning"
    for line, name in (
        ("Segmentation fault", "crashed"),
        ("write: No space left on device", "noSpace"),
        ("ERROR: Unable to allocate memory for buffers", "noMemory"),
    ):
        verdict = judge(CALL, 0, f"{line}\n{good}")
        assert (verdict.done, verdict.code) == (False, f"heasoft.batsurvey.{name}")
    assert judge(CALL, 0, good.replace("batsurvey: COMPLETE", "batsurvey: time-check")).code, "it did not end"


PUBLIC = (
    "00035025015 00035025015-results",
    "obs/1 out/1 detthresh=6 detthresh2=6 incatalog=positions.cat clobber=yes",
    "in out energybins=14-195 elimits=14-195 incatalog=a ncleaniter=2 timesep=DPH filtnames=global,pointing gtifile=g",
    "indir=a outdir=b global_pattern_mask=c global_pattern_map=d balance=InOut bsurseq=UT chatter=0 clobber=Yes",
)
"""Calls of its page, of its own test, and of published scripts."""


@pytest.mark.parametrize("line", PUBLIC)
def test_calls_that_others_made_are_read_and_written_again(line):
    tool = read_tool("heasoft", "batsurvey")
    for release in tool.suite.releases:
        assert arguments(parse_arguments(tool, release, line.split())) == line.split()
