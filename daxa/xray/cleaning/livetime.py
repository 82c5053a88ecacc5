"""How long each chip observed, and for how much of that it was live.

Computed from good time intervals, never read from an EXPOSURE card: that card keeps its
value when somebody cuts the list.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from daxa.errors import DataError
from daxa.xray.eventlists import gti
from daxa.xray.eventlists.cards import card_number
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.opening import has_cards, live_card

__all__ = ["livetime", "ontime"]

_ROUNDED = 1e-6
"""Share by which rounded cards may make a live time longer than its good time."""


def ontime(events: EventList, gtis: Mapping[int, np.ndarray]) -> dict[int, float]:
    """Good time of each chip, s.

    Parameters
    ----------
    events
        The event list (every format counts alike: the lengths of the intervals).
    gtis
        Chip to good time intervals, shape (n, 2), s.
    """
    return {chip: gti.total(intervals) for chip, intervals in gtis.items()}


def livetime(events: EventList, gtis: Mapping[int, np.ndarray]) -> dict[int, float]:
    """Live time of each chip, s: good time in which an event could have been recorded.

    Parameters
    ----------
    events
        The event list; tables of frames or dead time are read where the mission has them.
    gtis
        Chip to good time intervals, shape (n, 2), s.

    Raises
    ------
    DataError
        The list lacks the table or the card that the live time comes from, or they are not valid.

    Notes
    -----
    By `EventFormat.livetime_scheme`.  XMM: the sum of FRACEXP x TIMEDEL over the frames that
    lie wholly in a good interval of their CCD, TIME being the centre of a frame.  eROSITA:
    the integral of DEADC (``DEADCORn``) over the good time of a module.  Chandra: good time
    x DTCOR.  NuSTAR: good time x DEADC.  Others: good time x the first of the format's
    cards that the list has, such as DEADC or LIVETIME / ONTIME.  Cards that only the primary
    header has count as well.
    """
    scheme = events.format.livetime_scheme
    if scheme == "frames":
        return {chip: _frames(events, chip, intervals) for chip, intervals in gtis.items()}
    if scheme == "modules":
        return {chip: _corrected(events, chip, intervals) for chip, intervals in gtis.items()}
    headers = events.header, events.primary
    factor = _live_fraction(events, live_card(events.format, *headers) if scheme == "cards" else scheme.upper())
    return {chip: seconds * factor for chip, seconds in ontime(events, gtis).items()}


def _live_fraction(events: EventList, name: str) -> float:
    """A card, or a quotient of two; 1 for no name, which is among the list's assumptions."""
    if not name:
        return 1.0
    top, _, bottom = name.partition("/")
    headers = events.header, events.primary
    header = next((one for one in headers if has_cards(one, name)), events.header)
    factor = card_number(header, top)
    if bottom:
        whole = card_number(header, bottom)
        factor = factor / whole if whole > 0 else math.inf
    if 1.0 < factor <= 1.0 + _ROUNDED:
        factor = 1.0
    if not 0.0 < factor <= 1.0:
        raise _unusable(events, f"card {name} is {factor:g}, which is not a live fraction")
    return factor


def _corrected(events: EventList, chip: int, intervals: np.ndarray) -> float:
    """The live fractions of table DEADCORn, each until the next one."""
    if not len(intervals):
        return 0.0
    table = events.find_table(f"DEADCOR{chip}")
    if table is None:
        raise _unusable(events, f"it has good time for module {chip} but no table DEADCOR{chip}")
    starts, fractions = (table.numbers(name).astype(np.float64) for name in ("TIME", "DEADC"))
    sound = len(starts) and np.isfinite(starts).all() and (fractions >= 0).all() and (fractions <= 1).all()
    if not sound or (np.diff(starts) < 0).any():
        raise _unusable(events, f"table DEADCOR{chip} holds no live fractions in the order of time")
    # The first also holds before it, the last after it.
    low, high = min(starts[0], intervals[0, 0]), max(starts[-1], intervals[-1, 1])
    edges = np.concatenate(([low], starts[1:], [high]))
    return math.fsum((gti.covered(intervals, edges) * fractions).tolist())


def _frames(events: EventList, chip: int, intervals: np.ndarray) -> float:
    if not len(intervals):
        return 0.0
    table = events.find_table(f"EXPOSU{chip:02d}")
    if table is None:
        raise _unusable(events, f"it has good time for CCD {chip} but no table EXPOSU{chip:02d}")
    centre, length, fraction = (table.numbers(name).astype(np.float64) for name in ("TIME", "TIMEDEL", "FRACEXP"))
    if not (np.isfinite(centre).all() and (length >= 0).all() and (fraction >= 0).all() and (fraction <= 1).all()):
        raise _unusable(events, f"table EXPOSU{chip:02d} holds frames without a time, a length or a live fraction")
    # No tolerance at the edges: SAS allows none either, and a frame that only nearly fits is lost to both.
    inside = gti.spans(intervals, centre - length / 2, centre + length / 2)
    # fsum: the same value on every machine, whatever the order of the sum.
    return math.fsum((fraction[inside] * length[inside]).tolist())


def _unusable(events: EventList, what: str) -> DataError:
    return DataError(
        "livetime",
        f"the live time of {events.path.name} is unknown: {what}",
        remedy="use the list as the archive distributes it",
    )
