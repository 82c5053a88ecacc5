"""What the README shows runs, and its shell and Python sessions make the same archive."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from daxa.archive.template import MissionAnswers, render
from daxa.cli import VERBS
from daxa.missions import find_mission
from daxa.settings import Settings
from daxa.simulator import Observatory
from tests.journey.workbench import Workbench, contents, make_cheap, parsed_lock

CHECKOUT = Path(__file__).resolve().parents[1]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
# These say when, where, and where the remote is: all else of an archive depends on what was asked alone.
OF_THE_PLACE = ("upstream/", ".dvc/config", "logs.dvc")


def blocks(language: str) -> list[str]:
    """The code blocks of the README in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def typed(block: str) -> list[list[str]]:
    """The commands of a console block."""
    return [shlex.split(line[2:], comments=True) for line in block.splitlines() if line.startswith("$ ")]


def session_with(text: str, language: str) -> str:
    (only,) = [block for block in blocks(language) if text in block]
    return only


def follow(bench: Workbench, commands: list[list[str]]) -> None:
    """Run commands as a shell would, ``cd`` included."""
    place = bench.root
    for command in commands:
        if command[0] == "cd":
            place = place / command[1]
        else:
            bench.run(*command, cwd=place)


def tracked(bench: Workbench, archive: Path) -> dict[str, bytes]:
    """The files of the release that do not depend on where and when it was made."""
    names = bench.run("git", "ls-tree", "-r", "--name-only", "v1.0.0", cwd=archive).stdout.splitlines()
    return {name: (archive / name).read_bytes() for name in names if not name.startswith(OF_THE_PLACE)}


def test_every_verb_and_target_that_the_readme_names_exists():
    verbs = {command[1] for block in blocks("console") for command in typed(block) if command[0] == "daxa"}
    assert verbs <= VERBS.keys()
    targets = {command[1] for block in blocks("console") for command in typed(block) if command[0] == "make"}
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    assert targets == {"demo", "test"}
    targets |= set(re.findall(r"`make (\w+)`", README))
    assert "random" in targets
    assert all(f"\n{target}:" in makefile for target in targets)


def test_the_overrides_of_the_readme_are_such():
    from daxa.archive.config import effective_parameters
    from daxa.backends.native.parameters import read_sources
    from daxa.run.task import Task, canonical

    clean, sources = (tomllib.loads(block) for block in blocks("toml"))
    tables = {"clean": {"flare_sigma": 3.0, **clean["clean"]}, "sources": {"regions": "", **sources["sources"]}}
    assert effective_parameters(tables, "clean", "0900000101")["flare_sigma"] == 2.5
    assert effective_parameters(tables, "clean", "0900000201")["flare_sigma"] == 3.0

    def regions(obs_id: str) -> str:
        asked = canonical(effective_parameters(tables, "sources", obs_id))
        return read_sources(Task("xmm", "sources", obs_id, "native", "1", asked)).regions

    assert "circle" in regions("0900000101")
    assert regions("0900000201") == ""


def test_pictures_and_links_are_there():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("https://") or (CHECKOUT / target).is_file(), target


def test_every_obs_id_that_the_readme_names_is_one_of_the_demo(sky):
    named = set(re.findall(r"\b\d{5,}\b", "".join(blocks("toml") + blocks("console") + blocks("python"))))
    assert named
    assert named <= {str(row["obsid"]) for rows in sky.tables.values() for row in rows if "obsid" in row}


def test_every_variable_is_listed_and_no_other():
    page = (CHECKOUT / "docs" / "settings.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(DAXA_\w+)` \|(.*)$", page, re.MULTILINE))
    # The addresses of TAP services have one variable each, named after the service.
    settings = {f"DAXA_{field.name.upper()}": field for field in fields(Settings) if field.name != "taps"}
    assert listed.keys() == {*settings, "DAXA_CONFIG", "DAXA_QUIET", "DAXA_TEST_DATA"}
    for name, field in settings.items():
        cells = [cell.strip() for cell in listed[name].split("|")]
        assert cells[0] == f"`{field.name}`"
        if field.default and isinstance(field.default, str | int | float):
            assert cells[2].strip("`") == str(field.default)
    used = {
        variable
        for path in (CHECKOUT / "daxa").rglob("*.py")
        for variable in re.findall(r"(?<!_)\bDAXA_[A-Z_]+[A-Z]\b", path.read_text(encoding="utf-8"))
    }
    assert used <= listed.keys(), "variables that the code names"


def test_the_readme_of_an_archive_is_right_at_every_release():
    answers = [MissionAnswers(find_mission("xmm"), {}, [])]
    text = render("a907", answers)["README.md"]
    assert not re.search(r"v\d+\.\d+\.\d+|daxa-archive|makers of", "".join(render("a907", answers).values()))
    commands = typed("".join(re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)))
    assert {command[1] for command in commands if command[0] == "daxa"} <= VERBS.keys()
    assert ["daxa", "pull"] in commands
    named = set(re.findall(r"`daxa ([a-z]+)", text))
    assert named <= VERBS.keys()


@pytest.mark.journey
def test_shell_and_python_make_the_same_archive(tmp_path, sky):
    # One observation of each mission, and one camera: what several are like, the demonstration shows.
    tables = {
        name: [
            {**row, **({"pn_time": 0.0, "mos2_time": 0.0} if name == "xmmmaster" else {})}
            for row in rows
            if str(row.get("obsid")) not in {"0900000201", "90001"}
        ]
        for name, rows in sky.tables.items()
    }
    with Observatory(sky.root, tables, sky.names) as observatory:
        # What is asked for is shown; that images are cheap is said in the parameters of both before they run.
        init, *others = typed(session_with("--remote storage", "console"))
        shell = Workbench.at(tmp_path / "shell", observatory.environ)
        follow(shell, [init])
        make_cheap(shell.root / "a907")
        follow(shell, others)
        python = Workbench.at(tmp_path / "python", observatory.environ)
        script = session_with("archive.release(", "python")
        assert script.count("archive.run()") == 1
        cheap = f"import sys; sys.path.append({str(CHECKOUT)!r})\nfrom tests.journey.workbench import make_cheap"
        script = script.replace("archive.run()", f"{cheap}; make_cheap(archive.root)\narchive.run()")
        python.run(sys.executable, "-c", script)
        theirs, ours = shell.root / "a907", python.root / "a907"
        assert tracked(shell, theirs) == tracked(python, ours)
        assert parsed_lock(theirs) == parsed_lock(ours)
        assert contents(theirs, "data", "report") == contents(ours, "data", "report")
        shown = ("git", "for-each-ref", "--format=%(objecttype)%0a%(contents)", "refs/tags/v1.0.0")
        assert shell.run(*shown, cwd=theirs).stdout == python.run(*shown, cwd=ours).stdout
        assert shell.clean(theirs)
        clone = [*("git", "clone", "--quiet", "--branch", "v1.0.0"), str(theirs), "a907"]
        reader = Workbench.at(tmp_path / "reader", observatory.environ)
        # The README's storage is a directory beside the archive; whoever gets both has both beside each other.
        shutil.copytree(shell.root / "storage", reader.root / "storage")
        follow(reader, [clone, *typed(session_with("ADDRESS", "console"))[1:]])
        follow(reader, [["cd", "a907"], *typed(session_with("--sample", "console"))])


@pytest.mark.journey
def test_search_select_and_update_do_as_shown(tmp_path, sky):
    with Observatory(sky.root, sky.tables, sky.names) as observatory:
        bench = Workbench.at(tmp_path / "bench", observatory.environ)
        follow(bench, typed(session_with("--remote storage", "console"))[:1])
        follow(bench, typed(session_with("daxa search --target", "console")))
        archive = bench.root / "a907"
        follow(bench, typed(session_with("daxa select --also", "console")))
        assert (bench.root / "a907.vot").stat().st_size > 1000
        assert (bench.root / "a907.moc.fits").stat().st_size > 1000
        assert "nustar" in tomllib.loads((archive / "daxa.toml").read_text())["missions"]
        said = bench.run(sys.executable, "-c", session_with("archive.accept(", "python")).stdout
        assert "{'xmm': ()}" in said, "what is asked for in other words is the same"
        assert not bench.run("git", "status", "--porcelain", cwd=archive).stdout
