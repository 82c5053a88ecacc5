"""TOML files of an archive: read within limits, and without values that DVC cannot follow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from daxa.archive.problems import Problem, table_name
from daxa.errors import DataError
from daxa.files import TOML_LIMIT, parse_toml, read_plain

__all__ = ["read_content", "read_tables"]


def read_content(path: Path) -> tuple[bytes | None, list[Problem]]:
    """The bytes of a file of the archive, None where they cannot be read, and why."""
    try:
        return read_plain(path, limit=TOML_LIMIT), []
    except DataError as error:
        why = _about(error, path)
    except OSError as error:
        why = f"it cannot be read: {error.strerror}"
    name = path.name if path.parent.name != "params" else f"params/{path.name}"
    return None, [Problem(path, "", "", why, f"restore it with `git checkout -- {name}`", "unreadable")]


def read_tables(content: bytes, path: Path) -> tuple[dict[str, Any] | None, list[Problem]]:
    """The tables of a TOML file, None where it is not TOML, and values that DVC cannot follow; `path` is for messages.

    Dates crash DVC, and nan is always changed.
    """
    try:
        tables = parse_toml(content, path)
    except DataError as error:
        return None, [Problem(path, "", "", _about(error, path), "write it with fewer levels, and shorter", "toml")]
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError, and numbers of more digits than Python reads
        remedy = "correct the line that is named: strings, dates and ObsIDs need quotation marks"
        return None, [Problem(path, "", "", f"it is not valid TOML: {str(error)[:200]}", remedy, "toml")]
    return tables, list(_untrackable(tables, path, ()))


def _untrackable(value: object, path: Path, place: tuple[str, ...]) -> Iterator[Problem]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _untrackable(item, path, (*place, key))
    elif isinstance(value, list):
        for item in value:
            yield from _untrackable(item, path, place)
    else:
        *table, key = place
        where = table_name(*table) if table else ""
        if isinstance(value, date | datetime | time):
            remedy = f'put it in quotation marks: {key} = "{value}"'
            yield Problem(path, where, key, "is a bare date, which DVC cannot read", remedy, "date")
        elif isinstance(value, float) and not math.isfinite(value):
            yield Problem(path, where, key, f"is {value}", "give a finite number", "not-finite")


def _about(error: DataError, path: Path) -> str:
    """The message of an error about a file, without the file's name in front."""
    return f"it {error.message.removeprefix(f'{path} ')}"
