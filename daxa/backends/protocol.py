"""What a backend is: the object that carries out steps, and says beforehand all that must be known of it.

A plug-in offers one through an entry point in the group ``daxa.backends``, whose name is the
backend's and whose value is the object, such as ``spectral = "spectral.backend:BACKEND"``.
`daxa.backends.contract` holds the checks for its author's tests.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TextIO

from daxa.backends.parameter_schema import Parameter, ParameterProblem, read_parameters
from daxa.missions import MissionSpec, NativeInput
from daxa.run.task import Task

__all__ = ["Backend", "Located", "Resources", "Unit", "check_tables"]

Unit = Literal["observation"]
"""What one task of a step treats."""


@dataclass(frozen=True)
class Resources:
    """What one task may take of a machine.

    Parameters
    ----------
    memory
        Bytes; 0 where it is not known, so that nothing waits for it.
    cores
        Processor cores that it keeps busy.
    time_limit
        Seconds after which it is certainly stuck.

    Examples
    --------
    >>> Resources(memory=2 << 30, cores=2).at_once(8, total_memory=5 << 30, total_cores=4)
    2
    """

    memory: int = 0
    cores: int = 1
    time_limit: float = math.inf

    def at_once(self, most: int, *, total_memory: int, total_cores: int) -> int:
        """How many such tasks a machine can carry out at once.

        Parameters
        ----------
        most
            No more than these.
        total_memory, total_cores
            Of the machine: bytes and cores.

        Returns
        -------
        int
            At least 1: a task that is too large for the machine runs alone.
        """
        # A task of one core is limited by the user's setting alone: some want more tasks than cores.
        by_cores = total_cores // self.cores if self.cores > 1 else most
        by_memory = total_memory // self.memory if self.memory else most
        return max(1, min(most, by_cores, by_memory))


@dataclass(frozen=True)
class Located:
    """Whether the software of a backend is on this machine.

    Parameters
    ----------
    found
        Whether steps can be carried out.
    version
        Of the software, as it says itself.
    calibration
        What calibration is there, for people.
    missing
        What is not there, each as the end of a sentence that begins "there is no".
    remedy
        How to get what is missing.
    """

    found: bool
    version: str = ""
    calibration: str = ""
    missing: tuple[str, ...] = ()
    remedy: str = ""


class Backend(Protocol):
    """What carries out steps: native Python, or mission software.

    One that imports much may also have ``modules(step)``: names of modules that a process imports once for many
    workers.  None of them may start threads.  One whose programs use random numbers without a fixed seed says so in
    ``randomised``, a mapping of steps to the kinds of products that are never the same twice: `daxa compare` then
    measures their differences against counting noise, and never calls them identical.

    Attributes
    ----------
    name
        Its name, as params files say it.
    calibrated
        Steps whose products depend on calibration files outside of the program: only for these is
        `calibration` asked.
    """

    name: str
    calibrated: Collection[str]

    def version(self, mission: str, step: str) -> str:
        """Version of its way of doing a step, raised whenever products change; '' for what it does not do.

        This is what ``software.toml`` locks.  It must not depend on the machine.
        """
        ...

    def parameters(self, mission: str) -> Mapping[str, tuple[Parameter, ...]]:
        """Step to what may stand in its table of the params file, in the order in which it is written there."""
        ...

    def check(
        self, mission: str, tables: Mapping[str, Mapping[str, object]], instruments: Sequence[str] = ()
    ) -> list[ParameterProblem]:
        """Everything that is wrong with the parameters of an observation, or of all that share them.

        Parameters
        ----------
        mission
            Whose params file it is.
        tables
            Step to its parameters, of the steps that this backend carries out; one may depend on another.
            Values are as `daxa.quantities.normalise` gives them.
        instruments
            Chosen instruments.
        """
        ...

    def inputs(self, spec: MissionSpec) -> tuple[NativeInput, ...]:
        """The files of the telescope's archive that it starts from: these are fetched."""
        ...

    def locate(self) -> Located:
        """Look for the software on this machine; starts nothing that takes longer than a moment."""
        ...

    def calibration(self, task: Task) -> str:
        """Identity of the calibration that a task would use, '' for none; it enters the task's fingerprint.

        Equal calibration has equal identity on every machine: a digest, never a path or a date of today.
        """
        ...

    def tasks(self, mission: str, step: str) -> Unit:
        """What one task of a step treats."""
        ...

    def resources(self, mission: str, step: str) -> Resources:
        """What one task of a step takes."""
        ...

    def run(self, task: Task, directories: Mapping[str, Path], target: Path, log: TextIO) -> None:
        """Carry out one task, in a process of its own.

        Parameters
        ----------
        task
            The step, the observation, its parameters and inputs.
        directories
            Step to the directory that holds that step's files of this observation.  Only those
            that the task names as inputs may be read, and none may be written.
        target
            Empty directory for the products.
        log
            Receives what a person may want to read.

        Raises
        ------
        DataError, NotPossible
            This observation cannot be processed; the others go on.
        ConfigError, ProgramError
            Nothing can be processed this way; the stage stops.
        """
        ...


def check_tables(
    known: Mapping[str, Sequence[Parameter]], tables: Mapping[str, Mapping[str, object]]
) -> list[ParameterProblem]:
    """What is wrong with parameters by their schema alone: a `Backend.check` where none depends on another.

    Examples
    --------
    >>> known = {"spectra": (Parameter("min_counts", "number", 20.0, "counts in a bin", least=1.0),)}
    >>> [fault.key for fault in check_tables(known, {"spectra": {"min_count": 5.0}})]
    ['min_count']
    """
    return [fault for step, table in tables.items() for fault in read_parameters(step, known[step], table)[1]]
