"""Real command lines are read, and made again from what was read, argument by argument."""

from __future__ import annotations

import warnings

import pytest

from daxa.backends.tools.command import arguments, complete, echo, make_call
from daxa.backends.tools.reading import read_suite, read_tool
from daxa.backends.tools.written_calls import parse_arguments, parse_echo
from daxa.errors import ToolError
from tests.backends.tools.golden import Line, command_lines, tokens_of

LOGGED = {"sas": ("22.1.0", "20.0.0")}


def releases_of(line: Line) -> tuple[str, ...]:
    return read_suite(line.suite).releases


def test_every_golden_line_is_made_again_from_what_was_read():
    """In the grammar of its suite, for at least one supported release, and from its values alone."""
    lines = command_lines()
    assert len(lines) >= 60
    for line in lines:
        if line.echoed:
            continue
        accepted, refused = [], []
        for release in releases_of(line):
            tokens = tokens_of(line, release)
            try:
                call = parse_arguments(read_tool(line.suite, line.tool), release, tokens)
            except ToolError as error:
                refused.append(f"{release}: {error}")
                continue
            accepted.append(release)
            assert arguments(call) == tokens, line.text
            plain = [f"{one.name}={one.value}" for one in call.given]
            required = [name for name, one in call.tool.at(release).items() if one.required]
            if set(required) <= set(call.values):
                rebuilt = make_call(call.tool, release, call.values, dict(call.options))
                assert set(plain) <= set(arguments(rebuilt)), line.text
                switches = set(arguments(rebuilt)) - set(plain)
                assert all(token.endswith("=yes") for token in switches), (line.text, switches)
        assert accepted, (line.text, refused)


def test_every_echo_of_a_log_follows_from_the_values_that_are_not_defaults():
    """All parameters of the release, in its order, with its defaults and quotation marks."""
    echoed = [line for line in command_lines() if line.echoed]
    assert len(echoed) >= 12
    for line in echoed:
        made = []
        for release in ("22.1.0", "20.0.0"):
            try:
                call = parse_echo(read_tool(line.suite, line.tool), release, line.text)
            except ToolError:
                continue
            assert_follows(line.text, call, release)
            made.append(release)
        assert made, line.text


def assert_follows(text: str, call, release: str) -> None:
    known = call.tool.at(release)
    own = {name: value for name, value in call.values.items() if known[name].default != value}
    # A switch that is off although a value below it was given had been written too.
    own |= {parent: call.values[parent] for name in own if (parent := known[name].parent) and parent not in own}
    again = complete(make_call(call.tool, release, own, dict(call.options)))
    unquoted = "fileglob=*.ccf" in text
    assert sorted(echo(again).split()) == sorted(text.split()) if unquoted else echo(again) == text, text


def test_every_call_that_sas_recorded_in_a_real_product_follows_from_its_values(real_data):
    from astropy.io import fits

    cards = 0
    for path in sorted((real_data / "xmm").rglob("*")):
        if not path.is_file() or path.suffix in (".reg", ".md"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = fits.getheader(path)
        if "XPROC0" not in header:
            continue
        text, _, made_by = header["XPROC0"].partition(" # ")
        release = made_by.rstrip("]").rpartition("-")[2]
        call = parse_echo(read_tool("sas", text.split()[0]), release, header["XPROC0"])
        assert list(call.values) == list(call.tool.at(release)), "all parameters, in the order of the table"
        assert_follows(text, call, release)
        cards += 1
    assert cards >= 12


@pytest.mark.parametrize(
    ("suite", "text", "values"),
    [
        ("ciao", ["e[energy=500:7000][bin time=::200]", "l", "op=ltc1", "clob+"], {"opt": "ltc1", "clobber": "yes"}),
        ("ciao", ["i.fits", "outfile=o.fits"], {"infile": "i.fits", "outfile": "o.fits"}),
        ("heasoft", ["clobber-", "infile=a.img+0"], {"clobber": "no", "infile": "a.img+0"}),
    ],
)  # fmt: skip
def test_shortened_names_signs_and_positions_are_read_and_written_alike(suite, text, values):
    tool = read_tool(suite, {"ciao": "dmextract", "heasoft": "uvotimsum"}[suite])
    call = parse_arguments(tool, read_suite(suite).releases[-1], text)
    assert values.items() <= call.values.items()
    assert arguments(call) == text
