"""What a merge would change, and how it is carried out: in one commit or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from daxa.archive import git
from daxa.archive.committing import commit_changes, refuse_uncommitted
from daxa.archive.gate import check_products, enter_archive
from daxa.archive.layout import Layout
from daxa.errors import ArchiveError
from daxa.publish.contents import find_listing
from daxa.publish.digests import Digests, place_object
from daxa.publish.merging.merge_choices import Conflict
from daxa.publish.remote import Storage, find_storage
from daxa.publish.sharing.checkout import data_outs, link_fetched, refuse_unsaved, remove_stale, set_fetched_aside
from daxa.publish.sharing.pull import bring_data
from daxa.publish.state import records_at
from daxa.publish.workspaces import alone
from daxa.run.delivery import refuse_strays
from daxa.run.ledger import read_ledger

__all__ = ["MergePlan", "MergeReport", "TakenObservation", "conflict_error"]

_NAMED = 20


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
    released_twice
        Versions that both sides have released, each as something else.
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
    released_twice: tuple[str, ...] = ()
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
            "released_twice": list(self.released_twice),
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
        refuse_uncommitted(layout, instead="`daxa release`")
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


@contextmanager
def _merged_version(layout: Layout, contents: Mapping[str, bytes]) -> Iterator[Layout]:
    """The merged archive without its data, to determine which data it needs."""
    with records_at(layout, git.commit_of(layout.root)) as version:
        for path, content in contents.items():
            (version.root / path).parent.mkdir(parents=True, exist_ok=True)
            (version.root / path).write_bytes(content)
        yield version


def _keep_listings(layout: Layout, version: Layout, storage: Storage) -> None:
    """Bring the listings that only the other side has: without them nobody knows which files of mine stay."""
    for path, digest in data_outs(version).items():
        if digest.endswith(".dir") and not storage.cached(digest).exists():
            content = find_listing(layout, digest, path, storage, storage.remote)
            if content is not None:
                place_object(content, storage.cached(digest), digest)


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
