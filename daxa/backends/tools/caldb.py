"""Which files of a CALDB an observation uses, by its index files, so that a new file concerns no other observation.

An index (calibration index file, OGIP CAL/GEN/92-008) has a row for every data set: what it is, for which detector and
filter, its quality, and the moment from which it is valid (``REF_TIME``, MJD).  Of the good ones of a kind, HEASoft,
CIAO and eSASS choose the one whose validity began last before the observation.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from daxa.backends.tools.calibration import caldb_indices, content_of, digest_lines
from daxa.backends.tools.foreign_fits import open_fits

__all__ = ["IndexRow", "read_index", "used_identity"]

_KIND = ("TELESCOP", "INSTRUME", "DETNAM", "FILTER", "CAL_CLAS", "CAL_DTYP", "CAL_CNAM", "CAL_CBD")
"""Columns that say what a data set is; those that an index lacks are left out."""

_FILE = ("CAL_DIR", "CAL_FILE", "CAL_XNO")
_MARGIN = 1.0
"""Days: tables of observations and headers give starts that differ by hours."""

_LARGEST = 256 << 20


@dataclass(frozen=True)
class IndexRow:
    """A data set of good quality.

    Parameters
    ----------
    instrument
        Upper case; '' where the index does not say.
    kind
        What it is: data sets of one kind replace each other.
    since
        From when it is valid, MJD.
    identity
        Its kind, file, extension and begin.
    """

    instrument: str
    kind: tuple[str, ...]
    since: float
    identity: str


def read_index(path: Path) -> tuple[IndexRow, ...] | None:
    """The good data sets of an index; None for a file that is not such an index.

    Parameters
    ----------
    path
        Usually called ``caldb.indx``.
    """
    status = path.stat()
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _read(path: Path, changed: int, size: int) -> tuple[IndexRow, ...] | None:
    import numpy as np
    from astropy.io import fits

    del changed
    if size > _LARGEST:
        return None
    try:
        with open_fits(path) as parts:
            table = next(part for part in parts if isinstance(part, fits.BinTableHDU))
            names = {name.upper(): name for name in table.columns.names}
            columns = {name: _texts(table.data[names[name]]) for name in (*_KIND, *_FILE) if name in names}
            since, quality = (np.asarray(table.data[names[name]], np.float64) for name in ("REF_TIME", "CAL_QUAL"))
    except ValueError:
        return None  # What cannot be read counts by its bytes.
    good = quality == 0
    # Where a begin is not known, nobody can say which of the files is chosen.
    if "CAL_FILE" not in columns or since.ndim != 1 or quality.ndim != 1 or not np.isfinite(since[good]).all():
        return None
    rows = []
    for at in np.flatnonzero(good).tolist():
        kind = tuple(columns[name][at] for name in _KIND if name in columns)
        file = tuple(columns[name][at] for name in _FILE if name in columns)
        instrument = columns["INSTRUME"][at].upper() if "INSTRUME" in columns else ""
        rows.append(IndexRow(instrument, kind, float(since[at]), repr((kind, file, float(since[at])))))
    return tuple(rows)


def _texts(values: Any) -> list[str]:
    """Cells as text, without blanks at the end; arrays of texts joined."""
    return [
        " ".join(str(part).strip() for part in value) if getattr(value, "ndim", 0) else str(value).strip()
        for value in values
    ]


def used_identity(
    environ: Mapping[str, str],
    missions: Collection[str],
    others: Sequence[str] = (),
    times: tuple[float | None, float | None] = (None, None),
) -> str:
    """Identity of the data sets that the processing of an observation may choose.

    Parameters
    ----------
    environ
        With ``CALDB``, and ``CALDBCONFIG`` unless the configuration is in its usual place.
    missions
        As the configuration names them, in any case of letters.
    others
        Instruments that are not processed: data sets of them alone do not count.
    times
        Start and end of the observation, MJD.  Without a start, all data sets count.

    Returns
    -------
    str
        '' where the CALDB has none of the missions.

    Raises
    ------
    ProgramError
        There is no CALDB on this machine.
    """
    _, indices = caldb_indices(environ)
    names = {mission.upper() for mission in missions}
    without = tuple(sorted(one.upper() for one in others))
    start, end = times
    lines = []
    for (mission, instrument), path in sorted(indices.items()):
        if mission not in names or _is_of(instrument, without) or not path.is_file():
            continue
        status = path.stat()
        rows = read_index(path)
        known = rows is not None and start is not None and math.isfinite(start)
        if known and start is not None:
            last = end if end is not None and math.isfinite(end) and end > start else start
            key = (path, status.st_mtime_ns, status.st_size)
            digest = _identity(key, without, *_moments(key, start - _MARGIN, last + _MARGIN))
        else:
            digest = content_of(path)
        lines.append(f"{mission} {instrument} {digest}".encode())
    return digest_lines(lines) if lines else ""


def _is_of(instrument: str, others: Sequence[str]) -> bool:
    """Whether a name in the CALDB, such as UVOTA, is that of one of some instruments.

    Examples
    --------
    >>> _is_of("UVOTA", ["UVOT"]), _is_of("FPM", ["FPMB"])
    (True, False)
    """
    return any(instrument.startswith(other) for other in others)


_Key = tuple[Path, int, int]


@lru_cache(maxsize=256)
def _breaks(key: _Key) -> list[float]:
    """The moments from which data sets are valid, sorted."""
    return sorted({row.since for row in _read(*key) or ()})


def _moments(key: _Key, first: float, last: float) -> tuple[int, int]:
    """How many data sets' begins lie before two moments: thousands of observations share few answers."""
    breaks = _breaks(key)
    return bisect_right(breaks, first), bisect_right(breaks, last)


@lru_cache(maxsize=8192)
def _identity(key: _Key, without: tuple[str, ...], first: int, last: int) -> str:
    """Identity of the data sets that are chosen at any moment between two begins."""
    breaks = _breaks(key)
    rows = [row for row in _read(*key) or () if not _is_of(row.instrument, without)]
    # A data set counts if it begins in between, or is the last of its kind before.
    latest: dict[tuple[str, ...], float] = {}
    early = breaks[first - 1] if first else -math.inf
    late = breaks[last - 1] if last else -math.inf
    for row in rows:
        if row.since <= early:
            latest[row.kind] = max(row.since, latest.get(row.kind, -math.inf))
    used = [row for row in rows if row.since <= late and row.since >= latest.get(row.kind, -math.inf)]
    return digest_lines(text.encode() for text in sorted(row.identity for row in used))
