"""The good time intervals of an event list, chip by chip.

XMM says in its data subspace cards which table holds for which CCD, Chandra in the
CCD_ID card of each table; NuSTAR has one table.  An event belongs to the intervals of
its chip, and a chip without a table has no good time.  Where the mission's own tables
are absent, those that other programs write are read, and a remark says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.eventlists.cards import card_number, card_text
from daxa.xray.eventlists.clock import Clock, compare_clocks, seconds_per_unit
from daxa.xray.eventlists.fits_tables import FitsTable
from daxa.xray.eventlists.gti import intersect, union
from daxa.xray.telescopes.eventformat import EventFormat

__all__ = ["intervals_of", "read_gtis"]

_STANDARD = re.compile(r"STDGTI(\d\d)", re.ASCII)
_NUMBERED = re.compile(r"GTI([1-7])", re.ASCII)
_REFERENCE = re.compile(r"(?:[^:]*):([A-Z0-9_-]{1,32})", re.ASCII)
_CHIPS = re.compile(r"\d{1,2}(?::\d{1,2})?(?:,\d{1,2}(?::\d{1,2})?)*", re.ASCII)
_MOST_COMPONENTS = 99

_OTHERS = (r"GTI0", r"SRC_GTI", r"STDGTI", r"GTI", r"GTI_MPU\d")
"""Names of tables that hold for all chips where the mission's own are absent, in order; several hold together."""


@dataclass(frozen=True, eq=False)
class _List:
    """What is needed of an event list to read its good times."""

    source: str
    events: fits.Header
    primary: fits.Header
    tables: Sequence[FitsTable]
    clock: Clock
    said: list[str] = field(default_factory=list)


def read_gtis(
    source: str,
    form: EventFormat,
    *,
    events: fits.Header,
    primary: fits.Header,
    tables: Sequence[FitsTable],
    clock: Clock,
) -> tuple[dict[int, np.ndarray], tuple[str, ...]]:
    """Good time intervals of each chip.

    Parameters
    ----------
    source
        Name of the file, for messages.
    form
        The facts about lists of this kind.
    events, primary
        Headers of the events table and of the primary HDU.
    tables
        All tables of the file.
    clock
        That of the events.

    Returns
    -------
    gtis : dict
        Chip to intervals, shape (n, 2), s, in normal form; chip 0 where one table holds for all.
    assumptions : tuple of str
        What had to be taken for granted, one sentence each.

    Raises
    ------
    DataError
        There are none, a table that the header names is absent, or its clock is another one.
    """
    own = _List(source, events, primary, tables, clock)
    if form.gti_scheme == "dss":
        found = (
            dict(_from_data_subspace(own))
            or _from_standard_names(own)
            or _from_others(own, _chips_with(own, r"EXPOSU(\d\d)"))
        )
    elif form.gti_scheme == "ccd_id":
        found = _from_chip_cards(own)
    elif form.gti_scheme == "modules":
        found = _from_numbered_names(own) or _from_others(own, _chips_with(own, r"DEADCOR([1-7])"))
    else:
        found = _from_common_tables(own, form) or _from_others(own, [0])
    if not found:
        others = ", ".join(sorted({table.name for table in tables if "GTI" in table.name}))
        raise DataError(
            "no-gti",
            f"{source} holds no good time intervals"
            + (f" that are understood (only {others})" if others else "")
            + ", so its exposure is unknown",
            remedy="use the list as the archive distributes it, which has them, or give its good times yourself "
            "(daxa.xray.open_events(path, good_times=...))",
        )
    return dict(sorted(found.items())), tuple(dict.fromkeys(own.said))


def _from_data_subspace(own: _List) -> Iterator[tuple[int, np.ndarray]]:
    """XMM: component k holds for the CCDs in kDSVALi and the tables in kDSREFj; component 1 has no digit."""
    events = own.events
    described = {
        number: card_text(events, f"DSTYP{number}").upper()
        for number in range(1, _MOST_COMPONENTS + 1)
        if f"DSTYP{number}" in events
    }
    chip_axes = [number for number, name in described.items() if name == "CCDNR"]
    time_axes = [number for number, name in described.items() if name == "TIME"]
    if not chip_axes or not time_axes:
        return
    by_name = {table.name: table for table in own.tables}
    found: dict[int, list[np.ndarray]] = {}
    for component in range(1, _MOST_COMPONENTS + 1):
        prefix = "" if component == 1 else str(component)
        if component > 1 and not any(f"{prefix}DSVAL{axis}" in events for axis in chip_axes):
            break
        chips = set.intersection(*(_chips(own.source, _component(events, prefix, "DSVAL", axis)) for axis in chip_axes))
        times = [_component(events, prefix, "DSREF", axis) for axis in time_axes]
        good = intersect(*(_referenced(own, by_name, text) for text in times))
        for chip in chips:
            found.setdefault(chip, []).append(good)
    for chip, lists in found.items():
        yield chip, union(*lists)


def _component(events: fits.Header, prefix: str, keyword: str, axis: int) -> str:
    """A card of a component; what a later component leaves out is as in the first."""
    return card_text(events, f"{prefix}{keyword}{axis}") or card_text(events, f"{keyword}{axis}")


def _chips(source: str, text: str) -> set[int]:
    if not _CHIPS.fullmatch(text):
        raise _unusable(source, f"the CCD numbers {text!r} of its data subspace")
    chips: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition(":")
        chips.update(range(int(first), int(last or first) + 1))
    return chips


def _referenced(own: _List, by_name: dict[str, FitsTable], text: str) -> np.ndarray:
    found = _REFERENCE.fullmatch(text.upper())
    if not found or found[1] not in by_name:
        raise _unusable(own.source, f"the table {text!r} that its data subspace names")
    return _intervals(own, by_name[found[1]])


def _from_standard_names(own: _List) -> dict[int, np.ndarray]:
    return {int(found[1]): _intervals(own, table) for table in own.tables if (found := _STANDARD.fullmatch(table.name))}


def _chips_with(own: _List, name: str) -> list[int]:
    """The CCDs, or modules, that have a table of frames or dead times of this name."""
    found = (re.fullmatch(name, table.name, re.ASCII) for table in own.tables)
    return sorted({int(one[1]) for one in found if one})


def _from_chip_cards(own: _List) -> dict[int, np.ndarray]:
    """CCD_ID, which equals EXTVER; one table that names no chip holds for those of DETNAM."""
    tables = [table for table in own.tables if table.name == "GTI"]
    if len(tables) < 2 and not any("CCD_ID" in table.header for table in tables):
        chips = re.fullmatch(r"[A-Z]+-(\d{1,10})", card_text(own.events, "DETNAM"), re.ASCII)
        numbers = [int(digit) for digit in chips[1]] if chips else []
        if tables and not numbers:
            raise _unusable(own.source, "the one GTI table, which does not say for which chips it holds,")
        return dict.fromkeys(numbers, _intervals(own, tables[0])) if tables else _from_others(own, numbers)
    found: dict[int, list[np.ndarray]] = {}
    for table in tables:
        chip = card_number(table.header, "CCD_ID", table.version)
        if chip not in range(10):
            raise _unusable(own.source, f"the GTI table of chip {chip:g}")
        found.setdefault(int(chip), []).append(_intervals(own, table))
    lost = _described_chips(own.events) - set(found)
    if lost:
        raise _unusable(own.source, f"a file without the GTI tables of chips {sorted(lost)}, which its header names,")
    return {chip: union(*lists) for chip, lists in found.items()}


def _described_chips(events: fits.Header) -> set[int]:
    """The chips whose tables the data subspace names, as ``:GTI7``."""
    axes = [n for n in range(1, _MOST_COMPONENTS + 1) if card_text(events, f"DSTYP{n}").lower() == "time"]
    prefixes = ["", *map(str, range(2, _MOST_COMPONENTS + 1))]
    texts = [card_text(events, f"{prefix}DSREF{axis}") for axis in axes for prefix in prefixes]
    return {int(found[1]) for text in texts if (found := re.fullmatch(r":GTI(\d)", text, re.ASCII))}


def _from_numbered_names(own: _List) -> dict[int, np.ndarray]:
    """Table GTIn holds for module n."""
    return {int(found[1]): _intervals(own, table) for table in own.tables if (found := _NUMBERED.fullmatch(table.name))}


def _from_common_tables(own: _List, form: EventFormat) -> dict[int, np.ndarray]:
    """Tables that hold for all chips: the first name that the file has."""
    by_name = ([table for table in own.tables if table.name == name] for name in form.gti_tables)
    tables = next((some for some in by_name if some), [])
    if len(tables) > 1 and form.gti_scheme != "every":
        raise _unusable(own.source, f"one of its {len(tables)} GTI tables, of which only one is expected,")
    return {0: intersect(*(_intervals(own, table) for table in tables))} if tables else {}


def _from_others(own: _List, chips: Sequence[int]) -> dict[int, np.ndarray]:
    """Tables that other programs write, which hold for these chips: by name, else by HDUCLAS1."""
    by_name = ([table for table in own.tables if re.fullmatch(name, table.name, re.ASCII)] for name in _OTHERS)
    typed = [table for table in own.tables if card_text(table.header, "HDUCLAS1").upper() == "GTI"]
    tables = next((some for some in by_name if some), typed if len(typed) == 1 else [])
    if not tables or not chips:
        return {}
    names = ", ".join(table.name or "a table without a name" for table in tables)
    several = len(tables) > 1
    own.said.append(f"good times are those of {names}" + (", where all of them are good" if several else ""))
    return dict.fromkeys(chips, intersect(*(_intervals(own, table) for table in tables)))


def _intervals(own: _List, table: FitsTable) -> np.ndarray:
    problem, assumption = compare_clocks(table.header, own.clock, own.events, own.primary)
    if problem:
        raise DataError(
            "gti",
            f"{own.source}: the GTI table {table.name} cannot be used: it {problem}",
            remedy="use the list as the archive distributes it, or write the good times on the clock of the events, "
            "with its MJDREF, TIMEZERO, TIMESYS and TIMEREF",
        )
    if assumption:
        own.said.append(assumption)
    usual = next((text for header in (own.events, own.primary) if (text := card_text(header, "TIMEUNIT"))), "")
    # Where no card names a unit, it is that of the events' times.
    pairs = intervals_of(table, usual or ("s" if own.clock.unit == 1.0 else "d"))
    if backward := int(np.count_nonzero(pairs[:, 1] < pairs[:, 0])):
        own.said.append(f"intervals of {table.name} that end before they start are empty ({backward} of {len(pairs)})")
    return union(pairs)


def intervals_of(table: FitsTable, usual: str) -> np.ndarray:
    """The intervals of a table with columns START and STOP, as they stand there.

    Parameters
    ----------
    table
        Of good times.
    usual
        Unit of times where neither the columns nor the table name one.

    Returns
    -------
    ndarray
        Shape (n, 2), s.

    Raises
    ------
    DataError
        A column is absent, does not hold one number per row, or is not in a unit of time.
    """
    columns = []
    for name in ("START", "STOP"):
        column = table.numbers(name)
        unit = seconds_per_unit(table.header, name, TIMEUNIT=usual)
        columns.append(column if unit == 1.0 else column * unit)
    return np.column_stack(columns)


def _unusable(source: str, what: str) -> DataError:
    return DataError(
        "gti",
        f"{source}: {what} cannot be used",
        remedy="fetch the file again; if the archive's own copy is like this, leave the observation out",
    )
