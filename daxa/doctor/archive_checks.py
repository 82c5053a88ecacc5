"""The archive in the current directory: whether it can be worked on, and where its data go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from daxa.archive.address import is_local
from daxa.archive.check import find_problems
from daxa.archive.config import TEMPLATE, ArchiveConfig, load_config, steps_of
from daxa.archive.dvc_processes import active_pids
from daxa.archive.dvcconfig import read_settings
from daxa.archive.gate import check_archive
from daxa.archive.layout import Layout
from daxa.archive.stage_records import is_running
from daxa.archive.table_diff import shows_tables
from daxa.doctor.finding import Finding
from daxa.files import read_plain

__all__ = ["look_at_archive", "look_at_remotes", "remotes_of"]

_EXTRAS = {
    "s3": ("dvc_s3", "s3"),
    "ssh": ("dvc_ssh", "ssh"),
    "gs": ("dvc_gs", "gs"),
    "azure": ("dvc_azure", "azure"),
    "gdrive": ("dvc_gdrive", "gdrive"),
    "oss": ("dvc_oss", "oss"),
    "hdfs": ("dvc_hdfs", "hdfs"),
    "webhdfs": ("dvc_webhdfs", "webhdfs"),
    "webdav": ("dvc_webdav", "webdav"),
    "webdavs": ("dvc_webdav", "webdav"),
    "http": ("dvc_http", ""),
    "https": ("dvc_http", ""),
}
"""Kind of remote to the package that DVC needs for it, and the extra of DVC that installs it."""


def look_at_archive(layout: Layout) -> Iterator[Finding]:
    """Whether the archive passes the gate and its files can be used, and which processes run in it."""
    check_archive(layout, acting=layout.is_repository)
    config = load_config(layout)
    observed = f"{config.name}: {', '.join(config.missions)}; {', '.join(config.steps)}"
    yield Finding("archive", "files", "ok", observed)
    if not layout.is_repository:
        yield Finding("archive", "repository", "error", "it is not a Git repository", "clone the archive with Git")
    if config.template < TEMPLATE:
        remedy = "`daxa upgrade --dry-run` shows what has changed since"
        yield Finding("archive", "template", "note", "its files are those of an earlier daxa", remedy)
    if layout.is_repository and not shows_tables(layout):
        remedy = "`daxa doctor --fix` lets it show them as rows"
        yield Finding("archive", "git diff", "note", "it does not show tables", remedy)
    if problems := find_problems(layout):
        first = problems[0]
        text = f"{len(problems)} in its files, such as {first.file.name} {first.place}: {first.message}"
        yield Finding("archive", "problems", "error", text, "`daxa check` lists them with their corrections")
    if pids := active_pids(layout.root):
        text = f"processes {', '.join(map(str, pids))}"
        yield Finding(
            "archive", "at work", "note", text, "wait until they have ended; `daxa status` shows the progress"
        )
    else:
        yield from _interrupted(layout, config)


def _interrupted(layout: Layout, config: ArchiveConfig) -> Iterator[Finding]:
    left = [
        f"{mission} {step.name}"
        for mission in config.missions
        for step in steps_of(config)
        if is_running(layout, mission, step.name)
    ]
    if left:
        yield Finding("archive", "interrupted", "note", ", ".join(left), "`daxa run` continues where it stopped")


def remotes_of(layout: Layout) -> dict[str, str]:
    """Name to address of the remotes that ``.dvc/config`` names."""
    path = layout.root / ".dvc" / "config"
    settings = (read_settings(read_plain(path)) if path.is_file() else None) or ()
    return {name: value for section, name, key, value in settings if section == "remote" and key == "url"}


def look_at_remotes(layout: Layout) -> Iterator[Finding]:
    """Where the archive's data are shared, and whether DVC has what it needs for that."""
    remotes = remotes_of(layout)
    if not remotes:
        remedy = "`daxa remote add NAME ADDRESS --default` names a place that others can reach"
        yield Finding("remotes", "none", "note", "the data are on this machine only", remedy)
    for name, address in remotes.items():
        yield _local(layout, name, address) if is_local(address) else _distant(name, address)


def _local(layout: Layout, name: str, address: str) -> Finding:
    # DVC takes a relative path from the directory of its configuration.
    # pathlib raises where there is no such home directory.
    place = Path(os.path.normpath(layout.root / ".dvc" / os.path.expanduser(address)))  # noqa: PTH111
    if not place.is_dir():
        remedy = f"mount it, or create it: `mkdir -p {place}`; `daxa push` creates it, too"
        return Finding("remotes", name, "warning", f"{place} does not exist", remedy)
    if not os.access(place, os.W_OK):
        return Finding(
            "remotes", name, "note", f"{place} can be read but not written", "ask its owner if you want to push"
        )
    return Finding("remotes", name, "ok", str(place))


def _distant(name: str, address: str) -> Finding:
    kind = address.partition("://")[0].lower()
    package, extra = _EXTRAS.get(kind, ("", ""))
    if package and find_spec(package) is None:
        remedy = f"install it: `pip install 'dvc[{extra}]'`" if extra else "install DVC again"
        return Finding("remotes", name, "error", f"{address}: DVC lacks a package for {kind}", remedy)
    return Finding("remotes", name, "ok", address)
