"""Verify what a remote holds: by digest where reading is cheap, by size elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from daxa.publish.digests import Digests
from daxa.publish.remote import Remote, object_path

__all__ = ["prove_objects"]


def prove_objects(
    remote: Remote,
    needed: Mapping[str, Sequence[str]],
    present: Mapping[str, tuple[float, float] | None],
    sizes: Mapping[str, int],
    digests: Digests,
    *,
    observe: Callable[[int, int], None] = lambda ended, total: None,
) -> dict[str, str]:
    """Objects on a remote that are damaged: digest to path in the archive.

    Parameters
    ----------
    remote
        The remote.  Objects in a directory are read, unless they have not changed since the last time.
    needed
        Digest to the paths in the archive.
    present
        As `daxa.publish.remote.list_objects` gives it.
    sizes
        Correct sizes, as far as they are known.
    digests
        Known digests, so that unchanged files are not read.
    observe
        Called with the number of objects read so far, and their total.
    """
    here = [digest for digest in needed if digest in present]
    places = {digest: str(place) for digest in here if (place := object_path(remote, digest)) is not None}
    found = digests.many(places.values(), observe)
    wrong = [digest for digest, place in places.items() if found[place] != digest[:32]]
    for digest in here:
        limits = present[digest]
        if digest not in places and digest in sizes and limits and not limits[0] <= sizes[digest] <= limits[1]:
            wrong.append(digest)
    return {digest: needed[digest][0] for digest in sorted(wrong)}
