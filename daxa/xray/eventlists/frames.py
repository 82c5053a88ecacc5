"""From positions on the sky to pixels of an image and back, whatever the image's frame.

Positions are ICRS everywhere in daxa.  An image may be in another frame (FK4 of 1950 for
early missions, FK5 of another equinox, galactic): its world coordinates then give numbers
of that frame, which are not ICRS positions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from astropy.coordinates import ICRS, BarycentricMeanEcliptic, BaseCoordinateFrame, FK4NoETerms, SkyCoord
from astropy.time import Time
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame

from daxa.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["frame_of", "in_order", "pixel_side", "reach_of", "to_icrs", "to_pixels"]

_Side = TypeVar("_Side")

_ON_A_SIDE = 17
"""Points of a side of an image that are looked at: of an image of the whole sky the corners are not the farthest."""


def frame_of(wcs: WCS) -> BaseCoordinateFrame | None:
    """The frame of an image, None where its numbers are ICRS positions.

    Parameters
    ----------
    wcs
        World coordinates of the image.

    Raises
    ------
    DataError
        The frame is not known, or a distortion that is not read (SIP, lookup tables) bends the image.

    Notes
    -----
    FK5 of equinox 2000 is taken as ICRS: they differ by less than 0.03 arcsec.  Without
    RADESYS an equinox before 1984 means FK4, a later one FK5, none ICRS (FITS 4.0, 8.3).
    """
    params = wcs.wcs
    if wcs.has_distortion:
        raise DataError(
            "image-coordinates",
            "the world coordinates of an image are distorted (SIP or lookup tables), which is not read",
            remedy="use an image with a plain projection, such as RA---TAN",
        )
    try:
        if params.radesys == "FK4-NO-E":
            equinox = 1950.0 if math.isnan(params.equinox) else params.equinox
            return FK4NoETerms(equinox=Time(equinox, format="byear"))
        if params.lngtyp == "ELON":
            equinox = 2000.0 if math.isnan(params.equinox) else params.equinox
            return BarycentricMeanEcliptic(equinox=Time(equinox, format="jyear"))
        frame = wcs_to_celestial_frame(wcs)
    except ValueError as problem:
        raise DataError(
            "image-coordinates",
            f"the frame of an image's world coordinates is not known: {problem}",
            remedy="write RADESYS and EQUINOX as FITS 4.0 has them (section 8.3)",
        ) from problem
    is_modern = frame.name == "fk5" and math.isclose(frame.equinox.jyear, 2000.0, abs_tol=1e-6)
    return None if is_modern or frame.name == "icrs" else frame


def to_pixels(wcs: WCS, ra: ArrayLike, dec: ArrayLike, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of an image at ICRS positions.

    Parameters
    ----------
    wcs
        World coordinates of the image, in any frame that `frame_of` knows.
    ra, dec
        Any shape, deg, ICRS.
    first
        Number of the first pixel: 0 as numpy, 1 as FITS counts.

    Returns
    -------
    tuple of ndarray
        Columns and rows, not rounded; NaN where a position has no place in the projection.

    Examples
    --------
    >>> old = WCS(naxis=2)
    >>> old.wcs.ctype, old.wcs.cdelt, old.wcs.crval = ["RA---TAN", "DEC--TAN"], [-0.01, 0.01], [149.0, 12.0]
    >>> old.wcs.radesys, old.wcs.equinox = "FK4", 1950.0
    >>> x, y = to_pixels(old, *to_icrs(old, 30.0, 40.0))
    >>> round(float(x), 6), round(float(y), 6)
    (30.0, 40.0)
    """
    if (frame := frame_of(wcs)) is not None:
        there = SkyCoord(np.asarray(ra, float), np.asarray(dec, float), unit="deg", frame="icrs").transform_to(frame)
        ra, dec = there.spherical.lon.deg, there.spherical.lat.deg
    x, y = wcs.wcs_world2pix(*in_order(wcs, ra, dec), first)
    return x, y


def in_order(wcs: WCS, first: _Side, second: _Side) -> tuple[_Side, _Side]:
    """Longitude and latitude in the order of the axes of an image, or the other way round: latitude may come first."""
    return (second, first) if wcs.wcs.lng == 1 else (first, second)


def pixel_side(wcs: WCS) -> float:
    """Side of a square with the area of a pixel at the reference of an image, arcsec.

    Examples
    --------
    >>> plane = WCS(naxis=2)
    >>> plane.wcs.ctype, plane.wcs.cdelt = ("RA---TAN", "DEC--TAN"), (-4.0 / 3600, 1.0 / 3600)
    >>> round(pixel_side(plane), 9)
    2.0
    """
    return math.sqrt(abs(float(np.linalg.det(wcs.pixel_scale_matrix)))) * 3600.0


def reach_of(wcs: WCS, shape: tuple[int, int]) -> tuple[float, float, float]:
    """The circle on the sky that holds an image.

    Parameters
    ----------
    wcs
        World coordinates of the image.
    shape
        (ny, nx).

    Returns
    -------
    tuple of float
        Position of its middle (ICRS) and radius, deg: NaN and the whole sky where the rim of the image is no sky.
    """
    ny, nx = shape
    along = np.linspace(0.0, 1.0, _ON_A_SIDE)
    x = np.concatenate(([0.5], along, along, np.zeros_like(along), np.ones_like(along))) * nx - 0.5
    y = np.concatenate(([0.5], np.zeros_like(along), np.ones_like(along), along, along)) * ny - 0.5
    ra, dec = to_icrs(wcs, x, y)
    if not (np.isfinite(ra) & np.isfinite(dec)).all():
        return math.nan, math.nan, 180.0
    places = SkyCoord(ra, dec, unit="deg")
    return float(ra[0]), float(dec[0]), float(places[0].separation(places).deg.max())


def to_icrs(wcs: WCS, x: ArrayLike, y: ArrayLike, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """ICRS positions (deg) of pixels of an image: what `to_pixels` undoes, with the same parameters."""
    lon, lat = in_order(wcs, *wcs.wcs_pix2world(x, y, first))
    if (frame := frame_of(wcs)) is None:
        return lon, lat
    known = np.isfinite(lon) & np.isfinite(lat)
    place = SkyCoord(np.where(known, lon, 0.0), np.where(known, lat, 0.0), unit="deg", frame=frame).transform_to(ICRS())
    return np.where(known, place.ra.deg, np.nan), np.where(known, place.dec.deg, np.nan)
