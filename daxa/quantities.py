"""The one reader of quantities as people write them: ``100 s``, ``0.5-2 keV``, ``0.4 count/s``.

A quantity is a number, or two with a dash between them, and a unit.  Numbers are ASCII digits, with or without
a decimal point and an exponent, and have no sign: nothing that daxa asks for is negative.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["UNITS", "band_text", "normalise", "read_quantity", "read_range"]

_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_QUANTITY = re.compile(rf"({_NUMBER})(?:\s*-\s*({_NUMBER}))?\s*([A-Za-z'\"]+(?:/s)?)", re.ASCII)

UNITS: Mapping[str, Mapping[str, float]] = {
    "s": {"s": 1.0, "ks": 1e3, "Ms": 1e6, "min": 60.0, "h": 3600.0, "hr": 3600.0, "d": 86400.0},
    "arcsec": {"arcsec": 1.0, "arcmin": 60.0, "deg": 3600.0},
    "arcmin": {"deg": 60.0, "d": 60.0, "arcmin": 1.0, "'": 1.0, "arcsec": 1 / 60, '"': 1 / 60},
    "keV": {"keV": 1.0, "eV": 0.001},
    "count/s": {"count/s": 1.0, "ct/s": 1.0},
}
"""The unit that a value is kept in, to the units in which it may be written and how many of the former each is."""

# What fingerprints hold.  Another form would make every archive's products out of date, so it stays as it is,
# although it leaves units with a slash and numbers that begin with their point as they are written.
_KEPT_NUMBER = r"\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_KEPT = re.compile(rf"\s*({_KEPT_NUMBER})\s*(?:-\s*({_KEPT_NUMBER}))?\s*([A-Za-z%]+)\s*", re.ASCII)


def read_quantity(text: object, unit: str) -> float:
    """A number with its unit.

    Parameters
    ----------
    text
        Such as ``1.5 ks``.
    unit
        In which the value is wanted: a key of `UNITS`.

    Raises
    ------
    ValueError
        It is not a text, has no unit or one of another kind, or is a range.

    Examples
    --------
    >>> read_quantity("1.5 ks", "s"), read_quantity("0.1arcmin", "arcsec")
    (1500.0, 6.0)
    """
    low, high, factor = _parse(text, unit)
    if high is not None:
        raise ValueError(f"{text!r} is a range")
    return low * factor


def read_range(text: object, unit: str) -> tuple[float, float]:
    """Two numbers with their unit, the lower one first, rounded to six digits.

    Raises
    ------
    ValueError
        It is not a text, has no unit or one of another kind, is a single number, empty or reversed.

    Examples
    --------
    >>> read_range("0.5-2 keV", "keV") == read_range("500 - 2000 eV", "keV") == (0.5, 2.0)
    True
    """
    low, high, factor = _parse(text, unit)
    if high is None or not low < high < math.inf:
        raise ValueError(f"{text!r} is not a range from a lower to a higher value")
    # Six digits: 500 eV are 0.5 keV in the name of a product.
    return round(low * factor, 6), round(high * factor, 6)


def band_text(band: tuple[float, float]) -> str:
    """A band as people write it.

    Examples
    --------
    >>> band_text((0.5, 2.0))
    '0.5-2 keV'
    """
    return f"{band[0]:g}-{band[1]:g} keV"


def normalise(value: Any) -> Any:
    """A parameter's value in the form that enters fingerprints: spellings of one value become one text.

    Examples
    --------
    >>> normalise({"bin": "100 s", "bands": ["0.50-2 keV"], "sigma": 3, "mask": True})
    {'bin': '100.0 s', 'bands': ['0.5-2.0 keV'], 'sigma': 3.0, 'mask': True}
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and (found := _KEPT.fullmatch(value)):
        return f"{'-'.join(repr(float(number)) for number in found.groups()[:2] if number)} {found[3]}"
    if isinstance(value, list):
        return [normalise(item) for item in value]
    if isinstance(value, dict):
        return {key: normalise(item) for key, item in value.items()}
    return value


def _parse(text: object, unit: str) -> tuple[float, float | None, float]:
    found = _QUANTITY.fullmatch(text) if isinstance(text, str) and len(text) <= 100 else None
    factor = UNITS[unit].get(found[3]) if found else None
    if not found or factor is None:
        raise ValueError(f"{str(text)[:100]!r} is not a number with a unit of {', '.join(UNITS[unit])}")
    return float(found[1]), float(found[2]) if found[2] else None, factor
