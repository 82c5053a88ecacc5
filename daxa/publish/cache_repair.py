"""Verify the content of DVC's cache, and repair it from an intact copy."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from daxa.archive.layout import Layout
from daxa.publish.digests import Digests, place_object
from daxa.publish.dvc_outputs import directory_digest, directory_listing
from daxa.publish.file_check import digest_directory
from daxa.publish.remote import Remote, Storage, object_copy

__all__ = ["CacheProof", "fetch_object", "prove_cache", "restore_objects"]

Needed = Mapping[str, Sequence[str]]
"""Digest of an object to its paths in the archive."""


@dataclass(frozen=True)
class CacheProof:
    """The state of the needed objects in the cache.

    Parameters
    ----------
    good, absent
        Digests of objects that match their names, after repairs, and of those that are not there.
    lost
        Damaged objects without an intact copy: digest to path in the archive.
    repaired
        Paths in the archive of objects that were damaged and have been repaired.
    """

    good: frozenset[str]
    absent: frozenset[str]
    lost: Mapping[str, str]
    repaired: tuple[str, ...]


def prove_cache(
    layout: Layout,
    storage: Storage,
    needed: Needed,
    digests: Digests,
    *,
    remote: Remote | None = None,
    observe: Callable[[int, int], None] = lambda ended, total: None,
) -> CacheProof:
    """Read every object that the cache holds, and replace a damaged one from the work tree or the remote.

    Parameters
    ----------
    layout, storage
        The archive, and its cache.
    needed
        Which objects.
    digests
        Known digests, so that unchanged objects are not read.
    remote
        Where an intact copy may be.
    observe
        Called with the number of objects read so far, and their total.

    Raises
    ------
    StorageError
        The cache cannot be written.
    """
    places = {storage.cached_name(digest): digest for digest in needed}
    found = digests.many(places, observe)
    good = {digest for place, digest in places.items() if found[place] == digest[:32]}
    absent = {digest for place, digest in places.items() if not found[place] and not os.path.lexists(place)}
    lost, repaired = {}, []
    for digest in sorted(needed.keys() - good - absent):
        path = needed[digest][0]
        if _copy_from_tree(layout, storage, digest, needed[digest]) or (
            remote is not None and fetch_object(layout, storage, remote, digest)
        ):
            good.add(digest)
            repaired.append(path)
        else:
            lost[digest] = path
    return CacheProof(frozenset(good), frozenset(absent), lost, tuple(repaired))


def restore_objects(layout: Layout, storage: Storage, needed: Needed, wanted: Collection[str]) -> set[str]:
    """Put objects that the cache lacks back into it from the work tree; return those without a copy there."""
    return {digest for digest in wanted if not _copy_from_tree(layout, storage, digest, needed[digest])}


def fetch_object(layout: Layout, storage: Storage, remote: Remote, digest: str) -> bool:
    """Put an object of the remote into the cache; return whether the remote had it intact."""
    with object_copy(layout.root, remote, digest, layout.private / "objects") as copy:
        return place_object(copy, storage.cached(digest), digest, durable=False)


def _copy_from_tree(layout: Layout, storage: Storage, digest: str, paths: Sequence[str]) -> bool:
    for path in paths:
        here = layout.root / path
        if not digest.endswith(".dir"):
            if place_object(here, storage.cached(digest), digest):
                return True
            continue
        files = digest_directory(here)
        if directory_digest(files) == digest:
            return place_object(directory_listing(files), storage.cached(digest), digest)
    return False
