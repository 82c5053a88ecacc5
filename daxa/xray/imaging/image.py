"""Counts images: binning of events into a grid on the sky, and the header that describes it.

An image pixel is a whole number of event pixels.  The world coordinates follow exactly
from those of the columns: for a grid that starts at event pixel x0 with b event pixels
to a pixel, ``CRPIX' = (CRPIX - x0 + 0.5) / b + 0.5`` and ``CDELT' = CDELT b``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from astropy.io import fits

from daxa.errors import DataError, NotPossible
from daxa.xray.cleaning.cut import Cut, chosen, select, standard_cut
from daxa.xray.cleaning.livetime import livetime, ontime
from daxa.xray.cleaning.screening import rules_text
from daxa.xray.cleaning.spans import assumption_cards, clock_cards, span_cards
from daxa.xray.eventlists.cards import card_text, card_value
from daxa.xray.eventlists.channels import energy_cards
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.fits_tables import in_machine_order, read_column
from daxa.xray.eventlists.sky_grid import SkyGrid

__all__ = ["MOST_PIXELS", "ImageGrid", "count_image", "grid_cards", "grid_for", "image_header", "pixel_index"]

_TILE = 64
"""Image pixels: images grow by tiles, so that grids of similar lists are equal."""

_MARGIN = 16
"""Image pixels that stay free around the outermost event, for exposed pixels without events."""

MOST_PIXELS = 100_000_000
"""Pixels of the largest image that is made: its counts, exposure and what both need on the way take 4 GB."""

_MOST_WAITING = 1 << 21

_COPIED = (
    "TELESCOP", "INSTRUME", "DETNAM", "GRATING", "FILTER", "DATAMODE", "SUBMODE", "OBS_ID", "EXPIDSTR", "OBJECT",
    "TIMESYS", "RA_PNT", "DEC_PNT", "PA_PNT", "ROLL_PNT", "RA_NOM", "DEC_NOM", "ROLL_NOM", "RA_OBJ", "DEC_OBJ",
    "SIMULATD",
)  # fmt: skip
"""Cards of an event list that say what was observed and how; an image keeps them."""


@dataclass(frozen=True)
class ImageGrid:
    """A grid of image pixels over event pixels.

    Parameters
    ----------
    x0, y0
        The first event pixel that is covered.
    bin
        Event pixels to the side of an image pixel.
    nx, ny
        Image pixels of each axis.
    """

    x0: int
    y0: int
    bin: int
    nx: int
    ny: int


def grid_for(events: EventList, pixel_arcsec: float, cut: Cut | None = None) -> ImageGrid:
    """The grid on which images of an event list are made.

    It covers the instrument's field about the reference pixel and every event that the
    cut keeps, in whole tiles of 64 pixels that meet at the reference pixel, within the
    legal range of the coordinates.  Use one grid for all bands.

    Parameters
    ----------
    events
        The event list.
    pixel_arcsec
        Side of an image pixel, arcsec: a multiple of the event pixel, within 1 %.
    cut
        Events that must be covered; by default the standard screening, all channels.

    Returns
    -------
    ImageGrid
        In event pixels of the list.

    Raises
    ------
    NotPossible
        The list has no sky coordinates, the pixel is not a multiple of the event pixel, or
        the image would be too large.
    """
    sky = events.sky
    size = _bin_for(sky, pixel_arcsec)
    half = events.format.field_arcmin * 60.0 / sky.pixel_arcsec
    boxes = _event_boxes(events, cut or standard_cut(events))
    axes = []
    for crpix, limits, box in zip(sky.crpix, sky.limits, boxes, strict=True):
        anchor = math.floor(crpix + 0.5)
        low, high = anchor - half, anchor + half
        if box is not None:
            low = min(low, box[0] - _MARGIN * size)
            high = max(high, box[1] + 1 + _MARGIN * size)
        low, high = max(low, limits[0]), min(high, limits[1] + 1)
        first = math.floor((low - anchor) / (_TILE * size))
        last = max(math.ceil((high - anchor) / (_TILE * size)), first + 1)
        axes.append((anchor + first * _TILE * size, (last - first) * _TILE))
    (x0, nx), (y0, ny) = axes
    if nx * ny > MOST_PIXELS:
        raise NotPossible(
            "image-size",
            f"an image of {events.path.name} with {pixel_arcsec:g} arcsec pixels would have {nx} x {ny} pixels, "
            f"more than {MOST_PIXELS:,}",
            remedy="choose larger pixels (images.pixel)",
        )
    return ImageGrid(x0, y0, size, nx, ny)


def _bin_for(sky: SkyGrid, pixel_arcsec: float) -> int:
    ratio = pixel_arcsec / sky.pixel_arcsec
    size = round(ratio) if math.isfinite(ratio) else 0
    if size < 1 or not math.isclose(ratio, size, rel_tol=0.01):
        nearest = max(size, 1) * sky.pixel_arcsec
        raise NotPossible(
            "pixel",
            f"a pixel of {pixel_arcsec:g} arcsec is not a multiple of the event pixel, {sky.pixel_arcsec:.4g} arcsec",
            remedy=f"choose a multiple, such as {nearest:.4g} arcsec (images.pixel)",
        )
    return size


def _event_boxes(events: EventList, cut: Cut) -> list[tuple[float, float] | None]:
    """First and last legal event pixel with an event that counts, of each axis."""
    boxes: list[tuple[float, float] | None] = [None, None]
    for rows in events.chunks():
        kept = np.flatnonzero(select(events, cut, rows, sky=True))
        pixels = [np.floor(read_column(rows, name)[kept] + 0.5) for name in events.sky.columns]
        legal = np.ones(len(kept), dtype=bool)
        for values, (first, last) in zip(pixels, events.sky.limits, strict=True):
            legal &= (values >= first) & (values <= last)
        if not legal.any():
            continue
        for axis, values in enumerate(pixels):
            low, high = float(values[legal].min()), float(values[legal].max())
            box = boxes[axis]
            boxes[axis] = (low, high) if box is None else (min(low, box[0]), max(high, box[1]))
    return boxes


def pixel_index(events: EventList, grid: ImageGrid, rows: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Number of the image pixel that each of the chosen rows falls into.

    Parameters
    ----------
    events
        The list that the rows come from.
    grid
        The image's grid.
    rows
        Shape (n,), rows of the list.
    kept
        Numbers of the rows to place; they must have valid positions.

    Returns
    -------
    ndarray
        ``iy * nx + ix``, int64, of the rows that fall on the grid.
    """
    indices = []
    for name, start in zip(events.sky.columns, (grid.x0, grid.y0), strict=True):
        values = in_machine_order(read_column(rows, name))[kept]
        if values.dtype.kind == "f":
            # A position far off the grid must not overflow the integer that it becomes.
            scaled = np.floor((values.astype(np.float64) - (start - 0.5)) / grid.bin)
            indices.append(np.clip(scaled, -1, max(grid.nx, grid.ny)).astype(np.int64))
        else:
            indices.append((values.astype(np.int64) - start) // grid.bin)
    ix, iy = indices
    # As unsigned numbers, those before the grid are beyond it too.
    inside = (ix.view(np.uint64) < grid.nx) & (iy.view(np.uint64) < grid.ny)
    if not inside.all():
        ix, iy = ix[inside], iy[inside]
    return iy * grid.nx + ix


def count_image(events: EventList, cut: Cut, grid: ImageGrid) -> np.ndarray:
    """Counts per pixel.

    Parameters
    ----------
    events
        The event list; its rows are read in chunks.
    cut
        Which events count.
    grid
        The image's pixels.

    Returns
    -------
    ndarray
        Shape (ny, nx), int32, counts.

    Raises
    ------
    NotPossible
        The list has no sky coordinates.
    DataError
        A column that the cut needs is absent, or a pixel holds more counts than an int32.
    """
    counts = np.zeros(grid.nx * grid.ny, dtype=np.int64)
    waiting: list[np.ndarray] = []
    for rows in events.chunks(events.block):
        kept = chosen(events, cut, rows, sky=True)
        waiting.append(pixel_index(events, grid, rows, kept))
        # Counting goes over the whole image: wait until there are as many events as pixels, or memory would grow.
        if sum(map(len, waiting)) > min(counts.size, _MOST_WAITING):
            counts += np.bincount(np.concatenate(waiting), minlength=counts.size)
            waiting.clear()
    counts += np.bincount(np.concatenate([np.empty(0, np.int64), *waiting]), minlength=counts.size)
    if counts.max(initial=0) > np.iinfo(np.int32).max:
        raise DataError(
            "counts", f"{events.path.name}: a pixel holds more than 2^31 - 1 counts", remedy="choose smaller pixels"
        )
    return counts.astype(np.int32).reshape(grid.ny, grid.nx)


def grid_cards(sky: SkyGrid, grid: ImageGrid) -> fits.Header:
    """World coordinates of an image: of the sky, and ``L`` of the event pixels for DS9.

    Parameters
    ----------
    sky
        Coordinates of the event list.
    grid
        The image's pixels.

    Examples
    --------
    >>> sky = SkyGrid(("X", "Y"), (25921., 25921.), (150., 2.), (-1 / 72000, 1 / 72000), ("RA---TAN", "DEC--TAN"),
    ...               (None, None), ((1, 51840), (1, 51840)), "FK5", 2000.0)
    >>> round(grid_cards(sky, ImageGrid(3649, 3649, 87, 512, 512))["CRPIX1"], 6)
    256.505747
    """
    header = fits.Header()
    header["WCSAXES"] = (2, "number of world coordinate axes")
    for axis, start in ((0, grid.x0), (1, grid.y0)):
        n = axis + 1
        header[f"CTYPE{n}"] = (sky.ctype[axis], "projection")
        header[f"CRPIX{n}"] = ((sky.crpix[axis] - start + 0.5) / grid.bin + 0.5, "reference pixel")
        header[f"CRVAL{n}"] = (sky.crval[axis], "[deg] position of the reference pixel")
        header[f"CDELT{n}"] = (sky.cdelt[axis] * grid.bin, "[deg] pixel")
        header[f"CUNIT{n}"] = ("deg", "unit of the axis")
    for key, card in _turning_cards(sky).items():
        header[key] = card
    if sky.frame:
        header["RADESYS"] = (sky.frame, "reference frame")
    if sky.equinox:
        header["EQUINOX"] = (sky.equinox, "[yr] equinox")
    header["WCSNAMEL"] = ("PHYSICAL", "event pixels")
    header["WCSAXESL"] = (2, "number of axes of the event pixels")
    for axis, start in ((0, grid.x0), (1, grid.y0)):
        n = axis + 1
        centre = start + (grid.bin - 1) / 2
        header[f"CTYPE{n}L"] = sky.columns[axis]
        header[f"CRPIX{n}L"] = (1.0, "reference pixel")
        header[f"CRVAL{n}L"] = (centre, "event pixel at the reference pixel")
        header[f"CDELT{n}L"] = (float(grid.bin), "event pixels per pixel")
        header[f"LTV{n}"] = (1.0 - centre / grid.bin, "image pixel = LTM event pixel + LTV")
        header[f"LTM{n}_{n}"] = (1.0 / grid.bin, "image pixels per event pixel")
    return header


def _turning_cards(sky: SkyGrid) -> dict[str, tuple[float, str]]:
    """Cards that rotate or distort the plane, if any: they do not depend on the size of pixels."""
    cards: dict[str, tuple[float, str]] = {}
    if sky.matrix != ((1.0, 0.0), (0.0, 1.0)):
        for i, row in enumerate(sky.matrix, start=1):
            cards |= {f"PC{i}_{j}": (value, "linear transformation") for j, value in enumerate(row, start=1)}
    for key, value in zip(("LONPOLE", "LATPOLE"), sky.poles, strict=True):
        if value is not None:
            cards[key] = (value, "[deg] pole of the projection")
    return cards | {f"PV{axis}_{m}": (value, "of the projection") for axis, m, value in sky.parameters}


def image_header(events: EventList, cut: Cut, grid: ImageGrid, *, unit: str = "count") -> fits.Header:
    """Header of an image or of a map on the same grid.

    Parameters
    ----------
    events, cut, grid
        What the image was made of, and on which pixels.
    unit
        BUNIT.

    Returns
    -------
    Header
        World coordinates, what was observed, band, screening, good and live times.  EXPOSURE
        follows the mission's custom (`EventFormat.exposure_means`); ONTIME and LIVETIME are
        the longest of any chip, ONTIMEnn and LIVETInn those of chip nn.  CUTID is equal for
        products of the same cut.  ASSUMEn says what the list left open.  No card depends on
        when or where the image is made.

    Raises
    ------
    DataError
        The live time is unknown.
    """
    header = grid_cards(events.sky, grid)
    header["BUNIT"] = (unit, "unit of the pixels")
    header["HDUCLASS"] = ("OGIP", "format conforms to OGIP standard")
    header["HDUCLAS1"] = ("IMAGE", "the data are an image")
    for keyword in _COPIED:
        source = events.header if card_text(events.header, keyword) else events.primary
        if card_text(source, keyword):
            header[keyword] = card_value(source, keyword)
    header["OBS_ID"] = events.obs_id
    for keyword, card in {**clock_cards(events), **span_cards(events, cut.gtis)}.items():
        header[keyword] = card
    for keyword, card in energy_cards(events.format, cut.pi).items():
        header[keyword] = card
    header["SCREENIN"] = rules_text(cut.rules)
    header["CUTID"] = (cut.identity, "digest of screening, good times, channels")
    _add_times(header, events, cut.gtis)
    header.update(assumption_cards(events))
    return header


def _add_times(header: fits.Header, events: EventList, gtis: Mapping[int, np.ndarray]) -> None:
    good, live = ontime(events, gtis), livetime(events, gtis)
    longest = {"ontime": max(good.values(), default=0.0), "livetime": max(live.values(), default=0.0)}
    header["EXPOSURE"] = (longest[events.format.exposure_means], f"[s] the longest {events.format.exposure_means}")
    header["ONTIME"] = (longest["ontime"], "[s] longest good time of any chip")
    header["LIVETIME"] = (longest["livetime"], "[s] longest live time of any chip")
    if events.format.chip_column:
        for chip in sorted(gtis):
            header[f"ONTIME{chip:02d}"] = (good[chip], f"[s] good time of chip {chip}")
            header[f"LIVETI{chip:02d}"] = (live[chip], f"[s] live time of chip {chip}")
