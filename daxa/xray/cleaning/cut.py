"""The one place where events are selected.

A `Cut` says which events of a list count: screening rules, good time intervals per chip
and a range of channels.  Images, light curves and cleaned lists all use `select`, and
exposure maps the same `Cut`, so that counts and exposure cannot disagree.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daxa.xray.cleaning.screening import screening_for
from daxa.xray.eventlists import gti
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.fits_tables import in_machine_order, read_column
from daxa.xray.eventlists.rules import Either, Rule, rules_mask

__all__ = ["Cut", "chosen", "positions_valid", "select", "standard_cut"]

_NO_CHIP = 256
_MOST_MOMENTS = 50_000


@dataclass(frozen=True, eq=False)
class Cut:
    """Which events of a list count.

    Parameters
    ----------
    rules
        Screening; every rule must hold.
    gtis
        Chip to good time intervals, shape (n, 2), s; chip 0 for formats with one list.  An
        event on a chip that is absent does not count.
    pi
        First and last channel; None for all, also for events without a channel.
    """

    rules: tuple[Rule | Either, ...]
    gtis: Mapping[int, np.ndarray]
    pi: tuple[int, int] | None = None

    @cached_property
    def edges(self) -> dict[int, np.ndarray]:
        """Chip to the edges of its good times in normal form, shape (2 n,), s: start, stop, start, ..."""
        return {chip: np.ascontiguousarray(gti.normalise(good)).ravel() for chip, good in self.gtis.items()}

    @cached_property
    def moments(self) -> np.ndarray:
        """All moments at which the good time of some chip starts or stops, increasing, s."""
        return np.unique(np.concatenate([np.empty(0), *self.edges.values()]))

    @cached_property
    def states(self) -> np.ndarray | None:
        """Which chips are good between two moments, shape (moments + 1, 257); the last column is of no chip.

        None where that would be large, or chips have other numbers than bytes.
        """
        chips = list(self.edges)
        if len(self.moments) > _MOST_MOMENTS or any(not 0 <= chip < _NO_CHIP for chip in chips):
            return None
        states = np.zeros((len(self.moments) + 1, _NO_CHIP + 1), dtype=bool)
        for chip, edges in self.edges.items():
            # The number of edges before a time is odd inside an interval.
            states[1:, chip] = edges.searchsorted(self.moments, side="right") % 2 == 1
        return states

    @property
    def identity(self) -> str:
        """Digest (16 hexadecimal digits) of rules, good times and channels.

        Products whose identity differs were made of different events and must not be
        combined.  The sources of the rules do not count.
        """
        digest = hashlib.sha256()
        rules = [_identify(rule) for rule in self.rules]
        digest.update(json.dumps([rules, self.pi], separators=(",", ":")).encode())
        for chip, intervals in sorted(self.gtis.items()):
            digest.update(f"{chip}:{len(intervals)}:".encode())
            digest.update(gti.normalise(intervals).astype("<f8").tobytes())
        return digest.hexdigest()[:16]


def _identify(rule: Rule | Either) -> list:
    if isinstance(rule, Either):
        return ["either", [[_identify(one) for one in way] for way in rule.ways]]
    return [rule.column.lower(), rule.op, rule.value, rule.bits, *([rule.plus] if rule.plus else [])]


def standard_cut(events: EventList, *, pi: tuple[int, int] | None = None) -> Cut:
    """The standard screening with the list's own good time intervals.

    Parameters
    ----------
    events
        The list.
    pi
        First and last channel; all when left out.

    Returns
    -------
    Cut
        What to give to `count_image`, `light_curve` and `exposure_map`.
    """
    return Cut(screening_for(events), events.gtis, pi)


def select(events: EventList, cut: Cut, rows: np.ndarray, *, sky: bool = False) -> np.ndarray:
    """Which rows count.

    Parameters
    ----------
    events
        The list that the rows come from.
    cut
        What counts.
    rows
        Shape (n,), rows of the list, such as one of its chunks.
    sky
        Also leave out events without a sky position (TNULL, NaN).

    Returns
    -------
    ndarray
        Booleans, shape (n,).

    Raises
    ------
    DataError
        A column is absent or of the wrong kind.
    NotPossible
        `sky` is requested and the list has no sky coordinates.
    """
    mask = np.zeros(len(rows), dtype=bool)
    for start in range(0, len(rows), events.block):
        mask[start + chosen(events, cut, rows[start : start + events.block], sky=sky)] = True
    return mask


def chosen(events: EventList, cut: Cut, rows: np.ndarray, *, sky: bool = False) -> np.ndarray:
    """Numbers of the rows that count, increasing: `select` for few rows at a time (`EventList.block`)."""
    mask = rules_mask(cut.rules, rows)
    if cut.pi is not None:
        mask &= events.in_band(rows, *cut.pi)
    if sky:
        mask &= positions_valid(events, rows)
    kept = np.flatnonzero(mask)
    return kept[_in_good_time(events, cut, rows, kept)] if len(kept) else kept


def positions_valid(events: EventList, rows: np.ndarray) -> np.ndarray:
    """Which rows have a sky position within the legal range of the columns, booleans of shape (n,)."""
    valid = np.ones(len(rows), dtype=bool)
    sky = events.sky
    for name, null, (first, last) in zip(sky.columns, sky.nulls, sky.limits, strict=True):
        values = in_machine_order(read_column(rows, name))
        if values.dtype.kind == "f":
            # NaN is in no range.
            valid &= (values >= first - 0.5) & (values < last + 0.5)
            continue
        if np.iinfo(values.dtype).min < first:
            valid &= values >= first
        if np.iinfo(values.dtype).max > last:
            valid &= values <= last
        if null is not None and first <= null <= last:
            valid &= values != null
    return valid


def _in_good_time(events: EventList, cut: Cut, rows: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Of the rows with the numbers `kept`, which fell into the good time of their chip."""
    times = events.times(rows)[kept]
    chip_column = events.format.chip_column
    chips = in_machine_order(read_column(rows, chip_column))[kept] if chip_column else np.zeros(len(kept), np.uint8)
    if chips.dtype.kind == "f":
        sound = (chips >= 0) & (chips < _NO_CHIP) & (chips == np.floor(chips))
        chips = np.where(sound, chips, _NO_CHIP).astype(np.int64)
    if cut.states is not None:
        return _by_state(cut.moments, cut.states, times, chips)
    good = np.zeros(len(kept), dtype=bool)
    for chip, edges in cut.edges.items():
        own = chips == chip
        good[own] = edges.searchsorted(times[own], side="right") % 2 == 1
    return good


def _by_state(moments: np.ndarray, states: np.ndarray, times: np.ndarray, chips: np.ndarray) -> np.ndarray:
    """The state of each chip at each time; only the moments between the first time and the last are searched."""
    if chips.dtype != np.uint8:
        chips = np.where((chips >= 0) & (chips < _NO_CHIP), chips, _NO_CHIP)
    low, high = times.min(), times.max()
    if np.isnan(low):
        # What has no time comes before all moments, where nothing is good.
        times = np.where(np.isnan(times), -np.inf, times)
        low, high = times.min(), times.max()
    first, last = moments.searchsorted((low, high), side="right").tolist()
    if first == last:
        return states[first][chips]
    return states[first + moments[first:last].searchsorted(times, side="right"), chips]
