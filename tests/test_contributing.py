"""CONTRIBUTING.md can be followed as it is written, and the glossary has one row for each word."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
GUIDE = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")
GLOSSARY = (CHECKOUT / "docs" / "glossary.md").read_text(encoding="utf-8")

FOLLOW = r"""
import io, json, sys, tempfile
from contextlib import redirect_stdout
from pathlib import Path

import daxa
from daxa.backends import find_backend
from daxa.backends.native.parameters import read_images
from daxa.cli import main
from daxa.errors import CriteriaError
from daxa.missions import find_mission
from daxa.missions.contract import check_declaration, check_paths
from daxa.query import make_criteria, read_criteria
from daxa.query.criteria.keywords import conditions_page
from daxa.run.steps import find_step
from daxa.run.task import Task
from daxa.xray.telescopes import telescopes
from daxa.xray.telescopes.registry import event_formats
from daxa.xray.telescopes.contract import check_telescope

assert Path(daxa.__file__).is_relative_to(sys.argv[1]), daxa.__file__
meridian = find_mission("meridian")
check_declaration(meridian)
check_paths(meridian, "00123401", "meridian/data/obs/00/00123401", ["event_cl/wic00123401_cl.evt.gz"])
check_telescope(telescopes()["meridian"])

def said(*words):
    with redirect_stdout(io.StringIO()) as out:
        assert main(list(words)) == 0
    return out.getvalue()

xmm = find_mission("xmm")
north = make_criteria(xmm, north_of=30)
try:
    make_criteria(xmm, north_of=91)
except CriteriaError as error:
    refused = error.code

import counting, test_counting
test_counting.test_the_declarations()
with tempfile.TemporaryDirectory() as place:
    test_counting.test_a_task(Path(place))

print(json.dumps({
    "mission": {form.mission for form in event_formats().values()} >= {"meridian"},
    "shown": "mermaster" in said("missions", "meridian"),
    "verb": [json.loads(line)["listing"] for line in said("places", "meridian", "--json").splitlines()],
    "help": "daxa places swift" in said("places", "--help") and "places" in said("--help"),
    "stored": read_criteria(xmm, north.to_plain()) == north,
    "option": "--north-of" in said("search", "--help"),
    "refused": refused,
    "page": "| `north_of` | `--north-of DEC` |" in conditions_page(),
    "parameter": [read_images(Task("xmm", "images", "0404910601", "native", "1", text)).quicklook
                  for text in ("{}", '{"quicklook":false}')],
    "step": find_step("tally") is counting.TALLY,
    "backend": find_backend("counting") is counting.BACKEND,
}))
"""


def examples() -> dict[str, list[str]]:
    """File to the blocks of code whose first line names it."""
    found: dict[str, list[str]] = {}
    for block in re.findall(r"^ *```(?:python|toml|text)\n(.*?)^ *```$", GUIDE, re.DOTALL | re.MULTILINE):
        first, _, rest = textwrap.dedent(block).partition("\n")
        if named := re.fullmatch(r"# (\S+\.(?:py|toml))", first):
            found.setdefault(named[1], []).append(rest)
    return found


def insert(path: Path, before: str, text: str) -> None:
    """Put lines before a line that is there once."""
    content = path.read_text(encoding="utf-8")
    assert content.count(before) == 1, (path, before)
    path.write_text(content.replace(before, text + before), encoding="utf-8")


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> dict[str, object]:
    """What a copy of daxa says in which every example was put where the guide says."""
    root = tmp_path_factory.mktemp("contributor")
    shutil.copytree(CHECKOUT / "daxa", root / "daxa", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(CHECKOUT / "templates", root / "templates")
    shutil.copy(CHECKOUT / "dvc.yaml.j2", root)
    blocks = examples()
    changed = {
        "daxa/query/criteria/sky_conditions.py",
        "daxa/query/criteria/keywords.py",
        "daxa/backends/native/parameters.py",
    }
    for name in blocks.keys() - changed:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        assert not (root / name).exists(), f"{name} is not new"
        (root / name).write_text("".join(blocks[name]), encoding="utf-8")

    (verb,) = re.findall(r'`("places": \(.*\),)`', GUIDE)
    insert(root / "daxa/cli/__init__.py", '    "stage": (""', f"    {verb}\n")

    (condition,) = blocks["daxa/query/criteria/sky_conditions.py"]
    insert(root / "daxa/query/criteria/sky_conditions.py", "def read_match(", condition + "\n\n")
    keyword, entry = blocks["daxa/query/criteria/keywords.py"][0].split("\n\n")
    declared = root / "daxa/query/criteria/keywords.py"
    insert(declared, "    everything: bool | None\n", f"    {keyword}\n")
    insert(declared, '    _one(\n        "everything"', textwrap.indent(entry, "    "))
    insert(declared, "read_region_area\n", "read_north_of, ")

    (parameter,) = blocks["daxa/backends/native/parameters.py"]
    parameters = root / "daxa/backends/native/parameters.py"
    insert(parameters, '        Parameter(\n            "lightcurve_bin"', textwrap.indent(parameter, " " * 8))
    insert(parameters, '    out_of_time: str = "none"\n', "    quicklook: bool = True\n")

    project = tomllib.loads(blocks["pyproject.toml"][0])["project"]
    known = root / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    known.mkdir()
    (known / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in p.items()) for group, p in project["entry-points"].items()
    ]
    (known / "entry_points.txt").write_text("\n".join(lines))

    ended = subprocess.run(
        [sys.executable, "-c", FOLLOW, str(root)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout)


def test_a_mission_and_its_telescope_are_one_file_each(followed):
    assert followed["mission"]
    assert followed["shown"]


def test_a_verb_is_a_module_and_a_line(followed):
    assert followed["verb"] == ["apache", "s3"]
    assert followed["help"]


def test_a_condition_is_a_class_and_an_entry(followed):
    assert (followed["stored"], followed["option"], followed["page"]) == (True, True, True)
    assert followed["refused"] == "criteria.north-of"


def test_a_parameter_is_an_entry_and_a_field(followed):
    assert followed["parameter"] == [True, False]


def test_a_step_and_its_backend_are_found_by_their_entry_points(followed):
    assert followed["step"]
    assert followed["backend"]


def test_files_and_targets_that_the_guide_names_are_there():
    new = {*examples(), "counting/__init__.py"}
    named = {one.removeprefix("./") for one in re.findall(r"`((?:daxa|tests|docs|templates|\.ci)/[\w./-]*)`", GUIDE)}
    named |= set(re.findall(r"(?<=[ ])tests/[\w./]+\.py", GUIDE)) | set(re.findall(r"\]\((?!http)([^)#]+)\)", GUIDE))
    assert len(named) > 20
    assert not sorted(name for name in named - new if not (CHECKOUT / name).exists())
    recipe = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`make ([a-z]+)", GUIDE)):
        assert re.search(rf"^{target}:", recipe, re.MULTILINE), target


def test_make_quick_runs_what_a_commit_is_judged_by():
    recipe = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    block = re.search(r"^quick:.*\n((?:\t.*\n)+)", recipe, re.MULTILINE)[1]
    for tool in ("ruff check .", "ruff format --check .", "lint-imports", "mypy"):
        assert f"$(BIN)/{tool}\n" in block
    places = re.search(r"^QUICK := ((?:.*\\\n)*.*)", recipe, re.MULTILINE)[1].replace("\\", " ").split()
    assert "$(QUICK)" in block
    assert len(places) > 5
    assert not [one for one in places if not (CHECKOUT / one.removeprefix("--ignore=")).exists()]


def glossary_rows() -> list[list[list[str]]]:
    """Of each table, its rows."""
    tables = [part.split("|---|---|---|\n")[1] for part in GLOSSARY.split("\n## ")[1:]]
    return [
        [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines() if line]
        for table in tables
    ]


def test_the_glossary_has_each_word_once_in_order_with_its_meaning_and_what_it_is_not():
    for rows in glossary_rows():
        assert all(len(row) == 3 and all(row) for row in rows), [row for row in rows if len(row) != 3]
        terms = [row[0].partition(",")[0].lower() for row in rows]
        assert terms == sorted(terms)
    words = [word for rows in glossary_rows() for row in rows for word in row[0].lower().split(", ")]
    assert len(words) == len(set(words)) > 50


def test_what_the_glossary_names_in_code_is_there():
    from importlib import import_module, util

    names = set(re.findall(r"`(daxa(?:\.\w+)+)`", GLOSSARY))
    assert len(names) > 10
    for name in names:
        if util.find_spec(name.rpartition(".")[0]) and not name.rpartition(".")[2][0].isupper():
            assert import_module(name), name
        else:
            assert hasattr(import_module(name.rpartition(".")[0]), name.rpartition(".")[2]), name


def test_steps_flags_and_outcomes_of_the_glossary_are_those_of_the_code():
    from daxa.run.steps import OWN_STEPS
    from daxa.xray.detection.quality import SourceQuality

    rows = {row[0]: row[1] for rows in glossary_rows() for row in rows}
    assert re.findall(r"`(\w+)`", rows["step"]) == [step.name for step in OWN_STEPS]
    flags = [
        (int(bit), word.replace("-", "").replace(" ", "_"))
        for bit, word in re.findall(r"(\d+) ([a-z][a-z -]*)", rows["quality"].partition(";")[0])
    ]
    assert flags == [(flag.value, flag.name.lower()) for flag in SourceQuality]


def test_readme_and_architecture_lead_to_them():
    assert "(CONTRIBUTING.md)" in (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert "(docs/glossary.md)" in (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert "(glossary.md)" in (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_source_distribution_has_what_the_tests_read(tmp_path):
    import tarfile

    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=CHECKOUT, capture_output=True, timeout=120, check=True)
    (made,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(made) as packed:
        held = {Path(name).parts[1] for name in packed.getnames()}
    needed = {"CITATION.cff", "CONTRIBUTING.md", "Makefile", "benchmarks", "codemeta.json", "docs", "tests", ".ci"}
    assert needed | {".pre-commit-config.yaml"} <= held
    assert not held & {".venv", ".git", "demo"}
