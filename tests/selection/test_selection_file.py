"""Selections as files: round trips, other readers, equal bytes, damage."""

from __future__ import annotations

import dataclasses
import io
import os
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daxa.errors import DataError, StorageError
from daxa.missions import find_mission, mission_names
from daxa.selection import (
    COLUMNS,
    column_names,
    read_chosen,
    read_selection,
    read_selection_metadata,
    table_digest,
    write_selection,
)
from tests.selection.observations import observations

CRITERIA = '{"target":["Abell 907"]}'


def write(path, table, **changes):
    return write_selection(path, table, **({"mission": "xmm", "criteria": CRITERIA, "snapshot": "f" * 64} | changes))


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "selection" / "xmm.parquet"
    table = observations({"obs_id": "0900000102", "public_date": np.nan, "start": np.nan}, {"obs_id": "0000000001"})
    assert write(path, table)
    read = read_selection(path)
    pd.testing.assert_frame_equal(read, table.iloc[::-1].reset_index(drop=True), check_dtype=False)
    assert list(read["obs_id"]) == ["0000000001", "0900000102"]
    assert read_selection_metadata(path) == dataclasses.replace(
        read_selection_metadata(path), mission="xmm", criteria=CRITERIA, snapshot="f" * 64
    )
    assert [file.name for file in path.parent.iterdir()] == ["xmm.parquet"]


def test_the_quick_reading_gives_the_same(tmp_path):
    path = tmp_path / "xmm.parquet"
    write(path, observations({"obs_id": "0900000102", "instruments": "M2"}, {"obs_id": "0000000001"}))
    read = read_selection(path)
    assert list(read_chosen(path)) == list(read["obs_id"])
    assert [",".join(names) for names in read_chosen(path).values()] == list(read["instruments"])


@pytest.mark.parametrize(
    ("column", "cells"),
    [("obs_id", ["../x", "0000000001"]), ("obs_id", ["0000000001", "0000000001"]), ("instruments", ["PN", "XX"])],
)
def test_the_quick_reading_refuses_the_same(tmp_path, column, cells):
    path = tmp_path / "xmm.parquet"
    write(path, observations({"obs_id": "0900000102"}, {"obs_id": "0000000001"}))
    arrow = pq.read_table(path)
    pq.write_table(arrow.set_column(arrow.column_names.index(column), column, pa.array(cells)), path)
    for read in (read_chosen, read_selection):
        with pytest.raises(DataError):
            read(path)


def test_astropy_reads_it_with_units_and_meanings(tmp_path):
    from astropy.table import Table

    write(tmp_path / "xmm.parquet", observations())
    table = Table.read(tmp_path / "xmm.parquet", format="parquet.votable")
    assert {name: str(table[name].unit or "") for name in table.colnames} == {
        column.name: column.unit for column in COLUMNS
    }
    assert table["ra"].meta["ucd"] == "pos.eq.ra;meta.main"
    assert table["start"].description == "Start of the observation, MJD"
    assert str(table["obs_id"][0]) == "0404910601"
    assert table["exposure"][0] == 20470


def test_its_header_is_a_valid_votable_with_known_units_and_ucds(tmp_path):
    import astropy.units as u
    from astropy.io import votable
    from astropy.io.votable.ucd import check_ucd

    write(tmp_path / "xmm.parquet", observations())
    content = pq.read_metadata(tmp_path / "xmm.parquet").metadata[b"IVOA.VOTable-Parquet.content"]
    document = votable.parse(io.BytesIO(content), verify="exception")
    fields = list(document.get_first_table().fields)
    assert [field.name for field in fields] == list(column_names())
    assert all(check_ucd(field.ucd, check_controlled_vocabulary=True) for field in fields)
    assert all(u.Unit(field.unit, format="vounit") for field in fields if field.unit)
    assert fields[4].ref == "utc"
    assert fields[2].ref == "icrs"
    assert ElementTree.fromstring(content).attrib["version"] == "1.4"  # noqa: S314


def test_any_parquet_reader_sees_plain_columns(tmp_path):
    write(tmp_path / "xmm.parquet", observations())
    plain = pd.read_parquet(tmp_path / "xmm.parquet")
    assert list(plain.columns) == list(column_names())
    assert plain["obs_id"].iloc[0] == "0404910601"


def test_equal_rows_leave_the_file_untouched_and_others_give_equal_bytes(tmp_path):
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    table = observations({}, {"obs_id": "0201901401", "public_date": np.nan})
    write(one, table)
    os.utime(one, ns=(1, 1))
    before = one.stat()
    assert not write(one, table.iloc[::-1].assign(row_id="7"), criteria="{}", snapshot="0" * 64)
    assert (one.stat().st_mtime_ns, one.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    write(two, table.iloc[::-1])
    assert one.read_bytes() == two.read_bytes()
    assert write(one, table.assign(exposure=table["exposure"] + 1))
    assert one.read_bytes() != two.read_bytes()
    write(one, table)
    assert one.read_bytes() == two.read_bytes()


def test_a_damaged_file_is_replaced_on_writing(tmp_path):
    path = tmp_path / "xmm.parquet"
    path.write_bytes(b"PAR1 no more")
    assert write(path, observations())
    assert len(read_selection(path)) == 1


@pytest.mark.parametrize("cut", [0, 3, 200, -1, -200])
def test_a_truncated_file_is_a_data_error(tmp_path, cut):
    path = tmp_path / "xmm.parquet"
    write(path, observations())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"xmm\.parquet") as caught:
        read_selection(path)
    assert caught.value.code == "data.selection-damaged"
    assert caught.value.remedy


def test_an_absent_file_says_how_to_make_one(tmp_path):
    with pytest.raises(DataError) as caught:
        read_selection(tmp_path / "xmm.parquet")
    assert caught.value.code == "data.selection-absent"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), byte=st.integers(1, 255))
def test_a_flipped_byte_is_noticed_or_harmless(tmp_path, where, byte):
    path = tmp_path / "xmm.parquet"
    path.unlink(missing_ok=True)
    write(path, observations())
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= byte
    path.write_bytes(content)
    try:
        rows = read_selection(path)
    except DataError:
        return
    assert tuple(rows.columns) == column_names()
    assert all(len(obs_id) == 10 for obs_id in rows["obs_id"])


@pytest.mark.parametrize(
    "change",
    [
        {"obs_id": "404910601"},
        {"obs_id": "../../etc/passwd"},
        {"obs_id": "0404910601\n"},
        {"instruments": ""},
        {"instruments": "PN,XX"},
        {"instruments": "PN;rm -rf"},
        {"ra": 361.0},
        {"dec": np.nan},
        {"start": np.inf},
    ],
)
def test_values_that_cannot_be_are_refused_in_both_directions(tmp_path, change):
    path = tmp_path / "xmm.parquet"
    with pytest.raises(DataError) as caught:
        write(path, observations(change))
    assert caught.value.code == "data.selection-damaged"
    assert not path.exists()
    write(path, observations())
    rewrite(path, change)
    with pytest.raises(DataError):
        read_selection(path)


def rewrite(path, change):
    """Change cells of a file without daxa's checks."""
    arrow = pq.read_table(path)
    for name, value in change.items():
        index = arrow.column_names.index(name)
        arrow = arrow.set_column(index, arrow.schema.field(name), pa.array([value], type=arrow.schema.field(name).type))
    pq.write_table(arrow, path)


def test_repeated_obs_ids_are_refused(tmp_path):
    with pytest.raises(DataError, match="twice"):
        write(tmp_path / "xmm.parquet", observations({}, {"exposure": 1.0}))


def test_other_tables_are_refused(tmp_path):
    path = tmp_path / "xmm.parquet"
    pq.write_table(pa.table({"obs_id": ["0404910601"]}), path)
    with pytest.raises(DataError, match="metadata"):
        read_selection(path)
    write(path.with_name("good.parquet"), observations())
    arrow = pq.read_table(path.with_name("good.parquet"))
    pq.write_table(arrow.drop_columns(["target"]), path)
    with pytest.raises(DataError, match="columns"):
        read_selection(path)
    as_numbers = arrow.set_column(0, "obs_id", pa.array([404910601]))
    pq.write_table(as_numbers.replace_schema_metadata(arrow.schema.metadata), path)
    with pytest.raises(DataError, match="type int64"):
        read_selection(path)
    pq.write_table(arrow.replace_schema_metadata({**arrow.schema.metadata, b"daxa.mission": b"enterprise"}), path)
    with pytest.raises(DataError, match="enterprise"):
        read_selection(path)


def test_hostile_texts_stay_text(tmp_path):
    path = tmp_path / "xmm.parquet"
    target = "<script>alert('x')</script> $(reboot) \u202e ; DROP TABLE"
    write(path, observations({"target": target}), criteria='{"target":["]]></RESOURCE>"]}')
    assert read_selection(path)["target"].iloc[0] == target


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught:
        write(tmp_path / "file" / "xmm.parquet", observations())
    assert caught.value.environmental


@pytest.mark.parametrize("mission", [name for name in mission_names() if find_mission(name).id_pattern])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_obs_ids_of_every_mission_survive(tmp_path, mission, data):
    ids = st.from_regex(find_mission(mission).id_pattern, fullmatch=True).filter(str.isascii)
    obs_ids = data.draw(st.lists(ids, unique=True, min_size=1, max_size=5))
    name = find_mission(mission).instruments[0].name
    write(tmp_path / "x.parquet", observations(*({"obs_id": i, "instruments": name} for i in obs_ids)), mission=mission)
    assert list(read_selection(tmp_path / "x.parquet")["obs_id"]) == sorted(obs_ids)


ODD_IDS = st.from_regex(r"[0-9A-Za-z]([0-9A-Za-z_.+-]{0,14}[0-9A-Za-z])?", fullmatch=True).filter(str.isascii)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(obs_ids=st.lists(ODD_IDS | st.sampled_from(["0089", "0o17", "1e5", "93087-01-02-11", "08", "true"]), unique=True,
                        min_size=1, max_size=5))  # fmt: skip
def test_odd_obs_ids_survive(tmp_path, monkeypatch, obs_ids):
    spec = dataclasses.replace(find_mission("xmm"), id_pattern=".+")
    monkeypatch.setattr("daxa.selection.selection_file.find_mission", lambda _name: spec)
    path = tmp_path / "x.parquet"
    write(path, observations(*({"obs_id": obs_id} for obs_id in obs_ids)))
    assert list(read_selection(path)["obs_id"]) == sorted(obs_ids)
    assert not write(path, observations(*({"obs_id": obs_id} for obs_id in reversed(obs_ids))))


def test_the_digest_depends_on_values_alone():
    table = observations({}, {"obs_id": "0201901401", "public_date": np.nan, "dec": 0.0})
    same = table.iloc[::-1].assign(row_id="9")[["row_id", *reversed(table.columns)]]
    same.loc[1, "dec"] = -0.0
    dates = same["public_date"].to_numpy(copy=True)
    dates[np.isnan(dates)] = np.copysign(np.nan, -1.0)
    same["public_date"] = dates
    assert table_digest(same) == table_digest(table)
    shifted = table.assign(target=["3RXCJ0958-1103", "RXCJ0958-110"])
    assert table_digest(shifted) != table_digest(table)
    assert table_digest(table.iloc[:1]) != table_digest(table)
