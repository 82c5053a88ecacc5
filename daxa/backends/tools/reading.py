"""Read the tables of tools; mistakes in one are reported before any tool is called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from daxa.backends.tools.tables import Known, Option, Output, Parameter, Sentence, Suite, Tool, When
from daxa.backends.tools.values import check_value
from daxa.errors import ToolError
from daxa.files import parse_toml
from daxa.naming import did_you_mean

__all__ = ["load_suite", "load_tool", "read_suite", "read_tool", "suite_names", "tool_names"]

_FOLDER = Path(__file__).parent
_SUITE = "suite.toml"
_NAME = re.compile(r"[A-Za-z][\w-]{0,63}", re.ASCII)
_KINDS = ("flag", "integer", "real", "choice", "text", "file")


def suite_names() -> tuple[str, ...]:
    """Names of all suites."""
    return tuple(sorted(path.parent.name for path in _FOLDER.glob(f"*/{_SUITE}")))


@cache
def tool_names(suite: str) -> tuple[str, ...]:
    """Names of all tools of a suite that have a table."""
    read_suite(suite)
    return tuple(sorted(path.stem for path in (_FOLDER / suite).glob("*.toml") if path.name != _SUITE))


@cache
def read_suite(name: str) -> Suite:
    """A suite by its name.

    Raises
    ------
    ToolError
        There is no such suite.

    Examples
    --------
    >>> read_suite("sas").releases[-1]
    '22.1'
    """
    if name not in suite_names():
        raise ToolError(
            "suite",
            f"there are no tables for a suite named {name[:100]!r}{did_you_mean(name, suite_names())}",
            remedy=f"choose one of {', '.join(suite_names())}",
        )
    path = _FOLDER / name / _SUITE
    return load_suite(path.read_bytes(), path)


@cache
def read_tool(suite: str, name: str) -> Tool:
    """A tool by its name.

    Raises
    ------
    ToolError
        There is no such suite, or no table of such a tool.

    Examples
    --------
    >>> read_tool("sas", "espfilt").at("22.1")["limits"].default
    '0.1 6.5'
    """
    known = tool_names(suite)
    if name not in known:
        title = read_suite(suite).title
        raise ToolError(
            "unknown",
            f"there is no table for a tool named {name[:100]!r} in {title}{did_you_mean(name, known)}",
            remedy=f"choose one of {', '.join(known)}",
        )
    path = _FOLDER / suite / f"{name}.toml"
    return load_tool(path.read_bytes(), path, read_suite(suite))


def load_suite(content: bytes, path: Path) -> Suite:
    """A suite from its TOML.

    Raises
    ------
    ToolError
        The table is not valid.
    """
    with _Table(path):
        table = _only(parse_toml(content, path), [one.name for one in fields(Suite)], path)
        table |= {
            "releases": tuple(table["releases"]),
            "options": tuple(Option(name, kind) for name, kind in table.get("options", {}).items()),
            "success": tuple(_sentence(one) for one in table.get("success", ())),
            "known": tuple(Known(**one) for one in table.get("known", ())),
            "exits": {int(status): name for status, name in table.get("exits", {}).items()},
        }
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in table.items()
        }
        suite = Suite(**given)
        for release in suite.releases:
            suite.rank(release)
        for text in (*suite.harmless, *(one.match for one in suite.known), *(one.text for one in suite.success)):
            re.compile(text)
        return suite


def load_tool(content: bytes, path: Path, suite: Suite) -> Tool:
    """A tool from its TOML.

    Raises
    ------
    ToolError
        The table is not valid.
    """
    with _Table(path):
        table = _only(parse_toml(content, path), [one.name for one in fields(Tool)], path)
        parameters = tuple(
            _parameter(suite, name, form)
            for name, forms in table.pop("parameters", {}).items()
            for form in (forms if isinstance(forms, list) else [forms])
        )
        table |= {
            "outputs": tuple(Output(**one | {"when": _when(one.get("when"))}) for one in table.get("outputs", ())),
            "success": tuple(_sentence(one) for one in table.get("success", ())),
            "modifies": tuple((name, _when(when)) for name, when in table.get("modifies", {}).items()),
        }
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in table.items()
        }
        tool = Tool(suite=suite, name=path.stem, parameters=parameters, **given)
        _check_tool(tool)
        return tool


def _parameter(suite: Suite, name: str, form: Mapping[str, Any]) -> Parameter:
    form = dict(form)
    kind = form.pop("type")
    if kind not in _KINDS:
        raise ValueError(f"{name} has the unknown type {kind!r}")
    parameter = Parameter(name, kind, **form | {"choices": tuple(form.get("choices", ()))})
    if not _NAME.fullmatch(name) or (kind == "choice") != bool(parameter.choices):
        raise ValueError(f"{name} cannot be a parameter of the type {kind}")
    if parameter.default is not None and not isinstance(parameter.default, str):
        raise ValueError(f"the default of {name} must be a text")
    bare = Parameter(**{one.name: getattr(parameter, one.name) for one in fields(Parameter)} | {"default": None})
    if parameter.default and not parameter.default.startswith(")"):  # A reference to another parameter file.
        problem = "" if parameter.kind == "file" else check_value(suite, bare, parameter.default)
        if problem:
            raise ValueError(f"the default of {name}, {parameter.default!r}, is not valid: {problem}")
    return parameter


def _check_tool(tool: Tool) -> None:
    names = {one.name for one in tool.parameters}
    for release in tool.suite.releases:
        held = [one.name for one in tool.parameters if tool.suite.covers(one.since, one.until, release)]
        if len(set(held)) != len(held):
            raise ValueError(f"a parameter has two forms in {release}")
    used = [one.parent for one in tool.parameters if one.parent]
    used += [*tool.positional, *tool.inputs, *(name for name, _ in tool.modifies)]
    conditional: tuple[Output | Sentence, ...] = (*tool.outputs, *tool.success)
    conditions = [*(one.when for one in conditional), *(when for _, when in tool.modifies)]
    used += [name for when in conditions for one in when for name in one]
    used += [name for one in tool.outputs for name in re.findall(r"\{(\w+)\}", one.pattern)]
    if unknown := sorted(set(used) - names):
        raise ValueError(f"{', '.join(unknown)} is used but is not a parameter")
    if odd := [one.name for one in tool.outputs if one.kind not in ("fits", "rows", "text", "any")]:
        raise ValueError(f"the output {odd[0]} has an unknown kind")
    for sentence in tool.success:
        re.compile(sentence.text)
    if not tool.sources:
        raise ValueError("it names no source")


def _sentence(one: Mapping[str, Any]) -> Sentence:
    return Sentence(**dict(one) | {"when": _when(one.get("when"))})


def _when(when: Any) -> When:
    if when is None:
        return ()
    return tuple(dict(one) for one in (when if isinstance(when, list) else [when]))


def _only(table: dict[str, Any], names: list[str], path: Path) -> dict[str, Any]:
    if unknown := sorted(set(table) - set(names)):
        raise _broken(path, f"there is no key {unknown[0]!r}{did_you_mean(unknown[0], names)}")
    return table


class _Table:
    """Turns whatever goes wrong inside into an error about the table."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeyError | TypeError | ValueError | AttributeError | re.error) and not isinstance(
            error, ToolError
        ):
            raise _broken(self.path, str(error)) from error


def _broken(path: Path, why: str) -> ToolError:
    return ToolError("table", f"the table {path} cannot be used: {why}", remedy="correct it, or install daxa again")
