"""The verdict on a finished call: exit status, sentences, error lines and outputs, judged together.

None of them is sufficient: chains of SAS end with status 0 after an error, eSASS ends with any status, scripts leave
old files in place, and a program that is killed writes nothing.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from daxa.backends.tools.command import Call
from daxa.backends.tools.messages import Log, Message, read_log
from daxa.backends.tools.outputs import Found
from daxa.backends.tools.tables import Sentence

__all__ = ["Reason", "Verdict", "judge"]

Severity = Literal["none", "warning", "error"]

_CRASHES = {128 + one for one in (signal.SIGABRT, signal.SIGFPE, signal.SIGKILL, signal.SIGSEGV)}
_UNNAMED = {"error", "warning", "failed", "traceback"}
_MACHINE = {"crashed", "noSpace", "noMemory", "programMissing"}
_TAIL = 20
"""Last lines of a log that are shown if no line says what went wrong."""

_REMEDIES = {
    "timeLimit": "see in the log what it waited for; give it more time if it was still working",
    "logLimit": "read the beginning of its log, and lower the verbosity (-V for SAS, chatter or verbose for others)",
    "crashed": "try again with more free memory; if it crashes again, report the command line to its developers",
    "programMissing": "a program that it calls is not on the PATH: set up HEASoft before the other software",
    "noSpace": "free space on the disk and try again",
    "noMemory": "run fewer calls at once, or use a machine with more memory",
    "notEnded": "the log ends abruptly: read its last lines, and try again",
    "noSuccess": "it did not report success: read the end of its log",
    "outputMissing": "read the log: a successful call makes this file",
    "outputStale": "remove files of earlier calls from the working directory and try again",
    "outputEmpty": "check the input: nothing in it met the conditions",
    "outputUnreadable": "try again; if it is damaged again, check for a full disk",
    "inputChanged": "give the tool a fresh copy of its input and try again",
    "parameters": "check the command line: a parameter is missing or cannot be used",
}


@dataclass(frozen=True)
class Reason:
    """One thing that is wrong with a call.

    Parameters
    ----------
    name
        One word, the last part of a code.
    text
        For people.
    lines
        Of the log.
    remedy
        What to do.
    severity
        ``warning`` for what did not corrupt the result.
    order
        The first reason in this order explains most.
    """

    name: str
    text: str
    lines: tuple[str, ...] = ()
    remedy: str = ""
    severity: Severity = "error"
    order: int = 30


@dataclass(frozen=True)
class Verdict:
    """The verdict on a finished call.

    Parameters
    ----------
    code
        Stable, such as ``sas.espfilt.noCounts``; '' for a good call.
    severity
        ``none``, ``warning`` (the result can be used, with reservations) or ``error``.
    text
        What happened, for people.
    lines
        The lines of the log that say so.
    remedy
        What the user can do.
    reasons
        Everything that is wrong; the first gives the code.
    messages
        All messages of the tools, warnings included.
    outputs
        The state of the files.
    """

    code: str
    severity: Severity
    text: str = ""
    lines: tuple[str, ...] = ()
    remedy: str = ""
    reasons: tuple[Reason, ...] = ()
    messages: tuple[Message, ...] = ()
    outputs: tuple[Found, ...] = field(default=(), repr=False)

    @property
    def done(self) -> bool:
        """Whether the result can be used."""
        return self.severity != "error"


def judge(
    call: Call,
    status: int | None,
    text: str,
    outputs: Sequence[Found] = (),
    changed: Sequence[str] = (),
    *,
    limit: str = "time",
) -> Verdict:
    """Judge a call that has ended.

    Parameters
    ----------
    call
        Which.
    status
        Its exit status, negative if a signal ended it, None if it was ended for a limit.
    text
        What it wrote: standard output and, after it, standard error.
    outputs
        The state of the files that it should make.
    changed
        Inputs that it changed although its table does not say so.
    limit
        Which one: ``time``, or ``log`` if it wrote too much.

    Examples
    --------
    >>> from daxa.backends.tools.command import make_call
    >>> from daxa.backends.tools.reading import read_tool
    >>> call = make_call(read_tool("sas", "espfilt"), "20.0", {"eventfile": "e.fits"})
    >>> verdict = judge(call, 0, "** espfilt: error (noCounts), All histo counts are zero!")
    >>> verdict.code, verdict.severity
    ('sas.espfilt.noCounts', 'error')
    """
    log = read_log(call.tool.suite, text)
    reasons = [
        *_of_status(call, status, limit),
        *_of_messages(call, log),
        *_of_ends(call, log),
        *_of_outputs(outputs),
        *_of_sentences(call, log),
        *(
            Reason("inputChanged", f"{call.tool.name} wrote into its input {path}", remedy=_REMEDIES["inputChanged"])
            for path in changed
        ),
    ]
    reasons.sort(key=lambda one: one.order)
    severity: Severity = max((one.severity for one in reasons), key=("none", "warning", "error").index, default="none")
    if not reasons:
        return Verdict("", "none", messages=log.messages, outputs=tuple(outputs))
    first = reasons[0]
    return Verdict(
        f"{call.tool.suite.name}.{call.tool.name}.{re.sub(r'[^A-Za-z0-9_]+', '-', first.name).strip('-')}",
        severity,
        first.text,
        first.lines or _tail(log),
        first.remedy,
        tuple(reasons),
        log.messages,
        tuple(outputs),
    )


def _of_status(call: Call, status: int | None, limit: str) -> list[Reason]:
    name = call.tool.name
    if status is None:
        what = "did not end within its time limit" if limit == "time" else "wrote endlessly to its log"
        return [Reason(f"{limit}Limit", f"{name} {what}", remedy=_REMEDIES[f"{limit}Limit"], order=0)]
    if status < 0 or status in _CRASHES:
        number = -status if status < 0 else status - 128
        try:
            what = signal.Signals(number).name
        except ValueError:
            what = f"signal {number}"
        return [Reason("crashed", f"{name} was ended by {what}", remedy=_REMEDIES["crashed"], order=1)]
    if not status:
        return []
    known = (call.tool.suite.exits or {}).get(status, f"status{status}")
    remedy = _REMEDIES.get(known, "read the end of its log")
    # Few numbers mean more than that it failed.
    order = 11 if known in _REMEDIES else 25
    return [Reason(known, f"{name} ended with status {status}", remedy=remedy, order=order)]


def _of_messages(call: Call, log: Log) -> list[Reason]:
    reasons = []
    for one in log.messages:
        if one.level == "warning" and not one.matters:
            continue
        spoils = one.level == "error" and not _concerns_a_part(call, one)
        message = f"{one.origin}: {one.text}" if one.origin not in ("", call.tool.name) else one.text
        severity: Severity = "error" if spoils else "warning"
        general = "read the log above these lines" if spoils else "there is a result: check it before you use it"
        remedy = one.remedy or _REMEDIES.get(one.name, general)
        reasons.append(Reason(one.name, message, one.lines, remedy, severity, _order(one, spoils=spoils)))
    return reasons


def _concerns_a_part(call: Call, message: Message) -> bool:
    """Whether the call may have succeeded although there is this error."""
    if call.tool.by_parts:
        return message.name not in _MACHINE
    return call.tool.chain and message.tool not in ("", call.tool.name)


def _order(message: Message, *, spoils: bool) -> int:
    """A named error of the tool says more than one of a sub-task, which says more than an error without a name."""
    if message.level == "warning":
        return 40
    if message.name in _MACHINE:
        return 2
    if message.name in _UNNAMED or message.name.startswith("status"):
        return 20
    return 10 if spoils else 15


def _of_ends(call: Call, log: Log) -> list[Reason]:
    tool = call.tool
    if not tool.suite.ended:
        return []
    reasons = []
    own_open = tool.name in log.open
    # Whoever asked for less is not told when tasks start and end.
    quiet = tool.silent or any(name == "-V" and value in ("0", "1") for name, value in call.options)
    if own_open or (tool.name not in log.ended and not quiet):
        what = "started but did not end" if own_open else "never reported its end"
        reasons.append(Reason("notEnded", f"{tool.name} {what}", remedy=_REMEDIES["notEnded"]))
    for name in log.open:
        if name != tool.name:
            severity: Severity = "warning" if tool.chain else "error"
            text = f"{name}, which {tool.name} calls, started but did not end"
            reasons.append(Reason("notEnded", text, (), _REMEDIES["notEnded"], severity))
    return reasons


def _of_outputs(outputs: Sequence[Found]) -> list[Reason]:
    return [
        Reason(one.problem, f"{one.output.name} ({one.pattern}): {one.detail}", remedy=_REMEDIES[one.problem])
        for one in outputs
        if one.problem
    ]


def _of_sentences(call: Call, log: Log) -> list[Reason]:
    reasons = []
    for sentences in (call.tool.suite.success, call.tool.success):
        wanted = [one for one in sentences if call.tool.holds(one.when, call.values, call.release)]
        if wanted and not any(_was_written(one, call, log) for one in wanted):
            text = f"{call.tool.name} did not report success"
            reasons.append(Reason("noSuccess", text, remedy=_REMEDIES["noSuccess"]))
    return reasons[:1]


def _was_written(sentence: Sentence, call: Call, log: Log) -> bool:
    pattern = re.compile(sentence.text.replace("{tool}", re.escape(call.tool.name)))
    return any(pattern.search(line) for line in log.lines)


def _tail(log: Log) -> tuple[str, ...]:
    return tuple(line for line in log.lines if line.strip())[-_TAIL:]
