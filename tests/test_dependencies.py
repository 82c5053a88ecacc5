"""What is imported is declared, what is declared is imported, and each has its reason written down."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
# DVC is run as a command.
RUN = {"dvc"}
# Dask asks for it where connections are encrypted.
ASKED_FOR = {"cryptography"}


def normal(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower().replace("_", "-").replace(".", "-")


def imported() -> set[str]:
    """Distributions whose modules the package imports, wherever in its files."""
    modules = set()
    for path in (CHECKOUT / "daxa").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                modules.add(node.module.partition(".")[0])
    known = packages_distributions()
    foreign = modules - set(sys.stdlib_module_names) - {"daxa"}
    # The namespace `ruamel` belongs to several distributions, of which ruamel.yaml is the one that is meant.
    return {normal("ruamel.yaml" if module == "ruamel" else known[module][0]) for module in foreign}


def declared() -> set[str]:
    project = PROJECT["project"]
    return {normal(one) for one in (*project["dependencies"], *project["optional-dependencies"]["cluster"])}


def test_imports_are_declared_and_declarations_are_used():
    assert imported() | RUN | ASKED_FOR == declared()


def test_types_are_missed_only_where_a_package_has_none():
    (ignored,) = [one["module"] for one in PROJECT["tool"]["mypy"]["overrides"] if "ignore_missing_imports" in one]
    names = [module.removesuffix(".*") for module in ignored]
    assert {normal(name) for name in names} <= imported()
    assert not [name for name in names if (Path(find_spec(name).origin).parent / "py.typed").exists()]


def test_every_dependency_has_its_reason():
    text = (CHECKOUT / "docs" / "dependencies.md").read_text().lower()
    tools = {normal(requirement) for requirement in PROJECT["dependency-groups"]["test"]}
    missing = [name for name in sorted(declared() | tools) if name not in text.replace(".", "-")]
    assert not missing
