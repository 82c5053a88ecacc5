"""What the tasks of a stage depend on besides their inputs: parameters, software, chosen instruments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from daxa.archive.check import provided_software
from daxa.archive.config import LockedSoftware, load_parameters
from daxa.archive.layout import Layout
from daxa.archive.software import load_software
from daxa.archive.task_parts import facts_of, inputs_parameter, parameters_of, software_text
from daxa.backends import find_backend
from daxa.backends.protocol import Unit
from daxa.backends.registry import installed_calibration, same_calibration
from daxa.errors import ConfigError, DataError
from daxa.run.steps import Step
from daxa.run.task import Task, canonical
from daxa.selection.selection_file import read_columns

if TYPE_CHECKING:
    from daxa.backends.protocol import Backend

__all__ = ["Recipe", "check_located", "check_software", "read_recipes"]


@dataclass(frozen=True)
class Recipe:
    """How a stage processes its observations.

    Parameters
    ----------
    mission, step
        The stage.
    locked
        The software that ``software.toml`` names.
    provided
        The installed software; without a version if the backend in the params file does not do the step.
    parameters
        Effective parameters of every observation without an override, as `canonical` JSON.
    overrides
        ObsID to the effective parameters of an observation with an override.
    selection
        The file with the times of the observations, by which some backends choose calibration.
    """

    mission: str
    step: Step
    locked: LockedSoftware
    provided: LockedSoftware
    parameters: str
    overrides: Mapping[str, str]
    selection: Path = Path()

    @property
    def is_calibrated(self) -> bool:
        """Whether products depend on calibration files, which the backend identifies for each task."""
        backend = _find(self.provided.backend) if not self.step.fetches else None
        return backend is not None and self.step.name in backend.calibrated

    @property
    def takes_calibration(self) -> bool:
        """Whether the user has accepted the installed calibration, so that products of another one are redone."""
        return same_calibration(self.locked.calibration, self.installed_calibration)

    @cached_property
    def installed_calibration(self) -> str | None:
        """As in `daxa.backends.registry.installed_calibration`; the locked one for steps without calibration."""
        if not self.is_calibrated:
            return self.locked.calibration
        return installed_calibration(find_backend(self.provided.backend), self.step.name)

    @property
    def splits_exposures(self) -> bool:
        """Whether each exposure of an observation has its own task."""
        backend = _find(self.provided.backend) if not self.step.fetches else None
        return backend is not None and backend.tasks(self.mission, self.step.name) == "exposure"

    @cached_property
    def _times(self) -> Mapping[str, dict[str, float]]:
        """ObsID to start and end (MJD), as far as the selection has them."""
        names = ("start", "end")
        try:
            obs_ids, *columns = read_columns(self.selection, "obs_id", *names)
        except DataError:
            return {}  # Whoever reads which observations are chosen says what is wrong with it.
        return {
            obs_id: {
                name: value
                for name, value in zip(names, values, strict=True)
                if isinstance(value, float) and math.isfinite(value)
            }
            for obs_id, *values in zip(obs_ids, *columns, strict=True)
        }

    def calibration_for(self, obs_id: str, instruments: Sequence[str]) -> str:
        """Identity of the calibration that an observation would be processed with, or ''."""
        return self.calibrations_for({obs_id: instruments})[obs_id]

    def calibrations_for(self, chosen: Mapping[str, Sequence[str]], *, newest: bool = False) -> dict[str, str]:
        """The same of many observations, from ObsIDs to their instruments.

        With `newest`, what it would be if all that is installed were accepted (`daxa upgrade --calibration`).
        """
        if not self.is_calibrated or self.installed_calibration is None:
            return dict.fromkeys(chosen, "")
        backend = find_backend(self.provided.backend)
        tasks = [
            Task(
                self.mission,
                self.step.name,
                obs_id,
                self.locked.backend,
                self.locked.version,
                self.parameters_for(obs_id),
                facts_of(instruments),
                calibration="" if newest else self.locked.calibration,
                origin=canonical({"row": self._times.get(obs_id, {})}),
            )
            for obs_id, instruments in chosen.items()
        ]
        many = getattr(backend, "calibrations", None) or (lambda tasks: [backend.calibration(task) for task in tasks])
        return dict(zip(chosen, many(tasks), strict=True))

    def parameters_for(self, obs_id: str) -> str:
        """Effective parameters of an observation, as `canonical` JSON."""
        return self.overrides.get(obs_id, self.parameters)

    def parts_for(
        self, obs_id: str, instruments: tuple[str, ...], inputs: str, calibration: str = ""
    ) -> dict[str, str]:
        """What `daxa.run.task.Task.parts` would be for an observation with inputs of this digest."""
        return {
            "input": inputs,
            "parameters": self.parameters_for(obs_id),
            "selection": facts_of(instruments),
            "software": software_text(self.locked),
            "calibration": calibration,
        }


def read_recipes(layout: Layout, mission: str, steps: Sequence[Step]) -> dict[str, Recipe]:
    """Read what the archive says about the stages of a mission.

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
        try:
            more = inputs_parameter(mission, tables, step, steps)
        except ConfigError:
            more = {}  # `check_parameters` names the backend that is not there, and nothing runs.
        overrides = tables[step.name].get("obs", {})
        recipes[step.name] = Recipe(
            mission,
            step,
            locked[mission, step.name],
            provided_software(mission, tables, step, steps),
            parameters_of(tables, step.name, "", more),
            {obs_id: parameters_of(tables, step.name, obs_id, more) for obs_id in overrides},
            layout.selection(mission),
        )
    return recipes


def _find(name: str) -> Backend | None:
    try:
        return find_backend(name)
    except ConfigError:
        return None


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
            remedy=f"install {install} that made the archive, or `daxa upgrade --software` to reprocess with this one",
        )
    if step.fetches:
        return
    backend = find_backend(provided.backend)
    unit = backend.tasks(mission, step.name)
    if unit not in get_args(Unit) or (unit == "exposure" and not callable(getattr(backend, "exposures", None))):
        lack = ", but does not say which there are" if unit in get_args(Unit) else ""
        raise ConfigError(
            "backend-unit",
            f"the backend {provided.backend} asks for a task for each {unit!r:.40} in {step.name} of {mission}{lack}",
            remedy="update daxa, or use another version of the backend",
        )


def check_located(recipe: Recipe) -> None:
    """Make sure that the software which a stage needs is on this machine.

    Raises
    ------
    ConfigError
        It is not: the stage cannot run.
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
