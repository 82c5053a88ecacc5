"""Places on the sky that lie near each other: KD-trees of unit vectors, no loop over either.

The chord c between unit vectors belongs to the angle 2 arcsin(c / 2); it knows no pole
and no RA 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

    from daxa.query.conditions import MatchKind

__all__ = ["Objects", "near_pairs", "nearest_separation"]

_BLOCK = 8_000_000
_CLASS = 0.5


@dataclass(frozen=True, eq=False)
class Objects:
    """Targets as columns, ready to be matched.

    Parameters
    ----------
    ra, dec
        (n,) degrees ICRS.
    radius
        (n,) arcminutes; 0 for a place without extent.
    start, end
        (n,) MJD UTC, infinite where open; None where no object has a window.
    match
        One of `daxa.query.conditions.MATCHES`.
    margin
        Factor for the field of view.
    inside
        The observation lies wholly in the window.
    """

    ra: np.ndarray
    dec: np.ndarray
    radius: np.ndarray
    start: np.ndarray | None = None
    end: np.ndarray | None = None
    match: MatchKind = "covers"
    margin: float = 1.0
    inside: bool = False

    def in_time(self, index: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Whether observations (m,) from `start` to `end` meet the windows of the objects `index` (m,)."""
        if self.start is None or self.end is None:
            return np.ones(len(index), dtype=bool)
        first, last = self.start[index], self.end[index]
        free = np.isneginf(first) & np.isposinf(last)
        # Comparisons with unknown times (NaN) are False.
        met = (start >= first) & (end <= last) if self.inside else (start < last) & (end > first)
        return met | free


def _unit_vectors(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """(n, 3) unit vectors of positions (n,) in degrees."""
    alpha, delta = np.radians(ra), np.radians(dec)
    across = np.cos(delta)
    vectors = np.empty((len(alpha), 3))
    vectors[:, 0], vectors[:, 1], vectors[:, 2] = across * np.cos(alpha), across * np.sin(alpha), np.sin(delta)
    return vectors


def near_pairs(
    ra: np.ndarray, dec: np.ndarray, target_ra: np.ndarray, target_dec: np.ndarray, reach: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Every pair of target and pointing that is not farther apart than the target's reach.

    Targets are taken in classes of similar reach; the trees of a class and of all pointings
    are walked together.  Pairs come in blocks, so that memory stays bounded whatever is asked.

    Parameters
    ----------
    ra, dec
        (m,) pointings, degrees.
    target_ra, target_dec
        (n,) targets, degrees.
    reach
        (n,) arcminutes; targets with a negative reach meet nothing.

    Yields
    ------
    (target, pointing, separation)
        Indices and arcminutes, each (k,), in no particular order.

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
    vectors = _unit_vectors(target_ra, target_dec)
    chords = _chord(reach)
    usable = np.flatnonzero(reach >= 0)
    classes = np.floor(np.log2(np.maximum(reach[usable], 1e-3)) / _CLASS).astype(np.int32)
    for number in np.unique(classes):
        for found, members in _blocks(pointings, vectors, usable[classes == number], chords):
            target = members[found["j"]]
            near = np.flatnonzero(found["v"] <= chords[target])
            target, apart = target[near], 120 * np.degrees(np.arcsin(np.minimum(found["v"][near] / 2, 1)))
            inside = apart <= reach[target]
            yield target[inside], found["i"][near][inside], apart[inside]


def _chord(reach: np.ndarray) -> np.ndarray:
    """A little more than the chord of an angle in arcminutes: the comparison that counts is one of angles."""
    return 2 * np.sin(np.radians(np.clip(reach / 60, 0, 180)) / 2) * (1 + 1e-9) + 1e-12


def _blocks(
    pointings: cKDTree, vectors: np.ndarray, members: np.ndarray, chords: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    from scipy.spatial import cKDTree

    limit = float(chords[members].max())
    tree = cKDTree(vectors[members], balanced_tree=False, compact_nodes=False)
    possible = len(members) * pointings.n
    if len(members) > 1 and possible > _BLOCK and pointings.count_neighbors(tree, limit) > _BLOCK:
        half = len(members) // 2
        yield from _blocks(pointings, vectors, members[:half], chords)
        yield from _blocks(pointings, vectors, members[half:], chords)
        return
    yield pointings.sparse_distance_matrix(tree, limit, output_type="ndarray"), members


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
