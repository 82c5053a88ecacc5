"""Restore an archive from a deposit, which is not trusted until every byte of it has been checked.

Names, sizes and digests of all files are compared with the manifest before any is read.  The bundle's header is read
here before Git sees it, Git checks every object, and the tree is judged before it is checked out.  Data are verified
by their digests; then everything passes the gate, trust and `verify`, like a clone.  All of it happens beside the new
directory, which appears when nothing is left to check.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daxa.archive import dvc, git
from daxa.archive.config import load_config
from daxa.archive.gate import check_archive
from daxa.archive.git_objects import fetch_refs, start_branch, start_repository
from daxa.archive.layout import Layout, absolute_place
from daxa.archive.trust import refuse_foreign
from daxa.errors import ArchiveError, DataError, ReleaseError, StorageError, VerifyError
from daxa.files import check_space, errors_naming, open_plain, read_plain
from daxa.missions.spec import SAFE_ID
from daxa.naming import number_of, some
from daxa.publish.citing.cited_release import cite_release
from daxa.publish.contents import needed_at
from daxa.publish.deposits.deposit import BUNDLE, CHECKSUMS, MANIFEST, NAMES
from daxa.publish.deposits.plain_tar import Member, open_tar
from daxa.publish.digests import place_object
from daxa.publish.dvc_outputs import shared_digests
from daxa.publish.releases.verify import verify_archive
from daxa.publish.remote import Storage
from daxa.publish.version import parse_version

__all__ = ["DepositManifest", "Restored", "read_manifest", "restore_deposit"]

_OBJECT = re.compile(r"files/md5/([0-9a-f]{2})/([0-9a-f]{30}(?:\.dir)?)")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SWHID = re.compile(r"swh:1:(rel|rev|dir):[0-9a-f]{40}")
_LONGEST = 16 << 20
_MOST = 1 << 62
_CHUNK = 1 << 20
_HEADER = 4096
_MODES = ("100644", "100755")


@dataclass(frozen=True)
class DepositManifest:
    """The declared content of a deposit.

    Parameters
    ----------
    name, tag, commit
        The archive and its release.
    objects
        The number of DVC objects.
    files
        Name to size and SHA-256.
    """

    name: str
    tag: str
    commit: str
    objects: int
    files: Mapping[str, tuple[int, str]]


@dataclass(frozen=True)
class Restored:
    """An archive that was restored.

    Parameters
    ----------
    root
        Its directory.
    name, tag, commit
        The archive and its release, which is checked out on the branch ``main``.
    swhids
        Identifiers of tag, commit and tree, computed from the content.
    files
        The number of files that were compared with the release, all of them identical.
    """

    root: str
    name: str
    tag: str
    commit: str
    swhids: Mapping[str, str]
    files: int


def restore_deposit(
    source: Path,
    target: Path,
    *,
    expect: str = "",
    observe: Callable[[int, int], None] = lambda ended, total: None,
) -> Restored:
    """Restore an archive from a deposit, with all data of its release.

    Parameters
    ----------
    source
        A directory that `daxa.publish.deposits.deposit.publish_release` wrote, or its single tar file.
    target
        A new directory.
    expect
        A SWHID, such as the one in the paper: nothing is restored unless it is that of tag, commit or tree.
    observe
        Called with the number of objects restored so far, and their total.

    Raises
    ------
    DataError
        The deposit is damaged, incomplete, or not what it says.
    VerifyError
        It is another release than the expected one, or its files are not those of its ledgers.
    ArchiveError, UntrustedArchive
        The target exists, or something in the deposit's archive could run.
    StorageError, ProgramError, ConfigError
        From the disk, Git and DVC.
    """
    source, target = map(absolute_place, (source, target))
    _check_target(target)
    if expect and not _SWHID.fullmatch(expect):
        raise VerifyError("expected", f"{expect[:80]!r} is not a SWHID of a release", remedy="give swh:1:rel:...")
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            made, unpacked = scratch / "archive", scratch / "deposit"
            with errors_naming({made: target, unpacked: source}):
                if source.is_file():
                    _check_space(target, source.stat().st_size)
                place = source if source.is_dir() else _unpack(source, unpacked)
                restored = _restore(place, made, target, expect, observe)
                made.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise StorageError(
            "unwritable",
            f"{target} cannot be created: {(error.strerror or str(error)).lower()}",
            remedy="free some space, check the permissions there, or choose another place",
        ) from None
    return restored


def read_manifest(place: Path) -> DepositManifest:
    """The manifest of a deposit, after comparing its files with it: names, kinds, sizes and digests.

    Parameters
    ----------
    place
        A directory.

    Raises
    ------
    DataError
        It is not a deposit, or something in it is not as the manifest says.
    """
    try:
        manifest = _parse(json.loads(read_plain(place / MANIFEST, limit=_LONGEST)))
    except FileNotFoundError:
        raise _damaged(place, f"it has no {MANIFEST}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _damaged(place, f"{MANIFEST} is not what daxa writes") from None
    listed = {*manifest.files, MANIFEST, CHECKSUMS}
    there = {path.name for path in place.iterdir()}
    if lacking := sorted(listed - there):
        raise _damaged(place, f"it lacks {some(lacking)}")
    if strange := sorted(there - listed):
        raise _damaged(
            place, f"it contains what {MANIFEST} does not list: {some([repr(name[:80]) for name in strange])}"
        )
    for name, wanted in sorted(manifest.files.items()):
        if _size_and_digest(place / name, wanted[0]) != wanted:
            raise _damaged(place, f"{name} differs from {MANIFEST} in size or SHA-256")
    sums = {name: digest for name, (_, digest) in manifest.files.items()}
    sums[MANIFEST] = hashlib.sha256(read_plain(place / MANIFEST, limit=_LONGEST)).hexdigest()
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    if read_plain(place / CHECKSUMS, limit=_LONGEST) != text.encode():
        raise _damaged(place, f"{CHECKSUMS} and {MANIFEST} differ")
    return manifest


def _parse(found: Any) -> DepositManifest:
    """A manifest in which every value has the form that daxa writes."""
    files = {entry["name"]: (entry["size"], entry["sha256"]) for entry in found["files"]}
    manifest = DepositManifest(found["name"], found["tag"], found["commit"], found["objects"], files)
    right = (
        found["format"] == 1
        and len(files) == len(found["files"])
        and BUNDLE in files
        and not {MANIFEST, CHECKSUMS} & files.keys()
        and bool(SAFE_ID.fullmatch(manifest.name))
        and parse_version(manifest.tag) is not None
        and bool(_COMMIT.fullmatch(manifest.commit))
        and type(manifest.objects) is int
        and all(NAMES.fullmatch(name) and type(size) is int and 0 <= size < _MOST for name, (size, _) in files.items())
        and all(_SHA256.fullmatch(digest) for _, digest in files.values())
    )
    if not right:
        raise ValueError
    return manifest


def _check_target(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise ArchiveError("exists", f"{target} exists", remedy="name a directory that does not exist yet")
    if not SAFE_ID.fullmatch(target.name):
        raise ArchiveError(
            "name", f"{target.name!r} cannot be the name of an archive", remedy="use letters, digits, dot and dash"
        )
    if not target.parent.is_dir():
        raise ArchiveError(
            "no-parent", f"{target.parent} does not exist", remedy=f"make it first: mkdir -p {target.parent}"
        )


def _check_space(target: Path, needed: int) -> None:
    """Refuse at once what cannot fit; what fits once may not fit twice, as most file systems need it."""
    check_space(
        target.parent,
        needed,
        "the data of the archive, which most file systems hold twice (in DVC's cache and in their places)",
        remedy="free some space there, or name a directory on another disk; nothing was left behind",
    )


def _unpack(source: Path, place: Path) -> Path:
    """The files of a deposit that is a single tar."""
    place.mkdir()
    try:
        with open_tar(source, NAMES) as members:
            for member in members:
                with (place / member.file_name).open("xb") as stream:
                    while chunk := member.read(_CHUNK):
                        stream.write(chunk)
    except FileNotFoundError:
        raise DataError("deposit", f"there is no deposit {source}", remedy="give its directory or tar file") from None
    return place


def _restore(place: Path, made: Path, target: Path, expect: str, observe: Callable[[int, int], None]) -> Restored:
    manifest = read_manifest(place)
    _check_space(target, sum(size for name, (size, _) in manifest.files.items() if name.endswith(".tar")))
    _check_bundle(place / BUNDLE, manifest)
    reference = f"refs/tags/{manifest.tag}"
    start_repository(made)
    fetch_refs(made, str(place / BUNDLE), {reference: reference})
    layout = Layout(made)
    _check_commit(layout, manifest)
    _check_tree(layout, manifest)
    swhids = _identify(layout, manifest, expect)
    start_branch(made, "main", git.commit_of(made, manifest.tag))
    check_archive(layout)
    config = load_config(layout)
    refuse_foreign(layout, config, connects=False)
    if config.name != manifest.name:
        raise _damaged(place, f"{MANIFEST} says that the archive is {manifest.name!r}, but it is {config.name!r}")
    storage = Storage(made / ".dvc" / "cache", None)
    _place_data(place, layout, storage, manifest, observe)
    outs = _outs(layout)
    dvc.checkout(made, sorted(outs))
    check_archive(layout)
    found = verify_archive(layout, manifest.tag)
    if not found.ok:
        first = found.problems[0]
        raise VerifyError(
            "differs",
            f"{number_of(len(found.problems), 'problem')} against {manifest.tag}, such as {first.path} ({first.what})",
            remedy="the deposit was not made by `daxa publish` from this release: ask whoever published it",
        )
    return Restored(str(target), manifest.name, manifest.tag, manifest.commit, swhids, found.files)


def _check_bundle(path: Path, manifest: DepositManifest) -> None:
    """Check that a bundle is complete and contains exactly one tag, before Git reads it."""
    with open_plain(path, limit=_MOST) as stream:
        header, end, _ = stream.read(_HEADER).partition(b"\n\n")
    lines = header.split(b"\n")
    wanted = f"refs/tags/{manifest.tag}".encode()
    if not end or lines[0] != b"# v2 git bundle" or len(lines) != 2 or lines[1][40:] != b" " + wanted:
        raise _damaged(path.parent, f"{BUNDLE} is not a bundle of only {manifest.tag}")


def _check_commit(layout: Layout, manifest: DepositManifest) -> None:
    """Check that the bundle brought the tag of the manifest, on its commit, and no other."""
    if set(git.tags(layout.root)) != {manifest.tag} or git.commit_of(layout.root, manifest.tag) != manifest.commit:
        raise _damaged(layout.root, f"the tag {manifest.tag} in {BUNDLE} is not on the commit {manifest.commit}")


def _identify(layout: Layout, manifest: DepositManifest, expect: str) -> Mapping[str, str]:
    """Identifiers of the content, one of which must be the one that the user expects."""
    swhids = cite_release(layout, manifest.tag).swhids
    if expect and expect not in swhids.values():
        raise VerifyError(
            "expected",
            f"the deposit contains {swhids.get('rel', manifest.commit)}, not {expect}",
            remedy="get the deposit that the paper names, or compare its version",
        )
    return swhids


def _check_tree(layout: Layout, manifest: DepositManifest) -> None:
    """Allow nothing but plain files to be checked out, with names that are different on every file system."""
    entries = git.tree_entries(layout.root, manifest.commit)
    if odd := [path for path, mode, _ in entries if mode not in _MODES]:
        raise _damaged(layout.root, f"its commit contains what is not a plain file: {some(sorted(map(ascii, odd)))}")
    if odd := [path for path, _, _ in entries if any(map(_is_of_git, path.split("/")))]:
        raise _damaged(
            layout.root, f"its commit contains a name that no archive may have: {some(sorted(map(ascii, odd)))}"
        )
    folded = [path.casefold() for path, _, _ in entries]
    if len(set(folded)) != len(folded):
        raise _damaged(layout.root, "its commit contains names that differ only in case")


def _is_of_git(name: str) -> bool:
    """Whether some file system takes a name as Git's directory, or as the parent directory."""
    seen = "".join(character for character in name.casefold() if character.isprintable()).rstrip(". ")
    return seen in ("", ".git", "git~1") or "\\" in name or ":" in name


def _place_data(
    place: Path,
    layout: Layout,
    storage: Storage,
    manifest: DepositManifest,
    observe: Callable[[int, int], None],
) -> None:
    """Put every object into the cache, verified by its digest, and check that they are exactly those of the release."""
    placed: set[str] = set()
    for name in sorted(name for name in manifest.files if name.endswith(".tar")):
        with open_tar(place / name, _OBJECT) as members:
            for member in members:
                digest = _digest_of(member)
                if digest in placed:
                    raise _damaged(place, f"{name} contains the object {digest} a second time")
                if len(placed) >= manifest.objects:
                    raise _damaged(place, f"it contains more than {manifest.objects} objects")
                if not place_object(member, storage.cached(digest), digest, durable=False):
                    raise _damaged(place, f"the object {digest} in {name} does not match its digest")
                placed.add(digest)
                observe(len(placed), manifest.objects)
    try:
        needed = needed_at(layout, manifest.tag, storage, None)
    except ReleaseError as error:  # A listing, without which nobody knows what else there should be.
        raise _damaged(place, f"it lacks an object: {error.message}") from None
    if lacking := sorted(needed.keys() - placed):
        paths = some([needed[digest][0] for digest in lacking])
        raise _damaged(place, f"it lacks {number_of(len(lacking), 'object')} of {manifest.tag}: {paths}")
    if strange := sorted(placed - needed.keys()):
        raise _damaged(place, f"it contains {number_of(len(strange), 'object')} that {manifest.tag} does not need")


def _digest_of(member: Member) -> str:
    found = _OBJECT.fullmatch(member.file_name)
    if found is None:
        raise ValueError(member.file_name)
    return found[1] + found[2]


def _outs(layout: Layout) -> dict[str, str]:
    pipeline, lock, logs = (
        path.read_bytes() if path.is_file() else None
        for path in (layout.pipeline, layout.lock, layout.root / "logs.dvc")
    )
    outs = shared_digests(pipeline or b"", lock or b"", logs)
    # DVC knows the logs by the file that names them.
    return {("logs.dvc" if path == layout.logs.name else path): digest for path, digest in outs.items()}


def _size_and_digest(path: Path, limit: int) -> tuple[int, str]:
    with open_plain(path, limit=limit) as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return stream.tell(), digest


def _damaged(place: Path, why: str) -> DataError:
    return DataError(
        "deposit",
        f"the deposit {place} cannot be used: {why}",
        remedy="get it again from where it was published; `sha256sum --check SHA256SUMS` names damaged files",
    )
