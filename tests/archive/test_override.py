"""Parameters are set in the text of a params file, all else of which stays as it was written."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daxa.archive.override import Setting, describe, overridden, read_settings, with_settings, without_overrides
from daxa.archive.template import MissionAnswers, render
from daxa.errors import ConfigError, CriteriaError
from daxa.missions import find_mission

STEPS = ("fetch", "events", "clean", "images", "sources")
ONE, TWO = "0404910601", "0012345678"
PARAMS = render("a907", [MissionAnswers(find_mission("xmm"), {}, ())])["params/xmm.toml"]
SIGMA = Setting("clean", "flare_sigma", 2.5)


def test_remarks_and_order_stay():
    text = with_settings(PARAMS, [SIGMA, Setting("images", "pixel", "8 arcsec")])
    changed = [pair for pair in zip(PARAMS.splitlines(), text.splitlines(), strict=True) if pair[0] != pair[1]]
    assert [new.split()[:3] for _, new in changed] == [["flare_sigma", "=", "2.5"], ["pixel", "=", '"8']]
    assert all(old.partition("#")[2] == new.partition("#")[2] for old, new in changed)
    noted = with_settings(PARAMS, [SIGMA], note="a flare was left")
    (line,) = [line for line in noted.splitlines() if line.startswith("flare_sigma")]
    assert "half width of the accepted rates" in line
    assert line.endswith("; a flare was left")


def test_what_was_set_and_unset_again_leaves_no_trace():
    settings = [SIGMA, Setting("images", "pixel", "8 arcsec")]
    text = with_settings(PARAMS, settings, [ONE, TWO], note="a flare\nwas left \x07")
    assert text.count("# a flare was left\n") == 2
    assert tomllib.loads(text)["clean"]["obs"] == {ONE: {"flare_sigma": 2.5}, TWO: {"flare_sigma": 2.5}}
    again = with_settings(text, [Setting("clean", "flare_sigma", 2.0), Setting("clean", "flares", "none")], [ONE])
    assert tomllib.loads(again)["clean"]["obs"][ONE] == {"flare_sigma": 2.0, "flares": "none"}
    assert with_settings(again, [Setting("clean", "flare_sigma", 2.0)], [ONE]) == again
    unset = [Setting("clean", "flare_sigma", None), Setting("clean", "flares", None), Setting("images", "pixel", None)]
    assert with_settings(again, unset, [ONE, TWO]) == PARAMS
    assert without_overrides(again, [ONE, TWO]) == PARAMS
    assert overridden(again, [TWO]) == [("clean", TWO), ("images", TWO)]
    assert without_overrides(PARAMS, [ONE]) == PARAMS


def test_a_parameter_in_a_table_of_the_step_is_set_and_unset_in_a_table_of_its_own():
    sigma, *_ = read_settings(["clean.sas.espfilt.allowsigma=2.5"], [], STEPS)
    assert sigma == Setting("clean", "sas.espfilt.allowsigma", 2.5)
    text = with_settings(PARAMS, [sigma])
    assert text.endswith("\n[clean.sas.espfilt]\nallowsigma = 2.5\n")
    text = with_settings(text, [Setting("clean", "sas.espfilt.allowsigma", 3.5), SIGMA], [ONE], note="a flare was left")
    assert f'# a flare was left\n[clean.obs."{ONE}".sas.espfilt]\nallowsigma = 3.5\n' in text
    again = with_settings(text, [Setting("clean", "sas.espfilt.smooth", 71)])
    assert "[clean.sas.espfilt]\nallowsigma = 2.5\nsmooth = 71\n" in again
    assert without_overrides(again, [ONE]) == with_settings(
        again, [replace(sigma, value=None), replace(SIGMA, value=None)], [ONE]
    )
    unset = [replace(sigma, value=None), Setting("clean", "sas.espfilt.smooth", None)]
    assert with_settings(without_overrides(again, [ONE]), unset) == PARAMS
    with pytest.raises(ConfigError, match="unusual way"):
        with_settings("[clean]\nsas = { espfilt = { smooth = 51 } }\n", [sigma])
    with pytest.raises(ConfigError, match="sas is not a table"):
        with_settings("[clean]\nsas = 3\n", [sigma])


def test_a_value_of_another_type_is_another_value():
    whole = with_settings(PARAMS, [Setting("clean", "flare_sigma", 3)])
    assert "flare_sigma = 3 " in whole
    assert with_settings(whole, [Setting("clean", "flare_sigma", 3)]) == whole


MASK = 'regions = """\nfk5\n[a line]\ncircle(149.59,-11.06,120")\n"""\n'


@pytest.mark.parametrize(
    "text",
    [
        f'[clean]\nflares = "clip"\n[clean.obs."{ONE}"]\nflare_sigma = 2  # 2\n[images]\n[clean.obs."{TWO}"]\nx = 1\n',
        f"[clean]\n[sources]\n[sources.obs.'{ONE}']\n{MASK}[clean.obs.\"{TWO}\"]\nflares = 'none'\n",
        f'# begins\r\n[clean]\r\n\r\n [ clean . obs . "{ONE}" ] # why\r\n\tflares = "none"\r\n',
        f"[clean]\nbands = [\n  [0.5, 2],\n]\n[clean.obs.{TWO}]\n",
    ],
    ids=["scattered", "masks", "spaces", "bare"],
)
def test_files_that_people_write(text):
    before = tomllib.loads(text)
    new = with_settings(text, [SIGMA], [ONE, TWO])
    for obs_id in (ONE, TWO):
        before["clean"].setdefault("obs", {}).setdefault(obs_id, {})["flare_sigma"] = 2.5
    assert tomllib.loads(new) == before
    gone = tomllib.loads(without_overrides(new, [ONE, TWO]))
    assert "obs" not in gone["clean"]


@pytest.mark.parametrize(
    "text",
    [f'[clean]\nobs = {{"{ONE}" = {{flares = "none"}}}}\n', f'clean.obs.{ONE}.flares = "none"\n', "[images]\n"],
    ids=["inline", "dotted", "absent"],
)
def test_what_cannot_be_changed_safely_is_refused(text):
    with pytest.raises(ConfigError, match="cannot be changed by daxa") as caught:
        with_settings(text, [SIGMA], [ONE] if "obs" in text else [])
    assert "write the values yourself" in caught.value.remedy


@pytest.mark.parametrize(
    ("given_texts", "unset", "said"),
    [
        (["clean.flare_sigma"], [], "gives no value"),
        (["flare_sigma=2"], [], "does not name a parameter of a step"),
        (["cleen.flare_sigma=2"], [], "did you mean clean"),
        (["clean.a b=2"], [], "does not name"),
        (["clean.x=1"], ["clean.x"], "named twice"),
        ([], ["spectra.x"], "there is no step"),
    ],
)
def test_malformed_settings_are_refused(given_texts, unset, said):
    with pytest.raises(CriteriaError, match=said):
        read_settings(given_texts, unset, STEPS)


def test_values_need_no_quotation_marks():
    texts = [
        "a=2.5",
        "b=17.4 arcsec",
        'c="x"',
        "d=[1, 2]",
        "e=true",
        "f=2004-01-01",
        "g=1\nh=2",
        "i=[[[",
        "j=010",
        "k=",
    ]
    found = {one.key: one.value for one in read_settings(texts, [], STEPS, step="clean")}
    assert found == {
        "a": 2.5,
        "b": "17.4 arcsec",
        "c": "x",
        "d": [1, 2],
        "e": True,
        "f": "2004-01-01",  # DVC reads no bare dates.
        "g": "1\nh=2",
        "i": "[[[",
        "j": "010",
        "k": "",
    }


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_gets_out_of_its_value(value, note):
    text = with_settings("[clean]\n[images]\n", [Setting("clean", "flares", value)], [ONE], note=note)
    assert tomllib.loads(text) == {"clean": {"obs": {ONE: {"flares": value}}}, "images": {}}


def test_a_release_says_what_was_set():
    assert describe([SIGMA], (), "xmm") == "Reprocess xmm: clean.flare_sigma = 2.5"
    assert "and 2 more" in describe([SIGMA], ["1", "2", "3", "4", "5"], "xmm")
