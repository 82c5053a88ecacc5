"""Carry out a chain for one task: lay out copies of the inputs, call tool after tool, keep logs, take the products."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from daxa.backends.chains.declared import WORK, CallPlan, Chain, Known, Leaf, Link, Made, Program
from daxa.backends.chains.task_script import END, HEADING, laid_out
from daxa.backends.chains.tool_settings import FAILING, own_parameters, tool_values
from daxa.backends.chains.workshop import Entry, OutdatedError, Workshop, key_of
from daxa.backends.parameter_schema import read_parameters
from daxa.backends.tools.command import Call, arguments, make_call, shell_line
from daxa.backends.tools.reading import read_tool
from daxa.backends.tools.running import run_call
from daxa.backends.tools.script import shell_script
from daxa.backends.tools.verdict import Verdict
from daxa.backends.unpack import unpack
from daxa.errors import CallError, ConfigError, DataError, ProgramError, StorageError
from daxa.run.task import Task

if TYPE_CHECKING:
    from daxa.backends.tools.environment import Installation

__all__ = ["carry_out", "known_at_first"]

_PACKED = re.compile(r"\.(?:gz|FTZ|ftz|Z)\Z")
_MOST_SHOWN = 1 << 20
"""Bytes of the output of a call that its task's log shows: the first and the last half of them."""


@dataclass
class _Files:
    """Reads headers and texts of the working directory, each once."""

    work: Path
    _headers: dict[tuple[str, str, int], Mapping[str, Any]] = field(default_factory=dict)

    def header(self, path: str, table: str = "") -> Mapping[str, Any]:
        from astropy.io import fits

        place = self.work / path
        try:
            key = (path, table, place.stat().st_mtime_ns)
            if key not in self._headers:
                with fits.open(place, memmap=False) as parts:
                    tables = [part for part in parts[1:] if table in ("", part.name)]
                    shown = [parts[0].header, *(part.header for part in tables[:1])]
                    self._headers[key] = {name: value for header in shown for name, value in header.items() if name}
        except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
            raise DataError("unreadable", f"{path} cannot be read: {error}", remedy="read the log above") from None
        return self._headers[key]

    def text(self, path: str) -> str:
        try:
            return (self.work / path).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise DataError("unreadable", f"{path} cannot be read: {error}", remedy="read the log above") from None


def known_at_first(program: Program, chain: Chain, task: Task, work: Path, release: str) -> Known:
    """What is known before the first call.

    Parameters
    ----------
    program, chain, task
        What to do.
    work
        The working directory, in which the inputs are.
    release
        Of the software.

    Raises
    ------
    ConfigError
        A parameter cannot be used.
    """
    own = own_parameters(program.suite, chain)
    values, faults = read_parameters(chain.step, own, json.loads(task.parameters))
    if faults:
        raise ConfigError(faults[0].name, f"[{chain.step}] {faults[0].message}", remedy=faults[0].remedy)
    names = [link.name for link in chain.links]
    last = names.index(values["stop_after"]) if values["stop_after"] else len(names)
    links = frozenset(name for at, name in enumerate(names) if at <= last and name not in values["skip"])
    inputs = tuple(sorted(filter(None, (_placed(chain, item.file.path) for item in task.inputs))))
    return Known(task, release, values, inputs, _Files(work), links=links)


def _placed(chain: Chain, path: str) -> str:
    return _PACKED.sub("", chain.place(path))


def carry_out(
    program: Program,
    chain: Chain,
    task: Task,
    directories: Mapping[str, Path],
    *,
    target: Path,
    log: TextIO,
    workshop: Path,
    installed: Installation,
) -> None:
    """Carry out a task.

    Parameters
    ----------
    program, chain
        How.
    task, directories, target, log
        As for `daxa.backends.protocol.Backend.run`.
    workshop
        Where the calls work.  It outlives a task that fails, and is of no use to one that is done.
    installed
        The software.

    Raises
    ------
    CallError
        A call has failed: its code is that of its verdict, such as ``sas.espfilt.noCounts``.
    DataError, NotPossible
        There is nothing to work on, or the chain cannot do it.
    ConfigError, ProgramError, StorageError
        Nothing can be carried out this way.
    """
    workshop.mkdir(parents=True, exist_ok=True)
    shop = Workshop(workshop.absolute())
    shop.open()
    try:
        run = _Run(program, chain, task, directories, log, shop, installed)
        known = run.go()
    except OutdatedError:
        print("calls of an earlier attempt are not wanted any more: all is made anew", file=log)
        shop.begin_anew()
        run = _Run(program, chain, task, directories, log, shop, installed)
        known = run.go()
    if run.calls:
        title = f"{task.mission} {task.obs_id}, {task.step}"
        inputs = [(item.file.path, _placed(chain, item.file.path)) for item in task.inputs]
        directory = f"data/{task.mission}/{'/'.join(sorted(directories))}/{task.obs_id}"
        whole = laid_out(shell_script(run.calls, title=title), [one for one in inputs if one[1]], directory)
        print(f"\n{HEADING}\n{whole}{END}", file=log)
    for leaf in chain.leaves(known):
        _take(leaf, shop.work, target, task)


@dataclass
class _Run:
    """One attempt at a task."""

    program: Program
    chain: Chain
    task: Task
    directories: Mapping[str, Path]
    log: TextIO
    shop: Workshop
    installed: Installation
    calls: list[tuple[Call, Mapping[str, str]]] = field(default_factory=list)
    _keys: dict[str, str] = field(default_factory=dict)
    _fresh: set[str] = field(default_factory=set)
    _failures: dict[str, CallError] = field(default_factory=dict)
    _whole: bool = True

    def go(self) -> Known:
        """Lay out, call, and give what is known at the end."""
        self._lay_out()
        known = known_at_first(self.program, self.chain, self.task, self.shop.work, self.installed.release)
        self.chain.refuse(known)
        stops, seen = known.parameters["failing"] == FAILING[0], set[str]()
        for link in (link for link in self.chain.links if link.name in known.links):
            for plan in link.plan(known):
                if plan.part in known.left_out:
                    continue
                if self._failures and stops and not plan.part:
                    raise next(iter(self._failures.values()))  # What serves all exposures would lack one.
                seen.add(plan.part)
                known = self._try(link, plan, known)
            if self._failures and seen - {""} <= known.left_out:
                raise next(iter(self._failures.values()))
        if self._failures and stops:
            raise next(iter(self._failures.values()))
        self.shop.check()
        for part, error in self._failures.items():
            print(f"left out {part}: {error.message}", file=self.log)
        return known

    def _try(self, link: Link, plan: CallPlan, known: Known) -> Known:
        try:
            return replace(known, made=(*known.made, self._do(link, plan)))
        except CallError as error:
            if not plan.part or not self._whole:  # Other exposures may go on if their files are as they were.
                raise
            self._failures[plan.part] = error
            return replace(known, left_out=known.left_out | {plan.part})

    @cached_property
    def _given(self) -> Mapping[str, Any]:
        return json.loads(self.task.parameters).get(self.program.suite) or {}

    def _lay_out(self) -> None:
        """Copies of the inputs, never links: tools write into their inputs."""
        inputs = [(item.step, item.file.path, item.file.sha256) for item in self.task.inputs]
        image = self.installed.container.digest if self.installed.container else ""
        software = (self.installed.release, image, self.chain.version)
        key = key_of("inputs", sorted(inputs), self.task.calibration, software)
        self._keys[""] = key
        if self.shop.find(key):
            return
        self.shop.begin_anew()
        for step, path, _ in inputs:
            if placed := _placed(self.chain, path):
                place = self.shop.work / placed
                place.parent.mkdir(parents=True, exist_ok=True)
                if place.exists():
                    raise DataError(
                        "same-name",
                        f"{self.task.mission} {self.task.obs_id}: two inputs would both become {placed}",
                        remedy="fetch the observation again; if the archive has both, report it",
                    )
                unpack(self.directories[step] / path, place, f"{self.task.mission} {self.task.obs_id}")
        self.shop.note(key, {}, "")

    def _do(self, link: Link, plan: CallPlan) -> Made:
        """Make a call, or take what an earlier attempt has of it."""
        release = self.installed.release
        own = self._given.get(link.name, {})
        values = tool_values(self.program.suite, link, release, own, plan.values)
        call = make_call(read_tool(self.program.suite, link.tool), release, values)
        before = [self._keys.get("", ""), self._keys.get(plan.part, "")]
        if not plan.part:
            before = sorted(self._keys.values())
        variables = dict(plan.variables)
        key = key_of(before, link.name, plan.part, plan.name, call.tool.name, arguments(call, batch=True), variables)
        self.calls.append((call, {one: text.replace(f"{WORK}/", "") for one, text in variables.items()}))
        depends = self._fresh if not plan.part else self._fresh & {"", plan.part}
        entry = None if depends else self.shop.find(key)
        if entry is None:
            entry = self._make(link, plan, call, key, before)
            self._fresh.add(plan.part)
        else:
            self._tell(link, plan, call, entry.log, "made before")
        self._keys[plan.part] = key
        outputs = {one: tuple(paths) for one, paths in entry.outputs.items()}
        return Made(link.name, plan.part, plan.name, call.values, outputs)

    def _make(self, link: Link, plan: CallPlan, call: Call, key: str, before: Sequence[str]) -> Entry:
        words = filter(None, (f"{len(self.calls):03d}", link.name, plan.part, plan.name))
        name = re.sub(r"[^\w.-]", "_", "-".join(words))
        slot = f"{link.name} {plan.part} {plan.name}"
        self.shop.before_call(slot)
        own = {one: text.replace(WORK, str(self.shop.work)) for one, text in plan.variables.items()}
        ran = run_call(
            call, self.installed, cwd=self.shop.work, logs=self.shop.logs, name=name, seconds=link.seconds, own=own
        )
        verdict = ran.verdict
        self._tell(link, plan, call, name, verdict.text or "done")
        if not verdict.done:
            self._whole = self.shop.undo()
            raise _error(self.task, link, plan, verdict)
        outputs: dict[str, list[str]] = {}
        for found in verdict.outputs:
            outputs.setdefault(found.output.name, []).extend(found.paths)
        return self.shop.note(key, outputs, name, slot, before)

    def _tell(self, link: Link, plan: CallPlan, call: Call, name: str, how: str) -> None:
        """Write into the log of the task what a call wrote."""
        record = self.shop.record(name)
        part = f" {plan.part}" if plan.part else ""
        more = f" {plan.name}" if plan.name else ""
        suite = call.tool.suite.title
        print(f"\n== {link.name}{part}{more}: {how}", file=self.log)
        print(f"$ {shell_line(call)}", file=self.log)
        told = f"{suite} {call.release}, began {record.get('began')}, {record.get('seconds')} s"
        print(f"  {told}, status {record.get('status')}", file=self.log)
        if record.get("code"):
            print(f"  {record['severity']} {record['code']}: {record.get('remedy')}", file=self.log)
        for stream in ("stdout", "stderr"):
            if text := _shown(self.shop.logs / f"{name}.{stream}"):
                print(f"-- {stream}\n{text}", file=self.log)


def _shown(path: Path) -> str:
    if not path.is_file():
        return ""
    size, half = path.stat().st_size, _MOST_SHOWN // 2
    with path.open("rb") as stream:
        content = stream.read(_MOST_SHOWN if size <= _MOST_SHOWN else half)
        if size > _MOST_SHOWN:
            stream.seek(size - half)
            content += f"\n... {size - 2 * half} bytes left out ...\n".encode() + stream.read()
    # A tool may print what a header says: it must not be taken for the script that stands at the end of the log.
    return re.sub(rf"(?m)^(?={re.escape(HEADING)})", " ", content.decode("utf-8", "replace")).rstrip()


def _error(task: Task, link: Link, plan: CallPlan, verdict: Verdict) -> Exception:
    """What to raise for a call that failed: most failures concern one observation, some the machine."""
    suite, _, rest = verdict.code.partition(".")
    word = rest.rpartition(".")[2]
    part = f" of {plan.part}" if plan.part else ""
    message = f"{task.mission} {task.obs_id}: {link.name}{part} failed: {verdict.text}"
    if word == "noSpace":
        return StorageError("full", message, remedy=verdict.remedy)
    if word == "programMissing":
        return ProgramError("programs", message, remedy=verdict.remedy)
    remedy = verdict.remedy or "read its log"
    if plan.part:
        remedy += f'; or do without {plan.part}: failing = "leave out" in [{task.step}.obs."{task.obs_id}"]'
    return CallError(f"{suite}.{link.name}.{word}", message, remedy=remedy)


def _take(leaf: Leaf, work: Path, target: Path, task: Task) -> None:
    place = target / leaf.name
    if place.exists():
        raise DataError(
            "several-exposures",
            f"{task.mission} {task.obs_id}: two files would both become {leaf.name}",
            remedy="leave out one of them, or report it",
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    if leaf.write is not None:
        leaf.write(work, place)
        return
    shutil.copyfile(work / leaf.path, place)
    if leaf.cards:
        _write_cards(place, leaf.cards)


def _write_cards(path: Path, cards: Mapping[str, tuple[object, str]]) -> None:
    from astropy.io import fits

    with fits.open(path, mode="update", memmap=False, output_verify="silentfix") as parts:
        for part in parts[:2]:
            part.header.update(cards)
