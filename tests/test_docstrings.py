"""Docstrings of public names are whole: sections, units of numbers, shapes of arrays, errors, examples."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import is_dataclass
from enum import Enum
from functools import cached_property
from importlib import import_module
from typing import Protocol

import numpy as np
import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

import daxa
import daxa.xray
from daxa.errors import DataError

CONTRACTS = (
    "daxa.backends.contract",
    "daxa.backends.protocol",
    "daxa.missions.contract",
    "daxa.xray.telescopes.contract",
)

WRONG = {
    "GL03",  # more than one empty line
    "GL05",  # tabs
    "GL06",  # unknown section
    "GL07",  # sections in the wrong order
    "GL08",  # no docstring
    "SS01",  # no summary
    "PR01",  # a parameter that is not documented
    "PR02",  # a documented parameter that does not exist
    "PR03",  # parameters in the wrong order
    "PR07",  # a parameter without a description
    "RT01",  # no section of what is returned
    "RT03",  # a returned value without a description
    "YD01",  # no section of what is yielded
}
"""Faults of `numpydoc.validate`; types stand in annotations, so that docstrings need none."""

UNIT = re.compile(
    r"(?<!['\w])s\b|\b(?:ks|seconds|days|MJD|deg|degrees|arcmin|arcminutes|arcsec|keV|eV|pixels?|counts?|count/s"
    r"|factor|shares?|fraction|chance|ratio|ln|logarithm|standard deviations|likelihood|years|number)\b",
    re.IGNORECASE,
)
SHAPE = re.compile(r"\bshapes?\b|\([a-z0-9 +]+,(?: ?[a-z0-9 +]+(?:, ?)?)*\)", re.IGNORECASE)
ARRAY = re.compile(r"\b(?:ndarray|NDArray|ArrayLike)\b")
FLOAT = re.compile(r"\bfloat\b")
PLAIN = re.compile(r"(?:[\s\[\],|.]|\b(?:np|ndarray|ArrayLike|NDArray|float|int|bool|str|tuple|None|Sequence)\b)*")


class Documented:
    """A public name, its docstring, and its annotations."""

    def __init__(self, value: type, name: str) -> None:
        self.value, self.name = value, name

    @cached_property
    def doc(self) -> NumpyDocString:
        return NumpyDocString(inspect.getdoc(self.value) or "")

    @cached_property
    def annotations(self) -> dict[str, str]:
        """Of each parameter; of a dataclass its fields."""
        if inspect.isclass(self.value) and not is_dataclass(self.value):
            return {}
        return {name: str(one.annotation) for name, one in inspect.signature(self.value).parameters.items()}

    @property
    def returned(self) -> str:
        return "" if inspect.isclass(self.value) else str(inspect.signature(self.value).return_annotation)

    def told(self, parameter: str) -> str:
        """What is said of a parameter; several may share a paragraph."""
        for one in self.doc["Parameters"]:
            if parameter in re.split(r",\s*", one.name):
                return " ".join([one.type, *one.desc])
        return ""

    def told_of_result(self) -> str:
        result = self.doc["Returns"] or self.doc["Yields"]
        return " ".join([*self.doc["Summary"], *(line for one in result for line in (one.name, one.type, *one.desc))])

    @property
    def is_plain(self) -> bool:
        """Whether numbers, arrays and texts are enough to call it."""
        if inspect.isclass(self.value) or "." in self.value.__qualname__:
            return False
        required = [
            str(one.annotation)
            for one in inspect.signature(self.value).parameters.values()
            if one.default is inspect.Parameter.empty
        ]
        return bool(required) and all(PLAIN.fullmatch(text) for text in required)

    def raised(self) -> set[str]:
        """Errors that it raises itself; ``?`` where a function of its module makes one."""
        if inspect.isclass(self.value):
            return set()
        tree = ast.parse(textwrap.dedent(inspect.getsource(self.value)))
        made = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
        names = {one.func.id for one in made if isinstance(one.func, ast.Name)}
        return {name if name[0].isupper() else "?" for name in names if name != "AttributeError"}


def methods_of(kind: type) -> Iterator[tuple[str, object]]:
    ours = [one for one in kind.__mro__ if one.__module__.partition(".")[0] == "daxa"]
    members = {name: value for one in reversed(ours) for name, value in vars(one).items()}
    for name, value in members.items():
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if not name.startswith("_") and inspect.isfunction(function):
            yield name, function


def public() -> Iterator[Documented]:
    for module in (daxa, daxa.xray, *map(import_module, CONTRACTS)):
        for name in module.__all__:
            value = getattr(module, name)
            if name.startswith("_") or not (inspect.isfunction(value) or inspect.isclass(value)):
                continue
            yield Documented(value, f"{module.__name__}.{name}")
            if inspect.isclass(value):
                yield from (Documented(method, f"{module.__name__}.{name}.{own}") for own, method in methods_of(value))


def wrong_sections(one: Documented) -> list[str]:
    found = validate(f"{one.value.__module__}.{one.value.__qualname__}")["errors"]
    # Fields of a class are documented in groups that belong together; enumerations and protocols are not called.
    excused = {"PR03"} if inspect.isclass(one.value) else set()
    excused |= {"PR01", "PR02"} if is_not_called(one.value) else set()
    return [f"{code}: {text}" for code, text in found if code in WRONG - excused]


def without_unit(one: Documented) -> list[str]:
    numbers = [name for name, text in one.annotations.items() if FLOAT.search(text) and not ARRAY.search(text)]
    return [name for name in numbers if not UNIT.search(one.told(name))]


def without_shape(one: Documented) -> list[str]:
    arrays = [name for name, text in one.annotations.items() if ARRAY.search(text)]
    bare = [name for name in arrays if not SHAPE.search(one.told(name))]
    return [*bare, *(["return"] if ARRAY.search(one.returned) and not SHAPE.search(one.told_of_result()) else [])]


def unnamed_errors(one: Documented) -> set[str]:
    told = {word for entry in one.doc["Raises"] for word in re.split(r"\W+", f"{entry.name} {entry.type}")}
    return {name for name in one.raised() - told if name != "?" or not one.doc["Raises"]}


def is_not_called(value: object) -> bool:
    return inspect.isclass(value) and (issubclass(value, Enum) or Protocol in value.__mro__)


PUBLIC = list(public())
named = pytest.mark.parametrize("one", PUBLIC, ids=lambda one: one.name)


@named
def test_sections_are_those_of_numpydoc(one):
    assert wrong_sections(one) == []


@named
def test_numbers_have_units(one):
    assert without_unit(one) == []


@named
def test_arrays_have_shapes(one):
    assert without_shape(one) == []


@named
def test_errors_are_named(one):
    assert unnamed_errors(one) == set()


@named
def test_what_can_be_tried_has_an_example(one):
    assert not one.is_plain or one.doc["Examples"]


def stretch(counts: np.ndarray, width: float, times: int) -> np.ndarray:
    """Wider counts.

    Parameters
    ----------
    counts
        What was seen.
    width
        How wide it gets.
    """
    if width < 0:
        raise DataError("width", "it is negative", remedy="give another")
    return np.repeat(counts, int(width * times))


def test_what_is_left_out_is_noticed():
    one = Documented(stretch, "stretch")
    assert {text[:4] for text in wrong_sections(one)} == {"PR01", "RT01"}
    assert without_unit(one) == ["width"]
    assert without_shape(one) == ["counts", "return"]
    assert unnamed_errors(one) == {"DataError"}
    assert one.is_plain
    assert not one.doc["Examples"]


def test_all_that_is_public_is_looked_at():
    names = {one.name for one in PUBLIC}
    assert {f"daxa.{name}" for name in daxa.__all__ if name[0] != "_"} <= names
    assert {"daxa.Archive.release", "daxa.Mission.filter", "daxa.xray.find_sources", "daxa.xray.Psf.eef"} <= names
    assert {f"daxa.xray.{name}" for name in daxa.xray.__all__} - names == {
        "daxa.xray.FORMATS",
        "daxa.xray.STANDARD",
    }
