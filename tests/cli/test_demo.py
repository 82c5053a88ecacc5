"""The demo, from an empty directory to a verified clone."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from astropy.io import fits

from daxa.cli import main


def test_a_directory_that_is_not_empty_is_left_alone(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["demo", str(tmp_path)]) == 5
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.journey
def test_the_demo_makes_releases_and_verifies(demonstration):
    place, said = demonstration / "a demo", (demonstration / "said.txt").read_text()
    commands = [shlex.split(line[2:])[:2] for line in said.splitlines() if line.startswith("$ ")]
    asked = [["daxa", "init"], ["dvc", "repro"], ["daxa", "release"], ["daxa", "push"], ["git", "clone"]]
    assert [command for command in commands if command in [*asked, ["daxa", "pull"], ["daxa", "verify"]]] == [
        *asked,
        ["daxa", "pull"],
        ["daxa", "verify"],
    ]
    assert re.search(r"v1\.0\.0 .* compared, all identical", said)
    assert len(list((place / "clone").rglob("*-image.fits"))) == len(list((place / "a907").rglob("*-image.fits"))) > 6
    with fits.open(next((place / "clone" / "data" / "xmm" / "images").rglob("*-image.fits"))) as image:
        assert image[0].header["SIMULATD"]
        assert image[0].data.sum() > 1000
    told = said.partition("Look at")[2]
    assert f"export PATH={Path(sys.executable).parent}:$PATH" in told
    shown = re.findall(r"(a907/[^ *,]+\.(?:html|png))", told)
    assert len(shown) > 3
    assert all((place / path).is_file() for path in shown)
    again = subprocess.run(
        ["git", "show", "--no-patch", "--format=%an", "v1.0.0^{commit}"],
        cwd=place / "a907",
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout.strip() == "daxa demo"
