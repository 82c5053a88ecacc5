"""Prove that the data on disk are what a release, or the last commit, says they are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path

from daxa.archive import git
from daxa.archive.config import load_config
from daxa.archive.layout import STEPS, Layout
from daxa.errors import DataError
from daxa.publish.files import Problem, check_files, check_places, digest_directory
from daxa.publish.outputs import directory_digest, lock_digests
from daxa.publish.state import read_observations, records_at
from daxa.run.ledger import read_ledger
from daxa.run.task import LedgerRow

__all__ = ["Verification", "unfinished", "verify_archive"]


@dataclass(frozen=True)
class Verification:
    """What was compared, and what is wrong.

    Parameters
    ----------
    revision, commit
        What the data were compared with: a tag (or ``HEAD``) and its commit.
    missions, observations
        How many missions and chosen observations it holds.
    files, size
        How many files on disk were compared byte for byte, and their bytes.
    absent_fetched
        Fetched files that are not here but can be fetched again.
    problems
        What is wrong; empty when everything is as the release says.
    """

    revision: str
    commit: str
    missions: int
    observations: int
    files: int
    size: int
    absent_fetched: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def as_dict(self) -> dict[str, object]:
        """The record as plain values."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return plain | {"problems": [problem.as_dict() for problem in self.problems]}


def verify_archive(layout: Layout, tag: str = "", *, fetched: bool = False) -> Verification:
    """Compare selection, ledgers and every file with a commit.

    Every file is read and digested: sizes and times alone prove nothing.

    Parameters
    ----------
    layout
        The archive.
    tag
        A release; the last commit by default, which the work tree must then equal.
    fetched
        Take absent fetched files for a problem, though they can be fetched again.

    Returns
    -------
    Verification
        Problems are its content, not exceptions.

    Raises
    ------
    ArchiveError
        There is no archive here, or no such tag.
    """
    commit = git.commit_of(layout.root, tag or "HEAD")
    with records_at(layout, commit) as records:
        missions = load_config(records).missions
        problems = [
            *_compare_records(layout, records),
            *_compare_lock(layout, records, commit),
            *check_places(layout, missions),
        ]
        observations, checks = 0, []
        for mission in missions:
            chosen, ledgers, unreadable = _read(records, mission)
            observations += len(chosen)
            problems += [*unreadable, *unfinished(mission, chosen, ledgers)]
            for step, rows in ledgers.items():
                wrong = fetched or step != "fetch"
                checks.append((step, check_files(layout, mission, step, rows, absent_is_wrong=wrong)))
    return Verification(
        revision=tag or "HEAD",
        commit=commit,
        missions=len(missions),
        observations=observations,
        files=sum(check.files for _, check in checks),
        size=sum(check.size for _, check in checks),
        absent_fetched=sum(check.absent for step, check in checks if step == "fetch"),
        problems=(*problems, *(problem for _, check in checks for problem in check.problems)),
    )


def unfinished(
    mission: str, chosen: Collection[str], ledgers: Mapping[str, Mapping[str, LedgerRow]]
) -> Iterator[Problem]:
    """Where the ledgers of a mission do not speak of exactly the chosen observations.

    Examples
    --------
    >>> rows = {"0201901401": LedgerRow("0201901401", "failed", "data.no-events")}
    >>> [(found.obs_id, found.what) for found in unfinished("xmm", ["0404910601"], {"clean": rows})]
    [('0404910601', 'unfinished'), ('0201901401', 'not-selected')]
    """
    for step, rows in ledgers.items():
        path = f"ledger/{mission}-{step}.parquet"
        for obs_id in sorted(set(chosen) - rows.keys()):
            yield Problem(mission, step, obs_id, path, "unfinished")
        for obs_id in sorted(rows.keys() - set(chosen)):
            yield Problem(mission, step, obs_id, path, "not-selected")


def _read(records: Layout, mission: str) -> tuple[Collection[str], dict[str, dict[str, LedgerRow]], list[Problem]]:
    """The chosen ObsIDs and the ledgers, as far as they can be read."""
    problems, ledgers = [], {}
    for step in STEPS:
        try:
            ledgers[step] = read_ledger(records.ledger(mission, step))
        except DataError:
            problems.append(Problem(mission, step, "", _relative(records, records.ledger(mission, step)), "unreadable"))
    try:
        return read_observations(records, mission), ledgers, problems
    except DataError:
        problems.append(Problem(mission, "", "", _relative(records, records.selection(mission)), "unreadable"))
    return set().union(*ledgers.values()), ledgers, problems


def _compare_records(layout: Layout, records: Layout) -> Iterator[Problem]:
    """Where the small files on disk are not those of the commit."""
    wanted = {_relative(records, path) for path in records.root.rglob("*") if path.is_file()}
    for path in sorted(wanted):
        here = layout.root / path
        if here.is_symlink():
            yield Problem("", "", "", path, "link")
        elif not here.is_file():
            yield Problem("", "", "", path, "absent")
        elif here.read_bytes() != (records.root / path).read_bytes():
            yield Problem("", "", "", path, "differs")
    for directory in (layout.selection("any").parent, layout.ledger("any", "any").parent):
        for path in sorted(directory.iterdir()) if directory.is_dir() else ():
            if _relative(layout, path) not in wanted:
                yield Problem("", "", "", _relative(layout, path), "unknown")


def _compare_lock(layout: Layout, records: Layout, commit: str) -> Iterator[Problem]:
    """Where ``dvc.lock`` does not speak of the commit's own selection, ledgers, metrics and report."""
    try:
        lock = records.lock.read_bytes() if records.lock.is_file() else b""
        outs, deps = lock_digests(lock), lock_digests(lock, "deps")
    except DataError:
        yield Problem("", "", "", layout.lock.name, "unreadable")
        return
    for path in sorted(records.root.glob("*/*.parquet")):
        name = _relative(records, path)
        locked = deps if path.parent == records.selection("any").parent else outs
        if locked.get(name) != _md5(path.read_bytes()):
            yield Problem("", "", "", name, "not-locked")
    metrics, report = _relative(layout, layout.metrics), _relative(layout, layout.report)
    if metrics in outs and _md5(git.read_file(layout.root, commit, metrics) or b"") != outs[metrics]:
        yield Problem("", "", "", metrics, "not-locked")
    if report in outs and directory_digest(digest_directory(layout.report)) != outs[report]:
        yield Problem("", "", "", report, "differs" if layout.report.is_dir() else "absent")


def _md5(content: bytes) -> str:
    """The digest that DVC uses."""
    return md5(content, usedforsecurity=False).hexdigest()


def _relative(layout: Layout, path: Path) -> str:
    return path.relative_to(layout.root).as_posix()
