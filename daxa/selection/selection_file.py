"""Selections as files: Parquet that carries a VOTable header (VOParquet 1.0).

Equal rows give equal bytes (for one version of pyarrow), and a file whose rows
already equal them is left untouched, so that Git and DVC see a change
only where there is one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daxa.errors import CriteriaError, DataError
from daxa.missions import MissionSpec, find_mission
from daxa.parquet import read_parquet, write_parquet
from daxa.selection.schema import (
    COLUMNS,
    arrange,
    check_table,
    column_names,
    is_instruments,
    is_obs_id,
    table_digest,
)
from daxa.selection.voparquet import to_voparquet

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = [
    "SelectionMetadata",
    "read_chosen",
    "read_columns",
    "read_selection",
    "read_selection_metadata",
    "write_selection",
]


@dataclass(frozen=True)
class SelectionMetadata:
    """What a selection file says about itself.

    Parameters
    ----------
    mission
        Short name of the mission.
    criteria
        What was requested, as JSON (`daxa.query.Criteria.to_plain`).
    snapshot
        Digest of the observation table that the criteria were applied to.
    """

    mission: str
    criteria: str
    snapshot: str


def write_selection(path: Path, table: pd.DataFrame, *, mission: str, criteria: str, snapshot: str) -> bool:
    """Write a selection, unless the file already holds these rows.

    Parameters
    ----------
    path
        The file; its directory is made when absent.
    table
        Observations in the schema's columns; other columns are not written.
    mission, criteria, snapshot
        See `SelectionMetadata`.

    Returns
    -------
    bool
        False when the file was left untouched because mission and rows are equal.

    Raises
    ------
    DataError
        The table holds impossible values.
    StorageError
        The file cannot be written.
    """
    spec = find_mission(mission)
    rows = arrange(table)
    check_table(rows, spec, name=f"the selection for {spec.title}")
    if _holds(path, rows, spec.name):
        return False
    write_parquet(path, _to_arrow(rows, SelectionMetadata(spec.name, criteria, snapshot)))
    return True


def read_selection(path: Path) -> pd.DataFrame:
    """Read and validate a selection.

    Returns
    -------
    pandas.DataFrame
        The schema's columns, sorted by ObsID; ``obs_id`` holds texts.

    Raises
    ------
    DataError
        The file is absent, damaged, of another schema, or holds a malformed ObsID.
    """
    import pandas as pd

    arrow, metadata = _read(path)
    if tuple(arrow.column_names) != column_names():
        raise _damaged(path, f"its columns are {', '.join(arrow.column_names)[:200]}")
    for column, field in zip(COLUMNS, arrow.schema, strict=True):
        if str(field.type) not in (("string", "large_string") if column.kind == "text" else ("double",)):
            raise _damaged(path, f"its column {column.name} has the type {field.type}")
        if arrow.column(column.name).null_count:
            raise _damaged(path, f"its column {column.name} has empty cells")
    rows = arrange(pd.DataFrame({column.name: arrow.column(column.name).to_pylist() for column in COLUMNS}))
    for column in COLUMNS:
        if column.kind == "float":
            rows[column.name] = rows[column.name].astype("float64")
    check_table(rows, _spec(path, metadata.mission), name=str(path))
    return rows


def read_chosen(path: Path) -> dict[str, tuple[str, ...]]:
    """Read which observations a selection holds, without the cost of a table.

    Returns
    -------
    dict of str to tuple of str
        ObsID to the names of its chosen instruments, sorted by ObsID.

    Raises
    ------
    DataError
        The file is absent, damaged, or holds a malformed or repeated ObsID.
    """
    arrow, metadata = _read(path)
    spec = _spec(path, metadata.mission)
    if not {"obs_id", "instruments"} <= set(arrow.column_names):
        raise _damaged(path, "it lacks ObsIDs or instruments")
    pairs = sorted(zip(arrow["obs_id"].to_pylist(), arrow["instruments"].to_pylist(), strict=True), key=repr)
    for obs_id, instruments in pairs:
        if not is_obs_id(obs_id, spec) or not is_instruments(instruments, spec):
            raise _damaged(path, f"the instruments {instruments!r} of ObsID {obs_id!r} are not valid")
    chosen = {obs_id: tuple(instruments.split(",")) for obs_id, instruments in pairs}
    if len(chosen) != len(pairs):
        raise _damaged(path, "an ObsID occurs twice")
    return chosen


def read_columns(path: Path, *names: str) -> tuple[list[str], ...]:
    """Columns of a selection as stored, without checking every row.

    Raises
    ------
    DataError
        The file is absent, damaged, or lacks a column.
    """
    arrow, _ = _read(path)
    if absent := set(names) - set(arrow.column_names):
        raise _damaged(path, f"it lacks the column {min(absent)}")
    return tuple(arrow.column(name).to_pylist() for name in names)


def read_selection_metadata(path: Path) -> SelectionMetadata:
    """Read what a selection file says about itself.

    Raises
    ------
    DataError
        The file is absent, damaged, or not a selection.
    """
    return _read(path)[1]


def _read(path: Path) -> tuple[pa.Table, SelectionMetadata]:
    import pyarrow as pa

    try:
        arrow = read_parquet(path)
        stored = arrow.schema.metadata or {}
        metadata = SelectionMetadata(
            *(stored[f"daxa.{name}".encode()].decode() for name in ("mission", "criteria", "snapshot"))
        )
    except FileNotFoundError:
        raise DataError(
            "selection-absent",
            f"{path} does not exist",
            remedy="restore it with `git checkout`, or choose observations with `daxa init`",
        ) from None
    except OSError as error:
        raise _damaged(path, f"it cannot be read: {error}") from None
    except KeyError as error:
        raise _damaged(path, f"it lacks the metadata {error}") from None
    except (pa.ArrowException, UnicodeDecodeError, ValueError) as error:
        raise _damaged(path, f"it is not a Parquet file written by daxa: {str(error)[:200]}") from None
    return arrow, metadata


def _spec(path: Path, mission: str) -> MissionSpec:
    try:
        return find_mission(mission)
    except CriteriaError:
        raise _damaged(path, f"it is for a mission called {mission[:50]!r}, which daxa does not know") from None


def _holds(path: Path, rows: pd.DataFrame, mission: str) -> bool:
    if not path.exists():
        return False
    try:
        return read_selection_metadata(path).mission == mission and table_digest(read_selection(path)) == table_digest(
            rows
        )
    except DataError:
        return False


def _to_arrow(rows: pd.DataFrame, metadata: SelectionMetadata) -> pa.Table:
    return to_voparquet(
        rows,
        COLUMNS,
        name=metadata.mission,
        title=f"Chosen observations of {find_mission(metadata.mission).title}",
        metadata={f"daxa.{name}": value for name, value in asdict(metadata).items()},
    )


def _damaged(path: Path, why: str) -> DataError:
    return DataError(
        "selection-damaged",
        f"{path} is not a usable selection: {why}",
        remedy="restore the file with `git checkout`",
    )
