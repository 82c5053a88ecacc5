"""Real storage on loopback: SFTP, S3, WebDAV and plain HTTP are pushed to, pulled from, and pulled in part."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from daxa.archive import git
from daxa.archive.layout import Layout
from daxa.publish.releases.verify import verify_archive
from daxa.publish.sharing.pull import pull_data
from daxa.publish.sharing.push import push_releases
from daxa.publish.sharing.remotes import add_remote, try_remote
from daxa.run.process import FinishedProgram, run_program
from tests.publish.workshop import FIRST, run

PATIENCE = 30


@pytest.fixture(autouse=True, scope="module")
def dvc_that_starts_at_once(forked_dvc):
    """Storages are reached by a DVC that was started as daxa starts it: libraries of networks do not like forks."""

    def run_dvc(argv: Sequence[str], **options: object) -> FinishedProgram:
        return (forked_dvc if argv[4] in ("commit", "config", "remote", "status") else run_program)(argv, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("daxa.archive.dvc.run_program", run_dvc)
        yield


def needs(*modules: str) -> None:
    for module in modules:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(argv: list[str], port: int, log: Path) -> Iterator[None]:
    """A server in a process of its own, once it listens."""
    with log.open("wb") as stream, subprocess.Popen(argv, stdout=stream, stderr=stream, cwd=log.parent) as child:
        try:
            end = time.monotonic() + PATIENCE
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                if child.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"{argv[0]} does not serve: {log.read_text(errors='replace')[-500:]}")
                time.sleep(0.1)
            yield
        finally:
            child.terminate()


def local(layout: Layout, **settings: str) -> None:
    for key, value in settings.items():
        run(layout.root, "dvc", "remote", "modify", "--local", "there", key, value)


def exchange(layout: Layout, place: Path, **settings: str) -> None:
    """Push, then pull a part and then all of it into a clone with an empty cache."""
    trial = try_remote(layout, "there")
    assert (trial.written, trial.read) == (True, True)
    sent = push_releases(layout, remote="there")
    assert sent.sent == sent.objects
    fetch_into(layout, place, **settings)


def fetch_into(layout: Layout, place: Path, **settings: str) -> None:
    clone = Layout(place / "clone")
    run(place, "git", "clone", "-q", str(layout.root), "clone")
    local(clone, **settings)
    part = pull_data(clone, obs_ids=[FIRST], remote="there")
    assert part.ok
    assert part.fetched
    assert verify_archive(clone, present=True, obs_ids=[FIRST]).ok
    whole = pull_data(clone, remote="there")
    assert whole.ok
    assert whole.files > part.files
    assert verify_archive(clone).ok


def test_sftp(released, tmp_path):
    needs("dvc_ssh")
    server = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    keygen = shutil.which("ssh-keygen")
    if not server or not keygen:
        pytest.skip("there is no sshd (Debian: openssh-server)")
    if os.geteuid() == 0 and "sshd" not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("sshd was not set up: its user is missing (Debian: dpkg-reconfigure openssh-server)")
    port, place = free_port(), tmp_path / "ssh"
    place.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", place / name], check=True)
    shutil.copy(place / "user.pub", place / "authorized")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    options = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": place / "host",
        "AuthorizedKeysFile": place / "authorized",
        "PidFile": place / "pid",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "Subsystem": "sftp internal-sftp",
    }
    (place / "config").write_text("".join(f"{name} {value}\n" for name, value in options.items()))
    with serving([server, "-D", "-e", "-f", str(place / "config")], port, place / "log"):
        add_remote(released.layout, "there", f"ssh://127.0.0.1:{port}{tmp_path}/objects", attempt=False)
        settings = {"keyfile": str(place / "user"), "user": getpass.getuser()}
        local(released.layout, **settings)
        exchange(released.layout, tmp_path, **settings)


def test_s3(released, tmp_path, monkeypatch):
    needs("dvc_s3", "moto", "flask")
    port = free_port()
    for name, value in {"ACCESS_KEY_ID": "me", "SECRET_ACCESS_KEY": "mine", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    (tmp_path / "nothing").touch()
    for name in ("CONFIG_FILE", "SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(f"AWS_{name}", str(tmp_path / "nothing"))
    with serving([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port, tmp_path / "log"):
        base = f"http://127.0.0.1:{port}"
        urllib.request.urlopen(urllib.request.Request(f"{base}/bucket", method="PUT"), timeout=PATIENCE).close()
        add_remote(released.layout, "there", "s3://bucket/a907", attempt=False)
        local(released.layout, endpointurl=base)
        exchange(released.layout, tmp_path, endpointurl=base)
        assert try_remote(released.layout, "there").anonymous is False, "nobody else may read this bucket"


def test_webdav(released, tmp_path):
    needs("dvc_webdav", "wsgidav", "cheroot")
    port, root = free_port(), tmp_path / "dav"
    (root / "a907").mkdir(parents=True)
    program = "from wsgidav.server.server_cli import run; run()"
    argv = [sys.executable, "-c", program, "--host", "127.0.0.1", "--port", str(port), "--root", str(root)]
    with serving([*argv, "--auth", "anonymous", "--no-config"], port, tmp_path / "log"):
        add_remote(released.layout, "there", f"webdav://127.0.0.1:{port}/a907")
        exchange(released.layout, tmp_path)


def test_plain_http_is_for_reading(released, tmp_path):
    port = free_port()
    argv = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(tmp_path / "remote")]
    with serving([*argv, str(port)], port, tmp_path / "log"):
        trial = add_remote(released.layout, "there", f"http://127.0.0.1:{port}/")
        assert (trial.written, trial.read) == (None, None)
        assert not git.changes(released.layout.root)
        fetch_into(released.layout, tmp_path)
