"""The step images, natively: counts image, exposure map, rate map, light curve and quicklook."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

import numpy as np
from astropy.io import fits

from daxa.backends.native_exposure import Exposure, band_channels, products_in
from daxa.backends.parameters import ImagesParameters, read_images
from daxa.errors import DataError
from daxa.missions import find_mission
from daxa.run.task import Task
from daxa.xray.bands import adjacent_ranges
from daxa.xray.cut import Cut
from daxa.xray.events import EventList, open_events
from daxa.xray.exposure import Cards, exposure_map
from daxa.xray.formats import card_text
from daxa.xray.image import count_image, grid_for, image_header
from daxa.xray.lightcurve import LightCurve, light_curve, write_light_curve
from daxa.xray.quicklook import write_quicklook
from daxa.xray.screening import screening_for

__all__ = ["make_images", "rate_map"]

_LEAST_EXPOSURE = 0.015


def make_images(task: Task, sources: Mapping[str, Path], target: Path, log: TextIO) -> None:
    """Write the images of every cleaned exposure.

    Raises
    ------
    DataError
        There is no cleaned list.
    NotPossible
        The instrument has no such band or pixel.
    """
    parameters = read_images(task)
    made = 0
    for source, product in products_in(task, sources, "clean", "finalevents"):
        events = open_events(source)
        _image_one(Exposure(task, events, product, target, log), parameters)
        made += 1
    if not made:
        raise DataError(
            "no-exposure",
            f"{task.mission} {task.obs_id} has no cleaned event list",
            remedy="run the step clean again",
        )


def rate_map(image: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """Counts per second: image over exposure map.

    Parameters
    ----------
    image
        Counts, shape (ny, nx).
    exposure
        Seconds, shape (ny, nx).

    Returns
    -------
    numpy.ndarray
        float32, shape (ny, nx); NaN where the exposure is below 1.5 percent of its maximum.

    Examples
    --------
    >>> rate_map(np.array([[4, 1]]), np.array([[8.0, 0.1]])).tolist()
    [[0.5, nan]]
    """
    exposure = np.asarray(exposure, dtype=np.float64)
    seen = (exposure > 0) & (exposure >= _LEAST_EXPOSURE * exposure.max(initial=0.0))
    rate = np.divide(image, exposure, out=np.full(exposure.shape, np.nan), where=seen)
    return rate.astype(np.float32)


def _image_one(exposure: Exposure, parameters: ImagesParameters) -> None:
    events = exposure.events
    rules = screening_for(events) if card_text(events.header, "SCREENED") != "none" else ()
    whole = Cut(rules, events.gtis, None)
    grid = grid_for(events, parameters.pixel, whole)
    seconds, how = exposure_map(events, whole, grid)
    curve, first_image = None, None
    for band, channels in zip(parameters.bands, _channels(exposure, parameters.bands), strict=True):
        cut = Cut(rules, events.gtis, channels)
        image = count_image(events, cut, grid)
        maps = {
            "image": (image, "count", {}),
            "expmap": (seconds, "s", how),
            "ratemap": (rate_map(image, seconds), "count/s", how),
        }
        for kind, (pixels, unit, cards) in maps.items():
            _write(exposure.path(kind, band), pixels, image_header(events, cut, grid, unit=unit), cards)
        exposure.say(f"{int(image.sum())} counts at {band[0]:g}-{band[1]:g} keV, channels {channels}")
        if curve is None:
            curve = light_curve(events, cut, parameters.lightcurve_bin)
            _write_curve(exposure.path("lightcurve", band), events, curve, band, channels)
            first_image = image
    if how["EXPLOST"][0]:
        exposure.say(f"no events place the chips {how['EXPLOST'][0]}: they are not in the map")
    lo, hi = parameters.bands[0]
    write_quicklook(
        exposure.path("quicklook", suffix="png"),
        first_image,
        seconds,
        curve,
        title=_title(exposure),
        subtitle=f"{lo:g}-{hi:g} keV, {int(first_image.sum())} counts, {float(seconds.max()):.0f} s",
        pixel_arcsec=grid.bin * events.sky.pixel_arcsec,
    )


def _channels(exposure: Exposure, bands: tuple[tuple[float, float], ...]) -> list[tuple[int, int]]:
    """Channels of each band; bands that meet share none."""
    mission, form = exposure.task.mission, exposure.events.format
    named = {(one.lo, one.hi) for one in find_mission(mission).bands}
    return [
        band_channels(mission, form, band) if band in named else channels
        for band, channels in zip(bands, adjacent_ranges(form, bands), strict=True)
    ]


def _write(path: Path, pixels: np.ndarray, header: fits.Header, cards: Cards) -> None:
    if card_text(header, "INSTRUME") == "EPN":
        header["OOTCORR"] = (False, "out-of-time events subtracted")
    for key, value in cards.items():
        header[key] = value
    fits.PrimaryHDU(pixels, header).writeto(path, output_verify="exception")


def _write_curve(
    path: Path, events: EventList, curve: LightCurve, band: tuple[float, float], channels: tuple[int, int]
) -> None:
    cards: dict[str, tuple[object, str]] = {
        "ENERG_LO": (band[0], "[keV] nominal lower edge"),
        "ENERG_HI": (band[1], "[keV] nominal upper edge"),
        "CHANMIN": (channels[0], "first channel"),
        "CHANMAX": (channels[1], "last channel"),
    }
    write_light_curve(path, curve, events.header, cards)


def _title(exposure: Exposure) -> str:
    events, product = exposure.events, exposure.product
    name = card_text(events.header, "OBJECT") or card_text(events.primary, "OBJECT")
    target = "".join(letter for letter in name if letter.isprintable())[:40]
    part = "" if product.exposure == "None" else f" {product.exposure}"
    title = find_mission(exposure.task.mission).title
    told = " (simulated)" if events.header.get("SIMULATD", events.primary.get("SIMULATD")) is True else ""
    return f"{title} {product.obs_id} {product.instrument}{part}  {target}".rstrip() + told
