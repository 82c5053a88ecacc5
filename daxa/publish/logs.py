"""The logs that a release keeps: those here, and those of the release before that are not here."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from daxa.archive import dvc, git
from daxa.archive.layout import Layout
from daxa.publish.contents import find_listing
from daxa.publish.digests import read_md5
from daxa.publish.outputs import listed_files, tracked_digest
from daxa.publish.remote import Storage
from daxa.publish.state import State

__all__ = ["LogPlan", "keep_logs", "plan_logs"]

NAME = "logs.dvc"


@dataclass(frozen=True)
class LogPlan:
    """Which logs of the last commit must be put beside those on disk.

    Parameters
    ----------
    restore
        Path below ``logs/`` and the object of DVC's cache that holds it.
    unreachable
        True where the cache lacks them.
    """

    restore: tuple[tuple[str, Path], ...] = ()
    unreachable: bool = False


def plan_logs(layout: Layout, state: State, storage: Storage) -> LogPlan:
    """Find logs of kept tasks that only the last commit has, such as after a clone.

    Without them, a release from a clone would forget how most of its products were made.
    """
    content = git.read_file(layout.root, "HEAD", NAME)
    here = _present(layout, state)
    absent = [path for path in _wanted(state) if path not in here]
    if content is None or not absent:
        return LogPlan()
    listing = find_listing(layout, tracked_digest(content), layout.logs.name, storage, None)
    if listing is None:
        return LogPlan(unreachable=True)
    kept = listed_files(listing, layout.logs.name)
    restore = tuple((path, storage.cached(kept[path])) for path in absent if path in kept)
    return LogPlan(restore, not all(read_md5(storage.cached(kept[path])) == kept[path] for path, _ in restore))


def keep_logs(layout: Layout, plan: LogPlan) -> None:
    """Carry out the plan and let DVC track the logs."""
    for path, source in plan.restore:
        target = layout.logs / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    if layout.logs.is_dir():
        dvc.add(layout.root, layout.logs.name)


def _wanted(state: State) -> Iterable[str]:
    for mission, done in state.missions.items():
        for step, rows in done.ledgers.items():
            for obs_id, row in rows.items():
                if row.outcome != "skipped":
                    yield f"{mission}/{step}/{obs_id}.log"


def _present(layout: Layout, state: State) -> set[str]:
    """The logs that are here, as `_wanted` names them."""
    found = set()
    for mission, done in state.missions.items():
        for step in done.ledgers:
            directory = layout.log(mission, step, "any").parent
            if directory.is_dir():
                found |= {f"{mission}/{step}/{entry.name}" for entry in os.scandir(directory) if entry.is_file()}
    return found
