"""Make a release: an annotated tag on a commit whose selection, parameters, ledgers and data agree.

Everything is looked at and refused before anything is written.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from daxa.archive import dvc, git
from daxa.archive.check import check_parameters
from daxa.archive.config import ArchiveConfig, load_config
from daxa.archive.layout import Layout
from daxa.archive.template import MissionAnswers, render, required_files
from daxa.errors import ReleaseError
from daxa.missions import find_mission
from daxa.publish.embargo import mjd_now, proprietary
from daxa.publish.files import Problem, check_files, check_places
from daxa.publish.logs import NAME as LOGS
from daxa.publish.logs import LogPlan, keep_logs, plan_logs
from daxa.publish.outputs import listed_files, shared_digests
from daxa.publish.remote import Remote, Storage, find_storage
from daxa.publish.state import State, read_observations, read_state, records_at
from daxa.publish.summary import summarise, tag_message
from daxa.publish.verify import unfinished
from daxa.publish.version import FIRST, Contents, next_version, release_tags

__all__ = ["Facts", "Refusal", "Release", "make_release", "refusals"]

_OWN_FILES = (
    "daxa.toml",
    "software.toml",
    "dvc.yaml",
    "dvc.lock",
    "metrics.json",
    LOGS,
    "README.md",
    "LICENSE",
    "CITATION.cff",
    ".zenodo.json",
    ".gitattributes",
    ".gitignore",
    ".dvcignore",
    ".dvc/config",
    ".dvc/.gitignore",
)
_OWN_DIRECTORIES = ("params/", "selection/", "ledger/", "upstream/", ".github/")
_NAMED = 5


@dataclass(frozen=True)
class Release:
    """A release that was made.

    Parameters
    ----------
    tag, commit
        Its name and the commit that it stands on.
    message
        The tag's message.
    previous
        Tag of the release before, '' for the first.
    """

    tag: str
    commit: str
    message: str
    previous: str


@dataclass(frozen=True)
class Refusal:
    """A reason not to make a release now, and what to do about it."""

    name: str
    message: str
    remedy: str


@dataclass(frozen=True)
class Facts:
    """What decides whether a release may be made.

    Parameters
    ----------
    state
        Configuration, selections and ledgers on disk.
    changes
        Paths that differ from the last commit or are not tracked by Git.
    tracked
        Paths in the last commit.
    pipeline_rendered
        Whether ``dvc.yaml`` is what daxa renders from the archive's configuration.
    stale
        Stages that DVC finds changed.
    uncached
        Outputs that DVC's cache lacks.
    logs
        What must be done to keep all logs.
    remote
        Where the data are shared.
    now
        MJD.
    last
        Tag of the last release, '' before the first.
    changed
        Whether anything differs from that release.
    """

    state: State
    changes: tuple[str, ...]
    tracked: tuple[str, ...]
    pipeline_rendered: bool
    stale: tuple[str, ...]
    uncached: tuple[str, ...]
    logs: LogPlan
    remote: Remote | None
    now: float
    last: str
    changed: bool


def make_release(layout: Layout, config: ArchiveConfig, message: str = "") -> Release:
    """Commit what is there and tag it with the next version.

    Parameters
    ----------
    layout, config
        The archive.
    message
        Title of the release.

    Raises
    ------
    ReleaseError
        The release would claim something that is not so; all reasons are named.
    ArchiveError, ConfigError, ProgramError
        The archive is in use or cannot be read, or Git does not know who commits.
    """
    check_parameters(layout, config)
    git.check_identity(layout.root)
    facts = _gather(layout, config)
    _refuse(layout, list(refusals(facts)))
    _refuse(layout, list(_damage(_check_data(layout, facts.state))))
    tag = _next_tag(layout, facts)
    text = tag_message(_title(message) or f"Release {tag} of {config.name}", facts.state)
    keep_logs(layout, facts.logs)
    if changes := git.changes(layout.root):
        git.commit(layout.root, changes, f"Release {tag}\n\n{text}")
    _refuse(layout, list(_lacking(set(required_files(layout, config.missions)) - set(git.tracked(layout.root)))))
    git.create_tag(layout.root, tag, text)
    git.pack(layout.root)
    return Release(tag, git.commit_of(layout.root), text, facts.last)


def refusals(facts: Facts) -> Iterator[Refusal]:
    """Every reason not to make a release from these facts."""
    yield from _refuse_files(facts)
    yield from _refuse_stages(facts)
    yield from _refuse_rows(facts)
    if facts.remote and facts.remote.public:
        chosen = {name: mission.observations for name, mission in facts.state.missions.items()}
        if held := proprietary(chosen, facts.now):
            yield Refusal(
                "proprietary",
                f"not known to be public, while others may read {facts.remote.url}: {_some(held)}",
                "wait until they are public, or share through a private place (a directory or ssh)",
            )
    if facts.last and not facts.changed:
        yield Refusal("nothing-new", f"nothing has changed since {facts.last}", f"cite {facts.last}")


def _refuse_files(facts: Facts) -> Iterator[Refusal]:
    if foreign := [path for path in facts.changes if not _is_own(path)]:
        yield Refusal(
            "dirty", f"not in Git, or changed since the last commit: {_some(foreign)}", "commit or remove these files"
        )
    if not facts.pipeline_rendered:
        yield Refusal(
            "pipeline",
            "dvc.yaml is not what daxa renders from daxa.toml",
            "restore it: `git checkout dvc.yaml` (own pipelines belong in another repository)",
        )
    paths = sorted({*facts.tracked, *facts.changes})
    if pipelines := [path for path in paths if _acts(path)]:
        yield Refusal(
            "foreign-pipeline",
            f"DVC would act on files that are not daxa's: {_some(pipelines)}",
            "remove them from the repository",
        )


def _refuse_stages(facts: Facts) -> Iterator[Refusal]:
    if facts.stale:
        yield Refusal(
            "stale", f"stages are not up to date: {_some(facts.stale)}", "run `daxa run`, or in a clone `dvc pull`"
        )
    if facts.uncached:
        yield Refusal(
            "not-in-cache", f"DVC's cache lacks data of {_some(facts.uncached)}", "run `dvc pull`, or `dvc commit`"
        )
    if facts.logs.unreachable:
        yield Refusal("logs", "the logs of the last release are not here", f"run `dvc fetch {LOGS}`")


def _refuse_rows(facts: Facts) -> Iterator[Refusal]:
    for name, mission in facts.state.missions.items():
        if open_ones := [
            f"{problem.obs_id} at {problem.step}" for problem in unfinished(name, mission.observations, mission.ledgers)
        ]:
            yield Refusal("unfinished", f"{name} is not finished: {_some(open_ones)}", "run `daxa run`")
        allowed = facts.state.config.policy.max_failed_release
        for step, counts in summarise(name, mission).steps.items():
            if counts.failed + counts.skipped > allowed * len(mission.observations):
                rows = mission.ledgers[step].values()
                failed = [f"{row.obs_id} ({row.reason})" for row in rows if row.outcome != "done"]
                yield Refusal(
                    "failed",
                    f"failed at {step} of {name}: {_some(failed)}",
                    "read `daxa logs OBSID` and run `daxa run` again, or raise max_failed_release in daxa.toml",
                )


def _damage(problems: Collection[Problem]) -> Iterator[Refusal]:
    if problems:
        named = [f"{problem.path} ({problem.what})" for problem in problems]
        yield Refusal(
            "data",
            f"files are not those that the ledgers name: {_some(named)}",
            "run `daxa run`, which makes them again",
        )


def _lacking(paths: Collection[str]) -> Iterator[Refusal]:
    if paths:
        yield Refusal(
            "lacks-files",
            f"the commit would lack {_some(sorted(paths))}",
            f"find out what keeps them out with `git check-ignore -v {min(paths)}`, then `git add --force` them",
        )


def _gather(layout: Layout, config: ArchiveConfig) -> Facts:
    state, storage = read_state(layout), find_storage(layout.root)
    tags = release_tags(git.tags(layout.root))
    changes = [path for path in git.changes(layout.root) if path != LOGS]
    stale = [name for name in dvc.changed_stages(layout.root) if name != LOGS]
    last = tags[-1] if tags else ""
    return Facts(
        state=state,
        changes=tuple(changes),
        tracked=tuple(git.tracked(layout.root)),
        pipeline_rendered=_is_rendered(layout, config),
        stale=tuple(sorted(stale)),
        uncached=tuple(_uncached(layout, storage)),
        logs=plan_logs(layout, state, storage),
        remote=storage.remote,
        now=mjd_now(),
        last=last,
        changed=bool(changes) or not last or git.differs(layout.root, last, without=LOGS),
    )


def _uncached(layout: Layout, storage: Storage) -> Iterator[str]:
    """Outputs of which DVC's cache lacks an object; the logs come there with the release."""
    if not layout.lock.is_file():
        return
    for path, digest in shared_digests(layout.pipeline.read_bytes(), layout.lock.read_bytes(), None).items():
        listing = storage.cached(digest)
        whole = listing.is_file()
        if whole and digest.endswith(".dir"):
            whole = all(storage.cached(one).is_file() for one in set(listed_files(listing.read_bytes()).values()))
        if not whole:
            yield path


def _check_data(layout: Layout, state: State) -> list[Problem]:
    problems = check_places(layout, state.missions)
    for name, mission in state.missions.items():
        for step, rows in mission.ledgers.items():
            problems += check_files(layout, name, step, rows, absent_is_wrong=step != "fetch").problems
    return problems


def _is_rendered(layout: Layout, config: ArchiveConfig) -> bool:
    answers = [MissionAnswers(find_mission(mission), {}, ()) for mission in config.missions]
    rendered = render(config.name, answers)[layout.pipeline.name]
    return layout.pipeline.is_file() and layout.pipeline.read_bytes() == rendered.encode()


def _is_own(path: str) -> bool:
    return path in _OWN_FILES or path.startswith(_OWN_DIRECTORIES)


def _acts(path: str) -> bool:
    """Whether DVC takes the file for a pipeline that is not the archive's own."""
    name = PurePosixPath(path).name
    return (name in ("dvc.yaml", "dvc.lock") or name.endswith(".dvc")) and path not in _OWN_FILES


def _next_tag(layout: Layout, facts: Facts) -> str:
    if not facts.last:
        return FIRST
    with records_at(layout, git.commit_of(layout.root, facts.last)) as records:
        config = load_config(records)
        chosen = {mission: read_observations(records, mission).keys() for mission in config.missions}
    now = {name: mission.observations.keys() for name, mission in facts.state.missions.items()}
    return next_version(facts.last, Contents(config.format, chosen), Contents(facts.state.config.format, now))


def _title(message: str) -> str:
    """The message without control characters and outer blanks."""
    return re.sub(r"[^\S\n]|[\x00-\x09\x0b-\x1f\x7f-\x9f]", " ", message).strip()


def _some(names: Collection[str]) -> str:
    first = ", ".join(list(names)[:_NAMED])
    return first if len(names) <= _NAMED else f"{first} and {len(names) - _NAMED} more"


def _refuse(layout: Layout, reasons: list[Refusal]) -> None:
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
        remedy="".join(f"\n  {number}. {reason.remedy}" for number, reason in enumerate(reasons, 1)),
    )
