"""Get the data of a release from the remote; nothing enters the tree without being verified.

DVC trusts listings: a path in one may lead out of the tree, and a remote that
does not exist gives nothing and no error.  Therefore configuration and listings are checked
before DVC moves anything, every object is verified before it is put in place, and what the
remote lacks is reported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from daxa.archive import git
from daxa.archive.committing import refuse_uncommitted
from daxa.archive.config import load_config
from daxa.archive.gate import check_archive, check_plain
from daxa.archive.layout import Layout
from daxa.archive.trust import refuse_foreign
from daxa.errors import ArchiveError, DataError
from daxa.naming import number_of
from daxa.publish.consistency import refuse_contradictions
from daxa.publish.digests import Digests
from daxa.publish.releases.release_logs import unreleased_logs
from daxa.publish.remote import Remote, Storage, find_storage, require_remote
from daxa.publish.sharing.judged_versions import TAGS, find_version, judged_version
from daxa.publish.sharing.placing import fetch_objects, put_in_place
from daxa.publish.sharing.requested import WHOLE, Part, PullRequest, check_requested, plan_pull, without_logs
from daxa.publish.workspaces import alone

__all__ = ["WHOLE", "Part", "PullReport", "bring_data", "missing_error", "pull_data"]


@dataclass(frozen=True)
class PullReport:
    """The state of the tree after a pull.

    Parameters
    ----------
    remote
        Where the data came from.
    commit
        Whose data they are.
    checked_out
        Whether this commit was checked out by the pull.
    files
        How many of the requested files are in place, verified by digest.
    fetched
        How many objects were fetched from the remote.
    missing
        Paths that are neither here nor on the remote.
    wrong
        Paths whose objects on the remote are damaged; they are not in the tree.
    unreleased_logs
        How many logs in the tree are of runs that no release has: they were left as they are.
    """

    remote: str
    commit: str
    checked_out: bool
    files: int
    fetched: int
    missing: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    unreleased_logs: int = 0

    @property
    def ok(self) -> bool:
        """Whether everything that was requested is there."""
        return not self.missing and not self.wrong


def pull_data(
    layout: Layout,
    tag: str = "",
    *,
    missions: Collection[str] = (),
    obs_ids: Collection[str] = (),
    kinds: Collection[str] = (),
    remote: str = "",
    force: bool = False,
    observe: Callable[[int, int], None] = lambda ended, total: None,
) -> PullReport:
    """Get data of the checked-out commit, or of a release, into the tree.

    A release that is not checked out is checked out first, provided that nothing is uncommitted, and after it has
    been judged as a stranger's archive: before any of its files takes its place.
    An interrupted pull goes on where it was when it is called again.

    Parameters
    ----------
    layout
        The archive.
    tag
        A release; by default the commit that is checked out.
    missions, obs_ids
        Only the data of these; all by default.
    kinds
        Only products of these kinds, such as ``image``; logs and the report are of no kind.
    remote
        Name of another remote than the default one.
    force
        Overwrite files of the tree that differ from the release and exist nowhere else.
    observe
        Called with the number of objects fetched so far, and their total.

    Returns
    -------
    PullReport
        Missing data are reported in it, not raised.

    Raises
    ------
    ArchiveError
        Something in the archive could run, or files that exist nowhere else would be overwritten.
    UntrustedArchive
        There is a link where data go, or the release holds what could do harm; nothing was changed.
    CriteriaError
        A mission, an ObsID or a kind is not in the archive, or DVC keeps no file of it.
    DataError
        A listing leads out of its directory, or is not what DVC writes.
    ConfigError, ServiceError, StorageError, ProgramError
        There is no remote, or it cannot be read.
    """
    part = Part(frozenset(missions), frozenset(obs_ids), frozenset(kinds))
    reference = find_version(layout, tag) if tag else ""
    checked_out = bool(reference) and git.commit_of(layout.root, reference) != git.commit_of(layout.root)
    if checked_out:
        refuse_uncommitted(layout, instead=f"`git worktree add ../{layout.root.name}-{tag} {tag}` and pull there")
    # Of this clone as it is: no version can change what is private to it.
    config = load_config(layout)
    refuse_foreign(layout, config, connects=False)
    with alone(layout):
        if reference:
            with judged_version(layout, reference) as version:
                its_config = load_config(version)
                if reference.startswith(TAGS):
                    refuse_contradictions(version, its_config, tag)
                check_requested(version, its_config, part)
        if checked_out:
            # Under its full name: Git would look for it among files, too.
            git.checkout(layout.root, reference)
            check_archive(layout)
            config = load_config(layout)
            refuse_foreign(layout, config, connects=False)
        check_requested(layout, config, part)
        storage = find_storage(layout.root, remote)
        there = require_remote(layout.root, storage)
        with Digests(layout) as digests:
            report = bring_data(layout, storage, there, digests, part=part, force=force, observe=observe)
    return replace(report, checked_out=checked_out)


def bring_data(
    layout: Layout,
    storage: Storage,
    remote: Remote | None,
    digests: Digests,
    *,
    part: Part = WHOLE,
    force: bool = False,
    observe: Callable[[int, int], None] = lambda ended, total: None,
) -> PullReport:
    """Put the data of the commit that is checked out in place, as for `pull_data`.

    Parameters
    ----------
    layout, storage, digests
        The archive, its cache, and known digests of its files.
    remote
        Where data come from that are not here; None to use only what is on this machine.
    part
        Which of them.
    force, observe
        As of `pull_data`.
    """
    own = unreleased_logs(layout, storage, digests)
    plan = plan_pull(layout, storage, remote, part)
    given_up = own.intersection(plan.files) if force else frozenset()
    own -= given_up
    wanted = without_logs(plan, own, given_up, layout.logs.name)
    _refuse_links(layout, wanted)
    _refuse_unsaved(layout, storage, wanted, digests, force=force)
    fetched, missing, wrong = fetch_objects(layout, storage, remote, wanted, digests, observe=observe)
    absent = {path for path, digest in wanted.files.items() if digest in missing | wrong}
    put_in_place(layout, storage, wanted, absent, given_up)
    came = digests.many(f"{layout.root}/{path}" for path in wanted.files if path not in absent)
    spoilt = {path for path, digest in wanted.files.items() if came.get(f"{layout.root}/{path}", digest) != digest}
    return PullReport(
        remote=remote.url if remote else "",
        commit=git.commit_of(layout.root),
        checked_out=False,
        files=len(wanted.files) - len(absent) - len(spoilt),
        fetched=fetched,
        missing=tuple(sorted([*wanted.unlisted, *(path for path in absent if wanted.files[path] in missing)])),
        wrong=tuple(sorted([*spoilt, *(path for path in absent if wanted.files[path] in wrong)])),
        unreleased_logs=len(own),
    )


def _refuse_links(layout: Layout, wanted: PullRequest) -> None:
    """Refuse links in place of directories below an output: DVC would write through them."""
    directories = {PurePosixPath(path).parent for path in wanted.files}
    levels = {level for directory in directories for level in (directory, *directory.parents)} - {PurePosixPath()}
    for place in sorted(levels):
        check_plain(layout.root / place, "a directory")


def _refuse_unsaved(layout: Layout, storage: Storage, wanted: PullRequest, digests: Digests, *, force: bool) -> None:
    """Refuse to overwrite what exists nowhere else, unless `force` is set."""
    names = {path: f"{layout.root}/{path}" for path in wanted.files}
    here = digests.many(name for name in names.values() if os.path.lexists(name))
    differing = [path for path, digest in wanted.files.items() if here.get(names[path], digest) != digest]
    held = storage.names()
    changed = [path for path in differing if here[names[path]] not in held]
    for path in changed:
        check_plain(layout.root / path, "a file")
    if changed and not force:
        raise ArchiveError(
            "changed-data",
            f"files in {layout.root} differ from the release, and have no other copy ({len(changed)}): "
            f"{', '.join(changed[:5])}",
            remedy="move them away, or overwrite them with `daxa pull --force`",
        )
    # DVC judges by size and times whether a file has changed; one that is not there it puts back.
    for path in differing:
        (layout.root / path).unlink()


def missing_error(report: PullReport) -> DataError:
    """The error for a pull that did not get everything."""
    parts = []
    directory = Remote("", report.remote).directory
    if directory is not None and not directory.is_dir():
        parts.append("there is no such directory on this machine")
    if report.missing:
        parts.append(f"it lacks {number_of(len(report.missing), 'path')}, such as {report.missing[0]}")
    if report.wrong:
        parts.append(f"{number_of(len(report.wrong), 'wrong file')}, such as {report.wrong[0]}")
    return DataError(
        "remote-incomplete",
        f"{report.remote} does not provide everything that was requested: {'; '.join(parts)}",
        remedy="ask the author of the archive to run `daxa push`; `daxa run` makes again what has no copy",
    )
