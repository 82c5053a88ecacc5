"""From a table of a TOML file to a frozen model, or to all that is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from daxa.archive.problems import Problem, table_name
from daxa.naming import did_you_mean

__all__ = ["StrictTable", "validate_table"]


class StrictTable(BaseModel):
    """A table that holds no other keys than those declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_Kind = TypeVar("_Kind", bound=StrictTable)


def validate_table(
    kind: type[_Kind], table: object, path: Path, place: tuple[str, ...] = ()
) -> tuple[_Kind | None, list[Problem]]:
    """The model, None where there is none, and what is wrong.

    Parameters
    ----------
    kind
        What the table should be.
    table
        What the file holds.
    path, place
        The file, and the names of the tables around this one, for messages.
    """
    try:
        return kind.model_validate(table), []
    except ValidationError as error:
        return None, [_problem(kind, one, path, place) for one in error.errors(include_url=False)]


def _problem(kind: type[StrictTable], error: Any, path: Path, place: tuple[str, ...]) -> Problem:
    """What pydantic reports on one value, with the nearest key where the key is unknown."""
    *table, key = (*place, *map(str, error["loc"])) or ("",)
    where = table_name(*table) if table else ""
    if error["type"] == "extra_forbidden":
        known = _keys(kind, error["loc"][:-1])
        message = f"there is no key {key[:100]!r}{did_you_mean(key, known)}"
        return Problem(path, where, key, message, f"use {', '.join(known)}, or remove it", "unknown-key")
    message = error["msg"][:1].lower() + error["msg"][1:]
    return Problem(path, where, key, message, f"correct {'.'.join((*table, key))} in {path.name}")


def _keys(kind: type[StrictTable], loc: tuple[str | int, ...]) -> tuple[str, ...]:
    """Keys of the table at a place below another."""
    for name in loc:
        if isinstance(name, str):
            held = kind.model_fields[name].annotation
            kinds = (held, *getattr(held, "__args__", ()))
            kind = next(one for one in kinds if isinstance(one, type) and issubclass(one, StrictTable))
    return tuple(kind.model_fields)
