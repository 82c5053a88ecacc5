"""Energy bands as ranges of channels.

A cut is made in integer channels, closed at both ends, because that is exact; what it
means in keV is computed from the channels and written into products.  A named band's
own channels win over the conversion from keV.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

from daxa.errors import NotPossible
from daxa.xray.eventlists.formats import why_not
from daxa.xray.telescopes.eventformat import EventFormat

__all__ = ["adjacent_ranges", "energy_cards", "pi_range", "realised_kev"]

_NEARLY = 1e-9
"""Channels; an edge this close to a channel's edge is that edge (0.5 / 0.001 is not 500)."""


def pi_range(
    form: EventFormat, lo_kev: float, hi_kev: float, *, pi: tuple[int, int] | None = None
) -> tuple[int, int, float, float]:
    """The channels of one band.

    Parameters
    ----------
    form
        The facts about the instrument's event lists.
    lo_kev, hi_kev
        Nominal edges, keV.
    pi
        First and last channel of a named band, which win.

    Returns
    -------
    first, last : int
        Both inside the band.  Where a channel is an energy, those from `lo_kev` to
        `hi_kev`, both included; else all that overlap the band.
    realised_lo, realised_hi : float
        The energies that these channels cover, keV.

    Raises
    ------
    NotPossible
        The band is empty, the instrument's channels do not reach so far, or are not energies.

    Examples
    --------
    >>> from daxa.xray.eventlists.formats import FORMATS
    >>> pi_range(FORMATS["XMM", "EMOS1"], 0.5, 2.0)
    (500, 2000, 0.5, 2.0)
    >>> pi_range(FORMATS["NUSTAR", "FPMA"], 3.0, 10.0)
    (35, 209, 3.0, 10.0)
    """
    if form.pi_to_kev is None:
        raise _no_energies(form)
    if pi is None:
        if not (math.isfinite(lo_kev) and math.isfinite(hi_kev) and lo_kev < hi_kev):
            raise _refuse(form, lo_kev, hi_kev, "is empty")
        pi = _channels(form, form.pi_to_kev, lo_kev, hi_kev)
    first, last = pi
    lowest, highest = form.pi_limits
    if first > last or first < lowest or last > highest:
        raise _refuse(form, lo_kev, hi_kev, "is not wholly within the instrument's energies")
    return first, last, *realised_kev(form, first, last)


def realised_kev(form: EventFormat, first: int, last: int) -> tuple[float, float]:
    """The energies that the channels from `first` to `last` cover, keV, rounded to 1e-9.

    Raises
    ------
    NotPossible
        The instrument measures no energies.
    """
    if form.pi_to_kev is None:
        raise _no_energies(form)
    zero, gain = form.pi_to_kev
    return round(zero + gain * first, 9), round(zero + gain * (last + (not form.pi_is_energy)), 9)


def adjacent_ranges(
    form: EventFormat, bands: Sequence[tuple[float, float]], *, edges: Literal["disjoint", "sas"] = "disjoint"
) -> tuple[tuple[int, int], ...]:
    """The channels of several bands, such that bands that meet share none.

    Parameters
    ----------
    form
        The facts about the instrument's event lists.
    bands
        Nominal edges of each band, keV, in any order.
    edges
        ``disjoint``: where a band ends at the energy at which another starts, a channel
        that belongs to both goes to the lower band.  ``sas``: it stays in both.

    Returns
    -------
    tuple
        First and last channel of each band, in the order of `bands`.

    Raises
    ------
    NotPossible
        As `pi_range`.

    Examples
    --------
    >>> from daxa.xray.eventlists.formats import FORMATS
    >>> adjacent_ranges(FORMATS["XMM", "EPN"], [(0.5, 2.0), (2.0, 10.0)])
    ((500, 2000), (2001, 10000))
    """
    ranges = [pi_range(form, lo, hi)[:2] for lo, hi in bands]
    if edges == "disjoint":
        for lower, upper in itertools.permutations(range(len(bands)), 2):
            if bands[lower][1] == bands[upper][0] and ranges[upper][0] <= ranges[lower][1]:
                ranges[upper] = (ranges[lower][1] + 1, ranges[upper][1])
                if ranges[upper][0] > ranges[upper][1]:
                    raise _refuse(form, *bands[upper], "has no channel of its own")
    return tuple(ranges)


def energy_cards(form: EventFormat, pi: tuple[int, int] | None) -> dict[str, tuple[object, str]]:
    """What a product's header says about channels and energies, and the rule between them.

    Parameters
    ----------
    form
        The facts about the instrument's event lists.
    pi
        First and last channel; None for all.

    Returns
    -------
    dict
        Keyword to value and comment; no energies where the instrument measures none.

    Examples
    --------
    >>> from daxa.xray.eventlists.formats import FORMATS
    >>> sorted(energy_cards(FORMATS["ROSAT", "HRI"], (2, 10)))
    ['CHANMAX', 'CHANMIN', 'CHANTYPE']
    """
    cards: dict[str, tuple[object, str]] = {"CHANTYPE": (form.channel_type, "kind of channel")}
    if pi is not None:
        cards["CHANMIN"] = (pi[0], "first channel")
        cards["CHANMAX"] = (pi[1], "last channel")
    if form.pi_to_kev is None:
        return cards
    if pi is not None:
        lo, hi = realised_kev(form, *pi)
        cards["ENERG_LO"] = (lo, "[keV] low edge of the first channel")
        cards["ENERG_HI"] = (hi, "[keV] high edge of the last channel")
    cards["PI0KEV"] = (form.pi_to_kev[0], "[keV] energy at which channel 0 starts")
    cards["PI2KEV"] = (form.pi_to_kev[1], "[keV] energy per channel")
    return cards


def _channels(form: EventFormat, pi_to_kev: tuple[float, float], lo_kev: float, hi_kev: float) -> tuple[int, int]:
    zero, gain = pi_to_kev
    lo, hi = (lo_kev - zero) / gain, (hi_kev - zero) / gain
    if form.pi_is_energy:
        return math.ceil(lo - _NEARLY * abs(lo)), math.floor(hi + _NEARLY * abs(hi))
    return math.floor(lo + _NEARLY * abs(lo)), math.ceil(hi - _NEARLY * abs(hi)) - 1


def _refuse(form: EventFormat, lo_kev: float, hi_kev: float, why: str) -> NotPossible:
    low, high = realised_kev(form, *form.pi_limits)
    return NotPossible(
        "energy-band",
        f"the band {lo_kev:g}-{hi_kev:g} keV {why} ({form.mission} {form.instrument})",
        remedy=f"choose a band within {low:g}-{high:g} keV",
    )


def _no_energies(form: EventFormat) -> NotPossible:
    return NotPossible(
        "energy-band",
        f"{form.title} has no energy bands: {why_not(form, 'energy-band')}",
        remedy=f"select channels ({form.pi_column} {form.pi_limits[0]} to {form.pi_limits[1]}) instead",
    )
