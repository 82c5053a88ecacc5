"""The conditions about where an observation is: near positions, in a box, in a region, in a coverage map.

Positions are matched in `daxa.query.matching.match`; the areas know themselves which pointings lie in them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Literal

from daxa.errors import CriteriaError
from daxa.query.criteria.coordinates import write_radius

if TYPE_CHECKING:
    import numpy as np

    from daxa.query.criteria.accepted_types import BoxLike, MocLike, RegionLike
    from daxa.query.criteria.context import ConditionContext

__all__ = [
    "MATCHES",
    "MatchKind",
    "MocArea",
    "NearPositions",
    "SkyBox",
    "SkyRegion",
    "read_box",
    "read_margin",
    "read_match",
    "read_moc_area",
    "read_region_area",
]

MatchKind = Literal["covers", "overlaps", "centre"]

MATCHES = ("covers", "overlaps", "centre")
"""How a place and an observation meet: the field of view holds the place (with the whole
of its radius, where it has one), the field of view and the radius overlap, or the
pointing lies within the radius."""


@dataclass(frozen=True)
class NearPositions:
    """At any of these positions or targets.

    Parameters
    ----------
    positions
        (ra, dec) in degrees ICRS, sorted.
    targets
        Names, sorted.
    radius
        Arcminutes; None for a place without extent.
    match
        One of `MATCHES`.
    margin
        Factor by which the field of view is enlarged.
    """

    positions: tuple[tuple[float, float], ...] = ()
    targets: tuple[str, ...] = ()
    radius: float | None = None
    match: MatchKind = "covers"
    margin: float = 1.0

    def to_plain(self) -> dict[str, object]:
        """As TOML and JSON hold it."""
        plain: dict[str, object] = {}
        if self.positions:
            plain["position"] = [list(pair) for pair in self.positions]
        if self.targets:
            plain["target"] = list(self.targets)
        if self.radius is not None:
            plain["radius"] = write_radius(self.radius)
        if self.match != self.usual(self.radius):
            plain["match"] = self.match
        if self.margin != 1:
            plain["margin"] = self.margin
        return plain

    @staticmethod
    def usual(radius: float | None) -> MatchKind:
        """How it is matched by default: a radius selects pointings within it."""
        return "covers" if radius is None else "centre"

    @property
    def text(self) -> str:
        """For messages, such as ``within 15 arcmin of Abell 907``."""
        places = [*self.targets, *(f"{ra:g},{dec:g}" for ra, dec in self.positions)]
        where = places[0] if len(places) == 1 else f"any of {len(places)} places"
        if self.match == "centre" and self.radius is not None:
            return f"within {write_radius(self.radius)} of {where}"
        field = "the field of view" if self.margin == 1 else f"{self.margin:g} times the field of view"
        if self.radius is None:
            return f"within {field} of {where}"
        verb = "covers" if self.match == "covers" else "overlaps"
        return f"of which {field} {verb} {write_radius(self.radius)} around {where}"


@dataclass(frozen=True)
class SkyBox:
    """The pointing lies in a box of right ascension and declination.

    Parameters
    ----------
    ra
        First and last, degrees ICRS, eastwards: a box from 350 to 10 crosses 0.
    dec
        Lowest and highest, degrees.
    """

    ra: tuple[float, float]
    dec: tuple[float, float]

    def to_plain(self) -> dict[str, object]:
        """As TOML and JSON hold it."""
        return {"box": {"ra": list(self.ra), "dec": list(self.dec)}}

    @property
    def text(self) -> str:
        """For messages."""
        return f"with RA {self.ra[0]:g} to {self.ra[1]:g}, Dec {self.dec[0]:g} to {self.dec[1]:g}"

    def holds(self, sky: ConditionContext) -> np.ndarray:
        """Which observations meet it, (rows,) bool."""
        import numpy as np

        ra, dec = sky.column("ra"), sky.column("dec")
        first, last = self.ra
        between = (ra >= first) & (ra <= last) if first < last else (ra >= first) | (ra <= last)
        # At a pole every right ascension is the same place; 0 and 360 are the same meridian.
        between |= (np.abs(dec) == 90) | ((ra == 0) & (last == 360)) | ((ra == 360) & (first == 0))
        return between & (dec >= self.dec[0]) & (dec <= self.dec[1])


@dataclass(frozen=True)
class SkyRegion:
    """The pointing lies in a DS9 region; `text_ds9` is from `daxa.query.criteria.areas.read_region`."""

    text_ds9: str

    def to_plain(self) -> dict[str, object]:
        """As TOML and JSON hold it."""
        return {"region": self.text_ds9}

    @property
    def text(self) -> str:
        """For messages."""
        first, *rest = self.text_ds9.splitlines()[-1:] or [""]
        return f"in the region {first[:60]}{'...' if rest or len(first) > 60 else ''}"

    def holds(self, sky: ConditionContext) -> np.ndarray:
        """Which observations meet it, (rows,) bool."""
        from daxa.query.criteria.areas import in_region

        return in_region(self.text_ds9, sky.column("ra"), sky.column("dec"))


@dataclass(frozen=True)
class MocArea:
    """The pointing lies in a coverage map; `cells` is from `daxa.query.criteria.areas.read_moc`."""

    cells: str

    def to_plain(self) -> dict[str, object]:
        """As TOML and JSON hold it."""
        return {"moc": self.cells}

    @property
    def text(self) -> str:
        """For messages."""
        return f"in the MOC {self.cells[:40]}{'...' if len(self.cells) > 40 else ''}"

    def holds(self, sky: ConditionContext) -> np.ndarray:
        """Which observations meet it, (rows,) bool."""
        from daxa.query.criteria.areas import in_moc

        return in_moc(self.cells, sky.column("ra"), sky.column("dec"))


def read_match(value: MatchKind | None, radius: float | None) -> MatchKind:
    """How a place and an observation must match.

    Raises
    ------
    CriteriaError
        It is not one of `MATCHES`, or ``centre`` without a radius.
    """
    if value is None:
        return NearPositions.usual(radius)
    if not isinstance(value, str) or value not in MATCHES:
        raise CriteriaError(
            "match", f"{str(value)[:100]!r} is not a valid match", remedy=f"choose from {', '.join(MATCHES)}"
        )
    if value == "centre" and radius is None:
        raise CriteriaError(
            "match", "match 'centre' needs a radius around the position", remedy="give a radius, or match 'covers'"
        )
    return value


def read_margin(value: float | None, match: str = "covers") -> float:
    """Factor for the field of view, 1 by default.

    Raises
    ------
    CriteriaError
        It is not a number from 0.1 to 10, or the field of view does not matter.
    """
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, Real) or not 0.1 <= float(value) <= 10:
        raise CriteriaError(
            "margin", f"{str(value)[:100]!r} is not a valid margin", remedy="give a factor such as 1.2, from 0.1 to 10"
        )
    if match == "centre" and value != 1:
        raise CriteriaError(
            "margin",
            "a margin widens the field of view, which match 'centre' does not use",
            remedy="widen the radius, or match 'covers' or 'overlaps'",
        )
    return float(value)


def read_box(value: BoxLike) -> SkyBox:
    """A box of right ascension and declination.

    Parameters
    ----------
    value
        Table with ``ra`` and ``dec``, each a pair of degrees; either may be left out.  Or the four numbers as
        a text, separated by commas.

    Raises
    ------
    CriteriaError
        It is not such a table, off the sky, empty or reversed in declination.

    Examples
    --------
    >>> read_box({"ra": [350, 10], "dec": [-5, 5]})
    SkyBox(ra=(350.0, 10.0), dec=(-5.0, 5.0))
    """
    if isinstance(value, str):
        value = _box_of(value)
    if not isinstance(value, Mapping) or not value or set(value) - {"ra", "dec"}:
        raise CriteriaError(
            "box", f"{str(value)[:100]!r} is not a valid box", remedy="give {ra = [350, 10], dec = [-5, 5]} in degrees"
        )
    ra, dec = _pair(value.get("ra", (0.0, 360.0)), 0, 360), _pair(value.get("dec", (-90.0, 90.0)), -90, 90)
    if ra[0] == ra[1] or ({ra[0], ra[1]} == {360.0, 0.0} and ra[0] == 360):
        raise CriteriaError("box", "the box has no width in RA", remedy="give two different right ascensions")
    if dec[0] >= dec[1]:
        raise CriteriaError(
            "box", "the declinations of the box are reversed or equal", remedy="give the lower one first"
        )
    return SkyBox(ra, dec)


def _box_of(text: str) -> dict[str, list[float]]:
    try:
        first, last, low, high = map(float, text.split(","))
    except ValueError:
        raise CriteriaError(
            "box", f"{text[:100]!r} is not a valid box", remedy="give RA1,RA2,DEC1,DEC2 in degrees, such as 350,10,-5,5"
        ) from None
    return {"ra": [first, last], "dec": [low, high]}


def _pair(value: object, low: float, high: float) -> tuple[float, float]:
    items = list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else []
    numbers = [float(item) for item in items if isinstance(item, Real) and not isinstance(item, bool)]
    if len(items) != 2 or len(numbers) != 2 or not all(math.isfinite(n) and low <= n <= high for n in numbers):
        raise CriteriaError(
            "box",
            f"{str(value)[:100]} is not a valid side of a box",
            remedy=f"give two numbers of degrees from {low} to {high}",
        )
    return numbers[0] + 0.0, numbers[1] + 0.0


def read_region_area(value: RegionLike, *, files: bool) -> SkyRegion:
    """The condition of a DS9 region; see `daxa.query.criteria.areas.read_region`."""
    from daxa.query.criteria.areas import read_region

    return SkyRegion(read_region(value, files=files))


def read_moc_area(value: MocLike, *, files: bool) -> MocArea:
    """The condition of a coverage map; see `daxa.query.criteria.areas.read_moc`."""
    from daxa.query.criteria.areas import read_moc

    return MocArea(read_moc(value, files=files))
