"""The native backend: events, clean, images and sources in Python, from the archives' calibrated lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO

from daxa.errors import ConfigError
from daxa.run.task import Task

if TYPE_CHECKING:
    from daxa.backends.schema import Fault, Parameter

__all__ = ["NATIVE", "NativeBackend"]

_VERSIONS = MappingProxyType({"events": "3", "clean": "5", "images": "6", "sources": "4"})


class NativeBackend:
    """Carries out the steps without any mission software (`daxa.run.task.Backend`)."""

    name = "native"

    def version(self, step: str) -> str:
        """Version of the way a step is done, raised whenever its products change; '' for other steps.

        Examples
        --------
        >>> NATIVE.version("fetch")
        ''
        """
        return _VERSIONS.get(step, "")

    def parameters(self, mission: str) -> Mapping[str, tuple[Parameter, ...]]:
        """What may stand in a mission's params file: step to its parameters, with units, defaults and help."""
        from daxa.backends.parameters import native_parameters

        return native_parameters(mission)

    def check(
        self, mission: str, tables: Mapping[str, Mapping[str, object]], instruments: Sequence[str] = ()
    ) -> list[Fault]:
        """What is wrong with parameters, see `daxa.backends.parameters.check_parameters`."""
        from daxa.backends.parameters import check_parameters

        return check_parameters(mission, tables, instruments)

    def run(self, task: Task, sources: Mapping[str, Path], target: Path, log: TextIO) -> None:
        """Do one step for one observation.

        Parameters
        ----------
        task
            The step, the observation, its parameters and inputs.
        sources
            Step name to the directory with that step's files of this observation.  Only
            the files that the task names as inputs are read.
        target
            Empty directory for the products.
        log
            Receives what was done, and what was left out and why.

        Raises
        ------
        ConfigError
            A parameter is unknown or malformed, or the step is not a native one.
        DataError
            A file is not what it should be, or nothing usable is left.
        NotPossible
            The instrument cannot give what is asked for.
        """
        if task.step == "events":
            from daxa.backends.native_events import make_events as make
        elif task.step == "clean":
            from daxa.backends.native_clean import make_clean as make
        elif task.step == "images":
            from daxa.backends.native_images import make_images as make
        elif task.step == "sources":
            from daxa.backends.native_sources import make_sources as make
        else:
            raise ConfigError(
                "backend-step",
                f"the native backend does not do the step {task.step!r} ({task.mission} {task.obs_id})",
                remedy=f"it does {', '.join(_VERSIONS)}",
            )
        make(task, sources, target, log)


NATIVE = NativeBackend()
