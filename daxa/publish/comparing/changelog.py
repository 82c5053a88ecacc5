"""What each release changed, in the archive's own ``CHANGES.md`` and from the messages of its tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from daxa.archive import git
from daxa.archive.layout import Layout
from daxa.errors import CriteriaError
from daxa.files import read_plain, replace_file
from daxa.publish.comparing.diff import ObservationDiff, compare_revisions
from daxa.publish.comparing.revisions import NOTHING, read_revision
from daxa.publish.version import release_tags
from daxa.text import utf8_text

__all__ = ["HistoryEntry", "ReleaseRecord", "list_history", "list_releases", "record_changes", "with_section"]

_HEADING = re.compile(r"^## ", re.MULTILINE)
_SECTION = r"^## {tag} \([^\n]*\n.*?(?=^## |\Z)"
_LARGEST = 16 << 20
_START = """# Changes of {name}

One section for each release, the newest first. `daxa release` adds them; what you write here stays.

"""


@dataclass(frozen=True)
class ReleaseRecord:
    """A release, as described by its tag.

    Parameters
    ----------
    tag, commit
        Its name, and the commit that it points to.
    when, by
        When it was made (ISO 8601), and by whom; '' if the tag does not say.
    message
        The tag's message: a title, a line per mission, and what has changed since the previous release.
    """

    tag: str
    commit: str
    when: str
    by: str
    message: str

    @property
    def title(self) -> str:
        """The first line of the message."""
        return self.message.partition("\n")[0].strip()

    def as_dict(self) -> dict[str, object]:
        """The record as plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class HistoryEntry:
    """What one release, or the working tree, changed about an observation.

    Parameters
    ----------
    release
        The release; None for what is not released yet.
    change
        What was done, why, and what changed as a result.
    """

    release: ReleaseRecord | None
    change: ObservationDiff

    def as_dict(self) -> dict[str, object]:
        """The record as plain values, ready for JSON."""
        named = {"tag": self.release.tag, "when": self.release.when} if self.release else {"tag": "", "when": ""}
        return named | self.change.as_dict()


def record_changes(layout: Layout, tag: str, message: str) -> None:
    """Write a release into ``CHANGES.md``, replacing what an interrupted one has left there.

    Parameters
    ----------
    layout
        The archive.
    tag, message
        Those of the release.
    """
    content = b""
    with suppress(FileNotFoundError):
        content = read_plain(layout.changes, limit=_LARGEST)
    former = content.decode("utf-8", "surrogateescape") or _START.format(name=layout.root.name)
    text = with_section(former, tag, datetime.now(UTC).date().isoformat(), message)
    if (new := text.encode("utf-8", "surrogateescape")) != content:
        replace_file(layout.changes, new)


def with_section(text: str, tag: str, day: str, message: str) -> str:
    r"""The text with a section about a release before all others; nothing else changes.

    Examples
    --------
    >>> print(with_section("# Changes\n", "v1.0.0", "2026-11-30", "first\n\nXMM: 2 observations\n"))
    # Changes
    <BLANKLINE>
    ## v1.0.0 (2026-11-30)
    <BLANKLINE>
    first
    <BLANKLINE>
    - XMM: 2 observations
    <BLANKLINE>
    >>> print(with_section("", "v1.0.1", "2026-12-01", "second\n\nXMM: 2 observations\nSince v1.0.0:\nxmm: 1 new\n"))
    ## v1.0.1 (2026-12-01)
    <BLANKLINE>
    second
    <BLANKLINE>
    - XMM: 2 observations
    <BLANKLINE>
    Since v1.0.0:
    <BLANKLINE>
    - xmm: 1 new
    <BLANKLINE>
    """
    title, _, rest = message.strip().partition("\n")
    items = [line.strip() for line in rest.split("\n") if line.strip()]
    lines = _plain([title])
    for number, line in enumerate(items):
        if line.endswith(":"):  # It introduces those that follow.
            lines += ["", *_plain([line])]
        else:
            lines += ([""] if number == 0 or items[number - 1].endswith(":") else []) + [f"- {line}"]
    section = "\n".join([f"## {tag} ({day})", "", *lines, "", ""])
    text = re.sub(_SECTION.format(tag=re.escape(tag)), "", text, count=1, flags=re.MULTILINE | re.DOTALL)
    first = _HEADING.search(text)
    head, tail = (text[: first.start()], text[first.start() :]) if first else (text, "")
    head = head if not head or head.endswith("\n\n") else f"{head.rstrip(chr(10))}\n\n"
    return f"{head}{section}{tail}".rstrip("\n") + "\n"


def _plain(lines: list[str]) -> list[str]:
    """Lines that are not taken for headings."""
    return [re.sub(r"^(\s*)#", r"\1\\#", line) for line in lines]


def list_releases(layout: Layout) -> list[ReleaseRecord]:
    """The releases of an archive, the latest version last."""
    return [_record(layout, tag) for tag in release_tags(git.tags(layout.root))]


def _record(layout: Layout, tag: str) -> ReleaseRecord:
    # Without the signature that a tag may have.
    fields = ("*objectname", "taggerdate:iso-strict", "taggername", "contents:subject", "contents:body")
    form = "--format=" + "%00".join(f"%({name})" for name in fields)
    answer = git.ask(layout.root, "for-each-ref", form, "--", f"refs/tags/{tag}").stdout.rstrip("\n")
    # Names and messages of people are read, and name no file: what is not UTF-8 in them is replaced.
    _, when, by, title, body = [*utf8_text(answer).split("\0", 4), "", "", "", ""][:5]
    message = f"{title}\n\n{body}".strip()
    return ReleaseRecord(tag, git.commit_of(layout.root, f"refs/tags/{tag}"), when, by, message)


def list_history(layout: Layout, obs_id: str) -> list[HistoryEntry]:
    """Every release that changed an observation, oldest first; then what is not released yet.

    Parameters
    ----------
    layout
        The archive.
    obs_id
        The observation; all missions with this ObsID are listed.

    Raises
    ------
    CriteriaError
        Neither a release nor the working tree has it.
    ConfigError, DataError
        A file of a release cannot be read.
    """
    found = list(_entries(layout, obs_id))
    if not found:
        raise CriteriaError(
            "obs-id",
            f"neither a release nor the working tree of {layout.root} has an observation {obs_id[:100]!r}",
            remedy="`daxa select --export ids.csv` lists those that are selected",
        )
    return found


def _entries(layout: Layout, obs_id: str) -> Iterator[HistoryEntry]:
    before = NOTHING
    for release in [*list_releases(layout), None]:
        now = read_revision(layout, release.commit if release else "")
        for one in compare_revisions(layout, before, now, obs_ids={obs_id}).observations:
            yield HistoryEntry(release, one)
        before = now
