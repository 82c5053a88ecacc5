"""Values of header cards, read without trusting them."""

from __future__ import annotations

import cmath
import math

from astropy.io import fits

from daxa.errors import DataError

__all__ = ["card_number", "card_text", "card_value"]


def card_text(header: fits.Header, keyword: str, default: str = "") -> str:
    """The value of a card as text without blanks around it; `default` when absent or undefined.

    Raises
    ------
    DataError
        The card cannot be parsed, or holds other than printable ASCII characters.
    """
    try:
        value = header.get(keyword)
    except fits.VerifyError:
        raise _bad_card(header, keyword) from None
    if value is None or isinstance(value, fits.card.Undefined):
        return default
    text = str(value).strip()
    if not (text.isascii() and text.isprintable()):
        raise _bad_card(header, keyword)
    return text


def card_value(header: fits.Header, keyword: str) -> object:
    """The value of a card that is there, as it may be written again.

    Raises
    ------
    DataError
        The card cannot be parsed, or its number is not finite (``1E400``), which FITS cannot express.
    """
    card_text(header, keyword)
    value = header[keyword]
    if isinstance(value, (float, complex)) and not cmath.isfinite(value):
        raise _bad_card(header, keyword)
    return value


def card_number(header: fits.Header, keyword: str, default: float | None = None) -> float:
    """The value of a card as a finite number, also where it was written as a string.

    Raises
    ------
    DataError
        It is not a finite number, or it is absent and there is no `default`.

    Examples
    --------
    >>> card_number(fits.Header({"TCRVL1": "0.0"}), "TCRVL1")
    0.0
    """
    text = card_text(header, keyword)
    if not text and default is not None:
        return default
    try:
        value = float(text)
    except ValueError:
        raise _bad_card(header, keyword) from None
    if not math.isfinite(value):
        raise _bad_card(header, keyword)
    return value


def _bad_card(header: fits.Header, keyword: str) -> DataError:
    table = "TFIELDS" in header
    return DataError(
        "card",
        f"card {keyword} of the {'table' if table else 'primary'} header is absent or unusable",
        remedy=f"use the list as the archive distributes it, or write {keyword} into that header",
    )
