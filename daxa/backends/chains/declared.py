"""What a chain of tools is, as values: its links, the calls that they plan, and what is known when they plan them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from daxa.backends.parameter_schema import Parameter
from daxa.run.machine import Resources
from daxa.run.task import Task

if TYPE_CHECKING:
    from pathlib import Path

    from daxa.backends.tools.environment import Installation

__all__ = [
    "WORK",
    "CalibrationNeed",
    "CallPlan",
    "Chain",
    "ChainProduct",
    "Facts",
    "FinishedCall",
    "Known",
    "Link",
    "Program",
]

WORK = "{work}"
"""Placeholder for the working directory in the variables of a call."""


@dataclass(frozen=True)
class CallPlan:
    """A call that a link plans.

    Parameters
    ----------
    values
        Parameter to value; the link's defaults, and the user's values, are added.
    part
        The exposure that it treats, such as ``M1-S001``; '' where it serves all of them.
    name
        What distinguishes it from the link's other calls for this part, such as a band.
    variables
        Variables of this call, such as ``{"SAS_CCF": f"{WORK}/ccf.cif"}``.
    """

    values: Mapping[str, object] = field(default_factory=dict)
    part: str = ""
    name: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FinishedCall:
    """A call that succeeded.

    Parameters
    ----------
    link, part, name
        Its link, its exposure, and what distinguishes it from the link's other calls.
    values
        The values as the tool received them.
    outputs
        Name of an output, as the tool's table has it, to paths below the working directory.
    """

    link: str
    part: str
    name: str
    values: Mapping[str, str]
    outputs: Mapping[str, tuple[str, ...]]


class Facts(Protocol):
    """What links may read: only files in the working directory."""

    def header(self, path: str, table: str = "") -> Mapping[str, Any]:
        """Cards of a FITS file: those of a table (by default the first), then those of the primary header."""
        ...

    def text(self, path: str) -> str:
        """A text file."""
        ...


@dataclass(frozen=True)
class Known:
    """Everything that a link may use to decide.

    Parameters
    ----------
    task
        Step, observation, parameters, inputs.
    release
        Of the software.
    parameters
        The values of the chain's own parameters.
    inputs
        Paths of the inputs below the working directory, sorted.
    facts
        Reads files that are there.
    made
        The calls made so far, in order.
    left_out
        Parts of which a call failed: nothing more is planned for them.
    links
        Names of the links that are neither skipped nor after the last one.
    """

    task: Task
    release: str
    parameters: Mapping[str, Any]
    inputs: tuple[str, ...]
    facts: Facts
    finished: tuple[FinishedCall, ...] = ()
    left_out: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names of the chosen instruments."""
        return tuple(json.loads(self.task.facts).get("instruments", ()))

    def outputs(self, link: str, output: str = "", part: str | None = None) -> list[tuple[str, str]]:
        """Part and path of what a link has made so far: one output, or all; of one part, or of all."""
        return [
            (call.part, path)
            for call in self.finished
            if call.link == link and part in (None, call.part) and call.part not in self.left_out
            for name, paths in call.outputs.items()
            if output in ("", name)
            for path in paths
        ]

    def output(self, link: str, output: str = "", part: str | None = None) -> str:
        """The path of the last of them; '' where there is none."""
        return next((path for _, path in reversed(self.outputs(link, output, part))), "")


@dataclass(frozen=True)
class Link:
    """One use of a tool in a chain.

    Parameters
    ----------
    name
        As used in params files and in error codes; the name of the tool if that is unambiguous.
    tool
        The tool.
    plan
        Returns its calls from what is known: none, one, or one for each exposure.  It only decides; it runs nothing.
    help
        What it does, in one line.
    defaults
        Values that hold where the user gives none; one that the release does not have is left out.
    wired
        Parameters that only the chain gives: files that one call passes to the next.
    seconds
        Time limit of one call.
    apart
        Whether it treats parts of its own, whatever became of those of the links before.
    refuses
        For parameters whose values the tool's table cannot judge: a function from a user's value to what to write
        instead, '' for a good one.
    """

    name: str
    tool: str
    plan: Callable[[Known], Sequence[CallPlan]]
    help: str
    defaults: Mapping[str, object] = field(default_factory=dict)
    wired: tuple[str, ...] = ()
    seconds: float = 6 * 3600.0
    apart: bool = False
    refuses: Mapping[str, Callable[[object], str]] = field(default_factory=dict)


@dataclass(frozen=True)
class ChainProduct:
    """A product: a file of the working directory, under our name.

    Parameters
    ----------
    path
        Below the working directory.
    name
        `daxa.run.product.Product.name`, or the name of an auxiliary file.
    cards
        Cards that are written into its primary header and its first table, with their comments.
    write
        Called with the working directory and the product's path, instead of copying a file: for products that
        must be in our own form.
    """

    path: str
    name: str
    cards: Mapping[str, tuple[object, str]] = field(default_factory=dict)
    write: Callable[[Path, Path], None] | None = None


@dataclass(frozen=True)
class Chain:
    """How a suite does a step for some missions.

    Parameters
    ----------
    missions, step
        What it does.
    version
        Of this declaration, raised whenever products change.
    links
        In order.
    products
        Returns the products from what is known at the end.
    parameters
        Of the step, beside those of the tools, ``skip`` and ``stop_after``.
    place
        From the path of an input to its path below the working directory, without the ending of a packed file;
        '' for an input that is not needed.
    resources
        What one task takes.
    calibrated
        Whether its products depend on calibration files, or on the release of the software, which is recorded with
        the identity of the calibration.
    randomised
        Kinds of products that are never the same twice.
    refuse
        Raises `NotPossible` or `DataError` for combinations of parameters, and for observations, that the chain cannot
        handle.
    """

    missions: tuple[str, ...]
    step: str
    version: str
    links: tuple[Link, ...]
    products: Callable[[Known], Sequence[ChainProduct]]
    parameters: tuple[Parameter, ...] = ()
    place: Callable[[str], str] = field(default=lambda path: path.rpartition("/")[2])
    resources: Resources = field(default_factory=Resources)
    calibrated: bool = False
    randomised: tuple[str, ...] = ()
    refuse: Callable[[Known], None] = lambda known: None


@dataclass(frozen=True)
class CalibrationNeed:
    """What decides which calibration files a task uses.

    Parameters
    ----------
    mission, step
        Whose.
    instruments
        Names of the chosen instruments.
    start, end
        Of the observation, MJD; None where the selection does not say.
    as_of
        The date at which the archive has accepted the calibration, if the suite chooses files by dates and this
        release was accepted; '' otherwise, and for the newest files.
    """

    mission: str
    step: str
    instruments: tuple[str, ...] = ()
    start: float | None = None
    end: float | None = None
    as_of: str = ""


@dataclass(frozen=True)
class Program:
    """A suite as a backend.

    Parameters
    ----------
    suite
        Name of its tables.
    chains
        At most one for each mission and step.
    calibration
        The identity of the calibration that an installation has, with the release, which products depend on as well;
        raises ProgramError where there is none.
    used
        The identity of that part of it which one task uses, so that a newer file concerns the observations that
        would use it, and no others.  None where each task depends on all of it.
    dated
        Whether calibration is accepted with a date, which the chain then finds in ``task.accepted``.
    remedy
        How to get the software.
    """

    suite: str
    chains: tuple[Chain, ...]
    calibration: Callable[[Installation], str] = lambda installed: ""
    used: Callable[[Installation, CalibrationNeed], str] | None = None
    dated: bool = False
    remedy: str = ""
