"""A step's table of parameters in a new params file: values, units and comments from the schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from daxa.backends.parameter_schema import Kind, Parameter
from daxa.quantities import band_text

__all__ = ["table_lines", "written"]

_COLUMN = 38


def table_lines(parameters: Iterable[Parameter]) -> list[str]:
    """Lines of a table: values in force, and others as comments.

    Examples
    --------
    >>> print(*table_lines([Parameter("pixel", "quantity", 4.0, "pixel size", unit="arcsec")]))
    pixel = "4 arcsec"                    # pixel size
    """
    return [_line(parameter.name, written(parameter), parameter) for parameter in parameters if _is_shown(parameter)]


def _is_shown(parameter: Parameter) -> bool:
    return parameter.shown != "hidden" and bool(written(parameter))


def _line(name: str, value: str, parameter: Parameter) -> str:
    """One line of a table."""
    in_force = parameter.shown == "line" and (parameter.default is not None or bool(parameter.choices))
    return f"{'' if in_force else '# '}{name} = {value} ".ljust(_COLUMN) + f"# {parameter.help}"


def written(parameter: Parameter) -> str:
    """The default as TOML; the example if there is none, or if a comment would show an empty text; else ''."""
    default = parameter.default
    if default is None:
        named = parameter.kind in ("band", "choice") and parameter.choices
        return json.dumps(parameter.choices[0]) if named else _example(parameter)
    if default == "" and parameter.example and parameter.shown != "line":
        return _example(parameter)
    return _toml(parameter, default)


def _example(parameter: Parameter) -> str:
    texts = parameter.kind in ("quantity", "band")
    return json.dumps(parameter.example) if texts and parameter.example else parameter.example


def _toml(parameter: Parameter, value: Any) -> str:
    return _WRITERS.get(parameter.kind, _text)(parameter, value)


def _text(_: Parameter, value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(json.dumps(text, ensure_ascii=False) for text in texts)}]"


_WRITERS: Mapping[Kind, Callable[[Parameter, Any], str]] = {
    "flag": lambda _, value: "true" if value else "false",
    "number": lambda _, value: repr(value),
    "numbers": lambda _, value: f"[{', '.join(map(repr, value))}]",
    "quantity": lambda parameter, value: f'"{value:g} {parameter.unit}"',
    "band": lambda _, value: json.dumps(band_text(value)),
    "bands": lambda _, value: _list(map(band_text, value)),
    "patterns": lambda _, value: _list(value),
    "words": lambda _, value: _list(value),
}
