"""What every backend must satisfy, as checks for its author's tests.

Each function raises an `AssertionError` that says what is wrong.  `check_backend` needs
neither data nor the software; `check_run` runs one task twice::

    from daxa.backends.contract import check_backend, check_run

    def test_the_backend():
        check_backend(BACKEND, ["xmm"], ["spectra"])

    def test_a_task(tmp_path):
        check_run(BACKEND, task, {"clean": ...}, tmp_path)
"""

from __future__ import annotations

import io
import pickle
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import get_args

from daxa.backends.parameter_schema import Parameter, ParameterProblem
from daxa.backends.parameter_text import table_lines
from daxa.backends.protocol import Backend, Located, Resources, Unit
from daxa.backends.randomised import randomised_kinds
from daxa.errors import DataError
from daxa.missions import MissionSpec, NativeInput, find_mission
from daxa.quantities import normalise
from daxa.run.delivery import collect_products
from daxa.run.exposures import split_task
from daxa.run.hashes import MANIFEST
from daxa.run.product import parse_product
from daxa.run.task import Task

__all__ = ["check_backend", "check_run"]

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_NO_STEP = "no_such_step"


def check_backend(backend: Backend, missions: Iterable[str], steps: Iterable[str]) -> None:
    """Check what a backend declares: complete, consistent, the same every time.

    Parameters
    ----------
    backend
        The object behind its entry point.
    missions, steps
        What it does: every one of these steps for every one of these missions.

    Raises
    ------
    AssertionError
        What is wrong with it.

    Examples
    --------
    >>> from daxa.backends import find_backend
    >>> check_backend(find_backend("native"), ["xmm"], ["events", "clean", "images", "sources"])
    """
    _require(backend, bool(_NAME.fullmatch(backend.name)), "has a name that is not a short lower-case word")
    _require(backend, backend.name != "daxa", "uses the name of daxa itself")
    steps = tuple(steps)
    _require(backend, set(backend.calibrated) <= set(steps), "needs calibration for steps that it does not do")
    randomised = getattr(backend, "randomised", {})
    _require(backend, set(randomised) <= set(steps), "declares random numbers in steps that it does not do")
    texts = all(_is_text(kind) for step in randomised for kind in randomised_kinds(backend, step))
    _require(backend, texts, "declares kinds of randomised products that are not words")
    _check_located(backend, backend.locate())
    for mission in missions:
        spec = find_mission(mission)
        for step in steps:
            _check_step(backend, spec, step)
        _require(backend, backend.version(mission, _NO_STEP) == "", "gives a version of a step that does not exist")
        _check_inputs(backend, spec)
        _check_parameters(backend, spec, steps)


def _require(backend: Backend, right: object, words: str) -> None:
    if not right:
        raise AssertionError(f"the backend {backend.name!r} {words}")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and value == value.strip() and len(value) <= 200


def _check_located(backend: Backend, located: Located) -> None:
    _require(backend, isinstance(located, Located), "does not say whether its software is here")
    _require(backend, isinstance(located.missing, tuple), "does not give what is missing as a tuple of texts")
    _require(backend, located.found or located.missing, "is not found, but does not say what is missing")
    _require(backend, not (located.found and located.missing), "is found, but something is missing")
    _require(backend, not located.found or located.version, "is found, but has no version")
    known = located.calibration
    _require(backend, _is_text(known) and "/" not in known, f"has an unusable name for its calibration: {known!r}")
    needs = located.found and backend.calibrated
    _require(backend, known or not needs, "is found, but does not say which calibration is there")
    _require(backend, known == backend.locate().calibration, "names its calibration differently each time")
    _require(backend, located.found or located.remedy, "does not say how to get what is missing")


def _check_step(backend: Backend, spec: MissionSpec, step: str) -> None:
    version = backend.version(spec.name, step)
    where = f"{step} of {spec.name}"
    _require(backend, version and _is_text(version), f"has no usable version for {where}: {version!r}")
    _require(backend, version == backend.version(spec.name, step), f"has a different version for {where} each time")
    unit = backend.tasks(spec.name, step)
    _require(backend, unit in get_args(Unit), f"treats a {unit!r} in {where}: it is one of {', '.join(get_args(Unit))}")
    found = backend.resources(spec.name, step)
    right = isinstance(found, Resources) and found.memory >= 0 and found.cores >= 1 and found.time_limit > 0
    _require(backend, right, f"needs more than any machine has for {where}: {found}")
    task = Task(spec.name, step, spec.id_example or "0000", backend.name, version)
    if unit == "exposure":
        _check_exposures(backend, task)
    known = backend.calibration(task)
    _require(backend, _is_text(known), f"has an unusable identity for the calibration of {where}: {known!r}")
    _require(backend, known == backend.calibration(task), f"has a different calibration for {where} each time")
    uses = step in backend.calibrated
    _require(backend, bool(known) == uses, f"says that {where} {'has' if uses else 'needs no'} calibration, wrongly")
    _require(backend, "/" not in known and "\\" not in known, f"identifies the calibration of {where} by a path")


def _check_exposures(backend: Backend, task: Task) -> None:
    known = callable(getattr(backend, "exposures", None))
    _require(backend, known, f"has a task for each exposure in {task.step}, but does not say which exposures there are")
    found = backend.exposures(task)
    _require(backend, isinstance(found, Mapping), f"does not give the exposures of {task.step} as a mapping")
    _require(backend, dict(found) == dict(backend.exposures(task)), f"gives other exposures of {task.step} each time")
    try:
        split_task(task, found)
    except ValueError as error:
        raise AssertionError(f"the backend {backend.name!r}: {error}") from None


def _check_inputs(backend: Backend, spec: MissionSpec) -> None:
    inputs = backend.inputs(spec)
    typed = isinstance(inputs, tuple) and all(isinstance(one, NativeInput) for one in inputs)
    _require(backend, typed, f"does not give its inputs for {spec.name} as a tuple of NativeInput")
    named = {"", *(one.name for one in spec.instruments)}
    for one in inputs:
        _require(backend, one.instrument in named, f"starts from an instrument {one.instrument!r} of {spec.name}")
        pattern = one.regex(spec.id_example or "0000")
        _require(backend, not pattern.fullmatch("../x"), f"starts from files anywhere: {one.pattern}")


def _check_parameters(backend: Backend, spec: MissionSpec, steps: Iterable[str]) -> None:
    """Check that the schema gives a table that can be read again, and that what is not in it is refused."""
    schema = backend.parameters(spec.name)
    for step in steps:
        _require(backend, step in schema, f"has no table of parameters for {step} of {spec.name}")
        names = [parameter.name for parameter in schema[step]]
        _require(backend, len(set(names)) == len(names), f"has a parameter of {step} twice")
        _require(backend, not {"obs", "backend"} & set(names), f"names a parameter of {step} obs or backend")
        for parameter in schema[step]:
            _check_parameter(backend, parameter, step)
    usual = {step: normalise(tomllib.loads("\n".join(table_lines(schema[step])))) for step in steps}
    faults = backend.check(spec.name, usual)
    _require(backend, not faults, f"refuses its own defaults: {faults[:1]}")
    for step in steps:
        faults = backend.check(spec.name, {**usual, step: {**usual[step], "no_such_parameter": 1.0}})
        found = [fault for fault in faults if isinstance(fault, ParameterProblem) and fault.key == "no_such_parameter"]
        _require(backend, found and found[0].remedy, f"accepts unknown parameters of {step}")


def _check_parameter(backend: Backend, parameter: Parameter, step: str) -> None:
    where = f"{step}.{parameter.name}"
    _require(backend, parameter.help and parameter.help.isprintable(), f"does not explain {where} in one line")
    for line in table_lines([parameter]):
        try:
            for value in normalise(tomllib.loads(line.removeprefix("# "))).values():
                read = parameter.read(value)
                # What stands behind # may be an example.
                same = read == parameter.default or line.startswith("# ")
                _require(backend, same, f"does not read back its default of {where}: {line}")
        except ValueError as error:  # TOMLDecodeError is one
            raise AssertionError(f"the backend {backend.name!r} cannot read its own {where}: {error}") from None


def check_run(backend: Backend, task: Task, directories: Mapping[str, Path], place: Path) -> list[str]:
    """Run a task twice, and compare: equal science, unchanged inputs, valid names.

    Parameters
    ----------
    backend
        The backend, whose software must be on this machine.
    task
        A task that can be done, with its inputs.
    directories
        Step to the directory with that step's files of the observation.
    place
        An empty directory to work in.

    Returns
    -------
    list of str
        Names of the products.

    Raises
    ------
    AssertionError
        What is wrong with it.
    """
    again = pickle.loads(pickle.dumps(task))  # noqa: S301 - made in this line
    _require(backend, again == task, "was given a task that cannot be sent to a worker")
    before = {step: _contents(directory) for step, directory in directories.items()}
    first, second = (_run(backend, task, directories, place / name) for name in ("first", "second"))
    after = {step: _contents(directory) for step, directory in directories.items()}
    _require(backend, before == after, f"writes into the inputs of {task.step}")
    _require(backend, first == second, f"makes other products of {task.step} each time: {_difference(first, second)}")
    for name in first:
        _check_name(backend, task, name)
    return sorted(first)


def _run(backend: Backend, task: Task, directories: Mapping[str, Path], target: Path) -> dict[str, str]:
    """Name to science digest of the products."""
    target.mkdir()
    log = io.StringIO()
    backend.run(task, directories, target, log)
    try:
        return {file.path: file.science for file, _ in collect_products(task, target) if file.path != MANIFEST}
    except DataError as error:
        raise AssertionError(f"the backend {backend.name!r}: {error.message}") from None


def _contents(directory: Path) -> dict[str, tuple[int, int]]:
    found = ((path, path.lstat()) for path in directory.rglob("*"))
    return {path.relative_to(directory).as_posix(): (stat.st_size, stat.st_mtime_ns) for path, stat in found}


def _difference(first: Mapping[str, str], second: Mapping[str, str]) -> str:
    return ", ".join(sorted(name for name in {*first, *second} if first.get(name) != second.get(name)))


def _check_name(backend: Backend, task: Task, name: str) -> None:
    if not name.startswith("obsid"):
        return  # An auxiliary file, which keeps the name that its users know.
    try:
        product = parse_product(name)
    except DataError as error:
        raise AssertionError(f"the backend {backend.name!r} makes {name}: {error.message}") from None
    _require(backend, product.obs_id == task.obs_id, f"makes {name} for {task.obs_id}")
