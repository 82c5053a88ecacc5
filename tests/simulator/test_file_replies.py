"""Listings, ranges and faults of the file tree."""

from __future__ import annotations

import gzip
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser

import httpx
import pytest

from daxa.simulator import Fault, Observatory
from daxa.simulator.listings import rounded_size

EVENTS = "/FTP/chandra/data/byobsid/1/90001/primary/acisf90001N001_evt2.fits.gz"


@pytest.fixture
def client(observatory):
    """An HTTP client of the observatory."""
    with httpx.Client(base_url=observatory.url, headers={"Accept-Encoding": "identity"}) as one:
        yield one


@pytest.fixture
def whole(sky):
    """The bytes of a file as they are on disk."""
    return (sky.root / EVENTS.removeprefix("/FTP/")).read_bytes()


class Links(HTMLParser):
    """Every href of a page."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.found.append(dict(attrs)["href"])


def test_a_listing_names_what_is_there(client, sky):
    page = client.get("/FTP/chandra/data/byobsid/1//90001/primary/")
    links = Links(page.text).found
    assert [link for link in links if not link.startswith(("?", "/"))] == sorted(
        file.name for file in (sky.root / "chandra/data/byobsid/1/90001/primary").iterdir()
    )
    assert "/FTP/chandra/data/byobsid/1/90001/" in links
    assert sum(link.startswith("?C=") for link in links) == 4
    assert "<pre>" in page.text
    assert "[PARENTDIR]" in page.text


def test_a_listing_can_be_sorted_and_has_directories(client):
    names = Links(client.get("/FTP/chandra/data/byobsid/1/90001/").text).found
    assert names[-3:] == ["primary/", "secondary/", "00README"]
    turned = Links(client.get("/FTP/chandra/data/byobsid/1/90001/primary/?C=N;O=D").text).found
    assert turned[5:] == sorted(turned[5:], reverse=True)


def test_a_directory_without_a_slash_is_redirected(client):
    answer = client.get("/FTP/chandra/data")
    assert (answer.status_code, answer.headers["Location"]) == (301, "/FTP/chandra/data/")


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "  0 "), (972, "972 "), (973, "1.0K"), (3500, "3.4K"), (10137, "9.9K"), (10240, " 10K"), (996352, "1.0M")],
)
def test_sizes_are_rounded_as_apache_rounds_them(size, text):
    assert rounded_size(size) == text


def test_a_file_and_its_headers(client, whole):
    answer = client.get(EVENTS)
    assert answer.content == whole
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Type"] == "application/x-gzip"
    head = client.head(EVENTS)
    assert head.content == b""
    assert {name: head.headers[name] for name in ("ETag", "Last-Modified", "Content-Length")} == {
        name: answer.headers[name] for name in ("ETag", "Last-Modified", "Content-Length")
    }


@pytest.mark.parametrize(
    ("wanted", "part"),
    [("bytes=100-199", slice(100, 200)), ("bytes=1000-", slice(1000, None)), ("bytes=-50", slice(-50, None))],
)
def test_ranges(client, observatory, whole, wanted, part):
    answer = client.get(EVENTS, headers={"Range": wanted})
    assert answer.status_code == 206
    assert answer.content == whole[part]
    first, last, _ = part.indices(len(whole))
    assert answer.headers["Content-Range"] == f"bytes {first}-{last - 1}/{len(whole)}"
    assert observatory.requests[-1].range == wanted


def test_a_range_behind_the_end(client, whole):
    answer = client.get(EVENTS, headers={"Range": f"bytes={len(whole)}-"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(whole)}")


def test_if_range_gives_the_whole_file_when_it_changed(client, whole):
    headers = client.head(EVENTS).headers
    for good in (headers["ETag"], headers["Last-Modified"]):
        assert client.get(EVENTS, headers={"Range": "bytes=5-", "If-Range": good}).status_code == 206
    answer = client.get(EVENTS, headers={"Range": "bytes=5-", "If-Range": '"other"'})
    assert (answer.status_code, answer.content) == (200, whole)


@pytest.mark.parametrize("path", ["/FTP/%2e%2e/tables.json", "/FTP/..%2ftables.json", "/FTP/x/../../tables.json"])
def test_nothing_outside_the_tree_is_served(client, sky, path):
    assert (sky.root.parent / "tables.json").is_file()
    assert client.get(path).status_code == 404


def test_links_out_of_the_tree_are_not_followed(tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "way").symlink_to(tmp_path / "secret")
    with Observatory(tmp_path / "tree", {}) as server:
        assert httpx.get(f"{server.url}/FTP/way").status_code == 404


@pytest.mark.parametrize(
    ("kind", "status"), [("broken", 500), ("denied", 403), ("missing", 404), ("html", 200), ("busy", 503)]
)
def test_refusals_last_as_long_as_they_should(client, observatory, whole, kind, status):
    observatory.faults.add(Fault(kind, EVENTS, value=2, times=2))
    for _ in range(2):
        answer = client.get(EVENTS)
        assert answer.status_code == status
        assert answer.headers["Content-Type"].startswith("text/html")
        assert answer.headers.get("Retry-After") == ("2" if kind == "busy" else None)
    assert client.get(EVENTS).content == whole


def test_a_file_may_vanish_after_it_was_listed(client, observatory):
    observatory.faults.add(Fault("missing", EVENTS))
    assert EVENTS.rpartition("/")[2] in client.get(EVENTS.rpartition("/")[0] + "/").text
    assert client.get(EVENTS).status_code == 404
    observatory.faults.clear()
    assert client.get(EVENTS).status_code == 200


def test_a_cut_download_can_be_resumed(client, observatory, whole):
    observatory.faults.add(Fault("cut", "*_evt2*", value=300_000))
    got = bytearray()
    while len(got) < len(whole):
        headers = {"Range": f"bytes={len(got)}-"} if got else {}
        with client.stream("GET", EVENTS, headers=headers) as answer:
            expected = int(answer.headers["Content-Length"])
            assert expected == len(whole) - len(got)
            try:
                for chunk in answer.iter_raw():
                    got += chunk
            except httpx.RemoteProtocolError:
                assert expected > 300_000
    assert bytes(got) == whole
    assert len(observatory.requests) == -(-len(whole) // 300_000)


def test_without_ranges_everything_is_sent(client, observatory, whole):
    observatory.faults.add(Fault("no-range", "*"))
    answer = client.get(EVENTS, headers={"Range": "bytes=10-"})
    assert (answer.status_code, answer.content) == (200, whole)
    assert "Accept-Ranges" not in answer.headers


def test_a_length_too_long_breaks_and_one_too_short_deceives(client, observatory, whole):
    observatory.faults.add(Fault("wrong-length", EVENTS, value=10, times=1))
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(EVENTS)
    observatory.faults.add(Fault("wrong-length", EVENTS, value=-10, times=1))
    assert client.get(EVENTS).content == whole[:-10]


def test_a_garbled_file_has_its_length_but_not_its_checksum(client, observatory, whole):
    observatory.faults.add(Fault("garbled", EVENTS, value=200_000))
    content = client.get(EVENTS).content
    assert [i for i in range(len(whole)) if content[i] != whole[i]] == [200_000]
    with pytest.raises((OSError, EOFError, gzip.zlib.error)):
        gzip.decompress(content)
    tail = client.get(EVENTS, headers={"Range": "bytes=199990-"}).content
    assert tail[10] != whole[200_000]


def test_a_changing_file_never_satisfies_if_range(client, observatory):
    observatory.faults.add(Fault("changing", EVENTS))
    first = client.head(EVENTS).headers["ETag"]
    answer = client.get(EVENTS, headers={"Range": "bytes=5-", "If-Range": first})
    assert answer.status_code == 200
    assert answer.headers["ETag"] != first


def test_an_encoded_file_says_so(client, observatory, whole):
    observatory.faults.add(Fault("encoded", EVENTS))
    with client.stream("GET", EVENTS) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert b"".join(answer.iter_raw()) == whole


def test_silence_and_slowness(client, observatory, whole):
    observatory.faults.add(Fault("hang", EVENTS, value=5, times=1))
    with pytest.raises(httpx.ReadTimeout):
        client.get(EVENTS, timeout=0.2)
    observatory.faults.add(Fault("slow", EVENTS, value=0.02, times=1))
    begin = time.monotonic()
    assert client.get(EVENTS).content == whole
    assert time.monotonic() - begin > 0.02 * (len(whole) // 16384)


def test_faults_reach_the_other_services(client, observatory):
    observatory.faults.add(Fault("busy", "/xamin/vo/tap/sync", value=1, times=1))
    query = {"QUERY": "SELECT COUNT(*) FROM xmmmaster", "LANG": "ADQL"}
    assert client.post("/xamin/vo/tap/sync", data=query).status_code == 503
    assert client.post("/xamin/vo/tap/sync", data=query).status_code == 200
    assert [request.method for request in observatory.requests] == ["POST", "POST"]


def test_a_fault_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="there is no fault"):
        Fault("/FTP/*", "missing")


def test_a_sky_is_served_by_a_process_of_its_own(sky):
    program = (
        "import sys\nfrom pathlib import Path\nfrom daxa.simulator import build_sky, serve\n"
        "serve(build_sky(Path(sys.argv[1])), ready=lambda o: print(o.url, flush=True))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(sky.root.parents[1])], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert httpx.head(server.stdout.readline().strip() + EVENTS).status_code == 200
            server.send_signal(signal.SIGINT)
            assert server.wait(20) == 0
        finally:
            server.kill()
