"""``daxa search`` on tables served as the archives serve them."""

from __future__ import annotations

import csv
import io
import json

import pytest
from astropy.table import Table

import daxa
from daxa.cli import main
from daxa.errors import CriteriaError
from daxa.simulator import Observatory
from tests.query.rows import NUSTAR, XMM

KNOWN = {"status": "archived", "data_in_heasarc": "Y"}
TABLES = {
    "xmmmaster": [
        XMM | KNOWN,
        XMM | KNOWN | {"obsid": "0201901401", "__row": "9", "time": 53134.67, "end_time": 53134.85},
    ],
    "numaster": [
        NUSTAR
        | KNOWN
        | {"observation_mode": "SCIENCE", "spacecraft_mode": "INERTIAL", "ontime_a": 40000.0, "ontime_b": 40000.0}
    ],
}


@pytest.fixture
def search(tmp_path, monkeypatch, capsys):
    with Observatory(tmp_path, TABLES, {"Abell 907": (149.5916, -11.0638)}) as observatory:
        for name, value in observatory.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DAXA_CACHE", str(tmp_path / "cache"))

        def run(*arguments):
            code = main(["search", *arguments])
            return code, capsys.readouterr()

        yield run


def test_several_missions_are_searched_and_those_without_a_match_said(search):
    code, said = search("--mission", "xmm", "--mission", "nustar", "--target", "Abell 907")
    assert code == 0
    assert "0404910601" in said.out
    assert "0201901401" in said.out
    assert "30101031002" not in said.out
    assert "no observation of NuSTAR meets the criteria" in said.out


def test_pairs_of_a_sample_with_time_windows_as_csv_and_json(search, tmp_path):
    (tmp_path / "mine.csv").write_text(
        "name,ra,dec,radius_arcmin,start,end\nA907,149.5916,-11.0638,2,2006-01-01,\nelsewhere,10,80,2,,\n"
    )
    asked = ("--mission", "xmm", "--sample", str(tmp_path / "mine.csv"), "--pairs")
    code, said = search(*asked, "--csv")
    assert code == 0
    assert [(row["target"], row["obs_id"]) for row in csv.DictReader(io.StringIO(said.out))] == [("A907", "0404910601")]
    code, said = search(*asked, "--json")
    record = json.loads(said.out)
    assert record["mission"] == "xmm"
    assert record["obs_id"] == "0404910601"
    assert record["off_axis"] == pytest.approx(1.4955, abs=1e-3)


def test_an_answer_that_is_not_whole_is_shown_and_is_an_error(search):
    """Two missions answer; the tables of the others are not there."""
    code, said = search("--target", "Abell 907", "--radius", "15arcmin")
    assert code == 10
    assert "0404910601" in said.out
    assert "error:" in said.err


def test_no_condition_and_nothing_found_are_errors(search):
    code, said = search("--mission", "xmm")
    assert code == 3
    assert "no condition says which" in said.err
    code, said = search("--mission", "xmm", "--position", "10,80")
    assert code == 3
    assert "no observation of XMM-Newton meets" in said.err
    code, said = search("--mission", "xmm", "--sample", "absent.csv")
    assert code == 3
    assert "absent.csv does not exist" in said.err


def test_when_nothing_is_found_every_mission_says_what_emptied_it(search):
    code, said = search("--mission", "xmm", "--mission", "nustar", "--position", "10,80", "--start", "2006-01-01")
    assert code == 3
    assert "nothing was found in 2 missions" in said.err
    assert "no observation of XMM-Newton meets the criteria: 2 in the table, 0 within the field of view" in said.err
    assert "no observation of NuSTAR meets the criteria: 1 in the table, 0 within the field of view" in said.err
    assert "public on" not in said.err, "what came after the condition that left none is not to blame"


def test_a_service_that_failed_is_not_reported_as_nothing_found(search):
    """XMM's table has no such observation, but Chandra's and Suzaku's might: they could not be read."""
    code, said = search("--mission", "xmm", "--mission", "chandra", "--mission", "suzaku", "--position", "10,80")
    assert code == 10
    assert "2 missions could not be searched:\n  chandra: " in said.err
    assert "\n  suzaku: " in said.err


def test_a_votable_has_units_and_is_all_that_is_written(search):
    code, said = search("--mission", "xmm", "--mission", "nustar", "--target", "Abell 907", "--votable")
    assert code == 0
    table = Table.read(io.BytesIO(said.out.encode()), format="votable")
    assert [str(one) for one in table["mission"]] == ["xmm", "xmm"]
    assert str(table["ra"].unit) == "deg"
    code, said = search("--mission", "xmm", "--target", "Abell 907", "--pairs", "--votable")
    table = Table.read(io.BytesIO(said.out.encode()), format="votable")
    assert str(table["off_axis"].unit) == "arcmin"
    assert search("--mission", "xmm", "--target", "A", "--json", "--csv")[0] == 3


def test_alternatives_exclusions_and_obs_ids_of_their_own_missions(search):
    code, said = search(
        *("--mission", "xmm", "--mission", "nustar", "--target", "Abell 907", "--end", "2005-01-01"),
        *("--or", "--obsid", "nustar:30101031002", "--or", "--obsid", "0404910601", "--json"),
        *("--not", "--box", "10,20,-5,5"),
    )
    assert code == 0
    assert [json.loads(line)["obs_id"] for line in said.out.splitlines()] == ["0201901401", "0404910601", "30101031002"]
    code, said = search("--obsid", "30101031002", "--csv")
    assert code == 10, "other missions may have such an ObsID, and their tables are not there"
    assert "30101031002" in said.out


def test_missions_whose_table_lacks_a_column_are_left_out_unless_they_are_named(search):
    asked = ("--position", "294.8752,21.567", "--category", "gs", "--category", "NS")
    code, said = search("--mission", "nustar", *asked, "--csv")
    assert (code, said.out.count("30101031002")) == (0, 1)
    code, said = search(*asked, "--csv")
    assert said.out.count("30101031002") == 1
    assert "xmm is left out: the observation table of XMM-Newton (xmmmaster) has no category" in said.err
    assert search("--mission", "xmm", "--mission", "nustar", *asked)[0] == 3
    found = daxa.search(position="294.8752,21.567", category=["NS", "GS"])
    assert found.table["obs_id"].tolist() == ["30101031002"]
    assert found.failures["xmm"].name == "no-column"


def test_what_is_to_be_known_goes_to_standard_error(search, monkeypatch):
    asked = ("--mission", "xmm", "--target", "Abell 907", "--json")
    assert search(*asked)[1].err == ""
    monkeypatch.setattr("daxa.query.tables.snapshot._is_young", lambda snapshot, age: False)
    code, said = search(*asked, "--offline")
    assert code == 0
    assert all(json.loads(line)["mission"] == "xmm" for line in said.out.splitlines())
    assert said.err.startswith("xmm: the table is of 20")
    monkeypatch.setenv("DAXA_QUIET", "1")
    assert search(*asked, "--offline")[1].err == ""
    monkeypatch.delenv("DAXA_QUIET")
    code, said = search("--mission", "nustar", "--target", "Abell 907", "--offline")
    assert code == 10
    assert "without a network" in said.err


def test_a_table_of_any_age_may_be_fetched_again(search, monkeypatch):
    asked = ("--mission", "xmm", "--target", "Abell 907", "--csv")
    assert search(*asked)[0] == 0
    monkeypatch.setattr("daxa.query.tables.observations.fetch_observations", lambda *_: 1 / 0)
    assert search(*asked, "--max-age", "1h")[0] == 0
    for again in (("--refresh",), ("--max-age", "0h")):
        with pytest.raises(ZeroDivisionError):
            search(*asked, *again)


def test_rows_decided_by_a_circle_are_counted(search):
    """Whether NuSTAR's square field holds a place depends on its roll, which one row does not have."""
    code, said = search("--mission", "nustar", "--position", "294.8752,21.567", "--json")
    assert code == 0
    assert "approximate" not in said.err


def test_python_searches_as_the_shell_does(search):
    found = daxa.search(["xmm", "nustar"], target="Abell 907")
    assert found.table[["mission", "obs_id"]].to_numpy().tolist() == [["xmm", "0201901401"], ["xmm", "0404910601"]]
    assert list(found.failures) == ["nustar"]
    shown = found._repr_html_()
    assert "0404910601" in shown
    assert "no observation of NuSTAR" in shown
    pairs = daxa.search("xmm", daxa.Mission("xmm").filter(target="Abell 907").criteria, pairs=True).table
    assert set(pairs["target"]) == {"Abell 907"}
    with pytest.raises(CriteriaError, match="no observation"):
        daxa.search(["xmm", "nustar"], position="10,80")


def test_on_a_terminal_it_is_said_whom_the_others_wait_for(monkeypatch):
    from daxa.cli import show

    written = io.StringIO()
    monkeypatch.setattr(written, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr", written)
    monkeypatch.setenv("TERM", "xterm")
    with show.progress_of_missions(["xmm", "chandra", "nustar"]) as observe:
        observe("chandra")
        observe("xmm")
    assert "waiting for nustar" in written.getvalue()
    before = len(written.getvalue())
    with show.progress_of_missions(["xmm"]) as observe:
        observe("xmm")
    assert len(written.getvalue()) == before
