"""Observations that lie in one tar file for a whole field: fetched once, and taken out of it one by one."""

from __future__ import annotations

import errno
import gzip
import os
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from filelock import FileLock

from daxa.errors import DataError, DaxaError, ServiceError, StorageError
from daxa.fetch.field_files import obtain_field
from daxa.fetch.field_index import FIELDS
from daxa.fetch.field_tar import extract_member, list_members
from daxa.fetch.locations import ObservationRef
from daxa.fetch.observation import fetch_observation, restore_observation
from daxa.fetch.obtain import FetchContext
from daxa.fetch.parts import part_of
from daxa.fetch.replaced_files import Fetched, find_replaced
from daxa.fetch.store import Store
from daxa.missions import find_mission
from daxa.run.task import ProductFile
from daxa.settings import load_settings
from daxa.simulator.calpv import FIELD_FILE, member_of, pack_field
from daxa.simulator.faults import Fault
from daxa.simulator.server import Observatory
from tests.fetch.conftest import HASTE, connected, events_file, sha256, tree
from tests.fetch.tar_blocks import END, header, stored

SPEC = find_mission("erosita_calpv")
ONE, OTHER = "700180", "700181"
PLACE = SPEC.directory_of(ONE)


def a_list(obs_id: str, seed: int = 0) -> bytes:
    return gzip.decompress(events_file(seed, 3000, obs_id))


@pytest.fixture(scope="module")
def lists() -> dict[str, bytes]:
    return {member_of(obs_id): a_list(obs_id, seed) for seed, obs_id in enumerate((ONE, OTHER))}


class Field:
    """The file of a field at an archive, and fetching from it."""

    def __init__(self, archive: Observatory, tmp_path) -> None:
        self.archive, self.root = archive, tmp_path
        environ = {
            **archive.environ,
            "DAXA_STORE": str(tmp_path / "store"),
            "DAXA_MIRRORS_EROSITA_CALPV": archive.environ["DAXA_HEASARC_TREE"],
        }
        self.settings = replace(load_settings(environ=environ, user_file=None), connect_timeout=2.0, read_timeout=5.0)
        self.log: list[str] = []

    def serve(self, content: bytes, seconds: int = 1_600_000_000) -> None:
        path = self.archive.root / PLACE / FIELD_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (seconds, seconds))

    def fetch(self, obs_id: str = ONE, extra=()):
        target = self.root / f"out-{obs_id}"
        target.mkdir(exist_ok=True)
        found = fetch_observation(
            ObservationRef(SPEC, obs_id), SPEC.default_instruments, extra,
            target=target, parts=self.root / "parts" / obs_id, settings=self.settings, patience=HASTE,
            say=self.log.append,
        )  # fmt: skip
        return target, found

    def downloads(self) -> int:
        """How often the whole file arrived."""
        return sum(line.startswith(f"{FIELD_FILE}: ") and line.endswith(" downloaded") for line in self.log)


@pytest.fixture
def field(tmp_path, lists):
    with Observatory(tmp_path / "tree", {}) as archive:
        made = Field(archive, tmp_path)
        made.serve(pack_field([("README", b"read me\n"), *lists.items()]))
        yield made


def test_the_observations_of_a_field_share_one_download(field, lists):
    for obs_id in (ONE, OTHER):
        target, (arrival,) = field.fetch(obs_id)
        content = lists[member_of(obs_id)]
        assert tree(target) == {member_of(obs_id): content}
        assert arrival.url == f"{field.archive.url}/FTP/{PLACE}/{FIELD_FILE}#/{member_of(obs_id)}"
        assert (arrival.path, arrival.size, arrival.sha256) == (member_of(obs_id), len(content), sha256(content))
        assert arrival.etag
        assert arrival.last_modified
    assert field.downloads() == 1
    packed = (field.archive.root / PLACE / FIELD_FILE).read_bytes()
    assert sum(f"{FIELD_FILE}: SHA-256 {sha256(packed)}" in line for line in field.log) == 2
    assert Store(field.settings.store).check(sha256(packed))
    assert not any(field.root.glob("parts/*/*"))
    assert {path.suffix for path in (field.settings.store / "fields").iterdir()} <= {".lock", ".contents"}


def test_tasks_that_need_the_field_at_once_wait_for_one_of_them(field):
    field.archive.faults.add(Fault("slow", f"*{FIELD_FILE}", value=0.02))
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda obs_id: field.fetch(obs_id)[1][0].path, (ONE, OTHER)))
    assert found == [member_of(ONE), member_of(OTHER)]
    assert field.downloads() == 1


def test_a_download_that_broke_off_goes_on_in_another_observations_task(field):
    field.archive.faults.add(Fault("cut", f"*{FIELD_FILE}", value=10_000))
    with pytest.raises(DaxaError, match=r"arrived|closed|peer|bytes"):
        field.fetch(ONE)
    assert any((field.settings.store / "fields").glob("*.part"))
    field.archive.faults.clear()
    field.archive.requests.clear()
    assert field.fetch(OTHER)[1][0].path == member_of(OTHER)
    asked = [one.range for one in field.archive.requests if one.path.endswith(FIELD_FILE)]
    assert asked[0].startswith("bytes=")
    assert field.downloads() == 1


def test_a_list_comes_back_from_the_file_of_the_field_if_it_is_still_the_same(field, lists):
    target, (arrival,) = field.fetch()
    known = ProductFile(arrival.path, arrival.size, arrival.sha256, arrival.sha256)

    def lose():
        (target / arrival.path).unlink()
        Store(field.settings.store).path(arrival.sha256).unlink()

    def restore():
        return restore_observation(
            ObservationRef(SPEC, ONE), [known], target=target, parts=field.root / "parts", settings=field.settings,
            patience=HASTE, say=field.log.append,
        )  # fmt: skip

    lose()
    (again,) = restore()
    assert again.sha256 == arrival.sha256
    assert field.downloads() == 1
    lose()
    field.serve(pack_field([(member_of(ONE), a_list(ONE, 7))]), 1_700_000_000)
    with pytest.raises(DataError, match="has changed in the archive"):
        restore()
    assert tree(target) == {}
    field.serve(pack_field([(member_of(OTHER), lists[member_of(OTHER)])]), 1_700_000_001)
    with pytest.raises(DataError, match="does not contain"):
        restore()


def test_a_field_that_was_packed_anew_replaces_only_what_differs(field, lists):
    target, arrivals = field.fetch()
    rows = [ProductFile(one.path, one.size, one.sha256, one.sha256) for one in arrivals]
    known = Fetched(rows, {one.path: one for one in arrivals}, target)

    def replaced():
        return find_replaced(
            ObservationRef(SPEC, ONE), SPEC.default_instruments, (), known, parts=field.root / "parts",
            settings=field.settings,
        )  # fmt: skip

    assert replaced() == []
    field.serve(pack_field([("NEW", b"more"), *lists.items()]), 1_700_000_000)
    assert replaced() == []
    fresh = a_list(ONE, 9)
    field.serve(pack_field([(member_of(ONE), fresh)]), 1_700_000_100)
    (one,) = replaced()
    assert (one.what, one.path, one.new_sha256) == ("replaced", member_of(ONE), sha256(fresh))


def test_a_copy_in_the_store_that_was_damaged_is_fetched_again(field):
    field.fetch()
    packed = Store(field.settings.store).path(sha256((field.archive.root / PLACE / FIELD_FILE).read_bytes()))
    packed.chmod(0o644)
    packed.write_bytes(b"x" * packed.stat().st_size)
    assert field.fetch(OTHER)[1][0].path == member_of(OTHER)
    assert field.downloads() == 2


def test_what_a_field_contains_is_read_once_and_a_list_in_the_store_is_not_taken_out_again(field, monkeypatch):
    reads = []
    monkeypatch.setattr("daxa.fetch.field_files.list_members", lambda *a: reads.append(a) or list_members(*a))
    monkeypatch.setattr("daxa.fetch.obtain.extract_member", lambda *a, **k: reads.append(a) or extract_member(*a, **k))
    for obs_id in (ONE, OTHER, ONE):
        field.fetch(obs_id)
    assert len(reads) == 1 + 2
    (note,) = (field.settings.store / FIELDS).glob("*.contents")
    for bad in (b"{", b"[1]", b'{"../x": [1, "ab"]}', b'{"x": [1, 2]}', b'{"x": 1}'):
        note.write_bytes(bad)
        assert field.fetch(OTHER)[1][0].path == member_of(OTHER)
        assert bad != note.read_bytes()
    assert len(reads) == 3 + 5


def test_a_disk_that_is_full_at_any_moment_loses_nothing(field, lists, monkeypatch):
    sync = os.fsync

    def fetch(moment: int) -> None:
        calls = []

        def full(descriptor):
            calls.append(descriptor)
            if len(calls) == moment:
                raise OSError(errno.ENOSPC, "No space left on device")
            sync(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            field.fetch()

    failed = 0
    for moment in range(1, 30):
        try:
            fetch(moment)
            break
        except StorageError as error:
            assert error.code == "storage.full"
            assert tree(field.root / f"out-{ONE}") == {}
            failed += 1
    assert 3 <= failed < 29, "the tar file, what it contains, and the list were written one after the other"
    assert tree(field.root / f"out-{ONE}") == {INNER: lists[INNER]}


def test_what_a_kill_leaves_is_replaced(field, lists):
    field.fetch(OTHER)
    (note,) = (field.settings.store / FIELDS).glob("*.contents")
    note.unlink()
    note.with_name(f"{note.name}.part").write_bytes(b"{")
    url = f"{connected(field.settings).mirror.root}/{PLACE}/{FIELD_FILE}#/{INNER}"
    part = part_of(field.root / "parts" / ONE, url)
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(lists[INNER][:5000])
    assert tree(field.fetch()[0]) == {INNER: lists[INNER]}
    assert not part.exists()
    assert {path.suffix for path in note.parent.iterdir()} <= {".lock", ".contents"}


def test_a_list_that_is_not_what_was_noted_of_the_file_of_the_field_is_refused(field, monkeypatch):
    def altered(*names, **limits):
        size = extract_member(*names, **limits)
        content = names[3].read_bytes()
        names[3].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        return size

    monkeypatch.setattr("daxa.fetch.obtain.extract_member", altered)
    with pytest.raises(DataError, match="altered while it was read"):
        field.fetch()
    assert tree(field.root / f"out-{ONE}") == {}
    monkeypatch.undo()
    assert field.fetch()[1][0].path == member_of(ONE)


def test_a_link_in_the_place_of_what_the_store_keeps_is_not_followed(field, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / FIELDS).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="link"):
        field.fetch()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_file_of_a_field_that_vanishes_meanwhile_is_an_error_of_the_store(field, monkeypatch):
    def lose(place, *_):
        place.unlink()
        return list_members(place, place.name)

    monkeypatch.setattr("daxa.fetch.field_files.list_members", lose)
    with pytest.raises(StorageError, match="cannot be used"):
        field.fetch()


def test_who_waits_for_another_task_says_so_and_can_be_stopped(field):
    store = Store(field.settings.store)
    connection = connected(field.settings)
    context = FetchContext(connection, store, field.root / "out", field.root / "parts", field.log.append)
    url = f"{connection.mirror.root}/{PLACE}/{FIELD_FILE}"
    (store.root / FIELDS).mkdir(parents=True)
    lock = FileLock(store.root / FIELDS / f"{sha256(url.encode())[:40]}.lock")
    with lock, ThreadPoolExecutor(1) as pool:
        running = pool.submit(obtain_field, context, ObservationRef(SPEC, ONE))
        while not field.log and not running.done():
            time.sleep(0.05)
        connection.stop.set()
        with pytest.raises(ServiceError, match="stopped"):
            running.result()
    assert field.log == [f"{FIELD_FILE}: waiting for another task that fetches it"]
    assert not field.archive.requests


def test_an_observation_of_no_field_and_one_that_its_field_lacks_are_absent(field, lists):
    with pytest.raises(DataError, match="no field of eROSITA CalPV is known to contain 123456"):
        field.fetch("123456")
    assert not field.archive.requests
    field.serve(pack_field([(member_of(OTHER), lists[member_of(OTHER)])]), 1_700_000_000)
    with pytest.raises(DataError, match="has no events file"):
        field.fetch(ONE)


GOOD = stored(member_of(ONE), b"SIMPLE")
INNER = member_of(ONE)

ATTACKS = {
    "out of the folder": (stored("../../evil", b"x") + GOOD + END, "does not belong there"),
    "out of it from within": (stored("a/../../evil", b"x") + GOOD + END, "does not belong there"),
    "an absolute name": (stored("/evil", b"x") + GOOD + END, "does not belong there"),
    "a folder out of it": (header("../evil", kind=tarfile.DIRTYPE) + GOOD + END, "does not belong there"),
    "a link": (header(INNER, kind=tarfile.SYMTYPE, link="/etc/passwd") + END, "not a plain file"),
    "a hard link": (GOOD + header("b", kind=tarfile.LNKTYPE, link=INNER) + END, "not a plain file"),
    "a device": (GOOD + header("b", kind=tarfile.CHRTYPE) + END, "not a plain file"),
    "a pipe": (GOOD + header("b", kind=tarfile.FIFOTYPE) + END, "not a plain file"),
    "a long name of zeros": (header("././@LongLink", 300, tarfile.GNUTYPE_LONGNAME) + bytes(512) + END, "zeros"),
    "an extended header of zeros": (header("pax", 30, tarfile.XHDTYPE) + bytes(512) + END, "extended header in it is"),
    "a sparse file": (header(INNER, 512, tarfile.GNUTYPE_SPARSE) + bytes(512) + END, "not a plain file"),
    "a folder with content": (header("a", 512, tarfile.DIRTYPE) + GOOD + END, "not a plain file"),
    "twice": (GOOD + GOOD + END, "twice"),
    "twice, written differently": (GOOD + stored(f"./{INNER}", b"other") + END, "twice"),
    "in two folders": (GOOD + stored(f"b/{INNER.rpartition('/')[2]}", b"other") + END, "in two folders"),
    "a huge size": (header(INNER, 1 << 50) + bytes(512) + END, "said to have"),
    "a size beyond the end": (header(INNER, 1 << 30) + bytes(512) + END, "ends within"),
    "a negative size": (GOOD[:124] + b"\xff" * 12 + GOOD[136:] + END, "a header in it is wrong"),
    "a wrong sum": (GOOD[:10] + b"X" + GOOD[11:] + END, "a header in it is wrong"),
    "no end": (GOOD, "ends too early"),
    "something after the end": (GOOD + END + b"#!/bin/sh", "after its end"),
    "packed twice": (gzip.compress(GOOD + END, 1, mtime=0), "ends too early"),
    "no tar": (b"%PDF-1.4" + bytes(2000), "a header in it is wrong"),
    "not fits": (stored(INNER, b"hello world" * 300) + END, "does not begin as a FITS file"),
    "a page": (stored(INNER, b"<!DOCTYPE html><title>x</title>") + END, "is a web page"),
    "empty": (stored(INNER, b"") + END, "holds nothing"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_tar_brings_nothing(field, name):
    content, words = ATTACKS[name]
    field.serve(gzip.compress(content, 1, mtime=0))
    target = field.root / f"out-{ONE}"
    with pytest.raises(DataError, match=words) as raised:
        field.fetch()
    assert raised.value.remedy
    assert tree(target) == {}
    assert not list(field.root.rglob("*evil*"))
    assert not list(field.root.glob("parts/*/*.part"))


def test_a_list_of_another_observation_or_without_its_good_times_is_refused(field):
    field.serve(pack_field([(INNER, a_list(OTHER))]))
    with pytest.raises(DataError, match=f"belongs to observation '{OTHER}', not {ONE}"):
        field.fetch()
    whole = a_list(ONE)
    field.serve(pack_field([(INNER, whole[: whole.index(b"XTENSION", whole.index(b"XTENSION") + 1)])]), 1_700_000_000)
    with pytest.raises(DataError, match="has no table"):
        field.fetch()


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda content: content[:-2000], "ends in the middle of its gzip stream"),
    (lambda content: content[:500] + bytes(20) + content[520:], "does not decompress|cannot be used"),
    (lambda content: b"<!DOCTYPE html><title>moved</title>", "is a web page"),
    (lambda content: b"", "holds nothing"),
])  # fmt: skip
def test_a_file_of_a_field_that_is_not_whole_is_refused(field, lists, spoil, words):
    field.serve(spoil(pack_field(list(lists.items()))))
    with pytest.raises(DataError, match=words):
        field.fetch()


def test_a_bomb_ends_at_its_limit(field, monkeypatch):
    monkeypatch.setattr("daxa.fetch.content_check.unpacked_limit", lambda packed: 1 << 20)
    field.serve(pack_field([(INNER, bytes(4 << 20))]))
    with pytest.raises(DataError, match="unpacks to more than 1048576"):
        field.fetch()
