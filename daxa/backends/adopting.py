"""What mission software has made, in the form in which the native steps write it, so that later steps can use it.

Each function takes the directory in which the tools worked and the product's place; paths are relative to that
directory.  Tools write dates and history into their files, and keep good times in tables of their own; the native form
has neither, so that equal data are equal bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from daxa.errors import DataError
from daxa.missions import MissionSpec
from daxa.run.product import Product
from daxa.run.task import Task, canonical

if TYPE_CHECKING:
    from astropy.io import fits

    from daxa.xray.cleaning.cut import Cut
    from daxa.xray.eventlists.event_list import EventList
    from daxa.xray.imaging.image import ImageGrid

__all__ = [
    "Band",
    "adopt_curve",
    "adopt_events",
    "adopt_good_times",
    "adopt_image",
    "adopt_map",
    "adopt_measures",
    "adopt_picture",
    "adopt_rates",
    "adopt_search",
    "adopt_sources",
    "identify",
]

Band = tuple[float, float] | None
"""Edges in keV; None for everything that an instrument recorded."""

_FLARES = re.compile(r"FLAREGTI([1-7])")
Cards = Mapping[str, tuple[object, str]]


def identify(spec: MissionSpec, obs_id: str, name: str, kind: str) -> Product | None:
    """The product that a cleaned list of the archive would become, by the name that the archive would give it.

    Parameters
    ----------
    spec
        Whose list it is.
    obs_id
        The observation.
    name
        Of the file; the pipelines of the missions give the names that the archives have.
    kind
        Of the product.

    Returns
    -------
    Product or None
        None for a list that the native chain does not start from.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> identify(find_mission("swift"), "00020153006", "sw00020153006xpcw3po_cl.evt", "events").name
    'obsid00020153006-instXRT-subexppcw3-en-events.fits'
    """
    for entry in spec.native_inputs:
        for folder in spec.listings if entry.kind == "events" else ():
            if found := entry.regex(obs_id).fullmatch(f"{folder}/{name}.gz"):
                told = found.groupdict().get("exposure") or ""
                exposure = re.sub(r"[^A-Za-z0-9]", "", told) or "None"
                return Product(obs_id, entry.instrument, exposure, kind)
    return None


def adopt_events(work: Path, target: Path, *, events: str, obs_id: str, before: str, band: Band = None) -> None:
    """Write a list that tools have cleaned, with its good times, as native cleaning writes it.

    Parameters
    ----------
    work, target
        Where the tools worked, and the product's place.
    events
        The list.
    obs_id
        The observation, for lists that do not name it.
    before
        The list as it was before flares were cut, '' for none.
    band
        Energies that it was cut to.

    Raises
    ------
    DataError
        The list cannot be read, or nothing of it is left.
    """
    from daxa.xray.cleaning.cleaned import write_clean_events

    own, cut = _cleaned(work / events, obs_id)
    write_clean_events(target, own, cut, _screened(own, cut, work / before if before else None, obs_id, band))


def adopt_good_times(work: Path, target: Path, *, events: str, obs_id: str) -> None:
    """Write the good times of a list that tools have cleaned."""
    from daxa.xray.cleaning.cleaned import write_gti

    own, cut = _cleaned(work / events, obs_id)
    write_gti(target, own, cut, _screened(own, cut, None, obs_id))


def _cleaned(path: Path, obs_id: str, *, flares: bool = True) -> tuple[EventList, Cut]:
    """A list, and the cut that keeps all of it: what its tables of flares take is taken from its good times."""
    from daxa.xray.cleaning.cut import Cut
    from daxa.xray.eventlists.gti import intersect
    from daxa.xray.eventlists.opening import open_events

    events = open_events(path, obs_id=obs_id)
    gtis = dict(events.gtis)
    for table in events.tables if flares else ():
        if found := _FLARES.fullmatch(table.name):
            pairs = np.column_stack([table.column(name) for name in ("START", "STOP")]).astype(float)
            gtis[int(found[1])] = intersect(gtis.get(int(found[1]), np.empty((0, 2))), pairs)
    if not sum(map(len, gtis.values())):
        raise DataError(
            "no-good-time",
            f"{obs_id}: no good time is left of {path.name}",
            remedy="loosen the filter of flares for this observation, or leave it out (skip)",
        )
    return events, Cut((), gtis)


def _screened(
    events: EventList, cut: Cut, before: Path | None, obs_id: str, band: Band = None
) -> dict[str, tuple[object, str]]:
    """That the tools have screened it, so that no later step does it again; to what energies; whether time was cut."""
    from daxa.backends.native.exposure import band_channels
    from daxa.xray.cleaning.ownscreening import OwnScreening, own_cards

    channels = band_channels(events.format.mission, events.format, band) if band else None
    cards = own_cards(OwnScreening(standard=False, channels=channels))
    cards["FLAREMET"] = ("NONE" if before is None else "TOOL", "flare filter")
    if before is not None:
        _, whole = _cleaned(before, obs_id, flares=False)
        cards["GTISAME"] = (whole.identity == cut.identity, "good times are those of the archive's list")
    return cards


def adopt_measures(work: Path, target: Path, *, lists: Sequence[tuple[Product, str, str]], obs_id: str) -> None:
    """Write what was measured: good time, that of the list before, events, of every list.

    Parameters
    ----------
    work, target
        As for all.
    lists
        Product, cleaned list, list before.
    obs_id
        The observation.
    """
    from daxa.xray.cleaning.livetime import ontime

    told = []
    for product, name, before in lists:
        events, cut = _cleaned(work / name, obs_id)
        whole, kept = _cleaned(work / before, obs_id, flares=False)
        told.append({
            "instrument": product.instrument,
            "exposure": product.exposure,
            "good": round(max(ontime(events, cut.gtis).values()), 3),
            "archived": round(max(ontime(whole, kept.gtis).values()), 3),
            "events": len(events.rows),
            "flares": "",
            "left": {},
            "anomalous": [],
        })  # fmt: skip
    target.write_text(canonical({"exposures": told}) + "\n", encoding="ascii")


def _cut_of(work: Path, events: str, mission: str, band: Band) -> tuple[EventList, Cut]:
    """A cleaned list in our form, and the cut of a band."""
    from daxa.backends.native.exposure import band_channels
    from daxa.xray.cleaning.cut import Cut
    from daxa.xray.cleaning.ownscreening import recorded_rules
    from daxa.xray.eventlists.opening import open_events

    own = open_events(work / events)
    channels = band_channels(mission, own.format, band) if band else None
    return own, Cut(recorded_rules(own), own.gtis, channels)


def _pixels(path: Path) -> tuple[np.ndarray, fits.Header]:
    """The image of a file and its header."""
    from astropy.io import fits

    try:
        with fits.open(path, memmap=False) as parts:
            part = next(part for part in parts if part.header.get("NAXIS") == 2 and part.is_image)
            return np.asarray(part.data), part.header.copy()
    except (OSError, StopIteration, ValueError, TypeError) as error:
        raise DataError("unreadable", f"{path.name} holds no image: {error}", remedy="read the log") from None


def _grid(events: EventList, cut: Cut, image: fits.Header, name: str) -> ImageGrid:
    """The pixels of an image in pixels of the events.

    Raises
    ------
    DataError
        They are not whole pixels of the events, or of another part of the sky.
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
            remedy="leave the pixels of images to daxa (binsize, rebin), or make images natively",
        )
    return grid


def _write(target: Path, pixels: np.ndarray, header: fits.Header, cards: Cards) -> None:
    from astropy.io import fits

    for key, value in cards.items():
        header[key] = value
    fits.PrimaryHDU(pixels, header).writeto(target, output_verify="exception")


def adopt_image(work: Path, target: Path, *, image: str, events: str, mission: str, band: Band, cards: Cards) -> None:
    """Write counts that a tool binned, with what we say of an image.

    Parameters
    ----------
    work, target
        As for all.
    image, events
        The tool's image, and the cleaned list in our form that it was made of.
    mission, band
        Whose, and its energies.
    cards
        What else its header should say.
    """
    from daxa.xray.imaging.image import image_header

    own, cut = _cut_of(work, events, mission, band)
    pixels, header = _pixels(work / image)
    grid = _grid(own, cut, header, image)
    counts = np.rint(np.nan_to_num(np.asarray(pixels, np.float64)))
    if counts.min(initial=0) < 0 or counts.max(initial=0) > np.iinfo(np.int32).max:
        raise DataError("counts", f"{image} holds values that are not counts", remedy="read the log")
    _write(target, counts.astype(np.int32), image_header(own, cut, grid), cards)


def adopt_map(
    work: Path, target: Path, *, exposure: str, image: str, events: str, mission: str, band: Band, cards: Cards
) -> None:
    """Write the exposure map that a tool made for an image, s, with what we say of a map.

    Raises
    ------
    DataError
        It is not on the pixels of the image, or holds what cannot be an exposure.
    """
    from daxa.xray.imaging.image import image_header

    own, cut = _cut_of(work, events, mission, band)
    seconds, header = _pixels(work / exposure)
    grid = _grid(own, cut, header, exposure)
    if grid != _grid(own, cut, _pixels(work / image)[1], image):
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
    counts, header = _pixels(work / image)
    grid = _grid(own, cut, header, image)
    rates = rate_map(np.asarray(counts, np.float64), _seconds(_pixels(work / exposure)[0], exposure))
    _write(target, rates, image_header(own, cut, grid, unit="count/s"), cards)


def adopt_curve(work: Path, target: Path, *, events: str, mission: str, band: Band, width: float) -> None:
    """Write the light curve of a cleaned list: tools bin counts only, ours knows the good time of each bin."""
    from daxa.xray.cleaning.lightcurve import light_curve, write_light_curve

    own, cut = _cut_of(work, events, mission, band)
    cards: dict[str, tuple[object, str]] = {}
    if band and cut.pi:
        cards = {
            "ENERG_LO": (band[0], "[keV] nominal lower edge"),
            "ENERG_HI": (band[1], "[keV] nominal upper edge"),
            "CHANMIN": (cut.pi[0], "first channel"),
            "CHANMAX": (cut.pi[1], "last channel"),
        }
    write_light_curve(target, light_curve(own, cut, width), own.header, cards)


def adopt_picture(
    work: Path, target: Path, *, task: Task, product: Product, exposure: str, image: str, events: str, width: float
) -> None:
    """Draw an image with its light curve, as the native step does; `product` is the image.

    Parameters
    ----------
    work, target
        As for all.
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
    counts, header = _pixels(work / image)
    seconds = _seconds(_pixels(work / exposure)[0], exposure) if exposure else None
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


def adopt_sources(
    work: Path, target: Path, *, sources: str, image: str, columns: Mapping[str, str], facts: Mapping[str, float | str]
) -> None:
    """Write the sources that a tool found, under our columns; what the tool does not give is not a number.

    Parameters
    ----------
    work, target
        As for all; the suffix of `target` says whether a table or DS9 regions are written.
    sources, image
        The tool's list, with ``RA`` and ``DEC``, and the image of ours that it searched.
    columns
        Our column to the tool's; ``order`` is what sources are sorted by, where that is no likelihood.
    facts
        ``method``: how sources were found; ``radius``: of their circles, pixels; ``log_p``: ln of the chance that was
        allowed; ``false``: false sources expected in a pixel, -1 where that is not known; ``pixel``: the tool's
        pixels to the side of one of the image.
    """
    from astropy.io import fits

    from daxa.xray.detection.source_list import COLUMNS, SourceList, make_table, write_sources
    from daxa.xray.eventlists.frames import to_pixels
    from daxa.xray.eventlists.sky_grid import header_wcs

    pixels, header = _pixels(work / image)
    wcs = header_wcs(header)
    read = _columns(work / sources, {"ra": "RA", "dec": "DEC", **columns})
    count = len(read["ra"])
    x, y = to_pixels(wcs, read.pop("ra"), read.pop("dec"), first=0) if count else (np.empty(0), np.empty(0))
    told = {"x": x, "y": y, "radius": np.full(count, float(facts["radius"])), **read}
    for name in ("x_error", "y_error"):
        told[name] = told.get(name, np.full(count, math.nan)) / float(facts["pixel"])
    for name in set(COLUMNS) - set(told) - {"id", "ra", "dec", "position_error"}:
        told[name] = np.full(count, 0.0 if name in ("quality", "parts", "extent") else math.nan)
    # The most likely source comes first.
    order = np.argsort(-np.nan_to_num(told.pop("order", told["likelihood"])), kind="stable")
    found = SourceList(
        make_table({name: values[order] for name, values in told.items()}, wcs),
        background=np.zeros(pixels.shape),
        valid=np.ones(pixels.shape, bool),
        scales=(),
        log_p=float(facts["log_p"]),
        expected_false=max(float(facts["false"]), 0.0) * pixels.size,
        frame="icrs",
    )
    write_sources(target, found, header)
    if target.suffix == ".fits":
        with fits.open(target, mode="update") as parts:
            parts[1].header["DETMETH"] = (facts["method"], "what found the sources")
            if float(facts["false"]) < 0:
                del parts[1].header["FALSEEXP"]


def adopt_search(work: Path, target: Path, *, told: Sequence[tuple[Mapping[str, object], str]]) -> None:
    """Write what was searched: of each image what it is, and how many sources the tool's list has ('' for none)."""
    entries = []
    for entry, sources in told:
        found = len(_columns(work / sources, {"ra": "RA", "dec": "DEC"})["ra"]) if sources else 0
        entries.append(
            {**entry, "searched": bool(sources), "reason": "" if sources else "sources.skip", "sources": found}
        )
    target.write_text(canonical(entries) + "\n", encoding="ascii")


def _columns(path: Path, columns: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Columns of the first table of a file, by our names; those that it lacks are left out, but for positions."""
    from astropy.io import fits

    try:
        with fits.open(path, memmap=False) as parts:
            table = next(part for part in parts if isinstance(part, fits.BinTableHDU))
            names = {name.upper(): name for name in table.columns.names}
            found = {
                own: np.asarray(table.data[names[theirs]], np.float64)
                for own, theirs in columns.items()
                if theirs in names
            }
    except (OSError, StopIteration, ValueError, TypeError, KeyError) as error:
        raise DataError("unreadable", f"{path.name} holds no table: {error}", remedy="read the log") from None
    if not {"ra", "dec"} <= set(found):
        raise DataError("unreadable", f"{path.name} holds no places of sources", remedy="read the log")
    return found
