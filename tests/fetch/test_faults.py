"""One observation's fault is its own: whatever is wrong with one file, the others are fetched."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from daxa.errors import DataError, ServiceError, StorageError
from daxa.fetch import file_sizes
from daxa.fetch.locations import ObservationRef
from daxa.fetch.observation import fetch_observation
from daxa.missions import find_mission
from daxa.settings import load_settings
from daxa.simulator.faults import Fault
from daxa.simulator.server import Observatory
from tests.fetch.conftest import HASTE, events_file, tree

NUSTAR = find_mission("nustar")
BAD, GOOD = "30101031002", "30101031004"
FILE = f"*nu{BAD}A01_cl.evt.gz"
LISTING = f"*/{BAD}/event_cl/"
FAR = "Wed, 01 Jan 99999999999999999999 00:00:00 GMT"


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    """Two observations of NuSTAR, served for all tests of this file."""
    root = tmp_path_factory.mktemp("tree")
    for number, obs_id in enumerate((BAD, GOOD)):
        for letter in "AB":
            path = root / NUSTAR.directory_of(obs_id) / f"event_cl/nu{obs_id}{letter}01_cl.evt.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(events_file(number * 2 + (letter == "B"), 4000, obs_id))
    with Observatory(root, {"numaster": [{"obsid": BAD}, {"obsid": GOOD}]}) as running:
        yield running


@pytest.fixture
def fetch(sky, tmp_path):
    """Fetch one of the observations with tiny timeouts; gives what arrived and the log."""
    sky.faults.clear()
    settings = load_settings(environ={**sky.environ, "DAXA_STORE": str(tmp_path / "store")}, user_file=None)
    settings = replace(settings, connect_timeout=2.0, read_timeout=1.5, answer_timeout=1.5, downloads=1)

    def run(obs_id: str, row_id: str = "", patience: float = 10.0):
        log: list[str] = []
        fetch_observation(
            ObservationRef(NUSTAR, obs_id, row_id),
            ["FPMA", "FPMB"],
            (),
            target=tmp_path / obs_id,
            parts=tmp_path / "parts",
            settings=settings if obs_id == BAD else replace(settings, read_timeout=patience, answer_timeout=0.0),
            patience=replace(HASTE, tries=2),
            say=log.append,
        )
        return tree(tmp_path / obs_id), log

    return run


def other(sky) -> str:
    return f"/FTP/{NUSTAR.directory_of(GOOD)}/event_cl/nu{GOOD}A01_cl.evt.gz"


FAULTS = [
    (Fault("wrong-length", FILE, 1 << 50), "oversized"),
    (Fault("wrong-length", FILE, 1 << 62), "oversized"),
    (Fault("endless", FILE), "oversized"),
    (Fault("bomb", FILE, 300 << 20), "oversized"),
    (Fault("bomb", FILE, 4 << 30), "oversized"),
    (Fault("no-last-hdu", FILE), "incomplete"),
    (Fault("commented", LISTING, '<a href="nu30101031002B'), "listing"),
    (Fault("other", FILE, f"/FTP/{NUSTAR.directory_of(GOOD)}/event_cl/nu{GOOD}A01_cl.evt.gz"), "wrong-observation"),
    (Fault("limited", FILE, "0"), "not-served"),
    (Fault("limited", FILE, FAR), "not-served"),
    (Fault("limited", FILE, "-9"), "not-served"),
    (Fault("limited", FILE, "9" * 400), "not-served"),
    (Fault("redirect", FILE, "http://127.0.0.1:9/x"), "redirected"),
    (Fault("redirect", FILE, "http://localhost/x"), "redirected"),
    (Fault("redirect", FILE, "javascript:alert(1)"), "redirected"),
    (Fault("redirect", FILE, "http://me:word@127.0.0.1/x"), "redirected"),
    (Fault("redirect", FILE, "http://127.0.0.1:99999999/x"), "redirected"),
    (Fault("redirect", FILE, "http://[::1/\x7f\xff"), "redirected"),
    (Fault("continue", FILE), "not-served"),
    (Fault("continue", FILE, 0.05), "not-served"),
    (Fault("continue", LISTING, 0.05), "not-served"),
    (Fault("drip", FILE, 0.01), "not-served"),
    (Fault("drip", LISTING, 0.01), "not-served"),
    (Fault("header", FILE, "Content-Length: 7"), "not-served"),
    (Fault("header", FILE, "\x00\xff\x01: \x02"), "not-served"),
    (Fault("header", FILE, "Transfer-Encoding: \xe9gzip"), "not-served"),
]


@pytest.mark.parametrize(("fault", "code"), FAULTS, ids=[f"{f.kind}-{str(f.value)[:20]!a}" for f, _ in FAULTS])
def test_the_fault_of_one_observation_is_a_row_and_the_others_end(sky, fetch, tmp_path, fault, code):
    sky.faults.add(fault)
    begun = time.monotonic()
    with pytest.raises(DataError) as caught:
        fetch(BAD)
    assert caught.value.code == f"data.{code}"
    assert not caught.value.environmental
    assert caught.value.remedy
    assert BAD in caught.value.message
    assert caught.value.message.isprintable()
    assert time.monotonic() - begun < 60
    assert sorted(fetch(GOOD)[0]) == [f"event_cl/nu{GOOD}{letter}01_cl.evt.gz" for letter in "AB"]
    assert sum(path.stat().st_size for path in (tmp_path / "parts").iterdir()) < 2 << 20, "no part of use stays"


def test_validators_that_cannot_be_sent_back_are_not_kept(sky, fetch):
    sky.faults.add(Fault("header", FILE, "Last-Modified: \xff\xfe"))
    assert len(fetch(BAD)[0]) == 2
    assert len(fetch(BAD)[0]) == 2


def test_a_directory_service_that_drips_is_not_waited_for(sky, fetch):
    sky.faults.add(Fault("drip", "*datalink*", 0.01))
    # It is waited for twice.
    assert "(template)" in fetch(GOOD, "2", patience=2.0)[1][0]


@pytest.mark.parametrize("kind", ["limited", "continue", "drip", "redirect"])
def test_what_is_wrong_everywhere_stops_the_stage(sky, fetch, kind):
    sky.faults.add(Fault(kind, "*", {"continue": 0.05, "drip": 0.1}.get(kind, "ftp://x")))
    if kind == "drip":
        # A byte now and then is an answer; only its whole is not.
        with pytest.raises(DataError):
            fetch(BAD)
        return
    with pytest.raises(DataError if kind == "redirect" else ServiceError):
        fetch(BAD)


@pytest.mark.parametrize("disk", [(200, DataError, "data.no-room"), (60, StorageError, "storage.full")])
def test_a_disk_that_cannot_hold_one_file_may_hold_the_others(sky, fetch, monkeypatch, disk):
    free, error, code = disk
    usage = file_sizes.shutil.disk_usage("/")
    monkeypatch.setattr(file_sizes.shutil, "disk_usage", lambda path: usage._replace(free=free << 20))
    monkeypatch.setattr("daxa.fetch.observation.largest", lambda kind, listed: file_sizes.LARGEST[kind])
    sky.faults.add(Fault("wrong-length", FILE, 1 << 30))
    with pytest.raises(error) as caught:
        fetch(BAD)
    assert caught.value.code == code
    assert fetch(GOOD)[0]


def test_an_endless_body_leaves_room_for_the_others(sky, fetch, monkeypatch, tmp_path):
    usage = file_sizes.shutil.disk_usage("/")

    def disk(path):
        taken = sum(one.stat().st_size for one in (tmp_path / "parts").iterdir())
        return usage._replace(free=(160 << 20) - taken)

    monkeypatch.setattr(file_sizes.shutil, "disk_usage", disk)
    monkeypatch.setattr("daxa.fetch.observation.largest", lambda kind, listed: file_sizes.LARGEST[kind])
    sky.faults.add(Fault("endless", FILE))
    with pytest.raises(DataError) as caught:
        fetch(BAD)
    assert caught.value.code == "data.no-room"
    assert disk(None).free > 159 << 20
    assert fetch(GOOD)[0]
