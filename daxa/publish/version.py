"""Versions of releases: ``vMAJOR.MINOR.PATCH``, decided by what changed.

MAJOR: observations or missions were removed, or the archive's format has changed.
MINOR: observations or missions were added.  PATCH: the same observations, processed
or replaced by the mission's archive.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

__all__ = ["FIRST", "ReleaseContents", "next_version", "parse_version", "release_tags"]

FIRST = "v1.0.0"
_TAG = re.compile(r"v(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})", re.ASCII)


@dataclass(frozen=True)
class ReleaseContents:
    """What a version number depends on.

    Parameters
    ----------
    format
        Version of the archive's format.
    chosen
        Mission to the ObsIDs of its selection.
    """

    format: int
    chosen: Mapping[str, Collection[str]]


def parse_version(tag: str) -> tuple[int, int, int] | None:
    """The numbers of a release's tag; None for any other tag.

    Examples
    --------
    >>> parse_version("v1.10.0"), parse_version("v1.0"), parse_version("v01.0.0")
    ((1, 10, 0), None, None)
    """
    found = _TAG.fullmatch(tag)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def release_tags(tags: Iterable[str]) -> list[str]:
    """The tags that are releases, the latest version last.

    Examples
    --------
    >>> release_tags(["v1.10.0", "draft", "v1.9.2"])
    ['v1.9.2', 'v1.10.0']
    """
    versions = sorted((version, tag) for tag in tags if (version := parse_version(tag)))
    return [tag for _, tag in versions]


def next_version(last: str, before: ReleaseContents, now: ReleaseContents) -> str:
    """The tag of the release that follows `last`.

    Parameters
    ----------
    last
        Tag of the last release.
    before, now
        The content of that release, and of the next one.

    Examples
    --------
    >>> one = ReleaseContents(1, {"xmm": {"0404910601"}})
    >>> two = ReleaseContents(1, {"xmm": {"0404910601", "0201901401"}})
    >>> next_version("v1.0.0", one, two), next_version("v1.1.0", two, two), next_version("v1.1.1", two, one)
    ('v1.1.0', 'v1.1.1', 'v2.0.0')
    """
    numbers = parse_version(last)
    if numbers is None:
        raise ValueError(last)
    major, minor, patch = numbers
    if before.format != now.format or _missing(before, now):
        return f"v{major + 1}.0.0"
    if _missing(now, before):
        return f"v{major}.{minor + 1}.0"
    return f"v{major}.{minor}.{patch + 1}"


def _missing(these: ReleaseContents, those: ReleaseContents) -> bool:
    """Whether a mission or an observation of `these` is not in `those`."""
    return any(
        mission not in those.chosen or set(obs_ids) - set(those.chosen[mission])
        for mission, obs_ids in these.chosen.items()
    )
