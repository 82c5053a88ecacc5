"""What a command costs with all that it starts, and what a process takes of memory."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cost", "best", "measure", "peak_memory"]


@dataclass(frozen=True)
class Cost:
    """Of a process with its children.

    Parameters
    ----------
    wall, cpu
        Seconds of a clock, and of the processor.
    output
        What it wrote to standard output.
    """

    wall: float
    cpu: float
    output: str = ""


def measure(argv: Sequence[str | Path], cwd: Path, **environ: str) -> Cost:
    """Run a command to its end.

    Parameters
    ----------
    argv
        Program and arguments.
    cwd
        Where it runs.
    environ
        More of its environment.

    Raises
    ------
    SystemExit
        It fails; with what it wrote.
    """
    whole = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | environ
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begin = time.perf_counter()
        child = subprocess.Popen(list(map(str, argv)), cwd=cwd, env=whole, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if child.returncode:
            raise SystemExit(f"{' '.join(map(str, argv))} failed:\n{out.read()}{err.read()}")
        return Cost(wall, usage.ru_utime + usage.ru_stime, out.read())


def best(run: Callable[[], Cost], repeat: int) -> Cost:
    """The run of several that took the processor least: what others on the machine add is not its own."""
    return min((run() for _ in range(repeat)), key=lambda cost: cost.cpu)


def peak_memory(*, anew: bool = False) -> int:
    """Bytes that this process has held at most, pages of mapped files among them.

    Parameters
    ----------
    anew
        Forget what it held before, where the system can: the answer is then what it holds now.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        # Of this program and of the one that started it, whichever was larger.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
