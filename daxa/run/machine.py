"""How much of this machine may be used, and which tasks fit on it side by side.

A container or a batch system may give less memory and fewer cores than there are.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

__all__ = ["Machine", "Resources", "choose_next", "read_machine"]

_CGROUP = Path("/sys/fs/cgroup")
_MEMORY = ("memory.max", "memory/memory.limit_in_bytes")
"""Where cgroup v2 and v1 keep the limit of the group that a container sees as its root."""

_JOB = ("SLURM_MEM_PER_NODE",)
_MEBIBYTE = 1 << 20
_LOOKED_AT = 64


@dataclass(frozen=True)
class Machine:
    """The memory and cores that may be used.

    Parameters
    ----------
    memory
        Bytes.
    cores
        Processor cores.
    """

    memory: int
    cores: int


@dataclass(frozen=True)
class Resources:
    """The resources that one task may take.

    Parameters
    ----------
    memory
        Bytes; 0 if unknown, so that nothing waits for it.
    cores
        Processor cores that it keeps busy.
    time_limit
        Seconds after which it must be stuck.

    Examples
    --------
    >>> Resources(memory=2 << 30, cores=2).at_once(8, total_memory=5 << 30, total_cores=4)
    2
    """

    memory: int = 0
    cores: int = 1
    time_limit: float = math.inf

    def at_once(self, most: int, *, total_memory: int, total_cores: int) -> int:
        """How many such tasks a machine can run at once.

        Parameters
        ----------
        most
            No more than these.
        total_memory, total_cores
            Of the machine: bytes and cores.

        Returns
        -------
        int
            At least 1: a task that is too large for the machine runs alone.
        """
        # A task of one core is limited by the user's setting alone: some want more tasks than cores.
        by_cores = total_cores // self.cores if self.cores > 1 else most
        by_memory = total_memory // self.memory if self.memory else most
        return max(1, min(most, by_cores, by_memory))


def choose_next(waiting: Iterable[Resources], running: Sequence[Resources], machine: Machine) -> int | None:
    """Which of the waiting tasks may start in addition to those that run: the first for which there is room.

    Parameters
    ----------
    waiting
        What they take, in their order; only the first 64 are considered.
    running
        What the others take.
    machine
        The machine.

    Returns
    -------
    int or None
        Its number; None if all have to wait.  If nothing runs, any task may start.

    Examples
    --------
    >>> large, small, machine = Resources(memory=3 << 30), Resources(memory=1 << 30), Machine(4 << 30, 8)
    >>> [choose_next([large, small], running, machine) for running in ([], [small], [large], [large, small])]
    [0, 0, 1, None]
    """
    memory = machine.memory - sum(one.memory for one in running)
    cores = machine.cores - sum(one.cores for one in running)
    for at, one in enumerate(islice(waiting, _LOOKED_AT)):
        # As in `Resources.at_once`, tasks of one core are limited by the number of workers alone.
        if not running or (one.memory <= memory and (one.cores == 1 or one.cores <= cores)):
            return at
    return None


def read_machine(cgroup: Path = _CGROUP) -> Machine:
    """Memory and cores that this process may use.

    Parameters
    ----------
    cgroup
        Where Linux shows the limits of control groups.

    Examples
    --------
    >>> read_machine().cores >= 1
    True
    """
    import psutil

    limits = [psutil.virtual_memory().total, *_limits(cgroup), *_granted()]
    # The cores that a batch system or `taskset` leaves us; other systems do not say.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(min(limits), cores)


def _limits(cgroup: Path) -> list[int]:
    found = []
    for name in _MEMORY:
        try:
            text = (cgroup / name).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        if text.isascii() and text.isdigit() and int(text):
            found.append(int(text))
    return found


def _granted() -> list[int]:
    texts = (os.environ.get(name, "") for name in _JOB)
    return [int(text) * _MEBIBYTE for text in texts if text.isascii() and text.isdigit() and int(text) > 0]
