"""Try a cluster out: start it or connect to it, and see where a worker runs, what it has, and how fast it answers."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from daxa.errors import ProgramError
from daxa.run.cluster_settings import ClusterSettings
from daxa.run.cluster_worker import versions_here
from daxa.run.scheduler import Connection, connected

__all__ = ["Trial", "try_cluster"]

_UPKEEP = 5.0
"""Seconds between two looks at whether jobs have ended."""


@dataclass(frozen=True)
class Trial:
    """What a small task showed of a cluster.

    Parameters
    ----------
    scheduler, pages
        Addresses of the scheduler and of its pages.
    host
        Where the task ran.
    versions
        Versions of the packages there.
    sees
        Whether the shared directory is visible there.
    waited
        Seconds until the first worker came.
    seconds
        Of one trivial task, on average.
    """

    scheduler: str
    pages: str
    host: str
    versions: Mapping[str, str]
    sees: bool
    waited: float
    seconds: float


_TRIED = 100
"""Trivial tasks over which the time of one is averaged."""


def try_cluster(cluster: ClusterSettings, shared: Path, *, patience: float) -> Trial:
    """Start the cluster, or connect to it, and run trivial tasks.

    Parameters
    ----------
    cluster
        The cluster.
    shared
        A directory that all workers must see.
    patience
        Seconds to wait for the first worker.

    Raises
    ------
    ConfigError
        What daxa needs for clusters is not installed.
    ProgramError
        The cluster cannot be reached or started, or no worker comes.
    """
    began = time.monotonic()
    with connected(cluster, shared.absolute(), 1) as connection:
        client = connection.client
        try:
            _wait_for_worker(connection, began + patience)
        except TimeoutError:
            raise ProgramError(
                "cluster-empty",
                f"no worker has come in {patience:g} s",
                remedy="see whether jobs wait (squeue, qstat, condor_q), and what their logs say",
            ) from None
        waited = time.monotonic() - began
        host, versions, sees = client.submit(_describe_worker, str(shared.absolute()), pure=False).result()
        begun = time.monotonic()
        client.gather(client.map(str, range(_TRIED), pure=False))
        seconds = (time.monotonic() - begun) / _TRIED
        return Trial(client.scheduler.address, client.dashboard_link, host, versions, sees, waited, seconds)


def _wait_for_worker(connection: Connection, until: float) -> None:
    while True:
        connection.keep_up()
        try:
            connection.client.wait_for_workers(1, timeout=min(_UPKEEP, max(0.1, until - time.monotonic())))
        except TimeoutError:
            if time.monotonic() > until:
                raise
        else:
            return


def _describe_worker(shared: str) -> tuple[str, dict[str, str], bool]:
    return socket.gethostname(), versions_here(), Path(shared).is_dir()
