"""What a directory of a mirror contains, however the mirror lists it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote
from xml.parsers import expat

from daxa.errors import DataError
from daxa.fetch.connection import Connection, read_text
from daxa.fetch.listing import ListingEntry, incomplete_listing, list_page, safe_name
from daxa.fetch.wire import local_path

__all__ = ["BucketPage", "list_directory", "parse_bucket_page"]

_MOST_PAGES, _MOST_ENTRIES = 100, 100_000
_LARGEST_PAGE, _DEEPEST, _LONGEST_TEXT = 16 << 20, 8, 4096
_SIZE = re.compile(r"\d{1,15}", re.ASCII)
_ROOT = "ListBucketResult"


def list_directory(connection: Connection, url: str) -> list[ListingEntry] | None:
    """The children of a directory on the mirror; None where it does not exist.

    Raises
    ------
    ServiceError
        The mirror cannot be reached: what the directory holds is unknown.
    DataError
        ``data.listing``: the answer is not a listing, or not whole.
    """
    return _LISTERS[connection.mirror.listing](connection, url)


def _list_local(connection: Connection, url: str) -> list[ListingEntry] | None:
    directory = local_path(url)
    try:
        found = list(_local_entries(directory))
    except (FileNotFoundError, NotADirectoryError):
        # A disk that is not mounted says nothing about what is on it.
        if not local_path(connection.mirror.root).is_dir():
            raise _not_mounted(connection.mirror.root) from None
        return None
    except OSError as error:
        raise DataError(
            "listing", f"{directory} cannot be read: {error.strerror}", remedy="check its permissions"
        ) from None
    return sorted(found, key=lambda entry: entry.name)


def _not_mounted(root: str) -> Exception:
    from daxa.errors import ServiceError

    return ServiceError(
        "unreachable", f"{root} does not exist", remedy="mount it, or take it out of DAXA_MIRRORS and config.toml"
    )


def _local_entries(directory: Path) -> Iterator[ListingEntry]:
    import os

    with os.scandir(directory) as children:
        for count, child in enumerate(children):
            if count >= _MOST_ENTRIES:
                raise incomplete_listing(str(directory))
            if safe_name(child.name) and (child.is_dir() or child.is_file()):
                yield ListingEntry(child.name, child.is_dir(), 0 if child.is_dir() else child.stat().st_size)


def _list_bucket(connection: Connection, url: str) -> list[ListingEntry] | None:
    """As S3's ListObjectsV2 answers, page after page."""
    root = connection.mirror.root
    if not url.startswith(root):
        raise incomplete_listing(url)
    prefix = unquote(url[len(root) :]).strip("/") + "/"
    found: dict[str, ListingEntry] = {}
    token, seen = "", set[str]()
    for _ in range(_MOST_PAGES):
        address = f"{root}/?list-type=2&delimiter=%2F&prefix={quote(prefix, safe='')}"
        address += f"&continuation-token={quote(token, safe='')}" if token else ""
        body = read_text(connection, address, limit=_LARGEST_PAGE)
        if body is None:
            return None
        page = parse_bucket_page(body, prefix, address)
        found |= {entry.name: entry for entry in page.entries if entry.name not in found}
        exists = page.exists or bool(seen)
        if not page.token:
            return list(found.values()) if found or exists else None
        if page.token in seen or len(found) > _MOST_ENTRIES:
            break
        token = page.token
        seen.add(token)
    raise incomplete_listing(f"{root}/{prefix}")


@dataclass
class BucketPage:
    """One page of what a bucket holds below a prefix.

    Attributes
    ----------
    entries
        Direct children.
    token
        Requests the next page; '' on the last one.
    exists
        Something begins with the prefix, if only the entry that represents the directory.
    """

    entries: list[ListingEntry] = field(default_factory=list)
    token: str = ""
    exists: bool = False


def parse_bucket_page(body: bytes, prefix: str, address: str) -> BucketPage:
    """Read one page of S3's ListObjectsV2.

    Parameters
    ----------
    body
        The answer.
    prefix
        What was requested, ending in a slash.
    address
        For messages.

    Raises
    ------
    DataError
        ``data.listing``: it is not such a page, of another prefix, or incomplete.

    Examples
    --------
    >>> page = (b"<ListBucketResult><Prefix>a/</Prefix><IsTruncated>false</IsTruncated><Contents><Key>a/x.fits</Key>"
    ...         b"<Size>7</Size></Contents></ListBucketResult>")
    >>> parse_bucket_page(page, "a/", "https://bucket.example").entries
    [ListingEntry(name='x.fits', is_dir=False)]
    """
    reader = _Reader()
    try:
        reader.read(body)
    except (expat.ExpatError, ValueError, UnicodeError):
        raise incomplete_listing(address) from None
    said = reader.said
    cut = {"true": True, "false": False}.get(said.get("IsTruncated", ""))
    token = said.get("NextContinuationToken", "")
    if cut is None or cut != bool(token) or said.get("Prefix", "") != prefix:
        raise incomplete_listing(address)
    page = BucketPage(token=token)
    for key, size in reader.keys:
        page.exists = page.exists or key.startswith(prefix)
        name = key.removeprefix(prefix)
        if key.startswith(prefix) and safe_name(name) and _SIZE.fullmatch(size):
            page.entries.append(ListingEntry(name, False, int(size)))
    for key in reader.prefixes:
        page.exists = page.exists or key.startswith(prefix)
        name = key.removeprefix(prefix).removesuffix("/")
        if key.startswith(prefix) and key.endswith("/") and safe_name(name):
            page.entries.append(ListingEntry(name, True))
    return page


class _Reader:
    """What a page says, read without entities, deep nesting or long texts."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}
        self.keys: list[tuple[str, str]] = []
        self.prefixes: list[str] = []
        self._path: list[str] = []
        self._text: list[str] = []
        self._object: dict[str, str] = {}

    def read(self, body: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._take
        parser.StartDoctypeDeclHandler = self._refuse
        parser.Parse(body, True)

    def _refuse(self, *_: object) -> None:
        raise ValueError("a listing must not have a document type")

    def _start(self, name: str, _: object) -> None:
        self._path.append(name.rpartition(" ")[2])
        self._text = []
        if self._path[0] != _ROOT or len(self._path) > _DEEPEST or len(self.keys) > _MOST_ENTRIES:
            raise ValueError("it is not a listing of a bucket")

    def _take(self, text: str) -> None:
        self._text.append(text)

    def _end(self, _: str) -> None:
        text = "".join(self._text)[:_LONGEST_TEXT]
        self._text = []
        match self._path:
            case [_, "Contents"]:
                self.keys.append((self._object.get("Key", ""), self._object.get("Size", "")))
                self._object = {}
            case [_, "Contents", name]:
                self._object[name] = text
            case [_, "CommonPrefixes", "Prefix"]:
                self.prefixes.append(text)
            case [_, name]:
                if name in self.said and self.said[name] != text:
                    raise ValueError(f"it lists {name} twice")
                self.said[name] = text
        self._path.pop()


_LISTERS: dict[str, Callable[[Connection, str], list[ListingEntry] | None]] = {
    "apache": list_page,
    "nginx": list_page,
    "s3": _list_bucket,
    "local": _list_local,
}
