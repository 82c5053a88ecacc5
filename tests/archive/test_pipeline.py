"""What `daxa run` has DVC do, and what it says when that fails."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess

import pytest

from daxa.archive import dvc, git
from daxa.archive.config import load_config
from daxa.archive.pipeline import failed_stages, run_pipeline, stages_hidden_from_dvc
from daxa.archive.stage_errors import noted
from daxa.errors import ArchiveError, CriteriaError, ProgramError
from tests.stages.archives import IDS, make_archive, run, wish


@pytest.fixture
def archive(tmp_path):
    layout = make_archive(tmp_path / "a907")
    wish(layout, **{f"events_{IDS[0]}": "data"})
    run(layout)
    return layout


@pytest.fixture
def asked(monkeypatch) -> list:
    """The arguments of DVC."""
    calls = []
    monkeypatch.setattr(dvc, "repro", lambda root, *stages, **options: calls.append((stages, options)))
    return calls


def record(layout) -> None:
    """Write ``dvc.lock`` as DVC does when the stages have ended well."""
    stages = {
        f"{step}-xmm": {"cmd": "x", "outs": [{"path": f"ledger/xmm-{step}.parquet", "md5": md5(layout, step)}]}
        for step in ("fetch", "events")
    }
    layout.lock.write_text(json.dumps({"schema": "2.0", "stages": stages}))


def md5(layout, step: str) -> str:
    return hashlib.md5(layout.ledger("xmm", step).read_bytes(), usedforsecurity=False).hexdigest()


def test_stages_are_forced_where_dvc_sees_nothing_to_do(archive, asked):
    config = load_config(archive)
    assert failed_stages(archive, config) == []  # DVC does not know the stage as done: it runs by itself.
    record(archive)
    assert failed_stages(archive, config) == ["events-xmm"]
    run_pipeline(archive, config)
    assert asked == [(("events-xmm",), {"force": True, "single": True}), ((), {"keep_going": True})]
    asked.clear()
    run_pipeline(archive, config, ["xmm"])
    assert asked[-1][0] == ("sources-xmm",)
    with pytest.raises(CriteriaError, match="did you mean xmm"):
        run_pipeline(archive, config, ["xmmm"])


def test_fetched_files_that_were_altered_are_fetched_again(archive, asked):
    """DVC keeps no watch over what was fetched."""
    import daxa

    git.initialise(archive.root)
    file = next(path for path in archive.products("xmm", "fetch").rglob("*") if path.is_file())
    file.chmod(0o644)
    file.write_bytes(file.read_bytes() + b"more")
    config = load_config(archive)
    unseen = stages_hidden_from_dvc(config, daxa.Archive(archive.root).status())
    assert unseen == {("xmm", "fetch")}
    run_pipeline(archive, config, unseen=unseen)
    assert asked[0] == (("fetch-xmm",), {"force": True, "single": True})


def test_a_run_beside_another_says_so_before_dvc_starts(archive, asked):
    rwlock = archive.root / ".dvc" / "tmp" / "rwlock"
    rwlock.parent.mkdir(parents=True)
    holder = {"pid": os.getpid(), "cmd": "dvc repro"}
    rwlock.write_text(json.dumps({"read": {str(archive.config): [holder]}}))
    with pytest.raises(ArchiveError, match=f"process {os.getpid()}") as caught:
        run_pipeline(archive, load_config(archive))
    assert caught.value.code == "archive.busy"
    assert not asked
    for content in ("", "[]", "{", json.dumps({"read": {"x": [{"pid": 2**22 + 1}]}})):
        rwlock.write_text(content)
        run_pipeline(archive, load_config(archive))


def test_the_last_word_is_what_the_stage_said(archive, monkeypatch):
    said = ArchiveError("bug", "2 of 3 observations of xmm met a bug", remedy="read the log")

    def repro(root, *stages, **options):
        if "keep_going" in options:
            with pytest.raises(ArchiveError), noted(archive, "events-xmm"):
                raise said
        raise ProgramError("repro", "the pipeline stopped", remedy="look above")

    monkeypatch.setattr(dvc, "repro", repro)
    with pytest.raises(ArchiveError) as caught:
        run_pipeline(archive, load_config(archive))
    assert (caught.value.code, caught.value.message, caught.value.remedy) == (said.code, said.message, said.remedy)
    monkeypatch.setattr(dvc, "repro", lambda root, *stages, **options: repro(root))
    with pytest.raises(ProgramError):  # No stage said anything: what was noted before is forgotten.
        run_pipeline(archive, load_config(archive))


def test_packing_makes_versions_small_and_loses_nothing(tmp_path):
    git.initialise(tmp_path)
    author = ["-c", "user.name=x", "-c", "user.email=x@localhost"]
    rows = [os.urandom(40).hex() for _ in range(20000)]
    for version in ("first", "second", "unreachable"):
        (tmp_path / "table").write_text("\n".join([*rows[:5000], version, *rows[5000:]]))
        subprocess.run(["git", "add", "table"], cwd=tmp_path, check=True)
        if version != "unreachable":
            subprocess.run(["git", *author, "commit", "-qm", version], cwd=tmp_path, check=True)
    lost = subprocess.run(
        ["git", "hash-object", "table"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.strip()
    subprocess.run(["git", "reset", "-q"], cwd=tmp_path, check=True)
    assert git.pack(tmp_path)
    packed = sum(path.stat().st_size for path in (tmp_path / ".git" / "objects" / "pack").iterdir())
    assert packed < 1.1e6
    assert not git.pack(tmp_path)
    subprocess.run(["git", "fsck", "--strict"], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run(["git", "cat-file", "-e", lost], cwd=tmp_path, check=True)
