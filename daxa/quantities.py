"""The one reader of quantities as people write them: ``100 s``, ``0.5-2 keV``, ``0.4 count/s``.

A quantity is a number, or two with a dash between them, and a unit.  Numbers are ASCII digits, with or without
a decimal point and an exponent, and have no sign: nothing that daxa asks for is negative.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

__all__ = ["UNITS", "band_text", "normalise", "read_quantity", "read_range", "seconds_text"]


def _factors(texts: Mapping[str, str]) -> dict[str, Fraction]:
    return {name: Fraction(text) for name, text in texts.items()}


_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_LONGEST = 100
_QUANTITY = re.compile(rf"({_NUMBER})(?:\s*-\s*({_NUMBER}))?\s*([A-Za-z'\"]+(?:/s)?)", re.ASCII)

UNITS: Mapping[str, Mapping[str, Fraction]] = {
    "s": _factors({"s": "1", "ks": "1000", "Ms": "1000000", "min": "60", "h": "3600", "hr": "3600", "d": "86400"}),
    "arcsec": _factors({"arcsec": "1", '"': "1", "arcmin": "60", "'": "60", "deg": "3600"}),
    "arcmin": _factors({"deg": "60", "d": "60", "arcmin": "1", "'": "1", "arcsec": "1/60", '"': "1/60"}),
    "keV": _factors({"keV": "1", "eV": "1/1000"}),
    "count/s": _factors({"count/s": "1", "ct/s": "1"}),
}
"""The unit in which values are kept, to the units in which they may be written, each with its size in that unit."""

# A parameter alone does not say what it measures: of the units of two kinds, "d" is then a day.
_CANONICAL = {name: kept for kept in ("arcsec", "keV", "count/s", "s") for name in UNITS[kept]}
# Units that only the steps of some backend know keep their name.
_OTHER = re.compile(rf"({_NUMBER})(?:\s*-\s*({_NUMBER}))?\s*([A-Za-z%]+)", re.ASCII)


def read_quantity(text: object, unit: str) -> float:
    """A number with its unit.

    Parameters
    ----------
    text
        Such as ``1.5 ks``.
    unit
        Unit of the result: a key of `UNITS`.

    Raises
    ------
    ValueError
        It is not a text, has no unit or one of another kind, or is a range.

    Examples
    --------
    >>> read_quantity("1.5 ks", "s"), read_quantity("0.1arcmin", "arcsec")
    (1500.0, 6.0)
    """
    low, high = _parse(text, unit)
    if high is not None:
        raise ValueError(f"{text!r} is a range")
    return low


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
    low, high = _parse(text, unit)
    if high is None or not low < high < math.inf:
        raise ValueError(f"{text!r} is not a range from a lower to a higher value")
    # Six digits: 500 eV are 0.5 keV in the name of a product.
    return round(low, 6), round(high, 6)


def band_text(band: tuple[float, float] | None) -> str:
    """A band (keV) as people write it; None is every channel.

    Examples
    --------
    >>> band_text((0.5, 2.0)), band_text(None)
    ('0.5-2 keV', 'all channels')
    """
    return f"{band[0]:g}-{band[1]:g} keV" if band else "all channels"


def seconds_text(seconds: float) -> str:
    """An exposure as astronomers read it, or '' for none.

    Examples
    --------
    >>> seconds_text(23456.7)
    '23.5 ks'
    """
    return f"{seconds / 1000:.1f} ks" if math.isfinite(seconds) else ""


def normalise(value: Any) -> Any:
    """A parameter's value in the form that enters fingerprints: spellings of one value become one text.

    Numbers become floats; quantities of a kind that `UNITS` knows are given in s, arcsec, keV or count/s.

    Examples
    --------
    >>> normalise({"bin": "100 s", "bands": ["0.50-2 keV", "500-2000 eV"], "sigma": 3, "mask": True})
    {'bin': '100.0 s', 'bands': ['0.5-2.0 keV', '0.5-2.0 keV'], 'sigma': 3.0, 'mask': True}
    >>> normalise("1 ks") == normalise("1000 s"), normalise("0.40 ct/s")
    (True, '0.4 count/s')
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        return _canonical(value)
    if isinstance(value, list):
        return [normalise(item) for item in value]
    if isinstance(value, dict):
        return {key: normalise(item) for key, item in value.items()}
    return value


def _canonical(text: str) -> str:
    words = text.strip()
    found = (_QUANTITY.fullmatch(words) or _OTHER.fullmatch(words)) if len(words) <= _LONGEST else None
    if not found or (found[3] not in _CANONICAL and not _OTHER.fullmatch(words)):
        return text
    unit = _CANONICAL.get(found[3], found[3])
    factor = UNITS[unit][found[3]] if found[3] in _CANONICAL else Fraction(1)
    return f"{'-'.join(repr(_scaled(number, factor)) for number in found.groups()[:2] if number)} {unit}"


def _parse(text: object, unit: str) -> tuple[float, float | None]:
    found = _QUANTITY.fullmatch(text) if isinstance(text, str) and len(text) <= _LONGEST else None
    factor = UNITS[unit].get(found[3]) if found else None
    if not found or factor is None:
        raise ValueError(f"{str(text)[:100]!r} is not a number with a unit of {', '.join(UNITS[unit])}")
    return _scaled(found[1], factor), _scaled(found[2], factor) if found[2] else None


def _scaled(digits: str, factor: Fraction) -> float:
    """A number in another unit, rounded once: 700 eV are 0.7 keV, not 0.7000000000000001."""
    number = float(digits)
    # What no float can hold, or only as zero, would make an enormous fraction.
    if factor == 1 or number == 0 or not math.isfinite(number):
        return number
    try:
        return float(Fraction(digits) * factor)
    except OverflowError:
        return math.inf
