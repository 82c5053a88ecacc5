"""Directories of buckets and of this machine: what they contain, and what must not be trusted."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daxa.addresses import Mirror
from daxa.errors import DataError, DaxaError, ServiceError
from daxa.fetch.connection import connect, read_text
from daxa.fetch.directories import list_directory, parse_bucket_page
from daxa.fetch.listing import ListingEntry, safe_name
from daxa.fetch.transfer import download
from daxa.fetch.wire import TooSlow
from tests.fetch.buckets import NAMESPACE, Bucket, running
from tests.fetch.conftest import HASTE, Served

PREFIX = "xmm/data/rev0/0404910601/PPS/"


def page(inside: str, *, prefix: str = PREFIX, cut: str = "false", after: str = "", head: str = "") -> bytes:
    following = f"<NextContinuationToken>{after}</NextContinuationToken>" if after else ""
    return (
        f'<?xml version="1.0"?>{head}<ListBucketResult xmlns="{NAMESPACE}"><Prefix>{prefix}</Prefix>'
        f"<IsTruncated>{cut}</IsTruncated>{following}{inside}</ListBucketResult>"
    ).encode()


def contents(key: str, size: str = "7") -> str:
    return f"<Contents><Key>{key}</Key><Size>{size}</Size></Contents>"


def names(body: bytes) -> list[str]:
    return [entry.name for entry in parse_bucket_page(body, PREFIX, "https://b.example/").entries]


@pytest.fixture
def bucket():
    objects = {f"{PREFIX}f{n}.FTZ": b"x" * n for n in range(5)}
    objects |= {f"{PREFIX}deep/er/g.FTZ": b"", "xmm/data/rev0/04049106010/PPS/other.FTZ": b"", f"{PREFIX}": b""}
    with running(Bucket(objects)) as serving:
        yield serving


def at(settings, root: str, listing: str = "s3"):
    return connect(settings, [Mirror(root, listing)], HASTE)


def test_a_bucket_is_read_page_after_page(bucket, settings):
    found = list_directory(at(settings, bucket.url), f"{bucket.url}/{PREFIX}")
    assert sorted(found, key=lambda one: one.name) == [
        ListingEntry("deep", True), *(ListingEntry(f"f{n}.FTZ", False) for n in range(5))
    ]  # fmt: skip
    assert {one.name: one.most for one in found if not one.is_dir} == {f"f{n}.FTZ": n for n in range(5)}
    assert len([path for path in bucket.seen if "list-type=2" in path]) == 4


def test_a_prefix_without_objects_is_not_a_directory(bucket, settings):
    assert list_directory(at(settings, bucket.url), f"{bucket.url}/nobody/there") is None
    bucket.objects["empty/"] = b""
    assert list_directory(at(settings, bucket.url), f"{bucket.url}/empty") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><title>Index of /</title></html>",
        page(contents(PREFIX + "a"))[:-25],
        page("", prefix="another/"),
        page("", cut="perhaps"),
        page("", cut="true"),
        page("", after="more"),
        page("<IsTruncated>true</IsTruncated>"),
        page(contents(PREFIX + "&a;"), head='<!DOCTYPE x [<!ENTITY a "aaaa">]>'),
        page("<a>" * 50 + "</a>" * 50),
        b"<Error><Code>NoSuchBucket</Code></Error>",
        page("").replace(b"ListBucketResult", b"ListAllMyBucketsResult"),
    ],
)
def test_what_is_not_a_whole_page_is_refused(body):
    with pytest.raises(DataError) as caught:
        names(body)
    assert caught.value.code == "data.listing"


@pytest.mark.parametrize(
    "key",
    [
        "another/prefix/a.FTZ",
        PREFIX + "../a.FTZ",
        PREFIX + "..",
        PREFIX + "sub/a.FTZ",
        PREFIX + ".hidden",
        PREFIX + "-rf",
        PREFIX + "a b",
        PREFIX + "a\u0000",
        PREFIX + "ü.FTZ",
        PREFIX + "a" * 300,
        PREFIX,
        "",
    ],
)
def test_foreign_and_climbing_keys_are_left_out(key):
    with_key = (
        page(contents(key) + contents(PREFIX + "good.FTZ")) if "\0" not in key else page(contents(PREFIX + "good.FTZ"))
    )
    assert names(with_key) == ["good.FTZ"]
    folder = page(f"<CommonPrefixes><Prefix>{key.replace(chr(0), '')}</Prefix></CommonPrefixes>")
    assert names(folder) == []


@pytest.mark.parametrize("size", ["", "-1", "1e9", "9" * 20, "٣", "0x10"])
def test_a_size_that_is_not_valid_leaves_the_object_out(size):
    assert names(page(contents(PREFIX + "a.FTZ", size))) == []


@given(st.binary(max_size=300))
def test_any_bytes_give_a_page_or_a_typed_error(body):
    try:
        found = names(page("").replace(b"</ListBucketResult>", body + b"</ListBucketResult>"))
    except DataError as error:
        assert error.code == "data.listing"
    else:
        assert all(map(safe_name, found))


def test_a_bucket_without_an_end_is_ended(bucket, settings, monkeypatch):
    monkeypatch.setattr(bucket, "listing", lambda prefix, token: page("", prefix=prefix, cut="true", after=f"{token}1"))
    with pytest.raises(DataError) as caught:
        list_directory(at(settings, bucket.url), f"{bucket.url}/{PREFIX}")
    assert caught.value.code == "data.listing"
    assert len(bucket.seen) == 100
    bucket.seen.clear()
    monkeypatch.setattr(bucket, "listing", lambda prefix, token: page("", prefix=prefix, cut="true", after="1"))
    with pytest.raises(DataError):
        list_directory(at(settings, bucket.url), f"{bucket.url}/{PREFIX}")
    assert len(bucket.seen) == 2


def test_a_page_that_is_too_long_is_refused(bucket, settings, monkeypatch):
    monkeypatch.setattr("daxa.fetch.directories._LARGEST_PAGE", 1000)
    monkeypatch.setattr(bucket, "listing", lambda prefix, token: page(" " * 2000, prefix=prefix))
    with pytest.raises(DataError) as caught:
        list_directory(at(settings, bucket.url), f"{bucket.url}/{PREFIX}")
    assert caught.value.code == "data.oversized"


def test_a_style_that_the_server_does_not_use_is_not_an_empty_directory(bucket, server, settings):
    with pytest.raises(DataError):
        list_directory(at(settings, bucket.url, "apache"), f"{bucket.url}/?list-type=2&prefix=a/")
    server.files["/"] = Served(b"<html><title>Index of /</title></html>")
    with pytest.raises(DataError) as caught:
        list_directory(at(settings, server.url), f"{server.url}/a")
    assert caught.value.code == "data.listing"


@pytest.fixture
def disk(tmp_path, settings):
    """A directory of this machine as a mirror, with what does not belong into one."""
    root = tmp_path / "disk with spaces"
    (root / "a" / "sub").mkdir(parents=True)
    (root / "a" / "f.fits").write_bytes(bytes(range(256)) * 40)
    for odd in (".hidden", "-rf", "a b", "ü"):
        (root / "a" / odd).write_bytes(b"")
    os.mkfifo(root / "a" / "pipe")
    (root / "a" / "dangling").symlink_to("/nowhere")
    return connect(settings, [Mirror(root.as_uri(), "local")], HASTE)


def test_a_directory_of_this_machine(disk):
    root = disk.mirror.root
    found = list_directory(disk, f"{root}/a")
    assert found == [ListingEntry("f.fits", False), ListingEntry("sub", True)]
    assert found[0].most == 10240
    assert list_directory(disk, f"{root}/b") is None
    assert list_directory(disk, f"{root}/a/f.fits") is None


def test_a_disk_that_is_not_mounted_is_not_reachable(settings, tmp_path):
    gone = connect(settings, [Mirror((tmp_path / "gone").as_uri(), "local")], HASTE)
    with pytest.raises(ServiceError) as caught:
        list_directory(gone, f"{gone.mirror.root}/a")
    assert caught.value.code == "service.unreachable"


def test_a_file_of_this_machine_is_downloaded_continued_and_known(disk, tmp_path):
    url, part = f"{disk.mirror.root}/a/f.fits", tmp_path / "parts" / "f.part"
    whole = download(disk, url, part)
    assert (part.stat().st_size, whole.size) == (10240, 10240)
    assert download(disk, url, tmp_path / "parts" / "g.part", known=whole).unchanged
    for path in ("b.fits", "pipe", "sub"):
        with pytest.raises(DaxaError):
            download(disk, f"{disk.mirror.root}/a/{path}", tmp_path / "parts" / "h.part")
    with pytest.raises(DataError) as caught:
        download(disk, url, tmp_path / "parts" / "i.part", most=100)
    assert caught.value.code == "data.oversized"


def test_a_file_of_this_machine_has_a_deadline(disk, monkeypatch):
    monkeypatch.setattr("daxa.fetch.wire._PIECE", 16)
    slow = replace(disk, settings=replace(disk.settings, answer_timeout=1e-9, minimum_rate=1e9), patience=HASTE)
    with pytest.raises(DaxaError) as caught:
        read_text(slow, f"{disk.mirror.root}/a/f.fits")
    assert TooSlow.__name__ in caught.value.message


NGINX = (
    "<html>\r\n<head><title>Index of /x/</title></head>\r\n<body>\r\n<h1>Index of /x/</h1><hr><pre>"
    '<a href="../">../</a>\r\n'
    '<a href="sub/">sub/</a>                                  01-Jan-2024 00:00                   -\r\n'
    '<a href="f.fits">f.fits</a>                              01-Jan-2024 00:00               10240\r\n'
    '<a href="/etc/passwd">passwd</a> <a href="https://h.example/x/g.fits">g</a> <a href="..%2fh.fits">h</a>\r\n'
    "</pre><hr></body>\r\n</html>\r\n"
)


def test_a_page_of_nginx_is_read_whole_or_not_at_all(server, settings):
    connection = at(settings, server.url, "nginx")
    server.files["/x/"] = Served(NGINX.encode())
    found = list_directory(connection, f"{server.url}/x")
    assert [(entry.name, entry.is_dir, entry.most) for entry in found] == [("sub", True, 0), ("f.fits", False, 10240)]
    assert list_directory(connection, f"{server.url}/y") is None
    for cut in range(0, NGINX.rindex("</html>"), 23):
        server.files["/x/"] = Served(NGINX[:cut].encode())
        with pytest.raises(DataError) as caught:
            list_directory(connection, f"{server.url}/x")
        assert caught.value.code == "data.listing"
