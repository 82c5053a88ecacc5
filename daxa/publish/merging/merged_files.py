"""The other files of a merged archive: texts that people edit, and files that releases write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from daxa.archive import git
from daxa.archive.config import ArchiveConfig
from daxa.archive.git_objects import tree_of
from daxa.archive.layout import Layout
from daxa.archive.selected_files import DESCRIPTIONS, bare_answers, rendered_with
from daxa.archive.trust import harmful_attributes
from daxa.errors import DaxaError
from daxa.publish.merging.merge_choices import Conflict, MergeSide, Which

__all__ = ["OtherFiles", "joined_changes", "merge_files"]

_STRUCTURED = re.compile(
    r"daxa\.toml|software\.toml|dvc\.yaml|dvc\.lock|logs\.dvc|metrics\.json|params/[^/]+\.toml"
    r"|(?:selection|ledger|upstream)/[^/]+\.parquet"
)
_OF_RELEASES = ("environment.json", "codemeta.json", "ro-crate-metadata.json", "prov.json")
"""Rewritten by every release: it does not matter which side they are from."""

_CHANGES = "CHANGES.md"


@dataclass
class OtherFiles:
    """What happens to the other files.

    Parameters
    ----------
    texts
        Path to content, of those that are to be written.
    programs
        Those among them that are executable.
    removed
        Paths to remove.
    conflicts
        What both sides changed.
    """

    texts: dict[str, bytes] = field(default_factory=dict)
    programs: set[str] = field(default_factory=set)
    removed: list[str] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)


def merge_files(
    layout: Layout,
    commits: tuple[str, str, str],
    sides: tuple[MergeSide, MergeSide],
    config: ArchiveConfig,
    resolved: Mapping[str, Which],
) -> OtherFiles:
    """Merge all files except daxa's tables: take what one side changed, and merge line by line what both changed.

    Parameters
    ----------
    layout
        The archive.
    commits
        The common ancestor, ours and theirs.
    sides
        Ours and theirs.
    config
        The merged configuration.
    resolved
        Path, or ``all``, to the side to take.
    """
    trees = [{one.path: (one.digest, one.mode) for one in tree_of(layout.root, commit)} for commit in commits]
    found = OtherFiles()
    for path in dict.fromkeys([*trees[1], *trees[2]]):
        was, mine, other = (tree.get(path) for tree in trees)
        if _STRUCTURED.fullmatch(path) or other in (mine, was):
            continue
        if mine == was:
            _take(layout, commits[2], found, path, other)
        elif path not in _OF_RELEASES:
            _join(layout, commits, found, path, (sides, config, resolved.get(path) or resolved.get("all")))
    for path, content in found.texts.items():
        if path.rpartition("/")[2] == ".gitattributes" and (harm := next(harmful_attributes(content), "")):
            found.conflicts.append(Conflict(path, "", f"would change how Git treats files ({harm})", "the same"))
    return found


def _take(layout: Layout, commit: str, found: OtherFiles, path: str, entry: tuple[str, str] | None) -> None:
    content = git.read_file(layout.root, commit, path) if entry else None
    if entry is None or content is None:
        found.removed.append(path)
        return
    found.texts[path] = content
    if entry[1] == "100755":
        found.programs.add(path)


def _join(
    layout: Layout,
    commits: tuple[str, str, str],
    found: OtherFiles,
    path: str,
    how: tuple[tuple[MergeSide, MergeSide], ArchiveConfig, Which | None],
) -> None:
    """Merge a file that both sides changed."""
    sides, config, right = how
    base, ours, theirs = (git.read_file(layout.root, commit, path) for commit in commits)
    if path in DESCRIPTIONS and all(
        content == _rendered(side.side.state.config, path) for side, content in zip(sides, (ours, theirs), strict=True)
    ):
        found.texts[path] = _rendered(config, path)
        return
    if right == "ours":
        return
    if right == "theirs":
        if theirs is None:
            found.removed.append(path)
        else:
            found.texts[path] = theirs
        return
    if path == _CHANGES and ours and theirs:
        found.texts[path] = joined_changes(ours.decode("utf-8", "replace"), theirs.decode("utf-8", "replace")).encode()
        return
    if ours is not None and theirs is not None and b"\0" not in ours + theirs:
        try:
            joined, places = git.merge_texts(layout.root, base or b"", ours, theirs)
        except DaxaError:
            joined, places = b"", 1  # Git does not consider it text.
        if not places:
            found.texts[path] = joined
            return
    if path in DESCRIPTIONS[1:] and _same_but_releases(base, ours, theirs):
        return
    words = ["removed it" if one is None else "added it" if base is None else "changed it" for one in (ours, theirs)]
    found.conflicts.append(Conflict(path, "", *words))


def joined_changes(ours: str, theirs: str) -> str:
    r"""Merge ``CHANGES.md``: our sections, with theirs before the sections that both have.

    Examples
    --------
    >>> joined_changes("# a\n\n## v1.1.0 (x)\n\nours\n\n## v1.0.0\n", "# a\n\n## v1.1.0 (x)\n\nhers\n\n## v1.0.0\n")
    '# a\n\n## v1.1.0 (x)\n\nours\n\n## v1.1.0 (x)\n\nhers\n\n## v1.0.0\n'
    """
    (head, *mine), (_, *other) = (re.split(r"(?m)^(?=## )", text) for text in (ours, theirs))
    known = {one.strip() for one in mine}
    new = [one for one in other if one.strip() not in known]
    common = known.intersection(one.strip() for one in other)
    at = next((at for at, one in enumerate(mine) if one.strip() in common), len(mine))
    sections = [one.strip("\n") for one in (*mine[:at], *new, *mine[at:])]
    return "\n\n".join([head.strip("\n"), *sections]) + "\n"


def _rendered(config: ArchiveConfig, path: str) -> bytes:
    return rendered_with(config, bare_answers(config.missions))[path].encode()


def _same_but_releases(*contents: bytes | None) -> bool:
    """Whether citation files differ only in what releases write: versions and dates."""
    version = re.compile(rb'^\s*"?(?:version|date-released|publication_date)"?:.*\n', re.MULTILINE)
    _, ours, theirs = (version.sub(b"", content or b"") for content in contents)
    return ours == theirs
