"""Calls are run in private directories with only what they need, and judged by what they leave."""

from __future__ import annotations

import json
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from astropy.io import fits

from daxa.backends.tools.command import make_call
from daxa.backends.tools.environment import Installation, call_environment, system_parfiles
from daxa.backends.tools.installed import find_release
from daxa.backends.tools.reading import read_suite, read_tool, tool_names
from daxa.backends.tools.running import Ran, run_call
from daxa.backends.tools.script import shell_script
from daxa.backends.tools.verdict import judge
from daxa.backends.tools.written_calls import parse_arguments
from daxa.errors import ProgramError, ToolError
from tests.backends.heasoft.bat_histograms import add_survey
from tests.stubs.fits import write_image, write_table
from tests.stubs.here import run_here
from tests.stubs.install import grant, install_suite, request

GOOD = {
    "sas": ("evselect", {"table": "e.fits", "filteredset": "f.fits"}),
    "esass": ("evtool", {"eventfiles": "e.fits", "outfile": "f.fits"}),
    "ciao": ("dmcopy", {"infile": "e.fits", "outfile": "f.fits", "clobber": True}),
    "heasoft": ("batbinevt", {"infile": "e.fits", "outfile": "f.fits"}),
}


@pytest.fixture(scope="module")
def suites(tmp_path_factory) -> dict[str, tuple[Path, Installation]]:
    place = tmp_path_factory.mktemp("software")
    return {name: (place / name, install_suite(place / name, name)) for name in GOOD}


@pytest.fixture
def place(tmp_path) -> Path:
    (tmp_path / "work").mkdir()
    write_table(tmp_path / "work" / "e.fits", "EVENTS", {"TIME": [1.0, 2.0], "PI": [500.0, 900.0]}, gti=[(0.0, 9.0)])
    return tmp_path


def run(installed: Installation, place: Path, tool: str, values: dict, **more) -> Ran:
    call = make_call(read_tool(installed.suite.name, tool), installed.release, values)
    more = {"cwd": place / "work", "logs": place / "logs", "name": "1-call", "seconds": 60.0} | more
    return run_call(call, installed, **more)


@pytest.mark.parametrize("suite", GOOD)
def test_a_good_call_is_done_and_leaves_a_log_and_nothing_else(suites, place, suite):
    tool, values = GOOD[suite]
    ran = run(suites[suite][1], place, tool, values)
    assert (ran.status, ran.verdict.code, ran.verdict.severity) == (0, "", "none"), ran.stderr.read_text()
    assert sorted(path.name for path in place.iterdir()) == ["logs", "work"]
    record = json.loads(ran.record.read_text())
    assert record["command"].startswith(f"{tool} ")
    assert (record["release"], record["status"], record["code"]) == (suites[suite][1].release, 0, "")
    assert "SECRET_TOKEN" not in record["variables"]
    assert str(suites[suite][0]) not in ran.record.read_text(), "where the software is stands in no record"
    assert ran.stdout.is_file()
    assert ran.stderr.is_file()


FAILURES = {
    "errorAndOne": "noCounts", "errorAndZero": "noCounts", "noEnd": None, "nested": None, "warning": "",
    "manyLines": "IllegalIdentifier", "silent": "status1", "outputsMissing": "outputMissing",
    "outputsEmpty": "outputEmpty", "outputsStale": "outputStale", "truncated": "outputUnreadable",
    "writesInput": "inputChanged", "crash": "crashed", "noCalibration": "outputMissing",
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("suite", ["sas", "ciao"])
def test_every_way_to_fail_is_seen(suites, place, monkeypatch, suite, failure):
    prefix, installed = suites[suite]
    tool, values = GOOD[suite]
    expected = FAILURES[failure]
    if failure == "noEnd":
        expected = "notEnded" if suite == "sas" else ""  # CIAO's tools say nothing at their end.
    if failure == "nested":
        expected = "zeroRenorm" if suite == "sas" else "dsREADERR"
    if suite == "ciao" and expected in ("noCounts", "IllegalIdentifier"):
        expected = f"ds{expected}ERR"
    if failure == "outputsStale":
        write_table(place / "work" / "f.fits", "EVENTS", {"TIME": [1.0]})
    request(prefix, tool, failure)
    try:
        ran = run(installed, place, tool, values)
    finally:
        grant(prefix, tool)
    assert ran.verdict.code == (f"{suite}.{tool}.{expected}" if expected else ""), ran.stderr.read_text()
    assert ran.verdict.done == (not expected)
    assert json.loads(ran.record.read_text())["code"] == ran.verdict.code
    (place / "work" / "f.fits").unlink(missing_ok=True)
    write_table(place / "work" / "e.fits", "EVENTS", {"TIME": [1.0, 2.0]})
    monkeypatch.setattr("daxa.backends.tools.container.run_limited", run_here)
    assert run(installed, place, tool, values).verdict.code == "", "the same call again, when the cause is gone"


@pytest.mark.parametrize(("failure", "code"), [("noEnd", "noSuccess"), ("errorAndZero", "stop")])
def test_esass_is_not_believed_by_its_status(suites, place, failure, code):
    prefix, installed = suites["esass"]
    request(prefix, "evtool", failure)
    try:
        ran = run(installed, place, *GOOD["esass"])
    finally:
        grant(prefix, "evtool")
    assert (ran.status, ran.verdict.code) == (0, f"esass.evtool.{code}")


def test_a_hanging_call_is_ended_with_all_that_it_started(suites, place):
    prefix, installed = suites["sas"]
    request(prefix, "evselect", "hang")
    try:
        ran = run(installed, place, *GOOD["sas"], seconds=2.0)
    finally:
        grant(prefix, "evselect")
    assert (ran.status, ran.verdict.code) == (None, "sas.evselect.timeLimit")
    numbers = [int(path.read_text()) for path in prefix.glob("hangs.*")]
    assert len(numbers) == 2
    for path in prefix.glob("hangs.*"):
        path.unlink()
    until = time.monotonic() + 10
    while any(psutil.pid_exists(number) and _runs(number) for number in numbers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(psutil.pid_exists(number) and _runs(number) for number in numbers)


def _runs(number: int) -> bool:
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_log_without_end_is_ended(suites, place, monkeypatch):
    prefix, installed = suites["esass"]
    monkeypatch.setattr("daxa.backends.tools.running._MOST_LOG", 1 << 20)
    request(prefix, "evtool", "endless")
    try:
        ran = run(installed, place, *GOOD["esass"])
    finally:
        grant(prefix, "evtool")
    assert (ran.status, ran.verdict.code) == (None, "esass.evtool.logLimit")


@pytest.mark.parametrize("suite", ["ciao", "heasoft", "esass"])
def test_parallel_calls_of_one_tool_do_not_share_parameter_files(suites, tmp_path, suite):
    prefix, installed = suites[suite]
    tool, values = GOOD[suite]
    request(prefix, tool, "", slowly=0.05)

    def one(number: int) -> Ran:
        own = tmp_path / str(number)
        (own / "work").mkdir(parents=True)
        write_table(own / "work" / f"in{number}.fits", "EVENTS", {"TIME": [float(number)]})
        first = next(iter(values))
        return run(installed, own, tool, values | {first: f"in{number}.fits"})

    try:
        with ThreadPoolExecutor(8) as pool:
            codes = [ran.verdict.code for ran in pool.map(one, range(8))]
    finally:
        grant(prefix, tool)
    assert codes == [""] * 8


def test_the_stand_ins_do_race_where_a_directory_of_parameter_files_is_shared(suites, tmp_path):
    """Else the test above would show nothing."""
    prefix, installed = suites["ciao"]
    (tmp_path / "pfiles").mkdir()
    for number in range(6):
        write_table(tmp_path / f"in{number}.fits", "EVENTS", {"TIME": [float(number)] * (number + 1)})
    environ = {**installed.environ, "PFILES": f"{tmp_path / 'pfiles'};{prefix / 'syspfiles'}"}
    request(prefix, "dmcopy", "", slowly=0.4)
    try:
        calls = [
            subprocess.Popen(
                [str(prefix / "bin" / "dmcopy"), f"in{number}.fits", f"out{number}.fits"],
                cwd=tmp_path, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for number in range(6)
        ]  # fmt: skip
        for call in calls:
            call.wait(60)
    finally:
        grant(prefix, "dmcopy")
    assert len(list(tmp_path.glob("out*.fits"))) < 6


WRONG = {"sas": "ximagesize=wide", "esass": "emin=low", "ciao": "clobber=perhaps", "heasoft": "clobber=perhaps"}


@pytest.mark.parametrize(("suite", "status"), [("sas", 1), ("esass", 0), ("ciao", 1), ("heasoft", 203)])
def test_the_stand_ins_refuse_what_the_builder_refuses(suites, tmp_path, suite, status):
    """In the words and with the status of the suite, here from command lines that no builder made."""
    (tool, values), (prefix, installed) = GOOD[suite], suites[suite]
    environ = call_environment(installed, tmp_path / "own")
    for argument in ("colour=red", WRONG[suite]):
        ended = subprocess.run(
            [prefix / "bin" / tool, argument], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        verdict = judge(
            make_call(read_tool(suite, tool), installed.release, values), ended.returncode, ended.stdout + ended.stderr
        )
        assert ended.returncode == status, argument
        assert verdict.severity == "error"
        with pytest.raises(ToolError):
            parse_arguments(read_tool(suite, tool), installed.release, [argument])


@pytest.mark.parametrize("suite", GOOD)
def test_every_tool_of_every_suite_has_a_stand_in_that_succeeds(suites, tmp_path, monkeypatch, suite):
    """With the least that it needs; what it makes and says is what its table wants.

    Here, since most of these programs' time is their start: programs that are started are those of the other tests.
    """
    monkeypatch.setattr("daxa.backends.tools.container.run_limited", run_here)
    _, installed = suites[suite]
    failed = {}
    for name in tool_names(suite):
        tool = read_tool(suite, name)
        place = tmp_path / name
        (place / "work").mkdir(parents=True)
        values = {
            one: least_value(parameter) for one, parameter in tool.at(installed.release).items() if parameter.required
        }
        made = {word for output in tool.outputs for word in re.findall(r"\{(\w+)\}", output.pattern)} - {"indir"}
        for one in set(values) - made:
            target = place / "work" / str(values[one])
            if one == "indir":
                target.mkdir()
                if name == "batsurvey":
                    add_survey(target, "00974827000", detectors=25000)
            elif name == "gtibuild":
                target.write_text("0 9 +\n")
            elif one == "imageset":
                write_image(target, 4, 4)
            elif name == "uvotdetect":
                cards = {"EXPOSURE": 9.0, "CRPIX1": 1.0, "CRPIX2": 1.0, "CRVAL1": 150.0, "CRVAL2": 2.0}
                fits.PrimaryHDU(np.ones((4, 4), np.float32), fits.Header(cards)).writeto(target)
            else:
                write_table(target, "EVENTS", EVENTS, gti=[(0.0, 9.0)])
        if name == "odfingest":
            (place / "work" / "0001_0000000000_SCX00000SUM.ASC").write_text("OBSERVATION\n")
        ran = run(installed, place, name, values, own={"SAS_CCF": "ccf.cif"} if suite == "sas" else None)
        if ran.verdict.severity != "none":
            failed[name] = (ran.verdict.code, ran.verdict.text, ran.stderr.read_text()[-300:])
    assert not failed


EVENTS = {name: [1.0, 2.0, 3.0] for name in ("TIME", "PI", "X", "Y", "RATE", "COUNT_RATE")} | {"PI": [3000.0] * 3}


def least_value(parameter) -> object:
    number = max(parameter.least, min(parameter.most, 1))
    numbers = {"integer": int(number), "real": float(number)}
    return {"flag": True, "choice": ("", *parameter.choices)[-1], **numbers}.get(
        parameter.kind, f"{parameter.name}.fits"
    )


def test_only_listed_variables_reach_a_tool(suites, tmp_path):
    environ = call_environment(suites["sas"][1], tmp_path / "own", {"SAS_CCF": "/ccf.cif"})
    assert "SECRET_TOKEN" not in environ
    assert environ["SAS_CCF"] == "/ccf.cif"
    assert environ["SAS_VERBOSITY"] == "4"
    assert {Path(environ[name]).parent for name in ("TMPDIR", "HOME", "SAS_TMPDIR")} == {tmp_path / "own"}
    assert environ["PFILES"].startswith(f"{tmp_path / 'own' / 'pfiles'};")
    assert environ["PFILES"].count(";") == 1
    ciao = call_environment(suites["ciao"][1], tmp_path / "other")
    assert (Path(ciao["PFILES"].partition(";")[0]) / "ardlib.par").is_file()
    assert ciao["ASCDS_WORK_PATH"] == ciao["TMPDIR"], "fluximage and wavdetect write there"
    assert call_environment(suites["heasoft"][1], tmp_path / "third")["HEADASPROMPT"] == "/dev/null"


def test_an_environment_that_cannot_work_is_said_before_anything_runs(suites, tmp_path):
    prefix, installed = suites["heasoft"]
    with pytest.raises(ToolError, match="has no variable"):
        call_environment(installed, tmp_path / "a", {"LD_PRELOAD": "x"})
    with pytest.raises(ToolError, match="blanks"):
        call_environment(installed, tmp_path / "with blank")
    without = {name: value for name, value in installed.environ.items() if name != "CALDB"}
    with pytest.raises(ProgramError, match="CALDB is not set"):
        call_environment(Installation(installed.suite, "6.36", without), tmp_path / "b")
    twice = installed.environ | {"PFILES": "a;b;c"}
    with pytest.raises(ProgramError, match="more than one semicolon"):
        call_environment(Installation(installed.suite, "6.36", twice), tmp_path / "c")
    alone = {name: value for name, value in installed.environ.items() if name != "PFILES"}
    assert system_parfiles(Installation(installed.suite, "6.36", alone)) == (str(prefix / "syspfiles"),)


def test_a_program_that_is_not_there_is_named(suites, place):
    installed = suites["sas"][1]
    empty = Installation(installed.suite, installed.release, {**installed.environ, "PATH": str(place)})
    with pytest.raises(ProgramError) as caught:
        run(empty, place, *GOOD["sas"])
    assert caught.value.code == "program.absent"
    assert "evselect" in caught.value.message


@pytest.mark.parametrize("suite", ["sas", "ciao"])
def test_a_script_repeats_the_calls_without_daxa(suites, place, suite):
    _, installed = suites[suite]
    tool, values = GOOD[suite]
    if suite == "sas":
        values = values | {"expression": "PI > 600 && TIME < 1.0e9"}
    call = make_call(read_tool(suite, tool), installed.release, values)
    script = shell_script([(call, {"SAS_CCF": "my ccf"} if suite == "sas" else {})], title="one\nrm -rf /")
    assert "\nrm" not in script
    assert run(installed, place, tool, values).verdict.done
    (place / "again").mkdir()
    (place / "again" / "e.fits").write_bytes((place / "work" / "e.fits").read_bytes())
    subprocess.run(["/bin/sh", "-c", script], cwd=place / "again", env=dict(installed.environ), check=True)
    assert (place / "again" / "f.fits").read_bytes() == (place / "work" / "f.fits").read_bytes()
    assert (place / "again" / "pfiles").is_dir()


def test_a_script_is_of_one_suite_and_release():
    calls = [
        (make_call(read_tool(suite, GOOD[suite][0]), read_suite(suite).releases[-1], GOOD[suite][1]), {})
        for suite in GOOD
    ]
    for several in (calls, [], [(calls[0][0], {"X; rm": "1"})]):
        with pytest.raises(ToolError):
            shell_script(several, title="x")


def test_a_call_for_another_release_is_refused(suites, place):
    installed = suites["sas"][1]
    for release in ("20.0", "22.1.3"):
        call = make_call(read_tool("sas", "evselect"), release, GOOD["sas"][1])
        with pytest.raises(ToolError, match=r"not for SAS 22\.1"):
            run_call(call, installed, cwd=place / "work", logs=place / "logs", name="x", seconds=9.0)
    call = make_call(read_tool("ciao", "dmcopy"), "4.18", GOOD["ciao"][1])
    with pytest.raises(ToolError, match=r"CIAO 4\.18"):
        run_call(call, installed, cwd=place / "work", logs=place / "logs", name="x", seconds=9.0)


def test_no_file_of_a_working_directory_is_run_as_a_program(suites, place, monkeypatch):
    installed = suites["sas"][1]
    (place / "work" / "evselect").write_text("#!/bin/sh\ntouch harm\n")
    (place / "work" / "evselect").chmod(0o755)
    monkeypatch.chdir(place / "work")
    relative = Installation(installed.suite, installed.release, {**installed.environ, "PATH": ":.:bin"})
    with pytest.raises(ProgramError, match="was not found"):
        run(relative, place, *GOOD["sas"])
    assert not (place / "work" / "harm").exists()


def test_a_directory_with_blanks_is_refused(suites, tmp_path):
    (tmp_path / "a demo" / "work").mkdir(parents=True)
    with pytest.raises(ToolError, match="blanks"):
        run(suites["sas"][1], tmp_path / "a demo", *GOOD["sas"])
    assert [path.name for path in (tmp_path / "a demo").iterdir()] == ["work"]


PRINTED = [
    ("sas", "SAS release: 22.1.0-a8f2c2afa-20250304", "22.1.0"),
    ("sas", "XMM [xmmsas_20211130_0941-20.0.0]", "20.0.0"),
    ("sas", "sas:- [22.1.0-a8f2c2afa-20250304]", "22.1.0"),
    ("ciao", "  CIAO        : CIAO 4.9 Friday, December  2, 2016\n  Contrib     : Package", "4.9"),
    ("esass", " srctool: 1.76.6 eSASS4DR1 Mar 06 15:49:20 2025", "eSASS4DR1"),
    ("esass", "/opt/eSASS4EDR/bin/evtool", "eSASS4EDR"),
]


@pytest.mark.parametrize(("suite", "text", "release"), PRINTED)
def test_versions_are_read_from_what_the_suites_print(suite, text, release):
    assert re.search(read_suite(suite).version_pattern, text)[1] == release
    assert read_suite(suite).rank(release)


def test_the_software_itself_reports_its_release(suites, tmp_path):
    for suite in ("sas", "ciao", "heasoft"):
        installed = suites[suite][1]
        assert find_release(installed.suite, installed.environ).startswith(installed.release)
        with pytest.raises(ProgramError) as caught:
            find_release(installed.suite, {"PATH": str(tmp_path)})
        assert caught.value.code == "program.absent"
    (tmp_path / "eSASS4DR1").mkdir()
    elsewhere = install_suite(tmp_path / "eSASS4DR1", "esass")
    assert find_release(elsewhere.suite, elsewhere.environ) == "eSASS4DR1"
    with pytest.raises(ProgramError) as caught:
        find_release(suites["esass"][1].suite, suites["esass"][1].environ)
    assert caught.value.code == "program.release"


def test_chains_make_the_lists_of_their_names(suites, place):
    _, installed = suites["sas"]
    (place / "work" / "0001_0000000000_SCX00000SUM.ASC").write_text("OBSERVATION\n")
    own = {"SAS_CCF": "ccf.cif", "SAS_ODF": "."}
    made = {
        "cifbuild": "ccf.cif", "odfingest": "0001_0000000000_SCX00000SUM.SAS",
        "epchain": "P0000000000PNS003PIEVLI0000.FIT", "emchain": "P0000000000M1S001MIEVLI0000.FIT",
    }  # fmt: skip
    values = {"cifbuild": {"analysisdate": "2026-01-01"}, "emchain": {"instruments": "M1"}}
    for tool, name in made.items():
        ran = run(installed, place, tool, values.get(tool, {}), own=own)
        assert ran.verdict.code == "", (ran.verdict, [path.name for path in (place / "work").iterdir()])
        assert (place / "work" / name).is_file()
    failed = run(installed, place, "emchain", {}, own={"SAS_ODF": "."}).verdict
    assert (failed.code, "cifbuild" in failed.remedy) == ("sas.emchain.SAS_CCF", True)
