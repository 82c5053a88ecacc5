"""Small inputs that daxa once answered wrongly, each a program that ends with 0 when the answer is right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PLACE = Path(os.environ.get("DAXA_TEST_CASES", Path(__file__).resolve().parents[3] / "shared" / "cases"))
HELPERS = {"made.py", "place.sh"}
"""Read by the cases, and none themselves."""

CASES = sorted(path.name for path in PLACE.glob("*") if path.suffix in (".py", ".sh") and path.name not in HELPERS)


@pytest.mark.journey
@pytest.mark.parametrize("name", CASES or [pytest.param("", marks=pytest.mark.skip(reason=f"no cases in {PLACE}"))])
def test_the_answer_is_right(name, tmp_path):
    program = [sys.executable] if name.endswith(".py") else ["bash"]
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("DAXA_", "DVC_", "GIT_"))}
    environ |= {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[2]), environ.get("PYTHONPATH", "")]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(tmp_path),
    }
    ended = subprocess.run(
        [*program, str(PLACE / name)],
        cwd=tmp_path,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=900,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-3000:]
