"""From a remote or another copy into the cache, and from there into the tree, after every object is verified."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from daxa.archive import dvc
from daxa.archive.layout import Layout
from daxa.errors import ProgramError
from daxa.files import check_space
from daxa.publish.cache_repair import fetch_object, prove_cache, restore_objects
from daxa.publish.digests import Digests
from daxa.publish.releases.release_logs import place_logs
from daxa.publish.remote import Remote, Storage, list_objects
from daxa.publish.sharing.requested import PullRequest

__all__ = ["fetch_objects", "put_in_place"]

_AT_ONCE = 500


def fetch_objects(
    layout: Layout,
    storage: Storage,
    remote: Remote | None,
    wanted: PullRequest,
    digests: Digests,
    *,
    observe: Callable[[int, int], None],
) -> tuple[int, set[str], set[str]]:
    """Fetch objects into the cache; return how many came, which are nowhere, and which are damaged."""
    needed = wanted.objects
    cache = prove_cache(layout, storage, needed, digests, remote=remote)
    if remote is None:
        return 0, restore_objects(layout, storage, needed, sorted(cache.absent)), set(cache.lost)
    present = list_objects(layout.root, remote) if cache.absent and remote.listed else {}
    missing = set(restore_objects(layout, storage, needed, sorted(cache.absent - present.keys())))
    coming = sorted(cache.absent & present.keys())
    if not remote.listed:
        # A remote that cannot be listed is asked for each object.
        coming, missing = sorted(missing), set()
    if remote.directory is None and coming:
        targets = sorted({wanted.target[path] for digest in coming for path in needed[digest]})
        for part in _parts(targets):
            dvc.fetch(layout.root, remote.name, part)
    wrong = set(cache.lost)
    for count, digest in enumerate(coming, 1):
        place = storage.cached(digest)
        if remote.directory is not None:
            right = fetch_object(layout, storage, remote, digest)
        elif place.exists():
            right = digests.of(place) == digest
        else:
            right = fetch_object(layout, storage, remote, digest)
        if not right:
            (wrong if remote.listed or place.exists() else missing).add(digest)
            place.unlink(missing_ok=True)
        observe(count, len(coming))
    return len(coming) - len((wrong | missing) & set(coming)), missing, wrong


def put_in_place(
    layout: Layout, storage: Storage, wanted: PullRequest, absent: Collection[str], given_up: Collection[str]
) -> None:
    """Check out everything that is not absent: whole outputs, else whole observations, else single files."""
    logs = {path: wanted.files[path] for path in sorted(wanted.single.difference(absent))}
    place_logs(layout, storage, logs, given_up)
    waiting = {path: place for path, place in wanted.target.items() if path not in wanted.single}
    targets: list[str] = []
    while waiting:
        broken = {waiting[path] for path in absent if path in waiting}
        targets += sorted({place for place in waiting.values() if place not in broken})
        waiting = {
            path: _next_below(place, path) for path, place in waiting.items() if place in broken and path != place
        }
    for part in _parts(targets):
        try:
            dvc.checkout(layout.root, part)
        except ProgramError:
            _refuse_full(layout, storage, wanted, absent)
            raise


def _refuse_full(layout: Layout, storage: Storage, wanted: PullRequest, absent: Collection[str]) -> None:
    """Report a full disk, if that is the cause: DVC only names what it could not write."""
    waiting = [path for path in wanted.files if path not in absent and not (layout.root / path).exists()]
    needed = sum(storage.cached(wanted.files[path]).stat().st_size for path in waiting)
    remedy = "free some space, then run `daxa pull` again: what was fetched stays"
    check_space(layout.root, needed, "the data that were fetched", remedy=remedy)


def _next_below(place: str, path: str) -> str:
    """The directory, or the file itself, one level closer to a file."""
    return "/".join(path.split("/")[: len(place.split("/")) + 1])


def _parts(targets: Sequence[str]) -> Iterator[Sequence[str]]:
    return (targets[at : at + _AT_ONCE] for at in range(0, len(targets), _AT_ONCE))
