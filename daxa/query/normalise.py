"""From a service's table to the schema of selections.

Nothing of the answer is trusted: rows without a well-formed ObsID or a position are
left out and counted, texts lose padding and control characters, sentinels of
"unknown" become NaN.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from daxa.errors import CriteriaError, ServiceError
from daxa.missions.spec import Instrument, MissionSpec
from daxa.query.services import ROW_ID
from daxa.selection.schema import COLUMNS, column_names

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Table

__all__ = ["Normalised", "normalise"]

_LONGEST_TEXT = 200
_DAY = 86400.0
_SAFE_ROW_ID = re.compile(r"[A-Za-z0-9_.:+-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Normalised:
    """A mission's whole observation table in our schema.

    Parameters
    ----------
    table
        The schema's columns and ``row_id``, sorted by ObsID; ``instruments`` names all
        instruments that have data, '' when none has.
    left_out
        Reason to number of rows that cannot be used.
    """

    table: pd.DataFrame
    left_out: Mapping[str, int]


def normalise(spec: MissionSpec, raw: Table) -> Normalised:
    """Bring a service's table into the schema of selections.

    Parameters
    ----------
    spec
        Says which column means what, and which values mean "unknown".
    raw
        The table as received; masked cells allowed.

    Raises
    ------
    ServiceError
        ``malformed``: a column is missing, or not one row can be used.
    """
    import pandas as pd

    table = pd.DataFrame(
        {
            "obs_id": _texts(_column(spec, raw, spec.table.columns["obs_id"])),
            "target": _texts(_column(spec, raw, spec.table.columns["target"])),
            "ra": _numbers(_column(spec, raw, spec.table.columns["ra"])),
            "dec": _numbers(_column(spec, raw, spec.table.columns["dec"])),
            **_times(spec, raw),
            "instruments": _instruments(spec, raw),
            "row_id": [text if _SAFE_ROW_ID.fullmatch(text) else "" for text in _texts(_column(spec, raw, ROW_ID))],
        }
    )[[*column_names(), "row_id"]]
    kept, left_out = _usable(spec, table)
    if not len(kept):
        raise ServiceError(
            "malformed",
            f"none of the {len(raw)} rows of {spec.table.name} is an observation of {spec.title}",
            remedy="check the address of the service; its table may have changed: look for a newer daxa",
        )
    return Normalised(kept, left_out)


def _usable(spec: MissionSpec, table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    well_formed = np.array([_well_formed(spec, obs_id) for obs_id in table["obs_id"]], dtype=bool)
    ra, dec = table["ra"].to_numpy(), table["dec"].to_numpy()
    with np.errstate(invalid="ignore"):
        # Both coordinates exactly zero is how some tables write "no position".
        placed = (ra >= 0) & (ra <= 360) & (np.abs(dec) <= 90) & ~((ra == 0) & (dec == 0))
    kept = table[well_formed & placed].copy()
    kept["ra"] = kept["ra"].where(kept["ra"] < 360, 0.0)
    # Of rows with one ObsID the longest exposure stays; the other columns only make the choice unique.
    order = ["obs_id", "exposure", *(name for name in kept.columns if name not in ("obs_id", "exposure"))]
    kept = kept.sort_values(order, ascending=[True, False] + [True] * (len(order) - 2), kind="stable")
    single = kept.drop_duplicates("obs_id", keep="first").reset_index(drop=True)
    left_out = {
        "malformed ObsID": int((~well_formed).sum()),
        "no position": int((well_formed & ~placed).sum()),
        "repeated ObsID": len(kept) - len(single),
    }
    return single, {reason: number for reason, number in left_out.items() if number}


def _well_formed(spec: MissionSpec, obs_id: str) -> bool:
    try:
        return bool(spec.check_obs_id(obs_id))
    except CriteriaError:
        return False


def _times(spec: MissionSpec, raw: Table) -> dict[str, np.ndarray]:
    columns = spec.table.columns
    start = _possible("start", _numbers(_column(spec, raw, columns["start"])))
    exposure = _possible("exposure", _numbers(_column(spec, raw, columns["exposure"])))
    estimate = _possible("end", start + exposure / _DAY)
    end = _possible("end", _numbers(_column(spec, raw, columns["end"]))) if "end" in columns else estimate
    end = np.where(end >= start, end, estimate)
    public = _possible("public_date", _numbers(_column(spec, raw, columns["public_date"])))
    public[np.isin(public, spec.table.never_public)] = np.nan
    return {"start": start, "end": end, "exposure": exposure, "public_date": public}


def _possible(name: str, values: np.ndarray) -> np.ndarray:
    """NaN in place of what cannot be: 0 for "not yet", negative exposures of planned observations."""
    low, high = next(column.limits for column in COLUMNS if column.name == name)
    return np.where((values >= low) & (values <= high), values, np.nan)


def _instruments(spec: MissionSpec, raw: Table) -> list[str]:
    used = np.array([_has_data(spec, raw, instrument) for instrument in spec.instruments], dtype=bool)
    names = [instrument.name for instrument in spec.instruments]
    return [",".join(name for name, flag in zip(names, row, strict=True) if flag) for row in used.T]


def _has_data(spec: MissionSpec, raw: Table, instrument: Instrument) -> np.ndarray:
    used = np.ones(len(raw), dtype=bool)
    if instrument.exposure:
        used &= np.nan_to_num(_numbers(_column(spec, raw, instrument.exposure))) > 0
    if instrument.label:
        column, value = instrument.label
        # Tables write a configuration behind a dash: ACIS-I, ACIS-S.
        used &= np.array([text == value or text.startswith(f"{value}-") for text in _texts(_column(spec, raw, column))])
    return used


def _column(spec: MissionSpec, raw: Table, name: str):
    for found in raw.colnames:
        if found.lower() == name.lower():
            return raw[found]
    raise ServiceError(
        "malformed",
        f"the answer for {spec.table.name} lacks the column {name}",
        remedy="the service's table has changed: look for a newer daxa",
    )


def _numbers(column) -> np.ndarray:
    """The cells as float64 (n,); NaN where masked, infinite or no number."""
    values = np.ma.asarray(column)
    if values.ndim == 1 and values.dtype.kind in "fiub":
        numbers = np.ma.filled(values.astype(np.float64), np.nan)
    else:
        numbers = np.array([_number(cell) for cell in _cells(column)], dtype=np.float64)
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def _number(cell: object) -> float:
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _texts(column) -> list[str]:
    """The cells as texts without padding and control characters; '' where masked."""
    return [_text(cell) for cell in _cells(column)]


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bytes):
        cell = cell.decode("utf-8", "replace")
    elif isinstance(cell, float | np.floating) and float(cell).is_integer():
        cell = int(cell)  # an ObsID that a service holds as a number
    text = str(cell)
    if not text.isascii() or not text.isprintable():
        text = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    return " ".join(text.split())[:_LONGEST_TEXT].rstrip()


def _cells(column) -> list[object]:
    values = np.ma.asarray(column)
    masked = np.ma.getmaskarray(values)
    if values.ndim != 1:
        return [None] * len(values)
    return [None if flag else cell for cell, flag in zip(values.data.tolist(), masked.tolist(), strict=True)]
