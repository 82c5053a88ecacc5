"""What a user has configured, inherited or left behind in Git changes nothing, or is named with the next step."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daxa.archive import dvc, failures, git
from daxa.archive.config import LockedSoftware
from daxa.archive.layout import STEPS, Layout
from daxa.archive.template import MissionAnswers, render
from daxa.errors import ArchiveError, ConfigError, DaxaError, ProgramError, StorageError
from daxa.missions import find_mission
from daxa.run.process import run_program
from daxa.run.redirection import without_redirection

ANSWERS = [
    MissionAnswers(
        find_mission("xmm"), {"obs_ids": ["0404910601"]}, [(s, LockedSoftware("native", "1")) for s in STEPS]
    )
]
RESULTS = ("selection/xmm.parquet", "upstream/xmm.parquet", "dvc.lock", "metrics.json")
OLD = 3600.0


def run(root: Path, *argv: str, **environ: str) -> str:
    ended = subprocess.run(argv, cwd=root, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def configure(monkeypatch, place: Path, **settings: str) -> None:
    """A user's own settings: section__key to value."""
    path = place / "gitconfig"
    for name, value in settings.items():
        run(place, "git", "config", "--file", str(path), name.replace("__", "."), value)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(path))


def needed_files(layout: Layout) -> list[str]:
    """What Git must hold of the archive."""
    ledgers = [layout.ledger("xmm", step).relative_to(layout.root).as_posix() for step in STEPS]
    return [*render("a907", ANSWERS), *RESULTS, *ledgers]


def fill(root: Path) -> Layout:
    """The files of an archive, with others that must stay out of Git."""
    layout = Layout(root)
    files = dict.fromkeys(needed_files(layout), "made\n") | render("a907", ANSWERS)
    files |= {
        "data/xmm/clean/0404910601/a.fits": "big\n",
        "report/index.html": "drawn\n",
        ".dvc/cache/files/x": "big\n",
    }
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return layout


@pytest.fixture
def place(tmp_path, identity, monkeypatch):
    """The directory of the archive ``a907`` and of what it must not touch, without any Git settings."""
    for name in [
        name for name in os.environ if name.startswith("GIT_CONFIG_") and name[11:] not in ("GLOBAL", "NOSYSTEM")
    ]:
        monkeypatch.delenv(name)
    (tmp_path / "a907").mkdir()
    return tmp_path


@pytest.fixture
def archive(place):
    """A small archive with its first commit."""
    layout = fill(place / "a907")
    git.initialise(layout.root)
    git.commit(layout.root, needed_files(layout), "first")
    return layout


@pytest.mark.parametrize("way", ["core.excludesFile", "info/exclude"])
@pytest.mark.parametrize(
    "patterns", ["*.parquet", "*.json\n*.toml", "data/\n*.lock\n*.yaml", "ledger/\n/selection\nupstream", "*"]
)
def test_no_ignore_file_of_the_user_keeps_a_required_file_out(place, monkeypatch, patterns, way):
    layout = fill(place / "a907")
    git.initialise(layout.root)
    if way == "info/exclude":
        (layout.root / ".git" / "info").mkdir(exist_ok=True)
        ignore = layout.root / ".git" / "info" / "exclude"
    else:
        ignore = place / "ignored"
        configure(monkeypatch, place, core__excludesFile=str(ignore))
    ignore.write_text(f"{patterns}\n")
    needed = needed_files(layout)
    assert not set(needed) - set(git.changes(layout.root)), "what a release finds changed"
    git.commit(layout.root, needed, "first")
    held = set(git.tracked(layout.root))
    assert held == set(needed)
    layout.ledger("xmm", "clean").write_text("made anew\n")
    assert git.changes(layout.root) == ["ledger/xmm-clean.parquet"]
    # As people do it, who must not be surprised by their own ignore files either.
    run(layout.root, "git", "add", ".")
    assert not [
        path for path in run(layout.root, "git", "ls-files").split() if path.startswith((".dvc/cache", "data", "rep"))
    ]


def test_dvc_finds_a_pipeline_that_the_user_ignores(archive, place, monkeypatch):
    (place / "ignored").write_text("*\n")
    configure(monkeypatch, place, core__excludesFile=str(place / "ignored"))
    archive.lock.unlink()
    assert "fetch-xmm" in dvc.changed_stages(archive.root)


def test_a_directory_is_added_without_what_is_ignored(archive):
    (archive.root / "notes").mkdir()
    (archive.root / "notes" / "a.part").write_text("half")
    (archive.root / "notes" / "b").write_text("mine")
    git.commit(archive.root, ["notes", "params/xmm.toml", "absent"], "notes")
    assert [path for path in git.tracked(archive.root) if path.startswith("notes")] == ["notes/b"]


def other_repository(place: Path) -> Path:
    other = place / "other"
    other.mkdir()
    run(other, "git", "init", "--quiet")
    (other / "a").write_text("a")
    run(other, "git", "add", "a")
    run(other, "git", "commit", "--quiet", "-m", "a")
    return other


def state(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


REDIRECTIONS = {
    "GIT_DIR": ".git",
    "GIT_WORK_TREE": "",
    "GIT_INDEX_FILE": ".git/index",
    "GIT_OBJECT_DIRECTORY": ".git/objects",
    "GIT_COMMON_DIR": ".git",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES": ".git/objects",
}


@pytest.mark.parametrize("name", [*REDIRECTIONS, "all"])
def test_nothing_inherited_leads_into_another_repository(place, monkeypatch, name):
    other = other_repository(place)
    before = state(other)
    for one in REDIRECTIONS if name == "all" else [name]:
        monkeypatch.setenv(one, str(other / REDIRECTIONS[one]))
    for one, value in {"NAMESPACE": "x", "CEILING_DIRECTORIES": str(place), "LITERAL_PATHSPECS": "1"}.items():
        monkeypatch.setenv(f"GIT_{one}", value)
    inherited = {key: value for key, value in os.environ.items() if key.startswith("GIT_")}
    layout = fill(place / "a907")
    git.initialise(layout.root)
    commit = git.commit(layout.root, needed_files(layout), "first")
    git.create_tag(layout.root, "v1.0.0", "first")
    assert git.tags(layout.root) == {"v1.0.0": commit}
    assert git.read_file(layout.root, "v1.0.0", "dvc.lock") == b"made\n"
    assert git.changes(layout.root) == []
    assert not git.differs(layout.root, "v1.0.0", without="absent")
    git.clone(str(layout.root), place / "clone", "v1.0.0")
    assert git.tracked(place / "clone") == git.tracked(layout.root)
    assert state(other) == before
    assert {key: value for key, value in os.environ.items() if key.startswith("GIT_")} == inherited


def test_programs_inherit_no_redirection_and_keep_what_the_user_says(place, monkeypatch):
    for at, (key, value) in enumerate(
        [
            ("core.worktree", "/elsewhere"),
            ("safe.directory", "/shared/a907"),
            ("Core.Bare", "true"),
            ("user.name", "Ada"),
        ]
    ):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{at}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{at}", value)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "4")
    monkeypatch.setenv("GIT_INDEX_FILE", "/other/.git/index")
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -i key")
    shown = "import os, json; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('GIT_')}))"
    import json

    kept = json.loads(run_program([sys.executable, "-c", shown], cwd=place).stdout)
    assert kept["GIT_CONFIG_COUNT"] == "2"
    assert [kept["GIT_CONFIG_KEY_0"], kept["GIT_CONFIG_VALUE_1"]] == ["safe.directory", "Ada"]
    assert kept["GIT_SSH_COMMAND"] == "ssh -i key"
    assert "GIT_INDEX_FILE" not in kept
    assert "GIT_CONFIG_KEY_2" not in kept
    # Git's own list of what belongs to one repository, but for the settings, which are sifted.
    local = set(run(place, "git", "rev-parse", "--local-env-vars").split()) - {"GIT_CONFIG_COUNT"}
    assert without_redirection(dict.fromkeys(local, "x")) == {}
    assert without_redirection({"GIT_CONFIG_COUNT": "nonsense"}) == {}


@pytest.mark.parametrize("settings", [{"GIT_DEFAULT_HASH": "sha256", "GIT_DEFAULT_REF_FORMAT": "reftable"}, {}])
def test_digests_are_those_that_dvc_reads(place, monkeypatch, settings):
    configure(monkeypatch, place, init__defaultObjectFormat="sha256", init__defaultBranch="trunk")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    layout = fill(place / "a907")
    git.initialise(layout.root)
    assert len(git.commit(layout.root, ["dvc.yaml"], "first")) == 40
    assert run(layout.root, "git", "branch", "--show-current") == "main\n"


def test_a_repository_with_other_digests_is_named(place):
    run(place / "a907", "git", "init", "--quiet", "--object-format=sha256")
    with pytest.raises(ArchiveError, match="sha256") as caught:
        git.commit_of(place / "a907")
    assert caught.value.code == "archive.object-format"


@pytest.mark.parametrize("place_of", ["attributes", "crlf"])
def test_line_ends_and_filters_of_the_user_change_no_byte(archive, place, monkeypatch, place_of):
    if place_of == "crlf":
        configure(monkeypatch, place, core__autocrlf="true", core__safecrlf="true", core__eol="crlf")
    else:
        (place / "attributes").write_text("* text=auto eol=crlf ident\n*.parquet filter=lfs diff=lfs merge=lfs -text\n")
        configure(monkeypatch, place, core__attributesFile=str(place / "attributes"), filter__lfs__clean="rev")
        run(place, "git", "config", "--file", str(place / "gitconfig"), "filter.lfs.required", "true")
    (archive.root / "params" / "xmm.toml").write_text("# $Id$\n[fetch]\n")
    archive.ledger("xmm", "clean").write_text("made anew\n")
    git.commit(archive.root, ["params/xmm.toml", "ledger/xmm-clean.parquet"], "second")
    run(place, "git", "clone", "--quiet", str(archive.root), "clone")
    for path in git.tracked(archive.root):
        assert (place / "clone" / path).read_bytes() == (archive.root / path).read_bytes(), path
        assert git.read_file(archive.root, "HEAD", path) == (archive.root / path).read_bytes(), path


def test_settings_that_change_the_form_of_answers_are_overruled(archive, place, monkeypatch):
    (place / "template").write_text("# template\n")
    configure(
        monkeypatch,
        place,
        core__quotePath="true",
        color__ui="always",
        core__fsmonitor=str(place / "no-such-monitor"),
        diff__external="false",
        diff__noprefix="true",
        diff__relative="true",
        status__showUntrackedFiles="no",
        status__relativePaths="false",
        status__branch="true",
        i18n__commitEncoding="latin1",
        commit__cleanup="strip",
        commit__template=str(place / "template"),
        commit__verbose="true",
        push__default="nothing",
        submodule__recurse="true",
        core__pager="false",
        core__editor="false",
    )
    (archive.root / "ünread").write_text("mine")
    archive.lock.write_text("made anew\n")
    assert git.changes(archive.root) == ["dvc.lock", "ünread"]
    assert git.differs(archive.root, "HEAD", without="metrics.json")
    assert not git.differs(archive.root, "HEAD", without="dvc.lock")
    message = "Über\n\n# of observations: 2\n"
    commit = git.commit(archive.root, ["dvc.lock"], message)
    assert run(
        archive.root, "git", "-c", "i18n.logOutputEncoding=UTF-8", "show", "-s", "--format=%B", commit
    ).startswith(message)
    git.create_tag(archive.root, "v1.0.0", "# first\n")
    assert git.tags(archive.root) == {"v1.0.0": commit}


def hook(place: Path, name: str, text: str) -> Path:
    path = place / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_hook_that_refuses_is_named(archive, place, monkeypatch):
    refusing = hook(place, "pre-commit", "echo 'files are too large' >&2; exit 1")
    configure(monkeypatch, place, core__hooksPath=str(place / "hooks"))
    archive.lock.write_text("made anew\n")
    with pytest.raises(ConfigError, match="files are too large") as caught:
        git.commit(archive.root, ["dvc.lock"], "second")
    assert caught.value.code == "config.git-hook"
    assert str(refusing) in caught.value.message
    refusing.unlink()
    assert git.commit(archive.root, ["dvc.lock"], "second")


def test_hooks_of_a_template_do_not_come_into_an_archive(place, monkeypatch):
    hook(place, "pre-commit", "exit 1")
    configure(monkeypatch, place, init__templateDir=str(place))
    layout = fill(place / "a907")
    git.initialise(layout.root)
    assert git.commit(layout.root, ["dvc.yaml"], "first")


@pytest.mark.parametrize("what", ["commit", "tag"])
def test_signing_that_fails_is_named(archive, place, monkeypatch, what):
    configure(monkeypatch, place, gpg__program=str(place / "no-gpg"))
    run(place, "git", "config", "--file", str(place / "gitconfig"), f"{what}.gpgSign", "true")
    archive.lock.write_text("made anew\n")
    with pytest.raises(ConfigError) as caught:
        git.commit(archive.root, ["dvc.lock"], "second")
        git.create_tag(archive.root, "v1.0.0", "first")
    assert caught.value.code == "config.git-signing"
    assert "gpgSign false" in caught.value.remedy


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_an_archive_of_another_user_is_named_with_the_exact_command(archive, monkeypatch, place):
    for path in (archive.root, archive.root / ".git"):
        os.chown(path, 54321, 54321)
    monkeypatch.delenv("SUDO_UID", raising=False)
    for call in (git.commit_of, git.changes, git.tags, git.tracked, lambda root: git.read_file(root, "HEAD", "x")):
        with pytest.raises(ArchiveError) as caught:
            call(archive.root)
        assert caught.value.code == "archive.not-yours"
    # The command that is given does it.
    configure(monkeypatch, place, user__name="Ada")
    command = caught.value.remedy.partition(": ")[2]
    assert command.startswith("git config --global --add safe.directory ")
    run(place, "sh", "-c", command)
    assert git.changes(archive.root) == []


@pytest.mark.parametrize("name", ["index.lock", "HEAD.lock", "refs/heads/main.lock"])
def test_a_lock_of_a_git_that_was_killed_long_ago_is_removed(archive, name):
    lock = archive.root / ".git" / name
    lock.write_bytes(b"")
    os.utime(lock, (time.time() - OLD,) * 2)
    archive.lock.write_text("made anew\n")
    assert git.commit(archive.root, ["dvc.lock"], "second")
    assert not lock.exists()


@pytest.mark.parametrize("name", ["index.lock", "HEAD.lock", "refs/heads/main.lock", "refs/tags/v1.0.0.lock"])
def test_a_lock_that_may_have_an_owner_stays_and_the_command_is_given(archive, name):
    lock = archive.root / ".git" / name
    lock.parent.mkdir(exist_ok=True)
    lock.write_bytes(b"")
    archive.lock.write_text("made anew\n")
    with pytest.raises(ArchiveError) as caught:
        git.commit(archive.root, ["dvc.lock"], "second")
        git.create_tag(archive.root, "v1.0.0", "first")
    assert caught.value.code == "archive.git-lock"
    assert lock.exists()
    command = caught.value.remedy.rpartition(": ")[2]
    assert command.startswith("rm ")
    run(archive.root, "sh", "-c", command)
    git.commit(archive.root, ["dvc.lock"], "second")
    git.create_tag(archive.root, "v1.0.0", "first")


def test_a_lock_stays_while_a_git_lives_that_may_own_it(archive):
    lock = archive.root / ".git" / "index.lock"
    with subprocess.Popen(["git", "cat-file", "--batch"], cwd=archive.root, stdin=subprocess.PIPE) as living:
        time.sleep(0.2)
        lock.write_bytes(b"")
        later = time.time() - 5.5
        os.utime(lock, (later, later))
        archive.lock.write_text("made anew\n")
        import psutil

        began = psutil.Process(living.pid).create_time()
        os.utime(lock, (began, began))
        time.sleep(max(0.0, began + 5.5 - time.time()))
        with pytest.raises(ArchiveError, match="another Git"):
            git.commit(archive.root, ["dvc.lock"], "second")
        living.stdin.close()
        living.wait()
    assert git.commit(archive.root, ["dvc.lock"], "second")


def test_an_index_of_zeros_is_named_and_the_command_repairs_it(archive):
    index = archive.root / ".git" / "index"
    index.write_bytes(bytes(index.stat().st_size))
    with pytest.raises(ArchiveError) as caught:
        git.changes(archive.root)
    assert caught.value.code == "archive.git-damaged"
    run(archive.root, "sh", "-c", caught.value.remedy.partition(": ")[2])
    assert git.changes(archive.root) == []


def test_a_head_of_zeros_is_named_and_the_command_repairs_it(archive):
    head = archive.root / ".git" / "HEAD"
    head.write_bytes(bytes(21))
    with pytest.raises(ArchiveError) as caught:
        git.changes(archive.root)
    assert caught.value.code == "archive.git-damaged"
    run(archive.root, "sh", "-c", caught.value.remedy.partition(": ")[2].partition(";")[0])
    assert git.changes(archive.root) == []


def test_a_branch_of_zeros_is_named_and_the_command_repairs_it(archive):
    commit = git.commit_of(archive.root)
    branch = archive.root / ".git" / "refs" / "heads" / "main"
    branch.write_bytes(bytes(41))
    with pytest.raises(ArchiveError) as caught:
        git.commit_of(archive.root)
    assert caught.value.code == "archive.git-damaged"
    run(archive.root, "sh", "-c", caught.value.remedy.partition(": ")[2])
    assert git.commit_of(archive.root) == commit


@pytest.mark.parametrize("name", ["config", "packed-refs"])
def test_other_files_of_zeros_are_named(archive, name):
    (archive.root / ".git" / name).write_bytes(bytes(100))
    with pytest.raises(ArchiveError) as caught:
        git.changes(archive.root)
        git.commit_of(archive.root)
    assert caught.value.code == "archive.git-damaged"


def test_an_object_of_zeros_is_named(archive):
    digest = run(archive.root, "git", "rev-parse", "HEAD:dvc.lock").strip()
    target = archive.root / ".git" / "objects" / digest[:2] / digest[2:]
    target.chmod(0o644)
    target.write_bytes(b"")
    with pytest.raises(DaxaError) as caught:
        git.read_file(archive.root, "HEAD", "dvc.lock")
    assert caught.value.code == "archive.git-damaged"
    assert git.read_file(archive.root, "HEAD", "absent") is None


def test_a_work_tree_elsewhere_is_refused(archive, place):
    other = other_repository(place)
    before = state(other)
    run(archive.root, "git", "config", "core.worktree", str(other))
    archive.lock.write_text("made anew\n")
    with pytest.raises(ArchiveError, match="work tree") as caught:
        git.commit(archive.root, ["dvc.lock"], "second")
    assert state(other) == before
    run(place, "sh", "-c", caught.value.remedy.partition(": ")[2])
    assert git.commit(archive.root, ["dvc.lock"], "second")


def test_an_archive_may_be_a_submodule_or_a_linked_work_tree(archive, place):
    (archive.root / "linked").parent.mkdir(exist_ok=True)
    run(archive.root, "git", "worktree", "add", "--quiet", str(place / "linked"), "-b", "other")
    assert git.changes(place / "linked") == []
    (place / "linked" / "dvc.lock").write_text("made anew\n")
    assert git.commit(place / "linked", ["dvc.lock"], "second")
    paper = other_repository(place)
    run(paper, "git", "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(archive.root), "a907")
    assert git.changes(paper / "a907") == []


def test_a_directory_named_after_a_variable_is_refused(place, monkeypatch):
    monkeypatch.chdir(place)
    odd = place / "$HOME"
    odd.mkdir()
    with pytest.raises(ArchiveError, match="environment variable"):
        git.check_identity(odd)
    shutil.copytree(place / "a907", odd / "a907")
    with pytest.raises(ArchiveError, match="environment variable"):
        git.changes(odd / "a907")


def test_a_disk_without_room_is_an_error_of_storage(archive):
    resource = pytest.importorskip("resource")
    (archive.root / "dvc.lock").write_bytes(os.urandom(300_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageError) as caught:
            git.commit(archive.root, ["dvc.lock"], "second")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.code == "storage.full"


def test_files_that_look_like_a_repository_are_not_one(tmp_path, identity):
    """A clone may bring HEAD, objects, refs and a configuration as files: no setting of theirs acts."""
    layout = fill(tmp_path / "a907")
    git.initialise(layout.root)
    git.commit(layout.root, ["."], "Made")
    below = tmp_path / "a907" / "sub"
    shutil.copytree(layout.root, below, ignore=shutil.ignore_patterns("sub", ".git"))
    run(tmp_path, "git", "clone", "-q", "--bare", "a907", "bare")
    shutil.copytree(tmp_path / "bare", below, dirs_exist_ok=True)
    hook = below / "run"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    hook.chmod(0o755)
    for key, value in {"bare": "false", "worktree": ".", "fsmonitor": str(hook), "hooksPath": str(below)}.items():
        run(tmp_path, "git", "config", "--file", str(below / "config"), f"core.{key}", value)
    shutil.copy(hook, below / "post-checkout")
    for ask in (git.changes, git.tags, git.index_entries, git.commit_of, lambda root: git.checkout(root, "HEAD")):
        with pytest.raises(ArchiveError) as error:
            ask(below)
        assert error.value.name == "not-git"
    with pytest.raises(DaxaError):
        git.tracked_below(below, ["data"])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("option", ["--assume-unchanged", "--skip-worktree"])
def test_what_git_was_told_not_to_see_is_named(tmp_path, identity, option):
    layout = fill(tmp_path)
    git.initialise(layout.root)
    git.commit(layout.root, ["."], "Made")
    assert git.hidden_changes(layout.root) == []
    run(tmp_path, "git", "update-index", option, "README.md")
    (tmp_path / "README.md").write_text("other\n")
    assert git.changes(layout.root) == []
    assert git.hidden_changes(layout.root) == ["README.md"]


def test_a_merge_that_has_begun_is_seen_until_it_ends(tmp_path, identity):
    layout = fill(tmp_path)
    git.initialise(layout.root)
    git.commit(layout.root, ["."], "Made")
    for branch, text in (("other", "theirs\n"), ("main", "ours\n")):
        run(tmp_path, "git", "checkout", "-q", *(["-b"] if branch == "other" else []), branch)
        (tmp_path / "README.md").write_text(text)
        git.commit(layout.root, ["README.md"], text)
    assert not git.is_merging(layout.root)
    subprocess.run(["git", "merge", "-q", "other"], cwd=tmp_path, check=False, capture_output=True)
    assert git.is_merging(layout.root)
    run(tmp_path, "git", "merge", "--abort")
    assert not git.is_merging(layout.root)


def test_a_branch_without_commits_is_named(tmp_path, identity):
    layout = fill(tmp_path)
    git.initialise(layout.root)
    with pytest.raises(ArchiveError, match="no commits") as error:
        git.commit_of(layout.root)
    assert error.value.name == "no-commit"


@pytest.mark.parametrize(
    ("place", "text"),
    [("HEAD", "garbage"), ("packed-refs", "garbage\n"), ("refs/heads/main", "")],
)
def test_a_damaged_repository_is_said_to_be_damaged(tmp_path, identity, place, text):
    layout = fill(tmp_path)
    git.initialise(layout.root)
    git.commit(layout.root, ["."], "Made")
    (tmp_path / ".git" / place).write_text(text)
    for ask in (git.commit_of, git.tags, lambda root: git.tracked_below(root, ["data"])):
        try:
            ask(layout.root)
        except ArchiveError as error:
            assert error.name == "git-damaged"
            break
    else:
        pytest.fail("nobody noticed")


def test_a_merge_that_has_begun_is_named(tmp_path, identity):
    layout = fill(tmp_path)
    git.initialise(layout.root)
    git.commit(layout.root, ["."], "Made")
    for name, text in (("theirs", "a\n"), ("main", "b\n")):
        run(tmp_path, "git", "checkout", "-q", *(["-b"] if name == "theirs" else []), name)
        (tmp_path / "README.md").write_text(text)
        git.commit(layout.root, ["README.md"], name)
    subprocess.run(["git", "merge", "-q", "theirs"], cwd=tmp_path, check=False, capture_output=True)
    with pytest.raises(ArchiveError) as error:
        git.commit(layout.root, ["README.md"], "half")
    assert error.value.name == "git-merging"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("ERROR: failed to transfer 'ab' - [Errno 28] No space left: '/a' -> '/b'\nERROR: failed to push", "space"),
        ("ERROR: failed to transfer 'ab' - Connection refused\n", "Connection refused"),
        ("ERROR: unexpected error - [Errno 13] Permission denied: '/r/x'\n\nHit us up at x\n", "Permission denied"),
        ("ERROR: failed to push data to the cloud - s3 is supported, but requires 'dvc-s3'\n", "requires 'dvc-s3'"),
    ],
)
def test_what_a_remote_does_not_take_is_the_fault_of_the_remote(said, told):
    error = failures.push_failure(Path("a907"), "lab", said)
    assert error.code == "storage.push-failed"
    assert "'lab'" in error.message
    assert told in error.message
    assert "a907" not in error.message


@pytest.mark.parametrize(
    "said",
    [
        "fatal: sha1 file '.git/objects/pack/tmp_idx_a' write error. Out of diskspace\nfatal: index-pack failed",
        "fatal: write error: No space left on device\nerror: index-pack died",
        "error: unable to write file upstream/xmm.parquet\nfatal: unable to checkout working tree",
        "error: unable to write loose object file: No space left on device",
        "fatal: unable to write new_index file",
    ],
)
def test_a_full_disk_is_said_with_its_remedy(said):
    error = failures.git_failure(Path("a907"), said)
    assert (error.code, "free some space" in error.remedy) == ("storage.full", True)


def test_a_program_that_may_not_be_executed_is_said_with_its_own_remedy(tmp_path):
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\n")
    with pytest.raises(ProgramError) as error:
        run_program([str(program)], cwd=tmp_path)
    assert "Permission denied" in error.value.message
    assert "execute" in error.value.remedy


def test_no_package_in_an_archive_takes_the_place_of_dvc(archive, tmp_path):
    """``python -m`` would find it in the current directory first."""
    for name in ("dvc/__init__.py", "dvc/__main__.py", "typing.py"):
        place = archive.root / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"open({str(tmp_path / 'evil')!r}, 'w').close()\n")
    assert dvc.run_dvc(archive.root, "--version").stdout.startswith("3.")
    assert not (tmp_path / "evil").exists()
