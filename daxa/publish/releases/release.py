"""Make a release: an annotated tag on a commit whose selection, parameters, ledgers and data agree.

Everything is checked before anything is written, and the commit is checked once
more before it is tagged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from posixpath import normpath

from daxa.archive import dvc, git
from daxa.archive.check import check_parameters
from daxa.archive.config import ArchiveConfig, load_config, steps_of
from daxa.archive.creators import check_creators
from daxa.archive.gate import check_products
from daxa.archive.layout import Layout
from daxa.archive.trust import find_foreign
from daxa.errors import ArchiveError, ConfigError, DataError, ReleaseError
from daxa.naming import some
from daxa.publish.cache_repair import prove_cache
from daxa.publish.citing.release_description import describe_release
from daxa.publish.citing.release_metadata import METADATA, interrupted, metadata_files, people_of, write_metadata
from daxa.publish.comparing.causes import cause_lines, find_causes, read_side
from daxa.publish.comparing.changelog import record_changes
from daxa.publish.comparing.effects import effect_lines
from daxa.publish.consistency import find_contradictions
from daxa.publish.contents import find_listing, needed_here
from daxa.publish.digests import Digests
from daxa.publish.dvc_outputs import listed_files, shared_digests
from daxa.publish.embargo import mjd_now
from daxa.publish.file_check import FileProblem, check_files, check_places, kept_rows
from daxa.publish.lockcheck import compare_locked
from daxa.publish.releases.refusals import ReleaseFacts, ReleaseRefusal, damage, refusals
from daxa.publish.releases.release_environment import record_environment
from daxa.publish.releases.release_logs import NAME as LOGS
from daxa.publish.releases.release_logs import keep_logs, plan_logs
from daxa.publish.releases.unreleased import has_changes
from daxa.publish.remote import Storage, find_storage
from daxa.publish.state import ArchiveState, read_observations, read_state, records_at
from daxa.publish.summary import tag_message
from daxa.publish.tracked import compare_tracked
from daxa.publish.version import FIRST, ReleaseContents, next_version, release_tags
from daxa.publish.workspaces import require_writable

__all__ = ["Release", "make_release", "required_files"]


@dataclass(frozen=True)
class Release:
    """A release that was made.

    Parameters
    ----------
    tag, commit
        Its name and its commit.
    message
        The tag's message.
    previous
        Tag of the release before, '' for the first.
    """

    tag: str
    commit: str
    message: str
    previous: str


def make_release(
    layout: Layout,
    config: ArchiveConfig,
    message: str = "",
    *,
    include: Collection[str] = (),
    force: bool = False,
    observe: Callable[[int, int], None] = lambda ended, total: None,
) -> Release:
    """Commit the current state and tag it with the next version.

    Parameters
    ----------
    layout, config
        The archive.
    message
        Title of the release.
    include
        Changed files, or directories of them, that the release includes although it does not write them.
    force
        Make a release even when no selection, parameter, software or product has changed.
    observe
        Called with the number of objects of DVC's cache read so far, and their total.

    Raises
    ------
    ReleaseError
        The release would claim something that is not true; all reasons are named.
    ArchiveError, ConfigError, ProgramError, StorageError
        The archive is in use, or cannot be read or written, or Git does not know who commits; an ORCID is not valid.
    DataError
        ``CITATION.cff`` or ``.zenodo.json`` cannot be read.
    """
    check_parameters(layout, config)
    check_creators(config.creators)
    people = people_of(layout)
    require_writable(layout)
    check_products(layout)
    git.check_identity(layout.root)
    storage = find_storage(layout.root)
    with Digests(layout) as digests:
        # Before DVC is asked, since it removes a damaged object that it notices from its cache.
        lost = _unrecoverable(layout, storage, digests, observe, logs=False)
        facts = _gather(layout, config, storage, include)
        _refuse(layout, [reason for reason in refusals(facts) if not force or reason.name != "nothing-new"])
        _refuse(layout, list(damage(_check_data(layout, facts.state))))
        _refuse(layout, lost)
        tag = _next_tag(layout, facts)
        title = _title(message) or f"Release {tag} of {config.name}"
        text = tag_message(title, facts.state, _since(layout, facts.last))
        keep_logs(layout, facts.logs, storage, digests)
        _refuse(layout, _unrecoverable(layout, storage, digests, observe, logs=True))
    record_environment(layout)
    record_changes(layout, tag, text)
    described = [path for path in required_files(layout, config) if path not in METADATA]
    record = describe_release(layout, facts.state, described, tag=tag, previous=facts.last)
    write_metadata(layout, metadata_files(record, people))
    required = required_files(layout, config)
    if changes := sorted({*git.changes(layout.root), *_untracked(layout, required)}):
        git.commit(layout.root, changes, f"Release {tag}\n\n{text}")
    _refuse(layout, list(_incomplete(layout, required)))
    git.create_tag(layout.root, tag, text)
    git.pack(layout.root)
    return Release(tag, git.commit_of(layout.root), text, facts.last)


def required_files(layout: Layout, config: ArchiveConfig) -> list[str]:
    """The files of the tree that the commit of a release must contain."""
    paths = [layout.config, layout.software, layout.pipeline, layout.lock]
    for mission in config.missions:
        paths += [layout.params(mission), layout.selection(mission)]
        paths += [layout.ledger(mission, step) for step in config.steps]
    kept = [layout.upstream(mission) for mission in config.missions]
    kept += [layout.root / name for name in METADATA]
    kept += [
        layout.metrics,
        layout.environment,
        layout.changes,
        layout.root / LOGS,
        layout.root / ".dvc" / "config",
        layout.root / ".gitattributes",
    ]
    paths += [path for path in kept if path.exists()]
    return [layout.name_of(path) for path in paths]


def _untracked(layout: Layout, paths: Collection[str]) -> list[str]:
    """The files among these that Git does not track, whatever the user's own ignore rules say."""
    known = {path for path, _ in git.index_entries(layout.root)}
    return [path for path in paths if path not in known]


def _incomplete(layout: Layout, required: Collection[str]) -> Iterator[ReleaseRefusal]:
    """Where the commit does not contain what a release needs, as it is on disk."""
    wrong = {problem.path: problem.what for problem in compare_tracked(layout, git.commit_of(layout.root))}
    held = set(git.tracked(layout.root))
    if lacking := [path for path in required if path not in held]:
        yield ReleaseRefusal(
            "incomplete",
            f"the commit of the release does not contain {some(lacking)}: an ignore rule of Git excludes them",
            f"`git add --force {lacking[0]}` and commit; `git check-ignore -v --no-index {lacking[0]}` names the rule",
        )
    if altered := [path for path in required if path in held and path in wrong]:
        yield ReleaseRefusal(
            "altered",
            f"a Git setting has altered {some(altered)} in the commit of the release",
            "put `* -text` first in .gitattributes, and check `git config core.autocrlf`",
        )


def _unrecoverable(
    layout: Layout, storage: Storage, digests: Digests, observe: Callable[[int, int], None], *, logs: bool
) -> list[ReleaseRefusal]:
    """Read every object of DVC's cache, repair it from the tree, and return a reason to refuse if that fails."""
    try:
        needed = needed_here(layout, storage, logs=logs)
    except (DataError, ReleaseError) as error:
        return [ReleaseRefusal("cache-damaged", error.message, error.remedy)]
    lost = prove_cache(layout, storage, needed, digests, observe=observe).lost
    if not lost:
        return []
    named = [f"{path} ({digest})" for digest, path in sorted(lost.items())]
    message = f"DVC's cache has no intact copy of {some(named)}, and there is no other copy here"
    return [ReleaseRefusal("cache-damaged", message, "run `daxa pull`, which repairs it from the remote")]


def _gather(layout: Layout, config: ArchiveConfig, storage: Storage, include: Collection[str]) -> ReleaseFacts:
    foreign = find_foreign(layout, config)
    state = read_state(layout)
    tags = release_tags(git.tags(layout.root))
    own = {LOGS, *interrupted(layout)}
    changes = [path for path in git.changes(layout.root) if path not in own]
    # What could act is refused anyway, and DVC is not asked about it.
    stale = [] if foreign else [name for name in dvc.changed_stages(layout.root) if name != LOGS]
    last = tags[-1] if tags else ""
    return ReleaseFacts(
        state=state,
        changes=tuple(changes),
        included=tuple(_named(layout, path) for path in include),
        foreign=foreign,
        stale=tuple(sorted(stale)),
        uncached=tuple(_uncached(layout, storage)),
        unlocked=tuple(_unlocked(layout, config, stale)),
        logs=plan_logs(layout, state, storage),
        remote=storage.remote,
        now=mjd_now(),
        last=last,
        changed=not last or has_changes(layout, last),
        hidden_changes=tuple(git.hidden_changes(layout.root)),
        merging=git.is_merging(layout.root),
    )


def _unlocked(layout: Layout, config: ArchiveConfig, stale: Collection[str]) -> Iterator[str]:
    """What is not as the last run had it: files, and values of parameters in stages that DVC considers up to date."""
    if not layout.lock.is_file() and not git.tracked_below(layout.root, [layout.lock.name]):
        return  # Nothing has run, so that every stage is out of date.
    files = [problem.path for problem in compare_locked(layout, config.missions, steps_of(config))]
    yield from files
    for one in find_contradictions(layout, config):
        if one.path not in files and f"{one.step}-{one.mission}" not in stale:
            yield f"{one.path} ({one.detail})" if one.detail else one.path


def _named(layout: Layout, path: str) -> str:
    """A path relative to the archive, as Git writes it."""
    given = PurePath(path)
    inside = given.relative_to(layout.root) if given.is_relative_to(layout.root) else given
    return normpath(inside.as_posix())


def _uncached(layout: Layout, storage: Storage) -> Iterator[str]:
    """Outputs of which DVC's cache lacks an object; the release itself adds the logs."""
    if not layout.lock.is_file() or not layout.pipeline.is_file():
        return
    kept = storage.names()
    for path, digest in shared_digests(layout.pipeline.read_bytes(), layout.lock.read_bytes(), None).items():
        whole = digest in kept
        if whole and digest.endswith(".dir"):
            listing = find_listing(layout, digest, path, storage, None)
            whole = listing is not None and kept.issuperset(listed_files(listing, path).values())
        if not whole:
            yield path


def _check_data(layout: Layout, state: ArchiveState) -> list[FileProblem]:
    """Where products are not those of the ledgers: DVC was asked, but it trusts sizes and times."""
    fetching = {step.name for step in steps_of(state.config) if step.fetches}
    kept = state.config.storage.fetched
    problems = check_places(layout, state.missions, state.config.steps, kept)
    with Digests(layout, "sha256") as digests:
        for name, mission in state.missions.items():
            for step, rows in mission.ledgers.items():
                wrong = step not in fetching
                found = check_files(layout, name, step, rows, absent_is_wrong=wrong, digest=digests.of)
                problems += found.problems
        for name in kept:
            rows = kept_rows(state.missions[name].ledgers, kept[name], fetching)
            problems += check_files(layout, name, layout.kept(name).name, rows, digest=digests.of).problems
    return problems


def _next_tag(layout: Layout, facts: ReleaseFacts) -> str:
    if not facts.last:
        return FIRST
    with records_at(layout, git.commit_of(layout.root, facts.last)) as records:
        config = load_config(records)
        chosen = {mission: read_observations(records, mission).keys() for mission in config.missions}
    now = {name: mission.observations.keys() for name, mission in facts.state.missions.items()}
    return next_version(
        facts.last, ReleaseContents(config.format, chosen), ReleaseContents(facts.state.config.format, now)
    )


def _since(layout: Layout, last: str) -> list[str]:
    """What has changed since the last release, why, and to what effect; empty before the first."""
    if not last:
        return []
    try:
        with records_at(layout, git.commit_of(layout.root, last)) as records:
            before, now = read_side(records), read_side(layout)
            causes = find_causes(before, now)
            lines = [*cause_lines(causes), *effect_lines(before, now, causes)]
    except (ArchiveError, ConfigError, DataError):
        return []  # A release whose parameters this daxa cannot read can still be followed by one.
    return [f"Since {last}:", *lines] if lines else []


def _title(message: str) -> str:
    """The message without control characters and surrounding blanks."""
    return re.sub(r"[^\S\n]|[\x00-\x09\x0b-\x1f\x7f-\x9f]", " ", message).strip()


def _refuse(layout: Layout, reasons: list[ReleaseRefusal]) -> None:
    if not reasons:
        return
    if len(reasons) == 1:
        raise ReleaseError(
            reasons[0].name, f"{layout.root} cannot be released: {reasons[0].message}", remedy=reasons[0].remedy
        )
    raise ReleaseError(
        "several",
        f"{layout.root} cannot be released, for {len(reasons)} reasons:"
        + "".join(f"\n  {number}. {reason.message}" for number, reason in enumerate(reasons, 1)),
        remedy=_remedies(reasons),
    )


def _remedies(reasons: list[ReleaseRefusal]) -> str:
    """What to do about each reason; a remedy for several is given once."""
    numbers: dict[str, list[str]] = {}
    for number, reason in enumerate(reasons, 1):
        numbers.setdefault(reason.remedy, []).append(str(number))
    if len(numbers) == 1:
        return reasons[0].remedy
    return "; ".join(f"({', '.join(which)}) {remedy}" for remedy, which in numbers.items())
