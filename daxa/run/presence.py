"""Whether the files of a stage are what its ledger says, as far as can be seen without reading much.

A stage reads every file that has changed since it was last read.  A status report has less
time: files whose size, modification time and inode are those with which they were digested are
taken as unchanged, as the stage does; of the others a limited volume is read, and the rest is
counted as unread.  If there are too many files to inspect one by one, the directories of
observations are inspected: one that is absent, or younger than the stage's last run, is noticed, but a
file that was rewritten in place is not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from daxa.run.hashes import HashCache, State, find_state
from daxa.run.task import LedgerRow

__all__ = ["Presence", "inspect_directories", "inspect_files", "inspect_nothing"]


@dataclass(frozen=True)
class Presence:
    """What is known of the files of a stage.

    Parameters
    ----------
    suspects
        The observations to ask `inspect` about; None for all of them.  The files of the others are
        taken to be what the ledger says.
    inspect
        Gives the state of the files of a row, which must include its files.
    unread
        Observations whose files agree in name and size, as far as inspected, but may differ in content.
    """

    suspects: set[str] | None
    inspect: Callable[[LedgerRow], State]
    unread: set[str] = field(default_factory=set)


class _UnreadError(Exception):
    """The content of a file is not known, and the volume that may be read is used up."""


class _Known(HashCache):
    """Known digests; other files are read until the volume is used up."""

    def __init__(self, path: Path, volume: float) -> None:
        super().__init__(path)
        self._volume = volume

    def read(self, file: str, found: os.stat_result) -> str:
        self._volume -= found.st_size
        if self._volume < 0:
            raise _UnreadError
        return super().read(file, found)


def inspect_nothing() -> Presence:
    """For a stage that is running: its files come and go."""
    return Presence(set(), lambda row: "intact")


def inspect_files(products: Path, hashes: Path, *, fetched: bool, volume: float) -> Presence:
    """Inspect every file.

    Parameters
    ----------
    products, hashes
        As in `daxa.run.task.StagePaths`.
    fetched
        As for `daxa.run.hashes.find_state`.
    volume
        Most bytes to read of files whose digest is not known.
    """
    known, unread = _Known(hashes, volume), set()

    def inspect(row: LedgerRow) -> State:
        try:
            return find_state(products / row.obs_id, row, known, fetched=fetched)
        except _UnreadError:
            unread.add(row.obs_id)
            return "intact"

    return Presence(None, inspect, unread)


def inspect_directories(
    products: Path, hashes: Path, obs_ids: Mapping[str, object], *, fetched: bool, volume: float
) -> Presence:
    """Inspect the directories of observations, and the files in those that have changed since the stage ran.

    Parameters
    ----------
    products, hashes, fetched, volume
        As for `inspect_files`.
    obs_ids
        The observations.
    """
    try:
        since = hashes.stat().st_mtime_ns
    except OSError:
        since = 0
    found = {}
    if products.is_dir():
        with os.scandir(products) as entries:
            found = {entry.name: entry.stat(follow_symlinks=False).st_mtime_ns if since else 0 for entry in entries}
    younger = {obs_id for obs_id, changed in found.items() if changed > since}
    files = inspect_files(products, hashes, fetched=fetched, volume=volume) if younger else None

    def inspect(row: LedgerRow) -> State:
        if row.obs_id not in found:
            return "absent"
        return files.inspect(row) if files else "intact"

    unread = files.unread if files else set()
    if not since:
        unread |= found.keys() & obs_ids.keys()
    return Presence((younger | (obs_ids.keys() - found.keys())), inspect, unread)
