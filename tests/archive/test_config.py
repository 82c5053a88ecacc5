"""The archive's own files: what is read, what is refused, and with which remedy."""

from __future__ import annotations

import pytest

from daxa.archive.config import (
    LockedSoftware,
    effective_parameters,
    load_config,
    load_parameters,
    parse_config,
)
from daxa.archive.layout import STEPS, Layout
from daxa.archive.software import load_software
from daxa.archive.template import MissionAnswers, render
from daxa.errors import ArchiveError, ConfigError
from daxa.missions import find_mission, mission_names


@pytest.fixture
def archive(tmp_path):
    """The text files of an archive of all missions."""
    answers = [
        MissionAnswers(
            find_mission(name),
            {"obs_ids": [find_mission(name).id_example]},
            [(s, LockedSoftware("native", "1")) for s in STEPS],
        )
        for name in mission_names()
    ]
    for path, text in render("a907", answers, title='A "907" \\ test').items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return Layout(tmp_path)


def test_rendered_files_are_read_back(archive):
    config = load_config(archive)
    assert config.title == 'A "907" \\ test'
    assert tuple(config.missions) == mission_names()
    assert config.missions["xmm"] == {"obs_ids": ["0404910601"]}
    assert load_software(archive)["xmm", "clean"] == LockedSoftware("native", "1")
    assert set(load_parameters(archive, "nustar")) == set(STEPS)


def test_rendering_twice_gives_the_same_text():
    answers = [MissionAnswers(find_mission("xmm"), {}, [])]
    assert render("a", answers) == render("a", answers)


def test_the_pipeline_is_yaml_that_dvc_and_people_can_follow(archive):
    from ruamel.yaml import YAML

    stages = YAML(typ="safe").load(archive.pipeline.read_text())["stages"]
    assert set(stages) == {f"{step}-{mission}" for mission in mission_names() for step in STEPS} | {"collect"}
    assert all(stage["cmd"].startswith("exec daxa stage ") for stage in stages.values())
    assert "${" not in archive.pipeline.read_text()


def test_every_stage_follows_what_its_products_depend_on(archive):
    from ruamel.yaml import YAML

    from daxa.run.steps import OWN_STEPS, Step

    spectra = Step("spectra", needs=("fetch", "sources"), backend="native")
    text = render("a907", [MissionAnswers(find_mission("xmm"), {}, [])], steps=(*OWN_STEPS, spectra))["dvc.yaml"]
    own = YAML(typ="safe").load(archive.pipeline.read_text())["stages"]
    more = YAML(typ="safe").load(text)["stages"]
    assert own["fetch-xmm"] == {
        "cmd": "exec daxa stage fetch xmm",
        "deps": ["selection/xmm.parquet"],
        # What is fetched depends on who reads it.
        "params": [{"params/xmm.toml": ["events.backend", "fetch"]}, {"software.toml": ["xmm.fetch"]}],
        "outs": [{"ledger/xmm-fetch.parquet": {"cache": False, "persist": True}}],
    }
    assert own["clean-xmm"] == {
        "cmd": "exec daxa stage clean xmm",
        "deps": ["ledger/xmm-events.parquet"],
        "params": [{"params/xmm.toml": ["clean"]}, {"software.toml": ["xmm.clean"]}],
        "outs": [
            {"data/xmm/clean": {"persist": True}},
            {"ledger/xmm-clean.parquet": {"cache": False, "persist": True}},
        ],
    }
    assert more["fetch-xmm"]["params"][0] == {"params/xmm.toml": ["events.backend", "spectra.backend", "fetch"]}
    assert more["spectra-xmm"]["deps"] == ["ledger/xmm-fetch.parquet", "ledger/xmm-sources.parquet"]
    assert {name: stage for name, stage in more.items() if name.startswith(("events", "clean", "images"))} == {
        name: own[name] for name in ("events-xmm", "clean-xmm", "images-xmm")
    }
    assert "ledger/xmm-spectra.parquet" in more["collect"]["deps"]


def append(path, text):
    path.write_text(path.read_text() + text, encoding="utf-8")


def test_an_override_changes_one_observation(archive):
    append(archive.params("xmm"), '\n[clean.obs."0404910601"]\nflare_sigma = 2\n')
    tables = load_parameters(archive, "xmm")
    assert effective_parameters(tables, "clean", "0404910601")["flare_sigma"] == 2.0
    assert effective_parameters(tables, "clean", "0201901401")["flare_sigma"] == 3.0


@pytest.mark.parametrize(
    ("one", "other"), [("100 s", "100.0  s"), ("0.50-2 keV", "0.5 - 2.0 keV"), (3, 3.0), ([1, "2 s"], [1.0, "2.0 s"])]
)
def test_equal_values_are_one_value(one, other):
    assert effective_parameters({"x": {"v": one}}, "x", "") == effective_parameters({"x": {"v": other}}, "x", "")


def test_patterns_are_left_as_written():
    pattern = r"PPS/P\d{10}OBX000.*0000\.FTZ"
    assert effective_parameters({"fetch": {"extra": [pattern]}}, "fetch", "") == {"extra": [pattern]}


@pytest.mark.parametrize(
    ("text", "error", "code"),
    [
        ("\n[clean.obs]\n404910601 = {flare_sigma = 2}\n", ConfigError, "config.obs-id"),
        ("\n[clean.obs]\nflare_sigma = 2\n", ConfigError, "config.override"),
        ("\n[cleen]\nflare_sigma = 2\n", ConfigError, "config.unknown-step"),
        ('\n[clean.obs."0404910601"]\nsince = 2006-05-27\n', ConfigError, "config.date"),
        ('\n[clean.obs."0404910601"]\nflare_sigma = nan\n', ConfigError, "config.not-finite"),
        ("\nthis is no TOML\n", ConfigError, "config.toml"),
    ],
)
def test_bad_parameters_are_named(archive, text, error, code):
    append(archive.params("xmm"), text)
    with pytest.raises(error) as caught:
        load_parameters(archive, "xmm")
    assert caught.value.code == code
    assert caught.value.remedy


def test_a_missing_step_table_is_named(archive):
    archive.params("xmm").write_text("[fetch]\n[events]\n[images]\n")
    with pytest.raises(ConfigError, match=r"\[clean\]"):
        load_parameters(archive, "xmm")


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b'format = 1\nname = "../up"\n[missions]\n', "name"),
        (b'format = 99\nname = "a"\n[missions]\n', "format"),
        (b'format = 1\nname = "a"\nsurprise = 1\n[missions]\n', "surprise"),
        (b'format = 1\nname = "a"\n[missions]\n[policy]\nmax_failed_release = 2.0\n', "max_failed_release"),
    ],
)
def test_a_bad_configuration_names_the_place(tmp_path, content, place):
    with pytest.raises(ConfigError, match=place):
        parse_config(content, tmp_path / "daxa.toml")


def test_a_directory_without_configuration_is_not_an_archive(tmp_path):
    with pytest.raises(ArchiveError) as caught:
        load_config(Layout(tmp_path))
    assert caught.value.code == "archive.not-an-archive"
