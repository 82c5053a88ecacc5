"""What all chains of SAS share: the accepted date of the calibration, variables, names of parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from daxa.backends.chains import WORK, CallPlan, Known, Link
from daxa.backends.registry import AS_OF
from daxa.backends.sas.constituents import end_of
from daxa.errors import ConfigError, DataError
from daxa.run.product import parse_product

__all__ = [
    "INDEX",
    "VARIABLES",
    "analysis_date",
    "check_date",
    "cifbuild_at",
    "cifbuild_link",
    "has",
    "part_of",
    "place_product",
    "product_of",
]

INDEX = "ccf.cif"
"""The index of calibration files, in the working directory."""

VARIABLES: Mapping[str, str] = {"SAS_CCF": f"{WORK}/{INDEX}"}
"""Variables of every call that reads calibration files."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def analysis_date(known: Known) -> str:
    """The date as of which calibration files are chosen: the end of the day at which the archive accepted them."""
    return end_of(_accepted_day(known))


def _accepted_day(known: Known) -> str:
    return known.task.accepted.partition(AS_OF)[2]


def check_date(known: Known) -> None:
    """Refuse to use whichever calibration files happen to be the newest today.

    Raises
    ------
    ConfigError
        The archive has accepted no calibration.
    """
    accepted, why = known.task.accepted, "has no date for the choice of calibration files, and the newest ones change"
    if accepted.startswith(f"SAS {known.release},") and _DATE.fullmatch(_accepted_day(known)):
        return
    if _accepted_day(known):  # Release and calibration are wrong without each other, which SAS itself does not say.
        why = f"has accepted its calibration with {accepted.partition(',')[0][:40]}, and SAS {known.release} is here"
    raise ConfigError(
        "calibration-date",
        f"{known.task.step} of {known.task.mission} {why}",
        remedy="accept the installed calibration: `daxa upgrade --calibration`, which writes today's date into "
        "software.toml",
    )


def cifbuild_link(plan: Callable[[Known], Sequence[CallPlan]]) -> Link:
    """The link that makes the index of calibration files."""
    return Link(
        "cifbuild",
        "cifbuild",
        plan,
        "index of calibration files",
        {"fullpath": True},
        ("calindexset", "usecanonicalname", "masterindex", "withmasterindexset", "masterindexset"),
    )


def cifbuild_at(known: Known, path: str, table: str) -> list[CallPlan]:
    """The call for the date of a list or image, where the raw files are not at hand.

    Parameters
    ----------
    known
        So far.
    path, table
        The file, and the table whose header has the date ('' for the first header).

    Raises
    ------
    DataError
        The header has no date.
    """
    seen = str(known.facts.header(path, table).get("DATE-OBS", ""))
    if not re.fullmatch(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{1,9})?)?", seen, re.ASCII):
        raise DataError(
            "header",
            f"{known.task.mission} {known.task.obs_id}: DATE-OBS = {seen[:40]!r} in {path} is not a date",
            remedy="run the steps events and clean again",
        )
    values = {"calindexset": INDEX, "withobservationdate": True, "observationdate": seen}
    return [CallPlan({**values, "analysisdate": analysis_date(known)})]


def has(known: Known, tool: str) -> bool:
    """Whether the release has a tool."""
    from daxa.backends.tools.reading import read_tool

    table = read_tool("sas", tool)
    return table.suite.covers(table.since, table.until, known.release)


def place_product(path: str) -> str:
    """Where an input is put: products of an exposure get short names, since tools of SAS have failed on long ones.

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
