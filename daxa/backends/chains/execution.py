"""Run a chain for one task: copy the inputs, call one tool after the other, keep logs, take the products."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from daxa.backends.chains.declared import WORK, CallPlan, Chain, ChainProduct, FinishedCall, Known, Link, Program
from daxa.backends.chains.task_script import CALL, END, HEADING, with_inputs
from daxa.backends.chains.tool_settings import FAILING, own_parameters, tool_values
from daxa.backends.chains.work_directory import Entry, OutdatedError, WorkDirectory, key_of
from daxa.backends.parameter_schema import read_parameters
from daxa.backends.tools.command import Call, arguments, make_call, shell_line
from daxa.backends.tools.foreign_fits import open_fits
from daxa.backends.tools.reading import read_tool
from daxa.backends.tools.running import run_call
from daxa.backends.tools.script import shell_script
from daxa.backends.tools.verdict import Verdict
from daxa.backends.unpack import unpack, unpacked_name
from daxa.errors import CallError, ConfigError, DataError, ProgramError, StorageError
from daxa.run.task import Task

if TYPE_CHECKING:
    from daxa.backends.tools.environment import Installation

__all__ = ["initial_knowledge", "run_chain"]

_MOST_SHOWN = 1 << 20
"""Bytes of the output of a call that its task's log shows: the first and the last half of them."""

_MOST_READ = 16 << 20
"""Bytes of a text file: those that chains read have a few lines."""


@dataclass
class _Files:
    """Reads headers and texts of the working directory, each once."""

    work: Path
    _headers: dict[tuple[str, str, int], Mapping[str, Any]] = field(default_factory=dict)

    def header(self, path: str, table: str = "") -> Mapping[str, Any]:
        place = self.work / path
        try:
            key = (path, table, place.stat().st_mtime_ns)
            if key not in self._headers:
                with open_fits(place, whole=False) as parts:
                    tables = [part for part in parts[1:] if table in ("", part.name)]
                    shown = [parts[0].header, *(part.header for part in tables[:1])]
                    self._headers[key] = {name: value for header in shown for name, value in header.items() if name}
        except (OSError, ValueError) as error:
            raise DataError("unreadable", f"{path} cannot be read: {error}", remedy="read the log above") from None
        return self._headers[key]

    def text(self, path: str) -> str:
        try:
            with (self.work / path).open("rb") as stream:
                content = stream.read(_MOST_READ + 1)
            if len(content) > _MOST_READ:
                raise OSError(f"it has more than {_MOST_READ} bytes")
            return content.decode("utf-8", "replace")
        except OSError as error:
            raise DataError("unreadable", f"{path} cannot be read: {error}", remedy="read the log above") from None


def initial_knowledge(program: Program, chain: Chain, task: Task, work: Path, release: str) -> Known:
    """What is known before the first call.

    Parameters
    ----------
    program, chain, task
        Which task, and how it is done.
    work
        The working directory, which holds the inputs.
    release
        Release of the software.

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
    return unpacked_name(chain.place(path))


def run_chain(
    program: Program,
    chain: Chain,
    task: Task,
    directories: Mapping[str, Path],
    *,
    target: Path,
    log: TextIO,
    work_directory: Path,
    installed: Installation,
) -> None:
    """Run the chain of a task.

    Parameters
    ----------
    program, chain
        How.
    task, directories, target, log
        As for `daxa.backends.protocol.Backend.run`.
    work_directory
        Where the calls run.  It is kept if the task fails, and can be deleted once it is done.
    installed
        The software.

    Raises
    ------
    CallError
        A call has failed: its code is that of its verdict, such as ``sas.espfilt.noCounts``.
    DataError, NotPossible
        There is nothing to work on, or the chain cannot do it.
    ConfigError, ProgramError, StorageError
        The task cannot be run on this machine, or with these settings.
    """
    work_directory.mkdir(parents=True, exist_ok=True)
    workdir = WorkDirectory(work_directory.absolute())
    workdir.open()
    try:
        attempt = _Run(program, chain, task, directories, log, workdir, installed)
        known = attempt.run()
    except OutdatedError:
        print("calls of an earlier attempt are no longer needed: starting over", file=log)
        workdir.clear()
        attempt = _Run(program, chain, task, directories, log, workdir, installed)
        known = attempt.run()
    if attempt.calls:
        title = f"{task.mission} {task.obs_id}, {task.step}"
        inputs = [(item.file.path, _placed(chain, item.file.path)) for item in task.inputs]
        directory = f"data/{task.mission}/{'/'.join(sorted(directories))}/{task.obs_id}"
        whole = with_inputs(shell_script(attempt.calls, title=title), [one for one in inputs if one[1]], directory)
        print(f"\n{HEADING}\n{whole}{END}", file=log)
    try:
        products = list(chain.products(known))
    except CallError as error:
        # The call itself ended well, so that it would be taken as done: what failed in it is tried again.
        workdir.forget_link(error.name.partition(".")[2].partition(".")[0])
        raise
    for product in products:
        _take(product, workdir.work, target, task)


@dataclass
class _Run:
    """One attempt at a task."""

    program: Program
    chain: Chain
    task: Task
    directories: Mapping[str, Path]
    log: TextIO
    workdir: WorkDirectory
    installed: Installation
    calls: list[tuple[Call, Mapping[str, str]]] = field(default_factory=list)
    _keys: dict[str, str] = field(default_factory=dict)
    _called_now: set[str] = field(default_factory=set)
    _failures: dict[str, CallError] = field(default_factory=dict)
    _whole: bool = True
    """Whether a call that failed has left the files of the calls before it as they were."""

    def run(self) -> Known:
        """Copy the inputs, make the calls, and return what is known at the end."""
        self._copy_inputs()
        known = initial_knowledge(self.program, self.chain, self.task, self.workdir.work, self.installed.release)
        self.chain.refuse(known)
        stops, seen = known.parameters["failing"] == FAILING[0], set[str]()
        links = [link for link in self.chain.links if link.name in known.links]
        for at, link in enumerate(links, 1):
            for plan in link.plan(known):
                if plan.part in known.left_out:
                    continue
                if self._failures and stops and not plan.part:
                    raise next(iter(self._failures.values()))  # A call for all exposures would be one short.
                seen.add(plan.part)
                known = self._try(link, plan, known)
            if self._failures and seen - {""} <= known.left_out and not any(one.apart for one in links[at:]):
                raise next(iter(self._failures.values()))
        if self._failures and stops:
            raise next(iter(self._failures.values()))
        self.workdir.check()
        for part, error in self._failures.items():
            print(f"left out {part}: {error.message}", file=self.log)
        return known

    def _try(self, link: Link, plan: CallPlan, known: Known) -> Known:
        try:
            return replace(known, finished=(*known.finished, self._finish_call(link, plan)))
        except CallError as error:
            if not plan.part or not self._whole:  # The other exposures can continue if their files are as they were.
                raise
            self._failures[plan.part] = error
            return replace(known, left_out=known.left_out | {plan.part})

    @cached_property
    def _given(self) -> Mapping[str, Any]:
        return json.loads(self.task.parameters).get(self.program.suite) or {}

    def _copy_inputs(self) -> None:
        """Copies of the inputs, never links: tools write into their inputs."""
        inputs = [(item.step, item.file.path, item.file.sha256) for item in self.task.inputs]
        image = self.installed.container.digest if self.installed.container else ""
        software = (self.installed.release, image, self.chain.version)
        key = key_of("inputs", sorted(inputs), self.task.calibration, software)
        self._keys[""] = key
        if self.workdir.find(key):
            return
        self.workdir.clear()
        for step, path, _ in inputs:
            if placed := _placed(self.chain, path):
                place = self.workdir.work / placed
                place.parent.mkdir(parents=True, exist_ok=True)
                if place.exists():
                    raise DataError(
                        "same-name",
                        f"{self.task.mission} {self.task.obs_id}: two inputs would both become {placed}",
                        remedy="fetch the observation again; if the archive has both, report it",
                    )
                unpack(self.directories[step] / path, place, f"{self.task.mission} {self.task.obs_id}")
        self.workdir.note(key, {}, "")

    def _finish_call(self, link: Link, plan: CallPlan) -> FinishedCall:
        """Make a call, or use the result of an earlier attempt."""
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
        depends = self._called_now if not plan.part else self._called_now & {"", plan.part}
        entry = None if depends else self.workdir.find(key)
        if entry is None:
            entry = self._make(link, plan, call, key, before)
            self._called_now.add(plan.part)
        else:
            self._log_call(link, plan, call, entry.log, "done before")
        self._keys[plan.part] = key
        outputs = {one: tuple(paths) for one, paths in entry.outputs.items()}
        return FinishedCall(link.name, plan.part, plan.name, call.values, outputs)

    def _make(self, link: Link, plan: CallPlan, call: Call, key: str, before: Sequence[str]) -> Entry:
        words = filter(None, (f"{len(self.calls):03d}", link.name, plan.part, plan.name))
        name = re.sub(r"[^\w.-]", "_", "-".join(words))
        slot = f"{link.name} {plan.part} {plan.name}"
        self.workdir.before_call(slot)
        own = {one: text.replace(WORK, str(self.workdir.work)) for one, text in plan.variables.items()}
        ran = run_call(
            call,
            self.installed,
            cwd=self.workdir.work,
            logs=self.workdir.logs,
            name=name,
            seconds=link.seconds,
            own=own,
        )
        verdict = ran.verdict
        self._log_call(link, plan, call, name, verdict.text or "done")
        if not verdict.done:
            self._whole = self.workdir.undo()
            raise _error(self.task, link, plan, verdict)
        outputs: dict[str, list[str]] = {}
        for found in verdict.outputs:
            outputs.setdefault(found.output.name, []).extend(found.paths)
        return self.workdir.note(key, outputs, name, slot, before)

    def _log_call(self, link: Link, plan: CallPlan, call: Call, name: str, how: str) -> None:
        """Add the output of a call to the log of the task."""
        record = self.workdir.record(name)
        part = f" {plan.part}" if plan.part else ""
        more = f" {plan.name}" if plan.name else ""
        suite = call.tool.suite.title
        print(f"\n{CALL}{link.name}{part}{more}: {how}", file=self.log)
        print(f"$ {shell_line(call)}", file=self.log)
        when = f"{suite} {call.release}, began {record.get('began')}, {record.get('seconds')} s"
        print(f"  {when}, status {record.get('status')}", file=self.log)
        if record.get("code"):
            print(f"  {record['severity']} {record['code']}: {record.get('remedy')}", file=self.log)
        for stream in ("stdout", "stderr"):
            if text := _shown(self.workdir.logs / f"{name}.{stream}"):
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
    # A tool may print what a header says: it must not be taken for another call, or for the script at the end.
    return re.sub(rf"(?m)^(?={re.escape(HEADING)}|{re.escape(CALL)})", " ", content.decode("utf-8", "replace")).rstrip()


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


def _take(product: ChainProduct, work: Path, target: Path, task: Task) -> None:
    place = target / product.name
    if place.exists():
        raise DataError(
            "several-exposures",
            f"{task.mission} {task.obs_id}: two files would both become {product.name}",
            remedy="leave out one of them, or report it",
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    if product.write is not None:
        product.write(work, place)
        return
    shutil.copyfile(work / product.path, place)
    if product.cards:
        _write_cards(place, product.cards)


def _write_cards(path: Path, cards: Mapping[str, tuple[object, str]]) -> None:
    from astropy.io import fits

    with fits.open(path, mode="update", memmap=False, output_verify="silentfix") as parts:
        for part in parts[:2]:
            part.header.update(cards)
