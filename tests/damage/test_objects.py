"""Damage to DVC's cache and to the remote: no push, pull or release ends well over a bad byte."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import daxa
from daxa.archive import git
from daxa.errors import DaxaError, StorageError, UntrustedArchive
from daxa.fetch.store import Store
from daxa.publish.releases.verify import verify_archive
from daxa.publish.sharing.pull import pull_data
from daxa.publish.sharing.push import push_releases
from daxa.publish.sharing.remotecheck import verify_remote
from tests.damage.damages import DAMAGES, contents, flip, objects
from tests.publish.workshop import deceive, know_storage


@pytest.fixture(autouse=True)
def known_storage(monkeypatch):
    know_storage(monkeypatch)


@pytest.fixture
def deceived(monkeypatch):
    deceive(monkeypatch)


def parts(kind):
    return pytest.mark.parametrize(("kind", "damage"), [(kind, damage) for kind in kind for damage in DAMAGES])


BOTH = parts(("file", "listing"))


@BOTH
def test_push_repairs_the_remote(released, tmp_path, kind, damage):
    remote = tmp_path / "remote"
    before = contents(remote)
    victim, other = objects(remote, kind)[:2]
    DAMAGES[damage](victim, other)
    report = push_releases(released.layout)
    assert contents(remote) == before
    assert report.sent == (2 if damage == "swap" else 1)


SPECIALS = {
    "a pipe": os.mkfifo,
    "a link": lambda path: path.symlink_to(path.with_name("elsewhere")),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("special", SPECIALS)
@pytest.mark.parametrize("where", ["cache", "remote", "both"])
def test_what_is_no_file_in_the_place_of_an_object_is_replaced_and_never_opened(released, tmp_path, special, where):
    cache, remote = released.layout.root / ".dvc" / "cache", tmp_path / "remote"
    before = contents(remote)
    victim = objects(cache, "file")[0]
    for path in {"cache": [victim], "remote": [remote / victim.relative_to(cache)]}.get(
        where, [victim, remote / victim.relative_to(cache)]
    ):
        path.unlink()
        SPECIALS[special](path)
    push_releases(released.layout)
    assert contents(remote) == before
    assert not any(path.is_symlink() or path.is_fifo() for place in (cache, remote) for path in place.rglob("*"))


@pytest.mark.parametrize("special", SPECIALS)
def test_a_run_refuses_what_dvc_would_open(released, special):
    victim = objects(released.layout.root / ".dvc" / "cache", "file")[0]
    victim.unlink()
    SPECIALS[special](victim)
    with pytest.raises(UntrustedArchive, match=f"{victim} is a") as caught:
        daxa.open(released.layout.root).run()
    assert str(victim) in caught.value.remedy


def test_a_directory_in_the_place_of_an_object_is_named(released, tmp_path):
    victim = objects(tmp_path / "remote", "file")[0]
    victim.unlink()
    victim.mkdir()
    with pytest.raises(StorageError, match=f"{victim.parent.name}/{victim.name}") as caught:
        push_releases(released.layout)
    assert "remove these objects" in caught.value.remedy
    assert not verify_remote(released.layout).ok


@BOTH
def test_push_repairs_the_cache(released, tmp_path, kind, damage):
    """The objects are needed: the remote has lost them."""
    cache, remote = released.layout.root / ".dvc" / "cache", tmp_path / "remote"
    before = contents(remote)
    victim, other = objects(cache, kind)[:2]
    for path in (victim, other):
        (remote / path.relative_to(cache)).unlink(missing_ok=True)
    DAMAGES[damage](victim, other)
    push_releases(released.layout)
    assert contents(remote) == before


@BOTH
def test_push_names_what_has_no_good_copy(released, tmp_path, kind, damage):
    cache, remote = released.layout.root / ".dvc" / "cache", tmp_path / "remote"
    victim, other = objects(cache, kind)[:2]
    for path in (victim, other):
        (remote / path.relative_to(cache)).unlink(missing_ok=True)
    for name in ("data", "logs", "report"):
        shutil.rmtree(released.layout.root / name)
    before = contents(remote)
    DAMAGES[damage](victim, other)
    with pytest.raises(DaxaError) as caught:
        push_releases(released.layout)
    named = {path.parent.name + path.name for path in (victim, other)}
    assert any(name in caught.value.message for name in named)
    assert contents(remote) == before


@pytest.mark.parametrize("point", ["fsync", "replace"])
def test_a_push_that_is_killed_during_a_repair_continues(released, tmp_path, monkeypatch, point):
    cache, remote = released.layout.root / ".dvc" / "cache", tmp_path / "remote"
    before = contents(remote)
    for base in (cache, remote):
        for path in objects(base, "file")[:2]:
            flip(path, path)

    def die(*arguments):
        raise KeyboardInterrupt

    place = (os, "fsync") if point == "fsync" else (Path, "replace")
    with monkeypatch.context() as patch:
        patch.setattr(*place, die)
        with pytest.raises(KeyboardInterrupt):
            push_releases(released.layout)
    push_releases(released.layout)
    assert contents(remote) == before
    assert all(contents(cache)[path] == content for path, content in before.items())


@BOTH
def test_a_release_repairs_or_names_damage(news, deceived, kind, damage):
    cache = news.layout.root / ".dvc" / "cache"
    victim, other = objects(cache, kind)[:2]
    before = contents(cache)
    DAMAGES[damage](victim, other)
    try:
        news.release()
    except DaxaError as error:
        assert error.code in ("release.not-in-cache", "release.cache-damaged")
        assert any(name in error.message for name in ("data/", "logs", "report"))
        assert list(git.tags(news.layout.root)) == ["v1.0.0"]
        return
    # What this release needs is whole; objects of other versions are the business of a push.
    report = push_releases(news.layout)
    assert report.tags == ("v1.0.0", "v1.0.1")
    whole = contents(news.layout.root.parent / "remote")
    assert all(before.get(path, content) == content for path, content in whole.items())


@BOTH
def test_a_pull_puts_nothing_wrong_into_the_tree(stranger, tmp_path, kind, damage):
    remote = tmp_path / "remote"
    victim, other = objects(remote, kind)[:2]
    DAMAGES[damage](victim, other)
    report = pull_data(stranger.layout)
    assert not report.ok
    assert report.missing or report.wrong
    assert {problem.what for problem in verify_archive(stranger.layout).problems} == {"absent"}


@BOTH
def test_verify_names_it_on_the_remote(released, tmp_path, kind, damage):
    remote = tmp_path / "remote"
    victim, other = objects(remote, kind)[:2]
    DAMAGES[damage](victim, other)
    found = verify_remote(released.layout, "v1.0.0")
    named = {problem.detail for problem in found.problems}
    assert victim.relative_to(remote).as_posix() in named
    assert (other.relative_to(remote).as_posix() in named) == (damage == "swap")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_of_the_store_is_not_used(tmp_path, damage):
    store, digests = Store(tmp_path / "store"), []
    for name in ("one", "two"):
        path = tmp_path / name
        path.write_bytes(name.encode() * 100)
        digests.append(store.add(path))
    DAMAGES[damage](*(store.path(digest) for digest in digests))
    assert not store.link(digests[0], tmp_path / "used")
    assert not (tmp_path / "used").exists()
