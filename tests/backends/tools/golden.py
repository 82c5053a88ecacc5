"""Command lines that were really run or that the makers document, as the collected facts hold them."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from daxa.backends.tools.reading import read_tool, tool_names
from daxa.backends.tools.tables import Parameter

SUITES = {"1": "sas", "2": "esass", "3": "ciao", "4": "heasoft"}
_TEXT = re.compile(r"<(?:[A-Za-z][^<>=]*|\.\.)>")


def facts() -> Path:
    """The directory of facts beside the real data; who needs it skips where it is absent."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    place = Path(os.environ.get("DAXA_TEST_DATA", beside)).parent / "facts"
    if not (place / "tools").is_dir():
        pytest.skip("no facts about tools: set DAXA_TEST_DATA to the directory of real data, with facts beside it")
    return place


@dataclass(frozen=True)
class Line:
    """One command line, with the suite and the kind of evidence."""

    suite: str
    kind: str
    text: str

    @property
    def tool(self) -> str:
        return self.text.split()[0]

    @property
    def echoed(self) -> bool:
        """Whether a tool printed it, so that no shell could read it."""
        return self.kind == "log" or "*.ccf|*.CCF" in self.text


def command_lines() -> list[Line]:
    """All of them, in the order of the collection."""
    lines, suite, kind, inside = [], "", "", False
    for row in (facts() / "software" / "golden-commands.md").read_text().splitlines():
        if heading := re.match(r"#{2,3} (\d)(?:\.\d)?\.?\s*(\[\w+\])?", row):
            suite, kind = SUITES.get(heading[1], ""), (heading[2] or "").strip("[]")
        elif row.startswith("```"):
            inside = not inside
        elif inside and row.strip():
            lines.append(Line(suite, kind, re.sub(r"\s+\(id \d+\)$", "", row.strip())))
        elif not inside and (told := re.search(r"\[(log|doc|user)\]", row)):
            kind = told[1]
    assert {line.suite for line in lines} == set(SUITES.values())
    return lines


def tokens_of(line: Line, release: str) -> list[str]:
    """The arguments of a line, with values of the right type in place of what the collection left out."""
    tool = read_tool(line.suite, line.tool) if line.tool in tool_names(line.suite) else None
    known = tool.at(release) if tool else {}
    text = _TEXT.sub(lambda found: found[0].replace(" ", "_"), line.text)
    given = [one for one in shlex.split(text)[1:] if one != ".."]
    return [_filled(one, known) for one in given]


def _filled(token: str, known: dict[str, Parameter]) -> str:
    name, _, value = token.partition("=")
    parameter = known.get(name)
    if parameter and _TEXT.fullmatch(value):
        value = {"integer": "1", "real": "0.5", "flag": "no", "choice": (*parameter.choices, "")[0]}.get(
            parameter.kind, value
        )
        token = f"{name}={value}"
    return _TEXT.sub(lambda found: re.sub(r"\W", "_", found[0].strip("<>")), token)
