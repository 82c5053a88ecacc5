"""Pushing: every release arrives, losses are repaired, and the proof is the remote's own listing."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time

import pytest

from daxa.archive import git
from daxa.cli import main
from daxa.errors import ConfigError, ReleaseError, ServiceError, StorageError
from daxa.publish import workspaces
from daxa.publish.cache_repair import prove_cache
from daxa.publish.contents import needed_at
from daxa.publish.digests import Digests
from daxa.publish.releases.verify import verify_archive
from daxa.publish.remote import Remote, find_storage, list_objects, read_object
from daxa.publish.sharing.pull import pull_data
from daxa.publish.sharing.push import PushReport, push_releases
from tests.publish.workshop import FIRST, THIRD, Workshop, observation, run


def objects(place):
    """Every object of a remote or a cache: path below it to content."""
    base = place / "files" / "md5"
    return {path.relative_to(base).as_posix(): path.read_bytes() for path in base.rglob("*") if path.is_file()}


def use_remote(workshop, url):
    settings = workshop.layout.root / ".dvc" / "config.local"
    settings.write_text(f"['remote \"storage\"']\n    url = {url}\n")


def pull(workshop, tag, place):
    """A clone of a release whose data come from the remote alone."""
    run(place.parent, "git", "clone", "--quiet", "--branch", tag, str(workshop.layout.root), str(place))
    shutil.copy(workshop.layout.root / ".dvc" / "config.local", place / ".dvc" / "config.local")
    run(place, "dvc", "pull", "--quiet")
    return Workshop(place)


def test_a_fresh_clone_pulls_and_verifies(released, tmp_path):
    clone = pull(released, "v1.0.0", tmp_path / "clone")
    found = verify_archive(clone.layout, "v1.0.0")
    assert found.problems == ()
    assert (found.missions, found.observations, found.absent_fetched) == (2, 3, 3)
    for part in ("data/xmm/clean", "data/nustar/images", "logs", "report"):
        ours, theirs = released.layout.root / part, clone.layout.root / part
        assert run(tmp_path, "diff", "-r", str(ours), str(theirs)) == ""
    assert git.changes(clone.layout.root) == []


def test_a_push_to_a_remote_that_is_not_a_directory_says_what_it_verified(released, monkeypatch, capsys):
    report = PushReport("s3://bucket/a907", ("v1.0.0",), 53, 53)
    monkeypatch.setattr("daxa.publish.sharing.push.push_releases", lambda *_, **__: report)
    monkeypatch.chdir(released.layout.root)
    assert main(["push"]) == 0
    said = capsys.readouterr()
    assert "s3://bucket/a907 holds the data of v1.0.0" in said.out
    assert "only by size, which DVC rounds; `daxa verify --remote --deep`" in said.err


def test_a_second_push_sends_nothing(released, tmp_path):
    before = objects(tmp_path / "remote")
    report = push_releases(released.layout)
    assert (report.tags, report.objects, report.sent) == (("v1.0.0",), len(before), 0)
    assert objects(tmp_path / "remote") == before
    assert list((released.layout.private / "push").iterdir()) == []


def test_a_file_that_the_remote_lost_is_sent_again(released, tmp_path):
    before = objects(tmp_path / "remote")
    lost = [path for path in sorted(before) if not path.endswith(".dir")][:3]
    for path in lost:
        (tmp_path / "remote" / "files" / "md5" / path).unlink()
    run(released.layout.root, "dvc", "push", "--quiet")
    assert objects(tmp_path / "remote") != before, "DVC repairs by itself: our way is no longer needed"
    assert push_releases(released.layout).sent == 3
    assert objects(tmp_path / "remote") == before


def flip(path):
    """Change a bit in the middle, and keep size, time and inode."""
    stat = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.write(data)
    path.chmod(stat.st_mode)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def truncate(path):
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:10])


def test_a_truncated_object_is_replaced(released, tmp_path):
    before = objects(tmp_path / "remote")
    truncate(next(path for path in (tmp_path / "remote").rglob("*.dir")))
    report = push_releases(released.layout)
    assert (report.sent, len(report.replaced), report.repaired) == (1, 1, ())
    assert objects(tmp_path / "remote") == before


def test_an_unchanged_cache_is_not_read_again(released, monkeypatch):
    push_releases(released.layout)
    time.sleep(0.15)
    push_releases(released.layout)

    def die(*arguments):
        raise AssertionError("read again")

    monkeypatch.setattr(hashlib, "file_digest", die)
    released_objects = needed_at(released.layout, "v1.0.0", find_storage(released.layout.root), None)
    with Digests(released.layout) as digests:
        assert prove_cache(
            released.layout, find_storage(released.layout.root), released_objects, digests
        ).good == frozenset(released_objects)


def test_all_releases_reach_a_remote_that_came_later(released, tmp_path):
    released.process("xmm", [FIRST, THIRD], salts={THIRD: "reprocessed"})
    released.record()
    assert released.release().tag == "v1.0.1"
    use_remote(released, tmp_path / "new remote")
    (tmp_path / "new remote").mkdir()
    report = push_releases(released.layout)
    assert report.tags == ("v1.0.0", "v1.0.1")
    assert report.objects == report.sent == len(objects(tmp_path / "new remote"))
    for tag in report.tags:
        clone = pull(released, tag, tmp_path / f"clone-{tag}")
        assert verify_archive(clone.layout, tag).problems == ()


def test_older_data_may_be_on_the_remote_alone(released, tmp_path):
    for name in (".dvc/cache", "data", "logs", "report"):
        shutil.rmtree(released.layout.root / name)
    assert push_releases(released.layout).sent == 0
    lost = next(path for path in objects(tmp_path / "remote") if not path.endswith(".dir"))
    (tmp_path / "remote" / "files" / "md5" / lost).unlink()
    with pytest.raises(ReleaseError) as caught:
        push_releases(released.layout)
    assert caught.value.code == "release.data-lost"
    assert lost.replace("/", "") in caught.value.message
    shutil.rmtree(tmp_path / "remote")
    with pytest.raises(ReleaseError, match=r"the listing .* is neither"):
        push_releases(released.layout)


def test_a_remote_that_only_dvc_can_reach_is_listed_through_dvc(released, tmp_path):
    """``remote://`` stands for every scheme: what lies behind it is DVC's business."""
    settings = released.layout.root / ".dvc" / "config.local"
    settings.write_text(
        f"['remote \"base\"']\n    url = {tmp_path}\n['remote \"storage\"']\n    url = remote://base/remote\n"
    )
    storage = find_storage(released.layout.root)
    assert storage.remote == Remote("storage", "remote://base/remote")
    listed = list_objects(released.layout.root, storage.remote)
    sizes = {path.replace("/", ""): len(content) for path, content in objects(tmp_path / "remote").items()}
    assert all(low <= sizes[digest] <= high for digest, (low, high) in listed.items())
    assert set(listed) == {path.replace("/", "") for path in objects(tmp_path / "remote")}
    digest = next(digest for digest in listed if digest.endswith(".dir"))
    content = read_object(released.layout.root, storage.remote, digest, tmp_path)
    assert content == objects(tmp_path / "remote")[f"{digest[:2]}/{digest[2:]}"]
    assert read_object(released.layout.root, storage.remote, f"{'0' * 32}.dir", tmp_path) is None
    shutil.rmtree(tmp_path / "remote")
    assert list_objects(released.layout.root, storage.remote) == {}
    report = push_releases(released.layout)
    assert report.sent == report.objects == len(objects(tmp_path / "remote"))


def test_a_remote_that_cannot_be_listed_is_an_error(released):
    use_remote(released, "ssh://no-such-host.invalid/place")
    with pytest.raises(ServiceError) as caught:
        push_releases(released.layout)
    assert caught.value.code == "service.listing"


def test_proprietary_data_never_reach_a_public_remote(finished):
    finished.choose("xmm", [observation(FIRST, 99999.0), observation(THIRD)])
    finished.record()
    finished.release()
    use_remote(finished, "s3://bucket/a907")
    with pytest.raises(ReleaseError) as caught:
        push_releases(finished.layout)
    assert caught.value.code == "release.proprietary"
    assert "xmm 0093640901" in caught.value.message


def test_there_must_be_a_remote_and_a_release(finished):
    with pytest.raises(ReleaseError) as caught:
        push_releases(finished.layout)
    assert caught.value.code == "release.none"
    (finished.layout.root / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (finished.layout.root / ".dvc" / "config.local").unlink()
    with pytest.raises(ConfigError) as caught:
        push_releases(finished.layout)
    assert caught.value.code == "config.no-remote"


def test_credentials_and_relative_paths_hold_in_the_clone(released, tmp_path):
    config = released.layout.root / ".dvc" / "config"
    config.write_text(config.read_text().replace(str(tmp_path), ""))
    settings = released.layout.root / ".dvc" / "config.local"
    settings.write_text("['remote \"storage\"']\n    url = ../../elsewhere\n    jobs = 2\n")
    (tmp_path / "elsewhere").mkdir()
    report = push_releases(released.layout)
    assert report.remote == str(tmp_path / "elsewhere")
    assert len(objects(tmp_path / "elsewhere")) == report.objects
    listing = next(path for path in (tmp_path / "elsewhere").rglob("*.dir"))
    assert all(set(entry) == {"md5", "relpath"} for entry in json.loads(listing.read_bytes()))


def test_an_archive_that_cannot_be_written_is_one_error(released, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(workspaces, "NamedTemporaryFile", refuse)
    for act in (lambda: push_releases(released.layout), lambda: pull_data(released.layout), released.release):
        with pytest.raises(StorageError, match="Read-only file system"):
            act()


def test_why_a_remote_takes_nothing_is_said(released, tmp_path):
    """As a full disk or a lost server: DVC's own reason, and whose fault it is."""
    shutil.rmtree(tmp_path / "remote")
    (tmp_path / "remote").touch()
    with pytest.raises(StorageError) as refused:
        push_releases(released.layout)
    assert refused.value.code == "storage.push-failed"
    assert "Not a directory" in refused.value.message
    assert "daxa push" in refused.value.remedy
