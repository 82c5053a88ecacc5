"""The environment that a release records: what of it is installed, and how; nothing comes from the internet."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from daxa.errors import ConfigError, ProgramError
from daxa.publish.remaking import workenv
from daxa.publish.remaking.workenv import make_environment, plan_environment

PROGRAMS = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
OWN = {"packages": {"daxa-archive": "0.2", "numpy": "2.2.0", "scipy": "1.16"}}
RECORDED = {"python": ".".join(map(str, sys.version_info[:3])), "packages": {"daxa-archive": "0.1", "numpy": "2.1.0"}}


@pytest.fixture
def programs(monkeypatch):
    """What would be run; the first makes a Python."""
    called = []

    def run(argv, *, cwd, environ):
        called.append(argv)
        assert "PYTHONPATH" not in environ
        if "venv" in argv:
            python = Path(argv[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.write_text("")
        return SimpleNamespace(code=0, output="")

    monkeypatch.setattr(workenv, "run_program", run)
    monkeypatch.setattr(workenv.shutil, "which", lambda name: None)
    return called


def test_only_what_daxa_needs_is_installed_and_the_rest_is_named():
    plan = plan_environment({**RECORDED, "packages": {**RECORDED["packages"], "evil": "1.0"}}, OWN)
    assert plan.lines == ("daxa-archive==0.1", "numpy==2.1.0")
    assert plan.left_out == ("evil",)


def test_what_is_installed_here_in_the_same_version_may_be_built():
    plan = plan_environment({**RECORDED, "packages": {"numpy": "2.1.0", "scipy": "1.16"}}, OWN)
    assert (plan.lines, plan.wheels) == (("numpy==2.1.0", "scipy==1.16"), ("numpy",))


def test_daxa_itself_may_come_from_elsewhere(tmp_path):
    wheel = tmp_path / "daxa archive.whl"
    wheel.write_text("")
    assert plan_environment(RECORDED, OWN, str(wheel)).lines[0] == f"daxa-archive @ {wheel.as_uri()}"
    address = "https://example.org/daxa.whl"
    assert plan_environment(RECORDED, OWN, address).lines == (f"daxa-archive @ {address}", "numpy==2.1.0")


def test_wheels_alone_are_installed_and_once(tmp_path, programs):
    plan = plan_environment(RECORDED, OWN)
    python = make_environment(plan, tmp_path / "env")
    assert python == tmp_path / "env" / "bin" / "python"
    made, installed = programs
    assert made == [sys.executable, "-m", "venv", str(tmp_path / "env")]
    assert installed[:4] == [str(python), "-m", "pip", "install"]
    assert {"--no-deps", "--only-binary=daxa-archive", "--only-binary=numpy"} <= set(installed)
    assert Path(installed[-1]).read_text() == "daxa-archive==0.1\nnumpy==2.1.0\n"
    assert make_environment(plan, tmp_path / "env") == python
    assert len(programs) == 2, "it stands there"
    make_environment(plan_environment(RECORDED, OWN, "https://example.org/d.whl"), tmp_path / "env")
    assert len(programs) == 4, "another plan"


def test_uv_brings_the_python_that_was_used(tmp_path, programs, monkeypatch):
    monkeypatch.setattr(workenv.shutil, "which", lambda name: "/bin/uv")
    make_environment(plan_environment({**RECORDED, "python": "3.99.1"}, OWN), tmp_path / "env")
    assert programs[0][:2] == ["/bin/uv", "venv"]
    assert "3.99.1" in programs[0]
    assert {"--no-deps", "--only-binary=numpy"} <= set(programs[1])


def test_without_uv_another_python_is_an_error_with_a_remedy(tmp_path, programs):
    with pytest.raises(ConfigError, match=r"3\.99\.1") as caught:
        make_environment(plan_environment({**RECORDED, "python": "3.99.1"}, OWN), tmp_path / "env")
    assert "uv" in caught.value.remedy
    assert programs == []


def test_a_failed_installation_is_started_again(tmp_path, programs, monkeypatch):
    whole = workenv.run_program

    def fail(argv, *, cwd, environ):
        whole(argv, cwd=cwd, environ=environ)
        return SimpleNamespace(code=int("pip" in argv), output="no matching distribution")

    monkeypatch.setattr(workenv, "run_program", fail)
    plan = plan_environment(RECORDED, OWN)
    with pytest.raises(ProgramError, match="no matching distribution"):
        make_environment(plan, tmp_path / "env")
    monkeypatch.setattr(workenv, "run_program", whole)
    make_environment(plan, tmp_path / "env")
    assert [("venv" in argv) for argv in programs] == [True, False, True, False]


def wheel(place: Path, name: str, version: str) -> None:
    """A package of one module, as a wheel."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"version = '{version}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(place / f"{name}-{version}-py3-none-any.whl", "w") as packed:
        for path, text in (files | {f"{info}/RECORD": record}).items():
            packed.writestr(path, text)


@pytest.mark.skipif(not shutil.which("uv", path=PROGRAMS), reason="uv is not installed")
def test_uv_installs_the_recorded_versions_and_no_others(tmp_path, monkeypatch):
    links = tmp_path / "links"
    links.mkdir()
    for name, version in (("telescope", "1.0"), ("telescope", "2.0"), ("mirror", "3.1")):
        wheel(links, name, version)
    settings = {
        "PATH": PROGRAMS,
        "UV_FIND_LINKS": str(links),
        "UV_OFFLINE": "1",
        "UV_CACHE_DIR": str(tmp_path / "cache"),
    }
    for key, value in settings.items():
        monkeypatch.setenv(key, value)
    known = {"packages": {"telescope": "2.0", "mirror": "3.1"}}
    said = []
    recorded = {**RECORDED, "packages": {"telescope": "1.0", "mirror": "3.1"}}
    python = make_environment(plan_environment(recorded, known), tmp_path / "env", said.append)
    assert "with uv" in said[0]
    code = "import mirror, platform, telescope; print(telescope.version, mirror.version, platform.python_version())"
    ended = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["1.0", "3.1", RECORDED["python"]]
    absent = {**recorded, "packages": {"telescope": "9.9"}}
    with pytest.raises(ProgramError, match=r"9\.9"):
        make_environment(plan_environment(absent, known), tmp_path / "other")
