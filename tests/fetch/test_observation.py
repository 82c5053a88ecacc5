"""Whole observations from the sample observatory and from the scripted server."""

from __future__ import annotations

import gzip
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from daxa.errors import ConfigError, CriteriaError, DataError, ServiceError, StorageError
from daxa.fetch.locations import ObservationRef
from daxa.fetch.observation import FileProvenance, fetch_observation, restore_observation
from daxa.fetch.store import Store, digest_file
from daxa.fetch.survey import survey
from daxa.missions import find_mission
from daxa.run.task import ProductFile
from daxa.settings import Settings, load_settings
from daxa.simulator.faults import Fault
from daxa.simulator.server import Observatory
from tests.fetch.conftest import HASTE, Served, connected, events_file, sha256, status, tree
from tests.fetch.test_store import corrupt

NUSTAR, XMM, CHANDRA = (find_mission(name) for name in ("nustar", "xmm", "chandra"))
OBS = "30101031002"
A, B = (f"event_cl/nu{OBS}{letter}01_cl.evt.gz" for letter in "AB")


def plant(root: Path, obs_id: str = OBS) -> Path:
    """An observation of NuSTAR in HEASARC's layout, with more than is wanted."""
    directory = root / NUSTAR.directory_of(obs_id)
    for seed, name in enumerate(
        [
            *(f"event_cl/nu{obs_id}{module}0{mode}_cl.evt.gz" for module in "AB" for mode in "16"),
            f"event_cl/nu{obs_id}A01_sk.img.gz",
            f"auxil/nu{obs_id}_att.fits.gz",
            f"auxil/deeper/nu{obs_id}_orb.fits.gz",
            f"hk/nu{obs_id}A_fpm.hk.gz",
        ]
    ):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(events_file(seed, 20_000))
    return directory


@pytest.fixture
def archive(tmp_path):
    root = tmp_path / "tree"
    plant(root)
    with Observatory(root, {"numaster": [{"obsid": OBS, "ra": 1.0, "dec": 2.0}]}) as running:
        yield running


@pytest.fixture
def settings(archive, tmp_path) -> Settings:
    """Settings that lead to the sample observatory."""
    settings = load_settings(environ={**archive.environ, "DAXA_STORE": str(tmp_path / "store")}, user_file=None)
    return replace(settings, connect_timeout=2.0, read_timeout=5.0, downloads=1)


@pytest.fixture
def fetch(settings, tmp_path):
    """Fetch the observation into a new directory; gives the directory, the arrivals and the log."""
    numbers = iter(range(100))

    def run(instruments=("FPMA", "FPMB"), extra=(), row_id="", **keywords):
        target, log = tmp_path / f"out{next(numbers)}", []
        target.mkdir()
        arrivals = fetch_observation(
            ObservationRef(NUSTAR, OBS, row_id),
            instruments,
            extra,
            target=target,
            parts=tmp_path / "parts",
            settings=settings,
            patience=HASTE,
            say=log.append,
            **keywords,
        )
        return target, arrivals, log

    return run


def downloads(archive) -> list[str]:
    return [request.path for request in archive.requests if "/event_cl/nu" in request.path and request.status < 300]


def row_id(archive) -> str:
    return archive.service.rows["numaster"][0]["__row"]


def test_an_observation_arrives(archive, fetch, settings, tmp_path):
    target, arrivals, log = fetch(row_id=row_id(archive))
    assert "(datalink)" in log[0]
    origin = tmp_path / "tree" / NUSTAR.directory_of(OBS)
    assert tree(target) == {path: (origin / path).read_bytes() for path in (A, B)}
    assert [arrival.path for arrival in arrivals] == [A, B]
    for arrival in arrivals:
        assert arrival.sha256 == sha256((target / arrival.path).read_bytes())
        assert arrival.size == (target / arrival.path).stat().st_size
        assert arrival.url == f"{settings.heasarc_tree}/{NUSTAR.directory_of(OBS)}/{arrival.path}"
        assert arrival.etag
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", arrival.retrieved)
    assert not any(tmp_path.joinpath("parts").iterdir())
    assert any("datalink" in request.path for request in archive.requests)


def test_without_datalink_the_declared_place_serves(archive, fetch):
    archive.faults.add(Fault("broken", "*datalink*"))
    target, _, log = fetch(row_id=row_id(archive))
    assert sorted(tree(target)) == [A, B]
    assert "template" in log[0]


def test_one_instrument(fetch):
    assert sorted(tree(fetch(["FPMB"])[0])) == [B]


def test_extra_files_of_other_directories(archive, fetch):
    target, _, _ = fetch(["FPMA"], [r"auxil/.*_(att|orb)\.fits\.gz"])
    assert sorted(tree(target)) == [f"auxil/deeper/nu{OBS}_orb.fits.gz", f"auxil/nu{OBS}_att.fits.gz", A]
    assert not any("/hk/" in request.path for request in archive.requests), "only directories that may match are read"


def test_bad_extra_is_refused_before_anything_is_requested(archive, fetch):
    with pytest.raises(ConfigError):
        fetch(["FPMA"], ["("])
    assert not archive.requests


def test_a_malformed_obs_id_is_used_nowhere(settings, tmp_path):
    with pytest.raises(CriteriaError):
        fetch_observation(
            ObservationRef(NUSTAR, "../../etc"),
            ["FPMA"],
            (),
            target=tmp_path / "o",
            parts=tmp_path / "p",
            settings=settings,
        )


def test_files_are_read_only_links_into_the_store(fetch, settings):
    target, arrivals, _ = fetch()
    for arrival in arrivals:
        assert (target / arrival.path).samefile(Store(settings.store).path(arrival.sha256))
        assert (target / arrival.path).stat().st_mode & 0o222 == 0


def test_the_second_archive_of_a_user_downloads_nothing(archive, fetch):
    _, first, _ = fetch()
    archive.requests.clear()
    target, second, _ = fetch()
    assert second == first
    assert sorted(tree(target)) == [A, B]
    assert not [request for request in archive.requests if request.range]
    bodies = [request for request in archive.requests if "cl.evt.gz" in request.path and request.status == 206]
    assert bodies == []


def test_a_new_version_is_fetched(archive, fetch, tmp_path):
    fetch()
    newer = events_file(99, 1000)
    (tmp_path / "tree" / NUSTAR.directory_of(OBS) / A).write_bytes(newer)
    target, _, _ = fetch()
    assert (target / A).read_bytes() == newer


def test_a_damaged_store_heals(archive, fetch, settings, tmp_path):
    _, arrivals, _ = fetch()
    before = tree(tmp_path / "tree" / NUSTAR.directory_of(OBS))
    corrupt(Store(settings.store).path(arrivals[0].sha256))
    target, again, log = fetch()
    assert (target / A).read_bytes() == before[A]
    assert [arrival.sha256 for arrival in again] == [arrival.sha256 for arrival in arrivals]
    assert any("damaged" in line for line in log)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("busy", "*cl.evt.gz", value=0, times=2),
        Fault("broken", "*event_cl/", times=2),
        Fault("cut", "*A01_cl.evt.gz", value=20_000, times=2),
        Fault("no-range", "*cl.evt.gz"),
        Fault("changing", "*cl.evt.gz"),
        Fault("encoded", "*cl.evt.gz"),
        Fault("garbled", "*A01_cl.evt.gz", value=5000, times=1),
        Fault("wrong-length", "*A01_cl.evt.gz", value=40, times=1),
        Fault("wrong-length", "*A01_cl.evt.gz", value=-40, times=1),
    ],
    ids=lambda fault: f"{fault.kind}{fault.value:+g}",
)
def test_passing_faults_leave_no_trace(archive, fetch, tmp_path, fault):
    archive.faults.add(fault)
    target, _, _ = fetch()
    origin = tmp_path / "tree" / NUSTAR.directory_of(OBS)
    assert tree(target) == {path: (origin / path).read_bytes() for path in (A, B)}


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("denied", "*A01_cl.evt.gz"), "data.proprietary"),
        (Fault("missing", "*A01_cl.evt.gz"), "data.absent"),
        (Fault("html", "*A01_cl.evt.gz"), "data.html"),
        (Fault("html", "*event_cl/"), "data.listing"),
        (Fault("garbled", "*A01_cl.evt.gz", value=5000), "data.damaged"),
        (Fault("wrong-length", "*A01_cl.evt.gz", value=-40), "data.truncated"),
        (Fault("wrong-length", "*A01_cl.evt.gz", value=40), "data.not-served"),
        (Fault("broken", "*A01_cl.evt.gz"), "data.not-served"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else value,
)
def test_lasting_faults_of_one_file_are_this_observations(archive, fetch, settings, fault, code):
    archive.faults.add(fault)
    with pytest.raises(DataError) as caught:
        fetch()
    assert caught.value.code == code
    assert OBS in caught.value.message
    assert not caught.value.environmental
    good = [path for path in (settings.store / "sha256").rglob("*") if path.is_file()]
    assert all(digest_file(path) == path.name for path in good)
    assert len(good) <= 1, "the other file may be kept, the bad one never"


def test_the_error_does_not_depend_on_which_file_fails_first(archive, fetch):
    archive.faults.add(Fault("missing", "*A01_cl.evt.gz"))
    archive.faults.add(Fault("denied", "*B01_cl.evt.gz"))
    archive.faults.add(Fault("hang", "*A01_cl.evt.gz", value=0.2))
    with pytest.raises(DataError) as caught:
        fetch()
    assert caught.value.code == "data.absent"


def test_an_archive_that_is_down_stops_the_stage(archive, fetch):
    archive.faults.add(Fault("busy", "*", value=0))
    with pytest.raises(ServiceError) as caught:
        fetch()
    assert caught.value.code == "service.unreachable"
    assert caught.value.environmental


def test_encrypted_events(archive, fetch, tmp_path):
    origin = tmp_path / "tree" / NUSTAR.directory_of(OBS)
    (origin / A).rename(origin / (A + ".gpg"))
    with pytest.raises(DataError) as caught:
        fetch()
    assert caught.value.code == "data.proprietary"


def test_an_observation_without_its_directory(archive, fetch, tmp_path):
    shutil.rmtree(tmp_path / "tree" / NUSTAR.directory_of(OBS) / "event_cl")
    with pytest.raises(DataError) as caught:
        fetch()
    assert caught.value.code == "data.no-events"
    shutil.rmtree(tmp_path / "tree" / NUSTAR.directory_of(OBS))
    with pytest.raises(DataError) as caught:
        fetch()
    assert caught.value.code == "data.absent"
    assert OBS in caught.value.message


def test_a_stale_datalink_is_not_the_last_word(server, tmp_path):
    from tests.fetch.test_locations import datalink

    settings = Settings(
        heasarc_tree=f"{server.url}/FTP", heasarc_datalink=f"{server.url}/datalink", store=tmp_path / "store"
    )
    server.files["/datalink/numaster"] = Served(datalink([(f"https://h/FTP/old//{OBS}/", "directory", "")]))
    place = f"/FTP/{NUSTAR.directory_of(OBS)}"
    page = f'<html><title>Index of x</title><a href="{A.rpartition("/")[2]}">A</a></html>'
    server.files[f"{place}/event_cl/"] = Served(page.encode())
    server.files[f"{place}/{A}"] = Served(events_file())
    target = tmp_path / "out"
    fetch_observation(
        ObservationRef(NUSTAR, OBS, "1"),
        ["FPMA"],
        (),
        target=target,
        parts=tmp_path / "parts",
        settings=settings,
        patience=HASTE,
    )
    assert sorted(tree(target)) == [A]
    assert 404 in server.statuses(f"/FTP/old/{OBS}/event_cl/")


def test_a_survey_that_never_ends_is_ended(server, settings, tmp_path):
    page = "<html><title>Index of x</title>" + "".join(f'<a href="d{n}/">d</a>' for n in range(30)) + "</html>"

    class Endless(dict):
        def get(self, path, default=None):
            return Served(page.encode())

    server.files = Endless()
    connection = connected(replace(settings, heasarc_tree=server.url), HASTE)
    with pytest.raises(DataError) as caught:
        survey(connection, server.url, [""], [".*"])
    assert caught.value.code == "data.too-deep"


def ledger_files(target: Path, arrivals: list[FileProvenance]) -> list[ProductFile]:
    return [ProductFile(one.path, one.size, one.sha256, one.sha256) for one in arrivals]


@pytest.fixture
def restore(settings, tmp_path):
    def run(files, target, obs_id=OBS):
        return restore_observation(
            ObservationRef(NUSTAR, obs_id),
            files,
            target=target,
            parts=tmp_path / "parts",
            settings=settings,
            patience=HASTE,
        )

    return run


def test_restoring_from_the_store_queries_no_server(archive, fetch, restore, tmp_path):
    target, arrivals, _ = fetch()
    archive.requests.clear()
    assert restore(ledger_files(target, arrivals), tmp_path / "again") == []
    assert tree(tmp_path / "again") == tree(target)
    assert not archive.requests


def test_files_in_place_stay_without_any_store(archive, fetch, restore, settings):
    target, arrivals, _ = fetch()
    shutil.rmtree(settings.store)
    archive.requests.clear()
    inodes = [(target / path).stat().st_ino for path in (A, B)]
    assert restore(ledger_files(target, arrivals), target) == []
    assert [(target / path).stat().st_ino for path in (A, B)] == inodes
    assert not archive.requests


def test_restoring_into_a_fresh_clone_downloads_what_is_missing(archive, fetch, restore, settings, tmp_path):
    target, arrivals, _ = fetch()
    Store(settings.store).path(arrivals[1].sha256).unlink()
    archive.requests.clear()
    again = restore(ledger_files(target, arrivals), tmp_path / "again")
    assert [arrival.path for arrival in again] == [B]
    assert tree(tmp_path / "again") == tree(target)
    assert not any(request.path.endswith(A) for request in archive.requests)


def test_damage_in_place_and_in_the_store_is_repaired(fetch, restore, settings):
    target, arrivals, _ = fetch()
    before = tree(target)
    corrupt(target / A)
    assert tree(target) != before
    assert [arrival.path for arrival in restore(ledger_files(target, arrivals), target)] == [A]
    assert tree(target) == before


def test_a_redelivered_file_is_named_and_not_used(archive, fetch, restore, settings, tmp_path):
    target, arrivals, _ = fetch()
    shutil.rmtree(settings.store)
    newer = events_file(99, 1000)
    (tmp_path / "tree" / NUSTAR.directory_of(OBS) / A).write_bytes(newer)
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            restore(ledger_files(target, arrivals), tmp_path / "again")
        assert caught.value.code == "data.redelivered"
        assert A in caught.value.message
        assert OBS in caught.value.message
        assert not (tmp_path / "again" / A).exists()
    transferred = [r for r in archive.requests if r.path.endswith(A) and r.status == 200]
    assert len(transferred) <= 3


def test_a_withdrawn_file(archive, fetch, restore, settings, tmp_path):
    target, arrivals, _ = fetch()
    shutil.rmtree(settings.store)
    (tmp_path / "tree" / NUSTAR.directory_of(OBS) / A).unlink()
    with pytest.raises(DataError) as caught:
        restore(ledger_files(target, arrivals), tmp_path / "again")
    assert caught.value.code == "data.absent"


@pytest.mark.parametrize("where", ["", "event_cl"])
def test_nothing_is_put_back_through_a_link(fetch, restore, tmp_path, where):
    target, arrivals, _ = fetch()
    theirs, again = tmp_path / "theirs", tmp_path / "again"
    canary = theirs / Path(A).relative_to(where)
    canary.parent.mkdir(parents=True)
    canary.write_bytes(b"canary")
    (again / where).parent.mkdir(exist_ok=True)
    (again / where).symlink_to(theirs)
    with pytest.raises(StorageError) as caught:
        restore(ledger_files(target, arrivals), again)
    assert caught.value.code == "storage.link"
    assert canary.read_bytes() == b"canary"


@pytest.mark.parametrize("path", ["../outside.fits", "/etc/passwd", "a//b", "a/./b", "", "-x"])
def test_a_hostile_ledger_writes_nothing(archive, fetch, restore, tmp_path, path):
    _, arrivals, _ = fetch()
    hostile = ProductFile(path, arrivals[0].size, arrivals[0].sha256, arrivals[0].sha256)
    with pytest.raises(DataError) as caught:
        restore([hostile], tmp_path / "again")
    assert caught.value.code == "data.hostile-name"
    assert not (tmp_path / "again").exists()


def test_real_files_of_a_mission(real_data, tmp_path):
    obs_id = "0404910601"
    pps = tmp_path / "tree" / XMM.directory_of(obs_id) / "PPS"
    pps.mkdir(parents=True)
    origin = real_data / "xmm" / obs_id
    for name, source in {
        f"P{obs_id}M1S001MIEVLI0000.FTZ": "eclean/mos1_exp1_clean_evts.fits",
        f"P{obs_id}OBX000ATTTSR0000.FTZ": "P0404910601OBX000ATTTSR0000.FIT",
    }.items():
        (pps / name).write_bytes(gzip.compress((origin / source).read_bytes(), 1, mtime=0))
    with Observatory(tmp_path / "tree", {"xmmmaster": [{"obsid": obs_id, "ra": 1.0, "dec": 2.0}]}) as running:
        settings = load_settings(environ={**running.environ, "DAXA_STORE": str(tmp_path / "store")}, user_file=None)
        running.faults.add(Fault("cut", "*MIEVLI*", value=400_000, times=1))
        fetch_observation(
            ObservationRef(XMM, obs_id, running.service.rows["xmmmaster"][0]["__row"]),
            ["PN", "M1", "M2"],
            (),
            target=tmp_path / "out",
            parts=tmp_path / "parts",
            settings=settings,
            patience=HASTE,
        )
    assert {Path(path).name: content for path, content in tree(tmp_path / "out").items()} == tree(pps)


def test_chandra_reads_two_directories(tmp_path):
    obs_id = "554"
    directory = tmp_path / "tree" / CHANDRA.directory_of(obs_id)
    names = ["primary/acisf00554N003_evt2.fits.gz", "secondary/acisf00554_000N003_msk1.fits.gz"]
    for seed, name in enumerate(names):
        (directory / name).parent.mkdir(parents=True)
        (directory / name).write_bytes(events_file(seed))
    with Observatory(tmp_path / "tree", {"chanmaster": [{"obsid": obs_id, "ra": 1.0, "dec": 2.0}]}) as running:
        settings = load_settings(environ={**running.environ, "DAXA_STORE": str(tmp_path / "store")}, user_file=None)
        fetch_observation(
            ObservationRef(CHANDRA, obs_id),
            ["ACIS"],
            (),
            target=tmp_path / "out",
            parts=tmp_path / "parts",
            settings=settings,
        )
    assert sorted(tree(tmp_path / "out")) == names


def test_a_stopped_service_stops_the_other_files_too(server, tmp_path):
    settings = Settings(heasarc_tree=f"{server.url}/FTP", store=tmp_path / "store", downloads=1)
    place = f"/FTP/{NUSTAR.directory_of(OBS)}"
    page = "<html><title>Index of x</title>" + "".join(f'<a href="{path.rpartition("/")[2]}">x</a>' for path in (A, B))
    server.files[f"{place}/event_cl/"] = Served(page.encode() + b"</html>")
    server.files[f"{place}/{A}"] = Served(b"", script=[status(429, {"Retry-After": "0"})] * 20)
    server.files[f"{place}/{B}"] = Served(b"", script=[status(503, {"Retry-After": "60"})] * 20)
    server.files["/FTP/"].script = [status(429)] * 20
    with pytest.raises(ServiceError) as caught:
        fetch_observation(
            ObservationRef(NUSTAR, OBS),
            ["FPMA", "FPMB"],
            (),
            target=tmp_path / "out",
            parts=tmp_path / "parts",
            settings=settings,
            patience=replace(HASTE, longest=60.0),
        )
    assert caught.value.code == "service.unreachable"
