"""Merge another branch into an archive: observation by observation, stage by stage, in one commit or not at all.

The other branch may be a stranger's, and is checked like a stranger's archive before anything of it is read.  Git
cannot merge archives: tables are not text, and a ``dvc.lock`` merged by lines would match neither side's files.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from daxa.archive import git
from daxa.archive.committing import refuse_uncommitted
from daxa.archive.config import ArchiveConfig, load_config, steps_of
from daxa.archive.layout import Layout
from daxa.errors import ArchiveError, CriteriaError
from daxa.files import read_plain
from daxa.naming import some
from daxa.publish.contents import find_listing
from daxa.publish.merging.merge_choices import (
    Choice,
    Which,
    choose_records,
    read_merge_side,
)
from daxa.publish.merging.merge_plan import MergePlan, TakenObservation
from daxa.publish.merging.merged_files import merge_files
from daxa.publish.merging.merged_lock import LOGS, MergedLock, find_logs_listing, merge_lock, merge_logs
from daxa.publish.merging.merged_tables import merge_tables
from daxa.publish.remote import find_storage
from daxa.publish.sharing.judged_versions import judged_version
from daxa.publish.state import records_at
from daxa.publish.version import release_tags
from daxa.publish.workspaces import alone

__all__ = ["plan_merge"]

_SECTION = re.compile(r"^## (v\d+\.\d+\.\d+)\b", re.MULTILINE | re.ASCII)
"""How `daxa.publish.comparing.changelog` begins a release."""

_PLACES = ("refs/heads/", "refs/tags/", "refs/remotes/")


def plan_merge(layout: Layout, branch: str, *, resolved: Mapping[str, Which] | None = None) -> MergePlan:
    """Check another branch, and compare what was done there with what was done here.

    Parameters
    ----------
    layout
        The archive.
    branch
        A branch or a release of this repository, or a branch of another one that Git has fetched
        (``origin/main``).
    resolved
        For what both sides changed: ObsID, file, or ``all``, to ``ours`` or ``theirs``.

    Raises
    ------
    ArchiveError
        There is no such branch, it has nothing in common with this one, or files have uncommitted changes.
    UntrustedArchive
        The branch holds what could do harm; nothing of it was taken.
    CriteriaError
        `resolved` names something that is not in conflict.
    ConfigError, DataError
        A file of one of the versions cannot be read.
    """
    reference = _resolve(layout, branch)
    ours, theirs = git.commit_of(layout.root), git.commit_of(layout.root, reference)
    base = git.merge_base(layout.root, ours, theirs)
    if not base:
        raise ArchiveError(
            "unrelated",
            f"{branch} has no commit in common with what is checked out in {layout.root}",
            remedy="only branches of one archive can be merged; `daxa add` selects the same observations here",
        )
    if base == theirs:
        return MergePlan(layout.root, branch, theirs, ours, is_merged=True)
    if not git.branch(layout.root):
        raise ArchiveError(
            "detached",
            f"no branch of {layout.root} is checked out, so there is none to merge into",
            remedy="check one out first, for example `daxa checkout main`; `git branch` lists them",
        )
    refuse_uncommitted(layout, instead="`daxa release`")
    with alone(layout), judged_version(layout, reference) as version, records_at(layout, base) as before:
        return _plan(layout, branch, (base, ours, theirs), (before, layout, version), dict(resolved or {}))


def _resolve(layout: Layout, name: str) -> str:
    """The full name of a branch or tag."""
    for place in _PLACES:
        if any(one == name for one in _names(layout, place)):
            return f"{place}{name}"
    raise ArchiveError(
        "revision",
        f"{layout.root} has no branch {name[:100]!r}",
        remedy="`git branch --all` lists the branches; `git fetch` brings those of another repository",
    )


def _names(layout: Layout, place: str) -> list[str]:
    listing = git.ask(layout.root, "for-each-ref", "--format=%(refname)", place).stdout
    return [one.removeprefix(place) for one in listing.split()]


def _plan(
    layout: Layout,
    branch: str,
    commits: tuple[str, str, str],
    layouts: tuple[Layout, Layout, Layout],
    resolved: dict[str, Which],
) -> MergePlan:
    base, ours, theirs = (read_merge_side(one) for one in layouts)
    choices, conflicts = choose_records(base, ours, theirs, resolved)
    left = any(one.record and one.record.selected is not None for one in choices)
    if not left and any(side.selects for side in (ours, theirs)):
        raise ArchiveError(
            "none-left", "no observation would be left", remedy="keep some: give --ours or --theirs for them"
        )
    with TemporaryDirectory(prefix="daxa-") as place:
        tables = merge_tables(Path(place), (base, ours, theirs), choices, resolved)
        if (config := tables.config) is None:
            raise AssertionError("a merge has a configuration")
        others = merge_files(layout, commits, (ours, theirs), config, resolved)
        conflicts = [*conflicts, *tables.conflicts, *others.conflicts]
        _refuse_unused(resolved, choices, commits, layout)
        if conflicts:
            return MergePlan(layout.root, branch, commits[2], commits[1], _taken(choices), conflicts=tuple(conflicts))
        storage = find_storage(layout.root)

        def find(digest: str, path: str) -> bytes | None:
            return find_listing(layout, digest, path, storage, storage.remote)

        lock = merge_lock(tables.layout, config, (ours, theirs), choices, find)
        contents = _contents(Path(place)) | others.texts
        if lock.stages:
            contents["dvc.lock"] = lock.text.encode()
        if lock.whole == "theirs":
            contents["metrics.json"] = git.read_file(layout.root, commits[2], "metrics.json") or b""
        contents |= _logs(layout, commits, choices, find, lock)
    return _finished(
        layout,
        branch,
        commits,
        _Merged(choices, contents, others.removed, config, lock.listings, lock.again, lock.unlisted, others.programs),
    )


@dataclass(frozen=True)
class _Merged:
    choices: Sequence[Choice]
    contents: Mapping[str, bytes]
    removed: Sequence[str]
    config: ArchiveConfig
    listings: Mapping[str, bytes]
    again: Sequence[str]
    unlisted: Sequence[str]
    programs: set[str]


def _finished(layout: Layout, branch: str, commits: tuple[str, str, str], found: _Merged) -> MergePlan:
    here = set(git.tracked(layout.root, commits[1]))
    contents = {
        path: content
        for path, content in found.contents.items()
        if path not in here or read_plain(layout.root / path) != content or path in found.programs
    }
    _refuse_in_the_way(layout, contents, here, found.removed)
    before = load_config(layout)
    dropped = {
        mission: [step.name for step in steps_of(before)]
        for mission in before.missions
        if mission not in found.config.missions
    }
    files = {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()}
    files |= dict.fromkeys(found.removed, "")
    return MergePlan(
        layout.root,
        branch,
        commits[2],
        commits[1],
        _taken(found.choices),
        files,
        again=tuple(dict.fromkeys(found.again)),
        unlisted=tuple(dict.fromkeys(found.unlisted)),
        released_twice=_released_twice(layout, commits),
        _contents=contents,
        _programs=frozenset(found.programs),
        _listings=found.listings,
        _dropped=dropped,
    )


def _released_twice(layout: Layout, commits: tuple[str, str, str]) -> tuple[str, ...]:
    """Tags of releases here whose names the other side has given to releases of its own since both were one.

    Git fetches no tag of a name that is there already, and says nothing: the other side's list of releases shows it.
    """
    base, _, theirs = (_released_at(layout, commit) for commit in commits)
    tags = [tag for tag in release_tags(git.tags(layout.root)) if tag in theirs - base]
    return tuple(
        tag
        for tag in tags
        if git.merge_base(layout.root, own := git.commit_of(layout.root, f"refs/tags/{tag}"), commits[2]) != own
    )


def _released_at(layout: Layout, commit: str) -> set[str]:
    content = git.read_file(layout.root, commit, "CHANGES.md") or b""
    return set(_SECTION.findall(content.decode("utf-8", "replace")))


def _refuse_in_the_way(
    layout: Layout, contents: Mapping[str, bytes], here: Collection[str], removed: Collection[str]
) -> None:
    """Refuse to replace a file that Git does not track, or to make a path both a file and a directory."""
    left = {*here, *contents} - {*removed}
    above = {parent.as_posix() for path in left for parent in PurePosixPath(path).parents}
    wrong = sorted(above & left)
    wrong += [path for path in contents if path not in here and os.path.lexists(layout.root / path)]
    if wrong:
        raise ArchiveError(
            "in-the-way",
            f"{some(wrong)} of {layout.root} would be replaced, or be a file and a directory",
            remedy=f"move it away (`mv {wrong[0]} ..`), commit that if Git tracks it, and merge again",
        )


def _taken(choices: Sequence[Choice]) -> tuple[TakenObservation, ...]:
    return tuple(
        TakenObservation(one.mission, one.obs_id, one.what) for one in choices if one.differs and one.side == "theirs"
    )


def _refuse_unused(
    resolved: Mapping[str, Which], choices: Sequence[Choice], commits: tuple[str, str, str], layout: Layout
) -> None:
    """Refuse a resolution for something that neither side has."""
    known = {one.obs_id for one in choices} | {"all"}
    for name in resolved:
        if name not in known and not any(git.read_file(layout.root, commit, name) is not None for commit in commits):
            raise CriteriaError(
                "conflict",
                f"{name[:100]!r} is neither an observation nor a file of either branch",
                remedy="give --ours or --theirs with an ObsID, a file, or `all`",
            )


def _contents(place: Path) -> dict[str, bytes]:
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def _logs(
    layout: Layout,
    commits: tuple[str, str, str],
    choices: Sequence[Choice],
    find: Callable[[str, str], bytes | None],
    lock: MergedLock,
) -> dict[str, bytes]:
    """``logs.dvc``, where it changes; ours is kept, with a note, if a listing cannot be found."""
    base, ours, theirs = (git.read_file(layout.root, commit, LOGS) for commit in commits)
    if theirs in (base, ours):
        return {}
    if ours == base and theirs is not None:
        return {LOGS: theirs}
    mine, other = (find_logs_listing(pointer, find) for pointer in (ours, theirs))
    if mine is None or other is None:
        lock.unlisted.append(layout.logs.name)
        return {}
    text, made = merge_logs(mine, other, choices)
    lock.listings |= made
    return {LOGS: text.encode()}
