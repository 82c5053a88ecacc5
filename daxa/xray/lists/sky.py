"""The sky coordinates of events: which columns, and what they mean.

The pair of columns is the one whose TCTYPn cards name celestial axes, not the one that
has a certain name.  A whole number k in an integer column covers [k - 0.5, k + 0.5).
Every card of the FITS standard 4.0 (table 22) that changes the sky of the pair either
goes into the world coordinates or makes the list unusable by name; what the cards claim
must agree with what is known of the instrument.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, WcsError

from daxa.errors import DataError
from daxa.xray.lists.cards import card_number, card_text
from daxa.xray.lists.eventformat import EventFormat
from daxa.xray.lists.frames import to_icrs
from daxa.xray.lists.tables import column_null

__all__ = ["SkyGrid", "find_sky", "header_wcs"]

_AXES = tuple(re.compile(rf"(?:{names})[A-Z]{{3}}", re.ASCII) for names in ("RA---?|GLON-|ELON-", "DEC--?|GLAT-|ELAT-"))
_PAIRS = frozenset({("RA", "DEC"), ("GLON", "GLAT"), ("ELON", "ELAT")})
_MATRIX = re.compile(r"(TPC?|TCD?)(\d{1,3})_(\d{1,3})", re.ASCII)
_PARAMETER = re.compile(r"T(?:PV|V)(\d{1,3})_(\d{1,2})", re.ASCII)
_UNREAD = re.compile(r"(?:TCROT|(?:TPS|TS)(?=\d+_))(\d{1,3})(?:_\d{1,2})?", re.ASCII)
_DISTORTED = re.compile(r"(?:RA|DEC|[GE]LON|[GE]LAT)[A-Z-]*-[A-Z]{3}-[A-Z]{3}", re.ASCII)

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

_MOVING = ("SURVEY", "SCAN", "SLEW", "RASTER", "MOSAIC")

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
    matrix
        Linear transformation of the pixels, as FITS's PCi_j.
    poles
        LONPOLE and LATPOLE, deg, None where they are those of the projection.
    parameters
        Those of the projection, as (axis, number, value), as FITS's PVi_m.
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
    """World coordinates of an image, equatorial, galactic or ecliptic (`daxa.xray.lists.frames` reads both).

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
    if (found.wcs.lngtyp, found.wcs.lattyp) not in _PAIRS:
        raise _no_coordinates("are not equatorial, galactic or ecliptic")
    return found


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
        Headers of the events table and of the primary HDU, where the frame may stand.

    Returns
    -------
    SkyGrid or None
        None when the list has no columns of sky positions.

    Raises
    ------
    DataError
        The cards of the columns make no sense, contradict what is known of the instrument,
        or are of a kind that is not read.

    Notes
    -----
    Where the columns X and Y carry no world coordinates, they come from XMM's REFX and
    REFY cards, else from the nominal pointing (RA_NOM, else RA_PNT) and the format's pixel.
    """
    numbers = {card_text(header, f"TTYPE{n}").upper(): n for n in range(1, int(card_number(header, "TFIELDS")) + 1)}
    if pair := _celestial_pair(header, numbers):
        cards = [_from_column(form, header, number) for number in pair]
        _refuse_unread(header, pair)
    elif "X" in numbers and "Y" in numbers:
        pair = (numbers["X"], numbers["Y"])
        for number, axis in zip(pair, _AXES, strict=True):
            if (kind := card_text(header, f"TCTYP{number}")) and not axis.fullmatch(kind.upper()):
                raise _senseless(header, f"TCTYP{number} is {kind!r}, which is not read")
        cards = [_from_pointing(form, header, index) for index in (0, 1)]
    else:
        return None
    sky = _normal(form, header, primary, pair, cards)
    _check(form, header, primary, sky)
    return sky


def _celestial_pair(header: fits.Header, numbers: dict[str, int]) -> tuple[int, int] | None:
    """Numbers of the columns with longitude and latitude; equatorial ones first."""
    kinds = {number: card_text(header, f"TCTYP{number}").upper() for number in numbers.values()}
    for names in sorted(_PAIRS, reverse=True):
        pair = tuple(
            next((n for n, kind in kinds.items() if axis.fullmatch(kind) and kind.startswith(f"{name}-")), 0)
            for axis, name in zip(_AXES, names, strict=True)
        )
        if all(pair):
            return pair
    for number, kind in kinds.items():
        if _DISTORTED.fullmatch(kind):
            raise _senseless(header, f"TCTYP{number} is {kind!r}, a distortion that is not read")
    return None


def _refuse_unread(header: fits.Header, pair: tuple[int, int]) -> None:
    for keyword in header:
        found = _UNREAD.fullmatch(keyword)
        if not found or int(found[1]) not in pair or not card_text(header, keyword):
            continue
        if not keyword.startswith("TCROT"):
            raise _senseless(header, f"they are tabulated ({keyword}), which is not read")
        if card_number(header, keyword):
            raise _senseless(header, f"they are turned ({keyword}), which is not read")


def _linear(header: fits.Header, pair: tuple[int, int]) -> tuple[str, list[list[float]]] | None:
    """The matrix of a pair of columns, and whether it is FITS's ``PC`` or ``CD``; None where there is none."""
    found: dict[str, dict[tuple[int, int], float]] = {}
    for keyword in header:
        match = _MATRIX.fullmatch(keyword)
        if not match or not {int(match[2]), int(match[3])} & set(pair) or not card_text(header, keyword):
            continue
        kind = "PC" if match[1] in {"TP", "TPC"} else "CD"
        value, place = card_number(header, keyword), (int(match[2]), int(match[3]))
        if not set(place) <= set(pair):
            if value:
                raise _senseless(header, f"{keyword} mixes them with another column, which is not read")
        elif found.setdefault(kind, {}).setdefault(place, value) != value:
            raise _senseless(header, f"{keyword} stands there twice, with different values")
    if len(found) > 1:
        raise _senseless(header, "they have both a TPn_k and a TCn_k matrix")
    for kind, values in found.items():
        unit = 1.0 if kind == "PC" else 0.0
        return kind, [[values.get((n, k), unit if n == k else 0.0) for k in pair] for n in pair]
    return None


_Axis = tuple[float, float, float, str, str]
"""Reference pixel, its coordinate, the step, the projection, the unit."""


def _normal(
    form: EventFormat, header: fits.Header, primary: fits.Header, pair: tuple[int, int], cards: list[_Axis]
) -> SkyGrid:
    """The grid in degrees, with square pixels, as wcslib understands the cards."""
    crpix, crval, cdelt, ctype, units = (tuple(values) for values in zip(*cards, strict=True))
    linear, frame = _linear(header, pair), ("", 0.0)
    plane = WCS(naxis=2)
    plane.wcs.ctype, plane.wcs.crpix, plane.wcs.crval = ctype, crpix, crval
    poles = tuple(_pole(header, pair, *words) for words in (("LONP", "LONPOLE"), ("LATP", "LATPOLE")))
    parameters = tuple(_parameters(header, pair))
    try:
        plane.wcs.cunit = list(units)
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
        raise _senseless(header, str(problem).strip().splitlines()[-1]) from problem
    if any(unit not in {"", "deg"} for unit in units):
        cdelt, crval = tuple(map(float, plane.wcs.cdelt)), tuple(map(float, plane.wcs.crval))
    matrix = ((1.0, 0.0), (0.0, 1.0))
    if linear:
        whole = plane.pixel_scale_matrix
        side = math.sqrt(abs(float(np.linalg.det(whole))))
        if not side > 0:
            raise _senseless(header, "their matrix has no inverse")
        cdelt = (-side, side)
        matrix = tuple(tuple(float(value) / step for value in row) for row, step in zip(whole, cdelt, strict=True))
    steps = np.linalg.svd(np.diag(cdelt) @ matrix, compute_uv=False)
    if not steps[1] > 0 or not math.isclose(steps[0], steps[1], rel_tol=_SQUARE):
        raise _senseless(header, f"its pixels are {cdelt[0]} by {cdelt[1]} degrees")
    if not ctype[0].upper().startswith("GLON"):
        frame = _frame(header, primary, pair)
    return SkyGrid(
        columns=tuple(card_text(header, f"TTYPE{number}") for number in pair),
        crpix=crpix,
        crval=crval,
        cdelt=cdelt,
        ctype=ctype,
        nulls=tuple(column_null(header, number) for number in pair),
        limits=tuple(_limits(form, header, number) for number in pair),
        frame=frame[0],
        equinox=frame[1],
        matrix=matrix,
        poles=poles,
        parameters=parameters,
    )


def _pole(header: fits.Header, pair: tuple[int, int], column: str, whole: str) -> float | None:
    """LONPOLE or LATPOLE of a pair of columns; None where no card says it."""
    told = {card_number(header, key) for key in (f"{column}{n}" for n in pair) if card_text(header, key)}
    if len(told) > 1:
        raise _senseless(header, f"their {column}n differ")
    return next(iter(told), card_number(header, whole) if card_text(header, whole) else None)


def _parameters(header: fits.Header, pair: tuple[int, int]) -> Iterator[tuple[int, int, float]]:
    for keyword in header:
        found = _PARAMETER.fullmatch(keyword)
        if found and int(found[1]) in pair and card_text(header, keyword):
            yield pair.index(int(found[1])) + 1, int(found[2]), card_number(header, keyword)


def _frame(header: fits.Header, primary: fits.Header, pair: tuple[int, int]) -> tuple[str, float]:
    """Name of the frame and equinox: of the columns, of the table, else of the file."""
    own = [f"{word}{number}" for word in ("RADE", "EQUI") for number in pair]
    frames = [(header, key) for key in own[:2]] + [(h, k) for h in (header, primary) for k in ("RADESYS", "RADECSYS")]
    frame = next((text.upper() for h, key in frames if (text := card_text(h, key))), "")
    if frame and frame not in _FRAMES:
        raise _senseless(header, f"their reference frame is {frame!r}")
    years = [(header, key) for key in own[2:]] + [(h, k) for h in (header, primary) for k in ("EQUINOX", "EPOCH")]
    equinox = next((_year(h, key) for h, key in years if card_text(h, key)), 0.0)
    if equinox and not 1800.0 <= equinox <= 2100.0:
        raise _senseless(header, f"their equinox is {equinox:g}")
    return frame, equinox


def _year(header: fits.Header, keyword: str) -> float:
    text = card_text(header, keyword).upper()
    return float(text[1:]) if re.fullmatch(r"[BJ]\d{4}(\.\d*)?", text) else card_number(header, keyword)


def _check(form: EventFormat, header: fits.Header, primary: fits.Header, sky: SkyGrid) -> None:
    """Refuse what cannot be true of the instrument."""
    least, most = _PIXELS
    if form.pixel_arcsec:
        least, most = form.pixel_arcsec / _MOST_TIMES, form.pixel_arcsec * _MOST_TIMES
    if not least <= sky.pixel_arcsec <= most:
        known = f"; those of {form.title} are {form.pixel_arcsec:g} arcsec" if form.pixel_arcsec else ""
        raise _senseless(header, f"they claim pixels of {sky.pixel_arcsec:.6g} arcsec{known}")
    if max(map(abs, sky.crpix)) > _MOST_PIXELS:
        raise _senseless(header, f"their reference pixel is {sky.crpix[0]}, {sky.crpix[1]}")
    if not (abs(sky.crval[0]) <= 360.0 and abs(sky.crval[1]) <= 90.0):
        raise _senseless(header, f"their reference is at {sky.crval[0]}, {sky.crval[1]} degrees")
    spans = [last - first for first, last in sky.limits]
    middles = [(last + first) / 2 for first, last in sky.limits]
    away = max(abs(at - middle) / span for at, middle, span in zip(sky.crpix, middles, spans, strict=True))
    if away > _MOST_RANGES:
        raise _senseless(header, f"their reference pixel {sky.crpix[0]:g}, {sky.crpix[1]:g} is far from all events")
    pointing = _pointing(header, primary)
    if pointing is None:
        return
    try:
        ra, dec = (float(one) for one in to_icrs(sky.wcs, *middles, 1))
    except WcsError as problem:
        raise _senseless(header, str(problem).strip().splitlines()[-1]) from problem
    apart = _separation((ra, dec), pointing)
    reach = max(_LEAST_APART, _MOST_RANGES * math.hypot(*spans) * sky.pixel_arcsec / 3600.0)
    if apart > reach:
        at = f"{pointing[0]:g}, {pointing[1]:g}"
        raise _senseless(header, f"they lie {apart:.1f} degrees from the pointing that the header names, {at}")


def _pointing(header: fits.Header, primary: fits.Header) -> tuple[float, float] | None:
    """Where the header says that the telescope pointed; None in a survey."""
    mode = card_text(header, "OBS_MODE") or card_text(primary, "OBS_MODE")
    if mode.upper().startswith(_MOVING):
        return None
    for word in ("PNT", "NOM"):
        keys = (f"RA_{word}", f"DEC_{word}")
        if all(card_text(header, key) for key in keys):
            return tuple(card_number(header, key) for key in keys)
    return None


def _separation(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Angle between two positions, deg; infinite where one is none."""
    (a, b), (c, d) = (np.deg2rad(place) for place in (one, other))
    half = math.sin((b - d) / 2) ** 2 + math.cos(b) * math.cos(d) * math.sin((a - c) / 2) ** 2
    return math.degrees(2 * math.asin(math.sqrt(min(half, 1.0)))) if math.isfinite(half) else math.inf


def _from_column(form: EventFormat, header: fits.Header, number: int) -> _Axis:
    return (
        card_number(header, f"TCRPX{number}", form.reference_pixel),
        card_number(header, f"TCRVL{number}"),
        # A matrix may stand in its place.
        card_number(header, f"TCDLT{number}", 1.0 if any(map(_MATRIX.fullmatch, header)) else None),
        card_text(header, f"TCTYP{number}"),
        card_text(header, f"TCUNI{number}"),
    )


def _from_pointing(form: EventFormat, header: fits.Header, index: int) -> _Axis:
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
            card_text(header, f"REF{axis}CUNI"),
        )
    if form.reference_pixel is None or not form.pixel_arcsec:
        raise _senseless(header, f"they carry no world coordinates, and {form.title} has no other")
    pixel = form.pixel_arcsec / 3600.0
    nominal = next((f"{position}_{word}" for word in ("NOM", "PNT") if card_text(header, f"{position}_{word}")), "")
    return form.reference_pixel, card_number(header, nominal or f"{position}_NOM"), pixel if index else -pixel, name, ""


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
        f"the sky columns of observation {card_text(header, 'OBS_ID')} cannot be used: {what}",
        remedy="use the list as the archive distributes it; if that is this one, leave the observation out",
    )
