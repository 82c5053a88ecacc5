"""Fields of view in their true shape, for many pairs of target and pointing at once.

The sides of a square are great circles at the angle ``size`` from the pointing: straight
lines in the gnomonic projection.  With the target's unit vector (x, y, z) along the
detector's axes and the line of sight, ``x cos(size) - z sin(size)`` is the sine of its
distance beyond one side.  The y axis points to the position angle ``roll``, from north
through east, so nothing is special at a pole or at RA 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np

from daxa.missions.facts import FieldOfView
from daxa.missions.tiling import tiles

if TYPE_CHECKING:
    import pandas as pd

    from daxa.query.criteria.objects import Objects

__all__ = ["Fields"]

_WIDEST = 89 * 60.0  # a great circle at 90 degrees from the pointing bounds no square
_CELL = 90.0  # half the height of a survey's cell, arcmin


@dataclass(frozen=True, eq=False)
class Fields:
    """The field of view of one kind of instrument in every observation of a table.

    Parameters
    ----------
    view
        Its declaration.
    table
        The observations: ``obs_id``, ``ra``, ``dec`` and ``roll``.
    rows
        (n,) bool, those that have this field; None for all of them.
    """

    view: FieldOfView
    table: pd.DataFrame
    rows: np.ndarray | None = None

    @cached_property
    def ra(self) -> np.ndarray:
        """Right ascension (n,) of the middle of each field, degrees; for a known tile, that of its cell."""
        return self._middle("ra", 0)

    @cached_property
    def dec(self) -> np.ndarray:
        """Declination (n,) of the middle of each field, degrees."""
        return self._middle("dec", 1)

    @cached_property
    def known(self) -> np.ndarray:
        """Whether the shape (n,) is known; of the others only the circle around it is."""
        if self.view.shape != "square":
            return np.ones(len(self.table), dtype=bool)
        turned = np.isfinite(self._roll) if self.view.roll else np.zeros(len(self.table), dtype=bool)
        return turned if self.rows is None else turned | ~self.rows

    def reach(self, objects: Objects) -> np.ndarray:
        """Separation (m,) from the middle beyond which each target is certainly not met, arcmin."""
        if self.view.shape == "tile":
            return _farthest_corner() + _beyond_cell(objects)
        if objects.match == "centre":
            return objects.radius
        return _with_radius(self.view.radius * objects.margin, objects)

    def sure(self, objects: Objects) -> np.ndarray:
        """Separation (m,) up to which each target is certainly met, arcmin."""
        if self.view.shape in ("annulus", "tile") and not (self.view.shape == "annulus" and objects.match == "centre"):
            return np.full(len(objects.ra), -1.0)
        if objects.match == "centre" or self.view.shape == "circle":
            return self.reach(objects)
        return _with_radius(self.view.size * objects.margin, objects)

    def meet(
        self,
        objects: Objects,
        target: np.ndarray,
        row: np.ndarray,
        apart: np.ndarray,
        *,
        reach: np.ndarray,
        sure: np.ndarray,
    ) -> np.ndarray:
        """Whether targets and fields match, as the objects require.

        Parameters
        ----------
        objects
            The targets.
        target, row, apart
            (k,) index of the target, index of the observation, separation from its middle (arcmin).
        reach, sure
            (m,) of this class, for these objects.

        Returns
        -------
        numpy.ndarray
            (k,) bool.
        """
        met = apart <= reach[target]
        if self.rows is not None:
            met &= self.rows[row]
        unsure = np.flatnonzero(met & (apart > sure[target]))
        unsure = unsure[self.known[row[unsure]]]
        if len(unsure):
            exact = {"square": self._in_square, "annulus": self._in_ring, "tile": self._in_cell}[self.view.shape]
            met[unsure] = exact(objects, target[unsure], row[unsure], apart[unsure])
        return met

    @cached_property
    def _roll(self) -> np.ndarray:
        return np.radians(self.table["roll"].to_numpy(dtype=np.float64))

    def _middle(self, name: str, axis: int) -> np.ndarray:
        own = self.table[name].to_numpy(dtype=np.float64)
        if self.view.shape != "tile":
            return own
        first, last = self._edges[2 * axis : 2 * axis + 2]
        return np.where(np.isnan(first), own, (first + last) / 2)

    @cached_property
    def _edges(self) -> np.ndarray:
        """Of each row's cell (4, n): first and last right ascension, lowest and highest declination, degrees."""
        names, edges = _cells()
        number = [names.get(obs_id, -1) for obs_id in self.table["obs_id"]]
        return edges[:, number]

    def _in_square(self, objects: Objects, target: np.ndarray, row: np.ndarray, _apart: np.ndarray) -> np.ndarray:
        x, y, z = self._along_axes(objects, target, row)
        half = np.radians(min(self.view.size * objects.margin, _WIDEST) / 60)
        radius = np.radians(objects.radius[target] / 60)
        beyond = [side * np.cos(half) - z * np.sin(half) for side in (x, y)]
        if objects.match == "covers":
            return np.maximum(*beyond) <= -np.sin(radius)
        near = (beyond[0] <= 0) & (beyond[1] <= 0)
        for across, along, out in ((x, y, beyond[0]), (y, x, beyond[1])):
            # The foot of the perpendicular on this side lies between its corners.
            beside = along <= np.sin(half) * (across * np.sin(half) + z * np.cos(half))
            near |= beside & (out > 0) & (out <= np.sin(radius))
        corner = np.array([np.sin(half), np.sin(half), np.cos(half)])
        corner /= np.sqrt((corner**2).sum())
        chord = (x - corner[0]) ** 2 + (y - corner[1]) ** 2 + (z - corner[2]) ** 2
        return near | (chord <= (2 * np.sin(radius / 2)) ** 2)

    def _along_axes(self, objects: Objects, target: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, ...]:
        """Unit vectors of the targets in the frame of their detector, folded into one quarter of the field."""
        shift = np.radians(objects.ra[target] - self.ra[row])
        delta, middle, roll = np.radians(objects.dec[target]), np.radians(self.dec[row]), self._roll[row]
        level, up = np.cos(delta), np.sin(delta)
        east, towards = level * np.sin(shift), level * np.cos(shift)
        north = up * np.cos(middle) - towards * np.sin(middle)
        ahead = up * np.sin(middle) + towards * np.cos(middle)
        right = east * np.cos(roll) - north * np.sin(roll)
        above = east * np.sin(roll) + north * np.cos(roll)
        return np.abs(right), np.abs(above), ahead

    def _in_ring(self, objects: Objects, target: np.ndarray, _row: np.ndarray, apart: np.ndarray) -> np.ndarray:
        radius, hole = objects.radius[target], self.view.inner / objects.margin
        return apart - radius >= hole if objects.match == "covers" else apart + radius >= hole

    def _in_cell(self, objects: Objects, target: np.ndarray, row: np.ndarray, _apart: np.ndarray) -> np.ndarray:
        ra, dec, edges = objects.ra[target], objects.dec[target], self._edges[:, row]
        around = _beyond_cell(objects)[target]
        # A place lies in one cell; the edges that a radius may touch belong to two.
        return np.where(around > 0, _from_cell(ra, dec, edges) <= around / 60, _owns(ra, dec, edges))


def _with_radius(field: float, objects: Objects) -> np.ndarray:
    return field + objects.radius if objects.match == "overlaps" else field - objects.radius


def _beyond_cell(objects: Objects) -> np.ndarray:
    """How far from each target a cell may lie (m,), arcmin: in every way of matching, as far as its radius reaches."""
    return objects.radius + _CELL * max(objects.margin - 1, 0.0)


@cache
def _cells() -> tuple[dict[str, int], np.ndarray]:
    """Number of each cell by its name, and the edges (4, cells + 1); the last is none."""
    edges = [(tile.ra_min, tile.ra_max, tile.dec_min, tile.dec_max) for tile in tiles()]
    return {tile.obs_id: number for number, tile in enumerate(tiles())}, np.array([*edges, (np.nan,) * 4]).T


@cache
def _farthest_corner() -> float:
    """Largest distance of a cell's corner from its middle, arcmin."""
    first, last, low, high = np.radians(_cells()[1][:, :-1])
    middle = (low + high) / 2
    cosines = [
        np.sin(middle) * np.sin(edge) + np.cos(middle) * np.cos(edge) * np.cos((last - first) / 2)
        for edge in (low, high)
    ]
    return float(np.degrees(np.arccos(np.min(cosines)))) * 60 + 1e-3


def _owns(ra: np.ndarray, dec: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Whether places (k,) belong to cells (4, k): lower edges do, upper ones do not, but for the pole."""
    first, last, low, high = edges
    east = ra % 360 % 360
    return (first <= east) & (east < last) & (low <= dec) & ((dec < high) | ((dec == 90) & (high == 90)))


def _from_cell(ra: np.ndarray, dec: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Distance (k,) of places from cells, degrees; as `daxa.missions.tiling.Tile.separation` for one."""
    first, last, low, high = edges
    beside = (last - first < 360) & ((ra - first) % 360 > last - first)
    distance = np.maximum(np.maximum(low - dec, dec - high), 0.0)
    ra, dec, edges = ra[beside], dec[beside], edges[:, beside]
    distance[beside] = np.minimum(*(_from_edge(edge, ra, dec, edges[2:]) for edge in edges[:2]))
    return distance


def _from_edge(edge: np.ndarray, ra: np.ndarray, dec: np.ndarray, ends: np.ndarray) -> np.ndarray:
    shift, delta = np.radians(ra - edge), np.radians(dec)
    # Along the meridian of the edge the distance grows away from here, which may lie beyond the pole.
    nearest = np.degrees(np.arctan2(np.sin(delta), np.cos(delta) * np.cos(shift)))
    distances = []
    for at in (ends[0], np.clip(nearest, *ends), ends[1]):
        half = np.sin(np.radians(dec - at) / 2) ** 2
        half += np.cos(delta) * np.cos(np.radians(at)) * np.sin(shift / 2) ** 2
        distances.append(np.degrees(2 * np.arcsin(np.minimum(np.sqrt(half), 1))))
    return np.min(distances, axis=0)
