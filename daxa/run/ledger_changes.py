"""Which rows differ between two versions of a ledger: compared by columns, so that equal rows cost next to nothing."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daxa.errors import DataError
from daxa.files import read_plain
from daxa.parquet import differing_groups, plain_array
from daxa.run.ledger import FILE_COLUMNS, TEXT_COLUMNS, read_table
from daxa.run.rows import row_from_plain
from daxa.run.task import LedgerRow

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["changed_rows"]

_LARGEST = 4 << 30


def changed_rows(
    before: Path, now: Path, obs_ids: Collection[str] | None = None
) -> tuple[dict[str, LedgerRow], dict[str, LedgerRow]]:
    """The rows of two versions of a ledger that are not the same in both.

    Parameters
    ----------
    before, now
        The ledgers; one that does not exist has no rows.
    obs_ids
        Only these observations; all by default.

    Returns
    -------
    tuple of dict
        ObsID to row, of each of the two ledgers.

    Raises
    ------
    DataError
        A file is not a valid ledger, or a row that differs has invalid values.

    Examples
    --------
    >>> changed_rows(Path("no-such-ledger.parquet"), Path("no-such-ledger.parquet"))
    ({}, {})
    """
    tables = _differing_parts(before, now)
    places = [_places(path, table) for path, table in zip((before, now), tables, strict=True)]
    common = places[0].keys() & places[1].keys()
    kept = sorted(common if obs_ids is None else common.intersection(obs_ids))
    both = [table for table in tables if table is not None]
    differing: set[str] = set()
    if kept:
        taken = [_take(table, [place[obs_id] for obs_id in kept]) for table, place in zip(both, places, strict=True)]
        differing = {kept[at] for at in _differing(*taken).nonzero()[0]}
    found = []
    for path, table, place in zip((before, now), tables, places, strict=True):
        wanted = [name for name in place if name not in common or name in differing]
        if obs_ids is not None:
            wanted = [name for name in wanted if name in obs_ids]
        found.append({row.obs_id: row for row in _rows(path, table, [place[name] for name in wanted])})
    return found[0], found[1]


def _differing_parts(*paths: Path) -> list[pa.Table | None]:
    """Both ledgers without the row groups that are byte for byte the same; None for one that does not exist."""
    import pyarrow as pa

    contents = [_content(path) if os.path.lexists(path) else None for path in paths]
    groups: Sequence[list[int] | None] = (None, None)
    if contents[0] is not None and contents[1] is not None:
        # A file that cannot be read at all is reported by its reader.
        with suppress(pa.ArrowException, OSError, ValueError):
            groups = differing_groups(contents[0], contents[1])
    return [
        None if content is None else read_table(path, content, chosen)
        for path, content, chosen in zip(paths, contents, groups, strict=True)
    ]


def _content(path: Path) -> bytes:
    try:
        return read_plain(path, limit=_LARGEST)
    except OSError as error:
        remedy = f"restore it: git checkout -- {path}"
        raise DataError("ledger", f"{path} cannot be read: {error}", remedy=remedy) from None


def _take(rows: Any, places: Sequence[int]) -> Any:
    """Rows of a table or list at these places."""
    import pyarrow as pa

    # Given a list, pyarrow would import pandas.
    return rows.take(plain_array(places, pa.int64()))


def _places(path: Path, table: pa.Table | None) -> dict[str, int]:
    ids = [] if table is None else table["obs_id"].to_pylist()
    places = {obs_id: at for at, obs_id in enumerate(ids) if isinstance(obs_id, str)}
    if len(places) != len(ids):
        raise DataError("ledger", f"{path} holds an ObsID twice, or none", remedy="restore it from Git")
    return places


def _rows(path: Path, table: pa.Table | None, places: list[int]) -> Iterator[LedgerRow]:
    if table is None or not places:
        return
    for value in _take(table, places).to_pylist():
        try:
            yield row_from_plain(value)
        except DataError as error:
            raise DataError(error.name, f"{path}: {error.message}", remedy=error.remedy) from None


def _differing(one: pa.Table, two: pa.Table) -> npt.NDArray[np.bool_]:
    """Which rows of two tables differ, place by place."""
    import numpy as np

    differs = np.zeros(one.num_rows, dtype=bool)
    for name in TEXT_COLUMNS:
        differs |= _unequal(one[name], two[name])
    for name in {*one.column_names, *two.column_names} - {"obs_id", "files", *TEXT_COLUMNS}:
        columns = [
            table[name].to_pylist() if name in table.column_names else [None] * len(differs) for table in (one, two)
        ]
        pairs = zip(*columns, strict=True)
        differs |= np.fromiter(((left or None) != (right or None) for left, right in pairs), bool, len(differs))
    differs |= _other_files(one["files"].combine_chunks(), two["files"].combine_chunks())
    return differs


def _other_files(one: pa.ListArray, two: pa.ListArray) -> npt.NDArray[np.bool_]:
    import numpy as np

    lengths = [
        np.diff(np.frombuffer(lists.buffers()[1], np.int32)[lists.offset :][: len(lists) + 1]) for lists in (one, two)
    ]
    differs: npt.NDArray[np.bool_] = lengths[0] != lengths[1]
    same = [int(at) for at in np.flatnonzero(~differs)]
    files = [_take(lists, same).flatten() for lists in (one, two)]
    unequal = np.zeros(len(files[0]), dtype=bool)
    for name in FILE_COLUMNS:
        unequal |= _unequal(files[0].field(name), files[1].field(name))
    differs[np.repeat(np.flatnonzero(~differs), lengths[0][~differs])[unequal]] = True
    return differs


def _unequal(one: Any, two: Any) -> npt.NDArray[np.bool_]:
    """Where two columns differ.

    Raises
    ------
    DataError
        There are empty cells, which a valid ledger never has.
    """
    import numpy as np
    import pyarrow.compute as pc

    if one.null_count or two.null_count:
        raise DataError("ledger", "a ledger has empty cells", remedy="restore it from Git")
    found = pc.not_equal(one, two)
    # From the bits themselves: pyarrow would import pandas to convert them.
    parts = found.chunks if hasattr(found, "chunks") else [found]
    bits = [
        np.unpackbits(np.frombuffer(part.buffers()[1], np.uint8), bitorder="little")[part.offset :][: len(part)]
        for part in parts
        if len(part)
    ]
    return np.concatenate([np.zeros(0, bool), *bits]).astype(bool)
