"""Downloads against a server that does everything wrong."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from daxa.errors import DataError, ServiceError, StorageError
from daxa.fetch.connection import RetryPolicy
from daxa.fetch.parts import Part, Transfer, discard_part, part_of
from daxa.fetch.transfer import download
from tests.fetch.conftest import Served, behave, connected, cut, reply, status

CONTENT = bytes(range(256)) * 4000
PATH = "/FTP/a/file.fits.gz"


@pytest.fixture
def served(server) -> Served:
    server.files[PATH] = Served(CONTENT)
    return server.files[PATH]


class Place(NamedTuple):
    """What is downloaded, and where to."""

    url: str
    part: Path


@pytest.fixture
def place(tmp_path, server) -> Place:
    return Place(server.url + PATH, part_of(tmp_path / "parts", server.url + PATH))


def begin(place, store: Path, size: int = 1000, *, etag: str = '"one"', total: int = 0, content: bytes = CONTENT):
    """Leave what an interrupted download leaves."""
    place.part.parent.mkdir(exist_ok=True)
    of = Transfer(place.url, total or len(CONTENT), etag, "Mon, 01 Jan 2024 00:00:00 GMT")
    with Part(place.part, place.url, store).begin(of) as part:
        part.write(content[:size])


def test_a_plain_download(server, served, connection, place):
    told = download(connection, *place)
    assert place.part.read_bytes() == CONTENT
    assert told == Transfer(place.url, len(CONTENT), '"one"', "Mon, 01 Jan 2024 00:00:00 GMT")
    assert server.ranges(PATH) == [""]


def test_who_asks_and_how(server, served, connection, place):
    headers: dict[str, str] = {}
    served.script.append(lambda handler: (headers.update(handler.headers), behave(handler, served)))
    download(connection, *place)
    assert headers["User-Agent"].startswith("daxa/")
    assert headers["Accept-Encoding"] == "identity"


def test_a_download_that_was_cut_continues_where_it_stopped(server, served, connection, place):
    served.script = [cut(served, 400_000)]
    download(connection, *place)
    assert place.part.read_bytes() == CONTENT
    assert server.ranges(PATH) == ["", "bytes=400000-"]
    assert [condition for path, _, condition, _ in server.seen if path == PATH] == ["", '"one"']
    assert server.statuses(PATH) == [200, 206]


def test_another_process_continues(server, served, connection, place):
    begin(place, connection.settings.store, 123_456)
    download(connection, *place)
    assert place.part.read_bytes() == CONTENT
    assert server.ranges(PATH) == ["bytes=123456-"]


def test_a_complete_part_is_confirmed_not_downloaded(server, served, connection, place):
    begin(place, connection.settings.store, len(CONTENT))
    told = download(connection, *place)
    assert told.size == len(CONTENT)
    assert server.statuses(PATH) == [416]


def test_a_changed_file_begins_again(server, served, connection, place):
    begin(place, connection.settings.store, 5000, etag='"zero"', content=b"\0" * 5000)
    download(connection, *place)
    assert place.part.read_bytes() == CONTENT
    assert server.statuses(PATH) == [200]


def test_a_change_between_two_parts_begins_again(server, served, connection, place):
    new = bytes(reversed(CONTENT))

    def change(handler) -> None:
        cut(served, 400_000)(handler)
        served.content, served.etag = new, '"two"'

    served.script = [change]
    told = download(connection, *place)
    assert place.part.read_bytes() == new
    assert told.etag == '"two"'


def test_a_server_that_ignores_if_range_cannot_splice_two_versions(server, served, connection, place):
    served.etag, served.content = '"two"', bytes(reversed(CONTENT))

    def ignore(handler) -> None:
        headers = {"ETag": '"two"', "Content-Range": f"bytes 5000-{len(CONTENT) - 1}/{len(CONTENT)}"}
        reply(handler, 206, served.content[5000:], headers)

    begin(place, connection.settings.store, 5000)
    served.script = [ignore]
    download(connection, *place)
    assert place.part.read_bytes() == served.content
    assert server.statuses(PATH) == [206, 200]


@pytest.mark.parametrize(
    "content_range",
    ["", "bytes 0-99/1024000", "bytes 5000-9999/1024000", "bytes 5000-1023999/99", "chars 1-2/3", "bytes 5000-/*"],
)
def test_a_range_that_does_not_fit_begins_again(server, served, connection, place, content_range):
    begin(place, connection.settings.store, 5000)
    served.script = [lambda handler: reply(handler, 206, b"x" * 100, {"Content-Range": content_range})]
    download(connection, *place)
    assert place.part.read_bytes() == CONTENT


def test_a_server_without_ranges(server, served, connection, place):
    served.ranges = False
    served.script = [cut(served, 400_000)]
    download(connection, *place)
    assert place.part.read_bytes() == CONTENT
    assert server.statuses(PATH) == [200, 200]


def test_without_validators_nothing_is_continued(server, served, connection, place):
    served.etag = served.last_modified = ""
    served.script = [cut(served, 400_000)]
    download(connection, *place)
    assert place.part.read_bytes() == CONTENT
    assert server.ranges(PATH) == ["", ""]


def test_a_weak_etag_is_not_proof(server, served, connection, place):
    served.etag, served.last_modified = 'W/"one"', ""
    served.script = [cut(served, 400_000)]
    download(connection, *place)
    assert server.ranges(PATH) == ["", ""]


@pytest.mark.parametrize("note", ["", "{", "[1]", '{"url": "other"}', "null"])
def test_a_spoilt_note_begins_again(server, served, connection, place, note):
    begin(place, connection.settings.store, 5000, content=b"\0" * 5000)
    place.part.with_suffix(".json").write_text(note)
    download(connection, *place)
    assert place.part.read_bytes() == CONTENT
    assert server.ranges(PATH) == [""]


def test_a_part_that_is_too_long_begins_again(server, served, connection, place):
    begin(place, connection.settings.store, 5000, total=4000)
    download(connection, *place)
    assert place.part.read_bytes() == CONTENT


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
def test_passing_trouble_is_waited_for(server, served, connection, place, code):
    served.script = [status(code), status(code)]
    download(connection, *place)
    assert place.part.read_bytes() == CONTENT
    assert server.statuses(PATH) == [code, code, 200]


def test_retry_after_is_honoured(server, served, settings, place):
    patient = connected(settings, RetryPolicy(tries=3, first=0.001, longest=5.0))
    served.script = [status(503, {"Retry-After": "1"})]
    begun = time.monotonic()
    download(patient, *place)
    assert 1.0 <= time.monotonic() - begun < 3.0


def test_no_wait_is_longer_than_the_policy_allows():
    policy = RetryPolicy(first=0.5, longest=60.0)
    assert [policy.seconds(1, requested) for requested in (0.0, 59.0, 86400.0)] == [0.0, 59.0, 60.0]
    assert all(0.5 * policy.ceiling(n) <= policy.seconds(n) <= policy.ceiling(n) <= 60.0 for n in range(1, 40))


@pytest.mark.parametrize("text", ["999999", "in two days", "soon", "-1", ""])
def test_retry_after_is_bounded(server, served, connection, place, text):
    if text == "in two days":
        text = format_datetime(datetime.now(UTC) + timedelta(days=2), usegmt=True)
    served.script = [status(429, {"Retry-After": text})]
    begun = time.monotonic()
    download(connection, *place)
    assert time.monotonic() - begun < 2.0


def test_a_service_that_stays_down_stops_everything(server, served, connection, place):
    served.script = [cut(served, 400_000)] + [status(503)] * 20
    server.files["/FTP/"].script = [status(503)] * 20
    with pytest.raises(ServiceError) as caught:
        download(connection, *place)
    assert caught.value.code == "service.unreachable"
    assert "503" in caught.value.message
    assert place.part.stat().st_size == 400_000, "what has arrived is kept"


def test_one_file_that_is_never_served_concerns_one_observation(server, served, connection, place):
    served.script = [status(500)] * 20
    with pytest.raises(DataError) as caught:
        download(connection, *place)
    assert caught.value.code == "data.not-served"
    assert len(server.statuses(PATH)) == 4


def test_too_many_requests_concern_everything_only_where_nothing_else_is_served(server, served, connection, place):
    served.script = [status(429)] * 20
    with pytest.raises(DataError) as caught:
        download(connection, *place)
    assert caught.value.code == "data.not-served"
    assert "429" in caught.value.message
    server.files["/FTP/"].script = [status(429)] * 20
    with pytest.raises(ServiceError):
        download(connection, *place)


def test_nobody_listens(settings, tmp_path):
    nowhere = replace(settings, heasarc_tree="http://127.0.0.1:9/FTP")
    with pytest.raises(ServiceError) as caught:
        download(connected(nowhere, RetryPolicy(tries=2, first=0.001)), "http://127.0.0.1:9/FTP/a", tmp_path / "a.part")
    assert caught.value.environmental
    assert "127.0.0.1" in caught.value.message


@pytest.mark.parametrize(
    "answer",
    [(401, "proprietary"), (403, "proprietary"), (404, "absent"), (410, "absent"), (400, "refused"), (204, "refused")],
)
def test_final_answers_are_not_repeated(server, served, connection, place, answer):
    code, expected = answer
    body = b"" if code == 204 else b"<html>no</html>"
    served.script = [status(code, body=body)]
    with pytest.raises(DataError) as caught:
        download(connection, *place)
    assert caught.value.code == f"data.{expected}"
    assert "file.fits.gz" in caught.value.message
    assert server.statuses(PATH) == [code]


def test_a_length_that_is_too_large_never_passes(server, served, connection, place):
    def lie(handler) -> None:
        reply(handler, 200, CONTENT, {"ETag": '"one"'}, length=len(CONTENT) + 50)

    served.script = [lie] * 20
    with pytest.raises(DataError):
        download(connection, *place)


def test_a_length_that_was_too_large_once_is_forgiven(server, served, connection, place):
    served.script = [lambda handler: reply(handler, 200, CONTENT, {"ETag": '"one"'}, length=len(CONTENT) + 50)]
    download(connection, *place)
    assert place.part.read_bytes() == CONTENT


def test_no_length_at_all_is_refused(server, served, connection, place):
    served.script = [lambda handler: reply(handler, 200, CONTENT, length=-1)]
    with pytest.raises(DataError) as caught:
        download(connection, *place)
    assert caught.value.code == "data.no-length"


def chunked(content: bytes, *, whole: bool):
    def answer(handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(content), content) + (b"0\r\n\r\n" if whole else b""))
        handler.close_connection = True

    return answer


def test_chunks_prove_their_end(server, served, connection, place):
    served.script = [chunked(CONTENT[:1000], whole=False), chunked(CONTENT, whole=True)]
    told = download(connection, *place)
    assert place.part.read_bytes() == CONTENT
    assert told.size == len(CONTENT)


def test_a_recoded_body_is_refused(server, connection, tmp_path):
    server.files["/FTP/a.fits"] = Served(CONTENT)
    server.files["/FTP/a.fits"].script = [lambda handler: reply(handler, 200, CONTENT, {"Content-Encoding": "gzip"})]
    with pytest.raises(DataError) as caught:
        download(connection, f"{server.url}/FTP/a.fits", tmp_path / "a.part")
    assert caught.value.code == "data.recoded"


def test_a_stored_gz_called_encoded_is_taken_as_it_is(server, served, connection, place):
    served.script = [lambda handler: reply(handler, 200, CONTENT, {"Content-Encoding": "x-gzip"})]
    download(connection, *place)
    assert place.part.read_bytes() == CONTENT


def test_redirects_stay_in_the_house(server, served, connection, place):
    server.files["/FTP/moved"] = Served(b"", script=[status(302, {"Location": PATH})] * 2)
    download(connection, f"{server.url}/FTP/moved", place.part)
    assert place.part.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "location",
    [
        "http://evil.example/x",
        "https://user:word@127.0.0.1/x",
        "ftp://127.0.0.1/x",
        "//evil.example/x",
        "file:///etc/passwd",
        "http://[bad",
        "/FTP/loop",
    ],
)
def test_redirects_elsewhere_are_refused(server, connection, place, location):
    server.files["/FTP/loop"] = Served(b"", script=[status(302, {"Location": location})] * 20)
    with pytest.raises(DataError) as caught:
        download(connection, f"{server.url}/FTP/loop", place.part)
    assert caught.value.code == "data.redirected"


def test_silence_ends(server, served, settings, place):
    hasty = connected(replace(settings, read_timeout=0.2), RetryPolicy(tries=2, first=0.001))
    served.script = [lambda handler: time.sleep(0.6)]
    download(hasty, *place)
    assert place.part.read_bytes() == CONTENT


def test_a_drip_ends_and_goes_on_from_there(server, served, settings, place):
    def drip(handler) -> None:
        handler.send_response(200)
        for name, value in (("ETag", '"one"'), ("Content-Length", str(len(CONTENT)))):
            handler.send_header(name, value)
        handler.end_headers()
        for at in range(200):
            handler.wfile.write(CONTENT[at : at + 1])
            time.sleep(0.02)

    served.script = [drip]
    hasty = connected(replace(settings, read_timeout=0.3), RetryPolicy(tries=2, first=0.001))
    download(hasty, *place)
    assert place.part.read_bytes() == CONTENT
    assert server.statuses(PATH) == [200, 206]


def test_a_large_file_survives_many_short_connections(server, served, connection, place):
    served.content = CONTENT * 12
    step = 1_300_000

    def shortly(handler) -> None:
        first = int((handler.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        rest = served.content[first:]
        headers = {"ETag": '"one"', "Content-Range": f"bytes {first}-{len(served.content) - 1}/{len(served.content)}"}
        reply(handler, 206 if first else 200, rest[:step], headers, length=len(rest))

    served.script = [shortly] * 8
    download(connection, *place)
    assert place.part.read_bytes() == served.content
    assert len(server.statuses(PATH)) == 9, "more connections than tries"


def test_progress_is_reported(served, connection, place):
    told: list[tuple[int, int]] = []
    download(connection, *place, progress=lambda there, size: told.append((there, size)))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [there for there, _ in told] == sorted(there for there, _ in told)


def test_stopping_keeps_what_has_arrived(server, served, connection, place):
    stopping = replace(connection, stop=threading.Event())
    with pytest.raises(ServiceError) as caught:
        download(stopping, *place, progress=lambda there, size: stopping.stop.set())
    assert caught.value.code == "service.stopped"
    have = place.part.stat().st_size
    assert 0 < have < len(CONTENT)
    download(connection, *place)
    assert place.part.read_bytes() == CONTENT
    assert server.ranges(PATH)[-1] == f"bytes={have}-"


def test_stopping_ends_a_wait(served, settings, place):
    patient = replace(connected(settings, RetryPolicy(first=30.0)), stop=threading.Event())
    served.script = [status(503, {"Retry-After": "30"})]
    threading.Timer(0.2, patient.stop.set).start()
    begun = time.monotonic()
    with pytest.raises(ServiceError):
        download(patient, *place)
    assert time.monotonic() - begun < 5


def test_what_is_known_and_current_is_not_downloaded(server, served, connection, place):
    known = download(connection, *place)
    discard_part(place.part)
    again = download(connection, *place, known=known)
    assert again == replace(known, unchanged=True)
    assert server.statuses(PATH) == [200, 304]
    assert not place.part.exists()


def test_a_server_without_conditions_still_confirms(server, served, connection, place):
    known = download(connection, *place)
    discard_part(place.part)
    served.script = [lambda handler: reply(handler, 200, CONTENT, {"ETag": '"one"'})]
    assert download(connection, *place, known=known).unchanged
    assert not place.part.exists()


@pytest.mark.parametrize("change", [{"etag": '"two"'}, {"content": CONTENT[:-1], "etag": "", "last_modified": ""}])
def test_what_has_changed_is_downloaded(server, served, connection, place, change):
    known = download(connection, *place)
    discard_part(place.part)
    for name, value in change.items():
        setattr(served, name, value)
    assert not download(connection, *place, known=known).unchanged
    assert place.part.read_bytes() == served.content


def test_a_full_disk_is_said_before_it_is_full(served, connection, place, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(StorageError) as caught:
        download(connection, *place)
    assert caught.value.code == "storage.full"


def test_a_place_that_cannot_be_written(served, connection, place, tmp_path):
    (tmp_path / "parts").write_text("a file, not a directory")
    with pytest.raises(StorageError) as caught:
        download(connection, place.url, tmp_path / "parts" / "a.part")
    assert caught.value.code == "storage.unusable"
