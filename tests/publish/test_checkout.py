"""Going to another version and back: the same bytes, nothing downloaded, nothing lost, nothing trusted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import daxa
from daxa.archive import git
from daxa.archive.layout import Layout
from daxa.cli import main
from daxa.errors import ArchiveError, UntrustedArchive
from daxa.publish.releases.verify import verify_archive
from daxa.publish.remote import Remote, Storage
from daxa.publish.sharing import checkout
from daxa.publish.sharing.judged_versions import find_version
from daxa.publish.workspaces import scratch_clone
from tests.publish.workshop import FIRST, SECOND, THIRD, copy_archive, deceive, observation, run, set_identity


def storage(root: Path, name: str = "") -> Storage:
    there = root.parent / "remote"
    return Storage(root / ".dvc" / "cache", Remote("storage", str(there)), {"url": str(there)})


@pytest.fixture(scope="session")
def twice_once(released_once, make_once) -> Path:
    """v1.0.0, and v2.0.0 with one observation dropped, one new and one reprocessed; the remote is gone."""

    def make(place: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            set_identity(patch)
            deceive(patch)
            workshop = copy_archive(released_once, place)
            workshop.choose("xmm", [observation(FIRST), observation(SECOND)])
            workshop.process("xmm", [FIRST, SECOND], salts={FIRST: "anew"})
            workshop.record()
            shutil.rmtree(workshop.layout.products("xmm", "fetch") / THIRD, ignore_errors=True)
            workshop.release("second")
            shutil.rmtree(place / "remote")

    return make_once("workshop-twice", make)


@pytest.fixture
def twice(twice_once, tmp_path, identity, monkeypatch) -> Layout:
    monkeypatch.setattr(checkout, "find_storage", storage)
    monkeypatch.setenv("DAXA_STORE", str(tmp_path / "store"))
    return copy_archive(twice_once, tmp_path).layout


def data_of(layout: Layout) -> dict[str, bytes]:
    places = (layout.root / "data", layout.report)
    return {
        path.relative_to(layout.root).as_posix(): path.read_bytes()
        for place in places
        for path in place.rglob("*")
        if path.is_file()
    }


def test_there_and_back_the_same(twice, monkeypatch, capsys):
    monkeypatch.chdir(twice.root)
    latest = data_of(twice)
    report = daxa.open().checkout("v1.0.0")
    assert report.version == "v1.0.0"
    assert report.ok
    former = data_of(twice)
    assert not [problem for problem in verify_archive(twice, "v1.0.0").problems if problem.step != "fetch"]
    assert any(f"/{THIRD}/" in path for path in former)
    assert not any(f"/{SECOND}/" in path for path in former)
    assert git.branch(twice.root) == ""

    last = git.tags(twice.root).keys() - {"v1.0.0"}
    assert main(["verify", tag := last.pop()]) == 7
    assert f"another version is checked out: first `daxa checkout {tag}`" in capsys.readouterr().err
    assert main(["checkout", "-"]) == 0
    assert "main is checked out" in capsys.readouterr().out
    assert git.branch(twice.root) == "main"
    assert data_of(twice) == latest
    assert verify_archive(twice, "v2.0.0").ok
    assert main(["checkout", "v1.0.0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert data_of(twice) == former


def test_an_interrupted_one_is_completed(twice, monkeypatch):
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    for name in ("remove_stale", "_switch", "bring_data", "link_fetched"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(checkout, name, interrupted)
            checkout.checkout_version(twice, "v1.0.0")
    assert checkout.checkout_version(twice, "v1.0.0").ok
    assert checkout.checkout_version(twice, "main").ok
    assert verify_archive(twice, "v2.0.0").ok


def test_nothing_is_lost(twice):
    product = next(twice.products("xmm", "clean").glob(f"{FIRST}/*.fits"))
    known = product.read_bytes()
    product.write_bytes(b"a day of work")
    before = data_of(twice)
    with pytest.raises(ArchiveError, match="would be lost"):
        checkout.checkout_version(twice, "v1.0.0")
    assert data_of(twice) == before
    assert git.branch(twice.root) == "main"
    product.write_bytes(known)
    twice.config.write_text(twice.config.read_text() + "# mine\n")
    with pytest.raises(ArchiveError, match=r"uncommitted changes in daxa\.toml"):
        checkout.checkout_version(twice, "v1.0.0")
    assert data_of(twice).keys() == before.keys()


def test_what_the_machine_lacks_is_named(twice, monkeypatch, capsys):
    monkeypatch.chdir(twice.root)
    gone = next(twice.products("xmm", "clean").glob(f"{SECOND}/*.fits"))
    assert daxa.open().checkout("v1.0.0").ok
    content = gone.name
    for path in (twice.root / ".dvc" / "cache" / "files").rglob("*"):
        if path.is_file() and content.encode() in path.read_bytes() and not path.name.endswith(".dir"):
            path.unlink()
    assert main(["checkout", "main"]) == 11
    shown = capsys.readouterr()
    assert f"missing: data/xmm/clean/{SECOND}/{content}" in shown.out
    assert "daxa pull" in shown.err
    assert next(twice.products("xmm", "clean").glob(f"{FIRST}/*.fits")).is_file()


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("dvc.yaml", "stages: {evil: {cmd: touch /tmp/evil}}\n"),
        (".gitattributes", "* filter=evil\n"),
        ("data/xmm/clean/x", "tracked"),
        ("params/xmm.toml", None),
        ("work/dvc.yaml", "stages: {}\n"),
    ],
)
def test_a_version_is_judged_before_it_acts(twice, path, content):
    root = twice.root
    with scratch_clone_of(twice) as other:
        target = other / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        if content is None:
            target.symlink_to("/etc/passwd")
        else:
            target.write_text(content)
        run(other, "git", "add", "-Af", ".")
        run(other, "git", "commit", "-qm", "evil")
        run(root, "git", "fetch", "-q", str(other), "HEAD:refs/tags/v3.0.0")
    before, head = data_of(twice), git.commit_of(root)
    with pytest.raises((UntrustedArchive, ArchiveError)) as refused:
        checkout.checkout_version(twice, "v3.0.0")
    assert "push/" not in str(refused.value)
    assert (data_of(twice), git.commit_of(root)) == (before, head)
    assert not git.changes(root)


def scratch_clone_of(layout: Layout):
    (layout.private / "push").mkdir(parents=True, exist_ok=True)
    return scratch_clone(layout, "main")


def test_names_that_are_not_valid(twice):
    for name in ("v9.0.0", "HEAD", "--help", "", "-"):
        with pytest.raises(ArchiveError, match="no release and no branch"):
            checkout.checkout_version(twice, name)
    run(twice.root, "git", "update-ref", "refs/remotes/origin/anna", "main")
    with pytest.raises(ArchiveError) as refused:
        checkout.checkout_version(twice, "anna")
    assert "`git branch anna origin/anna`" in refused.value.remedy
    for version in ("v1.0.0", "main"):
        run(twice.root, "git", "checkout", "-q", "--detach", version)
    assert find_version(twice, "-") == "refs/tags/v1.0.0"
    run(twice.root, "git", "branch", "v1.0.0")
    with pytest.raises(ArchiveError, match="a tag and a branch"):
        checkout.checkout_version(twice, "v1.0.0")
