"""What `daxa doctor sas` and the like find, on stand-ins that are real programs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from daxa.cli import main
from daxa.doctor import ASKED, PARTS, STATES, examine, suite_checks
from daxa.doctor.finding import Finding
from tests.stages.archives import make_archive
from tests.stubs.ccf import write_ccf
from tests.stubs.install import grant, install_suite, request


@pytest.fixture(scope="module")
def software(tmp_path_factory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("opt")
    for name in ("sas", "ciao", "heasoft", "esass"):
        install_suite(place / name, name)
    (place / "sas" / "bin" / "lcurve").symlink_to("/bin/true")
    config = place / "ciao" / "calibration" / "software" / "tools"
    config.mkdir(parents=True)
    (config / "caldb.config").write_text("# table\nCHANDRA ACIS CALDB index acis.indx CALDB index acis.indx\n")
    (place / "ciao" / "calibration" / "index2").mkdir()
    return {name: place / name for name in ("sas", "ciao", "heasoft", "esass")}


class Machine:
    """A user's home with a configuration of mission software."""

    def __init__(self, home: Path) -> None:
        self.home, self.file = home, home / "config.toml"

    def set_up(self, suite: str, **variables: object) -> None:
        lines = "; ".join(f"export {name}='{value}'" for name, value in variables.items())
        self.file.write_text(f'[backends.{suite}]\ninit = "{lines}"\n')

    def look(self, suite: str) -> dict[str, Finding]:
        findings = list(examine(Path.cwd(), parts=[suite]))
        assert {one.part for one in findings} == {suite}
        assert {one.state for one in findings} <= set(STATES)
        assert all(bool(one.remedy) == (one.state != "ok") for one in findings), findings
        assert str(self.home) not in repr(findings)
        return {one.name: one for one in findings}


@pytest.fixture
def machine(tmp_path, monkeypatch, identity) -> Machine:
    home = tmp_path / "home"
    home.mkdir()
    for name, value in {"HOME": home, "DAXA_CONFIG": home / "config.toml", "DAXA_CACHE": home / "cache"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.chdir(home)
    return Machine(home)


def sas(place: Path, **changed: object) -> dict[str, object]:
    return {
        "PATH": f"{place}/bin:/usr/bin:/bin", "SAS_DIR": place, "SAS_PATH": place, "HEADAS": place,
        "SAS_CCFPATH": place / "calibration", **changed,
    }  # fmt: skip


def test_sound_software_is_named_tried_and_its_calibration_dated(machine, software):
    machine.set_up("sas", **sas(software["sas"]))
    found = machine.look("sas")
    assert {name: one.state for name, one in found.items()} == dict.fromkeys(
        ("software", "missions", "programs", "trial", "index", "calibration"), "ok"
    )
    assert found["software"].found == "SAS 22.1.0"
    assert found["missions"].found.startswith("events, clean, images")
    assert found["missions"].found.endswith(" of xmm")
    assert "cifbuild ended with status 0" in found["trial"].found
    assert found["calibration"].found.startswith(f"3 files in {software['sas']}/calibration, the newest of 20")


def test_what_is_missing_is_named_with_where_to_get_it(machine, software, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (only,) = machine.look("sas").values()
    assert (only.state, only.found) == ("error", "sasversion of SAS was not found")
    assert "[backends.sas] init" in only.remedy
    assert "cosmos.esa.int" in only.remedy
    (tmp_path / "bin").mkdir()
    for program in ("sasversion", "cifbuild"):
        (tmp_path / "bin" / program).symlink_to(software["sas"] / "bin" / program)
    machine.set_up("sas", **sas(software["sas"], PATH=f"{tmp_path}/bin:/usr/bin:/bin", SAS_CCFPATH="/nowhere"))
    found = machine.look("sas")
    assert found["programs"].state == "warning"
    assert "are missing: arfgen, attcalc" in found["programs"].found
    assert (found["others"].state, found["others"].found) == ("error", "its chains need lcurve")
    assert found["trial"].state == "error"
    assert found["calibration"].found == "0 files in /nowhere"
    assert "rsync" in found["calibration"].remedy
    machine.set_up("sas", **sas(software["sas"], SAS_CCFPATH=""))
    found = machine.look("sas")
    assert found["environment"].found == "SAS_CCFPATH is not set"
    assert "variables = { SAS_CCFPATH" in found["environment"].remedy
    machine.set_up("sas", PATH="/nowhere")
    assert machine.look("sas")["software"].state == "error"


@pytest.mark.parametrize("failure", ["crash", "noEnd", "outputsMissing"])
def test_software_that_does_not_work_is_an_error(machine, software, failure):
    machine.set_up("sas", **sas(software["sas"]))
    request(software["sas"], "cifbuild", failure)
    try:
        found = machine.look("sas")
    finally:
        grant(software["sas"], "cifbuild")
    assert found["trial"].state == "error"
    assert "sas.cifbuild." in found["trial"].found
    assert "index" not in found


def test_calibration_older_than_the_observations_is_a_warning(machine, software, tmp_path, monkeypatch):
    """The archive's missions that are processed with the suite count, and the date in the name of an index."""
    layout = make_archive(tmp_path / "a907")
    monkeypatch.chdir(layout.root)
    place = software["ciao"]
    calibration = place / "calibration"
    (calibration / "index2" / "acis20010203.indx").write_text("an index")
    (calibration / "index2" / "acis20990203.indx").write_text("an index")
    config = calibration / "software" / "tools" / "caldb.config"
    config.write_text("# table\nCHANDRA ACIS CALDB index2 acis.indx CALDB index2 acis.indx\n")
    given = {"PATH": f"{place}/bin:/usr/bin:/bin", "ASCDS_INSTALL": place, "PFILES": f"{place};{place}/syspfiles"}
    machine.set_up("ciao", **given, CALDB=calibration)
    link = calibration / "index2" / "acis.indx"
    link.symlink_to("acis20010203.indx")
    assert machine.look("ciao")["calibration"].state == "ok", "no mission of this archive uses it"
    monkeypatch.setattr(suite_checks, "backend_of_step", lambda *_: "ciao")
    found = machine.look("ciao")
    assert found["trial"].found.startswith("dmcopy ended with status 0")
    assert found["calibration"].state == "warning"
    assert "the newest of 2001-02-03" in found["calibration"].found
    assert "before the latest observation of this archive" in found["calibration"].found
    link.unlink()
    link.symlink_to("acis20990203.indx")
    assert machine.look("ciao")["calibration"].state == "ok"
    link.unlink()
    found = machine.look("ciao")
    assert (found["calibration"].state, "0 of 1 instruments" in found["calibration"].found) == ("error", True)
    machine.set_up(
        "ciao", PATH=f"{place}/bin:/bin", ASCDS_INSTALL=place, CALDB="https://heasarc.gsfc.nasa.gov/FTP/caldb"
    )
    assert "remote" in machine.look("ciao")["calibration"].found


def test_parameters_that_the_installed_release_lacks_are_named(machine, software, tmp_path, monkeypatch):
    """By what its tasks list themselves: the tables of daxa know this release, but not what was done to it here."""
    layout = make_archive(tmp_path / "a907")
    monkeypatch.chdir(layout.root)
    machine.set_up("sas", **sas(software["sas"]))
    monkeypatch.setattr(suite_checks, "_trial", lambda installed: iter(()))
    assert "parameters" not in machine.look("sas"), "no params file names one"
    layout.params("xmm").write_text(
        '[fetch]\n[events]\nbackend = "sas"\n[clean]\n[clean.sas.espfilt]\nallowsigma = 2.5\n'
        '[clean.obs."0404910601".sas.espfilt]\nrangescale = 20.0\nwithlongnames = true\n'
        '[clean.obs."0404910601".sas.evselect_oot]\nwritedss = true\n[images]\nbackend = "native"\n[sources]\n'
    )
    found = machine.look("sas")["parameters"]
    assert found.state == "error"
    assert found.found == "espfilt of SAS 22.1.0 has no parameter withlongnames", "it is one of SAS 20"
    assert "[clean.sas.espfilt] in params/xmm.toml" in found.remedy
    layout.params("xmm").write_text(layout.params("xmm").read_text().replace("withlongnames = true\n", ""))
    found = machine.look("sas")["parameters"]
    assert (found.state, found.found) == ("ok", "the 3 that the params files name are those of SAS 22.1.0")
    asked = suite_checks.find_installation("sas").program("espfilt")
    content = Path(asked).read_text()
    Path(asked).write_text("#!/bin/sh\necho '** espfilt: error (MissingParameter), eventfile'\nexit 1\n")
    try:
        found = machine.look("sas")["parameters"]
    finally:
        Path(asked).write_text(content)
    assert (found.state, found.found) == ("note", "espfilt of SAS list no parameters")


def test_calibration_files_of_sas_are_as_old_as_they_say_however_late_they_were_copied(machine, tmp_path, monkeypatch):
    layout = make_archive(tmp_path / "a907")
    monkeypatch.chdir(layout.root)
    monkeypatch.setattr(suite_checks, "_trial", lambda installed: iter(()))
    monkeypatch.setattr(suite_checks, "backend_of_step", lambda *_: "sas")
    place = tmp_path / "sas"
    install_suite(place, "sas")
    calibration = tmp_path / "ccf"
    write_ccf(calibration, "XMM_MISCDATA_0022.CCF", submitted="2001-06-02T06:00:02")
    machine.set_up("sas", **sas(place, SAS_CCFPATH=calibration))
    found = machine.look("sas")["calibration"]
    assert found.state == "warning"
    assert "the newest of 2001-06-02: " in found.found
    write_ccf(calibration, "XMM_MISCDATA_0023.CCF", submitted="2020-06-02T06:00:02")
    found = machine.look("sas")
    assert (found["calibration"].state, "age" in found) == ("ok", False)
    # The release was built in March of 2025.
    write_ccf(calibration, "XMM_MISCDATA_0024.CCF", submitted="2029-06-02T06:00:02")
    found = machine.look("sas")["age"]
    assert (found.state, "built on 2025-03-04" in found.found, "of 2029-06-02" in found.found) == (
        "warning",
        True,
        True,
    )


def test_suites_without_a_trial_say_so(machine, software):
    place = software["heasoft"]
    config = place / "calibration" / "index"
    machine.set_up("heasoft", PATH=f"{place}/bin:/bin", HEADAS=place, CALDB=config.parent, CALDBCONFIG=config)
    found = machine.look("heasoft")
    assert (found["software"].found, found["trial"].state) == ("HEASoft 6.36", "note")


def test_the_command_shows_one_suite_and_runs_none_unasked(machine, software, capsys):
    machine.set_up("sas", **sas(software["sas"]))
    assert main(["doctor", "sas", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["part"] for one in lines} == {"sas"}
    assert {"part", "name", "state", "found", "remedy"} == set(lines[0])
    machine.file.write_text('[backends.sas]\ninit = "touch ~/unasked"\n')
    assert main(["doctor", "machine", "backends"]) == 0
    assert not Path(os.environ["HOME"], "unasked").exists()
    assert main(["doctor", "saz"]) == 3
    assert "did you mean sas" in capsys.readouterr().err.replace("'", "")
    assert not set(ASKED) & set(PARTS)


def test_a_cluster_is_tried_and_its_directory_removed(machine):
    (only,) = machine.look("cluster").values()
    assert (only.state, "neither an address nor a kind" in only.found) == ("error", True)
    machine.file.write_text('[cluster]\nkind = "local"\nmemory = "1 GB"\npatience = 60\n')
    found = machine.look("cluster")
    assert {name for name, one in found.items() if one.state == "ok"} >= {"settings", "scheduler", "worker", "versions"}
    assert found["file system"].state == "ok"
    assert "--executor dask" in found["executor"].remedy
    assert list((machine.home / "cache").iterdir()) == []
    machine.file.write_text('[cluster]\naddress = "http://a"\n')
    assert machine.look("cluster")["cluster"].state == "error"
