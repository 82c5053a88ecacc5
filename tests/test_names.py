"""No mission or instrument is named in code but where it is declared: what differs between them is a declared fact."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

import daxa
from daxa.backends.tools.reading import suite_names
from daxa.missions import find_mission, mission_names
from daxa.xray.telescopes import telescopes

ROOT = Path(daxa.__file__).parent
SUITES = tuple(f"backends/{suite}/*" for suite in suite_names())
"""What a suite of mission software does for which mission: its chains are declarations as well."""

DECLARED = ("missions/declared/*", "xray/telescopes/*", "simulator/*", *SUITES)

AS_EXAMPLE = {
    "cli/*.py": "examples in help",
    "api/*.py": "a remedy shows how a mission is named",
    "archive/create.py": "a remedy shows how a mission is named",
    "query/many_missions.py": "a remedy shows how a mission is named",
    "missions/registry.py": "a remedy shows how a mission is named",
    "query/criteria/keywords.py": "help shows how an instrument is named",
    "backends/native/clean_parameters.py": "help shows how chips are named",
    "xray/cleaning/chips.py": "a remedy shows how chips are named",
    "run/equality.py": "says whose files have a card",
    "missions/places.py": "the address of a server",
}
"""Files whose texts may name one among other words, and why."""

AS_WORD = {"cli/demo.py": "the missions that the demo simulates"}
"""Files that may name one by itself, and why."""

# An instrument of all modules and a card of ours: what several exposures or modules were made into.
OTHER_MEANINGS = {"MERGED"}


def every_name() -> set[str]:
    names = set()
    for spec in map(find_mission, mission_names()):
        names |= {spec.name, spec.title, *spec.aliases}
        names |= {name for one in spec.instruments for name in (one.name, *one.aliases)}
    for one in telescopes().values():
        names |= {one.name, *one.telescop, *one.missions, *one.not_native}
        names |= {name for key, form in one.formats.items() for name in (key[0], form.instrument)}
        names |= {name for camera in one.cameras for name in camera.instruments}
    return {name for name in names if len(name) > 1} - OTHER_MEANINGS


PATTERN = re.compile(
    "(?<![A-Za-z0-9])(?:" + "|".join(map(re.escape, sorted(every_name(), key=len, reverse=True))) + ")(?![A-Za-z0-9])"
)


def named(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of what names one: texts other than docstrings, and identifiers."""
    tree = ast.parse(source)
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            text = node.value
        elif isinstance(node, ast.Name):
            text = node.id
        elif isinstance(node, ast.Attribute):
            text = node.attr
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            text = node.name
        elif isinstance(node, ast.arg):
            text = node.arg
        else:
            continue
        if PATTERN.search(text):
            yield node.lineno, text


def is_alone(text: str) -> bool:
    return PATTERN.fullmatch(text.strip(" _")) is not None


def allowed(path: str, text: str) -> bool:
    return any(fnmatch(path, one) for one in (AS_WORD if is_alone(text) else AS_EXAMPLE))


def test_no_mission_or_instrument_is_named_outside_its_declaration():
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not any(fnmatch(name, one) for one in DECLARED):
            texts = named(path.read_text(encoding="utf-8"))
            found += [f"{name}:{line}: {text!r:.80}" for line, text in texts if not allowed(name, text)]
    assert not found, "declare the fact in xray/telescopes or missions/declared:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        'if mission == "xmm":\n    pass',
        'central = {"PN": 4}.get(instrument, 0)',
        "def _chandra(): ...",
        'f"{events.format.instrument} is EMOS1"',
        'header["TELESCOP"] in ("SRG/EROSITA",)',
    ],
)
def test_a_name_in_code_is_seen(source):
    ((_, text),) = named(source)
    assert not allowed("xray/imaging/exposure_map.py", text)


def test_a_comparison_is_not_an_example():
    ((_, text),) = named('if mission == "xmm":\n    pass')
    assert not allowed("cli/run.py", text)
    assert not list(named('"""Such as xmm."""\nx = 1  # xmm'))


@pytest.mark.parametrize("pattern", [*AS_EXAMPLE, *AS_WORD])
def test_every_exception_is_needed(pattern):
    paths = [path for path in ROOT.rglob("*.py") if fnmatch(path.relative_to(ROOT).as_posix(), pattern)]
    words = [is_alone(text) for path in paths for _, text in named(path.read_text(encoding="utf-8"))]
    assert (pattern in AS_WORD) in words


PACKAGES_OF_TWINS = {
    "cli": "the verb of what a module of that name does",
    "missions/declared": "the declaration of a mission, beside that of its telescope",
    "xray/telescopes/declared": "the declaration of a telescope, beside that of its mission",
    "backends/adopting": "what the native step of that name would have made",
    "backends/ciao": "the chain of a step, named as the native one",
    "backends/esass": "the chain of a step, named as the native one",
    "backends/heasoft": "the chain of a step, named as the native one",
    "backends/sas": "the chain of a step, named as the native one",
    "simulator": "how the observations of a mission are simulated, beside its declaration",
}
"""Packages whose modules are named like the one module elsewhere that they belong to, and why."""

TWINS = {
    "__init__": "the documentation of a package",
    "contract": "the checks for authors of missions, telescopes and backends",
    "registry": "what finds missions, telescopes and backends",
    "spec": "the form of a declaration, of a mission or of a telescope",
}
"""Names of modules that do the same for several kinds of plug-in."""


def test_no_two_modules_have_one_name():
    found: dict[str, list[str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        package = path.parent.relative_to(ROOT).as_posix()
        if package not in PACKAGES_OF_TWINS and path.stem not in TWINS:
            found.setdefault(path.stem, []).append(package)
    assert not {name: packages for name, packages in found.items() if len(packages) > 1}, "rename one to what it is"


@pytest.mark.parametrize("name", [*PACKAGES_OF_TWINS, *TWINS])
def test_every_pair_of_names_is_needed(name):
    modules = [path.stem for path in ROOT.rglob("*.py")]
    names = {path.stem for path in (ROOT / name).glob("*.py")} if name in PACKAGES_OF_TWINS else {name}
    assert any(modules.count(one) > 1 for one in names - {"__init__"} or names)
