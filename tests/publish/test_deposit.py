"""Deposits: the same release gives the same files, an interrupted one goes on, and the archive comes back whole."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from daxa.api import Archive
from daxa.archive import git
from daxa.archive.layout import Layout
from daxa.cli import main
from daxa.errors import ArchiveError, DaxaError, ReleaseError, StorageError, VerifyError
from daxa.publish.citing.cited_release import cite_release
from daxa.publish.deposits import deposit, restore
from daxa.publish.deposits.deposit import BUNDLE, publish_release
from daxa.publish.deposits.plain_tar import member_space
from daxa.publish.deposits.restore import read_manifest, restore_deposit
from daxa.publish.releases.verify import verify_archive
from tests.publish.workshop import FIRST, copy_archive, observation, run, set_identity

TAG = "v1.0.0"


@pytest.fixture(scope="module")
def source(released_once, tmp_path_factory):
    """A released archive for reading alone."""
    return copy_archive(released_once, tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def made(source, tmp_path_factory) -> Path:
    """A deposit of it in several tar files."""
    place = tmp_path_factory.mktemp("deposit") / "a907"
    with pytest.MonkeyPatch.context() as patch:
        set_identity(patch)
        publish_release(source.layout, place, part_size=40_000)
    return place


def contents(place: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in place.iterdir()}


def test_what_a_deposit_holds(made, source):
    parts = sorted(path.name for path in made.glob("data-*.tar"))
    assert len(parts) > 1
    assert {path.name for path in made.iterdir()} == {BUNDLE, "deposit.json", "SHA256SUMS", "README.md", *parts}
    subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=made, check=True)
    assert read_manifest(made).commit == git.commit_of(source.layout.root, TAG)
    names = []
    for part in parts:
        with tarfile.open(made / part) as tar:
            members = tar.getmembers()
        assert all((one.isreg(), one.mode, one.mtime, one.uid, one.uname) == (True, 0o444, 0, 0, "") for one in members)
        assert (made / part).stat().st_size <= 40_000
        names += [one.name for one in members]
    assert names == sorted(names)
    remote = source.layout.root.parent / "remote"
    assert set(names) == {path.relative_to(remote).as_posix() for path in remote.rglob("*") if path.is_file()}


def test_the_readme_says_how_to_get_it_back_and_to_cite_it(made, source):
    text = (made / "README.md").read_text()
    assert "daxa restore DEPOSIT a907" in text
    assert cite_release(source.layout).swhids["rel"] in text


def test_the_same_release_gives_the_same_bytes(made, source, tmp_path, identity):
    again = publish_release(source.layout, tmp_path / "again", TAG, part_size=40_000)
    assert contents(tmp_path / "again") == contents(made)
    assert {name: digest for name, (_, digest) in again.files.items()} == contents(made)
    assert again.kept == 0


def test_an_interrupted_deposit_continues(made, source, tmp_path, identity, monkeypatch):
    place, write, written = tmp_path / "cut", deposit._fill, []

    def die(storage, sizes, target):
        if written:
            target.write(b"half")
            raise KeyboardInterrupt
        written.append(1)
        write(storage, sizes, target)

    with monkeypatch.context() as patch:
        patch.setattr(deposit, "_fill", die)
        with pytest.raises(KeyboardInterrupt):
            publish_release(source.layout, place, part_size=40_000)
    assert "deposit.json" not in contents(place)
    assert publish_release(source.layout, place, part_size=40_000).kept == 1
    assert contents(place) == contents(made)
    # Damage of what is there does not pass, though the size is right.
    part = place / "data-0002.tar"
    part.write_bytes(part.read_bytes().replace(b"xmm", b"xxx", 1))
    assert publish_release(source.layout, place, part_size=40_000).kept == len(list(made.glob("data-*.tar"))) - 1
    assert contents(place) == contents(made)


@pytest.mark.parametrize("form", ["directory", "file"])
def test_the_archive_comes_back(made, source, tmp_path, identity, form):
    place = made
    if form == "file":
        place = tmp_path / "a907.tar"
        publish_release(source.layout, place)
        assert [path.name for path in tmp_path.iterdir()] == ["a907.tar"]
    rel = cite_release(source.layout).swhids["rel"]
    back = restore_deposit(place, tmp_path / "back", expect=rel)
    layout = Layout(tmp_path / "back")
    assert (back.tag, back.commit) == (TAG, git.commit_of(source.layout.root, TAG))
    assert verify_archive(layout, TAG).ok
    assert git.branch(layout.root) == "main"
    assert git.origin_url(layout.root) == ""
    assert git.changes(layout.root) == []
    assert cite_release(layout).swhids == cite_release(source.layout).swhids
    products = sorted(path for path in (source.layout.root / "data").rglob("*.fits"))
    for path in products:
        assert (layout.root / path.relative_to(source.layout.root)).read_bytes() == path.read_bytes()
    assert Archive(layout.root).logs(FIRST, "clean")
    assert json.loads(run(layout.root, "dvc", "status", "--json", "images-xmm", "clean-nustar")) == {}
    assert {path.name for path in tmp_path.iterdir()} <= {"a907.tar", "back"}


def test_git_and_dvc_are_enough_to_restore_it(made, tmp_path, identity):
    """The steps of the README."""
    run(tmp_path, "git", "clone", "--quiet", "--branch", TAG, str(made / BUNDLE), "back")
    for part in made.glob("data-*.tar"):
        (tmp_path / "remote").mkdir(exist_ok=True)
        run(tmp_path, "tar", "-xf", str(part), "-C", "remote")
    run(tmp_path / "back", "dvc", "remote", "add", "--quiet", "--local", "--default", "deposit", "../remote")
    run(tmp_path / "back", "dvc", "pull", "--quiet", "--allow-missing", "logs.dvc", "images-xmm")
    assert list((tmp_path / "back" / "data" / "xmm" / "images").rglob("*.fits"))


def test_another_release_than_the_expected_one_is_refused(made, tmp_path, identity):
    for expected in (f"swh:1:rel:{'0' * 40}", "v1.0.0"):
        with pytest.raises(VerifyError) as refused:
            restore_deposit(made, tmp_path / "back", expect=expected)
        assert refused.value.code == "verify.expected"
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["directory", "file"])
def test_a_disk_that_is_too_small_is_refused_before_anything_is_unpacked(made, source, tmp_path, monkeypatch, form):
    place = made
    if form == "file":  # Its size is enough.
        place = tmp_path / "a907.tar"
        place.write_bytes(bytes(1000))
    monkeypatch.setattr(restore.shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    with pytest.raises(StorageError, match=r"no space .*in DVC's cache .* 0\.0 MB free") as caught:
        restore_deposit(place, tmp_path / "back")
    assert caught.value.name == "full"
    assert not (tmp_path / "back").exists()
    assert not list(tmp_path.glob(".back.*"))


def test_places_that_are_taken(made, source, tmp_path, identity):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for place in (
        tmp_path / "other",
        source.layout.root / "deposit",
        tmp_path / "other" / "mine.txt",
        tmp_path / "link",
    ):
        with pytest.raises(ArchiveError):
            publish_release(source.layout, place)
    (tmp_path / "dir.tar").mkdir()
    with pytest.raises(ArchiveError, match="is a directory"):
        publish_release(source.layout, tmp_path / "dir.tar")
    (tmp_path / "mine.tar").write_text("mine")
    with pytest.raises(ArchiveError, match="is there already"):
        publish_release(source.layout, tmp_path / "mine.tar")
    assert (tmp_path / "mine.tar").read_text() == "mine"
    for place in (tmp_path / "other", tmp_path / "link", tmp_path / "no" / "parent", tmp_path / "a b"):
        with pytest.raises(ArchiveError):
            restore_deposit(made, place)
    (tmp_path / "older").mkdir()
    (tmp_path / "older" / "deposit.json").write_text(json.dumps({"tag": "v0.9.0", "commit": "0" * 40}))
    with pytest.raises(ArchiveError, match=r"the deposit of another release, 'v0\.9\.0'"):
        publish_release(source.layout, tmp_path / "older")
    assert (tmp_path / "other" / "mine.txt").read_text() == "mine"


def test_what_is_not_public_stays_here(released, tmp_path):
    released.choose("nustar", [observation("30101031002", public_date=80000.0) | {"instruments": "FPMA,FPMB"}])
    released.process("nustar", ["30101031002"], salts={"30101031002": "again"})
    released.record()
    released.release()
    with pytest.raises(ReleaseError, match="30101031002"):
        publish_release(released.layout, tmp_path / "deposit")
    assert publish_release(released.layout, tmp_path / "deposit", private=True).tag == "v1.0.1"
    # The release before was public.
    assert publish_release(released.layout, tmp_path / "before", TAG).tag == TAG


def test_data_that_are_nowhere_are_named(released, tmp_path):
    shutil.rmtree(released.layout.root / ".dvc" / "cache")
    shutil.rmtree(released.layout.root / "data" / "xmm" / "clean")
    with pytest.raises(DaxaError) as refused:
        publish_release(released.layout, tmp_path / "deposit")
    assert "data/xmm/clean" in refused.value.message
    assert "daxa pull" in refused.value.remedy


def test_the_verbs(source, tmp_path, identity, monkeypatch, capsys):
    monkeypatch.chdir(source.layout.root)
    assert main(["publish", "-o", str(tmp_path / "out.tar"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["files"]["out.tar"][0] == (tmp_path / "out.tar").stat().st_size
    assert main(["publish", "-o", str(tmp_path / "x"), "--part-size", "0"]) == 3
    monkeypatch.chdir(tmp_path)
    assert main(["restore", "out.tar", "back"]) == 0
    assert "all identical" in capsys.readouterr().out
    assert main(["restore", "out.tar", "back"]) == 5
    assert main(["restore", "nothing", "new"]) == 11
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "out.tar"]


def test_parts_are_as_large_as_they_may_be():
    sizes = {f"{at:032x}": 1000 * at for at in range(40)}
    parts = deposit.plan_parts(sizes, 50_000)
    assert [one for part in parts for one in part] == sorted(sizes)
    for part in parts:
        space = sum(member_space(sizes[one]) for one in part) + 1024
        assert space <= 50_000 or len(part) == 1
    assert deposit.plan_parts({}, 50_000) == []
