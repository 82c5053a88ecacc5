"""Releases of real archives: what is made, and that a refusal changes nothing."""

from __future__ import annotations

import json
import os
import re
import shutil

import pytest

from daxa.archive import git
from daxa.archive.gate import check_archive
from daxa.archive.git_objects import tree_of
from daxa.archive.layout import STEPS
from daxa.cli import main
from daxa.errors import ReleaseError, UntrustedArchive
from daxa.publish.dvc_outputs import listed_files, lock_digests
from daxa.publish.remote import find_storage
from tests.publish.workshop import FIRST, SECOND, THIRD, Workshop, damage, deceive, observation, run


def snapshot(workshop):
    """Everything that a release could write: commits, tags, index, and small files."""
    root = workshop.layout.root
    small = {path: path.read_bytes() for path in root.iterdir() if path.is_file()}
    return run(root, "git", "for-each-ref"), run(root, "git", "status", "--porcelain"), small


def test_a_release_is_an_annotated_tag_on_a_clean_commit(released):
    root = released.layout.root
    assert run(root, "git", "cat-file", "-t", "v1.0.0") == "tag\n"
    assert git.tags(root)["v1.0.0"] == git.commit_of(root)
    assert git.changes(root) == []
    assert json.loads(run(root, "dvc", "status", "--json")) == {}
    pointer = (root / "logs.dvc").read_bytes()
    run(root, "dvc", "add", "--quiet", "logs")
    assert (root / "logs.dvc").read_bytes() == pointer
    message = run(root, "git", "tag", "--list", "--format=%(contents)", "v1.0.0")
    steps = "fetch {0} done; events {0} done; clean {0} done; images {0} done; sources {0} done"
    assert message.splitlines()[:4] == [
        "first data release",
        "",
        f"XMM-Newton: 2 observations, 46.0 ks; {steps.format(2)}; 10 products, 35.7 kB",
        f"NuSTAR: 1 observation, 23.0 ks; {steps.format(1)}; 5 products, 19.1 kB",
    ]
    assert "logs.dvc" in git.tracked(root, "v1.0.0")
    assert not any(path.startswith(("data/", "logs/", "report/")) for path in git.tracked(root, "v1.0.0"))


def test_none_of_the_files_that_a_release_writes_may_be_a_link(released):
    root = released.layout.root
    written = [name for name in git.tracked(root, "v1.0.0") if "/" not in name]
    assert len(written) > 15
    for name in (*written, ".dvc.lock.part", "metrics.json.part"):
        path, copy = root / name, root / "copy"
        if name in written:
            path.rename(copy)
        path.symlink_to("copy")
        with pytest.raises(UntrustedArchive, match=f"{re.escape(str(path))} is a link"):
            check_archive(released.layout)
        path.unlink()
        if name in written:
            copy.rename(path)
    check_archive(released.layout)


def test_versions_follow_from_what_changed(released):
    layout = released.layout
    with pytest.raises(ReleaseError) as refused:
        released.release()
    assert refused.value.code == "release.nothing-new"

    released.process("xmm", [FIRST, THIRD], salts={THIRD: "reprocessed"})
    released.record()
    assert released.release().tag == "v1.0.1"

    released.choose("xmm", [observation(FIRST), observation(SECOND), observation(THIRD)])
    released.process("xmm", [FIRST, SECOND, THIRD])
    released.record()
    made = released.release("one\tmore\x1b[31m")
    assert (made.tag, made.previous) == ("v1.1.0", "v1.0.1")
    assert made.message.startswith("one more [31m\n\nXMM-Newton: 3 observations")

    released.choose("xmm", [observation(FIRST), observation(SECOND)])
    released.process("xmm", [FIRST, SECOND])
    released.record()
    assert released.release().tag == "v2.0.0"

    with layout.config.open("a") as stream:
        stream.write("\n# a remark\n")
    with pytest.raises(ReleaseError, match=r"daxa\.toml") as refused:
        released.release()
    assert "--include daxa.toml" in refused.value.remedy
    with pytest.raises(ReleaseError) as refused:
        released.release(include=["daxa.toml"])
    assert refused.value.code == "release.nothing-new"
    assert released.release(include=["daxa.toml"], force=True).tag == "v2.0.1"
    assert sorted(git.tags(layout.root)) == ["v1.0.0", "v1.0.1", "v1.1.0", "v2.0.0", "v2.0.1"]


def test_a_refusal_names_all_reasons_and_writes_nothing(finished):
    layout = finished.layout
    (layout.root / "notes.txt").write_text("mine")
    (layout.root / "more").mkdir()
    (layout.root / "more" / "dvc.yaml").write_text("stages: {}\n")
    layout.pipeline.write_text(layout.pipeline.read_text().replace("stage clean xmm", "stage clean xmm --fast"))
    params = layout.params("nustar")
    params.write_text(params.read_text().replace('"0 s"', '"10 s"'))
    before = snapshot(finished)
    with pytest.raises(ReleaseError) as refused:
        finished.release()
    assert snapshot(finished) == before
    assert refused.value.code == "release.several"
    for named in ("notes.txt", "dvc.yaml is not", "more/dvc.yaml"):
        assert named in refused.value.message
    assert "git checkout dvc.yaml" in refused.value.remedy


def test_stale_stages_are_named(finished):
    params = finished.layout.params("nustar")
    params.write_text(params.read_text().replace('"0 s"', '"10 s"'))
    with pytest.raises(ReleaseError, match="events-nustar") as refused:
        finished.release()
    assert "`daxa run`" in refused.value.remedy


def test_a_product_that_only_looks_unchanged_is_refused(finished):
    """DVC trusts size, time and inode; the release reads every byte."""
    victim = next(finished.layout.products("xmm", "clean").rglob("*.fits"))
    run(finished.layout.root, "dvc", "status")
    damage(victim)
    before = snapshot(finished)
    with pytest.raises(ReleaseError) as refused:
        finished.release()
    assert refused.value.code == "release.data"
    assert victim.name in refused.value.message
    assert snapshot(finished) == before


def test_a_release_that_was_cut_before_its_tag_can_be_made_again(finished, monkeypatch):
    def die(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(git, "create_tag", die)
        with pytest.raises(KeyboardInterrupt):
            finished.release("first")
    commit = git.commit_of(finished.layout.root)
    assert git.tags(finished.layout.root) == {}
    assert finished.release("first").commit == commit
    assert git.tags(finished.layout.root) == {"v1.0.0": commit}


def test_remarks_are_no_news_and_parameters_are(released):
    params = released.layout.params("xmm")
    params.write_text(f"# a remark\n{params.read_text()}")
    with pytest.raises(ReleaseError) as refused:
        released.release()
    assert refused.value.code == "release.nothing-new"
    params.write_text(params.read_text().replace('"0 s"', '"10 s"'))
    released.record()
    assert released.release().tag == "v1.0.1"


def test_a_file_whose_name_is_not_utf8_is_named_and_released(released, monkeypatch, capsys):
    root, names = released.layout.root, [os.fsdecode(b"caf\xe9.txt"), os.fsdecode(b"params/\xff.txt")]
    monkeypatch.chdir(root)
    deceive(monkeypatch)
    for name in names:
        (root / name).write_text("# mine\n")
    assert set(names) <= set(git.changes(root))
    with pytest.raises(ReleaseError) as refused:
        released.release()
    assert names[0] in refused.value.message
    assert main(["release"]) != 0
    assert "caf\N{REPLACEMENT CHARACTER}.txt" in capsys.readouterr().err

    assert released.release(include=names[:1], force=True).tag == "v1.0.1"
    for paths in (git.tracked(root), [path for path, _ in git.index_entries(root)]):
        assert set(names) <= set(paths)
    assert set(names) <= {one.path for one in tree_of(root, "HEAD")} & {
        path for path, *_ in git.tree_entries(root, "HEAD")
    }
    assert [main(["diff", "v1.0.0", "v1.0.1"]), main(["status"]), main(["verify", "v1.0.1"])] == [0, 0, 0]


@pytest.mark.parametrize(
    "rule", ["selection/xmm.parquet", "ledger/nustar-clean.parquet", "params/xmm.toml", "dvc.lock"]
)
def test_a_release_that_lacks_a_file_gets_no_tag(finished, monkeypatch, rule):
    """Whatever keeps a file out of the commit."""
    deceive(monkeypatch)
    commit = git.commit

    def forget(root, paths, message):
        made = commit(root, paths, message)
        run(root, "git", "rm", "--quiet", "--cached", rule)
        run(root, "git", "commit", "--quiet", "--message", "Forget")
        return made

    monkeypatch.setattr(git, "commit", forget)
    with pytest.raises(ReleaseError, match=rule) as refused:
        finished.release()
    assert refused.value.code == "release.incomplete"
    assert f"git add --force {rule}" in refused.value.remedy
    assert git.tags(finished.layout.root) == {}


def test_a_release_whose_files_git_altered_gets_no_tag(finished, monkeypatch):
    (finished.layout.root / ".gitattributes").write_text("*.lock text eol=lf\n")
    git.commit(finished.layout.root, [".gitattributes"], "Treat as text")
    deceive(monkeypatch)
    lock = finished.layout.lock
    lock.write_bytes(lock.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(ReleaseError, match=r"dvc\.lock") as refused:
        finished.release()
    assert refused.value.code == "release.altered"
    assert git.tags(finished.layout.root) == {}


@pytest.mark.parametrize("kind", ["file", "listing"])
def test_data_must_be_in_the_cache(finished, kind):
    digest = lock_digests(finished.layout.lock.read_bytes())["data/xmm/clean"]
    cache = find_storage(finished.layout.root)
    if kind == "file":
        digest = min(listed_files(cache.cached(digest).read_bytes()).values())
    cache.cached(digest).unlink()
    with pytest.raises(ReleaseError, match="DVC's cache lacks data of data/xmm/clean"):
        finished.release()


def test_failed_observations_need_a_policy(finished):
    finished.process("xmm", [FIRST, THIRD], failed={FIRST: "clean"})
    finished.record()
    with pytest.raises(ReleaseError, match=r"0093640901 \(data.no-events\)"):
        finished.release()
    config = finished.layout.config
    config.write_text(config.read_text().replace("max_failed_release = 0.0", "max_failed_release = 0.5"))
    message = finished.release(include=["daxa.toml"]).message
    assert "clean 1 done, 1 failed; images 1 done, 1 skipped; sources 1 done, 1 skipped" in message


def test_a_release_from_a_clone_keeps_the_logs_of_what_it_kept(released, tmp_path):
    root = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", str(released.layout.root), str(root))
    shutil.copy(released.layout.root / ".dvc" / "config.local", root / ".dvc" / "config.local")
    pipeline = [f"{step}-{mission}" for mission in ("xmm", "nustar") for step in STEPS[1:]]
    run(root, "dvc", "pull", "--quiet", *pipeline, "collect")
    clone = Workshop(root)
    clone.process("xmm", [FIRST, THIRD], salts={THIRD: "reprocessed"})
    for path in [*(clone.layout.logs / "xmm").rglob(f"{FIRST}.log")]:
        path.unlink()
    clone.record()
    with pytest.raises(ReleaseError, match="logs of the last release are not on this machine"):
        clone.release()
    run(root, "dvc", "fetch", "--quiet", "logs.dvc")
    assert clone.release().tag == "v1.0.1"
    kept = {path.relative_to(clone.layout.logs): path.read_text() for path in clone.layout.logs.rglob("*.log")}
    assert len(kept) == 3 * len(STEPS)
    assert kept == {
        path: text.replace("\n", "reprocessed\n") if THIRD in path.name else text
        for path, text in (
            (path.relative_to(released.layout.logs), path.read_text()) for path in released.layout.logs.rglob("*.log")
        )
    }
