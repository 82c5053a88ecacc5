"""What a paper that uses a release must say, from the commit of its tag, not from the work tree."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

from daxa.archive import git
from daxa.archive.citation_files import read_extra
from daxa.archive.config import ArchiveConfig, load_config
from daxa.archive.layout import Layout
from daxa.errors import ArchiveError, DataError, ReleaseError
from daxa.missions import find_mission
from daxa.missions.facts import fill_template
from daxa.missions.spec import MissionSpec
from daxa.naming import did_you_mean
from daxa.publish.citing.citation import Citation, MissionCitation
from daxa.publish.citing.software_credit import credit_software, used_software
from daxa.publish.citing.swhid import directory_swhid, object_swhid
from daxa.publish.state import records_at
from daxa.publish.version import release_tags
from daxa.run.ledger import read_ledger
from daxa.selection.selection_file import read_selection

__all__ = ["cite_release", "find_tag", "public_address"]

_SHARED = ("https", "http", "ssh", "git")
_SCP = re.compile(r"(?:[\w.-]+@)?([\w.-]+):(?!//)([\w./~-]+)")
_TAGGER = re.compile(rb"^tagger .*> (\d{1,12}) [+-]\d{4}$", re.MULTILINE)
_DOI = re.compile(r"10\.\d{4,9}(?:\.\d+)?/[A-Za-z0-9._;()\[\]:/-]{1,200}")


def cite_release(layout: Layout, tag: str = "") -> Citation:
    """Gather what a paper that uses a release must say.

    Parameters
    ----------
    layout
        The archive.
    tag
        A release; by default the latest one.

    Raises
    ------
    ReleaseError
        There is no release.
    ArchiveError
        There is no such release.
    DataError, ConfigError
        A file of the release is not what daxa writes.
    """
    tag = find_tag(layout, tag)
    kind, content = git.read_object(layout.root, f"refs/tags/{tag}")
    commit = git.commit_of(layout.root, f"refs/tags/{tag}")
    extra = read_extra(git.read_file(layout.root, commit, "CITATION.cff") or b"")
    software = git.read_file(layout.root, commit, layout.software.name) or b""
    with records_at(layout, commit) as records:
        config = load_config(records)
        tables = {mission: read_selection(records.selection(mission)) for mission in config.missions}
        failed = {mission: _failed(records, config, mission) for mission in config.missions}
    doi = str(extra.get("doi", ""))
    return Citation(
        name=config.name,
        title=config.title or config.name,
        tag=tag,
        commit=commit,
        date=_day(content if kind == "tag" else git.read_object(layout.root, commit)[1]),
        creators=config.creators,
        licence=config.licence,
        doi=doi if _DOI.fullmatch(doi) else "",
        address=public_address(git.origin_url(layout.root)),
        swhids=_identifiers(layout, commit, content if kind == "tag" else None),
        missions=tuple(
            _credit(find_mission(name), sorted(map(str, table["obs_id"])), failed[name])
            for name, table in tables.items()
        ),
        software=credit_software(used_software(software, layout.software)),
        tables=tables,
    )


def find_tag(layout: Layout, tag: str = "") -> str:
    """The release of this name, or the latest one.

    Raises
    ------
    ReleaseError
        There is no release.
    ArchiveError
        There is no such release.
    """
    known = release_tags(git.tags(layout.root))
    if not known:
        raise ReleaseError(
            "none", f"{layout.root} has no release yet", remedy='make one with `daxa release -m "what it is"`'
        )
    if tag and tag not in known:
        raise ArchiveError(
            "revision",
            f"{layout.root} has no release {tag[:80]!r}{did_you_mean(tag, known)}",
            remedy=f"choose from {', '.join(known[-5:])}; `git tag` lists all",
        )
    return tag or known[-1]


def public_address(url: str) -> str:
    """An address of a repository that others can use, without names and passwords; '' if others cannot use it.

    Examples
    --------
    >>> public_address("https://ada:secret@git.example/a907.git"), public_address("git@git.example:ada/a907.git")
    ('https://git.example/a907.git', 'https://git.example/ada/a907.git')
    >>> public_address("/home/ada/a907")
    ''
    """
    if found := _SCP.fullmatch(url):
        return f"https://{found[1]}/{found[2]}"
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    if parts.scheme not in _SHARED or not parts.hostname:
        return ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _identifiers(layout: Layout, commit: str, tag: bytes | None) -> dict[str, str]:
    """SWHIDs of tag, commit and tree.

    Raises
    ------
    DataError
        The content of an object does not match its name.
    """
    if len(commit) != 40:
        return {}  # A repository with SHA-256 has no SWHIDs.
    kind, content = git.read_object(layout.root, commit)
    tree = re.match(rb"tree ([0-9a-f]{40})\n", content)
    entries = git.tree_entries(layout.root, commit)
    found = {"rev": object_swhid("rev", content), "dir": directory_swhid(entries)}
    named = {"rev": f"swh:1:rev:{commit}", "dir": f"swh:1:dir:{tree[1].decode() if tree else ''}"}
    if kind != "commit" or found != named:
        raise DataError(
            "object",
            f"the commit {commit} of {layout.root} does not match its digest",
            remedy="`git fsck` names the damaged objects; clone the archive again",
        )
    return ({"rel": object_swhid("rel", tag)} if tag is not None else {}) | found


def _failed(records: Layout, config: ArchiveConfig, mission: str) -> tuple[str, ...]:
    ledgers = (read_ledger(records.ledger(mission, step)) for step in config.steps)
    return tuple(sorted({row.obs_id for rows in ledgers for row in rows.values() if row.outcome != "done"}))


def _credit(spec: MissionSpec, obs_ids: list[str], failed: tuple[str, ...]) -> MissionCitation:
    credit = spec.credit
    return MissionCitation(
        mission=spec.name,
        title=spec.title,
        obs_ids=tuple(obs_ids),
        failed=failed,
        acknowledgement=spec.acknowledgement if credit.read else "",
        source=credit.source,
        read=credit.read,
        references=tuple(one for one in spec.bibcodes if one in credit.checked),
        facility=credit.facility if credit.facility in credit.checked else "",
        identifiers={one: fill_template(credit.dataset, one) for one in obs_ids} if credit.dataset else {},
        unchecked=tuple(one for one in (*spec.bibcodes, credit.facility) if one and one not in credit.checked),
    )


def _day(content: bytes) -> str:
    """The day on which a tag, or a commit, was made."""
    found = _TAGGER.search(content) or re.search(rb"^committer .*> (\d{1,12}) [+-]\d{4}$", content, re.MULTILINE)
    return datetime.fromtimestamp(int(found[1]), UTC).date().isoformat() if found else ""
