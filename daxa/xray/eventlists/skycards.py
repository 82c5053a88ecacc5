"""The cards that say which sky the columns of an event list have (FITS standard 4.0, table 22), read one by one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.eventlists.cards import card_number, card_text
from daxa.xray.telescopes.eventformat import EventFormat

__all__ = [
    "AXES",
    "MOST_PIXELS",
    "PAIRS",
    "Axis",
    "celestial_pair",
    "frame_and_equinox",
    "from_column",
    "from_pointing",
    "is_bent",
    "limits_of",
    "linear_of",
    "parameters_of",
    "pole_of",
    "refuse_half",
    "refuse_unread",
    "says_moving",
    "unusable_sky",
]

AXES = tuple(re.compile(rf"(?:{names})[A-Z]{{3}}", re.ASCII) for names in ("RA---?|GLON-|ELON-", "DEC--?|GLAT-|ELAT-"))

PAIRS = frozenset({("RA", "DEC"), ("GLON", "GLAT"), ("ELON", "ELAT")})

_MATRIX = re.compile(r"(TPC?|TCD?)(\d{1,3})_(\d{1,3})", re.ASCII)

_PARAMETER = re.compile(r"T(?:PV|V)(\d{1,3})_(\d{1,2})", re.ASCII)

_UNREAD = re.compile(r"(?:TCROT|(?:TPS|TS)(?=\d+_))(\d{1,3})(?:_\d{1,2})?", re.ASCII)

_DISTORTED = re.compile(r"(?:RA|DEC|[GE]LON|[GE]LAT)[A-Z-]*-(?:[A-Z]{3}-[A-Z]{3}|TP[DUV]|TNX|ZPX)", re.ASCII)
"""Conventions beyond the standard, whose coefficients are in other cards; they are undone by iteration, if at all."""

_FRAMES = frozenset({"ICRS", "FK5", "FK4", "FK4-NO-E"})

_FRAME_CARDS = ("RADESYS", "RADECSYS")

_FIRST_FK5 = 1984.0
"""Equinoxes from here on are those of FK5 (FITS 4.0, section 8.3)."""

_MOVING = ("SURVEY", "SCAN", "SLEW", "RASTER", "MOSAIC")


def says_moving(header: fits.Header, primary: fits.Header) -> bool:
    """Whether OBS_MODE, in either header, names a mode in which the telescope scans or slews."""
    mode = card_text(header, "OBS_MODE") or card_text(primary, "OBS_MODE")
    return mode.upper().startswith(_MOVING)


def is_bent(kind: str) -> bool:
    """Whether a CTYPE or TCTYP names a distortion that is not read, such as ``RA---TAN-SIP``."""
    return bool(_DISTORTED.fullmatch(kind.strip().upper()))


def celestial_pair(header: fits.Header, numbers: dict[str, int]) -> tuple[int, int] | None:
    """Numbers of the columns with longitude and latitude; equatorial ones first."""
    kinds = {number: card_text(header, f"TCTYP{number}").upper() for number in numbers.values()}
    for names in sorted(PAIRS, reverse=True):
        first, second = (
            next((n for n, kind in kinds.items() if axis.fullmatch(kind) and kind.startswith(f"{name}-")), 0)
            for axis, name in zip(AXES, names, strict=True)
        )
        if first and second and not any(is_bent(kinds[number]) for number in (first, second)):
            return first, second
    for number, kind in kinds.items():
        if is_bent(kind):
            raise unusable_sky(header, f"TCTYP{number} is {kind!r}, a distortion that is not read")
    return None


def refuse_unread(header: fits.Header, pair: tuple[int, int]) -> None:
    """Raise a DataError for a card that turns or bends the sky of the columns and is not read."""
    for keyword in header:
        found = _UNREAD.fullmatch(keyword)
        if not found or int(found[1]) not in pair or not card_text(header, keyword):
            continue
        if not keyword.startswith("TCROT"):
            raise unusable_sky(header, f"they are tabulated ({keyword}), which is not read")
        if card_number(header, keyword):
            raise unusable_sky(header, f"they are turned ({keyword}), which is not read")


def refuse_half(header: fits.Header, pair: tuple[int, int]) -> None:
    """Raise a DataError for world coordinates of X and Y that are not whole: nothing else may take their place."""
    for number, axis in zip(pair, AXES, strict=True):
        kind = card_text(header, f"TCTYP{number}")
        if kind and not axis.fullmatch(kind.upper()):
            raise unusable_sky(header, f"TCTYP{number} is {kind!r}, which is not read")
    if all(f"REF{axis}CRVL" in header for axis in "XY"):
        return
    said = [f"{word}{number}" for number in pair for word in ("TCTYP", "TCRVL", "TCDLT")]
    if there := [key for key in said if card_text(header, key)]:
        raise unusable_sky(
            header, f"TCTYP{pair[0]} and TCTYP{pair[1]} name no pair of axes, although there is {there[0]}"
        )


def linear_of(header: fits.Header, pair: tuple[int, int]) -> tuple[str, list[list[float]]] | None:
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
                raise unusable_sky(header, f"{keyword} mixes them with another column, which is not read")
        elif found.setdefault(kind, {}).setdefault(place, value) != value:
            raise unusable_sky(header, f"{keyword} occurs twice, with different values")
    if len(found) > 1:
        raise unusable_sky(header, "they have both a TPn_k and a TCn_k matrix")
    for kind, values in found.items():
        unit = 1.0 if kind == "PC" else 0.0
        return kind, [[values.get((n, k), unit if n == k else 0.0) for k in pair] for n in pair]
    return None


Axis = tuple[float, float, float, str, str]
"""Reference pixel, its coordinate, the step, the projection, the unit."""


def pole_of(header: fits.Header, pair: tuple[int, int], column: str, whole: str) -> float | None:
    """LONPOLE or LATPOLE of a pair of columns; None where no card says it."""
    distinct = {card_number(header, key) for key in (f"{column}{n}" for n in pair) if card_text(header, key)}
    if len(distinct) > 1:
        raise unusable_sky(header, f"their {column}n differ")
    return next(iter(distinct), card_number(header, whole) if card_text(header, whole) else None)


def parameters_of(header: fits.Header, pair: tuple[int, int]) -> Iterator[tuple[int, int, float]]:
    """Parameters of the projection of a pair of columns, as (axis, number, value)."""
    for keyword in header:
        found = _PARAMETER.fullmatch(keyword)
        if found and int(found[1]) in pair and card_text(header, keyword):
            yield pair.index(int(found[1])) + 1, int(found[2]), card_number(header, keyword)


def frame_and_equinox(header: fits.Header, primary: fits.Header, pair: tuple[int, int]) -> tuple[str, float]:
    """Name of the frame and equinox: of the columns, of the table, else of the file."""
    own = [[f"{word}{number}" for number in pair if card_text(header, f"{word}{number}")] for word in ("RADE", "EQUI")]
    for keys in own:
        if len({card_text(header, key) for key in keys}) > 1:
            raise unusable_sky(header, f"{' and '.join(keys)} differ")
    stated = [(header, key) for key in own[0]] + [(h, k) for h in (header, primary) for k in _FRAME_CARDS]
    frame = next((text.upper() for h, key in stated if (text := card_text(h, key))), "")
    if frame and frame not in _FRAMES:
        raise unusable_sky(header, f"their reference frame is {frame!r}")
    # The equinox of another frame, which only the file has, says nothing of this one.
    others = {text.upper() for key in _FRAME_CARDS if (text := card_text(primary, key))}
    sources = (header, primary) if others <= {frame} else (header,)
    years = [(header, key) for key in own[1]] + [(h, k) for h in sources for k in ("EQUINOX", "EPOCH")]
    equinox = next((_year(h, key) for h, key in years if card_text(h, key)), 0.0)
    if frame.startswith("FK4") and equinox >= _FIRST_FK5:
        raise unusable_sky(header, f"their frame is {frame}, but their equinox {equinox:g}")
    if equinox and not 1800.0 <= equinox <= 2100.0:
        raise unusable_sky(header, f"their equinox is {equinox:g}")
    return frame, equinox


def _year(header: fits.Header, keyword: str) -> float:
    text = card_text(header, keyword).upper()
    return float(text[1:]) if re.fullmatch(r"[BJ]\d{4}(\.\d*)?", text) else card_number(header, keyword)


def from_column(form: EventFormat, header: fits.Header, number: int) -> Axis:
    """What the cards of a column say of its axis."""
    return (
        card_number(header, f"TCRPX{number}", form.reference_pixel),
        card_number(header, f"TCRVL{number}"),
        # A matrix may be in its place.
        card_number(header, f"TCDLT{number}", 1.0 if any(map(_MATRIX.fullmatch, header)) else None),
        card_text(header, f"TCTYP{number}"),
        card_text(header, f"TCUNI{number}"),
    )


def from_pointing(form: EventFormat, header: fits.Header, index: int) -> Axis:
    """What the REFX and REFY cards of XMM, else the nominal pointing and the format, say of an axis (0 or 1)."""
    axis, position, name = (("X", "RA", "RA---TAN"), ("Y", "DEC", "DEC--TAN"))[index]
    if f"REF{axis}CRVL" in header:
        name = card_text(header, f"REF{axis}CTYP", name)
        if not AXES[index].fullmatch(name.upper()):
            raise unusable_sky(header, f"their projection is {name!r}")
        return (
            card_number(header, f"REF{axis}CRPX"),
            card_number(header, f"REF{axis}CRVL"),
            card_number(header, f"REF{axis}CDLT"),
            name,
            card_text(header, f"REF{axis}CUNI"),
        )
    if form.reference_pixel is None or not form.pixel_arcsec:
        raise unusable_sky(header, f"they carry no world coordinates, and {form.title} has no other")
    pixel = form.pixel_arcsec / 3600.0
    nominal = next((f"{position}_{word}" for word in ("NOM", "PNT") if card_text(header, f"{position}_{word}")), "")
    return form.reference_pixel, card_number(header, nominal or f"{position}_NOM"), pixel if index else -pixel, name, ""


def limits_of(form: EventFormat, header: fits.Header, number: int) -> tuple[int, int]:
    """Legal event pixels; a real-valued column counts from half a pixel before the first."""
    first, last = form.sky_limits or (None, None)
    first = math.ceil(card_number(header, f"TLMIN{number}", first))
    last = math.floor(card_number(header, f"TLMAX{number}", last))
    if last <= first or max(-first, last) > MOST_PIXELS:
        raise unusable_sky(header, f"its legal range is {first} to {last}")
    return first, last


def unusable_sky(header: fits.Header, what: str) -> DataError:
    """The error of sky columns that cannot be used; `what` ends the sentence."""
    return DataError(
        "sky",
        f"the sky columns of observation {card_text(header, 'OBS_ID')} cannot be used: {what}",
        remedy="use the list as the archive distributes it; if that is this one, leave the observation out",
    )


MOST_PIXELS = 1 << 40
"""No plane has more; beyond, counting in 64 bits could overflow."""
