"""Every declared table is asked of a TAP service, and its rows are understood."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from daxa.errors import CriteriaError, NotPossible
from daxa.missions import find_mission, mission_names
from daxa.missions.contract import check_declaration, check_query
from daxa.query.mission import Mission
from daxa.query.tables.normalise import normalise
from daxa.query.tables.services import build_query, fetch_table
from daxa.settings import load_settings
from daxa.simulator import Observatory

LISTED = [name for name in mission_names() if find_mission(name).listed]

TEXTS = {
    "status": "archived",
    "data_in_heasarc": "Y",
    "detector": "ACIS-I",
    "grating": "NONE",
    "observation_mode": "SCIENCE",
    "spacecraft_mode": "INERTIAL",
    "instrument": "PSPCB",
    "archive_status": "public",
}
IDS = {"xmm_slew": "9081400004", "bepposax": "20166001"}
"""Made up, for the missions of which no real ObsID is recorded."""


def row_of(spec):
    """A row with all that the declaration names, that passes its row cuts."""
    columns = spec.table.columns
    words = {word for text in spec.table.where for word in re.findall(r"[a-z]\w+", re.sub(r"'[^']*'", "", text))}
    named = {*columns.values(), *(words - {"in", "like", "not", "or", "and"})}
    named |= {one.exposure for one in spec.instruments if one.exposure}
    named |= {column for one in spec.instruments for column, _ in one.labels}
    named |= {name for name in re.findall(r'"(\w+)"', build_query(spec, 1)) if name != "__row"}
    row: dict[str, object] = {name: TEXTS.get(name, 1000.0) for name in named}
    row |= {name: f"{name} on" for name in spec.table.mode}
    row |= {spec.table.category: next(iter(spec.table.categories))} if spec.table.category else {}
    row |= {spec.roll: 271.25} if spec.roll else {}
    row |= {columns["target"]: "a target", columns["ra"]: 149.6, columns["dec"]: -11.1, columns["start"]: 55544.2}
    if "end" in columns:
        row[columns["end"]] = 55545.2
    if spec.table.proprietary == "date":
        row[columns["public_date"]] = 55900.0
    return row | {columns["obs_id"]: spec.id_example or IDS[spec.name]}


def asked(spec, rows, root):
    with Observatory(root, {spec.table.name: rows}) as server:
        own = {f"DAXA_TAP_{spec.table.service.upper()}": server.environ["DAXA_HEASARC_TAP"]} if spec.table.tap else {}
        return fetch_table(spec, load_settings(environ=server.environ | own, user_file=None))


@pytest.mark.parametrize("mission", LISTED)
def test_a_service_answers_the_query_and_the_answer_is_understood(mission, tmp_path):
    spec = find_mission(mission)
    row = row_of(spec)
    answer = asked(spec, [row], tmp_path)
    assert answer.query == build_query(spec, 1001)
    found = normalise(spec, answer.table)
    assert found.left_out == {}
    (kept,) = found.table.to_dict("records")
    assert kept["obs_id"] == row[spec.table.columns["obs_id"]]
    assert kept["start"] == pytest.approx(55544.2)
    assert kept["end"] == pytest.approx(55545.2 if "end" in spec.table.columns else 55544.2 + 1000 / 86400)
    assert kept["exposure"] == pytest.approx(1000.0)
    assert kept["public_date"] == pytest.approx(55900.0 if spec.table.proprietary == "date" else 55544.2)
    assert kept["mode"] == " ".join(f"{name} on" for name in spec.table.mode)
    assert kept["category"] == next(iter(spec.table.categories.values()), spec.table.only_category)
    assert kept["roll"] == 271.25 if spec.roll else np.isnan(kept["roll"])
    assert set(kept["exposures"].split(",")) == {"1000" if spec.instruments[0].exposure else ""}
    labelled = any(one.labels for one in spec.instruments)
    assert kept["instruments"] == (
        spec.instruments[0].name if labelled else ",".join(one.name for one in spec.instruments)
    )


def test_the_table_of_a_mission_s_own_service_may_need_its_schema(tmp_path):
    swift = find_mission("swift")
    table = replace(swift.table, name="lobster.observations", service="lobster", tap="https://archive.example/tap")
    spec = replace(swift, table=table)
    check_declaration(spec)
    assert len(asked(spec, [row_of(spec)], tmp_path).table) == 1


@pytest.mark.parametrize("mission", LISTED)
def test_every_declared_column_is_queried(mission):
    check_query(find_mission(mission), build_query(find_mission(mission), 1))


@pytest.mark.parametrize("mission", [name for name in LISTED if find_mission(name).table.where])
def test_rows_without_data_are_cut_by_the_service(mission, tmp_path):
    spec = find_mission(mission)
    good = row_of(spec)
    bad = {name: (0.0 if value == 1000.0 else "other" if name in TEXTS else value) for name, value in good.items()}
    bad[spec.table.columns["obs_id"]] = "0000000000"
    assert len(asked(spec, [good, bad], tmp_path).table) == 1


@pytest.mark.parametrize("mission", [name for name in LISTED if len(find_mission(name).table.never_public) > 1])
def test_never_is_not_a_date(mission, tmp_path):
    spec = find_mission(mission)
    for value in spec.table.never_public:
        answer = asked(spec, [row_of(spec) | {spec.table.columns["public_date"]: value}], tmp_path)
        assert np.isnan(normalise(spec, answer.table).table["public_date"][0])


def test_a_rosat_row_says_which_camera_it_used(tmp_path):
    spec = find_mission("rosat")
    kinds = {"RP500211N00": "PSPCB", "RP500211N01": "PSPCC", "RP500211N02": "PSPC", "RH400344N00": "HRI"}
    rows = [row_of(spec) | {"seq_id": seq_id, "instrument": kind} for seq_id, kind in kinds.items()]
    found = normalise(spec, asked(spec, rows, tmp_path).table).table
    assert dict(zip(found["obs_id"], found["instruments"], strict=True)) == kinds


@pytest.mark.parametrize("mission", ["xmm", "chandra", "nustar"])
def test_recorded_rows_of_the_real_tables_are_understood(mission, real_data):
    spec = find_mission(mission)
    rows = json.loads((real_data / "tables" / "heasarc_known_rows.json").read_text())[spec.table.name]
    names = re.findall(r'"(\w+)"', build_query(spec, 1))
    columns = [
        MaskedColumn([row.get(name, 0) for row in rows], name, mask=[name not in row for row in rows], dtype=object)
        for name in names
    ]
    found = normalise(spec, Table(columns))
    placed = {row["obsid"]: row for row in rows if "ra" in row}
    assert set(found.table["obs_id"]) == set(placed)
    assert sum(found.left_out.values()) == len(rows) - len(placed)
    for kept in found.table.to_dict("records"):
        real = placed[kept["obs_id"]]
        assert (kept["target"], kept["ra"], kept["dec"]) == (real["name"], real["ra"], real["dec"])
        assert kept["start"] == pytest.approx(real["time"]) if "time" in real else np.isnan(kept["start"])


@pytest.mark.parametrize("mission", ["integral", "xmm_slew"])
def test_instruments_that_see_nearly_everything_must_be_named(mission, tmp_path):
    spec = find_mission(mission)
    row = row_of(spec)
    obs_id = row[spec.table.columns["obs_id"]]
    with Observatory(tmp_path / "tree", {spec.table.name: [row]}) as server:
        settings = load_settings(environ={**server.environ, "DAXA_CACHE": str(tmp_path / "cache")}, user_file=None)
        asked = Mission(mission, settings).filter(obs_ids=obs_id)
        with pytest.raises(CriteriaError) as caught:
            asked.select()
        assert caught.value.code == "criteria.instrument"
        named = spec.instruments[0].name
        assert named in caught.value.remedy
        (kept,) = asked.filter(instruments=named).observations.to_dict("records")
    assert (kept["obs_id"], kept["instruments"]) == (obs_id, named)


@pytest.mark.parametrize("mission", sorted(set(mission_names()) - set(LISTED)))
def test_a_mission_whose_table_is_not_declared_is_refused_by_name(mission):
    spec = find_mission(mission)
    with pytest.raises(NotPossible) as caught:
        fetch_table(spec, load_settings(environ={"DAXA_HEASARC_TAP": "http://127.0.0.1:9/tap"}, user_file=None))
    assert caught.value.code == "impossible.not-listed"
    assert spec.title in caught.value.message


def test_listed_are_those_that_the_readme_names():
    assert set(mission_names()) - set(LISTED) == {"einstein", "exosat"}
