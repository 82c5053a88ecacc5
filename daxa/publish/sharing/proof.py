"""Prove what a remote holds: by digest where reading is cheap, by size elsewhere."""

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
    """Objects that a remote holds, but not as they should be: digest to path in the archive.

    Parameters
    ----------
    remote
        Where they are.  Those of a directory are read, unless they have not changed since.
    needed
        Digest to the paths in the archive.
    present
        As `daxa.publish.remote.list_objects` gives it.
    sizes
        Right sizes, as far as they are known.
    digests
        Spares reading unchanged files.
    observe
        Called with how many have been read, of how many.
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
