"""What of this machine is ours: memory and cores, where a container or a batch system gives less than there is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Machine", "read_machine"]

_CGROUP = Path("/sys/fs/cgroup")
_MEMORY = ("memory.max", "memory/memory.limit_in_bytes")
"""Where the limit of the group stands that a container sees as its root: cgroup v2, and v1."""

_JOB = ("SLURM_MEM_PER_NODE",)
_MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Machine:
    """What may be used.

    Parameters
    ----------
    memory
        Bytes.
    cores
        Processor cores.
    """

    memory: int
    cores: int


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
    # The cores that a batch system or `taskset` leaves us; other systems do not tell.
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
