"""Names of objects: asked once, kept, answered without a network; hostile answers and damaged caches."""

from __future__ import annotations

import json
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from astropy.coordinates import name_resolve
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from daxa.errors import CriteriaError, ServiceError
from daxa.query import Mission
from daxa.query.tables.name_resolution import resolve_name, resolve_names
from daxa.simulator.sesame import resolve_page
from tests.query.rows import XMM
from tests.query.service import Reply, serve, table_service

HTML = b"<!DOCTYPE html><html><body><h1>Please log in to the network</h1></body></html>"
# As CDS answers.
SESAME = b"""# Abell 907\t#Q24356
#=Sc=Simbad (via url):    1     0ms
%@ 1639893
%C.0 ClG
%J 149.5916 -11.0638 = 09:58:22.0 -11:03:50
%I.0 ACO   907
#====Done (2026-Nov-01,10:00:00z)====
"""
NOBODY = b"# xyzzy\t#Q24357\n#!Simbad: No known catalog could be found\n#! *** Nothing found *** \n#====Done====\n"
SKY = {f"object {number}": (number * 7.5, 40.0 - number) for number in range(40)} | {"Abell 907": (149.5916, -11.0638)}


def everybody(query):
    """A resolver that knows the names of `SKY`."""
    return Reply(resolve_page(SKY, unquote(query)), headers={"Content-Type": "text/plain"})


@pytest.fixture
def service():
    with serve(everybody) as running:
        yield running


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    # In that module alone: the service in these tests needs the real clock.
    monkeypatch.setattr("daxa.query.tables.exchange.time", SimpleNamespace(sleep=lambda _seconds: None))


def kept_files(settings, suffix=".json"):
    return sorted(path for path in (settings.cache / "names").glob("*") if path.suffix == suffix)


def test_names_are_resolved_as_astropy_resolves_them(service):
    service.answer = lambda _query: Reply(SESAME, headers={"Content-Type": "text/plain"})
    assert resolve_name("Abell 907", service.settings()) == (149.5916, -11.0638)
    with name_resolve.sesame_url.set([service.settings().sesame]):
        oracle = name_resolve.get_icrs_coordinates("Abell 907")
    assert (oracle.ra.deg, oracle.dec.deg) == (149.5916, -11.0638)
    ours, theirs = (path for _, path, _ in service.requests)
    assert ours == theirs


def test_a_name_is_looked_up_once_and_then_kept(service):
    settings = service.settings()
    first = resolve_name("Abell 907", settings)
    assert resolve_name("  Abell   907 ", settings) == resolve_name("Abell 907", settings) == first
    assert service.queries == ["Abell 907"]
    (path,) = kept_files(settings)
    said = json.loads(path.read_text())
    assert (said["name"], said["ra"], said["dec"], said["service"]) == ("Abell 907", *first, settings.sesame)
    assert said["time"].endswith("Z")
    assert not list(path.parent.glob(".*"))


def test_capitals_matter_and_so_does_the_service(service):
    settings = service.settings()
    resolve_names(["abell 907", "Abell 907"], settings)
    assert sorted(service.queries) == ["Abell 907", "abell 907"]
    with serve(lambda _query: Reply(SESAME.replace(b"149.5916", b"10.0"))) as other:
        elsewhere = other.settings(DAXA_CACHE=str(settings.cache))
        assert resolve_name("Abell 907", elsewhere) == (10.0, -11.0638)
    assert resolve_name("Abell 907", settings) == (149.5916, -11.0638)


def test_what_is_kept_answers_offline_and_what_is_missing_is_named(service):
    settings = service.settings()
    resolve_name("Abell 907", settings)
    cut = service.settings(DAXA_CACHE=str(settings.cache), DAXA_OFFLINE="1")
    service.requests.clear()
    assert resolve_names(["Abell 907"], cut) == {"Abell 907": (149.5916, -11.0638)}
    with pytest.raises(ServiceError, match="'M 31', 'M 87'") as caught:
        resolve_names(["M 87", "Abell 907", "M 31"], cut)
    assert caught.value.code == "service.offline"
    assert "Abell 907" not in caught.value.message
    assert "DAXA_OFFLINE" in caught.value.remedy
    assert "'M 31', 'M 87'" in caught.value.remedy
    assert "positions" in caught.value.remedy
    assert service.requests == []


def test_an_unknown_name_is_for_the_user_to_correct_and_is_not_kept(service):
    settings = service.settings()
    service.answer = lambda _query: Reply(NOBODY)
    with pytest.raises(CriteriaError, match="xyzzy") as caught:
        resolve_name("xyzzy", settings)
    assert caught.value.code == "criteria.target"
    assert kept_files(settings) == []
    service.answer = lambda _query: Reply(SESAME)
    assert resolve_name("xyzzy", settings) == (149.5916, -11.0638)


def test_all_unknown_names_are_one_error_and_the_others_are_kept(service):
    settings = service.settings()
    with pytest.raises(CriteriaError, match="'nobody', 'nothing'") as caught:
        resolve_names(["object 1", "nobody", "object 2", "nothing"], settings)
    assert "object" not in caught.value.message
    service.queries.clear()
    assert resolve_names(["object 1", "object 2"], settings) == {name: SKY[name] for name in ("object 1", "object 2")}
    assert service.queries == []


def test_several_names_are_looked_up_at_once_but_never_more_than_four(service, monkeypatch):
    monkeypatch.setattr("daxa.query.tables.name_resolution._MANY", 1000)
    running, most, lock = 0, 0, threading.Lock()
    four = threading.Event()

    def slow(query):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == 4:
                four.set()
        assert four.wait(20)  # until four are here, none is answered
        time.sleep(0.01)
        with lock:
            running -= 1
        return everybody(query)

    service.answer = slow
    names = [f"object {number}" for number in range(40)]
    settings = [service.settings() for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda one: resolve_names(names, one), settings))
    assert answers == [{name: SKY[name] for name in sorted(names)}] * 2
    assert most == 4


def test_a_service_that_fails_is_not_queried_for_the_remaining_names(service, monkeypatch):
    monkeypatch.setattr("daxa.query.tables.name_resolution._MANY", 1000)
    failed = threading.Event()

    def answer(query):
        if query == "object 0":
            failed.set()
            return Reply(HTML, 404)
        assert failed.wait(20)
        time.sleep(0.3)  # until the failure has arrived
        return everybody(query)

    service.answer = answer
    settings = service.settings()
    with pytest.raises(ServiceError) as caught:
        resolve_names([f"object {number}" for number in range(40)], settings)
    assert caught.value.code == "service.refused"
    assert len(service.queries) < 20
    assert len(kept_files(settings)) == len(service.queries) - 1


def test_who_asks_for_the_same_name_at_the_same_time_waits_for_one_answer(service):
    settings = service.settings()
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: resolve_name("Abell 907", settings), range(8)))
    assert found == {(149.5916, -11.0638)}
    assert service.queries == ["Abell 907"]


def test_a_mission_resolves_its_targets_and_another_finds_them_kept(service):
    def answer(query):
        return table_service([XMM])(query) if query.startswith("SELECT") else everybody(query)

    service.answer = answer
    settings = service.settings()
    asked = {"target": ["Abell 907", "object 3", "object 4"], "radius": "15 arcmin"}
    first = Mission("xmm", settings).filter(**asked).select()
    assert sum(not query.startswith("SELECT") for query in service.queries) == 3
    service.queries.clear()
    cut = service.settings(DAXA_CACHE=str(settings.cache), DAXA_OFFLINE="1")
    assert Mission("xmm", cut).filter(**asked).select().criteria == first.criteria
    assert service.queries == []


@pytest.mark.parametrize("name", ["a&b=c", "../../x?y#z", "é", "%41", "[M 87] \\ $(x)"])
def test_a_name_cannot_leave_the_query_or_the_cache(service, name):
    settings = service.settings()
    service.answer = lambda _query: Reply(SESAME)
    resolve_name(name, settings)
    ((_, path, headers),) = service.requests
    assert path.startswith("/nph-sesame/SNV?")
    assert not set("&=#/") & set(path.removeprefix("/nph-sesame/SNV?"))
    assert headers["Host"].startswith("127.0.0.1")
    assert service.queries == [name]
    assert len(kept_files(settings)) == 1
    assert [path.name for path in settings.cache.iterdir()] == ["names"]


@pytest.mark.parametrize("name", ["M 87\r\nHost: evil", "", " ", "a\x1b[2J", "x" * 101])
def test_what_is_not_a_name_is_not_looked_up(service, name):
    with pytest.raises(CriteriaError) as caught:
        resolve_name(name, service.settings())
    assert caught.value.code == "criteria.target"
    assert service.requests == []


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(HTML, 503), "service.unreachable"),
        (Reply(HTML, 404), "service.refused"),
        (Reply(HTML), "service.malformed"),
        (Reply(b"\xff\xfe"), "service.malformed"),
        (Reply(b""), "service.malformed"),
        (Reply(SESAME, cut=50), "service.unreachable"),
        (Reply(SESAME[:50]), "service.malformed"),
        (Reply(SESAME.replace(b"149.5916", b"949.5916")), "service.malformed"),
        (Reply(SESAME.replace(b"-11.0638", b"-91.0638")), "service.malformed"),
        (Reply(SESAME.replace(b"149.5916 -11.0638", b"nan nan")), "service.malformed"),
        (Reply(SESAME.replace(b"149.5916", b"1e999")), "service.malformed"),
        (Reply(SESAME.replace(b"149.5916", "\u0661\u0664\u0669.5".encode())), "service.malformed"),
        (Reply(SESAME + b"# " + b"x" * 2**20), "service.malformed"),
        (Reply(SESAME.replace(b"%I", b"%J 10.5 +20.5 = 00:42:00\n%I")), "criteria.target"),
    ],
)
def test_a_hostile_answer_is_refused_and_not_kept(service, reply, code):
    settings = service.settings()
    service.answer = lambda _query: reply
    with pytest.raises((ServiceError, CriteriaError)) as caught:
        resolve_name("Abell 907", settings)
    assert caught.value.code == code
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 600
    assert caught.value.remedy
    assert kept_files(settings) == []


def test_the_same_position_twice_is_one(service):
    line = b"%J 149.5916 -11.0638 = 09:58:22.0 -11:03:50\n"
    service.answer = lambda _query: Reply(SESAME.replace(line, line + line))
    assert resolve_name("Abell 907", service.settings()) == (149.5916, -11.0638)


@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(0, len(SESAME) - 1), patch=st.binary(min_size=1, max_size=4))
def test_a_corrupted_answer_is_an_error_or_a_position(service, where, patch):
    service.answer = lambda _query: Reply(SESAME[:where] + patch + SESAME[where + len(patch) :])
    try:
        ra, dec = resolve_name("Abell 907", service.settings())
    except (ServiceError, CriteriaError) as error:
        assert error.code in {"service.malformed", "criteria.target"}
    else:
        assert 0 <= ra < 360
        assert -90 <= dec <= 90


GOOD = {"name": "Abell 907", "ra": 149.5916, "dec": -11.0638, "time": "2026-11-01T10:00:00Z"}


@pytest.mark.parametrize(
    "corrupt",
    [
        lambda _said: b"",
        lambda _said: b"\x00\xff",
        lambda _said: b"[" * 3000,
        lambda said: json.dumps([said]).encode(),
        lambda said: json.dumps(said | {"ra": math.nan}).encode(),
        lambda said: json.dumps(said | {"ra": "149.6"}).encode(),
        lambda said: json.dumps(said | {"ra": 10**400}).encode(),
        lambda said: json.dumps(said | {"dec": 91.0}).encode(),
        lambda said: json.dumps(said | {"name": "M 87"}).encode(),
        lambda said: json.dumps(said | {"service": "http://elsewhere/"}).encode(),
        lambda said: json.dumps(said | {"time": "yesterday"}).encode(),
        lambda said: json.dumps(said | {"more": "x" * 5000}).encode(),
    ],
)
def test_a_damaged_answer_is_set_aside_and_requested_again(service, corrupt):
    settings = service.settings()
    resolve_name("Abell 907", settings)
    (path,) = kept_files(settings)
    good = GOOD | {"service": settings.sesame}
    path.write_text(json.dumps(good))
    service.queries.clear()
    assert resolve_name("Abell 907", settings) == (149.5916, -11.0638)
    assert service.queries == []
    path.write_bytes(corrupt(good))
    assert resolve_name("Abell 907", settings) == (149.5916, -11.0638)
    assert service.queries == ["Abell 907"]
    assert [old.read_bytes() for old in kept_files(settings, ".damaged")] == [corrupt(good)]
    assert json.loads(path.read_text())["ra"] == 149.5916


def test_a_damaged_answer_does_not_answer_offline(service):
    settings = service.settings()
    resolve_name("Abell 907", settings)
    (path,) = kept_files(settings)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ServiceError) as caught:
        resolve_name("Abell 907", service.settings(DAXA_CACHE=str(settings.cache), DAXA_OFFLINE="1"))
    assert caught.value.code == "service.offline"


def test_a_cache_that_cannot_be_written_stops_nothing(service, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no directory")
    settings = service.settings(DAXA_CACHE=str(tmp_path / "file"))
    assert resolve_name("Abell 907", settings) == (149.5916, -11.0638)
    monkeypatch.chdir(tmp_path)
    bare = type(settings)(sesame=settings.sesame)
    assert resolve_name("Abell 907", bare) == (149.5916, -11.0638)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_offline_without_a_cache_nothing_is_known(service):
    settings = type(service.settings())(sesame=service.settings().sesame, offline=True)
    with pytest.raises(ServiceError) as caught:
        resolve_name("Abell 907", settings)
    assert caught.value.code == "service.offline"
