"""Put several tracked files of an archive in place together, and commit them.

The new files are written aside, checked, and on the disk.  One rename of their directory
decides: before it nothing has happened, after it they will take their places, if need be after
a kill when the next verb that acts begins.  Until then no stage begins.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from daxa.archive import dvc, git
from daxa.archive.config import load_config, steps_of
from daxa.archive.layout import Layout
from daxa.errors import ArchiveError, DataError, StorageError
from daxa.files import holding_lock, open_plain, parse_json, read_plain, sync
from daxa.naming import some
from daxa.run.delivery import remove_products
from daxa.run.ledger import read_ledger

__all__ = ["commit_changes", "finish_commit", "refuse_uncommitted", "refuse_unfinished", "stages_excluded"]

_NOTE = "note.json"
_OURS = re.compile(
    r"daxa\.toml|software\.toml|dvc\.yaml|README\.md|LICENSE|CITATION\.cff|\.zenodo\.json"
    r"|\.git(?:ignore|attributes)|\.dvcignore|\.dvc/\.gitignore|\.github/workflows/verify\.yml"
    r"|dvc\.lock|params/[\w-]+\.toml|(selection|upstream|ledger)/[\w-]+\.parquet",
    re.ASCII,
)
_NAME = re.compile(r"[a-z][\w-]{0,63}", re.ASCII)
_DIGEST = re.compile(r"(?:[0-9a-f]{64})?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LARGEST = 1 << 30
_WAIT = 10.0
_NAMED = 20


@dataclass(frozen=True)
class _Note:
    """What is about to happen: the commit's message, of each file the digests of the old and the new content
    ('' for none), the missions that go, each with the steps that have products of it, and the commit that is merged.
    """

    message: str
    files: Mapping[str, tuple[str, str]]
    dropped: Mapping[str, Sequence[str]] = field(default_factory=dict)
    merged: str = ""


def refuse_uncommitted(
    layout: Layout, is_ours: Callable[[str], bool] = lambda path: True, *, instead: str = ""
) -> None:
    """Refuse to commit, or to overwrite, what a person changed.

    Parameters
    ----------
    layout
        The archive.
    is_ours
        Whether it concerns a changed path; by default, all do.
    instead
        Another way out, for the remedy.

    Raises
    ------
    ArchiveError
        One of them has uncommitted changes.
    """
    changed = [path for path in git.changes(layout.root) if is_ours(path)]
    if changed:
        raise ArchiveError(
            "uncommitted",
            f"{layout.root} has uncommitted changes in {some(changed, _NAMED)}",
            remedy=f"commit them (`git commit -- {changed[0]}`), or undo them (`git checkout -- {changed[0]}`)"
            f"{instead and ', or '}{instead}",
        )


def commit_changes(
    layout: Layout,
    message: str,
    write: Callable[[Layout], None],
    *,
    dropped: Mapping[str, Sequence[str]] = MappingProxyType({}),
    removed: Collection[str] = (),
    merged: str = "",
) -> str:
    """Replace files of the archive together, and commit just these.

    Parameters
    ----------
    layout
        The archive.
    message
        Of the commit.
    write
        Writes the new files below another root, each at its place in an archive.
    dropped
        Missions that go, each with the steps of which there may be ledgers: their files are removed.
    removed
        Paths of other files that go.
    merged
        Digest of the commit that is merged: any file may then be among those that are written.

    Returns
    -------
    str
        Digest of the commit, '' when nothing differs from the last one.

    Raises
    ------
    ArchiveError
        A stage or DVC is at work, or a file was changed in the meantime.
    StorageError
        The files cannot be written.
    """
    with _writing(layout), _alone(layout):
        _finish(layout)
        part = layout.accepted.with_name(f"{layout.accepted.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        write(Layout(part))
        _prepare(layout, part, _Note(message, {}, dropped, merged), removed)
        part.rename(layout.accepted)
        sync(layout.private)
        try:
            return _finish(layout)
        except ArchiveError:
            if not _begun(layout):
                layout.accepted.rename(part)
                shutil.rmtree(part, ignore_errors=True)
            raise


def finish_commit(layout: Layout) -> None:
    """Finish what a kill interrupted; does nothing otherwise.

    Raises
    ------
    ArchiveError
        A stage or DVC is at work, or one of the files was changed since.
    StorageError
        The files cannot be written.
    """
    if os.path.lexists(layout.accepted):
        with _writing(layout), _alone(layout):
            _finish(layout)


def refuse_unfinished(layout: Layout) -> None:
    """Let no stage begin between the old files and the new.

    Raises
    ------
    ArchiveError
        Accepted files have not all taken their places.
    """
    if os.path.lexists(layout.accepted) and _read_note(layout) is not None:
        raise ArchiveError(
            "unfinished",
            f"a change of the files in {layout.root} was not finished",
            remedy="run `daxa run`, which finishes it first, then processes what is new",
        )


def _prepare(layout: Layout, part: Path, note: _Note, removed: Collection[str]) -> None:
    """Say beside the new files what they replace, and see that all are on disk."""
    files = sorted(path for path in part.rglob("*") if path.is_file())
    names = [path.relative_to(part).as_posix() for path in files]
    gone = [layout.name_of(path) for path in _files_of(layout, note.dropped) if path.is_file()]
    gone += [name for name in removed if (layout.root / name).is_file() and name not in gone]
    digests = {name: [_digest(layout.root / name), _digest(part / name)] for name in [*names, *gone]}
    content = {"message": note.message, "files": digests} | ({"dropped": note.dropped} if note.dropped else {})
    content |= {"merged": note.merged} if note.merged else {}
    # In ASCII: a name may hold bytes that are not UTF-8.
    (part / _NOTE).write_text(json.dumps(content, sort_keys=True), encoding="ascii")
    for path in sorted(part.rglob("*")):
        sync(path)
    sync(part)


def _files_of(layout: Layout, dropped: Mapping[str, Sequence[str]]) -> Iterator[Path]:
    """The tracked files of missions alone."""
    for mission, steps in dropped.items():
        yield from (layout.params(mission), layout.selection(mission), layout.upstream(mission))
        yield from (layout.ledger(mission, step) for step in steps)


def _remove_data(layout: Layout, mission: str, steps: Sequence[str]) -> None:
    """Remove what the ledgers of a mission name, and nothing else; the ledgers go afterwards."""
    for step in steps:
        places = layout.places(mission, step)
        for obs_id, row in read_ledger(places.ledger).items():
            remove_products(places.products / obs_id, places.scratch, row)
            (places.logs / f"{obs_id}.log").unlink(missing_ok=True)
        for leftover in (places.journal, places.hashes, places.lookup, layout.costs(mission, step)):
            leftover.unlink(missing_ok=True)
        for directory in (places.products, places.logs):
            _remove_empty(directory)
    kept = layout.kept(mission)
    for directory in list(kept.iterdir()) if kept.is_dir() and not kept.is_symlink() else ():
        remove_products(directory, layout.places(mission, kept.name).scratch, None)
    for directory in (kept, kept.parent, layout.logs / mission):
        _remove_empty(directory)


def _remove_empty(directory: Path) -> None:
    """Remove a directory if it is empty; anything in it was not made by daxa, and stays."""
    with suppress(OSError):
        directory.rmdir()


def _finish(layout: Layout) -> str:
    if not os.path.lexists(layout.accepted):
        return ""
    note = _read_note(layout)
    if note is None:
        _set_aside(layout)
        return ""
    with stages_excluded(layout):
        for name, (before, after) in note.files.items():
            if _digest(layout.root / name) not in (before, after):
                raise ArchiveError(
                    "changed-meanwhile",
                    f"{layout.root / name} was changed while daxa was about to replace it",
                    remedy=f"try again; if that does not help, restore it with `git checkout -- {name}`",
                )
        for mission, steps in note.dropped.items():
            _remove_data(layout, mission, steps)
        for name, (_, after) in note.files.items():
            target = layout.root / name
            if not after:
                target.unlink(missing_ok=True)
            elif _digest(target) != after:
                target.parent.mkdir(parents=True, exist_ok=True)
                (layout.accepted / name).replace(target)
        for directory in {(layout.root / name).parent for name in note.files}:
            if directory.is_dir():
                sync(directory)
        if note.merged:
            commit = git.commit_merge(layout.root, list(note.files), note.message, note.merged)
        else:
            commit = git.commit(layout.root, list(note.files), note.message)
    done = layout.accepted.with_name(f"{layout.accepted.name}.part")
    shutil.rmtree(done, ignore_errors=True)
    layout.accepted.rename(done)
    shutil.rmtree(done, ignore_errors=True)
    return commit


def _read_note(layout: Layout) -> _Note | None:
    """What was accepted, if it can still be done; None when the note or a file is not whole."""
    path = layout.accepted / _NOTE
    try:
        content = parse_json(read_plain(path), path)
        files = {str(name): (str(before), str(after)) for name, (before, after) in content["files"].items()}
        message, merged = content["message"], str(content.get("merged", ""))
        dropped = {str(mission): tuple(map(str, steps)) for mission, steps in content.get("dropped", {}).items()}
    except (OSError, DataError, KeyError, TypeError, ValueError, AttributeError):
        return None
    plain = _is_plain if _COMMIT.fullmatch(merged) else _OURS.fullmatch
    known = all(plain(name) and all(map(_DIGEST.fullmatch, pair)) for name, pair in files.items())
    known = known and all(map(_NAME.fullmatch, [*dropped, *(step for steps in dropped.values() for step in steps)]))
    if not (files or merged) or not known or not isinstance(message, str):
        return None
    there = all(
        after in (_digest(layout.accepted / name), _digest(layout.root / name)) for name, (_, after) in files.items()
    )
    return _Note(message, files, dropped, merged) if there else None


def _is_plain(name: str) -> bool:
    """Whether a path leads to a file of the work tree, and not into Git's or DVC's own directories."""
    parts = name.split("/")
    inside = all(part not in ("", ".", "..") and part.casefold() != ".git" for part in parts) and "\0" not in name
    return inside and not name.startswith((".dvc/tmp/", ".dvc/cache/", ".dvc/config.local"))


def _set_aside(layout: Layout) -> None:
    """Take what cannot be finished out of the way; a file that has already taken its place differs from Git's."""
    aside = layout.accepted.with_name(f"{layout.accepted.name}.damaged")
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside, ignore_errors=True)
    layout.accepted.rename(aside)


def _begun(layout: Layout) -> bool:
    """Whether a file has taken its place already."""
    note = _read_note(layout)
    return note is not None and any(
        not (layout.accepted / name).exists() if after else not (layout.root / name).exists()
        for name, (_, after) in note.files.items()
    )


@contextmanager
def _writing(layout: Layout) -> Iterator[None]:
    """Report what the disk or its permissions refuse as an archive that cannot be written."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            "unwritable",
            f"{layout.root} cannot be written: {(error.strerror or str(error)).lower()}",
            remedy="check its permissions and owner, and the space on its disk; or work in a clone of your own",
        ) from None


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    busy = ArchiveError("busy", f"another selection is being written in {layout.root}", remedy="wait, then try again")
    with holding_lock(layout.private / "lock" / "accept", _WAIT, busy):
        yield


@contextmanager
def stages_excluded(layout: Layout) -> Iterator[None]:
    """Hold DVC's lock and that of every stage; a stage that begins later finds `layout.accepted`."""
    with ExitStack() as held:
        held.enter_context(dvc.excluded(layout.root))
        config = load_config(layout)
        for mission in config.missions:
            for step in (step.name for step in steps_of(config)):
                busy = ArchiveError(
                    "busy",
                    f"the stage {step} of {mission} is running in {layout.root}",
                    remedy="wait until it has ended, or stop it: what is finished is kept",
                )
                held.enter_context(holding_lock(layout.places(mission, step).lock, 0, busy))
        yield


def _digest(path: Path) -> str:
    """SHA-256 of a regular file, '' where there is none."""
    try:
        with open_plain(path, limit=_LARGEST) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return ""
