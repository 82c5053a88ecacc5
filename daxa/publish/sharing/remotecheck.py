"""Verify what a remote holds of a release, completely or a part at a time."""

from __future__ import annotations

import random
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from daxa.archive import dvc, git
from daxa.archive.config import load_config
from daxa.archive.layout import Layout
from daxa.archive.trust import refuse_foreign
from daxa.errors import CriteriaError
from daxa.publish.cache_repair import fetch_object
from daxa.publish.contents import needed_at
from daxa.publish.digests import Digests, read_md5
from daxa.publish.file_check import FileProblem, HasProblems
from daxa.publish.remote import Remote, Storage, find_storage, list_objects, require_remote
from daxa.publish.sharing.proof import prove_objects
from daxa.publish.state import records_at
from daxa.publish.workspaces import alone, empty_workspace, pointer
from daxa.run.ledger import read_ledger

__all__ = ["ObjectSample", "RemoteCheck", "read_sample", "verify_remote"]

_SAMPLE = re.compile(r"(?:([1-9]\d{0,5})/([1-9]\d{0,5})|(\d{1,2}(?:\.\d{1,3})?|100)%)", re.ASCII)
_AT_ONCE = 200
"""How many objects are read from a remote before their copies here are deleted."""


@dataclass(frozen=True)
class RemoteCheck(HasProblems):
    """The state of a release on a remote.

    Parameters
    ----------
    remote, revision, commit
        What was compared with what.
    objects
        How many objects the release needs.
    sample
        Which part of them was checked, '' for all; a random part includes its seed.
    by_digest, by_size, by_presence
        How many were read and digested, compared only by size, and only found to exist.
    problems
        What is wrong.
    """

    remote: str
    revision: str
    commit: str
    objects: int
    sample: str
    by_digest: int
    by_size: int
    by_presence: int
    problems: tuple[FileProblem, ...]


@dataclass(frozen=True)
class ObjectSample:
    """A part of the objects: the `part`-th of `parts`, or a random fraction `share` of them.

    Names of objects determine the parts, so that all parts together are complete.
    """

    part: int = 1
    parts: int = 1
    share: float = 0.0
    seed: int = 0

    def __str__(self) -> str:
        if self.share:
            return f"{100 * self.share:g}% (seed {self.seed})"
        return f"part {self.part} of {self.parts}" if self.parts > 1 else ""

    def choose(self, digests: Collection[str]) -> list[str]:
        """The objects of the part, sorted."""
        ordered = sorted(digests)
        if self.share:
            wanted = max(1, round(self.share * len(ordered))) if ordered else 0
            return sorted(random.Random(self.seed).sample(ordered, wanted))  # noqa: S311 - no secret
        return [digest for digest in ordered if int(digest[:8], 16) % self.parts == self.part - 1]


def read_sample(text: str, seed: int | None = None) -> ObjectSample:
    """Read ``1/20`` (the first of twenty parts), ``5%`` (a random part), or '' (all).

    Parameters
    ----------
    text
        The requested part.
    seed
        Seed of the random part; a new one by default.

    Raises
    ------
    CriteriaError
        It is neither.

    Examples
    --------
    >>> str(read_sample("3/20")), str(read_sample("2.5%", seed=7))
    ('part 3 of 20', '2.5% (seed 7)')
    """
    if not text:
        return ObjectSample()
    found = _SAMPLE.fullmatch(text.strip())
    if found and found[3] and float(found[3]) > 0:
        return ObjectSample(share=float(found[3]) / 100, seed=secrets.randbelow(1_000_000) if seed is None else seed)
    if found and found[1] and int(found[1]) <= int(found[2]):
        return ObjectSample(int(found[1]), int(found[2]))
    raise CriteriaError(
        "sample", f"{text!r} is not a part of a remote", remedy="give 1/20 (a fixed part) or 5% (at random)"
    )


def verify_remote(
    layout: Layout,
    tag: str = "",
    *,
    remote: str = "",
    sample: str = "",
    deep: bool = False,
    observe: Callable[[int, int], None] = lambda ended, total: None,
) -> RemoteCheck:
    """Verify that a remote holds what a release, or the last commit, needs.

    Objects of a directory are read and digested.  Those of other remotes are compared by their
    presence, and by size as far as the ledgers or the cache know it; with `deep` they are fetched,
    digested and deleted again.  Listings are always verified.

    Parameters
    ----------
    layout
        The archive.
    tag
        A release; the last commit by default.
    remote
        Name of another remote than the default one.
    sample
        ``1/20`` or ``5%``; all by default.  The existence of objects is always checked for all.
    deep
        Read every object, wherever it is.
    observe
        Called with how many have been read, of how many.

    Raises
    ------
    ArchiveError
        Something in the archive could run; the remote is not contacted then.
    ConfigError, CriteriaError
        There is no such remote, or `sample` cannot be read.
    DataError, ReleaseError
        A listing cannot be found, or leads out of its directory.
    ServiceError, StorageError
        The remote cannot be listed.
    """
    part = read_sample(sample)
    refuse_foreign(layout, load_config(layout), connects=False)
    commit = git.commit_of(layout.root, tag or "HEAD")
    storage = find_storage(layout.root, remote)
    there = require_remote(layout.root, storage)
    with alone(layout), Digests(layout) as digests:
        needed = needed_at(layout, tag, storage, there)
        present = list_objects(layout.root, there)
        chosen = [digest for digest in part.choose(needed) if digest in present]
        wanted = {digest: needed[digest] for digest in chosen}
        sizes = _sizes(layout, commit, storage, wanted)
        wrong = prove_objects(there, wanted, present, sizes, digests, observe=observe)
        read = set(chosen) if there.directory is not None else set()
        if deep and there.directory is None:
            wrong |= _read_all(layout, storage, there, wanted, observe)
            read = set(chosen)
    sized = {digest for digest in set(chosen) - read if digest in sizes and present[digest]}
    problems = [
        _problem(needed[digest][0], digest, "remote-absent") for digest in sorted(needed.keys() - present.keys())
    ]
    problems += [_problem(path, digest, "remote-differs") for digest, path in wrong.items()]
    return RemoteCheck(
        there.url,
        tag or "HEAD",
        commit,
        len(needed),
        str(part),
        len(read),
        len(sized),
        len(chosen) - len(read) - len(sized),
        tuple(problems),
    )


def _problem(path: str, digest: str, what: str) -> FileProblem:
    parts = [*path.split("/"), "", "", "", ""]
    mission, step, obs_id = parts[1:4] if parts[0] == "data" and parts[2] else ("", "", "")
    return FileProblem(mission, step, obs_id, path, what, f"files/md5/{digest[:2]}/{digest[2:]}")


def _sizes(layout: Layout, commit: str, storage: Storage, wanted: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Correct sizes of objects: from the ledgers, else from the cache."""
    by_path: dict[str, int] = {}
    with records_at(layout, commit) as records:
        config = load_config(records)
        for mission in config.missions:
            for step in config.steps:
                base = f"data/{mission}/{step}"
                for row in read_ledger(records.ledger(mission, step)).values():
                    by_path |= {f"{base}/{row.obs_id}/{file.path}": file.size for file in row.files}
    sizes = {}
    for digest, paths in wanted.items():
        if (size := next((by_path[path] for path in paths if path in by_path), None)) is not None:
            sizes[digest] = size
        elif (here := storage.cached(digest)).is_file():
            sizes[digest] = here.stat().st_size
    return sizes


def _read_all(
    layout: Layout,
    storage: Storage,
    remote: Remote,
    wanted: Mapping[str, Sequence[str]],
    observe: Callable[[int, int], None],
) -> dict[str, str]:
    """Fetch objects into a temporary directory; return damaged ones, with a path in the archive."""
    wrong, ended = {}, 0
    for batch in _batches(sorted(wanted)):
        with empty_workspace(layout, storage, remote) as (place, own):
            files = [digest for digest in batch if not digest.endswith(".dir")]
            if files:
                dvc.fetch(place, remote.name, [pointer(place, files)])
            for digest in batch:
                if digest.endswith(".dir"):
                    right = fetch_object(layout, own, remote, digest)
                else:
                    right = read_md5(own.cached(digest)) == digest
                if not right:
                    wrong[digest] = wanted[digest][0]
                ended += 1
                observe(ended, len(wanted))
    return wrong


def _batches(digests: Sequence[str]) -> Iterator[Sequence[str]]:
    return (digests[at : at + _AT_ONCE] for at in range(0, len(digests), _AT_ONCE))
