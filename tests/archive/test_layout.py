"""Where an archive keeps what is its own: in the Git directory of the work tree, which no clone brings."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import daxa
from daxa.analysis.image_sets import outside_archive
from daxa.archive.layout import Layout
from daxa.errors import ArchiveError


def git(cwd: Path, *argv: str) -> None:
    subprocess.run(["git", *argv], cwd=cwd, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path, identity) -> Path:
    root = tmp_path / "a907"
    root.mkdir()
    git(root, "init", "-q")
    (root / "daxa.toml").write_text("format = 1\n")
    git(root, "add", "daxa.toml")
    git(root, "commit", "-qm", "first")
    return root


def test_private_state_is_in_the_git_directory(repository):
    assert Layout(repository).private == repository / ".git" / "daxa"
    places = Layout(repository).places("xmm", "clean")
    for place in (places.scratch, places.journal, places.lock, places.hashes):
        assert place.is_relative_to(repository / ".git" / "daxa")


def test_every_work_tree_has_private_state_of_its_own(repository, tmp_path):
    git(repository, "worktree", "add", "-q", str(tmp_path / "second"), "-b", "second")
    git(repository, "worktree", "add", "-q", str(tmp_path / "third"), "-b", "third")
    private = [Layout(root).private for root in (repository, tmp_path / "second", tmp_path / "third")]
    assert len(set(private)) == 3
    assert all(place.parent.is_dir() and place.is_relative_to(repository / ".git") for place in private)
    for root in (tmp_path / "second", tmp_path / "third"):
        Layout(root).private.mkdir()
        assert not subprocess.check_output(["git", "status", "--porcelain", "--ignored"], cwd=root)


def test_a_relative_gitdir_counts_from_the_work_tree(repository, monkeypatch, tmp_path):
    git(repository, "init", "-q", "--separate-git-dir", "../kept.git")
    (repository / ".git").write_text("gitdir: ../kept.git\n")
    monkeypatch.chdir(tmp_path / "kept.git")
    assert Layout(repository).private.resolve() == tmp_path / "kept.git" / "daxa"


@pytest.mark.parametrize("kind", ["nothing", "words", "gone", "link", "nul"])
def test_without_a_git_directory_there_is_no_private_state_and_none_is_made(tmp_path, kind):
    place = tmp_path / ".git"
    (tmp_path / "daxa.toml").touch()
    if kind == "words":
        place.write_text("hello\n")
    elif kind == "gone":
        place.write_text("gitdir: /nowhere/at/all\n")
    elif kind == "nul":
        place.write_bytes(b"gitdir: a\0b\n")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to("elsewhere")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ArchiveError) as caught:
        Layout(tmp_path).places("xmm", "clean")
    assert caught.value.code == "archive.not-git"
    assert sorted(tmp_path.iterdir()) == before


def test_a_home_directory_of_nobody_is_an_error_with_a_remedy(tmp_path):
    """`Path.expanduser` raises what would be taken for a fault of ours."""
    for use in (daxa.open, lambda place: outside_archive(Layout(tmp_path), Path(place))):
        with pytest.raises(ArchiveError, match="no home directory ~nobody-here"):
            use("~nobody-here/a907")
