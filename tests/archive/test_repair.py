"""What a killed DVC leaves torn is repaired, what is whole is left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import psutil
import pytest

from daxa.archive import dvc, git
from daxa.archive.repair import is_process_active, is_truncated, lock_held, repair
from daxa.errors import ArchiveError, DaxaError, StorageError

PIPELINE = """\
stages:
  make:
    cmd: echo made > out
    outs: [out]
  sort:
    cmd: mkdir -p sorted; sort out > sorted/one; echo run >> runs
    deps: [out]
    outs: [sorted]
"""


@pytest.fixture
def archive(tmp_path, identity):
    """A repository with two trivial stages."""
    git.initialise(tmp_path)
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    return tmp_path


@pytest.fixture
def whole(archive):
    """The content of a ``dvc.lock`` as DVC wrote it."""
    dvc.repro(archive)
    return (archive / "dvc.lock").read_text()


@pytest.mark.parametrize("torn", [b"", b'{"write": {"/some'])
def test_a_torn_list_of_paths_is_repaired(archive, torn):
    (archive / ".dvc" / "tmp" / "rwlock").write_bytes(torn)
    dvc.repro(archive)
    assert (archive / "out").read_text() == "made\n"


@pytest.mark.parametrize("name", ["dvc.lock", ".dvc/tmp/rwlock"])
def test_dvc_itself_cannot_go_on_with_a_torn_file(archive, monkeypatch, name):
    """If this fails, DVC has learnt it, and `repair` has less to do."""
    (archive / name).write_bytes(b"")
    monkeypatch.setattr(dvc, "repair", lambda root: False)
    with pytest.raises(DaxaError):
        dvc.repro(archive)


def test_a_healthy_list_of_paths_is_left_alone(archive):
    lock = archive / ".dvc" / "tmp" / "rwlock"
    lock.write_text(json.dumps({"write": {}, "read": {}}))
    assert not repair(archive)
    assert lock.exists()


def test_a_lock_cut_anywhere_is_repaired_to_stages_that_dvc_wrote(archive, whole):
    path, blocks = archive / "dvc.lock", whole.split("  sort:\n")
    assert not repair(archive)
    assert path.read_text() == whole
    for end in range(len(whole)):
        path.write_text(whole[:end])
        torn = is_truncated(whole[:end])
        assert repair(archive) == torn
        left = path.read_text() if path.exists() else ""
        if torn:
            assert left in ("", blocks[0]), whole[:end]
        else:
            # What DVC still needs of a stage is absent as a whole, so that it sees the stage as changed.
            assert left == whole[:end]
            assert whole[end:].startswith(("  sort:", "    deps:", "    outs:"))


@pytest.mark.parametrize("share", [0.0, 0.4, 0.7, 0.95])
def test_after_a_torn_lock_the_pipeline_ends_with_the_same_one(archive, whole, share):
    path = archive / "dvc.lock"
    path.write_text(whole[: int(share * len(whole))])
    dvc.repro(archive)
    assert path.read_text() == whole


def test_a_lock_that_dvc_may_be_writing_is_left_alone(archive, whole):
    path = archive / "dvc.lock"
    path.write_text(whole[:-30])
    with lock_held(archive) as alone:
        assert alone
        assert not repair(archive)
        with pytest.raises(ArchiveError), dvc.excluded(archive):
            pass
    assert path.read_text() == whole[:-30]
    assert repair(archive)


@pytest.mark.parametrize("block", [512, 64, 7])
def test_zeros_of_a_power_cut_are_cut_away(archive, whole, block):
    """Blocks that never reached the disk read as zeros: at the end, in the middle, or everywhere."""
    path, content = archive / "dvc.lock", whole.encode()
    for start in range(0, len(content), block):
        path.write_bytes(content[:start] + bytes(len(content[start : start + block])) + content[start + block :])
        assert repair(archive)
        left = path.read_bytes() if path.exists() else b""
        assert content.startswith(left)
        assert not left or not is_truncated(left.decode())
    path.write_bytes(bytes(len(content)))
    dvc.repro(archive)
    assert path.read_text() == whole


def test_a_list_of_zeros_is_repaired_and_one_of_the_dead_too(archive):
    lock = archive / ".dvc" / "tmp" / "rwlock"
    lock.write_bytes(bytes(80))
    assert repair(archive)
    # A process that began after the list was written only has the number of the one that is meant.
    lock.write_text(json.dumps({"write": {str(archive / "out"): {"pid": os.getpid(), "cmd": "dvc repro"}}, "read": {}}))
    assert not repair(archive)
    assert is_process_active(archive)
    long_ago = psutil.Process().create_time() - 3600
    os.utime(lock, (long_ago, long_ago))
    assert not is_process_active(archive)
    assert repair(archive)
    assert not lock.exists()


def test_a_killed_process_that_nobody_has_reaped_holds_nothing(archive):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as killed:
        held = {"write": {str(archive / "out"): {"pid": killed.pid, "cmd": "dvc repro"}}, "read": {}}
        (archive / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(held))
        assert is_process_active(archive)
        killed.kill()
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
        assert psutil.Process(killed.pid).status() == psutil.STATUS_ZOMBIE
        assert not is_process_active(archive)
        assert repair(archive)


def test_who_works_is_named_in_our_words_alone(archive, capfd):
    busy = {"write": {str(archive / "out"): {"pid": os.getpid(), "cmd": "dvc repro"}}, "read": {}}
    (archive / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(busy))
    with pytest.raises(ArchiveError) as caught:
        dvc.repro(archive)
    assert caught.value.code == "archive.busy"
    shown = capfd.readouterr()
    assert "manually remove" not in shown.out + shown.err


def test_what_dvc_advises_is_not_shown_and_all_else_is(archive, capfd):
    dvc.repro(archive)
    shown = capfd.readouterr()
    assert "Running stage 'sort':" in shown.out
    assert "> mkdir -p sorted" in shown.out
    for advice in ("git add", "autostage", "dvc push", "staging"):
        assert advice not in shown.out + shown.err


def test_a_lock_file_that_is_not_yaml_is_named_with_the_exact_command(archive, whole):
    git.commit(archive, ["dvc.yaml", "dvc.lock"], "first")
    (archive / "dvc.lock").write_text(whole.replace("  make:", "  make: }{", 1))
    with pytest.raises(ArchiveError) as caught:
        dvc.repro(archive)
    assert caught.value.code == "archive.lock-damaged"
    subprocess.run(caught.value.remedy.partition(",")[0], shell=True, check=True)  # noqa: S602 - as the reader would
    dvc.repro(archive)
    assert (archive / "dvc.lock").read_text() == whole


def test_repairs_write_through_no_link(archive, whole, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "precious"
    outside.write_text("mine")
    (archive / ".dvc.lock.part").symlink_to(outside)
    (archive / "dvc.lock").write_text(whole[:-30])
    assert repair(archive)
    assert outside.read_text() == "mine"
    (archive / ".dvc" / "tmp" / "lock").unlink()
    (archive / ".dvc" / "tmp" / "lock").symlink_to(outside.with_name("made"))
    with pytest.raises(StorageError), lock_held(archive):
        pass
    assert not outside.with_name("made").exists()
