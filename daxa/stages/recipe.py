"""What the tasks of a stage depend on beside their inputs: parameters, software, chosen instruments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from daxa.archive.config import (
    FETCH_SOFTWARE,
    Locked,
    effective_parameters,
    load_parameters,
    load_software,
)
from daxa.archive.layout import STEPS, Layout
from daxa.backends import find_backend
from daxa.errors import ArchiveError, ConfigError
from daxa.run.task import canonical

__all__ = ["Recipe", "check_software", "facts_of", "parameters_of", "previous_step", "read_recipe", "read_recipes"]


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
        The software that is installed.
    parameters
        Effective parameters of every observation without an override, as `canonical` JSON.
    overrides
        ObsID to the effective parameters of an observation with one.
    """

    mission: str
    step: str
    locked: Locked
    provided: Locked
    parameters: str
    overrides: Mapping[str, str]

    def parameters_for(self, obs_id: str) -> str:
        """Effective parameters of an observation, as `canonical` JSON."""
        return self.overrides.get(obs_id, self.parameters)

    def parts_for(self, obs_id: str, instruments: tuple[str, ...], inputs: str) -> dict[str, str]:
        """What `daxa.run.task.Task.parts` would be of an observation with inputs of this digest."""
        return {
            "input": inputs,
            "parameters": self.parameters_for(obs_id),
            "selection": facts_of(instruments),
            "software": f"{self.locked.backend} {self.locked.version}",
            "calibration": "",
        }


def read_recipe(layout: Layout, mission: str, step: str) -> Recipe:
    """Read what the archive says of a stage.

    Raises
    ------
    ArchiveError
        There is no such step.
    ConfigError
        The parameters or the locked software cannot be read.
    """
    if step not in STEPS:
        raise ArchiveError(
            "no-stage", f"this archive has no stage {step} of {mission}", remedy="list them with `dvc stage list`"
        )
    return read_recipes(layout, mission, (step,))[step]


def read_recipes(layout: Layout, mission: str, steps: Sequence[str] = STEPS) -> dict[str, Recipe]:
    """Read what the archive says of several stages of a mission, as `read_recipe` does."""
    tables, locked = load_parameters(layout, mission), load_software(layout)
    backend = find_backend(str(tables["events"].get("backend", "native")))
    recipes = {}
    for step in steps:
        if (mission, step) not in locked:
            raise ConfigError(
                "no-lock",
                f"{layout.software} has no table [{mission}.{step}]",
                remedy="restore software.toml with `git checkout software.toml`",
            )
        recipes[step] = Recipe(
            mission,
            step,
            locked[mission, step],
            FETCH_SOFTWARE if step == "fetch" else Locked(backend.name, backend.version(step)),
            parameters_of(tables, step, ""),
            {obs_id: parameters_of(tables, step, obs_id) for obs_id in tables[step].get("obs", {})},
        )
    return recipes


def check_software(recipe: Recipe) -> None:
    """Make sure that the installed software is the locked one.

    Raises
    ------
    ConfigError
        It is not.
    """
    locked, provided = recipe.locked, recipe.provided
    if locked != provided:
        raise ConfigError(
            "software",
            f"the archive is locked to {locked.backend} {locked.version} for {recipe.step} of {recipe.mission}, "
            f"but {provided.backend} {provided.version} would run",
            remedy="install the daxa that made the archive, or enter the new version in software.toml to reprocess",
        )


def parameters_of(tables: Mapping[str, Mapping[str, Any]], step: str, obs_id: str) -> str:
    """Effective parameters of a step as `canonical` JSON.

    Examples
    --------
    >>> parameters_of({"events": {"backend": "native", "min_ontime": "1 ks"}}, "events", "0404910601")
    '{"min_ontime":"1000.0 s"}'
    """
    parameters = effective_parameters(tables, step, obs_id)
    # The backend is part of the software.
    parameters.pop("backend", None)
    return canonical(parameters)


@cache
def facts_of(instruments: Sequence[str]) -> str:
    """What a task uses of the selection, as `canonical` JSON.

    Examples
    --------
    >>> facts_of(("M1", "PN"))
    '{"instruments":["M1","PN"]}'
    """
    return canonical({"instruments": instruments})


def previous_step(step: str) -> str:
    """The step whose products a step reads, '' for the first.

    Examples
    --------
    >>> previous_step("clean"), previous_step("fetch")
    ('events', '')
    """
    return STEPS[STEPS.index(step) - 1] if step != STEPS[0] else ""
