"""What a backend is: the object that carries out steps, and says beforehand all that must be known of it.

A plug-in offers one through an entry point in the group ``daxa.backends``, whose name is the
backend's and whose value is the object, such as ``spectral = "spectral.backend:BACKEND"``.
`daxa.backends.contract` holds the checks for its author's tests.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TextIO

from daxa.backends.parameter_schema import Parameter, ParameterProblem, read_parameters
from daxa.missions import MissionSpec, NativeInput
from daxa.run.machine import Resources
from daxa.run.task import Input, Task

__all__ = ["Backend", "Located", "Resources", "Unit", "check_tables"]

Unit = Literal["observation", "exposure"]
"""What one task of a step treats."""


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
        What calibration is there: equal as long as it does not change, without a path.  For steps in
        `Backend.calibrated` it is what ``software.toml`` keeps, and what `daxa doctor` shows.
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

    ``exposures`` is needed only where ``tasks`` gives ``exposure``.  One whose tasks of a step differ in size may
    also have ``resources_of(task)``, which then counts in place of ``resources``.  One that imports much may also have
    ``modules(step)``: names of modules that a process imports once for many workers.  None of them may start threads.
    One whose programs use random numbers without a fixed seed says so in ``randomised``, a mapping of steps to the
    kinds of products that are never the same twice: `daxa compare` then measures their differences against counting
    noise, and never calls them identical.
    One that can go on where an earlier attempt broke may have ``go_on(task, directories, target, log, workshop)``,
    which is then called in place of ``run``: ``workshop`` is a directory of this task that stays until it is done.
    One with ``dated = True`` has its calibration accepted with the date, as ``...; as of 2026-11-30``.

    Attributes
    ----------
    name
        Its name, as params files say it.
    calibrated
        Steps whose products depend on calibration files outside of the program: only for these is
        `calibration` asked.
    """

    # Properties, so that a backend may have plain attributes of its class.
    @property
    def name(self) -> str:
        """Its name, as params files say it."""
        ...

    @property
    def calibrated(self) -> Collection[str]:
        """Steps whose products depend on calibration files outside of the program."""
        ...

    def version(self, mission: str, step: str) -> str:
        """Version of its way of doing a step, raised whenever products change.

        Parameters
        ----------
        mission, step
            Their names.

        Returns
        -------
        str
            '' for what it does not do.  This is what ``software.toml`` locks; it must not depend on the machine.
        """
        ...

    def parameters(self, mission: str) -> Mapping[str, tuple[Parameter, ...]]:
        """What may stand in a mission's params file.

        Parameters
        ----------
        mission
            Its name.

        Returns
        -------
        dict
            Step to what may stand in its table, in the order in which it is written there.
        """
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

        Returns
        -------
        list of ParameterProblem
            Empty where nothing is wrong.
        """
        ...

    def inputs(self, spec: MissionSpec) -> tuple[NativeInput, ...]:
        """The files of the telescope's archive that it starts from: these are fetched.

        Parameters
        ----------
        spec
            The mission.

        Returns
        -------
        tuple of NativeInput
            None of them for a mission that it does not process.
        """
        ...

    def locate(self) -> Located:
        """Look for the software on this machine; starts nothing that takes longer than a moment.

        Returns
        -------
        Located
            What is there, and how to get what is missing.
        """
        ...

    def calibration(self, task: Task) -> str:
        """Identity of the calibration that a task would use; it enters the task's fingerprint.

        Equal calibration has equal identity on every machine: a digest, never a path or a date of today.
        If it differs from that of the products, these are made again once the user has accepted the installed
        calibration (`daxa upgrade --calibration`).

        Parameters
        ----------
        task
            Of the whole observation: step, parameters, inputs; its ``calibration`` is what ``software.toml`` holds
            ('' for nothing), which a backend can go on using where it can.

        Returns
        -------
        str
            '' for none.
        """
        ...

    def tasks(self, mission: str, step: str) -> Unit:
        """What one task of a step treats.

        Parameters
        ----------
        mission, step
            Their names.

        Returns
        -------
        str
            ``observation``: all exposures of one are done together; ``exposure``: each in a task of its own.
        """
        ...

    def exposures(self, task: Task) -> Mapping[str, Sequence[Input]]:
        """The exposures of an observation, for steps that treat each in a task of its own; asked of no others.

        It depends on the task alone, and reads no file.  An observation without any fails, and so does each
        exposure for itself: the others are kept, and later steps start from them.

        Parameters
        ----------
        task
            Of the whole observation, with all its inputs.

        Returns
        -------
        dict
            Name of each, such as ``PN-S003``, to those of the inputs that its task reads.  Its products carry
            instrument and exposure in their names, or stand in a directory called like the exposure.
            `daxa.run.exposures.group_inputs` gives it for a step that reads products.
        """
        ...

    def resources(self, mission: str, step: str) -> Resources:
        """What one task of a step takes.

        Parameters
        ----------
        mission, step
            Their names.

        Returns
        -------
        Resources
            As measured, or more.
        """
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

    Parameters
    ----------
    known
        Step to what may stand in its table, as `Backend.parameters` gives it.
    tables
        Step to its parameters.

    Returns
    -------
    list of ParameterProblem
        Empty where nothing is wrong.

    Examples
    --------
    >>> known = {"spectra": (Parameter("min_counts", "number", 20.0, "counts in a bin", least=1.0),)}
    >>> [fault.key for fault in check_tables(known, {"spectra": {"min_count": 5.0}})]
    ['min_count']
    """
    return [fault for step, table in tables.items() for fault in read_parameters(step, known[step], table)[1]]
