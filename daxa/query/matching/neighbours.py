"""Places on the sky that lie near each other: KD-trees of unit vectors, no loop over either.

The chord c between unit vectors corresponds to the angle 2 arcsin(c / 2); nothing is special at a pole
or at RA 0.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.spatial import cKDTree


__all__ = ["near_pairs", "nearest_separation"]

_BLOCK = 4_000_000
_PART = 100_000
_THREADS = 4
_CLASS = 0.5


def _unit_vectors(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """(n, 3) unit vectors of positions (n,) in degrees."""
    alpha, delta = np.radians(ra), np.radians(dec)
    across = np.cos(delta)
    vectors = np.empty((len(alpha), 3))
    vectors[:, 0], vectors[:, 1], vectors[:, 2] = across * np.cos(alpha), across * np.sin(alpha), np.sin(delta)
    return vectors


def near_pairs(
    ra: np.ndarray,
    dec: np.ndarray,
    target_ra: np.ndarray,
    target_dec: np.ndarray,
    reach: np.ndarray,
    *,
    then: Callable[..., tuple[np.ndarray, ...]] = lambda *pairs: pairs,
) -> Iterator[tuple[np.ndarray, ...]]:
    """Every pair of target and pointing that is not farther apart than the target's reach.

    Targets are taken in classes of similar reach; the trees of a part of a class and of all
    pointings are walked together, several parts at a time in threads.  Pairs come in blocks,
    the same ones in the same order whatever the number of threads, and memory stays bounded
    whatever the query.

    Parameters
    ----------
    ra, dec
        (m,) pointings, degrees.
    target_ra, target_dec
        (n,) targets, degrees.
    reach
        (n,) arcminutes; targets with a negative reach meet nothing.
    then
        Called on each block, in the threads too.

    Yields
    ------
    (target, pointing, separation)
        Indices and arcminutes, each (k,), in no particular order; or what `then` makes of them.

    Examples
    --------
    >>> near = near_pairs(*(np.array(column) for column in ([359.9, 10], [0, 0], [0.1], [0], [20.0])))
    >>> [(target.tolist(), pointing.tolist(), apart.round(6).tolist()) for target, pointing, apart in near]
    [([0], [0], [12.0])]
    """
    from scipy.spatial import cKDTree

    if not len(ra) or not len(target_ra):
        return
    # Unbalanced trees build twice as fast and answer as well here.
    pointings = cKDTree(_unit_vectors(ra, dec), balanced_tree=False, compact_nodes=False)
    chords = _chord(reach)

    def search(members: np.ndarray) -> tuple[np.ndarray, ...] | None:
        vectors = _unit_vectors(target_ra[members], target_dec[members])
        found = _walk(pointings, vectors, float(chords[members].max()))
        if found is None:
            return None
        target = members[found["j"]]
        near = np.flatnonzero(found["v"] <= chords[target])
        target, apart = target[near], 120 * np.degrees(np.arcsin(np.minimum(found["v"][near] / 2, 1)))
        inside = np.flatnonzero(apart <= reach[target])
        return then(target[inside], found["i"][near[inside]], apart[inside])

    yield from _in_threads(search, deque(_parts(reach, target_dec)))


def _parts(reach: np.ndarray, dec: np.ndarray) -> Iterator[np.ndarray]:
    """Indices of targets of similar reach in a strip of the sky, in parts that are worth a thread."""
    usable = np.flatnonzero(reach >= 0)
    classes = np.floor(np.log2(np.maximum(reach[usable], 1e-3)) / _CLASS).astype(np.int32)
    for number in np.unique(classes):
        members = usable[classes == number]
        # Strips meet few nodes of the other tree; small integers are sorted in one pass.
        members = members[np.argsort((dec[members] * 100).astype(np.int16), kind="stable")]
        yield from np.array_split(members, -(-len(members) // _PART))


def _in_threads(
    search: Callable[[np.ndarray], tuple[np.ndarray, ...] | None], parts: deque[np.ndarray]
) -> Iterator[tuple[np.ndarray, ...]]:
    """What is found for each part, in an order that does not depend on the threads; parts of too much are halved."""
    # The trees of scipy and most of numpy let other threads work.
    threads = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, _THREADS)
    running: deque[tuple[np.ndarray, Future]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        while parts or running:
            # As many ahead as in the threads would hold that much memory; the number must not depend on them.
            while parts and len(running) < _THREADS:
                running.append((parts[0], pool.submit(search, parts.popleft())))
            members, future = running.popleft()
            found = future.result()
            if found is None:
                parts.extendleft(reversed(np.array_split(members, 2)))
            else:
                yield found


def _chord(reach: np.ndarray) -> np.ndarray:
    """A little more than the chord of an angle in arcminutes: the comparison that counts is one of angles."""
    return 2 * np.sin(np.radians(np.clip(reach / 60, 0, 180)) / 2) * (1 + 1e-9) + 1e-12


def _walk(pointings: cKDTree, vectors: np.ndarray, limit: float) -> np.ndarray | None:
    """Pairs within a chord as scipy gives them; None where there are too many for one block."""
    from scipy.spatial import cKDTree

    tree = cKDTree(vectors, balanced_tree=False, compact_nodes=False)
    possible = len(vectors) * pointings.n
    if len(vectors) > 1 and possible > _BLOCK and pointings.count_neighbors(tree, limit) > _BLOCK:
        return None
    return pointings.sparse_distance_matrix(tree, limit, output_type="ndarray")


def nearest_separation(
    ra: np.ndarray, dec: np.ndarray, place_ra: np.ndarray, place_dec: np.ndarray, *, limit: float
) -> np.ndarray:
    """Distance of each pointing from the nearest of several positions.

    A KD-tree of the positions' unit vectors answers for all pointings at once.

    Parameters
    ----------
    ra, dec
        (n,) pointings, degrees.
    place_ra, place_dec
        (m,) positions, degrees.
    limit
        Arcminutes beyond which the distance does not matter.

    Returns
    -------
    numpy.ndarray
        (n,) arcminutes; infinite beyond `limit`.

    Examples
    --------
    >>> places = np.array([0.1]), np.array([0.0])
    >>> nearest_separation(np.array([359.9, 10.0]), np.array([0.0, 0.0]), *places, limit=60).round(6)
    array([12., inf])
    """
    from scipy.spatial import KDTree

    tree = KDTree(_unit_vectors(place_ra, place_dec))
    # The bound is exclusive and rounded: a little more, and the comparison is done on the angle.
    bound = float(_chord(np.array(limit)))
    chord, _ = tree.query(_unit_vectors(ra, dec), distance_upper_bound=bound)
    angle = np.full(len(chord), np.inf)
    found = np.isfinite(chord)
    angle[found] = 60 * np.degrees(2 * np.arcsin(np.minimum(chord[found] / 2, 1)))
    return angle
