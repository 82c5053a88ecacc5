"""One file holds a release: the same each time, and readable by Git alone."""

from __future__ import annotations

import json
import subprocess

import pytest

from daxa.archive.bundle import judge_bundle
from daxa.archive.git_objects import fetch_refs, tag_object
from daxa.archive.layout import Layout
from daxa.errors import ArchiveError, CriteriaError
from daxa.publish.releases.release_environment import (
    compare_environments,
    environment_at,
    installed_environment,
    read_environment,
)
from daxa.publish.remaking.export import MANIFEST, export_release, read_manifest


def run(*argv: str, cwd) -> str:
    return subprocess.run(argv, cwd=cwd, check=True, capture_output=True, text=True).stdout


def test_a_release_is_one_small_file_that_git_reads(released, tmp_path):
    made = export_release(released.layout, "v1.0.0", tmp_path / "one.bundle")
    assert made.size == (tmp_path / "one.bundle").stat().st_size < 200_000
    refs = judge_bundle(tmp_path / "one.bundle")
    assert sorted(refs) == ["refs/daxa/export", "refs/tags/v1.0.0"]
    run("git", "clone", "--quiet", "--branch", "v1.0.0", str(tmp_path / "one.bundle"), "clone", cwd=tmp_path)
    assert run("git", "rev-parse", "HEAD", cwd=tmp_path / "clone").strip() == made.commit
    assert not (tmp_path / "clone" / "data").exists()


def test_equal_releases_give_equal_bytes_whatever_the_state_of_the_repository(released, tmp_path):
    one = export_release(released.layout, "", tmp_path / "one.bundle")
    run("git", "gc", "--quiet", "--aggressive", cwd=released.layout.root)
    two = export_release(released.layout, "v1.0.0", tmp_path / "two.bundle")
    assert one.sha256 == two.sha256


def test_the_manifest_says_what_to_expect(released, tmp_path):
    export_release(released.layout, "v1.0.0", tmp_path / "one.bundle")
    run("git", "init", "--quiet", "new", cwd=tmp_path)
    names = {"refs/tags/v1.0.0": "refs/tags/v1.0.0", "refs/daxa/export": "refs/daxa/export"}
    fetch_refs(tmp_path / "new", str(tmp_path / "one.bundle"), names)
    tag = tag_object(tmp_path / "new", "v1.0.0")
    manifest = read_manifest(tmp_path / "new", tag, source="one.bundle")
    assert manifest["missions"]["xmm"]["observations"] == 2
    assert manifest["missions"]["xmm"]["fetched_files"] == 2
    assert manifest["environment"] == installed_environment()
    assert json.loads(run("git", "show", f"refs/daxa/export:{MANIFEST}", cwd=tmp_path / "new")) == manifest


def test_what_cannot_be_exported_is_refused(released, tmp_path):
    with pytest.raises(ArchiveError, match="not a release"):
        export_release(released.layout, "main", tmp_path / "x")
    with pytest.raises(ArchiveError, match="no release"):
        export_release(released.layout, "v9.0.0", tmp_path / "x")
    run("git", "tag", "v1.1.0", cwd=released.layout.root)
    with pytest.raises(ArchiveError, match="not annotated"):
        export_release(released.layout, "v1.1.0", tmp_path / "x")
    tag = run("git", "rev-parse", "refs/tags/v1.0.0", cwd=released.layout.root).strip()
    run("git", "update-ref", "refs/tags/v2.0.0", tag, cwd=released.layout.root)
    with pytest.raises(ArchiveError, match="is really the tag"):
        export_release(released.layout, "v2.0.0", tmp_path / "x")
    (tmp_path / "there").write_text("mine")
    with pytest.raises(CriteriaError, match="exists"):
        export_release(released.layout, "v1.0.0", tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"
    assert not list(tmp_path.glob(".daxa-*"))


def test_a_shallow_clone_says_what_it_lacks(released, tmp_path):
    source = f"file://{released.layout.root}"
    run("git", "clone", "--quiet", "--depth=1", "--branch=v1.0.0", source, "shallow", cwd=tmp_path)
    with pytest.raises(ArchiveError, match="shallow clone"):
        export_release(Layout(tmp_path / "shallow"), "v1.0.0", tmp_path / "x")


def test_a_release_records_the_environment_and_nothing_depends_on_it(released):
    commit = tag_object(released.layout.root, "v1.0.0").commit
    recorded = environment_at(released.layout, commit)
    assert recorded == installed_environment()
    assert compare_environments(recorded, recorded) == []
    assert "environment" not in released.layout.pipeline.read_text()
    other = {**recorded, "python": "3.99.0", "packages": {**recorded["packages"], "numpy": "0.1"}}
    assert [line.split(":")[0] for line in compare_environments(recorded, other)] == ["python", "numpy"]


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"packages": {"numpy; rm": "1"}}',
        b'{"packages": {"numpy": "1 --index-url x"}}',
        b'{"python": "\\u001b", "packages": {}}',
        b'{"packages": []}',
        b"\xff",
    ],
)
def test_an_environment_of_a_stranger_is_judged(content):
    assert read_environment(content) is None
