"""Verify that the data on disk are what a release, or the last commit, says they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from daxa.archive import git
from daxa.archive.config import load_config, steps_of
from daxa.archive.layout import Layout
from daxa.archive.trust import find_foreign
from daxa.errors import CriteriaError, DataError
from daxa.publish.file_check import FileProblem, HasProblems, check_files, check_places, kept_rows
from daxa.publish.lockcheck import compare_lock, compare_logs
from daxa.publish.remote import find_cache
from daxa.publish.state import read_observations, records_at
from daxa.publish.tracked import compare_tracked
from daxa.run.ledger import read_ledger
from daxa.run.task import LedgerRow

__all__ = ["Verification", "unfinished", "verify_archive"]


@dataclass(frozen=True)
class Verification(HasProblems):
    """What was compared, and what is wrong.

    Parameters
    ----------
    revision, commit
        What the data were compared with: a tag (or ``HEAD``) and its commit.
    missions, observations
        The numbers of its missions and chosen observations.
    files, size
        The number of files on disk compared byte for byte, and their bytes.
    absent_fetched
        Fetched files that are not here but can be fetched again.
    problems
        What is wrong; empty if everything is as the release says.
    """

    revision: str
    commit: str
    missions: int
    observations: int
    files: int
    size: int
    absent_fetched: int
    problems: tuple[FileProblem, ...]


def verify_archive(
    layout: Layout,
    tag: str = "",
    *,
    fetched: bool = False,
    present: bool = False,
    obs_ids: Collection[str] = (),
    observe: Callable[[int, int], None] = lambda ended, total: None,
) -> Verification:
    """Compare everything in a commit with what is on disk: every tracked file, every product.

    Every file is read and digested: sizes and times alone prove nothing.  The pipeline must be
    what daxa renders, and there may be nothing else that could run.

    Parameters
    ----------
    layout
        The archive.
    tag
        A release; the last commit by default, which the work tree must then equal.  The logs are
        compared only with a release, since every run rewrites them.
    fetched
        Count absent fetched files as a problem, although they can be fetched again.
    present
        Do not count absent data as a problem: only what is here must be right.
    obs_ids
        Only the data of these observations; all by default.  What Git tracks is compared in any case.
    observe
        Called with the number of stages compared so far, and their total.

    Returns
    -------
    Verification
        Problems are reported in it, not raised.

    Raises
    ------
    ArchiveError
        There is no archive here, or no such tag.
    CriteriaError
        An observation is not in that version.
    """
    commit = git.commit_of(layout.root, tag or "HEAD")
    storage = find_cache(layout.root)
    with records_at(layout, commit) as records:
        config = load_config(records)
        missions, steps = config.missions, {step.name: step for step in steps_of(config)}
        problems = [
            *compare_tracked(layout, commit),
            *(FileProblem("", "", "", item.path, "foreign", item.what) for item in find_foreign(layout, config)),
            *check_places(layout, missions, steps, config.storage.fetched),
        ]
        observations, every, known = 0, {}, set[str]()
        for mission in missions:
            chosen, every[mission], unreadable = _read(records, mission, steps)
            observations += len(chosen)
            known.update(chosen)
            problems += [*unreadable, *unfinished(mission, chosen, every[mission])]
        problems += compare_lock(layout, records, commit, every, storage, config=config)
        problems += compare_logs(layout, commit, storage) if tag else ()
    if unknown := sorted(set(obs_ids) - known):
        raise CriteriaError(
            "obs-id",
            f"{unknown[0][:100]!r} is not among the observations of {tag or 'the last commit'}",
            remedy="`daxa select --export ids.csv` lists the observations",
        )
    if obs_ids:
        every = {
            mission: {step: _only(rows, obs_ids) for step, rows in found.items()} for mission, found in every.items()
        }
    checks = []
    stages = [(mission, step, rows) for mission, ledgers in every.items() for step, rows in ledgers.items()]
    for mission, step, rows in stages:
        wrong = fetched or not steps[step].fetches
        checks.append((step, check_files(layout, mission, step, rows, absent_is_wrong=wrong)))
        observe(len(checks), len(stages))
    fetching = [name for name, step in steps.items() if step.fetches]
    kept = [
        check_files(layout, mission, layout.kept(mission).name, kept_rows(every[mission], own, fetching))
        for mission, own in config.storage.fetched.items()
    ]
    problems += (problem for check in (*(one for _, one in checks), *kept) for problem in check.problems)
    return Verification(
        revision=tag or "HEAD",
        commit=commit,
        missions=len(missions),
        observations=observations,
        files=sum(check.files for check in (*(one for _, one in checks), *kept)),
        size=sum(check.size for check in (*(one for _, one in checks), *kept)),
        absent_fetched=sum(check.absent for step, check in checks if steps[step].fetches),
        problems=tuple(one for one in dict.fromkeys(problems) if _counts(one, present=present, obs_ids=obs_ids)),
    )


def _only(rows: Mapping[str, LedgerRow], obs_ids: Collection[str]) -> dict[str, LedgerRow]:
    return {obs_id: row for obs_id, row in rows.items() if obs_id in obs_ids}


def _counts(problem: FileProblem, *, present: bool, obs_ids: Collection[str]) -> bool:
    """Whether a problem concerns what was requested."""
    if obs_ids and problem.obs_id and problem.obs_id not in obs_ids:
        return False
    if obs_ids and not problem.obs_id and problem.path.startswith(("logs/", "report")):
        return False
    return not (present and problem.what == "absent" and problem.path.startswith(("data/", "logs/", "report")))


def unfinished(
    mission: str, chosen: Collection[str], ledgers: Mapping[str, Mapping[str, LedgerRow]]
) -> Iterator[FileProblem]:
    """Where the ledgers of a mission do not match its chosen observations.

    Examples
    --------
    >>> rows = {"0201901401": LedgerRow("0201901401", "failed", "data.no-events")}
    >>> [(found.obs_id, found.what) for found in unfinished("xmm", ["0404910601"], {"clean": rows})]
    [('0404910601', 'unfinished'), ('0201901401', 'not-selected')]
    """
    for step, rows in ledgers.items():
        path = f"ledger/{mission}-{step}.parquet"
        for obs_id in sorted(set(chosen) - rows.keys()):
            yield FileProblem(mission, step, obs_id, path, "unfinished")
        for obs_id in sorted(rows.keys() - set(chosen)):
            yield FileProblem(mission, step, obs_id, path, "not-selected")


def _read(
    records: Layout, mission: str, steps: Collection[str]
) -> tuple[Collection[str], dict[str, dict[str, LedgerRow]], list[FileProblem]]:
    """The chosen ObsIDs and the ledgers, as far as they can be read."""
    problems, ledgers = [], {}
    for step in steps:
        try:
            ledgers[step] = read_ledger(records.ledger(mission, step))
        except DataError:
            problems.append(
                FileProblem(mission, step, "", records.name_of(records.ledger(mission, step)), "unreadable")
            )
    try:
        return read_observations(records, mission), ledgers, problems
    except DataError:
        problems.append(FileProblem(mission, "", "", records.name_of(records.selection(mission)), "unreadable"))
    return set().union(*ledgers.values()), ledgers, problems
