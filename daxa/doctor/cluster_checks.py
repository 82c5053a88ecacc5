"""The cluster of the user's configuration: whether it starts, and whether its workers can do what this machine can."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from daxa.doctor.finding import Finding
from daxa.run.cluster_settings import ClusterSettings, read_cluster
from daxa.settings import Settings

__all__ = ["look_at_cluster"]

_PATIENCE = 120.0
"""Seconds for which a worker is waited for, unless the configuration gives another patience."""

_SLOW = 0.02
"""Seconds of a trivial task above which many small tasks cost more than they should."""


def look_at_cluster(settings: Settings, shared: Path | None) -> Iterator[Finding]:
    """Start the cluster or connect to it, and let a worker do something trivial.

    Parameters
    ----------
    settings
        Whether tasks run on the cluster.
    shared
        A directory of the archive in which one stands; else one in the cache is made for the moment.
    """
    cluster = read_cluster()
    text = cluster.address or f"{cluster.kind}, up to {cluster.jobs} jobs of {cluster.cores} cores and {cluster.memory}"
    yield Finding("cluster", "settings", "ok", text)
    if settings.executor == "local":
        remedy = '`daxa run --executor dask`, or executor = "dask" in your configuration'
        yield Finding("cluster", "executor", "note", "tasks run on this machine unless asked otherwise", remedy)
    if shared is not None:
        yield from _try(cluster, shared)
        return
    settings.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".daxa-doctor-", dir=settings.cache) as name:
        yield from _try(cluster, Path(name))


def _try(cluster: ClusterSettings, shared: Path) -> Iterator[Finding]:
    from daxa.run.cluster import try_cluster
    from daxa.run.lane import versions_here

    trial = try_cluster(cluster, shared, patience=cluster.patience or _PATIENCE)
    yield Finding("cluster", "scheduler", "ok", f"{trial.scheduler}, its pages {trial.pages}")
    yield Finding("cluster", "worker", "ok", f"one on {trial.host} after {trial.waited:.1f} s")
    here = versions_here()
    differing = [f"{name} {trial.versions.get(name)}, here {here[name]}" for name in here]
    differing = [text for name, text in zip(here, differing, strict=True) if trial.versions.get(name) != here[name]]
    if differing:
        remedy = "let the nodes use this Python environment: products would differ otherwise"
        yield Finding("cluster", "versions", "error", "; ".join(differing), remedy)
    else:
        yield Finding("cluster", "versions", "ok", "as here")
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
