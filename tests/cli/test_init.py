"""What the options of ``daxa init`` ask for, and what it refuses."""

from __future__ import annotations

import pytest

from daxa.cli import main
from daxa.cli.init import filters_asked
from daxa.errors import CriteriaError
from daxa.missions import find_mission

XMM, CHANDRA, NUSTAR = map(find_mission, ("xmm", "chandra", "nustar"))


def test_places_and_times_are_for_all_missions():
    filters = filters_asked(
        [XMM, CHANDRA],
        targets=["Abell 907"],
        positions=["149.59,-11.06"],
        radius="15arcmin",
        window=("2004-01-01", None),
    )
    expected = {
        "target": ["Abell 907"],
        "position": ["149.59,-11.06"],
        "radius": "15arcmin",
        "time": ("2004-01-01", None),
    }
    assert filters == {"xmm": expected, "chandra": expected}
    assert filters["xmm"] is not filters["chandra"]


def test_obs_ids_go_where_their_form_or_their_prefix_says():
    filters = filters_asked([XMM, CHANDRA, NUSTAR], obs_ids=["0404910601", "18461", "nustar:30101031002", "0012345678"])
    assert {name: given["obs_ids"] for name, given in filters.items()} == {
        "xmm": ["0404910601", "0012345678"],
        "chandra": ["18461"],
        "nustar": ["30101031002"],
    }


def test_the_prefix_may_be_an_alias():
    assert filters_asked([XMM, CHANDRA], obs_ids=["XMM-Newton:0404910601", "cxo:18461"])["chandra"] == {
        "obs_ids": ["18461"]
    }


def test_instruments_add_up_and_take_their_usual_names():
    filters = filters_asked([XMM], obs_ids=["0404910601"], instruments=["M1", "xmm:PN"])
    assert filters["xmm"]["instruments"] == ["M1", "PN"]


@pytest.mark.parametrize(
    ("specs", "asked", "said"),
    [
        ([XMM], {}, "nothing says which"),
        ([XMM], {"window": ("2004-01-01", None)}, "nothing says which"),
        ([XMM, CHANDRA], {"obs_ids": ["xmm:0404910601"]}, "no observation of chandra"),
        ([XMM, CHANDRA], {"obs_ids": ["404910601"]}, "'404910601'"),
        ([XMM], {"obs_ids": ["../../etc"]}, "etc"),
        ([XMM], {"obs_ids": ["chandra:18461"]}, "not chosen"),
        ([XMM], {"obs_ids": ["voyager:18461"]}, "'voyager'"),
        ([XMM, CHANDRA], {"obs_ids": ["0404910601", "18461"], "instruments": ["PN"]}, "whose instrument"),
        ([XMM], {"obs_ids": ["0404910601"], "instruments": ["PN,HRC"]}, "'HRC'"),
    ],
)
def test_what_belongs_to_no_mission_is_refused_by_name(specs, asked, said):
    with pytest.raises(CriteriaError, match=said) as caught:
        filters_asked(specs, **asked)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--mission", "voyager", "--target", "Abell 907"], 3),
        (["--mission", "xmm"], 3),
        (["--mission", "xmm", "--obsid", "4049"], 3),
        (["--mission", "xmm", "--position", "400,100"], 3),
        (["--mission", "xmm", "--position", "nan,0"], 3),
        (["--mission", "xmm", "--target", "A", "--radius", "15"], 3),
        (["--mission", "xmm", "--target", "A", "--start", "2010-01-01", "--end", "2004-01-01"], 3),
        (["--mission", "xmm", "--target", "A", "--instrument", "ACIS"], 3),
        (["--target", "Abell 907"], 2),
    ],
)
def test_a_refusal_leaves_nothing_behind(arguments, code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    # Nothing of this may reach a service.
    monkeypatch.setenv("DAXA_HEASARC_TAP", "http://127.0.0.1:9/tap")
    monkeypatch.setenv("DAXA_XSA_TAP", "http://127.0.0.1:9/tap")
    monkeypatch.setenv("DAXA_SESAME", "http://127.0.0.1:9/nph-sesame/")
    assert main(["init", "a907", *arguments]) == code
    assert "rror: " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_directory_that_is_not_empty_is_left_alone(tmp_path, monkeypatch, capsys, identity):
    (tmp_path / "a907").mkdir()
    (tmp_path / "a907" / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert main(["init", "a907", "--mission", "xmm", "--obsid", "0404910601"]) == 5
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "a907").iterdir()] == ["notes.txt"]
