"""Category, mode, roll and the exposures of single instruments: from the service's table to the answer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from daxa.errors import CriteriaError, DataError
from daxa.missions import find_mission, mission_names
from daxa.missions.facts import CATEGORIES
from daxa.query import Mission, make_criteria, read_criteria
from daxa.query.matching.match import match
from daxa.query.tables.normalise import normalise
from daxa.query.tables.snapshot import QueryOrigin, Snapshot, read_snapshot, write_snapshot
from daxa.selection.schema import arrange, check_table, instrument_exposures, table_digest
from tests.query.rows import BY_MISSION
from tests.selection.observations import observations

CHANDRA, XMM, NUSTAR = (find_mission(name) for name in ("chandra", "xmm", "nustar"))
NOW = 60000.0


def one(mission, **change):
    row = BY_MISSION[mission] | change
    table = Table([MaskedColumn([value], name=name, mask=[value is None], dtype=object) for name, value in row.items()])
    found = normalise(find_mission(mission), table).table
    check_table(arrange(found[found["instruments"] != ""]), find_mission(mission), name="test")
    return found.iloc[0]


@pytest.mark.parametrize(
    ("label", "kind", "code"),
    [
        ("CLUSTER OF GALAXIES", "GO", "GCL"),
        ("  cluster of  galaxies ", "TOO", "GCL"),
        ("UFO", "GO", "MISC"),
        ("UFO", "DDT", "TOO"),
        ("Non-Pointing data", "cal", "CAL"),
        ("", "GO", ""),
        (None, None, ""),
        (None, "TOO", "TOO"),
        ("<b>\x1b[31m", "$(id)", "MISC"),
    ],
)
def test_the_category_is_one_of_ours_whatever_the_label(label, kind, code):
    assert one("chandra", **{"class": label, "type": kind})["category"] == code


def test_codes_that_came_as_numbers_are_understood():
    rosat = find_mission("rosat")
    row = dict.fromkeys(("ra", "dec", "start_time", "end_time", "exposure"), 1000.0)
    row |= {"ra": 10.0, "dec": 5.0, "seq_id": "RP500211N00", "name": "x", "instrument": "PSPCB", "__row": "1"}
    for value in (8, 8.0, "8", "8 ", np.int16(8)):
        cells = row | {"subj_cat": value, "filter": "N", "fits_type": "RDF  4.2", "proc_rev": 2}
        table = Table([MaskedColumn([cell], name=name, dtype=object) for name, cell in cells.items()])
        found = normalise(rosat, table).table.iloc[0]
        assert (found["category"], found["mode"]) == ("GCL", "N RDF 4.2 2")


def test_modes_are_joined_and_harmless():
    assert one("xmm", mos1_mode=None)["mode"] == "PrimeFullWindow PrimePartialW2"
    assert one("xmm", pn_mode=" Small\tWindow\x00\u202e ")["mode"] == "Small Window PrimeFullWindow PrimePartialW2"
    assert len(one("xmm", pn_mode="x" * 500, mos1_mode="y")["mode"]) == 200
    assert one("chandra", data_mode=None)["mode"] == ""


@pytest.mark.parametrize(
    ("cell", "roll"),
    [(331.2, 331.2), (-28.8, 331.2), (360.0, 0.0), (-360.0, 0.0), (0, 0.0), ("12.5", 12.5)]
    + [(value, None) for value in (None, np.nan, np.inf, 361.0, -999.0, "n/a")],
)
def test_a_roll_angle_lies_within_a_turn_or_is_unknown(cell, roll):
    found = one("nustar", roll_angle=cell)["roll"]
    assert np.isnan(found) if roll is None else found == pytest.approx(roll)


def test_each_instrument_has_its_exposure():
    assert one("xmm")["exposures"] == "15000,19000,19000"
    row = one("xmm", mos1_time=0.0, mos2_time=2e9)
    assert (row["instruments"], row["exposures"]) == ("PN,M2", "15000,")
    assert one("nustar", exposure_a=1e-320)["exposures"].endswith(",38000")
    assert one("xmm", pn_time=0.0, mos1_time=0.0, mos2_time=0.0)["exposures"] == ""


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("category", "UFO"),
        ("category", "agn"),
        ("category", None),
        ("mode", "a\x1bb"),
        ("mode", "x" * 201),
        ("mode", 5),
        ("roll", -1.0),
        ("roll", 361.0),
        ("exposures", "1,2"),
        ("exposures", "1,2,3,4"),
        ("exposures", ",,"),
        ("exposures", "1,-2,3"),
        ("exposures", "1,0,3"),
        ("exposures", "1,nan,3"),
        ("exposures", "1,inf,3"),
        ("exposures", "1,2e9,3"),
        ("exposures", "1, 2,3"),
        ("exposures", "\u0661,2,3"),
        ("exposures", None),
    ],
)
def test_impossible_cells_are_refused_in_a_table_and_in_a_file(name, cell, tmp_path):
    rows = observations({name: cell})
    with pytest.raises(DataError, match=name):
        check_table(rows, XMM, name="test")
    if isinstance(cell, type(observations()[name].iloc[0])):
        kept = rows.assign(row_id="")
        origin = QueryOrigin("here", "xmmmaster", "", "2023-02-25T00:00:00Z", 1, table_digest(rows))
        write_snapshot(tmp_path / "x.parquet", Snapshot(kept, origin, mission="xmm"))
        with pytest.raises(DataError, match=f"a value of {name}"):
            read_snapshot(tmp_path / "x.parquet")


def test_a_snapshot_with_all_columns_comes_back(tmp_path):
    rows = observations({"roll": np.nan}, {"obs_id": "0404910602", "mode": "", "category": "", "exposures": ",8.5,"})
    origin = QueryOrigin("here", "xmmmaster", "", "2023-02-25T00:00:00Z", 2, table_digest(rows))
    write_snapshot(tmp_path / "x.parquet", Snapshot(rows.assign(row_id=""), origin, mission="xmm"))
    again = read_snapshot(tmp_path / "x.parquet").table
    assert again["exposures"].tolist() == ["15000,19000,19000", ",8.5,"]
    np.testing.assert_array_equal(instrument_exposures(again, ["M1", "PN"]), [[19000, 15000], [8.5, np.nan]])


def rows_of(*changes):
    return observations(*({"row_id": "", "obs_id": str(100 + n), "instruments": "ACIS"} | change
                          for n, change in enumerate(changes)))  # fmt: skip


def chosen(spec, table, **asked):
    return table["obs_id"][match(spec, table, make_criteria(spec, **asked), at=NOW).keep].tolist()


def test_categories_and_modes_are_chosen_whatever_the_case():
    table = rows_of(
        {"category": "GCL", "mode": "VFAINT"},
        {"category": "AGN", "mode": "FAINT"},
        {"category": "", "mode": "CC33_FAINT"},
        {"category": "TOO", "mode": ""},
    )
    assert chosen(CHANDRA, table, category="gcl") == ["100"]
    assert chosen(CHANDRA, table, category=["AGN", "too", "CAL"]) == ["101", "103"]
    assert chosen(CHANDRA, table, mode="faint") == ["101"]
    assert chosen(CHANDRA, table, mode=["VFaint", " cc33_faint"]) == ["100", "102"]
    other = ~make_criteria(CHANDRA, category="GCL")
    assert table["obs_id"][match(CHANDRA, table, other, at=NOW).keep].tolist() == ["101", "102", "103"]
    with pytest.raises(CriteriaError, match="0 of the category SOL or STR"):
        chosen(CHANDRA, table, category=["STR", "SOL"])
    with pytest.raises(CriteriaError, match="0 in the mode graded"):
        chosen(CHANDRA, table, mode="GRADED")


def test_several_words_are_one_mode():
    spaced = dataclasses.replace(CHANDRA, table=dataclasses.replace(CHANDRA.table, mode=("a", "b")))
    table = rows_of({"mode": "SMALL WINDOW FULL FRAME"}, {"mode": "WINDOW SMALL"}, {"mode": "SMALL WINDOWS"})
    assert chosen(spaced, table, mode="small  window") == ["100"]
    assert chosen(spaced, table, mode="window") == ["100", "101"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"category": "UFO"}, "criteria.category"),
        ({"category": []}, "criteria.category"),
        ({"category": [3]}, "criteria.category"),
        ({"category": ""}, "criteria.category"),
        ({"mode": ""}, "criteria.mode"),
        ({"mode": ["FAINT", "\x1b"]}, "criteria.mode"),
        ({"mode": {}}, "criteria.mode"),
        ({"mode": 5}, "criteria.mode"),
        ({"mode": "x" * 101}, "criteria.mode"),
    ],
)
def test_what_is_not_a_category_or_mode_is_refused(asked, code):
    for read in (lambda: make_criteria(CHANDRA, **asked), lambda: read_criteria(CHANDRA, asked)):
        with pytest.raises(CriteriaError) as caught:
            read()
        assert caught.value.code == code
        assert caught.value.remedy


def test_a_mission_whose_table_lacks_the_column_says_so():
    for name in mission_names():
        spec = find_mission(name)
        for asked, told in (({"category": "AGN"}, spec.table.categorised), ({"mode": "x"}, bool(spec.table.mode))):
            if told:
                assert read_criteria(spec, make_criteria(spec, **asked).to_plain()) == make_criteria(spec, **asked)
                continue
            with pytest.raises(CriteriaError, match=f"has no {next(iter(asked))}") as caught:
                make_criteria(spec, **asked)
            assert caught.value.code == "criteria.no-column"
            assert spec.title in caught.value.message
    assert {name for name in mission_names() if find_mission(name).table.categorised} == {
        "chandra", "nustar", "erass1", "rosat", "rass", "suzaku", "asca", "xrism",
    }  # fmt: skip


def test_a_table_from_a_service_without_the_column_is_not_an_empty_answer():
    with pytest.raises(CriteriaError, match="does not give the mode of any observation") as caught:
        chosen(XMM, observations({"mode": "", "row_id": ""}), mode="PrimeFullWindow")
    assert caught.value.code == "criteria.no-column"


def test_the_whole_survey_is_of_one_category():
    rass = find_mission("rass")
    assert rass.table.only_category == "ASK"
    assert set(CHANDRA.table.categories.values()) <= set(CATEGORIES)


def test_the_minimum_exposure_is_that_of_an_instrument_where_the_table_lists_them():
    table = observations(
        {"row_id": "", "exposure": 20000.0, "exposures": "9000,19000,"},
        {"row_id": "", "obs_id": "0404910602", "exposure": 20000.0, "exposures": ""},
        {"row_id": "", "obs_id": "0404910603", "exposure": 9000.0, "exposures": "9000,9000,9000"},
    )
    found = match(XMM, table, make_criteria(XMM, min_exposure="10 ks"), at=NOW)
    assert found.keep.tolist() == [True, True, False]
    assert found.instruments == ("M1,M2", "PN,M1,M2")
    long = match(XMM, table, make_criteria(XMM, min_exposure="10 ks", instruments="PN"), at=NOW)
    assert long.keep.tolist() == [False, True, False]


def test_a_selection_keeps_the_exposures_of_what_was_chosen():
    rows = observations({"row_id": "7"}).assign(exposures="15000,,19000")
    snapshot = Snapshot(rows, QueryOrigin("here", "xmmmaster", "", "2023-02-25T00:00:00Z", 1, ""), "it is old", "xmm")
    mission = Mission("xmm", snapshot=snapshot)
    found = mission.filter(instruments=["M2", "M1"]).select()
    assert found.table[["instruments", "exposures"]].iloc[0].tolist() == ["M1,M2", ",19000"]
    assert mission.filter(instruments="M1").observations["exposures"].tolist() == [""]
    assert mission.observations["exposures"].tolist() == ["15000,,19000"]
    check_table(found.table, XMM, name="test")
    assert (mission.note, mission.snapshot, found.approximate) == ("it is old", snapshot, 0)


def test_nustar_is_matched_by_its_square_where_the_roll_is_known():
    rows = observations(*(
        {"obs_id": f"3010103100{n}", "ra": 10.0, "dec": 0.0, "roll": roll, "instruments": "FPMA,FPMB", "row_id": ""}
        for n, roll in enumerate([0.0, 45.0, np.nan])
    ))  # fmt: skip
    mission = Mission("nustar", snapshot=Snapshot(rows, QueryOrigin("", "", "", "2023-02-25T00:00:00Z", 3, "")))
    found = mission.filter(position=(10.0 + 8.0 / 60, 0.0)).select()
    assert (found.table["obs_id"].tolist(), found.approximate) == (["30101031001", "30101031002"], 1)
