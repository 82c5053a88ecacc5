"""The ledger of a stage: one row per observation, in one Parquet file.

The file is a function of the rows alone: sorted by ObsID, uncompressed and without
dictionaries (it then packs well in Git), and left untouched when the rows are equal.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from daxa.errors import DataError
from daxa.parquet import read_parquet, write_parquet
from daxa.run.rows import row_as_plain, row_from_plain
from daxa.run.task import LedgerRow

__all__ = ["read_ledger", "write_ledger"]


def read_ledger(path: Path) -> dict[str, LedgerRow]:
    """The rows of a ledger by ObsID; empty when there is no such file.

    Raises
    ------
    DataError
        The file is no ledger, or a row holds what cannot be.

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


def _holds(path: Path, values: list[dict], metadata: dict[bytes, bytes]) -> bool:
    try:
        return _read(path) == (values, metadata)
    except DataError:
        return False


def _schema():
    import pyarrow as pa

    text = pa.string()
    file = pa.struct([("path", text), ("size", pa.int64()), ("sha256", text), ("science", text)])
    columns = [(name, text) for name in ("obs_id", "outcome", "reason", "fingerprint", "parts")]
    return pa.schema([*columns, ("files", pa.list_(file))])


def _read(path: Path) -> tuple[list[dict], dict[bytes, bytes]]:
    import pyarrow as pa

    try:
        table = read_parquet(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            "ledger", f"{path} cannot be read as Parquet: {error}", remedy=f"restore it: git checkout -- {path}"
        ) from None
    stored = table.schema.metadata or {}
    metadata = {key: value for key, value in stored.items() if key.startswith(b"daxa.")}
    if table.schema.remove_metadata() != _schema():
        table = _conform(path, table)
    return table.to_pylist(), metadata


def _conform(path: Path, table):
    """A ledger rewritten by another tool may carry other widths of the same types."""
    import pyarrow as pa

    try:
        return table.select(_schema().names).cast(_schema())
    except (pa.ArrowException, KeyError) as error:
        raise DataError(
            "ledger", f"{path} has not the columns of a ledger: {error}", remedy=f"restore it: git checkout -- {path}"
        ) from None


def _write(path: Path, values: list[dict], metadata: dict[bytes, bytes]) -> None:
    import pyarrow as pa

    write_parquet(path, pa.Table.from_pylist(values, schema=_schema().with_metadata(metadata)))
