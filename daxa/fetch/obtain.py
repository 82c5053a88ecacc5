"""Put one file that an archive serves into the store, checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from daxa.errors import DataError
from daxa.fetch.catalogue import Catalogue, check_listed
from daxa.fetch.connection import Connection
from daxa.fetch.content_check import ExpectedContent, check_file
from daxa.fetch.field_index import read_index
from daxa.fetch.field_tar import extract_member
from daxa.fetch.parts import Transfer, discard_part, disk_errors, part_of
from daxa.fetch.store import ContentOrigin, Store
from daxa.fetch.transfer import download

__all__ = ["FetchContext", "FileToFetch", "obtain"]


@dataclass(frozen=True)
class FetchContext:
    """What is needed to fetch the files of one observation."""

    connection: Connection
    store: Store
    target: Path
    parts: Path
    say: Callable[[str], None]
    catalogue: Catalogue = field(default_factory=Catalogue)


@dataclass(frozen=True)
class FileToFetch:
    """A file to fetch: where it is in the archive, how large it may be, what it must hold.

    A member of a file for a whole field has that file as `container`, and an address that ends in ``#`` and its name.
    """

    path: str
    url: str
    most: int
    expected: ExpectedContent = field(default_factory=ExpectedContent)
    container: ContentOrigin | None = None


def obtain(context: FetchContext, one: FileToFetch) -> ContentOrigin:
    """Put what an address serves now into the store, checked; or a member of the file of a field."""
    if one.container:
        return _obtain_member(context, one, one.container)
    known = context.store.recall(one.url)
    if known and not context.store.path(known.sha256).is_file():
        known = None
    part = part_of(context.parts, one.url)
    transfer = download(context.connection, one.url, part, known=known.transfer if known else None, most=one.most)
    if known and transfer.unchanged:
        context.say(f"{one.path}: {transfer.size} bytes, as in the store since {known.retrieved}")
        return known
    try:
        return _add_checked(context, part, transfer, one)
    except DataError as error:
        if error.name not in ("damaged", "truncated", "checksum"):
            raise
        context.say(f"{error.message}; fetching it once more from the start")
    return _add_checked(context, part, download(context.connection, one.url, part, most=one.most), one)


def _obtain_member(context: FetchContext, one: FileToFetch, container: ContentOrigin) -> ContentOrigin:
    """Its validators are those of the file of the field, which is what a server can be asked about."""
    part, served = part_of(context.parts, one.url), container.transfer
    listed = (read_index(context.store.root, container.sha256) or {}).get(one.path)
    known = context.store.recall(one.url)
    if listed and known and known.sha256 == listed.sha256 and context.store.path(known.sha256).is_file():
        context.say(f"{one.path}: {listed.size} bytes, as in the store since {known.retrieved}")
        current = Transfer(one.url, listed.size, served.etag, served.last_modified)
        return replace(known, transfer=current)
    with disk_errors(part):
        discard_part(part)
    packed, name = context.store.path(container.sha256), served.url.rpartition("/")[2]
    try:
        with disk_errors(packed):
            size = extract_member(packed, name, one.path, part, most=one.most, check_stop=context.connection.check_stop)
    except BaseException:
        discard_part(part)
        raise
    found = _add_checked(context, part, Transfer(one.url, size, served.etag, served.last_modified), one)
    if listed and found.sha256 != listed.sha256:
        raise DataError(
            "damaged",
            f"{one.path} is not what {name} contained before: its copy in the store was altered while it was read",
            remedy="run `daxa run` again, which reads it anew; if it persists, check the disk of DAXA_STORE",
        )
    return found


def _add_checked(context: FetchContext, part: Path, transfer: Transfer, one: FileToFetch) -> ContentOrigin:
    """Check a download and move it into the store."""
    try:
        remarks = check_file(part, one.path, one.expected)
        odd = check_listed(context.catalogue, part, one.path, transfer)
    except DataError:
        discard_part(part)
        raise
    for remark in (*remarks, odd):
        if remark:
            context.say(f"{one.path}: {remark}")
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    origin = ContentOrigin(transfer, context.store.add(part), now)
    discard_part(part)
    context.store.remember(origin)
    context.say(f"{one.path}: {transfer.size} bytes {'unpacked' if one.container else 'downloaded'}")
    return origin
