"""The store: contents by digest, shared, checked at every use."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from daxa.errors import DataError, StorageError
from daxa.fetch.parts import Transfer
from daxa.fetch.store import ContentOrigin, Store, digest_file
from tests.fetch.conftest import sha256


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


def put(store: Store, tmp_path: Path, content: bytes = b"photons") -> str:
    file = tmp_path / "incoming"
    file.write_bytes(content)
    digest = store.add(file)
    assert not file.exists()
    return digest


def corrupt(path: Path) -> None:
    """Change a byte, and nothing that `stat` shows."""
    before = path.stat()
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def test_add_and_link(store, tmp_path):
    digest = put(store, tmp_path)
    assert digest == sha256(b"photons")
    target = tmp_path / "data" / "obs" / "a.fits"
    assert store.link(digest, target)
    assert target.read_bytes() == b"photons"
    assert target.stat().st_mode & 0o222 == 0
    assert target.samefile(store.path(digest))


def test_a_target_that_exists_is_replaced_not_written_through(store, tmp_path):
    digest, other = put(store, tmp_path), put(store, tmp_path, b"other")
    target = tmp_path / "a.fits"
    assert store.link(other, target)
    assert store.link(digest, target)
    assert target.read_bytes() == b"photons"
    assert store.path(other).read_bytes() == b"other"


def test_the_same_content_is_kept_once(store, tmp_path):
    digest = put(store, tmp_path)
    inode = store.path(digest).stat().st_ino
    assert put(store, tmp_path) == digest
    assert store.path(digest).stat().st_ino == inode


def test_damage_is_noticed_though_size_and_time_are_the_same(store, tmp_path):
    digest = put(store, tmp_path)
    corrupt(store.path(digest))
    assert not store.link(digest, tmp_path / "a.fits")
    assert not (tmp_path / "a.fits").exists()
    assert not store.path(digest).exists()
    assert put(store, tmp_path) == digest
    assert store.check(digest)


@pytest.mark.parametrize("plant", ["link", "pipe", "directory-link"])
def test_foreign_content_is_set_aside(store, tmp_path, plant):
    digest = put(store, tmp_path)
    place = store.path(digest)
    good = tmp_path / "good"
    good.mkdir()
    if plant == "directory-link":
        place.rename(good / digest)
        place.parent.rmdir()
        place.parent.symlink_to(good)
        with pytest.raises(StorageError):
            store.check("0" * 64) or store.link(digest, tmp_path / "a.fits")
            put(store, tmp_path)
        return
    place.rename(good / digest)
    place.symlink_to(good / digest) if plant == "link" else os.mkfifo(place)
    assert not store.link(digest, tmp_path / "a.fits")
    assert not os.path.lexists(place)
    assert put(store, tmp_path) == digest
    assert store.link(digest, tmp_path / "a.fits")
    assert (good / digest).read_bytes() == b"photons"


def test_a_damaged_content_is_kept_for_who_wants_to_know(store, tmp_path):
    digest = put(store, tmp_path)
    corrupt(store.path(digest))
    assert not store.check(digest)
    assert (store.root / "damaged" / digest).read_bytes() != b"photons"


@pytest.mark.parametrize("name", ["sha256", "origins", "damaged"])
def test_a_store_in_two_places_is_refused(store, tmp_path, name):
    (tmp_path / "theirs").mkdir()
    store.root.mkdir()
    (store.root / name).symlink_to(tmp_path / "theirs")
    with pytest.raises(StorageError) as caught:
        put(store, tmp_path)
    assert caught.value.code == "storage.link"
    assert not list((tmp_path / "theirs").iterdir())


def test_a_store_may_be_a_link_as_a_whole(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "elsewhere")
    store = Store(tmp_path / "store")
    assert store.link(put(store, tmp_path), tmp_path / "a.fits")


def test_what_another_user_owns_is_copied_never_linked(store, tmp_path, monkeypatch):
    digest = put(store, tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert store.link(digest, tmp_path / "a.fits")
    assert (tmp_path / "a.fits").stat().st_nlink == 1
    assert (tmp_path / "a.fits").read_bytes() == b"photons"


def test_adding_repairs_a_damaged_content(store, tmp_path):
    digest = put(store, tmp_path)
    corrupt(store.path(digest))
    put(store, tmp_path)
    assert digest_file(store.path(digest)) == digest


def test_what_is_not_there(store, tmp_path):
    assert not store.check("ab" * 32)
    assert not store.link("ab" * 32, tmp_path / "a")


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "AB" * 32, "ab" * 31, "ab" * 32 + "\n"])
def test_only_digests_become_paths(store, digest):
    with pytest.raises(DataError):
        store.path(digest)


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_copies_where_links_are_not_possible(store, tmp_path, monkeypatch, code):
    def refuse(self, target):
        raise OSError(code, os.strerror(code))

    digest = put(store, tmp_path)
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    target = tmp_path / "a.fits"
    assert store.link(digest, target)
    assert target.read_bytes() == b"photons"
    assert target.stat().st_nlink == 1
    assert target.stat().st_mode & 0o222 == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_store_on_another_file_system(tmp_path):
    elsewhere = Path("/dev/shm")  # noqa: S108 - the usual second file system
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is only one file system to write to")
    import tempfile

    with tempfile.TemporaryDirectory(dir=elsewhere) as place:
        store = Store(Path(place) / "store")
        digest = put(store, tmp_path)
        assert store.link(digest, tmp_path / "a.fits")
        assert (tmp_path / "a.fits").read_bytes() == b"photons"


@pytest.mark.parametrize(
    ("code", "expected"),
    [(errno.ENOSPC, "storage.full"), (errno.EDQUOT, "storage.full"), (errno.EROFS, "storage.unusable")],
)
def test_trouble_with_the_disk_is_a_storage_error(store, tmp_path, monkeypatch, code, expected):
    def fail(self, target):
        raise OSError(code, os.strerror(code))

    (tmp_path / "incoming").write_bytes(b"photons")
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(StorageError) as caught:
        store.add(tmp_path / "incoming")
    assert caught.value.code == expected
    assert caught.value.environmental


def test_origins_are_remembered(store):
    origin = ContentOrigin(
        Transfer("https://h/a.fits", 7, '"e"', "Mon, 01 Jan 2024 00:00:00 GMT"), "ab" * 32, "2024-01-02"
    )
    store.remember(origin)
    assert store.recall("https://h/a.fits") == origin
    assert store.recall("https://h/b.fits") is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"transfer": 1}', '{"transfer": {"url": "https://h/a.fits"}}', "\xff\xfe"],
)
def test_spoilt_origins_are_forgotten(store, text):
    origin = ContentOrigin(Transfer("https://h/a.fits", 7), "ab" * 32, "2024-01-02")
    store.remember(origin)
    (note,) = (store.root / "origins").rglob("*.json")
    note.write_bytes(text.encode("latin-1"))
    assert store.recall("https://h/a.fits") is None


def test_an_origin_that_would_break_a_header_is_forgotten(store):
    store.remember(ContentOrigin(Transfer("https://h/a.fits", 7, '"e"\r\nX-Evil: 1'), "ab" * 32, "2024-01-02"))
    assert store.recall("https://h/a.fits") is None


ADD_AND_LINK = """
import sys
from pathlib import Path
from daxa.fetch.store import Store
root, place, number = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
store = Store(root)
for turn in range(60):
    file = place / f"in-{number}"
    file.write_bytes(bytes([turn % 5]) * 40000)
    digest = store.add(file)
    if turn % 7 == int(number):  # somebody damages a content now and then
        try:
            store.path(digest).chmod(0o644)
            store.path(digest).write_bytes(b"spoilt")
        except FileNotFoundError:
            pass
    store.link(digest, place / f"out-{number}-{turn}")
"""


def test_several_processes_share_a_store(store, tmp_path):
    running = [
        subprocess.Popen([sys.executable, "-c", ADD_AND_LINK, str(store.root), str(tmp_path), str(number)])
        for number in range(3)
    ]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    leftovers = [path.name for path in store.root.rglob(".*")]
    assert leftovers == []
    for turn in range(5):
        content = bytes([turn]) * 40000
        put(store, tmp_path, content)
        assert store.link(sha256(content), tmp_path / "last")
        assert (tmp_path / "last").read_bytes() == content
