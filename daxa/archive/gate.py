"""The gate before every verb and every stage: no file of daxa's own leads out of the archive, or came with it.

An archive may be a clone of somebody else's.  A link, a device or a pipe where daxa reads,
writes or clears would lead it elsewhere; state that Git tracks was written by somebody else.
Directories of single observations are not walked here: the code that does follows no link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from daxa.archive import git
from daxa.archive.committing import finish_commit, refuse_unfinished
from daxa.archive.config import ArchiveConfig, load_config, steps_of
from daxa.archive.layout import Layout
from daxa.archive.trust import refuse_foreign
from daxa.errors import StorageError, UntrustedArchive
from daxa.naming import some

__all__ = ["check_archive", "check_objects", "check_plain", "check_products", "enter_archive"]

_FILES = (
    "daxa.toml",
    "software.toml",
    "dvc.yaml",
    "dvc.lock",
    "metrics.json",
    "environment.json",
    "CHANGES.md",
    "README.md",
    "LICENSE",
    "CITATION.cff",
    ".zenodo.json",
    "codemeta.json",
    "ro-crate-metadata.json",
    "prov.json",
    ".gitattributes",
    ".gitignore",
    ".dvcignore",
    ".dvc.lock.part",
    "metrics.json.part",
    "logs.dvc",
)
_DIRECTORIES = ("data", "logs", "report")
_CACHE = (".dvc/cache", ".dvc/cache/files", ".dvc/cache/files/md5")
_WALKED = ("params", "selection", "ledger", "upstream", "report", ".dvc", ".dvc/tmp", *_CACHE)
"""Directories whose every entry must be a plain file or directory."""

_UNTRACKED = (
    ".daxa",
    ".dvc/cache",
    ".dvc/config.local",
    ".dvc/plots",
    ".dvc/tmp",
    ".dvc.lock.part",
    "data",
    "dvc_plots",
    "logs",
    "metrics.json.part",
    "report",
)
"""What only this machine's programs write: in Git it came from another one."""

_NAMED = 3


def check_archive(layout: Layout, *, acting: bool = False) -> None:
    """Refuse an archive whose files could lead daxa out of it, or mislead it about what it did itself.

    Parameters
    ----------
    layout
        The archive.
    acting
        True before daxa writes, commits, connects or runs DVC for it.

    Raises
    ------
    UntrustedArchive
        Something in the archive could do harm; it is named.
    ArchiveError
        The directory is not an archive, or a change of its selection was interrupted; or, `acting`, it is not a Git
        repository, or not what daxa would write (`daxa.archive.trust.refuse_foreign`).
    ConfigError
        ``daxa.toml`` cannot be used.
    StorageError
        `acting`, and the Git directory or the data are on another disk.
    """
    _check_fixed(layout, acting=acting)
    if layout.is_repository:
        refuse_unfinished(layout)
    config = _check_missions(layout, acting=acting)
    if acting:
        refuse_foreign(layout, config)


def enter_archive(layout: Layout, *, upgrades: bool = False) -> None:
    """Pass the gate to act, and finish a change of the selection that was interrupted.

    Parameters
    ----------
    layout
        The archive.
    upgrades
        True for what replaces a pipeline that an earlier daxa wrote.

    Raises
    ------
    UntrustedArchive, ArchiveError, ConfigError, StorageError
        As `check_archive` and `daxa.archive.committing.finish_commit`.
    """
    _check_fixed(layout, acting=True)
    _check_missions(layout, acting=True)
    # Between the old files and the new the pipeline may not be that of the configuration.
    finish_commit(layout)
    refuse_foreign(layout, load_config(layout), upgrades=upgrades)


def check_objects(layout: Layout) -> None:
    """Refuse a cache of DVC's in which a link, pipe or device replaces an object: DVC would open it.

    Raises
    ------
    UntrustedArchive
        There is one.
    """
    base = layout.root / _CACHE[-1]
    for first in os.scandir(base) if base.is_dir() else ():
        for entry in os.scandir(first.path) if first.is_dir(follow_symlinks=False) else ():
            if not entry.is_file(follow_symlinks=False):
                check_plain(Path(entry.path), "a file")


def check_products(layout: Layout) -> None:
    """Refuse devices, pipes and sockets among the products and logs: DVC would open them, and wait for ever.

    Raises
    ------
    UntrustedArchive
        There is one.
    """
    waiting = [str(layout.root / "data"), str(layout.logs), str(layout.report)]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif not entry.is_file(follow_symlinks=False) and not entry.is_symlink():
                check_plain(Path(entry.path), "a file")


def _check_fixed(layout: Layout, *, acting: bool) -> None:
    """What every archive has, and what Git tracks."""
    if acting or layout.is_repository:
        check_plain(layout.private.parent, "a directory")
    for path in _inspected(layout):
        _check_entries(path)
    for name in _FILES:
        check_plain(layout.root / name, "a file")
    for name in _DIRECTORIES:
        check_plain(layout.root / name, "a directory")
    if acting or layout.is_repository:
        _refuse_tracked(layout)


def _check_missions(layout: Layout, *, acting: bool) -> ArchiveConfig:
    """What the missions of this archive have, and give its configuration."""
    config = load_config(layout)
    written = list(_written(layout, config))
    for path in written:
        check_plain(path, "a directory")
    if acting:
        _check_disk(layout, written)
    return config


def _inspected(layout: Layout) -> Iterator[Path]:
    yield from (layout.root / name for name in _WALKED)
    if layout.is_repository:
        private = layout.private
        yield private
        # Below lie a file or directory per stage or mission, and only further down one per observation.
        yield from (private / name for name in _names(private) if (private / name).is_dir())


def _written(layout: Layout, config: ArchiveConfig) -> Iterator[Path]:
    """The directories that stages write into and clear."""
    yield from (layout.kept(mission) for mission in config.storage.fetched)
    for mission in config.missions:
        for step in steps_of(config):
            products, logs = layout.products(mission, step.name), layout.log(mission, step.name, "-").parent
            yield from (products.parent, products, logs.parent, logs)
            if step.fetches:
                yield products / "_shared"


def _check_entries(directory: Path) -> None:
    check_plain(directory, "a directory")
    for name in _names(directory):
        check_plain(directory / name, "a file or directory")


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 - only the names are needed
    except (FileNotFoundError, NotADirectoryError):
        return []


def check_plain(path: Path, expected: str) -> None:
    """Check that what is there, if anything, is plain and of the expected kind.

    Parameters
    ----------
    path
        What is looked at; it is not followed.
    expected
        ``a file``, ``a directory`` or ``a file or directory``.

    Raises
    ------
    UntrustedArchive
        It is a link, a device, or of another kind.
    """
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if (stat.S_ISREG(mode) and "file" in expected) or (stat.S_ISDIR(mode) and "directory" in expected):
        return
    raise UntrustedArchive(
        "not-plain", f"{path} is {_kind(mode)}, where {expected} must be", remedy=_escape_route(path, mode)
    )


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISLNK, "a link"), (stat.S_ISREG, "a file"), (stat.S_ISDIR, "a directory"))
    return next((name for test, name in kinds if test(mode)), "a device, pipe or socket")


def _escape_route(path: Path, mode: int) -> str:
    if not stat.S_ISLNK(mode):
        return f"look at it, and move it out of the archive: `mv {path} ..`"
    if ".dvc" in path.parts and "cache" in path.parts:
        return f"remove the link (`rm {path}`), and name the place to DVC: `dvc cache dir --local DIRECTORY`"
    return (
        f"remove the link (`rm {path}`; what it leads to stays), and put what you trust in its place; "
        "a whole archive may be on another disk"
    )


def _refuse_tracked(layout: Layout) -> None:
    if found := git.tracked_below(layout.root, _UNTRACKED):
        named = [ascii(path)[1:-1] for path in found]
        raise UntrustedArchive(
            "tracked-state",
            f"{layout.root} tracks in Git what only programs on this machine may write: {some(named, _NAMED)}",
            remedy=f"clone the archive again from a source that you trust; if it is yours, remove them from Git: "
            f"`git rm -r --cached -- {' '.join(sorted({_top(path) for path in found}))}`",
        )


def _top(path: str) -> str:
    """The part of a tracked path that we name, as Git gives it."""
    return path[: max(len(name) for name in _UNTRACKED if f"{path.lower()}/".startswith(f"{name}/"))]


def _check_disk(layout: Layout, written: Iterable[Path]) -> None:
    """Products are made in the Git directory and renamed into the archive, which needs one disk for both."""
    disk = layout.root.stat().st_dev
    places = [layout.root, layout.private.parent, layout.private, *written]
    for path in places:
        if path.exists() and path.stat().st_dev != disk:
            raise StorageError(
                "other-disk",
                f"{path} is on another disk than {layout.root}",
                remedy=_one_disk(layout, path),
            )


def _one_disk(layout: Layout, path: Path) -> str:
    if path.is_relative_to(layout.root):
        return "keep the whole archive on one disk: move it there, and reach it through a link if need be"
    return f"clone the archive there in place of a linked work tree: `git clone {layout.private.parent} NEW`"
