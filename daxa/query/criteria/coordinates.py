"""Read positions, radii and names of targets in any usual form, and write them back exactly.

Whatever is read becomes plain floats in fixed units (degrees ICRS, arcminutes).  What is written can be read again
and gives the same floats, bit for bit.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable
from numbers import Real
from typing import TYPE_CHECKING, SupportsFloat, TypeGuard

from daxa.errors import CriteriaError
from daxa.naming import several
from daxa.quantities import read_quantity
from daxa.text import one_line

if TYPE_CHECKING:
    from astropy.units import Quantity

    from daxa.query.criteria.accepted_types import AngleLike, PositionsLike, TextsLike

__all__ = ["on_the_sky", "places_of", "read_names", "read_positions", "read_radius", "write_radius"]

_LARGEST_RADIUS = 90 * 60.0


def read_positions(value: PositionsLike) -> tuple[tuple[float, float], ...]:
    """Positions in any usual form.

    Parameters
    ----------
    value
        A pair of numbers (degrees, ICRS), a text ``RA,DEC`` in degrees or sexagesimal (hours
        and degrees), an `astropy.coordinates.SkyCoord` of any frame, an array of shape
        (n, 2), or a sequence of these.

    Returns
    -------
    tuple of (ra, dec)
        Degrees ICRS, sorted, each once.

    Raises
    ------
    CriteriaError
        It is not a position, holds NaN, or lies off the sky.

    Examples
    --------
    >>> read_positions("149.5916, -11.0637"), read_positions([(10, 20), (5, 6)])
    (((149.5916, -11.0637),), ((5.0, 6.0), (10.0, 20.0)))
    """
    if isinstance(value, str) or hasattr(value, "icrs") or _is_pair(value):
        found = places_of(value)
    elif isinstance(value, Iterable) and not getattr(value, "isscalar", False):
        found = [pair for item in value for pair in places_of(item)]
    else:
        raise _bad_position(value)
    if not found:
        raise CriteriaError("position", "the list of positions is empty", remedy="give at least one position")
    return tuple(sorted(set(found)))


def places_of(value: PositionsLike) -> list[tuple[float, float]]:
    """Right ascensions and declinations, degrees ICRS, of one text, pair or `SkyCoord`, in their order.

    Raises
    ------
    CriteriaError
        It is none of these, is not finite, or lies off the sky.
    """
    if isinstance(value, str):
        return [_parse_position(value)]
    if (sky := getattr(value, "icrs", None)) is not None:
        import numpy as np

        return [
            _check_position(ra, dec, value)
            for ra, dec in zip(np.ravel(sky.ra.deg).tolist(), np.ravel(sky.dec.deg).tolist(), strict=True)
        ]
    if not _is_pair(value):
        raise _bad_position(value)
    try:
        ra, dec = (_degrees(part) for part in value)
    except OverflowError:
        raise _bad_position(value) from None
    return [_check_position(ra, dec, value)]


def _is_pair(value: object) -> bool:
    if isinstance(value, str | bytes) or not hasattr(value, "__len__") or not isinstance(value, Iterable):
        return False
    parts = list(value)
    return len(parts) == 2 and all(_is_number(part) or _is_scalar_quantity(part) for part in parts)


def _is_number(value: object) -> TypeGuard[SupportsFloat]:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_scalar_quantity(value: object) -> bool:
    return hasattr(value, "to_value") and getattr(value, "isscalar", False)


def _degrees(value: object) -> float:
    return float(value) if _is_number(value) else _in_unit(value, "deg", "position")


def _in_unit(quantity: Quantity, unit: str, name: str) -> float:
    from astropy.units import UnitConversionError

    try:
        return float(quantity.to_value(unit))
    except (UnitConversionError, TypeError):
        raise CriteriaError(
            name, f"{one_line(quantity, 100)} is not a single angle", remedy=f"give it in {unit}"
        ) from None


def _parse_position(text: str) -> tuple[float, float]:
    parts = text.split(",") if "," in text else text.split()
    if len(parts) == 6:
        parts = [" ".join(parts[:3]), " ".join(parts[3:])]
    # Digits of other scripts would be read as hours.
    if len(parts) != 2 or len(text) > 200 or any(letter.isnumeric() and not letter.isascii() for letter in text):
        raise _bad_position(text)
    try:
        ra, dec = (_decimal(part) for part in parts)
        if ra is None or dec is None:
            from astropy.coordinates import Angle

            with warnings.catch_warnings():
                # Sixty minutes or seconds are a slip of the pen that astropy only warns of.
                warnings.simplefilter("error")
                ra = Angle(parts[0], unit="hourangle").deg if ra is None else ra
                dec = Angle(parts[1], unit="deg").deg if dec is None else dec
    except (ValueError, TypeError, Warning):
        raise _bad_position(text) from None
    return _check_position(float(ra), float(dec), text)


def _decimal(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\s*[+-]?\d+(\.\d*)?\s*", text, re.ASCII) else None


def on_the_sky(ra: float, dec: float) -> bool:
    """Whether a position in degrees is on the sky."""
    return 0 <= ra <= 360 and -90 <= dec <= 90


def _check_position(ra: float, dec: float, value: object) -> tuple[float, float]:
    if not (math.isfinite(ra) and math.isfinite(dec)):
        raise CriteriaError(
            "position", f"{one_line(value, 100)} is not finite", remedy="leave out positions that are NaN"
        )
    if not on_the_sky(ra, dec):
        raise CriteriaError(
            "position",
            f"RA {ra:g}, Dec {dec:g} is not on the sky",
            remedy="give RA from 0 to 360 and Dec from -90 to 90 degrees",
        )
    return (0.0 if ra == 360 else ra + 0.0), dec + 0.0


def _bad_position(value: object) -> CriteriaError:
    return CriteriaError(
        "position",
        f"{str(value)[:100]!r} is not a valid position",
        remedy="give RA,DEC in degrees ('149.59,-11.06') or sexagesimal ('09:58:22,-11:03:50'), a SkyCoord, or two "
        "angles; give names of objects as targets (target=..., --target)",
    )


def read_radius(value: AngleLike) -> float:
    """A radius with its unit, in arcminutes.

    Parameters
    ----------
    value
        A text such as ``15 arcmin``, ``0.5 deg``, ``30arcsec``, or an `astropy.units.Quantity`.

    Raises
    ------
    CriteriaError
        No unit, not positive, not finite, or more than 90 degrees.

    Examples
    --------
    >>> read_radius("0.5 deg"), read_radius("90arcsec")
    (30.0, 1.5)
    """
    if hasattr(value, "to_value"):
        radius = _in_unit(value, "arcmin", "radius")
    else:
        try:
            radius = read_quantity(str(value).strip(), "arcmin")
        except ValueError:
            raise CriteriaError(
                "radius",
                f"{str(value)[:100]!r} is not a valid radius",
                remedy="give a number and a unit, such as '15 arcmin' or '0.5 deg', or a quantity (15 * u.arcmin)",
            ) from None
    if not 0 < radius <= _LARGEST_RADIUS:
        raise CriteriaError(
            "radius",
            f"a radius of {one_line(value, 60)} cannot be used",
            remedy="give more than zero and at most 90 deg; leave the position out to search the whole sky",
        )
    return radius


def write_radius(radius: float) -> str:
    """The radius as text that `read_radius` reads to the same value.

    Examples
    --------
    >>> write_radius(15.0)
    '15 arcmin'
    """
    return f"{_shortest(radius)} arcmin"


def _shortest(number: float) -> str:
    text = repr(number)
    return text.removesuffix(".0")


def read_names(value: TextsLike) -> tuple[str, ...]:
    """Names of targets, sorted, each once, with single spaces.

    Raises
    ------
    CriteriaError
        No name, an empty one, or one that holds control characters.
    """
    names = several(value)
    if not names:
        raise CriteriaError("target", "the list of targets is empty", remedy="give at least one name")
    for name in names:
        if not isinstance(name, str) or not name.strip() or len(name) > 100 or not name.isprintable():
            raise CriteriaError(
                "target",
                f"{str(name)[:100]!r} is not the name of a target",
                remedy="give a name that Simbad or NED knows, or coordinates as a position (position=..., --position)",
            )
    return tuple(sorted({" ".join(name.split()) for name in names}))
