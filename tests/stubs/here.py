"""Run stand-ins in this process, where a test makes many calls: starting a program costs a hundred times the work."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from unittest import mock

from daxa.run.process import Limited
from tests.stubs.program import main

_ENDS = {"hang": Limited(None, "time"), "crash": Limited(-11)}


def run_here(
    argv: Sequence[str],
    *,
    cwd: Path,
    environ: Mapping[str, str],
    stdout: Path,
    stderr: Path,
    seconds: float,
    most_bytes: int,
) -> Limited:
    """In place of `daxa.run.process.run_limited`; a stand-in that would hang or crash ends as one that did."""
    del seconds, most_bytes
    program = Path(argv[0])
    asked = program.parents[1] / "requests" / program.name
    request = json.loads(asked.read_text()) if asked.exists() else {}
    if request.get("failure") in _ENDS and request.get("only", "") in str(cwd):
        stdout.touch()
        stderr.touch()
        return _ENDS[request["failure"]]
    # The launcher's last line names suite and release.
    suite, release, tool = (word.strip("'") for word in program.read_text().rpartition("main(")[2][:-3].split(", ")[1:])
    with (
        stdout.open("x") as out,
        stderr.open("x") as err,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, environ, clear=True),
        mock.patch.object(sys, "argv", list(argv)),
    ):
        try:
            return Limited(main(str(program.parents[1]), suite, release, tool))
        except Exception:  # As the interpreter ends with it.
            traceback.print_exc()
            return Limited(1)
