"""A snapshot as a file: Parquet with units, and its identity in the metadata.

The same form serves the cache and what users give each other.  A file is untrusted:
its schema, every value and the digest of its rows are checked before it is used.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from daxa.errors import CriteriaError, DataError
from daxa.missions import MissionSpec, find_mission, tiling
from daxa.missions.spec import ObservationTable
from daxa.parquet import read_parquet, to_frame, write_parquet
from daxa.run.task import canonical
from daxa.selection.schema import (
    COLUMNS,
    Column,
    column_names,
    is_category,
    is_mode,
    table_digest,
    valid_exposures,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["QueryOrigin", "Snapshot", "declaration_of", "read_snapshot", "write_snapshot"]

_FORMAT = 1
_KEY = b"daxa.snapshot"
_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_MOST_BYTES = 8 * 2**30
_ROW_ID = Column("row_id", "text", "", "meta.id", "The service's own identifier of the row, '' without one")
_STORED = (*COLUMNS, _ROW_ID)


@dataclass(frozen=True)
class QueryOrigin:
    """Where and when a selection came from: belongs into ``upstream/``, never into an out.

    Parameters
    ----------
    service, table, query
        Address of the service, its table, and the ADQL.
    time
        Of the query, ISO 8601 UTC.
    rows
        Observations in the normalised table.
    digest
        `daxa.selection.table_digest` of that table.
    left_out
        Reason to number of rows that could not be used or are not public.
    assumed
        Columns that the service does not give and that hold the mission's defaults.
    """

    service: str
    table: str
    query: str
    time: str
    rows: int
    digest: str
    left_out: Mapping[str, int] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """As plain values, ready for JSON."""
        return asdict(self) | {"left_out": dict(self.left_out), "assumed": list(self.assumed)}


@dataclass(frozen=True)
class Snapshot:
    """A normalised table with its origin.

    Parameters
    ----------
    table
        From `daxa.query.tables.normalise`.
    origin
        Where it came from.
    note
        What a user should know: that it is old, or not from the preferred service; ''  for nothing.
    mission, declaration
        Short name of the mission, and `declaration_of` the table that was requested.
    """

    table: pd.DataFrame
    origin: QueryOrigin
    note: str = ""
    mission: str = ""
    declaration: str = ""

    @property
    def mjd(self) -> float:
        """Time of the query, MJD UTC."""
        from daxa.query.criteria.times import read_window

        return read_window((self.origin.time, None))[0]  # type: ignore[return-value]

    @property
    def moment(self) -> datetime:
        """Time of the query, UTC."""
        return datetime.fromisoformat(self.origin.time).astimezone(UTC)


def declaration_of(spec: MissionSpec, table: ObservationTable) -> str:
    """Digest of all that decides how a service's rows become ours.

    A snapshot that was made with another declaration is not the answer to today's question.

    Parameters
    ----------
    spec
        The mission.
    table
        ``spec.table``, or one of ``spec.other_tables``.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> xmm = find_mission("xmm")
    >>> declaration_of(xmm, xmm.table) == declaration_of(xmm, xmm.other_tables[0])
    False
    """
    instruments = [[item.name, item.exposure, [list(label) for label in item.labels], item.field_of_view.roll]
                   for item in spec.instruments]  # fmt: skip
    deciding = {
        "format": _FORMAT,
        "mission": [spec.name, spec.id_pattern, *spec.default_instruments],
        # Where it is asked does not change how its rows are read.
        "table": {key: value for key, value in asdict(table).items() if key != "tap"},
        "instruments": instruments,
        "active": spec.active,
        "rule": tiling.RULE if table.service == "tiling" else 0,
        "stored": [[column.name, column.kind, column.unit] for column in _STORED],
    }
    return hashlib.sha256(canonical(deciding).encode()).hexdigest()


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write a snapshot to a file that answers queries without a network; equal snapshots give equal bytes.

    Parameters
    ----------
    path
        The file; its directory is made when absent, an older file is replaced at once.
    snapshot
        From `daxa.query.tables.snapshot.take_snapshot` or `read_snapshot`.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    write_parquet(path, _to_arrow(snapshot), compression="zstd")


def _to_arrow(snapshot: Snapshot) -> pa.Table:
    import pyarrow as pa

    said = {
        "format": _FORMAT,
        "mission": snapshot.mission,
        "declaration": snapshot.declaration,
        "origin": snapshot.origin.as_dict(),
    }
    schema = pa.schema(
        [
            pa.field(
                column.name,
                pa.string() if column.kind == "text" else pa.float64(),
                nullable=False,
                metadata={"unit": column.unit, "ucd": column.ucd, "description": column.description},
            )
            for column in _STORED
        ],
        metadata={_KEY: canonical(said)},
    )
    arrays = [
        pa.array(snapshot.table[item.name].tolist(), type=item.type)
        if item.type == pa.string()
        else pa.array(snapshot.table[item.name].to_numpy(dtype="float64"), from_pandas=False)
        for item in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def read_snapshot(path: Path) -> Snapshot:
    """Read and check a snapshot.

    Parameters
    ----------
    path
        A file that `write_snapshot` made, here or elsewhere.

    Raises
    ------
    DataError
        ``snapshot-absent``: there is no such file; ``snapshot-damaged``: it is not a snapshot,
        holds impossible values, or its rows have changed since it was made.
    """
    arrow, said = _read(path)
    try:
        spec = find_mission(_text(said, "mission"))
        origin = _read_origin(_table(said, "origin"))
        declaration = _text(said, "declaration")
    except (CriteriaError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"its metadata cannot be used: {str(error)[:200]}") from None
    table = to_frame(arrow)
    if trouble := _impossible(table, spec):
        raise _damaged(path, trouble)
    if len(table) != origin.rows or table_digest(table) != origin.digest:
        raise _damaged(path, "its rows have changed since it was made")
    return Snapshot(table, origin, "", spec.name, declaration)


def _read(path: Path) -> tuple[pa.Table, Mapping[str, object]]:
    import pyarrow as pa

    try:
        with path.open("rb") as stream:
            arrow = read_parquet(stream, check=_check)
        said = json.loads(arrow.schema.metadata[_KEY])
        for column in arrow.columns:
            if column.null_count:
                raise ValueError("it has empty cells")
    except FileNotFoundError:
        raise DataError(
            "snapshot-absent", f"{path} does not exist", remedy="check the name, or write it with write_snapshot"
        ) from None
    except KeyError:
        raise _damaged(path, "it has no metadata") from None
    except (OSError, pa.ArrowException, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)[:200]) from None
    if not isinstance(said, dict) or said.get("format") != _FORMAT:
        raise _damaged(path, "another version of daxa wrote it")
    return arrow, said


def _check(schema: pa.Schema, rows: int, unpacked: int) -> None:
    from daxa.query.tables.services import MOST_ROWS

    if not (0 < rows <= MOST_ROWS and 0 <= unpacked <= _MOST_BYTES):
        raise ValueError(f"it claims to hold {rows} rows in {unpacked} bytes")
    if _KEY not in (schema.metadata or {}):
        raise KeyError(_KEY)
    if [(item.name, str(item.type)) for item in schema] != _types():
        raise ValueError("its columns are not those of a snapshot")


def _types() -> list[tuple[str, str]]:
    return [(column.name, "string" if column.kind == "text" else "double") for column in _STORED]


def _impossible(table: pd.DataFrame, spec: MissionSpec) -> str:
    """What is wrong with the values, '' for nothing."""
    from daxa.query.tables.normalise import LONGEST_TEXT, SAFE_ROW_ID, well_formed

    obs_ids, targets = table["obs_id"].tolist(), table["target"].tolist()
    known = {instrument.name for instrument in spec.instruments}
    if not well_formed(spec, obs_ids).all():
        return f"it holds a malformed ObsID of {spec.title}"
    if any(before >= after for before, after in pairwise(obs_ids)):
        return "its ObsIDs are not sorted, or repeated"
    if any(set(text.split(",")) - known for text in table["instruments"].unique() if text):
        return "it names instruments that the mission does not have"
    if not "".join(targets).isprintable() or max(map(len, targets)) > LONGEST_TEXT:
        return "a target's name is not printable"
    if any(text and not SAFE_ROW_ID.fullmatch(text) for text in table["row_id"].tolist()):
        return "an identifier of a row is not valid"
    return next((f"a value of {name} is not valid" for name in _out_of_range(table)), "")


def _out_of_range(table: pd.DataFrame) -> Iterator[str]:
    import numpy as np

    for name, sound in (("category", is_category), ("mode", is_mode)):
        if not all(map(sound, table[name].unique())):
            yield name
    if not valid_exposures(table).all():
        yield "exposures"
    for column in COLUMNS:
        if column.kind == "float":
            values = table[column.name].to_numpy(dtype=np.float64)
            within = (values >= column.limits[0]) & (values <= column.limits[1])
            if not (within | (np.isnan(values) & column.nullable)).all():
                yield column.name


def _read_origin(plain: Mapping[str, object]) -> QueryOrigin:
    left_out, assumed = plain["left_out"], plain["assumed"]
    if not isinstance(left_out, dict) or not all(type(number) is int and number >= 0 for number in left_out.values()):
        raise ValueError("left_out does not count rows")
    if not isinstance(assumed, list) or not set(assumed) <= set(column_names()):
        raise ValueError("assumed does not name columns")
    if type(plain["rows"]) is not int or not re.fullmatch(r"[0-9a-f]{64}", _text(plain, "digest")):
        raise ValueError("rows or digest is not valid")
    if not all(reason.isprintable() and len(reason) <= 100 for reason in left_out):
        raise ValueError("a reason is not printable")
    time = _text(plain, "time")
    if not _TIME.fullmatch(time) or not datetime.fromisoformat(time):
        raise ValueError(f"{time!r} is not the time of a query")
    names = ("service", "table", "query", "time", "digest")
    texts = {name: _text(plain, name) for name in names}
    return QueryOrigin(**texts, rows=plain["rows"], left_out=left_out, assumed=tuple(assumed))


def _table(plain: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = plain[name]
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not a table")
    return value


def _text(plain: Mapping[str, object], name: str) -> str:
    value = plain[name]
    if not isinstance(value, str) or not value.isprintable() or len(value) > 10_000:
        raise ValueError(f"{name} is not text")
    return value


def _damaged(path: Path, why: str) -> DataError:
    return DataError(
        "snapshot-damaged",
        f"{path} is not a usable snapshot: {why}",
        remedy="remove the file, and fetch the table again with a network",
    )
