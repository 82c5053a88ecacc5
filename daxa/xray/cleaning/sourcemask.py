"""Which parts of the sky sources cover: coarse cells about the size of the telescope's image of a point.

Flares of the particle background fill the field; what a light curve of them must not see
is sources.  Cells of half a minute of arc or less, sums of three by three of them and
Poisson's distribution find all that matters for that; a catalogue is made elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, label, uniform_filter
from scipy.special import gammainc

from daxa.xray.cleaning.cut import Cut, positions_valid, select
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.fits_tables import read_column

__all__ = ["CellGrid", "PlacedEvents", "SourceMask", "box_sum", "cell_grid", "find_mask", "place_events"]

_MOST_CELLS = 2048
_AROUND = 15
_SEED_CHANCE, _GROWN_CHANCE = 1e-2, 1e-2
_SEED_HEIGHT, _GROWN_HEIGHT = 2.0, 1.3
"""How far above the background around it a source is: edges and differing chips are less high."""

_ROUNDS = 3
_MOST_HIDDEN = 0.5


@dataclass(frozen=True)
class CellGrid:
    """Square cells over the event pixels of a list.

    Parameters
    ----------
    columns
        Names of the two sky columns.
    x0, y0
        Event pixel at which the first cell begins.
    size
        Event pixels to the side of a cell.
    nx, ny
        Cells of each axis.
    """

    columns: tuple[str, str]
    x0: float
    y0: float
    size: float
    nx: int
    ny: int

    def cells(self, rows: np.ndarray) -> np.ndarray:
        """Number ``iy * nx + ix`` of the cell of each row, shape (n,), -1 off the grid."""
        x, y = (read_column(rows, name).astype(np.float64) for name in self.columns)
        with np.errstate(invalid="ignore"):
            ix, iy = np.floor((x - self.x0) / self.size), np.floor((y - self.y0) / self.size)
            inside = (ix >= 0) & (ix < self.nx) & (iy >= 0) & (iy < self.ny)
        return np.where(inside, np.where(inside, iy, 0) * self.nx + np.where(inside, ix, 0), -1).astype(np.int64)

    def middle(self, cell: int) -> tuple[float, float]:
        """Event pixel in the middle of a cell."""
        iy, ix = divmod(int(cell), self.nx)
        return self.x0 + (ix + 0.5) * self.size, self.y0 + (iy + 0.5) * self.size


@dataclass(frozen=True, eq=False)
class PlacedEvents:
    """Events of a band: when they came, and into which cell.

    Parameters
    ----------
    times
        Shape (n,), s.
    cells
        Shape (n,), -1 for events without a position.
    field
        Shape (ny, nx), bool: cells in or beside which any event of any energy fell.
    grid
        The cells.
    """

    times: np.ndarray
    cells: np.ndarray
    field: np.ndarray
    grid: CellGrid

    def image(self, chosen: np.ndarray | None = None) -> np.ndarray:
        """Counts per cell, shape (ny, nx), int64, of the chosen events (bool, shape (n,))."""
        cells = self.cells if chosen is None else self.cells[chosen]
        counts = np.bincount(cells[cells >= 0], minlength=self.field.size)
        return counts.reshape(self.field.shape)

    def inside(self, cells: np.ndarray) -> np.ndarray:
        """Which events lie in the cells that are True (shape (ny, nx)); those without a position do not."""
        return (self.cells >= 0) & cells.ravel()[self.cells]


@dataclass(frozen=True, eq=False)
class SourceMask:
    """Cells that sources cover.

    Parameters
    ----------
    grid
        The cells.
    hidden, field
        Shape (ny, nx), bool: cells that are masked, and cells that were looked at.
    """

    grid: CellGrid
    hidden: np.ndarray
    field: np.ndarray

    @property
    def share(self) -> float:
        """Share of the field that is masked."""
        seen = np.count_nonzero(self.field)
        return np.count_nonzero(self.hidden & self.field) / seen if seen else 0.0

    def hides(self, rows: np.ndarray) -> np.ndarray:
        """Which rows of the event list lie in masked cells, bool, shape (n,)."""
        cells = self.grid.cells(rows)
        return (cells >= 0) & self.hidden.ravel()[cells]


def cell_grid(events: EventList, cut: Cut) -> CellGrid | None:
    """Cells over all events in good time that pass the screening, whatever their energy.

    Parameters
    ----------
    events
        The event list.
    cut
        Screening and good times; its channels are not used.

    Returns
    -------
    CellGrid or None
        None when no event has a position.

    Raises
    ------
    NotPossible
        The list has no sky coordinates.
    """
    sky = events.sky
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for rows in events.chunks():
        kept = np.flatnonzero(select(events, Cut(cut.rules, cut.gtis), rows) & positions_valid(events, rows))
        for axis, name in enumerate(sky.columns if len(kept) else ()):
            values = read_column(rows, name)[kept].astype(np.float64)
            first, last = sky.limits[axis]
            legal = values[(values >= first) & (values <= last)]
            low[axis] = min(low[axis], legal.min(initial=np.inf))
            high[axis] = max(high[axis], legal.max(initial=-np.inf))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        return None
    span = high - low + 1
    size = events.format.cell_arcsec / sky.pixel_arcsec
    size = max(size, float(span.max()) / _MOST_CELLS, 1.0)
    nx, ny = (int(np.ceil(one / size)) for one in span)
    return CellGrid(sky.columns, float(low[0]) - 0.5, float(low[1]) - 0.5, size, nx, ny)


def place_events(events: EventList, cut: Cut, grid: CellGrid) -> PlacedEvents:
    """Times and cells of the events that pass a cut.

    Parameters
    ----------
    events, cut
        The list, and which of its events count.
    grid
        The cells, of `cell_grid`.
    """
    field = np.zeros(grid.nx * grid.ny, dtype=np.int64)
    times, cells = [np.empty(0)], [np.empty(0, dtype=np.int64)]
    for rows in events.chunks():
        good = rows[select(events, Cut(cut.rules, cut.gtis), rows)]
        placed = np.where(positions_valid(events, good), grid.cells(good), -1)
        field += np.bincount(placed[placed >= 0], minlength=field.size)
        if cut.pi is not None:
            chosen = events.in_band(good, *cut.pi)
            good, placed = good[chosen], placed[chosen]
        times.append(events.times(good))
        cells.append(placed)
    looked_at = box_sum(field.reshape(grid.ny, grid.nx)) > 0
    return PlacedEvents(np.concatenate(times), np.concatenate(cells), looked_at, grid)


def box_sum(image: np.ndarray, side: int = 3) -> np.ndarray:
    """Sum over the square of `side` cells about each cell, float64, shape (ny, nx); nothing lies outside."""
    return np.rint(uniform_filter(image.astype(np.float64), side, mode="constant") * side**2)


def find_mask(image: np.ndarray, field: np.ndarray, hidden: np.ndarray | None = None) -> np.ndarray:
    """Cells that sources cover.

    Parameters
    ----------
    image
        Counts per cell, shape (ny, nx).
    field
        Cells that were looked at, bool, shape (ny, nx).
    hidden
        Cells that are masked already; they stay so.

    Returns
    -------
    numpy.ndarray
        Bool, shape (ny, nx): sources of twice the local background that Poisson's
        distribution makes by chance once in a hundred fields, grown to where they stand
        out at one percent and by a third, and one cell more.  No more than half of the field: what
        covers more is not a source that a mask can take away.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> image = rng.poisson(0.5, (60, 60))
    >>> image[30, 20] += 40
    >>> mask = find_mask(image, np.ones((60, 60), bool))
    >>> bool(mask[30, 20]), bool(mask[5:20, 30:].any())
    (True, False)
    """
    before = np.zeros(image.shape, dtype=bool) if hidden is None else hidden
    found, area = box_sum(image * field), box_sum(field)
    mask = before
    for _ in range(_ROUNDS):
        expected = _expected(image, field & ~mask, area)
        chance = _chance(found, expected)
        likely = chance < _SEED_CHANCE / max(int(np.count_nonzero(field)), 1)
        seeds = field & likely & (found > _SEED_HEIGHT * expected)
        around = field & (chance < _GROWN_CHANCE) & (found > _GROWN_HEIGHT * expected)
        grown, n = label(around | seeds, structure=np.ones((3, 3)))
        sources = np.zeros(n + 1, dtype=bool)
        sources[grown[seeds]] = True
        sources[0] = False
        wider = before | binary_dilation(sources[grown], structure=np.ones((3, 3)))
        if (wider == mask).all():
            break
        mask = wider
    if np.count_nonzero(mask & field) > _MOST_HIDDEN * np.count_nonzero(field):
        return before
    return mask


def _expected(image: np.ndarray, open_field: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Background in the three by three cells about each, from unmasked cells around or, where none is, from all."""
    counts, cells = box_sum(image * open_field, _AROUND), box_sum(open_field, _AROUND)
    everywhere = (image * open_field).sum() / max(np.count_nonzero(open_field), 1)
    density = np.divide(counts, cells, out=np.full(image.shape, float(everywhere)), where=cells >= _AROUND)
    # A single event in a large empty neighbourhood is not a source.
    return np.maximum(density, 0.5 / _AROUND**2) * area


def _chance(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Chance of so many counts or more."""
    return np.where(found > 0, gammainc(np.maximum(found, 1), np.maximum(expected, 1e-12)), 1.0)
