"""Which observations a newer calibration file concerns: those whose index would name it, and no others."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date as day
from pathlib import Path

import pytest

from daxa.archive.accepted_calibration import accept_calibration, other_calibration
from daxa.archive.config import load_config
from daxa.archive.layout import Layout
from daxa.backends import find_backend
from daxa.backends.sas.constituents import constituents_of, read_constituents, used_identity
from daxa.backends.tools import capture
from daxa.cli import main
from daxa.errors import ProgramError
from daxa.selection.selection_file import read_selection, write_selection
from daxa.stages.status import outcomes_of, read_status
from daxa.stages.step import make_stage
from tests.backends.sas.observation import Observation
from tests.stages.archives import make_archive, run_here
from tests.stubs import here as stand_ins
from tests.stubs.ccf import chosen, write_ccf
from tests.stubs.install import install_suite
from tests.stubs.odf import write_odf

OBSERVED = {"0100000101": "2004-03-01", "0400000101": "2007-03-01", "0700000101": "2012-03-01"}
EARLY, MIDDLE, LATE = OBSERVED
PARAMS = """
[fetch]
[events]
backend = "sas"
[clean]
[images]
backend = "native"
[sources]
"""


def mjd(date: str) -> float:
    return float((day.fromisoformat(date) - day(1858, 11, 17)).days)


def write_set(folder: Path) -> None:
    """Files of two cameras and of all, some of which hold only for a time."""
    write_ccf(folder, "EMOS1_CTI_0001.CCF")
    write_ccf(folder, "EMOS1_CTI_0002.CCF", valid="2006-06-01", submitted="2008-01-01")
    write_ccf(folder, "EMOS1_BADPIX_0007.CCF", valid="2007-01-01", until="2008-01-01")
    write_ccf(folder, "EPN_CTI_0001.CCF")
    write_ccf(folder, "XMM_MISCDATA_0022.CCF", valid="1998-01-01T00:00:00", submitted="2010-01-01T12:00:00")


@pytest.fixture
def folder(tmp_path) -> Path:
    write_set(tmp_path / "ccf")
    return tmp_path / "ccf"


def identity(folder: Path, date: str, *, instruments=("M1",), as_of: str = "2020-01-01", days: float = 0.5) -> str:
    return used_identity(constituents_of([folder]), instruments, mjd(date), mjd(date) + days, as_of)


def test_the_identity_changes_exactly_where_the_choice_does(folder):
    """Over the whole mission: the choice is made here by another piece of code, file by file."""
    dates = [f"{year}-{month:02d}-15" for year in range(2000, 2016) for month in (1, 6, 12)]
    for as_of in ("2007-06-01", "2009-01-01", "2020-01-01"):
        by_choice: dict[tuple[str, ...], set[str]] = {}
        for date in dates:
            names = tuple(name for name in chosen(folder, date, as_of) if not name.startswith("EPN"))
            by_choice.setdefault(names, set()).add(identity(folder, date, as_of=as_of))
        assert all(len(found) == 1 for found in by_choice.values())
        assert len(set.union(*by_choice.values())) == len(by_choice) > 1


def test_a_file_concerns_the_observations_of_its_instrument_and_time(folder):
    before = {date: identity(folder, date) for date in OBSERVED.values()}
    pn = identity(folder, "2012-03-01", instruments=("PN",))
    assert identity(folder, "2012-03-01", instruments=("R1",)) != pn != before["2012-03-01"]
    write_ccf(folder, "EMOS1_CTI_0003.CCF", valid="2011-01-01", submitted="2021-05-01")
    assert {date: identity(folder, date) for date in before} == before, "it was submitted later"
    changed = [date for date in before if identity(folder, date, as_of="2022-01-01") != before[date]]
    assert changed == ["2012-03-01"] == [date for date in before if identity(folder, date, as_of="") != before[date]]
    assert identity(folder, "2012-03-01", instruments=("PN",), as_of="2022-01-01") == pn
    # One that is lost, or whose content is another, concerns those that used it.
    (folder / "EMOS1_CTI_0001.CCF").unlink()
    assert [date for date in before if identity(folder, date) != before[date]] == ["2004-03-01"]
    write_ccf(folder, "EMOS1_CTI_0001.CCF")
    assert {date: identity(folder, date) for date in before} == before
    (folder / "EMOS1_BADPIX_0007.CCF").unlink()
    write_ccf(folder, "EMOS1_BADPIX_0007.CCF", valid="2007-01-02", until="2008-01-01")
    assert [date for date in before if identity(folder, date) != before[date]] == ["2007-03-01"]


def test_what_was_submitted_on_the_day_of_the_analysis_was_there(folder):
    before = identity(folder, "2012-03-01", as_of="2021-05-01")
    write_ccf(folder, "EMOS1_CTI_0003.CCF", submitted="2021-05-01T06:00:04")
    assert identity(folder, "2012-03-01", as_of="2021-04-30") == before
    assert identity(folder, "2012-03-01", as_of="2021-05-01") != before


def test_times_that_are_nearly_at_a_limit_count_on_both_sides(folder):
    """Tables and raw files give the start of an observation differently, by hours."""
    sides = [identity(folder, date) for date in ("2006-05-15", "2006-05-31", "2006-06-15")]
    assert len(set(sides)) == 3
    long = identity(folder, "2006-05-01", days=300)
    assert long not in sides


def test_what_is_not_known_of_an_observation_or_a_file_leaves_nothing_out(folder):
    unknown = used_identity(constituents_of([folder]), ("M1",), None, None, "")
    (folder / "EMOS1_CTI_0001.CCF").unlink()
    assert used_identity(constituents_of([folder]), ("M1",), float("nan"), None, "") != unknown
    before = identity(folder, "2012-03-01")
    (folder / "notes.CCF").write_text("no header")
    assert identity(folder, "2012-03-01") != before
    (folder / "other.CCF").write_bytes(b"CATEGORY= 'SCISIMCCF'".ljust(80) + b"END".ljust(2800))
    assert "other.CCF" not in {one.name for one in read_constituents(constituents_of([folder]))}
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(ProgramError, match="no calibration files"):
        identity(folder, "2012-03-01")


def test_of_two_files_of_one_issue_both_count(folder):
    write_ccf(folder, "emos1_cti_2.ccf", valid="2006-06-01", submitted="2008-01-01")
    both = identity(folder, "2012-03-01")
    for name in ("emos1_cti_2.ccf", "EMOS1_CTI_0002.CCF"):
        write_ccf(folder, name, valid="2006-06-01", submitted="2008-01-02")
        assert identity(folder, "2012-03-01") != both, name
        write_ccf(folder, name, valid="2006-06-01", submitted="2008-01-01")


@pytest.mark.parametrize("date", ["soon", "2014-03", "٢٠١٤-03-11", "11/03/99", "2014-03-11 06:00"])
def test_a_date_that_is_none_leaves_no_file_out(folder, date):
    before = {day: identity(folder, day) for day in OBSERVED.values()}
    cards = [b"CATEGORY= 'XMMCCF'"]
    cards += [f"{key:8}= '{date}'".encode() for key in ("VALDATE", "EVALDATE", "SUBDATE")]
    (folder / "EMOS1_ODD_0001.CCF").write_bytes(b"".join(card.ljust(80) for card in cards) + b"END".ljust(2800))
    assert all(identity(folder, day) != known for day, known in before.items())


def test_only_cards_say_what_a_file_is(folder):
    text = b"COMMENT before CATEGORY= 'SCISIMCCF' and SUBDATE = '2050-01-01'".ljust(80)
    (folder / "EMOS1_NEW_0001.CCF").write_bytes(text + b"SUBDATE = '2010-01-01'".ljust(80) + b"END".ljust(2720))
    (found,) = (one for one in read_constituents(constituents_of([folder])) if one.type == "NEW")
    assert found.submitted == "2010-01-01T00:00:00"


@pytest.fixture
def archive(tmp_path, monkeypatch) -> tuple[Layout, Path]:
    """Three observations of MOS1, of different years, whose lists SAS has made; and where its calibration is."""
    installed = install_suite(tmp_path / "sas", "sas")
    calibration = tmp_path / "sas" / "calibration"
    (calibration / "XMM_MISCDATA_0022.CCF").unlink()
    write_set(calibration)
    monkeypatch.setattr(capture, "find_installation", lambda suite: installed)
    monkeypatch.setattr("daxa.backends.tools.container.run_limited", stand_ins.run_here)
    layout = make_archive(tmp_path / "a", tuple(OBSERVED), instruments="M1")
    table = read_selection(layout.selection("xmm"))
    table["start"] = [mjd(OBSERVED[obs_id]) for obs_id in table["obs_id"]]
    table["end"] = table["start"] + 0.4
    write_selection(layout.selection("xmm"), table, mission="xmm", criteria="{}", snapshot="0" * 64)
    layout.params("xmm").write_text(PARAMS)
    text, backend = layout.software.read_text(), find_backend("sas")
    for step in ("events", "clean"):
        lines = rf'\1backend = "sas"\nversion = "{backend.version("xmm", step)}"'
        text = re.sub(rf'(\[xmm\.{step}\]\n)backend = "native"\nversion = "\d+"', lines, text)
    layout.software.write_text(text)
    accept(layout, "2020-01-01")
    places = {}
    for obs_id, date in OBSERVED.items():
        made = Observation(tmp_path / obs_id, obs_id)
        made.add("M1", "S001")
        write_odf(made.root / "pps", made.root / "fetch" / "ODF", f"{date}T00:00:00")
        places[obs_id] = made.root / "fetch"

    def fetch(task, target, log) -> None:
        for path in sorted((places[task.obs_id] / "ODF").iterdir()):
            (target / "ODF").mkdir(exist_ok=True)
            (target / "ODF" / path.name).write_bytes(path.read_bytes())

    run_here(replace(make_stage(layout, load_config(layout), "fetch", "xmm"), work=fetch, workers=1))
    assert set(run_events(layout).values()) == {("done", "new observation")}
    return layout, calibration


def accept(layout: Layout, date: str) -> None:
    """Accept what is there, as of some day."""
    accept_calibration(layout, other_calibration(layout, load_config(layout)))
    layout.software.write_text(re.sub(r"as of [\d-]+", f"as of {date}", layout.software.read_text()))


def run_events(layout: Layout) -> dict[str, tuple[str, str]]:
    stage = make_stage(layout, load_config(layout), "events", "xmm")
    return {one.obs_id: (one.status, one.reason) for one in run_here(replace(stage, workers=1))}


def shown(layout: Layout) -> dict[str, tuple[str, str]]:
    stages = read_status(layout, load_config(layout), steps="events")
    return {one.obs_id: (one.status, one.reason) for one in outcomes_of(stages)}


def test_of_three_observations_one_is_made_again(archive, monkeypatch, capsys):
    layout, calibration = archive
    monkeypatch.chdir(layout.root)
    write_ccf(calibration, "EMOS1_CTI_0003.CCF", valid="2011-01-01", submitted="2021-05-01")
    write_ccf(calibration, "EPN_CTI_0002.CCF", submitted="2021-05-01")
    # It is said before it is done, and nothing is done unless it is accepted.
    waiting = {EARLY: ("done", ""), MIDDLE: ("done", ""), LATE: ("done", "calibration changed")}
    assert shown(layout) == waiting
    assert set(run_events(layout).values()) == {("kept", "")}
    assert main(["status"]) == 0
    output = capsys.readouterr().out
    assert re.search(rf"events\s+done\s+1\s+calibration changed\s+{LATE}", output), output
    assert main(["plan", "--step", "events"]) == 0
    said = capsys.readouterr()
    assert (
        "calibration changed: 1 observation of xmm events; `daxa upgrade --calibration` accepts it"
        in said.out + said.err
    )
    assert main(["upgrade", "--calibration", "--dry-run"]) == 0
    assert re.search(r"xmm\s+events.*\s1\s*$", capsys.readouterr().out, re.MULTILINE)
    assert shown(layout) == waiting
    accept(layout, "2022-01-01")
    assert shown(layout) == {**waiting, LATE: ("outdated", "calibration changed")}
    assert run_events(layout) == {
        EARLY: ("kept", ""), MIDDLE: ("kept", ""), LATE: ("done", "calibration changed")
    }  # fmt: skip
    assert set(shown(layout).values()) == {("done", "")}
    # A file that the archive's products were made with is not there any more.
    (calibration / "EMOS1_CTI_0001.CCF").unlink()
    assert shown(layout) == dict.fromkeys(OBSERVED, ("done", "")) | {EARLY: ("done", "calibration changed")}


def test_a_newer_set_that_concerns_no_observation_is_accepted_without_work(archive):
    layout, calibration = archive
    write_ccf(calibration, "EPN_CTI_0002.CCF", submitted="2021-05-01")
    write_ccf(calibration, "EMOS1_CTI_0004.CCF", valid="2025-01-01", submitted="2025-05-01")
    assert [one.step for one in other_calibration(layout, load_config(layout))] == ["events", "clean"]
    accept(layout, "2026-01-01")
    assert set(shown(layout).values()) == {("done", "")}
    assert set(run_events(layout).values()) == {("kept", "")}


def test_without_the_software_nobody_says_that_calibration_has_changed(archive, monkeypatch):
    layout, _ = archive

    def absent(suite: str) -> None:
        raise ProgramError("absent", "there is no SAS", remedy="install it")

    monkeypatch.setattr(capture, "find_installation", absent)
    assert set(shown(layout).values()) == {("done", "")}
