"""From a table of a TOML file to a frozen dataclass, or to all that is wrong with it.

What a key may hold stands at the dataclass's own field, as the metadata ``reads``: a function that
gives the value or raises a ValueError whose text ends the sentence "the key ...".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from daxa.archive.problems import Problem
from daxa.naming import did_you_mean

__all__ = [
    "a_number",
    "a_text",
    "a_whole_number",
    "judge_table",
    "many_of",
    "many_texts",
    "one_of",
    "tables_by_name",
    "texts_by_name",
]

_KINDS = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list", dict: "a table"}

Reader = Callable[[object], Any]


def a_text(pattern: str = "", example: str = "") -> Mapping[str, Reader]:
    """Metadata of a field that holds a text; of a certain form, if a pattern is given."""

    def read(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError(f"must be a text, and is {_kind(value)}")
        if pattern and not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f"must be such as {example}, and is {value[:100]!r}")
        return value

    return {"reads": read}


def a_number(low: float, high: float = float("inf"), *, above: bool = False) -> Mapping[str, Reader]:
    """Metadata of a field that holds a number from `low`, or `above` it, to `high`."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"must be a number, and is {_kind(value)}")
        if not (low < value if above else low <= value) or value > high:
            limit = f"greater than {low:g}" if above else f"from {low:g} to {high:g}"
            raise ValueError(f"must be {limit}, and is {value if isinstance(value, float) else str(value)[:40]}")
        return float(value)

    return {"reads": read}


def a_whole_number(low: int, high: int) -> Mapping[str, Reader]:
    """Metadata of a field that holds a whole number."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"must be a whole number, and is {_kind(value)}")
        if not low <= value <= high:
            raise ValueError(f"must be from {low} to {high}, and is {str(value)[:40]}")
        return value

    return {"reads": read}


def one_of(kind: type) -> Mapping[str, Any]:
    """Metadata of a field that holds a table."""
    return {"table": kind}


def many_of(kind: type) -> Mapping[str, Any]:
    """Metadata of a field that holds a list of tables."""
    return {"tables": kind}


def many_texts() -> Mapping[str, Reader]:
    """Metadata of a field that holds a list of texts."""

    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ValueError("must be a list of texts")
        return tuple(value)

    return {"reads": read}


def tables_by_name() -> Mapping[str, Reader]:
    """Metadata of a field that holds tables of any content by name."""
    return {"named": (dict, "a table")}


def texts_by_name() -> Mapping[str, Reader]:
    """Metadata of a field that holds texts by name."""
    return {"named": (str, "a text")}


def judge_table(kind: type, table: object, path: Path, place: tuple[str, ...] = ()) -> tuple[Any, list[Problem]]:
    """An instance of a dataclass, None where there is none, and what is wrong.

    Parameters
    ----------
    kind
        The dataclass.
    table
        What the file holds.
    path, place
        The file, and the names of the tables around this one, for messages.
    """
    if not isinstance(table, Mapping):
        return None, [_problem(path, place, f"must be a table, and is {_kind(table)}")]
    known = {field.name: field for field in fields(kind)}
    values, problems = {}, []
    for name in table:
        if name not in known:
            message = f"there is no key {name[:100]!r}{did_you_mean(name, known)}"
            remedy = f"use {', '.join(known)}, or remove it"
            problems.append(Problem(path, ".".join(place), name, message, remedy, "unknown-key"))
    for name, field in known.items():
        if name in table:
            values[name], wrong = _judge_value(field.metadata, table[name], path, (*place, name))
            problems += wrong
        elif field.default is MISSING and field.default_factory is MISSING:
            problems.append(_problem(path, (*place, name), "is absent, and has no default"))
    return None if problems else kind(**values), problems


def _judge_value(
    rule: Mapping[str, Any], value: object, path: Path, place: tuple[str, ...]
) -> tuple[Any, list[Problem]]:
    if "table" in rule:
        return judge_table(rule["table"], value, path, place)
    if "tables" in rule and isinstance(value, list):
        judged = [judge_table(rule["tables"], one, path, (*place, str(at))) for at, one in enumerate(value)]
        return tuple(one for one, _ in judged), [problem for _, wrong in judged for problem in wrong]
    if "named" in rule and isinstance(value, Mapping):
        wanted, what = rule["named"]
        wrong = [name for name, one in value.items() if not isinstance(one, wanted)]
        return value, [_problem(path, (*place, n), f"must be {what}, and is {_kind(value[n])}") for n in wrong]
    try:
        return rule.get("reads", _no_table)(value), []
    except ValueError as error:
        return None, [_problem(path, place, str(error))]


def _no_table(value: object) -> None:
    raise ValueError(f"must hold tables, and is {_kind(value)}")


def _problem(path: Path, place: tuple[str, ...], message: str) -> Problem:
    *table, key = place or ("",)
    remedy = f"correct {'.'.join(place)} in {path.name}" if place else f"correct {path.name}"
    return Problem(path, ".".join(table), key, message, remedy)


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "a date or time")
