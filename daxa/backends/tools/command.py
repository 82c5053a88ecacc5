"""Calls of tools: from values to a list of arguments in the suite's grammar."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal

from daxa.backends.tools.tables import Parameter, Tool
from daxa.backends.tools.values import check_value, read_value, write_value
from daxa.errors import ToolError
from daxa.naming import some

__all__ = [
    "Argument",
    "Call",
    "arguments",
    "checked_options",
    "checked_text",
    "complete",
    "echo",
    "known_parameters",
    "make_call",
    "shell_line",
    "unknown_parameter",
]


@dataclass(frozen=True)
class Argument:
    """One argument of a call.

    Parameters
    ----------
    name
        The parameter.
    value
        Its text, without shell quotes.
    form
        How it is written: with its ``name``, ``bare`` by its position, or as a ``sign`` after the name (``clobber+``).
    written
        The name as it is written, if abbreviated; '' for the whole name.
    """

    name: str
    value: str
    form: Literal["name", "bare", "sign"] = "name"
    written: str = ""

    @property
    def token(self) -> str:
        """The argument as the program receives it."""
        name = self.written or self.name
        if self.form == "bare":
            return self.value
        return f"{name}{'+' if self.value == 'yes' else '-'}" if self.form == "sign" else f"{name}={self.value}"


@dataclass(frozen=True)
class Call:
    """A call of a tool whose arguments the tool would accept.

    Parameters
    ----------
    tool
        Which.
    release
        Of its suite.
    given
        Its arguments, in order.
    options
        Options of the suite with their values, such as ``("-V", "4")``.
    """

    tool: Tool
    release: str
    given: tuple[Argument, ...] = ()
    options: tuple[tuple[str, str], ...] = ()

    @property
    def values(self) -> dict[str, str]:
        """The given parameters: name to text."""
        return {one.name: one.value for one in self.given}

    def value(self, name: str) -> str:
        """The text of a parameter: the given one, or the default ('' if unknown)."""
        parameter = self.tool.at(self.release).get(name)
        return self.values.get(name, (parameter.default if parameter else None) or "")

    def read(self, name: str) -> object:
        """The value of a parameter in Python."""
        return read_value(self.tool.at(self.release)[name], self.value(name))


def make_call(
    tool: Tool, release: str, values: Mapping[str, object], options: Mapping[str, object] | None = None
) -> Call:
    """A call with these values, in the order of the tool's table.

    A switch that a value needs is added if it is not given.

    Parameters
    ----------
    tool
        Which.
    release
        That of its suite, such as ``22.1.0``.
    values
        Parameter to value: texts, numbers, True and False, or lists of them.
    options
        Options of the suite, with their dash; True for those without a value.

    Raises
    ------
    ToolError
        The tool would refuse it: unknown parameter, wrong type, choice or release, or a missing value.

    Examples
    --------
    >>> from daxa.backends.tools.reading import read_tool
    >>> arguments(make_call(read_tool("sas", "espfilt"), "22.1", {"eventfile": "m1.fits", "ootfile": "o.fits"}))
    ['eventfile=m1.fits', 'withoot=yes', 'ootfile=o.fits']
    """
    known = known_parameters(tool, release)
    for name in values:
        if name not in known:
            raise unknown_parameter(tool, release, name)
    given = [Argument(name, checked_text(tool, known[name], values[name])) for name in known if name in values]
    if tool.suite.omits_empty:
        given = [one for one in given if one.value or known[one.name].default]
    given = _with_switches(known, given)
    own = {one.name for one in given if one.value}
    if missing := [name for name, one in known.items() if one.required and name not in own]:
        raise ToolError(
            "missing", f"{tool.name} needs a value for {', '.join(missing)}", remedy=f"give {missing[0]} a value"
        )
    return Call(tool, release, tuple(given), checked_options(tool, options or {}))


def known_parameters(tool: Tool, release: str) -> dict[str, Parameter]:
    """The parameters of a tool in a release.

    Raises
    ------
    ToolError
        The release has no such tool, or there is no such release.
    """
    suite = tool.suite
    try:
        if suite.covers(tool.since, tool.until, release):
            return tool.at(release)
    except ValueError:
        raise ToolError(
            "version",
            f"{release[:40]!r} is not a release of {suite.title}",
            remedy=f"give one such as {suite.releases[-1]}",
        ) from None
    raise ToolError(
        "version",
        f"{suite.title} {release} has no {tool.name}: it exists {_span(tool.since, tool.until)}",
        remedy=f"leave this tool out, or install a release of {suite.title} that has it",
    )


def _span(since: str, until: str) -> str:
    return " ".join(f"{word} {release}" for word, release in (("since", since), ("until", until)) if release)


def unknown_parameter(tool: Tool, release: str, name: str) -> ToolError:
    """The error for a parameter that a tool, or this release of it, does not have; the nearest names are its remedy."""
    others = [one for one in tool.parameters if one.name == name]
    known = list(tool.at(release))
    if others:
        spans = " and ".join(_span(one.since, one.until) for one in others)
        return ToolError(
            "version",
            f"{tool.name} has the parameter {name} only {spans}, not in {tool.suite.title} {release}",
            remedy=f"leave {name} out, or install such a release",
        )
    near = get_close_matches(name.lower(), [one.lower() for one in known], n=3)
    meant = [one for one in known if one.lower() in near]
    guess = f"; did you mean {' or '.join(meant)}?" if meant else ""
    rest = "" if tool.complete else "; this table is not complete, since no release was available to list them all"
    return ToolError(
        "parameter",
        f"{tool.name} has no parameter {name[:100]!r}{guess}",
        remedy=f"use one of {some(known, 12)}{rest}" if known else f"{tool.name} takes no parameters",
    )


def checked_text(tool: Tool, parameter: Parameter, value: object) -> str:
    """A value as the tool reads it.

    Raises
    ------
    ToolError
        The tool would refuse it.
    """
    try:
        text = write_value(parameter, value)
        problem = check_value(tool.suite, parameter, text)
    except ValueError as error:
        text, problem = repr(value), str(error)
    if problem:
        shown = text if len(text) <= 100 else f"{text[:100]}..."
        raise ToolError(
            "choice" if parameter.kind == "choice" else "type",
            f"{tool.name} cannot take {shown!r} for {parameter.name}",
            remedy=f"{problem} for {parameter.name}",
        )
    return text


def _with_switches(known: Mapping[str, Parameter], given: list[Argument]) -> list[Argument]:
    values = {one.name: one.value for one in given}
    for one in given:
        parent = known[one.name].parent
        while parent and parent not in values:
            values[parent] = "yes"
            parent = known[parent].parent
    own = {one.name: one for one in given}
    return [own.get(name, Argument(name, values[name])) for name in known if name in values]


def checked_options(tool: Tool, options: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Options of the suite with their texts, '' for those without a value.

    Raises
    ------
    ToolError
        The suite has no such option, or not with this value.
    """
    kinds = {one.name: one.kind for one in tool.suite.options}
    checked = []
    for name, value in options.items():
        kind = kinds.get(name)
        if kind is None:
            raise ToolError(
                "option",
                f"tools of {tool.suite.title} have no option {name[:40]!r}",
                remedy=f"use one of {', '.join(kinds)}" if kinds else "leave it out",
            )
        text = "" if value is True and kind == "" else checked_text(tool, Parameter(name, kind or "text"), value)
        if (text == "") != (kind == ""):
            raise ToolError(
                "option",
                f"the option {name} cannot have the value {text!r}",
                remedy=f"give {name} {'no' if kind == '' else 'a'} value",
            )
        checked.append((name, text))
    return tuple(checked)


def arguments(call: Call, *, batch: bool = False) -> list[str]:
    """The arguments of a call, each as the program receives it: nothing is quoted, as there is no shell.

    Parameters
    ----------
    call
        Which.
    batch
        Whether to add the arguments that keep the tool from asking questions.
    """
    tokens = [one.token for one in call.given]
    tokens += [part for option in call.options for part in option if part]
    if batch and call.tool.batch:
        tokens += [token for token in call.tool.suite.batch if token.partition("=")[0] not in call.values]
    return tokens


def shell_line(call: Call) -> str:
    """The call as a line for a shell.

    Examples
    --------
    >>> from daxa.backends.tools.reading import read_tool
    >>> shell_line(make_call(read_tool("sas", "tabgtigen"), "22.1", {"table": "lc", "expression": "RATE <= 0.4"}))
    "tabgtigen table=lc 'expression=RATE <= 0.4'"
    """
    return shlex.join([call.tool.name, *arguments(call)])


def complete(call: Call) -> Call:
    """The call with all parameters of its release, defaults included, as the tool itself records it."""
    own = call.values
    whole = [
        Argument(name, own.get(name, one.default or ""))
        for name, one in call.tool.at(call.release).items()
        if name in own or one.default is not None
    ]
    return replace(call, given=tuple(whole))


def echo(call: Call) -> str:
    """A call as SAS tools print and record it: values with blanks, and empty ones, in quotation marks.

    Examples
    --------
    >>> from daxa.backends.tools.reading import read_tool
    >>> echo(make_call(read_tool("sas", "tabgtigen"), "22.1", {"table": "lc", "expression": "RATE <= 1"}, {"-V": 4}))
    "tabgtigen table=lc expression='RATE <= 1'  -V 4"
    """
    parts = [
        f"{one.name}='{one.value}'" if not one.value or re.search(r"\s", one.value) else one.token for one in call.given
    ]
    options = " ".join(part for option in call.options for part in option if part)
    return " ".join([call.tool.name, *parts]) + (f"  {options}" if options else "")
