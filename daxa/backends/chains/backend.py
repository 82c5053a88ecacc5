"""A suite of mission software as a backend, from the chains that are declared for it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO

from daxa.backends.chains.declared import CalibrationNeed, Chain, Program
from daxa.backends.chains.tool_settings import check_settings, own_parameters
from daxa.backends.parameter_schema import Parameter, ParameterProblem
from daxa.backends.protocol import Located, Resources, Unit
from daxa.backends.registry import AS_OF
from daxa.backends.tools import capture
from daxa.backends.tools.reading import read_suite
from daxa.errors import ConfigError, ProgramError
from daxa.missions import MissionSpec, NativeInput
from daxa.run.task import Input, Task

if TYPE_CHECKING:
    from daxa.backends.tools.environment import Installation

__all__ = ["ChainBackend"]


class ChainBackend:
    """Runs the steps for which a suite has chains (`daxa.backends.protocol.Backend`).

    Parameters
    ----------
    program
        The suite and its chains.
    inputs
        Mission to the archive files that its chains start from.
    """

    def __init__(self, program: Program, inputs: Mapping[str, tuple[NativeInput, ...]]) -> None:
        self.program, self._inputs = program, inputs
        self.name = program.suite
        self.dated = program.dated
        self.calibrated = tuple(dict.fromkeys(chain.step for chain in program.chains if chain.calibrated))
        self.randomised: Mapping[str, tuple[str, ...]] = MappingProxyType(
            {chain.step: chain.randomised for chain in program.chains if chain.randomised}
        )

    def chain(self, mission: str, step: str) -> Chain | None:
        """The chain for a step of a mission, None where there is none."""
        return next((one for one in self.program.chains if one.step == step and mission in one.missions), None)

    def version(self, mission: str, step: str) -> str:
        """Version of the chain of a step; '' where there is none."""
        chain = self.chain(mission, step)
        return chain.version if chain else ""

    def parameters(self, mission: str) -> Mapping[str, tuple[Parameter, ...]]:
        """The parameters that a mission's params file may have."""
        chains = [chain for chain in self.program.chains if mission in chain.missions]
        return {chain.step: own_parameters(self.name, chain) for chain in chains}

    def check(
        self, mission: str, tables: Mapping[str, Mapping[str, object]], instruments: Sequence[str] = ()
    ) -> list[ParameterProblem]:
        """What is wrong with parameters, those of the tools included, whatever release is installed."""
        return [
            fault
            for step, table in tables.items()
            if (chain := self.chain(mission, step))
            for fault in check_settings(self.name, chain, table)
        ]

    def inputs(self, spec: MissionSpec) -> tuple[NativeInput, ...]:
        """The files that the chains start from."""
        return self._inputs.get(spec.name, ())

    def locate(self) -> Located:
        """Look for the software, its release and its calibration."""
        title = read_suite(self.name).title
        try:
            installed = capture.find_installation(self.name)
            calibration = self.program.calibration(installed)
        except (ProgramError, ConfigError) as error:
            return Located(False, missing=(f"{title} ({error.message})",), remedy=self.program.remedy or error.remedy)
        except OSError as error:
            missing = f"{title} (its calibration cannot be read: {error})"
            return Located(False, missing=(missing,), remedy=self.program.remedy)
        return Located(True, f"{title} {installed.release}", calibration)

    def calibration(self, task: Task) -> str:
        """What a task uses of the installed calibration, as of the accepted date if it is of this release."""
        return self.calibrations([task])[0]

    def calibrations(self, tasks: Sequence[Task]) -> list[str]:
        """The same of many tasks: the software is looked up once."""
        if not any(task.step in self.calibrated for task in tasks):
            return [""] * len(tasks)
        located = self.locate()
        installed = self._installed() if located.found else None
        return [self._calibration(task, located, installed) if task.step in self.calibrated else "" for task in tasks]

    def _calibration(self, task: Task, located: Located, installed: Installation | None) -> str:
        accepted = self.dated and task.calibration.startswith(f"{located.version},")
        as_of = task.calibration.partition(AS_OF)[2] if accepted else ""
        if self.program.used is None or installed is None:
            return task.calibration if as_of else located.calibration
        row = json.loads(task.origin).get("row", {})
        need = CalibrationNeed(
            task.mission,
            task.step,
            tuple(json.loads(task.facts).get("instruments", ())),
            row.get("start"),
            row.get("end"),
            as_of,
        )
        try:
            return self.program.used(installed, need)
        except OSError as error:  # Somebody may be installing a newer set.
            raise ProgramError(
                "calibration",
                f"the calibration files of {self.name} cannot be read: {error}",
                remedy="make sure that they are complete and readable, and try again",
            ) from None

    def tasks(self, mission: str, step: str) -> Unit:
        """All exposures of an observation are done together: they share index, summary and attitude."""
        return "observation"

    def exposures(self, task: Task) -> Mapping[str, Sequence[Input]]:
        """No exposure has its own task."""
        return {}

    def resources(self, mission: str, step: str) -> Resources:
        """What a task takes, as its chain declares it."""
        chain = self.chain(mission, step)
        return chain.resources if chain else Resources()

    def run(self, task: Task, directories: Mapping[str, Path], target: Path, log: TextIO) -> None:
        """Do one step for one observation, ignoring earlier attempts (see `resume`)."""
        with tempfile.TemporaryDirectory(prefix="work-", dir=target.parent) as place:
            self.resume(task, directories, target, log, Path(place))

    def resume(
        self, task: Task, directories: Mapping[str, Path], target: Path, log: TextIO, work_directory: Path
    ) -> None:
        """Do one step for one observation, resuming where an earlier attempt stopped.

        Parameters
        ----------
        task, directories, target, log
            As for `daxa.backends.protocol.Backend.run`.
        work_directory
            A directory for this task only, kept until the task is done.

        Raises
        ------
        CallError
            A call failed; the code is that of its verdict.
        DataError, NotPossible
            There is nothing to work on, or the chain cannot do it.
        ConfigError, ProgramError, StorageError
            The task cannot be run on this machine, or with these settings.
        """
        from daxa.backends.chains.execution import run_chain

        run_chain(
            self.program,
            self._chain_of(task),
            task,
            directories,
            target=target,
            log=log,
            work_directory=work_directory,
            installed=self._installed(),
        )

    def _installed(self) -> Installation:
        return capture.find_installation(self.name)

    def _chain_of(self, task: Task) -> Chain:
        chain = self.chain(task.mission, task.step)
        if chain is None:
            raise ConfigError(
                "backend-step",
                f"the backend {self.name} does not do the step {task.step!r} ({task.mission} {task.obs_id})",
                remedy=f"it does {'; '.join(_what(one) for one in self.program.chains)}",
            )
        return chain


def _what(chain: Chain) -> str:
    return f"{chain.step} of {', '.join(chain.missions)}"
