"""Whether an archive holds anything that daxa did not write and that could act: run a program, or lead elsewhere.

DVC runs what any ``dvc.yaml`` or ``*.dvc`` in the tree says, and follows its configuration;
Git follows attributes and submodules.  An archive may come from a stranger.  Therefore the
pipeline must be exactly what daxa renders from ``daxa.toml``, and all else that could act must
be absent, or of a form that is known to be harmless.  Comparison only: nothing is started but Git.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from daxa.archive import git
from daxa.archive.config import TEMPLATE, ArchiveConfig, load_config, steps_of
from daxa.archive.dvcconfig import check_settings
from daxa.archive.layout import Layout
from daxa.archive.template import render_fixed, render_pipeline
from daxa.errors import ArchiveError, DataError
from daxa.files import read_plain, replace_file
from daxa.settings import load_settings

__all__ = [
    "ForeignItem",
    "accept_services",
    "find_foreign",
    "foreign_services",
    "harmful_attributes",
    "refuse_foreign",
    "rendered_pipeline",
]

_MOST_BYTES = 4_000_000
"""No file that is read here is larger in an archive that daxa made."""

_LOGS = re.compile(rb"outs:\n- md5: [0-9a-f]{32}\.dir\n(?:  (?:size|nfiles): \d+\n|  hash: md5\n|  path: logs\n)+")
"""What DVC writes into ``logs.dvc``: one directory out, no command, no source elsewhere."""

_HARMLESS_ATTRIBUTE = re.compile(
    r"[-!][\w-]+|text|binary|diff|merge|export-ignore|linguist-[a-z-]+|text=auto|eol=(?:lf|crlf)"
    r"|merge=(?:binary|text|union|ours)|linguist-[a-z-]+=[\w.+-]+|whitespace=[\w,=-]+|diff=(?:python|markdown|bibtex|html|daxa-table)"
)
_IGNORED_PLACE = re.compile(r"/([\w.][\w.-]*)/?")
_OWN_OF_DVC = ("config", "config.local", ".gitignore", "tmp", "cache")
_NAMED = 5


@dataclass(frozen=True)
class ForeignItem:
    """Something in an archive that daxa did not write, and that could act.

    Parameters
    ----------
    path
        Relative to the archive.
    what
        What is wrong with it, as the end of a sentence that begins with the path.
    remedy
        What to do about it.
    """

    path: str
    what: str
    remedy: str


def refuse_foreign(layout: Layout, config: ArchiveConfig, *, connects: bool = True, upgrades: bool = False) -> None:
    """Refuse an archive in which anything that daxa did not write could act.

    Parameters
    ----------
    layout, config
        The archive.
    connects
        False for what queries no archive service: foreign addresses in ``[services]`` then do not matter.
    upgrades
        True for what replaces a pipeline that an earlier daxa wrote.

    Raises
    ------
    ArchiveError
        Something could; all of it is named.
    """
    found = [*find_foreign(layout, config, upgrades=upgrades), *(foreign_services(layout, config) if connects else ())]
    if not found:
        return
    named = [f"{item.path} {item.what}" for item in found[:_NAMED]]
    if len(found) > _NAMED:
        named.append(f"and {len(found) - _NAMED} more; `daxa verify` lists them")
    remedies = list(dict.fromkeys(item.remedy for item in found[:_NAMED]))
    raise ArchiveError(
        "foreign",
        f"{layout.root} contains files that daxa did not write and that could run something: {'; '.join(named)}",
        remedy="; ".join(remedies),
    )


def find_foreign(layout: Layout, config: ArchiveConfig, *, upgrades: bool = False) -> tuple[ForeignItem, ...]:
    """Everything in an archive that is not daxa's own and that could act, sorted by path.

    Parameters
    ----------
    layout, config
        The archive.
    upgrades
        As of `refuse_foreign`.

    Returns
    -------
    tuple of ForeignItem
        Empty for an archive that may be worked on.
    """
    tracked = git.index_entries(layout.root)
    found = [
        *_check_pipeline(layout, config, upgrades=upgrades),
        *_check_logs(layout),
        *_check_dvc(layout, tracked),
        *_check_ignored(layout),
        *_check_tracked(tracked),
        *_check_tree(layout, {PurePosixPath(path).parent.as_posix() for path, _ in tracked} | {"."}),
    ]
    if git.borrows_objects(layout.root):
        found.append(
            ForeignItem(
                ".git",
                "borrows commits from another repository (objects/info/alternates)",
                "`git repack -a -d`, then remove .git/objects/info/alternates",
            )
        )
    return tuple(sorted(dict.fromkeys(found), key=lambda item: item.path))


def rendered_pipeline(config: ArchiveConfig, template: int = TEMPLATE) -> bytes:
    """The ``dvc.yaml`` that daxa writes, or wrote, for an archive with these missions and steps."""
    text = render_pipeline(list(config.missions), steps_of(config), config.storage.fetched, template=template)
    return text.encode()


def foreign_services(layout: Layout, config: ArchiveConfig) -> tuple[ForeignItem, ...]:
    """Addresses in ``daxa.toml`` that replace the user's own, and that the user has not accepted."""
    if not config.services:
        return ()
    own, theirs = load_settings(), load_settings(config.services)
    accepted = _accepted(layout)
    return tuple(
        ForeignItem(
            layout.config.name,
            f"leads to another service: {name} = {address}",
            "if you trust it, give --trust-services once, for instance `daxa run --trust-services`",
        )
        for name in sorted(config.services)
        if (address := theirs.address(name)) != own.address(name) and accepted.get(name) != address
    )


def accept_services(layout: Layout) -> None:
    """Remember that the user trusts the addresses that ``daxa.toml`` holds now; others need consent again."""
    services = load_config(layout).services
    theirs = load_settings(services)
    replace_file(_note(layout), json.dumps({name: theirs.address(name) for name in sorted(services)}).encode())


def _accepted(layout: Layout) -> Mapping[str, object]:
    try:
        known = json.loads(_read(_note(layout)) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def _note(layout: Layout) -> Path:
    return layout.private / "trust" / "services.json"


def _check_pipeline(layout: Layout, config: ArchiveConfig, *, upgrades: bool) -> Iterator[ForeignItem]:
    name, found = layout.pipeline.name, _read(layout.pipeline)
    if found == rendered_pipeline(config):
        return
    if any(found == rendered_pipeline(config, earlier) for earlier in range(1, TEMPLATE)):
        if not upgrades:
            yield ForeignItem(name, "is what an earlier daxa wrote", "`daxa upgrade`, which replaces it")
    else:
        yield ForeignItem(
            name,
            "is not what daxa renders from daxa.toml",
            f"restore it: `git checkout {name}` (keep your own pipelines in another repository)",
        )


def _check_logs(layout: Layout) -> Iterator[ForeignItem]:
    path = layout.logs.with_name(f"{layout.logs.name}.dvc")
    if not os.path.lexists(path):
        return
    content = _read(path)
    if content is None or not _LOGS.fullmatch(content) or content.count(b"path: ") != 1:
        yield ForeignItem(path.name, "is not what DVC writes for the logs", f"restore it: `git checkout {path.name}`")


def _check_dvc(layout: Layout, tracked: Sequence[tuple[str, str]]) -> Iterator[ForeignItem]:
    """The directory ``.dvc``: what Git tracks of it, what it contains, and what the configuration says."""
    base = layout.root / ".dvc"
    for path, _ in tracked:
        if path.startswith(".dvc/") and path not in (".dvc/config", ".dvc/.gitignore"):
            yield ForeignItem(path, "came with the repository", f"remove it from Git: `git rm -r --cached {path}`")
    try:
        if not stat.S_ISDIR(base.lstat().st_mode):
            raise NotADirectoryError
        names = sorted(path.name for path in base.iterdir())
    except OSError:
        yield ForeignItem(".dvc", "is not a directory", "restore it: `git checkout .dvc`")
        return
    for name in names:
        if name not in _OWN_OF_DVC:
            yield ForeignItem(f".dvc/{name}", "is not daxa's", f"remove it: .dvc/{name}")
    content = _read(base / "config")
    for what in ["cannot be read"] if content is None else check_settings(content):
        yield ForeignItem(
            ".dvc/config",
            what,
            "`git checkout .dvc/config`, or move a setting of your own to .dvc/config.local (`dvc config --local`)",
        )


def _check_ignored(layout: Layout) -> Iterator[ForeignItem]:
    """What DVC ignores: it must ignore nothing of an archive."""
    path = layout.root / ".dvcignore"
    if not os.path.lexists(path):
        return
    allowed = {*_patterns(render_fixed(path.name)), "/.daxa"}
    content = _read(path)
    if content is None or not set(_patterns(content.decode("utf-8", "replace"))) <= allowed:
        yield ForeignItem(path.name, "makes DVC ignore files", f"restore it: `git checkout {path.name}`")


def _check_tracked(tracked: Sequence[tuple[str, str]]) -> Iterator[ForeignItem]:
    for path, mode in tracked:
        if mode == "120000":
            yield ForeignItem(path, "is a link", f"remove it: `git rm {path}`")
        elif mode == "160000":
            yield ForeignItem(path, "is a submodule", f"remove it: `git rm {path}`")
        else:
            yield from _check_name(path)


def _check_tree(layout: Layout, tracked: Collection[str]) -> Iterator[ForeignItem]:
    """Names that act, wherever DVC would find them in the tree, or Git in directories that it tracks.

    Links are not followed, by DVC neither.
    """
    skipped = {".git", ".dvc", ".daxa", *_unsearched(layout)}
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            entries = sorted(os.scandir(layout.root / below), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            path = below + entry.name
            if path in skipped:
                continue
            if entry.is_dir(follow_symlinks=False):
                if entry.name == ".dvc":
                    yield ForeignItem(path, "is another DVC repository", f"remove it: {path}")
                else:
                    waiting.append(f"{path}/")
                continue
            yield from _check_name(path)
            if entry.name == ".gitattributes" and (below.rstrip("/") or ".") in tracked:
                yield from _check_attributes(layout, path)


def _check_name(path: str) -> Iterator[ForeignItem]:
    name = PurePosixPath(path).name.lower()
    if path in ("dvc.yaml", "dvc.lock", "logs.dvc", ".dvcignore"):
        return
    if name in ("dvc.yaml", "dvc.lock") or (name.endswith(".dvc") and not path.startswith(".dvc/")):
        yield ForeignItem(
            path, "is a separate pipeline", f"remove it (keep your own pipelines in another repository): {path}"
        )
    elif name == ".dvcignore":
        yield ForeignItem(path, "makes DVC ignore files", f"remove it: {path}")
    elif name in (".gitmodules", ".lfsconfig"):
        yield ForeignItem(path, "leads Git to another repository", f"remove it: {path}")


def _check_attributes(layout: Layout, path: str) -> Iterator[ForeignItem]:
    for what in harmful_attributes(_read(layout.root / path)):
        yield ForeignItem(
            path,
            f"changes how Git treats files ({what})",
            f"restore it: `git checkout {path}`, or remove the line",
        )


def harmful_attributes(content: bytes | None) -> Iterator[str]:
    r"""Lines of a ``.gitattributes`` that could act, or change a file as Git puts it into the tree.

    Examples
    --------
    >>> list(harmful_attributes(b"* -text\n*.fits filter=lfs\n"))
    ['filter=lfs']
    """
    for line in ["unreadable"] if content is None else content.decode("utf-8", "replace").split("\n"):
        # What is a line and a blank for Git, and no more.
        begin = line.lstrip(" \t\r")
        words = [] if begin.startswith("#") else line.split()
        wrong = [word for word in words[1:] if not _HARMLESS_ATTRIBUTE.fullmatch(word)]
        if wrong or content is None or begin.startswith(("[attr]", '"')):
            yield " ".join(wrong) or line.strip()


def _unsearched(layout: Layout) -> Sequence[str]:
    """Directories at the top that Git ignores, such as ``data``: DVC never looks for pipelines there."""
    lines = _patterns((_read(layout.root / ".gitignore") or b"").decode("utf-8", "replace"))
    own = _patterns(render_fixed(".gitignore"))
    if any(line.startswith("!") and line not in own for line in lines):
        return ()
    return [found[1] for line in lines if (found := _IGNORED_PLACE.fullmatch(line))]


def _patterns(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _read(path: Path) -> bytes | None:
    """Content of a small regular file; None when there is none."""
    try:
        return read_plain(path, limit=_MOST_BYTES)
    except (OSError, DataError):
        return None
