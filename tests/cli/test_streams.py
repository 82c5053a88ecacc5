"""Streams that are closed or full, no home, a disk that refuses: no traceback, and an exit code that says it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from daxa.archive import dvc, git
from daxa.cli import main
from daxa.cli.show import show_text
from daxa.errors import ConfigError, StorageError
from daxa.settings import has_home, load_settings

STORAGE = 12


def shell(command: str, place: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """A command line in which ``daxa`` is this one."""
    daxa = f'"{sys.executable}" -m daxa'
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DAXA_")}
    return subprocess.run(
        ["/bin/sh", "-c", command.replace("daxa", daxa, 1)],
        cwd=place,
        env={**kept, "DAXA_CONFIG": str(place / "none.toml"), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("buffering", ["", "1"])
@pytest.mark.parametrize("arguments", ["missions", "missions --json", "--help", "missions --help"])
def test_results_that_nobody_can_keep_are_an_error(tmp_path, arguments, buffering):
    ended = shell(f"daxa {arguments} > /dev/full", tmp_path, PYTHONUNBUFFERED=buffering)
    assert ended.returncode == STORAGE
    assert "Traceback" not in ended.stderr
    assert "Exception" not in ended.stderr
    assert "no space left" in ended.stderr.lower()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("daxa missions >&-", 0),
        ("daxa missions <&- >&- 2>&-", 0),
        ("daxa status 2>&-", 5),
        ("daxa status 2>/dev/full", 5),
        ("daxa nonsense 2>/dev/full", 2),
    ],
)
def test_closed_streams_change_no_exit_code(tmp_path, command, code):
    ended = shell(command, tmp_path)
    assert ended.returncode == code
    assert "Traceback" not in ended.stderr


def test_a_closed_stream_is_not_taken_by_the_next_file(tmp_path):
    """Else what a child prints would land in whatever file was opened next."""
    code = (
        "import os, sys; from daxa.cli import main; main(['--version'])\n"
        "opened = os.open('precious', os.O_CREAT | os.O_WRONLY); os.system('echo printed'); sys.exit(opened < 3)"
    )
    ended = subprocess.run(["sh", "-c", f'"{sys.executable}" -c "{code}" >&- 2>&-'], cwd=tmp_path, check=False)
    assert ended.returncode == 0
    assert (tmp_path / "precious").read_bytes() == b""


def test_a_terminal_without_our_characters_is_no_reason_to_fail(tmp_path):
    ended = shell("daxa missions xmm", tmp_path, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert ended.returncode == 0
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "before",
    [
        "import atexit; atexit.register(left.touch)",
        "import threading, time; threading.Thread(target=lambda: (time.sleep(0.1), left.touch())).start()",
        "import atexit; atexit.register(left.touch); sys.setprofile(lambda *_: None)",
    ],
    ids=["handler", "thread", "profiler"],
)
@pytest.mark.parametrize(("verb", "code"), [("--version", 0), ("nonsense", 2)])
def test_the_program_ends_at_once_but_not_before_what_is_to_happen_at_the_end(tmp_path, before, verb, code):
    script = (
        f"import sys; from pathlib import Path; left = Path('left'); {before}\n"
        f"sys.argv = ['daxa', '{verb}']; from daxa.cli import run; print('first'); run()"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.splitlines()[0]) == (code, "first")
    assert ("daxa" in ended.stdout) == (code == 0)
    assert (tmp_path / "left").exists()


@pytest.mark.parametrize(
    ("number", "code"), [("EACCES", "storage.unwritable"), ("EROFS", "storage.unwritable"), ("ENOSPC", "storage.full")]
)
def test_what_the_system_refuses_is_an_error_with_the_file(tmp_path, monkeypatch, capsys, number, code):
    def refuse(*_arguments, **_options):
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)), str(tmp_path / "dvc.lock"))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("daxa.api.open", refuse)
    assert main(["status", "--json"]) == STORAGE
    said = capsys.readouterr().err
    assert f'"{code}"' in said
    assert "dvc.lock" in said


def test_other_errors_of_the_system_are_bugs(tmp_path, monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError(errno.EBADF, "bad file descriptor")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("daxa.api.open", refuse)
    with pytest.raises(OSError, match="bad file"):
        main(["status"])


def test_a_full_output_is_named_as_such(monkeypatch):
    class Full:
        def write(self, _text):
            raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    with pytest.raises(StorageError) as caught:
        show_text("result")
    assert caught.value.code == "storage.output"


def test_without_git_there_is_a_sentence(tmp_path):
    (tmp_path / "daxa.toml").write_text('format = 1\nname = "a"\n[missions]\n')
    git.initialise(tmp_path)
    ended = shell("daxa release", tmp_path, PATH=str(tmp_path), GIT_PYTHON_GIT_EXECUTABLE="")
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 13
    assert "install git" in ended.stderr.lower()


def test_without_a_home_the_given_places_suffice(monkeypatch):
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert not has_home()
    settings = load_settings(environ={"DAXA_STORE": "/scratch/store", "DAXA_CACHE": "/scratch/cache"})
    assert (settings.store, settings.cache) == (Path("/scratch/store"), Path("/scratch/cache"))
    with pytest.raises(ConfigError, match="home") as caught:
        load_settings(environ={})
    assert "DAXA_STORE" in caught.value.remedy


def can_be_nobody() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("setpriv") is not None


# Programs of root's stay readable, since Python itself may be one of them.
NOBODY = (
    "setpriv --reuid=54321 --regid=54321 --clear-groups --inh-caps=+dac_read_search --ambient-caps=+dac_read_search "
    "--bounding-set=+dac_read_search"
)


@pytest.fixture
def open_place():
    """A directory that every user of the machine reaches, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        yield Path(place)


@pytest.mark.skipif(not can_be_nobody(), reason="only root can be somebody whom the system does not know")
def test_a_user_whom_the_system_does_not_know_can_work(open_place):
    """As in containers and batch systems: no HOME, no entry in the list of users, few variables."""
    code = (
        "import sys; from pathlib import Path; from daxa.cli import main; from daxa.archive import dvc, git\n"
        "root = Path('a907'); root.mkdir(); git.check_identity(root); git.initialise(root)\n"
        "(root / '.dvc').mkdir(); (root / '.dvc/config').write_text('')\n"
        "(root / 'dvc.yaml').write_text('stages:\\n  make:\\n    cmd: echo made > out\\n    outs: [out]\\n')\n"
        "git.commit(root, ['dvc.yaml', '.dvc/config'], 'first'); dvc.repro(root); dvc.changed_stages(root)\n"
        "sys.exit(main(['ls']))"
    )
    given = {
        **{f"GIT_{role}_{what}": "ada@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        "PATH": os.environ["PATH"],
        "DAXA_STORE": str(open_place / "store"),
        "DAXA_CACHE": str(open_place / "cache"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    argv = [
        *NOBODY.split(),
        "env",
        "-i",
        *(f"{name}={value}" for name, value in given.items()),
        sys.executable,
        "-c",
        code,
    ]
    ended = subprocess.run(argv, cwd=open_place, capture_output=True, text=True, check=False)
    if "setpriv:" in ended.stderr:
        pytest.skip(ended.stderr.strip())
    assert "Traceback" not in ended.stderr, ended.stderr
    assert ended.returncode == 5, ended.stderr
    assert (open_place / "a907" / "out").read_text() == "made\n"
    assert not list(open_place.rglob("~*"))


@pytest.mark.skipif(not can_be_nobody(), reason="only root can mount")
def test_where_nothing_can_be_written_it_is_one_error(tmp_path, identity, monkeypatch):
    root = tmp_path / "a907"
    root.mkdir()
    git.initialise(root)
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text("")
    (root / "dvc.yaml").write_text("stages:\n  make:\n    cmd: echo made > out\n    outs: [out]\n")
    bind = ["mount", "--bind", str(root), str(root)]
    if subprocess.run(bind, check=False, capture_output=True).returncode:
        pytest.skip("this system lets nobody mount")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(root)], check=True, capture_output=True)
        monkeypatch.chdir(tmp_path)
        for call in (
            lambda: dvc.repro(root),
            lambda: dvc.changed_stages(root),
            lambda: git.commit(root, ["dvc.yaml"], "first"),
        ):
            with pytest.raises(StorageError) as caught:
                call()
            assert caught.value.code == "storage.unwritable"
            assert str(root) in caught.value.message
        assert main(["init", "a907/new", "--mission", "xmm", "--obsid", "0404910601"]) == STORAGE
    finally:
        subprocess.run(["umount", str(root)], check=True)
