"""Read directory listings as Apache and nginx write them.

Only the addresses of links count: texts are cut, sizes rounded.  What a listing says is
hostile until its name has passed `safe_name`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

from daxa.errors import DataError
from daxa.fetch.connection import Connection, read_text

__all__ = ["Entry", "child_url", "list_directory", "parse_listing", "safe_name"]

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+~=,@-]{0,254}", re.ASCII)
_INDEX_TITLE = re.compile(rb"<(?:title|h1)[^>]*>\s*Index of\b", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """A direct child of a directory."""

    name: str
    is_dir: bool


def safe_name(name: str) -> bool:
    """True for a name that may become one component of a path: plain ASCII, no separator, no leading dot or dash.

    Examples
    --------
    >>> safe_name("acisf18461N002_evt2.fits.gz"), safe_name(".."), safe_name("a/b")
    (True, False, False)
    """
    return _SAFE_NAME.fullmatch(name) is not None


def parse_listing(html: bytes | str, base_url: str) -> list[Entry]:
    """The direct children that a listing links to, in its order, each once.

    Parameters
    ----------
    html
        The page.
    base_url
        Its address, ending in a slash.

    Examples
    --------
    >>> page = '<a href="?C=N;O=D">Name</a> <a href="/FTP/x/">Parent Directory</a> <a href="PPS/">PPS/</a>'
    >>> parse_listing(page, "https://host/FTP/x/0404910601/")
    [Entry(name='PPS', is_dir=True)]
    """
    # Latin-1 never fails, and names beyond ASCII are refused anyway.
    text = html.decode("latin-1") if isinstance(html, bytes) else html
    links = _Links()
    links.feed(text)
    links.close()
    found: dict[str, Entry] = {}
    for href in links.hrefs:
        if (entry := _child(href, base_url)) is not None:
            found.setdefault(entry.name, entry)
    return list(found.values())


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.hrefs += [value for key, value in attrs if key == "href" and value][:1]


def _child(href: str, base_url: str) -> Entry | None:
    if any(ord(letter) < 0x20 or letter == "\\" for letter in href):
        return None  # urljoin would quietly drop some of them
    try:
        here, there = urlsplit(base_url), urlsplit(urljoin(base_url, href))
    except ValueError:
        return None
    same_place = (here.scheme, here.netloc) == (there.scheme, there.netloc)
    if not same_place or "?" in href or "#" in href or not there.path.startswith(here.path):
        return None
    quoted = there.path[len(here.path) :]
    name = unquote_to_bytes(quoted.removesuffix("/")).decode("latin-1")
    return Entry(name, quoted.endswith("/")) if safe_name(name) else None


def child_url(directory: str, path: str) -> str:
    """Address of a file below a directory; `path` has forward slashes and safe names.

    Raises
    ------
    DataError
        A component of the path is no safe name.
    """
    if not all(safe_name(name) for name in path.split("/")):
        raise DataError("hostile-name", f"{path!r} cannot be a path of an archive file", remedy="do not use the file")
    return directory.rstrip("/") + "/" + quote(path, safe="/+,=@~")


def list_directory(connection: Connection, url: str) -> list[Entry] | None:
    """The children of a directory on the server; None where it does not exist.

    Raises
    ------
    ServiceError
        The service cannot be reached: what the directory holds is unknown.
    DataError
        The page is no directory listing, or not whole.
    """
    address = url.rstrip("/") + "/"
    page = read_text(connection, address)
    if page is None:
        return None
    # A maintenance page answered with 200 must not pass for an empty directory, nor half a listing for a whole one.
    if not _INDEX_TITLE.search(page) or b"</html" not in page[-512:].lower():
        raise DataError(
            "listing",
            f"{address} was not answered with a directory listing",
            remedy="look at the address in a browser, and run `daxa run` again later",
        )
    return parse_listing(page, address)
