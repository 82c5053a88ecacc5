"""What a tool would refuse is an error before it runs, with the names that may have been meant."""

from __future__ import annotations

import doctest
import pickle
from pathlib import Path

import pytest

from daxa.backends.tools.command import arguments, echo, make_call, shell_line
from daxa.backends.tools.reading import load_tool, read_suite, read_tool, suite_names, tool_names
from daxa.backends.tools.written_calls import parse_arguments, parse_echo
from daxa.errors import ConfigError, ToolError

ROOT = Path(__file__).parents[3]
IMAGE = {"table": "e.fits", "imageset": "i.fits"}


def refusal(suite: str, tool: str, release: str, values: dict, options: dict | None = None) -> ToolError:
    with pytest.raises(ToolError) as caught:
        make_call(read_tool(suite, tool), release, values, options)
    assert caught.value.remedy
    assert isinstance(caught.value, ConfigError), "it stops a stage before any work"
    return caught.value


@pytest.mark.parametrize(
    ("called", "values", "code", "told"),
    [
        ("sas evselect 22.1", {**IMAGE, "imagset": "i"}, "tool.parameter", "did you mean imageset"),
        ("sas evselect 22.1", {**IMAGE, "ximagebinsze": 2}, "tool.parameter", "ximagebinsize or yimagebinsize"),
        ("sas evselect 14.0", {**IMAGE, "nonStandardSpec": True}, "tool.version", "only since 20.0, not"),
        ("sas espfilt 22.1", {"withlongnames": True}, "tool.version", "only since 20.0 until 20"),
        ("sas espfilt 18.0", {"eventset": "e", "allowsigma": 3}, "tool.version", "allowsigma only since 20.0"),
        ("sas espfilt 22.1", {"eventset": "e"}, "tool.version", "eventset only until 19"),
        ("sas emanom 18.0", {"eventfile": "e"}, "tool.version", "has no emanom: it exists since 19.0"),
        ("sas evselect twenty", IMAGE, "tool.version", "not a release of SAS"),
        ("esass evtool 22.1", {}, "tool.version", "not a release of eSASS"),
        ("sas espfilt 22.1", {"eventfile": "e", "method": "histogramm"}, "tool.choice", "histogramm"),
        ("sas espfilt 22.1", {"eventfile": "e", "allowsigma": "three"}, "tool.type", "'three' for allowsigma"),
        ("sas espfilt 22.1", {"eventfile": "e", "allowsigma": float("nan")}, "tool.type", "nan"),
        ("sas espfilt 22.1", {"eventfile": "e", "elow": 2500.5}, "tool.type", "elow"),
        ("sas espfilt 22.1", {"eventfile": "e", "elow": True}, "tool.type", "elow"),
        ("sas espfilt 22.1", {"eventfile": "e", "withoot": "perhaps"}, "tool.type", "withoot"),
        ("sas espfilt 22.1", {"eventfile": "e", "limits": [0.1, "x"]}, "tool.type", "limits"),
        ("sas espfilt 22.1", {"eventfile": ["e", "f"]}, "tool.type", "eventfile"),
        ("sas espfilt 22.1", {}, "tool.missing", "needs a value for eventfile"),
        ("sas espfilt 22.1", {"eventfile": "/data/my files/e"}, "tool.type", "eventfile"),
        ("sas espfilt 22.1", {"eventfile": "e;rm -rf ~"}, "tool.type", "eventfile"),
        ("sas espfilt 22.1", {"eventfile": "$(id)"}, "tool.type", "eventfile"),
        ("sas evselect 22.1", {**IMAGE, "expression": "a\nb"}, "tool.type", "expression"),
        ("esass evtool eSASS4DR1", {"eventfiles": "e", "outfile": "o", "telid": [1, 8]}, "tool.type", "telid"),
        ("esass expmap eSASS4EDR", {"gtitpe": "GTI"}, "tool.parameter", "did you mean gtitype"),
        ("ciao dmcopy 4.18", {"infile": "a", "outfile": "b", "verbose": 6}, "tool.type", "verbose"),
        ("ciao dmcopy 4.18", {"infile": "a", "outfile": "b", "kernel": ")other.par"}, "tool.type", "kernel"),
        ("ciao dmcopy 4.18", {"infile": "a"}, "tool.missing", "outfile"),
        ("heasoft nupipeline 6.20", {"obsmode": "SCIENC"}, "tool.choice", "SCIENC"),
        ("heasoft nicerl2 6.20", {"indir": "i", "geomag_path": "g"}, "tool.version", "only since 6.31"),
    ],
)  # fmt: skip
def test_what_a_tool_would_refuse(called, values, code, told):
    error = refusal(*called.split(), values)
    assert error.code == code
    assert told in error.message


def test_the_remedy_says_what_to_write():
    assert "write histogram or ratio; did you mean histogram?" in refusal(
        "sas", "espfilt", "22.1", {"eventfile": "e", "method": "histogramm"}
    ).remedy  # fmt: skip
    assert "of at least 0 and at most 5" in refusal("ciao", "dmcopy", "4.18", {"verbose": 9, "infile": "a"}).remedy
    assert "not complete" in refusal("sas", "merge", "22.1", {"set3": "a"}).remedy
    assert "not complete" not in refusal("sas", "evselect", "22.1", {"set3": "a"}).remedy


def test_unknown_tools_and_suites_name_the_nearest():
    with pytest.raises(ToolError, match="did you mean evselect"):
        read_tool("sas", "evselct")
    with pytest.raises(ToolError, match="did you mean sas"):
        read_tool("saas", "evselect")
    with pytest.raises(ToolError):
        read_tool("sas", "../sas/evselect")
    with pytest.raises(ToolError):
        read_tool("sas", "suite")


def test_switches_are_written_where_a_value_counts_only_with_them():
    tool = read_tool("sas", "evselect")
    made = make_call(tool, "22.1", IMAGE | {"ximagemin": 1})
    assert arguments(made) == [
        "table=e.fits", "imageset=i.fits", "ximagemin=1", "withxranges=yes", "withimageset=yes"
    ]  # fmt: skip
    assert "withimageset=no" in arguments(make_call(tool, "22.1", IMAGE | {"withimageset": False}))


def test_options_are_at_the_end_and_are_checked():
    tool = read_tool("sas", "tabgtigen")
    call = make_call(tool, "22.1", {"table": "t"}, {"-w": 1, "-V": 4, "-c": True})
    assert arguments(call)[-5:] == ["-w", "1", "-V", "4", "-c"]
    assert parse_arguments(tool, "22.1", arguments(call)) == call
    assert refusal("sas", "tabgtigen", "22.1", {"table": "t"}, {"-q": 1}).code == "tool.option"
    assert refusal("sas", "tabgtigen", "22.1", {"table": "t"}, {"-V": "loud"}).code == "tool.type"
    assert refusal("sas", "tabgtigen", "22.1", {"table": "t"}, {"-c": "4"}).code == "tool.option"
    assert refusal("ciao", "dmcopy", "4.18", {"infile": "a", "outfile": "b"}, {"-V": 4}).code == "tool.option"


def test_an_empty_value_is_left_out_where_it_could_swallow_the_next_argument():
    call = make_call(read_tool("heasoft", "nicerl2"), "6.36", {"indir": "i", "evtsuffix": "", "clobber": True})
    assert arguments(call) == ["indir=i", "clobber=yes"]
    assert "dssblock=" in arguments(make_call(read_tool("sas", "evselect"), "22.1", {"table": "t", "dssblock": ""}))
    assert refusal("sas", "tabgtigen", "22.1", {"table": ""}).code == "tool.missing"


def test_arguments_against_questions_are_added_once():
    tool = read_tool("ciao", "chandra_repro")
    assert arguments(make_call(tool, "4.18", {}), batch=True) == ["mode=hl"]
    assert arguments(make_call(tool, "4.18", {"mode": "h"}), batch=True) == ["mode=h"]


def test_values_are_handed_over_without_marks_and_shown_with_those_of_a_shell():
    tool = read_tool("sas", "tabgtigen")
    call = make_call(tool, "22.1", {"table": "t", "expression": "RATE <= 0.4 && $HOME != '`id`'"})
    assert arguments(call)[1] == "expression=RATE <= 0.4 && $HOME != '`id`'"
    import shlex

    assert shlex.split(shell_line(call))[1:] == arguments(call)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("evselect table=t nonsense=4", "no parameter 'nonsense'"),
        ("evselect table=t table=u", "twice"),
        ("evselect table=t stray", "cannot read"),
        ("tabgtigen table=t", "not a call of evselect"),
        ("evselect table=t withimageset=perhaps", "withimageset"),
    ],
)
def test_what_is_not_an_echo_is_refused(line, told):
    with pytest.raises(ToolError, match=told):
        parse_echo(read_tool("sas", "evselect"), "22.1", line)


def test_echoes_keep_what_a_shell_would_not():
    tool = read_tool("sas", "cifbuild")
    call = parse_echo(tool, "22.1", "cifbuild fileglob=*.ccf|*.CCF analysisdate=2005-07-01 category='' -w 1 -V 4")
    assert call.values == {"fileglob": "*.ccf|*.CCF", "analysisdate": "2005-07-01", "category": ""}
    assert call.options == (("-w", "1"), ("-V", "4"))
    assert parse_echo(tool, "22.1", echo(call)) == call


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        (["a.fits", "b.fits", "c.fits"], "cannot read 'c.fits'"),
        (["outfile=b.fits", "a.fits"], "cannot read 'a.fits'"),
        (["a", "b", "ver=1", "verbose=2"], "twice"),
        (["a", "b", "k=1"], "cannot take|kernel"),
        (["a", "b", "o=1"], "several parameters of dmcopy: outfile, option"),
        (["a", "b", "verbose+"], "verbose"),
        (["@@dmcopy.par", "mode=hl"], "no parameter 'mode'"),
    ],
)
def test_arguments_that_a_tool_would_not_read(tokens, told):
    if told == "cannot take|kernel":
        assert parse_arguments(read_tool("ciao", "dmcopy"), "4.18", tokens).values["kernel"] == "1"
        return
    with pytest.raises(ToolError, match=told):
        parse_arguments(read_tool("ciao", "dmcopy"), "4.18", tokens)


def test_the_order_of_bare_arguments_holds_only_where_it_is_known():
    tool = read_tool("ciao", "deflare")
    assert parse_arguments(tool, "4.18", ["l.fits", "g.fits", "sigma"]).values["method"] == "sigma"
    with pytest.raises(ToolError, match=r"l\.fits"):
        parse_arguments(tool, "4.9", ["l.fits", "sigma", "g.fits"])


def test_defaults_may_differ_between_releases():
    tool = read_tool("sas", "rgsproc")
    assert [make_call(tool, release, {}).value("finalstage") for release in ("20.0", "21.0", "22.1")] == [
        "5:fluxing", "5:fluxing", "6:lightcurve"
    ]  # fmt: skip


def test_values_are_read_as_python_has_them():
    call = make_call(read_tool("sas", "espfilt"), "22.1", {"eventfile": "e", "allowsigma": "2.5", "withoot": "Y"})
    assert [call.read(name) for name in ("allowsigma", "withoot", "limits", "elow", "method")] == [
        2.5, True, (0.1, 6.5), 2500, "histogram"
    ]  # fmt: skip


def test_calls_can_be_sent_to_other_processes():
    call = make_call(read_tool("sas", "espfilt"), "22.1", {"eventfile": "e"})
    assert pickle.loads(pickle.dumps(call)) == call  # noqa: S301 - our own


def test_the_examples_of_the_documentation_hold():
    failed, tried = doctest.testfile(str(ROOT / "docs" / "mission-software.md"), module_relative=False)
    assert (failed, tried > 2) == (0, True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("Y", True),
        ("true", True),
        ("T", True),
        ("no", False),
        ("N", False),
        ("FALSE", False),
        ("f", False),
    ],
)
def test_switches_are_read_in_every_spelling(text, value):
    call = make_call(read_tool("sas", "espfilt"), "22.1", {"eventfile": "e", "withoot": text})
    assert call.read("withoot") is value
    assert arguments(call)[1] == f"withoot={text}", "and stay as they are written"


def test_every_table_can_be_read():
    assert set(suite_names()) == {"sas", "esass", "ciao", "heasoft"}
    tools = [(suite, name) for suite in suite_names() for name in tool_names(suite)]
    assert len(tools) >= 70
    for suite, name in tools:
        tool = read_tool(suite, name)
        assert tool.title
        assert tool.sources
        assert all(one.kind != "text" or one.pattern for one in tool.outputs)


@pytest.mark.parametrize(
    "table",
    [
        'title = "t"\nsources = []',
        'title = "t"\nsources = ["s"]\ncolour = "red"',
        'title = "t"\nsources = ["s"]\n[parameters]\na = { type = "colour" }',
        'title = "t"\nsources = ["s"]\n[parameters]\na = { type = "choice" }',
        'title = "t"\nsources = ["s"]\n[parameters]\na = { type = "real", default = "x" }',
        'title = "t"\nsources = ["s"]\n[parameters]\na = { type = "real", default = 1.0 }',
        'title = "t"\nsources = ["s"]\n[parameters]\na = { type = "real", parent = "b" }',
        'title = "t"\nsources = ["s"]\n[parameters]\na = [{ type = "real" }, { type = "text" }]',
        'title = "t"\nsources = ["s"]\n[[outputs]]\nname = "o"\npattern = "{a}"',
        'title = "t"\nsources = ["s"]\n[[success]]\ntext = "("',
        'title = "t"\nsources = ["s"]\n[[outputs]]\nname = "o"\npattern = "a"\nkind = "parquet"',
        "title = ",
    ],
)
def test_a_wrong_table_is_said_to_be_wrong(table, tmp_path):
    with pytest.raises(ToolError) as caught:
        load_tool(table.encode(), tmp_path / "some.toml", read_suite("sas"))
    assert caught.value.code == "tool.table"
    assert "some.toml" in caught.value.message
