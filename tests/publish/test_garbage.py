"""What no version needs goes, on request; what any of them needs stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daxa.archive import git
from daxa.cli import main
from daxa.errors import ArchiveError, ConfigError, CriteriaError
from daxa.publish.releases.verify import verify_archive
from daxa.publish.remote import Remote, Storage
from daxa.publish.sharing import garbage
from daxa.publish.sharing.garbage import find_garbage, remove_garbage
from tests.publish.workshop import FIRST, THIRD, deceive


@pytest.fixture
def used(released, monkeypatch):
    """v1.0.0, then a run that nobody committed, then v1.0.1 with other products."""
    deceive(monkeypatch)

    def storage(root: Path, name: str = "") -> Storage:
        return Storage(root / ".dvc" / "cache", Remote("storage", str(root.parent / "remote")))

    monkeypatch.setattr(garbage, "find_storage", storage)
    for salt in ("a trial", "the right one"):
        released.process("xmm", [FIRST, THIRD], salts={FIRST: salt})
        released.record()
    released.release("second")
    return released.layout


def objects(layout) -> set[Path]:
    return {path for path in (layout.root / ".dvc" / "cache" / "files").rglob("*") if path.is_file()}


def test_every_version_keeps_its_data(used, monkeypatch, capsys):
    monkeypatch.chdir(used.root)
    before = objects(used)
    stray = used.root / ".dvc" / "cache" / "files" / "md5" / "ab" / "note"
    stray.parent.mkdir(exist_ok=True)
    stray.write_text("not DVC's")
    assert main(["gc", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["removed"], told["versions"]) == (False, 2)
    assert told["unneeded"]
    assert objects(used) - {stray} == before
    assert main(["gc", "--yes", "--dry-run"]) == 0
    assert objects(used) - {stray} == before
    assert main(["gc", "--yes"]) == 0
    assert f"removed {len(told['unneeded'])} objects" in capsys.readouterr().out
    assert {path.parent.name + path.name for path in before - objects(used)} == set(told["unneeded"])
    assert stray.exists()
    assert not find_garbage(used).unneeded
    assert verify_archive(used, "v1.0.1").ok
    contents = b"".join(path.read_bytes() for path in objects(used))
    assert b"the right one" in contents
    assert b"a trial" not in contents


def test_branches_and_the_working_tree_count(used):
    trial = find_garbage(used).unneeded
    git.plumb(used.root, "tag", "-d", "v1.0.0")
    assert len(find_garbage(used).unneeded) > len(trial), "the first version is on no branch but as a parent"
    for name in ("refs/heads/paper", "refs/remotes/anna/main", "refs/stash"):
        git.plumb(used.root, "update-ref", name, "HEAD~1")
        assert find_garbage(used).unneeded == trial, name
        git.plumb(used.root, "update-ref", "-d", name)


def test_a_cache_of_several_archives_is_left_alone(used, monkeypatch, tmp_path):
    monkeypatch.setattr(garbage, "find_storage", lambda root: Storage(tmp_path / "shared", None))
    with pytest.raises(ConfigError, match="other archives may use"):
        remove_garbage(used)


def test_nothing_is_removed_while_a_stage_runs(used):
    from filelock import FileLock

    with FileLock(used.places("xmm", "clean").lock), pytest.raises(ArchiveError, match="is running"):
        remove_garbage(used)


def test_a_part_is_verified(released):
    layout = released.layout
    gone = next((layout.products("xmm", "clean") / THIRD).glob("*.fits"))
    gone.unlink()
    damaged = next((layout.products("xmm", "images") / FIRST).glob("*.fits"))
    damaged.write_bytes(damaged.read_bytes() + b"?")
    paths = {one.path.rpartition("/")[2] for one in verify_archive(layout, "v1.0.0").problems}
    assert paths == {gone.name, damaged.name}
    (only,) = verify_archive(layout, "v1.0.0", present=True).problems
    assert only.path.endswith(damaged.name)
    (only,) = verify_archive(layout, "v1.0.0", obs_ids=[THIRD]).problems
    assert (only.path.endswith(gone.name), only.what) == (True, "absent")
    assert verify_archive(layout, "v1.0.0", present=True, obs_ids=[THIRD]).ok
    with pytest.raises(CriteriaError, match="not among the observations of v1"):
        verify_archive(layout, "v1.0.0", obs_ids=["0000000000"])


def test_a_part_cannot_be_requested_from_the_remote(capsys):
    assert main(["verify", "--remote", "--present"]) == CriteriaError.exit_code
    assert "about the data here" in capsys.readouterr().err
