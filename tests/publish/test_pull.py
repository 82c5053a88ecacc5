"""A pull proves what it puts into the tree, says what is missing, and lets no listing lead it elsewhere."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import daxa
from daxa.archive import git
from daxa.cli import main
from daxa.errors import (
    ArchiveError,
    CriteriaError,
    DataError,
    ProgramError,
    ReleaseError,
    StorageError,
    UntrustedArchive,
)
from daxa.publish.dvc_outputs import lock_digests
from daxa.publish.releases.verify import verify_archive
from daxa.publish.sharing import pull
from daxa.publish.sharing.pull import pull_data
from daxa.publish.sharing.push import push_releases
from daxa.publish.sharing.remotecheck import verify_remote
from tests.publish.workshop import FIRST, THIRD, Workshop, know_storage, run

NUSTAR = "30101031002"


@pytest.fixture
def known(monkeypatch) -> None:
    """No DVC is started to say where cache and remote are."""
    know_storage(monkeypatch)


@pytest.fixture
def clone(released, tmp_path) -> Workshop:
    """What a stranger has after `git clone`, with a cache of its own."""
    return make_clone(released, tmp_path / "clone")


def make_clone(workshop: Workshop, place: Path) -> Workshop:
    run(place.parent, "git", "clone", "--quiet", str(workshop.layout.root), str(place))
    shutil.copy(workshop.layout.root / ".dvc" / "config.local", place / ".dvc" / "config.local")
    return Workshop(place)


def files(workshop: Workshop) -> set[str]:
    root = workshop.layout.root
    return {
        path.relative_to(root).as_posix()
        for name in ("data", "logs", "report")
        for path in (root / name).rglob("*")
        if path.is_file()
    }


def remote_object(place: Path, digest: str) -> Path:
    return place / "remote" / "files" / "md5" / digest[:2] / digest[2:]


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_a_clone_gets_everything_and_a_second_pull_nothing(released, clone):
    report = pull_data(clone.layout)
    assert report.ok
    assert report.fetched > 0
    assert (
        report.files == len(files(clone)) == len({path for path in files(released) if "/fetch/" not in path}) + 15 - 12
    )
    assert verify_archive(clone.layout, "v1.0.0").problems == ()
    again = pull_data(clone.layout)
    assert (again.ok, again.files, again.fetched) == (True, report.files, 0)


def test_parts_by_observation_and_mission(clone, known):
    assert pull_data(clone.layout, obs_ids=[FIRST]).ok
    assert files(clone)
    assert all(FIRST in path for path in files(clone))
    assert pull_data(clone.layout, missions=["nustar"]).ok
    assert {path.split("/")[1] for path in files(clone) if FIRST not in path} == {"nustar"}
    for options, named in (({"obs_ids": ["0000000001"]}, "0000000001"), ({"missions": ["rosat"]}, "rosat")):
        with pytest.raises(CriteriaError, match=named):
            pull_data(clone.layout, **options)


def test_parts_by_kind(clone, known, monkeypatch, capsys):
    assert pull_data(clone.layout, kinds=["quicklook"]).ok
    pictures = {
        f"data/{mission}/images/{obs_id}/obsid{obs_id}-instM1-subexpS001-en-quicklook.png"
        for mission, obs_id in (("xmm", FIRST), ("xmm", THIRD), ("nustar", NUSTAR))
    }
    assert files(clone) == pictures
    monkeypatch.chdir(clone.layout.root)
    shutil.rmtree("data")
    assert main(["pull", "v1.0.0", "--kind", "quicklook", "--obs", THIRD, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == 1
    assert files(clone) == {path for path in pictures if THIRD in path}
    assert daxa.open(".").pull(kinds="quicklook", missions=["nustar"]).files == 1
    assert verify_archive(clone.layout, "v1.0.0", present=True).problems == ()
    with pytest.raises(CriteriaError, match="no kind 'picture'") as refused:
        pull_data(clone.layout, kinds=["picture"])
    assert "quicklook" in refused.value.remedy
    with pytest.raises(CriteriaError, match="no file of the kind fetched") as refused:
        pull_data(clone.layout, kinds=["fetched"])
    assert "`daxa run`" in refused.value.remedy


def test_what_is_asked_of_a_release_and_the_release_are_judged_before_it_is_checked_out(released, tmp_path, known):
    root = released.layout.root
    (root / "paper.pdf").symlink_to("/etc/passwd")
    git.commit(root, ["paper.pdf"], "Lead outside")
    git.create_tag(root, "v1.0.1", "a link")
    clone = make_clone(released, tmp_path / "clone")
    run(clone.layout.root, "git", "checkout", "--quiet", "v1.0.0")
    before = git.commit_of(clone.layout.root)
    with pytest.raises(UntrustedArchive, match=r"v1\.0\.1 of .* was not checked out"):
        pull_data(clone.layout, "v1.0.1")
    run(root, "git", "checkout", "--quiet", "v1.0.0")
    (root / "remark.txt").write_text("none")
    git.commit(root, ["remark.txt"], "Remark")
    git.create_tag(root, "v1.0.2", "a remark")
    run(clone.layout.root, "git", "fetch", "--quiet", "--tags")
    for options in ({"kinds": ["picture"]}, {"obs_ids": ["0000000001"]}, {"missions": ["rosat"]}):
        with pytest.raises(CriteriaError):
            pull_data(clone.layout, "v1.0.2", **options)
    with pytest.raises(ArchiveError, match="no release and no branch"):
        pull_data(clone.layout, "v9.9.9")
    assert git.commit_of(clone.layout.root) == before
    assert files(clone) == set()


def test_logs_of_runs_since_the_release_are_left_alone_and_the_rest_comes(clone, known, capsys, monkeypatch):
    new, changed = clone.layout.log("xmm", "clean", "0000000007"), clone.layout.log("xmm", "clean", FIRST)
    for log in (new, changed):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("of a run of my own\n")
    monkeypatch.chdir(clone.layout.root)
    assert main(["pull"]) == 0
    assert "2 logs of runs that are in no release are left as they are" in capsys.readouterr().err
    assert {new.read_text(), changed.read_text()} == {"of a run of my own\n"}
    other = clone.layout.log("xmm", "clean", THIRD)
    assert other.read_text() == f"xmm clean {THIRD} \n"
    other.write_text("of a later run\n")
    assert pull_data(clone.layout).unreleased_logs == 3
    assert other.read_text() == "of a later run\n"
    assert {(found.path, found.what) for found in verify_archive(clone.layout).problems} == set()
    report = pull_data(clone.layout, force=True)  # gives up what differs from the release, and no other file
    assert (report.ok, report.unreleased_logs) == (True, 1)
    assert other.read_text() == f"xmm clean {THIRD} \n"
    assert new.read_text() == "of a run of my own\n"
    new.unlink()
    assert pull_data(clone.layout).unreleased_logs == 0
    assert verify_archive(clone.layout, "v1.0.0").problems == ()


def test_what_the_remote_lacks_is_named_and_the_rest_comes(clone, tmp_path, released, known):
    lost = f"data/xmm/clean/{FIRST}/manifest.json"
    wrong = f"data/xmm/images/{THIRD}/manifest.json"
    remote_object(tmp_path, md5(released.layout.root / lost)).unlink()
    spoilt = remote_object(tmp_path, md5(released.layout.root / wrong))
    spoilt.chmod(0o644)
    spoilt.write_bytes(spoilt.read_bytes()[:-1] + b"?")
    report = pull_data(clone.layout)
    assert (report.missing, report.wrong) == ((lost,), (wrong,))
    assert {lost, wrong}.isdisjoint(files(clone))
    for path in (
        f"data/xmm/clean/{THIRD}/manifest.json",
        f"data/xmm/images/{FIRST}/manifest.json",
        "report/index.html",
    ):
        assert path in files(clone)
    push_releases(released.layout)
    assert pull_data(clone.layout).ok
    assert verify_archive(clone.layout).problems == ()


def test_what_the_disk_spoils_on_the_way_into_the_tree_is_named(clone, monkeypatch, known):
    changed, lost = (f"data/xmm/{step}/{FIRST}/manifest.json" for step in ("clean", "images"))
    put = pull.put_in_place

    def onto_a_bad_disk(layout, *arguments):
        put(layout, *arguments)
        spoilt = (layout.root / changed).read_bytes()[:-1] + b"?"
        for path in (changed, lost):
            (layout.root / path).unlink()
        (layout.root / changed).write_bytes(spoilt)

    monkeypatch.setattr(pull, "put_in_place", onto_a_bad_disk)
    report = pull_data(clone.layout, missions=["xmm"], obs_ids=[FIRST])
    assert (report.missing, report.wrong, report.ok) == ((), (changed, lost), False)
    assert report.files == len(files(clone)) - 1


@pytest.mark.parametrize(
    "options", [{"obs_ids": [FIRST]}, {"missions": ["xmm"]}, {"missions": ["xmm"], "obs_ids": [FIRST]}]
)
def test_a_remote_that_is_not_there_is_said_of_a_part(clone, tmp_path, known, options):
    (tmp_path / "remote").rename(tmp_path / "moved")
    report = pull_data(clone.layout, **options)
    assert not report.ok
    assert report.missing == ("data/xmm/clean", "data/xmm/events", "data/xmm/images", "data/xmm/sources", "logs")


def test_a_link_in_the_place_of_a_log_is_named_with_its_own_remedy(clone, known, tmp_path, identity):
    pull_data(clone.layout)
    log = clone.layout.log("xmm", "clean", FIRST)
    log.unlink()
    log.symlink_to("/etc/passwd")
    with pytest.raises(UntrustedArchive, match=f"{log} is a link") as caught:
        pull_data(clone.layout)
    assert "rm" in caught.value.remedy
    assert ("link", f"logs/xmm/clean/{FIRST}.log") in {
        (one.what, one.path) for one in verify_archive(clone.layout, "v1.0.0").problems
    }
    with pytest.raises(UntrustedArchive, match=f"{log} is a link"):
        clone.release("x", force=True)


def test_a_remote_that_is_not_there_is_said(clone, tmp_path, known):
    (tmp_path / "remote").rename(tmp_path / "moved")
    with pytest.raises(ReleaseError, match="there is no such directory") as caught:
        push_releases(clone.layout)
    assert "`daxa pull`" in caught.value.remedy
    assert "dvc" not in caught.value.remedy
    with pytest.raises(ReleaseError, match="in the last commit is neither"):
        verify_remote(clone.layout)
    report = pull_data(clone.layout)
    assert not report.ok
    assert "data/xmm/clean" in report.missing
    assert files(clone) == set()


CLIMBING = {
    "up": "../../../canary",
    "absolute": "/canary",
    "through a dot": "a/./b",
    "empty": "a//b",
    "into Git": ".git/hooks/post-checkout",
    "into Git below": "x/.GIT/config",
    "a pipeline": "dvc.yaml",
    "a control character": "a\nb",
    "another slash": "a\\..\\b",
    "a long name": f"{'n' * 300}.fits",
    "a long name of letters of two bytes": "é" * 130,
    "a long path": "/".join(["n" * 100] * 11),
}


@pytest.mark.parametrize("kind", [*CLIMBING, "twice", "a file and its directory", "a listing in a listing", "more"])
def test_a_listing_that_leads_elsewhere_is_refused_before_anything_moves(clone, tmp_path, kind, known):
    out = "data/xmm/clean"
    digest = lock_digests(clone.layout.lock.read_bytes())[out]
    entries = json.loads(remote_object(tmp_path, digest).read_bytes())
    one = {"md5": entries[0]["md5"]}
    if kind in CLIMBING:
        entries.append(one | {"relpath": CLIMBING[kind]})
    elif kind == "twice":
        entries.append(entries[0])
    elif kind == "a file and its directory":
        entries.append(one | {"relpath": entries[0]["relpath"].partition("/")[0]})
    elif kind == "a listing in a listing":
        entries.append({"md5": digest, "relpath": "more"})
    else:
        entries.append(one | {"relpath": "more", "version_id": "x"})
    content = json.dumps(entries).encode()
    forged = hashlib.md5(content, usedforsecurity=False).hexdigest() + ".dir"
    remote_object(tmp_path, forged).parent.mkdir(exist_ok=True)
    remote_object(tmp_path, forged).write_bytes(content)
    clone.layout.lock.write_text(clone.layout.lock.read_text().replace(digest, forged))
    git.commit(clone.layout.root, ["dvc.lock"], "Forge")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=out):
        pull_data(clone.layout)
    new = {path for path in set(tmp_path.rglob("*")) - set(before) if not path.is_relative_to(clone.layout.private)}
    assert {path for path in new if ".dvc/cache" not in path.as_posix() and ".dvc/tmp" not in path.as_posix()} == set()


@pytest.mark.parametrize(
    "entry",
    ["      files:\n      - relpath: ../../x\n        md5: {}\n", "      cloud: {{}}\n", "      remote: other\n"],
)
def test_a_lock_that_leads_elsewhere_is_refused(clone, entry, known):
    lock = clone.layout.lock
    text = lock.read_text()
    line = re.search(r"    - path: data/xmm/clean\n", text)[0]
    lock.write_text(text.replace(line, f"{line}      {entry.format('0' * 32)}", 1))
    with pytest.raises(DataError, match=r"dvc\.lock"):
        pull_data(clone.layout)
    assert files(clone) == set()


def test_an_archive_without_data_says_so(clone, known):
    clone.layout.lock.unlink()
    with pytest.raises(ArchiveError, match=r"no dvc\.lock"):
        pull_data(clone.layout)


def test_foreign_configuration_is_refused_before_anything_moves(clone):
    with (clone.layout.root / ".dvc" / "config").open("a") as stream:
        stream.write("[cache]\n    dir = /tmp/x\n")
    with pytest.raises(ArchiveError, match=r"cache\.dir"):
        pull_data(clone.layout)
    assert files(clone) == set()


def test_a_tag_is_checked_out_when_nothing_is_in_its_way(released, tmp_path):
    released.process("xmm", [FIRST, THIRD], salts={THIRD: "reprocessed"})
    released.record()
    assert released.release().tag == "v1.0.1"
    push_releases(released.layout)
    clone = make_clone(released, tmp_path / "clone")
    assert pull_data(clone.layout).ok
    report = pull_data(clone.layout, "v1.0.0")
    assert report.checked_out
    assert report.ok
    assert git.commit_of(clone.layout.root) == git.commit_of(clone.layout.root, "v1.0.0") == report.commit
    assert verify_archive(clone.layout, "v1.0.0").problems == ()
    assert not pull_data(clone.layout, "v1.0.0").checked_out
    (clone.layout.root / "README.md").write_text("mine")
    with pytest.raises(ArchiveError, match=r"README\.md") as refused:
        pull_data(clone.layout, "v1.0.1")
    assert refused.value.code == "archive.uncommitted"
    assert "git worktree add" in refused.value.remedy


def test_files_that_are_nowhere_else_are_never_given_up_in_silence(clone, known):
    pull_data(clone.layout)
    note = clone.layout.products("xmm", "clean") / FIRST / "notes.txt"
    note.write_text("mine")
    product = clone.layout.products("xmm", "clean") / THIRD / "manifest.json"
    right = product.read_bytes()
    product.chmod(0o644)
    product.write_text("edited")
    with pytest.raises(ArchiveError, match="manifest") as refused:
        pull_data(clone.layout)
    assert refused.value.code == "archive.changed-data"
    assert product.read_text() == "edited"
    with pytest.raises(ArchiveError, match=r"notes\.txt") as refused:
        pull_data(clone.layout, force=True)
    assert refused.value.code == "archive.unsaved"
    assert note.read_text() == "mine"
    note.unlink()
    assert pull_data(clone.layout, force=True).ok
    assert product.read_bytes() == right


@pytest.mark.parametrize("level", ["output", "observation", "logs", "cache", "objects"])
@pytest.mark.parametrize("force", [False, True])
def test_a_pull_writes_through_no_link(clone, tmp_path, known, level, force):
    outside = tmp_path / "thesis"
    outside.mkdir()
    root = clone.layout.root
    place = {
        "output": "data/nustar/clean",
        "observation": f"data/nustar/clean/{NUSTAR}",
        "logs": "logs/nustar/clean",
        "cache": ".dvc/cache/files",
        "objects": ".dvc/cache/files/md5/ab",
    }[level]
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).symlink_to(outside)
    with pytest.raises(UntrustedArchive, match="link"):
        pull_data(daxa.open(root).layout, force=force)
    assert not list(outside.iterdir())


def test_an_interrupted_pull_continues(clone, monkeypatch, known):
    from daxa.publish.sharing import placing as module

    calls = []

    def die(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fetch(*arguments)

    fetch = module.fetch_object
    with monkeypatch.context() as patch:
        patch.setattr(module, "fetch_object", die)
        with pytest.raises(KeyboardInterrupt):
            pull_data(clone.layout)
    report = pull_data(clone.layout)
    assert report.ok
    assert report.fetched > 0
    assert verify_archive(clone.layout).problems == ()


def test_a_disk_without_room_for_the_data_is_said(clone, monkeypatch, known):
    def fail(root, targets):
        raise ProgramError("dvc", "checkout failed for following targets", remedy="read it")

    monkeypatch.setattr("daxa.archive.dvc.checkout", fail)
    with pytest.raises(ProgramError):
        pull_data(clone.layout)
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=1))
    with pytest.raises(StorageError) as refused:
        pull_data(clone.layout)
    assert refused.value.code == "storage.full"
    monkeypatch.undo()
    assert pull_data(clone.layout).ok


def test_the_verbs(clone, tmp_path, released, monkeypatch, capsys):
    """Exit codes, JSON, and errors with a remedy."""
    monkeypatch.chdir(clone.layout.root)
    assert main(["pull", "--obs", FIRST, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ok"]
    assert said["fetched"] > 0
    assert main(["pull", "--obs", FIRST]) == 0
    assert "only a part was requested" in capsys.readouterr().out
    lost = remote_object(tmp_path, md5(released.layout.root / f"data/xmm/clean/{THIRD}/manifest.json"))
    lost.unlink()
    assert main(["pull"]) == 11
    out = capsys.readouterr()
    assert f"missing: data/xmm/clean/{THIRD}/manifest.json" in out.out
    assert "daxa push" in out.err
    assert main(["verify", "v1.0.0"]) == 7
    assert f"data/xmm/clean/{THIRD}/manifest.json" in capsys.readouterr().out
    assert main(["verify", "--remote", "--json"]) == 7
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["what"], problem["obs_id"]) == ("remote-absent", THIRD)
    assert main(["verify", "--sample", "1/20"]) == 3
    monkeypatch.chdir(released.layout.root)
    assert main(["push"]) == 0
    assert "1 sent now" in capsys.readouterr().out
    monkeypatch.chdir(clone.layout.root)
    assert main(["pull"]) == 0
    assert main(["verify", "v1.0.0"]) == 0
