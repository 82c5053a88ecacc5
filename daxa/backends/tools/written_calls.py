"""Calls of tools, read back from their arguments and from the records of the tools themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from daxa.backends.tools.command import (
    Argument,
    Call,
    checked_options,
    checked_text,
    known_parameters,
    unknown_parameter,
)
from daxa.backends.tools.tables import Parameter, Tool
from daxa.errors import ToolError
from daxa.naming import some

__all__ = ["parse_arguments", "parse_echo"]

_NAMED = re.compile(r"([A-Za-z_][\w-]*)(=|[+-]\Z)(.*)", re.DOTALL | re.ASCII)
_ECHOED = re.compile(
    r"\s*(?:([A-Za-z_]\w*)=('[^']*'(?=\s|\Z)|\S*)|(-[A-Za-z])(?:\s+(?!-[A-Za-z](?:\s|\Z))(\S+))?)", re.ASCII
)
_PROVENANCE = re.compile(r"\s+#\s+\([\w.+-]+\)\s+\[[^\]]*\]\s*\Z")


def parse_echo(tool: Tool, release: str, line: str) -> Call:
    """The call in a line of `echo` or of a tool's own record (``XPROC0``, *Executing*).

    Such a line is not shell syntax: values without blanks have no quotation marks, whatever they contain.

    Raises
    ------
    ToolError
        It is not a call that this tool, in this release, would accept.
    """
    first, _, rest = _PROVENANCE.sub("", line.strip()).partition(" ")
    if first != tool.name:
        raise ToolError(
            "parse", f"this is not a call of {tool.name}: {line[:100]!r}", remedy="give a line of this tool"
        )
    known, given, options, at = known_parameters(tool, release), [], {}, 0
    while found := _ECHOED.match(rest, at):
        name, value, option, setting = found.groups()
        if option:
            options[option] = setting if setting is not None else True
        elif name not in known:
            raise unknown_parameter(tool, release, name)
        else:
            plain = value[1:-1] if len(value) > 1 and value[0] == value[-1] == "'" else value
            given.append(Argument(name, checked_text(tool, known[name], plain)))
        at = found.end()
    if rest[at:].strip():
        raise ToolError("parse", f"{tool.name} cannot read {rest[at:][:100]!r}", remedy="give parameters as name=value")
    return Call(tool, release, tuple(_once(tool, given)), checked_options(tool, options))


def parse_arguments(tool: Tool, release: str, tokens: Sequence[str]) -> Call:
    """The call for a list of arguments, with the form of each.

    Parameters
    ----------
    tool, release
        Whose grammar and parameters apply.
    tokens
        What follows the name of the program, as a shell would pass it.

    Raises
    ------
    ToolError
        The tool would refuse it.

    Examples
    --------
    >>> from daxa.backends.tools.command import arguments
    >>> from daxa.backends.tools.reading import read_tool
    >>> call = parse_arguments(read_tool("ciao", "dmextract"), "4.18", ["evt.fits", "lc.fits", "op=ltc1", "clob+"])
    >>> call.values
    {'infile': 'evt.fits', 'outfile': 'lc.fits', 'opt': 'ltc1', 'clobber': 'yes'}
    >>> arguments(call)
    ['evt.fits', 'lc.fits', 'op=ltc1', 'clob+']
    """
    known = known_parameters(tool, release)
    free = iter(tool.positional if tool.suite.covers(tool.positional_since, "", release) else ())
    given: list[Argument] = []
    options: dict[str, object] = {}
    flags = {one.name: one.kind for one in tool.suite.options}
    rest = list(tokens)
    while rest:
        token = rest.pop(0)
        named = _NAMED.fullmatch(token)
        if token.startswith("-") and token in flags:
            options[token] = rest.pop(0) if flags[token] and rest else True
        elif named is None:
            name = next(free, "")
            if not name or any(one.form != "bare" for one in given):
                raise ToolError(
                    "parse", f"{tool.name} cannot read {token[:100]!r}", remedy="give parameters as name=value"
                )
            given.append(Argument(name, checked_text(tool, known[name], token), "bare"))
        else:
            written, sign, value = named.groups()
            name = _whole_name(tool, release, known, written)
            form: Literal["name", "sign"] = "name"
            if sign != "=":
                form, value = "sign", "yes" if sign == "+" else "no"
            text = checked_text(tool, known[name], value)
            given.append(Argument(name, text, form, written if written != name else ""))
    return Call(tool, release, tuple(_once(tool, given)), checked_options(tool, options))


def _whole_name(tool: Tool, release: str, known: Mapping[str, Parameter], written: str) -> str:
    if written in known:
        return written
    longer = [name for name in known if name.startswith(written)] if tool.suite.grammar == "parfile" else []
    if len(longer) > 1:
        raise ToolError(
            "parameter",
            f"{written!r} may be several parameters of {tool.name}: {some(longer, 8)}",
            remedy="write the whole name",
        )
    if not longer:
        raise unknown_parameter(tool, release, written)
    return longer[0]


def _once(tool: Tool, given: list[Argument]) -> list[Argument]:
    names = [one.name for one in given]
    if twice := [name for at, name in enumerate(names) if name in names[:at]]:
        raise ToolError("parse", f"{tool.name} is given {twice[0]} twice", remedy=f"give {twice[0]} once")
    return given
