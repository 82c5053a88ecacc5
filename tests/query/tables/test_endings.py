"""Every answer of a service ends: in time, within its size, from where it may come, or with one typed error."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from daxa.errors import DaxaError, ServiceError
from daxa.missions import find_mission
from daxa.query.mission import Mission
from daxa.query.tables.name_resolution import resolve_name
from daxa.query.tables.services import fetch_table
from daxa.settings import load_settings
from daxa.simulator import Fault, Observatory
from daxa.votables import PARSE_ERRORS, parse_votable
from tests.query.rows import XMM
from tests.query.service import Reply, serve, table_service, votable

SPEC = find_mission("xmm")
ROWS = [XMM | {"status": "archived", "data_in_heasarc": "Y"}]
FAR = "Wed, 01 Jan 99999999999999999999 00:00:00 GMT"


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    names = {"Abell 907": (149.5916, -11.0638)}
    with Observatory(tmp_path_factory.mktemp("tree"), {"xmmmaster": ROWS}, names) as running:
        yield running


@pytest.fixture
def settings(sky, tmp_path, monkeypatch):
    sky.faults.clear()
    monkeypatch.setattr("daxa.query.tables.exchange._TRIES", 2)
    monkeypatch.setattr("daxa.query.tables.exchange._LONGEST_WAIT", 0.1)
    brief = {"DAXA_READ_TIMEOUT": "1.5", "DAXA_ANSWER_TIMEOUT": "1.5", "DAXA_CACHE": str(tmp_path / "cache")}
    return load_settings(environ={**sky.environ, **brief}, user_file=None)


def impatient(settings):
    """For what never ends, where only the limit is waited for: a slow machine cannot turn the answer into another."""
    return replace(settings, read_timeout=0.4, answer_timeout=0.4)


FAULTS = [
    (Fault("drip", value=0.02), "too-slow"),
    (Fault("continue", value=0.02), "too-slow"),
    (Fault("continue"), "too-slow"),
    (Fault("endless"), "malformed"),
    (Fault("limited", value=FAR), "unreachable"),
    (Fault("limited", value="-5"), "unreachable"),
    (Fault("limited", value="9" * 500), "unreachable"),
    (Fault("redirect", value="javascript:alert(1)"), "malformed"),
    (Fault("redirect", value="http://127.0.0.1:9/tap"), "malformed"),
    (Fault("redirect", value="http://evil.example/tap"), "malformed"),
    (Fault("redirect", value="http://me:word@127.0.0.1/"), "malformed"),
    (Fault("redirect", value="//[::1"), "malformed"),
    (Fault("redirect", value="/a\x7f\xff\\b"), "malformed"),
    (Fault("header", value="Content-Length: 7"), ""),
    (Fault("header", value="Content-Encoding: gzip"), "malformed"),
    (Fault("header", value="Transfer-Encoding: chunked"), ""),
    (Fault("header", value="\x00\xff: \x01"), ""),
]


@pytest.mark.parametrize(("fault", "code"), FAULTS, ids=[f"{f.kind}-{str(f.value)[:20]!a}" for f, _ in FAULTS])
@pytest.mark.parametrize("ask", ["table", "name"])
def test_every_answer_ends(sky, settings, fault, code, ask):
    sky.faults.add(fault)
    settings = impatient(settings) if code == "too-slow" else settings
    begun = time.monotonic()
    try:
        fetch_table(SPEC, settings) if ask == "table" else resolve_name("Abell 907", settings)
    except ServiceError as error:
        assert error.code == f"service.{code}" or not code
        assert error.message.isprintable()
        assert sky.url.removeprefix("http://") in error.message
        assert error.remedy
    else:
        assert not code, "a header that is odd may be hidden_changes, the rest not"
    assert time.monotonic() - begun < 60


def test_the_whole_way_of_a_search_ends(sky, settings):
    sky.faults.add(Fault("drip", "*/sync", 0.02))
    with pytest.raises(DaxaError) as caught:
        _ = Mission("xmm", impatient(settings)).filter(target="Abell 907").observations
    assert caught.value.code == "service.too-slow"
    assert "DAXA_ANSWER_TIMEOUT" in caught.value.remedy


def test_an_answer_that_keeps_coming_may_take_longer(sky, settings):
    # Longer than the allowance of short answers, and faster than the least rate.
    wide = [XMM | {"status": "archived", "data_in_heasarc": "Y", "obsid": f"{n:010d}"} for n in range(800)]
    with Observatory(sky.root, {"xmmmaster": wide}) as running:
        running.faults.add(Fault("slow", "*/sync", 0.4))
        slow = load_settings(environ={**running.environ, "DAXA_ANSWER_TIMEOUT": "3"}, user_file=None)
        begun = time.monotonic()
        assert len(fetch_table(SPEC, slow).table) == 800
        assert time.monotonic() - begun > 3


def test_redirects_in_the_house_are_followed():
    with serve(table_service(ROWS)) as service:
        service.script = [Reply(status=307, headers={"Location": "/moved/sync"})]
        assert len(fetch_table(SPEC, service.settings()).table) == 1
        assert service.targets[:2] == ["/tap/sync", "/moved/sync"]


def test_an_answer_is_no_longer_than_its_rows_can_be():
    def answer(query):
        return Reply(votable([{"n": 1}], ["n"]) if "COUNT" in query else b"<VOTABLE>" + b" " * (20 << 20))

    with serve(answer) as service, pytest.raises(ServiceError) as caught:
        fetch_table(SPEC, service.settings())
    assert caught.value.code == "service.malformed"
    assert "longer than" in caught.value.message


HEAD = '<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
DATA = "<DATA><TABLEDATA><TR><TD>1</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
FIELD = '<FIELD name="a" datatype="double"/>'


@pytest.mark.parametrize(
    "text",
    [
        f'{HEAD}<TABLE nrows="2000000000">{FIELD}{DATA}',
        f'{HEAD}<TABLE><FIELD name="a" datatype="char" arraysize="2000000000"/>{DATA}',
        f'{HEAD}<TABLE><FIELD name="a" datatype="double" arraysize = \'1000x1000x100\'/>{DATA}',
        f"{HEAD}<TABLE>{FIELD * 20_000}{DATA}",
        HEAD + "<x/>" * 50_000,
        HEAD + "<RESOURCE>" * 4000 + "</RESOURCE>" * 4000 + "</RESOURCE></VOTABLE>",
        f"{HEAD}<TABLE>{FIELD}<DATA><BINARY><STREAM href='file:///etc/passwd'/></BINARY></DATA></TABLE></RESOURCE></VOTABLE>",
        f"<!DOCTYPE x [<!ENTITY a 'aaaa'>]>{HEAD}<TABLE>{FIELD}{DATA}",
        "",
    ],
    ids=["nrows", "arraysize", "dimensions", "columns", "unknown", "depth", "elsewhere", "entity", "empty"],
)
def test_a_table_that_promises_more_than_it_holds_costs_nothing(tmp_path, text):
    begun = time.process_time()
    with pytest.raises(PARSE_ERRORS):
        parse_votable(text.encode())
    (tmp_path / "answer").write_text(text)
    with (tmp_path / "answer").open("rb") as file, pytest.raises(PARSE_ERRORS):
        parse_votable(file)
    assert time.process_time() - begun < 60
