"""Directory listings: the markup of Apache and nginx, and names that must not be trusted."""

from __future__ import annotations

import html
import string
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daxa.errors import DataError, ServiceError
from daxa.fetch.directories import list_directory
from daxa.fetch.listing import ListingEntry, child_url, parse_listing, safe_name
from tests.fetch.conftest import Served, cut, status

BASE = "https://heasarc.gsfc.nasa.gov/FTP/nustar/data/obs/01/3/30101031002/"

APACHE = b"""<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html>
 <head>
  <title>Index of /FTP/nustar/data/obs/01/3/30101031002</title>
 </head>
 <body>
<h1>Index of /FTP/nustar/data/obs/01/3/30101031002</h1>
<pre><img src="/icons/blank.gif" alt="Icon "> <a href="?C=N;O=D">Name</a>   <a href="?C=M;O=A">Last modified</a>  \
<a href="?C=S;O=A">Size</a>  <a href="?C=D;O=A">Description</a><hr><img src="/icons/back.gif" alt="[PARENTDIR]"> \
<a href="/FTP/nustar/data/obs/01/3/">Parent Directory</a>                     -
<img src="/icons/folder.gif" alt="[DIR]"> <a href="auxil/">auxil/</a>         2020-03-21 12:16    -
<img src="/icons/folder.gif" alt="[DIR]"> <a href="event_cl/">event_cl/</a>   2020-03-21 12:16    -
<img src="/icons/compressed.gif" alt="[   ]"> <a href="nu30101031002.cat.gz">nu3010..&gt;</a> 2020-03-21 12:16  3.4K
<hr></pre>
</body></html>
"""

LONG = "acisf18461N002_evt2_with_a_name_longer_than_fifty_characters.fits.gz"

NGINX = f"""<html>
<head><title>Index of /FTP/x/</title></head>
<body>
<h1>Index of /FTP/x/</h1><hr><pre><a href="../">../</a>
<a href="primary/">primary/</a>                                           01-Jan-2024 00:00                   -
<a href="{LONG}">{LONG[:47]}..&gt;</a> 01-Jan-2024 00:00             1584000
</pre><hr></body>
</html>
"""


def test_apache_listing():
    assert parse_listing(APACHE, BASE) == [
        ListingEntry("auxil", is_dir=True),
        ListingEntry("event_cl", is_dir=True),
        ListingEntry("nu30101031002.cat.gz", is_dir=False),
    ]


def test_nginx_listing_gives_whole_names():
    assert parse_listing(NGINX, "http://host/FTP/x/") == [
        ListingEntry("primary", is_dir=True),
        ListingEntry(LONG, is_dir=False),
    ]


@pytest.mark.parametrize(
    "href",
    [
        "../../etc/passwd",
        "..",
        "./",
        ".",
        "%2e%2e/",
        "%2e%2e%2fevil",
        "a%2fb",
        "a%5cb",
        "a\\b",
        "sub/deeper.fits",
        ".hidden",
        "%2ehidden",
        "-rf",
        "a%00b",
        "a%0ab",
        "a%20b",
        "a%7fb",
        "caf%c3%a9",
        "a" * 256,
        "//evil.example/FTP/x/a.fits",
        "https://evil.example/FTP/x/a.fits",
        "http://host:81/FTP/x/a.fits",
        "http://[broken",
        "ftp://host/FTP/x/a.fits",
        "javascript:alert(1)",
        "/FTP/xa.fits",
        "/FTP/",
        "a.fits?C=N",
        "a.fits#top",
        "java\tscript",
        "",
    ],
)
def test_hostile_links_are_refused(href):
    page = f'<a href="{html.escape(href)}">good.fits</a><a href="kept.fits">kept.fits</a>'
    assert parse_listing(page, "http://host/FTP/x/") == [ListingEntry("kept.fits", is_dir=False)]


def test_absolute_links_to_children_count_once():
    page = '<a href="/FTP/x/a.fits">1</a><a href="a.fits">2</a><a href="http://host/FTP/x/a.fits">3</a>'
    assert parse_listing(page, "http://host/FTP/x/") == [ListingEntry("a.fits", is_dir=False)]


NAMES = st.text(string.ascii_letters + string.digits + "_.+-=~@,", min_size=1, max_size=40).filter(safe_name)


@given(st.dictionaries(NAMES, st.booleans(), max_size=12))
def test_every_safe_name_comes_back(names):
    links = "\n".join(
        f'<img src="x"> <a href="{html.escape(quote(name))}{"/" * is_dir}">{html.escape(name[:20])}..&gt;</a>  3.4K'
        for name, is_dir in names.items()
    )
    page = f'<html><a href="?C=N;O=D">Name</a><a href="/FTP/">Parent Directory</a>{links}</html>'
    found = parse_listing(page.encode(), "http://host/FTP/x/")
    assert {entry.name: entry.is_dir for entry in found} == names


@given(st.lists(st.text(max_size=30), max_size=8), st.text(max_size=80))
def test_nothing_unsafe_ever_comes_out(hrefs, around):
    page = around + "".join(f'<a href="{href}">x</a>' for href in hrefs)
    for entry in parse_listing(page, "http://host/FTP/x/"):
        assert safe_name(entry.name)
        assert child_url("http://host/FTP/x", entry.name).startswith("http://host/FTP/x/")


def test_a_path_is_checked_again_before_it_becomes_an_address():
    with pytest.raises(DataError) as caught:
        child_url("http://host/FTP/x", "PPS/../../secret")
    assert caught.value.code == "data.hostile-name"


def test_a_missing_directory_is_nothing(server, connection):
    assert list_directory(connection, f"{server.url}/FTP/none") is None


def test_a_failing_server_is_not_an_empty_directory(server, connection):
    server.files["/FTP/x/"] = Served(b"", script=[status(503)] * 10)
    server.files["/FTP/"].script += [status(503)] * 10
    with pytest.raises(ServiceError) as caught:
        list_directory(connection, f"{server.url}/FTP/x")
    assert caught.value.code == "service.unreachable"


def test_a_page_that_is_not_a_listing_is_not_an_empty_directory(server, connection):
    server.files["/FTP/x/"] = Served(b"<html><title>Scheduled maintenance</title><a href='a.fits'>a</a></html>")
    with pytest.raises(DataError) as caught:
        list_directory(connection, f"{server.url}/FTP/x")
    assert caught.value.code == "data.listing"


def test_half_a_listing_is_requested_again(server, connection):
    page = Served(APACHE)
    page.script = [cut(page, len(APACHE) // 2)]
    server.files["/FTP/x/"] = page
    names = [entry.name for entry in list_directory(connection, f"{server.url}/FTP/x")]
    assert names == ["auxil", "event_cl", "nu30101031002.cat.gz"]
    assert server.statuses("/FTP/x/") == [200, 200]


def sizes(page: bytes | str, url: str) -> dict[str, int]:
    return {entry.name: entry.most for entry in parse_listing(page, url)}


def test_sizes_are_limits():
    assert sizes(APACHE, BASE) == {"auxil": 0, "event_cl": 0, "nu30101031002.cat.gz": int(3.5 * 1024)}
    assert sizes(NGINX, "http://host/FTP/x/") == {"primary": 0, LONG: 1584000}


@given(st.integers(0, 1 << 50))
def test_no_rounded_size_is_less_than_the_size(size):
    from daxa.simulator.listings import rounded_size

    page = f'<a href="a.gz">a.gz</a>   2020-03-21 12:16  {rounded_size(size)}  '
    (most,) = sizes(page, "http://host/FTP/x/").values()
    assert size <= most <= max(size * 1.2, size + 1)


CLOSED = '<html><title>Index of /x</title><pre><a href="a.gz">a</a> 1K\n<a href="b.gz">b</a> 2K\n</pre></html>\n'


@pytest.mark.parametrize(
    "page",
    [
        CLOSED[:-9],
        CLOSED.replace("</pre>", ""),
        CLOSED.replace('<a href="b', '<!-- <a href="b'),
        CLOSED.replace('<a href="b', '<!-- <a href="b').replace("</pre>", "</pre> -->"),
        CLOSED.replace('<a href="b', '<! <a href="b'),
        CLOSED.replace('<a href="b', '<script><a href="b'),
        CLOSED.replace('<a href="b', "</html>"),
        CLOSED.replace("<pre>", "<table><pre>"),
        CLOSED + "<a href='c.gz'>",
        CLOSED + "<p",
        CLOSED.replace("</html>", "<!-- </html>"),
        CLOSED.replace("</html>", "</html"),
        CLOSED.replace('href="b', "href='b"),
    ],
)
def test_a_listing_that_does_not_close_is_not_valid(server, connection, page):
    server.files["/FTP/x/"] = Served(page.encode())
    with pytest.raises(DataError) as caught:
        list_directory(connection, f"{server.url}/FTP/x")
    assert caught.value.code == "data.listing"


def test_comments_and_blanks_around_a_whole_listing_do_no_harm(server, connection):
    page = f"<!-- header -->{CLOSED}<!-- served in 3 ms -->\n"
    server.files["/FTP/x/"] = Served(page.encode())
    assert len(list_directory(connection, f"{server.url}/FTP/x")) == 2


FRAGMENTS = ["<!--", "<!-- -->", "<a ", "<![", "</", "<!", "<?", "<a href='", '<a href="x" ', "&", "<", ">", "<a b=\"",
             "&#", "<script>", "<a/", "<a\n", "<a href=x>", "href=", "<a" + " " * 50, "\x00"]  # fmt: skip


@pytest.mark.parametrize("fragment", FRAGMENTS)
@pytest.mark.parametrize("end", ["", ">", "-->", "'\">"])
def test_no_page_takes_longer_than_its_length(fragment, end):
    begun = time.process_time()
    parse_listing(fragment * (300_000 // len(fragment)) + end, BASE)
    assert time.process_time() - begun < 60, "the parser of the library needs minutes for some of these"


def test_nor_does_the_look_at_its_title(server, connection):
    server.files["/FTP/x/"] = Served(b"<title" * 100_000)
    begun = time.process_time()
    with pytest.raises(DataError):
        list_directory(connection, f"{server.url}/FTP/x")
    assert time.process_time() - begun < 60
