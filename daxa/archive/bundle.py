"""Judge a Git bundle before Git reads it: what it names, and what its objects would become.

A bundle is a header of text (refs, and commits that it builds on) and a pack.  Its author may have
put a few bytes there that become gigabytes; so every object is measured here, unpacked in pieces of which
nothing is kept.  The formats are those of Git's ``gitformat-bundle`` and ``gitformat-pack``.
"""

from __future__ import annotations

import hashlib
import mmap
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from daxa.archive.git_objects import TreeEntry
from daxa.errors import DataError, UntrustedArchive
from daxa.files import open_plain
from daxa.text import utf8_text

__all__ = ["BUNDLE_LIMIT", "MANIFEST_REF", "judge_bundle", "judge_tree"]

MANIFEST_REF = "refs/daxa/export"
"""The ref of a bundle whose commit holds ``manifest.json``."""

BUNDLE_LIMIT = 2 << 30
"""Bytes of a bundle."""

_FIRST = b"# v2 git bundle\n"
_LONGEST_HEADER = 4096
_REF = re.compile(r"([0-9a-f]{40}) (refs/tags/v[0-9.]{5,23}|refs/daxa/export)", re.ASCII)

_MOST_OBJECTS = 2_000_000
_LARGEST_OBJECT = 256 << 20
_LARGEST_ALL = 16 << 30
_COMMIT, _TREE, _BLOB, _TAG, _BY_OFFSET, _BY_DIGEST = 1, 2, 3, 4, 6, 7
_LARGEST = {_COMMIT: 1 << 20, _TAG: 1 << 20, _TREE: 64 << 20}
_PIECE = 1 << 16

_MOST_FILES = 200_000
_LARGEST_FILES = 8 << 30
_PLAIN = ("100644", "100755")


@dataclass(frozen=True)
class _Pack:
    """The bytes of a pack, and where it begins."""

    path: Path
    data: mmap.mmap
    start: int


def judge_bundle(path: Path) -> dict[str, str]:
    """Refuse a bundle that is not one of an export of daxa, or that would unpack to too much.

    Parameters
    ----------
    path
        The file; it is mapped into memory, never read as a whole.

    Returns
    -------
    dict
        Ref to digest: the tag of a release, and `MANIFEST_REF`.

    Raises
    ------
    DataError
        It is not a complete bundle, or not an export.
    UntrustedArchive
        ``untrusted.bundle``: it would unpack to more than any archive has.
    OSError
        It is absent or cannot be read.
    """
    with open_plain(path, limit=BUNDLE_LIMIT) as stream:
        try:
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise _no_bundle(path, "it is empty") from None
        with data:
            end = data.find(b"\n\n", 0, _LONGEST_HEADER)
            if data[: len(_FIRST)] != _FIRST or end < 0:
                raise _no_bundle(path, "it does not begin as a Git bundle does")
            refs = _refs(path, data[len(_FIRST) : end].decode("ascii", "replace").split("\n"))
            try:
                _measure(_Pack(path, data, end + 2))
            except (zlib.error, IndexError):
                raise _no_bundle(path, "its pack is damaged") from None
    return refs


def _refs(path: Path, lines: Sequence[str]) -> dict[str, str]:
    if any(line.startswith("-") for line in lines):
        raise _no_bundle(path, "it builds on commits that it does not hold")
    found = [_REF.fullmatch(line) for line in lines]
    refs = {match[2]: match[1] for match in found if match}
    tags = [name for name in refs if name.startswith("refs/tags/")]
    if len(refs) != len(lines) or len(tags) != 1 or MANIFEST_REF not in refs:
        raise _no_bundle(path, "it does not hold one release and its manifest, as `daxa export` writes them")
    return refs


def _measure(pack: _Pack) -> None:
    """Walk through the objects of a pack and add up what they would become."""
    data, at = pack.data, pack.start
    if data[at : at + 8] != b"PACK\0\0\0\2":
        raise _no_bundle(pack.path, "it holds no pack")
    number = int.from_bytes(data[at + 8 : at + 12], "big")
    if number > _MOST_OBJECTS:
        raise _too_much(pack.path, f"{number} objects")
    at, total = at + 12, 0
    for _ in range(number):
        kind, size, at = _object_header(data, at)
        if kind == _BY_OFFSET:
            while data[at] & 0x80:
                at += 1
            at += 1
        elif kind == _BY_DIGEST:
            at += 20
        elif kind not in (_COMMIT, _TREE, _BLOB, _TAG):
            raise _no_bundle(pack.path, "its pack holds an object of an unknown kind")
        if size > _LARGEST.get(kind, _LARGEST_OBJECT):
            raise _too_much(pack.path, f"an object of {size} bytes")
        begin, at = _unpack(pack, at, size)
        becomes = _result_size(begin) if kind in (_BY_OFFSET, _BY_DIGEST) else size
        if becomes > _LARGEST_OBJECT:
            raise _too_much(pack.path, f"an object of {becomes} bytes")
        total += becomes
        if total > _LARGEST_ALL:
            raise _too_much(pack.path, f"objects of more than {_LARGEST_ALL >> 30} GiB together")
    digest = hashlib.sha1(usedforsecurity=False)
    for place in range(pack.start, at, 1 << 20):
        digest.update(data[place : min(place + (1 << 20), at)])
    if data[at:] != digest.digest():
        raise _no_bundle(pack.path, "its pack does not end with its digest")


def _object_header(data: mmap.mmap, at: int) -> tuple[int, int, int]:
    """Kind and size of an object, and where its content begins."""
    byte = data[at]
    kind, size, shift, at = (byte >> 4) & 7, byte & 15, 4, at + 1
    while byte & 0x80:
        byte = data[at]
        size |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if shift > 64:
            raise IndexError
    return kind, size, at


def _unpack(pack: _Pack, at: int, size: int) -> tuple[bytes, int]:
    """The first bytes of a packed content of exactly this size, and where it ends."""
    unpacker, done, begin = zlib.decompressobj(), 0, b""
    while not unpacker.eof:
        piece = pack.data[at : at + _PIECE]
        if not piece:
            raise IndexError
        out = unpacker.decompress(piece, _PIECE)
        # At the end, what is left is in one of them, and may be in both.
        at += len(piece) - len(unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail)
        begin = begin or out[:32]
        done += len(out)
        if done > size:
            raise _no_bundle(pack.path, "an object of its pack is larger than it says")
    if done != size:
        raise _no_bundle(pack.path, "an object of its pack is smaller than it says")
    return begin, at


def _result_size(begin: bytes) -> int:
    """The size of what a difference makes: the second of the two numbers that it begins with."""
    at, sizes = 0, []
    for _ in range(2):
        size, shift = 0, 0
        while True:
            byte = begin[at]
            size |= (byte & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if not byte & 0x80:
                break
        sizes.append(size)
    return sizes[1]


def judge_tree(entries: Sequence[TreeEntry]) -> None:
    """Refuse the files of a commit that must not be put on a disk.

    Parameters
    ----------
    entries
        As `daxa.archive.git_objects.tree_of` gives them.

    Raises
    ------
    UntrustedArchive
        One of them is a link, a submodule, too large, or has a name that leads elsewhere.

    Examples
    --------
    >>> judge_tree([TreeEntry("daxa.toml", "100644", "0" * 40, 300)])
    """
    if len(entries) > _MOST_FILES or sum(max(entry.size, 0) for entry in entries) > _LARGEST_FILES:
        raise _refused("it holds more files than any archive", "")
    seen: dict[str, str] = {}
    for entry in entries:
        shown = ascii(entry.path)[1:-1][:200]
        if entry.mode not in _PLAIN:
            raise _refused("it holds a link, a submodule or something else that is not a plain file", shown)
        if entry.size > _LARGEST_OBJECT:
            raise _refused(f"it holds a file of {entry.size} bytes", shown)
        parts = PurePosixPath(entry.path).parts
        strange = not utf8_text(entry.path).isprintable() or "\\" in entry.path or entry.path.startswith("/")
        if strange or len(entry.path) > 1024 or any(_acts(part) for part in parts):
            raise _refused("it holds a file whose name leads outside, or that Git or DVC acts on", shown)
        if (other := seen.setdefault(entry.path.casefold(), entry.path)) != entry.path:
            raise _refused(f"it holds two files with one name where case does not count ({other!a})", shown)


def _acts(part: str) -> bool:
    name = part.casefold().rstrip(". ").split(":", 1)[0]
    return part in ("", ".", "..") or name in (".git", "git~1", ".gitmodules", ".lfsconfig")


def _no_bundle(path: Path, why: str) -> DataError:
    return DataError(
        "bundle",
        f"{path} is not a bundle of a release: {why}",
        remedy="get the file again, or ask its author for one: `daxa export TAG -o FILE`",
    )


def _too_much(path: Path, what: str) -> UntrustedArchive:
    return UntrustedArchive(
        "bundle",
        f"{path} would unpack to {what}, which no archive has",
        remedy="do not use it; if it is your own archive, clone it with Git",
    )


def _refused(why: str, path: str) -> UntrustedArchive:
    return UntrustedArchive(
        "bundle",
        f"the release in this bundle was not unpacked: {why}{f', {path}' if path else ''}",
        remedy="do not use it; its author should export a release without such files",
    )
