"""Run one call of a tool, keep what it wrote, and judge it."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from daxa.backends.tools.command import Call, arguments, shell_line
from daxa.backends.tools.container import run_installed
from daxa.backends.tools.environment import Installation, call_environment, refuse_path
from daxa.backends.tools.outputs import changed_inputs, find_outputs, look_before
from daxa.backends.tools.verdict import Verdict, judge
from daxa.errors import ProgramError, ToolError
from daxa.files import replace_file

__all__ = ["Ran", "run_call"]

_MOST_LOG = 256 << 20
"""Most bytes of a log: the longest real ones, of chains at high verbosity, have some ten million."""

_READ = 16 << 20
"""Bytes of each end of a log that are read."""


@dataclass(frozen=True)
class Ran:
    """A call that has ended.

    Parameters
    ----------
    call
        Which.
    status
        Exit status, negative for a signal, None for a limit.
    seconds
        How long it took.
    stdout, stderr, record
        Files with what it wrote, and one (JSON) with command line, release, times and verdict.
    verdict
        The verdict on it.
    """

    call: Call
    status: int | None
    seconds: float
    stdout: Path
    stderr: Path
    record: Path
    verdict: Verdict


def run_call(
    call: Call,
    installed: Installation,
    *,
    cwd: Path,
    logs: Path,
    name: str,
    seconds: float,
    own: Mapping[str, str] | None = None,
) -> Ran:
    """Run a call in a directory, and judge it by what it wrote and made there.

    Parameters
    ----------
    call
        The call, made for the release of the software.
    installed
        The software.
    cwd
        Working directory, private to the observation: tools may write anything there.
    logs
        The directory of its log.
    name
        Name of its log; an existing one is replaced.
    seconds
        Time limit.
    own
        Variables of this call, such as ``SAS_CCF``.

    Raises
    ------
    ProgramError
        The program cannot be found or started.
    ToolError
        It cannot be run in this directory, or it was made for another release.
    """
    program = _program(call, installed)
    cwd, logs = cwd.absolute(), logs.absolute()
    refuse_path(installed.suite, cwd)
    logs.mkdir(parents=True, exist_ok=True)
    stdout, stderr, record = (logs / f"{name}.{end}" for end in ("stdout", "stderr", "json"))
    for path in (stdout, stderr, record):
        path.unlink(missing_ok=True)
    private = Path(tempfile.mkdtemp(prefix="call-", dir=cwd.parent))
    began, clock = datetime.now(UTC), time.monotonic()
    try:
        environ = call_environment(installed, private, own)
        before = look_before(call, cwd)
        ended = run_installed(
            installed.container,
            [program, *arguments(call, batch=True)],
            cwd=cwd,
            environ=environ,
            stdout=stdout,
            stderr=stderr,
            seconds=seconds,
            most_bytes=_MOST_LOG,
            writable=(private,),
            named=(own or {}).values(),
        )
    finally:
        shutil.rmtree(private, ignore_errors=True)
    took = time.monotonic() - clock
    text = f"{_read(stdout)}\n{_read(stderr)}"
    outputs, changed = find_outputs(call, cwd, before), changed_inputs(call, cwd, before)
    ran = Ran(
        call,
        ended.code,
        took,
        stdout,
        stderr,
        record,
        judge(call, ended.code, text, outputs, changed, limit=ended.limit),
    )
    replace_file(record, _record(ran, installed, began, environ))
    return ran


def _program(call: Call, installed: Installation) -> str:
    """The program of a call, in the release that the call was made for."""
    suite = installed.suite
    if call.tool.suite.name != suite.name or not suite.covers(call.release, call.release, installed.release):
        raise ToolError(
            "version",
            f"this call of {call.tool.name} is for {call.tool.suite.title} {call.release}, not for "
            f"{suite.title} {installed.release}",
            remedy="make the call for the installed release",
        )
    program = installed.program(call.tool.name)
    if program is None:
        raise ProgramError(
            "absent",
            f"{call.tool.name} of {suite.title} was not found",
            remedy=f"make sure that {suite.title} is installed and its set-up script is run first",
        )
    return program


def _read(path: Path) -> str:
    with path.open("rb") as stream:
        content = stream.read(_READ)
        size = path.stat().st_size
        if size > _READ:
            stream.seek(max(_READ, size - _READ))
            content += b"\n" + stream.read()
    return content.decode("utf-8", "replace")


def _record(ran: Ran, installed: Installation, began: datetime, environ: Mapping[str, str]) -> bytes:
    verdict = ran.verdict
    record = {
        "suite": installed.suite.name,
        "release": installed.release,
        "image": installed.container.digest if installed.container else "",
        "command": shell_line(ran.call),
        "arguments": arguments(ran.call, batch=True),
        "variables": sorted(environ),
        "began": began.isoformat(timespec="seconds"),
        "seconds": round(ran.seconds, 3),
        "status": ran.status,
        "code": verdict.code,
        "severity": verdict.severity,
        "text": verdict.text,
        "lines": list(verdict.lines),
        "remedy": verdict.remedy,
    }
    return (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()
