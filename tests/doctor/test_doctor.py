"""What `daxa doctor` finds, under real conditions where these can be had: each with a remedy, none with a secret."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from daxa.cli import main
from daxa.doctor import PARTS, STATES, disk_checks, examine
from daxa.doctor.finding import Finding, pasteable
from tests.cli.commandline import daxa
from tests.fetch.pages import nginx_server
from tests.stages.archives import IDS, make_archive, set_parameter


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch, identity):
    """A store, a cache and a home of this test's own."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("DAXA_CONFIG", str(home / "no-config.toml"))
    monkeypatch.setenv("DAXA_STORE", str(home / "store"))
    monkeypatch.setenv("DAXA_CACHE", str(home / "cache"))
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def archive(tmp_path, monkeypatch):
    layout = make_archive(tmp_path / "home" / "a907")
    (layout.root / ".dvc").mkdir(exist_ok=True)
    monkeypatch.chdir(layout.root)
    return layout


def found(*parts: str, directory: Path | None = None, network: bool = False) -> dict[str, Finding]:
    """Name to finding; of each that is not as it should be, a remedy is asked for."""
    findings = list(examine(directory or Path.cwd(), network=network, parts=parts))
    assert {one.state for one in findings} <= set(STATES)
    assert {one.part for one in findings} <= set(PARTS)
    assert all(bool(one.remedy) == (one.state != "ok") for one in findings)
    return {one.name: one for one in findings}


def test_a_sound_machine_has_no_errors_and_nothing_stays_written(places, capsys):
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    for part in ("machine", "python", "git", "dvc", "disk", "backends"):
        assert f"\n{part} " in shown
    assert str(places) not in shown
    assert "~/store" in shown
    assert list(places.iterdir()) == []


def test_the_report_is_one_line_of_json_each(archive, capsys):
    before = subprocess.run(["git", "status", "--porcelain"], cwd=archive.root, capture_output=True, check=True).stdout
    assert main(["doctor", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"part", "name", "state", "found", "remedy"} == {*lines[0]}
    assert {"archive", "remotes"} <= {line["part"] for line in lines}
    after = subprocess.run(["git", "status", "--porcelain"], cwd=archive.root, capture_output=True, check=True).stdout
    assert before == after
    assert sorted(path.name for path in (archive.root / ".git").glob(".daxa*")) == []


def test_only_some_parts_are_shown_and_others_are_refused(capsys):
    assert main(["doctor", "git", "--json"]) == 0
    assert {json.loads(line)["part"] for line in capsys.readouterr().out.splitlines()} == {"git"}
    assert main(["doctor", "gti"]) == 3
    assert "did you mean git" in capsys.readouterr().err


def test_without_git_on_the_path_the_rest_is_told(archive, tmp_path):
    """In a process of its own: GitPython looks for Git when it is imported."""
    (tmp_path / "nothing").mkdir()
    ended = daxa(
        "doctor", cwd=archive.root, environ={"PATH": str(tmp_path / "nothing"), "HOME": str(tmp_path / "home")}
    )
    assert ended.returncode == 1, ended.stderr
    assert "there is no git on PATH" in ended.stdout
    assert "\nbackends " in ended.stdout
    assert "\n  -> install Git 2.29 or newer" in ended.stdout
    assert ended.stderr == ""


@pytest.mark.parametrize("said", ["git version 2.17.1", "not git at all"])
def test_a_git_that_is_too_old_or_missing_is_an_error(tmp_path, monkeypatch, said):
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho {said}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    assert found("git")["program"].state == "error"


def test_git_that_does_not_know_who_commits(monkeypatch):
    for role in ("AUTHOR", "COMMITTER"):
        for word in ("NAME", "EMAIL"):
            monkeypatch.delenv(f"GIT_{role}_{word}")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.useConfigOnly")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "true")
    one = found("git")["identity"]
    assert (one.state, "git config --global user.name" in one.remedy) == ("error", True)


@contextmanager
def mounted(place: Path, *commands: list[str]):
    """A file system at a place, where this user may mount one."""
    if os.geteuid():
        pytest.skip("only root can mount")
    try:
        for command in commands:
            if subprocess.run(command, check=False, capture_output=True).returncode:
                pytest.skip("this system lets nobody mount")
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=False, capture_output=True)


def test_a_disk_that_is_mounted_read_only(places):
    store = places / "store"
    store.mkdir()
    bind, ro = ["mount", "--bind", str(store), str(store)], ["mount", "-o", "remount,bind,ro,noexec", str(store)]
    with mounted(store, bind, ro):
        findings = found("disk")
    assert findings["store writable"].state == "error"
    assert "Read-only file system" in findings["store writable"].found
    assert "DAXA_STORE" in findings["store writable"].remedy
    assert findings["store programs"].state == "note"
    assert findings["cache writable"].state == "ok"


@pytest.mark.skipif(not os.geteuid(), reason="root may write everywhere")
def test_a_directory_that_may_not_be_written(places):
    (places / "store").mkdir(mode=0o500)
    assert "Permission denied" in found("disk")["store writable"].found


def test_a_disk_that_is_full(places):
    store = places / "store"
    store.mkdir()
    with mounted(store, ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(store)]):
        (store / "filling").write_bytes(b"x" * (64 << 10))
        findings = found("disk")
    assert findings["store space"].state == "error"
    assert "No space left on device" in findings["store writable"].found
    assert findings["store writable"].state == "error"


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize(
    ("name", "value", "finding"),
    [
        ("os.link", refuse, "note: hard links"),
        ("fcntl.flock", lambda *_: None, "error: locks"),
        ("fcntl.flock", refuse, "error: locks"),
        ("os.utime", lambda *_, **__: None, "warning: times"),
        ("pathlib.Path.rename", refuse, "error: renames"),
    ],
)
def test_file_systems_that_do_otherwise(monkeypatch, tmp_path, name, value, finding):
    """Such file systems cannot be mounted in a test: what they answer is."""
    place = tmp_path / "place"
    place.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(name, value)
        findings = {one.name: one for one in disk_checks.look_at_place("store", place)}
    state, trap = finding.split(": ")
    assert findings[f"store {trap}"].state == state
    assert {one.name for one in disk_checks.look_at_place("store", place)} == {"store space", "store writable"}


def test_names_of_which_only_the_case_differs(monkeypatch, tmp_path):
    usual = Path.write_bytes

    def folding(path: Path, content: bytes) -> int:
        return usual(path.with_name(path.name.lower()), content)

    monkeypatch.setattr(Path, "write_bytes", folding)
    monkeypatch.setattr(Path, "exists", lambda path: path.with_name(path.name.lower()).is_file())
    findings = {one.name: one for one in disk_checks.look_at_place("store", tmp_path)}
    assert findings["store case"].state == "warning"


def test_a_store_on_another_disk_is_reported(archive, monkeypatch):
    other = Path("/dev/shm")  # noqa: S108 - it is looked at, and no file is left there
    if not other.is_dir() or other.stat().st_dev == archive.root.stat().st_dev:
        pytest.skip("there is no other disk")
    monkeypatch.setenv("DAXA_STORE", str(other))
    assert found("disk")["links to the store"].state == "note"


@pytest.mark.parametrize("works", [True, False])
def test_products_that_take_twice_the_space_are_reported(archive, monkeypatch, works):
    subprocess.run(["git", "add", "."], cwd=archive.root, check=True)
    subprocess.run(["git", "commit", "-qm", "Choose"], cwd=archive.root, check=True)
    monkeypatch.setattr("fcntl.ioctl", (lambda *_: 0) if works else refuse)
    assert ("DVC cache reflinks" in found("disk")) != works


def test_remotes_of_an_archive(archive, monkeypatch):
    config = archive.root / ".dvc" / "config"
    config.write_text("")
    assert found("remotes")["none"].state == "note"
    config.write_text(
        "[core]\n    remote = lab\n"
        "['remote \"lab\"']\n    url = ../../storage\n"
        "['remote \"far\"']\n    url = gs://bucket/a907\n"
        "['remote \"web\"']\n    url = https://me@h.example/a907\n"
        "['remote \"strange\"']\n    url = ~nobody-here/a907\n"
    )
    findings = found("remotes")
    assert "~nobody-here/a907 does not exist" in findings["strange"].found
    assert (findings["lab"].state, findings["far"].state) == ("warning", "error")
    assert "dvc[gs]" in findings["far"].remedy
    assert findings["web"].found == "https://h.example/a907"
    (archive.root.parent / "storage").mkdir()
    assert found("remotes")["lab"] == Finding("remotes", "lab", "ok", "~/storage")


def test_what_is_wrong_with_the_archives_files_is_a_finding(archive, capsys):
    sound = found("archive")
    assert sound["software"].state == "ok"
    archive.software.write_text(archive.software.read_text().replace('version = "', 'version = "0.'))
    set_parameter(archive, "clean", "flare_sgima", 2)
    findings = found("archive")
    assert findings["software"].state == "error"
    assert "locked to other versions: xmm fetch" in findings["software"].found
    assert main(["doctor", "archive"]) == 1
    archive.config.write_text("format = ")
    findings = found()
    assert findings["daxa.toml"].state == "error"
    assert findings["native"].state == "ok"
    assert "Traceback" not in capsys.readouterr().err


def test_problems_of_parameters_are_counted(archive):
    subprocess.run(["git", "add", "."], cwd=archive.root, check=True)
    subprocess.run(["git", "commit", "-qm", "Choose"], cwd=archive.root, check=True)
    assert found("archive")["files"].state == "ok"
    set_parameter(archive, "clean", "flare_sgima", 2)
    set_parameter(archive, "clean", "energy", "x", obs_id=IDS[0])
    findings = found("archive")
    assert findings["problems"].found.startswith("2 in its files, such as xmm.toml")
    assert "`daxa check`" in findings["problems"].remedy


def test_settings_that_cannot_be_used(places, monkeypatch):
    (places / "bad.toml").write_text("workers = 'many'\n")
    monkeypatch.setenv("DAXA_CONFIG", str(places / "bad.toml"))
    assert found("settings")["settings"].state == "error"


@pytest.fixture
def closed(monkeypatch):
    """The address of a port on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for name in ("SESAME", "SIMBAD_TAP", "NED"):
            monkeypatch.setenv(f"DAXA_{name}", f"{address}/{name.lower()}")
        yield address


def test_the_servers_of_the_archives_missions_are_contacted_on_request(archive, monkeypatch, closed):
    assert "services" not in {one.part for one in examine(archive.root)}
    with nginx_server({"tap/availability": b"<up/>", "files/a": b"x"}) as server:
        monkeypatch.setenv("DAXA_HEASARC_TAP", f"{server.url}/tap")
        monkeypatch.setenv("DAXA_XSA_TAP", f"{closed}/tap")
        monkeypatch.setenv("DAXA_MIRRORS_XMM", f"nginx+{server.url}/files")
        findings = [one for one in examine(archive.root, network=True) if one.part == "services"]
        assert sorted(server.seen) == ["files/", "tap/availability"]
        monkeypatch.setenv("DAXA_OFFLINE", "1")
        assert found("services", network=True)["offline"].state == "note"
        assert len(server.seen) == 2
    states = {one.found.partition(": ")[0]: one.state for one in findings if one.name == "xmm"}
    assert states == {f"{server.url}/tap": "ok", f"{closed}/tap": "warning", f"{server.url}/files": "ok"}
    assert [one.state for one in findings if one.name == "names of objects"] == ["warning"] * 3


def test_a_server_that_only_a_strangers_archive_names_is_not_contacted(archive, monkeypatch, closed):
    with nginx_server({"a": b"x"}) as server, nginx_server({"tap/availability": b"x"}) as theirs:
        monkeypatch.setenv("DAXA_XSA_TAP", f"{closed}/tap")
        monkeypatch.setenv("DAXA_MIRRORS_XMM", f"nginx+{server.url}")
        (archive.root.parent / "own.toml").write_text(f'heasarc_tap = "{closed}/own"\n')
        monkeypatch.setenv("DAXA_CONFIG", str(archive.root.parent / "own.toml"))
        archive.config.write_text(f'{archive.config.read_text()}\n[services]\nheasarc_tap = "{theirs.url}/tap"\n')
        findings = [one for one in examine(archive.root, network=True) if one.part == "services"]
        assert "leads to another service" in findings[0].found
        assert (theirs.seen, server.seen) == ([], [""])
        assert f"{closed}/own" in " ".join(one.found for one in findings[1:])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:key@h.example/x", "https://h.example/x"),
        ("s3://token@bucket/a907?X-Sig=1", "s3://bucket/a907"),
        ("/home/me", "~"),
        ("/home/me/store, /home/me2/x", "~/store, /home/me2/x"),
        ("\x1b[2Jx", "?[2Jx"),
        ("what is it?", "what is it?"),
    ],
)
def test_reports_contain_no_secrets(text, shown):
    one = pasteable(Finding("a", "b", "note", text, text), "/home/me")
    assert "\x1b" not in one.found
    assert one.found == shown or text.startswith("\x1b")
    assert one.remedy == one.found
