"""Exposure maps without calibration files: the chips' footprint times their live time.

The map knows which chips looked where, for how long, which of their pixels were bad, and
how far the telescope dithered.  Vignetting is applied where a curve is given; without
one (``VIGNET = F``) a source off the axis was seen with less area than the map says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from daxa.xray.cleaning.cut import Cut
from daxa.xray.cleaning.livetime import livetime
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.formats import card_number, card_text
from daxa.xray.imaging.attitude import Attitude
from daxa.xray.imaging.badpixels import BadPixels
from daxa.xray.imaging.footprint import ChipPart, Footprint, find_footprint
from daxa.xray.imaging.image import ImageGrid
from daxa.xray.imaging.occupancy import occupied
from daxa.xray.imaging.vignetting import Vignetting, axis_pixel, unproved
from daxa.xray.telescopes.registry import camera_of

__all__ = ["Cards", "coverage", "dither_kernel", "exposure_map", "smeared", "sum_unproved"]

Cards = Mapping[str, tuple[object, str]]
"""Keyword to (value, comment)."""

_LEAST_WEIGHT = 1e-3
_BLOCK = 2_000_000


def exposure_map(
    events: EventList,
    cut: Cut,
    grid: ImageGrid,
    *,
    vignetting: Vignetting | None = None,
    attitude: Attitude | None = None,
    bad: Mapping[int, BadPixels] | None = None,
) -> tuple[np.ndarray, Cards]:
    """Seconds for which each pixel of an image was looked at.

    Parameters
    ----------
    events
        The event list.
    cut
        The screening and good times of the image: the same object, so that image and
        map agree by construction.
    grid
        The grid of the image.
    vignetting
        The curve of the band, as `daxa.xray.imaging.vignetting.vignetting_for` finds it; None leaves the
        map flat.
    attitude
        Where the telescope pointed, as `daxa.xray.imaging.attitude.read_attitude` reads it: the dither is
        then that of the good times.  By default it is found from the events.
    bad
        Chip to its bad pixels, as `daxa.xray.imaging.badpixels.read_bad_pixels` reads them, where
        they come in a file beside the list.

    Returns
    -------
    numpy.ndarray
        float32, shape (ny, nx), s.  Where chips overlap, at most the longest live time of them.
    dict
        Cards that say how the map was made: ``EXPMETH`` is ``NATIVE`` (chips and vignetting),
        ``FLAT`` (chips), ``FIELD`` (a circle about the pointing, where too few events placed
        any chip; never vignetted, and no measurement), or ``OCCUPIED`` (wherever events fell, for instruments whose
        detectors are not described in `daxa.xray.telescopes`).  ``UNVERIF`` says what
        of it was compared with nothing, ``UNVERERR`` by what share it may be off there.

    Raises
    ------
    DataError
        The live time is unknown, the attitude is not that of the list, or the list does not
        say where its optical axis was.
    NotPossible
        Nothing is known of the instrument's detector, and its events do not say either: use the
        map that came with the data.
    """
    seconds = livetime(events, cut.gtis)
    detector = camera_of(events.format.mission, events.format.instrument).detector
    if detector is None:
        return _by_occupancy(events, cut, grid, vignetting, max(seconds.values(), default=0.0))
    footprint = find_footprint(events, cut, attitude, bad)
    if not footprint.modules:
        return _field(events, grid, detector.field, max(seconds.values(), default=0.0)), _field_cards(footprint, events)
    kernel = dither_kernel(footprint.dither / grid.bin, footprint.weights)
    total = np.zeros((grid.ny, grid.nx))
    most = np.zeros((grid.ny, grid.nx))
    for chip in sorted({module.chip for module in footprint.modules}):
        live = seconds.get(chip, 0.0)
        seen = np.zeros((grid.ny, grid.nx))
        for module in footprint.modules:
            if module.chip == chip:
                seen += smeared(coverage(module, grid, footprint.circle), kernel)
        total += live * np.minimum(seen, 1.0)
        most = np.maximum(most, np.where(seen > 0, live, 0.0))
    total = np.minimum(total, most)
    cards: dict[str, tuple[object, str]]
    if vignetting is None:
        cards = {**_cards("FLAT", footprint, events), **_unproved(events, None)}
    else:
        total *= vignetting.factor(_off_axis(axis_pixel(events, vignetting), grid, events.sky.pixel_arcsec))
        cards = {**_cards("NATIVE", footprint, events), **_vignetting_cards(events, vignetting, grid)}
    if attitude is not None:
        cards["EXPDITH"] = ("ATTITUDE", "the wander comes from: the attitude, the EVENTS")
    return total.astype(np.float32), cards


def _by_occupancy(
    events: EventList, cut: Cut, grid: ImageGrid, vignetting: Vignetting | None, live: float
) -> tuple[np.ndarray, Cards]:
    total = live * occupied(events, cut, grid)
    cards: dict[str, tuple[object, str]] = {
        "EXPMETH": ("OCCUPIED", "live time wherever events fell"),
        "VIGNET": (vignetting is not None, "vignetting applied"),
        "EXPCHIPS": ("", "chips in the map"),
        "EXPLOST": ("", "chips that no events placed"),
        "EXPBADPX": (False, "bad pixels left out"),
    }
    if vignetting is None:
        cards |= _unproved(events, None)
    if vignetting is not None:
        total = total * vignetting.factor(_off_axis(axis_pixel(events, vignetting), grid, events.sky.pixel_arcsec))
        cards |= _vignetting_cards(events, vignetting, grid)
    return total.astype(np.float32), cards


def _off_axis(axis: tuple[float, float], grid: ImageGrid, pixel_arcsec: float) -> np.ndarray:
    """Angle of each image pixel from the axis, arcmin, shape (ny, nx); the plane is taken as flat."""
    x = grid.x0 + (np.arange(grid.nx) + 0.5) * grid.bin - 0.5 - axis[0]
    y = grid.y0 + (np.arange(grid.ny) + 0.5) * grid.bin - 0.5 - axis[1]
    return np.hypot(x[None, :], y[:, None]) * (pixel_arcsec / 60.0)


def coverage(module: ChipPart, grid: ImageGrid, circle: tuple[float, float, float] | None = None) -> np.ndarray:
    """Share of each image pixel that good pixels of a module cover.

    Parameters
    ----------
    module
        Where the module lies.
    grid
        The image grid.
    circle
        Field of view on the sky, (x, y, radius) in event sky pixels.

    Returns
    -------
    numpy.ndarray
        float64, shape (ny, nx), from 0 to 1.  Each image pixel is sampled at points that
        lie no farther apart than the module's pixels do.
    """
    ny, nx = module.mask.shape
    side = float(np.sqrt(abs(np.linalg.det(module.matrix))))
    points = int(np.clip(np.ceil(grid.bin / side), 4, 16))
    result = np.zeros((grid.ny, grid.nx))
    columns, rows = _bounds(module, grid)
    if columns.start >= columns.stop or rows.start >= rows.stop:
        return result
    inverse = np.linalg.inv(module.matrix)
    x = _samples(grid.x0, columns, grid.bin, points)
    per_block = max(1, _BLOCK // (len(x) * points))
    for begin in range(rows.start, rows.stop, per_block):
        block = slice(begin, min(begin + per_block, rows.stop))
        y = _samples(grid.y0, block, grid.bin, points)
        dx, dy = x[None, :] - module.origin[0], y[:, None] - module.origin[1]
        i = _pixel(inverse[0, 0] * dx + inverse[0, 1] * dy - module.first, nx, module.rim)
        j = _pixel(inverse[1, 0] * dx + inverse[1, 1] * dy - module.first, ny, module.rim)
        value = np.where((i >= 0) & (j >= 0), module.mask[j, i], 0.0)
        if circle:
            value[np.hypot(x[None, :] - circle[0], y[:, None] - circle[1]) > circle[2]] = 0.0
        n = block.stop - block.start
        result[block, columns] = value.reshape(n, points, -1, points).mean(axis=(1, 3))
    return result


def _samples(start: int, pixels: slice, width: int, points: int) -> np.ndarray:
    index = np.arange(pixels.start * points, pixels.stop * points)
    return start - 0.5 + (index + 0.5) * (width / points)


def _pixel(position: np.ndarray, n: int, rim: float) -> np.ndarray:
    """Index of the chip pixel at a position (pixel k covers k - 0.5 to k + 0.5), -1 outside."""
    index = np.clip(np.floor(position + 0.5), 0, n - 1).astype(np.intp)
    outside = (position < -0.5 - rim) | (position >= n - 0.5 + rim)
    return np.where(outside, -1, index)


def _bounds(module: ChipPart, grid: ImageGrid) -> tuple[slice, slice]:
    """Image columns and rows that the module may touch."""
    ny, nx = module.mask.shape
    reach = 0.5 + module.rim
    low, high = module.first - reach, module.first - 1 + reach
    corners = np.array([[low, low], [low, high + ny], [high + nx, low], [high + nx, high + ny]])
    sky = corners @ module.matrix.T + module.origin
    found = []
    for axis, (start, n) in enumerate(((grid.x0, grid.nx), (grid.y0, grid.ny))):
        index = np.floor((sky[:, axis] - start + 0.5) / grid.bin)
        found.append(slice(int(np.clip(index.min(), 0, n)), int(np.clip(index.max() + 1, 0, n))))
    return found[0], found[1]


def dither_kernel(shifts: np.ndarray, weights: np.ndarray) -> list[tuple[int, int, float]]:
    """Share of the time at each shift by whole image pixels, as (columns, rows, weight).

    Rounded, not split between neighbours: a pointing steadier than a pixel must leave
    the footprint as it is, not lend a percent of exposure to the pixels around it.
    """
    whole, where = np.unique(np.rint(shifts).astype(int), axis=0, return_inverse=True)
    counts = np.bincount(where.ravel(), weights)  # numpy 2.0.0 gives a column.
    kept = counts >= _LEAST_WEIGHT * counts.max()
    shares = counts[kept] / counts[kept].sum()
    return [(int(dx), int(dy), float(share)) for (dx, dy), share in zip(whole[kept], shares, strict=True)]


def smeared(cover: np.ndarray, kernel: list[tuple[int, int, float]]) -> np.ndarray:
    """An image moved by each shift of a kernel, weighted; what leaves it is lost."""
    if len(kernel) == 1 and kernel[0][:2] == (0, 0):
        return cover
    ny, nx = cover.shape
    result = np.zeros_like(cover)
    for dx, dy, weight in kernel:
        if abs(dx) < nx and abs(dy) < ny:
            to = (slice(max(dy, 0), ny + min(dy, 0)), slice(max(dx, 0), nx + min(dx, 0)))
            source = (slice(max(-dy, 0), ny + min(-dy, 0)), slice(max(-dx, 0), nx + min(-dx, 0)))
            result[to] += weight * cover[source]
    return result


def _field(events: EventList, grid: ImageGrid, arcmin: float, live: float) -> np.ndarray:
    """The live time in a circle about the pointing."""
    sky = events.sky
    ra, dec = _pointing(events)
    # The pointing lies minutes of arc from the reference pixel: the plane is flat enough.
    east = (ra - sky.crval[0] + 180) % 360 - 180
    centre = (
        sky.crpix[0] + east * np.cos(np.deg2rad(dec)) / sky.cdelt[0],
        sky.crpix[1] + (dec - sky.crval[1]) / sky.cdelt[1],
    )
    if not sky.is_plain:
        column, row = sky.to_pixels(ra, dec)
        centre = float(column), float(row)
    radius = arcmin * 60 / sky.pixel_arcsec
    x = grid.x0 - 0.5 + (np.arange(grid.nx) + 0.5) * grid.bin
    y = grid.y0 - 0.5 + (np.arange(grid.ny) + 0.5) * grid.bin
    inside = np.hypot(x[None, :] - centre[0], y[:, None] - centre[1]) <= radius
    return (live * inside).astype(np.float32)


def _pointing(events: EventList) -> tuple[float, float]:
    """The pointing, deg, or where the header does not give it, the reference of the sky plane."""
    for header in (events.header, events.primary):
        if card_text(header, "RA_PNT") and card_text(header, "DEC_PNT"):
            return card_number(header, "RA_PNT"), card_number(header, "DEC_PNT")
    ra, dec = events.sky.to_sky(*events.sky.crpix)
    return float(ra), float(dec)


def _vignetting_cards(events: EventList, curve: Vignetting, grid: ImageGrid) -> Cards:
    x, y = axis_pixel(events, curve)
    cards: dict[str, tuple[object, str]] = {
        "VIGNREF": (curve.reference, "vignetting curve"),
        "VIGNMAX": (curve.checked, "[arcmin] off-axis angle to which it was checked"),
        "VIGNCLMP": (curve.clamp, "[arcmin] off-axis angle beyond which it is held"),
        "XCEN": (round((x - grid.x0 + 0.5) / grid.bin + 0.5, 4), "image pixel of the optical axis"),
        "YCEN": (round((y - grid.y0 + 0.5) / grid.bin + 0.5, 4), "image pixel of the optical axis"),
    }
    cards |= _unproved(events, curve)
    if curve.by_energy:
        cards["VIGNKEV"] = (round(curve.energy, 6), "[keV] energy at which it is taken")
    return cards


def _unproved(events: EventList, curve: Vignetting | None) -> Cards:
    """The part of the vignetting that was compared with nothing, and by what share it may be off."""
    form = events.format
    what, error = unproved(form.mission, form.instrument, curve)
    cards: dict[str, tuple[object, str]] = {}
    if what:
        cards["UNVERIF"] = (what, "unproved")
    if what and np.isfinite(error):
        cards["UNVERERR"] = (error, "relative error that is expected there")
    return cards


def sum_unproved(maps: Iterable[Mapping[str, object]]) -> dict[str, str | float]:
    """Cards UNVERIF and UNVERERR of a sum of exposure maps, from those of its parts.

    Parameters
    ----------
    maps
        Keyword to value of each part, such as its header.

    Returns
    -------
    dict
        Each remark once, joined; the largest relative error, where every unproved part has one.

    Examples
    --------
    >>> sum_unproved([{"UNVERIF": "a", "UNVERERR": 0.08}, {}, {"UNVERIF": "b", "UNVERERR": 0.06}])
    {'UNVERIF': 'a; b', 'UNVERERR': 0.08}
    >>> sum_unproved([{"UNVERIF": "a", "UNVERERR": 0.08}, {"UNVERIF": "c"}])
    {'UNVERIF': 'a; c'}
    """
    marked = [one for one in maps if one.get("UNVERIF")]
    if not marked:
        return {}
    cards: dict[str, str | float] = {"UNVERIF": "; ".join(dict.fromkeys(str(one["UNVERIF"]) for one in marked))}
    errors = [error for one in marked if isinstance(error := one.get("UNVERERR"), int | float)]
    if len(errors) == len(marked):
        cards["UNVERERR"] = max(errors)
    return cards


def _field_cards(footprint: Footprint, events: EventList) -> Cards:
    what = "no chip could be placed: not a measurement"
    return _cards("FIELD", footprint, events) | {"UNVERIF": (what, "unproved")}


def _cards(method: str, footprint: Footprint, events: EventList) -> dict[str, tuple[object, str]]:
    placed = sorted({module.chip for module in footprint.modules})
    mean_square = np.average(footprint.dither**2, axis=0, weights=footprint.weights).mean()
    blur = float(np.sqrt(mean_square)) * events.sky.pixel_arcsec
    flat = "FLAT: chips, FIELD: circle; x live time"
    return {
        "EXPMETH": (method, "chips x live time x vignetting" if method == "NATIVE" else flat),
        "VIGNET": (method == "NATIVE", "vignetting applied"),
        "EXPCHIPS": (",".join(map(str, placed)), "chips in the map"),
        "EXPLOST": (",".join(map(str, footprint.lost)), "chips that no events placed"),
        "EXPBADPX": (footprint.bad_pixels, "bad pixels left out"),
        "EXPBLUR": (round(blur, 3), "[arcsec] rms wander of the pointing"),
    }
