"""Finished calls are judged by exit status, sentences, error lines and outputs together."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from daxa.backends.tools.command import Call, make_call
from daxa.backends.tools.messages import read_log
from daxa.backends.tools.outputs import changed_inputs, expected_outputs, find_outputs, look_before
from daxa.backends.tools.reading import read_suite, read_tool
from daxa.backends.tools.verdict import Verdict, judge
from daxa.backends.tools.written_calls import parse_echo
from tests.backends.tools.golden import facts


def call_of(suite: str, tool: str, release: str = "", **values: object) -> Call:
    return make_call(read_tool(suite, tool), release or read_suite(suite).releases[-1], values)


ESPFILT = call_of("sas", "espfilt", "20.0", eventfile="e.fits")
QUIET = make_call(read_tool("sas", "evselect"), "22.1", {"table": "e.fits", "filteredset": "f.fits"}, {"-V": 1})
LOUD = make_call(read_tool("sas", "evselect"), "22.1", {"table": "e.fits", "filteredset": "f.fits"}, {"-w": 1})
EMCHAIN = call_of("sas", "emchain", "20.0", instruments="M1")
EPCHAIN = call_of("sas", "epchain", "20.0")
EVSELECT = call_of("sas", "evselect", table="e.fits", filteredset="f.fits")
REPRO = call_of("ciao", "chandra_repro", indir="obs", outdir="out")
DMCOPY = call_of("ciao", "dmcopy", infile="a.fits", outfile="b.fits")
EVTOOL = call_of("esass", "evtool", eventfiles="e.fits", outfile="o.fits")
NUPIPELINE = call_of("heasoft", "nupipeline", indir="i", outdir="o", steminputs="nu1")
XRTPIPELINE = call_of("heasoft", "xrtpipeline", indir="i", outdir="o", steminputs="sw1", exitstage=2)
EXPMAP = call_of("esass", "expmap", inputdatasets="a", templateimage="b", emin=1, emax=2, mergedmaps="m1 m2")
NICERL2 = call_of("heasoft", "nicerl2", indir="i")

STARTED = "{0}:- {0} ({0}-1.0)  [xmmsas_20211130_0941-20.0.0] started:  2024-04-24T19:20:01.000\n"
ENDED = "{0}:- {0} ({0}-1.0)  [xmmsas_20211130_0941-20.0.0] ended:    2024-04-24T19:20:07.000\n"


def ran(tool: str, between: str = "") -> str:
    return STARTED.format(tool) + between + ENDED.format(tool)


# ---------------------------------------------------------------- logs of real runs


@pytest.mark.parametrize(
    ("name", "code", "severity"), [("M1S001-ok", "", "none"), ("PNS003-failed", "sas.espfilt.noCounts", "error")]
)
def test_golden_logs_are_judged_as_stated(name, code, severity):
    folder = facts() / "software" / "golden-logs"
    text = (folder / f"espfilt-20.0.0-{name}.stdout").read_text()
    call = parse_echo(read_tool("sas", "espfilt"), "20.0.0", text.splitlines()[0].partition("(routine): ")[2])
    error = folder / f"espfilt-20.0.0-{name}.stderr"
    verdict = judge(call, 0, f"{text}\n{error.read_text() if error.exists() else ''}")
    assert (verdict.code, verdict.severity) == (code, severity)
    if code:
        assert verdict.text == "All histo counts are zero! Check your FOV Lightcurve!"
        assert verdict.lines == ("** espfilt: error (noCounts), All histo counts are zero! Check your FOV Lightcurve!",)
        assert "light curve" in verdict.remedy
        assert [reason.name for reason in verdict.reasons] == ["noCounts", "notEnded", "noSuccess"]
        first = verdict.messages[0]
        assert (first.name, first.level, first.count) == ("NoWCS", "warning", 4)


# ---------------------------------------------------------------- each suite's grammar

CASES = [
    # Warnings of SAS, said aloud and in a summary behind the end of the task.
    (EVSELECT, 0, ran("evselect") + "** evselect: warning (ExpNoDss), Exposure update requested without ...\n"
     "** evselect: warning (SummaryOfWarnings), \n   warning NoWCS silently occurred 1 times\n", "", "none"),
    (EVSELECT, 0, ran("evselect") + "** backscale::arfgen: warning (zeroRenorm), No flux was found\n", "", "none"),
    (EVSELECT, 0, ran("evselect") + "** a: warning (outside range), x\n** a: warning (binning ), y\n", "", "none"),
    # Arguments that a task repeats, and statistics, hold the word error.
    (EVSELECT, 0, ran("evselect", "evselect:- Executing (routine): evselect table=t zerrorcolumn=EWEIGHT "
     "withzerrorcolumn=no expression='error (x)'  -w 1 -V 4\nevselect:-  POISSERR = T  SYS_ERR = 0\n"), "", "none"),
    # A level of two words, a nested origin.
    (EVSELECT, 0, ran("evselect") + "** backscale::arfgen: fatal error (UnsupportedAlgoId), x\n",
     "sas.evselect.UnsupportedAlgoId", "error"),
    # Started, and never ended; nothing at all; a sub-task that did not end.
    (EVSELECT, 0, STARTED.format("evselect"), "sas.evselect.notEnded", "error"),
    (EVSELECT, 0, "", "sas.evselect.notEnded", "error"),
    (ESPFILT, 0, ran("espfilt", STARTED.format("evselect") + "HISTOGRAM_METHOD: Return with no errors\n"),
     "sas.espfilt.notEnded", "error"),
    (ESPFILT, 0, ran("espfilt"), "sas.espfilt.noSuccess", "error"),
    # Chains go on after errors of their sub-tasks; their own errors count.
    (EMCHAIN, 0, "** emtaglenoise: error (IllegalIdentifier), No match - best match was: `'\n"
     "`Unknown' is not a valid camera mode identifier - the list of valid identifiers is:\n"
     + "PrimeFullWindow\n" * 18, "sas.emchain.IllegalIdentifier", "warning"),
    (EPCHAIN, 0, "** epchain: error (constituent), One (or more) of the constituent tasks ended in error !\n",
     "sas.epchain.constituent", "error"),
    (EPCHAIN, 0, "** epframes: warning (notHKconstant), HK parameter F1725 is not constant\n" * 120, "", "none"),
    (EPCHAIN, 0, "sh: lcurve: command not found\n", "sas.epchain.programMissing", "error"),
    (EPCHAIN, 0, "sh: 1: lcurve: not found\n", "sas.epchain.programMissing", "error"),
    (EPCHAIN, 0, "/opt/sas/bin/epchain: line 12: lcurve: command not found\n", "sas.epchain.programMissing", "error"),
    (QUIET, 0, "", "", "none"),
    (LOUD, 0, "", "sas.evselect.notEnded", "error"),
    (EVSELECT, 0, ENDED.format("evselect"), "", "none"),
    (EVSELECT, 0, ENDED.format("evselect") + STARTED.format("gtibuild"), "sas.evselect.notEnded", "error"),
    (EPCHAIN, 0, ran("epframes") + STARTED.format("badpix"), "sas.epchain.notEnded", "warning"),
    (EPCHAIN, 0, "Segmentation fault (core dumped)\n", "sas.epchain.crashed", "error"),
    # Ends by a signal, by a limit, without a word.
    (EVSELECT, -11, STARTED.format("evselect"), "sas.evselect.crashed", "error"),
    (EVSELECT, 139, "", "sas.evselect.crashed", "error"),
    (EVSELECT, None, STARTED.format("evselect"), "sas.evselect.timeLimit", "error"),
    (EVSELECT, 1, ran("evselect"), "sas.evselect.status1", "error"),
    # eSASS: a sentence is needed, whatever the status.
    (EVTOOL, 0, " evtool/evtool: reading\n evtool: DONE\n", "", "none"),
    (EVTOOL, 0, " evtool/evtool: reading\n", "esass.evtool.noSuccess", "error"),
    (EVTOOL, 0, "**ERROR2** YY //YY\n evtool: DONE\n", "", "none"),
    (EVTOOL, 0, "**STOP** Error initializing PIL\n", "esass.evtool.parameters", "error"),
    (EVTOOL, 0, " evtool: FAILED\n", "esass.evtool.failed", "error"),
    (EVTOOL, 2, "Fortran runtime error: End of record\n\nError termination. Backtrace:\n",
     "esass.evtool.endOfRecord", "error"),
    (EVTOOL, 1, " evtool: DONE\n", "esass.evtool.status1", "error"),
    (EVTOOL, 0, "**WARNING** a: x\nError termination. Backtrace:\n evtool: DONE\n", "esass.evtool.fortran", "error"),
    (EVTOOL, 0, "**ERROR3** evtool/evtool: no events\n evtool: DONE\n", "esass.evtool.error", "error"),
    # CIAO: banners of tools and scripts.
    (REPRO, 0, "Cleaning up intermediate files\nThe data have been reprocessed.\nStart your analysis\n", "", "none"),
    (REPRO, 0, "Cleaning up intermediate files\n", "ciao.chandra_repro.noSuccess", "error"),
    (REPRO, 1, ("# chandra_repro (25 November 2024): ERROR An error occurred while running 'tg_resolve_events':\n"
     "  # tg_resolve_events (CIAO 4.17.0): dsINPUTEXISTSFERR -- ERROR: Input file 'x' does not exist.\n"),
     "ciao.chandra_repro.inputMissing", "error"),
    (REPRO, 1, "# chandra_repro (07 April 2025): ERROR 'ASPTYPE'\n", "ciao.chandra_repro.keywordMissing", "error"),
    (REPRO, 0, ("# acis_process_events (CIAO 4.6): The following error occurred 3 times:\n"
     "\tdsAPEPULSEHEIGHTERR -- WARNING: pulse height is less than split threshold.\n"
     "The data have been reprocessed.\n"), "", "none"),
    (REPRO, 0, ("# acis_process_events (CIAO 4.6): The following error occurred 3 times:\n"
     "\tdsAPEREADERR -- ERROR: could not read.\nThe data have been reprocessed.\n"),
     "ciao.chandra_repro.dsAPEREADERR", "error"),
    (REPRO, 0, "# acis_process_events (CIAO 4.17): WARNING: apply_cti was set to no\nThe data have been reprocessed.\n",
     "ciao.chandra_repro.correctionLeftOut", "warning"),
    (REPRO, 1, ("# gti_align (11 June 2019): ERROR Expected the PFILES environment variable to contain 1 ';' "
     "character, but found 2\n"), "ciao.chandra_repro.pfiles", "error"),
    (REPRO, 1, "Traceback (most recent call last):\n  File \"a\", line 1\n    x()\nOSError: gone\nmore\n",
     "ciao.chandra_repro.traceback", "error"),
    (DMCOPY, 1, "", "ciao.dmcopy.status1", "error"),
    (DMCOPY, 1, "Clobber set to no, and output file b.fits exists.\n", "ciao.dmcopy.outputExists", "error"),
    (DMCOPY, 1, "Failed to open virtual file\n# DMCOPY (CIAO 4): DM Parse error: bad\n", "ciao.dmcopy.error", "error"),
    (DMCOPY, 1, "#   (CIAO 4.11): ERROR: unknown\n", "ciao.dmcopy.error", "error"),
    (DMCOPY, 1, 'Error (pixlib): ERROR: failed to open calibration file "CALDB"\n',
     "ciao.dmcopy.noCalibration", "error"),
    (DMCOPY, 1, "ERROR: Could not open file 'a.fits[GTI]'\n", "ciao.dmcopy.error", "error"),
    (DMCOPY, 0, "dmcopy.par: parameter not found : patch_hrc_ssc\n", "", "none"),
    (DMCOPY, 0, "# DMCOPY (CIAO 4.11): warning: 3 rows\nWarning: odd\n", "", "none"),
    # HEASoft.
    (NUPIPELINE, 0, ("nuscreen_0.1: Exit with success.\nCommand not found; type ? for a command listing\n"
     "Cannot delete 'xautosav.xcm'\nWARNING No Filtered Level 2 Event File created for Observing Mode '02'\n"
     "nupipeline_0.4.12: Exit with no errors - Fri Nov 26 13:53:29 EST 2021\n"), "", "none"),
    (NUPIPELINE, 1, "nupipeline_0.4.9: Error: running 'numetrology'\nERROR: Pipeline exit with error\n",
     "heasoft.nupipeline.metrology", "error"),
    (NUPIPELINE, 0, "nupipeline_0.4.9: working\n", "heasoft.nupipeline.noSuccess", "error"),
    (XRTPIPELINE, 0, "xrtpipeline_0.13.7: Exit with no errors\n", "", "none"),
    (XRTPIPELINE, 1, "................. : ERROR attitude file not found\nxrtpipeline_0.13.7 Attitude File not found\n",
     "heasoft.xrtpipeline.noAttitude", "error"),
    (NICERL2, 0, "Event files written\n", "", "none"),
    (NICERL2, 0, "Task nicerl2 1.41 terminating with status 0\n", "", "none"),
    (NICERL2, 255, "Task nifpmsel 1.8 terminating with status -1\n", "heasoft.nicerl2.status-1", "error"),
    (NICERL2, 203, "", "heasoft.nicerl2.parameters", "error"),
    (XRTPIPELINE, 1, "ERROR: No space left on device\n", "heasoft.xrtpipeline.noSpace", "error"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "status", "text", "code", "severity"), CASES)
def test_logs_are_judged(call, status, text, code, severity):
    verdict = judge(call, status, text)
    assert (verdict.code, verdict.severity) == (code, severity), verdict
    assert verdict.done == (severity != "error")
    assert bool(verdict.remedy) == bool(code)


@pytest.mark.parametrize(("call", "status", "text", "code", "severity"), CASES)
def test_the_same_log_with_other_line_ends_is_judged_alike(call, status, text, code, severity):
    assert judge(call, status, text.replace("\n", "\r\n")).code == code


def test_a_message_of_many_lines_is_one_message():
    text = next(text for call, _, text, *_ in CASES if call is EMCHAIN)
    (message,) = read_log(read_suite("sas"), text).messages
    assert len(message.lines) == 20
    assert message.tool == "emtaglenoise"


def test_messages_that_come_again_are_counted_not_repeated():
    text = "** epframes: warning (notHKconstant), HK parameter F1725 is not constant, range = [ 0 , 256 ]\n" * 120
    (message,) = read_log(read_suite("sas"), text).messages
    assert message.count == 120


def test_errors_without_a_name_are_distinguished_by_their_text():
    text = "ERROR: cannot open a\nERROR: cannot open b\nERROR: cannot open a\n"
    found = read_log(read_suite("heasoft"), text).messages
    assert [(one.text, one.count) for one in found] == [("cannot open a", 2), ("cannot open b", 1)]


def test_a_traceback_is_known_by_its_last_line():
    verdict = judge(REPRO, 1, 'Traceback (most recent call last):\n  File "a", line 1\n    x()\nOSError: gone\nmore\n')
    assert verdict.text == "OSError: gone"
    assert len(verdict.lines) == 4


def test_what_stands_in_an_argument_did_not_happen():
    text = "dmcopy infile=a title=Segmentation fault of a rock\nset note=No space left on device\n"
    assert judge(DMCOPY, 0, text).code == ""
    assert judge(DMCOPY, 0, "Segmentation fault\n").code == "ciao.dmcopy.crashed"


def test_tasks_are_matched_with_their_prefix():
    """What is told by the task itself and by the chain that calls it is no second start."""
    inner = STARTED.format("evselect").replace("evselect:-", "epproc::evselect:-")
    outer = STARTED.format("evselect").replace("evselect:-", "epproc:-")
    ends = [line.replace(" started:  ", " ended:    ") for line in (inner, outer)]
    log = read_log(read_suite("sas"), ran("epproc", inner + outer + ends[0]))
    assert log.open == ("evselect",)
    assert read_log(read_suite("sas"), ran("epproc", inner + outer + "".join(ends))).open == ()


def test_a_log_cannot_steer_the_terminal_of_who_reads_it():
    verdict = judge(EVSELECT, 1, "** evselect: error (x), a\x1b[2Jb\u202e\n")
    assert "\x1b" not in repr(verdict.lines) + verdict.text
    assert "\u202e" not in verdict.text


@pytest.mark.parametrize("suite", ["sas", "esass", "ciao", "heasoft"])
@pytest.mark.parametrize(
    "line", ["warning " + " " * 300_000, "a_" + "1." * 200_000, "# " + "(" * 300_000, "** a" * 100_000]
)
def test_lines_made_to_hang_a_reader_do_not(suite, line):
    assert len(read_log(read_suite(suite), f"** a: warning (SummaryOfWarnings), \n{line}\n{line}!").lines) == 3


def test_a_silent_failure_shows_the_end_of_the_log():
    verdict = judge(DMCOPY, 1, "\n".join(f"line {at}" for at in range(100)))
    assert verdict.lines[-1] == "line 99"
    assert len(verdict.lines) == 20


# ---------------------------------------------------------------- outputs


def write_fits(path: Path, rows: int = 3, kind: str = "EVENTS") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = np.zeros(rows, dtype=[("TIME", ">f8"), ("PI", ">i2")])
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(table, name=kind)]).writeto(path, overwrite=True)
    return path


def judged(call: Call, cwd: Path, act, text: str = "") -> Verdict:
    before = look_before(call, cwd)
    act()
    return judge(call, 0, text, find_outputs(call, cwd, before), changed_inputs(call, cwd, before))


def test_outputs_must_be_there_new_whole_and_not_empty(tmp_path):
    path = tmp_path / "b.fits"
    write_fits(tmp_path / "a.fits")
    assert judged(DMCOPY, tmp_path, lambda: None).code == "ciao.dmcopy.outputMissing"
    assert judged(DMCOPY, tmp_path, lambda: write_fits(path)).code == ""
    assert judged(DMCOPY, tmp_path, lambda: None).code == "ciao.dmcopy.outputStale"
    assert judged(DMCOPY, tmp_path, lambda: write_fits(path)).code == "", "the same bytes, written again"
    assert judged(DMCOPY, tmp_path, lambda: path.write_bytes(b"")).code == "ciao.dmcopy.outputEmpty"
    whole = write_fits(tmp_path / "whole.fits", 2000).read_bytes()
    for cut in (len(whole) - 2880, 2880 * 2, 3000, 100):
        verdict = judged(DMCOPY, tmp_path, lambda cut=cut: path.write_bytes(whole[:cut]))
        assert verdict.code == "ciao.dmcopy.outputUnreadable", cut
    assert judged(DMCOPY, tmp_path, lambda: path.write_text("<html>")).code == "ciao.dmcopy.outputUnreadable"
    packed = bytearray(gzip.compress(whole))
    packed[30:60] = b"\xff" * 30
    cards = ((b"BITPIX  =                    8", b"BITPIX  =                    T"), (b"NAXIS2  = ", b"NAXIS2  = x"))
    for odd in (bytes(packed), *(whole.replace(*pair) for pair in cards)):
        assert odd != whole
        verdict = judged(DMCOPY, tmp_path, lambda odd=odd: path.write_bytes(odd))
        assert verdict.code == "ciao.dmcopy.outputUnreadable", odd[:20]
    path.unlink()
    assert judged(DMCOPY, tmp_path, lambda: os.mkfifo(path)).code == "ciao.dmcopy.outputUnreadable"


def test_lists_must_have_rows_in_one_of_their_files(tmp_path):
    call = call_of("heasoft", "nupipeline", indir="i", outdir="out", steminputs="nu1", exitstage=2)
    good = "nupipeline_0.4.12: Exit with no errors\n"
    first, second = tmp_path / "out/nu1A01_cl.evt.gz", tmp_path / "out/nu1B01_cl.evt"
    plain = write_fits(tmp_path / "plain", 0)

    def packed() -> None:
        first.parent.mkdir(exist_ok=True)
        first.write_bytes(gzip.compress(plain.read_bytes()))

    assert judged(call, tmp_path, packed, good).code == "heasoft.nupipeline.outputEmpty"
    assert judged(call, tmp_path, lambda: (packed(), write_fits(second)), good).code == ""
    first.write_bytes(first.read_bytes()[:60])
    assert judged(call, tmp_path, lambda: first.write_bytes(first.read_bytes()[:50]), good).code == (
        "heasoft.nupipeline.outputUnreadable"
    )


@pytest.mark.parametrize(
    ("call", "patterns"),
    [
        (EVSELECT, ["f.fits"]),
        (call_of("sas", "evselect", table="e", imageset="i", withfilteredset=False, ximagesize=3), ["i"]),
        (EPCHAIN, ["P*PIEVLI0000.FIT", "P*ATTTSR*.FIT"]),
        (call_of("sas", "epchain", withoutoftime=True), ["P*OOEVLI0000.FIT", "P*ATTTSR*.FIT"]),
        (call_of("sas", "odfingest", outdir="/data/odf"), ["/data/odf/*SUM.SAS"]),
        (call_of("sas", "odfingest"), ["*SUM.SAS"]),
        (EXPMAP, ["m1", "m2"]),
        (call_of("esass", "flaregti", eventfile="e"), []),
        (call_of("esass", "flaregti", eventfile="e", gtifile="g"), ["g"]),
        (call_of("ciao", "dmcopy", infile="a", outfile="!b[1].fits"), ["b"]),
        (REPRO, ["out/*_repro_evt2.fits*", "out/*_repro_bpix1.fits*", "out/pcad*_asol1.fits*", "out/*_msk1.fits*",
                 "out/*_repro_fov1.fits*", "out/*_dtf1.fits*", "out/*_repro_flt2.fits*"]),
        (call_of("ciao", "chandra_repro", indir="obs"), ["obs/repro/*_repro_evt2.fits*"]),
        (call_of("heasoft", "nupipeline", indir="i", outdir="o", steminputs="s", exitstage=1),
         ["o/*_uf.evt*", "o/*_gti.fits*", "o/*_bp.fits*", "o/*_hp.fits*", "o/*_det1.fits*", "o/*_mast.fits*",
          "o/*_att.fits*", "o/*.mkf*"]),
    ],
)  # fmt: skip
def test_what_a_call_should_make(call, patterns):
    known = [pattern for output, pattern in expected_outputs(call) if not output.optional or pattern in patterns]
    assert known == patterns


def test_good_times_are_no_events(tmp_path):
    """Whichever of the tables stands first."""
    call = call_of("sas", "merge", set1="a", set2="b", outset="c.fits")

    def write() -> None:
        tables = []
        for name, rows in (("GTI", 1), ("EVENTS", 0)):
            tables.append(fits.BinTableHDU(np.zeros(rows, [("START", ">f8")]), name=name))
        fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(tmp_path / "c.fits")

    assert judged(call, tmp_path, write, ran("merge")).code == "sas.merge.outputEmpty"


def test_an_input_may_be_changed_only_by_design(tmp_path):
    source, target = write_fits(tmp_path / "a.fits"), tmp_path / "b.fits"
    changed = judged(DMCOPY, tmp_path, lambda: (write_fits(target), write_fits(source, 4)))
    assert (changed.code, changed.severity) == ("ciao.dmcopy.inputChanged", "error")
    assert "a.fits" in changed.text
    events = write_fits(tmp_path / "e.fits")
    by_design = call_of("esass", "flaregti", eventfile="e.fits")
    assert judged(by_design, tmp_path, lambda: write_fits(events, 5), " flaregti: DONE\n").code == ""
    apart = call_of("esass", "flaregti", eventfile="e.fits", gtifile="g.fits")
    verdict = judged(
        apart, tmp_path, lambda: (write_fits(events, 6), write_fits(tmp_path / "g.fits")), " flaregti: DONE\n"
    )
    assert verdict.code == "esass.flaregti.inputChanged"


def test_the_cause_that_a_sub_task_names_is_the_code_where_the_list_is_missing(tmp_path):
    text = "** emframes: error (noFrames), no frames\n"
    verdict = judged(EMCHAIN, tmp_path, lambda: None, text)
    assert (verdict.code, verdict.severity) == ("sas.emchain.noFrames", "error")
    assert [reason.name for reason in verdict.reasons] == ["noFrames", "outputMissing"]
    listed = judged(EMCHAIN, tmp_path, lambda: write_fits(tmp_path / "P0M1S001MIEVLI0000.FIT"), text)
    assert (listed.code, listed.severity) == ("sas.emchain.noFrames", "warning")
