"""When a list was taken: the cards of its own good times, and what its header claims of them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from astropy.io import fits
from astropy.time import Time

from daxa.errors import DataError
from daxa.xray.cleaning.livetime import livetime, ontime
from daxa.xray.eventlists.cards import card_number, card_text
from daxa.xray.eventlists.clock import unit_of_cards
from daxa.xray.eventlists.event_list import EventList

__all__ = ["assumption_cards", "clock_cards", "span_cards", "stated_assumptions", "update_span"]

_TOLERANCE = 0.01
"""Share by which a header's exposure may differ from that of the good times."""

_DAY = 86400.0
_SYSTEMS = 120.0
"""Seconds: time systems differ by less, and dates may be rounded to a minute."""

_OLD_DATE = re.compile(r"(\d\d)/(\d\d)/(\d\d)", re.ASCII)
"""Day, month and year of the twentieth century (FITS before 1998)."""


def span_cards(events: EventList, gtis: Mapping[int, np.ndarray]) -> dict[str, tuple[float | str, str]]:
    """Start and end of good times, as dates too.

    Parameters
    ----------
    events
        The list whose clock they are on.
    gtis
        Chip to good time intervals, shape (n, 2), s.

    Returns
    -------
    dict
        TSTART, TSTOP (in the unit of TIMEUNIT), DATE-OBS, DATE-END, MJD-OBS, MJD-END to value
        and comment, in the list's time system; empty without any good time.

    See Also
    --------
    clock_cards : what TSTART and TSTOP count from.
    """
    good = [intervals for intervals in gtis.values() if len(intervals)]
    if not good:
        return {}
    unit = unit_of_cards(events.header, events.primary)
    edges = {"OBS": min(float(one.min()) for one in good), "END": max(float(one.max()) for one in good)}
    cards: dict[str, tuple[float | str, str]] = {}
    for (word, seconds), key, what in zip(edges.items(), ("TSTART", "TSTOP"), ("start", "end"), strict=True):
        date = events.clock.date(seconds)
        cards[key] = (seconds / unit, f"{what} of the good times")
        cards[f"DATE-{word}"] = (str(date.isot), f"{what} of the good times")
        cards[f"MJD-{word}"] = (float(date.mjd), f"[d] {what} of the good times")
    return cards


def clock_cards(events: EventList) -> dict[str, tuple[object, str]]:
    """What the times of a list count from, in one form for all lists: for products that have no such cards yet."""
    clock, unit = events.clock, unit_of_cards(events.header, events.primary)
    return {
        "MJDREFI": (clock.day, "[d] whole days of the reference of times"),
        "MJDREFF": (clock.fraction, "[d] and their fraction"),
        # Readers of world coordinates complain where only one form is there.
        "DATEREF": (str(Time(clock.day, clock.fraction, format="mjd", scale=clock.scale).isot), "the same as a date"),
        "TIMEZERO": (clock.zero / unit, "added to all times"),
        "TIMEUNIT": ("s" if unit == 1.0 else "d", "unit of times"),
    }


def update_span(header: fits.Header, cards: Mapping[str, tuple[float | str, str]], *, always: bool = True) -> None:
    """Write the cards of `span_cards` into a header, and those that repeat them in other forms.

    Parameters
    ----------
    header
        What is changed.
    cards
        As `span_cards` gives them.
    always
        Also write what the header does not have.
    """
    for key, card in cards.items():
        if key in header:
            header[key] = card[0]
        elif always:
            header[key] = card
    if not cards:
        return
    for key in ("OBS", "END"):
        if f"TIME-{key}" in header:
            header[f"TIME-{key}"] = str(cards[f"DATE-{key}"][0]).partition("T")[2]
    if "TELAPSE" in header:
        header["TELAPSE"] = float(cards["TSTOP"][0]) - float(cards["TSTART"][0])


def stated_assumptions(events: EventList) -> tuple[str, ...]:
    """What was taken for granted about a list, and what its header claims wrongly, one sentence each.

    Parameters
    ----------
    events
        The list, with its own good times.
    """
    return tuple(dict.fromkeys((*events.assumptions, *_wrong_claims(events), *_wrong_dates(events))))


def _wrong_claims(events: EventList) -> tuple[str, ...]:
    """EXPOSURE, ONTIME and LIVETIME that neither any chip, nor the mean of all, has."""
    try:
        good, live = ontime(events, events.gtis).values(), livetime(events, events.gtis).values()
    except DataError:
        return ()
    claims = []
    for key, known in (("EXPOSURE", (*live, *good)), ("ONTIME", (*good,)), ("LIVETIME", (*live,))):
        header = events.header if card_text(events.header, key) else events.primary
        if not card_text(header, key) or not known:
            continue
        claim, possible = card_number(header, key), (*known, float(np.mean(known)))
        if all(abs(claim - one) > _TOLERANCE * max(abs(claim), one) for one in possible):
            longest = max(live if key != "ONTIME" else good)
            claims.append(f"{key} of the list is {claim:.7g} s, but its good times give {longest:.7g} s, which counts")
    return tuple(claims)


def _wrong_dates(events: EventList) -> tuple[str, ...]:
    """Good times that start before DATE-OBS or end after DATE-END, by more than time systems differ.

    The clock of Einstein's lists is one: it counts 0.32 s to a tick since the launch, and is
    16 millionths slow, a quarter of an hour after two years.
    """
    span = span_cards(events, events.gtis)
    said = []
    for word, sign, what in (("OBS", 1.0, "start"), ("END", -1.0, "end")):
        stated = _date(events, word)
        if stated is None or not span:
            continue
        apart = sign * (stated - float(span[f"MJD-{word}"][0])) * _DAY
        if apart > _SYSTEMS:
            side = "before" if sign > 0 else "after"
            said.append(f"by their clock the good times {what} {apart:.0f} s {side} DATE-{word} of the list")
    return tuple(said)


def _date(events: EventList, word: str) -> float | None:
    """The MJD of DATE-OBS or DATE-END, with the time of day beside it, in any of its forms; None where it has none."""
    header = events.header if card_text(events.header, f"DATE-{word}") else events.primary
    text, clock = card_text(header, f"DATE-{word}"), card_text(header, f"TIME-{word}")
    if old := _OLD_DATE.fullmatch(text):
        text = f"19{old[3]}-{old[2]}-{old[1]}"
    if "T" not in text:
        text += f"T{clock}"
    try:
        return float(Time(text, format="isot", scale="tt").mjd)
    except ValueError:
        return None


def assumption_cards(events: EventList) -> dict[str, str]:
    """The assumptions as cards ASSUME1, ASSUME2, ..."""
    return {f"ASSUME{number}": text for number, text in enumerate(stated_assumptions(events), start=1)}
