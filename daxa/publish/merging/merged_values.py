"""Merge two changed versions of a table of values, and write the result into a text that keeps its comments."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daxa.errors import DataError

__all__ = ["ABSENT", "ValueConflict", "join_values", "text_with"]

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "nothing", "__bool__": lambda self: False})()
"""Placeholder for a missing key."""


@dataclass(frozen=True)
class ValueConflict:
    """A key that both sides changed, to different values."""

    place: tuple[str, ...]
    ours: Any
    theirs: Any


def join_values(base: Any, ours: Any, theirs: Any, place: tuple[str, ...] = ()) -> tuple[Any, list[ValueConflict]]:
    """Merge both sides' changes to a value, key by key, and list the conflicts, for which ours is used.

    Examples
    --------
    >>> join_values({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "c": 3})
    ({'a': 2, 'c': 3}, [])
    >>> join_values({"a": 1}, {"a": 2}, {"a": 3})[1]
    [ValueConflict(place=('a',), ours=2, theirs=3)]
    """
    if _same(ours, theirs) or _same(theirs, base):
        return ours, []
    if _same(ours, base):
        return theirs, []
    if not isinstance(ours, Mapping) or not isinstance(theirs, Mapping):
        return ours, [ValueConflict(place, ours, theirs)]
    former = base if isinstance(base, Mapping) else {}
    joined, conflicts = {}, []
    for key in dict.fromkeys([*ours, *theirs]):
        was, one, two = (side.get(key, ABSENT) for side in (former, ours, theirs))
        value, wrong = join_values(was, one, two, (*place, key))
        conflicts += wrong
        if value is not ABSENT:
            joined[key] = value
    return joined, conflicts


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def text_with(text: str, values: Mapping[str, Any], name: str) -> str:
    r"""The text of a TOML file with other values and everything else unchanged.

    Parameters
    ----------
    text
        The text of the file.
    values
        All values that it should hold.
    name
        Name of the file, for messages.

    Raises
    ------
    DataError
        The text is written in a way that does not allow it.

    Examples
    --------
    >>> print(text_with("a = 1  # one\n[t]\nb = 2\n", {"a": 1, "t": {"b": 3}, "u": {"c": 4}}, "x").rstrip())
    a = 1  # one
    [t]
    b = 3
    <BLANKLINE>
    [u]
    c = 4
    """
    import tomlkit

    if tomllib.loads(text) == values:
        return text
    document: Any = tomlkit.parse(text.rstrip() + "\n")
    before = {*document}
    _change(document, values)
    written = tomlkit.dumps(document)
    for key in [key for key in values if key not in before and isinstance(values[key], Mapping)]:
        written = f"{written.rstrip()}\n\n{tomlkit.dumps({key: values[key]}).strip()}\n"
    if tomllib.loads(written) != values:
        raise DataError(
            "merge-text",
            f"{name} is written in a way that does not allow daxa to join its tables",
            remedy=f"make {name} equal on both branches, then merge",
        )
    return written


def _change(table: Any, values: Mapping[str, Any], depth: int = 0) -> None:
    for key in [key for key in table if key not in values]:
        del table[key]
    for key, value in values.items():
        if key in table and isinstance(table[key], Mapping) and isinstance(value, Mapping):
            _change(table[key], value, depth + 1)
        elif key in table and table[key] != value:
            table[key] = value
        elif key not in table and (depth or not isinstance(value, Mapping)):
            table[key] = dict(value) if isinstance(value, Mapping) else value
