"""The same selection and binning by CFITSIO, through its extended file names."""

from __future__ import annotations

from collections.abc import Mapping

import fitsio
import numpy as np

from daxa.xray.cleaning.screening import rules_cfitsio
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.imaging.image import ImageGrid


def row_filter(
    events: EventList, rules, pi: tuple[int, int] | None, tables: Mapping[int, tuple[str, ...]], chip: int
) -> str:
    """What a row must fulfil, in CFITSIO's words; `tables` names the good time tables of each chip."""
    form = events.format
    terms = [rules_cfitsio(rules)]
    if pi is not None:
        real = events.column(form.pi_column).dtype.kind == "f"
        high = f"< {pi[1] + 1}" if real else f"<= {pi[1]}"
        terms.append(f"{form.pi_column} >= {pi[0]} && {form.pi_column} {high}")
    if form.chip_column:
        terms.append(f"{form.chip_column} == {chip}")
    terms += [f'gtifilter("{events.path}[{table}]", {form.time_column}, "START", "STOP")' for table in tables[chip]]
    return " && ".join(terms)


def table_name(events: EventList) -> str:
    named = [table.name for table in events.tables if table.name in events.format.tables]
    return named[0] if named else "EVENTS"


def filtered_times(events: EventList, rules, pi, tables: Mapping[int, tuple[str, ...]]) -> np.ndarray:
    """Times of the rows that CFITSIO keeps, as the file has them, sorted."""
    found = []
    for chip in tables:
        with fitsio.FITS(f"{events.path}[{table_name(events)}][{row_filter(events, rules, pi, tables, chip)}]") as kept:
            table = next(unit for unit in kept if unit.get_extname().upper() == table_name(events))
            if table.get_nrows():
                found.append(table.read_column(events.format.time_column))
    return np.sort(np.concatenate([np.empty(0), *found]))


def binned(events: EventList, grid: ImageGrid, rules, pi, tables: Mapping[int, tuple[str, ...]]) -> np.ndarray:
    """The image that CFITSIO makes: one per chip, since each has its own good times."""
    ranges = []
    for name, start, count in zip(events.sky.columns, (grid.x0, grid.y0), (grid.nx, grid.ny), strict=True):
        half = 0.5 if events.column(name).dtype.kind == "f" else 0
        ranges.append(f"{name}={start - half}:{start + count * grid.bin - 1 + half}:{grid.bin}")
    total = np.zeros((grid.ny, grid.nx), dtype=np.int64)
    for chip in tables:
        cut = row_filter(events, rules, pi, tables, chip)
        name = f"{events.path}[{table_name(events)}][{cut}][bin {','.join(ranges)}]"
        with fitsio.FITS(name) as image:
            total += image[0].read()
    return total
