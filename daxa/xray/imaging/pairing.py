"""An image and the exposure map that belongs to it.

Both must describe the same pixels, the same energies and the same good times of the same
detectors.  `choose_map` decides whether a map that came with the data may go with
an image; `check_pair` refuses a map that does not belong; `rate_map` divides the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.eventlists import gti
from daxa.xray.eventlists.formats import card_text
from daxa.xray.eventlists.frames import to_icrs, to_pixels
from daxa.xray.eventlists.sky_grid import header_wcs

__all__ = [
    "MapChoice",
    "MapFacts",
    "apply_choice",
    "check_pair",
    "choose_map",
    "exposed_seconds",
    "rate_map",
    "same_grid",
]

_PIXEL = 1e-2
"""Image pixels by which corners of equal grids may differ."""

_SECOND = 1e-3
"""Edges of equal good times may differ by this much, s."""

_EQUAL = 1e-3
"""Relative difference of factors that one combined map can tolerate."""

_EDGE = 1e-6
"""keV by which edges of equal bands may differ."""

_LEAST_EXPOSURE = 0.015
"""Share of the greatest exposure below which there is no rate; CIAO's default."""


@dataclass(frozen=True, eq=False)
class MapFacts:
    """What decides whether an image and a map belong together.

    Parameters
    ----------
    header
        Cards with the world coordinates and, as NAXIS1 and NAXIS2, the size.
    band
        Edges, keV.
    gtis
        Detector (chip, camera) to good time intervals, shape (n, 2), s.
    combined
        True where the map is one for all detectors, False where each has its own.
    moving
        True where the telescope scanned: what was cut fell on a part of the sky only, and no
        factor can correct for that.
    """

    header: fits.Header
    band: tuple[float, float]
    gtis: Mapping[int, np.ndarray]
    combined: bool = True
    moving: bool = False


@dataclass(frozen=True)
class MapChoice:
    """Which map goes with an image.

    Parameters
    ----------
    method
        ``ARCHIVE``: the given map as it is; ``SCALED``: it, times a factor per detector;
        ``NATIVE``: a map has to be made.
    factors
        Detector and factor of its map, sorted; empty for ``NATIVE``.
    reason
        Why; 'equal' for ``ARCHIVE``.
    """

    method: Literal["ARCHIVE", "SCALED", "NATIVE"]
    factors: tuple[tuple[int, float], ...]
    reason: str


def same_grid(one: fits.Header, other: fits.Header) -> bool:
    """Whether two headers describe the same pixels of the sky.

    Sizes must be equal, and the corners and the middle must fall on the same pixels within a
    hundredth of one, however the cards say it.  What has no equatorial coordinates equals nothing.
    """
    sizes = [tuple(header.get(key) for key in ("NAXIS1", "NAXIS2")) for header in (one, other)]
    if sizes[0] != sizes[1] or not all(isinstance(n, int) for n in sizes[0]):
        return False
    nx, ny = sizes[0]
    points = np.array([[0.5, 0.5], [nx + 0.5, 0.5], [0.5, ny + 0.5], [nx + 0.5, ny + 0.5], [nx / 2, ny / 2]])
    try:
        first, second = (header_wcs(header) for header in (one, other))
    except DataError:
        return False
    x, y = points.T
    there = np.column_stack(to_pixels(second, *to_icrs(first, x, y, 1), first=1))
    return bool(np.abs(there - points).max() < _PIXEL)


def choose_map(image: MapFacts, given: MapFacts | None) -> MapChoice:
    """Decide on the exposure map of an image.

    Parameters
    ----------
    image
        Facts of the image: the map must have its good times.
    given
        Facts of the map that came with the data, None when there is none.

    Returns
    -------
    MapChoice
        ``ARCHIVE`` when grid, band, detectors and good times are equal.  ``SCALED`` when only
        the good times differ, those of the image lie within those of the map, the telescope did not
        scan, and each detector has its own map or all have the same factor.  Else ``NATIVE``.

    Notes
    -----
    The factor is the ratio of good times: dead time is a property of the detector, and cancels.

    Examples
    --------
    >>> cards = {"NAXIS1": 9, "NAXIS2": 9, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -0.1, "CDELT2": 0.1}
    >>> header = fits.Header(cards)
    >>> given = MapFacts(header, (0.5, 2.0), {1: np.array([[0.0, 100.0]])})
    >>> choose_map(MapFacts(header, (0.5, 2.0), {1: np.array([[0.0, 80.0]])}), given)
    MapChoice(method='SCALED', factors=((1, 0.8),), reason='good times differ')
    """
    if given is None:
        return MapChoice("NATIVE", (), "no map is given")
    reason = _obstacle(image, given)
    if reason:
        return MapChoice("NATIVE", (), reason)
    chips = sorted(given.gtis)
    if all(_equal_times(image.gtis[chip], given.gtis[chip]) for chip in chips):
        return MapChoice("ARCHIVE", tuple((chip, 1.0) for chip in chips), "equal")
    if image.moving or given.moving:
        return MapChoice("NATIVE", (), "good times differ, and the telescope moved")
    factors = tuple((chip, _kept(image.gtis[chip], given.gtis[chip])) for chip in chips)
    values = [value for _, value in factors]
    if given.combined and max(values) - min(values) > _EQUAL * max(values):
        return MapChoice("NATIVE", (), "good times of detectors differ unequally in a combined map")
    return MapChoice("SCALED", factors, "good times differ")


def _obstacle(image: MapFacts, given: MapFacts) -> str:
    """Why the given map cannot be used at all; '' when it can."""
    if not same_grid(image.header, given.header):
        return "grids differ"
    if any(abs(a - b) > _EDGE for a, b in zip(image.band, given.band, strict=True)):
        return "bands differ"
    if set(image.gtis) != set(given.gtis):
        return "detectors differ"
    if any(gti.total(good) <= 0 for good in given.gtis.values()):
        return "a detector has no good time in the map"
    outside = [
        gti.total(good) - gti.total(gti.intersect(good, given.gtis[chip])) > _SECOND * max(len(good), 1)
        for chip, good in image.gtis.items()
    ]
    return "the image has good times that the map has not" if any(outside) else ""


def _equal_times(one: np.ndarray, other: np.ndarray) -> bool:
    first, second = gti.normalise(one), gti.normalise(other)
    return first.shape == second.shape and bool((np.abs(first - second) <= _SECOND).all())


def _kept(good: np.ndarray, whole: np.ndarray) -> float:
    return min(gti.total(good) / gti.total(whole), 1.0)


def apply_choice(choice: MapChoice, maps: Mapping[int, np.ndarray]) -> tuple[np.ndarray, dict[str, tuple[object, str]]]:
    """The chosen map, of an archive's maps.

    Parameters
    ----------
    choice
        Not ``NATIVE``.
    maps
        Detector to its map, shape (ny, nx), s; one map under any key when it is combined.

    Returns
    -------
    ndarray
        float32, s: the sum of the scaled maps, added in the order of the detectors.
    dict
        Cards EXPMETH, EXPWHY and for each detector EXPSCnn, its factor.

    Raises
    ------
    DataError
        Detectors have no map, or the choice was to make one.
    """
    factors = dict(choice.factors)
    if len(maps) == 1 and factors and max(factors.values()) - min(factors.values()) <= _EQUAL * max(factors.values()):
        factors = {next(iter(maps)): max(factors.values())}
    if choice.method == "NATIVE" or set(maps) != set(factors):
        raise DataError(
            "exposure-map",
            f"the maps of detectors {sorted(maps)} cannot serve: {choice.reason}",
            remedy="make the exposure map natively or with mission software",
        )
    seconds = sum(factors[chip] * np.asarray(maps[chip], dtype=np.float64) for chip in sorted(maps))
    cards: dict[str, tuple[object, str]] = {
        "EXPMETH": (choice.method, "the archive's map, as it is or scaled"),
        "EXPWHY": (choice.reason, "why"),
    }
    for chip, factor in choice.factors:
        cards[f"EXPSC{chip:02d}"] = (round(factor, 9), f"good time of detector {chip} over that of the map")
    return np.asarray(seconds, dtype=np.float32), cards


def check_pair(image: fits.Header, exposure: fits.Header) -> None:
    """Refuse an exposure map that does not belong to an image.

    Parameters
    ----------
    image, exposure
        Headers with NAXIS cards, as read from the products.

    Raises
    ------
    DataError
        Grid, observation, instrument or cut (CUTID) differ, or one of them does not name its cut.
    """
    differs = [key for key in ("OBS_ID", "INSTRUME", "CUTID") if card_text(image, key) != card_text(exposure, key)]
    if not card_text(image, "CUTID"):
        differs.append("CUTID (absent)")
    if not same_grid(image, exposure):
        differs.append("grid")
    if differs:
        raise DataError(
            "exposure-mismatch",
            f"image and exposure map of observation {card_text(image, 'OBS_ID')} do not belong together: "
            f"they differ in {', '.join(differs)}",
            remedy="make both of the same cut and on the same grid",
        )


def exposed_seconds(exposure: np.ndarray) -> np.ndarray:
    """The seconds of an exposure map, float64: 0 where none are given, for nothing was seen there.

    Examples
    --------
    >>> exposed_seconds(np.array([np.nan, -1.0, 2.0])).tolist()
    [0.0, 0.0, 2.0]
    """
    seconds = np.asarray(exposure, dtype=np.float64)
    return np.where(seconds > 0, seconds, 0.0)


def rate_map(image: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """Counts per second: image over exposure map.

    Parameters
    ----------
    image
        Counts, shape (ny, nx).
    exposure
        Seconds, shape (ny, nx).

    Returns
    -------
    numpy.ndarray
        float32, shape (ny, nx); NaN where the exposure is below 1.5 percent of its maximum.

    Raises
    ------
    DataError
        The shapes differ.

    Examples
    --------
    >>> rate_map(np.array([[4, 1]]), np.array([[8.0, 0.1]])).tolist()
    [[0.5, nan]]
    """
    seconds = exposed_seconds(exposure)
    if np.shape(image) != seconds.shape:
        raise DataError(
            "exposure-mismatch",
            f"an image of shape {np.shape(image)} has no rate with an exposure map of shape {seconds.shape}",
            remedy="make both on the same grid",
        )
    seen = (seconds > 0) & (seconds >= _LEAST_EXPOSURE * seconds.max(initial=0.0))
    rate = np.divide(image, seconds, out=np.full(seconds.shape, np.nan), where=seen)
    return rate.astype(np.float32)
