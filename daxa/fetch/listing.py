"""Read directory listings as Apache and nginx write them.

Only the addresses of links count: their texts may be abbreviated.  Sizes are rounded, and taken as limits.
Nothing in a listing is trusted until its name has passed `safe_name`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

from daxa.errors import DataError
from daxa.fetch.connection import Connection, read_text

__all__ = ["ListingEntry", "child_url", "incomplete_listing", "list_page", "parse_listing", "safe_name"]

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+~=,@-]{0,254}", re.ASCII)
# After the time of the last change: "3.4K" or " 12M" as Apache rounds, whole bytes as nginx.
_SIZE = re.compile(r"\d\d:\d\d(?::\d\d)?\s+(\d{1,15})(\.\d)?\s?([KMGTP]?)(?![\w.])", re.ASCII)
_TAG = re.compile(r"(/?)([A-Za-z][A-Za-z0-9]{0,20})", re.ASCII)
_HREF = re.compile(r"""\shref\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_BALANCED = ("pre", "table", "script", "style")
_LONGEST_TAG = 4096
_MOST_LINKS = 100_000
_INDEX_TITLE = re.compile(rb"<(?:title|h1)[^<>]*>\s*Index of\b", re.IGNORECASE)


@dataclass(frozen=True)
class ListingEntry:
    """A direct child of a directory.

    Parameters
    ----------
    name, is_dir
        What it is.
    most
        Bytes that it may have by what the listing says, which may be rounded; 0 where it says nothing.
    """

    name: str
    is_dir: bool
    most: int = field(default=0, compare=False, repr=False)


def safe_name(name: str) -> bool:
    """True for a name that may become one component of a path: plain ASCII, no separator, no leading dot or dash.

    Examples
    --------
    >>> safe_name("acisf18461N002_evt2.fits.gz"), safe_name(".."), safe_name("a/b")
    (True, False, False)
    """
    return _SAFE_NAME.fullmatch(name) is not None


def parse_listing(html: bytes | str, base_url: str) -> list[ListingEntry]:
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
    [ListingEntry(name='PPS', is_dir=True)]
    """
    return _entries(_read(html), base_url)


def _read(html: bytes | str) -> _Page:
    """Read a page in one pass, whatever is in it: the parser of the library takes minutes for some pages of 60 kB."""
    # Latin-1 never fails, and names beyond ASCII are refused anyway.
    text = html.decode("latin-1") if isinstance(html, bytes) else html
    page, at = _Page(), 0
    while not page.cut:
        start = text.find("<", at)
        page.take_text(text[at:start] if start >= 0 else text[at:])
        if start < 0:
            break
        if text.startswith("<!--", start):
            end = text.find("-->", start + 4)
            page.odd = page.odd or "href" in text[start:end].lower()
            page.cut, at = end < 0, end + 3
            continue
        after = text.find("<", start + 1)
        end = text.find(">", start, after if after >= 0 else len(text))
        if end >= 0:
            page.take_tag(text[start + 1 : end])
            at = end + 1
        else:
            page.odd, page.cut, at = True, after < 0, start + 1
    return page


def _entries(page: _Page, base_url: str) -> list[ListingEntry]:
    found: dict[str, ListingEntry] = {}
    for href, text in page.links:
        if (entry := _child(href, base_url)) is not None:
            found.setdefault(entry.name, ListingEntry(entry.name, entry.is_dir, _most("".join(text))))
    return list(found.values())


def _most(text: str) -> int:
    """The most bytes that a rounded size may mean.

    Examples
    --------
    >>> _most(" 2020-03-21 12:16  3.4K "), _most("01-Jan-2024 00:00   1584000"), _most("2020-03-21 12:16   -")
    (3584, 1584000, 0)
    """
    if not (found := _SIZE.search(text)):
        return 0
    whole, tenth, unit = found.groups()
    rounding = (0.1 if tenth else 1.0) if unit else 0.0
    return int((float(whole + (tenth or "")) + rounding) * 1024 ** " KMGTP".index(unit or " "))


@dataclass
class _Page:
    """Links with the text behind them, and whether the page is closed as it was opened.

    Attributes
    ----------
    links
        Address, and the pieces of text up to the next link.
    cut
        It ends within a tag or a comment, or has no end that matters.
    odd
        It hides links in a comment, goes on behind its end, or is not HTML.
    """

    links: list[tuple[str, list[str]]] = field(default_factory=list)
    cut: bool = False
    odd: bool = False
    ended: bool = False
    opened: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_BALANCED, 0))

    @property
    def whole(self) -> bool:
        """Whether nothing can be missing."""
        return self.ended and not (self.cut or self.odd or any(self.opened.values()))

    def take_text(self, text: str) -> None:
        """Text between two tags."""
        if text and not text.isspace():
            self.odd = self.odd or self.ended
            if self.links:
                self.links[-1][1].append(text)

    def take_tag(self, inside: str) -> None:
        """What is between the brackets of a tag."""
        if not (found := _TAG.match(inside)):
            return
        name = found[2].lower()
        self.odd = self.odd or self.ended
        if name in self.opened:
            self.opened[name] += -1 if found[1] else 1
        if found[1]:
            self.ended = self.ended or name == "html"
        elif name == "a" and not (self.opened["script"] or self.opened["style"]):
            if href := _HREF.search(inside[:_LONGEST_TAG]):
                self.links.append((unescape(href[1] or href[2] or href[3] or ""), []))
            elif "href" in inside.lower():
                self.odd = True
            self.cut = self.cut or len(self.links) > _MOST_LINKS


def _child(href: str, base_url: str) -> ListingEntry | None:
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
    return ListingEntry(name, quoted.endswith("/")) if safe_name(name) else None


def child_url(directory: str, path: str) -> str:
    """Address of a file below a directory; `path` has forward slashes and safe names.

    Raises
    ------
    DataError
        A component of the path is not a safe name.
    """
    if not all(safe_name(name) for name in path.split("/")):
        raise DataError("hostile-name", f"{path!r} cannot be the path of an archive file", remedy="do not use the file")
    return directory.rstrip("/") + "/" + quote(path, safe="/+,=@~")


def list_page(connection: Connection, url: str) -> list[ListingEntry] | None:
    """The children of a directory that the server shows as a page; None where it does not exist.

    Raises
    ------
    ServiceError
        The service cannot be reached: what the directory holds is unknown.
    DataError
        The page is not a directory listing, or not whole.
    """
    address = url.rstrip("/") + "/"
    page = read_text(connection, address)
    if page is None:
        return None
    read = _read(page)
    # A maintenance page answered with 200 must not pass for an empty directory, nor half a listing for a whole one.
    if not _INDEX_TITLE.search(page) or not read.whole:
        raise incomplete_listing(address)
    return _entries(read, address)


def incomplete_listing(address: str) -> DataError:
    """The error for an answer that is not a whole listing."""
    return DataError(
        "listing",
        f"{address} did not return a complete directory listing",
        remedy="look at the address in a browser, and run `daxa run` again later",
    )
