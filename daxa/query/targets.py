"""Objects in any usual form: a table with one row each, places on the sky, names."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from daxa.errors import CriteriaError
from daxa.naming import several
from daxa.query.criteria.coordinates import places_of
from daxa.query.criteria.sample import Sample, read_sample
from daxa.settings import Settings
from daxa.text import one_line

if TYPE_CHECKING:
    from daxa.query.criteria.sample import TargetsLike

__all__ = ["read_targets"]

_FILE = re.compile(r".*[/\\].*|.*\.[A-Za-z][A-Za-z0-9]*", re.DOTALL)
"""A text that is meant as a file: it has a directory, or a suffix."""


def read_targets(value: TargetsLike, settings: Settings) -> Sample:
    """The objects, in the order in which they are given.

    Parameters
    ----------
    value
        A `Sample`, or a file or table as `daxa.query.criteria.sample.read_sample` takes it; a
        `~astropy.coordinates.SkyCoord`, (ra, dec) in degrees or as quantities, a text ``RA,DEC``; the name of an
        object that Simbad, NED or VizieR know; or many places and names.
    settings
        The services that resolve names.

    Raises
    ------
    CriteriaError
        It is none of these, or no service knows a name.
    ServiceError
        The position of a name cannot be looked up.

    Examples
    --------
    >>> places = read_targets([(149.59, -11.06), "10.5, -3"], Settings())
    >>> places.ra.tolist(), places.names.tolist()
    ([149.59, 10.5], ['149.59,-11.06', '10.5,-3.0'])
    """
    if isinstance(value, Sample):
        return value
    if isinstance(value, Path) or (isinstance(value, str) and _FILE.fullmatch(value) and not _places(value)):
        return read_sample(value)
    if hasattr(value, "colnames") or hasattr(value, "columns") or hasattr(value, "keys"):
        return read_sample(value)
    found: list[tuple[str, tuple[float, float] | None]] = []
    for one in [value] if isinstance(value, str) or _places(value) else several(value):
        places = _places(one)
        if not places and (not isinstance(one, str) or not one.strip()):
            raise _bad(one)
        found += [(f"{ra!r},{dec!r}", (ra, dec)) for ra, dec in places] or [(" ".join(str(one).split()), None)]
    if not found:
        raise _bad(value)
    known = {}
    if names := [name for name, place in found if place is None]:
        from daxa.query.tables.name_resolution import resolve_names

        known = resolve_names(names, settings)
    every = [place or known[name] for name, place in found]
    return read_sample(
        {"ra": [ra for ra, _ in every], "dec": [dec for _, dec in every], "name": [name for name, _ in found]}
    )


def _places(value: object) -> list[tuple[float, float]]:
    """Places that a value means, in their order; [] where it is something else."""
    if isinstance(value, str) and not re.match(r"\s*[-+\d]", value):
        return []
    with suppress(CriteriaError):
        return places_of(value)
    return []


def _bad(value: object) -> CriteriaError:
    return CriteriaError(
        "sample",
        f"{one_line(value, 100)!r} is neither a position, nor the name of an object, nor a table of objects",
        remedy="give a file or table with columns ra and dec, a SkyCoord, (ra, dec) in degrees, or a name",
    )
