"""Where and when: ``upstream/<mission>.parquet``, tracked by Git, part of no stage.

One row per chosen observation (``path`` is empty, ``url`` names the row of the
archive's table) and one per fetched file.  The query itself is in the
file's metadata.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from daxa.errors import DataError
from daxa.files import parse_json, read_plain, replace_file
from daxa.parquet import plain_array, read_parquet, write_parquet
from daxa.run.task import canonical

if TYPE_CHECKING:
    import pyarrow as pa

    from daxa.fetch.observation import FileProvenance
    from daxa.query.mission import Selection

__all__ = [
    "collect_provenance",
    "mark_superseded",
    "merge_origins",
    "note_provenance",
    "read_arrivals",
    "read_origin",
    "row_ids",
    "write_origin",
]

_ORIGIN = b"daxa.origin"
_ROW = "row"
_SUPERSEDED = "superseded"


class _Line(NamedTuple):
    obs_id: str
    path: str
    url: str
    size: int
    sha256: str
    etag: str
    last_modified: str
    retrieved: str
    superseded: str = ""


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
    origin = selection.origin
    chosen = [
        _Line(obs_id, "", f"{_ROW}:{row_id}", 0, "", "", "", origin.time)
        for obs_id, row_id in selection.row_ids.items()
    ]
    kept = [line for line in _read(before or path)[0] if line.path and line.obs_id in selection.row_ids]
    _write(path, [*chosen, *kept], canonical(origin.as_dict()))


def read_origin(path: Path) -> dict[str, object]:
    """The query that the selection came from: service, table, query, time, rows, digest."""
    origin = parse_json((_read(path)[1] or "{}").encode(), path)
    if not isinstance(origin, dict):
        raise _damaged(path, "its query cannot be read")
    return origin


def row_ids(path: Path) -> dict[str, str]:
    """ObsID to the identifier of its row in the archive's table."""
    return {line.obs_id: line.url.removeprefix(f"{_ROW}:") for line in _read(path)[0] if not line.path}


def read_arrivals(path: Path) -> dict[str, dict[str, FileProvenance]]:
    """ObsID to path to where and when each fetched file came from."""
    from daxa.fetch.observation import FileProvenance

    found: dict[str, dict[str, FileProvenance]] = {}
    for line in (one for one in _read(path)[0] if one.path):
        arrival = FileProvenance(
            line.path, line.url, line.size, line.sha256, line.etag, line.last_modified, line.retrieved
        )
        found.setdefault(line.obs_id, {})[line.path] = arrival
    return found


def mark_superseded(path: Path, files: Mapping[str, Collection[str]], since: str, *, to: Path) -> None:
    """Note that the mission's archive no longer serves some fetched files.

    Parameters
    ----------
    path
        The file.
    files
        ObsID to paths.
    since
        When that was seen: a date.
    to
        Where the new file is written.
    """
    lines, origin = _read(path)
    _write(
        to,
        [line._replace(superseded=since) if line.path in files.get(line.obs_id, ()) else line for line in lines],
        origin,
    )


def merge_origins(ours: Path, theirs: Path, taken: Collection[str], selected: Collection[str], *, to: Path) -> None:
    """Join the records of two people.

    Parameters
    ----------
    ours, theirs
        Their files; the query is that of ours, if there is one.
    taken
        ObsIDs whose records are those of theirs.
    selected
        ObsIDs that have records.
    to
        Where the new file is written.
    """
    (mine, origin), (other, foreign) = _read(ours), _read(theirs)
    lines = [line for line in mine if line.obs_id not in taken] + [line for line in other if line.obs_id in taken]
    _write(to, [line for line in lines if line.obs_id in selected], origin or foreign)


def note_provenance(directory: Path, obs_id: str, arrivals: Iterable[FileProvenance]) -> None:
    """Note where an observation's files came from, until `collect_provenance` collects the notes."""
    replace_file(directory / f"{obs_id}.json", canonical([asdict(arrival) for arrival in arrivals]).encode())


def collect_provenance(path: Path, directory: Path) -> None:
    """Move the notes of `note_provenance` into the upstream file."""
    notes = sorted(directory.glob("*.json"))
    if not notes:
        return
    lines, origin = _read(path)
    new = [line for note in notes for line in _noted(note)]
    fresh = {(line.obs_id, line.path) for line in new}
    kept = [line for line in lines if (line.obs_id, line.path) not in fresh]
    _write(path, [*kept, *new], origin)
    for note in notes:
        note.unlink()


def _noted(note: Path) -> list[_Line]:
    """What a note says; nothing where a kill or a full disk tore it: the files themselves are in the ledger."""
    try:
        lines = [_Line(note.stem, **{**one, "path": str(one["path"])}) for one in parse_json(read_plain(note), note)]
    except (DataError, OSError, TypeError, KeyError):
        return []
    return lines if all(_is_whole(line) for line in lines) else []


def _is_whole(line: _Line) -> bool:
    values = line._asdict()
    return isinstance(values.pop("size"), int) and all(isinstance(value, str) for value in values.values())


def _read(path: Path) -> tuple[list[_Line], str]:
    if not os.path.lexists(path):
        return [], ""
    table = _table(path)
    origin = (table.schema.metadata or {}).get(_ORIGIN, b"").decode("utf-8", "replace")
    columns = [table[name].to_pylist() for name in table.column_names]
    return [_Line(*row) for row in zip(*columns, strict=True)], origin


def _table(path: Path) -> pa.Table:
    """The file as a table of our columns, without an empty cell."""
    import pyarrow as pa

    try:
        table = read_parquet(path)
        schema = _schema(marked=_SUPERSEDED in table.column_names)
        table = table.select(schema.names).cast(schema.with_metadata(table.schema.metadata))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise _damaged(path, str(error)[:200]) from None
    if any(column.null_count for column in table.columns):
        raise _damaged(path, "it has empty cells")
    return table


def _damaged(path: Path, why: str) -> DataError:
    return DataError(
        "upstream",
        f"{path} does not say where files came from: {why}",
        remedy=f"restore it: git checkout -- {path.parent.name}/{path.name}",
    )


def _schema(*, marked: bool) -> pa.Schema:
    """The columns; the one for files that are no longer served exists only if there are such files."""
    import pyarrow as pa

    names = [name for name in _Line._fields if marked or name != _SUPERSEDED]
    return pa.schema([(name, pa.int64() if name == "size" else pa.string()) for name in names])


def _write(path: Path, lines: Iterable[_Line], origin: str) -> None:
    import pyarrow as pa

    lines = sorted(lines)
    schema = _schema(marked=any(line.superseded for line in lines)).with_metadata({_ORIGIN: origin.encode()})
    columns = list(zip(*(line[: len(schema)] for line in lines), strict=True)) or [()] * len(schema)
    arrays = [plain_array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    write_parquet(path, pa.table(arrays, schema=schema))
