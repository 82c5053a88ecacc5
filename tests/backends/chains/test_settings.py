"""Parameters of tools in params files: judged before anything runs, whatever release is installed."""

from __future__ import annotations

import pytest

from daxa.backends.chains.tool_settings import check_settings, own_parameters, tool_values
from daxa.backends.parameter_text import table_lines
from daxa.quantities import normalise
from tests.backends.chains.example import CHAIN


def faults(**table: object) -> list[tuple[str, str, str]]:
    return [(one.key, one.message, one.remedy) for one in check_settings("sas", CHAIN, normalise(table))]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"sas": {"gti": {"mingtisise": 1}}}, "has no parameter 'mingtisise'; did you mean mingtisize?"),
        ({"sas": {"gtis": {}}}, "there is no link 'gtis' in clean; did you mean gti?"),
        ({"sas": {"gti": 3}}, "sas.gti is not a table"),
        ({"sas": 3}, "3.0 cannot be used"),
        ({"sas": {"gti": {"table": "x.fits"}}}, "sas.gti: table is set by daxa"),
        ({"sas": {"gti": {"mingtisize": "long"}}}, "sas.gti: 'long' cannot be used for mingtisize"),
        ({"sas": {"curve": {"ximagesize": 2.5}}}, "sas.curve: 2.5 cannot be used for ximagesize"),
        ({"sas": {"curve": {"imagebinning": "size"}}}, "'size' cannot be used for imagebinning"),
        ({"skip": ["gtis"]}, "['gtis'] cannot be used"),
        ({"skip": "gti"}, "'gti' cannot be used"),
        ({"stop_after": "nothing"}, "'nothing' cannot be used"),
        ({"failing": "ignore"}, "'ignore' cannot be used"),
    ],
)  # fmt: skip
def test_what_a_tool_would_not_take_is_refused(table, words):
    (fault,) = faults(**table)
    assert words in fault[1]
    assert fault[2]


@pytest.mark.parametrize(
    ("link", "key", "value"),
    [
        *(("curve", "imageset", path) for path in ("/home/ada/.bashrc", "../../x", "~/x", "~ada/x", "a/../../x")),
        *(("curve", "imageset", path) for path in ("@/etc/x", "!/home/x", "a.fits(/home/x)", "ftp://x/y", "..", ":/x")),
        *(("curve", "timecolumn", text) for text in ("TIME;id", "a|sh", "a&b", "a>b", "`id`", "$(id)", 'a"b', "a'b")),
        *(("curve", "timecolumn", text) for text in ("x /home/a", "=/home/a", "../a", "~/a", "file://a", "\\x")),
        *(
            ("gti", "expression", text)
            for text in ("RATE < 1 $(id)", "RATE < `id`", 'RATE < 1" ; id "', "RATE >/home/x")
        ),
        # An expression has operators, but no end of a command; marks that turn a line around are seen by nobody.
        *(("gti", "expression", text) for text in ("RATE < 1; id", "RATE < 1\u2028id", "RATE < 1 \u202e)id(")),
    ],
)
def test_no_params_file_reaches_a_shell_or_a_file_elsewhere(link, key, value):
    """A params file may be a stranger's: tools write what a parameter names, and scripts paste texts into commands."""
    ((_, message, remedy),) = faults(sas={link: {key: value}})
    assert f"cannot be used for {key}" in message
    assert "write" in remedy


def test_what_a_tool_would_take_is_right():
    given = {"imageset": "out/image.fits:IMAGE", "expression": "(FLAG & 0x766b) == 0 && (PI/2 > 150 || RAWY /2 < 3)"}
    assert faults(sas={"curve": given}) == []
    assert faults(sas={"gti": {"mingtisize": 5, "expression": "RATE<=0.4"}, "curve": {"ximagesize": 600}}) == []
    assert faults(skip=["merge"], stop_after="gti", failing="leave out") == []


def test_the_values_of_a_call_are_the_plan_s_below_the_user_s():
    link = CHAIN.links[2]
    planned = {"table": "a.fits", "gtiset": "b.fits", "prefraction": 0.5}
    given = {"expression": "RATE < 1", "prefraction": 1.0, "table": "evil.fits"}
    assert tool_values("sas", link, "22.1", given, planned) == {
        "expression": "RATE < 1",
        "table": "a.fits",
        "gtiset": "b.fits",
        "prefraction": 1.0,
    }


def test_a_new_params_file_shows_how_tools_are_set():
    text = "\n".join(table_lines(own_parameters("sas", CHAIN)))
    assert '# sas = { filter = { expression = "PI > 300" } }' in text
    assert "skip = []" in text
