"""Swift's BAT: what batsurvey may leave behind that is odd, settings that it cannot use, and other instruments."""

from __future__ import annotations

import io
import re
import shutil
from dataclasses import dataclass, replace

import pytest

from daxa.backends import find_backend
from daxa.backends.chains import FinishedCall, Known
from daxa.backends.chains.execution import initial_knowledge
from daxa.backends.heasoft.bat import bat_products
from daxa.backends.tools.verdict import judge
from daxa.errors import CallError, DataError
from daxa.run.product import parse_product
from daxa.run.task import Task, canonical
from tests.backends.conftest import prefix_of
from tests.backends.heasoft.bat_histograms import NAMES
from tests.backends.heasoft.test_bat import CALL, OBS, TABLE, both, of_bat, of_pointing, seen
from tests.backends.heasoft.uvot_images import add_images
from tests.backends.observed import Observed
from tests.stubs.install import grant, request

__all__ = ["both", "seen"]

GOOD = {"NAXIS2": 1, "TFIELDS": 2, "TTYPE1": "RATE", "TTYPE2": "VECTSNR"}
FIRST, SECOND = (f"survey/point_{name}/point_{name}" for name in NAMES)
FINE = 'status="SUCCESS";code="ok";reason="success"'


@dataclass
class Facts:
    """What files hold."""

    texts: dict[str, str]
    headers: dict[str, dict[str, object]]

    def text(self, path: str) -> str:
        return self.texts[path]

    def header(self, path: str, table: str = "") -> dict[str, object]:
        return self.headers.get(path, GOOD)


def left_behind(
    statuses: dict[str, str], catalogues: list[str], headers: dict[str, dict[str, object]] | None = None, **own: str
) -> Known:
    """What is known after a call that has left these files."""
    task = Task("swift", "events", OBS, "heasoft", "1", canonical({}), canonical({"instruments": ["BAT"]}))
    outputs = {"status": tuple(statuses), "catalogue": tuple(catalogues), "pointings": ("survey/stats_point.fits",)}
    finished = (FinishedCall("batsurvey", "", "", {}, outputs),)
    return Known(task, "6.36", {"failing": "stop", **own}, (), Facts(statuses, headers or {}), finished)


def names(known: Known) -> list[str]:
    return [one.name.removeprefix(f"obsid{OBS}-instBAT-subexp").removesuffix(".fits") for one in bat_products(known)]


def test_what_is_in_order_is_taken():
    statuses = {f"{FIRST}_status.txt": FINE, f"{SECOND}_status.txt": 'status="FAIL";code="ndets_low"'}
    assert names(left_behind(statuses, [f"{FIRST}_2.cat"])) == ["ALL-en-batpointings", f"{NAMES[0]}-en-batsources"]


NOT_RIGHT = {
    "fails, yet ok": ({f"{SECOND}_status.txt": 'status="FAIL";code="ok"'}, f"{NAMES[1]} (no reason)"),
    "no status": ({}, f"{NAMES[1]} (no status)"),
    "empty of sense": ({f"{SECOND}_status.txt": "\x00\x1b[31m"}, f"{NAMES[1]} (no status)"),
    "huge": ({f"{SECOND}_status.txt": f'status="FAIL";code="{"a" * 1_000_000}"'}, f"{NAMES[1]} (no status)"),
    "escapes": ({f"{SECOND}_status.txt": 'status="FAIL";code="\x1b[2J"'}, f"{NAMES[1]} (no status)"),
    "of another": (
        {f"{SECOND}_status.txt": FINE, f"survey/point_{NAMES[1]}/point_20201491130_status.txt": FINE},
        "point_20201491130_status.txt (unknown name)",
    ),
    "a second one": (
        {f"{SECOND}_status.txt": FINE, f"{SECOND}_b_status.txt": 'status="FAIL";code="expo_small"'},
        f"point_{NAMES[1]}_b_status.txt (unknown name)",
    ),
    "odd name": (
        {f"{SECOND}_status.txt": FINE, "survey/point_a\n/point_\x1b[0m_status.txt": FINE},
        "point_??0m_status.txt (unknown name)",
    ),
}


@pytest.mark.parametrize("case", NOT_RIGHT)
def test_a_pointing_is_good_only_if_its_own_status_says_so(case):
    """Others are neither taken nor lost: the observation fails, or goes without them if it shall."""
    statuses, what = NOT_RIGHT[case]
    known = left_behind({f"{FIRST}_status.txt": FINE, **statuses}, [f"{FIRST}_2.cat", f"{SECOND}_2.cat"])
    with pytest.raises(CallError) as failed:
        names(known)
    assert what in failed.value.message
    assert len(failed.value.message) < 300
    assert failed.value.message.isprintable()
    rest = names(replace(known, parameters={"failing": "leave out"}))
    assert rest[:2] == ["ALL-en-batpointings", f"{NAMES[0]}-en-batsources"]
    assert len(set(rest)) == len(rest)


CATALOGUES = {
    "no file": (None, "no catalogue"),
    "an image": ({"NAXIS": 2, "NAXIS2": 4}, "no catalogue"),
    "no rates": ({**GOOD, "TTYPE1": "FLUX"}, "no rates"),
}


@pytest.mark.parametrize("case", CATALOGUES)
def test_a_catalogue_is_a_table_with_rates(case):
    header, what = CATALOGUES[case]
    statuses = {f"{FIRST}_status.txt": FINE, f"{SECOND}_status.txt": FINE}
    paths = [f"{FIRST}_2.cat", *([] if header is None else [f"{SECOND}_2.cat"])]
    with pytest.raises(CallError, match=rf"{NAMES[1]} \({what}\)"):
        names(left_behind(statuses, paths, {f"{SECOND}_2.cat": header or {}}))


def test_a_catalogue_without_sources_is_a_result():
    known = left_behind({f"{FIRST}_status.txt": FINE}, [f"{FIRST}_2.cat"], {f"{FIRST}_2.cat": {**GOOD, "NAXIS2": 0}})
    assert f"{NAMES[0]}-en-batsources" in names(known)


def bins_of(number: int) -> str:
    return ",".join(f"{14 + at}-{15 + at}" for at in range(number))


@pytest.mark.parametrize(
    "bins", ["nan", "14-nan", "-14-20", "", " 14-20", "14-20,14-20", "20-14", bins_of(81), "1e1-20"]
)
def test_bins_that_it_cannot_use_are_refused_before_work(bins):
    given = {"events": {"heasoft": {"batsurvey": {"energybins": bins}}}}
    (fault,) = find_backend("heasoft").check("swift", given)
    assert (fault.name, "energybins" in fault.message) == ("bad-parameter", True)
    assert "ascending order from 14 to 200 keV" in fault.remedy
    assert len(fault.message) < 300


@pytest.mark.parametrize("limits", ["nan", "14-24,24-50", "195-14", "14", ""])
def test_limits_are_two_energies(limits):
    (fault,) = find_backend("heasoft").check("swift", {"events": {"heasoft": {"batsurvey": {"elimits": limits}}}})
    assert "edges of bins" in fault.remedy
    assert find_backend("heasoft").check("swift", {"events": {"heasoft": {"batsurvey": {"elimits": "14-50"}}}}) == []


@pytest.mark.parametrize("bins", ["14-195", "14-24,24-50,50-100,100-195", "14.5-20,30-200", bins_of(80)])
def test_bins_that_it_can_use_are_taken(bins):
    assert find_backend("heasoft").check("swift", {"events": {"heasoft": {"batsurvey": {"energybins": bins}}}}) == []


def test_an_xrt_that_fails_or_makes_nothing_does_not_take_the_bat_with_it(both, stand_ins):
    prefix = prefix_of(stand_ins["heasoft"])
    for failure in ("errorAndOne", "silent"):
        request(prefix, "xrtpipeline", failure)
        try:
            place = both.run("events", "heasoft", failing="leave out")
        finally:
            grant(prefix, "xrtpipeline")
        assert of_bat(place) == sorted([*of_pointing(NAMES[0]), *of_pointing(NAMES[1]), *TABLE])
        assert "left out XRT" in both.logs["events"]


def test_an_xrt_whose_list_is_no_pointing_is_left_out_beside_a_good_bat(both):
    """Its pipeline ends well, with a list of the settling alone."""
    (pointed,) = (both.root / "fetch/xrt/event").glob("*pcw3po_uf.evt.gz")
    pointed.rename(pointed.with_name(pointed.name.replace("po_uf", "st_uf")))
    for other in (both.root / "fetch/xrt/event").glob("*po_uf*"):
        other.unlink()
    with pytest.raises(DataError, match="xrtpipeline made no list"):
        both.run("events", "heasoft")
    assert of_bat(both.run("events", "heasoft", failing="leave out"))


ENDS = {
    "COMPLETE, and 255": (255, "batsurvey: COMPLETE", "status255"),
    "0, and nothing": (0, "batsurvey v6.15", "noSuccess"),
    "0, and COMPLETE in a line of others": (0, "GTI: batsurvey: COMPLETE soon", "noSuccess"),
    "killed": (-9, "batsurvey: COMPLETE", "crashed"),
    "for its time": (None, "batsurvey: COMPLETE", "timeLimit"),
}


@pytest.mark.parametrize("case", ENDS)
def test_status_and_last_line_must_both_be_good(case):
    status, text, name = ENDS[case]
    verdict = judge(CALL, status, text)
    assert (verdict.done, verdict.code) == (False, f"heasoft.batsurvey.{name}")


MACHINE = {
    "Killed": "crashed",
    "run.sh: line 3:  4711 Aborted                 batfftimage a b": "crashed",
    "Floating point exception": "crashed",
    "Illegal instruction (core dumped)": "crashed",
    'Can\'t exec "batdetmask": No such file or directory at batsurvey line 3.': "programMissing",
    "sh: 0: Cannot fork": "noMemory",
}


@pytest.mark.parametrize("line", MACHINE)
def test_what_a_shell_says_of_the_machine_is_no_matter_of_one_pointing(line):
    verdict = judge(CALL, 0, f"{line}\nWARNING: image (batfftimage_failed)\nbatsurvey: COMPLETE")
    assert (verdict.done, verdict.code) == (False, f"heasoft.batsurvey.{MACHINE[line]}")
    assert judge(CALL, 0, "3 histograms Aborted for now\nwas Killed\nbatsurvey: COMPLETE").code == ""


def test_a_status_file_without_end_is_not_read(tmp_path):
    backend, task = find_backend("heasoft"), left_behind({}, []).task
    chain = backend.chain("swift", "events")
    with (tmp_path / "endless.txt").open("wb") as stream:
        stream.truncate((16 << 20) + 1)
    with pytest.raises(DataError, match=r"endless\.txt cannot be read: it has more than"):
        initial_knowledge(backend.program, chain, task, tmp_path, "6.36").facts.text("endless.txt")


def test_beside_the_xrt_the_bat_may_have_nothing_and_its_pointings_may_be_left_out(both):
    short = {"batsurvey": {"expothresh": 1000.0}}
    with pytest.raises(DataError) as failed:
        both.run("events", "heasoft", heasoft=short)
    assert f'do without the BAT: failing = "leave out" in [events.obs."{OBS}"]' in failed.value.remedy
    lists = sorted(path.name for path in both.run("events", "heasoft", failing="leave out", heasoft=short).iterdir())
    (both.root / f"fetch/bat/hk/sw{OBS}bgocb.hk.gz").unlink()
    with pytest.raises(DataError, match="batsurvey needs") as missing:
        both.run("events", "heasoft")
    assert 'failing = "leave out"' in missing.value.remedy
    assert sorted(path.name for path in both.run("events", "heasoft", failing="leave out").iterdir()) == lists
    shutil.rmtree(both.root / "fetch/bat")
    assert sorted(path.name for path in both.run("events", "heasoft").iterdir()) == lists
    assert any("instXRT" in name for name in lists)
    assert "batsurvey" not in both.logs["events"]


def again(seen: Observed, **parameters: object) -> str:
    """Carry the step out in the directory of the attempt before; the log."""
    target, log = seen.root / "events", io.StringIO()
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    (seen.root / "kept").mkdir(exist_ok=True)
    task = seen.task("events", "heasoft", **parameters)
    try:
        find_backend("heasoft").resume(task, {"fetch": seen.root / "fetch"}, target, log, seen.root / "kept")
    finally:
        seen.logs["events"] = log.getvalue()
    return log.getvalue()


@pytest.fixture
def three(both) -> Observed:
    add_images(both.root / "fetch", OBS, "uw1")
    both.instruments = ("XRT", "UVOT", "BAT")
    return both


def test_a_pointing_that_failed_is_tried_again_and_nothing_else_is(three, stand_ins):
    """The call itself ended well, so that its files alone do not say that it has to be made again."""
    prefix = prefix_of(stand_ins["heasoft"])
    request(prefix, "batsurvey", "", pointing=f"point_{NAMES[0]}")
    try:
        with pytest.raises(CallError, match="batcelldetect_failed"):
            again(three)
    finally:
        grant(prefix, "batsurvey")
    log = again(three)
    assert re.findall(r"(?m)^== (\w+).*: (.*)$", log) == [
        ("xrtpipeline", "done before"),
        ("uvotimsum", "done before"),
        ("uvotimsum", "done before"),
        ("uvotdetect", "done before"),
        ("batsurvey", "done"),
    ]
    assert of_bat(three.root / "events") == sorted([*of_pointing(NAMES[0]), *of_pointing(NAMES[1]), *TABLE])


@pytest.mark.parametrize("tool", ["xrtpipeline", "uvotimsum", "uvotdetect", "batsurvey"])
def test_of_three_instruments_two_go_on_and_the_third_is_done_later(three, stand_ins, tool):
    prefix = prefix_of(stand_ins["heasoft"])
    request(prefix, tool, "silent")
    try:
        again(three, failing="leave out")
        made = {parse_product(path.name).instrument for path in (three.root / "events").glob("obsid*")}
        with pytest.raises(CallError, match=tool):
            again(three)
    finally:
        grant(prefix, tool)
    lost = {"xrtpipeline": "XRT", "batsurvey": "BAT"}.get(tool, "UVOT")
    assert made == {"XRT", "UVOT", "BAT"} - {lost}
    log = again(three)
    ways = re.findall(r"(?m)^== (\w+).*: (.*)$", log)
    assert {name for name, how in ways if how == "done"} == {tool} | ({"uvotdetect"} if lost == "UVOT" else set()), (
        "nothing else"
    )
    kinds = {parse_product(path.name).kind for path in (three.root / "events").glob("obsid*")}
    assert {"events", "uvotimage", "uvotsources", "batsources", "batpointings"} <= kinds
