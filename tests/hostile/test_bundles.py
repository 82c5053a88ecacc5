"""Hostile bundles against `daxa recreate`: nothing of them is put in place, and nothing in them acts."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from daxa.archive.bundle import MANIFEST_REF, judge_bundle
from daxa.archive.git_objects import commit_files, tag_object, write_bundle
from daxa.errors import DataError, UntrustedArchive
from daxa.publish.remaking.export import MANIFEST
from tests.hostile import watch
from tests.hostile.attacks import ATTACKS
from tests.hostile.test_attacks import tried
from tests.hostile.watch import snapshot, watched

MAKING = {"init", "fetch", "hash-object", "mktree", "commit-tree", "update-ref", "checkout"}
"""What `daxa recreate` asks Git for, beside reading."""

CHANGES = (
    "link daxa.toml",
    "link data",
    "link .dvc/config",
    "dangling dvc.lock",
    "tracked .dvc/config.local",
    "tracked .dvc/tmp/rwlock",
    "tracked .DVC/tmp/rwlock",
    "tracked .daxa/accepted/note.json",
    "tracked report/index.html",
    "configuration: cache directory",
    "configuration: plugin",
    "configuration: remote with a local key",
    "altered command",
    "one more stage",
    "variables",
    "loop",
    "out outside",
    "pipeline below",
    "pipeline in params",
    "pointer",
    "import",
    "logs elsewhere",
    "repository below",
    "hidden_changes files",
    "submodule",
    "filter",
    "filter below",
    "large files of Git",
    "services",
    "another mission",
    "climbing name",
)


def git(root: Path, *argv: str, stdin: bytes | None = None) -> str:
    return (
        subprocess.run(["git", *argv], cwd=root, check=True, capture_output=True, input=stdin).stdout.decode().strip()
    )


def bundle_of(root: Path, target: Path, **manifest: object) -> Path:
    """What `daxa export` would write of the tag as it stands, however wrong it is."""
    tag = tag_object(root, "v1.0.0")
    said = {"kind": "daxa export 1", "tag": "v1.0.0", "tag_object": tag.digest, "commit": tag.commit, **manifest}
    commit_files(root, MANIFEST_REF, {MANIFEST: json.dumps(said).encode()}, "manifest", when="1700000000 +0000")
    write_bundle(root, target, ["refs/tags/v1.0.0", MANIFEST_REF])
    return target


def retag(root: Path, commit: str = "HEAD") -> None:
    git(root, "tag", "-fam", "words", "v1.0.0", commit)


def refused(place: Path, bundle: Path, monkeypatch) -> str:
    """What is said when the bundle is refused; that it is, and that nothing happened, is made sure of."""
    monkeypatch.setattr(watch, "_READING", watch._READING | MAKING)
    before = snapshot(place / "clone", place / "outside")
    with watched((place / "own",)) as seen:
        code, said, wrong = tried(("recreate", str(bundle), "../own/new"))
    assert not wrong
    assert code in (4, 5, 11, 14), said
    assert not seen
    assert snapshot(place / "clone", place / "outside") == before
    assert not (place / "own" / "new").exists()
    assert not list((place / "own").glob(".new*"))
    assert "SECRET" not in said
    return said


@pytest.fixture
def greedy(place, monkeypatch) -> Path:
    """The reader's own Git has a filter and hooks, which must not run for what is not trusted."""
    hooks = place / "own" / "hooks"
    hooks.mkdir()
    ran = place / "outside" / "ran"
    for name in ("post-checkout", "post-index-change", "reference-transaction", "fsmonitor-watchman"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch '{ran}'\n")
        (hooks / name).chmod(0o755)
    config = place / "own" / "gitconfig"
    config.write_text(
        f"[core]\n\thooksPath = {hooks}\n[filter \"evil\"]\n\tsmudge = touch '{ran}'\n\tclean = touch '{ran}'\n"
        "[user]\n\tname = Reader\n\temail = reader@example.org\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    yield place
    assert not ran.exists()


@pytest.mark.parametrize("name", CHANGES)
def test_no_release_that_could_act_is_put_in_place(greedy, name, monkeypatch):
    clone = greedy / "clone"
    ATTACKS[name].change(clone, greedy / "outside")
    git(clone, "add", "-Af", ".")
    git(clone, "commit", "-qm", "changed")
    retag(clone)
    bundle = bundle_of(clone, greedy / "own" / "it.bundle")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(greedy / "own" / "gitconfig"))
    refused(greedy, bundle, monkeypatch)


def _tree_with(clone: Path, line: str) -> None:
    """A release whose tree has one more entry, which no index would take."""
    entries = git(clone, "ls-tree", "HEAD")
    tree = git(clone, "mktree", "--missing", stdin=f"{entries}\n{line}\n".encode())
    retag(clone, git(clone, "commit-tree", tree, "-m", "x"))


def _blob(clone: Path, content: bytes = b"[core]\n\tfsmonitor = touch ran\n") -> str:
    return git(clone, "hash-object", "-w", "--stdin", stdin=content)


TREES: dict[str, Callable[[Path], str]] = {
    "git directory": lambda clone: f"040000 tree {git(clone, 'mktree', stdin=_config(clone))}\t.git",
    "git directory in capitals": lambda clone: f"040000 tree {git(clone, 'mktree', stdin=_config(clone))}\t.GIT",
    "git directory by its short name": lambda clone: f"040000 tree {git(clone, 'mktree', stdin=_config(clone))}\tGIT~1",
    "directory above": lambda clone: f"100644 blob {_blob(clone)}\t..",
    "device name with a stream": lambda clone: f"100644 blob {_blob(clone)}\t.git:x",
    "names that differ in case": lambda clone: f"100644 blob {_blob(clone)}\tDAXA.toml",
    "control characters": lambda clone: f"100644 blob {_blob(clone)}\tx\x1b[2J",
    "text that turns": lambda clone: f"100644 blob {_blob(clone)}\tx\u202ey",
    "backslash": lambda clone: f"100644 blob {_blob(clone)}\t..\\x",
}


def _config(clone: Path) -> bytes:
    return f"100644 blob {_blob(clone)}\tconfig\n".encode()


@pytest.mark.parametrize("name", TREES)
def test_no_tree_that_git_would_not_make_is_unpacked(greedy, name, monkeypatch):
    clone = greedy / "clone"
    _tree_with(clone, TREES[name](clone))
    refused(greedy, bundle_of(clone, greedy / "own" / "it.bundle"), monkeypatch)


def test_a_tag_that_is_not_what_was_exported_is_refused(place, monkeypatch):
    clone = place / "clone"
    old = tag_object(clone, "v1.0.0")
    (clone / "notes.txt").write_text("edited\n")
    git(clone, "add", "notes.txt")
    git(clone, "commit", "-qm", "edited")
    retag(clone)
    bundle = bundle_of(clone, place / "own" / "it.bundle", commit=old.commit, tag_object=old.digest)
    assert "not the one that was exported" in refused(place, bundle, monkeypatch)


def test_a_tag_without_an_object_and_a_manifest_that_is_none_are_refused(place, monkeypatch):
    clone = place / "clone"
    bundle = bundle_of(clone, place / "own" / "one.bundle", kind="other")
    assert "manifest" in refused(place, bundle, monkeypatch)
    git(clone, "update-ref", "-d", MANIFEST_REF)
    commit_files(clone, MANIFEST_REF, {MANIFEST: b"[" * 90_000}, "x", when="1700000000 +0000")
    git(clone, "tag", "-f", "v1.0.0", "HEAD")
    write_bundle(clone, place / "own" / "two.bundle", ["refs/tags/v1.0.0", MANIFEST_REF])
    assert "not annotated" in refused(place, place / "own" / "two.bundle", monkeypatch)


# Bundles that are wrong before Git sees them.


def packed(*objects: bytes, number: int | None = None) -> bytes:
    body = b"PACK" + struct.pack(">II", 2, len(objects) if number is None else number) + b"".join(objects)
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def entry(kind: int, size: int, content: bytes, between: bytes = b"") -> bytes:
    """An object of a pack that says to be of this size."""
    head, left = (kind << 4) | (size & 15), size >> 4
    coded = b""
    while left:
        coded += bytes([head | 0x80])
        head, left = left & 0x7F, left >> 7
    return coded + bytes([head]) + between + zlib.compress(content)


def number(value: int) -> bytes:
    coded = b""
    while value > 0x7F:
        coded, value = coded + bytes([(value & 0x7F) | 0x80]), value >> 7
    return coded + bytes([value])


REFS = f"{'1' * 40} refs/tags/v1.0.0\n{'2' * 40} {MANIFEST_REF}\n".encode()
HEAD = b"# v2 git bundle\n" + REFS + b"\n"
BLOB, BY_OFFSET = 3, 6

HUGE = (number(1) + number(1 << 40)).ljust(12, b"\x90")
"""A difference that makes a terabyte of one byte."""

WRONG: dict[str, tuple[bytes, type[Exception]]] = {
    "nothing": (b"", DataError),
    "a page": (b"<html>not found</html>\n\n", DataError),
    "a header without end": (b"# v2 git bundle\n" + REFS * 1000, DataError),
    "another version": (b"# v3 git bundle\n@filter=blob:none\n" + REFS + b"\n" + packed(), DataError),
    "commits that are elsewhere": (b"# v2 git bundle\n-" + b"3" * 40 + b" x\n" + REFS + b"\n" + packed(), DataError),
    "a branch": (b"# v2 git bundle\n" + REFS + b"3" * 40 + b" refs/heads/main\n\n" + packed(), DataError),
    "hooks for a ref": (b"# v2 git bundle\n" + b"3" * 40 + b" refs/tags/../../hooks\n\n" + packed(), DataError),
    "two releases": (b"# v2 git bundle\n" + REFS + b"3" * 40 + b" refs/tags/v2.0.0\n\n" + packed(), DataError),
    "no manifest": (b"# v2 git bundle\n" + REFS.split(b"\n")[0] + b"\n\n" + packed(), DataError),
    "no pack": (HEAD + b"PACK", DataError),
    "a number of objects without end": (HEAD + packed(number=(1 << 32) - 1), UntrustedArchive),
    "fewer objects than it says": (HEAD + packed(entry(BLOB, 1, b"x"), number=2), DataError),
    "a pack that was cut": (HEAD + packed(entry(BLOB, 5000, os.urandom(5000)))[:-3000], DataError),
    "something behind": (HEAD + packed(entry(BLOB, 1, b"x")) + b"#!/bin/sh\n", DataError),
    "an object of a gigabyte": (HEAD + packed(entry(BLOB, 1 << 30, bytes(1 << 20))), UntrustedArchive),
    "an object larger than it says": (HEAD + packed(entry(BLOB, 100, bytes(50 << 20))), DataError),
    "an object smaller than it says": (HEAD + packed(entry(BLOB, 100, b"x")), DataError),
    "a kind that is none": (HEAD + packed(entry(5, 1, b"x")), DataError),
    "a difference of a terabyte": (
        HEAD
        + packed(entry(BLOB, 1, b"x"), entry(BY_OFFSET, 12, (number(1) + number(1 << 40)).ljust(12, b"\x90"), b"\x0c")),
        UntrustedArchive,
    ),
    "a size without end": (HEAD + packed(b"\xbf" + b"\xff" * 20 + zlib.compress(b"x")), DataError),
    "a commit of 2 MB": (HEAD + packed(entry(1, 2 << 20, bytes(2 << 20))), UntrustedArchive),
}


@pytest.mark.parametrize("name", WRONG)
def test_git_does_not_see_a_bundle_that_is_wrong(name, place, monkeypatch):
    content, kind = WRONG[name]
    bundle = place / "own" / "it.bundle"
    bundle.write_bytes(content)
    with pytest.raises(kind):
        judge_bundle(bundle)
    with monkeypatch.context() as patch:
        patch.setattr(watch, "_READING", frozenset())
        with watched((place / "own",)) as seen:
            code, _, wrong = tried(("recreate", str(bundle), "../own/new"))
    assert (wrong, seen, (place / "own" / "new").exists()) == ("", [], False)
    assert code in (11, 14)


def test_a_genuine_bundle_passes_and_no_flipped_byte_does(place, tmp_path):
    """Without the first part the refusals would prove nothing; objects that are unpacked in pieces are among them."""
    (place / "clone" / "notes.txt").write_bytes(b"x" * 200_000 + os.urandom(200_000))
    git(place / "clone", "add", "notes.txt")
    git(place / "clone", "commit", "-qm", "notes")
    retag(place / "clone")
    bundle = bundle_of(place / "clone", tmp_path / "it.bundle")
    assert set(judge_bundle(bundle)) == {"refs/tags/v1.0.0", MANIFEST_REF}
    content = bundle.read_bytes()
    begin = content.index(b"\n\nPACK") + 2
    for at in range(begin, len(content), max(1, (len(content) - begin) // 60)):
        bundle.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        with pytest.raises((DataError, UntrustedArchive)):
            judge_bundle(bundle)


def test_a_file_that_no_archive_has_is_not_unpacked():
    from daxa.archive.bundle import judge_tree
    from daxa.archive.git_objects import TreeEntry

    for entries in (
        [TreeEntry("big", "100644", "0" * 40, 300 << 20)],
        [TreeEntry(f"{at}", "100644", "0" * 40, 200 << 20) for at in range(50)],
        [TreeEntry(f"{at}", "100644", "0" * 40, 1) for at in range(200_001)],
        [TreeEntry("x" * 2000, "100644", "0" * 40, 1)],
    ):
        with pytest.raises(UntrustedArchive):
            judge_tree(entries)


def test_links_pipes_and_directories_are_no_bundles(place, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(place / "outside" / "keys")
    for path in (tmp_path / "pipe", tmp_path / "link", tmp_path, Path("/dev/zero")):
        with pytest.raises(DataError):
            judge_bundle(path)
