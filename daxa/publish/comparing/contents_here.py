"""How the files of an observation differ between two versions, from their contents if this machine has them.

The content may be in the working tree, in DVC's cache or in the store of fetched files.  It is used only if it has
the digest in the ledger: names, sizes and times prove nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from daxa.archive import git
from daxa.archive.config import load_config, settings_of
from daxa.archive.layout import Layout
from daxa.archive.software import RandomKinds
from daxa.errors import DataError, DaxaError
from daxa.fetch.store import Store, digest_file
from daxa.files import read_plain, refuse_links
from daxa.publish.dvc_outputs import listed_files, lock_digests
from daxa.publish.remote import MOST_BYTES, find_cache
from daxa.run.comparison import compare_files
from daxa.run.hashes import MANIFEST
from daxa.run.product import parse_product
from daxa.run.steps import find_step
from daxa.run.task import LedgerRow, ProductFile

__all__ = ["ContentFinder", "FileChange", "changed_files"]

What = Literal["added", "removed", "changed", "same science"]

_MOST_DIFFERENCES = 20


@dataclass(frozen=True)
class FileChange:
    """One file of an observation that is not the same in both versions.

    Parameters
    ----------
    step, path
        Which file: the step that made it, and its path below the directory of the observation.
    what
        ``added``, ``removed`` or ``changed``; ``same science`` if the bytes differ only in packing or in
        volatile cards.
    before, now
        Sizes in bytes and SHA-256; None on the side that does not have it.
    verdict
        That of `daxa.run.comparison` if the contents were compared; else ''.
    differences
        How they differ: "image differs in 12 pixels, at most 3 counts".
    """

    step: str
    path: str
    what: What
    before: tuple[int, str] | None
    now: tuple[int, str] | None
    verdict: str = ""
    differences: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The record as plain values, ready for JSON."""
        return {
            "step": self.step,
            "path": self.path,
            "what": self.what,
            "before": list(self.before) if self.before else None,
            "now": list(self.now) if self.now else None,
            "verdict": self.verdict,
            "differences": list(self.differences),
        }


class ContentFinder:
    """Finds the contents of two versions on this machine, and counts how many were compared.

    Parameters
    ----------
    layout
        The archive.
    commits
        The two versions; '' for the working tree, or for nothing.
    most
        How many files may be compared.
    at_random
        Which products are never the same twice, in either version: a file in DVC's cache has no manifest beside it.
    """

    def __init__(
        self, layout: Layout, commits: tuple[str, str], *, most: int, at_random: Sequence[RandomKinds] = ()
    ) -> None:
        self.layout, self._at_random = layout, at_random
        self.compared = self.not_compared = 0
        self._commits, self._left = commits, most
        self._cache = find_cache(layout.root)
        self._locks: dict[str, Mapping[str, str]] = {}
        self._listings: dict[tuple[str, str], Mapping[str, str]] = {}

    def compare(
        self, place: tuple[str, str, str], former: ProductFile, file: ProductFile
    ) -> tuple[str, tuple[str, ...]]:
        """Verdict and differences for the two contents of a file; empty if they were not compared."""
        if self._left > 0:
            paths = self._find(place, former, self._commits[0]), self._find(place, file, self._commits[1])
            if paths[0] and paths[1]:
                self._left -= 1
                with suppress(DaxaError, OSError):
                    random = self._is_randomised(place, file.path)
                    found = compare_files(paths[0], paths[1], randomised=random)
                    self.compared += 1
                    names = {str(paths[0]): "the former version", str(paths[1]): "the later version"}
                    return found.verdict, tuple(
                        _plain(str(one), names) for one in found.differences[:_MOST_DIFFERENCES]
                    )
        self.not_compared += 1
        return "", ()

    def _is_randomised(self, place: tuple[str, str, str], path: str) -> bool:
        try:
            kind = parse_product(Path(path).name).kind
        except DataError:
            return False
        return any(kind in kinds.get(place[:2], ()) for kinds in self._at_random)

    def _find(self, place: tuple[str, str, str], file: ProductFile, commit: str) -> Path | None:
        """A file on this machine with that content."""
        for path in self._candidates(place, file, commit):
            with suppress(DaxaError, OSError):
                if path.is_file() and path.stat().st_size == file.size and digest_file(path) == file.sha256:
                    return path
        return None

    def _candidates(self, place: tuple[str, str, str], file: ProductFile, commit: str) -> Iterator[Path]:
        mission, step, obs_id = place
        here = self.layout.products(mission, step) / obs_id / file.path
        with suppress(DaxaError, OSError):
            refuse_links(self.layout.root, here)
            yield here
        if find_step(step).fetches:
            yield Store(settings_of(load_config(self.layout)).store).path(file.sha256)
        elif commit and (digest := self._listed(mission, step, commit).get(f"{obs_id}/{file.path}")):
            kept = self._cache.cached(digest)
            if not kept.is_symlink():
                yield kept

    def _listed(self, mission: str, step: str, commit: str) -> Mapping[str, str]:
        """Path to MD5 of what DVC keeps of a stage at a commit; empty if its listing is not on this machine."""
        path = self.layout.name_of(self.layout.products(mission, step))
        if (path, commit) not in self._listings:
            files: Mapping[str, str] = {}
            with suppress(DaxaError, OSError):
                if commit not in self._locks:
                    lock = git.read_file(self.layout.root, commit, self.layout.lock.name)
                    self._locks[commit] = lock_digests(lock or b"")
                if digest := self._locks[commit].get(path, ""):
                    files = listed_files(read_plain(self._cache.cached(digest), limit=MOST_BYTES), path)
            self._listings[path, commit] = files
        return self._listings[path, commit]


def changed_files(
    mission: str, obs_id: str, before: Mapping[str, LedgerRow], now: Mapping[str, LedgerRow], finder: ContentFinder
) -> Iterator[FileChange]:
    """The files of an observation that differ, in the order of the steps; manifests are left out.

    Parameters
    ----------
    mission, obs_id
        The observation.
    before, now
        Step to its row in the ledger.
    finder
        Finds contents.
    """
    for step in dict.fromkeys([*before, *now]):
        old, new = (
            {file.path: file for file in rows[step].files if file.path != MANIFEST} if step in rows else {}
            for rows in (before, now)
        )
        for path in sorted({*old, *new}):
            former, file = old.get(path), new.get(path)
            if former is None or file is None:
                yield FileChange(step, path, "added" if file else "removed", _about(former), _about(file))
            elif former.science != file.science:
                verdict, differences = finder.compare((mission, step, obs_id), former, file)
                yield FileChange(step, path, "changed", _about(former), _about(file), verdict, differences)
            elif former.sha256 != file.sha256:
                yield FileChange(step, path, "same science", _about(former), _about(file))


def _about(file: ProductFile | None) -> tuple[int, str] | None:
    return (file.size, file.sha256) if file else None


def _plain(text: str, names: Mapping[str, str]) -> str:
    for path, name in names.items():
        text = text.replace(path, name)
    return text
