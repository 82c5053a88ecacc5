"""The good time intervals of an event list, chip by chip.

XMM says in its data subspace cards which table holds for which CCD, Chandra in the
CCD_ID card of each table; NuSTAR has one table.  An event belongs to the intervals of
its chip, and a chip without a table has no good time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.lists.cards import card_number, card_text
from daxa.xray.lists.clock import seconds_per_unit
from daxa.xray.lists.eventformat import EventFormat
from daxa.xray.lists.gti import intersect, union
from daxa.xray.lists.tables import Table

__all__ = ["read_gtis"]

_STANDARD = re.compile(r"STDGTI(\d\d)", re.ASCII)
_NUMBERED = re.compile(r"GTI([1-7])", re.ASCII)
_REFERENCE = re.compile(r"(?:[^:]*):([A-Z0-9_-]{1,32})", re.ASCII)
_CHIPS = re.compile(r"\d{1,2}(?::\d{1,2})?(?:,\d{1,2}(?::\d{1,2})?)*", re.ASCII)
_MOST_COMPONENTS = 99


def read_gtis(source: str, form: EventFormat, events: fits.Header, tables: Sequence[Table]) -> dict[int, np.ndarray]:
    """Good time intervals of each chip.

    Parameters
    ----------
    source
        Name of the file, for messages.
    form
        The facts about lists of this kind.
    events
        Header of the events table.
    tables
        All tables of the file.

    Returns
    -------
    dict
        Chip to intervals, shape (n, 2), s, in normal form; chip 0 where one table holds for all.

    Raises
    ------
    DataError
        There are none, a table that the header names is absent, or its clock is another one.
    """
    if form.gti_scheme == "dss":
        found = dict(_from_data_subspace(source, events, tables)) or _from_standard_names(source, events, tables)
    elif form.gti_scheme == "ccd_id":
        found = _from_chip_cards(source, events, tables)
    elif form.gti_scheme == "modules":
        found = _from_numbered_names(source, events, tables)
    else:
        found = _from_common_tables(source, form, events, tables)
    if not found:
        raise DataError(
            "no-gti",
            f"{source} holds no good time intervals, so its exposure is unknown",
            remedy="use the list as the archive distributes it; lists extracted from it may lack the GTI tables",
        )
    return dict(sorted(found.items()))


def _from_data_subspace(source: str, events: fits.Header, tables: Sequence[Table]) -> Iterator[tuple[int, np.ndarray]]:
    """XMM: component k holds for the CCDs in kDSVALi and the tables in kDSREFj; component 1 has no digit."""
    described = {
        number: card_text(events, f"DSTYP{number}").upper()
        for number in range(1, _MOST_COMPONENTS + 1)
        if f"DSTYP{number}" in events
    }
    chip_axes = [number for number, name in described.items() if name == "CCDNR"]
    time_axes = [number for number, name in described.items() if name == "TIME"]
    if not chip_axes or not time_axes:
        return
    by_name = {table.name: table for table in tables}
    found: dict[int, list[np.ndarray]] = {}
    for component in range(1, _MOST_COMPONENTS + 1):
        prefix = "" if component == 1 else str(component)
        if component > 1 and not any(f"{prefix}DSVAL{axis}" in events for axis in chip_axes):
            break
        chips = set.intersection(*(_chips(source, _component(events, prefix, "DSVAL", axis)) for axis in chip_axes))
        times = [_component(events, prefix, "DSREF", axis) for axis in time_axes]
        good = intersect(*(_referenced(source, events, by_name, text) for text in times))
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


def _referenced(source: str, events: fits.Header, by_name: dict[str, Table], text: str) -> np.ndarray:
    found = _REFERENCE.fullmatch(text.upper())
    if not found or found[1] not in by_name:
        raise _unusable(source, f"the table {text!r} that its data subspace names")
    return _intervals(source, events, by_name[found[1]])


def _from_standard_names(source: str, events: fits.Header, tables: Sequence[Table]) -> dict[int, np.ndarray]:
    return {
        int(found[1]): _intervals(source, events, table)
        for table in tables
        if (found := _STANDARD.fullmatch(table.name))
    }


def _from_chip_cards(source: str, events: fits.Header, tables: Sequence[Table]) -> dict[int, np.ndarray]:
    """Chandra: CCD_ID, which equals EXTVER; one table that names no chip holds for those of DETNAM."""
    own = [table for table in tables if table.name == "GTI"]
    if len(own) == 1 and "CCD_ID" not in own[0].header:
        chips = re.fullmatch(r"ACIS-(\d{1,10})", card_text(events, "DETNAM"), re.ASCII)
        if not chips:
            raise _unusable(source, "the one GTI table, which does not say for which chips it holds,")
        return dict.fromkeys(map(int, chips[1]), _intervals(source, events, own[0]))
    found: dict[int, list[np.ndarray]] = {}
    for table in own:
        chip = card_number(table.header, "CCD_ID", table.version)
        if chip not in range(10):
            raise _unusable(source, f"the GTI table of chip {chip:g}")
        found.setdefault(int(chip), []).append(_intervals(source, events, table))
    lost = _described_chips(events) - set(found) if found else set()
    if lost:
        raise _unusable(source, f"a file without the GTI tables of chips {sorted(lost)}, which its header names,")
    return {chip: union(*lists) for chip, lists in found.items()}


def _described_chips(events: fits.Header) -> set[int]:
    """Chandra: the chips whose tables the data subspace names, as ``:GTI7``."""
    axes = [n for n in range(1, _MOST_COMPONENTS + 1) if card_text(events, f"DSTYP{n}").lower() == "time"]
    prefixes = ["", *map(str, range(2, _MOST_COMPONENTS + 1))]
    texts = [card_text(events, f"{prefix}DSREF{axis}") for axis in axes for prefix in prefixes]
    return {int(found[1]) for text in texts if (found := re.fullmatch(r":GTI(\d)", text, re.ASCII))}


def _from_numbered_names(source: str, events: fits.Header, tables: Sequence[Table]) -> dict[int, np.ndarray]:
    """The eROSITA scheme: table GTIn holds for module n."""
    return {
        int(found[1]): _intervals(source, events, table)
        for table in tables
        if (found := _NUMBERED.fullmatch(table.name))
    }


def _from_common_tables(
    source: str, form: EventFormat, events: fits.Header, tables: Sequence[Table]
) -> dict[int, np.ndarray]:
    """Tables that hold for all chips: the first name that the file has."""
    by_name = ([table for table in tables if table.name == name] for name in form.gti_tables)
    own = next((some for some in by_name if some), [])
    if len(own) > 1 and form.gti_scheme != "every":
        raise _unusable(source, f"one of its {len(own)} GTI tables, of which only one is expected,")
    return {0: intersect(*(_intervals(source, events, table) for table in own))} if own else {}


def _intervals(source: str, events: fits.Header, table: Table) -> np.ndarray:
    for keyword in ("TIMEZERO", "MJDREF", "MJDREFI", "MJDREFF"):
        # Absent cards are common in older tables; cards that differ mean another clock.
        if keyword in table.header and keyword in events:
            own, theirs = card_number(table.header, keyword), card_number(events, keyword)
            if own != theirs:
                raise _unusable(source, f"the GTI table {table.name}, whose {keyword} differs from the events',")
    pairs = np.column_stack((table.column("START"), table.column("STOP")))
    unit = seconds_per_unit(table.header, "START", TIMEUNIT=card_text(events, "TIMEUNIT"))
    return union(pairs if unit == 1.0 else pairs * unit)


def _unusable(source: str, what: str) -> DataError:
    return DataError(
        "gti",
        f"{source}: {what} cannot be used",
        remedy="fetch the file again; if the archive's own copy is like this, leave the observation out",
    )
