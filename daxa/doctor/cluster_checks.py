"""The cluster of the user's configuration: whether it starts, and whether its workers are set up as this machine is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from daxa.doctor.finding import Finding
from daxa.run.cluster_settings import ClusterSettings, read_cluster
from daxa.settings import Settings

__all__ = ["look_at_cluster"]

_PATIENCE = 120.0
"""Seconds to wait for a worker, unless the configuration says otherwise."""

_SLOW = 0.02
"""Seconds of a trivial task above which the overhead of many small tasks is worth a note."""


def look_at_cluster(settings: Settings, shared: Path | None) -> Iterator[Finding]:
    """Start the cluster or connect to it, and run something trivial on a worker.

    Parameters
    ----------
    settings
        Whether tasks run on the cluster.
    shared
        A directory of the current archive; without one, a temporary directory in the cache is used.
    """
    cluster = read_cluster()
    text = cluster.address or f"{cluster.kind}, up to {cluster.jobs} jobs of {cluster.cores} cores and {cluster.memory}"
    yield Finding("cluster", "settings", "ok", text)
    if settings.executor == "local":
        remedy = '`daxa run --executor dask`, or executor = "dask" in your configuration'
        yield Finding("cluster", "executor", "note", "tasks run on this machine by default", remedy)
    if shared is not None:
        yield from _try(cluster, shared)
        return
    settings.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".daxa-doctor-", dir=settings.cache) as name:
        yield from _try(cluster, Path(name))


def _try(cluster: ClusterSettings, shared: Path) -> Iterator[Finding]:
    from daxa.run.cluster_trial import try_cluster
    from daxa.run.cluster_worker import versions_here

    trial = try_cluster(cluster, shared, patience=cluster.patience or _PATIENCE)
    yield Finding("cluster", "scheduler", "ok", f"{trial.scheduler}, dashboard {trial.pages}")
    yield Finding("cluster", "worker", "ok", f"one on {trial.host} after {trial.waited:.1f} s")
    here = versions_here()
    differing = [f"{name} {trial.versions.get(name)}, here {here[name]}" for name in here]
    differing = [text for name, text in zip(here, differing, strict=True) if trial.versions.get(name) != here[name]]
    if differing:
        remedy = "use this Python environment on the nodes, too: otherwise products may differ"
        yield Finding("cluster", "versions", "error", "; ".join(differing), remedy)
    else:
        yield Finding("cluster", "versions", "ok", "the same as here")
    if trial.sees:
        yield Finding("cluster", "file system", "ok", f"{trial.host} sees {shared}")
    else:
        remedy = "keep archives on a file system that all nodes share, under the same path"
        yield Finding("cluster", "file system", "error", f"{trial.host} does not see {shared}", remedy)
    text = f"{1000 * trial.seconds:.1f} ms for a trivial task"
    if trial.seconds > _SLOW:
        remedy = "nothing to do where tasks take seconds; else try a scheduler nearer to the nodes"
        yield Finding("cluster", "overhead", "note", text, remedy)
    else:
        yield Finding("cluster", "overhead", "ok", text)
