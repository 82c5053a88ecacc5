"""Deposits of strangers: whatever is in one, nothing appears, nothing outside changes, and the reason is said."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from daxa.errors import DaxaError
from daxa.publish.deposits.deposit import BUNDLE, CHECKSUMS, MANIFEST, publish_release
from daxa.publish.deposits.plain_tar import open_tar, write_member, write_tar_end
from daxa.publish.deposits.restore import restore_deposit
from daxa.publish.dvc_outputs import lock_digests
from tests.publish.workshop import copy_archive, run, set_identity

TAG, PART = "v1.0.0", "data-0001.tar"

Attack = Callable[[Path, Path], None]
"""Spoils a deposit; the second path is a copy of the archive that it came from."""


@pytest.fixture(scope="module")
def source(released_once, tmp_path_factory):
    return copy_archive(released_once, tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def made(source, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("deposit") / "a907"
    with pytest.MonkeyPatch.context() as patch:
        set_identity(patch)
        publish_release(source.layout, place)
    return place


def sign(place: Path, **changes: object) -> None:
    """Make manifest and checksums fit what is there, as whoever forges a deposit would."""
    manifest = json.loads((place / MANIFEST).read_text())
    names = [path.name for path in place.iterdir() if path.name not in (MANIFEST, CHECKSUMS) and path.is_file()]
    contents = {name: (place / name).read_bytes() for name in sorted(names)}
    manifest["files"] = [
        {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    ]
    manifest |= changes
    (place / MANIFEST).write_text(json.dumps(manifest))
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    sums[MANIFEST] = hashlib.sha256((place / MANIFEST).read_bytes()).hexdigest()
    (place / CHECKSUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))


def objects(place: Path) -> dict[str, bytes]:
    with open_tar(place / PART, re.compile(".*")) as members:
        return {member.file_name: member.read() for member in members}


def pack(place: Path, members: dict[str, bytes]) -> None:
    with (place / PART).open("wb") as stream:
        for name, content in members.items():
            write_member(stream, name, len(content), [content])
        write_tar_end(stream)
    sign(place, objects=len(members))


def named(name: str, **fields: object) -> Attack:
    def attack(place: Path, archive: Path) -> None:
        info = tarfile.TarInfo(name)
        for key, value in fields.items():
            setattr(info, key, value)
        form = tarfile.PAX_FORMAT if "pax_headers" in fields else tarfile.GNU_FORMAT
        with tarfile.open(place / PART, "a:", format=form) as tar:
            tar.addfile(info, io.BytesIO(bytes(info.size)) if info.isreg() else None)
        sign(place)

    return attack


def manifest(**changes: object) -> Attack:
    return lambda place, archive: sign(place, **changes)


def entry(**changes: object) -> Attack:
    def attack(place: Path, archive: Path) -> None:
        files = json.loads((place / MANIFEST).read_text())["files"]
        files[0] |= changes
        sign(place, files=files)

    return attack


def commit(edit: Callable[[Path], None], *, message: str = "Forge") -> Attack:
    """A deposit of another commit under the same tag, with a bundle that is sound in itself."""

    def attack(place: Path, archive: Path) -> None:
        edit(archive)
        run(archive, "git", "add", "--all", "--force")
        run(archive, "git", "commit", "--quiet", "--allow-empty", "--message", message)
        run(archive, "git", "tag", "--force", "--annotate", "--message", "forged", TAG)
        run(archive, "git", "bundle", "create", "--quiet", str(place / BUNDLE), f"refs/tags/{TAG}")
        sign(place, commit=run(archive, "git", "rev-parse", f"{TAG}^{{commit}}").strip())

    return attack


def write(name: str, content: str) -> Callable[[Path], None]:
    def edit(archive: Path) -> None:
        (archive / name).parent.mkdir(parents=True, exist_ok=True)
        (archive / name).write_text(content)

    return edit


def change(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(archive: Path) -> None:
        text = (archive / name).read_text()
        assert old in text
        (archive / name).write_text(text.replace(old, new, 1))

    return edit


def spoil(name: str, new: bytes | None = None, *, cut: int = 0) -> Attack:
    def attack(place: Path, archive: Path) -> None:
        content = bytearray((place / name).read_bytes())
        content[len(content) // 2] ^= 0xFF
        (place / name).write_bytes(new if new is not None else bytes(content[: cut or None]))

    return attack


def replaced(kind: str) -> Attack:
    def attack(place: Path, archive: Path) -> None:
        target = place / PART
        target.rename(place.parent / "kept")
        if kind == "link":
            target.symlink_to(place.parent / "kept")
        elif kind == "pipe":
            os.mkfifo(target)
        elif kind == "directory":
            target.mkdir()

    return attack


def other_object(place: Path, archive: Path) -> None:
    members = objects(place)
    first = next(iter(members))
    pack(place, members | {first: members[first] + b"!"})


def fewer_objects(*, listings: bool) -> Attack:
    def change(place: Path, archive: Path) -> None:
        members = objects(place)
        del members[next(name for name in members if name.endswith(".dir") is listings)]
        pack(place, members)

    return change


def more_objects(place: Path, archive: Path) -> None:
    content = b"whatever"
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    pack(place, objects(place) | {f"files/md5/{digest[:2]}/{digest[2:]}": content})


def same_object_twice(place: Path, archive: Path) -> None:
    members = objects(place)
    name, content = next(iter(members.items()))
    with (place / "data-0002.tar").open("wb") as stream:
        write_member(stream, name, len(content), [content])
        write_tar_end(stream)
    sign(place)


def listing(path: str) -> Attack:
    """A directory of products whose listing leads to another place."""

    def attack(place: Path, archive: Path) -> None:
        members = objects(place)
        old = lock_digests((archive / "dvc.lock").read_bytes())["data/xmm/clean"]
        listed = json.loads(members[f"files/md5/{old[:2]}/{old[2:]}"])
        listed[0]["relpath"] = path
        content = json.dumps(listed).encode()
        new = f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}.dir"
        commit(change("dvc.lock", old, new))(place, archive)
        pack(place, members | {f"files/md5/{new[:2]}/{new[2:]}": content})

    return attack


def link_in_tree(archive: Path) -> None:
    (archive / "notes").symlink_to("/etc")


def names_of_one_case(archive: Path) -> None:
    (archive / "Daxa.toml").write_text("")


def submodule(archive: Path) -> None:
    (archive / "other").mkdir()
    run(archive / "other", "git", "init", "--quiet")
    run(archive / "other", "git", "commit", "--quiet", "--allow-empty", "--message", "Other")


def tree_of_git(place: Path, archive: Path) -> None:
    """A tree that holds a directory .git, which only a forger can write."""

    def git_object(kind: str, content: bytes) -> str:
        argv = ["git", "hash-object", "-t", kind, "-w", "--literally", "--stdin"]
        return subprocess.run(argv, cwd=archive, input=content, capture_output=True, check=True).stdout.decode().strip()

    hook = git_object("blob", b"#!/bin/sh\ntouch owned\n")
    inner = git_object("tree", b"100755 post-checkout\0" + bytes.fromhex(hook))
    kept = subprocess.run(
        ["git", "cat-file", "tree", "HEAD^{tree}"], cwd=archive, capture_output=True, check=True
    ).stdout
    tree = git_object("tree", b"40000 .git\0" + bytes.fromhex(inner) + kept)
    made = run(archive, "git", "commit-tree", tree, "-m", "Forge").strip()
    run(archive, "git", "tag", "--force", "--annotate", "--message", "forged", TAG, made)
    run(archive, "git", "bundle", "create", "--quiet", str(place / BUNDLE), f"refs/tags/{TAG}")
    sign(place, commit=made)


def bundle_of(*options: str) -> Attack:
    def attack(place: Path, archive: Path) -> None:
        run(archive, "git", "commit", "--quiet", "--allow-empty", "--message", "More")
        run(archive, "git", "bundle", "create", "--quiet", str(place / BUNDLE), *options)
        sign(place)

    return attack


def bundle(content: bytes | None = None) -> Attack:
    def attack(place: Path, archive: Path) -> None:
        spoil(BUNDLE, content)(place, archive)
        sign(place)

    return attack


def moved_tag(place: Path, archive: Path) -> None:
    run(archive, "git", "commit", "--quiet", "--allow-empty", "--message", "More")
    run(archive, "git", "tag", "--force", "--annotate", "--message", "moved", TAG)
    run(archive, "git", "bundle", "create", "--quiet", str(place / BUNDLE), f"refs/tags/{TAG}")
    sign(place)


def lying_ledger(archive: Path) -> None:
    shutil.copy(archive / "ledger" / "xmm-events.parquet", archive / "ledger" / "xmm-clean.parquet")


def after_the_end(place: Path, archive: Path) -> None:
    with (place / PART).open("ab") as stream:
        stream.write(b"more")
    sign(place)


def claims_more_than_it_has(place: Path, archive: Path) -> None:
    info = tarfile.TarInfo(f"files/md5/00/{'0' * 30}")
    info.size = 1 << 50
    (place / PART).write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"little")
    sign(place)


def wrong_header(place: Path, archive: Path) -> None:
    (place / PART).write_bytes(b"x" * 4096)
    sign(place)


def stranger_in_directory(place: Path, archive: Path) -> None:
    (place / "setup.py").write_text("import os\n")


ATTACKS: dict[str, tuple[Attack, str]] = {
    "no manifest": (lambda place, archive: (place / MANIFEST).unlink(), "has no deposit.json"),
    "a manifest that is no JSON": (spoil(MANIFEST, b"{"), "not what daxa writes"),
    "a manifest that is a list": (spoil(MANIFEST, b"[]"), "not what daxa writes"),
    "a manifest that is deep": (spoil(MANIFEST, b"[" * 200_000), "not what daxa writes"),
    "a file name that climbs": (entry(name="../canary"), "not what daxa writes"),
    "an absolute file name": (entry(name="/etc/passwd"), "not what daxa writes"),
    "a size that is none": (entry(size=True), "not what daxa writes"),
    "a negative size": (entry(size=-1), "not what daxa writes"),
    "another format": (manifest(format=2), "not what daxa writes"),
    "a tag that is an option": (manifest(tag="--upload-pack=id"), "not what daxa writes"),
    "a commit that is an option": (manifest(commit="--output=x"), "not what daxa writes"),
    "a name that climbs": (manifest(name="../a907"), "not what daxa writes"),
    "another name": (manifest(name="other"), "says that the archive is 'other'"),
    "checksums that differ": (spoil(CHECKSUMS), "differ"),
    "a spoilt bundle": (spoil(BUNDLE), "SHA-256"),
    "spoilt data": (spoil(PART), "SHA-256"),
    "data cut short": (spoil(PART, cut=5000), "SHA-256"),
    "a stranger": (stranger_in_directory, "'setup.py'"),
    "a link for a file": (replaced("link"), "is a link"),
    "a pipe for a file": (replaced("pipe"), "pipe"),
    "a directory for a file": (replaced("directory"), "a directory"),
    "no data": (lambda place, archive: (place / PART).unlink(), "lacks data-0001.tar"),
    "a member that climbs": (named("../canary", size=4), "does not belong there"),
    "a member deep below that climbs": (named(f"files/md5/../{'0' * 30}", size=4), "does not belong there"),
    "an absolute member": (named("/canary", size=4), "does not belong there"),
    "a symbolic link": (named(f"files/md5/00/{'0' * 30}", type=tarfile.SYMTYPE, linkname="/etc"), "not a plain file"),
    "a hard link": (named(f"files/md5/00/{'0' * 30}", type=tarfile.LNKTYPE, linkname="../../canary"), "a plain file"),
    "a directory": (named("files/md5/00", type=tarfile.DIRTYPE), "not a plain file"),
    "a device": (named(f"files/md5/00/{'0' * 30}", type=tarfile.CHRTYPE), "not a plain file"),
    "a pipe": (named(f"files/md5/00/{'0' * 30}", type=tarfile.FIFOTYPE), "not a plain file"),
    "a long name": (named("files/md5/" + "0" * 500, size=4), "not a plain file"),
    "an extended header": (
        named(f"files/md5/00/{'0' * 30}", size=4, pax_headers={"path": "../../canary"}),
        "not a plain file",
    ),
    "a wrong header": (wrong_header, "header"),
    "a size beyond the end": (claims_more_than_it_has, "it ends within"),
    "something after the end": (after_the_end, "something after its end"),
    "an object that is another": (other_object, "does not match its digest"),
    "an object too few": (fewer_objects(listings=False), "lacks 1 object"),
    "a listing too few": (fewer_objects(listings=True), "lacks an object"),
    "an object too many": (more_objects, "does not need"),
    "an object twice": (same_object_twice, "a second time"),
    "more objects than said": (manifest(objects=3), "more than 3 objects"),
    "a listing that climbs": (listing("../../../canary"), "a path that no product"),
    "a listing into Git": (listing(".git/hooks/post-checkout"), "a path that no product"),
    "a listing with a pipeline": (listing("0093640901/dvc.yaml"), "a path that no product"),
    "a bundle with a branch": (bundle_of(f"refs/tags/{TAG}", "refs/heads/main"), "not a bundle of only v1.0.0"),
    "a bundle of a branch": (bundle_of("refs/heads/main"), "not a bundle of only v1.0.0"),
    "a bundle that needs more": (bundle_of("refs/heads/main", f"^{TAG}"), "not a bundle of only v1.0.0"),
    "a bundle that is text": (bundle(b"gitdir: x"), "not a bundle of only v1.0.0"),
    "a bundle with a filter": (
        bundle(b"# v3 git bundle\n@filter=blob:none\n" + b"0" * 40 + b" refs/tags/v1.0.0\n\n"),
        "not a bundle of only v1.0.0",
    ),
    "a bundle with a spoilt pack": (bundle(), "is damaged"),
    "a tag that was moved": (moved_tag, "is not on the commit"),
    "a link in the tree": (commit(link_in_tree), "not a plain file"),
    "a submodule": (commit(submodule), "not a plain file"),
    "names that differ in case": (commit(names_of_one_case), "only in case"),
    "a directory .git in the tree": (tree_of_git, "no archive may have"),
    "another command": (commit(change("dvc.yaml", "daxa stage", "sh -c id; daxa stage")), "dvc.yaml"),
    "another pipeline": (commit(write("more/dvc.yaml", "stages: {x: {cmd: touch owned}}\n")), "more/dvc.yaml"),
    "DVC's own configuration": (commit(write(".dvc/config.local", "[core]\n    hardlink_lock = true\n")), ".dvc"),
    "attributes that filter": (commit(write(".gitattributes", "* filter=evil\n")), ".gitattributes"),
    "private state": (commit(write(".daxa/journal", "x")), ".daxa"),
    "data in Git": (commit(write("data/xmm/clean/x", "x")), "data"),
    "a ledger that lies": (commit(lying_ledger), "against v1.0.0"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_deposit(made, source, tmp_path, identity, name):
    attack, reason = ATTACKS[name]
    shutil.copytree(made, tmp_path / "in" / "deposit")
    archive = tmp_path / "in" / "archive"
    ignored = shutil.ignore_patterns("cache", "data", "logs", "report", "tmp")
    shutil.copytree(source.layout.root, archive, symlinks=True, ignore=ignored)
    (archive / ".dvc" / "config.local").unlink()
    attack(tmp_path / "in" / "deposit", archive)
    (tmp_path / "out").mkdir()
    (tmp_path / "canary").write_text("mine")
    with pytest.raises(DaxaError) as refused:
        restore_deposit(tmp_path / "in" / "deposit", tmp_path / "out" / "back")
    assert reason in str(refused.value), str(refused.value)
    assert refused.value.remedy
    assert list((tmp_path / "out").iterdir()) == []
    assert (tmp_path / "canary").read_text() == "mine"
    assert not list(tmp_path.rglob("owned"))
    assert "/out/.back." not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../canary", tarfile.REGTYPE),
        ("a/repository.bundle", tarfile.REGTYPE),
        (BUNDLE, tarfile.SYMTYPE),
        (".git", tarfile.DIRTYPE),
        (BUNDLE, tarfile.REGTYPE),
    ],
)
def test_a_hostile_tar_of_a_deposit(made, tmp_path, identity, name, kind):
    with tarfile.open(tmp_path / "in.tar", "w:", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(made.iterdir()):
            tar.add(path, path.name)
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
        tar.addfile(info)
    (tmp_path / "out").mkdir()
    with pytest.raises(DaxaError) as refused:
        restore_deposit(tmp_path / "in.tar", tmp_path / "out" / "back")
    assert str(tmp_path / "in.tar") in refused.value.message
    assert list((tmp_path / "out").iterdir()) == []
    assert not (tmp_path / "canary").exists()
