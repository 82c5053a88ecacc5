from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from daxa.errors import DataError
from daxa.run import delivery
from daxa.run.hashes import HashCache, find_files, find_state
from daxa.run.task import LedgerRow, ProductFile, Task, canonical


def entry(path: str, content: bytes) -> ProductFile:
    digest = hashlib.sha256(content).hexdigest()
    return ProductFile(path, len(content), digest, digest)


CONTENT = {"PPS/list.dat": b"list", "events.dat": b"events", "manifest.json": b"{}"}
ROW = LedgerRow("0404910601", "done", files=tuple(entry(*item) for item in CONTENT.items()))


@pytest.fixture
def directory(tmp_path) -> Path:
    place = tmp_path / "0404910601"
    for name, content in CONTENT.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


def state(directory: Path, **options) -> str:
    return find_state(directory, ROW, HashCache(directory.parent / "hashes.json"), **options)


def test_what_is_as_recorded_is_intact(directory):
    assert state(directory) == "intact"


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


DAMAGES = {
    "other size": (lambda place: (place / "events.dat").write_bytes(b"more events"), "damaged"),
    "same size": (lambda place: (place / "events.dat").write_bytes(b"evenTs"), "damaged"),
    "replaced": (lambda place: replace(place / "events.dat", b"evenTs"), "damaged"),
    "truncated": (lambda place: os.truncate(place / "events.dat", 0), "damaged"),
    "missing": (lambda place: (place / "PPS" / "list.dat").unlink(), "missing"),
    "manifest missing": (lambda place: (place / "manifest.json").unlink(), "missing"),
    "unknown file": (lambda place: (place / "new.dat").write_bytes(b""), "damaged"),
    "hidden file": (lambda place: (place / ".hidden").write_bytes(b""), "damaged"),
    "a link in place of a file": (
        lambda place: ((place / "events.dat").rename(place.parent / "e"), (place / "events.dat").symlink_to("../e")),
        "damaged",
    ),
    "a pipe": (lambda place: os.mkfifo(place / "pipe"), "damaged"),
    "a directory that is a link": (
        lambda place: (place.rename(place.parent / "x"), place.symlink_to("x")),
        "damaged",
    ),
    "a file in place of the directory": (
        lambda place: (place.rename(place.parent / "x"), place.write_bytes(b"")),
        "damaged",
    ),
    "a link to nowhere": (
        lambda place: (place.rename(place.parent / "x"), place.symlink_to("nowhere")),
        "damaged",
    ),
    "nothing": (lambda place: place.rename(place.parent / "x"), "absent"),
    "an empty directory": (lambda place: (place.rename(place.parent / "x"), place.mkdir()), "absent"),
}


@pytest.mark.parametrize(("damage", "expected"), DAMAGES.values(), ids=DAMAGES)
def test_damages_are_seen_with_a_warm_cache(directory, damage, expected):
    hashes = HashCache(directory.parent / "hashes.json")
    assert find_state(directory, ROW, hashes) == "intact"
    hashes.save()
    damage(directory)
    assert state(directory) == expected


def test_setting_the_mode_as_dvc_does_costs_no_reading(directory, monkeypatch):
    hashes = HashCache(directory.parent / "hashes.json")
    assert find_state(directory, ROW, hashes) == "intact"
    hashes.save()
    before = (directory / "events.dat").stat().st_ctime_ns
    (directory / "events.dat").chmod(0o664)
    assert (directory / "events.dat").stat().st_ctime_ns != before
    monkeypatch.setattr(hashlib, "file_digest", lambda *args: pytest.fail("read again"))
    assert state(directory) == "intact"


@pytest.mark.parametrize(("keep", "expected"), [
    (("PPS/list.dat", "events.dat", "manifest.json"), "intact"),
    (("PPS/list.dat", "events.dat"), "intact"),
    (("events.dat",), "damaged"),
    (("manifest.json",), "damaged"),
    ((), "absent"),
])  # fmt: skip
def test_fetched_files_may_be_absent_as_a_whole(directory, keep, expected):
    for name in CONTENT.keys() - set(keep):
        (directory / name).unlink()
    assert state(directory, fetched=True) == expected


def test_an_unchanged_file_is_not_read_again(directory, monkeypatch):
    cache = directory.parent / "hashes.json"
    hashes = HashCache(cache)
    assert find_state(directory, ROW, hashes) == "intact"
    hashes.save()
    monkeypatch.setattr(hashlib, "file_digest", lambda *args: pytest.fail("read again"))
    assert state(directory) == "intact"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 5}', '{"a": [1, 2, 3, 4]}', "[" * 100000])
def test_an_unreadable_cache_is_an_empty_one(directory, content):
    (directory.parent / "hashes.json").write_text(content)
    assert state(directory) == "intact"


def test_a_forgotten_file_leaves_the_cache(directory):
    cache = directory.parent / "hashes.json"
    hashes = HashCache(cache)
    hashes.sha256(directory / "events.dat")
    hashes.save()
    again = HashCache(cache)
    again.sha256(directory / "manifest.json")
    again.save()
    assert list(json.loads(cache.read_text())) == [str(directory / "manifest.json")]


def test_names_that_no_product_may_have_are_named(directory):
    (directory / "x.dvc").write_text("outs:")
    with pytest.raises(DataError, match=r"x\.dvc"):
        find_files(directory)


def test_a_product_that_changes_while_it_is_read_is_not_recorded(directory, monkeypatch):
    """A tool that its task did not wait for still writes."""
    (directory / "manifest.json").unlink()
    read = delivery.file_digests

    def while_it_is_written(file: Path, path: str) -> ProductFile:
        found = read(file, path)
        if path == "events.dat":
            with file.open("ab") as stream:
                stream.write(b"one more")
        return found

    task = Task("xmm", "clean", "0404910601", "native", "1", canonical({}))
    monkeypatch.setattr(delivery, "file_digests", while_it_is_written)
    with pytest.raises(DataError, match=r"events\.dat changed while it was read"):
        delivery.collect_products(task, directory)
    monkeypatch.setattr(delivery, "file_digests", read)
    assert [file.path for file, _ in delivery.collect_products(task, directory)] == sorted(CONTENT)
