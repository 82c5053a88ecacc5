"""A release as files for a data repository: a Git bundle, its data as tar files that form a DVC remote, checksums."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from daxa.archive.config import load_config
from daxa.archive.git_objects import fetch_refs, start_repository, write_bundle
from daxa.archive.layout import Layout, absolute_place
from daxa.archive.trust import refuse_foreign
from daxa.errors import ArchiveError, DataError, ReleaseError, StorageError
from daxa.files import open_plain, read_note, replace_file, sync
from daxa.naming import number_of, some
from daxa.publish.cache_repair import prove_cache, restore_objects
from daxa.publish.citing.citation import Citation
from daxa.publish.citing.cited_release import cite_release
from daxa.publish.contents import needed_at
from daxa.publish.deposits.deposit_readme import readme_text
from daxa.publish.deposits.plain_tar import member_space, write_member, write_tar_end
from daxa.publish.digests import Digests
from daxa.publish.embargo import mjd_now, proprietary
from daxa.publish.remote import Storage, find_storage
from daxa.publish.state import read_observations, records_at
from daxa.publish.workspaces import alone

__all__ = ["BUNDLE", "CHECKSUMS", "MANIFEST", "NAMES", "PART_SIZE", "Deposit", "plan_parts", "publish_release"]

BUNDLE, MANIFEST, CHECKSUMS, README = "repository.bundle", "deposit.json", "SHA256SUMS", "README.md"
NAMES = re.compile(r"repository\.bundle|deposit\.json|SHA256SUMS|README\.md|data-[0-9]{4}\.tar")
"""The names of the files of a deposit."""

PART_SIZE = 10_000_000_000
"""Bytes of a tar file of data, unless a single object is larger: repositories accept files of up to 50 GB."""

_FORMAT = 1
_CHUNK = 1 << 20
_OTHERS = re.compile(r"\.?(?:" + NAMES.pattern + r")\.part")


@dataclass(frozen=True)
class Deposit:
    """What was written.

    Parameters
    ----------
    tag, commit
        The release.
    place
        Directory or file.
    files
        Name to size and SHA-256.
    objects, size
        The number of DVC objects in it, and the bytes of all files.
    kept
        The number of tar files that were there already, from an interrupted call.
    """

    tag: str
    commit: str
    place: str
    files: Mapping[str, tuple[int, str]]
    objects: int
    size: int
    kept: int = 0

    def as_dict(self) -> dict[str, object]:
        """Everything as plain values, for JSON."""
        return asdict(self)


def publish_release(
    layout: Layout,
    target: Path,
    tag: str = "",
    *,
    part_size: int = PART_SIZE,
    private: bool = False,
    observe: Callable[[int, int], None] = lambda ended, total: None,
) -> Deposit:
    """Write a release and all its data as files, which need neither an account nor a server.

    Parameters
    ----------
    layout
        The archive.
    target
        A directory that is new, empty or holds part of this deposit; or a file that ends in ``.tar``.
    tag
        A release; by default the latest one.
    part_size
        Bytes of one tar file of data.
    private
        Include observations that are not known to be public.
    observe
        Called with the number of objects read so far, and their total.

    Raises
    ------
    ReleaseError
        There is no release, some of its data are not on this machine, or they are not public.
    ArchiveError
        The target exists, or is inside the archive.
    DataError, StorageError, ProgramError, ConfigError
        From Git, DVC, the cache and the disk.
    """
    refuse_foreign(layout, load_config(layout), connects=False)
    cited = cite_release(layout, tag)
    if not private:
        _refuse_proprietary(layout, cited)
    target = absolute_place(target)
    single = target.suffix == ".tar"
    place = target.with_name(f".{target.name}.deposit") if single else target
    _check_place(layout, cited, place, target if single else None)
    storage = find_storage(layout.root)
    try:
        with alone(layout), Digests(layout) as digests:
            sizes = _find_objects(layout, storage, digests, cited.tag, observe)
            place.mkdir(parents=True, exist_ok=True)
            planned = enumerate(plan_parts(sizes, part_size), 1)
            parts = {f"data-{at:04d}.tar": {one: sizes[one] for one in part} for at, part in planned}
            files, kept = _write_files(layout, storage, cited, place, parts)
        if single:
            files = _join(place, target)
            shutil.rmtree(place)
    except OSError as error:
        raise StorageError(
            "unwritable",
            f"{error.filename or target} cannot be written: {(error.strerror or str(error)).lower()}",
            remedy="free some space or choose another place; the same command continues",
        ) from None
    total = sum(size for size, _ in files.values())
    return Deposit(cited.tag, cited.commit, str(target), files, len(sizes), total, kept)


def plan_parts(sizes: Mapping[str, int], limit: int) -> list[list[str]]:
    """Which objects go into which tar file: in the order of their names, as many in each as fit.

    Examples
    --------
    >>> plan_parts({"a": 400, "b": 400, "c": 5000}, 3072)
    [['a', 'b'], ['c']]
    """
    parts: list[list[str]] = []
    room = 0
    for digest in sorted(sizes):
        space = member_space(sizes[digest])
        if not parts or space > room:
            parts.append([])
            room = max(limit - 1024, space)
        parts[-1].append(digest)
        room -= space
    return parts


def _refuse_proprietary(layout: Layout, cited: Citation) -> None:
    with records_at(layout, cited.commit) as records:
        chosen = {one.mission: read_observations(records, one.mission) for one in cited.missions}
    if held := proprietary(chosen, mjd_now()):
        raise ReleaseError(
            "proprietary",
            f"{cited.tag} has {number_of(len(held), 'observation')} that are not known to be public: {some(held)}",
            remedy="wait until the data are public, or give --private for a deposit that nobody else can read",
        )


def _check_place(layout: Layout, cited: Citation, place: Path, single: Path | None) -> None:
    if place.resolve().is_relative_to(layout.root.resolve()):
        raise ArchiveError("exists", f"{place} is in the archive itself", remedy="choose a place outside of it")
    if single is not None and single.is_dir():
        raise ArchiveError("exists", f"{single} is a directory", remedy="give the name of a new file")
    # What is collected beside it is there until the file is whole: then the same command continues.
    if single is not None and single.exists() and not place.exists():
        raise ArchiveError("exists", f"{single} is there already", remedy="give the name of a new file")
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        raise ArchiveError(
            "exists", f"{place} is not a directory", remedy="give a new directory, or a name ending in .tar"
        )
    _refuse_other_release(place, cited)
    others = [path.name for path in place.iterdir()] if place.is_dir() else []
    if strange := [name for name in others if not NAMES.fullmatch(name) and not _OTHERS.fullmatch(name)]:
        raise ArchiveError(
            "exists", f"{place} contains other files: {some(sorted(strange))}", remedy="choose a new or empty directory"
        )


def _refuse_other_release(place: Path, cited: Citation) -> None:
    """Keep a finished deposit of another release; the manifest is the first to go when one is written again."""
    there = read_note(place / MANIFEST) if (place / MANIFEST).is_file() else {}
    if there and (there.get("tag"), there.get("commit")) != (cited.tag, cited.commit):
        raise ArchiveError(
            "exists",
            f"{place} holds the deposit of another release, {str(there.get('tag'))[:40]!r}",
            remedy="choose a new or empty directory",
        )


def _find_objects(
    layout: Layout, storage: Storage, digests: Digests, tag: str, observe: Callable[[int, int], None]
) -> dict[str, int]:
    """Every object of the release, which is verified in the cache, to its size."""
    needed = needed_at(layout, tag, storage, storage.remote)
    cache = prove_cache(layout, storage, needed, digests, remote=storage.remote, observe=observe)
    gone = restore_objects(layout, storage, needed, sorted(cache.absent)) | set(cache.lost)
    if gone:
        raise ReleaseError(
            "data-lost",
            f"{number_of(len(gone), 'object')} of {tag} are not here: {some(sorted(needed[one][0] for one in gone))}",
            remedy=f"get them first: `daxa pull {tag}`",
        )
    return {digest: storage.cached(digest).stat().st_size for digest in needed}


def _write_files(
    layout: Layout, storage: Storage, cited: Citation, place: Path, parts: Mapping[str, Mapping[str, int]]
) -> tuple[dict[str, tuple[int, str]], int]:
    """All files of a deposit, the manifest and the checksums last."""
    for name in sorted({path.name for path in place.iterdir()} - parts.keys()):
        (place / name).unlink()
    reference = f"refs/tags/{cited.tag}"
    with tempfile.TemporaryDirectory(dir=layout.private) as scratch:
        copy = Path(scratch) / "copy"
        start_repository(copy)
        fetch_refs(copy, str(layout.root), {reference: reference})
        write_bundle(copy, place / f"{BUNDLE}.part", [reference])
    sync(place / f"{BUNDLE}.part")
    (place / f"{BUNDLE}.part").replace(place / BUNDLE)
    files = {BUNDLE: _size_and_digest(place / BUNDLE)}
    kept = 0
    for name, part in parts.items():
        files[name], there = _write_part(storage, part, place / name)
        kept += there
    replace_file(place / README, readme_text(cited, files).encode())
    files[README] = _size_and_digest(place / README)
    listed = [{"name": name, "size": size, "sha256": digest} for name, (size, digest) in sorted(files.items())]
    manifest = {
        "format": _FORMAT,
        "name": cited.name,
        "tag": cited.tag,
        "commit": cited.commit,
        "swhids": dict(cited.swhids),
        "objects": sum(map(len, parts.values())),
        "files": listed,
    }
    replace_file(place / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    files[MANIFEST] = _size_and_digest(place / MANIFEST)
    sums = "".join(f"{digest}  {name}\n" for name, (_, digest) in sorted(files.items()))
    replace_file(place / CHECKSUMS, sums.encode())
    files[CHECKSUMS] = _size_and_digest(place / CHECKSUMS)
    sync(place)
    return files, kept


def _write_part(storage: Storage, sizes: Mapping[str, int], path: Path) -> tuple[tuple[int, str], bool]:
    """One tar file: its size and SHA-256, and whether it was already there."""
    size = sum(member_space(sizes[digest]) for digest in sizes) + 1024
    if path.is_file() and not path.is_symlink() and path.stat().st_size == size:
        wanted = _HashingSink(None)
        _fill(storage, sizes, wanted)
        if _size_and_digest(path) == (size, wanted.hexdigest()):
            return (size, wanted.hexdigest()), True
    part_path = path.with_name(f"{path.name}.part")
    part_path.unlink(missing_ok=True)
    with part_path.open("xb") as stream:
        written = _HashingSink(stream)
        _fill(storage, sizes, written)
        stream.flush()
        os.fsync(stream.fileno())
    part_path.replace(path)
    return (written.size, written.hexdigest()), False


def _fill(storage: Storage, sizes: Mapping[str, int], target: _HashingSink) -> None:
    for digest in sizes:
        name = f"files/md5/{digest[:2]}/{digest[2:]}"
        write_member(target, name, sizes[digest], _verified_content(storage.cached(digest), digest))
    write_tar_end(target)


def _verified_content(path: Path, digest: str) -> Iterator[bytes]:
    """The content of an object of the cache; an error at its end if it does not match its name."""
    made = hashlib.md5(usedforsecurity=False)
    with open_plain(path, limit=1 << 62) as stream:
        while chunk := stream.read(_CHUNK):
            made.update(chunk)
            yield chunk
    if made.hexdigest() != digest.removesuffix(".dir"):
        raise DataError(
            "changed", f"{path} is damaged", remedy="run `daxa verify`, then `daxa pull`, which repairs the cache"
        )


class _HashingSink:
    """Counts and digests what is written, and passes it on."""

    def __init__(self, stream: object) -> None:
        self._write = getattr(stream, "write", None)
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes, /) -> object:
        self._digest.update(data)
        self.size += len(data)
        return self._write(data) if self._write else None

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _join(place: Path, target: Path) -> dict[str, tuple[int, str]]:
    """Put the files of a deposit into one tar."""
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    with part.open("xb") as stream:
        for path in sorted(place.iterdir()):
            with open_plain(path, limit=1 << 62) as content:
                write_member(stream, path.name, path.stat().st_size, iter(lambda: content.read(_CHUNK), b""))
        write_tar_end(stream)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(target)
    return {target.name: _size_and_digest(target)}


def _size_and_digest(path: Path) -> tuple[int, str]:
    with open_plain(path, limit=1 << 62) as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return stream.tell(), digest
