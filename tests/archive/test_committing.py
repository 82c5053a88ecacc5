"""A change of tracked files happens whole or not at all, and what cannot be finished is out of the way."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from daxa import api
from daxa.archive import committing, git
from daxa.archive.committing import commit_changes, finish_commit, refuse_unfinished
from daxa.errors import ArchiveError, StorageError
from tests.publish.workshop import Workshop


@pytest.fixture
def layout(tmp_path, identity):
    workshop = Workshop(tmp_path / "a907")
    workshop.generate(["xmm"], "")
    git.initialise(workshop.layout.root)
    git.commit(workshop.layout.root, ["."], "first")
    return workshop.layout


def write(layout):
    layout.config.parent.mkdir(parents=True, exist_ok=True)
    (layout.root / "README.md").write_text("new words\n")


def accepted(layout, note: bytes, readme: bytes = b"new words\n"):
    """What a kill after the decisive rename leaves."""
    layout.accepted.mkdir(parents=True)
    (layout.accepted / "README.md").write_bytes(readme)
    (layout.accepted / "note.json").write_bytes(note)


def note_of(layout, **other) -> bytes:
    digests = [hashlib.sha256(text).hexdigest() for text in ((layout.root / "README.md").read_bytes(), b"new words\n")]
    return json.dumps({"message": "new", "files": {"README.md": digests}} | other).encode()


def test_what_was_decided_is_finished_by_the_next_verb_that_acts(layout):
    accepted(layout, note_of(layout))
    with pytest.raises(ArchiveError, match="was not finished") as caught:
        api.open(layout.root)
    assert "daxa run" in caught.value.remedy
    before = git.commit_of(layout.root)
    with pytest.raises(ArchiveError):
        refuse_unfinished(layout)
    assert git.commit_of(layout.root) == before
    api.open(layout.root, acting=True)
    assert (layout.root / "README.md").read_text() == "new words\n"
    assert git.commit_of(layout.root) != before
    assert git.changes(layout.root) == []
    api.open(layout.root)


@pytest.mark.parametrize(
    "damage",
    ["empty", "torn", "list", "no files", "foreign name", "climbing", "digest", "message", "deep", "content", "absent"],
)
def test_a_note_that_is_not_whole_is_as_if_nothing_had_happened(layout, damage):
    good = note_of(layout)
    notes = {
        "empty": b"",
        "torn": good[:-9],
        "list": b"[1]",
        "no files": note_of(layout, files={}),
        "foreign name": note_of(layout, files={"logs.dvc": ["", ""]}),
        "climbing": note_of(layout, files={"params/../../x.toml": ["", "a" * 64]}),
        "digest": note_of(layout, files={"README.md": ["x", "y"]}),
        "message": note_of(layout, message=7),
        "deep": b"[" * 100_000,
    }
    accepted(layout, notes.get(damage, good), b"torn" if damage == "content" else b"new words\n")
    if damage == "absent":
        (layout.accepted / "note.json").unlink()
    before = git.commit_of(layout.root)
    api.open(layout.root)
    api.open(layout.root, acting=True)
    assert git.commit_of(layout.root) == before
    assert git.changes(layout.root) == []
    assert not layout.accepted.exists()
    assert commit_changes(layout, "another", write)
    assert (layout.root / "README.md").read_text() == "new words\n"


def test_everything_is_on_the_disk_before_the_rename_that_decides(layout, monkeypatch):
    """Without that a loss of power leaves an empty note under its final name."""
    events = []
    rename, fsync = type(layout.root).rename, os.fsync

    def renamed(path, target):
        events.append(("rename", os.fspath(target)))
        return rename(path, target)

    def synced(handle):
        events.append(("fsync", str(Path(f"/proc/self/fd/{handle}").readlink())))
        return fsync(handle)

    monkeypatch.setattr(type(layout.root), "rename", renamed)
    monkeypatch.setattr(os, "fsync", synced)
    commit_changes(layout, "new", write)
    decided = events.index(("rename", str(layout.accepted)))
    part = str(layout.accepted) + ".part"
    synced_before = {path for kind, path in events[:decided] if kind == "fsync"}
    assert {part, f"{part}/note.json", f"{part}/README.md"} <= synced_before
    assert ("fsync", str(layout.private)) in events[decided:]


def test_nothing_to_finish_is_nothing(layout):
    finish_commit(layout)
    assert not layout.private.exists()


@pytest.mark.parametrize("where", ["lock", "files"])
@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_disk_that_refuses_is_a_typed_error(layout, monkeypatch, where, number):
    before = git.commit_of(layout.root)

    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number))

    # As a disk that is mounted for reading alone does, which tests cannot have.
    monkeypatch.setattr(*((Path, "mkdir") if where == "lock" else (committing, "sync")), refuse)
    with pytest.raises(StorageError, match=os.strerror(number).lower()) as caught:
        commit_changes(layout, "new", write)
    assert str(layout.root) in caught.value.message
    assert "permissions" in caught.value.remedy
    monkeypatch.undo()
    assert git.commit_of(layout.root) == before
    assert commit_changes(layout, "new", write)
