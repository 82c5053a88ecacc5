"""What all chains of SAS share: the accepted date of the calibration, variables, names of parts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from daxa.backends.chains import WORK, Known
from daxa.backends.registry import AS_OF
from daxa.errors import ConfigError
from daxa.run.product import parse_product

__all__ = ["INDEX", "VARIABLES", "analysis_date", "check_date", "has", "part_of", "place_product", "product_of"]

INDEX = "ccf.cif"
"""The index of calibration files, in the working directory."""

VARIABLES: Mapping[str, str] = {"SAS_CCF": f"{WORK}/{INDEX}"}
"""Of every call that reads calibration files."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def analysis_date(known: Known) -> str:
    """The date as of which calibration files are chosen: that at which the archive accepted them."""
    return known.task.calibration.partition(AS_OF)[2]


def check_date(known: Known) -> None:
    """Refuse to work with whatever calibration files are the newest on the day.

    Raises
    ------
    ConfigError
        The archive has accepted no calibration.
    """
    if not _DATE.fullmatch(analysis_date(known)):
        raise ConfigError(
            "calibration-date",
            f"{known.task.step} of {known.task.mission} has no date as of which calibration files are chosen, and "
            "which is the newest changes from day to day",
            remedy="accept the installed calibration: `daxa upgrade --calibration`, which writes today's date into "
            "software.toml",
        )


def has(known: Known, tool: str) -> bool:
    """Whether the release has a tool."""
    from daxa.backends.tools.reading import read_tool

    table = read_tool("sas", tool)
    return table.suite.covers(table.since, table.until, known.release)


def place_product(path: str) -> str:
    """Where an input stands: products of an exposure under short names, since long ones have failed tools of SAS.

    Examples
    --------
    >>> place_product("obsid0404910601-instM1-subexpS001-en-events.fits")
    'M1-S001-events.fits'
    >>> place_product("P0404910601OBX000ATTTSR0000.fits")
    'P0404910601OBX000ATTTSR0000.fits'
    """
    name = path.rpartition("/")[2]
    if not name.startswith("obsid"):
        return name
    product = parse_product(name)
    energies = f"-{product.lo}_{product.hi}" if product.lo else ""
    return f"{product.instrument}-{product.exposure}-{product.kind}{energies}.{product.suffix}"


def part_of(path: str) -> str:
    """The exposure of an input by its short name, such as ``M1-S001``."""
    return "-".join(path.split("-")[:2])


def product_of(part: str) -> tuple[str, str]:
    """Instrument and exposure of a part."""
    instrument, _, exposure = part.partition("-")
    return instrument, exposure
