"""The query services, whole and broken, over real connections on loopback."""

from __future__ import annotations

import socket
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daxa.errors import ConfigError, ServiceError
from daxa.missions import find_mission, mission_names
from daxa.query.tables.services import build_query, fetch_table
from daxa.settings import load_settings
from tests.query.rows import BY_MISSION, XMM
from tests.query.service import Reply, refusal, serve, table_service, votable

SPEC = find_mission("xmm")
HTML = b"<!DOCTYPE html><html><body><h1>Please log in to the network</h1></body></html>"
ROWS = [XMM, XMM | {"obsid": "0201901401", "name": "A907"}]


@pytest.fixture
def service():
    with serve(table_service(ROWS)) as running:
        yield running


@pytest.fixture
def waits(monkeypatch):
    waited = []
    monkeypatch.setattr("daxa.query.tables.exchange.time.sleep", waited.append)
    return waited


def test_the_whole_table_is_counted_and_fetched(service):
    answer = fetch_table(SPEC, service.settings())
    assert len(answer.table) == 2
    assert answer.service == f"{service.url}/tap"
    counted, asked = service.queries
    assert counted.startswith("SELECT COUNT(*) AS n FROM xmmmaster WHERE ")
    assert asked == answer.query == build_query(SPEC, 1002)
    assert '"time"' in asked
    assert '"__row"' in asked


@pytest.mark.parametrize("mission", mission_names(processed=True))
def test_queries_quote_every_column_once(mission):
    query = build_query(find_mission(mission), 10)
    columns, _, rest = query.removeprefix("SELECT TOP 10 ").partition(" FROM ")
    names = columns.split(", ")
    assert all(name.startswith('"') and name.endswith('"') for name in names)
    assert len(names) == len(set(names))
    table = find_mission(mission).table
    assert rest.startswith(f"{table.name} WHERE " if table.where else table.name)


def test_requests_name_us_and_ask_for_rows_beyond_the_cap(service):
    fetch_table(SPEC, service.settings())
    _, form, headers = service.requests[1]
    assert headers["User-Agent"].startswith("daxa/")
    assert "MAXREC=1002" in form


@pytest.mark.parametrize("mission", BY_MISSION)
def test_texts_units_and_masked_cells_arrive(mission):
    from daxa.query.tables.normalise import normalise

    row = BY_MISSION[mission]
    with serve(table_service([row, row | {"obsid": row["obsid"][:-1] + "9", "public_date": None}])) as running:
        answer = fetch_table(find_mission(mission), running.settings())
    assert str(answer.table["time"].unit) == "mjd"
    found = normalise(find_mission(mission), answer.table).table
    assert set(found["obs_id"]) == {row["obsid"], row["obsid"][:-1] + "9"}
    assert found["public_date"].isna().sum() == 1
    assert not found["target"].str.endswith(" ").any()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
def test_passing_trouble_is_waited_out(service, waits, status):
    service.script = [Reply(HTML, status), Reply(HTML, status, {"Retry-After": "7"})]
    assert len(fetch_table(SPEC, service.settings()).table) == 2
    assert waits == [0.5, 7.0]


def test_a_service_may_not_make_us_wait_for_ever(service, waits):
    service.script = [Reply(HTML, 503, {"Retry-After": "86400"}), Reply(HTML, 503, {"Retry-After": "-1"})]
    fetch_table(SPEC, service.settings())
    assert waits == [30.0, 1.0]


def test_lasting_trouble_is_unreachable(service, waits):
    service.answer = lambda _query: Reply(HTML, 503)
    with pytest.raises(ServiceError, match="503") as caught:
        fetch_table(SPEC, service.settings())
    assert caught.value.code == "service.unreachable"
    assert service.url in caught.value.message
    assert caught.value.environmental
    assert len(service.queries) == 4
    assert len(waits) == 3


def test_nobody_there_is_unreachable(waits):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ServiceError) as caught:
        fetch_table(SPEC, load_settings(environ={"DAXA_HEASARC_TAP": f"http://127.0.0.1:{port}/tap"}, user_file=None))
    assert caught.value.code == "service.unreachable"
    assert caught.value.remedy


def test_a_silent_service_does_not_hang_us(service, waits):
    done = threading.Event()
    service.answer = lambda _query: Reply(b"x" * 100, cut=10, hang=done)
    try:
        with pytest.raises(ServiceError) as caught:
            fetch_table(SPEC, service.settings(DAXA_READ_TIMEOUT="0.2"))
        assert service.released == 0  # we gave up, not the service
    finally:
        done.set()
    assert caught.value.code == "service.unreachable"


def test_a_body_cut_in_the_middle_is_requested_again(service, waits):
    whole = votable(ROWS, ["obsid", "name"])
    service.script = [Reply(votable([{"n": 2}], ["n"])), Reply(whole, cut=len(whole) // 2)]
    assert len(fetch_table(SPEC, service.settings()).table) == 2
    assert len(service.queries) == 3


@pytest.mark.parametrize("reply", [refusal("Cannot parse query"), Reply(HTML, 404), Reply(HTML, 401), Reply(b"", 400)])
def test_a_refused_query_is_refused_at_once(service, waits, reply):
    service.answer = lambda _query: reply
    with pytest.raises(ServiceError) as caught:
        fetch_table(SPEC, service.settings())
    assert caught.value.code == "service.refused"
    assert len(service.queries) == 1


def test_what_a_refusal_says_is_shown_without_control_characters(service):
    service.answer = lambda _query: refusal("bad&#x9b;31m query\u202e")
    with pytest.raises(ServiceError) as caught:
        fetch_table(SPEC, service.settings())
    assert caught.value.message.isprintable()
    assert "bad" in caught.value.message


@pytest.mark.parametrize(
    "body", [HTML, b"", b"SIMPLE  =", b"<VOTABLE/>", b"\x1f\x8b junk", votable(ROWS, ["obsid"])[:-30]]
)
def test_what_is_not_a_votable_is_malformed(service, waits, body):
    service.answer = lambda _query: Reply(body)
    with pytest.raises(ServiceError) as caught:
        fetch_table(SPEC, service.settings())
    assert caught.value.code == "service.malformed"
    assert waits == []


@pytest.mark.parametrize("count", ["many", -1, 0, 10**12])
def test_a_count_that_cannot_be_is_malformed(service, count):
    service.answer = lambda _query: Reply(votable([{"n": count}], ["n"]))
    with pytest.raises(ServiceError) as caught:
        fetch_table(SPEC, service.settings())
    assert caught.value.code == "service.malformed"


def cut_off(counts, rows, **how):
    def answer(query):
        if "COUNT" in query:
            return Reply(votable([{"n": counts.pop(0)}], ["n"]))
        return Reply(votable(rows, ["obsid"], **how))

    return answer


@pytest.mark.parametrize(
    ("counts", "rows", "how"),
    [
        ([3, 3], ROWS, {}),
        ([2], ROWS, {"status": "OVERFLOW"}),
        ([2], ROWS, {"after": "OVERFLOW"}),
        ([1, 1], [XMM] * 1001, {}),
    ],
)
def test_fewer_rows_than_there_are_is_truncated(service, counts, rows, how):
    service.answer = cut_off(counts, rows, **how)
    with pytest.raises(ServiceError) as caught:
        fetch_table(SPEC, service.settings())
    assert caught.value.code == "service.truncated"


def test_a_table_that_shrinks_or_grows_between_the_queries_is_whole(service):
    service.answer = cut_off([3, 2], ROWS)
    assert len(fetch_table(SPEC, service.settings()).table) == 2
    service.answer = cut_off([1], ROWS)
    assert len(fetch_table(SPEC, service.settings()).table) == 2


BODY = votable(ROWS, ["obsid", "ra", "name"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(0, len(BODY) - 1), patch=st.binary(min_size=1, max_size=4))
def test_a_corrupted_answer_is_a_service_error_or_a_table(service, where, patch):
    corrupted = BODY[:where] + patch + BODY[where + len(patch) :]
    service.answer = lambda query: Reply(votable([{"n": 2}], ["n"]) if "COUNT" in query else corrupted)
    try:
        answer = fetch_table(SPEC, service.settings())
    except ServiceError as error:
        assert error.code in {"service.malformed", "service.truncated", "service.refused"}
    else:
        assert len(answer.table) >= 2


XSA = SPEC.other_tables[0]
XSA_ROW = {
    "observation_id": "0404910601",
    "ra": 149.591375,
    "dec": -11.08872,
    "start_utc": "2006-05-27 09:59:02.0",
    "duration": 20470.0,
    "proprietary_end_date": "2007-07-19 23:00:00.0",
}


def xsa_service(rows):
    """As ESA's service does it: 2,000 rows at most unless the query says TOP, whatever MAXREC is."""
    whole = table_service(rows)

    def answer(query):
        if "COUNT" in query or "TOP" in query:
            return whole(query)
        return whole(query.replace("SELECT", "SELECT TOP 2000", 1))

    return answer


def test_xsa_gives_more_than_its_cap_of_2000_rows(service):
    rows = [XSA_ROW | {"observation_id": f"{number:010d}"} for number in range(2500)]
    service.answer = xsa_service(rows)
    found = fetch_table(SPEC, service.settings(), XSA)
    assert len(found.table) == 2500
    assert found.service == f"{service.url}/xsa"
    counted, asked = service.queries
    assert counted == "SELECT COUNT(*) AS n FROM xsa.v_all_observations WHERE observation_id not like '9%'"
    assert asked.startswith('SELECT TOP 3500 "observation_id", "ra", "dec", ')
    assert "__row" not in asked
    assert "pn_time" not in asked
    # The stand-in really has the cap that the query gets around.
    assert len(table_of(service.answer(asked.replace("TOP 3500 ", "")))) == 2000


def table_of(reply):
    import io

    from astropy.io import votable

    return votable.parse(io.BytesIO(reply.body)).get_first_table().array


def test_the_service_of_a_table_is_the_one_that_is_queried(service):
    service.answer = xsa_service([XSA_ROW])
    fetch_table(SPEC, service.settings(), XSA)
    assert all(target.startswith("/xsa/sync") for target in service.targets)
    service.targets.clear()
    service.answer = table_service(ROWS)
    fetch_table(SPEC, service.settings())
    assert all(target.startswith("/tap/sync") for target in service.targets)


def test_a_capped_answer_of_a_service_that_ignores_top_is_truncated(service):
    rows = [XSA_ROW | {"observation_id": f"{number:010d}"} for number in range(2500)]
    service.answer = lambda query: table_service(rows if "COUNT" in query else rows[:2000])(query)
    with pytest.raises(ServiceError) as caught:
        fetch_table(SPEC, service.settings(), XSA)
    assert caught.value.code == "service.truncated"


def test_the_sample_observatory_has_the_cap_that_queries_get_around(tmp_path):
    import pyvo

    from daxa.simulator import Observatory

    rows = [XMM | {"obsid": f"{number:010d}", "status": "archived", "data_in_heasarc": "Y"} for number in range(150)]
    with Observatory(tmp_path, {"xmmmaster": rows}, row_cap=100) as observatory:
        found = fetch_table(SPEC, load_settings(environ=observatory.environ, user_file=None))
        tap = pyvo.dal.TAPService(observatory.environ["DAXA_HEASARC_TAP"])
        with pytest.warns(pyvo.dal.exceptions.DALOverflowWarning):
            assert len(tap.run_sync("SELECT obsid FROM xmmmaster", maxrec=1000)) == 100
    assert len(found.table) == 150
    # Texts come padded, and are still so here: `normalise` trims them.
    assert any(str(text) != str(text).strip() for text in found.table["name"])


def test_offline_no_connection_is_opened(service):
    with pytest.raises(ServiceError) as caught:
        fetch_table(SPEC, service.settings(DAXA_OFFLINE="1"))
    assert caught.value.code == "service.offline"
    assert not caught.value.message.startswith("http")
    assert service.requests == []


@pytest.mark.parametrize(("text", "offline"), [("1", True), ("true", True), ("ON", True), ("0", False), ("no", False)])
def test_switches_are_read_as_people_write_them(text, offline):
    assert load_settings(environ={"DAXA_OFFLINE": text}, user_file=None).offline is offline


@pytest.mark.parametrize("environ", [{"DAXA_OFFLINE": "maybe"}, {"DAXA_PREFER_SERVICE": "esa"}, {"DAXA_XSA_TAP": "x"}])
def test_settings_that_cannot_be_are_refused(environ):
    with pytest.raises(ConfigError) as caught:
        load_settings(environ=environ, user_file=None)
    assert caught.value.code == "config.bad-setting"


def test_the_cache_is_where_the_user_says(tmp_path):
    assert load_settings(environ={"DAXA_CACHE": str(tmp_path)}, user_file=None).cache == tmp_path
    assert load_settings(environ={}, user_file=None).cache.is_absolute()
    file = tmp_path / "config.toml"
    file.write_text(f'offline = true\ncache = "{tmp_path}/c"\nprefer_service = "XSA"\n')
    found = load_settings(environ={}, user_file=file)
    assert (found.offline, found.cache, found.prefer_service) == (True, tmp_path / "c", "xsa")
