"""The tables agree with parameter lists that were read from real releases, and so do all arguments made from them."""

from __future__ import annotations

import json
import re

import pytest

from daxa.backends.tools.command import arguments, make_call
from daxa.backends.tools.reading import read_suite, read_tool, suite_names, tool_names
from daxa.backends.tools.values import check_value, split_value
from daxa.backends.tools.written_calls import parse_arguments
from tests.backends.tools.golden import facts

KINDS = {"b": "flag", "i": "integer", "r": "real", "d": "real", "s": "text", "f": "file", "fr": "text"}
PARFILES = {
    "ciao-tools-par-facts": ("ciao", "4.18"),
    "ciao-scripts-par-facts": ("ciao", "4.18"),
    "heasoft-6.20-par-facts": ("heasoft", "6.20"),
}


def rows(name: str) -> dict[str, list[list]]:
    """Tool to rows of name, type, mode, default, minimum or choices, maximum."""
    tasks = json.loads((facts() / "tools" / f"{name}.json").read_text())["tasks"]
    tasks = {tool: task["params"] if isinstance(task, dict) else task for tool, task in tasks.items()}
    return {tool: [(row + [None] * 6)[:6] for row in task] for tool, task in tasks.items()}


def choices_of(least) -> list[str]:
    if isinstance(least, list):
        return [str(one) for one in least]
    return [one.strip() for one in least.split("|")] if isinstance(least, str) and "|" in least else []


def default_of(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


@pytest.mark.parametrize("source", PARFILES)
def test_parameter_files_and_tables_hold_the_same(source):
    suite, release = PARFILES[source]
    compared = 0
    for tool, known in rows(source).items():
        if tool not in tool_names(suite):
            continue
        table = read_tool(suite, tool).at(release)
        assert list(table) == [row[0] for row in known], tool
        for name, kind, _, default, least, most in known:
            own = table[name]
            choices = choices_of(least)
            assert own.choices == tuple(one for one in choices if one), (tool, name)
            assert own.required or own.default == default_of(default), (tool, name)
            assert own.kind == ("choice" if choices else KINDS[kind]) or own.several, (tool, name)
            if not choices and kind in "ird":
                assert [own.least, own.most] == [
                    float(limit) if re.fullmatch(r"[-+\d.eE]+", str(limit)) else infinite
                    for limit, infinite in ((least, -float("inf")), (most, float("inf")))
                ], (tool, name)
        assert read_tool(suite, tool).positional == tuple(row[0] for row in known if row[2] == "a"), tool
        compared += 1
    assert compared >= 3


def sas_lists() -> dict[tuple[str, str], dict[str, list[str]]]:
    """Tool and release to parameter to values that were seen, the most frequent first."""
    tables = facts() / "tools"
    printed = json.loads((tables / "sas-22.1.0-par-facts.json").read_text())["tasks"]
    lists = {
        (tool, "22.1.0"): {name: [value for value, _ in seen] for name, seen in task.items()}
        for tool, task in printed.items()
    }
    for tool, releases in json.loads((tables / "sas-par-facts-from-XPROC.json").read_text())["tasks"].items():
        for told, record in releases.items():
            release = told.rstrip("]").rpartition("-")[2]
            lists[tool, release] = {name: [value] for name, value in record["params"].items()}
    return lists


def test_the_tables_of_sas_hold_what_sas_printed_and_recorded():
    lists = sas_lists()
    assert len(lists) >= 14
    for (tool, release), known in lists.items():
        table = read_tool("sas", tool).at(release)
        assert list(table) == list(known), (tool, release)
        for name, seen in known.items():
            assert not [value for value in seen if check_value(read_suite("sas"), table[name], value)], (tool, name)
            if release == "22.1.0" and table[name].default is not None:
                assert table[name].default in [*seen, "filtered.fits", "notSpecified", "response.ds"], (tool, name)


def allowed(row: list, value: str) -> bool:
    """Whether a parameter file lets this value through: written again here, from the file's rows alone."""
    _, kind, _, default, least, most = row
    if value == default_of(default):
        return True
    if choices := choices_of(least):
        return value.lower() in [one.lower() for one in choices]
    if kind == "b":
        return value in ("yes", "no")
    if kind not in "ird":
        return True
    number = float(value)
    low, high = (float(limit) if str(limit or "").strip() else None for limit in (least, most))
    return (
        (kind != "i" or number == int(number)) and (low is None or low <= number) and (high is None or number <= high)
    )


def a_value(parameter) -> object:
    """Something of the right kind that is not the default."""
    number = max(parameter.least, min(parameter.most, 1))
    return {
        "flag": parameter.default != "yes",
        "integer": int(number),
        "real": float(number),
        "choice": ("", *parameter.choices)[-1],
        "text": "word",
        "file": "input.fits",
    }[parameter.kind]


def test_arguments_made_from_tables_are_accepted_by_every_real_parameter_list():
    parfiles = {(*PARFILES[source], tool): known for source in PARFILES for tool, known in rows(source).items()}
    printed = sas_lists()
    checked = 0
    for suite in suite_names():
        for name in tool_names(suite):
            tool = read_tool(suite, name)
            for release in read_suite(suite).releases:
                if not tool.suite.covers(tool.since, tool.until, release):
                    continue
                values = {one: a_value(parameter) for one, parameter in tool.at(release).items()}
                tokens = arguments(make_call(tool, release, values))
                assert arguments(parse_arguments(tool, release, tokens)) == tokens
                pairs = dict(token.split("=", 1) for token in tokens)
                if known := parfiles.get((suite, release, name)):
                    assert list(pairs) == [row[0] for row in known]
                    refused = [row[0] for row in known if not allowed(row, pairs[row[0]])]
                    assert not refused, (suite, name, refused)
                    checked += 1
                for (other, patch), seen in printed.items():
                    if suite == "sas" and other == name and patch.startswith(release):
                        assert list(pairs) == list(seen)
                        assert all(
                            (pairs[one] in ("yes", "no")) == (value[0] in ("yes", "no")) for one, value in seen.items()
                        )
                        checked += 1
    assert checked >= 45


def test_lists_are_split_as_they_are_joined():
    scales = read_tool("ciao", "wavdetect").at("4.18")["scales"]
    assert split_value(scales, "1 2  4") == ["1", "2", "4"]
