"""Whether a detection is true, judged by where its photons came from.

As eROSITA's team judges (Liu et al. 2022; Seppi et al. 2022): a detection belongs to the source that gave it most
photons, if that gave more than some number, and more than the scatter of all the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.validation.epiclist import CLUSTER

__all__ = ["Judged", "Photons", "judge"]

LEAST = 4
"""Photons that a source must give."""

SCATTER = 2.0
"""Square roots of the number of the other photons that it must give."""


@dataclass(frozen=True, eq=False)
class Photons:
    """Places of photons (pixels x, y from 1) and the sources that they came from."""

    places: np.ndarray
    origin: np.ndarray


@dataclass(frozen=True, eq=False)
class Judged:
    """What detections are.

    Parameters
    ----------
    origin
        Number of the point source or cluster that each belongs to; 0 for none.
    first
        Whether it is the one that holds most of that source's photons; the others are parts.
    given
        Photons of that source within the radius.
    """

    origin: np.ndarray
    first: np.ndarray
    given: np.ndarray

    @property
    def points(self) -> np.ndarray:
        """Detections of point sources, each source once."""
        return self.first & (self.origin > 0) & (self.origin < CLUSTER)

    @property
    def clusters(self) -> np.ndarray:
        """Detections of clusters, each once."""
        return self.first & (self.origin >= CLUSTER)

    @property
    def false(self) -> np.ndarray:
        """Detections of nothing, and parts of what another one is."""
        return ~self.first


def judge(places: np.ndarray, photons: Photons, *, radius: float, least: int = LEAST) -> Judged:
    """Judge detections.

    Parameters
    ----------
    places
        Pixels (x, y from 1), shape (n, 2).
    photons
        Those of the image.
    radius
        Pixels about a detection within which its photons are counted.
    least
        Photons that a source must give.
    """
    from scipy.spatial import cKDTree

    origin, given = np.zeros(len(places), int), np.zeros(len(places), int)
    if len(places):
        tree = cKDTree(photons.places)
        for row, near in enumerate(tree.query_ball_point(places, radius)):
            origin[row], given[row] = _main(photons.origin[near], least)
    first = np.zeros(len(places), bool)
    for number in np.unique(origin[origin > 0]):
        own = np.flatnonzero(origin == number)
        first[own[np.argmax(given[own])]] = True
    return Judged(origin, first, given)


def _main(origins: np.ndarray, least: int) -> tuple[int, int]:
    """The point source, or else the cluster, that gave most of some photons, and how many; (0, 0) for none."""
    numbers, counts = np.unique(origins[origins > 0], return_counts=True)
    enough = (counts >= least) & (counts >= SCATTER * np.sqrt(len(origins) - counts))
    for kind in (numbers < CLUSTER, numbers >= CLUSTER):
        if (enough & kind).any():
            best = np.flatnonzero(enough & kind)[np.argmax(counts[enough & kind])]
            return int(numbers[best]), int(counts[best])
    return 0, 0
