"""Facts about the tools of mission software, as values: parameters, output files, sentences of success."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["Kind", "Known", "Option", "Output", "Parameter", "Sentence", "Suite", "Tool", "When"]

Kind = Literal["flag", "integer", "real", "choice", "text", "file"]

When = tuple[Mapping[str, str], ...]
"""Sets of parameter values, one of which must apply; without any, the condition always holds."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a tool, in some of its releases.

    Parameters
    ----------
    name
        Its name in the tool.
    kind
        Of one value: ``flag`` (yes or no), ``integer``, ``real``, ``choice``, ``text``, ``file``.
    default
        The text that the tool assumes; None if it assumes nothing or this is not known.
    required
        Whether the tool cannot run without it.
    choices
        Of a ``choice``.
    least, most
        Of a number.
    unit
        Of a number, for people.
    several
        Whether the value is a list of such values.
    separator
        Between the values of a list.
    parent
        The switch that must be on for it to have an effect.
    since, until
        First and last release of the suite that has it, '' for no limit.
    """

    name: str
    kind: Kind
    default: str | None = None
    required: bool = False
    choices: tuple[str, ...] = ()
    least: float = -math.inf
    most: float = math.inf
    unit: str = ""
    several: bool = False
    separator: str = " "
    parent: str = ""
    since: str = ""
    until: str = ""


@dataclass(frozen=True)
class Output:
    """A file that a call makes.

    Parameters
    ----------
    name
        What it is, for people and chains.
    pattern
        Its path from the working directory, with ``*`` and ``?``; ``{outfile}`` stands for the value of that parameter.
    kind
        How it is checked for completeness: ``fits``, ``rows`` (FITS with a table that is not empty), ``text``
        or ``any``.
    when
        Parameter values with which it is made.
    optional
        Whether a call can succeed without it.
    """

    name: str
    pattern: str
    kind: Literal["fits", "rows", "text", "any"] = "fits"
    when: When = ()
    optional: bool = False


@dataclass(frozen=True)
class Sentence:
    """What a tool writes when it has succeeded.

    Parameters
    ----------
    text
        A regular expression, searched line by line; ``{tool}`` stands for the name of the tool.
    when
        Parameter values with which it is written.
    """

    text: str
    when: When = ()


@dataclass(frozen=True)
class Known:
    """A message whose meaning is known.

    Parameters
    ----------
    match
        A regular expression, searched in the text of a message; '' fits all.
    name
        The message's own name, where the suite gives names; '' fits all.
    call_it
        The name for our code of the verdict; '' keeps the message's own.
    level
        What it means, whatever the tool says: ``error``, ``warning``, ``harmless``, or '' to believe the tool.
    matters
        Whether the result of a call with only this warning is not quite what was requested.
    remedy
        What the user can do.
    """

    match: str = ""
    name: str = ""
    call_it: str = ""
    level: str = ""
    matters: bool = False
    remedy: str = ""


@dataclass(frozen=True)
class Option:
    """An option that every tool of a suite takes, such as ``-V 4``.

    Parameters
    ----------
    name
        With its dash.
    kind
        Of its value; '' where it has none.
    """

    name: str
    kind: Kind | Literal[""] = ""


@dataclass(frozen=True)
class Suite:
    """A suite of mission software.

    Parameters
    ----------
    name, title
        For machines and for people.
    releases
        Those for which the tables are tested, in their order.
    named
        Whether releases have names, whose order is that of `releases`, instead of numbers.
    grammar
        How its command lines are written: ``sas`` or ``parfile``.
    environment
        Variables that a call gets from the captured environment, in addition to those of every program.
    fixed
        Variables that have this value in every call.
    temporary
        Variables that name a directory for temporary files, which is private to every call.
    needed
        Variables without which no call can succeed.
    parfiles
        Whether its tools read and write parameter files (``PFILES``).
    system_parfiles
        Where these are, from variables of the environment, if the captured ``PFILES`` does not say so.
    copied_parfiles
        Parameter files that every call gets as a copy of its own.
    ignores_case
        Whether the case of choices does not matter.
    omits_empty
        Whether an empty value is left out if it is the default: some programs would use the next argument.
    any_number
        Words that may replace any number, such as ``INDEF``.
    batch
        Arguments that keep a tool from asking questions.
    options
        Options of every tool.
    ended
        Whether the log reports the start and end of each tool.
    success
        Sentences of every tool.
    version_command, version_pattern
        The command that prints the release, and the expression whose first group matches it.
    exits
        Exit status to the name of its meaning.
    harmless
        Expressions for whole lines that mean nothing, whatever they look like.
    known
        Messages that are understood.
    others
        Programs of other software without which its chains fail.
    calibration
        Variables that name where calibration files are, of which one must be set.
    obtain, obtain_calibration
        Where the software and its calibration files can be had.
    trial
        A call that shows whether it works: ``tool``, and the values of its parameters.
    """

    name: str
    title: str
    releases: tuple[str, ...]
    grammar: Literal["sas", "parfile"]
    named: bool = False
    environment: tuple[str, ...] = ()
    fixed: Mapping[str, str] | None = None
    temporary: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    parfiles: bool = False
    system_parfiles: tuple[str, ...] = ()
    copied_parfiles: tuple[str, ...] = ()
    ignores_case: bool = False
    omits_empty: bool = False
    any_number: tuple[str, ...] = ()
    batch: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    ended: bool = False
    success: tuple[Sentence, ...] = ()
    version_command: tuple[str, ...] = ()
    version_pattern: str = ""
    exits: Mapping[int, str] | None = None
    harmless: tuple[str, ...] = ()
    known: tuple[Known, ...] = ()
    others: tuple[str, ...] = ()
    calibration: tuple[str, ...] = ()
    obtain: str = ""
    obtain_calibration: str = ""
    trial: Mapping[str, str] | None = None

    def rank(self, release: str) -> tuple[int, ...]:
        """A release as numbers that sort.

        Raises
        ------
        ValueError
            It is not a release of the suite.
        """
        if self.named:
            return (self.releases.index(release),)
        if not re.fullmatch(r"\d{1,4}(?:\.\d{1,6}){0,4}", release, re.ASCII):
            raise ValueError(f"{release!r} is not a release number")
        return tuple(map(int, release.split(".")))

    def covers(self, since: str, until: str, release: str) -> bool:
        """Whether a release is not before `since`, nor after `until` (``20`` includes 20.0.1)."""
        rank = self.rank(release)
        first, last = (self.rank(one) if one else () for one in (since, until))
        padded = rank + (0,) * (len(first) - len(rank))
        return padded >= first and (not last or rank[: len(last)] <= last)


@dataclass(frozen=True)
class Tool:
    """A program of a suite.

    Parameters
    ----------
    suite, name, title
        Its suite, its name, and what it does.
    sources
        Where the facts come from.
    parameters
        In the order of the tool's own table.  A parameter that changed between releases occurs once for each form.
    complete
        Whether all parameters are here; if not, others may exist.
    since, until
        First and last release with this tool, '' for no limit.
    positional
        Parameters that may be given without their names, in this order.
    positional_since
        First release with this order.
    chain
        Whether it continues after an error of a sub-task, so that such an error need not have spoilt the result.
    by_parts
        Whether it treats parts of its input one after the other, continues after a failure of one, and writes what
        became of each: no error in its log need have spoilt the result, even one that does not say whose it is, unless
        it is the machine's.
    silent
        Whether the log may not report its end.
    batch
        Whether the suite's `batch` arguments apply.
    outputs, success
        What a successful call makes and writes.
    inputs
        Parameters that name files or directories which are read.
    modifies
        Parameters whose files it changes, and the values with which it does so.
    sub_tasks
        Tools that it starts.
    """

    suite: Suite
    name: str
    title: str
    sources: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    complete: bool = True
    since: str = ""
    until: str = ""
    positional: tuple[str, ...] = ()
    positional_since: str = ""
    chain: bool = False
    by_parts: bool = False
    silent: bool = False
    batch: bool = True
    outputs: tuple[Output, ...] = ()
    success: tuple[Sentence, ...] = ()
    inputs: tuple[str, ...] = ()
    modifies: tuple[tuple[str, When], ...] = ()
    sub_tasks: tuple[str, ...] = ()

    def at(self, release: str) -> dict[str, Parameter]:
        """The parameters that it has in a release, by name, in order."""
        return {one.name: one for one in self.parameters if self.suite.covers(one.since, one.until, release)}

    def holds(self, when: When, values: Mapping[str, str], release: str) -> bool:
        """Whether a condition holds for the values of a call, with defaults for those that are not given."""
        known = self.at(release)

        def is_so(name: str, wanted: str) -> bool:
            parameter = known.get(name)
            value = values.get(name, (parameter.default if parameter else None) or "")
            if parameter is not None and parameter.kind == "flag":
                return (value[:1].lower() in "yt" and value != "") == (wanted == "yes")
            return value == wanted or (wanted == "*" and value != "")

        return not when or any(all(is_so(*pair) for pair in one.items()) for one in when)
