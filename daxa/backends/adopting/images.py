"""Images and exposure maps that tools have made of a cleaned list in our form, its light curve and its picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from daxa.backends.adopting.lists import Band
from daxa.backends.tools.foreign_fits import open_fits
from daxa.errors import DataError
from daxa.run.product import Product
from daxa.run.task import Task

if TYPE_CHECKING:
    from astropy.io import fits

    from daxa.xray.cleaning.cut import Cut
    from daxa.xray.eventlists.event_list import EventList
    from daxa.xray.imaging.image import ImageGrid

__all__ = ["adopt_curve", "adopt_image", "adopt_map", "adopt_picture", "adopt_rates", "read_pixels"]

Cards = Mapping[str, tuple[object, str]]


def _cut_of(work: Path, events: str, mission: str, band: Band) -> tuple[EventList, Cut]:
    """A cleaned list in our form, and the cut of a band."""
    from daxa.backends.native.exposure import band_channels
    from daxa.xray.cleaning.cut import Cut
    from daxa.xray.cleaning.ownscreening import recorded_rules
    from daxa.xray.eventlists.opening import open_events

    own = open_events(work / events)
    channels = band_channels(mission, own.format, band) if band else None
    return own, Cut(recorded_rules(own), own.gtis, channels)


def read_pixels(path: Path) -> tuple[np.ndarray, fits.Header]:
    """The image of a file and its header."""
    try:
        with open_fits(path) as parts:
            part = next(part for part in parts if part.header.get("NAXIS") == 2 and part.is_image)
            return np.asarray(part.data), part.header.copy()
    except ValueError as error:
        raise DataError("unreadable", f"{path.name} holds no image: {error}", remedy="read the log") from None


def _grid(events: EventList, cut: Cut, image: fits.Header, name: str) -> ImageGrid:
    """The pixels of an image in pixels of the events.

    Raises
    ------
    DataError
        They are not whole pixels of the events, or they are in another part of the sky.
    """
    from daxa.xray.imaging.image import ImageGrid, image_header
    from daxa.xray.imaging.pairing import same_grid

    sky = events.sky
    try:
        size = max(round(abs(float(image["CDELT2"]) / sky.cdelt[1])), 1)
        x0, y0 = (round(sky.crpix[axis] - (float(image[f"CRPIX{axis + 1}"]) - 0.5) * size + 0.5) for axis in (0, 1))
    except (KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError):
        size, x0, y0 = 1, 0, 0
    grid = ImageGrid(x0, y0, size, int(image["NAXIS1"]), int(image["NAXIS2"]))
    header = image_header(events, cut, grid)
    header["NAXIS1"], header["NAXIS2"] = grid.nx, grid.ny
    if not same_grid(header, image):
        raise DataError(
            "image-grid",
            f"{name} is not on whole pixels of the events of {events.path.name}",
            remedy="leave binsize and rebin at their defaults, or make images natively",
        )
    return grid


def _write(target: Path, pixels: np.ndarray, header: fits.Header, cards: Cards) -> None:
    from astropy.io import fits

    for key, value in cards.items():
        header[key] = value
    fits.PrimaryHDU(pixels, header).writeto(target, output_verify="exception")


def adopt_image(work: Path, target: Path, *, image: str, events: str, mission: str, band: Band, cards: Cards) -> None:
    """Write counts that a tool binned, with the header of a native image.

    Parameters
    ----------
    work, target
        The directory in which the tools ran, and the product's path.
    image, events
        The tool's image, and the cleaned list in our form that it was made of.
    mission, band
        The mission, and the band of the image.
    cards
        Further cards of its header.
    """
    from daxa.xray.imaging.image import image_header

    own, cut = _cut_of(work, events, mission, band)
    pixels, header = read_pixels(work / image)
    grid = _grid(own, cut, header, image)
    counts = np.rint(np.nan_to_num(np.asarray(pixels, np.float64)))
    if counts.min(initial=0) < 0 or counts.max(initial=0) > np.iinfo(np.int32).max:
        raise DataError("counts", f"{image} holds values that are not counts", remedy="read the log")
    _write(target, counts.astype(np.int32), image_header(own, cut, grid), cards)


def adopt_map(
    work: Path, target: Path, *, exposure: str, image: str, events: str, mission: str, band: Band, cards: Cards
) -> None:
    """Write the exposure map that a tool made for an image, s, with the header of a native map.

    Raises
    ------
    DataError
        It is not on the pixels of the image, or holds what cannot be an exposure.
    """
    from daxa.xray.imaging.image import image_header

    own, cut = _cut_of(work, events, mission, band)
    seconds, header = read_pixels(work / exposure)
    grid = _grid(own, cut, header, exposure)
    if grid != _grid(own, cut, read_pixels(work / image)[1], image):
        raise DataError("image-grid", f"{exposure} and {image} are not on the same pixels", remedy="read the log")
    _write(target, _seconds(seconds, exposure), image_header(own, cut, grid, unit="s"), cards)


def _seconds(values: np.ndarray, name: str) -> np.ndarray:
    seconds = np.nan_to_num(np.asarray(values, np.float64), nan=0.0, posinf=np.inf)
    if not np.isfinite(seconds).all() or seconds.min(initial=0.0) < 0:
        raise DataError("exposure-map", f"{name} holds values that are not exposures", remedy="read the log")
    return seconds.astype(np.float32)


def adopt_rates(
    work: Path, target: Path, *, exposure: str, image: str, events: str, mission: str, band: Band, cards: Cards
) -> None:
    """Write counts over exposure, as the native step does it, of a tool's image and map."""
    from daxa.xray.imaging.image import image_header
    from daxa.xray.imaging.pairing import rate_map

    own, cut = _cut_of(work, events, mission, band)
    counts, header = read_pixels(work / image)
    grid = _grid(own, cut, header, image)
    rates = rate_map(np.asarray(counts, np.float64), _seconds(read_pixels(work / exposure)[0], exposure))
    _write(target, rates, image_header(own, cut, grid, unit="count/s"), cards)


def adopt_curve(work: Path, target: Path, *, events: str, mission: str, band: Band, width: float) -> None:
    """Write the light curve of a cleaned list: tools only bin counts, while ours has the good time of each bin."""
    from daxa.xray.cleaning.lightcurve import light_curve, write_light_curve
    from daxa.xray.eventlists.clock import in_seconds

    own, cut = _cut_of(work, events, mission, band)
    cards: dict[str, tuple[object, str]] = {}
    if band and cut.pi:
        cards = {
            "ENERG_LO": (band[0], "[keV] nominal lower edge"),
            "ENERG_HI": (band[1], "[keV] nominal upper edge"),
            "CHANMIN": (cut.pi[0], "first channel"),
            "CHANMAX": (cut.pi[1], "last channel"),
        }
    write_light_curve(target, light_curve(own, cut, width), in_seconds(own.header, own.primary), cards)


def adopt_picture(
    work: Path, target: Path, *, task: Task, product: Product, exposure: str, image: str, events: str, width: float
) -> None:
    """Draw an image with its light curve, as the native step does; `product` is the image.

    Parameters
    ----------
    work, target
        The directory in which the tools ran, and the product's path.
    task, product
        What is drawn.
    exposure, image, events
        The tool's map ('' for none) and image, and the cleaned list in our form.
    width
        Bin of the light curve, s.
    """
    from daxa.backends.native.exposure import band_text, picture_title
    from daxa.xray.cleaning.lightcurve import light_curve
    from daxa.xray.imaging.quicklook import write_quicklook

    band = (float(product.lo), float(product.hi)) if product.lo else None
    own, cut = _cut_of(work, events, task.mission, band)
    counts, header = read_pixels(work / image)
    seconds = _seconds(read_pixels(work / exposure)[0], exposure) if exposure else None
    looked = f"{float(seconds.max()):.0f} s" if seconds is not None else "no exposure map"
    write_quicklook(
        target,
        counts,
        seconds,
        light_curve(own, cut, width),
        title=picture_title(task, (own.header, own.primary), product),
        subtitle=f"{band_text(band)}, {int(counts.sum())} counts, {looked}",
        pixel_arcsec=_grid(own, cut, header, image).bin * own.sky.pixel_arcsec,
    )
