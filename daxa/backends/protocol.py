"""What a backend is: an object that does steps, and declares in advance all that must be known about it.

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
"""What one task of a step processes."""


@dataclass(frozen=True)
class Located:
    """Whether the software of a backend is on this machine.

    Parameters
    ----------
    found
        Whether it can do its steps.
    version
        Of the software, as it reports itself.
    calibration
        Name of the installed calibration: the same as long as it does not change, and without a path.  For steps in
        `Backend.calibrated`, ``software.toml`` records it and `daxa doctor` shows it.
    missing
        What is missing, each as the end of a sentence that begins "there is no".
    remedy
        How to get what is missing.
    """

    found: bool
    version: str = ""
    calibration: str = ""
    missing: tuple[str, ...] = ()
    remedy: str = ""


class Backend(Protocol):
    """An object that does steps: in native Python, or with mission software.

    ``exposures`` is needed only if ``tasks`` returns ``exposure``.  A backend whose tasks of a step differ in size may
    also have ``resources_of(task)``, which then replaces ``resources``.  One that imports much may also have
    ``modules(step)``: names of modules that a process imports once for many workers.  None of them may start threads.
    One whose programs use random numbers without a fixed seed says so in ``randomised``, a mapping of steps to the
    kinds of products that are never the same twice: `daxa compare` then measures their differences against counting
    noise, and those of what later steps make of them.
    One that can resume where an earlier attempt stopped may have
    ``resume(task, directories, target, log, work_directory)``, which is then called instead of ``run``:
    ``work_directory`` is a directory of this task that is kept until it is done.
    One to which it costs much to look at its software may have ``calibrations(tasks)``, which returns what
    ``calibration`` would for each task.
    One with ``dated = True`` has its calibration accepted with the date, as ``...; as of 2026-11-30``.

    Attributes
    ----------
    name
        Its name in params files.
    calibrated
        Steps whose products depend on calibration files outside of the program: `calibration` is called
        only for these.
    """

    # Properties, so that a backend may have plain attributes of its class.
    @property
    def name(self) -> str:
        """Its name in params files."""
        ...

    @property
    def calibrated(self) -> Collection[str]:
        """Steps whose products depend on calibration files outside of the program."""
        ...

    def version(self, mission: str, step: str) -> str:
        """Version of its implementation of a step, raised whenever products change.

        Parameters
        ----------
        mission, step
            Their names.

        Returns
        -------
        str
            '' for what it does not do.  ``software.toml`` locks it; it must not depend on the machine.
        """
        ...

    def parameters(self, mission: str) -> Mapping[str, tuple[Parameter, ...]]:
        """The parameters in a mission's params file.

        Parameters
        ----------
        mission
            Its name.

        Returns
        -------
        dict
            Step to the parameters of its table, in the order in which they are written there.
        """
        ...

    def check(
        self, mission: str, tables: Mapping[str, Mapping[str, object]], instruments: Sequence[str] = ()
    ) -> list[ParameterProblem]:
        """All problems of the parameters of an observation, or of all that share them.

        Parameters
        ----------
        mission
            Whose params file it is.
        tables
            Step to its parameters, of the steps that this backend does; one may depend on another.
            Values are as `daxa.quantities.normalise` gives them.
        instruments
            Chosen instruments.

        Returns
        -------
        list of ParameterProblem
            Empty if nothing is wrong.
        """
        ...

    def inputs(self, spec: MissionSpec) -> tuple[NativeInput, ...]:
        """The files of the telescope's archive that it starts from, which are fetched.

        Parameters
        ----------
        spec
            The mission.

        Returns
        -------
        tuple of NativeInput
            Empty for a mission that it does not process.
        """
        ...

    def locate(self) -> Located:
        """Look for the software on this machine, without starting anything that takes longer than a moment.

        Returns
        -------
        Located
            What is installed, and how to get what is missing.
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
            That of the whole observation: step, parameters, chosen instruments; its ``calibration`` is that of
            ``software.toml``, which a backend can continue to use if it is able to ('' if there is none, and if the
            newest is asked for); its ``origin`` has under ``row`` the ``start`` and ``end`` of the observation (MJD)
            where the selection has them, for calibration that is chosen by them.

        Returns
        -------
        str
            '' for none.
        """
        ...

    def tasks(self, mission: str, step: str) -> Unit:
        """What one task of a step processes.

        Parameters
        ----------
        mission, step
            Their names.

        Returns
        -------
        str
            ``observation``: all its exposures in one task; ``exposure``: each in its own task.
        """
        ...

    def exposures(self, task: Task) -> Mapping[str, Sequence[Input]]:
        """The exposures of an observation; called only for steps that process each in its own task.

        It depends only on the task, and reads no file.  An observation without exposures fails.  Each exposure
        fails by itself: the others are kept, and later steps start from them.

        Parameters
        ----------
        task
            That of the whole observation, with all its inputs.

        Returns
        -------
        dict
            Name of each, such as ``PN-S003``, to the inputs that its task reads.  Its products have
            instrument and exposure in their names, or are in a directory named after the exposure.
            `daxa.run.exposures.group_inputs` returns this for a step that reads products.
        """
        ...

    def resources(self, mission: str, step: str) -> Resources:
        """The resources that one task of a step needs.

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
        """Run one task, in its own process.

        Parameters
        ----------
        task
            The step, the observation, its parameters and inputs.
        directories
            Step to the directory with that step's files of this observation.  Only those
            that the task names as inputs may be read, and none may be written.
        target
            Empty directory for the products.
        log
            Receives messages for people.

        Raises
        ------
        DataError, NotPossible
            This observation cannot be processed; the others go on.
        ConfigError, ProgramError
            Nothing can be processed; the stage stops.
        """
        ...


def check_tables(
    known: Mapping[str, Sequence[Parameter]], tables: Mapping[str, Mapping[str, object]]
) -> list[ParameterProblem]:
    """Problems of parameters by their schema only: a `Backend.check` for parameters that are independent.

    Parameters
    ----------
    known
        Step to the parameters of its table, as `Backend.parameters` gives them.
    tables
        Step to its parameters.

    Returns
    -------
    list of ParameterProblem
        Empty if nothing is wrong.

    Examples
    --------
    >>> known = {"spectra": (Parameter("min_counts", "number", 20.0, "counts in a bin", least=1.0),)}
    >>> [fault.key for fault in check_tables(known, {"spectra": {"min_count": 5.0}})]
    ['min_count']
    """
    return [fault for step, table in tables.items() for fault in read_parameters(step, known[step], table)[1]]
