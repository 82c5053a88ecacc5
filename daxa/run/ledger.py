"""The ledger of a stage: one row per observation, in one Parquet file.

The file is a function of the rows alone: sorted by ObsID, uncompressed and without
dictionaries, and left untouched when the rows are equal.

Equal rows then have equal bytes, wherever they are, and Git stores a new version as a
difference: measured at 10,000 observations of 10 files (23 MB), 10 of them changed or 10 more,
a version adds 10 to 20 kB to a pack, whatever the size of pages and row groups.  Git takes
differences only when it packs: a version that was just committed is compressed as a whole (9 MB),
which is why `daxa release` packs (`daxa.archive.git.pack`).  Groups of 500 rows cost 2 % of
size, and let one observation be looked up without reading the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daxa.errors import DataError
from daxa.missions.spec import SAFE_ID
from daxa.parquet import plain_array, read_parquet, write_parquet
from daxa.run.rows import OUTCOMES, is_reason, row_as_plain, row_from_plain
from daxa.run.task import LedgerRow

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = [
    "FILE_COLUMNS",
    "TEXT_COLUMNS",
    "LedgerColumns",
    "empty_columns",
    "read_columns",
    "read_ledger",
    "read_table",
    "write_ledger",
]

TEXT_COLUMNS = ("outcome", "reason", "fingerprint", "parts")
"""Columns that every row has, beside ``obs_id``."""

FILE_COLUMNS = ("path", "size", "sha256", "science")
"""What a row says of each of its files."""

_ROWS_PER_GROUP = 500
_MEASURES = "measures"
_EXPOSURES = "exposures"
_OPTIONAL = (_MEASURES, _EXPOSURES)


@dataclass(frozen=True)
class LedgerColumns:
    """A ledger by columns, for readers of all of it; columns that were not requested are empty.

    Paths and digests are as they are in the file: `daxa.run.rows.check_path` checks
    a path before it is used as one.

    Parameters
    ----------
    obs_id, outcome, reason, fingerprint, parts
        As in `daxa.run.task.LedgerRow`.
    offsets
        The files of row i are those from ``offsets[i]`` to ``offsets[i + 1]``.
    path, size, sha256, science
        Of the files.
    """

    obs_id: list[str]
    outcome: list[str]
    reason: list[str]
    fingerprint: list[str]
    parts: list[str]
    offsets: list[int]
    path: list[str]
    size: list[int]
    sha256: list[str]
    science: list[str]


def empty_columns() -> LedgerColumns:
    """Columns without rows."""
    return LedgerColumns([], [], [], [], [], [0], [], [], [], [])


def read_columns(path: Path, names: Collection[str], *, obs_ids: Collection[str] | None = None) -> LedgerColumns:
    """Read some columns of a ledger; no rows when there is no such file.

    Parameters
    ----------
    path
        The ledger.
    names
        Which columns in addition to the ObsID.
    obs_ids
        Only these observations; all by default.

    Raises
    ------
    DataError
        The file is not a valid ledger.

    Examples
    --------
    >>> read_columns(Path("no-such-ledger.parquet"), {"outcome"}).obs_id
    []
    """
    import pyarrow as pa

    if not os.path.lexists(path):
        return empty_columns()
    table = _opened(path, partial(_choose, names, obs_ids))
    texts = [name for name in TEXT_COLUMNS if name in names]
    columns = {name: _values(path, table, name) for name in ("obs_id", *texts)}
    if wanted := [name for name in FILE_COLUMNS if name in names]:
        lists = _column(path, table, "files").combine_chunks()
        files = lists.values
        files = pa.table({name: files.field(name) for name in _fields(path, lists)})
        columns["offsets"] = lists.offsets.to_pylist()
        columns |= {name: _values(path, files, name) for name in wanted}
    found = LedgerColumns(**{name: columns.get(name, []) for name in LedgerColumns.__dataclass_fields__})
    _check_columns(path, found)
    return found if obs_ids is None else _only(found, obs_ids)


def _only(columns: LedgerColumns, obs_ids: Collection[str]) -> LedgerColumns:
    rows = [at for at, obs_id in enumerate(columns.obs_id) if obs_id in obs_ids]
    spans = [range(*columns.offsets[at : at + 2]) for at in rows] if columns.offsets else []
    files = [index for span in spans for index in span]
    texts = ("obs_id", *TEXT_COLUMNS)
    kept = {name: [column[at] for at in rows] for name in texts if (column := getattr(columns, name))}
    kept |= {name: [column[at] for at in files] for name in FILE_COLUMNS if (column := getattr(columns, name))}
    offsets = [0, *accumulate(map(len, spans))] if columns.offsets else []
    return LedgerColumns(
        **{name: kept.get(name, []) for name in LedgerColumns.__dataclass_fields__} | {"offsets": offsets}
    )


def _choose(
    names: Collection[str], obs_ids: Collection[str] | None, metadata: pq.FileMetaData
) -> tuple[list[int], list[str]]:
    leaves = [metadata.schema.column(at).path for at in range(metadata.num_columns)]
    wanted = [
        leaf
        for leaf in leaves
        if leaf in ("obs_id", *(set(names) & set(TEXT_COLUMNS)))
        or (leaf.startswith("files.") and leaf.rpartition(".")[2] in names)
    ]
    groups = range(metadata.num_row_groups)
    if obs_ids is None or "obs_id" not in leaves:
        return list(groups), wanted
    at = leaves.index("obs_id")
    return [index for index in groups if _may_hold(metadata.row_group(index).column(at).statistics, obs_ids)], wanted


def _may_hold(statistics: pq.Statistics | None, obs_ids: Collection[str]) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    return any(statistics.min <= obs_id <= statistics.max for obs_id in obs_ids)


def _values(path: Path, table: pa.Table, name: str) -> list[Any]:
    import pyarrow as pa

    column = _column(path, table, name)
    fits = pa.types.is_int64 if name == "size" else _is_text
    if not fits(column.type):
        raise _no_ledger(path, f"its column {name} has the type {column.type}")
    values: list[Any] = column.to_pylist()
    return values


def _column(path: Path, table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise _no_ledger(path, f"it has no column {name}")
    if table[name].null_count:
        raise _no_ledger(path, f"its column {name} has empty cells")
    return table[name]


def _fields(path: Path, lists: pa.Array) -> list[str]:
    import pyarrow as pa

    if not pa.types.is_list(lists.type) or not pa.types.is_struct(lists.type.value_type):
        raise _no_ledger(path, f"its column files has the type {lists.type}")
    return [field.name for field in lists.type.value_type]


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _no_ledger(path: Path, why: str) -> DataError:
    return DataError("ledger", f"{path} is not a valid ledger: {why}", remedy=f"restore it: git checkout -- {path}")


def _check_columns(path: Path, found: LedgerColumns) -> None:
    """The checks of `daxa.run.rows.row_from_plain`, for columns that are used without it."""
    wrong = (
        next((f"an ObsID {obs_id!r}" for obs_id in found.obs_id if not _is_obs_id(obs_id)), "")
        or next((f"an outcome {name!r}" for name in set(found.outcome) - set(OUTCOMES)), "")
        or next(("a reason that is not a code" for reason in set(found.reason) if not is_reason(reason)), "")
        or ("an ObsID twice" if len(set(found.obs_id)) != len(found.obs_id) else "")
    )
    if wrong:
        raise DataError("ledger", f"{path} holds {wrong}", remedy=f"restore it: git checkout -- {path}")


def _is_obs_id(value: object) -> bool:
    return isinstance(value, str) and bool(SAFE_ID.fullmatch(value))


def read_ledger(path: Path) -> dict[str, LedgerRow]:
    """The rows of a ledger by ObsID; empty when there is no such file.

    Raises
    ------
    DataError
        The file is not a valid ledger, or a row has invalid values.

    Examples
    --------
    >>> read_ledger(Path("no-such-ledger.parquet"))
    {}
    """
    if not os.path.lexists(path):
        return {}
    values, _ = _read(path)
    try:
        rows = [row_from_plain(value) for value in values]
    except DataError as error:
        raise DataError(error.name, f"{path}: {error.message}", remedy=error.remedy) from None
    ledger = {row.obs_id: row for row in rows}
    if len(ledger) != len(rows):
        raise DataError("ledger", f"{path} holds an ObsID twice", remedy="restore it from Git")
    return ledger


def write_ledger(path: Path, rows: Iterable[LedgerRow], *, mission: str, step: str) -> bool:
    """Write the rows, unless the file holds exactly these.

    Parameters
    ----------
    path
        The Parquet file; its directory is made when absent.
    rows
        In any order, one per ObsID.
    mission, step
        Kept as the file's metadata ``daxa.mission`` and ``daxa.step``.

    Returns
    -------
    bool
        False when the file was left untouched.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     ledger = Path(place) / "xmm-clean.parquet"
    ...     row = LedgerRow("0404910601", "failed", "data.no-events")
    ...     write_ledger(ledger, [row], mission="xmm", step="clean")
    ...     write_ledger(ledger, [row], mission="xmm", step="clean")
    ...     read_ledger(ledger)["0404910601"].reason
    True
    False
    'data.no-events'
    """
    ordered = sorted(rows, key=lambda row: row.obs_id)
    values = [row_as_plain(row) for row in ordered]
    for value in values:
        row_from_plain(value)
    if len({row.obs_id for row in ordered}) != len(ordered):
        raise ValueError("a ledger holds one row per ObsID")
    metadata = {b"daxa.mission": mission.encode(), b"daxa.step": step.encode()}
    if path.exists() and _holds(path, values, metadata):
        return False
    _write(path, values, metadata)
    return True


def _holds(path: Path, values: list[dict[str, Any]], metadata: dict[bytes, bytes]) -> bool:
    try:
        return _read(path) == (values, metadata)
    except DataError:
        return False


def _schema(optional: Collection[str] = ()) -> pa.Schema:
    """The columns; measures and exposures exist only in ledgers of steps that have some."""
    import pyarrow as pa

    text = pa.string()
    file = pa.struct([("path", text), ("size", pa.int64()), ("sha256", text), ("science", text)])
    columns = [(name, text) for name in ("obs_id", "outcome", "reason", "fingerprint", "parts")]
    of_exposure = [(name, text) for name in ("exposure", "outcome", "reason", "fingerprint", "parts")]
    kinds = {_MEASURES: text, _EXPOSURES: pa.list_(pa.struct([*of_exposure, ("paths", pa.list_(text))]))}
    return pa.schema(
        [*columns, ("files", pa.list_(file)), *((name, kinds[name]) for name in _OPTIONAL if name in optional)]
    )


def _read(path: Path) -> tuple[list[dict[str, Any]], dict[bytes, bytes]]:
    table = read_table(path)
    stored = table.schema.metadata or {}
    metadata = {key: value for key, value in stored.items() if key.startswith(b"daxa.")}
    values = table.to_pylist()
    for value in values:
        for name in _OPTIONAL:
            if name in value and not value[name]:
                del value[name]
    return values, metadata


def read_table(path: Path, content: bytes | None = None, groups: Sequence[int] | None = None) -> pa.Table:
    """A ledger as it is in its file, with our column types: rows are checked where they are used.

    Parameters
    ----------
    path, content
        The file, and its content if that has been read.
    groups
        The row groups that are read; all by default.

    Raises
    ------
    DataError
        The file is not a valid ledger.
    """
    table = _opened(path, None if groups is None else lambda metadata: (list(groups), None), content)
    schema = _schema(table.column_names)
    if table.schema.remove_metadata() == schema:
        return table
    return _conform(path, table, schema).replace_schema_metadata(table.schema.metadata)


def _opened(
    path: Path,
    choose: Callable[[pq.FileMetaData], tuple[list[int], list[str] | None]] | None = None,
    content: bytes | None = None,
) -> pa.Table:
    import pyarrow as pa

    try:
        return read_parquet(path if content is None else content, choose=choose)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            "ledger", f"{path} cannot be read as Parquet: {error}", remedy=f"restore it: git checkout -- {path}"
        ) from None


def _conform(path: Path, table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A ledger rewritten by another tool may have other widths of the same types."""
    import pyarrow as pa

    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowException, KeyError) as error:
        raise DataError(
            "ledger",
            f"{path} does not have the columns of a ledger: {error}",
            remedy=f"restore it: git checkout -- {path}",
        ) from None


def _write(path: Path, values: list[dict[str, Any]], metadata: dict[bytes, bytes]) -> None:
    import pyarrow as pa

    optional = [name for name in _OPTIONAL if any(name in value for value in values)]
    absent = {name: "" if name == _MEASURES else [] for name in optional}
    whole = [{**absent, **value} for value in values]
    schema = _schema(optional).with_metadata(metadata)
    files = [file for value in whole for file in value["files"]]
    kind = schema.field("files").type
    fields = list(kind.value_type)
    columns = [plain_array([file[field.name] for file in files], field.type) for field in fields]
    of_rows = pa.ListArray.from_arrays(
        plain_array(list(accumulate((len(value["files"]) for value in whole), initial=0)), pa.int32()),
        pa.StructArray.from_arrays(columns, fields=fields),
        type=kind,
    )

    def column(field: pa.Field) -> pa.Array:
        if field.name == "files":
            return of_rows
        cells = [value[field.name] for value in whole]
        # Only steps with exposures pay for what `plain_array` avoids.
        return pa.array(cells, field.type) if field.name == _EXPOSURES else plain_array(cells, field.type)

    rows = [column(field) for field in schema]
    table = pa.table(rows, schema=schema)
    write_parquet(path, table, rows_per_group=_ROWS_PER_GROUP)
