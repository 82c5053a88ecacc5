"""The environment that a release records: what of it is installed, and how; nothing comes from the internet."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import daxa
from daxa.errors import ConfigError, CriteriaError, ProgramError
from daxa.publish.remaking import workenv
from daxa.publish.remaking.own_wheel import write_own_wheel
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
        assert cwd == Path(cwd.anchor), "uv obeys the uv.toml of every directory above, also that of an archive"
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
    assert plan.left_out == ("evil==1.0",)


def test_what_is_installed_here_in_the_same_version_may_be_built():
    plan = plan_environment({**RECORDED, "packages": {"numpy": "2.1.0", "scipy": "1.16"}}, OWN)
    assert (plan.lines, plan.wheels) == (("numpy==2.1.0", "scipy==1.16"), ("numpy",))


def test_daxa_itself_may_come_from_elsewhere(tmp_path):
    wheel = tmp_path / "daxa archive.whl"
    wheel.write_text("")
    digest = hashlib.sha256(b"").hexdigest()
    assert plan_environment(RECORDED, OWN, str(wheel)).lines[0] == f"daxa-archive @ {wheel.as_uri()}#sha256={digest}"
    address = "https://example.org/daxa.whl"
    assert plan_environment(RECORDED, OWN, address).lines == (f"daxa-archive @ {address}", "numpy==2.1.0")
    assert plan_environment(RECORDED, OWN, str(tmp_path)).lines[0] == f"daxa-archive @ {tmp_path.as_uri()}"
    for missing in (
        "daxa.whl",
        "~nobody-here/daxa.whl",
        str(tmp_path / "other.whl"),
        "https://a b",
        "https://a\nevil==1.0",
    ):
        with pytest.raises(CriteriaError, match="no file"):
            plan_environment(RECORDED, OWN, missing)


def test_an_address_is_no_path_in_the_directory_of_a_stranger(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wheel = tmp_path / "https:" / "h.example" / "d.whl"
    wheel.parent.mkdir(parents=True)
    wheel.write_text("")
    assert plan_environment(RECORDED, OWN, "https://h.example/d.whl").lines[0].endswith("@ https://h.example/d.whl")


@pytest.mark.parametrize("address", ["https://ada:secret@h.example/d.whl", "git+https://:secret@h.example/d.git@v1"])
def test_an_address_with_a_password_is_written_nowhere(address):
    with pytest.raises(CriteriaError, match="contains a password") as caught:
        plan_environment(RECORDED, OWN, address)
    assert "secret" not in str(caught.value)
    for plain in ("git+ssh://git@h.example/d.git", "https://h.example:443/d.git@v1"):
        assert plan_environment(RECORDED, OWN, plain).lines[0] == f"daxa-archive @ {plain}"


def test_wheels_alone_are_installed_and_once(tmp_path, programs):
    plan = plan_environment(RECORDED, OWN)
    python = make_environment(plan, tmp_path / "env")
    assert python == tmp_path / "env" / "bin" / "python"
    made, installed, tried = programs
    assert made == [sys.executable, "-P", "-m", "venv", str(tmp_path / "env")]
    assert installed[:5] == [str(python), "-P", "-m", "pip", "install"]
    assert tried[:4] == [str(python), "-P", "-m", "daxa"]
    assert {"--no-deps", "--only-binary=daxa-archive", "--only-binary=numpy"} <= set(installed)
    assert Path(installed[-1]).read_text() == "daxa-archive==0.1\nnumpy==2.1.0\n"
    assert make_environment(plan, tmp_path / "env") == python
    assert len(programs) == 3, "it stands there"
    make_environment(plan_environment(RECORDED, OWN, "https://example.org/d.whl"), tmp_path / "env")
    assert len(programs) == 6, "another plan"


@pytest.mark.parametrize("python", ["tmp", "", "python3", "3.12", "3.12.1 --clear"])
def test_a_python_that_is_no_version_is_refused(tmp_path, programs, monkeypatch, python):
    monkeypatch.setattr(workenv.shutil, "which", lambda name: "/bin/uv")
    with pytest.raises(ConfigError, match="not a version"):
        make_environment(plan_environment({**RECORDED, "python": python}, OWN), tmp_path / "env")
    assert programs == [], "uv would run tmp/bin/python"


def test_pip_installs_nowhere_else(tmp_path, programs, monkeypatch):
    known, whole = [], workenv.run_program
    for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example")

    def run(argv, *, cwd, environ):
        known.append({name: value for name, value in environ.items() if name.startswith("PIP_")})
        return whole(argv, cwd=cwd, environ=environ)

    monkeypatch.setattr(workenv, "run_program", run)
    make_environment(plan_environment(RECORDED, OWN), tmp_path / "env")
    for variables in known:
        assert variables["PIP_USER"] == "0"
        assert variables["PIP_INDEX_URL"] == "https://mirror.example"
        assert not {"PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"} & set(variables)


def test_uv_brings_the_python_that_was_used(tmp_path, programs, monkeypatch):
    monkeypatch.setattr(workenv.shutil, "which", lambda name: "/bin/uv")
    make_environment(plan_environment({**RECORDED, "python": "3.99.1"}, OWN), tmp_path / "env")
    assert programs[0][:2] == ["/bin/uv", "venv"]
    assert "3.99.1" in programs[0]
    make_environment(plan_environment(RECORDED, OWN), tmp_path / "own")
    assert sys.executable in programs[3], "the Python that runs need not be on the PATH"
    assert {"--no-deps", "--only-binary=numpy"} <= set(programs[1])


def test_without_uv_another_python_is_an_error_with_a_remedy(tmp_path, programs):
    with pytest.raises(ConfigError, match=r"3\.99\.1") as caught:
        make_environment(plan_environment({**RECORDED, "python": "3.99.1"}, OWN), tmp_path / "env")
    assert "uv" in caught.value.remedy
    assert programs == []


def test_a_python_that_uv_cannot_get_is_named(tmp_path, programs, monkeypatch):
    monkeypatch.setattr(workenv.shutil, "which", lambda name: "/bin/uv")
    monkeypatch.setattr(workenv, "run_program", lambda argv, **options: SimpleNamespace(code=2, output="dns error"))
    with pytest.raises(ConfigError, match=r"3\.99\.1.*dns error") as caught:
        make_environment(plan_environment({**RECORDED, "python": "3.99.1"}, OWN), tmp_path / "env")
    assert "Python 3.99.1 on your PATH" in caught.value.remedy


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
    assert [("venv" in argv) for argv in programs] == [True, False, True, False, False]


@pytest.mark.parametrize(("output", "name"), [("no daxa-archive==0.1", "no-daxa"), ("no numpy", "environment")])
def test_a_daxa_that_no_index_has_is_told_from_other_packages(tmp_path, programs, monkeypatch, output, name):
    monkeypatch.setattr(workenv, "run_program", lambda argv, **options: SimpleNamespace(code=1, output=output))
    with pytest.raises(ProgramError) as caught:
        make_environment(plan_environment(RECORDED, OWN), tmp_path / "env")
    assert caught.value.name == name
    assert ("--daxa" in caught.value.remedy) == (name == "no-daxa")


def test_a_daxa_that_does_not_start_is_not_used(tmp_path, programs, monkeypatch):
    whole = workenv.run_program

    def fail(argv, *, cwd, environ):
        whole(argv, cwd=cwd, environ=environ)
        return SimpleNamespace(code=int("daxa" in argv), output="ModuleNotFoundError: No module named 'numpy'")

    monkeypatch.setattr(workenv, "run_program", fail)
    plan = plan_environment(RECORDED, OWN)
    for _ in range(2):
        with pytest.raises(ProgramError, match="does not start"):
            make_environment(plan, tmp_path / "env")
    assert len(programs) == 6, "it is made anew"


def test_what_a_recorded_version_needs_is_installed_though_the_version_here_does_not(tmp_path, programs, monkeypatch):
    recorded = {**RECORDED, "packages": {**RECORDED["packages"], "six": "1.17", "deeper": "2.0", "evil": "1.0"}}
    needs = {"daxa-archive": "numpy", "numpy": "six", "six": "deeper", "deeper": "not-recorded"}
    whole, said = workenv.run_program, []

    def install(argv, *, cwd, environ):
        if "install" in argv:
            for name, _, version in (line.partition("==") for line in Path(argv[-1]).read_text().split()):
                place = tmp_path / "env" / "lib" / "python3" / "site-packages" / f"{name.replace('-', '_')}.dist-info"
                place.mkdir(parents=True)
                (place / "METADATA").write_text(f"Name: {name}\nVersion: {version}\nRequires-Dist: {needs[name]}\n")
        return whole(argv, cwd=cwd, environ=environ)

    monkeypatch.setattr(workenv, "run_program", install)
    make_environment(plan_environment(recorded, OWN), tmp_path / "env", said.append)
    rounds = [argv for argv in programs if "install" in argv]
    assert [[one for one in argv if one.startswith("--only")] for argv in rounds[1:]] == [
        ["--only-binary=six"],
        ["--only-binary=deeper"],
    ]
    assert said[-1] == "not installed, since nothing needs them: evil"


def test_this_daxa_becomes_a_wheel_that_can_be_imported(tmp_path, monkeypatch):
    one = write_own_wheel(tmp_path)
    content = one.read_bytes()
    assert write_own_wheel(tmp_path).read_bytes() == content
    with zipfile.ZipFile(one) as packed:
        assert packed.testzip() is None
        names = packed.namelist()
        record = packed.read(next(name for name in names if name.endswith("/RECORD"))).decode().splitlines()
        assert [line.partition(",")[0] for line in record] == names
        packed.extractall(tmp_path / "there")
    root = Path(daxa.__file__).parent
    assert {"daxa/__init__.py", "daxa/py.typed", "daxa/_templates/dvc.yaml.j2"} <= set(names)
    assert {f"daxa/{path.relative_to(root)}" for path in root.rglob("*.toml")} <= set(names)
    assert not any("__pycache__" in name or name.startswith("daxa/_templates/pyproject") for name in names)
    code = "import daxa.archive.template as t; print(t.__file__, *t.template_directories())"
    environ = {**os.environ, "PYTHONPATH": str(tmp_path / "there")}
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environ, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert all(Path(one).is_relative_to(tmp_path / "there") for one in ended.stdout.split())


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
    monkeypatch.setattr(workenv, "_check", lambda python: None)  # It holds no daxa.
    said = []
    # As a stranger's archive may hold one above its Git directory, where the environment is made.
    (tmp_path / "uv.toml").write_text("index-url = [")
    recorded = {**RECORDED, "packages": {"telescope": "1.0", "mirror": "3.1"}}
    python = make_environment(plan_environment(recorded, known), tmp_path / "env", said.append)
    assert "with uv" in said[0]
    code = "import mirror, platform, telescope; print(telescope.version, mirror.version, platform.python_version())"
    ended = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["1.0", "3.1", RECORDED["python"]]
    absent = {**recorded, "packages": {"telescope": "9.9"}}
    with pytest.raises(ProgramError, match=r"9\.9"):
        make_environment(plan_environment(absent, known), tmp_path / "other")
