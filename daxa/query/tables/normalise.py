"""From a service's table to the schema of selections.

Nothing of the answer is trusted: rows without a well-formed ObsID or a position are
left out and counted, texts lose padding and control characters, sentinels of
"unknown" become NaN.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from daxa.errors import ServiceError
from daxa.missions.spec import SAFE_ID, Instrument, MissionSpec, ObservationTable
from daxa.query.tables.services import ROW_ID
from daxa.selection.schema import COLUMNS, column_names, write_exposures

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Column, Table

__all__ = ["LONGEST_TEXT", "SAFE_ROW_ID", "NormalisedTable", "normalise", "well_formed"]

LONGEST_TEXT = 200
"""Characters that a text keeps."""

SAFE_ROW_ID = re.compile(r"[A-Za-z0-9_.:+-]{1,64}", re.ASCII)
"""What a service's own identifier of a row must look like."""

_DAY = 86400.0
_MICROSECONDS = 86_400_000_000
# Archives write "never" as a day in the year 2999 or some thousand years ahead.
_NEVER = 200_000.0
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:\.\d+)?)?)(?:Z|\+00(?::?00)?)?", re.ASCII)


@dataclass(frozen=True)
class NormalisedTable:
    """A mission's whole observation table in our schema.

    Parameters
    ----------
    table
        The schema's columns and ``row_id``, sorted by ObsID; ``instruments`` names all
        instruments that have data, '' when none has; ``row_id`` is '' where the service has none.
    left_out
        Reason to number of rows that cannot be used.
    assumed
        Columns that the service does not give and that hold the mission's defaults.
    """

    table: pd.DataFrame
    left_out: Mapping[str, int]
    assumed: tuple[str, ...] = ()


def normalise(spec: MissionSpec, raw: Table, table: ObservationTable | None = None) -> NormalisedTable:
    """Bring a service's table into the schema of selections.

    Parameters
    ----------
    spec
        Says which instruments there are.
    raw
        The table as received; masked cells allowed.
    table
        Says which column means what, and which values mean "unknown": ``spec.table`` by
        default, or one of ``spec.other_tables``.

    Raises
    ------
    ServiceError
        ``malformed``: a column is missing, or not one row can be used.
    """
    import pandas as pd

    declared = table or spec.table
    known = declared == spec.table
    columns = declared.columns
    rows = pd.DataFrame(
        {
            "obs_id": _texts(_column(declared, raw, columns["obs_id"])),
            "target": _texts(_column(declared, raw, columns["target"])) if "target" in columns else [""] * len(raw),
            "ra": _numbers(_column(declared, raw, columns["ra"])),
            "dec": _numbers(_column(declared, raw, columns["dec"])),
            **_times(declared, raw),
            **_instruments(spec, raw, known=known),
            "category": _categories(declared, raw),
            "mode": _modes(declared, raw),
            "roll": _roll(spec, raw, known=known),
            "row_id": _row_ids(declared, raw),
        }
    )[[*column_names(), "row_id"]]
    kept, left_out = _usable(spec, rows)
    if not len(kept):
        raise ServiceError(
            "malformed",
            f"none of the {len(raw)} rows of {declared.name} is an observation of {spec.title}",
            remedy="check the address of the service; its table may have changed: look for a newer daxa",
        )
    return NormalisedTable(kept, left_out, () if known else ("instruments",))


def _row_ids(declared: ObservationTable, raw: Table) -> list[str]:
    if declared.service != "heasarc":
        return [""] * len(raw)
    safe = SAFE_ROW_ID.fullmatch
    return [text if safe(text) else "" for text in _texts(_column(declared, raw, ROW_ID))]


def _usable(spec: MissionSpec, table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    sound = well_formed(spec, table["obs_id"].tolist())
    ra, dec = table["ra"].to_numpy(), table["dec"].to_numpy()
    with np.errstate(invalid="ignore"):
        # Both coordinates exactly zero is how some tables write "no position".
        placed = (ra >= 0) & (ra <= 360) & (np.abs(dec) <= 90) & ~((ra == 0) & (dec == 0))
    kept = table[sound & placed]
    kept = kept.assign(ra=kept["ra"].where(kept["ra"] < 360, 0.0))
    single = _without_repeats(kept)
    left_out = {
        "malformed ObsID": int((~sound).sum()),
        "no position": int((sound & ~placed).sum()),
        "repeated ObsID": len(kept) - len(single),
    }
    return single, {reason: number for reason, number in left_out.items() if number}


def _without_repeats(table: pd.DataFrame) -> pd.DataFrame:
    """Sorted by ObsID, each once, whatever the order of the rows."""
    import pandas as pd

    repeated = table["obs_id"].duplicated(keep=False)
    if repeated.any():
        # Of rows with one ObsID the longest exposure stays; the other columns only make the choice unique.
        order = ["obs_id", "exposure", *(name for name in table.columns if name not in ("obs_id", "exposure"))]
        rivals = table[repeated].sort_values(order, ascending=[True, False] + [True] * (len(order) - 2), kind="stable")
        table = pd.concat([table[~repeated], rivals.drop_duplicates("obs_id", keep="first")])
    return table.sort_values("obs_id", kind="stable").reset_index(drop=True)


def well_formed(spec: MissionSpec, obs_ids: Sequence[str]) -> np.ndarray:
    """Which texts are ObsIDs of the mission, as `MissionSpec.check_obs_id` says of one.

    Returns
    -------
    numpy.ndarray
        (n,) bool.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> well_formed(find_mission("xmm"), ["0404910601", "404910601"]).tolist()
    [True, False]
    """
    pattern, safe = re.compile(spec.id_pattern, re.ASCII).fullmatch, SAFE_ID.fullmatch
    return np.fromiter(((pattern(text) and safe(text)) is not None for text in obs_ids), bool, len(obs_ids))


def _times(declared: ObservationTable, raw: Table) -> dict[str, np.ndarray]:
    columns = declared.columns
    start = _possible("start", _moments(_column(declared, raw, columns["start"])))
    exposure = _possible("exposure", _numbers(_column(declared, raw, columns["exposure"])))
    estimate = _possible("end", start + exposure / _DAY)
    end = _possible("end", _moments(_column(declared, raw, columns["end"]))) if "end" in columns else estimate
    end = np.where(end >= start, end, estimate)
    public = _possible("public_date", _moments(_column(declared, raw, columns["public_date"])))
    public[np.isin(public, declared.never_public) | (public > _NEVER)] = np.nan
    return {"start": start, "end": end, "exposure": exposure, "public_date": public}


def _possible(name: str, values: np.ndarray) -> np.ndarray:
    """NaN in place of impossible values: 0 for "not yet", negative exposures of planned observations."""
    low, high = next(column.limits for column in COLUMNS if column.name == name)
    return np.where((values >= low) & (values <= high), values, np.nan)


def _instruments(spec: MissionSpec, raw: Table, *, known: bool) -> dict[str, Sequence[str] | np.ndarray]:
    """Instruments with data and their exposures; the mission's default where the table does not give them."""
    if not known:
        return {"instruments": [",".join(spec.default_instruments)] * len(raw), "exposures": [""] * len(raw)}
    seconds = np.array([_seconds(spec, raw, instrument) for instrument in spec.instruments])
    used = np.array(
        [
            _has_data(spec, raw, instrument, exposure)
            for instrument, exposure in zip(spec.instruments, seconds, strict=True)
        ],
        dtype=bool,
    )
    combinations, which = np.unique(used, axis=1, return_inverse=True)
    names = [instrument.name for instrument in spec.instruments]
    texts = [",".join(name for name, flag in zip(names, row, strict=True) if flag) for row in combinations.T]
    exposures = [
        write_exposures([one for one, flag in zip(row, flags, strict=True) if flag])
        for row, flags in zip(_possible("exposure", seconds).T.tolist(), used.T.tolist(), strict=True)
    ]
    return {"instruments": np.array(texts, dtype=object)[which.ravel()], "exposures": exposures}


def _seconds(spec: MissionSpec, raw: Table, instrument: Instrument) -> np.ndarray:
    if not instrument.exposure:
        return np.full(len(raw), np.nan)
    return _numbers(_column(spec.table, raw, instrument.exposure))


def _has_data(spec: MissionSpec, raw: Table, instrument: Instrument, seconds: np.ndarray) -> np.ndarray:
    used = np.nan_to_num(seconds) > 0 if instrument.exposure else np.ones(len(raw), dtype=bool)
    for column, value in instrument.labels:
        # Tables write a configuration behind a dash: ACIS-I, ACIS-S.
        texts = _texts(_column(spec.table, raw, column))
        used &= np.array([text == value or text.startswith(f"{value}-") for text in texts], dtype=bool)
    return used


def _categories(declared: ObservationTable, raw: Table) -> list[str]:
    if not declared.category:
        return [declared.only_category] * len(raw)
    ours = {label.casefold(): code for label, code in declared.categories.items()}
    labels = _texts(_column(declared, raw, declared.category))
    codes = [ours.get(label.casefold(), "MISC") if label else "" for label in labels]
    if not declared.second_category:
        return codes
    column, second = declared.second_category
    ours = {label.casefold(): code for label, code in second.items()}
    others = _texts(_column(declared, raw, column))
    return [
        ours.get(other.casefold(), code) if code in ("", "MISC") else code
        for code, other in zip(codes, others, strict=True)
    ]


def _modes(declared: ObservationTable, raw: Table) -> list[str]:
    if not declared.mode:
        return [""] * len(raw)
    columns = [_texts(_column(declared, raw, name)) for name in declared.mode]
    return [" ".join(filter(None, cells))[:LONGEST_TEXT].rstrip() for cells in zip(*columns, strict=True)]


def _roll(spec: MissionSpec, raw: Table, *, known: bool) -> np.ndarray:
    if not (known and spec.roll):
        return np.full(len(raw), np.nan)
    angles = _numbers(_column(spec.table, raw, spec.roll))
    return np.where(np.abs(angles) <= 360, angles, np.nan) % 360


def _column(declared: ObservationTable, raw: Table, name: str) -> Column:
    for found in raw.colnames:
        if found.lower() == name.lower():
            return raw[found]
    raise ServiceError(
        "malformed",
        f"the answer for {declared.name} lacks the column {name}",
        remedy="the service's table has changed: look for a newer daxa",
    )


def _moments(column: Column) -> np.ndarray:
    """The cells as MJD, float64 (n,), from numbers that are MJD or texts in ISO 8601 (UTC); NaN where neither."""
    moments = _numbers(column)
    if np.ma.asarray(column).dtype.kind in "fiub" or not np.isnan(moments).any():
        return moments
    # Microseconds: nanoseconds would overflow in the year 2262, and archives write "never" as the year 3000.
    since = np.array([_since_epoch(text) for text in _texts(column)], dtype="timedelta64[us]")
    read = np.where(np.isnat(since), np.nan, since.astype(np.int64) / _MICROSECONDS)
    return np.where(np.isnan(moments), read, moments)


def _since_epoch(text: str) -> np.timedelta64:
    found = _MOMENT.fullmatch(text)
    if not found:
        return np.timedelta64("NaT", "us")
    try:
        return np.datetime64(found[1], "us") - np.datetime64("1858-11-17", "us")
    except ValueError:
        return np.timedelta64("NaT", "us")


def _numbers(column: Column) -> np.ndarray:
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


def _texts(column: Column) -> list[str]:
    """The cells as texts without padding and control characters; '' where masked."""
    texts = [cell if type(cell) is str else _text(cell) for cell in _cells(column)]
    whole = "".join(texts)
    if not (whole.isascii() and whole.isprintable()):
        texts = [text if text.isascii() and text.isprintable() else _shown(text) for text in texts]
    tidy = [" ".join(text.split()) for text in texts]
    return [text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT].rstrip() for text in tidy]


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))  # an ObsID that a service holds as a number
    return str(cell)


def _shown(text: str) -> str:
    return "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)


def _cells(column: Column) -> list[object]:
    values = np.ma.asarray(column)
    if values.ndim != 1:
        return [None] * len(values)
    cells = values.data.tolist()
    masked = np.ma.getmaskarray(values)
    if masked.any():
        return [None if flag else cell for cell, flag in zip(cells, masked.tolist(), strict=True)]
    return cells
