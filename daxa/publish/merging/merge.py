"""Merge another branch into an archive: observation by observation, stage by stage, in one commit or not at all.

The other branch may be a stranger's, and is checked like a stranger's archive before anything of it is read.  Git
cannot merge archives: tables are not text, and a ``dvc.lock`` merged by lines would match neither side's files.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from daxa.archive import git
from daxa.archive.committing import commit_changes
from daxa.archive.config import ArchiveConfig, load_config, steps_of
from daxa.archive.gate import check_products, enter_archive
from daxa.archive.layout import Layout
from daxa.errors import ArchiveError, CriteriaError
from daxa.files import read_plain
from daxa.naming import some
from daxa.publish.contents import find_listing
from daxa.publish.digests import Digests, place_object
from daxa.publish.merging.merge_choices import (
    Choice,
    Conflict,
    Which,
    choose_records,
    read_merge_side,
)
from daxa.publish.merging.merged_files import merge_files
from daxa.publish.merging.merged_lock import LOGS, MergedLock, find_logs_listing, merge_lock, merge_logs
from daxa.publish.merging.merged_tables import merge_tables
from daxa.publish.remote import Storage, find_storage
from daxa.publish.sharing.checkout import (
    data_outs,
    link_fetched,
    refuse_unsaved,
    remove_stale,
    set_fetched_aside,
)
from daxa.publish.sharing.judged_versions import judged_version
from daxa.publish.sharing.pull import bring_data
from daxa.publish.state import records_at
from daxa.publish.workspaces import alone
from daxa.run.delivery import refuse_strays
from daxa.run.ledger import read_ledger

__all__ = ["MergePlan", "MergeReport", "TakenObservation", "conflict_error", "plan_merge"]

_NAMED = 20
_PLACES = ("refs/heads/", "refs/tags/", "refs/remotes/")


@dataclass(frozen=True)
class TakenObservation:
    """An observation that comes from the other branch, and what was done to it there."""

    mission: str
    obs_id: str
    what: str


@dataclass(frozen=True)
class MergePlan:
    """What a merge would change; nothing is written until `apply`.

    Parameters
    ----------
    root
        The archive.
    branch, commit
        The other branch, and its commit.
    ours
        The commit that is checked out.
    observations
        Those that come from the other branch.
    files
        Path to digest of the files that would be written, '' for those that would be removed.
    conflicts
        What both sides changed in different ways; if there are any, nothing is merged.
    again
        Stages that DVC would run again after the merge.
    unlisted
        Outputs whose list of files is neither here nor on the remote.
    """

    root: Path
    branch: str
    commit: str
    ours: str
    observations: tuple[TakenObservation, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    conflicts: tuple[Conflict, ...] = ()
    again: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    is_merged: bool = False
    _contents: Mapping[str, bytes] = field(repr=False, default_factory=dict)
    _programs: frozenset[str] = field(repr=False, default_factory=frozenset)
    _listings: Mapping[str, bytes] = field(repr=False, default_factory=dict)
    _dropped: Mapping[str, Sequence[str]] = field(repr=False, default_factory=dict)

    def __bool__(self) -> bool:
        return not self.is_merged

    def as_dict(self) -> dict[str, object]:
        """The plan as plain values, ready for JSON."""
        return {
            "branch": self.branch,
            "commit": self.commit,
            "merged": self.is_merged,
            "observations": [asdict(one) for one in self.observations],
            "files": sorted(self.files),
            "conflicts": [asdict(one) for one in self.conflicts],
            "again": list(self.again),
            "unlisted": list(self.unlisted),
        }

    def apply(self, *, observe: Callable[[int, int], None] = lambda ended, total: None) -> MergeReport:
        """Merge in one commit, and put the data in their places, as far as this machine has them.

        If it is interrupted, the archive is either unchanged or merged; the same command completes it.

        Parameters
        ----------
        observe
            Called with the number of files checked so far, and their total.

        Raises
        ------
        ArchiveError
            There are conflicts; files are not committed; products are kept nowhere else; or a command is running.
        """
        layout = Layout(self.root)
        enter_archive(layout)
        if self.conflicts:
            raise conflict_error(self)
        git.check_identity(layout.root)
        _refuse_changed(layout)
        check_products(layout)
        with alone(layout), Digests(layout) as digests:
            storage = find_storage(layout.root)
            commit = self._commit(layout, storage, digests) if self else self.ours
            remove_stale(layout, layout, storage, digests)
            report = bring_data(layout, storage, None, digests, observe=observe)
        linked, absent = link_fetched(layout)
        missing = tuple(sorted({*report.missing, *report.wrong}))
        return MergeReport(commit, report.files, linked, missing, absent)

    def _commit(self, layout: Layout, storage: Storage, digests: Digests) -> str:
        if git.commit_of(layout.root) != self.ours:
            raise ArchiveError(
                "changed-meanwhile",
                f"{layout.root} is at another commit than when the merge was planned",
                remedy="give the same command again",
            )
        for mission, steps in self._dropped.items():
            for step in steps:
                refuse_strays(layout.products(mission, step), read_ledger(layout.ledger(mission, step)))
        for digest, content in self._listings.items():
            place_object(content, storage.cached(digest), digest)
        with _merged_version(layout, self._contents) as version:
            _keep_listings(layout, version, storage)
            refuse_unsaved(layout, version, storage, digests)
            set_fetched_aside(layout, version)
        gone = [path for path, digest in self.files.items() if not digest]
        return commit_changes(
            layout, _message(self), self._write, dropped=self._dropped, removed=gone, merged=self.commit
        )

    def _write(self, made: Layout) -> None:
        made.root.mkdir(parents=True, exist_ok=True)
        for path, content in self._contents.items():
            target = made.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            if path in self._programs:
                target.chmod(0o755)


def _keep_listings(layout: Layout, version: Layout, storage: Storage) -> None:
    """Bring the listings that only the other side has: without them nobody knows which files of mine stay."""
    for path, digest in data_outs(version).items():
        if digest.endswith(".dir") and not storage.cached(digest).exists():
            content = find_listing(layout, digest, path, storage, storage.remote)
            if content is not None:
                place_object(content, storage.cached(digest), digest)


@dataclass(frozen=True)
class MergeReport:
    """What is in the tree after a merge.

    Parameters
    ----------
    commit
        The merge.
    files, fetched
        How many products and logs, and how many fetched files, are in their places.
    missing
        Paths of products that are not on this machine.
    not_fetched
        How many fetched files are not on this machine; they can be fetched again.
    """

    commit: str
    files: int
    fetched: int
    missing: tuple[str, ...] = ()
    not_fetched: int = 0


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
    _refuse_changed(layout)
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
    return [
        one.removeprefix(place) for one in git.plumb(layout.root, "for-each-ref", "--format=%(refname)", place).split()
    ]


def _refuse_changed(layout: Layout) -> None:
    if changed := git.changes(layout.root):
        raise ArchiveError(
            "uncommitted",
            f"{layout.root} has uncommitted changes in {some(changed)}",
            remedy=f"`daxa release`, or commit them (`git commit -- {changed[0]}`), or undo them "
            f"(`git checkout -- {changed[0]}`)",
        )


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
        _contents=contents,
        _programs=frozenset(found.programs),
        _listings=found.listings,
        _dropped=dropped,
    )


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


@contextmanager
def _merged_version(layout: Layout, contents: Mapping[str, bytes]) -> Iterator[Layout]:
    """The merged archive without its data, to determine which data it needs."""
    with records_at(layout, git.commit_of(layout.root)) as version:
        for path, content in contents.items():
            (version.root / path).parent.mkdir(parents=True, exist_ok=True)
            (version.root / path).write_bytes(content)
        yield version


def conflict_error(plan: MergePlan) -> ArchiveError:
    """The error for a merge with conflicts."""
    lines = [f"\n  {one.text}" for one in plan.conflicts[:_NAMED]]
    if len(plan.conflicts) > _NAMED:
        lines.append(f"\n  and {len(plan.conflicts) - _NAMED} more")
    name = plan.conflicts[0].name
    return ArchiveError(
        "merge-conflict",
        f"{plan.branch} and what is checked out in {plan.root} have both changed the following, so nothing was merged:"
        + "".join(lines),
        remedy=f"`daxa merge {plan.branch} --theirs {name}` takes it from {plan.branch}, --ours {name} from here; "
        "`all` means everything",
    )


def _message(plan: MergePlan) -> str:
    lines = [f"{one.mission} {one.obs_id}: {one.what}" for one in plan.observations[:_NAMED]]
    if len(plan.observations) > _NAMED:
        lines.append(f"and {len(plan.observations) - _NAMED} more observations")
    return "\n".join([f"Merge {plan.branch}", "", *lines]).rstrip()
