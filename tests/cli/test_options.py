"""One spelling, one help text and one heading for each thing, whatever the verb; dates are ISO for people."""

from __future__ import annotations

import re

import pytest

from daxa.cli import VERBS, main
from daxa.cli.commands import command_of
from daxa.run.product import KINDS
from daxa.selection.headings import HEADINGS, cell, headings, moment
from daxa.selection.schema import column_names

OURS = ("coverage", "mosaic", "select", "search", "update")
SHARED = {"--obs", "--mission", "--instrument", "--band", "--step", "--kind"}
# Older spellings, which are understood and not shown.
OTHERS = ("--obsid", "--obs-id", "--missions", "--instruments", "--bands", "--inst", "--obs_id")


def options(verb: str) -> dict[str, str]:
    """Option to help text, as the help of a verb shows them."""
    return {
        name: param.help
        for param in command_of(verb).params
        if param.param_type_name == "option"
        for name in param.opts
    }


def test_an_option_has_one_help_text_in_all_verbs():
    texts: dict[str, set[str]] = {}
    for verb in OURS:
        for name, text in options(verb).items():
            if name in SHARED:
                texts.setdefault(name, set()).add(text.removesuffix(" May be repeated."))
    assert {name: len(found) for name, found in texts.items()} == {
        "--mission": 1,
        "--obs": 1,
        "--instrument": 1,
        "--band": 1,
    }


@pytest.mark.parametrize("verb", OURS)
def test_the_help_shows_one_spelling(verb, capsys):
    assert main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--mission" in shown
    words = set(re.findall(r"--[a-z_-]+", shown))
    assert words.isdisjoint(OTHERS)


def test_conditions_understand_the_older_spelling_too(tmp_path, monkeypatch):
    from daxa.cli import search

    asked = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(search, "_missions", lambda conditions, *_: asked.append(conditions) or [])
    for option in ("--obs", "--obsid"):
        main(["search", "--mission", "xmm", option, "0404910601"])
    assert [one.alternatives[0].obs_ids for one in asked] == [("0404910601",)] * 2


def test_kinds_of_the_help_are_those_of_the_completion():
    from typing import get_args

    from daxa.cli.completion import complete_kind
    from daxa.cli.options import Kinds

    assert complete_kind("") == list(KINDS)
    told = get_args(Kinds)[1].help
    assert all(kind in told for kind in KINDS)


def test_kinds_are_those_that_the_steps_write():
    import inspect
    import pkgutil
    from importlib import import_module

    import daxa.backends.native

    source = "".join(
        inspect.getsource(import_module(module.name))
        for module in pkgutil.iter_modules(daxa.backends.native.__path__, "daxa.backends.native.")
    )
    written = set(re.findall(r'\.(?:path|place)\("([a-z]+)"', source))
    written |= set(re.findall(r'kind="([a-z]+)"', source))
    assert len(written) > 6
    assert written <= set(KINDS)


def test_an_update_takes_missions_as_other_verbs_do(tmp_path, monkeypatch, capsys):
    from tests.analysis.fields import Pointing, make_archive

    make_archive(tmp_path / "made", [Pointing("xmm", "0012345600", "M1", 149.6, -11.0, 1)])
    monkeypatch.chdir(tmp_path / "made")
    monkeypatch.setenv("DAXA_OFFLINE", "1")
    # Names are what this is about, not whether the archive may be written.
    for module in ("daxa.api", "daxa.api.selecting"):
        monkeypatch.setattr(f"{module}.enter_archive", lambda layout: None)
    for arguments in (["--mission", "swift"], ["swift"]):
        assert main(["update", *arguments]) == 3
        assert "choose from xmm" in capsys.readouterr().err
    assert main(["update", "--mission", "XMM-Newton"]) == 3
    assert "needs the network" in capsys.readouterr().err
    assert main(["select", "--mission", "swift"]) == 3
    assert "swift is not in this archive" in capsys.readouterr().err
    assert main(["select", "--mission", "xnm"]) == 3
    assert "did you mean xmm?" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["init", "search"])
def test_a_command_without_conditions_names_the_option_for_the_whole_archive(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([verb, *(["here"] if verb == "init" else []), "--mission", "xmm"]) == 3
    assert "--everything" in capsys.readouterr().err
    assert not (tmp_path / "here").exists()


def test_headings_have_units_and_are_there_for_every_column():
    from daxa.analysis.coverage_table import COLUMNS

    assert set(column_names()) - {"exposures", "roll"} <= HEADINGS.keys()
    assert {"off_axis", "counts", "background", "rate", "limit", "quality"} <= HEADINGS.keys() & {
        c.name for c in COLUMNS
    }
    assert headings(["obs_id", "exposure", "off_axis", "start"]) == [
        "ObsID",
        "exposure (ks)",
        "off-axis (arcmin)",
        "start (UTC)",
    ]


@pytest.mark.parametrize(
    ("mjd", "text"),
    [
        (53005.0, "2004-01-01"),
        (53005.5, "2004-01-01T12:00"),
        (53005 + 1439.5 / 1440, "2004-01-01T23:59"),
        (51544.0 - 1e-13, "2000-01-01"),
        (float("nan"), ""),
        (1e9, "MJD 1e+09"),
    ],
)
def test_times_are_dates(mjd, text):
    assert moment(mjd) == text
    assert cell("start", mjd) == text


def test_every_verb_has_a_line_of_help():
    assert VERBS["check"][0] == VERBS["run"][0]


RUNNING = {
    "run": [],
    "retry": [],
    "reprocess": ["xmm", "--set", "clean.flare_sigma=2.5"],
    "add": ["xmm", "--obs", "0404910601"],
    "drop": ["xmm"],
    "update": [],
    "recreate": ["a907.bundle", "again"],
}


@pytest.mark.parametrize("verb", RUNNING)
def test_every_verb_that_runs_stages_says_where_and_refuses_other_places_first(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # Not even an archive is needed for the refusal.
    assert main([verb, *RUNNING[verb], "--executor", "slurm"]) == 3
    assert "there is no executor 'slurm'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_all_verbs_with_jobs_have_an_executor():
    with_jobs = {verb for verb in VERBS if "--jobs" in options(verb)}
    assert with_jobs == {verb for verb in VERBS if "--executor" in options(verb)} == set(RUNNING)
