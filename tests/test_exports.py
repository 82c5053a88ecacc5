"""Public names: exactly those that are declared, each with a docstring."""

from __future__ import annotations

import ast
import inspect
import pkgutil
from importlib import import_module

import pytest

import daxa

PUBLIC = ["Archive", "Mission", "__version__", "compare", "open", "search"]

ERRORS = [
    "ArchiveError",
    "CallError",
    "ConfigError",
    "CriteriaError",
    "DataError",
    "DaxaError",
    "NotPossible",
    "ProgramError",
    "ReleaseError",
    "ServiceError",
    "StorageError",
    "ToolError",
    "UntrustedArchive",
    "UserError",
    "VerifyError",
    "WorldError",
]

MODULES = sorted(module.name for module in pkgutil.walk_packages(daxa.__path__, "daxa."))


def own_names(module) -> set[str]:
    """Public functions and classes that a module defines itself."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    }


def test_the_package_offers_exactly_these_names():
    assert daxa.__all__ == PUBLIC
    assert dir(daxa) == sorted(PUBLIC)
    assert all(getattr(daxa, name) is not None for name in PUBLIC)


def test_type_checkers_see_each_name_where_it_is_found_at_run_time():
    (shown,) = [node for node in ast.parse(inspect.getsource(daxa)).body if isinstance(node, ast.If)]
    assert ast.unparse(shown.test) == "TYPE_CHECKING"
    named = {alias.asname or alias.name: (one.module, alias.name) for one in shown.body for alias in one.names}
    assert named == daxa._HOMES


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="archives"):
        _ = daxa.archives


def test_the_error_tree_is_complete_and_its_codes_are_distinct():
    from daxa import errors

    assert errors.__all__ == ERRORS
    leaves = [kind for kind in map(errors.__dict__.get, ERRORS) if not kind.__subclasses__()]
    assert len({kind.family for kind in leaves}) == len({kind.exit_code for kind in leaves}) == len(leaves)
    assert {kind.exit_code for kind in leaves}.isdisjoint({0, 1, 2})


@pytest.mark.parametrize("name", MODULES)
def test_all_of_a_module_is_exact(name):
    module = import_module(name)
    offered = getattr(module, "__all__", [])
    assert len(set(offered)) == len(offered)
    assert not [missing for missing in offered if not hasattr(module, missing)]
    assert own_names(module) <= set(offered), "a public function or class that __all__ does not name"


@pytest.mark.parametrize("name", MODULES)
def test_public_names_have_docstrings(name):
    module = import_module(name)
    assert module.__doc__
    bare = [
        offered
        for offered in getattr(module, "__all__", [])
        if (inspect.isfunction(value := getattr(module, offered)) or inspect.isclass(value))
        and not inspect.getdoc(value)
    ]
    assert not bare
