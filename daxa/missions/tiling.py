"""The sky tiles of the eROSITA all-sky survey, computed.

The sky is cut into bands of declination 3 degrees high, with edges at +-1.5, +-4.5, ...;
a band holds N = round(120 cos(delta)) cells of equal width in right ascension, the first
beginning at 0, where delta is the edge nearest the equator; each polar cap is one cell.
A tile's image is a square of about 3.6 degrees around its cell, so that tiles overlap; a
place belongs to the one tile in whose cell it lies.

The rules were found from, and agree with, the table of the 2,447 tiles of eROSITA-DE's
data release 1; sky rights are split at galactic longitude 0 and 180 degrees
(https://erosita.mpe.mpg.de/erass/).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

from daxa.errors import CriteriaError

__all__ = ["RULE", "SURVEY", "Tile", "find_tile", "neighbours", "tile_at", "tiles", "tiles_within"]

RULE = 1
"""Version of the rule that makes the tiles: it changes when they do."""

SURVEY = (58828.92209, 59011.43213)
"""First and last moment of eRASS1, MJD UTC; when a single tile was scanned follows from no rule."""

_STEP = 3.0
_BANDS = 61
_SOUTH_POLE = "001180"
# Half the side of the square that decides whether a tile reaches over the line between the
# two consortia: with it the rule gives the rights of all tiles but the two below.
_REACH = 1.84
_ALSO_SHARED = frozenset({"117048", "127051"})
# Direction of galactic longitude 90 degrees, ICRS (ESA 1997, The Hipparcos Catalogue, vol. 1, eq. 1.5.11).
_EAST = (0.4941094279, -0.4448296300, 0.7469822445)


@dataclass(frozen=True)
class Tile:
    """One tile of the survey.

    Parameters
    ----------
    obs_id
        RRRDDD: right ascension of the cell's centre, and its distance from the north pole,
        in whole degrees.
    ra_min, ra_max, dec_min, dec_max
        Edges of its cell, degrees; the lower ones belong to the cell, the upper ones do not.
    rights
        Whose data it holds: ``german`` and ``shared`` tiles are in data release 1.
    """

    obs_id: str
    ra_min: float
    ra_max: float
    dec_min: float
    dec_max: float
    rights: Literal["german", "shared", "russian"]

    @property
    def ra(self) -> float:
        """Right ascension of the cell's centre, degrees."""
        return (self.ra_min + self.ra_max) / 2

    @property
    def dec(self) -> float:
        """Declination of the middle of the cell's band, degrees; the poles' is the pole."""
        return _STEP * round((self.dec_min + self.dec_max) / 2 / _STEP)

    @property
    def released(self) -> bool:
        """Whether data release 1 of eROSITA-DE has data of it."""
        return self.rights != "russian"

    def separation(self, ra: float, dec: float) -> float:
        """Distance of a place from the cell, degrees; 0 inside.

        Parameters
        ----------
        ra, dec
            Degrees.
        """
        if self.ra_max - self.ra_min >= 360 or (ra - self.ra_min) % 360 <= self.ra_max - self.ra_min:
            return max(self.dec_min - dec, dec - self.dec_max, 0.0)
        return min(self._from_edge(edge, ra, dec) for edge in (self.ra_min, self.ra_max))

    def _from_edge(self, edge: float, ra: float, dec: float) -> float:
        # Along a meridian the separation grows away from `nearest`, which may lie beyond the pole.
        shift, delta = math.radians(ra - edge), math.radians(dec)
        nearest = math.degrees(math.atan2(math.sin(delta), math.cos(delta) * math.cos(shift)))
        clipped = min(max(nearest, self.dec_min), self.dec_max)
        return min(_separation(ra - edge, dec, at) for at in (self.dec_min, clipped, self.dec_max))


@cache
def tiles() -> tuple[Tile, ...]:
    """All 4,700 tiles, from the south pole to the north, with rising right ascension.

    Examples
    --------
    >>> len(tiles()), sum(tile.released for tile in tiles())
    (4700, 2447)
    """
    return tuple(tile for number in range(_BANDS) for tile in _band(number))


def tile_at(ra: float, dec: float) -> Tile:
    """The tile that a place belongs to.

    Parameters
    ----------
    ra, dec
        Degrees, ICRS.

    Raises
    ------
    CriteriaError
        The position is not on the sky.

    Examples
    --------
    >>> tile_at(52.9, -50.9).obs_id, tile_at(0.0, 90.0).obs_id
    ('053141', '180000')
    """
    _check_place(ra, dec)
    band = _band(_band_number(dec))
    east = ra % 360 % 360  # once is not enough: a tiny negative number leaves 360
    number = int(east / 360 * len(band))
    # The quotient may round over an edge that the cell's own number does not.
    near = (band[(number + shift) % len(band)] for shift in (-1, 0, 1))
    return next(tile for tile in near if tile.ra_min <= east < tile.ra_max)


def tiles_within(ra: float, dec: float, radius: float) -> tuple[Tile, ...]:
    """The tiles whose cells a circle reaches, the owner of its centre among them.

    Parameters
    ----------
    ra, dec
        Centre of the circle, degrees, ICRS.
    radius
        Degrees.

    Raises
    ------
    CriteriaError
        The circle is not valid.

    Examples
    --------
    >>> [tile.obs_id for tile in tiles_within(0.0, 0.0, 0.1)]
    ['002090', '359090']
    """
    _check_place(ra, dec)
    if not 0 <= radius <= 180:
        raise CriteriaError("radius", f"a radius of {radius} degrees is not valid", remedy="give 0 to 180 degrees")
    first, last = (_band_number(max(-90.0, min(90.0, dec + side * radius))) for side in (-1, 1))
    numbers = range(max(first - 1, 0), min(last + 2, _BANDS))
    return tuple(tile for number in numbers for tile in _band(number) if tile.separation(ra, dec) <= radius)


def find_tile(obs_id: str) -> Tile:
    """The tile of this name.

    Raises
    ------
    CriteriaError
        No tile is called so.

    Examples
    --------
    >>> find_tile("053141").rights
    'german'
    """
    try:
        return _by_name()[obs_id]
    except KeyError:
        raise CriteriaError(
            "obs-id",
            f"eRASS has no sky tile {obs_id!r}",
            remedy="daxa.missions.tiling.tile_at finds the tile of a place",
        ) from None


def neighbours(tile: Tile) -> tuple[Tile, ...]:
    """The tiles whose cells touch this one's, at an edge or a corner.

    Examples
    --------
    >>> [one.obs_id for one in neighbours(find_tile("002090"))]
    ['002093', '005093', '359093', '005090', '359090', '002087', '005087', '359087']
    """
    own = _band_number(tile.dec)
    near = [other for number in range(max(own - 1, 0), min(own + 2, _BANDS)) for other in _band(number)]
    return tuple(other for other in near if other is not tile and _touch(tile, other))


def _touch(one: Tile, other: Tile) -> bool:
    # Edges at equal fractions of the circle may differ in the last bit.
    return any(
        other.ra_min + turn <= one.ra_max + 1e-9 and other.ra_max + turn >= one.ra_min - 1e-9 for turn in (-360, 0, 360)
    )


@cache
def _by_name() -> dict[str, Tile]:
    return {tile.obs_id: tile for tile in tiles()}


@cache
def _band(number: int) -> tuple[Tile, ...]:
    middle = _STEP * number - 90
    low, high = max(middle - _STEP / 2, -90.0), min(middle + _STEP / 2, 90.0)
    nearest = 0.0 if low < 0 < high else min(abs(low), abs(high))
    count = 1 if abs(middle) == 90 else round(120 * math.cos(math.radians(nearest)))
    return tuple(_tile(360 * i / count, 360 * (i + 1) / count, low, high, middle) for i in range(count))


def _tile(left: float, right: float, low: float, high: float, middle: float) -> Tile:
    ra = (left + right) / 2
    obs_id = _SOUTH_POLE if middle == -90 else f"{math.floor(ra + 0.5):03d}{round(90 - middle):03d}"
    return Tile(obs_id, left, right, low, high, _rights(obs_id, ra, middle))


def _rights(obs_id: str, ra: float, dec: float) -> Literal["german", "shared", "russian"]:
    alpha, delta = math.radians(ra), math.radians(dec)
    x, y, z = _EAST
    centre = math.cos(delta) * (math.cos(alpha) * x + math.sin(alpha) * y) + math.sin(delta) * z
    across = abs(math.cos(alpha) * y - math.sin(alpha) * x)
    along = abs(math.cos(delta) * z - math.sin(delta) * (math.cos(alpha) * x + math.sin(alpha) * y))
    reach = math.tan(math.radians(_REACH)) * (across + along)
    if abs(centre) <= reach or obs_id in _ALSO_SHARED:
        return "shared"
    return "german" if centre < 0 else "russian"


def _band_number(dec: float) -> int:
    return min(math.floor((dec + 90 + _STEP / 2) / _STEP), _BANDS - 1)


def _separation(shift: float, dec: float, other: float) -> float:
    """Angle between two places by the haversine formula, degrees; `shift` is the difference in right ascension."""
    half = math.sin(math.radians(dec - other) / 2) ** 2
    half += math.cos(math.radians(dec)) * math.cos(math.radians(other)) * math.sin(math.radians(shift) / 2) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(half))))


def _check_place(ra: float, dec: float) -> None:
    if not (math.isfinite(ra) and -90 <= dec <= 90):
        raise CriteriaError(
            "position", f"there is no place at {ra}, {dec}", remedy="give right ascension and declination in degrees"
        )
