"""The traps of the archives' tables: where each is tested, and here those that no other file tests.

What HEASARC, ESA's archive and their tables do unexpectedly is listed in `ELSEWHERE` with
the test that would fail if we walked into it; the rest are the tests below.
"""

from __future__ import annotations

import ast
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import votable as astropy_votable
from astropy.table import Table

from daxa.errors import ServiceError
from daxa.missions import find_mission, mission_names
from daxa.query import Mission
from daxa.query.tables.normalise import normalise
from daxa.query.tables.services import build_query, fetch_table
from daxa.selection import COLUMNS
from daxa.settings import load_settings
from daxa.simulator import Fault, Observatory
from daxa.simulator.elsewhere import nustar_rows
from tests.missions.test_services import row_of
from tests.query.rows import BY_MISSION, XMM
from tests.query.service import Reply, refusal, serve, table_service

ELSEWHERE = {
    "MAXREC is capped at 100,000 rows whatever is asked, TOP lifts it": (
        "query/tables/test_services.py::test_the_sample_observatory_has_the_cap_that_queries_get_around",
        "query/tables/test_snapshot.py::test_more_rows_than_the_cap_of_the_service_arrive_whole",
    ),
    "OVERFLOW stands before or after the table": (
        "query/tables/test_services.py::test_fewer_rows_than_there_are_is_truncated",
    ),
    "ESA's archive cuts to 2,000 rows without TOP, whatever MAXREC is": (
        "query/tables/test_services.py::test_xsa_gives_more_than_its_cap_of_2000_rows",
        "query/tables/test_services.py::test_a_capped_answer_of_a_service_that_ignores_top_is_truncated",
    ),
    "time is a reserved word": (
        "query/tables/test_adql.py::test_the_strict_parser_refuses_the_reserved_word_that_we_quote",
        "query/tables/test_services.py::test_queries_quote_every_column_once",
    ),
    "answers are BINARY whatever the capabilities say, and texts are padded": (
        "query/tables/test_services.py::test_texts_units_and_masked_cells_arrive",
        "query/tables/test_normalise.py::test_padding_and_control_characters_go",
    ),
    "a service stalls": ("query/tables/test_services.py::test_a_silent_service_does_not_hang_us",),
    "503 with Retry-After": (
        "query/tables/test_services.py::test_passing_trouble_is_waited_out",
        "query/tables/test_services.py::test_a_service_may_not_make_us_wait_for_ever",
    ),
    "a body is cut off": ("query/tables/test_services.py::test_a_body_cut_in_the_middle_is_requested_again",),
    "an error document with status 400": ("query/tables/test_services.py::test_a_refused_query_is_refused_at_once",),
    "a login page with status 200": ("query/tables/test_services.py::test_what_is_not_a_votable_is_malformed",),
    "time is 0 or negative for what is only scheduled": (
        "query/tables/test_normalise.py::test_a_start_that_is_not_valid_is_unknown",
    ),
    "public_date is 0, 416422 (XMM) or 88068 (XRISM)": (
        "query/tables/test_normalise.py::test_sentinels_of_the_public_date_are_unknown",
        "missions/test_services.py::test_never_is_not_a_date",
    ),
    "a proprietary date a thousand years ahead overflows nanoseconds": (
        "query/tables/test_normalise.py::test_a_public_date_some_thousand_years_ahead_means_never",
        "query/tables/test_normalise.py::test_a_public_date_in_two_hundred_years_stays",
    ),
    "rows without a position, NaN or (0, 0)": (
        "query/tables/test_normalise.py::test_rows_without_a_position_are_left_out_and_counted",
        "query/tables/test_normalise.py::test_rows_of_xsa_without_a_position_are_left_out_and_counted",
    ),
    "planned targets have negative exposures": (
        "query/tables/test_normalise.py::test_planned_exposures_are_negative_and_mean_no_data",
        "missions/test_services.py::test_rows_without_data_are_cut_by_the_service",
    ),
    "ObsIDs come as numbers": (
        "query/tables/test_normalise.py::test_an_obs_id_that_came_as_a_number_becomes_text",
        "query/tables/test_normalise.py::test_a_column_of_numbers_becomes_texts",
    ),
    "slews stand in the table of pointings": ("query/tables/test_normalise.py::test_slews_of_xsa_are_left_out",),
    "Chandra's table has no end, start and exposure give an estimate": (
        "query/tables/test_normalise.py::test_a_table_without_end_estimates_it_from_the_exposure",
    ),
    "columns come in capitals": ("query/tables/test_normalise.py::test_names_of_columns_may_come_in_capitals",),
}


@pytest.mark.parametrize("trap", ELSEWHERE)
def test_every_trap_has_its_test(trap):
    for place in ELSEWHERE[trap]:
        file, _, name = place.partition("::")
        tree = ast.parse((Path(__file__).parents[2] / file).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def settings_of(server, tmp_path, **changes):
    environ = {**server.environ, "DAXA_CACHE": str(tmp_path / "cache"), **changes}
    return load_settings(environ=environ, user_file=None)


@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
def test_all_serialisations_of_an_answer_are_one_table(form):
    """Services declare one and send another."""
    usual = table_service([XMM, XMM | {"obsid": "0000000008", "public_date": None}])

    def answer(query):
        document = astropy_votable.parse(io.BytesIO(usual(query).body))
        document.version = "1.4"
        document.get_first_table().format = form
        buffer = io.BytesIO()
        document.to_xml(buffer)
        return Reply(buffer.getvalue())

    spec = find_mission("xmm")
    with serve(answer) as service, serve(usual) as other:
        found, wanted = (normalise(spec, fetch_table(spec, one.settings()).table).table for one in (service, other))
    assert found.equals(wanted)
    assert found["obs_id"].tolist() == ["0000000008", "0404910601"]


def test_an_error_document_with_status_200_is_an_error():
    """It is a VOTable, and HTTP says that all is well."""
    with serve(lambda _query: Reply(refusal("table is being rebuilt").body)) as service:
        with pytest.raises(ServiceError, match="table is being rebuilt") as caught:
            fetch_table(find_mission("xmm"), service.settings())
        assert caught.value.code == "service.refused"
        assert len(service.queries) == 1


LEADING = [name for name in mission_names() if find_mission(name).listed and find_mission(name).id_example[:1] == "0"]


@pytest.mark.parametrize("mission", LEADING)
def test_obs_ids_that_lost_their_zeros_are_never_guessed(mission, tmp_path):
    """Read as a number, 0404910601 becomes 404910601: padding could make another observation of a damaged one."""
    spec = find_mission(mission)
    row, column = row_of(spec), spec.table.columns["obs_id"]
    whole = spec.id_example[:-1] + ("1" if spec.id_example[-1] != "1" else "2")
    for bare in (int(spec.id_example), str(int(spec.id_example)), float(spec.id_example)):
        raw = Table(rows=[list((row | {column: obs_id}).values()) for obs_id in (bare, whole)], names=list(row),
                    dtype=[object] * len(row))  # fmt: skip
        raw["__row"] = ["1", "2"]
        found = normalise(spec, raw)
        assert found.table["obs_id"].tolist() == [whole]
        assert found.left_out == {"malformed ObsID": 1}


def test_data_without_a_public_date_are_encrypted_and_not_chosen(tmp_path):
    """NuSTAR's tree holds them with the suffix .gpg."""
    with Observatory(tmp_path / "tree", {"numaster": nustar_rows(1)}) as server:
        mission = Mission("nustar", settings_of(server, tmp_path))
        chosen = mission.filter(everything=True).select()
        withheld = mission.filter(access="proprietary").select()
    assert "90900005002" not in set(chosen.table["obs_id"])
    assert chosen.origin.left_out["no public date"] == 1
    assert withheld.table["obs_id"].tolist() == ["90900005002"]


def test_planned_slewing_and_empty_observations_of_nustar_are_not_in_its_table(tmp_path):
    """Planned ones carry the time that was granted as a negative exposure."""
    rows = nustar_rows(1)
    odd = {"90900001001", "90900002002", "90900003002", "90900004002"}
    assert odd < {row["obsid"] for row in rows}
    assert any(row["exposure_a"] < 0 for row in rows)
    with Observatory(tmp_path / "tree", {"numaster": rows}) as server:
        found = Mission("nustar", settings_of(server, tmp_path)).filter(access="any").observations
    assert odd.isdisjoint(found["obs_id"])
    assert len(found) == len(rows) - len(odd)
    assert (found["exposure"] > 0).all()


@pytest.mark.parametrize("text", ["19/02/94", "19/02/1994", "94-02-19", "19940219"])
def test_old_forms_of_dates_are_unknown_and_not_another_day(text):
    """Headers of the nineties write 19/02/94; whether day or month come first is not for us to guess."""
    xsa = find_mission("xmm").other_tables[0]
    cells = {"observation_id": "0404910601", "ra": 149.6, "dec": -11.1, "start_utc": text, "duration": 1000.0,
             "proprietary_end_date": "2007-07-19"}  # fmt: skip
    raw = Table({name: np.array([cells[name]], dtype=object) for name in xsa.columns.values()})
    assert np.isnan(normalise(find_mission("xmm"), raw, xsa).table["start"][0])


def test_the_file_says_that_an_end_may_be_an_estimate():
    """Chandra observes with interruptions, so that start plus exposure is too early."""
    (end,) = (column for column in COLUMNS if column.name == "end")
    assert "start plus exposure where the archive gives no end" in end.description


@pytest.mark.parametrize(
    "fault", [Fault("busy", "*/sync", 1, 1), Fault("broken", "*/sync", 0, 1), Fault("cut", "*/sync", 200, 1)]
)
def test_a_table_is_read_through_passing_trouble_of_the_observatory(fault, tmp_path, monkeypatch):
    """An overloaded service, an internal error, a dropped connection: the answer is that of a quiet day."""
    waited = []
    monkeypatch.setattr("daxa.query.tables.exchange.time", SimpleNamespace(sleep=waited.append))
    spec, row = find_mission("chandra"), BY_MISSION["chandra"] | {"status": "archived", "grating": "NONE"}
    with Observatory(tmp_path / "tree", {"chanmaster": [row]}, faults=[fault]) as server:
        answer = fetch_table(spec, settings_of(server, tmp_path))
        assert len(server.requests) == 3
    assert answer.query == build_query(spec, 1001)
    assert normalise(spec, answer.table).table["obs_id"].tolist() == ["18461"]
    assert waited == [1.0 if fault.kind == "busy" else 0.5]
