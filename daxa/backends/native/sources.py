"""The step sources, natively: source list, background, sensitivity and a picture for every exposure.

One small file per observation says what was searched.  An exposure that cannot be
searched has no list at all, and the file says why: an empty list would mean that nothing
is there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from daxa.backends.native.exposure import LogsProduct, band_text, merged_parts, picture_title, products_in
from daxa.backends.native.parameters import SourcesParameters, read_sources
from daxa.errors import ConfigError, DataError, NotPossible
from daxa.run.product import Product, parse_product
from daxa.run.task import Task, canonical
from daxa.xray.detection.detect import find_sources, sensitivity_map
from daxa.xray.detection.psf import Psf
from daxa.xray.detection.source_list import SourceList, write_sources
from daxa.xray.eventlists.formats import card_number, card_text
from daxa.xray.eventlists.frames import pixel_side
from daxa.xray.eventlists.regions import parse_regions, region_mask
from daxa.xray.eventlists.sky_grid import header_wcs, pointing_pixel
from daxa.xray.imaging.outoftime import read_counted
from daxa.xray.imaging.pairing import check_pair
from daxa.xray.imaging.quicklook import write_quicklook
from daxa.xray.telescopes.registry import camera_of

__all__ = ["make_sources"]

_KEV = 1.0
"""Energy of the point spread function of images without an energy band."""


@dataclass(frozen=True)
class _Image(LogsProduct):
    """An image to search, the identity of its products, and their directory."""

    task: Task
    path: Path
    product: Product
    target: Path
    log: TextIO
    bands: Mapping[tuple[float, float], Path]

    def place(self, kind: str, suffix: str = "fits") -> Path:
        return self.target / replace(self.product, kind=kind, suffix=suffix).name


def make_sources(task: Task, sources: Mapping[str, Path], target: Path, log: TextIO) -> None:
    """Search one image of every exposure.

    Raises
    ------
    ConfigError
        A parameter is malformed, or there are no images of the band that it names.
    DataError
        Image and exposure map do not belong together, or hold no counts or no exposure.
    """
    parameters = read_sources(task)
    searched = []
    for path, product, bands in _chosen(task, sources, parameters):
        image = _Image(task, path, product, target, log, bands)
        searched.append(_described(product) | (_search(image, parameters) if parameters.search else _REFUSED))
    if not parameters.search:
        print("no source search: sources.search is 'none'", file=log)
    elif not searched:
        print("there is no image to search", file=log)
    name = Product(task.obs_id, "ALL", "ALL", "search", suffix="json").name
    (target / name).write_text(canonical(searched) + "\n", encoding="ascii")


_REFUSED = MappingProxyType({"searched": False, "reason": "sources.search"})


def _described(product: Product) -> dict[str, object]:
    band = f"{product.lo}-{product.hi} keV" if product.lo else ""
    return {"instrument": product.instrument, "exposure": product.exposure, "band": band}


def _chosen(
    task: Task, sources: Mapping[str, Path], parameters: SourcesParameters
) -> Iterator[tuple[Path, Product, Mapping[tuple[float, float], Path]]]:
    """The image of the band to search, of every exposure, and those of all its bands."""

    def of(item: tuple[Path, Product]) -> tuple[str, str]:
        return item[1].instrument, item[1].exposure

    found = sorted(products_in(task, sources, "images", "image"), key=of)
    # Exposures that stand there also as one are searched as one.
    merged = {
        (product.instrument, part)
        for path, product in found
        if product.exposure == "ALL"
        for part in merged_parts(fits.getheader(path))
    }
    found = [one for one in found if (one[1].instrument, one[1].exposure) not in merged]
    for _, images in groupby(found, key=of):
        bands = {(float(product.lo or "0"), float(product.hi or "0")): (path, product) for path, product in images}
        # An instrument without energies has one image, whatever band is named.
        wanted = min(bands) if parameters.band is None or (0.0, 0.0) in bands else parameters.band
        if parameters.search and wanted not in bands:
            there = ", ".join(f'"{band_text(one)}"' for one in sorted(bands))
            raise ConfigError(
                "band",
                f"{task.mission} {task.obs_id} has no images of {band_text(wanted)} to search for sources",
                remedy=f"in params/{task.mission}.toml, [sources]: choose band from {there}, or add it to [images]",
            )
        path, product = bands.get(wanted, bands[min(bands)])
        yield path, product, {band: one for band, (one, _) in bands.items()}


def _search(image: _Image, parameters: SourcesParameters) -> dict[str, object]:
    try:
        counts, header, seconds = _read(image)
        wcs = header_wcs(header)
        psf = _psf(image, header, wcs)
        found = find_sources(
            counts,
            seconds,
            psf,
            scales=parameters.scales,
            false_per_field=parameters.false_per_field,
            regions=_left_out(image, header, seconds, wcs, parameters.regions) if parameters.regions else None,
            wcs=wcs,
            most_rate=_most_rate(image, header),
            all_counts=_all_counts(image, counts.shape),
            known=_known(image, counts.shape),
            realisations=parameters.realisations,
            workers=1,
        )
    except NotPossible as problem:
        image.say(f"not searched: {problem.message} ({problem.code})\n  what to do: {problem.remedy}")
        return {"searched": False, "reason": problem.code}
    least = sensitivity_map(seconds, found.background, psf, log_p=found.log_p, scales=found.scales, workers=1)
    _write(image, header, found, np.where(found.valid, least, np.nan))
    _draw(image, counts, seconds, header, found)
    image.say(
        f"{len(found)} sources, of which {found.expected_false:.2g} expected to be spurious{_how(found)}; "
        f"point spread function: {psf.facts.source}"
    )
    return {
        "searched": True,
        "reason": "",
        "sources": len(found),
        "expected_false": float(f"{found.expected_false:.4g}"),
        "simulated": found.simulated,
        "parts": len(found.parts["id"]),
        "log_p": float(f"{found.log_p:.6g}"),
        "scales": [round(scale, 4) for scale in found.scales],
        "psf": psf.facts.source,
    }


def _how(found: SourceList) -> str:
    """How an image with extended light was searched, and what it contains."""
    if not found.simulated:
        return ""
    structure = f"; structures in extended light, listed as its parts: {len(found.parts['id'])}"
    return f" (from {found.simulated} simulated fields with the same extended light){structure}"


def _left_out(image: _Image, header: fits.Header, seconds: np.ndarray, wcs: WCS, text: str) -> np.ndarray:
    """Pixels that the user's regions exclude from the search."""
    regions = parse_regions(text, "sources.regions", say=image.say)
    mask = region_mask(regions, (int(header["NAXIS2"]), int(header["NAXIS1"])), wcs, header=header)
    inside = int(np.count_nonzero(mask & (seconds > 0)))
    image.say(
        f"sources.regions leave out {inside} of {int(np.count_nonzero(seconds > 0))} exposed pixels"
        if inside
        else "sources.regions leave out nothing: they contain no exposed pixel of this image"
    )
    return mask


def _most_rate(image: _Image, header: fits.Header) -> float:
    rates = camera_of(image.task.mission, image.product.instrument).pile_up
    return rates.get(card_text(header, "SUBMODE"), rates.get("", math.inf))


def _all_counts(image: _Image, shape: tuple[int, int]) -> np.ndarray | None:
    """Counts at all energies with images: of bands that do not overlap, the lowest first."""
    if not camera_of(image.task.mission, image.product.instrument).pile_up:
        return None
    total, above = np.zeros(shape), -math.inf
    for lo, hi in sorted(image.bands, key=lambda band: (band[1], -band[0])):
        counts = _counted(image.bands[lo, hi]) if lo >= above else None
        if counts is not None and counts.shape == shape:
            total, above = total + counts, hi
    return total


def _read(image: _Image) -> tuple[np.ndarray, fits.Header, np.ndarray]:
    """Counts, their header, and seconds, on the same grid and for the same cut."""
    expmap = image.path.with_name(replace(image.product, kind="expmap").name)
    if not expmap.is_file():
        raise NotPossible(
            "no-map",
            f"{image.product.name} of {image.task.mission} {image.task.obs_id} has no exposure map",
            remedy=f"`daxa logs {image.task.obs_id} --step images` says why",
        )
    header, described = fits.getheader(image.path), fits.getheader(expmap)
    check_pair(header, described)
    if card_text(described, "EXPMETH") == "FIELD":
        raise NotPossible(
            "not-measured",
            f"the part of the sky that {image.product.name} shows is not known: no chip could be placed",
            remedy="its exposure map is a circle about the pointing; search a longer exposure",
        )
    for keyword in ("XCEN", "YCEN", "EXPMETH", "VIGNET", "UNVERIF", "UNVERERR"):
        # Rates and limits are as good as the map.
        if keyword in described:
            header[keyword] = (described[keyword], described.comments[keyword])
    return _counted(image.path), header, fits.getdata(expmap)


def _known(image: _Image, shape: tuple[int, int]) -> np.ndarray | None:
    """The expected out-of-time events of an image, if the step images made them (images.out_of_time)."""
    path = _readout(image.path)
    if not path.is_file():
        return None
    counts = fits.getdata(path)
    if counts.shape != shape:
        raise DataError(
            "shape", f"{path.name} and {image.path.name} differ in shape", remedy="run the step images again"
        )
    image.say("sources are searched in all counts: out-of-time events are a part of the background")
    return counts


def _readout(path: Path) -> Path:
    """Where the out-of-time events of an image are, if anywhere."""
    return path.with_name(replace(parse_product(path.name), kind="ootimage").name)


def _counted(path: Path) -> np.ndarray:
    """The counts of an image, also if its out-of-time events were subtracted when it was written."""
    return read_counted(path, _readout(path))[0]


def _psf(image: _Image, header: fits.Header, wcs: WCS) -> Psf:
    mission, instrument = image.task.mission, image.product.instrument
    facts = camera_of(mission, instrument).psf
    if facts is None:
        raise NotPossible(
            "psf",
            f"no point spread function is known for {instrument} of {mission}",
            remedy='write search = "none" in [sources] if sources of this instrument are not needed',
        )
    side = pixel_side(wcs)
    lo, hi = image.product.lo, image.product.hi
    kev = math.sqrt(float(lo) * float(hi)) if lo and float(lo) > 0 else _KEV
    return Psf(facts, side, kev, _axis(header, wcs))


def _axis(header: fits.Header, wcs: WCS) -> tuple[float, float] | None:
    """Pixel, from 0, of the optical axis; the pointing if the map does not say, None in a survey."""
    if "XCEN" in header and "YCEN" in header:
        return card_number(header, "XCEN") - 1.0, card_number(header, "YCEN") - 1.0
    return pointing_pixel(header, wcs)


def _write(image: _Image, header: fits.Header, found: SourceList, least: np.ndarray) -> None:
    for suffix in ("fits", "parquet", "reg"):
        write_sources(image.place("sourcelist", suffix), found, header)
    maps = {
        "background": (found.background, "count", "expected counts without sources"),
        "sensitivity": (least, "count/s", "half of the point sources are found"),
    }
    for kind, (pixels, unit, meaning) in maps.items():
        own = header.copy()
        own["BUNIT"] = (unit, meaning)
        own["LOGP"] = (float(f"{found.log_p:.6g}"), "ln of the largest chance of a source")
        fits.PrimaryHDU(pixels.astype(np.float32), own).writeto(image.place(kind), output_verify="exception")


def _draw(image: _Image, counts: np.ndarray, seconds: np.ndarray, header: fits.Header, found: SourceList) -> None:
    product = image.product
    band = f"{product.lo}-{product.hi} keV, " if product.lo else ""
    write_quicklook(
        image.place("quicklook", "png"),
        counts,
        seconds,
        None,
        title=picture_title(image.task, [header], product),
        subtitle=f"{band}{len(found)} sources; noise alone makes {found.expected_false:.2g} on average{_legend(found)}",
        pixel_arcsec=abs(float(header["CDELT2"])) * 3600.0,
        circles=np.column_stack([found["x"] - 1.0, found["y"] - 1.0, found["radius"]]),
        numbers=found["id"],
        extended=found["extent"] > 0,
        flagged=found["quality"] > 0,
    )


def _legend(found: SourceList) -> str:
    """What the circles of the picture mean, as far as it has them."""
    extended, parts = int((found["extent"] > 0).sum()), int(found["parts"].sum())
    within = f" with {parts} parts that are not drawn" if parts else ""
    green = f"; green: extended{within}" if extended else ""
    return green + ("; dashed: see column quality" if (found["quality"] > 0).any() else "")
