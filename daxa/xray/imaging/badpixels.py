"""Bad pixels that come in a file of their own, beside the event list: Chandra's ``bpix1``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from daxa.errors import DataError
from daxa.xray.eventlists.cards import card_number, card_text
from daxa.xray.eventlists.fits_tables import FitsTable, column_names, read_tables

__all__ = ["BadPixels", "join_bad_pixels", "read_bad_pixels"]

_NAME = re.compile(r"BADPIX(\d*)", re.ASCII)


@dataclass(frozen=True, eq=False)
class BadPixels:
    """Rectangles of one chip that are bad for a time, arrays of shape (n,).

    Parameters
    ----------
    x0, x1, y0, y1
        First and last pixel, as the chip numbers them.
    start, stop
        When, s of the clock of the event list.
    """

    x0: np.ndarray
    x1: np.ndarray
    y0: np.ndarray
    y1: np.ndarray
    start: np.ndarray
    stop: np.ndarray


def read_bad_pixels(path: Path, obs_id: str = "") -> Mapping[int, BadPixels]:
    """The bad pixels of each chip.

    Parameters
    ----------
    path
        A ``bpix1`` file: a table BADPIX for each chip, its CCD_ID in the header, with corners CHIPX and CHIPY.
    obs_id
        The observation that it must be of; '' for any.

    Raises
    ------
    DataError
        The file is damaged, of another kind, or of another observation.
    """
    _, tables = read_tables(Path(path))
    found = []
    for table in tables:
        match = _NAME.fullmatch(table.name)
        if not match:
            continue
        chip = int(card_number(table.header, "CCD_ID", float(match[1] or table.version)))
        stated = card_text(table.header, "OBS_ID")
        if obs_id and stated and stated.lstrip("0") != obs_id.lstrip("0"):
            raise _unusable(path, f"it is of observation {stated}")
        found.append({chip: _rectangles(path, table)})
    if not found:
        raise _unusable(path, "it holds no table BADPIX")
    return join_bad_pixels(found)


def join_bad_pixels(several: Iterable[Mapping[int, BadPixels]]) -> dict[int, BadPixels]:
    """The bad pixels of several tables or files: a chip has those of all of them."""
    of_chips: dict[int, list[BadPixels]] = {}
    for one in several:
        for chip, bad in one.items():
            of_chips.setdefault(chip, []).append(bad)
    names = [item.name for item in fields(BadPixels)]
    return {
        chip: BadPixels(*(np.concatenate([getattr(one, name) for one in parts]) for name in names))
        for chip, parts in of_chips.items()
    }


def _rectangles(path: Path, table: FitsTable) -> BadPixels:
    sides = []
    for name in ("CHIPX", "CHIPY"):
        # One pixel, or the first and the last.
        values = table.column(name)
        if values.dtype.kind not in "iu":
            raise _unusable(path, f"its column {name} holds no pixels")
        values = values.astype(np.int64).reshape(len(values), -1)
        if values.shape[1] == 0:
            raise _unusable(path, f"its column {name} is empty")
        sides += [values.min(axis=1), values.max(axis=1)]
    names = {name.upper() for name in column_names(table.rows())}
    number = len(sides[0])
    start, stop = (
        np.asarray(table.numbers(name), dtype=np.float64) if name in names else np.full(number, ends)
        for name, ends in (("TIME", -np.inf), ("TIME_STOP", np.inf))
    )
    # A record without an end holds for ever.
    x0, x1, y0, y1 = sides
    start, stop = np.where(np.isfinite(start), start, -np.inf), np.where(np.isfinite(stop), stop, np.inf)
    return BadPixels(x0, x1, y0, y1, start, stop)


def _unusable(path: Path, why: str) -> DataError:
    return DataError(
        "bad-pixels", f"{Path(path).name} gives no bad pixels: {why}", remedy="fetch the observation again"
    )
