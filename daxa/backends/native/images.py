"""The step images, natively: counts image, exposure map, rate map, light curve, quicklook, combined exposures."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TextIO

import numpy as np
from astropy.io import fits

from daxa.backends.native.bands import chosen_bands, chosen_pixel
from daxa.backends.native.combined import Part, combine
from daxa.backends.native.exposure import ExposureTask, band_text, named, products_in
from daxa.backends.native.flares import left_in_band
from daxa.backends.native.maps import ArchiveMap, archive_maps, grid_of, usable_map
from daxa.backends.native.parameters import ImagesParameters, read_images
from daxa.errors import DataError, NotPossible
from daxa.run.task import Task
from daxa.xray.cleaning.cut import Cut
from daxa.xray.cleaning.lightcurve import LightCurve, light_curve, write_light_curve
from daxa.xray.cleaning.ownscreening import placing_columns, read_own, recorded_rules
from daxa.xray.eventlists.clock import in_seconds
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.opening import open_events
from daxa.xray.imaging.attitude import Attitude, read_attitude
from daxa.xray.imaging.badpixels import BadPixels, join_bad_pixels, read_bad_pixels
from daxa.xray.imaging.exposure_map import Cards, exposure_map
from daxa.xray.imaging.image import ImageGrid, count_image, grid_for, image_header
from daxa.xray.imaging.members import EventMember
from daxa.xray.imaging.outoftime import OutOfTime, out_of_time_image
from daxa.xray.imaging.pairing import rate_map
from daxa.xray.imaging.quicklook import write_quicklook
from daxa.xray.imaging.vignetting import Vignetting, axis_pixel, vignetting_for
from daxa.xray.telescopes.registry import camera_of
from daxa.xray.telescopes.spec import Readout

__all__ = ["make_images"]

_BAD = re.compile(r"_bpix1\.fits$")
_INTERLEAVED = re.compile(r"_(e[12])(?=_|N)", re.ASCII)
_ATTITUDE = re.compile(r"ATTTSR\d{4}\.fits|_asol1\.fits")


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
    attitude, bad_files = _attitude(task, sources, log), _bad_pixels(task, sources, log)
    made = 0
    of_bands: dict[tuple[float, float], list[Part]] = {}
    for source, product in products_in(task, sources, "clean", "finalevents"):
        # A merged list is known by its name only.
        bad = join_bad_pixels(one for part, one in bad_files if part in {"", product.exposure})
        with named(product):
            events = replace(open_events(source), exposure=product.exposure)
            exposure = ExposureTask(task, events, product, target, log)
            imaged = _image_one(exposure, sources, parameters, attitude, bad)
        for band, part in imaged:
            of_bands.setdefault(band, []).append(part)
        made += 1
    drawn = False
    for band, parts in of_bands.items():
        drawn |= combine(task, parts, band, target, log, picture=not drawn)
    if not made:
        raise DataError(
            "no-exposure",
            f"{task.mission} {task.obs_id} has no cleaned event list",
            remedy="run the step clean again",
        )


def _attitude(task: Task, sources: Mapping[str, Path], log: TextIO) -> Attitude | None:
    """The attitude history or aspect solution beside the lists, None if none can be read."""
    names = sorted(item.file.path for item in task.inputs if item.step == "clean" and _ATTITUDE.search(item.file.path))
    if not names:
        return None
    try:
        return read_attitude([sources["clean"] / name for name in names])
    except DataError as unusable:
        print(f"the motion of the pointing is taken from the events: {unusable.message}", file=log)
        return None


def _bad_pixels(task: Task, sources: Mapping[str, Path], log: TextIO) -> list[tuple[str, Mapping[int, BadPixels]]]:
    """The bad pixels that are in files of their own, each with its exposure, '' where it holds for all."""
    names = sorted(item.file.path for item in task.inputs if item.step == "clean" and _BAD.search(item.file.path))
    found = []
    for name in names:
        part = _INTERLEAVED.search(name)
        try:
            found.append((part[1] if part else "", read_bad_pixels(sources["clean"] / name, task.obs_id)))
        except DataError as unusable:
            print(f"bad pixels are not left out of the exposure map: {unusable.message}", file=log)
    return found


def _image_one(
    exposure: ExposureTask,
    sources: Mapping[str, Path],
    parameters: ImagesParameters,
    attitude: Attitude | None,
    bad: Mapping[int, BadPixels],
) -> list[tuple[tuple[float, float], Part]]:
    """Write the products of one exposure; return its parts of combined images, with the band of each."""
    events = exposure.events
    rules = recorded_rules(events)
    whole = Cut(rules, events.gtis, None)
    bands = chosen_bands(exposure, parameters.bands)
    if reason := events.why_not("image"):
        exposure.say(f"light curves only: {reason}")
        curves = [light_curve(events, Cut(rules, events.gtis, pi), parameters.lightcurve_bin) for _, pi in bands]
        for (band, channels), curve in zip(bands, curves, strict=True):
            _write_curve(exposure.path("lightcurve", band), events, curve, band, channels)
        _picture(exposure, bands[0][0], None, None, curves[0])
        return []
    archived = archive_maps(exposure.task, sources, exposure)
    grid = _grid(exposure, whole, parameters.pixel, archived)
    # Bands without a curve of their own share one map.
    map_of = cache(partial(_map_of, exposure, whole, grid, attitude=attitude, bad=bad))
    merged = {"MERGED": (events.header["MERGED"], "exposures that were merged")} if "MERGED" in events.header else {}
    unknown = _unknown_to_maps(exposure)
    plain: dict[str, tuple[object, str]] = {"OOTCORR": _OOT[False]} if _readout_of(events) else {}
    parts: list[tuple[tuple[float, float], Part]] = []
    first: tuple[np.ndarray, np.ndarray | None, LightCurve] | None = None
    for band, channels in bands:
        cut = Cut(rules, events.gtis, channels)
        image = count_image(events, cut, grid)
        seconds, how = usable_map(exposure, cut, grid, band, archived) or map_of(_vignetting(exposure, band))
        image_cards = left_in_band(exposure, cut, band) | merged | unknown
        readout = _out_of_time(exposure, cut, grid, band, attitude) if parameters.out_of_time != "none" else None
        pixels = image
        if readout is not None:
            image_cards |= {"OOTFRAC": readout.cards["OOTFRAC"]}
            expected = {**plain, **readout.cards}
            _write(exposure.path("ootimage", band), readout.counts, image_header(events, cut, grid), expected)
            if parameters.out_of_time == "subtract":
                pixels = (image - readout.counts).astype(np.float32)
                image_cards |= {"OOTCORR": _OOT[True]}
        maps = {"image": (pixels, "count", image_cards)}
        if seconds is not None:
            maps["expmap"] = (seconds, "s", {**how, **unknown})
            maps["ratemap"] = (rate_map(pixels, seconds), "count/s", {**how, **image_cards})
            if band and how["EXPMETH"][0] != "FIELD":
                taken = readout.counts if readout is not None and parameters.out_of_time == "subtract" else None
                parts.append((band, (EventMember(events, cut, grid, seconds, readout=taken), how)))
        for kind, (pixels, unit, cards) in maps.items():
            _write(exposure.path(kind, band), pixels, image_header(events, cut, grid, unit=unit), plain | dict(cards))
        used = "-".join(map(str, channels)) if channels else "all"
        exposure.say(f"{int(image.sum())} counts at {band_text(band)}, channels {used}")
        if first is None:
            curve = light_curve(events, cut, parameters.lightcurve_bin)
            _write_curve(exposure.path("lightcurve", band), events, curve, band, channels)
            first = image, seconds, curve
    if first is not None:
        _picture(exposure, bands[0][0], *first, pixel_arcsec=grid.bin * events.sky.pixel_arcsec)
    return parts


def _picture(
    exposure: ExposureTask,
    band: tuple[float, float] | None,
    image: np.ndarray | None,
    seconds: np.ndarray | None,
    curve: LightCurve,
    *,
    pixel_arcsec: float = 0.0,
) -> None:
    counts = int((curve.counts if image is None else image).sum())
    looked = f"{float(seconds.max()):.0f} s" if seconds is not None else "no exposure map"
    write_quicklook(
        exposure.path("quicklook", suffix="png"),
        image,
        seconds,
        curve,
        title=exposure.title,
        subtitle=f"{band_text(band)}, {counts} counts" + ("" if image is None else f", {looked}"),
        pixel_arcsec=pixel_arcsec,
    )


def _grid(exposure: ExposureTask, cut: Cut, pixel: float, maps: tuple[ArchiveMap, ...]) -> ImageGrid:
    """The pixels of the archive's map, if there is one with pixels of the requested size; else our own."""
    side = chosen_pixel(exposure, pixel)
    for grid in (grid_of(exposure, cut, one) for one in maps):
        if grid is not None and math.isclose(grid.bin * exposure.events.sky.pixel_arcsec, side, rel_tol=0.01):
            return grid
    return grid_for(exposure.events, side, cut)


def _vignetting(exposure: ExposureTask, band: tuple[float, float] | None) -> Vignetting | None:
    """The curve of the band, if there is one and the list gives the position of its axis."""
    form = exposure.events.format
    curve = vignetting_for(form.mission, form.instrument, band)
    try:
        if curve is not None:
            axis_pixel(exposure.events, curve)
    except DataError as unknown:
        exposure.say(f"the map of {band_text(band)} is flat: {unknown.message}")
        return None
    return curve


def _map_of(
    exposure: ExposureTask,
    cut: Cut,
    grid: ImageGrid,
    vignetting: Vignetting | None,
    *,
    attitude: Attitude | None,
    bad: Mapping[int, BadPixels],
) -> tuple[np.ndarray | None, Cards]:
    """The exposure map, or None if the instrument or too short a list allows none: there is only an image then."""
    try:
        seconds, how = exposure_map(exposure.events, cut, grid, vignetting=vignetting, attitude=attitude, bad=bad)
    except DataError as other:
        if other.code != "data.attitude":
            raise
        exposure.say(f"the motion of the pointing is taken from the events: {other.message}")
        return _map_of(exposure, cut, grid, vignetting, attitude=None, bad=bad)
    except NotPossible as refusal:
        exposure.say(f"no exposure map and no rates: {refusal.message}")
        return None, {}
    if how["EXPMETH"][0] == "FIELD":
        exposure.say("no chip could be placed: the map is a circle about the pointing, not a measurement")
    elif how["EXPLOST"][0]:
        exposure.say(f"no events place the chips {how['EXPLOST'][0]}: they are not in the map")
    return seconds, how


def _unknown_to_maps(exposure: ExposureTask) -> dict[str, tuple[object, str]]:
    """Cards about a cut by position that the exposure map does not include; the log says so, too."""
    columns = ",".join(placing_columns(read_own(exposure.events.header)))
    if not columns:
        return {}
    exposure.say(f"exposure maps do not include the cut by {columns} (clean.expression)")
    return {"EXPUNCUT": (columns, "columns of a cut that exposures do not know of")}


def _out_of_time(
    exposure: ExposureTask,
    cut: Cut,
    grid: ImageGrid,
    band: tuple[float, float] | None,
    attitude: Attitude | None,
) -> OutOfTime | None:
    """The image of out-of-time events, if they are known for the camera."""
    if _readout_of(exposure.events) is None:
        form = exposure.events.format
        exposure.say(f"images.out_of_time has no effect: out-of-time events are not known for {form.title}")
        return None
    try:
        found = out_of_time_image(exposure.events, cut, grid, attitude=attitude)
    except NotPossible as refusal:
        exposure.say(f"no image of out-of-time events: {refusal.message}")
        return None
    exposure.say(f"{found.counts.sum():.1f} out-of-time counts are expected at {band_text(band)}")
    return found


def _readout_of(events: EventList) -> Readout | None:
    return camera_of(events.format.mission, events.format.instrument).readout


_OOT = {word: (word, "out-of-time events subtracted") for word in (True, False)}


def _write(path: Path, pixels: np.ndarray, header: fits.Header, cards: Cards) -> None:
    for key, value in cards.items():
        header[key] = value
    fits.PrimaryHDU(pixels, header).writeto(path, output_verify="exception")


def _write_curve(
    path: Path,
    events: EventList,
    curve: LightCurve,
    band: tuple[float, float] | None,
    channels: tuple[int, int] | None,
) -> None:
    if not band or not channels:
        write_light_curve(path, curve, in_seconds(events.header, events.primary), {})
        return
    cards: dict[str, tuple[object, str]] = {
        "ENERG_LO": (band[0], "[keV] nominal lower edge"),
        "ENERG_HI": (band[1], "[keV] nominal upper edge"),
        "CHANMIN": (channels[0], "first channel"),
        "CHANMAX": (channels[1], "last channel"),
    }
    write_light_curve(path, curve, in_seconds(events.header, events.primary), cards)
