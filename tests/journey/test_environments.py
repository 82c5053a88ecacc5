"""A release made with other versions of libraries: what differs is named, and its own environment gives the same.

``DAXA_TEST_ENVIRONMENTS=1`` makes three environments from an index of packages (`make environments`: about 2 GB, some
minutes); without it they are not made.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.journey.workbench import Workbench

UV = shutil.which("uv")
pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(not os.environ.get("DAXA_TEST_ENVIRONMENTS"), reason="DAXA_TEST_ENVIRONMENTS is not set"),
    pytest.mark.skipif(not UV, reason="uv is not installed"),
]

CHECKOUT = Path(__file__).resolve().parents[2]
FORMER = {"matplotlib": "3.10.0", "scipy": "1.15.3"}


def environment(bench: Workbench, name: str, versions: Mapping[str, str] = {}) -> Workbench:
    """The bench with a new environment in which daxa is installed, with these versions of other packages."""
    place = bench.root / name
    wanted = [f"{package}=={version}" for package, version in versions.items()]
    bench.run(str(UV), "venv", "--quiet", "--python", "3.11", str(place))
    bench.run(str(UV), "pip", "install", "--quiet", "--python", str(place / "bin" / "python"), str(CHECKOUT), *wanted)
    path = os.pathsep.join([str(place / "bin"), str(Path(str(UV)).parent), "/usr/bin", "/bin"])
    return Workbench(bench.root, {**bench.environ, "PATH": path})


def certificate(bench: Workbench, name: str) -> dict:
    return json.loads((bench.root / f"{name}.certificate.json").read_text())["predicate"]


def test_the_recorded_environment_makes_the_release_again(bench):
    former, now = environment(bench, "former", FORMER), environment(bench, "now")
    former.run("daxa", "init", "a907", "--mission", "nustar", "--target", "Abell 907")
    for verb in (("run",), ("release", "-m", "first"), ("export", "v1.0.0", "-o", "../a907.bundle")):
        former.run("daxa", *verb, cwd=bench.root / "a907")

    now.run("daxa", "recreate", "a907.bundle", "other", ok=False)
    found = certificate(bench, "other")
    named = {line.partition(":")[0] for line in found["environment"]["differences"]}
    assert FORMER.keys() <= named
    files = [file for one in found["observations"] for file in one["files"] if file["verdict"] != "identical bytes"]
    assert files
    assert {Path(file["path"]).suffix for file in files} == {".png"}, "another matplotlib draws other pictures"

    # As a stranger's archive might hold it, above the place where the environment is made.
    (bench.root / "uv.toml").write_text("index-url = [")
    now.run("daxa", "recreate", "a907.bundle", "same", "--environment", cwd=bench.root)
    found = certificate(bench, "same")
    assert (found["verdict"], found["environment"]["differences"]) == ("identical bytes", [])
    assert found["environment"]["here"]["packages"]["scipy"] == FORMER["scipy"]
