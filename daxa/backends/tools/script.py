"""The same calls as a plain shell script, to repeat a processing without daxa."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from daxa.backends.tools.command import Call, arguments
from daxa.errors import ToolError

__all__ = ["shell_script"]


def shell_script(calls: Sequence[tuple[Call, Mapping[str, str]]], *, title: str) -> str:
    r"""A script for ``sh`` that makes the same calls, in a shell in which the software is set up.

    It stops at the first tool that ends with a status other than 0, but does none of daxa's other checks.

    Parameters
    ----------
    calls
        Calls of one suite and release in their order, each with its own variables.
    title
        What it does, in one line.

    Raises
    ------
    ToolError
        There are no calls, they are of several suites or releases, or a variable is not one of the suite's.

    Examples
    --------
    >>> from daxa.backends.tools.command import make_call
    >>> from daxa.backends.tools.reading import read_tool
    >>> call = make_call(read_tool("sas", "tabgtigen"), "22.1", {"table": "lc", "expression": "RATE <= 0.4"})
    >>> shell_script([(call, {"SAS_CCF": "ccf.cif"})], title="Good times").splitlines()[-1]
    "SAS_CCF=ccf.cif tabgtigen table=lc 'expression=RATE <= 0.4'"
    """
    kinds = {(call.tool.suite.name, call.release) for call, _ in calls}
    if len(kinds) != 1:
        raise ToolError(
            "script",
            f"{len(kinds)} suites or releases cannot be in one script",
            remedy="write a script for each of them",
        )
    suite, release = calls[0][0].tool.suite, calls[0][0].release
    fixed = [f"export {name}={shlex.quote(value)}" for name, value in (suite.fixed or {}).items()]
    lines = [
        "#!/bin/sh",
        f"# {' '.join(title.split())}",
        f"# With {suite.title} {release}, set up in this shell before.",
        "set -eu",
        *fixed,
    ]
    if suite.parfiles:
        lines += [
            "# Parameter files of its own, so that other calls at the same time do not disturb these.",
            'mkdir -p pfiles && system="${PFILES:-}" && export PFILES="$PWD/pfiles;${system#*;}"',
        ]
    lines += [f'export {name}="${{TMPDIR:-/tmp}}"' for name in suite.temporary]
    return "\n".join([*lines, "", *(_line(call, own) for call, own in calls)]) + "\n"


def _line(call: Call, own: Mapping[str, str]) -> str:
    if unknown := sorted(set(own) - set(call.tool.suite.environment)):
        raise ToolError(
            "variable", f"{call.tool.suite.title} has no variable {unknown[0][:100]!r}", remedy="leave it out"
        )
    variables = [f"{name}={shlex.quote(value)}" for name, value in sorted(own.items())]
    return " ".join([*variables, shlex.join([call.tool.name, *arguments(call, batch=True)])])
