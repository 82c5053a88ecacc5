"""Observation tables that are kept: when they are fetched, what they hold, and who may corrupt them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from daxa.errors import CriteriaError, DataError, ServiceError, StorageError
from daxa.missions import find_mission
from daxa.query import Mission
from daxa.query.tables.snapshot import MAX_AGE, import_snapshot, read_snapshot, take_snapshot, write_snapshot
from daxa.query.tables.snapshot_file import declaration_of
from daxa.selection.schema import table_digest
from daxa.settings import Settings
from tests.query.rows import XMM
from tests.query.service import Reply, refusal, serve, table_service

SPEC = find_mission("xmm")
ROWS = [
    XMM,
    XMM | {"obsid": "0201901401", "name": "Abell  907", "ra": 149.6005, "public_date": 0.0, "__row": "9"},
    XMM | {"obsid": "0000000008", "ra": 10.0, "dec": 5.0, "__row": "10", "pn_time": 0.0},
    XMM | {"obsid": "bad", "__row": "12"},
]
XSA = [
    {
        "observation_id": "0404910601",
        "ra": 149.591375,
        "dec": -11.08872,
        "start_utc": "2006-05-27 09:59:02.0",
        "duration": 20470.0,
        "proprietary_end_date": "2007-07-19 23:00:00.0",
    }
]
BROKEN = Reply(b"<html>down</html>")


def answer(query):
    if "v_all_observations" in query:
        return table_service(XSA)(query)
    return table_service(ROWS)(query)


def only_heasarc(query):
    return BROKEN if "v_all_observations" in query else answer(query)


def only_xsa(query):
    return answer(query) if "v_all_observations" in query else BROKEN


@pytest.fixture
def service():
    with serve(answer) as running:
        yield running


@pytest.fixture
def waits(monkeypatch):
    monkeypatch.setattr("daxa.query.tables.exchange.time.sleep", lambda _seconds: None)


def kept_file(settings) -> Path:
    (path,) = (settings.cache / "snapshots").glob("*.parquet")
    return path


def grow_old(settings, age: timedelta, *, spec=SPEC) -> None:
    """As if the kept table had been fetched `age` ago."""
    path = next((settings.cache / "snapshots").glob(f"{spec.name}-heasarc-*.parquet"))
    snapshot = read_snapshot(path)
    time = (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    write_snapshot(path, replace(snapshot, origin=replace(snapshot.origin, time=time)))


def test_a_table_is_fetched_once_and_comes_back_the_same(service):
    settings = service.settings()
    first = take_snapshot(SPEC, settings)
    asked = len(service.queries)
    again = take_snapshot(SPEC, settings)
    assert len(service.queries) == asked == 2
    pd.testing.assert_frame_equal(again.table, first.table)
    assert (again.origin, again.mission, again.declaration) == (first.origin, "xmm", first.declaration)
    assert again.note == first.note == ""
    assert again.origin.left_out == {"malformed ObsID": 1}
    assert again.table["target"].tolist() == ["RXCJ0958-1103", "Abell 907", "RXCJ0958-1103"]
    assert again.mjd == pytest.approx((again.moment - datetime(1858, 11, 17, tzinfo=UTC)) / timedelta(days=1))


def test_missions_and_services_do_not_share_what_is_kept(service):
    settings = service.settings()
    take_snapshot(SPEC, settings)
    with serve(answer) as other:
        elsewhere = other.settings(DAXA_CACHE=str(settings.cache))
        take_snapshot(SPEC, elsewhere)
        assert len(other.queries) == 2
    changed = replace(SPEC, table=replace(SPEC.table, where=("status = 'archived'",)))
    take_snapshot(changed, settings)
    assert len(service.queries) == 4
    assert len(list((settings.cache / "snapshots").glob("*.parquet"))) == 3


def test_the_declaration_is_what_decides_about_rows():
    same = declaration_of(SPEC, SPEC.table)
    assert same == declaration_of(replace(SPEC, title="other", processed=False), SPEC.table)
    others = [
        declaration_of(SPEC, SPEC.other_tables[0]),
        declaration_of(SPEC, replace(SPEC.table, where=())),
        declaration_of(SPEC, replace(SPEC.table, never_public=(0.0,))),
        declaration_of(SPEC, replace(SPEC.table, columns={**SPEC.table.columns, "end": "time"})),
        declaration_of(replace(SPEC, instruments=SPEC.instruments[:2]), SPEC.table),
        declaration_of(replace(SPEC, id_pattern=r"\d{10}"), SPEC.table),
    ]
    assert len({same, *others}) == 7


@pytest.mark.parametrize(
    ("age", "options", "asked"),
    [
        (timedelta(days=6), {}, False),
        (MAX_AGE + timedelta(minutes=1), {}, True),
        (timedelta(days=6), {"max_age": timedelta(days=5)}, True),
        (timedelta(days=40), {"max_age": timedelta(days=50)}, False),
        (timedelta(minutes=1), {"max_age": timedelta(0)}, True),
        (timedelta(0), {"refresh": True}, True),
        (timedelta(days=-2), {}, True),
    ],
)
def test_a_table_is_fetched_again_when_it_is_too_old_or_on_request(service, age, options, asked):
    settings = service.settings()
    take_snapshot(SPEC, settings)
    grow_old(settings, age)
    service.queries.clear()
    service.answer = table_service([*ROWS, XMM | {"obsid": "0555555555"}])
    found = take_snapshot(SPEC, settings, **options)
    assert bool(service.queries) is asked
    assert len(found.table) == 3 + asked
    assert len(take_snapshot(SPEC, settings, offline=True).table) == len(found.table)


def test_a_negative_age_and_an_offline_refresh_are_refused(service):
    with pytest.raises(CriteriaError, match="cannot be negative") as caught:
        take_snapshot(SPEC, service.settings(), max_age=timedelta(days=-1))
    assert caught.value.code == "criteria.max-age"
    with pytest.raises(CriteriaError) as caught:
        take_snapshot(SPEC, service.settings(), refresh=True, offline=True)
    assert caught.value.code == "criteria.offline"
    assert service.queries == []


@pytest.mark.parametrize("how", [{"offline": True}, {"DAXA_OFFLINE": "1"}])
def test_offline_what_is_at_hand_is_used_whatever_its_age(service, how):
    settings = service.settings()
    take_snapshot(SPEC, settings)
    grow_old(settings, timedelta(days=900))
    service.queries.clear()
    changes = {name: value for name, value in how.items() if name.startswith("DAXA")}
    cut = service.settings(DAXA_CACHE=str(settings.cache), **changes)
    found = take_snapshot(SPEC, cut, offline=how.get("offline", False))
    assert len(found.table) == 3
    assert found.origin.time in found.note
    assert service.queries == []


def test_offline_without_a_table_says_how_to_get_one(service):
    with pytest.raises(ServiceError, match="XMM-Newton") as caught:
        take_snapshot(SPEC, service.settings(DAXA_OFFLINE="yes"))
    assert caught.value.code == "service.offline"
    assert "DAXA_OFFLINE" in caught.value.remedy
    assert "daxa search --snapshot" in caught.value.remedy
    assert service.queries == []


def test_offline_a_selection_needs_no_service_but_a_name_does(service):
    settings = service.settings()
    take_snapshot(SPEC, settings)
    cut = service.settings(DAXA_CACHE=str(settings.cache), DAXA_OFFLINE="1")
    service.queries.clear()
    near = Mission("xmm", cut).filter(position=(149.6, -11.09), radius="15 arcmin")
    assert list(near.observations["obs_id"]) == ["0404910601"]
    with pytest.raises(ServiceError) as caught:
        Mission("xmm", cut).filter(target="Abell 907").select()
    assert caught.value.code == "service.offline"
    assert service.queries == []


@pytest.mark.parametrize("trouble", [BROKEN, Reply(b"", 503), refusal("no")])
def test_an_old_table_is_used_when_the_service_fails_and_the_note_says_so(service, waits, trouble):
    settings = service.settings()
    take_snapshot(SPEC, settings)
    grow_old(settings, timedelta(days=30))
    before = kept_file(settings).read_bytes()
    service.answer = lambda _query: trouble
    found = take_snapshot(SPEC, settings)
    assert len(found.table) == 3
    assert found.origin.time in found.note
    assert service.url in found.note
    assert kept_file(settings).read_bytes() == before
    with pytest.raises(ServiceError):
        take_snapshot(SPEC, settings, refresh=True)
    assert kept_file(settings).read_bytes() == before


def test_xsa_answers_when_heasarc_fails_and_says_what_it_does_not_know(service):
    service.answer = only_xsa
    settings = service.settings()
    found = take_snapshot(SPEC, settings)
    row = found.table.iloc[0]
    assert row[["obs_id", "target", "instruments", "row_id"]].tolist() == ["0404910601", "", "PN,M1,M2", ""]
    assert row["start"] == pytest.approx(53882.416, abs=1e-3)
    assert row["end"] == pytest.approx(53882.653, abs=1e-3)
    assert row["public_date"] == pytest.approx(54300.958333)
    assert found.origin.service == f"{service.url}/xsa"
    assert found.origin.table == "xsa.v_all_observations"
    assert found.origin.assumed == ("instruments",)
    assert "instruments" in found.note
    assert f"{service.url}/tap" in found.note
    # As soon as HEASARC is back it is heard, and later its table is preferred however old it is.
    service.answer = answer
    assert take_snapshot(SPEC, settings).origin.service == f"{service.url}/tap"
    grow_old(settings, timedelta(days=30))
    service.answer = only_xsa
    assert take_snapshot(SPEC, settings).origin.table == "xmmmaster"


def test_heasarc_answers_when_xsa_is_preferred_and_fails(service):
    settings = service.settings(DAXA_PREFER_SERVICE="xsa")
    service.answer = only_heasarc
    assert take_snapshot(SPEC, settings).origin.table == "xmmmaster"
    service.answer = answer
    found = take_snapshot(SPEC, settings, refresh=True)
    assert found.origin.table == "xsa.v_all_observations"


def test_when_no_service_helps_the_error_names_all_of_them(service):
    service.answer = lambda _query: BROKEN
    with pytest.raises(ServiceError) as caught:
        take_snapshot(SPEC, service.settings())
    assert caught.value.code == "service.malformed"
    assert f"{service.url}/tap" in caught.value.message
    assert f"{service.url}/xsa" in caught.value.message


def test_a_snapshot_file_answers_without_network_and_can_be_brought_into_a_cache(service, tmp_path):
    path = tmp_path / "given" / "xmm.parquet"
    write_snapshot(path, take_snapshot(SPEC, service.settings()))
    content = path.read_bytes()
    service.answer = lambda _query: BROKEN
    service.queries.clear()
    given = read_snapshot(path)
    assert len(Mission("xmm", snapshot=given).filter(position=(10, 5)).observations) == 1
    write_snapshot(path, given)
    assert path.read_bytes() == content
    elsewhere = service.settings(DAXA_OFFLINE="true")
    import_snapshot(path, elsewhere)
    assert take_snapshot(SPEC, elsewhere).origin == given.origin
    assert len(Mission("xmm", elsewhere).observations) == 2
    assert service.queries == []


def test_a_snapshot_of_another_declaration_does_not_enter_the_cache(service, tmp_path):
    path = tmp_path / "xmm.parquet"
    write_snapshot(path, replace(take_snapshot(SPEC, service.settings()), declaration="0" * 64))
    with pytest.raises(DataError) as caught:
        import_snapshot(path, service.settings())
    assert caught.value.code == "data.snapshot-other"
    # It may still be used as what it is.
    assert len(Mission("xmm", snapshot=read_snapshot(path)).observations) == 2


def test_any_parquet_reader_finds_rows_units_and_identity(service, tmp_path):
    snapshot = take_snapshot(SPEC, service.settings())
    write_snapshot(tmp_path / "xmm.parquet", snapshot)
    plain = pd.read_parquet(tmp_path / "xmm.parquet")
    assert plain["obs_id"].tolist() == ["0000000008", "0201901401", "0404910601"]
    schema = pq.read_schema(tmp_path / "xmm.parquet")
    assert schema.field("exposure").metadata[b"unit"] == b"s"
    said = json.loads(schema.metadata[b"daxa.snapshot"])
    assert said["mission"] == "xmm"
    assert said["origin"]["query"] == snapshot.origin.query
    assert said["origin"]["rows"] == 3


def test_a_damaged_cache_is_set_aside_and_fetched_again(service):
    settings = service.settings()
    take_snapshot(SPEC, settings)
    path = kept_file(settings)
    whole = path.read_bytes()
    for corrupted in (b"", whole[: len(whole) // 2], b"PAR1" + b"x" * 100 + b"PAR1", b"\0" * len(whole)):
        path.write_bytes(corrupted)
        service.queries.clear()
        found = take_snapshot(SPEC, settings)
        assert len(found.table) == 3
        assert len(service.queries) == 2
        assert str(path) in found.note
        assert path.with_suffix(".damaged").read_bytes() == corrupted
        assert take_snapshot(SPEC, settings).note == ""
    path.write_bytes(b"")
    with pytest.raises(ServiceError, match="not a usable snapshot") as caught:
        take_snapshot(SPEC, settings, offline=True)
    assert caught.value.code == "service.offline"


@pytest.fixture(scope="module")
def snapshot():
    with serve(answer) as running:
        return take_snapshot(SPEC, running.settings())


def rewrite(path, change_table=lambda table: table, change_said=lambda said: said):
    """A well-formed Parquet file with other content, its digest and number of rows made right again."""
    arrow = pq.read_table(path)
    said = json.loads(arrow.schema.metadata[b"daxa.snapshot"])
    table = change_table(arrow.to_pandas())
    said["origin"] |= {"rows": len(table), "digest": table_digest(table)}
    schema = arrow.schema.with_metadata({b"daxa.snapshot": json.dumps(change_said(said))})
    arrays = [pa.array(table[item.name].tolist(), type=item.type) for item in schema]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path)


def column(name, value):
    return lambda table: table.assign(**{name: [value, *table[name].tolist()[1:]]})


@pytest.mark.parametrize(
    "change",
    [
        column("obs_id", "../../x"),
        column("obs_id", "9000000000"),
        column("obs_id", "0999999999"),
        column("obs_id", "0201901401"),
        column("instruments", "PN,ACIS"),
        column("instruments", ","),
        column("target", "\x1b[31m"),
        column("target", "x" * 201),
        column("row_id", "1&x=y"),
        column("ra", 361.0),
        column("ra", float("nan")),
        column("dec", float("-inf")),
        column("exposure", -1.0),
        column("public_date", 1e9),
        lambda table: table.iloc[:0],
    ],
)
def test_hostile_rows_are_refused(snapshot, tmp_path, change):
    path = tmp_path / "x.parquet"
    write_snapshot(path, snapshot)
    rewrite(path)
    assert read_snapshot(path).origin == snapshot.origin
    rewrite(path, change)
    with pytest.raises(DataError) as caught:
        read_snapshot(path)
    assert caught.value.code == "data.snapshot-damaged"
    assert str(path) in caught.value.message
    assert caught.value.message.isprintable()


def origin(**changes):
    return lambda said: said | {"origin": said["origin"] | changes}


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said | {"mission": "../x"},
        lambda said: said | {"mission": ["xmm"]},
        lambda said: said | {"format": 2},
        lambda said: said | {"declaration": None},
        lambda said: {name: value for name, value in said.items() if name != "origin"},
        lambda said: [said],
        origin(digest="0" * 64),
        origin(digest="../x"),
        origin(rows=2),
        origin(rows=True),
        origin(rows="3"),
        origin(time="yesterday"),
        origin(time="2026-13-01T00:00:00Z"),
        origin(time="0001-01-01T00:00:00+14:00"),
        origin(service="http://x/\x1b[2J"),
        origin(query="x" * 20_000),
        origin(left_out=[]),
        origin(left_out={"a": -1}),
        origin(left_out={"\x9b": 1}),
        origin(assumed=["../x"]),
        origin(assumed="ra"),
    ],
)
def test_what_a_file_says_about_itself_is_checked(snapshot, tmp_path, change):
    path = tmp_path / "x.parquet"
    write_snapshot(path, snapshot)
    rewrite(path, change_said=change)
    with pytest.raises(DataError) as caught:
        read_snapshot(path)
    assert caught.value.code == "data.snapshot-damaged"


def test_a_value_changed_without_its_digest_is_noticed(snapshot, tmp_path):
    path = tmp_path / "x.parquet"
    write_snapshot(path, snapshot)
    arrow = pq.read_table(path)
    exposure = pc_add(arrow["exposure"])
    pq.write_table(arrow.set_column(arrow.schema.get_field_index("exposure"), arrow.schema.field("exposure"), exposure),
                   path)  # fmt: skip
    with pytest.raises(DataError, match="have changed since it was made"):
        read_snapshot(path)


def pc_add(values):
    return pa.chunked_array([pa.array(np.asarray(values) + 1.0)])


def with_column(arrow, name, values, kind):
    index = arrow.schema.get_field_index(name)
    return arrow.set_column(index, pa.field(name, kind), pa.array(values, type=kind))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda arrow: arrow.drop_columns("row_id"), "its columns"),
        (lambda arrow: arrow.append_column("more", pa.array([1, 2, 3])), "its columns"),
        (lambda arrow: with_column(arrow, "ra", [1, 2, 3], pa.float32()), "its columns"),
        (lambda arrow: with_column(arrow, "target", [None, "a", "b"], pa.string()), "empty cells"),
        (lambda arrow: with_column(arrow, "exposure", [None, 1, 2], pa.float64()), "empty cells"),
        (lambda arrow: arrow.replace_schema_metadata({}), "no metadata"),
        (lambda _: pa.table({"x": [1]}), "no metadata"),
    ],
)
def test_another_schema_is_refused(snapshot, tmp_path, change, why):
    path = tmp_path / "x.parquet"
    write_snapshot(path, snapshot)
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(DataError, match=why) as caught:
        read_snapshot(path)
    assert caught.value.code == "data.snapshot-damaged"


def test_texts_that_are_not_utf8_are_refused(snapshot, tmp_path):
    path = tmp_path / "x.parquet"
    write_snapshot(path, snapshot)
    arrow = pq.read_table(path)
    broken = pa.array([b"\xff\xfe", b"a", b"b"], type=pa.binary()).view(pa.string())
    index = arrow.schema.get_field_index("target")
    pq.write_table(arrow.set_column(index, arrow.schema.field("target"), broken), path)
    with pytest.raises(DataError) as caught:
        read_snapshot(path)
    assert caught.value.code == "data.snapshot-damaged"


def test_a_file_under_the_name_of_another_table_is_set_aside(service):
    settings = service.settings()
    take_snapshot(SPEC, settings)
    changed = replace(SPEC, table=replace(SPEC.table, where=("status = 'archived'",)))
    take_snapshot(changed, settings)
    one, two = sorted((settings.cache / "snapshots").glob("*.parquet"))
    declared = {path: read_snapshot(path).declaration for path in (one, two)}
    one.write_bytes(two.read_bytes())
    two.unlink()
    spec = SPEC if declared[one] == declaration_of(SPEC, SPEC.table) else changed
    service.queries.clear()
    found = take_snapshot(spec, settings)
    assert found.declaration == declared[one]
    assert str(one) in found.note
    assert len(service.queries) == 2


def test_an_explicit_refresh_does_not_exchange_the_service_behind_a_table(service):
    settings = service.settings()
    take_snapshot(SPEC, settings)
    service.answer = only_xsa
    with pytest.raises(ServiceError) as caught:
        take_snapshot(SPEC, settings, refresh=True)
    assert f"{service.url}/tap" in caught.value.message
    assert not any("v_all_observations" in query for query in service.queries)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 0.9999), patch=st.binary(min_size=1, max_size=6))
def test_a_spoiled_file_is_refused_or_gives_the_same_rows(snapshot, tmp_path, where, patch):
    path = tmp_path / "x.parquet"
    write_snapshot(path, snapshot)
    whole = path.read_bytes()
    start = int(where * len(whole))
    path.write_bytes(whole[:start] + patch + whole[start + len(patch) :])
    try:
        found = read_snapshot(path)
    except DataError as error:
        assert error.code == "data.snapshot-damaged"
    else:
        assert table_digest(found.table) == snapshot.origin.digest


def test_an_absent_file_is_absent(tmp_path):
    with pytest.raises(DataError) as caught:
        read_snapshot(tmp_path / "no.parquet")
    assert caught.value.code == "data.snapshot-absent"
    with pytest.raises(DataError) as caught:
        read_snapshot(tmp_path)
    assert caught.value.code == "data.snapshot-damaged"


def test_who_comes_at_the_same_time_waits_for_one_fetch(service):
    settings = service.settings()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: take_snapshot(SPEC, settings), range(8)))
    assert len(service.queries) == 2
    assert {snapshot.origin.time for snapshot in found} == {found[0].origin.time}


PROGRAM = """
import sys
from daxa.missions import find_mission
from daxa.query.tables.snapshot import take_snapshot
from daxa.settings import load_settings
print(take_snapshot(find_mission("xmm"), load_settings(user_file=None)).origin.digest)
"""


def test_processes_share_one_fetch(service):
    settings = service.settings()
    environ = {
        **os.environ,
        "DAXA_HEASARC_TAP": settings.heasarc_tap,
        "DAXA_XSA_TAP": settings.xsa_tap,
        "DAXA_CACHE": str(settings.cache),
    }
    running = [
        subprocess.Popen([sys.executable, "-c", PROGRAM], env=environ, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = {process.communicate(timeout=120)[0] for process in running}
    assert all(process.returncode == 0 for process in running)
    assert len(said) == 1
    assert len(service.queries) == 2
    assert [path.suffix for path in sorted((settings.cache / "snapshots").iterdir())] == [".lock", ".parquet"]


def test_a_cache_that_cannot_be_written_stops_nothing(service, tmp_path):
    (tmp_path / "file").write_text("no directory")
    found = take_snapshot(SPEC, service.settings(DAXA_CACHE=str(tmp_path / "file")))
    assert len(found.table) == 3
    assert "could not be cached" in found.note
    with pytest.raises(StorageError):
        write_snapshot(tmp_path / "file" / "x.parquet", found)


def test_without_a_cache_nothing_is_kept(service, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = Settings(heasarc_tap=service.settings().heasarc_tap, connect_timeout=5, read_timeout=5)
    take_snapshot(SPEC, settings)
    take_snapshot(SPEC, settings)
    assert len(service.queries) == 4
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_kept_table_alone(service, monkeypatch):
    settings = service.settings()
    take_snapshot(SPEC, settings)
    before = kept_file(settings).read_bytes()

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("daxa.parquet.os.fsync", full)
    service.answer = table_service([*ROWS, XMM | {"obsid": "0555555555"}])
    found = take_snapshot(SPEC, settings, refresh=True)
    assert len(found.table) == 4
    assert "No space left" in found.note
    assert kept_file(settings).read_bytes() == before
    assert not list((settings.cache / "snapshots").glob(".*.part"))


def test_more_rows_than_the_cap_of_the_service_arrive_whole(tmp_path):
    from daxa.settings import load_settings
    from daxa.simulator import Observatory

    rows = [
        XMM | {"obsid": f"{number:010d}", "status": "archived", "data_in_heasarc": "Y", "__row": str(number)}
        for number in range(300)
    ]
    with Observatory(tmp_path / "tree", {"xmmmaster": rows}, row_cap=100) as observatory:
        environ = {**observatory.environ, "DAXA_CACHE": str(tmp_path / "cache")}
        found = take_snapshot(SPEC, load_settings(environ=environ, user_file=None))
        again = take_snapshot(SPEC, load_settings(environ=environ | {"DAXA_OFFLINE": "1"}, user_file=None))
    assert len(found.table) == len(again.table) == 300
    assert found.table["row_id"].tolist() == [str(number) for number in range(300)]
