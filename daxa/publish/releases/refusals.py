"""Reasons to refuse a release, decided from facts only."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from daxa.archive.trust import ForeignItem
from daxa.naming import some
from daxa.publish.embargo import proprietary
from daxa.publish.file_check import FileProblem
from daxa.publish.releases.release_logs import NAME as LOGS
from daxa.publish.releases.release_logs import LogPlan
from daxa.publish.releases.verify import unfinished
from daxa.publish.remote import Remote
from daxa.publish.state import ArchiveState
from daxa.publish.summary import summarise

__all__ = ["ReleaseFacts", "ReleaseRefusal", "damage", "refusals"]

_OWN_FILES = (
    *("software.toml", "dvc.lock", "metrics.json", "environment.json", "CHANGES.md", LOGS),
    *("codemeta.json", "ro-crate-metadata.json", "prov.json"),
)
_OWN_DIRECTORIES = ("params/", "selection/", "ledger/", "upstream/")
"""What the pipeline writes, and what ``dvc.lock`` says it was run with: the release includes it."""

_NAMED = 5


@dataclass(frozen=True)
class ReleaseRefusal:
    """A reason not to make a release now, and what to do about it."""

    name: str
    message: str
    remedy: str


@dataclass(frozen=True)
class ReleaseFacts:
    """The facts that decide whether a release can be made.

    Parameters
    ----------
    state
        Configuration, selections and ledgers on disk.
    changes
        Paths that differ from the last commit or are not tracked by Git.
    included
        Paths among them that the release is to include although it does not write them.
    foreign
        What daxa did not write and could run.
    stale
        Stages that DVC finds changed.
    uncached
        Outputs that DVC's cache lacks.
    unlocked
        Files that are not those in ``dvc.lock``, or that hold other values (in brackets).
    logs
        What must be done to keep all logs.
    remote
        Where the data are shared.
    now
        MJD.
    last
        Tag of the last release, '' before the first.
    changed
        Whether selection, parameters, software or products differ from that release.
    hidden_changes
        Paths whose changes Git is set to ignore.
    merging
        Whether a merge is in progress.
    """

    state: ArchiveState
    changes: tuple[str, ...]
    included: tuple[str, ...]
    foreign: tuple[ForeignItem, ...]
    stale: tuple[str, ...]
    uncached: tuple[str, ...]
    unlocked: tuple[str, ...]
    logs: LogPlan
    remote: Remote | None
    now: float
    last: str
    changed: bool
    hidden_changes: tuple[str, ...] = ()
    merging: bool = False


def refusals(facts: ReleaseFacts) -> Iterator[ReleaseRefusal]:
    """Every reason not to make a release, from these facts."""
    yield from _refuse_files(facts)
    yield from _refuse_stages(facts)
    yield from _refuse_rows(facts)
    if facts.remote and facts.remote.public:
        chosen = {name: mission.observations for name, mission in facts.state.missions.items()}
        if held := proprietary(chosen, facts.now):
            yield ReleaseRefusal(
                "proprietary",
                f"not known to be public, while others may read {facts.remote.url}: {some(held)}",
                "wait until they are public, or share through private storage (a directory or ssh)",
            )
    if facts.last and not facts.changed:
        yield ReleaseRefusal(
            "nothing-new",
            f"nothing has changed since {facts.last}: no selection, parameter, software or product",
            f"cite {facts.last}, or give --force",
        )


def _refuse_files(facts: ReleaseFacts) -> Iterator[ReleaseRefusal]:
    if others := [path for path in facts.changes if not _is_own(path) and not _is_among(path, facts.included)]:
        options = " ".join(f"--include {path}" for path in others[:_NAMED])
        yield ReleaseRefusal(
            "dirty",
            f"not in Git, or changed since the last commit: {some(others)}",
            f"commit or remove these files, or include them: `daxa release {options}`",
        )
    if idle := [path for path in facts.included if not any(_is_among(change, [path]) for change in facts.changes)]:
        yield ReleaseRefusal("include", f"nothing has changed in {some(idle)}", "leave out this --include")
    if facts.hidden_changes:
        yield ReleaseRefusal(
            "hidden_changes",
            f"Git is set to ignore changes of {some(facts.hidden_changes)}",
            "stop that: `git update-index --no-assume-unchanged --no-skip-worktree -- "
            f"{shlex.join(facts.hidden_changes[:_NAMED])}`",
        )
    if facts.merging:
        yield ReleaseRefusal(
            "merging",
            "a merge is in progress",
            "finish it with `git commit`, or abort it with `git merge --abort`",
        )
    if facts.foreign:
        yield ReleaseRefusal(
            "foreign",
            "files that daxa did not write could run something: "
            + some([f"{item.path} {item.what}" for item in facts.foreign]),
            "; ".join(dict.fromkeys(item.remedy for item in facts.foreign[:_NAMED])),
        )


def _refuse_stages(facts: ReleaseFacts) -> Iterator[ReleaseRefusal]:
    if facts.stale:
        yield ReleaseRefusal(
            "stale", f"stages are not up to date: {some(facts.stale)}", "run `daxa run`, or in a clone `daxa pull`"
        )
    if facts.uncached:
        yield ReleaseRefusal(
            "not-in-cache", f"DVC's cache lacks data of {some(facts.uncached)}", "run `daxa pull`, or `dvc commit`"
        )
    if facts.unlocked:
        paths = [path.partition(" ")[0] for path in facts.unlocked]
        ours = [path for path in paths if path in _OWN_FILES or path.startswith(_OWN_DIRECTORIES)]
        tracked = next((path for path in ours if path in facts.changes), "")
        yield ReleaseRefusal(
            "not-locked",
            f"dvc.lock does not match the files that are here: {some(facts.unlocked)}",
            "run `daxa run`" + (f"; if nothing was meant to change, `git checkout {tracked}`" if tracked else ""),
        )
    if facts.logs.unreachable:
        yield ReleaseRefusal("logs", "the logs of the last release are not on this machine", f"run `dvc fetch {LOGS}`")


def _refuse_rows(facts: ReleaseFacts) -> Iterator[ReleaseRefusal]:
    for name, mission in facts.state.missions.items():
        if open_ones := [
            f"{problem.obs_id} at {problem.step}" for problem in unfinished(name, mission.observations, mission.ledgers)
        ]:
            yield ReleaseRefusal("unfinished", f"{name} is not finished: {some(open_ones)}", "run `daxa run`")
        allowed = facts.state.config.policy.max_failed_release
        for step, counts in summarise(name, mission).steps.items():
            if counts.failed + counts.skipped > allowed * len(mission.observations):
                rows = mission.ledgers[step].values()
                failed = [f"{row.obs_id} ({row.reason})" for row in rows if row.outcome != "done"]
                yield ReleaseRefusal(
                    "failed",
                    f"failed at {step} of {name}: {some(failed)}",
                    "read `daxa logs OBSID` and run `daxa run` again, or raise max_failed_release in daxa.toml",
                )


def damage(problems: Collection[FileProblem]) -> Iterator[ReleaseRefusal]:
    """The reason to refuse a release whose files are not those of the ledgers."""
    if problems:
        named = [f"{problem.path} ({problem.what})" for problem in problems]
        yield ReleaseRefusal(
            "data",
            f"files differ from those in the ledgers: {some(named)}",
            "run `daxa run`, which makes them again",
        )


def _is_own(path: str) -> bool:
    return path in _OWN_FILES or path.startswith(_OWN_DIRECTORIES)


def _is_among(path: str, places: Collection[str]) -> bool:
    return any(place in (path, ".") or path.startswith(f"{place}/") for place in places)
