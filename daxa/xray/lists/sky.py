"""The sky coordinates of events: which columns, and what they mean.

The pair of columns is the one whose TCTYPn cards end in RA and DEC, not the one that
has a certain name.  A whole number k in an integer column covers [k - 0.5, k + 0.5).
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, WcsError

from daxa.errors import DataError
from daxa.xray.lists.cards import card_number, card_text
from daxa.xray.lists.eventformat import EventFormat

__all__ = ["SkyGrid", "find_sky", "header_wcs"]

_AXES = (re.compile(r"RA---?[A-Z]{3}", re.ASCII), re.compile(r"DEC--?[A-Z]{3}", re.ASCII))

_MOST_PIXELS = 1 << 40
"""No plane has more; beyond, counting in 64 bits could overflow."""

_FRAMES = frozenset({"ICRS", "FK5", "FK4", "FK4-NO-E"})


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
        Value that means "no position", None where the column has none; NaN always does.
    limits
        First and last legal event pixel of each axis.
    frame, equinox
        RADESYS ('' when the header has none) and EQUINOX (0 when it has none).
    """

    columns: tuple[str, str]
    crpix: tuple[float, float]
    crval: tuple[float, float]
    cdelt: tuple[float, float]
    ctype: tuple[str, str]
    nulls: tuple[int | None, int | None]
    limits: tuple[tuple[int, int], tuple[int, int]]
    frame: str
    equinox: float

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
        if self.frame:
            found.wcs.radesys = self.frame
        if self.equinox:
            found.wcs.equinox = self.equinox
        found.wcs.set()
        return found

    def to_pixels(self, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Event pixels (not rounded) of positions in the frame of the list, deg; NaN where there is none.

        Examples
        --------
        >>> sky = SkyGrid(("X", "Y"), (25921., 25921.), (150., 2.), (-1 / 72000, 1 / 72000), ("RA---TAN", "DEC--TAN"),
        ...               (None, None), ((1, 51840), (1, 51840)), "FK5", 2000.0)
        >>> [round(float(value), 3) for value in sky.to_pixels(150.0, 2.1)]
        [25921.0, 33121.007]
        """
        return tuple(self.wcs.wcs_world2pix(ra, dec, 1))

    def to_sky(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions (deg, in the frame of the list) of event pixels."""
        return tuple(self.wcs.wcs_pix2world(x, y, 1))


def header_wcs(header: fits.Header) -> WCS:
    """World coordinates of an image, in right ascension and declination.

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
    except (WcsError, ValueError, TypeError, KeyError, MemoryError, fits.VerifyError) as problem:
        raise _no_coordinates(f"are unusable: {problem}") from problem
    if (found.wcs.lngtyp, found.wcs.lattyp) != ("RA", "DEC"):
        raise _no_coordinates("are not right ascension and declination")
    return found


def _no_coordinates(what: str) -> DataError:
    return DataError(
        "image-coordinates", f"the world coordinates of an image {what}", remedy="use an image with an equatorial WCS"
    )


def find_sky(form: EventFormat, header: fits.Header) -> SkyGrid | None:
    """The sky coordinates of an event list.

    Parameters
    ----------
    form
        The facts about lists of this kind.
    header
        Header of the events table.

    Returns
    -------
    SkyGrid or None
        None when the list has no columns of sky positions.

    Raises
    ------
    DataError
        The cards of the columns make no sense.

    Notes
    -----
    Where the columns X and Y carry no world coordinates, they come from XMM's REFX and
    REFY cards, else from the nominal pointing (RA_NOM, else RA_PNT) and the format's pixel.
    """
    numbers = {card_text(header, f"TTYPE{n}").upper(): n for n in range(1, int(card_number(header, "TFIELDS")) + 1)}
    pair = tuple(
        next((n for n in numbers.values() if axis.fullmatch(card_text(header, f"TCTYP{n}").upper())), 0)
        for axis in _AXES
    )
    if all(pair):
        axes = [_from_column(form, header, number) for number in pair]
    elif "X" in numbers and "Y" in numbers:
        pair = (numbers["X"], numbers["Y"])
        axes = [_from_pointing(form, header, index) for index in (0, 1)]
    else:
        return None
    crpix, crval, cdelt, ctype = (tuple(values) for values in zip(*axes, strict=True))
    if 0.0 in cdelt or not math.isclose(abs(cdelt[0]), abs(cdelt[1]), rel_tol=1e-6):
        raise _senseless(header, f"its pixels are {cdelt[0]} by {cdelt[1]} degrees")
    if any(card_number(header, f"TCROT{number}", 0.0) for number in pair):
        raise _senseless(header, "they are turned (TCROT), which is not read")
    if max(map(abs, crpix)) > _MOST_PIXELS:
        raise _senseless(header, f"their reference pixel is {crpix[0]}, {crpix[1]}")
    if not (abs(crval[0]) <= 360.0 and abs(crval[1]) <= 90.0):
        raise _senseless(header, f"their reference is at {crval[0]}, {crval[1]} degrees")
    return SkyGrid(
        columns=tuple(card_text(header, f"TTYPE{number}") for number in pair),
        crpix=crpix,
        crval=crval,
        cdelt=cdelt,
        ctype=ctype,
        nulls=tuple(_null(header, number) for number in pair),
        limits=tuple(_limits(form, header, number) for number in pair),
        frame=_frame(header),
        equinox=card_number(header, "EQUINOX", 0.0),
    )


def _frame(header: fits.Header) -> str:
    frame = (card_text(header, "RADESYS") or card_text(header, "RADECSYS")).upper()
    if frame and frame not in _FRAMES:
        raise _senseless(header, f"their reference frame is {frame!r}")
    return frame


def _from_column(form: EventFormat, header: fits.Header, number: int) -> tuple[float, float, float, str]:
    return (
        card_number(header, f"TCRPX{number}", form.reference_pixel),
        card_number(header, f"TCRVL{number}"),
        card_number(header, f"TCDLT{number}"),
        card_text(header, f"TCTYP{number}"),
    )


def _from_pointing(form: EventFormat, header: fits.Header, index: int) -> tuple[float, float, float, str]:
    axis, position, name = (("X", "RA", "RA---TAN"), ("Y", "DEC", "DEC--TAN"))[index]
    if f"REF{axis}CRVL" in header:
        name = card_text(header, f"REF{axis}CTYP", name)
        if not _AXES[index].fullmatch(name.upper()):
            raise _senseless(header, f"their projection is {name!r}")
        return (
            card_number(header, f"REF{axis}CRPX"),
            card_number(header, f"REF{axis}CRVL"),
            card_number(header, f"REF{axis}CDLT"),
            name,
        )
    if form.reference_pixel is None or not form.pixel_arcsec:
        raise _senseless(header, f"they carry no world coordinates, and {form.title} has no other")
    pixel = form.pixel_arcsec / 3600.0
    nominal = next((f"{position}_{word}" for word in ("NOM", "PNT") if card_text(header, f"{position}_{word}")), "")
    return form.reference_pixel, card_number(header, nominal or f"{position}_NOM"), pixel if index else -pixel, name


def _null(header: fits.Header, number: int) -> int | None:
    return int(card_number(header, f"TNULL{number}")) if f"TNULL{number}" in header else None


def _limits(form: EventFormat, header: fits.Header, number: int) -> tuple[int, int]:
    """Legal event pixels; a real-valued column counts from half a pixel before the first."""
    first, last = form.sky_limits or (None, None)
    first = math.ceil(card_number(header, f"TLMIN{number}", first))
    last = math.floor(card_number(header, f"TLMAX{number}", last))
    if last <= first or max(-first, last) > _MOST_PIXELS:
        raise _senseless(header, f"its legal range is {first} to {last}")
    return first, last


def _senseless(header: fits.Header, what: str) -> DataError:
    return DataError(
        "sky",
        f"the sky columns of observation {card_text(header, 'OBS_ID')} make no sense: {what}",
        remedy="fetch the event list again",
    )
