"""The native backend: events, clean, images and sources in Python, from the archives' calibrated lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO

from daxa.errors import ConfigError
from daxa.missions import MissionSpec, NativeInput, find_mission
from daxa.run.task import Input, Task

if TYPE_CHECKING:
    from daxa.backends.parameter_schema import Parameter, ParameterProblem
    from daxa.backends.protocol import Located, Resources, Unit

__all__ = ["NATIVE", "NativeBackend"]

_MEMORY = 1 << 30
_VERSIONS = MappingProxyType({"events": "4", "clean": "12", "images": "13", "sources": "10"})


class NativeBackend:
    """Does the steps without any mission software (`daxa.backends.protocol.Backend`)."""

    name = "native"
    calibrated = ()
    """None: the facts about a telescope are in `daxa.xray`, and are versioned with the steps."""

    def version(self, mission: str, step: str) -> str:
        """Version of a step, raised whenever its products change; '' for steps that it does not do.

        Examples
        --------
        >>> NATIVE.version("xmm", "fetch"), NATIVE.version("exosat", "clean")
        ('', '')
        """
        return _VERSIONS.get(step, "") if find_mission(mission).processed else ""

    def parameters(self, mission: str) -> Mapping[str, tuple[Parameter, ...]]:
        """The parameters in a mission's params file: step to its parameters, with units, defaults and help."""
        from daxa.backends.native.parameters import native_parameters

        return native_parameters(mission)

    def check(
        self, mission: str, tables: Mapping[str, Mapping[str, object]], instruments: Sequence[str] = ()
    ) -> list[ParameterProblem]:
        """Problems of the parameters, see `daxa.backends.native.parameters.check_parameters`."""
        from daxa.backends.native.parameters import check_parameters

        return check_parameters(mission, tables, instruments)

    def inputs(self, spec: MissionSpec) -> tuple[NativeInput, ...]:
        """The calibrated lists of the archive and the files that accompany them, as the mission declares them."""
        return spec.native_inputs

    def locate(self) -> Located:
        """Always found: it is part of daxa."""
        from importlib.metadata import version

        from daxa.backends.protocol import Located

        return Located(found=True, version=version("daxa-archive"), calibration="part of daxa")

    def calibration(self, task: Task) -> str:
        """None: no calibration can change without the version of a step."""
        return ""

    def tasks(self, mission: str, step: str) -> Unit:
        """One task per observation, with all its exposures."""
        return "observation"

    def exposures(self, task: Task) -> Mapping[str, Sequence[Input]]:
        """Empty: no exposure has its own task."""
        return {}

    def resources(self, mission: str, step: str) -> Resources:
        """The resources of a task: up to 0.4 GiB were measured on lists of 100,000 events; longer ones take more."""
        from daxa.backends.protocol import Resources

        return Resources(memory=_MEMORY)

    def modules(self, step: str) -> tuple[str, ...]:
        """Modules of the step, for a process that imports them once for many workers; none starts threads.

        Examples
        --------
        >>> NATIVE.modules("events")
        ('daxa.backends.native.events',)
        """
        if step not in _VERSIONS:
            return ()
        drawing = ("matplotlib.backends.backend_agg", "matplotlib.figure") if step != "events" else ()
        return (f"{__name__}.{step}", *drawing)

    def run(self, task: Task, directories: Mapping[str, Path], target: Path, log: TextIO) -> None:
        """Do one step for one observation.

        Parameters
        ----------
        task
            The step, the observation, its parameters and inputs.
        directories
            Step name to the directory with that step's files of this observation.  Only
            the files that the task names as inputs are read.
        target
            Empty directory for the products.
        log
            Receives lines about what was done, and what was left out and why.

        Raises
        ------
        ConfigError
            A parameter is unknown or malformed, or the step is not a native one.
        DataError
            A file is not what it should be, or nothing usable is left.
        NotPossible
            The instrument cannot give what is requested.
        """
        if task.step == "events":
            from daxa.backends.native.events import make_events as make
        elif task.step == "clean":
            from daxa.backends.native.clean import make_clean as make
        elif task.step == "images":
            from daxa.backends.native.images import make_images as make
        elif task.step == "sources":
            from daxa.backends.native.sources import make_sources as make
        else:
            raise ConfigError(
                "backend-step",
                f"the native backend does not do the step {task.step!r} ({task.mission} {task.obs_id})",
                remedy=f"it does {', '.join(_VERSIONS)}",
            )
        make(task, directories, target, log)


NATIVE = NativeBackend()
