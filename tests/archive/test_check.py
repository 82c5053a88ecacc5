"""What an archive's owner wrote is judged whole, before anything runs: place, value and remedy of every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from daxa.archive import git
from daxa.archive.check import (
    check_parameters,
    check_versions,
    checked_files,
    find_problems,
    provided_software,
)
from daxa.archive.config import load_config
from daxa.archive.layout import STEPS, Layout
from daxa.archive.template import MissionAnswers, render
from daxa.cli import main
from daxa.errors import ConfigError
from daxa.missions import find_mission, mission_names
from daxa.run.steps import OWN_STEPS, find_step
from daxa.selection.selection_file import write_selection

CHOSEN = {
    "xmm": [("0404910601", "PN,M1,M2"), ("0201901401", "M1,M2")],
    "rosat": [("RH500211N00", "HRI"), ("RP500211N00", "PSPCB")],
}


def answers(mission: str) -> MissionAnswers:
    return MissionAnswers(
        find_mission(mission),
        {"everything": True},
        [(one.name, provided_software(mission, {}, one, OWN_STEPS)) for one in OWN_STEPS],
    )


def observation(obs_id: str, instruments: str) -> dict[str, object]:
    numbers = {"ra": 149.59, "dec": -11.06, "start": 53000.5, "end": 53000.9, "exposure": 3e4, "public_date": 54000.0}
    texts = {"target": "Abell 907", "category": "", "mode": "", "exposures": ""}
    return {"obs_id": obs_id, "instruments": instruments, **numbers, **texts, "roll": float("nan")}


@pytest.fixture
def archive(tmp_path) -> Layout:
    """The text files and selections of an archive of two missions."""
    layout = Layout(tmp_path / "a907")
    for path, text in render("a907", [answers(name) for name in CHOSEN]).items():
        (layout.root / path).parent.mkdir(parents=True, exist_ok=True)
        (layout.root / path).write_text(text, encoding="utf-8")
    for mission, rows in CHOSEN.items():
        table = pd.DataFrame([observation(*row) for row in rows])
        write_selection(layout.selection(mission), table, mission=mission, criteria="{}", snapshot="0" * 64)
    return layout


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text, encoding="utf-8")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_what_a_new_archive_holds_is_right(archive):
    assert find_problems(archive) == []
    check_parameters(archive, load_config(archive))
    names = [file.relative_to(archive.root).as_posix() for file in checked_files(archive)]
    assert names == ["daxa.toml", "params/rosat.toml", "params/xmm.toml", "software.toml"]


@pytest.mark.parametrize("mission", mission_names(processed=True))
def test_the_params_file_of_every_mission_holds_the_defaults_of_its_schema(mission):
    import tomllib

    from daxa.backends import find_backend
    from daxa.backends.shared_parameters import FETCH
    from daxa.quantities import normalise

    tables = tomllib.loads(render("a907", [answers(mission)])[f"params/{mission}.toml"])
    assert tables["events"].pop("backend") == "native"
    schema = {"fetch": FETCH, **find_backend("native").parameters(mission)}
    assert tuple(tables) == tuple(schema)
    for step, parameters in schema.items():
        known = {parameter.name: parameter for parameter in parameters}
        assert tables[step].keys() <= known.keys()
        for name, value in normalise(tables[step]).items():
            assert known[name].read(value) == known[name].default, (step, name)
        assert all(parameter.help for parameter in parameters)


@pytest.mark.parametrize(
    ("text", "place", "told", "remedy"),
    [
        ("[clean.obs.\"0404910601\"]\nflare_sgima = 2", "flare_sgima", "did you mean flare_sigma?", "flare_scale"),
        ("[clean.obs.\"0404910602\"]\nflare_sigma = 2", '[clean.obs."0404910602"]', "0404910601", "select"),
        ("[images.obs.\"0404910602\"]\n", '[images.obs."0404910602"]', "is not selected", "0404910602"),
        ("[clean.obs]\n404910601 = {flare_sigma = 2}", '[clean.obs."404910601"]', "not an ObsID", "quotation marks"),
        ("[clean.obs]\nflare_sigma = 2", "[clean.obs] flare_sigma", "is not a table", '[clean.obs."0404910601"]'),
        ("[clean.obs.\"0404910601\"]\nflare_sigma = 2000", "flare_sigma", "2000", "at most 100"),
        ("[clean.obs.\"0404910601\"]\nflare_bin = 10", "flare_bin", "10.0", '"100 s"'),
        ("[clean.obs.\"0404910601\"]\nflare_bin = \"10 keV\"", "flare_bin", "10.0 keV", '"100 s"'),
        ("[clean.obs.\"0404910601\"]\nflares = \"hystogram\"", "flares", "hystogram", 'did you mean histogram'),
        ("[clean.obs.\"0404910601\"]\nflares = \"threshold\"", "flare_threshold", "needs it", "0.4 count/s"),
        ("[clean.obs.\"0404910601\"]\nsince = 2006-05-27", "since", "bare date", '"2006-05-27"'),
        ("[clean.obs.\"0404910601\"]\nflare_sigma = nan", "flare_sigma", "is nan", "finite"),
        ("[clean.obs.\"0404910601\"]\nflare_sigma = inf", "flare_sigma", "is inf", "finite"),
        ("[events.obs.\"0404910601\"]\nbackend = \"native\"", "backend", "a single observation", "remove"),
        ("[events.obs.\"0404910601\"]\nmin_ontime = \"-5 s\"", "min_ontime", "-5 s", "of at least 0"),
        ("[fetch.obs.\"0404910601\"]\nextra = [\"PPS/(\"]", "extra", "PPS/(", "not a regular expression"),
        ("[images.obs.\"0404910601\"]\nbands = [\"2-0.5 keV\"]", "bands", "2.0-0.5 keV", "lower energy first"),
        ("[images.obs.\"0404910601\"]\nbands = [\"50-80 keV\"]", "bands", "50-80 keV", "choose a band within"),
        ("[clean.obs.\"0404910601\"]\nflare_band = \"50-80 keV\"", "flare_band", "50-80 keV", "choose a band within"),
        ("[sources.obs.\"0404910601\"]\nband = \"1-2 keV\"", "band", "no images of 1-2 keV", "0.5-2 keV"),
        ("[sources.obs.\"0404910601\"]\nregions = \"circle(\"", "regions", "circle(", "DS9"),
        ("[sources.obs.\"0404910601\"]\nscales = [1, 3]", "scales", "[1.0, 3.0]", "square root of 2"),
        ("[sources.obs.\"0404910601\"]\nfalse_per_field = 0", "false_per_field", "0.0", "above 0"),
        ("[imges]\nbands = []", "imges", "did you mean images", "fetch, events"),
        ("x = " + 5000 * "[" + 5000 * "]", "", "nested too deeply", "fewer levels"),
        ("[a" + 500 * ".a" + "]", "", "nested too deeply", "fewer levels"),
        ("x = " + 5000 * "9", "", "not valid TOML", "line"),
        ("this is no TOML", "", "not valid TOML", "line"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)  # fmt: skip
def test_a_mistake_in_a_params_file_is_one_problem_with_its_place(archive, text, place, told, remedy):
    path = archive.params("xmm")
    append(path, f"\n{text}\n")
    (problem,) = find_problems(archive)
    assert problem.file == path
    assert place in problem.place
    assert told in problem.message
    assert remedy in problem.remedy
    with pytest.raises(ConfigError) as caught:
        check_parameters(archive, load_config(archive))
    assert str(path) in caught.value.message
    assert caught.value.code == f"config.{problem.name}"


def test_an_override_without_its_own_problem_repeats_no_other(archive):
    edit(archive.params("xmm"), 'flare_band = "10-12 keV"', 'flare_band = "12-10 keV"')
    append(archive.params("xmm"), '\n[clean.obs."0404910601"]\nflare_sigma = 2\n')
    (problem,) = find_problems(archive)
    assert problem.place == "[clean] flare_band"


def test_an_override_may_conflict_with_other_values(archive):
    edit(archive.params("xmm"), 'band = "lowest"', 'band = "0.5-2 keV"')
    append(archive.params("xmm"), '\n[images.obs."0404910601"]\nbands = ["1-2 keV"]\n')
    (problem,) = find_problems(archive)
    assert problem.place == "[sources] band"
    assert "0404910601" in problem.message


def test_energies_that_an_instrument_lacks_are_refused_where_it_was_chosen(archive):
    path = archive.params("rosat")
    edit(path, 'bands = ["0.1-0.4 keV", "0.5-2 keV"]', 'bands = ["0.4-1 keV"]')
    (problem,) = find_problems(archive)
    assert (problem.place, problem.name) == ("[images] bands", "impossible")
    assert "HRI" in problem.message
    # With the usual bands for the HRI, everything that it recorded is imaged once.
    append(path, '\n[images.obs."RH500211N00"]\nbands = ["0.1-0.4 keV", "0.5-2 keV"]\n')
    assert find_problems(archive) == []


def test_an_instrument_that_was_not_chosen_does_not_matter(archive):
    table = pd.DataFrame([observation("RP500211N00", "PSPCB")])
    write_selection(archive.selection("rosat"), table, mission="rosat", criteria="{}", snapshot="0" * 64)
    edit(archive.params("rosat"), 'bands = ["0.1-0.4 keV", "0.5-2 keV"]', 'bands = ["0.4-1 keV"]')
    assert find_problems(archive) == []


def test_files_that_lack_or_belong_to_no_mission_are_named(archive):
    archive.params("xmm").rename(archive.params("xnm"))
    stray, missing = find_problems(archive)
    assert stray.file == archive.params("xnm")
    assert "did you mean xmm?" in stray.message
    assert missing.file == archive.params("xmm")
    assert "No such file" in missing.message


def test_only_regular_files_of_a_sensible_size_are_read(archive, monkeypatch):
    import os

    archive.params("xmm").unlink()
    os.mkfifo(archive.params("xmm"))
    (archive.root / "params" / ".#rosat.toml").symlink_to("nobody@nowhere.1")
    (problem,) = find_problems(archive)
    assert "but must be a file" in problem.message
    assert problem.remedy
    monkeypatch.setattr("daxa.archive.toml_files.TOML_LIMIT", 100)
    with pytest.raises(ConfigError, match=r"daxa\.toml: it is larger than"):
        find_problems(archive)


def test_lines_and_tables_that_dvc_needs_are_missed(archive):
    edit(archive.params("xmm"), 'backend = "native"', "")
    edit(archive.params("xmm"), "[clean]", "[sources.obs.x]")
    assert [problem.place for problem in find_problems(archive)][:2] == ["clean", "[sources.obs.x]"]
    assert "[events] backend" in [problem.place for problem in find_problems(archive)]


@pytest.mark.parametrize(
    ("old", "new", "place", "told"),
    [
        ("[policy]", "[polcy]", "polcy", "did you mean policy?"),
        ("max_failed_stage", "max_faild_stage", "[policy] max_faild_stage", "did you mean max_failed_stage?"),
        ("max_failed_stage = 1.0", "max_failed_stage = 7", "[policy] max_failed_stage", "less than or equal to 1"),
        ("time_limit_s = 21600.0", "time_limit_s = 2006-05-27", "[run] time_limit_s", "date"),
        ("[missions.rosat]", "[missions.rosta]", "[missions.rosta]", "did you mean rosat?"),
        ("everything = true", "evrything = true", "[missions.xmm] evrything", "did you mean everything?"),
        ("everything = true", "obs_ids = [404910601]", "[missions.xmm] obs_ids", "404910601"),
        ("everything = true", 'time = ["then", ""]', "[missions.xmm] time", "then"),
        ("[policy]", '[services]\nheasarc_tpa = "https://x"\n[policy]', "[services] heasarc_tpa", "heasarc_tap"),
        ("[policy]", '[services]\nsesame = "ftp://x"\n[policy]', "[services] sesame", "ftp://x"),
        ("format = 1", "format = 1\nx = " + 5000 * "[" + 5000 * "]", "", "too deeply"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_problem_with_its_place(archive, old, new, place, told):
    edit(archive.config, old, new)
    problem, *more = [one for one in find_problems(archive) if one.file == archive.config]
    assert place in problem.place
    assert told in problem.message
    # A date is neither one that DVC follows nor a number.
    assert len(more) == ("2006" in new)
    assert problem.remedy


def test_all_problems_come_at_once(archive):
    append(archive.config, "\n[extra]\n")
    append(archive.params("xmm"), '\n[clean.obs."0404910601"]\n' + "".join(f"k{n} = 1\n" for n in range(7)))
    append(archive.params("rosat"), "\n[imges]\n")
    assert len(find_problems(archive)) == 9
    edit(archive.config, "\n[extra]\n", "\n")
    with pytest.raises(ConfigError) as caught:
        check_parameters(archive, load_config(archive))
    first, *lines = caught.value.message.splitlines()
    assert first == "8 problems:"
    assert len(lines) == 8
    assert all(str(archive.params("x").parent) in line for line in lines)
    append(archive.params("xmm"), "".join(f"m{n} = 1\n" for n in range(20)))
    assert "daxa check" in caught.value.remedy
    with pytest.raises(ConfigError, match="28 problems:") as caught:
        check_parameters(archive, load_config(archive))
    assert caught.value.message.endswith("\n  and 8 more")


def test_the_verb_says_what_it_looked_at_or_all_that_is_wrong(archive, monkeypatch, capsys):
    monkeypatch.chdir(archive.root)
    assert main(["check"]) == 0
    assert (
        capsys.readouterr().out == "daxa.toml, params/rosat.toml, params/xmm.toml, software.toml\n4 files are valid\n"
    )
    assert main(["check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []
    append(archive.config, "\n[extra]\n")
    append(archive.params("xmm"), "\n[cleen]\n")
    assert main(["check"]) == 4
    said = capsys.readouterr()
    assert "daxa.toml\n  extra: there is no key" in said.out
    assert "params/xmm.toml\n  cleen: there is no step" in said.out
    assert "2 problems in 2 of 4 files" in said.err
    assert main(["check", "--json"]) == 4
    said = capsys.readouterr()
    assert {one["file"] for one in json.loads(said.out)["problems"]} == {"daxa.toml", "params/xmm.toml"}
    assert json.loads(said.err)["code"] == "config.parameters"


def test_nothing_begins_with_a_mistake(archive, monkeypatch):
    import daxa
    from daxa.publish.releases.release import make_release
    from daxa.stages.step import run_step

    git.initialise(archive.root)
    append(archive.params("rosat"), '\n[clean.obs."RH500211N01"]\nflares = "none"\n')
    monkeypatch.setattr("daxa.archive.dvc.repro", lambda *_, **__: pytest.fail("the pipeline was started"))
    for act in (
        daxa.Archive(archive.root).run,
        lambda: run_step(archive.root, "fetch", "xmm"),
        lambda: make_release(archive, load_config(archive)),
    ):
        with pytest.raises(ConfigError, match="RH500211N01 is not selected"):
            act()


@pytest.mark.parametrize(
    ("old", "new", "place", "told"),
    [
        ("[xmm.clean]", "[xmn.clean]", "[xmn]", "did you mean xmm?"),
        ("[xmm.clean]", "[xmm.claen]", "[xmm.claen]", "did you mean clean?"),
        ('[xmm.clean]\nbackend = "native"', "[xmm.clean]\nbackend = 1", "[xmm.clean] backend", "valid string"),
        ('[xmm.clean]\nbackend = "native"', "[xmm.clean]", "[xmm.clean] backend", "required"),
        ("[xmm.clean]", "[xmm.clean]\nextra = 1", "[xmm.clean] extra", "no key"),
        ("[xmm.clean]", "[xmm.clean]\nversion = 2026-01-01", "[xmm.clean] version", "date"),
        ("[xmm.clean]", "clean", "", "not valid TOML"),
    ],
)
def test_a_mistake_in_the_locked_software_is_reported_before_anything_runs(archive, old, new, place, told):
    if "version = 2026" in new:
        text = archive.software.read_text()
        begin = text.index("version", text.index("[xmm.clean]"))
        archive.software.write_text(text[:begin] + text[text.index("\n", begin) :])
    edit(archive.software, old, new)
    problems = find_problems(archive)
    assert {one.file for one in problems} == {archive.software}
    assert any(place in one.place and told in one.message for one in problems)
    assert all(one.remedy for one in problems)
    with pytest.raises(ConfigError):
        check_parameters(archive, load_config(archive))


@pytest.mark.parametrize("absent", ["the file", "a mission"])
def test_software_that_is_not_installed_is_reported(archive, absent):
    if absent == "the file":
        archive.software.unlink()
        assert [one.file for one in find_problems(archive)] == [archive.software]
    else:
        archive.software.write_text(archive.software.read_text().partition("[rosat.")[0])
        assert {one.place for one in find_problems(archive)} >= {f"[rosat.{step}]" for step in STEPS[1:]}
    with pytest.raises(ConfigError, match=r"software\.toml"):
        check_parameters(archive, load_config(archive))


def test_a_step_that_is_locked_to_another_backend_can_be_given_that_again(archive):
    text = archive.software.read_text()
    at = text.index('"native"', text.index("[xmm.clean]"))
    archive.software.write_text(f'{text[:at]}"counting"{text[at + 8 :]}')
    (problem,) = find_problems(archive)
    assert problem.place == "[xmm.clean] backend"
    assert problem.remedy.startswith('choose backend = "counting" for this step again, or `daxa upgrade --software`')


def test_versions_that_this_daxa_does_not_have_stop_a_run_and_no_release(archive):
    version = provided_software("xmm", {}, find_step("clean"), OWN_STEPS).version
    text = archive.software.read_text()
    begin = text.index("version", text.index("[xmm.clean]"))
    archive.software.write_text(text[:begin] + text[begin:].replace(f'"{version}"', '"0.0"', 1))
    (problem,) = find_problems(archive)
    assert (problem.place, problem.name) == ("[xmm.clean] version", "software")
    assert f"native 0.0, and native {version} would run" in problem.message
    check_parameters(archive, load_config(archive))
    check_versions(archive, load_config(archive), ["rosat"])
    with pytest.raises(ConfigError, match=r"native 0\.0"):
        check_versions(archive, load_config(archive))
