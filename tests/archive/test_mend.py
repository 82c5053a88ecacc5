"""What a killed DVC leaves torn is mended, what is whole is left alone."""

from __future__ import annotations

import json

import pytest

from daxa.archive import dvc, git
from daxa.archive.mend import held, is_torn, mend
from daxa.errors import ArchiveError, ProgramError

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
def test_a_torn_list_of_paths_is_mended(archive, torn):
    (archive / ".dvc" / "tmp" / "rwlock").write_bytes(torn)
    dvc.repro(archive)
    assert (archive / "out").read_text() == "made\n"


@pytest.mark.parametrize("name", ["dvc.lock", ".dvc/tmp/rwlock"])
def test_dvc_itself_cannot_go_on_with_a_torn_file(archive, monkeypatch, name):
    """If this fails, DVC has learnt it, and `mend` has less to do."""
    (archive / name).write_bytes(b"")
    monkeypatch.setattr(dvc, "mend", lambda root: False)
    with pytest.raises(ProgramError):
        dvc.repro(archive)


def test_a_healthy_list_of_paths_is_left_alone(archive):
    lock = archive / ".dvc" / "tmp" / "rwlock"
    lock.write_text(json.dumps({"write": {}, "read": {}}))
    assert not mend(archive)
    assert lock.exists()


def test_a_lock_cut_anywhere_is_mended_to_stages_that_dvc_wrote(archive, whole):
    path, blocks = archive / "dvc.lock", whole.split("  sort:\n")
    assert not mend(archive)
    assert path.read_text() == whole
    for end in range(len(whole)):
        path.write_text(whole[:end])
        torn = is_torn(whole[:end])
        assert mend(archive) == torn
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
    with held(archive) as alone:
        assert alone
        assert not mend(archive)
        with pytest.raises(ArchiveError), dvc.held_off(archive):
            pass
    assert path.read_text() == whole[:-30]
    assert mend(archive)
