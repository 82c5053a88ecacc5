"""A sample of objects, each with its own radius and its own time window.

Column names are found whatever their case, units are respected, and every value is
checked: one bad cell is one error that names its row.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from daxa.errors import CriteriaError
from daxa.query.criteria.sample_file import load_sample
from daxa.query.criteria.sky_conditions import MatchKind, read_margin, read_match
from daxa.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from daxa.query.criteria.accepted_types import PositionsLike, TableLike
    from daxa.query.criteria.objects import Objects

__all__ = ["Sample", "TargetsLike", "columns_of", "read_sample"]

_NAMES: dict[str, tuple[str, ...]] = {
    "ra": ("ra", "ra_deg", "raj2000", "_raj2000", "ra_icrs", "alpha_j2000"),
    "dec": ("dec", "dec_deg", "decl", "dej2000", "decj2000", "_dej2000", "de_icrs", "dec_icrs", "delta_j2000"),
    "name": ("name", "target", "object", "source", "source_name", "id", "source_id"),
    "radius": ("radius", "radius_arcmin", "radius_deg", "radius_arcsec"),
    "start": ("start", "start_time", "time_start", "t_min"),
    "end": ("end", "end_time", "time_end", "stop", "t_max"),
}
_LARGEST_RADIUS = 90 * 60.0
_MJD = (30000.0, 100000.0)
_OPTIONS = ("match", "margin", "inside")


TargetsLike: TypeAlias = "Sample | TableLike | PositionsLike | Iterable[str]"
"""Objects on the sky: a table or file, places, or names that Simbad, NED or VizieR know."""


@dataclass(frozen=True, eq=False)
class Sample:
    """At any of these objects; equal when their columns are.

    Parameters
    ----------
    ra, dec
        (n,) degrees ICRS.
    names
        (n,) texts.
    radius
        (n,) arcminutes, or None: places without extent.
    start, end
        (n,) MJD UTC, infinite where open, or None: at any time.
    match, margin, inside
        As in `daxa.query.criteria.objects.Objects`.
    digest
        SHA-256 of all of these.
    """

    ra: np.ndarray
    dec: np.ndarray
    names: np.ndarray | None = None
    radius: np.ndarray | None = None
    start: np.ndarray | None = None
    end: np.ndarray | None = None
    match: MatchKind = "overlaps"
    margin: float = 1.0
    inside: bool = False
    digest: str = field(init=False, default="")

    def __post_init__(self) -> None:
        digest = hashlib.sha256(f"{self.match} {self.margin!r} {self.inside}".encode())
        for column in (self.ra, self.dec, self.radius, self.start, self.end):
            if column is not None:
                column.setflags(write=False)
            digest.update(b"-" if column is None else np.ascontiguousarray(column, dtype="<f8").tobytes())
        digest.update("\n".join([] if self.names is None else self.names.tolist()).encode())
        object.__setattr__(self, "digest", digest.hexdigest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sample) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __len__(self) -> int:
        return len(self.ra)

    def to_plain(self) -> dict[str, object]:
        """As TOML and JSON hold it: columns as lists, '' for an open side of a window."""
        plain: dict[str, object] = {"ra": self.ra.tolist(), "dec": self.dec.tolist()}
        if self.names is not None:
            plain["name"] = self.names.tolist()
        if self.radius is not None:
            plain["radius_arcmin"] = self.radius.tolist()
        for key, column in (("start", self.start), ("end", self.end)):
            if column is not None and np.isfinite(column).any():
                plain[key] = [value if np.isfinite(value) else "" for value in column.tolist()]
        if self.match != "overlaps":
            plain["match"] = self.match
        if self.margin != 1:
            plain["margin"] = self.margin
        return {"sample": plain | ({"inside": True} if self.inside else {})}

    def identity(self) -> dict[str, object]:
        """A short stand-in for the plain form, different for different samples."""
        return {"sample": {"objects": len(self), "digest": self.digest}}

    @property
    def text(self) -> str:
        """For messages."""
        when = "" if self.start is None else " in their time windows"
        return f"near {'the object' if len(self) == 1 else f'any of the {len(self)} objects'} of the sample{when}"

    @cached_property
    def objects(self) -> Objects:
        """For `daxa.query.matching.match`."""
        from daxa.query.criteria.objects import Objects

        radius = np.zeros(len(self)) if self.radius is None else self.radius
        return Objects(self.ra, self.dec, radius, self.start, self.end, self.match, self.margin, self.inside)


def read_sample(
    value: TableLike,
    *,
    match: MatchKind | None = None,
    margin: float | None = None,
    inside: bool = False,
    files: bool = True,
) -> Sample:
    """A sample from a file or a table.

    Parameters
    ----------
    value
        A file (CSV, ECSV, FITS, VOTable, Parquet), an `astropy.table.Table`, a `pandas.DataFrame`,
        or a mapping of columns.  ``ra`` and ``dec`` are degrees, or texts in hours and degrees;
        ``radius`` needs a unit, or the name ``radius_arcmin``, ``radius_deg`` or ``radius_arcsec``;
        ``start`` and ``end`` are MJD or ISO texts (UTC), open where empty or NaN; ``name`` is optional.
    match, margin
        As in `daxa.query.criteria.sky_conditions`; by default the field of view and the radius must overlap.
    inside
        The observation lies entirely in the window, not only partly.
    files
        Whether a file may be read: never for criteria stored in an archive.

    Raises
    ------
    CriteriaError
        A column is missing or ambiguous, a cell cannot be used; the message names the row.

    Examples
    --------
    >>> sample = read_sample({"RA": [10.0, 20.0], "Dec": [5.0, -5.0], "radius_arcmin": [2, 3]})
    >>> len(sample), sample.text
    (2, 'near any of the 2 objects of the sample')
    """
    columns, units = _columns(value, files=files)
    if not columns:
        raise _bad("the sample has no columns")
    found = {key: name for key in _NAMES if (name := _find(columns, key)) is not None}
    lengths = {len(columns[name]) for name in found.values()}
    missing = [key for key in ("ra", "dec") if key not in found]
    if missing:
        seen = ", ".join(repr(one_line(name, 30)) for name in list(columns)[:10])
        raise _bad(f"the sample has no column {' and '.join(missing)} (it has {seen})")
    if lengths == {0}:
        raise _bad("the sample has 0 rows")
    if len(lengths) > 1:
        raise _bad("the columns of the sample differ in length")
    for key, name in found.items():
        if _dimensions(columns[name]) != 1:
            raise _bad(f"the cells of the column {key} of the sample hold more than one value")
    ra, dec = _read_places(columns, units, found)
    radius = _read_radii(columns, units, found["radius"]) if "radius" in found else None
    start, end = _read_windows(columns, units, found)
    how = read_match("overlaps" if match is None else match, None if radius is None else 1.0)
    if how == "covers" and radius is None:
        how = "overlaps"
    if not isinstance(inside, bool):
        raise CriteriaError("time", "'inside' must be true or false", remedy="write inside = true")
    if inside and start is None:
        raise _bad("'inside' needs the columns start or end")
    names = _read_sample_names(columns[found["name"]]) if "name" in found else None
    return Sample(ra, dec, names, radius, start, end, how, read_margin(margin, how), inside)


def _columns(value: TableLike, *, files: bool) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """Columns as arrays or lists, and their units."""
    if files and isinstance(value, str | Path):
        value = load_sample(Path(value), _NAMES["name"])
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) and isinstance(column, list | tuple | np.ndarray)
                   for name, column in value.items()):  # fmt: skip
            raise _bad("a sample given as a mapping maps column names to lists")
        return value, {}
    if not isinstance(value, str) and hasattr(value, "colnames") and hasattr(value, "__getitem__"):
        units = {name: str(value[name].unit) for name in value.colnames if getattr(value[name], "unit", None)}
        return {name: _filled(value[name]) for name in value.colnames}, units
    if hasattr(value, "to_numpy") and hasattr(value, "columns") and not isinstance(value, str | PathLike):
        return {str(name): value[name].to_numpy() for name in value.columns}, {}
    raise _bad(f"{str(value)[:100]!r} is not a sample")


def columns_of(value: TableLike) -> Mapping[str, Any]:
    """The columns of a table in memory by their names, as arrays or lists.

    Raises
    ------
    CriteriaError
        It is not a table.
    """
    return _columns(value, files=False)[0]


def _dimensions(column: Any) -> int:
    # A list may hold lists of different lengths, which make no array of numbers.
    return column.ndim if isinstance(column, np.ndarray) else np.asarray(column, dtype=object).ndim


def _filled(column: Any) -> np.ndarray:
    if hasattr(column, "utc") and hasattr(column, "mjd"):
        return np.asarray(column.utc.mjd)
    if isinstance(column, np.ma.MaskedArray) and np.any(column.mask):
        cells = np.array(column.data, dtype=object)
        cells[np.asarray(column.mask)] = None
        return cells
    values = np.asarray(getattr(column, "value", column))
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8", "replace")
    # FITS is big-endian, pandas wants the machine's order.
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _find(columns: Mapping[str, Any], key: str) -> str | None:
    lowered: dict[str, list[str]] = {}
    for name in columns:
        lowered.setdefault(name.strip().lower(), []).append(name)
    for alias in _NAMES[key]:
        if alias in lowered:
            if len(lowered[alias]) > 1:
                raise _bad(f"the sample has several columns {key}: {', '.join(lowered[alias])}")
            return lowered[alias][0]
    return None


def _read_places(
    columns: Mapping[str, Any], units: Mapping[str, str], found: Mapping[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    names = found["ra"], found["dec"]
    ra, dec = (columns[name] for name in names)
    if all(_is_sexagesimal(column) for column in (ra, dec)):
        ra, dec = _sexagesimal(ra, dec)
    else:
        ra, dec = (
            _in_unit(_numbers(column, key), units.get(name, ""), "deg", key)
            for column, name, key in ((ra, names[0], "ra"), (dec, names[1], "dec"))
        )
    _refuse_rows(~((ra >= 0) & (ra <= 360)), ra, "RA", "is not from 0 to 360 degrees")
    _refuse_rows(~((dec >= -90) & (dec <= 90)), dec, "Dec", "is not from -90 to 90 degrees")
    return np.where(ra == 360, 0.0, ra) + 0.0, dec + 0.0


def _is_sexagesimal(column: Any) -> bool:
    return len(column) > 0 and isinstance(column[0], str) and (":" in column[0] or " " in column[0].strip())


def _sexagesimal(ra: Any, dec: Any) -> tuple[np.ndarray, np.ndarray]:
    from astropy.coordinates import Angle

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            texts = [np.array(list(column), dtype=np.str_) for column in (ra, dec)]
            return Angle(texts[0], unit="hourangle").deg, Angle(texts[1], unit="deg").deg
    except (ValueError, TypeError, Warning) as error:
        raise _bad(f"a position of the sample cannot be read: {' '.join(str(error).split())[:150]}") from None


def _read_radii(columns: Mapping[str, Any], units: Mapping[str, str], name: str) -> np.ndarray:
    unit = units.get(name, "") or name.strip().lower().partition("_")[2]
    if not unit:
        raise _bad(f"the column {name} of the sample has no unit (name it radius_arcmin, radius_deg or radius_arcsec)")
    radius = _in_unit(_numbers(columns[name], "radius"), unit, "arcmin", "radius")
    _refuse_rows(~((radius > 0) & (radius <= _LARGEST_RADIUS)), radius, "radius", "is not from 0 to 90 degrees")
    return radius


def _read_windows(
    columns: Mapping[str, Any], units: Mapping[str, str], found: Mapping[str, str]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    if found.keys().isdisjoint({"start", "end"}):
        return None, None
    count = len(columns[found["ra"]])
    sides = []
    for key, open_side in (("start", -np.inf), ("end", np.inf)):
        name = found.get(key)
        if name is not None and units.get(name, "d") not in ("d", "day", "MJD"):
            raise _bad(f"the column {name} of the sample is in {units[name][:30]}, not in days (MJD)")
        sides.append(np.full(count, open_side) if name is None else _moments(columns[name], key, open_side))
    start, end = sides
    _refuse_rows(~(start < end), start, "start", "is not before the end of its time window")
    return (start, end) if np.isfinite(start).any() or np.isfinite(end).any() else (None, None)


def _moments(column: Any, key: str, open_side: float) -> np.ndarray:

    import pandas as pd

    cells = pd.Series(list(column) if isinstance(column, tuple) else column)
    if pd.api.types.is_datetime64_any_dtype(cells.dtype):
        cells = pd.to_datetime(cells, utc=True).dt.tz_localize(None)
        mjd = (cells.to_numpy() - np.datetime64("1858-11-17")) / np.timedelta64(1, "D")
    elif pd.api.types.is_numeric_dtype(cells.dtype) and not pd.api.types.is_bool_dtype(cells.dtype):
        mjd = cells.to_numpy(dtype=np.float64, na_value=np.nan).copy()
    else:
        texts = cells.astype("string").str.strip()
        is_open = (cells.isna() | (texts == "")).to_numpy(dtype=bool, na_value=True)
        mjd = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        dated = np.flatnonzero(np.isnan(mjd) & ~is_open)
        if len(dated):
            parsed = pd.to_datetime(texts.iloc[dated], errors="coerce", utc=True, format="ISO8601").dt.tz_localize(None)
            mjd[dated] = (parsed.to_numpy(dtype="datetime64[ns]") - np.datetime64("1858-11-17")) / np.timedelta64(
                1, "D"
            )
        mjd[is_open] = open_side
    if not pd.api.types.is_object_dtype(cells.dtype) and not pd.api.types.is_string_dtype(cells.dtype):
        # Binary formats and pandas have no other way to say that there is none.
        mjd = np.where(np.isnan(mjd), open_side, mjd)
    bad = ~(((mjd >= _MJD[0]) & (mjd <= _MJD[1])) | (mjd == open_side))
    _refuse_rows(bad, cells, key, "is neither an MJD nor an ISO date in the era of X-ray astronomy")
    return mjd


def _numbers(column: Any, key: str) -> np.ndarray:

    import pandas as pd

    cells = pd.Series(list(column) if isinstance(column, tuple) else column)
    if pd.api.types.is_bool_dtype(cells.dtype):
        raise _bad(f"the column {key} of the sample does not hold numbers")
    try:
        numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    except TypeError:
        raise _bad(f"the column {key} of the sample does not hold numbers") from None
    _refuse_rows(~np.isfinite(numbers), cells, key, "is not a finite number")
    return numbers


def _in_unit(values: np.ndarray, unit: str, target: str, key: str) -> np.ndarray:
    if not unit or unit == target:
        return values.copy()
    import astropy.units as u

    try:
        return (values * u.Unit(unit)).to_value(target)
    except (ValueError, TypeError, u.UnitConversionError):
        raise _bad(f"the column {key} of the sample is in {unit[:30]!r}, which is not an angle") from None


def _read_sample_names(column: Any) -> np.ndarray:
    names = ["" if name is None else str(name).strip() for name in np.asarray(column, dtype=object).tolist()]
    bad = np.fromiter((not (name and len(name) <= 100 and name.isprintable()) for name in names), bool, len(names))
    _refuse_rows(bad, np.array(names, dtype=object), "name", "is not a printable name")
    return np.array(names, dtype=object)


def _refuse_rows(bad: np.ndarray, values: np.ndarray | pd.Series, key: str, why: str) -> None:
    if rows := np.flatnonzero(bad).tolist():
        first = str(np.asarray(values, dtype=object)[rows[0]])[:60]
        more = f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
        raise _bad(f"row {rows[0] + 1} of the sample: {key} {first!r} {why}{more}")


def _bad(message: str) -> CriteriaError:
    return CriteriaError(
        "sample",
        one_line(message, 500),
        remedy="give a table with columns ra and dec (degrees), optionally name, radius_arcmin, start and end (UTC)",
    )
