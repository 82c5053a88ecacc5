"""Angles on the sky between the objects of a sample, images and sources."""

from __future__ import annotations

import math

import numpy as np
from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.eventlists.formats import card_number
from daxa.xray.eventlists.frames import to_icrs
from daxa.xray.eventlists.sky_grid import header_wcs

__all__ = ["circle_of", "directions", "nearest_of", "off_axis"]


def directions(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Unit vectors, of shape (n, 3), of positions in deg."""
    a, d = np.deg2rad(ra), np.deg2rad(dec)
    return np.column_stack((np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)))


def off_axis(ra: np.ndarray, dec: np.ndarray, header: fits.Header) -> np.ndarray:
    """Angle to the pointing, arcmin, whatever the exposure map says about the optical axis of its band."""
    towards = directions(*map(np.array, _pointing(header)))
    chord = np.linalg.norm(directions(ra, dec) - towards, axis=1)
    return np.rad2deg(2 * np.arcsin(np.minimum(chord / 2, 1.0))) * 60.0


def _pointing(header: fits.Header) -> tuple[float, float]:
    """Where the telescope pointed, deg ICRS; the middle of an image whose header does not say."""
    from astropy.coordinates import ICRS, SkyCoord
    from astropy.wcs.utils import wcs_to_celestial_frame

    ra, dec = (card_number(header, key, math.nan) for key in ("RA_PNT", "DEC_PNT"))
    if not (math.isfinite(ra) and -90 <= dec <= 90):
        return circle_of(header)[:2]
    frame = wcs_to_celestial_frame(header_wcs(header))
    if isinstance(frame, ICRS) or "ra" not in frame.representation_component_names:
        return ra, dec
    place = SkyCoord(ra, dec, unit="deg", frame=frame).icrs
    return float(place.ra.deg), float(place.dec.deg)


def nearest_of(ra: np.ndarray, dec: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angle to the nearest of some directions, arcsec, and its number; NaN and 0 where there are none."""
    if not len(sources):
        return np.full(len(ra), np.nan), np.zeros(len(ra), dtype=int)
    from scipy.spatial import KDTree

    chord, which = KDTree(sources).query(directions(ra, dec))
    return np.rad2deg(2 * np.arcsin(np.minimum(chord / 2, 1.0))) * 3600.0, which


def circle_of(header: fits.Header) -> tuple[float, float, float]:
    """Middle and radius of a circle that holds an image, deg."""
    wcs = header_wcs(header)
    nx, ny = int(header["NAXIS1"]), int(header["NAXIS2"])
    x, y = np.array([nx / 2, 0.0, nx, 0.0, nx]) + 0.5, np.array([ny / 2, 0.0, 0.0, ny, ny]) + 0.5
    ra, dec = to_icrs(wcs, x, y, 1)
    a, b = np.deg2rad(dec[1:]), math.radians(dec[0])
    half = np.sin((a - b) / 2) ** 2 + np.cos(a) * math.cos(b) * np.sin(np.deg2rad(ra[1:] - ra[0]) / 2) ** 2
    radius = float(np.rad2deg(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1)))).max())
    if not math.isfinite(radius):
        raise DataError(
            "image-coordinates", "the corners of an image do not lie on the sky", remedy="make the image again"
        )
    return float(ra[0]), float(dec[0]), radius * 1.001
