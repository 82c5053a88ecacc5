"""The exposures of an observation together: one image, exposure map and rate map of a band.

Each exposure keeps its own products; combined ones have kinds of their own, so that nothing
that reads images counts the same events twice.  Out-of-time events are subtracted from the sum
where they are subtracted from the images of the exposures (``OOTCORR``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import numpy as np
from astropy.io import fits

from daxa.backends.native.exposure import band_text, merged_parts, picture_title
from daxa.errors import DataError, NotPossible
from daxa.run.product import Product
from daxa.run.task import Task
from daxa.xray.cleaning.spans import clock_cards, span_cards
from daxa.xray.eventlists.cards import card_text, card_value
from daxa.xray.eventlists.gti import union
from daxa.xray.imaging.exposure_map import Cards, sum_unproved
from daxa.xray.imaging.image import ImageGrid, grid_cards
from daxa.xray.imaging.members import EventMember
from daxa.xray.imaging.mosaicking import (
    Mosaic,
    less_readout,
    make_mosaic,
    mosaic_grid,
    readout_subtracted,
    write_mosaic,
)
from daxa.xray.imaging.quicklook import write_quicklook

__all__ = ["Part", "combine", "on_one_grid"]

Part = tuple[EventMember, Cards]
"""An exposure with its map, and the cards that say how the map was made."""

_KINDS = ("combinedimage", "combinedexpmap", "combinedratemap")
_OBSTACLES = ("data.band", "data.same-events", "impossible.mosaic-size")
_COPIED = ("TELESCOP", "OBJECT", "SIMULATD")


def combine(
    task: Task,
    parts: Sequence[Part],
    band: tuple[float, float],
    target: Path,
    log: TextIO,
    *,
    picture: bool = False,
) -> bool:
    """Write the combined image, exposure map and rate map of an observation's exposures in one band.

    Parameters
    ----------
    task
        The task of the observation.
    parts
        Its exposures; a second of one counts as a second of any other (``MOSWnnnn`` is 1).
    band
        Nominal edges, keV.
    target
        Directory for the products.
    log
        Receives a line if exposures were not combined.
    picture
        Whether a quicklook is written, too.

    Returns
    -------
    bool
        Whether there was anything to combine: at least two exposures that show the sky at the same energies.
    """
    kept = _without_parts(parts)
    if len(kept) < 2:
        return False
    try:
        made = _combined(task, kept)
    except (DataError, NotPossible) as obstacle:
        if obstacle.code not in _OBSTACLES:
            raise
        print(f"exposures are not combined at {band_text(band)}: {obstacle.message}", file=log)
        return False
    product = Product(task.obs_id, "ALL", "ALL", "", *map(repr, band))
    write_mosaic(less_readout(made), *(target / replace(product, kind=kind).name for kind in _KINDS))
    if picture:
        _draw(task, made, len(kept), band, target / replace(product, lo="", hi="", kind="quicklook", suffix="png").name)
    print(f"{len(kept)} exposures combined: {int(made.counts.sum())} counts at {band_text(band)}", file=log)
    return True


def _without_parts(parts: Sequence[Part]) -> list[Part]:
    """Without the exposures of an instrument that are also there merged into one."""
    merged = {
        (one.events.format.instrument, part)
        for one, _ in parts
        if one.events.exposure == "ALL"
        for part in merged_parts(one.events.header)
    }
    return [(one, how) for one, how in parts if (one.events.format.instrument, one.events.exposure) not in merged]


def on_one_grid(members: Sequence[EventMember]) -> list[EventMember]:
    """The members with their maps on the smallest grid that holds all of them.

    If their event pixels are the same pixels of the sky, nothing is resampled: a map is put
    in its place among zeros.  Other members are returned as they are.
    """
    first = members[0]
    if any((one.events.sky, one.grid.bin) != (first.events.sky, first.grid.bin) for one in members):
        return list(members)
    size = first.grid.bin
    grids = [one.grid for one in members]
    if any((one.x0 - first.grid.x0) % size or (one.y0 - first.grid.y0) % size for one in grids):
        return list(members)
    x0, y0 = min(one.x0 for one in grids), min(one.y0 for one in grids)
    nx = max((one.x0 - x0) // size + one.nx for one in grids)
    ny = max((one.y0 - y0) // size + one.ny for one in grids)
    whole = ImageGrid(x0, y0, size, nx, ny)
    return [
        replace(
            one,
            grid=whole,
            exposure=_placed(one.grid, one.exposure, whole),
            readout=None if one.readout is None else _placed(one.grid, one.readout, whole),
        )
        for one in members
    ]


def _placed(grid: ImageGrid, image: np.ndarray, whole: ImageGrid) -> np.ndarray:
    column, row = (grid.x0 - whole.x0) // whole.bin, (grid.y0 - whole.y0) // whole.bin
    placed = np.zeros((whole.ny, whole.nx), dtype=image.dtype)
    placed[row : row + grid.ny, column : column + grid.nx] = image
    return placed


def _combined(task: Task, parts: Sequence[Part]) -> Mosaic:
    placed = on_one_grid([one for one, _ in parts])
    one_grid = all(one.grid == placed[0].grid and one.events.sky == placed[0].events.sky for one in placed)
    pixel = max(one.grid.bin * one.events.sky.pixel_arcsec for one in placed)
    made = make_mosaic(placed, placed[0].header if one_grid else mosaic_grid(placed, pixel))
    # With the physical coordinates, where there are any: regions in event pixels hold for the sum as for its parts.
    header = grid_cards(placed[0].events.sky, placed[0].grid) if one_grid else fits.Header()
    header.update(made.header)
    header["OBS_ID"] = task.obs_id
    for keyword in _COPIED:
        for events in (one.events for one in placed):
            source = events.header if card_text(events.header, keyword) else events.primary
            if card_text(source, keyword):
                header[keyword] = card_value(source, keyword)
                break
    header.update(_times(placed))
    header["INSTRUME"] = ("COMBINED", "MOSMnnnn name what was combined")
    if (subtracted := readout_subtracted(placed)) is not None:
        header["OOTCORR"] = (subtracted, "out-of-time events subtracted")
    header["VIGNET"] = (all(how["VIGNET"][0] for _, how in parts), "vignetting applied to every map")
    for number, (one, how) in enumerate(parts, start=1):
        header[f"MOSW{number:04d}"] = (one.weight, "weight of its exposure")
        header[f"MOSE{number:04d}"] = (how["EXPMETH"][0], "how its exposure map was made")
    header.update(sum_unproved({key: value for key, (value, _) in how.items()} for _, how in parts))
    return replace(made, header=header)


def _times(members: Sequence[EventMember]) -> fits.Header:
    """From when to when any of the exposures has good time, where all of them are on one clock."""
    header, first = fits.Header(), members[0].events
    if all(one.events.clock == first.clock for one in members):
        whole = {number: union(*one.cut.gtis.values()) for number, one in enumerate(members)}
        if first.clock.system:
            header["TIMESYS"] = (first.clock.system, "time system")
        header.update(clock_cards(first) | span_cards(first, whole))
    return header


def _draw(task: Task, made: Mosaic, count: int, band: tuple[float, float], path: Path) -> None:
    write_quicklook(
        path,
        made.counts,
        made.exposure,
        None,
        title=picture_title(task, [made.header]),
        subtitle=f"{count} exposures, {band_text(band)}, {int(made.counts.sum())} counts, "
        f"at most {float(made.exposure.max(initial=0)):.0f} s in all",
        pixel_arcsec=abs(float(made.header["CDELT2"])) * 3600.0,
    )
