"""What users may pass for a place, an angle, a time, a table, or several of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime
    from os import PathLike
    from typing import Any

    import numpy as np
    import pandas as pd
    from astropy.coordinates import SkyCoord
    from astropy.table import Table
    from astropy.time import Time
    from astropy.units import Quantity
    from mocpy import MOC

__all__ = [
    "AngleLike",
    "BandLike",
    "BandsLike",
    "BoxLike",
    "DurationLike",
    "MocLike",
    "ObsIdsLike",
    "PositionLike",
    "PositionsLike",
    "RegionLike",
    "TableLike",
    "TextsLike",
    "TimeLike",
    "WindowLike",
]

PositionLike: TypeAlias = "SkyCoord | str | tuple[float, float] | tuple[Quantity, Quantity]"
"""A place on the sky: (ra, dec) in degrees ICRS or as quantities, a text ``RA,DEC``, or a `SkyCoord` of any frame."""

AngleLike: TypeAlias = "str | Quantity"
"""An angle with its unit: ``"15 arcmin"``, or ``15 * u.arcmin``."""

DurationLike: TypeAlias = "str | Quantity"
"""A time span with its unit: ``"5 ks"``, or ``5 * u.ks``."""

TimeLike: TypeAlias = "str | float | date | datetime | Time"
"""A moment, UTC: an ISO text, a date, `astropy.time.Time`, or an MJD."""

TableLike: TypeAlias = "str | PathLike[str] | Table | pd.DataFrame | Mapping[str, Sequence[Any]]"
"""A table: a file (CSV, ECSV, FITS, VOTable, Parquet), or one in memory."""

PositionsLike: TypeAlias = "PositionLike | Iterable[PositionLike] | np.ndarray"
"""One place on the sky, or many of them, also as an array of shape (n, 2) in degrees."""

WindowLike: TypeAlias = "tuple[TimeLike | None, TimeLike | None] | Sequence[TimeLike | None]"
"""(start, end) of a time window, None for an open side."""

RegionLike: TypeAlias = "str | PathLike[str]"
"""A DS9 region: a file, or its text."""

MocLike: TypeAlias = "str | PathLike[str] | MOC"
"""A coverage map: a file, its text, or a `mocpy.MOC`."""

BoxLike: TypeAlias = "str | Mapping[str, Sequence[float]]"
"""A box on the sky: ``{"ra": (350, 10), "dec": (-5, 5)}`` in degrees, or ``"350,10,-5,5"``."""

BandLike: TypeAlias = "str | tuple[float, float] | tuple[Quantity, Quantity] | Quantity"
"""An energy band: ``"0.5-2 keV"``, (0.5, 2) in keV, or two quantities."""

BandsLike: TypeAlias = "BandLike | Sequence[BandLike]"
"""One energy band, or several."""

TextsLike: TypeAlias = "str | Iterable[str]"
"""One text, or several."""

ObsIdsLike: TypeAlias = "str | int | Iterable[str | int] | TableLike"
"""One ObsID, several, or a table with a column of them."""
