"""The environment of mission software is what the user's script gives to a clean shell, for its children alone."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from daxa.backends.tools import capture
from daxa.backends.tools.capture import find_installation
from daxa.backends.tools.command import make_call
from daxa.backends.tools.environment import call_environment
from daxa.backends.tools.reading import read_tool
from daxa.backends.tools.running import run_call
from daxa.errors import ConfigError, ProgramError
from tests.stubs.engines import IDENTITY, install_engine
from tests.stubs.fits import write_table
from tests.stubs.install import install_suite


@pytest.fixture(scope="module")
def software(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("opt") / "sas"
    install_suite(place, "sas")
    return place


class Setting:
    """A user's configuration, and the script that it names."""

    def __init__(self, place: Path, software: Path) -> None:
        self.place, self.software = place, software
        self.script, self.file, self.runs = place / "setsas.sh", place / "config.toml", place / "runs"
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(place / "home"), "DAXA_CACHE": str(place / "cache")}
        (place / "deeper.sh").write_text(f"export SAS_PATH={software}\nexport SAS_CCFPATH={software}/calibration\n")
        self.write("")
        self.configure(f'init = ". {self.script}"')

    def write(self, more: str) -> None:
        self.script.write_text(
            f"echo run >> {self.runs}\nexport SAS_DIR={self.software} HEADAS={self.software}\n"
            f"export PATH={self.software}/bin:$PATH\n. {self.place}/deeper.sh\n{more}\n"
        )

    def configure(self, lines: str, suite: str = "sas") -> None:
        self.file.write_text(f"workers = 1\n[backends.{suite}]\n{lines}\n")

    def find(self, suite: str = "sas"):
        return find_installation(suite, environ=self.environ, user_file=self.file)

    @property
    def count(self) -> int:
        return len(self.runs.read_text().splitlines())


@pytest.fixture
def setting(tmp_path, software) -> Setting:
    return Setting(tmp_path, software)


def test_a_script_is_run_once_until_a_file_that_it_reads_changes(setting):
    before = dict(os.environ)
    first = setting.find()
    assert (first.release, first.environ["SAS_DIR"]) == ("22.1.0", str(setting.software))
    assert setting.find() == first
    assert setting.count == 1
    deeper = setting.place / "deeper.sh"
    deeper.write_text(deeper.read_text() + "export SAS_CCFPATH=/later\n")
    assert setting.find().environ["SAS_CCFPATH"] == "/later"
    assert setting.count == 2, "a file that only the script names has changed"
    setting.write("export SAS_CCFPATH=/latest")
    assert setting.find().environ["SAS_CCFPATH"] == "/latest"
    setting.configure(f'init = ". {setting.script}; export SAS_CCFPATH=/last"')
    assert setting.find().environ["SAS_CCFPATH"] == "/last"
    assert dict(os.environ) == before, "nothing of it is ours"


def test_a_script_that_a_link_leads_to_elsewhere_is_run_again(setting):
    """Such a script may set what it finds beside itself."""
    for release in ("one", "two"):
        (setting.place / release).mkdir()
        shutil.copyfile(setting.script, setting.place / release / "setsas.sh")
    (setting.place / "current").symlink_to("one")
    setting.configure(f'init = ". {setting.place}/current/setsas.sh"')
    assert setting.find() == setting.find()
    assert setting.count == 1
    (setting.place / "current").unlink()
    (setting.place / "current").symlink_to("two")
    assert setting.find()
    assert setting.count == 2


def test_what_scripts_do_besides_does_no_harm(setting):
    setting.environ["UNRELATED"] = "of another program"
    setting.write(
        "echo talk; echo more talk >&2; set -a; set -u; greet() { echo hello; }; export -f greet 2> /dev/null\n"
        "export PERL5LIB='two\nlines = \"marks\"; $HOME `id`'; export ODD=$'\\xff'; sleep 600 &\nfalse; true"
    )
    found = setting.find()
    assert found.environ["PERL5LIB"] == 'two\nlines = "marks"; $HOME `id`'
    assert found.environ["ODD"] == os.fsdecode(b"\xff")
    shell = {name for name in found.environ if name.startswith(("BASH", "_", "PS4", "SHLVL", "PWD")) or "%" in name}
    assert not shell
    assert "UNRELATED" not in found.environ
    assert setting.find() == found, "as kept"
    given = call_environment(found, setting.place / "private")
    assert given["PERL5LIB"] == found.environ["PERL5LIB"]
    assert "ODD" not in given, "no variable of SAS"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("echo no licence >&2; return 3", "failed with status 3: no licence"),
        ("exit 0", "ended the shell itself"),
        ("exec true", "ended the shell itself"),
        ("if true; then", "failed with status"),
        ("set -e; false", "failed with status 1: it printed nothing, and came to line"),
        (
            "TOKEN=secret test -d /nowhere",
            r"failed with status 1: it printed nothing, and came to line 5 of .*setsas\.sh\n",
        ),
        ("echo a; echo b; echo c; echo d; return 4", r"failed with status 4: b / c / d\n"),
        (". /nowhere/setup.sh", "failed with status 1: .*nowhere"),
        ("kill -9 $$", "failed with status -9"),
        ("sleep 600", "did not end within 1 s"),
        ("while :; do echo 0123456789012345678901234567890123456789; done", "too much output"),
    ],
)
def test_a_script_that_fails_is_one_error_with_what_to_do(setting, monkeypatch, more, why):
    monkeypatch.setattr(capture, "_SECONDS", 1.0 if "sleep" in more else 60.0)
    setting.write(more)
    with pytest.raises(ProgramError, match=why) as caught:
        setting.find()
    assert caught.value.code == "program.setup"
    assert "[backends.sas]" in caught.value.message
    assert caught.value.remedy
    assert "secret" not in str(caught.value)
    assert not list((setting.place / "cache").glob("**/*.json"))


def test_without_bash_the_plain_shell_does(setting, monkeypatch, tmp_path):
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "sh").symlink_to(shutil.which("dash") or shutil.which("sh"))
    monkeypatch.setattr(capture, "_CLEAN_PATH", str(tmp_path / "only"))
    setting.write('test -z "$BASH_VERSION"')
    assert setting.find().environ["SAS_DIR"] == str(setting.software)
    assert setting.find()
    assert setting.count == 1
    (tmp_path / "only" / "sh").unlink()
    setting.write("")
    with pytest.raises(ProgramError, match="neither bash nor sh"):
        setting.find()


def test_without_configuration_it_is_what_the_environment_has(setting, software):
    setting.file.unlink()
    with pytest.raises(ProgramError, match="sasversion of SAS was not found") as caught:
        setting.find()
    assert "[backends.sas] init" in caught.value.remedy
    setting.environ |= {"PATH": f"{software}/bin:/usr/bin:/bin", "SAS_DIR": str(software)}
    assert setting.find().environ["SAS_DIR"] == str(software)


def test_only_the_users_file_and_whole_paths_name_a_script(setting, monkeypatch, tmp_path):
    """Neither the directory in which one stands nor a variable can bring a script."""
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "setsas.sh").write_text(f"touch {tmp_path}/owned\n")
    monkeypatch.chdir(tmp_path / "archive")
    for line in ('init = ". ./setsas.sh"', 'init = ". setsas.sh"'):
        setting.configure(line)
        with pytest.raises(ProgramError, match="failed"):
            setting.find()
    setting.file.unlink()
    setting.environ |= {
        "DAXA_BACKENDS": "x",
        "DAXA_INIT": ". ./setsas.sh",
        "BASH_ENV": "./setsas.sh",
        "ENV": "setsas.sh",
    }
    with pytest.raises(ProgramError, match="not found"):
        setting.find()
    assert not (tmp_path / "owned").exists()


def test_what_others_may_have_written_is_not_believed(setting):
    mask = os.umask(0o002)
    try:
        setting.find()
        setting.find()
    finally:
        os.umask(mask)
    assert setting.count == 1, "where users share their files with a group, ours are private all the same"
    (note,) = (setting.place / "cache" / "environments").glob("sas-*.json")
    assert note.stat().st_mode & 0o777 == 0o600
    told = json.loads(note.read_text())
    told["environ"]["SAS_DIR"] = "/elsewhere"
    note.write_text(json.dumps(told))
    assert setting.find().environ["SAS_DIR"] == "/elsewhere"
    note.chmod(0o666)
    assert setting.find().environ["SAS_DIR"] == str(setting.software)
    note.write_text("{")
    assert setting.find().environ["SAS_DIR"] == str(setting.software)


@pytest.mark.parametrize(
    "lines",
    [
        "init = 3", 'initt = "x"', 'modules = "sas"', 'modules = ["sas; rm -r /"]', 'modules = ["-x"]',
        'modules = ["sas"]\ninit = "x"', 'mounts = ["/data"]', 'container = "lab/suite"', 'container = "docker://-v"',
        'container = "docker://a b"', 'container = "apptainer:sas.sif"', 'container = "apptainer:docker://sas"',
        'container = "docker://a"\nmounts = ["data"]', 'container = "docker://a"\nmounts = ["/d,readonly=0"]',
        "variables = 1", "variables = { SAS_CCFPATH = 1 }", 'variables = { LD_PRELOAD = "/x" }', 'init = "\\u0000"',
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_be_used_is_named(setting, lines):
    setting.configure(lines)
    with pytest.raises(ConfigError, match=r"\[backends\.sas\]") as caught:
        setting.find()
    assert caught.value.code == "config.backends"
    assert caught.value.remedy


def test_a_suite_that_is_no_table_is_named(setting):
    setting.file.write_text('[backends]\nsas = "/opt/sas"\n')
    with pytest.raises(ConfigError, match="is not a table"):
        setting.find()
    setting.file.write_text("backends = 3\n")
    with pytest.raises(ConfigError, match="is not a table"):
        setting.find()


def test_modules_are_loaded_and_seen_to_be_loaded(setting):
    """The command `module` of older versions fails with status 0."""
    (setting.place / "init").mkdir()
    files = setting.place / "modulefiles" / "sas"
    files.mkdir(parents=True)
    (files / "22.1.lua").write_text("1")
    (setting.place / "init" / "bash").write_text(
        'module() { [ "$1" = load ] && shift; for one in "$@"; do case $one in sas*) '
        f'. {setting.script}; export LOADEDMODULES="$one/22.1" _LMFILES_={files}/22.1.lua;; '
        '*) echo "Unable to locate a modulefile for $one" >&2;; esac; done; return 0; }\n'
    )
    setting.environ["MODULESHOME"] = str(setting.place)
    setting.configure('modules = ["sas"]')
    assert setting.find().environ["SAS_DIR"] == str(setting.software)
    assert setting.find()
    assert setting.count == 1
    (files / "22.1.lua").write_text("2")
    assert setting.find()
    assert setting.count == 2, "the module's file has changed"
    (files / "23.0.lua").write_text("3")
    assert setting.find()
    assert setting.count == 3, "there is another version, which may be the one that is meant"
    (files / ".version").write_text("23.0")
    assert setting.find()
    (files / ".version").write_text("22.1")
    assert setting.find()
    assert setting.count == 5, "another version is the default"
    setting.configure('modules = ["sas", "heasoft/6.36"]')
    with pytest.raises(ProgramError, match=r"the module heasoft/6\.36 of SAS was not loaded"):
        setting.find()
    setting.environ["MODULESHOME"] = "/nowhere"
    if not any(Path(one).exists() for one in ("/usr/share/modules", "/usr/share/Modules", "/usr/share/lmod")):
        with pytest.raises(ProgramError, match="no command module"):
            setting.find()


def test_variables_come_after_the_script(setting):
    setting.configure(f'init = ". {setting.script}"\nvariables = {{ SAS_CCFPATH = "/data/ccf" }}')
    assert setting.find().environ["SAS_CCFPATH"] == "/data/ccf"
    setting.configure('variables = { SAS_CCFPATH = "/data/ccf" }')
    setting.environ["PATH"] = f"{setting.software}/bin:/usr/bin:/bin"
    found = setting.find()
    assert (found.environ["SAS_CCFPATH"], found.environ["PATH"]) == ("/data/ccf", setting.environ["PATH"])


@pytest.mark.parametrize("engine", ["docker", "apptainer"])
def test_a_container_is_run_by_its_digest_with_the_directories_of_a_call_alone(tmp_path, software, engine):
    lab = tmp_path / "lab"
    environ = {
        "SAS_DIR": str(software),
        "SAS_PATH": str(software),
        "HEADAS": str(software),
        "PATH": f"{software}/bin:/bin",
    }
    install_engine(lab, engine, environ, [str(software)])
    (lab / "image.sif").write_bytes(b"an image")
    setting = Setting(tmp_path, software)
    named = "docker://lab/suite:1" if engine == "docker" else f"apptainer:{lab}/image.sif"
    more = f'variables = {{ SAS_CCFPATH = "{software}/calibration" }}\ninit = "export SAS_ODF=/odf"'
    setting.configure(f'container = "{named}"\nmounts = ["{software}/calibration"]\n{more}')
    setting.environ["PATH"] = f"{lab}/bin:/usr/bin:/bin"
    found = setting.find()
    assert (found.release, found.environ["SAS_ODF"]) == ("22.1.0", "/odf")
    assert found.container.digest == IDENTITY if engine == "docker" else found.container.digest.startswith("sha256:")
    assert found.program("evselect") == f"{software}/bin/evselect"
    assert found.program("gtibuildx") is None
    work, inputs = tmp_path / "task" / "work", tmp_path / "inputs"
    work.mkdir(parents=True)
    inputs.mkdir()
    write_table(inputs / "e.fits", "EVENTS", {"TIME": [1.0], "PI": [500.0]}, gti=[(0.0, 9.0)])
    values = {"table": str(inputs / "e.fits"), "filteredset": "f.fits", "expression": "(PI in [300:2000])"}
    call = make_call(read_tool("sas", "evselect"), found.release, values)
    ran = run_call(call, found, cwd=work, logs=tmp_path / "logs", name="1-call", seconds=60.0)
    assert (ran.status, ran.verdict.code) == (0, ""), ran.stderr.read_text()
    assert (work / "f.fits").is_file()
    told = json.loads(ran.record.read_text())
    assert told["image"] == found.container.digest
    assert str(software) not in ran.record.read_text()
    calls = [json.loads(line) for line in (lab / "calls").read_text().splitlines()]
    last = next(one for one in reversed(calls) if one[1] in ("run", "exec"))
    assert {"--mount", "--bind"} & set(last)
    assert any("readonly" in word or word.endswith(":ro") for word in last if str(inputs) in word), "inputs are read"
    if engine == "docker":
        assert last[last.index("--entrypoint") + 2] == IDENTITY
        named = [one[one.index("--name") + 1] for one in calls if "--name" in one]
        assert named == [one[-1] for one in calls if one[1] == "rm"], "whatever goes on is ended"
    else:
        (lab / "image.sif").write_bytes(b"another image")
        assert setting.find().container.digest != found.container.digest


def test_an_engine_or_image_that_is_not_here_is_named(setting):
    setting.configure('container = "docker://lab/other:1"')
    setting.environ["PATH"] = "/nowhere"
    with pytest.raises(ProgramError, match=r"docker, which runs .* was not found"):
        setting.find()
    install_engine(setting.place / "lab", "docker", {}, [])
    setting.environ["PATH"] = f"{setting.place}/lab/bin:/usr/bin:/bin"
    with pytest.raises(ProgramError, match="No such image") as caught:
        setting.find()
    assert caught.value.remedy == "get it with `docker pull lab/other:1`"
    install_engine(setting.place / "lab", "apptainer", {}, [])
    setting.configure('container = "apptainer:/nowhere/sas.sif"')
    with pytest.raises(ProgramError, match="cannot be read: No such file"):
        setting.find()
