"""The sky coordinates of events: which columns, and what they mean.

The pair of columns is the one whose TCTYPn cards name celestial axes, not the one that
has a certain name.  A whole number k in an integer column covers [k - 0.5, k + 0.5).
Every card of the FITS standard 4.0 (table 22) that changes the sky of the pair either
goes into the world coordinates or makes the list unusable by name; what the cards claim
must agree with what is known of the instrument.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, WcsError

from daxa.errors import DataError
from daxa.xray.eventlists.cards import card_number, card_text
from daxa.xray.eventlists.fits_tables import column_null
from daxa.xray.eventlists.frames import in_order, to_icrs, to_pixels
from daxa.xray.eventlists.skycards import (
    MOST_PIXELS,
    PAIRS,
    Axis,
    celestial_pair,
    frame_and_equinox,
    from_column,
    from_pointing,
    is_bent,
    limits_of,
    linear_of,
    parameters_of,
    pole_of,
    refuse_half,
    refuse_unread,
    says_moving,
    unusable_sky,
)
from daxa.xray.telescopes.eventformat import EventFormat

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["SkyGrid", "find_sky", "header_wcs", "pointing_pixel"]

_UNITS = {"": "deg", "deg": "deg", "degree": "deg", "degrees": "deg", "arcmin": "arcmin", "arcsec": "arcsec",
          "mas": "mas", "rad": "rad"}  # fmt: skip

_SQUARE = 1e-6
"""How much the sides of a pixel may differ, as a share."""

_MOST_TIMES = 2.0
"""Event pixels this many times larger or smaller than the instrument's are a mistake of the header."""

_PIXELS = (0.005, 120.0)
"""Arcsec: smallest and largest event pixel of any telescope, where the instrument's is not declared."""

_MOST_RANGES = 4.0
"""The reference pixel, and the pointing, lie no farther than so many legal ranges from the middle of the range."""

_LEAST_APART = 5.0
"""Degrees: pointings nearer than that are never a mistake."""


@dataclass(frozen=True)
class SkyGrid:
    """The plane in which an event list gives positions.

    Parameters
    ----------
    columns
        Names of the two columns.
    crpix, crval, cdelt
        Reference pixel, its position (deg), and degrees per event pixel, of each axis.
    ctype
        FITS codes of the projection.
    nulls
        Event pixel that means "no position", None where the column has none; NaN always does.
    limits
        First and last legal event pixel of each axis.
    frame, equinox
        RADESYS ('' when the header has none) and EQUINOX in years (0 when it has none).
    matrix
        Linear transformation of the pixels, as FITS's PCi_j.
    poles
        LONPOLE and LATPOLE, deg, None where they are those of the projection.
    parameters
        Those of the projection, as (axis, number, value), as FITS's PVi_m: deg or pure numbers, as its code says.
    """

    columns: tuple[str, str]
    crpix: tuple[float, float]
    crval: tuple[float, float]
    cdelt: tuple[float, float]
    ctype: tuple[str, str]
    nulls: tuple[float | None, float | None]
    limits: tuple[tuple[int, int], tuple[int, int]]
    frame: str
    equinox: float
    matrix: tuple[tuple[float, float], tuple[float, float]] = ((1.0, 0.0), (0.0, 1.0))
    poles: tuple[float | None, float | None] = (None, None)
    parameters: tuple[tuple[int, int, float], ...] = ()

    @property
    def pixel_arcsec(self) -> float:
        """Side of an event pixel, arcsec."""
        return abs(self.cdelt[0]) * 3600.0

    @property
    def wcs(self) -> WCS:
        """World coordinates of the event pixels: pixel coordinate k (FITS counts from 1) is event pixel k."""
        found = WCS(naxis=2)
        found.wcs.ctype = list(self.ctype)
        found.wcs.crpix = self.crpix
        found.wcs.crval = self.crval
        found.wcs.cdelt = self.cdelt
        found.wcs.cunit = ["deg", "deg"]
        if self.matrix != ((1.0, 0.0), (0.0, 1.0)):
            found.wcs.pc = self.matrix
        if self.poles[0] is not None:
            found.wcs.lonpole = self.poles[0]
        if self.poles[1] is not None:
            found.wcs.latpole = self.poles[1]
        if self.parameters:
            found.wcs.set_pv(list(self.parameters))
        if self.frame:
            found.wcs.radesys = self.frame
        if self.equinox:
            found.wcs.equinox = self.equinox
        found.wcs.set()
        return found

    @property
    def is_plain(self) -> bool:
        """Whether it is equatorial, north up, without anything that turns or bends it."""
        return (
            self.matrix == ((1.0, 0.0), (0.0, 1.0))
            and self.poles == (None, None)
            and not self.parameters
            and self.ctype[0].upper().startswith("RA")
        )

    def to_pixels(self, ra: ArrayLike, dec: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Event pixels (not rounded) of positions, deg; NaN where there is none.

        Parameters
        ----------
        ra, dec
            Any shape, deg, in the list's own frame where that is equatorial, else ICRS.

        Returns
        -------
        tuple of numpy.ndarray
            Columns and rows, of that shape.

        Examples
        --------
        >>> sky = SkyGrid(("X", "Y"), (25921., 25921.), (150., 2.), (-1 / 72000, 1 / 72000), ("RA---TAN", "DEC--TAN"),
        ...               (None, None), ((1, 51840), (1, 51840)), "FK5", 2000.0)
        >>> [round(float(value), 3) for value in sky.to_pixels(150.0, 2.1)]
        [25921.0, 33121.007]
        """
        if self.ctype[0].upper().startswith("RA"):
            return tuple(self.wcs.wcs_world2pix(ra, dec, 1))
        return to_pixels(self.wcs, ra, dec, 1)

    def to_sky(self, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Positions of event pixels.

        Parameters
        ----------
        x, y
            Any shape, event pixels.

        Returns
        -------
        tuple of numpy.ndarray
            Of that shape, deg, as `to_pixels` takes them.
        """
        if self.ctype[0].upper().startswith("RA"):
            return tuple(self.wcs.wcs_pix2world(x, y, 1))
        return to_icrs(self.wcs, x, y, 1)


def header_wcs(header: fits.Header) -> WCS:
    """World coordinates of an image, equatorial, galactic or ecliptic (`daxa.xray.eventlists.frames` reads both).

    Parameters
    ----------
    header
        The image's cards.

    Raises
    ------
    DataError
        There are none, or they are not of that kind.
    """
    for key in ("CTYPE1", "CTYPE2"):
        if not isinstance(header.get(key), str):
            raise _no_coordinates(f"lack {key}")
    try:
        with warnings.catch_warnings():
            # Old keywords are read all the same.
            warnings.simplefilter("ignore")
            found = WCS(header, naxis=2)
            found.wcs.set()
    except (WcsError, ValueError, TypeError, LookupError, AttributeError, MemoryError, fits.VerifyError) as problem:
        raise _no_coordinates(f"are unusable: {problem}") from problem
    if (found.wcs.lngtyp, found.wcs.lattyp) not in PAIRS:
        raise _no_coordinates("are not equatorial, galactic or ecliptic")
    if bent := [kind for key in ("CTYPE1", "CTYPE2") if is_bent(kind := header[key])]:
        raise _no_coordinates(f"are distorted ({bent[0]}), which is not read")
    if not 1e-18 < (area := abs(float(np.linalg.det(found.pixel_scale_matrix)))) < 32400.0:
        raise _no_coordinates(f"give a pixel an area of {area:g} square degrees")
    return found


def pointing_pixel(header: fits.Header, wcs: WCS, first: int = 0) -> tuple[float, float] | None:
    """Where a header's pointing lies in an image.

    Parameters
    ----------
    header
        RA_PNT and DEC_PNT, in the frame of the image where that is equatorial, else ICRS.
    wcs
        World coordinates of the image.
    first
        Number of the first pixel: 0 as numpy, 1 as FITS counts.

    Returns
    -------
    tuple of float or None
        Column and row, not rounded; None where the header gives no pointing, or it has no place in the image's plane.
    """
    ra, dec = (card_number(header, key, math.nan) for key in ("RA_PNT", "DEC_PNT"))
    if not (math.isfinite(ra) and math.isfinite(dec)):
        return None
    equatorial = wcs.wcs.lngtyp == "RA"
    x, y = wcs.wcs_world2pix(*in_order(wcs, ra, dec), first) if equatorial else to_pixels(wcs, ra, dec, first)
    return (float(x), float(y)) if math.isfinite(x) and math.isfinite(y) else None


def _no_coordinates(what: str) -> DataError:
    return DataError(
        "image-coordinates", f"the world coordinates of an image {what}", remedy="use an image with a celestial WCS"
    )


def find_sky(form: EventFormat, header: fits.Header, primary: fits.Header) -> SkyGrid | None:
    """The sky coordinates of an event list.

    Parameters
    ----------
    form
        The facts about lists of this kind.
    header, primary
        Headers of the events table and of the primary HDU, where the frame may be.

    Returns
    -------
    SkyGrid or None
        None when the list has no columns of sky positions.

    Raises
    ------
    DataError
        The cards of the columns are not valid, contradict what is known of the instrument,
        or are of a kind that is not read.

    Notes
    -----
    Where the columns X and Y carry no world coordinates, they come from XMM's REFX and
    REFY cards, else from the nominal pointing (RA_NOM, else RA_PNT) and the format's pixel.
    """
    numbers = {card_text(header, f"TTYPE{n}").upper(): n for n in range(1, int(card_number(header, "TFIELDS")) + 1)}
    if pair := celestial_pair(header, numbers):
        cards = [from_column(form, header, number) for number in pair]
        refuse_unread(header, pair)
    elif "X" in numbers and "Y" in numbers:
        pair = (numbers["X"], numbers["Y"])
        refuse_half(header, pair)
        cards = [from_pointing(form, header, index) for index in (0, 1)]
    else:
        return None
    sky = _normal(form, header, primary, pair, cards)
    _check(form, header, primary, sky)
    return sky


def _normal(
    form: EventFormat, header: fits.Header, primary: fits.Header, pair: tuple[int, int], cards: list[Axis]
) -> SkyGrid:
    """The grid in degrees, with square pixels, as wcslib understands the cards."""
    crpix, crval, cdelt, ctype, stated = (tuple(values) for values in zip(*cards, strict=True))
    if unknown := [unit for unit in stated if unit.lower() not in _UNITS]:
        raise unusable_sky(header, f"their unit is {unknown[0]!r}")
    units = [_UNITS[unit.lower()] for unit in stated]
    linear, frame = linear_of(header, pair), ("", 0.0)
    plane = WCS(naxis=2)
    plane.wcs.ctype, plane.wcs.crpix, plane.wcs.crval = ctype, crpix, crval
    poles = pole_of(header, pair, "LONP", "LONPOLE"), pole_of(header, pair, "LATP", "LATPOLE")
    parameters = tuple(parameters_of(header, pair))
    try:
        plane.wcs.cunit = units
        if linear and linear[0] == "CD":
            plane.wcs.cd = linear[1]
        else:
            plane.wcs.cdelt = cdelt
            plane.wcs.pc = linear[1] if linear else np.eye(2)
        for name, value in zip(("lonpole", "latpole"), poles, strict=True):
            if value is not None:
                setattr(plane.wcs, name, value)
        plane.wcs.set_pv(list(parameters))
        plane.wcs.set()
    except (WcsError, ValueError, TypeError) as problem:
        raise unusable_sky(header, str(problem).strip().splitlines()[-1]) from problem
    if set(units) != {"deg"}:
        cdelt, crval = tuple(map(float, plane.wcs.cdelt)), tuple(map(float, plane.wcs.crval))
    matrix = ((1.0, 0.0), (0.0, 1.0))
    if linear:
        whole = plane.pixel_scale_matrix
        side = math.sqrt(abs(float(np.linalg.det(whole))))
        if not side > 0:
            raise unusable_sky(header, "their matrix has no inverse")
        cdelt = (-side, side)
        (a, b), (c, d) = whole.tolist()
        matrix = (a / -side, b / -side), (c / side, d / side)
    steps = np.linalg.svd(np.diag(cdelt) @ matrix, compute_uv=False)
    if not steps[1] > 0 or not math.isclose(steps[0], steps[1], rel_tol=_SQUARE):
        raise unusable_sky(header, f"its pixels are {cdelt[0]} by {cdelt[1]} degrees")
    if not ctype[0].upper().startswith("GLON"):
        frame = frame_and_equinox(header, primary, pair)
    first, second = pair
    return SkyGrid(
        columns=(card_text(header, f"TTYPE{first}"), card_text(header, f"TTYPE{second}")),
        crpix=crpix,
        crval=crval,
        cdelt=cdelt,
        ctype=ctype,
        nulls=(column_null(header, first), column_null(header, second)),
        limits=(limits_of(form, header, first), limits_of(form, header, second)),
        frame=frame[0],
        equinox=frame[1],
        matrix=matrix,
        poles=poles,
        parameters=parameters,
    )


def _check(form: EventFormat, header: fits.Header, primary: fits.Header, sky: SkyGrid) -> None:
    """Refuse what is impossible for the instrument."""
    least, most = _PIXELS
    if form.pixel_arcsec:
        least, most = form.pixel_arcsec / _MOST_TIMES, form.pixel_arcsec * _MOST_TIMES
    if not least <= sky.pixel_arcsec <= most:
        known = f"; those of {form.title} are {form.pixel_arcsec:g} arcsec" if form.pixel_arcsec else ""
        raise unusable_sky(header, f"they claim pixels of {sky.pixel_arcsec:.6g} arcsec{known}")
    if max(map(abs, sky.crpix)) > MOST_PIXELS:
        raise unusable_sky(header, f"their reference pixel is {sky.crpix[0]}, {sky.crpix[1]}")
    if not (abs(sky.crval[0]) <= 360.0 and abs(sky.crval[1]) <= 90.0):
        raise unusable_sky(header, f"their reference is at {sky.crval[0]}, {sky.crval[1]} degrees")
    spans = [last - first for first, last in sky.limits]
    middles = x, y = [(last + first) / 2 for first, last in sky.limits]
    away = max(abs(at - middle) / span for at, middle, span in zip(sky.crpix, middles, spans, strict=True))
    if away > _MOST_RANGES:
        raise unusable_sky(header, f"their reference pixel {sky.crpix[0]:g}, {sky.crpix[1]:g} is far from all events")
    pointing = _pointing(header, primary)
    if pointing is None:
        return
    try:
        ra, dec = (float(one) for one in to_icrs(sky.wcs, x, y, 1))
    except WcsError as problem:
        raise unusable_sky(header, str(problem).strip().splitlines()[-1]) from problem
    apart = _separation((ra, dec), pointing)
    reach = max(_LEAST_APART, _MOST_RANGES * math.hypot(*spans) * sky.pixel_arcsec / 3600.0)
    if apart > reach:
        at = f"{pointing[0]:g}, {pointing[1]:g}"
        raise unusable_sky(header, f"they lie {apart:.1f} degrees from the pointing that the header names, {at}")


def _pointing(header: fits.Header, primary: fits.Header) -> tuple[float, float] | None:
    """Where the header says that the telescope pointed; None in a survey."""
    if says_moving(header, primary):
        return None
    for word in ("PNT", "NOM"):
        ra, dec = f"RA_{word}", f"DEC_{word}"
        if card_text(header, ra) and card_text(header, dec):
            return card_number(header, ra), card_number(header, dec)
    return None


def _separation(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Angle between two positions, deg; infinite where one of them is not valid."""
    (a, b), (c, d) = (np.deg2rad(place) for place in (one, other))
    half = math.sin((b - d) / 2) ** 2 + math.cos(b) * math.cos(d) * math.sin((a - c) / 2) ** 2
    return math.degrees(2 * math.asin(math.sqrt(min(half, 1.0)))) if math.isfinite(half) else math.inf
