"""The parts of a task's fingerprint, from the archive's files: parameters, software, instruments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

from daxa.archive.config import LockedSoftware, effective_parameters
from daxa.backends import find_backend
from daxa.backends.registry import backend_of_step
from daxa.backends.shared_parameters import BACKEND
from daxa.missions import MissionSpec, NativeInput, find_mission
from daxa.run.steps import Step
from daxa.run.task import canonical

__all__ = ["facts_of", "fetched_inputs", "inputs_of", "inputs_parameter", "parameters_of", "software_text"]


def inputs_of(
    spec: MissionSpec, tables: Mapping[str, Mapping[str, Any]], step: Step, steps: Sequence[Step]
) -> tuple[NativeInput, ...]:
    """What a step fetches: the files from which the backends of later steps start.

    Raises
    ------
    ConfigError
        One of the backends is not installed.
    """
    readers = [other for other in steps if step.name in other.needs]
    backends = dict.fromkeys(backend_of_step(tables, reader, steps) for reader in readers)
    return tuple(dict.fromkeys(one for name in backends for one in find_backend(name).inputs(spec)))


def fetched_inputs(
    spec: MissionSpec, tables: Mapping[str, Mapping[str, Any]], steps: Sequence[Step]
) -> tuple[NativeInput, ...]:
    """What all steps that fetch do fetch.

    Raises
    ------
    ConfigError
        One of the backends that read it is not installed.
    """
    return tuple(one for step in steps if step.fetches for one in inputs_of(spec, tables, step, steps))


def inputs_parameter(
    mission: str, tables: Mapping[str, Mapping[str, Any]], step: Step, steps: Sequence[Step]
) -> dict[str, Any]:
    """The part of a fingerprint for fetched files that are not the usual ones of the mission.

    Raises
    ------
    ConfigError
        One of the backends that read them is not installed.
    """
    if not step.fetches:
        return {}
    spec = find_mission(mission)
    inputs = inputs_of(spec, tables, step, steps)
    if inputs == spec.native_inputs:
        return {}
    return {"inputs": sorted([one.kind, one.pattern, one.instrument] for one in inputs)}


def parameters_of(
    tables: Mapping[str, Mapping[str, Any]], step: str, obs_id: str, more: Mapping[str, Any] = MappingProxyType({})
) -> str:
    """Effective parameters of a step as `canonical` JSON, with everything else that affects the products.

    Examples
    --------
    >>> parameters_of({"events": {"backend": "native", "min_ontime": "1 ks"}}, "events", "0404910601")
    '{"min_ontime":"1000.0 s"}'
    """
    parameters = effective_parameters(tables, step, obs_id)
    # The backend is part of the software.
    parameters.pop(BACKEND, None)
    return canonical({**parameters, **more})


@cache
def facts_of(instruments: Sequence[str]) -> str:
    """What a task uses from the selection, as `canonical` JSON.

    Examples
    --------
    >>> facts_of(("M1", "PN"))
    '{"instruments":["M1","PN"]}'
    """
    return canonical({"instruments": instruments})


def software_text(locked: LockedSoftware) -> str:
    """The software of a step, as it enters fingerprints.

    Examples
    --------
    >>> software_text(LockedSoftware("native", "2"))
    'native 2'
    """
    return f"{locked.backend} {locked.version}"
