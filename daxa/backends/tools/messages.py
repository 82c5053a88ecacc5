"""What the tools of a suite wrote, as messages: tool, error or warning, name and text.

The logs of every suite have their own grammar: whole forms are recognised, never the word
"error" alone, since tools repeat their arguments (``zerrorcolumn=EWEIGHT``) and mention errors of measurement.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from daxa.backends.tools.tables import Suite
from daxa.text import plain

__all__ = ["Log", "Message", "read_log"]

_MOST_LINES = 60
"""Lines of one message; the longest real one has 21."""

_LONGEST = 4000
"""Characters of a line that are read; calls that SAS repeats have 3,000."""

Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Message:
    """One message of a tool.

    Parameters
    ----------
    origin
        The tool, after those that called it, as far as the log says so: ``backscale::arfgen``.
    level
        Whether the tool could continue.
    name
        The suite's own name for it, or ours if it is known; ``error`` or ``warning`` otherwise.
    text
        In one line.
    lines
        Its lines in the log.
    count
        How often it occurred.
    remedy
        What the user can do, '' if unknown.
    matters
        Whether such a warning means that the result is not quite what was requested.
    """

    origin: str
    level: Level
    name: str
    text: str
    lines: tuple[str, ...]
    count: int = 1
    remedy: str = ""
    matters: bool = False

    @property
    def tool(self) -> str:
        """The tool that wrote it."""
        return self.origin.rpartition("::")[2]


@dataclass(frozen=True)
class Log:
    """The content of a log.

    Parameters
    ----------
    messages
        In the order of their first occurrence.
    ended
        Tools that reported their end, if the suite does that.
    open
        Tools that reported their start but not their end; the outermost first.
    lines
        All lines, for the sentences of success.
    """

    messages: tuple[Message, ...]
    ended: frozenset[str] = frozenset()
    open: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


@dataclass
class _Reading:
    """Messages of a log so far, and the one that lines may still belong to."""

    found: list[Message] = field(default_factory=list)
    going: bool = False
    summary: str = ""
    """The task of SAS whose summary of warnings is being read."""

    def start(self, origin: str, level: str, name: str, text: str, *lines: str, count: int = 1) -> None:
        kind: Level = "warning" if level.lower().startswith("warn") else "error"
        self.found.append(Message(origin, kind, name.strip() or kind, text.strip(), lines, count))
        self.going, self.summary = True, self.summary if kind == "warning" else ""

    def resume(self, line: str) -> None:
        if self.going and line.strip() and len(self.found[-1].lines) < _MOST_LINES:
            last = self.found[-1]
            text = f"{last.text} {line.strip()}".strip()
            self.found[-1] = replace(last, text=text, lines=(*last.lines, line))


def read_log(suite: Suite, text: str) -> Log:
    """The content of a log, with standard error after standard output or mixed with it.

    Examples
    --------
    >>> from daxa.backends.tools.reading import read_suite
    >>> log = read_log(read_suite("sas"), "** backscale::arfgen: warning (zeroRenorm), No flux was found")
    >>> log.messages[0].tool, log.messages[0].level, log.messages[0].name
    ('arfgen', 'warning', 'zeroRenorm')
    """
    harmless = re.compile("|".join(f"(?:{one})" for one in suite.harmless) or r"(?!)")
    lines = [line[:_LONGEST].rstrip() for line in plain(text).split("\n")]
    reading = _Reading()
    read = _GRAMMARS[suite.name]
    for line in lines:
        if harmless.search(line):
            reading.going = False
        elif not _read_common(reading, line):
            read(reading, line)
    ended, unended = _ends(lines) if suite.ended else (frozenset[str](), ())
    return Log(tuple(_understood(suite, _summed(reading.found))), ended, unended, tuple(lines))


def _summed(messages: Iterable[Message]) -> list[Message]:
    """Each message of a tool once, with the number of occurrences."""
    once: dict[tuple[str, str, str], Message] = {}
    for one in messages:
        key = (one.origin, one.level, one.name if one.name not in ("error", "warning") else one.text)
        first = once.get(key)
        once[key] = replace(first, count=first.count + one.count) if first else one
    return list(once.values())


def _understood(suite: Suite, messages: Iterable[Message]) -> Iterable[Message]:
    for one in messages:
        known = next(
            (it for it in suite.known if it.name in ("", one.name) and re.search(it.match, one.text) is not None), None
        )
        if known is None:
            yield one
        elif known.level != "harmless":
            level: Level = one.level if known.level not in ("error", "warning") else known.level  # type: ignore[assignment]
            yield replace(one, level=level, name=known.call_it or one.name, remedy=known.remedy, matters=known.matters)


# What any program may say, or the shell that a chain uses.
_COMMON: Mapping[str, re.Pattern[str]] = {
    "crashed": re.compile(
        r"\bSegmentation fault\b|\bBus error\b|\bcore dumped\b"
        # What a shell says of a program that a signal ended: alone, or between where it was called and the call.
        r"|^(?:\S+: line \d+: +\d+ )?(?:Killed|Aborted|Illegal instruction|Floating point exception)(?: {2,}\S.*)?$"
    ),
    "programMissing": re.compile(
        r"^(?:\S*/)?(?:sh|bash|dash|csh|tcsh|env): .*(?:not found|No such file or directory)$"
        r"|^\S+: (?:line )?\d+: \S+: (?:command )?not found$"
        r"|^Can't exec \"[^\"]+\": No such file or directory\b"
    ),
    "noSpace": re.compile(r"\bNo space left on device\b|\bDisk quota exceeded\b"),
    "noMemory": re.compile(
        r"\bCannot allocate memory\b|\bstd::bad_alloc\b|\bOut of memory\b|^(?:\S+: )*[Cc]annot fork\b"
    ),
    "traceback": re.compile(r"^Traceback \(most recent call last\):"),
}
_NAMED = re.compile(r"[\w.]+=")


def _read_common(reading: _Reading, line: str) -> bool:
    if reading.going and reading.found[-1].name == "traceback":
        reading.resume(line)
        reading.going = line[:1].isspace()
        if not reading.going:  # What was raised stands in the last line.
            reading.found[-1] = replace(reading.found[-1], text=line.strip())
        return True
    for name, pattern in _COMMON.items():
        if pattern.search(line) and not (name != "traceback" and _NAMED.search(line)):
            reading.start("", "error", name, line.strip(), line)
            return True
    return False


# ---------------------------------------------------------------- SAS

_SAS = re.compile(r"\*\* ([\w:.+-]+): (warning|error|fatal(?: error)?) \(([^)]*)\),\s?(.*)")
_SAS_SILENT = re.compile(r"\s*warning (.+?)\s+silently occurred (\d+) times")
_SAS_TASK = re.compile(r"[\w:.+-]+:-|(?:mv|cp|rm|ln|ls|cat|mkdir|sed|awk): ")  # The latter: of the scripts around it.
_SAS_TIMES = re.compile(r"([\w:.+-]+):-\s+([\w.+-]+) \([^)]*\)\s+\[[^\]]*\]\s+(started|ended):")


def _read_sas(reading: _Reading, line: str) -> None:
    if found := _SAS.fullmatch(line):
        origin, level, name, text = found.groups()
        reading.summary = origin if name == "SummaryOfWarnings" else ""
        if not reading.summary:
            reading.start(origin, level, name, text, line)
    elif reading.summary and (found := _SAS_SILENT.fullmatch(line)):
        reading.start(reading.summary, "warning", found[1], "(not reported each time)", line, count=int(found[2]))
        reading.going = False
    elif _SAS_TASK.match(line) or line.startswith("**"):
        reading.going, reading.summary = False, ""
    else:
        reading.resume(line)


def _ends(lines: Iterable[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Tools that ended, and those that started more often than they ended.

    Tasks that another task calls are reported by both of them, each with its own prefix.
    """
    balance: Counter[tuple[str, str]] = Counter()
    ended = set()
    for line in lines:
        if found := _SAS_TIMES.match(line):
            prefix, task, what = found.groups()
            balance[prefix, task] += 1 if what == "started" else -1
            if what == "ended":
                ended.add(task)
    unended = dict.fromkeys(task for (_, task), more in balance.items() if more > 0)
    return frozenset(ended), tuple(unended)


# ---------------------------------------------------------------- eSASS

_ESASS = re.compile(r"\s*\*\*\s*(STOP|ERROR\d*|WARNING\d*)\s*\*\*\s*(?:(\w+)(?:/\w+)?:\s*)?(.*)")
_ESASS_FAILED = re.compile(r"\s*(\w+)(?:/\w+)?: (FAILED)\b(.*)")
_FORTRAN = re.compile(r"\s*Fortran runtime error: (.*)")
_FORTRAN_END = re.compile(r"\s*Error termination\b.*")


def _read_esass(reading: _Reading, line: str) -> None:
    if found := _ESASS.fullmatch(line):
        word, origin, text = found.groups()
        level = "warning" if word.startswith("WARNING") else "error"
        reading.start(origin or "", level, "stop" if word == "STOP" else level, text, line)
    elif found := _ESASS_FAILED.fullmatch(line):
        reading.start(found[1], "error", "failed", line.strip(), line)
    elif found := _FORTRAN.fullmatch(line):
        reading.start("", "error", "fortran", found[1], line)
    elif _FORTRAN_END.fullmatch(line) and not any(one.name == "fortran" for one in reading.found):
        reading.start("", "error", "fortran", line.strip(), line)


# ---------------------------------------------------------------- CIAO

_CIAO = re.compile(r"\s*#\s*(?:(\w+)\s+)?\(([^()]*)\):\s*(.*)")
_CIAO_CODE = re.compile(r"\s*(ds\w+)\s+--\s+(ERROR|WARNING)\b:?\s*(.*)")
_CIAO_LEVEL = re.compile(r"(?:(\w+)\s+--\s+)?(ERROR|FATAL|WARNING|Warning|warning)\b:?\s*(.*)")
_CIAO_TIMES = re.compile(r"The following (?:error|warning)s? occurred (\d+) times?:(.*)")
_CIAO_BARE = re.compile(
    r"\s*(?:ERROR\b|Error \(\w+\):|Failed to open virtual file|Clobber set to no\b|DM Parse error\b|FATAL\b)(.*)"
)
_CIAO_WARNS = re.compile(r"\s*(?:WARNING|Warning|warning):\s*(.*)")
_FAILS = re.compile(r"\berror\b|\bcould not\b|\bfailed\b|\bcannot\b|\bunable to\b|\bdoes not exist\b", re.IGNORECASE)
_REPEATED = "repeated"


def _read_ciao(reading: _Reading, line: str) -> None:
    if found := _CIAO.fullmatch(line):
        _read_ciao_banner(reading, found[1] or "", found[2], found[3], line)
    elif found := _CIAO_CODE.fullmatch(line):
        code, level, text = found.groups()
        last = reading.found[-1] if reading.going and reading.found else None
        if last is not None and last.name == _REPEATED:  # Its banner says "error" whatever it was.
            kind: Level = "warning" if level == "WARNING" else "error"
            reading.found[-1] = replace(last, level=kind, name=code, text=text, lines=(*last.lines, line))
            reading.going = False
        else:
            reading.start("", level, code, text, line)
    elif _CIAO_BARE.fullmatch(line):
        reading.start("", "error", "error", line.strip(), line)
    elif found := _CIAO_WARNS.fullmatch(line):
        reading.start("", "warning", "warning", found[1], line)
    elif line[:1].isspace():
        reading.resume(line)
    else:
        reading.going = False


def _read_ciao_banner(reading: _Reading, tool: str, release: str, text: str, line: str) -> None:
    tool = tool.lower() if tool.isupper() else tool
    if found := _CIAO_TIMES.fullmatch(text):
        reading.start(tool, "error", _REPEATED, text, line, count=int(found[1]))
    elif found := _CIAO_LEVEL.fullmatch(text):
        code, level, rest = found.groups()
        reading.start(tool, level, code or "", rest, line)
    elif release.startswith("CIAO") and _FAILS.search(text):
        reading.start(tool, "error", "", text, line)
    else:
        reading.going = False


# ---------------------------------------------------------------- HEASoft

_HEA_STATUS = re.compile(r"\s*Task (\S+) \S+ terminating with status (-?\d+)\s*")
_HEA_LEVEL = re.compile(
    r"\s*(?:\.{2,}\s*:\s*|(?P<tool>[A-Za-z][\w-]*?)(?:_v?[\d.]+)?\s*:\s*)?"
    r"(?P<level>ERROR\b(?!=)|Error(?=:)|WARNING\b|Warning(?=:))\s*:?\s*(?P<text>.*)"
)
_HEA_NOT_FOUND = re.compile(r"\s*(?:([A-Za-z][\w-]*?)(?:_v?[\d.]+)?\s*:?\s+)?(\w+ [Ff]ile not found)\s*")
_HEA_PROMPT = re.compile(r".*Unable to redirect prompts to the /dev/tty.*")
_HEA_PERL = re.compile(r" at \S+ line \d+\.$")
"""Where a script of the suite has ended itself, with the path of the software."""

_HEA_GOOD = re.compile(r"\bno errors?\b", re.IGNORECASE)


def _read_heasoft(reading: _Reading, line: str) -> None:
    if found := _HEA_STATUS.fullmatch(line):
        if int(found[2]):
            reading.start(found[1], "error", f"status{found[2]}", line.strip(), line)
    elif (found := _HEA_LEVEL.fullmatch(line)) and not _HEA_GOOD.search(line):
        text = _HEA_PERL.sub("", found["text"] or line.strip())
        reading.start(found["tool"] or "", found["level"], "", text, line)
    elif found := _HEA_NOT_FOUND.fullmatch(line):
        reading.start(found[1] or "", "error", "", found[2], line)
    elif _HEA_PROMPT.fullmatch(line):
        reading.start("", "error", "", line.strip(), line)
    elif line[:1].isspace():
        reading.resume(line)
    else:
        reading.going = False


_GRAMMARS: Mapping[str, Callable[[_Reading, str], None]] = {
    "sas": _read_sas,
    "esass": _read_esass,
    "ciao": _read_ciao,
    "heasoft": _read_heasoft,
}
