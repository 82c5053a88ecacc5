"""Parts of downloads: believed only if this user wrote them, and they are as they were written."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from daxa.errors import StorageError
from daxa.fetch.parts import Part, Transfer, part_of
from daxa.fetch.transfer import download
from tests.fetch.conftest import Served

CONTENT = bytes(range(256)) * 400
EVIL = b"attacker's events".ljust(len(CONTENT), b"!")
PATH = "/FTP/a/file.bin"


@pytest.fixture
def url(server) -> str:
    server.files[PATH] = Served(CONTENT)
    return server.url + PATH


@pytest.fixture
def part(tmp_path, url) -> Path:
    place = part_of(tmp_path / "parts", url)
    place.parent.mkdir()
    return place


def of(url: str) -> Transfer:
    return Transfer(url, len(CONTENT), '"one"', "Mon, 01 Jan 2024 00:00:00 GMT")


def write(part: Path, url: str, store: Path, content: bytes) -> None:
    with Part(part, url, store).begin(of(url)) as begun:
        begun.write(content)


def test_what_we_wrote_is_continued(server, connection, part, url):
    write(part, url, connection.settings.store, CONTENT[:5000])
    download(connection, url, part)
    assert part.read_bytes() == CONTENT
    assert server.ranges(PATH) == ["bytes=5000-"]


@pytest.mark.parametrize(
    "planted", [(size, signed) for size in (1000, len(CONTENT)) for signed in ("", "ab" * 32, "another's secret")]
)
def test_a_planted_part_is_not_believed(server, connection, part, url, planted):
    # Whole, it would be confirmed by 416 and never downloaded.
    size, signed = planted
    write(part, url, connection.settings.store.with_name("elsewhere"), EVIL[:size])
    note = json.loads(part.with_suffix(".json").read_text())
    if signed != "another's secret":
        note["mac"] = signed
        part.with_suffix(".json").write_text(json.dumps(note))
    download(connection, url, part)
    assert part.read_bytes() == CONTENT
    assert server.statuses(PATH) == [200]


def test_the_note_of_another_daxa_is_not_believed(server, connection, part, url):
    part.write_bytes(EVIL)
    part.with_suffix(".json").write_text(json.dumps(asdict(of(url)) | {"unchanged": False}))
    download(connection, url, part)
    assert part.read_bytes() == CONTENT
    assert server.ranges(PATH) == [""]


@pytest.mark.parametrize("alter", ["flip", "shorter", "swap"])
def test_an_altered_part_begins_again(server, connection, part, url, alter):
    write(part, url, connection.settings.store, CONTENT[:5000])
    changed = {"flip": b"\xff" + CONTENT[1:5000], "shorter": CONTENT[:4999], "swap": EVIL[:5000]}[alter]
    part.write_bytes(changed)
    download(connection, url, part)
    assert part.read_bytes() == CONTENT
    assert server.ranges(PATH) == [""]


def test_the_part_of_another_address_is_not_believed(server, connection, part, url):
    write(part, url + "x", connection.settings.store, EVIL[:5000])
    download(connection, url, part)
    assert part.read_bytes() == CONTENT


def test_what_came_after_the_last_note_is_received_again(server, connection, part, url):
    write(part, url, connection.settings.store, CONTENT[:5000])
    with part.open("ab") as file:
        file.write(EVIL[:3000])
    download(connection, url, part)
    assert part.read_bytes() == CONTENT
    assert server.ranges(PATH) == ["bytes=5000-"]


def test_nothing_is_written_through_links(server, connection, part, url, tmp_path):
    canary = tmp_path / "canary"
    for plant in (part.symlink_to, part.hardlink_to):
        canary.write_bytes(CONTENT[:5000])
        plant(canary)
        download(connection, url, part)
        assert canary.read_bytes() == CONTENT[:5000]
        assert part.read_bytes() == CONTENT
        assert not part.is_symlink()
        part.unlink()
    # A part of ours that somebody made one file with another.
    write(part, url, connection.settings.store, CONTENT[:5000])
    canary.unlink()
    canary.hardlink_to(part)
    with pytest.raises(StorageError):
        download(connection, url, part)
    assert canary.read_bytes() == CONTENT[:5000]


@pytest.mark.parametrize("suffix", [".part", ".json", ".new"])
def test_pipes_and_links_beside_a_part_do_no_harm(connection, part, url, tmp_path, suffix):
    (tmp_path / "canary").write_bytes(b"canary")
    for plant in (os.mkfifo, lambda path: path.symlink_to(tmp_path / "canary")):
        part.with_suffix(suffix).unlink(missing_ok=True)
        plant(part.with_suffix(suffix))
        download(connection, url, part)
        assert part.read_bytes() == CONTENT
        assert (tmp_path / "canary").read_bytes() == b"canary"


def test_a_directory_that_is_a_link_is_refused(server, connection, url, tmp_path):
    (tmp_path / "theirs").mkdir()
    part = part_of(tmp_path / "parts", url)
    canary = tmp_path / "theirs" / part.name
    canary.write_bytes(b"canary")
    part.parent.symlink_to(tmp_path / "theirs")
    with pytest.raises(StorageError) as caught:
        download(connection, url, part)
    assert caught.value.code == "storage.link"
    assert canary.read_bytes() == b"canary"
    assert server.statuses(PATH) == []


def test_only_the_user_can_read_the_secret(connection, part, url):
    store = connection.settings.store
    write(part, url, store, b"x")
    (key,) = store.glob("parts-*.key")
    assert key.stat().st_mode & 0o077 == 0
    before = key.read_bytes()
    write(part, url, store, b"x")
    assert key.read_bytes() == before
    key.write_bytes(b"short")
    write(part, url, store, b"x")
    assert len(key.read_bytes()) == len(before)
