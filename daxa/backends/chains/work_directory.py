"""The directory in which the calls of one task run, and the journal of the calls that succeeded.

Both are kept in the private state of the archive if a task fails or is interrupted, so that the next attempt resumes
where it stopped.  A call is not made again if its arguments, its variables, the release, the inputs and all calls
before it are the same, and every file that it wrote is unchanged.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from daxa.files import read_note, replace_file
from daxa.run.process_trees import end_homed

__all__ = ["Entry", "OutdatedError", "WorkDirectory", "key_of"]

_JOURNAL = "journal.json"
_FORMAT = 2
_BLOCK = 1 << 20
_FOLDER = "a directory"
"""Stands for the digest of an empty directory."""


class OutdatedError(Exception):
    """Files of an earlier attempt were changed by calls that are no longer needed: the task starts over."""


@dataclass(frozen=True)
class Entry:
    """A call that succeeded, or the copying of the inputs.

    Parameters
    ----------
    key
        Digest of everything that it depended on.
    files
        Path below the working directory to the SHA-256 of each file that it wrote.
    outputs
        Name of an output to paths.
    log
        Name of its log.
    slot
        Which call of the chain it is: it replaces an earlier one with other arguments.
    rewrites
        Keys of earlier entries of whose files it changed some.
    after
        Keys of the entries on which it depends.
    """

    key: str
    files: Mapping[str, str]
    outputs: Mapping[str, Sequence[str]]
    log: str = ""
    slot: str = ""
    rewrites: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def key_of(*parts: object) -> str:
    """A digest of what a call depends on.

    Examples
    --------
    >>> key_of("a", ["b"]) == key_of("a", ["b"]), key_of("ab") == key_of("a", "b")
    (True, False)
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass
class WorkDirectory:
    """A working directory with its journal.

    Parameters
    ----------
    root
        Where both are; it exists.
    """

    root: Path
    _entries: dict[str, Entry] = field(default_factory=dict)
    _stamps: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    _pending: set[str] = field(default_factory=set)
    _wanted: set[str] = field(default_factory=set)

    @property
    def work(self) -> Path:
        """The working directory of the calls."""
        return self.root / "work"

    @property
    def logs(self) -> Path:
        """Where the logs of the calls are."""
        return self.root / "logs"

    def open(self) -> None:
        """Read the journal, and remove files that it does not name: an interrupted call leaves some behind."""
        noted = read_note(self.root / _JOURNAL)
        if noted.get("format") == _FORMAT:
            try:
                entries = [
                    Entry(**{**one, "rewrites": tuple(one["rewrites"]), "after": tuple(one["after"])})
                    for one in noted["entries"]
                ]
            except (KeyError, TypeError):
                entries = []
            self._entries = {one.key: one for one in entries}
        if self.work.exists():
            end_homed(self.root)  # Processes of a killed attempt may still write.
        self.work.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)
        self._remove_others(path for entry in self._entries.values() for path in entry.files)
        self._stamps = self._look()
        for place in self.root.glob("call-*"):
            shutil.rmtree(place, ignore_errors=True)

    def clear(self) -> None:
        """Remove everything, and start with an empty directory."""
        for place in (self.work, self.logs):
            shutil.rmtree(place, ignore_errors=True)
        (self.root / _JOURNAL).unlink(missing_ok=True)
        self._entries, self._pending, self._wanted = {}, set(), set()
        self.open()

    def find(self, key: str) -> Entry | None:
        """What an earlier attempt recorded of a call, if its files are unchanged."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        written = [one for one in self._entries.values() if key in one.rewrites]
        again = {path for one in written for path in one.files}
        # What has no digest, such as a pipe, cannot be distinguished from what is not there.
        whole = all(path in again or (digest and self._digest(path) == digest) for path, digest in entry.files.items())
        if not whole:
            return None
        self._wanted.add(key)
        self._pending.discard(key)
        self._pending.update(one.key for one in written)
        return entry

    def check(self) -> None:
        """Make sure that the files are those of the calls so far.

        Raises
        ------
        OutdatedError
            A later call of an earlier attempt has changed some of them.
        """
        if self._pending:
            raise OutdatedError

    def before_call(self, slot: str = "") -> None:
        """Check, and remember which files there are: what differs afterwards was written by the call.

        What an earlier attempt made by the same call, and everything made from that, is removed: tools look into
        directories, and some do not replace files.
        """
        self.check()
        former = {key for key, one in self._entries.items() if slot and one.slot == slot and key not in self._wanted}
        if former:
            self._forget(former)
        self._stamps = self._look()

    def forget_link(self, name: str) -> None:
        """Have the next attempt make the calls of a link again, and those that depend on them."""
        self._forget({key for key, one in self._entries.items() if one.slot.partition(" ")[0] == name})
        self._save()

    def _forget(self, keys: set[str]) -> None:
        """Remove entries, those that depend on them, and the files that no other entry names."""
        gone: set[str] = set()
        while (
            more := {key for key, one in self._entries.items() if key in keys or not gone.isdisjoint(one.after)} - gone
        ):
            gone |= more
        files = {path for key in gone for path in self._entries[key].files}
        self._entries = {key: one for key, one in self._entries.items() if key not in gone}
        self._remove(files - {path for one in self._entries.values() for path in one.files})

    def note(
        self, key: str, outputs: Mapping[str, Sequence[str]], log: str, slot: str = "", after: Iterable[str] = ()
    ) -> Entry:
        """Record what a call did, once it has succeeded."""
        self._entries = {one.key: one for one in self._entries.values() if not slot or one.slot != slot}
        files = {path: self._digest(path) for path in self._changed()}
        rewrites = tuple(
            one.key
            for one in self._entries.values()
            if one.key != key and any(files.get(path, digest) != digest for path, digest in one.files.items())
        )
        made = {name: list(paths) for name, paths in outputs.items()}
        entry = Entry(key, files, made, log, slot, rewrites, tuple(sorted({*after} - {""})))
        self._entries[key] = entry
        self._wanted.add(key)
        self._stamps = self._look()
        self._save()
        return entry

    def _save(self) -> None:
        journal = {"format": _FORMAT, "entries": [asdict(one) for one in self._entries.values()]}
        replace_file(self.root / _JOURNAL, (json.dumps(journal) + "\n").encode())

    def undo(self) -> bool:
        """Remove what a failed call wrote; True if all files of the calls before it are unchanged."""
        changed = self._changed()
        own = {path for entry in self._entries.values() for path in entry.files}
        self._remove(changed - own)
        whole = not changed & own and all(os.path.lexists(self.work / path) for path in self._stamps)
        self._stamps = self._look()
        return whole

    def _changed(self) -> set[str]:
        return {path for path, stamp in self._look().items() if self._stamps.get(path) != stamp}

    def _look(self) -> dict[str, tuple[int, int, int]]:
        """Files and links with their stamps; an empty directory ends with a slash."""
        found = {}
        for place, folders, names in os.walk(self.work):
            for name in (*names, *(one for one in folders if Path(place, one).is_symlink())):
                path = Path(place, name)
                status = path.lstat()
                found[path.relative_to(self.work).as_posix()] = (status.st_size, status.st_mtime_ns, status.st_ino)
            if not folders and not names and Path(place) != self.work:
                found[f"{Path(place).relative_to(self.work).as_posix()}/"] = (0, 0, 0)
        return found

    def _remove_others(self, paths: Iterable[str]) -> None:
        self._remove(set(self._look()) - set(paths))

    def _remove(self, paths: Iterable[str]) -> None:
        """Remove files, and directories left empty that the journal does not name."""
        known = {path for entry in self._entries.values() for path in entry.files}
        for path in sorted(paths, reverse=True):
            place = self.work / path
            if not path.endswith("/"):
                place.unlink(missing_ok=True)
                place = place.parent
            while place != self.work and place.is_dir() and not any(place.iterdir()):
                if f"{place.relative_to(self.work).as_posix()}/" in known:
                    break
                place.rmdir()
                place = place.parent

    def _digest(self, path: str) -> str:
        place, digest = self.work / path, hashlib.sha256()
        if path.endswith("/"):
            return _FOLDER if place.is_dir() else ""
        if place.is_symlink():
            return f"a link to {os.fsencode(place.readlink()).hex()}"
        if not place.is_file():
            return ""
        with place.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()

    def record(self, log: str) -> dict[str, Any]:
        """What was recorded of a call: command line, release, times, verdict."""
        return read_note(self.logs / f"{log}.json")
