"""The gate, where the attacks of `tests.hostile` do not look: its cost, its words, and honest archives."""

from __future__ import annotations

import os
import subprocess

import pytest

import daxa
from daxa.archive import gate, git
from daxa.archive.gate import check_archive, enter_archive
from daxa.archive.layout import STEPS, Layout
from daxa.errors import ArchiveError, StorageError, UntrustedArchive
from tests.publish.workshop import Workshop


@pytest.fixture
def layout(tmp_path, identity) -> Layout:
    workshop = Workshop(tmp_path / "a907")
    workshop.generate(["xmm"], "")
    git.initialise(workshop.layout.root)
    git.commit(workshop.layout.root, ["."], "first")
    return workshop.layout


def test_an_archive_may_be_reached_through_a_link(layout, tmp_path):
    (tmp_path / "link").symlink_to(layout.root)
    enter_archive(Layout(tmp_path / "link"))


def test_private_state_of_an_older_daxa_is_not_in_the_way(layout):
    (layout.root / ".daxa" / "accepted").mkdir(parents=True)
    (layout.root / ".daxa" / "accepted" / "note.json").write_text("")
    enter_archive(layout)
    assert git.changes(layout.root) == []


def test_a_linked_work_tree_passes(layout, tmp_path):
    subprocess.run(["git", "worktree", "add", "-q", str(tmp_path / "other")], cwd=layout.root, check=True)
    enter_archive(Layout(tmp_path / "other"))


def test_the_git_directory_on_another_disk_is_named(layout, monkeypatch):
    stat = type(layout.root).stat

    def elsewhere(path, **options):
        found = stat(path, **options)
        return os.stat_result((*found[:2], 77, *found[3:])) if path.name == ".git" else found

    monkeypatch.setattr(type(layout.root), "stat", elsewhere)
    with pytest.raises(StorageError, match="another disk") as caught:
        check_archive(layout, acting=True)
    assert caught.value.remedy


def test_the_gate_looks_into_no_directory_of_observations(layout, monkeypatch):
    for step in STEPS:
        for number in range(3):
            (layout.products("xmm", step) / f"{number:010d}").mkdir(parents=True)
    looked = []
    listed = os.listdir
    monkeypatch.setattr(gate.os, "listdir", lambda path: looked.append(str(path)) or listed(path))
    check_archive(layout, acting=True)
    assert looked
    assert not [path for path in looked if f"{layout.root}/data" in path]


def test_looking_needs_no_repository_and_acting_does(layout):
    for path in sorted((layout.root / ".git").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (layout.root / ".git").rmdir()
    daxa.open(layout.root)
    with pytest.raises(ArchiveError) as caught:
        daxa.open(layout.root, acting=True)
    assert caught.value.code == "archive.not-git"
    assert not (layout.root / ".git").exists()


def test_an_error_names_the_link_and_what_to_do(layout):
    (layout.root / "elsewhere").mkdir()
    (layout.root / "data").symlink_to("elsewhere")
    with pytest.raises(UntrustedArchive) as caught:
        check_archive(layout)
    assert str(layout.root / "data") in caught.value.message
    assert f"rm {layout.root / 'data'}" in caught.value.remedy
    assert (caught.value.code, caught.value.exit_code) == ("untrusted.not-plain", 14)


def test_every_method_that_acts_passes_the_gate(layout):
    (layout.root / "dvc.yaml").write_text("stages: {}\n")
    archive = daxa.open(layout.root)
    for act in (archive.run, archive.release, archive.push, archive.select, archive.update):
        with pytest.raises(ArchiveError, match=r"dvc\.yaml"):
            act()
