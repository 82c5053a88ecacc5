"""The door to DVC: a lock that a kill tore is mended, a healthy one is left alone."""

from __future__ import annotations

import json

import pytest

from daxa.archive import dvc, git
from daxa.errors import ProgramError


@pytest.fixture
def archive(tmp_path, identity):
    """A repository with one trivial stage."""
    git.initialise(tmp_path)
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (tmp_path / "dvc.yaml").write_text("stages:\n  make:\n    cmd: echo made > out\n    outs: [out]\n")
    return tmp_path


@pytest.mark.parametrize("torn", [b"", b'{"write": {"/some'])
def test_a_torn_lock_is_mended(archive, torn):
    (archive / ".dvc" / "tmp" / "rwlock").write_bytes(torn)
    dvc.repro(archive)
    assert (archive / "out").read_text() == "made\n"


def test_dvc_itself_cannot_go_on_with_a_torn_lock(archive, monkeypatch):
    """If this fails, DVC has learnt it, and `mend_lock` can go."""
    (archive / ".dvc" / "tmp" / "rwlock").write_bytes(b"")
    monkeypatch.setattr(dvc, "mend_lock", lambda root: False)
    with pytest.raises(ProgramError):
        dvc.repro(archive)


def test_a_healthy_lock_is_left_alone(archive):
    lock = archive / ".dvc" / "tmp" / "rwlock"
    lock.write_text(json.dumps({"write": {}, "read": {}}))
    assert not dvc.mend_lock(archive)
    assert lock.exists()
