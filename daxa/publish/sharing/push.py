"""Send the data of every release to the remote, and verify that they arrived.

DVC sends the objects of its cache without reading them, considers a directory present if the
remote has its listing, and never checks an object that the remote has.  Therefore the
cache is read first, damaged objects are repaired from an intact copy, and the remote is listed and
read (where that is cheap) before and after; what it lost or has damaged is sent object by object.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from daxa.archive import dvc, git
from daxa.archive.config import load_config
from daxa.archive.layout import Layout
from daxa.archive.trust import refuse_foreign
from daxa.errors import ReleaseError, StorageError
from daxa.naming import number_of
from daxa.publish.cache_repair import CacheProof, prove_cache, restore_objects
from daxa.publish.contents import how_to_restore, needed_at
from daxa.publish.digests import Digests, place_object
from daxa.publish.embargo import mjd_now, proprietary
from daxa.publish.remote import Remote, Storage, find_storage, list_objects, object_path, require_remote
from daxa.publish.sharing.proof import prove_objects
from daxa.publish.state import read_observations, records_at
from daxa.publish.version import release_tags
from daxa.publish.workspaces import alone, clone_of, pointer

__all__ = ["PushReport", "push_releases"]

_NAMED = 5


@dataclass(frozen=True)
class PushReport:
    """The state of a remote after a push.

    Parameters
    ----------
    remote
        Its address.
    tags
        The releases whose data it holds, the latest last.
    objects
        How many objects these need.
    sent
        How many of them were sent.
    replaced
        Paths in the archive of objects that were damaged on the remote and have been replaced.
    repaired
        Paths in the archive of objects that were damaged in DVC's cache and have been repaired.
    """

    remote: str
    tags: tuple[str, ...]
    objects: int
    sent: int
    replaced: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()


def push_releases(
    layout: Layout, *, remote: str = "", observe: Callable[[int, int], None] = lambda ended, total: None
) -> PushReport:
    """Send what the remote lacks of any release, and verify that it has everything.

    Each release is sent from a clone of its tag, since DVC sends what the work tree
    names.  Nothing is ever deleted; a damaged object on a remote that is a directory
    is replaced.

    Parameters
    ----------
    layout
        The archive.
    remote
        Name of another remote than the default one.
    observe
        Called with the number of objects of the cache read so far, and their total.

    Raises
    ------
    ConfigError
        The archive has no remote.
    ReleaseError
        There is no release, its data cannot be found, or they must not be shared yet.
    ServiceError, StorageError, ProgramError
        The remote cannot be listed or written, or does not hold everything afterwards.
    """
    refuse_foreign(layout, load_config(layout), connects=False)
    storage = find_storage(layout.root, remote)
    there = require_remote(layout.root, storage)
    tags = release_tags(git.tags(layout.root))
    if not tags:
        raise ReleaseError(
            "none", f"{layout.root} has no release yet", remedy='make one with `daxa release -m "what it is"`'
        )
    if there.public:
        _refuse_proprietary(layout, tags, there)
    with alone(layout), Digests(layout) as digests:
        needs = {tag: needed_at(layout, tag, storage, there) for tag in tags}
        needed = _union(needs.values())
        cache = prove_cache(layout, storage, needed, digests, remote=there, observe=observe)
        before = list_objects(layout.root, there)
        wrong = prove_objects(there, needed, before, _sizes(storage, cache.good), digests)
        missing = needed.keys() - before.keys()
        _require_copies(layout, storage, needs, missing | wrong.keys(), cache=cache, remote=there)
        for digest in sorted(wrong):
            _replace(storage, there, digest, needed[digest][0])
        for tag in tags:
            if missing & needs[tag].keys():
                with clone_of(layout, tag, storage, there) as clone:
                    dvc.push(clone, there.name)
        present = _repair(layout, tags[-1], storage, there, needed)
        _require_right(there, prove_objects(there, needed, present, _sizes(storage, needed), digests))
    return PushReport(
        remote=there.url,
        tags=tuple(tags),
        objects=len(needed),
        sent=len(missing) + len(wrong),
        replaced=tuple(needed[digest][0] for digest in sorted(wrong)),
        repaired=cache.repaired,
    )


def _union(needs: Collection[Mapping[str, Sequence[str]]]) -> dict[str, list[str]]:
    union: dict[str, list[str]] = {}
    for needed in needs:
        for digest, paths in needed.items():
            union.setdefault(digest, []).extend(paths)
    return union


def _refuse_proprietary(layout: Layout, tags: Collection[str], remote: Remote) -> None:
    now = mjd_now()
    for tag in tags:
        with records_at(layout, git.commit_of(layout.root, tag)) as records:
            chosen = {mission: read_observations(records, mission) for mission in load_config(records).missions}
        if held := proprietary(chosen, now):
            raise ReleaseError(
                "proprietary",
                f"{tag} has {len(held)} observations that are not known to be public, such as {held[0]}, "
                f"and others may read {remote.url}",
                remedy="share it through private storage (a directory or ssh), or wait until the data are public",
            )


def _require_copies(
    layout: Layout,
    storage: Storage,
    needs: Mapping[str, Mapping[str, Sequence[str]]],
    wanted: set[str],
    *,
    cache: CacheProof,
    remote: Remote,
) -> None:
    """Refuse if an object has no intact copy, or must be sent and cannot be found; repair from the work tree."""
    needed = _union(needs.values())
    gone = restore_objects(layout, storage, needed, sorted(wanted & cache.absent)) | cache.lost.keys()
    for tag, objects in needs.items():
        if here := sorted(objects.keys() & gone):
            named = ", ".join(f"{needed[digest][0]} ({digest})" for digest in here[:_NAMED])
            objects_of = f"{number_of(len(here), 'object')} of {tag}"
            raise ReleaseError(
                "data-lost",
                f"neither DVC's cache here nor {remote.url} has an intact copy of {objects_of}: {named}",
                remedy=how_to_restore(tag),
            )


def _sizes(storage: Storage, digests: Collection[str]) -> dict[str, int]:
    """Sizes of objects, as far as the cache has them."""
    sizes = {}
    for digest in digests:
        try:
            sizes[digest] = storage.cached(digest).stat().st_size
        except OSError:
            continue
    return sizes


def _replace(storage: Storage, remote: Remote, digest: str, path: str) -> None:
    target = object_path(remote, digest)
    if target is None or target.is_dir() or not place_object(storage.cached(digest), target, digest):
        raise _damaged(remote, {digest: path})


def _require_right(remote: Remote, wrong: Mapping[str, str]) -> None:
    if wrong:
        raise _damaged(remote, wrong)


def _damaged(remote: Remote, wrong: Mapping[str, str]) -> StorageError:
    named = ", ".join(f"files/md5/{digest[:2]}/{digest[2:]} ({path})" for digest, path in list(wrong.items())[:_NAMED])
    return StorageError(
        "remote-damaged",
        f"{remote.url} has {number_of(len(wrong), 'wrong object')}: {named}",
        remedy="remove these objects from the remote and run `daxa push` again",
    )


def _repair(
    layout: Layout, tag: str, storage: Storage, remote: Remote, needed: Mapping[str, Sequence[str]]
) -> Mapping[str, tuple[float, float] | None]:
    """List the remote; send single objects that it lacks, and list it again."""
    present = list_objects(layout.root, remote)
    if lost := sorted(needed.keys() - present.keys()):
        with clone_of(layout, tag, storage, remote) as clone:
            dvc.run_dvc(clone, "push", "--quiet", "--remote", remote.name, pointer(clone, lost))
        present = list_objects(layout.root, remote)
    if lost := sorted(needed.keys() - present.keys()):
        raise StorageError(
            "push-incomplete",
            f"{len(lost)} of {len(needed)} objects did not arrive at {remote.url}, such as {lost[0]}",
            remedy="run `daxa push` again; if that does not help, check the remote's space and permissions",
        )
    return present
