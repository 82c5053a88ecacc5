"""What a remote holds is proved, whole or in parts that add up to the whole."""

from __future__ import annotations

import pytest

from daxa.archive import git
from daxa.errors import ArchiveError, ConfigError, CriteriaError
from daxa.publish.sharing.remotecheck import read_sample, verify_remote
from tests.publish.test_push import flip, objects, truncate, use_remote
from tests.publish.workshop import FIRST, know_storage


def digests(found):
    return {problem.detail.removeprefix("files/md5/") for problem in found.problems}


def test_a_directory_is_read(released, tmp_path, monkeypatch):
    know_storage(monkeypatch)
    found = verify_remote(released.layout, "v1.0.0")
    assert found.ok
    there = objects(tmp_path / "remote")
    assert (found.objects, found.by_digest, found.by_size, found.by_presence) == (len(there), len(there), 0, 0)
    assert found.commit == git.commit_of(released.layout.root, "v1.0.0")
    listing, flipped, short, gone = (
        min(path for path in there if path.endswith(".dir")),
        *sorted(path for path in there if not path.endswith(".dir"))[:3],
    )
    base = tmp_path / "remote" / "files" / "md5"
    flip(base / listing)
    flip(base / flipped)
    truncate(base / short)
    (base / gone).unlink()
    found = verify_remote(released.layout)
    assert digests(found) == {listing, flipped, short, gone}
    assert {problem.what for problem in found.problems if gone in problem.detail} == {"remote-absent"}
    parts = [verify_remote(released.layout, sample=f"{part}/3") for part in (1, 2, 3)]
    assert sum(part.by_digest for part in parts) == len(there) - 1
    assert set.union(*(digests(part) for part in parts)) == {listing, flipped, short, gone}
    assert all(gone in digests(part) for part in parts), "what is not there costs nothing to see"


def test_other_remotes_by_size_or_deep(released, tmp_path):
    settings = released.layout.root / ".dvc" / "config.local"
    settings.write_text(
        f"['remote \"base\"']\n    url = {tmp_path}\n['remote \"storage\"']\n    url = remote://base/remote\n"
    )
    there = objects(tmp_path / "remote")
    base = tmp_path / "remote" / "files" / "md5"
    flipped, short = sorted(path for path in there if not path.endswith(".dir"))[:2]
    listing = min(path for path in there if path.endswith(".dir"))
    flip(base / flipped)
    truncate(base / short)
    flip(base / listing)
    by_size = verify_remote(released.layout)
    assert digests(by_size) == {short}
    assert (by_size.by_digest, by_size.by_size) == (0, len(there))
    deep = verify_remote(released.layout, deep=True)
    assert digests(deep) == {flipped, short, listing}
    assert deep.by_digest == len(there)


def test_samples():
    digests = [f"{number:032x}" for number in range(0, 2**128, 2**120 + 12345)]
    parts = [read_sample(f"{part}/20").choose(digests) for part in range(1, 21)]
    assert sorted(digest for part in parts for digest in part) == sorted(digests)
    assert read_sample("").choose(digests) == sorted(digests)
    some = read_sample("5%", seed=3)
    assert len(some.choose(digests)) == round(len(digests) * 0.05)
    assert some.choose(digests) == read_sample("5%", seed=some.seed).choose(digests[::-1])
    assert "seed" in str(read_sample("5%"))
    for wrong in ("0/3", "4/3", "3", "0%", "200%", "a", "1/0", "-1%"):
        with pytest.raises(CriteriaError, match="is not a part of a remote"):
            read_sample(wrong)


def test_no_remote_is_contacted_for_an_archive_that_is_not_trusted(released):
    use_remote(released, "ssh://no-such-host.invalid/place")
    (released.layout.root / "more.dvc").write_text("outs: []\n")
    with pytest.raises(ArchiveError, match=r"more\.dvc"):
        verify_remote(released.layout)


def test_a_remote_that_is_not_known(released):
    with pytest.raises(ConfigError, match="nosuch") as caught:
        verify_remote(released.layout, remote="nosuch")
    assert "storage" in caught.value.remedy


def test_problems_say_which_observation(released, tmp_path):
    for path in objects(tmp_path / "remote"):
        (tmp_path / "remote" / "files" / "md5" / path).unlink()
    places = {(problem.mission, problem.step, problem.obs_id) for problem in verify_remote(released.layout).problems}
    assert ("xmm", "clean", FIRST) in places
