"""The logs that a release keeps: those on disk, and those of the previous release that are not on disk."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from daxa.archive import git
from daxa.archive.gate import check_plain
from daxa.archive.layout import Layout
from daxa.publish.contents import find_listing
from daxa.publish.digests import Digests, place_object, read_md5
from daxa.publish.dvc_outputs import directory_digest, directory_listing, listed_files, tracked_digest
from daxa.publish.file_check import file_names, irregular_names
from daxa.publish.remote import Storage
from daxa.publish.state import ArchiveState

__all__ = ["LogPlan", "keep_logs", "place_logs", "plan_logs", "unreleased_logs"]

NAME = "logs.dvc"


@dataclass(frozen=True)
class LogPlan:
    """Which logs of the last commit must be added to those on disk.

    Parameters
    ----------
    restore
        Path below ``logs/``, and its object in DVC's cache.
    unreachable
        Whether the cache lacks them.
    """

    restore: tuple[tuple[str, Path], ...] = ()
    unreachable: bool = False


def plan_logs(layout: Layout, state: ArchiveState, storage: Storage) -> LogPlan:
    """Find logs of kept tasks that only the last commit has, as after a clone.

    Without them, a release from a clone would lose the logs of most of its products.
    """
    content = git.read_file(layout.root, "HEAD", NAME)
    here = _present(layout, state)
    absent = [path for path in _task_logs(state) if path not in here]
    if content is None or not absent:
        return LogPlan()
    listing = find_listing(layout, tracked_digest(content), layout.logs.name, storage, None)
    if listing is None:
        return LogPlan(unreachable=True)
    kept = listed_files(listing, layout.logs.name)
    restore = tuple((path, storage.cached(kept[path])) for path in absent if path in kept)
    return LogPlan(restore, not all(read_md5(storage.cached(kept[path])) == kept[path] for path, _ in restore))


def keep_logs(layout: Layout, plan: LogPlan, storage: Storage, digests: Digests) -> None:
    """Restore logs as planned, and let DVC track all: objects in its cache, and ``logs.dvc`` as `dvc add` writes it.

    `dvc add` itself would read and link every log again.

    Raises
    ------
    DataError
        Something in ``logs/`` does not have the name of a log.
    StorageError
        The cache cannot be written.
    UntrustedArchive
        There is a link, pipe or device in the place of a log.
    """
    for path, source in plan.restore:
        target = layout.logs / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    if not layout.logs.is_dir():
        return
    for name in irregular_names(layout.logs):
        check_plain(layout.logs / name, "a file")
    names = {path: f"{layout.logs}/{path}" for path in file_names(layout.logs)}
    found = digests.many(names.values())
    files = {path: found[name] for path, name in names.items()}
    listing = directory_listing(files)
    listed_files(listing, layout.logs.name)
    held = storage.names()
    for path, digest in files.items():
        if digest not in held:
            place_object(Path(names[path]), storage.cached(digest), digest, durable=False)
    whole = directory_digest(files)
    place_object(listing, storage.cached(whole), whole)
    size = sum(Path(name).lstat().st_size for name in names.values())
    text = f"outs:\n- md5: {whole}\n  size: {size}\n  nfiles: {len(files)}\n  hash: md5\n  path: {layout.logs.name}\n"
    (layout.root / NAME).write_text(text, encoding="utf-8")


def unreleased_logs(layout: Layout, storage: Storage, digests: Digests) -> frozenset[str]:
    """Paths, from the archive's root, of logs that exist only on this disk: written by runs since the last release."""
    names = {f"{layout.logs.name}/{path}": f"{layout.logs}/{path}" for path in file_names(layout.logs)}
    found, held = digests.many(names.values()), storage.names()
    return frozenset(path for path, name in names.items() if found[name] not in held)


def place_logs(layout: Layout, storage: Storage, wanted: Mapping[str, str], given_up: Collection[str] = ()) -> None:
    """Copy logs from DVC's cache to where there are none, or over given-up ones: path from the root to digest.

    DVC itself does not check out a directory that contains files it does not know.
    """
    for path, digest in wanted.items():
        target = layout.root / path
        free = path in given_up or not os.path.lexists(target)
        if free and place_object(storage.cached(digest), target, digest, durable=False):
            target.chmod(0o644)


def _task_logs(state: ArchiveState) -> Iterable[str]:
    for mission, done in state.missions.items():
        for step, rows in done.ledgers.items():
            for row in rows.values():
                if row.outcome != "skipped":
                    yield from (f"{mission}/{step}/{name}.log" for name in row.task_names)


def _present(layout: Layout, state: ArchiveState) -> set[str]:
    """The logs on disk, with the names that `_task_logs` uses."""
    found = set()
    for mission, done in state.missions.items():
        for step in done.ledgers:
            directory = layout.log(mission, step, "any").parent
            if directory.is_dir():
                found |= {
                    f"{mission}/{step}/{entry.name}"
                    for entry in os.scandir(directory)
                    if entry.is_file(follow_symlinks=False)
                }
    return found
