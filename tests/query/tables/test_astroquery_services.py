"""Names of whole samples through astroquery: batches, what is left over, faults, deadlines; and XSA."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from astropy.table import MaskedColumn, Table

from daxa.errors import CriteriaError, ServiceError
from daxa.missions import find_mission
from daxa.query.tables import name_resolution as module
from daxa.query.tables.astroquery_services import query_ned, query_simbad, query_xsa
from daxa.query.tables.name_resolution import resolve_names
from daxa.query.tables.services import fetch_table
from daxa.settings import load_settings
from daxa.simulator import Fault, Observatory

SKY = {f"object {number}": ((number * 7.5) % 360, 40.0 - number % 80) for number in range(30)}
SKY |= {"b Per": (64.5, 50.25), "L'Étoile": (10.0, 20.0)}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("daxa.query.tables.exchange.time", SimpleNamespace(sleep=lambda _: None, monotonic=lambda: 0.0))


@pytest.fixture
def sky(tmp_path):
    with Observatory(tmp_path / "tree", {}, SKY) as running:
        yield running


@pytest.fixture
def settings(sky, tmp_path):
    return load_settings(environ={**sky.environ, "DAXA_CACHE": str(tmp_path / "cache")}, user_file=None)


def asked(sky):
    """How often each resolver was asked."""
    kinds = {"simbad": "/simbad/sim-tap/sync", "ned": "/cgi-bin/objsearch", "sesame": "/cgi-bin/nph-sesame/"}
    return {kind: sum(request.path.startswith(path) for request in sky.requests) for kind, path in kinds.items()}


def test_a_whole_sample_is_one_question(sky, settings):
    assert resolve_names(SKY, settings) == SKY
    assert asked(sky) == {"simbad": 1, "ned": 0, "sesame": 0}
    sky.requests.clear()
    assert resolve_names(SKY, settings) == SKY  # they are kept
    assert not sky.requests


def test_thousands_of_names_are_a_few_questions(sky, settings, monkeypatch):
    many = {f"J{number:05d}": (number % 360 + 0.5, number % 90 + 0.25) for number in range(5_000)}
    sky.simbad = many
    monkeypatch.setattr(module, "_keep", lambda *_: None)
    assert resolve_names(many, settings) == many
    assert asked(sky) == {"simbad": 3, "ned": 0, "sesame": 0}


def test_a_few_names_are_sent_to_sesame(sky, settings):
    few = dict(list(SKY.items())[:3])
    assert resolve_names(few, settings) == few
    assert asked(sky) == {"simbad": 0, "ned": 0, "sesame": 3}


def test_what_simbad_does_not_know_is_sent_to_ned_and_then_to_sesame(sky, settings):
    sky.simbad = {name: place for name, place in SKY.items() if name not in ("object 1", "object 2")}
    sky.ned = {"object 1": (1.0, 2.0)}
    found = resolve_names(SKY, settings)
    assert found == SKY | {"object 1": (1.0, 2.0)}
    assert asked(sky) == {"simbad": 1, "ned": 2, "sesame": 1}
    assert resolve_names(["object 1"], settings) == {"object 1": (1.0, 2.0)}
    with pytest.raises(CriteriaError, match="neither Simbad nor NED nor VizieR knows 'xyzzy'"):
        resolve_names([*SKY, "xyzzy"], settings)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("broken", "/simbad/*"),
        Fault("html", "/simbad/*"),
        Fault("cut", "/simbad/*", value=300),
        Fault("missing", "/simbad/*"),
        Fault("redirect", "/simbad/*", value="https://elsewhere.example/"),
    ],
)
def test_sesame_stands_in_for_a_simbad_that_does_not_answer(sky, settings, fault):
    sky.faults.add(fault)
    assert resolve_names(SKY, settings) == SKY
    assert asked(sky)["sesame"] == len(SKY)


def test_sesame_stands_in_for_a_ned_that_does_not_answer(sky, settings):
    sky.simbad = dict(list(SKY.items())[:25])
    sky.faults.add(Fault("html", "/cgi-bin/objsearch"))
    assert resolve_names(SKY, settings) == SKY
    assert asked(sky)["sesame"] == len(SKY) - 25


def test_without_a_network_no_service_is_queried(sky, settings):
    from dataclasses import replace

    with pytest.raises(ServiceError) as caught:
        resolve_names(SKY, replace(settings, offline=True))
    assert caught.value.code == "service.offline"
    assert not sky.requests


def test_an_answer_without_an_end_is_ended(sky, settings):
    sky.faults.add(Fault("endless", "/simbad/*"))
    found = resolve_names(SKY, settings)
    assert found == SKY


def answer(rows, columns=("ra", "dec", "user_specified_id", "object_number_id")):
    return Table(rows=rows, names=columns)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (answer([(1.0, 2.0, "A", 1)]), "gives no answer for 'B'"),
        (answer([(1.0, 2.0, "A", 1), (1.0, 2.0, "C", 2)]), "which was not requested"),
        (answer([(1.0, 2.0, "A", 1), (1.0, 2.0, "B", 3)]), "which was not requested"),
        (answer([(1.0, 2.0, "A", 1), (1.0, 2.0, "B", -1)]), "which was not requested"),
        (answer([(400.0, 2.0, "A", 1), (1.0, 2.0, "B", 2)]), "is not valid"),
        (answer([(1.0, -91.0, "A", 1), (1.0, 2.0, "B", 2)]), "is not valid"),
        (answer([(1.0, float("inf"), "A", 1), (1.0, 2.0, "B", 2)]), "is not valid"),
        (answer([(1.0, 2.0, "A")], ("ra", "dec", "user_specified_id")), "no column object_number_id"),
    ],
)
def test_an_answer_that_does_not_fit_the_question_is_refused(table, words):
    with pytest.raises(ServiceError, match=words) as caught:
        query_simbad(["A", "B"], "https://simbad.example", lambda query, tables: table)
    assert caught.value.code == "service.malformed"


def test_a_name_with_two_places_is_the_users_to_decide():
    table = answer([(1.0, 2.0, "A", 1), (1.5, 2.0, "A", 1)])
    with pytest.raises(CriteriaError, match="2 positions for 'A'"):
        query_simbad(["A"], "https://simbad.example", lambda query, tables: table)


def test_a_row_without_position_is_an_unknown_name():
    table = Table({
        "ra": MaskedColumn([1.0, 2.0, 3.0], mask=[False, True, False]), "dec": [0.5, 0.5, float("nan")],
        "user_specified_id": ["A", "B", "C"], "object_number_id": [1, 2, 3],
    })  # fmt: skip
    table["ra"][2] = float("nan")
    sent = []

    def send(query, tables):
        sent.append((query, tables))
        return table

    assert query_simbad(["A", "B", "C"], "https://simbad.example", send) == {"A": (1.0, 0.5), "B": None, "C": None}
    ((query, tables),) = sent
    assert "LEFT JOIN" in query
    assert tables["script_infos"]["user_specified_id"].tolist() == ["A", "B", "C"]


def ned_says(monkeypatch, body, status=200):
    monkeypatch.setattr("daxa.query.tables.astroquery_services.exchange", lambda *_, **__: (status, body))
    return query_ned("M 1", "https://ned.example/cgi-bin", SimpleNamespace())


def test_what_ned_has_answered_is_read(monkeypatch):
    from importlib.resources import files

    recorded = files("astroquery.ipac.ned.tests").joinpath("data/query_object.xml").read_bytes()
    ra, dec = ned_says(monkeypatch, recorded)
    assert (ra, dec) == (pytest.approx(83.63, abs=0.01), pytest.approx(22.01, abs=0.01))
    other = files("astroquery.ipac.ned.tests").joinpath("data/error.xml").read_bytes()
    with pytest.raises(ServiceError, match="No note found"):
        ned_says(monkeypatch, other)


@pytest.mark.parametrize(
    "body", [b"", b"<html>busy</html>", b"<?xml version='1.0'?><VOTABLE version='1.1'></VOTABLE>", b"\x00\xff"]
)
def test_what_is_not_an_answer_of_ned_is_refused(monkeypatch, body):
    with pytest.raises(ServiceError) as caught:
        ned_says(monkeypatch, body)
    assert caught.value.code == "service.malformed"
    with pytest.raises(ServiceError):
        ned_says(monkeypatch, body, 500)


def test_xsa_is_queried_through_its_class(monkeypatch, tmp_path):
    from tests.query.service import serve, table_service

    sent = []
    assert query_xsa("SELECT 1", lambda query: sent.append(query) or Table({"n": [1]}))["n"].tolist() == [1]
    assert sent == ["SELECT 1"]
    xsa = find_mission("xmm").other_tables[0]
    row = {
        "observation_id": "0404910601", "ra": 149.6, "dec": -11.1, "start_utc": "2007-05-01 00:00:00",
        "duration": 1000.0, "proprietary_end_date": "2008-05-01 00:00:00",
    }  # fmt: skip
    with serve(table_service([row])) as service:
        got = fetch_table(find_mission("xmm"), service.settings(), xsa)
    assert [str(cell).strip() for cell in got.table["observation_id"]] == ["0404910601"]
    assert {target.partition("/xsa")[1] for target in service.targets} == {"/xsa"}
