"""What is installed from a wheel works without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]

RENDER = """
import sys
from pathlib import Path
import daxa
from daxa.archive.config import LockedSoftware
from daxa.archive.layout import STEPS
from daxa.archive.template import MissionAnswers, render, template_directories
from daxa.missions import find_mission, mission_names

installed = Path(sys.argv[1]).resolve()
assert Path(daxa.__file__).resolve().is_relative_to(installed), daxa.__file__
assert all(place.is_relative_to(installed) for place in template_directories()), template_directories()
software = tuple((step, LockedSoftware("native", "1")) for step in STEPS)
chosen = [find_mission(name) for name in mission_names(processed=True)]
answers = [MissionAnswers(spec, {"target": ["Abell 907"]}, software) for spec in chosen]
for path, content in sorted(render("a907", answers, title="Abell 907", remote="/srv/a907").items()):
    target = Path(sys.argv[2]) / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy of what Git would see."""
    source = tmp_path_factory.mktemp("source")
    for name in ("daxa", "templates"):
        shutil.copytree(CHECKOUT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "dvc.yaml.j2", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    built = tmp_path_factory.mktemp("wheel")
    python("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built), str(source))
    (only,) = built.glob("*.whl")
    return only


def python(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=CHECKOUT.anchor,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended


def test_the_wheel_holds_the_package_and_the_templates(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"daxa/__init__.py", "daxa/py.typed", "daxa/_templates/dvc.yaml.j2"} <= names
    assert {
        f"daxa/_templates/{path.relative_to(CHECKOUT / 'templates').as_posix()}"
        for path in (CHECKOUT / "templates").rglob("*")
        if path.is_file()
    } <= names
    assert {f"{path.relative_to(CHECKOUT)}" for path in (CHECKOUT / "daxa").rglob("*.toml")} <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"daxa", "daxa_archive"}


def test_an_installed_wheel_renders_what_the_checkout_renders(wheel, tmp_path):
    installed, theirs, ours = tmp_path / "installed", tmp_path / "theirs", tmp_path / "ours"
    python("-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(installed), str(wheel))
    python("-c", RENDER, str(installed), str(theirs), PYTHONPATH=str(installed))
    python("-c", RENDER, str(CHECKOUT), str(ours), PYTHONPATH=str(CHECKOUT))
    rendered = {path.relative_to(theirs): path.read_bytes() for path in theirs.rglob("*") if path.is_file()}
    assert rendered == {path.relative_to(ours): path.read_bytes() for path in ours.rglob("*") if path.is_file()}
    assert Path("dvc.yaml") in rendered
    assert Path(".dvc/config") in rendered


def test_the_installed_command_answers(wheel, tmp_path):
    installed = tmp_path / "installed"
    python("-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(installed), str(wheel))
    answer = python("-m", "daxa", "--version", PYTHONPATH=str(installed)).stdout
    assert answer.split() == ["daxa", wheel.name.split("-")[1]]
    assert (installed / "bin" / "daxa").is_file()
