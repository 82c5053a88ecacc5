"""All checks, one after another, in an archive or outside of one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from daxa.archive.config import ArchiveConfig, load_config, settings_of
from daxa.archive.gate import check_archive
from daxa.archive.layout import Layout
from daxa.archive.trust import foreign_services
from daxa.backends.tools.reading import suite_names
from daxa.doctor.archive_checks import look_at_archive, look_at_remotes
from daxa.doctor.backend_checks import look_at_backends, look_at_locks, look_at_plugins, used_backends
from daxa.doctor.cluster_checks import look_at_cluster
from daxa.doctor.disk_checks import look_at_disks
from daxa.doctor.finding import Finding, guarded, pasteable
from daxa.doctor.machine_checks import look_at_machine, look_at_packages
from daxa.doctor.program_checks import look_at_dvc, look_at_git
from daxa.doctor.server_checks import look_at_services
from daxa.doctor.suite_checks import look_at_suite
from daxa.errors import DaxaError
from daxa.missions import mission_names
from daxa.publish.remote import find_cache
from daxa.settings import Settings, load_settings

__all__ = ["ASKED", "PARTS", "examine"]

PARTS = (
    *("machine", "python", "git", "dvc", "settings", "disk", "backends", "plug-ins"),
    *("archive", "remotes", "services"),
)
"""Parts of an examination, in their order."""

ASKED = (*suite_names(), "cluster")
"""Parts that are looked at only by name, since they run mission software, or jobs on a cluster."""


def examine(directory: Path, *, network: bool = False, parts: Collection[str] = ()) -> Iterator[Finding]:
    """Check everything that daxa depends on.

    Nothing is left behind: files written to test disks are removed again.

    Parameters
    ----------
    directory
        The current directory; an archive if it has a ``daxa.toml``.
    network
        Contact the servers of the archive's missions, or of all missions.
    parts
        Only these of `PARTS` and `ASKED`; all of the former by default.

    Yields
    ------
    Finding
        Without home directory, user names and credentials.
    """
    if not parts or {*parts} - {*ASKED}:
        for finding in _examine(directory, network=network):
            if not parts or finding.part in parts:
                yield pasteable(finding)
    yield from map(pasteable, _asked(directory, parts))


def _asked(directory: Path, parts: Collection[str]) -> Iterator[Finding]:
    """What is looked at only by name."""
    layout = Layout(directory.absolute())
    config, _ = _read_config(layout)
    for name in (one for one in suite_names() if one in parts):
        yield from guarded(name, name, partial(look_at_suite, name, layout, config))
    if "cluster" in parts:
        settings, problems = _read_settings(config)
        yield from problems
        yield from guarded("cluster", "cluster", lambda: look_at_cluster(settings, _shared(layout, config)))


def _shared(layout: Layout, config: ArchiveConfig | None) -> Path | None:
    """A directory that nodes must see, if one stands in an archive that may be acted in."""
    if config is None or not layout.is_repository:
        return None
    check_archive(layout, acting=True)
    layout.private.mkdir(exist_ok=True)
    return layout.private


def _examine(directory: Path, *, network: bool) -> Iterator[Finding]:
    layout = Layout(directory.absolute())
    config, problems = _read_config(layout)
    settings, more = _read_settings(config)
    yield from guarded("machine", "machine", partial(look_at_machine, settings))
    yield from look_at_packages()
    yield from guarded("git", "program", partial(look_at_git, directory))
    yield from look_at_dvc()
    yield from more
    yield from guarded("disk", "places", lambda: look_at_disks(_places(layout, settings, config)))
    yield from guarded("backends", "backends", partial(_backends, layout, config))
    yield from guarded("plug-ins", "plug-ins", look_at_plugins)
    yield from problems
    if config is not None:
        yield from _of_archive(layout, config)
    if network:
        yield from guarded("services", "addresses", partial(_services, layout, config, settings))


def _services(layout: Layout, config: ArchiveConfig | None, settings: Settings) -> Iterator[Finding]:
    """The servers of the archive's missions; those that the archive itself names only if the user accepted them."""
    if config is None:
        yield from look_at_services(mission_names(), settings)
        return
    for one in foreign_services(layout, config):
        yield Finding("services", one.path, "warning", f"{one.path} {one.what}: not contacted", one.remedy)
        settings = load_settings()
    yield from look_at_services(config.missions, settings)


def _of_archive(layout: Layout, config: ArchiveConfig) -> Iterator[Finding]:
    if shutil.which("git"):  # Without it nothing can be said, and that has been said.
        yield from guarded("archive", "gate", partial(look_at_archive, layout))
    yield from guarded("archive", "software", partial(look_at_locks, layout, config))
    yield from guarded("remotes", "configuration", partial(look_at_remotes, layout))


def _backends(layout: Layout, config: ArchiveConfig | None) -> Iterator[Finding]:
    used: frozenset[str] = frozenset()
    if config is not None:
        with suppress(DaxaError):  # What is wrong with the archive's files is found where these are looked at.
            used = used_backends(layout, config)
    yield from look_at_backends(used)


def _read_config(layout: Layout) -> tuple[ArchiveConfig | None, list[Finding]]:
    if not layout.config.exists():
        return None, []
    try:
        return load_config(layout), []
    except DaxaError as error:
        return None, [Finding("archive", "daxa.toml", "error", error.message, error.remedy)]


def _read_settings(config: ArchiveConfig | None) -> tuple[Settings, list[Finding]]:
    try:
        return settings_of(config) if config else load_settings(), []
    except DaxaError as error:
        return Settings(), [Finding("settings", "settings", "error", error.message, error.remedy)]


def _places(layout: Layout, settings: Settings, config: ArchiveConfig | None) -> dict[str, Path]:
    """The directories that daxa writes to; not an archive whose paths could lead elsewhere."""
    archive: dict[str, Path] = {}
    if config is not None:
        with suppress(DaxaError):  # The gate's refusal is a finding of its own.
            check_archive(layout, acting=True)
            # Nothing is tried where Git or a person would see it.
            layout.private.mkdir(exist_ok=True)
            cache = find_cache(layout.root).cache
            inside = cache.is_relative_to(layout.root)
            archive = {"archive": layout.private, "DVC cache": layout.private if inside else cache}
    named = {"store": settings.store, "cache": settings.cache, "temporary": Path(tempfile.gettempdir())}
    return archive | {name: place for name, place in named.items() if place != Path()}
