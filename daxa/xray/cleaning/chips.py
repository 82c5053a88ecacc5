"""Which chips of a camera are used: those that are requested, and those that are not anomalous.

Chips of some cameras (`Camera.corners`) fall into states of high background below 1 keV.  They show
where no photon comes, in the corners outside the field of view, by the ratio of counts at 2.5-5.0 and
0.4-0.8 keV (Kuntz & Snowden 2008, A&A 478, 575).  States are those of the SAS task emanom
(goflib-0.20.1, its description), which writes the same cards.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daxa.errors import NotPossible
from daxa.xray.cleaning.cut import Cut, select
from daxa.xray.cleaning.ownscreening import read_values
from daxa.xray.cleaning.screening import screening_for
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.fits_tables import read_column
from daxa.xray.eventlists.rules import Rule, mask_of
from daxa.xray.telescopes.registry import camera_of

__all__ = ["ChipState", "anomalous_chips", "chips_for", "parse_chips", "state_cards"]

_SURE, _MOST_ERRORS = 0.25, 2.0
"""Relative error of the hardness up to which the state is what it says, and errors by which it must be clear beyond."""

_PART = re.compile(r"(?:([A-Za-z0-9]{1,16}):)?([0-9,\-]+)", re.ASCII)


@dataclass(frozen=True)
class ChipState:
    """What the corners of a chip show.

    Parameters
    ----------
    chip
        Its number.
    ratio, error
        Hardness and its standard error; NaN where there are no counts in one of the bands.
    state
        ``G`` good, ``I`` intermediate, ``B`` bad below 1 keV, ``O`` off; ``U`` unknown, also where the counts
        are so few that chance may have made another state of it.
    """

    chip: int
    ratio: float
    error: float
    state: str


def anomalous_chips(events: EventList) -> tuple[ChipState, ...]:
    """The states of the chips that may be anomalous; none for instruments that are not known for it.

    Parameters
    ----------
    events
        The archive's calibrated list, with the events outside the field of view.
    """
    corners = camera_of(events.format.mission, events.format.instrument).corners
    if corners is None:
        return ()
    # The first rule of a camera with corners is its flag word.
    word, *others = (one for one in screening_for(events) if isinstance(one, Rule))
    rules = [
        Rule("FLAG", "bits_clear", mask_of(word) & ~corners.outside, word.source),
        Rule("FLAG", "bits_set", corners.outside, "outside the field of view"),
        *(one for one in others if one.column == "PATTERN"),
    ]
    counts = {chip: np.zeros(2, dtype=np.int64) for chip in corners.limits}
    for rows in events.chunks():
        corner = rows[select(events, Cut(tuple(rules), events.gtis), rows)]
        numbers = read_column(corner, events.format.chip_column)
        for place, (first, last) in enumerate((corners.hard, corners.soft)):
            inside = events.in_band(corner, first, last)
            for chip, count in counts.items():
                count[place] += np.count_nonzero(inside & (numbers == chip))
    return tuple(
        _state(chip, limits, *counts[chip].tolist(), on=len(events.gtis.get(chip, ())) > 0)
        for chip, limits in corners.limits.items()
    )


def _state(chip: int, limits: tuple[float, float] | None, hard: int, soft: int, *, on: bool) -> ChipState:
    if not on:
        return ChipState(chip, math.nan, math.nan, "O")
    if not hard or not soft:
        return ChipState(chip, math.nan, math.nan, "U")
    ratio = hard / soft
    error = ratio * math.sqrt(1 / hard + 1 / soft)
    if limits is None:
        return ChipState(chip, ratio, error, "U")
    # The ratio of small numbers is skew: its logarithm has the error that is meant.
    factor = math.exp(_MOST_ERRORS * error / ratio)
    if error > _SURE * ratio and limits[0] / factor <= ratio <= limits[1] * factor:
        return ChipState(chip, ratio, error, "U")
    return ChipState(chip, ratio, error, "B" if ratio < limits[0] else "G" if ratio > limits[1] else "I")


def state_cards(states: Sequence[ChipState]) -> dict[str, tuple[object, str]]:
    """The states as cards: keyword to (value, comment)."""
    cards: dict[str, tuple[object, str]] = {}
    for one in states:
        cards[f"ANOMFL{one.chip}"] = (one.state, "chip: Good Intermediate Bad Unknown Off")
        if math.isfinite(one.ratio):
            cards[f"ANOMHR{one.chip}"] = (round(one.ratio, 4), "corner counts at 2.5-5 over 0.4-0.8 keV")
            cards[f"ANOMHE{one.chip}"] = (round(one.error, 4), "its standard error")
    return cards


def parse_chips(text: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Instruments ('' for all) and their chips.

    Raises
    ------
    ValueError
        It is not a list of chips.

    Examples
    --------
    >>> parse_chips("M1:1,2,7 PN:1-3")
    (('M1', (1, 2, 7)), ('PN', (1, 2, 3)))
    """
    found = []
    for part in text.split():
        match = _PART.fullmatch(part)
        if not match:
            raise ValueError('write numbers and ranges such as "1-3,7", or "M1:1,2,7 PN:1-12" for some instruments')
        found.append(((match[1] or "").upper(), read_values(match[2])))
    if len({name for name, _ in found}) < len(found):
        raise ValueError("name each instrument once")
    return tuple(found)


def chips_for(events: EventList, text: str) -> frozenset[int] | None:
    """The chips that are requested of a list; None for all.

    Raises
    ------
    NotPossible
        The list has none of them, or does not distinguish chips.
    """
    by_instrument = dict(parse_chips(text))
    requested = by_instrument.get(events.format.instrument.upper(), by_instrument.get(""))
    if requested is None:
        return None
    known = sorted(chip for chip, own in events.gtis.items() if len(own))
    chosen = frozenset(requested) & frozenset(known)
    if not events.format.chip_column or not chosen:
        have = ", ".join(map(str, known)) if events.format.chip_column else "none that its good times distinguish"
        raise NotPossible(
            "chips",
            f"{events.path.name} ({events.obs_id}) has none of the chips that clean.chips requests",
            remedy=f"its chips are {have}",
        )
    return chosen
