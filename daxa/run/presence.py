"""Whether the files of a stage are what its ledger says, as far as a look tells that reads little.

A stage reads every file that it has not read since it last changed.  Who only looks has less
time: files whose size, modification time and inode are those at which they were digested are
taken for unchanged, as the stage does; of the others a limited volume is read, and the rest is
counted as unread.  Where the files are too many even to be looked at one by one, directories of
observations are: one that is absent, or younger than the stage's last run, is noticed, and a
file that was rewritten in its place is not.
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
        taken for what the ledger says.
    inspect
        Tells the state of the files of a row, whose files must be given.
    unread
        Observations whose files agree in name and size, as far as looked at, and may differ in content.
    """

    suspects: set[str] | None
    inspect: Callable[[LedgerRow], State]
    unread: set[str] = field(default_factory=set)


class _UnreadError(Exception):
    """The content of a file is not known, and may not be read any more."""


class _Known(HashCache):
    """Digests that are known; files are read as long as the volume lasts."""

    def __init__(self, path: Path, volume: float) -> None:
        super().__init__(path)
        self._volume = volume

    def sha256(self, file: Path) -> str:
        if not self.knows(file):
            self._volume -= file.lstat().st_size
            if self._volume < 0:
                raise _UnreadError
        return super().sha256(file)


def inspect_nothing() -> Presence:
    """Of a stage that is at work: its files come and go."""
    return Presence(set(), lambda row: "intact")


def inspect_files(products: Path, hashes: Path, *, fetched: bool, volume: float) -> Presence:
    """Look at every file.

    Parameters
    ----------
    products, hashes
        As in `daxa.run.task.StagePaths`.
    fetched
        As for `daxa.run.hashes.find_state`.
    volume
        Bytes that may be read of files whose digest is not known.
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
    """Look at the directories of observations, and at the files of those that changed since the stage ran.

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
