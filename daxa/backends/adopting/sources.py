"""Sources that tools have found, under our columns, and what was searched."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from daxa.backends.adopting.images import read_pixels
from daxa.backends.parameter_schema import Parameter
from daxa.backends.tools.foreign_fits import open_fits
from daxa.errors import DataError
from daxa.naming import number_of
from daxa.run.task import canonical

__all__ = ["COVERAGE", "adopt_search", "adopt_sources", "band_parameter"]

COVERAGE = "coverage"
"""Said of searches without a sensitivity map: ``daxa coverage`` measures limits natively, from image, map and list."""


def band_parameter(example: str) -> Parameter:
    """The parameter ``band`` of the step sources, for tools that search one image."""
    return Parameter(
        "band",
        "band",
        None,
        "energies of the image that is searched; by default the lowest of the images",
        unit="keV",
        choices=("first",),
        example=f'"{example}"',
        shown="comment",
    )


def adopt_sources(
    work: Path, target: Path, *, sources: str, image: str, columns: Mapping[str, str], facts: Mapping[str, float | str]
) -> None:
    """Write the sources that a tool found, under our columns; what the tool does not give is NaN.

    Parameters
    ----------
    work, target
        The directory in which the tools ran, and the product's path, whose suffix decides whether a table or DS9
        regions are written.
    sources, image
        The tool's list, with ``RA`` and ``DEC``, and the image of ours that it searched.
    columns
        Our column to the tool's; ``order`` is the one to sort sources by if it is not a likelihood.
    facts
        ``method``: how sources were found; ``radius``: of their circles, pixels; ``log_p``: ln of the chance that was
        allowed; ``false``: false sources expected in a pixel, -1 where that is not known; ``pixel``: the tool's
        pixels to the side of one of the image.
    """
    from astropy.io import fits

    from daxa.xray.detection.source_list import COLUMNS, SourceList, make_table, write_sources
    from daxa.xray.eventlists.frames import pixel_side, to_pixels
    from daxa.xray.eventlists.sky_grid import header_wcs

    pixels, header = read_pixels(work / image)
    wcs = header_wcs(header)
    read = _columns(work / sources, {"ra": "RA", "dec": "DEC", **columns})
    count = len(read["ra"])
    x, y = to_pixels(wcs, read.pop("ra"), read.pop("dec"), first=0) if count else (np.empty(0), np.empty(0))
    values = {"x": x, "y": y, "radius": np.full(count, float(facts["radius"])), **read}
    for name in ("x_error", "y_error"):
        values[name] = values.get(name, np.full(count, math.nan)) / float(facts["pixel"])
    for name in set(COLUMNS) - set(values) - {"id", "ra", "dec", "position_error"}:
        values[name] = np.full(count, 0.0 if name in ("quality", "parts", "extent") else math.nan)
    # The most likely source comes first.
    order = np.argsort(-np.nan_to_num(values.pop("order", values["likelihood"])), kind="stable")
    found = SourceList(
        make_table({name: column[order] for name, column in values.items()}, wcs),
        background=np.zeros(pixels.shape),
        valid=np.ones(pixels.shape, bool),
        scales=(),
        log_p=float(facts["log_p"]),
        expected_false=max(float(facts["false"]), 0.0) * pixels.size,
        frame="icrs",
        pixel_arcsec=pixel_side(wcs),
    )
    write_sources(target, found, header)
    if target.suffix == ".fits":
        with fits.open(target, mode="update") as parts:
            parts[1].header["DETMETH"] = (facts["method"], "what found the sources")
            if float(facts["false"]) < 0:
                del parts[1].header["FALSEEXP"]


def adopt_search(
    work: Path, target: Path, *, searches: Sequence[tuple[Mapping[str, object], str]], sensitivity: str = ""
) -> None:
    """Write what was searched: each image, and the number of sources in the tool's list ('' for no list).

    Parameters
    ----------
    work, target
        As for `adopt_sources`.
    searches
        What is said of each image, and the tool's list.
    sensitivity
        Where limits come from if the tools make no sensitivity map, such as `COVERAGE`.
    """
    said = {"sensitivity": sensitivity} if sensitivity else {}
    entries = []
    for entry, sources in searches:
        found = len(_columns(work / sources, {"ra": "RA", "dec": "DEC"})["ra"]) if sources else 0
        entries.append(
            {**entry, **said, "searched": bool(sources), "reason": "" if sources else "sources.skip", "sources": found}
        )
    target.write_text(canonical(entries) + "\n", encoding="ascii")


def _columns(path: Path, columns: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Columns of the first table of a file, by our names; those that it lacks are left out, but for positions."""
    from astropy.io import fits

    try:
        with open_fits(path) as parts:
            table = next(part for part in parts if isinstance(part, fits.BinTableHDU))
            names = {name.upper(): name for name in table.columns.names}
            found = {
                own: np.asarray(table.data[names[theirs]], np.float64)
                for own, theirs in columns.items()
                if theirs in names
            }
    except ValueError as error:
        raise DataError("unreadable", f"{path.name} holds no table: {error}", remedy="read the log") from None
    if not {"ra", "dec"} <= set(found):
        raise DataError("unreadable", f"{path.name} holds no positions of sources", remedy="read the log")
    if without := int((~(np.isfinite(found["ra"]) & (np.abs(found["dec"]) <= 90.0))).sum()):
        words = f"{path.name} has {number_of(without, 'source')} without a position on the sky"
        raise DataError("unreadable", words, remedy="read the log")
    return found
