"""The cluster in the user's configuration, ``[cluster]``: an address, or jobs of a batch system."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from daxa.errors import ConfigError
from daxa.naming import did_you_mean
from daxa.settings import user_table

__all__ = ["KINDS", "ClusterSettings", "read_cluster"]

KINDS = ("slurm", "pbs", "htcondor", "local")
"""What can start workers; ``local`` starts processes on this machine, for tests."""

_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_TEXTS = {
    # These are written into job scripts.
    "address": re.compile(r"(?:tls|tcp)://[\w.\-\[\]:]+:\d{1,5}", re.ASCII),
    "kind": re.compile("|".join(KINDS)),
    "queue": re.compile(r"[\w.,@-]{1,100}", re.ASCII),
    "account": re.compile(r"[\w.@-]{1,100}", re.ASCII),
    "memory": re.compile(rf"(\d{{1,6}}(?:\.\d+)?) ?({'|'.join(_UNITS)})"),
    "walltime": re.compile(r"(?:\d{1,3}-)?\d{1,3}:\d\d:\d\d"),
    "scratch": re.compile(r"/[\w./+-]{0,500}", re.ASCII),
    "interface": re.compile(r"[\w.-]{1,30}", re.ASCII),
    "dashboard": re.compile(r"[\w.\-\[\]]*:\d{1,5}", re.ASCII),
}
_NUMBERS = {"cores": 1024, "jobs": 10_000, "patience": 1_000_000}
_DIRECTIVE = re.compile(r"[\w=.,:@/+ -]{1,200}", re.ASCII)
_EXAMPLES = {"memory": "16 GB", "walltime": "04:00:00", "address": "tls://node1:8786", "scratch": "/local/scratch"}


@dataclass(frozen=True)
class ClusterSettings:
    """The cluster on which tasks run instead of this machine.

    Parameters
    ----------
    address
        Address of a running Dask scheduler.
    kind
        The batch system that starts the workers, one of `KINDS`.
    queue, account
        Queue and account to which jobs are submitted.
    cores, memory
        Of one job; the memory as text, such as ``16 GB``.
    walltime
        Time limit of a job, such as ``04:00:00``.
    jobs
        Maximum number of jobs.
    scratch
        Directory of a node for the temporary files of Dask and of tasks; by default the node's own.
    interface
        Network interface over which the nodes reach this machine, such as ``ib0``.
    directives
        Further lines for the batch system, such as ``--constraint=skylake``.
    dashboard
        Address and port of Dask's dashboard.
    patience
        Seconds to wait for the first worker; 0 waits forever, for queues of hours.
    """

    address: str = ""
    kind: str = ""
    queue: str = ""
    account: str = ""
    cores: int = 1
    memory: str = "4 GB"
    walltime: str = ""
    jobs: int = 1
    scratch: str = ""
    interface: str = ""
    directives: tuple[str, ...] = ()
    dashboard: str = "127.0.0.1:0"
    patience: int = 0

    @property
    def memory_bytes(self) -> int:
        """Memory of one job in bytes.

        Examples
        --------
        >>> ClusterSettings(memory="1.5 GB").memory_bytes
        1500000000
        """
        found = _TEXTS["memory"].fullmatch(self.memory)
        return int(float(found[1]) * _UNITS[found[2]]) if found else 0


def read_cluster(*, environ: Mapping[str, str] | None = None, user_file: Path | str = "") -> ClusterSettings:
    """The cluster that the user's configuration names.

    Parameters
    ----------
    environ, user_file
        As for `daxa.settings.load_settings`.

    Raises
    ------
    ConfigError
        There is none, or it holds a value that cannot be used.
    """
    table = user_table("cluster", environ=environ, user_file=user_file)
    known = {field.name for field in fields(ClusterSettings)}
    for name in table.keys() - known:
        raise _unfit(f"has no {name!r}{did_you_mean(name, known)}", f"use {', '.join(sorted(known))}")
    settings = ClusterSettings(**{name: _value(name, value) for name, value in table.items()})
    if bool(settings.address) == bool(settings.kind):
        raise _unfit(
            "names both an address and a kind" if settings.address else "names neither an address nor a kind",
            'write either kind = "slurm" with queue, cores, memory, walltime and jobs, or address = "tls://HOST:PORT" '
            "(docs/clusters.md)",
        )
    return settings


def _value(name: str, value: object) -> Any:
    if name in _NUMBERS:
        least = 0 if name == "patience" else 1
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _NUMBERS[name]:
            raise _unfit(f"{name} = {value!r} is not a number from {least} to {_NUMBERS[name]}", "correct it")
        return value
    if name == "directives":
        if not isinstance(value, list) or not all(isinstance(one, str) and _DIRECTIVE.fullmatch(one) for one in value):
            raise _unfit("directives is not a list of plain texts", 'write directives = ["--constraint=skylake"]')
        return tuple(value)
    if not isinstance(value, str) or not _TEXTS[name].fullmatch(value):
        like = f", such as {_EXAMPLES[name]!r}" if name in _EXAMPLES else ""
        choose = f"choose one of {', '.join(KINDS)}" if name == "kind" else f"correct it{like}"
        raise _unfit(f"{name} = {value!r} cannot be used", choose)
    return value


def _unfit(why: str, remedy: str) -> ConfigError:
    return ConfigError("cluster", f"[cluster] of your configuration {why}", remedy=remedy)
