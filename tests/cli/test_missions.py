"""``daxa missions``: what is declared, for people and for programs."""

from __future__ import annotations

import json
import re

import pytest

from daxa.cli import main
from daxa.missions import find_mission, mission_names
from daxa.xray import FORMATS
from daxa.xray.telescopes import imaging_of


def shown(capsys, *arguments):
    assert main(["missions", *arguments]) == 0
    return capsys.readouterr().out


def test_every_mission_has_a_line_that_says_what_works(capsys):
    lines = shown(capsys).splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(mission_names())
    chandra = next(line for line in lines if line.startswith("chandra "))
    exosat = next(line for line in lines if line.startswith("exosat "))
    assert chandra.split()[2:5] == ["yes", "native,", "ciao"]
    assert exosat.split()[2:4] == ["no", "-"]


def test_backends_are_shown_with_their_steps(capsys):
    facts = dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in shown(capsys, "nustar").splitlines()[1:])
    assert facts["processed by native"] == "events, clean, images, sources"
    assert facts["processed by heasoft"] == "events"
    record = json.loads(shown(capsys, "xmm", "--json"))
    assert record["backends"]["sas"][:2] == ["events", "clean"]
    assert json.loads(shown(capsys, "exosat", "--json"))["backends"] == {}


UNCHECKED = "(not compared with its source yet)"


@pytest.mark.parametrize("name", mission_names())
def test_one_mission_is_shown_in_full(capsys, name):
    spec = find_mission(name)
    text = shown(capsys, name)
    assert spec.title in text
    assert spec.table.name in text
    for instrument in spec.instruments:
        assert f"instrument {instrument.name} " in text
    for theirs in spec.table.columns.values():
        assert theirs in text
    for bibcode in spec.bibcodes:
        assert bibcode in text
        assert (f"{bibcode} {UNCHECKED}" in text) == (bibcode not in spec.credit.checked)
    assert spec.acknowledgement in text
    if spec.credit.facility:
        assert (f"{spec.credit.facility} {UNCHECKED}" in text) == (spec.credit.facility not in spec.credit.checked)
    assert spec.credit.dataset in text
    for cut in (*spec.table.where, *spec.table.mode):
        assert cut in text
    for label, code in {**spec.table.categories, **(spec.table.second_category or ("", {}))[1]}.items():
        assert f"{label!r}: {code}" in text
    for instrument in spec.instruments:
        assert all(f"{column} is {value}" in text for column, value in instrument.labels)
        assert all(alias in text for alias in instrument.aliases)
        assert instrument.exposure in text
    assert all(table.name in text for table in spec.other_tables)
    assert all(mirror.root in text for mirror in spec.mirrors)
    assert all(repr(form.mjdref) in text for form in FORMATS.values() if form.mission == name and form.mjdref)
    assert all(f"channels {band.pi[0]} to {band.pi[1]}" in text for band in imaging_of(name).bands)
    if spec.table.proprietary == "date":
        assert ", ".join(f"{value:g}" for value in spec.table.never_public) in text


def test_an_alias_is_understood_and_shapes_are_said(capsys):
    text = shown(capsys, "ROSAT_pointed")
    assert "circle of 60 arcmin radius" in text
    assert "square of 23.6 arcmin, turned by roll_angle" in shown(capsys, "swift")


def test_the_fields_of_a_mission_and_where_its_list_comes_from_are_shown(capsys):
    text = shown(capsys, "erosita_calpv")
    for bundle in find_mission("erosita_calpv").bundles:
        assert f"field {bundle.field} " in text
    assert "survey: 300007, 300008, 300009, 300010 in eFEDS.tar.gz" in text
    assert "yes: erosmaster, which says itself which of these columns it has" in text
    assert "yes: computed, with what erassmastr adds" in shown(capsys, "erass1")
    (record,) = [json.loads(line) for line in shown(capsys, "erosita_calpv", "--json").splitlines()]
    assert {field["kind"] for field in record["fields"]} >= {"SURVEY", "MAGELLANIC_CLOUDS"}
    assert sum(len(field["obs_ids"]) for field in record["fields"]) == 170


def test_programs_get_a_line_of_json_for_each(capsys):
    records = [json.loads(line) for line in shown(capsys, "--json").splitlines()]
    assert [record["mission"] for record in records] == list(mission_names())
    assert [record["mission"] for record in records if record["processed"]] == list(mission_names(processed=True))
    (swift,) = [json.loads(line) for line in shown(capsys, "swift", "--json").splitlines()]
    assert [one["name"] for one in swift["instruments"] if one["default"]] == ["XRT"]
    assert swift["columns"]["obs_id"] == "obsid"
    assert [one["name"] for one in swift["instruments"] if one["wide"]] == ["BAT"]
    (xmm,) = [json.loads(line) for line in shown(capsys, "xmm", "--json").splitlines()]
    assert xmm["never_public"] == [0, 416422]
    assert xmm["other_tables"] == ["xsa.v_all_observations at ESA"]
    assert [mirror["listing"] for mirror in xmm["mirrors"]] == ["apache", "s3"]


def test_an_unknown_mission_is_an_error_with_a_remedy(capsys):
    assert main(["missions", "enterprise"]) != 0
    said = capsys.readouterr().err
    assert "enterprise" in said
    assert "swift" in said
