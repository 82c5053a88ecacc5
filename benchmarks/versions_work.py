"""A backend whose products cost nothing to make, so that only the cost of versions is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from versions_files import content

from daxa.backends.protocol import Located, Resources

if TYPE_CHECKING:
    from daxa.missions import MissionSpec, NativeInput
    from daxa.run.task import Task

__all__ = ["BACKEND", "KINDS", "product_names"]

KINDS = {
    "events": ("events",),
    "clean": ("finalevents", "gti"),
    "images": ("image", "expmap"),
    "sources": ("sourcelist",),
}
"""Step to the kinds of its products: with the manifests ten files of an observation."""


def product_names(step: str, obs_id: str) -> list[str]:
    """Names of the products of a step for an observation."""
    return [f"obsid{obs_id}-instM1-subexpS001-en-{kind}.json" for kind in KINDS[step]]


class Weightless:
    """The backend."""

    name = "weightless"
    calibrated = ()

    def version(self, mission: str, step: str) -> str:
        return "1" if step in KINDS else ""

    def parameters(self, mission: str) -> Mapping[str, tuple[Any, ...]]:
        return dict.fromkeys(KINDS, ())

    def check(
        self, mission: str, tables: Mapping[str, Mapping[str, object]], instruments: Sequence[str] = ()
    ) -> list[Any]:
        return []

    def inputs(self, spec: MissionSpec) -> tuple[NativeInput, ...]:
        return spec.native_inputs

    def locate(self) -> Located:
        return Located(True, "1")

    def calibration(self, task: Task) -> str:
        return ""

    def tasks(self, mission: str, step: str) -> str:
        return "observation"

    def resources(self, mission: str, step: str) -> Resources:
        return Resources(memory=1 << 20, time_limit=60.0)

    def run(self, task: Task, directories: Mapping[str, Path], target: Path, log: TextIO) -> None:
        for name in product_names(task.step, task.obs_id):
            (target / name).write_bytes(content(task.step, task.obs_id, name))


BACKEND = Weightless()
