"""``daxa search`` on tables served as the archives serve them."""

from __future__ import annotations

import csv
import io
import json

import pytest

from daxa.cli import main
from daxa.sample import Observatory
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


def test_nothing_asked_and_nothing_found_are_errors(search):
    code, said = search("--mission", "xmm")
    assert code == 3
    assert "nothing says which" in said.err
    code, said = search("--mission", "xmm", "--position", "10,80")
    assert code == 3
    assert "no observation of XMM-Newton meets" in said.err
    code, said = search("--mission", "xmm", "--sample", "absent.csv")
    assert code == 3
    assert "absent.csv cannot be read" in said.err
