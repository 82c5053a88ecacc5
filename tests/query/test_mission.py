"""`daxa.Mission` from the first filter to the selection file."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta

import pandas as pd
import pytest

import daxa
from daxa.errors import CriteriaError, ServiceError
from daxa.query import Mission
from daxa.selection import column_names, read_selection, read_selection_metadata, table_digest, write_selection
from tests.query.rows import XMM
from tests.query.service import Reply, serve, table_service

ROWS = [
    XMM,
    XMM
    | {"obsid": "0201901401", "ra": 149.6005, "dec": -11.0868, "time": 53134.67, "end_time": 53134.85, "__row": "9"},
    XMM | {"obsid": "0000000008", "ra": 10.0, "dec": 5.0, "__row": "10", "pn_time": 0.0},
    XMM | {"obsid": "0000000009", "ra": 149.6, "public_date": 99999.0, "__row": "11"},
    XMM | {"obsid": "bad", "__row": "12"},
]
SESAME = b"# Abell 907\n%J 149.5916 -11.0638 = 09:58:22.0 -11:03:50\n#====Done====\n"


def answer(query):
    return table_service(ROWS)(query) if query.startswith("SELECT") else Reply(SESAME)


@pytest.fixture
def service():
    with serve(answer) as running:
        yield running


def test_a_selection_by_name_time_and_instrument(service):
    mission = Mission("XMM-Newton", service.settings()).filter(target="Abell 907", radius="15 arcmin")
    assert list(mission.observations["obs_id"]) == ["0201901401", "0404910601"]
    later = mission.filter(time=("2005-01-01", "2010-01-01")).filter(instruments="mos1")
    found = later.select()
    assert list(found.table.columns) == list(column_names())
    assert found.table.iloc[0][["obs_id", "instruments"]].tolist() == ["0404910601", "M1"]
    assert found.row_ids == {"0404910601": "2108"}
    assert found.spec.name == "xmm"
    assert found.criteria.to_plain()["resolved"] == {"Abell 907": [149.5916, -11.0638]}


def test_the_origin_says_where_when_and_what_was_left_out(service):
    mission = Mission("xmm", service.settings()).filter(position=(149.6, -11.09))
    origin = mission.select().origin
    assert (origin.service, origin.table, origin.rows) == (f"{service.url}/tap", "xmmmaster", 4)
    assert origin.query == service.queries[1]
    assert origin.left_out == {"malformed ObsID": 1, "proprietary": 1}
    assert pd.Timestamp(origin.time).tzinfo is not None
    assert origin.digest == table_digest(mission._source.snapshot().table)
    assert json.loads(json.dumps(origin.as_dict()))["digest"] == origin.digest
    assert len(origin.digest) == 64


def test_the_table_is_fetched_once_and_shared(service):
    mission = Mission("xmm", service.settings())
    assert service.queries == []
    for radius in ("1 deg", "2 deg", "3 deg"):
        near = mission.filter(target="Abell 907", radius=radius)
        assert len(near.observations) == len(near.observations) == 2
    assert len(mission.observations) == 3
    assert len(service.queries) == 3


def test_filters_leave_the_mission_they_start_from_alone(service):
    mission = Mission("xmm", service.settings())
    mission.filter(obs_ids="0404910601")
    assert len(mission.observations) == 3
    with pytest.raises(AttributeError):
        mission.criteria = None
    mine = mission.observations
    mine["ra"] = 0.0
    assert mission.observations["ra"].min() == 10


def test_a_stored_selection_replays_without_asking_for_names(service, tmp_path):
    first = Mission("xmm", service.settings()).filter(target="Abell 907", time=("2004-01-01", None)).select()
    path = tmp_path / "xmm.parquet"
    write_selection(path, first.table, mission="xmm", criteria=first.criteria.text, snapshot=first.origin.digest)
    service.queries.clear()
    stored = read_selection_metadata(path)
    again = Mission(stored.mission, service.settings(), criteria=json.loads(stored.criteria)).select()
    pd.testing.assert_frame_equal(again.table, read_selection(path))
    assert again.origin.digest == stored.snapshot
    assert all(query.startswith("SELECT") for query in service.queries)
    before = path.read_bytes()
    assert not write_selection(path, again.table, mission="xmm", criteria="{}", snapshot="")
    assert path.read_bytes() == before


def test_row_identifiers_do_not_reach_the_file(service, tmp_path):
    found = Mission("xmm", service.settings()).filter(obs_ids="0404910601").select()
    write_selection(tmp_path / "x.parquet", found.table, mission="xmm", criteria="{}", snapshot="")
    content = (tmp_path / "x.parquet").read_bytes()
    assert b"2108" not in content
    assert b"127.0.0.1" not in content
    assert "row_id" not in read_selection(tmp_path / "x.parquet")


def test_the_digest_changes_with_the_table_and_not_with_the_order_or_the_row_numbers(service):
    digest = Mission("xmm", service.settings()).select().origin.digest
    service.answer = table_service([row | {"__row": str(index)} for index, row in enumerate(reversed(ROWS))])
    assert Mission("xmm", service.settings()).select().origin.digest == digest
    service.answer = table_service([ROWS[0] | {"public_date": 54301.0}, *ROWS[1:]])
    assert Mission("xmm", service.settings()).select().origin.digest != digest


def test_unknown_obs_ids_and_broken_services_are_distinguished(service):
    mission = Mission("xmm", service.settings())
    with pytest.raises(CriteriaError, match="0999999999") as caught:
        mission.filter(obs_ids=["0404910601", "0999999999"]).select()
    assert caught.value.code == "criteria.unknown-obs-id"
    service.answer = lambda _query: Reply(b"<html></html>")
    with pytest.raises(ServiceError):
        Mission("xmm", service.settings()).select()


def test_a_failed_query_may_be_tried_again(service):
    service.script = [Reply(b"<html></html>")]
    mission = Mission("xmm", service.settings())
    with pytest.raises(ServiceError):
        mission.select()
    assert len(mission.observations) == 3


def test_what_a_notebook_shows_queries_no_service_and_is_escaped(service):
    mission = Mission("xmm", service.settings()).filter(target="<b>M</b>")
    assert "&lt;b&gt;" in mission._repr_html_()
    assert service.queries == []
    assert "XMM" in mission._repr_html_()
    service.answer = table_service([XMM | {"name": "<script>x</script>"}])
    known = Mission("xmm", service.settings())
    known.select()
    assert "&lt;script&gt;" in known._repr_html_()
    assert "<script>" not in known._repr_html_()


def test_the_table_is_as_fresh_as_requested(service):
    settings = service.settings()
    with pytest.raises(ServiceError) as caught:
        Mission("xmm", settings, offline=True).select()
    assert caught.value.code == "service.offline"
    assert service.queries == []
    mission = Mission("xmm", settings)
    assert (mission.note, service.queries) == ("", [])
    first = mission.snapshot
    assert len(service.queries) == 2
    assert mission.filter(everything=True).snapshot is first
    service.answer = table_service(ROWS[:2])
    assert len(Mission("xmm", settings).snapshot.table) == 4
    assert len(Mission("xmm", settings, offline=True).observations) == 3
    assert len(Mission("xmm", settings, max_age=timedelta(days=1)).snapshot.table) == 4
    assert len(Mission("xmm", settings, refresh=True).filter(everything=True).snapshot.table) == 2
    assert len(service.queries) == 4


def test_a_table_that_could_not_be_refreshed_says_so(service):
    settings = service.settings()
    Mission("xmm", settings).select()
    service.answer = lambda _query: Reply(b"<html></html>")
    old = Mission("xmm", settings, max_age=timedelta(0)).filter(obs_ids="0404910601")
    assert old.note == ""
    assert len(old.observations) == 1
    assert "could not be refreshed" in old.note
    with pytest.raises(ServiceError):
        Mission("xmm", settings, refresh=True).select()


def test_a_given_snapshot_is_used_as_it_is_and_for_its_own_mission(service):
    snapshot = Mission("xmm", service.settings()).snapshot
    service.queries.clear()
    mission = Mission("xmm", service.settings(), snapshot=snapshot, offline=True)
    assert mission.snapshot is snapshot
    assert len(mission.observations) == 3
    assert service.queries == []
    for wrong in (
        lambda: Mission("nustar", snapshot=snapshot),
        lambda: Mission("xmm", snapshot=snapshot, refresh=True),
    ):
        with pytest.raises(CriteriaError) as caught:
            wrong()
        assert caught.value.code == "criteria.snapshot"


def test_it_is_the_public_mission():
    assert daxa.Mission is Mission
    with pytest.raises(CriteriaError):
        daxa.Mission("enterprise")


def test_making_a_mission_imports_nothing_heavy():
    code = (
        "import sys, daxa\n"
        "daxa.Mission('xmm').filter(position='149.59,-11.06', radius='15 arcmin', time=('2004-01-01', None),"
        " obs_ids='0404910601', target='Abell 907')\n"
        "print(sorted({'numpy', 'pandas', 'astropy', 'pyarrow', 'pyvo', 'requests', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_sample_observatory_answers_as_the_archives_do(tmp_path):
    from daxa.simulator import Observatory

    tables = {
        "xmmmaster": [row | {"status": "archived", "data_in_heasarc": "Y"} for row in ROWS[:4]]
        + [XMM | {"obsid": "9000000101", "status": "archived", "data_in_heasarc": "Y"}]
        + [XMM | {"obsid": "0404910699", "status": "scheduled", "data_in_heasarc": "N"}]
    }
    with Observatory(tmp_path, tables, {"Abell 907": (149.5916, -11.0638)}) as observatory:
        from daxa.settings import load_settings

        settings = load_settings(environ=observatory.environ, user_file=None)
        found = Mission("xmm", settings).filter(target="abell 907", radius="15 arcmin").select()
        with pytest.raises(CriteriaError, match="xyzzy"):
            Mission("xmm", settings).filter(target="xyzzy").select()
    assert list(found.table["obs_id"]) == ["0201901401", "0404910601"]
    assert found.origin.rows == 4
    assert found.origin.left_out == {"proprietary": 1}
    assert all(found.row_ids.values())


def test_pairs_say_which_observation_saw_which_target(service):
    mission = Mission("xmm", service.settings()).filter(target="Abell 907").filter(time=("2003-01-01", None))
    pairs = mission.pairs
    assert list(pairs.columns) == [
        "target", "target_ra", "target_dec", "obs_id", "off_axis", "exposure", "instruments", "approximate", "owner",
    ]  # fmt: skip
    assert pairs[["target", "obs_id", "instruments"]].to_numpy().tolist() == [
        ["Abell 907", "0201901401", "PN,M1,M2"],
        ["Abell 907", "0404910601", "PN,M1,M2"],
    ]
    # 149.5916,-11.0638 from 149.6005,-11.0868 and 149.591375,-11.08872, by hand.
    assert pairs["off_axis"].round(2).tolist() == [1.48, 1.5]
    either = mission.filter(position="10,5", radius="1 deg").criteria | mission.criteria
    assert len(Mission("xmm", service.settings()).filter(either).pairs) == 2
    with pytest.raises(CriteriaError, match="no target"):
        _ = Mission("xmm", service.settings()).filter(everything=True).pairs


def test_a_sample_and_alternatives_are_stored_and_replayed(service, tmp_path):
    (tmp_path / "mine.csv").write_text("name,ra,dec,radius_arcmin\none,149.6,-11.09,3\ntwo,80,80,3\n")
    mission = Mission("xmm", service.settings())
    near = mission.filter(sample=tmp_path / "mine.csv")
    far = mission.filter(box={"ra": (350, 20)})
    both = mission.filter(near.criteria | far.criteria)
    assert list(near.pairs["target"]) == ["one", "one"]
    found = both.select()
    assert list(found.table["obs_id"]) == ["0000000008", "0201901401", "0404910601"]
    (tmp_path / "mine.csv").unlink()
    again = Mission("xmm", service.settings(), criteria=json.loads(found.criteria.text)).select()
    assert again.criteria == found.criteria
    pd.testing.assert_frame_equal(again.table, found.table)
    assert "149.6" not in repr(near)
    assert mission.filter(access="any").observations["obs_id"].tolist()[-1] == "0404910601"
    assert len(mission.filter(access="proprietary").observations) == 1
