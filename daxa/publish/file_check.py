"""Compare the files of an archive with its ledgers: every byte, without following links; unknown files are problems."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import Field, asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from daxa.archive.layout import Layout
from daxa.run.task import LedgerRow, ProductFile

__all__ = [
    "FileCheck",
    "FileProblem",
    "HasProblems",
    "check_files",
    "check_places",
    "digest_directory",
    "file_names",
    "irregular_names",
    "kept_rows",
]

_THREADS = 2 * (os.cpu_count() or 1)
_AT_ONCE = 64
_KINDS = {"file": "unknown", "link": "link", "other": "unreadable"}


@dataclass(frozen=True)
class FileProblem:
    """Something that is not as the release says.

    Parameters
    ----------
    mission, step, obs_id
        Where it belongs, '' if it does not belong anywhere.
    path
        Relative to the archive.
    what
        ``absent``, ``differs``, ``unknown``, ``link`` (a symbolic one), ``unreadable``;
        of a ledger: ``unfinished``, ``not-selected``; of a file of Git: ``not-locked``
        (``dvc.lock`` records another one, or other values in it), ``contradicts`` (its rows
        were made with other parameters, instruments or software); of a directory that DVC keeps: ``listing``
        (its listing is damaged or leads elsewhere); of what could run: ``foreign``; of an
        object of a remote: ``remote-absent``, ``remote-differs``.
    detail
        Details, or ''.
    """

    mission: str
    step: str
    obs_id: str
    path: str
    what: str
    detail: str = ""

    def as_dict(self) -> dict[str, str]:
        """The record as plain values."""
        return asdict(self)


class HasProblems:
    """A frozen dataclass whose `problems` say what is wrong."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    problems: tuple[FileProblem, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def as_dict(self) -> dict[str, object]:
        """The record as plain values."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return plain | {"problems": [problem.as_dict() for problem in self.problems]}


@dataclass(frozen=True)
class FileCheck:
    """The result of comparing the files of one or more observations.

    Parameters
    ----------
    files, size
        The number of files compared, and their bytes.
    absent
        The number of files in the ledger that are absent.
    problems
        What is wrong, absent files included.
    """

    files: int = 0
    size: int = 0
    absent: int = 0
    problems: tuple[FileProblem, ...] = ()


def check_files(
    layout: Layout,
    mission: str,
    step: str,
    rows: Mapping[str, LedgerRow],
    *,
    absent_is_wrong: bool = True,
    digest: Callable[[Path], str] | None = None,
) -> FileCheck:
    """Compare what one stage made with its ledger.

    Parameters
    ----------
    layout
        The archive.
    mission, step, rows
        Which stage, and its ledger.
    absent_is_wrong
        False if files may be absent, since they can be fetched again.
    digest
        Returns the SHA-256 of a file; by default every file is read.

    Returns
    -------
    FileCheck
        For all observations, in the order of ObsIDs.
    """
    base = layout.products(mission, step)
    present, strange = _entries(base)
    problems = [_problem(layout, (mission, step, ""), base / name, what) for name, what in strange]
    known = {obs_id for obs_id, row in rows.items() if row.files}
    problems += [_problem(layout, (mission, step, name), base / name, "unknown") for name in sorted(present - known)]
    ordered = [rows[obs_id] for obs_id in sorted(known)]

    def check_some(begin: int) -> list[FileCheck]:
        some = ordered[begin : begin + _AT_ONCE]
        return [_check_row(layout, (mission, step), row, absent_is_wrong, digest or _sha256) for row in some]

    with ThreadPoolExecutor(_THREADS) as threads:
        checks = [check for part in threads.map(check_some, range(0, len(ordered), _AT_ONCE)) for check in part]
    return FileCheck(
        files=sum(check.files for check in checks),
        size=sum(check.size for check in checks),
        absent=sum(check.absent for check in checks),
        problems=(*problems, *(problem for check in checks for problem in check.problems)),
    )


def check_places(
    layout: Layout, missions: Collection[str], steps: Collection[str], kept: Collection[str] = ()
) -> list[FileProblem]:
    """What is in ``data/`` besides the directories of these missions and their steps, and kept files."""
    data = layout.products("mission", "step").parents[1]
    problems = []
    own = {mission: {*steps, *([layout.kept(mission).name] if mission in kept else [])} for mission in sorted(missions)}
    for directory, allowed in [(data, set(missions)), *((data / mission, names) for mission, names in own.items())]:
        present, strange = _entries(directory)
        problems += [_problem(layout, ("", "", ""), directory / name, what) for name, what in strange]
        problems += [_problem(layout, ("", "", ""), directory / name, "unknown") for name in sorted(present - allowed)]
    return problems


def kept_rows(
    ledgers: Mapping[str, Mapping[str, LedgerRow]], obs_ids: Collection[str], fetching: Collection[str]
) -> dict[str, LedgerRow]:
    """The rows in a mission's ledgers for the fetched files that the archive keeps, of these observations."""
    return {
        obs_id: row
        for step in fetching
        for obs_id, row in ledgers.get(step, {}).items()
        if obs_id in obs_ids and row.files
    }


def file_names(directory: Path) -> list[str]:
    """Relative paths of all regular files below a directory, sorted."""
    return sorted(path for path, kind in _walk(directory) if kind == "file")


def irregular_names(directory: Path) -> list[str]:
    """Relative paths of everything below a directory that is neither a regular file nor a directory, sorted."""
    return sorted(path for path, kind in _walk(directory) if kind != "file")


def digest_directory(directory: Path) -> dict[str, str]:
    """Relative path to MD5, for every regular file below a directory."""
    return {path: _digest(directory / path, "md5") for path in file_names(directory)}


def _check_row(
    layout: Layout, stage: tuple[str, str], row: LedgerRow, absent_is_wrong: bool, digest: Callable[[Path], str]
) -> FileCheck:
    directory = layout.products(*stage) / row.obs_id
    place = (*stage, row.obs_id)
    found = dict(_walk(directory))
    recorded = {file.path: file for file in row.files}
    problems, absent, size, files = [], 0, 0, 0
    for path, file in recorded.items():
        if path not in found and not _behind_link(path, found):
            absent += 1
            what = "absent" if absent_is_wrong else ""
        else:
            files, size = files + 1, size + file.size
            kind = found.get(path, "link")
            what = _compare(directory / path, file, digest) if kind == "file" else _KINDS[kind]
        if what:
            problems.append(_problem(layout, place, directory / path, what))
    stray = sorted(found.keys() - recorded.keys())
    problems += [_problem(layout, place, directory / path, _KINDS[found[path]]) for path in stray]
    return FileCheck(files, size, absent, tuple(problems))


def _compare(path: Path, file: ProductFile, digest: Callable[[Path], str]) -> str:
    """What is wrong with a regular file, or ''."""
    try:
        if path.lstat().st_size != file.size:
            return "differs"
        found = digest(path)
    except OSError:
        return "unreadable"
    return "" if found == file.sha256 else "differs" if found else "unreadable"


def _sha256(path: Path) -> str:
    return _digest(path, "sha256")


def _digest(path: Path, algorithm: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _behind_link(path: str, found: Mapping[str, str]) -> bool:
    """Whether the path of the file leads through a link."""
    parts = path.split("/")
    return any(found.get("/".join(parts[:depth])) == "link" for depth in range(1, len(parts)))


def _walk(top: Path) -> Iterator[tuple[str, str]]:
    """Relative path and kind (file, link, other) of everything below a directory; links are not followed."""
    waiting = [] if top.is_symlink() else [""]
    while waiting:
        below = waiting.pop()
        try:
            entries = list(os.scandir(top / below))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            yield below.rstrip("/") or ".", "other"
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(f"{below}{entry.name}/")
            elif entry.is_symlink():
                yield below + entry.name, "link"
            else:
                yield below + entry.name, "file" if entry.is_file(follow_symlinks=False) else "other"


def _entries(directory: Path) -> tuple[set[str], list[tuple[str, str]]]:
    """Names of the sub-directories, and name and kind of everything else."""
    if directory.is_symlink():
        return set(), [("", "link")]
    if not directory.is_dir():
        return set(), []
    with os.scandir(directory) as entries:
        kinds = {entry.name: (entry.is_dir(follow_symlinks=False), entry.is_symlink()) for entry in entries}
    strange = [(name, "link" if link else "unknown") for name, (is_dir, link) in sorted(kinds.items()) if not is_dir]
    return {name for name, (is_dir, _) in kinds.items() if is_dir}, strange


def _problem(layout: Layout, place: tuple[str, str, str], path: Path, what: str) -> FileProblem:
    return FileProblem(*place, layout.name_of(path), what)
