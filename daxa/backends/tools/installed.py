"""What an installation reports: its release, and the parameters of its tools.

An installation knows better than a table: of its own release it has all parameters, with their defaults and limits.
"""

from __future__ import annotations

import csv
import math
import re
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from daxa.backends.tools.container import Container, run_installed
from daxa.backends.tools.environment import Installation, search_path, system_parfiles
from daxa.backends.tools.reading import read_tool, tool_names
from daxa.backends.tools.tables import Kind, Parameter, Suite, Tool
from daxa.errors import DataError, ProgramError, ToolError
from daxa.files import open_plain

__all__ = ["built_on", "find_release", "installed_tool", "listed_parameters", "parse_parfile"]

_MOST = 1 << 20
"""Bytes of a parameter file; the longest real one has 40,000."""

_FEW = 2
"""Known names that a text must have to be a list of parameters, and not a message."""

_SECONDS = 120.0
"""In which a program reports its release; over a network, the first call may take half a minute."""

_KINDS: dict[str, Kind] = {"b": "flag", "i": "integer", "r": "real", "d": "real", "f": "file"}
_NAME = re.compile(r"[A-Za-z_][\w-]{0,63}", re.ASCII)


def find_release(suite: Suite, environ: Mapping[str, str], container: Container | None = None) -> str:
    """The release of a suite, as reported by its own program or seen in the path of its programs.

    Parameters
    ----------
    suite
        Which.
    environ
        What its set-up script gives.
    container
        Where it is, if it is not on this machine itself.

    Raises
    ------
    ProgramError
        Its programs cannot be found, or do not report their release.
    """
    installed = Installation(suite, "", environ, container)
    first = suite.version_command[0] if suite.version_command else tool_names(suite.name)[0]
    program = installed.program(first)
    if program is None:
        raise ProgramError(
            "absent",
            f"{first} of {suite.title} was not found",
            remedy=f"make sure that {suite.title} is installed, and name its set-up script in your "
            f'configuration: [backends.{suite.name}] init = ". /path/of/its/script"',
        )
    answer = program if container else str(Path(program).resolve())
    if suite.version_command:
        answer = _ask(installed, [program, *suite.version_command[1:]])
    found = re.search(suite.version_pattern, answer)
    if found is None:
        raise ProgramError(
            "release",
            f"{first} of {suite.title} does not report its release: {answer.strip()[:200]!r}",
            remedy=f"run {' '.join(suite.version_command) or first} by hand, and see whether {suite.title} is set up",
        )
    return found[1]


def built_on(installed: Installation) -> date | None:
    """The day on which a release was built, as far as its own program says.

    Parameters
    ----------
    installed
        The software.

    Returns
    -------
    date or None
        None for software that does not say.
    """
    command = installed.suite.version_command
    program = installed.program(command[0]) if command else None
    output = _ask(installed, [program, *command[1:]]) if program else ""
    found = re.search(r"(?:xmmsas_|-)(20\d\d)(\d\d)(\d\d)(?!\d)", output, re.ASCII)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def _ask(installed: Installation, argv: list[str]) -> str:
    """What a program that needs no files says."""
    known = (*installed.suite.environment, "PFILES")
    environ = {name: value for name, value in installed.environ.items() if name in known}
    environ["PATH"] = search_path(installed)
    with tempfile.TemporaryDirectory(prefix="daxa-release-") as name:
        place = Path(name).resolve()
        stdout, stderr = place / "stdout", place / "stderr"
        run_installed(
            installed.container,
            argv,
            cwd=place,
            environ=environ,
            stdout=stdout,
            stderr=stderr,
            seconds=_SECONDS,
            most_bytes=_MOST,
        )
        return "".join(one.read_text(encoding="utf-8", errors="replace") for one in (stdout, stderr))


def installed_tool(installed: Installation, name: str) -> Tool:
    """A tool with the parameters of this installation, and everything else from its table.

    If there is no parameter file, as for SAS, it is the table alone.

    Parameters
    ----------
    installed
        The software.
    name
        Of the tool.

    Raises
    ------
    ToolError
        There is no table of such a tool, or the parameter file cannot be read.
    """
    tool = read_tool(installed.suite.name, name)
    if installed.suite.grammar != "parfile":
        return tool
    for folder in system_parfiles(installed):
        path = Path(folder) / f"{name}.par"
        if path.is_file():
            return _with_parameters(tool, installed.release, path)
    return tool


def listed_parameters(installed: Installation, name: str) -> frozenset[str]:
    """The parameters that an installation itself lists for a tool.

    Parameters
    ----------
    installed
        The software.
    name
        Of the tool.

    Returns
    -------
    frozenset of str
        Empty where it lists none: there is no parameter file, or no task that answers ``-p`` with names.

    Raises
    ------
    ToolError
        There is no table of such a tool, or its parameter file cannot be read.
    """
    tool = installed_tool(installed, name)
    if installed.suite.grammar != "sas":
        return frozenset(tool.at(installed.release)) if tool.complete else frozenset()
    program = installed.program(name)
    output = _ask(installed, [program, "-p"]) if program else ""
    # What stands around the names differs from task to task: words that are set to something are taken.
    found = frozenset(re.findall(r"([A-Za-z]\w*)[ \t]*[=:]", output, re.ASCII))
    known = frozenset(one.name for one in tool.parameters)
    return found if len(found & known) >= min(_FEW, len(known)) else frozenset()


def _with_parameters(tool: Tool, release: str, path: Path) -> Tool:
    try:
        with open_plain(path.resolve(), limit=_MOST) as stream:
            text = stream.read().decode("utf-8", "replace")
        found = parse_parfile(text)
    except (OSError, ValueError, DataError) as error:
        raise ToolError(
            "table", f"the parameter file {path} cannot be read: {error}", remedy=f"install {tool.suite.title} again"
        ) from None
    known = tool.at(release)
    own = {one.name for one in found}
    merged = tuple(_merged(known[one.name], one, own) if one.name in known else one for one in found)
    positional = tuple(name for name in tool.positional if name in own)
    return replace(tool, parameters=merged, positional=positional, complete=True)


def _merged(known: Parameter, found: Parameter, own: Collection[str]) -> Parameter:
    """The installation's parameter, with what its file cannot say: there, a list of numbers is a text."""
    kind = known.kind if known.several or (found.kind == "text" and known.kind == "file") else found.kind
    return replace(
        found,
        kind=kind,
        required=known.required,
        unit=known.unit,
        several=known.several,
        separator=known.separator,
        parent=known.parent if known.parent in own else "",
    )


def parse_parfile(text: str) -> tuple[Parameter, ...]:
    """The parameters of a parameter file.

    Parameters
    ----------
    text
        Lines of name, type, mode, default, minimum or choices, maximum, and prompt; ``#`` begins a comment.

    Raises
    ------
    ValueError
        A line is not a parameter.

    Examples
    --------
    >>> parse_parfile('nsigma,r,h,3,0,,"Clip level"')[0].least
    0.0
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    parameters: dict[str, Parameter] = {}
    for line in lines:
        (fields,) = csv.reader([line], skipinitialspace=True)
        name = fields[0].strip()
        if len(fields) < 4 or not _NAME.fullmatch(name):
            raise ValueError(f"{line[:80]!r} is not a parameter")
        parameters[name] = _parameter(name, [field.strip() for field in fields[1:]])
    return tuple(parameters.values())


def _parameter(name: str, fields: Sequence[str]) -> Parameter:
    letter, _, default, least, most = (*fields, "", "", "", "", "")[:5]
    kind: Kind = _KINDS.get(letter[:1], "text")
    choices = tuple(filter(None, (one.strip() for one in least.split("|")))) if "|" in least else ()
    if choices:
        return Parameter(name, "choice", default, choices=choices)
    if kind in ("integer", "real"):
        return Parameter(name, kind, default, least=_limit(least, -math.inf), most=_limit(most, math.inf))
    return Parameter(name, kind, default)


def _limit(text: str, none: float) -> float:
    try:
        number = float(text)
    except ValueError:  # None, or a reference to another parameter.
        return none
    return number if math.isfinite(number) else none
