"""Exposure maps made by the archive: which can be used with our images, and on which grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from daxa.backends.native.exposure import ARCHIVED, ExposureTask, band_text, products_in
from daxa.errors import DataError
from daxa.run.task import Task
from daxa.xray.cleaning.cut import Cut
from daxa.xray.imaging.exposure_map import Cards
from daxa.xray.imaging.image import MOST_PIXELS, ImageGrid, image_header
from daxa.xray.imaging.occupancy import is_moving
from daxa.xray.imaging.pairing import MapFacts, apply_choice, choose_map, same_grid

__all__ = ["ArchiveMap", "archive_maps", "grid_of", "usable_map"]

_OTHER_TIMES = frozenset({"ms", "ks", "min", "h", "hr", "d", "day"})
"""What BUNIT says of maps that are not in seconds, besides those that are times an area."""


@dataclass(frozen=True)
class ArchiveMap:
    """A map that came with the data: its energies (keV), its header and its file."""

    band: tuple[float, float]
    header: fits.Header
    path: Path


def archive_maps(task: Task, sources: Mapping[str, Path], exposure: ExposureTask) -> tuple[ArchiveMap, ...]:
    """The maps of an exposure's instrument, sorted by energy; the log says which cannot be read."""
    return tuple(_readable(task, sources, exposure))


def _readable(task: Task, sources: Mapping[str, Path], exposure: ExposureTask) -> Iterator[ArchiveMap]:
    for path, product in products_in(task, sources, "clean", ARCHIVED):
        if product.instrument != exposure.product.instrument:
            continue
        try:
            header = fits.getheader(path)
        except (OSError, ValueError, fits.VerifyError) as error:
            exposure.say(f"the archive's exposure map is not used, it cannot be read: {error}")
            continue
        unit = str(header.get("BUNIT", "")).strip().lower()
        if unit in _OTHER_TIMES or "cm" in unit:
            band = band_text((float(product.lo), float(product.hi)))
            exposure.say(f"the archive's exposure map of {band} is not used: it is in {unit!r}, not in seconds")
        elif header.get("NAXIS") == 2 and 0 < header["NAXIS1"] * header["NAXIS2"] <= MOST_PIXELS:
            yield ArchiveMap((float(product.lo), float(product.hi)), header, path)
        else:
            exposure.say("the archive's exposure map is not used: it is not an image")


def grid_of(exposure: ExposureTask, cut: Cut, given: ArchiveMap) -> ImageGrid | None:
    """The grid of a map over the pixels of the events, None if it does not fit them."""
    sky, header = exposure.events.sky, given.header
    try:
        size = round(abs(float(header["CDELT2"]) / sky.cdelt[1]))
        x0, y0 = (round(sky.crpix[axis] - (float(header[f"CRPIX{axis + 1}"]) - 0.5) * size + 0.5) for axis in (0, 1))
    except (KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None
    grid = ImageGrid(x0, y0, max(size, 1), header["NAXIS1"], header["NAXIS2"])
    return grid if same_grid(_header(exposure, cut, grid), header) else None


def usable_map(
    exposure: ExposureTask, cut: Cut, grid: ImageGrid, band: tuple[float, float] | None, maps: tuple[ArchiveMap, ...]
) -> tuple[np.ndarray, Cards] | None:
    """The archive's map for an image of this band, float32 of shape (ny, nx) in s, and cards; None if none fits.

    Raises
    ------
    DataError
        The map has values that cannot be exposures.
    """
    given = next((one for one in maps if one.band == band), None)
    if given is None or band is None:
        return None
    events = exposure.events
    # What the list from the archive held is known only where nothing of it was cut.
    whole = events.gtis if events.header.get("GTISAME") is True else {}
    image = MapFacts(_header(exposure, cut, grid), band, events.gtis, moving=is_moving(events))
    choice = choose_map(image, MapFacts(given.header, given.band, whole))
    if choice.method == "NATIVE":
        why = choice.reason if whole else "it includes time that was cut"
        exposure.say(f"the archive's exposure map of {band_text(band)} is not used: {why}")
        return None
    # Undefined is unexposed, as many archives write it; what is negative or endless is damage.
    try:
        seconds = np.nan_to_num(np.asarray(fits.getdata(given.path), dtype=np.float64), nan=0.0, posinf=np.inf)
    except (ValueError, TypeError, KeyError, fits.VerifyError) as problem:
        raise _damaged(given) from problem
    if not np.isfinite(seconds).all() or seconds.min() < 0:
        raise _damaged(given)
    chosen, cards = apply_choice(choice, {0: seconds})
    return chosen, {**cards, "VIGNET": (True, "vignetting applied, by the archive")}


def _damaged(given: ArchiveMap) -> DataError:
    return DataError(
        "exposure-map",
        f"{given.path.name} holds values that are not exposures",
        remedy="fetch the observation again; if the archive's own map is like this, leave it out",
    )


def _header(exposure: ExposureTask, cut: Cut, grid: ImageGrid) -> fits.Header:
    header = image_header(exposure.events, cut, grid, unit="s")
    header["NAXIS1"], header["NAXIS2"] = grid.nx, grid.ny
    return header
