"""What tools wrote of their own calls into real products: every name and value is one that the tables know."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from astropy.io import fits

from daxa.backends.tools.command import arguments, make_call
from daxa.backends.tools.reading import read_tool, tool_names
from daxa.backends.tools.written_calls import parse_arguments

_CIAO_LINE = re.compile(r"\s*(TOOL|PARM|CONT)\s*:(.*?)\s*(?:ASC\d+)?\s*\Z")
_ESASS = re.compile(r"TASK:(\w+) (\S.*?) PARAMS:(.*?)(?= CALIB:|\s*\*\*\*\*|\Z)", re.DOTALL)


def headers(folder: Path) -> Iterator[fits.Header]:
    for path in sorted(folder.rglob("*")):
        if (
            path.is_file()
            and re.search(r"\.(fits|fit|evt|img|pi|expmap)(\.gz)?\Z", path.name)
            and path.stat().st_size < 40e6
        ):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    with fits.open(path) as parts:
                        yield from [part.header for part in parts]
                except (OSError, TypeError, ValueError):
                    continue


def esass_calls(folder: Path) -> set[tuple[str, str, str]]:
    """Tool, its own version, and parameters."""
    found = set()
    for header in headers(folder):
        for card in {card for card in header if card.startswith("SASSHIST")}:
            found |= {match.groups() for match in _ESASS.finditer(str(header[card]))}
    return found


def test_calls_that_esass_recorded_hold_exactly_the_parameters_of_the_tables(real_data):
    compared = set()
    for name, version, told in esass_calls(real_data / "erosita"):
        if name not in tool_names("esass"):
            continue
        # Releases for users bear dates; that of December 2021 became the one of DR1.
        release = "eSASS4EDR" if "201009" in version else "eSASS4DR1"
        tool = read_tool("esass", name)
        known = tool.at(release)
        # Some values have blanks and no marks; a name that stands twice has the same value both times.
        pieces = re.split(rf"\s*\b({'|'.join(known)})=", told)
        values = {one: value.strip().strip('"') for one, value in zip(pieces[1::2], pieces[2::2], strict=True)}
        assert not pieces[0], told
        assert set(values) == set(known), (name, release)
        given = [f"{one}={value}" for one, value in values.items()]
        assert arguments(parse_arguments(tool, release, given)) == given
        own = {one: value for one, value in values.items() if value != ""}
        assert make_call(tool, release, own).values == own | {
            one: value for one, value in values.items() if value == "" and known[one].default
        }
        compared.add((name, release))
    assert {
        ("evtool", "eSASS4EDR"),
        ("evtool", "eSASS4DR1"),
        ("srctool", "eSASS4EDR"),
        ("srctool", "eSASS4DR1"),
    } <= compared


def ciao_calls(folder: Path) -> list[tuple[str, str, dict[str, str]]]:
    """Tool, date and parameters, with values put together that go over several cards."""
    calls: list[tuple[str, str, dict[str, str]]] = []
    for header in headers(folder):
        name = ""
        for line in map(str, header.get("HISTORY", [])):
            found = _CIAO_LINE.fullmatch(line)
            if not found:
                continue
            kind, text = found.groups()
            if kind == "TOOL":
                calls.append((text.split()[0], text.split()[1] if len(text.split()) > 1 else "", {}))
            elif calls and kind == "PARM":
                name, equals, value = text.partition("=")
                if not (equals and re.fullmatch(r"\w+", name)):  # Versions and files of a library.
                    name = ""
                    continue
                calls[-1][2][name] = value
            elif calls and name:
                calls[-1][2][name] += text
    return calls


@pytest.fixture(scope="module")
def recorded(real_data) -> list[tuple[str, str, dict[str, str]]]:
    return ciao_calls(real_data / "chandra")


def test_calls_that_ciao_recorded_are_accepted(recorded):
    """Those of recent releases; older ones had other parameters."""
    checked: dict[str, int] = {}
    for name, date, values in recorded:
        if name not in tool_names("ciao") or not re.match(r"202\d-", date):
            continue
        tool = read_tool("ciao", name)
        given = [f"{one}={value}" for one, value in values.items()]
        assert arguments(parse_arguments(tool, "4.18", given)) == given, (name, date)
        checked[name] = checked.get(name, 0) + 1
        if date.startswith("2025"):  # By CIAO 4.16, as the headers say.
            assert set(values) == set(tool.at("4.16")) - {"mode"}, (name, date)
    assert {"chandra_repro", "dmcopy", "acis_process_events", "tg_resolve_events"} <= set(checked), checked


def heasoft_calls(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Tool with its version, and parameters, each of which may go over several cards with the same number."""
    for header in headers(folder):
        tool, values, last = "", {}, ("", "")
        for line in map(str, header.get("HISTORY", [])):
            if started := re.match(r"START PARAMETER list for (\S+)", line):
                tool, values, last = started[1], {}, ("", "")
            elif line.startswith("END PARAMETER list") and tool:
                yield tool, values
                tool = ""
            elif tool and (found := re.fullmatch(r"P(\d+) (.*)", line)):
                number, text = found.groups()
                if number == last[0]:
                    values[last[1]] += text
                else:
                    name, _, value = text.partition(" = ")
                    values[name.strip()] = value
                    last = (number, name.strip())


def test_calls_that_heasoft_recorded_hold_exactly_the_parameters_of_the_table(real_data):
    checked = 0
    for told, values in heasoft_calls(real_data / "nustar"):
        name, _, version = told.rpartition("_")
        if name != "nuscreen" or not version.startswith("0.1."):
            continue
        tool = read_tool("heasoft", name)
        given = [f"{one}={value.strip().strip(chr(34))}" for one, value in values.items()]
        call = parse_arguments(tool, "6.20", given)
        assert arguments(call) == given
        assert list(call.values) == list(tool.at("6.20")), "all of them, in the order of the parameter file"
        checked += 1
    assert checked >= 2
