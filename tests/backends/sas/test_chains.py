"""The chains of SAS for XMM-Newton, on stand-ins: command lines, products, what is left out, what is refused."""

from __future__ import annotations

import shlex

import pytest
from astropy.io import fits

from daxa.backends.contract import check_backend, check_run
from daxa.backends.sas import SAS
from daxa.backends.tools.command import arguments
from daxa.backends.tools.reading import read_tool
from daxa.backends.tools.written_calls import parse_arguments
from daxa.errors import CallError, ConfigError, DataError
from daxa.missions import find_mission
from daxa.xray.cleaning.ownscreening import read_own
from tests.backends.sas.observation import OBS_ID
from tests.stubs.ccf import write_ccf
from tests.stubs.install import grant, request

RELEASES = ("13.5", "14.0", "20.0", "22.1")


def kinds(names: list[str]) -> list[str]:
    return [name.removeprefix(f"obsid{OBS_ID}-inst") for name in names]


def test_raw_files_become_calibrated_lists(observation):
    names = kinds(observation.run("events"))
    assert names == [
        f"P{OBS_ID}OBX000ATTTSR0000.fits",
        "M1-subexpS001-en-events.fits",
        "M1-subexpU002-en-events.fits",
        "PN-subexpS003-en-events.fits",
        "PN-subexpS003-en-ootevents.fits",
    ]
    pn = "epchain odf=odf odfaccess=odf schedule=S exposure=3 ccds=1"
    mos = "instruments=M1 makeflaregti=no addtaglenoise=no"
    assert observation.commands() == [
        "cifbuild calindexset=ccf.cif fullpath=yes analysisdate=2026-11-30T23:59:59",
        "odfingest odfdir=odf withodfdir=yes outdir=odf",
        f"{pn} keepintermediate=raw runbackground=no withoutoftime=yes",
        f"{pn} runatthkgen=no runepframes=no runbadpixfind=no runbadpix=no runbackground=no",
        f"emchain odf=odf exposures=S001 {mos}",
        f"emchain odf=odf exposures=U002 {mos}",
    ]
    # What each call may read of the environment, in the script that repeats them.
    assert "SAS_CCF=ccf.cif SAS_ODF=odf/0001_0404910601_SCX00000SUM.SAS emchain" in observation.log


def test_lists_are_cleaned_and_merged_in_the_order_of_time(observation):
    observation.run("events")
    names = kinds(observation.run("clean", anomalous="drop", energy="0.4-10.0 keV"))
    assert [name for name in names if "events" in name] == [
        "M1-subexpALL-en0.4_10.0keV-finalevents.fits",
        "M1-subexpS001-en0.4_10.0keV-finalevents.fits",
        "M1-subexpU002-en0.4_10.0keV-finalevents.fits",
        "PN-subexpS003-en0.4_10.0keV-finalevents.fits",
        "PN-subexpS003-en0.4_10.0keV-finalootevents.fits",
    ]
    assert f"P{OBS_ID}OBX000ATTTSR0000.fits" in names
    assert [name for name in names if "gti" in name] == [
        f"{one}-en-gti.fits" for one in ("M1-subexpS001", "M1-subexpU002", "PN-subexpS003")
    ]
    # U002 was first, whatever its name.
    assert observation.commands("merge") == [
        "merge set1=M1-U002-clean.fits set2=M1-S001-clean.fits outset=M1-ALL1.fits"
    ]
    chips = " || ".join(f"(CCDNR == {chip})" for chip in (1, 2, 3, 4, 6, 7))
    screen = "(#XMMEA_EM && (PATTERN <= 12) && (FLAG .eq. 0)) && (PI in [400:10000])"
    assert f"expression={screen} && ({chips}) && GTI(mos1S001-gti.fits,TIME)" in shlex.split(
        observation.commands("evselect")[0]
    )
    usual = "method=histogram withsmoothing=yes smooth=51.0 withbinning=yes binsize=60.0 ratio=1.2 elow=2500 ehigh=8500"
    assert observation.commands("espfilt")[-1] == (
        f"espfilt eventfile=PN-S003-events.fits withoot=yes ootfile=PN-S003-ootevents.fits {usual} rangescale=15.0 "
        "allowsigma=3.0 'limits=0.1 6.5' keepinterfiles=no"
    )
    product = next((observation.root / "clean").glob("*M1-subexpALL*"))
    header = fits.getheader(product, "EVENTS")
    assert (header["MERGED"], header["FLAREMET"]) == ("U002,S001", "ESPFILT")
    # What native steps are told of the cut.
    own = read_own(header)
    assert (own.standard, own.channels, own.patterns) == (True, (400, 10_000), "")
    assert set(fits.getdata(product, "EVENTS")["CCDNR"]) == {1, 2}
    assert fits.getheader(next((observation.root / "clean").glob("*PN*finalevents*")), 1)["OOTCORR"] is False


def test_images_and_exposure_maps_share_list_and_channels(observation):
    observation.run("events", skip=["epchain_oot", "epchain"], unscheduled=False)
    observation.run("clean")
    names = kinds(observation.run("images", sas={"eexpmap": {"attrebin": 1.0}}))
    assert names == [
        f"M1-subexpS001-en{band}keV-{kind}.fits" for band in ("0.5_2.0", "2.0_10.0") for kind in ("expmap", "image")
    ]
    index, image, _, expmap, _ = observation.commands()
    assert index.startswith(
        "cifbuild calindexset=ccf.cif fullpath=yes withobservationdate=yes observationdate=2006-05-27T"
    )
    assert "analysisdate=2026-11-30" in index
    assert {
        *("imageset=M1-S001-0.5_2.0-image.fits", "withimageset=yes", "expression=(PI in [500:2000])", "xcolumn=X"),
        *("imagebinning=binSize", "squarepixels=yes", "ximagebinsize=87", "ximagemin=3649", "ximagemax=48106"),
    } <= set(shlex.split(image))
    assert shlex.split(expmap) == [
        *("eexpmap", "imageset=M1-S001-0.5_2.0-image.fits", f"attitudeset=P{OBS_ID}OBX000ATTTSR0000.fits"),
        *("eventset=M1-S001-finalevents.fits", "expimageset=M1-S001-0.5_2.0-expmap.fits", "withdetcoords=no"),
        *("withvignetting=yes", "usefastpixelization=no", "usedlimap=no", "attrebin=1.0", "pimin=500", "pimax=2000"),
    ]
    cards = [
        {key: fits.getheader(path).get(key) for key in ("CUTID", "CHANMIN", "CHANMAX", "BUNIT", "VIGNET")}
        for path in sorted((observation.root / "images").iterdir())
    ]
    assert cards[0]["CUTID"] == cards[1]["CUTID"] != cards[2]["CUTID"]
    assert [(one["CHANMIN"], one["CHANMAX"]) for one in cards[1::2]] == [(500, 2000), (2001, 10000)]
    assert [one["BUNIT"] for one in cards] == ["s", "count"] * 2
    assert cards[0]["VIGNET"] is True


def test_exposure_maps_need_one_attitude_file(observation):
    observation.run("events", skip=["epchain_oot", "epchain"], unscheduled=False)
    observation.run("clean")
    (observation.root / "clean" / f"P{OBS_ID}OBX000ATTTSR0000.fits").unlink()
    with pytest.raises(DataError, match="has 0 attitude files") as caught:
        observation.run("images")
    assert 'skip = ["eexpmap"]' in caught.value.remedy
    names = observation.run("images", skip=["eexpmap"])
    assert all(name.endswith("-image.fits") for name in names)


def test_flares_may_be_cut_at_a_threshold_or_not_at_all(observation):
    observation.run("events", skip=["epchain_oot", "epchain"])
    observation.run("clean", flares="threshold", merge=False, sas={"tabgtigen": {"expression": "RATE <= 0.2"}})
    assert [line.split()[0] for line in observation.commands()] == [
        *("evselect", "evselect", "tabgtigen", "tabgtigen", "evselect", "evselect")
    ]
    curve = shlex.split(observation.commands("evselect")[0])
    assert "expression=#XMMEA_EM && (PATTERN == 0) && (PI > 10000)" in curve
    assert {"timebinsize=100.0", "maketimecolumn=yes", "makeratecolumn=yes", "withrateset=yes"} <= set(curve)
    # The user's value wins over the plan's.
    assert all("RATE <= 0.2" in line for line in observation.commands("tabgtigen"))
    for path in (observation.root / "clean").iterdir():
        path.unlink()
    (observation.root / "clean").rmdir()
    names = kinds(
        observation.run("clean", flares="none", merge=False, energy="1-2 keV", mos_expression="PI < 400 || PI > 1500")
    )
    # Alternatives stay within the other conditions.
    assert "'expression=(PI < 400 || PI > 1500) && (PI in [1000:2000])'" in observation.commands()[0]
    assert all("GTI(" not in line for line in observation.commands())
    assert not [name for name in names if "gti" in name]
    product = next((observation.root / "clean").glob("*finalevents*"))
    assert not read_own(fits.getheader(product, "EVENTS")).standard


def test_exposures_that_did_not_see_the_sky_have_no_products(observation):
    observation.add("M2", "S005", FILTER="CalClosed")
    names = observation.run("events", skip=["epchain_oot", "epchain"], unscheduled=False)
    assert [name for name in kinds(names) if "M2" in name or "U002" in name] == []
    assert len(observation.commands("emchain")) == 2


def test_only_exposures_in_which_the_camera_did_the_same_are_merged(observation):
    observation.add("M1", "S007", FILTER="Medium")
    observation.run("events", skip=["epchain_oot", "epchain"])
    observation.run("clean")
    assert len(observation.commands("merge")) == 1
    assert "S007" not in observation.commands("merge")[0]


def test_the_other_method_of_espfilt_has_energies_of_its_own(observation):
    observation.run("events", skip=["emchain"])
    own = {"espfilt": {"method": "ratio", "ehigh": 11_000.0}}
    names = kinds(observation.run("clean", sas=own, stop_after="espfilt"))
    # What was made until then is kept, and the attitude with it.
    assert names == [f"P{OBS_ID}OBX000ATTTSR0000.fits", "PN-subexpS003-en-gti.fits"]
    (line,) = observation.commands()
    assert "method=ratio" in line
    assert "elow=8000 ehigh=11000" in line


def test_out_of_time_events_are_merged_as_the_events_are(observation):
    observation.add("PN", "S009", start=265_020_000.0)
    observation.add("PN", "S010", start=265_030_000.0)
    observation.run("events", skip=["emchain"])
    names = kinds(observation.run("clean"))
    assert [name for name in names if name.startswith("PN-subexpALL")] == [
        "PN-subexpALL-en-finalevents.fits",
        "PN-subexpALL-en-finalootevents.fits",
    ]
    assert observation.commands("merge") == [
        "merge set1=PN-S003-clean.fits set2=PN-S009-clean.fits outset=PN-ALL1.fits",
        "merge set1=PN-ALL1.fits set2=PN-S010-clean.fits outset=PN-ALL2.fits",
        "merge set1=PN-S003-ootclean.fits set2=PN-S009-ootclean.fits outset=PN-OOT1.fits",
        "merge set1=PN-OOT1.fits set2=PN-S010-ootclean.fits outset=PN-OOT2.fits",
    ]


def test_epproc_and_emproc_are_the_other_way(observation):
    names = kinds(observation.run("events", pipeline="proc", unscheduled=False))
    assert [name for name in names if "events" in name] == [
        "M1-subexpS001-en-events.fits",
        "PN-subexpS003-en-events.fits",
    ]
    assert observation.commands()[2:] == [
        "epproc withinstexpids=yes instexpids=PNS003",
        "emproc withinstexpids=yes instexpids=M1S001",
    ]


def test_gratings_give_lists_that_other_steps_leave_alone(observation):
    observation.cameras = ["R1", "M1"]
    raw = observation.root / "fetch" / "ODF" / f"0001_{OBS_ID}_R1S00401SPE.FIT"
    raw.write_bytes(b"")
    names = kinds(observation.run("events", unscheduled=False, sas={"rgsproc": {"finalstage": "4:spectra"}}))
    assert names == [
        f"P{OBS_ID}OBX000ATTTSR0000.fits",
        f"P{OBS_ID}R1S004SRSPEC1001.fits",
        "M1-subexpS001-en-events.fits",
        "R1-subexpS004-en-rgsevents.fits",
    ]
    assert observation.commands("rgsproc") == ["rgsproc finalstage=4:spectra withinstexpids=yes instexpids=R1S004"]
    assert not [name for name in observation.run("clean") if "R1-subexp" in name]


@pytest.mark.parametrize("release", RELEASES)
def test_every_command_line_is_one_that_its_release_takes(observation, here, release):
    here(release)
    (observation.root / "fetch" / "ODF" / f"0001_{OBS_ID}_R1S00401SPE.FIT").write_bytes(b"")
    observation.cameras.append("R1")
    observation.run("events")
    lines = observation.commands()
    assert any(line.startswith("rgsproc ") for line in lines)
    observation.run("clean", anomalous="drop" if float(release) >= 19 else "keep")
    lines += observation.commands()
    observation.run("images")
    lines += observation.commands()
    for line in lines:
        name, *tokens = shlex.split(line)
        call = parse_arguments(read_tool("sas", name), release, tokens)
        assert arguments(call) == tokens
    espfilt = next(line for line in lines if line.startswith("espfilt "))
    assert ("eventset=" in espfilt) == (float(release) < 20)
    assert ("withlongnames=yes" in espfilt) == (release == "20.0")
    assert ("allowsigma" in espfilt) == (float(release) >= 20)
    assert any("addtaglenoise" in line for line in lines) == (float(release) >= 19)


def test_a_release_without_a_tool_says_so(observation, here):
    observation.run("events", skip=["epchain_oot", "epchain"])
    here("14.0")
    with pytest.raises(DataError, match=r"SAS 14\.0 has no emanom"):
        observation.run("clean", anomalous="drop")
    here("21.0")
    for path in (observation.root / "events").iterdir():
        path.unlink()
    (observation.root / "events").rmdir()
    observation.run("events", skip=["emchain"])
    assert all("runradmonfix=no" in line for line in observation.commands("epchain"))


def test_an_exposure_without_counts_fails_or_is_left_out(observation):
    observation.add("M2", "S005", hard=False)
    observation.run("events", skip=["epchain_oot", "epchain"])
    with pytest.raises(CallError) as caught:
        observation.run("clean")
    assert caught.value.code == "sas.espfilt.noCounts"
    assert "espfilt of M2-S005 failed: All histo counts are zero!" in caught.value.message
    assert "leave this exposure out" in caught.value.remedy
    names = observation.run("clean", failing="leave out")
    assert [name for name in names if "M2" in name] == []
    assert len([name for name in names if "finalevents" in name]) == 3


@pytest.mark.parametrize(
    ("tool", "code"), [("odfingest", "sas.odfingest.noCounts"), ("cifbuild", "sas.cifbuild.noCounts")]
)
def test_what_serves_all_exposures_fails_for_all(observation, prefix, tool, code):
    request(prefix, tool, "errorAndOne")
    try:
        with pytest.raises(CallError) as caught:
            observation.run("events", failing="leave out")
    finally:
        grant(prefix, tool)
    assert caught.value.code == code


def test_without_raw_data_or_an_accepted_date_nothing_begins(observation):
    with pytest.raises(ConfigError) as caught:
        observation.run("events", calibration="SAS 22.1, CCF 5f")
    with pytest.raises(ConfigError, match=r"with SAS 20\.0, and SAS 22\.1 is here"):
        observation.run("events", calibration="SAS 20.0, CCF 5f; as of 2026-11-30")
    assert caught.value.code == "config.calibration-date"
    assert "daxa upgrade --calibration" in caught.value.remedy
    observation.cameras = ["M2"]
    with pytest.raises(DataError) as caught:
        observation.run("events")
    assert caught.value.code == "data.no-exposure"


def test_the_contract_holds(observation, tmp_path):
    check_backend(SAS, ["xmm"], ["events", "clean", "images", "sources"])
    observation.run("events", skip=["epchain_oot", "epchain"])
    place = tmp_path / "contract"
    place.mkdir()
    made = check_run(SAS, observation.task("clean"), {"events": observation.root / "events"}, place)
    assert any("finalevents" in name for name in made)


def test_raw_files_are_found_by_their_names():
    spec = find_mission("xmm")
    patterns = [one.regex(OBS_ID) for one in SAS.inputs(spec)]

    def wanted(name: str) -> bool:
        return any(pattern.fullmatch(name) for pattern in patterns)

    assert wanted(f"ODF/1184_{OBS_ID}_M1S00110IME.FIT.gz")
    assert wanted(f"ODF/1184_{OBS_ID}_SCX00000SUM.ASC.gz")
    assert wanted(f"ODF/1184_{OBS_ID}_SCX00000ATS.FIT")
    assert not wanted(f"ODF/1184_{OBS_ID}_SCX00000SUM.SAS")
    assert not wanted("ODF/1184_0404910602_M1S00110IME.FIT.gz")
    assert not wanted(f"PPS/1184_{OBS_ID}_M1S00110IME.FIT.gz")
    assert SAS.inputs(find_mission("chandra")) == ()


def test_the_software_and_its_calibration_are_found(here, prefix, monkeypatch):
    located = SAS.locate()
    assert (located.found, located.version) == (True, "SAS 22.1")
    assert located.calibration.startswith("SAS 22.1, CCF ")
    write_ccf(prefix / "calibration", "EMOS1_ADUCONV_0078.CCF", submitted="2026-12-01")
    newer = SAS.locate().calibration
    assert newer != located.calibration
    # Files that were submitted after the accepted date do not count, as long as the release is the accepted one.
    from dataclasses import replace

    from daxa.run.task import Task

    facts = '{"instruments":["M1"]}'
    accepted = f"{located.calibration}; as of 2026-11-30"
    task = Task("xmm", "events", OBS_ID, "sas", "1", facts=facts, calibration=accepted)
    with_newer = SAS.calibration(replace(task, calibration=newer))
    assert SAS.calibration(task) != with_newer
    assert with_newer == SAS.calibration(replace(task, calibration=f"{newer}; as of 2026-12-02"))
    assert SAS.calibration(replace(task, step="clean")) == "SAS 22.1"
    here("20.0")
    assert SAS.calibration(task).startswith("SAS 20.0, CCF ")
    for path in (prefix / "calibration").glob("*.CCF"):
        path.unlink()
    assert not SAS.locate().found
    assert "there are no calibration files" in SAS.locate().missing[0]
