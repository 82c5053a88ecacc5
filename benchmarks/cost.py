"""What a command costs with all that it starts, and what a process takes of memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cost", "best", "measure", "peak_memory"]

_LAUNCHER = """
import os, sys, time
told, argv = int(sys.argv[1]), sys.argv[2:]
os.set_inheritable(told, False)
begin = time.perf_counter()
child = os.posix_spawnp(argv[0], argv, os.environ)
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - begin
cpu = usage.ru_utime + usage.ru_stime
os.write(told, f"[{os.waitstatus_to_exitcode(status)}, {wall}, {cpu}, {usage.ru_maxrss * 1024}]".encode())
"""


@dataclass(frozen=True)
class Cost:
    """Of a process with its children.

    Parameters
    ----------
    wall, cpu
        Seconds of a clock, and of the processor.
    output
        What it wrote to standard output.
    memory
        Bytes that the largest of its processes has held.
    """

    wall: float
    cpu: float
    output: str = ""
    memory: int = 0


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
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err, tempfile.TemporaryFile("w+") as told:
        # A process counts what the one held that began it: therefore one that holds nothing begins the command.
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(told.fileno()), *map(str, argv)]
        subprocess.run(launcher, cwd=cwd, env=whole, stdout=out, stderr=err, pass_fds=[told.fileno()], check=False)
        for stream in (out, err, told):
            stream.seek(0)
        code, wall, cpu, memory = json.loads(told.read() or "[-1, 0, 0, 0]")
        if code:
            raise SystemExit(f"{' '.join(map(str, argv))} failed:\n{out.read()}{err.read()}")
        return Cost(wall, cpu, out.read(), memory)


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
