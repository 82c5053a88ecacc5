"""Coverage of the sky: MOCs, and HEALPix maps of counts and exposure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy_healpix import HEALPix

from daxa.errors import DataError
from daxa.xray.eventlists.frames import pixel_side, to_icrs
from daxa.xray.eventlists.sky_grid import header_wcs
from daxa.xray.imaging.pairing import exposed_seconds

if TYPE_CHECKING:
    from astropy.wcs import WCS
    from mocpy import MOC

__all__ = ["HealpixMap", "add_healpix", "coverage_moc", "healpix_map", "order_for", "write_healpix"]

_MOST_ORDER = 29
_BLOCK = 1_000_000


def order_for(pixel_arcsec: float) -> int:
    """The finest HEALPix order whose cells are half as wide again as a pixel.

    Examples
    --------
    >>> order_for(4.0), order_for(30.0)
    (15, 12)
    """
    side = math.degrees(math.sqrt(4 * math.pi / 12)) * 3600.0
    return max(0, min(_MOST_ORDER, math.floor(math.log2(side / (1.5 * pixel_arcsec)))))


def coverage_moc(exposure: np.ndarray, header: fits.Header, *, least: float = 0.0, order: int | None = None) -> MOC:
    """Where there is exposure, as a MOC.

    Parameters
    ----------
    exposure
        Seconds, shape (ny, nx).
    header
        Its world coordinates, in any frame.
    least
        Exposure that a pixel must exceed, s.
    order
        Order of the cells; by default that of `order_for`.

    Returns
    -------
    mocpy.MOC
        The cells in which an exposed pixel has its middle or the middle of one of its quarters.

    Raises
    ------
    DataError
        The header has no equatorial coordinates.
    """
    from mocpy import MOC

    wcs = header_wcs(header)
    rows, columns = np.nonzero(np.asarray(exposure) > least)
    depth = order_for(pixel_side(wcs)) if order is None else order
    if not len(rows):
        return MOC.new_empty(depth)
    found = None
    for dx, dy in ((0.0, 0.0), (-0.25, -0.25), (-0.25, 0.25), (0.25, -0.25), (0.25, 0.25)):
        ra, dec = to_icrs(wcs, columns + dx, rows + dy)
        # What an image shows beyond the rim of its projection is no sky.
        sky = np.isfinite(ra) & np.isfinite(dec)
        part = MOC.from_lonlat(ra[sky] * u.deg, dec[sky] * u.deg, max_norder=depth)
        found = part if found is None else found.union(part)
    return found


@dataclass(frozen=True, eq=False)
class HealpixMap:
    """Counts and exposure in the cells of one HEALPix order, nested numbering, ICRS.

    Parameters
    ----------
    order
        Of the cells: 12 x 4 ^ order cover the sky.
    cells
        int64, shape (n,), increasing.
    counts
        int64, shape (n,); float64 of an image less what is expected to be no sky, which is not whole.
    exposure
        float64, shape (n,), s: the mean over the area of the cell.
    """

    order: int
    cells: np.ndarray
    counts: np.ndarray
    exposure: np.ndarray


def healpix_map(counts: np.ndarray, exposure: np.ndarray, header: fits.Header, order: int) -> HealpixMap:
    """Counts and exposure of an image in HEALPix cells.

    Parameters
    ----------
    counts, exposure
        Shape (ny, nx), counts and s.
    header
        World coordinates of both.
    order
        Of the cells, which must be wider than two pixels: a pixel belongs to the cell of its middle.

    Returns
    -------
    HealpixMap
        The cells with counts or exposure.  The sums of counts, and of exposure times area, are
        those of the image.

    Raises
    ------
    DataError
        The shapes differ, the cells are too small, or the header has no equatorial coordinates.
    """
    seconds = exposed_seconds(exposure)
    if np.shape(counts) != seconds.shape:
        raise DataError("healpix", "image and exposure map have different shapes", remedy="make both on one grid")
    wcs = header_wcs(header)
    cells = HEALPix(nside=2**order, order="nested")
    if cells.pixel_resolution.to_value(u.arcsec) < 2 * pixel_side(wcs):
        raise DataError(
            "healpix", f"cells of order {order} are not wider than two pixels", remedy="choose a lower order"
        )
    rows, columns = np.nonzero((np.asarray(counts) != 0) | (seconds > 0))
    sky = np.isfinite(to_icrs(wcs, columns, rows)).all(axis=0)
    rows, columns = rows[sky], columns[sky]
    number = np.concatenate(
        [np.empty(0, np.int64)]
        + [
            cells.lonlat_to_healpix(*(one * u.deg for one in to_icrs(wcs, columns[part], rows[part])))
            for part in (slice(start, start + _BLOCK) for start in range(0, len(rows), _BLOCK))
        ]
    )
    found, where = np.unique(number, return_inverse=True)
    area = _areas(wcs, columns, rows) / cells.pixel_area.to_value(u.arcsec**2)
    return HealpixMap(
        order,
        found.astype(np.int64),
        _as_whole(np.bincount(where, np.asarray(counts, float)[rows, columns], len(found)), counts),
        np.bincount(where, seconds[rows, columns] * area, len(found)),
    )


def _as_whole(sums: np.ndarray, *counts: np.ndarray) -> np.ndarray:
    """Sums of counts, whole where all that was added is."""
    whole = all((np.rint(one) == one).all() for one in counts)
    return np.rint(sums).astype(np.int64) if whole else sums


def _areas(wcs: WCS, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Area of each pixel on the sky, arcsec^2: a tangential plane stretches by 1 / cos^3 of the distance."""
    flat = pixel_side(wcs) ** 2
    if not wcs.wcs.ctype[0].endswith("TAN"):
        return np.full(len(rows), flat)
    offset = np.column_stack((columns + 1.0, rows + 1.0)) - wcs.wcs.crpix
    tangent = np.deg2rad(np.hypot(*(offset @ wcs.pixel_scale_matrix.T).T))
    return flat * (1.0 + tangent**2) ** -1.5


def add_healpix(*maps: HealpixMap) -> HealpixMap:
    """The sum of maps of one order, for observations that share no exposure.

    Raises
    ------
    DataError
        The orders differ.
    """
    if len({one.order for one in maps}) != 1:
        raise DataError("healpix", "only maps of one order can be added", remedy="make them again at one order")
    cells, where = np.unique(np.concatenate([one.cells for one in maps]), return_inverse=True)
    counts = np.bincount(where, np.concatenate([one.counts for one in maps]), len(cells))
    exposure = np.bincount(where, np.concatenate([one.exposure for one in maps]), len(cells))
    return HealpixMap(maps[0].order, cells, _as_whole(counts, *(one.counts for one in maps)), exposure)


def write_healpix(path: Path, sky: HealpixMap) -> None:
    """Write a map as a FITS table of cells, in the HEALPix convention (explicit numbering).

    Parameters
    ----------
    path
        The file to write; it must not exist.
    sky
        The map.
    """
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("PIXEL", "K", array=sky.cells),
            fits.Column("COUNTS", "K" if sky.counts.dtype == np.int64 else "D", unit="count", array=sky.counts),
            fits.Column("EXPOSURE", "D", unit="s", array=sky.exposure),
        ],
        name="HEALPIX",
    )
    cards = {
        "PIXTYPE": ("HEALPIX", "cells of equal area"),
        "ORDERING": ("NESTED", "numbering of the cells"),
        "COORDSYS": ("C", "equatorial"),
        "NSIDE": (2**sky.order, "cells along a side of a base cell"),
        "INDXSCHM": ("EXPLICIT", "cells are listed"),
        "OBJECT": ("PARTIAL", "not the whole sky"),
    }
    for key, card in cards.items():
        table.header[key] = card
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, output_verify="exception")
