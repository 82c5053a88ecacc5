"""An installation's own parameter files say which parameters its tools have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from daxa.backends.tools.command import arguments, make_call
from daxa.backends.tools.environment import Installation
from daxa.backends.tools.installed import installed_tool, parse_parfile
from daxa.backends.tools.outputs import expected_outputs
from daxa.backends.tools.reading import read_suite, read_tool, tool_names
from daxa.errors import ToolError
from tests.stubs.install import install_suite

LATER = """# A later release than the table knows.
indir,s,a,"",,,"Directory of the observation"
outdir,s,a,"",,,"Output directory"
steminputs,s,a,"",,,
exitstage,i,h,2,1,3,"Last stage (1, 2 or 3)"
obsmode,s,h,"ALL",SCIENCE|SLEW|ALL,,
onlynew, b, h, y, , , 'A switch of this release'
depth,r,h,INDEF,0.5,,
bounds,s,h,"1,2|3",,,
marks, s, h, "a, b", ,,"A value with a comma, behind a blank"
scales,s,h,"1 2",,,
image,s,a,"",,,
mode,s,h,"ql",,,
"""


def installation(place: Path, suite: str, **files: str) -> Installation:
    for name, text in files.items():
        (place / f"{name}.par").write_text(text)
    return Installation(read_suite(suite), read_suite(suite).releases[-1], {"PFILES": f"/nowhere;{place}"})


def test_what_an_installation_has_can_be_set_and_what_it_lacks_cannot(tmp_path):
    installed = installation(tmp_path, "heasoft", nupipeline=LATER)
    tool = installed_tool(installed, "nupipeline")
    given = {"indir": "i", "outdir": "o", "steminputs": "nu1"}
    assert tool.complete
    call = make_call(tool, "6.36", given | {"onlynew": False, "depth": 0.5})
    assert arguments(call)[-2:] == ["onlynew=no", "depth=0.5"]
    wanted = [pattern for output, pattern in expected_outputs(call) if not output.optional]
    assert wanted == ["o/*_cl.evt*"], "the rest stands in the table"
    for values, code in (
        ({"depth": 0.4}, "tool.type"), ({"obsmode": "SAA"}, "tool.choice"), ({"cleanflick": True}, "tool.parameter"),
    ):  # fmt: skip
        with pytest.raises(ToolError) as caught:
            make_call(tool, "6.36", given | values)
        assert caught.value.code == code
    with pytest.raises(ToolError, match="needs a value for indir"):
        make_call(tool, "6.36", {})


def test_lines_are_read_with_their_marks():
    found = {one.name: one for one in parse_parfile(LATER)}
    assert found["bounds"].default == "1,2|3"
    assert found["marks"].default == "a, b"
    assert (found["onlynew"].kind, found["onlynew"].default) == ("flag", "y")
    assert (found["depth"].default, found["depth"].least) == ("INDEF", 0.5)
    assert found["obsmode"].choices == ("SCIENCE", "SLEW", "ALL")
    assert (found["exitstage"].least, found["exitstage"].most) == (1, 3)


def test_what_a_file_cannot_say_is_taken_from_the_table(tmp_path):
    text = LATER + 'infile,s,a,"",,,\noutfile,s,a,"",,,\nenergy,s,h,"",,,\n'
    tool = installed_tool(installation(tmp_path, "ciao", wavdetect=text), "wavdetect")
    found = {one.name: one for one in tool.parameters}
    assert (found["scales"].kind, found["scales"].several) == ("real", True), (
        "a list of numbers, which the file calls a text"
    )
    assert (found["infile"].kind, found["infile"].required) == ("file", True)
    assert (found["energy"].kind, found["energy"].required) == ("text", False), "the table does not know it"


@pytest.mark.parametrize("suite", ["ciao", "heasoft", "esass"])
def test_files_that_say_what_a_table_says_change_nothing(tmp_path, suite):
    installed = install_suite(tmp_path / suite, suite)
    for name in tool_names(suite):
        table, tool = read_tool(suite, name), installed_tool(installed, name)
        known = table.at(installed.release)
        assert [one.name for one in tool.parameters] == list(known), name
        for one in tool.parameters:
            other = known[one.name]
            same = replace(one, since=other.since, until=other.until, least=other.least, most=other.most)
            assert same == replace(other, default=other.default or ""), (name, one.name)


@pytest.mark.parametrize("text", ["nonsense", "a b,s,h,x", 'x"y",s,h', "=,s,h,x"])
def test_what_is_not_a_file_is_an_error(tmp_path, text):
    with pytest.raises(ToolError, match="cannot be read"):
        installed_tool(installation(tmp_path, "ciao", dmcopy=text), "dmcopy")


def test_a_pipe_in_the_place_of_a_file_hangs_nothing(tmp_path):
    import os

    os.mkfifo(tmp_path / "dmcopy.par")
    assert installed_tool(installation(tmp_path, "ciao"), "dmcopy") == read_tool("ciao", "dmcopy")


def test_without_a_file_the_table_holds(tmp_path):
    assert installed_tool(installation(tmp_path, "ciao"), "dmcopy") == read_tool("ciao", "dmcopy")
    assert installed_tool(Installation(read_suite("sas"), "22.1", {}), "evselect") == read_tool("sas", "evselect")
