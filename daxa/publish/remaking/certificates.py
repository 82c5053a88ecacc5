"""Certificates of several people, kept with a release on a separate ref, since its tag never moves.

``refs/daxa/certificates/<tag>`` is a chain of commits whose tree has one file per certificate, named after its
digest.  Git neither fetches nor pushes such refs by itself:
``git push origin 'refs/daxa/certificates/*'`` shares them, and the same with ``fetch`` and a ``:`` gets them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daxa.archive import git
from daxa.archive.git_objects import commit_files, tree_of
from daxa.archive.layout import Layout
from daxa.errors import ArchiveError, DataError, ProgramError
from daxa.files import read_plain
from daxa.publish.remaking.certificate import recorded_release
from daxa.publish.remaking.certified import CERTIFICATE_LIMIT, check_statement, read_statement
from daxa.publish.version import parse_version

__all__ = ["Kept", "add_certificate", "find_certificate", "list_certificates"]

_NAME = re.compile(r"([0-9a-f]{64})\.json", re.ASCII)
_MOST = 1000


@dataclass(frozen=True)
class Kept:
    """A certificate that is kept with a release.

    Parameters
    ----------
    digest
        SHA-256 of the file, which is its name.
    statement
        Its content; None if it is not valid.
    problem
        Why it is not valid.
    """

    digest: str
    statement: Mapping[str, Any] | None
    problem: str = ""


def add_certificate(layout: Layout, path: Path) -> tuple[str, Kept]:
    """Keep a certificate with its release; return the tag and the kept certificate.

    Raises
    ------
    DataError
        It is not a certificate, is of another release, or contradicts the release or itself.
    ArchiveError
        There is no such release here, or somebody else is adding one at the same moment.
    """
    content = read_plain(path, limit=CERTIFICATE_LIMIT)
    statement = read_statement(content, path)
    tag = statement["predicate"]["tag"]
    _check_tag(tag)
    check_statement(statement, recorded_release(layout, tag), path)
    digest = hashlib.sha256(content).hexdigest()
    reference, files = _reference(tag), _files(layout, tag)
    if digest not in files:
        if len(files) >= _MOST:
            raise ArchiveError("full", f"{tag} has {_MOST} certificates already", remedy="remove the ref and add a few")
        parent = _head(layout, tag)
        contents = {f"{name}.json": _content(layout, tag, name) for name in files} | {f"{digest}.json": content}
        try:
            commit_files(layout.root, reference, contents, f"Certificate of {tag}", parent=parent)
        except ProgramError:
            if _head(layout, tag) == parent:
                raise
            raise ArchiveError(
                "busy", f"somebody else has just added a certificate of {tag}", remedy="try again"
            ) from None
    return tag, Kept(digest, statement)


def list_certificates(layout: Layout, tag: str) -> list[Kept]:
    """The certificates of a release, each read and checked again, in the order of their dates.

    Raises
    ------
    ArchiveError
        There is no such release.
    """
    _check_tag(tag)
    recorded = recorded_release(layout, tag)
    kept = []
    for name in _files(layout, tag):
        try:
            content = _content(layout, tag, name)
            if hashlib.sha256(content).hexdigest() != name:
                raise DataError("certificate", f"{name} does not match its name", remedy="add it again")
            statement = read_statement(content, name[:12])
            check_statement(statement, recorded, name[:12])
            kept.append(Kept(name, statement))
        except DataError as error:
            kept.append(Kept(name, None, error.message))
    return sorted(kept, key=lambda one: (one.statement["predicate"]["when"] if one.statement else "~", one.digest))


def find_certificate(layout: Layout, tag: str, digest: str) -> Kept:
    """The certificate whose digest begins with these digits.

    Raises
    ------
    ArchiveError
        There is none, or there are several.
    """
    found = [one for one in list_certificates(layout, tag) if one.digest.startswith(digest)]
    if len(found) != 1:
        raise ArchiveError(
            "no-certificate",
            f"{tag} has {len(found) or 'no'} certificates whose digest begins with {digest[:64]!r}",
            remedy=f"`daxa certificate list {tag}` lists them",
        )
    return found[0]


def _check_tag(tag: str) -> None:
    if parse_version(tag) is None:
        raise ArchiveError(
            "no-release", f"{tag[:100]!r} is not the name of a release", remedy="list releases with `git tag`"
        )


def _reference(tag: str) -> str:
    return f"refs/daxa/certificates/{tag}"


def _head(layout: Layout, tag: str) -> str:
    reference = _reference(tag)
    return git.ask(layout.root, "for-each-ref", "--format=%(objectname)", "--", reference).stdout.strip()


def _files(layout: Layout, tag: str) -> list[str]:
    """Digests of the certificates that are there; everything else is ignored."""
    if not _head(layout, tag):
        return []
    entries = tree_of(layout.root, _reference(tag))
    found = [match[1] for one in entries if one.size <= CERTIFICATE_LIMIT and (match := _NAME.fullmatch(one.path))]
    return sorted(found)[:_MOST]


def _content(layout: Layout, tag: str, name: str) -> bytes:
    return git.read_file(layout.root, _reference(tag), f"{name}.json") or b""
