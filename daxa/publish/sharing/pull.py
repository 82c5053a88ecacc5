"""Get the data of a release from the remote; nothing enters the tree without being verified.

DVC trusts listings: a path in one may lead out of the tree, and a remote that
does not exist gives nothing and no error.  Therefore configuration and listings are checked
before DVC moves anything, every object is verified before it is put in place, and what the
remote lacks is reported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from shutil import disk_usage

from daxa.archive import dvc, git
from daxa.archive.config import ArchiveConfig, load_config, steps_of
from daxa.archive.gate import check_archive, check_plain
from daxa.archive.layout import Layout
from daxa.archive.named_choices import named_kinds
from daxa.archive.trust import refuse_foreign
from daxa.errors import ArchiveError, CriteriaError, DataError, ProgramError, StorageError
from daxa.naming import number_of
from daxa.publish.cache_repair import fetch_object, prove_cache, restore_objects
from daxa.publish.consistency import refuse_contradictions
from daxa.publish.contents import find_listing
from daxa.publish.digests import Digests, place_object
from daxa.publish.dvc_outputs import listed_files, shared_digests
from daxa.publish.releases.release_logs import place_logs, unreleased_logs
from daxa.publish.remote import Remote, Storage, find_storage, list_objects, require_remote
from daxa.publish.sharing.judged_versions import TAGS, find_version, judged_version
from daxa.publish.state import read_observations
from daxa.publish.workspaces import alone
from daxa.run.hashes import MANIFEST
from daxa.run.product import parse_product
from daxa.run.steps import kinds_of

__all__ = ["WHOLE", "Part", "PullReport", "bring_data", "missing_error", "pull_data"]

_AT_ONCE = 500
_LOGS = "logs.dvc"


@dataclass(frozen=True)
class Part:
    """What of the data is asked for; what is empty restricts nothing.

    Parameters
    ----------
    missions, obs_ids, kinds
        Only files of these.
    """

    missions: frozenset[str] = frozenset()
    obs_ids: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()


WHOLE = Part()


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


@dataclass(frozen=True)
class _PullRequest:
    """What is requested: every file with its digest, and the directory that DVC can check out as a whole.

    Outputs without a listing are named; `single` are logs that daxa puts in place itself.
    """

    files: Mapping[str, str]
    target: Mapping[str, str]
    unlisted: tuple[str, ...] = ()
    single: frozenset[str] = frozenset()

    @property
    def objects(self) -> dict[str, list[str]]:
        needed: dict[str, list[str]] = {}
        for path, digest in self.files.items():
            needed.setdefault(digest, []).append(path)
        return needed


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
        Only products of these kinds, such as ``image``; neither logs nor the report are any.
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
        A link stands where data go, or the release holds what could do harm; nothing was changed.
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
        _refuse_changes(layout, tag)
    # Of this clone as it is: what is private to it no version can change.
    config = load_config(layout)
    refuse_foreign(layout, config, connects=False)
    with alone(layout):
        if reference:
            with judged_version(layout, reference) as version:
                its_config = load_config(version)
                if reference.startswith(TAGS):
                    refuse_contradictions(version, its_config, tag)
                _check_asked(version, its_config, part)
        if checked_out:
            # Under its full name: Git would look for it among files, too.
            git.checkout(layout.root, reference)
            check_archive(layout)
            config = load_config(layout)
            refuse_foreign(layout, config, connects=False)
        _check_asked(layout, config, part)
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
        Where data come from that are not here; None for those that are here alone.
    part
        What of them.
    force, observe
        As of `pull_data`.
    """
    own = unreleased_logs(layout, storage, digests)
    plan = _plan(layout, storage, remote, part)
    given_up = own.intersection(plan.files) if force else frozenset()
    own -= given_up
    wanted = _without(plan, own, given_up, layout.logs.name)
    _refuse_links(layout, wanted)
    _refuse_unsaved(layout, storage, wanted, digests, force=force)
    fetched, missing, wrong = _fetch_file(layout, storage, remote, wanted, digests, observe=observe)
    absent = {path for path, digest in wanted.files.items() if digest in missing | wrong}
    _put(layout, storage, wanted, absent, given_up)
    came = digests.many(f"{layout.root}/{path}" for path in wanted.files if path not in absent)
    spoilt = {path for path, digest in wanted.files.items() if came.get(f"{layout.root}/{path}", digest) != digest}
    return PullReport(
        remote.url if remote else "",
        git.commit_of(layout.root),
        False,
        len(wanted.files) - len(absent) - len(spoilt),
        fetched,
        tuple(sorted([*wanted.unlisted, *(path for path in absent if wanted.files[path] in missing)])),
        tuple(sorted([*spoilt, *(path for path in absent if wanted.files[path] in wrong)])),
        len(own),
    )


def _refuse_changes(layout: Layout, tag: str) -> None:
    """Let no other version be checked out over what is not committed."""
    if changed := git.changes(layout.root):
        raise ArchiveError(
            "uncommitted",
            f"{layout.root} is not at {tag}, and has uncommitted changes, such as {changed[0]}",
            remedy=f"commit or undo them, then try again; or `git worktree add ../{layout.root.name}-{tag} {tag}` "
            "and pull there",
        )


def _check_asked(layout: Layout, config: ArchiveConfig, part: Part) -> None:
    missions, obs_ids = part.missions, part.obs_ids
    named_kinds(sorted(part.kinds), kinds_of(steps_of(config)))
    for mission in sorted(missions):
        if mission not in config.missions:
            raise CriteriaError(
                "mission", f"{mission} is not in this archive", remedy=f"choose from {', '.join(config.missions)}"
            )
    if obs_ids:
        chosen = {obs_id for mission in missions or config.missions for obs_id in read_observations(layout, mission)}
        if unknown := sorted(set(obs_ids) - chosen):
            raise CriteriaError(
                "obs-id",
                f"{unknown[0]} is not among the observations of this archive",
                remedy="`daxa select --export ids.csv` lists the observations",
            )


def _plan(layout: Layout, storage: Storage, remote: Remote | None, part: Part) -> _PullRequest:
    """Judge every listing of the archive, and choose from them what is asked for."""
    paths = (layout.pipeline, layout.lock, layout.root / _LOGS)
    if not layout.lock.is_file():
        raise ArchiveError(
            "no-data",
            f"{layout.root} has no {layout.lock.name}, which records its data",
            remedy=f"`git checkout {layout.lock.name}` if it was removed; `daxa run` makes data",
        )
    pipeline, lock, logs = (path.read_bytes() if path.is_file() else None for path in paths)
    files: dict[str, str] = {}
    target: dict[str, str] = {}
    unlisted: list[str] = []
    # What a listing that is nowhere would have named of them, nobody can say: all of it is missing.
    asked = [[name] for name in _asked_of(layout, part)]
    for out, digest in shared_digests(pipeline or b"", lock or b"", logs).items():
        if not digest.endswith(".dir"):
            if not part.kinds:
                files[out], target[out] = digest, out
            continue
        listing = find_listing(layout, digest, out, storage, remote)
        if listing is None:
            if not asked or (out == layout.logs.name and not part.kinds) or out.split("/")[1:2] in asked:
                unlisted.append(out)
            continue
        for relative, one in listed_files(listing, out).items():
            path = f"{out}/{relative}"
            if (whole := _target(layout, out, path, part)) is not None:
                files[path], target[path] = one, whole
        place_object(listing, storage.cached(digest), digest)
    if part.kinds and not files and not unlisted:
        raise CriteriaError(
            "kind",
            f"there is no file of the kind {', '.join(sorted(part.kinds))} among the data that were asked for",
            remedy="`daxa ls` lists the files with their kinds; those of the missions' archives come by `daxa run`",
        )
    return _PullRequest(files, target, tuple(unlisted))


def _asked_of(layout: Layout, part: Part) -> list[str]:
    """Missions of which something was asked for; none where all of the archive was."""
    chosen = sorted(part.missions) or (load_config(layout).missions if part.obs_ids or part.kinds else ())
    return [
        name
        for name in chosen
        if not part.obs_ids or not read_observations(layout, name).keys().isdisjoint(part.obs_ids)
    ]


def _without(wanted: _PullRequest, own: Collection[str], given_up: Collection[str], logs: str) -> _PullRequest:
    """What is requested, without the logs of the user's own runs; DVC then checks out no directory of logs."""
    files = {path: digest for path, digest in wanted.files.items() if path not in own}
    several = own or given_up
    single = frozenset(
        path for path in files if path.startswith(f"{logs}/") and (several or wanted.target[path] == path)
    )
    return _PullRequest(files, {path: wanted.target[path] for path in files}, wanted.unlisted, single)


def _target(layout: Layout, out: str, path: str, part: Part) -> str | None:
    """What DVC is to put in place for a file: its output, observation, or itself; None when it was not asked for."""
    if part == WHOLE:
        return out
    parts = path.split("/")
    name = Path(layout.report).name
    if parts[0] == name or len(parts) < 4 or (part.missions and parts[1] not in part.missions):
        return None
    is_log = parts[0] == layout.logs.name
    obs_id = parts[3].removesuffix(".log") if is_log else parts[3]
    if part.obs_ids and obs_id not in part.obs_ids:
        return None
    if part.kinds:
        kept = layout.root / out == layout.kept(parts[1])
        return path if not is_log and _kind(parts[-1], kept=kept) in part.kinds else None
    return out if not part.obs_ids and not is_log else "/".join(parts[:4])


def _kind(name: str, *, kept: bool) -> str:
    """Kind of a file as `daxa.archive.products` names it; '' of what describes the others."""
    if name == MANIFEST:
        return ""
    if kept:
        return "fetched"
    try:
        return parse_product(name).kind
    except DataError:
        return "auxiliary"


def _refuse_links(layout: Layout, wanted: _PullRequest) -> None:
    """Refuse links in place of directories below an output: DVC would write through them."""
    directories = {PurePosixPath(path).parent for path in wanted.files}
    levels = {level for directory in directories for level in (directory, *directory.parents)} - {PurePosixPath()}
    for place in sorted(levels):
        check_plain(layout.root / place, "a directory")


def _refuse_unsaved(layout: Layout, storage: Storage, wanted: _PullRequest, digests: Digests, *, force: bool) -> None:
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
    # DVC takes a file for unchanged by its size and times; what it does not find, it puts there.
    for path in differing:
        (layout.root / path).unlink()


def _fetch_file(
    layout: Layout,
    storage: Storage,
    remote: Remote | None,
    wanted: _PullRequest,
    digests: Digests,
    *,
    observe: Callable[[int, int], None],
) -> tuple[int, set[str], set[str]]:
    """Fetch objects into the cache; return how many came, which are nowhere, and which are damaged."""
    needed = wanted.objects
    cache = prove_cache(layout, storage, needed, digests, remote=remote)
    if remote is None:
        return 0, restore_objects(layout, storage, needed, sorted(cache.absent)), set(cache.lost)
    present = list_objects(layout.root, remote) if cache.absent and remote.listed else {}
    missing = set(restore_objects(layout, storage, needed, sorted(cache.absent - present.keys())))
    coming = sorted(cache.absent & present.keys())
    if not remote.listed:
        # What cannot be listed is asked for each object.
        coming, missing = sorted(missing), set()
    if remote.directory is None and coming:
        targets = sorted({wanted.target[path] for digest in coming for path in needed[digest]})
        for part in _parts(targets):
            dvc.fetch(layout.root, remote.name, part)
    wrong = set(cache.lost)
    for count, digest in enumerate(coming, 1):
        place = storage.cached(digest)
        if remote.directory is not None:
            right = fetch_object(layout, storage, remote, digest)
        elif place.exists():
            right = digests.of(place) == digest
        else:
            right = fetch_object(layout, storage, remote, digest)
        if not right:
            (wrong if remote.listed or place.exists() else missing).add(digest)
            place.unlink(missing_ok=True)
        observe(count, len(coming))
    return len(coming) - len((wrong | missing) & set(coming)), missing, wrong


def _put(
    layout: Layout, storage: Storage, wanted: _PullRequest, absent: Collection[str], given_up: Collection[str]
) -> None:
    """Check out everything that is not absent: whole outputs, else whole observations, else single files."""
    logs = {path: wanted.files[path] for path in sorted(wanted.single.difference(absent))}
    place_logs(layout, storage, logs, given_up)
    waiting = {path: place for path, place in wanted.target.items() if path not in wanted.single}
    targets: list[str] = []
    while waiting:
        broken = {waiting[path] for path in absent if path in waiting}
        targets += sorted({place for place in waiting.values() if place not in broken})
        waiting = {
            path: _next_below(place, path) for path, place in waiting.items() if place in broken and path != place
        }
    for part in _parts(targets):
        try:
            dvc.checkout(layout.root, part)
        except ProgramError:
            _refuse_full(layout, storage, wanted, absent)
            raise


def _refuse_full(layout: Layout, storage: Storage, wanted: _PullRequest, absent: Collection[str]) -> None:
    """Report a full disk, if that is the cause: DVC only names what it could not write."""
    waiting = [path for path in wanted.files if path not in absent and not (layout.root / path).exists()]
    needed = sum(storage.cached(wanted.files[path]).stat().st_size for path in waiting)
    free = disk_usage(layout.root).free
    if needed > free:
        raise StorageError(
            "full",
            f"{layout.root} has no space for the data that were fetched: {needed / 1e6:.1f} MB are needed, "
            f"and {free / 1e6:.1f} MB free",
            remedy="free some space, then run `daxa pull` again: what was fetched stays",
        )


def _next_below(place: str, path: str) -> str:
    """The directory, or the file itself, one level closer to a file."""
    return "/".join(path.split("/")[: len(place.split("/")) + 1])


def _parts(targets: Sequence[str]) -> Iterator[Sequence[str]]:
    return (targets[at : at + _AT_ONCE] for at in range(0, len(targets), _AT_ONCE))


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
