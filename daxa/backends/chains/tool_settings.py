"""Parameters of a chain: its own, and those of every tool in tables below the name of the suite.

``[clean.sas.espfilt] allowsigma = 2.5`` sets a parameter of the link ``espfilt`` in the step ``clean``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from daxa.backends.chains.declared import Chain, Link
from daxa.backends.parameter_schema import Parameter, ParameterProblem, read_parameters
from daxa.backends.tools.reading import read_tool
from daxa.backends.tools.tables import Parameter as ToolParameter
from daxa.backends.tools.tables import Tool
from daxa.backends.tools.values import check_given, check_value, write_value
from daxa.naming import did_you_mean, some

__all__ = ["FAILING", "check_settings", "own_parameters", "plain_value", "tool_values"]

FAILING = ("stop", "leave out")
"""What happens to an observation if one exposure fails: it fails, or is processed without that exposure."""


def own_parameters(suite: str, chain: Chain) -> tuple[Parameter, ...]:
    """The parameters that the table of a step may have, if a chain does it.

    Parameters
    ----------
    suite
        Name of its tables.
    chain
        Which.
    """
    names = tuple(link.name for link in chain.links)
    first = next((link for link in chain.links if link.defaults), chain.links[0])
    key, value = next(iter(first.defaults.items()), ("name", "value"))
    shown = "true" if value is True else "false" if value is False else f'"{value}"'
    table = Parameter(
        suite,
        "table",
        None,
        f"parameters of the tools {some(names, 12)}",
        example=f"{{ {first.name} = {{ {key} = {shown} }} }}",
        shown="comment",
    )
    skip = Parameter("skip", "words", (), "links to leave out", choices=names, example=f'["{names[-1]}"]')
    stop = Parameter("stop_after", "choice", None, "the last link", choices=names, shown="comment")
    words = "what happens to an observation if one of its exposures fails"
    failing = Parameter("failing", "choice", FAILING[0], words, choices=FAILING)
    return (*chain.parameters, skip, stop, failing, table)


def check_settings(suite: str, chain: Chain, table: Mapping[str, object]) -> Iterator[ParameterProblem]:
    """Everything that is wrong with the table of a step, whatever release of the software will run.

    Parameters
    ----------
    suite
        Name of its tables.
    chain
        Which.
    table
        Key to value, as `daxa.quantities.normalise` gives it.
    """
    values, faults = read_parameters(chain.step, own_parameters(suite, chain), table)
    yield from faults
    links = {link.name: link for link in chain.links}
    for name, given in (values[suite] or {}).items():
        where = f"{suite}.{name}"
        if name not in links:
            words = f"there is no link {name[:100]!r} in {chain.step}{did_you_mean(name, links)}"
            yield ParameterProblem(chain.step, suite, words, f"use {', '.join(links)}", "unknown-parameter")
        elif not isinstance(given, dict):
            words = f"{where} is not a table"
            yield ParameterProblem(chain.step, suite, words, f"write [{chain.step}.{where}]")
        else:
            for key, value in given.items():
                if problem := _check(suite, links[name], key, value):
                    word, words, remedy = problem
                    yield ParameterProblem(chain.step, suite, f"{where}: {words}", remedy, word)


def _check(suite: str, link: Link, key: str, value: object) -> tuple[str, str, str] | None:
    tool = read_tool(suite, link.tool)
    forms = [one for one in tool.parameters if one.name == key]
    known = tuple(dict.fromkeys(one.name for one in tool.parameters if one.name not in link.wired))
    if not forms:
        words = f"{tool.name} has no parameter {key[:100]!r}{did_you_mean(key, known)}"
        return "unknown-parameter", words, f"use one of {some(known, 12)}" if known else "leave it out"
    if key in link.wired:
        return "bad-parameter", f"{key} is set by daxa, which passes files from call to call", f"leave {key} out"
    problems = [_problem(tool, one, value) for one in forms]
    if key in link.refuses and not all(problems):
        problems = [link.refuses[key](value)]
    if all(problems):
        return "bad-parameter", f"{value!r:.100} cannot be used for {key}", f"{problems[-1]} for {key}"
    return None


def _problem(tool: Tool, parameter: ToolParameter, value: object) -> str:
    try:
        text = write_value(parameter, plain_value(parameter, value))
        return check_value(tool.suite, parameter, text) or check_given(parameter, text)
    except ValueError as error:
        return str(error)


def plain_value(parameter: ToolParameter, value: object) -> object:
    """A value of a params file, where every number has become a float, in the type that the tool's table has.

    Examples
    --------
    >>> plain_value(ToolParameter("elow", "integer"), 2500.0), plain_value(ToolParameter("smooth", "real"), 51.0)
    (2500, 51.0)
    """
    if isinstance(value, list):
        return [plain_value(parameter, one) for one in value]
    if isinstance(value, float) and value.is_integer() and parameter.kind != "real":
        return int(value)
    return value


def tool_values(
    suite: str, link: Link, release: str, given: Mapping[str, Any], planned: Mapping[str, object]
) -> dict[str, object]:
    """The values of a call: the user's, else those of the plan, else the defaults; wired ones are the plan's alone.

    Parameters
    ----------
    suite, link, release
        Whose tool it is.
    given
        The user's values, as a params file has them.
    planned
        Those of the plan.
    """
    tool = read_tool(suite, link.tool)
    known = tool.at(release)
    of_others = {one.name for one in tool.parameters} - set(known)
    defaults = {name: value for name, value in {**link.defaults, **planned}.items() if name not in of_others}
    wired = {name: value for name, value in planned.items() if name in link.wired}
    own = {name: plain_value(known[name], value) if name in known else value for name, value in given.items()}
    return {**defaults, **own, **wired}
