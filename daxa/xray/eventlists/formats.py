"""Which instrument made an event list, and what it can give.

The facts are in `daxa.xray.telescopes`, one module per telescope.
"""

from __future__ import annotations

from collections.abc import Mapping

from astropy.io import fits

from daxa.errors import DataError, NotPossible
from daxa.xray.eventlists.cards import card_number, card_text
from daxa.xray.telescopes.eventformat import EventFormat, Product, Refusal
from daxa.xray.telescopes.registry import LazyDeclarations, event_formats, left_out, telescop_names

__all__ = ["FORMATS", "EventFormat", "Product", "Refusal", "card_number", "card_text", "recognise", "why_not"]


FORMATS: Mapping[tuple[str, ...], EventFormat] = LazyDeclarations(event_formats)
"""``(TELESCOP, INSTRUME)``, with the mode where modes differ, in capitals, to the format of the event lists."""

_MODE_CARDS = ("DATAMODE", "DETNAM", "OBS_MODE")


def recognise(primary: fits.Header, events: fits.Header) -> EventFormat:
    """The format of an event list.

    Parameters
    ----------
    primary, events
        Headers of the primary HDU and of the events table.

    Returns
    -------
    EventFormat
        One of `FORMATS`.

    Raises
    ------
    DataError
        The headers name no telescope and instrument.
    NotPossible
        They name one whose event lists are not processed natively.

    Examples
    --------
    >>> header = fits.Header({"TELESCOP": "NuSTAR", "INSTRUME": "FPMB"})
    >>> recognise(header, header).pi_to_kev
    (1.6, 0.04)
    """

    def card(keyword: str) -> str:
        return (card_text(events, keyword) or card_text(primary, keyword)).upper()

    telescope, instrument = card("TELESCOP"), card("INSTRUME")
    if not telescope or not instrument:
        raise DataError(
            "unrecognised",
            "the event list does not say which telescope and instrument made it (TELESCOP, INSTRUME)",
            remedy="check that the file is an event list as the archive distributes it",
        )
    place = telescop_names().get(telescope, telescope), instrument
    for mode in map(card, _MODE_CARDS):
        if (*place, mode) in FORMATS:
            return FORMATS[*place, mode]
    if place in FORMATS:
        return FORMATS[place]
    raise _unknown(place, f"{telescope} {instrument}")


def _unknown(place: tuple[str, str], title: str) -> NotPossible:
    modes = sorted(key[2] for key in FORMATS if key[:2] == place and len(key) > 2)
    reason = left_out(*place)
    if modes:
        why, remedy = " in this mode", f"the modes that are read: {', '.join(modes)}"
    elif reason:
        why, remedy = f": {reason}", "use the mission's own software for it"
    else:
        known = ", ".join(sorted({f"{form.mission} {form.instrument}" for form in FORMATS.values()}))
        why, remedy = "", f"choose one of {known}"
    return NotPossible("instrument", f"event lists of {title} are not processed natively{why}", remedy=remedy)


def why_not(form: EventFormat, product: Product, *headers: fits.Header) -> str:
    """Why an instrument cannot give something.

    Parameters
    ----------
    form
        The facts about the instrument.
    product
        What is requested.
    *headers
        Of the list, where the answer may depend on the mode; the first that has the card counts.

    Returns
    -------
    str
        The reason; '' when it can.

    Examples
    --------
    >>> why_not(FORMATS["NICER", "XTI"], "image")
    'its concentrators do not image'
    >>> why_not(FORMATS["XMM", "EMOS1"], "image")
    ''
    """
    for refusal in form.refusals:
        if refusal.product != product:
            continue
        value = next((text for header in headers if (text := card_text(header, refusal.card).upper())), "")
        if not refusal.card or value.startswith(refusal.values):
            return refusal.reason
    return ""
