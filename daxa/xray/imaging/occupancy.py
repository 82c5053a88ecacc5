"""Where an instrument looked, found only from where its events fell.

The last resort for instruments whose detectors are not described here: events of a
pointed observation fill the field of view, and where none fell for a while there is no exposure.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from daxa.errors import NotPossible
from daxa.xray.cleaning.cut import Cut
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.skycards import says_moving
from daxa.xray.imaging.image import ImageGrid, count_image

__all__ = ["is_moving", "occupied"]

_CELLS = (2, 4, 8, 16, 32, 64)
_ENOUGH = 5.0
"""Median counts of a cell: of cells like that less than one in a hundred is empty by chance."""

_MOST_EVENTS = 0.97
"""Share of the events that the field must hold: a bright source alone is none."""

_LEAST_CELLS = 20
_LEAST_SHARE = 0.05


def is_moving(events: EventList) -> bool:
    """Whether the telescope scanned or slewed while it observed, as OBS_MODE says."""
    return says_moving(events.header, events.primary)


def occupied(events: EventList, cut: Cut, grid: ImageGrid) -> np.ndarray:
    """The part of a grid that a list's events fill.

    Parameters
    ----------
    events
        The list of a pointed observation.
    cut
        Its screening and good times; events of all channels are used.
    grid
        The image's pixels.

    Returns
    -------
    ndarray
        Booleans, shape (ny, nx): all whole cells with events, holes filled.  Its edge is as rough as
        a cell is wide, and gaps between chips narrower than that are not seen.

    Raises
    ------
    NotPossible
        The telescope moved, several telescopes are in one list, or there are too few events.
    """
    if is_moving(events) or events.format.chip_column:
        raise _impossible(events, "the telescope moved" if is_moving(events) else "its chips are not described")
    counts = count_image(events, Cut(cut.rules, cut.gtis, None), grid)
    for cell in _CELLS:
        rows, columns = (-(-n // cell) for n in counts.shape)
        padded = np.pad(counts, ((0, rows * cell - grid.ny), (0, columns * cell - grid.nx)))
        coarse = padded.reshape(rows, cell, columns, cell).sum(axis=(1, 3))
        filled = _filled(coarse > 0)
        most = coarse[filled].sum() >= _MOST_EVENTS * coarse.sum()
        if most and filled.sum() >= _LEAST_CELLS and np.median(coarse[filled]) >= _ENOUGH:
            # Where an event fell it looked, also apart from the rest.
            seen = filled | (coarse > 0)
            return np.kron(seen, np.ones((cell, cell), dtype=bool))[: grid.ny, : grid.nx]
    raise _impossible(events, "there are too few events to find the pointing")


def _filled(cells: np.ndarray) -> np.ndarray:
    """Cells and what they enclose, without specks apart from them."""
    closed = ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(cells, 2), np.ones((3, 3)))[2:-2, 2:-2] | cells)
    parts, n = ndimage.label(closed, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=n + 1)
    sizes[0] = 0
    return np.isin(parts, np.flatnonzero(sizes >= _LEAST_SHARE * sizes.max())) & closed


def _impossible(events: EventList, why: str) -> NotPossible:
    return NotPossible(
        "exposure-map",
        f"{events.path.name} ({events.format.mission} {events.format.instrument}) gives no exposure map: {why}",
        remedy="use the exposure map of the archive (daxa.xray.imaging.pairing.choose_map) or mission software",
    )
