"""What the tasks of a stage depend on beside their inputs: parameters, software, chosen instruments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

from daxa.archive.check import provided_software
from daxa.archive.config import (
    LockedSoftware,
    effective_parameters,
    load_parameters,
)
from daxa.archive.layout import Layout
from daxa.archive.software import load_software
from daxa.backends import find_backend
from daxa.backends.protocol import Unit
from daxa.backends.registry import backend_of_step, installed_calibration, same_calibration
from daxa.backends.shared_parameters import BACKEND
from daxa.errors import ConfigError
from daxa.missions import MissionSpec, NativeInput, find_mission
from daxa.run.steps import Step
from daxa.run.task import Task, canonical

if TYPE_CHECKING:
    from daxa.backends.protocol import Backend

__all__ = ["Recipe", "check_located", "check_software", "facts_of", "inputs_of", "parameters_of", "read_recipes"]


@dataclass(frozen=True)
class Recipe:
    """How a stage treats its observations.

    Parameters
    ----------
    mission, step
        The stage.
    locked
        The software that ``software.toml`` names.
    provided
        The software that is installed; without a version where what the params file names does not do the step.
    parameters
        Effective parameters of every observation without an override, as `canonical` JSON.
    overrides
        ObsID to the effective parameters of an observation with one.
    """

    mission: str
    step: Step
    locked: LockedSoftware
    provided: LockedSoftware
    parameters: str
    overrides: Mapping[str, str]

    @property
    def is_calibrated(self) -> bool:
        """Whether products depend on calibration files, whose identity is asked of the backend for each task."""
        backend = _find(self.provided.backend) if not self.step.fetches else None
        return backend is not None and self.step.name in backend.calibrated

    @property
    def takes_calibration(self) -> bool:
        """Whether the user has accepted the calibration that is installed, so that a change of it is acted upon."""
        return same_calibration(self.locked.calibration, self.installed_calibration)

    @cached_property
    def installed_calibration(self) -> str | None:
        """As in `daxa.backends.registry.installed_calibration`; what is locked, for steps without calibration."""
        if not self.is_calibrated:
            return self.locked.calibration
        return installed_calibration(find_backend(self.provided.backend), self.step.name)

    @property
    def splits_exposures(self) -> bool:
        """Whether each exposure of an observation has a task of its own."""
        backend = _find(self.provided.backend) if not self.step.fetches else None
        return backend is not None and backend.tasks(self.mission, self.step.name) == "exposure"

    def calibration_for(self, obs_id: str, instruments: Sequence[str]) -> str:
        """Identity of the calibration that an observation would be processed with; '' where there is none."""
        if not self.is_calibrated or self.installed_calibration is None:
            return ""
        return find_backend(self.provided.backend).calibration(
            Task(
                self.mission,
                self.step.name,
                obs_id,
                self.locked.backend,
                self.locked.version,
                self.parameters_for(obs_id),
                facts_of(instruments),
                calibration=self.locked.calibration,
            )
        )

    def parameters_for(self, obs_id: str) -> str:
        """Effective parameters of an observation, as `canonical` JSON."""
        return self.overrides.get(obs_id, self.parameters)

    def parts_for(
        self, obs_id: str, instruments: tuple[str, ...], inputs: str, calibration: str = ""
    ) -> dict[str, str]:
        """What `daxa.run.task.Task.parts` would be of an observation with inputs of this digest."""
        return {
            "input": inputs,
            "parameters": self.parameters_for(obs_id),
            "selection": facts_of(instruments),
            "software": f"{self.locked.backend} {self.locked.version}",
            "calibration": calibration,
        }


def read_recipes(layout: Layout, mission: str, steps: Sequence[Step]) -> dict[str, Recipe]:
    """Read what the archive says of the stages of a mission.

    Parameters
    ----------
    layout, mission
        Which.
    steps
        All steps of the archive.

    Returns
    -------
    dict
        Step to its recipe.

    Raises
    ------
    ConfigError
        The parameters or the locked software cannot be read.
    """
    tables, locked = load_parameters(layout, mission, [step.name for step in steps]), load_software(layout)
    recipes = {}
    for step in steps:
        if (mission, step.name) not in locked:
            raise ConfigError(
                "no-lock",
                f"{layout.software} has no table [{mission}.{step.name}]",
                remedy="restore software.toml with `git checkout software.toml`",
            )
        more = _inputs_parameter(mission, tables, step, steps)
        overrides = tables[step.name].get("obs", {})
        recipes[step.name] = Recipe(
            mission,
            step,
            locked[mission, step.name],
            provided_software(mission, tables, step, steps),
            parameters_of(tables, step.name, "", more),
            {obs_id: parameters_of(tables, step.name, obs_id, more) for obs_id in overrides},
        )
    return recipes


def _find(name: str) -> Backend | None:
    try:
        return find_backend(name)
    except ConfigError:
        return None


def inputs_of(
    spec: MissionSpec, tables: Mapping[str, Mapping[str, Any]], step: Step, steps: Sequence[Step]
) -> tuple[NativeInput, ...]:
    """What a step fetches: whatever the backends of the steps that read it start from.

    Raises
    ------
    ConfigError
        One of the backends is not there.
    """
    readers = [other for other in steps if step.name in other.needs]
    backends = dict.fromkeys(backend_of_step(tables, reader, steps) for reader in readers)
    return tuple(dict.fromkeys(one for name in backends for one in find_backend(name).inputs(spec)))


def _inputs_parameter(
    mission: str, tables: Mapping[str, Mapping[str, Any]], step: Step, steps: Sequence[Step]
) -> dict[str, Any]:
    """What tells fetched files apart that are not the usual ones of the mission."""
    if not step.fetches:
        return {}
    spec = find_mission(mission)
    try:
        inputs = inputs_of(spec, tables, step, steps)
    except ConfigError:
        return {}  # `check_parameters` names the backend that is not there, and nothing runs.
    if inputs == spec.native_inputs:
        return {}
    return {"inputs": sorted([one.kind, one.pattern, one.instrument] for one in inputs)}


def check_software(recipe: Recipe) -> None:
    """Make sure that the installed software is the locked one.

    Raises
    ------
    ConfigError
        It is not.
    """
    locked, provided, step, mission = recipe.locked, recipe.provided, recipe.step, recipe.mission
    if not provided.version:
        find_backend(provided.backend)
        raise ConfigError(
            "backend-step",
            f"the backend {provided.backend} does not do {step.name} for {mission}",
            remedy=f'name another one in [{step.name}] of params/{mission}.toml, such as backend = "native"',
        )
    if locked != provided:
        install = "the daxa" if locked.backend in ("daxa", "native") else f"the package for {locked.backend}"
        raise ConfigError(
            "software",
            f"the archive is locked to {locked.backend} {locked.version} for {step.name} of {mission}, "
            f"but {provided.backend} {provided.version} would run",
            remedy=f"install {install} that made the archive, or enter the new version in software.toml to reprocess",
        )
    if step.fetches:
        return
    backend = find_backend(provided.backend)
    unit = backend.tasks(mission, step.name)
    if unit not in get_args(Unit) or (unit == "exposure" and not callable(getattr(backend, "exposures", None))):
        lack = ", and does not say which there are" if unit in get_args(Unit) else ""
        raise ConfigError(
            "backend-unit",
            f"the backend {provided.backend} wants a task for each {unit!r:.40} in {step.name} of {mission}{lack}",
            remedy="update daxa, or use another version of the backend",
        )


def check_located(recipe: Recipe) -> None:
    """Make sure that the software which a stage needs is on this machine.

    Raises
    ------
    ConfigError
        It is not: nothing of the stage can be carried out.
    """
    if recipe.step.fetches:
        return
    backend = find_backend(recipe.provided.backend)
    located = backend.locate()
    if not located.found:
        raise ConfigError(
            "backend-missing",
            f"{recipe.step.name} of {recipe.mission} needs {backend.name}, and there is no "
            f"{', no '.join(located.missing)}",
            remedy=f"{located.remedy}; `daxa doctor` checks it again",
        )


def parameters_of(
    tables: Mapping[str, Mapping[str, Any]], step: str, obs_id: str, more: Mapping[str, Any] = MappingProxyType({})
) -> str:
    """Effective parameters of a step as `canonical` JSON, with what else decides.

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
    """What a task uses of the selection, as `canonical` JSON.

    Examples
    --------
    >>> facts_of(("M1", "PN"))
    '{"instruments":["M1","PN"]}'
    """
    return canonical({"instruments": instruments})
