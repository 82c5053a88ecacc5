"""Where and when: ``upstream/<mission>.parquet``, tracked by Git, part of no stage.

One row per chosen observation (``path`` is empty, ``url`` names the row of the
archive's table) and one per fetched file.  The query itself stands in the
file's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from daxa.parquet import read_parquet, write_parquet
from daxa.run.task import canonical

if TYPE_CHECKING:
    from daxa.fetch.observation import Arrival
    from daxa.query.mission import Selection

__all__ = ["add_arrivals", "keep_arrivals", "read_origin", "row_ids", "write_origin"]

_ORIGIN = b"daxa.origin"
_ROW = "row"


class _Line(NamedTuple):
    obs_id: str
    path: str
    url: str
    size: int
    sha256: str
    etag: str
    last_modified: str
    retrieved: str


def write_origin(path: Path, selection: Selection, *, before: Path | None = None) -> None:
    """Record the query that a selection came from, and each observation's row in the archive's table.

    Parameters
    ----------
    path
        The file.
    selection
        What was chosen.
    before
        File whose records of fetched files are kept; by default `path` itself.
    """
    origin = selection.origin.as_dict()
    chosen = [
        _Line(obs_id, "", f"{_ROW}:{row_id}", 0, "", "", "", origin["time"])
        for obs_id, row_id in selection.row_ids.items()
    ]
    kept = [line for line in _read(before or path)[0] if line.path and line.obs_id in selection.row_ids]
    _write(path, [*chosen, *kept], canonical(origin))


def read_origin(path: Path) -> dict[str, object]:
    """The query that the selection came from: service, table, query, time, rows, digest."""
    return json.loads(_read(path)[1] or "{}")


def row_ids(path: Path) -> dict[str, str]:
    """ObsID to the identifier of its row in the archive's table."""
    if not path.is_file():
        return {}
    table = read_parquet(
        path, choose=lambda metadata: (list(range(metadata.num_row_groups)), ["obs_id", "path", "url"])
    )
    lines = zip(*(table[name].to_pylist() for name in ("obs_id", "path", "url")), strict=True)
    return {obs_id: url.removeprefix(f"{_ROW}:") for obs_id, file, url in lines if not file}


def keep_arrivals(directory: Path, obs_id: str, arrivals: Iterable[Arrival]) -> None:
    """Note where an observation's files came from, until `add_arrivals` collects the notes."""
    directory.mkdir(parents=True, exist_ok=True)
    note = directory / f"{obs_id}.json"
    part = note.with_suffix(".part")
    part.write_text(canonical([asdict(arrival) for arrival in arrivals]), encoding="utf-8")
    part.replace(note)


def add_arrivals(path: Path, directory: Path) -> None:
    """Move the notes of `keep_arrivals` into the upstream file."""
    notes = sorted(directory.glob("*.json"))
    if not notes:
        return
    lines, origin = _read(path)
    arrived = {note.stem: json.loads(note.read_text(encoding="utf-8")) for note in notes}
    new = [
        _Line(obs_id, **{**arrival, "path": str(arrival["path"])})
        for obs_id, group in arrived.items()
        for arrival in group
    ]
    fresh = {(line.obs_id, line.path) for line in new}
    kept = [line for line in lines if (line.obs_id, line.path) not in fresh]
    _write(path, [*kept, *new], origin)
    for note in notes:
        note.unlink()


def _read(path: Path) -> tuple[list[_Line], str]:
    if not path.is_file():
        return [], ""
    table = read_parquet(path)
    origin = (table.schema.metadata or {}).get(_ORIGIN, b"").decode()
    columns = (table[name].to_pylist() for name in _Line._fields)
    return [_Line._make(row) for row in zip(*columns, strict=True)], origin


def _write(path: Path, lines: Iterable[_Line], origin: str) -> None:
    import pyarrow as pa

    schema = pa.schema(
        [(name, pa.int64() if name == "size" else pa.string()) for name in _Line._fields],
        metadata={_ORIGIN: origin.encode()},
    )
    columns = zip(*sorted(lines), strict=True)
    write_parquet(path, pa.table([list(column) for column in columns] or [[] for _ in schema], schema=schema))
