"""What the project says of itself says the same in every file that machines read."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from daxa import __version__

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def citation() -> dict:
    return YAML(typ="safe").load((CHECKOUT / "CITATION.cff").read_text())


@pytest.fixture(scope="module")
def codemeta() -> dict:
    return json.loads((CHECKOUT / "codemeta.json").read_text())


def test_one_version(project, citation, codemeta):
    assert {__version__, project["version"], str(citation["version"]), codemeta["version"]} == {__version__}


def test_one_licence(project, citation, codemeta):
    assert citation["license"] == project["license"]
    assert codemeta["license"] == f"https://spdx.org/licenses/{project['license']}"


def test_one_set_of_makers_and_keywords(project, citation, codemeta):
    names = [author["name"] for author in project["authors"]]
    assert [author["name"] for author in citation["authors"]] == names
    assert [author["name"] for author in codemeta["author"]] == names
    assert citation["keywords"] == codemeta["keywords"] == project["keywords"]


def test_python_that_is_needed(project, codemeta):
    assert codemeta["programmingLanguage"]["version"] == project["requires-python"]
    assert codemeta["description"] == project["description"]


def test_commit_hooks_run_the_tools_that_make_test_runs():
    hooks = YAML(typ="safe").load((CHECKOUT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    recipe = (CHECKOUT / "Makefile").read_text()
    for hook in hooks:
        tool = " ".join(hook["entry"].removeprefix(".venv/bin/").removesuffix(" --fix").split())
        assert f"$(BIN)/{tool}" in recipe, tool
