"""From a service's table to our schema: the value traps of the archives."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from daxa.errors import CriteriaError, ServiceError
from daxa.missions import find_mission, mission_names
from daxa.query.tables.normalise import normalise, well_formed
from daxa.selection.schema import arrange, check_table, column_names
from tests.query.rows import BY_MISSION


def raw(mission, *changes, dtype=object):
    rows = [BY_MISSION[mission] | change for change in changes or ({},)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = []
    for name in names:
        cells = [row[name] for row in rows]
        columns.append(
            MaskedColumn(
                np.array([0 if cell is None else cell for cell in cells], dtype=dtype),
                name=name,
                mask=[cell is None for cell in cells],
            )
        )
    return Table(columns)


def one(mission, **change):
    return normalise(find_mission(mission), raw(mission, change)).table.iloc[0]


@pytest.mark.parametrize("mission", BY_MISSION)
def test_a_usual_row(mission):
    spec = find_mission(mission)
    found = normalise(spec, raw(mission))
    assert found.left_out == {}
    assert tuple(found.table.columns) == (*column_names(), "row_id")
    row = found.table.iloc[0]
    assert row["obs_id"] == BY_MISSION[mission]["obsid"]
    assert row["target"] == BY_MISSION[mission]["name"]
    assert row["row_id"] == BY_MISSION[mission]["__row"]
    told = BY_MISSION[mission]
    used = {
        one.name
        for one in spec.instruments
        if one.name in spec.default_instruments and all(told[key].startswith(value) for key, value in one.labels)
    }
    assert set(row["instruments"].split(",")) == used
    check_table(arrange(found.table), spec, name="test")


def test_padding_and_control_characters_go():
    row = one("xmm", obsid=b"0404910601   ", name=" RXC\tJ0958\x00-11\x1b[31m\u202e  03 ", __row=" 2108 ")
    assert row["obs_id"] == "0404910601"
    assert row["target"] == "RXC J0958 -11 [31m 03"
    assert row["row_id"] == "2108"
    assert one("xmm", __row="../../x?y")["row_id"] == ""
    assert one("xmm", name=None)["target"] == ""
    assert one("xmm", name="Größe 21")["target"] == "Größe 21"


@pytest.mark.parametrize("value", [754, 754.0, "754", "754  ", b"754", np.int32(754)])
def test_an_obs_id_that_came_as_a_number_becomes_text(value):
    assert one("chandra", obsid=value)["obs_id"] == "754"


@pytest.mark.parametrize("dtype", [np.int32, np.float64])
def test_a_column_of_numbers_becomes_texts(dtype):
    table = raw("chandra", {}, {"obsid": "99"})
    table["obsid"] = np.array([754, 18461], dtype=dtype)
    assert list(normalise(find_mission("chandra"), table).table["obs_id"]) == ["18461", "754"]


@pytest.mark.parametrize("obsid", ["404910601", "9000000101", "../../../etc", "0404910601/x", "", None, "0404910601;"])
def test_malformed_obs_ids_are_left_out_and_counted(obsid):
    found = normalise(find_mission("xmm"), raw("xmm", {}, {"obsid": obsid}))
    assert list(found.table["obs_id"]) == ["0404910601"]
    assert found.left_out == {"malformed ObsID": 1}


@pytest.mark.parametrize(
    "place",
    [
        {"ra": None},
        {"dec": np.nan},
        {"ra": np.inf},
        {"ra": -1.0},
        {"dec": 91.0},
        {"ra": 0.0, "dec": 0.0},
        {"ra": "n/a"},
    ],
)
def test_rows_without_a_position_are_left_out_and_counted(place):
    found = normalise(find_mission("xmm"), raw("xmm", {}, {"obsid": "0404910602", **place}))
    assert list(found.table["obs_id"]) == ["0404910601"]
    assert found.left_out == {"no position": 1}


def test_ra_360_is_0():
    assert one("xmm", ra=360.0)["ra"] == 0


@pytest.mark.parametrize(
    ("mission", "value"), [("xmm", 0), ("xmm", 416422), ("xmm", 416422.0), ("xmm", None), ("nustar", 0), ("chandra", 0)]
)
def test_sentinels_of_the_public_date_are_unknown(mission, value):
    assert np.isnan(one(mission, public_date=value)["public_date"])


def test_a_future_public_date_stays():
    assert one("nustar", public_date=99999)["public_date"] == 99999


def test_a_table_without_end_estimates_it_from_the_exposure():
    row = one("chandra", time=57000.0, exposure=43200.0)
    assert row["end"] == 57000.5


@pytest.mark.parametrize("end", [0.0, -1.0, 53882.0, None, np.nan])
def test_an_end_before_the_start_is_replaced_by_the_estimate(end):
    row = one("xmm", time=53882.5, end_time=end, duration=8640.0)
    assert row["end"] == pytest.approx(53882.6)


@pytest.mark.parametrize("start", [0.0, -5.0, None, 1e6])
def test_a_start_that_is_not_valid_is_unknown(start):
    row = one("chandra", time=start)
    assert np.isnan(row["start"])
    assert np.isnan(row["end"])


def test_planned_exposures_are_negative_and_mean_no_data():
    row = one("nustar", exposure_a=-20.0, exposure_b=-20.0)
    assert row["instruments"] == ""
    assert np.isnan(row["exposure"])


@pytest.mark.parametrize(
    ("exposures", "instruments"),
    [
        ({"pn_time": 0.0}, "M1,M2"),
        ({"mos1_time": None, "mos2_time": np.nan}, "PN"),
        ({"pn_time": 0, "mos1_time": 0, "mos2_time": 0}, ""),
    ],
)
def test_instruments_are_those_with_exposure(exposures, instruments):
    assert one("xmm", **exposures)["instruments"] == instruments


@pytest.mark.parametrize(
    ("detector", "grating", "instruments"),
    [
        ("ACIS-S", "NONE", "ACIS"),
        ("ACIS", "NONE", "ACIS"),
        ("HRC-I", "NONE", "HRC"),
        ("HRC-S", "NONE", "HRC"),
        ("ACIS-S", "HETG", "HETG"),
        ("HRC-S", "LETG", "LETG"),
        ("HRX", "NONE", ""),
        ("ACIS-S", "", ""),
        ("", "NONE", ""),
    ],
)
def test_the_labels_of_a_row_count_where_the_table_has_them(detector, grating, instruments):
    assert one("chandra", detector=detector, grating=grating)["instruments"] == instruments


def test_gratings_and_the_optical_monitor_are_there_when_they_observed():
    row = one("xmm", rgs1_time=20000.0, om_time=18000.0)
    assert row["instruments"] == "PN,M1,M2,R1,OM"
    assert row["exposures"] == "15000,19000,19000,20000,18000"


def test_of_repeated_obs_ids_the_longest_exposure_stays_whatever_the_order():
    changes = [{"duration": 1.0, "name": "A"}, {"duration": 9.0, "name": "C"}, {"duration": 9.0, "name": "B"}]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        found = normalise(find_mission("xmm"), raw("xmm", *(changes[index] for index in order)))
        assert found.table[["exposure", "target"]].to_numpy().tolist() == [[9.0, "B"]]
        assert found.left_out == {"repeated ObsID": 2}


def test_a_missing_column_or_no_usable_row_is_malformed():
    table = raw("xmm")
    table.remove_column("end_time")
    with pytest.raises(ServiceError, match="end_time") as caught:
        normalise(find_mission("xmm"), table)
    assert caught.value.code == "service.malformed"
    with pytest.raises(ServiceError, match="none of the 1 rows"):
        normalise(find_mission("xmm"), raw("xmm", {"obsid": "x"}))


def test_names_of_columns_may_come_in_capitals():
    table = raw("xmm")
    for name in table.colnames:
        table.rename_column(name, name.upper())
    assert normalise(find_mission("xmm"), table).table["obs_id"].iloc[0] == "0404910601"


XSA = find_mission("xmm").other_tables[0]
XSA_ROW = {
    "observation_id": "0404910601",
    "ra": 149.591375,
    "dec": -11.08872,
    "start_utc": "2006-05-27 09:59:02.5",
    "duration": 20470.0,
    "proprietary_end_date": "2007-07-19T23:00:00.0",
}


def from_xsa(*changes):
    rows = [XSA_ROW | change for change in changes or ({},)]
    raw_table = Table(
        {name: MaskedColumn([row[name] for row in rows], dtype=object, mask=[row[name] is None for row in rows])
         for name in XSA_ROW}
    )  # fmt: skip
    return normalise(find_mission("xmm"), raw_table, XSA)


def test_a_row_of_xsa():
    found = from_xsa()
    row = found.table.iloc[0]
    assert row[["obs_id", "target", "instruments", "row_id"]].tolist() == ["0404910601", "", "PN,M1,M2", ""]
    assert row["start"] == Time("2006-05-27T09:59:02.5", scale="utc").mjd
    assert row["end"] == row["start"] + 20470 / 86400
    assert row["public_date"] == Time("2007-07-19T23:00:00", scale="utc").mjd
    assert found.assumed == ("instruments",)
    assert normalise(find_mission("xmm"), raw("xmm")).assumed == ()
    check_table(arrange(found.table), find_mission("xmm"), name="test")


@pytest.mark.parametrize(
    "text",
    [
        "2006-05-27T09:59:02.5",
        "2006-05-27 09:59:02.5",
        "2006-05-27 09:59:02.500000",
        b"2006-05-27T09:59:02.5   ",
        "2006-05-27T09:59:02.5Z",
        "2006-05-27 09:59:02.5+00",
        53882.41600115741,
        "53882.41600115741",
    ],
)
def test_times_come_as_texts_or_numbers(text):
    assert from_xsa({"start_utc": text}).table["start"].iloc[0] == pytest.approx(53882.41600115741, abs=1e-10)


@pytest.mark.parametrize(
    "text",
    [None, "", "soon", "2006-13-01", "2006-05-27T25:00:00", "2006-05-27T09:59:02+05:00", "٢٠٠٦-05-27", "0001-01-01"],
)
def test_a_time_that_is_not_valid_is_unknown(text):
    row = from_xsa({"start_utc": text}).table.iloc[0]
    assert np.isnan(row["start"])
    assert np.isnan(row["end"])


@pytest.mark.parametrize(
    "never", ["2999-01-01 00:00:00", "3026-07-19T23:00:00.0", "9999-12-31", 416422.0, 416421.0, 1e7]
)
def test_a_public_date_some_thousand_years_ahead_means_never(never):
    found = from_xsa({"proprietary_end_date": never}, {"observation_id": "0404910602"})
    assert np.isnan(found.table["public_date"].iloc[0])
    assert found.table["public_date"].iloc[1] == pytest.approx(54300.958333)


def test_a_public_date_in_two_hundred_years_stays():
    # Nanoseconds since 1970 would have overflowed in 2262.
    assert from_xsa({"proprietary_end_date": "2270-01-01"}).table["public_date"].iloc[0] == 150160


@pytest.mark.parametrize("place", [{"ra": np.nan, "dec": np.nan}, {"ra": 0.0, "dec": 0.0}, {"ra": None}])
def test_rows_of_xsa_without_a_position_are_left_out_and_counted(place):
    found = from_xsa({}, {"observation_id": "0404910602", **place})
    assert found.left_out == {"no position": 1}
    assert found.table["obs_id"].tolist() == ["0404910601"]


def test_slews_of_xsa_are_left_out():
    assert from_xsa({}, {"observation_id": "9000000101"}).left_out == {"malformed ObsID": 1}


@pytest.mark.parametrize("mission", [name for name in mission_names() if find_mission(name).id_example])
@given(text=st.text(max_size=14) | st.from_regex(r"[0-9]{1,12}", fullmatch=True))
@settings(max_examples=60, deadline=None)
def test_obs_ids_are_judged_as_the_declaration_judges_them(mission, text):
    spec = find_mission(mission)
    try:
        right = bool(spec.check_obs_id(text))
    except CriteriaError:
        right = False
    assert well_formed(spec, [text, spec.id_example]).tolist() == [right, True]


CELL = st.none() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=12) | st.binary(max_size=12)


@settings(max_examples=300, deadline=None)
@given(change=st.dictionaries(st.sampled_from(sorted(set(BY_MISSION["xmm"]))), CELL, max_size=5))
def test_whatever_is_in_a_cell_the_result_is_sound(change):
    spec = find_mission("xmm")
    table = raw("xmm", {"obsid": "0000000001"}, change)
    found = normalise(spec, table).table
    usable = arrange(found[found["instruments"] != ""])
    check_table(usable, spec, name="test")
    assert all(text.isprintable() for text in found["target"])
