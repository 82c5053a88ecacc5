"""What the conditions on a command line ask of each mission: what Python's ``&``, ``|`` and ``~`` give."""

from __future__ import annotations

import tomllib
from datetime import timedelta

import pytest
import tomlkit

import daxa
from daxa.cli import main
from daxa.cli.commands import command_of
from daxa.cli.conditions import freshness
from daxa.cli.criteria_options import missions_of_files, read_criteria_options
from daxa.errors import CriteriaError
from daxa.missions import find_mission
from daxa.query import read_criteria

XMM, CHANDRA, NUSTAR = map(find_mission, ("xmm", "chandra", "nustar"))


def asked(*typed: str):
    return command_of("search").make_context("daxa search", list(typed)).obj


def criteria(*typed: str, specs=(XMM,), **options):
    return read_criteria_options(asked(*typed), list(specs), **options)


def python(name="xmm", **conditions):
    return daxa.Mission(name).filter(**conditions).criteria


def test_every_condition_is_that_of_python(tmp_path):
    region, moc, sample = tmp_path / "field.reg", tmp_path / "moc.txt", tmp_path / "mine.csv"
    region.write_text("icrs; circle(149.59, -11.06, 15')\n")
    moc.write_text("3/1-4 4/100\n")
    sample.write_text("ra,dec,radius_arcmin\n149.59,-11.06,2\n")
    typed = {
        ("--target", "Abell 907", "--target", "M82"): {"target": ["M82", "Abell 907"]},
        ("--position", "149.59,-11.06", "--radius", "15arcmin"): {"position": (149.59, -11.06), "radius": "15 arcmin"},
        ("--target=M82", "--match=covers", "--radius=2arcmin", "--margin=1.2"): {
            "target": "M82",
            "match": "covers",
            "radius": "2 arcmin",
            "margin": 1.2,
        },
        ("--region", str(region)): {"region": region},
        ("--moc", str(moc)): {"moc": moc},
        ("--sample", str(sample), "--match", "covers"): {"sample": sample, "match": "covers"},
        ("--box", "350,10,-5,5"): {"box": {"ra": (350, 10), "dec": (-5, 5)}},
        ("--start", "2004-01-01", "--end", "53500", "--inside"): {"time": ("2004-01-01", 53500), "inside": True},
        ("--end", "2004-01-01"): {"time": (None, "2004-01-01")},
        ("--min-exposure", "20ks", "--access", "any"): {"min_exposure": "20 ks", "access": "any"},
        ("--obsid", "0404910601", "--instrument", "M1,M2", "--instrument", "xmm:PN"): {
            "obs_ids": "0404910601",
            "instruments": ["PN", "M1", "M2"],
        },
        ("--everything",): {"everything": True},
    }
    for words, conditions in typed.items():
        assert criteria(*words) == {"xmm": python(**conditions)}, words


def test_alternatives_and_exclusions_are_those_of_python():
    one = python(target="A", time=("2004-01-01", None))
    two, box, old = python(target="B"), python(box={"ra": (10, 20), "dec": (-5, 5)}), python(time=(None, "2001-01-01"))
    words = ("--target", "A", "--start", "2004-01-01", "--or", "--target", "B", "--not", "--box", "10,20,-5,5")
    (found,) = criteria(*words, "--not", "--end", "2001-01-01").values()
    assert found == (one | two) & ~box & ~old
    assert read_criteria(XMM, tomllib.loads(tomlkit.dumps(found.to_plain()))) == found


def test_the_order_of_alternatives_does_not_matter():
    assert criteria("--target", "A", "--or", "--target", "B") == criteria("--target", "B", "--or", "--target", "A")
    assert criteria("--target", "A", "--or", "--target", "A") == criteria("--target", "A")


def test_conditions_after_not_are_left_out_together():
    (found,) = criteria("--everything", "--not", "--target", "A", "--end", "2004-01-01").values()
    assert found == python(everything=True) & ~python(target="A", time=(None, "2004-01-01"))


def test_own_options_may_be_anywhere():
    context = command_of("init").make_context(
        "daxa init",
        [
            "--target",
            "A",
            "--or",
            "place",
            "--target",
            "B",
            "--mission",
            "xmm",
            "--not",
            "--end=2004-01-01",
            "--offline",
        ],
    )
    assert str(context.params["directory"]) == "place"
    assert context.params["missions"] == ["xmm"]
    assert context.params["offline"] is True
    assert len(context.obj.alternatives) == 2
    assert len(context.obj.exclusions) == 1


def test_a_value_is_never_taken_for_an_option():
    context = command_of("init").make_context("daxa init", ["a907", "--title", "--or", "--target", "A"])
    assert context.params["title"] == "--or"
    assert len(context.obj.alternatives) == 1


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--target", "A", "--or"], "there is no condition after --or"),
        (["--target", "A", "--or", "--not", "--target", "B"], "there is no condition after --or"),
        (["--target", "A", "--not", "--json"], "there is no condition after --not"),
        (["--or", "--target", "A"], "there is no condition before --or"),
        (["--not", "--target", "A"], "there is no condition before --not"),
        (["--target", "A", "--or", "--tagret", "B"], "there is no option --tagret; did you mean --target?"),
        (["--target", "A", "--or", "--margin", "wide"], "after --or"),
        (["--target", "A", "--or", "--radius"], "after --or"),
        (["--target", "A", "--or", "B"], "unexpected extra argument"),
    ],
)
def test_what_cannot_be_combined_is_misuse(typed, said, capsys):
    assert main(["search", *typed]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert "daxa search" in shown.err
    assert not shown.out


def test_places_and_times_are_for_all_missions():
    found = criteria("--target", "A", "--start", "2004-01-01", specs=[XMM, CHANDRA])
    assert found == {name: python(name, target="A", time=("2004-01-01", None)) for name in ("xmm", "chandra")}


def test_obs_ids_go_where_their_form_or_their_prefix_says():
    found = criteria(
        *("--obsid", "0404910601", "--obsid", "cxo:18461", "--obsid", "nustar:30101031002", "--obsid", "0012345678"),
        specs=[XMM, CHANDRA, NUSTAR],
    )
    assert {name: one.obs_ids for name, one in found.items()} == {
        "xmm": ("0012345678", "0404910601"),
        "chandra": ("18461",),
        "nustar": ("30101031002",),
    }


def test_obs_ids_of_another_mission_hold_for_no_observation():
    """An alternative that names another mission's ObsIDs adds nothing here, and an exclusion excludes nothing."""
    typed = ("--target", "A", "--or", "--obsid", "xmm:0404910601", "--start", "2004-01-01")
    found = criteria(*typed, "--not", "--obsid", "chandra:18461", "--end", "2002-01-01", specs=[XMM, CHANDRA])
    near = python(target="A")
    assert found["xmm"] == near | python(obs_ids="0404910601", time=("2004-01-01", None))
    assert found["chandra"] == near & ~python("chandra", obs_ids="18461", time=(None, "2002-01-01"))
    assert list(criteria("--obsid", "xmm:0404910601", specs=[XMM, CHANDRA], all_of_them=False)) == ["xmm"]


@pytest.mark.parametrize(
    ("specs", "typed", "said"),
    [
        ([XMM, CHANDRA], ["--obsid", "xmm:0404910601"], "no observation of chandra"),
        ([XMM, CHANDRA], ["--obsid", "404910601"], "'404910601'"),
        ([XMM], ["--obsid", "../../etc"], "etc"),
        ([XMM], ["--obsid", "chandra:18461"], "not chosen"),
        ([XMM], ["--obsid", "voyager:18461"], "'voyager'"),
        ([XMM, CHANDRA], ["--target", "A", "--instrument", "PN"], "which mission the instrument"),
        ([XMM], ["--target", "A", "--instrument", "PN,HRC"], "'HRC'"),
        ([XMM], ["--radius", "5arcmin"], "needs a centre"),
        ([XMM], ["--target", "A", "--or", "--start", "2010-01-01", "--end", "2004-01-01"], "reversed"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(specs, typed, said):
    with pytest.raises(CriteriaError, match=said) as caught:
        criteria(*typed, specs=specs)
    assert caught.value.remedy


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "1,2,-95,5", "1,2,5,-5"])
def test_a_box_that_is_not_valid_is_refused(box):
    with pytest.raises(CriteriaError):
        criteria("--box", box)


def test_criteria_from_a_file_are_those_of_daxa_toml(tmp_path):
    whole = (python(target="A") | python(box={"ra": (10, 20), "dec": (-5, 5)})) & ~python(time=(None, "2001-01-01"))
    alone, archive = tmp_path / "one.toml", tmp_path / "daxa.toml"
    alone.write_text(tomlkit.dumps(whole.to_plain()))
    assert criteria("--criteria", str(alone)) == {"xmm": whole}
    archive.write_text("format = 1\n" + tomlkit.dumps({"missions": {"xmm": whole.to_plain()}}))
    assert criteria("--criteria", str(archive)) == {"xmm": whole}
    assert missions_of_files(asked("--criteria", str(archive))) == ["xmm"]
    both = criteria("--criteria", str(archive), "--start", "2004-01-01", "--or", "--target", "C", specs=[XMM, CHANDRA])
    assert both["xmm"] == (whole & python(time=("2004-01-01", None))) | python(target="C")
    assert both["chandra"] == python("chandra", target="C")


@pytest.mark.parametrize(
    "content", [b"target = [", b"\xff", b"tagret = ['A']", b"missions = 3", b"sample = 'mine.csv'"]
)
def test_a_file_of_criteria_that_cannot_be_used_is_one_error(content, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(CriteriaError):
        criteria("--criteria", str(path))


def test_ages():
    assert freshness(False, None, True) == {"refresh": False, "max_age": None, "offline": True}
    assert freshness(True, "3d", False)["max_age"] == timedelta(days=3)
    assert freshness(False, "1.5h", False)["max_age"] == timedelta(minutes=90)
    for wrong in ("3", "-3d", "d", "3 years", "9" * 30 + "d"):
        with pytest.raises(CriteriaError):
            freshness(False, wrong, False)
