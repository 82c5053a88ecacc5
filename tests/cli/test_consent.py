"""`--trust-services` remembers the addresses that an archive names, on every verb that would connect to them."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from daxa.archive import git
from daxa.archive.config import load_config
from daxa.archive.layout import Layout
from daxa.archive.template import MissionAnswers, render
from daxa.archive.trust import foreign_services
from daxa.cli.consent import remember_consent
from daxa.missions import find_mission


def test_consent_is_given_in_the_current_directory(tmp_path, monkeypatch):
    files = render("a907", [MissionAnswers(find_mission("xmm"), {}, ())])
    layout = Layout(tmp_path)
    git.initialise(tmp_path)
    layout.config.write_text(files["daxa.toml"] + '\n[services]\nsesame = "https://names.example.org"\n')
    monkeypatch.setenv("DAXA_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.chdir(tmp_path)
    remember_consent(False)
    assert foreign_services(layout, load_config(layout))
    remember_consent(True)
    assert not foreign_services(layout, load_config(layout))


@pytest.mark.parametrize("verb", ["run", "select", "update"])
def test_verbs_that_connect_take_it(verb):
    assert "trust_services" in inspect.signature(getattr(import_module(f"daxa.cli.{verb}"), verb)).parameters
