"""How the tools read their arguments, written apart from daxa's own reading of them.

SAS has no files of parameters.  The others read the parameter file of the tool, put into it what the command line
says, write it, and take their values from what stands there then: two calls that share the file disturb each other.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

from daxa.backends.tools.tables import Parameter, Suite, Tool
from tests.stubs.install import parfile_line

TRUE, FALSE = ("yes", "y", "true", "t"), ("no", "n", "false", "f")


class RefusedError(Exception):
    """What the tool says when it cannot use its arguments."""


def read_sas(tool: Tool, release: str, argv: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Values and options of a task of SAS; a value switches its parents on unless they are given."""
    known = tool.at(release)
    given, options = {}, {}
    flags = {one.name: one.kind for one in tool.suite.options}
    while argv:
        token = argv.pop(0)
        if token in flags:
            options[token] = argv.pop(0) if flags[token] else ""
            continue
        name, equals, value = token.lstrip("-").partition("=")
        if not equals or name not in known:
            raise RefusedError(f"unknown parameter `{name}'")
        given[name] = _checked(tool.suite, known[name], value)
    for name in list(given):
        parent = known[name].parent
        while parent and parent not in given:
            given[parent] = "yes"
            parent = known[parent].parent
    values = {name: given.get(name, one.default or "") for name, one in known.items()}
    _need(known, values)
    return values, options


def read_parfile(tool: Tool, release: str, argv: list[str], slowly: float) -> dict[str, str]:
    """Values of a tool with a parameter file, after it was written to and read again."""
    user, system = _directories(tool.suite)
    place = user / f"{tool.name}.par"
    if not place.exists():
        source = next((one / place.name for one in system if (one / place.name).exists()), None)
        if source is None:
            raise RefusedError(f"{tool.name}.par: cannot find parameter file")
        shutil.copyfile(source, place)
    known = tool.at(release)
    values = _values_in(place)
    free = [name for name, one in known.items() if one.required] if not tool.positional else list(tool.positional)
    for token in argv:
        found = re.fullmatch(r"([A-Za-z_][\w-]*)(=|[+-](?=\Z))(.*)", token, re.DOTALL)
        if found is None:
            if not free:
                raise RefusedError(f"{tool.name}.par: too many arguments : {token}")
            values[free.pop(0)] = token
            continue
        name, sign, value = found.groups()
        if name == "mode":
            continue
        whole = [name] if name in known else [one for one in known if one.startswith(name)]
        if len(whole) != 1:
            what = "name not uniq" if whole else "not found"
            raise RefusedError(f"{tool.name}.par: parameter {what} : {name}")
        value = {"+": "yes", "-": "no"}.get(sign, value)
        values[whole[0]] = _checked(tool.suite, known[whole[0]], value)
    place.write_text("".join(parfile_line(one, values.get(name, "")) for name, one in known.items()))
    time.sleep(slowly)
    learned = _values_in(place)
    _need(known, learned)
    return learned


def _directories(suite: Suite) -> tuple[Path, list[Path]]:
    pfiles = os.environ.get("PFILES", "")
    if pfiles.count(";") != 1:
        found = pfiles.count(";")
        raise RefusedError(f"Expected the PFILES environment variable to contain 1 ';' character, but found {found}")
    user, _, system = pfiles.partition(";")
    if not user or not Path(user).is_dir():
        raise RefusedError(f"{suite.title}: cannot write parameter files to {user!r}")
    return Path(user), [Path(one) for one in system.split(":") if one]


def _values_in(place: Path) -> dict[str, str]:
    lines = (re.match(r'([^,]+),[^,]*,[^,]*,"([^"]*)"', line) for line in place.read_text().splitlines())
    return {found[1]: found[2] for found in lines if found}


def _need(known: dict[str, Parameter], values: dict[str, str]) -> None:
    missing = [name for name, one in known.items() if one.required and not values.get(name)]
    if missing:
        raise RefusedError(f"parameter `{missing[0]}' has no value")


def _checked(suite: Suite, one: Parameter, value: str) -> str:
    parts = (
        value.split(one.separator)
        if one.several and one.separator != " "
        else value.split()
        if one.several
        else [value]
    )
    for part in parts:
        if value in (one.default, "INDEF"):
            continue
        low = part.lower()
        good = {
            "flag": low in TRUE + FALSE,
            "integer": re.fullmatch(r"[+-]?\d+|0[xX][0-9a-fA-F]+", part) is not None,
            "real": re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", part) is not None,
            "choice": low in [choice.lower() for choice in one.choices] if suite.ignores_case else part in one.choices,
        }.get(one.kind, True)
        if not good:
            raise RefusedError(f"cannot convert parameter value : {one.name}")
    return value


def is_on(value: str) -> bool:
    """Whether a switch is on."""
    return value.lower() in TRUE
