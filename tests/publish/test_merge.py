"""Two people's work is joined by observation and stage, in one commit or not at all; a stranger's branch is judged."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import daxa
from daxa.archive import committing, dvc, git
from daxa.archive.gate import enter_archive
from daxa.archive.git import commits
from daxa.archive.layout import Layout
from daxa.cli import main
from daxa.errors import ArchiveError, CriteriaError, DaxaError
from daxa.publish.dvc_outputs import tracked_digest
from daxa.publish.merging import merge, merge_plan
from daxa.publish.merging.merge import plan_merge
from daxa.publish.releases.verify import verify_archive
from daxa.publish.remote import Storage
from daxa.publish.sharing import checkout
from daxa.run.ledger import read_ledger
from daxa.selection.selection_file import read_chosen
from tests.publish.workshop import FIRST, SECOND, THIRD, Workshop, copy_archive, deceive, observation, run, set_identity

FOURTH = "0555780101"
ANNA = "anna/main"


def storage(root: Path, name: str = "") -> Storage:
    return Storage(root / ".dvc" / "cache", None, {})


def work(workshop: Workshop, obs_ids: list[str], **salts: str) -> None:
    """Select and process these, with other contents for some, and commit."""
    workshop.choose("xmm", [observation(obs_id) for obs_id in obs_ids])
    workshop.process("xmm", obs_ids, salts={name.removeprefix("_"): salt for name, salt in salts.items()})
    workshop.record()
    git.commit(workshop.layout.root, git.changes(workshop.layout.root), "Work")


@pytest.fixture(scope="session")
def branches_once(released_once, make_once) -> Path:
    """Ours, and branches of Anna's, as Git has fetched them, with her data in the cache.

    Ours added one observation and reprocessed one, and was released.  On ``main`` Anna added another, and released
    that; on ``again`` she reprocessed the one that ours did; on ``drop`` she dropped it.
    """

    def make(place: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            set_identity(patch)
            deceive(patch)
            ours = copy_archive(released_once, place / "ours")
            work(ours, [FIRST, THIRD, FOURTH], **{f"_{FIRST}": "ours"})
            ours.release("ours")
            whole = {"main": [FIRST, SECOND, THIRD], "again": [FIRST, THIRD], "drop": [THIRD]}
            for name, obs_ids in whole.items():
                anna = copy_archive(released_once, place / name)
                work(anna, obs_ids, **({f"_{FIRST}": "hers"} if name == "again" else {}))
                if name == "main":
                    anna.release("hers")
                run(
                    ours.layout.root,
                    "git",
                    "fetch",
                    "-q",
                    "--no-tags",
                    str(anna.layout.root),
                    f"main:refs/remotes/anna/{name}",
                )
                cache = Path(".dvc") / "cache"
                shutil.copytree(anna.layout.root / cache, ours.layout.root / cache, dirs_exist_ok=True)

    return make_once("workshop-branches", make)


@pytest.fixture
def ours(branches_once, tmp_path, identity, monkeypatch) -> Workshop:
    for module in (merge, merge_plan):
        monkeypatch.setattr(module, "find_storage", storage)
    monkeypatch.setenv("DAXA_STORE", str(tmp_path / "store"))
    made = copy_archive(branches_once / "ours", tmp_path)
    monkeypatch.chdir(made.layout.root)
    return made


@pytest.fixture
def no_dvc(monkeypatch) -> None:
    """Put directories in their places without starting DVC."""

    def checkout(root: Path, targets: list[str]) -> None:
        recorded = dvc.recorded_digests(root) | {"logs": tracked_digest((root / "logs.dvc").read_bytes())}
        for out, digest in recorded.items():
            if not digest.endswith(".dir"):
                continue
            for entry in json.loads(storage(root).cached(digest).read_bytes()):
                path, source = f"{out}/{entry['relpath']}", storage(root).cached(entry["md5"])
                if source.is_file() and any(f"{path}/".startswith(f"{target}/") for target in targets):
                    (root / path).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, root / path)

    monkeypatch.setattr(dvc, "checkout", checkout)


def state(layout: Layout) -> dict[str, bytes]:
    """Everything but what Git and DVC keep for themselves."""
    files = (path for path in layout.root.rglob("*") if path.is_file())
    return {
        name: path.read_bytes()
        for path in files
        if not (name := path.relative_to(layout.root).as_posix()).startswith((".git/", ".dvc/"))
    }


def parents(layout: Layout) -> list[str]:
    return git.plumb(layout.root, "rev-list", "--parents", "--max-count=1", "HEAD").split()[1:]


def test_disjoint_observations_are_united_with_their_data(ours, capsys):
    layout = ours.layout
    before, commit, hers = state(layout), git.commit_of(layout.root), git.commit_of(layout.root, ANNA)
    assert main(["merge", ANNA, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert f"{SECOND}  added it" in shown
    assert FIRST not in shown
    assert state(layout) == before

    assert main(["merge", ANNA, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["again"] == ["collect"]
    assert parents(layout) == [commit, hers]
    assert git.changes(layout.root) == []
    assert list(read_chosen(layout.selection("xmm"))) == [FIRST, SECOND, THIRD, FOURTH]
    for step in ("fetch", "clean"):
        assert list(read_ledger(layout.ledger("xmm", step))) == [FIRST, SECOND, THIRD, FOURTH]
    product = f"obsid{SECOND}-instM1-subexpS001-en-clean.fits"
    assert (layout.products("xmm", "clean") / SECOND / product).is_file()
    assert b"ours" in next(layout.products("xmm", "clean").glob(f"{FIRST}/*.fits")).read_bytes()
    assert (layout.logs / "xmm" / "clean" / f"{SECOND}.log").is_file()
    # DVC agrees that nothing but the summary is to be made.
    assert set(dvc.changed_stages(layout.root)) == {"collect"}

    assert main(["merge", ANNA]) == 0
    assert "is merged already" in capsys.readouterr().out
    ours.record()
    assert ours.release("both").tag == "v1.2.0"
    assert [one.path for one in verify_archive(layout, "v1.2.0").problems] == []
    assert (layout.changes.read_text().count("## v1.1.0"), b"CHANGES.md" in before) == (2, False)


def test_the_same_observation_reprocessed_by_both_is_named(ours, no_dvc, capsys):
    layout = ours.layout
    before, commit = state(layout), git.commit_of(layout.root)
    assert main(["merge", "anna/again"]) == 5
    said = capsys.readouterr().err
    assert f"xmm {FIRST}: ours processed fetch, events, clean, images, sources; theirs processed fetch" in said
    assert f"daxa merge anna/again --theirs {FIRST}" in said
    assert THIRD not in said
    assert (state(layout), git.commit_of(layout.root)) == (before, commit)
    with pytest.raises(ArchiveError, match="nothing was merged"):
        plan_merge(layout, "anna/again").apply()

    plan = daxa.open().plan_merge("anna/again", theirs=FIRST)
    assert [(one.mission, one.obs_id) for one in plan.observations] == [("xmm", FIRST)]
    assert plan.apply().missing == ()
    assert b"hers" in next(layout.products("xmm", "clean").glob(f"{FIRST}/*.fits")).read_bytes()
    assert FOURTH in read_ledger(layout.ledger("xmm", "clean"))
    assert not [one for one in verify_archive(layout).problems if one.obs_id and one.step != "fetch"]


def test_a_version_that_both_have_released_is_named(ours, no_dvc, capsys):
    """Git keeps the tag that is here, and says nothing of the other one."""
    root = ours.layout.root
    assert list(git.tags(root)) == ["v1.0.0", "v1.1.0"]
    assert b"## v1.1.0 " in (git.read_file(root, ANNA, "CHANGES.md") or b"")
    assert main(["merge", ANNA, "--dry-run"]) == 0
    told = capsys.readouterr().err
    assert f"v1.1.0 was released here and on {ANNA}" in told
    assert "`git tag -d v1.1.0 && git fetch anna tag v1.1.0`" in told
    run(root, "git", "tag", "-d", "v1.1.0")
    assert plan_merge(ours.layout, ANNA).released_twice == ()
    run(root, "git", "tag", "-a", "-m", "hers", "v1.1.0", ANNA)
    assert plan_merge(ours.layout, ANNA).released_twice == (), "it is the same"


def test_ours_is_kept_on_request(ours, no_dvc):
    layout = ours.layout
    rows = read_ledger(layout.ledger("xmm", "clean"))
    plan = plan_merge(layout, "anna/again", resolved={"all": "ours"})
    assert (plan.observations, plan.conflicts) == ((), ())
    plan.apply()
    assert read_ledger(layout.ledger("xmm", "clean")) == rows
    assert len(parents(layout)) == 2


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_dropped_by_one_and_reprocessed_by_the_other(ours, no_dvc, side):
    layout = ours.layout
    (conflict,) = plan_merge(layout, "anna/drop").conflicts
    assert (conflict.name, conflict.theirs) == (FIRST, "dropped it")
    plan_merge(layout, "anna/drop", resolved={FIRST: side}).apply()
    kept = side == "ours"
    for known in (read_chosen(layout.selection("xmm")), read_ledger(layout.ledger("xmm", "images"))):
        assert (FIRST in known) == kept
        assert {THIRD, FOURTH} <= known.keys()
    assert (layout.products("xmm", "images") / FIRST).exists() == kept
    assert git.changes(layout.root) == []
    assert not [one for one in verify_archive(layout).problems if one.step not in ("", "fetch")]


def test_data_that_are_not_here_are_named_and_come_later(ours, no_dvc):
    layout = ours.layout
    objects = layout.root / ".dvc" / "cache" / "files" / "md5"
    aside = {}
    for path in list(objects.rglob("*")):
        if path.is_file() and path.suffix != ".dir" and f"clean {SECOND}".encode() in path.read_bytes():
            aside[path] = path.read_bytes()
            path.unlink()
    assert aside
    report = plan_merge(layout, ANNA).apply()
    assert all(SECOND in path for path in report.missing)
    assert {path.split("/")[2] for path in report.missing} >= {"clean"}
    for path, content in aside.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    # The same command again completes it.
    assert plan_merge(layout, ANNA).apply().missing == ()
    assert (layout.products("xmm", "clean") / SECOND).is_dir()


def test_lists_of_files_that_are_elsewhere_are_brought_before_files_are_judged(ours, no_dvc, monkeypatch):
    """Else files of mine that such a list has would be removed as if no version had them."""
    layout = ours.layout
    listing = storage(layout.root).cached(dvc.recorded_digests(layout.root)["data/nustar/clean"])
    listing.unlink()
    seen = []

    def judged(root: Layout, version: Layout, place: Storage, digests: object) -> None:
        seen.extend(path for path, digest in checkout.data_outs(version).items() if not place.cached(digest).is_file())

    monkeypatch.setattr(merge_plan, "refuse_unsaved", judged)
    plan_merge(layout, ANNA).apply()
    assert seen == []


def test_without_her_lists_of_files_the_stages_run_again(ours, no_dvc):
    layout = ours.layout
    hers = json.dumps(dvc.recorded_digests(layout.root))
    lock = git.read_file(layout.root, ANNA, "dvc.lock").decode()
    logs = tracked_digest(git.read_file(layout.root, ANNA, "logs.dvc"))
    for path in (layout.root / ".dvc" / "cache" / "files" / "md5").rglob("*.dir"):
        digest = path.parent.name + path.name
        if digest == logs or (digest in lock and digest not in hers):
            path.unlink()
    plan = plan_merge(layout, ANNA)
    assert {"data/xmm/clean", "data/xmm/images", "logs"} <= set(plan.unlisted)
    assert main(["merge", ANNA, "--dry-run"]) == 0
    assert {"clean-xmm", "images-xmm", "collect"} <= set(plan.again)
    assert "clean-nustar" not in plan.again
    plan.apply()
    assert SECOND in read_ledger(layout.ledger("xmm", "clean"))
    assert (layout.products("xmm", "clean") / FIRST).is_dir()


def test_only_branches_of_this_archive_without_changes_of_mine(ours, tmp_path):
    layout = ours.layout
    with pytest.raises(ArchiveError, match="no branch 'nobody'"):
        plan_merge(layout, "nobody")
    with pytest.raises(CriteriaError, match="neither an observation nor a file"):
        plan_merge(layout, ANNA, resolved={"0000000000": "ours"})
    assert main(["merge", ANNA, "--ours", FIRST, "--theirs", FIRST]) == 3
    (layout.root / "README.md").write_text("mine\n")
    with pytest.raises(ArchiveError, match="uncommitted"):
        plan_merge(layout, ANNA)
    git.plumb(layout.root, "checkout", "-q", "--", ".")
    tree = git.plumb(layout.root, "rev-parse", "HEAD^{tree}").strip()
    other = git.plumb(layout.root, "commit-tree", tree, "-m", "alone").strip()
    git.plumb(layout.root, "update-ref", "refs/heads/alone", other)
    with pytest.raises(ArchiveError, match="no commit in common"):
        plan_merge(layout, "alone")
    git.plumb(layout.root, "checkout", "-q", "--detach")
    with pytest.raises(ArchiveError, match="no branch of"):
        plan_merge(layout, ANNA)


def test_a_branch_that_is_only_ahead_is_taken_as_it_is(ours, no_dvc):
    layout = ours.layout
    git.plumb(layout.root, "reset", "-q", "--hard", "v1.0.0")
    report = plan_merge(layout, ANNA).apply()
    assert report.missing == ()
    assert len(parents(layout)) == 2
    trees = [git.plumb(layout.root, "rev-parse", f"{name}^{{tree}}") for name in ("HEAD", ANNA)]
    assert trees[0] == trees[1]


def commit_of_hers(layout: Layout, name: str, *acts: Callable[[Layout], None]) -> None:
    """Another commit on top of Anna's, on a branch of its own."""
    git.plumb(layout.root, "checkout", "-q", "-b", name, ANNA)
    for act in acts:
        act(layout)
    git.plumb(layout.root, "add", "--all", "--force", "notes")
    git.plumb(layout.root, "commit", "-q", "-m", name)
    git.plumb(layout.root, "checkout", "-q", "-f", "main")


def test_files_of_mine_that_git_does_not_know_are_not_replaced(ours, no_dvc):
    layout = ours.layout
    commit_of_hers(layout, "notes", write("notes/x.txt", "hers\n"))
    (layout.root / ".git" / "info").mkdir(exist_ok=True)
    (layout.root / ".git" / "info" / "exclude").write_text("notes\n")
    write("notes/x.txt", "mine\n")(layout)
    with pytest.raises(ArchiveError, match=r"notes/x\.txt"):
        plan_merge(layout, "notes")
    assert (layout.root / "notes/x.txt").read_text() == "mine\n"
    shutil.rmtree(layout.root / "notes")
    write("notes", "a file\n")(layout)
    git.plumb(layout.root, "add", "--force", "notes")
    git.plumb(layout.root, "commit", "-q", "-m", "A file")
    with pytest.raises(ArchiveError, match="a file and a directory"):
        plan_merge(layout, "notes")
    git.plumb(layout.root, "rm", "-q", "notes")
    git.plumb(layout.root, "commit", "-q", "-m", "None")
    plan_merge(layout, "notes").apply()
    assert (layout.root / "notes/x.txt").read_text() == "hers\n"


def test_a_file_whose_name_is_not_utf8_is_taken(ours, no_dvc):
    layout, name = ours.layout, os.fsdecode(b"notes/caf\xe9.txt")
    commit_of_hers(layout, "notes", write(name, "hers\n"))
    plan_merge(layout, "notes").apply()
    assert (layout.root / name).read_text() == "hers\n"
    assert name in git.tracked(layout.root)


def write(path: str, content: str | bytes | None) -> Callable[[Layout], None]:
    def act(layout: Layout) -> None:
        place = layout.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            place.unlink(missing_ok=True)
            place.symlink_to("/etc/passwd")
        else:
            place.write_bytes(content if isinstance(content, bytes) else content.encode())

    return act


def rename(before: str, after: str) -> Callable[[Layout], None]:
    """Put other bytes of the same length into a ledger, as a stranger can."""

    def act(layout: Layout) -> None:
        path = layout.ledger("xmm", "clean")
        content = path.read_bytes()
        assert before.encode() in content
        path.write_bytes(content.replace(before.encode(), after.encode()))

    return act


@pytest.mark.parametrize(
    "attack",
    [
        write("dvc.yaml", "stages: {evil: {cmd: touch /tmp/evil}}\n"),
        write("work/dvc.yaml", "stages: {evil: {cmd: touch /tmp/evil}}\n"),
        write(".gitattributes", "* filter=evil\n"),
        write(".dvc/config", "[core]\n    site_cache_dir = /tmp/evil\n"),
        write("data/xmm/clean/x", "tracked"),
        write("params/xmm.toml", None),
        write("notes.txt", None),
        write("selection/xmm.parquet", b"PAR1 no PAR1"),
        write("daxa.toml", "format = 99\n"),
        write("dvc.lock", "schema: '2.0'\nstages: {clean-xmm: {outs: [{path: ../../x, md5: x}]}}\n"),
        rename("manifest.json", "../../../evil"),
    ],
)
def test_a_hostile_branch_changes_nothing(ours, no_dvc, attack):
    layout = ours.layout
    before, commit = state(layout), git.commit_of(layout.root)
    git.plumb(layout.root, "checkout", "-q", "-b", "evil", ANNA)
    attack(layout)
    git.plumb(layout.root, "add", "--all")
    if (layout.root / "data/xmm/clean/x").exists():
        git.plumb(layout.root, "add", "--force", "data/xmm/clean/x")
    git.plumb(layout.root, "commit", "-q", "-m", "evil")
    git.plumb(layout.root, "update-ref", "refs/remotes/anna/evil", "HEAD")
    git.plumb(layout.root, "checkout", "-q", "-f", "main")
    git.plumb(layout.root, "branch", "-q", "-D", "evil")
    assert state(layout) == before
    with pytest.raises(DaxaError):
        plan_merge(layout, "anna/evil").apply()
    assert state(layout) == before
    assert (git.commit_of(layout.root), git.changes(layout.root)) == (commit, [])


def test_a_kill_at_any_moment_leaves_the_old_or_the_merge(branches_once, tmp_path, identity, no_dvc, monkeypatch):
    """What changes something is the last thing before a kill, once each; the same command completes."""
    for module in (merge, merge_plan):
        monkeypatch.setattr(module, "find_storage", storage)
    monkeypatch.setenv("DAXA_STORE", str(tmp_path / "store"))
    plumbed, replaced = commits.write, Path.replace
    places = [
        *((merge_plan, name) for name in ("place_object", "commit_changes", "remove_stale", "bring_data")),
        (committing, "_finish"),
        (git, "commit_merge"),
        *((commits, name) for name in ("write", "second", "third")),
        (Path, "replace"),
    ]
    seen = set()
    for number, (module, name) in enumerate(places):
        layout = copy_archive(branches_once / "ours", tmp_path / str(number)).layout
        commit, hers = git.commit_of(layout.root), git.commit_of(layout.root, ANNA)
        calls = iter(range(1000))
        at = {"second": 1, "third": 2, "replace": 8}.get(name, 0)

        def killed(*arguments, module=module, name=name, calls=calls, at=at, **options):
            if next(calls) == at:
                raise KeyboardInterrupt
            return (plumbed if module is commits else replaced)(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(module, "write" if module is commits else name, killed)
            try:
                plan_merge(layout, ANNA).apply()
            except KeyboardInterrupt:
                seen.add(name)
        enter_archive(layout)
        assert git.changes(layout.root) == []
        assert not git.is_merging(layout.root)
        assert git.commit_of(layout.root) == commit or parents(layout) == [commit, hers], name
        assert plan_merge(layout, ANNA).apply().missing == ()
        assert parents(layout) == [commit, hers]
        assert (layout.products("xmm", "clean") / SECOND).is_dir()
        shutil.rmtree(layout.root.parent)
    assert seen == {name for _, name in places}
