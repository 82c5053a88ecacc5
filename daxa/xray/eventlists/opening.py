"""Open an event list: recognise it, and read its clock, good times and sky.

Headers and good time intervals are read; the rows stay in the file.  Every count, offset and name in the file is
checked before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from daxa.errors import DataError, NotPossible
from daxa.xray.eventlists import gti
from daxa.xray.eventlists.cards import card_text
from daxa.xray.eventlists.clock import Clock, read_clock
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.fits_tables import column_names, read_column, read_numbers, read_tables
from daxa.xray.eventlists.formats import EventFormat, recognise
from daxa.xray.eventlists.goodtimes import read_gtis
from daxa.xray.eventlists.identity import events_table, exposure_name, observation_name, read_assumptions
from daxa.xray.eventlists.sky_grid import find_sky

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["has_cards", "live_card", "open_events"]

_EARLIEST, _LATEST = 37665, 88069
"""MJD of 1962, when the first source of X-rays beyond the Sun was found, and of 2100."""


def open_events(path: str | Path, *, good_times: ArrayLike | None = None, obs_id: str = "") -> EventList:
    """Open an event list.

    Parameters
    ----------
    path
        A FITS file, plain (memory-mapped) or compressed by gzip (read into memory),
        whatever its name ends with.
    good_times
        Intervals, shape (n, 2), s on the list's own clock, for a list that has no good
        times of its own, such as an extract; they hold for all chips.  Where the list has
        some that can be read, they are used and these are refused.
    obs_id
        Name of the observation, for a list that does not say it.

    Returns
    -------
    EventList
        Its rows are not read yet.

    Raises
    ------
    DataError
        The file is absent, damaged, truncated, not an event list, or has no good time
        intervals.
    NotPossible
        It comes from an instrument that is not processed natively.
    """
    path = Path(path)
    try:
        return _opened(path, good_times, obs_id)
    except (DataError, NotPossible) as problem:
        if path.name in problem.message:
            raise
        raise problem.reworded(f"{path.name}: {problem.message}") from problem


def _opened(path: Path, good_times: ArrayLike | None, obs_id: str) -> EventList:
    primary, tables = read_tables(path)
    events = events_table(path, tables)
    form = recognise(primary, events.header)
    rows = events.rows()
    clock, assumptions = read_clock(form, events.header, primary)
    own = partial(read_gtis, path.name, form, events=events.header, primary=primary, tables=tables, clock=clock)
    if good_times is None:
        gtis, given = own()
    else:
        gtis, given = _given_times(path, form, rows, good_times, own), ("good times were given by the user",)
    _check_dates(clock, gtis)
    named, unnamed = observation_name(path, form, events.header, primary, obs_id)
    live = _live_assumption(form, events.header, primary)
    sky = find_sky(form, events.header, primary)
    _check_numbers(rows, (*(sky.columns if sky else ()), form.chip_column))
    return EventList(
        path=path,
        format=form,
        header=events.header,
        primary=primary,
        obs_id=named,
        exposure=exposure_name(events.header, primary),
        rows=rows,
        gtis=MappingProxyType(gtis),
        sky_grid=sky,
        tables=tables,
        clock=clock,
        assumptions=_without_doubles((*read_assumptions(events.header), *assumptions, *given, *unnamed, *live)),
    )


def _check_numbers(rows: np.ndarray, names: tuple[str, ...]) -> None:
    """Refuse columns of positions or chips that hold no number for each event."""
    present = {name.lower() for name in column_names(rows)}
    for name in names:
        if name.lower() in present:
            read_numbers(rows[:0], name)


def _check_dates(clock: Clock, gtis: Mapping[int, np.ndarray]) -> None:
    """Refuse a clock by which the list was taken when there was no X-ray telescope."""
    starts = [float(good.min()) for good in gtis.values() if len(good)]
    if not starts:
        return
    began = clock.date(min(starts))
    if not _EARLIEST <= began.mjd <= _LATEST:
        raise DataError(
            "time",
            f"by the clock of the event list its good times start in {began.jyear:.0f}",
            remedy="write the reference of its times, MJDREFI and MJDREFF (or MJDREF), into the header of its events",
        )


def _without_doubles(sentences: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sentences))


def _given_times(
    path: Path, form: EventFormat, rows: np.ndarray, given: ArrayLike, own: Callable[[], object]
) -> dict[int, np.ndarray]:
    """The user's good times for every chip that has an event."""
    try:
        own()
    except DataError:
        pass
    else:
        raise DataError(
            "gti",
            f"{path.name} has its own good times, which others cannot replace",
            remedy="open it without them, and intersect them with its own (daxa.xray.eventlists.gti.intersect)",
        )
    intervals = gti.normalise(given)
    if not len(intervals):
        raise DataError(
            "no-gti", f"the good times given for {path.name} are empty", remedy="give at least one interval"
        )
    chips = np.unique(read_column(rows, form.chip_column)).tolist() if form.chip_column else [0]
    return dict.fromkeys(map(int, chips), intervals)


def _live_assumption(form: EventFormat, *headers: fits.Header) -> tuple[str, ...]:
    if form.livetime_scheme != "cards" or live_card(form, *headers):
        return ()
    return ("all of the good time is live",)


def live_card(form: EventFormat, *headers: fits.Header) -> str:
    """The first card or quotient of cards with the live fraction that a header has; '' when none has any.

    Parameters
    ----------
    form
        The facts about lists of this kind.
    headers
        Of the events and of the primary HDU; the first that has one counts.
    """
    names = (name for header in headers for name in form.live_cards if has_cards(header, name))
    return next(names, "")


def has_cards(header: fits.Header, name: str) -> bool:
    """Whether a header has a card, or both cards of a quotient."""
    return all(card_text(header, part) for part in name.split("/"))
